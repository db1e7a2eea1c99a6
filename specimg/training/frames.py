"""Weak labels: a clip says what sounds in it, and not when. The loss of a network that answers for clips and frames.

Of the frames the largest logit over time of each label is compared with the clip's label, so that one frame with the sound is enough.
`FrameLoss`, a callback, makes it a share of the training loss, whatever loss that is: another of a recipe, smoothed, weighted by clips, or
blended by MixUp. Validation keeps the learner's own, on the clips.

>>> learn = sp.spec_learner(dls, "test_resnet", pretrained=False, head="attention", frame_share=0.25)
>>> learn.frame_loss.share
0.25
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastai.vision.all import Callback
from torch import Tensor


class ClipAndFrames:
    """(1 - share) * loss(clips) + share * loss(the frames' largest logits over time); all else is `loss`'s own."""

    def __init__(self, loss: Callable, share: float) -> None:
        self.loss, self.share = loss, share

    def __call__(self, clip: Tensor, *targets: Tensor, **kwargs: Any) -> Tensor:
        frames = getattr(clip, "frames", None)
        if frames is None:
            raise ValueError(
                "the network's output came without its frames: a callback or a wrapper of the model replaced it; leave that out, or "
                "choose another head than 'attention'"
            )
        return (1 - self.share) * self.loss(clip, *targets, **kwargs) + self.share * self.loss(
            frames.amax(dim=1), *targets, **kwargs
        )

    def __getattr__(self, name: str) -> Any:
        if name == "loss":  # copied, and not made yet
            raise AttributeError(name)
        return getattr(self.loss, name)

    @property
    def reduction(self) -> str:
        """Of `loss`, which fastai sets where it needs losses clip by clip."""
        return self.loss.reduction

    @reduction.setter
    def reduction(self, reduction: str) -> None:
        self.loss.reduction = reduction


class FrameLoss(Callback):
    """Puts a share of the training loss on the frames of a network with head="attention"; `spec_learner` adds it.

    Parameters
    ----------
    share : float, default 0.5
        From 0, the clips alone, to 1, the frames alone.

    Raises
    ------
    ValueError
        The share is outside of this range.
    """

    order, run_valid = 0, False  # after another loss of the recipe, before MixUp, which wraps the loss that it finds

    def __init__(self, share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"frame_share={share!r}: give 0, the clips alone, to 1, the frames alone")
        self.share = float(share)

    def _unwrap(self) -> None:
        if isinstance(self.learn.loss_func, ClipAndFrames):
            self.learn.loss_func = self.learn.loss_func.loss

    def before_train(self) -> None:
        """Put it on."""
        self._unwrap()  # left by a training that failed
        if self.share:
            self.learn.loss_func = ClipAndFrames(self.learn.loss_func, self.share)

    def before_validate(self) -> None:
        """Take it off."""
        self._unwrap()

    def after_fit(self) -> None:
        """Take it off."""
        self._unwrap()
