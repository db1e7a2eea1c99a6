"""Folders are listed, and what is passed over in them is counted."""

import warnings

import pytest

from specimg.audio.find import AUDIO_SUFFIXES, COMPANIONS, find_audio, list_audio
from specimg.render.plan import jobs_of_files


@pytest.fixture
def folder(tmp_path):
    """folder(*names) makes these files, which hold nothing."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


def test_what_is_passed_over_is_counted_by_ending(folder):
    root = folder("a.wav", "b/c.MID", "b/d.mid", "e.syx", "f", "b/.hidden.mid", ".git/x.mid")
    assert list_audio(root) == (["a.wav"], ["b/c.MID", "b/d.mid", "e.syx", "f"])
    said = r"4 files below '.*' passed over, .*: 2 \.mid, 1 \.syx, 1 without an ending \(b/c\.MID, b/d\.mid, e\.syx, \.\.\.\)"
    with pytest.warns(UserWarning, match=said):
        assert find_audio(root) == ["a.wav"]
    with pytest.warns(UserWarning, match=said):
        assert [job.path for job in jobs_of_files(root, str(root))] == ["a.wav"]


def test_texts_tables_and_pictures_are_not_missed(folder):
    root = folder(
        "a.wav", "README", "LICENSE", "labels.csv", "b/notes.TXT", "b/spectrogram.png", ".DS_Store", "Thumbs.db"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_audio(root) == ["a.wav"]


def test_no_ending_is_both_a_recordings_and_a_companions():
    assert not set(AUDIO_SUFFIXES) & set(COMPANIONS)
    assert all(ending == ending.lower() and ending.startswith(".") for ending in (*AUDIO_SUFFIXES, *COMPANIONS))
