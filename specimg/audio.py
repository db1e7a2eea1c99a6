"""A file becomes samples: read, mono, resample, denoise, trim, filter, normalise, fit length; in that order.

`Audio` is the choice of all that, `read_audio` does it:

    y, sr = read_audio("dog.ogg", Audio(sr=32000, duration=5.0))      # float32 (160000,), 32000

Decoding is libsndfile's (wav, flac, ogg, opus, mp3, aiff ...), always to float32: decoding to whole numbers would wrap where a
lossy file exceeds full scale. Resampling is soxr's high quality, as librosa's. Samples are floats around [-1, 1]; float and
lossy files may go a little beyond, and are left as they are, as librosa leaves them.

A file that cannot be read whole raises `AudioError` with its path and a reason: a recording that is shorter than its header
promises is a broken file, not a short clip.
"""

from __future__ import annotations

import math
import os
import struct
import warnings
from dataclasses import dataclass

import numpy as np

from .values import Value, choose, register

__all__ = ["Audio", "AudioError", "AUDIO_SUFFIXES", "Scratch", "fit_length", "find_audio", "is_audio_name", "read_audio", "walk_audio"]

AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64")
PADS = ("silence", "repeat", "reflect")
NORMALIZERS = ("peak", "rms")
DENOISERS = ("stationary", "nonstationary")
RMS_LEVEL = 0.1              # -20 dB of full scale, where normalize="rms" puts a clip
TRIM_FRAME, TRIM_HOP = 2048, 512   # samples: librosa.effects.trim's own
TRIM_FLOOR = 1e-10           # mean power below this counts as this, also librosa's
LOWPASS_ORDER = 8            # as second-order sections, run forwards and backwards: no delay, 96 dB an octave
FRAMES_A_BYTE = 8192         # no codec packs more: FLAC's longest blocks of one constant reach 5461
STREAMED = (0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF, 2**64 - 1)   # sizes left by ffmpeg, sox and arecord that write into a pipe


class AudioError(ValueError):
    """A recording that cannot be used; the message holds its path and the reason."""

    def __init__(self, path, reason: str):
        super().__init__(f"{os.fspath(path)!r}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class UnreadableError(AudioError):
    """A recording that the system does not let us read; the file itself may be good, so it is worth trying again."""


@register
@dataclass(frozen=True)
class Audio(Value):
    """How a file becomes `(y, sr)`: float32 `(samples,)`, nominally in [-1, 1], and samples a second."""

    sr: int | None = None                # Hz; None keeps each file's own
    channel: int | str = "mean"          # "mean" of all channels, or one of them counted from 0
    trim_db: float | None = None         # dB below the loudest frame; quieter beginnings and ends are cut off
    denoise: str | None = None           # spectral gating, "stationary" or "nonstationary" (pip install specimg[denoise])
    lowpass_hz: float | None = None      # Hz; Butterworth, zero phase
    duration: float | None = None        # s; longer clips are cut at their end, shorter ones padded there
    pad: str = "silence"                 # what pads: "silence", "repeat" or "reflect"
    normalize: str | None = None         # "peak" to full scale, or "rms" to -20 dB; silence is left alone

    def _check(self):
        for name in ("sr", "lowpass_hz", "duration", "trim_db"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"Audio({name}={value!r}): give a number above 0, or None")
        if isinstance(self.channel, str):
            choose(self.channel, ["mean"], "channel (or give its number, from 0)")
        elif self.channel < 0:
            raise ValueError(f"Audio(channel={self.channel}): channels are counted from 0")
        choose(self.pad, PADS, "pad")
        if self.normalize is not None:
            choose(self.normalize, NORMALIZERS, "normalize")
        if self.denoise is not None:
            choose(self.denoise, DENOISERS, "denoise")


class Scratch:
    """A float32 array that is used again for every clip.

    Fresh memory of a megabyte is mapped, cleared page by page and unmapped for each clip, a third of the time of drawing it.
    What `take` gives is valid until the next `take`.
    """

    def __init__(self):
        self._memory = np.empty(0, np.float32)

    def take(self, *shape: int) -> np.ndarray:
        """An uninitialised float32 array of this shape."""
        size = math.prod(shape)
        if self._memory.size < size:
            self._memory = np.empty(size, np.float32)
        return self._memory[:size].reshape(shape)


# ---------------------------------------------------------------------- finding files

def is_audio_name(name: str) -> bool:
    """Does this file name end like a recording? Hidden files (`._dog.wav` of macOS) do not count."""
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:      # a link to itself, or to where we may not look
        return False


def walk_audio(folder: str | os.PathLike):
    """Yield (path below `folder` with forward slashes, `os.DirEntry`) of everything named like a recording, sorted.

    Linked folders are followed, each once. Broken links and folders named `x.wav` are yielded too: whoever draws says why not.
    Folders below it that may not be listed are left out with a warning.
    """
    seen = {os.path.realpath(folder)}

    def walk(directory, prefix):
        try:
            entries = sorted(os.scandir(directory), key=lambda e: e.name)
        except OSError as exc:
            if not prefix:
                raise
            warnings.warn(f"the folder {directory!r} is left out: {exc.strerror}", stacklevel=2)
            return
        for entry in entries:
            name = prefix + entry.name
            if is_audio_name(entry.name):
                yield name, entry
            if not entry.name.startswith(".") and _is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in seen:
                    seen.add(real)
                    yield from walk(entry.path, name + "/")

    yield from walk(os.path.realpath(folder), "")


def find_audio(folder: str | os.PathLike) -> list[str]:
    """Recordings anywhere below `folder`: paths relative to it, forward slashes, sorted. ValueError where there is no such folder."""
    if not os.path.isdir(folder):
        raise ValueError(f"{os.fspath(folder)!r} is not a folder; give the folder that holds the recordings")
    return sorted(name for name, entry in walk_audio(folder) if os.path.isfile(entry.path))


# ---------------------------------------------------------------------- bytes to samples

# magic: where the first chunk begins, the head of a chunk (name, bytes), the name of the samples' chunk, the alignment of chunks
_CHUNKED = {
    b"RIFF": (12, "<4sI", b"data", 2),       # wav
    b"RF64": (12, "<4sI", b"data", 2),       # wav beyond 4 GiB
    b"RIFX": (12, ">4sI", b"data", 2),       # wav, big-endian
    b"FORM": (12, ">4sI", b"SSND", 2),       # aiff
    b"riff": (40, "<4s12xQ", b"data", 8),    # w64; its sizes count the head
    b"caff": (8, ">4sQ", b"data", 1),        # caf
}


def _promise(file, there: int) -> tuple[int, int]:
    """(first byte, number of bytes) of the samples as the header of a wav, aiff, caf, w64 or au says; (0, 0) of any other file."""
    magic = file.read(4)
    if magic in (b".snd", b"dns."):          # au, big- and little-endian
        order = "big" if magic == b".snd" else "little"
        return int.from_bytes(file.read(4), order), int.from_bytes(file.read(4), order)
    if magic not in _CHUNKED:
        return 0, 0
    at, head, samples, alignment = _CHUNKED[magic]
    width, long_size = struct.calcsize(head), 0
    while at + width <= there:
        file.seek(at)
        name, size = struct.unpack(head, file.read(width))
        if magic == b"riff":
            size = max(0, size - width)
        if name == b"ds64":                  # RF64 keeps the true size here
            long_size = int.from_bytes(file.read(16)[8:], "little")
        if name == samples:
            return at + width, long_size if magic == b"RF64" and size == 0xFFFFFFFF else size
        at += width + size + -size % alignment
    return 0, 0


def _missing_bytes(path: str) -> int:
    """How many bytes of samples a file lacks of those its header promises.

    libsndfile reads what is there and says nothing. The sizes of streaming writers are no promise.
    """
    with open(path, "rb") as file:
        there = os.fstat(file.fileno()).st_size
        begin, size = _promise(file, there)
    return 0 if size in STREAMED else max(0, begin + size - there)


def _open(path):
    """An open `soundfile.SoundFile`, or AudioError with a reason a person understands."""
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
        file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))   # as bytes: a name need not be UTF-8
    except OSError as exc:
        raise UnreadableError(path, f"cannot be read: {exc.strerror or exc}") from exc
    except soundfile.SoundFileError as exc:
        raise AudioError(path, f"is not a recording libsndfile can read: {_tail(exc)}") from exc
    if missing:
        file.close()
        raise AudioError(path, f"is cut short: it ends {missing} bytes before its header says")
    return file


def _tail(exc: Exception) -> str:
    """libsndfile's own words, without the path soundfile puts before them."""
    return getattr(exc, "error_string", str(exc)).rstrip(".")


def _span(path, frames: int, sr: int, start, end) -> tuple[int, int]:
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


def _check_claim(path, frames: int) -> None:
    """AudioError where the header's number of samples cannot be true; memory for all of them would be asked for."""
    if frames == 2**63 - 1:
        raise AudioError(path, "does not say how many samples it holds, because it was written into a pipe; convert it once more, from file to file")
    size = os.path.getsize(path)
    if frames > FRAMES_A_BYTE * size:
        raise AudioError(path, f"is damaged: its header claims {frames} samples in {size} bytes")


def _read_samples(file, n: int, scratch: Scratch) -> np.ndarray:
    """The next `n` samples float32 `(samples, channels)`, fewer where the file breaks off.

    16-bit samples are read as they are and scaled here: the same numbers (a power of two) four times as fast as libsndfile's.
    """
    if file.subtype != "PCM_16":
        return file.read(out=scratch.take(n, file.channels))
    size = n * file.channels
    memory = scratch.take(size + (size + 1) // 2)             # the floats, and behind them the 16-bit samples
    whole = file.read(out=memory[size:].view(np.int16)[:size].reshape(n, file.channels))
    y = memory[:size].reshape(n, file.channels)[: len(whole)]
    return np.multiply(whole, np.float32(2**-15), out=y)


def _decode(path, start=None, end=None, scratch: Scratch | None = None) -> tuple[np.ndarray, int]:
    """Samples float32 `(samples, channels)` of a span, and the file's sampling rate."""
    import soundfile

    with _open(path) as file:
        sr = file.samplerate
        _check_claim(path, file.frames)
        first, count = _span(path, file.frames, sr, start, end)
        if count == 0:
            raise AudioError(path, "holds no samples")
        skip = 0 if file.seekable() else first   # some codecs (GSM) can only be read from their beginning
        try:
            if first > skip:
                file.seek(first)
            y = _read_samples(file, skip + count, scratch or Scratch())[skip:]
        except soundfile.SoundFileError as exc:
            raise AudioError(path, f"breaks off while being decoded: {_tail(exc)}") from exc
        except MemoryError as exc:
            raise UnreadableError(path, f"does not fit into the memory there is: {exc}") from exc
    if len(y) < count:
        raise AudioError(path, f"is cut short: {len(y)} of the {count} samples its header promises")
    return y, sr


def _mono(path, y: np.ndarray, channel: int | str) -> np.ndarray:
    """`(samples, channels)` -> `(samples,)`."""
    channels = y.shape[1]
    if channel == "mean":
        return y[:, 0] if channels == 1 else y.T.mean(axis=0)
    if channel >= channels:
        raise AudioError(path, f"has {channels} channel{'s' * (channels > 1)}, so there is no channel {channel} (they count from 0)")
    return np.ascontiguousarray(y[:, channel])


def _check_finite(path, y: np.ndarray, sr: int) -> None:
    if np.isfinite(y.sum()):   # one pass without a temporary; a sum of finite samples that overflows is looked at again
        return
    bad = np.flatnonzero(~np.isfinite(y))
    if len(bad):
        raise AudioError(path, f"{len(bad)} samples are NaN or infinite, the first at {bad[0] / sr:.3f} s")


# ---------------------------------------------------------------------- conditioning

def resample(y: np.ndarray, sr: int, target_sr: int) -> np.ndarray:
    """soxr's high quality, with librosa's length: `ceil(samples * (target_sr / sr))`."""
    if sr == target_sr:
        return y
    import soxr

    out = soxr.resample(y, sr, target_sr, quality="HQ").astype(np.float32, copy=False)
    return fit_length(out, math.ceil(len(y) * (target_sr / sr)))


def fit_length(y: np.ndarray, n_samples: int, pad: str = "silence") -> np.ndarray:
    """Cut `y` at its end, or pad it there, to `n_samples`.

    pad : "silence" adds zeros, "repeat" plays the clip again, "reflect" plays it backwards and forwards in turn.
    """
    choose(pad, PADS, "pad")
    n = len(y)
    if n >= n_samples:
        return y[:n_samples]
    if pad == "silence":
        return np.concatenate([y, np.zeros(n_samples - n, y.dtype)])
    period = n if pad == "repeat" else max(1, 2 * (n - 1))   # reflection does not repeat the end samples
    index = np.arange(n_samples) % period
    return y[np.where(index < n, index, period - index)]


def trim_span(y: np.ndarray, trim_db: float) -> tuple[int, int]:
    """First and last sample (exclusive) that stay when beginning and end more than `trim_db` below the loudest frame go.

    The frames and the rule are those of `librosa.effects.trim`: nothing counts as quieter than -100 dB, so silence throughout stays whole.
    """
    squares = np.concatenate([[0.0], np.cumsum(np.square(y, dtype=np.float64))])
    starts = np.arange(0, len(y) + 1, TRIM_HOP) - TRIM_FRAME // 2
    power = squares[np.clip(starts + TRIM_FRAME, 0, len(y))] - squares[np.clip(starts, 0, len(y))]
    power = np.maximum(power, TRIM_FRAME * TRIM_FLOOR)
    loud = np.flatnonzero(power > power.max() * 10 ** (-trim_db / 10))
    return int(loud[0]) * TRIM_HOP, min(len(y), (int(loud[-1]) + 1) * TRIM_HOP)


def _lowpass(path, y: np.ndarray, sr: int, cutoff: float) -> np.ndarray:
    if cutoff >= sr / 2:
        raise AudioError(path, f"is sampled at {sr} Hz, so there is nothing above {sr / 2:g} Hz to cut at {cutoff:g} Hz; lower lowpass_hz")
    from scipy.signal import butter, sosfiltfilt

    sections = butter(LOWPASS_ORDER, cutoff, fs=sr, output="sos")
    padlen = min(3 * (2 * len(sections) + 1), len(y) - 1)
    return sosfiltfilt(sections, y, padlen=padlen).astype(np.float32)


def _denoise(y: np.ndarray, sr: int, how: str) -> np.ndarray:
    try:
        import noisereduce
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(f"Audio(denoise={how!r}) needs the package noisereduce: pip install specimg[denoise]") from exc
    return noisereduce.reduce_noise(y=y, sr=sr, stationary=how == "stationary").astype(np.float32)


def _normalize(y: np.ndarray, how: str) -> np.ndarray:
    level = float(np.abs(y).max()) if how == "peak" else float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) / RMS_LEVEL
    level = np.float32(level)
    return y / level if level > 0 else y


def condition(y: np.ndarray, sr: int, audio: Audio, path="<samples>") -> tuple[np.ndarray, int, int]:
    """Everything after decoding: `(samples, channels)` at `sr` -> `(y, sr, samples cut off at the beginning)`."""
    with np.errstate(invalid="ignore", over="ignore"):   # what NaN and infinite samples would set off
        y = _mono(path, y, audio.channel)
        _check_finite(path, y, sr)
    if audio.sr is not None:
        y, sr = resample(y, sr, audio.sr), audio.sr
    if audio.denoise is not None:
        y = _denoise(y, sr, audio.denoise)
    begin = 0
    if audio.trim_db is not None:
        begin, stop = trim_span(y, audio.trim_db)
        y = y[begin:stop]
    if audio.lowpass_hz is not None:
        y = _lowpass(path, y, sr, audio.lowpass_hz)
    if audio.normalize is not None:
        y = _normalize(y, audio.normalize)
    if audio.duration is not None:
        y = fit_length(y, max(1, round(audio.duration * sr)), audio.pad)
    return y, sr, begin


@dataclass(frozen=True)
class Clip:
    """Samples ready to be drawn, and where they come from."""

    y: np.ndarray          # float32 (samples,)
    sr: int                # Hz, of y
    begin: float           # s: where y[0] lies in the source
    duration: float        # s of the span as it was read, before trimming and fitting
    source_sr: int         # Hz, of the file


def read_clip(path, audio: Audio = Audio(), start=None, end=None, scratch: Scratch | None = None) -> Clip:
    """`read_audio` with the facts that a picture's axes and a manifest need; with `scratch` its samples live there."""
    raw, source_sr = _decode(path, start, end, scratch)
    y, sr, cut = condition(raw, source_sr, audio, path)
    return Clip(y, sr, (start or 0.0) + cut / sr, len(raw) / source_sr, source_sr)


def read_audio(path, audio: Audio = Audio(), *, start: float | None = None, end: float | None = None) -> tuple[np.ndarray, int]:
    """Read a recording, or its span from `start` to `end`, as `audio` says.

    Parameters
    ----------
    path : file of any kind libsndfile reads, any number of channels, any sampling rate and sample format
    start, end : seconds in the file; a span that goes beyond its end stops there

    Returns
    -------
    y : float32 (samples,), nominally in [-1, 1]
    sr : samples a second

    Raises
    ------
    AudioError (a ValueError) : not there, not a recording, cut short, no samples, NaN or infinite samples ...; with the path

    Examples
    --------
    >>> y, sr = read_audio("dog.wav", Audio(sr=16000), start=1.0, end=3.0)     # doctest: +SKIP
    """
    clip = read_clip(path, audio, start, end)
    return clip.y, clip.sr
