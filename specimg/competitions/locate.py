"""Find the folder of a competition: below a given folder, or wherever Kaggle mounts it.

Kaggle has mounted data at `/kaggle/input/<slug>`, at `/kaggle/input/competitions/<slug>` and at
`/kaggle/input/datasets/<owner>/<slug>`. A folder is recognised by its marks, names of files and folders that the layout has in it,
and may be one or two folders below the given one, as archives often unpack.

    find_folder("freesound-audio-tagging", "downloads", [("train.csv", "audio_train")])    # downloads/freesound, if that has both
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ..core.text import examples

KAGGLE_INPUT = Path("/kaggle/input")
DEPTH = 2  # folders below the one named
_CROWD = 1000  # folders at one depth: more are recordings by class, which are not searched

Marks = Sequence[tuple[str, ...]]  # alternatives: the names that are in the folder


def has_marks(folder: Path, marks: Marks) -> bool:
    """Whether a folder holds everything that one of the alternatives names."""
    # Path.exists raises if access is denied
    return any(all(os.path.exists(folder / name) for name in names) for names in marks)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir() and not entry.name.startswith(".")
    except OSError:  # a link to itself
        return False


def _folders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; none if it does not exist or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [folder / name for name in sorted(entry.name for entry in entries if _is_folder(entry))]
    except OSError:
        return []


def _levels(folder: Path, depth: int) -> Iterator[list[Path]]:
    """The folder itself, then those in it, and so on down to `depth`."""
    level = [folder]
    yield level
    for _ in range(depth):
        if len(level) > _CROWD:
            return
        level = [below for above in level for below in _folders(above)]
        yield level


def _mounts(slug: str) -> list[Path]:
    """Where Kaggle may have mounted a competition or a data set, the likeliest first."""
    owners = _folders(KAGGLE_INPUT / "datasets")
    return [KAGGLE_INPUT / slug, KAGGLE_INPUT / "competitions" / slug, *(owner / slug for owner in owners)]


def _search(start: Path, depth: int, marks: Marks, slug: str, others: Collection[str] = ()) -> Path | None:
    """The uppermost folder with the marks that is not in a folder named like one of the `others`; ValueError if there are several."""
    for level in _levels(start, depth):
        found = [
            folder
            for folder in level
            if has_marks(folder, marks) and not set(folder.relative_to(start).parts) & set(others)
        ]
        if len(set(map(os.path.realpath, found))) > 1:  # two names of one folder are the same
            raise ValueError(
                f"{len(found)} folders below {str(start)!r} look like {slug} ({examples(found)}); give the one that is meant"
            )
        if found:
            return found[0]
    return None


def find_folder(
    slug: str, folder: str | os.PathLike | None, marks: Marks, hint: str = "", others: Collection[str] = ()
) -> Path:
    """The folder of a competition.

    Parameters
    ----------
    slug : str
        The competition's name.
    folder : str or path-like or None
        The folder itself or one above it; None searches where Kaggle mounts it, then `slug` in the working directory.
    marks : sequence of tuple of str
        Alternatives, each the names of what is in the folder.
    hint : str, default ""
        A further way out, for the message.
    others : collection of str
        Competitions that may have the same marks: a folder with such a name is only used if it was given.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        There is no such folder, or there are several; the message says what was searched for and where.
    """
    starts = [Path(folder)] if folder is not None else [*_mounts(slug), Path(slug)]
    found = (_search(start, DEPTH, marks, slug) for start in starts)
    home = next(filter(None, found), None)
    if home is None and folder is None:  # mounted under another name
        home = _search(KAGGLE_INPUT, DEPTH + 2, marks, slug, set(others) - {slug})
    if home is not None:
        return home
    wanted = " or ".join(" and ".join(map(repr, names)) for names in marks)
    if folder is not None and not os.path.isdir(folder):
        raise ValueError(
            f"{os.fspath(folder)!r} is not a folder; give the one that {slug} was unpacked to, with {wanted} in it{hint}"
        )
    where = repr(os.fspath(folder)) if folder is not None else f"{str(KAGGLE_INPUT)!r} or {slug!r}"
    raise ValueError(
        f"no {slug} in {where}: searched for a folder with {wanted}; give the folder that it was unpacked to{hint}"
    )
