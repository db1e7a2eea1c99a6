"""One network of a run: one fold with one seed, in a folder of its own.

The folder shows its progress: `fit/checkpoints` after every epoch, `done.json` when it is trained and the held-out clips are
predicted, `test.npz` when the test set is predicted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..labels.tables import clip_index
from ..training import Predictions
from .config import RunConfig
from .held_out import fold_numbers


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
        """What was measured: score, low, high, clips, epochs, seconds ... ValueError if the file is broken."""
        file = self.folder / "done.json"
        try:
            return json.loads(file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise ValueError(
                f"{str(file)!r} is broken ({exc}); remove the folder {str(self.folder)!r}, and the same call trains this fold again"
            ) from exc

    def oof(self) -> Predictions:
        """Predictions of the clips that were held out.

        Returns
        -------
        Predictions
        """
        return Predictions.load(self.folder / "oof.npz")

    def test(self) -> Predictions:
        """Predictions of the test clips that could be drawn.

        Returns
        -------
        Predictions
        """
        return Predictions.load(self.folder / "test.npz")

    def __str__(self) -> str:
        return f"fold {self.fold}, seed {self.seed}"


def plan_fold_runs(folder: Path, config: RunConfig, folds: pd.DataFrame) -> list[FoldRun]:
    """The networks of a run, seed by seed and fold by fold, so that all clips are predicted once before the second seed."""
    return [
        FoldRun(seed, fold, folder / f"seed{seed}-fold{fold}")
        for seed in config.seed_list
        for fold in fold_numbers(folds)
    ]


def mean_predictions(parts: Sequence[Predictions]) -> Predictions:
    """One row per clip, with the mean of the probabilities (and losses) of those parts that have it."""
    if len(parts) == 1:
        return Predictions(parts[0].table, parts[0].probs, parts[0].vocab, None, parts[0].is_multi)
    merged = parts[0].merge(*parts[1:])
    of_row, clips = clip_index(merged.table).factorize()
    firsts = np.unique(of_row, return_index=True)[1]
    share = 1 / np.bincount(of_row)
    probs = np.zeros((len(clips), len(merged.vocab)))
    np.add.at(probs, of_row, merged.probs)
    loss = np.bincount(of_row, weights=merged.table["loss"].to_numpy(float))
    table = merged.table.iloc[firsts].reset_index(drop=True).assign(loss=loss * share)
    return Predictions(table, probs * share[:, None], merged.vocab, None, merged.is_multi)
