"""BirdCLEF on Kaggle, 2021 to 2026: which birds are audible in each 5 seconds of recordings made in the field.

    comp = Competition.open("birdclef-2023")                              # on Kaggle; elsewhere give the folder
    comp = Competition.open("birdclef-2024", "birds/", unrated=2.5)       # clips without a rating count half

Training clips are recordings of one bird (the primary label) with others in the background (secondary labels). A clip's weight is
its rating, 1 to 5 stars, divided by 5. Clips of one author are a group: they share a microphone, a site and often the very bird, and a
network that recognises these again scores better on them than it will on anybody else's recordings.

In 2026 some recordings of the sites are labelled, five seconds by five seconds: these windows join the training clips, those of one site are a
group, and `site` and `recorded` say where and when.

The test recordings are Kaggle's own and appear when it runs a submitted notebook. So the test rows are those of the recordings that
exist, and if there are none the few rows of the sample submission.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from ...audio import AudioError, find_audio, recording_seconds
from ...core.files import inside
from ...core.reading import read_json
from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from ...labels.annotations.tables import times_in
from ..competition import Competition
from ..reading import drop_unknown, need_columns, numbers, read_text, refuse, test_windows, train_rows, with_audio
from ..registry import layout
from ..submission_formats import ClassColumns, Decisions, LabelSets, SubmissionFormat

SECONDS = 5.0  # of a row
STARS = 5.0  # of the best rating; 0 is none at all
TEST = "test_soundscapes"
SAMPLE = "sample_submission.csv"
SCAPES = "train_soundscapes"
_SCAPE_NAME = re.compile(r"(?P<site>S\d+)_(?P<date>\d{8})_(?P<time>\d{6})$")  # BC2026_Train_0039_S22_20211231_201500


@dataclass(frozen=True)
class _Year:
    """How one year's competition differs from the others'."""

    birds: int  # different primary labels: tells the years apart
    metric: str
    format: SubmissionFormat
    row: tuple[str, ...]  # parts of a row's name: the recording, perhaps the bird, the end in seconds
    table: str = "train_metadata.csv"
    audio: str = "train_audio"
    also: tuple[str, ...] = ()  # further files by which its folder is recognised
    by_bird: bool = False  # file names lack the folder, which is the bird's
    test_csv: bool = False  # the rows are those of test.csv; else of the recordings
    dated: bool = False  # names of soundscapes end with a date, which names of rows lack
    soundscapes: str = ""  # labels of train_soundscapes, where there are any
    with_soundscapes: bool = False  # whether these are in training by default
    scored: str = ""  # the birds that count for the score, where not all do


_ONE_NAME, _PROBABILITIES = ("soundscape", "end"), ClassColumns(id_col="row_id")
_TAXONOMY = "taxonomy.csv"
_YEARS = {
    "birdclef-2021": _Year(
        397,
        "row_f1",
        LabelSets(nothing="nocall"),
        ("audio_id", "site", "seconds"),
        audio="train_short_audio",
        by_bird=True,
        test_csv=True,
        dated=True,
        soundscapes="train_soundscape_labels.csv",
    ),
    "birdclef-2022": _Year(
        152,
        "macro_f1",
        Decisions(),
        ("file_id", "bird", "end_time"),
        also=("scored_birds.json",),
        test_csv=True,
        scored="scored_birds.json",
    ),
    "birdclef-2023": _Year(264, "padded_cmap", _PROBABILITIES, _ONE_NAME),
    "birdclef-2024": _Year(182, "macro_auc", _PROBABILITIES, _ONE_NAME),
    "birdclef-2025": _Year(206, "macro_auc", _PROBABILITIES, _ONE_NAME, table="train.csv", also=(_TAXONOMY,)),
    "birdclef-2026": _Year(
        234,
        "macro_auc",
        _PROBABILITIES,
        _ONE_NAME,
        table="train.csv",
        also=(_TAXONOMY, "train_soundscapes_labels.csv"),
        soundscapes="train_soundscapes_labels.csv",
        with_soundscapes=True,
    ),
}


# ---------------------------------------------------------------------- training clips


def _as_list(cell: str) -> list[str] | None:
    """The labels of a Python list in text, "['amecro', 'houfin']"; None if it is something else. Nothing is executed."""
    try:
        found = ast.literal_eval(cell)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        return None
    return [label.strip() for label in found if label.strip()]  # 2025 writes [''] where there is none


def _secondary(table: pd.DataFrame, csv: Path) -> list[list[str]]:
    cells = table["secondary_labels"].tolist()
    lists = {cell: _as_list(cell) for cell in set(cells)}
    invalid = [lists[cell] is None for cell in cells]
    refuse(invalid, csv, "secondary_labels", "is not a list of labels such as \"['amecro']\"")
    return [lists[cell] for cell in cells]


def _weights(rating: np.ndarray, unrated: float) -> np.ndarray:
    return np.where(rating > 0, rating, unrated) / STARS


def _authors(table: pd.DataFrame, csv: Path, names: Sequence[str]) -> list[str]:
    """The author of each clip; a clip without an author is a group of its own."""
    authors = table["author"].str.strip().tolist()
    without = sum(not author for author in authors)
    if without:
        warn(f"{csv.name}: {count(without, 'clip')} without an author, each a group of its own")
    return [author or name for author, name in zip(authors, names)]


def _primary(table: pd.DataFrame, csv: Path) -> list[str]:
    labels = table["primary_label"].str.strip()
    refuse(labels == "", csv, "primary_label", "is empty", "fill it in or leave these rows out")
    return labels.tolist()


def _clips(
    folder: Path,
    year: _Year,
    table: pd.DataFrame,
    vocab: Sequence[str],
    secondary: bool,
    rating_weight: bool,
    unrated: float,
    group: str | None,
) -> pd.DataFrame:
    """The training table of single recordings."""
    csv = folder / year.table
    primary, names = _primary(table, csv), table["filename"].str.strip()
    refuse(names == "", csv, "filename", "is empty", "fill it in or leave these rows out")
    if year.by_bird:
        names = pd.Series(primary) + "/" + names
    others = drop_unknown(_secondary(table, csv), vocab, "secondary label") if secondary else [[]] * len(table)
    made = pd.DataFrame({"file": names, "label": [[first, *rest] for first, rest in zip(primary, others)]})
    columns = {}
    for name in ("rating", "latitude", "longitude"):
        if name in table:
            made[name] = numbers(table, csv, name)
    for name in ("author", "collection"):
        if name in table:
            made[name] = table[name].tolist()
    if "rating" in made:
        outside = (made["rating"] < 0) | (made["rating"] > STARS)
        refuse(outside, csv, "rating", f"is not from 0 to {STARS:g}")
    if rating_weight:
        made["weight"], columns["weight_col"] = _weights(made["rating"].to_numpy(), unrated), "weight"
    if group and "author" in table:
        made["group"], columns["group_col"] = _authors(table, csv, names), "group"
    elif group:
        warn(f"{csv.name} has no column 'author', so clips of one author may be in both training and validation")
    keep = [name for name in ("rating", "author", "latitude", "longitude", "collection") if name in made]
    return train_rows(made, folder, year.audio, fn_col="file", keep=dict(zip(keep, keep)), **columns)


# ---------------------------------------------------------------------- rows of five seconds


def _recordings(folder: Path, below: str, dated: bool) -> dict[str, str]:
    """Name of a soundscape in rows -> its path below the folder; empty if there is none."""
    found: dict[str, str] = {}
    for path in find_audio(folder / below) if (folder / below).is_dir() else []:
        stem = PurePosixPath(path).stem
        name = "_".join(stem.split("_")[:2]) if dated else stem
        if name in found:
            raise ValueError(
                f"{found[name]!r} and '{below}/{path}' are both the recording {name!r} of the rows; keep one of them"
            )
        found[name] = f"{below}/{path}"
    return found


def _row_parts(ids: Sequence[str], given: pd.DataFrame | None, year: _Year, csv: Path) -> pd.DataFrame:
    """The parts of each row's name: the columns of `given`, where it has them, else split from the name itself."""
    n = len(year.row)
    split = [name.rsplit("_", n - 1) for name in ids]
    cells = [part if len(part) == n else [""] * n for part in split]
    parts = pd.DataFrame(cells, columns=list(year.row), dtype=object)
    for column in year.row if given is not None else ():
        if column in given:
            known = dict(zip(given["row_id"], given[column].str.strip()))
            parts[column] = [known.get(name, own) for name, own in zip(ids, parts[column])]
    end = pd.to_numeric(parts[year.row[-1]], errors="coerce").to_numpy(float)
    invalid = ~(np.isfinite(end) & (end >= SECONDS)) | (parts == "").any(axis=1).to_numpy()
    form, such = "_".join(f"<{name}>" for name in year.row), examples(np.asarray(ids, object)[invalid], 1)
    rule = f"is not {form} with a time of {SECONDS:g} s or later"
    refuse(invalid, csv, "row_id", rule, f"correct these rows, such as {such!r}")
    return parts.assign(end=end)


def _windows_of(
    ids: Sequence[str], given: pd.DataFrame | None, folder: Path, below: str, year: _Year, csv: Path
) -> pd.DataFrame:
    """Rows `id, path, start, end[, target_label]`, in the order of `ids`; of missing recordings too."""
    recordings, parts = _recordings(folder, below, year.dated), _row_parts(ids, given, year, csv)
    names = ["_".join(cells) for cells in zip(*(parts[name] for name in year.row[:-1] if name != "bird"))]
    paths = {name: recordings.get(name) or f"{below}/{inside(folder / below, name + '.ogg')}" for name in set(names)}
    rows = pd.DataFrame(
        {"id": list(ids), "path": [paths[name] for name in names], "start": parts["end"] - SECONDS, "end": parts["end"]}
    )
    return rows.assign(target_label=parts["bird"]) if "bird" in parts else rows


def _seconds(path: Path) -> float | None:
    """The length of a recording; None if it cannot be read."""
    try:
        return recording_seconds(path)
    except AudioError:
        return None


def _recorded(folder: Path, year: _Year) -> pd.DataFrame:
    """Rows `id, path, start, end`, one for every full five seconds of the recordings that exist."""
    files = [path[len(TEST) + 1 :] for path in _recordings(folder, TEST, year.dated).values()]
    lengths = {name: _seconds(folder / TEST / name) for name in files}
    broken = [name for name, length in lengths.items() if length is None]
    if broken:
        warn(
            f"{count(len(broken), 'recording')} in {TEST} cannot be read ({examples(broken)}); they keep the rows of {SAMPLE}, "
            "for which the class prior is predicted"
        )
    known = {name: length for name, length in lengths.items() if length is not None}
    return test_windows(known, folder, TEST, SECONDS, lambda stem, end: f"{stem}_{end}")


def _by_recordings(sample: pd.DataFrame, folder: Path, year: _Year) -> pd.DataFrame:
    """The rows of the sample submission where it has all rows of the recordings; else it is a placeholder for the true one.

    Then the rows are those of the recordings, and those of the sample whose recording cannot be read.
    """
    named = _windows_of(sample["row_id"], None, folder, TEST, year, folder / SAMPLE)
    recorded = _recorded(folder, year)
    more = ~recorded["id"].isin(named["id"])
    if not more.any():
        return named
    exists = named["path"].isin(set(_recordings(folder, TEST, year.dated).values()))
    if not exists.all():
        warn(
            f"{SAMPLE} lacks {more.sum()} of the {count(len(recorded), 'row')} of the recordings in {TEST}, so it is a placeholder; "
            f"{count(int((~exists).sum()), 'row')} of recordings that do not exist left out ({examples(named['id'][~exists])})"
        )
    return pd.concat([recorded, named[exists & ~named["id"].isin(recorded["id"])]], ignore_index=True)


def _by_test_csv(sample: pd.DataFrame, folder: Path, year: _Year) -> pd.DataFrame:
    """The rows of the sample submission and of test.csv, in the sample's order; one of them may lack rows of the other."""
    csv = folder / "test.csv"
    if not csv.exists():
        return _windows_of(sample["row_id"], None, folder, TEST, year, folder / SAMPLE)
    given = read_text(csv)
    need_columns(given, csv, "row_id")
    ours, theirs = set(sample["row_id"]), set(given["row_id"])
    if ours - theirs and theirs - ours:
        differ = f"{examples(sorted(ours - theirs))} and {examples(sorted(theirs - ours))}"
        raise ValueError(f"{SAMPLE} and test.csv have different rows ({differ}); take both from one source")
    ids = [*sample["row_id"], *(name for name in given["row_id"] if name not in ours)]
    return _windows_of(ids, given, folder, TEST, year, csv)


def _warn_missing_recordings(test: pd.DataFrame, folder: Path) -> None:
    missing = {path for path in set(test["path"]) if not os.path.lexists(folder / path)}
    rows = test["path"].isin(missing)
    if missing:
        warn(
            f"{rows.sum()} of {count(len(test), 'test row')} are of recordings that are not in {TEST} "
            f"({examples(test['path'][rows])}); the class prior is predicted for them. "
            "Kaggle puts the recordings there when it runs a submitted notebook"
        )


def _named_windows(table: pd.DataFrame, folder: Path, year: _Year, csv: Path) -> pd.DataFrame:
    """`path, start, end, label, group` of 2021, whose rows have the names of rows of the submission. One recording is one group."""
    refuse(table["birds"].str.strip() == "", csv, "birds", "is empty", "write 'nocall' where no bird is audible")
    rows = _windows_of(table["row_id"], table, folder, SCAPES, year, csv).drop(columns="id")
    rows["label"] = [[bird for bird in cell.split() if bird != year.format.nothing] for cell in table["birds"]]
    return rows.assign(group=[f"soundscape {PurePosixPath(path).stem}" for path in rows["path"]])


def _timed_windows(table: pd.DataFrame, folder: Path, csv: Path) -> pd.DataFrame:
    """`path, start, end, label, group, site, recorded` of 2026, whose rows have a file, clock times and labels. One site is one group."""
    again = table.duplicated()
    if again.any():
        warn(f"{csv.name}: {count(int(again.sum()), 'duplicate row')} left out")
    table = table[~again].reset_index(drop=True)
    times = {name: times_in(table[name]) for name in ("start", "end")}
    for name, seconds in times.items():
        refuse(~np.isfinite(seconds), csv, name, "is not a time such as 00:00:05")
    columns = dict(fn_col="filename", label_col="primary_label", label_delim=";", start_col="start", end_col="end")
    rows = train_rows(table.assign(**times), folder, SCAPES, **columns)
    names = [PurePosixPath(path).stem for path in rows["path"]]
    found = [_SCAPE_NAME.search(name) for name in names]
    without = [name for name, match in zip(names, found) if not match]
    if without:
        warn(
            f"{csv.name}: {count(len(without), 'row')} of recordings without a site in their name, each a group of its own ({examples(without)})"
        )
    recorded = pd.to_datetime(
        [match["date"] + match["time"] if match else None for match in found], format="%Y%m%d%H%M%S"
    )
    return rows.assign(
        group=[f"site {match['site']}" if match else f"soundscape {name}" for name, match in zip(names, found)],
        site=[match["site"] if match else "" for match in found],
        recorded=[time.isoformat() if time == time else "" for time in recorded],
    )


def _windows(folder: Path, year: _Year, vocab: Sequence[str], rating_weight: bool, group: str | None) -> pd.DataFrame:
    """The training table of labelled windows of train_soundscapes."""
    csv = folder / year.soundscapes
    table = read_text(csv)
    if year.dated:
        need_columns(table, csv, "row_id", "birds")
        rows = _named_windows(table, folder, year, csv)
    else:
        need_columns(table, csv, "filename", "start", "end", "primary_label")
        rows = _timed_windows(table, folder, csv)
    rows["label"] = drop_unknown(rows["label"], vocab, "label of soundscapes")
    if rating_weight:
        rows["weight"] = 1.0
    audio = SCAPES if year.dated else ()  # in 2026 most have no labels
    return with_audio(rows if group else rows.drop(columns="group"), folder, audio, "soundscape")


# ---------------------------------------------------------------------- vocabulary


def _scored_birds(json_file: Path) -> list[str]:
    birds = read_json(json_file)
    if not isinstance(birds, list) or not birds or not all(isinstance(bird, str) for bird in birds):
        raise ValueError(f'{json_file.name} is not a list of birds; it should read ["akiapo", "aniani" ...]')
    return birds


def _vocabulary(sample: pd.DataFrame, folder: Path, year: _Year, primary: Sequence[str]) -> list[str]:
    """The sample's class columns; where it has none all birds of training and those that are scored."""
    if isinstance(year.format, ClassColumns):
        return list(sample)[1:]
    return sorted({*primary, *(_scored_birds(folder / year.scored) if year.scored else ())})


def _check_targets(test: pd.DataFrame, vocab: Sequence[str], year: _Year) -> None:
    unknown = sorted(set(test["target_label"]) - set(vocab)) if "target_label" in test else []
    if unknown:
        raise ValueError(
            f"{count(len(unknown), 'bird')} in test rows but neither in {year.table} nor in {year.scored} "
            f"({examples(unknown)}); take test.csv and both from one source"
        )


def _check_year(slug: str, folder: Path, primary: Sequence[str], sample: pd.DataFrame) -> None:
    """ValueError if the folder is another year's, whose layout is alike."""
    year, n = _YEARS[slug], len(list(sample)) - 1  # of classes: some of 2026 have no clip
    if n not in [facts.birds for facts in _YEARS.values()]:
        n = len(set(primary))
    for other, facts in _YEARS.items():
        if n == facts.birds != year.birds:
            raise ValueError(
                f"{str(folder)!r} holds {n} birds, as {other} does, and {slug} has {year.birds}; "
                f"give the folder of {slug}, or open it as {other!r}"
            )
    by_class = isinstance(year.format, ClassColumns)
    right = (
        list(sample)[:1] == ["row_id"] and len(list(sample)) > 2
        if by_class
        else list(sample) == year.format.columns(())
    )
    if not right:
        wanted = "row_id and one for each bird" if by_class else " and ".join(year.format.columns(()))
        raise ValueError(
            f"{SAMPLE} has the columns {examples(list(sample), 4)}; that of {slug} has {wanted}; use that one"
        )


# ---------------------------------------------------------------------- the layout


def _check_options(
    slug: str, year: _Year, unrated: float, group: str | None, soundscapes: bool | None, scored_only: bool
) -> None:
    if not (isinstance(unrated, (int, float)) and 0 <= unrated <= STARS):
        raise ValueError(f"unrated={unrated!r}; give the stars that a clip without a rating counts as, 0 to {STARS:g}")
    if group is not None:
        choose(group, ["author"], "group (or None)")
    if soundscapes and not year.soundscapes:
        raise ValueError(f"soundscapes=True: {slug} gives no labels of soundscapes; birdclef-2021 and birdclef-2026 do")
    if scored_only and not year.scored:
        raise ValueError(f"scored_only=True: in {slug} all birds are scored; in birdclef-2022 some are")


def _scored_only(train: pd.DataFrame, test: pd.DataFrame, folder: Path, year: _Year) -> tuple[pd.DataFrame, list[str]]:
    """Training with the labels of scored birds only (clips without any stay), and the vocabulary."""
    vocab = _scored_birds(folder / year.scored)
    vocab += sorted(set(test["target_label"]) - set(vocab))
    return train.assign(label=[[label for label in labels if label in vocab] for labels in train["label"]]), vocab


def read_birdclef(
    folder: Path,
    slug: str,
    secondary: bool = True,
    rating_weight: bool = True,
    unrated: float = 3.0,
    group: str | None = "author",
    soundscapes: bool | None = None,
    scored_only: bool = False,
) -> Competition:
    """The BirdCLEF competition of one year.

    Its labels are the class columns of the sample submission; before 2023, when it had none, the sorted birds of training.

    Parameters
    ----------
    folder : Path
        The folder as Kaggle gives it.
    slug : str
        "birdclef-2021" ... "birdclef-2026".
    secondary : bool, default True
        Clips have the birds in their background as labels too; unknown ones are left out, and counted.
    rating_weight : bool, default True
        A clip's weight is its rating / 5.
    unrated : float, default 3.0
        Stars that clips without a rating count as, 0 to 5; with 0 they have no weight.
    group : {"author", None}, default "author"
        "author" never splits the clips of one author between training and validation, nor the windows of one site (2021: recording).
    soundscapes : bool, default None
        2021 and 2026: the labelled windows of train_soundscapes are in training too, including those without birds. None is True in 2026.
    scored_only : bool, default False
        2022: the labels are the scored birds, so that the score is comparable with the competition's; otherwise those of all clips.

    Returns
    -------
    Competition

    Raises
    ------
    ValueError
        Tables lack columns, cells cannot be read, or the folder is another year's.
    """
    year = _YEARS[slug]
    _check_options(slug, year, unrated, group, soundscapes, scored_only)
    csv = folder / year.table
    table, sample = read_text(csv), read_text(folder / SAMPLE)
    need_columns(
        table, csv, "primary_label", "filename", *["secondary_labels"] * secondary, *["rating"] * rating_weight
    )
    primary = _primary(table, csv)
    _check_year(slug, folder, primary, sample)
    vocab = _vocabulary(sample, folder, year, primary)
    train = with_audio(_clips(folder, year, table, vocab, secondary, rating_weight, unrated, group), folder, year.audio)
    if year.with_soundscapes if soundscapes is None else soundscapes:
        train = pd.concat([train, _windows(folder, year, vocab, rating_weight, group)], ignore_index=True)
    test = (_by_test_csv if year.test_csv else _by_recordings)(sample, folder, year)
    if not len(test):
        raise ValueError(
            f"{SAMPLE} has no rows, and {TEST} no recording of {SECONDS:g} s; use the sample submission of {slug}"
        )
    _warn_missing_recordings(test, folder)
    _check_targets(test, vocab, year)
    if scored_only:
        train, vocab = _scored_only(train, test, folder, year)
    return Competition(slug, folder, train, year.metric, year.format, test, tuple(vocab), sample=folder / SAMPLE)


for _slug, _year in _YEARS.items():
    layout(_slug, marks=[tuple(filter(None, (_year.table, _year.audio, SAMPLE, *_year.also)))])(read_birdclef)
