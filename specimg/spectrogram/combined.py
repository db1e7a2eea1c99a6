"""Representations made of others: `Delta`, the change in time; `Scaled`, brought to one scale; `Stack`, several as channels.

mel = Mel(n_mels=64)
Stack(mel, Delta(mel), Delta(mel, order=2))         # the classic three channels
Scaled(mel, by="row")                               # each row of each picture from 0 to 1
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ..core.values import choose, register
from .base import Range, Representation

MAX_CHANNELS = 4  # a picture holds no more


@dataclass(frozen=True)
class _Derived(Representation):
    """Another representation with other numbers in the same cells. The field `spec` is that of its subclasses."""

    @abstractmethod
    def _transform(self, x: np.ndarray) -> np.ndarray:
        """`spec`'s picture `(channels, bins, frames)` -> one of the same shape, float32."""

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        return self._transform(self.spec(y, sr))

    @property
    def channels(self) -> int:
        return self.spec.channels

    @property
    def libraries(self) -> frozenset[str]:
        return self.spec.libraries

    def hop_seconds(self, sr: int) -> float:
        return self.spec.hop_seconds(sr)

    def first_column(self, sr: int) -> float:
        return self.spec.first_column(sr)

    def frequencies(self, sr: int) -> np.ndarray | None:
        return self.spec.frequencies(sr)


# ---------------------------------------------------------------------- change in time


@functools.lru_cache(maxsize=16)
def _slope_filter(width: int, order: int) -> np.ndarray:
    """Savitzky-Golay: the `order`-th derivative of the polynomial of that degree fitted to `width` frames, float64 `(width,)`."""
    x = np.arange(width) - width // 2
    return math.factorial(order) * np.linalg.pinv(np.vander(x, order + 1, increasing=True))[order]


@register
@dataclass(frozen=True)
class Delta(_Derived):
    """Local derivative in time of another representation: `librosa.feature.delta(data, width=9, order=1)`.

    Same shape as `spec`; in its unit per frame (to the power of `order`). Drawn from the steepest fall that the range of `spec` allows
    to the steepest rise, so that no change is mid-grey in every picture. A clip of fewer frames than `width` is a ValueError.

    Parameters
    ----------
    spec : Representation
        What is derived.
    order : int, default 1
        1 for the slope, 2 for the curvature.
    width : int, default 9
        Frames over which a polynomial is fitted; odd, 3 or more.

    References
    ----------
    Savitzky & Golay, Smoothing and differentiation of data by simplified least squares procedures, 1964.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Delta(sp.Mel(n_mels=32, n_fft=512, hop_length=128))(y, sr).shape
    (1, 32, 32)
    """

    spec: Representation
    order: int = 1
    width: int = 9

    def _check(self):
        self._need(self.width >= 3 and self.width % 2, "give an odd number of frames, 3 or more", "width")
        self._need(1 <= self.order < self.width, f"give 1 to width - 1 = {self.width - 1}", "order")

    def _transform(self, x: np.ndarray) -> np.ndarray:
        if x.shape[-1] < self.width:
            raise ValueError(
                f"a clip of {x.shape[-1]} frames is shorter than Delta's width of {self.width}; use a smaller width or "
                f"hop_length, or Audio(duration=...)"
            )
        windows = np.lib.stride_tricks.sliding_window_view(x, self.width, axis=-1)
        slopes = windows @ _slope_filter(self.width, self.order)
        # the polynomial of the first and last window holds on to the ends, and so does its derivative
        edge = self.width // 2
        return np.pad(slopes, ((0, 0), (0, 0), (edge, edge)), mode="edge").astype(np.float32)

    @property
    def unit(self) -> str:
        return f"{self.spec.unit}/frame" + ("²" if self.order == 2 else f"^{self.order}" if self.order > 2 else "")

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        gain = float(np.abs(_slope_filter(self.width, self.order)).sum()) / 2
        steepest = [None if r is None else gain * (r[1] - r[0]) for r in self.spec.ranges]
        return tuple(None if s is None else (-s, s) for s in steepest)

    @property
    def slug(self) -> str:
        return f"{self.spec.slug}-delta{self.order if self.order > 1 else ''}"


# ---------------------------------------------------------------------- one scale

UNIT_OF = {
    "minmax": "share of the range",
    "standard": "standard deviations",
    "max": "share of the largest",
    "l1": "share of the sum",
}
AXES = {"row": -1, "picture": (-2, -1)}


def scaled(x: np.ndarray, axes: int | tuple[int, ...], how: str) -> np.ndarray:
    """`x` with everything along `axes` brought to one scale, float64; 0 if there is nothing to divide by."""
    x = x.astype(np.float64)
    over = dict(axis=axes, keepdims=True)
    if how == "minmax":
        part, size = x - x.min(**over), np.ptp(x, **over)
    elif how == "standard":
        # the deviation is exactly 0 for equal numbers, whose float32 sum is exact in double precision
        part, size = x - x.mean(**over), x.std(**over)
    else:
        part, size = x, np.abs(x).max(**over) if how == "max" else np.abs(x).sum(**over)
    return np.divide(part, size, out=np.zeros_like(part), where=size > 0)


@register
@dataclass(frozen=True)
class Scaled(_Derived):
    """Another representation with every row, or every channel as a whole, brought to one scale by its own numbers.

    float32 of the shape of `spec`. A row (or channel) of one number everywhere becomes 0 with "minmax" and "standard". By row, a clip
    loses the balance between its frequencies; with either, its loudness relative to other clips.

    Parameters
    ----------
    spec : Representation
        What is scaled.
    by : str, default "row"
        "row", or "picture": each channel as a whole.
    how : str, default "minmax"
        "minmax": lowest 0, highest 1, as scikit-learn's MinMaxScaler; drawn from 0 to 1.
        "standard": mean 0, standard deviation 1, as its StandardScaler; drawn from -3 to 3.
        "max": divided by the largest magnitude, as its `normalize(norm="max")`; drawn from -1 to 1, or the half of it that `spec` has.
        "l1": divided by the sum of magnitudes, as `norm="l1"`; drawn from each picture's own lowest to its own highest.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> x = sp.Scaled(sp.Mel(n_mels=32, n_fft=512))(y, sr)
    >>> float(x.min()), float(x.max())
    (0.0, 1.0)
    """

    spec: Representation
    by: str = "row"
    how: str = "minmax"

    def _check(self):
        choose(self.by, AXES, "by")
        choose(self.how, UNIT_OF, "how")

    def _transform(self, x: np.ndarray) -> np.ndarray:
        return scaled(x, AXES[self.by], self.how).astype(np.float32)

    @property
    def unit(self) -> str:
        return UNIT_OF[self.how]

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        if self.how == "max":
            return tuple(
                (-1.0, 1.0) if r is None else (-1.0 if r[0] < 0 else 0.0, 1.0 if r[1] > 0 else 0.0)
                for r in self.spec.ranges
            )
        return ({"minmax": (0.0, 1.0), "standard": (-3.0, 3.0), "l1": None}[self.how],) * self.channels

    @property
    def slug(self) -> str:
        return f"{self.spec.slug}-{self.how}-{self.by}"


# ---------------------------------------------------------------------- several at once


def _draw(spec: Representation, y: np.ndarray, sr: int, known: dict[Representation, np.ndarray]) -> np.ndarray:
    """`spec(y, sr)`; `known` keeps what the parts of a stack have in common, so that a picture and its deltas need it once."""
    if spec not in known:
        known[spec] = spec._transform(_draw(spec.spec, y, sr, known)) if isinstance(spec, _Derived) else spec(y, sr)
    return known[spec]


def _to_bins(x: np.ndarray, bins: int) -> np.ndarray:
    """Rows `(old, frames)` -> `(bins, frames)`, linear between the old rows, first on first and last on last."""
    if len(x) == bins:
        return x
    at = np.linspace(0, len(x) - 1, bins)
    low = np.minimum(at.astype(int), max(0, len(x) - 2))
    share = (at - low)[:, None]
    return x[low] * (1 - share) + x[np.minimum(low + 1, len(x) - 1)] * share


@register
@dataclass(frozen=True, repr=False, init=False)
class Stack(Representation):
    """Up to four single-channel representations as the channels of one picture, on one time grid.

    float32 `(n, bins, frames)`: `bins` of the tallest, the others stretched to it; `frames` of the shortest (clips without centred
    frames have fewer). Parts of different hop_length, or whose first frames are centred on different samples, are a ValueError:
    columns would not be the same instant.

    Parameters
    ----------
    *representations : Representation
        One a channel, in order.
    parts : tuple of Representation
        The same as one value.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> mel = sp.Mel(n_mels=32, n_fft=512, hop_length=128)
    >>> stack = sp.Stack(mel, sp.Delta(mel), sp.Delta(mel, order=2))
    >>> stack(y, sr).shape, sp.Renderer(stack)("dog.wav").mode
    ((3, 32, 32), 'RGB')
    """

    parts: tuple[Representation, ...]

    def __init__(self, *representations: Representation, parts: tuple[Representation, ...] = ()):
        if representations and parts:
            raise ValueError("Stack: give the representations one after the other, or as parts=, not both")
        object.__setattr__(self, "parts", (*representations, *parts) if isinstance(parts, (tuple, list)) else parts)
        self.__post_init__()

    def __repr__(self) -> str:
        return f"Stack({', '.join(map(repr, self.parts))})"

    def _check(self):
        if not 1 <= len(self.parts) <= MAX_CHANNELS:
            raise ValueError(f"Stack of {len(self.parts)}: give 1 to {MAX_CHANNELS} representations")
        for part in self.parts:
            if part.channels != 1:
                raise ValueError(
                    f"Stack: {part.kind} has {part.channels} channels itself; stack single-channel representations"
                )
        hops = [part.hop_seconds(1) for part in self.parts]
        if len(set(hops)) > 1:
            raise ValueError(
                f"Stack: the parts step {', '.join(f'{hop:g}' for hop in hops)} samples from frame to frame; "
                f"give all the same hop_length"
            )
        if len({part.first_column(1) for part in self.parts}) > 1:
            raise ValueError(
                "Stack: the parts' first frames are centred on different samples; "
                "give all center=True, or all the same n_fft"
            )

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        known = {}
        planes = [_draw(part, y, sr, known)[0] for part in self.parts]
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
        # those of the parts where they all agree
        rows = [part.frequencies(sr) for part in self.parts]
        same = all(r is not None and np.array_equal(r, rows[0]) for r in rows)
        return rows[0] if same else None

    @property
    def libraries(self) -> frozenset[str]:
        return frozenset().union(*(part.libraries for part in self.parts))

    @property
    def slug(self) -> str:
        return "+".join(part.slug for part in self.parts)
