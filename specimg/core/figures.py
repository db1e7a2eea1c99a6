"""Figures that behave as fastai's and matplotlib's own do: the one drawn last is pyplot's current figure.

A notebook shows each at the end of its cell, once, also one that is the cell's value; in a script `plt.savefig` and `plt.show` find
them. A loop over thousands of clips keeps few: where matplotlib would warn of too many open figures, the oldest of ours is closed.
What is drawn for a file only, as a report's charts are, is drawn `offscreen`.
"""

from __future__ import annotations

import threading
from io import BytesIO

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .offscreen import is_offscreen
from .warnings import warn

# Paul Tol's "muted" colours, which colour-blind readers tell apart
COLOURS = ("#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933")

DPI = 100  # of the picture in a notebook


def _is_inline() -> bool:
    """Whether pyplot's figures are shown by a notebook at the end of each cell."""
    return "inline" in matplotlib.get_backend()


class SpecFigure(Figure):
    """A matplotlib Figure that a notebook shows once."""

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        """Nothing besides the usual picture. IPython asks here before it shows the figure, which then is not due at the end of the cell."""
        if _is_inline():
            from matplotlib import pyplot

            pyplot.close(self)
        return {}

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()

    def retire(self) -> None:
        """Leave pyplot: at once in a script, on display in a notebook, with a warning where a window closes."""
        from matplotlib import pyplot

        if _is_inline() and matplotlib.is_interactive():
            from IPython.display import display

            display(self)
        elif getattr(self.canvas, "required_interactive_framework", None):
            warn(
                f"{matplotlib.rcParams['figure.max_open_warning']} figures are open, and the oldest is closed for a new one; "
                f"show them before, by plt.show(), or raise plt.rcParams['figure.max_open_warning']"
            )
        pyplot.close(self)


def _make_room() -> None:
    """Retire the oldest of our figures where one more would make pyplot warn."""
    from matplotlib import pyplot

    most = matplotlib.rcParams["figure.max_open_warning"]  # 0: any number
    for number in pyplot.get_fignums():
        if not 0 < most <= len(pyplot.get_fignums()):
            return
        figure = pyplot.figure(number)
        if isinstance(figure, SpecFigure):
            figure.retire()


def write_message(ax: Axes, text: str) -> None:
    """Text in the middle of axes, in place of a picture."""
    style = {"ha": "center", "va": "center", "color": "0.4", "wrap": True, "parse_math": False}
    ax.text(0.5, 0.5, text, transform=ax.transAxes, **style)
    ax.set(xticks=[], yticks=[])


def new_figure(width: float, height: float) -> SpecFigure:
    """An empty figure of `width` by `height` inches, with constrained layout, pyplot's current one unless drawn `offscreen` or in a thread.

    >>> new_figure(4, 3).get_size_inches().tolist()
    [4.0, 3.0]
    """
    form = {"figsize": (width, height), "layout": "constrained"}
    if is_offscreen() or threading.current_thread() is not threading.main_thread():  # pyplot is not safe in threads
        return SpecFigure(**form)
    from matplotlib import pyplot

    _make_room()
    return pyplot.figure(FigureClass=SpecFigure, **form)
