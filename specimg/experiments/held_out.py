"""Which clips are held out in which fold: folds of a competition's table, and the split of each fold.

Rows of one recording or of one group (speaker, site, source) never occur in both training and validation; nor are clips that always train but share
one of these with a held-out clip.

>>> table = pd.DataFrame({"path": list("abcd"), "group": ["x", "x", "y", "x"], "fold": [0, 0, 1, -1]})
>>> train, held_out = split_fold(table, fold=0)
>>> train.tolist(), held_out.tolist()           # d always trains, but not here: its group is held out
([False, False, True, False], [True, True, False, False])
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..core.text import count, examples
from ..core.warnings import warn
from ..labels.folds import add_folds
from ..labels.tables import clip_index


def fold_numbers(table: pd.DataFrame) -> list[int]:
    """Numbers of the folds that are held out, in order."""
    return sorted(int(fold) for fold in set(table["fold"]) if fold >= 0)


def split_fold(table: pd.DataFrame, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """(bool (rows,), bool (rows,)): which rows train and which are held out. Rows related to held-out ones are neither."""
    held_out = (table["fold"] == fold).to_numpy()
    related = table["path"].isin(set(table["path"][held_out])).to_numpy()
    if "group" in table:
        related = related | table["group"].isin(set(table["group"][held_out].dropna())).to_numpy()
    return ~held_out & ~related, held_out


def warn_related(table: pd.DataFrame, fold: int) -> None:
    """Warn of rows that do not train in a fold because their recording or group is held out in it."""
    train, held_out = split_fold(table, fold)
    related = ~train & ~held_out
    if related.any():
        warn(
            f"fold {fold}: {count(int(related.sum()), 'clip')} of other folds belong to recordings or groups that are held out, "
            f"and do not train in it ({examples(table['path'][related])})"
        )


def _check_splits(table: pd.DataFrame) -> None:
    """ValueError if a fold leaves nothing to train on."""
    for fold in fold_numbers(table):
        if not split_fold(table, fold)[0].any():
            raise ValueError(
                f"fold {fold} leaves no clip to train on: all others belong to recordings or groups that are held out in it; "
                "correct the folds of the table, or give another number of folds="
            )


def _assign_again(comp: Competition, folds: int, seed: int) -> pd.DataFrame:
    """The table with new folds for all rows that do not always train."""
    table = comp.train
    always = (table["fold"] == -1).to_numpy() if "fold" in table else np.zeros(len(table), bool)
    assigned = add_folds(
        table[~always].reset_index(drop=True), folds, group="group" if "group" in table else None, seed=seed
    )
    fold = np.full(len(table), -1)
    fold[~always] = assigned["fold"]
    return table.assign(fold=fold)


def assign_folds(comp: Competition, folds: int | None = None, seed: int = 0) -> pd.DataFrame:
    """The competition's training table with the column `fold`; -1 always trains and is never held out.

    folds : how many; None takes those of the data set, else 5. New folds are stratified, and grouped where the table has groups, by
        `specimg.add_folds`

    Raises ValueError if there are too few clips or groups, or a fold leaves nothing to train on.
    """
    given = comp.given_folds
    if given and folds in (None, len(given)):
        table = comp.train
    else:
        if given:
            warn(
                f"{comp.slug} gives {len(given)} folds and {folds} are assigned instead: the score cannot be compared with published ones; "
                "leave out folds= to use those given"
            )
        table = _assign_again(comp, folds or 5, seed)
    _check_splits(table)
    return table


def add_pseudo_labels(table: pd.DataFrame, pseudo: pd.DataFrame) -> pd.DataFrame:
    """The table with pseudo-labelled test clips added, which always train, with their probability as weight.

    A clip that the table has already keeps its label there.
    """
    new = ~clip_index(pseudo).isin(clip_index(table))
    if not new.any():
        return table
    weighted = table if "weight" in table else table.assign(weight=1.0)
    return pd.concat([weighted, pseudo[new].assign(fold=-1)], ignore_index=True)
