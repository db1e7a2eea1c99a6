"""Which sounds a page embeds, and how it links the others.

>>> from specimg.reports.sound import embed_first, link_to
>>> embed_first([40_000, 30_000, 90_000, 9_000], budget=80_000)
[True, True, False, True]
>>> link_to("/data/dog.wav", "/data/pages", 1.0, 3.5)
'../dog.wav#t=1.000,3.500'
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

HEAD = 1000  # bytes of headers, about
BASE64 = 4 / 3  # characters per byte


def sound_bytes(seconds: float, kbits: float) -> int:
    """Estimated bytes of a sound in the page."""
    return round((HEAD + seconds * kbits * 125) * BASE64)


def embed_first(sizes: Sequence[float], budget: float) -> list[bool]:
    """Which parts of these sizes fit into the budget, taken in order; one that does not fit leaves room for smaller ones."""
    taken = []
    for size in sizes:
        taken.append(size <= budget)
        budget -= size if taken[-1] else 0
    return taken


def link_to(
    file: str | os.PathLike, folder: str | os.PathLike, start: float | None = None, end: float | None = None
) -> str:
    """The URL of `file` from a page in `folder`, relative where both are on one drive; `start` and `end` seconds as media fragment."""
    file, folder = os.path.abspath(os.fspath(file)), os.path.abspath(os.fspath(folder))
    try:
        address = quote(os.fsencode(Path(os.path.relpath(file, folder)).as_posix()))
    except ValueError:  # another drive of Windows
        address = Path(file).as_uri()
    times = "" if start is None and end is None else f"#t={start or 0:.3f}" + ("" if end is None else f",{end:.3f}")
    return address + times
