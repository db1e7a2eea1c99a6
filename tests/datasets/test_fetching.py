"""Data sets arrive whole, checked and unpacked inside their folder, or not at all; a broken-off download goes on.

Everything comes from a server in this process, which can misbehave.
"""

import errno
import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import threading
import time
import tracemalloc
import warnings
import zipfile
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pooch
import pytest
import requests
import urllib3

import specimg as sp
from specimg.datasets import (
    DataSet,
    RemoteFile,
    catalogue,
    download as downloading,
    fetching,
    find_dataset,
    unpack as unpacking,
)
from specimg.datasets.archives import compare_checksums
from specimg.datasets.download import ResumingDownloader, resume_action

SOUNDS = {
    "set-1/dog/a.wav": b"a" * 5000,
    "set-1/dog/b.wav": b"",
    "set-1/cat/ü.wav": os.urandom(200_000),
    "set-1/README": b"read me",
}


# ---------------------------------------------------------------------- archives


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


def tar_member(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


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


# ---------------------------------------------------------------------- a server that can misbehave


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


@pytest.fixture
def site():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *args: None  # a client that goes away is part of the tests
    server.site = Site()
    server.site.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server.site
    if server.site.hold:
        server.site.hold[1].set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def nothing_else(monkeypatch):
    """No test reaches anything but this machine, through no proxy, and pooch is quiet."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    connect = socket.socket.connect

    def only_here(sock, address):
        assert not isinstance(address, tuple) or address[0] in ("127.0.0.1", "::1"), address
        return connect(sock, address)

    monkeypatch.setattr(socket.socket, "connect", only_here)
    monkeypatch.setattr(downloading, "CHUNK", 4096)
    monkeypatch.setattr(pooch.get_logger(), "level", 30)


# ---------------------------------------------------------------------- the registry


def test_every_entry_is_in_order():
    assert sp.list_datasets() == [
        "ESC-50",
        "FSDD",
        "FSDKaggle2018",
        "UrbanSound8K",
        "mini_speech_commands",
        "speech_commands_v1",
        "speech_commands_v2",
    ]
    for name in sp.list_datasets():
        data = find_dataset(name)
        assert data.name == name and data.home.startswith("https://") and data.about and data.download_size > 1e7
        assert "CC" in data.licence
        for file in data.files:
            assert file.url.startswith("https://") and catalogue.CHECKSUM.fullmatch(file.checksum)
            assert file.stable is ("github.com" not in file.url)
        assert DataSet.from_json(data.to_json()) == data


def test_the_four_archives_of_fsdkaggle2018():
    data = find_dataset("FSDKaggle2018")
    assert [file.name.split(".")[1] for file in data.files] == ["audio_train", "audio_test", "meta", "doc"]
    assert "non-commercial" in data.licence


@pytest.mark.parametrize(
    "name, near",
    [
        ("esc50", "ESC-50"),
        ("ESC 50", "ESC-50"),
        ("fsdd", "FSDD"),
        ("urbansound8k", "UrbanSound8K"),
        ("speech_commands_v3", "speech_commands_v2"),
        ("Speech-Commands-V2", "speech_commands_v2"),
    ],
)
def test_an_unknown_name_is_told_the_near_one(name, near, tmp_path):
    with pytest.raises(ValueError, match=f"unknown data set '{name}'; did you mean .*'{near}'"):
        sp.fetch(name, tmp_path)
    assert listing(tmp_path) == []


def test_a_name_like_nothing_is_told_them_all():
    with pytest.raises(ValueError, match="choose one of ESC-50, FSDD, FSDKaggle2018"):
        sp.fetch("bird-songs")


FILE = dict(url="https://example.org/a.zip", name="a.zip")
SET = dict(name="a", files=(RemoteFile(**FILE),), licence="CC0", home="", about="")


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(url="ftp://example.org/a.zip"), "does not begin with https://"),
        (dict(url="file:///etc/passwd"), "does not begin with https://"),
        (dict(name="a.rar"), "an ending of .zip, .tar.gz"),
        (dict(name="../a.zip"), "file name '../a.zip'"),
        (dict(name="b/a.zip"), "file name 'b/a.zip'"),
        (dict(name=".partial.zip"), "file name '.partial.zip'"),
        (dict(checksum="sha256:12"), "write 'md5:', 'sha1:' or 'sha256:'"),
        (dict(checksum="A" * 64), "write 'md5:', 'sha1:' or 'sha256:'"),
    ],
)
def test_a_file_is_described_properly(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RemoteFile(**(FILE | changes))


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(name="../a"), "name of a data set '../a'"),
        (dict(name=".."), "name of a data set '..'"),
        (dict(name=""), "name of a data set ''"),
        (dict(files=()), "has 0 files"),
        (dict(files=(RemoteFile(**FILE), RemoteFile(**(FILE | dict(name="A.zip"))))), "2 files of 1 different names"),
        (dict(licence=""), "has no licence"),
    ],
)
def test_a_data_set_is_described_properly(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataSet(**(SET | changes))


# ---------------------------------------------------------------------- decisions


@pytest.mark.parametrize(
    "known, seen, stable, status",
    [
        (None, "md5:1", True, "unknown"),
        ("md5:1", "md5:1", True, "same"),
        ("md5:1", "md5:1", False, "same"),
        ("md5:1", "md5:2", True, "wrong"),
        ("md5:1", "md5:2", False, "changed"),
    ],
)
def test_compare_checksums(known, seen, stable, status):
    assert compare_checksums(known, seen, stable) == status


VERSION = {"ETag": '"one"', "Last-Modified": None, "total": 10}
GOOD = {"Content-Range": "bytes 4-9/10", "ETag": '"one"'}


@pytest.mark.parametrize(
    "status, headers, have, action",
    [
        (200, {}, 0, "begin"),
        (200, {}, 4, "begin"),
        (206, GOOD, 4, "append"),
        (206, {"Content-Range": "bytes 4-9/10"}, 4, "append"),
        (
            206,
            {"Content-Range": "bytes 4-7/10"},
            4,
            "append",
        ),  # a part of the rest: the rest of it is asked for afterwards
        (206, GOOD, 3, "again"),
        (206, GOOD | {"ETag": '"two"'}, 4, "again"),
        (206, GOOD | {"Last-Modified": "today"}, 4, "again"),
        (206, GOOD | {"Content-Range": "bytes 4-10/11"}, 4, "again"),
        (206, GOOD | {"Content-Range": "bytes 4-9/*"}, 4, "append"),
        (206, GOOD | {"Content-Range": "bytes=4-9/10"}, 4, "again"),
        (206, {}, 4, "again"),
        (416, {"Content-Range": "bytes */10"}, 4, "again"),
        (206, GOOD, 0, "refuse"),
        (416, {}, 0, "refuse"),
        (404, {}, 4, "refuse"),
        (500, {}, 0, "refuse"),
        (204, {}, 0, "refuse"),
    ],
)
def test_resume_action(status, headers, have, action):
    assert resume_action(status, headers, have, VERSION) == action


def test_a_length_that_was_not_known_before_is_no_change():
    assert resume_action(206, GOOD, 4, VERSION | {"total": None}) == "append"


@pytest.mark.parametrize(
    "version, expected",
    [
        (VERSION, '"one"'),
        (
            VERSION | {"ETag": 'W/"weak"', "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
            "Mon, 01 Jan 2024 00:00:00 GMT",
        ),
        (VERSION | {"ETag": 'W/"weak"'}, None),
        (VERSION | {"ETag": None}, None),
    ],
)
def test_the_rest_is_asked_for_only_if_the_file_is_unchanged(version, expected):
    headers = downloading._request_headers(4, version)
    assert headers["Range"] == "bytes=4-" and headers.get("If-Range") == expected
    assert "Range" not in downloading._request_headers(0, {}) and headers["Accept-Encoding"] == "identity"


# ---------------------------------------------------------------------- a whole fetch


@pytest.mark.parametrize(
    "file, data",
    [
        ("small.zip", zipped(SOUNDS)),
        ("small.zip", zipped(SOUNDS, zipfile.ZIP_DEFLATED)),
        ("small.tar.gz", tarred(SOUNDS)),
        ("small.tgz", tarred(SOUNDS)),
        ("small.tar", tarred(SOUNDS, "w")),
    ],
    ids=["zip", "deflated", "tar.gz", "tgz", "tar"],
)
def test_a_data_set_is_downloaded_checked_and_unpacked(site, tmp_path, capsys, file, data):
    folder = sp.fetch(site.dataset(data, file=file), tmp_path)
    assert folder == tmp_path / "small" / "set-1"
    assert contents(folder.parent) == SOUNDS
    assert listing(tmp_path) == sorted(
        [f"small/{name}" for name in SOUNDS] + [f"small/{fetching.SOURCE}"]
    )  # no archive, nothing partial
    out = capsys.readouterr().out
    assert out.count("\n") == 1 and "CC BY 4.0" in out and "127.0.0.1" in out and "https://example.org/small" in out
    assert f"{len(data) / 1e3:.1f} kB to download" in out


def test_the_note_says_where_it_comes_from(site, tmp_path):
    data = zipped(SOUNDS)
    known = site.dataset(data)
    sp.fetch(known, tmp_path)
    note = json.loads((tmp_path / "small" / fetching.SOURCE).read_text())
    assert DataSet.from_dict(note["dataset"]) == known and note["content"] == "set-1"
    assert note["archives"] == [
        {
            "name": "small.zip",
            "url": site.url("small.zip"),
            "by_hand": False,
            "size": len(data),
            "sha256": sha256(data)[7:],
            "checksum_known": sha256(data),
            "checksum_seen": sha256(data),
            "checksum_is": "same",
        }
    ]


def test_without_a_known_checksum_the_note_keeps_the_one_that_was_seen(site, tmp_path):
    data = zipped(SOUNDS)
    sp.fetch(site.dataset(data, checksum=None), tmp_path)
    record = json.loads((tmp_path / "small" / fetching.SOURCE).read_text())["archives"][0]
    assert (
        record["checksum_is"] == "unknown"
        and record["checksum_known"] is None
        and record["checksum_seen"] == sha256(data)
    )


@pytest.mark.parametrize("algorithm", ["md5", "sha1"])
def test_other_checksums_are_known_too(site, tmp_path, algorithm):
    data = zipped(SOUNDS)
    right = f"{algorithm}:{hashlib.new(algorithm, data).hexdigest()}"
    assert sp.fetch(site.dataset(data, checksum=right), tmp_path).is_dir()
    with pytest.raises(ValueError, match="was expected"):
        sp.fetch(site.dataset(data + b"x", name="other", checksum=right), tmp_path)


def test_a_second_call_uses_no_network_and_writes_nothing(site, tmp_path, monkeypatch, capsys):
    known = site.dataset(zipped(SOUNDS))
    first = sp.fetch(known, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}
    capsys.readouterr()
    monkeypatch.setattr(requests, "get", lambda *args, **kwargs: pytest.fail("the network is used"))
    monkeypatch.setattr(
        fetching, "_alone", lambda *args: pytest.fail("a lock is taken")
    )  # which a read-only folder would not have
    assert sp.fetch(known, str(tmp_path)) == first
    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")} == before
    assert capsys.readouterr().out == "" and len(site.asked) == 1


def test_without_a_single_top_folder_the_data_sets_own_is_returned(site, tmp_path):
    members = {"./yes/1.wav": b"y", "./no/1.wav": b"n", "./LICENSE": b"CC BY"}
    folder = sp.fetch(site.dataset(tarred(members), file="small.tar.gz"), tmp_path)
    assert folder == tmp_path / "small"
    assert contents(folder) == {"yes/1.wav": b"y", "no/1.wav": b"n", "LICENSE": b"CC BY"}


def test_one_file_alone_is_no_folder(site, tmp_path):
    assert sp.fetch(site.dataset(zipped({"a.wav": b"a"})), tmp_path) == tmp_path / "small"


def test_what_macos_adds_is_left_out(site, tmp_path):
    members = {"set-1/a.wav": b"a", "set-1/._a.wav": b"x", "set-1/.DS_Store": b"x", "__MACOSX/set-1/._a.wav": b"x"}
    folder = sp.fetch(site.dataset(zipped(members)), tmp_path)
    assert folder == tmp_path / "small" / "set-1" and contents(folder) == {"a.wav": b"a"}


def test_several_archives_share_a_folder(site, tmp_path, capsys):
    parts = {
        "audio.zip": zipped({"set.audio/1.wav": b"1"}),
        "meta.tar.gz": tarred({"set.meta/train.csv": b"fname,label"}),
    }
    files = tuple(site.dataset(data, file=name).files[0] for name, data in parts.items())
    folder = sp.fetch(DataSet("two", files, "CC0", "", "", size=4_600_000_000), tmp_path)
    assert contents(folder) == {"set.audio/1.wav": b"1", "set.meta/train.csv": b"fname,label"}
    assert len(site.asked) == 2 and "4.6 GB to download" in capsys.readouterr().out


def test_empty_folders_and_backslashes(site, tmp_path):
    members = {"set-1/empty/": b"", zip_member("set-1/bare", stat.S_IFDIR): b"", zip_member("set-1\\sub\\a.wav"): b"a"}
    folder = sp.fetch(site.dataset(zipped(members)), tmp_path)
    assert (folder / "empty").is_dir() and (folder / "bare").is_dir() and contents(folder) == {"sub/a.wav": b"a"}


def test_a_file_longer_than_a_chunk_of_unknown_length(site, tmp_path):
    site.length = False
    assert contents(sp.fetch(site.dataset(tarred(SOUNDS), file="a.tar.gz"), tmp_path).parent) == SOUNDS


@pytest.mark.parametrize("kaggle", [False, True])
def test_the_default_folder_is_in_the_packages_cache(site, tmp_path, monkeypatch, kaggle):
    monkeypatch.delenv("SPECIMG_CACHE", raising=False)
    if kaggle:
        monkeypatch.setenv("SPECIMG_CACHE", str(tmp_path / "cache"))
        expected = tmp_path / "cache" / "datasets"
    else:
        monkeypatch.setattr(fetching, "default_cache", lambda: tmp_path / "elsewhere")
        expected = tmp_path / "elsewhere" / "datasets"
    assert sp.fetch(site.dataset(zipped(SOUNDS))) == expected / "small" / "set-1"


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_names_that_are_no_utf8(site, tmp_path):
    known = site.dataset(tarred({os.fsdecode(b"set-\xe9/a.wav"): b"a"}, "w"), file="small.tar")
    folder = sp.fetch(known, tmp_path)
    assert os.fsencode(folder.name) == b"set-\xe9" and contents(folder) == {"a.wav": b"a"}
    assert sp.fetch(known, tmp_path) == folder


def test_the_modes_in_an_archive_do_not_matter(site, tmp_path):
    info = tarfile.TarInfo("set-1/a.wav")
    info.mode = 0o4000
    folder = sp.fetch(site.dataset(tarred({info: b"a"}), file="a.tar.gz"), tmp_path)
    assert stat.S_IMODE((folder / "a.wav").stat().st_mode) & 0o7600 == 0o600


# ---------------------------------------------------------------------- broken-off downloads

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


def test_a_connection_that_breaks_off_is_taken_up_again_at_once(site, tmp_path):
    site.cuts = [100_000, 50_000]
    folder = sp.fetch(site.dataset(BIG), tmp_path)
    firsts = [int(asked["range"][6:-1]) for asked in site.asked[1:]]
    assert len(site.asked) == 3 and 90_000 < firsts[0] <= 100_000 and 135_000 < firsts[1] <= 150_000
    assert (folder / "noise.wav").stat().st_size == 300_000


def test_the_next_call_goes_on_where_the_last_one_stopped(site, tmp_path, capsys):
    known = site.dataset(BIG)
    have = begin(site, tmp_path, known, 200_000)
    assert 190_000 < have <= 200_000
    capsys.readouterr()
    assert sp.fetch(known, tmp_path).name == "set-1"
    assert site.asked == [{"range": f"bytes={have}-", "if_range": '"one"'}]
    assert f"({have / 1e3:.1f} kB of it are here already)" in capsys.readouterr().out
    assert listing(tmp_path) == ["small/set-1/noise.wav", f"small/{fetching.SOURCE}"]


def test_a_server_that_knows_no_ranges_sends_all_of_it_again(site, tmp_path):
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    site.ranges = False
    assert (sp.fetch(known, tmp_path) / "noise.wav").stat().st_size == 300_000
    assert len(site.asked) == 1 and site.asked[0]["range"]


def test_a_server_that_knows_no_ranges_and_breaks_off_at_the_same_place_is_given_up(site, tmp_path):
    site.ranges, site.cuts = False, [100_000] * 9
    with pytest.raises(ConnectionError, match="cannot be downloaded"):
        sp.fetch(site.dataset(BIG), tmp_path)
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    "wrong", ["bytes 0-9/10", "bytes */300000", "nonsense", f"bytes 1000-{len(BIG) - 1}/{len(BIG)}"]
)
def test_an_answer_with_another_range_is_not_appended(site, tmp_path, wrong):
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    site.content_range = wrong
    assert sp.fetch(known, tmp_path).is_dir()
    assert [bool(asked["range"]) for asked in site.asked] == [True, False]


@pytest.mark.parametrize(
    "before, after",
    [
        (('"one"', None), ('"two"', None)),
        ((None, "Mon, 01 Jan 2024 00:00:00 GMT"), (None, "Tue, 02 Jan 2024 00:00:00 GMT")),
        ((None, None), (None, None)),  # neither a tag nor a date: its length shows it
    ],
    ids=["tag", "date", "length"],
)
def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(site, tmp_path, before, after):
    site.etag, site.modified = before
    begin(site, tmp_path, site.dataset(BIG, checksum=None), 200_000)
    new = zipped({"set-1/noise.wav": os.urandom(310_000)})
    known = site.dataset(new, checksum=None)
    site.etag, site.modified = after
    assert (sp.fetch(known, tmp_path) / "noise.wav").stat().st_size == 310_000
    record = json.loads((tmp_path / "small" / fetching.SOURCE).read_text())["archives"][0]
    assert record["checksum_seen"] == sha256(new)


def test_a_changed_tag_is_seen_where_the_server_does_not_heed_if_range(site, tmp_path):
    site.etag = 'W/"one"'  # weak: not sent as If-Range
    begin(site, tmp_path, site.dataset(BIG, checksum=None), 200_000)
    new = zipped({"set-1/noise.wav": os.urandom(300_000)})
    known = site.dataset(new, checksum=None)
    site.etag = 'W/"two"'
    sp.fetch(known, tmp_path)
    assert [bool(asked["range"]) for asked in site.asked] == [True, False]
    assert json.loads((tmp_path / "small" / fetching.SOURCE).read_text())["archives"][0]["checksum_seen"] == sha256(new)


def test_bytes_that_nothing_can_vouch_for_are_not_gone_on_with(site, tmp_path, capsys):
    site.etag, site.length = None, False
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    capsys.readouterr()
    sp.fetch(known, tmp_path)
    assert site.asked == [{"range": None, "if_range": None}]
    assert "here already" not in capsys.readouterr().out


def test_bytes_of_another_address_are_not_gone_on_with(site, tmp_path):
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    moved = known.replace(files=(known.files[0].replace(url=site.url("mirror/small.zip")),))
    site.files["/mirror/small.zip"] = BIG
    sp.fetch(moved, tmp_path)
    assert site.asked == [{"range": None, "if_range": None}]


def test_more_bytes_than_the_file_has_are_not_gone_on_with(site, tmp_path):
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    with open(tmp_path / ".partial-small" / "small.zip.part", "ab") as part:
        part.write(bytes(len(BIG)))
    sp.fetch(known, tmp_path)
    assert site.asked == [{"range": None, "if_range": None}]


def test_a_complete_part_needs_no_network(site, tmp_path):
    known = site.dataset(BIG)
    have = begin(site, tmp_path, known, 200_000)
    with open(tmp_path / ".partial-small" / "small.zip.part", "ab") as part:
        part.write(BIG[have:])
    assert sp.fetch(known, tmp_path).is_dir() and site.asked == []


def test_a_range_beyond_the_end_begins_anew(site, tmp_path):
    site.length = False  # so that the length is not known
    known = site.dataset(BIG)
    begin(site, tmp_path, known, 200_000)
    with open(tmp_path / ".partial-small" / "small.zip.part", "ab") as part:
        part.write(bytes(len(BIG)))
    assert sp.fetch(known, tmp_path).is_dir()
    assert [bool(asked["range"]) for asked in site.asked] == [True, False]


def test_ctrl_c_keeps_what_came_and_says_so(site, tmp_path, monkeypatch, capsys):
    known = site.dataset(BIG)
    stream, seen = urllib3.HTTPResponse.stream, []

    def interrupted(self, *args, **kwargs):
        for chunk in stream(self, *args, **kwargs):
            seen.append(chunk)
            if len(seen) == 40:
                raise KeyboardInterrupt
            yield chunk

    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPResponse, "stream", interrupted)
        with pytest.raises(KeyboardInterrupt):
            sp.fetch(known, tmp_path)
    assert "stopped: what was downloaded of small is kept; call again to go on" in capsys.readouterr().err
    have = sum(map(len, seen[:39]))
    assert listing(tmp_path) == [".partial-small/small.zip.part", ".partial-small/small.zip.part.json"]
    sp.fetch(known, tmp_path)
    assert site.asked[1]["range"] == f"bytes={have}-"


def wait_for(condition, seconds=30):
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.02)


def in_another_process(known, folder):
    code = (
        "import sys; from specimg import datasets as d; d.download.CHUNK = 4096; "
        "d.fetch(d.DataSet.from_json(sys.argv[1]), sys.argv[2])"
    )
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return subprocess.Popen([sys.executable, "-c", code, known.to_json(), str(folder)], **quiet)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_kill_9_in_the_middle_costs_only_what_was_not_written(site, tmp_path):
    known = site.dataset(BIG)
    site.hold = (200_000, threading.Event())
    part = tmp_path / ".partial-small" / "small.zip.part"
    process = in_another_process(known, tmp_path)
    wait_for(lambda: part.exists() and part.stat().st_size >= 48 * 4096)  # 48 chunks come whole
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    site.hold[1].set()
    site.hold, have = None, part.stat().st_size
    assert not (tmp_path / "small").exists()
    site.asked.clear()
    folder = sp.fetch(known, tmp_path)  # the lock went with the process
    assert site.asked == [{"range": f"bytes={have}-", "if_range": '"one"'}] and have == 48 * 4096
    assert sha256((folder / "noise.wav").read_bytes()) == sha256(
        zipfile.ZipFile(io.BytesIO(BIG)).read("set-1/noise.wav")
    )
    assert listing(tmp_path) == ["small/set-1/noise.wav", f"small/{fetching.SOURCE}"]


def test_a_kill_while_unpacking_begins_the_unpacking_anew(site, tmp_path):
    work = tmp_path / ".partial-small"
    (work / "unpacked" / "set-1").mkdir(parents=True)
    (work / "unpacked" / "set-1" / "half.wav").write_bytes(b"half")
    (work / "small.zip").write_bytes(BIG)
    known = site.dataset(BIG)
    assert listing(sp.fetch(known, tmp_path)) == ["noise.wav"] and site.asked == []


def test_two_at_once_download_once(site, tmp_path, capsys):
    known = site.dataset(BIG)
    site.hold = (100_000, threading.Event())
    found = []
    threads = [threading.Thread(target=lambda: found.append(sp.fetch(known, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    wait_for(lambda: site.asked)
    time.sleep(1.5)  # the other one waits for the lock by now, and has said so
    site.hold[1].set()
    for thread in threads:
        thread.join(30)
    assert found == [tmp_path / "small" / "set-1"] * 2 and len(site.asked) == 1
    assert "small: another process fetches it; waiting" in capsys.readouterr().out


# ---------------------------------------------------------------------- checksums


def test_a_wrong_checksum_names_both_and_the_file_does_not_stay(site, tmp_path):
    other = zipped(SOUNDS)
    known = site.dataset(BIG, checksum=sha256(other))
    with pytest.raises(ValueError) as caught:
        sp.fetch(known, tmp_path)
    text = str(caught.value)
    assert sha256(BIG) in text and sha256(other) in text and "it was deleted; call again" in text
    assert listing(tmp_path) == [] and not (tmp_path / ".partial-small").exists()
    site.files["/small.zip"] = other  # mended
    assert sp.fetch(known, tmp_path).is_dir()


def test_an_archive_packed_on_demand_is_only_warned_of(site, tmp_path):
    data, known = zipped(SOUNDS), "md5:" + "0" * 32
    seen = "md5:" + hashlib.md5(data).hexdigest()
    with pytest.warns(
        UserWarning, match=f"checksum {seen}, where {known} is known; its server packs such archives anew"
    ) as caught:
        folder = sp.fetch(site.dataset(data, checksum=known, stable=False), tmp_path)
    assert contents(folder.parent) == SOUNDS
    assert len(caught) == 1 and caught[0].filename == __file__
    record = json.loads((tmp_path / "small" / fetching.SOURCE).read_text())["archives"][0]
    assert record["checksum_is"] == "changed" and record["sha256"] == sha256(data)[7:]


def test_a_right_checksum_is_not_warned_of(site, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sp.fetch(site.dataset(BIG, stable=False), tmp_path)


def test_an_archive_put_there_by_hand_is_taken_and_stays(site, tmp_path, capsys):
    known = site.dataset(BIG)
    (tmp_path / "small.zip").write_bytes(BIG)
    assert sp.fetch(known, tmp_path) == tmp_path / "small" / "set-1"
    assert site.asked == [] and (tmp_path / "small.zip").read_bytes() == BIG
    out = capsys.readouterr().out
    assert "small: from small.zip in" in out and "CC BY 4.0" in out and "to download" not in out
    assert json.loads((tmp_path / "small" / fetching.SOURCE).read_text())["archives"][0]["by_hand"] is True


def test_only_the_archives_that_are_not_there_are_downloaded(site, tmp_path, capsys):
    parts = {"audio.zip": zipped({"audio/1.wav": b"1"}), "meta.zip": zipped({"meta/train.csv": b"fname"})}
    files = tuple(site.dataset(data, file=name).files[0] for name, data in parts.items())
    (tmp_path / "audio.zip").write_bytes(parts["audio.zip"])
    sp.fetch(DataSet("two", files, "CC0", "", "", size=5_000_000_000), tmp_path)
    assert len(site.asked) == 1 and f"two: {len(parts['meta.zip'])} bytes to download" in capsys.readouterr().out


def test_a_wrong_archive_put_there_by_hand_is_refused_and_left_to_its_owner(site, tmp_path):
    known = site.dataset(BIG)
    (tmp_path / "small.zip").write_bytes(BIG[:-1])
    with pytest.raises(
        ValueError,
        match=f"zip has the checksum {sha256(BIG[:-1])}, and {sha256(BIG)} was expected: replace or remove it",
    ):
        sp.fetch(known, tmp_path)
    assert site.asked == [] and listing(tmp_path) == ["small.zip"]


# ---------------------------------------------------------------------- archives that lead out

OUT = [
    "/etc/cron.d/job",
    "../job",
    "set-1/../../job",
    "a/../job",
    "..",
    "",
    "\\job",
    "..\\job",
    "a\\..\\..\\job",
    "C:\\job",
    "C:job",
    "a/D:/job",
    "//server/share/job",
    "\\\\server\\share\\job",
]


def refused(site, folder, known, match):
    """The fetch is refused, and nothing but the archive of a matching checksum is left, inside or outside."""
    outside = set(folder.parent.iterdir())
    folder.mkdir()
    with pytest.raises(ValueError, match=match):
        sp.fetch(known, folder)
    assert set(folder.parent.iterdir()) == outside | {folder}
    assert (
        listing(folder) == [f".partial-small/{known.files[0].name}"]
        and not (folder / ".partial-small" / "unpacked").exists()
    )


@pytest.mark.parametrize("name", OUT)
@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_a_name_that_leads_out_is_refused(site, tmp_path, name, kind):
    members = {"set-1/a.wav": b"good"}
    members[zip_member(name) if kind == "zip" else name] = b"bad"
    known = site.dataset(zipped(members) if kind == "zip" else tarred(members), file=f"small.{kind}")
    refused(site, tmp_path / "data", known, re.escape(f"its member {name!r} leads out of the folder"))


def test_a_zero_byte_in_a_name_is_refused(site, tmp_path):
    data = zipped({"a_wav": b"a"}).replace(b"a_wav", b"a\0wav")
    refused(site, tmp_path / "data", site.dataset(data), "zero byte|damaged")


@pytest.mark.parametrize(
    "form, said",
    [
        (stat.S_IFLNK, "a symbolic link"),
        (stat.S_IFCHR, "a device or another special file"),
        (stat.S_IFIFO, "a device or another special file"),
    ],
)
def test_links_and_devices_in_a_zip_are_refused(site, tmp_path, form, said):
    data = zipped({"set-1/a.wav": b"a", zip_member("set-1/b.wav", form | 0o777): b"/etc/passwd"})
    refused(site, tmp_path / "data", site.dataset(data), f"its member 'set-1/b.wav' is {said}; only files and folders")


def test_an_encrypted_member_is_refused(site, tmp_path):
    data = bytearray(zipped({"a.wav": b"a"}))
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    refused(site, tmp_path / "data", site.dataset(bytes(data)), "its member 'a.wav' is encrypted")


@pytest.mark.parametrize(
    "kind, linkname, said",
    [
        (tarfile.SYMTYPE, "/etc", "a symbolic link"),
        (tarfile.SYMTYPE, "a.wav", "a symbolic link"),
        (tarfile.LNKTYPE, "../../etc/passwd", "a hard link"),
        (tarfile.LNKTYPE, "set-1/a.wav", "a hard link"),
        (tarfile.CHRTYPE, "", "a device or another special file"),
        (tarfile.BLKTYPE, "", "a device or another special file"),
        (tarfile.FIFOTYPE, "", "a device or another special file"),
        (b"Z", "", "a device or another special file"),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(site, tmp_path, kind, linkname, said):
    data = tarred({"set-1/a.wav": b"a", tar_member("set-1/b", kind, linkname): b""})
    refused(site, tmp_path / "data", site.dataset(data, file="small.tar.gz"), f"its member 'set-1/b' is {said}")


def test_a_file_through_a_link_is_refused_with_the_link(site, tmp_path):
    (tmp_path / "outside").mkdir()
    data = tarred({tar_member("set-1", tarfile.SYMTYPE, str(tmp_path / "outside")): b"", "set-1/job": b"bad"})
    refused(site, tmp_path / "data", site.dataset(data, file="small.tar.gz"), "its member 'set-1' is a symbolic link")
    assert listing(tmp_path / "outside") == []


def test_a_name_that_is_a_file_and_a_folder_is_refused(site, tmp_path):
    refused(
        site,
        tmp_path / "data",
        site.dataset(zipped({"a": b"a", "a/b.wav": b"b"})),
        "its member 'a/b.wav' cannot be written",
    )


def test_a_name_that_no_disk_takes_is_refused(site, tmp_path):
    refused(
        site,
        tmp_path / "data",
        site.dataset(zipped({"n" * 300: b"a"})),
        "its member 'nnn.*cannot be written: File name too long",
    )


def test_a_name_of_very_many_folders_is_refused(site, tmp_path):
    data = zipped({"a/" * 3000 + "b.wav": b"b"})
    refused(site, tmp_path / "data", site.dataset(data), "its member 'a/a/a.*lies in 3000 folders; at most 100")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_100_megabytes_is_refused_before_it_is_read(site, tmp_path, kind):
    data = tarred({tar_member("././@LongLink", kind): bytes(100_000_000)})
    known = site.dataset(data, file="small.tar.gz")
    tracemalloc.start()
    refused(site, tmp_path / "data", known, "the name of one of its members takes 100.0 MB; 65.5 kB are read")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


Usage = namedtuple("Usage", "total used free")


def disk_with(free, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 0, free))


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_more_than_the_disk_takes_is_refused_before_anything_is_written(site, tmp_path, monkeypatch, kind):
    members = {"small.wav": b"a", "bomb.wav": bytes(3_000_000)}
    known = site.dataset(
        zipped(members, zipfile.ZIP_DEFLATED) if kind == "zip" else tarred(members), file=f"small.{kind}"
    )
    disk_with(2_000_000, monkeypatch)
    monkeypatch.setattr(unpacking, "_unpack_member", lambda *args: pytest.fail("something is written"))
    refused(
        site, tmp_path / "data", known, r"up to its member 'bomb.wav' \(3.0 MB\) it needs 3.0 MB, and 2.0 MB are free"
    )


def test_a_size_that_nobody_has_is_refused_without_reading_on(site, tmp_path):
    info = tarfile.TarInfo("bomb.wav")
    info.size, info.pax_headers = 10**15, {}
    data = info.tobuf(tarfile.GNU_FORMAT) + bytes(1024)
    refused(site, tmp_path / "data", site.dataset(data, file="small.tar"), "its member 'bomb.wav' .1000000.0 GB")


def test_a_zip_that_belies_its_size_is_damaged(site, tmp_path):
    data = zipped({"a.wav": bytes(5_000_000)}, zipfile.ZIP_DEFLATED).replace(
        (5_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")
    )
    refused(site, tmp_path / "data", site.dataset(data), "it is damaged")


def test_very_many_empty_files_count_as_blocks(site, tmp_path, monkeypatch):
    disk_with(400_000, monkeypatch)
    refused(
        site,
        tmp_path / "data",
        site.dataset(zipped({f"{i}.wav": b"" for i in range(100)})),
        "up to its member '97.wav'",
    )


def test_room_does_not_cost_the_archive_even_where_its_checksum_is_not_known(site, tmp_path, monkeypatch):
    known = site.dataset(zipped(SOUNDS), checksum=None)
    with monkeypatch.context() as patch:
        disk_with(210_000, patch)
        with pytest.raises(ValueError, match="make room"):
            sp.fetch(known, tmp_path)
    assert sp.fetch(known, tmp_path).is_dir() and len(site.asked) == 1


def broken(kind):
    if kind == "page":
        return "small.zip", b"<html>please log in</html>"
    if kind == "page for tar":
        return "small.tar.gz", b"<html>please log in</html>"
    if kind == "cut zip":
        return "small.zip", BIG[:-100]
    if kind == "cut tar":
        return "small.tar.gz", tarred(SOUNDS)[:-1000]
    if kind == "flipped bit of bzip2":  # of which Python says no more than OSError
        data = bytearray(zipped({"a.wav": os.urandom(1000)}, zipfile.ZIP_BZIP2))
        data[data.index(b"BZh") + 4] ^= 1
        return "small.zip", bytes(data)
    data = bytearray(zipped({"a.wav": bytes(1000)}))
    data[200] ^= 1
    return "small.zip", bytes(data)


@pytest.mark.parametrize("kind", ["page", "page for tar", "cut zip", "cut tar", "flipped bit", "flipped bit of bzip2"])
def test_a_damaged_archive_of_unknown_checksum_is_deleted_so_that_a_new_download_may_help(site, tmp_path, kind):
    file, data = broken(kind)
    known = site.dataset(data, file=file, checksum=None)
    with pytest.raises(
        ValueError, match="is not unpacked: it is damaged, or not an archive at all: .*; it was deleted; call again"
    ):
        sp.fetch(known, tmp_path)
    assert listing(tmp_path) == []


def test_a_damaged_archive_of_the_published_checksum_stays(site, tmp_path):
    file, data = broken("cut zip")
    refused(
        site,
        tmp_path / "data",
        site.dataset(data, file=file),
        "its checksum is the published one, so another download will not help",
    )


def test_a_damaged_archive_put_there_by_hand_stays(site, tmp_path):
    file, data = broken("cut tar")
    known = site.dataset(data, file=file, checksum=None)
    (tmp_path / file).write_bytes(data)
    with pytest.raises(ValueError, match="damaged.*; replace or remove it"):
        sp.fetch(known, tmp_path)
    assert listing(tmp_path) == [file]


# ---------------------------------------------------------------------- network, disk, and what stands in the way


@pytest.mark.parametrize(
    "status, name", [(404, "Not Found"), (500, "Internal Server Error"), (503, "Service Unavailable")]
)
def test_an_error_of_the_server_is_told_with_the_ways_out(site, tmp_path, status, name):
    known = site.dataset(BIG)
    site.status = status
    with pytest.raises(ConnectionError) as caught:
        sp.fetch(known, tmp_path)
    text = str(caught.value)
    assert f"{site.url('small.zip')} cannot be downloaded: the server answers {status} {name}" in text
    assert f"put the file at {tmp_path / 'small.zip'}: fetch takes it from there" in text
    assert len(site.asked) == 1 and listing(tmp_path) == [] and not (tmp_path / ".partial-small").exists()


def test_an_error_of_the_server_keeps_what_came_before(site, tmp_path):
    known = site.dataset(BIG)
    have = begin(site, tmp_path, known, 200_000)
    site.status = 503
    with pytest.raises(ConnectionError, match=rf"503 Service Unavailable \({have / 1e3:.1f} kB are here\)"):
        sp.fetch(known, tmp_path)
    site.status = 200
    site.asked.clear()
    sp.fetch(known, tmp_path)
    assert site.asked[0]["range"] == f"bytes={have}-"


def test_without_a_network_the_address_and_the_way_by_hand_are_named(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/small.zip"
    known = DataSet("small", (RemoteFile(url, "small.zip", sha256(BIG)),), "CC0", "", "")
    with pytest.raises(ConnectionError) as caught:
        sp.fetch(known, tmp_path)
    assert re.match(
        rf"{url} cannot be downloaded: .*Connection refused \(0 bytes are here\)\. Call again", str(caught.value)
    )
    assert "Max retries" not in str(caught.value) and f"put the file at {tmp_path / 'small.zip'}" in str(caught.value)
    (tmp_path / "small.zip").write_bytes(BIG)  # as it says
    assert sp.fetch(known, tmp_path).is_dir()


def test_a_host_without_an_address(tmp_path, monkeypatch):
    def unknown(*args, **kwargs):
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(
        ConnectionError, match="zenodo.org.*UrbanSound8K.tar.gz.* cannot be downloaded: .*name resolution"
    ):
        sp.fetch("UrbanSound8K", tmp_path)


def test_a_server_that_falls_silent(site, tmp_path, monkeypatch):
    monkeypatch.setattr(downloading, "TIMEOUT", (5, 0.3))
    site.hold = (0, threading.Event())
    with pytest.raises(ConnectionError, match="cannot be downloaded: .*timed out"):
        sp.fetch(site.dataset(BIG), tmp_path)


def test_a_disk_that_is_too_small_is_told_before_the_download(site, tmp_path, monkeypatch):
    disk_with(100_000, monkeypatch)
    with pytest.raises(
        OSError, match=r"no space left in .*300.\d kB are to come, 100.0 kB are free.*give another folder="
    ) as caught:
        sp.fetch(site.dataset(BIG), tmp_path)
    assert caught.value.errno == errno.ENOSPC and (tmp_path / ".partial-small" / "small.zip.part").stat().st_size == 0


def test_a_disk_that_fills_up_keeps_what_came(site, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk", "size=400k")
    site.length = False  # so that nothing is known beforehand
    known = site.dataset(zipped({"set-1/noise.wav": os.urandom(600_000)}))
    with pytest.raises(
        OSError, match="no space left in .*what was downloaded is kept: make room and call again"
    ) as caught:
        sp.fetch(known, disk)
    assert caught.value.errno == errno.ENOSPC
    have = (disk / ".partial-small" / "small.zip.part").stat().st_size
    assert have > 300_000
    subprocess.run(["mount", "-o", "remount,size=4m", disk], check=True)
    assert sp.fetch(known, disk).is_dir()
    assert site.asked[1]["range"] == f"bytes={have}-"


def test_a_disk_that_fills_up_while_unpacking_leaves_no_half_of_it(site, tmp_path, monkeypatch):
    known = site.dataset(zipped(SOUNDS))

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", full)
        with pytest.raises(OSError, match="no space left in"):
            sp.fetch(known, tmp_path)
    assert listing(tmp_path) == [".partial-small/small.zip"] and not (tmp_path / ".partial-small" / "unpacked").exists()
    assert sp.fetch(known, tmp_path).is_dir() and len(site.asked) == 1


@pytest.mark.parametrize("below", ["", "data"])
def test_a_folder_that_cannot_be_written_to(site, tmp_path, mount_tmpfs, below):
    disk = mount_tmpfs(tmp_path / "disk", "size=1m,ro")
    with pytest.raises(PermissionError, match="cannot be written to .*give another folder="):
        sp.fetch(site.dataset(BIG), disk / below)
    assert site.asked == []


def test_a_file_where_the_folder_should_be(site, tmp_path):
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(OSError, match="fetching into .*data' failed"):
        sp.fetch(site.dataset(BIG), tmp_path / "data")


def test_a_folder_of_that_name_that_fetch_did_not_make_is_left_alone(site, tmp_path):
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "small.zip").write_bytes(BIG)
    with pytest.raises(
        ValueError, match=f"small exists and has no {fetching.SOURCE}.*you downloaded belongs beside it, in {tmp_path}"
    ):
        sp.fetch(site.dataset(BIG), tmp_path)
    assert listing(tmp_path) == ["small/small.zip"]


def test_an_empty_folder_of_that_name_is_filled(site, tmp_path):
    (tmp_path / "small").mkdir()
    assert sp.fetch(site.dataset(BIG), tmp_path) == tmp_path / "small" / "set-1"


def test_another_version_that_stands_there_is_not_taken_for_this_one(site, tmp_path):
    sp.fetch(site.dataset(BIG), tmp_path)
    new = zipped({"set-2/a.wav": b"a"})
    with pytest.raises(
        ValueError, match=f"holds another version.*{sha256(BIG)}.*instead of.*{sha256(new)}.*delete it to fetch it anew"
    ):
        sp.fetch(site.dataset(new), tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"archives": [], "content": "../.."}', '{"archives": 3}'])
def test_a_note_that_cannot_be_read(site, tmp_path, text):
    known = site.dataset(BIG)
    sp.fetch(known, tmp_path)
    (tmp_path / "small" / fetching.SOURCE).write_text(text)
    with pytest.raises(ValueError, match="specimg-source.json cannot be read: .*; delete .*small to fetch it anew"):
        sp.fetch(known, tmp_path)


# ---------------------------------------------------------------------- the downloader by itself


def test_the_downloader_serves_pooch(site, tmp_path):
    site.files["/small.zip"] = BIG
    downloader = ResumingDownloader(tmp_path / "part", progress=False)
    path = pooch.retrieve(site.url("small.zip"), sha256(BIG), fname="small.zip", path=tmp_path, downloader=downloader)
    assert Path(path).read_bytes() == BIG and listing(tmp_path) == ["small.zip"]


def test_progress_is_shown_on_a_terminal_only(site, tmp_path, monkeypatch, capsys):
    sp.fetch(site.dataset(BIG), tmp_path / "log")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    sp.fetch(site.dataset(BIG), tmp_path / "shown")
    shown = capsys.readouterr().err
    assert "small.zip" in shown and "unpacking small.zip" in shown and "100%" in shown
    sp.fetch(site.dataset(BIG), tmp_path / "quiet", progress=False)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("length", [True, False])
def test_a_connection_that_ends_at_once_is_told_in_words(site, tmp_path, length):
    site.length, site.cuts = length, [0]
    words = r"(Response ended prematurely|Connection broken: \w+|the connection ended)"
    with pytest.raises(ConnectionError, match=f"cannot be downloaded: {words}"):
        sp.fetch(site.dataset(BIG), tmp_path)


def test_an_end_before_the_end_is_noticed_by_length_alone(tmp_path):
    class Short:
        class raw:
            stream = staticmethod(lambda size, decode_content: [b"12345"])

    with pytest.raises(requests.ConnectionError, match="the connection ended after 5 of 10 bytes"):
        ResumingDownloader(tmp_path / "part")._write(Short, "wb", 10)


def test_a_kill_before_the_first_byte_of_a_new_version_leaves_no_old_bytes_beside_its_note(site, tmp_path, monkeypatch):
    known = site.dataset(BIG, checksum=None)
    begin(site, tmp_path, known, 200_000)
    site.etag = '"two"'

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(ResumingDownloader, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        sp.fetch(known, tmp_path)
    assert ResumingDownloader(tmp_path / ".partial-small" / "small.zip.part").begun(known.files[0].url)[0] == 0


def test_an_empty_file_is_downloaded(site, tmp_path):
    site.files["/empty"] = b""
    ResumingDownloader(tmp_path / "part")(site.url("empty"), tmp_path / "empty")
    assert listing(tmp_path) == ["empty"]
