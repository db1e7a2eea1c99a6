"""Metrics for several labels per clip: `y_true` is `(clips, classes)` of 0 and 1, `scores` has the same shape.

How high do the true labels rank in each clip: `lwlrap`. How well does each class separate its clips from the others:
`macro_auc`, `d_prime`, `mean_average_precision`, `padded_cmap`. What is correct after a threshold: `row_f1`, `macro_f1`,
`accuracy_multi`. The last three, and `padded_cmap`, need probabilities; the others any scores with the same ranks.

>>> y_true, scores = [[1, 0], [0, 1], [0, 0]], [[0.9, 0.3], [0.2, 0.6], [0.4, 0.7]]
>>> lwlrap(y_true, scores), macro_auc(y_true, scores), row_f1(y_true, scores)
(1.0, 0.75, 0.6666666666666666)

Ties never help: in precisions all of them count as ranked ahead, in the area under the curve as half.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike

from .arrays import UndefinedError, as_hot, as_scores
from .registry import metric


def _checked(y_true, scores) -> tuple[np.ndarray, np.ndarray]:
    """The labels as bool and the scores as float64, both `(clips, classes)`."""
    scores = as_scores(scores)
    return as_hot(y_true, scores), scores


def _check_any(hot: np.ndarray, name: str) -> None:
    if not hot.any():
        raise UndefinedError(f"none of the {len(hot)} clips has a label; {name} needs at least one")


# ---------------------------------------------------------------------- within each clip


def _precisions(y_true, scores, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The labels, and the precision at each true one, 0 elsewhere: both `(clips, classes)`.

    The precision at a label is the fraction of true ones among the labels of its clip that score no less.
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
def lwlrap(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Label-weighted label-ranking average precision: the mean precision at the rank of every true label of every clip.

    The precision at a label of rank r is the fraction of true labels among the r best of its clip. Tied labels have the rank
    of the last of them, as in scikit-learn's `label_ranking_average_precision_score`, of which this is the mean weighted by
    the number of labels; the organisers' own code breaks ties by the order of columns. Clips without a label do not count.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Any scores, larger for likelier labels.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    UndefinedError
        No clip has a label.

    References
    ----------
    The metric of Kaggle's freesound-audio-tagging-2019: Fonseca et al., "Audio tagging with noisy labels and minimal
    supervision", DCASE 2019.

    Examples
    --------
    >>> lwlrap([[1, 0, 1], [0, 1, 0]], [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]])     # precisions 1, 2/3 and 1/3
    0.6666666666666666
    """
    hot, precision = _precisions(y_true, scores, "lwlrap")
    return float(precision.sum() / hot.sum())


def per_class_lwlrap(y_true: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """`lwlrap` of each class, and the share of each class in all labels.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Any scores, larger for likelier labels.

    Returns
    -------
    values : ndarray of float, shape (classes,)
        nan for a class without a clip; `np.nansum(values * weights)` is `lwlrap`.
    weights : ndarray of float, shape (classes,)
        They add up to 1.

    Raises
    ------
    UndefinedError
        No clip has a label.

    Examples
    --------
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
    """For each class with a positive its scores, ascending: those of all clips, and those of its positives."""
    columns = np.ascontiguousarray(scores.T)  # a class a row: sorting neighbours in memory is several times as fast
    for column, own in zip(columns, np.ascontiguousarray(hot.T)):
        if own.any():
            yield np.sort(column), np.sort(column[own])


def _auc(everyone: np.ndarray, own: np.ndarray) -> float:
    """Area under the ROC curve from ascending scores: how often a positive scores above a negative, ties count half."""
    n_own, n_others = len(own), len(everyone) - len(own)
    below = np.searchsorted(everyone, own, "left").sum() + np.searchsorted(everyone, own, "right").sum()
    return float((below - n_own**2) / 2 / (n_own * n_others))  # pairs of two positives sum up to n_own squared


def _average_precision(everyone: np.ndarray, own: np.ndarray) -> float:
    """The mean over positives of the fraction of positives among all that score no less, from ascending scores."""
    ahead = len(everyone) - np.searchsorted(everyone, own, "left")
    return float(np.mean((len(own) - np.searchsorted(own, own, "left")) / ahead))


@metric("macro_auc", multilabel=True, mean_over_clips=False)
def macro_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean over classes of the area under the ROC curve (AUC).

    The area is the probability that a clip with the label scores above one without it; ties count half, as in scikit-learn's
    `roc_auc_score`, which takes about 30 times as long and refuses infinite scores. Classes without a positive and classes
    without a negative have no area and are left out of the mean.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Any scores, larger for likelier labels.

    Returns
    -------
    float
        0 to 1; 0.5 is random.

    Raises
    ------
    UndefinedError
        No class has both clips with its label and clips without.

    References
    ----------
    The metric of Kaggle's BirdCLEF 2024 and 2025, "a version of macro-averaged ROC-AUC that skips classes which have no
    true positive labels".

    Examples
    --------
    >>> macro_auc([[1, 0], [0, 1], [0, 0]], [[0.9, 0.3], [0.2, 0.6], [0.4, 0.7]])
    0.75
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
def d_prime(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The distance of two unit-variance normal distributions that have this `macro_auc`: sqrt(2) times its normal quantile.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Any scores, larger for likelier labels.

    Returns
    -------
    float
        0 is random, inf an area of 1, -inf an area of 0.

    Raises
    ------
    UndefinedError
        As for `macro_auc`.

    References
    ----------
    Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017 (AudioSet).

    Examples
    --------
    >>> round(d_prime([[1], [0], [0], [0], [1]], [[0.9], [0.4], [0.2], [0.6], [0.5]]), 3)
    1.368
    """
    area = macro_auc(y_true, scores)
    if area in (0.0, 1.0):
        return math.copysign(math.inf, area - 0.5)
    return math.sqrt(2) * NormalDist().inv_cdf(area)


@metric("mean_average_precision", multilabel=True, mean_over_clips=False)
def mean_average_precision(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Mean average precision (mAP): the mean over classes with a positive of their average precision.

    The average precision of a class ranks all clips by its score and takes, over its positive clips, the mean fraction of
    positives among the clips that score no less; there is no interpolation. Equal to scikit-learn's
    `average_precision_score`, which takes about 30 times as long. `map_at_k`, by contrast, ranks the labels of each clip.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Any scores, larger for likelier labels.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    UndefinedError
        No clip has a label.

    References
    ----------
    As reported for AudioSet: Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events",
    ICASSP 2017.

    Examples
    --------
    >>> mean_average_precision([[1, 0], [0, 1], [0, 0]], [[0.9, 0.3], [0.2, 0.6], [0.4, 0.7]])
    0.75
    """
    hot, scores = _checked(y_true, scores)
    _check_any(hot, "mean_average_precision")
    return float(np.mean([_average_precision(everyone, own) for everyone, own in _sorted_classes(hot, scores)]))


@metric("padded_cmap", multilabel=True, probabilities=True, mean_over_clips=False)
def padded_cmap(y_true: ArrayLike, scores: ArrayLike, padding: int = 5) -> float:
    """Padded class-mean average precision: `mean_average_precision` with `padding` further clips, labels and scores all 1.

    The padding gives every class a positive and makes the value of rare classes less random.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1. Otherwise the added clips would not rank first.
    padding : int, default 5
        Added clips, at least 1.

    Returns
    -------
    float
        0 to 1.

    Raises
    ------
    ValueError
        A score is not a probability, or `padding` is below 1.

    References
    ----------
    The metric of Kaggle's BirdCLEF 2023.

    Examples
    --------
    >>> padded_cmap([[0, 0], [1, 0]], [[0.9, 0.4], [0.2, 0.5]], padding=1)     # 1 and 2/3 in the first class, 1 in the second
    0.9166666666666666
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
def accuracy_multi(y_true: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """The fraction of all (clip, class) pairs that are decided correctly.

    Where most pairs are 0, a network that never predicts a label has a high value.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.
    threshold : float, default 0.5
        A label is predicted where its probability is above.

    Returns
    -------
    float
        0 to 1.

    Examples
    --------
    >>> accuracy_multi([[1, 0, 0], [0, 1, 1]], [[0.9, 0.6, 0.5], [0.1, 0.8, 0.7]])
    0.8333333333333334
    """
    hot, scores = _checked(y_true, scores)
    return float(np.mean((scores > threshold) == hot))


@metric("row_f1", multilabel=True, probabilities=True)
def row_f1(y_true: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """The mean over clips of F1 = 2 TP / (2 TP + FP + FN) between the true labels and the predicted ones.

    An empty set is taken as the one label `nocall`: a clip without labels counts 1 where none is predicted, and 0 otherwise.
    So `nocall` must not be a column.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.
    threshold : float, default 0.5
        A label is predicted where its probability is above.

    Returns
    -------
    float
        0 to 1.

    References
    ----------
    The "row-wise micro averaged F1" of Kaggle's birdsong-recognition (2020) and BirdCLEF 2021.

    Examples
    --------
    >>> row_f1([[1, 1, 0], [0, 0, 0]], [[0.9, 0.1, 0.2], [0.1, 0.3, 0.2]])     # 2/3 and 1
    0.8333333333333333
    """
    hot, scores = _checked(y_true, scores)
    chosen = scores > threshold
    n_true, n_chosen = hot.sum(axis=1), chosen.sum(axis=1)
    common = (hot & chosen).sum(axis=1) + ((n_true == 0) & (n_chosen == 0))
    return float(np.mean(2 * common / (np.maximum(n_true, 1) + np.maximum(n_chosen, 1))))


@metric("macro_f1", multilabel=True, probabilities=True, mean_over_clips=False)
def macro_f1(y_true: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN).

    For one label per clip see `macro_f1_single`.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.
    threshold : float, default 0.5
        A label is predicted where its probability is above.

    Returns
    -------
    float
        0 to 1. A class that is neither true nor predicted anywhere has no F1 and is left out; one that is only predicted
        counts 0.

    Raises
    ------
    UndefinedError
        No class is true or predicted.

    References
    ----------
    Kaggle's BirdCLEF 2022 calls its own metric "most similar" to this one.

    Examples
    --------
    >>> macro_f1([[1, 0], [1, 0], [0, 1]], [[0.9, 0.1], [0.2, 0.1], [0.3, 0.8]])     # 2/3 and 1
    0.8333333333333333
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


@metric("log_loss_multi", multilabel=True, probabilities=True, greater_is_better=False)
def log_loss_multi(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean over clips and classes of the negative logarithm of the probability of what is true: binary cross-entropy.

    Parameters
    ----------
    y_true : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.

    Returns
    -------
    float
        0 or more; smaller is better. A probability nearer than 2.2e-16 to 0 or 1 counts as that.

    Raises
    ------
    ValueError
        A score is below 0 or above 1.

    Examples
    --------
    >>> round(log_loss_multi([[1, 0]], [[0.5, 0.25]]), 4)       # the mean of -ln 0.5 and -ln 0.75
    0.4904
    """
    hot, scores = _checked(y_true, scores)
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError("log_loss_multi needs probabilities, 0 to 1; apply sigmoid to the network's outputs")
    true = np.where(hot, scores, 1 - scores)
    return float(-np.log(np.maximum(true, np.finfo(float).eps)).mean())
