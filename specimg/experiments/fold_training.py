"""One fold with one seed: train a network, predict the clips that were held out, and later the test set."""

from __future__ import annotations

import contextlib
import gc
import json
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Learner

from ..core.files import remove, write_atomic
from ..data import SpecDataLoaders
from ..data.images import FitSize
from ..data.tta import TTAFit, with_tta
from ..data.twins import TWINS
from ..inference import load_classifier, save_classifier
from ..labels.tables import KEY, clip_index
from ..render.tree import SpecTree
from ..training import Predictions, Track, fit, predict_all
from ..training.learner import spec_learner
from ..training.losses import ClipWeights
from .config import RunConfig
from .drawing import clips_per_batch, predict_pictures
from .fold_run import FoldRun
from .held_out import fold_numbers, split_fold
from .task import Task, refuse_nan, score_predictions

# columns of predictions, which facts must not replace
_PREDICTION_COLUMNS = {"picture", "target", "prediction", "loss", "confidence", "right"}


@dataclass(frozen=True, eq=False)
class FoldSetup:
    """What all networks of a run share."""

    task: Task
    config: RunConfig
    tree: SpecTree
    table: pd.DataFrame  # the clips of training that have a picture
    size: tuple[int, int]  # pixels: height, width
    seconds: float | None  # that pictures are cropped or padded to
    track: Track | None = None  # who follows, with the group of the run

    @classmethod
    def open(
        cls, task: Task, config: RunConfig, tree: SpecTree, table: pd.DataFrame, track: Track | None = None
    ) -> FoldSetup:
        """With a size of pictures that is settled once, so that it is the same in all folds."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each fold's own loaders will warn
            whole = table.assign(is_valid=table["fold"] == fold_numbers(table)[0]).drop(
                columns="weight", errors="ignore"
            )
            dls = _make_loaders(whole, tree, task, path=tree.root, **{**config.loading, "variants": ()})
        transform = next(step for step in dls.valid.after_item.fs if isinstance(step, FitSize))
        return cls(task, config, tree, table, tuple(dls.size), transform.seconds, track)

    def loaders(self, table: pd.DataFrame, fold_run: FoldRun) -> SpecDataLoaders:
        """Loaders of the split of a fold."""
        options = {**self.config.loading, "size": self.size, "seconds": self.seconds}
        return _make_loaders(
            _fold_table(table, fold_run.fold, self.config.trust), self.tree, self.task, path=fold_run.folder, **options
        )


def _make_loaders(table: pd.DataFrame, tree: SpecTree, task: Task, **options) -> SpecDataLoaders:
    known = table[[name for name in (*KEY, "label", "weight", "is_valid") if name in table]]
    with warnings.catch_warnings():
        # the assignment of folds warned, once for all
        warnings.filterwarnings("ignore", r"\d+ labels? seen once in training")
        # drawing warned
        warnings.filterwarnings("ignore", r"\d+ of \d+ clips of training have no picture of the variant")
        warnings.filterwarnings("ignore", TWINS)  # said once, of all folds
        return SpecDataLoaders.from_tree(tree, known, vocab=list(task.vocab), **options)


def _fold_table(table: pd.DataFrame, fold: int, trust: str) -> pd.DataFrame:
    """The rows of the split, with `is_valid`, and with `weight` only where it decides how often a clip is drawn."""
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


# ---------------------------------------------------------------------- held-out clips


def _with_facts(predictions: Predictions, table: pd.DataFrame) -> Predictions:
    """The predictions with what the table has on each clip: group, fold, weight, scored and further columns."""
    rows = table.iloc[clip_index(table).get_indexer(clip_index(predictions.table))]
    facts = {name: rows[name].to_numpy() for name in rows if name not in {*KEY, "label", *_PREDICTION_COLUMNS}}
    p = predictions
    return Predictions(p.table.assign(**facts), p.probs, p.vocab, p.embeddings, p.is_multi, p.layers)


def _predict_held_out(learn: Learner, table: pd.DataFrame, config: RunConfig) -> Predictions:
    """Predictions of the clips that were held out."""
    dl = with_tta(learn.dls.valid, config.tta)
    transform = next(step for step in dl.after_item.fs if isinstance(step, TTAFit))
    with learn.no_bar(), learn.no_logging():
        return _with_facts(predict_all(learn, dl=dl.new(bs=clips_per_batch(dl.bs, transform))), table)


def train_fold(fold_run: FoldRun, table: pd.DataFrame, setup: FoldSetup, log: Callable[[str], None] = print) -> None:
    """Train a network, or continue where that was stopped, save it as a classifier, and predict the clips that were held out.

    table : the training clips, with pseudo-labelled ones

    Raises ValueError if training diverges.
    """
    began = time.perf_counter()
    learn = _make_learner(fold_run, table, setup, log)
    recipe = setup.config.recipe.replace(seed=fold_run.seed)
    track = None if setup.track is None else setup.track.replace(name=str(fold_run))
    history = fit(learn, recipe, fold_run.folder / "fit", predictions=False, track=track)
    oof = _predict_held_out(learn, table, setup.config)
    # the clips of a fold need not be in its folder
    save_classifier(learn, fold_run.folder / "classifier", golden=0, predictions=oof)
    score = score_predictions(oof, setup.task.metric)
    oof.save(fold_run.folder / "oof.npz")
    done = {
        **score.to_dict(),
        "epochs": len(history),
        "train_seconds": round(float(history["seconds"].sum()), 1),
        "seconds": round(time.perf_counter() - began, 1),
        "weights_from": learn.weights_from,
    }
    remove(fold_run.folder, "test.npz")  # of other weights, if it is there
    write_atomic(fold_run.folder / "done.json", json.dumps(done, indent=1).encode())
    log(f"{fold_run}: {score}, {done['seconds']:.0f} s")


def drop_checkpoints(fold_run: FoldRun) -> None:
    """Remove the checkpoints of a finished network, whose weights the classifier holds."""
    with contextlib.suppress(OSError):  # as on a disk that is read-only
        remove(fold_run.folder, "fit/checkpoints")


def free_gpu() -> None:
    """Free the last network's memory for the next one: a learner is full of reference cycles."""
    if torch.cuda.is_available():
        gc.collect()


# ---------------------------------------------------------------------- the test set


def predict_test(fold_run: FoldRun, clips: pd.DataFrame, setup: FoldSetup) -> None:
    """Predict the test clips with the trained network, and save the predictions. ValueError if they are nan."""
    options = {
        name: setup.config.loaders[name]
        for name in ("num_workers", "device", "progress")
        if name in setup.config.loaders
    }
    classifier = load_classifier(fold_run.folder / "classifier")
    probs = predict_pictures(classifier, clips["picture"], setup.config.tta, title=f"test, {fold_run}", **options)
    refuse_nan(clips, probs)
    Predictions(clips, probs, setup.task.vocab, is_multi=setup.task.is_multi).save(fold_run.folder / "test.npz")
