"""What a classifier answers about one recording, in words, numbers and pictures: what the page of `serve` shows.

    told = answer(clf, "dog.wav", reject_below=0.6)
    told.words                    # "dog"; "unknown (unsure: below 0.6)"; "no label: ..." with the reason
    told.probabilities            # label -> probability
    told.picture                  # a figure: the spectrogram over seconds and hertz with the class map
    told.timeline, told.events    # of a recording far longer than a clip: its windows as strips, and what was found as a table

A recording more than twice as long as what the network reads of a clip is heard window by window; the words, probabilities and picture are
then those of the clearest window.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

from ..audio import AudioError, recording_seconds
from ..core.figures import new_figure
from ..data.waves import draw_recording
from ..inference import Classifier, merge_events
from ..inference.clip_lengths import learnt_seconds
from ..inference.events import plot_windows
from ..inference.events.strips import clock
from ..interpret.cam import clip_cam
from ..interpret.plots.panels import draw_clip, title_clip
from ..interpret.plots.style import short

LONG = 2  # times as long as what is read of a clip
INK = "#888888"  # of axes and text: readable on a white page and on a dark one
GROUND = "#dddddd"  # between strips: dark bars can be seen on it, on either page
SIZE = 5, 2.5  # inches
SHARP = 200  # dots per inch


@dataclass(frozen=True, eq=False)
class Answer:
    """What a classifier says about one recording."""

    words: str  # the label, or why there is none
    probabilities: dict[str, float] = field(default_factory=dict)  # none where there is no label
    picture: Figure | None = None
    timeline: Figure | None = None  # of long recordings
    events: pd.DataFrame | None = None  # of long recordings: as of `merge_events`


def clip_seconds(clf: Classifier) -> tuple[float | None, float | None]:
    """(seconds of a window, seconds that are read of a clip); None where neither the input nor the training tells."""
    read = clf.input
    learnt = learnt_seconds(read, clf.about.get("training") or {})
    window = read.audio.duration or read.seconds or learnt
    return window, read.audio.duration or (read.seconds * read.windows if read.seconds else learnt)


def draw_answer(clf: Classifier, path: str, start: float | None = None, end: float | None = None) -> Figure:
    """A recording, or its span in seconds, as the network is given it, with the class map where the network has one."""
    figure = new_figure(*SIZE)
    ax = figure.add_subplot()
    if clf.renderer is None:
        draw_recording(ax, path, start, end)
        return figure
    image = clf.renderer(path, start=start, end=end)
    try:
        cam = clip_cam(clf, image)
    except ValueError:  # a network without maps
        draw_clip(ax, image)
    else:
        cam.plot(ax, title="")
        title_clip(ax, f"colour: evidence for {short(cam.label, 60)}")
    return figure


def draw_timeline(windows: pd.DataFrame, events: pd.DataFrame) -> Figure:
    """Probabilities of a recording over time, and its events, at the size of the other picture."""
    rows = min(len(windows.attrs["vocab"]), 8)
    figure = new_figure(SIZE[0], 1.3 + 0.3 * rows)
    ax = figure.add_subplot()
    plot_windows(windows, events=events, ax=ax)
    ax.set_facecolor(GROUND)
    title_clip(ax, "each window; bars are events")
    return figure


def as_image(figure: Figure) -> Image.Image:
    """A figure as a picture without a background, with axes that can be read on any."""
    figure.patch.set_alpha(0)
    for ax in figure.axes:
        ax.tick_params(colors=INK, which="both")
        for text in (ax.title, ax.xaxis.label, ax.yaxis.label):
            text.set_color(INK)
        for spine in ax.spines.values():
            spine.set_color(INK)
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=SHARP)
    return Image.open(buffer)


def _in_words(row: pd.Series) -> str:
    """A row of predictions for people."""
    if not isinstance(row["label"], str):
        return f"no label: {row['status']}"
    note = "" if row["status"] == "ok" else f" ({row['status']})"
    return f"{row['label'] or 'none of the labels'}{note}"


def _probabilities(clf: Classifier, row: pd.Series) -> dict[str, float]:
    found = {label: float(row[f"p_{label}"]) for label in clf.vocab}
    return {} if np.isnan(list(found.values())).any() else found


def _answer_clip(clf: Classifier, path: str, reject_below: float) -> Answer:
    row = clf.predict([path], progress=False, reject_below=reject_below).iloc[0]
    probabilities = _probabilities(clf, row)
    return Answer(_in_words(row), probabilities, draw_answer(clf, path) if probabilities else None)


def _answer_windows(clf: Classifier, path: str, seconds: float, reject_below: float) -> Answer:
    windows = clf.predict_windows(path, seconds, overlap=seconds / 2, progress=False)
    heard = windows[windows["probability"].notna()]
    if not len(heard):
        return Answer(f"no label: {windows['status'].iloc[0]}")
    thresholds = dict(zip(clf.vocab, np.maximum(clf.thresholds, reject_below)))
    events = merge_events(windows, thresholds)
    best = heard.loc[heard["probability"].idxmax()]
    probabilities = _probabilities(clf, best)
    probs = np.array([list(probabilities.values())], np.float32)
    words = _in_words(clf.table_of([path], probs, ["ok"], reject_below).iloc[0])
    return Answer(
        f"{words}: the clearest window, from {clock(best['start'])} to {clock(best['end'])}",
        probabilities,
        draw_answer(clf, path, best["start"], best["end"]),
        draw_timeline(windows, events),
        events.assign(path=os.path.basename(path)),
    )


def answer(clf: Classifier, path: str | os.PathLike, reject_below: float = 0.0, most_seconds: float = 600) -> Answer:
    """What a classifier answers about one recording of at most `most_seconds`; one that cannot be labelled is answered with the reason."""
    path = os.fspath(path)
    try:
        lasts = recording_seconds(path, clf.audio.damaged)
    except AudioError as exc:
        return Answer(f"no label: {exc.reason}")
    if lasts > most_seconds:
        return Answer(
            f"no label: the recording lasts {clock(lasts)}, and at most {clock(most_seconds)} are taken here; cut it"
        )
    window, read = clip_seconds(clf)
    try:
        if read is not None and lasts > LONG * read:
            return _answer_windows(clf, path, window, reject_below)
        return _answer_clip(clf, path, reject_below)
    except AudioError as exc:  # between its prediction and its picture
        return Answer(f"no label: {exc.reason}")
