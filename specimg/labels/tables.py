"""Label tables: which recording carries which label, and which rows train and which validate.

A table is a DataFrame with one row a recording, or a row for each window of it: `path` (below the audio folder,
forward slashes), `label` (text; a list of texts where a recording may carry several) and, where known, `start` and
`end` (seconds), `group` (what must stay together: a speaker, a site), `fold`, `weight` and `is_valid`. Tables are joined by name, never
by order; what does not match is counted, with examples.

>>> from specimg.labels import class_counts
>>> csv = pd.DataFrame({"fname": ["a.wav", "b.wav", "c.wav", "d.wav"], "label": ["dog", "dog", "cat", "cat"]})
>>> table = labels_from_csv(csv)     # or the path of a csv file
>>> class_counts(table).to_dict()
{'cat': 2, 'dog': 2}
"""

from __future__ import annotations

import numbers
import os
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from ..core.files import inside
from ..core.matching import compile_regex, search_all
from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from .sheets import MANY, OPENSOUNDSCAPE, Sheet, class_columns, read_seconds, read_sheet

KEY = ["path", "start", "end"]  # what names a clip, as far as a table has these columns


# ---------------------------------------------------------------------- tables


def is_multilabel(table: pd.DataFrame) -> bool:
    """Whether `label` holds lists of labels rather than one label per row.

    Parameters
    ----------
    table : DataFrame
        With the column `label`.

    Returns
    -------
    bool

    Examples
    --------
    >>> from specimg.labels import is_multilabel
    >>> is_multilabel(pd.DataFrame({"label": [["dog", "rain"], []]}))
    True
    """
    return any(isinstance(label, MANY) for label in table["label"].tolist())


def _unite(table: pd.DataFrame, clip: list[str]) -> pd.DataFrame:
    """One row per clip, with all the labels of its rows."""
    labels: dict[tuple, dict[str, None]] = {}
    keys = list(table[clip].itertuples(index=False, name=None))
    for key, several in zip(keys, table["label"]):
        labels.setdefault(key, {}).update(dict.fromkeys(several))
    first = ~table.duplicated(clip)
    return table[first].assign(label=[list(labels[key]) for key, keep in zip(keys, first) if keep])


_PLACES = {"is_valid": "both for training and for validation", "fold": "in several folds", "group": "in several groups"}


def _refuse_divided(table: pd.DataFrame, clip: list[str], source: str) -> None:
    """ValueError if rows of one clip stand in different places of a split."""
    for name, where in _PLACES.items():
        if name in table:
            places = table.groupby(clip, dropna=False)[name].transform("nunique")
            if (places > 1).any():
                divided = table[places > 1]
                n = count(len(divided.drop_duplicates(clip)), "clip")
                raise ValueError(f"{source}: {n} listed {where} ({examples(divided['path'])}); keep one row of each")


def _without_duplicates(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """One row per clip: equal rows are dropped; rows with other labels are an error, or united if multi-label."""
    clip = [name for name in ("path", "start", "end") if name in table]
    _refuse_divided(table, clip, source)
    labels = table["label"].map(lambda label: label if isinstance(label, str) else tuple(sorted(label)))
    again = table[clip].assign(label=labels).duplicated()
    if again.any():
        dropped = f"{count(again.sum(), 'duplicate row')} left out"
        warn(f"{source}: {dropped} ({examples(table['path'][again])})")
        table = table[~again]
    clash = table.duplicated(clip, keep=False)
    if clash.any():
        clips = count(len(table[clash].drop_duplicates(clip)), "clip")
        what = f"{source}: {clips} with different labels ({examples(table['path'][clash])})"
        if not is_multilabel(table):
            raise ValueError(f"{what}; keep one row of each, or read several labels to a clip with label_delim")
        warn(f"{what}; their labels are united")
        table = _unite(table, clip)
    return table.reset_index(drop=True)


def _refuse_one_hot(sheet: Sheet, label_col: int | str, used: Sequence[int | str]) -> None:
    """ValueError where the column of labels was not named and is one of a column a class; a warning where it was named."""
    columns = class_columns(sheet, label_col, used)
    if not columns:
        return
    name = sheet.names[sheet.position(label_col)]
    what = f"{sheet.source}: column {name!r} holds only 0 and 1, as {'do' if len(columns) > 2 else 'does'} {examples([c for c in columns if c != name])}"
    names = f"label_col=[{', '.join(map(repr, columns[:8]))}{', ...' * (len(columns) > 8)}]"
    if isinstance(label_col, numbers.Integral):
        raise ValueError(f"{what}; where each is a class, give {names}, else label_col={name!r}")
    warn(f"{what}; where each is a class, give {names}")


def _opensoundscape_columns(sheet: Sheet, label_col: int | str | Sequence, used: Sequence[int | str]) -> dict:
    """What the columns of a table mean that is indexed by file, start_time and end_time, as OpenSoundscape's are; else nothing."""
    index = [name for name in sheet.raw.index.names if name is not None]
    if index not in (OPENSOUNDSCAPE, OPENSOUNDSCAPE[:1]):
        return {}
    named = isinstance(label_col, MANY) or str(label_col) in sheet.names
    others = [name for name in sheet.names if name not in {*index, *map(str, used)}]
    times = dict(zip(("start_col", "end_col"), index[1:]))
    return {"fn_col": index[0], **times, "label_col": label_col if named else others}


def labels_from_csv(
    csv: str | os.PathLike | pd.DataFrame,
    *,
    folder: str | os.PathLike | None = None,
    fn_col: int | str = 0,
    label_col: int | str | Sequence = 1,
    label_delim: str | None = None,
    suffix: str = "",
    start_col: int | str | None = None,
    end_col: int | str | None = None,
    group_col: int | str | None = None,
    fold_col: int | str | None = None,
    weight_col: int | str | None = None,
    valid_col: int | str | None = None,
    header: int | str | None = "infer",
    delimiter: str | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read a label table from a csv file, or from a DataFrame; columns go by name or by position from 0.

    Names and labels are text: "007" stays "007", and a label loses only the blanks around it. A clip that is listed twice with one label
    is kept once, with a warning. Lists that csv has made text of ("['a', 'b']") are several labels again; a table indexed by file,
    start_time and end_time, as OpenSoundscape's are, needs no names of columns. The backslashes of Windows in names become slashes.

    Parameters
    ----------
    csv : str, path-like or DataFrame
        The file, or a table as pandas read it.
    folder : str or path-like, optional
        The audio folder that the names in the csv are relative to; no name may lead out of it.
    fn_col : int or str, default 0
        Column of the file names.
    label_col : int, str or sequence of these, default 1
        Column of the labels; or several columns, one a class, that hold 0 and 1: `label` is then the list of those that hold 1.
    label_delim : str, optional
        Separates the labels of one cell; `label` then holds lists, empty if the cell is.
    suffix : str, default ""
        Added to every name, such as ".wav".
    start_col, end_col : int or str, optional
        Columns of the window's ends in seconds; where both are empty the row is the whole recording.
    group_col : int or str, optional
        Column of what stays together in splits: speaker, site.
    fold_col : int or str, optional
        Column of the fold.
    weight_col : int or str, optional
        Column of weights, 0 or more.
    valid_col : int or str, optional
        Column of truth values: is the clip for validation?
    header : int, "infer" or None, default "infer"
        As in `pandas.read_csv`; None if the first line is data.
    delimiter : str, optional
        What separates the cells of the file; default a comma, semicolon, tab or bar, whichever divides all lines alike.
    encoding : str, optional
        Of the file, such as "cp1252" for what Excel on Windows writes; default UTF-8, or UTF-16 where the file begins with its mark.

    Returns
    -------
    DataFrame
        Columns `path`, `label` and, where given, `start`, `end`, `group`, `fold`, `weight`, `is_valid`; one row per clip.

    Raises
    ------
    ValueError
        A column is missing, cells are empty or unreadable, rows are longer than the header, a name leads out of `folder`, one clip has
        two labels (multi-label tables unite them, with a warning), or labels are measurements: regression is not offered.

    Examples
    --------
    >>> sp.labels_from_csv("labels.csv", fn_col="fname", label_col="label", group_col="group").head(2)
               path label  group
    0  cat/cat0.wav   cat  yard0
    1  cat/cat1.wav   cat  yard1
    """
    sheet = read_sheet(csv, header, delimiter, encoding)
    used = [col for col in (fn_col, start_col, end_col, group_col, fold_col, weight_col, valid_col) if col is not None]
    known = _opensoundscape_columns(sheet, label_col, used)
    if known:
        fn_col, label_col = known["fn_col"], known["label_col"]
        start_col, end_col = known.get("start_col", start_col), known.get("end_col", end_col)
    elif not isinstance(label_col, MANY):
        _refuse_one_hot(sheet, label_col, used)
    columns = {"path": sheet.paths(fn_col, suffix, folder), "label": sheet.labels(label_col, label_delim)}
    if start_col is not None or end_col is not None:
        columns |= read_seconds(sheet, start_col, end_col)
    if group_col is not None:
        columns["group"] = [text.strip() for text in sheet.text(group_col)]
    if fold_col is not None:
        columns["fold"] = sheet.folds(fold_col)
    if weight_col is not None:
        columns["weight"] = sheet.numbers(weight_col)
    if valid_col is not None:
        columns["is_valid"] = sheet.truths(valid_col)
    return _without_duplicates(pd.DataFrame(columns), sheet.source)


def _recordings(folder) -> tuple[list[str], list[str]]:
    """(the recordings below a folder, the files that are passed over)."""
    from ..audio.find import AUDIO_SUFFIXES, by_ending, list_audio

    paths, others = list_audio(folder)
    if not paths:
        there = f"; there are {by_ending(others)}" if others else ""
        endings = ", ".join(AUDIO_SUFFIXES)
        raise ValueError(f"no recordings below {os.fspath(folder)!r}; names must end in one of {endings}{there}")
    return paths, others


def _warn_passed_over(folder, others: list[str]) -> None:
    from ..audio.find import warn_passed_over

    warn_passed_over(folder, others)


def _passed_over_classes(paths: list[str], others: list[str]) -> list[str]:
    """The folders in which every file is passed over, and below which there is no recording."""
    heard = {str(folder) for path in paths for folder in PurePosixPath(path).parents}
    return sorted({str(PurePosixPath(path).parent) for path in others} - heard)


def labels_of_every_folder(folder: str | os.PathLike) -> pd.DataFrame:
    """`labels_from_folders`, with a ValueError where a class would be missing because all of its files are passed over."""
    paths, others = _recordings(folder)
    silent = _passed_over_classes(paths, others)
    if silent:
        from ..audio.find import by_ending

        lost = [path for path in others if str(PurePosixPath(path).parent) in silent]
        raise ValueError(
            f"every file of {count(len(silent), 'folder')} of {os.fspath(folder)!r} ({examples(silent)}) is of no known kind of recording: "
            f"{by_ending(lost)}; convert them to wav or flac, or move the folder away"
        )
    return _labels_of_folders(paths, others, folder)


def _labels_of_folders(paths: list[str], others: list[str], folder) -> pd.DataFrame:
    stray = [path for path in paths if "/" not in path]
    if stray:
        raise ValueError(
            f"{count(len(stray), 'recording')} directly in {os.fspath(folder)!r} ({examples(stray)}); "
            "move each into a folder named after its label"
        )
    _warn_passed_over(folder, others)
    return pd.DataFrame({"path": paths, "label": [PurePosixPath(path).parent.name for path in paths]})


def labels_from_folders(folder: str | os.PathLike) -> pd.DataFrame:
    """Label the recordings below a folder with the name of the folder that each lies in.

    Parameters
    ----------
    folder : str or path-like
        With a folder for each label.

    Returns
    -------
    DataFrame
        Columns `path`, `label`.

    Raises
    ------
    ValueError
        Recordings lie in `folder` itself and so have no label, or there are none.

    Examples
    --------
    >>> sp.labels_from_folders("clips").iloc[0].tolist()
    ['cat/cat0.wav', 'cat']
    """
    paths, others = _recordings(folder)
    silent = _passed_over_classes(paths, others)
    if silent:
        warn(
            f"{count(len(silent), 'folder')} without a known kind of recording ({examples(silent)}): no label of that name"
        )
    return _labels_of_folders(paths, others, folder)


def _column_groups(pattern: re.Pattern) -> dict[str, int]:
    """Column -> number of the regex's group that fills it."""
    for name in pattern.groupindex:
        choose(name, ["label", "group", "fold", "start", "end"], "group in the regex")
    if "label" in pattern.groupindex:
        return dict(pattern.groupindex)
    if pattern.groups == 1:
        return {"label": 1}
    raise ValueError(f"regex {pattern.pattern!r} has no group named label; write (?P<label>...) around the label")


def labels_from_names(
    source: str | os.PathLike | Sequence, regex: str, *, folder: str | os.PathLike | None = None, on: str = "name"
) -> pd.DataFrame:
    r"""Read labels from file names: the regex's named group `label` and, where present, `group`, `fold`, `start`, `end`.

    As in fastai, a single group without a name is the label. The regex is searched for (`re.search`).

    Parameters
    ----------
    source : str, path-like or sequence of these
        A folder, whose recordings are listed; or files, whose paths become relative to `folder`.
    regex : str
        Regular expression.
    folder : str or path-like, optional
        Root of the listed files.
    on : {"name", "path"}, default "name"
        Search in the file's name, or in its path below the folder.

    Returns
    -------
    DataFrame
        Columns `path`, `label` and those of the other groups.

    Raises
    ------
    ValueError
        Files do not match (with their number and examples); the regex is invalid, has no label, or takes longer than some seconds.

    Examples
    --------
    >>> sp.labels_from_names(["george/3_george_7.wav"], r"^(?P<label>\d)_(?P<group>[a-z]+)_").to_dict("records")
    [{'path': 'george/3_george_7.wav', 'label': '3', 'group': 'george'}]
    """
    groups = _column_groups(compile_regex(regex))
    choose(on, ["name", "path"], "value of on")
    if isinstance(source, (str, os.PathLike)):
        folder = source
        source, others = _recordings(folder)
        _warn_passed_over(folder, others)
    paths = [inside(folder or ".", path) for path in source]
    found = search_all(regex, [PurePosixPath(path).name if on == "name" else path for path in paths])
    missed = [path for path, match in zip(paths, found) if match is None]
    if missed:
        other = {"name": "path", "path": "name"}[on]
        raise ValueError(
            f"{len(missed)} of {len(paths)} files do not match {regex!r} in their {on} "
            f"({examples(missed)}); widen the regex, search with on={other!r}, or leave these files out"
        )
    table = pd.DataFrame({"path": paths} | {name: [match[group] for match in found] for name, group in groups.items()})
    return labels_from_csv(table, folder=folder, fn_col="path", **{f"{name}_col": name for name in groups})


# ---------------------------------------------------------------------- clips


def clip_index(table: pd.DataFrame) -> pd.MultiIndex:
    """The identity of each row's clip, (path, start, end), by which tables are joined.

    Parameters
    ----------
    table : DataFrame
        With the column `path` and, where rows are windows of recordings, `start` and `end` in seconds.

    Returns
    -------
    pandas.MultiIndex
        One clip per row, in the order of the rows; nan if there is no time.

    Examples
    --------
    >>> from specimg.labels import clip_index
    >>> windows = pd.DataFrame({"path": ["a.wav", "a.wav"], "start": [0, 2], "end": [2, 4], "label": ["dog", "cat"]})
    >>> wanted = pd.DataFrame({"path": ["a.wav", "b.wav"], "start": [2.0, 0.0], "end": [4.0, 2.0]})
    >>> clip_index(windows).get_indexer(clip_index(wanted)).tolist()
    [1, -1]
    """
    times = [
        pd.to_numeric(table[name], errors="coerce") if name in table else np.full(len(table), np.nan)
        for name in KEY[1:]
    ]
    return pd.MultiIndex.from_arrays(
        [table["path"].to_numpy(object), *(np.asarray(t, float) for t in times)], names=KEY
    )


def clip_spans(table: pd.DataFrame) -> list[tuple[str, float | None, float | None]]:
    """(path, start, end) of each row as readers of audio take them: seconds, None if a row is a whole recording.

    >>> clip_spans(pd.DataFrame({"path": ["a.wav", "b.wav"], "start": [0.5, None], "end": [1.5, None]}))
    [('a.wav', 0.5, 1.5), ('b.wav', None, None)]
    """
    return [(path, *(None if t != t else t for t in span)) for path, *span in clip_index(table)]
