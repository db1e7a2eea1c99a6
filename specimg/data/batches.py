"""Clips become batches: how many at once, how often each is drawn, on which device.

batches = Batches(bs=32, balance=True)
loaders = batches.dataloaders(clips, block, get_x, path=".", item_tfms=[fit], input=..., tree=...)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import pandas as pd
import torch
from fastai.vision.all import (
    CategoryBlock,
    ColReader,
    ColSplitter,
    DataBlock,
    DataLoaders,
    MultiCategoryBlock,
    Transform,
    TransformBlock,
    defaults,
)

from ..core.warnings import warn
from ..labels.classes import Balance, sample_weights
from .split import SplitClips

Transforms: TypeAlias = Transform | Callable | Sequence | None  # none, one, or several


def as_list(tfms: Transforms) -> list:
    """Transforms as a list: none, one, or several."""
    return [] if tfms is None else list(tfms) if isinstance(tfms, (list, tuple)) else [tfms]


def augmentation(augment: Any, kind: type, make: Callable[[Any], Transform]) -> list[Transform]:
    """The transforms that `make` makes of `augment`: a value of its kind, "default" (its defaults) or None (none)."""
    if augment is None:
        return []
    augment = kind() if augment == "default" else augment
    if not isinstance(augment, kind):
        raise ValueError(f"augment={augment!r}: give 'default', None or {kind.__name__}(...)")
    return [make(augment)]


def draw_weights(train: pd.DataFrame, balance: bool | Balance, shuffle: bool) -> list[float] | None:
    """How often each clip of training is drawn, relative to the others; None: each once."""
    if not isinstance(balance, (bool, Balance)):
        raise ValueError(f"balance={balance!r}: give True, False or a Balance, such as Balance(power=0.5, least=20)")
    if not balance and "weight" not in train:
        return None
    if not shuffle:
        raise ValueError("weights draw clips at random; leave out shuffle=False, or weight_col and balance")
    chosen = balance if isinstance(balance, Balance) else Balance()
    weights = sample_weights(train, chosen) if balance else train["weight"]
    if not weights.any():
        raise ValueError("every clip of training has weight 0, so that none could be drawn; give some a larger weight")
    return weights.tolist()


def batch_size(bs: int | None, n_train: int) -> int:
    """Clips a batch: `bs`, or fewer where training has fewer clips: fastai would drop the one short batch and train on nothing, in silence.

    None takes the power of two from 16 to 64 that gives an epoch at least 25 steps: with a few hundred clips a few epochs of 64 are so few
    steps that a network has hardly left its photographs behind (benchmarks/transfer.py).
    """
    if n_train < 2:
        raise ValueError(f"{n_train} clip{'s are' if n_train == 0 else ' is'} left for training; at least 2 are needed")
    if bs is None:
        return min(n_train, next((size for size in (64, 32) if n_train >= 25 * size), 16))
    if bs < 2:
        raise ValueError(f"bs={bs}: batch normalisation needs at least 2 clips a batch")
    if n_train < bs:
        warn(f"only {n_train} clips to train on, fewer than bs={bs}; bs={n_train} is used")
    return min(bs, n_train)


def workers_of(num_workers: int | None) -> int:
    """`num_workers`; None: 0 on a CPU, where more gain nothing, else fastai's number."""
    return (defaults.cpus if torch.cuda.is_available() else 0) if num_workers is None else num_workers


@dataclass(frozen=True)
class Batches:
    """How clips become batches; fields as in `SpecDataLoaders.from_df`."""

    bs: int | None = None
    val_bs: int | None = None
    balance: bool | Balance = False
    item_tfms: Transforms = None
    batch_tfms: Transforms = None
    num_workers: int | None = None
    device: str | torch.device | None = None
    shuffle: bool = True

    def dataloaders(
        self,
        clips: SplitClips,
        block: TransformBlock,
        get_x: Callable,
        path,
        *,
        item_tfms: Sequence = (),
        batch_tfms: Sequence = (),
        **known: Any,
    ) -> DataLoaders:
        """fastai's loaders of training and validation.

        block, get_x : the input of a DataBlock; `get_x` takes a row of the table
        item_tfms, batch_tfms : ours, after (on items) and before (on batches) those of these settings
        known : what each loader keeps: `input` and `tree`
        """
        labels = MultiCategoryBlock(vocab=clips.vocab) if clips.is_multi else CategoryBlock(clips.vocab, sort=False)
        data = DataBlock(
            blocks=(block, labels),
            get_x=get_x,
            get_y=ColReader("label"),
            splitter=ColSplitter("is_valid"),
            item_tfms=[*as_list(self.item_tfms), *item_tfms],
            batch_tfms=[*batch_tfms, *as_list(self.batch_tfms)],
        )
        train = clips.train
        return data.dataloaders(
            clips.clips,
            path=path,
            bs=batch_size(self.bs, len(train)),
            val_bs=self.val_bs,
            shuffle=self.shuffle,
            device=self.device,
            num_workers=workers_of(self.num_workers),
            dl_kwargs=[{"weights": draw_weights(train, self.balance, self.shuffle)}, {}],
            **known,
        )
