"""Archives: checksums are compared, and one put there by hand is used."""

import hashlib
import json
import warnings

import pytest
from archive_site import BIG, SOUNDS, contents, listing, sha256, zipped

import specimg as sp
from specimg.datasets import DataSet, fetching
from specimg.datasets.archives import compare_checksums


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
        UserWarning, match=f"checksum {seen}, where {known} is known; its server packs such archives again"
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
