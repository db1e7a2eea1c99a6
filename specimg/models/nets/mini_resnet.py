"""A small residual network for one-second words, of xValentim/mini-audio-classifier.

net = create_net("mini_resnet")                          # 8 words, pictures of 201 x 101 pixels; 227,944 parameters
net = create_net("mini_resnet", 10, 3, size=(128, 128))  # other data; the picture's size changes no layer
net.heads                                                # its two embeddings of 64 numbers
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Net, net

FILTERS = (16, 32, 64, 64, 64)  # of the five stages
DROPOUT = 0.5


class Residual(nn.Module):
    """Two 3 x 3 convolutions and a shortcut, which is a 1 x 1 convolution where the number of channels changes."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
            nn.ReLU(),
            nn.Conv2d(n_out, n_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(n_out),
        )
        self.way_round = (
            nn.Identity()
            if n_in == n_out
            else nn.Sequential(nn.Conv2d(n_in, n_out, 1, bias=False), nn.BatchNorm2d(n_out))
        )

    def forward(self, x: Tensor) -> Tensor:
        return (self.convs(x) + self.way_round(x)).relu()


def _stage(n_in: int, n_out: int) -> nn.Sequential:
    return nn.Sequential(Residual(n_in, n_out), nn.BatchNorm2d(n_out), nn.ReLU(), nn.MaxPool2d(2))


@net("mini_resnet", n_classes=8, in_chans=1, size=(201, 101), source="xValentim/mini-audio-classifier")
class MiniResNet(Net):
    """Five residual stages, each halving the picture, a global maximum, and two dense layers.

    227,944 parameters at 8 classes and 1 channel. Made for Mini Speech Commands: STFTs of 400 samples, hop 160, at 16 kHz. The
    source uses the signed real part of the STFT where its text has spectrograms; here it is what the pictures show. PyTorch's
    own initial weights, as there.

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
    .. [1] xValentim, "mini-audio-classifier", GitHub.
    """

    smallest = (2 ** len(FILTERS), 2 ** len(FILTERS))  # each stage halves

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.stages = nn.Sequential(*(_stage(n_in, n_out) for n_in, n_out in zip((in_chans, *FILTERS), FILTERS)))
        self.pool = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten())
        self.drop = nn.Dropout(DROPOUT)
        self.dense = nn.Linear(FILTERS[-1], FILTERS[-1])
        self.classifier = nn.Linear(FILTERS[-1], n_classes)

    def forward(self, x: Tensor) -> Tensor:
        pooled = self.pool(self.stages(x))
        return self.classifier(self.dense(self.drop(pooled)).relu())

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The two embeddings that the source maps with t-SNE: "head1", pooled, and "head2", the dense layer before its ReLU."""
        return {"head1": self.pool, "head2": self.dense}
