"""How many clips carry each label, and the weights that even them out.

>>> class_weights(["dog", "dog", "dog", "cat"])
{'cat': 2.0, 'dog': 0.6666666666666666}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.text import count, examples, row_numbers
from ..core.values import Value, choose, register
from ..core.warnings import warn
from .sheets import MANY, Sheet, is_blank


def sort_labels(labels: Iterable[str]) -> list[str]:
    """The different labels in the order of a vocabulary: by number where all are whole numbers, else by letter.

    >>> sort_labels(["10", "9", "1"]), sort_labels(["10", "9", "b"])
    (['1', '9', '10'], ['10', '9', 'b'])
    """
    found = set(labels)
    whole = all(re.fullmatch(r"[+-]?[0-9]+", label) for label in found)
    return sorted(found, key=lambda label: (int(label), label)) if whole else sorted(found)


def column(table: pd.DataFrame, name: str) -> pd.Series:
    """A column without empty cells. ValueError, with the rows, where cells are empty, and for an unknown name."""
    cells = table[choose(name, map(str, table.columns), "column in the table")]
    blank = [is_blank(cell) for cell in cells.tolist()]
    if any(blank):
        raise ValueError(f"column {name!r} is empty in {row_numbers(blank)}; fill it in or leave these rows out")
    return cells


def label_lists(labels: pd.DataFrame | Sequence) -> list[list[str]]:
    """The labels of each row as text, from a table with the column `label` or from that column alone."""
    if not isinstance(labels, pd.DataFrame):
        labels = pd.DataFrame({"label": pd.Series(list(labels), dtype=object)})
    cells = column(labels, "label").tolist()
    return [[str(part) for part in cell] if isinstance(cell, MANY) else [str(cell)] for cell in cells]


def class_counts(labels: pd.DataFrame | Sequence) -> pd.Series:
    """Count the clips of each label.

    Parameters
    ----------
    labels : DataFrame or sequence
        A table with the column `label`, or that column alone: a text per clip, or a list of texts.

    Returns
    -------
    Series of int
        Clips by label, the most frequent first.

    Examples
    --------
    >>> from specimg.labels import class_counts
    >>> class_counts([["dog", "rain"], ["dog"]]).to_dict()
    {'dog': 2, 'rain': 1}
    """
    counts = pd.Series([label for several in label_lists(labels) for label in several], dtype=object).value_counts()
    return counts.sort_index().sort_values(ascending=False, kind="stable").rename("clips").rename_axis("label")


def class_weights(labels: pd.DataFrame | Sequence) -> dict[str, float]:
    """Weights that are larger for rarer labels: `n / (n_classes * n_label)`, as scikit-learn's "balanced".

    Parameters
    ----------
    labels : DataFrame or sequence
        A table with the column `label`, or that column alone. Where clips carry several labels, `n` counts labels.

    Returns
    -------
    dict of str to float
        Sorted by label; the mean over clips is 1.

    Examples
    --------
    >>> from specimg.labels import class_weights
    >>> class_weights(["dog", "dog", "dog", "cat"])
    {'cat': 2.0, 'dog': 0.6666666666666666}
    """
    counts = class_counts(labels)
    return {label: float(counts.sum() / (len(counts) * counts[label])) for label in sorted(counts.index)}


@register
@dataclass(frozen=True)
class Balance(Value):
    """How often training draws each class, against their counts: `balance=` of the loaders.

    Parameters
    ----------
    power : float, default 1.0
        Clips of a class are drawn as often as its count to the power of -`power` says, 0 to 1: 1 draws all classes alike, 0.5 in the
        proportion of the square roots of their counts, 0 as they are.
    least : int, default 0
        Draws that each class can expect in an epoch at least, 0 or more; the other classes give them up.

    References
    ----------
    .. [1] Mahajan et al., "Exploring the limits of weakly supervised pretraining", ECCV 2018, arXiv:1805.00932 (square root).

    Examples
    --------
    >>> from specimg.labels import Balance
    >>> Balance(power=0.5).class_weights(["dog"] * 9 + ["cat"])                  # three to one, of nine to one
    {'cat': 2.5, 'dog': 0.8333333333333334}
    >>> Balance(power=0, least=2).class_weights(["dog"] * 9 + ["cat"])
    {'cat': 2.0, 'dog': 0.8888888888888888}
    """

    power: float = 1.0
    least: int = 0

    def _check(self) -> None:
        self._need(0 <= self.power <= 1, "give 0, as they are, to 1, all classes alike", "power")
        self._need(self.least >= 0, "give 0 or more draws", "least")

    def class_weights(self, labels: pd.DataFrame | Sequence) -> dict[str, float]:
        """How often a clip of each label is drawn, relative to one draw an epoch.

        Parameters
        ----------
        labels : DataFrame or sequence
            A table with the column `label`, or that column alone. Where clips carry several labels, labels are counted.

        Returns
        -------
        dict of str to float
            Sorted by label; the mean over clips is 1.

        Raises
        ------
        ValueError
            All clips are fewer than `least` for each label.
        """
        counts = class_counts(labels).sort_index()
        total, wanted = int(counts.sum()), counts ** (1 - self.power)
        if self.least * len(counts) > total:
            raise ValueError(
                f"Balance(least={self.least}) for {len(counts)} classes is more than the {total} draws of an epoch; give up "
                f"to {total // len(counts)}"
            )
        lifted = pd.Series(False, index=counts.index)
        while True:
            draws = wanted.where(~lifted, 0) * (total - self.least * lifted.sum()) / max(wanted[~lifted].sum(), 1e-300)
            short = ~lifted & (draws < self.least)
            if not short.any():
                break
            lifted |= short
        draws = draws.where(~lifted, self.least)
        return {str(label): float(draws[label] / counts[label]) for label in counts.index}


def sample_weights(table: pd.DataFrame, balance: Balance = Balance()) -> pd.Series:
    """Sampling weight of each row: its class weight times its `weight`, where the table has that column.

    Parameters
    ----------
    table : DataFrame
        With the column `label` and, optionally, `weight` (0 or more).
    balance : Balance, default Balance()
        How often each class is drawn.

    Returns
    -------
    Series of float
        With the table's index. A clip with several labels has the mean of their class weights, one without labels 1.

    Raises
    ------
    ValueError
        Every weight is 0, or a weight is not a finite number from 0 up.

    Examples
    --------
    >>> from specimg.labels import sample_weights
    >>> sample_weights(pd.DataFrame({"label": ["dog", "dog", "cat"], "weight": [1, 0.5, 1]})).tolist()
    [0.75, 0.375, 1.5]
    """
    by_class = balance.class_weights(table)
    of_rows = [np.mean([by_class[label] for label in labels]) if labels else 1.0 for labels in label_lists(table)]
    weights = pd.Series(of_rows, index=table.index, dtype=float, name="weight")
    if "weight" in table:
        weights *= Sheet(table, "the table").numbers("weight")
    if not weights.any():
        raise ValueError("every row has weight 0, so that none could be drawn; give some rows a larger weight")
    return weights


def check_labels(
    train: pd.DataFrame | Sequence, valid: pd.DataFrame | Sequence, vocab: Sequence[str] | None = None
) -> list[str]:
    """The labels of training in order, or `vocab` where it is given. Takes tables or their label columns.

    Raises ValueError if validation has labels that training lacks (with `vocab` it warns), and if a label is not in `vocab`; warns
    of labels seen once in training.
    """
    counts = class_counts(train)
    held_out = set(class_counts(valid).index)
    strange = sorted({*counts.index, *held_out}.difference(vocab)) if vocab is not None else []
    if strange:
        raise ValueError(
            f"{count(len(strange), 'label')} that the vocabulary lacks ({examples(strange, 10)}); add them to vocab=, or leave these clips out"
        )
    unknown = sorted(held_out - set(counts.index))
    if unknown:
        what = f"{count(len(unknown), 'label')} in validation but not in training ({examples(unknown, 10)}): no network can learn them"
        if vocab is None:
            raise ValueError(f"{what}; move some of their clips to training or leave them out")
        warn(what)
    once = sorted(counts.index[counts == 1])
    if once:
        warn(f"{count(len(once), 'label')} seen once in training ({examples(once, 10)})")
    return sort_labels(counts.index) if vocab is None else list(vocab)
