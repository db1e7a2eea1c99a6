"""How a competition wants its answers written: from probabilities to the rows of a submission, and what is wrong with a row.

A format is a value. It knows its columns, turns `(rows, classes)` probabilities into text and numbers, and reads a submission
back to say what no scorer would accept.

>>> rows = pd.DataFrame({"id": ["a.wav", "b.wav"]})
>>> BestLabels(k=2).answers(rows, [[0.2, 0.5, 0.3], [0.8, 0.1, 0.1]], ["bark", "meow", "siren"])
   fname       label
0  a.wav  meow siren
1  b.wav   bark meow

A format of your own derives from `SubmissionFormat` and is registered with `specimg.core.values.register`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.values import Value, register
from ..metrics import top_k_labels

__all__ = ["SubmissionFormat", "BestLabels", "LabelSets", "ClassColumns", "Decisions"]


@dataclass(frozen=True)
class SubmissionFormat(Value, ABC):
    """Base of the formats. `id_col` is the column that names what a row answers for."""

    id_col: str = "fname"

    @abstractmethod
    def columns(self, vocab: Sequence[str]) -> list[str]:
        """The header."""

    def check(self, rows: pd.DataFrame, vocab: Sequence[str]) -> None:
        """Raise ValueError where answers for these rows, in these labels, could not be written."""

    @abstractmethod
    def cells(self, rows: pd.DataFrame, probs: np.ndarray, vocab: list[str]) -> dict[str, list]:
        """What stands beside the row's name, by column."""

    @abstractmethod
    def problems(self, table: pd.DataFrame, vocab: Sequence[str] | None) -> list[str]:
        """What is wrong with the cells of a submission (all text), in words; `vocab` None where the labels are not known."""

    def answers(self, rows: pd.DataFrame, probs: np.ndarray, vocab: Sequence[str]) -> pd.DataFrame:
        """The submission: one row for each of `rows` (column `id`), from float `(rows, classes)` probabilities.

        Raises ValueError where rows, probabilities and labels do not go together, and where a probability is nan.
        """
        probs, vocab = np.asarray(probs, float), list(vocab)
        expected = (len(rows), len(vocab))
        if probs.shape != expected:
            raise ValueError(
                f"the probabilities have shape {probs.shape}; expected {expected}, a row each answer and a column each label"
            )
        bad = np.isnan(probs).any(axis=1)
        if bad.any():
            raise ValueError(
                f"the probabilities hold nan in {count(int(bad.sum()), 'row')} ({examples(rows['id'][bad])}); correct them"
            )
        self.check(rows, vocab)
        return pd.DataFrame({self.id_col: rows["id"].tolist(), **self.cells(rows, probs, vocab)})


# ---------------------------------------------------------------------- labels in a cell


def _named(ids: Iterable[str], bad, what: str) -> list[str]:
    """One problem, "2 rows <what> (a.wav, b.wav)", or none."""
    names = [name for name, is_bad in zip(ids, bad) if is_bad]
    return [f"{count(len(names), 'row')} {what} ({examples(names)})"] if names else []


def _unknown(ids: Iterable[str], cells: list[list[str]], known: Iterable[str] | None) -> list[str]:
    """The problem of labels that are not `known`, each beside the row it stands in; None knows all."""
    if known is None:
        return []
    known = set(known)
    strange = [[label for label in labels if label not in known] for labels in cells]
    named = [f"{name}: {labels[0]!r}" for name, labels in zip(ids, strange) if labels]
    return _named(named, [True] * len(named), "with a label that the competition does not know")


def _refuse_blanks(vocab: Iterable[str]) -> None:
    """Several labels stand in one cell with blanks between them, so no label may hold one."""
    split = [label for label in vocab if label.split() != [label]]
    if split:
        named = f"{count(len(split), 'label')} with blanks ({examples(map(repr, split))})"
        raise ValueError(f"{named}, which part the labels of a cell; rename them")


def _check_threshold(format) -> None:
    if not 0 <= format.threshold <= 1:
        raise ValueError(f"{type(format).__name__}(threshold={format.threshold}): give a probability, from 0 to 1")


@register
@dataclass(frozen=True)
class BestLabels(SubmissionFormat):
    """The `k` best labels of each file in one cell, best first, blanks between them; one label with `k=1`."""

    label_col: str = "label"
    k: int = 1  # labels a row

    def _check(self):
        if self.k < 1:
            raise ValueError(f"BestLabels(k={self.k}): give the number of labels a row, at least 1")

    def columns(self, vocab):
        return [self.id_col, self.label_col]

    def check(self, rows, vocab):
        if self.k > 1:
            _refuse_blanks(vocab)

    def cells(self, rows, probs, vocab):
        best = top_k_labels(probs, vocab, self.k) if len(rows) else []
        return {self.label_col: [" ".join(labels) for labels in best]}

    def problems(self, table, vocab):
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
    """All labels above `threshold` in one cell, blanks between them; `nothing` where there is none."""

    id_col: str = "row_id"
    label_col: str = "birds"
    threshold: float = 0.5  # of the probability
    nothing: str = "nocall"

    def _check(self):
        _check_threshold(self)
        if self.nothing.split() != [self.nothing]:
            raise ValueError(f"LabelSets(nothing={self.nothing!r}): give one word, such as 'nocall'")

    def columns(self, vocab):
        return [self.id_col, self.label_col]

    def check(self, rows, vocab):
        _refuse_blanks(vocab)

    def cells(self, rows, probs, vocab):
        chosen = [[vocab[i] for i in np.flatnonzero(row > self.threshold) if vocab[i] != self.nothing] for row in probs]
        return {self.label_col: [" ".join(labels) or self.nothing for labels in chosen]}

    def problems(self, table, vocab):
        ids, cells = table[self.id_col], [cell.split() for cell in table[self.label_col]]
        both = [self.nothing in cell and {*cell} != {self.nothing} for cell in cells]
        return (
            _named(ids, [not cell for cell in cells], f"without a label, where {self.nothing!r} should stand")
            + _named(ids, both, f"with {self.nothing!r} beside other labels")
            + _named(ids, [len(set(cell)) < len(cell) for cell in cells], "with one label twice")
            + _unknown(ids, cells, None if vocab is None else [*vocab, self.nothing])
        )


# ---------------------------------------------------------------------- a number or a decision


@register
@dataclass(frozen=True)
class ClassColumns(SubmissionFormat):
    """A column for each class, in the order of the vocabulary, with its probability."""

    def columns(self, vocab):
        return [self.id_col, *vocab]

    def check(self, rows, vocab):
        if self.id_col in vocab:
            raise ValueError(f"the label {self.id_col!r} has the name of the column of the rows' names; rename it")

    def cells(self, rows, probs, vocab):
        return {label: column.tolist() for label, column in zip(vocab, probs.T)}

    def problems(self, table, vocab):
        cells = table.drop(columns=self.id_col)
        numbers = (
            np.array([pd.to_numeric(cells[name], errors="coerce") for name in cells], float)
            .reshape(cells.shape[::-1])
            .T
        )

        def named(bad: np.ndarray, what: str) -> list[str]:
            rows, first = np.flatnonzero(bad.any(axis=1)), bad.argmax(axis=1)
            names = [
                f"{table[self.id_col].iloc[row]}: {cells.columns[first[row]]} {cells.iloc[row, first[row]]!r}"
                for row in rows[:4]
            ]
            return [f"{count(len(rows), 'row')} with {what} ({examples(names)})"] if len(rows) else []

        finite = np.isfinite(numbers)
        return named(~finite, "a cell that is no finite number") + named(
            finite & ~((numbers >= 0) & (numbers <= 1)), "a probability outside 0 to 1"
        )


@register
@dataclass(frozen=True)
class Decisions(SubmissionFormat):
    """A row for each question, such as "is this bird heard in these seconds?", answered with True or False.

    `rows` needs the column `asked`, the label that a row asks for.
    """

    id_col: str = "row_id"
    label_col: str = "target"
    threshold: float = 0.5  # of the probability

    def _check(self):
        _check_threshold(self)

    def columns(self, vocab):
        return [self.id_col, self.label_col]

    def check(self, rows, vocab):
        if "asked" not in rows:
            raise ValueError(
                f"the rows to be answered need the column 'asked', the label that each asks for; they have {list(rows)}"
            )
        unknown = sorted(set(map(str, rows["asked"])) - set(vocab))
        if unknown:
            raise ValueError(
                f"{count(len(unknown), 'label')} asked for but not known ({examples(unknown)}); add them to the vocabulary"
            )

    def cells(self, rows, probs, vocab):
        number = {label: i for i, label in enumerate(vocab)}
        asked = probs[np.arange(len(rows)), [number[str(label)] for label in rows["asked"]]]
        return {self.label_col: (asked > self.threshold).tolist()}

    def problems(self, table, vocab):
        return _named(table[self.id_col], ~table[self.label_col].isin(["True", "False"]), "with neither True nor False")
