"""Grad-CAM made audible: the part of a recording that a network looked at, and the rest of it.

    y, sr = cam_audio(learn, "dog.wav")                        # what speaks for the most probable label
    y, sr = cam_audio(learn, "dog.wav", "cat", inverse=True)   # all but what speaks for "cat"

The map's rows and columns are hertz and seconds; a short-time Fourier transform of the samples has cells of hertz and seconds too. Each
of its cells is turned down as far as the map is weak there, and the transform is inverted.
"""

from __future__ import annotations

import os

import numpy as np

from ...audio.read import Clip, condition, read_clip
from ...core.warnings import warn
from ...data import list_sources
from ...data.images import Samples, SpecImage
from ...render.renderer import Renderer, as_channels
from ...spectrogram.picture import PictureInfo
from .clips import Cam, Eyes, cam_of

__all__ = ["cam_audio"]

WINDOW = 0.04  # s: about that long are the windows of the transform


def _clip(name: str, source, renderer: Renderer, start: float | None, end: float | None) -> Clip:
    """The very samples that are drawn of a source."""
    if isinstance(source, str) and not source.lower().endswith(".png"):
        return read_clip(source, renderer.audio, start, end)
    if not isinstance(source, Samples):
        raise ValueError(
            f"{name!r} is a picture, which holds no sound; give the recording, and start= and end= where the picture "
            "shows a part of it"
        )
    if start is not None or end is not None:
        raise ValueError("start and end are seconds in a file; of samples give the part itself: (y[first:last], sr)")
    y, sr, cut = condition(as_channels(source.y), int(source.sr), renderer.audio)
    return Clip(y, sr, cut / sr, len(source.y) / source.sr, int(source.sr))


def _loud(values: np.ndarray, keep: float) -> np.ndarray:
    """How loud cells of these strengths are heard: in full from `keep` on, not at all up to half of it."""
    return np.clip(2 * values / keep - 1, 0.0, 1.0)


def _over_times(values: np.ndarray, info: PictureInfo, times: np.ndarray) -> np.ndarray:
    """(rows, columns) at the columns' seconds -> (rows, times): linear between, the outermost beyond."""
    at = np.interp(times, info.times, np.arange(info.width))
    left = np.minimum(at.astype(int), max(0, info.width - 2))
    share = at - left
    return values[:, left] * (1 - share) + values[:, np.minimum(left + 1, info.width - 1)] * share


def _over_frequencies(values: np.ndarray, rows: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(rows, times) at the rows' Hz, lowest first -> (bins, times): linear between; 0 further than a row beyond the picture."""
    below, above = (rows[0] - rows[1], rows[-1] - rows[-2]) if len(rows) > 1 else (-np.inf, np.inf)
    inside = (bins >= rows[0] + below) & (bins <= rows[-1] + above)
    return np.stack([np.interp(bins, rows, column) for column in values.T], axis=1) * inside[:, None]


def _mask(cam: Cam, keep: float, bins: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(bins, times) in [0, 1]: how loud each cell of a transform with these Hz and seconds in the source is heard."""
    if cam.frequencies is None:
        strength = _over_times(cam.values.max(axis=0, keepdims=True), cam.info, times)
        return np.repeat(_loud(strength, keep), len(bins), axis=0)
    strength = _over_times(cam.values[::-1], cam.info, times)
    return _loud(_over_frequencies(strength, cam.frequencies[::-1], bins), keep)


def _masked(y: np.ndarray, sr: int, begin: float, mask) -> np.ndarray:
    """`y` under `mask(Hz of bins, seconds of frames in the source)`."""
    from scipy.signal import istft, stft

    n = min(max(16, 2 ** round(np.log2(WINDOW * sr))), max(2, len(y)))
    framing = dict(fs=sr, nperseg=n, noverlap=n - n // 4 if n >= 4 else n // 2)
    bins, times, cells = stft(y.astype(np.float64), **framing)
    _, heard = istft(cells * mask(bins, begin + times), **framing)
    return np.pad(heard, (0, max(0, len(y) - len(heard))))[: len(y)].astype(np.float32)


def cam_audio(
    looker,
    source,
    label: str | None = None,
    keep: float = 0.5,
    layer: str | None = None,
    *,
    inverse: bool = False,
    start: float | None = None,
    end: float | None = None,
    method: str = "gradcam",
) -> tuple[np.ndarray, int]:
    """The part of a sound that the network looked at for a label: `(y, sr)`, float32 of the length and rate that was drawn.

    It is the recording itself, conditioned as for its picture (mono, resampled, trimmed ...), with the cells of its short-time Fourier
    transform turned down where the map is weak. What was looked at is therefore heard with its own phase, at its own time and pitch, as
    sharply as the map is fine: a cell of the last maps, often some tenths of a second and an octave or more. It is not what the network
    "hears": the network may need what is silent here, to tell that it is not there; nor is it proof that this part alone would get
    the label. Ask for that with `clip_cam(looker, (y, sr))`. What the picture does not show (frequencies above and below its rows,
    what a window or "pad" leaves out) was not looked at. Of pictures whose rows are no frequencies (MFCC, chroma) only the seconds are
    known: all frequencies sound, or none.

    Parameters
    ----------
    looker, label, layer, method : as in `clip_cam`
    source : a recording, as a path or a pair `(y, sr)`
    keep : the strength from which on a cell is heard in full, above 0 to 1; it fades to silence at half of that
    inverse : what was not looked at; both together are the samples that were drawn
    start, end : seconds in the file, where a part of it is the clip

    Raises ValueError as `clip_cam`, for a picture, and where there is no renderer. Warns where nothing speaks for the label.
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep={keep}: give a strength above 0, up to 1")
    eyes = Eyes.of(looker)
    if eyes.renderer is None:
        raise ValueError(
            f"this {type(looker).__name__} has no renderer, so the samples of its pictures are not known; give one whose data "
            "were drawn"
        )
    names, sources = list_sources([source])
    clip = _clip(names[0], sources[0], eyes.renderer, start, end)
    cam = cam_of(eyes, names[0], SpecImage.create(eyes.renderer.encode(clip)), label, layer, method)
    if not cam.values.any():
        warn(
            f"nothing in {os.path.basename(names[0])} speaks for {cam.label!r}: {'all of it' if inverse else 'nothing'} is heard"
        )
    heard = _masked(clip.y, clip.sr, clip.begin, lambda bins, times: _mask(cam, keep, bins, times))
    return (clip.y - heard if inverse else heard), clip.sr
