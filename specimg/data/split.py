"""The two sides of a split: the clips to train on, and those that are held out to judge by.

`deal_sides` splits a label table by a given column, a given fold, or by chance; `Sides` holds what comes of it. Training's side alone may
see variants of its clips (`with_variants`), draw some more often than others (`draw_weights`), and must fill a batch (`batch_size`).

    sides = deal_sides(table, valid_pct=0.2, fold=None, seed=None, vocab=None)
    sides.vocab, len(sides.train), len(sides.valid)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from ..audio.variants import variants_by_name
from ..core.text import examples
from ..core.warnings import warn
from ..labels.classes import check_labels, sample_weights
from ..labels.folds import split_valid
from ..labels.tables import clip_index, is_multilabel
from ..render.tree import SpecTree

__all__ = ["Sides", "batch_size", "deal_sides", "draw_weights", "with_variants"]


def _split(table: pd.DataFrame, valid_pct: float, fold: int | None, seed: int | None) -> pd.Series:
    """Which rows validate: the given column or the given fold, else a stratified (and grouped) random share."""
    if "is_valid" in table and fold is not None:
        raise ValueError(
            f"a column of truth values and fold={fold} both say what is held out; give valid_col or fold, not both"
        )
    if "is_valid" in table:
        return table["is_valid"].astype(bool)
    if fold is not None:
        if "fold" not in table:
            raise ValueError(f"fold={fold} needs a column 'fold' in the table; specimg.add_folds makes one")
        held_out = table["fold"] == fold
        if not held_out.any() or held_out.all():
            raise ValueError(
                f"fold={fold} holds {held_out.sum()} of {len(table)} clips; the folds are {sorted(set(table['fold']))}"
            )
        return held_out
    return split_valid(table, valid_pct, group="group" if "group" in table else None, seed=seed or 0)


@dataclass(frozen=True)
class Sides:
    """The clips of both sides of a split, and the labels that a network is to know."""

    clips: pd.DataFrame  # with the column is_valid
    vocab: list[str]
    multi: bool  # several labels a clip

    @property
    def train(self) -> pd.DataFrame:
        return self.clips[~self.clips["is_valid"]]

    @property
    def valid(self) -> pd.DataFrame:
        return self.clips[self.clips["is_valid"]]

    @property
    def held_out(self) -> pd.DataFrame:
        """What is looked at without training on it; training's clips where nothing is held out."""
        return self.valid if len(self.valid) else self.train


def with_variants(sides: Sides, tree: SpecTree, variants) -> Sides:
    """Training's clips once more for each variant, with the column `variant`; what is held out stays as it is.

    ValueError where the tree holds no picture of a variant; a warning counts clips that lack one.
    """
    drawn = tree.table[tree.table["status"] == "drawn"]
    more = []
    for name in variants_by_name(variants):
        own = drawn[drawn["variant"] == name]
        found = own.set_index(clip_index(own))["picture"].reindex(clip_index(sides.train))
        there = found.notna().to_numpy()
        if not there.any():
            raise ValueError(
                f"the tree {str(tree.root)!r} holds no variant {name!r} of the clips of training; "
                "draw it by render_tree(..., variants=...)"
            )
        if not there.all():
            warn(
                f"{(~there).sum()} of {len(found)} clips of training have no picture of the variant {name} "
                f"({examples(sides.train['path'][~there])})"
            )
        more.append(sides.train[there].assign(variant=name, picture=[str(tree.images / file) for file in found[there]]))
    return (
        replace(sides, clips=pd.concat([sides.clips.assign(variant=""), *more], ignore_index=True)) if more else sides
    )


def deal_sides(table: pd.DataFrame, valid_pct: float, fold: int | None, seed: int | None, vocab) -> Sides:
    """Split a label table; the arguments are those of `SpecDataLoaders.from_df`. ValueError where there is nothing to tell apart."""
    sides = Sides(table.assign(is_valid=_split(table, valid_pct, fold, seed)), [], is_multilabel(table))
    vocab = check_labels(sides.train, sides.valid, vocab)
    if len(vocab) < (1 if sides.multi else 2):
        raise ValueError(
            f"training holds {f'the label {vocab[0]!r} only' if vocab else 'no label'}; a classifier needs two"
        )
    return replace(sides, vocab=vocab)


def draw_weights(train: pd.DataFrame, balance: bool, shuffle: bool) -> list[float] | None:
    """How often each clip of training is drawn, against the others; None is each once."""
    if not balance and "weight" not in train:
        return None
    if not shuffle:
        raise ValueError("weights draw clips by chance; leave out shuffle=False, or weight_col and balance")
    weights = sample_weights(train) if balance else train["weight"]
    if not weights.any():
        raise ValueError("every clip of training has weight 0, so that none could be drawn; give some a larger weight")
    return weights.tolist()


def batch_size(bs: int, n_train: int) -> int:
    """`bs`, or fewer where training has fewer clips: fastai would drop the one short batch and train on nothing, in silence."""
    if bs < 2:
        raise ValueError(f"bs={bs}: batch normalisation needs at least 2 clips a batch")
    if n_train < 2:
        raise ValueError(f"{n_train} clip{'s are' if n_train == 0 else ' is'} left for training; at least 2 are needed")
    if n_train < bs:
        warn(f"only {n_train} clips to train on, fewer than bs={bs}; bs={n_train} is used")
    return min(bs, n_train)
