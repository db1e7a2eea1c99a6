"""Bytes become samples: float32 `(samples, channels)`, and every reason why they do not.

A recording is read to its true end, whatever its header says of its length. One that is damaged, cut short by its own count or cut inside,
is refused, or read as far as it goes, up to the first damage, so that times stay true: `damaged="error"` or `"partial"`.
"""

from __future__ import annotations

import functools
import math
import os
from typing import NamedTuple

import numpy as np

from ..core.values import choose
from .errors import AudioError, UnreadableError
from .readers import BLOCK, Reader, SampleBuffer, Sound, open_recording

DAMAGED = ("error", "partial")


class Decoded(NamedTuple):
    """Samples as they are stored.

    Parameters
    ----------
    y : np.ndarray
        float32 `(samples, channels)`.
    sr : int
        Sampling rate of the file in Hz.
    problem : str
        Why the recording is not whole and `y` ends early; "" if it is whole, as far as it was read.
    decoder : str
        The package that decoded it: "soundfile" or "av".
    seconds : float
        Duration of the recording, or of the span, also where only its beginning was read; of what was read if no header tells more.
    """

    y: np.ndarray
    sr: int
    problem: str
    decoder: str
    seconds: float


def _span(reader: Reader, start: float | None, end: float | None) -> tuple[int, int | None]:
    """First sample and number of samples of the span `start` to `end` (seconds); None if it goes to an end that is not known yet."""
    begin, stop = start or 0.0, math.inf if end is None else end
    name, sr, frames = reader.name, reader.sr, reader.frames
    if not 0 <= begin < stop:
        raise AudioError(name, f"has no span from {start} s to {end} s; start is 0 or later, and end after start")
    if frames is not None and round(min(begin * sr, frames)) == frames > 0:
        raise _ends_before(name, frames, sr, begin)
    first = round(begin * sr)
    last = frames if stop == math.inf else round(stop * sr)
    if last is None:
        return first, None
    if frames is not None:
        last = min(last, frames)
    if first == last and frames != 0:
        raise AudioError(name, f"has no sample between {begin:g} s and {stop:g} s at {sr} Hz")
    return first, last - first


def _ends_before(name: str, frames: int, sr: int, begin: float) -> AudioError:
    return AudioError(name, f"ends at {frames / sr:g} s, before the span from {begin:g} s")


def _in_blocks(source: Sound, first: int, count: int | None) -> np.ndarray:
    """What there is of a span before the recording breaks off, to a block: read at once, nothing of it would come back."""
    with open_recording(source) as reader:
        reader.seek(first)
        blocks = []
        while (count is None or count > 0) and len(y := reader.read(BLOCK if count is None else min(count, BLOCK))):
            blocks.append(y)
            count = None if count is None else count - len(y)
        return np.concatenate(blocks) if blocks else np.empty((0, reader.channels), np.float32)


def _refuse(reader: Reader, damaged: str) -> None:
    """AudioError for a recording that is not whole, if it has to be."""
    if reader.problem and damaged == "error":
        raise AudioError(reader.name, f"{reader.problem}; Audio(damaged='partial') reads what comes before")


def _too_long(reader: Reader, frames: int, more: str = "") -> AudioError:
    return AudioError(
        reader.name,
        f"lasts {more}{frames / reader.sr:.0f} s ({frames * reader.channels} samples), too long to be read at once; cut it into windows "
        f"(predict_windows, cut_windows)",
    )


def decode(
    source: Sound,
    start: float | None = None,
    end: float | None = None,
    buffer: SampleBuffer | None = None,
    damaged: str = "error",
    most: int | None = None,
    beginning: float | None = None,
) -> Decoded:
    """Read a recording, or a span of it, as it is stored.

    Parameters
    ----------
    source : str, os.PathLike, bytes or file
        The recording: its path, its bytes, or a file that is open in binary mode.
    start, end : float, optional
        Seconds in the file; default its beginning and its end.
    buffer : SampleBuffer, optional
        Memory for the samples; default fresh memory.
    damaged : str, default "error"
        A recording that breaks off is an "error", or its samples up to there are returned, "partial".
    most : int, optional
        Samples of all channels that are read at most; a longer recording, or span, is an error. Default as many as there are.
    beginning : float, optional
        Seconds from `start` on after which nothing is looked at, and so nothing is read. Default all.

    Returns
    -------
    Decoded
        `y` float32 `(samples, channels)`, `sr` in Hz, `problem` and `decoder`.

    Raises
    ------
    AudioError
        If it is not a recording, is truncated or damaged, too long, or has no sample in the span.
    """
    choose(damaged, DAMAGED, "damaged")
    with open_recording(source) as reader:
        _refuse(reader, damaged)
        first, count = _span(reader, start, end)
        span = count  # as its header has it
        if beginning is not None:
            looked = max(1, math.ceil(beginning * reader.sr))
            count = looked if count is None else min(count, looked)
        limit = math.inf if most is None else most // reader.channels
        if count is not None and count > limit:
            raise _too_long(reader, count)
        try:
            reader.seek(first)
            y = reader.read(limit + 1 if count is None and most is not None else count, buffer)
        except MemoryError as exc:
            raise UnreadableError(reader.name, f"does not fit into the memory there is: {exc}") from exc
        if len(y) > limit:
            raise _too_long(reader, len(y), "more than ")
        _refuse(reader, damaged)
    if reader.problem and isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)):
        y = _in_blocks(source, first, count)
    if not len(y):
        if first and not reader.problem:
            raise _ends_before(reader.name, reader.at, reader.sr, start or 0.0)
        raise AudioError(reader.name, reader.problem or "holds no samples")
    lasts = len(y) if span is None or reader.problem else span
    return Decoded(y, reader.sr, reader.problem, reader.decoder, lasts / reader.sr)


# ---------------------------------------------------------------------- how long it lasts


def _count(source: Sound, damaged: str) -> tuple[int, int]:
    """(samples, sampling rate) of a recording: as its header has them if that has been held against the file, else by decoding."""
    with open_recording(source) as reader:
        _refuse(reader, damaged)
        frames = reader.frames
        if frames is None or reader.problem or damaged == "partial":
            for _ in reader.blocks():
                pass
            _refuse(reader, damaged)
            frames = reader.at
        if not frames:
            raise AudioError(reader.name, reader.problem or "holds no samples")
        return frames, reader.sr


@functools.lru_cache(maxsize=4096)
def _count_again(path: str, size: int, mtime: int, damaged: str) -> tuple[int, int]:
    """`_count` of a file in this state: an hour of mp3 takes seconds to decode."""
    return _count(path, damaged)


def recording_seconds(path: str | os.PathLike, damaged: str = "error") -> float:
    """Duration of a recording, which is that of its samples.

    The headers of wav, flac, Ogg Vorbis and the like tell it; mp3, m4a and other recordings whose headers only estimate it are decoded.

    Parameters
    ----------
    path : str or os.PathLike
        The recording.
    damaged : str, default "error"
        A recording that breaks off is an "error", or lasts up to there, "partial".

    Returns
    -------
    float
        Seconds.

    Raises
    ------
    AudioError
        If it is not a recording, is truncated or holds no samples.

    Examples
    --------
    >>> from specimg.audio import recording_seconds
    >>> recording_seconds("night.wav")
    4.0
    """
    choose(damaged, DAMAGED, "damaged")
    try:
        stat = os.stat(path)
    except OSError:
        frames, sr = _count(path, damaged)  # which says what is wrong
    else:
        frames, sr = _count_again(os.path.abspath(path), stat.st_size, stat.st_mtime_ns, damaged)
    return frames / sr
