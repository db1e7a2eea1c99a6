"""Representations made of others: `Delta`, the change in time, and `Stack`, several as the channels of one picture.

    mel = Mel(n_mels=64)
    Stack(mel, Delta(mel), Delta(mel, order=2))         # the classic three channels
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..values import register
from .base import Range, Representation

__all__ = ["Delta", "Stack"]

MAX_CHANNELS = 4   # a picture holds no more


@functools.lru_cache(maxsize=16)
def _slope_filter(width: int, order: int) -> np.ndarray:
    """Savitzky-Golay: the `order`-th derivative of the polynomial of that degree fitted to `width` frames, float64 `(width,)`."""
    x = np.arange(width) - width // 2
    return math.factorial(order) * np.linalg.pinv(np.vander(x, order + 1, increasing=True))[order]


@register
@dataclass(frozen=True)
class Delta(Representation):
    """Local derivative in time of another representation: `librosa.feature.delta(data, width=9, order=1)`.

    Same shape as `spec`'s; its unit a frame (to the power of `order`). Drawn from the steepest fall that `spec`'s range allows
    to the steepest rise, so that no change is mid-grey in every picture. A clip of fewer frames than `width` is a ValueError.
    """

    spec: Representation     # what is derived
    order: int = 1           # 1 the slope, 2 the curvature
    width: int = 9           # frames, odd, 3 or more: over which the slope is fitted

    def _check(self):
        if self.width < 3 or self.width % 2 == 0:
            raise ValueError(f"Delta(width={self.width}): give an odd number of frames, 3 or more")
        if not 1 <= self.order < self.width:
            raise ValueError(f"Delta(order={self.order}) has to lie between 1 and width - 1 = {self.width - 1}")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        x = self.spec(y, sr)
        if x.shape[-1] < self.width:
            raise ValueError(f"a clip of {x.shape[-1]} frames is shorter than Delta's width of {self.width}; use a smaller width or "
                             f"hop_length, or Audio(duration=...)")
        windows = np.lib.stride_tricks.sliding_window_view(x, self.width, axis=-1)
        slopes = windows @ _slope_filter(self.width, self.order)
        edge = self.width // 2   # the polynomial of the first and last window holds on to the ends, and so does its derivative
        return np.pad(slopes, ((0, 0), (0, 0), (edge, edge)), mode="edge").astype(np.float32)

    @property
    def channels(self) -> int:
        return self.spec.channels

    @property
    def unit(self) -> str:
        return f"{self.spec.unit}/frame" + ("²" if self.order == 2 else f"^{self.order}" if self.order > 2 else "")

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        gain = float(np.abs(_slope_filter(self.width, self.order)).sum()) / 2
        steepest = [None if r is None else gain * (r[1] - r[0]) for r in self.spec.ranges]
        return tuple(None if s is None else (-s, s) for s in steepest)

    def hop_seconds(self, sr: int) -> float:
        return self.spec.hop_seconds(sr)

    def first_column(self, sr: int) -> float:
        return self.spec.first_column(sr)

    def frequencies(self, sr: int) -> np.ndarray | None:
        return self.spec.frequencies(sr)

    @property
    def slug(self) -> str:
        return f"{self.spec.slug}-delta{self.order if self.order > 1 else ''}"


def _to_bins(x: np.ndarray, bins: int) -> np.ndarray:
    """Rows `(old, frames)` -> `(bins, frames)`, linear between the old rows, first on first and last on last."""
    if len(x) == bins:
        return x
    at = np.linspace(0, len(x) - 1, bins)
    low = np.minimum(at.astype(int), max(0, len(x) - 2))
    share = (at - low)[:, None]
    return x[low] * (1 - share) + x[np.minimum(low + 1, len(x) - 1)] * share


@register
@dataclass(frozen=True, init=False)
class Stack(Representation):
    """Up to four single-channel representations as the channels of one picture, on one time grid.

    float32 `(n, bins, frames)`: `bins` of the tallest, the others stretched to it; `frames` of the shortest (clips without
    centred frames have fewer). Parts of different hop_length, or whose first frames are centred on different samples, are a
    ValueError: columns would not be the same instant.
    """

    parts: tuple[Representation, ...]   # one a channel, in order

    def __init__(self, *representations: Representation, parts: tuple[Representation, ...] = ()):
        if representations and parts:
            raise ValueError("Stack: give the representations one after the other, or as parts=, not both")
        object.__setattr__(self, "parts", (*representations, *parts) if isinstance(parts, (tuple, list)) else parts)
        self.__post_init__()

    def _check(self):
        if not 1 <= len(self.parts) <= MAX_CHANNELS:
            raise ValueError(f"Stack of {len(self.parts)}: give 1 to {MAX_CHANNELS} representations")
        for part in self.parts:
            if part.channels != 1:
                raise ValueError(f"Stack: {part.kind} has {part.channels} channels itself; stack single-channel representations")
        hops = [part.hop_seconds(1) for part in self.parts]
        if len(set(hops)) > 1:
            raise ValueError(f"Stack: the parts step {', '.join(f'{hop:g}' for hop in hops)} samples from frame to frame; give all the same hop_length")
        if len({part.first_column(1) for part in self.parts}) > 1:
            raise ValueError("Stack: the parts' first frames are centred on different samples; give all center=True, or all the same n_fft")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        planes = [part(y, sr)[0] for part in self.parts]
        bins, frames = max(len(p) for p in planes), min(p.shape[1] for p in planes)
        return np.stack([_to_bins(p[:, :frames], bins) for p in planes]).astype(np.float32, copy=False)

    @property
    def channels(self) -> int:
        return len(self.parts)

    @property
    def unit(self) -> str:
        return ", ".join(part.unit for part in self.parts)

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return tuple(part.ranges[0] for part in self.parts)

    def hop_seconds(self, sr: int) -> float:
        return self.parts[0].hop_seconds(sr)

    def first_column(self, sr: int) -> float:
        return self.parts[0].first_column(sr)

    def frequencies(self, sr: int) -> np.ndarray | None:
        """Those of the parts where they all agree, else None."""
        rows = [part.frequencies(sr) for part in self.parts]
        same = all(r is not None and np.array_equal(r, rows[0]) for r in rows)
        return rows[0] if same else None

    @property
    def slug(self) -> str:
        return "+".join(part.slug for part in self.parts)
