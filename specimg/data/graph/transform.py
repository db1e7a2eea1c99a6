"""Frames and Fourier transforms as matrix products, and what turns their power into decibels.

    y = cut_or_pad(y, 16000, pad="repeat")                  # (batch, n) -> (batch, 16000), whatever n is
    frames = cut_frames(y, 512, 160, True, "constant")      # (batch, frames, 512)
    re, im = Fourier(512)(frames)                           # (batch, frames, 257) each

All of it is done in double precision: cells 80 dB below the loudest drown in the rounding of a single-precision transform, and
their pixels with them. Lengths stay symbols, so that one graph takes clips of any length: nothing here compares a length,
which would be decided once, when the graph is made. Padding is arithmetic on the positions of samples instead.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from ...spectrogram.spectrum import AMIN


def as_double(array: np.ndarray) -> Tensor:
    """A tensor in double precision with memory of its own."""
    return torch.from_numpy(np.array(array, np.float64))


# ---------------------------------------------------------------------- samples


def normalize(y: Tensor, how: str, rms_level: float) -> Tensor:
    """Clips float32 `(batch, n)` at full scale ("peak") or at `rms_level` ("rms"); silent ones are left alone."""
    if how == "peak":
        level = y.abs().amax(1, keepdim=True)
    else:
        level = (y.double().square().mean(1, keepdim=True).sqrt() / rms_level).float()
    return y / torch.where(level > 0, level, torch.ones_like(level))


def cut_or_pad(y: Tensor, n_samples: int, pad: str, first=0) -> Tensor:
    """`(batch, n)` -> `(batch, n_samples)`, cut or padded at the end as `specimg.audio.fit_length` does it.

    first : where the part to be kept begins, a whole number or a tensor of one; above 0 only where nothing is padded
    """
    at = torch.arange(n_samples, device=y.device)
    n = torch.full(
        (1,), y.shape[1], dtype=torch.int64, device=y.device
    )  # a tensor: the exporter knows no remainder by a symbol
    if pad == "silence":
        return y.index_select(1, torch.minimum(at + first, n - 1)) * (at + first < n)
    period = n if pad == "repeat" else (2 * (n - 1)).clamp(min=1)
    at = at % period
    return y.index_select(1, torch.where(at < n, at, period - at) + first)


def window_firsts(length: int, window: int, count: int) -> list:
    """Where `count` windows begin that spread evenly over `length`, the last ending with it: 0, or tensors of one whole number."""
    if count == 1:
        return [0]
    room = torch.full((1,), length - window, dtype=torch.float64).clamp(min=0.0)
    return [(room * (i / (count - 1))).round().long() for i in range(count)]


def cut_frames(y: Tensor, n_fft: int, hop_length: int, center: bool, pad_mode: str) -> Tensor:
    """`(batch, n)` -> `(batch, frames, n_fft)`; `pad_mode` is numpy's name for what lies beyond the ends."""
    pad = n_fft // 2 if center else 0
    if pad_mode == "constant":
        y, begin = nn.functional.pad(y, (pad, pad)), 0
    else:
        begin = -pad
    n = y.shape[1]
    frames = (n - 2 * begin - n_fft) // hop_length + 1
    here = dict(device=y.device)
    at = (torch.arange(frames, **here) * hop_length).unsqueeze(1) + torch.arange(begin, begin + n_fft, **here)
    if pad_mode == "edge":
        at = at.clamp(0, n - 1)
    elif pad_mode == "reflect":
        at = (n - 1) - ((n - 1) - at.abs()).abs()
    return y.index_select(1, at.flatten()).unflatten(1, (frames, n_fft))


# ---------------------------------------------------------------------- transforms


def _divisors(n: int) -> tuple[int, int]:
    """`n` as the product of two whole numbers, as near to each other as can be, the larger one first."""
    small = max(d for d in range(1, math.isqrt(n) + 1) if n % d == 0)
    return n // small, small


def _turns(a: int, b: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """cos and -sin of 2 pi j k / n for j below `a` and k below `b`, float64 `(a, b)`."""
    angle = 2 * np.pi * (np.outer(np.arange(a), np.arange(b)) % n) / n
    return np.cos(angle), -np.sin(angle)


class Fourier(nn.Module):
    """The transform of real frames `(..., n_fft)`: real and imaginary part, `(..., 1 + n_fft // 2)` each, as `numpy.fft.rfft`.

    One step of Cooley & Tukey (1965): with n_fft = A B, sample B a + b and bin c + A d, it is a transform of length A over `a`, a
    rotation by b c / n_fft, and a transform of length B over `b`. Two small matrix products instead of one large: for 2048 samples
    a quarter of the time, 0.1 MB of numbers instead of 34, and a tenth of the rounding. A prime length is one product.

    ONNX has products and no such transform of doubles. Where nothing is exported, `products = False` takes torch's own, in a fifth of the time.
    """

    products = True

    def __init__(self, n_fft: int):
        super().__init__()
        self.n_bins, (self.a, self.b) = n_fft // 2 + 1, _divisors(n_fft)
        self.d = (n_fft // 2) // self.a + 1  # bins above half the sampling rate are not computed
        self.register_buffer("first", as_double(np.vstack(_turns(self.a, self.a, self.a))))
        cos, sin = _turns(self.a, self.b, n_fft)
        self.register_buffer("turn_re", as_double(cos))
        self.register_buffer("turn_im", as_double(sin))
        cos, sin = _turns(self.b, self.d, self.b)
        self.register_buffer("second", as_double(np.block([[cos, sin], [-sin, cos]])))

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        if not self.products:
            found = torch.fft.rfft(frames)
            return found.real, found.imag
        # no product takes a transposed factor: onnxruntime 1.23 would fuse the two, for which it has no kernel in float64
        re, im = (self.first @ frames.unflatten(-1, (self.a, self.b))).split(self.a, -2)  # (..., c, b)
        turned = torch.cat([re * self.turn_re - im * self.turn_im, re * self.turn_im + im * self.turn_re], -1)
        re, im = (turned @ self.second).split(self.d, -1)  # (..., c, d)
        return self._in_order(re), self._in_order(im)

    def _in_order(self, x: Tensor) -> Tensor:
        """`(..., c, d)` -> bins `(..., c + A d)`."""
        return x.transpose(-1, -2).flatten(-2)[..., : self.n_bins]


# ---------------------------------------------------------------------- decibels and other scales


def _loudest(power: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip's loudest cell `(batch, 1, 1)`, and whether the clip is silent throughout, nowhere above 1e-10."""
    peak = power.amax((1, 2), keepdim=True)
    return peak, peak <= AMIN


def reference(power: Tensor, ref: float | str) -> Tensor:
    """The power `(batch, 1, 1)` that is 1 on the scales without decibels; infinite where that is a silent clip's loudest cell."""
    if ref != "max":
        return torch.full_like(power[:, :1, :1], ref)
    peak, silent = _loudest(power)
    return peak.masked_fill(silent, math.inf)


def relative_power(power: Tensor, ref: float | str) -> Tensor:
    """Power `(batch, frames, bins)` in units of `ref`; all 0 if that is a silent clip's loudest cell."""
    return power / reference(power, ref)


def to_db(power: Tensor, ref: float | str, top_db: float | None) -> Tensor:
    """Power `(batch, frames, bins)` -> dB, as `specimg.spectrogram.spectrum.to_db`; silent clips lie at the bottom."""
    db = 10.0 * power.clamp(min=AMIN).log10()
    db = db - (db.amax((1, 2), keepdim=True) if ref == "max" else 10.0 * math.log10(max(AMIN, ref)))
    if top_db is not None:
        db = torch.maximum(db, db.amax((1, 2), keepdim=True) - top_db)
    return db.masked_fill(_loudest(power)[1], -(top_db or 0.0)) if ref == "max" else db
