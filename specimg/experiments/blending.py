"""Blends of runs: geometric, arithmetic or rank means, with weights that are chosen on out-of-fold predictions.

    both = blend([Run.open("runs/r34"), Run.open("runs/eff")])
    print(both)                         # each run's score and weight, the blend's, and the gain
    both.submission("submission.csv")

Weights that are chosen on the clips that they are scored on give a score that is too good, a little with two runs and more with many. So the
gain is also given with weights that were chosen on the other folds. Blends can be blended.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.tables import clip_index
from ..metrics import get_metric
from ..training import Predictions
from .run import CompetitionPredictions, Run
from .task import Score, has_threshold, metric_value, refuse_nan, score_predictions, scored_mask

WAYS = ("geometric", "mean", "rank")
STEPS = 20  # of the search for weights: a weight is a multiple of 1/20 at the finest
_SMALLEST = 1e-12  # probability, so that one network's 0 does not silence all others in a geometric mean


# ---------------------------------------------------------------------- means


def _ranks(probs: np.ndarray) -> np.ndarray:
    """(clips, classes): rank of each clip among all, class by class, from 0 to 1; ties have the mean of their ranks."""
    from scipy.stats import rankdata

    return (rankdata(probs, axis=0) - 0.5) / max(1, len(probs))


def _to_scale(probs: np.ndarray, way: str, is_multi: bool) -> np.ndarray:
    """What is averaged: probabilities, their logarithms, the logarithms of their odds, or ranks."""
    if way == "rank":
        return _ranks(probs)
    probs = np.asarray(probs, float)
    if way == "mean":
        return probs
    safe = np.clip(probs, _SMALLEST, 1 - _SMALLEST)
    return np.log(safe / (1 - safe)) if is_multi else np.log(safe)


def _from_scale(mean: np.ndarray, way: str, is_multi: bool) -> np.ndarray:
    """The inverse of `_to_scale`, for a mean of several."""
    if way != "geometric":
        return mean
    if is_multi:
        return 1 / (1 + np.exp(-mean))
    powers = np.exp(mean - mean.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def combine(probs: Sequence[np.ndarray], weights: Sequence[float], way: str, is_multi: bool) -> np.ndarray:
    """The weighted mean of several `(clips, classes)` probabilities.

    geometric : of probabilities, normalised to a sum of 1 over the classes; where a clip may have several labels the mean of the odds, so
        that presence and absence are treated alike
    mean : arithmetic
    rank : of ranks among the clips, class by class; for metrics that only rank clips, such as ROC-AUC
    """
    weights = np.asarray(weights, float) / np.sum(weights)
    total = sum(weight * _to_scale(part, way, is_multi) for part, weight in zip(probs, weights) if weight)
    return _from_scale(total, way, is_multi)


# ---------------------------------------------------------------------- weights


def choose_weights(score: Callable[[np.ndarray], float], n: int) -> np.ndarray:
    """`n` weights that sum to 1: greedy selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries of models").

    score : function of weights -> float, larger for better, nan if there is none. Of equals the blend with the fewest and earliest runs
        wins; where no blend has a score all weights are equal
    """
    counts, best, kept = np.zeros(n), -np.inf, np.full(n, 1 / n)
    for _ in range(STEPS):
        scores = np.array([score((counts + step) / (counts.sum() + 1)) for step in np.eye(n)])
        scores = np.where(np.isnan(scores), -np.inf, scores)
        counts[scores.argmax()] += 1
        if scores.max() > best + 1e-12:
            best, kept = scores.max(), counts / counts.sum()
    return kept


@dataclass(frozen=True, eq=False)
class _Aligned:
    """The runs' predictions of the clips that all of them held out."""

    parts: list[Predictions]  # of each run, the same clips in the same order
    metric: str
    way: str

    @property
    def first(self) -> Predictions:
        return self.parts[0]

    @property
    def sign(self) -> int:
        """1 where a larger metric is better, else -1."""
        return 1 if get_metric(self.metric).greater_is_better else -1

    @functools.cached_property
    def counts(self) -> np.ndarray:
        """(clips,) bool: which are scored."""
        return scored_mask(self.first)

    @functools.cached_property
    def scaled(self) -> np.ndarray:
        """(runs, clips, classes): what is averaged. Ranks are among all clips, as in the final blend."""
        return np.stack([_to_scale(part.probs, self.way, self.first.is_multi) for part in self.parts])

    def blended(self, weights: np.ndarray, rows=slice(None)) -> np.ndarray:
        """(clips, classes) probabilities of some rows."""
        return _from_scale(np.tensordot(weights, self.scaled[:, rows], 1), self.way, self.first.is_multi)

    def value(self, probs: np.ndarray, rows: np.ndarray) -> float:
        """The metric, larger for better, of the probabilities of these rows."""
        return self.sign * metric_value(self.metric, self.first.hot[rows], probs, self.first.is_multi)

    def search(self, rows: np.ndarray) -> np.ndarray:
        """The weights that score best on these rows."""
        return choose_weights(lambda weights: self.value(self.blended(weights, rows), rows), len(self.parts))

    def cross_fitted(self) -> np.ndarray:
        """(clips, classes): every fold blended with weights that the other folds chose."""
        fold = self.first.table["fold"].to_numpy()
        probs = np.zeros(self.first.probs.shape)
        for one in np.unique(fold):
            here, others = fold == one, (fold != one) & self.counts
            probs[here] = self.blended(self.search(others), here)
        return probs

    def predictions(self, probs: np.ndarray) -> Predictions:
        """Other probabilities for the same clips."""
        table = self.first.table.drop(columns="loss")
        return Predictions(table, probs, self.first.vocab, None, self.first.is_multi)


def shared_clips(clips: list[pd.MultiIndex]) -> pd.MultiIndex:
    """The clips that all have, in the order of the first."""
    return clips[0][np.logical_and.reduce([clips[0].isin(other) for other in clips])]


def align_runs(runs: Sequence[CompetitionPredictions]) -> list[Predictions]:
    """The runs' predictions of the clips that all of them held out, in one order; a warning counts the others.

    ValueError if there is none, if the runs have other labels, or if one predicts nan.
    """
    parts = [run.predictions for run in runs]
    clips = [clip_index(part.table) for part in parts]
    shared = shared_clips(clips)
    if not len(shared):
        raise ValueError("the runs have no held-out clip in common; blend runs of one competition")
    lost = sorted({path for own in clips for path in own[~own.isin(shared)].get_level_values("path")})
    if lost:
        warn(
            f"{count(len(lost), 'clip')} were not held out in every run ({examples(lost)}); "
            f"the score is of the {len(shared)} others"
        )
    parts = [part.subset(own.get_indexer(shared)) for part, own in zip(parts, clips)]
    for part in parts:
        refuse_nan(part.table, part.probs)
        other = (part.hot != parts[0].hot).any(axis=1)
        if other.any():
            raise ValueError(
                f"{count(int(other.sum()), 'clip')} with other labels in one run than in another "
                f"({examples(part.table['path'][other])}); blend runs of the same data"
            )
    return parts


# ---------------------------------------------------------------------- the blend


class Blend(CompetitionPredictions):
    """Several runs as one; `print` shows what it gains. `blend` makes it.

    Parameters
    ----------
    runs : sequence of Run or Blend
        The parts.
    weights : ndarray of shape (runs,)
        Their shares, which sum to 1.
    aligned : _Aligned
        Their predictions of the same clips.
    chosen : bool
        Were the weights chosen on these predictions?

    Attributes
    ----------
    runs, weights
        The parts and their shares.
    way : str
        How they are combined.
    singles : list of Score
        Score of each run, on the clips that all have.
    table : DataFrame
        A row per run: its score and weight.
    best : Score
        The best of `singles`.
    gain : float
        By how much the blend is better than the best run.
    cross_fitted_gain : float
        The same with each fold blended by weights that the other folds chose.

    Examples
    --------
    >>> both = sp.blend([run, run], weights="equal")
    >>> both.table["weight"].tolist(), both.gain
    ([0.5, 0.5], 0.0)
    """

    def __init__(self, runs: Sequence[CompetitionPredictions], weights: np.ndarray, aligned: _Aligned, chosen: bool):
        self.runs, self.weights, self.way, self.chosen, self._aligned = (
            list(runs),
            weights,
            aligned.way,
            chosen,
            aligned,
        )
        self.task = runs[0].task
        self.predictions = aligned.predictions(aligned.blended(weights))

    # -- the test set

    @functools.cached_property
    def _test(self) -> tuple[pd.DataFrame, np.ndarray]:
        """The test clips that all runs predict, and their probabilities."""
        if not all(self.task.same_test_rows(run.task) for run in self.runs):
            raise ValueError(
                "the runs predict different test rows; give each of them the same with run.predict_test(comp)"
            )
        clips = [clip_index(run.test_clips) for run in self.runs]
        shared = shared_clips(clips)
        rows = [own.get_indexer(shared) for own in clips]
        probs = combine(
            [run.test_probs[r] for run, r in zip(self.runs, rows)], self.weights, self.way, self.task.is_multi
        )
        return self.runs[0].test_clips.iloc[rows[0]].reset_index(drop=True), probs

    @property
    def test_clips(self) -> pd.DataFrame:
        return self._test[0]

    @property
    def test_probs(self) -> np.ndarray:  # type: ignore[override]
        return self._test[1]

    @functools.cached_property
    def prior(self) -> np.ndarray:
        """As a run's; of ranks the middle, with more frequent labels slightly ahead."""
        return 0.5 + 1e-6 * super().prior if self.way == "rank" else super().prior

    # -- what it gains

    @functools.cached_property
    def singles(self) -> list[Score]:
        return [score_predictions(part, self.task.metric) for part in self._aligned.parts]

    @property
    def best(self) -> Score:
        return max(self.singles, key=lambda score: self._aligned.sign * score)

    @property
    def gain(self) -> float:
        return self._aligned.sign * (float(self.score) - float(self.best))

    @functools.cached_property
    def cross_fitted_gain(self) -> float:
        if not self.chosen:
            return self.gain
        counts = self._aligned.counts
        fitted = self._aligned.value(self._aligned.cross_fitted()[counts], counts)
        # without rounding errors of equal sums in another order
        return round(fitted - self._aligned.sign * float(self.best), 12)

    # -- what is shown

    @property
    def table(self) -> pd.DataFrame:
        names = [str(getattr(run, "folder", f"{i}: {run!r}")) for i, run in enumerate(self.runs, 1)]
        return pd.DataFrame(
            {"run": names, self.task.metric: [float(score) for score in self.singles], "weight": self.weights}
        )

    def __repr__(self) -> str:
        return f"Blend({self.way} mean of {count(len(self.runs), 'run')}: {self.score})"

    def __str__(self) -> str:
        names = self.table["run"].tolist()
        width = max(map(len, names))
        lines = [
            f"  {name.ljust(width)}  {score}  weight {weight:.2f}"
            for name, score, weight in zip(names, self.singles, self.weights)
        ]
        fitted = f"; with weights chosen on the other folds {self.cross_fitted_gain:+.4f}" if self.chosen else ""
        lines.append(f"  gain over the best of them {self.gain:+.4f}{fitted}")
        if self.chosen and self.gain > 0 >= self.cross_fitted_gain:
            lines.append(
                "  no gain with weights that the other folds chose: the best single run, or weights='equal', is safer"
            )
        return "\n".join([repr(self), *lines])


def _check_runs(runs: list, way: str) -> None:
    """ValueError unless these can be blended in this way."""
    choose(way, WAYS, "way to blend")
    if not runs or not all(isinstance(run, CompetitionPredictions) for run in runs):
        raise ValueError(f"blend takes a list of runs, such as [Run.open('runs/a'), Run.open('runs/b')]; got {runs!r}")
    task = runs[0].task
    for run in runs[1:]:
        if task.differs(run.task):
            raise ValueError(f"runs of different competitions cannot be blended: {task.differs(run.task)}")
    if way == "rank" and (has_threshold(task.metric) or hasattr(task.format, "threshold")):
        raise ValueError(
            f"way='rank': {task.slug} scores decisions, and there is no threshold for ranks; choose geometric or mean"
        )


def _given_weights(weights, n: int) -> np.ndarray:
    """Numbers, one per run, normalised to a sum of 1."""
    try:
        found = np.asarray(weights, float)
    except (TypeError, ValueError):
        found = np.zeros(0)
    if found.shape != (n,) or not np.isfinite(found).all() or (found < 0).any() or not found.any():
        raise ValueError(f"weights={weights!r}: give {n} numbers from 0 up, one a run, not all 0; or 'oof', or 'equal'")
    return found / found.sum()


def blend(
    runs: Sequence[CompetitionPredictions], way: str = "geometric", weights: str | Sequence[float] = "oof"
) -> Blend:
    """Blend runs (or blends, or folders of runs) of one competition.

    Parameters
    ----------
    runs : sequence of Run, Blend, str or path-like
        The parts.
    way : {"geometric", "mean", "rank"}, default "geometric"
        Normalised geometric mean of probabilities (of odds, for several labels per clip), arithmetic mean, or mean of ranks, which suits
        metrics that only rank clips, such as ROC-AUC.
    weights : "oof", "equal" or sequence of float, default "oof"
        "oof" chooses them on out-of-fold predictions by greedy selection [1]_; numbers are one per run.

    Returns
    -------
    Blend

    Raises
    ------
    ValueError
        The runs are of different competitions, labels or data, or the weights do not fit.

    References
    ----------
    .. [1] R. Caruana et al., "Ensemble selection from libraries of models", ICML 2004.

    Examples
    --------
    >>> print(sp.blend([run, run], way="mean", weights=[1, 3]).table["weight"].tolist())
    [0.25, 0.75]
    """
    runs = [runs] if isinstance(runs, (CompetitionPredictions, str, os.PathLike)) else list(runs)
    runs = [Run.open(run) if isinstance(run, (str, os.PathLike)) else run for run in runs]
    _check_runs(runs, way)
    aligned, n = _Aligned(align_runs(runs), runs[0].task.metric, way), len(runs)
    if not isinstance(weights, str):
        return Blend(runs, _given_weights(weights, n), aligned, chosen=False)
    chosen = choose(weights, ("oof", "equal"), "weights") == "oof"
    shares = aligned.search(aligned.counts) if chosen and aligned.counts.any() else np.full(n, 1 / n)
    return Blend(runs, shares, aligned, chosen)
