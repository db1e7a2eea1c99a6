"""Metrics of a classifier: plain functions on arrays, and the same by name as fastai metrics.

A metric is `f(y_true, scores) -> float`. `scores` is `(clips, classes)`, larger for likelier. `y_true` is `(clips,)`,
the index of each clip's class (`single_label`), or `(clips, classes)` of 0 and 1 if a clip may have several labels
(`multi_label`). How ties are ranked is part of each definition, so that a value never depends on how a library sorts.

>>> y_true, scores = [0, 1], [[0.6, 0.3, 0.1], [0.5, 0.2, 0.3]]
>>> accuracy(y_true, scores), map_at_k(y_true, scores, k=3)     # the true classes rank first and third: 1 and 1/3
(0.5, 0.6666666666666666)
>>> lwlrap([[1, 0, 1], [0, 1, 0]], scores)                      # precisions 1 and 2/3 in the first clip, then 1/3
0.6666666666666666

`bootstrap_score("lwlrap", y_true, scores, groups)` gives a confidence interval of such a value, and
`Learner(dls, model, metrics=fastai_metric("map@3"))` shows one after every epoch. `registry` says how to add a metric.
"""

from .arrays import UndefinedError
from .for_fastai import FastaiMetric, fastai_metric
from .intervals import bootstrap_score, wilson_interval
from .multi_label import (
    accuracy_multi,
    d_prime,
    log_loss_multi,
    lwlrap,
    macro_auc,
    macro_f1,
    mean_average_precision,
    padded_cmap,
    per_class_lwlrap,
    row_f1,
)
from .registry import Metric, get_metric, list_metrics, metric, metric_at_k, own_metric
from .reliability import calibration_curve, expected_calibration_error
from .single_label import (
    accuracy,
    balanced_accuracy,
    error_rate,
    log_loss,
    macro_auc_single,
    macro_f1_single,
    map_at_k,
    ranks,
    top_k_accuracy,
    top_k_labels,
)

__all__ = [
    "accuracy",
    "error_rate",
    "map_at_k",
    "top_k_accuracy",
    "balanced_accuracy",
    "log_loss",
    "macro_auc_single",
    "macro_f1_single",
    "ranks",
    "top_k_labels",
    "accuracy_multi",
    "log_loss_multi",
    "lwlrap",
    "per_class_lwlrap",
    "macro_auc",
    "d_prime",
    "mean_average_precision",
    "padded_cmap",
    "macro_f1",
    "row_f1",
    "wilson_interval",
    "bootstrap_score",
    "calibration_curve",
    "expected_calibration_error",
    "Metric",
    "metric",
    "metric_at_k",
    "get_metric",
    "own_metric",
    "list_metrics",
    "fastai_metric",
    "FastaiMetric",
    "UndefinedError",
]
