"""Corrections of labels: a file that comes back as it was written, joined by name, used only where the table still says what was wrong."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from specimg import cli
from specimg.audio import Audio
from specimg.cli import train as training
from specimg.competitions import Competition
from specimg.data import SpecDataLoaders
from specimg.data.wave_loaders import WaveDataLoaders
from specimg.datasets import sine
from specimg.labels.corrections import apply_corrections, read_corrections, write_corrections
from specimg.labels.tables import labels_from_csv, labels_from_names
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel


def table_of(**columns):
    kind = {"label": object, "corrected": object}
    return pd.DataFrame({name: pd.Series(cells, dtype=kind.get(name)) for name, cells in columns.items()})


CLIPS = table_of(
    path=["a.wav", "b.wav", "c.wav", "d.wav"], label=["dog", "cat", "cat", "owl"], group=["x", "x", "y", "y"]
)
HEARD = table_of(
    path=["d.wav", "b.wav", "a.wav"],
    label=["owl", "cat", "dog"],
    corrected=["dog", None, "dog"],
    note=["", "only wind", ""],
)


@pytest.fixture
def csv(tmp_path):
    """csv(text) -> the file that holds it."""

    def write(text, encoding="utf-8"):
        file = tmp_path / "corrections.csv"
        file.write_text(text, encoding=encoding)
        return file

    return write


# ---------------------------------------------------------------------- the file


def test_a_file_is_read(csv):
    file = csv('path,start,end,label,corrected,note\nn/a.wav,0.1,1.6,NA,007,"a, b"\nn/a.wav,,,dog, ,\n', "utf-8-sig")
    table = read_corrections(file)
    assert list(table) == ["path", "start", "end", "label", "corrected", "note"]
    assert table["label"].tolist() == ["NA", "dog"] and table["corrected"].tolist() == ["007", None]
    assert table["note"].tolist() == ["a, b", ""]
    assert table["end"].tolist()[0] == 1.6 and np.isnan(table["end"].tolist()[1])


@pytest.mark.parametrize(
    "table",
    [
        HEARD,
        HEARD.iloc[:0],
        HEARD.assign(label=["[sic]", "Zürich\n", '"quoted"']).assign(label=lambda t: t["label"].str.strip()),
        table_of(
            path=["n.wav", "n.wav"],
            start=[1 / 3, 0.1 + 0.2],
            end=[2 / 3, 1e6 / 7],
            label=[["dog", "rain, heavy"], []],
            corrected=[[], None],
            note=["", ""],
        ),
    ],
)
def test_what_is_written_is_read_again(table, tmp_path):
    write_corrections(table, tmp_path / "deep" / "corrections.csv")
    again = read_corrections(tmp_path / "deep" / "corrections.csv")
    for name in ("path", "label", "corrected", "note"):
        assert again[name].tolist() == table[name].tolist()
    if "start" in table:
        np.testing.assert_allclose(again[["start", "end"]], table[["start", "end"]], rtol=1e-15)
    assert list(again) == list(table)


def test_times_of_nobody_are_no_times():
    assert list(read_corrections(HEARD.assign(start=np.nan, end=np.nan))) == ["path", "label", "corrected", "note"]


def test_cells_of_several_labels(csv):
    file = csv('path,label,corrected\na.wav,"[""dog"", ""cat"", ""dog"", "" ""]",[]\nb.wav,[sic],[1\n')
    assert read_corrections(file)["label"].tolist() == [["dog", "cat"], "[sic]"]
    assert read_corrections(file)["corrected"].tolist() == [[], "[1"]


@pytest.mark.parametrize(
    "text, message",
    [
        ("path,label\na.wav,dog\n", "column in .*corrections.csv 'corrected'"),
        (
            "path,label,corrected\na.wav,,dog\n",
            r"1 row without a label \(a.wav; row 1\); write the label that was corrected",
        ),
        (
            "path,label,corrected\na.wav,dog,cat\nb.wav,dog,cat\n./a.wav,dog,owl\n",
            r"1 row of a clip that is listed already \(a.wav; row 3\); keep one row of each",
        ),
        ("path,label,corrected\n../a.wav,dog,cat\n", "row 1: '../a.wav' leads out of"),
        ("path,start,label,corrected\na.wav,1,dog,cat\n", "a window needs both its start and its end"),
        ("path,start,end,label,corrected\na.wav,1,1,dog,cat\n", "column 'end' is not after the start in 1 row"),
        ("path,label,corrected\n,dog,cat\n", "column 'path' is empty in 1 row"),
        ("", "cannot be read as csv"),
        (
            f"path,label,corrected\na.wav,dog,{'[' * 100_000}\n",
            "corrections.csv: column 'corrected': the text is nested in more than 100 levels; write a label, or a JSON list",
        ),
    ],
)
def test_a_file_that_is_no_good(text, message, csv):
    with pytest.raises(ValueError, match=message):
        read_corrections(csv(text))


def test_what_is_no_good_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="the table: 1 row without a label"):
        write_corrections(HEARD.assign(label=["owl", "cat", None]), tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


# ---------------------------------------------------------------------- applied


def test_corrections_are_applied_by_name(capsys):
    before = CLIPS.copy(deep=True)
    table = apply_corrections(CLIPS, HEARD)
    pd.testing.assert_frame_equal(CLIPS, before)
    assert table["path"].tolist() == ["a.wav", "c.wav", "d.wav"] and table["label"].tolist() == ["dog", "cat", "dog"]
    assert (
        table["was"].tolist() == [None, None, "owl"]
        and table.index.tolist() == [0, 1, 2]
        and table["group"].tolist() == ["x", "y", "y"]
    )
    record = {"corrected": ["d.wav"], "left_out": ["b.wav"], "confirmed": ["a.wav"], "changed": [], "unknown": []}
    assert table.attrs["corrections"] == record
    assert capsys.readouterr().out == "1 label corrected (d.wav), 1 clip left out (b.wav), 1 label confirmed (a.wav)\n"


def test_order_and_index_of_the_table_do_not_matter():
    shuffled = CLIPS.iloc[[2, 0, 3, 1]]
    table = apply_corrections(shuffled, HEARD, log=None)
    assert dict(zip(table["path"], table["label"])) == {"a.wav": "dog", "c.wav": "cat", "d.wav": "dog"}


def test_the_same_again_changes_nothing_more():
    once = apply_corrections(CLIPS, HEARD, log=None)
    with pytest.warns(UserWarning, match=r"1 correction of clips that the table lacks \(b.wav\)"):
        twice = apply_corrections(once, HEARD, log=None)
    pd.testing.assert_frame_equal(once, twice)
    assert twice.attrs["corrections"]["confirmed"] == ["d.wav", "a.wav"]


def test_corrections_of_corrections_keep_what_was():
    once = apply_corrections(CLIPS, HEARD, log=None)
    more = table_of(path=["c.wav"], label=["cat"], corrected=["owl"])
    with pytest.warns(UserWarning, match=r"carries \('owl'\)"):  # its only clip is a dog by now
        assert apply_corrections(once, more, log=None)["was"].tolist() == [None, "cat", "owl"]


def test_windows_are_told_apart():
    clips = table_of(path=["n.wav"] * 3, start=[0.0, 0.1 + 0.2, np.nan], end=[1.0, 1.3, np.nan], label=["dog"] * 3)
    heard = table_of(
        path=["n.wav", "n.wav"], start=[np.nan, 0.3], end=[np.nan, 1.3], label=["dog"] * 2, corrected=["cat", None]
    )
    with pytest.warns(UserWarning, match="'cat'"):
        table = apply_corrections(clips, heard, log=None)
    assert table["label"].tolist() == ["dog", "cat"] and table["start"].tolist()[0] == 0.0
    with pytest.raises(ValueError, match=r"of 1 correction none is of a clip in the table"):
        apply_corrections(clips.iloc[:1], heard.iloc[:1])


def test_several_labels_a_clip():
    clips = table_of(path=["a.wav", "b.wav", "c.wav", "d.wav"], label=[["dog", "rain"], [], ["owl"], ["rain"]])
    heard = table_of(
        path=["a.wav", "b.wav", "c.wav", "d.wav"],
        label=[["rain", "dog"], [], "owl", ["rain"]],
        corrected=[["dog"], ["owl", "rain"], [], ["rain"]],
    )
    table = apply_corrections(clips, heard, log=None)
    assert table["label"].tolist() == [["dog"], ["owl", "rain"], [], ["rain"]]
    assert table["was"].tolist() == [["dog", "rain"], [], ["owl"], None]
    assert clips["label"].tolist()[0] == ["dog", "rain"]


def test_lists_where_clips_carry_one_label():
    one = table_of(path=["b.wav"], label=[["cat"]], corrected=[["owl"]])
    assert apply_corrections(CLIPS, one, log=None)["label"].tolist() == ["dog", "owl", "cat", "owl"]
    with pytest.raises(
        ValueError, match=r"the correction of b.wav gives 2 labels \['owl', 'dog'\], and clips of the table carry one"
    ):
        apply_corrections(CLIPS, one.assign(corrected=[["owl", "dog"]]))


def test_a_label_that_has_changed_since(capsys):
    with pytest.warns(
        UserWarning,
        match=r"1 clip whose label has changed since it was corrected \(b.wav: 'fox', not 'cat'\); they keep",
    ):
        table = apply_corrections(CLIPS.assign(label=["dog", "fox", "cat", "owl"]), HEARD)
    assert table["label"].tolist() == ["dog", "fox", "cat", "dog"] and table.attrs["corrections"]["changed"] == [
        "b.wav: 'fox', not 'cat'"
    ]
    assert "left out" not in capsys.readouterr().out


def test_clips_that_the_table_lacks():
    with pytest.warns(UserWarning, match=r"2 corrections of clips that the table lacks \(d.wav, b.wav\)") as said:
        apply_corrections(CLIPS.iloc[[0, 2]], HEARD, log=None)
    assert said[0].filename == __file__
    message = r"of 3 corrections none is of a clip in the table \(d.wav, b.wav, a.wav; the table has train/a.wav, .*the same folder"
    with pytest.raises(ValueError, match=message):
        apply_corrections(CLIPS.assign(path="train/" + CLIPS["path"]), HEARD)


def test_labels_that_no_clip_carried():
    heard = table_of(path=["a.wav", "b.wav"], label=["dog", "cat"], corrected=["dgo", "wind"])
    message = r"2 corrected labels that no clip of the table carries \('dgo', did you mean 'dog'\?; 'wind'\)"
    with pytest.warns(UserWarning, match=message):
        apply_corrections(CLIPS, heard, log=None)


def test_a_table_that_is_none():
    with pytest.raises(ValueError, match="the table lacks the column 'label'; give one of labels_from_csv"):
        apply_corrections(CLIPS.drop(columns="label"), HEARD)


@pytest.mark.parametrize("table", ["train.csv", None, [1]])
def test_a_table_that_is_no_table(table):
    with pytest.raises(ValueError, match=f"the label table is a {type(table).__name__}; give one of labels_from_csv"):
        apply_corrections(table, HEARD)


@pytest.mark.parametrize("source", [None, 3, ["a.csv"], "."])
def test_what_holds_no_corrections(source):
    with pytest.raises(ValueError, match="corrections cannot be read from .*; give a csv file, or a DataFrame"):
        read_corrections(source)


def test_no_corrections_yet(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = apply_corrections(CLIPS, HEARD.iloc[:0])
    assert table["label"].tolist() == CLIPS["label"].tolist() and table["was"].tolist() == [None] * 4
    assert capsys.readouterr().out == "no label corrected\n"


# ---------------------------------------------------------------------- where tables are read


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """16 tones `<i>_<label>.wav`, and .csv of their labels, of which that of 0_low.wav is wrong."""
    folder = tmp_path_factory.mktemp("tones")
    rows = []
    for i in range(8):
        for label, hz in (("high", 3000), ("low", 400)):
            sf.write(folder / f"{i}_{label}.wav", sine(hz, 0.3, 8000), 8000)
            rows.append((f"{i}_{label}.wav", "high" if (i, label) == (0, "low") else label))
    pd.DataFrame(rows, columns=["fname", "label"]).to_csv(folder / "train.csv", index=False)
    write_corrections(
        table_of(path=["0_low.wav", "1_low.wav"], label=["high", "low"], corrected=["low", None]),
        folder / "corrections.csv",
    )
    return folder


@pytest.mark.parametrize(
    "loaders, more",
    [
        (SpecDataLoaders, dict(renderer=Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)), n_jobs=1, progress=False)),
        (WaveDataLoaders, dict(audio=Audio(sr=8000, duration=0.3))),
    ],
)
def test_loaders_take_corrections(loaders, more, recordings, tmp_path, capsys):
    if "renderer" in more:
        more = more | {"cache": tmp_path}
    dls = loaders.from_csv(recordings, "train.csv", corrections=recordings / "corrections.csv", bs=4, **more)
    assert "1 label corrected (0_low.wav), 1 clip left out (1_low.wav)" in capsys.readouterr().out
    label = dict(zip(dls.clips["path"], dls.clips["label"]))
    assert len(label) == 15 and label["0_low.wav"] == "low" and "1_low.wav" not in label
    if loaders is SpecDataLoaders:
        table = labels_from_csv(recordings / "train.csv")
        again = SpecDataLoaders.from_tree(dls.tree, table, corrections=recordings / "corrections.csv", bs=4)
        assert set(zip(again.clips["path"], again.clips["label"])) == set(label.items())


def test_the_command_line_takes_corrections(recordings, tmp_path, capsys):
    said = [
        "train",
        str(recordings / "train.csv"),
        "--out",
        "x",
        "--corrections",
        str(recordings / "corrections.csv"),
        "--cache",
        str(tmp_path),
        "--set",
        "n_mels=16",
        "n_fft=256",
        "hop_length=64",
        "--bs",
        "4",
    ]
    clips = training._load(cli._parser().parse_args(said)).clips
    assert len(clips) == 15 and clips.set_index("path")["label"]["0_low.wav"] == "low"
    assert "1 label corrected (0_low.wav), 1 clip left out (1_low.wav)" in capsys.readouterr().out


def test_warnings_name_the_line_that_called(recordings, tmp_path):
    heard = table_of(path=["0_low.wav", "gone.wav"], label=["high", "high"], corrected=["low", "low"])
    look, table = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)), labels_from_csv(recordings / "train.csv")
    with pytest.warns(UserWarning, match="1 correction of clips that the table lacks") as said:
        SpecDataLoaders.from_df(
            table, recordings, corrections=heard, renderer=look, cache=tmp_path, bs=4, n_jobs=1, progress=False
        )
    assert __file__ in [warning.filename for warning in said if "correction" in str(warning.message)]


def test_a_competition_with_corrections(recordings):
    table = labels_from_names(recordings, r"^\d_(?P<label>[a-z]+)")
    comp = Competition("tones", recordings, train=table)
    heard = table_of(path=["0_low.wav", "1_low.wav"], label=["low", "low"], corrected=["high", None])
    better = replace(comp, train=apply_corrections(comp.train, heard, log=None))
    assert better.train.set_index("path")["label"]["0_low.wav"] == "high" and len(better.train) == 15
    assert better.digest != comp.digest and better.train["was"].tolist().count("low") == 1


def test_a_training_keeps_the_corrections_that_it_was_told(recordings, tmp_path):
    said = [
        "train",
        str(recordings / "train.csv"),
        "--out",
        str(tmp_path / "out"),
        "--corrections",
        str(recordings / "corrections.csv"),
        "--cache",
        str(tmp_path),
        "--set",
        "n_mels=16",
        "n_fft=256",
        "hop_length=64",
        "--bs",
        "4",
        "--arch",
        "test_resnet",
        "--pretrained",
        "no",
        "--epochs",
        "1",
        "--lr",
        "0.001",
    ]
    assert cli.main(said) == 0
    pd.testing.assert_frame_equal(
        read_corrections(tmp_path / "out" / "corrections.csv"), read_corrections(recordings / "corrections.csv")
    )
