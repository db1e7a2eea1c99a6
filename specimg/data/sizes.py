"""The one size that the clips of a batch are brought to, and through how many windows a network reads of a long clip.

Pixels are (height, width). Where none is given, the pictures decide:

>>> height_width(128)
(128, 128)
>>> covering_windows(longest=12.0, seconds=5.0)      # three windows of five seconds cover twelve
3
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..core.values import Value, choose, register
from ..spectrogram.picture import PictureInfo, describe, picture_size

METHODS = ("squish", "crop", "pad")
MOST_WINDOWS = 8  # of one clip in validation
WIDEST = 4  # times its height: a default size is no wider


def height_width(size: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one number or two."""
    given = (size, size) if isinstance(size, numbers.Integral) else size
    sides = list(given) if isinstance(given, (tuple, list)) else []
    if len(sides) != 2 or not all(isinstance(side, numbers.Integral) and side >= 1 for side in sides):
        raise ValueError(f"size={size!r}: give pixels, one whole number or (height, width)")
    return int(sides[0]), int(sides[1])


def common_size(pictures: Iterable[str], info: PictureInfo, seconds: float | None) -> tuple[int, int]:
    """The size that pictures are brought to by default: their own where they all have one, else as wide as the median one.

    With `seconds` the width is as many columns as they last. Between the height and four times the height, so that neither one
    long recording nor many clicks decide.
    """
    if seconds is not None:
        return info.height, max(1, round(seconds * info.width / (info.span[1] - info.span[0])))
    widths = [picture_size(path)[1] for path in pictures]
    if len(set(widths)) == 1:
        return info.height, widths[0]
    return info.height, int(np.clip(np.median(widths), info.height, WIDEST * info.height))


def blank_levels(info: PictureInfo) -> tuple[float, ...]:
    """The level, 0 to 1, of "nothing there" in each channel as the network sees it: mid-grey where a range is even about 0, else black."""
    if info.picture.colormap:
        import matplotlib

        return tuple(float(level) for level in matplotlib.colormaps[info.picture.colormap](0.0)[:3])
    declared = info.representation.ranges
    return tuple(127.5 / 255 if r is not None and r[0] == -r[1] and info.picture.low is None else 0.0 for r in declared)


def covering_windows(longest: float, seconds: float) -> int:
    """How many windows of `seconds` represent a clip that is not trained on: as many as cover the longest, 8 at most."""
    return int(np.clip(math.ceil(longest / seconds - 0.01), 1, MOST_WINDOWS))


def longest_seconds(pictures: Iterable[str]) -> float:
    """Seconds of the longest picture."""
    return max(info.span[1] - info.span[0] for info in map(describe, pictures))


@register
@dataclass(frozen=True)
class Sizing(Value):
    """How clips of different length come to one size.

    Parameters
    ----------
    size : int or (int, int), default None
        Pixels, (height, width); None: the pictures' own.
    method : str, default "squish"
        "squish" scales the whole clip; "crop" takes windows of `seconds`: a random one in training, evenly spread ones elsewhere, over which
        predictions are averaged; "pad" keeps the time scale, pads what is shorter than `seconds` and cuts what is longer.
    seconds : float, default None
        Length of a window ("crop", if it is needed) or of what is padded to ("pad", where None is the longest clip's).
    windows : int, default None
        Evenly spread windows of a clip ("crop"); None: as many as cover the longest one, 8 at most.

    Raises
    ------
    ValueError
        For an unknown method, and where the fields do not go together.

    Examples
    --------
    >>> from specimg.data import Sizing
    >>> Sizing(224, "crop", seconds=5)
    Sizing(size=(224, 224), method='crop', seconds=5.0)
    """

    size: tuple[int, ...] | None = None
    method: str = "squish"
    seconds: float | None = None
    windows: int | None = None

    def __post_init__(self):
        if self.size is not None:
            object.__setattr__(self, "size", height_width(self.size))
        super().__post_init__()

    def _check(self) -> None:
        choose(self.method, METHODS, "method")
        if self.seconds is not None and self.method == "squish":
            raise ValueError(
                f"seconds={self.seconds:g} goes with method='crop' or 'pad'; 'squish' shows the whole clip"
            )
        if self.seconds is None and self.method == "crop":
            raise ValueError("method='crop' needs seconds=, the length of its window")
        if self.seconds is not None and self.seconds <= 0:
            raise ValueError(f"seconds={self.seconds:g}: give a number above 0")
        if self.windows is not None and self.method != "crop":
            raise ValueError(f"windows={self.windows} goes with method='crop'; {self.method!r} reads a clip once")
        if self.windows is not None and self.windows < 1:
            raise ValueError(f"windows={self.windows}: give 1 or more")

    def settled(self, pictures: Sequence[str], evaluated: Sequence[str]) -> Sizing:
        """The same with every field filled in from pictures, so that all of them come to one size.

        Parameters
        ----------
        pictures : sequence of str
            Paths of the pictures of all clips.
        evaluated : sequence of str
            Paths of those that a network is evaluated on, whose longest decides about `windows`.

        Returns
        -------
        Sizing
            With size, seconds and windows where the method has them.
        """
        info, seconds, windows = describe(pictures[0]), self.seconds, self.windows
        if self.method == "pad" and seconds is None:
            seconds = longest_seconds(pictures)
        if self.method == "crop" and windows is None:
            windows = covering_windows(longest_seconds(evaluated), seconds)
        return Sizing(self.size or common_size(pictures, info, seconds), self.method, seconds, windows)
