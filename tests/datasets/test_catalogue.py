"""The catalogue of data sets: every entry is in order, unknown names are told the near ones."""

import re

import pytest
from archive_site import listing

import specimg as sp
from specimg.datasets import DataSet, RemoteFile, catalogue, find_dataset


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
