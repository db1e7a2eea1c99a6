"""A classifier that also reconstructs its input: autoencoder and classifier in one, of WWH98932/Audio-Classification-Models.

    net = create_net("joint_autoencoder")                                     # 6 classes, pictures of 128 x 128 pixels
    net = create_net("joint_autoencoder", 10, 3, size=(128, 431), reconstruction=10.0)
    net.reconstruct(x)                                                        # pictures of 0 to 1; compare unit_range(x)
    net.heads["code"]                                                         # the layer of 64 features between the two halves

What is needed for the reconstruction cannot be discarded, so that a code learnt from few labels still represents the sounds. The
source trains the autoencoder first and the classifier on its finished code, though its text (after music2vec, Srinivasa and Hebbar,
2017) calls that joint; here both are trained at once, with the loss of the labels plus, through `extra_loss`, the reconstruction error.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.nn.functional import mse_loss

from .base import Net, net
from .keras_layers import KERAS_NORM, start_like_keras
from .separable import SOURCE

FILTERS = (16, 32, 64, 128)
SLOPE = 0.1
PATCH = 2 ** len(FILTERS)  # pixels a side, after as many poolings; the code has one feature for each patch


def unit_range(x: Tensor) -> Tensor:
    """Each channel of each picture (batch, channels, height, width) scaled to 0 to 1; a constant channel becomes 0.

    Unaffected by a normalisation by mean and standard deviation.
    """
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    return (x - low) / span.masked_fill(span == 0, 1.0)


def _convolution(n_in: int, n_out: int, *behind: nn.Module) -> nn.Sequential:
    """3 x 3, normalised, followed by `behind`."""
    return nn.Sequential(nn.Conv2d(n_in, n_out, 3, padding=1), nn.BatchNorm2d(n_out, **KERAS_NORM), *behind)


@net(
    "joint_autoencoder",
    n_classes=6,
    in_chans=1,
    size=(128, 128),
    source=SOURCE + ", after Srinivasa and Hebbar, music2vec (2017)",
)
class JointAutoencoder(Net):
    """Four convolutions with poolings, a code, four convolutions with upsampling back to the picture; beside them the classes.

    727,209 parameters at 6 classes and 1 channel of 128 x 128 pixels: 720,771 of the autoencoder, for which Keras counts 721,733 with
    962 running statistics, and 6,438 of the classifier. That is three dense layers without activation, as in the source. The code has
    a feature for each 16 x 16 pixels, 64 here; where sides are not multiples of 16, the poolings round up and the reconstruction is cut.
    It ends in a sigmoid and is compared, by mean squared error, with `unit_range` of the picture. The source does not give the range of
    what it compares. Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    reconstruction : float, default 1
        Weight of the reconstruction error beside the loss of the labels, 0 (not trained) or more. The source gives none; at 1 the
        labels dominate, since the error of a picture is soon below 0.25.

    References
    ----------
    .. [1] Srinivasa and Hebbar, "music2vec", 2017.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, reconstruction: float = 1.0) -> None:
        super().__init__()
        if not reconstruction >= 0:
            raise ValueError(
                f"reconstruction={reconstruction}; the weight of the reconstruction error is 0 (off) or more"
            )
        self.reconstruction = reconstruction
        patches = -(-size[0] // PATCH), -(-size[1] // PATCH)  # rounded up
        code = patches[0] * patches[1]
        halve = partial(nn.MaxPool2d, 2, ceil_mode=True)  # ceil_mode is Keras' "same"
        sides = zip((in_chans, *FILTERS), FILTERS)
        layers = [_convolution(n_in, n_out, nn.LeakyReLU(SLOPE), halve()) for n_in, n_out in sides]
        self.encoder = nn.Sequential(*layers, nn.Flatten())
        self.code = nn.Sequential(nn.Linear(FILTERS[-1] * code, code), nn.LeakyReLU(SLOPE))
        back = FILTERS[::-1]
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (1, *patches)),
            *(
                _convolution(n_in, n_out, nn.LeakyReLU(SLOPE), nn.Upsample(scale_factor=2))
                for n_in, n_out in zip((1, *back), back)
            ),
            _convolution(back[-1], in_chans, nn.Sigmoid()),
        )
        self.dense = nn.Sequential(nn.Linear(code, 64), nn.Linear(64, 32))
        self.classifier = nn.Linear(32, n_classes)
        self._error: Tensor | None = None  # of the last batch in training, until extra_loss takes it
        start_like_keras(self)

    def _decode(self, code: Tensor, size: tuple[int, int]) -> Tensor:
        return self.decoder(code)[:, :, : size[0], : size[1]]

    def forward(self, x: Tensor) -> Tensor:
        code = self.code(self.encoder(x))
        if self.training and self.reconstruction:
            self._error = mse_loss(self._decode(code, x.shape[2:]), unit_range(x))
        return self.classifier(self.dense(code))

    def reconstruct(self, x: Tensor) -> Tensor:
        """The reconstructions of pictures: of their shape, 0 to 1, to be compared with `unit_range(x)`."""
        return self._decode(self.code(self.encoder(x)), x.shape[2:])

    def extra_loss(self, loss_func: Callable, *targets: Tensor) -> Tensor | None:
        """The mean squared reconstruction error times its weight, once for each batch; the labels are not used."""
        error, self._error = self._error, None
        return None if error is None else self.reconstruction * error

    @property
    def heads(self) -> dict[str, nn.Module]:
        """The "code": 64 features for 128 x 128 pixels."""
        return {"code": self.code}
