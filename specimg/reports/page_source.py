"""What `report` takes: a learner, an interpretation, predictions, a run or a blend, and the folders that keep them, as one `Subject`.

    subject = read_subject(run)                                # or "runs/r34", "trained/first", "predictions.npz" ...
    subject.predictions, subject.renderer, subject.folder      # the clips; how they were drawn; where the recordings are
    subject.facts["Network"]                                   # {"network": "resnet34", "parameters": "21.3 million" ...}

A learner that was trained elsewhere has no renderer, so that its pictures have no seconds and its clips no sound; an unfinished training has
no predictions. The page is made all the same, and says so.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Learner

from ..audio import Audio
from ..core.text import count, examples
from ..data.images import FitSize
from ..data.inputs import PictureInput
from ..experiments import Blend, Run
from ..experiments.task import score_predictions
from ..inference import load_classifier
from ..inference.folder import versions_now
from ..interpret import SpecInterpretation
from ..interpret.recordings import folder_of_run, tree_of
from ..metrics import wilson_interval
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..training import Predictions, TrainingFolder, find_training
from ..training.trained import TrainedFolder, kind_of
from .subject import Subject, data_digest, in_words, without_kind

# ---------------------------------------------------------------------- what every source has


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _millions(n: int) -> str:
    return f"{n / 1e6:.1f} million" if n >= 1e6 else f"{n:,}"


def _add_clips(subject: Subject) -> None:
    """How many clips were evaluated, and the share that is correct."""
    p = subject.predictions
    known, table = p.labelled, p.table
    subject.add_facts(
        "Data",
        clips=len(table),
        with_a_known_label=int(known.sum()) if not known.all() else None,
        classes=len(p.vocab),
        labels_per_clip="several" if p.is_multi else None,
        groups=table["group"].nunique() if "group" in table else None,
    )
    n, right = int(known.sum()), int(table["right"].fillna(False).astype(bool).sum())
    if n:
        name = "exact match" if p.is_multi else "accuracy"
        subject.add_score(name, right / n, *wilson_interval(right, n), clips=n)
    if len(table) and np.isnan(p.probs).any():
        diverged = int(np.isnan(p.probs).any(axis=1).sum())
        subject.notes.append(
            f"The network returned NaN for {count(diverged, 'clip')}: training diverged. They have no prediction and "
            "count as wrong."
        )


def _add_renderer(subject: Subject, tree: SpecTree | None) -> None:
    renderer = subject.renderer
    if renderer is None:
        subject.notes.append(
            "How the pictures were drawn is not known: they have neither seconds nor hertz, and clips have sound only "
            "where their path leads to a recording."
        )
        return
    subject.add_facts(
        "Picture",
        representation=in_words(renderer.representation),
        picture=without_kind(renderer.picture),
        audio=without_kind(renderer.audio),
        tree=None if tree is None else tree.root,
    )


def _add_fit(subject: Subject, fit: FitSize | None) -> None:
    """How a picture is brought to the network's size, which decides what of it is used."""
    if fit is None:
        return
    subject.add_facts(
        "Picture",
        network_input=f"{fit.size[0]} x {fit.size[1]} pixels, {fit.method}"
        + (f" of {fit.seconds:g} s" if fit.seconds else "")
        + (f", {fit.windows} windows averaged" if fit.windows > 1 else ""),
    )
    subject.seconds = fit.seconds if fit.method == "pad" else None


def _add_waveform(subject: Subject, audio: Audio) -> None:
    subject.renderer = Renderer(audio=audio)
    subject.notes.append("The network's input is the waveform; the spectrograms are for the reader.")


def _completed(subject: Subject, tree: SpecTree | None) -> Subject:
    """With what the tree of pictures knows, and the facts that follow."""
    if tree is not None:
        subject.renderer = subject.renderer or tree.renderer
        subject.folder = subject.folder or tree.source
        subject.pictures = tree.root / "images"
    _add_clips(subject)
    _add_renderer(subject, tree)
    subject.add_facts("Data", recordings=subject.folder)
    return subject


def _add_history(subject: Subject) -> None:
    history = subject.history
    if history is not None and len(history):
        seconds = f"{history['seconds'].sum():.0f} s" if "seconds" in history else None
        subject.add_facts("Training", epochs=len(history), time=seconds)


def _add_last_of_summary(subject: Subject) -> None:
    """MAP@3 or, of several labels per clip, LRAP."""
    if subject.interp is not None and subject.predictions.labelled.any():
        summary = subject.interp.summary()
        name = summary.index[-1]
        subject.add_score(name, summary[name], clips=int(subject.predictions.labelled.sum()))


def _no_clips(vocab: list[str]) -> Predictions:
    return Predictions(pd.DataFrame({"path": []}), np.zeros((0, len(vocab)), np.float32), vocab)


# ---------------------------------------------------------------------- a learner, an interpretation, predictions


def _fit_of(learn: Learner) -> FitSize | None:
    """The transform that brings validation's pictures to one size, if it is ours."""
    steps = getattr(getattr(learn.dls.valid, "after_item", None), "fs", [])
    return next((step for step in steps if isinstance(step, FitSize)), None)


def _add_learner(subject: Subject, learn: Learner) -> SpecTree | None:
    """What a learner knows of its training; returns the tree of its pictures."""
    dls = learn.dls
    tree, audio = getattr(dls, "tree", None), getattr(dls, "audio", None)
    subject.network, subject.renderer = learn, getattr(dls, "renderer", None)
    if subject.renderer is None and isinstance(audio, Audio):
        _add_waveform(subject, audio)
    clips = getattr(dls, "clips", None)
    known = isinstance(clips, pd.DataFrame) and "path" in clips
    subject.add_facts(
        "Data", training_clips=dls.train.n, validation_clips=dls.valid.n, digest=data_digest(clips) if known else None
    )
    subject.add_facts(
        "Network",
        network=getattr(learn, "arch", type(learn.model).__name__),
        parameters=_millions(sum(p.numel() for p in learn.model.parameters())),
        weights=getattr(learn, "weights_from", None),
        loss=type(learn.loss_func).__name__,
    )
    recipe = getattr(learn, "recipe", None)
    if recipe is not None:
        subject.add_facts("Training", recipe=without_kind(recipe))
    subject.add_facts("Versions", of_this_page=_listed(versions_now()))
    _add_fit(subject, _fit_of(learn))
    return tree


def _of_predictions(interp: SpecInterpretation, is_read: bool = False) -> Subject:
    """Predictions, and if available the learner that made them."""
    subject = Subject(interp.predictions, interp, interp.history, is_read=is_read)
    tree = None if interp.learn is None else _add_learner(subject, interp.learn)
    if interp.learn is None:
        subject.notes.append(
            "The page was made of predictions alone, which do not record the network and its training."
        )
    _add_history(subject)
    subject = _completed(subject, tree or tree_of(subject.predictions.table["picture"]))
    _add_last_of_summary(subject)
    return subject


def _of_learner(learn: Learner) -> Subject:
    if getattr(learn.dls.valid, "n", 1):
        with learn.no_bar():
            return _of_predictions(SpecInterpretation.from_learner(learn))
    history = getattr(learn, "history", None)
    vocab = list(map(str, getattr(learn.dls, "vocab", None) or []))
    subject = Subject(_no_clips(vocab), None, history if isinstance(history, pd.DataFrame) else None)
    subject.notes.append(
        "The validation set is empty: there are no clips to show. Hold some out with valid_pct, valid_col or fold."
    )
    return _completed(subject, _add_learner(subject, learn))


# ---------------------------------------------------------------------- runs and blends


def _add_run(subject: Subject, run: Run) -> None:
    """Every choice of a run, and its scores."""
    config, about = run.config, run.about
    done = [one.done for one in run.fold_runs]
    subject.renderer = config.renderer
    subject.add_facts("Data", competition=run.task.slug, metric=run.task.metric, digest=run.task.digest)
    size = f"{in_words(about['size'])} pixels, {config.loaders.get('method', 'squish')}" if "size" in about else None
    subject.add_facts("Picture", network_input=size)
    subject.add_facts(
        "Network",
        network=config.arch,
        weights=done[0].get("weights_from"),
        options=in_words(config.learner) if config.learner else None,
    )
    subject.add_facts(
        "Training",
        folds=len({one.fold for one in run.planned}),
        seeds=config.seeds,
        recipe=without_kind(config.recipe),
        loaders=in_words(config.loaders) if config.loaders else None,
        weights_of_clips=config.trust,
        tta=without_kind(config.tta),
        begun=about.get("begun"),
        time=f"{sum(d['seconds'] for d in done) / 60:.1f} minutes",
        folder=run.folder,
    )
    subject.add_facts("Versions", when_trained=_listed(about.get("versions", {})))
    if len(run.fold_runs) < run.n_planned:
        subject.notes.append(
            f"The run is not finished: {len(run.fold_runs)} of {count(run.n_planned, 'network')} are trained."
        )
    subject.networks = run.scores.to_dict("records")
    if config.loaders.get("method") == "pad" and config.loaders.get("seconds"):
        subject.seconds = float(config.loaders["seconds"])


def _of_run(run: Run, interp: SpecInterpretation) -> Subject:
    """A run, or the network of it that the interpretation is of."""
    p, everything = interp.predictions, run.predictions
    is_whole = np.array_equal(p.probs, everything.probs)
    score = run.score if is_whole else score_predictions(p, run.task.metric)
    subject = Subject(p, interp, interp.history, is_read=True)
    subject.add_score(score.metric, float(score), score.low, score.high, clips=score.n)
    if not is_whole:
        of = f"{len(p):,} of the run's {count(len(everything), 'clip')}"
        subject.notes.append(f"The page shows {of}, as one of its networks predicts them.")
    _add_run(subject, run)
    tree = tree_of(subject.predictions.table["picture"])
    subject.folder = tree.source if tree is not None else folder_of_run(run)
    return _completed(subject, tree)


def _of_blend(blend: Blend, interp: SpecInterpretation) -> Subject:
    parts = [run for run in blend.runs if isinstance(run, Run)]
    subject, score = Subject(interp.predictions, interp, is_read=True), blend.score
    subject.add_score(score.metric, float(score), score.low, score.high, clips=score.n)
    subject.add_facts("Data", competition=blend.task.slug, metric=blend.task.metric, digest=blend.task.digest)
    table = blend.table
    names = [os.path.basename(name) for name in table["run"]]
    subject.add_facts(
        "Network",
        blend=f"{blend.way} mean of {len(names)} runs",
        **{
            name: f"weight {weight:.2f}, {blend.task.metric} {score:.4f}"
            for name, weight, score in zip(names, table["weight"], table[blend.task.metric])
        },
    )
    tree = tree_of(interp.table["picture"])
    subject.folder = tree.source if tree is not None else folder_of_run(parts[0]) if parts else None
    subject.renderer = parts[0].config.renderer if parts else None
    return _completed(subject, tree)


# ---------------------------------------------------------------------- folders


def _unknown_folder(folder: Path) -> ValueError:
    """What a folder would need for a page."""
    if not folder.is_dir():
        return ValueError(f"there is no folder or file {str(folder)!r} to make a page of")
    below = [name for name in sorted(folder.iterdir()) if kind_of(name) != "none"]
    there = examples(sorted(os.listdir(folder))) if any(folder.iterdir()) else "nothing"
    return ValueError(
        f"a page cannot be made of the folder {str(folder)!r}: it is neither a run (there is no run.toml, as "
        "cross_validate(out=) writes it) nor a training folder (there are no recipe.toml and training.json, as fit(out=) writes "
        f"them), nor what `specimg train` wrote (predictions.npz, classifier); it holds {there}"
        + (f"; did you mean {str(below[0])!r}?" if below else "")
    )


def _add_classifier(subject: Subject, folder: Path) -> None:
    """The classifier that predicted the clips: for Grad-CAM, and how pictures are drawn."""
    try:
        subject.network = classifier = load_classifier(folder)
    except (ValueError, OSError) as exc:
        subject.notes.append(f"The classifier beside it cannot be read, so that there are no class maps: {exc}")
        return
    if isinstance(classifier.input, PictureInput):
        subject.renderer = classifier.renderer
        _add_fit(subject, classifier.input.transform)
    else:
        _add_waveform(subject, classifier.input.audio)


def _add_training(subject: Subject, training: TrainingFolder) -> None:
    """What a training folder says of its data, its network and its recipe."""
    facts = training.facts()
    network = facts["network"]
    subject.add_facts("Data", training_clips=network.get("training_items"))
    subject.add_facts(
        "Network",
        network=network.get("arch"),
        parameters=_millions(network.get("parameters", 0)),
        weights=facts.get("weights_from"),
    )
    subject.add_facts(
        "Training", recipe=without_kind(training.recipe()), learning_rate=facts.get("lr"), folder=training.path
    )
    _add_history(subject)
    subject.add_facts("Versions", when_trained=_listed(facts.get("versions", {})))


def _of_training(found: TrainedFolder) -> Subject:
    """A training: its validation clips, where they were predicted, and what its folder says of it."""
    tree, training = None, found.training
    if found.predictions is None:
        classes = training.facts()["network"].get("classes")  # a number where the learner's data name none
        subject = Subject(_no_clips(classes if isinstance(classes, list) else []), None, found.history)
        subject.notes.append(
            "The training folder holds no predictions, so that there are no clips to show: it is not finished, or nothing was held out. "
            "Make the page of the learner, whose weights load_training(learn, folder) restores, or of its saved predictions."
        )
    else:
        interp = SpecInterpretation(Predictions.load(found.predictions), found.history)
        subject = Subject(interp.predictions, interp, interp.history, is_read=True)
        _add_classifier(subject, found.classifier)
        tree = tree_of(subject.predictions.table["picture"])
    if training is not None:
        _add_training(subject, training)
    subject = _completed(subject, tree)
    _add_last_of_summary(subject)
    return subject


def _of_folder(folder: Path) -> Subject:
    found = find_training(folder)
    if found is not None:
        return _of_training(found)
    if kind_of(folder) == "run":
        return read_subject(Run.open(folder))
    raise _unknown_folder(folder)


# ---------------------------------------------------------------------- any of them


def read_subject(source: SpecInterpretation | Learner | Run | Blend | Predictions | str | os.PathLike) -> Subject:
    """What there is to know of a source.

    Parameters
    ----------
    source : SpecInterpretation, Learner, Run, Blend, Predictions or path
        A learner's validation set is predicted. A path is the folder of a run, a training folder, the folder of `specimg train`, or
        saved predictions.

    Returns
    -------
    Subject

    Raises
    ------
    ValueError
        For anything else.
    """
    if isinstance(source, (str, os.PathLike)):
        if not os.path.isfile(source):
            return _of_folder(Path(source))
        return _of_predictions(SpecInterpretation(Predictions.load(source)), is_read=True)
    if isinstance(source, Predictions):
        source = SpecInterpretation(source)
    if isinstance(source, (Run, Blend)):
        source = SpecInterpretation.from_run(source)
    if isinstance(source, Learner):
        return _of_learner(source)
    if not isinstance(source, SpecInterpretation):
        raise ValueError(
            f"a page cannot be made of {type(source).__name__} {source!r:.60}; give a SpecInterpretation, a Learner, a "
            "Run, a blend, Predictions, or the folder of a run or a training"
        )
    if isinstance(source.run, Run):
        return _of_run(source.run, source)
    if isinstance(source.run, Blend):
        return _of_blend(source.run, source)
    return _of_predictions(source)
