"""A competition: what there is to learn from, what is asked, how answers are scored and written.

    comp = Competition.open("freesound-audio-tagging", "freesound/")     # a known layout; on Kaggle the folder is found
    comp = Competition("my-birds", "birds/", train=table, metric="map@3", format=BestLabels(k=3))     # by hand
    comp = Competition.from_toml("my-birds.toml")                        # the same from a file
    print(comp)                                                          # classes, clips, what is asked

`train` has one row a clip: `path` (below the folder) and `label` (lists where a clip may have several), and where known

    start, end     seconds, where a clip is part of a recording
    group          speaker, site, source: what must never stand on both sides of a split
    fold           folds that the data set itself gives; -1 trains always and is never held out; empty where folds are still to be dealt
    weight         how far its label is to be trusted, 1 fully: becomes a sampling rate or a weight in the loss
    scored         does it count for the score? (labels that nobody verified do not)

`test` has one row for each row of the submission: `id`, `path`, where it asks about part of a recording `start, end`, and where it
asks about one label `asked`. Data sets without a test set are answered clip by clip, each by the networks that never saw it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import numbers
import os
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.classes import class_counts
from ..labels.tables import is_multilabel
from ..metrics import get_metric, list_metrics
from .checks import check_columns, checked_test, checked_train, with_ids
from .formats import BestLabels, SubmissionFormat
from .places import find_place
from .reading import KEY, clip_spans
from .registry import FILE_READERS, LAYOUTS, Layout
from .submission import check_submission

__all__ = ["Competition", "list_competitions"]


def list_competitions() -> list[str]:
    """The slugs that `Competition.open` knows."""
    return sorted(LAYOUTS)


def _read_layout(known: Layout, folder: Path, options: dict) -> Competition:
    parameters = list(inspect.signature(known.read).parameters)
    takes = [name for name in parameters[1:] if name != "slug"]
    for name in options:
        choose(name, takes, f"option of {known.slug}")
    slug = {"slug": known.slug} if "slug" in parameters else {}
    return known.read(folder, **slug, **options)


# ---------------------------------------------------------------------- what people read


def _count_list(counts: pd.Series, n: int = 4) -> str:
    """The commonest and the rarest: "dog 12, cat 9, owl 9 ... wren 2"."""
    named = [f"{name} {number}" for name, number in counts.items()]
    return ", ".join(named) if len(named) <= n else f"{', '.join(named[: n - 1])} ... {named[-1]}"


def _fold_line(fold: pd.Series, given: list[int]) -> str:
    always = int((fold == -1).sum())
    what = f"{', '.join(map(str, given))}, as the data set gives them" if given else "to be dealt"
    return what + (f"; {count(always, 'clip')} only to train on" if always else "")


def _weight_line(weight: pd.Series) -> str:
    counts = weight.value_counts().sort_index(ascending=False)
    if len(counts) > 5:
        return f"{weight.min():g} to {weight.max():g}, {weight.mean():.3g} on average"
    return ", ".join(f"{value:g} for {count(int(n), 'clip')}" for value, n in counts.items())


def _row_line(table: pd.DataFrame) -> str:
    """How many rows, of how many recordings, and one of these."""
    files = table["path"].unique()
    parts = f" of {count(len(files), 'recording')}" if len(files) < len(table) else ""
    return f"{count(len(table), 'row')}{parts}" + (f", such as {files[0]}" if len(files) else "")


def _plain(cell):
    """A cell as JSON says it, the same with every version of pandas."""
    if isinstance(cell, list):
        return sorted(cell)
    if pd.isna(cell):
        return None
    return float(cell) if isinstance(cell, numbers.Real) else str(cell)


# ---------------------------------------------------------------------- the competition


@dataclass(frozen=True, eq=False)
class Competition:
    """What a competition gives and asks; see the module's docstring for the columns of its tables.

    Parameters
    ----------
    train : one row a clip
    metric : the name of a metric; see `specimg.metrics.list_metrics`
    format : how answers are written
    test : one row a row of the submission; None where clips of training are answered, each by networks that never saw it
    vocab : the labels, in the order of the submission's columns; default the sorted labels of training
    sample : the sample submission
    solution : `id, label` of test rows whose answer is known
    options : what `open` was given besides the folder
    source : the TOML file that described it, where one did

    Raises ValueError where tables, labels, metric and format do not go together.
    """

    slug: str
    folder: Path
    train: pd.DataFrame
    metric: str = "accuracy"
    format: SubmissionFormat = BestLabels()
    test: pd.DataFrame | None = None
    vocab: tuple[str, ...] = ()
    sample: Path | None = None
    solution: pd.DataFrame | None = None
    options: dict = field(default_factory=dict)
    source: Path | None = None

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        put("folder", Path(self.folder))
        put("sample", None if self.sample is None else Path(self.sample))
        put("train", checked_train(self.train, self.folder))
        put("test", None if self.test is None else checked_test(self.test, self.folder))
        labels = sorted(class_counts(self.train).index)
        put("vocab", tuple(map(str, self.vocab)) or tuple(labels))
        self._check_metric()
        self._check_labels(labels)
        self._check_answers()

    def _check_metric(self) -> None:
        if get_metric(self.metric).multilabel != self.is_multi:
            kind = "several labels" if self.is_multi else "one label"
            fitting = [name for name in list_metrics() if get_metric(name).multilabel == self.is_multi]
            raise ValueError(
                f"the metric {self.metric!r} does not go with clips of {kind}; choose one of {', '.join(fitting)}"
            )

    def _check_labels(self, labels: list[str]) -> None:
        if not self.vocab:
            raise ValueError("no clip of training has a label, and there is no vocab; there is nothing to learn")
        double = pd.Series(self.vocab)[pd.Series(self.vocab).duplicated()]
        if len(double):
            raise ValueError(f"the vocabulary names a label twice ({examples(double)}); name each once")
        strange = sorted(set(labels) - set(self.vocab))
        if strange:
            what = f"{count(len(strange), 'label')} in training that the vocabulary lacks ({examples(strange)})"
            raise ValueError(f"{what}; add them, or leave their clips out")
        unheard = [label for label in self.vocab if label not in set(labels)]
        if unheard:
            warn(
                f"{count(len(unheard), 'label')} asked for but not in training ({examples(unheard)}): no network could know them"
            )

    def _check_answers(self) -> None:
        """Can the rows be answered in this format, and does the solution speak of them?"""
        rows = with_ids(self.answer_rows(), "training")
        self.format.check(rows, self.vocab)
        if self.solution is not None:
            check_columns(self.solution, "solution", ["id", "label"])
            strange = sorted(set(map(str, self.solution["id"])) - set(rows["id"]))
            if strange:
                raise ValueError(
                    f"{count(len(strange), 'row')} of the solution that nobody asks for ({examples(strange)}); leave them out"
                )

    # -- opening

    @classmethod
    def open(cls, slug: str, folder: str | os.PathLike | None = None, **options) -> Competition:
        """A competition in its own layout.

        Parameters
        ----------
        slug : one of `list_competitions()`, such as "freesound-audio-tagging"
        folder : where it was unpacked, or a folder above it; None looks where Kaggle mounts it, then in the working folder
        options : what the layout can be told, such as `seed`; an unknown one is an error that lists them

        Raises ValueError where the slug is unknown or the folder is not one of this layout.
        """
        known = LAYOUTS[choose(slug, LAYOUTS, "competition")]
        hint = f", or get it with specimg.fetch({known.fetched!r})" if known.fetched else ""
        place = find_place(slug, folder, known.marks, hint, others=LAYOUTS)
        comp = _read_layout(known, place, options)
        object.__setattr__(comp, "options", dict(options))
        return comp

    @classmethod
    def from_toml(cls, path: str | os.PathLike) -> Competition:
        """The competition that a TOML file describes; see `specimg.competitions.layouts.from_toml`."""
        comp = FILE_READERS[".toml"](path)
        object.__setattr__(comp, "source", Path(path).absolute())
        return comp

    # -- what it is

    @property
    def is_multi(self) -> bool:
        """May a clip carry several labels?"""
        return is_multilabel(self.train)

    @property
    def given_folds(self) -> list[int]:
        """The folds that the data set gives, without -1; empty where they are still to be dealt."""
        if "fold" not in self.train:
            return []
        return sorted(int(fold) for fold in self.train["fold"].unique() if fold >= 0)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for the clips of training, their labels, groups, folds and weights, whatever their order."""
        names = [name for name in [*KEY, "label", "group", "fold", "weight", "scored"] if name in self.train]
        rows = sorted(
            json.dumps([_plain(cell) for cell in row]) for row in self.train[names].itertuples(index=False, name=None)
        )
        return hashlib.blake2b(json.dumps([self.vocab, names, rows]).encode(), digest_size=8).hexdigest()

    def expected_rows(self) -> pd.Series:
        """The names of the rows that a submission must have, in their order."""
        return self.answer_rows()["id"]

    def answer_rows(self) -> pd.DataFrame:
        """The rows `id, path[, start, end][, asked]` that are answered: of the test set, else of all clips that are ever held out."""
        if self.test is not None:
            return self.test
        held_out = self.train[self.train["fold"] != -1] if "fold" in self.train else self.train
        ids = (
            held_out["id"].map(str)
            if "id" in held_out
            else [
                path if start is None else f"{path}@{start:.12g}-{end:.12g}"
                for path, start, end in clip_spans(held_out)
            ]
        )
        return held_out[[name for name in KEY if name in held_out]].assign(id=ids).reset_index(drop=True)

    def check(self, submission) -> str:
        """`check_submission` of a file or DataFrame against this competition."""
        return check_submission(submission, self)

    def _what(self) -> str:
        several = ", several a clip" if self.is_multi else ""
        asked = f", {count(len(self.test), 'test row')}" if self.test is not None else ""
        return f"{count(len(self.train), 'clip')}, {count(len(self.vocab), 'label')}{several}{asked}, scored by {self.metric}"

    def __repr__(self) -> str:
        return f"Competition({self.slug!r}: {self._what()})"

    def __str__(self) -> str:
        clips, lines = self.train, {}
        lines["folder"] = str(self.folder)
        lines["clips"] = _row_line(clips)
        lines["labels"] = _count_list(class_counts(clips))
        if "group" in clips:
            lines["groups"] = f"{clips['group'].nunique()}, none on both sides of a split"
        lines["folds"] = _fold_line(clips["fold"], self.given_folds) if "fold" in clips else "to be dealt"
        if "weight" in clips:
            lines["weights"] = _weight_line(clips["weight"])
        if "scored" in clips and not clips["scored"].all():
            lines["scored"] = f"{clips['scored'].sum()} of {count(len(clips), 'clip')}"
        lines["test"] = (
            "none: clips are answered by networks that never saw them" if self.test is None else _row_line(self.test)
        )
        lines["answers"] = repr(self.format)
        return "\n".join([f"{self.slug}: {self._what()}", *(f"  {name:8} {text}" for name, text in lines.items())])

    def _repr_pretty_(self, printer, cycle: bool) -> None:
        """What a notebook shows."""
        printer.text(str(self))
