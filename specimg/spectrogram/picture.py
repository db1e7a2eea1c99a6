"""A float picture becomes 8-bit pixels, and back again.

One pixel a bin and frame, low frequencies at the bottom, no margins, no axes. The range of the representation (for decibels `-top_db` to 0)
is mapped linearly to 0 to 255.

    png = encode(Mel()(y, sr), Mel(), Picture(), sr)      # bytes of a PNG
    x, info = read_picture("dog.wav.png")                 # back to decibels, at most half a level off
    info = describe("dog.wav.png")                        # seconds, hertz and decibels of the pixels, from the text chunk alone

One channel is a grey PNG (mode L), with a colour map a palette on it; three are RGB. Two and four channels are grey planes one
above the other, the first on top: as LA or RGBA every resizer would multiply them by "alpha".

The PNG is written here: for noise-like pictures the Up filter and Huffman coding alone are nine times as fast as Pillow's default, and
the files as small.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import os
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..core.reading import open_regular, parse_json, read_bytes
from ..core.values import Value, choose, register
from .base import Representation

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure
    import PIL.Image

FORMAT = 1  # of the text chunk; raised when its meaning changes
KEYWORD = b"specimg"
OCTAVES = (62, 125, 250, 500, 1000, 2000, 4000, 8000, 16000, 32000)  # Hz, where axes carry a number
SIGNATURE = b"\x89PNG\r\n\x1a\n"
RESAMPLES = ("nearest", "box", "bilinear", "bicubic", "lanczos")  # Pillow's filters
MAX_PIXELS = 2**27  # of all planes of a file that is read: half an hour of 2049 rows
MAX_BYTES = 2**29  # of such a file
MAX_TEXT = 2**20  # bytes before its pixels; as Pillow reads no longer text
MAX_NUMBER = 2**24  # n_mels, n_fft, hop_length ... in its text: as many numbers make an axis
MAX_BANK = 2**27  # n_mels times n_fft: numbers of a filter bank
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")  # Pillow reads others by running programs
MAX_SIDE = 65_535  # pixels; neither Pillow's decoder nor any network takes more
MEND = "Of a tree, tree.verify(drop=True) deletes damaged pictures, and the next render_tree draws them again"
GREY, RGB, PALETTE = 0, 2, 3  # colour types of PNG


class PictureError(ValueError):
    """A file that is not an intact picture drawn by specimg."""


@register
@dataclass(frozen=True)
class Picture(Value):
    """How a float picture becomes pixels. By default one pixel a bin and frame, grey.

    Parameters
    ----------
    height : int, optional
        Pixels, 1 to 65535; default one a bin.
    width : int, optional
        Pixels, 1 to 65535; default one a frame.
    colormap : str, optional
        A matplotlib colour map for pictures of one channel; default grey.
    resample : str, default "bilinear"
        Pillow's filter where `height` or `width` are given, antialiased: "nearest", "box", "bilinear", "bicubic" or "lanczos".
    low, high : float, optional
        Values drawn black and white, in the representation's unit; default the representation's own range.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=32, n_fft=512), sp.Picture(height=64, width=128, colormap="magma"))
    >>> image = renderer("dog.wav")
    >>> image.size, image.mode
    ((128, 64), 'P')
    """

    height: int | None = None
    width: int | None = None
    colormap: str | None = None
    resample: str = "bilinear"
    low: float | None = None
    high: float | None = None

    def _check(self):
        for name in ("height", "width"):
            side = getattr(self, name)
            rule = f"give 1 to {MAX_SIDE} pixels, or None for one pixel a bin and frame"
            self._need(side is None or 1 <= side <= MAX_SIDE, rule, name)
        choose(self.resample, RESAMPLES, "resample")
        neither = self.low is None and self.high is None
        both = self.low is not None and self.high is not None and self.low < self.high
        self._need(neither or both, "give both, low below high, or neither", "low", "high")
        if self.colormap is not None:
            _check_colormap(self.colormap)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the pixels; a tree records their versions."""
        resized, coloured = self.height or self.width, self.colormap
        return frozenset({"numpy"} | ({"pillow"} if resized else set()) | ({"matplotlib"} if coloured else set()))


@functools.lru_cache(maxsize=16)
def _check_colormap(name: str) -> None:
    import matplotlib

    choose(name, list(matplotlib.colormaps), "colormap")


@functools.lru_cache(maxsize=16)
def _palette(name: str) -> bytes:
    """256 RGB triples of a matplotlib colour map."""
    import matplotlib

    colours = matplotlib.colormaps[name](np.arange(256) / 255.0)[:, :3]
    return np.round(colours * 255).astype(np.uint8).tobytes()


# ---------------------------------------------------------------------- floats to levels and back


def value_ranges(x: np.ndarray, representation: Representation, picture: Picture) -> list[tuple[float, float]]:
    """(black, white) of each channel of `x` `(channels, bins, frames)`: the picture's, else the representation's, else the channel's own."""
    if picture.low is not None:
        return [(picture.low, picture.high)] * len(x)
    return [(float(p.min()), float(p.max())) if r is None else r for p, r in zip(x, representation.ranges)]


def quantize(plane: np.ndarray, low: float, high: float) -> np.ndarray:
    """Values -> nearest uint8 levels; what lies outside `low` to `high` is clipped. A range of no width is all black."""
    if high <= low:
        return np.zeros(plane.shape, np.uint8)
    scale = np.float32(255.0 / (high - low))
    levels = (plane - np.float32(low)) * scale
    levels += np.float32(0.5)
    np.clip(levels, 0, 255, out=levels)
    return levels.astype(np.uint8)


def dequantize(levels: np.ndarray, low: float, high: float) -> np.ndarray:
    """uint8 levels -> float32 values; the inverse of `quantize` to half a level."""
    return (levels * np.float32((high - low) / 255.0) + np.float32(low)).astype(np.float32)


def _resize(plane: np.ndarray, height: int, width: int, resample: str) -> np.ndarray:
    """Resize a float32 plane, in floats: rounding to levels comes once, afterwards."""
    if plane.shape == (height, width):
        return plane
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(plane, np.float32))  # mode F
    return np.asarray(image.resize((width, height), getattr(Image.Resampling, resample.upper())))


def to_planes(x: np.ndarray, ranges: Iterable[tuple[float, float]], picture: Picture) -> np.ndarray:
    """Float picture `(channels, bins, frames)`, low frequencies in row 0 -> uint8 `(channels, height, width)`, low frequencies at the bottom."""
    channels, bins, frames = x.shape
    height, width = picture.height or bins, picture.width or frames
    planes = np.empty((channels, height, width), np.uint8)
    for plane, values, (low, high) in zip(planes, x, ranges):
        plane[:] = quantize(_resize(values, height, width, picture.resample), low, high)[::-1]
    return planes


# ---------------------------------------------------------------------- the PNG file


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(name)))


def _compressed(rows: np.ndarray, pixel_bytes: int) -> bytes:
    """PNG's filter Up (each row minus the one above), then zlib.

    A single plane is like noise: a search for repetitions costs time and finds none, so Huffman coding alone. The three colours of a
    pixel do repeat each other.
    """
    height, width = rows.shape
    filtered = np.empty((height, width + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    strategy = zlib.Z_HUFFMAN_ONLY if pixel_bytes == 1 else zlib.Z_DEFAULT_STRATEGY
    deflate = zlib.compressobj(1, strategy=strategy)
    return deflate.compress(filtered) + deflate.flush()


def _png(rows: np.ndarray, colour_type: int, palette: bytes, text: bytes) -> bytes:
    """A PNG of uint8 rows `(height, width * bytes a pixel)`; the text chunk comes before the pixels, so that it is found fast."""
    pixel_bytes = 3 if colour_type == RGB else 1
    header = struct.pack(">IIBBBBB", rows.shape[1] // pixel_bytes, len(rows), 8, colour_type, 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header), _chunk(b"tEXt", KEYWORD + b"\0" + text)]
    if palette:
        parts.append(_chunk(b"PLTE", palette))
    parts += [_chunk(b"IDAT", _compressed(rows, pixel_bytes)), _chunk(b"IEND", b"")]
    return b"".join(parts)


@functools.lru_cache(maxsize=64)
def _settings_text(representation: Representation, picture: Picture) -> str:
    return json.dumps({"representation": representation.to_dict(), "picture": picture.to_dict()})[1:-1]


def _checked_ranges(x: np.ndarray, representation: Representation, picture: Picture) -> list[tuple[float, float]]:
    """`value_ranges`; ValueError for a colour map on a picture of several channels."""
    if picture.colormap is not None and len(x) != 1:
        raise ValueError(
            f"Picture(colormap={picture.colormap!r}) colours one channel, but {representation.kind} has {len(x)}; leave it None"
        )
    return value_ranges(x, representation, picture)


def encode(x: np.ndarray, representation: Representation, picture: Picture, sr: int, begin: float = 0.0) -> bytes:
    """Float picture -> the bytes of a PNG that describes itself.

    Parameters
    ----------
    x : np.ndarray
        `(channels, bins, frames)`, as `representation` returns it.
    representation : Representation
        What drew it.
    picture : Picture
        How it becomes pixels.
    sr : int
        Sampling rate in Hz of the samples that were drawn.
    begin : float, default 0.0
        Seconds in the recording where the samples begin.

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        For a colour map on a picture of several channels.
    """
    channels, bins, frames = x.shape
    ranges = _checked_ranges(x, representation, picture)
    facts = {
        "format": FORMAT,
        "channels": channels,
        "bins": bins,
        "frames": frames,
        "sr": sr,
        "begin": begin,
        "ranges": ranges,
        "unit": representation.unit,
    }
    text = json.dumps(facts)[:-1] + ", " + _settings_text(representation, picture) + "}"
    planes = to_planes(x, ranges, picture)
    if channels == 3:
        rows, colour_type = np.ascontiguousarray(planes.transpose(1, 2, 0)).reshape(planes.shape[1], -1), RGB
    else:
        rows, colour_type = planes.reshape(-1, planes.shape[2]), PALETTE if picture.colormap else GREY
    return _png(rows, colour_type, _palette(picture.colormap) if picture.colormap else b"", text.encode("ascii"))


# ---------------------------------------------------------------------- reading back


@dataclass(frozen=True)
class PictureInfo:
    """What a picture's text chunk records: enough to put seconds, hertz and decibels back on the pixels.

    Parameters
    ----------
    representation : Representation
        What drew it.
    picture : Picture
        How it became pixels.
    channels, bins, frames : int
        Shape of the float picture.
    sr : int
        Sampling rate in Hz of the samples that were drawn.
    begin : float
        Seconds in the recording where they begin.
    unit : str
        Unit of the values.
    ranges : tuple of (float, float)
        Values of level 0 and level 255, one pair a channel.
    height, width : int
        Pixels of one channel's plane.

    Examples
    --------
    >>> tree = sp.render_tree("clips", sp.Renderer(sp.Mel(n_mels=32, n_fft=512)), cache="cache", progress=False)
    >>> info = sp.spectrogram.describe(tree.picture("dog/dog0.wav"))
    >>> info.times.shape, info.frequencies[[0, -1]].round()  # Hz of the top and the bottom row
    ((8,), array([3717.,   71.]))
    """

    representation: Representation
    picture: Picture
    channels: int
    bins: int
    frames: int
    sr: int
    begin: float
    unit: str
    ranges: tuple[tuple[float, float], ...]
    height: int
    width: int

    @property
    def times(self) -> np.ndarray:
        """Seconds in the recording of the middle of each pixel column `(width,)`."""
        left, right = self.span
        return left + (np.arange(self.width) + 0.5) * (right - left) / self.width

    @property
    def span(self) -> tuple[float, float]:
        """Seconds in the recording of the picture's left and right edge."""
        hop = self.representation.hop_seconds(self.sr)
        left = self.begin + self.representation.first_column(self.sr) - hop / 2
        return left, left + hop * self.frames

    @property
    def frequencies(self) -> np.ndarray | None:
        """Hz of each pixel row `(height,)`, from the top row (highest) down; None if rows are not frequencies."""
        rows = self.representation.frequencies(self.sr)
        if rows is None:
            return None
        at = (np.arange(self.height) + 0.5) * self.bins / self.height - 0.5
        return np.interp(at, np.arange(self.bins), rows)[::-1]


def _text_of(data: bytes) -> tuple[bytes, tuple[int, int, int]]:
    """(the text, (width, height, colour type)) of the beginning of a PNG file."""
    if len(data) < 33 or data[:8] != SIGNATURE:
        raise PictureError("is not a PNG file")
    width, height, _, colour_type = struct.unpack(">IIBB", data[16:26])
    if not 0 < width * height <= MAX_PIXELS:
        raise PictureError(f"has {width} x {height} pixels; 1 to {MAX_PIXELS} are read")
    at = 33
    while at + 12 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + size]
        if name == b"tEXt" and body.startswith(KEYWORD + b"\0") and len(body) == size:
            return body[len(KEYWORD) + 1 :], (width, height, colour_type)
        if name == b"IDAT":
            break
        at += 12 + size
    raise PictureError("has no text chunk of specimg before its pixels")


def _whole(facts: dict, name: str, most: int) -> int:
    """An entry that is a whole number from 1 to `most`; else a PictureError."""
    value = facts[name]
    if type(value) is not int or not 1 <= value <= most:
        raise PictureError(f"has a text chunk with {name} {str(value)[:40]}; it is a whole number from 1 to {most}")
    return value


def channels_of(text: str | bytes | None) -> int | None:
    """Number of channels that a text chunk names; None without one. PictureError if it cannot be."""
    if not text:
        return None
    try:
        return _whole(parse_json(text), "channels", 4)
    except PictureError:
        raise
    except (KeyError, TypeError, ValueError) as exc:
        raise PictureError(f"has a text chunk that cannot be understood: {exc}") from exc


def check_numbers(part: object) -> None:
    """ValueError for a number in a value's dictionary that would ask for absurd memory, where axes are made or pictures drawn.

    Parameters
    ----------
    part : object
        Plain data, such as `Renderer.to_dict` returns it; whole numbers are looked at wherever they stand in it.
    """
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    for child in inner:
        check_numbers(child)
    if type(part) is int and abs(part) > MAX_NUMBER:
        raise ValueError(f"it holds the number {str(part)[:40]}; {MAX_NUMBER} at most is read")
    if isinstance(part, dict):
        rows = max([part[name] for name in ("n_mels", "n_bands") if type(part.get(name)) is int], default=0)
        if type(part.get("n_fft")) is int and rows * part["n_fft"] > MAX_BANK:
            raise ValueError(
                f"it has {rows} rows of n_fft={part['n_fft']}; {MAX_BANK} numbers at most make a filter bank"
            )


def _ranges(facts: dict, channels: int) -> tuple[tuple[float, float], ...]:
    """The values of black and white of each channel; ValueError if they are none."""
    ranges = tuple((float(low), float(high)) for low, high in facts["ranges"])
    if len(ranges) != channels or not all(map(math.isfinite, itertools.chain(*ranges))):
        raise ValueError(f"{len(ranges)} ranges, or endless ones, for {channels} channels")
    return ranges


def parse_text(text: str | bytes, width: int, height: int) -> PictureInfo:
    """The `PictureInfo` in the text chunk of a PNG of `width` by `height` pixels. PictureError if it has none."""
    try:
        facts = parse_json(text)
        if facts["format"] != FORMAT:
            raise PictureError(
                f"is of format {str(facts['format'])[:40]}; this specimg reads format {FORMAT}: draw it again"
            )
        check_numbers(facts["representation"])
        representation = Representation.from_dict(facts["representation"])
        picture = Picture.from_dict(facts["picture"])
        channels = _whole(facts, "channels", 4)
        planes = channels if channels in (2, 4) else 1
        begin, unit = float(facts["begin"]), facts["unit"]
        if height % planes or not math.isfinite(begin) or not isinstance(unit, str) or len(unit) > 80:
            raise ValueError(f"{height} rows of {planes} planes from {begin} s on in {str(unit)[:80]!r}")
        info = PictureInfo(
            representation,
            picture,
            channels,
            _whole(facts, "bins", MAX_NUMBER),
            _whole(facts, "frames", 2**53),
            _whole(facts, "sr", 2**31),
            begin,
            unit,
            _ranges(facts, channels),
            height // planes,
            width,
        )
        if not 0 < info.span[1] - info.span[0] < math.inf:
            raise ValueError(f"it shows the span {info.span} s")
        return info
    except PictureError:
        raise
    except (ArithmeticError, KeyError, TypeError, ValueError) as exc:
        raise PictureError(f"has a text chunk that cannot be understood: {exc}") from exc


def is_as_drawn(text: str | bytes, width: int, height: int) -> bool:
    """Whether a picture still has the size that it was drawn with: of one that was cut or resized nobody knows what it shows."""
    facts = parse_json(text)
    try:
        planes, drawn = facts["channels"] if facts["channels"] in (2, 4) else 1, facts["picture"]
        whole = drawn.get("width") or facts["frames"], planes * (drawn.get("height") or facts["bins"])
    except (AttributeError, KeyError, TypeError) as exc:
        raise PictureError(f"has a text chunk that cannot be understood: {exc}") from exc
    return (width, height) == whole


def draw_planes(
    x: np.ndarray, representation: Representation, picture: Picture, sr: int, begin: float = 0.0
) -> tuple[np.ndarray, PictureInfo]:
    """The pixels that the PNG of `encode` holds, without a PNG.

    Parameters
    ----------
    x, representation, picture, sr, begin
        As in `encode`.

    Returns
    -------
    planes : np.ndarray
        uint8 `(channels, height, width)`, low frequencies at the bottom; with a colour map its three colours.
    info : PictureInfo
        What the PNG would record.

    Raises
    ------
    ValueError
        For a colour map on a picture of several channels.
    """
    ranges = _checked_ranges(x, representation, picture)
    planes = to_planes(x, ranges, picture)
    channels, bins, frames = x.shape
    _, height, width = planes.shape
    info = PictureInfo(
        representation, picture, channels, bins, frames, sr, begin, representation.unit, tuple(ranges), height, width
    )
    if picture.colormap is not None:
        colours = np.frombuffer(_palette(picture.colormap), np.uint8).reshape(256, 3)
        planes = np.ascontiguousarray(colours[planes[0]].transpose(2, 0, 1))
    return planes, info


def parse_info(data: bytes) -> PictureInfo:
    """`describe` for bytes: the beginning of a PNG file, as far as its pixels."""
    text, (width, height, _) = _text_of(data)
    return parse_text(text, width, height)


def describe(path: str | os.PathLike) -> PictureInfo:
    """Read what a picture records about itself, without decoding its pixels.

    Parameters
    ----------
    path : str or os.PathLike
        A PNG that specimg drew.

    Returns
    -------
    PictureInfo
        Its times, frequencies, ranges and the values that drew it.

    Raises
    ------
    PictureError
        If it is not a picture of specimg's.

    Examples
    --------
    >>> tree = sp.render_tree("clips", sp.Renderer(sp.Mel(n_mels=32, n_fft=512)), cache="cache", progress=False)
    >>> info = sp.spectrogram.describe(tree.picture("dog/dog0.wav"))
    >>> info.ranges, info.unit, info.span                    # seconds of the left and right edge
    (((-80.0, 0.0),), 'dB', (-0.032, 0.48))
    """
    with open_regular(path) as file:
        data = file.read(8192)
        if data.startswith(SIGNATURE) and b"IDAT" not in data:  # a long text chunk: the pixels begin later
            data += file.read(MAX_TEXT)
    try:
        return parse_info(data)
    except PictureError as exc:
        raise PictureError(f"{os.fspath(path)!r} {exc}") from exc


def picture_size(path: str | os.PathLike) -> tuple[int, int]:
    """(height, width) in pixels of a PNG, from its first 24 bytes; PictureError, with the path, if it is none."""
    try:
        with open_regular(path) as file:
            head = file.read(24)
    except ValueError as exc:  # a pipe, a folder
        raise PictureError(str(exc)) from exc
    if len(head) < 24 or not head.startswith(SIGNATURE):
        raise PictureError(f"{os.fspath(path)!r} is not a PNG file")
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def open_image(source: str | os.PathLike | bytes | BinaryIO) -> PIL.Image.Image:
    """A picture with all its pixels decoded, whatever its file holds.

    Parameters
    ----------
    source : str, path-like, bytes or file
        A picture of specimg's, or any of the `FORMATS`.

    Returns
    -------
    PIL.Image.Image

    Raises
    ------
    PictureError
        With the path: it is none, is damaged, is no regular file, or has more than `MAX_PIXELS` pixels.
    FileNotFoundError
        It does not exist.
    """
    from PIL import Image, UnidentifiedImageError

    name = repr(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else "the picture"
    try:
        with contextlib.ExitStack() as stack:
            if isinstance(source, (str, os.PathLike)):
                source = stack.enter_context(open_regular(source))
            image = Image.open(BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS)
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels are more than {MAX_PIXELS}")
            image.load()
            return image
    except FileNotFoundError:
        raise
    except UnidentifiedImageError as exc:
        raise PictureError(f"{name} cannot be read: it is no picture, or its beginning is damaged") from exc
    except Exception as exc:  # Pillow raises a dozen kinds at broken files
        raise PictureError(f"{name} cannot be read: {exc or type(exc).__name__}") from exc


def _pixel_problem(data: bytes) -> str | None:
    """What opening a whole PNG finds wrong with its pixels. None if nothing is."""
    try:
        open_image(data)
    except PictureError as exc:
        return str(exc).removeprefix("the picture ")
    return None


def picture_problem(path: str | os.PathLike, representation: Representation) -> str | None:
    """What is wrong with a picture of a tree: missing, truncated, damaged (by PNG's checksums), drawn otherwise. None if it is intact."""
    try:
        data = read_bytes(path, MAX_BYTES)
        if parse_info(data).representation != representation:
            return "was drawn by another representation"
    except OSError as exc:
        return f"cannot be read: {exc.strerror}"
    except ValueError as exc:
        return str(exc)
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        size, name = struct.unpack(">I4s", data[at : at + 8])
        end = at + 12 + size
        if end > len(data):
            break
        if zlib.crc32(data[at + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            return f"is damaged: the checksum of its {name.decode('latin-1')} chunk is wrong"
        if name == b"IEND":
            return _pixel_problem(data)
        at = end
    return "is cut short"


def planes_of(image: PIL.Image.Image, channels: int | None = None) -> np.ndarray:
    """uint8 `(channels, height, width)` of a picture: the levels, whatever the colour map. PictureError if it has no such planes."""
    pixels = np.array(image)
    if pixels.ndim == 3:
        return np.ascontiguousarray(pixels.transpose(2, 0, 1))
    channels = channels or channels_of(image.info.get(KEYWORD.decode())) or 1
    if channels == 3 or len(pixels) % channels:
        raise PictureError(f"a picture of {len(pixels)} rows has no {channels} planes")
    return pixels.reshape(channels, -1, pixels.shape[1])


def read_planes(source: str | os.PathLike | bytes | BinaryIO, channels: int | None = None) -> np.ndarray:
    """`planes_of` a picture as a path, bytes or a file."""
    return planes_of(open_image(source), channels)


def read_picture(path: str | os.PathLike) -> tuple[np.ndarray, PictureInfo]:
    """Read a picture back as values.

    Parameters
    ----------
    path : str or os.PathLike
        A PNG that specimg drew.

    Returns
    -------
    x : np.ndarray
        float32 `(channels, height, width)`, low frequencies in row 0, in the unit `info.unit`; at most half a level off.
    info : PictureInfo
        What the picture records.

    Raises
    ------
    PictureError
        If it is not a picture of specimg's.

    Examples
    --------
    >>> tree = sp.render_tree("clips", sp.Renderer(sp.Mel(n_mels=32, n_fft=512)), cache="cache", progress=False)
    >>> x, info = sp.spectrogram.read_picture(tree.picture("dog/dog0.wav"))
    >>> x.shape, float(x.max())
    ((1, 32, 8), 0.0)
    """
    info = describe(path)
    planes = read_planes(path, info.channels)
    if len(planes) != info.channels:
        raise PictureError(f"{os.fspath(path)!r} has {len(planes)} channels; its text says {info.channels}")
    return np.stack([dequantize(p[::-1], low, high) for p, (low, high) in zip(planes, info.ranges)]), info


# ---------------------------------------------------------------------- figures


def hz_ticks(frequencies: np.ndarray) -> list[float]:
    """Round frequencies that fall on different rows: octaves, or even steps where a band is narrower than those."""
    lowest, highest = frequencies.min(), frequencies.max()
    ticks = [hz for hz in OCTAVES if lowest <= hz <= highest]
    if len(ticks) < 2:
        from matplotlib.ticker import MaxNLocator

        ticks = [hz for hz in MaxNLocator(4).tick_values(lowest, highest) if lowest <= hz <= highest]
    spread = np.interp(ticks, frequencies[::-1], np.arange(len(frequencies)))
    kept, last = [], -np.inf
    for hz, at in zip(ticks[::-1], spread[::-1]):  # from the top, at least an eighth of the height apart
        if abs(at - last) >= len(frequencies) / 8:
            kept.append(float(hz))
            last = at
    return kept


def row_ticks(info: PictureInfo, shown: tuple[float, float] = (0.0, 1.0)) -> tuple[np.ndarray, list[str], str]:
    """Ticks of a picture's rows: (rows from the top, of every plane), their texts, and what they count: "Hz", or else.

    Planes that lie one above the other, in pictures of two or four channels, have their ticks each.

    shown : where the upper and lower edge of what is seen lie in the whole picture, as shares of its height; the rows are those of that part
    """
    planes = info.channels if info.channels in (2, 4) else 1
    top, bottom = (share * info.height - 0.5 for share in shown)
    inside = [row for row in range(info.height) if top <= row <= bottom]
    if info.frequencies is None:  # rows are counted from the bottom, as the representation counts
        rows = np.linspace(inside[-1], inside[0], 3) if inside else np.empty(0)
        texts = [f"{row:.0f}" for row in (info.height - 1 - rows) * (info.bins - 1) / max(1, info.height - 1)]
        unit = info.unit if info.unit == "coefficient" else "row"
    else:
        hz, unit = info.frequencies[inside], "Hz"
        ticks = hz_ticks(hz) if inside else []
        rows = np.interp(ticks, hz[::-1], inside[::-1]) if inside else np.empty(0)
        texts = [f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}" for tick in ticks]
    rows = (rows - top) * info.height / (bottom - top) - 0.5
    return np.concatenate([rows + info.height * k for k in range(planes)]), texts * planes, unit


def draw_pixels(
    ax: matplotlib.axes.Axes,
    pixels: np.ndarray,
    info: PictureInfo,
    title: str = "",
    span: tuple[float, float] | None = None,
    rows: tuple[float, float] = (0.0, 1.0),
    cmap: str = "magma",
) -> None:
    """Draw pixels of a picture with its seconds and hertz on the axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        Axes to draw on.
    pixels : np.ndarray
        `(height, width)` or `(height, width, 3)`, the whole picture or a part of it, resized or not.
    info : PictureInfo
        What the picture records.
    title : str, default ""
        Title of the axes.
    span : tuple of float, optional
        Seconds of the left and right edge where the pixels show only a part; default those of the whole picture.
    rows : tuple of float, default (0.0, 1.0)
        Where the upper and lower edge lie in the whole picture, as shares of its height from the top.
    cmap : str, default "magma"
        Colour map of a grey picture.
    """
    height = info.height * (info.channels if info.channels in (2, 4) else 1)
    extent = (*(span or info.span), height - 0.5, -0.5)
    ax.imshow(pixels, aspect="auto", cmap=cmap, vmin=0, vmax=255, extent=extent, interpolation="nearest")
    places, texts, unit = row_ticks(info, rows)
    ax.set_yticks(places, texts)
    ax.set(xlabel="seconds", ylabel=unit)
    if title:  # a file's name need not be UTF-8
        ax.set_title(title.encode("utf-8", "replace").decode(), fontsize="medium", parse_math=False)


def _info_of_image(image: PIL.Image.Image) -> PictureInfo:
    """What an image in memory records. PictureError if it is not as a renderer returned it."""
    text = image.info.get(KEYWORD.decode())
    if text is None or not is_as_drawn(text, *image.size):
        raise PictureError(
            "the image is not as a Renderer returned it: what was cut or converted has lost its seconds and hertz"
        )
    return parse_text(text, *image.size)


def show_picture(
    path: str | os.PathLike | PIL.Image.Image,
    ax: matplotlib.axes.Axes | None = None,
    title: str | None = None,
    cmap: str = "magma",
) -> matplotlib.figure.Figure:
    """Draw a picture with its own seconds and hertz on the axes.

    Parameters
    ----------
    path : str, os.PathLike or PIL image
        A PNG that specimg drew, or what a `Renderer` returns.
    ax : matplotlib.axes.Axes, optional
        Axes to draw on; default a new figure.
    title : str, optional
        Default the file's name; none of an image.
    cmap : str, default "magma"
        Colour map of a grey picture.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> tree = sp.render_tree("clips", sp.Renderer(sp.Mel(n_mels=32, n_fft=512)), cache="cache", progress=False)
    >>> fig = sp.show_picture(tree.picture("dog/dog0.wav"))
    >>> fig.axes[0].get_xlabel(), fig.axes[0].get_ylabel()
    ('seconds', 'Hz')
    """
    from PIL import Image

    from ..core.figures import new_figure

    in_memory = isinstance(path, Image.Image)
    info = _info_of_image(path) if in_memory else describe(path)
    image = path if in_memory else open_image(path)
    pixels = np.array(image.convert("RGB") if image.mode == "P" else image)
    if ax is None:
        ax = new_figure(7, 3.5).add_subplot()
    name = "" if in_memory else os.path.basename(os.fspath(path)).removesuffix(".png")
    draw_pixels(ax, pixels, info, name if title is None else title, cmap=cmap)
    return ax.figure
