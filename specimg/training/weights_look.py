"""Networks that others have trained on sound: which pictures they have seen, and how ours are drawn like them.

A network reads a spectrogram as it was trained to: with other bands, another hop or another scale its weights are worth little, and nothing
fails. An `AudioPretrained` says which pictures belong to weights; `spec_learner(weights=FILE, weights_look=...)` refuses others:

>>> look = sp.training.audio_pretrained("birdset-convnext")
>>> look.arch, look.renderer.audio.sr, look.renderer.representation.n_mels, look.seconds
('convnext_base', 32000, 128, 5.0)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from torch import nn

from ..audio import Audio
from ..core.values import choose
from ..models.networks import is_own
from ..render import Renderer
from ..spectrogram import Mel, Picture

LAYOUTS = ("low-bottom", "low-top", "time-down")


@dataclass(frozen=True)
class AudioPretrained:
    """The pictures that belong to pretrained weights.

    Parameters
    ----------
    arch : str
        timm's name of the network, without a tag.
    renderer : Renderer
        Draws recordings as the weights have seen them.
    seconds : float, optional
        Length of the clips in training; the `seconds=` of the loaders.
    mean, std : float, optional
        Statistics with which training normalised, in the unit of the representation; give both and `Picture(low=, high=)`, or neither. They
        take the place of the network's own.
    layout : {"low-bottom", "low-top", "time-down"}, default "low-bottom"
        How pictures lay in training: frequencies upwards as in ours, frequencies downwards (an array with low frequencies in row 0), or
        frames downwards and frequencies to the right. The kernels of the network are turned to fit ours.
    source : str, default ""
        Where the numbers are from.

    Raises
    ------
    ValueError
        Only one of `mean` and `std`, a `std` of 0 or less, statistics without `Picture(low=, high=)`, or an unknown layout.

    Examples
    --------
    Weights of a training elsewhere, whose settings you know:

    >>> look = sp.Renderer(sp.Mel(n_mels=64, hop_length=500, fmin=50, fmax=14000), audio=sp.Audio(sr=32000))
    >>> mine = sp.training.AudioPretrained("tf_efficientnet_b0", look, seconds=5)
    >>> learn = sp.spec_learner(dls, "tf_efficientnet_b0", weights="last.ckpt", weights_look=mine)     # doctest: +SKIP
    """

    arch: str
    renderer: Renderer
    seconds: float | None = None
    mean: float | None = None
    std: float | None = None
    layout: str = "low-bottom"
    source: str = ""

    def __post_init__(self) -> None:
        choose(self.layout, LAYOUTS, "layout")
        if (self.mean is None) != (self.std is None):
            raise ValueError(f"mean={self.mean}, std={self.std}: give both, or neither")
        if self.std is not None and (self.std <= 0 or self.renderer.picture.low is None):
            raise ValueError(
                f"std={self.std}: give more than 0, and Picture(low=, high=), which say what a pixel means"
            )

    @property
    def channels(self) -> int:
        """Channels of the pictures."""
        return 3 if self.renderer.picture.colormap is not None else self.renderer.representation.channels

    @property
    def statistics(self) -> dict[str, list[float]]:
        """`mean` and `std` of each channel for pictures of 0 to 1; empty if the network's own hold."""
        if self.mean is None or self.std is None:
            return {}
        low, high = self.renderer.picture.low, self.renderer.picture.high
        assert low is not None and high is not None  # checked above
        return {
            "mean": [(self.mean - low) / (high - low)] * self.channels,
            "std": [self.std / (high - low)] * self.channels,
        }


# BirdSet's own front ends, convnext_bs.py and efficientnet_bs.py in birdset/modules/models/birdset_models of
# github.com/DBD-research-group/BirdSet: torchaudio's Spectrogram and MelScale with their defaults (reflected edges, HTK's scale, filters of equal height,
# 0 Hz to half the sampling rate), decibels with top_db=80, mean and std. They have no limits; ours hold all that can come: decibels begin at 1e-10,
# -100 dB, and a sine of full scale lies below 55 dB.
_BIRDSET = dict(htk=True, norm=None, ref=1.0, top_db=80.0, pad_mode="reflect")
_BIRDSET_RANGE = Picture(low=-100, high=55)


def _birdset(arch: str, weights: str, module: str, **mel: int) -> AudioPretrained:
    """One of BirdSet's two networks, which differ in nothing but their windows and bands."""
    return AudioPretrained(
        arch,
        Renderer(Mel(**mel, **_BIRDSET), _BIRDSET_RANGE, Audio(sr=32000)),
        seconds=5.0,
        mean=-4.268,
        std=4.569,
        layout="low-top",
        source=f"huggingface.co/DBD-research-group/{weights}-BirdSet-XCL; {module} of BirdSet",
    )


# Perch 2.0: the front end in its paper (arXiv:2508.04665) and, to rounding, in github.com/duane-edgington/perch2-pytorch-port:
# peak 0.25, amplitudes divided by the window's sum, HTK's scale, 0.1 ln(max(x, 1e-5)). Here the peak is 1, so that 0 dB is the sum of the
# window, 320, over 0.25; 1e-5 is -50 dB, and a decibel is ln(10) / 100 of theirs.
_PERCH = Mel(
    n_mels=128, n_fft=1024, win_length=640, hop_length=320, fmin=60, fmax=16000, power=1.0, ref=1280.0, top_db=None,
    htk=True, norm=None,
)  # fmt: skip
_LOOKS = {
    "birdset-convnext": _birdset(
        "convnext_base", "ConvNeXT-Base", "convnext_bs.py", n_mels=128, n_fft=1024, hop_length=320
    ),
    "birdset-efficientnet": _birdset(
        "tf_efficientnet_b1", "EfficientNet-B1", "efficientnet_bs.py", n_mels=256, n_fft=2048, hop_length=256
    ),
    "perch-2": AudioPretrained(
        "tf_efficientnet_b3",
        Renderer(_PERCH, Picture(low=-50, high=0), Audio(sr=32000, normalize="peak")),
        seconds=5.0,
        mean=0.0,
        std=100 / math.log(10),
        layout="time-down",
        source="huggingface.co/bghani/perch2-pytorch-weights; arXiv:2508.04665",
    ),
}


def list_audio_pretrained() -> list[str]:
    """Names of the published weights whose pictures are known.

    Returns
    -------
    list of str

    Examples
    --------
    >>> sp.training.list_audio_pretrained()
    ['birdset-convnext', 'birdset-efficientnet', 'perch-2']
    """
    return sorted(_LOOKS)


def audio_pretrained(name: str) -> AudioPretrained:
    """The pictures that belong to published weights.

    Parameters
    ----------
    name : str
        One of `list_audio_pretrained()`.

    Returns
    -------
    AudioPretrained
        Its `renderer` is for the loaders, its `arch` for `spec_learner`, its `source` says where both are from.

    Raises
    ------
    ValueError
        The name is unknown.

    Notes
    -----
    From published code and papers, not from the files. Not certain, or not the same here:

    BirdSet normalises both networks by -4.268 and 4.569, which its code calls those of ESC-50 in one file and those of AudioSet in the
    other. The limits of the pictures are ours. Some of BirdSet's configurations bring pictures to 1,024 columns; its code for these weights does not, and
    neither does this.

    Perch normalises the peak of each window of 5 s, here it is that of the clip, and its frames begin half a hop later. Its weights
    for timm are a conversion by others, who measured a cosine of about 0.8 to Perch's own embeddings in a plain `tf_efficientnet_b3`,
    which pads otherwise and lacks two biases: a start for training, not Perch.

    Examples
    --------
    >>> sp.training.audio_pretrained("perch-2").renderer.representation.hop_length
    320
    """
    return _LOOKS[choose(name, _LOOKS, "pretrained network of sound")]


# ---------------------------------------------------------------- does it fit?
def _settings(renderer: Renderer, sr: int | None) -> dict[str, Any]:
    """What two renderers must share, by the name of the field; defaults that stand for another field's value are written out."""
    representation, picture = renderer.representation, renderer.picture
    found = {field.name: getattr(representation, field.name) for field in dataclasses.fields(representation)}
    if "fmax" in found and found["fmax"] is None and sr:
        found["fmax"] = sr / 2
    if "win_length" in found and found["win_length"] is None:
        found["win_length"] = found["n_fft"]
    found |= {"representation": representation.kind, "sr": renderer.audio.sr, "normalize": renderer.audio.normalize}
    return found | {name: getattr(picture, name) for name in ("low", "high", "colormap")}


def _differences(look: AudioPretrained, renderer: Renderer, channels: int, height: int) -> list[str]:
    """ "n_mels=64 instead of 128" for every field of the pictures that is not the look's."""
    sr = look.renderer.audio.sr
    rows = look.renderer.picture.height or getattr(look.renderer.representation, "n_mels", height)
    wanted = _settings(look.renderer, sr) | {"channels": look.channels, "height": rows}
    given = _settings(renderer, renderer.audio.sr or sr) | {"channels": channels, "height": height}
    return [
        f"{name}={given[name]!r} instead of {value!r}"
        for name, value in wanted.items()
        if name in given and given[name] != value  # another representation has other fields
    ]


def check_look(
    look: str | AudioPretrained, arch: str, weights: object, renderer: Renderer | None, *, channels: int, height: int
) -> AudioPretrained:
    """The look of the weights; ValueError with every difference unless network and pictures are those that belong to them."""
    found = look if isinstance(look, AudioPretrained) else audio_pretrained(look)
    name = f"weights_look={look!r}" if isinstance(look, str) else "weights_look"
    if weights is None:
        raise ValueError(f"{name} says which pictures belong to a file; name the file too, weights=")
    if is_own(arch) or arch.split(".")[0] != found.arch:
        raise ValueError(f"{name} belongs to {found.arch!r}, and arch is {arch!r}; give arch={found.arch!r}")
    if renderer is None:
        raise ValueError(f"{name}: the DataLoaders do not say how their pictures are drawn; make SpecDataLoaders")
    different = _differences(found, renderer, channels, height)
    if different:
        way = f"sp.training.audio_pretrained({look!r}).renderer" if isinstance(look, str) else "the look's own renderer"
        raise ValueError(
            f"{name}: the pictures are not those of the weights: {', '.join(different)}. Make the loaders with renderer={way} and without a "
            "height in size=; without weights_look= the weights are loaded whatever the pictures"
        )
    return found


def turn_kernels(net: nn.Module, layout: str) -> None:
    """Turn the kernels of a network that was trained on pictures laid out as `layout`, so that it answers alike for ours.

    Exact where a layer pads both sides alike; where it pads one side more, as EfficientNet's strided layers do, the answer moves by a pixel.
    """
    if layout == "low-bottom":
        return
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            kernel = module.weight.data
            module.weight.data = (kernel.transpose(-1, -2) if layout == "time-down" else kernel).flip(-2).contiguous()
