"""What all plots share: text that fits, distinguishable colours and markers, axes, readable sizes.

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

MARKERS = ["o", "s", "^", "D", "v", "P", "<", ">"]  # with 9 colours 72 different pairs
_UNPRINTABLE = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
GOOD, BAD = COLOURS[0], COLOURS[1]  # right and wrong, everywhere: indigo and rose


# ---------------------------------------------------------------------- text


def printable(text: str) -> str:
    """`text` with U+FFFD for characters that fonts and XML refuse: control characters and lone surrogates."""
    return _UNPRINTABLE.sub("\ufffd", text)


def short(text, width: int) -> str:
    """`text` on one line of at most `width` characters, cut in the middle, as file names differ at their ends."""
    text = printable(" ".join(str(text).split()))
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def named(labels) -> str:
    """One label, or several joined."""
    return labels if isinstance(labels, str) else ", ".join(labels or []) or "none"


def first(labels) -> str:
    """The label, or the first of several; "none" if there is none."""
    return "none" if not labels else labels if isinstance(labels, str) else labels[0]


def number(value: float, digits: int = 2) -> str:
    """`value` with `digits` decimals, and no minus sign before zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


# ---------------------------------------------------------------------- colours and legends


def colour(i: int) -> str:
    """The colour of class `i`."""
    return COLOURS[i % len(COLOURS)]


def marker(i: int) -> str:
    """The marker of class `i`."""
    return MARKERS[i % len(MARKERS)]


BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "borderaxespad": 4, "fontsize": "small"}  # for `legend`


def legend(ax: Axes, handles: list, labels: list[str], **kwargs) -> None:
    """A legend without a frame that shows `$x$` literally, not as mathematics."""
    for text in ax.legend(handles, labels, frameon=False, **kwargs).get_texts():
        text.set_parse_math(False)


# ---------------------------------------------------------------------- axes and sizes


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def axes_for(
    ax, n: int, width: float, height: float, columns: int | None = None, noun: str = "clips"
) -> tuple[Figure, list[Axes]]:
    """The figure and `n` of its axes: the first `n` given, or those of a new figure.

    Parameters
    ----------
    ax : Axes, sequence of Axes or None
        Axes to draw on; those beyond the first `n` are switched off. None makes a new figure.
    n : int
        How many are needed.
    width, height : float
        Size of each axes of a new figure, in inches.
    columns : int, optional
        Columns of a new figure; by default as many as rows, or one more.
    noun : str, default "clips"
        What is drawn, for the message.

    Returns
    -------
    figure : Figure
    axes : list of Axes

    Raises
    ------
    ValueError
        If fewer than `n` axes are given.
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
    """Run the layout and fix the axes' limits, so that pixel positions are final."""
    ax.figure.draw_without_rendering()
    ax.set_autoscale_on(False)
    ax.set_adjustable("box")  # should anything still move, it is the frame and not the limits


def inches(ax: Axes) -> np.ndarray:
    """(width, height) of the axes in inches, before labels take their part."""
    box = ax.get_position()
    return ax.figure.bbox.size / ax.figure.dpi * [box.width, box.height]


def text_that_fits(pitch: float, largest: float = 10.0) -> tuple[float, int]:
    """(font size in points, step) for labels `pitch` inches apart: where they would touch, only every `step`-th is written."""
    size = min(largest, max(4.0, pitch * 72 * 0.75))
    return size, max(1, math.ceil(size / 72 / pitch))
