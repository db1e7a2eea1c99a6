"""Spans of recordings as small Ogg Opus files, for pages and notebooks to play.

A sound is what was drawn: `read_clip(path, renderer.audio, start, end)`, trimmed, filtered and padded as its picture, so that the cursor
and the picture's columns agree.

    sound = clip_sound("dog.wav", Audio(sr=16000, trim_db=40))
    sound.data, sound.begin, sound.seconds           # bytes; position of its first sample in the recording, s; its duration, s

Opus (RFC 6716) has the sampling rates 8, 12, 16, 24 and 48 kHz; other sounds are resampled to the next higher one.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from .effects import resample
from .read import Audio, read_clip

RATES = (8000, 12000, 16000, 24000, 48000)  # Hz, of Opus
BLOCK = 65_536  # samples per write: encoders of libsndfile are known to crash on minutes at once
LEAST, MOST = 6, 256  # kbit/s, the range of libsndfile for one channel


@dataclass(frozen=True)
class Sound:
    """The sound of one clip, ready to be embedded."""

    data: bytes  # a whole Ogg file
    begin: float  # position of its first sample in the recording, s
    seconds: float  # duration


def _opus_rate(sr: int) -> int:
    """The lowest sampling rate of Opus that keeps all frequencies of a sound of `sr`; at most 48 kHz, beyond which nothing is audible."""
    return next((rate for rate in RATES if rate >= sr), RATES[-1])


def _takes_level() -> bool:
    """Whether soundfile takes a bit rate, as from 0.13 on."""
    import soundfile as sf

    return "compression_level" in inspect.signature(sf.SoundFile).parameters


def describe_bitrate(kbits: float) -> str:
    """The bit rate of sounds, for the page."""
    return f"about {kbits:g} kbit/s" if _takes_level() else "libsndfile's default, about 28 kbit/s"


def encode_opus(y: np.ndarray, sr: int, kbits: float = 32) -> bytes:
    """Mono samples as an Ogg Opus file of about `kbits` kbit/s and the same duration, to the sample.

    With soundfile below 0.13 the bit rate is libsndfile's default, about 28 kbit/s.
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
    """The sound of a recording, or of its span from `start` to `end` seconds, conditioned by `audio`, up to `until` seconds.

    AudioError if the recording is missing or unreadable.
    """
    clip = read_clip(path, audio, start, end)
    y = clip.y if until is None else clip.y[: max(1, round((until - clip.begin) * clip.sr))]
    return Sound(encode_opus(y, clip.sr, kbits), clip.begin, len(y) / clip.sr)
