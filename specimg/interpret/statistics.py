"""Tables read from `Predictions`: worst clips, confusion, scores of each class and group, calibration.

Each is a function of predictions alone, so that it works on what was saved long ago, on a fold, on a blend. Clips whose
target nobody knows are left out everywhere; clips whose probabilities are NaN, as a diverged network gives them, count as
wrong where there is something to count, and are left out of confusion and calibration.

>>> p = Predictions.load("valid.npz")                                  # doctest: +SKIP
>>> most_confused(p, min_val=2)                                        # doctest: +SKIP
[('meow', 'bark', 7), ('cough', 'bark', 2)]
>>> by_group(p, "group")                                               # doctest: +SKIP
       clips  accuracy    low   high   loss
group
theo     500     0.914  0.886  0.936  0.281
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import precision_recall_fscore_support

from ..core.text import count, examples
from ..core.values import choose
from ..metrics import UndefinedError, calibration_curve, wilson_interval
from ..metrics.reliability import error_of_curve
from ..training import Predictions
from .plots import named

__all__ = [
    "AVERAGES",
    "ORDERS",
    "by_group",
    "calibration",
    "classification_report",
    "cluster_order",
    "clips_of",
    "confusion_matrix",
    "is_known",
    "labelled_rows",
    "most_confused",
    "probabilities_of",
    "top_losses",
    "with_losses",
]

ORDERS = ("vocab", "clusters")  # of the classes of a confusion matrix
AVERAGES = 3  # rows at the end of a classification report
UNKNOWN = "(unknown)"  # the group of clips that have none


# ---------------------------------------------------------------------- which clips


def labelled_rows(p: Predictions) -> np.ndarray:
    """Row numbers of the clips that have a target. ValueError where there are none."""
    rows = np.flatnonzero(p.labelled)
    if not len(rows):
        raise ValueError(f"none of the {len(p)} clips has a target; predict a loader with labels")
    return rows


def is_known(p: Predictions) -> np.ndarray:
    """(n,) bool: where every probability is a number."""
    return np.asarray(~np.isnan(p.probs).any(axis=1))


def _judged_rows(p: Predictions) -> np.ndarray:
    """Row numbers of the clips that have a target and probabilities. ValueError where there are none."""
    rows = labelled_rows(p)
    judged = rows[is_known(p)[rows]]
    if not len(judged):
        raise ValueError(
            f"the probabilities of all {count(len(rows), 'clip')} are NaN: the network diverged; train with a lower rate"
        )
    return judged


def with_losses(p: Predictions) -> Predictions:
    """These predictions, where they know no loss at all with the cross-entropy of each clip in nats, of several labels its mean.

    NaN where there is no target, or no probabilities.
    """
    if p.table["loss"].notna().any():
        return p
    safe = np.clip(p.probs.astype(float), 1e-7, 1 - 1e-7)
    yes = np.where(p.hot, -np.log(safe), 0.0)
    loss = (yes - np.where(p.hot, 0.0, np.log(1 - safe))).mean(axis=1) if p.is_multi else yes.sum(axis=1)
    loss = np.where(p.labelled & is_known(p), loss, np.nan)
    return Predictions(p.table.assign(loss=loss), p.probs, p.vocab, p.embeddings, p.is_multi, p.layers)


def top_losses(p: Predictions, k: int | None = None, largest: bool = True) -> pd.DataFrame:
    """The k rows of the table with the highest loss (or lowest), that one first; NaN counts as infinite."""
    if k is not None and k < 1:
        raise ValueError(f"k={k}: give at least 1 clip")
    rows = p.table.iloc[labelled_rows(p)]
    order = np.argsort(rows["loss"].fillna(np.inf).to_numpy() * (-1 if largest else 1), kind="stable")
    return rows.iloc[order[:k]]


# ---------------------------------------------------------------------- confusion


def cluster_order(counts: np.ndarray) -> np.ndarray:
    """The classes (n, n counts, actual down) so that those often taken for one another stand side by side.

    The rates at which two classes are taken for each other, both ways averaged, make average-linkage clusters, whose leaves
    are put into the order that lets neighbours be most alike (Bar-Joseph, Gifford and Jaakkola 2001).
    """
    if len(counts) < 3:
        return np.arange(len(counts))
    rates = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    distance = 1 - (rates + rates.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True))


def confusion_matrix(p: Predictions, normalize: bool = False, order: str = "vocab") -> pd.DataFrame:
    """Clips by actual class (rows) and predicted class (columns).

    normalize : divide each row by its sum; NaN where a class has no clips
    order : "vocab", or "clusters" of classes that are taken for one another

    Raises ValueError where clips have several labels.
    """
    choose(order, ORDERS, "order of classes")
    if p.is_multi:
        raise ValueError(
            "a confusion matrix needs one label a clip and these clips have lists of labels; "
            "use classification_report() for each label's precision and recall, or top_losses()"
        )
    rows = labelled_rows(p)
    rows = rows[is_known(p)[rows]]
    counts = np.zeros((len(p.vocab), len(p.vocab)), dtype=int)
    np.add.at(counts, (p.hot[rows].argmax(axis=1), p.probs[rows].argmax(axis=1)), 1)
    table = pd.DataFrame(counts, index=p.vocab, columns=p.vocab).rename_axis(index="actual", columns="predicted")
    if order == "clusters":
        places = cluster_order(counts)
        table = table.iloc[places, places]
    return table.div(table.sum(axis=1).replace(0, np.nan), axis=0) if normalize else table


def most_confused(p: Predictions, min_val: int = 1) -> list[tuple[str, str, int]]:
    """(actual, predicted, clips) of the mistakes made at least `min_val` times, the most frequent first."""
    counts = confusion_matrix(p).to_numpy()
    cells = zip(*np.nonzero(counts >= min_val))
    found = [(p.vocab[i], p.vocab[j], int(counts[i, j])) for i, j in cells if i != j]
    return sorted(found, key=lambda mistake: -mistake[2])


def clips_of(p: Predictions, actual: str, predicted: str) -> pd.DataFrame:
    """The clips of one cell of the confusion matrix, those that the network was surest of first."""
    for label in (actual, predicted):
        choose(label, p.vocab, "label")
    here = (p.table["target"] == actual) & (p.table["prediction"] == predicted)
    return p.table[here.to_numpy(bool)].sort_values("confidence", ascending=False, kind="stable")


# ---------------------------------------------------------------------- scores


def classification_report(p: Predictions) -> pd.DataFrame:
    """Precision, recall, F1 and support of each label, then their averages, as scikit-learn computes them.

    A label without clips, or never predicted, has zeros.
    """
    rows = labelled_rows(p)
    actual, chosen = p.hot[rows], p.chosen[rows] & is_known(p)[rows, None]
    score = partial(precision_recall_fscore_support, actual.astype(int), chosen.astype(int), zero_division=0)
    names = ["precision", "recall", "f1-score", "support"]
    labels = pd.DataFrame(dict(zip(names, score(average=None))), index=p.vocab)
    micro = "micro avg" if p.is_multi else "accuracy"  # the same where a clip has one label
    averages = {micro: "micro", "macro avg": "macro", "weighted avg": "weighted"}
    rest = pd.DataFrame(
        {name: [*score(average=kind)[:3], actual.sum()] for name, kind in averages.items()}, index=names
    ).T
    return pd.concat([labels, rest]).astype({"support": int})


def _group_names(p: Predictions, column) -> tuple[str, pd.Series]:
    """What the groups are called together, and the group of each clip."""
    if not isinstance(column, pd.Series):
        name = choose(column, p.table.columns, "group column")
        return name, p.table[name]
    if column.index.has_duplicates:
        twice = column.index[column.index.duplicated()]
        raise ValueError(f"the groups name {examples(twice)} more than once; give a Series with one row a path")
    groups = p.table["path"].map(column)
    if groups.isna().all():
        raise ValueError(
            f"the groups are of {examples(column.index)}, none of which is a path of the predictions "
            f"({examples(p.table['path'])}); give a Series indexed by path"
        )
    return str(column.name or "group"), groups


def _in_order(names: Sequence) -> list[int]:
    """The places of the names by value where they compare, else as text; clips without a group last."""
    places = [i for i, name in enumerate(names) if name != UNKNOWN]
    try:
        places.sort(key=lambda i: names[i])
    except TypeError:
        places.sort(key=lambda i: str(names[i]))
    return places + [i for i, name in enumerate(names) if name == UNKNOWN]


def _score_or_nan(p: Predictions, metric) -> float:
    """NaN where these clips have no value of the metric, or a diverged network gave them no probabilities."""
    try:
        return p.score(metric) if is_known(p).all() else math.nan
    except UndefinedError:
        return math.nan


def by_group(p: Predictions, column: str | pd.Series, metric=None) -> pd.DataFrame:
    """One row a group: clips, accuracy with its 95 % interval (Wilson) from low to high, mean loss, and the metric.

    With several labels a clip, accuracy is the share of clips of which every label is right.

    Parameters
    ----------
    column : of the table: "group" (a speaker, a recorder), "fold", "verified" ...; or a Series of groups indexed by path, as
        `train.set_index("path")["verified"]`, joined by name. Clips without a group are one group, "(unknown)".
    metric : a name or function as `Predictions.score` takes; NaN where it is not defined for a group.

    Raises ValueError for an unknown column, naming the near ones.
    """
    rows = labelled_rows(p)
    name, groups = _group_names(p, column)
    groups = groups.iloc[rows].map(lambda one: named(one) if isinstance(one, (list, tuple)) else one)
    groups = groups.astype(object).where(groups.notna(), UNKNOWN)
    of_row, names = pd.factorize(groups)
    n = np.bincount(of_row)
    right = np.bincount(of_row, weights=p.table["right"].iloc[rows].astype(float))
    low, high = np.transpose([wilson_interval(int(k), int(m)) for k, m in zip(right, n)])
    loss = np.bincount(of_row, weights=p.table["loss"].to_numpy(float)[rows]) / n
    found = pd.DataFrame(
        {"clips": n, "accuracy": right / n, "low": low, "high": high, "loss": loss}, index=pd.Index(names, name=name)
    )
    if metric is not None:
        title = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
        members = np.split(rows[np.argsort(of_row, kind="stable")], np.cumsum(n)[:-1])
        found[title] = [_score_or_nan(p.subset(part), metric) for part in members]
    found = found.iloc[_in_order(names)]
    return found.set_axis(found.index.infer_objects())  # numbers are numbers again


# ---------------------------------------------------------------------- probabilities


def calibration(p: Predictions, n_bins: int = 15) -> pd.DataFrame:
    """How often a probability comes true: `metrics.reliability_curve` of these clips; with several labels a clip, of all labels.

    `attrs["expected_calibration_error"]` is the mean distance, `attrs["left_out"]` the clips whose probabilities are NaN.
    """
    rows = _judged_rows(p)
    curve = calibration_curve(p.probs[rows], p.hot[rows], n_bins, p.is_multi)
    curve.attrs = {"expected_calibration_error": error_of_curve(curve), "left_out": int(p.labelled.sum()) - len(rows)}
    return curve


def probabilities_of(p: Predictions, label: str | None = None) -> dict[str, np.ndarray]:
    """The probabilities of two kinds of clip by name.

    label : its probability, in clips that have it and in clips that do not. Without one, the confidence in predictions that are
        right and in those that are wrong; with several labels a clip, of the labels that clips have and of those they have not.
    """
    rows = _judged_rows(p)
    probs, hot = p.probs[rows], p.hot[rows]
    if label is not None:
        i = p.vocab.index(choose(label, p.vocab, "label"))
        return {"clips that have it": probs[hot[:, i], i], "clips that do not": probs[~hot[:, i], i]}
    if p.is_multi:
        return {"labels that clips have": probs[hot], "labels that they have not": probs[~hot]}
    right = hot[np.arange(len(rows)), probs.argmax(axis=1)]
    return {"right": probs.max(axis=1)[right], "wrong": probs.max(axis=1)[~right]}
