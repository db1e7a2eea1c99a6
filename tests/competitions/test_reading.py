"""Building blocks of layouts: rows of csv files, recordings that are missing, test rows."""

import pandas as pd
import pytest
from pets import quietly, touch

from specimg.competitions import reading as tables


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
