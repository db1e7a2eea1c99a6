r"""A competition that a TOML file describes: a known one and where it lies, or any other, by hand.

    slug = "freesound-audio-tagging"     # a known layout
    folder = "freesound"                 # seen from the TOML file; left out, it is looked for as Competition.open does
    [options]
    unverified = 0.5

Or anything else. Names are seen from `folder` and stay below it:

    slug = "my-birds"
    folder = "birds"
    metric = "map@3"
    [train]
    csv = "train.csv"                    # or regex = '(?P<group>\w+)_(?P<label>\w+)_\d+' on the names of recordings, or folders = true
    audio = "audio_train"
    fn_col = "fname"
    label_col = "species"
    [test]                               # left out where there is no test set
    sample = "sample_submission.csv"     # its rows are answered, in its format unless a table [format] gives another
    audio = "audio_test"

Where a test row asks about some seconds of a recording, `seconds = 5` and `row_id = "{stem}_{end}"` say how its name is made.
"""

from __future__ import annotations

import os
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.files import inside
from ...core.text import count, examples
from ...core.values import Value, _toml, choose, register
from ...labels.classes import class_counts
from ...labels.tables import is_multilabel, labels_from_folders, labels_from_names
from ..competition import Competition
from ..formats import BestLabels, ClassColumns, SubmissionFormat
from ..places import find_place
from ..reading import train_rows, under, warn_missing, with_audio
from ..registry import file_reader
from ..submission import check_sample, guess_format, read_text

__all__ = ["CompetitionFile", "TrainFile", "TestFile", "read_toml"]


# ---------------------------------------------------------------------- what the file may say


def _names_in(row_id: str) -> list[str]:
    """The names in braces."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(row_id) if name is not None]
    except ValueError as exc:
        raise ValueError(f"row_id = {row_id!r}: {exc}; write it like '{{stem}}_{{end}}'") from exc


_OF_CSV = (
    "fn_col",
    "label_col",
    "label_delim",
    "suffix",
    "start_col",
    "end_col",
    "group_col",
    "fold_col",
    "weight_col",
    "scored_col",
)


@register
@dataclass(frozen=True)
class TrainFile(Value):
    """Where labels come from: a csv file, the names of recordings, or the folders they lie in. Columns go by name."""

    audio: str = ""  # folder of the recordings; the competition's own by default
    csv: str | None = None
    fn_col: str = "fname"
    label_col: str = "label"
    label_delim: str | None = None  # what parts the labels of one cell
    suffix: str = ""  # added to the names in the csv, such as ".wav"
    start_col: str | None = None  # s
    end_col: str | None = None  # s
    group_col: str | None = None  # what must never stand on both sides of a split
    fold_col: str | None = None
    weight_col: str | None = None
    scored_col: str | None = None  # True, or 1, where a clip counts for the score
    regex: str | None = None  # with a group named label, and where known group, fold, start, end
    on: str = "name"  # searched in the file's name, or in its path below `audio`
    folders: bool = False  # each recording is labelled with its folder's name

    def _check(self):
        given = [name for name in ("csv", "regex", "folders") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"[train] gives {' and '.join(given) or 'none of them'}; labels come from one of csv, regex, folders"
            )
        own = {"csv": ("audio", "csv", *_OF_CSV), "regex": ("audio", "regex", "on"), "folders": ("audio", "folders")}[
            given[0]
        ]
        strange = [f.name for f in fields(self) if f.name not in own and getattr(self, f.name) != f.default]
        if strange:
            raise ValueError(
                f"[train] gives {', '.join(strange)}, which has no meaning beside {given[0]}; leave it out"
            )
        if (self.start_col is None) != (self.end_col is None):
            raise ValueError("[train] gives only one of start_col and end_col; a clip of a recording needs both")
        choose(self.on, ["name", "path"], "place to search")


@register
@dataclass(frozen=True)
class TestFile(Value):
    """What is asked: the rows of the sample submission, and how their names tell the recording."""

    sample: str  # the sample submission
    audio: str = ""  # folder of the recordings; the competition's own by default
    id_col: str | None = None  # column of the rows' names; None is the sample's first
    suffix: str = ""  # added to a recording's name, such as ".wav"
    seconds: float | None = None  # where rows ask about windows: their length, in s
    row_id: str = "{stem}"  # how a row's name is made: {stem} the recording, {end} of a window in s, {asked} a label

    def _check(self):
        known = _names_in(self.row_id)
        for name in known:
            choose(name, ["stem", "end", "asked"], "field of row_id")
        if "stem" not in known or len(set(known)) < len(known):
            raise ValueError(
                f"row_id = {self.row_id!r}: it needs {{stem}}, and may have {{end}} and {{asked}}, each once"
            )
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"seconds = {self.seconds:g}: give the length of a window, above 0")
        if (self.seconds is None) != ("end" not in known):
            beside = "with" if self.seconds else "without"
            raise ValueError(
                f"row_id = {self.row_id!r} {beside} seconds: windows need both seconds and {{end}} in row_id"
            )


@register
@dataclass(frozen=True)
class CompetitionFile(Value):
    """A TOML file; without [train] its slug is one of `list_competitions()`."""

    slug: str
    folder: str | None = None  # seen from the file; None looks for it as Competition.open does
    options: dict = field(default_factory=dict)  # of a known layout
    metric: str = "accuracy"
    vocab: tuple[str, ...] = ()  # the labels in order; default the sample's class columns, else training's, sorted
    train: TrainFile | None = None
    test: TestFile | None = None
    format: SubmissionFormat | None = None  # default what the sample looks like

    def _check(self):
        if self.train is None:
            own = [name for name in ("vocab", "test", "format") if getattr(self, name)] + ["metric"] * (
                self.metric != "accuracy"
            )
            if own:
                raise ValueError(
                    f"{', '.join(own)} without [train]: a known layout brings its own; any other competition needs [train]"
                )
        elif self.options:
            raise ValueError(
                f"[options] ({', '.join(self.options)}) beside [train]: options are for known layouts; leave one of them out"
            )


# ---------------------------------------------------------------------- below the folder


def _file(folder: Path, name: str, what: str) -> Path:
    """A file below the folder; ValueError where it is not there."""
    path = folder / inside(folder, name)
    if not path.is_file():
        raise ValueError(f"{what} = {name!r}: there is no such file in {str(folder)!r}")
    return path


def _audio(folder: Path, name: str) -> str:
    """The folder of the recordings, seen from `folder`; ValueError where it is not there."""
    below = inside(folder, name)
    if not (folder / below).is_dir():
        raise ValueError(f"audio = {name!r}: there is no such folder in {str(folder)!r}")
    return below


def _place(about: CompetitionFile, beside: Path) -> Path:
    """The folder; where the file does not say, it is known by what the file names in it."""
    if about.folder is not None:
        folder = beside / about.folder
        if not folder.is_dir():
            raise ValueError(
                f"folder = {about.folder!r}: {str(folder)!r} is not a folder; give the one that {about.slug} was unpacked to"
            )
        return folder
    named = [about.train.csv, about.train.audio, *([about.test.sample, about.test.audio] if about.test else [])]
    marks = tuple(dict.fromkeys(filter(None, named)))
    if not marks:
        raise ValueError("no folder is given, and nothing is named by which it could be found; give the folder")
    return find_place(about.slug, None, [marks])


# ---------------------------------------------------------------------- training


def _train(file: TrainFile, folder: Path) -> pd.DataFrame:
    """The training table."""
    audio = _audio(folder, file.audio)
    if file.csv is None:
        rows = (
            labels_from_folders(folder / audio)
            if file.folders
            else labels_from_names(folder / audio, file.regex, on=file.on)
        )
        return rows.assign(path=[under(audio, path) for path in rows["path"]])
    columns = {name: getattr(file, name) for name in _OF_CSV if name != "scored_col"} | {"valid_col": file.scored_col}
    rows = train_rows(_file(folder, file.csv, "csv"), folder, audio, **columns).rename(columns={"is_valid": "scored"})
    return with_audio(
        rows, folder, [] if audio == "." else audio
    )  # the competition's own folder holds the test set's recordings as well


# ---------------------------------------------------------------------- test


def _row_pattern(row_id: str, labels: Sequence[str]) -> re.Pattern:
    """What reads the name of a row back.

    >>> _row_pattern("{stem}_{asked}_{end}", ["bark", "meow"]).fullmatch("night_2_meow_15").groupdict()
    {'stem': 'night_2', 'asked': 'meow', 'end': '15'}
    """
    known = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    reads = {"stem": "(?P<stem>.+?)", "end": r"(?P<end>\d+(?:\.\d+)?)", "asked": f"(?P<asked>{known})", None: ""}
    return re.compile(
        "".join(re.escape(text) + reads[name] for text, name, _, _ in string.Formatter().parse(row_id)), re.DOTALL
    )


def _test(file: TestFile, sample: pd.DataFrame, folder: Path, labels: Sequence[str]) -> pd.DataFrame:
    """The test table: one row for each of the sample's."""
    audio = _audio(folder, file.audio)
    ids = sample[choose(file.id_col or list(sample)[0], list(sample), f"column in {file.sample}")].tolist()
    pattern, home = _row_pattern(file.row_id, labels), folder / audio
    found = [pattern.fullmatch(name) for name in ids]
    strange = [name for name, match in zip(ids, found) if match is None]
    if strange:
        rows = f"{count(len(strange), 'row')} of {file.sample}"
        raise ValueError(f"{rows} whose name is not {file.row_id} ({examples(strange)}); correct row_id")
    paths = [under(audio, inside(home, match["stem"] + file.suffix)) for match in found]
    if paths and not any(os.path.lexists(folder / path) for path in paths):
        rows = count(len(paths), "test row")
        raise ValueError(f"none of the {rows} has its recording (the first is {paths[0]!r}); correct audio or suffix")
    warn_missing(paths, folder, audio)
    rows = pd.DataFrame({"id": ids, "path": paths}, dtype=object)
    if file.seconds is not None:
        end = np.array([match["end"] for match in found], float)
        rows = rows.assign(start=end - file.seconds, end=end)
    return rows.assign(asked=[match["asked"] for match in found]) if "asked" in _names_in(file.row_id) else rows


# ---------------------------------------------------------------------- the whole


def _by_hand(about: CompetitionFile, folder: Path) -> Competition:
    train, vocab, format = _train(about.train, folder), about.vocab, about.format
    if about.test is None:
        format = format or (ClassColumns() if is_multilabel(train) else BestLabels())
        return Competition(about.slug, folder, train, about.metric, format, vocab=vocab)
    path, labels = _file(folder, about.test.sample, "sample"), list(class_counts(train).index)
    sample = read_text(path)
    format = format or guess_format(sample, vocab or labels)
    if not vocab and isinstance(format, ClassColumns):
        vocab = tuple(sample)[1:]
    check_sample(sample, format, vocab or labels, about.test.sample)
    test = _test(about.test, sample, folder, vocab or labels)
    return Competition(about.slug, folder, train, about.metric, format, test, vocab, sample=path)


def _check_places(data: dict) -> None:
    """In TOML a line below a [table] belongs to it: where such a line is the whole competition's, that is not what was meant."""
    for table, lines in data.items():
        for name in ("slug", "folder", "metric", "vocab"):
            if isinstance(lines, dict) and name in lines:
                raise ValueError(f"{name} stands below [{table}], and so belongs to it; write it above the first table")


@file_reader(".toml")
def read_toml(path: str | os.PathLike) -> Competition:
    """The competition that a TOML file describes: a `CompetitionFile`, in which [train] is a `TrainFile` and [test] a `TestFile`.

    Raises ValueError, with the file's name, where it says what it may not, or what it names is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the TOML file that describes the competition")
    try:
        data = _toml().loads(path.read_text(encoding="utf-8-sig"))
        _check_places(data)
        about = CompetitionFile.from_dict(data)
        if about.train is None:
            return Competition.open(
                about.slug, None if about.folder is None else path.parent / about.folder, **about.options
            )
        return _by_hand(about, _place(about, path.parent))
    except ValueError as exc:  # of TOML itself as well
        raise ValueError(f"{str(path)!r}: {exc}") from exc
