"""Attention over the steps of a sequence, for the output of a recurrent layer.

    attention = create_attention("soft", features=256, steps=300)     # or "self"; None gives None
    attention(x)             # (batch, steps, features): each step weighted, or a mixture of all steps
    attention.summary(x)     # (batch, features): the whole sequence in one vector
    attention.weights(x)     # for inspection: (batch, steps), for "self" (batch, steps, steps)

Both are in WWH98932/Audio-Classification-Models (2020), in lines that are commented out: the first is its own, the second that of
CyberZHG/keras-self-attention with a sigmoid. Its text reports, without numbers, that attention helps after recurrent layers and not
always after convolutions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...core.values import choose


class SoftAttention(nn.Module):
    """Each step weighted by the softmax over time of tanh(x w + b), with one w for all steps and a bias b for each step.

    Parameters
    ----------
    features : int
        Features of each step.
    steps : int
        Length of the sequences; since every step has its own bias, no other length fits.
    """

    def __init__(self, features: int, steps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(features).normal_(std=0.05))  # Keras' "normal"
        self.bias = nn.Parameter(torch.zeros(steps))

    def weights(self, x: Tensor) -> Tensor:
        """(batch, steps), summing to 1. ValueError for sequences of another length."""
        if x.shape[1] != len(self.bias):
            raise ValueError(
                f"soft attention was made for {len(self.bias)} steps, each with its own bias, and got {x.shape[1]}; "
                f"make the network with the size of its pictures, or use attention='self'"
            )
        return torch.tanh(x @ self.weight + self.bias).softmax(1)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)[..., None]

    def summary(self, x: Tensor) -> Tensor:
        """The weighted mean of the steps."""
        return self(x).sum(1)


class SelfAttention(nn.Module):
    """Additive self-attention: each step t becomes a mixture of all steps s, weighted by softmax of sigmoid(v tanh(x_t W + x_s U + h) + a).

    Memory grows with batch * steps * steps * units.

    Parameters
    ----------
    features : int
        Features of each step.
    units : int, default 32
        Width of the hidden layer, as in keras-self-attention.
    """

    def __init__(self, features: int, units: int = 32) -> None:
        super().__init__()
        self.ask = nn.Parameter(nn.init.xavier_normal_(torch.empty(features, units)))
        self.offer = nn.Parameter(nn.init.xavier_normal_(torch.empty(features, units)))
        self.ask_bias = nn.Parameter(torch.zeros(units))
        self.score = nn.Parameter(nn.init.xavier_normal_(torch.empty(units, 1)))
        self.score_bias = nn.Parameter(torch.zeros(1))

    def weights(self, x: Tensor) -> Tensor:
        """(batch, steps, steps): the weight of step s (third axis) in step t (second axis), summing to 1 over s."""
        pairs = torch.tanh((x @ self.ask)[:, :, None] + (x @ self.offer)[:, None] + self.ask_bias)
        return torch.sigmoid((pairs @ self.score)[..., 0] + self.score_bias).softmax(-1)

    def forward(self, x: Tensor) -> Tensor:
        return self.weights(x) @ x

    def summary(self, x: Tensor) -> Tensor:
        """The mean of the mixtures."""
        return self(x).mean(1)


_ATTENTIONS = {"soft": SoftAttention, "self": lambda features, steps: SelfAttention(features)}


def list_attentions() -> list[str]:
    """Names that `create_attention` and `attention=` of recurrent networks take."""
    return sorted(_ATTENTIONS)


def create_attention(name: str | None, features: int, steps: int) -> nn.Module | None:
    """The attention of this name for sequences (batch, steps, features); None for None. ValueError for an unknown name."""
    return None if name is None else _ATTENTIONS[choose(name, _ATTENTIONS, "attention")](features, steps)
