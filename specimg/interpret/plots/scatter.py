"""Scatter plots of clips in the plane, similar ones close together, with names, hulls and thumbnails of the classes.

The points are a table with the columns x, y, class, right, picture, as `SpecInterpretation.tsne` returns it.

>>> from specimg.interpret.plots import scatter, style
>>> ax, points = style.axes(None, 7, 6), interp.tsne("probabilities")
>>> scatter.draw_points(ax, points, ["cat", "dog"])
>>> scatter.name_centres(ax, scatter.class_centres(points, ["cat", "dog"]))
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Polygon
from scipy.spatial import ConvexHull

from ...spectrogram.picture import open_image
from .style import colour, inches, legend, marker, settle, short

MAX_THUMBNAILS = 120


def map_side(n_classes: int) -> float:
    """Side of a map with this many class names, in inches."""
    return next(side for most, side in [(15, 7), (60, 10), (150, 16), (math.inf, 22)] if n_classes <= most)


def draw_points(ax: Axes, points: pd.DataFrame, classes: list[str]) -> None:
    """A marker per clip in its class's colour and shape; misclassified ones have a black edge."""
    wrong = points["right"].eq(False).fillna(False).to_numpy(bool)
    size = float(np.clip(4000 / len(points), 16 if len(points) < 2000 else 9, 45))  # points squared
    for i, label in enumerate(classes):
        style = {"s": size, "color": colour(i), "marker": marker(i)}
        here = (points["class"] == label).to_numpy()
        right = points[here & ~wrong]
        ax.scatter(right["x"], right["y"], **style, edgecolors="white", linewidths=0.3, zorder=3, label=label)
        missed = points[here & wrong]
        ax.scatter(missed["x"], missed["y"], **style, edgecolors="black", linewidths=size**0.5 / 5, zorder=4)


# ---------------------------------------------------------------------- classes


def class_centres(points: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The median of each class (x, y), the median distance of its clips from there (radius), and its colour."""
    places = points.groupby("class")[["x", "y"]].median()
    away = np.linalg.norm(points[["x", "y"]].to_numpy() - places.loc[points["class"]].to_numpy(), axis=1)
    places = places.assign(radius=pd.Series(away).groupby(points["class"].to_numpy()).median()).loc[classes]
    return places.assign(colour=[colour(i) for i in range(len(classes))])


def hull(xy: np.ndarray, share: float = 1.0) -> np.ndarray:
    """(corners, 2): the convex hull of points (n, 2), or of the `share` of them nearest their median; of points on a line its two ends."""
    away = np.linalg.norm(xy - np.median(xy, axis=0), axis=1)
    xy = xy[np.argsort(away, kind="stable")[: max(1, math.ceil(share * len(xy)))]]
    offsets = xy - xy.mean(axis=0)
    if np.linalg.matrix_rank(offsets) == 2:
        return xy[ConvexHull(xy).vertices]
    along = offsets @ np.linalg.svd(offsets, full_matrices=False)[2][0]  # all points coincide, or lie on a line
    return xy[[along.argmin(), along.argmax()]]


def draw_hulls(ax: Axes, points: pd.DataFrame, classes: list[str], share: float = 1.0) -> None:
    """The convex hull of each class in its colour, of all its clips or of the `share` of them nearest its median."""
    fill, edge = (0.13, 0.8) if len(classes) <= 60 else (0.02, 0.45)  # hundreds overlap
    for i, label in enumerate(classes):
        corners = hull(points.loc[(points["class"] == label).to_numpy(), ["x", "y"]].to_numpy(float), share)
        ax.add_patch(Polygon(corners, facecolor=colour(i), alpha=fill, zorder=1, linewidth=0))
        ax.add_patch(Polygon(corners, fill=False, edgecolor=colour(i), alpha=edge, zorder=2, linewidth=1.2))


def _spread(centres: np.ndarray, sizes: np.ndarray, low, high, rounds: int = 300) -> np.ndarray:
    """Centres (k, 2) of boxes of `sizes` (k, 2), pushed apart between the corners `low` and `high` until none overlap.

    Where there is no room for all, some still overlap after `rounds`.
    """
    centres = centres + np.linspace(0, 1e-3, len(centres))[:, None]  # no two coincide
    need = (sizes[:, None] + sizes[None]) / 2
    others = ~np.eye(len(centres), dtype=bool)
    for _ in range(rounds):
        centres = np.clip(centres, low + sizes / 2, np.maximum(high - sizes / 2, low + sizes / 2))
        apart = centres[:, None] - centres[None]
        overlap = need - np.abs(apart)
        touching = (overlap > 0).all(axis=2) & others
        if not touching.any():
            break
        along_x = overlap[..., 0] < overlap[..., 1]  # push along the shorter way out
        push = np.where(np.stack([along_x, ~along_x], axis=2), np.sign(apart) * (overlap + 0.5) / 2, 0)
        centres = centres + np.where(touching[..., None], push, 0).sum(axis=1) * 0.7
    return centres


def mark_centres(ax: Axes, places: pd.DataFrame, size: float = 6) -> None:
    """A cross at the median of each class."""
    ax.plot(places["x"], places["y"], "P", markersize=size, color="black", markeredgecolor="white", zorder=6)


def name_centres(ax: Axes, places: pd.DataFrame) -> None:
    """A cross at each of `places` (x, y, radius in data units; colour) and its name above it, moved until none overlap."""
    size = 9 if len(places) <= 15 else 7 if len(places) <= 60 else 5
    style = {"fontsize": size, "ha": "center", "va": "center", "zorder": 7, "parse_math": False}
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "linewidth": size / 8}
    texts = [
        ax.text(0, 0, short(label, 24), **style, bbox=box | {"edgecolor": shade})
        for label, shade in places["colour"].items()
    ]
    settle(ax)
    point = ax.figure.dpi / 72  # in pixels
    sizes = np.array([text.get_window_extent().size for text in texts]) + 0.5 * size * point
    centres = places[["x", "y"]].to_numpy()
    at, rim = ax.transData.transform(centres), ax.transData.transform(centres + places[["radius"]].to_numpy() * [0, 1])
    lifted = at + np.minimum(rim - at, 30 * point) + sizes * [0, 0.6]
    frame = ax.get_window_extent()
    free = ax.transData.inverted().transform(_spread(lifted, sizes, frame.min, frame.max))
    mark_centres(ax, places, size * 0.7)
    for text, start, end in zip(texts, centres, free):
        text.set_position(end)
        ax.plot(*zip(start, end), color="0.3", linewidth=0.6, zorder=5)


def legend_size(labels: list[str], height: float) -> tuple[float, int]:
    """(width in inches, columns) of a legend beside a map of this height in inches."""
    columns = math.ceil(len(labels) / max(1, int(height / 0.2)))
    return columns * (0.7 + 0.07 * min(24, max(map(len, labels)))), columns


def class_legend(ax: Axes) -> None:
    """Colours and markers of the classes, beside the axes."""
    handles, labels = ax.get_legend_handles_labels()
    names, (_, columns) = [short(label, 24) for label in labels], legend_size(labels, inches(ax)[1])
    beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
    legend(ax, handles, names, ncols=columns, fontsize="small", markerscale=1.5, **beside)


# ---------------------------------------------------------------------- pictures


def draw_thumbnails(ax: Axes, points: pd.DataFrame, classes: list[str], most: int) -> None:
    """Thumbnails of at most `most` clips where they do not overlap, framed in the colour of their class; the classes take turns."""
    settle(ax)
    points = points.iloc[np.argsort(points.groupby("class").cumcount().to_numpy(), kind="stable")]
    side, shades = 34, {label: colour(i) for i, label in enumerate(classes)}  # points
    places = ax.transData.transform(points[["x", "y"]].to_numpy(float)) * 72 / ax.figure.dpi
    taken = np.empty((0, 2))
    for path, x, y, label, at in zip(points["picture"], points["x"], points["y"], points["class"], places):
        if len(taken) >= most:
            break
        if (np.abs(taken - at).max(axis=1) < side * 1.1).any():
            continue
        try:
            pixels = np.asarray(open_image(path).convert("RGB").resize((side * 2, side * 2)))
        except (OSError, ValueError):
            continue
        taken = np.vstack([taken, at])
        frame = {"edgecolor": shades[label], "facecolor": shades[label], "linewidth": 1.5}
        box = AnnotationBbox(OffsetImage(pixels, zoom=0.5), (x, y), pad=0.1, zorder=4.5, bboxprops=frame)
        ax.add_artist(box).set_in_layout(False)
