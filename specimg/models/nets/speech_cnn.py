"""A plain convolutional network for the 35 words of Speech Commands, of thanhtvt/SpeechCommands_Recognition.

    net = create_net("speech_cnn")                     # 35 words, grey pictures of 32 x 32 pixels; 13,000,803 parameters
    net = create_net("speech_cnn", 10, size=(64, 64))  # four times the picture: 59 million in the first dense layer alone

There is one pooling only, so the first dense layer grows with the picture's area: draw small pictures for it, or set size=(32, 32)
of the DataLoaders.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Net, features_of, net


@net("speech_cnn", n_classes=35, in_chans=1, size=(32, 32), source="thanhtvt/SpeechCommands_Recognition")
class SpeechCNN(Net):
    """Two 3 x 3 convolutions without padding, one pooling, and three dense layers.

    13,000,803 parameters at 35 classes and 1 channel of 32 x 32 pixels, to which the source brings mel spectrograms of 128 bands.
    As there only dropout is between the dense layers, which makes them one linear map; PyTorch's own initial weights. The
    source ends in log-softmax, this in logits, for the same loss.

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
    .. [1] thanhtvt, "SpeechCommands_Recognition", GitHub.
    """

    smallest = (6, 6)  # two convolutions take 4 pixels, the pooling takes pairs

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv2d(in_chans, 32, 3),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout(0.25),
            nn.Flatten(),
        )
        (features,) = features_of(self.convs, in_chans, size)
        self.dense = nn.Sequential(nn.Linear(features, 1024), nn.Dropout(0.3), nn.Linear(1024, 128), nn.Dropout(0.4))
        self.classifier = nn.Linear(128, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dense(self.convs(x)))
