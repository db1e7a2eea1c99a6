"""Probabilities of windows become events, by hysteresis.

    events = merge_events(windows, threshold=0.7, release=0.4, min_seconds=1, max_gap=0.5, background="silence")
    events = merge_events(windows, threshold={"owl": 0.6, "fox": 0.8})

An event of a label opens with the first window that reaches `threshold`, and lasts while windows stay at or above the lower
`release` (a Schmitt trigger: a probability that trembles about one threshold would be cut into pieces). It begins where its
first window begins and ends where its last one ends, so its edges are no finer than the windows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from ...core.text import count, examples
from ...core.values import choose

COLUMNS = dict(path=object, start=float, end=float, label=object, probability=float, mean=float, windows=int)
EVENTS = list(COLUMNS)  # the columns of a table of events
RELEASE = 0.6  # of the threshold
INSTANT = 1e-6  # s: times are kept to the microsecond


def window_labels(windows: pd.DataFrame) -> list[str]:
    """The labels that a table of windows has probabilities of."""
    missing = [name for name in ("path", "start", "end") if name not in windows]
    found = [name[2:] for name in map(str, windows.columns) if name.startswith("p_")]
    if missing or not found:
        lacks = [*missing, *(() if found else ("p_<label>",))]
        raise ValueError(
            f"the table has the columns {examples(windows.columns, 8)}; it lacks {', '.join(lacks)}: "
            "give what predict_windows returns"
        )
    named = windows.attrs.get("vocab")
    return list(named) if named is not None and set(named) <= set(found) else found


def _as_list(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or ())


def chosen_labels(vocab: list[str], labels, background) -> list[str]:
    """The labels that may become events."""
    wanted = vocab if labels is None else _as_list(labels)
    for label in [*wanted, *_as_list(background)]:
        choose(label, vocab, "label")
    return [label for label in wanted if label not in _as_list(background)]


def _levels(levels: float | Mapping[str, float], labels: list[str], what: str) -> np.ndarray:
    """One level for each label, from a number or a dictionary. ValueError if one is missing or outside of (0, 1]."""
    if isinstance(levels, Mapping):
        missing = [label for label in labels if label not in levels]
        if missing:
            raise ValueError(
                f"{what} lacks {count(len(missing), 'label')} ({examples(missing)}); name all of them, "
                "or ask for fewer with labels="
            )
        levels = [levels[label] for label in labels]
    out = np.broadcast_to(np.asarray(levels, float), len(labels))
    wrong = [float(level) for level in out if not 0 < level <= 1]
    if wrong:
        raise ValueError(f"{what}={wrong[0]:g}; probabilities lie above 0 and up to 1")
    return out


def _release_levels(release, thresholds: np.ndarray, labels: list[str]) -> np.ndarray:
    if release is None:
        return RELEASE * thresholds
    out = _levels(release, labels, "release")
    for label, high, low in zip(labels, thresholds, out):
        if low > high:
            raise ValueError(
                f"release={low:g} is above the threshold {high:g} of {label!r}; events close below what opens them"
            )
    return out


def is_on(p: np.ndarray, threshold: float, release: float, fresh: np.ndarray) -> np.ndarray:
    """Which windows belong to an event: from one at `threshold` on, until one is below `release` (or nan).

    fresh : windows that do not continue the one before
    """
    opens = p >= threshold
    decided = opens | ~(p >= release) | fresh  # the others do as the window before
    latest = np.maximum.accumulate(np.where(decided, np.arange(len(p)), 0))
    return opens[latest]


def _events_of(starts, ends, p, threshold: float, release: float, fresh: np.ndarray, max_gap: float) -> list[tuple]:
    """(start, end, highest p, mean p, windows) of each event of one label in one recording."""
    on = is_on(p, threshold, release, fresh)
    first = np.flatnonzero(on & (fresh | ~np.r_[False, on[:-1]]))
    last = np.flatnonzero(on & np.r_[fresh[1:] | ~on[1:], True])
    events = []
    for i, j in zip(first, last + 1):
        start, end, sounding = starts[i], ends[i:j].max(), list(p[i:j])
        if events and start - events[-1][1] <= max_gap + INSTANT:
            events[-1][1] = max(events[-1][1], end)
            events[-1][2].extend(sounding)
        else:
            events.append([start, end, sounding])
    return [(start, end, max(sounding), float(np.mean(sounding)), len(sounding)) for start, end, sounding in events]


def _check_times(min_seconds: float, max_gap: float) -> None:
    for name, seconds in (("min_seconds", min_seconds), ("max_gap", max_gap)):
        if not 0 <= seconds < math.inf:
            raise ValueError(f"{name}={seconds!r}; give seconds, 0 or more")


def merge_events(
    windows: pd.DataFrame,
    threshold: float | Mapping[str, float] = 0.5,
    release: float | Mapping[str, float] | None = None,
    min_seconds: float = 0.0,
    max_gap: float = 0.0,
    labels: str | Sequence[str] | None = None,
    background: str | Sequence[str] | None = None,
) -> pd.DataFrame:
    """Merge windows with predictions into events.

    An event of a label opens with the first window that reaches `threshold` and lasts while windows stay at or above `release`: hysteresis, so
    that a probability that trembles about one threshold is not cut into pieces.

    Parameters
    ----------
    windows : DataFrame
        What `predict_windows` returns: path, start, end (s), and p_<label> for each label.
    threshold : float or dict, default 0.5
        Probability that opens an event, above 0 and up to 1; a dictionary has one for each label.
    release : float or dict, default None
        Probability that keeps it open, at most `threshold`; None: 0.6 of it. The threshold itself for no hysteresis.
    min_seconds : float, default 0.0
        Shorter events are left out, after merging.
    max_gap : float, default 0.0
        Seconds: two events of a label so close together become one. Events that touch or overlap always do.
    labels : str or sequence of str, default None
        Those that may become events; None: all.
    background : str or sequence of str, default None
        Labels that never become events, such as "silence".

    Returns
    -------
    DataFrame
        By recording and time: path, start, end (s), label, probability (the highest of its windows), mean, windows (how many). A window without
        a prediction closes what is open; `max_gap` may bridge it.

    Raises
    ------
    ValueError
        For impossible numbers, unknown labels, and tables without these columns.

    Examples
    --------
    >>> windows = pd.DataFrame({"path": "night.wav", "start": [0.0, 1.0, 2.0], "end": [1.0, 2.0, 3.0], "p_owl": [0.9, 0.4, 0.1]})
    >>> sp.merge_events(windows)[["start", "end", "label", "probability", "windows"]]
       start  end label  probability  windows
    0    0.0  2.0   owl          0.9        2
    """
    vocab = window_labels(windows)
    labels = chosen_labels(vocab, labels, background)
    thresholds = _levels(threshold, labels, "threshold")
    releases = _release_levels(release, thresholds, labels)
    _check_times(min_seconds, max_gap)
    rows = []
    table = windows[windows["start"].notna() & windows["end"].notna()]
    for path, part in table.groupby("path", sort=False):
        part = part.sort_values("start", kind="stable")
        starts, ends = part["start"].to_numpy(float), part["end"].to_numpy(float)
        fresh = np.r_[True, starts[1:] > ends[:-1] + INSTANT]
        probs = part[[f"p_{label}" for label in labels]].to_numpy(float)
        for column in np.flatnonzero((probs >= thresholds).any(axis=0)):
            found = _events_of(starts, ends, probs[:, column], thresholds[column], releases[column], fresh, max_gap)
            long = [event for event in found if event[1] - event[0] >= min_seconds - INSTANT]
            rows += [(path, start, end, labels[column], *rest) for start, end, *rest in long]
    return _in_order(rows, windows)


def _in_order(rows: list[tuple], windows: pd.DataFrame) -> pd.DataFrame:
    """The table of events: recordings as in `windows`, then by time."""
    place = {path: i for i, path in enumerate(dict.fromkeys(windows["path"]))}
    rows = sorted(rows, key=lambda row: (place[row[0]], *row[1:4]))
    events = pd.DataFrame(rows, columns=EVENTS).astype(COLUMNS)
    if "band" in windows.attrs:
        events.attrs["band"] = windows.attrs["band"]
    return events
