"""Float pictures become 8-bit levels, colours, and pictures of the network's size, as Pillow makes them.

    x = resize(x, 64, 64, "bilinear")                                # (batch, channels, h, w), antialiased
    levels = to_levels(x, [(-80.0, 0.0)])                            # whole numbers 0 to 255
    levels = resize_levels(levels, 64, 64)                           # as Image.resize of mode L

Resizing is torch's own, which agrees with Pillow's to a rounding of floats for the filters in `FILTERS`. Of levels, which Pillow rounds after
each of its two passes in an order that depends on its version, a few are one off.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

FILTERS = {
    "nearest": dict(mode="nearest-exact"),
    "bilinear": dict(mode="bilinear", antialias=True),
    "bicubic": dict(mode="bicubic", antialias=True),
}


def resize(x: Tensor, height: int | None, width: int | None, resample: str) -> Tensor:
    """float32 `(batch, channels, h, w)` -> `(batch, channels, height, width)`; None leaves a side as it is."""
    size = (x.shape[2] if height is None else height, x.shape[3] if width is None else width)
    return x if height is None and width is None else F.interpolate(x, size, **FILTERS[resample])


def _rounded(x: Tensor) -> Tensor:
    return (x + 0.5).floor()


def resize_levels(levels: Tensor, height: int, width: int) -> Tensor:
    """Levels, float32 `(batch, channels, h, w)`, -> `(batch, channels, height, width)`: along the rows, then along the columns."""
    along_rows = _rounded(resize(levels, None, width, "bilinear"))
    return _rounded(resize(along_rows, height, None, "bilinear"))


# ---------------------------------------------------------------------- levels


def own_range(x: Tensor) -> tuple[Tensor, Tensor]:
    """Each picture's lowest and highest value, double `(batch, 1, 1)` each, of one channel float32 `(batch, bins, frames)`."""
    return x.amin((1, 2), keepdim=True).double(), x.amax((1, 2), keepdim=True).double()


def plane_levels(plane: Tensor, low, high) -> Tensor:
    """`specimg.spectrogram.picture.quantize` of one channel float32 `(batch, height, width)`, in single precision as there.

    low, high : values drawn black and white: numbers, or `(batch, 1, 1)`, one a picture, where equal ones are all black
    """
    if isinstance(low, Tensor):
        span = high - low
        scale = torch.where(
            span > 0, 255.0 / torch.where(span > 0, span, torch.ones_like(span)), torch.zeros_like(span)
        ).float()
        shifted, half = plane - low.float(), torch.where(span > 0, 0.5, 0.0).float()
        return (shifted * scale + half).clamp(0.0, 255.0).floor()
    scaled = (plane - float(np.float32(low))) * float(np.float32(255.0 / (high - low)))
    return (scaled + 0.5).clamp(0.0, 255.0).floor()


def to_levels(x: Tensor, ranges) -> Tensor:
    """Float pictures `(batch, channels, height, width)` -> levels; `ranges` has (black, white) for each channel."""
    return torch.stack([plane_levels(x[:, i], low, high) for i, (low, high) in enumerate(ranges)], 1)


def to_colours(levels: Tensor, palette: Tensor) -> Tensor:
    """Levels `(batch, 1, height, width)` -> `(batch, 3, height, width)` by a palette, `(256, 3)`."""
    return palette[levels[:, 0].long()].permute(0, 3, 1, 2)


def cut_columns(levels: Tensor, first, columns: int, blank: Tensor) -> Tensor:
    """`columns` columns of `(batch, channels, height, width)` from `first` on; beyond the right end there is `blank`, `(channels, 1, 1)`.

    first : a whole number, or a tensor of one
    """
    width = levels.shape[3]
    at = torch.arange(columns, device=levels.device) + first
    return torch.where(at < width, levels.index_select(3, at.clamp(max=width - 1)), blank)
