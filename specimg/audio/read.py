"""A recording as it is drawn: `Audio` says how, `read_audio` does it.

    y, sr = read_audio("dog.ogg", Audio(sr=32000, duration=5.0))      # float32 (160000,), 32000
    y, sr = read_audio("night.wav", Audio(highpass_hz=200), start=60, end=65)

The order is fixed: mono, resample, denoise, filter, trim, cut out silence, normalise, fit length. Silence is judged after
filtering, so that rumble below `highpass_hz` does not pass for sound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..core.values import Value, choose, register
from .decode import AudioError, SampleBuffer, decode
from .effects import DENOISERS, MAX_FILTER_ORDER, PADS, denoise, filter_band, fit_length, resample
from .levels import NORMALIZERS, normalize_level

__all__ = ["Audio", "Clip", "condition", "read_audio", "read_clip"]


@register
@dataclass(frozen=True)
class Audio(Value):
    """How a file becomes `(y, sr)`: float32 `(samples,)`, nominally in [-1, 1], and samples a second."""

    sr: int | None = None  # Hz; None keeps each file's own
    channel: int | str = "mean"  # "mean" of all channels, or one of them counted from 0
    trim_db: float | None = None  # dB below the loudest frame; quieter beginnings and ends are cut off
    denoise: str | None = None  # "stationary" or "nonstationary" spectral gating (pip install specimg[denoise])
    lowpass_hz: float | None = None  # Hz; Butterworth, zero phase; what is above goes
    duration: float | None = None  # s; longer clips are cut at their end, shorter ones padded there
    pad: str = "silence"  # what pads: "silence", "repeat" or "reflect"
    normalize: str | None = None  # "peak" to full scale, "rms" to -20 dB, "loudness" to -23 LUFS; silence is left alone
    highpass_hz: float | None = None  # Hz; what is below goes; with lowpass_hz a band-pass
    filter_order: int = 8  # 12 dB an octave each
    split_db: float | None = (
        None  # dB below the loudest frame; quieter parts anywhere are cut out, and the rest is joined
    )

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


def _mono(path, y: np.ndarray, channel: int | str) -> np.ndarray:
    """`(samples, channels)` -> `(samples,)`."""
    channels = y.shape[1]
    if channel == "mean":
        return y[:, 0] if channels == 1 else y.T.mean(axis=0)
    if channel >= channels:
        raise AudioError(
            path, f"has {channels} channel{'s' * (channels > 1)}, so there is no channel {channel} (they count from 0)"
        )
    return np.ascontiguousarray(y[:, channel])


def _check_finite(path, y: np.ndarray, sr: int) -> None:
    if np.isfinite(y.sum()):  # one pass without a temporary; a sum of finite samples that overflows is looked at again
        return
    bad = np.flatnonzero(~np.isfinite(y))
    if len(bad):
        raise AudioError(path, f"{len(bad)} samples are NaN or infinite, the first at {bad[0] / sr:.3f} s")


def _cleaned(path, y: np.ndarray, sr: int, audio: Audio) -> np.ndarray:
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
    y: np.ndarray, sr: int, audio: Audio, path="<samples>", vary: Callable | None = None
) -> tuple[np.ndarray, int, int]:
    """Everything after decoding: `(samples, channels)` at `sr` -> `(y, sr, samples cut off at the beginning)`.

    vary : changes the mono samples, `vary(y, sr) -> y`, at the rate of drawing and before anything else is done to them
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
    """Samples ready to be drawn, and where they come from."""

    y: np.ndarray  # float32 (samples,)
    sr: int  # Hz, of y
    begin: float  # s: where y[0] lies in the source
    duration: float  # s of the span as it was read, before trimming and fitting
    source_sr: int  # Hz, of the file


def read_clip(
    path, audio: Audio = Audio(), start=None, end=None, buffer: SampleBuffer | None = None, vary: Callable | None = None
) -> Clip:
    """`read_audio` with the facts that a picture's axes and a manifest need.

    buffer : where the samples then live
    vary : as in `condition`
    """
    raw, source_sr = decode(path, start, end, buffer)
    y, sr, cut = condition(raw, source_sr, audio, path, vary)
    return Clip(y, sr, (start or 0.0) + cut / sr, len(raw) / source_sr, source_sr)


def read_audio(
    path, audio: Audio = Audio(), *, start: float | None = None, end: float | None = None
) -> tuple[np.ndarray, int]:
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
