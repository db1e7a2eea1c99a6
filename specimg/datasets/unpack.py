"""Archives from strangers are unpacked inside one folder, or not at all.

Before the first byte is written every member is checked: a name that leads out of the folder or is absurdly deep, a link, a
device, or more bytes than the disk has free, and the whole archive is refused with the member's name. Python's own filters strip
or follow what is refused here, and bound neither sizes nor names. Files that macOS adds beside the real ones are left out.

    unpack_all([archive], Path("datasets/.partial-small/unpacked"), progress=True)
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
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

BLOCK = 4096  # bytes that the smallest file takes on a disk
DEPTH = 100  # folders in a name: more make os.makedirs exceed Python's recursion limit
NAME = 1 << 16  # bytes of a name: tar takes any number, a zip at most this many
NAMES = 1 << 28  # bytes of all names together, which are checked, and so are held, before the first file is written
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
# the name is invalid, not the disk
UNNAMEABLE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


class NoRoomError(ValueError):
    """An archive declares more bytes than the disk has free."""


# ---------------------------------------------------------------------- members


class _Member(NamedTuple):
    """A member of an archive; `kind` is "file", "folder", or says what else it is."""

    name: str
    size: int
    kind: str
    open: Callable

    def __str__(self) -> str:
        return f"its member {self.name[:200]!r}"


_SPECIAL = "a device or another special file"
_FORMS = {0: "file", stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "a symbolic link"}


def _zip_kind(info: zipfile.ZipInfo) -> str:
    if info.flag_bits & 1:
        return "encrypted"
    kind = _FORMS.get(stat.S_IFMT(info.external_attr >> 16), _SPECIAL)
    return "folder" if kind == "file" and info.orig_filename.endswith(("/", "\\")) else kind


def _tar_kind(info: tarfile.TarInfo) -> str:
    if info.isfile() or info.isdir():
        return "file" if info.isfile() else "folder"
    return "a symbolic link" if info.issym() else "a hard link" if info.islnk() else _SPECIAL


class _TarInfo(tarfile.TarInfo):
    """A header whose name is bounded before it is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _TarInfo:
        info = super().frombuf(buf, encoding, errors)
        if info.size > NAME and info.type in (b"L", b"K", b"x", b"g", b"X"):  # GNU's long names and pax headers
            raise ValueError(f"the name of one of its members takes {amount(info.size)}; {amount(NAME)} are read")
        return info


class _ZipFile(io.BufferedReader):
    """A file whose table of members, which `zipfile` reads at once, is bounded."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > NAMES:
            raise ValueError(f"its table of members takes {amount(size)}; {amount(NAMES)} are read")
        return super().read(size)


@contextlib.contextmanager
def _members(path: Path) -> Iterator[Iterable[_Member]]:
    """The members of an archive, to be read while it is open."""
    if path.name.endswith(".zip"):
        with _ZipFile(io.FileIO(path)) as file, zipfile.ZipFile(file) as archive:
            yield (
                _Member(i.orig_filename, i.file_size, _zip_kind(i), functools.partial(archive.open, i))
                for i in archive.infolist()
            )
    else:
        with tarfile.open(path, "r:" if path.name.endswith(".tar") else "r:gz", tarinfo=_TarInfo) as archive:
            yield (_Member(i.name, i.size, _tar_kind(i), functools.partial(archive.extractfile, i)) for i in archive)


# ---------------------------------------------------------------------- checks


def _target(member: _Member, into: Path) -> str:
    """The path of a member relative to a folder; ValueError if it must not be unpacked."""
    parts = member.name.replace("\\", "/").split("/")  # as Windows reads it, on every system
    if parts[0] == "" or ".." in parts or any(re.match("[A-Za-z]:", part) for part in parts):
        raise ValueError(f"{member} leads out of the folder; only names below it are unpacked")
    if len(parts) > DEPTH:
        raise ValueError(f"{member} ... is in {len(parts) - 1} folders; at most {DEPTH} are unpacked")
    kind = "of negative size" if member.size < 0 else member.kind
    if kind not in ("file", "folder"):
        raise ValueError(f"{member} is {kind}; only files and folders are unpacked")
    return inside(into, "/".join(parts))


def _is_clutter(path: str) -> bool:
    """Whether macOS put a file beside the real ones; some have the names of recordings."""
    return any(part in ("__MACOSX", ".DS_Store") or part.startswith("._") for part in path.split("/"))


def _plan(members: Iterable[_Member], into: Path, free: int) -> list[tuple[_Member, str]]:
    """(member, path) of all that is unpacked; ValueError if one must not be, or if they need more than `free` bytes."""
    plan, needed, named = [], 0, 0
    for member in members:
        path = _target(member, into)
        named += len(path)
        if named > NAMES:
            raise ValueError(
                f"up to {member} ... the names of its members take {amount(named)}; {amount(NAMES)} are read"
            )
        needed += max(BLOCK, -(-member.size // BLOCK) * BLOCK)
        if needed > free:
            raise NoRoomError(
                f"up to {member} ({amount(member.size)}) it needs {amount(needed)}, and {amount(free)} "
                "are free; make room or give another folder="
            )
        if not _is_clutter(path):
            plan.append((member, path))
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
        raise ValueError(f"{member} cannot be written: {exc.strerror}") from exc


def _unpack(path: Path, into: Path, progress: bool) -> None:
    """Unpack one archive after all its members are checked; ValueError if it is damaged or one of them is refused."""
    try:
        with _members(path) as members:
            plan = _plan(members, into, shutil.disk_usage(into).free)
            total = sum(member.size for member, _ in plan)
            with progress_bar(total, f"unpacking {path.name}", progress, unit="B") as bar:
                for member, target in plan:
                    _unpack_member(member, into / target)
                    bar.update(member.size)
    except DAMAGED as exc:
        if getattr(exc, "errno", None) is not None:
            raise  # an error of the disk
        raise ValueError(f"it is damaged, or not an archive at all: {type(exc).__name__}: {exc}") from exc


def unpack_all(archives: list[Archive], into: Path, progress: bool) -> None:
    """Unpack archives into one new folder.

    Parameters
    ----------
    archives : list of Archive
        Files that `obtain` returned. One that another download may mend is deleted if it is damaged.
    into : Path
        The folder; what a killed process left there is removed first.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        An archive is damaged or refused; the message names the archive and what to do. NoRoomError if the disk is too small.
    """
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir()
    for archive in archives:
        try:
            _unpack(archive.path, into, progress)
        except NoRoomError as exc:
            raise NoRoomError(f"{archive.path} is not unpacked: {exc}") from exc
        except ValueError as exc:
            if archive.by_hand:
                way_out = "replace or remove it"
            elif archive.status == "same":
                way_out = "its checksum is the published one, so another download will not help"
            else:
                archive.path.unlink()
                way_out = "it was deleted; call again to download it again"
            raise ValueError(f"{archive.path} is not unpacked: {exc}; {way_out}") from exc
