"""What there is to draw, and what of it has to be drawn: decisions only; nothing but names and times is read.

A source (a folder, a list of files, a table of segments) becomes a list of `Job`s, one a picture, and one more for each variant;
`render_action` then decides whether a picture is new, up to date, or has to be drawn again.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from ..audio.find import walk_audio, warn_passed_over
from ..core.addresses import Address, as_address, below_address, is_address, stats_stored
from ..core.files import OutsideError, inside
from .manifest import HAS_PICTURE, UNREADABLE, Row

if TYPE_CHECKING:
    import pandas as pd

MAX_INTEGER = 2**63 - 1  # that SQLite stores; ns beyond it are the year 2262


class Job(NamedTuple):
    """A picture to draw, and the state of its recording when the decision was made; the first fields of a `Row`."""

    path: str
    start: float | None
    end: float | None
    variant: str
    picture: str
    size: int | None
    mtime: int | None


def stat_of(path_or_entry: str | os.PathLike | os.DirEntry) -> tuple[int | None, int | None]:
    """(bytes, modification time in ns) of a file, or of an object that a store has listed; Nones where there is none."""
    try:
        stat = path_or_entry.stat() if hasattr(path_or_entry, "stat") else os.stat(path_or_entry)
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return None, None
    return stat.st_size, min(stat.st_mtime_ns, MAX_INTEGER)


def _stats_of(root: str, names: Iterable[str]) -> dict[str, tuple[int | None, int | None]]:
    """`stat_of` each of these names below a folder or an address."""
    if isinstance(root, Address):
        return stats_stored(root, names)
    return {name: stat_of(os.path.join(root, name)) for name in dict.fromkeys(names)}


def _seconds(value: float | None) -> float | None:
    """A cell of a segment table: None and NaN are None."""
    return None if value is None or value != value else float(value)


def _picture_name(path: str, start: float | None, end: float | None) -> str:
    """ "a.wav" -> "a.wav.png"; a segment adds its times, to the microsecond."""
    if start is None and end is None:
        return path + ".png"
    begin, stop = (f"{s:.6f}".rstrip("0").rstrip(".") if s is not None else "" for s in (start or 0.0, end))
    return f"{path}@{begin}-{stop}.png"


def variant_jobs(jobs: list[Job], names: Iterable[str]) -> list[Job]:
    """The jobs, and behind them each once more for every variant: "a.wav.png", "a.wav@stretch-0.8.png"."""
    return jobs + [
        job._replace(variant=name, picture=f"{job.picture.removesuffix('.png')}@{name}.png")
        for name in names
        for job in jobs
    ]


def name_below(root: str, file: str) -> str:
    """A file given absolutely, relative to `root`, or (where it exists so) relative to the working folder, as a name below `root`."""
    if is_address(root):
        return below_address(as_address(root), file)
    if not os.path.isabs(file) and not os.path.lexists(os.path.join(root, file)) and os.path.lexists(file):
        file = os.path.abspath(file)
    try:
        return inside(root, file)
    except OutsideError:
        folder, name = os.path.split(file)
        if not os.path.isabs(file) or "\0" in file:
            raise
        # the root is resolved too, so that the two compare
        return inside(root, os.path.join(os.path.realpath(folder), name))


def jobs_of_files(source: str | os.PathLike | Iterable[str], root: str) -> list[Job]:
    """One job for each recording below a folder, or of a list of names below `root`."""
    if isinstance(source, (str, os.PathLike)):
        others: list[str] = []
        found = [(name, stat_of(entry)) for name, entry in walk_audio(source, others)]
        warn_passed_over(source, others)
    else:
        found = list(_stats_of(root, source).items())
    return [Job(name, None, None, "", _picture_name(name, None, None), *stat) for name, stat in found]


def jobs_of_segments(table: pd.DataFrame | Iterable[dict], root: str) -> list[Job]:
    """One job for each row `path, start, end` of a DataFrame or a list of dictionaries."""
    rows = table.to_dict("records") if hasattr(table, "to_dict") else list(table)
    missing = [c for c in ("path", "start", "end") if any(c not in row for row in rows)]
    if missing:
        raise ValueError(f"segments lack the columns {', '.join(missing)}; they need path, start and end (seconds)")
    names = [name_below(root, os.fspath(row["path"])) for row in rows]
    stats, jobs = _stats_of(root, names), {}
    for name, row in zip(names, rows):
        start, end = _seconds(row["start"]), _seconds(row["end"])
        if not 0 <= (start or 0) < (math.inf if end is None else end) or end == math.inf:
            raise ValueError(f"segment of {name!r} from {start} s to {end} s; start is 0 or later, and end after start")
        picture = _picture_name(name, start, end)
        jobs[picture] = Job(name, start, end, "", picture, *stats[name])
    return list(jobs.values())


def _common_address(files: list[str]) -> Address:
    """What all these addresses lie below. ValueError if they are in several stores, or some of them are on a disk."""
    folders = [as_address(file).rpartition("/")[0].split("/") for file in files]
    common = os.path.commonprefix(folders)
    if len(common) < 3 or not common[2]:  # "s3:", "", "bucket"
        raise ValueError(
            f"{files[0]!r} and others of the list have no bucket in common; draw each bucket by a call of its own"
        )
    return as_address("/".join(common))


def resolve_source(source: str | os.PathLike | Iterable, root: str | os.PathLike | None) -> tuple[str, str | list[str]]:
    """(root folder, the folder itself or names below the root). ValueError for a missing folder, OutsideError for an escape.

    Where recordings lie in a store, the root is its `Address`.
    """
    if isinstance(source, (str, os.PathLike)):
        if not is_address(source) and not os.path.isdir(source):
            raise ValueError(
                f"{os.fspath(source)!r} is not a folder; give the folder that holds the recordings, or a list of files: [...]"
            )
        if root is not None:
            raise ValueError(
                f"root={os.fspath(root)!r} goes with a list of files; names in a folder are below that folder"
            )
        root = as_address(source) if is_address(source) else os.path.realpath(source)
        return root, root
    files = [os.fspath(file) for file in source]
    if not files:
        raise ValueError("the list of files is empty; there is nothing to draw")
    if is_address(root) or (root is None and is_address(files[0])):
        root = as_address(root) if root is not None else _common_address(files)
        return root, [below_address(root, file) for file in files]
    if root is None:
        files = [os.path.abspath(file) for file in files]
        root = os.path.commonpath([os.path.dirname(file) for file in files])
    root = os.path.realpath(root)
    if not os.path.isdir(root):
        raise ValueError(f"root {root!r} is not a folder; give the folder that all the files are in")
    return root, [name_below(root, file) for file in files]


def render_action(row: Row | None, stat: tuple[int | None, int | None], has_picture: bool) -> str:
    """What to do about a picture.

    Parameters
    ----------
    row : Row, optional
        Its row in the manifest, or None.
    stat : tuple of (int or None, int or None)
        Size (bytes) and modification time (ns) of the recording now.
    has_picture : bool
        Whether the file of the picture is in the tree.

    Returns
    -------
    str
        "draw" (new), "keep" or "redraw" (the recording changed, was unreadable, or its picture is gone).

    Examples
    --------
    >>> from specimg.render import render_action
    >>> render_action(None, (2044, 1700000000), has_picture=False)
    'draw'
    """
    if row is None:
        return "draw"
    if (row.size, row.mtime) != tuple(stat) or row.status == UNREADABLE:
        return "redraw"
    if row.status in HAS_PICTURE and not has_picture:
        return "redraw"
    return "keep"
