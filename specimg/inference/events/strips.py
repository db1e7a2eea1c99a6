"""Probabilities over hours as strips of colour, one a label, with a clock below them.

plot_windows(windows)                                          # the labels that are most often the likeliest
plot_windows(windows, labels=["owl", "fox"], events=events)    # events as bars below the strips
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MultipleLocator

from ...core.figures import COLOURS, new_figure
from ...core.text import count, examples
from .formats import in_a_line
from .merging import chosen_labels, window_labels

MOST_COLUMNS = 2000  # of a heat strip; of more windows several share a column, which shows the highest
# s between marks
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def clock(seconds: float, _: object = None) -> str:
    """Seconds as h:mm:ss, with tenths where there are any.

    >>> clock(3725), clock(0.5)
    ('1:02:05', '0:00:00.5')
    """
    tenths = round(seconds * 10)
    sign, tenths = "-" * (tenths < 0), abs(tenths)
    whole, rest = divmod(tenths, 10)
    return f"{sign}{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}" + f".{rest}" * bool(rest)


def _frequent(windows: pd.DataFrame, vocab: list[str], n: int = 8) -> list[str]:
    """The labels that most windows hold to be the likeliest, the commonest first; those that none does last."""
    probs = windows[[f"p_{label}" for label in vocab]].to_numpy(float)
    probs = probs[~np.isnan(probs).any(axis=1)]
    wins = np.bincount(probs.argmax(axis=1), minlength=len(vocab)) if len(probs) else np.zeros(len(vocab))
    return [vocab[i] for i in np.argsort(-wins, kind="stable")[:n]]


def _edges(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Where the column of each window ends and that of the next begins: half way between their middles."""
    middles = (starts + ends) / 2
    return np.r_[starts[0], (middles[1:] + middles[:-1]) / 2, ends[-1]]


def _one_recording(windows: pd.DataFrame) -> pd.DataFrame:
    table = windows[windows["start"].notna() & windows["end"].notna()]
    paths = list(dict.fromkeys(table["path"]))
    if len(paths) != 1:
        raise ValueError(
            f"the windows are of {count(len(paths), 'recording')} ({examples(paths)}), and a picture shows one: "
            "give windows[windows['path'] == ...]"
            if paths
            else "the table has no windows to show"
        )
    return table.sort_values("start", kind="stable")


def _heat(table: pd.DataFrame, labels: list[str]) -> tuple[np.ndarray, np.ma.MaskedArray]:
    """(edges (columns + 1,) in s, probabilities (labels, columns), masked if there is none): at most MOST_COLUMNS of them."""
    edges = _edges(table["start"].to_numpy(float), table["end"].to_numpy(float))
    heat = np.ma.masked_invalid(table[[f"p_{label}" for label in labels]].to_numpy(float).T)
    if heat.shape[1] <= MOST_COLUMNS:
        return edges, heat
    first = np.arange(0, heat.shape[1], math.ceil(heat.shape[1] / MOST_COLUMNS))
    return np.r_[edges[first], edges[-1]], np.ma.masked_less(np.maximum.reduceat(heat.filled(-1), first, axis=1), 0)


def _shown_labels(windows: pd.DataFrame, table: pd.DataFrame, labels, events: pd.DataFrame | None) -> list[str]:
    """The labels that get a strip: `labels`, else those of events and the most frequent."""
    vocab = window_labels(windows)
    if labels is None:
        found = [] if events is None else [label for label in events["label"].value_counts().index if label in vocab]
        labels = list(dict.fromkeys([*found, *_frequent(table, vocab)]))[:8]
    return chosen_labels(vocab, labels, None)


def _clock_axis(ax, edges: np.ndarray) -> None:
    """Time in the recording below the strips, with a mark an inch, at most eight, where they are a day or less apart."""
    length, most = edges[-1] - edges[0], np.clip(round(ax.get_window_extent().width / ax.figure.dpi), 1, 8)
    ax.set(xlim=(edges[0], edges[-1]), xlabel="time (h:mm:ss)")
    ax.xaxis.set_major_locator(MultipleLocator(next((step for step in STEPS if length / step <= most), STEPS[-1])))
    ax.xaxis.set_major_formatter(FuncFormatter(clock))


def plot_windows(
    windows: pd.DataFrame,
    labels: str | Sequence[str] | None = None,
    events: pd.DataFrame | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw probabilities over time as a strip for each label, with its events as bars below it.

    Parameters
    ----------
    windows : DataFrame
        What `predict_windows` returns, of one recording. Windows without a prediction stay grey.
    labels : str or sequence of str, default None
        The strips, from the top; None: the 8 that are most often the likeliest, those of `events` first.
    events : DataFrame, default None
        What `merge_events` returns; those of other recordings and labels are not shown.
    ax : Axes, default None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Time in h:mm:ss from left to right.

    Raises
    ------
    ValueError
        If the windows are of no recording or of several, and for unknown labels.

    Examples
    --------
    >>> from specimg.inference.events import plot_windows
    >>> windows = clf.predict_windows("night.wav", seconds=0.5, progress=False)
    >>> fig = plot_windows(windows, events=sp.merge_events(windows))
    """
    window_labels(windows)  # first of all: is it a table of windows?
    table = _one_recording(windows)
    if events is not None:
        events = events[events["path"] == table["path"].iloc[0]]
    labels = _shown_labels(windows, table, labels, events)
    edges, heat = _heat(table, labels)
    if ax is None:
        ax = new_figure(10, 1.3 + 0.42 * len(labels)).subplots()
    cmap = colormaps["magma"].with_extremes(bad="0.75")
    for row, strip in enumerate(heat):
        mesh = ax.pcolormesh(edges, [row - 0.42, row + 0.2], strip[None], cmap=cmap, vmin=0, vmax=1, rasterized=True)
    for row, label in enumerate(labels if events is not None else ()):
        here = events[events["label"] == label]
        ax.broken_barh(
            list(zip(here["start"], here["end"] - here["start"])),
            (row + 0.24, 0.2),
            facecolor=COLOURS[0],
            edgecolor=COLOURS[0],
        )
    ax.set(
        yticks=range(len(labels)),
        yticklabels=[in_a_line(label) for label in labels],
        ylim=(len(labels) - 0.5, -0.5),
        title=os.path.basename(str(table["path"].iloc[0])),
    )
    _clock_axis(ax, edges)
    ax.figure.colorbar(mesh, ax=ax, label="probability", pad=0.01)
    return ax.figure
