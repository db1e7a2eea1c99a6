"""Scores of a classifier: plain functions on arrays, and the same by name for fastai's table of epochs.

A metric is `f(y_true, scores) -> float`. `scores` is `(clips, classes)`, larger for likelier. `y_true` is `(clips,)`,
the index of each clip's class, or `(clips, classes)` of 0 and 1 where a clip may carry several labels. Equal scores
are ranked by class index, the lower first, so that a result never depends on how a library sorts.

>>> y_true, scores = [0, 1], [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]]
>>> accuracy(y_true, scores), map_at_k(y_true, scores, k=3)     # the classes stand first and third: 1 and 1/3
(0.5, 0.6666666666666666)

`Learner(dls, model, metrics=fastai_metric("map@3"))` shows the latter after every epoch.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

import numpy as np

from .values import choose

__all__ = [
    "accuracy", "error_rate", "map_at_k", "accuracy_multi", "ranks", "top_k_labels", "wilson_interval",
    "bootstrap_interval", "Metric", "metric", "get_metric", "list_metrics", "fastai_metric", "FastaiMetric",
]


# ---------------------------------------------------------------------- by name

@dataclass(frozen=True)
class Metric:
    """A metric and what has to be known to use it."""

    name: str                       # as users write it and tables print it
    function: Callable              # (y_true, scores) -> float
    multilabel: bool = False        # y_true is (clips, classes) of 0 and 1
    probabilities: bool = False     # scores must be probabilities; else any scores that rank alike give the same value
    mean_over_clips: bool = True    # else the value needs all clips at once, and a mean over batches would be wrong
    greater_is_better: bool = True


_METRICS: dict[str, Metric] = {}
_MAP_AT_K = re.compile(r"map@([1-9]\d*)")


def metric(name: str, **facts) -> Callable:
    """Decorator: register `f(y_true, scores)` under `name`; `facts` are the other fields of `Metric`."""

    def register(function: Callable) -> Callable:
        _METRICS[name] = Metric(name, function, **facts)
        return function

    return register


# ---------------------------------------------------------------------- one label a clip

def _scores(scores) -> np.ndarray:
    """As float64 `(clips, classes)`; a nan has no rank and is refused."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores have shape {scores.shape}; expected (clips, classes), at least one of each")
    if np.isnan(scores).any():
        n_bad = np.isnan(scores).any(axis=1).sum()
        raise ValueError(f"scores hold nan in {n_bad} of {len(scores)} clips; leave these clips out")
    return scores


def _indices(y_true, scores: np.ndarray) -> np.ndarray:
    """As whole numbers `(clips,)`, each the index of a column of `scores`."""
    y_true = np.asarray(y_true)
    if y_true.shape != scores.shape[:1]:
        raise ValueError(f"y_true has shape {y_true.shape}; expected {scores.shape[:1]}, a class index for each clip")
    if not np.issubdtype(y_true.dtype, np.integer):
        raise ValueError(f"y_true holds {y_true.dtype}; expected whole numbers, the index of each clip's class")
    if y_true.min() < 0 or y_true.max() >= scores.shape[1]:
        found, columns = f"{y_true.min()} to {y_true.max()}", f"0 to {scores.shape[1] - 1}"
        raise ValueError(f"y_true holds {found}; expected {columns}, the columns of scores")
    return y_true


def ranks(y_true, scores) -> np.ndarray:
    """The place, from 1, of each clip's true class among its scores: whole numbers `(clips,)`.

    >>> ranks([2, 0], [[0.1, 0.2, 0.7], [0.4, 0.4, 0.2]])
    array([1, 1])
    """
    scores = _scores(scores)
    y_true = _indices(y_true, scores)
    own = scores[np.arange(len(scores)), y_true][:, None]
    ahead = (scores == own) & (np.arange(scores.shape[1]) < y_true[:, None])   # ties that come first
    return 1 + ((scores > own) | ahead).sum(1)


@metric("accuracy")
def accuracy(y_true, scores) -> float:
    """The fraction of clips whose true class has the largest score."""
    return float(np.mean(ranks(y_true, scores) == 1))


@metric("error_rate", greater_is_better=False)
def error_rate(y_true, scores) -> float:
    """One minus `accuracy`."""
    return 1.0 - accuracy(y_true, scores)


def map_at_k(y_true, scores, k: int = 3) -> float:
    """Mean average precision of the `k` best guesses, for one true label a clip.

    A clip counts 1, 1/2, ... 1/k if its true class is the first, second, ... k-th guess, and 0 beyond; the result is
    the mean over clips. With `k=3` this is the metric of freesound-audio-tagging (2018).
    """
    if k < 1:
        raise ValueError(f"k={k}; give the number of guesses, at least 1")
    place = ranks(y_true, scores)
    return float(np.mean(np.where(place <= k, 1.0 / place, 0.0)))


_METRICS["map@3"] = Metric("map@3", map_at_k)   # so that it is listed; `get_metric` makes those of any other k


# ---------------------------------------------------------------------- several labels a clip

@metric("accuracy_multi", multilabel=True, probabilities=True)
def accuracy_multi(y_true, scores, threshold: float = 0.5) -> float:
    """The fraction of all (clip, class) pairs that are decided rightly: yes where the probability is above `threshold`.

    Where most pairs are 0 a network that never says yes has a high value.
    """
    scores, y_true = _scores(scores), np.asarray(y_true)
    if y_true.shape != scores.shape or not np.isin(y_true, (0, 1)).all():
        raise ValueError(f"y_true has shape {y_true.shape}; expected {scores.shape} of 0 and 1, as scores have")
    return float(np.mean((scores > threshold) == (y_true == 1)))


# ---------------------------------------------------------------------- guesses and intervals

def top_k_labels(scores, vocab: Sequence[str], k: int = 3) -> list[list[str]]:
    """The `k` best labels of each clip, best first; all of them where there are fewer.

    >>> top_k_labels([[0.2, 0.2, 0.6]], ["bark", "meow", "siren"], k=2)
    [['siren', 'bark']]
    """
    scores = _scores(scores)
    if len(vocab) != scores.shape[1]:
        raise ValueError(f"vocab has {len(vocab)} labels; scores have {scores.shape[1]} columns, one for each label")
    if k < 1:
        raise ValueError(f"k={k}; give the number of labels, at least 1")
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[vocab[column] for column in row] for row in best]


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level={level}; give a fraction between 0 and 1, such as 0.95")


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Where a rate lies, such as an accuracy of `successes` among `n` independent clips: (low, high).

    The score interval of Wilson (1927), which holds its level for few clips and for rates near 0 and 1.

    >>> tuple(round(end, 3) for end in wilson_interval(8, 10))
    (0.49, 0.943)
    """
    _check_level(level)
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes among {n}; n must be at least 1 and successes 0 to n")
    z = NormalDist().inv_cdf((1 + level) / 2)
    rate, shrink = successes / n, 1 + z**2 / n
    middle = (rate + z**2 / (2 * n)) / shrink
    half = z * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap_interval(values, seed: int = 0, level: float = 0.95, n_resamples: int = 2000) -> tuple[float, float]:
    """Where the mean of `values`, one a clip, lies: (low, high), by the percentile bootstrap (Efron 1979).

    Clips are drawn independently; for clips that belong together (one speaker, one site) give one value a group.
    """
    _check_level(level)
    values = np.asarray(values, dtype=float)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values have shape {values.shape}; expected (clips,), at least one, all finite")
    rng = np.random.RandomState(seed)
    means = [values[rng.randint(len(values), size=len(values))].mean() for _ in range(n_resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


# ---------------------------------------------------------------------- for fastai

def list_metrics() -> list[str]:
    """The names that `get_metric` and `fastai_metric` know; "map@3" stands for "map@k" with any k."""
    return sorted(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of that name; "map@5" and the like are made when asked for."""
    wanted = _MAP_AT_K.fullmatch(name)
    if wanted:
        return Metric(name, partial(map_at_k, k=int(wanted[1])))
    return _METRICS[choose(name, _METRICS, "metric")]


class FastaiMetric:
    """A metric as fastai calls it: with the network's outputs and the targets, both tensors.

    It keeps only its name, by which fastai prints it, and so it pickles. Where the outputs hold a nan the result is
    nan: a training run that diverges is seen and not stopped.
    """

    def __init__(self, name: str):
        self.__name__ = get_metric(name).name

    def __call__(self, pred, targ):
        chosen, pred = get_metric(self.__name__), pred.detach().float()
        if pred.isnan().any():
            return pred.new_tensor(math.nan)
        scores = pred.sigmoid() if chosen.multilabel and chosen.probabilities else pred
        scores, y_true = scores.cpu().numpy(), targ.detach().cpu().numpy()
        return pred.new_tensor(chosen.function(y_true if chosen.multilabel else y_true.reshape(-1), scores))

    def __repr__(self) -> str:
        return f"FastaiMetric({self.__name__!r})"


def fastai_metric(name: str):
    """The metric `name` for a Learner's `metrics=`; see `list_metrics`.

    The network's raw outputs are ranked as they are; a multi-label metric of probabilities gets their sigmoid. A metric
    that is no mean over clips comes as fastai's AccumMetric, which waits for the last batch.
    """
    called = FastaiMetric(name)
    if get_metric(name).mean_over_clips:
        return called
    from fastai.metrics import AccumMetric

    return AccumMetric(called, flatten=False)
