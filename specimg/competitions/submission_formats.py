"""Formats of submissions: from probabilities to the rows of a csv file, and what is wrong with a row.

A format is a value. It knows its columns, turns `(rows, classes)` probabilities into text and numbers, and checks the cells of a
submission. One of your own derives from `SubmissionFormat` and is registered with `specimg.core.values.register`.

>>> rows = pd.DataFrame({"id": ["a.wav", "b.wav"]})
>>> BestLabels(k=2).to_submission(rows, [[0.2, 0.5, 0.3], [0.8, 0.1, 0.1]], ["bark", "meow", "siren"])
   fname       label
0  a.wav  meow siren
1  b.wav   bark meow
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..core.text import count, examples
from ..core.values import Value, register
from ..metrics import top_k_labels


@dataclass(frozen=True)
class SubmissionFormat(Value, ABC):
    """Base of the formats; a subclass defines `columns`, `cells` and `problems`.

    Parameters
    ----------
    id_col : str
        The column of the row names.

    Examples
    --------
    >>> BestLabels(k=3).columns(["bark", "meow"])
    ['fname', 'label']
    """

    id_col: str = "fname"

    @abstractmethod
    def columns(self, vocab: Sequence[str]) -> list[str]:
        """The header of the csv file.

        Parameters
        ----------
        vocab : sequence of str
            The labels.

        Returns
        -------
        list of str
        """

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        """Check that predictions for these rows, of these labels, can be written.

        Parameters
        ----------
        rows : DataFrame
            The test rows.
        vocab : sequence of str
            The labels.

        Raises
        ------
        ValueError
            They cannot be written.
        """

    @abstractmethod
    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        """The cells beside the row names.

        Parameters
        ----------
        rows : DataFrame
            The test rows.
        probs : ndarray of float, shape (rows, classes)
            Probabilities.
        vocab : list of str
            The label of each column of `probs`.

        Returns
        -------
        dict of list
            Column -> cells.
        """

    @abstractmethod
    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        """What is wrong with the cells of a submission.

        Parameters
        ----------
        table : DataFrame
            The submission, all text.
        vocab : sequence of str or None
            The labels; None if they are not known.

        Returns
        -------
        list of str
            Empty if nothing is.
        """

    def to_submission(self, rows: pd.DataFrame, probs: ArrayLike, vocab: Sequence[str]) -> pd.DataFrame:
        """The submission of some predictions.

        Parameters
        ----------
        rows : DataFrame
            The test rows, with the column `id`.
        probs : array-like of float, shape (rows, classes)
            Probabilities.
        vocab : sequence of str
            The label of each column of `probs`.

        Returns
        -------
        DataFrame
            One row for each of `rows`, with the columns of `columns(vocab)`.

        Raises
        ------
        ValueError
            Rows, probabilities and labels do not go together, or a probability is nan.
        """
        probs, vocab = np.asarray(probs, float), list(vocab)
        expected = (len(rows), len(vocab))
        if probs.shape != expected:
            raise ValueError(f"the probabilities have shape {probs.shape}; expected {expected}, rows and labels")
        invalid = np.isnan(probs).any(axis=1)
        if invalid.any():
            raise ValueError(
                f"the probabilities hold nan in {count(int(invalid.sum()), 'row')} ({examples(rows['id'][invalid])}); correct them"
            )
        self.check(rows, vocab)
        return pd.DataFrame({self.id_col: rows["id"].tolist(), **self.cells(rows, probs, vocab)})


# ---------------------------------------------------------------------- labels in a cell


def _named(ids: Iterable[str], mask: Iterable, what: str) -> list[str]:
    """One problem, "2 rows <what> (a.wav, b.wav)", or none."""
    names = [name for name, is_invalid in zip(ids, mask) if is_invalid]
    return [f"{count(len(names), 'row')} {what} ({examples(names)})"] if names else []


def _unknown(ids: Iterable[str], cells: list[list[str]], known: Iterable[str] | None) -> list[str]:
    """The problem of unknown labels, each beside the row that it is in; no problem if `known` is None."""
    if known is None:
        return []
    known = set(known)
    strange = [[label for label in labels if label not in known] for labels in cells]
    named = [f"{name}: {labels[0]!r}" for name, labels in zip(ids, strange) if labels]
    return _named(named, [True] * len(named), "with a label that the competition does not know")


def _refuse_blanks(vocab: Iterable[str]) -> None:
    """ValueError for labels with blanks, which separate the labels of a cell."""
    split = [label for label in vocab if label.split() != [label]]
    if split:
        named = f"{count(len(split), 'label')} with blanks ({examples(map(repr, split))})"
        raise ValueError(f"{named}, which separate the labels of a cell; rename them")


@register
@dataclass(frozen=True)
class BestLabels(SubmissionFormat):
    """The `k` likeliest labels of each row in one cell, likeliest first, separated by blanks; one label with `k=1`.

    Parameters
    ----------
    id_col : str, default "fname"
        The column of the row names.
    label_col : str, default "label"
        The column of the labels.
    k : int, default 1
        Labels per row, at least 1.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": ["a.wav"]})
    >>> BestLabels(k=2).to_submission(rows, [[0.2, 0.5, 0.3]], ["bark", "meow", "siren"])["label"].tolist()
    ['meow siren']
    """

    label_col: str = "label"
    k: int = 1

    def _check(self):
        self._need(self.k >= 1, "give the number of labels a row, at least 1", "k")

    def columns(self, vocab: Sequence[str]) -> list[str]:
        return [self.id_col, self.label_col]

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        if self.k > 1:
            _refuse_blanks(vocab)

    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        best = top_k_labels(probs, vocab, self.k) if len(rows) else []
        return {self.label_col: [" ".join(labels) for labels in best]}

    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        ids = table[self.id_col]
        cells = [([cell] if cell.strip() else []) if self.k == 1 else cell.split() for cell in table[self.label_col]]
        return (
            _named(ids, [not cell for cell in cells], "without a label")
            + _named(ids, [len(cell) > self.k for cell in cells], f"with more than {count(self.k, 'label')}")
            + _named(ids, [len(set(cell)) < len(cell) for cell in cells], "with one label twice")
            + _unknown(ids, cells, vocab)
        )


@register
@dataclass(frozen=True)
class LabelSets(SubmissionFormat):
    """All labels above a threshold in one cell, separated by blanks.

    Parameters
    ----------
    id_col : str, default "row_id"
        The column of the row names.
    label_col : str, default "birds"
        The column of the labels.
    threshold : float, default 0.5
        A label is written if its probability is above, 0 to 1.
    nothing : str, default "nocall"
        What is written if no label is.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": ["night_5", "night_10"]})
    >>> LabelSets().to_submission(rows, [[0.2, 0.1], [0.7, 0.6]], ["owl", "wren"])["birds"].tolist()
    ['nocall', 'owl wren']
    """

    id_col: str = "row_id"
    label_col: str = "birds"
    threshold: float = 0.5
    nothing: str = "nocall"

    def _check(self):
        self._need(0 <= self.threshold <= 1, "give a probability, from 0 to 1", "threshold")
        self._need(self.nothing.split() == [self.nothing], "give one word, such as 'nocall'", "nothing")

    def columns(self, vocab: Sequence[str]) -> list[str]:
        return [self.id_col, self.label_col]

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        _refuse_blanks(vocab)

    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        chosen = [[vocab[i] for i in np.flatnonzero(row > self.threshold) if vocab[i] != self.nothing] for row in probs]
        return {self.label_col: [" ".join(labels) or self.nothing for labels in chosen]}

    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        ids, cells = table[self.id_col], [cell.split() for cell in table[self.label_col]]
        both = [self.nothing in cell and {*cell} != {self.nothing} for cell in cells]
        return (
            _named(ids, [not cell for cell in cells], f"without a label, where {self.nothing!r} should be")
            + _named(ids, both, f"with {self.nothing!r} beside other labels")
            + _named(ids, [len(set(cell)) < len(cell) for cell in cells], "with one label twice")
            + _unknown(ids, cells, None if vocab is None else [*vocab, self.nothing])
        )


# ---------------------------------------------------------------------- a number or a decision


@register
@dataclass(frozen=True)
class ClassColumns(SubmissionFormat):
    """A column for each class, in the order of the vocabulary, with its probability.

    Parameters
    ----------
    id_col : str, default "fname"
        The column of the row names.

    Examples
    --------
    >>> ClassColumns().to_submission(pd.DataFrame({"id": ["a.wav"]}), [[0.2, 0.8]], ["bark", "meow"])
       fname  bark  meow
    0  a.wav   0.2   0.8
    """

    def columns(self, vocab: Sequence[str]) -> list[str]:
        return [self.id_col, *vocab]

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        if self.id_col in vocab:
            raise ValueError(f"the label {self.id_col!r} has the name of the column of row names; rename it")

    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        return {label: column.tolist() for label, column in zip(vocab, probs.T)}

    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        cells = table.drop(columns=self.id_col)
        read = [pd.to_numeric(cells[name], errors="coerce") for name in cells]
        numbers = np.array(read, float).reshape(cells.shape[::-1]).T

        def named(mask: np.ndarray, what: str) -> list[str]:
            rows, first = np.flatnonzero(mask.any(axis=1)), mask.argmax(axis=1)
            names = [
                f"{table[self.id_col].iloc[row]}: {cells.columns[first[row]]} {cells.iloc[row, first[row]]!r}"
                for row in rows[:4]
            ]
            return [f"{count(len(rows), 'row')} with {what} ({examples(names)})"] if len(rows) else []

        finite = np.isfinite(numbers)
        return named(~finite, "a cell that is not a finite number") + named(
            finite & ~((numbers >= 0) & (numbers <= 1)), "a probability outside 0 to 1"
        )


@register
@dataclass(frozen=True)
class Decisions(SubmissionFormat):
    """A row for each clip and label, such as "is this bird audible in these seconds?", predicted as True or False.

    The test rows need the column `target_label`, the label of each row.

    Parameters
    ----------
    id_col : str, default "row_id"
        The column of the row names.
    label_col : str, default "target"
        The column of the decisions.
    threshold : float, default 0.5
        True if the probability is above, 0 to 1.

    Examples
    --------
    >>> rows = pd.DataFrame({"id": ["night_owl_5", "night_wren_5"], "target_label": ["owl", "wren"]})
    >>> Decisions().to_submission(rows, [[0.9, 0.1], [0.9, 0.1]], ["owl", "wren"])["target"].tolist()
    [True, False]
    """

    id_col: str = "row_id"
    label_col: str = "target"
    threshold: float = 0.5

    def _check(self):
        self._need(0 <= self.threshold <= 1, "give a probability, from 0 to 1", "threshold")

    def columns(self, vocab: Sequence[str]) -> list[str]:
        return [self.id_col, self.label_col]

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        if "target_label" not in rows:
            raise ValueError(f"test rows need the column 'target_label', the label of each row; they have {list(rows)}")
        unknown = sorted(set(map(str, rows["target_label"])) - set(vocab))
        if unknown:
            raise ValueError(
                f"{count(len(unknown), 'target label')} not in the vocabulary ({examples(unknown)}); add them to it"
            )

    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        number = {label: i for i, label in enumerate(vocab)}
        own = probs[np.arange(len(rows)), [number[str(label)] for label in rows["target_label"]]]
        return {self.label_col: (own > self.threshold).tolist()}

    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        return _named(table[self.id_col], ~table[self.label_col].isin(["True", "False"]), "with neither True nor False")
