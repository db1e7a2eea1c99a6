"""Frames under a filter bank: `Mel` and `Mfcc` with librosa's parameters, defaults and numbers; `Gammatone` and `Gfcc`.

    Mel(n_mels=64)                          # decibels
    Mel(scale="linear", ref=1.0)            # librosa.feature.melspectrogram's own numbers
    Mel(pcen=Pcen())                        # per-channel energy normalisation instead of decibels
    Gammatone(n_bands=64)                   # a cochleagram, in decibels
    Gfcc(n_gfcc=20)                         # its cepstral coefficients

`ref` and `top_db` mean what they do in `framed`. Filters that are narrower than the bins of the transform are a ValueError when a clip is
drawn, as are filters above half the sampling rate.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
from scipy import fft

from ..core.values import Value, choose, register
from .base import Range
from .filters import FilterBank, erb_centres, gammatone_bank, mel_bank, mel_edges
from .framed import _Framed
from .spectrum import filtered_power, framing, power_to_db, reference_power, scale_range, to_scale, to_share

BANK_SCALES = ("db", "linear")
COMPRESSIONS = ("cubic-root", "log")


@dataclass(frozen=True)
class _Banked(_Framed):
    """Frames under a filter bank from `fmin` to `fmax`; the fields are those of its subclasses."""

    _family = "mel"  # of filters, for messages
    _power = 2.0  # of the magnitude

    def _check(self):
        super()._check()
        self._need(0 <= self.fmin < (self.fmax or np.inf), "give 0 <= fmin < fmax, in Hz", "fmin", "fmax")

    def _fmax(self, sr: int) -> float:
        fmax = sr / 2 if self.fmax is None else self.fmax
        if fmax > sr / 2 or fmax <= self.fmin:
            raise ValueError(
                f"{self._family} filters from {self.fmin:g} to {fmax:g} Hz do not fit a clip at {sr} Hz, which ends at "
                f"{sr / 2:g} Hz; lower fmin and fmax, or set Audio(sr=...)"
            )
        return fmax

    @abstractmethod
    def _bank(self, sr: int) -> FilterBank:
        """The filters for a sampling rate."""

    def _filtered(self, y: np.ndarray, sr: int, top_db: float | None) -> np.ndarray:
        """|STFT|^power under the filters, `(filters, frames)`; exact down to `top_db` below the loudest cell, with None throughout."""
        self._check_length(y, sr)
        with np.errstate(over="ignore", invalid="ignore"):  # `reference_power` raises where powers overflow
            return filtered_power(y, self._bank(sr), power=self._power, top_db=top_db, **framing(self))


class _OnScale:
    """What `Mel` and `Gammatone` share: a scale, and rows that are filters."""

    def _on_scale(self, y: np.ndarray, sr: int) -> np.ndarray:
        """float32 `(filters, frames)` on the scale."""
        found = self._filtered(y, sr, self.top_db)
        return to_scale(found, "db" if self.scale == "db" else "power", self.ref, self.top_db)

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return (scale_range(self.scale, self.top_db),)


# ---------------------------------------------------------------------- mel


@register
@dataclass(frozen=True)
class Pcen(Value):
    """Per-channel energy normalisation: `librosa.pcen(S * multiplier, sr=sr, hop_length=hop_length, gain=0.98, ...)`.

    Every row is divided by its own recent past and compressed, so that hum fades and onsets stand out: with M, S smoothed in time,
    (S / (eps + M)**gain + bias)**power - bias**power. 0 or more, without a unit.

    Parameters
    ----------
    gain : float, default 0.98
        0 keeps the loudness, 1 removes it.
    bias : float, default 2.0
        What is small against this is compressed less.
    power : float, default 0.5
        Exponent of the compression.
    time_constant : float, default 0.4
        Seconds of the smoothing.
    eps : float, default 1e-6
        Floor under the smoothed power.
    multiplier : float, default 2**31
        Factor of the power. The constants above suit samples as 32-bit integers, and librosa's examples multiply so.

    References
    ----------
    Wang et al., Trainable frontend for robust and far-field keyword spotting, 2017, arXiv:1607.05666.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Mel(n_mels=32, n_fft=512, pcen=sp.Pcen(gain=0.8))(y, sr).shape
    (1, 32, 8)
    """

    gain: float = 0.98
    bias: float = 2.0
    power: float = 0.5
    time_constant: float = 0.4
    eps: float = 1e-6
    # of the power: the constants above suit samples as 32-bit integers, librosa's examples multiply so
    multiplier: float = 2.0**31

    def _check(self):
        for name in ("bias", "power", "time_constant", "eps", "multiplier"):
            self._need(getattr(self, name) > 0, "give a number above 0", name)
        self._need(self.gain >= 0, "give 0 or more", "gain")

    def apply(self, power: np.ndarray, frames_per_second: float) -> np.ndarray:
        """Normalise and compress a power spectrogram.

        Parameters
        ----------
        power : np.ndarray
            `(rows, frames)`.
        frames_per_second : float
            Columns a second.

        Returns
        -------
        np.ndarray
            float32 `(rows, frames)`.
        """
        from scipy.signal import lfilter

        constant = self.time_constant * frames_per_second  # frames
        share = (np.sqrt(1 + 4 * constant**2) - 1) / (2 * constant**2)  # of a new frame in the smoothed power
        power = power * self.multiplier
        before = np.full((len(power), 1), 1 - share)  # as if the power had always been 1
        smoothed, _ = lfilter([share], [1, share - 1], power, zi=before)
        gained = power * np.exp(-self.gain * (np.log(self.eps) + np.log1p(smoothed / self.eps)))
        return (self.bias**self.power * np.expm1(self.power * np.log1p(gained / self.bias))).astype(np.float32)


@dataclass(frozen=True)
class _MelFramed(_Banked):
    """Frames under a mel filter bank."""

    def _check(self):
        super()._check()
        self._need(self.n_mels >= 1, "give 1 filter or more", "n_mels")
        self._need(self.power > 0, "2 for power, 1 for magnitude", "power")
        if self.norm not in ("slaney", None):
            raise ValueError(f"unknown norm {self.norm!r}; choose 'slaney' or None")

    @property
    def _power(self) -> float:  # type: ignore[override]
        return self.power

    def _bank(self, sr: int) -> FilterBank:
        return mel_bank(sr, self.n_fft, self.n_mels, self.fmin, self._fmax(sr), self.htk, self.norm)


@register
@dataclass(frozen=True)
class Mel(_OnScale, _MelFramed):
    """Mel spectrogram in dB: `librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, ...), ref=np.max, top_db=80)`.

    float32 `(1, n_mels, frames)`; agrees with librosa to 2e-3 dB for `top_db <= 80`, and to 1e-4 dB beyond that or with
    `top_db=None`, where it is computed in double precision. Unlike librosa's, digital silence lies at `-top_db`.
    Filters that catch no frequency bin are a ValueError when a clip is drawn.

    Parameters
    ----------
    n_mels : int, default 128
        Filters, rows.
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
    fmin : float, default 0.0
        Lower edge of the lowest filter in Hz.
    fmax : float, optional
        Upper edge of the highest filter in Hz; default `sr / 2`.
    power : float, default 2.0
        Exponent of the magnitude: 2 for power, 1 for amplitude.
    ref : float or str, default "max"
        Power that is 0 dB, or 1 on the other scales; "max" is the clip's loudest cell.
    top_db : float or None, default 80.0
        Range in dB: lower cells are raised to so many below the loudest. None sets no floor.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    center : bool, default True
        Frame t is centred on sample `t * hop_length`; with False it begins there.
    pad_mode : str, default "constant"
        What lies beyond the ends of the clip: "constant" (zeros), "reflect" or "edge".
    htk : bool, default False
        HTK's mel scale instead of Slaney's.
    norm : str or None, default "slaney"
        Filters of equal area; None: of equal height.
    scale : str, default "db"
        "db", or "linear": `melspectrogram` itself in units of `ref`, drawn from 0 to 1.
    pcen : Pcen, optional
        Per-channel energy normalisation in place of scale, ref and top_db. It has no natural range: each picture is drawn from its own
        lowest to its own highest value, or with `Picture(low=0.0, high=...)` from fixed ones.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> spec = sp.Mel(n_mels=32, n_fft=512, hop_length=128)
    >>> spec(y, sr).shape, spec.ranges                       # dB that are black and white
    ((1, 32, 32), ((-80.0, 0.0),))
    >>> spec.frequencies(sr)[:3].round()                     # Hz of the lowest rows
    array([ 71., 142., 213.])
    """

    n_mels: int = 128
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    fmin: float = 0.0
    fmax: float | None = None
    power: float = 2.0
    ref: float | str = "max"
    top_db: float | None = 80.0
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    htk: bool = False
    norm: str | None = "slaney"
    scale: str = "db"
    pcen: Pcen | None = None

    def _check(self):
        super()._check()
        choose(self.scale, BANK_SCALES, "scale")
        if self.pcen is not None and self.scale != "db":
            raise ValueError(
                f"Mel(scale={self.scale!r}, pcen=...): pcen takes the place of the scale; leave one of them out"
            )

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        if self.pcen is None:
            return self._on_scale(y, sr)[None]
        found = self._filtered(y, sr, None)
        reference_power(found, 1.0)  # raises where powers have overflowed
        return self.pcen.apply(found, sr / self.hop_length)[None]

    @property
    def unit(self) -> str:
        if self.pcen is not None:
            return "PCEN"
        if self.scale == "db":
            return "dB"
        return {2.0: "power", 1.0: "amplitude"}.get(self.power, f"amplitude^{self.power:g}")

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return (None,) if self.pcen is not None else super().ranges

    def frequencies(self, sr: int) -> np.ndarray:
        return mel_edges(self.n_mels, self.fmin, self._fmax(sr), self.htk)[1:-1]

    @property
    def slug(self) -> str:
        return f"mel{self.n_mels}" + "-pcen" * (self.pcen is not None) + f"-{self.scale}" * (self.scale != "db")


@register
@dataclass(frozen=True)
class Mfcc(_MelFramed):
    """Mel-frequency cepstral coefficients: `librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20, lifter=0, ...)`.

    An orthonormal DCT-II of the mel dB; float32 `(1, n_mfcc, frames)`, coefficient 0 in row 0, without a unit. As they have no
    natural range, each picture is drawn from its own lowest to its own highest value, which the picture records; set
    `Picture(low=..., high=...)` for fixed ones.

    Parameters
    ----------
    n_mfcc : int, default 20
        Coefficients, rows.
    n_mels : int, default 128
        Filters under them.
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
    fmin : float, default 0.0
        Lower edge of the lowest filter in Hz.
    fmax : float, optional
        Upper edge of the highest filter in Hz; default `sr / 2`.
    power : float, default 2.0
        Exponent of the magnitude.
    ref : float or str, default 1.0
        Power that is 0 dB; "max", the clip's loudest cell, removes the level from coefficient 0.
    top_db : float or None, default 80.0
        Floor in dB below the loudest cell; None sets none.
    lifter : float, default 0.0
        Above 0: sinusoidal liftering, as in librosa.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    center : bool, default True
        Frame t is centred on sample `t * hop_length`; with False it begins there.
    pad_mode : str, default "constant"
        What lies beyond the ends of the clip: "constant" (zeros), "reflect" or "edge".
    htk : bool, default False
        HTK's mel scale instead of Slaney's.
    norm : str or None, default "slaney"
        Filters of equal area; None: of equal height.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Mfcc(n_mfcc=13, n_mels=40, n_fft=512)(y, sr).shape
    (1, 13, 8)
    """

    n_mfcc: int = 20
    n_mels: int = 128
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    fmin: float = 0.0
    fmax: float | None = None
    power: float = 2.0
    ref: float | str = 1.0
    top_db: float | None = 80.0
    lifter: float = 0.0
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    htk: bool = False
    norm: str | None = "slaney"

    unit = "coefficient"

    def _check(self):
        super()._check()
        self._need(1 <= self.n_mfcc <= self.n_mels, f"give 1 to n_mels={self.n_mels}", "n_mfcc")
        self._need(self.lifter >= 0, "give 0 for none, or a number above 0", "lifter")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        decibels = power_to_db(self._filtered(y, sr, self.top_db), self.ref, self.top_db)
        coefficients = fft.dct(decibels, axis=0, type=2, norm="ortho")[: self.n_mfcc]
        if self.lifter:
            order = np.arange(1, self.n_mfcc + 1, dtype=coefficients.dtype)
            coefficients = coefficients * (1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter))[:, None]
        return np.ascontiguousarray(coefficients, dtype=np.float32)[None]

    @property
    def slug(self) -> str:
        return f"mfcc{self.n_mfcc}"


# ---------------------------------------------------------------------- gammatone


@dataclass(frozen=True)
class _GammatoneFramed(_Banked):
    """Frames under a gammatone filter bank."""

    _family = "gammatone"

    def _check(self):
        super()._check()
        self._need(self.n_bands >= 1, "give 1 filter or more", "n_bands")

    def _bank(self, sr: int) -> FilterBank:
        return gammatone_bank(sr, self.n_fft, self.n_bands, self.fmin, self._fmax(sr))


@register
@dataclass(frozen=True)
class Gammatone(_OnScale, _GammatoneFramed):
    """Gammatone spectrogram, a cochleagram, in dB: the power of each frame under filters like those of the inner ear.

    float32 `(1, n_bands, frames)`. Row k is |STFT|^2 summed under |H|^2 of a fourth-order gammatone filter of bandwidth 1.019 ERB, 1 at
    its centre; the centres are evenly spaced on the ERB-rate scale from `fmin` up, one step short of `fmax`. Its resolution in time is
    that of the window. Computed in single precision where that agrees with double to 2e-3 dB, as `Mel`. Filters narrower than a
    frequency bin are a ValueError when a clip is drawn.

    Parameters
    ----------
    n_bands : int, default 64
        Filters, rows.
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
    fmin : float, default 50.0
        Centre of the lowest filter in Hz.
    fmax : float, optional
        Hz, one step above the centre of the highest filter; default `sr / 2`.
    ref : float or str, default "max"
        Power that is 0 dB, or 1 on the other scales; "max" is the clip's loudest cell.
    top_db : float or None, default 80.0
        Range in dB: lower cells are raised to so many below the loudest. None sets no floor.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    center : bool, default True
        Frame t is centred on sample `t * hop_length`; with False it begins there.
    pad_mode : str, default "constant"
        What lies beyond the ends of the clip: "constant" (zeros), "reflect" or "edge".
    scale : str, default "db"
        "db", or "linear": the power in units of `ref`, drawn from 0 to 1.

    References
    ----------
    Patterson et al., Complex sounds and auditory images, 1992. Glasberg & Moore, Derivation of auditory filter shapes from notched-noise
    data, Hearing Research 47, 1990. Slaney, An efficient implementation of the Patterson-Holdsworth auditory filter bank, 1993.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> spec = sp.Gammatone(n_bands=32, n_fft=512, hop_length=128)
    >>> spec(y, sr).shape, spec.frequencies(sr)[:3].round()
    ((1, 32, 32), array([ 50.,  75., 102.]))
    """

    n_bands: int = 64
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    fmin: float = 50.0
    fmax: float | None = None
    ref: float | str = "max"
    top_db: float | None = 80.0
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    scale: str = "db"

    def _check(self):
        super()._check()
        choose(self.scale, BANK_SCALES, "scale")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        return self._on_scale(y, sr)[None]

    @property
    def unit(self) -> str:
        return "dB" if self.scale == "db" else "power"

    def frequencies(self, sr: int) -> np.ndarray:
        return erb_centres(self.n_bands, self.fmin, self._fmax(sr))

    @property
    def slug(self) -> str:
        return f"gammatone{self.n_bands}" + f"-{self.scale}" * (self.scale != "db")


@register
@dataclass(frozen=True)
class Gfcc(_GammatoneFramed):
    """Gammatone-frequency cepstral coefficients: an orthonormal DCT-II of the compressed power under gammatone filters.

    float32 `(1, n_gfcc, frames)`, coefficient 0 in row 0, without a unit; drawn like `Mfcc` from each picture's own lowest to its own
    highest value. The power is compressed by its cubic root, Stevens' law of loudness, as the package spafe does it (Shao et al. take the
    cubic root of the filters' amplitude), or by decibels, which make it an `Mfcc` over gammatone filters.

    Parameters
    ----------
    n_gfcc : int, default 20
        Coefficients, rows.
    n_bands : int, default 64
        Filters under them.
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
    fmin : float, default 50.0
        Centre of the lowest filter in Hz.
    fmax : float, optional
        Hz, one step above the centre of the highest filter; default `sr / 2`.
    compression : str, default "cubic-root"
        Compression of the power: "cubic-root", or "log" for decibels.
    ref : float or str, default 1.0
        Power that is 1, or 0 dB; "max", the clip's loudest cell, removes the level.
    top_db : float or None, default 80.0
        Floor of the decibels below the loudest cell; None sets none.
    window : str, default "hann"
        Window function: any name that `scipy.signal.get_window` takes.
    center : bool, default True
        Frame t is centred on sample `t * hop_length`; with False it begins there.
    pad_mode : str, default "constant"
        What lies beyond the ends of the clip: "constant" (zeros), "reflect" or "edge".

    References
    ----------
    Shao, Jin, Wang & Srinivasan, An auditory-based feature for robust speech recognition, ICASSP 2009.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> sp.Gfcc(n_gfcc=13, n_bands=32, n_fft=512)(y, sr).shape
    (1, 13, 8)
    """

    n_gfcc: int = 20
    n_bands: int = 64
    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    fmin: float = 50.0
    fmax: float | None = None
    compression: str = "cubic-root"
    ref: float | str = 1.0
    top_db: float | None = 80.0
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"

    unit = "coefficient"

    def _check(self):
        super()._check()
        choose(self.compression, COMPRESSIONS, "compression")
        self._need(1 <= self.n_gfcc <= self.n_bands, f"give 1 to n_bands={self.n_bands}", "n_gfcc")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        found = self._filtered(y, sr, self.top_db)
        if self.compression == "log":
            compressed = power_to_db(found, self.ref, self.top_db)
        else:
            compressed = np.cbrt(to_share(found, self.ref))
        coefficients = fft.dct(compressed, axis=0, type=2, norm="ortho")[: self.n_gfcc]
        return np.ascontiguousarray(coefficients, dtype=np.float32)[None]

    @property
    def slug(self) -> str:
        return f"gfcc{self.n_gfcc}" + f"-{self.compression}" * (self.compression != "cubic-root")
