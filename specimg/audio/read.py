"""`Audio` says how a recording becomes samples, `read_audio` reads it.

The order is fixed: mono, resample, denoise, filter, trim, cut out silence, normalise, fit length. Silence is looked for after
filtering, so that rumble below `highpass_hz` does not count as sound.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.values import Value, choose, register
from ..core.warnings import warn
from .decode import DAMAGED, decode
from .effects import DENOISERS, MAX_FILTER_ORDER, PADS, denoise, filter_band, fit_length, resample
from .errors import AudioError
from .faults import cancels, find_faults
from .levels import NORMALIZERS, normalize_level
from .readers import SampleBuffer, Sound, name_of

# s, and samples of the lower rate, behind which nothing reaches a sample through soxr's filter
MARGIN, MARGIN_SAMPLES = (2.0, 4000)


@register
@dataclass(frozen=True)
class Audio(Value):
    """How a recording becomes mono samples: float32 `(samples,)`, nominally in [-1, 1].

    Parameters
    ----------
    sr : int, optional
        Sampling rate in Hz; recordings of another one are resampled. Default each file's own.
    channel : int or str, default "mean"
        "mean" of all channels, or the number of one of them, from 0.
    trim_db : float, optional
        Beginning and end are cut off where they are more than so many dB below the loudest frame (`librosa.effects.trim`).
    denoise : str, optional
        Spectral gating: "stationary" or "nonstationary" (needs `pip install specimg[denoise]`).
    lowpass_hz : float, optional
        Upper edge of a Butterworth filter of zero phase, in Hz.
    duration : float, optional
        Seconds; longer clips are cut at their end, shorter ones padded there.
    pad : str, default "silence"
        What pads: "silence", "repeat" or "reflect".
    normalize : str, optional
        Level: "peak" (full scale), "rms" (-20 dB of full scale) or "loudness" (-23 LUFS, ITU-R BS.1770-4). Silence is left alone.
    highpass_hz : float, optional
        Lower edge of the filter, in Hz; with `lowpass_hz` a band-pass.
    filter_order : int, default 8
        Order of the filter, 1 to 48: 12 dB an octave each.
    split_db : float, optional
        Parts anywhere that are more than so many dB below the loudest frame are cut out and the rest is joined
        (`librosa.effects.split`).
    damaged : str, default "error"
        A recording that breaks off (cut short by its own count, or damaged inside) is an "error"; or it is read up to the first damage,
        "partial", which is said: by a warning, and by the status "partial" of a tree.

    Examples
    --------
    >>> sp.Audio(sr=16000, duration=2, normalize="peak")
    Audio(sr=16000, duration=2.0, normalize='peak')
    >>> y, sr = sp.read_audio("dog.wav", sp.Audio(sr=16000, duration=2))
    >>> y.shape, sr
    ((32000,), 16000)
    """

    sr: int | None = None
    channel: int | str = "mean"
    trim_db: float | None = None
    denoise: str | None = None
    lowpass_hz: float | None = None
    duration: float | None = None
    pad: str = "silence"
    normalize: str | None = None
    highpass_hz: float | None = None
    filter_order: int = 8
    split_db: float | None = None
    damaged: str = "error"

    def _check(self):
        for name in ("sr", "lowpass_hz", "highpass_hz", "duration", "trim_db", "split_db"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"Audio({name}={value!r}): give a number above 0, or None")
        if isinstance(self.channel, str):
            choose(self.channel, ["mean"], "channel (or give its number, from 0)")
        elif self.channel < 0:
            raise ValueError(f"Audio(channel={self.channel}): channels are counted from 0")
        choose(self.pad, PADS, "pad")
        choose(self.damaged, DAMAGED, "damaged")
        if self.normalize is not None:
            choose(self.normalize, NORMALIZERS, "normalize")
        if self.denoise is not None:
            choose(self.denoise, DENOISERS, "denoise")
        if not 1 <= self.filter_order <= MAX_FILTER_ORDER:
            raise ValueError(f"Audio(filter_order={self.filter_order}): give 1 to {MAX_FILTER_ORDER}")
        if self.highpass_hz is not None and self.lowpass_hz is not None and self.highpass_hz >= self.lowpass_hz:
            raise ValueError(
                f"Audio(highpass_hz={self.highpass_hz:g}, lowpass_hz={self.lowpass_hz:g}) leaves nothing; "
                f"give highpass_hz, the lower edge of the band, below lowpass_hz, its upper edge"
            )

    @property
    def looks_at(self) -> float | None:
        """Seconds of a recording that decide about the samples, or None if all of it does: what is filtered, trimmed or levelled."""
        whole = (self.denoise, self.lowpass_hz, self.highpass_hz, self.trim_db, self.split_db, self.normalize)
        if self.duration is None or any(choice is not None for choice in whole):
            return None
        return self.duration if self.sr is None else self.duration + max(MARGIN, MARGIN_SAMPLES / self.sr)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the samples; a tree records their versions."""
        return frozenset().union(
            {"numpy", "soundfile"},
            {"soxr"} if self.sr is not None else (),
            {"noisereduce"} if self.denoise is not None else (),
            {"scipy"} if self.highpass_hz is not None or self.lowpass_hz is not None else (),
            {"librosa"} if self.trim_db is not None or self.split_db is not None else (),
            {"pyloudnorm", "scipy", "soxr"} if self.normalize == "loudness" else (),
        )


# ---------------------------------------------------------------------- samples to samples


def _mono(path: str | os.PathLike, y: np.ndarray, channel: int | str) -> np.ndarray:
    """`(samples, channels)` -> `(samples,)`. Channels that cancel are silence: a picture would show their rounding at full brightness."""
    if y.ndim == 1:
        return y
    channels = y.shape[1]
    if channel == "mean":
        if channels == 1:
            return y[:, 0]
        # of two, which most have: the same numbers in a fiftieth of the time
        mean = (y[:, 0] + y[:, 1]) * y.dtype.type(0.5) if channels == 2 else y.T.mean(axis=0)
        return np.zeros_like(mean) if cancels(y, mean) else mean
    if channel >= channels:
        raise AudioError(
            path, f"has {channels} channel{'s' * (channels > 1)}, so there is no channel {channel} (they count from 0)"
        )
    return np.ascontiguousarray(y[:, channel])


def _check_finite(path: str | os.PathLike, y: np.ndarray, sr: int) -> None:
    if np.isfinite(y.sum()):  # one pass without a temporary; a sum of finite samples may overflow too
        return
    invalid = np.flatnonzero(~np.isfinite(y))
    if len(invalid):
        raise AudioError(path, f"{len(invalid)} samples are NaN or infinite, the first at {invalid[0] / sr:.3f} s")


def _cleaned(path: str | os.PathLike, y: np.ndarray, sr: int, audio: Audio) -> np.ndarray:
    """Without noise, and without what lies beside the band."""
    try:
        if audio.denoise is not None:
            y = denoise(y, sr, audio.denoise)
        return filter_band(y, sr, audio.highpass_hz, audio.lowpass_hz, audio.filter_order)
    except ValueError as exc:
        raise AudioError(path, str(exc)) from exc


def _sounding_spans(y: np.ndarray, audio: Audio) -> np.ndarray:
    """int `(spans, 2)`: first and last sample (exclusive) of what `trim_db` and `split_db` leave of the clip."""
    import librosa.effects  # takes a second, and most renderers do without it

    begin, stop = 0, len(y)
    if audio.trim_db is not None:
        begin, stop = librosa.effects.trim(y, top_db=audio.trim_db)[1]
    if audio.split_db is None:
        return np.array([[begin, stop]])
    return begin + librosa.effects.split(y[begin:stop], top_db=audio.split_db)


def condition(
    y: np.ndarray,
    sr: int,
    audio: Audio,
    path: str | os.PathLike = "<samples>",
    vary: Callable[[np.ndarray, int], np.ndarray] | None = None,
) -> tuple[np.ndarray, int, int]:
    """Everything that `Audio` asks for after decoding.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples, channels)`, or `(samples,)` of one channel.
    sr : int
        Their sampling rate in Hz.
    audio : Audio
        What is done to them.
    path : str or os.PathLike, default "<samples>"
        Where they come from, for messages.
    vary : callable, optional
        `vary(y, sr) -> y` changes the mono samples, after resampling and before everything else.

    Returns
    -------
    y : np.ndarray
        float32 `(samples,)`.
    sr : int
        Their sampling rate in Hz.
    cut : int
        Samples that were cut off at the beginning.

    Raises
    ------
    AudioError
        If samples are not finite, the channel does not exist, or the filter does not fit the sampling rate.
    """
    with np.errstate(invalid="ignore", over="ignore"):  # what NaN and infinite samples would set off
        y = _mono(path, y, audio.channel)
        _check_finite(path, y, sr)
    if audio.sr is not None:
        y, sr = resample(y, sr, audio.sr), audio.sr
        if not np.isfinite(y).all():
            raise AudioError(path, "holds samples that are too large to be resampled; the file is damaged")
    if vary is not None:
        y = vary(y, sr)
    y = _cleaned(path, y, sr, audio)
    begin = 0
    if audio.trim_db is not None or audio.split_db is not None:
        spans = _sounding_spans(y, audio)
        y, begin = np.concatenate([y[first:last] for first, last in spans]), int(spans[0, 0])
    if audio.normalize is not None:
        y = normalize_level(y, sr, audio.normalize)
    if audio.duration is not None:
        y = fit_length(y, max(1, round(audio.duration * sr)), audio.pad)
    return y, sr, begin


# ---------------------------------------------------------------------- files to samples


@dataclass(frozen=True)
class Clip:
    """Samples ready to be drawn, and where they come from.

    Parameters
    ----------
    y : np.ndarray
        float32 `(samples,)`.
    sr : int
        Sampling rate of `y` in Hz.
    begin : float
        Seconds in the recording where `y[0]` lies.
    duration : float
        Seconds that were read, before trimming and fitting.
    source_sr : int
        Sampling rate of the recording in Hz.
    problem : str, default ""
        Why the recording is not whole, if it is read as far as it goes.
    decoder : str, default "soundfile"
        The package that decoded it: "soundfile" or "av".
    faults : tuple of str, default ()
        What makes it hardly usable, names of `specimg.audio.faults.FAULTS`.
    """

    y: np.ndarray
    sr: int
    begin: float
    duration: float
    source_sr: int
    problem: str = ""
    decoder: str = "soundfile"
    faults: tuple[str, ...] = ()


def read_clip(
    path: Sound,
    audio: Audio = Audio(),
    start: float | None = None,
    end: float | None = None,
    buffer: SampleBuffer | None = None,
    vary: Callable[[np.ndarray, int], np.ndarray] | None = None,
    most: int | None = None,
) -> Clip:
    """`read_audio` with the facts that a picture's axes and a manifest need.

    Parameters
    ----------
    path, audio, start, end
        As in `read_audio`.
    buffer : SampleBuffer, optional
        Memory in which the samples then live; default fresh memory.
    vary : callable, optional
        As in `condition`.
    most : int, optional
        Samples of all channels that are read at most, as in `decode`.

    Returns
    -------
    Clip
    """
    needed = None if vary is not None else audio.looks_at
    raw, source_sr, problem, decoder, seconds = decode(path, start, end, buffer, audio.damaged, most, needed)
    if needed is not None and audio.sr not in (None, source_sr) and source_sr * MARGIN < MARGIN_SAMPLES:
        raw, *_ = decode(path, start, end, buffer, audio.damaged, most)
    with np.errstate(invalid="ignore", over="ignore"):  # NaN and infinite samples are refused below
        mono = _mono(name_of(path), raw, audio.channel)
        faults = tuple(find_faults(raw, mono, audio.channel))
    y, sr, cut = condition(mono, source_sr, audio, name_of(path), vary)
    return Clip(y, sr, (start or 0.0) + cut / sr, seconds, source_sr, problem, decoder, faults)


def read_audio(
    path: Sound, audio: Audio = Audio(), *, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
    """Read a recording, or a span of it, as mono samples.

    Parameters
    ----------
    path : str, os.PathLike, bytes or file
        A recording of any kind that libsndfile or FFmpeg reads, with any number of channels, sampling rate and sample format; or its address
        in a store (s3://bucket/night.flac), its bytes, or a file that is open in binary mode.
    audio : Audio, default Audio()
        Sampling rate, channel, filters, level and length.
    start, end : float, optional
        Seconds in the file; a span that goes beyond its end stops there. Default the whole file.

    Returns
    -------
    y : np.ndarray
        float32 `(samples,)`, nominally in [-1, 1].
    sr : int
        Sampling rate in Hz.

    Raises
    ------
    AudioError
        If the file is not there, no recording, empty, or holds samples that are NaN or infinite; if it breaks off, unless `audio.damaged` is
        "partial". The message has the path and the reason.

    Examples
    --------
    >>> y, sr = sp.read_audio("night.wav", sp.Audio(sr=16000), start=1.0, end=3.0)
    >>> y.shape, y.dtype, sr
    ((32000,), dtype('float32'), 16000)
    """
    clip = read_clip(path, audio, start, end)
    if clip.problem:
        warn(f"{name_of(path)!r} {clip.problem}; it is read up to there, {clip.duration:g} s")
    return clip.y, clip.sr
