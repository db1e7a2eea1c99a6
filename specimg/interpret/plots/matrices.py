"""A confusion matrix: numbers in its cells while they are legible, else a colour scale.

>>> from specimg.interpret.plots import matrices, style
>>> matrices.draw_matrix(style.axes(None, 4, 4), interp.confusion_matrix(order="clusters"), normalize=False)
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from .style import inches, short, text_that_fits

# 0 clips are white, and 1 is visible among hundreds of classes; the row of a class without clips, NaN when normalised, is grey
_BLUES = LinearSegmentedColormap.from_list("blues", colormaps["Blues"](np.linspace(0.25, 1, 256))).with_extremes(
    under="white", bad="0.93"
)


def matrix_size(labels: list[str]) -> tuple[float, float]:
    """(width, height) in inches of a figure for a matrix of these labels."""
    n = len(labels)
    side = min(24.0, n * (0.6 if n <= 12 else 0.3 if n <= 60 else 0.12))
    margin = 0.9 + 0.09 * min(30, max(map(len, labels)))
    return max(4.0, side + margin), max(3.6, side + margin)


def _write_cells(ax: Axes, matrix: np.ndarray, cell: float, decimals: int) -> None:
    """Numbers in the cells; zeros only if there are few classes."""
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
    image = ax.imshow(
        matrix, cmap=_BLUES, vmin=1e-9, vmax=1 if normalize else max(1, matrix.max()), interpolation="nearest"
    )
    cell = inches(ax).min() / n
    size, every = text_that_fits(cell)
    names = [short(label, 30) for label in table.index][::every]
    # letters are about 0.65 as wide as high
    rotation = 90 if max(map(len, names)) * 0.65 * size / 72 > cell * every else 0
    ax.set_xticks(range(0, n, every), names, rotation=rotation, fontsize=size, parse_math=False)
    ax.set_yticks(range(0, n, every), names, fontsize=size, parse_math=False)
    ax.set_xlabel("predicted")
    ax.set_ylabel("actual")
    if cell >= 0.2:
        _write_cells(ax, matrix, cell, 2 if normalize else 0)
    else:
        unit = "share of the actual class" if normalize else "clips"
        ax.figure.colorbar(image, cax=ax.inset_axes([1.02, 0.2, 0.02, 0.6]), label=unit)
