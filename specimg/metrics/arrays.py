"""Input of metrics as arrays of known shape, or a ValueError that says what is wrong with it.

>>> as_indices([1, 0], as_scores([[0.2, 0.8], [0.6, 0.4]]))
array([1, 0])
>>> as_hot([[0, 1], [1, 1]], as_scores([[0.2, 0.8], [0.6, 0.4]])).tolist()
[[False, True], [True, True]]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


class UndefinedError(ValueError):
    """A metric is not defined on these clips: none of them has a label, for example."""


def as_scores(scores: ArrayLike) -> np.ndarray:
    """Scores as float64 `(clips, classes)`; ValueError for another shape or nan, which has no rank."""
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or 0 in scores.shape:
        raise ValueError(f"scores have shape {scores.shape}; expected (clips, classes), at least one of each")
    if np.isnan(scores).any():
        n_nan = np.isnan(scores).any(axis=1).sum()
        raise ValueError(f"scores hold nan in {n_nan} of {len(scores)} clips; leave these clips out")
    return scores


def as_indices(y_true: ArrayLike, scores: np.ndarray) -> np.ndarray:
    """Single labels as integers `(clips,)`, each the index of a column of `scores`."""
    y_true = np.asarray(y_true)
    if y_true.shape != scores.shape[:1]:
        raise ValueError(f"y_true has shape {y_true.shape}; expected {scores.shape[:1]}, a class index for each clip")
    if not np.issubdtype(y_true.dtype, np.integer):
        raise ValueError(f"y_true holds {y_true.dtype}; expected whole numbers, the index of each clip's class")
    if y_true.min() < 0 or y_true.max() >= scores.shape[1]:
        found, columns = f"{y_true.min()} to {y_true.max()}", f"0 to {scores.shape[1] - 1}"
        raise ValueError(f"y_true holds {found}; expected {columns}, the columns of scores")
    return y_true


def as_hot(y_true: ArrayLike, scores: np.ndarray) -> np.ndarray:
    """Multiple labels as bool `(clips, classes)`, True if a clip has the label; 0 and 1 of any type are accepted."""
    y_true = np.asarray(y_true)
    if y_true.shape != scores.shape:
        raise ValueError(f"y_true has shape {y_true.shape}; expected {scores.shape} of 0 and 1, as scores have")
    if y_true.dtype == bool:
        return y_true
    odd = [y_true.dtype] if y_true.dtype.kind not in "iuf" else y_true[(y_true != 0) & (y_true != 1)]
    if len(odd):
        raise ValueError(
            f"y_true holds {odd[0]} and is not an array of 0 and 1; "
            "give 1 where a clip has the label, and leave out clips whose labels are unknown"
        )
    return y_true == 1
