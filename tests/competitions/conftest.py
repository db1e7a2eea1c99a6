"""Fixtures of competitions."""

import warnings

import pandas as pd
import pytest
from pets import CSV, MARKS, small, touch

from specimg.competitions import Competition, competition, layout, locate, registry


@pytest.fixture
def kaggle(tmp_path, monkeypatch):
    """Kaggle's input folder, and an empty working folder."""
    (tmp_path / "working").mkdir()
    monkeypatch.chdir(tmp_path / "working")
    monkeypatch.setattr(locate, "KAGGLE_INPUT", tmp_path / "kaggle")
    return tmp_path / "kaggle"


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
