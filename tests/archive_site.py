"""Archives with known content, and a server in this process that can misbehave."""

import hashlib
import io
import os
import shutil
import tarfile
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

import specimg as sp
from specimg.datasets import DataSet, RemoteFile, fetching

SOUNDS = {
    "set-1/dog/a.wav": b"a" * 5000,
    "set-1/dog/b.wav": b"",
    "set-1/cat/ü.wav": os.urandom(200_000),
    "set-1/README": b"read me",
}


def zipped(members, compression=zipfile.ZIP_STORED):
    """The bytes of a zip; a member is name -> bytes, or a ready ZipInfo -> bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def tarred(members, mode="w:gz"):
    """The bytes of a tar; a member is name -> bytes, or a ready TarInfo -> bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, data in members.items():
            info = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = info.size or len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zip_member(name, mode=0, flags=0):
    info = zipfile.ZipInfo("placeholder")
    info.filename = info.orig_filename = name  # unlike the constructor, takes names as they are
    info.external_attr, info.flag_bits = mode << 16, flags
    return info


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def listing(folder):
    """Every file below a folder, without the lock, which stays."""
    return sorted(
        p.relative_to(folder).as_posix()
        for p in Path(folder).rglob("*")
        if p.is_file() and not p.name.startswith(".lock-")
    )


def contents(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != fetching.SOURCE
    }


class Site:
    """What the server holds and how it behaves. `cuts` are bytes after which the next answers break off (None: not at all)."""

    def __init__(self):
        self.files, self.asked, self.cuts = {}, [], []
        self.ranges, self.etag, self.modified, self.status, self.length = True, '"one"', None, 200, True
        self.content_range = None  # a wrong answer to give instead
        self.hold = None  # (bytes, Event): stop there until the event is set

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}"

    def dataset(self, data, name="small", file="small.zip", checksum="right", **kwargs):
        """Serve `data` and describe it."""
        self.files["/" + file] = data
        known = sha256(data) if checksum == "right" else checksum
        archive = RemoteFile(self.url(file), file, known, len(data), **kwargs)
        return DataSet(name, (archive,), "CC BY 4.0", "https://example.org/small", "a few sounds")


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def do_GET(self):
        site, data = self.server.site, self.server.site.files.get(self.path)
        asked = {"range": self.headers.get("Range"), "if_range": self.headers.get("If-Range")}
        site.asked.append(asked)
        if data is None or site.status != 200:
            return self.send_error(404 if data is None else site.status)
        unchanged = asked["if_range"] in (None, site.etag, site.modified)
        first = int(asked["range"][6:-1]) if asked["range"] and site.ranges and unchanged else 0
        if asked["range"] and site.ranges and unchanged and first >= len(data):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", site.content_range or f"bytes {first}-{len(data) - 1}/{len(data)}")
        for name, value in (("ETag", site.etag), ("Last-Modified", site.modified)):
            if value:
                self.send_header(name, value)
        self.send_header(
            *(("Content-Length", str(len(data) - first)) if site.length else ("Transfer-Encoding", "chunked"))
        )
        self.end_headers()
        self.send(data[first:], site)

    def send(self, data, site):
        cut = site.cuts.pop(0) if site.cuts else None
        data, whole = data[:cut], cut is None
        if site.hold:
            size, event = site.hold
            self.wfile.write(data[:size])
            event.wait(60)
            data = data[size:]
        if not site.length:
            for i in range(0, len(data), 50_000):
                piece = data[i : i + 50_000]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n" if whole else b"")
        else:
            self.wfile.write(data)
        self.close_connection = True

    def finish(self):
        try:
            super().finish()
        except OSError:
            pass


BIG = zipped({"set-1/noise.wav": os.urandom(300_000)})


def begin(site, tmp_path, known, cut):
    """A first call whose connection breaks off after `cut` bytes, and whose second brings nothing."""
    site.cuts = [cut, 0]
    with pytest.raises(
        ConnectionError, match=r"cannot be downloaded.*Call again to go on.*put the file at .*small.zip"
    ):
        sp.fetch(known, tmp_path)
    site.asked.clear()
    site.cuts.clear()
    return (tmp_path / ".partial-small" / "small.zip.part").stat().st_size


Usage = namedtuple("Usage", "total used free")


def disk_with(free, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))
