"""What representations of windowed frames share, and the plainest of them, `Stft`.

    Stft()                                                         # magnitude in decibels
    Stft(scale="linear", ref=1.0)                                  # the magnitude itself; also "power", and "root" of the magnitude
    Stft(n_fft=400, hop_length=160, part="real")                   # the signed real part: 201 rows, 101 columns a second at 16 kHz
    Stft(part="real_imag"), Stft(part="magnitude_phase")           # two channels

`ref` means the same on every scale: the power that is 0 dB in decibels, and 1 on the others. It is the loudest cell of the clip
(`ref="max"`), or a number, with which a clip keeps its loudness relative to others. Decibels are drawn from `-top_db`, black, to 0,
white; the others from 0, signed ones from -1, to 1. `top_db` is also the floor under a clip's loudest cell, as in librosa. With a
number for `ref`, louder cells are white too, so choose one above the loudest cell, or `Picture(low=..., high=...)`: a full-scale
sine reaches 10 * log10((n_fft / 4)**2) dB in the STFT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..core.values import choose, register
from .base import Range, Representation
from .spectrum import (
    PAD_MODES,
    SCALES,
    UNITS,
    check_decibels,
    check_frames,
    framing,
    n_frames,
    reference_power,
    scale_range,
    stft,
    stft_power,
    to_float32,
    to_scale,
)

PARTS = ("magnitude", "real", "real_imag", "magnitude_phase")
SIGNED_SCALES = ("linear", "root")


@dataclass(frozen=True)
class _Framed(Representation):
    """What windowed frames share; the fields are those of its subclasses."""

    def _check(self):
        check_frames(self)
        choose(self.pad_mode, PAD_MODES, "pad_mode")
        check_decibels(self)

    def _check_length(self, y: np.ndarray, sr: int) -> None:
        if n_frames(len(y), self.n_fft, self.hop_length, self.center) < 1:
            raise ValueError(
                f"a clip of {len(y)} samples is shorter than the window of {self.n_fft} ({self.n_fft / sr:.3f} s); "
                f"use a smaller n_fft, center=True, or Audio(duration=...)"
            )
        if self.center and self.pad_mode == "reflect" and len(y) <= self.n_fft // 2:
            raise ValueError(
                f"a clip of {len(y)} samples is too short to be reflected by {self.n_fft // 2}; use pad_mode='constant'"
            )

    def hop_seconds(self, sr: int) -> float:
        return self.hop_length / sr

    def first_column(self, sr: int) -> float:
        return 0.0 if self.center else self.n_fft / 2 / sr


@register
@dataclass(frozen=True)
class Stft(_Framed):
    """Short-time Fourier transform: `librosa.stft`, its magnitude in dB, or a signed or two-channel form of it.

    float32 `(1 or 2, 1 + n_fft // 2, frames)`, computed in double precision; agrees with librosa to 1e-4 dB, and to 1e-6 of the loudest
    cell on the other scales.

    Parameters
    ----------
    n_fft : int, default 2048
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    win_length : int, optional
        Samples of the window in the middle of a frame; default `n_fft`.
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
    part : str, default "magnitude"
        "magnitude"; "real", the real part with its sign, mid-grey is 0; "real_imag", real and imaginary part as two channels;
        "magnitude_phase", the magnitude and the angle in rad, -pi to pi (the two ends are one angle; silent cells have 0).
    scale : str, optional
        "db", "power", "linear" (amplitude) or "root" (square root of the amplitude); default "db", of signed parts "linear".

    Notes
    -----
    The magnitude in dB is `librosa.amplitude_to_db(abs(librosa.stft(y, ...)), ref=np.max, top_db=80)`. 8 bits hold the linear scale to
    1/127 of the loudest cell, so in speech half of the real part's cells are mid-grey; scale="root", the square root with its sign,
    keeps cells that are 80 dB below.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")                                    # 300 Hz
    >>> spec = sp.Stft(n_fft=800, hop_length=200)
    >>> x = spec(y, sr)
    >>> x.shape, float(spec.frequencies(sr)[x[0].mean(axis=1).argmax()])
    ((1, 401, 21), 300.0)
    >>> sp.Stft(part="magnitude_phase")(y, sr).shape
    (2, 1025, 8)
    """

    n_fft: int = 2048
    hop_length: int = 512
    win_length: int | None = None
    ref: float | str = "max"
    top_db: float | None = 80.0
    window: str = "hann"
    center: bool = True
    pad_mode: str = "constant"
    part: str = "magnitude"
    scale: str | None = None

    def _check(self):
        super()._check()
        choose(self.part, PARTS, "part")
        if self.scale is not None:
            choose(self.scale, SCALES, "scale")
            if self._signed and self.scale not in SIGNED_SCALES:
                raise ValueError(
                    f"Stft(part={self.part!r}, scale={self.scale!r}): signed parts have no {UNITS[self.scale]}; "
                    f"choose {' or '.join(map(repr, SIGNED_SCALES))}, or part='magnitude'"
                )

    @property
    def _signed(self) -> bool:
        return self.part in ("real", "real_imag")

    @property
    def _scale(self) -> str:
        return self.scale or ("linear" if self._signed else "db")

    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        self._check_length(y, sr)
        if self.part == "magnitude":
            return self._scaled(stft_power(y, **framing(self)))[None]
        found = stft(y, **framing(self))
        found += 0.0  # the -0.0 of silence would have the angle pi
        power = np.square(found.real) + np.square(found.imag)
        if self.part == "magnitude_phase":
            return np.stack([self._scaled(power), np.angle(found).astype(np.float32)])
        planes = np.stack([found.real, found.imag][: self.channels])
        return self._signed_share(planes, reference_power(power, self.ref))

    def _scaled(self, power: np.ndarray) -> np.ndarray:
        return to_scale(power, self._scale, self.ref, self.top_db)

    def _signed_share(self, planes: np.ndarray, one: float | None) -> np.ndarray:
        """Signed amplitudes in units of the amplitude whose power is `one`, float32."""
        if one is None:
            return np.zeros(planes.shape, np.float32)
        planes /= math.sqrt(one)
        if self._scale == "root":
            planes = np.sign(planes) * np.sqrt(np.abs(planes))
        return to_float32(planes)

    @property
    def channels(self) -> int:
        return 2 if self.part in ("real_imag", "magnitude_phase") else 1

    @property
    def unit(self) -> str:
        return UNITS[self._scale] + ", rad" * (self.part == "magnitude_phase")

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        if self._signed:
            return ((-1.0, 1.0),) * self.channels
        magnitude = scale_range(self._scale, self.top_db)
        return (magnitude, (-math.pi, math.pi)) if self.part == "magnitude_phase" else (magnitude,)

    def frequencies(self, sr: int) -> np.ndarray:
        return np.fft.rfftfreq(self.n_fft, 1 / sr)

    @property
    def slug(self) -> str:
        return (
            f"stft{self.n_fft}"
            + f"-{self.part}" * (self.part != "magnitude")
            + f"-{self.scale}" * (self.scale is not None)
        )
