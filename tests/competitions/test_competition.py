"""Competitions: where they are found, what their tables may say, and what is known of them afterwards."""

import errno
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pandas as pd
import pytest

from specimg.competitions import (
    BestLabels,
    ClassColumns,
    Competition,
    Decisions,
    LabelSets,
    competition,
    layout,
    list_competitions,
    locate,
    reading as tables,
    registry,
)
from specimg.competitions.layouts import from_toml as by_hand
from specimg.competitions.locate import find_folder, has_marks

MARKS = [("train.csv", "audio_train"), ("meta.csv",)]


def touch(*paths):
    """Empty files; a path that ends in / is a folder."""
    for path in map(str, paths):
        os.makedirs(path if path.endswith("/") else os.path.dirname(path), exist_ok=True)
        if not path.endswith("/"):
            open(path, "w").close()


def place(folder):
    """A folder with MARKS in it."""
    touch(f"{folder}/train.csv", f"{folder}/audio_train/")
    return folder


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """Kaggle's input folder, and an empty working folder."""
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    monkeypatch.setattr(locate, "KAGGLE_INPUT", tmp_path / "kaggle")
    return tmp_path / "kaggle"


def test_importing_it_is_light():
    heavy = {"torch", "fastai", "librosa", "matplotlib", "sklearn"}
    code = (
        f"import sys, specimg.competitions, specimg.competitions.layouts.from_toml; print(*{heavy} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split() == []


# ---------------------------------------------------------------------- folders


def test_marks_are_alternatives_of_which_all_must_be_there(tmp_path):
    touch(tmp_path / "a/train.csv", tmp_path / "b/meta.csv")
    assert (
        not has_marks(tmp_path / "a", MARKS)
        and has_marks(tmp_path / "b", MARKS)
        and not has_marks(tmp_path / "c", MARKS)
    )
    touch(f"{tmp_path}/a/audio_train/")
    assert has_marks(tmp_path / "a", MARKS)


@pytest.mark.parametrize("below", ["", "freesound", "freesound/unpacked"])
def test_found_in_the_named_folder_and_up_to_two_below(below, tmp_path):
    wanted = place(tmp_path / "data" / below)
    assert find_folder("x", tmp_path / "data", MARKS) == find_folder("x", str(tmp_path / "data"), MARKS) == wanted


def test_not_found_three_below(tmp_path):
    place(tmp_path / "a/b/c")
    with pytest.raises(
        ValueError,
        match=r"no freesound in '.*': searched for a folder with 'train.csv' and 'audio_train' or 'meta.csv'",
    ):
        find_folder("freesound", tmp_path, MARKS)


def test_the_uppermost_is_taken(tmp_path):
    place(tmp_path / "a/copy")
    place(tmp_path / "b")
    assert find_folder("x", tmp_path, MARKS) == tmp_path / "b"
    assert find_folder("x", place(tmp_path), MARKS) == tmp_path


def test_two_that_look_alike_are_an_error(tmp_path):
    place(tmp_path / "2018"), place(tmp_path / "2019"), place(tmp_path / ".hidden")
    with pytest.raises(
        ValueError, match=r"2 folders below '.*' look like freesound \(.*2018, .*2019\); give the one that is meant"
    ):
        find_folder("freesound", tmp_path, MARKS)
    assert find_folder("freesound", tmp_path / "2019", MARKS) == tmp_path / "2019"


def test_two_names_of_one_folder_are_one_place(tmp_path):
    place(tmp_path / "real")
    (tmp_path / "also").symlink_to("real")
    assert os.path.realpath(find_folder("x", tmp_path, MARKS)) == str(tmp_path / "real")


@pytest.mark.parametrize(
    "mount",
    [
        "birds",
        "competitions/birds",
        "datasets/someone/birds",
        "birds/birds",
        "another-name",
        "datasets/someone/another-name",
        "datasets/someone/another-name/unpacked",
        "competitions/another-name/deep",
    ],
)
def test_found_where_kaggle_mounts_it(mount, kaggle):
    touch(kaggle / "weights/model.safetensors", kaggle / "datasets/somebody/else/readme.md")
    wanted = place(kaggle / mount)
    assert find_folder("birds", None, MARKS) == wanted


def test_its_own_name_goes_first(kaggle):
    place(kaggle / "aaa")
    wanted = place(kaggle / "datasets/me/birds")
    assert find_folder("birds", None, MARKS) == wanted
    assert (
        find_folder("birds", None, MARKS) != place(kaggle / "competitions/birds") == find_folder("birds", None, MARKS)
    )


def test_another_competition_with_the_same_marks_is_not_taken(kaggle):
    place(kaggle / "birds-2023/unpacked")
    with pytest.raises(ValueError, match="no birds-2024 in '.*kaggle' or 'birds-2024'"):
        find_folder("birds-2024", None, MARKS, others=["birds-2023", "birds-2024"])
    assert find_folder("birds-2023", None, MARKS, others=["birds-2023", "birds-2024"]) == kaggle / "birds-2023/unpacked"
    assert (
        find_folder("birds-2024", kaggle, MARKS, others=["birds-2023"]) == kaggle / "birds-2023/unpacked"
    )  # it was named


def test_found_in_the_working_folder(kaggle):
    place("birds/unpacked")
    assert find_folder("birds", None, MARKS).as_posix() == "birds/unpacked"


def test_a_folder_that_is_not_there(tmp_path):
    touch(tmp_path / "train.csv")
    for folder in (tmp_path / "nowhere", tmp_path / "train.csv"):
        with pytest.raises(
            ValueError, match=r"is not a folder; give the one that birds was unpacked to, with .* in it, or fetch it$"
        ):
            find_folder("birds", folder, MARKS, ", or fetch it")


def test_folders_that_may_not_be_read_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    wanted = place(tmp_path / "b")
    scan, exists = os.scandir, os.path.exists

    def deny(path=".", closed=str(tmp_path / "a")):
        if os.fspath(path).startswith(closed):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    monkeypatch.setattr(
        os.path, "exists", lambda path: not os.fspath(path).startswith(str(tmp_path / "a")) and exists(path)
    )
    assert find_folder("x", tmp_path, MARKS) == wanted


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
def test_a_closed_folder_is_passed_over(tmp_path):
    wanted = place(tmp_path / "b")
    (tmp_path / "a").mkdir(mode=0)
    assert find_folder("x", tmp_path, MARKS) == wanted


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "up").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="no x in"):
        find_folder("x", tmp_path, MARKS)
    wanted = place(tmp_path / "z/unpacked")
    assert os.path.samefile(
        find_folder("x", tmp_path, MARKS), wanted
    )  # what cannot be looked into does not hide the others


def test_a_file_in_the_place_of_a_folder(tmp_path):
    touch(tmp_path / "birds", tmp_path / "train.csv/", tmp_path / "b/audio_train")
    with pytest.raises(ValueError, match="no birds in"):
        find_folder("birds", tmp_path, MARKS)


def test_5000_folders_are_looked_through_quickly(tmp_path):
    for i in range(5000):
        (tmp_path / f"{i:04}").mkdir()
    start = time.perf_counter()
    with pytest.raises(ValueError, match="no x in"):
        find_folder("x", tmp_path, MARKS)
    wanted = place(tmp_path / "zz")
    assert find_folder("x", tmp_path, MARKS) == wanted
    assert time.perf_counter() - start < 5


# ---------------------------------------------------------------------- layouts


@pytest.fixture
def pets(monkeypatch):
    """A registered competition "pets-2021"; its own layouts are left out, so that this file tests the core alone."""
    layouts = {}
    monkeypatch.setattr(registry, "LAYOUTS", layouts)
    monkeypatch.setattr(competition, "LAYOUTS", layouts)

    @layout("pets-2021", "pets-2022", marks=MARKS, fetched="Pets")
    def read_pets(folder, slug, seed=0, noisy="train"):
        if noisy != "train":
            warnings.warn("noisy clips are left out")
        return Competition(slug, folder, train=small(), test=pd.DataFrame({"id": [f"{seed}"], "path": ["t.wav"]}))

    @layout("one", marks=[("one.csv",)])
    def read_one(folder):
        return Competition("one", folder, train=small())

    return read_pets


def small(**columns):
    """Four clips of two labels."""
    return pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav", "d.wav"], "label": ["dog", "cat", "dog", "cat"]} | columns)


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
    assert [warning.filename for warning in said] == [__file__]


# ---------------------------------------------------------------------- tables of a competition


def refused(what, train=None, **kwargs):
    with pytest.raises(ValueError, match=what):
        Competition("pets", "pets", small() if train is None else train, **kwargs)


def test_by_hand(tmp_path):
    table = small().set_axis([7, 7, 8, 9])
    comp = Competition("pets", str(tmp_path), table)
    assert comp.folder == tmp_path and comp.vocab == ("cat", "dog") and not comp.is_multi
    assert (comp.metric, comp.format, comp.options) == (
        "accuracy",
        BestLabels(),
        {},
    ) and comp.test is comp.sample is comp.solution is None
    assert comp.train.index.tolist() == [0, 1, 2, 3] and table.index.tolist() == [7, 7, 8, 9]


def test_labels_become_text():
    comp = Competition("pets", ".", small(label=[3, 1, 3, 1]))
    assert comp.train["label"].tolist() == ["3", "1", "3", "1"] and comp.vocab == ("1", "3")
    several = pd.Series([(1, 2), [2], np.array([], int), ["2", 2]])
    comp = Competition("pets", ".", small(label=several), metric="lwlrap")
    assert comp.train["label"].tolist() == [["1", "2"], ["2"], [], ["2"]] and comp.is_multi
    assert several[0] == (1, 2)


def test_numbers_and_truths_are_made_of_what_a_csv_holds():
    text = small(
        start=["0", "1.5", None, "2"],
        end=["1", "2", None, "3"],
        weight=["1", "0.5", "0", "2"],
        fold=["1", "0", "-1", "1"],
    )
    t = Competition("pets", ".", text.assign(scored=[1, 0, 1, 1])).train
    assert t["start"].tolist()[:2] == [0.0, 1.5] and t["start"].isna().tolist() == t["end"].isna().tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert (
        t["weight"].tolist() == [1.0, 0.5, 0.0, 2.0]
        and t["fold"].tolist() == [1, 0, -1, 1]
        and t["fold"].dtype.kind == "i"
    )
    assert t["scored"].tolist() == [True, False, True, True] and t["scored"].dtype == bool


def test_the_vocabulary_may_be_ordered_and_hold_more():
    with pytest.warns(
        UserWarning, match=r"^1 label of the vocabulary without a clip in training \(owl\): no network can learn them$"
    ) as said:
        comp = Competition("pets", ".", small(), vocab=["owl", "dog", "cat"])
    assert comp.vocab == ("owl", "dog", "cat") and said[0].filename == __file__


@pytest.mark.parametrize(
    "table, what",
    [
        ([1, 2], "the training table is a list; give a DataFrame with the columns path, label"),
        (
            small().drop(columns="label"),
            "the training table lacks the column 'label'; it has path and needs path, label",
        ),
        (small().rename(columns={"path": "fname"}), "lacks the column 'path'; it has fname, label"),
        (pd.concat([small(), small()[["label"]]], axis=1), "has columns of one name; it has path, label, label"),
        (small()[:0], "the training table has no rows; give one for each clip"),
        (small(path=["a.wav", "b.wav", "../c.wav", "d.wav"]), r"'../c.wav' leads out of '.*'; give names below"),
        (small(path=["a.wav", "/etc/passwd", "c.wav", "d.wav"]), "'/etc/passwd' leads out of"),
        (
            small(path=["a.wav", "./b.wav", "c.wav", "d.wav"]),
            r"names './b.wav'; write paths below 'pets' .*, such as 'b.wav'",
        ),
        (small(path=["a.wav", "b.wav", "", "d.wav"]), "the training table names ''"),
        (small(path=["a.wav", np.nan, "c.wav", "d.wav"]), "names the path nan; write text"),
        (
            small(path=["a.wav", "b.wav", "a.wav", "a.wav"]),
            r"2 rows of the training table of a clip that is there already \(a.wav\)",
        ),
        (small(label=["dog", None, "dog", ""]), r"column 'label' is empty in 2 rows \(2, 4\)"),
        (small(label=[["dog"], ["cat"], None, []]), r"column 'label' is empty in 1 row \(3\)"),
        (small(start=0.0), "the training table has only one of the columns 'start' and 'end'; it needs both, or none"),
        (
            small(start=[0, 1, 2, -1.0], end=[1, 1, 3, 3.0]),
            r"2 rows of the training table whose times are not 0 <= start < end \(b.wav, d",
        ),
        (
            small(start=[0, np.nan, 2, 0], end=[1, 1, np.nan, np.inf]),
            r"3 rows .* whose times .* \(b.wav, c.wav, d.wav\); correct them; both",
        ),
        (
            small(start=["0", "x", "0", "0"], end=1),
            r"1 row of the training table whose start is no number \(b.wav\); write a number, or",
        ),
        (
            small(weight=[1, np.nan, -1, np.inf]),
            r"3 rows of the training table whose weight is no finite number from 0 \(b.wav, c.wav, d",
        ),
        (small(weight=["high", 1, 1, 1]), "whose weight is no number"),
        (
            small(fold=[0, 1, 0.5, -2]),
            r"2 rows of the training table whose fold is no whole number from -1 \(c.wav, d.wav\)",
        ),
        (small(fold=["a", "b", "a", "b"]), "4 rows of the training table whose fold is no number"),
        (
            small(fold=[0, 1, np.nan, -1]),
            r"1 row of the training table without a fold, where others have one \(c.wav\)",
        ),
        (small(fold=-1), "every row of the training table has fold -1, so that nothing is held out"),
        (
            small(group=["x", None, "y", "y"]),
            r"1 row of the training table without a group \(b.wav\); give each clip one",
        ),
        (
            small(scored=[True, None, False, True]),
            r"1 row of the training table whose scored is neither True nor False \(b.wav\)",
        ),
        (small(scored=["yes", "no", "no", "no"]), "4 rows of the training table whose scored is neither"),
    ],
)
def test_training_tables_that_cannot_be_relied_on(table, what):
    refused(what, table)


def test_windows_of_one_recording_are_different_clips():
    table = small(path="a.wav", start=[0, 1, 2, np.nan], end=[1, 2, 3, np.nan])
    assert len(Competition("pets", ".", table).train) == 4
    refused(
        "1 row of the training table of a clip that is there already",
        table.assign(start=[0, 1, 1, np.nan], end=[1, 2, 2, np.nan]),
    )
    refused(
        "1 row of the training table of a clip that is there",
        table.assign(start=[0, np.nan, 1, np.nan], end=[1, np.nan, 2, np.nan]),
    )


def test_only_clips_that_are_held_out_need_a_group():
    comp = Competition("pets", ".", small(group=["x", None, "y", "y"], fold=[0, -1, 1, 1]))
    assert comp.train["group"].isna().sum() == 1


TEST = pd.DataFrame({"id": ["1", "2"], "path": ["t/1.wav", "t/2.wav"]})


@pytest.mark.parametrize(
    "table, what",
    [
        (TEST.drop(columns="id"), "the test table lacks the column 'id'; it has path and needs id, path"),
        (TEST.assign(path=["t/1.wav", "../2.wav"]), "'../2.wav' leads out of"),
        (TEST.assign(id="1"), r"1 test row with an id that is there already \(1\); give each its own"),
        (
            TEST.assign(id=["1", None]),
            r"1 row of the test table without an id \(t/2.wav\); give each row its name in the submission",
        ),
        (TEST.assign(id=["", "1"]), "1 row of the test table without an id"),
        (TEST.assign(end=1.0), "the test table has only one of the columns"),
        (
            TEST.assign(start=1.0, end=1.0),
            r"2 rows of the test table whose times are not 0 <= start < end \(t/1.wav, t/2.wav\)",
        ),
        ("sample_submission.csv", "the test table is a str; give a DataFrame with the columns id, path"),
    ],
)
def test_test_tables_that_cannot_be_relied_on(table, what):
    refused(what, test=table)


def test_test_tables():
    test = TEST.assign(id=[1, 2], target_label=["cat", "dog"], start=["0", "1"], end=["1", "2"]).set_axis([5, 5])
    comp = Competition("pets", ".", small(), test=test)
    assert (
        comp.test["id"].tolist() == ["1", "2"]
        and comp.test.index.tolist() == [0, 1]
        and comp.test["end"].tolist() == [1.0, 2.0]
    )
    assert comp.prediction_rows() is comp.test and comp.expected_rows().tolist() == ["1", "2"]
    double = TEST.assign(path="t/1.wav")  # two questions about one recording
    assert len(Competition("pets", ".", small(), test=double).test) == 2
    assert len(Competition("pets", ".", small(), test=TEST[:0]).expected_rows()) == 0  # recordings that come later


@pytest.mark.parametrize(
    "kwargs, what",
    [
        (dict(vocab=["dog", "cat", "dog"]), r"the vocabulary names a label twice \(dog\); name each once"),
        (
            dict(vocab=["dog"]),
            r"1 label in training that the vocabulary lacks \(cat\); add them, or leave their clips out",
        ),
        (dict(metric="acuracy"), "unknown metric 'acuracy'; did you mean 'accuracy'"),
        (
            dict(metric="lwlrap"),
            "the metric 'lwlrap' does not go with clips of one label; choose one of accuracy, .*map@3",
        ),
        (
            dict(train=small(label=[["dog"], [], ["cat"], ["dog"]])),
            "'accuracy' does not go with clips of several labels; choose .*lwlrap",
        ),
        (
            dict(train=small(label=[[], [], [], []]), metric="lwlrap"),
            "no clip of training has a label, and there is no vocab",
        ),
        (
            dict(train=small(label=["big dog", "cat", "cat", "owl"]), format=BestLabels(k=3)),
            r"1 label with blanks \('big dog'\), which separate",
        ),
        (
            dict(train=small(label=["fname", "cat", "cat", "owl"]), format=ClassColumns()),
            "the label 'fname' has the name of the column",
        ),
        (dict(format=Decisions(), test=TEST), "need the column 'target_label'"),
        (
            dict(format=Decisions(), test=TEST.assign(target_label=["dog", "owl"])),
            r"1 target label not in the vocabulary \(owl\)",
        ),
        (dict(format=LabelSets(), train=small(label=["a b", "c", "c", "c"])), "1 label with blanks"),
        (
            dict(test=TEST, solution=pd.DataFrame({"id": list("543721"), "label": "dog"})),
            r"4 rows of the solution that .* \(3, 4, 5, ...\)",
        ),
        (dict(test=TEST, solution=pd.DataFrame({"id": ["1"]})), "the solution table lacks the column 'label'"),
        (dict(train=small(id=["1", "2", "3", "3"])), r"1 training row with an id that is there already \(3\)"),
    ],
)
def test_labels_metric_format_and_answers_must_go_together(kwargs, what):
    refused(what, **kwargs)


def test_a_training_table_s_own_ids_matter_only_where_they_are_answered():
    assert Competition("pets", ".", small(id="x"), test=TEST).expected_rows().tolist() == ["1", "2"]


# ---------------------------------------------------------------------- what is known of it


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
    odd = small(path=["a.wav", "caf\udce9.wav", "c.wav", "d.wav"])  # as Python names a file whose name is no UTF-8
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


# ---------------------------------------------------------------------- tables

CSV = "fname,label,who,sure\na.wav,dog,x,1\nsub/b.wav,cat,y,0\n007.wav,dog,x,1\n"


@pytest.fixture
def pets_folder(tmp_path):
    """train.csv, a sample submission and the recordings that both name."""
    folder = tmp_path / "pets"
    touch(
        *(folder / "train" / name for name in ("a.wav", "sub/b.wav", "007.wav")),
        folder / "test/1.wav",
        folder / "test/2.wav",
    )
    (folder / "train.csv").write_text(CSV)
    (folder / "sample_submission.csv").write_text("fname,label\n1.wav,dog\n2.wav,dog\n")
    return folder


def quietly(function, *args, **kwargs):
    """The result, where no warning may be said."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return function(*args, **kwargs)


def test_train_rows(pets_folder):
    rows = tables.train_rows(
        pets_folder / "train.csv", pets_folder, "train", group_col="who", keep={"verified": "sure", "name": "fname"}
    )
    assert rows.to_dict("list") == {
        "path": ["train/a.wav", "train/sub/b.wav", "train/007.wav"],
        "label": ["dog", "cat", "dog"],
        "group": ["x", "y", "x"],
        "verified": ["1", "0", "1"],
        "name": ["a.wav", "sub/b.wav", "007.wav"],
    }
    table = tables.read_text(pets_folder / "train.csv").assign(fname=["a", "b", "c"])
    for audio in ("", "."):
        assert tables.train_rows(table, pets_folder, audio, suffix=".wav")["path"].tolist() == [
            "a.wav",
            "b.wav",
            "c.wav",
        ]


def test_kept_columns_go_with_the_clip_and_not_with_the_row(tmp_path):
    csv = pd.DataFrame(
        {
            "fname": ["a", "a", "b", "b", "a"],
            "label": ["x", "y", "z", "z", "x"],
            "from": ["0", "1", "0", "0.0", "0"],
            "to": ["1", "2", "1", "1.0", "1"],
            "site": list("stuvw"),
        }
    )
    with pytest.warns(UserWarning, match="2 duplicate rows left out"):
        rows = tables.train_rows(csv, tmp_path, "", start_col="from", end_col="to", keep={"site": "site"})
    assert rows["site"].tolist() == ["s", "t", "u"] and rows["start"].tolist() == [
        0,
        1,
        0,
    ]  # of rows that stand there twice the first
    whole = csv.assign(**{"from": "", "to": "", "fname": list("edcba")})
    assert tables.train_rows(whole, tmp_path, "", start_col="from", end_col="to", keep={"site": "site"})[
        "site"
    ].tolist() == list("stuvw")
    with pytest.warns(
        UserWarning, match="duplicate rows? left out|1 clip with different labels .a.; their labels are united"
    ):
        united = tables.train_rows(csv, tmp_path, "", label_delim=",", keep={"site": "site"})
    assert united["label"].tolist() == [["x", "y"], ["z"]] and united["site"].tolist() == ["s", "u"]


@pytest.mark.parametrize(
    "kwargs, what",
    [
        (dict(fn_col="file"), r"unknown column in .*train.csv 'file'; choose one of fname, label, sure, who"),
        (dict(label_col="labl"), "unknown column in .*train.csv 'labl'; did you mean 'label'"),
        (dict(keep={"sure": "shure"}), "unknown column of the table 'shure'; did you mean 'sure'"),
        (dict(weight_col="who"), "train.csv: column 'who' is not a finite number from 0 up in 3 rows"),
    ],
)
def test_train_rows_of_columns_that_are_not_there(kwargs, what, pets_folder):
    with pytest.raises(ValueError, match=what):
        tables.train_rows(pets_folder / "train.csv", pets_folder, "train", **kwargs)


def test_names_that_lead_out_of_the_folder(pets_folder):
    (pets_folder / "train.csv").write_text("fname,label\na.wav,dog\n../../other.wav,cat\n")
    with pytest.raises(ValueError, match=r"train.csv, row 2: '../../other.wav' leads out of"):
        tables.train_rows(pets_folder / "train.csv", pets_folder, "train")
    with pytest.raises(ValueError, match="'../x.wav' leads out of"):
        tables.test_rows(["../x"], pets_folder, "test", ".wav")
    with pytest.raises(ValueError, match="leads out of"):
        tables.test_windows({"../x.wav": 9.0}, pets_folder, "test", 5, "{}_{}".format)


def paths_of(*paths):
    return pd.DataFrame({"path": list(paths), "label": "dog"}).set_axis(range(5, 5 + len(paths)))


def test_all_recordings_there(pets_folder):
    rows = quietly(tables.with_audio, paths_of("train/a.wav", "train/sub/b.wav", "train/007.wav"), pets_folder, "train")
    assert rows["path"].tolist() == ["train/a.wav", "train/sub/b.wav", "train/007.wav"] and rows.index.tolist() == [
        0,
        1,
        2,
    ]
    touch(pets_folder / "train/notes.txt", pets_folder / "more/c.wav")
    rows = paths_of(*rows["path"], "more/c.wav")
    assert len(quietly(tables.with_audio, rows, pets_folder, ["train", "more", "not there"])) == 4
    assert len(quietly(tables.with_audio, rows[:2], pets_folder, "train", known=["train/007.wav"])) == 2
    assert len(quietly(tables.with_audio, rows[:1], pets_folder, [])) == 1  # no folder to compare with


def test_rows_without_a_recording_and_recordings_without_a_row(pets_folder):
    touch(pets_folder / "top.wav")
    with pytest.warns(UserWarning) as said:
        rows = tables.with_audio(paths_of("train/a.wav", "train/gone.wav", "top.wav"), pets_folder, "train", "curated")
    assert rows["path"].tolist() == ["train/a.wav", "top.wav"]
    assert [str(warning.message) for warning in said] == [
        "1 of 3 curated rows have no recording and are left out (train/gone.wav)",
        "2 recordings in train without a curated row, not used (train/007.wav, train/sub/b.wav)",
    ]


@pytest.mark.parametrize(
    "rows, what",
    [
        (
            paths_of("train/x.wav", "train/y.wav"),
            r"none of the 2 training rows has .* below '.*pets' \(the first is 'train/x.wav'\); unpack",
        ),
        (paths_of(), "none of the 0 training rows has its recording below '.*pets'; unpack"),
    ],
)
def test_no_recording_at_all(rows, what, pets_folder):
    with pytest.raises(ValueError, match=what):
        tables.with_audio(rows, pets_folder, "train")


def test_test_rows(pets_folder):
    rows = quietly(tables.test_rows, ["2", "1"], pets_folder, "test", ".wav")
    assert rows.to_dict("list") == {"id": ["2", "1"], "path": ["test/2.wav", "test/1.wav"]}
    assert tables.test_rows(["a.wav"], pets_folder / "train", "")["path"].tolist() == ["a.wav"]
    assert quietly(tables.test_rows, ["sub/b.wav"], pets_folder, "train")["path"].tolist() == ["train/sub/b.wav"]
    with pytest.warns(
        UserWarning,
        match=r"^2 of 3 test files are missing \(test/3, test/sub/1.wav\); the class prior is predicted for",
    ):
        rows = tables.test_rows(["3", "1.wav", "sub/1.wav"], pets_folder, "test")
    assert rows["id"].tolist() == ["3", "1.wav", "sub/1.wav"]
    assert len(tables.test_rows([], pets_folder, "test")) == 0


def test_asked_rows(pets_folder):
    sample, rows = quietly(tables.sample_rows, pets_folder, "test")
    assert sample == pets_folder / "sample_submission.csv" and rows["path"].tolist() == ["test/1.wav", "test/2.wav"]
    with pytest.raises(ValueError, match="unknown column in sample_submission.csv 'id'"):
        tables.sample_rows(pets_folder, "test", "id")
    sample.unlink()
    with pytest.warns(
        UserWarning, match="no sample_submission.csv in '.*pets': 2 recordings in 'test' are the test rows, by name"
    ):
        sample, rows = tables.sample_rows(pets_folder, "test")
    assert sample is None and rows["id"].tolist() == ["1.wav", "2.wav"]
    assert tables.sample_rows(pets_folder, "elsewhere") == (None, None)


def test_test_windows(tmp_path):
    recordings = {"b/night_1.ogg": 12.0, "a.ogg": 4.999, "c.ogg": 5.0, "d.ogg": 4.99999999}
    rows = tables.test_windows(recordings, tmp_path, "test", 5, "{}_{}".format)
    assert list(rows.itertuples(index=False, name=None)) == [
        ("night_1_5", "test/b/night_1.ogg", 0.0, 5.0),
        ("night_1_10", "test/b/night_1.ogg", 5.0, 10.0),
        ("c_5", "test/c.ogg", 0.0, 5.0),
        ("d_5", "test/d.ogg", 0.0, 5.0),
    ]
    none = tables.test_windows({}, tmp_path, "test", 5, "{}_{}".format)
    assert list(none) == ["id", "path", "start", "end"] and none["start"].dtype == float


def test_drop_unknown():
    labels = [["owl", "wren"], [], ["crow"], ["owl", "crow", "dove", "crow"]]
    with pytest.warns(
        UserWarning, match=r"^4 secondary labels left out, of 2 labels that .* does not use \(crow, dove\)$"
    ):
        assert tables.drop_unknown(labels, ["owl", "wren"], "secondary label") == [["owl", "wren"], [], [], ["owl"]]
    assert quietly(tables.drop_unknown, labels, ["owl", "wren", "crow", "dove"], "label") == labels


def test_refuse(tmp_path):
    tables.refuse([False, False], tmp_path / "t.csv", "fold", "is odd", "correct it")
    with pytest.raises(ValueError, match=r"^t.csv: column 'fold' is odd in 2 rows \(1, 3\); correct it$"):
        tables.refuse([True, False, True], tmp_path / "t.csv", "fold", "is odd", "correct it")


# ---------------------------------------------------------------------- from a TOML file


@pytest.fixture
def toml(tmp_path):
    """toml(text) -> the competition that pets.toml, beside the folder pets, describes."""

    def read(text, encoding="utf-8", path=tmp_path / "pets.toml"):
        path.write_text(text, encoding=encoding)
        return Competition.from_toml(path)

    return read


PETS = 'slug = "pets"\nfolder = "pets"\n'
TRAIN = '[train]\ncsv = "train.csv"\naudio = "train"\n'


def asks(**test):
    """The table [test]."""
    test = {"sample": "sample_submission.csv", "audio": "test", **test}
    return "[test]\n" + "".join(f"{name} = {value!r}\n" for name, value in test.items())


def test_a_csv_and_a_sample_submission(pets_folder, toml):
    comp = quietly(toml, PETS + 'metric = "map@3"\n' + TRAIN + asks())
    assert (comp.slug, comp.folder, comp.metric, comp.format, comp.vocab) == (
        "pets",
        pets_folder,
        "map@3",
        BestLabels(),
        ("cat", "dog"),
    )
    assert comp.train.to_dict("list") == {
        "path": ["train/a.wav", "train/sub/b.wav", "train/007.wav"],
        "label": ["dog", "cat", "dog"],
    }
    assert comp.test.to_dict("list") == {"id": ["1.wav", "2.wav"], "path": ["test/1.wav", "test/2.wav"]}
    assert comp.sample == pets_folder / "sample_submission.csv" and comp.options == {}
    assert "accepted" in comp.check(comp.sample)


def test_the_folder_is_seen_from_the_file(pets_folder, toml, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path / "pets/train")
    (tmp_path / "notes").mkdir()
    for folder in ("../pets", str(pets_folder), "../notes/../pets"):
        comp = toml(f"slug = 'pets'\nfolder = {folder!r}\n" + TRAIN, path=tmp_path / "notes/pets.toml")
        assert comp.folder.resolve() == pets_folder and comp.test is None


def test_every_column_of_the_csv(pets_folder, toml):
    (pets_folder / "train.csv").write_text(
        "file,species,from,to,site,k,trust,ok\na,owl|wren,0,5,n,0,1,True\na,,5,10,n,0,0.5,no\nsub/b,wren,,,s,1,1,1\n007,owl,1,2,s,-1,0,0\n"
    )
    comp = toml(
        PETS
        + 'metric = "lwlrap"\n'
        + TRAIN
        + """
        fn_col = "file"
        label_col = "species"
        label_delim = "|"
        suffix = ".wav"
        start_col = "from"
        end_col = "to"
        group_col = "site"
        fold_col = "k"
        weight_col = "trust"
        scored_col = "ok"
        """
    )
    assert comp.train["label"].tolist() == [["owl", "wren"], [], ["wren"], ["owl"]] and comp.format == ClassColumns()
    assert comp.train["path"].tolist() == ["train/a.wav", "train/a.wav", "train/sub/b.wav", "train/007.wav"]
    assert comp.train["start"].tolist()[:2] == [0, 5] and comp.train["end"].isna().tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert comp.train["group"].tolist() == ["n", "n", "s", "s"] and comp.train["scored"].tolist() == [
        True,
        False,
        True,
        False,
    ]
    assert comp.given_folds == [0, 1] and comp.train["weight"].tolist() == [1, 0.5, 1, 0]


def test_labels_from_names_and_folders(tmp_path, toml):
    touch(*(tmp_path / "pets/rec" / name for name in ("ann_dog_1.wav", "bob_cat_1.wav", "ann_cat_2.wav")))
    comp = toml(PETS + "[train]\naudio = 'rec'\nregex = '(?P<group>\\w+)_(?P<label>\\w+)_\\d'\n")
    assert comp.train.to_dict("list") == {
        "path": ["rec/ann_cat_2.wav", "rec/ann_dog_1.wav", "rec/bob_cat_1.wav"],
        "label": ["cat", "dog", "cat"],
        "group": ["ann", "ann", "bob"],
    }
    touch(tmp_path / "birds/owl/1.wav", tmp_path / "birds/wren/1.wav")
    comp = toml("slug = 'birds'\nfolder = 'birds'\n[train]\nfolders = true\n")
    assert comp.train.to_dict("list") == {"path": ["owl/1.wav", "wren/1.wav"], "label": ["owl", "wren"]}
    comp = toml("slug = 'birds'\nfolder = '.'\n[train]\nregex = '(?P<label>\\w+)/\\d'\non = 'path'\naudio = 'birds'\n")
    assert comp.train["path"].tolist() == ["birds/owl/1.wav", "birds/wren/1.wav"] and comp.train["label"].tolist() == [
        "owl",
        "wren",
    ]


def test_recordings_of_the_test_set_are_no_surprise_in_the_same_folder(pets_folder, toml):
    (pets_folder / "train.csv").write_text("fname,label\ntrain/a.wav,dog\ntrain/007.wav,cat\n")
    comp = quietly(toml, PETS + "[train]\ncsv = 'train.csv'\n" + asks())
    assert comp.train["path"].tolist() == ["train/a.wav", "train/007.wav"]


def test_recordings_that_are_missing_are_counted(pets_folder, toml):
    (pets_folder / "train/007.wav").unlink(), (pets_folder / "test/2.wav").unlink()
    with pytest.warns(UserWarning) as said:
        comp = toml(PETS + TRAIN + asks())
    assert len(comp.train) == 2 and comp.expected_rows().tolist() == ["1.wav", "2.wav"]
    assert [str(warning.message).split(" (")[0] for warning in said] == [
        "1 of 3 training rows have no recording and are left out",
        "1 of 2 test files are missing",
    ]
    assert {warning.filename for warning in said} == {__file__}


def test_class_columns_order_the_labels(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,dog,cat\n1,0.5,0.5\n2,0.5,0.5\n")
    comp = toml(PETS + TRAIN + asks(suffix=".wav", id_col="row_id"))
    assert comp.format == ClassColumns(id_col="row_id") and comp.vocab == ("dog", "cat")
    assert comp.test.to_dict("list") == {
        "id": ["1", "2"],
        "path": ["test/1.wav", "test/2.wav"],
    } and "accepted" in comp.check(comp.sample)


def test_windows(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,birds\n2_5,nocall\n2_10,nocall\n1_2.5,nocall\n")
    text = PETS + 'metric = "row_f1"\n' + TRAIN + "label_delim = ' '\n" + asks(suffix=".wav", row_id="{stem}_{end}")
    comp = toml(text + "seconds = 2.5\n")
    assert comp.format == LabelSets() and list(comp.test.itertuples(index=False, name=None)) == [
        ("2_5", "test/2.wav", 2.5, 5.0),
        ("2_10", "test/2.wav", 7.5, 10.0),
        ("1_2.5", "test/1.wav", 0.0, 2.5),
    ]
    with pytest.raises(
        ValueError, match=r"1 row of the test table whose times are not 0 <= start < end \(test/1.wav\)"
    ):
        toml(text + "seconds = 5\n")


def test_questions(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("row_id,target\n1_dog_5,False\n1_big_cat_5,False\n")
    (pets_folder / "train.csv").write_text("fname,label\na.wav,dog\n007.wav,cat\nsub/b.wav,big_cat\n")
    comp = toml(PETS + TRAIN + asks(suffix=".wav", row_id="{stem}_{label}_{end}", seconds=5))
    assert (
        comp.format == Decisions()
        and comp.test["target_label"].tolist() == ["dog", "big_cat"]
        and set(comp.test["path"]) == {"test/1.wav"}
    )
    (pets_folder / "sample_submission.csv").write_text("row_id,target\n1_owl_5,False\n")
    with pytest.raises(
        ValueError, match=r"1 row of sample_submission.csv whose name is not {stem}_{label}_{end} \(1_owl_5\)"
    ):
        toml(PETS + TRAIN + asks(suffix=".wav", row_id="{stem}_{label}_{end}", seconds=5))


def test_a_format_and_labels_of_its_own(pets_folder, toml):
    with pytest.warns(UserWarning, match="1 label of the vocabulary without a clip in training .owl."):
        comp = toml(
            PETS + 'vocab = ["owl", "dog", "cat"]\n' + TRAIN + asks() + '[format]\nkind = "bestlabels"\nk = 3\n'
        )
    assert comp.format == BestLabels(k=3) and comp.vocab == ("owl", "dog", "cat")


def test_labels_with_blanks_are_told_from_several(pets_folder, toml):
    (pets_folder / "train.csv").write_text("fname,label\na.wav,air conditioner\n007.wav,dog\nsub/b.wav,dog\n")
    (pets_folder / "sample_submission.csv").write_text("fname,label\n1.wav,air conditioner\n2.wav,air conditioner\n")
    assert toml(PETS + TRAIN + asks()).format == BestLabels(k=1)


def test_a_label_named_none(pets_folder, toml):
    (pets_folder / "train.csv").write_text(CSV.replace("cat", "none"))
    assert toml(PETS + 'vocab = ["none", "dog"]\n' + TRAIN).vocab == ("none", "dog")


def test_a_file_of_a_windows_editor(pets_folder, toml):
    assert toml((PETS + TRAIN).replace("\n", "\r\n"), encoding="utf-8-sig").slug == "pets"


def test_without_a_folder_it_is_looked_for(kaggle, toml):
    touch(kaggle / "datasets/me/pets/rec/owl_1.wav", kaggle / "datasets/me/pets/rec/wren_1.wav")
    comp = toml("slug = 'pets'\n[train]\naudio = 'rec'\nregex = '(\\w+)_'\n")
    assert comp.folder == kaggle / "datasets/me/pets"
    with pytest.raises(
        ValueError,
        match=r"no owls in '.*kaggle' or 'owls': searched for a folder with 'train.csv' and 'rec' and 's.csv'",
    ):
        toml("slug = 'owls'\n[train]\naudio = 'rec'\ncsv = 'train.csv'\n[test]\nsample = 's.csv'\naudio = 'rec'\n")
    with pytest.raises(ValueError, match="no folder is given, and no file is named by which it could be found"):
        toml("slug = 'owls'\n[train]\nfolders = true\n")


def test_a_known_layout(pets, tmp_path, toml, kaggle):
    place(tmp_path / "data/unpacked")
    comp = toml('slug = "pets-2021"\nfolder = "data"\n[options]\nseed = 4\n')
    assert (comp.slug, comp.folder, comp.options) == ("pets-2021", tmp_path / "data/unpacked", {"seed": 4})
    assert comp.test["id"].tolist() == ["4"]
    assert toml('slug = "pets-2021"\nfolder = ""\n').folder == tmp_path / "data/unpacked"  # beside the file
    place(kaggle / "pets-2022")
    assert toml('slug = "pets-2022"\n').folder == kaggle / "pets-2022"
    with pytest.warns(UserWarning, match="noisy clips are left out") as said:
        toml('slug = "pets-2021"\nfolder = "data"\n[options]\nnoisy = "leave"\n')
    assert said[0].filename == __file__
    with pytest.raises(ValueError, match=r"pets.toml': unknown option of pets-2021 'sed'"):
        toml('slug = "pets-2021"\nfolder = "data"\n[options]\nsed = 4\n')
    with pytest.raises(ValueError, match=r"pets.toml': unknown competition 'pet-2021'; did you mean 'pets-2021'"):
        toml('slug = "pet-2021"\n')


@pytest.mark.parametrize(
    "text, what",
    [
        ("slug = ", "Invalid value|invalid"),
        ('folder = "pets"\n', "lacks the field 'slug', which has no default"),
        (PETS + 'metrik = "map@3"\n' + TRAIN, "unknown field of CompetitionFile 'metrik'; did you mean 'metric'"),
        (
            PETS + TRAIN + 'metric = "map@3"\n',
            r"metric is below \[train\], so it belongs to that table; write it above the first table",
        ),
        ('slug = "pets"\n[options]\nfolder = "pets"\n', r"folder is below \[options\]"),
        (PETS + TRAIN + 'fname_col = "x"\n', "unknown field of TrainFile 'fname_col'; did you mean 'fn_col'"),
        (PETS + TRAIN + asks(secs=5), "unknown field of TestFile 'secs'; "),
        (
            PETS + TRAIN + '[format]\nkind = "bestlabel"\n',
            "unknown submissionformat 'bestlabel'; did you mean 'bestlabels'",
        ),
        (
            PETS + TRAIN + "[format]\nk = 3\n",
            "the dictionary has no 'kind'; choose one of bestlabels, classcolumns, decisions, labelsets",
        ),
        (PETS + TRAIN + '[format]\nkind = "mel"\n', "unknown submissionformat 'mel'"),
        (PETS + TRAIN + "[test]\naudio = 'test'\n", "lacks the field 'sample', which has no default"),
        ("slug = 3\n" + TRAIN, r"CompetitionFile\(slug=...\): 3 is not a string"),
        (PETS + "train = 'train.csv'\n", r"CompetitionFile\(train=...\): 'train.csv' is not TrainFile or None"),
        (
            PETS + 'metric = "lwlrap"\nvocab = ["a"]\n[test]\nsample = "s.csv"\n',
            "vocab, test, metric without .train.: a known layout",
        ),
        (
            PETS + TRAIN + "[options]\nseed = 3\n",
            r"\[options\] \(seed\) beside \[train\]: options are for known layouts",
        ),
        (
            PETS + "[train]\naudio = 'train'\n",
            r"\[train\] gives none of them; labels come from one of csv, regex, folders",
        ),
        (PETS + TRAIN + "folders = true\n", r"\[train\] gives csv and folders; labels come from one of"),
        (
            PETS + "[train]\nfolders = true\ngroup_col = 'x'\nsuffix = 'y'\n",
            "gives suffix, group_col, which has no meaning beside folders",
        ),
        (PETS + TRAIN + "on = 'path'\n", r"\[train\] gives on, which has no meaning beside csv"),
        (PETS + TRAIN + "start_col = 'x'\n", "gives only one of start_col and end_col"),
        (PETS + "[train]\nregex = '(x)'\non = 'nam'\n", "unknown text to search 'nam'; did you mean 'name'"),
        (PETS + "[train]\nregex = '(x'\naudio = 'train'\n", "is not a regular expression"),
        (
            PETS + TRAIN + asks(seconds=5),
            r"row_id = '{stem}' with seconds: windows need both seconds and {end} in row_id",
        ),
        (PETS + TRAIN + asks(row_id="{stem}_{end}"), "row_id = '{stem}_{end}' without seconds: windows need both"),
        (PETS + TRAIN + asks(seconds=0, row_id="{stem}_{end}"), "seconds = 0: give the length of a window, above 0"),
        (
            PETS + TRAIN + asks(row_id="{end}"),
            "row_id = '{end}': it needs {stem}, and may have {end} and {label}, each once",
        ),
        (PETS + TRAIN + asks(row_id="{stem}{stem}"), "each once"),
        (PETS + TRAIN + asks(row_id="{stm}"), "unknown field of row_id 'stm'; did you mean 'stem'"),
        (PETS + TRAIN + asks(row_id="{stem"), "row_id = '{stem': .*; write it like '{stem}_{end}'"),
        (
            PETS.replace('"pets"\n', '"nowhere"\n') + TRAIN,
            "folder = 'nowhere': '.*' is not a folder; give the one that",
        ),
        (PETS + TRAIN.replace("train.csv", "trian.csv"), "csv = 'trian.csv': there is no such file in '.*pets'"),
        (PETS + TRAIN.replace("train.csv", "../pets.toml"), "'../pets.toml' leads out of"),
        (PETS + TRAIN.replace('"train"', '"train.csv"'), "audio = 'train.csv': there is no such folder in '.*pets'"),
        (PETS + TRAIN.replace('"train"', '".."'), r"'..' leads out of"),
        (
            PETS + TRAIN + 'fn_col = "file"\n',
            "unknown column in .*train.csv 'file'; choose one of fname, label, sure, who",
        ),
        (PETS + TRAIN + 'group_col = "speaker"\n', "unknown column in .*train.csv 'speaker'"),
        (PETS + TRAIN + 'scored_col = "who"\n', "column 'who' is neither True nor False"),
        (PETS + 'metric = "lwlrap"\n' + TRAIN, "the metric 'lwlrap' does not go with clips of one label"),
        (PETS + TRAIN + asks(sample="s.csv"), "sample = 's.csv': there is no such file"),
        (PETS + TRAIN + asks(sample="../pets.toml"), "'../pets.toml' leads out of"),
        (PETS + TRAIN + asks(audio="tests"), "audio = 'tests': there is no such folder"),
        (PETS + TRAIN + asks(id_col="id"), "unknown column in sample_submission.csv 'id'; choose one of fname, label"),
        (
            PETS + TRAIN + asks(suffix=".wav"),
            r"none of the 2 test rows has its recording \(the first is 'test/1.wav.wav'\); correct",
        ),
        (
            PETS + TRAIN + asks(row_id="x{stem}"),
            r"2 rows of sample_submission.csv whose name is not x{stem} \(1.wav, 2.wav\); correct row_id",
        ),
        (
            PETS + TRAIN + asks() + "[format]\nkind = 'bestlabels'\nlabel_col = 'species'\n",
            r"sample_submission.csv does not fit the format bestlabels: 1 column missing \('label'\); 1 column too many \('species'\)",
        ),
        (
            PETS + TRAIN + asks() + "[format]\nkind = 'classcolumns'\n",
            r"2 labels in training that the vocabulary lacks \(cat, dog\)",
        ),
        (
            PETS + 'vocab = ["cat", "dog"]\n' + TRAIN + asks() + "[format]\nkind = 'classcolumns'\n",
            r"classcolumns: .* missing \('label'\)",
        ),
    ],
)
def test_files_that_say_what_they_may_not(text, what, pets_folder, toml):
    with pytest.raises(ValueError, match=what) as error:
        toml(text)
    assert "pets.toml': " in str(error.value)


def test_a_sample_that_leads_out(pets_folder, toml):
    (pets_folder / "sample_submission.csv").write_text("fname,label\n../train/a.wav,dog\n")
    with pytest.raises(ValueError, match=r"pets.toml': '../train/a.wav' leads out of"):
        toml(PETS + TRAIN + asks())


def test_a_toml_file_that_is_not_there(tmp_path):
    with pytest.raises(
        ValueError, match="nowhere.toml' is not a file; give the TOML file that describes the competition"
    ):
        Competition.from_toml(tmp_path / "nowhere.toml")


def test_what_a_file_says_is_a_value():
    train, test = by_hand.TrainFile(csv="train.csv"), by_hand.TestFile("s.csv")
    about = by_hand.CompetitionFile("pets", train=train, test=test, format=BestLabels(k=3))
    assert by_hand.CompetitionFile.from_toml(about.to_toml()) == about
