"""A network for each band of frequencies and one over them all, of WWH98932/Audio-Classification-Models.

    create_net("subspectral_net")                              # 512 rows in 7 bands of 128; 6 classes
    create_net("subspectral_net", 10, size=(128, 431))         # 128 rows in 7 bands of 32
    net = create_net("subspectral_net", 10, size=(128, 431), bands=3)
    net.band_logits(x)                                             # the predictions of each band alone: which frequencies separate the classes

A convolution ignores the position on the frequency axis, though for sounds that matters. Here every band has layers of its own and
must predict the class alone, besides the prediction from all bands together: after Phaye, Benetos and Wang, SubSpectralNet (ICASSP
2019). The predictions of the bands are trained through `extra_loss`, each with the weight of the whole's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from .base import Net, net
from .keras_layers import start_like_keras
from .separable import SLOPE, SOURCE, Stage, blocks, flat_features, shrinkage

BANDS = 7  # 512 rows in bands of 128, step 64
BAND_DENSE = 512
DENSE = (256, 128, 64)
DROPOUT = 0.3


def band_rows(rows: int, bands: int) -> list[slice]:
    """Rows of a picture for each band, from the lowest frequency up; all of one height, and half of it shared with each neighbour.

    Together they cover every row; where the numbers do not divide evenly they overlap a little more. Low frequencies are at the bottom.

    >>> band_rows(512, 7)[:2]
    [slice(384, 512, None), slice(320, 448, None)]
    """
    height = -(-2 * rows // (bands + 1))  # rounded up
    tops = [(rows - height) * i // max(1, bands - 1) for i in range(bands)]
    return [slice(top, top + height) for top in reversed(tops)]


@net(
    "subspectral_net",
    n_classes=6,
    in_chans=1,
    size=(512, 128),
    source=SOURCE + ", after Phaye et al., SubSpectralNet (ICASSP 2019)",
)
class SubSpectralNet(Net):
    """For each band five blocks of convolutions, a dense layer and a prediction; over the bands' dense layers three more and the classes.

    35,209,168 parameters at 6 classes and 1 channel of 512 x 128 pixels; with the 4,480 running statistics of its normalisations Keras
    counts 35,213,648. Made for windows of 128 frames of an STFT with n_fft 1024, whose lowest row the source drops to have 512: set
    size=(512, 128) of the DataLoaders, or keep 513 rows. Weight decay replaces its L2 penalty of 0.01 on the bands' dense layers.
    A triplet loss is commented out there and missing here. Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    bands : int, default 7
        Bands, half overlapping: 3 are bands of half the picture's height, 7 of a quarter, 15 of an eighth.

    References
    ----------
    .. [1] Phaye, Benetos and Wang, "SubSpectralNet: Using sub-spectrogram based convolutional neural networks for acoustic scene
       classification", ICASSP 2019.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    stages = (
        Stage(32, (1, 3), (1, 2)),
        Stage(32, (3, 1), (2, 1)),
        Stage(64, (1, 3), (1, 2)),
        Stage(64, (3, 1), (2, 1)),
        Stage(128, (5, 5), (4, 4)),
    )

    @classmethod
    def check(cls, in_chans: int, size: tuple[int, int], bands: int = BANDS, **options) -> str:
        """Why pictures do not fit, as in the base class; a band has to be as high as its poolings divide by."""
        if bands < 1:
            return f"bands={bands}; 1 or more are needed"
        lowest, narrowest = shrinkage(cls.stages)
        fewest = (lowest - 1) * (bands + 1) // 2 + 1  # rows that make bands of this height, see band_rows
        if size[0] < fewest or size[1] < narrowest:
            return (
                f"for {bands} bands it takes pictures of {fewest} x {narrowest} pixels (height x width) or more; "
                f"set size= of the DataLoaders, draw larger ones, or ask for fewer bands"
            )
        return ""

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, bands: int = BANDS) -> None:
        super().__init__()
        self.rows = band_rows(size[0], bands)
        features = flat_features(self.stages, (self.rows[0].stop - self.rows[0].start, size[1]))
        self.bands = nn.ModuleList(
            nn.Sequential(
                blocks(in_chans, self.stages), nn.Flatten(), nn.Linear(features, BAND_DENSE), nn.LeakyReLU(SLOPE)
            )
            for _ in self.rows
        )
        self.band_classifiers = nn.ModuleList(nn.Linear(BAND_DENSE, n_classes) for _ in self.rows)
        widths = (bands * BAND_DENSE, *DENSE)
        dense = [
            layer
            for n_in, n_out in zip(widths, widths[1:])
            for layer in (nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(DROPOUT))
        ]
        self.dense = nn.Sequential(*dense)
        self.classifier = nn.Linear(widths[-1], n_classes)
        self._predictions: list[Tensor] = []  # of the last batch in training, until extra_loss takes them
        start_like_keras(self)

    def _encode(self, x: Tensor) -> list[Tensor]:
        """The dense layer of each band: (batch, 512) tensors."""
        return [band(x[:, :, rows]) for band, rows in zip(self.bands, self.rows)]

    def _predict(self, encoded: list[Tensor]) -> list[Tensor]:
        return [classifier(one) for classifier, one in zip(self.band_classifiers, encoded)]

    def forward(self, x: Tensor) -> Tensor:
        encoded = self._encode(x)
        if self.training:
            self._predictions = self._predict(encoded)
        return self.classifier(self.dense(torch.cat(encoded, 1)))

    def band_logits(self, x: Tensor) -> Tensor:
        """Logits of each band alone, from the lowest up: (batch, bands, n_classes)."""
        return torch.stack(self._predict(self._encode(x)), 1)

    def extra_loss(self, loss_func: Callable, *targets: Tensor) -> Tensor | None:
        """The sum of the bands' losses, once for each batch."""
        predictions, self._predictions = self._predictions, []
        return sum(loss_func(logits, *targets) for logits in predictions) if predictions else None

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The dense layer of each band, "band1" the lowest."""
        return {f"band{i}": band for i, band in enumerate(self.bands, 1)}
