"""Filter banks over the bins of a Fourier transform: mel's triangles and gammatone filters, each built once for a setting.

    bank = mel_bank(sr, n_fft, n_mels=128, fmin=0.0, fmax=sr / 2, htk=False, norm="slaney")
    bank.apply(power, out)       # (frames, bins) -> (frames, filters)

Mel filters are librosa's. A gammatone filter models one place of the inner ear: as wide as the auditory filter there (its equivalent
rectangular bandwidth, ERB), with the skirts of the fourth-order gammatone. Both scales, mel and ERB-rate, are nearly linear at the
bottom and logarithmic above; the ERB-rate scale bends earlier and gives low frequencies more rows.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

BANDS = 16  # neighbouring filters that share one matrix product

# Rounding of scipy's single-precision transform, rms of a bin relative to the rms of its frame's bins (1.5e-7 at most, measured
# on noise, sines and rumble for lengths with no prime factor above 5; others round twice as coarsely and are not done in single
# precision), times what 4.5 standard deviations may move a cell of one bin, against 1.5e-3 dB: a cell is safe while its mean
# power is above this share of its frame's mean power, divided by the number of bins that it averages.
UNSAFE_SHARE = (20 / math.log(10) * 4.5 * 1.5e-7 / math.sqrt(2) / 1.5e-3) ** 2

GAMMATONE_ORDER = 4
GAMMATONE_WIDTH = 1.019  # bandwidth parameter of a fourth-order gammatone, in ERB (Patterson et al. 1992)


class FilterBank:
    """Filters `(filters, bins)` cut into bands of neighbours, each with the bins that it needs: nearly all of a mel bank is zeros."""

    def __init__(self, filters: np.ndarray):
        self.n_filters = len(filters)
        self.weight = filters.sum(axis=1)  # (filters,)
        effective_bins = self.weight**2 / np.square(filters).sum(axis=1)  # how many bins a filter averages
        self.unsafe_ratio = (UNSAFE_SHARE * self.weight / effective_bins).astype(np.float32)
        self.bands = {np.dtype(dtype): self._cut(filters.astype(dtype)) for dtype in ("float32", "float64")}

    @staticmethod
    def _cut(filters: np.ndarray) -> list[tuple[slice, slice, np.ndarray]]:
        bands = []
        for first in range(0, len(filters), BANDS):
            rows = filters[first : first + BANDS]
            used = np.flatnonzero(rows.any(axis=0))
            low, high = used[0], used[-1] + 1
            bands.append((slice(first, first + len(rows)), slice(low, high), np.ascontiguousarray(rows[:, low:high].T)))
        return bands

    def apply(self, power: np.ndarray, out: np.ndarray) -> None:
        """`(frames, bins)` -> `out` `(frames, filters)`."""
        for rows, bins, weights in self.bands[power.dtype]:
            np.matmul(power[:, bins], weights, out=out[:, rows])


# ---------------------------------------------------------------------- mel


def hz_to_mel(hz: ArrayLike, htk: bool = False) -> np.ndarray:
    """Slaney's scale (linear below 1 kHz, logarithmic above) or HTK's; librosa's numbers."""
    hz = np.asarray(hz, dtype=np.float64)
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    logarithmic = 15.0 + np.log(np.maximum(hz, 1e-300) / 1000.0) / (np.log(6.4) / 27.0)
    return np.where(hz >= 1000.0, logarithmic, 3.0 * hz / 200.0)


def mel_to_hz(mel: ArrayLike, htk: bool = False) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, dtype=np.float64)
    if htk:
        return 700.0 * (10.0 ** (mel / 2595.0) - 1.0)
    return np.where(mel >= 15.0, 1000.0 * np.exp(np.log(6.4) / 27.0 * (mel - 15.0)), 200.0 * mel / 3.0)


def mel_edges(n_mels: int, fmin: float, fmax: float, htk: bool = False) -> np.ndarray:
    """Hz `(n_mels + 2,)`: lower edge, the centres, upper edge; evenly spaced in mel."""
    return mel_to_hz(np.linspace(hz_to_mel(fmin, htk), hz_to_mel(fmax, htk), n_mels + 2), htk)


def mel_filters(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None) -> np.ndarray:
    """Triangular filters float64 `(n_mels, 1 + n_fft // 2)`; with norm="slaney" each has the same area."""
    edges = mel_edges(n_mels, fmin, fmax, htk)
    bins = np.fft.rfftfreq(n_fft, 1 / sr)
    ramps = edges[:, None] - bins
    widths = np.diff(edges)[:, None]
    filters = np.maximum(0, np.minimum(-ramps[:-2] / widths[:-1], ramps[2:] / widths[1:]))
    if norm == "slaney":
        filters *= (2.0 / (edges[2:] - edges[:-2]))[:, None]
    return filters


@functools.lru_cache(maxsize=32)
def mel_bank(sr: int, n_fft: int, n_mels: int, fmin: float, fmax: float, htk: bool, norm: str | None) -> FilterBank:
    """The cached bank of a setting; ValueError if filters are so narrow that they catch no bin."""
    filters = mel_filters(sr, n_fft, n_mels, fmin, fmax, htk, norm)
    empty = np.flatnonzero(~filters.any(axis=1))
    if len(empty):
        first = mel_edges(n_mels, fmin, fmax, htk)[1:-1][empty[0]]
        raise ValueError(
            f"{len(empty)} of {n_mels} mel filters catch no frequency bin (the first at {first:.0f} Hz): n_fft={n_fft} at {sr} Hz has "
            f"a bin every {sr / n_fft:.1f} Hz only; use fewer n_mels, a larger n_fft, or a higher fmin"
        )
    return FilterBank(filters)


# ---------------------------------------------------------------------- gammatone


def erb(hz: ArrayLike) -> np.ndarray:
    """Equivalent rectangular bandwidth in Hz of the ear's filter at `hz` (Glasberg & Moore 1990): 132.6 at 1 kHz."""
    return 24.7 * (4.37 * np.asarray(hz, dtype=np.float64) / 1000.0 + 1.0)


def erb_centres(n_bands: int, fmin: float, fmax: float) -> np.ndarray:
    """Hz `(n_bands,)`, evenly spaced on the ERB-rate scale from `fmin` on; one step beyond the last would be `fmax` (Slaney 1993)."""
    low, high = np.log(erb(fmin)), np.log(erb(fmax))  # the scale is a logarithm of the bandwidth
    width = np.exp(low + (high - low) * np.arange(n_bands) / n_bands)
    return (width / 24.7 - 1.0) * 1000.0 / 4.37


def gammatone_filters(sr: int, n_fft: int, n_bands: int, fmin: float, fmax: float) -> np.ndarray:
    """|H|^2 of fourth-order gammatone filters at the bins, float64 `(n_bands, 1 + n_fft // 2)`; 1 at each centre.

    |H(f)|^2 = (1 + ((f - centre) / b)^2)^-4 with b = 1.019 ERB(centre) (Patterson et al. 1992, Complex sounds and auditory images).
    """
    centres = erb_centres(n_bands, fmin, fmax)[:, None]
    away = (np.fft.rfftfreq(n_fft, 1 / sr) - centres) / (GAMMATONE_WIDTH * erb(centres))
    return (1.0 + away**2) ** -GAMMATONE_ORDER


@functools.lru_cache(maxsize=32)
def gammatone_bank(sr: int, n_fft: int, n_bands: int, fmin: float, fmax: float) -> FilterBank:
    """The cached bank of a setting; ValueError if filters are narrower than the step from bin to bin: some would fall between two."""
    step = sr / n_fft
    narrow = np.count_nonzero(erb(erb_centres(n_bands, fmin, fmax)) < step)
    if narrow:
        raise ValueError(
            f"{narrow} of {n_bands} gammatone filters are narrower than a frequency bin (the lowest, at {fmin:.0f} Hz, is "
            f"{erb(fmin):.0f} Hz wide): n_fft={n_fft} at {sr} Hz has a bin every {step:.1f} Hz only; use n_fft={math.ceil(sr / erb(fmin))} "
            f"or more, or fmin={math.ceil((step / 24.7 - 1) * 1000 / 4.37)} or higher"
        )
    return FilterBank(gammatone_filters(sr, n_fft, n_bands, fmin, fmax))
