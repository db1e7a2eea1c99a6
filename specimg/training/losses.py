"""Losses for labels that are partly wrong, and weights for the clips that carry them.

Cross entropy asks for every label at any price, a wrong one too, and its gradient is largest where network and label disagree
most. `GeneralizedCrossEntropy` lets go of labels that the network finds very unlikely; `SoftBootstrap` takes the network's own answer as a part of
the target. Both are values, for a recipe: they train, and the learner's own loss validates.

    fit(learn, Recipe(loss=GeneralizedCrossEntropy(q=0.7)))
    fit(learn, Recipe(loss=SoftBootstrap(beta=0.7), mixup=0.2))

Where it is known which clips are the doubtful ones, `ClipWeights` makes them count less:

    learn.add_cb(ClipWeights([1.0 if path in verified else 0.3 for path in learn.dls.train.clips["path"]]))
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from fastai.vision.all import Callback, Learner, MixHandler, NoneReduce
from torch import Tensor, nn

from ..core.values import Value, register

__all__ = ["Loss", "GeneralizedCrossEntropy", "SoftBootstrap", "LossFunction", "ClipWeights", "is_multi_loss"]


# ---------------------------------------------------------------- the losses, as values
@dataclass(frozen=True)
class Loss(Value, ABC):
    """Base of the losses: what one clip costs, by its logits.

    `one_label`: logits (n, classes) and class numbers (n,) give (n,). `many_labels`: logits and targets of 0 to 1, both
    (n, classes), give (n, classes).
    """

    @abstractmethod
    def one_label(self, logits: Tensor, target: Tensor) -> Tensor: ...

    @abstractmethod
    def many_labels(self, logits: Tensor, target: Tensor) -> Tensor: ...

    @classmethod
    def from_dict(cls, data: dict) -> Loss:
        """As of every value; "lq" is how version 0.1 wrote `GeneralizedCrossEntropy`."""
        if isinstance(data, dict) and data.get("kind") == "lq":
            data = {**data, "kind": "generalizedcrossentropy"}
        return super().from_dict(data)

    def function(self, is_multi: bool = False) -> LossFunction:
        """The loss as fastai and torch call one; `is_multi` where a clip may carry several labels."""
        return LossFunction(self, is_multi)


@register
@dataclass(frozen=True)
class GeneralizedCrossEntropy(Loss):
    """Generalised cross entropy, (1 - p ** q) / q for the probability p of the label. Zhang and Sabuncu 2018, arXiv:1805.07836.

    Between cross entropy (q near 0) and 1 - p (q = 1), which counts every mistake alike. With several labels a clip each of them is
    a question of its own, p is the probability of its answer.
    """

    q: float = 0.7  # above 0 and up to 1: the higher, the less an unlikely label pulls

    def _check(self) -> None:
        if not 0 < self.q <= 1:
            raise ValueError(
                f"GeneralizedCrossEntropy(q={self.q:g}): give a number above 0 and up to 1; near 0 it is cross entropy"
            )

    def _cost(self, log_p: Tensor) -> Tensor:
        return -torch.expm1(self.q * log_p) / self.q  # not 1 - exp: a small q would leave nothing but rounding

    def one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._cost(F.log_softmax(logits, dim=-1).gather(-1, target[:, None])[:, 0])

    def many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        return target * self._cost(F.logsigmoid(logits)) + (1 - target) * self._cost(F.logsigmoid(-logits))


@register
@dataclass(frozen=True)
class SoftBootstrap(Loss):
    """Cross entropy with the target beta * label + (1 - beta) * p, p being what the network says. Reed et al. 2014, arXiv:1412.6596.

    The gradient goes through both places of p: the loss is beta * cross entropy + (1 - beta) * entropy of p.
    """

    beta: float = 0.7  # above 0 and up to 1: how much the label is believed; 1 is cross entropy

    def _check(self) -> None:
        if not 0 < self.beta <= 1:
            raise ValueError(
                f"SoftBootstrap(beta={self.beta:g}): give a number above 0 and up to 1, which is cross entropy"
            )

    def one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=-1)
        entropy = -(log_p.exp() * log_p).sum(dim=-1)
        return self.beta * F.nll_loss(log_p, target, reduction="none") + (1 - self.beta) * entropy

    def many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        # -log p is softplus(-logit), -log(1 - p) is softplus(logit): no logarithm of a probability that has become 0
        entropy = logits.sigmoid() * F.softplus(-logits) + (-logits).sigmoid() * F.softplus(logits)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return self.beta * cross_entropy + (1 - self.beta) * entropy


# ---------------------------------------------------------------- as fastai calls them
class LossFunction:
    """A `Loss` with all that fastai asks of a loss function: reduction, activation, decodes, and `y_int` for its MixUp.

    Logits (n, classes); targets are class numbers (n,), with `is_multi` 0 to 1 (n, classes).
    """

    def __init__(self, loss: Loss, is_multi: bool = False, reduction: str = "mean"):
        self.loss, self.is_multi, self.reduction = loss, is_multi, reduction
        self.y_int = not is_multi  # MixUp blends two losses where targets are numbers of classes, else the targets

    def __repr__(self) -> str:
        return f"{self.loss} for {'several labels' if self.is_multi else 'one label'} a clip"

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, target = logits.as_subclass(Tensor), target.as_subclass(Tensor)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()  # half precision ends at 65504, and its rounding is felt in a loss
        if self.is_multi:
            losses = self.loss.many_labels(logits, target.to(logits.dtype))
        else:
            losses = self.loss.one_label(logits, target.long().reshape(-1))
        return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[self.reduction]()

    def activation(self, logits: Tensor) -> Tensor:
        """Probabilities."""
        return logits.sigmoid() if self.is_multi else logits.softmax(dim=-1)

    def decodes(self, probs: Tensor) -> Tensor:
        """Class numbers, with `is_multi` which labels are above one half."""
        return probs > 0.5 if self.is_multi else probs.argmax(dim=-1)


def is_multi_loss(loss_func) -> bool | None:
    """Is this a cross entropy for several labels a clip (True), for one (False), or something else (None)?

    fastai's and torch's, and those of this module.
    """
    if isinstance(loss_func, LossFunction):
        return loss_func.is_multi
    inner = getattr(loss_func, "func", loss_func)
    return (
        True if isinstance(inner, nn.BCEWithLogitsLoss) else False if isinstance(inner, nn.CrossEntropyLoss) else None
    )


# ---------------------------------------------------------------- a weight for each clip
def _as_weights(weights) -> np.ndarray:
    """float32 (n,), of mean 1."""
    found = np.asarray(weights, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"weights of the shape {found.shape}; give one number a training clip")
    bad = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if len(bad):
        raise ValueError(
            f"the weight of clip {bad[0]} is {found[bad[0]]:g}, one of {len(bad)} that are no weights; "
            "give finite numbers, 0 or more"
        )
    if not found.any():
        raise ValueError(f"all {len(found)} weights are 0, so that nothing would be learnt; give some clips more")
    return (found / found.mean()).astype(np.float32)


class ClipWeights(Callback):
    """Multiplies the training loss of each clip by its weight; validation counts every clip alike.

    A clip of weight 0 still takes part in the statistics of batch normalisation; to be rid of it, leave it out of the table.

    Parameters
    ----------
    weights : one a training clip in the order of `dls.train.clips`, 0 or more; only their ratios count, they are scaled to mean 1

    Raises ValueError for weights that are none; when training begins, where their number is not that of the training clips, MixUp
    or a like callback blends clips, batches do not tell their clips, or the loss is not the mean over its clips.
    """

    order, run_valid = 1, False  # before MixedPrecision and GradientAccumulation, which scale the loss

    def __init__(self, weights):
        self.weights = _as_weights(weights)
        self.key = hashlib.blake2b(self.weights.tobytes(), digest_size=8).hexdigest()  # a run that goes on compares it

    def check(self, learn: Learner, mixup: bool = False) -> None:
        """ValueError where these weights cannot be used with this learner; `mixup` where MixUp is still to come."""
        n = getattr(learn.dls.train, "n", None)
        if len(self.weights) != n:
            raise ValueError(
                f"{len(self.weights)} weights for {n} training clips; give one a row of dls.train.clips, in that order"
            )
        if mixup or any(isinstance(cb, MixHandler) for cb in learn.cbs):
            raise ValueError(
                "MixUp blends clips, and a blend has no weight of its own; leave out ClipWeights or the MixUp, or draw clips "
                "by weight instead: weight_col= of SpecDataLoaders"
            )

    def before_train(self):
        self.check(self.learn)

    def _of_batch(self) -> np.ndarray:
        """(clips,): the weights of the clips in this batch."""
        clips = getattr(self.learn.xb[0], "clips", None)
        if clips is None or len(clips) != len(self.learn.pred):
            raise ValueError(
                "the batch does not say which clips it holds, so they cannot be weighted; use SpecDataLoaders, or a DataBlock "
                "with SpecBlock, and batch_tfms that keep what hangs on a tensor"
            )
        return self.weights[[index for index, *_ in clips]]

    def _losses(self) -> Tensor:
        """(clips,): the loss of each clip in this batch."""
        n = len(self.learn.pred)
        with NoneReduce(self.learn.loss_func) as loss_func:
            losses = loss_func(self.learn.pred, *self.learn.yb).as_subclass(Tensor)
        if losses.ndim == 0 or losses.numel() % n:
            raise ValueError(
                f"{self.learn.loss_func} gives {losses.numel()} losses for {n} clips; weights need a loss that heeds "
                "reduction='none'"
            )
        return losses.reshape(n, -1).mean(dim=1)

    def after_loss(self):
        weights = self._of_batch()
        if (weights == 1).all():
            return  # not even the last bit of the loss changes
        losses = self._losses()
        usual, mean = self.learn.loss.item(), losses.mean().item()
        if math.isfinite(usual) and not math.isclose(usual, mean, rel_tol=1e-3, abs_tol=1e-6):
            raise ValueError(
                f"{self.learn.loss_func} gives {usual:g} where the mean over the clips is {mean:g}; weights need a loss that "
                f"is the mean over its clips, without class weights"
            )
        self.learn.loss_grad = (losses * torch.from_numpy(weights).to(losses)).mean()
        self.learn.loss = self.learn.loss_grad.clone()
