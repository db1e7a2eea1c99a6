"""Annotations in files without a header: Audacity's label tracks, Praat's TextGrid, Label Studio's JSON.

Each reader takes the text and the name of its file, and returns a row an annotation with the columns of `tables.COLUMNS` that it knows,
and for each row the place in the file that messages name.

>>> read_audacity("1.5\\t2\\towl\\n\\\\\\t200\\t900\\n", "night.txt")[0][["label", "start", "end", "low_hz", "high_hz"]].values.tolist()
[['owl', 1.5, 2.0, 200.0, 900.0]]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from ...audio.find import is_audio_name
from ...core.reading import parse_json
from ...core.text import count
from ...core.warnings import warn
from .tables import COLUMNS, UnknownFormat, refuse_places, time_in

# ---------------------------------------------------------------------- Audacity


def is_audacity(text: str) -> bool:
    """Whether text begins as a label track does: two times and a label, with tabs between them."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    cells = first.split("\t")
    return len(cells) > 1 and math.isfinite(time_in(cells[0]) + time_in(cells[1]))


def _label_of(start: float, end: float, cells: list[str]) -> dict:
    """A label of a track; BirdNET writes its confidence behind the text."""
    label, probability = "\t".join(cells), math.nan
    if len(cells) == 2 and math.isfinite(time_in(cells[1])):
        label, probability = cells[0], time_in(cells[1])
    return {"path": None, "start": start, "end": end, "label": label.strip(), "probability": probability}


def read_audacity(text: str, source: str) -> tuple[pd.DataFrame, list[str]]:
    r"""The labels of a track: start, end (equal for a point) and text, and if it has frequencies, below it "\", low and high."""
    rows: list[dict] = []
    places, strange = [], []
    for line, content in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if not content.strip():
            continue
        cells = content.split("\t")
        is_band = cells[0] == "\\"
        low, high = map(time_in, [*cells, "", ""][1:3] if is_band else [*cells, ""][:2])
        if not math.isfinite(low + high) or (is_band and not rows):
            strange.append(f"line {line}")
        elif is_band:  # Audacity writes -1 for an open side
            rows[-1] |= {name: hz for name, hz in (("low_hz", low), ("high_hz", high)) if hz >= 0}
        else:
            rows.append(_label_of(low, high, cells[2:]))
            places.append(f"line {line}")
    refuse_places([True] * len(strange), strange, source, "neither a label (start, end, text) nor its frequencies")
    return pd.DataFrame(rows, columns=COLUMNS), places


# ---------------------------------------------------------------------- Praat

# Praat reads free-standing numbers, texts in quotation marks and <flags>; all else, such as "xmin =" and "intervals [1]:", is for people.
_TOKEN = re.compile(r'"((?:[^"]|"")*)"|(?<!\S)([-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?)(?!\S)|(<\w+>)|(![^\n]*)')


def is_textgrid(text: str) -> bool:
    """Whether text is a TextGrid in Praat's text format, long or short."""
    return "TextGrid" in text[:200] and ("ooTextFile" in text[:200])


class _Tokens:
    """The values of a Praat file one by one; a ValueError says what was expected where another thing stands."""

    def __init__(self, text: str, source: str):
        self.source, self.found = source, self._values(text)

    @staticmethod
    def _values(text: str) -> Iterator[tuple[str | float, int]]:
        for match in _TOKEN.finditer(text):
            words, number, flag, _ = match.groups()
            if words is not None:
                yield words.replace('""', '"'), match.start()
            elif number is not None:
                yield float(number), match.start()
            elif flag:
                yield flag, match.start()

    def next(self, kind: type, what: str):
        value, _ = next(self.found, (None, 0))
        if not isinstance(value, kind):
            there = "the file ends" if value is None else f"{value!r} stands"
            raise ValueError(f"{self.source!r} is not a TextGrid: {there} where {what} should be")
        return value


def read_textgrid(text: str, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The intervals and points of all tiers, with the column `tier`. Intervals without text are what lies between annotations."""
    tokens = _Tokens(text, source)
    for what in ("the file type", "the class 'TextGrid'"):
        tokens.next(str, what)
    for what in ("the start", "the end"):
        tokens.next(float, what)
    rows, places = [], []
    exists = tokens.next(str, "<exists>") == "<exists>"
    for _ in range(int(tokens.next(float, "the number of tiers")) if exists else 0):
        kind, tier = tokens.next(str, "the class of a tier"), tokens.next(str, "the name of a tier")
        if kind not in ("IntervalTier", "TextTier"):
            raise ValueError(
                f"{source!r} is not a TextGrid: a tier of the class {kind!r}; IntervalTier and TextTier are"
            )
        for what in ("the start of a tier", "the end of a tier"):
            tokens.next(float, what)
        for number in range(1, int(tokens.next(float, "the number of intervals")) + 1):
            place = f"interval {number} of tier {tier!r}"
            start = tokens.next(float, f"the start of {place}")
            end = tokens.next(float, f"the end of {place}") if kind == "IntervalTier" else start
            label = tokens.next(str, f"the text of {place}").strip()
            if label:
                rows.append((None, start, end, label, tier))
                places.append(place)
    return pd.DataFrame(rows, columns=["path", "start", "end", "label", "tier"]), places


# ---------------------------------------------------------------------- Label Studio


def is_json(text: str) -> bool:
    """Whether text begins as JSON does."""
    return text.lstrip()[:1] in ("[", "{") and text.lstrip()[:1] != ""


def _uploaded_name(address: str) -> str:
    """The path of an uploaded or served file: "/data/local-files/?d=nights/a.wav" -> "nights/a.wav"."""
    parts = urlsplit(address)
    served = parse_qs(parts.query).get("d")
    return served[0] if served else unquote(parts.path) if parts.scheme or parts.query else unquote(address)


def _recording(task: dict) -> str | None:
    """The recording of a task: what of its data is named like one, else its only text."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    addresses = [_uploaded_name(value) for value in data.values() if isinstance(value, str)]
    named = [address for address in addresses if is_audio_name(address.replace("\\", "/").rsplit("/", 1)[-1])]
    return (named or (addresses if len(addresses) == 1 else []) or [task.get("file_upload")])[0]


def _annotator(who) -> str:
    return str(who.get("email") or who.get("id") or "") if isinstance(who, dict) else "" if who is None else str(who)


def _regions(task: dict) -> Iterator[tuple[dict, str]]:
    """(value, annotator) of each region of a task, of the complete export and of the short one ("JSON-MIN")."""
    if isinstance(task.get("annotations"), list):
        for annotation in task["annotations"]:
            if isinstance(annotation, dict) and not annotation.get("was_cancelled"):
                for result in annotation.get("result") or []:
                    if isinstance(result, dict) and isinstance(result.get("value"), dict):
                        yield result["value"], _annotator(annotation.get("completed_by"))
        return
    for values in task.values():
        for value in values if isinstance(values, list) else []:
            if isinstance(value, dict):
                yield value, _annotator(task.get("annotator"))


def _labels(value: dict) -> list[str]:
    found = value.get("labels") or value.get("choices") or []
    return [found] if isinstance(found, str) else [str(label) for label in found]


def read_label_studio(text: str, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The regions of all tasks of an export ("JSON" and "JSON-MIN"); cancelled annotations and predictions do not count."""
    tasks = parse_json(text, source)
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise UnknownFormat(f"{source!r} is not an export of Label Studio: it should be a list of tasks")
    if tasks and not any({"annotations", "annotator", "annotation_id"} & set(task) for task in tasks):
        raise UnknownFormat(
            f"{source!r} is not an export of Label Studio: no task has annotations; export as JSON or JSON-MIN"
        )
    rows, places, whole = [], [], 0
    for number, task in enumerate(tasks, start=1):
        for value, annotator in _regions(task):
            labels = _labels(value)
            if not {"start", "end"} <= set(value):
                whole += bool(labels)
                continue
            for label in labels:
                start, end = (
                    value[name] if isinstance(value[name], (int, float)) else math.nan for name in ("start", "end")
                )
                rows.append((_recording(task), start, end, label.strip(), annotator))
                places.append(f"task {task.get('id', number)}")
    if whole:
        warn(f"{source!r}: {count(whole, 'choice')} for a whole recording left out; annotations are of spans")
    return pd.DataFrame(rows, columns=["path", "start", "end", "label", "annotator"]), places
