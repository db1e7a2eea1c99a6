"""The three-convolution network for spoken digits of TomZhuA1/Speech-Recognition-Transfer-Learning.

    net = create_net("digits_cnn")                     # 10 words, grey pictures of 75 x 75 pixels
    net = create_net("digits_cnn", 12, size=(64, 64))  # the first dense layer grows with the picture

The source compares it with ResNet50 and InceptionV3, which are "resnet50" and "inception_v3" of timm.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Net, features_of, net
from .keras_layers import KERAS_NORM, start_like_keras

DROPOUT = 0.5


def _convolution(n_in: int, n_out: int, kernel: int) -> list[nn.Module]:
    """Without padding; normalised after the ReLU."""
    return [nn.Conv2d(n_in, n_out, kernel), nn.ReLU(), nn.BatchNorm2d(n_out, **KERAS_NORM)]


def _dense(n_in: int, n_out: int) -> list[nn.Module]:
    return [nn.Linear(n_in, n_out), nn.ReLU(), nn.BatchNorm1d(n_out, **KERAS_NORM), nn.Dropout(DROPOUT)]


@net("digits_cnn", n_classes=10, in_chans=1, size=(75, 75), source="TomZhuA1/Speech-Recognition-Transfer-Learning")
class DigitsCNN(Net):
    """Convolutions of 4 x 4, 3 x 3 and 3 x 3, one pooling, and three dense layers.

    17,832,354 parameters at 10 classes and 1 channel of 75 x 75 pixels; with the 784 running statistics of its normalisations Keras
    counts 17,833,138. Made for the TensorFlow Speech Recognition Challenge: one second at 16 kHz as 75 mel bands with hop 214, each
    band divided by the sum of its absolute decibels. Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.

    References
    ----------
    .. [1] TomZhuA1, "Speech-Recognition-Transfer-Learning", GitHub.
    """

    smallest = (9, 9)  # three convolutions take 7 pixels, the pooling takes pairs

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            *_convolution(in_chans, 32, 4),
            *_convolution(32, 48, 3),
            *_convolution(48, 120, 3),
            nn.MaxPool2d(2),
            nn.Dropout(DROPOUT),
            nn.Flatten(),
        )
        (features,) = features_of(self.convs, in_chans, size)
        self.dense = nn.Sequential(*_dense(features, 128), *_dense(128, 64))
        self.classifier = nn.Linear(64, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dense(self.convs(x)))
