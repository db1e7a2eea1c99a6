"""What a network is given of a recording, a picture or the waveform, and how a recording becomes that.

    clf.input                                    # PictureInput(renderer, transform) or WaveInput(transform)
    prepared = clf.input.prepare("dog.wav")      # a PNG as bytes, or samples as float32 (samples,)
    x = clf.input.to_tensor(prepared)            # float32 (channels, height, width), or (1, 1, samples)

`NetworkInput` is what everything else asks: predictions, windows of long recordings, golden clips, export.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..audio import Audio
from ..audio.read import Clip
from ..render.prepare import prepare, prepare_all
from ..render.renderer import Renderer
from ..spectrogram.picture import PictureInfo
from .images import WHOLE, FitSize, SpecImage
from .tta import TTA, TTAFit, fit_with_tta
from .waves import FitWave, TensorWave

LOOKED_AT = 8  # pictures of validation, to see whether item transforms cut them


class NetworkInput(ABC):
    """What a network is given of a recording, and the two steps to it: `prepare`, then `to_tensor`.

    Everything that predicts, windows, keeps or exports asks these members and nothing else, so a new kind of input is a subclass.

    Attributes
    ----------
    name : str
        "picture" or "waveform".
    reader : Renderer or Audio
        The value by which recordings are prepared.
    renderer : Renderer or None
        How recordings are drawn; None if they are not.
    audio : Audio
        How recordings are read.
    transform : FitSize or FitWave
        Brings clips of any length to one size.
    size : (int, int)
        (height, width) of the network's input in pixels; (1, samples) of waveforms.
    channels : int
        Channels of the network's input, 1 to 4.
    method : str
        How clips of different length come to one size: "squish", "crop" or "pad".
    seconds : float or None
        Seconds that the network reads at once; None if it reads the whole clip.
    windows : int
        How many windows of a clip the network reads, whose outputs are averaged.

    Examples
    --------
    >>> clf.input
    PictureInput(pictures of 32 x 63 pixels, 'squish')
    >>> clf.input.to_tensor(clf.input.prepare("dog.wav")).shape
    torch.Size([1, 32, 63])
    """

    name: ClassVar[str]
    reader: Renderer | Audio
    renderer: Renderer | None
    audio: Audio
    transform: FitSize | FitWave
    size: tuple[int, int]
    channels: int
    method: str
    seconds: float | None
    windows: int

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.describe()})"

    def prepare(self, source: Any) -> bytes | np.ndarray:
        """Read or draw a recording.

        Parameters
        ----------
        source : str, path, bytes, file or pair (y, sr)
            The recording.

        Returns
        -------
        bytes or ndarray
            A PNG, or float32 samples `(samples,)`.

        Raises
        ------
        ValueError
            With the reason, where it cannot be read.
        """
        return prepare(self.reader, source)

    def prepare_all(self, sources: Sequence, n_jobs: int = 1) -> Iterator[tuple[bytes | np.ndarray | None, str]]:
        """Read or draw many recordings.

        Parameters
        ----------
        sources : sequence
            As `prepare` takes them.
        n_jobs : int, default 1
            Processes, as joblib counts them; -1 is one a core.

        Yields
        ------
        prepared : bytes, ndarray or None
            What was prepared of each source, in order.
        reason : str
            Why it could not be prepared, or, after "partial: ", why only its beginning was; empty if it was.
        """
        return prepare_all(self.reader, sources, n_jobs)

    @abstractmethod
    def prepare_clip(self, clip: Clip) -> bytes | np.ndarray:
        """Draw a clip that has been read already, or take its samples.

        Parameters
        ----------
        clip : Clip
            As `read_clip` returns it.

        Returns
        -------
        bytes or ndarray
            As of `prepare`.
        """

    @abstractmethod
    def to_tensor(self, prepared: Any) -> Tensor:
        """Bring something prepared to the network's size.

        Parameters
        ----------
        prepared : bytes or ndarray
            What `prepare` returned.

        Returns
        -------
        Tensor
            float32 `(channels, height, width)` in [0, 1], or `(1, 1, samples)`; several windows are an axis in front.
        """

    def clip_tensor(self, clip: Clip) -> Tensor:
        """`to_tensor(prepare_clip(clip))`, the same numbers in the shortest way.

        Parameters
        ----------
        clip : Clip
            As `read_clip` returns it.

        Returns
        -------
        Tensor
            As of `to_tensor`.
        """
        return self.to_tensor(self.prepare_clip(clip))

    @abstractmethod
    def with_transform(self, transform: FitSize | FitWave) -> NetworkInput:
        """The same input, brought to one size in another way.

        Parameters
        ----------
        transform : FitSize or FitWave
            The other way.

        Returns
        -------
        NetworkInput
            A copy.
        """

    def one_window(self) -> NetworkInput:
        """The same input of which the network reads one window of a clip only.

        Returns
        -------
        NetworkInput
            A copy; windows of test-time augmentation are kept.
        """
        if isinstance(self.transform, TTAFit):
            return self
        transform = copy.copy(self.transform)
        transform.windows = 1
        return self.with_transform(transform)

    def with_tta(self, tta: TTA) -> NetworkInput:
        """The same input of which the network reads the windows of test-time augmentation.

        Parameters
        ----------
        tta : TTA
            The windows.

        Returns
        -------
        NetworkInput
            A copy.

        Raises
        ------
        ValueError
            If there are no such windows: of waveforms.
        """
        return self.with_transform(fit_with_tta(self.transform, tta))

    @abstractmethod
    def describe(self) -> str:
        """What the network is given, for people.

        Returns
        -------
        str
            A few words.
        """

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """A dictionary that JSON can hold.

        Returns
        -------
        dict
            The entries `renderer`, `audio` and `fit` of classifier.json.
        """


class PictureInput(NetworkInput):
    """Spectrograms, drawn by a renderer and brought to one size.

    Parameters
    ----------
    renderer : Renderer
        How recordings are drawn.
    transform : FitSize
        How a picture comes to the network's size.

    Examples
    --------
    >>> dls.input
    PictureInput(pictures of 32 x 63 pixels, 'squish')
    """

    name = "picture"

    def __init__(self, renderer: Renderer, transform: FitSize):
        self.reader = self.renderer = renderer
        self.audio, self.transform = renderer.audio, transform
        self.size, self.method, self.seconds = tuple(transform.size), transform.method, transform.seconds
        self.windows = transform.windows if transform.method == "crop" else 1
        self.channels = 3 if renderer.picture.colormap is not None else renderer.representation.channels

    def prepare_clip(self, clip: Clip) -> bytes:
        return self.renderer.encode(clip)

    def to_tensor(self, prepared: Any) -> Tensor:
        return self.transform(SpecImage.create(prepared), split_idx=1).as_subclass(Tensor).float().div(255)

    def clip_tensor(self, clip: Clip) -> Tensor:
        return self.planes_tensor(*self.renderer.planes(clip))

    def planes_tensor(self, planes: np.ndarray, info: PictureInfo) -> Tensor:
        """`to_tensor` of pixels that were never a PNG.

        Parameters
        ----------
        planes : ndarray
            uint8 `(channels, height, width)`, as `Renderer.planes` draws them.
        info : PictureInfo
            What it says of them.

        Returns
        -------
        Tensor
            As of `to_tensor`.
        """
        self.transform.training = False  # as `split_idx=1` says it
        return self.transform.fit(planes, info).as_subclass(Tensor).float().div(255)

    def with_transform(self, transform: Any) -> PictureInput:
        return PictureInput(self.renderer, transform)

    def describe(self) -> str:
        return f"pictures of {self.size[0]} x {self.size[1]} pixels, {self.method!r}"

    def to_dict(self) -> dict[str, Any]:
        fit = self.transform
        tta = {"tta": fit.tta.to_dict()} if isinstance(fit, TTAFit) else {}
        sizing = {"size": list(fit.size), "method": fit.method, "seconds": fit.seconds, "windows": fit.windows}
        blank = [float(level) / 255 for level in fit.blank]
        return {"renderer": self.renderer.to_dict(), "audio": None, "fit": {**sizing, "blank": blank, **tta}}


class WaveInput(NetworkInput):
    """Waveforms of one length, float32 `(1, 1, samples)`, nominally in [-1, 1].

    Parameters
    ----------
    transform : FitWave
        How recordings are read, and how many samples the network takes.

    Examples
    --------
    >>> waves = sp.WaveDataLoaders.from_folder("clips", audio=sp.Audio(sr=8000, duration=0.5), bs=4)
    >>> waves.input
    WaveInput(waveforms of 4000 samples at 8000 Hz)
    """

    name, renderer, channels = "waveform", None, 1

    def __init__(self, transform: FitWave):
        self.reader = self.audio = transform.audio
        self.transform, self.size, self.windows = transform, (1, transform.samples), transform.windows
        self.seconds, duration = transform.samples / self.audio.sr, self.audio.duration
        self.method = "crop" if duration is None or self.seconds < duration - 0.5 / self.audio.sr else "pad"

    def prepare_clip(self, clip: Clip) -> np.ndarray:
        return clip.y

    def to_tensor(self, prepared: Any) -> Tensor:
        wave = TensorWave(torch.from_numpy(prepared)[None, None])
        return self.transform(wave, split_idx=1).as_subclass(Tensor)

    def with_transform(self, transform: Any) -> WaveInput:
        return WaveInput(transform)

    def describe(self) -> str:
        return f"waveforms of {self.transform.samples} samples at {self.audio.sr} Hz"

    def to_dict(self) -> dict[str, Any]:
        fit = {"samples": self.transform.samples, "windows": self.windows}
        return {"renderer": None, "audio": self.audio.to_dict(), "fit": fit}


def input_of(dl: Any, size: tuple[int, int]) -> NetworkInput:
    """What a loader of validation gives the network of a recording: its `input`, or what the transforms of somebody's own DataBlock amount to.

    size : (height, width) of the network's input

    ValueError, with what to change, for what a classifier could not repeat.
    """
    known = getattr(dl, "input", None)
    fit = next((t for t in dl.after_item.fs if isinstance(t, (FitSize, FitWave))), None)
    if known is not None:
        return known.with_transform(fit)
    if isinstance(fit, FitWave):
        return WaveInput(fit)
    renderer = getattr(dl, "renderer", None)
    if renderer is None:
        raise ValueError(
            "this learner does not know how its pictures were drawn; train with SpecDataLoaders, WaveDataLoaders, or with "
            "SpecBlock(renderer) in a DataBlock"
        )
    if fit is not None:
        return PictureInput(renderer, fit)
    items = [dl.do_item(index) for index in np.unique(np.linspace(0, dl.n - 1, LOOKED_AT).astype(int))]
    seen = {getattr(item[0] if isinstance(item, tuple) else item, "part", None) for item in items}
    if not all(part is not None and np.allclose(part, WHOLE, atol=1e-6) for part in seen):
        raise ValueError(
            "validation's item transforms cut the pictures or make others of them, which a classifier does not repeat; "
            "squeeze them, item_tfms=Resize(size, method='squish'), or cut and pad by seconds, "
            "item_tfms=specimg.data.images.FitSize(size, 'crop', seconds=...), and train again"
        )
    return PictureInput(renderer, FitSize(tuple(size)))


def input_from_dict(data: dict[str, Any]) -> NetworkInput:
    """The input that the entries `renderer`, `audio` and `fit` describe, as `to_dict` wrote them."""
    fit = data["fit"]
    if data["renderer"] is None:
        return WaveInput(FitWave(Audio.from_dict(data["audio"]), fit["samples"], fit["windows"]))
    transform = FitSize(tuple(fit["size"]), fit["method"], fit["seconds"], fit["windows"], tuple(fit["blank"]))
    found = PictureInput(Renderer.from_dict(data["renderer"]), transform)
    return found.with_tta(TTA.from_dict(fit["tta"])) if "tta" in fit else found
