"""Which recording does an annotation belong to? Programs name it by a path of another machine, by its name, or only by that of their file.

>>> known = Recordings({"mon/night.wav": "data/mon/night.wav", "tue/night.wav": "data/tue/night.wav"})
>>> known.find("D:\\\\field\\\\tue\\\\night.wav"), known.find("dawn.wav")
('data/tue/night.wav', None)
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from ...audio.find import find_audio, is_audio_name
from ...core.text import examples

# What programs put behind a recording's name: "night.wav.Table.1.selections.txt", "night.BirdNET.selection.table.txt", "night_labels.txt"
_ENDING = re.compile(
    r"(\.table\.\d+|[._-](txt|csv|tsv|json|textgrid|selections?|table|birdnet|results?|labels?|annotations?|scores|gpu|raven|audacity))$",
    re.I,
)
_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the names of what is uploaded


def _parts(name: str) -> list[str]:
    return [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]


def _stem(name: str) -> str:
    return name.rsplit(".", 1)[0] if is_audio_name(name) else name


def names_without_endings(file: str) -> list[str]:
    """What the recording that a file of annotations is named after may be called, with or without an ending of its own.

    >>> names_without_endings("night.wav.selections.txt"), names_without_endings("night_2.BirdNET.results.csv")
    (['night.wav.selections', 'night.wav'], ['night_2.BirdNET.results', 'night_2.BirdNET', 'night_2'])
    """
    names = []
    while (shorter := _ENDING.sub("", file)) != file and os.path.basename(shorter):
        names.append(file := shorter)
    return names or [file]


class Recordings:
    """The recordings that annotations may be of: a folder, one file, several paths, a table, or a mapping of names to paths.

    Parameters
    ----------
    source : path-like, DataFrame, mapping or iterable of path-like
        A folder, whose recordings have paths below it; anything else keeps its paths as they are.
    """

    def __init__(self, source: str | os.PathLike | pd.DataFrame | Mapping | Iterable):
        self.folder: str | None = None  # that the paths are below, where it is known
        if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
            self.folder = os.fspath(source)
            self.paths = {name: name for name in find_audio(source)}
        elif isinstance(source, (str, os.PathLike)):
            path = os.fspath(source)
            self.paths = {path: path}
            if not is_audio_name(os.path.basename(path)) and not os.path.isfile(path):
                raise ValueError(f"recordings={path!r} is neither a folder nor a recording")
        elif isinstance(source, Mapping):
            self.paths = {str(name): os.fspath(path) for name, path in source.items()}
        else:
            if isinstance(source, pd.DataFrame):
                source = source["path"] if "path" in source else ()
            self.paths = {os.fspath(path): os.fspath(path) for path in source}
        if not self.paths:
            raise ValueError(
                "recordings= names none; give the folder they are in, their paths, or a mapping of names to paths"
            )
        self._by_name: dict[str, set[str]] = defaultdict(set)
        self._by_stem: dict[str, set[str]] = defaultdict(set)
        for name in self.paths:
            last = _parts(name)[-1] if _parts(name) else name
            for key in {last, last.lower()}:
                self._by_name[key].add(name)
                self._by_stem[_stem(key)].add(name)

    @property
    def only(self) -> str | None:
        """The path where there is one recording."""
        return next(iter(self.paths.values())) if len(self.paths) == 1 else None

    def find(self, name: str) -> str | None:
        """The path of the recording of this name: of those with this file name (else without its ending), the one whose folders agree best.

        None if there is none, ValueError if several fit equally well.
        """
        if name in self.paths:
            return self.paths[name]
        parts = _parts(name)
        last = parts[-1] if parts else name
        ways = ((known, key) for key in (last, last.lower()) for known in (self._by_name, self._by_stem))
        found = next(
            filter(None, (known.get(key if known is self._by_name else _stem(key)) for known, key in ways)), ()
        )
        if not found and _UPLOADED.match(last):
            return self.find(_UPLOADED.sub("", last))

        def agreement(other: str) -> int:
            theirs, n = _parts(other), 1
            while n < min(len(parts), len(theirs)) and parts[-n - 1] == theirs[-n - 1]:
                n += 1
            return n

        best = max(map(agreement, found), default=0)
        paths = {self.paths[other] for other in found if agreement(other) == best}
        if len(paths) > 1:
            raise ValueError(
                f"{name!r} may be each of {len(paths)} recordings ({examples(sorted(paths))}); give recordings= a mapping of names to paths"
            )
        return paths.pop() if paths else None


def beside(file: Path) -> str | None:
    """The recording in the same folder that a file of annotations is named after; None if there is none, or several."""
    names = [entry.name for entry in os.scandir(file.parent) if is_audio_name(entry.name)]
    for wanted in names_without_endings(file.name):
        found = [name for name in names if name == wanted] or [name for name in names if _stem(name) == wanted]
        if found:
            return str(file.parent / found[0]) if len(found) == 1 else None
    return None
