"""Variants of a recording: the same sound with noise, rolled, stretched or at another pitch, as further pictures of it.

    tree = render_tree("audio_train", renderer, variants=(AddNoise(20), Roll(0.1), TimeStretch(0.8), PitchShift(-5)))
    tree.picture("dog.wav", variant=TimeStretch(0.8))             # images/dog.wav@stretch-0.8.png

A variant changes the samples before anything else is done to them, so that its picture is the one that a recording of the changed
sound would have. Its random numbers depend on the recording's name, its span and the variant alone: the bytes are the same for any
number of workers.

All pictures of a recording share its `path`, by which folds and splits keep them together. Variants are for training; a network is
evaluated on recordings as they are.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..core.samples import takes_samples
from ..core.values import Value, choose, kinds, register

REFERENCES = ("clip", "full")
WINDOW = 2048  # samples, of librosa's phase vocoder; shorter clips are padded to it


def _text(number: float) -> str:
    """As short as can be, without losing a digit: 0.8, 20."""
    return repr(number).removesuffix(".0")


@dataclass(frozen=True)
class Variant(Value):
    """Base class of the variants: a value with a name for pictures and rows, and a call that changes samples.

    A new one is a frozen dataclass with the decorator `specimg.core.values.register`, a `name` and a `__call__`.

    Examples
    --------
    >>> variant = sp.audio.Variant.from_dict({"kind": "roll", "share": 0.25})
    >>> variant, variant.name
    (Roll(share=0.25), 'roll-0.25')
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = takes_samples(cls.__call__, position=1)

    @classmethod
    def from_dict(cls, data: dict) -> Variant:
        """The variant that a dictionary describes.

        Parameters
        ----------
        data : dict
            As `to_dict` gives it; "stretch", the kind that earlier versions wrote, is `TimeStretch`.

        Returns
        -------
        Variant
        """
        if isinstance(data, dict) and data.get("kind") == "stretch":
            data = {**data, "kind": "timestretch"}
        return super().from_dict(data)

    @property
    @abstractmethod
    def name(self) -> str:
        """Short text that identifies the variant; part of the picture's name, and the manifest's column `variant`."""

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the samples; a tree records their versions."""
        return frozenset({"numpy"})

    @abstractmethod
    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Change samples float32 `(samples,)` at `sr` Hz; `rng` gives the random numbers, by default those of seed 0."""


@dataclass(frozen=True)
class _PhaseVocoder(Variant):
    """What librosa's phase vocoder does."""

    @property
    def libraries(self) -> frozenset[str]:
        return super().libraries | {"librosa", "scipy", "soxr"}

    @staticmethod
    def _stretch(y: np.ndarray, rate: float) -> np.ndarray:
        """`librosa.effects.time_stretch`, whose own call in librosa 1.0 warns of a parameter; shorter clips are padded to a window."""
        import librosa  # takes a second, and most renderers do without it

        y = np.pad(y, (0, max(0, WINDOW - len(y))))
        with np.errstate(invalid="ignore"):  # librosa 1.0 casts the angle of silence
            frames = librosa.phase_vocoder(librosa.stft(y), rate=rate)
        return librosa.istft(frames, dtype=y.dtype, length=round(len(y) / rate))


@register
@dataclass(frozen=True)
class AddNoise(Variant):
    """White noise at a given signal-to-noise ratio.

    Parameters
    ----------
    db : float, default 20.0
        Decibels by which the noise lies below the reference, -120 to 120.
    ref : str, default "clip"
        The reference: "clip" (the clip's own rms, so that `db` is the signal-to-noise ratio) or "full" (full scale, an rms of 1).

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> noise = sp.audio.AddNoise(20)(y, sr) - y
    >>> round(20 * np.log10(y.std() / noise.std()))
    20
    """

    db: float = 20.0
    ref: str = "clip"

    def _check(self):
        choose(self.ref, REFERENCES, "ref of AddNoise")
        if abs(self.db) > 120:
            raise ValueError(f"AddNoise(db={self.db:g}): give decibels between -120 and 120")

    @property
    def name(self) -> str:
        return f"noise{'+' if self.db < 0 else '-'}{_text(abs(self.db))}dB{'FS' if self.ref == 'full' else ''}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        rng = rng or np.random.RandomState(0)
        rms = 1.0 if self.ref == "full" else np.sqrt(np.mean(np.square(y, dtype=np.float64)))
        return (y + rms * 10 ** (-self.db / 20) * rng.standard_normal(len(y))).astype(np.float32)


@register
@dataclass(frozen=True)
class Roll(Variant):
    """Move the clip in time; what leaves at its end comes in at its beginning.

    Parameters
    ----------
    share : float, default 0.1
        Share of the clip by which it moves later, above 0 and below 1.

    Examples
    --------
    >>> sp.audio.Roll(0.25)(np.array([1.0, 2.0, 3.0, 4.0]), sr=4)
    array([4., 1., 2., 3.])
    """

    share: float = 0.1

    def _check(self):
        if not 0 < self.share < 1:
            raise ValueError(
                f"Roll(share={self.share:g}): give a share of the clip above 0 and below 1; 0.9 moves it earlier by 0.1"
            )

    @property
    def name(self) -> str:
        return f"roll-{_text(self.share)}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        return np.roll(y, round(self.share * len(y)))


@register
@dataclass(frozen=True)
class TimeStretch(_PhaseVocoder):
    """Change the tempo and keep the pitch, as `librosa.effects.time_stretch`: a phase vocoder.

    Parameters
    ----------
    rate : float, default 0.8
        Factor of the tempo, 0.1 to 10 and not 1; 0.8 is slower and lasts 1.25 times as long.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> len(y), len(sp.audio.TimeStretch(0.8)(y, sr))
    (4000, 5000)
    """

    rate: float = 0.8

    def _check(self):
        if not 0.1 <= self.rate <= 10 or self.rate == 1:
            raise ValueError(
                f"TimeStretch(rate={self.rate:g}): give a rate between 0.1 and 10, but not 1, which changes nothing"
            )

    @property
    def name(self) -> str:
        return f"stretch-{_text(self.rate)}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        return self._stretch(y, self.rate)[: max(1, round(len(y) / self.rate))]


@register
@dataclass(frozen=True)
class PitchShift(_PhaseVocoder):
    """Change the pitch and keep the duration, as `librosa.effects.pitch_shift`: a phase vocoder, then resampling.

    Parameters
    ----------
    steps : float, default -5.0
        Semitones, -48 to 48 and not 0; above 0 is higher.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")                         # 300 Hz
    >>> octave_up = sp.audio.PitchShift(12)(y, sr)
    >>> float(np.fft.rfftfreq(len(y), 1 / sr)[np.argmax(np.abs(np.fft.rfft(octave_up)))])
    600.0
    """

    steps: float = -5.0

    def _check(self):
        if not 0 < abs(self.steps) <= 48:
            raise ValueError(
                f"PitchShift(steps={self.steps:g}): give semitones from -48 to 48, but not 0, which changes nothing"
            )

    @property
    def name(self) -> str:
        return f"pitch{'+' if self.steps > 0 else '-'}{_text(abs(self.steps))}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        import librosa

        rate = 2.0 ** (-self.steps / 12)
        higher = librosa.resample(self._stretch(y, rate), orig_sr=sr / rate, target_sr=sr)
        return librosa.util.fix_length(higher, size=len(y))


def list_variants() -> list[str]:
    """Names of all kinds of variants, as `Variant.from_dict` takes them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> sp.audio.list_variants()
    ['addnoise', 'pitchshift', 'roll', 'timestretch']
    """
    return list(kinds(Variant))


# ---------------------------------------------------------------------- variants at drawing time


def variants_by_name(variants: Variant | Iterable[Variant]) -> dict[str, Variant]:
    """Name -> variant, each once.

    Raises
    ------
    ValueError
        If one is not a variant.
    """
    if isinstance(variants, Variant):
        variants = [variants]
    found = {}
    for variant in variants:
        if not isinstance(variant, Variant):
            raise ValueError(
                f"{variant!r} is not a variant; give values such as AddNoise(20) or TimeStretch(0.8) "
                f"(there are {', '.join(list_variants())})"
            )
        found[variant.name] = variant
    return found


def seeded(
    variant: Variant, path: str, start: float | None, end: float | None
) -> Callable[[np.ndarray, int], np.ndarray]:
    """`variant` as a function `(y, sr) -> y` whose random numbers depend on these four alone, not on workers or order."""
    span = [None if second is None else float(second) for second in (start, end)]
    identity = json.dumps([path, *span, variant.name])  # in ASCII, names that are not UTF-8 too
    seed = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=4).digest(), "big")
    return lambda y, sr: variant(y, sr, np.random.RandomState(seed))  # numpy keeps this generator's numbers for ever
