"""Metrics by name: a dictionary, two decorators that fill it, and what has to be known to use each metric.

`get_metric` gives a `Metric`: the function, and whether it is for several labels a clip, wants probabilities, is a mean
over clips. Training, predictions and intervals all read these facts; none asks for a metric by its name. A metric of
your own joins with a line:

>>> @metric("no_better_than_luck")
... def no_better_than_luck(y_true, scores) -> float:
...     return 1 / len(scores[0])
>>> get_metric("no_better_than_luck").function([0], [[0.1, 0.2, 0.3, 0.4]]), get_metric("map@5").name
(0.25, 'map@5')
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ..core.values import choose

__all__ = ["Metric", "metric", "metric_at_k", "get_metric", "list_metrics"]


@dataclass(frozen=True)
class Metric:
    """A metric and what has to be known to use it."""

    name: str  # as users write it and tables print it
    function: Callable  # (y_true, scores) -> float
    multilabel: bool = False  # y_true is (clips, classes) of 0 and 1
    probabilities: bool = False  # scores must be probabilities; else any scores that rank alike give the same value
    mean_over_clips: bool = True  # else the value needs all clips at once, and a mean over batches would be wrong
    greater_is_better: bool = True


_METRICS: dict[str, Metric] = {}
_AT_K: dict[str, Callable[[int], Metric]] = {}  # "map" makes "map@1", "map@2" ...
_NAME_AT_K = re.compile(r"(\w+)@([1-9]\d*)")


def metric(name: str, **facts) -> Callable:
    """Decorator: register `f(y_true, scores)` under `name`; `facts` are the other fields of `Metric`."""

    def register(function: Callable) -> Callable:
        _METRICS[name] = Metric(name, function, **facts)
        return function

    return register


def metric_at_k(name: str, listed: int, **facts) -> Callable:
    """Decorator: register `f(y_true, scores, k)` under `name@k` for every k from 1; `list_metrics` shows k = `listed`."""

    def register(function: Callable) -> Callable:
        _AT_K[name] = lambda k: Metric(f"{name}@{k}", partial(function, k=k), **facts)
        _METRICS[f"{name}@{listed}"] = _AT_K[name](listed)
        return function

    return register


def list_metrics() -> list[str]:
    """The names that `get_metric` and `fastai_metric` know; "map@3" stands for "map@k" with any k, "top@5" likewise."""
    return sorted(_METRICS)


def get_metric(name: str) -> Metric:
    """The metric of that name; "map@5", "top@3" and the like are made when asked for."""
    wanted = _NAME_AT_K.fullmatch(name)
    if wanted and wanted[1] in _AT_K:
        return _AT_K[wanted[1]](int(wanted[2]))
    return _METRICS[choose(name, _METRICS, "metric")]
