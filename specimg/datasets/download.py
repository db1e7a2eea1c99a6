"""A download that resumes where it was broken off, unless the file has changed meanwhile.

    ResumingDownloader("work/set.zip.part")("https://example.org/set.zip", "work/set.zip")

The bytes grow in `set.zip.part`; `set.zip.part.json` holds the version of the file that they belong to, as the server described it:
ETag, Last-Modified and length. The next request asks for the rest under the condition that the file is still that one (RFC 9110, Range
and If-Range). `resume_action` decides about the response; if it cannot be trusted everything is requested again. Whether the file is
the right one is decided later, by its checksum.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import requests
import urllib3

from .. import __version__
from ..core.files import write_atomic
from ..core.progress import progress_bar
from ..core.reading import read_json
from ..core.text import amount

TIMEOUT = (10, 60)  # s, to be connected and between two pieces
CHUNK = 1 << 16  # bytes a kill may cost
VALIDATORS = ("ETag", "Last-Modified")  # by which a server says that a file is the one of last time
BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError)


# ---------------------------------------------------------------------- decisions about responses


class _Range(NamedTuple):
    first: int
    total: int | None


def _content_range(headers: Mapping[str, str]) -> _Range | None:
    """The first byte and the total length that a Content-Range header states."""
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
    return match and _Range(int(match[1]), None if match[2] == "*" else int(match[2]))


def resume_action(status: int, headers: Mapping[str, str], have: int, version: dict) -> str:
    """What to do with a response.

    Parameters
    ----------
    status : int
        Status code of HTTP.
    headers : mapping
        Its headers.
    have : int
        Bytes that are here, after which the request asked to resume; 0 if it asked for everything.
    version : dict
        What the server said of the file when those bytes came: ETag, Last-Modified, total.

    Returns
    -------
    {"begin", "append", "again", "refuse"}
        "begin" and "append" use the response, "again" requests the whole file, "refuse" gives up.
    """
    if status == 200:
        return "begin"  # also from a server that supports no ranges, or whose file has changed
    if not have or status not in (206, 416):
        return "refuse"
    sent = _content_range(headers)
    unchanged = all(headers.get(name) in (None, version[name]) for name in VALIDATORS)
    fits = (
        status == 206
        and sent is not None
        and sent.first == have
        and (sent.total == version["total"] or None in (sent.total, version["total"]))
    )
    return "append" if fits and unchanged else "again"


def _request_headers(have: int, version: dict) -> dict[str, str]:
    """Headers of a request for the bytes from `have` on, or for all of them if the file has changed."""
    headers = {"User-Agent": f"specimg/{__version__}", "Accept-Encoding": "identity"}
    if not have:
        return headers
    headers["Range"] = f"bytes={have}-"
    etag = version["ETag"] or ""
    # weak tags are not allowed in If-Range
    unchanged_since = version["Last-Modified"] if not etag or etag.startswith("W/") else etag
    return headers | ({"If-Range": unchanged_since} if unchanged_since else {})


# ---------------------------------------------------------------------- the download


def _reason(exc: Exception):
    """The cause inside the layers of exceptions of requests and urllib3."""
    inner = exc.args[0] if exc.args else exc
    return getattr(inner, "reason", inner)


class ResumingDownloader:
    """A downloader for pooch, `(url, output_file, pooch)`, that resumes what an earlier call left in `part`.

    A connection that breaks off is opened again as long as each brings more bytes; else ConnectionError, and the bytes stay.

    Parameters
    ----------
    part : str or path-like
        The file that grows; `<part>.json` beside it holds the version that its bytes belong to.
    progress : bool, default True
        Show a bar.
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
                    raise ConnectionError(
                        f"{url} cannot be downloaded: {_reason(exc)} ({amount(have)} downloaded so far)"
                    ) from exc
                furthest = have
        os.replace(self.part, output_file)
        self.note.unlink()

    def begun(self, url: str) -> tuple[int, dict]:
        """(bytes to resume after, the version they belong to)."""
        try:
            version = read_json(self.note)
            have = self.part.stat().st_size
        except (FileNotFoundError, ValueError):
            return 0, {}
        total = version["total"]
        # else nothing would show that the file has changed
        known = total is not None or any(version[name] for name in VALIDATORS)
        usable = version["url"] == url and known and (total is None or have <= total)
        return (have, version) if usable else (0, {})

    def _receive(self, url: str) -> None:
        """Request what is missing and write it, until the file is complete or the connection breaks off."""
        have, version = self.begun(url)
        if have and have == version["total"]:
            return
        with requests.get(url, headers=_request_headers(have, version), stream=True, timeout=TIMEOUT) as response:
            action = resume_action(response.status_code, response.headers, have, version)
            if action == "refuse":
                answer = f"{response.status_code} {response.reason}"
                raise ConnectionError(
                    f"{url} cannot be downloaded: the server answers {answer} ({amount(have)} downloaded so far)"
                )
            if action == "append":
                self._write(response, "ab", version["total"] or _content_range(response.headers).total)
                return
            if action == "begin":
                self._begin(response, url)
                return
        self.part.unlink()  # so that the next request is for everything
        self._receive(url)

    def _begin(self, response: requests.Response, url: str) -> None:
        """Write the whole file, and the server's description of this version of it."""
        length = response.headers.get("Content-Length", "")
        version = {"url": url, "total": int(length) if length.isdigit() else None}
        version |= {name: response.headers.get(name) for name in VALIDATORS}
        self.part.write_bytes(b"")  # first, so that old bytes never belong to the new note
        write_atomic(self.note, json.dumps(version).encode())
        self._write(response, "wb", version["total"])

    def _write(self, response: requests.Response, mode: str, total: int | None) -> None:
        """Write what comes, up to `total` bytes in all, if that is known."""
        with open(self.part, mode) as file:
            have, free = file.tell(), shutil.disk_usage(self.part.parent).free
            if total is not None and total - have > free:
                raise OSError(errno.ENOSPC, f"{amount(total - have)} still to download, {amount(free)} are free")
            with progress_bar(total, self.part.stem, self.progress, unit="B", initial=have) as bar:
                for chunk in response.raw.stream(CHUNK, decode_content=False):  # whatever encoding the server states
                    file.write(chunk)
                    file.flush()
                    bar.update(len(chunk))
            end = file.tell()
        if total is not None and end < total:  # which urllib3 before 2.0 does not notice
            raise requests.ConnectionError(f"the connection ended after {end} of {total} bytes")
