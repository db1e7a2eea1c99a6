"""Metrics for one true label per clip: `y_true` holds the index of each clip's class, `scores` a row for each clip.

Ties are ranked by class index, the lower first: a classifier that scores all classes alike always predicts its first column,
on every machine.

>>> ranks([2, 0], [[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
array([1, 1])
>>> top_k_labels([[0.2, 0.2, 0.6]], ["bark", "meow", "siren"], k=2)
[['siren', 'bark']]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .arrays import as_indices, as_scores
from .multi_label import macro_auc
from .registry import metric, metric_at_k


def ranks(y_true: ArrayLike, scores: ArrayLike) -> np.ndarray:
    """The rank of each clip's true class among its scores.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.

    Returns
    -------
    ndarray of int, shape (clips,)
        1 where the true class has the largest score.

    Raises
    ------
    ValueError
        Shapes do not fit, an index is out of range, or a score is nan.

    Examples
    --------
    >>> ranks([2, 0], [[0.1, 0.2, 0.7], [0.2, 0.4, 0.4]])
    array([1, 3])
    """
    scores = as_scores(scores)
    y_true = as_indices(y_true, scores)
    own = scores[np.arange(len(scores)), y_true][:, None]
    ahead = (scores == own) & (np.arange(scores.shape[1]) < y_true[:, None])  # ties that come first
    return 1 + ((scores > own) | ahead).sum(1)


def top_k_labels(scores: ArrayLike, vocab: Sequence[str], k: int = 3) -> list[list[str]]:
    """The `k` likeliest labels of each clip.

    Parameters
    ----------
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.
    vocab : sequence of str
        The label of each column.
    k : int, default 3
        Labels per clip, from 1; all of them if there are fewer.

    Returns
    -------
    list of list of str
        For each clip its labels, likeliest first.

    Raises
    ------
    ValueError
        `vocab` has another number of labels than `scores` has columns, or `k` is below 1.

    Examples
    --------
    >>> top_k_labels([[0.2, 0.3, 0.5]], ["bark", "meow", "siren"], k=2)
    [['siren', 'meow']]
    """
    scores = as_scores(scores)
    if len(vocab) != scores.shape[1]:
        raise ValueError(f"vocab has {len(vocab)} labels; scores have {scores.shape[1]} columns, one for each label")
    if k < 1:
        raise ValueError(f"k={k}; give the number of labels, at least 1")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[vocab[column] for column in row] for row in best]


@metric("accuracy")
def accuracy(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The fraction of clips whose true class has the largest score.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.

    Returns
    -------
    float
        0 to 1.

    Examples
    --------
    >>> accuracy([0, 1], [[0.6, 0.4], [0.7, 0.3]])
    0.5
    """
    return float(np.mean(ranks(y_true, scores) == 1))


@metric("error_rate", greater_is_better=False)
def error_rate(y_true: ArrayLike, scores: ArrayLike) -> float:
    """One minus `accuracy`.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.

    Returns
    -------
    float
        0 to 1; smaller is better.

    Examples
    --------
    >>> error_rate([0, 1, 1, 1], [[0.6, 0.4], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8]])
    0.25
    """
    return 1.0 - accuracy(y_true, scores)


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k={k}; give the number of guesses, at least 1")


@metric_at_k("map", listed=3)
def map_at_k(y_true: ArrayLike, scores: ArrayLike, k: int = 3) -> float:
    """Mean average precision at `k` (MAP@k) for one true label per clip: the mean reciprocal rank, 0 beyond rank `k`.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.
    k : int, default 3
        Guesses that count, from 1.

    Returns
    -------
    float
        0 to 1: the mean over clips of 1, 1/2, ... 1/k where the true class ranks first, second, ... k-th.

    References
    ----------
    With `k=3` the metric of Kaggle's freesound-audio-tagging: Fonseca et al., "General-purpose tagging of Freesound audio
    with AudioSet labels", DCASE 2018.

    Examples
    --------
    >>> map_at_k([0, 1], [[0.6, 0.3, 0.1], [0.5, 0.3, 0.2]])
    0.75
    """
    _check_k(k)
    rank = ranks(y_true, scores)
    return float(np.mean(np.where(rank <= k, 1.0 / rank, 0.0)))


@metric_at_k("top", listed=5)
def top_k_accuracy(y_true: ArrayLike, scores: ArrayLike, k: int = 5) -> float:
    """The fraction of clips whose true class is among the `k` largest scores.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.
    k : int, default 5
        Guesses that count, from 1.

    Returns
    -------
    float
        0 to 1.

    Examples
    --------
    >>> top_k_accuracy([0, 2], [[0.6, 0.3, 0.1], [0.5, 0.3, 0.2]], k=2)
    0.5
    """
    _check_k(k)
    return float(np.mean(ranks(y_true, scores) <= k))


def _decided(y_true: ArrayLike, scores: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of each clip; of ties the first, as `ranks` has it."""
    scores = as_scores(scores)
    return as_indices(y_true, scores).astype(np.intp), scores.argmax(axis=1)


@metric("balanced_accuracy", mean_over_clips=False)
def balanced_accuracy(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean recall of the classes that occur in `y_true`, also known as unweighted average recall.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.

    Returns
    -------
    float
        0 to 1; each class counts alike, however rare.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    0.5
    """
    from sklearn.metrics import recall_score

    true, predicted = _decided(y_true, scores)
    return float(recall_score(true, predicted, labels=np.unique(true), average="macro"))


@metric("macro_f1_single", mean_over_clips=False)
def macro_f1_single(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), where the class with the largest score is predicted.

    For several labels per clip see `macro_f1`.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.

    Returns
    -------
    float
        0 to 1. A class that is neither true nor predicted anywhere has no F1 and is left out; one that is only predicted
        counts 0.

    Examples
    --------
    >>> macro_f1_single([0, 0, 1], [[0.9, 0.1], [0.2, 0.8], [0.3, 0.7]])
    0.6666666666666666
    """
    from sklearn.metrics import f1_score

    true, predicted = _decided(y_true, scores)
    return float(f1_score(true, predicted, average="macro"))


@metric("log_loss", probabilities=True, greater_is_better=False)
def log_loss(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean negative logarithm of the probability of the true class, also known as cross-entropy.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Probabilities; each row is divided by its sum, as Kaggle does.

    Returns
    -------
    float
        0 or more; smaller is better. A probability below 2.2e-16 counts as that, as in scikit-learn.

    Raises
    ------
    ValueError
        A score is below 0, or a row sums to 0.

    Examples
    --------
    >>> round(log_loss([0, 1], [[0.5, 0.5], [0.25, 0.75]]), 4)       # the mean of -ln 0.5 and -ln 0.75
    0.4904
    """
    scores = as_scores(scores)
    y_true = as_indices(y_true, scores)
    if scores.min() < 0 or not scores.sum(axis=1).all():
        raise ValueError(
            "log_loss needs probabilities, 0 or more and not all 0 in a clip; apply softmax to the network's outputs"
        )
    own = scores[np.arange(len(scores)), y_true] / scores.sum(axis=1)
    return float(-np.log(np.maximum(own, np.finfo(float).eps)).mean())


@metric("macro_auc_single", probabilities=True, mean_over_clips=False)
def macro_auc_single(y_true: ArrayLike, scores: ArrayLike) -> float:
    """The mean over classes of the area under the ROC curve, of each class against all others.

    For several labels per clip see `macro_auc`, which this is of the same labels in columns of 0 and 1.

    Parameters
    ----------
    y_true : array-like of int, shape (clips,)
        Index of each clip's class.
    scores : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1: they are compared between clips, as a network's raw outputs cannot be.

    Returns
    -------
    float
        0 to 1; 0.5 is random. Classes without a clip have no area and are left out of the mean.

    Raises
    ------
    UndefinedError
        All clips are of one class.
    ValueError
        A score is below 0 or above 1.

    Examples
    --------
    >>> macro_auc_single([0, 1, 1], [[0.6, 0.4], [0.7, 0.3], [0.2, 0.8]])
    0.5
    """
    scores = as_scores(scores)
    if scores.min() < 0 or scores.max() > 1:
        raise ValueError("macro_auc_single needs probabilities, 0 to 1; apply softmax to the network's outputs")
    return macro_auc(np.arange(scores.shape[1]) == as_indices(y_true, scores)[:, None], scores)
