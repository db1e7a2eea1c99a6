"""Where a classifier comes from: a folder here, or a repository on the Hub.

    clf = load_classifier("dog-or-not/")
    clf = load_classifier("hf://user/dog-or-not@v2")

What comes from the Hub is checked like any other folder. Besides, its golden clips are heard again, once for each commit and each set of library
versions, and where they are drawn or predicted otherwise than when it was saved, a warning says so before there is any answer.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pandas as pd

from ..core.cache import default_cache
from ..core.files import write_atomic
from ..core.hub import is_address, local_folder
from ..core.reading import read_json
from ..core.warnings import warn
from ..training.trained import kind_of
from .classifier import Classifier
from .folder import SETTINGS, versions_now
from .golden import PIXELS, SAME, check_loaded, has_golden
from .load import load_folder

MOST_HEARD = 2**16  # bytes of what is remembered of one folder


def told_drift(table: pd.DataFrame) -> str:
    """What `check_classifier` found, in a clause; empty where nothing has changed."""
    other, n = table[table["verdict"] != SAME], len(table)
    worse = other[other["verdict"] != PIXELS]
    libraries = [f"{name} {then} -> {now}" for name, (then, now) in table.attrs["versions"].items() if then != now]
    since = f" (since then: {', '.join(libraries)})" if libraries else ""
    if len(worse):
        moved = f", by up to {worse['drift'].max():.2g}" if worse["drift"].notna().any() else ""
        return f"{len(worse)} of {n} golden clips are predicted differently than when it was saved{moved}{since}"
    return (
        f"{len(other)} of {n} golden clips are drawn differently than when it was saved, and predicted the same{since}"
        if len(other)
        else ""
    )


def _heard_before(file: Path) -> str | None:
    """What was found with these versions of the libraries; None where nobody listened."""
    try:
        note = read_json(file, max_bytes=MOST_HEARD)
        return note["told"] if note["versions"] == versions_now() and isinstance(note["told"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _hear(clf: Classifier, folder: Path) -> str:
    """What has changed in the golden clips of a folder that came down, by its name a commit; heard once."""
    file = default_cache() / "hub" / "heard" / f"{folder.parent.name}-{folder.name}.json"
    told = _heard_before(file)
    if told is None:
        told = told_drift(check_loaded(clf, folder))
        write_atomic(file, json.dumps({"versions": versions_now(), "told": told}, indent=1).encode())
    return told


def load_classifier(folder: str | os.PathLike) -> Classifier:
    """Load a trained classifier, from a folder or from the Hub; runs no code from there.

    Parameters
    ----------
    folder : str or path
        The folder that `save_classifier` wrote, in this or in the first format; or that of `specimg train`, or of `fit(out=)`.
        `Run.classifier` makes one of a cross-validation. Or `hf://user/name[@revision][:subfolder]`, which `push_to_hub` filled.

    Returns
    -------
    Classifier
        On the CPU; `clf.to("cuda")` moves it.

    Raises
    ------
    ValueError
        With the reason, if a file is missing, cut short, changed or of another classifier, if the JSON holds what does not fit or is
        absurd, and where the weights are not the network's. On the Hub: there is no such repository or revision, it is private or gated, or it
        holds a pickle or no classifier.
    ConnectionError
        The Hub is out of reach, or offline mode is on, and it is not in huggingface_hub's cache.

    Warns
    -----
    UserWarning
        Warns of files that are not the classifier's, which are not opened, and of a model card that was changed. Of one from the Hub also that
        today's libraries draw or predict its golden clips differently than when it was saved.

    Examples
    --------
    >>> folder = sp.save_classifier(learn, "cat-or-dog", golden=0)
    >>> sp.load_classifier(folder).vocab
    ['cat', 'dog']
    >>> sp.load_classifier("hf://user/dog-or-not@v2")            # doctest: +SKIP
    Classifier(2 labels, pictures of 128 x 313 pixels, 'squish')
    """
    here = local_folder(folder, [SETTINGS, "run.toml"], "a classifier")
    if kind_of(here) == "run":
        name = str(folder)
        raise ValueError(
            f"{name!r} is the run of a cross-validation; Run.open({name!r}).classifier() makes one classifier of its networks"
        )
    clf = load_folder(here)
    told = _hear(clf, here) if is_address(folder) and has_golden(here) else ""
    if told:
        warn(f"{folder}: {told}; specimg check {folder} shows them")
    return clf
