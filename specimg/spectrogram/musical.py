"""Representations that follow music: `Cqt` and `Vqt`, rows a fixed interval apart; `Chroma`, the twelve notes; `Tonnetz`; `Contrast`.

    Cqt(n_bins=84)                       # seven octaves of semitones from C1, in decibels
    Chroma(source="cens")                # twelve rows, C to B
    Tonnetz()                            # six rows: fifths, minor and major thirds
    Contrast()                           # how far peaks stand above valleys in each octave

Numbers are librosa's, which is imported when one of these is drawn. `tuning` is not estimated for every clip but is 0 unless it is given:
equal sounds have equal pictures whatever else is in the clip. The lowest filters of `Cqt` are long (half a second at C1, with 36 bins
an octave one and a half), and a clip shorter than that is a ValueError with the ways out.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from ..core.values import choose, register
from .base import Range, Representation
from .constant_q import Wavelets, bin_frequencies, plan_of
from .spectrum import (
    SCALES,
    UNITS,
    check_decibels,
    check_frames,
    check_window,
    framing,
    reference_power,
    scale_range,
    stft_power,
    to_float32,
    to_scale,
)

C1 = 32.70319566257483  # Hz


@dataclass(frozen=True)
class _Musical(Representation):
    """What librosa has a hand in; `hop_length` is a field of its subclasses."""

    def hop_seconds(self, sr: int) -> float:
        return self.hop_length / sr

    @property
    def libraries(self) -> frozenset[str]:
        return super().libraries | {"librosa", "soxr"}  # soxr halves the samples of a constant-Q transform


# ---------------------------------------------------------------------- constant and variable Q


@dataclass(frozen=True)
class _ConstantQ(_Musical):
    """What `Cqt` and `Vqt` share; the fields are those of its subclasses."""

    _instead = "Vqt, whose low filters are shorter"  # for messages

    def _check(self):
        self._need(self.hop_length >= 1, "give a whole number of samples, 1 or more", "hop_length")
        for field in ("n_bins", "bins_per_octave"):
            self._need(getattr(self, field) >= 1, "give 1 bin or more", field)
        for field in ("fmin", "filter_scale"):
            self._need(getattr(self, field) > 0, "give a number above 0", field)
        self._need(self._gamma is None or self._gamma >= 0, "give Hz, 0 or more, or None", "gamma")
        check_window(self)
        check_decibels(self)
        choose(self.scale, SCALES, "scale")

    @property
    def _gamma(self) -> float | None:
        return 0.0

    @property
    def _lowest(self) -> float:
        return self.fmin * 2.0 ** (self.tuning / self.bins_per_octave)

    @property
    def _wavelets(self) -> Wavelets:
        return Wavelets(self.bins_per_octave, self._gamma, self.filter_scale, self.window)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        return to_scale(self.power(y, sr), self.scale, self.ref, self.top_db)[None]

    def power(self, y: np.ndarray, sr: int, field: str = "n_bins", instead: str | None = None) -> np.ndarray:
        """|VQT|^2 float64 `(n_bins, frames)`.

        field, instead : for messages: what counts the bins, and what else has shorter filters
        """
        self._check_pitch(sr, field)
        self._check_length(len(y), sr, field, instead or self._instead)
        return plan_of(sr, self.hop_length, self._lowest, self.n_bins, self._wavelets).power(y)

    def _reach(self, sr: int, n_bins: int) -> tuple[np.ndarray, float]:
        return self._wavelets.reach(sr, self.frequencies(sr)[:n_bins])

    def _check_pitch(self, sr: int, field: str) -> None:
        """ValueError if the highest filters reach above half of `sr`."""
        _, cutoff = self._reach(sr, self.n_bins)
        if cutoff <= sr / 2:
            return
        fit = sum(self._reach(sr, n)[1] <= sr / 2 for n in range(1, self.n_bins))
        fit //= self.bins_per_octave if field == "n_octaves" else 1
        lower = f"{field}={fit} or less, a lower fmin" if fit else "a lower fmin"
        raise ValueError(
            f"the highest bin, at {self.frequencies(sr)[-1]:.0f} Hz, reaches up to {cutoff:.0f} Hz, and a clip at {sr} Hz "
            f"ends at {sr / 2:g} Hz; use {lower}, or Audio(sr=...) where the recordings hold more"
        )

    def _check_length(self, samples: int, sr: int, field: str, instead: str) -> None:
        """ValueError if a clip is shorter than the longest filter."""
        lengths, _ = self._reach(sr, self.n_bins)
        if samples < lengths[0]:
            fits = np.flatnonzero(lengths <= samples)
            higher = (
                f"fmin={math.ceil(self.frequencies(sr)[fits[0]])} or more with a smaller {field}, " if len(fits) else ""
            )
            raise ValueError(
                f"a clip of {samples} samples ({samples / sr:.3f} s) is shorter than the longest filter, "
                f"{lengths[0] / sr:.3f} s at {self.frequencies(sr)[0]:.1f} Hz; use {higher}fewer bins_per_octave, {instead}, "
                f"or Audio(duration=...)"
            )

    @property
    def unit(self) -> str:
        return UNITS[self.scale]

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return (scale_range(self.scale, self.top_db),)

    def frequencies(self, sr: int) -> np.ndarray:
        return bin_frequencies(self._lowest, self.n_bins, self.bins_per_octave)

    @property
    def slug(self) -> str:
        return f"{self.kind}{self.n_bins}" + f"-{self.scale}" * (self.scale != "db")


@register
@dataclass(frozen=True)
class Cqt(_ConstantQ):
    """Constant-Q transform in dB: `librosa.amplitude_to_db(abs(librosa.cqt(y, sr=sr, ...)), ref=np.max, top_db=80)`.

    float32 `(1, n_bins, frames)`, `bins_per_octave` rows to the octave from `fmin` up, frames centred; computed in double precision,
    it agrees with librosa on float64 samples to 0.01 dB. On the other scales the numbers are in units of `ref`, drawn from 0 to 1.

    Parameters
    ----------
    hop_length : int, default 512
        Samples from frame to frame; each factor of 2 in it makes the low octaves faster.
    fmin : float, default 32.7032
        Hz of the lowest bin; default C1.
    n_bins : int, default 84
        Rows.
    bins_per_octave : int, default 12
        12 are semitones.
    tuning : float, default 0.0
        All bins are higher by this share of a bin.
    filter_scale : float, default 1.0
        Below 1 the filters are shorter: sharper in time, blurred in frequency.
    ref : float or str, default "max"
        Power that is 0 dB, or 1 on the other scales; "max" is the clip's loudest cell.
    top_db : float or None, default 80.0
        Range in dB: lower cells are raised to so many below the loudest. None sets no floor.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    scale : str, default "db"
        "db", "power", "linear" (amplitude) or "root" (square root of the amplitude).

    References
    ----------
    Schörkhuber & Klapuri, Constant-Q transform toolbox for music processing, 2010.

    Examples
    --------
    >>> y, sr = sp.read_audio("night.wav", end=2.0)                          # 300 Hz
    >>> spec = sp.Cqt(n_bins=48, fmin=65.4)
    >>> x = spec(y, sr)
    >>> x.shape, spec.frequencies(sr)[x[0].mean(axis=1).argmax()].round()
    ((1, 48, 32), np.float64(294.0))
    """

    hop_length: int = 512
    fmin: float = C1
    n_bins: int = 84
    bins_per_octave: int = 12
    tuning: float = 0.0
    filter_scale: float = 1.0
    ref: float | str = "max"
    top_db: float | None = 80.0
    window: str = "hann"
    scale: str = "db"


@register
@dataclass(frozen=True)
class Vqt(_ConstantQ):
    """Variable-Q transform in dB: as `Cqt`, of `librosa.vqt`, whose filters are wider by `gamma` and so shorter at the low end.

    float32 `(1, n_bins, frames)`. gamma=None makes the filters as wide as the ear's (ERB); gamma=0 is `Cqt`.

    Parameters
    ----------
    hop_length : int, default 512
        Samples from frame to frame; each factor of 2 in it makes the low octaves faster.
    fmin : float, default 32.7032
        Hz of the lowest bin; default C1.
    n_bins : int, default 84
        Rows.
    bins_per_octave : int, default 12
        12 are semitones.
    gamma : float, optional
        Hz added to every filter's width; default the ear's.
    tuning : float, default 0.0
        All bins are higher by this share of a bin.
    filter_scale : float, default 1.0
        Below 1 the filters are shorter: sharper in time, blurred in frequency.
    ref : float or str, default "max"
        Power that is 0 dB, or 1 on the other scales; "max" is the clip's loudest cell.
    top_db : float or None, default 80.0
        Range in dB: lower cells are raised to so many below the loudest. None sets no floor.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    scale : str, default "db"
        "db", "power", "linear" (amplitude) or "root" (square root of the amplitude).

    References
    ----------
    Schörkhuber, Klapuri, Holighaus & Dörfler, A Matlab toolbox for efficient perfect reconstruction time-frequency transforms with
    log-frequency resolution, 2014.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Vqt(n_bins=48, fmin=65.4)(y, sr).shape
    (1, 48, 8)
    """

    hop_length: int = 512
    fmin: float = C1
    n_bins: int = 84
    bins_per_octave: int = 12
    gamma: float | None = None
    tuning: float = 0.0
    filter_scale: float = 1.0
    ref: float | str = "max"
    top_db: float | None = 80.0
    window: str = "hann"
    scale: str = "db"

    _instead = "a larger gamma"

    @property
    def _gamma(self) -> float | None:
        return self.gamma


# ---------------------------------------------------------------------- notes

SOURCES = ("stft", "cqt", "cens")


def _centred_power(spec, y: np.ndarray) -> np.ndarray:
    """|STFT|^2 float64 `(1 + n_fft // 2, frames)`, frames centred, silence beyond the ends. ValueError if it has overflowed."""
    power = stft_power(y, **framing(spec))
    reference_power(power, 1.0)
    return power


@functools.lru_cache(maxsize=8)
def _chroma_filters(sr: int, n_fft: int, n_chroma: int, tuning: float) -> np.ndarray:
    """`(n_chroma, 1 + n_fft // 2)`: the share of each bin that belongs to each note."""
    import librosa

    return librosa.filters.chroma(sr=sr, n_fft=n_fft, n_chroma=n_chroma, tuning=tuning)


@register
@dataclass(frozen=True)
class Chroma(_Musical):
    """Strength of each of the twelve notes, octaves added up: `librosa.feature.chroma_stft`, `chroma_cqt` or `chroma_cens`, with tuning=0.

    float32 `(1, n_chroma, frames)`, C in row 0 and B in row 11; 0 to 1 relative to each frame's strongest note, in CENS to its length as
    a vector (librosa's norms); norm=None keeps power (STFT) or amplitude (CQT), drawn from each picture's own lowest to its own
    highest. Silent frames are 0. CENS is the chroma of the CQT in four steps, smoothed over 41 frames.

    Parameters
    ----------
    source : str, default "stft"
        "stft", "cqt" or "cens".
    n_chroma : int, default 12
        Rows, notes to the octave; row 0 is C where it is a multiple of 12.
    hop_length : int, default 512
        Samples from frame to frame.
    n_fft : int, default 2048
        Samples of a Fourier transform; of "stft", as are the next two.
    win_length : int, optional
        Samples of the window; default `n_fft`.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    fmin : float, default 32.7032
        Hz of the lowest note of "cqt" and "cens"; default C1.
    n_octaves : int, default 7
        Octaves of "cqt" and "cens", from `fmin` up.
    bins_per_octave : int, optional
        Bins per octave of "cqt" and "cens"; default 36, or `n_chroma` where that does not divide 36.
    tuning : float, default 0.0
        All notes are higher by this share of a row (stft) or bin (cqt).
    norm : str or None, default "librosa"
        Norm of each frame: "max", "l1" or "l2"; "librosa" is "l2" for "cens", else "max". None keeps the power.

    References
    ----------
    Müller & Ewert, Chroma toolbox: MATLAB implementations for extracting variants of chroma-based audio features, ISMIR 2011.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")                                     # 300 Hz, near D (294 Hz)
    >>> x = sp.Chroma()(y, sr)
    >>> x.shape, int(x[0].mean(axis=1).argmax())
    ((1, 12, 8), 2)
    """

    source: str = "stft"
    n_chroma: int = 12
    hop_length: int = 512
    n_fft: int = 2048
    win_length: int | None = None
    window: str = "hann"
    fmin: float = C1
    n_octaves: int = 7
    bins_per_octave: int | None = None
    tuning: float = 0.0
    norm: str | None = "librosa"

    def _check(self):
        choose(self.source, SOURCES, "source")
        self._need(self.n_chroma >= 1, "give 1 note or more", "n_chroma")
        check_frames(self)
        if self.norm is not None:
            choose(self.norm, ["librosa", "max", "l1", "l2"], "norm")
        share = "CENS is a share of each frame; choose 'l1', 'l2' or 'max'"
        self._need(self.source != "cens" or self.norm is not None, share, "source", "norm")
        self._need(self.n_octaves >= 1, "give 1 octave or more", "n_octaves")
        whole = self.bins_per_octave is None or (
            self.bins_per_octave >= 1 and self.bins_per_octave % self.n_chroma == 0
        )
        self._need(whole, f"give a multiple of n_chroma={self.n_chroma}", "bins_per_octave")
        if self.source != "stft":
            _ = self._cqt  # raises where fmin is invalid

    @property
    def _bins(self) -> int:
        return self.bins_per_octave or (36 if 36 % self.n_chroma == 0 else self.n_chroma)

    @property
    def _cqt(self) -> Cqt:
        return Cqt(self.hop_length, self.fmin, self.n_octaves * self._bins, self._bins, self.tuning)

    @property
    def _norm(self) -> float | None:
        name = {"cens": "l2"}.get(self.source, "max") if self.norm == "librosa" else self.norm
        return {"max": np.inf, "l1": 1, "l2": 2, None: None}[name]

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        import librosa

        if self.source == "stft":
            notes = _chroma_filters(sr, self.n_fft, self.n_chroma, self.tuning) @ _centred_power(self, y)
            found = librosa.util.normalize(notes, norm=self._norm, axis=0)
        else:
            of = librosa.feature.chroma_cqt if self.source == "cqt" else librosa.feature.chroma_cens
            notes = dict(bins_per_octave=self._bins, n_chroma=self.n_chroma, norm=self._norm)
            found = of(C=self._amplitudes(y, sr), sr=sr, fmin=self.fmin, **notes)
        return to_float32(found)[None]

    def _amplitudes(self, y: np.ndarray, sr: int) -> np.ndarray:
        """|CQT| float64 `(n_octaves * bins, frames)`."""
        return np.sqrt(self._cqt.power(y, sr, "n_octaves", "source='stft'"))

    @property
    def unit(self) -> str:
        if self._norm is None:
            return "power" if self.source == "stft" else "amplitude"
        return {np.inf: "share of the strongest", 1: "share of the sum", 2: "share of the length"}[self._norm]

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return (None if self._norm is None else (0.0, 1.0),)

    @property
    def slug(self) -> str:
        return f"chroma{self.n_chroma}-{self.source}"


@register
@dataclass(frozen=True)
class Tonnetz(_Musical):
    """Tonal centroids: where each frame's notes lie on the circles of fifths, minor and major thirds; `librosa.feature.tonnetz`.

    float32 `(1, 6, frames)`, two coordinates a circle, -1 to 1 (thirds: -0.5 to 0.5), so that mid-grey, 0, is no key at all: silence,
    or all notes alike.

    Parameters
    ----------
    chroma : Chroma, default Chroma(source="cqt")
        The notes; their norm does not matter.

    References
    ----------
    Harte, Sandler & Gasser, Detecting harmonic change in musical audio, 2006.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Tonnetz(sp.Chroma())(y, sr).shape
    (1, 6, 8)
    """

    chroma: Chroma = Chroma(source="cqt")

    unit, ranges = "coordinate", ((-1.0, 1.0),)

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        import librosa

        return librosa.feature.tonnetz(chroma=self.chroma(y, sr)[0].astype(np.float64)).astype(np.float32)[None]

    @property
    def hop_length(self) -> int:
        """Samples from frame to frame."""
        return self.chroma.hop_length

    @property
    def slug(self) -> str:
        return f"tonnetz-{self.chroma.source}"


# ---------------------------------------------------------------------- peaks and valleys


@register
@dataclass(frozen=True)
class Contrast(_Musical):
    """Spectral contrast: in each octave, the mean of the strongest bins over that of the weakest; `librosa.feature.spectral_contrast`.

    float32 `(1, n_bands + 1, frames)`, row 0 what lies below `fmin`. In dB, 10 * log10 of magnitudes as librosa has it (half of the
    decibels of `Stft`), drawn from 0 to 80. Noise has 10 to 14 dB, a pure tone some 60, silence 0.

    Parameters
    ----------
    n_bands : int, default 6
        Octaves, one a row, above the first row.
    fmin : float, default 200.0
        Hz where the first octave begins.
    quantile : float, default 0.02
        Share of a band's bins that are its peaks, and its valleys; above 0 and below 1.
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    scale : str, default "db"
        "db", or "linear": the difference of the magnitudes, drawn from each picture's own lowest to its own highest.

    References
    ----------
    Jiang et al., Music type classification by spectral contrast feature, 2002.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> spec = sp.spectrogram.Contrast(n_bands=3)
    >>> spec(y, sr).shape, spec.frequencies(sr).round()
    ((1, 4, 8), array([ 100.,  283.,  566., 1131.]))
    """

    n_bands: int = 6
    fmin: float = 200.0
    quantile: float = 0.02
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    window: str = "hann"
    scale: str = "db"

    def _check(self):
        check_frames(self)
        self._need(self.n_bands >= 1, "give 1 octave or more", "n_bands")
        self._need(self.fmin > 0, "give Hz above 0", "fmin")
        self._need(0 < self.quantile < 1, "give a share between 0 and 1", "quantile")
        choose(self.scale, ("db", "linear"), "scale")

    @property
    def _edges(self) -> np.ndarray:
        """Hz `(n_bands + 1,)`: where the rows begin."""
        return np.concatenate([[0.0], self.fmin * 2.0 ** np.arange(self.n_bands)])

    def _check_bands(self, sr: int) -> None:
        """ValueError if a band begins above half of `sr`, or holds too few bins."""
        edges, step = self._edges, sr / self.n_fft
        last = self.n_fft // 2 * step
        if edges[-1] >= last:
            fit = np.count_nonzero(edges[1:] < last)
            ways = f"n_bands={fit} or fewer, or a lower fmin" if fit else "a lower fmin"
            raise ValueError(
                f"the highest band begins at {edges[-1]:g} Hz, and a clip at {sr} Hz ends at {sr / 2:g} Hz; use {ways}"
            )
        if self.fmin <= step:
            raise ValueError(
                f"the lowest band, up to {self.fmin:g} Hz, holds one frequency bin: n_fft={self.n_fft} at {sr} Hz has one "
                f"every {step:.1f} Hz only; use a larger n_fft or a higher fmin"
            )

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        import librosa

        self._check_bands(sr)
        magnitude = np.sqrt(_centred_power(self, y))
        bands = dict(fmin=self.fmin, n_bands=self.n_bands, quantile=self.quantile, linear=self.scale == "linear")
        found = librosa.feature.spectral_contrast(S=magnitude, sr=sr, n_fft=self.n_fft, **bands)
        return to_float32(found)[None]

    @property
    def unit(self) -> str:
        return UNITS[self.scale]

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return ((0.0, 80.0) if self.scale == "db" else None,)

    def frequencies(self, sr: int) -> np.ndarray:
        # the middle of each octave; of what lies below them half of `fmin`
        return np.concatenate([[self.fmin / 2], self._edges[1:] * math.sqrt(2)])

    @property
    def slug(self) -> str:
        return f"contrast{self.n_bands}" + f"-{self.scale}" * (self.scale != "db")
