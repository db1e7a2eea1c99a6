"""The whole road once, on sounds made here: a competition, pictures, a network, its mistakes, a submission.

    run_demo("demo")          # or: specimg demo demo

writes into the folder a small competition in the layout of freesound-audio-tagging (16 kinds of synthesised sound; some of the
training labels that nobody verified are wrong), draws it, trains a network, and leaves pictures to look at, a
`submission.csv`, and a page to listen to. The same folder again goes on where it stopped.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Learner

from ..audio import Audio
from ..competitions import BestLabels, check_submission
from ..competitions.submission import read_text
from ..core.files import write_atomic
from ..data import SpecDataLoaders
from ..datasets import make_competition
from ..experiments.baseline import LinearBaseline, linear_baseline
from ..inference import load_classifier, save_classifier
from ..interpret import SpecInterpretation
from ..labels.folds import split_valid
from ..labels.tables import labels_from_csv
from ..metrics import map_at_k
from ..render.renderer import Renderer
from ..reports import report
from ..spectrogram import Mel
from ..spectrogram.picture import Picture
from ..training import Recipe, fit_or_load
from ..training.learner import spec_learner

__all__ = ["run_demo", "write_submission", "RENDERER", "RECIPE"]

RENDERER = Renderer(Mel(n_mels=64, hop_length=256), Picture(), Audio(sr=22050))
SIZE = (64, 64)  # pixels: height, width
RECIPE = Recipe(epochs=12, freeze_epochs=2, lr=3e-3, seed=0)
SCORE_K = 3  # labels a row, as the competition scores them


@dataclass(frozen=True)
class DemoResult:
    """What the demo found."""

    folder: Path
    chance: float
    linear_error: float
    error: float
    map3: float  # MAP@3 of the submission, against the hidden answers
    interpretation: SpecInterpretation


def _verified_split(table: pd.DataFrame, verified: pd.Series, seed: int = 0) -> pd.Series:
    """A quarter of the verified clips validates; what nobody verified only trains."""
    held_out = split_valid(table[verified].reset_index(drop=True), 0.25, seed=seed)
    is_valid = pd.Series(False, index=table.index)
    is_valid[verified] = held_out.to_numpy()
    return is_valid


def _load_data(folder: Path) -> SpecDataLoaders:
    train = read_text(folder / "train.csv")
    table = labels_from_csv(train, fn_col="fname", label_col="label")
    verified = set(train.loc[train["manually_verified"] == "1", "fname"])
    table["is_valid"] = _verified_split(table, table["path"].isin(verified))
    return SpecDataLoaders.from_df(
        table,
        folder,
        folder="audio_train",
        valid_col="is_valid",
        renderer=RENDERER,
        cache=folder / "pictures",
        size=SIZE,
        bs=32,
    )


def write_submission(
    predictions: pd.DataFrame, sample: str | os.PathLike, path: str | os.PathLike, prior: list[str], k: int = SCORE_K
) -> pd.DataFrame:
    """Write `fname,label` with up to `k` labels a row, for every row of the sample submission and in its order.

    Parameters
    ----------
    predictions : `Classifier.predict`'s table, whose paths end in the sample's names
    prior : labels given to files that hold no sound, or that are missing from `predictions`

    Returns
    -------
    the submission as a DataFrame
    """
    form, rows = BestLabels(k=k), pd.DataFrame({"id": read_text(sample)["fname"]})
    vocab, known = predictions.attrs["vocab"], predictions[predictions["status"] == "ok"]
    by_name = dict(zip((Path(p).name for p in known["path"]), known[[f"p_{label}" for label in vocab]].to_numpy()))
    commonness = np.array([len(prior) - prior.index(label) if label in prior else 0 for label in vocab], float)
    answers = form.to_submission(
        rows, np.stack([by_name.get(name, commonness / commonness.sum()) for name in rows["id"]]), vocab
    )
    check_submission(answers, read_text(sample), format=form, vocab=vocab)
    write_atomic(path, answers.to_csv(index=False, lineterminator="\n").encode())
    return answers


def score_submission(submission: pd.DataFrame, solution: pd.DataFrame) -> float:
    """MAP@3 over the rows whose answer is a label; the empty files are not scored, as in the real competition."""
    both = submission.merge(solution[solution["label"] != "None"], on="fname", suffixes=("", "_true"))
    vocab = sorted({*both["label_true"], *(label for row in both["label"] for label in row.split())})
    scores = np.zeros((len(both), len(vocab)))
    for i, row in enumerate(both["label"]):
        for rank, label in enumerate(row.split()):
            scores[i, vocab.index(label)] = SCORE_K - rank
    return map_at_k([vocab.index(label) for label in both["label_true"]], scores, SCORE_K)


def _draw_findings(folder: Path, dls: SpecDataLoaders, interp: SpecInterpretation) -> list[str]:
    """Save the pictures people look at; returns their names."""
    figures = {
        "batch.png": dls.show_batch(),
        "learning_curves.png": interp.plot_learning_curves(),
        "confusion.png": interp.plot_confusion_matrix(),
        "top_losses.png": interp.plot_top_losses(9),
        "tsne.png": interp.plot_tsne(),
    }
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return list(figures)


def _train(dls: SpecDataLoaders, arch: str, recipe: Recipe, out: Path, say: Callable[[str], None]) -> Learner:
    """Train in `out`, from where an earlier call stopped."""
    learn = spec_learner(
        dls, arch, pretrained="if-available", metrics=["error_rate", "map@3"], seed=recipe.seed, path=out
    )
    say(
        f"network: {learn.weights_from}"
        + ("" if learn.pretrained else " - NO PRETRAINED WEIGHTS could be had, so it learns from nothing")
    )
    fit_or_load(learn, recipe, out / "run")
    return learn


def run_demo(
    folder: str | os.PathLike = "demo",
    arch: str = "resnet34",
    recipe: Recipe = RECIPE,
    n_per_class: int = 60,
    n_test: int = 120,
    say: Callable[[str], None] = print,
) -> DemoResult:
    """Make the demo competition in `folder`, draw, train, look, submit; see the module's docstring.

    say : takes each line of the account
    """
    folder = Path(folder)
    results = folder / "results"
    if (results / "finished").exists():
        shutil.rmtree(results)  # a finished demo is run again from the start; competition and pictures stay
    say(f"1. sounds: a competition of synthesised sounds in {str(folder)!r}")
    make_competition(folder, n_per_class=n_per_class, n_test=n_test)

    say("2. pictures: every recording is drawn as a mel spectrogram")
    dls = _load_data(folder)
    say(f"   {dls.tree!r}")
    say(
        f"   {len(dls.train_ds)} clips train, some with wrong labels; {len(dls.valid_ds)} verified ones validate; {len(dls.vocab)} classes"
    )

    say(f"3. training: {arch}, {SIZE[0]} x {SIZE[1]} pixels, {recipe.epochs} epochs")
    learn = _train(dls, arch, recipe, results, say)

    say("4. understanding: where is it wrong?")
    with learn.no_bar():  # a few seconds, and a bar in a log is a thousand characters
        interp = SpecInterpretation.from_learner(learn)
    baseline: LinearBaseline = linear_baseline(dls)
    error = float(1 - interp.table["right"].mean())
    say(
        f"   error on verified clips: chance {1 - baseline.chance:.3f}, linear model {baseline.error:.3f}, {arch} {error:.3f}"
    )
    for actual, predicted, count in interp.most_confused(min_val=2)[:5]:
        say(f"   {count} x {actual} taken for {predicted}")
    names = _draw_findings(results, dls, interp)
    say(f"   pictures in {str(results)!r}: {', '.join(names)}")
    page = report(
        interp, results / "report.html", title=f"specimg demo: {arch} on sixteen kinds of sound", progress=False
    )
    say(f"   {str(page)!r}: open it in a browser to look at every clip, and to listen to it")

    say("5. submission: up to three labels for every test file, the empty ones included")
    classifier = load_classifier(save_classifier(learn, results / "classifier"))
    predictions = classifier.predict(folder / "audio_test")
    commonest = dls.train.clips["label"].value_counts().index.tolist()
    submission = write_submission(predictions, folder / "sample_submission.csv", results / "submission.csv", commonest)
    bad = predictions[predictions["status"] != "ok"]
    for row in bad.itertuples():
        say(f"   {Path(row.path).name}: {row.status}; it gets the commonest labels")
    map3 = score_submission(submission, read_text(folder / "solution.csv"))
    say(
        f"   {len(submission)} rows in {str(results / 'submission.csv')!r}; MAP@3 against the hidden answers {map3:.3f}"
    )
    write_atomic(results / "finished", b"")
    return DemoResult(folder, 1 - baseline.chance, baseline.error, error, map3, interp)
