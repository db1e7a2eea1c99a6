"""Calibration of a classifier's probabilities: one temperature, a threshold for each label, and when to give no label.

    fitted = calibrate(run.predictions)                # of clips that the networks had not seen
    fitted.temperature, fitted.thresholds
    curve = coverage_curve(run.predictions, fitted.temperature)
    plot_coverage(curve)                               # what `reject_below` costs, and what it gains

Networks are overconfident as a rule. Dividing their logits by one number, the temperature, corrects most of it and changes no order
(Guo et al. 2017). It has to be fitted on clips that the network was not trained on.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import expit, log_softmax, softmax

from ..core.figures import COLOURS, new_figure
from ..core.values import Value, register
from ..metrics import wilson_interval
from ..training import Predictions

# searched; what is best beyond them was fitted on too few clips, or on some that are all right
TEMPERATURES = (0.25, 20.0)
FEW = 10  # positive clips, below which a label's own threshold would be noise
EVEN = 0.5  # the threshold if nothing better is known
TINY, NEAR_ONE = 1e-38, 3e-8  # nearest to 0 and to 1 that float32 keeps apart from them


@register
@dataclass(frozen=True)
class Calibration(Value):
    """How logits become probabilities, and those become labels.

    Parameters
    ----------
    temperature : float, default 1.0
        Logits are divided by it, 0.25 to 20; above 1 makes the classifier less confident.
    thresholds : tuple of float, default ()
        Probability above which a clip has each label, if it may have several; () is 0.5 for all.
    clips : int, default 0
        Number of clips it was fitted on.
    source : str, default ""
        Source of these clips: "out of fold", "validation".
    nll : tuple of float, default ()
        Mean negative log-likelihood (nats) before and after.

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> from specimg.inference import Calibration
    >>> Calibration(temperature=1.5, clips=200)
    Calibration(temperature=1.5, clips=200)
    """

    temperature: float = 1.0
    thresholds: tuple[float, ...] = ()
    clips: int = 0
    source: str = ""
    nll: tuple[float, ...] = ()

    def _check(self):
        low, high = TEMPERATURES
        self._need(low <= self.temperature <= high, f"give {low:g} to {high:g}", "temperature")
        self._need(
            all(0 <= threshold <= 1 for threshold in self.thresholds), "give probabilities, 0 to 1", "thresholds"
        )
        valid = self.clips >= 0 and len(self.nll) in (0, 2)
        self._need(valid, "give 0 clips or more, and nll before and after", "clips", "nll")


# ---------------------------------------------------------------------- temperature


def logits_of(probs: np.ndarray, is_multi: bool) -> np.ndarray:
    """float64 (clips, classes) that softmax, or the sigmoid, turns back into `probs`."""
    probs = np.asarray(probs, np.float64)
    above = np.log(np.maximum(probs, TINY))
    return above - np.log(np.maximum(1 - probs, NEAR_ONE)) if is_multi else above


def probabilities_of(logits: np.ndarray, is_multi: bool) -> np.ndarray:
    """float64 (clips, classes): softmax, or the sigmoid."""
    return expit(logits) if is_multi else softmax(logits, axis=1)


def _log_likelihood(logits: np.ndarray, hot: np.ndarray, is_multi: bool) -> float:
    """The mean over clips (of several labels over all statements) of the log-probability of what is true."""
    if is_multi:
        return float(-np.logaddexp(0, np.where(hot, -logits, logits)).mean())
    return float(log_softmax(logits, axis=1)[hot].mean())


def rescale(probs: np.ndarray, temperature: float, is_multi: bool = False) -> np.ndarray:
    """Probabilities at another temperature.

    Parameters
    ----------
    probs : ndarray
        (clips, classes), at temperature 1.
    temperature : float
        Above 0; logits are divided by it.
    is_multi : bool, default False
        Several labels a clip: each probability by itself (sigmoid).

    Returns
    -------
    ndarray
        float64 (clips, classes).

    Examples
    --------
    >>> from specimg.inference import rescale
    >>> rescale(np.array([[0.9, 0.1]]), 2.0).round(3)
    array([[0.75, 0.25]])
    """
    return probabilities_of(logits_of(probs, is_multi) / temperature, is_multi)


def fit_temperature(probs: np.ndarray, hot: np.ndarray, is_multi: bool = False) -> float:
    """The temperature, of 0.25 to 20, of the smallest negative log-likelihood; never worse than 1 on these clips.

    Parameters
    ----------
    probs : ndarray
        (clips, classes): probabilities.
    hot : ndarray of bool
        (clips, classes): True if a clip has the label.
    is_multi : bool, default False
        May a clip have several labels?

    Returns
    -------
    float
        The temperature; 1.0 if none is better.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks", section 4.2.

    Examples
    --------
    >>> from specimg.inference import fit_temperature
    >>> probs, right = np.tile([0.9, 0.1], (10, 1)), np.arange(10) < 7
    >>> round(fit_temperature(probs, np.c_[right, ~right]), 2)      # 0.9 sure, right in 7 of 10
    2.59
    """
    from scipy.optimize import minimize_scalar

    logits, hot = logits_of(probs, is_multi), np.asarray(hot, bool)
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
    scores = 2 * right / (np.arange(1, len(probs) + 1) + right[-1])  # F1 where so many are predicted to have the label
    scores[probs <= following] = -1  # no threshold lies between equals
    best = (probs + following)[scores >= scores.max() - 1e-12] / 2
    return float(best[np.abs(best - EVEN).argmin()])


def fit_thresholds(probs: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """For each label the probability above which predicting it gives the best F1 on these clips.

    A label that fewer than 10 clips have, or all have, takes the threshold that is best for all labels pooled; where clips have fewer than
    10 labels in all, each takes 0.5.

    Parameters
    ----------
    probs : ndarray
        (clips, classes): probabilities.
    hot : ndarray of bool
        (clips, classes): True if a clip has the label.

    Returns
    -------
    ndarray
        float64 (classes,).

    Examples
    --------
    >>> from specimg.inference import fit_thresholds
    >>> probs = np.linspace(0, 1, 101)[:, None]
    >>> fit_thresholds(probs, probs > 0.3)
    array([0.305])
    """
    probs, hot = np.asarray(probs, np.float64), np.asarray(hot, bool)
    pooled = _best_threshold(probs.ravel(), hot.ravel()) if hot.sum() >= FEW else EVEN
    own = [FEW <= n < len(hot) for n in hot.sum(axis=0)]
    return np.array([_best_threshold(probs[:, i], hot[:, i]) if known else pooled for i, known in enumerate(own)])


# ---------------------------------------------------------------------- both


def _counted(predictions: Predictions) -> Predictions:
    """The clips that are scored and whose label is known. ValueError if there is none."""
    scored = predictions.table["scored"].to_numpy(bool) if "scored" in predictions.table else True
    kept = predictions.subset(predictions.labelled & scored & np.isfinite(predictions.probs).all(axis=1))
    if not len(kept):
        raise ValueError(
            f"none of the {len(predictions)} clips has a label and a prediction; there is nothing to fit on"
        )
    return kept


def calibrate(predictions: Predictions, source: str = "held out") -> Calibration:
    """Fit a temperature and, if a clip may have several labels, thresholds.

    Parameters
    ----------
    predictions : Predictions
        Predictions of clips that the network was not trained on, with labels.
    source : str, default "held out"
        What to call these clips.

    Returns
    -------
    Calibration
        The fit, with the log-likelihood before and after.

    Raises
    ------
    ValueError
        If no clip has a label and a prediction.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks".

    Examples
    --------
    >>> from specimg.inference import calibrate
    >>> calibrate(run.predictions, "out of fold").clips
    12
    """
    kept = _counted(predictions)
    temperature = fit_temperature(kept.probs, kept.hot, kept.is_multi)
    probs = rescale(kept.probs, temperature, kept.is_multi)
    logits = logits_of(kept.probs, kept.is_multi)
    nll = [-_log_likelihood(logits / t, kept.hot, kept.is_multi) for t in (1.0, temperature)]
    thresholds = tuple(float(f"{t:.6g}") for t in fit_thresholds(probs, kept.hot)) if kept.is_multi else ()
    return Calibration(temperature, thresholds, len(kept), source, tuple(float(f"{n:.6g}") for n in nll))


# ---------------------------------------------------------------------- no label


def coverage_curve(
    predictions: Predictions, temperature: float = 1.0, thresholds: Sequence[float] | None = None
) -> pd.DataFrame:
    """What `predict(reject_below=...)` costs in coverage and gains in accuracy.

    Parameters
    ----------
    predictions : Predictions
        Predictions of clips with one label each.
    temperature : float, default 1.0
        Temperature of the classifier that is to be used, where these probabilities were computed without it.
    thresholds : sequence of float, default None
        Values of `reject_below`; None: 0, 0.01 ... 1.

    Returns
    -------
    DataFrame
        One row a threshold: `threshold`; `coverage`, the share of clips whose largest probability reaches it; `clips`, how many these are;
        `accuracy`, the share of them that is right, from `low` to `high` (95 %, Wilson); NaN if none is left.

    Raises
    ------
    ValueError
        If a clip may have several labels.

    Examples
    --------
    >>> from specimg.inference import coverage_curve
    >>> coverage_curve(run.predictions, thresholds=[0, 1.0])[["threshold", "clips"]]
       threshold  clips
    0        0.0     12
    1        1.0      0
    """
    if predictions.is_multi:
        raise ValueError(
            "coverage needs clips with one label; if a clip may have several each label has a threshold of its own, see fit_thresholds"
        )
    kept = _counted(predictions)
    sure = rescale(kept.probs, temperature).max(axis=1)
    right = kept.table["right"].to_numpy(bool)
    rows = []
    for threshold in np.arange(101) / 100 if thresholds is None else thresholds:
        labelled = sure >= threshold
        n, hits = int(labelled.sum()), int(right[labelled].sum())
        low, high = wilson_interval(hits, n) if n else (np.nan, np.nan)
        rows.append((float(threshold), n / len(kept), n, hits / n if n else np.nan, low, high))
    return pd.DataFrame(rows, columns=["threshold", "coverage", "clips", "accuracy", "low", "high"])


def plot_coverage(curve: pd.DataFrame, ax: Axes | None = None) -> Figure:
    """Coverage and accuracy against `reject_below`.

    Parameters
    ----------
    curve : DataFrame
        What `coverage_curve` returns.
    ax : Axes, default None
        Where to draw; None makes a figure.

    Returns
    -------
    Figure
        Shares of clips with a label, and of labels that are right.

    Examples
    --------
    >>> from specimg.inference import coverage_curve, plot_coverage
    >>> fig = plot_coverage(coverage_curve(run.predictions))
    """
    ax = new_figure(6, 4).add_subplot() if ax is None else ax
    x = curve["threshold"]
    ax.plot(x, curve["coverage"], color=COLOURS[0], label="clips with a label")
    ax.plot(x, curve["accuracy"], color=COLOURS[1], label="labels that are right")
    ax.fill_between(x, curve["low"], curve["high"], color=COLOURS[1], alpha=0.2, linewidth=0, label="95 % interval")
    ax.set(xlabel="reject_below: least probability of a label", ylabel="share", xlim=(x.min(), x.max()), ylim=(0, 1.02))
    ax.grid(alpha=0.3)
    ax.legend(loc="lower left")
    return ax.figure
