"""Several networks as one: the mean of the probabilities of a cross-validation's folds.

    net = Ensemble([first, second, third])
    net(x).softmax(-1)          # the mean of the three networks' probabilities

The output stands where a single network's logits do, so that whoever takes a network takes an ensemble: temperature,
thresholds, ONNX.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PICTURES_AT_ONCE = 256  # through the network: a clip may have dozens of windows


class Ensemble(nn.Module):
    """Networks of the same input and the same classes as one: logits of the mean of their probabilities.

    Where a clip has one label these are the log-probabilities of the mean softmax; if it may have several, the logits of the
    mean sigmoid. Neither is ever formed as a probability: one near 0 or 1 would be rounded to it.

    Parameters
    ----------
    networks : sequence of Module
        Each returns logits (batch, classes).
    is_multi : bool, default False
        May a clip have several labels?

    Raises
    ------
    ValueError
        If there is no network.

    Examples
    --------
    >>> import torch
    >>> from specimg.inference import Ensemble
    >>> net = Ensemble([torch.nn.Identity(), torch.nn.Identity()])
    >>> net(torch.zeros(1, 2)).softmax(-1)
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, networks: Sequence[nn.Module], is_multi: bool = False):
        super().__init__()
        if not len(networks):
            raise ValueError("an ensemble of no networks; give one or more")
        self.networks, self.is_multi = nn.ModuleList(networks), bool(is_multi)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the mean probabilities.

        Parameters
        ----------
        x : Tensor
            The networks' input.

        Returns
        -------
        Tensor
            (batch, classes).
        """
        return self._mean([network(x) for network in self.networks])

    @property
    def has_frames(self) -> bool:
        """Whether all networks answer for frames, too."""
        return all(getattr(network, "has_frames", False) for network in self.networks)

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the mean probabilities, of clips and of frames.

        Parameters
        ----------
        x : Tensor
            The networks' input.

        Returns
        -------
        tuple of Tensor
            (batch, classes), and (batch, frames, classes).
        """
        clips, frames = zip(*(network.answers(x) for network in self.networks))
        return self._mean(clips), self._mean(frames)

    def _mean(self, several: Sequence[Tensor]) -> Tensor:
        """Logits of the mean of the probabilities, the classes along the last axis."""
        logits = torch.stack(list(several))
        share = math.log(len(self.networks))
        if not self.is_multi:
            return F.log_softmax(logits, dim=-1).logsumexp(dim=0) - share
        # log p and log (1 - p) of the mean p; the shares of both cancel in their difference
        return (-F.softplus(-logits)).logsumexp(dim=0) - (-F.softplus(logits)).logsumexp(dim=0)

    def embed(self, x: Tensor) -> Tensor:
        """Embeddings of all networks side by side, for each lives in a space of its own.

        Parameters
        ----------
        x : Tensor
            The networks' input.

        Returns
        -------
        Tensor
            (batch, features of all networks).
        """
        return torch.cat([network.embed(x) for network in self.networks], dim=1)

    def __len__(self) -> int:
        return len(self.networks)


def most_in_a_batch(x: torch.Tensor, bs: int) -> int:
    """How many inputs like `x` go through the network together: `bs`, or fewer where each is several pictures."""
    return min(bs, max(1, PICTURES_AT_ONCE // (len(x) if x.ndim == 4 else 1)))
