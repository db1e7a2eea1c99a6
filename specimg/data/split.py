"""Which clips train a network, and which are held out to evaluate it.

    split = Split(valid_pct=0.2, group_col="speaker")
    clips = split_clips(table, split)
    clips.vocab, len(clips.train), len(clips.valid)

`Split` is the choice: a column of truth values, a fold, or a random share. `split_clips` applies it to a label table; `SplitClips` is what
comes of it. Only training may use variants of its clips (`add_variants`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from ..audio.variants import variants_by_name
from ..core.text import count, examples
from ..core.values import Value, register
from ..core.warnings import warn
from ..labels.classes import check_labels
from ..labels.folds import divided, split_valid
from ..labels.tables import clip_index, is_multilabel
from ..render.manifest import HAS_PICTURE
from ..render.tree import SpecTree


@register
@dataclass(frozen=True)
class Split(Value):
    """Which clips are held out for validation: a column's choice, one fold, or a random share, stratified and grouped.

    Parameters
    ----------
    valid_pct : float, default 0.2
        Share of the clips that a random split holds out, above 0 and below 1.
    valid_col : str or int, default None
        Column of truth values, true where a clip is held out; by name or position.
    fold : int or str, default None
        The fold that is held out instead.
    fold_col : str or int, default "fold"
        Column of the folds; read only if `fold` is given.
    group_col : str or int, default None
        Column of what must not occur in both training and validation: speaker, site, source.
    seed : int, default None
        Seed of the random split; None is 0.

    Raises
    ------
    ValueError
        If both `valid_col` and `fold` choose, or `valid_pct` is not a share.

    Examples
    --------
    >>> from specimg.data import Split
    >>> Split(group_col="site")
    Split(group_col='site')
    """

    valid_pct: float = 0.2
    valid_col: str | int | None = None
    fold: int | str | None = None
    fold_col: str | int = "fold"
    group_col: str | int | None = None
    seed: int | None = None

    def _check(self) -> None:
        if self.valid_col is not None and self.fold is not None:
            _refuse_both(self.fold)
        if self.valid_col is None and self.fold is None and not 0 < self.valid_pct < 1:
            raise ValueError(f"valid_pct={self.valid_pct:g}; give a fraction between 0 and 1, such as 0.2")

    @property
    def columns(self) -> dict[str, str | int | None]:
        """The columns to read, as arguments of `labels_from_csv`."""
        folds = None if self.fold is None else self.fold_col
        return {"group_col": self.group_col, "valid_col": self.valid_col, "fold_col": folds}


def _refuse_both(fold: int | str) -> None:
    raise ValueError(
        f"a column of truth values and fold={fold} both choose what is held out; give valid_col or fold, not both"
    )


def _held_out(table: pd.DataFrame, split: Split) -> pd.Series:
    """Which rows validate: those of the column `is_valid`, those of the fold, else a random share."""
    fold = split.fold
    if "is_valid" in table and fold is not None:
        _refuse_both(fold)
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
    return split_valid(table, split.valid_pct, group="group" if "group" in table else None, seed=split.seed or 0)


@dataclass(frozen=True, eq=False)
class SplitClips:
    """Clips of training and validation, and the labels that a network learns.

    Parameters
    ----------
    clips : DataFrame
        A label table with the column `is_valid`.
    vocab : list of str
        The labels in the order of the network's outputs.
    is_multi : bool
        May a clip have several labels?

    Examples
    --------
    >>> from specimg.data import Split, split_clips
    >>> table = sp.labels_from_csv("labels.csv", fn_col="fname", group_col="group")
    >>> clips = split_clips(table, Split(valid_pct=0.3))
    >>> len(clips.train), len(clips.valid), clips.vocab
    (8, 4, ['cat', 'dog'])
    """

    clips: pd.DataFrame
    vocab: list[str]
    is_multi: bool

    @property
    def train(self) -> pd.DataFrame:
        """The clips to train on."""
        return self.clips[~self.clips["is_valid"]]

    @property
    def valid(self) -> pd.DataFrame:
        """The clips that are held out."""
        return self.clips[self.clips["is_valid"]]

    @property
    def evaluated(self) -> pd.DataFrame:
        """The clips that a network is evaluated on: those held out, or training's where none is."""
        return self.valid if len(self.valid) else self.train


def _refuse_shared_groups(clips: pd.DataFrame) -> None:
    """ValueError if clips of one group stand in training and in validation."""
    if "group" not in clips:
        return
    shared = divided(clips["group"], clips["is_valid"])
    if len(shared):
        raise ValueError(
            f"{count(len(shared), 'group')} of {clips['group'].nunique()} both in training and in validation ({examples(shared)}): the score would be too "
            "good; leave out valid_col and fold for a split that keeps groups together, or group_col if they may be divided"
        )


def _warn_shared_recordings(clips: pd.DataFrame) -> None:
    """Warn of recordings of which some windows train and others validate."""
    shared = divided(clips["path"], clips["is_valid"])
    if len(shared):
        warn(
            f"windows of {count(len(shared), 'recording')} both in training and in validation ({examples(shared)}): neighbours sound "
            "alike, and the score is too good; hold out whole recordings"
        )


def split_clips(table: pd.DataFrame, split: Split, vocab: Sequence[str] | None = None) -> SplitClips:
    """Split a label table.

    Parameters
    ----------
    table : DataFrame
        A label table; its columns `is_valid`, `fold` and `group`, where there, decide what is held out, as `split` has it.
    split : Split
        What is held out.
    vocab : sequence of str, default None
        The labels in the order of the network's outputs; None: the sorted ones of training.

    Returns
    -------
    SplitClips
        The clips, each in training or in validation.

    Raises
    ------
    ValueError
        If the table lacks a column that `split` needs, a fold is empty or everything, training has fewer than two labels (of clips with
        several labels: none), a label occurs only in validation, or clips of one group are on both sides.

    Examples
    --------
    >>> from specimg.data import Split, split_clips
    >>> table = pd.DataFrame({"path": list("abcd"), "label": ["owl", "fox"] * 2, "is_valid": [False, False, True, True]})
    >>> split_clips(table, Split()).valid["path"].tolist()
    ['c', 'd']
    """
    clips = SplitClips(table.assign(is_valid=_held_out(table, split)), [], is_multilabel(table))
    _refuse_shared_groups(clips.clips)
    _warn_shared_recordings(clips.clips)
    labels = check_labels(clips.train, clips.valid, vocab)
    if len(labels) < (1 if clips.is_multi else 2):
        known = f"the label {labels[0]!r} only" if labels else "no label"
        raise ValueError(f"training holds {known}; a classifier needs two")
    return replace(clips, vocab=labels)


def add_variants(clips: SplitClips, tree: SpecTree, variants: Sequence) -> SplitClips:
    """Training's clips once more for each variant, with the column `variant`; what is held out stays as it is.

    ValueError if the tree holds no picture of a variant; a warning counts clips that lack one.
    """
    drawn, more = tree.table[tree.table["status"].isin(HAS_PICTURE)], []
    for name in variants_by_name(variants):
        own = drawn[drawn["variant"] == name]
        found = own.set_index(clip_index(own))["picture"].reindex(clip_index(clips.train))
        there = found.notna().to_numpy()
        if not there.any():
            raise ValueError(
                f"the tree {str(tree.root)!r} holds no variant {name!r} of the clips of training; "
                "draw it by render_tree(..., variants=...)"
            )
        if not there.all():
            warn(
                f"{(~there).sum()} of {len(found)} clips of training have no picture of the variant {name} "
                f"({examples(clips.train['path'][~there])})"
            )
        more.append(clips.train[there].assign(variant=name, picture=[str(tree.images / file) for file in found[there]]))
    if not more:
        return clips
    return replace(clips, clips=pd.concat([clips.clips.assign(variant=""), *more], ignore_index=True))
