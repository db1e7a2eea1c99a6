"""Files are written atomically: a temporary name in the same folder, then `os.replace`; paths are kept inside their folder.

`inside` decides on the text of a path; `unlinked` and `refuse_links` look at the disk, where a link could lead out of a folder that came
from elsewhere. `files_below` lists such a folder, and `remove` passes no link. Folders that processes share are locked by `core.locks`, which
guards them: nothing is replaced or removed there by a process whose lock was taken over.

>>> write_atomic("notes/first.txt", b"all of it")
>>> inside("notes", "first.txt")
'first.txt'
>>> remove("notes", "first.txt")
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

_TEMPORARY = ".partial-"
_NO_NAMES = frozenset({"", os.curdir, os.pardir})  # parts of a path that name no file


guards: list[Callable[[str], None]] = []  # asked before a path is replaced or removed


class OutsideError(ValueError):
    """A path that leads out of the folder it has to stay in."""


def temporary_name(of: str = "", mark: str = "") -> str:
    """A name for a temporary file or folder, which begins with those of `of`: a new one, or the same for the same `mark`.

    >>> is_temporary(temporary_name("classifier"))
    True
    """
    return f"{_TEMPORARY}{of[:100]}{'-' * bool(of)}{mark or os.urandom(8).hex()}"


def check_guards(path: str | os.PathLike) -> None:
    """Ask every guard about a path that is about to change; one that objects raises its error."""
    for guard in tuple(guards):
        guard(os.fspath(path))


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
    TakenOverError
        The path is below a folder that this process had locked, and another one has taken over; the file stays as it is.

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
    temporary = os.path.join(folder, temporary_name())
    try:
        try:
            file = open(temporary, "wb")
        except FileNotFoundError:
            os.makedirs(folder, exist_ok=True)
            file = open(temporary, "wb")
        with file:
            file.write(data)
        check_guards(path)
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


def _is_plain(path: str) -> bool:
    """Whether a path is what `inside` would make of it, on systems where only "/" separates names."""
    return os.sep == "/" and "\0" not in path and _NO_NAMES.isdisjoint(path.split("/"))


def all_plain(paths: Iterable[str]) -> bool:
    """Whether `inside` would give each of these paths back as it is; quick, and where it is False some may still be plain.

    Parameters
    ----------
    paths : iterable of str
        Relative paths.

    Returns
    -------
    bool

    Examples
    --------
    >>> all_plain(["dog/a.wav", "cat/b.wav"]), all_plain(["dog/a.wav", "../b.wav"])
    (True, False)
    """
    text = f"/{'/'.join(paths)}/"  # a part that names no file stands between two slashes, wherever one path ends
    return os.sep == "/" and not any(part in text for part in ("//", "/./", "/../", "\0"))


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
    path = os.fspath(path)
    if _is_plain(path):  # most are, and trees check a hundred thousand
        return path
    root = os.path.abspath(os.fspath(root))
    if "\0" in path:
        raise OutsideError(f"{path!r} holds a zero byte, which no file name may")
    relative = os.path.relpath(os.path.join(root, path), root)
    if relative == os.pardir or relative.startswith(os.pardir + os.sep) or os.path.isabs(relative):
        raise OutsideError(f"{path!r} leads out of {root!r}; give names below that folder")
    return Path(relative).as_posix()


# ---------------------------------------------------------------------- links


def unlinked(root: str | os.PathLike, path: str | os.PathLike) -> Path:
    """A path in a folder, if no part of it below the folder is a link: what is read, written or removed there lies in the folder.

    Parameters
    ----------
    root : str or path-like
        The folder; it may be a link itself, for the caller has named it.
    path : str or path-like
        A path relative to `root`; what it names need not exist.

    Returns
    -------
    Path

    Raises
    ------
    OutsideError
        A part of it is a link, or it leads out of `root`.

    Examples
    --------
    >>> unlinked("clips", "dog/a.wav").as_posix()
    'clips/dog/a.wav'
    """
    whole = Path(root)
    for part in Path(inside(root, path)).parts:
        whole /= part
        if os.path.islink(whole):
            raise OutsideError(_told_link(whole, root))
    return whole


def _told_link(link: str | os.PathLike, root: str | os.PathLike) -> str:
    return (
        f"{os.fspath(link)!r} is a link, and could lead out of {os.fspath(root)!r}; remove it, or put in its place what it "
        "leads to (cp -rL copies a folder so)"
    )


def files_below(root: str | os.PathLike) -> Iterator[tuple[str, os.DirEntry]]:
    """Everything below a folder that is not itself a folder.

    Parameters
    ----------
    root : str or path-like
        The folder; it need not exist, and may be a link itself.

    Yields
    ------
    name : str
        Path below `root`, with forward slashes.
    entry : os.DirEntry
        Its entry.

    Raises
    ------
    OutsideError
        Something below it is a link.

    Examples
    --------
    >>> sorted(name for name, _ in files_below("clips/dog"))[:2]
    ['dog0.wav', 'dog1.wav']
    """
    left = [(os.fspath(root), "")] if os.path.isdir(root) else []
    while left:  # a stranger's folders may be nested more deeply than Python recurses
        folder, prefix = left.pop()
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:  # deleted meanwhile
            for entry in entries:
                if entry.is_symlink():
                    raise OutsideError(_told_link(entry, root))
                if entry.is_dir(follow_symlinks=False):
                    left.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    yield prefix + entry.name, entry


def refuse_links(root: str | os.PathLike) -> None:
    """Check that a folder holds no links, in its folders neither.

    Parameters
    ----------
    root : str or path-like
        The folder; it need not exist.

    Raises
    ------
    OutsideError
        It holds one; the message names it.

    Examples
    --------
    >>> refuse_links("clips")
    """
    for _ in files_below(root):
        pass


def remove(root: str | os.PathLike, path: str | os.PathLike) -> None:
    """Remove a file or a folder below another folder, without passing a link on the way to it or in it.

    Parameters
    ----------
    root : str or path-like
        The folder that it lies in.
    path : str or path-like
        A path relative to `root`. Nothing happens if it does not exist; a link there is removed itself.

    Raises
    ------
    OutsideError
        A folder on the way to it is a link, or it leads out of `root`.

    Examples
    --------
    >>> write_atomic("run/fit/last.pth", b"weights")
    >>> remove("run", "fit")
    """
    relative = Path(inside(root, path))
    if relative == Path():
        raise OutsideError(f"{os.fspath(path)!r} is the whole of {os.fspath(root)!r}; name what to remove in it")
    whole = unlinked(root, relative.parent) / relative.name
    check_guards(whole)
    if whole.is_dir() and not whole.is_symlink():
        shutil.rmtree(whole)
    elif os.path.lexists(whole):
        whole.unlink()


def link_or_copy(source: str | os.PathLike, target: str | os.PathLike) -> None:
    """Give a file a second name, or where the disk has no hard links, or it is another one, copy it; a link stays a link.

    >>> link_or_copy("dog.wav", "same.wav")
    >>> open("same.wav", "rb").read() == open("dog.wav", "rb").read()
    True
    """
    try:
        os.link(source, target, follow_symlinks=False)
    except (OSError, NotImplementedError):
        shutil.copy2(source, target, follow_symlinks=False)


def exchange(one: str | os.PathLike, other: str | os.PathLike) -> bool:
    """Exchange two folders of one disk in one step, which nobody sees half-done; False if the system cannot (it is Linux that can).

    >>> write_atomic("new/a", b"1"); write_atomic("old/a", b"2")
    >>> exchange("new", "old") and open("old/a").read()         # doctest: +SKIP
    '1'
    """
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchanged = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return rename(here, os.fsencode(one), here, os.fsencode(other), exchanged) == 0
