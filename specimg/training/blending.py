"""The loss of clips that are blends of several: each label counts by its share.

Loaders that blend clips of one label (`WaveAugment(mix=...)`, `Augment(cut_mix=...)`) say so in every batch; `spec_learner` adds the
callback where it is needed.
"""

from __future__ import annotations

from fastai.vision.all import DataLoaders, MixHandler, NoneReduce, reduce_loss
from torch import Tensor


def blends(dls: DataLoaders) -> bool:
    """Whether transforms of these loaders put clips of a batch together."""
    transforms = getattr(getattr(dls.train, "after_batch", None), "fs", [])
    return any(getattr(transform, "blends", False) for transform in transforms)


def _rows(pred: Tensor, rows: Tensor) -> Tensor:
    """Outputs of these rows, with those of their frames where the network gives them."""
    taken, frames = pred[rows], getattr(pred, "frames", None)
    if frames is not None:
        taken.frames = frames[rows]
    return taken


class BlendedLabels(MixHandler):
    """fastai callback: the training loss of a blend is the sum of the losses of its labels, each by its share.

    For loaders that blend clips with one label each; with several labels a clip the targets say it themselves.

    Raises
    ------
    ValueError
        When training begins: the loss is one that takes no single classes; or a batch does not say what was blended.

    Examples
    --------
    >>> from fastai.vision.all import Learner
    >>> from specimg.training import BlendedLabels
    >>> learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, cbs=BlendedLabels())
    """

    order = 1  # after the recipe's own loss and that of frames, which it wraps

    def __init__(self) -> None:
        super().__init__()

    def before_train(self) -> None:
        """Take the place of the loss."""
        super().before_train()
        if not self.stack_y:
            raise ValueError(
                f"clips of one label are blended, and the loss {self.learn.loss_func} is not one of fastai's for single labels; give the "
                "learner CrossEntropyLossFlat, or loaders that blend nothing"
            )

    def lf(self, pred: Tensor, *yb: Tensor) -> Tensor:
        """The loss of a batch.

        Parameters
        ----------
        pred : Tensor
            The network's outputs, `(n, classes)`.
        *yb : Tensor
            The targets.

        Returns
        -------
        Tensor
            The loss, reduced as the learner's own is.
        """
        if not self.training:
            return self.old_lf(pred, *yb)
        shares = getattr(self.learn.xb[0], "shares", None)
        if shares is None:
            raise ValueError(
                "the batch does not say which clips were blended: a transform after the blending has dropped what hung on the tensor; "
                "keep it by set_meta, or blend nothing"
            )
        rows, clips = shares.nonzero(as_tuple=True)
        with NoneReduce(self.old_lf) as lf:
            losses = lf(_rows(pred, rows), *(y[clips] for y in yb)).as_subclass(Tensor)
        summed = losses.new_zeros(len(pred)).index_add(0, rows, losses * shares[rows, clips].to(losses.dtype))
        return reduce_loss(summed, getattr(self.old_lf, "reduction", "mean"))
