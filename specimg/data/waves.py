"""A recording as a waveform: fastai's transforms from a path to samples of one length, their augmentation and their drawing.

    wave = ReadWave(Audio(sr=16000))("dog.wav")          # TensorWave (1, 1, samples), float32, nominally in [-1, 1]
    x = FitWave(Audio(sr=16000), samples=16000)(wave)    # one second of it

A waveform has the shape of a picture of one row, so that learner, recipe and predictions take both. Nothing is cached: each epoch reads
the recordings again, exactly as `read_audio` does.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision.all import TensorBase, Transform
from matplotlib.axes import Axes

from ..audio import Audio, AudioError, filter_band, fit_length
from ..audio.read import condition, read_clip
from ..core.figures import new_figure, write_message
from ..render.renderer import as_channels
from .images import EncodedSound, FitTransform, Samples, window_starts
from .sizes import Sizing

STEPS = 2000  # of time that the drawing of a long waveform shows: the highest and the lowest sample in each
LONG = 20 * STEPS  # samples: what is shorter is drawn sample by sample
NOISE_RANGE = 40.0  # dB: the softest noise lies that far below the loudest


# ---------------------------------------------------------------------- a waveform


def _outline(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(positions from 0 to 1, values) of a line that looks like `y`: the samples, or the range of each step."""
    if len(y) <= LONG:
        return np.arange(len(y)) / len(y), y
    values = np.array([(step.min(), step.max()) for step in np.array_split(y, STEPS)]).ravel()
    return np.repeat(np.arange(STEPS) / STEPS, 2), values


def draw_wave(ax, y: np.ndarray, title: str = "", span: tuple[float, float] | None = None) -> None:
    """Draw samples `(samples,)` over the seconds of `span` (start, end), or over their numbers where that is not known."""
    left, right = span or (0, len(y))
    positions, values = _outline(y)
    ax.plot(left + positions * (right - left), values, linewidth=0.6)
    top = float(np.abs(y).max()) or 1.0
    ax.set(
        xlim=(left, right), ylim=(-1.05 * top, 1.05 * top), xlabel="seconds" if span else "samples", ylabel="amplitude"
    )
    if title:
        # a file's name need not be UTF-8
        ax.set_title(title.encode("utf-8", "replace").decode(), fontsize="medium", parse_math=False)


def draw_recording(
    ax, path: str | os.PathLike, start: float | None = None, end: float | None = None, title: str = ""
) -> None:
    """Draw a recording, or its part from `start` to `end` seconds, over its own seconds; where it cannot be read, why, in words."""
    try:
        clip = read_clip(os.fspath(path), Audio(), start, end)
    except AudioError as exc:
        write_message(ax, exc.reason)
        return
    draw_wave(ax, clip.y, title, (clip.begin, clip.begin + len(clip.y) / clip.sr))


class TensorWave(TensorBase):
    """A waveform, or several windows of one, as a tensor: `(1, 1, samples)` or `(windows, 1, 1, samples)`.

    Examples
    --------
    >>> from specimg.data.waves import ReadWave
    >>> wave = ReadWave(sp.Audio(sr=8000))("dog.wav")
    >>> type(wave).__name__, wave.shape
    ('TensorWave', torch.Size([1, 1, 4000]))
    """

    def show(self, ctx: Axes | None = None, title: str = "", **kwargs: Any) -> Axes:
        """Draw the samples, of several windows those of the first.

        Parameters
        ----------
        ctx : Axes, default None
            Where to draw; None makes a figure.
        title : str, default ""
            Above the axes.
        **kwargs
            Ignored; fastai gives more.

        Returns
        -------
        Axes
            The axes, over numbers of samples.
        """
        ax = new_figure(5, 2.5).add_subplot() if ctx is None else ctx
        draw_wave(ax, np.asarray(self.cpu()).reshape(-1, self.shape[-1])[0], title)
        return ax


@dataclass(frozen=True)
class RecordingPart:
    """Part of a recording as one item; fastai would take a tuple apart."""

    path: str
    start: float | None  # s
    end: float | None  # s


class ReadWave(Transform):
    """A recording, a `RecordingPart` of one, or `Samples` become a `TensorWave`, read by `audio`. AudioError, with the path, for a file that cannot be read."""

    # what fastai may hand over when it predicts on new items
    input_types = (str, Path, RecordingPart, Samples, EncodedSound)

    def __init__(self, audio: Audio):
        super().__init__()
        self.audio = audio

    def encodes(self, o) -> TensorWave:
        y, begin = self._read(o)
        wave = TensorWave(torch.from_numpy(y)[None, None])
        wave.begin, wave.whole = begin, len(y)
        return wave

    def _read(self, o) -> tuple[np.ndarray, float]:
        """(samples, the second of the recording where they begin)."""
        if isinstance(o, Samples):
            if o.sr < 1 or o.sr != int(o.sr):
                raise ValueError(f"sampling rate {o.sr!r}: give a whole number of samples a second, 1 or more")
            y, sr, cut = condition(as_channels(o.y), int(o.sr), self.audio)
            return y, cut / sr
        if isinstance(o, EncodedSound):
            clip = read_clip(o.data, self.audio)
            return clip.y, clip.begin
        span = o if isinstance(o, RecordingPart) else RecordingPart(os.fspath(o), None, None)
        try:
            clip = read_clip(span.path, self.audio, span.start, span.end)
        except AudioError as exc:
            raise AudioError(
                span.path, f"{exc.reason}; found while a batch was read: repair the file, or leave it out"
            ) from exc
        return clip.y, clip.begin


class FitWave(FitTransform):
    """Item transform: a `TensorWave` of any length becomes windows of `samples` samples.

    A random one in training, `windows` evenly spread ones elsewhere, `(windows, 1, 1, samples)`; one window alone is not an axis. What is
    shorter is padded by `audio.pad`. `x.spans` are the seconds of each window, if they are known.
    """

    def __init__(self, audio: Audio, samples: int, windows: int = 1):
        super().__init__()
        self.audio, self.samples, self.windows = audio, samples, windows

    def encodes(self, o: TensorWave) -> TensorWave:
        y, sr = np.asarray(o)[0, 0], self.audio.sr
        firsts = self._firsts(len(y))
        parts = [fit_length(y[first : first + self.samples], self.samples, self.audio.pad) for first in firsts]
        x = torch.from_numpy(np.stack(parts))[:, None, None]
        x = TensorWave(x if len(parts) > 1 else x[0])
        begin = getattr(o, "begin", None)  # None where another transform made a new tensor
        if begin is not None and len(y) == getattr(o, "whole", len(y)):  # or cut it
            x.spans = [(begin + first / sr, begin + (first + self.samples) / sr) for first in firsts]
        return x

    def _firsts(self, length: int) -> list[int]:
        """The first sample of each window into a clip of `length` samples."""
        if self.training:
            return [random.randint(0, max(0, length - self.samples))]
        return [round(at) for at in window_starts(length, self.samples, self.windows)]


# ---------------------------------------------------------------------- one length


def wave_sizing(audio: Audio | None, seconds: float | None = None, windows: int | None = None) -> Sizing:
    """How clips come to one number of samples. ValueError if these do not bring all of them there."""
    if not isinstance(audio, Audio):
        raise ValueError(f"audio={audio!r}: give how recordings are read, such as audio=Audio(sr=16000, duration=2.0)")
    if audio.sr is None:
        raise ValueError(
            "Audio(sr=None) keeps the sampling rate of each file, and a batch of waveforms has one; give it, such as Audio(sr=16000)"
        )
    # refuses what no file could pass
    filter_band(np.zeros(1, np.float32), audio.sr, audio.highpass_hz, audio.lowpass_hz, audio.filter_order)
    if audio.duration is None and seconds is None:
        raise ValueError(
            "clips differ in length and a batch of waveforms may not; give Audio(duration=...), to which all are cut or padded, "
            "or seconds=, the length of windows"
        )
    if seconds is not None and audio.duration is not None and seconds > audio.duration:
        raise ValueError(
            f"seconds={seconds:g} is longer than Audio(duration={audio.duration:g}), to which clips are cut before; "
            f"leave one of them out"
        )
    if windows is not None and seconds is None:
        raise ValueError(f"windows={windows} goes with seconds=, their length; without it a clip is read once")
    if seconds is None:
        return Sizing(method="pad", seconds=audio.duration)
    return Sizing(method="crop", seconds=seconds, windows=windows)


def fit_wave(audio: Audio, sizing: Sizing) -> FitWave:
    """The transform that brings clips to `sizing.seconds`."""
    return FitWave(audio, max(1, round(sizing.seconds * audio.sr)), sizing.windows or 1)
