"""Heads over a map of features (batch, features, height, width): from where and when to what.

"avgmax"     average and maximum over the map, then linear layers: fastai's
"gem"        generalised mean over the map, then the same layers
"attention"  mean over frequency, then linear layers for every frame, and attention over the frames: answers for the clip and for each frame

The width of the map are the network's frames: it is the picture's, divided by the network's stride (32 of most).
"""

from __future__ import annotations

import torch
from fastai.vision.all import create_head
from torch import Tensor, nn

HEADS = ("avgmax", "gem", "attention")


class GeM(nn.Module):
    """Generalised mean over a map: (mean of x ** p) ** (1 / p). p = 1 is the average; the larger, the nearer to the maximum.

    Parameters
    ----------
    p : float, default 3.0
        Where the exponent starts; it is learnt.
    eps : float, default 1e-6
        Features below are raised to it.

    References
    ----------
    .. [1] Radenovic, Tolias and Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018, arXiv:1711.02512.

    Examples
    --------
    >>> import torch
    >>> from specimg.models.heads import GeM
    >>> round(GeM(p=2.0)(torch.tensor([3.0, 4.0]).reshape(1, 1, 1, 2)).item() ** 2, 4)        # (9 + 16) / 2
    12.5
    """

    def __init__(self, p: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.p, self.eps = nn.Parameter(torch.tensor([float(p)])), eps

    def forward(self, x: Tensor) -> Tensor:
        """Pool.

        Parameters
        ----------
        x : Tensor
            (batch, features, height, width).

        Returns
        -------
        Tensor
            (batch, features).
        """
        return x.float().clamp(min=self.eps).pow(self.p).mean((2, 3)).pow(1 / self.p)  # float16 overflows at 40 ** 3


class AttentionHead(nn.Module):
    """Head of sound event detection: each frame answers, and attention says how much each frame counts for the clip.

    The clip's logit of a class is the mean of the frames' logits, weighted by a softmax over the frames that is learnt for each class.

    Parameters
    ----------
    features : int
        Of the map.
    n_classes : int
        Labels.
    hidden : int, default 512
        Width of the layer between, for each frame.
    ps : float, default 0.5
        Dropout before the last layer; half of it before the other.

    References
    ----------
    .. [1] Kong et al., "PANNs: Large-scale pretrained audio neural networks for audio pattern recognition", TASLP 2020,
       arXiv:1912.10211 (decision-level attention; there over probabilities, here over logits, so that any loss and any temperature fits).

    Examples
    --------
    >>> import torch
    >>> from specimg.models.heads import AttentionHead
    >>> clip, frames = AttentionHead(8, n_classes=3).eval().answers(torch.zeros(2, 8, 4, 7))
    >>> tuple(clip.shape), tuple(frames.shape)
    ((2, 3), (2, 7, 3))
    """

    def __init__(self, features: int, n_classes: int, hidden: int = 512, ps: float = 0.5) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.hidden = nn.Sequential(nn.Dropout(ps / 2), nn.Linear(features, hidden), nn.ReLU(), nn.Dropout(ps))
        self.attention, self.frames = nn.Linear(hidden, n_classes), nn.Linear(hidden, n_classes)

    def embed(self, x: Tensor) -> Tensor:
        """The input of the last layer, averaged over frames.

        Parameters
        ----------
        x : Tensor
            (batch, features, height, width).

        Returns
        -------
        Tensor
            (batch, hidden).
        """
        return self._of_frames(x).mean(1)

    def _of_frames(self, x: Tensor) -> Tensor:
        """(batch, frames, hidden)."""
        return self.hidden(self.norm(x.mean(2)).transpose(1, 2))

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the clip and its frames hold.

        Parameters
        ----------
        x : Tensor
            (batch, features, height, width).

        Returns
        -------
        tuple of Tensor
            float32 logits of the clip (batch, classes), and of its frames (batch, frames, classes).
        """
        hidden = self._of_frames(x)
        frames = self.frames(hidden).float()
        # tanh keeps a single frame from taking all of the attention before anything is learnt, as in PANNs
        shares = torch.tanh(self.attention(hidden).float()).softmax(dim=1)
        return (shares * frames).sum(1), frames

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the clip.

        Parameters
        ----------
        x : Tensor
            (batch, features, height, width).

        Returns
        -------
        Tensor
            (batch, classes).
        """
        return self.answers(x)[0]


def create_map_head(
    head: str,
    features: int,
    n_classes: int,
    ps: float | list[float] = 0.5,
    lin_ftrs: list[int] | None = None,
    concat_pool: bool = True,
) -> nn.Module:
    """The head called "avgmax", "gem" or "attention", over a map of so many features.

    ValueError for options that it does not have.
    """
    if head == "avgmax":
        return create_head(features, n_classes, lin_ftrs=lin_ftrs, ps=ps, concat_pool=concat_pool)
    if not concat_pool:
        raise ValueError(f"concat_pool=False is an option of head='avgmax'; head={head!r} does not pool so")
    if head == "gem":
        return nn.Sequential(GeM(), *create_head(features, n_classes, lin_ftrs=lin_ftrs, ps=ps, pool=False))
    if isinstance(ps, (list, tuple)) or len(lin_ftrs or [0]) != 1:
        raise ValueError(
            f"ps={ps!r}, lin_ftrs={lin_ftrs!r}: head='attention' has one hidden layer; give one number, and one width such as [512]"
        )
    return AttentionHead(features, n_classes, *(lin_ftrs or []), ps=ps)
