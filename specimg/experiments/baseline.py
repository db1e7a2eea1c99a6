"""The score that a network has to beat: a linear model that sees no order in time.

`linear_baseline(dls)` describes each picture by the mean and the deviation of each of its rows, and fits logistic regression to
that. What separates sounds by their average spectrum alone it finds in a second; what a network gains over it, it owes to shape.
`feature_baseline(train, valid)` does the same with the clip's loudness, brightness and cepstrum (`specimg.experiments.features`), without a picture.

>>> print(linear_baseline(dls))                             # doctest: +SKIP
linear baseline: accuracy 0.683 (error 0.317) on 600 clips; the commonest class alone gives 0.063
>>> table = feature_table(labels, "audio")                  # doctest: +SKIP
>>> print(feature_baseline(table[~held_out], table[held_out]))       # doctest: +SKIP
feature baseline: accuracy 0.667 (error 0.333) on 600 clips; the commonest class alone gives 0.063
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.warnings import warn
from ..labels.tables import is_multilabel
from ..spectrogram.picture import read_planes
from .audio_features import feature_columns

__all__ = ["FeatureBaseline", "LinearBaseline", "feature_baseline", "linear_baseline", "row_statistics"]


def row_statistics(planes: np.ndarray) -> np.ndarray:
    """uint8 `(channels, height, width)` -> float32 `(2 * channels * height,)`: mean and standard deviation of each row."""
    x = planes.astype(np.float32) / 255
    return np.concatenate([x.mean(axis=-1).ravel(), x.std(axis=-1).ravel()])


def _features(pictures) -> np.ndarray:
    """`(pictures, features)`."""
    return np.stack([row_statistics(read_planes(path)) for path in pictures])


@dataclass(frozen=True)
class LinearBaseline:
    """What `linear_baseline` found; printed, it is a sentence."""

    accuracy: float  # share of validation's clips
    chance: float  # accuracy of always saying training's commonest label
    probs: np.ndarray  # float (clips, classes), of validation, in the order of vocab
    model: object  # scikit-learn's pipeline, fitted to row statistics
    clips: pd.DataFrame  # the clips of validation
    vocab: tuple[str, ...]
    title: ClassVar[str] = "linear baseline"

    @property
    def error(self) -> float:
        """1 - accuracy."""
        return 1 - self.accuracy

    def predict(self, pictures) -> np.ndarray:
        """float `(pictures, classes)`: probabilities of other pictures (paths of PNGs), in the order of vocab."""
        return self.model.predict_proba(_features(pictures))

    def __str__(self) -> str:
        return (
            f"{self.title}: accuracy {self.accuracy:.3f} (error {self.error:.3f}) on {len(self.clips)} clips; "
            f"the commonest class alone gives {self.chance:.3f}"
        )


@dataclass(frozen=True)
class FeatureBaseline(LinearBaseline):
    """What `feature_baseline` found; printed, it is a sentence."""

    columns: tuple[str, ...] = ()  # the features, in the order that the model takes them
    title: ClassVar[str] = "feature baseline"

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """float `(clips, classes)`: probabilities of the clips of another feature table, in the order of vocab.

        Raises ValueError where one has no features.
        """
        return self.model.predict_proba(_numbers(table, list(self.columns)))


def _fit(x: np.ndarray, labels: pd.Series, C: float):
    """Standardised features -> logistic regression, as a fitted pipeline of scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000)).fit(x, labels)


def _judge(model, x: np.ndarray, train: pd.DataFrame, valid: pd.DataFrame) -> dict:
    """What a baseline says of itself on validation's features `x`."""
    commonest = train["label"].value_counts().idxmax()
    return dict(
        accuracy=float((model.predict(x) == valid["label"].to_numpy()).mean()),
        chance=float((valid["label"] == commonest).mean()),
        probs=model.predict_proba(x),
        model=model,
        clips=valid,
        vocab=tuple(model.classes_),
    )


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
    if dls.is_multi:
        raise ValueError("the linear baseline needs one label a clip, and these clips may have several")
    train, valid = dls.train.clips, dls.valid.clips
    model = _fit(_features(train["picture"]), train["label"], C)
    return LinearBaseline(**_judge(model, _features(valid["picture"]), train, valid))


# ---------------------------------------------------------------------- without pictures


def _numbers(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """`(clips, features)`. ValueError where columns are missing or a clip has no features."""
    missing = [name for name in columns if name not in table]
    if missing or not columns:
        what = f"the features {examples(missing)}" if missing else "features"
        raise ValueError(f"the table lacks {what}; make it by feature_table(...), with the same settings")
    x = table[columns].to_numpy(float)
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{count(int(bad.sum()), 'clip')} without features ({examples(table['path'][bad])}); "
            "leave them out: table[table['status'] == 'ok']"
        )
    return x


def _usable(table: pd.DataFrame, side: str) -> pd.DataFrame:
    """The clips with features; ValueError where there are none, or no labels, or several to a clip."""
    if not {"label", "status"} <= set(table):
        raise ValueError(
            f"the table of {side} needs the columns label and status; make it by feature_table(labels, ...)"
        )
    good = table["status"] == "ok"
    if not good.any():
        raise ValueError(f"no clip of {side} has features; the column 'status' says why")
    if not good.all():
        lost = examples(table["path"][~good])
        warn(
            f"{int((~good).sum())} of {count(len(table), 'clip')} of {side} have no features and do not count ({lost})"
        )
    if is_multilabel(table):
        raise ValueError("the feature baseline needs one label a clip, and these clips have several")
    return table[good].reset_index(drop=True)


def feature_baseline(train: pd.DataFrame, valid: pd.DataFrame, C: float = 1.0) -> FeatureBaseline:
    """Logistic regression on clip-level features, fitted to the clips of one table and scored on those of another.

    Parameters
    ----------
    train, valid : rows of a `feature_table` with the column `label`; a clip that could not be read does not count, and is said
    C : inverse strength of the regularisation, of standardised features

    Raises
    ------
    ValueError : no features, several labels a clip, a recording in both tables, one label only
    """
    both = sorted(set(train["path"]) & set(valid["path"]))
    if both:
        raise ValueError(
            f"{count(len(both), 'recording')} in training and in validation ({examples(both)}); keep each on one side"
        )
    train, valid = _usable(train, "training"), _usable(valid, "validation")
    if train["label"].nunique() < 2:
        raise ValueError(f"training holds the label {train['label'].iloc[0]!r} only; a classifier needs two")
    columns = feature_columns(train)
    model = _fit(_numbers(train, columns), train["label"], C)
    return FeatureBaseline(**_judge(model, _numbers(valid, columns), train, valid), columns=tuple(columns))
