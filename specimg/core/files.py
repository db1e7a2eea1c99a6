"""Files appear whole or not at all: a temporary name in the same folder, then `os.replace`.

>>> from specimg.core.files import write_whole
>>> write_whole(tmp_path / "note.txt", b"all of it")      # doctest: +SKIP
"""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["write_whole", "inside", "is_leftover", "OutsideError"]

_TEMPORARY = ".partial-"


class OutsideError(ValueError):
    """A path that leads out of the folder it has to stay in."""


def write_whole(path: str | os.PathLike, data: bytes) -> None:
    """Write `data` to `path`, so that nobody ever sees half of it. Missing folders are made.

    Raises OSError (disk full, not allowed ...) after removing what was begun; what stood at `path` before stays.
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    # short, because a file name has at most 255 bytes and that of `path` may use them all; a matter of chance, because processes
    # on two machines that share the folder may have the same number
    temporary = os.path.join(folder, f"{_TEMPORARY}{os.urandom(8).hex()}")
    try:
        try:
            file = open(temporary, "wb")
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(temporary, "wb")
        with file:
            file.write(data)
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def is_leftover(name: str) -> bool:
    """Is this the name of a temporary file that a killed process left behind?"""
    return name.startswith(_TEMPORARY)


def inside(root: str | os.PathLike, path: str | os.PathLike) -> str:
    """`path` relative to `root`, with forward slashes; OutsideError where it leads out of `root`.

    Decided on the text alone: no file is looked at, and a symbolic link counts as what its name says.
    """
    root, path = os.path.abspath(os.fspath(root)), os.fspath(path)
    if "\0" in path:
        raise OutsideError(f"{path!r} holds a zero byte, which no file name may")
    relative = os.path.relpath(os.path.join(root, path), root)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or os.path.isabs(relative):
        raise OutsideError(f"{path!r} leads out of {root!r}; give names below that folder")
    return Path(relative).as_posix()
