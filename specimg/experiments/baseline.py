"""The score that a network has to beat: linear models without the order of frames in time.

`linear_baseline(dls)` describes each picture by the mean and the standard deviation of each of its rows, and fits logistic regression to
that: it separates sounds by their average spectrum in a second, and what a network gains over it comes from shape.
`feature_baseline(dls)` does the same with features of the recordings (`feature_table`), without pictures.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.warnings import warn
from ..labels.tables import clip_index, is_multilabel
from ..spectrogram.picture import read_planes
from .audio_features import feature_columns, feature_table

if TYPE_CHECKING:
    from fastai.vision.all import Learner
    from sklearn.pipeline import Pipeline

    from ..data import ClipDataLoaders, SpecDataLoaders
    from ..training import Predictions


def row_statistics(planes: np.ndarray) -> np.ndarray:
    """uint8 `(channels, height, width)` -> float32 `(2 * channels * height,)`: mean and standard deviation of each row."""
    x = planes.astype(np.float32) / 255
    return np.concatenate([x.mean(axis=-1).ravel(), x.std(axis=-1).ravel()])


def _features(pictures: Iterable[str | os.PathLike]) -> np.ndarray:
    """`(pictures, features)`."""
    return np.stack([row_statistics(read_planes(path)) for path in pictures])


FEW_EPOCHS, FEW_CLIPS = 10, 20  # below which a network had little time, or few clips per class, to learn from


def likely_reasons(history: pd.DataFrame | None, pretrained: bool, n_clips: int, n_classes: int) -> list[str]:
    """Why a network may lose to a linear model, as far as its training tells.

    Parameters
    ----------
    history : DataFrame or None
        A row per epoch, with train_loss and valid_loss.
    pretrained : bool
        Did it start from pretrained weights?
    n_clips, n_classes : int
        Clips of training, and labels.

    Returns
    -------
    list of str
        Each with what to try.

    Examples
    --------
    >>> from specimg.experiments.baseline import likely_reasons
    >>> likely_reasons(None, False, 500, 10)
    ['it began with random weights: pretrained ones learn from fewer clips (pretrained=True)']
    """
    found = (
        [] if pretrained else ["it began with random weights: pretrained ones learn from fewer clips (pretrained=True)"]
    )
    if n_clips < FEW_CLIPS * n_classes:
        found.append(
            f"it had {count(round(n_clips / n_classes), 'clip')} per class: add some, or variants=[...] of those there are"
        )
    if history is None or not len(history):
        return found
    train, valid = history["train_loss"].to_numpy(float), history["valid_loss"].to_numpy(float)
    if train[-1] > 0.9 * np.log(n_classes):
        found.append(
            f"its training loss, {train[-1]:.2f}, is that of guessing: the learning rate does not suit it (lr='find')"
        )
    elif len(history) < FEW_EPOCHS:
        found.append(f"it learnt for {count(len(history), 'epoch')} only (epochs=...)")
    if train[-1] < valid[-1] / 2 and valid.min() < valid[-1]:
        found.append(
            f"it knows its training clips by heart (loss {train[-1]:.2f}, of validation {valid[-1]:.2f}): keep the best epoch "
            "(best_model=True), or train for fewer"
        )
    return found


@dataclass(frozen=True)
class LinearBaseline:
    """What `linear_baseline` found; printed, it is a sentence.

    Parameters
    ----------
    accuracy : float
        Share of the validation clips that are predicted correctly.
    chance : float
        Accuracy of always predicting the most frequent label of training.
    probs : ndarray of shape (clips, classes)
        Probabilities of the validation clips, in the order of `vocab`.
    model : sklearn Pipeline
        Scaler and logistic regression, fitted to the features.
    clips : DataFrame
        The validation clips.
    vocab : tuple of str
        The labels.

    Examples
    --------
    >>> baseline = sp.linear_baseline(dls)
    >>> baseline.vocab, baseline.probs.shape[1], baseline.error == 1 - baseline.accuracy
    (('cat', 'dog'), 2, True)
    """

    accuracy: float
    chance: float
    probs: np.ndarray
    model: Pipeline
    clips: pd.DataFrame
    vocab: tuple[str, ...]
    title: ClassVar[str] = "linear baseline"

    @property
    def error(self) -> float:
        """1 - accuracy."""
        return 1 - self.accuracy

    def predict(self, pictures: Iterable[str | os.PathLike]) -> np.ndarray:
        """Probabilities of other pictures.

        Parameters
        ----------
        pictures : iterable of str or path-like
            PNG files, such as `tree.picture(path)`.

        Returns
        -------
        ndarray of shape (pictures, classes)
            In the order of `vocab`.
        """
        return self.model.predict_proba(_features(pictures))

    def compare(self, predictions: Predictions, learn: Learner | None = None) -> str:
        """Whether a network does better on the same clips and, if it does not, the likely reasons.

        Parameters
        ----------
        predictions : Predictions
            The network's, of the validation clips.
        learn : Learner, optional
            The network's learner, for the reasons.

        Returns
        -------
        str
            A sentence or two. Differences that a fair coin would give once in 20 times (McNemar's exact test) count as chance.

        Raises
        ------
        ValueError
            The predictions are of other clips.

        Examples
        --------
        >>> print(sp.linear_baseline(dls).compare(interp.predictions, learn))            # doctest: +SKIP
        the network (accuracy 0.270) loses to the linear baseline (0.610) on 113 clips. Likely reasons: it learnt for 5 epochs only (epochs=...)
        """
        from scipy.stats import binomtest

        rows = clip_index(predictions.table).get_indexer(clip_index(self.clips))
        if (rows < 0).any():
            raise ValueError(
                f"{count(int((rows < 0).sum()), 'clip')} of the baseline are not among the predictions; give those of the same clips"
            )
        labels = self.clips["label"].to_numpy()
        ours = np.array(self.vocab)[self.probs.argmax(axis=1)] == labels
        theirs = np.array(predictions.vocab)[predictions.probs[rows].argmax(axis=1)] == labels
        better, worse = int((theirs & ~ours).sum()), int((ours & ~theirs).sum())
        by_chance = better + worse == 0 or binomtest(better, better + worse).pvalue > 0.05
        words = "beats" if better > worse else "loses to" if worse > better else "equals"
        found = f"the network (accuracy {theirs.mean():.3f}) {words} the {self.title} ({self.accuracy:.3f}) on {count(len(labels), 'clip')}"
        found += ", by no more than chance" if by_chance and words != "equals" else ""
        if better > worse or learn is None:
            return found
        history = getattr(learn, "history", None)
        n = len(learn.dls.train.clips)
        reasons = likely_reasons(history, bool(getattr(learn, "pretrained", False)), n, len(self.vocab))
        return f"{found}. Likely reasons: {'; '.join(reasons)}" if reasons else found

    def __str__(self) -> str:
        return (
            f"{self.title}: accuracy {self.accuracy:.3f} (error {self.error:.3f}) on {len(self.clips)} clips; "
            f"the most frequent class alone gives {self.chance:.3f}"
        )


@dataclass(frozen=True)
class FeatureBaseline(LinearBaseline):
    """What `feature_baseline` found; printed, it is a sentence.

    Parameters
    ----------
    accuracy : float
        Share of the validation clips that are predicted correctly.
    chance : float
        Accuracy of always predicting the most frequent label of training.
    probs : ndarray of shape (clips, classes)
        Probabilities of the validation clips, in the order of `vocab`.
    model : sklearn Pipeline
        Scaler and logistic regression, fitted to the features.
    clips : DataFrame
        The validation clips.
    vocab : tuple of str
        The labels.
    columns : tuple of str
        The features, in the order of the model.

    Examples
    --------
    >>> table = sp.experiments.feature_table(sp.labels_from_folders("clips"), "clips", progress=False)
    >>> print(sp.feature_baseline(table[::2], table[1::2]))
    feature baseline: accuracy 1.000 (error 0.000) on 6 clips; the most frequent class alone gives 0.500
    """

    columns: tuple[str, ...] = ()
    title: ClassVar[str] = "feature baseline"

    def predict(self, table: pd.DataFrame) -> np.ndarray:
        """Probabilities of the clips of another feature table.

        Parameters
        ----------
        table : DataFrame
            As `feature_table` gives it, with the same settings.

        Returns
        -------
        ndarray of shape (clips, classes)
            In the order of `vocab`.

        Raises
        ------
        ValueError
            A clip has no features.
        """
        return self.model.predict_proba(_numbers(table, list(self.columns)))


def _fit(x: np.ndarray, labels: pd.Series, C: float) -> Pipeline:
    """Standardisation and logistic regression, as a fitted pipeline of scikit-learn."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=5000)).fit(x, labels)


def _evaluate(model: Pipeline, x: np.ndarray, train: pd.DataFrame, valid: pd.DataFrame) -> dict:
    """The fields of a baseline, from the features `x` of validation."""
    most_frequent = train["label"].value_counts().idxmax()
    return dict(
        accuracy=float((model.predict(x) == valid["label"].to_numpy()).mean()),
        chance=float((valid["label"] == most_frequent).mean()),
        probs=model.predict_proba(x),
        model=model,
        clips=valid,
        vocab=tuple(model.classes_),
    )


def linear_baseline(dls: SpecDataLoaders, C: float = 1.0) -> LinearBaseline:
    """Logistic regression on row statistics, fitted to the training clips and scored on the validation clips.

    Parameters
    ----------
    dls : SpecDataLoaders
        With one label per clip.
    C : float, default 1.0
        Inverse strength of the regularisation, of standardised features.

    Returns
    -------
    LinearBaseline

    Raises
    ------
    ValueError
        Clips may have several labels.

    Examples
    --------
    >>> print(sp.linear_baseline(dls))                                          # doctest: +SKIP
    linear baseline: accuracy 0.683 (error 0.317) on 600 clips; the most frequent class alone gives 0.063
    >>> sp.linear_baseline(dls).vocab
    ('cat', 'dog')
    """
    if dls.is_multi:
        raise ValueError("the linear baseline needs one label a clip, and these clips may have several")
    train, valid = dls.train.clips, dls.valid.clips
    model = _fit(_features(train["picture"]), train["label"], C)
    return LinearBaseline(**_evaluate(model, _features(valid["picture"]), train, valid))


# ---------------------------------------------------------------------- without pictures


def _numbers(table: pd.DataFrame, columns: list[str]) -> np.ndarray:
    """`(clips, features)`. ValueError if columns are missing or a clip has no features."""
    missing = [name for name in columns if name not in table]
    if missing or not columns:
        what = f"the features {examples(missing)}" if missing else "features"
        raise ValueError(f"the table lacks {what}; make it by feature_table(...), with the same settings")
    x = table[columns].to_numpy(float)
    invalid = ~np.isfinite(x).all(axis=1)
    if invalid.any():
        raise ValueError(
            f"{count(int(invalid.sum()), 'clip')} without features ({examples(table['path'][invalid])}); "
            "leave them out: table[table['status'] == 'ok']"
        )
    return x


def _usable(table: pd.DataFrame, part: str) -> pd.DataFrame:
    """The clips with features; ValueError if there are none, or no labels, or several per clip."""
    if not {"label", "status"} <= set(table):
        raise ValueError(
            f"the table of {part} needs the columns label and status; make it by feature_table(labels, ...)"
        )
    good = table["status"] == "ok"
    if not good.any():
        raise ValueError(f"no clip of {part} has features; the column 'status' says why")
    if not good.all():
        lost = examples(table["path"][~good])
        warn(
            f"{int((~good).sum())} of {count(len(table), 'clip')} of {part} have no features and do not count ({lost})"
        )
    if is_multilabel(table):
        raise ValueError("the feature baseline needs one label a clip, and these clips have several")
    return table[good].reset_index(drop=True)


def _feature_tables(dls: ClipDataLoaders, progress: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The features of the recordings of training and of validation, read as the loaders read them."""
    tables = []
    for dl in (dls.train, dls.valid):
        clips = dl.clips
        clips = clips[clips["variant"] == ""] if "variant" in clips else clips  # each recording once, as it is
        tree, renderer = dl.tree, getattr(dl, "renderer", None)
        if tree is not None and tree.source is None:
            raise ValueError("the recordings of these pictures are not known; make a feature_table of the recordings")
        folder = tree.source if tree is not None else os.path.commonpath(map(os.path.dirname, clips["recording"]))
        files = clips["path"] if tree is not None else [os.path.relpath(file, folder) for file in clips["recording"]]
        audio = dl.audio if renderer is None else renderer.audio
        table = feature_table(clips.assign(path=files), folder, audio, progress=progress)
        tables.append(table.reset_index(drop=True))
    return tables[0], tables[1]


def feature_baseline(
    train: pd.DataFrame | ClipDataLoaders, valid: pd.DataFrame | None = None, C: float = 1.0, progress: bool = True
) -> FeatureBaseline:
    """Logistic regression on clip-level features, fitted to the clips of training and scored on those of validation.

    Parameters
    ----------
    train : DataFrame or DataLoaders
        Rows of a `feature_table` with the column `label`, of which clips that could not be read are left out, with a warning; or
        `SpecDataLoaders` or `WaveDataLoaders`, whose recordings are read.
    valid : DataFrame, optional
        The same of validation, where `train` is a table.
    C : float, default 1.0
        Inverse strength of the regularisation, of standardised features.
    progress : bool, default True
        Show a bar while recordings are read.

    Returns
    -------
    FeatureBaseline

    Raises
    ------
    ValueError
        No features, several labels per clip, a recording in both tables, or a single label.

    Examples
    --------
    >>> table = sp.experiments.feature_table(sp.labels_from_folders("clips"), "clips", progress=False)
    >>> sp.feature_baseline(table[::2], table[1::2]).accuracy
    1.0
    >>> sp.feature_baseline(dls, progress=False).accuracy
    1.0
    """
    if not isinstance(train, pd.DataFrame):
        if valid is not None:
            raise ValueError("valid= goes with a table; DataLoaders hold their own validation set")
        train, valid = _feature_tables(train, progress)
    if valid is None:
        raise ValueError("a table of training needs valid=, a table of validation")
    both = sorted(set(train["path"]) & set(valid["path"]))
    if both:
        raise ValueError(
            f"{count(len(both), 'recording')} in training and in validation ({examples(both)}); keep each in one of them"
        )
    train, valid = _usable(train, "training"), _usable(valid, "validation")
    if train["label"].nunique() < 2:
        raise ValueError(f"training holds the label {train['label'].iloc[0]!r} only; a classifier needs two")
    columns = feature_columns(train)
    model = _fit(_numbers(train, columns), train["label"], C)
    return FeatureBaseline(**_evaluate(model, _numbers(valid, columns), train, valid), columns=tuple(columns))
