"""Many recordings, dealt over workers: each loads the networks once, answers some recordings at a time, and the rows come back in order.

    with joblib.parallel_config(backend="dask"):          # or "ray"
        clf.predict("recordings/", n_jobs=-1)
        clf.predict_windows("nights/", n_jobs=-1)

A worker runs the very functions that one process runs, on its share. Networks go to a GPU where the classifier is on one and the
worker has one.
"""

from __future__ import annotations

import copy
import functools
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..audio.find import decoder_of_name
from ..audio.stream import check_windows
from ..core.parallel import map_chunks
from ..core.progress import progress_bar
from .long_recordings import as_paths, count_windows, predict_windows, window_seconds
from .predictor import Predictor

BATCHES = 4  # of the network that a worker is given at once
LIBRARIES = frozenset({"torch", "timm"})  # that affect probabilities, besides those that affect pictures


class _Travelling:
    """A classifier that, unpickled in a worker, is on the kind of device where it was before, if the worker has one."""

    def __init__(self, clf: Predictor):
        self.clf = clf

    def __getstate__(self) -> dict:
        device = self.clf.device.type
        model = self.clf.model if device == "cpu" else copy.deepcopy(self.clf.model).cpu()
        return {"clf": replace(self.clf, model=model), "device": device}

    def __setstate__(self, state: dict) -> None:
        self.clf = state["clf"]
        if state["device"] == "cuda" and torch.cuda.is_available():
            self.clf.to("cuda")


def _libraries(clf: Predictor, sources: Iterable) -> frozenset[str]:
    """The libraries that affect what is predicted of these."""
    decoders = {decoder_of_name(os.fspath(source)) for source in sources if isinstance(source, (str, os.PathLike))}
    return LIBRARIES.union((clf.renderer or clf.audio).libraries, decoders)


def _outputs_there(travelling: _Travelling, what: str, bs: int, sources: list) -> list:
    clf = travelling.clf
    return [clf._run_here(sources, what, bs, n_jobs=1, progress=False)]


def outputs_of_many(
    clf: Predictor, sources: list, what: str, bs: int, n_jobs: int, progress: bool
) -> tuple[np.ndarray, list[str]]:
    """(outputs of a method of the classifier, statuses) of recordings, as `Classifier._run_here` returns them.

    what : "probabilities" or "embeddings"
    """
    work = functools.partial(_outputs_there, _Travelling(clf), what, bs)
    parts, status = [], []
    with progress_bar(len(sources), "predict", progress) as bar:
        for [(outputs, found)] in map_chunks(work, sources, n_jobs, bs * BATCHES, _libraries(clf, sources)):
            parts.append(outputs)
            status += found
            bar.update(len(found))
    width = max((part.shape[1] for part in parts), default=0)
    unread = [np.full((len(part), width), np.nan, np.float32) if part.shape[1] < width else part for part in parts]
    return np.concatenate(unread) if unread else np.empty((0, 0), np.float32), status


def _windows_there(travelling: _Travelling, options: dict[str, Any], groups: list[list[str]]) -> list[pd.DataFrame]:
    return [predict_windows(travelling.clf, group, progress=False, **options) for group in groups]


def _groups(paths: list[str], counts: Iterable[int], most: int) -> list[list[str]]:
    """Recordings that follow each other, together as long as they have no more windows than that.

    >>> _groups(["a", "b", "c", "d"], [1, 1, 9, 1], most=4)
    [['a', 'b'], ['c'], ['d']]
    """
    groups, together = [], most
    for path, count in zip(paths, counts):
        if together + count > most:
            groups.append([])
            together = 0
        groups[-1].append(path)
        together += count
    return groups


def windows_of_many(clf: Predictor, items: Any, n_jobs: int, progress: bool, options: dict[str, Any]) -> pd.DataFrame:
    """The table of `predict_windows` of recordings, some of which each worker is given at once.

    options : the other arguments of `long_recordings.predict_windows`
    """
    paths, seconds = as_paths(items), window_seconds(clf.input, options["seconds"])
    check_windows(seconds, options["overlap"])
    counts = (count_windows([path], seconds, options["overlap"]) for path in paths)
    groups, tables = _groups(paths, counts, options["bs"] * BATCHES), []
    work = functools.partial(_windows_there, _Travelling(clf), options)
    with progress_bar(len(paths), "recordings", progress) as bar:
        for [table], group in zip(map_chunks(work, groups, n_jobs, 1, _libraries(clf, paths)), groups):
            tables.append(table)
            bar.update(len(group))
    attrs = {name: value for table in tables for name, value in table.attrs.items()}
    bands = [table.attrs["band"] for table in tables if "band" in table.attrs]
    for table in tables:
        table.attrs = {}  # pandas compares those of all tables
    together = pd.concat(tables, ignore_index=True)
    together.attrs = attrs | ({"band": max(bands)} if bands else {})
    return together
