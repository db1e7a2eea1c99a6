"""Clips: their pictures on seconds and hertz, one or a grid of them.

>>> fig, axes = axes_for(None, 2, 4, 3.3)                                             # doctest: +SKIP
>>> draw_clip(axes[0], "cache/.../dog.wav.png", "predicted cat 0.81\\nactual dog")    # doctest: +SKIP
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from ...spectrogram import picture
from .common import printable, say

__all__ = ["draw_clip", "frame_clip", "head_row", "title_clip"]


def title_clip(ax: Axes, title: str, size: float = 9) -> None:
    """Lines above a clip, as they stand, whatever they look like."""
    ax.set_title(printable(title), fontsize=size, parse_math=False)  # a file's name need not be UTF-8


def draw_clip(ax: Axes, path: str, title: str = "") -> None:
    """A clip's picture with seconds and hertz; in pixels where it does not say them; words where it cannot be read."""
    try:
        try:
            picture.show_picture(path, ax=ax, title="")
        except picture.PictureError:
            with Image.open(path) as image:
                ax.imshow(np.asarray(image.convert("RGB")), aspect="auto")
            ax.set_xlabel("pixels")
            ax.set_ylabel("pixels")
    except FileNotFoundError:
        say(ax, "picture gone")
    except OSError:
        say(ax, "picture cannot be read")
    if title:
        title_clip(ax, title)


def frame_clip(ax: Axes, colour: str, style: str = "-") -> None:
    """A frame round a clip."""
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=4, linestyle=style)


def head_row(ax: Axes, heading: str, lines: int) -> None:
    """A heading above a row of clips, left, over titles of so many lines below which it must not stand."""
    size = 11.0
    ax.annotate(
        heading,
        (0, 1),
        xycoords="axes fraction",
        xytext=(0, 8 + lines * 9 * 1.2),
        textcoords="offset points",
        fontsize=size,
        fontweight="bold",
        ha="left",
        va="bottom",
        parse_math=False,
        annotation_clip=False,
    ).set_in_layout(False)
