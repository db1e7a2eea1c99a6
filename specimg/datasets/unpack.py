"""Archives from strangers are unpacked inside one folder, or not at all.

Before the first byte is written every member is judged: a name that leads out of the folder, a link, a device, or more bytes than the
disk takes, and the whole archive is refused with the member's name. Files that macOS adds beside the real ones are left out. Zip and tar
are read by the same rules, through `_Member`.

    unpack_all([archive], Path("datasets/.partial-small/unpacked"), progress=True)
"""

from __future__ import annotations

import contextlib
import errno
import functools
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..core.files import inside
from ..core.progress import progress_bar
from ..core.text import amount
from .archives import Archive

__all__ = ["NoRoomError", "unpack_all"]

BLOCK = 4096  # bytes that the smallest file takes on a disk
DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    lzma.LZMAError,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    UnicodeError,
)
# the name is what is wrong, not the disk
UNNAMEABLE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


class NoRoomError(ValueError):
    """What an archive says to hold is more than the disk takes."""


# ---------------------------------------------------------------------- what an archive holds


class _Member(NamedTuple):
    """What an archive holds under a name; `kind` is "file", "folder", or says what else it is."""

    name: str
    size: int
    kind: str
    open: Callable


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    form = stat.S_IFMT(info.external_attr >> 16)
    if form not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a symbolic link" if form == stat.S_IFLNK else "a device or another special file"
    return "folder" if info.orig_filename.endswith(("/", "\\")) or form == stat.S_IFDIR else "file"


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isfile() or info.isdir():
        return "file" if info.isfile() else "folder"
    return "a symbolic link" if info.issym() else "a hard link" if info.islnk() else "a device or another special file"


@contextlib.contextmanager
def _members(path: Path) -> Iterator[Iterable[_Member]]:
    """What an archive holds, to be read while it is open."""
    if path.name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield (
                _Member(i.orig_filename, i.file_size, _zip_kind(i), functools.partial(archive.open, i))
                for i in archive.infolist()
            )
    else:
        with tarfile.open(path, "r:" if path.name.endswith(".tar") else "r:gz") as archive:
            yield (_Member(i.name, i.size, _tar_kind(i), functools.partial(archive.extractfile, i)) for i in archive)


# ---------------------------------------------------------------------- what of it may be unpacked


def _place(member: _Member, into: Path) -> str:
    """Where below a folder a member goes; ValueError where it may not go anywhere."""
    parts = member.name.replace("\\", "/").split("/")  # as Windows reads it, on every system
    if parts[0] == "" or ".." in parts or any(re.match("[A-Za-z]:", part) for part in parts):
        raise ValueError(f"its member {member.name!r} leads out of the folder; only names below it are unpacked")
    kind = "of negative size" if member.size < 0 else member.kind
    if kind not in ("file", "folder"):
        raise ValueError(f"its member {member.name!r} is {kind}; only files and folders are unpacked")
    return inside(into, "/".join(parts))


def _is_clutter(place: str) -> bool:
    """Is it one of the files that macOS puts beside the real ones? Some have the names of recordings."""
    return any(part in ("__MACOSX", ".DS_Store") or part.startswith("._") for part in place.split("/"))


def _plan(members: Iterable[_Member], into: Path, free: int) -> list[tuple[_Member, str]]:
    """(member, its place) of all that is to be unpacked; ValueError where one may not be, or where they need more than `free` bytes."""
    plan, needed = [], 0
    for member in members:
        place = _place(member, into)
        needed += max(BLOCK, -(-member.size // BLOCK) * BLOCK)
        if needed > free:
            raise NoRoomError(
                f"up to its member {member.name!r} ({amount(member.size)}) it needs {amount(needed)}, and {amount(free)} "
                "are free; make room or give another folder="
            )
        if not _is_clutter(place):
            plan.append((member, place))
    return plan


# ---------------------------------------------------------------------- unpacking


def _unpack_member(member: _Member, target: Path) -> None:
    try:
        os.makedirs(target if member.kind == "folder" else target.parent, exist_ok=True)
        if member.kind == "file":
            with member.open() as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
    except OSError as exc:
        if exc.errno not in UNNAMEABLE:
            raise
        raise ValueError(f"its member {member.name!r} cannot be written: {exc.strerror}") from exc


def _unpack(path: Path, into: Path, progress: bool) -> None:
    """Unpack an archive into a folder, after all its members were judged; ValueError where it is damaged or one of them is refused."""
    try:
        with _members(path) as members:
            plan = _plan(members, into, shutil.disk_usage(into).free)
            with progress_bar(
                sum(member.size for member, _ in plan), f"unpacking {path.name}", progress, unit="B"
            ) as bar:
                for member, place in plan:
                    _unpack_member(member, into / place)
                    bar.update(member.size)
    except DAMAGED as exc:
        if getattr(exc, "errno", None) is not None:
            raise  # the disk's fault
        raise ValueError(f"it is damaged, or no such archive at all: {type(exc).__name__}: {exc}") from exc


def unpack_all(archives: list[Archive], into: Path, progress: bool) -> None:
    """Unpack archives into one new folder.

    ValueError with the name of the archive and what to do; one that another download may mend is deleted.
    """
    shutil.rmtree(into, ignore_errors=True)  # what a killed process left
    into.mkdir()
    for archive in archives:
        try:
            _unpack(archive.path, into, progress)
        except NoRoomError as exc:
            raise NoRoomError(f"{archive.path} is not unpacked: {exc}") from exc
        except ValueError as exc:
            if archive.by_hand:
                way_out = "replace or remove it"
            elif archive.verdict == "same":
                way_out = "its checksum is the published one, so another download will not help"
            else:
                archive.path.unlink()
                way_out = "it was deleted; call again to download it anew"
            raise ValueError(f"{archive.path} is not unpacked: {exc}; {way_out}") from exc
