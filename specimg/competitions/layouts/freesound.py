"""Freesound's two competitions: 41 kinds of sound, one per clip (2018), and 80, several per clip (2019).

    comp = Competition.open("freesound-audio-tagging", "freesound/", unverified=0.5)
    comp = Competition.open("freesound-audio-tagging-2019", "freesound-2019/", noisy="leave")

Both are read as Kaggle gives them, and as they were published afterwards (FSDKaggle2018, FSDKaggle2019), with the labels of
their test sets and without the clips that Kaggle mixed in and never scored.

In both a large part of the labels was never verified by listening. Such clips are trained on with a smaller weight and do not count for
the score: a score on wrong labels tells how well the mistakes were learnt.
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
from ..reading import drop_unknown, need_columns, read_text, sample_rows, test_rows, train_rows, with_audio
from ..registry import layout
from ..submission_formats import BestLabels, ClassColumns

# Of the curated clips of 2019, as the data set's own description lists them: five with another clip's label, and a silent one.
BROKEN_2019 = ("f76181c4.wav", "77b925c2.wav", "6a1f682a.wav", "c7db12aa.wav", "7752cc8a.wav", "1d44b0bd.wav")
PADDING = "None"  # the label, in solutions, of test clips that are not scored


@dataclass(frozen=True)
class _Edition:
    """The files of an edition."""

    train: tuple[tuple[str, str], ...]  # csv and audio folder of each part of the training set
    test: str  # audio folder
    solutions: tuple[str, ...]  # csv files that may hold the labels of the test set, the best first
    has_sample: bool = True  # a sample submission lists the test rows; else the solution does

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
            has_sample=False,
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
            has_sample=False,
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
            f"{name}={weight!r}; give a weight from 0 (never drawn) to 1 (drawn as often as a clip with a verified label)"
        )


# ---------------------------------------------------------------------- training and test rows


def _training(folder: Path, csv: str, audio: str, what: str, **columns: str) -> pd.DataFrame:
    """The rows of a csv whose recording exists, with the source of each clip as far as the csv has it."""
    keep = {name: name for name in ("freesound_id", "license") if name in read_text(folder / csv)}
    rows = train_rows(folder / csv, folder, audio, keep=keep, **columns)
    return with_audio(rows, folder, audio, what)


def _solution(folder: Path, edition: _Edition, label_col: str) -> pd.DataFrame | None:
    """`id, label` and, if it is known, `usage` (public or private leaderboard); None if there is no such csv."""
    found = [folder / name for name in edition.solutions if (folder / name).is_file()]
    if not found:
        return None
    table = read_text(found[0])
    need_columns(table, found[0], "fname", label_col)
    kept = table[["fname", label_col] + [name for name in ("usage",) if name in table]]
    return kept.rename(columns={"fname": "id", label_col: "label"})


def _test(
    folder: Path, edition: _Edition, label_col: str
) -> tuple[Path | None, pd.DataFrame | None, pd.DataFrame | None]:
    """The sample submission, the test rows, and the labels of those of them whose label is known."""
    solution = _solution(folder, edition, label_col)
    if edition.has_sample:
        sample, test = sample_rows(folder, edition.test)
    else:
        sample, known = None, solution is not None and (folder / edition.test).is_dir()
        test = test_rows(solution["id"], folder, edition.test) if known else None
    if solution is None or test is None:
        return sample, test, None
    scored = solution["id"].isin(set(test["id"])) & (solution["label"] != PADDING)
    return sample, test, solution[scored].reset_index(drop=True)


def _check_solution(solution: pd.DataFrame | None, train: pd.DataFrame) -> None:
    unknown = [] if solution is None else sorted(set(solution["label"].explode()) - set(train["label"].explode()))
    if unknown:
        warn(
            f"{count(len(unknown), 'label')} of the solution without a clip in training ({examples(unknown)}): "
            "no network can learn them"
        )


# ---------------------------------------------------------------------- 2018


@layout("freesound-audio-tagging", marks=_marks(2018), fetched="FSDKaggle2018")
def read_2018(folder: Path, unverified: float = 0.65, scored: str = "verified") -> Competition:
    """Freesound General-Purpose Audio Tagging Challenge (2018): the likeliest three of 41 labels, MAP@3.

    Three test files hold no samples; they are test rows all the same.

    Parameters
    ----------
    folder : Path
        The folder as Kaggle gives it, or as published (FSDKaggle2018).
    unverified : float, default 0.65
        Weight of the clips whose label nobody verified. The makers of the data estimate that at least 65 to 70 % of these labels are
        right, in each class.
    scored : {"verified", "all"}, default "verified"
        The clips that count for the score.

    Returns
    -------
    Competition
        Training has the columns `verified`, `weight`, `scored`, and in the published edition `freesound_id, license`.

    References
    ----------
    Fonseca et al., "General-purpose tagging of Freesound audio with AudioSet labels", DCASE 2018.
    """
    choose(scored, ["verified", "all"], "choice for scored")
    _check_weight("unverified", unverified)
    edition = _edition(2018, folder)
    train = _training(folder, *edition.train[0], "training", valid_col="manually_verified")
    train = train.rename(columns={"is_valid": "verified"})
    if scored == "verified" and not train["verified"].any():
        none = f"none of {count(len(train), 'training clip')} is verified"
        raise ValueError(f"{none}, so nothing would be scored; open it with scored='all'")
    train["weight"] = np.where(train["verified"], 1.0, unverified)
    train["scored"] = train["verified"] | (scored == "all")
    sample, test, solution = _test(folder, edition, "label")
    _check_solution(solution, train)
    about = dict(metric="map@3", format=BestLabels(k=3), test=test, sample=sample, solution=solution)
    return Competition("freesound-audio-tagging", folder, train, **about)


# ---------------------------------------------------------------------- 2019


def _without(rows: pd.DataFrame, names: Sequence[str] | None) -> pd.DataFrame:
    """The rows without some recordings; None leaves out those that are known to be broken."""
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
    """The curated clips and, where they exist and are wanted, the noisy ones: `path, label, curated`."""
    parts = []
    for (csv, audio), curated in zip(edition.train, (True, False)):
        if curated or (noisy != "leave" and (folder / csv).exists() and (folder / audio).is_dir()):
            what = "curated training" if curated else "noisy training"
            parts.append(
                _training(folder, csv, audio, what, label_col="labels", label_delim=",").assign(curated=curated)
            )
    if len(parts) == 1 and noisy != "leave":
        csv, audio = edition.train[1]
        warn(f"{csv!r} or {audio!r} is missing: training has the curated clips only; noisy='leave' accepts that")
    return pd.concat(parts, ignore_index=True)


@layout("freesound-audio-tagging-2019", marks=_marks(2019))
def read_2019(
    folder: Path, noisy: str = "train", noisy_weight: float = 0.25, leave_out: Sequence[str] | None = None
) -> Competition:
    """Freesound Audio Tagging 2019: a probability for each of 80 labels, lwlrap.

    Parameters
    ----------
    folder : Path
        The folder as Kaggle gives it, or as published (FSDKaggle2019).
    noisy : {"train", "fold", "leave"}, default "train"
        The clips with automatic labels: in training of every fold and never held out; in folds like the others, though only curated
        clips count for the score; or not used.
    noisy_weight : float, default 0.25
        Their weight; curated clips have 1.
    leave_out : sequence of str, default None
        File names of clips not to use; None leaves out `BROKEN_2019`, the five curated clips with another clip's label and the silent
        one that the data set's description lists; `()` none.

    Returns
    -------
    Competition
        Training has the columns `curated`, `weight`, `scored`, and `fold`: -1 for clips that are never held out, empty if folds are
        to be assigned.

    References
    ----------
    Fonseca et al., "Audio tagging with noisy labels and minimal supervision", DCASE 2019.
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
    _check_solution(solution, train)
    about = dict(metric="lwlrap", format=ClassColumns(), test=test, sample=sample, solution=solution)
    return Competition("freesound-audio-tagging-2019", folder, train, vocab=tuple(vocab), **about)
