"""Metrics for one true label a clip: `y_true` holds the index of each clip's class, `scores` a row for each clip.

Equal scores are ranked by class index, the lower first: a classifier that says nothing gets what its first column is
worth, on every machine.

>>> ranks([2, 0], [[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
array([1, 1])
>>> top_k_labels([[0.2, 0.2, 0.6]], ["bark", "meow", "siren"], k=2)
[['siren', 'bark']]
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .arrays import as_indices, as_scores
from .registry import metric, metric_at_k

__all__ = [
    "ranks",
    "top_k_labels",
    "accuracy",
    "error_rate",
    "map_at_k",
    "top_k_accuracy",
    "balanced_accuracy",
    "macro_f1_single",
]


def ranks(y_true, scores) -> np.ndarray:
    """The place, from 1, of each clip's true class among its scores: whole numbers `(clips,)`."""
    scores = as_scores(scores)
    y_true = as_indices(y_true, scores)
    own = scores[np.arange(len(scores)), y_true][:, None]
    ahead = (scores == own) & (np.arange(scores.shape[1]) < y_true[:, None])  # ties that come first
    return 1 + ((scores > own) | ahead).sum(1)


def top_k_labels(scores, vocab: Sequence[str], k: int = 3) -> list[list[str]]:
    """The `k` best labels of each clip, best first; all of them where there are fewer."""
    scores = as_scores(scores)
    if len(vocab) != scores.shape[1]:
        raise ValueError(f"vocab has {len(vocab)} labels; scores have {scores.shape[1]} columns, one for each label")
    if k < 1:
        raise ValueError(f"k={k}; give the number of labels, at least 1")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[vocab[column] for column in row] for row in best]


@metric("accuracy")
def accuracy(y_true, scores) -> float:
    """The fraction of clips whose true class has the largest score."""
    return float(np.mean(ranks(y_true, scores) == 1))


@metric("error_rate", greater_is_better=False)
def error_rate(y_true, scores) -> float:
    """One minus `accuracy`."""
    return 1.0 - accuracy(y_true, scores)


def _check_k(k: int) -> None:
    if k < 1:
        raise ValueError(f"k={k}; give the number of guesses, at least 1")


@metric_at_k("map", listed=3)
def map_at_k(y_true, scores, k: int = 3) -> float:
    """Mean average precision of the `k` best guesses, for one true label a clip.

    A clip counts 1, 1/2, ... 1/k if its true class is the first, second, ... k-th guess, and 0 beyond; the result is
    the mean over clips. With `k=3` this is the metric of freesound-audio-tagging (2018).
    """
    _check_k(k)
    place = ranks(y_true, scores)
    return float(np.mean(np.where(place <= k, 1.0 / place, 0.0)))


@metric_at_k("top", listed=5)
def top_k_accuracy(y_true, scores, k: int = 5) -> float:
    """The fraction of clips whose true class is among the `k` best guesses."""
    _check_k(k)
    return float(np.mean(ranks(y_true, scores) <= k))


def _confusion(y_true, scores) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each class the clips of it that were found, all its clips, and the clips taken for it: `(classes,)` each."""
    found = ranks(y_true, scores) == 1
    y_true, n_classes = np.asarray(y_true).astype(np.intp), np.shape(scores)[1]  # numpy 1 counts no unsigned numbers
    best = np.argmax(scores, axis=1)  # the first of equal ones, as `ranks` has it
    return tuple(np.bincount(of, minlength=n_classes) for of in (y_true[found], y_true, best))


@metric("balanced_accuracy", mean_over_clips=False)
def balanced_accuracy(y_true, scores) -> float:
    """The mean over classes of the fraction of a class's clips that are found: each class counts alike, however rare.

    Only classes that occur in `y_true` count. Also known as unweighted average recall.
    """
    found, there, _ = _confusion(y_true, scores)
    occurs = there > 0
    return float(np.mean(found[occurs] / there[occurs]))


@metric("macro_f1_single", mean_over_clips=False)
def macro_f1_single(y_true, scores) -> float:
    """The mean over classes of F1 = 2 TP / (2 TP + FP + FN), where the largest score is the answer.

    A class that is neither true nor predicted anywhere has no F1 and is left out; one that is only predicted counts 0.
    For several labels a clip see `macro_f1`.
    """
    found, there, taken = _confusion(y_true, scores)
    seen = there + taken > 0
    return float(np.mean(2 * found[seen] / (there + taken)[seen]))
