"""What all plots share: words that fit, colours and markers that differ, axes that exist, sizes that can be read.

>>> short("a_recording_with_a_long_name_0001.wav", 20)
'a_recordi…e_0001.wav'
>>> named(["rain", "wind"]), first(["rain", "wind"]), first(None)
('rain, wind', 'rain', 'none')
"""

from __future__ import annotations

import math
import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.figures import COLOURS, new_figure

__all__ = [
    "GOOD",
    "BAD",
    "axes",
    "axes_for",
    "colour",
    "first",
    "inches",
    "legend",
    "marker",
    "named",
    "number",
    "printable",
    "say",
    "settle",
    "short",
    "text_that_fits",
]

MARKERS = ["o", "s", "^", "D", "v", "P", "<", ">"]  # with 9 colours 72 different pairs
_UNPRINTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
GOOD, BAD = COLOURS[0], COLOURS[1]  # right and wrong, everywhere: indigo and rose


# ---------------------------------------------------------------------- words


def printable(text: str) -> str:
    """`text` with a replacement character for what neither fonts nor XML take: control characters, halves of surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)


def short(text, width: int) -> str:
    """`text` on one line of at most `width` characters, cut in the middle: the ends of file names differ."""
    text = printable(" ".join(str(text).split()))
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def named(labels) -> str:
    """One label, or several joined."""
    return labels if isinstance(labels, str) else ", ".join(labels or []) or "none"


def first(labels) -> str:
    """The label, or the first of several; "none" where there is none."""
    return "none" if not labels else labels if isinstance(labels, str) else labels[0]


def number(value: float, digits: int = 2) -> str:
    """With so many digits after the point, and no minus before zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


# ---------------------------------------------------------------------- looks


def colour(i: int) -> str:
    """The colour of class `i`."""
    return COLOURS[i % len(COLOURS)]


def marker(i: int) -> str:
    """The marker of class `i`."""
    return MARKERS[i % len(MARKERS)]


def legend(ax: Axes, handles: list, labels: list[str], **kwargs) -> None:
    """A legend without a frame that writes `$x$` as it stands, where matplotlib would set mathematics."""
    for text in ax.legend(handles, labels, frameon=False, **kwargs).get_texts():
        text.set_parse_math(False)


def say(ax: Axes, text: str) -> None:
    """Empty axes that say why they are empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4", parse_math=False)
    ax.set_xticks([])
    ax.set_yticks([])


# ---------------------------------------------------------------------- room


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def axes_for(
    ax, n: int, width: float, height: float, columns: int | None = None, noun: str = "clips"
) -> tuple[Figure, list[Axes]]:
    """The figure and n axes of it: the first n given, of which the others are emptied, or those of a new figure.

    width, height : of each, in inches
    columns : by default as many as there are rows, or one more

    Raises ValueError where fewer are given.
    """
    if ax is None:
        columns = columns or math.ceil(math.sqrt(n))
        rows = math.ceil(n / columns)
        ax = new_figure(width * columns, height * rows).subplots(rows, columns, squeeze=False)
    given = list(np.ravel(ax))
    if len(given) < n:
        raise ValueError(f"{len(given)} axes for {n} {noun}; give one for each, or ask for fewer")
    for empty in given[n:]:
        empty.set_axis_off()
    return given[0].figure, given[:n]


def settle(ax: Axes) -> None:
    """Lay the figure out and keep the limits of its axes, so that pixels can be counted."""
    ax.figure.draw_without_rendering()
    ax.set_autoscale_on(False)
    ax.set_adjustable("box")  # should anything still move, the frame gives way and not the limits


def inches(ax: Axes) -> np.ndarray:
    """(width, height) of the axes, before names and numbers take their part."""
    box = ax.get_position()
    return ax.figure.bbox.size / ax.figure.dpi * [box.width, box.height]


def text_that_fits(pitch: float, largest: float = 10.0) -> tuple[float, int]:
    """(size in points, every how many) of names that stand `pitch` inches apart: where they would touch, some are left out."""
    size = min(largest, max(4.0, pitch * 72 * 0.75))
    return size, max(1, math.ceil(size / 72 / pitch))
