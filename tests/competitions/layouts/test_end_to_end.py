"""Every layout, from the unpacked folder to a submission that its competition accepts: open, cross-validate, answer, check."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from miniatures.birds import birdclef
from miniatures.freesound import freesound_2018, freesound_2019
from miniatures.given_folds import esc50, urbansound8k
from miniatures.speech import speech_challenge, speech_commands

import specimg as sp

torch.set_num_threads(1)
LOOK = sp.Renderer(sp.Mel(n_mels=16, n_fft=512, hop_length=128), audio=sp.Audio(sr=16000))
LOADERS = dict(bs=8, size=32, n_jobs=1, progress=False)
WINDOWS = dict(
    LOADERS, method="crop", seconds=1.0
)  # soundscapes are asked about second by second, recordings are longer

# slug, how the miniature is made, folds, loaders
LAYOUTS = {
    "freesound-audio-tagging": (freesound_2018, 2, LOADERS),
    "freesound-audio-tagging as published": (lambda folder: freesound_2018(folder, published=True), 2, LOADERS),
    "freesound-audio-tagging-2019": (freesound_2019, 2, LOADERS),
    "tensorflow-speech-recognition-challenge": (speech_challenge, 2, LOADERS),
    "speech_commands": (speech_commands, 2, LOADERS),
    **{
        f"birdclef-{year}": (lambda folder, year=year: birdclef(folder, f"birdclef-{year}"), 2, WINDOWS)
        for year in range(2021, 2027)
    },
    "birdclef-2024 before the test set is shown": (
        lambda folder: birdclef(folder, "birdclef-2024", hidden=True),
        2,
        WINDOWS,
    ),
    "ESC-50": (esc50, None, LOADERS),
    "ESC-10": (esc50, None, LOADERS),
    "UrbanSound8K": (urbansound8k, None, LOADERS),
}


@pytest.fixture(scope="module", params=LAYOUTS)
def submitted(request, tmp_path_factory):
    """(competition, run, submission file) of one layout, trained for one epoch on a fold or two."""
    make, folds, loaders = LAYOUTS[request.param]
    slug, folder = request.param.split(" ")[0], tmp_path_factory.mktemp("layout")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is odd in the miniature: the tests of each layout look at that
        comp = sp.Competition.open(slug, make(folder / slug))
        run = sp.cross_validate(
            comp,
            LOOK,
            "test_resnet",
            sp.Recipe(epochs=1, lr=3e-3, seed=0),
            folds=folds,
            out=folder / "run",
            loaders=dict(loaders, cache=folder / "cache"),
            learner=dict(pretrained=False),
            log=None,
        )
        run.submission(folder / "submission.csv")
    return comp, run, folder / "submission.csv"


def test_the_submission_is_accepted(submitted):
    comp, run, file = submitted
    assert "accepted" in sp.check_submission(file, comp)
    if comp.sample is not None and len(comp.test) == len(pd.read_csv(comp.sample)):  # code competitions show a stand-in
        assert "accepted" in sp.check_submission(file, comp.sample, format=comp.format, vocab=comp.vocab)


def test_every_row_is_answered(submitted):
    comp, run, file = submitted
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    assert table.iloc[:, 0].tolist() == comp.expected_rows().tolist()
    assert (table != "").all(axis=None)


def test_every_clip_is_held_out_once_and_scored_by_the_metric(submitted):
    comp, run, file = submitted
    dealt = comp.train if "fold" not in comp.train else comp.train[~(comp.train["fold"] < 0)]
    held_out = run.oof
    assert 0 < len(held_out) <= len(dealt)  # what cannot be drawn is left out
    assert not held_out.duplicated([name for name in ("path", "start") if name in held_out]).any()
    assert run.score.metric == comp.metric and np.isfinite(run.score)
    assert run.score == pytest.approx(
        run.predictions.subset(held_out["scored"].to_numpy(bool)).score(comp.metric)
        if "scored" in held_out
        else run.predictions.score(comp.metric)
    )


def test_nothing_that_belongs_together_is_parted(submitted):
    comp, run, file = submitted
    folds = run.folds[run.folds["fold"] >= 0]
    assert (folds.groupby("path")["fold"].nunique() == 1).all()
    if "group" in folds:
        assert (folds.groupby("group")["fold"].nunique() == 1).all()
