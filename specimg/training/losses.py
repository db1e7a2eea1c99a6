"""Losses for labels that are partly wrong, for rare ones, and for the ranking; and weights for clips.

Cross entropy fits every label, wrong ones too: its gradient is largest where network and label disagree most.
`GeneralizedCrossEntropy` gives up labels that the network finds very unlikely; `SoftBootstrap` makes the network's own prediction a
part of the target. Both are values for a recipe and are used in training only; validation keeps the learner's own loss.

    fit(learn, Recipe(loss=GeneralizedCrossEntropy(q=0.7)))
    fit(learn, Recipe(loss=SoftBootstrap(beta=0.7), mixup=0.2))

Where most labels are absent from most clips, `FocalLoss` and `AsymmetricLoss` give easy decisions less weight, and `BinaryCrossEntropy` has a
weight of what is present. `SoftAUC` trains what ROC-AUC measures. They go together with label smoothing:

    fit(learn, Recipe(loss=SoftAUC(bce=0.25), label_smoothing=0.05))

Where the doubtful clips are known, `ClipWeights` makes them count less:

    learn.add_cb(ClipWeights([1.0 if path in verified else 0.3 for path in learn.dls.train.clips["path"]]))
"""

from __future__ import annotations

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from fastai.vision.all import Callback, Learner, MixHandler, NoneReduce
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torchvision.ops import sigmoid_focal_loss

from ..core.values import Value, register


# ---------------------------------------------------------------- the losses, as values
@dataclass(frozen=True)
class Loss(Value, ABC):
    """Base of the losses: values whose `function` is what fastai and torch call a loss function.

    A subclass implements `_one_label(logits, target)`, with class numbers (n,), which returns (n,), and
    `_many_labels(logits, target)`, with targets of 0 to 1 of shape (n, classes), which returns (n, classes).
    `takes_smoothing` says whether it goes together with label smoothing.

    Examples
    --------
    >>> from specimg.training import GeneralizedCrossEntropy, Loss
    >>> Loss.from_dict({"kind": "generalizedcrossentropy", "q": 0.5})
    GeneralizedCrossEntropy(q=0.5)
    """

    takes_smoothing: ClassVar[bool] = True

    @abstractmethod
    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor: ...

    @abstractmethod
    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor: ...

    def _smoothed(self, logits: Tensor, target: Tensor, share: float) -> Tensor:
        """(n,): as `_one_label`, with a share of the target spread over all classes."""
        n, classes = logits.shape
        of_each = self._one_label(
            logits.repeat_interleave(classes, dim=0), torch.arange(classes, device=logits.device).repeat(n)
        )
        return (1 - share) * self._one_label(logits, target) + share * of_each.reshape(n, classes).mean(dim=1)

    @classmethod
    def from_dict(cls, data: dict) -> Loss:
        """The loss that a dictionary describes.

        Parameters
        ----------
        data : dict
            As `to_dict` writes it; "lq", the kind that version 0.1 wrote, is `GeneralizedCrossEntropy`.

        Returns
        -------
        Loss
        """
        if isinstance(data, dict) and data.get("kind") == "lq":
            data = {**data, "kind": "generalizedcrossentropy"}
        return super().from_dict(data)

    def function(self, is_multi: bool = False, smoothing: float = 0.0) -> LossFunction:
        """The loss as fastai and torch call one.

        Parameters
        ----------
        is_multi : bool, default False
            May a clip carry several labels?
        smoothing : float, default 0.0
            Share of the target spread evenly over all classes, or over present and absent; 0 to below 1.

        Returns
        -------
        LossFunction
            Callable with (logits, target).
        """
        return LossFunction(self, is_multi, smoothing=smoothing)


@register
@dataclass(frozen=True)
class GeneralizedCrossEntropy(Loss):
    """Generalised cross entropy, (1 - p ** q) / q with p the predicted probability of the label.

    It lies between cross entropy (q near 0) and 1 - p (q = 1), which counts every mistake alike. With several labels a clip each
    label is a binary decision and p the probability of its target.

    Parameters
    ----------
    q : float, default 0.7
        Above 0 and up to 1: the higher, the smaller the gradient of an unlikely label.

    References
    ----------
    .. [1] Zhang and Sabuncu, "Generalized cross entropy loss for training deep neural networks with noisy labels", NeurIPS 2018,
       arXiv:1805.07836, equation 6.

    Examples
    --------
    >>> import torch
    >>> from specimg.training import GeneralizedCrossEntropy
    >>> loss = GeneralizedCrossEntropy(q=0.5).function()
    >>> round(loss(torch.tensor([[0.0, 0.0]]), torch.tensor([1])).item(), 3)      # (1 - 0.5 ** 0.5) / 0.5
    0.586
    """

    q: float = 0.7
    takes_smoothing: ClassVar[bool] = False

    def _check(self) -> None:
        if not 0 < self.q <= 1:
            raise ValueError(
                f"GeneralizedCrossEntropy(q={self.q:g}): give a number above 0 and up to 1; near 0 it is cross entropy"
            )

    def _cost(self, log_p: Tensor) -> Tensor:
        return -torch.expm1(self.q * log_p) / self.q  # not 1 - exp: a small q would leave nothing but rounding

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._cost(F.log_softmax(logits, dim=-1).gather(-1, target[:, None])[:, 0])

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        return target * self._cost(F.logsigmoid(logits)) + (1 - target) * self._cost(F.logsigmoid(-logits))


@register
@dataclass(frozen=True)
class SoftBootstrap(Loss):
    """Cross entropy with the target beta * label + (1 - beta) * p, with p the predicted probabilities.

    The gradient flows through both occurrences of p: the loss is beta * cross entropy + (1 - beta) * entropy of p.

    Parameters
    ----------
    beta : float, default 0.7
        Weight of the label in the target, above 0 and up to 1; 1 is cross entropy.

    References
    ----------
    .. [1] Reed et al., "Training deep neural networks on noisy labels with bootstrapping", 2014, arXiv:1412.6596, equation 6.

    Examples
    --------
    >>> import torch
    >>> from specimg.training import SoftBootstrap
    >>> loss = SoftBootstrap(beta=0.7).function()
    >>> round(loss(torch.tensor([[2.0, 0.0]]), torch.tensor([1])).item(), 3)
    1.598
    """

    beta: float = 0.7
    takes_smoothing: ClassVar[bool] = False

    def _check(self) -> None:
        if not 0 < self.beta <= 1:
            raise ValueError(
                f"SoftBootstrap(beta={self.beta:g}): give a number above 0 and up to 1, which is cross entropy"
            )

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=-1)
        entropy = -(log_p.exp() * log_p).sum(dim=-1)
        return self.beta * F.nll_loss(log_p, target, reduction="none") + (1 - self.beta) * entropy

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        # -log p is softplus(-logit), -log(1 - p) is softplus(logit): no logarithm of a probability that has become 0
        entropy = logits.sigmoid() * F.softplus(-logits) + (-logits).sigmoid() * F.softplus(logits)
        cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        return self.beta * cross_entropy + (1 - self.beta) * entropy


@register
@dataclass(frozen=True)
class BinaryCrossEntropy(Loss):
    """Cross entropy with a weight of labels that are present, against their rarity.

    With one label a clip it is cross entropy times the weight of the clip's label, not divided by the sum of the weights.

    Parameters
    ----------
    pos_weight : float or tuple of float, default 1.0
        Weight of a label where it is present, above 0: one for all, or one for each in the order of `dls.vocab`. The number of clips
        without a label over those with it balances the two.

    References
    ----------
    .. [1] King and Zeng, "Logistic regression in rare events data", Political Analysis 2001 (weighting).

    Examples
    --------
    >>> import torch
    >>> from specimg.training import BinaryCrossEntropy
    >>> loss = BinaryCrossEntropy(pos_weight=3).function(is_multi=True)
    >>> round(loss(torch.zeros(1, 2), torch.tensor([[1.0, 0.0]])).item(), 3)          # (3 + 1) log(2) / 2
    1.386
    """

    pos_weight: float | tuple[float, ...] = 1.0

    def _check(self) -> None:
        weights = self.pos_weight if isinstance(self.pos_weight, tuple) else (self.pos_weight,)
        if not weights or not all(0 < weight < math.inf for weight in weights):
            raise ValueError(f"BinaryCrossEntropy(pos_weight={self.pos_weight!r}): give numbers above 0")

    def _weights(self, logits: Tensor) -> Tensor:
        """(classes,)"""
        weights, classes = torch.tensor(self.pos_weight).to(logits), logits.shape[-1]
        if weights.ndim and len(weights) != classes:
            raise ValueError(
                f"BinaryCrossEntropy has {len(weights)} weights, and there are {classes} labels; give one for each, in the order of "
                "dls.vocab, or one for all"
            )
        return weights.expand(classes)

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._weights(logits)[target] * F.cross_entropy(logits, target, reduction="none")

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = self._weights(logits)
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=weights, reduction="none")


@register
@dataclass(frozen=True)
class FocalLoss(Loss):
    """Cross entropy times (1 - p) ** gamma, with p the probability of what is true: easy decisions count less.

    Parameters
    ----------
    gamma : float, default 2.0
        0 or more; 0 is cross entropy.
    alpha : float, optional
        Weight of labels that are present, between 0 and 1, against 1 - alpha of those absent; for several labels a clip. None weights
        neither.

    References
    ----------
    .. [1] Lin et al., "Focal loss for dense object detection", ICCV 2017, arXiv:1708.02002.

    Examples
    --------
    >>> import torch
    >>> from specimg.training import FocalLoss
    >>> loss = FocalLoss(gamma=2).function(is_multi=True)
    >>> round(loss(torch.zeros(1, 1), torch.ones(1, 1)).item(), 4)                   # 0.5 ** 2 * log(2)
    0.1733
    """

    gamma: float = 2.0
    alpha: float | None = None

    def _check(self) -> None:
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"FocalLoss(gamma={self.gamma:g}): give 0, which is cross entropy, or more")
        if self.alpha is not None and not 0 < self.alpha < 1:
            raise ValueError(f"FocalLoss(alpha={self.alpha:g}): give a number between 0 and 1, or None")

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        log_p = F.log_softmax(logits, dim=-1).gather(-1, target[:, None])[:, 0]
        return -((-torch.expm1(log_p)) ** self.gamma) * log_p

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        return sigmoid_focal_loss(logits, target, alpha=-1 if self.alpha is None else self.alpha, gamma=self.gamma)


@register
@dataclass(frozen=True)
class AsymmetricLoss(Loss):
    """Focal loss with a stronger focus for absent labels, of which those that are surely absent do not count at all.

    With one label a clip it is the focal loss with `gamma_present`.

    Parameters
    ----------
    gamma_absent : float, default 4.0
        Exponent of absent labels, 0 or more.
    gamma_present : float, default 1.0
        Exponent of present labels, 0 or more.
    shift : float, default 0.05
        Absent labels of a lower probability cost nothing, 0 to below 1.

    References
    ----------
    .. [1] Ridnik et al., "Asymmetric loss for multi-label classification", ICCV 2021, arXiv:2009.14119, equations 4 to 7.

    Examples
    --------
    >>> import torch
    >>> from specimg.training import AsymmetricLoss
    >>> loss = AsymmetricLoss().function(is_multi=True)
    >>> loss(torch.full((1, 1), -4.0), torch.zeros(1, 1)).item()                     # a probability of 0.018, below the shift
    0.0
    """

    gamma_absent: float = 4.0
    gamma_present: float = 1.0
    shift: float = 0.05

    def _check(self) -> None:
        for name in ("gamma_absent", "gamma_present"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"AsymmetricLoss({name}={getattr(self, name):g}): give 0 or more")
        if not 0 <= self.shift < 1:
            raise ValueError(f"AsymmetricLoss(shift={self.shift:g}): give 0 or more, and below 1")

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        return FocalLoss(self.gamma_present)._one_label(logits, target)

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        p = logits.sigmoid()
        shifted = (p - self.shift).clamp(min=0)  # the probability of an absent label
        log_absent = torch.log1p(-shifted) if self.shift else F.logsigmoid(-logits)
        present = (1 - p) ** self.gamma_present * F.logsigmoid(logits)
        return -(target * present + (1 - target) * shifted**self.gamma_absent * log_absent)


@register
@dataclass(frozen=True)
class SoftAUC(Loss):
    """What ROC-AUC counts, made smooth: for each label, log(1 + exp(b - a)) over all pairs of a clip with it and one without.

    a and b are the logits of the two clips. The pairs are those of the batch, so that batches should be large; a label that all clips of a
    batch have, or none, has none. A pair counts half for each of its clips, whose weights apply to them.

    Parameters
    ----------
    bce : float, default 0.25
        Share of cross entropy that is added, 0 or more: pairs alone do not say where 0 is.

    References
    ----------
    .. [1] Gao and Zhou, "On the consistency of AUC pairwise optimization", IJCAI 2015, arXiv:1208.0645 (logistic loss of pairs).

    Examples
    --------
    >>> import torch
    >>> from specimg.training import SoftAUC
    >>> loss = SoftAUC(bce=0).function(is_multi=True)
    >>> round(loss(torch.tensor([[2.0], [0.0]]), torch.tensor([[1.0], [0.0]])).item(), 4)     # log(1 + exp(-2))
    0.1269
    """

    bce: float = 0.25

    def _check(self) -> None:
        if not 0 <= self.bce < math.inf:
            raise ValueError(f"SoftAUC(bce={self.bce:g}): give 0 or more")

    @staticmethod
    def _pairs(logits: Tensor, target: Tensor) -> Tensor:
        """(n, classes): of each clip, so that the mean over all is the mean over labels that have pairs."""
        n, classes = logits.shape
        others = ~torch.eye(n, dtype=torch.bool, device=logits.device)[:, :, None]
        counts = target[:, None] * (1 - target[None]) * others  # (with it, without it, label)
        costs = counts * F.softplus(logits[None] - logits[:, None])
        pairs = counts.sum((0, 1))
        known = pairs > 0
        each = (costs.sum(1) + costs.sum(0)) * n / (2 * pairs.clamp(min=torch.finfo(pairs.dtype).tiny))
        return torch.where(known, each, 0.0) * classes / known.sum().clamp(min=1)

    def _soft(self, logits: Tensor, target: Tensor) -> Tensor:
        """(n,): of one label a clip, as shares of all."""
        cross_entropy = F.cross_entropy(logits, target, reduction="none") if self.bce else 0.0
        return self._pairs(logits, target).mean(dim=1) + self.bce * cross_entropy

    def _one_label(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._soft(logits, F.one_hot(target, logits.shape[-1]).to(logits.dtype))

    def _smoothed(self, logits: Tensor, target: Tensor, share: float) -> Tensor:
        classes = logits.shape[-1]
        return self._soft(logits, (1 - share) * F.one_hot(target, classes).to(logits.dtype) + share / classes)

    def _many_labels(self, logits: Tensor, target: Tensor) -> Tensor:
        cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none") if self.bce else 0.0
        return self._pairs(logits, target) + self.bce * cross_entropy


# ---------------------------------------------------------------- as fastai calls them
class LossFunction:
    """A `Loss` with all that fastai expects of a loss function: reduction, activation, decodes, and `y_int` for its MixUp.

    Called with logits (n, classes) and class numbers (n,), or with `is_multi` targets of 0 to 1 (n, classes).
    """

    def __init__(self, loss: Loss, is_multi: bool = False, reduction: str = "mean", smoothing: float = 0.0) -> None:
        self.loss, self.is_multi, self.reduction, self.smoothing = loss, is_multi, reduction, smoothing
        self.y_int = not is_multi  # MixUp blends two losses where targets are class numbers, else the targets

    def __repr__(self) -> str:
        return f"{self.loss} for {'several labels' if self.is_multi else 'one label'} a clip"

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, target = logits.as_subclass(Tensor), target.as_subclass(Tensor)
        if logits.dtype in (torch.float16, torch.bfloat16):
            logits = logits.float()  # half precision overflows at 65504 and rounds too coarsely
        if self.is_multi:
            target = target.to(logits.dtype)
            losses = self.loss._many_labels(
                logits, target + self.smoothing * (0.5 - target) if self.smoothing else target
            )
        elif self.smoothing:
            losses = self.loss._smoothed(logits, target.long().reshape(-1), self.smoothing)
        else:
            losses = self.loss._one_label(logits, target.long().reshape(-1))
        return {"mean": losses.mean, "sum": losses.sum, "none": lambda: losses}[self.reduction]()

    def activation(self, logits: Tensor) -> Tensor:
        """Probabilities."""
        return logits.sigmoid() if self.is_multi else logits.softmax(dim=-1)

    def decodes(self, probs: Tensor) -> Tensor:
        """Class numbers; with `is_multi` booleans, probability above one half."""
        return probs > 0.5 if self.is_multi else probs.argmax(dim=-1)


def is_multi_loss(loss_func: Callable) -> bool | None:
    """Whether this is a cross entropy for several labels a clip (True), for one (False), or something else (None).

    fastai's and torch's, and those of this module.
    """
    if isinstance(loss_func, LossFunction):
        return loss_func.is_multi
    inner = getattr(loss_func, "func", loss_func)
    if isinstance(inner, nn.BCEWithLogitsLoss):
        return True
    return False if isinstance(inner, nn.CrossEntropyLoss) else None


# ---------------------------------------------------------------- a weight for each clip
def _as_weights(weights: ArrayLike) -> np.ndarray:
    """float32 (n,), of mean 1."""
    found = np.asarray(weights, dtype=np.float64)
    if found.ndim != 1 or not len(found):
        raise ValueError(f"weights of the shape {found.shape}; give one number a training clip")
    invalid = np.flatnonzero(~(np.isfinite(found) & (found >= 0)))
    if len(invalid):
        raise ValueError(
            f"the weight of clip {invalid[0]} is {found[invalid[0]]:g}, one of {len(invalid)} that are not weights; "
            "give finite numbers, 0 or more"
        )
    if not found.any():
        raise ValueError(f"all {len(found)} weights are 0, so that nothing would be learnt; give some clips more")
    return (found / found.mean()).astype(np.float32)


class ClipWeights(Callback):
    """fastai callback that multiplies the training loss of each clip by its weight; in validation all clips count alike.

    A clip of weight 0 still takes part in the statistics of batch normalisation; to exclude it, leave it out of the table.

    Parameters
    ----------
    weights : array-like of shape (n_training_clips,)
        In the order of `dls.train.clips`, 0 or more; they are scaled to mean 1.

    Raises
    ------
    ValueError
        A weight is negative or not finite. When training begins: their number is not that of the training clips, MixUp or a like
        callback blends clips, batches do not identify their clips, or the loss is not the mean over its clips.

    Examples
    --------
    >>> from specimg.training import ClipWeights
    >>> ClipWeights([3, 1, 0, 0]).weights.tolist()
    [3.0, 1.0, 0.0, 0.0]
    """

    order, run_valid = 1, False  # before MixedPrecision and GradientAccumulation, which scale the loss

    def __init__(self, weights: ArrayLike) -> None:
        self.weights = _as_weights(weights)
        self.key = hashlib.blake2b(self.weights.tobytes(), digest_size=8).hexdigest()  # compared where training resumes

    def check(self, learn: Learner, mixup: bool = False) -> None:
        """Raise ValueError if these weights cannot be used with a learner.

        Parameters
        ----------
        learn : Learner
            The learner to be trained.
        mixup : bool, default False
            Will MixUp be added?
        """
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

    def before_train(self) -> None:
        """Check the learner."""
        self.check(self.learn)

    def _of_batch(self) -> np.ndarray:
        """(clips,): the weights of the clips in this batch."""
        clips = getattr(self.learn.xb[0], "clips", None)
        if clips is None or len(clips) != len(self.learn.pred):
            raise ValueError(
                "the batch does not identify its clips, so they cannot be weighted; use SpecDataLoaders, or a DataBlock "
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
                f"{self.learn.loss_func} gives {losses.numel()} losses for {n} clips; weights need a loss that respects "
                "reduction='none'"
            )
        return losses.reshape(n, -1).mean(dim=1)

    def after_loss(self) -> None:
        """Weight the loss of this batch."""
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
