"""Freesound's two competitions: 41 kinds of sound, one a clip (2018), and 80, several a clip (2019).

    comp = Competition.open("freesound-audio-tagging", "freesound/", unverified=0.5)
    comp = Competition.open("freesound-audio-tagging-2019", "freesound-2019/", noisy="leave")

Both are read as Kaggle gives them, and as they were published afterwards (FSDKaggle2018, FSDKaggle2019), with the answers to
their test sets and without the clips that Kaggle mixed in and never scored.

In both a large part of the labels was never checked by ear. Such clips train with a smaller weight and do not count for the
score: a score on wrong labels says how well the mistakes were learnt.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from ..competition import Competition
from ..formats import BestLabels, ClassColumns
from ..reading import asked_rows, drop_unknown, read_text, test_rows, train_rows, with_audio
from ..registry import layout

__all__ = ["BROKEN_2019", "read_2018", "read_2019"]

# Of the curated clips of 2019, as the data set's own description lists them: five with another clip's label, and a silent one.
BROKEN_2019 = ("f76181c4.wav", "77b925c2.wav", "6a1f682a.wav", "c7db12aa.wav", "7752cc8a.wav", "1d44b0bd.wav")
PADDING = "None"  # the label, in solutions, of test clips that are not scored


@dataclass(frozen=True)
class _Edition:
    """Where an edition keeps its tables and recordings."""

    train: tuple[tuple[str, str], ...]  # csv and audio folder of each part of the training set
    test: str  # audio folder
    answers: tuple[str, ...]  # csv files that may hold the answers to the test set, the best first
    asks: bool = True  # does a sample submission say what is asked? else the answers do

    def is_in(self, folder: Path) -> bool:
        return all((folder / name).exists() for name in self.train[0])


_EDITIONS = {
    2018: (
        _Edition(
            (("train.csv", "audio_train"),),
            "audio_test",
            ("solution.csv", "test_post_competition.csv", "test_post_competition_scoring_clips.csv"),
        ),
        _Edition(
            (("FSDKaggle2018.meta/train_post_competition.csv", "FSDKaggle2018.audio_train"),),
            "FSDKaggle2018.audio_test",
            ("FSDKaggle2018.meta/test_post_competition_scoring_clips.csv",),
            asks=False,
        ),
    ),
    2019: (
        _Edition(
            (("train_curated.csv", "train_curated"), ("train_noisy.csv", "train_noisy")),
            "test",
            ("solution.csv", "test_post_competition.csv"),
        ),
        _Edition(
            (
                ("FSDKaggle2019.meta/train_curated_post_competition.csv", "FSDKaggle2019.audio_train_curated"),
                ("FSDKaggle2019.meta/train_noisy_post_competition.csv", "FSDKaggle2019.audio_train_noisy"),
            ),
            "FSDKaggle2019.audio_test",
            ("FSDKaggle2019.meta/test_post_competition.csv",),
            asks=False,
        ),
    ),
}


def _marks(year: int) -> list[tuple[str, str]]:
    return [edition.train[0] for edition in _EDITIONS[year]]


def _edition(year: int, folder: Path) -> _Edition:
    return next(edition for edition in _EDITIONS[year] if edition.is_in(folder))


def _check_weight(name: str, weight: float) -> None:
    if not isinstance(weight, numbers.Real) or not 0 <= weight < math.inf:
        raise ValueError(
            f"{name}={weight!r}; give a weight from 0 (never drawn) to 1 (drawn as often as a clip whose label was checked)"
        )


# ---------------------------------------------------------------------- training and test rows


def _training(folder: Path, csv: str, audio: str, what: str, **columns) -> pd.DataFrame:
    """The rows of a csv whose recording is there, with where a clip comes from, as far as the csv says it."""
    keep = {name: name for name in ("freesound_id", "license") if name in read_text(folder / csv)}
    rows = train_rows(folder / csv, folder, audio, keep=keep, **columns)
    return with_audio(rows, folder, audio, what)


def _answers(folder: Path, edition: _Edition, label_col: str) -> pd.DataFrame | None:
    """`id, label` and, where it is known, `usage` (of the public or the private leaderboard); None where no csv tells."""
    found = [folder / name for name in edition.answers if (folder / name).is_file()]
    if not found:
        return None
    table = read_text(found[0])
    for name in ("fname", label_col):
        choose(name, list(table), f"column in {found[0].name}")
    kept = table[["fname", label_col] + [name for name in ("usage",) if name in table]]
    return kept.rename(columns={"fname": "id", label_col: "label"})


def _test(
    folder: Path, edition: _Edition, label_col: str
) -> tuple[Path | None, pd.DataFrame | None, pd.DataFrame | None]:
    """The sample submission, the test rows, and the answers to those of them whose answer is known."""
    answers = _answers(folder, edition, label_col)
    if edition.asks:
        sample, test = asked_rows(folder, edition.test)
    else:
        sample, there = None, answers is not None and (folder / edition.test).is_dir()
        test = test_rows(answers["id"], folder, edition.test) if there else None
    if answers is None or test is None:
        return sample, test, None
    known = answers["id"].isin(set(test["id"])) & (answers["label"] != PADDING)
    return sample, test, answers[known].reset_index(drop=True)


def _check_answers(solution: pd.DataFrame | None, train: pd.DataFrame) -> None:
    strange = [] if solution is None else sorted(set(solution["label"].explode()) - set(train["label"].explode()))
    if strange:
        warn(
            f"{count(len(strange), 'label')} in the answers but not in training ({examples(strange)}): no network could know them"
        )


# ---------------------------------------------------------------------- 2018


@layout("freesound-audio-tagging", marks=_marks(2018), fetched="FSDKaggle2018")
def read_2018(folder: Path, unverified: float = 0.65, scored: str = "verified") -> Competition:
    """Freesound General-Purpose Audio Tagging Challenge (2018): the best three of 41 labels, MAP@3.

    Parameters
    ----------
    unverified : weight of the clips whose label nobody verified. The makers of the data estimate that at least 65 to 70 % of these
        labels are right, in each class
    scored : "verified", so that only verified clips count for the score; or "all"

    Training has the columns `verified`, `weight`, `scored`, and in the published edition `freesound_id, license`. Three test files
    hold no samples; they are asked for all the same and keep their rows.
    """
    choose(scored, ["verified", "all"], "choice for scored")
    _check_weight("unverified", unverified)
    edition = _edition(2018, folder)
    train = _training(folder, *edition.train[0], "training", valid_col="manually_verified").rename(
        columns={"is_valid": "verified"}
    )
    if scored == "verified" and not train["verified"].any():
        none = f"none of {count(len(train), 'training clip')} is verified"
        raise ValueError(f"{none}, so that nothing would be scored; open it with scored='all'")
    train["weight"] = np.where(train["verified"], 1.0, unverified)
    train["scored"] = train["verified"] | (scored == "all")
    sample, test, solution = _test(folder, edition, "label")
    _check_answers(solution, train)
    return Competition(
        "freesound-audio-tagging",
        folder,
        train,
        metric="map@3",
        format=BestLabels(k=3),
        test=test,
        sample=sample,
        solution=solution,
    )


# ---------------------------------------------------------------------- 2019


def _without(rows: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """The rows without the recordings named; None stands for those known to be broken, as far as they are there."""
    if isinstance(names, str):
        raise ValueError(f"leave_out={names!r}; give a list of file names, such as leave_out=[{names!r}]")
    files = rows["path"].map(lambda path: path.partition("/")[2])
    unknown = [name for name in names or () if name not in set(files)]
    if unknown:
        what = f"{count(len(unknown), 'file')} to leave out that no training row has ({examples(unknown)})"
        raise ValueError(f"{what}; write names as in the csv")
    broken = files.isin(BROKEN_2019) & rows["curated"] if names is None else files.isin(list(names))
    return rows[~broken].reset_index(drop=True)


def _parts(folder: Path, edition: _Edition, noisy: str) -> pd.DataFrame:
    """The curated clips and, where they are there and wanted, the noisy ones: `path, label, curated`."""
    parts = []
    for (csv, audio), curated in zip(edition.train, (True, False)):
        if curated or (noisy != "leave" and (folder / csv).exists() and (folder / audio).is_dir()):
            what = "curated training" if curated else "noisy training"
            parts.append(
                _training(folder, csv, audio, what, label_col="labels", label_delim=",").assign(curated=curated)
            )
    if len(parts) == 1 and noisy != "leave":
        csv, audio = edition.train[1]
        warn(
            f"{csv!r} or {audio!r} is not there: training has the curated clips only; noisy='leave' says that this is meant"
        )
    return pd.concat(parts, ignore_index=True)


@layout("freesound-audio-tagging-2019", marks=_marks(2019))
def read_2019(
    folder: Path, noisy: str = "train", noisy_weight: float = 0.25, leave_out: Sequence[str] | None = None
) -> Competition:
    """Freesound Audio Tagging 2019: a probability for each of 80 labels, lwlrap.

    Parameters
    ----------
    noisy : the clips with labels made by machine: "train" in every fold and never held out; "fold", held out like the others, though
        only curated clips count for the score; or "leave", not used
    noisy_weight : their weight; curated clips have 1
    leave_out : file names of clips not to use; by default the five curated clips with another clip's label and the silent one that
        the data set's description lists, `BROKEN_2019`; `()` leaves out none

    Training has the columns `curated`, `weight`, `scored`, and `fold`: -1 for clips that are never held out, empty where folds are
    to be dealt.
    """
    choose(noisy, ["train", "fold", "leave"], "choice for noisy")
    _check_weight("noisy_weight", noisy_weight)
    edition = _edition(2019, folder)
    train = _without(_parts(folder, edition, noisy), leave_out)
    train["weight"] = np.where(train["curated"], 1.0, noisy_weight)
    train["scored"] = train["curated"]
    train["fold"] = np.where(train["curated"] | (noisy == "fold"), np.nan, -1.0)
    sample, test, solution = _test(folder, edition, "labels")
    vocab = [] if sample is None else [name for name in read_text(sample) if name != "fname"]
    if vocab:
        train["label"] = drop_unknown(train["label"], vocab, "training label")
    if solution is not None:
        solution["label"] = [cell.split(",") for cell in solution["label"]]
    _check_answers(solution, train)
    return Competition(
        "freesound-audio-tagging-2019",
        folder,
        train,
        metric="lwlrap",
        format=ClassColumns(),
        test=test,
        vocab=tuple(vocab),
        sample=sample,
        solution=solution,
    )
