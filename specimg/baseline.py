"""The score that a network has to beat: a linear model that sees no order in time.

`linear_baseline(dls)` describes each picture by the mean and the deviation of each of its rows, and fits logistic regression to
that. What separates sounds by their average spectrum alone it finds in a second; what a network gains over it, it owes to shape.

>>> print(linear_baseline(dls))                             # doctest: +SKIP
linear baseline: accuracy 0.683 (error 0.317) on 600 clips; the commonest class alone gives 0.063
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .picture import read_planes

__all__ = ["LinearBaseline", "linear_baseline", "row_statistics"]


def row_statistics(planes: np.ndarray) -> np.ndarray:
    """uint8 `(channels, height, width)` -> float32 `(2 * channels * height,)`: mean and standard deviation of each row."""
    x = planes.astype(np.float32) / 255
    return np.concatenate([x.mean(axis=-1).ravel(), x.std(axis=-1).ravel()])


@dataclass(frozen=True)
class LinearBaseline:
    """What `linear_baseline` found; printed, it is a sentence."""

    accuracy: float            # share of validation's clips
    chance: float              # accuracy of always saying training's commonest label
    probs: np.ndarray          # float (clips, classes), of validation, in the order of vocab
    clips: pd.DataFrame        # the clips of validation
    vocab: tuple[str, ...]

    @property
    def error(self) -> float:
        """1 - accuracy."""
        return 1 - self.accuracy

    def __str__(self) -> str:
        return (f"linear baseline: accuracy {self.accuracy:.3f} (error {self.error:.3f}) on {len(self.clips)} clips; "
                f"the commonest class alone gives {self.chance:.3f}")


def linear_baseline(dls, C: float = 1.0) -> LinearBaseline:
    """Logistic regression on row statistics, fitted to training's clips and scored on validation's.

    Parameters
    ----------
    dls : SpecDataLoaders with one label a clip
    C : inverse strength of the regularisation, of standardised features

    Raises
    ------
    ValueError : multi-label data
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if dls.is_multi:
        raise ValueError("the linear baseline needs one label a clip, and these clips may have several")
    train, valid = dls.train.clips, dls.valid.clips
    features = [np.stack([row_statistics(read_planes(path)) for path in clips["picture"]]) for clips in (train, valid)]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000))
    model.fit(features[0], train["label"])
    commonest = train["label"].value_counts().idxmax()
    return LinearBaseline(
        accuracy=float((model.predict(features[1]) == valid["label"].to_numpy()).mean()),
        chance=float((valid["label"] == commonest).mean()),
        probs=model.predict_proba(features[1]), clips=valid, vocab=tuple(model.classes_),
    )
