"""Rows and bars: scores of each class, accuracy of each group, histograms of probabilities.

There is one row per class or group. More than 60 rows are split into columns, each on its own axes, which `row_axes` makes.
On the caller's axes all rows share one, and names that would touch are left out.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...core.figures import new_figure
from .style import BAD, BELOW, GOOD, inches, legend, short, text_that_fits

ROWS = 60  # in one column


def row_axes(ax: Axes | None, n: int, longest: int) -> tuple[Figure, list[tuple[Axes, slice]]]:
    """The figure, and which of `n` rows are drawn on which axes.

    Parameters
    ----------
    ax : Axes or None
        All rows are drawn here; None makes a new figure with one column for each 60 rows.
    n : int
        Number of rows.
    longest : int
        Characters of the longest name.

    Returns
    -------
    figure : Figure
    parts : list of (Axes, slice)
        The axes, and their rows.
    """
    if ax is not None:
        return ax.figure, [(ax, slice(0, n))]
    columns = math.ceil(n / ROWS)
    rows = math.ceil(n / columns)
    pitch = 0.3 if rows <= 15 else 0.22 if rows <= 45 else 0.18
    figure = new_figure(
        (4.2 if columns == 1 else 2.6) * columns + 0.075 * min(30, longest) * columns, rows * pitch + 1.5
    )
    axes = figure.subplots(1, columns, squeeze=False)[0]
    return figure, [(one, slice(i * rows, min(n, (i + 1) * rows))) for i, one in enumerate(axes)]


def _name_rows(ax: Axes, names: list[str], numbers: list[int], header: str) -> float:
    """Names at the left, the first at the top, and numbers at the right; returns the height of a row in inches."""
    n = len(names)
    pitch = inches(ax)[1] / n
    size, every = text_that_fits(pitch, 9.0)
    ax.set_yticks(range(0, n, every), [short(name, 30) for name in names[::every]], fontsize=size, parse_math=False)
    ax.set_ylim(n - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
    style = {"transform": ax.get_yaxis_transform(), "fontsize": size, "color": "0.35", "ha": "left"}
    for row in range(0, n, every):
        ax.text(1.03, row, f"{numbers[row]:,}", va="center", **style)
    ax.text(1.03, -0.7, header, va="bottom", **style)
    for row in range(1, n, 2):  # stripes
        ax.axhspan(row - 0.5, row + 0.5, color="0.96", zorder=0, linewidth=0)
    ax.set_xlim(-0.03, 1.03)
    ax.grid(axis="x", color="0.9", zorder=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    return pitch


def title_rows(
    figure: Figure, parts: list[tuple[Axes, slice]], ax: Axes | None, title: str, marks: dict[str, Line2D]
) -> None:
    """A title above all columns and a legend below them; on the caller's axes (`ax`) both belong to these."""
    if ax is None:
        figure.suptitle(title, fontsize="medium", parse_math=False)
        style = {"loc": "outside lower center", "ncols": len(marks), "frameon": False, "fontsize": "small"}
        figure.legend(list(marks.values()), list(marks), **style)
        return
    ax.set_title(title, fontsize="medium", parse_math=False, pad=18)
    legend(ax, list(marks.values()), list(marks), ncols=len(marks), **BELOW)


# ---------------------------------------------------------------------- classes


def draw_scores(ax: Axes, scores: pd.DataFrame) -> None:
    """Precision, recall and F1 of each class, one row of `scores` each (columns precision, recall, f1-score, support)."""
    pitch = _name_rows(ax, list(scores.index), scores["support"].tolist(), "clips")
    rows, known = np.arange(len(scores)), scores["support"].to_numpy() > 0
    ends = scores[["precision", "recall"]].to_numpy()
    ax.hlines(rows[known], ends[known].min(axis=1), ends[known].max(axis=1), color="0.6", linewidth=1.2, zorder=2)
    size = float(np.clip((pitch * 72 * 0.5) ** 2, 12, 64))  # points squared
    ring = {"marker": "o", "facecolors": "white", "edgecolors": GOOD, "linewidths": 1.5}
    bar = {"marker": "|", "color": "black", "linewidths": 1.8}
    ax.scatter(scores["precision"][known], rows[known], s=size, zorder=3, **ring)
    ax.scatter(scores["recall"][known], rows[known], s=size * 0.55, marker="s", color=BAD, zorder=4)
    ax.scatter(scores["f1-score"][known], rows[known], s=size * 1.6, zorder=5, **bar)
    for row in rows[~known]:
        ax.text(0.01, row, "no clips", fontsize=min(8, pitch * 50), color="0.5", va="center")
    ax.set_xlabel("score (0 to 1)")


def score_marks() -> dict[str, Line2D]:
    """Legend of `draw_scores`: name -> marker."""
    ring = {"marker": "o", "markerfacecolor": "white", "markeredgecolor": GOOD, "markeredgewidth": 1.5}
    return {
        "precision": Line2D([], [], linestyle="", **ring),
        "recall": Line2D([], [], marker="s", color=BAD, markersize=5, linestyle=""),
        "F1": Line2D([], [], marker="|", color="black", markersize=9, markeredgewidth=1.8, linestyle=""),
    }


# ---------------------------------------------------------------------- groups


def draw_groups(ax: Axes, groups: pd.DataFrame, overall: float) -> None:
    """Accuracy of each group with its interval, one row of `groups` each (columns clips, accuracy, low, high), and `overall`."""
    _name_rows(ax, [str(name) for name in groups.index], groups["clips"].tolist(), "clips")
    rows = np.arange(len(groups))
    ax.hlines(rows, groups["low"], groups["high"], color=GOOD, linewidth=2, alpha=0.5, zorder=2)
    ax.scatter(groups["accuracy"], rows, s=34, color=GOOD, zorder=3)
    ax.axvline(overall, color=BAD, linestyle="--", linewidth=1.2, zorder=1)


def group_marks(overall: float) -> dict[str, Line2D]:
    """Legend of `draw_groups`: name -> marker."""
    return {
        "group, 95 % interval": Line2D([], [], marker="o", color=GOOD, markersize=5, linewidth=2),
        f"all clips {overall:.3f}": Line2D([], [], color=BAD, linestyle="--", linewidth=1.2),
    }


# ---------------------------------------------------------------------- probabilities


def draw_histograms(ax: Axes, parts: dict[str, np.ndarray], bins: int) -> None:
    """Histograms of two sets of probabilities, each normalised by its own size, so that a small one is visible beside a large one."""
    edges = np.linspace(0, 1, bins + 1)
    styles = [{"color": GOOD, "alpha": 0.35}, {"facecolor": "none", "edgecolor": BAD, "hatch": "////", "linewidth": 0}]
    handles = []
    for values, style, shade in zip(parts.values(), styles, (GOOD, BAD)):
        share = np.histogram(values, edges)[0] / max(1, len(values))
        handles.append(ax.stairs(share, edges, fill=True, **style))
        ax.stairs(share, edges, color=shade, linewidth=1.6)
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    legend(ax, handles, [f"{name} ({len(values):,})" for name, values in parts.items()], loc="best")
