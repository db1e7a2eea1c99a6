"""Recordings of the same content under different names: found by digest, counted, and named where they stand on both sides of a split.

    warn_of_twins(clips, picture_digests(clips["picture"]), "is_valid")

Pictures are compared by the checksum of their pixels, which stands at the end of each file, and only those with equal ones are read. So copies
in another format, or at another volume where the renderer evens it out, count as the same: the network cannot tell them apart.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.warnings import warn
from ..spectrogram.picture import PictureError, read_planes

TAIL = 16  # bytes at the end of a PNG: the checksum of its pixels, and the last chunk
TWINS = r"\d+ recordings? .* the same content"  # what the warnings match


def digest_of(x: np.ndarray) -> bytes | None:
    """16 bytes that stand for pixels or samples; None where all are equal, as of silence, which is nobody's content."""
    return hashlib.blake2b(np.ascontiguousarray(x).tobytes(), digest_size=16).digest() if np.ptp(x) else None


def repeated_digests(quick: Sequence, read: Callable[[int], np.ndarray]) -> list[bytes | None]:
    """The digest of what `read(i)` gives, for each i whose `quick` key is not None and occurs more than once; None for the others."""
    again = pd.Series(list(quick), dtype=object).duplicated(keep=False).to_numpy()
    return [digest_of(read(i)) if key is not None and again[i] else None for i, key in enumerate(quick)]


def _tail(picture: str) -> bytes | None:
    """The last bytes of a PNG; None where it cannot be read, which the loader reports."""
    try:
        with open(picture, "rb") as file:
            file.seek(-TAIL, 2)
            return file.read()
    except OSError:
        return None


def _pixels(picture: str) -> np.ndarray:
    """The pixels of a picture; one alone, which is nobody's content, where they cannot be read."""
    try:
        return read_planes(picture)
    except (OSError, PictureError):
        return np.zeros(1)


def picture_digests(pictures: Sequence[str]) -> list[bytes | None]:
    """The digest of each picture whose pixels occur more than once, as far as a checksum tells."""
    pictures = list(pictures)
    return repeated_digests([_tail(picture) for picture in pictures], lambda i: _pixels(pictures[i]))


def _pairs(clips: pd.DataFrame) -> list[str]:
    """ "copy.wav is dog.wav", for each but the first of the clips of one content."""
    first = clips.groupby("digest")["path"].transform("first")
    other = clips["path"] != first
    return [f"{path} is {original}" for path, original in zip(clips["path"][other], first[other])]


def warn_of_twins(clips: pd.DataFrame, digests: Sequence[bytes | None], side: str) -> None:
    """Warn of recordings with the content of another one: those on several sides of the split, else how many there are.

    clips : with the columns path, label and `side`
    digests : of each clip; None where no other can have the same
    side : the column that says where a clip stands: is_valid, or fold
    """
    table = clips[["path", "label", side]].assign(digest=pd.Series(list(digests), index=clips.index, dtype=object))
    table = table[table["digest"].notna()]
    groups = table.groupby("digest")
    table = table[groups["path"].transform("nunique") > 1]
    if not len(table):
        return
    apart = table[table.groupby("digest")[side].transform("nunique") > 1]
    labels = table.assign(label=table["label"].map(str)).groupby("digest")["label"].nunique()
    odd = f"; the labels of {count(int((labels > 1).sum()), 'content')} differ" if (labels > 1).any() else ""
    n = count(table["path"].nunique(), "recording")
    if not len(apart):
        warn(f"{n} under different names have the same content as another ({examples(_pairs(table))}){odd}")
        return
    where = "in training and in validation" if side == "is_valid" else "in different folds"
    warn(
        f"{count(apart['path'].nunique(), 'recording')} {where} have the same content under different names ({examples(_pairs(apart))}): "
        f"the network has seen what it is evaluated on, and the score is too good; leave the copies out, or give them one group{odd}"
    )
