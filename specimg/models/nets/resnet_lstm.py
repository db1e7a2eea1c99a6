"""An LSTM over the features of an image network, of WWH98932/Audio-Classification-Models.

    create_net("resnet_lstm")                                            # ResNet50; 6 classes, pictures of 128 x 128 pixels
    create_net("resnet_lstm", 10, 3, size=(128, 431))                    # 14 steps of time
    create_net("resnet_lstm", 10, size=(128, 431), backbone="resnet18")  # or another timm network
    create_net("resnet_lstm", 10, size=(128, 431), attention="soft")     # all steps weighted, instead of the last one

Where an image network averages its last map over height and width, here its columns are steps of time. Most networks divide the
width by 32, so this one is for wide pictures. The source's other image network, MobileNetV2, is timm's "mobilenetv2_100".
"""

from __future__ import annotations

from torch import Tensor, nn

from .attention import create_attention
from .backbone import REFUSALS, ChannelsFirst, check_timm_name, create_timm_network
from .base import Net, features_of, net
from .keras_layers import SequenceDropout, as_sequence, start_like_keras
from .separable import SLOPE, SOURCE

UNITS = 64  # of each LSTM, and of the dense layer
SEQUENCE_DROPOUT = 0.25
DROPOUT = 0.5


def _backbone_and_map(name: str, in_chans: int, size: tuple[int, int]) -> tuple[nn.Module, tuple[int, int, int]]:
    """The network, and (features, height, width) of its last map. ValueError if it cannot take such pictures or has no map."""
    check_timm_name(name, "backbone")
    try:
        backbone = create_timm_network(name, in_chans, size, global_pool="")
        if getattr(backbone, "output_fmt", None) == "NHWC":
            backbone = nn.Sequential(backbone, ChannelsFirst())
        shape = features_of(backbone, in_chans, size)
    except REFUSALS as exc:
        raise ValueError(
            f"backbone {name!r} cannot take pictures of {size[0]} x {size[1]} pixels (height x width); set size= of the "
            f"DataLoaders, draw larger ones, or choose another backbone"
        ) from exc
    if len(shape) != 3:
        raise ValueError(
            f"backbone {name!r} has no map of features with an axis of time; choose a convolutional one, such as 'resnet50'"
        )
    return backbone, shape


@net("resnet_lstm", n_classes=6, in_chans=1, size=(128, 128), source=SOURCE)
class ResNetLSTM(Net):
    """An image network without its pooling, two LSTMs of 64, a dense layer of 64, and the classes.

    25,653,638 parameters at 6 classes and 1 channel of 128 x 128 pixels, which are 4 steps of 8,192 features. Keras' ResNet50 has
    biases before its normalisations and strides in other layers; with those biases and its running statistics, and one bias an LSTM
    instead of two, Keras would count 25,732,806. The source gives no count and does not run: it never imports ResNet50. It requests
    a pooling "average", which Keras ignores; here the map goes to the LSTMs, as intended. Weight decay replaces its L2 penalty of
    0.01 on the last layer. timm's initial weights for the backbone, Keras' for the rest.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    backbone : str, default "resnet50"
        A timm network with a map of features; ValueError for an unknown one, and for one without.
    attention : {"soft", "self"}, optional
        A mean over the steps, weighted by attention, instead of the last step; see `attention`. The source has none here.

    References
    ----------
    .. [1] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    def __init__(
        self,
        n_classes: int,
        in_chans: int,
        size: tuple[int, int],
        *,
        backbone: str = "resnet50",
        attention: str | None = None,
    ) -> None:
        super().__init__()
        self.backbone, (channels, rows, steps) = _backbone_and_map(backbone, in_chans, size)
        self.layers = nn.ModuleList(nn.LSTM(n_in, UNITS, batch_first=True) for n_in in (channels * rows, UNITS))
        self.drop = SequenceDropout(SEQUENCE_DROPOUT)
        self.attention = create_attention(attention, UNITS, steps)
        self.dense = nn.Sequential(nn.Linear(UNITS, UNITS), nn.LeakyReLU(SLOPE), nn.Dropout(DROPOUT))
        self.classifier = nn.Linear(UNITS, n_classes)
        for part in (self.layers, self.dense, self.classifier):
            start_like_keras(part)

    def forward(self, x: Tensor) -> Tensor:
        x = as_sequence(self.backbone(x))
        for layer in self.layers:
            x, _ = layer(self.drop(x))
        x = x[:, -1] if self.attention is None else self.attention.summary(x)
        return self.classifier(self.dense(x))
