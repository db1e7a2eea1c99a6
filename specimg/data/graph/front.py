"""From samples to the network's input as one module of torch: what `Renderer` and `FitSize` do, ready to be exported.

    front = AudioFrontEnd(renderer, fit, sr=16000)
    pictures = front(samples)              # float32 (batch, n), -1 to 1 -> float32 (batch, channels, height, width), 0 to 1
    cannot_draw(renderer)                  # reasons why a renderer has no such module, in words

The pixels are those of a picture that was drawn, written as a PNG, read and resized, but for a few that are a level off where a rounding
went to the other side. Probabilities agree within 1e-3; `benchmarks/onnx_agreement.py` measures by how much.

Samples come mono and at the rate that was drawn: reading, mixing down and resampling stay outside. What depends on the whole
clip - trimming, gates, loudness - or filters backwards in time has no place in a graph and is refused.
"""

from __future__ import annotations

import bisect

import numpy as np
import torch
from torch import Tensor, nn

from ...audio import Audio
from ...audio.levels import RMS_LEVEL
from ...render.renderer import Renderer
from ...spectrogram.picture import _palette
from ..images import FitSize
from ..inputs import NetworkInput, WaveInput
from ..waves import FitWave
from .pixels import FILTERS, cut_columns, own_range, resize, resize_levels, to_colours, to_levels
from .representations import feature_module, list_graph_representations, without_module
from .transform import cut_or_pad, normalize, window_firsts

OUTSIDE = ("trim_db", "split_db", "denoise", "lowpass_hz", "highpass_hz")  # fields of Audio that no graph can follow


# ---------------------------------------------------------------------- what can be done


def _cannot_condition(audio: Audio) -> list[str]:
    why = [f"Audio({name}={getattr(audio, name)!r})" for name in OUTSIDE if getattr(audio, name) is not None]
    return why + ["Audio(normalize='loudness') (these can: 'peak', 'rms')"] * (audio.normalize == "loudness")


def cannot_draw(renderer: Renderer, fit: FitSize | None = None, n_samples: int | None = None) -> list[str]:
    """Why this renderer's pictures cannot be drawn in a graph.

    Parameters
    ----------
    renderer : Renderer
        How recordings are drawn.
    fit : FitSize, default None
        How pictures then come to the network's size.
    n_samples : int, default None
        Number of samples of every clip; None: clips of any length.

    Returns
    -------
    list of str
        Reasons; empty if they can be drawn.

    Examples
    --------
    >>> from specimg.data.graph import cannot_draw
    >>> cannot_draw(sp.Renderer(audio=sp.Audio(trim_db=40)))
    ['Audio(trim_db=40.0)']
    """
    why, missing = [], without_module(renderer.representation)
    if missing:
        why.append(
            f"the representation {' and '.join(dict.fromkeys(missing))} (these can: {', '.join(list_graph_representations())})"
        )
    resized = renderer.picture.height is not None or renderer.picture.width is not None
    if resized and renderer.picture.resample not in FILTERS:
        why.append(f"Picture(resample={renderer.picture.resample!r}) (these can: {', '.join(FILTERS)})")
    why += _cannot_condition(renderer.audio)
    any_length = n_samples is None and renderer.audio.duration is None
    if fit is not None and fit.method != "squish" and renderer.picture.width is not None and any_length:
        why.append(
            f"method={fit.method!r} on Picture(width={renderer.picture.width}) of clips of any length, where each has a window of "
            f"other pixels (give seconds=, the length of all clips)"
        )
    return why


def _refuse(why: list[str]) -> None:
    if why:
        raise ValueError(
            f"no graph goes from samples to probabilities with {', nor with '.join(why)}; "
            f"leave that out of the renderer, or export the network alone with audio=False"
        )


def fewest_samples(renderer: Renderer, sr: int) -> int:
    """How many samples a clip must have at least, for its picture to be drawn."""

    def drawn(n: int) -> bool:
        try:
            renderer.png(np.zeros(n, np.float32), sr)
        except ValueError:
            return False
        return True

    enough = 1
    while not drawn(enough):
        enough *= 2
        if enough > 2**24:
            renderer.png(np.zeros(enough, np.float32), sr)  # no length helps; it raises why
    return bisect.bisect_left(range(enough), True, lo=enough // 2, key=drawn)


def _known_rate(audio: Audio, sr: int | None) -> int:
    if audio.sr is None and sr is None:
        raise ValueError(
            "Audio(sr=None) draws each recording at its own sampling rate, and a graph has one; give sr=, in Hz"
        )
    if audio.sr is not None and sr not in (None, audio.sr):
        raise ValueError(f"sr={sr}: these recordings are drawn at {audio.sr} Hz; resample to that, and leave sr= out")
    return audio.sr or int(sr)


def _conditioned(y: Tensor, audio: Audio, sr: int) -> Tensor:
    if audio.normalize is not None:
        y = normalize(y, audio.normalize, RMS_LEVEL)
    if audio.duration is not None:
        y = cut_or_pad(y, max(1, round(audio.duration * sr)), audio.pad)
    return y


# ---------------------------------------------------------------------- the modules


class AudioFrontEnd(nn.Module):
    """Samples float32 `(batch, n)`, -1 to 1, mono, at `sr` -> pictures float32 `(batch, channels, height, width)`, 0 to 1.

    With `FitSize`'s crops in several windows `(batch, windows, channels, height, width)`. Clips of one batch have one length; with
    `Audio(duration=...)` the module itself cuts and pads whatever length comes.

    Parameters
    ----------
    renderer : Renderer
        How recordings are drawn.
    fit : FitSize, default None
        How pictures come to the network's size; None leaves them as they are drawn.
    sr : int, default None
        Hz, where `renderer.audio` leaves it open.
    n_samples : int, default None
        Number of samples of every clip, where all have one length; None: any.

    Attributes
    ----------
    sr : int
        Hz of the samples.
    fewest : int
        Samples that a clip must have at least.

    Raises
    ------
    ValueError
        If something that the renderer does has no place in a graph (all of it is named), or no clip can be drawn at `sr`.

    Examples
    --------
    >>> import torch
    >>> from specimg.data.graph import AudioFrontEnd
    >>> front = AudioFrontEnd(sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64)), sr=8000)
    >>> front(torch.zeros(2, 4000)).shape
    torch.Size([2, 1, 32, 63])
    """

    def __init__(
        self, renderer: Renderer, fit: FitSize | None = None, sr: int | None = None, n_samples: int | None = None
    ):
        super().__init__()
        _refuse(cannot_draw(renderer, fit, n_samples))
        self.renderer, self.fit, self.sr = renderer, fit, _known_rate(renderer.audio, sr)
        self.fewest = fewest_samples(renderer, self.sr)
        if n_samples is not None and n_samples < self.fewest:
            raise ValueError(
                f"clips of {n_samples} samples at {self.sr} Hz are too short to be drawn; this renderer needs {self.fewest}"
            )
        self.features = feature_module(renderer.representation, self.sr)
        picture = renderer.picture
        palette = blank = None
        if picture.colormap is not None:
            colours = np.frombuffer(_palette(picture.colormap), np.uint8).reshape(256, 3)
            palette = torch.tensor(colours, dtype=torch.float32)
        if fit is not None:
            blank = torch.tensor(fit.blank, dtype=torch.float32).reshape(-1, 1, 1)
        self.register_buffer("palette", palette)
        self.register_buffer("blank", blank)

    def forward(self, samples: Tensor) -> Tensor:
        return self.fitted(samples) / 255.0

    def fitted(self, samples: Tensor) -> Tensor:
        """The picture as the network sees it, in whole levels of 0 to 255."""
        levels, frames = self.levels(samples)
        return levels if self.fit is None else self._fitted(levels, frames)

    def levels(self, samples: Tensor) -> tuple[Tensor, int]:
        """The picture as it is stored: levels, float32 `(batch, channels, height, width)`, low notes at the bottom; and its frames."""
        picture = self.renderer.picture
        x = self.features(_conditioned(samples, self.renderer.audio, self.sr).double())
        resized = resize(x, picture.height, picture.width, picture.resample)
        levels = to_levels(resized, self._ranges(x)).flip(2)
        return levels if self.palette is None else to_colours(levels, self.palette), x.shape[3]

    def _ranges(self, x: Tensor) -> list[tuple]:
        """(black, white) of each channel."""
        picture = self.renderer.picture
        if picture.low is not None:
            return [(picture.low, picture.high)] * x.shape[1]
        return [own_range(x[:, i]) if r is None else r for i, r in enumerate(self.renderer.representation.ranges)]

    def _fitted(self, levels: Tensor, frames: int) -> Tensor:
        fit = self.fit
        if fit.method == "squish":
            return resize_levels(levels, *fit.size)
        columns = self._columns(frames, levels.shape[3])
        firsts = [0] if fit.method == "pad" else window_firsts(levels.shape[3], columns, fit.windows)
        parts = [resize_levels(cut_columns(levels, first, columns, self.blank), *fit.size) for first in firsts]
        return torch.stack(parts, 1) if len(parts) > 1 else parts[0]

    def _columns(self, frames: int, width: int) -> int:
        """Pixel columns of a window of `fit.seconds`, as `FitSize` counts them on a picture of `frames` frames."""
        hop = self.renderer.representation.hop_seconds(self.sr)
        left = self.renderer.representation.first_column(self.sr) - hop / 2
        known = isinstance(frames, int) and isinstance(width, int)
        column = (left + hop * frames - left) / width if known else hop
        return max(1, round(self.fit.seconds / column))


class WaveFrontEnd(nn.Module):
    """Samples as `AudioFrontEnd` takes them -> the windows that a network of waveforms takes.

    float32 `(batch, 1, 1, samples)`, or `(batch, windows, 1, 1, samples)` where a clip has several.

    Parameters
    ----------
    fit : FitWave
        How clips come to the network's length.

    Raises
    ------
    ValueError
        If something that its `audio` does has no place in a graph.
    """

    fewest = 1

    def __init__(self, fit: FitWave):
        super().__init__()
        _refuse(_cannot_condition(fit.audio))
        self.fit, self.sr = fit, fit.audio.sr

    def forward(self, samples: Tensor) -> Tensor:
        fit, y = self.fit, _conditioned(samples, self.fit.audio, self.sr)
        parts = [
            cut_or_pad(y, fit.samples, fit.audio.pad, first)
            for first in window_firsts(y.shape[1], fit.samples, fit.windows)
        ]
        return (torch.stack(parts, 1) if len(parts) > 1 else parts[0]).unsqueeze(-2).unsqueeze(-2)


def front_end(given: NetworkInput, sr: int | None = None, n_samples: int | None = None) -> nn.Module:
    """The module from samples to such an input.

    Parameters
    ----------
    given : NetworkInput
        What a network is given.
    sr, n_samples : int, default None
        As in `AudioFrontEnd`; waveforms know theirs.

    Returns
    -------
    Module
        `AudioFrontEnd` or `WaveFrontEnd`.

    Raises
    ------
    ValueError
        As of these.
    """
    if isinstance(given, WaveInput):
        return WaveFrontEnd(given.transform)
    return AudioFrontEnd(given.renderer, given.transform, sr, n_samples)
