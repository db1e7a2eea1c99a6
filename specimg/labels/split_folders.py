"""Folders called train and validation, in all the spellings that people use: a split, which is never pooled with the rest.

split_of_name("Val")                            # "valid"
split_by_folders(table, "recordings")           # with the column `is_valid` where the folders make a split
"""

from __future__ import annotations

import os

import pandas as pd

from ..core.text import count, examples
from ..core.warnings import warn

_NAMES = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_SPLIT_OF = {name: split for split, names in _NAMES.items() for name in names}


def split_of_name(name: str) -> str:
    """ "train", "valid" or "test": the split that a folder is named after, in upper or lower case; "" if after none.

    >>> split_of_name("Validation"), split_of_name("dog")
    ('valid', '')
    """
    return _SPLIT_OF.get(name.lower(), "")


def _names_of(tops: pd.Series, split: str) -> list[str]:
    return sorted({top for top in tops if split_of_name(top) == split})


def _choose(tops: pd.Series, folder: str, train: str | None, valid: str | None) -> tuple[str, str] | None:
    """(folder of training, folder of validation), or None where the folders make no split. ValueError where it is not clear which."""
    missing = [repr(name) for name in (train, valid) if name is not None and name not in set(tops)]
    if missing:
        raise ValueError(
            f"{folder!r} has no folder {' and no '.join(missing)}; it has {examples(sorted(set(tops)), 8)}"
        )
    trains = [train] if train else _names_of(tops, "train")
    valids = [valid] if valid else _names_of(tops, "valid")
    tests = _names_of(tops, "test")
    if not trains or not (valids or tests):
        return None
    if len(trains) > 1 or len(valids) > 1:
        names = ", ".join(map(repr, trains + valids))
        raise ValueError(
            f"{folder!r} holds the folders {names}; name those of training and validation, train= and valid="
        )
    if not valids:
        raise ValueError(
            f"{folder!r} holds the folders {trains[0]!r} and {examples(map(repr, tests))}, and none for validation; give "
            f"valid={tests[0]!r} to validate on that, or the folder {trains[0]!r} alone to hold out a part of it"
        )
    return trains[0], valids[0]


def split_by_folders(
    table: pd.DataFrame,
    folder: str | os.PathLike,
    train: str | None = None,
    valid: str | None = None,
    classes_below: bool = True,
) -> pd.DataFrame:
    """The label table of folders of classes, with `is_valid` where these lie in a folder of training and one of validation.

    Parameters
    ----------
    table : DataFrame
        With the columns `path` and `label`, as `labels_from_folders` makes it.
    folder : str or path-like
        The folder that the paths are below, for messages.
    train, valid : str, optional
        Names of the two folders; default those that mean so: train, training; valid, validation, val, dev; in upper or lower case.
    classes_below : bool, default True
        Whether the folders of a split hold those of the classes; False if labels come from elsewhere.

    Returns
    -------
    DataFrame
        The clips of these two folders, with `is_valid`; a warning counts those beside them. The table as it is if they make no split.

    Raises
    ------
    ValueError
        If there is training and only a folder of tests, several folders could be meant, a named one is not there, or the folders of
        the split lie in those of the classes.

    Examples
    --------
    >>> from specimg.labels.split_folders import split_by_folders
    >>> table = pd.DataFrame({"path": ["Train/owl/1.wav", "Val/owl/2.wav"], "label": ["owl", "owl"]})
    >>> split_by_folders(table, "birds")["is_valid"].tolist()
    [False, True]
    """
    folder = os.fspath(folder)
    labels = {split_of_name(label) for label in table["label"]} if classes_below else set()
    if "train" in labels and len(labels) > 1 and "" not in labels:
        raise ValueError(
            f"in {folder!r} the folders {examples(sorted(set(table['label'])))} lie in those of the classes; put them above: "
            f"train/<class>/ and valid/<class>/"
        )
    folders = [path.split("/")[:-1] for path in table["path"]]
    above = len(os.path.commonprefix(folders))  # folders that hold everything
    tops = pd.Series([parts[above] if len(parts) > above else "" for parts in folders], index=table.index)
    chosen = _choose(tops, folder, train, valid)
    if chosen is None:
        return table
    stray = [
        path for path, top, parts in zip(table["path"], tops, folders) if top in chosen and len(parts) == above + 1
    ]
    if stray and classes_below:
        raise ValueError(
            f"{count(len(stray), 'recording')} directly in {chosen[0]!r} or {chosen[1]!r}, such as {stray[0]!r}; "
            f"move each into a folder named after its label"
        )
    kept = tops.isin(chosen)
    if not kept.all():
        warn(
            f"{count((~kept).sum(), 'recording')} of {folder!r} beside {chosen[0]!r} and {chosen[1]!r} not used ({examples(sorted(set(tops[~kept])))})"
        )
    return table[kept].assign(is_valid=tops[kept] == chosen[1])
