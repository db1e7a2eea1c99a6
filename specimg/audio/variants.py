"""Variants of a recording: the same sound with noise, rolled, stretched or at another pitch, as further pictures of it.

    tree = render_tree("audio_train", look, variants=(AddNoise(20), Roll(0.1), TimeStretch(0.8), PitchShift(-5)))
    tree.picture("dog.wav", variant=TimeStretch(0.8))             # images/dog.wav@stretch-0.8.png

A variant changes the samples before anything else is done to them, so that its picture is the one that a recording of the changed
sound would have. What is drawn by chance depends on the recording's name, its span and the variant alone: the bytes are the
same for any number of workers.

All pictures of a recording share its `path`, by which folds and splits keep them on one side. Variants are for training;
what a network is judged by are recordings as they are.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..core.values import Value, choose, kinds, register

__all__ = ["AddNoise", "PitchShift", "Roll", "TimeStretch", "Variant", "list_variants"]

REFERENCES = ("clip", "full")
WINDOW = 2048  # samples, of librosa's phase vocoder; shorter clips are padded to it


def _text(number: float) -> str:
    """As short as can be, without losing a digit: 0.8, 20."""
    return repr(number).removesuffix(".0")


@dataclass(frozen=True)
class Variant(Value):
    """Base of the variants: a value with a name for pictures and rows, and a call that changes samples."""

    @property
    @abstractmethod
    def name(self) -> str:
        """A few letters that say all of it; a part of the picture's name, and the manifest's column `variant`."""

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the samples; a tree records their versions."""
        return frozenset({"numpy"})

    @abstractmethod
    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        """Samples float32 `(samples,)` at `sr` -> the changed samples; `rng` decides what is left to chance, default seed 0."""


@dataclass(frozen=True)
class _Vocoded(Variant):
    """What librosa's phase vocoder does."""

    @property
    def libraries(self) -> frozenset[str]:
        return super().libraries | {"librosa", "scipy", "soxr"}

    @staticmethod
    def _by_vocoder(effect: str, y: np.ndarray, n_samples: int, **settings) -> np.ndarray:
        """A function of `librosa.effects`, which is only imported where it is needed."""
        import librosa.effects

        out = getattr(librosa.effects, effect)(np.pad(y, (0, max(0, WINDOW - len(y)))), **settings)
        return out[:n_samples].astype(np.float32, copy=False)


@register
@dataclass(frozen=True)
class AddNoise(Variant):
    """White noise, `db` decibels below the clip's own rms, or below full scale (`ref="full"`, an rms of 1)."""

    db: float = 20.0  # signal-to-noise ratio, where ref="clip"
    ref: str = "clip"  # "clip" or "full"

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
    """The clip goes round: what falls off its end comes in at its beginning."""

    share: float = 0.1  # of the clip, by which it moves later

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
class TimeStretch(_Vocoded):
    """Faster (`rate` above 1) or slower at the same pitch: `librosa.effects.time_stretch`, a phase vocoder."""

    rate: float = 0.8  # 0.8 lasts 1.25 times as long

    def _check(self):
        if not 0.1 <= self.rate <= 10 or self.rate == 1:
            raise ValueError(
                f"TimeStretch(rate={self.rate:g}): give a rate between 0.1 and 10, but not 1, which changes nothing"
            )

    @property
    def name(self) -> str:
        return f"stretch-{_text(self.rate)}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        return self._by_vocoder("time_stretch", y, max(1, round(len(y) / self.rate)), rate=self.rate)


@register
@dataclass(frozen=True)
class PitchShift(_Vocoded):
    """Higher (`steps` above 0) or lower, of the same length: `librosa.effects.pitch_shift`."""

    steps: float = -5.0  # semitones

    def _check(self):
        if not 0 < abs(self.steps) <= 48:
            raise ValueError(
                f"PitchShift(steps={self.steps:g}): give semitones from -48 to 48, but not 0, which changes nothing"
            )

    @property
    def name(self) -> str:
        return f"pitch{'+' if self.steps > 0 else '-'}{_text(abs(self.steps))}"

    def __call__(self, y: np.ndarray, sr: int, rng: np.random.RandomState | None = None) -> np.ndarray:
        return self._by_vocoder("pitch_shift", y, len(y), sr=sr, n_steps=self.steps)


def list_variants() -> list[str]:
    """Names of all kinds of variants, as `Variant.from_dict` takes them."""
    return list(kinds(Variant))


# ---------------------------------------------------------------------- variants at drawing time


def variants_by_name(variants: Iterable[Variant]) -> dict[str, Variant]:
    """Name -> variant, each once. ValueError where one is no variant."""
    if isinstance(variants, Variant):
        variants = [variants]
    found = {}
    for variant in variants:
        if not isinstance(variant, Variant):
            raise ValueError(
                f"{variant!r} is no variant; give values such as AddNoise(20) or TimeStretch(0.8) "
                f"(there are {', '.join(list_variants())})"
            )
        found[variant.name] = variant
    return found


def seeded(variant: Variant, path: str, start: float | None, end: float | None) -> Callable:
    """`variant` as a function `(y, sr) -> y` whose chance depends on these four alone, not on workers or order."""
    span = [None if second is None else float(second) for second in (start, end)]
    identity = json.dumps([path, *span, variant.name])  # in ASCII, names that are not UTF-8 too
    seed = int.from_bytes(hashlib.blake2b(identity.encode(), digest_size=4).digest(), "big")
    return lambda y, sr: variant(
        y, sr, np.random.RandomState(seed)
    )  # its numbers are frozen: the same with every version of numpy
