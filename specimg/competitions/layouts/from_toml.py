r"""A competition that a TOML file describes: a known one and its folder, or any other, by hand.

    slug = "freesound-audio-tagging"     # a known layout
    folder = "freesound"                 # relative to the TOML file; left out, it is searched as Competition.open does
    [options]
    unverified = 0.5

Or any other. Names are relative to `folder` and stay below it:

    slug = "my-birds"
    folder = "birds"
    metric = "map@3"
    [train]
    csv = "train.csv"                    # or regex = '(?P<group>\w+)_(?P<label>\w+)_\d+' on the names of recordings, or folders = true
    audio = "audio_train"
    fn_col = "fname"
    label_col = "species"
    [test]                               # left out if there is no test set
    sample = "sample_submission.csv"     # its rows are predicted, in its format unless a table [format] gives another
    audio = "audio_test"

Where test rows are windows of recordings, `seconds = 5` and `row_id = "{stem}_{end}"` describe their names.
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

from ...audio.find import locate_names
from ...core.files import inside
from ...core.reading import read_toml
from ...core.text import count, examples
from ...core.values import Value, choose, register
from ...labels.classes import class_counts
from ...labels.tables import is_multilabel, labels_from_folders, labels_from_names
from ..competition import Competition
from ..locate import find_folder
from ..reading import train_rows, under, warn_missing, with_audio
from ..registry import FILE_READERS
from ..submission import check_sample, guess_format, read_text
from ..submission_formats import BestLabels, ClassColumns, SubmissionFormat

# ---------------------------------------------------------------------- fields of the file


def _names_in(row_id: str) -> list[str]:
    """The names in braces."""
    try:
        return [name for _, name, _, _ in string.Formatter().parse(row_id) if name is not None]
    except ValueError as exc:
        raise ValueError(f"row_id = {row_id!r}: {exc}; write it like '{{stem}}_{{end}}'") from exc


_COLUMNS = ("fn_col", "label_col", "start_col", "end_col", "group_col", "fold_col", "weight_col", "scored_col")
_OF_CSV = (*_COLUMNS, "label_delim", "suffix")


@register
@dataclass(frozen=True)
class TrainFile(Value):
    """The source of labels: a csv file, the names of recordings, or their folders. Columns go by name.

    Parameters
    ----------
    audio : str, default ""
        Folder of the recordings; the competition's own by default.
    csv : str, default None
        A csv file of labels.
    fn_col, label_col : str, default None
        Its columns of file names and labels; None: "fname" and "label", if it has them, else the first and the second.
    label_delim : str, default None
        What separates the labels of one cell.
    suffix : str, default ""
        Appended to the names in the csv, such as ".wav"; found, if none of the names is a file.
    start_col, end_col : str, default None
        Columns of start and end in seconds, where clips are parts of recordings.
    group_col : str, default None
        What must never be split between training and validation.
    fold_col, weight_col : str, default None
        Columns of given folds and of weights.
    scored_col : str, default None
        True, or 1, where a clip counts for the score.
    regex : str, default None
        A regular expression with a group named label, and if known group, fold, start, end.
    on : {"name", "path"}, default "name"
        Where it is searched: in the file's name, or in its path below `audio`.
    folders : bool, default False
        Each recording is labelled with the name of its folder.

    Examples
    --------
    >>> TrainFile(csv="train.csv", label_col="species")
    TrainFile(csv='train.csv', label_col='species')
    """

    audio: str = ""
    csv: str | None = None
    fn_col: str | None = None
    label_col: str | None = None
    label_delim: str | None = None
    suffix: str = ""
    start_col: str | None = None
    end_col: str | None = None
    group_col: str | None = None
    fold_col: str | None = None
    weight_col: str | None = None
    scored_col: str | None = None
    regex: str | None = None
    on: str = "name"
    folders: bool = False

    def _check(self):
        given = [name for name in ("csv", "regex", "folders") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"[train] gives {' and '.join(given) or 'none of them'}; labels come from one of csv, regex, folders"
            )
        own = {"audio", given[0], *{"csv": _OF_CSV, "regex": ("on",), "folders": ()}[given[0]]}
        strange = [f.name for f in fields(self) if f.name not in own and getattr(self, f.name) != f.default]
        if strange:
            raise ValueError(
                f"[train] gives {', '.join(strange)}, which has no meaning beside {given[0]}; leave it out"
            )
        if (self.start_col is None) != (self.end_col is None):
            raise ValueError("[train] gives only one of start_col and end_col; a clip of a recording needs both")
        choose(self.on, ["name", "path"], "text to search")


@register
@dataclass(frozen=True)
class TestFile(Value):
    """The test rows: those of the sample submission, and how their names contain the recording.

    Parameters
    ----------
    sample : str
        The sample submission.
    audio : str, default ""
        Folder of the recordings; the competition's own by default.
    id_col : str, default None
        Column of the row names; None is the sample's first.
    suffix : str, default ""
        Appended to a recording's name, such as ".wav"; found, if none of the names is a file.
    seconds : float, default None
        Length of a window in s, where rows are windows of recordings.
    row_id : str, default "{stem}"
        How a row's name is made: {stem} the recording, {end} of a window in s, {label} the label that it is about.

    Examples
    --------
    >>> TestFile("sample_submission.csv", seconds=5, row_id="{stem}_{end}").seconds
    5.0
    """

    sample: str
    audio: str = ""
    id_col: str | None = None
    suffix: str = ""
    seconds: float | None = None
    row_id: str = "{stem}"

    def _check(self):
        known = _names_in(self.row_id)
        for name in known:
            choose(name, ["stem", "end", "label"], "field of row_id")
        if "stem" not in known or len(set(known)) < len(known):
            raise ValueError(
                f"row_id = {self.row_id!r}: it needs {{stem}}, and may have {{end}} and {{label}}, each once"
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
    """The content of a TOML file; without [train] its slug is one of `list_competitions()`.

    Parameters
    ----------
    slug : str
        Name of the competition.
    folder : str, default None
        Its folder, relative to the file; None searches it as `Competition.open` does.
    options : dict, default {}
        Options of a known layout.
    metric : str, default "accuracy"
        One of `specimg.metrics.list_metrics()`.
    vocab : tuple of str, default ()
        The labels in order; by default the sample's class columns, else the sorted labels of training.
    train : TrainFile, default None
        The source of labels, of any other competition.
    test : TestFile, default None
        The test rows; None if clips of training are predicted.
    format : SubmissionFormat, default None
        None is what the sample looks like.

    Examples
    --------
    >>> CompetitionFile("ESC-50", folder="ESC-50-master")
    CompetitionFile(slug='ESC-50', folder='ESC-50-master')
    """

    slug: str
    folder: str | None = None
    options: dict = field(default_factory=dict)
    metric: str = "accuracy"
    vocab: tuple[str, ...] = ()
    train: TrainFile | None = None
    test: TestFile | None = None
    format: SubmissionFormat | None = None

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
    """A file below the folder; ValueError if it does not exist."""
    path = folder / inside(folder, name)
    if not path.is_file():
        raise ValueError(f"{what} = {name!r}: there is no such file in {str(folder)!r}")
    return path


def _audio(folder: Path, name: str) -> str:
    """The folder of the recordings, relative to `folder`; ValueError if it does not exist."""
    below = inside(folder, name)
    if not (folder / below).is_dir():
        raise ValueError(f"audio = {name!r}: there is no such folder in {str(folder)!r}")
    return below


def _folder(about: CompetitionFile, beside: Path) -> Path:
    """The folder; if the file does not give it, it is recognised by what the file names in it."""
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
        raise ValueError("no folder is given, and no file is named by which it could be found; give the folder")
    return find_folder(about.slug, None, [marks])


# ---------------------------------------------------------------------- training


def _suffix(given: str, home: Path, names: Sequence[str]) -> str:
    """The suffix of recordings' names: as given; or as found, if none of the names is a file in `home` without one."""
    if given or any(os.path.lexists(home / inside(home, name)) for name in names):
        return given
    front, back = locate_names(home, names) or ("", "")
    return back if not front else ""


def _columns(file: TrainFile, csv: Path) -> dict[str, str | None]:
    """The columns of the csv, those of names and labels found if they are not given."""
    columns = {name: getattr(file, name) for name in _OF_CSV if name != "scored_col"} | {"valid_col": file.scored_col}
    names = list(read_text(csv))
    for at, (name, usual) in enumerate((("fn_col", "fname"), ("label_col", "label"))):
        if columns[name] is None:
            columns[name] = usual if usual in names or at >= len(names) else names[at]
    return columns


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
    csv = _file(folder, file.csv, "csv")
    columns = _columns(file, csv)
    names = read_text(csv).get(columns["fn_col"], pd.Series(dtype=str))
    columns["suffix"] = _suffix(file.suffix, folder / audio, names.tolist())
    rows = train_rows(csv, folder, audio, **columns).rename(columns={"is_valid": "scored"})
    # the competition's own folder holds the test set's recordings as well
    return with_audio(rows, folder, [] if audio == "." else audio)


# ---------------------------------------------------------------------- test


def _row_pattern(row_id: str, labels: Sequence[str]) -> re.Pattern:
    """A pattern that parses the name of a row.

    >>> _row_pattern("{stem}_{label}_{end}", ["bark", "meow"]).fullmatch("night_2_meow_15").groupdict()
    {'stem': 'night_2', 'label': 'meow', 'end': '15'}
    """
    known = "|".join(re.escape(label) for label in sorted(labels, key=len, reverse=True))
    reads = {"stem": "(?P<stem>.+?)", "end": r"(?P<end>\d+(?:\.\d+)?)", "label": f"(?P<label>{known})", None: ""}
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
    suffix = _suffix(file.suffix, home, [match["stem"] for match in found])
    paths = [under(audio, inside(home, match["stem"] + suffix)) for match in found]
    if paths and not any(os.path.lexists(folder / path) for path in paths):
        rows = count(len(paths), "test row")
        raise ValueError(f"none of the {rows} has its recording (the first is {paths[0]!r}); correct audio or suffix")
    warn_missing(paths, folder, audio)
    rows = pd.DataFrame({"id": ids, "path": paths}, dtype=object)
    if file.seconds is not None:
        end = np.array([match["end"] for match in found], float)
        rows = rows.assign(start=end - file.seconds, end=end)
    return rows.assign(target_label=[match["label"] for match in found]) if "label" in _names_in(file.row_id) else rows


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


def _check_tables(data: dict) -> None:
    """ValueError if a line of the whole competition is below a [table], which it belongs to in TOML."""
    for table, lines in data.items():
        for name in ("slug", "folder", "metric", "vocab"):
            if isinstance(lines, dict) and name in lines:
                raise ValueError(
                    f"{name} is below [{table}], so it belongs to that table; write it above the first table"
                )


def competition_from_dict(about: dict, beside: str | os.PathLike = ".") -> Competition:
    """The competition that the entries of such a file describe.

    Parameters
    ----------
    about : dict
        As TOML gives them.
    beside : str or path-like, default "."
        What `folder` is relative to.

    Returns
    -------
    Competition

    Raises
    ------
    ValueError
        An entry is invalid, or what it names does not exist.
    """
    _check_tables(about)
    file = CompetitionFile.from_dict(about)
    folder = None if file.folder is None else Path(beside) / file.folder
    if file.train is None:
        return Competition.open(file.slug, folder, **file.options)
    comp = _by_hand(file, _folder(file, Path(beside)))
    object.__setattr__(comp, "described", {**about, "folder": str(comp.folder.absolute())})
    return comp


def read_competition(path: str | os.PathLike) -> Competition:
    """The competition that a TOML file describes: a `CompetitionFile`, in which [train] is a `TrainFile` and [test] a `TestFile`.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    Competition

    Raises
    ------
    ValueError
        The file is invalid, or what it names does not exist; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{str(path)!r} is not a file; give the TOML file that describes the competition")
    data = read_toml(path)
    try:
        return competition_from_dict(data, path.parent)
    except ValueError as exc:
        raise ValueError(f"{str(path)!r}: {exc}") from exc


FILE_READERS.update({"": competition_from_dict, ".toml": read_competition})
