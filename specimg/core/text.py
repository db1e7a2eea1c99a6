"""Text of messages and tables: numbers with their noun, a few examples, amounts of bytes, cells with an interval.

>>> count(2, "row"), examples(["a.wav", "b.wav", "c.wav", "d.wav"])
('2 rows', 'a.wav, b.wav, c.wav, ...')
>>> amount(645_695_005)
'645.7 MB'
>>> cell(0.8123, 0.79, 0.833)
'0.812 (0.790 to 0.833)'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["amount", "as_text", "cell", "count", "examples", "rows"]


def count(n: int, noun: str) -> str:
    """The number with its noun: 1 row, 2 rows."""
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def examples(names: Iterable, n: int = 3, mark: str = ", ") -> str:
    """The first `n` different names, `mark` between them; one that would break the line is quoted."""
    names = list(dict.fromkeys(map(str, names)))
    shown = [name if name.isprintable() else repr(name) for name in names[:n]]
    return mark.join(shown + ["..."] * (len(names) > n))


def rows(bad) -> str:
    """Where a mask is True, as "2 rows (3, 7)". The first row is 1; the header of a csv does not count."""
    found = [row for row, is_bad in enumerate(bad, start=1) if is_bad]
    return f"{count(len(found), 'row')} ({examples(found, 5)})"


def amount(size: int | None) -> str:
    if size is None:
        return "an unknown amount"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def cell(value: float, low: float, high: float, form: str = ".3f") -> str:
    """ "0.812 (0.790 to 0.833)"; without an interval the value alone; empty where there is no value."""
    interval = f" ({low:{form}} to {high:{form}})" if low == low else ""
    return f"{value:{form}}{interval}" if value == value else ""


def as_text(table: pd.DataFrame) -> str:
    """Columns of text and numbers, the first and the last to the left, the others to the right."""
    texts = [
        [name, *("" if value is None or value != value else str(value) for value in table[name])] for name in table
    ]
    last = len(texts) - 1
    columns = [
        [text.ljust(max(map(len, part))) if i in (0, last) else text.rjust(max(map(len, part))) for text in part]
        for i, part in enumerate(texts)
    ]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns))
