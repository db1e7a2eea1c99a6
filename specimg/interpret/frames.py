"""What each frame of a clip holds, over the clip's own seconds, of networks with head="attention".

for curves in frame_curves(clf, ["dawn.wav", "dusk.wav"]):
    curves.edges, curves.probs          # seconds in the recording (frames + 1,); float32 (frames, classes)
    curves.of("owl")                    # the curve of one label
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from fastai.vision.all import Learner

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..data.sources import list_sources
from ..inference import Classifier
from ..inference.frames import frames_of_windows
from .cam.map_layers import evaluating
from .cam.of_clips import FittedClip, PicturePipeline, fitted_batches


@dataclass(frozen=True, eq=False)
class FrameCurves:
    """Probabilities of the labels over the seconds of a clip.

    Parameters
    ----------
    edges : ndarray
        float (frames + 1,): seconds in the recording, where a frame begins and the one before ends.
    probs : ndarray
        float32 (frames, classes), 0 to 1.
    vocab : list of str
        The labels.
    name : str
        The clip.

    Examples
    --------
    >>> from specimg.interpret import FrameCurves
    >>> FrameCurves(np.array([0.0, 0.5, 1.0]), np.array([[0.1, 0.2], [0.9, 0.3]]), ["owl", "fox"], "dawn.wav").of("owl").tolist()
    [0.1, 0.9]
    """

    edges: np.ndarray
    probs: np.ndarray
    vocab: list[str]
    name: str

    def of(self, label: str) -> np.ndarray:
        """The curve of one label.

        Parameters
        ----------
        label : str
            One of `vocab`.

        Returns
        -------
        ndarray
            float32 (frames,).
        """
        return self.probs[:, self.vocab.index(choose(label, self.vocab, "label"))]


def has_frames(classifier: Learner | Classifier) -> bool:
    """Whether the network of a learner or a classifier answers for frames."""
    return bool(getattr(classifier.model, "has_frames", False))


def _curves(pipeline: PicturePipeline, clip: FittedClip, probs: np.ndarray) -> FrameCurves:
    """probs : (frames of all windows, classes)"""
    start, end = clip.info.span
    column, windows = (end - start) / clip.info.width, len(clip.cuts)
    by_window = probs.reshape(windows, -1, probs.shape[1])
    times = [(start + first * column, start + last * column) for first, last in clip.cuts]
    step = (times[0][1] - times[0][0]) / by_window.shape[1]
    spans = [(clip.name, a, min(b, end), "ok") for a, b in times]
    rows, kept = frames_of_windows(spans, by_window, step)
    found = np.concatenate(kept)
    if len(found) != len(rows):
        raise ValueError(rows[0][3])
    return FrameCurves(np.array([row[1] for row in rows] + [rows[-1][2]]), found, pipeline.vocab, clip.name)


def frame_curves(
    classifier: Learner | Classifier, sources: Iterable | str | os.PathLike, bs: int = 16
) -> Iterator[FrameCurves | None]:
    """What the frames of clips hold, batch by batch, in their order.

    A final warning counts the clips that could not be read.

    Parameters
    ----------
    classifier : Learner or Classifier
        Its network has head="attention" (`spec_learner`).
    sources : iterable or path
        Recordings or pictures of a tree, also mixed; or a folder.
    bs : int, default 16
        Clips per batch.

    Yields
    ------
    FrameCurves or None
        One for each source; None for a clip that failed, or is shorter than a frame.

    Raises
    ------
    ValueError
        At the call, where the network has no frames.

    Examples
    --------
    >>> from specimg.interpret import frame_curves
    >>> heard = sp.spec_learner(dls, "test_resnet", pretrained=False, head="attention")
    >>> [curves] = frame_curves(heard, ["dog.wav"])
    >>> curves.of("dog").shape == (len(curves.edges) - 1,)
    True
    """
    if not has_frames(classifier):
        raise ValueError(
            "this network answers for whole clips, and not for frames; train one with spec_learner(dls, arch, head='attention')"
        )
    pipeline = PicturePipeline.of(classifier)
    names, found = list_sources(sources if isinstance(sources, (str, os.PathLike, tuple)) else list(sources))

    def curves() -> Iterator[FrameCurves | None]:
        failures: list[str] = []
        for batch in fitted_batches(pipeline, names, found, bs, failures):
            clips = [clip for clip in batch if clip is not None]
            with evaluating(pipeline.model), torch.no_grad():
                logits = pipeline.model.answers(pipeline.batch([clip.x for clip in clips]))[1] if clips else []
            answers = iter(logits)
            for clip in batch:
                made = None
                if clip is not None:
                    try:
                        made = _curves(pipeline, clip, pipeline.probabilities(next(answers)).float().cpu().numpy())
                    except ValueError as exc:
                        failures.append(f"{clip.name}: {exc}")
                yield made
        if failures:
            warn(f"{count(len(failures), 'clip')} of {len(names)} without frames: {examples(failures, mark='; ')}")

    return curves()
