"""A learner, a cross-validation or a classifier becomes a folder.

    save_classifier(learn, "dog-or-not/")                       # with a card, golden clips and validation's score
    save_classifier(learn, "dog-or-not/", calibrate=True)       # and with a temperature fitted on validation's clips
    save_classifier(sp.Run.open("runs/r34"), "dog-or-not/")     # the mean of all folds, calibrated out of fold

fastai's own `learn.export("learner.pkl")` works too, and keeps a whole learner with its transforms. It is a pickle: loading one runs
whatever code it holds, so load only what you made yourself.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision.all import DataLoader, IntToFloatTensor, Learner, Resize, ToTensor
from safetensors.torch import save
from torch import nn

from ..core.addresses import Address
from ..core.failures import explained
from ..core.files import is_temporary, write_atomic
from ..core.text import examples
from ..core.warnings import warn
from ..data.images import FitSize
from ..data.inputs import input_of
from ..data.live import DrawLive
from ..data.tta import TTA
from ..data.waves import FitWave
from ..metrics import bootstrap_score
from ..render.tree import SpecTree
from ..training import Predictions, predict_all
from ..training.identity import shown_pictures as _pictures
from .calibration import Calibration, calibrate as fit_calibration
from .classifier import Classifier
from .clip_lengths import longest_clip
from .ensemble import Ensemble
from .folder import CARD, FORMAT, GOLDEN, SETTINGS, facts_of, is_own_file, to_json, versions_now, weights_names
from .golden import Recording, golden_recordings, write_golden
from .load import load_folder
from .model_card import write_card
from .post_processing import PostProcessing
from .replace import replacing
from .settings import check_settings

CLIPS_COUNTED = 5_000  # labels whose clips the summary counts, at most


@dataclass(frozen=True, eq=False)
class _Trained:
    """What is saved, and what is known of it."""

    clf: Classifier
    training: dict
    predictions: Predictions | None  # of clips that were held out
    source: str  # of these clips
    golden: Sequence[Recording] = ()  # clips that the classifier has already

    @property
    def recordings(self) -> Sequence[Recording]:
        """What may become golden clips."""
        return self.golden if self.predictions is None else _recordings(self.predictions)


# ---------------------------------------------------------------------- a learner


def _own_transforms(dl: DataLoader) -> list[str]:
    """What a loader does to validation's inputs beyond what a `Classifier` does."""
    known = (FitSize, FitWave, ToTensor, IntToFloatTensor, DrawLive)  # the last has nothing to draw there
    if getattr(dl, "input", None) is None:  # of somebody's own DataBlock: one that cuts is refused
        known += (Resize,)
    return [
        type(t).__name__
        for t in [*dl.after_item.fs, *dl.after_batch.fs]
        if t.split_idx != 0 and not isinstance(t, known)
    ]


def _classifier_of(learn: Learner) -> Classifier:
    """The learner as a classifier. ValueError where it does not know how its inputs are made."""
    dls = learn.dls
    if not hasattr(learn, "net_options"):
        raise ValueError(
            "this learner does not know how its pictures were drawn or how its network is made; "
            "train with SpecDataLoaders or WaveDataLoaders and spec_learner"
        )
    given = input_of(dls.valid, learn.net_options["size"])
    own = _own_transforms(dls.valid)
    if own:
        warn(
            f"the classifier does without {', '.join(own)}, which validation has, so it will predict otherwise than the learner"
        )
    vocab = list(map(str, dls.vocab))
    return Classifier(learn.model, given, vocab, bool(dls.is_multi), network=dict(learn.net_options))


def _held_out(learn: Learner) -> Predictions | None:
    """The learner's predictions of validation's clips; None where nothing is held out."""
    if not getattr(learn.dls.valid, "n", 0):
        return None
    act = torch.sigmoid if learn.dls.is_multi else partial(torch.softmax, dim=-1)
    was_training = learn.model.training
    with learn.no_bar(), learn.no_logging():
        found = predict_all(learn, embeddings=False, act=act, layers=False)
    learn.model.train(was_training)
    return found


def _clips_of_label(labels) -> dict[str, int]:
    """How many clips have each label."""
    counts = Counter(
        str(label) for cell in labels for label in (cell if isinstance(cell, (list, tuple, np.ndarray)) else [cell])
    )
    return dict(sorted(counts.items())[:CLIPS_COUNTED])


def _of_learner(learn: Learner, predictions: Predictions | None) -> _Trained:
    clf = _classifier_of(learn)
    predictions = _held_out(learn) if predictions is None else predictions
    recipe, history, clips = getattr(learn, "recipe", None), getattr(learn, "history", None), learn.dls.train.clips
    training = {
        "network": learn.arch,
        "weights_from": learn.weights_from,
        "clips": len(clips),
        "held_out": getattr(learn.dls.valid, "n", 0),
        "clips_of_label": _clips_of_label(clips["label"]) if "label" in clips else {},
        "epochs": None if history is None else len(history),
        "recipe": None if recipe is None else recipe.to_dict(),
        "data": _pictures(learn).get("clips"),
        "longest_clip": longest_clip(learn.dls),
    }
    return _Trained(clf, training, predictions, "validation")


# ---------------------------------------------------------------------- a cross-validation


def _networks(clf: Classifier) -> list[nn.Module]:
    return list(clf.model.networks) if isinstance(clf.model, Ensemble) else [clf.model]


def _together(parts: list[Classifier], tta: TTA) -> Classifier:
    """Classifiers of one kind as one. ValueError where they are not of one kind."""
    first = parts[0]
    for part in parts[1:]:
        for name in ("vocab", "is_multi", "input.reader", "network", "size"):
            this, that = attrgetter(name)(first), attrgetter(name)(part)
            if this != that:
                raise ValueError(
                    f"the networks of this run do not go together: {name} is {this!r} of one and {that!r} of another"
                )
    networks = [network for part in parts for network in _networks(part)]
    model = networks[0] if len(networks) == 1 else Ensemble(networks, first.is_multi)
    given = max((part.input for part in parts), key=lambda i: i.windows)  # a fold has as many as its longest clip needs
    given = given if tta == TTA() else given.with_tta(tta)
    return replace(first, model=model, input=given, calibration=Calibration(), about={})


def _of_run(run, predictions: Predictions | None) -> _Trained:
    """A run: the classifiers of its folds, and the out-of-fold predictions of each."""
    config = getattr(run, "config", None)
    parts = [load_folder(member.folder / "classifier") for member in run.fold_runs]
    clf = _together(parts, getattr(config, "tta", TTA()))
    lengths = [(part.about.get("training") or {}).get("longest_clip") for part in parts]
    recipe, task, score = getattr(config, "recipe", None), getattr(run, "task", None), getattr(run, "score", None)
    labels = [label for label in run.predictions.table["target"] if label is not None]
    training = {
        "network": clf.network["arch"],
        "networks": len(_networks(clf)),
        "folds": len({member.fold for member in run.fold_runs}),
        "clips": len(run.predictions),
        "clips_of_label": _clips_of_label(labels),
        "recipe": None if recipe is None else recipe.to_dict(),
        "competition": getattr(task, "slug", None),
        "data": getattr(task, "digest", None),
        "longest_clip": max((length for length in lengths if length), default=None),
    }
    if score is not None and score == score:
        training["scores"] = [_score_entry(score.metric, float(score), score.low, score.high, score.n, "out of fold")]
    clf = replace(clf, post_processing=getattr(run, "post_processing", PostProcessing()))
    return _Trained(clf, training, run.predictions if predictions is None else predictions, "out of fold")


def _of_anything(trained, predictions: Predictions | None) -> _Trained:
    """What is saved, from a learner, a run or a classifier. ValueError for anything else."""
    if isinstance(trained, Classifier):
        kept = golden_recordings(trained.about.get("folder"))
        return _Trained(trained, dict(trained.about.get("training") or {}), predictions, "held out", kept)
    if hasattr(trained, "fold_runs") and hasattr(trained, "predictions"):
        return _of_run(trained, predictions)
    if hasattr(trained, "dls"):
        return _of_learner(trained, predictions)
    raise ValueError(
        f"a {type(trained).__name__} cannot be kept as a classifier; give a learner of spec_learner, a Run or a Classifier"
    )


# ---------------------------------------------------------------------- what is measured


def _score_entry(metric: str, score: float, low: float, high: float, clips: int, on: str) -> dict:
    known = low == low and high == high
    ends = {"low": float(low) if known else None, "high": float(high) if known else None}
    return {"metric": metric, "score": float(score), **ends, "clips": int(clips), "on": on}


def _measured(predictions: Predictions, on: str) -> list[dict]:
    """Accuracy, or lwlrap of several labels, with a 95 % interval over groups, else clips; [] where nothing can be scored."""
    kept = predictions.subset(predictions.labelled & np.isfinite(predictions.probs).all(axis=1))
    metric = "lwlrap" if kept.is_multi else "accuracy"
    truth = kept.hot.astype(int) if kept.is_multi else kept.hot.argmax(axis=1)
    groups = kept.table["group"].astype(str).to_numpy() if "group" in kept.table else None
    try:
        score = kept.score(metric)
    except ValueError:  # no clip has a label
        return []
    try:
        low, high = bootstrap_score(
            metric, truth, kept.probs, groups=groups if groups is not None and len(set(groups)) > 1 else None
        )
    except ValueError:  # one clip
        low = high = math.nan
    return [_score_entry(metric, score, low, high, len(kept), on)] if math.isfinite(score) else []


def _source_of(picture: str) -> Path | Address | None:
    """The folder of the recordings from which the tree of a picture was drawn; None where it stands in no tree."""
    for parent in Path(picture).parents:
        if (parent / "renderer.json").is_file():
            return SpecTree.open(parent).source
    return None


def _recordings(predictions: Predictions) -> list[Recording]:
    """The recordings of predicted clips."""
    if not len(predictions):
        return []
    table = predictions.table
    if "recording" in table and table["recording"].astype(bool).any():
        paths = [path or None for path in table["recording"]]
    else:
        root = _source_of(table["picture"].iloc[0])
        paths = [None if root is None else os.path.join(root, path) for path in table["path"]]
    labels = ["; ".join(label) if isinstance(label, list) else str(label) for label in table["target"]]
    times = [
        [None if t != t else float(t) for t in table[name]] if name in table else [None] * len(table)
        for name in ("start", "end")
    ]
    return [
        Recording(path, label, start, end) for path, label, start, end in zip(paths, labels, *times) if path is not None
    ]


def _measured_classifier(what: _Trained, calibrate: bool | None) -> _Trained:
    """With its score, and calibrated: where None, on out-of-fold predictions."""
    training, clf = dict(what.training), what.clf
    if what.predictions is not None and "scores" not in training:
        training["scores"] = _measured(what.predictions, what.source)
    if calibrate or (calibrate is None and what.source == "out of fold"):
        if what.predictions is None:
            raise ValueError(
                "calibrate=True needs clips that were held out: give predictions=, or train with a validation set"
            )
        clf = replace(clf, calibration=fit_calibration(what.predictions, what.source))
    return replace(what, clf=clf, training=training)


def classifier_of_run(run: Any) -> Classifier:
    """The mean of a run's networks, calibrated out of fold, as `save_classifier` would keep it."""
    what = _measured_classifier(_of_run(run, None), None)
    return replace(what.clf, about={"training": what.training, "versions": versions_now()})


# ---------------------------------------------------------------------- the folder


def _check_folder(folder: Path) -> None:
    """ValueError if the folder holds something else than a classifier, or than what is left of one, or leads elsewhere."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is a file; give a folder")
    if (folder / GOLDEN).is_symlink():
        raise ValueError(
            f"{str(folder / GOLDEN)!r} is a link, and what it leads to would be overwritten; remove the link, or give a new folder"
        )
    there = {name for name in os.listdir(folder) if not is_temporary(name)} if folder.is_dir() else set()
    begun = any(is_own_file(name) and name != CARD for name in there)
    others = [name for name in there if not (is_own_file(name) and (begun or name != CARD) or name == GOLDEN)]
    if others and SETTINGS not in there:
        raise ValueError(
            f"{str(folder)!r} holds {examples(sorted(others))}, and no classifier; give a new folder, or an empty one"
        )


def _write(what: _Trained, folder: Path, golden: int) -> None:
    """The files; they take the place of an earlier classifier's all at once."""
    clf = what.clf
    networks = _networks(clf)
    weights, files = weights_names(len(networks)), {}
    with explained(folder, "an earlier classifier there is as it was"), replacing(folder) as new:
        for name, network in zip(weights, networks):
            data = save({key: tensor.detach().cpu().contiguous() for key, tensor in network.state_dict().items()})
            write_atomic(new / name, data)
            files[name] = facts_of(data)
        kept = write_golden(clf, new, what.recordings, golden) if golden else {}
        if golden and not kept:
            warn("no golden clips are kept: nothing was held out, or its recordings are not where they were drawn from")
        clips = sum(name.endswith(".wav") and not name.endswith(".heard.wav") for name in kept)
        text = write_card(
            clf, what.training, folder.absolute().name, clips, what.predictions if clf.calibration.clips else None
        )
        card = text.encode("utf-8", "replace")
        write_atomic(new / CARD, card)
        files |= {**kept, CARD: facts_of(card)}
        write_atomic(new / SETTINGS, to_json(settings_of(clf, weights, files, what.training)))


def settings_of(clf: Classifier, weights: list[str], files: dict[str, dict], training: dict) -> dict:
    """classifier.json."""
    chosen = {"post_processing": clf.post_processing.to_dict()} if clf.post_processing.steps else {}
    return {
        "format": FORMAT,
        "versions": versions_now(),
        "vocab": list(clf.vocab),
        "is_multi": clf.is_multi,
        **clf.input.to_dict(),
        "network": {**clf.network, "size": list(clf.network["size"])},
        "weights": weights,
        "calibration": clf.calibration.to_dict(),
        **chosen,
        "training": training,
        "files": files,
    }


def _check_saved(clf: Classifier) -> None:
    """ValueError for what could not be loaded again."""
    weights = weights_names(len(_networks(clf)))
    files = {name: {"bytes": 0, "sha256": "0" * 64} for name in weights}
    check_settings(json.loads(to_json(settings_of(clf, weights, files, {}))))


def save_classifier(
    trained: Any,
    folder: str | os.PathLike,
    *,
    golden: int = 6,
    calibrate: bool | None = None,
    predictions: Predictions | None = None,
) -> Path:
    """Write a trained classifier as a folder without pickled code.

    Parameters
    ----------
    trained : Learner, Run or Classifier
        A learner of `spec_learner` over `SpecDataLoaders` or `WaveDataLoaders`; a finished `Run`, of whose networks the mean is kept; or a
        `Classifier`.
    folder : str or path
        New, or that of an earlier classifier, which is replaced when the new one is whole, its card too; what else lies there is kept.
    golden : int, default 6
        Recordings of held-out clips that are kept, 5 seconds of each at most, for `check_classifier`; 0 if recordings must not travel. A
        classifier that was loaded keeps those of its folder.
    calibrate : bool, default None
        Fit a temperature, and thresholds where clips may have several labels; None: for a run, on its out-of-fold predictions. True does so
        for a learner on its validation set.
    predictions : Predictions, default None
        Of held-out clips, where they are at hand; None: a run's own, and for a learner one pass over its validation set.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        Where the learner is another, its parts could not be loaded again, or the folder holds something else.
    OSError
        The disk is full, or may not be written to; an earlier classifier in the folder stays.

    Warns
    -----
    UserWarning
        Of item and batch transforms that validation has besides specimg's own: a classifier does without them.

    Examples
    --------
    >>> folder = sp.save_classifier(learn, "cat-or-dog", golden=1)
    >>> sorted(file.name for file in folder.iterdir())
    ['README.md', 'classifier.json', 'golden', 'weights.safetensors']
    """
    folder = Path(folder)
    if golden < 0 or golden > 100:
        raise ValueError(f"golden={golden}: give 0 to 100 clips")
    _check_folder(folder)
    what = _measured_classifier(_of_anything(trained, predictions), calibrate)
    _check_saved(what.clf)
    training = what.training
    training["saved"] = time.strftime("%Y-%m-%d")
    clf = replace(what.clf, about={"training": training, "versions": versions_now()})
    _write(replace(what, clf=clf), folder, golden)
    return folder
