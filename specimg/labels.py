"""Label tables: which recording carries which label, and which rows train and which ones test.

A table is a DataFrame with one row a recording, or a row for each window of it: `path` (below the audio folder,
forward slashes), `label` (text; a list of texts where a recording may carry several) and, where known, `start` and
`end` (seconds), `group` (what must stay together: a speaker, a site), `fold`, `weight` and `is_valid`. Everything is
joined by name, never by order, and what does not fit is said in numbers and by example.

>>> csv = pd.DataFrame({"fname": ["a.wav", "b.wav", "c.wav", "d.wav"], "label": ["dog", "dog", "cat", "cat"]})
>>> table = labels_from_csv(csv)     # or the path of a csv file
>>> class_counts(table).to_dict()
{'cat': 2, 'dog': 2}
"""

from __future__ import annotations

import numbers
import os
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from .files import OutsideError, inside
from .values import choose

__all__ = [
    "labels_from_csv", "labels_from_folders", "labels_from_names", "is_multilabel", "Match", "match_files",
    "class_counts", "class_weights", "sample_weights", "check_labels", "KEY", "clip_keys",
]

KEY = ["path", "start", "end"]   # what names a clip, as far as a table has these columns

MANY = (list, tuple, set, frozenset, np.ndarray)   # what a cell with several labels may be
_TRUTHS = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


# ---------------------------------------------------------------------- saying what is wrong

def count(n: int, noun: str) -> str:
    """The number with its noun: 1 row, 2 rows."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def examples(names: Iterable, n: int = 3, mark: str = ", ") -> str:
    """The first `n` different names, `mark` between them; one that would break the line is quoted."""
    names = list(dict.fromkeys(map(str, names)))
    shown = [name if name.isprintable() else repr(name) for name in names[:n]]
    return mark.join(shown + ["..."] * (len(names) > n))


def _rows(bad) -> str:
    """Where a mask is True, as "2 rows (3, 7)". The first row is 1; the header of a csv does not count."""
    found = np.flatnonzero(bad)
    return f"{count(len(found), 'row')} ({examples(found + 1, 5)})"


def warn(message: str, depth: int = 1) -> None:
    """Warn at the line that called the public function, which stands `depth` calls above this one."""
    warnings.warn(message, UserWarning, stacklevel=2 + depth)


# ---------------------------------------------------------------------- cells and columns

def _is_blank(cell) -> bool:
    return not isinstance(cell, MANY) and (pd.isna(cell) or not str(cell).strip())


def _to_numbers(cells) -> np.ndarray:
    """Floats; nan where a cell is no number."""
    return pd.to_numeric(pd.Series(list(cells), dtype=object), errors="coerce").to_numpy(float)


def _split(cell, delimiter: str) -> list[str]:
    """The different labels of one cell, in their order; an empty cell has none."""
    if _is_blank(cell):
        return []
    parts = (str(part).strip() for part in (cell if isinstance(cell, MANY) else str(cell).split(delimiter)))
    return list(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True)
class Sheet:
    """A csv file or DataFrame as it came; columns are asked for by name or by position, as in fastai."""

    raw: pd.DataFrame
    source: str   # what messages call it

    def position(self, col: int | str) -> int:
        names = [str(name) for name in self.raw.columns]
        if not isinstance(col, numbers.Integral):
            return names.index(choose(str(col), names, f"column in {self.source}"))
        if not 0 <= col < len(names):
            choices = f"0 to {len(names) - 1} or one of {', '.join(names)}"
            raise ValueError(f"{self.source} has no column {col}; give {choices}")
        return int(col)

    def cells(self, col: int | str) -> list:
        return self.raw.iloc[:, self.position(col)].tolist()

    def refuse(self, bad, col: int | str, what: str, way_out: str) -> None:
        """Raise where `bad` holds anywhere."""
        if any(bad):
            name = self.raw.columns[self.position(col)]
            raise ValueError(f"{self.source}: column {str(name)!r} {what} in {_rows(bad)}; {way_out}")

    def text(self, col: int | str) -> list[str]:
        cells = self.cells(col)
        self.refuse([_is_blank(cell) for cell in cells], col, "is empty", "fill it in or leave these rows out")
        return [str(cell) for cell in cells]

    def paths(self, col: int | str, suffix: str, folder) -> list[str]:
        paths = []
        for row, name in enumerate(self.text(col), start=1):
            try:
                paths.append(inside(folder or ".", name + suffix))
            except OutsideError as exc:
                raise OutsideError(f"{self.source}, row {row}: {exc}") from exc
        return paths

    def labels(self, col: int | str, delimiter: str | None) -> list:
        cells = self.cells(col)
        several = [isinstance(cell, MANY) for cell in cells]
        if delimiter is None and not any(several):
            return [text.strip() for text in self.text(col)]
        if delimiter is None:
            self.refuse(np.logical_not(several), col, "holds lists, but not", "give every row a list of labels")
        return [_split(cell, delimiter) for cell in cells]

    def numbers(self, col: int | str, blank=False) -> np.ndarray:
        """Finite and not negative; nan in the rows that may be `blank`."""
        found = _to_numbers(self.cells(col))
        self.refuse(~(blank | (np.isfinite(found) & (found >= 0))), col, "is not a finite number from 0 up", "correct these rows")
        return found

    def folds(self, col: int | str) -> np.ndarray | list[str]:
        """Whole numbers where all of them are, else text."""
        text = self.text(col)
        found = _to_numbers(text)
        return found.astype(int) if np.all(np.isfinite(found) & (found == np.round(found))) else text

    def truths(self, col: int | str) -> list[bool]:
        words = [word.strip().lower() for word in self.text(col)]
        neither = [word not in _TRUTHS for word in words]
        self.refuse(neither, col, "is neither True nor False", "write True or False, or 1 or 0")
        return [_TRUTHS[word] for word in words]


def read_sheet(csv, header, delimiter: str, may_be_empty=False) -> Sheet:
    """Every cell as text, so that "007" and a label named "NA" stay what they are."""
    if isinstance(csv, pd.DataFrame):
        sheet = Sheet(csv, "the table")
    else:
        as_text = dict(dtype=str, keep_default_na=False, encoding="utf-8-sig")   # utf-8-sig: with or without a mark
        try:
            sheet = Sheet(pd.read_csv(csv, header=header, sep=delimiter, index_col=False, **as_text), os.fspath(csv))
        except ValueError as exc:   # what pandas and the decoder raise are ValueErrors
            raise ValueError(f"{os.fspath(csv)} cannot be read as csv in UTF-8: {exc}") from exc
    if not len(sheet.raw) and not may_be_empty:
        raise ValueError(f"{sheet.source} has no rows; give at least one file and its label")
    return sheet


# ---------------------------------------------------------------------- tables

def is_multilabel(table: pd.DataFrame) -> bool:
    """Does `label` hold lists of labels rather than one label a row?"""
    return any(isinstance(label, MANY) for label in table["label"])


def _unite(table: pd.DataFrame, clip: list[str]) -> pd.DataFrame:
    """One row for each clip, with all the labels of its rows."""
    labels: dict[tuple, dict[str, None]] = {}
    keys = list(table[clip].itertuples(index=False, name=None))
    for key, several in zip(keys, table["label"]):
        labels.setdefault(key, {}).update(dict.fromkeys(several))
    first = ~table.duplicated(clip)
    return table[first].assign(label=[list(labels[key]) for key, keep in zip(keys, first) if keep])


def _without_duplicates(table: pd.DataFrame, source: str) -> pd.DataFrame:
    """One row a clip: rows that say the same are dropped; rows that do not are refused, or united if multi-label."""
    clip = [name for name in ("path", "start", "end") if name in table]
    said = table["label"].map(lambda label: label if isinstance(label, str) else tuple(sorted(label)))
    again = table[clip].assign(label=said).duplicated()
    if again.any():
        dropped = f"{count(again.sum(), 'row')} left out that stood there already"
        warn(f"{source}: {dropped} ({examples(table['path'][again])})", 2)
        table = table[~again]
    clash = table.duplicated(clip, keep=False)
    if clash.any():
        clips = count(len(table[clash].drop_duplicates(clip)), "clip")
        what = f"{source}: {clips} with different labels ({examples(table['path'][clash])})"
        if not is_multilabel(table):
            raise ValueError(f"{what}; keep one row of each, or read several labels to a clip with label_delim")
        warn(f"{what}; their labels are united", 2)
        table = _unite(table, clip)
    return table.reset_index(drop=True)


def read_seconds(sheet: Sheet, start_col, end_col) -> dict[str, np.ndarray]:
    """The columns start and end, nan in both where a row stands for a whole recording."""
    if start_col is None or end_col is None:
        raise ValueError(f"start_col={start_col!r} and end_col={end_col!r}: a window needs both its start and its end")
    whole = np.array([_is_blank(first) and _is_blank(last) for first, last in zip(sheet.cells(start_col), sheet.cells(end_col))], bool)
    start, end = sheet.numbers(start_col, whole), sheet.numbers(end_col, whole)
    sheet.refuse(end <= start, end_col, "is not after the start", "correct these rows")
    return {"start": start, "end": end}


def labels_from_csv(csv, *, folder=None, fn_col: int | str = 0, label_col: int | str = 1,
                    label_delim: str | None = None, suffix: str = "", start_col=None, end_col=None, group_col=None,
                    fold_col=None, weight_col=None, valid_col=None, header="infer", delimiter=",") -> pd.DataFrame:
    """The label table that a csv file in UTF-8, or a DataFrame, describes; columns go by name or by position from 0.

    Names and labels are text: "007" stays "007", and a label loses only the blanks around it. A clip that stands
    there twice with one label is kept once, with a warning.

    Parameters
    ----------
    folder : the audio folder that the names in the csv are relative to; no name may lead out of it.
    label_delim : what stands between the labels of one cell; `label` then holds lists, empty where the cell is.
    start_col, end_col : seconds; where both are empty the row stands for the whole recording.
    suffix : added to every name, such as ".wav".
    header, delimiter : as in `pandas.read_csv`; `header=None` where the first line is data already.

    Raises ValueError for a missing column, empty or unreadable cells, one clip with two labels (in multi-label tables
    they are united, with a warning) and names that lead out of `folder`.
    """
    sheet = read_sheet(csv, header, delimiter)
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


def _recordings(folder) -> list[str]:
    from .audio import AUDIO_SUFFIXES, find_audio

    paths = find_audio(folder)
    if not paths:
        endings = ", ".join(AUDIO_SUFFIXES)
        raise ValueError(f"no recordings below {os.fspath(folder)!r}; names must end in one of {endings}")
    return paths


def labels_from_folders(folder) -> pd.DataFrame:
    """The recordings below `folder`, each labelled with the name of the folder it lies in.

    Raises ValueError where recordings lie in `folder` itself and so have no label.
    """
    paths = _recordings(folder)
    stray = [path for path in paths if "/" not in path]
    if stray:
        raise ValueError(f"{count(len(stray), 'recording')} directly in {os.fspath(folder)!r} ({examples(stray)}); "
                         "move each into a folder named after its label")
    return pd.DataFrame({"path": paths, "label": [PurePosixPath(path).parent.name for path in paths]})


def _column_groups(pattern: re.Pattern) -> dict[str, int]:
    """Column -> number of the group that fills it."""
    for name in pattern.groupindex:
        choose(name, ["label", "group", "fold", "start", "end"], "group in the regex")
    if "label" in pattern.groupindex:
        return dict(pattern.groupindex)
    if pattern.groups == 1:
        return {"label": 1}
    raise ValueError(f"regex {pattern.pattern!r} has no group named label; write (?P<label>...) around the label")


def labels_from_names(source, regex: str, *, folder=None, on: str = "name") -> pd.DataFrame:
    r"""Labels read from file names: the regex's named group `label` and, where there, `group`, `fold`, `start`, `end`.

    As in fastai, a single group without a name is the label. The regex is searched (`re.search`) in the file's name,
    or with `on="path"` in its path below the folder.

    Parameters
    ----------
    source : a folder, whose recordings are listed; or a list of files, whose paths become relative to `folder`.

    Raises ValueError where files do not match, with their number and examples.

    >>> labels_from_names(["george/3_george_7.wav"], r"^(?P<label>\d)_(?P<group>[a-z]+)_").to_dict("records")
    [{'path': 'george/3_george_7.wav', 'label': '3', 'group': 'george'}]
    """
    try:
        pattern = re.compile(regex)
    except re.error as exc:
        raise ValueError(f"{regex!r} is not a regular expression: {exc}") from exc
    groups = _column_groups(pattern)
    choose(on, ["name", "path"], "place to search")
    if isinstance(source, (str, os.PathLike)):
        source, folder = _recordings(source), source
    paths = [inside(folder or ".", path) for path in source]
    found = [pattern.search(PurePosixPath(path).name if on == "name" else path) for path in paths]
    missed = [path for path, match in zip(paths, found) if match is None]
    if missed:
        other = {"name": "path", "path": "name"}[on]
        raise ValueError(f"{len(missed)} of {len(paths)} files do not match {regex!r} in their {on} "
                         f"({examples(missed)}); widen the regex, search with on={other!r}, or leave these files out")
    table = pd.DataFrame({"path": paths} | {name: [match[group] for match in found] for name, group in groups.items()})
    return labels_from_csv(table, folder=folder, fn_col="path", **{f"{name}_col": name for name in groups})


# ---------------------------------------------------------------------- tables and files

@dataclass(frozen=True)
class Match:
    """How a table and a list of files fit together; printed, it says so in numbers and by example."""

    n_rows: int
    n_files: int
    without_file: tuple[str, ...]   # the path of each row that has no file
    without_row: tuple[str, ...]    # the files that no row names
    repeated: tuple[str, ...]       # the path of each row that stood there already (same file, same window)

    @property
    def complete(self) -> bool:
        """Has every row a file and every file a row, each once?"""
        return not (self.without_file or self.without_row or self.repeated)

    def __str__(self) -> str:
        def have(names, n, noun, what):
            return [f"{len(names)} of {count(n, noun)} {what} ({examples(names)})"] if names else []

        parts = (have(self.without_file, self.n_rows, "row", "without a file")
                 + have(self.without_row, self.n_files, "file", "without a row")
                 + have(self.repeated, self.n_rows, "row", "repeated"))
        return "; ".join(parts) or f"{count(self.n_rows, 'row')} and {count(self.n_files, 'file')}, all matched"


def match_files(table: pd.DataFrame, files: Sequence, *, suffix: str = "") -> tuple[pd.DataFrame, Match]:
    """The rows whose file is there, each once, and a report on what was left out. Joined by path, never by order.

    Parameters
    ----------
    files : paths below the audio folder, as `specimg.audio.find_audio` lists them.
    suffix : added to every `path` first, where the table names files without it.
    """
    files = [Path(file).as_posix() for file in files]
    table = table.assign(path=table["path"].map(lambda path: path + suffix))
    found = table["path"].isin(set(files))
    repeated = table.duplicated([name for name in ("path", "start", "end") if name in table])
    named = set(table["path"])
    match = Match(len(table), len(files), tuple(table["path"][~found]), tuple(f for f in files if f not in named),
                  tuple(table["path"][repeated]))
    return table[found & ~repeated].reset_index(drop=True), match


# ---------------------------------------------------------------------- clips

def clip_keys(table: pd.DataFrame) -> list[tuple]:
    """(path, start, end) of each row; None where there is no time."""
    times = [pd.to_numeric(table[name], errors="coerce") if name in table else [None] * len(table) for name in KEY[1:]]
    return [(path, *(None if t is None or t != t else float(t) for t in span)) for path, *span in zip(table["path"], *times)]


# ---------------------------------------------------------------------- classes

def column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column in which nothing is missing."""
    cells = table[choose(name, map(str, table.columns), "column in the table")]
    blank = [_is_blank(cell) for cell in cells]
    if any(blank):
        raise ValueError(f"column {name!r} is empty in {_rows(blank)}; fill it in or leave these rows out")
    return cells


def label_lists(labels) -> list[list[str]]:
    """For each row its labels as text, from a table or from its label column alone."""
    if not isinstance(labels, pd.DataFrame):
        labels = pd.DataFrame({"label": pd.Series(list(labels), dtype=object)})
    return [[str(part) for part in (cell if isinstance(cell, MANY) else [cell])] for cell in column(labels, "label")]


def class_counts(table) -> pd.Series:
    """How many clips carry each label, the commonest first. Takes a table or its label column."""
    counts = pd.Series([label for labels in label_lists(table) for label in labels], dtype=object).value_counts()
    return counts.sort_index().sort_values(ascending=False, kind="stable").rename("clips").rename_axis("label")


def class_weights(labels) -> dict[str, float]:
    """A weight for each label, larger for rarer ones: `n / (n_classes * n_label)`, sorted by label.

    This is scikit-learn's "balanced": over the clips the weights have a mean of 1. Takes a table or its label column;
    where clips carry several labels, `n` counts labels.

    >>> class_weights(["dog", "dog", "dog", "cat"])
    {'cat': 2.0, 'dog': 0.6666666666666666}
    """
    counts = class_counts(labels)
    return {label: float(counts.sum() / (len(counts) * counts[label])) for label in sorted(counts.index)}


def sample_weights(table: pd.DataFrame) -> pd.Series:
    """How often a weighted sampler should draw each row: its class weight times its `weight`, where that is known.

    A clip with several labels has the mean of their class weights, one without any has 1.
    """
    by_class = class_weights(table)
    balance = [np.mean([by_class[label] for label in labels]) if labels else 1.0 for labels in label_lists(table)]
    weights = pd.Series(balance, index=table.index, dtype=float, name="weight")
    if "weight" in table:
        weights *= Sheet(table, "the table").numbers("weight")
    if not weights.any():
        raise ValueError("every row has weight 0, so that none could be drawn; give some rows a larger weight")
    return weights


def check_labels(train, valid, vocab: Sequence[str] | None = None) -> list[str]:
    """The sorted labels of training, or `vocab` where that is settled. Takes tables or their label columns.

    Raises ValueError where validation holds labels that training lacks (with `vocab` it warns), and where a label is
    not in `vocab`; warns of labels seen once in training.
    """
    counts = class_counts(train)
    held_out = set(class_counts(valid).index)
    strange = sorted({*counts.index, *held_out}.difference(vocab)) if vocab is not None else []
    if strange:
        raise ValueError(f"{count(len(strange), 'label')} that the vocabulary lacks ({examples(strange, 10)}); add them to vocab=, or leave these clips out")
    unknown = sorted(held_out - set(counts.index))
    if unknown:
        what = f"{count(len(unknown), 'label')} in validation but not in training ({examples(unknown, 10)}): no network could know them"
        if vocab is None:
            raise ValueError(f"{what}; move some of their clips to training or leave them out")
        warn(what)
    once = sorted(counts.index[counts == 1])
    if once:
        warn(f"{count(len(once), 'label')} seen once in training ({examples(once, 10)})")
    return sorted(counts.index) if vocab is None else list(vocab)
