"""Spans of recordings as small Ogg Opus files, for a page to play.

What is played is what was drawn: `read_clip(path, renderer.audio, start, end)`, trimmed, filtered and padded as the picture shows
it, so that a cursor and the columns of the picture agree.

    sound = clip_sound("dog.wav", Audio(sr=16000, trim_db=40))
    sound.data, sound.begin, sound.seconds           # bytes; where its first sample lies in the recording, s; how long it lasts, s
    embed_first([40_000, 30_000, 90_000, 9_000], budget=80_000)     # [True, True, False, True]
    link_to("/data/dog.wav", "/data/pages", 1.0, 3.5)               # '../dog.wav#t=1.000,3.500'

Opus (RFC 6716) knows the rates 8, 12, 16, 24 and 48 kHz; other sounds are resampled to the next one above.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ..audio import Audio, resample
from ..audio.read import read_clip

__all__ = ["Sound", "clip_sound", "encode_opus", "embed_first", "link_to", "rate_in_words", "sound_bytes"]

RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, that Opus knows
BLOCK = 65_536  # samples a write: encoders of libsndfile are known to crash on minutes at once
LEAST, MOST = 6, 256  # kbit/s at the ends of libsndfile's scale for one channel
HEAD = 1000  # bytes of a file before the sound begins, about
BASE64 = 4 / 3  # characters in the page for each byte


@dataclass(frozen=True)
class Sound:
    """The sound of one clip, ready to be embedded."""

    data: bytes  # a whole Ogg file
    begin: float  # s in the recording, of its first sample
    seconds: float  # that it lasts


def _opus_rate(sr: int) -> int:
    """The rate of Opus that loses nothing of a sound of `sr`; beyond 48 kHz there is none, and nothing to hear."""
    return next((rate for rate in RATES if rate >= sr), RATES[-1])


def _takes_level() -> bool:
    """Can the encoder be told a rate? From soundfile 0.13 on."""
    import soundfile as sf

    return "compression_level" in inspect.signature(sf.SoundFile).parameters


def rate_in_words(kbits: float) -> str:
    """The quality of sounds, as a page states it."""
    return f"about {kbits:g} kbit/s" if _takes_level() else "libsndfile's own rate, about 28 kbit/s"


def encode_opus(y: np.ndarray, sr: int, kbits: float = 32) -> bytes:
    """Mono samples -> an Ogg Opus file of about `kbits` kbit/s that lasts as long, to the sample.

    soundfile below 0.13 knows no rates: it then takes libsndfile's own, about 28 kbit/s.
    """
    import soundfile as sf

    rate = _opus_rate(sr)
    y = np.clip(resample(y, sr, rate), -1, 1)
    quality = {"compression_level": float(np.clip((MOST - kbits) / (MOST - LEAST), 0, 1))} if _takes_level() else {}
    buffer = BytesIO()
    with sf.SoundFile(buffer, "w", rate, 1, format="OGG", subtype="OPUS", **quality) as file:
        for first in range(0, len(y), BLOCK):
            file.write(y[first : first + BLOCK])
    return buffer.getvalue()


def clip_sound(
    path,
    audio: Audio,
    start: float | None = None,
    end: float | None = None,
    until: float | None = None,
    kbits: float = 32,
) -> Sound:
    """The sound of a recording, or of its span from `start` to `end` seconds, conditioned as `audio` says.

    until : s in the recording, beyond which the network was shown nothing

    Raises AudioError where the recording is gone or broken.
    """
    clip = read_clip(path, audio, start, end)
    y = clip.y if until is None else clip.y[: max(1, round((until - clip.begin) * clip.sr))]
    return Sound(encode_opus(y, clip.sr, kbits), clip.begin, len(y) / clip.sr)


# ---------------------------------------------------------------------- embedded or linked


def sound_bytes(seconds: float, kbits: float) -> int:
    """About how many bytes of a page a sound takes."""
    return round((HEAD + seconds * kbits * 125) * BASE64)


def embed_first(sizes: Sequence[float], budget: float) -> list[bool]:
    """Which of them find room, the first ones first; one that does not fit leaves its room to smaller ones."""
    taken = []
    for size in sizes:
        taken.append(size <= budget)
        budget -= size if taken[-1] else 0
    return taken


def link_to(
    file: str | os.PathLike, folder: str | os.PathLike, start: float | None = None, end: float | None = None
) -> str:
    """The address of `file` as a page in `folder` links it: relative, where both are on one disk.

    start, end : seconds, which become a media fragment
    """
    file, folder = os.path.abspath(os.fspath(file)), os.path.abspath(os.fspath(folder))
    try:
        address = quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))
    except ValueError:  # another drive of Windows
        address = Path(file).as_uri()
    times = "" if start is None and end is None else f"#t={start or 0:.3f}" + ("" if end is None else f",{end:.3f}")
    return address + times
