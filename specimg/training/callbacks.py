"""A learner is prepared for a recipe: checked, given the recipe's callbacks, and restored afterwards.

`check_learner` raises before the first epoch what would fail during it. `equipped` adds callbacks to fastai's training loop:

    with equipped(learn, Recipe(mixup=0.2, label_smoothing=0.1)):
        learn.fit_one_cycle(5)      # with MixUp and smoothed targets; afterwards `learn` has neither

What changes the loss (`loss`, `label_smoothing`) does so in training only: the validation loss stays the learner's own, so that
recipes can be compared by it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from fastai.vision.all import Callback, GradientClip, Learner, MixedPrecision, MixUp, in_notebook

from ..core.values import choose
from .blending import BlendedLabels
from .identity import device_of
from .losses import BinaryCrossEntropy, ClipWeights, Loss, is_multi_loss
from .recipe import Recipe


def mixed_precision(precision: str, device: str) -> bool:
    """Whether training on this type of device uses float16. ValueError if the recipe demands it and it is impossible."""
    if precision == "half" and device != "cuda":  # fastai would train in float32 silently
        raise ValueError(f"precision 'half' needs a CUDA device, and this is {device}; choose auto or full")
    return device == "cuda" and precision != "full"


def _cross_entropy(loss_func: Callable) -> torch.nn.CrossEntropyLoss | None:
    """The torch module inside a cross entropy of fastai or torch; None for any other loss."""
    loss = getattr(loss_func, "func", loss_func)
    return loss if isinstance(loss, torch.nn.CrossEntropyLoss) else None


# ---------------------------------------------------------------- checks


def _check_loss(usual: Callable, loss: Loss) -> None:
    """ValueError if `loss` cannot replace the learner's own in training."""
    if is_multi_loss(usual) is None:
        raise ValueError(
            f"loss={loss} replaces a cross entropy, of softmax or of sigmoids, and the learner's loss is {usual}; "
            "set it to None"
        )
    inner = getattr(usual, "func", usual)
    lost = [name for name in ("weight", "pos_weight") if getattr(inner, name, None) is not None]
    lost += ["label_smoothing"] if getattr(inner, "label_smoothing", 0) else []
    if lost:
        raise ValueError(
            f"loss={loss} would ignore the {' and '.join(lost)} of the learner's loss; give the learner a loss without, "
            "or set it to None; classes can be balanced by sampling: balance=True of SpecDataLoaders"
        )


def check_learner(learn: Learner, recipe: Recipe) -> None:
    """ValueError if the recipe cannot be followed with this learner."""
    train, loss = learn.dls.train, learn.loss_func
    if len(train) == 0:
        raise ValueError(
            f"the training set of {getattr(train, 'n', 0)} items does not fill one batch of "
            f"{getattr(train, 'bs', None)}; set a smaller `bs`"
        )
    if recipe.epochs == 0 and not getattr(learn, "pretrained", False):
        raise ValueError(
            "Recipe(epochs=0) trains only the head of a pretrained network, and nothing here is "
            "pretrained; give epochs=1 or more"
        )
    choose(recipe.monitor, ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)], "monitor")
    mixed_precision(recipe.precision, device_of(learn).type)
    if recipe.loss is not None:
        _check_loss(loss, recipe.loss)
    elif recipe.label_smoothing and is_multi_loss(loss):
        _check_loss(loss, BinaryCrossEntropy())
    elif recipe.label_smoothing and not _cross_entropy(loss):
        raise ValueError(
            f"label_smoothing={recipe.label_smoothing} needs a cross entropy, and the loss is {loss}; set it to 0"
        )
    if recipe.mixup and recipe.loss is None and isinstance(loss, torch.nn.CrossEntropyLoss):
        raise ValueError(
            f"mixup={recipe.mixup} needs a loss that fastai can blend, torch's CrossEntropyLoss is none; "
            "give the learner fastai's CrossEntropyLossFlat"
        )
    if recipe.mixup and any(isinstance(cb, BlendedLabels) for cb in learn.cbs):
        raise ValueError(
            f"mixup={recipe.mixup} blends pictures, and the loaders blend clips already (WaveAugment(mix=...), Augment(cut_mix=...)); "
            "set one of them to 0"
        )
    for cb in learn.cbs:
        if isinstance(cb, ClipWeights):
            cb.check(learn, bool(recipe.mixup))


# ---------------------------------------------------------------- callbacks


def _smoothed(loss_func: Callable, share: float) -> Callable:
    """A copy of a cross entropy with label smoothing."""
    loss_func = copy.deepcopy(loss_func)
    _cross_entropy(loss_func).label_smoothing = share
    return loss_func


class _TrainingLoss(Callback):
    """Another loss in training only."""

    order = -1  # before MixUp, which wraps the loss that it finds at the start

    def __init__(self, other: Callable, usual: Callable) -> None:
        self.other, self.usual = other, usual

    def before_train(self) -> None:
        self.learn.loss_func = self.other

    def before_validate(self) -> None:  # not after_train: MixUp restores later what it found
        self.learn.loss_func = self.usual


def _callbacks(learn: Learner, recipe: Recipe, half: bool) -> list[Callback]:
    """The callbacks that the recipe adds; with `half` mixed precision is the first."""
    loss = learn.loss_func
    cbs = [MixedPrecision()] if half else []
    several = is_multi_loss(loss)
    if recipe.loss or (recipe.label_smoothing and several):
        other = (recipe.loss or BinaryCrossEntropy()).function(bool(several), recipe.label_smoothing)
        cbs += [_TrainingLoss(other, loss)]
    elif recipe.label_smoothing:
        cbs += [_TrainingLoss(_smoothed(loss, recipe.label_smoothing), loss)]
    cbs += [MixUp(recipe.mixup)] if recipe.mixup else []
    return cbs + ([GradientClip(recipe.clip)] if recipe.clip else [])


@contextmanager
def equipped(learn: Learner, recipe: Recipe) -> Iterator[None]:
    """`learn` with the recipe's callbacks and without fastai's table; restored afterwards, however training ended."""
    half = mixed_precision(recipe.precision, device_of(learn).type) and not hasattr(learn, "mixed_precision")
    loss_func, cbs = learn.loss_func, _callbacks(learn, recipe, half)
    with ExitStack() as stack:
        stack.enter_context(learn.no_logging())
        if not (in_notebook() or sys.stdout.isatty()):
            stack.enter_context(learn.no_bar())  # a bar in a log file is a thousand lines
        stack.enter_context(learn.added_cbs(cbs))
        try:
            yield
        finally:  # a batch that fails leaves the training loss or MixUp's, and autocast switched on
            learn.loss_func = loss_func
            if half and torch.is_autocast_enabled():
                cbs[0].autocast.__exit__(None, None, None)
