"""The table of predictions: it selects, merges and scores itself, and is saved as one file.

    valid = Predictions.load("valid.npz")
    wrong = valid.subset(valid.table["right"].eq(False))
    everything = fold0.merge(fold1, fold2)
    everything.score("map@3")

Rows of the table, of the probabilities and of the embeddings correspond; nothing here needs a network.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..core.files import write_atomic
from ..core.reading import parse_json, read_npz
from ..core.text import count
from ..core.values import choose
from ..metrics import get_metric, list_metrics

_DERIVED = ["prediction", "confidence", "right"]  # columns computed from probabilities and targets
_FIRST = ["path", "picture", "target", "prediction", "loss", "confidence", "right"]
_NUMBERS = ("start", "end", "loss", "weight")  # columns of numbers, where there are any
_FORMAT = 1  # of the file that `save` writes
_MOST_TEXT, _MOST_TEXT_OF_CLIP = 2**22, 2**14  # bytes of the table in that file: of its labels, and of each clip
# brackets in it, those of names included: a list takes twenty times the memory of its text
_MOST_LISTS, _MOST_LISTS_OF_CLIP = (1000, 64)
THRESHOLD = 0.5  # with several labels a clip, those of a higher probability are predicted


def is_missing(label: object) -> bool:
    """Whether it is None, NaN or NA."""
    return bool(pd.api.types.is_scalar(label) and pd.isna(label))


def _plain_target(label: object, is_multi: bool) -> str | list[str] | None:
    """A label as str, or several as a list of str; None if unknown."""
    if is_missing(label):
        return None
    if not is_multi:
        return str(label)
    if isinstance(label, str):
        raise ValueError(f"the target {label!r} is one label; with is_multi=True give a list of labels")
    return [str(one) for one in label]


def _as_json(cell: object) -> object:
    """For json.dumps: missing values, numpy's numbers, dates and paths."""
    if is_missing(cell):
        return None
    return cell.item() if isinstance(cell, np.generic) else str(cell)


def _one_hot(targets: list, vocab: list[str]) -> np.ndarray:
    """(n, classes) bool: the labels of each clip; none for an unknown target."""
    number = {label: i for i, label in enumerate(vocab)}
    hot = np.zeros((len(targets), len(vocab)), dtype=bool)
    for row, labels in enumerate(targets):
        for label in [labels] if isinstance(labels, str) else labels or []:
            if label not in number:
                raise ValueError(
                    f"row {row} has the target {label!r}, which is none of the {len(vocab)} labels of the "
                    "vocabulary; leave such rows out, or set their target to None"
                )
            hot[row, number[label]] = True
    return hot


def _check_features(name: str, features: np.ndarray | None, n: int) -> None:
    if features is not None and (features.ndim != 2 or len(features) != n):
        raise ValueError(f"{name} has the shape {features.shape}; {n} clips need ({n}, features)")


def _check(table: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> None:
    if "path" not in table:
        raise ValueError(f"the table has the columns {list(table.columns)}; it needs at least 'path'")
    if len(set(vocab)) != len(vocab):
        raise ValueError(f"the vocabulary names a label twice: {vocab}")
    if probs.shape != (len(table), len(vocab)):
        raise ValueError(
            f"probs has the shape {probs.shape}; {len(table)} clips and {len(vocab)} labels "
            f"need {(len(table), len(vocab))}"
        )
    if (probs < 0).any() or (probs > 1 + 1e-3).any():  # half precision rounds 1 upwards
        raise ValueError(
            f"probs reaches from {np.nanmin(probs):g} to {np.nanmax(probs):g}; probabilities lie between "
            "0 and 1: apply softmax or sigmoid to the network's outputs"
        )


def _metric_function(name: str, is_multi: bool) -> Callable:
    """The metric of that name; ValueError if it is for the other kind of target."""
    found = get_metric(name)
    if found.multilabel != is_multi:
        fitting = [other for other in list_metrics() if get_metric(other).multilabel == is_multi]
        raise ValueError(
            f"the metric {name!r} is for {'several labels' if found.multilabel else 'one label'} a clip; "
            f"choose one of {', '.join(fitting)}"
        )
    return found.function


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    """The rows of all parts; None unless every part has them, with the same number of features."""
    widths = {None if part is None else part.shape[1] for part in parts}
    return np.concatenate(parts) if len(widths) == 1 and None not in widths else None


class Predictions:
    """The predictions of a network for n clips; rows of `table`, `probs` and `embeddings` correspond.

    Parameters
    ----------
    table : DataFrame
        `path`; `picture` (a PNG; waveforms have `recording` instead), `target`, `loss` and any further columns where known. A target
        is a label, with `is_multi` a list of labels, and None if unknown.
    probs : array-like of shape (n, classes)
        Probabilities, 0 to 1.
    vocab : sequence of str
        The labels, in the order of the columns of `probs`.
    embeddings : array-like of shape (n, features), optional
        Input of the network's last layer.
    is_multi : bool, default False
        May a clip carry several labels?
    layers : dict of str to array-like of shape (n, features), optional
        Outputs of further layers by name.

    Attributes
    ----------
    table : DataFrame
        path, picture, target, prediction, loss, confidence, right and the further columns. `prediction` is the most probable
        label, or with `is_multi` the list of labels above 0.5; None if probabilities are NaN, as those of a diverged network.
        `confidence` is the largest probability. `right` is NA where the target is unknown.
    hot : ndarray of bool, shape (n, classes)
        The targets.
    labelled : ndarray of bool, shape (n,)
        Is the target known?

    Raises
    ------
    ValueError
        The shapes do not agree, a value of `probs` is not a probability, or a target is not in `vocab`.

    Examples
    --------
    >>> from specimg.training import Predictions
    >>> table = pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav"], "target": ["cat", "dog", "dog"]})
    >>> valid = Predictions(table, [[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]], ["cat", "dog"])
    >>> valid.table[["path", "target", "prediction", "right"]]
        path target prediction  right
    0  a.wav    cat        cat   True
    1  b.wav    dog        dog   True
    2  c.wav    dog        cat  False
    >>> round(valid.score("accuracy"), 2)
    0.67
    """

    def __init__(
        self,
        table: pd.DataFrame,
        probs: ArrayLike,
        vocab: Sequence[str],
        embeddings: ArrayLike | None = None,
        is_multi: bool = False,
        layers: dict[str, ArrayLike] | None = None,
    ) -> None:
        self.vocab = [str(label) for label in vocab]
        self.probs = np.asarray(probs, dtype=np.float32)
        self.embeddings = None if embeddings is None else np.asarray(embeddings, dtype=np.float32)
        self.layers = {name: np.asarray(x, dtype=np.float32) for name, x in (layers or {}).items()}
        self.is_multi = bool(is_multi)
        _check(table, self.probs, self.vocab)
        for name, features in {"embeddings": self.embeddings, **self.layers}.items():
            _check_features(name, features, len(table))
        given = table["target"].tolist() if "target" in table else [None] * len(table)
        targets = [_plain_target(label, self.is_multi) for label in given]
        self.hot = _one_hot(targets, self.vocab)
        self.labelled = np.array([target is not None for target in targets], dtype=bool)
        self.table = self._complete(table.reset_index(drop=True), targets)

    def _complete(self, table: pd.DataFrame, targets: list) -> pd.DataFrame:
        """The table with every column, those of this class first."""
        n = len(table)
        known = ~np.isnan(self.probs).any(axis=1)
        right = pd.array((self.chosen == self.hot).all(axis=1) & known, dtype="boolean")
        right[~self.labelled] = pd.NA
        pictures = table.get("picture", [""] * n if "recording" in table else table["path"])
        columns = {
            "path": table["path"].map(str).to_numpy(object),
            "picture": [str(file) if isinstance(file, (str, os.PathLike)) else "" for file in pictures],
            "target": pd.Series(targets, dtype=object),
            "prediction": pd.Series(self._predictions(known), dtype=object),
            "loss": np.asarray(table.get("loss", np.full(n, np.nan)), dtype=np.float32),
            "confidence": self.probs.max(axis=1, initial=-np.inf),
            "right": right if not self.labelled.all() else right.to_numpy(bool),
        }
        return pd.DataFrame(columns).assign(**{name: table[name] for name in table if name not in _FIRST})

    def _predictions(self, known: np.ndarray) -> list:
        """The predicted labels; None if `known` is False."""
        labels = [[self.vocab[i] for i in np.flatnonzero(row)] for row in self.chosen]
        return [(row if self.is_multi else row[0]) if ok else None for row, ok in zip(labels, known)]

    @property
    def chosen(self) -> np.ndarray:
        """ndarray of bool, shape (n, classes): the predicted labels, one a row unless `is_multi`."""
        if self.is_multi:
            return self.probs > THRESHOLD
        return np.arange(len(self.vocab)) == self.probs.argmax(axis=1)[:, None]

    def features(self, on: str = "embeddings") -> np.ndarray:
        """The features of the clips, for maps and searches.

        Parameters
        ----------
        on : str, default "embeddings"
            "embeddings", "probabilities", or the name of one of `layers`.

        Returns
        -------
        ndarray of shape (n, features)

        Raises
        ------
        ValueError
            The name is unknown, or no embeddings were kept.
        """
        choose(on, ["embeddings", "probabilities", *self.layers], "features")
        if on == "probabilities":
            return self.probs
        if on in self.layers:
            return self.layers[on]
        if self.embeddings is None:
            raise ValueError(
                "these predictions hold no embeddings; predict with embeddings=True, take one network of a run, "
                "from_run(run, fold=0), or ask for on='probabilities'"
            )
        return self.embeddings

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        kind = "multi-label, " if self.is_multi else ""
        features = "no embeddings" if self.embeddings is None else f"embeddings of {self.embeddings.shape[1]}"
        return (
            f"Predictions({len(self)} clips, {self.labelled.sum()} with a target, "
            f"{kind}{len(self.vocab)} labels, {features})"
        )

    def subset(self, mask: ArrayLike) -> Predictions:
        """Some of the rows.

        Parameters
        ----------
        mask : array-like of bool, shape (n,), or of int
            The rows to keep, by a mask in which NA counts as False, or by their numbers.

        Returns
        -------
        Predictions

        Raises
        ------
        ValueError
            The mask has another length.
        """
        mask = np.asarray(mask.fillna(False) if isinstance(mask, pd.Series) else mask)
        if mask.dtype == object:
            mask = mask.astype(bool)
        if mask.dtype == bool and mask.shape != (len(self),):
            raise ValueError(f"the mask has the shape {mask.shape}; {len(self)} clips need ({len(self)},)")
        rows = np.arange(len(self))[mask]
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        layers = {name: x[rows] for name, x in self.layers.items()}
        return Predictions(self.table.iloc[rows], self.probs[rows], self.vocab, embeddings, self.is_multi, layers)

    def merge(self, *others: Predictions) -> Predictions:
        """These rows, then those of the others, as for the folds of a cross-validation.

        Embeddings are kept where every part has them with the same number of features. Those of two networks are not comparable:
        do not draw them into one t-SNE.

        Parameters
        ----------
        *others : Predictions
            With the same vocabulary in the same order.

        Returns
        -------
        Predictions

        Raises
        ------
        ValueError
            The vocabularies or the kinds of label differ.
        """
        parts = [self, *others]
        for other in others:
            if other.vocab != self.vocab or other.is_multi != self.is_multi:
                raise ValueError(
                    f"the vocabularies differ, {self.vocab} and {other.vocab}; "
                    "train all folds with one `vocab` and the same kind of label"
                )
        embeddings = _joined([part.embeddings for part in parts])
        layers = {name: _joined([part.layers.get(name) for part in parts]) for name in self.layers}
        table = pd.concat([part.table.drop(columns=_DERIVED) for part in parts], ignore_index=True)
        layers = {name: x for name, x in layers.items() if x is not None}
        return Predictions(
            table, np.concatenate([p.probs for p in parts]), self.vocab, embeddings, self.is_multi, layers
        )

    def score(self, metric: str | Callable[[np.ndarray, np.ndarray], float] = "accuracy") -> float:
        """A metric over the clips whose target is known.

        Parameters
        ----------
        metric : str or callable, default "accuracy"
            A name of `specimg.metrics.list_metrics()`, such as "map@3"; or a function of targets, class numbers (n,) or with
            `is_multi` 0 and 1 (n, classes), and probabilities (n, classes).

        Returns
        -------
        float

        Raises
        ------
        ValueError
            No target is known, or the metric is unknown or for the other kind of target.
        """
        if not self.labelled.any():
            raise ValueError(f"none of the {len(self)} clips has a target; score needs a loader with labels")
        if isinstance(metric, str):
            metric = _metric_function(metric, self.is_multi)
        hot = self.hot[self.labelled]
        return float(metric(hot.astype(int) if self.is_multi else hot.argmax(axis=1), self.probs[self.labelled]))

    def save(self, path: str | os.PathLike) -> None:
        """Write one .npz file: the arrays, and the rest as JSON. It contains no pickle.

        Parameters
        ----------
        path : path
            The file; the write is atomic.
        """
        columns = {name: self.table[name].tolist() for name in self.table if name not in _DERIVED}
        about = {
            "format": _FORMAT,
            "vocab": self.vocab,
            "is_multi": self.is_multi,
            "columns": columns,
            "layers": list(self.layers),
        }
        text = json.dumps(about, default=_as_json).encode()
        arrays = {"probs": self.probs, "about": np.frombuffer(text, dtype=np.uint8)}
        if self.embeddings is not None:
            arrays["embeddings"] = self.embeddings
        arrays |= {f"layer{i}": x for i, x in enumerate(self.layers.values())}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_atomic(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Predictions:
        """Read what `save` wrote.

        Parameters
        ----------
        path : path
            The .npz file.

        Returns
        -------
        Predictions

        Raises
        ------
        ValueError
            The file is anything else; pickled objects are never loaded.
        """
        try:
            return cls._from_arrays(read_npz(path))
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as exc:
            raise ValueError(f"{os.fspath(path)}: not predictions that Predictions.save wrote: {_reason(exc)}") from exc

    @classmethod
    def _from_arrays(cls, arrays: dict[str, np.ndarray]) -> Predictions:
        """What `save` put into its arrays. ValueError, KeyError ... for anything else."""
        probs, text = arrays["probs"], arrays["about"]
        if text.nbytes > _MOST_TEXT + _MOST_TEXT_OF_CLIP * len(probs):
            raise ValueError(f"its table takes {text.nbytes} bytes, too many for {count(len(probs), 'clip')}")
        data = text.tobytes()
        if data.count(b"[") + data.count(b"{") > _MOST_LISTS + _MOST_LISTS_OF_CLIP * len(probs):
            raise ValueError(f"its table holds too many lists for {count(len(probs), 'clip')}")
        about = parse_json(data, "its table")
        if about["format"] != _FORMAT:
            raise ValueError(f"its format is {about['format']!r:.40}, this version reads {_FORMAT}")
        columns, vocab, is_multi = about["columns"], about["vocab"], about["is_multi"]
        if not isinstance(is_multi, bool) or not isinstance(vocab, list) or not all(isinstance(v, str) for v in vocab):
            raise ValueError("its labels are no list of texts")
        if not isinstance(columns, dict) or not all(
            isinstance(column, list) and len(column) == len(probs) for column in columns.values()
        ):
            raise ValueError(f"its columns are not lists of {count(len(probs), 'clip')}")
        numbers = [cell for name in _NUMBERS for cell in columns.get(name, [])]
        if not all(
            cell is None or (isinstance(cell, (int, float)) and abs(cell) < 1e300) for cell in numbers if cell == cell
        ):
            raise ValueError(f"one of its columns {', '.join(_NUMBERS)} holds something else than numbers")
        if probs.dtype.kind not in "fiu" or not all(isinstance(path, str) for path in columns["path"]):
            raise ValueError("its probabilities are no numbers, or its paths no texts")
        layers = {str(name): arrays[f"layer{i}"] for i, name in enumerate(about.get("layers", []))}
        return cls(pd.DataFrame(columns), probs, vocab, arrays.get("embeddings"), is_multi, layers)


def _reason(exc: Exception) -> str:
    return f"it has no {exc}" if isinstance(exc, KeyError) else str(exc)
