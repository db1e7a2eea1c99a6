"""Float pictures become 8-bit levels, colours, and pictures of the network's size: the very pixels that Pillow makes.

    levels = to_levels(x, [(-80.0, 0.0)])                            # (batch, channels, bins, frames), whole numbers 0 to 255
    levels = resize_levels(levels, 64, 64)                           # as Image.resize of mode L, antialiased

Pillow resizes by weighted sums along the rows and along the columns, and weights depend on the two sizes alone: two matrix products.
Which comes first shows in the rounding, and has changed: the graph does what the Pillow does that is installed. For floats (mode F) it
adds up in double precision and rounds to single after each of the two. For 8 bits it rounds the weights to multiples of 2^-22, adds up
in whole numbers, and rounds to a level after each; in double precision such sums are exact, so the levels are the same. Sizes may be
symbols: then the weights are made in the graph.
"""

from __future__ import annotations

import math

import numpy as np
import PIL
import torch
from torch import Tensor

__all__ = [
    "LEVEL_STEPS",
    "cut_columns",
    "resample_weights",
    "resize_floats",
    "resize_levels",
    "to_colours",
    "to_levels",
]

LEVEL_STEPS = 2.0**22  # Pillow's PRECISION_BITS: weights of 8-bit pixels are multiples of 1 / this
COLUMNS_FIRST = (
    int(PIL.__version__.split(".")[0]) >= 13
)  # where the height shrinks by more than twice what the width does; before: never


# ---------------------------------------------------------------------- Pillow's filters


def _box(x: Tensor) -> Tensor:
    return ((x > -0.5) & (x <= 0.5)).double()


def _bilinear(x: Tensor) -> Tensor:
    return (1.0 - x.abs()).clamp(min=0.0)


def _bicubic(x: Tensor) -> Tensor:
    a, x = -0.5, x.abs()
    near = ((a + 2.0) * x - (a + 3.0)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return torch.where(x < 1.0, near, torch.where(x < 2.0, far, torch.zeros_like(x)))


def _sinc(x: Tensor) -> Tensor:
    x = x * math.pi
    return torch.where(x == 0.0, torch.ones_like(x), x.sin() / torch.where(x == 0.0, torch.ones_like(x), x))


def _lanczos(x: Tensor) -> Tensor:
    return torch.where((x >= -3.0) & (x < 3.0), _sinc(x) * _sinc(x / 3), torch.zeros_like(x))


FILTERS = {"box": _box, "bilinear": _bilinear, "bicubic": _bicubic, "lanczos": _lanczos}


def resample_weights(n_in: int, n_out: int, resample: str) -> Tensor:
    """Weights `(n_out, n_in)` of Pillow's filter, double; each row adds up to 1.

    Pixels are squares: out of `n_in`, pixel k covers k to k + 1. The filter is as wide as an output pixel where that is larger than
    an input pixel, which is what antialiasing means.
    """
    at_in, at_out = torch.arange(n_in, dtype=torch.float64), torch.arange(n_out, dtype=torch.float64).unsqueeze(1)
    scale = torch.full((1,), n_in, dtype=torch.float64) / n_out
    if resample == "nearest":
        edges = torch.cat([scale * 0.5, scale.expand(n_out - 1)]).cumsum(0)  # added up one by one, as Pillow does it
        return (edges.floor().unsqueeze(1) == at_in).double()
    weights = FILTERS[resample]((at_in - (at_out + 0.5) * scale + 0.5) * (1.0 / scale.clamp(min=1.0)))
    return weights / weights.sum(1, keepdim=True)


def _same(n_in: int, n_out: int) -> bool:
    """Is a size known, and as it should be? Weights from one size to the same keep every pixel, so a symbol may go through them."""
    return isinstance(n_in, int) and n_in == n_out


def _in_pillows_order(x: Tensor, height: int, width: int, along_rows, along_columns) -> Tensor:
    """Both passes, each a function `(x, size)`: along the rows first or, from Pillow 13 on where that saves work, along the columns."""
    h, w = x.shape[2:]
    if not COLUMNS_FIRST or _same(h, height) or _same(w, width) or h <= height:
        return along_columns(along_rows(x, width), height)
    if isinstance(w, int):
        columns_first = h - height > 2 * (w - width)
        return (
            along_rows(along_columns(x, height), width)
            if columns_first
            else along_columns(along_rows(x, width), height)
        )
    few = 2 * (torch.full((1,), w) - width) < h - height  # is known when the graph runs, so both are in it
    return torch.where(few, along_rows(along_columns(x, height), width), along_columns(along_rows(x, width), height))


def resize_floats(x: Tensor, height: int | None, width: int | None, resample: str) -> Tensor:
    """float32 `(batch, channels, h, w)` -> `(batch, channels, height, width)`, as Pillow resizes mode F; None leaves a side as it is."""

    def along_rows(x: Tensor, width: int | None) -> Tensor:
        keep = width is None or _same(x.shape[3], width)
        return x if keep else (x.double() @ resample_weights(x.shape[3], width, resample).T).float()

    def along_columns(x: Tensor, height: int | None) -> Tensor:
        keep = height is None or _same(x.shape[2], height)
        return x if keep else (resample_weights(x.shape[2], height, resample) @ x.double()).float()

    if height is None or width is None:
        return along_columns(along_rows(x, width), height)
    return _in_pillows_order(x, height, width, along_rows, along_columns)


def _level_weights(n_in: int, n_out: int) -> Tensor:
    """Bilinear weights as Pillow has them for 8 bits: whole numbers, in units of 2^-22."""
    return (resample_weights(n_in, n_out, "bilinear") * LEVEL_STEPS + 0.5).floor()


def _rounded(sums: Tensor) -> Tensor:
    return ((sums + LEVEL_STEPS / 2) / LEVEL_STEPS).floor().clamp(0.0, 255.0)


def resize_levels(levels: Tensor, height: int, width: int) -> Tensor:
    """Levels, double `(batch, channels, h, w)`, -> `(batch, channels, height, width)`, as Pillow's bilinear filter of mode L."""

    def along_rows(x: Tensor, width: int) -> Tensor:
        return x if _same(x.shape[3], width) else _rounded(x @ _level_weights(x.shape[3], width).T)

    def along_columns(x: Tensor, height: int) -> Tensor:
        return x if _same(x.shape[2], height) else _rounded(_level_weights(x.shape[2], height) @ x)

    return _in_pillows_order(levels, height, width, along_rows, along_columns)


# ---------------------------------------------------------------------- levels


def own_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Each picture's lowest and highest value, double `(batch, 1, 1)` each, of one channel float32 `(batch, bins, frames)`."""
    return x.amin((1, 2), keepdim=True).double(), x.amax((1, 2), keepdim=True).double()


def plane_levels(plane: Tensor, low, high) -> Tensor:
    """`specimg.spectrogram.picture.to_levels` of one channel float32 `(batch, height, width)`, in single precision as there; double.

    low, high : values drawn black and white: numbers, or `(batch, 1, 1)`, one a picture, where equal ones are all black
    """
    if isinstance(low, Tensor):
        span = high - low
        scale = torch.where(
            span > 0, 255.0 / torch.where(span > 0, span, torch.ones_like(span)), torch.zeros_like(span)
        ).float()
        shifted, half = plane - low.float(), torch.where(span > 0, 0.5, 0.0).float()
        return (shifted * scale + half).clamp(0.0, 255.0).floor().double()
    scaled = (plane - float(np.float32(low))) * float(np.float32(255.0 / (high - low)))
    return (scaled + 0.5).clamp(0.0, 255.0).floor().double()


def to_levels(x: Tensor, ranges) -> Tensor:
    """Float pictures `(batch, channels, height, width)` -> levels, double; `ranges` has (black, white) for each channel."""
    return torch.stack([plane_levels(x[:, i], low, high) for i, (low, high) in enumerate(ranges)], 1)


def to_colours(levels: Tensor, palette: Tensor) -> Tensor:
    """Levels `(batch, 1, height, width)` -> `(batch, 3, height, width)` by a palette, double `(256, 3)`."""
    return palette[levels[:, 0].long()].permute(0, 3, 1, 2)


def cut_columns(levels: Tensor, first, columns: int, blank: Tensor) -> Tensor:
    """`columns` columns of `(batch, channels, height, width)` from `first` on; beyond the right end there is `blank`, `(channels, 1, 1)`.

    first : a whole number, or a tensor of one
    """
    width = levels.shape[3]
    at = torch.arange(columns) + first
    return torch.where(at < width, levels.index_select(3, at.clamp(max=width - 1)), blank)
