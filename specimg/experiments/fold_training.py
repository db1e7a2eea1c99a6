"""One fold of one seed: a network is trained, judges the clips that it never saw, and answers the test set.

How far it got can be read from its folder: `fit/checkpoints` after every epoch, `done.json` when it is trained and has judged,
`test.npz` when it has answered. A second call does what is left.
"""

from __future__ import annotations

import gc
import json
import shutil
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Learner

from ..core.files import write_atomic
from ..data import SpecDataLoaders
from ..data.images import FitSize
from ..data.tta import TTAFit, with_tta
from ..inference import load_classifier, save_classifier
from ..labels.tables import KEY, clip_index
from ..render.tree import SpecTree
from ..training import Predictions, fit_or_load, predict_all
from ..training.learner import spec_learner
from ..training.losses import ClipWeights
from .config import RunConfig
from .drawing import clips_per_batch, predict_pictures
from .fold_run import FoldRun
from .held_out import fold_numbers, split_fold
from .task import Task, refuse_nan, score_predictions

__all__ = ["FoldSetup", "train_fold", "drop_checkpoints", "free_gpu", "predict_test"]

_JUDGED = {
    "picture",
    "target",
    "prediction",
    "loss",
    "confidence",
    "right",
}  # columns of predictions that no fact may take


@dataclass(frozen=True, eq=False)
class FoldSetup:
    """What all fold_runs of a run work with."""

    task: Task
    config: RunConfig
    tree: SpecTree
    table: pd.DataFrame  # the clips of training that have a picture
    size: tuple[int, int]  # pixels: height, width
    seconds: float | None  # that pictures are cut or padded to

    @classmethod
    def open(cls, task: Task, config: RunConfig, tree: SpecTree, table: pd.DataFrame) -> FoldSetup:
        """With a size of pictures that is settled once, so that all folds see the same."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each fold's own loaders will say it
            whole = table.assign(is_valid=table["fold"] == fold_numbers(table)[0]).drop(
                columns="weight", errors="ignore"
            )
            dls = _make_loaders(whole, tree, task, path=tree.root, **{**config.loading, "variants": ()})
        fit = next(step for step in dls.valid.after_item.fs if isinstance(step, FitSize))
        return cls(task, config, tree, table, tuple(dls.size), fit.seconds)

    def loaders(self, table: pd.DataFrame, fold_run: FoldRun) -> SpecDataLoaders:
        """Loaders of both sides of a fold of `table`."""
        options = {**self.config.loading, "size": self.size, "seconds": self.seconds}
        return _make_loaders(
            _fold_table(table, fold_run.fold, self.config.trust), self.tree, self.task, path=fold_run.folder, **options
        )


def _make_loaders(table: pd.DataFrame, tree: SpecTree, task: Task, **options) -> SpecDataLoaders:
    known = table[[name for name in (*KEY, "label", "weight", "is_valid") if name in table]]
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", r"\d+ labels? seen once in training"
        )  # dealing the folds said so, once for all of them
        warnings.filterwarnings(
            "ignore", r"\d+ of \d+ clips of training have no picture of the variant"
        )  # drawing said so
        return SpecDataLoaders.from_tree(tree, known, vocab=list(task.vocab), **options)


def _fold_table(table: pd.DataFrame, fold: int, trust: str) -> pd.DataFrame:
    """The rows of both sides, with `is_valid`, and with `weight` only where it is to decide how often a clip is drawn."""
    train, held_out = split_fold(table, fold)
    rows = table[train | held_out].assign(is_valid=held_out[train | held_out])
    differ = "weight" in rows and rows.loc[~rows["is_valid"], "weight"].nunique() > 1
    return rows if differ and trust == "sampling" else rows.drop(columns="weight", errors="ignore")


# ---------------------------------------------------------------------- training


def _clip_weights(clips: pd.DataFrame, table: pd.DataFrame) -> np.ndarray:
    """The weight of each training clip, in the order of the loader."""
    return table["weight"].to_numpy(float)[clip_index(table).get_indexer(clip_index(clips))]


def _make_learner(fold_run: FoldRun, table: pd.DataFrame, setup: FoldSetup, log: Callable[[str], None]) -> Learner:
    config = setup.config
    dls = setup.loaders(table, fold_run)
    learn = spec_learner(
        dls, config.arch, seed=fold_run.seed, path=fold_run.folder, **config.learning(setup.task.metric)
    )
    learn.logger = log
    if config.trust == "loss" and "weight" in table:
        learn.add_cb(ClipWeights(_clip_weights(dls.train.clips, table)))
    return learn


# ---------------------------------------------------------------------- judging


def _with_facts(predictions: Predictions, table: pd.DataFrame) -> Predictions:
    """The predictions with what the table knows of each clip: group, fold, weight, scored and further columns."""
    rows = table.iloc[clip_index(table).get_indexer(clip_index(predictions.table))]
    facts = {name: rows[name].to_numpy() for name in rows if name not in {*KEY, "label", *_JUDGED}}
    p = predictions
    return Predictions(p.table.assign(**facts), p.probs, p.vocab, p.embeddings, p.is_multi, p.layers)


def _judge(learn: Learner, table: pd.DataFrame, config: RunConfig) -> Predictions:
    """What the network says about the clips that were held out."""
    dl = with_tta(learn.dls.valid, config.tta)
    fit = next(step for step in dl.after_item.fs if isinstance(step, TTAFit))
    with learn.no_bar(), learn.no_logging():
        return _with_facts(predict_all(learn, dl=dl.new(bs=clips_per_batch(dl.bs, fit))), table)


def train_fold(fold_run: FoldRun, table: pd.DataFrame, setup: FoldSetup, log: Callable[[str], None] = print) -> None:
    """Train a network, or go on where that was stopped, keep it as a classifier, and let it judge the clips that it never saw.

    table : the clips of training with what this fold_run learns besides (pseudo-labels)

    Raises ValueError where training diverges.
    """
    began = time.perf_counter()
    learn = _make_learner(fold_run, table, setup, log)
    history = fit_or_load(learn, setup.config.recipe.replace(seed=fold_run.seed), fold_run.folder / "fit")
    oof = _judge(learn, table, setup.config)
    save_classifier(
        learn, fold_run.folder / "classifier", golden=0, predictions=oof
    )  # the clips of a fold need not lie in its folder
    score = score_predictions(oof, setup.task.metric)
    oof.save(fold_run.folder / "oof.npz")
    done = {
        **score.to_dict(),
        "epochs": len(history),
        "train_seconds": round(float(history["seconds"].sum()), 1),
        "seconds": round(time.perf_counter() - began, 1),
        "weights_from": learn.weights_from,
    }
    (fold_run.folder / "test.npz").unlink(missing_ok=True)  # of other weights, if it is there
    write_atomic(fold_run.folder / "done.json", json.dumps(done, indent=1).encode())
    log(f"{fold_run}: {score}, {done['seconds']:.0f} s")


def drop_checkpoints(fold_run: FoldRun) -> None:
    """Of a finished fold_run: the classifier holds the weights."""
    shutil.rmtree(fold_run.folder / "fit" / "checkpoints", ignore_errors=True)


def free_gpu() -> None:
    """Let go of the last network: a learner is full of cycles, and the next one wants its memory."""
    if torch.cuda.is_available():
        gc.collect()


# ---------------------------------------------------------------------- answering


def predict_test(fold_run: FoldRun, clips: pd.DataFrame, setup: FoldSetup) -> None:
    """Ask the trained network about the test clips, and keep what it says. ValueError where that is nan."""
    options = {
        name: setup.config.loaders[name]
        for name in ("num_workers", "device", "progress")
        if name in setup.config.loaders
    }
    classifier = load_classifier(fold_run.folder / "classifier")
    probs = predict_pictures(classifier, clips["picture"], setup.config.tta, title=f"test, {fold_run}", **options)
    refuse_nan(clips, probs)
    Predictions(clips, probs, setup.task.vocab, is_multi=setup.task.is_multi).save(fold_run.folder / "test.npz")
