"""The folder of a classifier is replaced whole: the new one is written beside it, then the two change places.

    with replacing(Path("dog-or-not")) as new:      # an empty folder
        (new / "classifier.json").write_bytes(...)
    # now it is "dog-or-not"; before, or after an error, a full disk, a kill, that was what it had been

On Linux nobody sees a moment without a classifier. Where a system cannot exchange folders, or nothing may be written beside this one (a
mounted disk, the working folder), the new folder is begun inside, and its files are moved one by one at the end, classifier.json last: a
kill within these milliseconds leaves a folder that is no classifier, and that can be saved again.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ..core.files import OutsideError, check_guards, exchange, is_temporary, link_or_copy, temporary_name
from ..core.locks import locked
from .folder import CARD, GOLDEN, SETTINGS, is_own_file

_LOCK = ".partial-lock"  # in a folder that is being written, so that nobody takes it for an abandoned one


def _is_own(name: str) -> bool:
    return name == SETTINGS or is_own_file(name) or is_temporary(name.rpartition("/")[2])


def _foreign(folder: Path) -> list[str]:
    """Names, from the folder on, of what lies in a classifier's folder and is not the classifier's; temporary ones do not count."""
    names = [name for name in os.listdir(folder) if name != GOLDEN] if folder.is_dir() else []
    golden = folder / GOLDEN
    if golden.is_dir() and not golden.is_symlink():
        names += [f"{GOLDEN}/{name}" for name in os.listdir(golden)]
    return [name for name in names if not _is_own(name)]


def _may_be_beside(folder: Path) -> bool:
    """Whether a new folder beside this one can change places with it."""
    parent = folder.parent
    if not os.access(parent, os.W_OK | os.X_OK):
        return False
    return not folder.exists() or (
        folder.stat().st_dev == parent.stat().st_dev and not os.path.samefile(folder, os.curdir)
    )


def _remove_abandoned(place: Path, folder: Path) -> None:
    """Remove what killed processes left of this classifier in `place`."""
    if os.name == "nt":  # without locks an abandoned folder looks like one that is being written
        return
    start = temporary_name(folder.name).rpartition("-")[0] + "-"
    for entry in list(os.scandir(place)):
        if entry.name.startswith(start) and entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError, OutsideError), locked(os.path.join(entry.path, _LOCK)) as free:
                if free:
                    shutil.rmtree(entry.path)


def _carry_over(folder: Path, new: Path) -> None:
    """Take what is not the classifier's from the old folder into the new one, and the old one's permissions."""
    for name in _foreign(folder):
        source, target = folder / name, new / name
        target.parent.mkdir(exist_ok=True)
        if source.is_dir() and not source.is_symlink():
            shutil.copytree(source, target, symlinks=True, copy_function=link_or_copy)
        else:
            link_or_copy(source, target)
    os.chmod(new, stat.S_IMODE(folder.stat().st_mode))


def _move_files(new: Path, folder: Path) -> None:
    """Put the files of `new` in the place of the classifier's in `folder`, classifier.json last."""
    names = [file.relative_to(new).as_posix() for file in new.rglob("*") if file.is_file() and file.name != _LOCK]
    (folder / SETTINGS).unlink(missing_ok=True)
    # a card alone would look like somebody else's, so it comes late; what the new one has no place for goes before classifier.json comes
    for name in sorted(set(names) - {SETTINGS}, key=lambda name: name == CARD):
        (folder / name).parent.mkdir(exist_ok=True)
        os.replace(new / name, folder / name)
    for prefix, place in {"": folder, f"{GOLDEN}/": folder / GOLDEN}.items():
        for name in os.listdir(place) if place.is_dir() else ():
            if is_own_file(prefix + name) and prefix + name not in names:
                (place / name).unlink()
    if (folder / GOLDEN).is_dir() and not os.listdir(folder / GOLDEN):
        (folder / GOLDEN).rmdir()
    os.replace(new / SETTINGS, folder / SETTINGS)


def _change_places(new: Path, folder: Path, beside: bool) -> None:
    if beside:
        _carry_over(folder, new)
        if exchange(new, folder):
            return
    _move_files(new, folder)


@contextlib.contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A new, empty folder that takes the place of `folder` at the end; after an error nothing has changed.

    What is not the classifier's is kept. A link that `folder` itself may be leads to the folder that is replaced.
    """
    folder = Path(os.path.realpath(folder))
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = _may_be_beside(folder)
    place = folder.parent if beside else folder
    _remove_abandoned(place, folder)
    new = place / temporary_name(folder.name)
    new.mkdir()
    try:
        with locked(new / _LOCK):
            yield new
            check_guards(folder)
            if not folder.exists():
                os.rename(new, folder)
            else:
                _change_places(new, folder, beside)
            (folder / _LOCK).unlink(missing_ok=True)
    finally:
        shutil.rmtree(new, ignore_errors=True)  # the old folder, or what was begun
