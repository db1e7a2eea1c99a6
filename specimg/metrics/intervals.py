"""Confidence intervals of scores: the values that other clips of the same kind might have given, as (low, high).

`wilson_interval` is for a proportion, `bootstrap_score` for any metric. Clips that belong together - of one speaker, one
recording, one site - are not independent: name them in `groups`, or the interval is too narrow.

>>> y_true, scores = [0, 0, 1, 1] * 5, [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]] * 5
>>> bootstrap_score("accuracy", y_true, scores)                          # 15 of 20 clips are right
(0.55, 0.95)
>>> tuple(round(end, 2) for end in wilson_interval(15, 20))
(0.53, 0.89)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .registry import Metric, get_metric


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level={level}; give a fraction between 0 and 1, such as 0.95")


def wilson_interval(successes: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a proportion, such as an accuracy: the score interval of Wilson.

    It holds its level for few clips and for proportions near 0 and 1.

    Parameters
    ----------
    successes : int
        Clips that are right, 0 to `n`.
    n : int
        Independent clips, at least 1.
    level : float, default 0.95
        Confidence level, between 0 and 1.

    Returns
    -------
    low, high : float
        Ends of the interval, 0 to 1.

    Raises
    ------
    ValueError
        `successes` is not from 0 to `n`, `n` is 0, or `level` is not between 0 and 1.

    References
    ----------
    Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927; computed by
    `scipy.stats.binomtest`.

    Examples
    --------
    >>> tuple(round(end, 3) for end in wilson_interval(8, 10))
    (0.49, 0.943)
    """
    from scipy.stats import binomtest

    _check_level(level)
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes among {n}; n must be at least 1 and successes 0 to n")
    low, high = binomtest(int(successes), int(n)).proportion_ci(level, method="wilson")
    return float(low), float(high)


# ---------------------------------------------------------------------- of any metric

_TRIES = 10  # resamples drawn at most for each one wanted


def _members(groups, n: int) -> list[np.ndarray]:
    """Row numbers of each group."""
    import pandas as pd  # recognises every kind of missing name

    if np.shape(groups) != (n,):
        raise ValueError(f"groups have shape {np.shape(groups)}; expected {(n,)}, the group of each clip")
    number, names = pd.factorize(pd.Series(groups))
    if (number < 0).any():
        raise ValueError(f"{(number < 0).sum()} of {n} clips have no group; name one for each, such as the clip itself")
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number, minlength=len(names)))[:-1])


def _value_of_rows(metric: Metric, y_true: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], float]:
    """A function that scores the clips of given row numbers."""
    if not metric.mean_over_clips:
        return lambda rows: metric.function(y_true[rows], scores[rows])
    values = np.array([metric.function(y_true[i : i + 1], scores[i : i + 1]) for i in range(len(scores))])
    return lambda rows: values[rows].mean()


def _value_or_nan(value_of_rows: Callable, rows: np.ndarray) -> float:
    """nan if the metric is not defined on these clips: some metrics raise, others give nan."""
    try:
        return float(value_of_rows(rows))
    except ValueError:
        return math.nan


def _resample(
    value_of_rows: Callable, members: list[np.ndarray] | None, n_units: int, n_resamples: int, seed: int
) -> list[float]:
    """The metric's value on each resample; one on which it is not defined is drawn again."""
    rng, values = np.random.RandomState(seed), []
    for _ in range(_TRIES * n_resamples):
        drawn = rng.randint(n_units, size=n_units)
        rows = drawn if members is None else np.concatenate([members[unit] for unit in drawn])
        value = _value_or_nan(value_of_rows, rows)
        if not math.isnan(value):
            values.append(value)
        if len(values) == n_resamples:
            return values
    raise ValueError(
        f"the metric has a value on only {len(values)} of {_TRIES * n_resamples} resamples of {n_units} "
        f"{'clips' if members is None else 'groups'}; there are too few for an interval"
    )


def bootstrap_score(
    metric: str | Callable,
    y_true: ArrayLike,
    scores: ArrayLike,
    groups: ArrayLike | None = None,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int | None = None,
) -> tuple[float, float]:
    """Confidence interval of a metric by the percentile bootstrap, of clips or of groups of clips.

    As many clips (or groups) as there are, are drawn with replacement and scored, again and again. A resample on which the
    metric is not defined, such as one without a positive, is drawn again. With fewer than about ten groups the interval is
    too narrow.

    Parameters
    ----------
    metric : str or callable
        One of `list_metrics()`, or a function of `(y_true, scores)`, called with all clips of a resample.
    y_true : array-like, shape (clips,) or (clips, classes)
        Labels, as the metric takes them.
    scores : array-like of float, shape (clips, classes)
        Larger for likelier classes.
    groups : array-like, shape (clips,), default None
        Group of each clip; the clips of one group are drawn together, because they are not independent.
    seed : int, default 0
        Seed of the random draws: the same seed gives the same interval.
    level : float, default 0.95
        Confidence level, between 0 and 1.
    n_resamples : int, default None
        Resamples that are scored. None is 1000 for a mean over clips, whose clips are scored once, and 200 for other metrics.

    Returns
    -------
    low, high : float
        Ends of the interval that holds the middle `level` of the values: each is one of the values.

    Raises
    ------
    ValueError
        The metric refuses its input or is nan on all clips, there is a single clip or group, a clip has no group, or the
        metric is defined on hardly any resample.

    References
    ----------
    Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7, 1979.

    Examples
    --------
    >>> y_true, scores = [0, 1] * 10, [[0.9, 0.1], [0.6, 0.4]] * 10
    >>> bootstrap_score("accuracy", y_true, scores)
    (0.25, 0.7)
    """
    _check_level(level)
    found = get_metric(metric) if isinstance(metric, str) else Metric("the metric", metric, mean_over_clips=False)
    y_true, scores = np.asarray(y_true), np.asarray(scores)
    if math.isnan(found.function(y_true, scores)):
        raise ValueError(f"{found.name} is nan on all {len(scores)} clips; leave out what it is not defined for")
    n_resamples = (1000 if found.mean_over_clips else 200) if n_resamples is None else n_resamples
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples}; give the number of resamples, at least 1")
    members = None if groups is None else _members(groups, len(scores))
    n_units = len(scores) if members is None else len(members)
    if n_units < 2:
        raise ValueError(f"there is one {'clip' if members is None else 'group'}; an interval needs two or more")
    values = _resample(_value_of_rows(found, y_true, scores), members, n_units, n_resamples, seed)
    values = np.sort(values)
    cut = math.floor((1 - level) / 2 * (len(values) - 1))  # no interpolation: between infinite values it gives nan
    return float(values[cut]), float(values[-1 - cut])
