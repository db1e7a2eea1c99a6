"""What Keras does differently from PyTorch, for networks whose source is written in Keras.

    self.norm = nn.BatchNorm2d(32, **KERAS_NORM)      # Keras' epsilon
    self.drop = SequenceDropout(0.25)                 # what LSTM(dropout=0.25) does to its input
    start_like_keras(self)                            # at the end of __init__: Keras' initial weights

Two differences remain, which change counts but not results. Keras counts the running mean and variance of batch normalisation
as parameters that are not trained; here they are buffers. An LSTM has one bias vector there and two here, which are always
added: a layer of `units` cells has 4 * units parameters more, in each direction.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Keras' epsilon is 0.001. Its momentum of 0.99 (0.01 in PyTorch's terms) is not used: after a hundred updates the running mean and variance
# are still a third of the way back at 0 and 1, and a well-trained network fails at validation.
KERAS_NORM = {"eps": 1e-3}


def as_sequence(x: Tensor) -> Tensor:
    """A picture as a sequence: (batch, channels, height, width) to (batch, width, channels * height)."""
    return x.flatten(1, 2).transpose(1, 2)


class SequenceDropout(nn.Module):
    """Dropout of a feature for the whole sequence (batch, steps, features), as `dropout` of Keras' recurrent layers on their input."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout1d(p)

    def forward(self, x: Tensor) -> Tensor:
        return self.drop(x.transpose(1, 2)).transpose(1, 2)


def _start_lstm(lstm: nn.LSTM) -> None:
    """Glorot for the input, orthogonal for the state, bias 1 for the forget gate, else 0 (order of gates: input, forget, cell, output)."""
    for name, parameter in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(parameter)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(parameter)
        else:
            nn.init.zeros_(parameter)
        if name.startswith("bias_ih"):
            with torch.no_grad():
                parameter[lstm.hidden_size : 2 * lstm.hidden_size] = 1.0


def start_like_keras(net: nn.Module) -> None:
    """Initialise dense, convolution and LSTM layers as Keras does: Glorot uniform weights, zero biases."""
    for layer in net.modules():
        if isinstance(layer, nn.LSTM):
            _start_lstm(layer)
        elif isinstance(layer, (nn.Linear, nn.Conv1d, nn.Conv2d)):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
