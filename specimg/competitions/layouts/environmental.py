"""Data sets of single clips that come with their own folds: ESC-50, its ten-class part ESC-10, and UrbanSound8K.

    comp = Competition.open("ESC-50", "ESC-50-master/")      # 50 classes, 5 folds; accuracy
    comp.given_folds                                         # [1, 2, 3, 4, 5]

They have no test set: every clip is predicted by the networks that were not trained on its fold, and the published figures are the
accuracy of these predictions. Only the given folds are comparable, and only they keep the slices of one recording (the group) together;
with other folds a network is scored on slices of recordings that it was trained on. Copies that break this are reported.

Sources: Piczak, "ESC: Dataset for environmental sound classification", ACM Multimedia 2015; Salamon, Jacoby and Bello, "A dataset and
taxonomy for urban sound research", ACM Multimedia 2014.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...core.text import count, examples
from ...core.warnings import warn
from ...labels.folds import divided
from ..competition import Competition
from ..locate import has_marks
from ..reading import need_columns, read_text, refuse, train_rows, with_audio
from ..registry import layout
from ..submission_formats import BestLabels

# (csv, folder that the names in it are relative to): as published, then as widely copied on Kaggle
ESC_FILES = (("meta/esc50.csv", "audio"), ("esc50.csv", "audio/audio/44100"))
URBAN_FILES = (("metadata/UrbanSound8K.csv", "audio"), ("UrbanSound8K.csv", ""))
_URBAN_MARKS = (("metadata/UrbanSound8K.csv", "audio"), ("UrbanSound8K.csv", "fold1"))


def _files(folder: Path, alternatives: tuple[tuple[str, str], ...]) -> tuple[Path, str]:
    """The csv file, and the folder of the audio below `folder`."""
    csv, audio = next(names for names in alternatives if has_marks(folder, [names]))
    return folder / csv, audio


def _read(csv: Path, *columns: str) -> pd.DataFrame:
    """The csv as text, these columns stripped; none of them may be missing or have an empty cell."""
    table = read_text(csv)
    need_columns(table, csv, *columns)
    for name in columns:
        table[name] = table[name].str.strip()
        refuse(table[name] == "", csv, name, "is empty", "fill it in or leave these rows out")
    return table


def _with_folds(table: pd.DataFrame, csv: Path, n: int) -> pd.DataFrame:
    """The table with integers 1 to `n` as folds."""
    folds = pd.to_numeric(table["fold"], errors="coerce")
    refuse(~folds.isin(range(1, n + 1)), csv, "fold", f"is none of the folds 1 to {n}")
    return table.assign(fold=folds.astype(int))


def _check_folds(train: pd.DataFrame, n: int) -> None:
    """Warn of folds without a clip and of groups in several folds."""
    empty = sorted(set(range(1, n + 1)) - set(train["fold"]))
    if empty:
        names = f"fold{'s' * (len(empty) > 1)} {examples(empty, n)}"
        warn(f"no clip in {names} of 1 to {n}; results are not comparable with published ones")
    split = divided(train["group"], train["fold"])
    if len(split):
        warn(
            f"{count(len(split), 'source recording')} with clips in more than one fold ({examples(split)}), unlike the published data: "
            "scores on these folds are too optimistic"
        )


def _check_names(train: pd.DataFrame, csv: Path) -> None:
    double = train["id"][train["id"].duplicated()]
    if len(double):
        raise ValueError(
            f"{csv.name}: {count(len(double), 'clip')} with a name that is there already ({examples(double)}); "
            "keep one of each name"
        )


def _competition(
    slug: str, folder: Path, csv: Path, train: pd.DataFrame, n_folds: int, id_col: str, label_col: str
) -> Competition:
    _check_names(train, csv)
    _check_folds(train, n_folds)
    return Competition(slug, folder, train, "accuracy", BestLabels(id_col=id_col, label_col=label_col))


def _is_esc10(table: pd.DataFrame, csv: Path) -> pd.Series:
    words = table["esc10"].str.lower()
    refuse(~words.isin(["true", "false"]), csv, "esc10", "is neither True nor False")
    if not (words == "true").any():
        raise ValueError(
            f"{csv.name}: no row has esc10 True, so there is no ESC-10 in it; use the file of ESC-50 as published"
        )
    return words == "true"


@layout("ESC-50", "ESC-10", marks=ESC_FILES, fetched="ESC-50")
def read_esc(folder: Path, slug: str) -> Competition:
    """ESC-50: 2,000 clips of 5 s in 50 classes and 5 folds; ESC-10: the 400 clips of its ten easiest classes.

    Parameters
    ----------
    folder : Path
        The folder with `meta/esc50.csv` and `audio`, or with `esc50.csv` and `audio/audio/44100`.
    slug : {"ESC-50", "ESC-10"}
        Which of them.

    Returns
    -------
    Competition
    """
    csv, audio = _files(folder, ESC_FILES)
    table = _read(csv, "filename", "fold", "category", "src_file", *["esc10"] * (slug == "ESC-10"))
    table = _with_folds(table, csv, 5)
    chosen = table[_is_esc10(table, csv)] if slug == "ESC-10" else table
    columns = dict(fn_col="filename", label_col="category", group_col="src_file", fold_col="fold")
    rows = train_rows(chosen, folder, audio, keep={"id": "filename"}, **columns)
    train = with_audio(rows, folder, audio, known=[f"{audio}/{name}" for name in table["filename"]])
    return _competition(slug, folder, csv, train, 5, "filename", "category")


@layout("UrbanSound8K", marks=_URBAN_MARKS, fetched="UrbanSound8K")
def read_urbansound8k(folder: Path) -> Competition:
    """UrbanSound8K: 8,732 clips of up to 4 s in 10 classes and 10 folds.

    `start` and `end` of the csv are not the clip's: they say where it was cut from its source recording.

    Parameters
    ----------
    folder : Path
        The folder with `metadata/UrbanSound8K.csv` and `audio`, or with `UrbanSound8K.csv` and `fold1` ... `fold10`.

    Returns
    -------
    Competition
        Training has the column `salience`: 1 where the sound is in the foreground, 2 where it is in the background.
    """
    csv, audio = _files(folder, URBAN_FILES)
    table = _with_folds(_read(csv, "slice_file_name", "fsID", "fold", "class", "salience"), csv, 10)
    salience = pd.to_numeric(table["salience"], errors="coerce")
    refuse(~salience.isin([1, 2]), csv, "salience", "is neither 1 (in front) nor 2 (in the background)")
    file = "fold" + table["fold"].astype(str) + "/" + table["slice_file_name"]
    table = table.assign(salience=salience.astype(int), file=file)
    columns = dict(fn_col="file", label_col="class", group_col="fsID", fold_col="fold")
    rows = train_rows(table, folder, audio, keep={"id": "slice_file_name", "salience": "salience"}, **columns)
    return _competition("UrbanSound8K", folder, csv, with_audio(rows, folder, audio), 10, "slice_file_name", "class")
