"""Annotations in JSON: the exports of Label Studio, and what soundevent and Whombat write.

>>> text = '[{"data": {"audio": "a.wav"}, "annotations": [{"result": [{"value": {"start": 1, "end": 2, "labels": ["owl"]}}]}]}]'
>>> read_json_text(text, "export.json")[0].values.tolist()
[['a.wav', 1, 2, 'owl', '']]
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from urllib.parse import parse_qs, unquote, urlsplit

import pandas as pd

from ...audio.find import is_audio_name
from ...core.reading import parse_json
from ...core.text import count
from ...core.warnings import warn
from .tables import UnknownFormat


def is_json(text: str) -> bool:
    """Whether text begins as JSON does."""
    return text.lstrip().startswith(("[", "{"))


# ---------------------------------------------------------------------- Label Studio


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


def _number(value) -> float:
    return value if isinstance(value, (int, float)) else math.nan


def _labels(value: dict) -> list[str]:
    found = value.get("labels") or value.get("choices") or []
    return [found] if isinstance(found, str) else [str(label) for label in found]


def _read_label_studio(tasks: list[dict], source: str) -> tuple[pd.DataFrame, list[str]]:
    """The regions of all tasks of an export ("JSON" and "JSON-MIN"); cancelled annotations and predictions do not count."""
    rows, places, whole = [], [], 0
    for number, task in enumerate(tasks, start=1):
        for value, annotator in _regions(task):
            labels = _labels(value)
            if not {"start", "end"} <= set(value):
                whole += bool(labels)
                continue
            for label in labels:
                rows.append(
                    (_recording(task), _number(value["start"]), _number(value["end"]), label.strip(), annotator)
                )
                places.append(f"task {task.get('id', number)}")
    if whole:
        warn(f"{source!r}: {count(whole, 'choice')} for a whole recording left out; annotations are of spans")
    return pd.DataFrame(rows, columns=["path", "start", "end", "label", "annotator"]), places


# ---------------------------------------------------------------------- soundevent


def _flat(coordinates) -> list:
    if not isinstance(coordinates, list):
        return [coordinates]
    return [number for part in coordinates for number in _flat(part)]


def _span(geometry: dict) -> dict[str, float]:
    """Times and frequencies of a geometry: a time, an interval, or any number of points (time, frequency), two of a box."""
    numbers = [_number(part) for part in _flat(geometry["coordinates"])]
    if geometry["type"] in ("TimeStamp", "TimeInterval"):
        return {"start": min(numbers), "end": max(numbers)}
    times, hz = numbers[0::2], numbers[1::2]
    return {"start": min(times), "end": max(times), "low_hz": min(hz), "high_hz": max(hz)}


def _read_soundevent(data: dict, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The annotated sound events; one with several tags has a row for each, with the tag's kind in the column `key`."""
    rows, places = [], []
    try:
        recordings = {part["uuid"]: part["path"] for part in data.get("recordings") or []}
        events = {part["uuid"]: part for part in data.get("sound_events") or []}
        users = {
            part["uuid"]: _annotator(part.get("username") or part.get("email")) for part in data.get("users") or []
        }
        tags = {part["id"]: part for part in data.get("tags") or []}
        for annotation in data["sound_event_annotations"]:
            event = events[annotation["sound_event"]]
            row = {"path": recordings[event["recording"]], **_span(event["geometry"])}
            row["annotator"] = users.get(annotation.get("created_by"), "")
            for tag in [tags[number] for number in annotation.get("tags") or []] or [{"value": "", "key": ""}]:
                rows.append(row | {"label": str(tag["value"]).strip(), "key": str(tag.get("key", ""))})
                places.append(f"annotation {annotation.get('uuid')}")
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"{source!r} is not a set of annotations of soundevent: {type(exc).__name__}: {exc}") from exc
    columns = ["path", "start", "end", "low_hz", "high_hz", "label", "annotator", "key"]
    return pd.DataFrame(rows, columns=columns), places


# ---------------------------------------------------------------------- which of them


def read_json_text(text: str, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The annotations in JSON text, and the place of each in it; UnknownFormat where it is something else."""
    found = parse_json(text, source)
    if isinstance(found, dict) and isinstance(found.get("data"), dict) and "sound_event_annotations" in found["data"]:
        return _read_soundevent(found["data"], source)
    tasks = [found] if isinstance(found, dict) else found
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise UnknownFormat(f"{source!r} is neither an export of Label Studio, a list of tasks, nor one of soundevent")
    if tasks and not any({"annotations", "annotator", "annotation_id"} & set(task) for task in tasks):
        raise UnknownFormat(
            f"{source!r} holds no annotations: export from Label Studio as JSON or JSON-MIN, from Whombat as an annotation set"
        )
    return _read_label_studio(tasks, source)
