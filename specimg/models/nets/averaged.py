"""Networks on a clip's average over time, of WWH98932/Audio-Classification-Models.

    create_net("feature_mlp")                              # 6 classes; the mean spectrum of 257 STFT bins
    create_net("feature_mlp", 10, size=(128, 400))         # of 128 mel bands; the number of columns changes nothing
    create_net("feature_cnn")                              # 6 classes; five features of 40 rows side by side
    create_net("feature_cnn", 10, 4, size=(40, 400))       # of a Stack, which holds up to four

They take the same pictures as all others and average them themselves, so that one tree serves every network. They are fast
baselines that ignore the order of events: a picture reversed in time gives the same result.
"""

from __future__ import annotations

from torch import Tensor, nn

from .base import Net, net
from .keras_layers import start_like_keras

SOURCE = "WWH98932/Audio-Classification-Models (2020)"
FRAMES = 128  # the source averages clips of any length; a picture needs some width


@net("feature_mlp", n_classes=6, in_chans=1, size=(257, FRAMES), source=SOURCE)
class FeatureMLP(Net):
    """Six dense layers, 256 to 32 wide, over the mean of each row.

    191,782 parameters at 6 classes and 257 rows, the bins of `Stft(n_fft=512, hop_length=256)`; 158,758 at 128 rows, those of
    `Mel(n_mels=128)`. Channels are concatenated. The source averages magnitudes and divides each clip by its largest; here pixels are
    averaged, so decibels where the picture shows them, and ref="max" of the representation removes the loudness. Its other summary, the
    first principal component instead of the mean, is not implemented, and weight decay replaces its L2 penalty of 0.01 on the last
    layer. Keras' initial weights.

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
    .. [1] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    WIDTHS = (256, 256, 128, 128, 64, 32)

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        widths = (in_chans * size[0], *self.WIDTHS)
        layers = [layer for n_in, n_out in zip(widths, widths[1:]) for layer in (nn.Linear(n_in, n_out), nn.ReLU())]
        self.dense = nn.Sequential(*layers, nn.Dropout(0.5))
        self.classifier = nn.Linear(widths[-1], n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dense(x.mean(-1).flatten(1)))


@net("feature_cnn", n_classes=6, in_chans=5, size=(40, FRAMES), source=SOURCE)
class FeatureCNN(Net):
    """Two 5 x 5 convolutions over a small picture, rows by features, whose columns are the means of the channels.

    996,870 parameters at 6 classes and 40 x 5. The five features of the source are 40 MFCCs, 40 mel bands up to 8 kHz, and chroma in
    40 classes three times: of the STFT, of the constant-Q transform, and smoothed (CENS). It lays them out as 40 x 5 by reshaping 5 x 40,
    which mixes rows and features; here a feature is a column, a channel of the picture. Use a `Stack` of features with 40 rows each,
    such as `Stack(Mfcc(n_mfcc=40), Mel(n_mels=40, fmax=8000))` with chroma in 40 classes. A Stack holds four: of the five omit CENS,
    whose smoothing over time is lost in the average. Fewer channels make the small picture narrower. Keras' initial weights.

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
    .. [1] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = size[0], in_chans
        self.convs = nn.Sequential(
            nn.Conv2d(1, 64, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),  # ceil_mode is Keras' "same"
            nn.Conv2d(64, 128, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Dropout(0.3),
            nn.Flatten(),
        )
        features = 128 * -(-rows // 4) * -(-columns // 4)  # each pooling halves, and rounds up
        self.dense = nn.Sequential(
            nn.Linear(features, 256), nn.ReLU(), nn.Dropout(0.3), nn.Linear(256, 512), nn.ReLU(), nn.Dropout(0.3)
        )
        self.classifier = nn.Linear(512, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        small = x.mean(-1).transpose(1, 2)[:, None]  # (batch, 1, rows, channels)
        return self.classifier(self.dense(self.convs(small)))
