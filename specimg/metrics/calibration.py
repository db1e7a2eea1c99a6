"""Does a probability of 0.8 mean right in 8 of 10 cases? The calibration curve, and its mean distance from the diagonal.

Statements are sorted into bins by the probability that was given; in each bin the mean probability is held against the
share that came true. Where a clip has one label, a statement is its most probable one; where it may have several, every
label of every clip is one.

>>> probs, hot = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], [[1, 0], [0, 1], [0, 1], [0, 1]]
>>> calibration_curve(probs, hot, n_bins=4)[["low", "high", "n", "confidence", "accuracy"]].round(3).values.tolist()[2:]
[[0.5, 0.75, 2.0, 0.65, 1.0], [0.75, 1.0, 2.0, 0.85, 0.5]]
>>> round(expected_calibration_error(probs, hot, n_bins=4), 3)     # the mean of 0.35 and 0.35
0.35
"""

from __future__ import annotations

import numpy as np

from .arrays import as_hot, as_scores
from .intervals import wilson_interval

__all__ = ["calibration_curve", "expected_calibration_error"]


def _statements(probs, hot, multilabel: bool) -> tuple[np.ndarray, np.ndarray]:
    """(n,) probabilities and (n,) bool, whether each came true."""
    probs = as_scores(probs)
    if probs.min() < 0 or probs.max() > 1 + 1e-3:  # half precision rounds 1 upwards
        raise ValueError(f"probs reaches from {probs.min():g} to {probs.max():g}; probabilities lie between 0 and 1")
    probs, hot = probs.clip(0, 1), as_hot(hot, probs)
    if multilabel:
        return probs.ravel(), hot.ravel()
    rows, best = np.arange(len(probs)), probs.argmax(axis=1)
    return probs[rows, best], hot[rows, best]


def calibration_curve(probs, hot, n_bins: int = 15, multilabel: bool = False):
    """One row for each bin of equal width, as in the reliability diagrams of Guo et al. (2017): a pandas DataFrame.

    Parameters
    ----------
    probs, hot : (clips, classes): probabilities, and 1 where a clip has the label.
    multilabel : every label of every clip is a statement; else the most probable label of each clip is.

    Columns: `low` and `high`, the bin, without and with its end (0 belongs to the first); `n`, statements in it;
    `confidence`, their mean probability; `accuracy`, the share that is true, with a 95 % interval (Wilson) from
    `accuracy_low` to `accuracy_high`. NaN where a bin is empty.
    """
    import pandas as pd  # the metrics themselves do without

    if n_bins < 1:
        raise ValueError(f"n_bins={n_bins}: give at least 1 bin")
    said, true = _statements(probs, hot, multilabel)
    edges = np.linspace(0, 1, n_bins + 1)
    bins = np.clip(np.searchsorted(edges, said, side="left") - 1, 0, n_bins - 1)
    n, hits = np.bincount(bins, minlength=n_bins), np.bincount(bins, weights=true, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        confidence, accuracy = np.bincount(bins, weights=said, minlength=n_bins) / n, hits / n
    ends = [wilson_interval(int(k), int(m)) if m else (np.nan, np.nan) for k, m in zip(hits, n)]
    low, high = np.transpose(ends)
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "n": n,
            "confidence": confidence,
            "accuracy": accuracy,
            "accuracy_low": low,
            "accuracy_high": high,
        }
    )


def expected_calibration_error(probs, hot, n_bins: int = 15, multilabel: bool = False) -> float:
    """The mean distance between probability and share of truth over the bins, each weighted by its statements; 0 is best.

    Naeini, Cooper and Hauskrecht (2015), of the most probable label as Guo et al. (2017) use it; the arguments are those
    of `calibration_curve`. It is biased upwards where bins hold few clips, and several thousand labels that are never
    true make a multi-label value small: compare models on the same clips only.
    """
    return error_of_curve(calibration_curve(probs, hot, n_bins, multilabel))


def error_of_curve(curve) -> float:
    """`expected_calibration_error` of a curve that is there already."""
    gaps = (curve["accuracy"] - curve["confidence"]).abs().fillna(0)
    return float((gaps * curve["n"]).sum() / curve["n"].sum())
