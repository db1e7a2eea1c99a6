"""Tables computed from `Predictions`: top losses, confusion, scores of each class and group, calibration.

Each is a function of predictions alone, and so works on saved ones, on a fold, on a blend; `SpecInterpretation` has them as methods,
which describe parameters and columns. Clips without a target are left out everywhere. Clips whose probabilities are NaN, as those of a
diverged network, count as wrong in scores, and are left out of confusion and calibration.

>>> from specimg.interpret.statistics import is_known
>>> is_known(interp.predictions).all()
np.True_
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
from .plots.style import named

ORDERS = ("vocab", "clusters")  # of the classes of a confusion matrix
AVERAGES = 3  # rows at the end of a classification report
UNKNOWN = "(unknown)"  # the group of clips without one


# ---------------------------------------------------------------------- which clips


def labelled_rows(p: Predictions) -> np.ndarray:
    """Row numbers of the clips with a target. ValueError if there are none."""
    rows = np.flatnonzero(p.labelled)
    if not len(rows):
        raise ValueError(f"none of the {len(p)} clips has a target; predict a loader with labels")
    return rows


def is_known(p: Predictions) -> np.ndarray:
    """(n,) bool: whether all probabilities of a clip are numbers."""
    return np.asarray(~np.isnan(p.probs).any(axis=1))


def _scored_rows(p: Predictions) -> np.ndarray:
    """Row numbers of the clips with a target and probabilities. ValueError if there are none."""
    rows = labelled_rows(p)
    scored = rows[is_known(p)[rows]]
    if not len(scored):
        raise ValueError(
            f"the probabilities of all {count(len(rows), 'clip')} are NaN: the network diverged; train with a lower learning rate"
        )
    return scored


def with_losses(p: Predictions) -> Predictions:
    """Predictions with a loss: where they have none, the cross-entropy of each clip in nats, of several labels the binary one's mean.

    It is NaN without a target or probabilities.
    """
    if p.table["loss"].notna().any():
        return p
    safe = np.clip(p.probs.astype(float), 1e-7, 1 - 1e-7)
    yes = np.where(p.hot, -np.log(safe), 0.0)
    loss = (yes - np.where(p.hot, 0.0, np.log(1 - safe))).mean(axis=1) if p.is_multi else yes.sum(axis=1)
    loss = np.where(p.labelled & is_known(p), loss, np.nan)
    return Predictions(p.table.assign(loss=loss), p.probs, p.vocab, p.embeddings, p.is_multi, p.layers)


def top_losses(p: Predictions, k: int | None = None, largest: bool = True) -> pd.DataFrame:
    """The `k` rows of the table with the highest loss, or the lowest; NaN counts as infinite."""
    if k is not None and k < 1:
        raise ValueError(f"k={k}: give at least 1 clip")
    rows = p.table.iloc[labelled_rows(p)]
    order = np.argsort(rows["loss"].fillna(np.inf).to_numpy() * (-1 if largest else 1), kind="stable")
    return rows.iloc[order[:k]]


# ---------------------------------------------------------------------- confusion


def cluster_order(counts: np.ndarray) -> np.ndarray:
    """An order (n,) of the classes of a confusion matrix (n, n counts) in which those often confused are neighbours.

    Average-linkage clustering by the rate at which two classes are confused, the mean of both directions, with optimal leaf ordering.

    References
    ----------
    Bar-Joseph, Gifford and Jaakkola, "Fast optimal leaf ordering for hierarchical clustering", Bioinformatics 17, 2001.
    """
    if len(counts) < 3:
        return np.arange(len(counts))
    rates = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    distance = 1 - (rates + rates.T) / 2
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True))


def confusion_matrix(p: Predictions, normalize: bool = False, order: str = "vocab") -> pd.DataFrame:
    """Clips by actual class (rows) and predicted class (columns); see `SpecInterpretation.confusion_matrix`."""
    choose(order, ORDERS, "order of classes")
    if p.is_multi:
        raise ValueError(
            "a confusion matrix needs one label per clip and these clips have lists of labels; "
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
    """(actual, predicted, clips) of the confusions that occur at least `min_val` times, the most frequent first."""
    counts = confusion_matrix(p).to_numpy()
    cells = zip(*np.nonzero(counts >= min_val))
    found = [(p.vocab[i], p.vocab[j], int(counts[i, j])) for i, j in cells if i != j]
    return sorted(found, key=lambda mistake: -mistake[2])


def clips_of(p: Predictions, actual: str, predicted: str) -> pd.DataFrame:
    """The clips of one cell of the confusion matrix, by descending confidence."""
    for label in (actual, predicted):
        choose(label, p.vocab, "label")
    here = (p.table["target"] == actual) & (p.table["prediction"] == predicted)
    return p.table[here.to_numpy(bool)].sort_values("confidence", ascending=False, kind="stable")


# ---------------------------------------------------------------------- scores


def classification_report(p: Predictions) -> pd.DataFrame:
    """Precision, recall, F1 and support of each label, then three averages, as scikit-learn computes them; undefined ones are 0."""
    rows = labelled_rows(p)
    actual, chosen = p.hot[rows], p.chosen[rows] & is_known(p)[rows, None]
    score = partial(precision_recall_fscore_support, actual.astype(int), chosen.astype(int), zero_division=0)
    names = ["precision", "recall", "f1-score", "support"]
    labels = pd.DataFrame(dict(zip(names, score(average=None))), index=p.vocab)
    micro = "micro avg" if p.is_multi else "accuracy"  # equal with one label per clip
    averages = {micro: "micro", "macro avg": "macro", "weighted avg": "weighted"}
    rest = pd.DataFrame(
        {name: [*score(average=kind)[:3], actual.sum()] for name, kind in averages.items()}, index=names
    ).T
    return pd.concat([labels, rest]).astype({"support": int})


def _group_names(p: Predictions, column) -> tuple[str, pd.Series]:
    """The name of the grouping, and the group of each clip."""
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


def in_order(names: Sequence) -> list[int]:
    """Positions of the names sorted by value where they compare, else as text; UNKNOWN last."""
    places = [i for i, name in enumerate(names) if name != UNKNOWN]
    try:
        places.sort(key=lambda i: names[i])
    except TypeError:
        places.sort(key=lambda i: str(names[i]))
    return places + [i for i, name in enumerate(names) if name == UNKNOWN]


def _score_or_nan(p: Predictions, metric) -> float:
    """The metric; NaN if it is undefined for these clips, or their probabilities are NaN."""
    try:
        return p.score(metric) if is_known(p).all() else math.nan
    except UndefinedError:
        return math.nan


def by_group(p: Predictions, column: str | pd.Series, metric=None) -> pd.DataFrame:
    """One row per group: clips, accuracy with its interval, loss, and the metric; see `SpecInterpretation.by_group`."""
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
    found = found.iloc[in_order(names)]
    return found.set_axis(found.index.infer_objects())  # numbers as numbers, not as objects


# ---------------------------------------------------------------------- probabilities


def calibration(p: Predictions, n_bins: int = 15) -> pd.DataFrame:
    """A reliability curve, one row per bin; see `SpecInterpretation.calibration`."""
    rows = _scored_rows(p)
    curve = calibration_curve(p.probs[rows], p.hot[rows], n_bins, p.is_multi)
    curve.attrs = {"expected_calibration_error": error_of_curve(curve), "left_out": int(p.labelled.sum()) - len(rows)}
    return curve


def probabilities_of(p: Predictions, label: str | None = None) -> dict[str, np.ndarray]:
    """Two samples of probabilities by name, to compare as histograms.

    Parameters
    ----------
    p : Predictions
        Predictions of at least one clip with a target.
    label : str, optional
        Compare the probability of this label in clips with and without it. By default the confidence of correct and of wrong
        predictions; with several labels per clip, the probabilities of labels that clips have, and of those they have not.

    Returns
    -------
    dict of ndarray
        Name -> probabilities, shape (m,).
    """
    rows = _scored_rows(p)
    probs, hot = p.probs[rows], p.hot[rows]
    if label is not None:
        i = p.vocab.index(choose(label, p.vocab, "label"))
        return {"clips with it": probs[hot[:, i], i], "clips without it": probs[~hot[:, i], i]}
    if p.is_multi:
        return {"labels present": probs[hot], "labels absent": probs[~hot]}
    right = hot[np.arange(len(rows)), probs.argmax(axis=1)]
    return {"correct": probs.max(axis=1)[right], "wrong": probs.max(axis=1)[~right]}
