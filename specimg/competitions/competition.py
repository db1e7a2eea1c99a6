"""A competition: training and test tables, metric and format of the submission.

    comp = Competition.open("freesound-audio-tagging", "freesound/")     # a known layout; on Kaggle the folder is found
    comp = Competition("my-birds", "birds/", train=table, metric="map@3", format=BestLabels(k=3))     # by hand
    comp = Competition.from_toml("my-birds.toml")                        # the same from a file
    print(comp)                                                          # classes, clips, test rows

Data sets without a test set predict their training clips, each by the networks that were not trained on it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import numbers
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.classes import class_counts, sort_labels
from ..labels.tables import KEY, clip_spans, is_multilabel
from ..metrics import get_metric, list_metrics, own_metric
from .checks import check_columns, checked_test, checked_train, with_ids
from .locate import find_folder
from .registry import FILE_READERS, LAYOUTS, Layout
from .submission import check_submission
from .submission_formats import BestLabels, SubmissionFormat


def list_competitions() -> list[str]:
    """The competitions that `Competition.open` knows.

    Returns
    -------
    list of str
        Their slugs, sorted.

    Examples
    --------
    >>> list_competitions()[:2]
    ['ESC-10', 'ESC-50']
    """
    return sorted(LAYOUTS)


def _read_layout(known: Layout, folder: Path, options: dict) -> Competition:
    parameters = list(inspect.signature(known.read).parameters)
    takes = [name for name in parameters[1:] if name != "slug"]
    for name in options:
        choose(name, takes, f"option of {known.slug}")
    slug = {"slug": known.slug} if "slug" in parameters else {}
    return known.read(folder, **slug, **options)


# ---------------------------------------------------------------------- the printed summary


def _count_list(counts: pd.Series, n: int = 4) -> str:
    """The most and the least frequent: "dog 12, cat 9, owl 9 ... wren 2"."""
    named = [f"{name} {number}" for name, number in counts.items()]
    return ", ".join(named) if len(named) <= n else f"{', '.join(named[: n - 1])} ... {named[-1]}"


def _fold_line(fold: pd.Series, given: list[int]) -> str:
    always = int((fold == -1).sum())
    what = f"{', '.join(map(str, given))}, as the data set gives them" if given else "to be assigned"
    return what + (f"; {count(always, 'clip')} always in training" if always else "")


def _weight_line(weight: pd.Series) -> str:
    counts = weight.value_counts().sort_index(ascending=False)
    if len(counts) > 5:
        return f"{weight.min():g} to {weight.max():g}, {weight.mean():.3g} on average"
    return ", ".join(f"{value:g} for {count(int(n), 'clip')}" for value, n in counts.items())


def _row_line(table: pd.DataFrame) -> str:
    """Number of rows and recordings, and one of these."""
    files = table["path"].unique()
    parts = f" of {count(len(files), 'recording')}" if len(files) < len(table) else ""
    return f"{count(len(table), 'row')}{parts}" + (f", such as {files[0]}" if len(files) else "")


def _plain(cell):
    """A cell as JSON writes it, the same with every version of pandas."""
    if isinstance(cell, list):
        return sorted(cell)
    if pd.isna(cell):
        return None
    return float(cell) if isinstance(cell, numbers.Real) else str(cell)


# ---------------------------------------------------------------------- the competition


@dataclass(frozen=True, eq=False)
class Competition:
    """A competition: training and test tables, metric and format of the submission.

    Parameters
    ----------
    slug : str
        Its name.
    folder : str or path-like
        The folder that paths are relative to.
    train : DataFrame
        One row per clip: `path`, `label` (lists if a clip may have several), and if known `start, end` (seconds, of a clip in
        a recording); `group` (speaker, site, source: never split between training and validation); `fold` (given by the data set; -1
        is always in training, empty if folds are still to be assigned); `weight` (how far its label is to be trusted, 1 fully: a
        sampling rate or a weight in the loss); `scored` (False for labels that nobody verified, which do not count for the score).
    metric : str, callable or Metric, default "accuracy"
        One of `specimg.metrics.list_metrics()`; or a function `f(y_true, scores) -> float`, which `own_metric` registers under its name: the
        attribute holds the name.
    format : SubmissionFormat, default BestLabels()
        How submissions are written.
    test : DataFrame, default None
        One row per row of the submission: `id`, `path`, if it is a part of a recording `start, end`, and if it is about one
        label `target_label`. None if clips of training are predicted, each by networks that were not trained on it.
    vocab : sequence of str, default ()
        The labels, in the order of the submission's columns; by default the sorted labels of training.
    sample : str or path-like, default None
        The sample submission.
    solution : DataFrame, default None
        `id, label` of test rows whose label is known.
    options : dict, default {}
        What `open` was given besides the folder.
    source : Path, default None
        The TOML file that described it, if one did.
    described : dict, default None
        The entries that described it, if it is no known one.

    Raises
    ------
    ValueError
        Tables, labels, metric and format do not go together.

    Examples
    --------
    >>> table = pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav"], "label": ["bark", "meow", "bark"]})
    >>> sp.Competition("pets", ".", table, metric="map@3", format=sp.BestLabels(k=3))
    Competition('pets': 3 clips, 2 labels, scored by map@3)
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
    described: dict | None = None

    def __post_init__(self):
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("folder", Path(self.folder))
        put("sample", None if self.sample is None else Path(self.sample))
        put("train", checked_train(self.train, self.folder))
        put("test", None if self.test is None else checked_test(self.test, self.folder))
        labels = sort_labels(class_counts(self.train).index)
        put("vocab", tuple(map(str, self.vocab)) or tuple(labels))
        self._check_metric()
        self._check_labels(labels)
        self._check_rows()

    def _check_metric(self) -> None:
        if not isinstance(self.metric, str):
            object.__setattr__(self, "metric", own_metric(self.metric, self.is_multi))
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
        untrained = [label for label in self.vocab if label not in set(labels)]
        if untrained:
            warn(
                f"{count(len(untrained), 'label')} of the vocabulary without a clip in training ({examples(untrained)}): "
                "no network can learn them"
            )

    def _check_rows(self) -> None:
        """ValueError if rows cannot be written in this format, or the solution has others."""
        rows = with_ids(self.prediction_rows(), "training")
        self.format.check(rows, self.vocab)
        if self.solution is not None:
            check_columns(self.solution, "solution", ["id", "label"])
            strange = sorted(set(map(str, self.solution["id"])) - set(rows["id"]))
            if strange:
                raise ValueError(
                    f"{count(len(strange), 'row')} of the solution that are not test rows ({examples(strange)}); leave them out"
                )

    # -- opening

    @classmethod
    def open(cls, slug: str, folder: str | os.PathLike | None = None, **options: Any) -> Competition:
        """Open a known competition in its own layout.

        Parameters
        ----------
        slug : str
            One of `list_competitions()`, such as "freesound-audio-tagging".
        folder : str or path-like, default None
            Where it was unpacked, or a folder above; None searches where Kaggle mounts it, then the working directory.
        **options : any
            Options of the layout, such as `seed`; an unknown one is an error that lists them.

        Returns
        -------
        Competition

        Raises
        ------
        ValueError
            The slug is unknown, or the folder does not have this layout.
        """
        known = LAYOUTS[choose(slug, LAYOUTS, "competition")]
        hint = f", or get it with specimg.fetch({known.fetched!r})" if known.fetched else ""
        comp = _read_layout(known, find_folder(slug, folder, known.marks, hint, others=LAYOUTS), options)
        object.__setattr__(comp, "options", dict(options))
        return comp

    @classmethod
    def from_dict(cls, about: dict, beside: str | os.PathLike = ".") -> Competition:
        """The competition that the entries of a TOML file describe, as a plan has them in [competition].

        Parameters
        ----------
        about : dict
            The entries; `specimg.competitions.layouts.from_toml` documents them.
        beside : str or path-like, default "."
            What `folder` is relative to.

        Returns
        -------
        Competition

        Raises
        ------
        ValueError
            An entry is invalid, or what it names does not exist.

        Examples
        --------
        >>> train = {"csv": "labels.csv", "audio": "clips", "fn_col": "fname", "group_col": "group"}
        >>> sp.Competition.from_dict({"slug": "pets", "folder": ".", "metric": "log_loss", "train": train})
        Competition('pets': 12 clips, 2 labels, scored by log_loss)
        """
        return FILE_READERS[""](about, beside)

    @classmethod
    def from_toml(cls, path: str | os.PathLike) -> Competition:
        """The competition that a TOML file describes; `specimg.competitions.layouts.from_toml` documents the file.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        Competition

        Raises
        ------
        ValueError
            The file is invalid, or what it names does not exist; the message names the file.
        """
        comp = FILE_READERS[".toml"](path)
        object.__setattr__(comp, "source", Path(path).absolute())
        return comp

    # -- properties

    @property
    def is_multi(self) -> bool:
        """Whether a clip may have several labels."""
        return is_multilabel(self.train)

    @property
    def given_folds(self) -> list[int]:
        """The folds that the data set gives, without -1; empty if they are still to be assigned."""
        if "fold" not in self.train:
            return []
        return sorted(int(fold) for fold in self.train["fold"].unique() if fold >= 0)

    @property
    def digest(self) -> str:
        """A digest, 16 hexadecimal digits, of the training clips, their labels, groups, folds and weights; their order does not matter."""
        names = [name for name in [*KEY, "label", "group", "fold", "weight", "scored"] if name in self.train]
        rows = sorted(
            json.dumps([_plain(cell) for cell in row]) for row in self.train[names].itertuples(index=False, name=None)
        )
        return hashlib.blake2b(json.dumps([self.vocab, names, rows]).encode(), digest_size=8).hexdigest()

    def expected_rows(self) -> pd.Series:
        """The row names that a submission must have.

        Returns
        -------
        Series
            In order.
        """
        return self.prediction_rows()["id"]

    def prediction_rows(self) -> pd.DataFrame:
        """The rows that are predicted: the test set, or without one all training clips that are ever held out.

        Returns
        -------
        DataFrame
            `id, path` and if there are any `start, end`, `target_label`.
        """
        if self.test is not None:
            return self.test
        held_out = self.train[self.train["fold"] != -1] if "fold" in self.train else self.train
        if "id" in held_out:
            ids = held_out["id"].map(str)
        else:
            spans = clip_spans(held_out)
            ids = [path if start is None else f"{path}@{start:.12g}-{end:.12g}" for path, start, end in spans]
        return held_out[[name for name in KEY if name in held_out]].assign(id=ids).reset_index(drop=True)

    def check(self, submission: str | os.PathLike | pd.DataFrame) -> str:
        """Check a submission against this competition; see `check_submission`.

        Parameters
        ----------
        submission : str or path-like or DataFrame
            A csv file, or a table.

        Returns
        -------
        str
            What was accepted.

        Raises
        ------
        ValueError
            It would not be accepted; the message lists every problem.
        """
        return check_submission(submission, self)

    def _what(self) -> str:
        several = ", several per clip" if self.is_multi else ""
        test = f", {count(len(self.test), 'test row')}" if self.test is not None else ""
        return f"{count(len(self.train), 'clip')}, {count(len(self.vocab), 'label')}{several}{test}, scored by {self.metric}"

    def __repr__(self) -> str:
        return f"Competition({self.slug!r}: {self._what()})"

    def __str__(self) -> str:
        clips, lines = self.train, {}
        lines["folder"] = str(self.folder)
        lines["clips"] = _row_line(clips)
        lines["labels"] = _count_list(class_counts(clips))
        if "group" in clips:
            lines["groups"] = f"{clips['group'].nunique()}, never split between training and validation"
        lines["folds"] = _fold_line(clips["fold"], self.given_folds) if "fold" in clips else "to be assigned"
        if "weight" in clips:
            lines["weights"] = _weight_line(clips["weight"])
        if "scored" in clips and not clips["scored"].all():
            lines["scored"] = f"{clips['scored'].sum()} of {count(len(clips), 'clip')}"
        none = "none: training clips are predicted by networks that were not trained on them"
        lines["test"] = none if self.test is None else _row_line(self.test)
        lines["format"] = repr(self.format)
        return "\n".join([f"{self.slug}: {self._what()}", *(f"  {name:8} {text}" for name, text in lines.items())])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """The summary, in notebooks."""
        printer.text(str(self))
