"""One thing drawn on given axes each: a confusion matrix, a cloud of points with names, the curves of a run.

These functions know matplotlib and plain tables, nothing of networks; `interpret` fills them. Colours and markers are told
apart by colour-blind readers, labels are text however much they look like markup, and sizes follow the number of classes.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator
from PIL import Image

from . import picture
from .figures import COLOURS, new_figure

_MARKERS = ["o", "s", "^", "D", "v", "P", "<", ">"]   # with 9 colours 72 different pairs
MAX_THUMBNAILS = 120


def short(text, width: int) -> str:
    """`text` on one line of at most `width` characters, cut in the middle: the ends of file names differ."""
    text = " ".join(str(text).split())
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head):]}"


def named(labels) -> str:
    """One label, or several joined."""
    return labels if isinstance(labels, str) else ", ".join(labels or []) or "none"


def first(labels) -> str:
    """The label, or the first of several; "none" where there is none."""
    return "none" if not labels else labels if isinstance(labels, str) else labels[0]


# Drawing one thing each


def axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def _colour(i: int) -> str:
    return COLOURS[i % len(COLOURS)]


def _legend(ax: Axes, handles: list, labels: list[str], **kwargs) -> None:
    """A legend without a frame that writes `$x$` as it stands, where matplotlib would set mathematics."""
    for text in ax.legend(handles, labels, frameon=False, **kwargs).get_texts():
        text.set_parse_math(False)


def _settle(ax: Axes) -> None:
    """Lay the figure out and keep the limits of its axes, so that pixels can be counted."""
    ax.figure.draw_without_rendering()
    ax.set_autoscale_on(False)


def _say(ax: Axes, text: str) -> None:
    """Empty axes that say why they are empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4")
    ax.set_xticks([])
    ax.set_yticks([])


def draw_clip(ax: Axes, path: str) -> None:
    """A clip's picture with seconds and hertz; in pixels where it does not say them; words where it cannot be read."""
    try:
        try:
            picture.show_picture(path, ax=ax, title="")
        except picture.PictureError:
            with Image.open(path) as image:
                ax.imshow(np.asarray(image.convert("RGB")), aspect="auto")
            ax.set_xlabel("pixels")
            ax.set_ylabel("pixels")
    except FileNotFoundError:
        _say(ax, "picture gone")
    except OSError:
        _say(ax, "picture cannot be read")


def _cell_inches(ax: Axes, n: int) -> float:
    """The side of one of n x n square cells on these axes."""
    box = ax.get_position()
    width, height = ax.figure.bbox.size / ax.figure.dpi
    return min(box.width * width, box.height * height) / n


def _write_cells(ax: Axes, matrix: np.ndarray, cell: float, decimals: int) -> None:
    """The numbers into the cells; zeros only where there are few classes."""
    half = np.nanmax(matrix, initial=0) / 2
    size = min(11.0, cell * 72 * (0.35 if decimals else 0.45))
    for row, column in zip(*np.nonzero(np.isfinite(matrix))):
        value = matrix[row, column]
        if value or len(matrix) <= 12:
            colour = "white" if value > half else "black" if value else "0.7"
            number = f"{value:.{decimals}f}" if value else "0"
            ax.text(column, row, number, ha="center", va="center", fontsize=size, color=colour)


def draw_matrix(ax: Axes, table: pd.DataFrame, normalize: bool) -> None:
    """A confusion matrix: actual classes down, predicted ones across."""
    n, matrix = len(table), table.to_numpy(float)
    blues = colormaps["Blues"].with_extremes(bad="0.93")   # a class without clips has no rates
    image = ax.imshow(matrix, cmap=blues, vmin=0, vmax=1 if normalize else None, interpolation="nearest")
    cell = _cell_inches(ax, n)
    size = min(10.0, max(4.0, cell * 72 * 0.75))
    every = max(1, math.ceil(size / 72 / cell))   # where names would touch, only each so many is written
    names = [short(label, 30) for label in table.index][::every]
    rotation = 90 if n > 4 or max(map(len, names)) > 8 else 0
    ax.set_xticks(range(0, n, every), names, rotation=rotation, fontsize=size, parse_math=False)
    ax.set_yticks(range(0, n, every), names, fontsize=size, parse_math=False)
    ax.set_xlabel("predicted")
    ax.set_ylabel("actual")
    if cell >= 0.2:
        _write_cells(ax, matrix, cell, 2 if normalize else 0)
    else:
        unit = "share of the actual class" if normalize else "clips"
        ax.figure.colorbar(image, cax=ax.inset_axes([1.02, 0.2, 0.02, 0.6]), label=unit)


def _spread(centres: np.ndarray, sizes: np.ndarray, low, high, rounds: int = 300) -> np.ndarray:
    """Centres (k, 2) of boxes of `sizes` (k, 2), pushed apart between the corners `low` and `high` until none overlap.

    Where there is no room for all, some still do after `rounds`.
    """
    centres = centres + np.linspace(0, 1e-3, len(centres))[:, None]   # no two in exactly one place
    need = (sizes[:, None] + sizes[None]) / 2
    others = ~np.eye(len(centres), dtype=bool)
    for _ in range(rounds):
        centres = np.clip(centres, low + sizes / 2, np.maximum(high - sizes / 2, low + sizes / 2))
        apart = centres[:, None] - centres[None]
        overlap = need - np.abs(apart)
        touching = (overlap > 0).all(axis=2) & others
        if not touching.any():
            break
        along_x = overlap[..., 0] < overlap[..., 1]   # push along the shorter way out
        push = np.where(np.stack([along_x, ~along_x], axis=2), np.sign(apart) * (overlap + 0.5) / 2, 0)
        centres = centres + np.where(touching[..., None], push, 0).sum(axis=1) * 0.7
    return centres


def scatter(ax: Axes, points: pd.DataFrame, classes: list[str]) -> None:
    """Every clip a marker in its class's colour and shape; wrong ones have a black edge."""
    wrong = points["right"].eq(False).fillna(False).to_numpy(bool)
    size = float(np.clip(4000 / len(points), 16, 45))   # points squared
    for i, label in enumerate(classes):
        look = {"s": size, "color": _colour(i), "marker": _MARKERS[i % len(_MARKERS)]}
        here = (points["class"] == label).to_numpy()
        right = points[here & ~wrong]
        ax.scatter(right["x"], right["y"], **look, edgecolors="white", linewidths=0.3, zorder=3, label=label)
        missed = points[here & wrong]
        ax.scatter(missed["x"], missed["y"], **look, edgecolors="black", linewidths=size**0.5 / 5, zorder=4)


def class_places(points: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The median place of each class (x, y), how far half of its clips stand from there (radius), and its colour."""
    places = points.groupby("class")[["x", "y"]].median()
    away = np.linalg.norm(points[["x", "y"]].to_numpy() - places.loc[points["class"]].to_numpy(), axis=1)
    places = places.assign(radius=pd.Series(away).groupby(points["class"].to_numpy()).median()).loc[classes]
    return places.assign(colour=[_colour(i) for i in range(len(classes))])


def name_places(ax: Axes, places: pd.DataFrame) -> None:
    """A cross at each of `places` (x, y, radius in data units; colour), its name above it, moved until none overlap."""
    size = 9 if len(places) <= 15 else 7 if len(places) <= 60 else 5
    style = {"fontsize": size, "ha": "center", "va": "center", "zorder": 7, "parse_math": False}
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "linewidth": size / 8}
    texts = [ax.text(0, 0, short(label, 24), **style, bbox=box | {"edgecolor": colour})
             for label, colour in places["colour"].items()]
    _settle(ax)
    point = ax.figure.dpi / 72           # in pixels
    sizes = np.array([text.get_window_extent().size for text in texts]) + 0.5 * size * point
    centres = places[["x", "y"]].to_numpy()
    at, rim = ax.transData.transform(centres), ax.transData.transform(centres + places[["radius"]].to_numpy() * [0, 1])
    lifted = at + np.minimum(rim - at, 30 * point) + sizes * [0, 0.6]
    frame = ax.get_window_extent()
    free = ax.transData.inverted().transform(_spread(lifted, sizes, frame.min, frame.max))
    ax.plot(*centres.T, "P", markersize=size * 0.7, color="black", markeredgecolor="white", zorder=6)
    for text, start, end in zip(texts, centres, free):
        text.set_position(end)
        ax.plot(*zip(start, end), color="0.3", linewidth=0.6, zorder=5)


def class_legend(ax: Axes) -> None:
    """Colours and markers of the classes, beside the axes."""
    handles, labels = ax.get_legend_handles_labels()
    _legend(ax, handles, [short(label, 24) for label in labels], loc="upper left", bbox_to_anchor=(1.01, 1),
            borderaxespad=0, ncols=math.ceil(len(labels) / 32), fontsize="small", markerscale=1.5)


def draw_thumbnails(ax: Axes, points: pd.DataFrame, most: int) -> None:
    """Small pictures at the places of clips, as many as stand free of one another."""
    _settle(ax)
    side, frame = 34, {"edgecolor": "0.5", "linewidth": 0.5}   # points
    taken = np.empty((0, 2))
    for path, x, y in zip(points["picture"], points["x"], points["y"]):
        at = ax.transData.transform((x, y)) * 72 / ax.figure.dpi
        if len(taken) >= most or (np.abs(taken - at).max(axis=1) < side * 1.1).any():
            continue
        try:
            with open(path, "rb") as file, Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB").resize((side * 2, side * 2)))
        except OSError:
            continue
        taken = np.vstack([taken, at])
        ax.add_artist(AnnotationBbox(OffsetImage(pixels, zoom=0.5), (x, y), pad=0.1, zorder=4.5, bboxprops=frame))


def _draw_metrics(ax: Axes, epochs: np.ndarray, values: pd.DataFrame) -> list:
    """Dashed lines on an axis of their own at the right."""
    right = ax.twinx()
    right.set_ylabel("metric (dashed)")
    if values.min().min() >= 0 and values.max().max() <= 1:
        right.set_ylim(-0.02, 1.02)
    return [right.plot(epochs, values[name], "--", color=_colour(i + 2), marker=_MARKERS[(i + 1) % len(_MARKERS)],
                       markersize=3, label=name)[0] for i, name in enumerate(values)]


def draw_history(ax: Axes, history: pd.DataFrame) -> None:
    """Losses on the left axis, metrics on the right; the epochs in which the body was frozen are shaded."""
    epochs = np.arange(1, len(history) + 1)
    losses = [name for name in ("train_loss", "valid_loss") if name in history]
    metrics = [name for name in history.select_dtypes("number") if name not in {*losses, "epoch", "lr", "seconds"}]
    lines = [ax.plot(epochs, history[name], "o-", color=_colour(i), markersize=3, label=name.replace("_", " "))[0]
             for i, name in enumerate(losses)]
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if metrics:
        lines += _draw_metrics(ax, epochs, history[metrics])
    frozen = history["phase"].eq("frozen").to_numpy() if "phase" in history else np.zeros(len(history), bool)
    if frozen.any():
        lines.append(ax.axvspan(0.5, epochs[frozen][-1] + 0.5, color="0.9", zorder=0, label="body frozen"))
    ax.set_xlim(0.5, len(history) + 0.5)
    _legend(ax, lines, [line.get_label() for line in lines], loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)
