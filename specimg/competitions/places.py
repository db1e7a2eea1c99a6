"""Where a competition lies: below a folder that was named, or wherever Kaggle mounts it.

Kaggle has mounted data at `/kaggle/input/<slug>`, at `/kaggle/input/competitions/<slug>` and at
`/kaggle/input/datasets/<owner>/<slug>`. A folder is recognised by its marks, files and folders that the layout has in it, and
may lie one or two folders below the one that was named, as archives often unpack.

    find_place("freesound-audio-tagging", "downloads", [("train.csv", "audio_train")])    # downloads/freesound, if that has both
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..core.text import examples

__all__ = ["find_place", "has_marks"]

KAGGLE_INPUT = Path("/kaggle/input")
DEPTH = 2  # folders below the one named
_CROWD = 1000  # folders at one depth: more are recordings by class, and nothing is looked for below them

Marks = Sequence[tuple[str, ...]]  # alternatives: the names that are in the folder


def has_marks(folder: Path, marks: Marks) -> bool:
    """Does the folder hold everything that one of the alternatives names?"""
    return any(
        all(os.path.exists(folder / name) for name in names) for names in marks
    )  # Path.exists raises where it may not look


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:  # a link to itself
        return False


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, by name; none where it is not there or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries if _is_folder(entry))]
    except OSError:
        return []


def _levels(folder: Path, depth: int) -> Iterator[list[Path]]:
    """The folder itself, then those in it, then those in these, down to `depth`."""
    level = [folder]
    yield level
    for _ in range(depth):
        if len(level) > _CROWD:
            return
        level = [below for above in level for below in _folders(above)]
        yield level


def _mounts(slug: str) -> list[Path]:
    """Where Kaggle may have mounted a competition or a data set of that name, the likeliest first."""
    owners = _folders(KAGGLE_INPUT / "datasets")
    return [KAGGLE_INPUT / slug, KAGGLE_INPUT / "competitions" / slug, *(owner / slug for owner in owners)]


def _search(start: Path, depth: int, marks: Marks, slug: str, others: Collection[str] = ()) -> Path | None:
    """The uppermost folder with the marks, not in a folder named like one of the `others`; ValueError where it is one of several."""
    for level in _levels(start, depth):
        found = [
            place
            for place in level
            if has_marks(place, marks) and not set(place.relative_to(start).parts) & set(others)
        ]
        if len(set(map(os.path.realpath, found))) > 1:  # two names of one folder are one place
            raise ValueError(
                f"{len(found)} folders below {str(start)!r} look like {slug} ({examples(found)}); give the one that is meant"
            )
        if found:
            return found[0]
    return None


def find_place(
    slug: str, folder: str | os.PathLike | None, marks: Marks, hint: str = "", others: Collection[str] = ()
) -> Path:
    """The folder of a competition: `folder` or one close below it; with None, where Kaggle mounts it, or `slug` in the working folder.

    Parameters
    ----------
    marks : alternatives; each the names of what lies in the folder
    hint : a further way out, for the message
    others : competitions that may have the same marks: no folder with such a name is taken, unless it was asked for

    Raises ValueError, with what was looked for and where, if there is none, or if there are several.
    """
    starts = [Path(folder)] if folder is not None else [*_mounts(slug), Path(slug)]
    places = (_search(start, DEPTH, marks, slug) for start in starts)
    place = next(filter(None, places), None)
    if place is None and folder is None:  # mounted under another name
        place = _search(KAGGLE_INPUT, DEPTH + 2, marks, slug, set(others) - {slug})
    if place is not None:
        return place
    wanted = " or ".join(" and ".join(map(repr, names)) for names in marks)
    if folder is not None and not os.path.isdir(folder):
        raise ValueError(
            f"{os.fspath(folder)!r} is not a folder; give the one that {slug} was unpacked to, with {wanted} in it{hint}"
        )
    where = repr(os.fspath(folder)) if folder is not None else f"{str(KAGGLE_INPUT)!r} or {slug!r}"
    raise ValueError(
        f"no {slug} in {where}: a folder with {wanted} was looked for; give the folder that it was unpacked to{hint}"
    )
