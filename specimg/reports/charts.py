"""The figures of a page: drawn by `interpret.plots`, written as SVG that takes the page's colours and fonts.

    charts = draw_charts(interp, history, ["group"])
    charts["calibration"]                     # '<svg viewBox="0 0 331 302" class="chart" role="img" ...'

matplotlib writes fixed colours into style attributes, which the page's policy forbids. Here they become presentation attributes:
the plots' colours the variables of page.css, greys a mixture of ink and paper. So a figure follows dark mode and print. Text stays
text, in the page's font.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from io import BytesIO
from xml.etree import ElementTree

import matplotlib
import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.figures import COLOURS
from ..core.offscreen import offscreen
from ..interpret import SpecInterpretation
from ..interpret.plots import lines, style
from ..interpret.statistics import is_known

MOST_ROWS = 60  # classes or groups that one figure shows; of more the page has the table alone
STYLE = {
    "font.size": 9, "svg.fonttype": "none", "axes.edgecolor": "0.7", "axes.labelcolor": "0.35", "xtick.color": "0.35", "ytick.color": "0.35",
}  # fmt: skip
_NO_METADATA = dict.fromkeys(["Date", "Creator", "Format", "Type"])
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")


def _on_page(colour: str) -> str:
    """A value of matplotlib's as the page has it: colours "#332288" -> "var(--c1)", greys between paper and ink."""
    if not colour.startswith("#"):
        return colour
    if colour.upper() in COLOURS:
        return f"var(--c{COLOURS.index(colour.upper()) + 1})"
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    if not red == green == blue:
        return colour
    return f"color-mix(in srgb, var(--ink) {100 * (255 - red) / 255:.0f}%, var(--paper))"


def _attributes(css: str) -> dict[str, str]:
    """A style attribute as presentation attributes; of the font only its size is kept."""
    pairs = dict(part.split(": ", 1) for part in css.split("; ") if part)
    size = re.search(r"[\d.]+px", pairs.get("font-size", pairs.get("font", "")))  # newer and older matplotlib
    kept = {name: _on_page(value) for name, value in pairs.items() if not name.startswith("font")}
    return kept if size is None else {**kept, "font-size": size[0]}


def as_svg(figure: Figure, name: str) -> str:
    """A figure as an SVG element for a page.

    Parameters
    ----------
    figure : Figure
        What is drawn.
    name : str
        Read aloud in its place, and what keeps its ids from those of other figures on the page.

    Returns
    -------
    str
        ASCII, without style attributes, script or namespace.
    """
    buffer = BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    root = ElementTree.fromstring(buffer.getvalue())
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag.endswith("}style")]:
            parent.remove(child)
    used = set(re.findall(rb"#([\w-]+)[\")]", buffer.getvalue()))
    for node in root.iter():
        node.tag = node.tag.rpartition("}")[2]
        node.attrib = {key.rpartition("}")[2]: value for key, value in node.attrib.items()}
        node.attrib |= _attributes(node.attrib.pop("style", ""))
        if node.get("id", "").encode() not in used:
            node.attrib.pop("id", None)
        for key in {"d", "x", "y", "transform", "points", "stroke-width"} & set(node.attrib):
            node.set(key, _LONG_NUMBER.sub(lambda found: f"{float(found[0]):.2f}", node.get(key)))
        node.text, node.tail = (node.text or "").strip() or None, None
    ink = "var(--ink)"  # of black text, whose colour matplotlib leaves out
    root.attrib = {"viewBox": root.get("viewBox"), "class": "chart", "role": "img", "aria-label": name, "fill": ink}
    return ElementTree.tostring(root, "us-ascii").decode()


# ---------------------------------------------------------------------- which there are


def _learning_curves(history: pd.DataFrame) -> Figure:
    ax = style.axes(None, 4.7, 3.4)
    lines.draw_history(ax, history)
    return ax.figure


def _rows(n: int) -> Axes:
    """Axes for rows of classes or groups."""
    return style.axes(None, 4.3, 1.6 + n * (0.3 if n <= 15 else 0.22))


def draw_charts(
    interp: SpecInterpretation | None, history: pd.DataFrame | None, groups: Sequence[str]
) -> dict[str, str]:
    """The figures of a page as SVG.

    Parameters
    ----------
    interp : SpecInterpretation or None
        What was predicted, where anything was.
    history : DataFrame or None
        One row an epoch, as `plot_learning_curves` takes it.
    groups : sequence of str
        Columns of its table that group clips.

    Returns
    -------
    dict of str
        By name, those for which there is something to draw: "curves", "classes", "groups-0" (a number for each of `groups`),
        "calibration", "probabilities".
    """
    wanted: dict[str, tuple[str, Callable[[], Figure]]] = {}
    if history is not None and len(history):
        wanted["curves"] = "Learning curves", partial(_learning_curves, history)
    if interp is not None and interp.predictions.labelled.any():
        p = interp.predictions
        if len(p.vocab) <= MOST_ROWS:
            wanted["classes"] = "Scores of each class", lambda: interp.plot_class_scores(ax=_rows(len(p.vocab)))
        for k, column in enumerate(groups):
            n = p.table[column][p.labelled].nunique(dropna=False)
            if n <= MOST_ROWS:
                draw = partial(lambda column, n: interp.plot_groups(column, _rows(n)), column, n)
                wanted[f"groups-{k}"] = f"Accuracy by {style.short(column, 60)}", draw
        if (p.labelled & is_known(p)).any():
            wanted["calibration"] = "Calibration", lambda: interp.plot_calibration(ax=style.axes(None, 4.2, 4.1))
            wanted["probabilities"] = (
                "Histogram of probabilities",
                lambda: interp.plot_probabilities(ax=style.axes(None, 4.2, 2.8)),
            )
    with offscreen(), matplotlib.style.context(["default", STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser's fonts have it
        return {name: as_svg(draw(), title) for name, (title, draw) in wanted.items()}
