"""Annotations in files without a header: Audacity's label tracks, Praat's TextGrid.

Each reader takes the text and the name of its file, and returns a row an annotation with the columns of `tables.COLUMNS` that it knows,
and for each row the place in the file that messages name.

>>> read_audacity("1.5\\t2\\towl\\n\\\\\\t200\\t900\\n", "night.txt")[0][["label", "start", "end", "low_hz", "high_hz"]].values.tolist()
[['owl', 1.5, 2.0, 200.0, 900.0]]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pandas as pd

from .tables import COLUMNS, first_line, refuse_places, time_in

# ---------------------------------------------------------------------- Audacity


def is_audacity(text: str) -> bool:
    """Whether text begins as a label track does: two times and a label, with tabs between them."""
    cells = first_line(text).split("\t")
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
