"""What people see while they wait: amounts of bytes in words, and a bar where somebody watches.

>>> amount(645_695_005)
'645.7 MB'
"""

from __future__ import annotations

import sys

__all__ = ["amount", "progress_bar"]


def amount(size: int | None) -> str:
    if size is None:
        return "an unknown amount"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def progress_bar(what: str, total: int | None, wanted: bool, initial: int = 0):
    """A tqdm bar of bytes on terminals and in notebooks; nothing in a log."""
    from tqdm import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(desc=what, total=total, initial=initial, unit="B", unit_scale=True, disable=not (wanted and watched))
