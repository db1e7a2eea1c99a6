"""Is one run better than another? The same clips, judged by both, are drawn again and again.

    paired_difference(Run.open("runs/b0"), Run.open("runs/r34"))     # Difference(value=0.021, low=0.004, high=0.037, clips=1203)
    paired_difference(wide, run).verdict                             # "gain", "loss" or "noise"

Where 95 % of the differences lie on one side of 0 it is a gain or a loss, else noise. The interval knows the luck of the clips (or
groups), not that of the random weights: for that train several seeds, and look at the spread.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..labels.tables import clip_index
from ..metrics import bootstrap_score, get_metric
from ..training import Predictions
from .blending import align_runs, shared_clips
from .run import CompetitionAnswers
from .task import metric_value, that_count

__all__ = ["Difference", "aligned", "paired_difference", "verdict"]


def verdict(low: float, high: float) -> str:
    """ "gain" where the whole interval of a difference is above 0, "loss" where it is below, else "noise"; "" where there is none.

    Of forty systems that are worth as much as the baseline, one is called a gain and one a loss by luck alone.
    """
    if low != low or high != high:
        return ""
    return "gain" if low > 0 else "loss" if high < 0 else "noise"


class Difference(NamedTuple):
    """Of two scores on the same clips: positive where the first is better; nan where it is not defined."""

    value: float
    low: float  # of 95 %
    high: float
    clips: int  # that both were scored on

    @property
    def verdict(self) -> str:
        """See `verdict`."""
        return verdict(self.low, self.high)


def aligned(runs: Sequence[CompetitionAnswers]) -> list[Predictions]:
    """The runs' predictions of the clips that all of them held out and that count, in one order; [] where there is no such clip."""
    if not len(shared_clips([clip_index(run.predictions.table) for run in runs])):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that some clips are not shared: tables say how many are
        parts = align_runs(runs)
    counts = that_count(parts[0])
    return [part.subset(counts) for part in parts] if counts.any() else []


def _units(clips: pd.DataFrame) -> np.ndarray | None:
    """What is drawn again and again: groups where they are known, else recordings; None, clips, where all are of one."""
    names = clips["group" if "group" in clips else "path"].astype(str).to_numpy()
    return names if len(set(names)) > 1 else None


def _clip_by_clip(metric: str, part: Predictions) -> np.ndarray:
    """(clips,): the metric of each clip alone."""
    return np.array(
        [metric_value(metric, part.hot[i : i + 1], part.probs[i : i + 1], part.is_multi) for i in range(len(part))]
    )


def paired_difference(run: CompetitionAnswers, baseline: CompetitionAnswers) -> Difference:
    """By how much a run (or blend) is better than another on the clips that both held out.

    The interval is a bootstrap (Efron 1979) over groups, where the clips know theirs, else over recordings: what is drawn is drawn for
    both. It is nan where the metric is not defined or there is a single clip. ValueError for runs of different competitions.
    """
    if run.task.differs(baseline.task):
        raise ValueError(f"runs of different competitions cannot be compared: {run.task.differs(baseline.task)}")
    metric, parts = get_metric(run.task.metric), aligned([run, baseline])
    if not parts:
        return Difference(np.nan, np.nan, np.nan, 0)
    ours, theirs = parts
    sign = 1 if metric.greater_is_better else -1
    n_classes, units = len(ours.vocab), _units(ours.table)

    def of_both(hot, both):
        one, other = (
            metric_value(metric.name, hot, probs, ours.is_multi) for probs in (both[:, :n_classes], both[:, n_classes:])
        )
        return sign * (one - other)

    both = np.hstack([ours.probs, theirs.probs])
    value = of_both(ours.hot, both)
    try:
        if metric.mean_over_clips:  # the mean of the clips' own differences: a thousand resamples cost nothing
            each = sign * (_clip_by_clip(metric.name, ours) - _clip_by_clip(metric.name, theirs))
            low, high = bootstrap_score(lambda _, each: each.mean(), each, each, groups=units, n_resamples=1000)
        else:
            low, high = bootstrap_score(of_both, ours.hot, both, groups=units)
    except ValueError:
        low, high = np.nan, np.nan
    return Difference(float(value), low, high, len(ours))
