"""BirdCLEF 2021 to 2026: labels, weights and groups of training; a test row for every five seconds, whatever of the test set is there."""

import json
import re
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from miniatures.birds import BIRDS, HEARD, RATINGS, SCORED, SOUNDSCAPES, WITH_TAXONOMY, birdclef, birdclef_answers

from specimg.competitions import Competition, check_submission, locate
from specimg.competitions.layouts.birdclef import _as_list
from specimg.core.files import OutsideError
from specimg.labels.folds import add_folds

SLUGS = sorted(BIRDS)
TWICE = ["train_soundscapes_labels.csv: 3 duplicate rows left out"]
KEPT_OUT = "4 secondary labels left out, of 1 label that the competition does not use (zzzbird)"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """written(slug, hidden=False) -> folder of the miniature, written once; not to be changed."""
    made = {}

    def get(slug, hidden=False):
        if (slug, hidden) not in made:
            made[slug, hidden] = birdclef(tmp_path_factory.mktemp("birds"), slug, hidden)
        return made[slug, hidden]

    return get


@pytest.fixture
def copy(written, tmp_path):
    """copy(slug, hidden=False) -> folder of a miniature that may be changed."""

    def make(slug, hidden=False):
        folder = tmp_path / slug
        shutil.copytree(written(slug, hidden), folder)
        return folder

    return make


@pytest.fixture
def empty_files(tmp_path):
    """empty_files(paths) makes files without a byte below a folder and returns the folder."""

    def make(paths):
        for path in map(Path, paths):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).touch()
        return tmp_path

    return make


def opened(slug, folder, **options):
    """The competition and the texts of its warnings, which all point here, where it is opened."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        comp = Competition.open(slug, folder, **options)
    assert {w.filename for w in said} <= {__file__}
    return comp, [str(w.message) for w in said]


def quietly(slug, folder, **options):
    return opened(slug, folder, **options)[0]


def change(csv, where, **cells):
    """Set cells of the row with this number from 0, as text."""
    table = pd.read_csv(csv, dtype=str, keep_default_na=False)
    for name, cell in cells.items():
        table.loc[where, name] = cell
    table.to_csv(csv, index=False)


def add_rows(csv, rows):
    table = pd.read_csv(csv, dtype=str, keep_default_na=False)
    pd.concat([table, pd.DataFrame(rows)]).fillna("").to_csv(csv, index=False)


def table_of(folder, slug):
    return folder / ("train.csv" if slug in WITH_TAXONOMY else "train_metadata.csv")


# ---------------------------------------------------------------------- what is read

FORMATS = {
    "birdclef-2021": ("row_f1", ["row_id", "birds"]),
    "birdclef-2022": ("macro_f1", ["row_id", "target"]),
    "birdclef-2023": ("padded_cmap", ["row_id", *BIRDS["birdclef-2023"]]),
    "birdclef-2024": ("macro_auc", ["row_id", *BIRDS["birdclef-2024"]]),
    "birdclef-2025": ("macro_auc", ["row_id", *BIRDS["birdclef-2025"]]),
    "birdclef-2026": ("macro_auc", ["row_id", *BIRDS["birdclef-2026"]]),
}


@pytest.mark.parametrize("slug", SLUGS)
def test_each_year_has_its_metric_answers_and_labels(slug, written):
    comp, said = opened(slug, written(slug))
    assert (comp.metric, comp.format.columns(comp.vocab)) == FORMATS[slug]
    assert comp.vocab == BIRDS[slug]  # in the miniatures the sample's order is the sorted one
    assert comp.slug == slug and comp.sample == written(slug) / "sample_submission.csv"
    assert said == [KEPT_OUT] + TWICE * (slug == "birdclef-2026")


@pytest.mark.parametrize("slug", SLUGS)
def test_the_training_table(slug, written):
    train = quietly(slug, written(slug), soundscapes=False).train
    audio, birds = "train_short_audio" if slug == "birdclef-2021" else "train_audio", BIRDS[slug]
    second = "iNat1001" if slug in WITH_TAXONOMY else "XC1001"
    assert len(train) == 27 and list(train.columns[:5]) == ["path", "label", "group", "weight", "rating"]
    row = train.iloc[1]
    assert (row["path"], row["label"], row["group"]) == (f"{audio}/{birds[0]}/{second}.ogg", [birds[0]], "B. Bird")
    assert (row["author"], row["rating"], row["latitude"], row["longitude"]) == ("B. Bird", 4.0, 20.25, -154.67)
    assert train["label"].iloc[2] == [birds[0], birds[1]]  # with a bird in its background
    assert train["label"].iloc[5] == [birds[0], birds[2]]  # zzzbird is left out
    assert np.isnan(train["latitude"].iloc[7]) and np.isnan(train["longitude"].iloc[7])
    assert set(train["group"]) == {"Ana Pérez", "B. Bird", "Chen, C.", "Doe", "Evi", "F. Finch"}
    assert (train["path"].map(lambda path: (written(slug) / path).is_file())).all()
    assert ("collection" in train) == (slug in WITH_TAXONOMY)


def test_2025_keeps_the_collection(written):
    assert quietly("birdclef-2025", written("birdclef-2025")).train["collection"].tolist()[:4] == [
        "XC",
        "iNat",
        "CSA",
        "XC",
    ]


@pytest.mark.parametrize("slug", SLUGS)
def test_every_five_seconds_are_a_row(slug, written):
    test = quietly(slug, written(slug)).test
    assert test["id"].tolist() == birdclef_answers(slug)["id"].tolist()
    assert set(test["path"]) == {f"test_soundscapes/{name}.ogg" for name in SOUNDSCAPES[slug]}
    assert (test["end"] - test["start"] == 5).all() and test["end"].tolist()[-1] == 15
    assert all(name.endswith(f"_{end:g}") for name, end in zip(test["id"], test["end"]))
    assert all((written(slug) / path).is_file() for path in test["path"])


def test_2021_finds_recordings_whose_names_hold_a_date(written):
    row = quietly("birdclef-2021", written("birdclef-2021")).test.iloc[4]
    assert row.to_dict() == {
        "id": "57610_COR_10",
        "path": "test_soundscapes/57610_COR_20190904.ogg",
        "start": 5.0,
        "end": 10.0,
    }


def test_2022_asks_for_one_bird_a_row(written):
    comp = quietly("birdclef-2022", written("birdclef-2022"))
    assert comp.test.iloc[3].to_dict() == {
        "id": "soundscape_453028782_akiapo_10",
        "path": "test_soundscapes/soundscape_453028782.ogg",
        "start": 5.0,
        "end": 10.0,
        "target_label": "akiapo",
    }
    assert comp.vocab == BIRDS["birdclef-2022"]  # all birds of training, not only the scored ones


@pytest.mark.parametrize("slug", SLUGS)
def test_the_true_answers_make_an_accepted_submission(slug, written):
    comp, true = quietly(slug, written(slug)), birdclef_answers(slug)
    if slug == "birdclef-2022":
        pairs = zip(true["label"], comp.test["target_label"])
        probs = np.array([[label and bird == asked for bird in comp.vocab] for label, asked in pairs], float)
    else:
        probs = np.array([[bird in label for bird in comp.vocab] for label in true["label"]], float)
    answers = comp.format.to_submission(comp.test, probs, comp.vocab)
    assert "accepted" in comp.check(answers) and "accepted" in check_submission(answers, comp.sample)
    if slug == "birdclef-2021":
        assert answers["birds"].tolist() == ["acafly", "nocall", "amecro houfin", "houfin", "amecro", "nocall"]
    if slug == "birdclef-2022":
        assert answers["target"].tolist() == true["label"].tolist()


@pytest.mark.parametrize("slug", SLUGS)
def test_opening_twice_gives_the_same(slug, written, tmp_path):
    first, again = quietly(slug, written(slug)), quietly(slug, birdclef(tmp_path, slug))
    assert first.train.equals(again.train) and first.test.equals(again.test) and first.digest == again.digest


def test_authors_stay_on_one_side_of_a_split_and_a_bird_of_one_recording_is_no_obstacle(written):
    train = quietly("birdclef-2024", written("birdclef-2024")).train
    with pytest.warns(UserWarning, match="1 label in fewer groups than the 3 folds"):
        folds = add_folds(train, 3, group="group")
    assert (folds.groupby("author")["fold"].nunique() == 1).all() and set(folds["fold"]) == {0, 1, 2}


def test_the_vocabulary_has_the_order_of_the_sample(copy):
    folder = copy("birdclef-2024")
    sample = pd.read_csv(folder / "sample_submission.csv")
    order = ["zitcis1", "asbfly", "houspa", "comior1"]
    sample[["row_id", *order]].to_csv(folder / "sample_submission.csv", index=False)
    assert list(quietly("birdclef-2024", folder).vocab) == order


# ---------------------------------------------------------------------- options


@pytest.mark.parametrize(
    "slug, options, weights",
    [
        ("birdclef-2021", {}, {5.0: 1.0, 4.0: 0.8, 3.5: 0.7, 0.0: 0.6, 2.0: 0.4, 4.5: 0.9}),
        ("birdclef-2025", {}, {5.0: 1.0, 4.0: 0.8, 3.5: 0.7, 0.0: 0.6, 2.0: 0.4, 4.5: 0.9}),
        ("birdclef-2023", {"unrated": 5}, {5.0: 1.0, 4.0: 0.8, 3.5: 0.7, 0.0: 1.0, 2.0: 0.4, 4.5: 0.9}),
        ("birdclef-2023", {"unrated": 0}, {5.0: 1.0, 4.0: 0.8, 3.5: 0.7, 0.0: 0.0, 2.0: 0.4, 4.5: 0.9}),
    ],
)
def test_the_weight_is_the_rating(slug, options, weights, written):
    comp = quietly(slug, written(slug), **options)
    assert comp.train["rating"].tolist()[:6] == list(RATINGS)
    assert comp.train["weight"].tolist() == pytest.approx([weights[rating] for rating in comp.train["rating"]])
    assert comp.options == options


def test_options_leave_out_background_birds_weights_and_groups(written):
    comp, said = opened("birdclef-2023", written("birdclef-2023"), secondary=False, rating_weight=False, group=None)
    assert said == [] and comp.is_multi
    assert comp.train["label"].tolist() == [
        [bird] for bird, n in zip(BIRDS["birdclef-2023"], (10, 8, 8, 1)) for _ in range(n)
    ]
    assert "weight" not in comp.train and "group" not in comp.train and comp.train["rating"].tolist()[3] == 0


def test_scored_only_makes_other_birds_clips_without_a_label(written):
    comp = quietly("birdclef-2022", written("birdclef-2022"), scored_only=True)
    assert comp.vocab == SCORED  # in the order of scored_birds.json
    assert len(comp.train) == 27 and comp.train["label"].iloc[2] == ["akiapo", "apapan"]
    houfin = comp.train[comp.train["path"].str.contains("houfin")]["label"].tolist()
    assert len(houfin) == 8 and [] in houfin and all(set(labels) <= set(SCORED) for labels in houfin)


def test_soundscapes_of_2021_train_too(written):
    comp = quietly("birdclef-2021", written("birdclef-2021"), soundscapes=True)
    clips, scapes = comp.train.iloc[:27], comp.train.iloc[27:]
    assert clips[["start", "end"]].isna().all(axis=None) and len(scapes) == 3
    assert scapes["path"].unique().tolist() == ["train_soundscapes/2782_SSW_20170701.ogg"]
    assert scapes[["start", "end", "weight"]].to_numpy().tolist() == [[0, 5, 1], [5, 10, 1], [10, 15, 1]]
    assert scapes["label"].tolist() == [["amecro"], [], ["acafly", "houfin"]]  # nocall is not a label
    assert scapes["group"].unique().tolist() == ["soundscape 2782_SSW_20170701"]
    bare = quietly("birdclef-2021", written("birdclef-2021"), soundscapes=True, rating_weight=False, group=None).train
    assert "weight" not in bare and "group" not in bare


def test_labelled_soundscapes_of_2026_train_with_the_clips(written):
    slug, folder = "birdclef-2026", written("birdclef-2026")
    comp = quietly(slug, folder)
    clips, scapes = comp.train.iloc[:27], comp.train.iloc[27:]
    assert clips[["start", "end"]].isna().all(axis=None) and len(scapes) == 9
    assert scapes[["start", "end"]].drop_duplicates().values.tolist() == [[0, 5], [5, 10], [10, 15]]
    first, second, third, last = BIRDS[slug]
    assert scapes["label"].tolist() == [[second], [], [first, third], [third], [third, last], [], [], [first], [last]]
    assert scapes["group"].tolist() == ["site S22"] * 6 + ["site S08"] * 3 and set(scapes["weight"]) == {1.0}
    row = scapes.iloc[6]
    assert row["path"] == "train_soundscapes/BC2026_Train_0041_S08_20220101_060000.ogg"
    assert (row["site"], row["recorded"]) == ("S08", "2022-01-01T06:00:00")
    folds = add_folds(comp.train, 2, group="group")
    assert (folds.groupby("group")["fold"].nunique() == 1).all()
    bare = quietly(slug, folder, rating_weight=False, group=None).train
    assert "weight" not in bare and "group" not in bare
    assert len(quietly(slug, folder, soundscapes=False).train) == 27


def test_a_label_of_2026_without_a_clip_is_learnt_from_soundscapes(copy):
    """Some classes have no recording of their own: the year is told by the classes of the sample."""
    folder = copy("birdclef-2026")
    table = pd.read_csv(folder / "train.csv", dtype=str)
    rare = BIRDS["birdclef-2026"][3]
    table[table["primary_label"] != rare].to_csv(folder / "train.csv", index=False)
    comp, said = opened("birdclef-2026", folder)
    assert comp.vocab == BIRDS["birdclef-2026"] and sum(rare in labels for labels in comp.train["label"]) == 2
    assert not any("without a clip in training" in text for text in said)


@pytest.mark.parametrize(
    "cells, message",
    [
        (dict(start="5 o'clock"), "train_soundscapes_labels.csv: column 'start' is not a time such as 00:00:05 in 1 row (2)"),
        (dict(end="00:00:05"), "column 'end' is not after the start in 1 row (2)"),
        (dict(filename="../x.ogg"), "row 2: '../x.ogg' leads out of"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_soundscape_labels_of_2026_is_said(copy, cells, message):
    folder = copy("birdclef-2026")
    change(folder / "train_soundscapes_labels.csv", 1, **cells)
    with pytest.raises(ValueError, match=re.escape(message)):
        quietly("birdclef-2026", folder)


def test_a_soundscape_of_2026_without_a_site_is_a_group_of_its_own(copy):
    folder = copy("birdclef-2026")
    (folder / "train_soundscapes/BC2026_Train_0041_S08_20220101_060000.ogg").rename(
        folder / "train_soundscapes/lost.ogg"
    )
    change(folder / "train_soundscapes_labels.csv", slice(6, 8), filename="lost.ogg")
    comp, said = opened("birdclef-2026", folder)
    assert (
        "train_soundscapes_labels.csv: 3 rows of recordings without a site in their name, each a group of its own (lost)"
        in said
    )
    assert set(comp.train["group"][27:]) == {"site S22", "soundscape lost"}


def test_the_folder_of_2026_is_not_that_of_2025(written, empty_files):
    folder = empty_files(["train_audio/x.ogg"])
    classes = [f"c{i}" for i in range(234)]
    pd.DataFrame([["x_5", *[0] * 234]], columns=["row_id", *classes]).to_csv(
        folder / "sample_submission.csv", index=False
    )
    rows = pd.DataFrame({"primary_label": classes[:206], "secondary_labels": "[]", "rating": "3", "filename": "x.ogg"})
    rows.to_csv(folder / "train.csv", index=False)
    (folder / "taxonomy.csv").touch()
    with pytest.raises(ValueError, match="holds 234 birds, as birdclef-2026 does, and birdclef-2025 has 206"):
        Competition.open("birdclef-2025", folder)


@pytest.mark.parametrize(
    "slug, options, message",
    [
        ("birdclef-2023", {"unrated": 6}, "unrated=6; give the stars that a clip without a rating counts as, 0 to 5"),
        ("birdclef-2023", {"unrated": "3"}, "unrated='3'; give the stars"),
        ("birdclef-2023", {"group": "site"}, r"unknown group \(or None\) 'site'; choose one of author"),
        (
            "birdclef-2022",
            {"soundscapes": True},
            "birdclef-2022 gives no labels of soundscapes; birdclef-2021 and birdclef-2026 do",
        ),
        ("birdclef-2021", {"scored_only": True}, "in birdclef-2021 all birds are scored"),
        ("birdclef-2021", {"secundary": True}, "unknown option of birdclef-2021 'secundary'; did you mean 'secondary'"),
    ],
)
def test_bad_options(slug, options, message, written):
    with pytest.raises(ValueError, match=message):
        Competition.open(slug, written(slug), **options)


# ---------------------------------------------------------------------- where it lies


@pytest.mark.parametrize("mount", ["{slug}", "competitions/{slug}", "datasets/someone/{slug}"])
@pytest.mark.parametrize("slug", SLUGS)
def test_found_where_kaggle_mounts_it(slug, mount, written, tmp_path, monkeypatch):
    place = tmp_path / mount.format(slug=slug)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(written(slug), target_is_directory=True)
    monkeypatch.setattr(locate, "KAGGLE_INPUT", tmp_path)
    comp = quietly(slug, None)
    assert comp.folder == place and len(comp.train) == 27 + 9 * (slug == "birdclef-2026")


@pytest.mark.parametrize("slug", SLUGS)
def test_a_folder_that_is_not_it(slug, tmp_path):
    with pytest.raises(ValueError, match=f"no {slug} in .*: searched for a folder with 'train.*"):
        Competition.open(slug, tmp_path)


def test_2023_in_the_folder_of_2022_is_refused(written):
    with pytest.raises(
        ValueError, match="has the columns row_id, target; that of birdclef-2023 has row_id and one for each bird"
    ):
        Competition.open("birdclef-2023", written("birdclef-2022"))


def test_a_year_is_told_by_its_number_of_birds(copy, empty_files):
    folder = copy("birdclef-2023")
    birds = [f"bird{i:03}" for i in range(182)]
    rows = pd.DataFrame({"primary_label": birds, "secondary_labels": "[]", "rating": "3", "author": "A"})
    rows["filename"] = [f"{bird}/XC1.ogg" for bird in birds]
    rows.to_csv(folder / "train_metadata.csv", index=False)
    message = "holds 182 birds, as birdclef-2024 does, and birdclef-2023 has 264; .* open it as 'birdclef-2024'"
    with pytest.raises(ValueError, match=message):
        Competition.open("birdclef-2023", folder)
    pd.DataFrame([["x_5", *[0.5] * 182]], columns=["row_id", *birds]).to_csv(
        folder / "sample_submission.csv", index=False
    )
    empty_files([f"{folder.name}/train_audio/{name}" for name in rows["filename"]])
    assert len(quietly("birdclef-2024", folder).vocab) == 182  # under its own name it opens


# ---------------------------------------------------------------------- a test set that is hidden, or there in part


@pytest.mark.parametrize("slug, n", [(slug, 6 if slug == "birdclef-2022" else 3) for slug in SLUGS])
def test_a_hidden_test_set_leaves_the_rows_of_the_sample(slug, n, written):
    comp, said = opened(slug, written(slug, hidden=True))
    assert comp.test["id"].tolist() == birdclef_answers(slug)["id"].tolist()[:n]
    assert comp.test["start"].iloc[0] == 0 and comp.test["end"].iloc[-1] == 15
    assert not any((comp.folder / path).exists() for path in comp.test["path"])
    assert said[-1].startswith(
        f"{n} of {n} test rows are of recordings that are not in test_soundscapes (test_soundscapes/"
    )
    assert (
        "the class prior is predicted for them. Kaggle puts the recordings there when it runs a submitted notebook"
        in said[-1]
    )


def test_no_folder_for_the_test_set_is_a_hidden_one(copy):
    folder = copy("birdclef-2024", hidden=True)
    shutil.rmtree(folder / "test_soundscapes")
    assert len(quietly("birdclef-2024", folder).test) == 3


def fewer_rows(folder, keep):
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str)
    sample[keep(sample["row_id"])].to_csv(folder / "sample_submission.csv", index=False)


def test_a_sample_that_lacks_rows_only_stands_in(copy):
    folder = copy("birdclef-2023")
    fewer_rows(folder, lambda ids: ids.isin(["soundscape_29201_5"]))
    comp, said = opened("birdclef-2023", folder)
    assert comp.test["id"].tolist() == birdclef_answers("birdclef-2023")["id"].tolist() and said == [KEPT_OUT]


def test_rows_of_the_stand_in_that_have_no_recording_are_left_out(copy):
    folder = copy("birdclef-2024")
    (folder / "test_soundscapes/soundscape_998240.ogg").unlink()
    fewer_rows(folder, lambda ids: ids.str.contains("998240") | ids.str.endswith("9_5"))
    comp, said = opened("birdclef-2024", folder)
    assert comp.test["id"].tolist() == [f"soundscape_1446779_{end}" for end in (5, 10, 15)]
    assert said[1:] == [
        "sample_submission.csv lacks 2 of the 3 rows of the recordings in test_soundscapes, so it is a placeholder; "
        "3 rows of recordings that do not exist left out (soundscape_998240_5, soundscape_998240_10, soundscape_998240_15)"
    ]


def test_a_complete_sample_gives_the_order(copy):
    folder = copy("birdclef-2025")
    sample = pd.read_csv(folder / "sample_submission.csv", dtype=str).iloc[::-1]
    sample.to_csv(folder / "sample_submission.csv", index=False)
    (folder / "test_soundscapes/soundscape_10021.ogg").unlink()
    comp, said = opened("birdclef-2025", folder)
    assert comp.test["id"].tolist() == sample["row_id"].tolist()  # with the rows of the recording that is missing
    assert said[1].startswith(
        "3 of 6 test rows are of recordings that are not in test_soundscapes (test_soundscapes/soundscape_10021"
    )


def test_only_full_five_seconds_are_rows(copy):
    folder = copy("birdclef-2024")
    fewer_rows(folder, lambda ids: ids == "soundscape_998240_5")
    for name, seconds in ("soundscape_998240", 12.4), ("soundscape_7", 4.9):
        sf.write(folder / f"test_soundscapes/{name}.ogg", np.zeros(int(32000 * seconds), "float32"), 32000)
    ids = quietly("birdclef-2024", folder).test["id"].tolist()
    assert ids == [*(f"soundscape_1446779_{end}" for end in (5, 10, 15)), "soundscape_998240_5", "soundscape_998240_10"]


@pytest.mark.parametrize("content", [b"", b"no audio at all"])
def test_a_broken_soundscape_keeps_the_rows_that_the_sample_names(content, copy):
    folder = copy("birdclef-2023")
    (folder / "test_soundscapes/soundscape_31007.ogg").write_bytes(content)
    warning = (
        "1 recording in test_soundscapes cannot be read (soundscape_31007.ogg); they keep the rows of sample_submission.csv, "
        "for which the class prior is predicted"
    )
    comp, said = opened("birdclef-2023", folder)
    assert len(comp.test) == 6 and said[1:] == [warning]
    fewer_rows(folder, lambda ids: ids.isin(["soundscape_31007_10", "soundscape_29201_5"]))  # now a stand-in
    comp, said = opened("birdclef-2023", folder)
    assert comp.test["id"].tolist() == [
        "soundscape_29201_5",
        "soundscape_29201_10",
        "soundscape_29201_15",
        "soundscape_31007_10",
    ]
    assert said[1:] == [warning]


@pytest.mark.parametrize("slug", ["birdclef-2021", "birdclef-2022"])
def test_a_broken_soundscape_keeps_the_rows_of_test_csv(slug, copy):
    folder = copy(slug)
    (folder / f"test_soundscapes/{SOUNDSCAPES[slug][0]}.ogg").write_bytes(b"no audio at all")
    assert quietly(slug, folder).test["id"].tolist() == birdclef_answers(slug)["id"].tolist()


def test_two_files_of_one_recording_are_refused(copy):
    folder = copy("birdclef-2021")
    shutil.copy(folder / "test_soundscapes/57610_COR_20190904.ogg", folder / "test_soundscapes/57610_COR_20200101.ogg")
    message = "57610_COR_20190904.ogg' and '.*57610_COR_20200101.ogg' are both the recording '57610_COR' of the rows"
    with pytest.raises(ValueError, match=message):
        quietly("birdclef-2021", folder)


# ---------------------------------------------------------------------- test.csv


@pytest.mark.parametrize("slug", ["birdclef-2021", "birdclef-2022"])
def test_rows_can_be_read_from_their_names_alone(slug, copy):
    folder = copy(slug)
    whole = quietly(slug, folder).test
    pd.read_csv(folder / "test.csv")[["row_id"]].to_csv(folder / "test.csv", index=False)
    assert quietly(slug, folder).test.equals(whole)
    (folder / "test.csv").unlink()
    assert quietly(slug, folder).test.equals(whole)


def test_columns_of_test_csv_go_before_the_names(copy):
    folder = copy("birdclef-2022")
    for name in "test.csv", "sample_submission.csv":
        table = pd.read_csv(folder / name, dtype=str)
        table.assign(row_id=[f"question{i}" for i in range(len(table))]).to_csv(folder / name, index=False)
    row = quietly("birdclef-2022", folder).test.iloc[3]
    assert row.to_dict() == {
        "id": "question3",
        "path": "test_soundscapes/soundscape_453028782.ogg",
        "start": 5.0,
        "end": 10.0,
        "target_label": "akiapo",
    }


def test_the_larger_of_sample_and_test_csv_counts(copy):
    folder = copy("birdclef-2021")
    test = pd.read_csv(folder / "test.csv", dtype=str)
    ids = birdclef_answers("birdclef-2021")["id"].tolist()
    test.head(2).to_csv(folder / "test.csv", index=False)
    assert quietly("birdclef-2021", folder).test["id"].tolist() == ids
    test.to_csv(folder / "test.csv", index=False)
    fewer_rows(folder, lambda names: names == ids[4])
    assert quietly("birdclef-2021", folder).test["id"].tolist() == [ids[4], *ids[:4], ids[5]]


def test_a_sample_and_a_test_csv_of_different_rows_are_refused(copy):
    folder = copy("birdclef-2021")
    change(folder / "test.csv", 0, row_id="1_SSW_5")
    with pytest.raises(ValueError, match=r"have different rows \(20152_SSW_5 and 1_SSW_5\); take both from one source"):
        quietly("birdclef-2021", folder)


@pytest.mark.parametrize("name", ["nothing", "soundscape_x", "soundscape_-5", "soundscape_2", "_5"])
def test_a_row_without_a_time_is_refused(name, copy):
    folder = copy("birdclef-2024")
    change(folder / "sample_submission.csv", 3, row_id=name)
    message = rf"sample_submission.csv: column 'row_id' is not <soundscape>_<end> with a time of 5 s or later in 1 row \(4\); .*'{name}'"
    with pytest.raises(ValueError, match=message):
        quietly("birdclef-2024", folder)


def test_a_bird_that_nobody_knows_is_refused(copy):
    folder = copy("birdclef-2022")
    change(folder / "test.csv", 2, bird="dodo")
    with pytest.raises(
        ValueError, match=r"1 bird in test rows but neither in train_metadata.csv nor in scored_birds.json \(dodo\)"
    ):
        quietly("birdclef-2022", folder)


@pytest.mark.parametrize(
    "text, message", [("[1, 2]", "is not a list of birds"), ("[]", "is not a list of birds"), ("{", "is not JSON")]
)
def test_scored_birds_that_are_no_list(text, message, copy):
    folder = copy("birdclef-2022")
    (folder / "scored_birds.json").write_text(text)
    with pytest.raises(ValueError, match=f"scored_birds.json'? {message}"):
        quietly("birdclef-2022", folder)


def test_a_scored_bird_without_a_recording_is_answered_and_said(copy):
    folder = copy("birdclef-2022")
    (folder / "scored_birds.json").write_text(json.dumps([*SCORED, "maupar"]))
    comp, said = opened("birdclef-2022", folder)
    assert (
        "maupar" in comp.vocab
        and said[-1] == "1 label of the vocabulary without a clip in training (maupar): no network can learn them"
    )


def test_a_sample_without_rows(copy):
    folder = copy("birdclef-2023", hidden=True)
    fewer_rows(folder, lambda ids: ids == "")
    with pytest.raises(ValueError, match="sample_submission.csv has no rows, and test_soundscapes no recording of 5 s"):
        quietly("birdclef-2023", folder)


# ---------------------------------------------------------------------- bad tables


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("column", ["primary_label", "secondary_labels", "filename", "rating"])
def test_a_missing_column(column, slug, copy):
    folder = copy(slug)
    csv = table_of(folder, slug)
    pd.read_csv(csv, dtype=str).drop(columns=column).to_csv(csv, index=False)
    with pytest.raises(ValueError, match=f"unknown column in {csv.name} '{column}'"):
        quietly(slug, folder)


def test_columns_that_are_not_used_may_be_missing(copy):
    folder = copy("birdclef-2023")
    csv = folder / "train_metadata.csv"
    pd.read_csv(csv, dtype=str)[["primary_label", "filename"]].to_csv(csv, index=False)
    comp, said = opened("birdclef-2023", folder, secondary=False, rating_weight=False)
    assert list(comp.train) == ["path", "label"]
    assert said == [
        "train_metadata.csv has no column 'author', so clips of one author may be in both training and validation"
    ]


@pytest.mark.parametrize(
    "cell", ["amecro", "", "('amecro',)", "{'a': 1}", "['a'", "[1]", "__import__('os').system('true')", "[" * 5000]
)
def test_secondary_labels_that_are_no_list(cell, copy):
    folder = copy("birdclef-2024")
    for row in 3, 9:
        change(folder / "train_metadata.csv", row, secondary_labels=cell)
    message = (
        r"train_metadata.csv: column 'secondary_labels' is not a list of labels such as .* in 2 rows \(4, 10\); correct"
    )
    with pytest.raises(ValueError, match=message):
        quietly("birdclef-2024", folder)


def test_lists_in_text():
    assert _as_list("[]") == [] == _as_list("['']")
    assert _as_list("['amecro', ' houfin']") == ["amecro", "houfin"] == _as_list(' ["amecro","houfin"] ')


@pytest.mark.parametrize(
    "cell, message",
    [
        ("good", "is not a number"),
        ("inf", "is not a number"),
        ("-1", "is not from 0 to 5"),
        ("6", "is not from 0 to 5"),
    ],
)
def test_ratings_that_are_none(cell, message, copy):
    folder = copy("birdclef-2021")
    change(folder / "train_metadata.csv", 3, rating=cell)
    with pytest.raises(
        ValueError, match=rf"train_metadata.csv: column 'rating' {message} in 1 row \(4\); correct these rows"
    ):
        quietly("birdclef-2021", folder)


def test_an_empty_rating_is_no_rating(copy):
    folder = copy("birdclef-2025")
    change(folder / "train.csv", 0, rating="")
    assert quietly("birdclef-2025", folder).train["weight"].iloc[0] == pytest.approx(0.6)


def test_a_place_that_is_no_number(copy):
    folder = copy("birdclef-2025")
    change(folder / "train.csv", 1, latitude="5 N")
    with pytest.raises(ValueError, match=r"train.csv: column 'latitude' is not a number in 1 row \(2\)"):
        quietly("birdclef-2025", folder)


@pytest.mark.parametrize("column", ["primary_label", "filename"])
def test_empty_cells(column, copy):
    folder = copy("birdclef-2021")
    change(folder / "train_metadata.csv", 5, **{column: " "})
    with pytest.raises(ValueError, match=rf"train_metadata.csv: column '{column}' is empty in 1 row \(6\)"):
        quietly("birdclef-2021", folder)


def test_clips_without_an_author_are_groups_of_their_own(copy):
    folder = copy("birdclef-2024")
    for row in 3, 9:
        change(folder / "train_metadata.csv", row, author="")
    comp, said = opened("birdclef-2024", folder)
    assert comp.train["group"].iloc[3] == "asbfly/XC1003.ogg" and comp.train["group"].iloc[9] == "asbfly/XC1009.ogg"
    assert said[1] == "train_metadata.csv: 2 clips without an author, each a group of its own"


@pytest.mark.parametrize(
    "slug, cells",
    [
        ("birdclef-2021", {"filename": "../../../x.ogg"}),
        ("birdclef-2021", {"primary_label": "../.."}),
        ("birdclef-2023", {"filename": "/etc/passwd"}),
    ],
)
def test_names_that_lead_out_of_the_folder(slug, cells, copy):
    folder = copy(slug)
    change(folder / "train_metadata.csv", 1, **cells)
    with pytest.raises(OutsideError, match="row 2: .* leads out of"):
        quietly(slug, folder)


def test_a_row_that_leads_out_of_the_folder(copy):
    folder = copy("birdclef-2023")
    change(folder / "sample_submission.csv", 0, row_id="../../secret_5")
    with pytest.raises(OutsideError, match="'../../secret.ogg' leads out of"):
        quietly("birdclef-2023", folder)


def test_rows_without_a_recording_and_recordings_without_a_row(copy):
    folder = copy("birdclef-2022")
    (folder / "train_audio/akiapo/XC1001.ogg").unlink()
    shutil.copy(folder / "train_audio/akiapo/XC1002.ogg", folder / "train_audio/akiapo/XC99.ogg")
    comp, said = opened("birdclef-2022", folder)
    assert len(comp.train) == 26
    assert said[1] == "1 of 27 training rows have no recording and are left out (train_audio/akiapo/XC1001.ogg)"
    assert said[2] == "1 recording in train_audio without a training row, not used (train_audio/akiapo/XC99.ogg)"
    shutil.rmtree(folder / "train_audio")
    (folder / "train_audio").mkdir()
    with pytest.raises(ValueError, match="27 training rows has its recording below .*; unpack the audio there"):
        quietly("birdclef-2022", folder)


def test_a_bird_whose_only_recording_is_missing(copy):
    folder = copy("birdclef-2023")
    (folder / "train_audio/yewgre1/XC4000.ogg").unlink()
    comp, said = opened("birdclef-2023", folder)
    assert (
        "yewgre1" in comp.vocab
        and said[-1] == "1 label of the vocabulary without a clip in training (yewgre1): no network can learn them"
    )


def test_a_recording_that_stands_there_twice(copy):
    folder = copy("birdclef-2023")
    csv = folder / "train_metadata.csv"
    first = pd.read_csv(csv, dtype=str, keep_default_na=False).iloc[0].to_dict()
    add_rows(csv, [first, first | {"primary_label": "abhori1", "rating": "1.0"}])
    comp, said = opened("birdclef-2023", folder)
    assert (
        len(comp.train) == 27
        and comp.train["label"].iloc[0] == ["abethr1", "abhori1"]
        and comp.train["rating"].iloc[0] == 5
    )
    assert any("1 duplicate row left out (abethr1/XC1000.ogg)" in text for text in said)
    assert any("1 clip with different labels (abethr1/XC1000.ogg); their labels are united" in text for text in said)


def test_soundscape_labels_that_are_wrong(copy):
    folder = copy("birdclef-2021")
    csv = folder / "train_soundscape_labels.csv"
    change(csv, 0, birds="amecro dodo")
    comp, said = opened("birdclef-2021", folder, soundscapes=True)
    assert comp.train["label"].iloc[27] == ["amecro"]
    assert said[1].startswith("1 label of soundscapes left out, of 1 label") and "dodo" in said[1]
    change(csv, 1, birds="")
    with pytest.raises(
        ValueError, match=r"train_soundscape_labels.csv: column 'birds' is empty in 1 row \(2\); write 'nocall'"
    ):
        quietly("birdclef-2021", folder, soundscapes=True)


def test_a_label_that_the_sample_lacks(copy):
    folder = copy("birdclef-2024")
    change(folder / "train_metadata.csv", 0, primary_label="dodo")
    with pytest.raises(ValueError, match=r"1 label in training that the vocabulary lacks \(dodo\)"):
        quietly("birdclef-2024", folder)


# ---------------------------------------------------------------------- size


def test_ten_thousand_clips_open_quickly(empty_files):
    names = [f"b{i % 50:02}/XC{i}.ogg" for i in range(10_000)]
    birds = sorted({name[:3] for name in names})
    folder = empty_files([f"train_audio/{name}" for name in names])
    table = pd.DataFrame(
        {
            "primary_label": [name[:3] for name in names],
            "secondary_labels": "['b01', 'b02']",
            "filename": names,
            "rating": "4.5",
            "latitude": "1",
            "longitude": "2",
            "author": [f"author {i % 700}" for i in range(10_000)],
        }
    )
    table.to_csv(folder / "train_metadata.csv", index=False)
    pd.DataFrame(
        [[f"soundscape_{i}_{end}", *[0.02] * 50] for i in range(100) for end in range(5, 601, 5)],
        columns=["row_id", *birds],
    ).to_csv(folder / "sample_submission.csv", index=False)
    begin = time.process_time()
    comp = quietly("birdclef-2023", folder)
    assert (len(comp.train), len(comp.test)) == (10_000, 12_000)
    assert time.process_time() - begin < 5  # seconds of one core; it takes about one


def test_the_miniature_holds_what_it_says(written):
    y, sr = sf.read(written("birdclef-2023") / "test_soundscapes/soundscape_29201.ogg")
    assert sr == 32000 and len(y) == 15 * sr and HEARD[0] == ((0,), (), (1, 2))
    loud = [np.abs(np.fft.rfft(part)) for part in np.split(y, 3)]
    peaks = [1000 + np.argmax(spectrum[4500:]) / 5 - 100 if spectrum.max() > 1000 else None for spectrum in loud]
    assert (
        900 < peaks[0] < 1100 and peaks[1] is None and peaks[2] > 1800
    )  # a whistle of 1 kHz, nothing, one of 2 or 4 kHz
