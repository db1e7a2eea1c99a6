"""An open recording, read forwards in blocks, whichever library decodes it.

    with open_recording("dog.m4a") as reader:
        reader.sr, reader.channels       # 44100, 2
        reader.frames                    # samples a channel, None if only reading to the end tells
        reader.seek(44100)               # forwards, to a sample
        y = reader.read(4096)            # float32 (samples, channels): 4096, fewer at the end
        reader.problem                   # "", or why a recording that is at its end is not whole

libsndfile reads what it reads right and fast: wav, flac, aiff, Ogg Vorbis, Opus, w64, caf, au ... FFmpeg's libraries, which the package `av`
brings along, read the rest: what telephones and cameras write, and everything of MPEG, whose headers libsndfile believes. Which of them it is
depends on the bytes of a file, not on its name.

Samples are nominally in [-1, 1]; what lies a little beyond in float and lossy files is kept, as librosa does.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import mmap
import os
import stat
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from ..core.addresses import StoredFile, as_address, is_address, open_stored
from ..core.reading import SizedFile
from .errors import AudioError, OutOfReachError, UnreadableError
from .find import decoder_of_name
from .headers import (
    HEAD,
    SampleChunk,
    behind_tags,
    file_size_of,
    flac_samples,
    is_mpeg,
    mp3_frames,
    mp3_parts,
    ogg_parts,
    other_kind,
    pcm16,
    sample_chunk,
    wav_codec,
)

if TYPE_CHECKING:
    import av

# a path, or the bytes of a file, or a file that is open
Sound = str | os.PathLike | bytes | bytearray | memoryview | BinaryIO

MAX_FRAMES_PER_BYTE = 8192  # no codec packs more: FLAC's longest blocks of one constant reach 5461
UNKNOWN = 2**63 - 1  # libsndfile's number of samples where it does not know
BLOCK = 4096  # samples: no more than that are lost before the point where a recording breaks off
RAW_BLOCK = 65536  # samples of a file whose samples are stored as they are, of which none can fail to be decoded
RAW = ("PCM_", "FLOAT", "DOUBLE", "ULAW", "ALAW")  # how libsndfile calls such samples
RAW_FILES = ("WAV", "WAVEX", "AIFF", "AU", "CAF", "W64", "RF64")  # and files that may hold them; FLAC's are PCM_16, too
# FFmpeg's readers of sound; it has others, of playlists, subtitles and pictures, which would open further files or make sound of text
DEMUXERS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,dtshd,eac3,flac,flv,gsm,iff,ircam,loas,matroska,mlp,mov,mp3,mpc,mpc8,mpeg,mpegts,"
    "nistsphere,nut,ogg,oma,pvf,qcp,rm,rso,shn,sox,tak,truehd,tta,voc,w64,wav,wv,wve,xwma"
)
WHOLE_HEADERS = ("mov", "asf", "avi")  # whose header says how long each stream is
PREROLL = 0.5  # s that are decoded before a point that is sought: a frame of mp3 needs the ones before it
TOLERANCE = 0.25  # s by which such a header may be wrong
MPEG_IN_WAV = (0x50, 0x55)  # layers I and II, and III
# frame after frame without a container: tags may stand before and behind
LOOSE = ("mp3", "aac", "ac3", "eac3", "dts", "loas")


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


# ---------------------------------------------------------------------- bytes


class _Part(SizedFile):
    """Some bytes of an open file as a file. patch : (where in the part, the bytes that stand there instead)."""

    def __init__(self, file: BinaryIO, begin: int, end: int, patch: tuple[int, bytes] = (0, b"")):
        super().__init__(end - begin)
        self._file, self._begin, self._patch = file, begin, patch

    def readinto(self, buffer) -> int:
        n = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._begin + self._at)
        data = bytearray(self._file.read(n))
        at, new = self._patch[0] - self._at, self._patch[1]
        for i, byte in enumerate(new):
            if 0 <= at + i < len(data):
                data[at + i] = byte
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _check_path(path: str) -> None:
    """AudioError for what is no file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        link = f"is a broken link to {os.readlink(path)!r}" if os.path.islink(path) else "is not there"
        raise AudioError(path, link) from None
    if stat.S_ISDIR(found.st_mode):
        raise AudioError(path, "is a folder, not a recording")
    if found.st_size == 0:  # a pipe too, of which reading would wait for a writer
        raise AudioError(path, "is empty (0 bytes)")


def name_of(source: Sound) -> str:
    """What messages call a recording: its path, or what it is."""
    if isinstance(source, (str, os.PathLike)):
        return str(as_address(source)) if is_address(source) else os.fspath(source)
    name = getattr(source, "name", None)
    return name if isinstance(name, str) else f"<{type(source).__name__}>"


def is_sound(source: Any) -> bool:
    """Whether a recording can be read of it: a path, the bytes of a file, or a file."""
    return isinstance(source, (str, os.PathLike, bytes, bytearray, memoryview)) or hasattr(source, "read")


def _opened(source: Sound) -> BinaryIO:
    """The bytes of a recording as a file in which one can seek."""
    if isinstance(source, (str, os.PathLike)):
        return open_stored(as_address(source)) if is_address(source) else open(source, "rb")
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if not source.seekable():
        return io.BytesIO(source.read())
    source.seek(0)
    return source


def _unreadable(name: str, exc: OSError) -> AudioError:
    """Why the bytes of a recording cannot be had."""
    reason = exc.strerror or str(exc)
    if not is_address(name):
        return UnreadableError(name, f"cannot be read: {reason}")
    if isinstance(exc, FileNotFoundError):
        return AudioError(name, reason)
    return (OutOfReachError if isinstance(exc, ConnectionError) else UnreadableError)(name, reason)


def _scanned(scan: Callable[[Any], Any], file: BinaryIO) -> Any:
    """What a function of `headers` finds in the bytes of a file, of which none are copied where it lies on a disk."""
    try:
        data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # it lies in memory
        file.seek(0)
        data = contextlib.nullcontext(file.read())
    with data as view:
        return scan(view)


# ---------------------------------------------------------------------- readers


class Reader(ABC):
    """An open recording that is read forwards; a context manager.

    Attributes
    ----------
    name : str
        What messages call it.
    sr : int
        Sampling rate in Hz.
    channels : int
        Number of channels.
    frames : int or None
        Samples a channel; None if only reading to the end tells.
    at : int
        The sample that is read next.
    problem : str
        Why the recording is not whole, as far as that is known by now; "" if nothing speaks against it.
    decoder : str
        The package that decodes: "soundfile" or "av".
    block : int
        The samples that should be read at once: no more than that are lost before the point where it breaks off.
    """

    decoder = ""
    block = BLOCK

    def __init__(self, name: str, sr: int, channels: int, frames: int | None, problem: str = ""):
        self.name, self.sr, self.channels, self.frames, self.problem = name, sr, channels, frames, problem
        self.at = 0
        self.cleanup = contextlib.ExitStack()
        self.file: StoredFile | None = None  # whose bytes come from a store

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *exc) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self.cleanup.close()

    @property
    def about_seconds(self) -> float | None:
        """How long the recording is, without reading on: exact where `frames` is known, else what its header estimates, None if nothing."""
        return None if self.frames is None else self.frames / self.sr

    def read(self, n: int | None = None, buffer: SampleBuffer | None = None) -> np.ndarray:
        """The next samples.

        Parameters
        ----------
        n : int, optional
            How many; default all that are left.
        buffer : SampleBuffer, optional
            Memory for them, which a reader may use; default fresh memory.

        Returns
        -------
        np.ndarray
            float32 `(samples, channels)`, fewer than `n` only at the end of the recording; then `problem` says whether it is whole.
        """
        if n is None and self.frames is not None:
            n = self.frames - self.at
        y = self._read(n, buffer or SampleBuffer())
        if self.file is not None:
            self.check_file()
        self.at += len(y)
        if (n is None or len(y) < n) and not self.problem and self.frames is not None and self.at < self.frames:
            self.problem = f"is cut short: {self.at} of the {self.frames} samples its header promises"
        return y

    def check_file(self) -> None:
        """UnreadableError if its store has not handed out all that was asked for."""
        if self.file is not None and self.file.failure is not None:
            raise _unreadable(self.name, self.file.failure) from self.file.failure

    def seek(self, first: int) -> None:
        """Go forwards to a sample, or to the end if there are fewer."""
        while self.at < first and len(self.read(min(2**16, first - self.at))):
            pass

    def blocks(self, size: int = BLOCK) -> Iterator[np.ndarray]:
        """What is left, in blocks of `size` samples, the last one shorter."""
        while len(block := self.read(size)):
            yield block

    @abstractmethod
    def _read(self, n: int | None, buffer: SampleBuffer) -> np.ndarray:
        """What `read` returns; None only where `frames` is None."""


class SoundfileReader(Reader):
    """What libsndfile reads."""

    decoder = "soundfile"

    def __init__(self, name: str, source: str | bytes | BinaryIO, problem: str = ""):
        import soundfile

        self._file = file = soundfile.SoundFile(source)
        frames = None if file.frames == UNKNOWN else file.frames
        super().__init__(name, file.samplerate, file.channels, frames, problem)
        self.cleanup.callback(file.close)
        if file.format in RAW_FILES and file.subtype.startswith(RAW):
            self.block = RAW_BLOCK
        self._can_seek = file.seekable()  # some codecs (GSM) can only be read from their beginning
        file.seekable = lambda: False  # or soundfile seeks after each read

    def seek(self, first: int) -> None:
        import soundfile

        if not self._can_seek or self.frames is None:
            super().seek(first)
        elif first > self.at:
            try:
                self.at = self._file.seek(min(first, self.frames))
            except soundfile.SoundFileError as exc:
                self.problem = self.problem or f"breaks off while being decoded: {libsndfile_message(exc)}"

    def _read(self, n: int | None, buffer: SampleBuffer) -> np.ndarray:
        import soundfile

        if n is None:
            return np.concatenate([*self.blocks(2**16), np.empty((0, self.channels), np.float32)])
        try:
            return self._next(n, buffer)
        except soundfile.SoundFileError as exc:
            self.problem = self.problem or f"breaks off while being decoded: {libsndfile_message(exc)}"
            return np.empty((0, self.channels), np.float32)

    def _next(self, n: int, buffer: SampleBuffer) -> np.ndarray:
        """16-bit samples are read as they are and scaled here: the same numbers (a power of two) four times as fast as libsndfile's."""
        file = self._file
        if file.subtype != "PCM_16":
            return file.read(out=buffer.take(n, file.channels))
        size = n * file.channels
        memory = buffer.take(size + (size + 1) // 2)  # the floats, and behind them the 16-bit samples
        integers = file.read(out=memory[size:].view(np.int16)[:size].reshape(n, file.channels))
        y = memory[:size].reshape(n, file.channels)[: len(integers)]
        return np.multiply(integers, np.float32(2**-15), out=y)


class WavReader(Reader):
    """Whole 16-bit wav files on a disk, which most recordings are: libsndfile's numbers in less time.

    Parameters
    ----------
    name : str
        What messages call the recording.
    file : BinaryIO
        Its bytes.
    sr : int
        Sampling rate in Hz.
    channels : int
        Number of channels.
    samples : SampleChunk
        Where the samples are.
    """

    decoder = "soundfile"
    block = RAW_BLOCK

    def __init__(self, name: str, file: BinaryIO, sr: int, channels: int, samples: SampleChunk):
        super().__init__(name, sr, channels, samples.size // (2 * channels))
        self._file, self._begin = file, samples.begin

    def seek(self, first: int) -> None:
        self.at = max(self.at, min(first, self.frames))

    def _read(self, n: int | None, buffer: SampleBuffer) -> np.ndarray:
        left = self.frames - self.at
        size = (left if n is None else max(0, min(n, left))) * self.channels
        memory = buffer.take(size + (size + 1) // 2)  # the floats, and behind them the 16-bit samples
        integers = memory[size:].view("<i2")[:size]
        self._file.seek(self._begin + 2 * self.channels * self.at)
        read = self._file.readinto(integers)  # bytes, fewer if the file was cut meanwhile
        whole = read // (2 * self.channels) * self.channels
        return np.multiply(integers[:whole], np.float32(2**-15), out=memory[:whole]).reshape(-1, self.channels)


# FFmpeg's name of a sample format: how numpy reads it, what its full scale is divided by, where its zero lies
_FORMATS = {
    "u8": (np.uint8, 2.0**7, 128),
    "s16": (np.int16, 2.0**15, 0),
    "s32": (np.int32, 2.0**31, 0),
    "s64": (np.int64, 2.0**63, 0),
    "flt": (np.float32, 1.0, 0),
    "dbl": (np.float64, 1.0, 0),
}


def _floats(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a frame, float32 `(channels, samples)`; a tenth of the time of `frame.to_ndarray()`."""
    n, channels = frame.samples, len(frame.layout.channels)
    kind, full, zero = _FORMATS[frame.format.name.removesuffix("p")]
    out = np.empty((channels, n), np.float32)
    if not n:
        return out
    if frame.format.is_planar:
        for row, plane in zip(out, frame.planes):
            row[:] = _scaled(np.frombuffer(plane, kind, n), full, zero)
    else:
        out[:] = _scaled(np.frombuffer(frame.planes[0], kind, n * channels), full, zero).reshape(n, channels).T
    return out


def _scaled(x: np.ndarray, full: float, zero: int) -> np.ndarray:
    return x if x.dtype.kind == "f" else (x - np.float64(zero)) / full


def _tags_in_any_encoding(av: ModuleType) -> dict[str, str]:
    """The argument of `av.open` by which a title that is not UTF-8 does no harm; from version 19 on it does none anyway."""
    return {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}


class AvReader(Reader):
    """What FFmpeg's libraries read, frame by frame and to the true end.

    A packet that cannot be decoded is damage where sound stands on both sides of it, and the reading ends there. Behind the last frame and
    before the first one it is a tag, where frames follow each other without a container.

    Parameters
    ----------
    name : str
        What messages call the recording.
    file : BinaryIO
        Its bytes.
    like : tuple of (int, int), optional
        Sampling rate in Hz and channels that the samples are brought to; default those of the first frame.
    promised : int, optional
        Frames that a header promises.
    """

    decoder = "av"

    def __init__(self, name: str, file: BinaryIO, like: tuple[int, int] | None = None, promised: int | None = None):
        import av

        super().__init__(name, 0, 0, None)
        self._file, self._like, self._promised, self._resamplers = file, like, promised, {}
        self._first_time = 0  # of the first frame, in units of the stream
        file.seek(0)
        try:
            self._container = av.open(file, options={"format_whitelist": DEMUXERS}, **_tags_in_any_encoding(av))
            self.cleanup.callback(self._container.close)
            self._stream = self._audio_stream()
            self._arrays = self._decoded()
            self._left = next(self._arrays, None)
        except (av.FFmpegError, ValueError) as exc:  # ValueError: PyAV's own, for a codec that is unknown
            self.close()
            if isinstance(exc, AudioError):
                raise
            reason = getattr(exc, "strerror", None) or exc
            raise AudioError(name, f"is not a recording that can be read: {reason}") from exc
        except BaseException:
            self.close()
            raise
        if self._left is None:
            self.close()
            raise AudioError(name, self.problem or "is not a recording that can be read: no sound was found in it")

    @property
    def about_seconds(self) -> float | None:
        return self._container.duration / 1e6 if self._container.duration else None

    @property
    def _is_loose(self) -> bool:
        return self._container.format.name in LOOSE

    def _audio_stream(self):
        streams = self._container.streams
        if streams.audio:
            return streams.audio[0]
        kinds = ", ".join(sorted({s.type for s in streams})) or "nothing"
        raise AudioError(self.name, f"holds no sound, but {kinds}")

    def seek(self, first: int) -> None:
        """As in `Reader`; in mp3 by the times of its frames, which are exact there, and whose decoder forgets what was before them."""
        import av

        ticks = 1 / (self._stream.time_base * self.sr)
        if (
            not self._stream.codec_context.name.startswith("mp3")
            or not self._is_loose
            or ticks.denominator != 1
            or first - self.at < 2 * PREROLL * self.sr
        ):
            return super().seek(first)
        before = first - round(PREROLL * self.sr)
        with contextlib.suppress(av.FFmpegError):
            self._container.seek(self._first_time + before * int(ticks), stream=self._stream)
            self._promised, self._arrays, self._left = None, self._decoded(sought=True), None
            self._left = next(self._arrays, None)
        super().seek(first)

    def _decoded(self, sought: bool = False) -> Iterator[np.ndarray]:
        """float32 `(channels, samples)` of each frame, up to the end or to the first damage. sought : whether `at` is told by the first."""
        import av

        count, failed, packets, loose = 0, "", 0, self._is_loose
        try:
            for packet in self._container.demux(self._stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError as exc:
                    if count or not loose:
                        failed = failed or f"{exc.strerror or exc}"
                    continue
                packets += bool(packet.size)
                for frame in frames:
                    if failed:
                        self.problem = f"is damaged {self._seconds(count)}: {failed}"
                        return
                    if not count:
                        count = self._first_frame(frame, sought)
                    for x in self._converted(frame):
                        count += x.shape[1]
                        yield x
            for resampler in self._resamplers.values():
                yield from map(_floats, resampler.resample(None))
        except av.FFmpegError as exc:
            if not loose or self._file.tell() < file_size_of(self._file):
                failed, loose = f"{exc.strerror or exc}", False
        if failed and not loose:
            self.problem = f"breaks off {self._seconds(count)}: {failed}"
        elif self._promised and packets < self._promised - 1:
            self.problem = f"is cut short: {packets} of the {self._promised} frames its header promises"
        elif promised := self._promised_seconds():
            if self.sr and count / self.sr < promised - TOLERANCE:
                self.problem = f"is cut short: {count / self.sr:g} of the {promised:g} s its header promises"

    def _first_frame(self, frame: av.AudioFrame, sought: bool) -> int:
        """The number of its first sample; the first one of all settles sampling rate, channels and time."""
        if sought:
            self.at = round((frame.pts - self._first_time) * self._stream.time_base * self.sr)
            return self.at
        channels = len(frame.layout.channels)
        self.sr, self.channels = self._like or (frame.sample_rate, channels)
        self._layout, self._first_time = frame.layout.name, frame.pts or 0
        if self.channels != channels:
            self._layout = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels}c")
        return 0

    def _seconds(self, count: int) -> str:
        return f"at {count / self.sr:.3f} s" if self.sr else "at its beginning"

    def _promised_seconds(self) -> float | None:
        """How long the header of a container says that the sound is."""
        stream, name = self._stream, self._container.format.name
        if stream.duration and any(kind in name.split(",") for kind in WHOLE_HEADERS):
            return float(stream.duration * stream.time_base)
        return None

    def _converted(self, frame: av.AudioFrame) -> list[np.ndarray]:
        """The samples of a frame at the sampling rate and with the channels of the first one, or of `like`."""
        import av

        if (frame.sample_rate, len(frame.layout.channels)) == (self.sr, self.channels):
            return [_floats(frame)]
        key = frame.sample_rate, frame.layout.name, frame.format.name
        if key not in self._resamplers:
            self._resamplers[key] = av.AudioResampler(format="fltp", layout=self._layout, rate=self.sr)
        frame.pts = None
        return [_floats(out) for out in self._resamplers[key].resample(frame)]

    def _read(self, n: int | None, buffer: SampleBuffer) -> np.ndarray:
        pieces, count = [], 0
        while n is None or count < n:
            x = self._left if self._left is not None else next(self._arrays, None)
            self._left = None
            if x is None:
                break
            if n is not None and count + x.shape[1] > n:
                x, self._left = x[:, : n - count], x[:, n - count :]
            pieces.append(x)
            count += x.shape[1]
        out = buffer.take(self.channels, count)
        return (np.concatenate(pieces, axis=1, out=out) if pieces else out).T


class ChainReader(Reader):
    """Parts of one file, one behind the other; `parts` open them, given the sampling rate and the channels of the first."""

    def __init__(self, name: str, first: Reader, parts: list[Callable[[tuple[int, int]], Reader]], problem: str = ""):
        self._part, self._parts = first, parts
        super().__init__(name, first.sr, first.channels, None, problem)
        self.decoder = first.decoder

    def close(self) -> None:
        self._part.close()
        super().close()

    def _read(self, n: int | None, buffer: SampleBuffer) -> np.ndarray:
        pieces, count = [], 0
        while n is None or count < n:
            piece = self._part.read(None if n is None else n - count)
            if len(piece):
                pieces.append(piece)
                count += len(piece)
            if n is not None and count >= n:
                break
            if self._part.problem or not self._parts:
                self.problem = self._part.problem or self.problem
                break
            self._part.close()
            self._part = self._parts.pop(0)((self.sr, self.channels))
        return np.concatenate(pieces) if pieces else np.empty((0, self.channels), np.float32)


# ---------------------------------------------------------------------- which of them


def libsndfile_message(exc: Exception) -> str:
    """libsndfile's own words, without the path that soundfile puts before them."""
    return getattr(exc, "error_string", str(exc)).rstrip(".")


class _Opener:
    """Opens the reader for the bytes of a file.

    name : what messages call it; file : its bytes; path : what soundfile opens, faster than `file`, or None
    """

    def __init__(self, name: str, file: BinaryIO, path: str | bytes | None):
        self.name, self.file, self.path, self.size = name, file, path, file_size_of(file)

    def part(self, begin: int, end: int, patch: tuple[int, bytes] = (0, b"")) -> _Part:
        return _Part(self.file, begin, end, patch)

    def fetch(self) -> None:
        """Copy what lies in a store to this disk, where all of it is needed."""
        if isinstance(self.file, StoredFile):
            self.file = self.file.copied()

    def whole(self) -> Any:
        return self.path if self.path is not None else self.part(0, self.size)

    def open(self) -> Reader:
        """The reader; AudioError if the file is no recording."""
        if not self.size:
            raise AudioError(self.name, "is empty (0 bytes)")
        self.file.seek(0)
        head = self.file.read(HEAD)
        self._check_kind(head)
        if is_mpeg(head):
            return self._mpeg()
        if head[:4] == b"OggS":
            return self._ogg()
        if head[:4] == b"fLaC" and not flac_samples(self.file, self.size)[1]:
            return self._av()  # libsndfile would read as far as the header says
        return self._chunked(head)

    def _check_kind(self, head: bytes) -> None:
        """AudioError for what is no sound."""
        kind = other_kind(head)
        if not kind and not head.strip(b"\0"):
            zero = not any(block.strip(b"\0") for block in iter(lambda: self.file.read(2**20), b""))
            kind = f"{self.size} bytes that are all zero" if zero else ""
        if kind:
            raise AudioError(self.name, f"is not a recording: it is {kind}")

    def _chunked(self, head: bytes) -> Reader:
        """wav, aiff, w64, caf, au with what they say of their size; and whatever else libsndfile or FFmpeg knows."""
        chunk = sample_chunk(self.file, self.size)
        if wav_codec(head) in MPEG_IN_WAV:  # libsndfile believes the length in the header
            return self._av()
        if chunk is None:
            if self.name.lower().endswith(".raw"):
                raise AudioError(
                    self.name,
                    "holds bare samples: without a header nobody knows their sampling rate and their format; convert it to wav, or "
                    "load it with NumPy and give (y, sr)",
                )
            # by such a name libsndfile would hand any bytes to an mp3 decoder, which prints
            if decoder_of_name(self.name) == "av":
                return self._av()
            return self._soundfile_or_av(self.whole(), 0, self.size)
        if not chunk.is_unfinished(self.file, self.size):
            missing = chunk.missing(self.size)
            sr, channels = pcm16(head)
            if sr and self.path is not None and not missing and chunk.size and not chunk.size % (2 * channels):
                return WavReader(self.name, self.file, sr, channels, chunk)
            problem = f"is cut short: it ends {missing} bytes before its header says" if missing else ""
            return self._soundfile_or_av(self.whole(), 0, self.size, problem=problem)
        if head[:4] == b"FORM":  # libsndfile reads these to their end
            return self._soundfile_or_av(self.whole(), 0, self.size)
        left = self.size - chunk.begin + (24 if head[:4] == b"riff" else 0)  # w64 counts the chunk's head
        if left >= 2 ** (8 * struct.calcsize(chunk.form)):
            return self._av()
        patch = chunk.field, struct.pack(chunk.form, left)
        return self._soundfile_or_av(self.part(0, self.size, patch), 0, self.size)

    def _soundfile_or_av(
        self, source: Any, begin: int, end: int, like: tuple[int, int] | None = None, problem: str = ""
    ) -> Reader:
        """What libsndfile reads of a part of the file; if it does not know it, what FFmpeg reads. source : what soundfile opens."""
        import soundfile

        said = ""
        try:
            reader: Reader = SoundfileReader(self.name, source, problem)
            if reader.frames is not None and reader.frames > MAX_FRAMES_PER_BYTE * self.size:
                reader.close()
                raise AudioError(
                    self.name, f"is damaged: its header claims {reader.frames} samples in {self.size} bytes"
                )
            if like in (None, (reader.sr, reader.channels)):
                return reader
            reader.close()
        except soundfile.SoundFileError as exc:
            said = libsndfile_message(exc)
        reader = self._av(begin, end, like, said)
        reader.problem = reader.problem or problem
        return reader

    def _av(
        self, begin: int = 0, end: int | None = None, like: tuple[int, int] | None = None, said: str = ""
    ) -> Reader:
        """What FFmpeg reads of a part of the file. said : what libsndfile said of it before."""
        self.fetch()
        try:
            return AvReader(self.name, self.part(begin, self.size if end is None else end), like)
        except AudioError as exc:
            raise AudioError(self.name, self._both(exc.reason, said)) from exc

    def _both(self, reason: str, said: str) -> str:
        """What FFmpeg's reader says of a file, with what libsndfile said of it before."""
        before, known, why = reason.partition("can be read: ")
        if not known:
            return reason
        if said:
            why = f"{said}; FFmpeg: {why}"
        if self.part(0, self.size).read(8)[4:] == b"ftyp":
            why += ". The index of an mp4 stands at its end: this one is cut short, or was never finished"
        return before + known + why

    def _mpeg(self) -> Reader:
        """mp3, mp2 or AAC, of one part or of several that were joined."""

        def part(begin: int, end: int, like: tuple[int, int] | None = None) -> Reader:
            data = self.part(begin, end)
            return AvReader(self.name, data, like, mp3_frames(behind_tags(data)))

        self.fetch()
        parts = _scanned(mp3_parts, self.file)
        first = part(*parts[0])
        return first if len(parts) == 1 else self._chain(first, part, parts)

    def _ogg(self) -> Reader:
        """Ogg of one part or of several that were joined, up to the first damage."""

        def part(begin: int, end: int, like: tuple[int, int] | None = None) -> Reader:
            source = self.whole() if (begin, end) == (0, self.size) else self.part(begin, end)
            return self._soundfile_or_av(source, begin, end, like)

        self.fetch()
        parts, problem = _scanned(ogg_parts, self.file)
        if not parts:
            raise AudioError(self.name, problem or "is not a recording that can be read: no Ogg stream begins in it")
        first = part(*parts[0])
        return first if len(parts) == 1 and not problem else self._chain(first, part, parts, problem)

    def _chain(self, first: Reader, part: Callable, parts: list[tuple[int, int]], problem: str = "") -> Reader:
        return ChainReader(self.name, first, [functools.partial(part, *bounds) for bounds in parts[1:]], problem)


def open_recording(source: Sound) -> Reader:
    """Open a recording of any kind.

    Parameters
    ----------
    source : str, os.PathLike, bytes or file
        A path, an address in a store, the bytes of a file, or a file that is open in binary mode.

    Returns
    -------
    Reader
        With a `problem` where its header, held against its size, already says that it is not whole.

    Raises
    ------
    AudioError
        If it is not a recording.
    UnreadableError
        If the system does not let us read it.
    """
    name = name_of(source)
    is_path = isinstance(source, (str, os.PathLike)) and not is_address(name)
    if is_path:
        _check_path(name)
    path: str | bytes | None = None
    # of which soundfile wants to know the sampling rate, whatever is in it
    if is_path and not name.lower().endswith(".raw"):
        path = name if os.name == "nt" else os.fsencode(name)  # as bytes: a name need not be UTF-8
    file = None
    try:
        file = _opened(source)
        reader = _Opener(name, file, path).open()
        if isinstance(file, StoredFile):
            reader.file = file
            reader.check_file()
    except BaseException as exc:
        if file is not None and file is not source:
            file.close()
        failure = getattr(file, "failure", None) or exc
        if isinstance(failure, OSError):
            raise _unreadable(name, failure) from exc
        raise
    if file is not source:
        reader.cleanup.callback(file.close)
    return reader
