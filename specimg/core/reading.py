"""Bounded readers of files that came from elsewhere: JSON, TOML and .npz.

A file may have been damaged or written to do harm. So its size, its depth of nesting and what it claims to hold are checked before
memory is spent on it, and every failure is a ValueError that begins with the path. A missing file stays a FileNotFoundError.

>>> parse_json('{"epochs": 5}'), parse_toml("lr = 1e-3")
({'epochs': 5}, {'lr': 0.001})
>>> parse_json("[" * 100_000)
Traceback (most recent call last):
ValueError: the text is nested in more than 100 levels
"""

from __future__ import annotations

import io
import itertools
import json
import math
import os
import re
import stat
import sys
import zipfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    import numpy as np

MAX_JSON = 1 << 26  # bytes of a file: 64 MiB
MAX_TOML = 1 << 22  # bytes of a file, which a reader in Python takes seconds for
MAX_ARRAYS = 1 << 33  # bytes of all arrays of a .npz file
MAX_DEPTH = 100  # levels of nesting; parsers and readers recurse
MAX_RATIO, SMALL = 200, 1 << 26  # unpacked bytes per byte of a .npz file, where they are more than 64 MiB


def _named(source: str | os.PathLike | None) -> str:
    return "the text" if source is None else repr(os.fspath(source))


# ---------------------------------------------------------------------- bytes


def open_regular(path: str | os.PathLike) -> BinaryIO:
    """Open a regular file to read its bytes; what would block or never end, as a pipe or a device does, is a ValueError.

    Examples
    --------
    >>> with open_regular("dog.wav") as file:
    ...     file.read(4)
    b'RIFF'
    """
    # a pipe without a writer would block
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise ValueError(f"{_named(path)} is not a regular file")
    return open(handle, "rb")


def read_bytes(path: str | os.PathLike, max_bytes: int) -> bytes:
    """The content of a regular file.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int
        More bytes are an error.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        It is a folder, a pipe or a device, or is larger than `max_bytes`.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> len(read_bytes("dog.wav", max_bytes=100_000))
    8044
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise ValueError(f"{_named(path)} has {size} bytes; at most {max_bytes} are read")
        return file.read(size)


# ---------------------------------------------------------------------- JSON

_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)


def _nests_deeply(text: bytes) -> bool:
    """Whether a parser of JSON would recurse more than `MAX_DEPTH` levels; brackets in strings do not count."""
    outside = b"".join(text.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    brackets = outside.translate(None, delete=_OTHERS)
    return any(
        depth > MAX_DEPTH for depth in itertools.accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        repeated = next(name for name, n in Counter(name for name, _ in pairs).items() if n > 1)
        raise ValueError(f"it has the entry {repeated[:80]!r} twice")
    return found


def parse_json(text: str | bytes, source: str | os.PathLike | None = None, *, strict: bool = False) -> Any:
    """Parse JSON text.

    Parameters
    ----------
    text : str or bytes
        UTF-8 if it is bytes.
    source : str or path-like, default None
        The file it came from, for messages.
    strict : bool, default False
        Refuse NaN and Infinity, and objects that have an entry twice.

    Returns
    -------
    dict, list, str, number, bool or None

    Raises
    ------
    ValueError
        It is not JSON, or is nested in more than 100 levels; the message begins with `source`.

    Examples
    --------
    >>> parse_json('{"a": 1, "a": 2}', "run.json", strict=True)
    Traceback (most recent call last):
    ValueError: 'run.json' is not JSON: it has the entry 'a' twice
    """
    hooks = dict(parse_constant=_refuse_constant, object_pairs_hook=_refuse_repeated) if strict else {}
    try:
        data = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
        if _nests_deeply(data):
            raise RecursionError
        return json.loads(text if isinstance(text, str) else text.decode("utf-8"), **hooks)
    except RecursionError as exc:
        raise ValueError(f"{_named(source)} is nested in more than {MAX_DEPTH} levels") from exc
    except ValueError as exc:
        raise ValueError(f"{_named(source)} is not JSON: {exc}") from exc


def read_json(path: str | os.PathLike, *, max_bytes: int = MAX_JSON, strict: bool = False) -> Any:
    """Read a JSON file.

    Parameters
    ----------
    path : str or path-like
        The file, UTF-8.
    max_bytes : int, default 64 MiB
        A larger file is an error.
    strict : bool, default False
        As for `parse_json`.

    Returns
    -------
    dict, list, str, number, bool or None

    Raises
    ------
    ValueError
        It is too large, no JSON, or nested in more than 100 levels; the message begins with the path.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> with open("run.json", "w") as file:
    ...     _ = file.write('{"folds": 5}')
    >>> read_json("run.json")
    {'folds': 5}
    """
    return parse_json(read_bytes(path, max_bytes), path, strict=strict)


# ---------------------------------------------------------------------- TOML

_PART = r"""(?:[\w-]+|"[^"\n]*"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![\w-]){_PART}(?:[ \t]*\.[ \t]*{_PART}){{{MAX_DEPTH}}}")  # takes the square of it to parse


def _is_deep(part: Any) -> bool:
    """Whether lists and dictionaries are nested too deeply, level by level."""
    level = [part]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return False
    return True


def swap_leaves(part: Any, old: Any, new: Any) -> Any:
    """Plain data with every leaf that equals `old` replaced by `new`."""
    if isinstance(part, dict):
        return {name: swap_leaves(child, old, new) for name, child in part.items()}
    if isinstance(part, list):
        return [swap_leaves(child, old, new) for child in part]
    return new if type(part) is type(old) and part == old else part


def parse_toml(text: str, source: str | os.PathLike | None = None, *, none: bool = False) -> dict[str, Any]:
    """Parse TOML text.

    Parameters
    ----------
    text : str
        The text.
    source : str or path-like, default None
        The file it came from, for messages.
    none : bool, default False
        The string "none" is None, as `Value.to_toml` writes it: TOML has no null.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        It is not TOML, is nested in more than 100 levels, or a key has more than 100 parts; the message begins with `source`.

    Examples
    --------
    >>> parse_toml('top_db = "none"', none=True)
    {'top_db': None}
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    if _LONG_KEY.search(text):
        raise ValueError(f"{_named(source)} has a key of more than {MAX_DEPTH} parts")
    try:
        found = tomllib.loads(text)
        if _is_deep(found):
            raise RecursionError
    except RecursionError as exc:
        raise ValueError(f"{_named(source)} is nested in more than {MAX_DEPTH} levels") from exc
    except ValueError as exc:
        raise ValueError(f"{_named(source)} is not TOML: {exc}") from exc
    return swap_leaves(found, "none", None) if none else found


def read_toml(path: str | os.PathLike, *, max_bytes: int = MAX_TOML, none: bool = False) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path : str or path-like
        The file, UTF-8.
    max_bytes : int, default 4 MiB
        A larger file is an error.
    none : bool, default False
        As for `parse_toml`.

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        It is too large, no TOML, nested in more than 100 levels, or a key has more than 100 parts; the message begins with the path.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> with open("recipe.toml", "w") as file:
    ...     _ = file.write("epochs = 5")
    >>> read_toml("recipe.toml")
    {'epochs': 5}
    """
    data = read_bytes(path, max_bytes)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ValueError(f"{_named(path)} is not TOML: {exc}") from exc
    return parse_toml(text, path, none=none)


# ---------------------------------------------------------------------- arrays


def _check_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    """ValueError unless a member is an array without objects that is as large as its header says."""
    from numpy.lib import format

    readers = {(1, 0): format.read_array_header_1_0, (2, 0): format.read_array_header_2_0}
    with archive.open(info) as member:
        version = format.read_magic(member)
        if version not in readers:
            raise ValueError(f"{info.filename}: version {version} of .npy is not read")
        shape, _, dtype = readers[version](member)
        if dtype.hasobject:
            raise ValueError(f"{info.filename}: it holds Python objects, which are never loaded")
        claimed = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or claimed != info.file_size - member.tell():
            raise ValueError(f"{info.filename}: its shape {shape} is not that of its {info.file_size} bytes")


def read_npz(path: str | os.PathLike, *, max_bytes: int = MAX_ARRAYS) -> dict[str, np.ndarray]:
    """Read the arrays of a .npz file, as `numpy.savez` writes it; nothing is unpickled.

    Parameters
    ----------
    path : str or path-like
        The file.
    max_bytes : int, default 8 GiB
        More bytes of all arrays are an error, as are more than 64 MiB that are 200 times the size of the file.

    Returns
    -------
    dict of ndarray

    Raises
    ------
    ValueError
        It is not a .npz file, holds other things than arrays of numbers and text, or claims to be too large; the message begins with the
        path.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> np.savez("oof.npz", probs=np.eye(2))
    >>> read_npz("oof.npz")["probs"].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    import numpy as np

    path, found = Path(path), {}
    size = os.stat(path).st_size
    try:
        if not path.is_file() or not zipfile.is_zipfile(path):
            raise ValueError("it is not a .npz file")
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
            if total > min(max_bytes, max(SMALL, MAX_RATIO * size)):
                raise ValueError(f"its arrays take {total} bytes, too many for a file of {size}")
            for info in archive.infolist():
                _check_header(archive, info)
                with archive.open(info) as member:
                    found[info.filename.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
    except Exception as exc:  # numpy and zipfile raise a dozen kinds for damaged files
        raise ValueError(f"{_named(path)} is not read: {exc or type(exc).__name__}") from exc
    return found


def is_number(part: object, below: float | None = None) -> bool:
    """Whether what a file holds is a number, which true and false are not, and of a size below a bound if there is one.

    Parameters
    ----------
    part : object
        As JSON or torch gives it.
    below : float, default None
        The bound of its size, which nan is never below. None: nan and infinity are numbers too, whole ones that no float holds are not.

    Returns
    -------
    bool

    Examples
    --------
    >>> is_number(3), is_number(True), is_number(1e40, below=1e30)
    (True, False, False)
    """
    if isinstance(part, bool) or not isinstance(part, (int, float)):
        return False
    if below is None:
        return isinstance(part, float) or abs(part) <= sys.float_info.max
    return abs(part) < below


def refuse_packed(path: str | os.PathLike) -> None:
    """Check that the members of a zip file, as `torch.save` writes one, are not larger than the file, so that reading it is no surprise.

    Parameters
    ----------
    path : str or path-like
        The file; one that is not a zip file is not looked at.

    Raises
    ------
    ValueError
        Its members are packed; the message begins with the path.
    FileNotFoundError
        It does not exist.

    Examples
    --------
    >>> np.savez("oof.npz", probs=np.eye(2))         # not compressed, as torch's files
    >>> refuse_packed("oof.npz")
    """
    size = os.stat(path).st_size
    if not Path(path).is_file() or not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(info.file_size for info in archive.infolist())
    except Exception as exc:  # zipfile raises half a dozen kinds for damaged files
        raise ValueError(f"{_named(path)} is a damaged zip file: {exc or type(exc).__name__}") from exc
    if total > size:
        raise ValueError(
            f"{_named(path)} has {size} bytes and would unpack to {total}; it is not as torch.save writes it"
        )


# ---------------------------------------------------------------------- bytes that know where they end


class SizedFile(io.RawIOBase):
    """A file to read from, whose size is known. A subclass has `readinto`, which goes on from `_at` and moves it.

    Parameters
    ----------
    size : int
        Bytes.
    """

    def __init__(self, size: int):
        self._size, self._at = size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence])
        return self._at
