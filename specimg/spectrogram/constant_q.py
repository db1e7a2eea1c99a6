"""The arithmetic of constant-Q transforms: filters one for each note, octave by octave.

An octave lower, everything is half as fast. So the sampling rate is halved from octave to octave, and short filters serve all of them;
each octave is one Fourier transform of frames and one matrix product. Filters and numbers are those of `librosa.vqt`, which builds
the filters again for every clip. Here they are built once for a setting: clips of 1, 5 and 30 s are drawn 8, 4 and 2.4 times as fast
(benchmarks/constant_q.py).

    plan = plan_of(sr=22050, hop_length=512, fmin=32.7, n_bins=84, wavelets=Wavelets(12, 0.0, 1.0, "hann"))
    plan.power(y)            # float64 (84, frames)
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from .spectrum import TOO_LOUD, fft_blocks, frame_views, window_of


def bin_frequencies(fmin: float, n_bins: int, bins_per_octave: int) -> np.ndarray:
    """Hz `(n_bins,)`: so many to the octave, from `fmin` up."""
    return fmin * 2.0 ** (np.arange(n_bins) / bins_per_octave)


@dataclass(frozen=True)
class Wavelets:
    """The filters of `librosa.filters.wavelet`, at whatever rate and frequencies."""

    bins_per_octave: int
    gamma: float | None  # Hz
    filter_scale: float
    window: str

    def _options(self, sr: float, freqs: np.ndarray) -> dict:
        step = 2.0 ** (2.0 / self.bins_per_octave)
        # width over frequency: from halfway to the bin below to halfway to the bin above
        alpha = (step - 1) / (step + 1)
        return dict(
            freqs=freqs, sr=sr, alpha=alpha, gamma=self.gamma, filter_scale=self.filter_scale, window=self.window
        )

    def reach(self, sr: float, freqs: np.ndarray) -> tuple[np.ndarray, float]:
        """(length of each filter in samples, Hz up to which the highest of them reaches)"""
        import librosa

        return librosa.filters.wavelet_lengths(**self._options(sr, freqs))

    def basis(self, sr: float, freqs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(filters over time, length of each in samples)"""
        import librosa

        return librosa.filters.wavelet(norm=1, pad_fft=True, **self._options(sr, freqs))


@dataclass(frozen=True, eq=False)
class Octave:
    """The filters of one octave at the rate at which it is computed."""

    hop_length: int  # samples at that rate
    n_fft: int
    bins: slice  # of the transform, outside of which the filters are 0
    weights: np.ndarray  # complex128 (bins, filters)
    halve: bool  # are the samples halved before the octave below?

    def response(self, y: np.ndarray) -> np.ndarray:
        """|filtered|^2 float64 `(filters, frames)` of float64 samples at the octave's rate."""
        views = frame_views(y, self.n_fft, self.hop_length, True, "constant")
        found = np.empty((self.weights.shape[1], sum(map(len, views))))
        for at, block in fft_blocks(views, window_of("boxcar", self.n_fft, self.n_fft, "float64")):
            filtered = block[:, self.bins] @ self.weights
            found[:, at : at + len(block)] = (np.square(filtered.real) + np.square(filtered.imag)).T
        return found


@dataclass(frozen=True, eq=False)
class Plan:
    """All that a setting needs, built once."""

    slower: int  # how much slower, a power of 2, the samples are made before the highest octave
    octaves: tuple[Octave, ...]  # highest first
    lengths: np.ndarray  # (n_bins,) samples of each filter at the highest octave's rate

    def power(self, y: np.ndarray) -> np.ndarray:
        """|VQT|^2, float64 `(n_bins, frames)`, lowest bin in row 0."""
        y = _slowed(y.astype(np.float64), self.slower)
        rows = []
        for octave in self.octaves:
            rows.insert(0, octave.response(y))
            y = _slowed(y, 2 if octave.halve else 1)
        frames = min(r.shape[1] for r in rows)
        return np.concatenate([r[:, :frames] for r in rows]) / self.lengths[:, None]


def _slowed(y: np.ndarray, times: int) -> np.ndarray:
    """Samples at a rate so many times lower, their energy kept. ValueError if the resampler's single precision overflows."""
    import librosa

    if times == 1:
        return y
    y = librosa.resample(y, orig_sr=times, target_sr=1, res_type="soxr_hq", scale=True)
    if not np.isfinite(y).all():
        raise ValueError(TOO_LOUD)
    return y


def _octave(sr: float, top_sr: float, hop_length: int, freqs: np.ndarray, wavelets: Wavelets) -> Octave:
    """The filters for `freqs` at the rate `sr`, in the frequency domain; 1 % of each filter's sum, its faint skirts, is dropped."""
    import librosa

    basis, lengths = wavelets.basis(sr, freqs)
    n_fft = basis.shape[1]
    basis = np.fft.fft(basis * (lengths[:, None] / n_fft), axis=1)[:, : n_fft // 2 + 1]
    weights = librosa.util.sparsify_rows(basis, quantile=0.01, dtype=np.complex128).toarray()
    used = np.flatnonzero(weights.any(axis=0))
    bins = slice(used[0], used[-1] + 1)
    scaled = np.ascontiguousarray(weights[:, bins].T) * math.sqrt(top_sr / sr)
    return Octave(hop_length, n_fft, bins, scaled, hop_length % 2 == 0)


def _halvings_before(sr: float, cutoff: float, hop_length: int, n_octaves: int) -> int:
    """How often the samples may be halved before the highest octave: below its reach, and as the hop leaves halves for the others."""
    room = math.ceil(math.log2(sr / 2 / cutoff)) - 2
    twos = (hop_length & -hop_length).bit_length() - 1
    return max(0, min(room, twos - n_octaves + 1))


@functools.lru_cache(maxsize=8)
def plan_of(sr: int, hop_length: int, fmin: float, n_bins: int, wavelets: Wavelets) -> Plan:
    """The cached plan of a setting whose filters all lie below half the sampling rate."""
    per_octave = wavelets.bins_per_octave
    freqs = bin_frequencies(fmin, n_bins, per_octave)
    n_octaves = math.ceil(n_bins / per_octave)
    _, cutoff = wavelets.reach(sr, freqs)
    slower = 2 ** _halvings_before(sr, cutoff, hop_length, n_octaves)
    top_sr = rate = sr / slower
    hop = hop_length // slower
    octaves = []
    for i in range(n_octaves):
        first, last = max(0, n_bins - (i + 1) * per_octave), n_bins - i * per_octave
        octaves.append(_octave(rate, top_sr, hop, freqs[first:last], wavelets))
        if octaves[-1].halve:
            hop, rate = hop // 2, rate / 2
    lengths, _ = wavelets.reach(top_sr, freqs)
    return Plan(slower, tuple(octaves), lengths)
