"""Figures outside pyplot's registry, which notebooks display by themselves.

A function returns the figure that it draws; none is left open, however many a loop draws. A notebook shows the figure at the
end of a cell whether or not pyplot was imported.
"""

from __future__ import annotations

from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Paul Tol's "muted" colours, which colour-blind readers tell apart
COLOURS = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933")

DPI = 100  # of the picture in a notebook


class SpecFigure(Figure):
    """A matplotlib Figure that notebooks display as a PNG."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def write_message(ax: Axes, text: str) -> None:
    """Text in the middle of axes, in place of a picture."""
    style = {"ha": "center", "va": "center", "color": "0.4", "wrap": True, "parse_math": False}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **style)
    ax.set(xticks=[], yticks=[])


def new_figure(width: float, height: float) -> SpecFigure:
    """An empty figure of `width` by `height` inches, with constrained layout.

    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    return SpecFigure(figsize=(width, height), layout="constrained")
