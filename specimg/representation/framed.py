"""Representations made of windowed frames: `Mel`, `Stft` and `Mfcc`, with librosa's parameters, defaults and numbers.

All of them draw decibels below the loudest cell of the clip (`ref="max"`), or below a fixed power (`ref=1.0`), which keeps
the loudness of a clip against the others. `top_db` is both the floor under a clip's loudest cell, as in librosa, and the
range that is drawn: from `-top_db`, black, to 0 dB, white. With a number for `ref` what is louder is white too, so choose one above
the loudest cell, or `Picture(low=..., high=...)`: a full-scale sine reaches 10 * log10((n_fft / 4)**2) in the STFT.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from ..values import register
from .base import Range, Representation
from .spectrum import check_frames, mel_bank, mel_edges, mel_power, n_frames, stft_power, to_db

__all__ = ["Mel", "Stft", "Mfcc"]


@dataclass(frozen=True)
class _Framed(Representation):
    """What windowed frames share; the fields are those of its subclasses."""

    def _check(self):
        check_frames(self)

    def _framing(self) -> dict:
        return dict(n_fft=self.n_fft, hop_length=self.hop_length, win_length=self.win_length or self.n_fft, window=self.window,
                    center=self.center, pad_mode=self.pad_mode)

    def _check_length(self, y: np.ndarray, sr: int) -> None:
        if n_frames(len(y), self.n_fft, self.hop_length, self.center) < 1:
            raise ValueError(f"a clip of {len(y)} samples is shorter than the window of {self.n_fft} ({self.n_fft / sr:.3f} s); use a smaller "
                             f"n_fft, center=True, or Audio(duration=...)")
        if self.center and self.pad_mode == "reflect" and len(y) <= self.n_fft // 2:
            raise ValueError(f"a clip of {len(y)} samples is too short to be reflected by {self.n_fft // 2}; use pad_mode='constant'")

    def hop_seconds(self, sr: int) -> float:
        return self.hop_length / sr

    def first_column(self, sr: int) -> float:
        return 0.0 if self.center else self.n_fft / 2 / sr

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return ((-self.top_db, 0.0) if self.top_db is not None else None,)


@dataclass(frozen=True)
class _MelFramed(_Framed):
    """Frames under a mel filter bank."""

    def _check(self):
        super()._check()
        if self.n_mels < 1:
            raise ValueError(f"{type(self).__name__}(n_mels={self.n_mels}): give 1 filter or more")
        if self.power <= 0:
            raise ValueError(f"{type(self).__name__}(power={self.power:g}): 2 for power, 1 for magnitude")
        if self.fmin < 0 or (self.fmax is not None and self.fmax <= self.fmin):
            raise ValueError(f"{type(self).__name__}(fmin={self.fmin:g}, fmax={self.fmax}): give 0 <= fmin < fmax, in Hz")
        if self.norm not in ("slaney", None):
            raise ValueError(f"unknown norm {self.norm!r}; choose 'slaney' or None")

    def _fmax(self, sr: int) -> float:
        fmax = sr / 2 if self.fmax is None else self.fmax
        if fmax > sr / 2 or fmax <= self.fmin:
            raise ValueError(f"mel filters from {self.fmin:g} to {fmax:g} Hz do not fit a clip at {sr} Hz, which ends at {sr / 2:g} Hz; "
                             f"lower fmin and fmax, or set Audio(sr=...)")
        return fmax

    def _mel_db(self, y: np.ndarray, sr: int) -> np.ndarray:
        """dB float32 `(n_mels, frames)`."""
        self._check_length(y, sr)
        bank = mel_bank(sr, self.n_fft, self.n_mels, self.fmin, self._fmax(sr), self.htk, self.norm)
        with np.errstate(over="ignore", invalid="ignore"):   # to_db says so where powers overflow
            mel = mel_power(y, bank, power=self.power, top_db=self.top_db, **self._framing())
        return to_db(mel, self.ref, self.top_db)


@register
@dataclass(frozen=True)
class Mel(_MelFramed):
    """Mel spectrogram in dB: `librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, ...), ref=np.max, top_db=80)`.

    float32 `(1, n_mels, frames)`; agrees with librosa to 2e-3 dB for `top_db <= 80`, and to 1e-4 dB beyond that or with
    `top_db=None`, where it is computed in double precision. Unlike librosa's, digital silence lies at `-top_db`.
    Filters that catch no frequency bin are a ValueError when a clip is drawn.
    """

    n_mels: int = 128               # filters, rows
    n_fft: int = 2048               # samples
    hop_length: int = 512           # samples from frame to frame
    win_length: int | None = None   # samples; None is n_fft
    fmin: float = 0.0               # Hz
    fmax: float | None = None       # Hz; None is sr / 2
    power: float = 2.0              # of the magnitude
    ref: float | str = "max"        # power that is 0 dB; "max" is the clip's loudest cell
    top_db: float | None = 80.0     # dB below the loudest cell; the range drawn
    window: str = "hann"            # any name scipy.signal.get_window takes
    center: bool = True             # frame t is centred on sample t * hop_length
    pad_mode: str = "constant"      # beyond the ends: "constant" (zeros), "reflect" or "edge"
    htk: bool = False               # HTK's mel scale instead of Slaney's
    norm: str | None = "slaney"     # filters of equal area, or None: of equal height

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        return self._mel_db(y, sr)[None]

    def frequencies(self, sr: int) -> np.ndarray:
        return mel_edges(self.n_mels, self.fmin, self._fmax(sr), self.htk)[1:-1]

    @property
    def slug(self) -> str:
        return f"mel{self.n_mels}"


@register
@dataclass(frozen=True)
class Stft(_Framed):
    """Magnitude of the short-time Fourier transform in dB: `librosa.amplitude_to_db(abs(librosa.stft(y, ...)), ref=np.max, top_db=80)`.

    float32 `(1, 1 + n_fft // 2, frames)`, always computed in double precision; agrees with librosa to 1e-4 dB.
    """

    n_fft: int = 2048               # samples
    hop_length: int = 512           # samples from frame to frame
    win_length: int | None = None   # samples; None is n_fft
    ref: float | str = "max"        # power that is 0 dB; "max" is the clip's loudest cell
    top_db: float | None = 80.0     # dB below the loudest cell; the range drawn
    window: str = "hann"            # any name scipy.signal.get_window takes
    center: bool = True             # frame t is centred on sample t * hop_length
    pad_mode: str = "constant"      # beyond the ends: "constant" (zeros), "reflect" or "edge"

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        self._check_length(y, sr)
        return to_db(stft_power(y, **self._framing()), self.ref, self.top_db)[None]

    def frequencies(self, sr: int) -> np.ndarray:
        return np.fft.rfftfreq(self.n_fft, 1 / sr)

    @property
    def slug(self) -> str:
        return f"stft{self.n_fft}"


@register
@dataclass(frozen=True)
class Mfcc(_MelFramed):
    """Mel-frequency cepstral coefficients: `librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20, lifter=0, ...)`, an orthonormal DCT-II of the mel dB.

    float32 `(1, n_mfcc, frames)`, coefficient 0 in row 0, without a unit. As they have no natural range, each picture is drawn
    from its own lowest to its own highest value (which the picture records); set `Picture(low=..., high=...)` for a fixed one.
    """

    n_mfcc: int = 20                # coefficients, rows
    n_mels: int = 128               # filters under them
    n_fft: int = 2048               # samples
    hop_length: int = 512           # samples from frame to frame
    win_length: int | None = None   # samples; None is n_fft
    fmin: float = 0.0               # Hz
    fmax: float | None = None       # Hz; None is sr / 2
    power: float = 2.0              # of the magnitude
    ref: float | str = 1.0          # power that is 0 dB, as in librosa; "max" takes the level out of coefficient 0
    top_db: float | None = 80.0     # dB below the loudest cell
    lifter: float = 0.0             # above 0: sinusoidal liftering, as in librosa
    window: str = "hann"            # any name scipy.signal.get_window takes
    center: bool = True             # frame t is centred on sample t * hop_length
    pad_mode: str = "constant"      # beyond the ends: "constant" (zeros), "reflect" or "edge"
    htk: bool = False               # HTK's mel scale instead of Slaney's
    norm: str | None = "slaney"     # filters of equal area, or None: of equal height

    def _check(self):
        super()._check()
        if not 1 <= self.n_mfcc <= self.n_mels:
            raise ValueError(f"Mfcc(n_mfcc={self.n_mfcc}) has to lie between 1 and n_mels={self.n_mels}")
        if self.lifter < 0:
            raise ValueError(f"Mfcc(lifter={self.lifter:g}): give 0 for none, or a number above 0")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        coefficients = fft.dct(self._mel_db(y, sr), axis=0, type=2, norm="ortho")[: self.n_mfcc]
        if self.lifter:
            order = np.arange(1, self.n_mfcc + 1, dtype=coefficients.dtype)
            coefficients = coefficients * (1 + self.lifter / 2 * np.sin(np.pi * order / self.lifter))[:, None]
        return np.ascontiguousarray(coefficients, dtype=np.float32)[None]

    @property
    def unit(self) -> str:
        return "coefficient"

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        return (None,)

    @property
    def slug(self) -> str:
        return f"mfcc{self.n_mfcc}"
