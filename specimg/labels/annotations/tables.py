"""Annotations in tables with a header: Raven, BirdNET, Kaleidoscope, crowsetta, specimg's own csv and others.

What a column means is told by its name: `ROLES` lists the names that programs give. What no role takes stays as it is, under its own name.

>>> rows, _ = read_table("Begin Time (s)\\tEnd Time (s)\\tSpecies\\n1.5\\t2\\towl\\n", "night.txt")
>>> rows[["start", "end", "label"]].values.tolist()
[[1.5, 2.0, 'owl']]
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from ..csv_text import exact_numbers

# of every table of annotations
COLUMNS = ["path", "start", "end", "low_hz", "high_hz", "label", "annotator", "probability"]

# The names of columns, with letters and digits only, the first that a table has counts. What is a start in one program's table ("OFFSET"
# beside "DURATION", Kaleidoscope) is an end in another's ("onset_s" beside "offset_s", crowsetta): so starts are looked for first.
ROLES = {
    "path": "beginpath filepath path beginfile infile audiofilename filename file fname notatedpath audiofile soundfile wavfile recording audio clip input",
    "start": "start starts starttime starttimes startseconds startsec begintimes begintime begin onset onsets "
    "windowstart tstart tmin offset",
    "end": "end ends endtime endtimes endseconds endsec stop stops stoptime offset offsets windowend tend tmax",
    "seconds": "duration durations deltatimes length lengths",
    "low_hz": "lowhz lowfreqhz lowfreq lowfrequency minfrequency minfreq freqlow",
    "high_hz": "highhz highfreqhz highfreq highfrequency maxfrequency maxfreq freqhigh",
    "label": "label labels annotation annotations species commonname speciesname scientificname speciescode speciesebirdcode manualid autoid top1match "
    "eventlabel tag tags category class call calltype sound soundtype primarylabel code text name",
    "annotator": "annotator analyst observer reviewer user completedby",
    "probability": "probability confidence score prob",
    "file_offset": "fileoffsets",  # Raven: of several files played as one, the time in the own file
    "view": "view",
}
_KEPT_AS_NUMBERS = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?|")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")
# of write_events, whose labels are as they are
_OWN = ["path", "start", "end", "label", "probability", "mean", "windows"]


# ---------------------------------------------------------------------- cells


def time_in(cell: str) -> float:
    """Seconds, or another number, from text; nan if it is neither."""
    cell = re.sub(r"^(\S*\d),(\d+)$", r"\1.\2", cell.strip())  # a decimal comma
    if clock := _CLOCK.fullmatch(cell):
        hours, minutes, seconds = clock.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds)
    try:
        return float(cell)
    except ValueError:
        return np.nan


def times_in(cells: Iterable[str]) -> np.ndarray:
    """Seconds, or other numbers, from text: "1.5", "1,5", "1:02:03.5"; nan if a cell is neither.

    >>> times_in(["1.5", "1,5", "0:01:05", "x", ""]).tolist()
    [1.5, 1.5, 65.0, nan, nan]
    """
    cells = pd.Series(list(cells), dtype=object)
    found = exact_numbers(cells, "coerce").to_numpy(float).copy()
    for row in np.flatnonzero(np.isnan(found) & (cells != "").to_numpy(bool)):
        found[row] = time_in(str(cells[row]))
    return found


class UnknownFormat(ValueError):
    """A file that holds no annotations in a known format."""


def refuse_places(
    invalid: Sequence[bool], places: Sequence, source: str, what: str, way_out: str = "correct that"
) -> None:
    """ValueError that names the file and the places in it, such as "line 7", where `invalid` holds, if there are any."""
    wrong = [place for place, is_invalid in zip(places, invalid) if is_invalid]
    if wrong:
        raise ValueError(f"{source!r}: {what} in {count(len(wrong), 'place')} ({examples(wrong, 5)}); {way_out}")


def _numbers(cells: list[str], column: str, lines: Sequence[str], source: str, blank: bool) -> np.ndarray:
    """A column as finite numbers; nan in cells that may be blank."""
    found = times_in(cells)
    empty = np.array([not cell.strip() for cell in cells], bool)
    refuse_places(~np.isfinite(found) & ~(empty & blank), lines, source, f"column {column!r} is not a finite number")
    return found


# ---------------------------------------------------------------------- rows and columns


def _delimiter(header: str) -> str:
    return max("\t;,", key=header.count)


def first_line(text: str) -> str:
    """The first line of text that is not blank; "" if there is none."""
    found = re.search(r"[^\r\n]*\S[^\r\n]*", text)
    return found[0] if found else ""


def _rows(text: str, source: str) -> tuple[list[str], list[list[str]], list[str]]:
    """The header, the rows and the line that each ends in. Raven does not quote, so a quotation mark may stand alone in its cells."""
    first = first_line(text)
    delimiter = _delimiter(first)
    quoted = delimiter != "\t" or first.startswith('"')
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        strict=quoted,
    )
    header, rows, lines = [], [], []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row) or row == header:  # tables that were joined repeat it
                continue
            if not header:
                header = row
                continue
            rows.append(row)
            lines.append(f"line {reader.line_num}")
    except csv.Error as exc:
        raise ValueError(f"{source!r}, line {reader.line_num}: it is not a table: {exc}") from exc
    longer = [len(row) > len(header) and any(cell.strip() for cell in row[len(header) :]) for row in rows]
    what = f"more cells than the {len(header)} of the header"
    refuse_places(longer, lines, source, what, f"put cells that hold {delimiter!r} in quotation marks")
    return header, [(row + [""] * len(header))[: len(header)] for row in rows], lines


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _columns_of(role: str, header: Sequence[str]) -> list[str]:
    """The columns that may have a role, the likeliest first."""
    by_plain = {_plain(name): name for name in reversed(header)}
    return [by_plain[name] for name in ROLES[role].split() if name in by_plain]


def _find_roles(header: Sequence[str]) -> dict[str, str]:
    """Role -> the column that has it; a column has one role."""
    found: dict[str, str] = {}
    for role in ROLES:
        free = [name for name in _columns_of(role, header) if name not in found.values()]
        if free:
            found[role] = free[0]
    return found


def _has_spans(header: Sequence[str]) -> bool:
    roles = _find_roles(header)
    return "start" in roles and ("end" in roles or "seconds" in roles)


def is_table(text: str) -> bool:
    """Whether text begins with a header that names a start, and an end or a duration."""
    first = first_line(text)
    return _has_spans([cell.strip('"') for cell in first.split(_delimiter(first))])


def is_raven(text: str) -> bool:
    """Whether text begins with the header of a Raven selection table."""
    first = first_line(text)
    return "\t" in first and "Begin Time (s)" in first and "End Time (s)" in first


def _recordings_of(table: pd.DataFrame, roles: dict[str, str]) -> list[str | None]:
    """The recording that each row names; None if it names none. Kaleidoscope gives it in three columns."""
    if "path" not in roles:
        return [None] * len(table)
    names, folders = table[roles["path"]], [name for name in table if _plain(name) in ("indir", "folder")]
    if _plain(roles["path"]) == "infile" and folders:
        parts = table[[*sorted(folders, key=_plain, reverse=True), roles["path"]]].values.tolist()  # INDIR, FOLDER
        return ["/".join(part.rstrip("/\\") for part in row if part.strip()) for row in parts]
    own = list(table) == _OWN
    return [(name if own else name.strip()) or None for name in names.tolist()]


def _once_per_selection(rows: pd.DataFrame, view: Sequence[str]) -> pd.DataFrame:
    """Raven has a row for each view of a selection, waveform and spectrogram: one of them, that of the spectrogram."""
    if "Selection" not in rows:
        return rows
    waveform = np.array([name.lower().startswith("waveform") for name in view], bool)
    order = np.argsort(waveform, kind="stable")
    return rows.iloc[order].drop_duplicates(["Selection", "path", "start", "end", "label"]).sort_index()


def _as_numbers(cells: pd.Series) -> pd.Series:
    """A column that no role takes: numbers if all cells are written as such ("007" is none), else text."""
    if all(_KEPT_AS_NUMBERS.fullmatch(cell) for cell in cells) and (cells != "").any():
        return exact_numbers(cells)
    return cells


def _label_column(table: pd.DataFrame, label_col: str | None, label: str | None, source: str) -> str | None:
    """The column of the labels: the one that is named, else the first known one with any text (Kaleidoscope: "MANUAL ID", then "AUTO ID")."""
    header = list(table)
    if label_col is not None:
        return choose(label_col, header, f"column in {source!r}")
    known = _columns_of("label", header)
    if not known and label is None:
        raise ValueError(
            f"{source!r} has the columns {examples(header, 12)}, and none is known to hold labels; name it by label_col=, "
            "or give label= where all are of one kind"
        )
    return next((name for name in known if table[name].str.strip().any()), known[0] if known else None)


def read_table(
    text: str, source: str, label_col: str | None = None, label: str | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """The annotations in a table with a header, and the place of each in it.

    Parameters
    ----------
    text : str
        The table; tabs, semicolons or commas between cells.
    source : str
        The file, for messages.
    label_col : str, optional
        The column of the labels; by default the first known name.
    label : str, optional
        The label where the table has no column of labels.

    Returns
    -------
    DataFrame, list of str
        `COLUMNS`, where `path` is the recording as the table names it or None, and the table's further columns.
    """
    header, cells, lines = _rows(text, source)
    roles = _find_roles(header)
    if not _has_spans(header):
        raise UnknownFormat(
            f"{source!r} has the columns {examples(header, 12)}; annotations need a start, and an end or a duration"
        )
    table = pd.DataFrame(cells, columns=header, dtype=object)
    table = table.loc[:, ~table.columns.duplicated()]
    roles["label"] = _label_column(table, label_col, label, source)

    def numbers(role: str, blank: bool = False) -> np.ndarray:
        if role not in roles:
            return np.full(len(table), np.nan)
        return _numbers(table[roles[role]].tolist(), roles[role], lines, source, blank)

    start = numbers("start")
    end = numbers("end") if "end" in roles else start + numbers("seconds")
    paths = _recordings_of(table, roles)
    if "file_offset" in roles:
        offset = numbers("file_offset")
        start, end = offset, np.round(offset + end - start, 6)  # to the microsecond
    elif is_raven(text) and len(set(paths)) > 1:
        warn(
            f"{source!r} holds selections of {count(len(set(paths)), 'recording')} without the column 'File Offset (s)': their times "
            "are taken to begin with each recording; where they run on from one to the next, add that measurement in Raven"
        )
    labels = table[roles["label"]].tolist() if roles["label"] else [""] * len(table)
    if header != _OWN:
        labels = [text.strip() for text in labels]
    rows = pd.DataFrame(
        {
            "path": pd.Series(paths, dtype=object),
            "start": start,
            "end": end,
            "low_hz": numbers("low_hz", blank=True),
            "high_hz": numbers("high_hz", blank=True),
            "label": pd.Series(labels, dtype=object),
            "annotator": table[roles["annotator"]] if "annotator" in roles else "",
            "probability": numbers("probability", blank=True),
        }
    )
    taken = {*roles.values(), *COLUMNS}
    rows = rows.assign(**{name: _as_numbers(table[name]) for name in table if name not in taken})
    if "view" in roles:
        rows = _once_per_selection(rows, table[roles["view"]])
    if {"Species Code", "Begin Path"} <= set(header):  # BirdNET writes "nocall" where a recording holds nothing
        rows = rows[~((rows["label"] == "nocall") & (rows.get("Species Code", "nocall") == "nocall"))]
    return rows, [lines[row] for row in rows.index]
