"""Grad-CAM made audible: the part of a recording that is evidence for a label, and the rest of it.

    y, sr = cam_audio(learn, "dog.wav")                        # evidence for the most probable label
    y, sr = cam_audio(learn, "dog.wav", "cat", inverse=True)   # all but the evidence for "cat"

The map's rows and columns are hertz and seconds, as are the cells of a short-time Fourier transform of the samples. Each cell is
attenuated as far as the map is weak there, and the transform is inverted.
"""

from __future__ import annotations

import os

import numpy as np
from fastai.vision.all import Learner

from ...audio.read import Clip, condition, read_clip
from ...core.warnings import warn
from ...data.images import Samples, SpecImage
from ...data.sources import list_sources
from ...inference import Classifier
from ...render.renderer import Renderer, as_channels
from ...spectrogram.picture import PictureInfo
from .of_clips import Cam, PicturePipeline, one_cam

WINDOW = 0.04  # s, about the window of the transform


def _clip(name: str, source, renderer: Renderer, start: float | None, end: float | None) -> Clip:
    """The samples that are drawn of a source."""
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


def _gain(values: np.ndarray, keep: float) -> np.ndarray:
    """The gain of cells with these map values: 1 from `keep` on, 0 up to half of it."""
    return np.clip(2 * values / keep - 1, 0.0, 1.0)


def _over_times(values: np.ndarray, info: PictureInfo, times: np.ndarray) -> np.ndarray:
    """(rows, columns) -> (rows, times), interpolated linearly, constant beyond the ends."""
    return np.stack([np.interp(times, info.times, row) for row in values])


def _over_frequencies(values: np.ndarray, rows: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(rows, times) with the rows' Hz, ascending -> (bins, times), interpolated linearly; 0 more than a row beyond the picture."""
    below, above = (rows[0] - rows[1], rows[-1] - rows[-2]) if len(rows) > 1 else (-np.inf, np.inf)
    inside = (bins >= rows[0] + below) & (bins <= rows[-1] + above)
    return np.stack([np.interp(bins, rows, column) for column in values.T], axis=1) * inside[:, None]


def _mask(cam: Cam, keep: float, bins: np.ndarray, times: np.ndarray) -> np.ndarray:
    """(bins, times) in [0, 1]: the gain of each cell of a transform at these Hz and seconds in the source."""
    if cam.frequencies is None:
        strength = _over_times(cam.values.max(axis=0, keepdims=True), cam.info, times)
        return np.repeat(_gain(strength, keep), len(bins), axis=0)
    strength = _over_times(cam.values[::-1], cam.info, times)
    return _gain(_over_frequencies(strength, cam.frequencies[::-1], bins), keep)


def _masked(y: np.ndarray, sr: int, begin: float, mask) -> np.ndarray:
    """`y` with its transform multiplied by `mask(Hz of bins, seconds of frames in the source)`."""
    from scipy.signal import istft, stft

    n = min(max(16, 2 ** round(np.log2(WINDOW * sr))), max(2, len(y)))
    framing = dict(fs=sr, nperseg=n, noverlap=n - n // 4 if n >= 4 else n // 2)
    bins, times, cells = stft(y.astype(np.float64), **framing)
    _, kept = istft(cells * mask(bins, begin + times), **framing)
    return np.pad(kept, (0, max(0, len(y) - len(kept))))[: len(y)].astype(np.float32)


def cam_audio(
    classifier: Learner | Classifier,
    source: str | os.PathLike | tuple[np.ndarray, int],
    label: str | None = None,
    keep: float = 0.5,
    layer: str | None = None,
    *,
    inverse: bool = False,
    start: float | None = None,
    end: float | None = None,
    method: str = "gradcam",
) -> tuple[np.ndarray, int]:
    """The part of a sound that is evidence for a label, as sound.

    It is the recording, conditioned as for its picture (mono, resampled, trimmed ...), with the cells of its short-time Fourier transform
    attenuated where the class map is weak; phase, time and pitch are its own. The resolution is that of the map, often some tenths of a
    second and an octave or more. It does not show that this part alone would get the label: that is `clf.predict((y, sr))`. What the
    picture leaves out (frequencies beyond its rows, seconds beyond its windows) is not evidence. Where rows are not frequencies (MFCC,
    chroma) the map has seconds only, and all frequencies of a moment are kept or none.

    Parameters
    ----------
    classifier, label, layer, method
        As in `clip_cam`.
    source : path or (ndarray, int)
        A recording, as a file or as samples and sampling rate in Hz.
    keep : float, default 0.5
        Map value from which a cell is kept in full, in (0, 1]; below it fades to silence at half of it.
    inverse : bool, default False
        The rest instead; both together are the samples that were drawn.
    start, end : float, optional
        Seconds in the file, where the clip is a part of it.

    Returns
    -------
    y : ndarray
        float32 (samples,), as long as what was drawn.
    sr : int
        Sampling rate in Hz.

    Raises
    ------
    ValueError
        As `clip_cam`; for a picture; and if there is no renderer.

    Warns
    -----
    UserWarning
        Where the map is 0 everywhere.

    Examples
    --------
    >>> y, sr = sp.cam_audio(learn, "dog.wav", "dog")
    >>> rest, _ = sp.cam_audio(learn, "dog.wav", "dog", inverse=True)
    >>> sr, np.allclose(y + rest, sp.read_audio("dog.wav")[0], atol=1e-6)
    (8000, True)
    """
    if not 0 < keep <= 1:
        raise ValueError(f"keep={keep}: give a map value above 0, up to 1")
    pipeline = PicturePipeline.of(classifier)
    if pipeline.renderer is None:
        raise ValueError(
            f"this {type(classifier).__name__} has no renderer, so the samples of its pictures are not known; give one whose data "
            "were drawn"
        )
    names, sources = list_sources([source])
    clip = _clip(names[0], sources[0], pipeline.renderer, start, end)
    cam = one_cam(pipeline, names[0], SpecImage.create(pipeline.renderer.encode(clip)), label, layer, method)
    if not cam.values.any():
        warn(
            f"the class map of {os.path.basename(names[0])} is 0 everywhere: there is no evidence for {cam.label!r}, and "
            f"{'all of it' if inverse else 'nothing'} is kept"
        )
    kept = _masked(clip.y, clip.sr, clip.begin, lambda bins, times: _mask(cam, keep, bins, times))
    return (clip.y - kept if inverse else kept), clip.sr
