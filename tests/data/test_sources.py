"""What people predict on, in whichever form they have it."""

import os

import pytest

from specimg.data.sources import list_sources


@pytest.fixture
def night(tmp_path):
    for name in ("night/1.wav", "night/2.wav", "night/deep/3.wav", "night/odd[1].wav", "night/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path / "night"


def names_of(items):
    return [os.path.basename(name) for name in list_sources(items)[0]]


def test_a_pattern_that_no_shell_expanded(night):
    assert names_of(str(night / "*.wav")) == ["1.wav", "2.wav", "odd[1].wav"]
    assert names_of([night / "?.wav", str(night / "deep" / "3.wav")]) == ["1.wav", "2.wav", "3.wav"]
    assert names_of(str(night / "**" / "3.wav")) == ["3.wav"]
    assert names_of(str(night / "odd[1].wav")) == ["odd[1].wav"]  # a file of that very name
    assert names_of([str(night / "*.mp3")]) == ["*.mp3"]  # a row whose status says that it is not there


def test_a_folder(night):
    assert names_of(night) == ["1.wav", "2.wav", "3.wav", "odd[1].wav"]
