"""Panels that show one clip each: its picture over seconds and hertz, a title, a coloured frame.

>>> from specimg.interpret.plots import panels, style
>>> fig, axes = style.axes_for(None, 2, 4, 3.3)
>>> panels.draw_clip(axes[0], interp.table["picture"][0], "predicted cat 0.81")
"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from ...core.figures import write_message
from ...spectrogram import picture
from .style import printable


def title_clip(ax: Axes, title: str, size: float = 9) -> None:
    """A title of several lines above a clip, shown literally."""
    ax.set_title(printable(title), fontsize=size, parse_math=False)  # a file's name need not be UTF-8


def draw_clip(ax: Axes, path: str | Image.Image, title: str = "") -> None:
    """A clip's picture over seconds and hertz; over pixels if it is not from specimg; a message if it cannot be read."""
    try:
        try:
            picture.show_picture(path, ax=ax, title="")
        except picture.PictureError:
            ax.imshow(np.asarray(picture.open_image(path).convert("RGB")), aspect="auto")
            ax.set_xlabel("pixels")
            ax.set_ylabel("pixels")
    except FileNotFoundError:
        write_message(ax, "picture missing")
    except (OSError, ValueError):
        write_message(ax, "picture unreadable")
    if title:
        title_clip(ax, title)


def frame_clip(ax: Axes, colour: str, style: str = "-") -> None:
    """A coloured frame around a clip."""
    for spine in ax.spines.values():
        spine.set(color=colour, linewidth=4, linestyle=style)


def head_row(ax: Axes, heading: str, lines: int) -> None:
    """A heading at the left above a row of clips, clear of their titles of `lines` lines."""
    place = {"xycoords": "axes fraction", "xytext": (0, 8 + lines * 9 * 1.2), "textcoords": "offset points"}
    style = {"fontsize": 11.0, "fontweight": "bold", "ha": "left", "va": "bottom", "parse_math": False}
    ax.annotate(heading, (0, 1), **place, **style, annotation_clip=False).set_in_layout(False)
