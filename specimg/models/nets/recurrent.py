"""The LSTMs over spectrograms of WWH98932/Audio-Classification-Models: a picture is read column by column, from left to right.

    create_net("lstm")                                          # one layer of 256; 8 classes, 300 columns of 120 bins
    create_net("lstm", 6, size=(128, 128), stacked=True)        # three layers, 128, 128 and 64
    create_net("recurrent", 10, 3, size=(128, 431))             # two layers of 128, small dense layers at every step
    create_net("lstm", 10, size=(64, 100), attention="soft")    # all steps weighted, instead of the last one

The source has three such networks under two names. Its text and figure describe one LSTM of 256 cells and a dense layer of 64:
"lstm". Its code has a successor with three LSTMs, here `stacked=True`, and one that uses every step: "recurrent".
"""

from __future__ import annotations

from torch import Tensor, nn

from .attention import create_attention
from .base import Net, net
from .keras_layers import SequenceDropout, as_sequence, start_like_keras

SOURCE = "WWH98932/Audio-Classification-Models (2020)"


def _lstms(n_in: int, units: tuple[int, ...]) -> nn.ModuleList:
    return nn.ModuleList(nn.LSTM(below, own, batch_first=True) for below, own in zip((n_in, *units), units))


@net("lstm", n_classes=8, in_chans=1, size=(120, 300), source=SOURCE + ", after Srinivasa and Hebbar, music2vec (2017)")
class LSTMNet(Net):
    """LSTM, a dense layer, and the classes, from the last step.

    404,040 parameters at 8 classes and 120 rows, of which 1,024 are the LSTM's second bias: Keras would count 403,016. The figure has
    300 steps of 120 bins, the text 128 bins. Neither gives an activation of the dense layer; as in the source's code it has none.
    Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    stacked : bool, default False
        The network of the source's code (`baseline_lstm`) instead: LSTMs of 128, 128 and 64, the input of the first two with
        dropout of 0.1, and a dense layer of 128. 322,950 parameters at 6 classes and 128 rows; Keras counts 321,670.
    attention : {"soft", "self"}, optional
        A mean over the steps, weighted by attention, instead of the last step; see `attention`.

    References
    ----------
    .. [1] Srinivasa and Hebbar, "music2vec", 2017.
    .. [2] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    def __init__(
        self,
        n_classes: int,
        in_chans: int,
        size: tuple[int, int],
        *,
        stacked: bool = False,
        attention: str | None = None,
    ) -> None:
        super().__init__()
        rows, steps = size
        units, dense, dropout = ((128, 128, 64), 128, 0.1) if stacked else ((256,), 64, 0.0)
        self.layers = _lstms(in_chans * rows, units)
        self.drop = SequenceDropout(dropout)
        self.attention = create_attention(attention, units[-1], steps)
        self.dense = nn.Linear(units[-1], dense)
        self.classifier = nn.Linear(dense, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        x = as_sequence(x)
        for layer in self.layers[:-1]:
            x, _ = layer(self.drop(x))
        x, _ = self.layers[-1](x)
        x = x[:, -1] if self.attention is None else self.attention.summary(x)
        return self.classifier(self.dense(x))


@net("recurrent", n_classes=6, in_chans=1, size=(128, 128), source=SOURCE)
class RecurrentNet(Net):
    """Two LSTMs of 128, then at every step dense layers of 64, 32, 16 and 8, and the classes over all steps at once.

    281,342 parameters at 6 classes, 128 rows and 128 columns, of which 1,024 are the LSTMs' second biases: Keras counts 280,318. The last
    layer grows with the picture's width. Weight decay replaces the source's L2 penalty of 0.01 on it. Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the pictures.
    size : tuple of int
        Height and width of the pictures in pixels.
    attention : {"soft", "self"}, optional
        Attention after the LSTMs; see `attention`.

    References
    ----------
    .. [1] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    UNITS = (128, 128)
    WIDTHS = (64, 32, 16, 8)

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, attention: str | None = None) -> None:
        super().__init__()
        rows, steps = size
        widths = (self.UNITS[-1], *self.WIDTHS)
        self.layers = _lstms(in_chans * rows, self.UNITS)
        self.attention = create_attention(attention, self.UNITS[-1], steps)
        self.drop = nn.Dropout(0.5)
        dense = [layer for n_in, n_out in zip(widths, widths[1:]) for layer in (nn.Linear(n_in, n_out), nn.ReLU())]
        self.dense = nn.Sequential(*dense, nn.Flatten())
        self.classifier = nn.Linear(steps * widths[-1], n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        x = as_sequence(x)
        for layer in self.layers:
            x, _ = layer(x)
        if self.attention is not None:
            x = self.attention(x)
        return self.classifier(self.dense(self.drop(x)))
