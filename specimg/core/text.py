"""Text of messages and tables: numbers with their noun, a few examples, amounts of bytes, a value with its interval.

>>> count(2, "row"), examples(["a.wav", "b.wav", "c.wav", "d.wav"])
('2 rows', 'a.wav, b.wav, c.wav, ...')
>>> amount(645_695_005)
'645.7 MB'
>>> cell(0.8123, 0.79, 0.833)
'0.812 (0.790 to 0.833)'
>>> printable("dog\\x1b[2J.wav")
'dog\\\\x1b[2J.wav'
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


# what a terminal or another program may obey: control characters, separators of lines, marks that turn the direction of text, halves of pairs
_IN_CELLS = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069"
_CONTROLS, _CONTROLS_IN_CELLS = re.compile(f"[{_IN_CELLS}\ud800-\udfff]"), re.compile(f"[{_IN_CELLS}]")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would run


def printable(text: object, keep: str = "") -> str:
    """Text that moves no cursor and starts no line of its own: control characters as their escapes, but those in `keep`.

    >>> printable("one\\ntwo\\x07"), printable("one\\ntwo\\x07", keep="\\n")
    ('one\\\\ntwo\\\\x07', 'one\\ntwo\\\\x07')
    """
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else _escape(found), str(text))


def _escape(found: re.Match) -> str:
    return repr(found[0])[1:-1]


def printable_cells(table: pd.DataFrame, *, quote_formulas: bool = False) -> pd.DataFrame:
    """The table with control characters in cells and names of columns as their escapes; only text is changed.

    The names of files that are not UTF-8 keep their bytes where the table is written with surrogateescape.

    quote_formulas : with an apostrophe before text that a spreadsheet would run as a formula

    >>> printable_cells(pd.DataFrame({"path": ["=1+1", "a\\x1b"]}), quote_formulas=True)["path"].tolist()
    ["'=1+1", 'a\\\\x1b']
    """

    def plain(cell: object) -> object:
        if not isinstance(cell, str):
            return cell
        apostrophe = "'" if quote_formulas and cell.startswith(_FORMULA) else ""
        return apostrophe + _CONTROLS_IN_CELLS.sub(_escape, cell)

    names = {name: plain(name) for name in table.columns}
    return table.rename(columns=names).assign(
        **{new: table[name].map(plain) for name, new in names.items() if table[name].dtype.kind not in "biuf"}
    )


def count(n: int, noun: str) -> str:
    """A number with its noun, in the singular or the plural.

    >>> count(1, "row"), count(2, "row")
    ('1 row', '2 rows')
    """
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def examples(names: Iterable, n: int = 3, mark: str = ", ") -> str:
    """The first `n` different names, separated by `mark`; a name that is not printable is quoted.

    >>> examples(["b", "b", "a\\n", "c", "d"])
    "b, 'a\\\\n', c, ..."
    """
    names = list(dict.fromkeys(map(str, names)))
    shown = [name if name.isprintable() else repr(name) for name in names[:n]]
    return mark.join(shown + ["..."] * (len(names) > n))


def row_numbers(mask: Iterable) -> str:
    """The rows where a mask is True. The first row is 1; the header of a csv file does not count.

    >>> row_numbers([False, False, True, False, True])
    '2 rows (3, 5)'
    """
    found = [row for row, is_found in enumerate(mask, start=1) if is_found]
    return f"{count(len(found), 'row')} ({examples(found, 5)})"


def amount(size: int | None) -> str:
    """A size in bytes with its unit; None is "an unknown amount".

    >>> amount(999), amount(48_000)
    ('999 bytes', '48.0 kB')
    """
    if size is None:
        return "an unknown amount"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def cell(value: float, low: float, high: float, form: str = ".3f") -> str:
    """A cell of a table: a value with its interval; without the interval if `low` is nan, empty if the value is nan.

    >>> cell(0.8123, 0.79, 0.833)
    '0.812 (0.790 to 0.833)'
    """
    interval = f" ({low:{form}} to {high:{form}})" if low == low else ""
    return f"{value:{form}}{interval}" if value == value else ""


def align_columns(table: pd.DataFrame) -> str:
    """A table as lines of text: the first and the last column aligned to the left, the others to the right.

    >>> print(align_columns(pd.DataFrame({"run": ["a", "long"], "epochs": [5, 10], "note": ["", "best"]})))
    run   epochs  note
    a          5
    long      10  best
    """
    texts = [
        [name, *("" if value is None or value != value else str(value) for value in table[name])] for name in table
    ]
    last = len(texts) - 1
    columns = [
        [text.ljust(max(map(len, part))) if i in (0, last) else text.rjust(max(map(len, part))) for text in part]
        for i, part in enumerate(texts)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns))
