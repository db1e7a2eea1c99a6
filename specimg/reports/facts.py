"""What was trained on what: a learner, an interpretation, a run or a blend as one `Subject` that a page can show.

    subject = read_subject(run)
    subject.predictions, subject.renderer, subject.folder      # the clips; how they were drawn; where the recordings lie
    subject.facts["Network"]                                   # {"network": "resnet34", "parameters": "21.3 million" ...}

What is not known is left out, and `notes` says what follows from that: a learner that was trained elsewhere has no renderer, so
its pictures have no seconds and its clips no sound; the page is made all the same.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Learner

from .. import __version__
from ..audio import Audio
from ..core.text import count
from ..core.values import Value
from ..data.images import FitSize
from ..experiments import Blend, Run
from ..experiments.task import score_predictions
from ..interpret import SpecInterpretation
from ..labels.tables import clip_spans
from ..metrics import wilson_interval
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..training import Predictions

__all__ = ["Subject", "read_subject", "in_words", "data_digest", "value_row"]

PACKAGES = ("torch", "fastai", "timm", "librosa", "soundfile", "numpy", "pandas", "pillow", "scikit-learn")


@dataclass(eq=False)
class Subject:
    """What a page is about."""

    predictions: Predictions
    interp: SpecInterpretation | None = None  # None where there are no clips
    history: pd.DataFrame | None = None  # one row an epoch, of several networks with the columns seed and fold
    renderer: Renderer | None = None
    folder: Path | None = None  # of the recordings
    seconds: float | None = None  # of a clip that the network was shown, where longer ones are cut
    scores: list[dict] = field(default_factory=list)
    members: list[dict] = field(default_factory=list)  # of a run: what each network scored
    facts: dict[str, dict] = field(default_factory=dict)  # section -> name -> what stands there
    notes: list[str] = field(default_factory=list)
    learn: Learner | None = None

    def tell(self, section: str, **facts) -> None:
        """Add what is known to a section; None and "" are not."""
        known = {name.replace("_", " "): str(fact) for name, fact in facts.items() if fact is not None and fact != ""}
        self.facts.setdefault(section, {}).update(known)


# ---------------------------------------------------------------------- in words


def in_words(part) -> str:
    """A value, a dictionary or a list as people read it: "mel: n_mels 64, hop_length 128"."""
    if isinstance(part, Value):
        fields = {name: value for name, value in part.to_dict().items() if name != "kind"}
        return f"{part.kind}: {in_words(fields)}" if fields else part.kind
    if isinstance(part, dict):
        kind = [str(part["kind"])] if "kind" in part else []
        rest = [
            f"{name} {in_words(value)}"
            for name, value in part.items()
            if name != "kind" and value not in (None, (), [], {}, False)
        ]
        return ", ".join(kind + rest) or "as by default"
    if isinstance(part, (list, tuple)):
        is_size = len(part) == 2 and all(isinstance(p, int) for p in part)
        return (" x " if is_size else "; ").join(map(in_words, part))
    return f"{part:.6g}" if isinstance(part, float) else str(part)


def _fields(value: Value) -> str:
    """A value without its kind, where what stands before it says that already."""
    return in_words({name: part for name, part in value.to_dict().items() if name != "kind"})


def _millions(n: int) -> str:
    return f"{n / 1e6:.1f} million" if n >= 1e6 else f"{n:,}"


def data_digest(clips: pd.DataFrame) -> str:
    """16 hexadecimal digits that stand for the clips, their labels and sides, whatever their order."""
    names = [name for name in ("label", "is_valid") if name in clips]
    cells = [
        [str(sorted(cell) if isinstance(cell, (list, tuple)) else cell) for cell in row]
        for row in clips[names].to_numpy(object)
    ]
    rows = sorted(json.dumps([key, row]) for key, row in zip(clip_spans(clips), cells))
    return hashlib.blake2b(json.dumps(rows).encode(), digest_size=8).hexdigest()


def value_row(name: str, value: float, low: float = np.nan, high: float = np.nan, clips: int = 0) -> dict:
    """One score with its interval."""
    return {"name": name, "value": float(value), "low": float(low), "high": float(high), "clips": int(clips)}


# ---------------------------------------------------------------------- what every source has


def _versions() -> str:
    from importlib.metadata import version

    here = {"specimg": __version__, "python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    return ", ".join(f"{name} {number}" for name, number in here.items())


def _tree_of(pictures: pd.Series) -> SpecTree | None:
    """The tree that the first of these pictures that is there lies in."""
    first = next((Path(name) for name in pictures if name and os.path.exists(name)), None)
    above = [] if first is None else [folder.parent for folder in first.absolute().parents if folder.name == "images"]
    for folder in above:
        if (folder / "renderer.json").is_file():
            try:
                return SpecTree.open(folder)
            except ValueError:  # of another version: its pictures still show what they can
                return None
    return None


def _tell_clips(subject: Subject) -> None:
    """How many clips are judged, and the share that is right."""
    p = subject.predictions
    known, table = p.labelled, p.table
    subject.tell(
        "Data",
        clips_judged=len(table),
        with_a_known_label=int(known.sum()) if not known.all() else None,
        classes=len(p.vocab),
        labels_a_clip="several" if p.is_multi else None,
    )
    if "group" in table:
        subject.tell("Data", groups=table["group"].nunique())
    n, right = int(known.sum()), int(table["right"].fillna(False).astype(bool).sum())
    if n:
        name = "exact match" if p.is_multi else "accuracy"
        subject.scores.append(value_row(name, right / n, *wilson_interval(right, n), n))
    if len(table) and np.isnan(p.probs).any():
        bad = int(np.isnan(p.probs).any(axis=1).sum())
        subject.notes.append(
            f"The network gave no number for {count(bad, 'clip')}: training diverged. They have no prediction and "
            "count as wrong."
        )


def _tell_renderer(subject: Subject, tree: SpecTree | None) -> None:
    look = subject.renderer
    if look is None:
        subject.notes.append(
            "How the pictures were drawn is not known: they have neither seconds nor hertz, and clips are heard only "
            "where their path leads to a recording."
        )
        return
    subject.tell(
        "Picture",
        representation=in_words(look.representation),
        picture=_fields(look.picture),
        audio=_fields(look.audio),
    )
    if tree is not None:
        subject.tell("Picture", tree=tree.root)


def _tell_fit(subject: Subject, fit: FitSize | None) -> None:
    """How a picture is brought to the network's size, which decides what of it is seen."""
    if fit is None:
        return
    subject.tell(
        "Picture",
        the_network_sees=f"{fit.size[0]} x {fit.size[1]} pixels, {fit.method}"
        + (f" of {fit.seconds:g} s" if fit.seconds else "")
        + (f", {fit.windows} windows averaged" if fit.windows > 1 else ""),
    )
    subject.seconds = fit.seconds if fit.method == "pad" else None


def _settle(subject: Subject, tree: SpecTree | None) -> Subject:
    """Fill in what the tree of pictures knows, and say what is known."""
    if tree is not None:
        subject.renderer = subject.renderer or tree.renderer
        subject.folder = subject.folder or tree.source
    _tell_clips(subject)
    _tell_renderer(subject, tree)
    if subject.folder is not None:
        subject.tell("Data", recordings=subject.folder)
    return subject


# ---------------------------------------------------------------------- a learner and its interpretation


def _fit_of(learn) -> FitSize | None:
    """The transform that brings validation's pictures to one size, where it is ours."""
    steps = getattr(getattr(learn.dls.valid, "after_item", None), "fs", [])
    return next((step for step in steps if isinstance(step, FitSize)), None)


def _tell_learner(subject: Subject, learn) -> SpecTree | None:
    """What a learner knows of its training; returns the tree of its pictures."""
    dls = learn.dls
    tree, audio = getattr(dls, "tree", None), getattr(dls, "audio", None)
    subject.learn, subject.renderer = learn, getattr(dls, "renderer", None)
    if subject.renderer is None and isinstance(audio, Audio):
        subject.renderer = Renderer(audio=audio)
        subject.notes.append("The network was given the waveform; the spectrograms are drawn for the eye.")
    clips = getattr(dls, "clips", None)
    known = isinstance(clips, pd.DataFrame) and "path" in clips
    subject.tell(
        "Data", clips_trained_on=dls.train.n, clips_held_out=dls.valid.n, digest=data_digest(clips) if known else None
    )
    n = sum(p.numel() for p in learn.model.parameters())
    subject.tell(
        "Network",
        network=getattr(learn, "arch", type(learn.model).__name__),
        parameters=_millions(n),
        weights=getattr(learn, "weights_from", None),
        loss=type(learn.loss_func).__name__,
    )
    recipe = getattr(learn, "recipe", None)
    if recipe is not None:
        subject.tell("Training", recipe=_fields(recipe))
    subject.tell("Versions", now=_versions())
    _tell_fit(subject, _fit_of(learn))
    return tree


def _of_predictions(interp: SpecInterpretation) -> Subject:
    """Predictions, and where it is at hand the learner that they are of."""
    subject = Subject(interp.predictions, interp, interp.history)
    tree = None if interp.learn is None else _tell_learner(subject, interp.learn)
    if interp.learn is None:
        subject.notes.append(
            "The page was made of predictions alone: which network they are of, and how it was trained, they do not say."
        )
    if interp.history is not None and len(interp.history):
        seconds = interp.history["seconds"].sum() if "seconds" in interp.history else None
        subject.tell("Training", epochs=len(interp.history), time=None if seconds is None else f"{seconds:.0f} s")
    _settle(subject, tree or _tree_of(subject.predictions.table["picture"]))
    if subject.predictions.labelled.any():
        last = interp.summary()
        name = last.index[-1]
        subject.scores.append(value_row(name, last[name], clips=int(subject.predictions.labelled.sum())))
    return subject


def _without_clips(learn) -> Subject:
    """A learner of which nothing is held out: there is nothing to judge, and the page says so."""
    vocab = list(map(str, getattr(learn.dls, "vocab", None) or []))
    nothing = Predictions(pd.DataFrame({"path": []}), np.zeros((0, len(vocab)), np.float32), vocab)
    history = getattr(learn, "history", None)
    subject = Subject(nothing, None, history if isinstance(history, pd.DataFrame) else None)
    subject.notes.append(
        "The validation set is empty: there are no clips to look at. Hold some out with valid_pct, valid_col or fold."
    )
    return _settle(subject, _tell_learner(subject, learn))


def _of_learner(learn) -> Subject:
    if not getattr(learn.dls.valid, "n", 1):
        return _without_clips(learn)
    with learn.no_bar():
        return _of_predictions(SpecInterpretation.from_learner(learn))


# ---------------------------------------------------------------------- runs and blends


def _score_row(score) -> dict:
    return value_row(score.metric, float(score), score.low, score.high, score.n)


def _tell_run(subject: Subject, run: Run) -> None:
    """Every choice of a run, and what came of it."""
    config, about = run.config, json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    done = [member.done for member in run.fold_runs]
    subject.renderer = config.renderer
    subject.tell("Data", competition=run.task.slug, metric=run.task.metric, digest=run.task.digest)
    size = f"{in_words(about['size'])} pixels, {config.loaders.get('method', 'squish')}" if "size" in about else None
    subject.tell("Picture", the_network_sees=size)
    subject.tell(
        "Network",
        network=config.arch,
        weights=done[0].get("weights_from"),
        options=in_words(config.learner) if config.learner else None,
    )
    subject.tell(
        "Training",
        folds=len({member.fold for member in run.planned}),
        seeds=config.seeds,
        recipe=_fields(config.recipe),
        loaders=in_words(config.loaders) if config.loaders else None,
        weights_of_clips=config.trust,
        tta=_fields(config.tta),
        begun=about.get("begun"),
        time=f"{sum(d['seconds'] for d in done) / 60:.1f} minutes",
        folder=run.folder,
    )
    subject.tell(
        "Versions", when_trained=", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())
    )
    if len(run.fold_runs) < run.n_planned:
        subject.notes.append(
            f"The run is not finished: {len(run.fold_runs)} of {count(run.n_planned, 'network')} are trained."
        )
    subject.members = run.scores.to_dict("records")
    if config.loaders.get("method") == "pad" and config.loaders.get("seconds"):
        subject.seconds = float(config.loaders["seconds"])


def _folder_of_run(run: Run) -> Path | None:
    """Where the competition's recordings lay when the run was trained."""
    known = run.config.competition.get("folder")
    return Path(known) if known else None


def _of_run(run: Run, interp: SpecInterpretation) -> Subject:
    """A run, or one network of it, whose clips the interpretation holds."""
    p, everything = interp.predictions, run.predictions
    is_whole = np.array_equal(p.probs, everything.probs)
    score = run.score if is_whole else score_predictions(p, run.task.metric)
    subject = Subject(p, interp, interp.history, scores=[_score_row(score)])
    if not is_whole:
        of = f"{len(p):,} of the run's {count(len(everything), 'clip')}"
        subject.notes.append(f"The page shows {of}, as one of its networks judged them.")
    _tell_run(subject, run)
    tree = _tree_of(subject.predictions.table["picture"])
    subject.folder = tree.source if tree is not None else _folder_of_run(run)
    return _settle(subject, tree)


def _of_blend(blend: Blend, interp: SpecInterpretation) -> Subject:
    parts = [run for run in blend.runs if isinstance(run, Run)]
    subject = Subject(interp.predictions, interp, scores=[_score_row(blend.score)])
    subject.tell("Data", competition=blend.task.slug, metric=blend.task.metric, digest=blend.task.digest)
    table = blend.table
    names = [os.path.basename(name) for name in table["run"]]
    subject.tell(
        "Network",
        blend=f"{blend.way} mean of {len(names)} runs",
        **{
            name: f"weight {weight:.2f}, {blend.task.metric} {score:.4f}"
            for name, weight, score in zip(names, table["weight"], table[blend.task.metric])
        },
    )
    tree = _tree_of(interp.table["picture"])
    subject.folder = tree.source if tree is not None else _folder_of_run(parts[0]) if parts else None
    subject.renderer = parts[0].config.renderer if parts else None
    return _settle(subject, tree)


def _opened(source) -> SpecInterpretation | Learner:
    """What a page is made of: an interpretation, or a learner that is still to be asked."""
    if isinstance(source, (str, os.PathLike)):
        source = Predictions.load(source) if os.path.isfile(source) else Run.open(source)
    if isinstance(source, Predictions):
        return SpecInterpretation(source)
    if isinstance(source, (Run, Blend)):
        return SpecInterpretation.from_run(source)
    if isinstance(source, (SpecInterpretation, Learner)):
        return source
    raise ValueError(
        f"a page cannot be made of {type(source).__name__} {source!r:.60}; "
        "give a SpecInterpretation, a Learner, a Run or a blend"
    )


def read_subject(source) -> Subject:
    """What there is to know of a SpecInterpretation, a Learner, a Run, a blend, or of Predictions alone.

    source : one of these, or the path of a run's folder or of saved predictions

    Raises ValueError for anything else.
    """
    source = _opened(source)
    if isinstance(source, Learner):
        return _of_learner(source)
    if isinstance(source.run, Run):
        return _of_run(source.run, source)
    if isinstance(source.run, Blend):
        return _of_blend(source.run, source)
    return _of_predictions(source)
