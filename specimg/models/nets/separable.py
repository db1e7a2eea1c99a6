"""Convolutional networks with kernels along time and along frequency in turn, of WWH98932/Audio-Classification-Models.

    create_net("separable_cnn")                            # one spectrogram of 128 x 128 pixels; 6 classes
    create_net("separable_cnn", 10, size=(64, 256))        # the first dense layer grows with the picture
    create_net("multichannel_cnn")                         # a Stack of four, 128 rows and 256 columns; 6 classes
    create_net("multichannel_cnn", 50, 3, size=(128, 512)) # at least 256 columns: its poolings divide time by 256

A kernel of 1 x 3 spans neighbouring frames at one frequency, one of 3 x 1 neighbouring frequencies in one frame, and either has a
third of the weights of 3 x 3. Both networks follow Sharma, Granmo and Goodwin, Environment Sound Classification using Multiple Feature
Channels and Attention based Deep Convolutional Neural Network (Interspeech 2020), without its attention. `block` is also what "cldnn"
and "subspectral_net" of the same author are built of.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from torch import Tensor, nn

from .base import Net, net
from .keras_layers import KERAS_NORM, start_like_keras

SOURCE = "WWH98932/Audio-Classification-Models (2020)"
SLOPE = 0.01  # of every LeakyReLU
DENSE = 512
DROPOUT = 0.5


class Stage(NamedTuple):
    """A block in numbers; kernel and pool are (height, width), that is (frequency, time)."""

    filters: int
    kernel: tuple[int, int]
    pool: tuple[int, int]


def block(n_in: int, stage: Stage) -> nn.Sequential:
    """Two convolutions and one of 1 x 1, each followed by a LeakyReLU; batch normalisation; a pooling that drops incomplete windows."""
    own, padding = stage.filters, (stage.kernel[0] // 2, stage.kernel[1] // 2)
    return nn.Sequential(
        nn.Conv2d(n_in, own, stage.kernel, padding=padding),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(own, own, stage.kernel, padding=padding),
        nn.LeakyReLU(SLOPE),
        nn.Conv2d(own, own, 1),
        nn.LeakyReLU(SLOPE),
        nn.BatchNorm2d(own, **KERAS_NORM),
        nn.MaxPool2d(stage.pool),
    )


def blocks(in_chans: int, stages: tuple[Stage, ...]) -> nn.Sequential:
    """One block a stage."""
    widths = (in_chans, *(stage.filters for stage in stages))
    return nn.Sequential(*(block(n_in, stage) for n_in, stage in zip(widths, stages)))


def shrinkage(stages: tuple[Stage, ...]) -> tuple[int, int]:
    """Factor by which the poolings divide a picture's height and width, which is also the smallest picture that fits."""
    return prod(stage.pool[0] for stage in stages), prod(stage.pool[1] for stage in stages)


def flat_features(stages: tuple[Stage, ...], size: tuple[int, int]) -> int:
    """Features of a picture of `size` after its blocks, flattened."""
    down, across = shrinkage(stages)
    return stages[-1].filters * (size[0] // down) * (size[1] // across)


class _Separable(Net):
    """Blocks, a dense layer, and the classes. A subclass defines its `stages`."""

    stages: tuple[Stage, ...]

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.convs = nn.Sequential(blocks(in_chans, self.stages), nn.Flatten())
        self.dense = nn.Sequential(
            nn.Linear(flat_features(self.stages, size), DENSE), nn.LeakyReLU(SLOPE), nn.Dropout(DROPOUT)
        )
        self.classifier = nn.Linear(DENSE, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dense(self.convs(x)))


@net(
    "separable_cnn",
    n_classes=6,
    in_chans=1,
    size=(128, 128),
    source=SOURCE + ", after Sharma et al. (Interspeech 2020)",
)
class SeparableCNN(_Separable):
    """Two pairs of blocks, 1 x 3 along time and 3 x 1 along frequency, then two blocks of 3 x 3 (`sfc_dcnn` in the source).

    9,645,478 parameters at 6 classes and 1 channel of 128 x 128 pixels; with the 1,152 running statistics of its normalisations Keras
    counts 9,646,630. Made for windows of 128 frames of a spectrogram, mel or STFT. The order of axes is that of the source's code,
    whose pictures have frequency in rows; its text assigns the 1 x 3 kernels to frequency. Weight decay replaces its L2 penalty of 0.01
    on the last layer. Keras' initial weights.

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
    .. [1] Sharma, Granmo and Goodwin, "Environment sound classification using multiple feature channels and attention based deep
       convolutional neural network", Interspeech 2020.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    stages = (
        Stage(32, (1, 3), (1, 2)),
        Stage(32, (3, 1), (2, 1)),
        Stage(64, (1, 3), (1, 2)),
        Stage(64, (3, 1), (2, 1)),
        Stage(128, (3, 3), (2, 2)),
        Stage(256, (3, 3), (2, 2)),
    )
    smallest = shrinkage(stages)


@net(
    "multichannel_cnn",
    n_classes=6,
    in_chans=4,
    size=(128, 256),
    source=SOURCE + ", after Sharma et al. (Interspeech 2020)",
)
class MultichannelCNN(_Separable):
    """Two pairs of blocks, 3 along frequency and 5 along time, then two blocks of 3 x 5 (`mfc_dcnn` in the source).

    3,063,494 parameters at 6 classes and 4 channels of 128 x 256 pixels; with the 1,152 running statistics of its normalisations Keras
    counts 3,064,646. Made for four features of 128 rows in 8.18 seconds at 16 kHz with hop 512: chroma of the STFT, chroma of the
    constant-Q transform, MFCC and GFCC, the channels of a `Stack`. The source's pictures are 256 x 128, time in rows; here every kernel
    and pooling is transposed with them, so that size is (128, 256). The poolings divide time by 256 and frequency by 16: a shorter
    picture is refused. L2 and initial weights as for "separable_cnn".

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
    .. [1] Sharma, Granmo and Goodwin, "Environment sound classification using multiple feature channels and attention based deep
       convolutional neural network", Interspeech 2020.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    stages = (
        Stage(32, (3, 1), (2, 1)),
        Stage(32, (1, 5), (1, 4)),
        Stage(64, (3, 1), (2, 1)),
        Stage(64, (1, 5), (1, 4)),
        Stage(128, (3, 5), (2, 4)),
        Stage(256, (3, 5), (2, 4)),
    )
    smallest = shrinkage(stages)
