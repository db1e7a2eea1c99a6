"""Calibration of probabilities: the reliability diagram's curve and the expected calibration error.

Predictions are binned by their probability; in each bin the mean probability is compared with the fraction that is correct.
If a clip has one label, its likeliest label is a prediction; if it may have several, every label of every clip is one.

>>> probs, hot = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], [[1, 0], [0, 1], [0, 1], [0, 1]]
>>> calibration_curve(probs, hot, n_bins=4)[["low", "high", "n", "confidence", "accuracy"]].round(3).values.tolist()[2:]
[[0.5, 0.75, 2.0, 0.65, 1.0], [0.75, 1.0, 2.0, 0.85, 0.5]]
>>> round(expected_calibration_error(probs, hot, n_bins=4), 3)     # the mean of 0.35 and 0.35
0.35
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .arrays import as_hot, as_scores
from .intervals import wilson_interval

if TYPE_CHECKING:
    import pandas as pd


def _binary_predictions(probs: ArrayLike, hot: ArrayLike, multilabel: bool) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (n,), and bool (n,): whether each is correct."""
    probs = as_scores(probs)
    if probs.min() < 0 or probs.max() > 1 + 1e-3:  # half precision rounds 1 upwards
        raise ValueError(f"probs reaches from {probs.min():g} to {probs.max():g}; probabilities lie between 0 and 1")
    probs, hot = probs.clip(0, 1), as_hot(hot, probs)
    if multilabel:
        return probs.ravel(), hot.ravel()
    rows, best = np.arange(len(probs)), probs.argmax(axis=1)
    return probs[rows, best], hot[rows, best]


def calibration_curve(probs: ArrayLike, hot: ArrayLike, n_bins: int = 15, multilabel: bool = False) -> pd.DataFrame:
    """The curve of a reliability diagram: mean probability and accuracy in bins of equal width.

    Parameters
    ----------
    probs : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.
    hot : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    n_bins : int, default 15
        Bins between 0 and 1, at least 1.
    multilabel : bool, default False
        Every label of every clip is a prediction; otherwise the likeliest label of each clip is.

    Returns
    -------
    DataFrame
        One row per bin: `low` and `high`, its edges (the upper one is part of it, 0 belongs to the first); `n`, its
        predictions; `confidence`, their mean probability; `accuracy`, the fraction that is correct, with its 95 % interval
        (Wilson) `accuracy_low`, `accuracy_high`. NaN if a bin is empty.

    Raises
    ------
    ValueError
        Shapes do not fit, a probability is outside 0 to 1, or `n_bins` is below 1.

    References
    ----------
    Guo et al., "On calibration of modern neural networks", ICML 2017.

    Examples
    --------
    >>> curve = calibration_curve([[0.9, 0.1], [0.8, 0.2]], [[1, 0], [0, 1]], n_bins=2)
    >>> curve[["n", "confidence", "accuracy"]].round(2).values.tolist()
    [[0.0, nan, nan], [2.0, 0.85, 0.5]]
    """
    import pandas as pd  # the metrics themselves do without

    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins}: give at least 1 bin")
    predicted, correct = _binary_predictions(probs, hot, multilabel)
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, predicted, side="left") - 1, 0, n_bins - 1)
    n, hits = np.bincount(bins, minlength=n_bins), np.bincount(bins, weights=correct, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = np.bincount(bins, weights=predicted, minlength=n_bins) / n, hits / n
    low, high = np.transpose([wilson_interval(int(k), m) if m else (np.nan, np.nan) for k, m in zip(hits, n)])
    return pd.DataFrame(
        dict(
            low=edges[:-1],
            high=edges[1:],
            n=n,
            confidence=confidence,
            accuracy=accuracy,
            accuracy_low=low,
            accuracy_high=high,
        )
    )


def expected_calibration_error(probs: ArrayLike, hot: ArrayLike, n_bins: int = 15, multilabel: bool = False) -> float:
    """The mean distance between confidence and accuracy over the bins of `calibration_curve`, weighted by their predictions.

    It is biased upwards where bins hold few clips, and several thousand labels that are never true make a multi-label value
    small: compare models on the same clips only.

    Parameters
    ----------
    probs : array-like of float, shape (clips, classes)
        Probabilities, 0 to 1.
    hot : array-like of 0 and 1, shape (clips, classes)
        1 where a clip has the label.
    n_bins : int, default 15
        Bins between 0 and 1, at least 1.
    multilabel : bool, default False
        Every label of every clip is a prediction; otherwise the likeliest label of each clip is.

    Returns
    -------
    float
        0 to 1; 0 is best.

    References
    ----------
    Naeini, Cooper and Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", AAAI 2015; of the
    likeliest label as in Guo et al., ICML 2017.

    Examples
    --------
    >>> round(expected_calibration_error([[0.9, 0.1], [0.8, 0.2]], [[1, 0], [0, 1]]), 2)
    0.45
    """
    return error_of_curve(calibration_curve(probs, hot, n_bins, multilabel))


def error_of_curve(curve: pd.DataFrame) -> float:
    """`expected_calibration_error` of a curve that is there already."""
    gaps = (curve["accuracy"] - curve["confidence"]).abs().fillna(0)
    return float((gaps * curve["n"]).sum() / curve["n"].sum())
