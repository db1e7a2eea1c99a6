"""Downloads: broken off at any byte, resumed, and begun again where the file has changed."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import pooch
import pytest
import requests
import urllib3
from archive_site import BIG, begin, listing, sha256, zipped

import specimg as sp
from specimg.datasets import download as downloading, fetching
from specimg.datasets.download import ResumingDownloader, resume_action

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
