"""Competitions: opened by name, and what is known of them afterwards."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from pets import TEST, place, small, touch

from specimg.competitions import ClassColumns, Competition, list_competitions


def test_importing_it_is_light():
    heavy = {"torch", "fastai", "librosa", "matplotlib", "sklearn"}
    code = (
        f"import sys, specimg.competitions, specimg.competitions.layouts.from_toml; print(*{heavy} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


def test_the_known_ones_are_listed(pets):
    assert list_competitions() == ["one", "pets-2021", "pets-2022"]


def test_opened_by_name(pets, tmp_path):
    place(tmp_path / "unpacked")
    comp = Competition.open("pets-2022", tmp_path, seed=3)
    assert (comp.slug, comp.folder, comp.options) == ("pets-2022", tmp_path / "unpacked", {"seed": 3})
    assert comp.test["id"].tolist() == ["3"]
    touch(tmp_path / "1/one.csv")
    assert Competition.open("one", str(tmp_path)).options == {}


def test_the_layouts_that_come_with_it_are_found():
    known = list_competitions()
    assert {"freesound-audio-tagging", "tensorflow-speech-recognition-challenge", "birdclef-2023", "ESC-50"} <= set(
        known
    )


def test_an_unknown_name_an_unknown_option_and_no_folder(pets, tmp_path, kaggle):
    with pytest.raises(ValueError, match="unknown competition 'pets2021'; did you mean 'pets-2021'"):
        Competition.open("pets2021", tmp_path)
    with pytest.raises(
        ValueError, match="unknown option of pets-2021 'sed'; did you mean 'seed'.*choose one of noisy, seed"
    ):
        Competition.open("pets-2021", place(tmp_path), sed=1)
    with pytest.raises(ValueError, match="unknown option of one 'seed'"):
        touch(tmp_path / "1/one.csv")
        Competition.open("one", tmp_path, seed=1)
    with pytest.raises(
        ValueError, match=r"no pets-2021 in .*that it was unpacked to, or get it with specimg.fetch\('Pets'\)$"
    ):
        Competition.open("pets-2021")
    with pytest.raises(ValueError, match="the folder that it was unpacked to$"):
        Competition.open("one")


def test_a_mount_named_like_another_competition_is_not_opened(pets, kaggle):
    place(kaggle / "pets-2022")
    assert Competition.open("pets-2022").folder == kaggle / "pets-2022"
    with pytest.raises(ValueError, match="no pets-2021 in"):
        Competition.open("pets-2021")


def test_what_a_layout_warns_of_is_said_of_the_line_that_opens(pets, tmp_path):
    with pytest.warns(UserWarning, match="noisy clips are left out") as said:
        Competition.open("pets-2021", place(tmp_path), noisy="leave")
    assert [warning.filename for warning in said] == [pets.__code__.co_filename]


@pytest.mark.parametrize(
    "fold, given",
    [
        (None, []),
        ([1, 1, 2, 2], [1, 2]),
        ([3, 0, 0, -1], [0, 3]),
        ([np.nan] * 4, []),
        ([np.nan, -1, np.nan, -1], []),
        ([0.0, 1.0, 0.0, -1.0], [0, 1]),
    ],
)
def test_given_folds(fold, given):
    comp = Competition("pets", ".", small() if fold is None else small(fold=fold))
    assert comp.given_folds == given and all(type(n) is int for n in comp.given_folds)


def test_without_a_test_set_all_clips_are_answered_that_are_ever_held_out():
    comp = Competition("pets", ".", small())
    assert comp.prediction_rows().to_dict("list") == {
        "path": ["a.wav", "b.wav", "c.wav", "d.wav"],
        "id": ["a.wav", "b.wav", "c.wav", "d.wav"],
    }
    for fold in ([0, -1, 1, -1], [np.nan, -1, np.nan, -1]):
        assert Competition("pets", ".", small(fold=fold)).expected_rows().tolist() == ["a.wav", "c.wav"]
    assert Competition("pets", ".", small(id=[10, 11, 12, 13], fold=[0, -1, 1, 1])).expected_rows().tolist() == [
        "10",
        "12",
        "13",
    ]


def test_windows_without_a_test_set_are_named_by_their_seconds():
    comp = Competition(
        "pets", ".", small(path="a.wav", start=[0, 12345.61, 12345.64, np.nan], end=[0.25, 12345.64, 12346, np.nan])
    )
    assert comp.expected_rows().tolist() == ["a.wav@0-0.25", "a.wav@12345.61-12345.64", "a.wav@12345.64-12346", "a.wav"]
    assert list(comp.prediction_rows()) == ["path", "start", "end", "id"]


def test_the_digest_stands_for_the_clips_whatever_their_order():
    table = small(
        group=["x", "x", "y", "y"],
        weight=[1, 0.5, 1, 1],
        fold=[0, 0, 1, 1],
        start=[0, 1, 2, np.nan],
        end=[1, 2, 3, np.nan],
        rating=[5, 4, 3, 2],
    )
    one = Competition("pets", ".", table).digest
    assert len(one) == 16 and int(one, 16)
    same = [
        table[::-1],
        table.sample(frac=1, random_state=0),
        table.astype({"weight": str, "group": object, "fold": float}),
        table.assign(rating=0),
        table[table.columns[::-1]],
    ]
    assert {Competition("pets-2", "elsewhere", other, metric="map@3").digest for other in same} == {one}
    changes = [
        dict(path=["a.wav", "b.wav", "c.wav", "e.wav"]),
        dict(label=["dog", "cat", "dog", "owl"]),
        dict(group=["x", "x", "y", "z"]),
        dict(weight=[1, 0.5, 1, 0.9]),
        dict(fold=[0, 0, 1, 2]),
        dict(end=[1, 2, 4, np.nan]),
        dict(scored=[True, True, True, False]),
    ]
    others = [Competition("pets", ".", table.assign(**change)).digest for change in changes]
    others += [
        Competition("pets", ".", table[:3]).digest,
        Competition("pets", ".", table.drop(columns="group")).digest,
        Competition("pets", ".", table, vocab=("dog", "cat")).digest,
    ]
    assert len({one, *others}) == 1 + len(others)


def test_the_digest_of_several_labels():
    several = small(label=[["dog", "cat"], [], ["cat"], ["dog"]])
    swapped = several.assign(label=pd.Series([["cat", "dog"], [], ["cat"], ["dog"]]))
    assert (
        Competition("p", ".", several, metric="lwlrap").digest == Competition("p", ".", swapped, metric="lwlrap").digest
    )
    fewer = several.assign(label=pd.Series([["cat"], [], ["cat"], ["dog"]]))
    assert (
        Competition("p", ".", several, metric="lwlrap").digest != Competition("p", ".", fewer, metric="lwlrap").digest
    )


def test_the_digest_is_the_same_everywhere():
    """On every machine, with every version of pandas: kept runs are known by it."""
    table = small(
        group=["x", "x", "y", "Zaunkönig"],
        weight=[1, 0.5, 1, 1],
        fold=[np.nan, np.nan, np.nan, -1],
        start=[0, 1, 2, np.nan],
        end=[1, 2, 3, np.nan],
    )
    assert Competition("pets", ".", table).digest == "ec7a9022ceecf7b2"


def test_a_path_that_is_no_text_has_a_digest():
    odd = small(path=["a.wav", "caf\udce9.wav", "c.wav", "d.wav"])  # as Python names a file whose name is not UTF-8
    assert Competition("pets", ".", odd).digest != Competition("pets", ".", small()).digest
    assert Competition("pets", ".", odd).expected_rows()[1] == "caf\udce9.wav"


def test_in_a_line():
    comp = Competition("pets", ".", small(), metric="map@3", test=TEST)
    assert repr(comp) == "Competition('pets': 4 clips, 2 labels, 2 test rows, scored by map@3)"
    several = Competition("pets", ".", small(label=[["dog"], [], [], ["dog"]]), metric="lwlrap")
    assert repr(several) == "Competition('pets': 4 clips, 1 label, several per clip, scored by lwlrap)"


def test_in_full():
    assert (
        str(Competition("pets", "data/pets", small(), test=TEST))
        == """\
pets: 4 clips, 2 labels, 2 test rows, scored by accuracy
  folder   data/pets
  clips    4 rows, such as a.wav
  labels   cat 2, dog 2
  folds    to be assigned
  test     2 rows, such as t/1.wav
  format   BestLabels()"""
    )


def test_in_full_with_all_that_may_be_known():
    n = 24
    table = pd.DataFrame(
        {
            "path": [f"audio/{i // 2:02}.wav" for i in range(n)],
            "start": [5.0 * (i % 2) for i in range(n)],
            "end": [5.0 * (i % 2) + 5 for i in range(n)],
            "label": [[f"bird {min(i // 2, 6)}"] for i in range(n)],
            "group": [f"site {i // 8}" for i in range(n)],
            "fold": [-1, -1] + [i % 3 for i in range(n - 2)],
            "weight": [1.0] * 20 + [0.25] * 4,
            "scored": [True] * 20 + [False] * 4,
        }
    )
    comp = Competition("birds", "birds", table, metric="macro_auc", format=ClassColumns(id_col="row_id"))
    assert (
        str(comp)
        == """\
birds: 24 clips, 7 labels, several per clip, scored by macro_auc
  folder   birds
  clips    24 rows of 12 recordings, such as audio/00.wav
  labels   bird 6 12, bird 0 2, bird 1 2 ... bird 5 2
  groups   3, never split between training and validation
  folds    0, 1, 2, as the data set gives them; 2 clips always in training
  weights  1 for 20 clips, 0.25 for 4 clips
  scored   20 of 24 clips
  test     none: training clips are predicted by networks that were not trained on them
  format   ClassColumns(id_col='row_id')"""
    )


def test_in_full_many_weights_and_folds_to_be_dealt():
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(6)], "label": list("aabbcc"), "weight": [0, 0.2, 0.4, 0.6, 0.8, 1]}
    )
    text = str(Competition("p", ".", table.assign(fold=[np.nan] * 5 + [-1])))
    assert (
        "\n  weights  0 to 1, 0.5 on average\n" in text
        and "\n  folds    to be assigned; 1 clip always in training\n" in text
    )
    assert "\n  labels   a 2, b 2, c 2\n" in text


def test_a_notebook_shows_it_in_full():
    comp = Competition("pets", ".", small())

    class Printer:
        shown = ""

        def text(self, text):
            self.shown += text

    printer = Printer()
    comp._repr_pretty_(printer, False)
    assert printer.shown == str(comp)
