"""Unpacking: nothing leads out of the folder, no link, no device, not more than the disk takes."""

import os
import re
import stat
import tarfile
import tracemalloc
import zipfile

import pytest
from archive_site import BIG, SOUNDS, disk_with, listing, tarred, zip_member, zipped

import specimg as sp
from specimg.datasets import unpack as unpacking


def tar_member(name, kind, linkname=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, linkname
    return info


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
    refused(site, tmp_path / "data", site.dataset(data), "its member 'a/a/a.*is in 3000 folders; at most 100")


@pytest.mark.parametrize("kind", [tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_a_name_of_100_megabytes_is_refused_before_it_is_read(site, tmp_path, kind):
    data = tarred({tar_member("././@LongLink", kind): bytes(100_000_000)})
    known = site.dataset(data, file="small.tar.gz")
    tracemalloc.start()
    refused(site, tmp_path / "data", known, "the name of one of its members takes 100.0 MB; 65.5 kB are read")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_the_names_of_all_members_together_are_bounded(site, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "NAMES", 1_000_000)
    data = tarred({f"{i}/" + "n" * 60_000: b"" for i in range(200)})  # 12 MB of names in 60 kB
    known = site.dataset(data, file="small.tar.gz")
    tracemalloc.start()
    refused(site, tmp_path / "data", known, "up to its member '16/nnn.* take 1.0 MB; 1.0 MB are read")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_the_table_of_a_zip_is_refused_before_it_is_read(site, tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "NAMES", 1_000_000)
    known = site.dataset(zipped({f"{i}/" + "n" * 60_000: b"" for i in range(200)}))
    tracemalloc.start()
    refused(site, tmp_path / "data", known, "its table of members takes 12.0 MB; 1.0 MB are read")
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


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
