"""Recordings in a store instead of a folder: an address, `s3://bucket/night`, is listed and read through fsspec.

    list_stored(as_address("s3://bucket/night"))        # {"1.flac": Stored(size=61234567, mtime=1700000000123456789), ...}
    with open_stored(as_address("s3://bucket/night/1.flac")) as file:       # reads the parts that are asked for
        file.seek(30_000_000); file.read(4096)

An address is text, and travels as text: whoever opens it (this process, a worker, another machine) makes its own connection. Accounts and
endpoints are the store's own business, by its environment variables or fsspec's configuration, and never part of an address. fsspec is
imported when the first address is given.

Only stores that hand out bytes are known, `STORES`. Others of fsspec's schemes open what somebody else's text names (`reference://`, `zip://`,
`simplecache::` and every other chain), or run something (`dask://`); they are refused, for an address may come with somebody's tree.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import functools
import hashlib
import io
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from .files import OutsideError, inside
from .reading import SizedFile
from .text import amount, count, examples
from .warnings import warn

# scheme -> what has to be installed for it; a store of your own is one more entry, with fsspec.register_implementation
STORES = {
    "s3": "specimg[s3]",
    "s3a": "specimg[s3]",
    "gs": "specimg[gs]",
    "gcs": "specimg[gs]",
    "hf": "huggingface_hub",
    "az": "adlfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "oci": "ocifs",
    "oss": "ossfs",
    "hdfs": "pyarrow",
    "webhdfs": "requests",
    "sftp": "paramiko",
    "ssh": "paramiko",
    "smb": "smbprotocol",
    "memory": "fsspec",
}
BLOCK = 2**19  # bytes of the first request, and of parts that are kept: benchmarks/object_store.py compares sizes
COPIED = 2**23  # bytes a request, where the whole of an object is needed
FEW = 64  # names that are asked for one by one; more are found by one listing, of 1000 names a request
AT_ONCE = 16  # of those requests

_WHOLE = re.compile(r"[A-Za-z][\w+.-]+:(?://|:.*:/)", re.ASCII)
_COLLAPSED = re.compile(rf"({'|'.join(STORES)}):[/\\]")  # what a path made of an address looks like
_PASSWORD = re.compile(r"[^/@]*:[^/@]*@")
_SIGNED = re.compile(r"\?.*(sig|signature|token|key|credential)", re.IGNORECASE)
_HUB = re.compile(
    r"((?:(?:models|datasets|spaces)/)?[^/:]+/[^/:]+):(.+)"
)  # with the folder behind a colon, as `core.hub` has it
_OUT_OF_REACH = {"ConnectionError", "ClientConnectionError", "HTTPClientError", "TransportError", "TimeoutError"}
_NO_ACCOUNT = {"PermissionError", "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"} | {
    "ProfileNotFound",
    "DefaultCredentialsError",
    "RefreshError",
}


# ---------------------------------------------------------------------- addresses


class Address(str):
    """The address of a folder or a recording in a store, checked by `as_address`; `/` goes on below it, as with a path.

    Examples
    --------
    >>> from specimg.core.addresses import as_address
    >>> as_address("s3://bucket/") / "night" / "1.flac"
    's3://bucket/night/1.flac'
    """

    def __truediv__(self, name: str | os.PathLike) -> Address:
        below = Path(name).as_posix()
        return self if below == "." else Address(f"{self}/{below}")

    @property
    def name(self) -> str:
        """Its last part."""
        return self.rpartition("/")[2]


def is_address(source: object) -> bool:
    """Whether this is text that begins as an address does; a path made of one counts, too.

    >>> is_address("s3://bucket/night"), is_address(Path("s3://bucket/night")), is_address("night"), is_address("C:/night")
    (True, True, False, False)
    """
    if not isinstance(source, (str, os.PathLike)):
        return False
    text = source if isinstance(source, str) else str(source)
    return bool(_WHOLE.match(text) or _COLLAPSED.match(text))


def _without_secrets(text: str) -> str:
    """Text without what stands before an @ in addresses, and behind a ?."""
    return re.sub(r"\?\S*", "?...", re.sub(r"//[^/\s@]*@", "//...@", text))


def as_address(source: str | os.PathLike) -> Address:
    """The address that a text is.

    Parameters
    ----------
    source : str or path-like
        `scheme://bucket/folder`.

    Returns
    -------
    Address
        Without a slash at its end.

    Raises
    ------
    ValueError
        It is of no known store, chains several, holds a password or a signature, or has parts that are no names.

    Examples
    --------
    >>> as_address("s3://bucket/night/")
    's3://bucket/night'
    """
    if isinstance(source, Address):
        return source
    text = source if isinstance(source, str) else str(source).replace(os.sep, "/")
    shown = repr(_without_secrets(text))
    scheme, _, rest = text.partition(":")
    if "::" in text or scheme not in STORES:
        raise ValueError(
            f"{shown} is not an address that is read; give one of {', '.join(STORES)} (s3://bucket/folder), or a folder that is here or "
            "mounted. Chains (::) and schemes that open or run other things are refused"
        )
    rest = rest.strip("/")
    if _PASSWORD.match(rest) or _SIGNED.search(rest):
        raise ValueError(
            f"{shown} holds a password or a signature, which would stand in tables and messages; give accounts by the environment or by "
            "fsspec's configuration, and the address without them"
        )
    if scheme == "hf":
        rest = _HUB.sub(r"\1/\2", rest)
    if any(part in ("", ".", "..") or not part.isprintable() for part in rest.split("/")):
        raise ValueError(f"{shown} has a part that is no name; write {scheme}://bucket/folder")
    return Address(f"{scheme}://{rest}")


def as_folder(source: str | os.PathLike) -> Path | Address:
    """A folder of recordings: an address, or a path.

    >>> as_folder("s3://bucket") / "night", as_folder("clips").name
    ('s3://bucket/night', 'clips')
    """
    return as_address(source) if is_address(source) else Path(source)


def join(folder: str | os.PathLike, name: str) -> str:
    """`os.path.join`, for addresses too."""
    return f"{folder}/{name}" if isinstance(folder, Address) else os.path.join(folder, name)


def below_address(root: Address, name: str | os.PathLike) -> str:
    """The name of a recording below an address, given from there or as a whole address. OutsideError if it is elsewhere.

    >>> below_address(as_address("s3://bucket/night"), "s3://bucket/night/a/1.flac")
    'a/1.flac'
    """
    if is_address(name):
        whole = as_address(name)
        if not whole.startswith(f"{root}/"):
            raise OutsideError(f"{str(whole)!r} is not below {str(root)!r}; give names below that address")
        return whole[len(root) + 1 :]
    if os.path.isabs(name):
        raise OutsideError(f"{os.fspath(name)!r} is not below {str(root)!r}; give names below that address")
    return inside("/root", name)


def refuse_address(folder: str | os.PathLike, what: str, ways_out: str) -> None:
    """ValueError where this is an address, and only a folder that is here or mounted will do.

    >>> refuse_address("s3://bucket/cache", "a cache", "give a folder")
    Traceback (most recent call last):
    ValueError: 's3://bucket/cache' is an address, and a cache is a folder ...
    """
    if is_address(folder):
        raise ValueError(
            f"{_without_secrets(str(folder))!r} is an address, and {what} is a folder on a disk that is here or mounted: {ways_out}"
        )


# ---------------------------------------------------------------------- what goes wrong


class StoreError(OSError):
    """A store that answers, and does not hand out what is asked for; `strerror` has the reason as the rest of a sentence."""


_ACCOUNT = "give an account by the store's own environment variables or by fsspec's configuration (docs/how-to/object-stores.md)"


def _in_words(exc: Exception) -> Exception:
    """What a store's library raised as an OSError whose `strerror` is the rest of a sentence that begins with the address."""
    if isinstance(exc, (ImportError, MemoryError, StoreError)):
        return exc
    kinds = {kind.__name__ for kind in type(exc).__mro__}
    told = f"{type(exc).__name__}: {' '.join(_without_secrets(str(exc)).split())[:300]}"
    if "FileNotFoundError" in kinds:
        return FileNotFoundError(errno.ENOENT, "is not there")
    if kinds & _NO_ACCOUNT:
        return PermissionError(errno.EACCES, f"may not be read ({told}); {_ACCOUNT}")
    if kinds & _OUT_OF_REACH:
        return ConnectionError(
            errno.ENETUNREACH, f"is out of reach ({told}); try again when there is a network, or check the endpoint"
        )
    return StoreError(errno.EIO, f"cannot be read: {told}")


@contextlib.contextmanager
def _told(address: Address | None = None) -> Iterator[None]:
    """Within it what a store's library raises is what `_in_words` makes of it, with the address in front where it is given."""
    try:
        yield
    except Exception as exc:
        told = _in_words(exc)
        if address is not None and isinstance(told, OSError):
            told = type(told)(told.errno, f"{str(address)!r} {told.strerror}")
        if told is exc:
            raise
        raise told from exc


def _opened_store(address: Address) -> tuple[Any, str]:
    """(fsspec's file system, the path in it). ImportError with what to install."""
    import fsspec.core

    try:
        return fsspec.core.url_to_fs(str(address))
    except ImportError as exc:
        package = STORES[address.partition(":")[0]]
        raise ImportError(f"{str(address)!r} needs a package that is not installed: pip install '{package}'") from exc


# ---------------------------------------------------------------------- what is there


class Stored(NamedTuple):
    """What a store says of an object; `stat()` as a file of a folder has it.

    Parameters
    ----------
    size : int or None
        Bytes.
    mtime : int
        Modification time in ns; those below a second stand for its ETag or checksum, so that the number changes with the content.
    """

    size: int | None
    mtime: int

    def stat(self) -> Stored:
        return self

    @property
    def st_size(self) -> int | None:
        return self.size

    @property
    def st_mtime_ns(self) -> int:
        return self.mtime


_TIMES = ("LastModified", "last_modified", "mtime", "updated", "modified", "modification_time", "created")
_CONTENTS = ("ETag", "etag", "generation", "blob_id", "content_md5", "md5Hash", "crc32c", "checksum")
_SECOND = 10**9


def _nanoseconds(moment: Any) -> int:
    """A time as stores give it: seconds, a datetime, or ISO text; 0 where it is none of these."""
    if isinstance(moment, str):
        try:
            moment = datetime.datetime.fromisoformat(moment.replace("Z", "+00:00"))
        except ValueError:
            return 0
    if isinstance(moment, datetime.datetime):
        moment = moment.timestamp()
    return int(moment * _SECOND) if isinstance(moment, (int, float)) else 0


def _stored(info: dict) -> Stored:
    time = next((_nanoseconds(info[key]) for key in _TIMES if info.get(key) is not None), 0)
    content = next((str(info[key]) for key in _CONTENTS if info.get(key)), None)
    if content is not None:
        digest = int.from_bytes(hashlib.blake2b(content.strip('"').encode(), digest_size=8).digest(), "big")
        time = time // _SECOND * _SECOND + digest % _SECOND
    return Stored(info.get("size"), time)


def _is_name(name: str) -> bool:
    """Whether the name of an object is one that a file below a folder can have."""
    try:
        return bool(name) and inside("/root", name) == name and not os.path.isabs(name)
    except OutsideError:
        return False


def list_stored(folder: Address) -> dict[str, Stored]:
    """Everything anywhere below an address; objects whose names could lead out of a folder are left out, with a warning.

    Parameters
    ----------
    folder : Address
        As `as_address` makes it.

    Returns
    -------
    dict of str to Stored
        By name below the address, sorted as folders are walked.

    Raises
    ------
    ValueError
        It is one object.
    OSError
        There is no such bucket, it may not be listed, or the store is out of reach.
    ImportError
        The package for this store is not installed.
    """
    with _told(folder):
        fs, path = _opened_store(folder)
        fs.invalidate_cache()  # of an earlier listing
        try:
            found = fs.find(path, detail=True)
        finally:
            fs.invalidate_cache()  # or what is opened later goes by this listing
    start = path.rstrip("/") + "/"
    if set(found) == {path.rstrip("/")}:
        raise ValueError(f"{str(folder)!r} is one object, not a folder; give a list of recordings: [...]")
    files = {full: info for full, info in found.items() if info.get("type") == "file" and not full.endswith("/")}
    named = {full[len(start) :]: _stored(info) for full, info in files.items() if full.startswith(start)}
    outside = [full for full in files if not full.startswith(start)]
    strange = outside + [name for name in named if not _is_name(name)]
    if strange:
        warn(
            f"{count(len(strange), 'object')} of {str(folder)!r} left out, whose names no file below a folder can have ({examples(map(repr, strange))})"
        )
    return {name: named[name] for name in sorted(named.keys() - set(strange), key=lambda name: name.split("/"))}


def stat_stored(address: Address, store: Any = None) -> tuple[int | None, int | None]:
    """(bytes, modification time in ns) of one object; Nones where there is none. OSError where the store does not say.

    store : fsspec's file system, if it is open already
    """
    try:
        with _told(address):
            fs = store or _opened_store(address)[0]
            info = fs.info(fs._strip_protocol(str(address)))
    except FileNotFoundError:
        return None, None
    stored = _stored(info)
    return (stored.size, stored.mtime) if info.get("type") == "file" else (None, None)


def stats_stored(root: Address, names: Iterable[str]) -> dict[str, tuple[int | None, int | None]]:
    """`stat_stored` of names below an address: a few one by one, more by a listing of all that is below it."""
    names = list(dict.fromkeys(names))
    if len(names) > FEW:
        there = list_stored(root)
        return {name: there.get(name, (None, None)) for name in names}
    store, _ = _opened_store(root)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(names, pool.map(lambda name: stat_stored(root / name, store), names)))


# ---------------------------------------------------------------------- bytes


class StoredFile(SizedFile):
    """An object that is read in parts. A part that cannot be had ends the file, and `failure` says why.

    Decoders are C libraries that call back for bytes, through which no exception finds its way: so `failure` has to be looked at behind them.

    Parameters
    ----------
    address : Address
        Of the object.
    head : bytes
        Its beginning.
    file : file
        As fsspec opens it, with a cache of blocks.
    fetch : callable
        `fetch(start=, end=) -> bytes`, one request: for parts of more than a block.
    """

    def __init__(self, address: Address, head: bytes, file: BinaryIO, fetch: Callable[..., bytes]):
        super().__init__(file.seek(0, os.SEEK_END))
        self.name, self.failure = str(address), None
        self._head, self._file, self._fetch = head, file, fetch
        self._copy: io.RawIOBase | None = None

    def _part(self, start: int, end: int) -> bytes:
        if end - start > BLOCK:
            return self._fetch(start=start, end=end)
        self._file.seek(start)
        return self._file.read(end - start)

    def readinto(self, buffer) -> int:
        if self.failure is not None:
            return 0
        end = min(self._size, self._at + len(buffer))
        data = self._head[self._at : end]
        try:
            if self._at + len(data) < end:
                data += self._part(self._at + len(data), end)
        except Exception as exc:
            self.failure = _in_words(exc)
            return 0
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def copied(self) -> io.RawIOBase:
        """All of it as a file on this disk, without a name; kept until another object is opened, for windows of one follow each other."""
        fs, path = _opened_store(Address(self.name))
        with _told():
            state = _stored(fs.info(path))
        file = tempfile.TemporaryFile(prefix="specimg-")
        try:
            self.seek(0)
            while data := self.read(COPIED):
                file.write(data)
            file.flush()
        except OSError as exc:
            where = f"no room for {amount(self._size)} in {tempfile.gettempdir()!r}"
            raise StoreError(exc.errno, f"cannot be copied: {exc.strerror} ({where}); set TMPDIR") from exc
        if self.failure is not None:
            raise self.failure
        _keep(Address(self.name), state, lambda: os.fdopen(os.dup(file.fileno()), "rb", buffering=0))
        self._copy = _kept.latest.open()
        return self._copy

    def close(self) -> None:
        if self._copy is not None:
            self._copy.close()
        super().close()


class _Kept(NamedTuple):
    """The object that was read last: how to open it again while it is in the same state, in the process that read it."""

    address: str
    state: Stored
    process: int
    open: Callable[[], io.RawIOBase]


_kept = threading.local()


def _keep(address: Address, state: Stored, reopen: Callable[[], io.RawIOBase]) -> None:
    _kept.latest = _Kept(address, state, os.getpid(), reopen)


def _opened_again(address: Address) -> io.RawIOBase | None:
    """The object that this thread of this process read last, if it is this one, and still the same."""
    kept = getattr(_kept, "latest", None)
    if kept is None or (kept.address, kept.process) != (address, os.getpid()):
        return None
    with contextlib.suppress(OSError):  # which opening it will say again
        if stat_stored(address) == kept.state:
            return kept.open()
    return None


def read_stored(address: Address) -> bytes:
    """All bytes of an object. OSError as `open_stored`, with the address in front."""
    with _told(address):
        fs, path = _opened_store(address)
        return fs.cat_file(path)


def open_stored(address: Address) -> Any:
    """Open an object: what is small is read with one request, of what is large the parts that are asked for.

    Parameters
    ----------
    address : Address
        As `as_address` makes it.

    Returns
    -------
    io.IOBase
        A `StoredFile` where it is longer than `BLOCK`, whose `failure` says whether all parts could be had.

    Raises
    ------
    OSError
        It is not there, may not be read, or the store is out of reach; `strerror` has the reason.
    ImportError
        The package for this store is not installed.
    """
    again = _opened_again(address)
    if again is not None:
        return again
    fs, path = _opened_store(address)
    with _told():
        try:
            head = fs.cat_file(path, start=0, end=BLOCK + 1)
        except OSError as exc:
            answered = not isinstance(exc, (FileNotFoundError, PermissionError, ConnectionError, TimeoutError))
            if not answered or fs.info(path)["size"]:  # an empty object has no range
                raise
            head = b""
        if len(head) <= BLOCK:
            return io.BytesIO(head)
        file = fs.open(path, "rb", block_size=BLOCK, cache_type="blockcache")
        state = _stored(getattr(file, "details", None) or fs.info(path))
    _keep(address, state, functools.partial(StoredFile, address, head, file, functools.partial(fs.cat_file, path)))
    return _kept.latest.open()
