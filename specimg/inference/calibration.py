"""What a classifier's probabilities are worth: one temperature, a threshold for each label, and when to say nothing.

    fitted = calibrate(run.predictions)                # of clips that the networks had not seen
    fitted.temperature, fitted.thresholds
    curve = coverage_curve(run.predictions, fitted.temperature)
    plot_coverage(curve)                               # what `reject_below` costs, and what it gains

Networks are too sure of themselves as a rule. Dividing their logits by one number, the temperature, mends most of it and changes
no order: Guo, Pleiss, Sun and Weinberger (2017), "On Calibration of Modern Neural Networks". It has to be fitted on clips that the
network did not learn from.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.figures import COLOURS, new_figure
from ..core.values import Value, register
from ..metrics import wilson_interval
from ..training import Predictions

__all__ = [
    "Calibration",
    "calibrate",
    "fit_temperature",
    "fit_thresholds",
    "rescale",
    "coverage_curve",
    "plot_coverage",
]

TEMPERATURES = (
    0.25,
    20.0,
)  # searched; what is best beyond them was fitted on too few clips, or on some that are all right
FEW = 10  # positive clips, below which a label's own threshold would be chance
EVEN = 0.5  # the threshold where nothing better is known
TINY, NEAR_ONE = 1e-38, 3e-8  # what float32 still tells from 0, and from 1


@register
@dataclass(frozen=True)
class Calibration(Value):
    """How logits become probabilities, and those decisions; as it is before anything is fitted."""

    temperature: float = 1.0  # logits are divided by it; above 1 makes the answers less sure
    thresholds: tuple[float, ...] = ()  # one a label, where a clip may have several; () is 0.5 for all
    clips: int = 0  # it was fitted on
    source: str = ""  # of these clips: "out of fold", "validation"
    nll: tuple[float, ...] = ()  # mean negative log-likelihood (nats) before and after

    def _check(self):
        if not TEMPERATURES[0] <= self.temperature <= TEMPERATURES[1]:
            raise ValueError(
                f"Calibration(temperature={self.temperature:g}): give {TEMPERATURES[0]:g} to {TEMPERATURES[1]:g}"
            )
        for threshold in self.thresholds:
            if not 0 <= threshold <= 1:
                raise ValueError(f"Calibration(thresholds=...): {threshold:g} is no probability; give 0 to 1")
        if self.clips < 0 or len(self.nll) not in (0, 2):
            raise ValueError(
                f"Calibration(clips={self.clips}, nll={self.nll}): give 0 clips or more, and nll before and after"
            )


# ---------------------------------------------------------------------- temperature


def _logits(probs: np.ndarray, is_multi: bool) -> np.ndarray:
    """float64 (clips, classes) that softmax, or the sigmoid, turns back into `probs`."""
    probs = np.asarray(probs, np.float64)
    above = np.log(np.maximum(probs, TINY))
    return above - np.log(np.maximum(1 - probs, NEAR_ONE)) if is_multi else above


def _log_likelihood(logits: np.ndarray, hot: np.ndarray, is_multi: bool) -> float:
    """The mean over clips (of several labels over all statements) of the log-probability of what is true."""
    if is_multi:
        return float(-np.logaddexp(0, np.where(hot, -logits, logits)).mean())
    top = logits.max(axis=1)
    all_of = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    return float((logits[hot] - all_of).mean())


def rescale(probs: np.ndarray, temperature: float, is_multi: bool = False) -> np.ndarray:
    """Probabilities (clips, classes) as they are with another temperature."""
    scaled = _logits(probs, is_multi) / temperature
    if is_multi:
        return 1 / (1 + np.exp(-scaled))
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def fit_temperature(probs: np.ndarray, hot: np.ndarray, is_multi: bool = False) -> float:
    """The temperature, of 0.25 to 20, that makes what is true most probable; never worse than 1 on these clips.

    probs, hot : (clips, classes): probabilities, and True where a clip has the label
    """
    from scipy.optimize import minimize_scalar

    logits, hot = _logits(probs, is_multi), np.asarray(hot, bool)
    low, high = map(math.log, TEMPERATURES)
    found = minimize_scalar(
        lambda log_t: -_log_likelihood(logits / math.exp(log_t), hot, is_multi), bounds=(low, high), method="bounded"
    )
    best = math.exp(min(max(float(found.x), low), high))
    better = _log_likelihood(logits / best, hot, is_multi) > _log_likelihood(logits, hot, is_multi)
    return float(f"{best:.6g}") if better else 1.0


# ---------------------------------------------------------------------- thresholds


def _best_threshold(probs: np.ndarray, hot: np.ndarray) -> float:
    """The threshold of the best F1, midway between two probabilities (clips,); of several the one nearest to one half."""
    order = np.argsort(-probs, kind="stable")
    probs, right = probs[order], np.cumsum(hot[order])
    following = np.append(probs[1:], 0.0)
    scores = 2 * right / (np.arange(1, len(probs) + 1) + right[-1])  # F1 where so many are said to have the label
    scores[probs <= following] = -1  # no threshold lies between equals
    best = (probs + following)[scores >= scores.max() - 1e-12] / 2
    return float(best[np.abs(best - EVEN).argmin()])


def fit_thresholds(probs: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """(classes,): for each label the probability above which saying it gives the best F1 on these clips.

    A label that fewer than 10 clips have, or all have, takes the threshold that is best for all labels pooled; where fewer than 10
    statements are true in all, each takes 0.5.

    probs, hot : (clips, classes): probabilities, and True where a clip has the label
    """
    probs, hot = np.asarray(probs, np.float64), np.asarray(hot, bool)
    pooled = _best_threshold(probs.ravel(), hot.ravel()) if hot.sum() >= FEW else EVEN
    own = [FEW <= n < len(hot) for n in hot.sum(axis=0)]
    return np.array([_best_threshold(probs[:, i], hot[:, i]) if known else pooled for i, known in enumerate(own)])


# ---------------------------------------------------------------------- both


def _counted(predictions: Predictions) -> Predictions:
    """The clips whose label is known and which count. ValueError where there is none."""
    scored = predictions.table["scored"].to_numpy(bool) if "scored" in predictions.table else True
    kept = predictions.subset(predictions.labelled & scored & np.isfinite(predictions.probs).all(axis=1))
    if not len(kept):
        raise ValueError(f"none of the {len(predictions)} clips has a label and an answer; there is nothing to fit on")
    return kept


def calibrate(predictions: Predictions, source: str = "held out") -> Calibration:
    """Temperature and, where a clip may have several labels, thresholds: fitted on predictions of clips that nobody learnt from."""
    kept = _counted(predictions)
    temperature = fit_temperature(kept.probs, kept.hot, kept.is_multi)
    probs = rescale(kept.probs, temperature, kept.is_multi)
    logits = _logits(kept.probs, kept.is_multi)
    nll = [-_log_likelihood(logits / t, kept.hot, kept.is_multi) for t in (1.0, temperature)]
    thresholds = tuple(float(f"{t:.6g}") for t in fit_thresholds(probs, kept.hot)) if kept.is_multi else ()
    return Calibration(temperature, thresholds, len(kept), source, tuple(float(f"{n:.6g}") for n in nll))


# ---------------------------------------------------------------------- saying nothing


def coverage_curve(predictions: Predictions, temperature: float = 1.0, thresholds=None) -> pd.DataFrame:
    """What `predict(reject_below=...)` costs and gains: one row a threshold.

    Columns: `threshold`; `coverage`, the share of clips whose largest probability reaches it; `clips`, how many these are;
    `accuracy`, the share of them that is right, from `low` to `high` (95 %, Wilson); NaN where none is left.

    predictions : of clips with labels, one each; ValueError where a clip may have several
    temperature : of the classifier that is to be used, where these probabilities were given without it
    thresholds : default 0, 0.01 ... 1
    """
    if predictions.is_multi:
        raise ValueError(
            "coverage is about clips with one label; where a clip may have several each has a threshold of its own, fit_thresholds"
        )
    kept = _counted(predictions)
    sure = rescale(kept.probs, temperature).max(axis=1)
    right = kept.table["right"].to_numpy(bool)
    rows = []
    for threshold in np.arange(101) / 100 if thresholds is None else thresholds:
        answered = sure >= threshold
        n, hits = int(answered.sum()), int(right[answered].sum())
        low, high = wilson_interval(hits, n) if n else (np.nan, np.nan)
        rows.append((float(threshold), n / len(kept), n, hits / n if n else np.nan, low, high))
    return pd.DataFrame(rows, columns=["threshold", "coverage", "clips", "accuracy", "low", "high"])


def plot_coverage(curve: pd.DataFrame, ax=None):
    """Share of clips with an answer, and of answers that are right, against `reject_below`; returns the figure.

    curve : of `coverage_curve`
    """
    ax = new_figure(6, 4).add_subplot() if ax is None else ax
    x = curve["threshold"]
    ax.plot(x, curve["coverage"], color=COLOURS[0], label="clips with an answer")
    ax.plot(x, curve["accuracy"], color=COLOURS[1], label="answers that are right")
    ax.fill_between(x, curve["low"], curve["high"], color=COLOURS[1], alpha=0.2, linewidth=0, label="95 % interval")
    ax.set(
        xlabel="reject_below: least probability of an answer", ylabel="share", xlim=(x.min(), x.max()), ylim=(0, 1.02)
    )
    ax.grid(alpha=0.3)
    ax.legend(loc="lower left")
    return ax.figure
