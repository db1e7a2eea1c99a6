"""Figures that stay out of pyplot's register and show themselves in notebooks.

What a function draws it returns; nothing is left open, however many pictures a loop draws. A notebook shows the figure that a
cell ends with, whether or not pyplot was ever imported.
"""

from __future__ import annotations

from io import BytesIO

from matplotlib.figure import Figure

__all__ = ["COLOURS", "SpecFigure", "new_figure"]

# Paul Tol's "muted" colours, which colour-blind readers tell apart
COLOURS = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933")

DPI = 100  # of the picture in a notebook


class SpecFigure(Figure):
    """A matplotlib Figure with the picture that notebooks ask for."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


def new_figure(width: float, height: float) -> SpecFigure:
    """An empty figure of `width` by `height` inches whose axes arrange themselves."""
    return SpecFigure(figsize=(width, height), layout="constrained")
