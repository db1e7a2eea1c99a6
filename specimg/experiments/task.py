"""What has to be known of a competition to score and to predict: it is saved with a run, so that a run can be read without the data.

task = Task.of(comp)
score = score_predictions(predictions, task.metric)
print(score, score.low, score.high)          # map@3 0.9120 (0.8940 to 0.9290, 1203 clips) 0.894 0.929
save_submission(task, clips, probs, prior, "submission.csv")
"""

from __future__ import annotations

import csv
import inspect
import io
import itertools
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..competitions import Competition, SubmissionFormat, check_submission
from ..core.files import write_atomic
from ..core.reading import read_bytes, read_json
from ..core.text import count, examples
from ..core.warnings import warn
from ..labels.tables import KEY, clip_index
from ..metrics import bootstrap_score, get_metric
from ..training import Predictions

MOST_TABLE, MOST_ROWS = 2**28, 4_000_000  # bytes and rows of a table of clips
MOST_ABOUT = 2**24  # bytes of competition.json, which lists the labels


# ---------------------------------------------------------------------- tables of clips on disk


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as csv; file names that are not valid UTF-8 keep their bytes."""
    write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode("utf-8", "surrogatepass"))


def read_table(path: Path) -> pd.DataFrame:
    """Read what `write_table` wrote: text, except for the numbers in start, end and fold. ValueError, with the path, for anything else."""
    # Python's csv and float, because pandas takes no such names, and may err in the last bit of a number
    text = io.TextIOWrapper(io.BytesIO(read_bytes(path, MOST_TABLE)), "utf-8", "surrogatepass", newline="")
    try:
        header, *rows = itertools.islice(csv.reader(text), MOST_ROWS + 2)
        if len(rows) > MOST_ROWS:
            raise ValueError(f"it has more than {MOST_ROWS} rows")
        if "path" not in header or len(set(header)) < len(header):
            raise ValueError("its columns lack 'path', or one is there twice")
        table = pd.DataFrame(rows, columns=header, dtype=object)
        if table.isna().any(axis=None):
            raise ValueError("a row is too short")
        for name in {"start", "end"} & set(table):
            table[name] = [float(cell or "nan") for cell in table[name]]
        return table.astype({"fold": int}) if "fold" in table else table
    except (csv.Error, ValueError, OverflowError) as exc:
        raise ValueError(f"{str(path)!r} is not a table that a run writes: {exc}") from exc


# ---------------------------------------------------------------------- the task


_KINDS = {"slug": str, "metric": str, "digest": str, "is_multi": bool, "has_test": bool, "vocab": list, "format": dict}


def _check_about(about: Any, file: Path) -> dict:
    """The content of competition.json. ValueError with the first entry that is missing or of another kind."""
    if not isinstance(about, dict) or set(about) != set(_KINDS):
        raise ValueError(f"{str(file)!r} does not hold the entries {', '.join(_KINDS)}")
    for name, kind in _KINDS.items():
        if not isinstance(about[name], kind):
            raise ValueError(f"{str(file)!r}: its entry {name!r} is {about[name]!r:.40}")
    vocab = about["vocab"]
    if not vocab or not all(isinstance(label, str) for label in vocab) or len(set(vocab)) < len(vocab):
        raise ValueError(f"{str(file)!r}: its entry 'vocab' is no list of different labels")
    if not about["slug"].isprintable():
        raise ValueError(f"{str(file)!r}: its entry 'slug' is {about['slug']!r:.40}, and no name")
    if get_metric(about["metric"]).multilabel != about["is_multi"]:
        raise ValueError(f"{str(file)!r}: the metric {about['metric']} is not for labels of this kind")
    return about


@dataclass(frozen=True, eq=False)
class Task:
    """Labels, metric and the rows to predict."""

    slug: str
    metric: str
    format: SubmissionFormat
    vocab: tuple[str, ...]
    is_multi: bool
    digest: str  # of the training table
    has_test: bool  # else the training clips are predicted
    rows: pd.DataFrame  # id, path, and where known start, end, target_label

    @classmethod
    def of(cls, comp: Competition) -> Task:
        """The task of a competition."""
        rows = comp.prediction_rows()
        rows = rows[[name for name in ("id", *KEY, "target_label") if name in rows]].reset_index(drop=True)
        return cls(
            comp.slug,
            comp.metric,
            comp.format,
            tuple(comp.vocab),
            comp.is_multi,
            comp.digest,
            comp.test is not None,
            rows,
        )

    def expected_rows(self) -> pd.Series:
        """The ids of the rows of a submission, in order."""
        return self.rows["id"]

    def save(self, folder: Path) -> None:
        """Write competition.json and answers.csv."""
        names = ("slug", "metric", "is_multi", "digest", "has_test")
        about = {name: getattr(self, name) for name in names} | {
            "vocab": list(self.vocab),
            "format": self.format.to_dict(),
        }
        write_table(folder / "answers.csv", self.rows)
        write_atomic(folder / "competition.json", json.dumps(about, indent=1, ensure_ascii=False).encode())

    @classmethod
    def load(cls, folder: Path) -> Task:
        """Read what `save` wrote."""
        about = _check_about(read_json(folder / "competition.json", max_bytes=MOST_ABOUT), folder / "competition.json")
        facts = {**about, "format": SubmissionFormat.from_dict(about["format"]), "vocab": tuple(about["vocab"])}
        rows = read_table(folder / "answers.csv").rename(columns={"asked": "target_label"})  # "asked": earlier versions
        if "id" not in rows:
            raise ValueError(f"{str(folder / 'answers.csv')!r} lacks the column 'id'")
        return cls(**facts, rows=rows)

    def differs(self, other: Task) -> str:
        """Why the two are not the same competition, in words; empty if they are."""
        if self.slug != other.slug:
            return f"{other.slug} is not {self.slug}"
        if self.vocab != other.vocab:
            odd = sorted({*self.vocab} ^ {*other.vocab})
            return f"the labels differ ({examples(odd)})" if odd else "the labels are in another order"
        return "" if self.metric == other.metric else f"it is scored by {other.metric}, not by {self.metric}"

    def same_test_rows(self, other: Task) -> bool:
        """Whether the same rows are to be predicted."""
        return (
            self.has_test == other.has_test
            and self.rows["id"].tolist() == other.rows["id"].tolist()
            and clip_index(self.rows).equals(clip_index(other.rows))
        )


# ---------------------------------------------------------------------- scores


class Score(float):
    """A metric's value with its 95 % bootstrap interval: a float with attributes.

    Parameters
    ----------
    value : float
        The metric.
    metric : str
        Its name.
    low, high : float, default nan
        Ends of the interval, over groups, recordings or clips.
    n : int, default 0
        Clips that were scored.

    Examples
    --------
    >>> run.score.metric, run.score.n
    ('accuracy', 12)
    >>> from specimg.experiments import Score
    >>> Score(0.912, "map@3", 0.894, 0.929, 1203)
    map@3 0.9120 (0.8940 to 0.9290, 1203 clips)
    """

    metric: str
    low: float
    high: float
    n: int

    def __new__(cls, value: float, metric: str, low: float = np.nan, high: float = np.nan, n: int = 0) -> Score:
        self = super().__new__(cls, value)
        self.metric, self.low, self.high, self.n = metric, float(low), float(high), int(n)
        return self

    def __getnewargs__(self):
        return float(self), self.metric, self.low, self.high, self.n

    def to_dict(self) -> dict:
        """The numbers for JSON, None in place of nan.

        Returns
        -------
        dict
            score, low, high, clips.
        """
        numbers = {"score": float(self), "low": self.low, "high": self.high}
        return {**{name: None if number != number else number for name, number in numbers.items()}, "clips": self.n}

    @classmethod
    def from_dict(cls, about: dict, metric: str) -> Score:
        """Read what `to_dict` gave.

        Parameters
        ----------
        about : dict
            score, low, high, clips.
        metric : str
            Name of the metric.

        Returns
        -------
        Score
        """
        value, low, high = (np.nan if about[name] is None else about[name] for name in ("score", "low", "high"))
        return cls(value, metric, low, high, about["clips"])

    def __repr__(self) -> str:
        if self != self:
            return f"{self.metric} not defined ({count(self.n, 'clip')})"
        interval = f"{self.low:.4f} to {self.high:.4f}, " if self.low == self.low else ""
        return f"{self.metric} {float(self):.4f} ({interval}{count(self.n, 'clip')})"

    __str__ = __repr__


def refuse_nan(clips: pd.DataFrame, probs: np.ndarray) -> None:
    """ValueError if a network gave no number."""
    invalid = np.isnan(probs).any(axis=1)
    if invalid.any():
        raise ValueError(
            f"the network gives nan for {count(int(invalid.sum()), 'clip')} ({examples(clips['path'][invalid])}): "
            "its training diverged; train again in a new folder, with a smaller learning rate"
        )


def scored_mask(predictions: Predictions) -> np.ndarray:
    """(clips,) bool: whose label is known and which count for the score (column `scored`)."""
    scored = predictions.table["scored"].to_numpy(bool) if "scored" in predictions.table else True
    return predictions.labelled & scored


def _truth(hot: np.ndarray, is_multi: bool) -> np.ndarray:
    """Targets as metrics take them."""
    return hot.astype(int) if is_multi else hot.argmax(axis=1)


def metric_value(metric: str, hot: np.ndarray, probs: np.ndarray, is_multi: bool) -> float:
    """The metric of `(clips, classes)` probabilities; nan if it is not defined, as without a positive."""
    try:
        return float(get_metric(metric).function(_truth(hot, is_multi), probs))
    except ValueError:
        return np.nan


def has_threshold(metric: str) -> bool:
    """Whether the metric scores decisions, which a threshold makes of probabilities."""
    return "threshold" in inspect.signature(get_metric(metric).function).parameters


def _interval(metric: str, counted: Predictions) -> tuple[float, float]:
    """95 % interval by bootstrap over groups, else recordings; over clips where all are of one. nan if there are too few."""
    groups = counted.table["group" if "group" in counted.table else "path"].astype(str).to_numpy()
    several = len(set(groups)) > 1
    try:
        return bootstrap_score(
            metric, _truth(counted.hot, counted.is_multi), counted.probs, groups=groups if several else None
        )
    except ValueError:
        return np.nan, np.nan


def score_predictions(predictions: Predictions, metric: str) -> Score:
    """A metric over the scored clips, with an interval; nan if no clip counts, and, with a warning, if it is not defined.

    The interval is by bootstrap over groups, where the clips have them, else over recordings; clips of one group or recording are not
    independent. ValueError if a network gave nan.
    """
    refuse_nan(predictions.table, predictions.probs)
    counts = scored_mask(predictions)
    if not counts.any():
        return Score(np.nan, metric)
    counted = predictions.subset(counts)
    # so that the interval does not depend on the order of rows
    counted = counted.subset(clip_index(counted.table).argsort())
    try:
        value = get_metric(metric).function(_truth(counted.hot, counted.is_multi), counted.probs)
    except ValueError as exc:
        warn(f"{metric} is not defined on {count(len(counted), 'clip')}: {exc}")
        value = np.nan
    low, high = (np.nan, np.nan) if np.isnan(value) else _interval(metric, counted)
    return Score(value, metric, low, high, len(counted))


# ---------------------------------------------------------------------- submissions


def fill_rows(
    rows: pd.DataFrame, clips: pd.DataFrame, probs: np.ndarray, prior: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities `(rows, classes)` of each row to predict, bool `(rows,)`: which have only the prior).

    clips, probs : what was predicted, `(clips, classes)`
    """
    found = clip_index(clips).get_indexer(clip_index(rows))
    filled = np.tile(np.asarray(prior, float), (len(rows), 1))
    filled[found >= 0] = probs[found[found >= 0]]
    return filled, found < 0


def save_submission(
    task: Task,
    clips: pd.DataFrame,
    probs: np.ndarray,
    prior: np.ndarray,
    path: str | os.PathLike,
    threshold: float | None = None,
) -> pd.DataFrame:
    """Write a submission for the rows of `task`, in its format, and check it; returns it.

    Rows without a prediction get `prior` and are counted in a warning. Nothing is written that would not be accepted.
    """
    refuse_nan(clips, probs)
    form = task.format
    if threshold is not None:
        if not hasattr(form, "threshold"):
            raise ValueError(f"threshold={threshold}: submissions are written as {form.kind}, without a threshold")
        form = form.replace(threshold=threshold)
    filled, without = fill_rows(task.rows, clips, probs, prior)
    table = form.to_submission(task.rows, filled, list(task.vocab))
    check_submission(table, task)
    if without.any():
        named = examples(task.rows["path"][without])
        warn(f"{int(without.sum())} of {count(len(without), 'row')} are given the class prior ({named})")
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.7g")  # a network gives no more digits
    write_atomic(path, text.encode())
    return table
