"""A csv file or DataFrame as it came: cells as text, columns by name or position, and invalid rows named.

sheet = read_sheet("train.csv", header="infer", delimiter=",")
sheet.text("label"); sheet.numbers("start")
"""

from __future__ import annotations

import numbers
import os
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.files import OutsideError, inside
from ..core.text import row_numbers
from ..core.values import choose

__all__ = ["MANY", "Sheet", "is_blank", "read_seconds", "read_sheet"]

MANY = (list, tuple, set, frozenset, np.ndarray)  # what a cell with several labels may be
_TRUTHS = {"true": True, "yes": True, "1": True, "1.0": True, "false": False, "no": False, "0": False, "0.0": False}


def is_blank(cell: object) -> bool:
    """Whether a cell is missing or empty text."""
    return not isinstance(cell, MANY) and (pd.isna(cell) or not str(cell).strip())


def _to_numbers(cells) -> np.ndarray:
    """Floats; nan if a cell is not a number."""
    return pd.to_numeric(pd.Series(list(cells), dtype=object), errors="coerce").to_numpy(float)


def _split(cell, delimiter: str) -> list[str]:
    """The different labels of one cell, in their order; an empty cell has none."""
    if is_blank(cell):
        return []
    parts = (str(part).strip() for part in (cell if isinstance(cell, MANY) else str(cell).split(delimiter)))
    return list(dict.fromkeys(part for part in parts if part))


@dataclass(frozen=True)
class Sheet:
    """A csv file or DataFrame as it came; columns go by name or by position, as in fastai."""

    raw: pd.DataFrame
    source: str  # what messages call it

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
        as_text = dict(dtype=str, keep_default_na=False, encoding="utf-8-sig")  # utf-8-sig: with or without a mark
        try:
            sheet = Sheet(pd.read_csv(csv, header=header, sep=delimiter, index_col=False, **as_text), os.fspath(csv))
        except ValueError as exc:  # what pandas and the decoder raise are ValueErrors
            raise ValueError(f"{os.fspath(csv)} cannot be read as csv in UTF-8: {exc}") from exc
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
