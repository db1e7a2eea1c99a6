"""Corrected labels, kept in a file beside the data and applied whenever a table is read.

The label table itself stays as it is. `corrections.csv` has a row for each clip that somebody listened to: `path`, for windows `start` and
`end` (seconds), `label` (of the table), `corrected` (what it should be; the same again confirms it, empty leaves the clip out) and `note`.
Where clips carry several labels both cells are JSON: ["dog", "rain"].

    dls = SpecDataLoaders.from_csv("birds", "train.csv", corrections="corrections.csv")
    comp = replace(comp, train=apply_corrections(comp.train, "corrections.csv"))         # dataclasses.replace, of a competition

>>> table = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["dog", "cat"]})
>>> corrected = pd.DataFrame({"path": ["b.wav"], "label": ["cat"], "corrected": ["dog"]})
>>> apply_corrections(table, corrected)
1 label corrected (b.wav)
    path label   was
0  a.wav   dog  None
1  b.wav   dog   cat
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..core.files import write_atomic
from ..core.reading import parse_json
from ..core.text import count, examples
from ..core.warnings import warn
from .classes import class_counts
from .sheets import MANY, Sheet, read_seconds, read_sheet
from .tables import KEY, clip_index, is_multilabel

# ---------------------------------------------------------------------- the file


def _labels_in(cell) -> str | list[str] | None:
    """The content of a cell: a label, the labels of a JSON list, or None if it is empty."""
    if isinstance(cell, MANY):
        labels = (str(label).strip() for label in cell)
        return list(dict.fromkeys(label for label in labels if label))
    text = "" if pd.isna(cell) else str(cell).strip()
    if text.startswith("["):
        try:
            return _labels_in(parse_json(text))
        except ValueError as exc:  # a label may begin with a bracket, but not with a hundred
            if isinstance(exc.__cause__, RecursionError):
                raise
    return text or None


def _refuse(table: pd.DataFrame, invalid, what: str, way_out: str, source: str) -> None:
    """ValueError that counts the rows where `invalid` holds and names some of their clips, if there are any."""
    if np.any(invalid):
        rows = np.flatnonzero(invalid) + 1
        clips = f"{examples(table['path'].iloc[rows - 1])}; row {examples(rows, 5)}"
        raise ValueError(f"{source}: {count(len(rows), 'row')} {what} ({clips}); {way_out}")


def _index(table: pd.DataFrame) -> pd.MultiIndex:
    """`clip_index` with times to the microsecond, because text does not always give back the last bit."""
    return clip_index(table.assign(**{name: table[name].astype(float).round(6) for name in KEY[1:] if name in table}))


def _times(sheet: Sheet) -> dict[str, np.ndarray]:
    there = [name for name in KEY[1:] if name in sheet.raw]
    if not there:
        return {}
    times = read_seconds(sheet, *(name if name in there else None for name in KEY[1:]))
    return times if np.isfinite(times["end"]).any() else {}


def read_corrections(source: str | os.PathLike | pd.DataFrame) -> pd.DataFrame:
    r"""Read corrections of labels from a csv file, or from a DataFrame.

    Parameters
    ----------
    source : str, path-like or DataFrame
        With the columns `path`, `label`, `corrected` and, optionally, `start`, `end` (seconds) and `note`.

    Returns
    -------
    DataFrame
        Columns `path`, where given `start` and `end`, `label`, `corrected`, `note`. Labels are text, or lists of text where the cell
        holds a JSON list; `corrected` is None if the clip is to be left out.

    Raises
    ------
    ValueError
        A column is missing, a row has no label, a path leads out of its folder, or a clip is listed twice.

    Examples
    --------
    >>> _ = open("corrections.csv", "w").write("path,label,corrected\ncat/cat0.wav,cat,dog\n")
    >>> sp.read_corrections("corrections.csv")["corrected"].tolist()
    ['dog']
    """
    if (
        not isinstance(source, (str, os.PathLike, pd.DataFrame))
        or not isinstance(source, pd.DataFrame)
        and os.path.isdir(source)
    ):
        raise ValueError(f"corrections cannot be read from {source!r}; give a csv file, or a DataFrame")
    sheet = read_sheet(source, may_be_empty=True)
    table = pd.DataFrame({"path": sheet.paths("path", "", None), **_times(sheet)})
    for name in ("label", "corrected"):
        try:
            table[name] = pd.Series([_labels_in(cell) for cell in sheet.cells(name)], dtype=object)
        except ValueError as exc:
            raise ValueError(
                f"{sheet.source}: column {name!r}: {exc}; write a label, or a JSON list of labels"
            ) from exc
    notes = sheet.cells("note") if "note" in sheet.raw else [""] * len(table)
    table["note"] = pd.Series(["" if pd.isna(note) else str(note) for note in notes], dtype=object)
    _refuse(
        table,
        [label is None for label in table["label"]],
        "without a label",
        "write the label that was corrected",
        sheet.source,
    )
    _refuse(
        table, _index(table).duplicated(), "of a clip that is listed already", "keep one row of each clip", sheet.source
    )
    return table


def _cell(labels) -> str:
    if labels is None:
        return ""
    return labels if isinstance(labels, str) else json.dumps(labels, ensure_ascii=False)


def write_corrections(table: pd.DataFrame, file: str | os.PathLike) -> None:
    """Write corrections of labels as csv, for `read_corrections`.

    Parameters
    ----------
    table : DataFrame
        As `read_corrections` gives it.
    file : str or path-like
        The csv file; one that exists is replaced.

    Raises
    ------
    ValueError
        As in `read_corrections`.

    Examples
    --------
    >>> corrected = pd.DataFrame({"path": ["cat/cat0.wav"], "label": ["cat"], "corrected": ["dog"]})
    >>> sp.write_corrections(corrected, "corrections.csv")
    >>> print(open("corrections.csv").read().strip())
    path,label,corrected,note
    cat/cat0.wav,cat,dog,
    """
    table = read_corrections(table)
    cells = table.assign(label=table["label"].map(_cell), corrected=[_cell(labels) for labels in table["corrected"]])
    write_atomic(file, cells.to_csv(index=False, lineterminator="\n").encode())


# ---------------------------------------------------------------------- applied to a table


@dataclass
class _Outcome:
    """Paths of clips by what happened to their corrections."""

    corrected: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)  # also labels that the table has already
    changed: list[str] = field(default_factory=list)  # neither what was corrected nor what it should be
    unknown: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = [
            (self.corrected, "label", "corrected"),
            (self.left_out, "clip", "left out"),
            (self.confirmed, "label", "confirmed"),
        ]
        parts = [f"{count(len(paths), noun)} {what} ({examples(paths)})" for paths, noun, what in kinds if paths]
        return ", ".join(parts) or "no label corrected"


def _as_in(table: pd.DataFrame, labels, path: str):
    """Labels of a correction in the form of the table: text, or a list of texts."""
    if is_multilabel(table):
        return [labels] if isinstance(labels, str) else labels
    if labels is None or isinstance(labels, str):
        return labels
    if len(labels) != 1:
        raise ValueError(
            f"the correction of {path} gives {count(len(labels), 'label')} {labels}, and clips of the table carry one; "
            "correct the row, or read the table with label_delim"
        )
    return labels[0]


def _same(one, other) -> bool:
    return set(one) == set(other) if isinstance(one, MANY) else str(one).strip() == other


def _sort_out(table: pd.DataFrame, corrections: pd.DataFrame) -> tuple[_Outcome, dict[int, object]]:
    """What happens to each correction, and for rows that change their new labels, None to leave them out."""
    outcome, changes = _Outcome(), {}
    rows = _index(table).get_indexer(_index(corrections)).tolist()
    for row, path, label, wanted in zip(rows, *(corrections[col] for col in ("path", "label", "corrected"))):
        label, wanted = _as_in(table, label, path), _as_in(table, wanted, path)
        found = None if row < 0 else table["label"].iloc[row]
        if row < 0:
            outcome.unknown.append(path)
        elif wanted is not None and _same(found, wanted):
            outcome.confirmed.append(path)
        elif not _same(found, label):
            outcome.changed.append(f"{path}: {found!r}, not {label!r}")
        else:
            (outcome.left_out if wanted is None else outcome.corrected).append(path)
            changes[row] = wanted
    return outcome, changes


def _warn_unused(outcome: _Outcome, table: pd.DataFrame, n: int) -> None:
    if n and len(outcome.unknown) == n:
        raise ValueError(
            f"of {count(n, 'correction')} none is of a clip in the table ({examples(outcome.unknown)}; the table has "
            f"{examples(table['path'])}); give paths below the same folder, and the times of windows"
        )
    if outcome.unknown:
        warn(f"{count(len(outcome.unknown), 'correction')} of clips that the table lacks ({examples(outcome.unknown)})")
    if outcome.changed:
        what = f"{count(len(outcome.changed), 'clip')} whose label has changed since it was corrected"
        warn(f"{what} ({examples(outcome.changed, mark='; ')}); they keep the label that they have: listen again")


def _warn_new_labels(table: pd.DataFrame, labels: list) -> None:
    """Warn of labels that no clip of the table carries: new ones, or typing errors."""
    known = set(class_counts(table).index)
    given = {label for cell in labels if cell is not None for label in ([cell] if isinstance(cell, str) else cell)}
    new = sorted(given - known)
    if new:
        near = [(label, difflib.get_close_matches(label, known, 1)) for label in new]
        named = [f"{label!r}, did you mean {found[0]!r}?" if found else repr(label) for label, found in near]
        warn(f"{count(len(new), 'corrected label')} that no clip of the table carries ({examples(named, mark='; ')})")


def apply_corrections(
    table: pd.DataFrame, corrections: str | os.PathLike | pd.DataFrame, *, log: Callable[[str], None] | None = print
) -> pd.DataFrame:
    """Apply corrected labels to a table, joined by path, start and end.

    A correction is used only where the table still has the label that was corrected. Where it has the corrected label already nothing
    changes, so that the same file may be applied again. Warns of corrections of clips that the table lacks, of clips whose label has
    changed since (they keep it), and of labels that no clip carries.

    Parameters
    ----------
    table : DataFrame
        A label table, such as `labels_from_csv` gives it, or `Competition.train`.
    corrections : str, path-like or DataFrame
        A file, or a table as `read_corrections` gives it.
    log : callable or None, default print
        Takes the line that counts what was done; None is silent.

    Returns
    -------
    DataFrame
        A new table with the column `was`: the earlier label of what was corrected, else None. `attrs["corrections"]` lists paths:
        corrected, left_out, confirmed, changed, unknown.

    Raises
    ------
    ValueError
        Not one correction is of a clip in the table, or the file is invalid.

    Examples
    --------
    >>> table = sp.labels_from_folders("clips")
    >>> corrected = pd.DataFrame({"path": ["cat/cat0.wav"], "label": ["cat"], "corrected": ["dog"]})
    >>> sp.apply_corrections(table, corrected).iloc[0].tolist()
    1 label corrected (cat/cat0.wav)
    ['cat/cat0.wav', 'dog', 'cat']
    """
    if not isinstance(table, pd.DataFrame):
        raise ValueError(
            f"the label table is a {type(table).__name__}; give one of labels_from_csv, or Competition.train"
        )
    missing = [name for name in ("path", "label") if name not in table]
    if missing:
        raise ValueError(
            f"the table lacks the column {missing[0]!r}; give one of labels_from_csv, or Competition.train"
        )
    corrections = read_corrections(corrections)
    outcome, changes = _sort_out(table, corrections)
    _warn_unused(outcome, table, len(corrections))
    _warn_new_labels(table, list(changes.values()))
    labels, was = table["label"].tolist(), table["was"].tolist() if "was" in table else [None] * len(table)
    for row, label in changes.items():
        labels[row], was[row] = label, labels[row]
    stays = np.array([changes.get(row, "") is not None for row in range(len(table))], bool)
    corrected = table.assign(
        label=pd.Series(labels, index=table.index, dtype=object), was=pd.Series(was, index=table.index, dtype=object)
    )
    corrected = corrected[stays].reset_index(drop=True)
    corrected.attrs["corrections"] = {name: list(paths) for name, paths in vars(outcome).items()}
    if log is not None:
        log(str(outcome))
    return corrected
