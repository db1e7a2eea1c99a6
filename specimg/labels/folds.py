"""Which clips train and which ones test: stratified folds and splits that never part what belongs together.

Rows of one recording, or of one group (a speaker, a site), form a unit; units are dealt out so that every label is spread as
evenly as can be, by the iterative stratification of Sechidis et al. (2011), for clips with one label and with several. The
answer depends on the seed and on what the table holds, not on the order of its rows.

>>> table = pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav", "d.wav"], "label": ["dog", "dog", "cat", "cat"]})
>>> add_folds(table, n_splits=2).groupby("fold")["label"].agg(sorted).tolist()
[['cat', 'dog'], ['cat', 'dog']]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.warnings import warn
from .classes import column, label_lists

__all__ = ["add_folds", "split_valid"]


def _units(table: pd.DataFrame, group: str | None) -> np.ndarray:
    """For each row the number of its unit: rows of one path, or of one group, are never parted.

    Units are numbered along the sorted paths, so that the order of the rows does not matter.
    """
    path, _ = pd.factorize(column(table, "path").astype(str), sort=True)
    if group is None:
        return path
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    by_group, _ = pd.factorize(column(table, group).astype(str), sort=True)
    n_paths, n_groups = path.max() + 1, by_group.max() + 1
    links = coo_matrix((np.ones(len(path)), (path, n_paths + by_group)), shape=(n_paths + n_groups,) * 2)
    _, unit = connected_components(links, directed=False)
    return np.unique(unit[path], return_inverse=True)[1]


@dataclass(frozen=True)
class _Units:
    """What is dealt out to the sides: units of rows that stay together."""

    of_row: np.ndarray  # (rows,) the unit of each row
    sizes: np.ndarray  # (units,) rows in each
    counts: object  # sparse (units, labels): rows of each label in each unit
    labels: list[str]
    noun: str  # what messages call a unit

    @property
    def spread(self) -> np.ndarray:
        """(labels,) how many units hold each label."""
        return np.bincount(self.counts.indices, minlength=len(self.labels))

    def at(self, unit: int) -> tuple[np.ndarray, np.ndarray]:
        """The labels in a unit and the rows of each."""
        here = slice(self.counts.indptr[unit], self.counts.indptr[unit + 1])
        return self.counts.indices[here], self.counts.data[here]


def _collect(table: pd.DataFrame, group: str | None) -> _Units:
    from scipy.sparse import coo_matrix

    if not len(table):
        raise ValueError("the table has no rows to part")
    if group is None and "group" in table:
        warn("the table has a column 'group', but its groups are not kept together; say group='group' to do so")
    unit, lists = _units(table, group), label_lists(table)
    labels = sorted({label for several in lists for label in several})
    code = {label: i for i, label in enumerate(labels)}
    rows = np.repeat(unit, [len(several) for several in lists])
    columns = [code[label] for several in lists for label in several]
    counts = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(unit.max() + 1, len(labels))).tocsr()
    return _Units(unit, np.bincount(unit), counts, labels, "recording" if group is None else "group")


def _deal(n: int, shares: np.ndarray) -> np.ndarray:
    """`n` places given to sides in turn, so that every stretch of them is split close to `shares` (Webster's method).

    >>> _deal(10, np.array([0.8, 0.2])).tolist()
    [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    """
    turns = [(np.arange(int(np.ceil(n * share)) + 1) + 0.5) / share for share in shares]
    sides = np.repeat(np.arange(len(shares)), [len(turn) for turn in turns])
    return sides[np.argsort(np.concatenate(turns), kind="stable")[:n]]


def _wishes(n_rows: np.ndarray, shares: np.ndarray, rng) -> np.ndarray:
    """(labels, sides) whole rows of each label for each side: the labels, shuffled, fill the dealt places."""
    places = _deal(n_rows.sum(), shares)
    order = rng.permutation(len(n_rows))
    wishes = np.zeros((len(n_rows), len(shares)))
    for label, stretch in zip(order, np.split(places, np.cumsum(n_rows[order]))):
        wishes[label] = np.bincount(stretch, minlength=len(shares))
    return wishes


def _queue(units: _Units, rng) -> list[int]:
    """The order in which units are dealt out: large ones first; among equals those of the rarest label, then those of
    the label that is rarest among the rest, and so on; by lot where that leaves a choice.
    """
    by_label = units.counts.tocsc()
    lot = rng.permutation(len(units.sizes))
    left, waiting, queue = np.asarray(units.counts.sum(0)).ravel(), np.ones(len(units.sizes), bool), []
    while left.any():
        rarest = np.argmin(np.where(left > 0, left, np.inf))
        chosen = by_label.indices[by_label.indptr[rarest] : by_label.indptr[rarest + 1]]
        chosen = chosen[waiting[chosen]]
        queue.extend(chosen[np.argsort(lot[chosen])])
        waiting[chosen] = False
        left -= np.asarray(units.counts[chosen].sum(0)).ravel()
    unlabelled = np.flatnonzero(waiting)
    queue.extend(unlabelled[np.argsort(lot[unlabelled])])
    return sorted(queue, key=lambda unit: -units.sizes[unit])


def _gain(wishes: np.ndarray, n: np.ndarray, totals: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """(sides,) by how much chi-square, a side's distance from its wishes, falls if it takes `n` rows of each label."""
    gain = (n / totals) @ (2 * wishes - n[:, None]) / shares
    return np.round(gain, 9)  # equal gains must tie, whatever the last bit


def _stratify(units: _Units, shares: Sequence[float], seed: int, keep_known: bool = False) -> np.ndarray:
    """A side for every unit, such that each side gets its share of the rows of every label, and none goes empty.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data"):
    the rarest label is dealt out first, each clip to the side that wants it most. Beyond the paper, wishes are whole
    rows, so that single-label clips come out exact, and units of several rows go by size, with all their labels
    weighed. With `keep_known`, side 1 never takes the last unit of a label.
    """
    rng = np.random.RandomState(seed)  # frozen by numpy: the same sides with every version of it
    shares, totals = np.asarray(shares), np.asarray(units.counts.sum(0)).ravel()
    wishes = _wishes(totals.astype(int), shares, rng)
    room = np.bincount(_deal(units.sizes.sum(), shares), minlength=len(shares))
    lot = rng.permutation(len(shares))
    spare = units.spread  # units of each label that side 1 has not taken
    free = np.array([not keep_known or (spare[units.at(unit)[0]] > 1).all() for unit in range(len(units.sizes))])
    n_free, empty = free.sum(), np.ones(len(shares), bool)  # the last free units go where nothing is yet
    side = np.zeros(len(units.sizes), int)
    for unit in _queue(units, rng):
        labels, n = units.at(unit)
        if keep_known and not (spare[labels] > 1).all():
            may = np.array([True, False])
        else:
            may = empty if n_free <= empty.sum() else np.ones(len(shares), bool)
        gain = np.where(may, _gain(wishes[labels], n, totals[labels], shares), -np.inf)
        side[unit] = best = np.lexsort((lot, room, gain))[-1]
        wishes[labels, best] -= n
        room[best] -= units.sizes[unit]
        empty[best] = False
        spare[labels] -= best == 1
        n_free -= free[unit]
    return side


def add_folds(table: pd.DataFrame, n_splits: int = 5, group: str | None = None, seed: int = 0) -> pd.DataFrame:
    """A copy with a whole number `fold`, 0 to `n_splits - 1`: every label spread evenly over the folds.

    Ungrouped, the clips of a label differ by at most one between folds. Rows of one `path` are never parted. The folds
    depend on the seed and on what the table holds, not on the order of its rows. Clips may carry several labels.

    Parameters
    ----------
    group : a column; rows that are equal there (one speaker, one site) stay in one fold.

    Raises ValueError where groups are missing or fewer than folds; warns of labels in fewer clips (groups) than folds.
    """
    if n_splits < 2:
        raise ValueError(f"n_splits={n_splits}; folds need at least 2")
    units = _collect(table, group)
    if len(units.sizes) < n_splits:
        there = count(len(units.sizes), units.noun)
        raise ValueError(f"{there} cannot fill {n_splits} folds; ask for fewer folds")
    few = {label: n for label, n in zip(units.labels, units.spread) if n < n_splits}
    if few:
        warn(
            f"{count(len(few), 'label')} in fewer {units.noun}s than the {n_splits} folds, so that some folds lack "
            f"them ({examples([f'{label} {n}' for label, n in few.items()], 10)})"
        )
    side = _stratify(units, np.full(n_splits, 1 / n_splits), seed)
    return table.assign(fold=side[units.of_row])


def split_valid(table: pd.DataFrame, valid_pct: float = 0.2, group: str | None = None, seed: int = 0) -> pd.Series:
    """True for the rows to validate on: close to `valid_pct` (0 to 1) of every label, whole paths and whole groups.

    What training never sees cannot be learnt, so a label in one clip (one group) stays in training, and a warning names
    it. Parameters and determinism are those of `add_folds`.
    """
    if not 0 < valid_pct < 1:
        raise ValueError(f"valid_pct={valid_pct}; give a fraction between 0 and 1, such as 0.2")
    units = _collect(table, group)
    single = [label for label, n in zip(units.labels, units.spread) if n == 1]
    if single:
        warn(f"{count(len(single), 'label')} in one {units.noun} only, kept in training ({examples(single, 10)})")
    side = _stratify(units, [1 - valid_pct, valid_pct], seed, keep_known=True)
    if not side.any():
        raise ValueError(
            f"none of {count(len(units.sizes), units.noun)} can be held out: each has a label that no "
            "other has; add recordings of these labels"
        )
    return pd.Series(side[units.of_row] == 1, index=table.index, name="is_valid")
