"""Data sets arrive complete, checked and unpacked in their folder, or not at all."""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import tarfile
import threading
import zipfile

import pytest
import requests
from archive_site import BIG, SOUNDS, begin, contents, disk_with, listing, sha256, tarred, zip_member, zipped

import specimg as sp
from specimg.datasets import DataSet, RemoteFile, download as downloading, fetching


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
    with pytest.raises(ConnectionError, match=rf"503 Service Unavailable \({have / 1e3:.1f} kB downloaded so far\)"):
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
        rf"{url} cannot be downloaded: .*Connection refused \(0 bytes downloaded so far\)\. Call again",
        str(caught.value),
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
        OSError, match=r"no space left in .*300.\d kB still to download, 100.0 kB are free.*give another folder="
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
        ValueError,
        match=f"holds another version.*{sha256(BIG)}.*instead of.*{sha256(new)}.*delete it to fetch it again",
    ):
        sp.fetch(site.dataset(new), tmp_path)


@pytest.mark.parametrize("text", ["{", "{}", '{"archives": [], "content": "../.."}', '{"archives": 3}'])
def test_a_note_that_cannot_be_read(site, tmp_path, text):
    known = site.dataset(BIG)
    sp.fetch(known, tmp_path)
    (tmp_path / "small" / fetching.SOURCE).write_text(text)
    with pytest.raises(ValueError, match="specimg-source.json cannot be read: .*; delete .*small to fetch it again"):
        sp.fetch(known, tmp_path)
