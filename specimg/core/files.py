"""Files are written atomically: a temporary name in the same folder, then `os.replace`; paths are kept inside their folder.

>>> write_atomic("notes/first.txt", b"all of it")
>>> inside("notes", "first.txt")
'first.txt'
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_TEMPORARY = ".partial-"


class OutsideError(ValueError):
    """A path that leads out of the folder it has to stay in."""


def write_atomic(path: str | os.PathLike, data: bytes) -> None:
    """Write a file atomically: readers see the old content or the new one, never a part of it. Missing folders are made.

    Parameters
    ----------
    path : str or path-like
        The file; one that exists is replaced.
    data : bytes
        Its content.

    Raises
    ------
    OSError
        The disk is full, writing is not allowed ...; what was begun is removed and the old file stays.

    Examples
    --------
    >>> write_atomic("runs/note.txt", b"done")
    >>> open("runs/note.txt").read()
    'done'
    """
    path = os.fspath(path)
    folder = os.path.dirname(path)
    # short, because a file name has at most 255 bytes and that of `path` may use them all; random, because processes
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
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def is_temporary(name: str) -> bool:
    """Whether a file name is that of a temporary file, as a killed process leaves one behind.

    Parameters
    ----------
    name : str
        A file name without its folder.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_temporary(".partial-0f3a"), is_temporary("dog.wav")
    (True, False)
    """
    return name.startswith(_TEMPORARY)


def inside(root: str | os.PathLike, path: str | os.PathLike) -> str:
    """A path relative to a folder, with forward slashes.

    Decided on the text alone: no file is opened, and a symbolic link counts as what its name says.

    Parameters
    ----------
    root : str or path-like
        The folder.
    path : str or path-like
        A path relative to `root`, or an absolute one below it.

    Returns
    -------
    str

    Raises
    ------
    OutsideError
        The path leads out of `root`, or holds a zero byte.

    Examples
    --------
    >>> inside("clips", "dog/../cat/./a.wav")
    'cat/a.wav'
    """
    root, path = os.path.abspath(os.fspath(root)), os.fspath(path)
    if "\0" in path:
        raise OutsideError(f"{path!r} holds a zero byte, which no file name may")
    relative = os.path.relpath(os.path.join(root, path), root)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or os.path.isabs(relative):
        raise OutsideError(f"{path!r} leads out of {root!r}; give names below that folder")
    return Path(relative).as_posix()
