"""Checks of a competition's tables: text is text, numbers are numbers, and no row is repeated.

`checked_train` and `checked_test` take a table as people or layouts make it and return a copy that all that follows can rely on, or
raise a ValueError that counts the invalid rows and names some of them.

>>> table = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": [7, 8], "fold": ["0", "1"]})
>>> checked_train(table, Path("birds"))["label"].tolist(), checked_train(table, Path("birds"))["fold"].tolist()
(['7', '8'], [0, 1])
>>> checked_train(table.assign(fold=["0", "x"]), Path("birds"))
Traceback (most recent call last):
ValueError: 1 row of the training table whose fold is not a number (b.wav); write a number, or leave it empty
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..core.files import inside
from ..core.text import count, examples
from ..labels.classes import label_lists
from ..labels.tables import KEY, is_multilabel


def _refuse(mask: pd.Series, table: pd.DataFrame, which: str, way_out: str = "correct it") -> None:
    """ValueError that counts the rows where a mask is True and names some of their paths, if there are any."""
    if mask.any():
        raise ValueError(f"{count(int(mask.sum()), 'row')} of the {which} ({examples(table['path'][mask])}); {way_out}")


def check_columns(table: pd.DataFrame, what: str, needed: Sequence[str]) -> None:
    """ValueError if a table is not a DataFrame, or lacks a column."""
    wanted = ", ".join(needed)
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"the {what} table is a {type(table).__name__}; give a DataFrame with the columns {wanted}")
    missing = [name for name in needed if name not in table]
    if missing or not table.columns.is_unique:
        fault = f"lacks the column {missing[0]!r}" if missing else "has columns of one name"
        raise ValueError(f"the {what} table {fault}; it has {', '.join(map(str, table.columns))} and needs {wanted}")


def _check_paths(table: pd.DataFrame, folder: Path, what: str) -> None:
    for path in table["path"].unique():
        if not isinstance(path, str):
            raise ValueError(f"the {what} table names the path {path!r}; write text, such as 'audio/a.wav'")
        below = inside(folder, path)
        if below != path:
            raise ValueError(
                f"the {what} table names {path!r}; write paths below {str(folder)!r} with forward slashes, such as {below!r}"
            )


def _numbers(table: pd.DataFrame, name: str, what: str) -> pd.Series:
    """A column as floats, nan if it is empty."""
    found = pd.to_numeric(table[name], errors="coerce").astype(float)
    text = found.isna() & table[name].notna()
    _refuse(text, table, f"{what} table whose {name} is not a number", "write a number, or leave it empty")
    return found


def _with_times(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The table with seconds as floats, nan in both if a row is a whole recording."""
    if ("start" in table) != ("end" in table):
        raise ValueError(f"the {what} table has only one of the columns 'start' and 'end'; it needs both, or none")
    if "start" not in table:
        return table
    start, end = (_numbers(table, name, what) for name in ("start", "end"))
    valid = (start.isna() & end.isna()) | ((start >= 0) & (end > start) & (end < math.inf))
    rule = f"{what} table whose times are not 0 <= start < end"
    _refuse(~valid, table, rule, "correct them; both are empty for a whole recording")
    return table.assign(start=start, end=end)


def with_ids(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The table with its row names (`id`) as text, each unique."""
    ids = table["id"].astype(object)
    _refuse(ids.isna() | (ids == ""), table, f"{what} table without an id", "give each row its name in the submission")
    ids = ids.map(str)
    double = ids[ids.duplicated()]
    if len(double):
        raise ValueError(
            f"{count(len(double), what + ' row')} with an id that is there already ({examples(double)}); give each its own"
        )
    return table.assign(id=ids)


# ---------------------------------------------------------------------- columns of training


def _labels(train: pd.DataFrame) -> pd.Series:
    """Text, or lists of different texts if a clip may carry several."""
    lists = [list(dict.fromkeys(several)) for several in label_lists(train)]
    return pd.Series(lists if is_multilabel(train) else [label for (label,) in lists], dtype=object)


def _folds(train: pd.DataFrame) -> pd.Series:
    """Integers from -1; floats if folds are still to be assigned."""
    fold = _numbers(train, "fold", "training")
    wrong = fold.notna() & ((fold < -1) | (fold != fold.round()))
    _refuse(wrong, train, "training table whose fold is not a whole number from -1")
    if (fold == -1).all():
        raise ValueError(
            "every row of the training table has fold -1, so that nothing is held out; give other folds, or leave them empty"
        )
    if (fold >= 0).any():
        rule = "training table without a fold, where others have one"
        _refuse(fold.isna(), train, rule, "give each its fold, -1 if it is always in training")
    return fold if fold.isna().any() else fold.astype(int)


def _weights(train: pd.DataFrame) -> pd.Series:
    weight = _numbers(train, "weight", "training")
    _refuse(~((weight >= 0) & (weight < math.inf)), train, "training table whose weight is not a finite number from 0")
    return weight


def _scored(train: pd.DataFrame) -> pd.Series:
    _refuse(~train["scored"].isin([True, False]), train, "training table whose scored is neither True nor False")
    return train["scored"].astype(bool)


_READ = {"label": _labels, "fold": _folds, "weight": _weights, "scored": _scored}


# ---------------------------------------------------------------------- tables


def checked_train(train: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """A copy of a training table with text, numbers and booleans in their columns; ValueError if a cell is invalid."""
    check_columns(train, "training", ["path", "label"])
    if not len(train):
        raise ValueError("the training table has no rows; give one for each clip")
    _check_paths(train, folder, "training")
    train = _with_times(train.reset_index(drop=True), "training")
    double = train.duplicated([name for name in KEY if name in train])
    _refuse(double, train, "training table of a clip that is there already", "keep one row per clip")
    train = train.assign(**{name: read(train) for name, read in _READ.items() if name in train})
    if "group" in train:
        held_out = train["fold"] != -1 if "fold" in train else True
        rule = "training table without a group"
        _refuse(train["group"].isna() & held_out, train, rule, "give each clip one, such as its own path")
    return train


def checked_test(test: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """A copy of a test table with text and numbers in their columns; ValueError if a cell is invalid."""
    check_columns(test, "test", ["id", "path"])
    _check_paths(test, folder, "test")
    test = with_ids(_with_times(test.reset_index(drop=True), "test"), "test")
    return test.assign(target_label=test["target_label"].map(str)) if "target_label" in test else test
