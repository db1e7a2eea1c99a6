"""Several networks as one: the folds of a cross-validation answer together.

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

__all__ = ["PICTURES_AT_ONCE", "Ensemble", "most_in_a_batch"]

PICTURES_AT_ONCE = 256  # through the network: a clip, or a window, may be looked at dozens of times


class Ensemble(nn.Module):
    """Networks of the same input and the same classes. Output (batch, classes): logits of the mean of their probabilities.

    Where a clip has one label these are the log-probabilities of the mean softmax; where it may have several, the logits of the
    mean sigmoid. Neither is ever formed as a probability: what a network is sure of would round to 0 or 1.
    """

    def __init__(self, networks: Sequence[nn.Module], is_multi: bool = False):
        super().__init__()
        if not len(networks):
            raise ValueError("an ensemble of no networks; give one or more")
        self.networks, self.is_multi = nn.ModuleList(networks), bool(is_multi)

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.stack([network(x) for network in self.networks])
        share = math.log(len(self.networks))
        if not self.is_multi:
            return F.log_softmax(logits, dim=-1).logsumexp(dim=0) - share
        # log p and log (1 - p) of the mean p; the shares of both fall out of their difference
        return (-F.softplus(-logits)).logsumexp(dim=0) - (-F.softplus(logits)).logsumexp(dim=0)

    def embed(self, x: Tensor) -> Tensor:
        """(batch, features): the embeddings of all networks side by side, for each lives in a space of its own."""
        return torch.cat([network.embed(x) for network in self.networks], dim=1)

    def __len__(self) -> int:
        return len(self.networks)


def most_in_a_batch(x: torch.Tensor, bs: int) -> int:
    """How many inputs like `x` go through the network together: `bs`, or fewer where each is several pictures."""
    return min(bs, max(1, PICTURES_AT_ONCE // (len(x) if x.ndim == 4 else 1)))
