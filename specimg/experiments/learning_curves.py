"""Learning curves of several runs in one figure: a line per run, the mean over its networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.figures import COLOURS, new_figure
from ..core.values import choose
from .run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LINES = ("-", "--", ":")  # with 9 colours they distinguish 27 runs
_MARKERS = ("o", "s", "^")


def _curve(run: Run, metric: str) -> pd.Series:
    """Epoch -> mean over the networks, up to the last epoch of the shortest."""
    history = run.history
    choose(
        metric,
        [column for column in history if column not in ("phase", "seed", "fold", "epoch")],
        "column of the tables of epochs",
    )
    return history.pivot(index="epoch", columns=["seed", "fold"], values=metric).dropna().mean(axis=1)


def _legend(ax, curves: dict[str, pd.Series], falls: bool) -> None:
    """Beside the axes, best first; names are not mathematics, which matplotlib would set between dollar signs."""
    lines = dict(zip(curves, ax.get_lines()[-len(curves) :] if curves else []))
    last = {name: curve.iloc[-1] if len(curve) else -np.inf for name, curve in curves.items()}
    order = sorted(curves, key=last.get, reverse=not falls)
    legend = ax.legend(
        [lines[name] for name in order],
        order,
        fontsize=8,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        frameon=False,
        handlelength=3,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def draw_curves(runs: Mapping[str, Run], metric: str, ax: Axes | None = None) -> Figure:
    """The metric of the held-out clips after every epoch; returns the Figure. See `Comparison.plot_curves`."""
    curves = {name: _curve(run, metric) for name, run in runs.items()}
    beside = 0.065 * max(map(len, curves), default=0)  # inches, of the names
    fig = new_figure(7 + beside, max(4.5, 0.22 * len(curves))) if ax is None else ax.figure
    ax = fig.add_subplot() if ax is None else ax
    for i, (name, curve) in enumerate(curves.items()):
        style = {
            "color": COLOURS[i % len(COLOURS)],
            "linestyle": _LINES[i // len(COLOURS) % len(_LINES)],
            "marker": _MARKERS[i // len(COLOURS) % len(_MARKERS)],
        }
        ax.plot(curve.index, curve, label=name, markersize=4, linewidth=1.6, **style)
    ax.set(xlabel="epoch", ylabel=f"{metric} of held-out clips, mean of the networks")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.3)
    _legend(ax, curves, falls="loss" in metric or "error" in metric)
    return fig
