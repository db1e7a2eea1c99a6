"""Networks on the waveform itself, after SoundNet: without a spectrogram, the first layers learn the filters.

    create_net("soundnet_cnn")                                # 8 classes, 30,000 samples; 6,083,192 parameters
    create_net("soundnet_cnn", 10, size=(1, 16000))           # one second at 16 kHz; the first dense layer grows with it
    create_net("soundnet_lstm", 10, size=(1, 16000))          # the convolutions' output is read by two LSTMs
    create_net("soundnet_cnn", norm=True)                     # with the batch normalisation of the original

Waveforms are (batch, 1, 1, samples), as `WaveDataLoaders` load them, or (batch, 1, samples). Both networks are the variants for music
of Srinivasa and Hebbar, music2vec (2017), that WWH98932/Audio-Classification-Models shows; the original is Aytar, Vondrick and
Torralba, "SoundNet: Learning Sound Representations from Unlabeled Video" (2016, arXiv 1610.09001), which has other strides, batch
normalisation, and one more convolution where these have dense layers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from .base import Net, features_of, net
from .keras_layers import start_like_keras

SOURCE = "WWH98932/Audio-Classification-Models (2020), after SoundNet (Aytar et al. 2016) and music2vec (2017)"
SAMPLES = 30_000  # of the figures' waveforms; neither source gives their sampling rate


class Conv(NamedTuple):
    """A convolution of the table below, in samples."""

    filters: int
    kernel: int
    stride: int


class Pool(NamedTuple):
    """A maximum over `kernel` samples, every `stride`."""

    kernel: int
    stride: int


_CNN = (
    Conv(16, 64, 8),
    Pool(8, 2),
    Conv(32, 32, 8),
    Pool(8, 2),
    Conv(64, 16, 2),
    Conv(128, 8, 2),
    Conv(256, 4, 2),
    Pool(4, 2),
    Conv(512, 4, 1),
    Conv(1024, 4, 1),
)
_LSTM = (*_CNN[:2], Conv(32, 32, 4), *_CNN[3:-1])  # half the second stride, and without the last convolution


class SameConv1d(nn.Conv1d):
    """A convolution with ceil(samples / stride) outputs, as Keras' "same": zeros on both sides, an odd one at the end."""

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        missing = max(0, (-(x.shape[-1] // -stride) - 1) * stride + kernel - x.shape[-1])
        return super().forward(F.pad(x, (missing // 2, missing - missing // 2)))


def _fewest_samples(table: tuple[Conv | Pool, ...]) -> int:
    """The samples from which a single output is left, computed back from the last layer."""
    samples = 1
    for layer in reversed(table):
        kernel = layer.kernel if isinstance(layer, Pool) else 1  # a padded convolution takes any length
        samples = (samples - 1) * layer.stride + kernel
    return samples


def _layers(table: tuple[Conv | Pool, ...], in_chans: int, norm: bool) -> nn.Sequential:
    layers, n_in = [], in_chans
    for layer in table:
        if isinstance(layer, Pool):
            layers.append(nn.MaxPool1d(layer.kernel, layer.stride))
            continue
        layers.append(SameConv1d(n_in, layer.filters, layer.kernel, layer.stride))
        layers += [nn.BatchNorm1d(layer.filters)] * norm + [nn.ReLU()]
        n_in = layer.filters
    return nn.Sequential(*layers)


def _dense(n_in: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(n_in, 512), nn.ReLU(), nn.Linear(512, 128), nn.ReLU())


class _SoundNet(Net):
    """What both have in common: the convolutions and the smallest waveform."""

    @classmethod
    def check(cls, in_chans: int, size: tuple[int, int], **options: object) -> str:
        if size[0] != 1:
            return "it takes waveforms, of size (1, samples); load the recordings with WaveDataLoaders"
        if size[1] < cls.smallest[1]:
            return f"it takes waveforms of {cls.smallest[1]} samples or more; set a longer duration= or a higher sr= of Audio, or longer seconds="
        return ""

    def convolve(self, x: Tensor) -> Tensor:
        """(batch, channels, 1, samples) or (batch, channels, samples) to (batch, features, steps)."""
        return self.convs(x.flatten(1, -2))


@net("soundnet_cnn", n_classes=8, in_chans=1, size=(1, SAMPLES), source=SOURCE, wave=True)
class SoundNetCNN(_SoundNet):
    """Seven convolutions and three poolings over the samples, and three dense layers.

    6,083,192 parameters at 8 classes and 30,000 samples, 2,870,256 of them in the convolutions. The source has a figure and a text
    and no code. Its text ends the convolutions with 6 steps of 1024; from 30,000 samples that is what convolutions with Keras'
    padding "same" and poolings without padding leave (all padded: 8 steps; none padded: the third pooling leaves 3, too few for the
    next convolution). Neither gives the activations: ReLU, as in the sources' other networks. Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the waveforms.
    size : tuple of int
        (1, samples).
    norm : bool, default False
        Batch normalisation after each convolution, as in the original: 4,064 parameters more. It helps from scratch: in a trial on
        spoken digits of one second, four epochs without it stayed at chance.

    References
    ----------
    .. [1] Aytar, Vondrick and Torralba, "SoundNet: Learning sound representations from unlabeled video", NeurIPS 2016,
       arXiv:1610.09001.
    .. [2] Srinivasa and Hebbar, "music2vec", 2017.
    .. [3] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    smallest = (1, _fewest_samples(_CNN))

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, norm: bool = False) -> None:
        super().__init__()
        self.convs = _layers(_CNN, in_chans, norm)
        features, steps = features_of(self.convs, in_chans, size[1:])
        self.dense = nn.Sequential(nn.Flatten(), *_dense(features * steps))
        self.classifier = nn.Linear(128, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.dense(self.convolve(x)))


@net("soundnet_lstm", n_classes=8, in_chans=1, size=(1, SAMPLES), source=SOURCE, wave=True)
class SoundNetLSTM(_SoundNet):
    """Six convolutions and three poolings over the samples, two LSTMs of 256 over their steps, and three dense layers.

    2,285,176 parameters at 8 classes, of which 2,048 are the LSTMs' second biases: Keras would count 2,283,128. Longer waveforms have
    more steps, not more parameters. Figure and text of the source disagree on the LSTMs' input, 15 steps of 512 and 13 of 256.
    13 steps are what the layers of the figure leave of 30,000 samples under the rule that gives the other network its 6 steps; 15
    needs padded poolings. 512 features are left where one convolution is removed, as figure and text have it; 256 would need two
    removed. So here it is 13 steps of 512. The last step of the second LSTM is used, as in the source's other LSTMs.
    Keras' initial weights.

    Parameters
    ----------
    n_classes : int
        Classes.
    in_chans : int
        Channels of the waveforms.
    size : tuple of int
        (1, samples).
    norm : bool, default False
        As in `SoundNetCNN`; 2,016 parameters more.

    References
    ----------
    .. [1] Aytar, Vondrick and Torralba, "SoundNet: Learning sound representations from unlabeled video", NeurIPS 2016,
       arXiv:1610.09001.
    .. [2] Srinivasa and Hebbar, "music2vec", 2017.
    .. [3] WWH98932, "Audio-Classification-Models", GitHub, 2020.
    """

    smallest = (1, _fewest_samples(_LSTM))

    def __init__(self, n_classes: int, in_chans: int, size: tuple[int, int], *, norm: bool = False) -> None:
        super().__init__()
        self.convs = _layers(_LSTM, in_chans, norm)
        self.lstm = nn.LSTM(_LSTM[-1].filters, 256, num_layers=2, batch_first=True)
        self.dense = _dense(256)
        self.classifier = nn.Linear(128, n_classes)
        start_like_keras(self)

    def forward(self, x: Tensor) -> Tensor:
        steps, _ = self.lstm(self.convolve(x).transpose(1, 2))
        return self.classifier(self.dense(steps[:, -1]))
