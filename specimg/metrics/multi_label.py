"""Metrics for several labels a clip: `y_true` is `(clips, classes)` of 0 and 1, `scores` has the same shape.

Three questions are asked. How high do the true labels stand in each clip (`lwlrap`)? How well does each class tell its
clips from the others (`macro_auc`, `d_prime`, `mean_average_precision`, `padded_cmap`)? And what is right once a
threshold has decided (`row_f1`, `macro_f1`, `accuracy_multi`)? The last, and `padded_cmap`, need probabilities; for the
others any scores will do that rank alike.

>>> y_true, scores = [[1, 0], [0, 1], [0, 0]], [[0.9, 0.3], [0.2, 0.6], [0.4, 0.7]]
>>> lwlrap(y_true, scores), macro_auc(y_true, scores), row_f1(y_true, scores)
(1.0, 0.75, 0.6666666666666666)

Equal scores never help: in precisions all of them count as standing ahead, in the area under the curve as half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from .arrays import UndefinedError, as_hot, as_scores
from .registry import metric

__all__ = [
    "lwlrap",
    "per_class_lwlrap",
    "macro_auc",
    "d_prime",
    "mean_average_precision",
    "padded_cmap",
    "row_f1",
    "macro_f1",
    "accuracy_multi",
]


def _checked(y_true, scores) -> tuple[np.ndarray, np.ndarray]:
    """The labels as bool and the scores as float64, both `(clips, classes)`."""
    scores = as_scores(scores)
    return as_hot(y_true, scores), scores


def _check_any(hot: np.ndarray, name: str) -> None:
    if not hot.any():
        raise UndefinedError(f"none of the {len(hot)} clips has a label; {name} needs at least one")


# ---------------------------------------------------------------------- within each clip


def _precisions(y_true, scores, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels, and for each true one its precision, 0 elsewhere: both `(clips, classes)`.

    The precision of a label is the share of true ones among the labels of its clip that score no less than it.
    """
    hot, scores = _checked(y_true, scores)
    _check_any(hot, name)
    precision = np.zeros(scores.shape)
    for label in np.flatnonzero(hot.any(axis=0)):  # a label at a time bounds the memory; few pairs of all are true
        clips = np.flatnonzero(hot[:, label])
        ahead = scores[clips] >= scores[clips, label][:, None]
        precision[clips, label] = np.count_nonzero(ahead & hot[clips], axis=1) / np.count_nonzero(ahead, axis=1)
    return hot, precision


@metric("lwlrap", multilabel=True, mean_over_clips=False)
def lwlrap(y_true, scores) -> float:
    """Label-weighted label-ranking average precision: the mean of the precisions of all true labels of all clips.

    The precision of a label that stands r-th in its clip is the share of true ones among the r best. Labels of equal
    score have the rank of the last of them, as in scikit-learn's `label_ranking_average_precision_score`, of which this
    is the mean weighted by the number of labels; the organisers' own code breaks ties by the order of the columns. Clips
    without a label do not count. The metric of freesound-audio-tagging-2019: Fonseca et al., "Audio tagging with noisy
    labels and minimal supervision", DCASE 2019.
    """
    hot, precision = _precisions(y_true, scores, "lwlrap")
    return float(precision.sum() / hot.sum())


def per_class_lwlrap(y_true, scores) -> tuple[np.ndarray, np.ndarray]:
    """`lwlrap` of each class, and the share of each in all labels: `(classes,)` both.

    The values times the weights sum up to `lwlrap`. A class without a clip has the value nan and the weight 0, so sum
    with `np.nansum`.

    >>> values, weights = per_class_lwlrap([[1, 0, 0], [1, 1, 0]], [[0.1, 0.5, 0.4], [0.6, 0.3, 0.1]])
    >>> values.round(2).tolist(), weights.round(2).tolist()
    ([0.67, 1.0, nan], [0.67, 0.33, 0.0])
    """
    hot, precision = _precisions(y_true, scores, "lwlrap")
    n_clips = hot.sum(axis=0)
    values = np.full(hot.shape[1], np.nan)
    np.divide(precision.sum(axis=0), n_clips, out=values, where=n_clips > 0)
    return values, n_clips / n_clips.sum()


# ---------------------------------------------------------------------- within each class


def _sorted_classes(hot: np.ndarray, scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each class with a positive its scores, ascending: those of all clips, and those of its own."""
    columns = np.ascontiguousarray(scores.T)  # a class a row: sorting neighbours in memory is several times as fast
    for column, own in zip(columns, np.ascontiguousarray(hot.T)):
        if own.any():
            yield np.sort(column), np.sort(column[own])


def _auc(everyone: np.ndarray, own: np.ndarray) -> float:
    """Area under the ROC curve from ascending scores: how often a positive scores above a negative, ties counted half."""
    n_own, n_others = len(own), len(everyone) - len(own)
    below = np.searchsorted(everyone, own, "left").sum() + np.searchsorted(everyone, own, "right").sum()
    return float((below - n_own**2) / 2 / (n_own * n_others))  # pairs of two positives sum up to n_own squared


def _average_precision(everyone: np.ndarray, own: np.ndarray) -> float:
    """The mean over positives of the share of positives among all that score no less, from ascending scores."""
    ahead = len(everyone) - np.searchsorted(everyone, own, "left")
    return float(np.mean((len(own) - np.searchsorted(own, own, "left")) / ahead))


@metric("macro_auc", multilabel=True, mean_over_clips=False)
def macro_auc(y_true, scores) -> float:
    """The mean over classes of the area under the ROC curve.

    The area is the chance that a clip with the label scores above one without it; equal scores count half. It is not
    defined for classes without a positive, nor for those that every clip has: both are left out of the mean. The
    metric of BirdCLEF 2024 and 2025, which leaves out the former. ValueError where no class remains.
    """
    hot, scores = _checked(y_true, scores)
    areas = [_auc(everyone, own) for everyone, own in _sorted_classes(hot, scores) if len(own) < len(everyone)]
    if not areas:
        raise UndefinedError(
            f"none of the {hot.shape[1]} classes has both clips with its label and clips without; "
            "macro_auc needs at least one such class"
        )
    return float(np.mean(areas))


@metric("d_prime", multilabel=True, mean_over_clips=False)
def d_prime(y_true, scores) -> float:
    """The distance of two normal distributions of unit variance that have this `macro_auc`.

    It is sqrt(2) times the standard normal quantile of the area: 0 is chance, inf an area of 1, -inf one of 0. As
    reported for AudioSet: Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017.
    """
    area = macro_auc(y_true, scores)
    if area in (0.0, 1.0):
        return math.copysign(math.inf, area - 0.5)
    return math.sqrt(2) * NormalDist().inv_cdf(area)


@metric("mean_average_precision", multilabel=True, mean_over_clips=False)
def mean_average_precision(y_true, scores) -> float:
    """mAP: the mean of the average precision over the classes that have a positive.

    The average precision of a class ranks all clips by it and takes, over its own clips, the mean share of own clips
    among those that score no less: the sum of precision times growth of recall, without interpolation. As reported for
    AudioSet. Not to be taken for `map_at_k`, which ranks the labels of each clip.
    """
    hot, scores = _checked(y_true, scores)
    _check_any(hot, "mean_average_precision")
    return float(np.mean([_average_precision(everyone, own) for everyone, own in _sorted_classes(hot, scores)]))


@metric("padded_cmap", multilabel=True, probabilities=True, mean_over_clips=False)
def padded_cmap(y_true, scores, padding: int = 5) -> float:
    """Padded class-mean average precision: `mean_average_precision` with `padding` more clips, labels and scores all 1.

    With them every class has a positive, and the value of a rare class depends less on chance. The metric of BirdCLEF
    2023, with `padding=5`. Scores must be probabilities, or the added clips would not stand first.
    """
    hot, scores = _checked(y_true, scores)
    if padding < 1:
        raise ValueError(
            f"padding={padding}; give the number of added clips, at least 1, or use mean_average_precision"
        )
    if scores.min() < 0 or scores.max() > 1 + 1e-3:  # half precision rounds 1 upwards
        raise ValueError(
            f"scores reach from {scores.min():g} to {scores.max():g}; padded_cmap needs probabilities, "
            "between 0 and 1: give the network's outputs their sigmoid"
        )
    added = np.ones((padding, hot.shape[1]))
    return mean_average_precision(np.concatenate([hot, added == 1]), np.concatenate([scores, added]))


# ---------------------------------------------------------------------- after a threshold


@metric("accuracy_multi", multilabel=True, probabilities=True)
def accuracy_multi(y_true, scores, threshold: float = 0.5) -> float:
    """The fraction of all (clip, class) pairs that are decided rightly: yes where the probability is above `threshold`.

    Where most pairs are 0 a network that never says yes has a high value.
    """
    hot, scores = _checked(y_true, scores)
    return float(np.mean((scores > threshold) == hot))


@metric("row_f1", multilabel=True, probabilities=True)
def row_f1(y_true, scores, threshold: float = 0.5) -> float:
    """The mean over clips of F1 = 2 TP / (2 TP + FP + FN) between the true labels and those above `threshold`.

    Where a set is empty it holds the one code `nocall` instead: a silent clip that is left silent counts 1, any mistake
    between silence and a call 0. So `nocall` must not be a column. The row-wise micro-averaged F1 of
    birdsong-recognition (2020) and BirdCLEF 2021.
    """
    hot, scores = _checked(y_true, scores)
    chosen = scores > threshold
    n_true, n_chosen = hot.sum(axis=1), chosen.sum(axis=1)
    common = (hot & chosen).sum(axis=1) + ((n_true == 0) & (n_chosen == 0))
    return float(np.mean(2 * common / (np.maximum(n_true, 1) + np.maximum(n_chosen, 1))))


@metric("macro_f1", multilabel=True, probabilities=True, mean_over_clips=False)
def macro_f1(y_true, scores, threshold: float = 0.5) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), yes where the probability is above `threshold`.

    A class that is neither true nor predicted anywhere has no F1 and is left out; one that is only predicted counts 0.
    ValueError where no class remains. BirdCLEF 2022 calls its own metric "most similar" to this one. For one label a
    clip see `macro_f1_single`.
    """
    hot, scores = _checked(y_true, scores)
    chosen = scores > threshold
    total = hot.sum(axis=0) + chosen.sum(axis=0)
    seen = total > 0
    if not seen.any():
        raise UndefinedError(
            f"none of the {len(hot)} clips has a label and no score is above {threshold:g}; "
            "macro_f1 needs at least one class that is true or predicted"
        )
    return float(np.mean(2 * (hot & chosen).sum(axis=0)[seen] / total[seen]))
