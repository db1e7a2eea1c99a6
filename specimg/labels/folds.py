"""Stratified folds and splits that keep recordings and groups together.

Rows of one recording, or of one group (a speaker, a site), form a unit; units are assigned so that every label is spread as evenly as
possible, by the iterative stratification of Sechidis et al. (2011), for clips with one label and with several. The result depends on the
seed and on what the table holds, not on the order of its rows.

scikit-learn's `StratifiedGroupKFold` takes single labels only and draws no single split; on grouped tables of one label per clip its folds
are 10 to 20 % further from the mean label counts than these.

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


def divided(units: pd.Series, parts: pd.Series) -> pd.Index:
    """The units (groups, recordings) with rows in more than one part (fold, side), sorted.

    >>> divided(pd.Series(["a", "a", "b", "b"]), pd.Series([0, 1, 1, 1])).tolist()
    ['a']
    """
    n_parts = parts.groupby(units).nunique()
    return n_parts.index[n_parts > 1]


def _units(table: pd.DataFrame, group: str | None) -> np.ndarray:
    """For each row the number of its unit: rows of one path, or of one group, are never separated.

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
    """What is assigned to folds: units of rows that stay together."""

    of_row: np.ndarray  # (rows,) the unit of each row
    sizes: np.ndarray  # (units,) rows in each
    counts: object  # sparse (units, labels): rows of each label in each unit
    labels: list[str]
    noun: str  # what messages call a unit

    @property
    def spread(self) -> np.ndarray:
        """(labels,): how many units hold each label."""
        return np.bincount(self.counts.indices, minlength=len(self.labels))

    def holding(self, chosen: np.ndarray) -> np.ndarray:
        """(units,) of bool: whether a unit holds one of the labels that are chosen, (labels,) of bool."""
        return np.asarray(self.counts @ chosen.astype(float)) > 0


def _collect(table: pd.DataFrame, group: str | None) -> _Units:
    from scipy.sparse import coo_matrix

    if not len(table):
        raise ValueError("the table has no rows to split")
    if group is None and "group" in table:
        warn("the table has a column 'group', but its groups are not kept together; give group='group' to keep them")
    unit, lists = _units(table, group), label_lists(table)
    labels = sorted({label for several in lists for label in several})
    code = {label: i for i, label in enumerate(labels)}
    rows = np.repeat(unit, [len(several) for several in lists])
    columns = [code[label] for several in lists for label in several]
    counts = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(unit.max() + 1, len(labels))).tocsr()
    return _Units(unit, np.bincount(unit), counts, labels, "recording" if group is None else "group")


def _apportion(n: int, shares: np.ndarray) -> np.ndarray:
    """`n` places given to folds in turn, so that every stretch of them is split close to `shares` (Webster's method).

    >>> _apportion(10, np.array([0.8, 0.2])).tolist()
    [0, 0, 1, 0, 0, 0, 0, 1, 0, 0]
    """
    turns = [(np.arange(int(np.ceil(n * share)) + 1) + 0.5) / share for share in shares]
    fold = np.repeat(np.arange(len(shares)), [len(turn) for turn in turns])
    return fold[np.argsort(np.concatenate(turns), kind="stable")[:n]]


def _targets(n_rows: np.ndarray, shares: np.ndarray, rng) -> np.ndarray:
    """(labels, folds): whole rows of each label for each fold; the labels, shuffled, fill the places of `_apportion`."""
    places = _apportion(n_rows.sum(), shares)
    order = rng.permutation(len(n_rows))
    targets = np.zeros((len(n_rows), len(shares)))
    for label, stretch in zip(order, np.split(places, np.cumsum(n_rows[order]))):
        targets[label] = np.bincount(stretch, minlength=len(shares))
    return targets


def _queue(units: _Units, rng) -> np.ndarray:
    """The order in which units are assigned: large ones first; among equals those of the rarest label, then those of the label that is rarest
    among the rest, and so on; at random where that leaves a choice.
    """
    by_label = units.counts.tocsc()
    tie_break = rng.permutation(len(units.sizes))
    left, waiting, queue = np.asarray(units.counts.sum(0)).ravel(), np.ones(len(units.sizes), bool), []
    while left.any():
        rarest = np.argmin(np.where(left > 0, left, np.inf))
        chosen = by_label.indices[by_label.indptr[rarest] : by_label.indptr[rarest + 1]]
        chosen = chosen[waiting[chosen]]
        queue.append(chosen[np.argsort(tie_break[chosen])])
        waiting[chosen] = False
        left -= np.asarray(units.counts[chosen].sum(0)).ravel()
    unlabelled = np.flatnonzero(waiting)
    queue = np.concatenate([*queue, unlabelled[np.argsort(tie_break[unlabelled])]])
    return queue[np.argsort(-units.sizes[queue], kind="stable")]


def _stratify(units: _Units, shares: Sequence[float], seed: int, keep_known: bool = False) -> np.ndarray:
    """A fold for every unit, such that each fold gets its share of the rows of every label, and none is empty.

    Iterative stratification (Sechidis, Tsoumakas and Vlahavas 2011, "On the stratification of multi-label data"): the rarest label is
    assigned first, each clip to the fold that wants it most. Unlike the paper, target counts are integers, so that single-label clips come out
    exact, and units of several rows go by size, with all their labels weighed. With `keep_known`, fold 1 never takes the last unit of a label.
    """
    rng = np.random.RandomState(seed)  # frozen by numpy: the same folds with every version of it
    shares, totals = np.asarray(shares), np.asarray(units.counts.sum(0)).ravel()
    targets = _targets(totals.astype(int), shares, rng)
    room = np.bincount(_apportion(units.sizes.sum(), shares), minlength=len(shares))
    tie_break = rng.permutation(len(shares)).tolist()
    spare = units.spread  # units of each label that fold 1 has not taken
    free = ~units.holding(spare < 2) if keep_known else np.ones(len(units.sizes), bool)
    everywhere, empty = {*range(len(shares))}, {*range(len(shares))}  # the last free units go where nothing is yet
    n_free = int(free.sum())
    fold = np.zeros(len(units.sizes), int)
    # numbers of Python from here on: arrays of a few numbers each would take ten times as long for a million units
    wanted, totals, spare, room, shares = (x.tolist() for x in (targets, totals, spare, room, shares))
    starts, all_labels, counts = (x.tolist() for x in (units.counts.indptr, units.counts.indices, units.counts.data))
    queue = _queue(units, rng)
    for unit, size, is_free in zip(queue.tolist(), units.sizes[queue].tolist(), free[queue].tolist()):
        labels, n = all_labels[starts[unit] : starts[unit + 1]], counts[starts[unit] : starts[unit + 1]]
        if keep_known and any([spare[label] < 2 for label in labels]):
            may = {0}
        else:
            may = empty if n_free <= len(empty) else everywhere
        here = [(wanted[label], rows, rows / totals[label]) for label, rows in zip(labels, n)]
        # by how much chi-square, a fold's distance from its targets, falls if it takes the unit; rounded, so that equal gains tie
        gains = {k: round(sum([by * (2 * left[k] - rows) for left, rows, by in here]) / shares[k] * 1e9) for k in may}
        best = max([(gain, room[k], tie_break[k], k) for k, gain in gains.items()])[-1]
        for label, rows in zip(labels, n):
            wanted[label][best] -= rows
            spare[label] -= best == 1
        fold[unit] = best
        room[best] -= size
        empty.discard(best)
        n_free -= is_free
    return fold


def add_folds(table: pd.DataFrame, n_splits: int = 5, group: str | None = None, seed: int = 0) -> pd.DataFrame:
    """Assign stratified folds: every label is spread evenly.

    Without groups, the clips of a label differ by at most one between folds. Rows of one `path` are never separated. The folds depend on
    the seed and on what the table holds, not on the order of its rows. Clips may carry several labels.

    Parameters
    ----------
    table : DataFrame
        With the columns `path` and `label` (a text, or a list of texts).
    n_splits : int, default 5
        Number of folds, 2 or more.
    group : str, optional
        A column; rows that are equal there (one speaker, one site) stay in one fold.
    seed : int, default 0
        Seed of the random choices.

    Returns
    -------
    DataFrame
        A copy with the column `fold`, 0 to `n_splits - 1`.

    Raises
    ------
    ValueError
        There are fewer groups (recordings) than folds, or empty cells.

    References
    ----------
    .. [1] K. Sechidis, G. Tsoumakas and I. Vlahavas, "On the stratification of multi-label data", ECML PKDD 2011.

    Examples
    --------
    >>> table = sp.labels_from_csv("labels.csv", fn_col="fname", label_col="label", group_col="group")
    >>> sp.add_folds(table, 3, group="group").groupby("fold")["group"].unique().str.join(" ").tolist()
    ['yard0', 'yard1', 'yard2']
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
    fold = _stratify(units, np.full(n_splits, 1 / n_splits), seed)
    return table.assign(fold=fold[units.of_row])


def split_valid(table: pd.DataFrame, valid_pct: float = 0.2, group: str | None = None, seed: int = 0) -> pd.Series:
    """Choose validation clips: close to `valid_pct` of every label, whole recordings and whole groups.

    A label in one clip (one group) stays in training, and a warning names it.

    Parameters
    ----------
    table : DataFrame
        With the columns `path` and `label` (a text, or a list of texts).
    valid_pct : float, default 0.2
        Share to validate on, in (0, 1).
    group : str, optional
        A column; rows that are equal there stay together.
    seed : int, default 0
        Seed of the random choices.

    Returns
    -------
    Series of bool
        True for validation, with the table's index.

    Raises
    ------
    ValueError
        `valid_pct` is out of range, cells are empty, or nothing can be held out.

    Examples
    --------
    >>> from specimg.labels import split_valid
    >>> int(split_valid(pd.DataFrame({"path": list("abcdefgh"), "label": ["dog", "cat"] * 4}), valid_pct=0.25).sum())
    2
    """
    if not 0 < valid_pct < 1:
        raise ValueError(f"valid_pct={valid_pct}; give a fraction between 0 and 1, such as 0.2")
    units = _collect(table, group)
    single = [label for label, n in zip(units.labels, units.spread) if n == 1]
    if single:
        warn(f"{count(len(single), 'label')} in one {units.noun} only, kept in training ({examples(single, 10)})")
    fold = _stratify(units, [1 - valid_pct, valid_pct], seed, keep_known=True)
    if not fold.any():
        raise ValueError(
            f"none of {count(len(units.sizes), units.noun)} can be held out: each has a label that no "
            "other has; add recordings of these labels"
        )
    return pd.Series(fold[units.of_row] == 1, index=table.index, name="is_valid")
