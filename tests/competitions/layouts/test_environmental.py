"""ESC-50, ESC-10 and UrbanSound8K: their own folds, groups that never stand on two sides, and answers clip by clip."""

import shutil
import time
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from miniatures.given_folds import ESC, URBAN, esc50, urbansound8k

from specimg.competitions import Competition, list_competitions, locate
from specimg.core.files import OutsideError

CSV = {"ESC-50": "meta/esc50.csv", "ESC-10": "meta/esc50.csv", "UrbanSound8K": "metadata/UrbanSound8K.csv"}
N_CLIPS = {"ESC-50": 40, "ESC-10": 30, "UrbanSound8K": 60}
SLUGS = sorted(CSV)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """slug -> folder of the miniature; not to be changed."""
    esc, urban = esc50(tmp_path_factory.mktemp("esc")), urbansound8k(tmp_path_factory.mktemp("urban"))
    return {"ESC-50": esc, "ESC-10": esc, "UrbanSound8K": urban}


@pytest.fixture
def copy(written, tmp_path):
    """copy(slug) -> folder of a miniature that may be changed."""
    return lambda slug: shutil.copytree(written[slug], tmp_path / slug)


def opened(slug, folder):
    """The competition and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        comp = Competition.open(slug, folder)
    assert {w.filename for w in said} <= {__file__}
    return comp, [str(w.message) for w in said]


def change(csv, where, **cells):
    """Set cells of the row with this number from 0, as text."""
    table = pd.read_csv(csv, dtype=str, keep_default_na=False)
    for name, cell in cells.items():
        table.loc[where, name] = cell
    table.to_csv(csv, index=False)


# ---------------------------------------------------------------------- what is read


@pytest.mark.parametrize(
    "slug, id_col, label_col, folds, vocab",
    [
        ("ESC-50", "filename", "category", 5, sorted(ESC)),
        ("ESC-10", "filename", "category", 5, ["chainsaw", "dog", "rain"]),
        ("UrbanSound8K", "slice_file_name", "class", 10, sorted(URBAN)),
    ],
)
def test_the_competition(slug, id_col, label_col, folds, vocab, written):
    comp, said = opened(slug, written[slug])
    assert said == [] and comp.slug == slug and comp.metric == "accuracy" and not comp.is_multi
    assert comp.given_folds == list(range(1, folds + 1)) and list(comp.vocab) == vocab
    assert len(comp.train) == N_CLIPS[slug] and comp.test is None
    assert comp.format.columns(comp.vocab) == [id_col, label_col]
    assert (comp.train.groupby("group")["fold"].nunique() == 1).all() and (
        comp.train.groupby("group").size() == 2
    ).all()
    assert all((written[slug] / path).is_file() for path in comp.train["path"])


@pytest.mark.parametrize("slug", ["ESC-50", "ESC-10"])
def test_rows_of_esc(slug, written):
    train = opened(slug, written[slug])[0].train
    assert train.iloc[2].to_dict() == {
        "path": "audio/1-100101-A-10.wav",
        "label": "rain",
        "group": "100101",
        "fold": 1,
        "id": "1-100101-A-10.wav",
    }


def test_rows_of_urbansound8k(written):
    train = opened("UrbanSound8K", written["UrbanSound8K"])[0].train
    row = train[train["path"] == "audio/fold10/7163-3-0-1.wav"].iloc[0]
    assert row.to_dict() == {
        "path": "audio/fold10/7163-3-0-1.wav",
        "label": "dog_bark",
        "group": "7163",
        "fold": 10,
        "id": "7163-3-0-1.wav",
        "salience": 2,
    }
    assert "start" not in train and "end" not in train  # those of the csv are places in the source recording


@pytest.mark.parametrize("slug", SLUGS)
def test_every_clip_is_answered_under_its_name(slug, written):
    comp = opened(slug, written[slug])[0]
    rows = comp.prediction_rows()
    assert rows["id"].tolist() == [path.rsplit("/")[-1] for path in rows["path"]] and len(rows) == N_CLIPS[slug]
    probs = np.array([[label == own for label in comp.vocab] for own in comp.train["label"]], float)
    answers = comp.format.to_submission(rows, probs, comp.vocab)
    assert answers.iloc[:, 1].tolist() == comp.train["label"].tolist() and "accepted" in comp.check(answers)


@pytest.mark.parametrize("slug, write", [("ESC-50", esc50), ("ESC-10", esc50), ("UrbanSound8K", urbansound8k)])
def test_opening_twice_gives_the_same(slug, write, written, tmp_path):
    first, again = opened(slug, written[slug])[0], opened(slug, write(tmp_path))[0]
    assert first.train.equals(again.train) and first.digest == again.digest
    for path in first.train["path"]:
        (y, sr), (again_y, again_sr) = sf.read(written[slug] / path), sf.read(tmp_path / path)
        assert sr == again_sr and np.array_equal(y, again_y)


def test_esc_10_and_esc_50_are_two_competitions(written):
    assert opened("ESC-10", written["ESC-10"])[0].digest != opened("ESC-50", written["ESC-50"])[0].digest
    assert {"ESC-50", "ESC-10", "UrbanSound8K"} <= set(list_competitions())


# ---------------------------------------------------------------------- where it lies


@pytest.mark.parametrize(
    "mount", ["{slug}", "competitions/{slug}", "datasets/someone/{slug}", "datasets/someone/sounds"]
)
@pytest.mark.parametrize("slug", SLUGS)
def test_found_where_kaggle_mounts_it(slug, mount, written, tmp_path, monkeypatch):
    place = tmp_path / mount.format(slug=slug)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(written[slug], target_is_directory=True)
    monkeypatch.setattr(locate, "KAGGLE_INPUT", tmp_path)
    comp, said = opened(slug, None)
    assert comp.folder == place and said == []


def test_found_below_the_folder_of_the_archive(written, tmp_path):
    (tmp_path / "ESC-50-master").symlink_to(written["ESC-50"], target_is_directory=True)
    assert opened("ESC-50", tmp_path)[0].folder == tmp_path / "ESC-50-master"


@pytest.mark.parametrize(
    "slug, hint", [("ESC-50", "'ESC-50'"), ("ESC-10", "'ESC-50'"), ("UrbanSound8K", "'UrbanSound8K'")]
)
def test_a_folder_that_is_not_it(slug, hint, tmp_path):
    with pytest.raises(ValueError, match=rf"no {slug} in .*: searched for .*{CSV[slug]}.*; .*specimg.fetch\({hint}\)"):
        Competition.open(slug, tmp_path)


def test_only_the_exact_name_is_known():
    with pytest.raises(ValueError, match="unknown competition 'esc-50'; "):
        Competition.open("esc-50", ".")


def test_the_copy_of_esc_50_that_kaggle_users_share(copy, tmp_path):
    folder = copy("ESC-50")
    (folder / "audio").rename(folder / "44100")
    (folder / "audio/audio").mkdir(parents=True)
    (folder / "44100").rename(folder / "audio/audio/44100")
    shutil.copytree(folder / "audio/audio/44100", folder / "audio/audio/16000")
    (folder / "meta/esc50.csv").rename(folder / "esc50.csv")
    (folder / "meta").rmdir()
    comp, said = opened("ESC-50", folder)
    assert comp.train["path"].iloc[0] == "audio/audio/44100/1-100100-A-0.wav" and len(comp.train) == 40 and said == []


def test_the_copy_of_urbansound8k_that_kaggle_users_share(copy):
    folder = copy("UrbanSound8K")
    for fold in range(1, 11):
        (folder / f"audio/fold{fold}").rename(folder / f"fold{fold}")
    (folder / "metadata/UrbanSound8K.csv").rename(folder / "UrbanSound8K.csv")
    (folder / "audio").rmdir()
    comp, said = opened("UrbanSound8K", folder)
    assert comp.train["path"].iloc[0] == "fold1/7071-0-0-0.wav" and len(comp.train) == 60 and said == []


# ---------------------------------------------------------------------- folds and groups


def test_a_fold_without_a_clip_is_said(copy):
    folder = copy("UrbanSound8K")
    table = pd.read_csv(folder / CSV["UrbanSound8K"], dtype=str)
    table[table["fold"] != "3"].to_csv(folder / CSV["UrbanSound8K"], index=False)
    shutil.rmtree(folder / "audio/fold3")
    comp, said = opened("UrbanSound8K", folder)
    assert comp.given_folds == [1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert said == ["no clip in fold 3 of 1 to 10; results are not comparable with published ones"]


def test_folds_whose_audio_is_missing_are_said(copy):
    folder = copy("UrbanSound8K")
    for fold in 2, 7:
        shutil.rmtree(folder / f"audio/fold{fold}")
    comp, said = opened("UrbanSound8K", folder)
    assert len(comp.train) == 48
    assert said[0].startswith("12 of 60 training rows have no recording and are left out (audio/fold2/7081-0-0-0.wav")
    assert said[1:] == ["no clip in folds 2, 7 of 1 to 10; results are not comparable with published ones"]


def test_a_source_in_two_folds_is_said(copy):
    folder = copy("ESC-50")
    change(folder / CSV["ESC-50"], 0, fold="4")
    comp, said = opened("ESC-50", folder)
    assert said == [
        "1 source recording with clips in more than one fold (100100), unlike the published data: "
        "scores on these folds are too optimistic"
    ]
    assert comp.train["fold"].iloc[0] == 4


@pytest.mark.parametrize(
    "slug, cell",
    [
        ("ESC-50", "6"),
        ("ESC-10", "0"),
        ("ESC-50", "1.5"),
        ("UrbanSound8K", "11"),
        ("UrbanSound8K", "one"),
        ("UrbanSound8K", "../../1"),
    ],
)
def test_a_fold_that_is_none(slug, cell, copy):
    folder = copy(slug)
    change(folder / CSV[slug], 1, fold=cell)
    n = 10 if slug == "UrbanSound8K" else 5
    with pytest.raises(
        ValueError, match=rf"column 'fold' is none of the folds 1 to {n} in 1 row \(2\); correct these rows"
    ):
        opened(slug, folder)


# ---------------------------------------------------------------------- bad tables

NEEDED = (
    [("ESC-50", name) for name in ("filename", "fold", "category", "src_file")]
    + [("ESC-10", "esc10")]
    + [("UrbanSound8K", name) for name in ("slice_file_name", "fsID", "fold", "class", "salience")]
)


@pytest.mark.parametrize("slug, column", NEEDED)
def test_a_missing_column_and_an_empty_cell(slug, column, copy):
    folder = copy(slug)
    csv = folder / CSV[slug]
    change(csv, 4, **{column: " "})
    with pytest.raises(ValueError, match=rf"{csv.name}: column '{column}' is empty in 1 row \(5\)"):
        opened(slug, folder)
    pd.read_csv(csv, dtype=str).drop(columns=column).to_csv(csv, index=False)
    with pytest.raises(ValueError, match=f"unknown column in {csv.name} '{column}'"):
        opened(slug, folder)


def test_esc_50_needs_no_flag_of_esc_10(copy):
    folder = copy("ESC-50")
    pd.read_csv(folder / CSV["ESC-50"], dtype=str).drop(columns="esc10").to_csv(folder / CSV["ESC-50"], index=False)
    assert len(opened("ESC-50", folder)[0].train) == 40


def test_flags_of_esc_10(copy):
    folder = copy("ESC-10")
    change(folder / CSV["ESC-10"], 1, esc10="maybe")
    with pytest.raises(ValueError, match=r"esc50.csv: column 'esc10' is neither True nor False in 1 row \(2\)"):
        opened("ESC-10", folder)
    pd.read_csv(folder / CSV["ESC-10"], dtype=str).assign(esc10="False").to_csv(folder / CSV["ESC-10"], index=False)
    with pytest.raises(ValueError, match="esc50.csv: no row has esc10 True, so there is no ESC-10 in it"):
        opened("ESC-10", folder)


def test_a_salience_that_is_none(copy):
    folder = copy("UrbanSound8K")
    change(folder / CSV["UrbanSound8K"], 0, salience="3")
    with pytest.raises(
        ValueError, match=r"column 'salience' is neither 1 \(in front\) nor 2 \(in the background\) in 1 row \(1\)"
    ):
        opened("UrbanSound8K", folder)


@pytest.mark.parametrize("slug, column", [("ESC-50", "filename"), ("UrbanSound8K", "slice_file_name")])
def test_names_that_lead_out_of_the_folder(slug, column, copy):
    folder = copy(slug)
    change(folder / CSV[slug], 2, **{column: "../../../x.wav"})
    with pytest.raises(OutsideError, match="row 3: .* leads out of"):
        opened(slug, folder)


def test_rows_without_a_recording_and_recordings_without_a_row(copy):
    folder = copy("ESC-50")
    (folder / "audio/1-100101-A-10.wav").unlink()  # rain
    (folder / "audio/2-100203-B-42.wav").unlink()  # siren, which is not in ESC-10
    sf.write(folder / "audio/6-1-A-0.wav", np.zeros(100), 44100)
    unnamed = "1 recording in audio without a training row, not used (audio/6-1-A-0.wav)"
    comp, said = opened("ESC-50", folder)
    assert len(comp.train) == 38
    assert said == [
        "2 of 40 training rows have no recording and are left out (audio/1-100101-A-10.wav, audio/2-100203-B-42.wav)",
        unnamed,
    ]
    comp, said = opened("ESC-10", folder)
    assert len(comp.train) == 29
    assert said == ["1 of 30 training rows have no recording and are left out (audio/1-100101-A-10.wav)", unnamed]


@pytest.mark.parametrize("slug", SLUGS)
def test_no_recording_at_all(slug, copy):
    folder = copy(slug)
    shutil.rmtree(folder / "audio")
    (folder / "audio").mkdir()
    with pytest.raises(ValueError, match="training rows has its recording below .*; unpack the audio there"):
        opened(slug, folder)


def test_a_clip_that_stands_there_twice(copy):
    folder = copy("ESC-50")
    csv = folder / CSV["ESC-50"]
    table = pd.read_csv(csv, dtype=str)
    pd.concat([table, table.iloc[[0]]]).to_csv(csv, index=False)
    comp, said = opened("ESC-50", folder)
    assert len(comp.train) == 40 and "1 duplicate row left out (1-100100-A-0.wav)" in said[0]
    pd.concat([table, table.iloc[[0]].assign(category="rain")]).to_csv(csv, index=False)
    with pytest.raises(ValueError, match=r"1 clip with different labels \(1-100100-A-0.wav\)"):
        opened("ESC-50", folder)


def test_one_name_in_two_folds_is_refused(copy):
    folder = copy("UrbanSound8K")
    csv = folder / CSV["UrbanSound8K"]
    table = pd.read_csv(csv, dtype=str)
    pd.concat([table, table.iloc[[0]].assign(fold="2")]).to_csv(csv, index=False)
    shutil.copy(folder / "audio/fold1/7071-0-0-0.wav", folder / "audio/fold2/7071-0-0-0.wav")
    with pytest.raises(
        ValueError, match=r"UrbanSound8K.csv: 1 clip with a name that is there already \(7071-0-0-0.wav\)"
    ):
        opened("UrbanSound8K", folder)


# ---------------------------------------------------------------------- size


def test_ten_thousand_clips_open_quickly(tmp_path):
    rows = [(f"{i}-0-0-0.wav", i // 4, 1.0, 2.0, 1, 1 + (i // 4) % 10, 0, f"class {i % 10}") for i in range(10_000)]
    for fold in range(1, 11):
        (tmp_path / f"audio/fold{fold}").mkdir(parents=True)
    for name, *_, fold, _, _ in rows:
        (tmp_path / f"audio/fold{fold}" / name).touch()
    (tmp_path / "metadata").mkdir()
    columns = ["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / CSV["UrbanSound8K"], index=False)
    begin = time.process_time()
    comp, said = opened("UrbanSound8K", tmp_path)
    assert len(comp.train) == 10_000 and said == []
    assert time.process_time() - begin < 5  # seconds of one core; it takes about one
