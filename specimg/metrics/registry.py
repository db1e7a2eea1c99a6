"""Metrics by name: a dictionary, two decorators that fill it, and what has to be known to use each metric.

A metric of your own is a function with a decorator; from then on its name works wherever a metric is named - in a Learner,
a Competition, `bootstrap_score` and the command line - because all of these read the fields of `Metric`:

>>> import numpy as np
>>> @metric("hamming_loss", multilabel=True, probabilities=True, greater_is_better=False)
... def hamming_loss(y_true, scores) -> float:
...     return float(np.mean((np.asarray(scores) > 0.5) != np.asarray(y_true)))
>>> get_metric("hamming_loss").function([[1, 0]], [[0.9, 0.8]])
0.5

`tests/metrics/test_registry.py` holds every registered metric against what it says of itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..core.arguments import unknown_name


@dataclass(frozen=True)
class Metric:
    """A metric and what has to be known to use it.

    Parameters
    ----------
    name : str
        As users write it and tables print it.
    function : callable
        `(y_true, scores) -> float`.
    multilabel : bool, default False
        `y_true` is `(clips, classes)` of 0 and 1 instead of `(clips,)` class indices.
    probabilities : bool, default False
        `scores` must be probabilities; otherwise any scores with the same ranks give the same value.
    mean_over_clips : bool, default True
        The value is a mean over clips; otherwise it needs all clips at once, and a mean over batches would be wrong.
    greater_is_better : bool, default True
        False for errors and losses.

    Examples
    --------
    >>> get_metric("error_rate").greater_is_better
    False
    """

    name: str
    function: Callable
    multilabel: bool = False
    probabilities: bool = False
    mean_over_clips: bool = True
    greater_is_better: bool = True


_METRICS: dict[str, Metric] = {}
_AT_K: dict[str, Callable[[int], Metric]] = {}  # "map" makes "map@1", "map@2" ...
_NAME_AT_K = re.compile(r"(\w+)@([1-9]\d*)")


def metric(name: str, **facts: bool) -> Callable:
    """Decorator that registers a metric.

    Parameters
    ----------
    name : str
        Its name from then on.
    **facts : bool
        The other fields of `Metric`: `multilabel`, `probabilities`, `mean_over_clips`, `greater_is_better`.

    Returns
    -------
    callable
        A decorator for `f(y_true, scores) -> float`.

    Examples
    --------
    >>> @metric("one_in_n")
    ... def one_in_n(y_true, scores) -> float:
    ...     return 1 / len(scores[0])
    >>> get_metric("one_in_n").function([0], [[0.1, 0.2, 0.3, 0.4]])
    0.25
    """

    def register(function: Callable) -> Callable:
        _METRICS[name] = Metric(name, function, **facts)
        return function

    return register


def metric_at_k(name: str, listed: int, **facts: bool) -> Callable:
    """Decorator that registers a metric with a parameter k, under `name@k` for every k from 1.

    Parameters
    ----------
    name : str
        The part before the "@".
    listed : int
        The k that `list_metrics` shows.
    **facts : bool
        The other fields of `Metric`.

    Returns
    -------
    callable
        A decorator for `f(y_true, scores, k) -> float`.

    Examples
    --------
    >>> get_metric("top@3").function([1], [[0.4, 0.1, 0.3, 0.2]])
    0.0
    """

    def register(function: Callable) -> Callable:
        _AT_K[name] = lambda k: Metric(f"{name}@{k}", partial(function, k=k), **facts)
        _METRICS[f"{name}@{listed}"] = _AT_K[name](listed)
        return function

    return register


def list_metrics() -> list[str]:
    """The names that `get_metric` and `fastai_metric` accept.

    Returns
    -------
    list of str
        Sorted; "map@3" stands for "map@k" with any k, "top@5" likewise.

    Examples
    --------
    >>> "lwlrap" in list_metrics()
    True
    """
    return sorted(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of a name.

    Parameters
    ----------
    name : str
        One of `list_metrics()`, or "map@k" or "top@k" with any k from 1.

    Returns
    -------
    Metric

    Raises
    ------
    ValueError
        The name is unknown; the message suggests the closest ones.

    Examples
    --------
    >>> get_metric("map@5").name, get_metric("lwlrap").multilabel
    ('map@5', True)
    """
    wanted = _NAME_AT_K.fullmatch(name)
    if wanted and wanted[1] in _AT_K:
        return _AT_K[wanted[1]](int(wanted[2]))
    if name not in _METRICS:
        raise ValueError(
            f"{unknown_name(name, _METRICS, 'metric')}; one of your own must be registered in this process: own_metric(function)"
        )
    return _METRICS[name]


def own_metric(given: Metric | Callable, multilabel: bool = False) -> str:
    """Register a metric of one's own, where a name of a metric is expected.

    Parameters
    ----------
    given : Metric or callable
        A `Metric`; or a function `f(y_true, scores) -> float`, which is given probabilities of all clips at once, and of which a larger value
        is better. Where smaller is better, give a `Metric`.
    multilabel : bool, default False
        Of a function: is `y_true` (clips, classes) of 0 and 1 instead of class indices?

    Returns
    -------
    str
        Its name from then on: the function's, with that of its package in front if there is another metric of this name.

    Raises
    ------
    ValueError
        It is no function, or has no name.

    Examples
    --------
    >>> def surprise(y_true, scores):
    ...     return 1 - float(max(scores[0]))
    >>> own_metric(surprise), get_metric("surprise").function([0], [[0.75, 0.25]])
    ('surprise', 0.25)
    >>> own_metric(Metric("surprise at first", surprise, greater_is_better=False))
    'surprise at first'
    """
    if not isinstance(given, Metric):
        name = getattr(given, "__name__", "")
        if not callable(given) or not name or name == "<lambda>":
            raise ValueError(
                f"{given!r} is no metric; give a name of list_metrics(), a function f(y_true, scores) with a name, or a Metric(name, function)"
            )
        known = _METRICS.get(name)
        if known is not None and known.function is not given and known.function.__module__ != given.__module__:
            name = f"{given.__module__.partition('.')[0]}.{name}"
        given = Metric(name, given, multilabel, probabilities=True, mean_over_clips=False)
    _METRICS[given.name] = given
    return given.name
