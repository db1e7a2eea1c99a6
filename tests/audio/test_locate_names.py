"""Names of a table that are no files: where the recordings of these names are."""

import pytest

import specimg as sp
from specimg.audio.find import locate_names


@pytest.fixture
def folder(tmp_path, write_wav, sine):
    for name in ("audio/dog/1.wav", "audio/dog/2.wav", "audio/cat/3.wav", "owl.v2.wav"):
        write_wav(tmp_path / name, sine(440, 0.1))
    return tmp_path


@pytest.mark.parametrize(
    "names, found",
    [
        (["dog/1", "dog/2", "cat/3"], ("audio", ".wav")),
        (["dog/1.wav", "cat/3.wav"], ("audio", "")),
        (["1", "2"], ("audio/dog", ".wav")),
        (["owl.v2"], ("", ".wav")),
        (["owl.v2", "gone", "1", "2"], ("audio/dog", ".wav")),  # most of them
        (["gone"], None),
        (["g/1"], None),  # no folder ends in g
        ([], None),
    ],
)
def test_the_folder_and_the_suffix_that_most_names_lack(folder, names, found):
    assert locate_names(folder, names) == found


def test_where_there_is_no_folder_nothing_is_found(tmp_path):
    assert locate_names(tmp_path / "nowhere", ["a"]) is None


def test_loaders_name_the_arguments_that_would_match(folder):
    (folder / "t.csv").write_text("fname,label\ndog/1,dog\ndog/2,dog\ncat/3,cat\n")
    with pytest.raises(ValueError, match=r"'audio/dog/1.wav' is one: give folder='audio' and suffix='.wav'"):
        sp.SpecDataLoaders.from_csv(folder, "t.csv")
    with pytest.raises(ValueError, match=r"'dog/1.wav' is one: give suffix='.wav'"):
        sp.WaveDataLoaders.from_csv(folder, "t.csv", folder="audio", audio=sp.Audio(sr=8000, duration=0.1))
