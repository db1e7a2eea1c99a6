"""Public data sets by name: downloaded, checked and unpacked once, and a folder from then on.

>>> import specimg as sp
>>> folder = sp.fetch("ESC-50")                      # doctest: +SKIP
>>> find_dataset("ESC-50").licence
'CC BY-NC 3.0; the clips of its ESC-10 part CC BY'

A download that was broken off goes on where it stopped, and nothing is unpacked whose checksum is wrong. On disk:

    datasets/                        `folder=`; by default in /kaggle/working or the user's cache
      ESC-50-master.zip              only if you put it there: archives downloaded by other means are taken from here
      ESC-50/                        one data set: whole, or not there at all
        specimg-source.json          address, licence and checksums; written last
        ESC-50-master/               what `fetch` returns
      .partial-ESC-50/               what a broken-off download has brought so far
      .lock-ESC-50                   empty; keeps two processes from fetching at once
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import lzma
import os
import re
import shutil
import sqlite3
import stat
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pooch
import requests
import urllib3

from . import __version__
from .files import inside, write_whole
from .labels import examples, warn
from .render import default_cache
from .values import Value, choose, register

__all__ = ["fetch", "list_datasets", "find_dataset", "DataSet", "RemoteFile"]

SOURCE = "specimg-source.json"   # in a data set's folder: the mark that it is complete, and the note on where it comes from
PARTIAL = ".partial-"
SUFFIXES = (".zip", ".tar.gz", ".tgz", ".tar")
TIMEOUT = (10, 60)               # s, to be connected and between two pieces
CHUNK = 1 << 16                  # bytes a kill may cost
BLOCK = 4096                     # bytes that the smallest file takes on a disk
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha1:[0-9a-f]{40}|sha256:[0-9a-f]{64}")


# ---------------------------------------------------------------------- what there is

@register
@dataclass(frozen=True)
class RemoteFile(Value):
    """One archive of a data set: .zip, .tar, .tar.gz or .tgz."""

    url: str
    name: str                     # of the file on disk, as a browser would call it
    checksum: str | None = None   # "md5:...", "sha1:..." or "sha256:..."; None where none is published
    size: int | None = None       # bytes; told to people, never checked
    stable: bool = True           # False: the server packs it anew at times, and other bytes are no proof of another content

    def _check(self):
        if urlsplit(self.url).scheme not in ("http", "https"):
            raise ValueError(f"address {self.url!r} does not begin with https:// or http://")
        if not NAME.fullmatch(self.name) or not self.name.endswith(SUFFIXES):
            raise ValueError(f"file name {self.name!r}: give letters, digits, '.', '_' or '-', and an ending of {', '.join(SUFFIXES)}")
        if self.checksum is not None and not CHECKSUM.fullmatch(self.checksum):
            raise ValueError(f"checksum {self.checksum!r}: write 'md5:', 'sha1:' or 'sha256:' and the digest in small hexadecimal digits")


def _total_size(files: Sequence[RemoteFile]) -> int | None:
    sizes = [file.size for file in files]
    return None if None in sizes else sum(sizes)


@register
@dataclass(frozen=True)
class DataSet(Value):
    """A data set and where it comes from. `fetch` takes one of your own as well as the name of a known one."""

    name: str                     # also that of its folder
    files: tuple[RemoteFile, ...]
    licence: str
    home: str                     # page about it
    about: str
    notes: str = ""
    size: int | None = None       # bytes of all archives, about; None for the sum of theirs

    def _check(self):
        if not NAME.fullmatch(self.name):
            raise ValueError(f"name of a data set {self.name!r}: give letters, digits, '.', '_' or '-', no '.', '_' or '-' in front")
        names = {file.name.lower() for file in self.files}   # small, because some disks do not tell the cases apart
        if not self.files or len(names) < len(self.files):
            raise ValueError(f"data set {self.name!r} has {len(self.files)} files of {len(names)} different names; give one or more, "
                             "each its own name")
        if not self.licence:
            raise ValueError(f"data set {self.name!r} has no licence; say which, or that it is not known")

    @property
    def download_size(self) -> int | None:
        """Bytes of all archives, about; None where nobody has said."""
        return self.size or _total_size(self.files)


_TENSORFLOW = "https://storage.googleapis.com/download.tensorflow.org/data/"
_ZENODO_2018 = "https://zenodo.org/records/2552860/files/"


def _kaggle2018(part: str, md5: str) -> RemoteFile:
    name = f"FSDKaggle2018.{part}.zip"
    return RemoteFile(f"{_ZENODO_2018}{name}?download=1", name, f"md5:{md5}")


# Checksums as torchaudio, TensorFlow Datasets, soundata and MTEB write them. GitHub packs its archives on demand: not stable.
_DATASETS = {data.name: data for data in (
    DataSet(
        "mini_speech_commands",
        (RemoteFile(_TENSORFLOW + "mini_speech_commands.zip", "mini_speech_commands.zip",
                    "sha256:49650f2341b26d886b46b3f4fb8fed59e30300b17550f1ee4a768b3106cf93a0", 182_082_353),),
        licence="CC BY 4.0", home="https://arxiv.org/abs/1804.03209",
        about="8,000 spoken commands of one second, 8 words, 16 kHz; a folder a word",
    ),
    DataSet(
        "speech_commands_v1",
        (RemoteFile(_TENSORFLOW + "speech_commands_v0.01.tar.gz", "speech_commands_v0.01.tar.gz",
                    "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d", 1_489_096_277),),
        licence="CC BY 4.0", home="https://arxiv.org/abs/1804.03209",
        about="64,727 spoken commands of one second, 30 words, 16 kHz; a folder a word, and longer background noises",
        notes="validation_list.txt and testing_list.txt name the published split, which keeps speakers apart",
    ),
    DataSet(
        "speech_commands_v2",
        (RemoteFile(_TENSORFLOW + "speech_commands_v0.02.tar.gz", "speech_commands_v0.02.tar.gz",
                    "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58", 2_428_923_189),),
        licence="CC BY 4.0", home="https://arxiv.org/abs/1804.03209",
        about="105,829 spoken commands of one second, 35 words, 16 kHz; a folder a word, and longer background noises",
        notes="validation_list.txt and testing_list.txt name the published split, which keeps speakers apart",
    ),
    DataSet(
        "ESC-50",
        (RemoteFile("https://github.com/karolpiczak/ESC-50/archive/master.zip", "ESC-50-master.zip",
                    "md5:7771e4b9d86d0945acce719c7a59305a", 645_695_005, stable=False),),
        licence="CC BY-NC 3.0; the clips of its ESC-10 part CC BY", home="https://github.com/karolpiczak/ESC-50",
        about="2,000 environmental sounds of five seconds, 50 classes, 5 folds; audio/ and meta/esc50.csv",
        notes="the column esc10 of meta/esc50.csv marks the ESC-10 part",
    ),
    DataSet(
        "UrbanSound8K",
        (RemoteFile("https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz?download=1", "UrbanSound8K.tar.gz",
                    "md5:9aa69802bbf37fb986f71ec1483a196e", 6_023_741_708),),
        licence="CC BY-NC 4.0", home="https://urbansounddataset.weebly.com/urbansound8k.html",
        about="8,732 urban sounds of up to four seconds, 10 classes, 10 folds; audio/fold1 ... fold10 and metadata/UrbanSound8K.csv",
        notes="use the given folds: a random split puts parts of one recording on both sides",
    ),
    DataSet(
        "FSDKaggle2018",
        (_kaggle2018("audio_train", "a8b47ff4b52022c178f88fa5c6f080d0"), _kaggle2018("audio_test", "f85c8665c3fc39311ea1b748e194a81d"),
         _kaggle2018("meta", "f16828ac8be0e5285b9175a12f90d784"), _kaggle2018("doc", "4f2d1ac88f33a62f9db3108b269ee1b7")),
        licence="mixed, some of it non-commercial: CC0, CC BY or CC BY-NC, clip by clip in the column license",
        home="https://zenodo.org/records/2552860",
        about="11,073 clips of 0.3 to 30 seconds, 41 classes, from Kaggle's freesound-audio-tagging of 2018; four folders FSDKaggle2018.*",
        notes="its checksums come from one source only", size=4_940_000_000,
    ),
    DataSet(
        "FSDD",
        (RemoteFile("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/v1.0.9.tar.gz",
                    "free-spoken-digit-dataset-1.0.9.tar.gz",
                    "sha256:8bc44cde129d505cbbb6b365c09f80c663f2aa77578afc634e6141a2f87100c0", 11_975_353, stable=False),),
        licence="CC BY-SA 4.0", home="https://github.com/Jakobovski/free-spoken-digit-dataset",
        about="2,500 spoken digits, 5 speakers, 8 kHz; recordings/<digit>_<speaker>_<number>.wav (Free Spoken Digit Dataset 1.0.9)",
    ),
)}


def list_datasets() -> list[str]:
    """The names that `fetch` knows, in alphabetical order."""
    return sorted(_DATASETS)


def _bare(name) -> str:
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def find_dataset(name: str) -> DataSet:
    """What is known of a data set: licence, home page, archives. ValueError for an unknown name, with the near ones."""
    alike = [known for known in _DATASETS if _bare(known) == _bare(name) and known != name]
    if alike:
        raise ValueError(f"unknown data set {name!r}; did you mean {alike[0]!r}?")
    return _DATASETS[choose(name, _DATASETS, "data set")]


# ---------------------------------------------------------------------- saying

def _amount(size: int | None) -> str:
    if size is None:
        return "an unknown amount"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size} bytes"


def _bar(what: str, total: int | None, wanted: bool, initial: int = 0):
    """A tqdm bar of bytes on terminals and in notebooks; nothing in a log."""
    from tqdm import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(desc=what, total=total, initial=initial, unit="B", unit_scale=True, disable=not (wanted and watched))


def _disk_trouble(folder: Path, exc: OSError) -> OSError:
    """The same kind of error with a sentence that says what to do."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return OSError(exc.errno, f"no space left in {str(folder)!r} ({exc.strerror}); what was downloaded is kept: make room and call "
                       "again to go on, or give another folder=")
    if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return PermissionError(exc.errno, f"{str(folder)!r} cannot be written to ({exc.strerror}); give another folder=")
    return OSError(exc.errno or errno.EIO, f"fetching into {str(folder)!r} failed: {exc}")


# ---------------------------------------------------------------------- downloading

VALIDATORS = ("ETag", "Last-Modified")   # by which a server says that a file is the one of last time
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)


class _Range(NamedTuple):
    first: int
    total: int | None


def _content_range(headers: Mapping[str, str]) -> _Range | None:
    """Which bytes a server says it sends."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
    return match and _Range(int(match[1]), None if match[2] == "*" else int(match[2]))


def resume_action(status: int, headers: Mapping[str, str], have: int, version: dict) -> str:
    """What to do with a server's answer: "begin" and "append" take it, "again" asks anew for the whole file, "refuse" gives up.

    have : bytes that are here and that the request asked to go on from; 0 where it asked for everything
    version : what the server said of the file when those came: ETag, Last-Modified, total
    """
    if status == 200:
        return "begin"     # also of a server that knows no ranges, or whose file has changed
    if not have or status not in (206, 416):
        return "refuse"
    place = _content_range(headers)
    unchanged = all(headers.get(name) in (None, version[name]) for name in VALIDATORS)
    fits = status == 206 and place is not None and place.first == have and (
        place.total == version["total"] or None in (place.total, version["total"]))
    return "append" if fits and unchanged else "again"


def _request_headers(have: int, version: dict) -> dict[str, str]:
    """A request for the bytes from `have` on, or for all of them where the file has changed."""
    headers = {"User-Agent": f"specimg/{__version__}", "Accept-Encoding": "identity"}
    if not have:
        return headers
    headers["Range"] = f"bytes={have}-"
    etag = version["ETag"] or ""
    unchanged_since = version["Last-Modified"] if not etag or etag.startswith("W/") else etag   # weak tags may not stand there
    return headers | ({"If-Range": unchanged_since} if unchanged_since else {})


def _reason(exc: Exception):
    """What is wrong, out of the layers that requests and urllib3 put round it."""
    inner = exc.args[0] if exc.args else exc
    return getattr(inner, "reason", inner)


class ResumingDownloader:
    """A downloader for pooch, `(url, output_file, pooch)`, that goes on with what an earlier call left in `part`.

    `<part>.json` beside it says which version of the file its bytes belong to. A connection that breaks off is taken up again
    as long as each brings the file further; else ConnectionError, and the bytes stay.
    """

    def __init__(self, part: str | os.PathLike, progress: bool = True):
        self.part, self.note = Path(part), Path(f"{os.fspath(part)}.json")
        self.progress = progress

    def __call__(self, url: str, output_file: str, pooch=None) -> None:
        furthest, _ = self.begun(url)
        while True:
            try:
                self._receive(url)
                break
            except BROKEN as exc:
                have, _ = self.begun(url)
                if have <= furthest:
                    raise ConnectionError(f"{url} cannot be downloaded: {_reason(exc)} ({_amount(have)} are here)") from exc
                furthest = have
        os.replace(self.part, output_file)
        self.note.unlink()

    def begun(self, url: str) -> tuple[int, dict]:
        """(bytes that can be gone on with, the version they belong to)."""
        try:
            version = json.loads(self.note.read_text(encoding="utf-8"))
            have = self.part.stat().st_size
        except (FileNotFoundError, ValueError):
            return 0, {}
        total = version["total"]
        known = total is not None or any(version[name] for name in VALIDATORS)   # else nothing would show that the file has changed
        usable = version["url"] == url and known and (total is None or have <= total)
        return (have, version) if usable else (0, {})

    def _receive(self, url: str) -> None:
        """Ask for what is missing and write it, until the file is complete or the connection breaks off."""
        have, version = self.begun(url)
        if have and have == version["total"]:
            return
        with requests.get(url, headers=_request_headers(have, version), stream=True, timeout=TIMEOUT) as response:
            action = resume_action(response.status_code, response.headers, have, version)
            if action == "refuse":
                answer = f"{response.status_code} {response.reason}"
                raise ConnectionError(f"{url} cannot be downloaded: the server answers {answer} ({_amount(have)} are here)")
            if action == "append":
                self._write(response, "ab", version["total"] or _content_range(response.headers).total)
                return
            if action == "begin":
                self._begin(response, url)
                return
        self.part.unlink()   # so that the next request is one for everything
        self._receive(url)

    def _begin(self, response: requests.Response, url: str) -> None:
        """Write the whole file, and what the server says of this version of it."""
        length = response.headers.get("Content-Length", "")
        version = {"url": url, "total": int(length) if length.isdigit() else None}
        version |= {name: response.headers.get(name) for name in VALIDATORS}
        self.part.write_bytes(b"")     # first, so that old bytes never stand beside the new note
        write_whole(self.note, json.dumps(version).encode())
        self._write(response, "wb", version["total"])

    def _write(self, response: requests.Response, mode: str, total: int | None) -> None:
        """Write what comes, up to `total` bytes in all, where that is known."""
        with open(self.part, mode) as file:
            have, free = file.tell(), shutil.disk_usage(self.part.parent).free
            if total is not None and total - have > free:
                raise OSError(errno.ENOSPC, f"{_amount(total - have)} are to come, {_amount(free)} are free")
            with _bar(self.part.stem, total, self.progress, have) as bar:
                for chunk in response.raw.stream(CHUNK, decode_content=False):   # as they are, whatever encoding the server speaks of
                    file.write(chunk)
                    file.flush()
                    bar.update(len(chunk))
            end = file.tell()
        if total is not None and end < total:   # which urllib3 before 2.0 does not notice
            raise requests.ConnectionError(f"the connection ended after {end} of {total} bytes")


def _part(file: RemoteFile, work: Path) -> Path:
    return work / f"{file.name}.part"


def _bytes_here(file: RemoteFile, work: Path) -> int:
    """How much of an archive an earlier call has downloaded."""
    path = work / file.name
    return path.stat().st_size if path.is_file() else ResumingDownloader(_part(file, work)).begun(file.url)[0]


def _announce(data: DataSet, folder: Path, work: Path) -> None:
    """One line before anything is downloaded: how much, from where, under which licence."""
    terms = f"licence: {data.licence}; see {data.home}"
    missing = [file for file in data.files if not (folder / file.name).is_file()]
    if not missing:
        print(f"{data.name}: from {', '.join(file.name for file in data.files)} in {folder}; {terms}", flush=True)
        return
    left = data.download_size if len(missing) == len(data.files) else _total_size(missing)
    hosts = examples(urlsplit(file.url).hostname for file in missing)
    have = sum(_bytes_here(file, work) for file in missing)
    begun = f" ({_amount(have)} of it are here already)" * bool(have)
    print(f"{data.name}: {_amount(left)}{begun} to download from {hosts} into {folder}; {terms}", flush=True)


def _download(file: RemoteFile, folder: Path, work: Path, progress: bool) -> Path:
    """The archive in `work`, downloaded where it is not there. ConnectionError with the ways out."""
    # no checksum for pooch: `_archive` judges, what lies there already as well
    store = pooch.create(path=work, base_url="", registry={file.name: None}, urls={file.name: file.url})
    try:
        return Path(store.fetch(file.name, downloader=ResumingDownloader(_part(file, work), progress)))
    except ConnectionError as exc:
        raise ConnectionError(
            f"{exc}. Call again to go on where it stopped; or download that address by other means and put the file at "
            f"{folder / file.name}: fetch takes it from there"
        ) from exc


# ---------------------------------------------------------------------- checksums

def checksum_verdict(known: str | None, seen: str, stable: bool) -> str:
    """"same", "unknown" (none is published), "changed" (other bytes, which prove nothing: a warning) or "wrong"."""
    if known is None:
        return "unknown"
    if known == seen:
        return "same"
    return "wrong" if stable else "changed"


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Algorithm -> "algorithm:digest" of a file, which is read once."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            for each in hashes.values():
                each.update(chunk)
    return {name: f"{name}:{each.hexdigest()}" for name, each in hashes.items()}


class _Archive(NamedTuple):
    path: Path
    verdict: str
    by_hand: bool    # the user put it there, so it is not ours to delete
    record: dict     # of it in the note


def _archive(file: RemoteFile, folder: Path, work: Path, progress: bool) -> _Archive:
    """The archive that lies in `folder`, else the one downloaded into `work`. ValueError where its checksum is wrong."""
    by_hand = (folder / file.name).is_file()
    path = folder / file.name if by_hand else _download(file, folder, work, progress)
    algorithm = (file.checksum or "sha256").partition(":")[0]
    digests = _digests(path, {algorithm, "sha256"})
    seen = digests[algorithm]
    verdict = checksum_verdict(file.checksum, seen, file.stable)
    if verdict == "wrong":
        if not by_hand:
            path.unlink()
        way_out = "replace or remove it" if by_hand else "it was deleted; call again to download it anew"
        raise ValueError(f"{path} has the checksum {seen}, and {file.checksum} was expected: {way_out}. If its publisher has put out a new "
                         "version, fetch a DataSet with that checksum")
    if verdict == "changed":
        warn(f"{path} has the checksum {seen}, where {file.checksum} is known; its server packs such archives anew at times, so it is "
             "taken as it is", 3)
    record = {"name": file.name, "url": file.url, "by_hand": by_hand, "size": path.stat().st_size, "sha256": digests["sha256"][7:],
              "checksum_known": file.checksum, "checksum_seen": seen, "checksum_is": verdict}
    return _Archive(path, verdict, by_hand, record)


# ---------------------------------------------------------------------- unpacking

DAMAGED = (zipfile.BadZipFile, tarfile.TarError, lzma.LZMAError, zlib.error, OSError, EOFError, NotImplementedError, UnicodeError)
# the name is what is wrong, not the disk
UNNAMEABLE = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.EILSEQ, errno.EINVAL)


class NoRoomError(ValueError):
    """What an archive says to hold is more than the disk takes."""


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
            yield (_Member(i.orig_filename, i.file_size, _zip_kind(i), functools.partial(archive.open, i)) for i in archive.infolist())
    else:
        with tarfile.open(path, "r:" if path.name.endswith(".tar") else "r:gz") as archive:
            yield (_Member(i.name, i.size, _tar_kind(i), functools.partial(archive.extractfile, i)) for i in archive)


def _place(member: _Member, into: Path) -> str:
    """Where below a folder a member goes; ValueError where it may not go anywhere."""
    parts = member.name.replace("\\", "/").split("/")   # as Windows reads it, on every system
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
            raise NoRoomError(f"up to its member {member.name!r} ({_amount(member.size)}) it needs {_amount(needed)}, and {_amount(free)} "
                              "are free; make room or give another folder=")
        if not _is_clutter(place):
            plan.append((member, place))
    return plan


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
            with _bar(f"unpacking {path.name}", sum(member.size for member, _ in plan), progress) as bar:
                for member, place in plan:
                    _unpack_member(member, into / place)
                    bar.update(member.size)
    except DAMAGED as exc:
        if getattr(exc, "errno", None) is not None:
            raise            # the disk's fault
        raise ValueError(f"it is damaged, or no such archive at all: {type(exc).__name__}: {exc}") from exc


def _unpack_all(archives: list[_Archive], into: Path, progress: bool) -> None:
    """Unpack archives into one new folder.

    ValueError with the name of the archive and what to do; one that another download may mend is deleted.
    """
    shutil.rmtree(into, ignore_errors=True)   # what a killed process left
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


# ---------------------------------------------------------------------- a data set

def _content(folder: Path) -> str:
    """The part of an unpacked data set that people want: its only top folder, else all of it (".")."""
    entries = os.listdir(folder)
    return entries[0] if len(entries) == 1 and (folder / entries[0]).is_dir() else "."


def _finished(home: Path, data: DataSet) -> Path | None:
    """The folder to return where the data set stands complete; ValueError where something else stands there."""
    try:
        source = json.loads((home / SOURCE).read_text(encoding="utf-8"))
        fetched, content = {each["name"]: each["checksum_known"] for each in source["archives"]}, inside(home, source["content"])
    except (FileNotFoundError, NotADirectoryError):
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise ValueError(f"{home} exists and has no {SOURCE}, so fetch did not make it; move it away or give another folder=. "
                             f"An archive that you downloaded belongs beside it, in {home.parent}") from None
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"{home / SOURCE} cannot be read: {exc}; delete {home} to fetch it anew, or give another folder=") from exc
    wanted = {file.name: file.checksum for file in data.files}
    if fetched != wanted:
        raise ValueError(f"{home} holds another version, made of {fetched} instead of {wanted}; delete it to fetch it anew, or give "
                         "another folder=")
    return home / content


@contextlib.contextmanager
def _alone(folder: Path, name: str):
    """Only one process at a time; the others wait, and find the data set complete. SQLite's lock goes with the process that holds it."""
    path = folder / f".lock-{name}"
    open(path, "ab").close()    # the disk's own error, where the folder cannot be written to
    lock = sqlite3.connect(path, timeout=1, isolation_level=None)
    told = False
    try:
        while True:
            try:
                lock.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc):
                    raise OSError(f"{path} cannot be locked: {exc}; give another folder=") from exc
            if not told:
                print(f"{name}: another process fetches it; waiting", flush=True)
                told = True
        yield
    finally:
        lock.close()


def _install(data: DataSet, folder: Path, progress: bool) -> Path:
    """Download, check, unpack, and put in place with one rename."""
    home, work = folder / data.name, folder / f"{PARTIAL}{data.name}"
    work.mkdir(exist_ok=True)
    unpacked = work / "unpacked"
    try:
        _announce(data, folder, work)
        archives = []
        for file in data.files:
            archives.append(_archive(file, folder, work, progress))
        _unpack_all(archives, unpacked, progress)
        content = _content(unpacked)
        records = [archive.record for archive in archives]
        source = {"dataset": data.to_dict(), "content": content, "archives": records, "specimg": __version__}
        write_whole(unpacked / SOURCE, json.dumps(source, indent=2).encode())
        if home.exists():
            home.rmdir()    # it is empty, says `_finished`; not every system renames onto a folder
        os.rename(unpacked, home)
        shutil.rmtree(work, ignore_errors=True)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        with contextlib.suppress(OSError):
            work.rmdir()    # where nothing worth keeping is in it
    return home / content


def fetch(name: str | DataSet, folder: str | os.PathLike | None = None, *, progress: bool = True) -> Path:
    """The folder of a public data set, which is downloaded, checked and unpacked where it is not there yet.

    Size and licence are printed before a download begins, and stand in `<folder>/<name>/specimg-source.json` afterwards. A second call
    uses no network. A call that was broken off, by Ctrl-C, a kill or the network, is gone on with by the next one.

    name : one of `list_datasets()`, or a DataSet of your own
    folder : where data sets live; by default `datasets` in the package's cache ($SPECIMG_CACHE, /kaggle/working, the user's cache folder).
        Archives that you put there by hand are used instead of a download, and stay; downloaded ones are deleted once unpacked
    progress : show bars on terminals and in notebooks

    Returns `<folder>/<name>`, or the only folder in it: `ESC-50/ESC-50-master`, `mini_speech_commands/mini_speech_commands`,
    `UrbanSound8K/UrbanSound8K`, `FSDD/free-spoken-digit-dataset-1.0.9`; the words' folders stand in `speech_commands_v1` and `_v2`
    themselves, and four folders in `FSDKaggle2018`. Files that macOS adds (`__MACOSX`, `._*`, `.DS_Store`) are left out.

    Raises ValueError for an unknown name, a wrong checksum (only a warning for GitHub's archives, which are packed anew at times) and an
    archive that is damaged, holds links or names that lead out of the folder, or needs more room than there is; ConnectionError where
    the network fails; OSError where the disk does.
    """
    data = name if isinstance(name, DataSet) else find_dataset(name)
    folder = default_cache() / "datasets" if folder is None else Path(folder).expanduser()
    found = _finished(folder / data.name, data)
    if found:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, data.name):
            return _finished(folder / data.name, data) or _install(data, folder, progress)
    except KeyboardInterrupt:
        print(f"stopped: what was downloaded of {data.name} is kept; call again to go on", file=sys.stderr)
        raise
    except ConnectionError:
        raise                # of the network, and it says what to do
    except OSError as exc:
        raise _disk_trouble(folder, exc) from exc
