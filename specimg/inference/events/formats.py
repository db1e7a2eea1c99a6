"""Events in the files of other programs: csv, Audacity's label tracks, Raven's selection tables.

    write_events(events, "night.csv")                    # all columns; read_events("night.csv") reads them back
    write_events(events, "night.txt")                    # Audacity: File > Import > Labels
    write_events(events, "night.selections.txt")         # Raven
    write_events(events, "labels/", format="audacity")   # into a folder: one file a recording

A format is a function from events to text under a name; `list_event_formats()` lists them with the endings that stand for them.
"""

from __future__ import annotations

import csv
import math
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from ...core.files import write_atomic
from ...core.text import examples
from ...core.values import choose
from .merging import COLUMNS, EVENTS

RAVEN = "Selection,View,Channel,Begin Time (s),End Time (s),Low Freq (Hz),High Freq (Hz),Label,Score".split(",")


# ---------------------------------------------------------------------- the formats


@dataclass(frozen=True)
class _Format:
    name: str
    suffix: str  # of files in this format, by default
    single: str  # what to call a file that belongs to one recording; "" where it may hold several
    write: Callable  # (events, band) -> text


def in_a_line(label) -> str:
    """A label without tabs and line ends, which would break a line of columns; each run of them is a blank."""
    return re.sub(r"[\x00-\x1f\x7f\x85\u2028\u2029]+", " ", str(label)).strip()


def _as_csv(events: pd.DataFrame, band) -> str:
    """All columns. Text is quoted and else as it is: a label '=1+1' stays that, whatever a spreadsheet may do with it."""
    return events.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")


def _as_audacity(events: pd.DataFrame, band) -> str:
    """A label track: start, end (s) and label, with tabs between them."""
    rows = zip(events["start"], events["end"], events["label"])
    return "".join(f"{start:.6f}\t{end:.6f}\t{in_a_line(label)}\n" for start, end, label in rows)


def _band(events: pd.DataFrame, band) -> tuple[float, float]:
    band = band or events.attrs.get("band")
    if band is None:
        raise ValueError(
            "a Raven selection table has boxes in time and frequency; give band=(low, high) in Hz, such as (0, 8000)"
        )
    low, high = map(float, band)
    if not 0 <= low < high < math.inf:
        raise ValueError(f"band={band}; give (low, high) in Hz, 0 or more, low below high")
    return low, high


def _as_raven(events: pd.DataFrame, band) -> str:
    """A selection table: boxes over the whole band that the network reads."""
    low, high = _band(events, band)
    lines = ["\t".join(RAVEN)]
    for number, (start, end, label, score) in enumerate(
        zip(events["start"], events["end"], events["label"], events["probability"]), 1
    ):
        lines.append(
            f"{number}\tSpectrogram 1\t1\t{start:.6f}\t{end:.6f}\t{low!r}\t{high!r}\t{in_a_line(label)}\t{float(score)!r}"
        )
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------- writing


_FORMATS = {
    "csv": _Format("csv", ".csv", "", _as_csv),
    "audacity": _Format("audacity", ".txt", "an Audacity label track", _as_audacity),
    "raven": _Format("raven", ".selections.txt", "a Raven selection table", _as_raven),
}


def list_event_formats() -> dict[str, str]:
    """The formats that `write_events` writes.

    Returns
    -------
    dict
        Name of the format -> ending of its files.

    Examples
    --------
    >>> from specimg.inference.events import list_event_formats
    >>> list_event_formats()
    {'audacity': '.txt', 'csv': '.csv', 'raven': '.selections.txt'}
    """
    return {name: fmt.suffix for name, fmt in sorted(_FORMATS.items())}


def _is_folder(path: str) -> bool:
    return os.path.isdir(path) or path.endswith(("/", os.sep))


def _find_format(path: str, name: str | None) -> _Format:
    """The format by its name, or by the longest ending that fits."""
    if name is not None:
        return _FORMATS[choose(name, _FORMATS, "format of events")]
    fitting = [fmt for fmt in _FORMATS.values() if path.lower().endswith(fmt.suffix)]
    if not fitting:
        endings = ", ".join(f"{suffix} ({known})" for known, suffix in list_event_formats().items())
        what = "the format of its files" if _is_folder(path) else "how events are written"
        raise ValueError(f"{path!r} does not determine {what}; end it in {endings}, or give format=")
    return max(fitting, key=lambda fmt: len(fmt.suffix))


def check_target(path: str | os.PathLike, recordings: Iterable[str], format: str | None = None) -> _Format:
    """The format in which events of these recordings go to `path`; ValueError if there is none, or if it takes one recording only."""
    path, recordings = os.fspath(path), list(dict.fromkeys(recordings))
    fmt = _find_format(path, format)
    if fmt.single and len(recordings) > 1 and not _is_folder(path):
        raise ValueError(
            f"{fmt.single} belongs to one recording, and these events are of {len(recordings)} ({examples(recordings)}); "
            f"give a folder ('labels/') and format={fmt.name!r} for one file a recording, or a csv for all"
        )
    return fmt


def _names_below(recordings: list[str]) -> dict[str, str]:
    """A file name for each recording: its path below the folder that all of them are in."""
    whole = [os.path.abspath(path) for path in recordings]
    root = os.path.commonpath([os.path.dirname(path) for path in whole])
    return {path: os.path.relpath(there, root) for path, there in zip(recordings, whole)}


def write_events(
    events: pd.DataFrame, path: str | os.PathLike, format: str | None = None, *, band: tuple[float, float] | None = None
) -> None:
    """Write events as a csv, an Audacity label track or a Raven selection table; `read_annotations` reads all of them back.

    Parameters
    ----------
    events : DataFrame
        What `merge_events` returns.
    path : str or path
        A file, whose ending is the format: .csv, .txt (Audacity), .selections.txt (Raven); or a folder, together with `format`, for one file
        a recording, named after it ("night.wav.txt"). Recordings without events have none.
    format : str, default None
        One of `list_event_formats()`; None: by the ending.
    band : (float, float), default None
        Lowest and highest frequency in Hz of Raven's boxes; None: the band of the windows, where the events still hold it.

    Raises
    ------
    ValueError
        For an unknown format, a table that holds no events, and where a format of one recording is given several.

    Examples
    --------
    >>> windows = clf.predict_windows("night.wav", seconds=0.5, progress=False)
    >>> sp.write_events(sp.merge_events(windows), "night.txt")
    """
    path = os.fspath(path)
    missing = [name for name in EVENTS[:5] if name not in events]
    if missing:
        raise ValueError(
            f"the table has the columns {examples(events.columns, 8)}; it lacks {', '.join(missing)}: "
            "give what merge_events returns"
        )
    fmt = check_target(path, events["path"], format)
    parts = {path: events}
    if _is_folder(path):
        names = _names_below(list(dict.fromkeys(events["path"]))) if len(events) else {}
        parts = {
            os.path.join(path, name + fmt.suffix): events[events["path"] == recording]
            for recording, name in names.items()
        }
    texts = {target: fmt.write(part, band) for target, part in parts.items()}  # all, before the first is written
    for target, text in texts.items():
        write_atomic(target, text.encode("utf-8", "surrogateescape"))  # a file name need not be UTF-8


def read_events(path: str | os.PathLike) -> pd.DataFrame:
    """Read the events in a csv that `write_events` wrote.

    Parameters
    ----------
    path : str or path
        The file.

    Returns
    -------
    DataFrame
        As of `merge_events`; a label such as NA or 007 stays text.

    Raises
    ------
    ValueError
        If the file is not a csv of events.

    Examples
    --------
    >>> events = sp.merge_events(clf.predict_windows("night.wav", seconds=0.5, progress=False))
    >>> sp.write_events(events, "night.csv")
    >>> len(sp.read_events("night.csv")) == len(events)
    True
    """
    # not by pandas, which takes no surrogates
    with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
        try:
            reader = csv.DictReader(file, strict=True)
            rows, missing = list(reader), [name for name in EVENTS if name not in (reader.fieldnames or ())]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}")
            return pd.DataFrame({name: [row[name] for row in rows] for name in EVENTS}, dtype=object).astype(COLUMNS)
        except (csv.Error, TypeError, ValueError) as exc:
            raise ValueError(f"{os.fspath(path)!r} is not a csv of events ({', '.join(EVENTS)}): {exc}") from exc
