"""Whether one run is better than another: paired bootstrap over the clips that both held out.

    paired_difference(Run.open("runs/b0"), Run.open("runs/r34"))     # Difference(value=0.021, low=0.004, high=0.037, clips=1203)
    paired_difference(wide, run).verdict                             # "better", "worse" or "not significant"

The interval covers the sampling of clips (or groups), not the randomness of initial weights: for that train several seeds, and look at the spread.
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
from .run import CompetitionPredictions
from .task import metric_value, scored_mask


def verdict(low: float, high: float) -> str:
    """What the interval of a difference means.

    At 95 %, of forty candidates that are as good as the baseline, about one is called better and one worse by chance.

    Parameters
    ----------
    low, high : float
        Ends of the interval; nan if there is none.

    Returns
    -------
    str
        "better" where the whole interval lies above 0, "worse" where it lies below, else "not significant"; "" without an interval.

    Examples
    --------
    >>> from specimg.experiments import verdict
    >>> verdict(0.01, 0.04), verdict(-0.02, 0.03)
    ('better', 'not significant')
    """
    if low != low or high != high:
        return ""
    return "better" if low > 0 else "worse" if high < 0 else "not significant"


class Difference(NamedTuple):
    """Difference of two scores on the same clips: positive if the first is better; nan if it is not defined.

    Parameters
    ----------
    value : float
        The difference, in units of the metric.
    low, high : float
        Ends of its 95 % interval.
    clips : int
        Clips on which both were scored.

    Examples
    --------
    >>> from specimg.experiments import Difference
    >>> Difference(0.021, 0.004, 0.037, 1203).verdict
    'better'
    """

    value: float
    low: float
    high: float
    clips: int

    @property
    def verdict(self) -> str:
        """The verdict in words, as the function `verdict` gives it."""
        return verdict(self.low, self.high)


def shared_predictions(runs: Sequence[CompetitionPredictions]) -> list[Predictions]:
    """Each run's predictions of the clips that all held out and that count, in one order; [] if there is no such clip."""
    if not len(shared_clips([clip_index(run.predictions.table) for run in runs])):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some clips are not shared: tables show how many are
        parts = align_runs(runs)
    counts = scored_mask(parts[0])
    return [part.subset(counts) for part in parts] if counts.any() else []


def _resampling_units(clips: pd.DataFrame) -> np.ndarray | None:
    """What the bootstrap draws: groups where they are known, else recordings; None, single clips, if there is only one of these."""
    names = clips["group" if "group" in clips else "path"].astype(str).to_numpy()
    return names if len(set(names)) > 1 else None


def _clip_by_clip(metric: str, part: Predictions) -> np.ndarray:
    """(clips,): the metric of each clip alone."""
    return np.array(
        [metric_value(metric, part.hot[i : i + 1], part.probs[i : i + 1], part.is_multi) for i in range(len(part))]
    )


def paired_difference(run: CompetitionPredictions, baseline: CompetitionPredictions) -> Difference:
    """How much better a run is than another on the clips that both held out.

    The interval is a bootstrap [1]_ over groups, where the clips have them, else over recordings; each resample is scored for both.

    Parameters
    ----------
    run : Run or Blend
        The one in question.
    baseline : Run or Blend
        The one that it is compared with.

    Returns
    -------
    Difference
        Positive if `run` is better, whatever the direction of the metric. The interval is nan if the metric is not defined, or
        there is a single clip.

    Raises
    ------
    ValueError
        The runs are of different competitions.

    References
    ----------
    .. [1] B. Efron, "Bootstrap methods: another look at the jackknife", Annals of Statistics 7 (1979).

    Examples
    --------
    >>> from specimg.experiments import paired_difference
    >>> paired_difference(run, run)
    Difference(value=0.0, low=0.0, high=0.0, clips=12)
    """
    if run.task.differs(baseline.task):
        raise ValueError(f"runs of different competitions cannot be compared: {run.task.differs(baseline.task)}")
    metric, parts = get_metric(run.task.metric), shared_predictions([run, baseline])
    if not parts:
        return Difference(np.nan, np.nan, np.nan, 0)
    ours, theirs = parts
    sign = 1 if metric.greater_is_better else -1
    n_classes, units = len(ours.vocab), _resampling_units(ours.table)

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
