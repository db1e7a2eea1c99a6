"""A csv file or DataFrame as it came: cells as text, columns by name or position, and invalid rows named.

sheet = read_sheet("train.csv", header="infer", delimiter=",")
sheet.text("label"); sheet.numbers("start")
"""

from __future__ import annotations

import ast
import numbers
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.files import OutsideError, inside
from ..core.text import count, row_numbers
from ..core.values import choose
from ..core.warnings import warn
from .csv_text import exact_numbers, read_csv_text

MANY = (list, tuple, set, frozenset, np.ndarray)  # what a cell with several labels may be
OPENSOUNDSCAPE = ["file", "start_time", "end_time"]  # names of the index of its label tables; of whole files the first
NAMES_OF_LABELS = {"label", "labels", "class", "category", "target", "species"}
_TRUTHS = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


def is_blank(cell: object) -> bool:
    """Whether a cell is missing or empty text."""
    if isinstance(cell, str):  # most are, and tables have a million of them
        return not cell.strip()
    return not isinstance(cell, MANY) and (pd.isna(cell) or not str(cell).strip())


def _to_numbers(cells: Iterable, decimal: str = ".") -> np.ndarray:
    """Floats; nan if a cell is not a number. decimal : what stands before the fraction in text."""
    cells = list(cells)
    if decimal != ".":
        cells = [cell.replace(decimal, ".") if isinstance(cell, str) else cell for cell in cells]
    return exact_numbers(pd.Series(cells, dtype=object), "coerce").to_numpy(float)


def _split(cell, delimiter: str) -> list[str]:
    """The different labels of one cell, in their order; an empty cell has none."""
    if is_blank(cell):
        return []
    parts = (str(part).strip() for part in (cell if isinstance(cell, MANY) else str(cell).split(delimiter)))
    return list(dict.fromkeys(part for part in parts if part))


def _listed(cell: object) -> list | None:
    """The list that came back from csv as text, "['a', 'b']" of Python or "['a' 'b']" of numpy; None where a cell is no such text."""
    text = cell.strip() if isinstance(cell, str) else ""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    with_commas = re.sub(r"(?<=['\"])\s+(?=['\"])|(?<=[\d.])\s+(?=\d)", ", ", text)  # numpy writes none
    try:
        found = ast.literal_eval(with_commas)
    except (ValueError, SyntaxError, MemoryError, RecursionError):  # a label in brackets: "[noise]"
        return None
    return found if isinstance(found, list) and all(isinstance(part, (str, int, float)) for part in found) else None


def _with_lists(cells: list) -> tuple[list, np.ndarray]:
    """(the cells with what is a list as text made one, where that was done)."""
    lists = [_listed(cell) for cell in cells]
    return [cell if found is None else found for cell, found in zip(cells, lists)], np.array(
        [found is not None for found in lists], bool
    )


def _is_one_hot(cell: object) -> bool:
    """Whether a list is of zeros and ones."""
    return isinstance(cell, MANY) and len(cell) > 1 and all(str(part).lower() in _TRUTHS for part in cell)


def _refuse_numbers(sheet: Sheet, labels: list[str], col: int | str) -> None:
    """ValueError where labels are measurements, a different number in most rows; a warning where they may be."""
    values = _to_numbers(labels)
    if not np.isfinite(values).all() or (values == np.round(values)).all():
        return
    name, distinct = str(sheet.raw.columns[sheet.position(col)]), len(set(labels))
    what = f"{sheet.source}: the labels in column {name!r} are numbers such as {labels[int(np.argmax(values % 1 > 0))]}"
    if distinct > max(2, len(labels) // 2):
        raise ValueError(
            f"{what}, {distinct} different ones in {count(len(labels), 'row')}; regression is not offered: put them into classes "
            "first, such as 'low' and 'high' (pandas.cut)"
        )
    warn(f"{what}; each of the {distinct} becomes a class of its own, as regression is not offered")


@dataclass(frozen=True)
class Sheet:
    """A csv file or DataFrame as it came; columns go by name or by position, as in fastai."""

    raw: pd.DataFrame
    source: str  # what messages call it

    @property
    def names(self) -> list[str]:
        return [str(name) for name in self.raw.columns]

    def position(self, col: int | str) -> int:
        names = self.names
        if not isinstance(col, numbers.Integral):
            return names.index(choose(str(col), names, f"column in {self.source}"))
        if not 0 <= col < len(names):
            choices = f"0 to {len(names) - 1} or one of {', '.join(names)}"
            one = "; if another mark than , ; tab or | separates the cells, give delimiter=" if len(names) == 1 else ""
            raise ValueError(f"{self.source} has no column {col}; give {choices}{one}")
        return int(col)

    def cells(self, col: int | str) -> list:
        return self.raw.iloc[:, self.position(col)].tolist()

    def refuse(self, invalid, col: int | str, what: str, way_out: str) -> None:
        """Raise where `invalid` holds anywhere."""
        if any(invalid):
            name = self.raw.columns[self.position(col)]
            raise ValueError(f"{self.source}: column {str(name)!r} {what} in {row_numbers(invalid)}; {way_out}")

    def text(self, col: int | str) -> list[str]:
        cells = self.cells(col)
        self.refuse([is_blank(cell) for cell in cells], col, "is empty", "fill it in or leave these rows out")
        return [str(cell) for cell in cells]

    def paths(self, col: int | str, suffix: str, folder) -> list[str]:
        paths = []
        for row, name in enumerate(self.text(col), start=1):
            try:
                paths.append(inside(folder or ".", _with_slashes(name + suffix, folder)))
            except OutsideError as exc:
                raise OutsideError(f"{self.source}, row {row}: {exc}") from exc
        return paths

    def labels(self, col: int | str | Sequence, delimiter: str | None) -> list:
        """Text, or lists of text: of several columns the names of those that hold 1."""
        if isinstance(col, MANY):
            columns = {self.names[self.position(each)]: self.truths(each, "is neither 0 nor 1") for each in col}
            return [[name for name, yes in zip(columns, row) if yes] for row in zip(*columns.values())]
        cells, made = _with_lists(self.cells(col))
        if made.any():
            neither = ~made & ~np.array([is_blank(cell) for cell in cells], bool)
            self.refuse(neither, col, "holds lists as text, but not", "give every row a list of labels, [] for none")
            cells = [[] if is_blank(cell) else cell for cell in cells]
        self.refuse(
            [_is_one_hot(cell) for cell in cells] if all(map(_is_one_hot, cells)) else [],
            col,
            "holds 0 and 1 for each class, but not the names of the classes,",
            "give each class a column and name them: label_col=['cat', 'dog']",
        )
        several = [isinstance(cell, MANY) for cell in cells]
        if delimiter is None and not any(several):
            labels = [text.strip() for text in self.text(col)]
            _refuse_numbers(self, labels, col)
            return labels
        if delimiter is None:
            self.refuse(np.logical_not(several), col, "holds lists, but not", "give every row a list of labels")
        return [_split(cell, delimiter) for cell in cells]

    def numbers(self, col: int | str, blank=False) -> np.ndarray:
        """Finite and not negative; nan in the rows that may be `blank`."""
        found = _to_numbers(self.cells(col), self.raw.attrs.get("decimal", "."))
        self.refuse(
            ~(blank | (np.isfinite(found) & (found >= 0))),
            col,
            "is not a finite number from 0 up",
            "correct these rows",
        )
        return found

    def folds(self, col: int | str) -> np.ndarray | list[str]:
        """Whole numbers where all of them are, else text."""
        text = self.text(col)
        found = _to_numbers(text)
        return found.astype(int) if np.all(np.isfinite(found) & (found == np.round(found))) else text

    def truths(self, col: int | str, otherwise: str = "is neither True nor False") -> list[bool]:
        words = [word.strip().lower() for word in self.text(col)]
        neither = [word not in _TRUTHS for word in words]
        self.refuse(neither, col, otherwise, "write True or False, or 1 or 0")
        return [_TRUTHS[word] for word in words]

    def is_binary(self, col: int | str) -> bool:
        """Whether a column holds nothing but 0 and 1, or false and true."""
        return all(str(cell).strip().lower() in _TRUTHS for cell in self.cells(col))


def class_columns(sheet: Sheet, label_col: int | str, used: Sequence[int | str]) -> list[str]:
    """The columns that look like one column a class where only one of them was chosen: `label_col` and what else holds 0 and 1 alone.

    Empty where it is called a label, or is the only one. used : columns with another meaning
    """
    chosen = sheet.position(label_col)
    if sheet.names[chosen].strip().lower() in NAMES_OF_LABELS or len(sheet.raw) < 2 or not sheet.is_binary(chosen):
        return []
    others = set(range(len(sheet.names))) - {sheet.position(col) for col in used} - {chosen}
    found = [position for position in sorted(others | {chosen}) if sheet.is_binary(position)]
    return [sheet.names[position] for position in found] if len(found) > 1 else []


def _with_slashes(name: str, folder) -> str:
    r"""A name as Windows writes it (dog\1.wav) with forward slashes, unless there is a file of that very name."""
    if os.sep == "\\" or "\\" not in name or os.path.lexists(os.path.join(folder or ".", name)):
        return name
    if re.match(r"[A-Za-z]:\\|\\\\", name):
        raise OutsideError(
            f"{name!r} is a whole path of another computer; give names below the folder of the recordings"
        )
    return name.replace("\\", "/")


def _with_index(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose named index is further columns, behind the others: their positions stay."""
    levels = [name for name in table.index.names if name is not None and name not in table.columns]
    if not levels:
        return table
    return table.assign(**{str(name): table.index.get_level_values(name) for name in levels})


def read_sheet(
    csv: str | os.PathLike | pd.DataFrame,
    header: int | str | None = "infer",
    delimiter: str | None = None,
    encoding: str | None = None,
    may_be_empty: bool = False,
) -> Sheet:
    """Every cell as text, so that "007" and a label named "NA" stay what they are."""
    table = _with_index(csv) if isinstance(csv, pd.DataFrame) else read_csv_text(csv, header, delimiter, encoding)
    sheet = Sheet(table, table.attrs.get("source", "the table"))
    if not len(sheet.raw) and not may_be_empty:
        raise ValueError(f"{sheet.source} has no rows; give at least one file and its label")
    return sheet


def read_seconds(sheet: Sheet, start_col, end_col) -> dict[str, np.ndarray]:
    """The columns start and end, nan in both where a row is a whole recording."""
    if start_col is None or end_col is None:
        raise ValueError(f"start_col={start_col!r} and end_col={end_col!r}: a window needs both its start and its end")
    whole = np.array(
        [is_blank(first) and is_blank(last) for first, last in zip(sheet.cells(start_col), sheet.cells(end_col))], bool
    )
    start, end = sheet.numbers(start_col, whole), sheet.numbers(end_col, whole)
    sheet.refuse(end <= start, end_col, "is not after the start", "correct these rows")
    return {"start": start, "end": end}
