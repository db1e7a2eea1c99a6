"""A classifier's folder from the command line: predict, check for drift, and one made of a run."""

import json
import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from bundles import make_sounds, signed, train
from specimg.bundle import GOLDEN, load_classifier, save_classifier
from specimg.cli import main
from specimg.predictions import predict_all


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
    assert main(["predict", str(saved), *map(str, sounds.files), "gone.wav", "--out", str(out), "--jobs", "2", "--bs", "4", "--reject-below", str(middle)]) == 0
    table = pd.read_csv(out)
    unsure = table["status"].str.startswith("unsure").sum()
    assert 0 < unsure < 18 and len(table) == 19
    assert f"19 rows in '{out}', {unsure + 1} without an answer" in capsys.readouterr().out


def test_nothing_but_doubts_is_an_answer(saved, sounds, capsys):
    assert main(["predict", str(saved), str(sounds.files[0]), "--reject-below", "1"]) == 0
    assert ",,0." in capsys.readouterr().out
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
    assert "answers drift" in said.out and "versions: librosa 0.1 -> " in said.out
    assert "1 of 2 golden clips of" in said.err and "are answered otherwise than when it was saved" in said.err


def test_check_of_what_is_no_classifier(tmp_path, capsys):
    assert main(["check", str(tmp_path)]) == 1
    assert "is not a classifier" in capsys.readouterr().err
    assert main(["check", str(tmp_path / "a.csv")]) == 1
    assert "against what? give the sample submission, or the folder of a run" in capsys.readouterr().err


def test_keep_makes_one_of_all_folds(saved, learn, tmp_path, monkeypatch, capsys):
    from specimg.runs import Run

    for fold in range(2):
        shutil.copytree(saved, tmp_path / f"fold{fold}" / "classifier")
    members = [SimpleNamespace(fold=fold, folder=tmp_path / f"fold{fold}") for fold in range(2)]
    monkeypatch.setattr(Run, "open", lambda folder: SimpleNamespace(members=members, predictions=predict_all(learn)))
    assert main(["keep", "runs/first", str(tmp_path / "kept"), "--golden", "1"]) == 0
    assert capsys.readouterr().out.strip().endswith("kept") and len(load_classifier(tmp_path / "kept").model) == 2
    assert main(["check", str(tmp_path / "kept")]) == 0
