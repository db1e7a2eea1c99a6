"""The layouts of Freesound's competitions of 2018 and 2019: every column by hand, both editions, Kaggle's mounts, and bad input."""

import csv
import re
import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
from miniatures.freesound import (
    EMPTY_2018,
    HZ_2018,
    HZ_2019,
    answers_2018,
    answers_2019,
    freesound_2018,
    freesound_2019,
)
from pandas.testing import assert_frame_equal

from specimg.competitions import BestLabels, ClassColumns, Competition
from specimg.competitions.layouts.freesound import BROKEN_2019
from specimg.datasets import make_competition

TAGGING, TAGGING_2019 = "freesound-audio-tagging", "freesound-audio-tagging-2019"


def opened(slug, folder, **options):
    """The competition and what was warned of, all of it at the line of the call."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        comp = Competition.open(slug, folder, **options)
    assert {warning.filename for warning in said} <= {__file__}
    return comp, [str(warning.message) for warning in said]


def quietly(slug, folder, **options):
    comp, said = opened(slug, folder, **options)
    assert said == []
    return comp


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def edit(path, old, new, times=1):
    """Replace in a text file; the text must be there."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, times), encoding="utf-8")


def by_name(comp, column):
    """File name -> cell of the training table."""
    return {path.rpartition("/")[2]: cell for path, cell in zip(comp.train["path"], comp.train[column])}


@pytest.fixture(scope="module")
def kaggle(tmp_path_factory):
    return freesound_2018(tmp_path_factory.mktemp("kaggle"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return freesound_2018(tmp_path_factory.mktemp("published"), published=True)


@pytest.fixture(scope="module")
def kaggle_2019(tmp_path_factory):
    return freesound_2019(tmp_path_factory.mktemp("kaggle_2019"))


@pytest.fixture
def copy(kaggle, tmp_path):
    return shutil.copytree(kaggle, tmp_path / "copy")


@pytest.fixture
def copy_2019(kaggle_2019, tmp_path):
    return shutil.copytree(kaggle_2019, tmp_path / "copy")


MAKERS = {TAGGING: freesound_2018, TAGGING_2019: freesound_2019}


@pytest.mark.parametrize("slug", MAKERS)
@pytest.mark.parametrize("mount", ["{slug}", "competitions/{slug}", "datasets/somebody/{slug}"])
def test_it_is_found_wherever_kaggle_mounts_it(slug, mount, tmp_path, monkeypatch):
    folder = MAKERS[slug](tmp_path / mount.format(slug=slug))
    monkeypatch.setattr("specimg.competitions.locate.KAGGLE_INPUT", tmp_path)
    monkeypatch.chdir(tmp_path)
    named, found = quietly(slug, folder), quietly(slug, None)
    assert found.folder == named.folder == folder
    assert_frame_equal(found.train, named.train)
    assert_frame_equal(found.test, named.test)
    assert found.digest == named.digest


@pytest.mark.parametrize(
    "slug, marks",
    [
        (TAGGING, "'train.csv' and 'audio_train' or 'FSDKaggle2018.meta/train_post_competition.csv'"),
        (TAGGING_2019, "'train_curated.csv' and 'train_curated' or"),
    ],
)
def test_an_empty_or_a_wrong_folder_is_told_what_belongs_in_it(slug, marks, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=f"no {slug} in '.*empty': searched for a folder with {marks}"):
        Competition.open(slug, tmp_path / "empty")
    other = MAKERS[next(each for each in MAKERS if each != slug)](tmp_path / "other")
    with pytest.raises(ValueError, match=f"no {slug} in '.*other': searched for a folder with {marks}"):
        Competition.open(slug, other)


# 2018 -----------------------------------------------------------------------------------------------------------------


def test_the_columns_of_2018(kaggle):
    comp, table = quietly(TAGGING, kaggle), rows(kaggle / "train.csv")
    assert list(comp.train) == ["path", "label", "verified", "weight", "scored"]
    assert comp.train["path"].tolist() == ["audio_train/" + row["fname"] for row in table]
    assert comp.train["label"].tolist() == [row["label"] for row in table]
    assert comp.train["verified"].tolist() == [row["manually_verified"] == "1" for row in table]
    assert comp.train["weight"].tolist() == [1 if row["manually_verified"] == "1" else 0.65 for row in table]
    assert comp.train["scored"].tolist() == comp.train["verified"].tolist()
    assert comp.train["verified"].sum() == 16 and len(comp.train) == 28
    assert comp.train.dtypes[["verified", "weight", "scored"]].tolist() == [bool, float, bool]


def test_how_2018_is_answered(kaggle):
    comp = quietly(TAGGING, kaggle)
    assert (comp.slug, comp.metric, comp.format, comp.vocab) == (
        TAGGING,
        "map@3",
        BestLabels(k=3),
        tuple(sorted(HZ_2018)),
    )
    assert (
        comp.sample == kaggle / "sample_submission.csv"
        and comp.solution is None
        and not comp.is_multi
        and comp.given_folds == []
    )
    assert comp.test["id"].tolist() == [row["fname"] for row in rows(comp.sample)]
    assert comp.test["path"].tolist() == ["audio_test/" + name for name in comp.test["id"]]
    answers = comp.format.to_submission(comp.prediction_rows(), np.full((13, 4), 0.25), comp.vocab)
    assert comp.check(answers).startswith("13 rows")


def test_the_three_empty_test_files_keep_their_rows(kaggle):
    assert set(EMPTY_2018) <= set(quietly(TAGGING, kaggle).test["id"])


def test_how_far_unverified_labels_are_trusted_is_a_choice(kaggle):
    comp = quietly(TAGGING, kaggle, unverified=0.2, scored="all")
    assert sorted(comp.train["weight"].unique()) == [0.2, 1] and comp.train["scored"].all()
    assert (comp.train["weight"] == 1).tolist() == comp.train["verified"].tolist()
    assert comp.options == {"unverified": 0.2, "scored": "all"}
    assert set(quietly(TAGGING, kaggle, unverified=0).train["weight"]) == {0, 1}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"unverified": -1}, "unverified=-1; give a weight"),
        ({"unverified": float("nan")}, "unverified=nan; give a weight"),
        ({"unverified": "half"}, "unverified='half'; give a weight"),
        ({"scored": "some"}, "unknown choice for scored 'some'; choose one of all, verified"),
        ({"noisy": "train"}, "unknown option of freesound-audio-tagging 'noisy'; .*choose one of scored, unverified"),
    ],
)
def test_a_choice_that_does_not_exist(kaggle, options, message):
    with pytest.raises(ValueError, match=message):
        Competition.open(TAGGING, kaggle, **options)


def test_the_published_edition_says_the_same_and_more(kaggle, published):
    comp, other = quietly(TAGGING, published), quietly(TAGGING, kaggle)
    assert list(comp.train) == ["path", "label", "verified", "freesound_id", "license", "weight", "scored"]
    assert set(comp.train["path"].map(lambda path: path.partition("/")[0])) == {"FSDKaggle2018.audio_train"}
    for column in ("label", "verified", "weight", "scored"):
        assert by_name(comp, column) == by_name(other, column)
    assert comp.train["freesound_id"].tolist() == [str(1000 + i) for i in range(28)]
    assert set(comp.train["license"]) == {"Creative Commons 0"}


def test_the_published_edition_asks_for_the_scored_clips_and_tells_their_answers(published):
    comp = quietly(TAGGING, published)
    assert comp.sample is None and list(comp.solution) == ["id", "label", "usage"]
    assert comp.test["id"].tolist() == comp.solution["id"].tolist() == list(answers_2018())
    assert comp.test["path"].tolist() == ["FSDKaggle2018.audio_test/" + name for name in answers_2018()]
    assert comp.solution["label"].tolist() == list(answers_2018().values())
    assert comp.solution["usage"].tolist() == ["Private", "Public"] * 4


def test_the_published_training_clips_do_without_the_test_clips(published, tmp_path):
    folder = shutil.copytree(published, tmp_path / "copy")
    shutil.rmtree(folder / "FSDKaggle2018.audio_test")
    comp = quietly(TAGGING, folder)
    assert comp.test is None and comp.solution is None and len(comp.train) == 28


def test_answers_beside_kaggles_files_are_the_solution_without_the_padding(copy):
    with open(copy / "test_post_competition.csv", "w", encoding="utf-8") as file:
        file.write("fname,label,usage,freesound_id,license\n")
        for name in sorted([*answers_2018(), *EMPTY_2018]):
            file.write(
                f"{name},{answers_2018().get(name, 'None')},{'Public' if name in answers_2018() else 'Ignored'},1,CC\n"
            )
        file.write("elsewhere.wav,Bark,Public,1,CC\n")
    comp = quietly(TAGGING, copy)
    assert dict(zip(comp.solution["id"], comp.solution["label"])) == answers_2018() and len(comp.test) == 13
    assert set(comp.solution["usage"]) == {"Public"}


def test_an_answer_that_training_does_not_know_is_said(copy):
    (copy / "solution.csv").write_text(f"fname,label\n{list(answers_2018())[0]},Yodel\n", encoding="utf-8")
    comp, said = opened(TAGGING, copy)
    assert (
        said == ["1 label of the solution without a clip in training (Yodel): no network can learn them"]
        and "Yodel" not in comp.vocab
    )


def test_the_demo_competition_has_this_layout_and_tells_its_solution(tmp_path):
    folder = make_competition(
        tmp_path / "made", n_per_class=2, n_test=5, sr=8000, kinds=["bell", "siren"], progress=False
    )
    comp = quietly(TAGGING, folder)
    truth = {row["fname"]: row["label"] for row in rows(folder / "solution.csv") if row["label"] != "None"}
    assert comp.vocab == ("Bell", "Siren") and len(comp.train) == 4 and len(comp.test) == 8
    assert dict(zip(comp.solution["id"], comp.solution["label"])) == truth and len(truth) == 5


def test_the_order_of_the_rows_does_not_matter(copy, kaggle):
    head, *lines = (copy / "train.csv").read_text(encoding="utf-8").splitlines()
    (copy / "train.csv").write_text("\n".join([head, *lines[::-1]]) + "\n", encoding="utf-8")
    assert quietly(TAGGING, copy).digest == quietly(TAGGING, kaggle).digest
    assert quietly(TAGGING, copy, unverified=0.5).digest != quietly(TAGGING, kaggle).digest


# Bad input ------------------------------------------------------------------------------------------------------------


def test_a_row_without_its_recording_is_left_out(copy):
    (copy / "audio_train" / "0091a346.wav").unlink()
    comp, said = opened(TAGGING, copy)
    assert said == ["1 of 28 training rows have no recording and are left out (audio_train/0091a346.wav)"]
    assert len(comp.train) == 27 and "0091a346.wav" not in by_name(comp, "label")


def test_a_recording_without_a_row_is_not_used(copy):
    shutil.copy(copy / "audio_train" / "0091a346.wav", copy / "audio_train" / "more.wav")
    comp, said = opened(TAGGING, copy)
    assert (
        said == ["1 recording in audio_train without a training row, not used (audio_train/more.wav)"]
        and len(comp.train) == 28
    )


def test_no_recording_at_all(copy):
    shutil.rmtree(copy / "audio_train")
    (copy / "audio_train").mkdir()
    with pytest.raises(
        ValueError, match=r"none of (the )?28 training rows has its recording .*\(the first is 'audio_train/0091a3"
    ):
        Competition.open(TAGGING, copy)


@pytest.mark.parametrize("column", ["fname", "label", "manually_verified"])
def test_a_csv_without_a_column(copy, column):
    edit(copy / "train.csv", column, "something")
    with pytest.raises(ValueError, match=f"train.csv.* '{column}'.*choose one of .*something"):
        Competition.open(TAGGING, copy)


def test_a_csv_with_an_empty_cell_or_a_doubtful_one(copy):
    edit(copy / "train.csv", "0091a346.wav,Bark,0", "0091a346.wav,,0")
    with pytest.raises(ValueError, match=r"train.csv: column 'label' is empty in 1 row \(1\)"):
        Competition.open(TAGGING, copy)
    edit(copy / "train.csv", "0091a346.wav,,0", "0091a346.wav,Bark,maybe")
    with pytest.raises(
        ValueError, match=r"train.csv: column 'manually_verified' is neither True nor False in 1 row \(1\)"
    ):
        Competition.open(TAGGING, copy)


def test_a_name_that_leads_out_of_the_folder(copy):
    edit(copy / "train.csv", "0091a346.wav", "../audio_test/0b0427e2.wav")
    with pytest.raises(ValueError, match="row 1: '../audio_test/0b0427e2.wav' leads out of"):
        Competition.open(TAGGING, copy)
    edit(copy / "train.csv", "../audio_test/0b0427e2.wav", "0091a346.wav")
    edit(copy / "sample_submission.csv", "0b0427e2.wav", "/etc/hostname.wav")
    with pytest.raises(ValueError, match="'/etc/hostname.wav' leads out of"):
        Competition.open(TAGGING, copy)


def test_a_clip_that_stands_there_twice(copy):
    with open(copy / "train.csv", "a", encoding="utf-8") as file:
        file.write("0091a346.wav,Bark,0\n")
    comp, said = opened(TAGGING, copy)
    assert len(comp.train) == 28 and len(said) == 1 and re.search(r"1 duplicate row left out \(0091a346.wav\)", said[0])
    edit(copy / "train.csv", "0091a346.wav,Bark,0", "0091a346.wav,Cello,0")
    with pytest.raises(ValueError, match=r"1 clip with different labels \(0091a346.wav\)"):
        Competition.open(TAGGING, copy)


def test_umlauts_in_names_and_labels(copy):
    (copy / "audio_train" / "0091a346.wav").rename(copy / "audio_train" / "Käuzchen Nr 1.wav")
    edit(copy / "train.csv", "0091a346.wav,Bark", "Käuzchen Nr 1.wav,Häher")
    comp = quietly(TAGGING, copy)
    assert by_name(comp, "label")["Käuzchen Nr 1.wav"] == "Häher" and "Häher" in comp.vocab
    assert (copy / comp.train["path"][0]).is_file()


def test_a_csv_that_is_not_utf_8(copy):
    text = (copy / "train.csv").read_text(encoding="utf-8").replace("Bark", "Häher")
    (copy / "train.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ValueError, match="train.csv.* cannot be read as csv in UTF-8"):
        Competition.open(TAGGING, copy)


def test_a_missing_test_file_keeps_its_row(copy):
    (copy / "audio_test" / "0b0427e2.wav").unlink()
    comp, said = opened(TAGGING, copy)
    assert said == [
        "1 of 13 test files are missing (audio_test/0b0427e2.wav); the class prior is predicted for their rows"
    ]
    assert len(comp.test) == 13


def test_without_a_sample_submission_the_recordings_are_answered(copy):
    (copy / "sample_submission.csv").unlink()
    comp, said = opened(TAGGING, copy)
    assert said == [
        f"no sample_submission.csv in {str(copy)!r}: 13 recordings in 'audio_test' are the test rows, by name"
    ]
    assert comp.sample is None and comp.test["id"].tolist() == sorted(
        path.name for path in (copy / "audio_test").iterdir()
    )
    shutil.rmtree(copy / "audio_test")
    assert quietly(TAGGING, copy).test is None


def test_a_sample_submission_of_something_else(copy):
    edit(copy / "sample_submission.csv", "fname", "file")
    with pytest.raises(ValueError, match="unknown column in sample_submission.csv 'fname'; choose one of file, label"):
        Competition.open(TAGGING, copy)


def test_where_nothing_is_verified_nothing_would_be_scored(copy):
    table = pd.read_csv(copy / "train.csv").assign(manually_verified=0)
    table.to_csv(copy / "train.csv", index=False)
    with pytest.raises(
        ValueError, match="none of 28 training clips is verified, so nothing would be scored; .* scored='all'"
    ):
        Competition.open(TAGGING, copy)
    assert quietly(TAGGING, copy, scored="all").train["scored"].all()


# 2019 -----------------------------------------------------------------------------------------------------------------


def test_the_columns_of_2019(kaggle_2019):
    comp = quietly(TAGGING_2019, kaggle_2019)
    curated = [row for row in rows(kaggle_2019 / "train_curated.csv") if row["fname"] not in BROKEN_2019]
    noisy = rows(kaggle_2019 / "train_noisy.csv")
    assert (len(curated), len(noisy)) == (35, 15)
    assert list(comp.train) == ["path", "label", "curated", "weight", "scored", "fold"]
    paths = [f"train_curated/{row['fname']}" for row in curated] + [f"train_noisy/{row['fname']}" for row in noisy]
    assert comp.train["path"].tolist() == paths
    assert comp.train["label"].tolist() == [row["labels"].split(",") for row in curated + noisy]
    assert comp.train["curated"].tolist() == comp.train["scored"].tolist() == [True] * 35 + [False] * 15
    assert comp.train["weight"].tolist() == [1] * 35 + [0.25] * 15
    assert comp.train["fold"].isna().tolist() == [True] * 35 + [False] * 15 and set(comp.train["fold"][35:]) == {-1}
    assert sum(len(labels) == 2 for labels in comp.train["label"]) == 5


def test_how_2019_is_answered(kaggle_2019):
    comp = quietly(TAGGING_2019, kaggle_2019)
    assert (comp.metric, comp.format, comp.is_multi, comp.given_folds) == (
        "lwlrap",
        ClassColumns(id_col="fname"),
        True,
        [],
    )
    assert comp.sample == kaggle_2019 / "sample_submission.csv" and comp.solution is None
    assert comp.test["id"].tolist() == list(answers_2019())
    assert comp.test["path"].tolist() == ["test/" + name for name in answers_2019()]
    answers = comp.format.to_submission(comp.prediction_rows(), np.full((9, 5), 0.5), comp.vocab)
    assert comp.check(answers).startswith("9 rows") and list(answers) == ["fname", *HZ_2019]


def test_labels_stand_in_the_order_of_the_sample_submission(copy_2019):
    table = pd.read_csv(copy_2019 / "sample_submission.csv")
    backwards = ["fname", *list(HZ_2019)[::-1]]
    table[backwards].to_csv(copy_2019 / "sample_submission.csv", index=False)
    assert quietly(TAGGING_2019, copy_2019).vocab == tuple(backwards[1:])


def test_noisy_clips_may_be_held_out_or_left(kaggle_2019):
    fold = quietly(TAGGING_2019, kaggle_2019, noisy="fold", noisy_weight=0.1)
    assert (
        fold.train["fold"].isna().all()
        and len(fold.train) == 50
        and fold.train["scored"].tolist() == fold.train["curated"].tolist()
    )
    assert sorted(fold.train["weight"].unique()) == [0.1, 1]
    leave = quietly(TAGGING_2019, kaggle_2019, noisy="leave")
    assert len(leave.train) == 35 and leave.train["curated"].all() and leave.train["fold"].isna().all()


@pytest.mark.parametrize("gone", ["train_noisy", "train_noisy.csv"])
def test_without_the_noisy_part_the_curated_clips_train_alone(copy_2019, gone):
    if gone.endswith(".csv"):
        (copy_2019 / gone).unlink()
    else:
        shutil.rmtree(copy_2019 / gone)
    comp, said = opened(TAGGING_2019, copy_2019)
    assert said == [
        "'train_noisy.csv' or 'train_noisy' is missing: training has the curated clips only; noisy='leave' accepts that"
    ]
    assert len(comp.train) == 35 and comp.train["curated"].all()
    assert len(quietly(TAGGING_2019, copy_2019, noisy="leave").train) == 35


def test_the_clips_known_to_be_broken_are_left_out_unless_others_are_named(kaggle_2019):
    def names(**options):
        return set(by_name(quietly(TAGGING_2019, kaggle_2019, **options), "label"))

    assert len(BROKEN_2019) == 6 and not names() & set(BROKEN_2019)
    assert names(leave_out=()) - names() == {"f76181c4.wav", "1d44b0bd.wav"}
    one = sorted(names())[0]
    assert names(leave_out=()) - names(leave_out=[one]) == {one}


@pytest.mark.parametrize(
    "options, message",
    [
        (
            {"leave_out": ["xyz.wav", "1d44b0bd.wav"]},
            r"1 file to leave out that no training row has \(xyz.wav\); write names as in the csv",
        ),
        (
            {"leave_out": "1d44b0bd.wav"},
            r"leave_out='1d44b0bd.wav'; give a list of file names, such as leave_out=\['1d44b0bd.wav'\]",
        ),
        ({"noisy": "some"}, "unknown choice for noisy 'some'; choose one of fold, leave, train"),
        ({"noisy_weight": float("inf")}, "noisy_weight=inf; give a weight"),
    ],
)
def test_a_choice_that_does_not_exist_in_2019(kaggle_2019, options, message):
    with pytest.raises(ValueError, match=message):
        Competition.open(TAGGING_2019, kaggle_2019, **options)


def test_a_class_that_is_asked_for_and_never_heard(copy_2019):
    table = pd.read_csv(copy_2019 / "sample_submission.csv").assign(Yodel=0.0)
    table.to_csv(copy_2019 / "sample_submission.csv", index=False)
    comp, said = opened(TAGGING_2019, copy_2019)
    assert said == ["1 label of the vocabulary without a clip in training (Yodel): no network can learn them"]
    assert comp.vocab == (*HZ_2019, "Yodel") and comp.format.columns(comp.vocab)[-1] == "Yodel"


def test_a_class_that_is_heard_and_not_asked_for(copy_2019):
    pd.read_csv(copy_2019 / "sample_submission.csv").drop(columns="Buzz").to_csv(
        copy_2019 / "sample_submission.csv", index=False
    )
    before = rows(copy_2019 / "train_curated.csv") + rows(copy_2019 / "train_noisy.csv")
    n = sum("Buzz" in row["labels"].split(",") for row in before if row["fname"] not in BROKEN_2019)
    comp, said = opened(TAGGING_2019, copy_2019)
    assert said == [f"{n} training labels left out, of 1 label that the competition does not use (Buzz)"]
    assert (
        "Buzz" not in comp.vocab
        and len(comp.train) == 50
        and sum(not labels for labels in comp.train["label"]) == n - 2
    )


def test_the_published_edition_of_2019_tells_the_answers(tmp_path, kaggle_2019):
    comp, other = quietly(TAGGING_2019, freesound_2019(tmp_path, published=True)), quietly(TAGGING_2019, kaggle_2019)
    assert list(comp.train) == ["path", "label", "freesound_id", "license", "curated", "weight", "scored", "fold"]
    for column in ("label", "curated", "weight", "scored"):
        assert by_name(comp, column) == by_name(other, column)
    assert comp.vocab == other.vocab and comp.sample is None
    assert comp.test["path"].tolist() == ["FSDKaggle2019.audio_test/" + name for name in answers_2019()]
    assert dict(zip(comp.solution["id"], comp.solution["label"])) == answers_2019()
    assert comp.solution["usage"].tolist()[:2] == ["Private", "Public"]
    edit(tmp_path / "FSDKaggle2019.meta" / "test_post_competition.csv", ",Buzz,", ',"Buzz,Yodel",')
    assert opened(TAGGING_2019, tmp_path)[1] == [
        "1 label of the solution without a clip in training (Yodel): no network can learn them"
    ]


@pytest.mark.parametrize("part", ["curated", "noisy"])
def test_rows_and_recordings_of_2019_that_do_not_fit(copy_2019, part):
    name = next(row["fname"] for row in rows(copy_2019 / f"train_{part}.csv") if row["fname"] not in BROKEN_2019)
    (copy_2019 / f"train_{part}" / name).rename(copy_2019 / f"train_{part}" / "Käuzchen.wav")
    n = len(rows(copy_2019 / f"train_{part}.csv"))
    comp, said = opened(TAGGING_2019, copy_2019)
    assert said == [
        f"1 of {n} {part} training rows have no recording and are left out (train_{part}/{name})",
        f"1 recording in train_{part} without a {part} training row, not used (train_{part}/Käuzchen.wav)",
    ]
    assert len(comp.train) == 49


def test_a_csv_of_2019_without_its_columns_or_with_a_name_that_leads_out(copy_2019):
    edit(copy_2019 / "train_noisy.csv", "labels", "label")
    with pytest.raises(ValueError, match="train_noisy.csv.* 'labels'.* choose one of fname, label"):
        Competition.open(TAGGING_2019, copy_2019)
    edit(copy_2019 / "train_noisy.csv", "fname,label\n", "fname,labels\n../../secret.wav,Bark\n")
    with pytest.raises(ValueError, match="row 1: '../../secret.wav' leads out of"):
        Competition.open(TAGGING_2019, copy_2019)
