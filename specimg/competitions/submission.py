"""Is a submission one that the competition accepts? Its columns, its rows, their order and every cell.

All that is wrong is said at once, in numbers and by example, before a daily submission is spent on it. A csv file is read
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
from collections.abc import Sequence

import pandas as pd

from ..core.text import count, examples
from .formats import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat

__all__ = ["check_submission", "check_sample", "guess_format", "read_text"]


# ---------------------------------------------------------------------- csv as text


def _twice(names: Sequence[str]) -> list[str]:
    """The names that stood there already, once for each time."""
    names = pd.Series(list(names), dtype=object)
    return names[names.duplicated()].tolist()


def read_text(path: str | os.PathLike) -> pd.DataFrame:
    """A csv file in UTF-8 as text, cell for cell: "007" stays "007", and a label named "None" or "NA" stays a label.

    Raises ValueError where a line is longer than the header or the header names a column twice.
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


def _as_text(table) -> pd.DataFrame:
    """A DataFrame as `read_text` gives the file that it would be written to; nan is an empty cell."""
    if not isinstance(table, pd.DataFrame):
        return read_text(table)
    columns = [table.iloc[:, i] for i in range(table.shape[1])]  # by position: names may stand there twice
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
            f"the sample submission has the columns {names}; it needs one for the row's name and one or more for answers"
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


def guess_format(sample, vocab: Sequence[str] | None = None) -> SubmissionFormat:
    """The format that a sample submission, a csv file or DataFrame, looks like.

    How many labels a row may have is read from the sample's own cells, where blanks part labels unless `vocab` knows the
    whole cell as one.
    """
    return _guess(_as_text(sample), vocab)


def _column_problems(found: list[str], wanted: list[str]) -> list[str]:
    if found == wanted:
        return []
    missing, strange = [n for n in wanted if n not in found], [n for n in found if n not in wanted]
    problems = [
        f"{count(len(names), 'column')} {what} ({examples(map(repr, names))})"
        for names, what in ((missing, "missing"), (strange, "too many"), (_twice(found), "that stood there already"))
        if names
    ]
    if found[0] in strange and found[0] in ("", "Unnamed: 0"):
        problems.append("the first column is pandas's index; write the table with to_csv(..., index=False)")
    if not problems:
        first = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b)
        problems = [
            f"the columns stand in another order; column {first + 1} is {found[first]!r} and should be {wanted[first]!r}"
        ]
    return problems


def check_sample(
    sample: pd.DataFrame,
    format: SubmissionFormat,
    vocab: Sequence[str] | None = None,
    name: str = "the sample submission",
) -> None:
    """Raise ValueError where answers in this format would not stand in the columns of the sample (all text)."""
    problems = _column_problems(format.columns(list(sample)[1:] if vocab is None else vocab), list(sample))
    if problems:
        raise ValueError(
            f"{name} does not fit the format {format.kind}, whose answers have {'; '.join(problems)}; "
            "give another format or other labels"
        )
    double = _twice(sample.iloc[:, 0])
    if double:
        raise ValueError(
            f"{name} has {count(len(double), 'row')} that stood there already ({examples(double)}); get it anew"
        )


# ---------------------------------------------------------------------- the submission


def _row_problems(found: list[str], wanted: list[str]) -> list[str]:
    """Rows that are missing, too many, double, or in another order."""
    if found == wanted:
        return []
    here, there = set(found), set(wanted)
    missing, strange = [n for n in wanted if n not in here], [n for n in found if n not in there]
    problems = [
        f"{count(len(names), 'row')} {what} ({examples(names)})"
        for names, what in ((missing, "missing"), (strange, "too many"), (_twice(found), "that stood there already"))
        if names
    ]
    if not problems:
        first = next(i for i, (a, b) in enumerate(zip(found, wanted)) if a != b)
        problems = [
            f"the rows stand in another order; row {first + 1} is {found[first]!r} and should be {wanted[first]!r}"
        ]
    return problems


def _expected(sample, format, vocab) -> tuple[list[str], list[str], SubmissionFormat, Sequence[str] | None]:
    """(names of the rows, columns, format, labels), as far as they are known."""
    if hasattr(sample, "expected_rows"):  # a Competition, or what a run keeps of one
        format, vocab = format or sample.format, list(sample.vocab if vocab is None else vocab)
        return list(sample.expected_rows()), format.columns(vocab), format, vocab
    sample = _as_text(sample)
    format = format or _guess(sample, vocab)
    check_sample(sample, format, vocab)
    return sample.iloc[:, 0].tolist(), list(sample), format, vocab


def check_submission(
    submission, sample, *, format: SubmissionFormat | None = None, vocab: Sequence[str] | None = None
) -> str:
    """Raise a ValueError that lists all that is wrong with a submission; else return a sentence that says what was accepted.

    Parameters
    ----------
    submission : a csv file, or a DataFrame (its index is not part of it)
    sample : the competition's sample_submission.csv, a DataFrame like it, or a `Competition`, which knows its format and labels too
    format, vocab : what a row may say; by default guessed from the sample, which cannot tell which labels there are

    Columns and rows must be the sample's, in its order; probabilities numbers from 0 to 1; labels those of `vocab`.
    """
    if hasattr(submission, "expected_rows"):
        raise ValueError(
            "the first argument is the submission, the second the competition: check_submission('submission.csv', comp)"
        )
    wanted, columns, format, vocab = _expected(sample, format, vocab)
    table, name = (
        _as_text(submission),
        "the submission" if isinstance(submission, pd.DataFrame) else repr(os.fspath(submission)),
    )
    problems = _column_problems(list(table), columns)
    if not problems:
        problems = _row_problems(table[format.id_col].tolist(), wanted) + format.problems(table, vocab)
    if problems:
        raise ValueError(f"{name} would not be accepted: {'; '.join(problems)}")
    return f"{count(len(table), 'row')} in the columns {examples(columns, 4)}: accepted"
