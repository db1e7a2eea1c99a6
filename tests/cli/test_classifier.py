"""A classifier's folder from the command line: predict, check for drift, and one made of a run."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from bundles import SR, make_sounds, probabilities, signed, train

from specimg.cli import main
from specimg.inference import GOLDEN, Classifier, load_classifier, save_classifier
from specimg.training import predict_all


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def learn(sounds):
    return train(sounds)


@pytest.fixture(scope="module")
def saved(learn, tmp_path_factory):
    return save_classifier(learn, tmp_path_factory.mktemp("bundles") / "plain", golden=2)


def test_predict_with_workers_and_doubts(saved, sounds, tmp_path, capsys):
    out = tmp_path / "labels.csv"
    middle = load_classifier(saved).predict(sounds.files)["probability"].median()
    assert (
        main(
            [
                "predict",
                str(saved),
                *map(str, sounds.files),
                "gone.wav",
                "--out",
                str(out),
                "--jobs",
                "2",
                "--bs",
                "4",
                "--reject-below",
                str(middle),
            ]
        )
        == 0
    )
    table = pd.read_csv(out)
    unsure = table["status"].str.startswith("unsure").sum()
    assert 0 < unsure < 18 and len(table) == 19
    assert f"19 rows in '{out}', {unsure + 1} without a label" in capsys.readouterr().out


def test_nothing_but_doubts_is_an_answer(saved, sounds, capsys):
    assert main(["predict", str(saved), str(sounds.files[0]), "--reject-below", "1"]) == 0
    assert ",unknown,0." in capsys.readouterr().out
    assert main(["predict", str(saved), "gone.wav"]) == 1
    assert "no recording could be labelled; 'gone.wav' is not there" in capsys.readouterr().err


def test_check_a_folder(saved, capsys):
    assert main(["check", str(saved)]) == 0
    out = capsys.readouterr().out
    assert out.count("same") == 3 and "versions: the same as when it was saved" in out and "0-high.wav" in out


def test_check_tells_of_drift(saved, tmp_path, capsys):
    folder = shutil.copytree(saved, tmp_path / "moved")
    file = folder / GOLDEN / "golden.json"
    told = json.loads(file.read_text())
    told["clips"][0]["probabilities"] = [0.2, 0.3, 0.5]
    told["versions"]["librosa"] = "0.1"
    file.write_text(json.dumps(told))
    signed(folder, f"{GOLDEN}/golden.json")
    assert main(["check", str(folder)]) == 1
    said = capsys.readouterr()
    assert "predictions drift" in said.out and "versions: librosa 0.1 -> " in said.out
    assert "1 of 2 golden clips of" in said.err and "are predicted differently than when it was saved" in said.err


def test_check_of_what_is_no_classifier(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 1
    assert "is not a classifier" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "a.csv")]) == 1
    assert "against what? give the sample submission, or the folder of a run" in capsys.readouterr().err


def test_keep_makes_one_of_all_folds(saved, learn, tmp_path, monkeypatch, capsys):
    from specimg.experiments import Run

    for fold in range(2):
        shutil.copytree(saved, tmp_path / f"fold{fold}" / "classifier")
    fold_runs = [SimpleNamespace(fold=fold, folder=tmp_path / f"fold{fold}") for fold in range(2)]
    monkeypatch.setattr(
        Run, "open", lambda folder: SimpleNamespace(fold_runs=fold_runs, predictions=predict_all(learn))
    )
    assert main(["keep", "runs/first", str(tmp_path / "kept"), "--golden", "1"]) == 0
    assert capsys.readouterr().out.strip().endswith("kept") and len(load_classifier(tmp_path / "kept").model) == 2
    assert main(["check", str(tmp_path / "kept")]) == 0


# ---------------------------------------------------------------------- export


def said_by(path, inputs):
    """Probabilities (clips, classes) that onnxruntime gives for inputs of any shape, one by one."""
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["probabilities"], {session.get_inputs()[0].name: x[None]})[0] for x in inputs])


@pytest.fixture
def onnx():
    for name in ("onnx", "onnxscript"):
        pytest.importorskip(name, reason=f"{name} is not installed; pip install specimg[onnx]")


def test_export_from_pictures(onnx, saved, sounds, tmp_path, capsys):
    path, clf = tmp_path / "tones.onnx", load_classifier(saved)
    assert main(["export", str(saved), str(path)]) == 0
    assert capsys.readouterr().out == f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB: pictures -> probabilities\n"
    there = said_by(path, [clf.to_input(file).numpy() for file in sounds.files[:4]])
    np.testing.assert_allclose(there, probabilities(clf.predict(sounds.files[:4])), atol=1e-5)


def test_export_from_samples(onnx, saved, sounds, tmp_path, capsys):
    path = tmp_path / "tones.onnx"
    assert main(["export", str(saved), str(path), "--audio", "--sr", str(SR)]) == 0
    assert "MB: samples -> probabilities" in capsys.readouterr().out
    there = said_by(path, [sf.read(file, dtype="float32")[0] for file in sounds.files[:4]])  # clips of three lengths
    np.testing.assert_allclose(there, probabilities(load_classifier(saved).predict(sounds.files[:4])), atol=1e-3)


def test_the_length_of_clips_is_handed_on(saved, tmp_path, monkeypatch):
    asked = {}
    monkeypatch.setattr(
        Classifier, "to_onnx", lambda clf, path, **options: asked.update(options) or saved / "README.md"
    )
    assert (
        main(["export", str(saved), str(tmp_path / "tones.onnx"), "--audio", "--sr", str(SR), "--seconds", "0.25"]) == 0
    )
    assert asked == {"audio": True, "sr": SR, "seconds": 0.25}


@pytest.mark.parametrize(
    "options, message",
    [
        (["--audio"], "a graph has one; give --sr"),
        (["--sr", "8000"], "this graph begins with the picture; give --audio"),
        (["--seconds", "1"], "this graph begins with the picture; give --audio"),
    ],
)
def test_what_cannot_be_exported_leaves_no_file(options, message, onnx, saved, tmp_path, capsys):
    assert main(["export", str(saved), str(tmp_path / "tones.onnx"), *options]) == 1
    assert message in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_export_into_a_folder_and_of_no_classifier(onnx, saved, tmp_path, capsys):
    assert main(["export", str(saved), str(tmp_path)]) == 1
    assert "is a folder; give a file, such as dog.onnx" in capsys.readouterr().err
    assert main(["export", str(tmp_path), str(tmp_path / "x.onnx")]) == 1
    assert "is not a classifier" in capsys.readouterr().err


def test_export_of_a_network_that_listens(onnx, sounds, tmp_path, capsys):
    from specimg.audio import Audio
    from specimg.data.wave_loaders import WaveDataLoaders
    from specimg.training.learner import spec_learner

    dls = WaveDataLoaders.from_df(sounds.table, sounds.folder, audio=Audio(sr=4000, duration=2.0), bs=4)
    folder, path = tmp_path / "listener", tmp_path / "tones.onnx"
    save_classifier(spec_learner(dls, "soundnet_cnn", pretrained=False, seed=0), folder, golden=0)
    assert main(["export", str(folder), str(path)]) == 0
    assert "MB: waveforms -> probabilities" in capsys.readouterr().out
    clf = load_classifier(folder)
    there = said_by(path, [clf.to_input(file).numpy() for file in sounds.files[:2]])
    np.testing.assert_allclose(there, probabilities(clf.predict(sounds.files[:2])), atol=1e-5)


# ---------------------------------------------------------------------- text for other programs


@pytest.fixture(scope="module")
def odd(saved, tmp_path_factory):
    """A classifier whose labels would clear the screen, or be run by a spreadsheet."""
    labels = ["=1+1", "\x1b[2Jgone", "path"]
    return save_classifier(
        replace(load_classifier(saved), vocab=labels), tmp_path_factory.mktemp("odd") / "clf", golden=0
    )


def test_no_terminal_obeys_a_label_or_a_name(odd, sounds, tmp_path, capsys):
    name = tmp_path / "a\x1b]0;title\x07\n.wav"
    shutil.copy(sounds.files[0], name)
    for args in (
        ["predict", odd, name],
        ["predict", odd, tmp_path / "b\x1b[2J.wav"],
        ["windows", odd, name, "--seconds", 0.5, "--threshold", 0.01],
    ):
        main([str(arg) for arg in args])
        told = capsys.readouterr()
        assert "\\x1b" in told.out + told.err
        assert not any(ord(mark) < 32 and mark not in "\n\t" for mark in told.out + told.err)


@pytest.mark.parametrize("quoted", [False, True])
def test_cells_are_shown_and_formulas_quoted_where_asked(quoted, odd, sounds, tmp_path, capsys):
    out, table = tmp_path / "labels.csv", tmp_path / "windows.csv"
    more = ["--quote-formulas"] * quoted
    main(["predict", str(odd), *map(str, sounds.files), "--out", str(out), *more])
    main(
        [
            "windows",
            str(odd),
            str(sounds.files[0]),
            "--out",
            str(tmp_path / "e.csv"),
            "--table",
            str(table),
            "--threshold",
            "0.01",
            "--seconds",
            "0.5",
            *more,
        ]
    )
    capsys.readouterr()
    rows = pd.read_csv(out)
    assert set(rows["label"]) <= {"'=1+1" if quoted else "=1+1", "\\x1b[2Jgone", "path"}
    assert list(rows)[4:] == ["p_=1+1", "p_\\x1b[2Jgone", "p_path"]
    for file in (out, table, *([tmp_path / "e.csv"] if quoted else [])):
        text = file.read_text()
        assert (
            "\x1b" not in text and ("'=1+1" in text or "=1+1" not in text.replace("p_=1+1", "")) == quoted or not quoted
        )
