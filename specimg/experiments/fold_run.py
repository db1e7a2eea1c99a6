"""One network of a run: one fold with one seed, in a folder of its own.

The folder shows its progress: `fit/checkpoints` after every epoch, `done.json` when it is trained and the held-out clips are
predicted, `test.npz` when the test set is predicted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.files import OutsideError, inside
from ..core.reading import is_number, read_json
from ..core.text import count
from ..labels.tables import clip_index
from ..training import Predictions
from .config import RunConfig
from .held_out import fold_numbers

MOST_FOLD_RUNS = 100_000  # of a run
MOST_DONE = 2**20  # bytes of done.json

_MEASURED = ("score", "low", "high", "clips", "epochs", "seconds")  # numbers in done.json; the first three may be null


def _check_done(done: Any) -> dict:
    """The content of done.json. ValueError with the first entry that is missing or of another kind."""
    if not isinstance(done, dict):
        raise ValueError(f"it is a {type(done).__name__}, and no object")
    for name in _MEASURED:
        number = done.get(name)
        if not is_number(number, below=1e300) and not (number is None and name in done and name in _MEASURED[:3]):
            raise ValueError(
                f"its entry {name!r} is {number!r:.40}" if name in done else f"its entry {name!r} is missing"
            )
    if not isinstance(done.get("weights_from"), (str, type(None))):
        raise ValueError("its entry 'weights_from' is no text")
    return done


def check_paths(table: pd.DataFrame, source: Path) -> pd.DataFrame:
    """The table, if each path is one below the folder of the recordings, whatever that is. OutsideError, with the file's name, if not."""
    for path in table["path"].unique():
        if os.path.isabs(path):
            raise OutsideError(
                f"{str(source)!r}: {path!r} is an absolute path, where runs have paths below their recordings' folder"
            )
        try:
            inside(".", path)
        except OutsideError as exc:
            raise OutsideError(f"{str(source)!r}: {exc}") from exc
    return table


@dataclass(frozen=True)
class FoldRun:
    """One fold with one seed: a network, in a folder of its own.

    Parameters
    ----------
    seed : int
        Seed of the network's training.
    fold : int
        The fold that was held out.
    folder : Path
        Holds the epochs (`fit/`), the trained classifier (`classifier/`), `oof.npz`, `test.npz` and `done.json`.

    Examples
    --------
    >>> fold_run = run.fold_runs[0]
    >>> print(fold_run), fold_run.finished, len(fold_run.oof())
    fold 0, seed 0
    (None, True, 4)
    """

    seed: int
    fold: int
    folder: Path

    @property
    def finished(self) -> bool:
        """Whether it is trained and the held-out clips are predicted. `done.json` is written last."""
        return (self.folder / "done.json").is_file()

    @property
    def predicted_test(self) -> bool:
        """Whether the test set is predicted."""
        return (self.folder / "test.npz").is_file()

    @property
    def done(self) -> dict:
        """What was measured: score, low, high, clips, epochs, seconds ... ValueError if the file is broken, or of another kind."""
        file = self.folder / "done.json"
        try:
            return _check_done(read_json(file, max_bytes=MOST_DONE))
        except ValueError as exc:
            raise ValueError(f"{str(file)!r} is broken ({exc}); {self._way_out}") from exc

    @property
    def _way_out(self) -> str:
        return f"remove the folder {str(self.folder)!r}, and the same call trains this fold again; the others are kept"

    def _load(self, name: str) -> Predictions:
        file = self.folder / name
        try:
            found = Predictions.load(file)
            check_paths(found.table, file)
        except FileNotFoundError as exc:
            raise ValueError(f"{str(file)!r} is missing, though {self} is finished; {self._way_out}") from exc
        except OutsideError:
            raise
        except ValueError as exc:
            raise ValueError(f"{exc}; {self._way_out}") from exc
        return found

    def oof(self) -> Predictions:
        """Predictions of the clips that were held out.

        Returns
        -------
        Predictions
        """
        return self._load("oof.npz")

    def test(self) -> Predictions:
        """Predictions of the test clips that could be drawn.

        Returns
        -------
        Predictions
        """
        return self._load("test.npz")

    def __str__(self) -> str:
        return f"fold {self.fold}, seed {self.seed}"


def plan_fold_runs(folder: Path, config: RunConfig, folds: pd.DataFrame) -> list[FoldRun]:
    """The networks of a run, seed by seed and fold by fold, so that all clips are predicted once before the second seed."""
    seeds, numbers = config.seed_list, fold_numbers(folds)
    if len(seeds) * len(numbers) > MOST_FOLD_RUNS:
        raise ValueError(
            f"{count(len(numbers), 'fold')} and {count(len(seeds), 'seed')} are more than {MOST_FOLD_RUNS} networks; give fewer"
        )
    return [FoldRun(seed, fold, folder / f"seed{seed}-fold{fold}") for seed in seeds for fold in numbers]


def mean_predictions(parts: Sequence[Predictions]) -> Predictions:
    """One row per clip, with the mean of the probabilities (and losses) of those parts that have it."""
    if len(parts) == 1:
        return Predictions(parts[0].table, parts[0].probs, parts[0].vocab, None, parts[0].is_multi)
    merged = parts[0].merge(*parts[1:])
    if not len(merged.table):
        return Predictions(merged.table, merged.probs, merged.vocab, None, merged.is_multi)
    of_row, clips = clip_index(merged.table).factorize()
    firsts = np.unique(of_row, return_index=True)[1]
    share = 1 / np.bincount(of_row)
    probs = np.zeros((len(clips), len(merged.vocab)))
    np.add.at(probs, of_row, merged.probs)
    loss = np.bincount(of_row, weights=merged.table["loss"].to_numpy(float))
    table = merged.table.iloc[firsts].reset_index(drop=True).assign(loss=loss * share)
    return Predictions(table, probs * share[:, None], merged.vocab, None, merged.is_multi)
