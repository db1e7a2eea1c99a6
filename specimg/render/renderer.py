"""How a recording is drawn: one value of three, called on a file or on samples.

look = Renderer(Mel(n_mels=128), Picture(), Audio(sr=32000))
look("dog.wav")                    # PIL image, as it would be stored
look.png(y, 44100)                 # the bytes of the same picture, from samples
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from ..audio import Audio
from ..audio.read import Clip, condition, read_clip
from ..core.values import Value, register
from ..spectrogram import Mel, Representation
from ..spectrogram.picture import Picture, encode

__all__ = ["Renderer", "as_channels"]


def as_channels(samples) -> np.ndarray:
    """Samples `(samples,)` or `(samples, channels)` as float32 `(samples, channels)`."""
    y = np.asarray(samples, np.float32)
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
    """How a recording is drawn: representation, picture and audio. Call it on a file, or on samples."""

    representation: Representation = Mel()
    picture: Picture = Picture()
    audio: Audio = Audio()

    def __call__(self, source, sr: int | None = None, *, start: float | None = None, end: float | None = None):
        """The picture as it would be stored: a PIL image of mode L, P or RGB.

        source : path of a recording, or samples `(samples,)` or `(samples, channels)` together with their `sr`
        start, end : seconds in a file
        """
        from PIL import Image

        image = Image.open(BytesIO(self.png(source, sr, start=start, end=end)))
        image.load()
        return image

    def png(self, source, sr: int | None = None, *, start: float | None = None, end: float | None = None) -> bytes:
        """The bytes of the picture as they would be stored."""
        if isinstance(source, (str, os.PathLike)):
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
        """Samples that are ready -> the bytes of the picture."""
        x = self.representation(clip.y, clip.sr)
        return encode(x, self.representation, self.picture, clip.sr, clip.begin)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages that have a hand in the pixels; a tree records their versions."""
        return self.audio.libraries | self.representation.libraries | self.picture.libraries

    @property
    def slug(self) -> str:
        """A few letters for people to recognise a tree by."""
        return self.representation.slug
