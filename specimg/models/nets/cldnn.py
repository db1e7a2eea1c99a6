"""Convolutions, then LSTMs, then dense layers (CLDNN), of WWH98932/Audio-Classification-Models.

    create_net("cldnn")                                        # 6 classes, pictures of 128 x 128 pixels
    create_net("cldnn", 10, 3, size=(128, 431))                # the LSTMs read 107 steps, a quarter of the columns
    create_net("cldnn", 10, size=(64, 128), attention="soft")  # attention between the two LSTMs

The convolutions detect short patterns and shrink the picture, the LSTMs read the result from left to right and from right to left.
The order of layers is that of Sainath et al., Convolutional, Long Short-Term Memory, Fully Connected Deep Neural Networks (ICASSP 2015).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .attention import create_attention
from .base import Net, net
from .keras_layers import SequenceDropout, as_sequence, start_like_keras
from .separable import SOURCE, Stage, blocks, flat_features, shrinkage

UNITS = 128  # of an LSTM, in each direction
DROPOUT = 0.25  # of the LSTMs' input
DENSE = 64
CONV_STD = 0.05  # of the convolutions' initial weights, which are normal and not Glorot's in this network


@net("cldnn", n_classes=6, in_chans=1, size=(128, 128), source=SOURCE)
class CLDNN(Net):
    """Three blocks of convolutions, 1 x 3 along time, 3 x 1 along frequency and 3 x 3, two LSTMs in both directions, a dense layer.

    2,713,766 parameters at 6 classes and 1 channel of 128 x 128 pixels, of which 2,048 are the LSTMs' second biases: with 256 running
    statistics Keras counts 2,711,974. Made for windows of 128 frames of an STFT or a mel spectrogram; after the blocks these are 32
    steps of 2,048 features. The source's text describes an earlier version with three convolutions and LSTMs in one direction. The last
    states of both directions are used: each has read the whole sequence. The dense layer has no activation, as there; weight decay
    replaces the L2 penalty of 1e-4 on the last layer. Initial weights as there.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    attention : {"soft", "self"}, optional
        Attention between the two LSTMs, where the source has both kinds in lines that are commented out; see `attention`.

    References
    ----------
    .. [1] Sainath et al., "Convolutional, long short-term memory, fully connected deep neural networks", ICASSP 2015.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    stages = (Stage(32, (1, 3), (1, 2)), Stage(32, (3, 1), (2, 1)), Stage(64, (3, 3), (2, 2)))
    smallest = shrinkage(stages)

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, attention: str | None = None) -> None:
        super().__init__()
        steps = size[1] // self.smallest[1]
        self.convs = blocks(in_chans, self.stages)
        self.drop = SequenceDropout(DROPOUT)
        self.first = nn.LSTM(flat_features(self.stages, size) // steps, UNITS, batch_first=True, bidirectional=True)
        self.attention = create_attention(attention, 2 * UNITS, steps)
        self.second = nn.LSTM(2 * UNITS, UNITS, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * UNITS, DENSE)
        self.classifier = nn.Linear(DENSE, n_classes)
        start_like_keras(self)
        for layer in self.convs.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=CONV_STD)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.first(self.drop(as_sequence(self.convs(x))))
        if self.attention is not None:
            x = self.attention(x)
        _, (last, _) = self.second(self.drop(x))
        # forward at the end, backward at the beginning
        return self.classifier(self.dense(torch.cat([last[0], last[1]], 1)))
