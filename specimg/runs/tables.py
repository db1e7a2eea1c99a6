"""Tables of scores as text.

>>> cell(0.8123, 0.79, 0.833)
'0.812 (0.790 to 0.833)'
"""

from __future__ import annotations

import pandas as pd

__all__ = ["cell", "as_text"]


def cell(value: float, low: float, high: float, form: str = ".3f") -> str:
    """"0.812 (0.790 to 0.833)"; without an interval the value alone; empty where there is no value."""
    interval = f" ({low:{form}} to {high:{form}})" if low == low else ""
    return f"{value:{form}}{interval}" if value == value else ""


def as_text(table: pd.DataFrame) -> str:
    """Columns of text and numbers, the first and the last to the left, the others to the right."""
    texts = [[name, *("" if value is None or value != value else str(value) for value in table[name])] for name in table]
    last = len(texts) - 1
    columns = [[text.ljust(max(map(len, part))) if i in (0, last) else text.rjust(max(map(len, part))) for text in part]
               for i, part in enumerate(texts)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns))
