"""Check a submission: its columns, its rows, their order and every cell.

All problems are reported at once, with counts and examples, before a daily submission is spent on them. A csv file is read
as text, cell for cell, so that "007" is not 7 and a label named "NA" is a label.

>>> sample = pd.DataFrame({"fname": ["a.wav", "b.wav"], "label": ["bark", "bark"]})
>>> check_submission(pd.DataFrame({"fname": ["a.wav", "b.wav"], "label": ["meow", "bark"]}), sample)     # or two csv files
'2 rows in the columns fname, label: accepted'
>>> check_submission(pd.DataFrame({"fname": ["b.wav"], "label": [None]}), sample)
Traceback (most recent call last):
ValueError: the submission would not be accepted: 1 row missing (a.wav); 1 row without a label (b.wav)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Protocol

import pandas as pd

from ..core.text import count, examples
from .submission_formats import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat


class Expected(Protocol):
    """What a `Competition`, or a run of one, knows of the submission it expects."""

    format: SubmissionFormat
    vocab: Sequence[str]

    def expected_rows(self) -> pd.Series:
        """The row names, in order."""


# ---------------------------------------------------------------------- csv as text


def _twice(names: Sequence[str]) -> list[str]:
    """Names that are there already, once for each repetition."""
    names = pd.Series(list(names), dtype=object)
    return names[names.duplicated()].tolist()


def read_text(path: str | os.PathLike) -> pd.DataFrame:
    """A csv file in UTF-8 as text, cell for cell: "007" stays "007", and a label named "None" or "NA" stays a label.

    ValueError if a line is longer than the header, or the header names a column twice.
    """
    try:  # the header is read like any line: pandas would rename double columns, and cut lines that are too long
        lines = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except ValueError as exc:  # what pandas and the decoder raise are ValueErrors
        raise ValueError(f"{os.fspath(path)!r} cannot be read as csv in UTF-8: {exc}") from exc
    names = lines.iloc[0].tolist()
    if _twice(names):
        raise ValueError(
            f"{os.fspath(path)!r} has columns of one name ({examples(map(repr, _twice(names)))}); give each its own"
        )
    return lines.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)


def _as_text(table: str | os.PathLike | pd.DataFrame) -> pd.DataFrame:
    """A DataFrame as `read_text` gives the file that it would be written to; nan is an empty cell."""
    if not isinstance(table, pd.DataFrame):
        return read_text(table)
    columns = [table.iloc[:, i] for i in range(table.shape[1])]  # by position: names may repeat
    text = {
        i: ["" if blank else str(cell) for cell, blank in zip(column.tolist(), column.isna())]
        for i, column in enumerate(columns)
    }
    return pd.DataFrame(text, index=range(len(table)), dtype=object).set_axis(
        [str(name) for name in table.columns], axis=1
    )


# ---------------------------------------------------------------------- the sample submission


def _guess(sample: pd.DataFrame, vocab: Sequence[str] | None) -> SubmissionFormat:
    names = list(sample)
    if len(names) < 2:
        raise ValueError(
            f"the sample submission has the columns {names}; it needs one of row names and one or more of predictions"
        )
    if len(names) > 2:
        return ClassColumns(id_col=names[0])
    cells, here = set(sample[names[1]]), dict(id_col=names[0], label_col=names[1])
    if cells and cells <= {"True", "False"}:
        return Decisions(**here)
    if LabelSets.nothing in cells:
        return LabelSets(**here)
    if vocab is not None and cells <= set(vocab):
        return BestLabels(**here)
    return BestLabels(**here, k=max([1, *(len(cell.split()) for cell in cells)]))


def guess_format(sample: str | os.PathLike | pd.DataFrame, vocab: Sequence[str] | None = None) -> SubmissionFormat:
    """The format of a sample submission.

    Parameters
    ----------
    sample : str or path-like or DataFrame
        A csv file, or its table.
    vocab : sequence of str, default None
        The labels. Blanks in a cell separate labels unless the whole cell is one of these.

    Returns
    -------
    SubmissionFormat
        `ClassColumns`, `Decisions`, `LabelSets`, or `BestLabels` with the largest number of labels in the sample's cells.

    Raises
    ------
    ValueError
        The sample has fewer than two columns.

    Examples
    --------
    >>> guess_format(pd.DataFrame({"fname": ["a.wav"], "label": ["bark meow siren"]}))
    BestLabels(k=3)
    """
    return _guess(_as_text(sample), vocab)


def _list_problems(found: list[str], wanted: list[str], noun: str, form: Callable[[str], str] = str) -> list[str]:
    """How the names found differ from those wanted, in words; nothing if they are the same."""
    here, there = set(found), set(wanted)
    sorts = {
        "missing": [name for name in wanted if name not in here],
        "too many": [name for name in found if name not in there],
        "repeated": _twice(found),
    }
    problems = [f"{count(len(n), noun)} {what} ({examples(map(form, n))})" for what, n in sorts.items() if n]
    if found != wanted and not problems:
        first = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b)
        wrong = f"{noun} {first + 1} is {found[first]!r} and should be {wanted[first]!r}"
        problems = [f"the {noun}s are in another order; {wrong}"]
    return problems


def _column_problems(found: list[str], wanted: list[str]) -> list[str]:
    problems = _list_problems(found, wanted, "column", repr)
    if found[0] not in wanted and found[0] in ("", "Unnamed: 0"):
        problems.append("the first column is pandas's index; write the table with to_csv(..., index=False)")
    return problems


def check_sample(
    sample: pd.DataFrame,
    format: SubmissionFormat,
    vocab: Sequence[str] | None = None,
    name: str = "the sample submission",
) -> None:
    """ValueError if a submission of this format would not have the columns of the sample (all text)."""
    problems = _column_problems(format.columns(list(sample)[1:] if vocab is None else vocab), list(sample))
    if problems:
        raise ValueError(
            f"{name} does not fit the format {format.kind}: {'; '.join(problems)}; give another format or other labels"
        )
    double = _twice(sample.iloc[:, 0])
    if double:
        raise ValueError(f"{name} has {count(len(double), 'row')} repeated ({examples(double)}); download it again")


# ---------------------------------------------------------------------- the submission


def _expected(sample, format, vocab) -> tuple[list[str], list[str], SubmissionFormat, Sequence[str] | None]:
    """(row names, columns, format, labels), as far as they are known."""
    if hasattr(sample, "expected_rows"):  # a Competition, or what a run stores of one
        format, vocab = format or sample.format, list(sample.vocab if vocab is None else vocab)
        return list(sample.expected_rows()), format.columns(vocab), format, vocab
    sample = _as_text(sample)
    format = format or _guess(sample, vocab)
    check_sample(sample, format, vocab)
    return sample.iloc[:, 0].tolist(), list(sample), format, vocab


def check_submission(
    submission: str | os.PathLike | pd.DataFrame,
    sample: str | os.PathLike | pd.DataFrame | Expected,
    *,
    format: SubmissionFormat | None = None,
    vocab: Sequence[str] | None = None,
) -> str:
    """Check a submission against the sample submission or the competition.

    Columns and rows must be the sample's, in its order; probabilities numbers from 0 to 1; labels those of `vocab`.

    Parameters
    ----------
    submission : str or path-like or DataFrame
        A csv file, or a table (its index is not part of it).
    sample : str or path-like or DataFrame or Competition
        sample_submission.csv, its table, or the competition, which knows its format and labels too.
    format : SubmissionFormat, default None
        None is that of the competition, or guessed from the sample.
    vocab : sequence of str, default None
        The labels; None is those of the competition, or unknown.

    Returns
    -------
    str
        What was accepted.

    Raises
    ------
    ValueError
        The submission would not be accepted; the message lists every problem.

    Examples
    --------
    >>> sample = pd.DataFrame({"fname": ["a.wav", "b.wav"], "label": ["bark", "bark"]})
    >>> sp.check_submission(sample.assign(label=["meow", "bark"]), sample)
    '2 rows in the columns fname, label: accepted'
    """
    if hasattr(submission, "expected_rows"):
        raise ValueError(
            "the first argument is the submission, the second the competition: check_submission('submission.csv', comp)"
        )
    wanted, columns, format, vocab = _expected(sample, format, vocab)
    table = _as_text(submission)
    name = "the submission" if isinstance(submission, pd.DataFrame) else repr(os.fspath(submission))
    problems = _column_problems(list(table), columns)
    if not problems:
        problems = _list_problems(table[format.id_col].tolist(), wanted, "row") + format.problems(table, vocab)
    if problems:
        raise ValueError(f"{name} would not be accepted: {'; '.join(problems)}")
    return f"{count(len(table), 'row')} in the columns {examples(columns, 4)}: accepted"
