"""Long recordings, window by window: a night of sound in bounded memory.

    windows = clf.predict_windows("night.wav", overlap=2.5)     # a row a window: path, start, end, label, probability, status, p_<label>
    clf.predict_windows("nights/", seconds=5)                   # a folder: one recording after the other

A window is drawn as a clip of training is: the same pixels as `render_tree(segments=...)` draws of its span, without the PNG around them.
So what `Audio` does to a clip it does to each window by itself: trimming, cutting out silence, denoising and normalising know only
the window, and resampling and filters read silence beyond its edges, not the neighbour's sound. A classifier that reads
several crops of a clip reads a window of a crop's length once.

With `frames=True` a row is a frame of a network with head="attention" (see `frames`). `specimg.merge_events` makes events of either.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch

from ..audio.read import Clip, condition
from ..audio.stream import Span, check_windows, stream_spans
from ..core.progress import progress_bar
from ..data import NetworkInput
from ..data.sources import list_sources
from .clip_lengths import about_seconds
from .ensemble import most_in_a_batch
from .frames import check_frames, frames_of_windows, shown_seconds
from .post_processing import PostProcessing
from .predictor import Predictor
from .runtimes import answers_of

# ---------------------------------------------------------------------- how long a window is


def _most_seconds(read: NetworkInput) -> float:
    """How much of a clip the network reads at most; the rest would go unread."""
    return min(read.audio.duration or math.inf, read.windows * (read.seconds or math.inf))


def window_seconds(read: NetworkInput, seconds: float | None = None) -> float:
    """The length of a window: as asked, or that of the clips which a classifier of this input was trained on.

    Raises ValueError if the input does not determine it, and if the network would read only a part of each window.
    """
    if seconds is None:
        seconds = read.audio.duration or read.seconds
    if seconds is None:
        raise ValueError(
            "this classifier was trained on clips of any length, so it does not determine how long a window is; give seconds=, "
            "about as long as the clips it was trained on"
        )
    most = _most_seconds(read)
    if seconds > most + 1e-6:
        raise ValueError(
            f"seconds={seconds:g}: the network reads no more than {most:g} s of a clip, "
            f"and the rest of each window would go unread; give up to {most:g}"
        )
    return seconds


def _read_once(read: NetworkInput, seconds: float) -> NetworkInput:
    """The input without several windows of a clip that is no longer than one of them: to a pixel they would show the same."""
    return read if read.seconds is None or seconds > read.seconds + 1e-6 else read.one_window()


# ---------------------------------------------------------------------- spans to rows


def _clip(read: NetworkInput, path: str, span: Span, seconds: float) -> Clip:
    """A window ready to be drawn, as `read_clip` reads its span."""
    audio = read.audio
    if audio.duration is None and read.method == "squish" and span.end - span.start < seconds - 1e-6:
        audio = audio.replace(duration=seconds)  # squeezed to one size, a shorter clip would be stretched
    y, sr, cut = condition(span.y, span.sr, audio, path)
    return Clip(y, sr, span.start + cut / sr, len(span.y) / span.sr, span.sr)


def _tensor(read: NetworkInput, path: str, span: Span, seconds: float) -> tuple[torch.Tensor | None, str, int]:
    """(the network's input, "ok", the sampling rate it was drawn at), or (None, why not, 0)."""
    if span.reason:
        return None, span.reason, 0
    try:
        clip = _clip(read, path, span, seconds)
        return read.clip_tensor(clip), "ok", clip.sr
    except ValueError as exc:  # an AudioError has its reason without the path
        return None, getattr(exc, "reason", str(exc)), 0


def _all_spans(paths: list[str], seconds: float, overlap: float) -> Iterator[tuple[str, Span]]:
    for path in paths:
        with contextlib.closing(stream_spans(path, seconds, overlap)) as spans:
            for span in spans:
                yield path, span


def count_windows(paths: list[str], seconds: float, overlap: float) -> int:
    """How many windows there will be, about, from the headers; a recording that says nothing counts as one."""
    return sum(
        max(1, math.ceil(((about_seconds(path) or 0.0) - overlap) / (seconds - overlap) - 1e-6)) for path in paths
    )


def as_paths(items) -> list[str]:
    """The recordings that are meant; ValueError if there are none, or they are no files."""
    names, sources = list_sources(items)
    if not all(isinstance(source, (str, os.PathLike)) for source in sources):
        raise ValueError("windows are read from files; give paths or a folder, and samples to predict")
    if not names:
        raise ValueError(f"{items!r} holds no recordings; there is nothing to predict on")
    return names


def _window_table(
    clf: Predictor, spans: list[tuple], probs: list[np.ndarray], highest_rate: int, post_processing: PostProcessing
) -> pd.DataFrame:
    """The table of windows, after post-processing.

    spans : (path, start, end, status) of each; probs : the batches of those that are "ok", in order
    """
    windows = pd.DataFrame(spans, columns=["path", "start", "end", "status"])
    found = np.full((len(windows), len(clf.vocab)), np.nan, np.float32)
    if probs:
        found[windows["status"] == "ok"] = np.concatenate(probs)
    found = post_processing.of(windows, found).astype(np.float32)
    table = clf.table_of(windows["path"].tolist(), found, windows["status"].tolist())
    table.insert(1, "start", windows["start"])
    table.insert(2, "end", windows["end"])
    if highest_rate:
        table.attrs["band"] = (0.0, highest_rate / 2)
    return table


def predict_windows(
    clf: Predictor,
    items,
    seconds: float | None = None,
    overlap: float = 0.0,
    *,
    frames: bool = False,
    bs: int = 32,
    progress: bool = True,
    post_processing: PostProcessing = PostProcessing(),
    runtime: str = "auto",
) -> pd.DataFrame:
    """Label every window of long recordings, which are streamed; see `Classifier.predict_windows`."""
    seconds = window_seconds(clf.input, seconds)
    check_windows(seconds, overlap)
    if bs < 1:
        raise ValueError(f"bs={bs}: give 1 or more windows a batch")
    clf = clf.for_steps(post_processing) if post_processing.steps else clf
    paths, read = as_paths(items), _read_once(clf.input, seconds)
    spans, probs, batch, highest_rate = [], [], [], 0
    if frames:
        check_frames(clf, read)
    windows = count_windows(paths, seconds, overlap) if progress or runtime == "auto" else 0
    answer = answers_of(clf, read, runtime, windows, frames=frames)

    def run_batch() -> None:
        probs.append(answer(torch.stack(batch)))
        batch.clear()

    with progress_bar(windows, "windows", progress) as bar:
        for path, span in _all_spans(paths, seconds, overlap):
            x, status, sr = _tensor(read, path, span, seconds)
            spans.append((path, span.start, span.end, status))
            highest_rate = max(highest_rate, sr)
            bar.update()
            if x is not None:
                batch.append(x)
            if batch and len(batch) >= most_in_a_batch(batch[0], bs):
                run_batch()
        if batch:
            run_batch()
    step = None
    if frames and probs:
        step = shown_seconds(read, seconds) / probs[0].shape[1]
        spans, probs = frames_of_windows(spans, np.concatenate(probs), step)
    table = _window_table(clf, spans, probs, highest_rate, post_processing)
    table.attrs["runtime"] = answer.runtime
    if step is not None:
        table.attrs["step"] = step
    return table
