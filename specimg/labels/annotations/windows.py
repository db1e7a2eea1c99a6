"""From annotations to a label table of windows, each with the labels of what is heard in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pandas as pd

from ...audio.windows import RESTS, cut_windows
from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from .recordings import Recordings

INSTANT = 1e-6  # s: times are kept to the microsecond


def _check(annotations: pd.DataFrame, seconds: float, min_overlap: float, min_share: float, negatives: float | None):
    lacks = [name for name in ("path", "start", "end", "label") if name not in annotations]
    if lacks:
        raise ValueError(
            f"the table has the columns {examples(annotations, 8)}; it lacks {', '.join(lacks)}: give what read_annotations returns"
        )
    if seconds > 0 and not 0 < min_overlap <= seconds:  # cut_windows checks the length itself
        raise ValueError(f"min_overlap={min_overlap!r}; give seconds, above 0 and up to the window's {seconds:g}")
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share={min_share!r}; give a share of the annotation, above 0 and up to 1")
    if negatives is not None and not 0 <= negatives < 1:
        raise ValueError(
            f"negatives={negatives!r}; give a share of the table, from 0 to below 1, or None for all windows"
        )
    blank = annotations["label"].isna() | (annotations["label"].astype(str).str.strip() == "")
    if blank.any():
        first = annotations[blank].iloc[0]
        raise ValueError(
            f"{count(int(blank.sum()), 'annotation')} without a label (the first in {first['path']!r} at {first['start']:g} s); "
            "leave them out, or name them by read_annotations(label=...)"
        )


def _windows(known: Recordings, seconds: float, overlap: float, rest: str, folder) -> pd.DataFrame:
    """`path, start, end` of the windows of all recordings that can be read; a warning names the others."""
    names = pd.DataFrame({"path": sorted(set(known.paths.values()))}, dtype=object)
    windows = cut_windows(names, seconds, overlap, folder=known.folder or folder, rest=rest)
    broken = windows["start"].isna()
    if broken.any():
        warn(
            f"{count(int(broken.sum()), 'recording')} that cannot be read left out ({examples(windows['path'][broken])})"
        )
    return windows[~broken].reset_index(drop=True)


def _of_known(annotations: pd.DataFrame, known: Recordings) -> pd.DataFrame:
    """The annotations with the paths of `known`; a warning counts those of other recordings."""
    found = {path: known.find(path) for path in map(str, annotations["path"].unique())}
    paths = annotations["path"].map(lambda path: found[str(path)])
    lost = paths.isna()
    if lost.any():
        what = f"{lost.sum()} of {count(len(annotations), 'annotation')} of recordings that are not given"
        named = examples(annotations["path"][lost])
        if lost.all():
            raise ValueError(
                f"{what} ({named}; given are {examples(known.paths)}); give those that the annotations are of"
            )
        warn(f"{what} left out ({named})")
    return annotations.assign(path=paths)[~lost]


def _hits(windows: pd.DataFrame, annotations: pd.DataFrame, min_overlap: float, min_share: float) -> tuple[list, list]:
    """For each annotation of one recording the windows that it labels, and those that it touches; positions in `windows`.

    An annotation labels a window that holds `min_overlap` seconds or `min_share` of it; a point labels those around it.
    """
    starts, ends = windows["start"].to_numpy(float), windows["end"].to_numpy(float)
    longest = (ends - starts).max(initial=0.0)
    labelled, touched = [], []
    for start, end in zip(annotations["start"], annotations["end"]):
        first = np.searchsorted(starts, start - longest - INSTANT)
        near = np.arange(first, np.searchsorted(starts, max(end, start + INSTANT)))
        shared = np.minimum(ends[near], end) - np.maximum(starts[near], start)
        if end - start > INSTANT:
            touches = shared > INSTANT
            enough = (shared >= min_overlap - INSTANT) | (shared >= min_share * (end - start) - INSTANT)
        else:
            touches = enough = (starts[near] <= start + INSTANT) & (start < ends[near])
        touched.append(near[touches])
        labelled.append(near[touches & enough])
    return labelled, touched


def _choose_negatives(free: np.ndarray, n_labelled: int, negatives: float | None, seed: int) -> np.ndarray:
    """The windows without a label to keep, so that they are at most the share `negatives` of all."""
    if negatives is None:
        return free
    n = min(len(free), int(n_labelled * negatives / (1 - negatives) + 1e-9))
    # frozen by numpy: the same with every version of it
    return np.sort(np.random.RandomState(seed).permutation(free)[:n])


def _give_labels(
    windows: pd.DataFrame, annotations: pd.DataFrame, min_overlap: float, min_share: float
) -> tuple[list[set[str]], np.ndarray]:
    """The labels of each window, and whether any annotation touches it; a warning counts annotations that label none."""
    labels: list[set[str]] = [set() for _ in range(len(windows))]
    touched, used = np.zeros(len(windows), bool), np.zeros(len(annotations), bool)
    rows_of = windows.groupby("path", sort=False).indices
    for path, own in annotations.groupby("path", sort=False):
        rows = rows_of.get(path, np.empty(0, int))
        rows = rows[np.argsort(windows["start"].to_numpy()[rows], kind="stable")]
        hits = _hits(windows.iloc[rows], own, min_overlap, min_share)
        for number, label, found, near in zip(own.index, own["label"], *hits):
            touched[rows[near]] = True
            used[number] = len(found) > 0
            for row in rows[found]:
                labels[row].add(str(label))
    if len(used) and not used.any():
        raise ValueError(
            f"none of {count(len(used), 'annotation')} labels a window; are they of these recordings? "
            "otherwise lower min_overlap or min_share, or choose rest='shift'"
        )
    if not used.all():
        first = annotations[~used].iloc[0]
        warn(
            f"{(~used).sum()} of {count(len(used), 'annotation')} label no window, as they lie behind the end of their recording or are "
            f"cut by the edges of windows (the first in {first['path']!r} at {first['start']:g} s)"
        )
    return labels, touched


def _summary(labelled: int, kept: int, free: int, touched: int, recordings: int, empty: int) -> str:
    """What was chosen, in a line."""
    share = 100 * kept / max(labelled + kept, 1)
    without = f", {empty} of them without annotations" if empty else ""
    left_out = [f"{free - kept} more without a label"] * (free > kept)
    left_out += [f"{touched} that annotations barely touch"] * (touched > 0)
    return (
        f"{count(labelled, 'window')} with a label, {kept} without ({share:.0f} %), of {count(recordings, 'recording')}{without}"
        + (f"; left out {' and '.join(left_out)}" if left_out else "")
    )


def label_windows(
    annotations: pd.DataFrame,
    recordings: str | os.PathLike | pd.DataFrame | Mapping[str, str | os.PathLike] | Iterable,
    seconds: float,
    overlap: float = 0.0,
    *,
    min_overlap: float = 0.25,
    min_share: float = 0.5,
    negatives: float | None = 0.5,
    rest: str = "shift",
    folder: str | os.PathLike = ".",
    seed: int = 0,
    log: Callable[[str], None] | None = print,
) -> pd.DataFrame:
    """Cut annotated recordings into windows, each labelled with what is heard in it: a label table to train from.

    A window has the label of an annotation if it holds `min_overlap` seconds of it, or `min_share` of it, which is for calls that are
    shorter; a point labels the windows around it. A window that annotations touch, but not enough, is no example of silence either and is
    left out. So every recording has to be annotated completely: what has no annotation counts as heard and found empty.

    Parameters
    ----------
    annotations : DataFrame
        `path`, `start`, `end` (s) and `label`, as `read_annotations` returns them; leave out labels that nobody wants to learn.
    recordings : path-like, DataFrame, mapping or iterable
        All recordings that were listened to, also those where nothing was found: a folder, one recording, paths, a table with `path`, or
        a mapping of the names in `annotations` to paths.
    seconds : float
        Length of a window.
    overlap : float, default 0.0
        Seconds that a window shares with the one before, below `seconds`.
    min_overlap : float, default 0.25
        Seconds of an annotation that give a window its label, above 0 and up to `seconds`.
    min_share : float, default 0.5
        Share of an annotation that gives a window its label, above 0 and up to 1.
    negatives : float or None, default 0.5
        The largest share of windows without a label in the table, from 0 to below 1, chosen at random among all of them. None keeps all
        windows, those that annotations barely touch included, as a score on everything heard needs them.
    rest : {"shift", "drop", "keep"}, default "shift"
        What becomes of a recording's end, as in `cut_windows`.
    folder : path-like, default "."
        The folder that paths are below; where `recordings` is a folder, that one.
    seed : int, default 0
        Seed of the choice of negatives.
    log : callable or None, default print
        Takes the line that counts windows and annotations; None is silent.

    Returns
    -------
    DataFrame
        A row a window, by recording and time: `path`, `start`, `end` (s), `label` (a sorted list, empty where nothing is heard) and `group`,
        the recording, so that splits never part its windows. For `SpecDataLoaders.from_df(table, folder, start_col="start",
        end_col="end", group_col="group")`.

    Raises
    ------
    ValueError
        For impossible numbers, annotations without a label, and where no annotation labels a window. Annotations that label none, or are
        of recordings that are not given, are counted in a warning.

    Examples
    --------
    >>> boxes = pd.DataFrame({"path": "night.wav", "start": [0.2, 2.5], "end": [1.1, 2.9], "label": ["dog", "cat"]})
    >>> sp.label_windows(boxes, ["night.wav"], seconds=1)
    2 windows with a label, 1 without (33 %), of 1 recording; left out 1 that annotations barely touch
            path  start  end  label      group
    0  night.wav    0.0  1.0  [dog]  night.wav
    1  night.wav    2.0  3.0  [cat]  night.wav
    2  night.wav    3.0  4.0     []  night.wav
    """
    _check(annotations, seconds, min_overlap, min_share, negatives)
    choose(rest, RESTS, "rest")
    known = Recordings(recordings)
    annotations = _of_known(annotations, known).reset_index(drop=True)
    windows = _windows(known, seconds, overlap, rest, folder)
    labels, touched = _give_labels(windows, annotations, min_overlap, min_share)
    labelled = np.array([len(several) > 0 for several in labels], bool)
    free = np.flatnonzero(~labelled if negatives is None else ~labelled & ~touched)
    kept = _choose_negatives(free, int(labelled.sum()), negatives, seed)
    rows = np.sort(np.concatenate([np.flatnonzero(labelled), kept]))
    if log is not None:
        paths, barely = set(windows["path"]), len(windows) - int(labelled.sum()) - len(free)
        empty = len(paths - set(annotations["path"]))
        log(_summary(int(labelled.sum()), len(kept), len(free), barely, len(paths), empty))
    table = windows.iloc[rows].reset_index(drop=True)
    return table.assign(label=pd.Series([sorted(labels[row]) for row in rows], dtype=object), group=table["path"])
