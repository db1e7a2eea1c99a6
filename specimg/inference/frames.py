"""Answers for every frame: when something sounds within a window, at the network's own time step.

    frames = clf.predict_windows("night.wav", overlap=2.5, frames=True)      # a row a frame: path, start, end, label, p_<label> ...
    events = merge_events(frames, threshold=0.6)                             # onsets and offsets as fine as frames

A network with head="attention" answers for each column of its map, which are as many even parts of the picture in time: of 5 seconds
as 216 columns of pixels a network of stride 32 has 7, of 0.71 s. Smaller steps: pictures of more columns, or a network of smaller stride.
"""

from __future__ import annotations

import numpy as np

from ..data import NetworkInput
from .predictor import Predictor

_EXACT = 1e-6  # s


def check_frames(clf: Predictor, read: NetworkInput | None = None) -> None:
    """ValueError unless the network has frames, and where it reads a recording through `read`, unless they have known times."""
    if not clf.has_frames:
        raise ValueError(
            "this network answers for whole clips, and not for frames; train one with spec_learner(dls, arch, head='attention')"
        )
    if read is None:
        return
    for name in ("trim_db", "split_db"):
        if getattr(read.audio, name) is not None:
            raise ValueError(
                f"Audio({name}={getattr(read.audio, name):g}) cuts parts out of every window, so that frames have no times in the recording; "
                f"train with {name}=None"
            )
    if getattr(getattr(read, "transform", None), "tta", None) is not None:
        raise ValueError(
            "test-time augmentation reads each window several times, and such frames do not follow each other; leave it out"
        )
    if read.windows != 1:
        raise ValueError(
            f"the classifier reads each window in {read.windows} crops, whose frames overlap; give seconds={read.seconds or 0:g} or less, the "
            "length of one"
        )


def shown_seconds(read: NetworkInput, seconds: float) -> float:
    """Seconds that the picture of one window of `seconds` spans, padding included."""
    return read.audio.duration or seconds if read.method == "squish" else float(read.seconds or seconds)


def _kept(spans: list[tuple]) -> list[tuple[float, float]]:
    """(from, to) of each window, of one recording and in order: where two overlap they are cut half way."""
    edges = [[start, end] for _, start, end, _ in spans]
    for (_, end), (start, _), i in zip(edges, edges[1:], range(len(edges))):
        if start < end:
            edges[i][1] = edges[i + 1][0] = (start + end) / 2
    return [(first, last) for first, last in edges]


def _frames(span: tuple, kept: tuple[float, float], probs: np.ndarray, step: float) -> tuple[list[tuple], np.ndarray]:
    """((path, start, end, "ok") of the frames of a window that lie in its part `kept`, which they fill; their probabilities)."""
    path, start, end, _ = span
    first, last = kept
    if end - start < step - _EXACT:
        reason = f"{end - start:.3g} s is shorter than one frame of the network, {step:.3g} s; pad the recording"
        return [(path, start, end, reason)], probs[:0]
    middles = start + (np.arange(len(probs)) + 0.5) * step
    inside = np.flatnonzero((middles >= first - _EXACT) & (middles < last - _EXACT))
    if not len(inside):  # the part is shorter than a frame: the one that covers most of it
        inside = np.array([min(int(((first + last) / 2 - start) // step), len(probs) - 1)])
    cuts = np.round(start + (inside[0] + np.arange(len(inside) + 1)) * step, 6)
    cuts[0], cuts[-1] = first, last
    return [(path, float(a), float(b), "ok") for a, b in zip(cuts, cuts[1:])], probs[inside]


def _recordings(spans: list[tuple]) -> list[list[tuple]]:
    """The windows of each recording; one that was given twice begins anew."""
    found: list[list[tuple]] = []
    for span in spans:
        follows = found and found[-1][-1][0] == span[0] and not span[1] <= found[-1][-1][1]
        if follows:
            found[-1].append(span)
        else:
            found.append([span])
    return found


def frames_of_windows(spans: list[tuple], probs: np.ndarray, step: float) -> tuple[list[tuple], list[np.ndarray]]:
    """Rows of windows become rows of frames.

    spans : (path, start, end, status) of each window
    probs : (windows that are "ok", frames, classes), in order
    step : seconds of a frame
    Returns the same of frames: spans, and the probabilities of those that are "ok".
    """
    answers, rows, found = iter(probs), [], []
    for windows in _recordings(spans):
        known = [span for span in windows if span[3] == "ok"]
        kept = dict(zip(map(id, known), _kept(known)))
        for span in windows:
            if span[3] != "ok":
                rows.append(span)
                continue
            named, part = _frames(span, kept[id(span)], next(answers), step)
            rows += named
            found.append(part)
    return rows, found
