"""From files of annotations to one table: the format is told by the content, the recordings are found by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...audio.find import is_audio_name
from ...core.reading import read_bytes
from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from .exports import is_json, read_json_text
from .recordings import Recordings, beside, names_without_endings
from .tables import COLUMNS, UnknownFormat, first_line, is_raven, is_table, read_table, refuse_places
from .tracks import is_audacity, is_textgrid, read_audacity, read_textgrid

MAX_BYTES = 1 << 28  # of a file: 256 MiB, some two million rows
ENDINGS = (".txt", ".csv", ".tsv", ".json", ".textgrid")  # of the files of a folder that are looked into
# write_events: the names of files, which need not be UTF-8, are kept byte for byte
_OWN_CSV = b'"path","start","end","label"'


@dataclass(frozen=True)
class _Format:
    about: str
    fits: Callable[[str], bool]  # by the content
    read: Callable  # (text, source) -> rows, places


_FORMATS = {
    "textgrid": _Format(
        "Praat's TextGrid, long or short: intervals and points of all tiers", is_textgrid, read_textgrid
    ),
    "json": _Format(
        "exports of Label Studio (JSON, JSON-MIN) and annotations of soundevent and Whombat", is_json, read_json_text
    ),
    "raven": _Format("selection tables of Raven, and those of BirdNET", is_raven, read_table),
    "csv": _Format(
        "tables whose header names start and end (or duration): of write_events, BirdNET (csv, R, Kaleidoscope), crowsetta ...",
        is_table,
        read_table,
    ),
    "audacity": _Format(
        "label tracks of Audacity, with or without frequencies, and those of BirdNET", is_audacity, read_audacity
    ),
}


def list_annotation_formats() -> dict[str, str]:
    """The formats that `read_annotations` reads.

    Returns
    -------
    dict
        Name of the format -> what it is.

    Examples
    --------
    >>> from specimg.labels import list_annotation_formats
    >>> sorted(list_annotation_formats())
    ['audacity', 'csv', 'json', 'raven', 'textgrid']
    """
    return {name: known.about for name, known in sorted(_FORMATS.items())}


def _decode(data: bytes, source: str) -> str:
    """Text in UTF-8 or UTF-16, with or without a mark, or as Windows wrote it in western Europe (cp1252)."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        names = ["utf-16"]
    elif data[1:2] == b"\0" or data[:1] == b"\0":
        names = ["utf-16-le" if data[1:2] == b"\0" else "utf-16-be"]
    else:
        names = ["utf-8-sig", "cp1252"]
    for name in names:
        try:
            return data.decode(name, "surrogateescape" if data.startswith(_OWN_CSV) else "strict")
        except UnicodeDecodeError as exc:
            failed = exc
    raise ValueError(f"{source!r} is not text in UTF-8, UTF-16 or cp1252; save it in UTF-8") from failed


def _format_of(text: str, source: str) -> str:
    fitting = [name for name, known in _FORMATS.items() if known.fits(text)]
    if not fitting:
        start = first_line(text).strip()[:60]
        raise UnknownFormat(
            f"{source!r} begins with {start!r}, as none of {', '.join(sorted(_FORMATS))} does; give format=, or correct its header"
        )
    return fitting[0]


def _check_spans(table: pd.DataFrame, places: list, source: str) -> None:
    start, end = table["start"].to_numpy(float), table["end"].to_numpy(float)
    low, high = table["low_hz"].to_numpy(float), table["high_hz"].to_numpy(float)
    for invalid, what in [
        (~(start >= 0) | ~np.isfinite(end), "a start or an end that is no time from 0 up"),
        (end < start, "an end before the start"),
        ((low < 0) | (high < low), "frequencies below 0, or the higher before the lower"),
    ]:
        refuse_places(invalid, places, source, what)


def _read_file(file: Path, format: str, label_col: str | None, label: str | None) -> pd.DataFrame:
    """The annotations of one file; `path` is what the file itself calls the recording, None if it names none."""
    source = str(file)
    text = _decode(read_bytes(file, MAX_BYTES), source)
    if not text.strip():  # a label track without a label
        return pd.DataFrame(columns=COLUMNS)
    known = _FORMATS[_format_of(text, source) if format == "auto" else format]
    more = (label_col, label) if known.read is read_table else ()
    table, places = known.read(text, source, *more)
    table = table.reset_index(drop=True)
    table = table.reindex(columns=[*COLUMNS, *(name for name in table if name not in COLUMNS)])
    _check_spans(table, places, source)
    return table.assign(
        path=pd.Series([None if name != name else name for name in table["path"]], dtype=object),
        label=pd.Series([text or label or "" for text in table["label"]], dtype=object),
        annotator=pd.Series(["" if who != who else who for who in table["annotator"]], dtype=object),
    )


def _files(path: Path) -> list[Path]:
    """The file, or what lies below the folder and may hold annotations."""
    if path.is_dir():
        return sorted(
            f for f in path.rglob("*") if f.name.lower().endswith(ENDINGS) and f.name[0] != "." and f.is_file()
        )
    return [path]


def _recording_of(file: Path, root: Path, recordings: Recordings | None) -> str | None:
    """The recording that a file without names belongs to; None if `recordings` lacks it.

    root : the folder that is read; the file itself where it is one alone, which belongs to the one recording that is given
    """
    names = names_without_endings(file.name if file == root else str(file.relative_to(root)))
    if recordings is not None:
        found = next(filter(None, map(recordings.find, names)), None)
        return found or (recordings.only if file == root else None)
    found = beside(file) or next((Path(name).as_posix() for name in names if is_audio_name(Path(name).name)), None)
    if found is None:
        raise ValueError(
            f"{str(file)!r} does not name its recording, and none of this name lies beside it; give recordings="
        )
    return found


def _with_paths(table: pd.DataFrame, file: Path, root: Path, recordings: Recordings | None) -> pd.DataFrame:
    """The annotations with the path of their recording, None where `recordings` lacks it, and the column `_named`, what they call it."""
    own: dict[str | None, str | None] = {}
    for name in table["path"].unique():
        if name is None:
            own[name] = _recording_of(file, root, recordings)
        else:
            own[name] = name if recordings is None else recordings.find(name)
    return table.assign(
        path=pd.Series([own[name] for name in table["path"]], index=table.index, dtype=object),
        _named=[file.name if name is None else name for name in table["path"]],
    )


def _known_only(table: pd.DataFrame) -> pd.DataFrame:
    """The annotations whose recording is known; a warning counts the others."""
    lost = table["path"].isna()
    if len(table) and lost.all():
        raise ValueError(
            f"none of {count(len(table), 'annotation')} is of a recording that recordings= has (they name {examples(table['_named'])}); "
            "give the folder of these, or a mapping of names to paths"
        )
    if lost.any():
        n = count(int(lost.sum()), "annotation")
        warn(f"{n} of recordings that recordings= lacks left out ({examples(table['_named'][lost])})")
    return table[~lost].drop(columns="_named").reset_index(drop=True)


def read_annotations(
    path: str | os.PathLike,
    format: str = "auto",
    recordings: str | os.PathLike | pd.DataFrame | Mapping[str, str | os.PathLike] | Iterable | None = None,
    *,
    label_col: str | None = None,
    label: str | None = None,
) -> pd.DataFrame:
    r"""Read annotations, labelled spans of recordings, from the files of other programs.

    Read are selection tables of Raven (of one or several recordings, a row a view or a selection), label tracks of Audacity (also with
    frequencies), results of BirdNET in all their formats, TextGrid of Praat, exports of Label Studio, annotations of soundevent and crowsetta, what
    `write_events` writes, and any table whose header names start and end. Text may be UTF-8, UTF-16 or cp1252.

    Parameters
    ----------
    path : str or path-like
        A file, or a folder: all .txt, .csv, .tsv, .json and .TextGrid files below it are read; those that are no annotations are passed
        over with a warning.
    format : str, default "auto"
        One of `list_annotation_formats()`; "auto" tells it from the content.
    recordings : path-like, DataFrame, mapping or iterable, default None
        Where the recordings are, found by name, whatever folder the annotations put them in: a folder (paths are below it), one recording,
        paths, a table with `path`, or a mapping of the names in the annotations to paths. None keeps paths as they are written; a file
        that names none belongs to the recording beside it ("night.wav" for "night.Table.1.selections.txt"), or after which it is named.
    label_col : str, optional
        The column of tables that holds the label; None takes "Label", "Annotation", "Species", "Common Name" ..., the first that is there.
    label : str, optional
        The label of annotations that have none.

    Returns
    -------
    DataFrame
        A row an annotation, in the order of the files: `path`, `start`, `end` (s; equal for a point), `low_hz`, `high_hz` (nan if
        unknown), `label`, `annotator` ("" if unknown), `probability` (nan if unknown), and further columns of tables as they are.

    Raises
    ------
    ValueError
        The format is not recognised, a line cannot be read (the message names file and line), no column holds labels, a recording cannot
        be told, or none is in `recordings`. Annotations of some that are not there are left out with a warning.

    Examples
    --------
    >>> _ = open("night.txt", "w").write("0.5\t1.5\tdog\n2.25\t3.0\tcat\n\\\t1200\t1800\n")
    >>> sp.read_annotations("night.txt")[["path", "start", "end", "low_hz", "high_hz", "label"]]
            path  start  end  low_hz  high_hz label
    0  night.wav   0.50  1.5     NaN      NaN   dog
    1  night.wav   2.25  3.0  1200.0   1800.0   cat
    """
    choose(format, ["auto", *_FORMATS], "format of annotations")
    path = Path(path)
    known = None if recordings is None else Recordings(recordings)
    tables, others = [], []
    for file in _files(path):
        try:
            tables.append(_with_paths(_read_file(file, format, label_col, label), file, path, known))
        except UnknownFormat:
            if not path.is_dir():
                raise
            others.append(str(file.relative_to(path)))
    if others:
        warn(f"{count(len(others), 'file')} below {str(path)!r} without annotations passed over ({examples(others)})")
    if not tables:
        raise ValueError(f"no annotations below {str(path)!r}; their files end in one of {', '.join(ENDINGS)}")
    table = _known_only(pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True))
    blank = (table["label"] == "").sum()
    if blank:
        warn(f"{blank} of {count(len(table), 'annotation')} without a label; label= gives them one")
    return table.astype(dict.fromkeys(("start", "end", "low_hz", "high_hz", "probability"), float))
