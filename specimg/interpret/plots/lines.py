"""Line plots: losses, metrics and learning rates over epochs, of one training or of all folds of a run; calibration.

A history has one row per epoch. With the columns seed or fold, as in `Run.history`, it holds several trainings: each is drawn as
thin lines, and the mean at each epoch, over the trainings that reached it, as thick ones.

>>> from specimg.interpret.plots import lines, style
>>> lines.draw_history(style.axes(None, 7, 4), run.history)
>>> lines.draw_calibration(style.axes(None, 5, 5), interp.calibration(10))
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from .style import BAD, BELOW, GOOD, colour, legend, marker

LOSSES = ("train_loss", "valid_loss")
_NO_METRICS = {*LOSSES, "epoch", "lr", "seconds", "time", "seed", "fold"}


# ---------------------------------------------------------------------- epochs


def trainings(history: pd.DataFrame) -> list[pd.DataFrame]:
    """The single trainings of a history, by seed and fold."""
    by = [name for name in ("seed", "fold") if name in history]
    return [part for _, part in history.groupby(by, dropna=False)] if by else [history]


def _lines(ax: Axes, parts: list[pd.DataFrame], name: str, style: str, shade: str, mark: str):
    """A column over the epochs, a thin line per training, and the mean, whose line is returned."""
    values = [part[name].to_numpy(float) for part in parts]
    if len(values) > 1:
        for one in values:
            ax.plot(np.arange(1, len(one) + 1), one, style, color=shade, linewidth=0.7, alpha=0.45)
    mean = pd.DataFrame([pd.Series(one) for one in values]).mean()  # over the trainings that reached the epoch
    style_of_mean = {"markersize": 3} if len(values) == 1 else {"markersize": 4, "linewidth": 2.6}
    label = name.replace("_", " ")
    return ax.plot(np.arange(1, len(mean) + 1), mean, style, color=shade, marker=mark, label=label, **style_of_mean)[0]


def _draw_metrics(ax: Axes, parts: list[pd.DataFrame], names: list[str]) -> list:
    """Dashed lines on a second axis at the right."""
    right = ax.twinx()
    right.set_ylabel("metric (dashed)")
    values = pd.concat(parts)[names]
    if values.min().min() >= 0 and values.max().max() <= 1:
        right.set_ylim(-0.02, 1.02)
    return [_lines(right, parts, name, "--", colour(i + 2), marker(i + 1)) for i, name in enumerate(names)]


def _frozen_until(part: pd.DataFrame) -> int:
    """The last epoch with a frozen body; 0 if there was none."""
    frozen = part["phase"].eq("frozen").to_numpy() if "phase" in part else np.zeros(0, bool)
    return int(np.flatnonzero(frozen)[-1]) + 1 if frozen.any() else 0


def draw_history(ax: Axes, history: pd.DataFrame) -> None:
    """Losses on the left axis, metrics on the right; epochs with a frozen body are shaded."""
    parts = trainings(history)
    metrics = [
        name for name in history.select_dtypes("number") if name not in _NO_METRICS and history[name].notna().any()
    ]
    lines = [_lines(ax, parts, name, "-", colour(i), "o") for i, name in enumerate(LOSSES) if name in history]
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if metrics:
        lines += _draw_metrics(ax, parts, metrics)
    if _frozen_until(parts[0]):
        lines.append(ax.axvspan(0.5, _frozen_until(parts[0]) + 0.5, color="0.9", zorder=0, label="body frozen"))
    ax.set_xlim(0.5, max(map(len, parts)) + 0.5)
    several = f"\nthick: mean of {len(parts)} trainings; thin: each of them" if len(parts) > 1 else ""
    ax.set_title(f"learning curves{several}", fontsize="medium")
    legend(ax, lines, [line.get_label() for line in lines], loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)


def draw_rates(ax: Axes, rates: list[np.ndarray], unit: str) -> None:
    """Learning rates over the epochs or iterations (`unit`) of each training."""
    for one in rates:
        ax.plot(np.arange(1, len(one) + 1), one, color=colour(0), alpha=1 if len(rates) == 1 else 0.5)
    several = f" of {len(rates)} trainings" if len(rates) > 1 else ""
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel=unit, ylabel="learning rate (no unit)")
    ax.set_title(f"learning rate of the head{several}", fontsize="medium")


# ---------------------------------------------------------------------- calibration


def draw_calibration(ax: Axes, curve: pd.DataFrame, what: str = "clips") -> None:
    """A reliability diagram: observed accuracy over predicted probability with 95 % intervals, and the diagonal.

    Grey bars, on the right axis, show the share of `what` in each bin.
    """
    known = curve[curve["n"] > 0]
    counts = ax.twinx()
    middle, width, share = (
        (curve["low"] + curve["high"]) / 2,
        curve["high"] - curve["low"],
        curve["n"] / curve["n"].sum(),
    )
    counts.bar(middle, share, width, color="0.88", edgecolor="white", linewidth=1)
    counts.set(ylim=(0, 1), ylabel=f"share of {what} (grey bars)")
    counts.set_zorder(0)
    ax.set_zorder(1)
    ax.patch.set_visible(False)  # the bars lie behind
    diagonal = ax.plot([0, 1], [0, 1], "--", color="0.35", linewidth=1)[0]
    x, y = known["confidence"], known["accuracy"]
    gaps = ax.vlines(x, x, y, color=BAD, linewidth=5, alpha=0.4, zorder=2)
    reach = np.clip([y - known["accuracy_low"], known["accuracy_high"] - y], 0, None)
    style = {"color": GOOD, "markersize": 6, "capsize": 2.5, "elinewidth": 1}
    dots = ax.errorbar(x, y, reach, fmt="o", zorder=3, clip_on=False, **style)
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability, mean of the bin", ylabel="share correct (dots)")
    names = ["share correct, 95 % interval", "gap", "perfect calibration"]
    legend(ax, [dots, gaps, diagonal], names, ncols=3, handletextpad=0.4, columnspacing=1.2, **BELOW)
