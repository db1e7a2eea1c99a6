"""Small data sets in the true layouts of competitions, with made-up sounds: file names, columns and row formats are the real ones.

    folder = freesound_2018(tmp_path / "freesound-audio-tagging")     # miniatures.freesound
    truth = answers_2018()                                            # what the sounds of its test set are

Every call writes the same bytes. Classes differ by pitch, an octave or a third apart, so that a small network learns them at once.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import soundfile as sf

__all__ = ["random_of", "hex_name", "tone", "hiss", "write_wav", "write_csv"]


def _digest(*names) -> bytes:
    return hashlib.blake2b(repr(names).encode(), digest_size=8).digest()


def random_of(*names) -> np.random.Generator:
    """A generator of random numbers that depends on what it is for, and not on what was made before."""
    return np.random.default_rng(list(_digest(*names)))


def hex_name(*names, digits: int = 8) -> str:
    """A file name of hexadecimal digits, as many data sets have them."""
    return _digest(*names).hex()[:digits]


def tone(hz: float, seconds: float, sr: int, rng: np.random.Generator) -> np.ndarray:
    """A sine close to `hz`, of random level and phase, in a little noise."""
    t = np.arange(round(seconds * sr)) / sr
    pitch, level, phase = hz * rng.uniform(0.97, 1.03), rng.uniform(0.2, 0.6), rng.uniform(0, 2 * np.pi)
    return level * np.sin(2 * np.pi * pitch * t + phase) + 0.005 * rng.standard_normal(len(t))


def hiss(seconds: float, sr: int, rng: np.random.Generator) -> np.ndarray:
    """White noise of random level."""
    return rng.uniform(0.05, 0.15) * rng.standard_normal(round(seconds * sr))


def write_wav(path: Path, y: np.ndarray, sr: int) -> None:
    """A 16-bit wav file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, y, sr, subtype="PCM_16", format="WAV")


def write_csv(path: Path, columns: list[str], rows: list) -> None:
    """A csv file with a header; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *rows])
