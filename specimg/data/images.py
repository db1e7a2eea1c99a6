"""A picture as fastai takes it: a Pillow image of 1 to 4 channels, and then a tensor of one size.

    SpecImage.create("dog.wav.png")            # what fastai's item transforms work on
    OpenPicture(renderer)("dog.wav")           # the same, drawn in memory
    FitSize((64, 96), "crop", seconds=2.0)     # clips differ in length, a batch may not

A picture knows from its text chunk how long a pixel lasts, so that a window of two seconds is two seconds of every clip.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision.all import PadMode, PILBase, RandTransform, TensorImage, ToTensor, Transform, show_image
from matplotlib.axes import Axes
from PIL import Image

from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import PictureError, PictureInfo, channels_of, is_as_drawn, open_image, parse_text
from .sizes import Sizing

WHOLE = (0.0, 0.0, 1.0, 1.0)  # the part that a picture shows of which nothing was cut
MAX_CELLS = 2**28  # of a window before it is brought to size


class TensorSpec(TensorImage):
    """A picture, or several windows of one, as a tensor: `(channels, height, width)` or `(windows, channels, height, width)`.

    Examples
    --------
    >>> x, y = dls.one_batch()
    >>> type(x).__name__, x.shape
    ('TensorSpec', torch.Size([4, 1, 32, 63]))
    """

    _show_args = {"cmap": "magma"}

    def show(self, ctx: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the pixels, of several windows those of the first, without axes.

        Parameters
        ----------
        ctx : Axes, default None
            Where to draw; None makes a figure.
        **kwargs
            As in fastai's `show_image`.

        Returns
        -------
        Axes
            Several channels stand one above the other.
        """
        x = self[0] if self.ndim == 4 else self
        return show_image(x if len(x) in (1, 3) else x.flatten(0, 1)[None], ctx=ctx, **{**self._show_args, **kwargs})


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of any mode as L, RGB or CMYK. Of 16 bits the upper 8 stay; Pillow itself would cut off at 255."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) // 256).clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise PictureError("holds floats, which have no range to show; save it with 8 bits a pixel")
    keep = image.mode in ("L", "RGB", "CMYK")
    return image if keep else image.convert("L" if image.mode == "1" else "RGB")


def _part_of(part: tuple, first: tuple[int, int], size: tuple[int, int], whole: tuple[int, int]) -> tuple:
    """The view of a part of a picture that shows `part`: `size` pixels from `first` on, of `whole` ones."""
    left, top, right, bottom = part
    x, y = (right - left) / whole[0], (bottom - top) / whole[1]  # of a pixel
    return left + first[0] * x, top + first[1] * y, left + (first[0] + size[0]) * x, top + (first[1] + size[1]) * y


def _side_by_side(image: Image.Image, channels: int) -> Image.Image:
    """A grey image of 2 or 4 planes one above the other -> an RGB or CMYK image with these bands; any other as it is."""
    if channels not in (2, 4):
        return image
    if image.mode != "L" or image.height % channels:
        raise PictureError(f"has {image.height} rows of mode {image.mode}, which are no {channels} planes of grey")
    bands = [Image.fromarray(p) for p in np.asarray(image).reshape(channels, -1, image.width)]
    if channels == 2:
        return Image.merge("RGB", [*bands, Image.new("L", bands[0].size)])
    return Image.merge("CMYK", bands)


def _name_of(source: object) -> str:
    return repr(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else "the picture"


class SpecImage(PILBase):
    """A picture of 1 to 4 channels as a Pillow image that fastai's item transforms can work on.

    1 channel is mode L and 3 are RGB, as in the file. 4 are CMYK, because Pillow's resizers treat those bands alike (with RGBA
    they would multiply three by the fourth); 2 are `SpecImage2`. A picture with a colour map opens as its three colours.

    Examples
    --------
    >>> image = sp.SpecImage.create(sp.Renderer(sp.Mel(n_mels=32))("dog.wav"))
    >>> image.planes.shape, image.picture_info.unit
    ((1, 32, 8), 'dB')
    """

    _tensor_cls = TensorSpec
    _show_args = {"cmap": "magma"}

    # text chunk, width and height as stored; None after a transform that is not followed
    facts: tuple[str, int, int] | None = None
    # left, top, right, bottom, as shares of the stored picture; beyond it is padding
    part: tuple[float, float, float, float] = WHOLE

    @classmethod
    def create(cls, fn: str | os.PathLike | bytes | Image.Image, **kwargs: Any) -> SpecImage:
        """Open a picture.

        Parameters
        ----------
        fn : str, path, bytes or PIL image
            A file, its bytes, or what a `Renderer` returns.
        **kwargs
            Ignored; fastai gives more.

        Returns
        -------
        SpecImage
            The picture.

        Raises
        ------
        PictureError
            With the path, where the file is broken.
        """
        if isinstance(fn, SpecImage):
            return fn
        image = fn.copy() if isinstance(fn, Image.Image) else open_image(fn)
        text = image.info.pop("specimg", None)  # Pillow would hand it on to crops and mirror images
        stored_size = image.size
        try:
            channels, is_whole = channels_of(text) or 1, bool(text) and is_as_drawn(text, *stored_size)
            image = _side_by_side(_eight_bits(image), channels)
        except PictureError as exc:
            raise PictureError(f"{_name_of(fn)} {exc}") from exc
        spec = (SpecImage2 if channels == 2 else SpecImage)(image)
        spec.facts = (text, *stored_size) if is_whole else None
        return spec

    @property
    def planes(self) -> np.ndarray:
        """uint8 `(channels, height, width)`."""
        pixels = np.asarray(self)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)

    @property
    def picture_info(self) -> PictureInfo | None:
        """What the picture's text chunk holds (Pillow's own `info` is a dictionary).

        None for a picture that is not specimg's, or after another transform replaced it. After fastai's crops it is still that of the
        stored picture, of which this one shows the part `part`.
        """
        return parse_text(*self.facts) if self.facts else None

    def crop_pad(
        self,
        sz: int | tuple[int, int],
        tl: tuple[int, int] | None = None,
        orig_sz: tuple[int, int] | None = None,
        pad_mode: str = PadMode.Zeros,
        **kwargs: Any,
    ) -> SpecImage:
        """fastai's, which its `Resize` and its crops call, of any channels, and with `part` telling what was cut.

        Parameters
        ----------
        sz, tl, orig_sz, pad_mode, **kwargs
            As in fastai.

        Returns
        -------
        SpecImage
            Cropped, padded and resized.
        """
        size = (sz, sz) if isinstance(sz, int) else tuple(sz)
        first = tuple((have - want) // 2 for have, want in zip(self.size, size)) if tl is None else tuple(tl)

        def cut(image: Image.Image) -> Image.Image:
            return Image.Image.crop_pad(image, size, first, orig_sz=orig_sz, pad_mode=pad_mode, **kwargs)

        # of CMYK fastai would make RGBA on the way, so each band goes by itself
        made = type(self)(Image.merge("CMYK", list(map(cut, self.split()))) if self.mode == "CMYK" else cut(self))
        inside = all(0 <= at and at + want <= have for at, want, have in zip(first, size, self.size))
        # mirrored edges are no part of the sound
        made.facts = self.facts if inside or pad_mode == PadMode.Zeros else None
        made.part = _part_of(self.part, first, size, self.size)
        return made

    def show(self, ctx: Axes | None = None, **kwargs: Any) -> Axes:
        """Draw the pixels without axes.

        Parameters
        ----------
        ctx : Axes, default None
            Where to draw; None makes a figure.
        **kwargs
            As in fastai's `show_image`.

        Returns
        -------
        Axes
            Several channels stand one above the other.
        """
        return TensorSpec(torch.from_numpy(np.array(self.planes))).show(ctx=ctx, **kwargs)


class SpecImage2(SpecImage):
    """Two channels: an RGB image whose third band is empty and is left out of the tensor."""

    @property
    def planes(self) -> np.ndarray:
        return super().planes[:2]


@ToTensor
def encodes(self, o: SpecImage) -> TensorSpec:
    """fastai's own way of teaching `ToTensor` a new kind of image."""
    x = TensorSpec(torch.from_numpy(np.array(o.planes)))  # a copy: Pillow's pixels are read-only
    x.part = o.part if o.facts else None
    return x


# ---------------------------------------------------------------------- sounds and pictures to tensors


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples in memory as one item; fastai would take a tuple apart."""

    y: np.ndarray  # (samples,) or (samples, channels)
    sr: int  # Hz

    def __post_init__(self):
        if np.ndim(self.sr):
            raise ValueError(
                f"samples as a pair of {type(self.y).__name__} and {type(self.sr).__name__}; give (y, sr), the sampling rate last"
            )


@dataclass(frozen=True, eq=False)
class EncodedSound:
    """The bytes of a recording's file as one item; plain bytes would be those of a picture."""

    data: bytes


class OpenPicture(Transform):
    """A picture's PNG is opened; a recording, or `Samples`, is drawn by the renderer first, in memory.

    With `tree`, recordings that it holds are opened there instead of being drawn.
    """

    # what fastai may hand over when it predicts on new items
    input_types = (str, Path, Samples, EncodedSound, Image.Image)

    def __init__(self, renderer: Renderer | None = None, tree: SpecTree | None = None):
        super().__init__()
        self.renderer, self.tree = renderer or (tree.renderer if tree else None), tree

    def encodes(self, o) -> SpecImage:
        return SpecImage.create(self.source(o))

    def file(self, o) -> str | os.PathLike | None:
        """The PNG that is opened; None for what is no file of a picture."""
        if not isinstance(o, (str, os.PathLike)):
            return None
        if os.fspath(o).lower().endswith(".png"):
            return o
        return None if self.tree is None else self.tree.picture(o)

    def source(self, o):
        """What `SpecImage.create` opens: the path of a PNG, the bytes of one, or an image."""
        if isinstance(o, Image.Image):
            return o
        if self.file(o) is not None:
            return self.file(o)
        if self.renderer is None:
            raise ValueError(
                f"{o!r} is a recording, and this data has no renderer to draw it with; give renderer= or pictures (.png)"
            )
        if isinstance(o, Samples):
            return self.renderer.png(o.y, o.sr)
        return self.renderer.png(o.data if isinstance(o, EncodedSound) else o)


def _resized(planes: np.ndarray, height: int, width: int) -> np.ndarray:
    """uint8 `(channels, h, w)` -> `(channels, height, width)`, bilinear and antialiased, each plane by itself."""
    if planes.shape[1:] == (height, width):
        return planes
    return np.stack([np.asarray(Image.fromarray(p).resize((width, height), Image.Resampling.BILINEAR)) for p in planes])


def _cut(planes: np.ndarray, first: int, columns: int, blank: np.ndarray) -> np.ndarray:
    """`columns` columns from `first` on, which may be negative; outside of the picture there is `blank` (a level a channel)."""
    width = planes.shape[2]
    left, right = min(max(first, 0), width), min(max(first + columns, 0), width)
    part = planes[:, :, left:right]
    if right - left == columns:
        return part
    out = np.empty((*planes.shape[:2], columns), planes.dtype)
    out[:] = blank[:, None, None]
    if right > left:
        out[:, :, left - first : right - first] = part
    return out


def window_starts(length: float, window: float, count: int) -> list[float]:
    """Where `count` windows begin so that they spread evenly over `length` and the last ends with it."""
    return [float(at) for at in np.linspace(0, max(0.0, length - window), count)]


class FitTransform(RandTransform):
    """An item transform that brings a clip to one size, and knows whether it is called in training."""

    order, split_idx = 4, None  # before ToTensor

    def __init__(self):
        super().__init__(p=1.0)
        self.training = False

    def before_call(self, b, split_idx):
        super().before_call(b, split_idx)
        self.training = split_idx == 0


class FitSize(FitTransform):
    """Item transform: a `SpecImage` of any length becomes a `TensorSpec` of one size, by `method`.

    "squish" scales the whole picture. "crop" takes a window of `seconds`: a random one in training, `windows` evenly spread
    ones elsewhere, `(windows, channels, height, width)`. "pad" pads to `seconds`, and cuts what is longer at its end.
    """

    def __init__(
        self,
        size: tuple[int, int],
        method: str = "squish",
        seconds: float | None = None,
        windows: int = 1,
        blank: tuple[float, ...] = (0.0,),
    ):
        super().__init__()
        Sizing(size, method, seconds, windows if method == "crop" else None)  # checks them
        self.size, self.method, self.seconds, self.windows = size, method, seconds, windows
        self.blank = np.array([round(255 * level) for level in blank], np.uint8)

    def encodes(self, o: SpecImage) -> TensorSpec:
        x = self.fit(o.planes, self._info(o), o.part)
        x.part = o.part if o.facts else None
        return x

    def fit(self, planes: np.ndarray, info: PictureInfo | None, part: tuple[float, ...] = WHOLE) -> TensorSpec:
        """Bring pixels to the size.

        Parameters
        ----------
        planes : ndarray
            uint8 `(channels, height, width)`.
        info : PictureInfo or None
            The picture's seconds, which only `method="squish"` does without.
        part : tuple of float, default (0.0, 0.0, 1.0, 1.0)
            Left, top, right and bottom of what the pixels show, as shares of the picture of `info`.

        Returns
        -------
        TensorSpec
            uint8 `(channels, height, width)`, or of several windows `(windows, channels, height, width)`.
        """
        begin, column = (0.0, None) if info is None else self._seconds(info, part, planes.shape[2])
        columns = planes.shape[2] if self.method == "squish" else max(1, round(self.seconds / column))
        if columns * planes.shape[0] * planes.shape[1] > MAX_CELLS:
            raise PictureError(
                f"{self.seconds:g} s of a picture whose columns last {column:g} s are {columns} columns of {planes.shape[1]} rows; "
                f"{MAX_CELLS} cells at most"
            )
        cuts = self._cuts(planes.shape[2], columns)
        parts = [_resized(_cut(planes, first, count, self.blank), *self.size) for first, count in cuts]
        x = TensorSpec(torch.from_numpy(np.stack(parts) if len(parts) > 1 else np.array(parts[0])))
        if info is not None:
            x.spans = [(begin + first * column, begin + (first + count) * column) for first, count in cuts]
        return x

    @staticmethod
    def _seconds(info: PictureInfo, part: tuple[float, ...], width: int) -> tuple[float, float]:
        """(second of the left edge, seconds of a column) of a picture, or of the part of it that is left in `width` columns."""
        start, end = info.span
        left, _, right, _ = part
        return start + left * (end - start), (right - left) * (end - start) / width

    def _info(self, o: SpecImage) -> PictureInfo | None:
        """The picture's seconds; None if they are not needed."""
        if self.method == "squish":
            return None
        info = o.picture_info
        if info is None:
            raise ValueError(
                f"method={self.method!r} has to know how long a pixel lasts, and this picture no longer holds that; "
                f"leave out item_tfms that replace the picture, or use method='squish'"
            )
        return info

    def _cuts(self, width: int, columns: int) -> list[tuple[int, int]]:
        """(first column, columns) of each window into a picture of `width` columns.

        columns : of the method's own window; if it is squeezed the whole picture's
        """
        if self.method != "crop":
            return [(0, columns)]
        if self.training:
            return [(random.randint(0, max(0, width - columns)), columns)]
        return [(round(at), columns) for at in window_starts(width, columns, self.windows)]
