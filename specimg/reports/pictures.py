"""Spectrograms of at most 256 by 128 pixels, with the ticks of their axes.

    small = small_picture("cache/.../dog.wav.png")
    small.data                   # bytes of a WebP in the colours of magma, which are perceptually uniform
    small.span                   # (-0.008, 1.016): seconds in the recording of its left and right edge
    small.ticks                  # (("4k", 0.02), ("1k", 0.31) ...): text, and distance from the top

A picture that is not specimg's own has neither seconds nor hertz.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

from ..spectrogram.picture import PictureError, PictureInfo, open_image, parse_text, planes_of, row_ticks

if TYPE_CHECKING:
    import PIL.Image

WIDTH, HEIGHT = 256, 128  # pixels
QUALITY = 60  # of WebP, about 3 kB per picture


@dataclass(frozen=True)
class SmallPicture:
    """A picture ready to be embedded, and its axes."""

    data: bytes  # of a WebP
    span: tuple[float, float] | None  # of the left and right edge in the recording, s
    ticks: tuple[tuple[str, float], ...]  # (text, distance from the top as a share of the height)
    unit: str  # of the ticks: "Hz", or what rows are


@functools.lru_cache(maxsize=1)
def _magma() -> np.ndarray:
    """uint8 (256, 3)"""
    import matplotlib

    return np.round(matplotlib.colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)


def _info_of(image: PIL.Image.Image) -> PictureInfo | None:
    """The metadata of the picture; None if it is not specimg's."""
    text = image.info.get("specimg")
    try:
        return parse_text(text, *image.size) if text else None
    except PictureError:
        return None


def _webp(pixels: np.ndarray) -> bytes:
    """uint8 (height, width) levels, or (height, width, 3) colours, as a WebP of bounded size."""
    from PIL import Image

    image = Image.fromarray(pixels)
    size = min(WIDTH, image.width), min(HEIGHT, image.height)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    if image.mode == "L":
        image = Image.fromarray(_magma()[np.asarray(image)])
    buffer = BytesIO()
    image.save(buffer, "WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()


def _ticks(info: PictureInfo) -> tuple[tuple[tuple[str, float], ...], str]:
    """((text, distance from the top as a share of the height), ...) and their unit."""
    rows, texts, unit = row_ticks(info)
    height = info.height * (info.channels if info.channels in (2, 4) else 1)
    return tuple((text, round((row + 0.5) / height, 4)) for text, row in zip(texts, rows.tolist())), unit


def small_picture(source, seconds: float | None = None) -> SmallPicture:
    """A picture, as a path or bytes, at reduced size; cut to its first `seconds`.

    FileNotFoundError if it is missing, PictureError if it cannot be read.
    """
    image = open_image(source)
    info = _info_of(image)
    if info is None:
        return SmallPicture(_webp(np.asarray(image.convert("RGB"))), None, (), "")
    planes = planes_of(image, info.channels)
    left, right = info.span
    if seconds is not None and right - left > seconds:
        column = (right - left) / info.width
        columns = max(1, round(seconds / column))
        planes, right = planes[:, :, :columns], left + columns * column
    pixels = planes.transpose(1, 2, 0) if info.channels == 3 else planes.reshape(-1, planes.shape[2])
    return SmallPicture(_webp(np.ascontiguousarray(pixels)), (left, right), *_ticks(info))
