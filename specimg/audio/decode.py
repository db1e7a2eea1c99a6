"""Bytes become samples: float32 `(samples, channels)`, and every reason why they do not.

libsndfile decodes (wav, flac, ogg, opus, mp3, aiff ...), always to float32: integers would wrap where a lossy file exceeds full scale.
Samples are nominally in [-1, 1]; what lies a little beyond in float and lossy files is kept, as librosa does.

libsndfile reads a truncated file without an error. Here the size that the header declares is compared first.
"""

from __future__ import annotations

import math
import os
import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    import soundfile

__all__ = ["AudioError", "SampleBuffer", "UnreadableError", "decode", "recording_seconds"]

MAX_FRAMES_PER_BYTE = 8192  # no codec packs more: FLAC's longest blocks of one constant reach 5461
# sizes that ffmpeg, sox and arecord leave when they write into a pipe
STREAMED = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 2**64 - 1)


class AudioError(ValueError):
    """A recording that cannot be used; the message holds its path and the reason.

    Parameters
    ----------
    path : str or os.PathLike
        The recording.
    reason : str
        What is wrong with it, as the rest of a sentence that begins with the path.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"{os.fspath(path)!r}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class UnreadableError(AudioError):
    """A recording that the system does not let us read. The file itself may be intact, so it is worth another attempt."""


class SampleBuffer:
    """A float32 array that is used again for every clip.

    Fresh memory of a megabyte is mapped, cleared page by page and unmapped for each clip, a third of the time of drawing it.
    """

    def __init__(self):
        self._memory = np.empty(0, np.float32)

    def take(self, *shape: int) -> np.ndarray:
        """An uninitialised float32 array of this shape, valid until the next `take`."""
        size = math.prod(shape)
        if self._memory.size < size:
            self._memory = np.empty(size, np.float32)
        return self._memory[:size].reshape(shape)


# ---------------------------------------------------------------------- bytes to samples

# magic: where the first chunk begins, the head of a chunk (name, bytes), the name of the samples' chunk, the alignment of chunks
_CHUNKED = {
    b"RIFF": (12, "<4sI", b"data", 2),  # wav
    b"RF64": (12, "<4sI", b"data", 2),  # wav beyond 4 GiB
    b"RIFX": (12, ">4sI", b"data", 2),  # wav, big-endian
    b"FORM": (12, ">4sI", b"SSND", 2),  # aiff
    b"riff": (40, "<4s12xQ", b"data", 8),  # w64; its sizes count the head
    b"caff": (8, ">4sQ", b"data", 1),  # caf
}


def _declared_samples(file: BinaryIO, file_size: int) -> tuple[int, int]:
    """(first byte, number of bytes) of the samples as the header of a wav, aiff, caf, w64 or au has them; (0, 0) for any other file."""
    magic = file.read(4)
    if magic in (b".snd", b"dns."):  # au, big- and little-endian
        order = "big" if magic == b".snd" else "little"
        return int.from_bytes(file.read(4), order), int.from_bytes(file.read(4), order)
    if magic not in _CHUNKED:
        return 0, 0
    at, head, samples, alignment = _CHUNKED[magic]
    width, long_size = struct.calcsize(head), 0
    while at + width <= file_size:
        file.seek(at)
        name, size = struct.unpack(head, file.read(width))
        if magic == b"riff":
            size = max(0, size - width)
        if name == b"ds64":  # RF64 keeps the true size here
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name == samples:
            return at + width, long_size if magic == b"RF64" and size == 0xFFFFFFFF else size
        at += width + size + -size % alignment
    return 0, 0


def _missing_bytes(path: str) -> int:
    """How many bytes of samples a file lacks of those its header declares. The sizes of streaming writers declare nothing."""
    with open(path, "rb") as file:
        file_size = os.fstat(file.fileno()).st_size
        begin, size = _declared_samples(file, file_size)
    return 0 if size in STREAMED else max(0, begin + size - file_size)


def open_recording(path: str | os.PathLike) -> tuple[soundfile.SoundFile, int]:
    """(an open `soundfile.SoundFile`, the bytes it lacks of those its header declares); AudioError if it is not a recording."""
    import soundfile

    path = os.fspath(path)
    if os.path.isdir(path):
        raise AudioError(path, "is a folder, not a recording")
    if not os.path.exists(path):
        link = f"is a broken link to {os.readlink(path)!r}" if os.path.islink(path) else "is not there"
        raise AudioError(path, link)
    try:
        if os.path.getsize(path) == 0:
            raise AudioError(path, "is empty (0 bytes)")
        missing = _missing_bytes(path)
        name = path if os.name == "nt" else os.fsencode(path)  # as bytes: a name need not be UTF-8
        return soundfile.SoundFile(name), missing
    except OSError as exc:
        raise UnreadableError(path, f"cannot be read: {exc.strerror or exc}") from exc
    except soundfile.SoundFileError as exc:
        raise AudioError(path, f"is not a recording libsndfile can read: {libsndfile_message(exc)}") from exc


def truncation_reason(missing: int) -> str:
    """The reason for a recording that lacks so many bytes."""
    return f"is cut short: it ends {missing} bytes before its header says"


def _open_whole(path: str | os.PathLike) -> soundfile.SoundFile:
    """An open `soundfile.SoundFile` that is all there."""
    file, missing = open_recording(path)
    if missing:
        file.close()
        raise AudioError(path, truncation_reason(missing))
    return file


def libsndfile_message(exc: Exception) -> str:
    """libsndfile's own words, without the path that soundfile puts before them."""
    return getattr(exc, "error_string", str(exc)).rstrip(".")


def _span(path, frames: int, sr: int, start: float | None, end: float | None) -> tuple[int, int]:
    """First sample and number of samples of the span `start` to `end` (seconds) of a file of `frames` samples."""
    begin, stop = start or 0.0, math.inf if end is None else end
    if not 0 <= begin < stop:
        raise AudioError(path, f"has no span from {start} s to {end} s; start is 0 or later, and end after start")
    first, last = (round(min(seconds * sr, frames)) for seconds in (begin, stop))
    if frames and first == frames:
        raise AudioError(path, f"ends at {frames / sr:g} s, before the span from {begin:g} s")
    if frames and first == last:
        raise AudioError(path, f"has no sample between {begin:g} s and {stop:g} s at {sr} Hz")
    return first, last - first


def _check_length(path, frames: int) -> None:
    """AudioError if the header's number of samples cannot be true; otherwise memory for all of them would be requested."""
    if frames == 2**63 - 1:
        raise AudioError(
            path,
            "does not say how many samples it holds, because it was written into a pipe; convert it once more, from file to file",
        )
    size = os.path.getsize(path)
    if frames > MAX_FRAMES_PER_BYTE * size:
        raise AudioError(path, f"is damaged: its header claims {frames} samples in {size} bytes")


def _read_samples(file: soundfile.SoundFile, n: int, buffer: SampleBuffer) -> np.ndarray:
    """The next `n` samples float32 `(samples, channels)`, fewer where the file breaks off.

    16-bit samples are read as they are and scaled here: the same numbers (a power of two) four times as fast as libsndfile's.
    """
    if file.subtype != "PCM_16":
        return file.read(out=buffer.take(n, file.channels))
    size = n * file.channels
    memory = buffer.take(size + (size + 1) // 2)  # the floats, and behind them the 16-bit samples
    integers = file.read(out=memory[size:].view(np.int16)[:size].reshape(n, file.channels))
    y = memory[:size].reshape(n, file.channels)[: len(integers)]
    return np.multiply(integers, np.float32(2**-15), out=y)


def decode(
    path: str | os.PathLike, start: float | None = None, end: float | None = None, buffer: SampleBuffer | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording, or a span of it, as it is stored.

    Parameters
    ----------
    path : str or os.PathLike
        The recording.
    start, end : float, optional
        Seconds in the file; default its beginning and its end.
    buffer : SampleBuffer, optional
        Memory for the samples; default fresh memory.

    Returns
    -------
    y : np.ndarray
        float32 `(samples, channels)`.
    sr : int
        Sampling rate of the file in Hz.

    Raises
    ------
    AudioError
        If it is not a recording, is truncated or damaged, or has no sample in the span.
    """
    import soundfile

    with _open_whole(path) as file:
        sr = file.samplerate
        _check_length(path, file.frames)
        first, count = _span(path, file.frames, sr, start, end)
        if count == 0:
            raise AudioError(path, "holds no samples")
        skip = 0 if file.seekable() else first  # some codecs (GSM) can only be read from their beginning
        try:
            if first > skip:
                file.seek(first)
            y = _read_samples(file, skip + count, buffer or SampleBuffer())[skip:]
        except soundfile.SoundFileError as exc:
            raise AudioError(path, f"breaks off while being decoded: {libsndfile_message(exc)}") from exc
        except MemoryError as exc:
            raise UnreadableError(path, f"does not fit into the memory there is: {exc}") from exc
    if len(y) < count:
        raise AudioError(path, f"is cut short: {len(y)} of the {count} samples its header promises")
    return y, sr


def recording_seconds(path: str | os.PathLike) -> float:
    """Duration of a recording, read from its header alone.

    Parameters
    ----------
    path : str or os.PathLike
        The recording.

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
    with _open_whole(path) as file:
        _check_length(path, file.frames)
        if file.frames == 0:
            raise AudioError(path, "holds no samples")
        return file.frames / file.samplerate
