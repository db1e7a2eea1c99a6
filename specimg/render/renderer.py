"""`Renderer` says how a recording is drawn, and draws it: a value of three values.

renderer = Renderer(Mel(n_mels=128), Picture(), Audio(sr=32000))
renderer("dog.wav")                    # PIL image, as it would be stored
renderer.png(y, 44100)                 # the bytes of the same picture, from samples
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ..audio import Audio
from ..audio.read import Clip, condition, read_clip
from ..audio.readers import Sound, is_sound
from ..core.samples import as_floats
from ..core.values import Value, register
from ..spectrogram import Mel, Representation
from ..spectrogram.picture import Picture, PictureInfo, draw_planes, encode

if TYPE_CHECKING:
    import PIL.Image
    from numpy.typing import ArrayLike


def as_channels(samples: ArrayLike) -> np.ndarray:
    """Samples `(samples,)` or `(samples, channels)` as float32 `(samples, channels)`, whole numbers scaled by their kind."""
    y = as_floats(samples).astype(np.float32, copy=False)
    if y.ndim not in (1, 2) or not y.size:
        raise ValueError(f"samples of shape {y.shape}; give (samples,) or (samples, channels), at least one")
    y = y.reshape(len(y), -1)
    if y.shape[1] > len(y):
        raise ValueError(
            f"samples of shape {y.shape} have more channels than samples; give (samples, channels), y.T where channels come first"
        )
    return y


@register
@dataclass(frozen=True)
class Renderer(Value):
    """How a recording is drawn. Call it on a file, or on samples.

    Parameters
    ----------
    representation : Representation, default Mel()
        Which spectrogram, with its settings.
    picture : Picture, default Picture()
        How its numbers become pixels.
    audio : Audio, default Audio()
        How the recording is read.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=64), audio=sp.Audio(sr=16000, duration=1))
    >>> image = renderer("dog.wav")
    >>> image.size, image.mode                               # (width, height) in pixels
    ((32, 64), 'L')
    """

    representation: Representation = Mel()
    picture: Picture = Picture()
    audio: Audio = Audio()

    def __call__(
        self, source: Sound | ArrayLike, sr: int | None = None, *, start: float | None = None, end: float | None = None
    ) -> PIL.Image.Image:
        """The picture as it would be stored.

        Parameters
        ----------
        source : str, os.PathLike, bytes, file or array_like
            Path of a recording, its bytes, or a file that is open in binary mode; or samples `(samples,)` or `(samples, channels)`
            together with `sr`: floats in [-1, 1], or whole numbers, which are scaled by what their kind holds.
        sr : int, optional
            Sampling rate of samples in Hz.
        start, end : float, optional
            Seconds in a file.

        Returns
        -------
        PIL.Image.Image
            An image of mode L, P or RGB.
        """
        from PIL import Image

        image = Image.open(BytesIO(self.png(source, sr, start=start, end=end)))
        image.load()
        return image

    def png(
        self, source: Sound | ArrayLike, sr: int | None = None, *, start: float | None = None, end: float | None = None
    ) -> bytes:
        """The bytes of the picture as they would be stored.

        Parameters
        ----------
        source, sr, start, end
            As in calling the renderer.

        Returns
        -------
        bytes
            A PNG with its text chunk.

        Raises
        ------
        AudioError
            If a file cannot be used.
        ValueError
            If samples come without their sampling rate, or are too few for the representation.
        """
        if is_sound(source):
            return self.encode(read_clip(source, self.audio, start, end))
        if sr is None:
            raise ValueError("samples need their sampling rate: renderer(y, sr)")
        if start is not None or end is not None:
            raise ValueError(
                "start and end are seconds in a file; of samples give the part itself: renderer(y[first:last], sr)"
            )
        if sr < 1 or sr != int(sr):
            raise ValueError(f"sampling rate {sr!r}: give a whole number of samples a second, 1 or more")
        y = as_channels(source)
        y, sr_drawn, cut = condition(y, int(sr), self.audio)
        return self.encode(Clip(y, sr_drawn, cut / sr_drawn, len(source) / sr, int(sr)))

    def encode(self, clip: Clip) -> bytes:
        """The bytes of the picture of samples that are conditioned already.

        Parameters
        ----------
        clip : Clip
            As `read_clip` returns it.

        Returns
        -------
        bytes
            A PNG with its text chunk.
        """
        x = self.representation(clip.y, clip.sr)
        return encode(x, self.representation, self.picture, clip.sr, clip.begin)

    def planes(self, clip: Clip) -> tuple[np.ndarray, PictureInfo]:
        """The pixels of `encode`, for those who need no PNG.

        Parameters
        ----------
        clip : Clip
            As `read_clip` returns it.

        Returns
        -------
        planes : np.ndarray
            uint8 `(channels, height, width)`; with a colour map its three colours.
        info : PictureInfo
            What the PNG would record.
        """
        x = self.representation(clip.y, clip.sr)
        return draw_planes(x, self.representation, self.picture, clip.sr, clip.begin)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages that affect the pixels; a tree records their versions."""
        return self.audio.libraries | self.representation.libraries | self.picture.libraries

    @property
    def slug(self) -> str:
        """Short text by which people recognise a tree."""
        return self.representation.slug
