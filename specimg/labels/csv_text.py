"""A csv file becomes a DataFrame of text: commas, semicolons or tabs, UTF-8 or UTF-16; what cannot be told is refused with the argument to give.

    read_csv_text("train.csv")                          # every cell as it stands: "007" stays "007", "NA" is a label
    read_csv_text("excel.csv", encoding="cp1252")       # of Excel on Windows; no bytes are guessed to be letters

`attrs` of the table say what messages call it ("source"), and "decimal" is "," where semicolons leave the comma to numbers.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import itertools
import lzma
import os
from collections.abc import Iterator
from typing import Literal

import pandas as pd

from ..core.addresses import as_address, is_address, read_stored
from ..core.text import count, examples

DELIMITERS = (",", ";", "\t", "|")  # in the order in which they are tried
HEAD = 1 << 16  # characters that the delimiter is looked for in
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_ENCODINGS = "'cp1252' for what Excel on Windows writes, 'utf-16-le', 'latin-1' ..."


def _decoded(path: str, encoding: str | None) -> str:
    """The text of a file; its mark decides where no encoding is given, else it is UTF-8."""
    opener = _OPENERS.get(os.path.splitext(path)[1].lower(), open)
    if is_address(path):
        stored = io.BytesIO(read_stored(as_address(path)))
        file = stored if opener is open else opener(stored, "rb")
    else:
        file = opener(path, "rb")
    with file:
        data = file.read()
    marked = next((name for mark, name in _MARKS.items() if data.startswith(mark)), "utf-8")
    if b"\0" in data[:HEAD] and encoding is None and marked != "utf-16":
        raise ValueError(f"{path} holds zero bytes: it may be UTF-16 without a mark; give encoding='utf-16-le'")
    try:
        text = data.decode(encoding or marked).removeprefix("\ufeff")
    except LookupError:
        raise ValueError(f"unknown encoding {encoding!r}; give encoding={_ENCODINGS}")
    except UnicodeDecodeError as exc:
        name = encoding or marked.upper().removesuffix("-SIG")
        raise ValueError(f"{path} cannot be read as csv in {name}: {exc}; give encoding={_ENCODINGS}") from exc
    return text


def _rows(text: str, delimiter: str) -> Iterator[list[str]]:
    """The cells of each line that is not blank."""
    return filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def _filled(row: list[str]) -> int:
    """How many cells there are up to the last that is not empty."""
    return max((i for i, cell in enumerate(row, start=1) if cell.strip()), default=0)


def _divides(text: str, delimiter: str) -> str:
    """ "no", "some" where only the first line is sure to have several cells, "all" where every line has as many as that."""
    try:
        rows = list(_rows(text, delimiter))
    except csv.Error:  # a cell without an end
        return "no"
    width = len(rows[0]) if rows else 0
    if width < 2:
        return "no"
    return "all" if all(_filled(row) <= width <= len(row) for row in rows) else "some"


def _delimiter_of(text: str) -> str:
    """The first of `DELIMITERS` that divides all lines alike, else the first that divides the first line, else a comma."""
    head = text if len(text) <= HEAD else text[: text.rfind("\n", 0, HEAD) + 1]
    found = {delimiter: _divides(head, delimiter) for delimiter in DELIMITERS}
    return next((delimiter for word in ("all", "some") for delimiter in DELIMITERS if found[delimiter] == word), ",")


def _width(path: str, text: str, delimiter: str, first: int) -> int | None:
    """How many cells the header has, or the first row where `first`, the row of data, is 0; None if the cells cannot be told apart.

    ValueError that names rows with more cells, all but empty ones at their ends.
    """
    rows = _rows(text, delimiter)
    try:
        header = next(itertools.islice(rows, max(first - 1, 0), None), [])
        numbered = enumerate(rows, start=1 if first else 2)
        long = [(number, row) for number, row in numbered if _filled(row) > len(header)]
    except csv.Error:  # pandas says which row has no end
        return None
    if long:
        number, row = long[0]
        raise ValueError(
            f"{path}: {count(len(long), 'row')} ({examples([i for i, _ in long], 5)}) with more cells than the "
            f"{'header' if first else 'first row'}, which has {len(header)}: row {number} is {row}; "
            f"put cells that hold {delimiter!r} into quotes, or give delimiter="
        )
    return len(header)


def exact_numbers(cells: pd.Series, errors: Literal["raise", "coerce"] = "raise") -> pd.Series:
    """`pd.to_numeric`, with every digit: pandas 2 reads floats from text less exactly than `float` does."""
    found = pd.to_numeric(cells, errors=errors)
    if found.dtype.kind == "f":
        known = found.notna()
        found = found.where(~known, cells[known].astype(float))
    return found


def read_csv_text(
    path: str | os.PathLike,
    header: int | str | None = "infer",
    delimiter: str | None = None,
    encoding: str | None = None,
) -> pd.DataFrame:
    """Read a csv file as text, cell for cell.

    Parameters
    ----------
    path : str or path-like
        The file; one that ends in .gz, .bz2 or .xz is unpacked.
    header : int, "infer" or None, default "infer"
        The line of the names, from 0; "infer" is the first; None if there are no names.
    delimiter : str, optional
        What separates cells; default a comma, semicolon, tab or bar, whichever divides all lines alike.
    encoding : str, optional
        Default that of the mark at the file's beginning (UTF-8, UTF-16), else UTF-8.

    Returns
    -------
    DataFrame
        Of text; nan where a row is shorter than the header.

    Raises
    ------
    ValueError
        The file is not text in this encoding, or rows are longer than the header; the message names the argument to give.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> from specimg.labels.csv_text import read_csv_text
    >>> with open("birds.csv", "w", encoding="utf-16") as file:
    ...     _ = file.write("file;label 007.wav;owl".replace(" ", chr(10)))
    >>> read_csv_text("birds.csv").to_dict("list")
    {'file': ['007.wav'], 'label': ['owl']}
    """
    path = os.fspath(path)
    text = _decoded(path, encoding)
    delimiter = _delimiter_of(text) if delimiter is None else delimiter
    first = 0 if header is None else 1 if header == "infer" else int(header) + 1
    is_pattern = len(delimiter) > 1  # a regular expression, as pandas takes it
    width = None if is_pattern else _width(path, text, delimiter, first)
    try:
        table = pd.read_csv(
            io.StringIO(text, newline=""),
            header=header,
            sep=delimiter,
            index_col=False,
            usecols=range(width) if width else None,  # empty cells may follow
            dtype=str,
            keep_default_na=False,
            engine="python" if is_pattern else "c",
        )
    except ValueError as exc:  # what pandas raises are ValueErrors
        raise ValueError(f"{path} cannot be read as csv in {encoding or 'UTF-8'}: {exc}") from exc
    table.attrs.update(source=path, decimal="," if delimiter == ";" else ".")
    return table
