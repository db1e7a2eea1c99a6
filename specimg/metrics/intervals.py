"""How far a score can be trusted: the values it might have had with other clips of the same kind, as (low, high).

`wilson_interval` is for a rate, `bootstrap_interval` for a mean of values, one a clip, `bootstrap_score` for any metric.
Clips that belong together - of one speaker, one recording, one site - are not independent: name them in `groups`, or
the interval is too narrow.

>>> y_true, scores = [0, 0, 1, 1] * 5, [[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]] * 5
>>> bootstrap_score("accuracy", y_true, scores)                          # 15 of 20 clips are right
(0.55, 0.95)
>>> tuple(round(end, 2) for end in wilson_interval(15, 20))
(0.53, 0.89)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from .registry import Metric, get_metric

__all__ = ["wilson_interval", "bootstrap_interval", "bootstrap_score"]


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


# ---------------------------------------------------------------------- of any metric

_TRIES = 10  # resamples drawn at most for each one wanted


def _members(groups, n: int) -> list[np.ndarray]:
    """The rows of each group."""
    import pandas as pd  # knows every kind of missing name

    if np.shape(groups) != (n,):
        raise ValueError(f"groups have shape {np.shape(groups)}; expected {(n,)}, the group of each clip")
    number, names = pd.factorize(pd.Series(groups))
    if (number < 0).any():
        raise ValueError(f"{(number < 0).sum()} of {n} clips have no group; name one for each, such as the clip itself")
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number, minlength=len(names)))[:-1])


def _value_of_rows(metric: Metric, y_true: np.ndarray, scores: np.ndarray) -> Callable[[np.ndarray], float]:
    """The function that scores the clips of these row numbers."""
    if not metric.mean_over_clips:
        return lambda rows: metric.function(y_true[rows], scores[rows])
    values = np.array([metric.function(y_true[i : i + 1], scores[i : i + 1]) for i in range(len(scores))])
    return lambda rows: values[rows].mean()


def _value_or_nan(value_of_rows: Callable, rows: np.ndarray) -> float:
    """nan where these clips, without a positive for example, have no value: some metrics raise, others give nan."""
    try:
        return float(value_of_rows(rows))
    except ValueError:
        return math.nan


def _resample(
    value_of_rows: Callable, members: list[np.ndarray] | None, n_units: int, n_resamples: int, seed: int
) -> list[float]:
    """The metric's value on each resample, those without a value left out and drawn again."""
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
    y_true,
    scores,
    groups=None,
    seed: int = 0,
    level: float = 0.95,
    n_resamples: int | None = None,
) -> tuple[float, float]:
    """Where a metric lies: (low, high), by the percentile bootstrap (Efron 1979).

    As many clips as there are, or groups, are drawn with replacement and scored, again and again; the interval holds
    the middle `level` of the values, its ends being two of them. Where a resample has no value - no positive in it -
    another is drawn. Expect too narrow an interval from fewer than about ten groups.

    Parameters
    ----------
    metric : a name (see `list_metrics`), or a function of `(y_true, scores)`, called with all clips of a resample.
    groups : (n,) names; the clips of one group are drawn together, for they are not independent.
    n_resamples : by default 1000 for a mean over clips, whose clips are scored once, and 200 for other metrics.

    Raises ValueError for what the metric itself refuses, for a metric that is nan on all clips, for a single clip or
    group, and where hardly any resample has a value.
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
