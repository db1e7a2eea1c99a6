"""Labels of clips that are blended within a batch: two waveforms added up, or a part of one picture in another.

With several labels a clip, the target itself says what is heard: both clips' labels, or each by its share. With one label a clip no
target can, so that the batch carries `shares`, `(n, n)`: which share of each row's label is that of each clip of the batch. The
learner's `BlendedLabels` computes the loss from it; `spec_learner` adds that where it is needed.
"""

from __future__ import annotations

import torch
from fastai.vision.all import ItemTransform
from torch import Tensor


def partners(n: int, device: torch.device) -> Tensor:
    """Another clip for each of `n` in a batch, never itself."""
    return (torch.arange(n, device=device) + int(torch.randint(1, n, (1,)))) % n


def blended(x: Tensor, y: Tensor, own: Tensor, others: Tensor, union: bool) -> Tensor:
    """The target of a batch of which row i is `own[i]` itself and for the rest clip `others[i]`; of single labels `x.shares` is set.

    union : several labels a clip are all there, rather than by their share
    """
    plain, own = y.as_subclass(Tensor), own.to(y.device)
    if y.ndim == 2:
        other = plain[others]
        if union:
            mixed = torch.where((own < 1)[:, None], torch.maximum(plain, other), plain)
        else:
            mixed = own[:, None] * plain + (1 - own)[:, None] * other
        return mixed.to(plain.dtype).as_subclass(type(y))
    shares = torch.diag(own)
    shares[torch.arange(len(own), device=own.device), others] += 1 - own
    before = getattr(x, "shares", None)
    x.shares = shares if before is None else shares @ before
    return y


class Blend(ItemTransform):
    """Base of batch transforms that put clips of a batch together, in training only; `_blend` does it.

    `blends` tells learners that targets are no longer those of one clip.
    """

    split_idx, blends = 0, True

    def encodes(self, b):
        if not isinstance(b, (tuple, list)) or len(b) < 2 or len(b[0]) < 2:
            return b  # without labels, or nobody to blend with
        x, y, *rest = b
        made, own, others, union = self._blend(x)
        made.set_meta(x, as_copy=True)
        return (made, blended(made, y, own, others, union), *rest)

    def _blend(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, bool]:
        """(the blended batch, each row's own share, its partner, whether several labels are all there)."""
        raise NotImplementedError
