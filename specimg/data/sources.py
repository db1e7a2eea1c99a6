"""What people predict on, in whichever form they have it: a folder, paths, samples, pictures, or a table.

list_sources("night")                     # (["night/1.wav", "night/2.wav"], the same again): a name and what to open, for each
list_sources([(y, 22050)])                # (["samples 0"], [Samples(y, 22050)])
as_clips(["dog.wav", "owl.wav"])          # a table with the columns path and picture, which is drawn when it is read
"""

from __future__ import annotations

import glob
import numbers
import os
from collections.abc import Mapping

import pandas as pd
from PIL import Image

from ..audio import find_audio
from ..audio.find import is_audio_name
from ..audio.readers import is_sound
from ..core.addresses import as_folder, is_address
from .images import EncodedSound, Samples


def _source(o):
    """One thing to predict on: a path as text, `Samples`, or a picture."""
    if isinstance(o, tuple) and len(o) == 2:
        return Samples(*o)
    if isinstance(o, (str, os.PathLike)):
        return os.fspath(o)
    if isinstance(o, Image.Image):
        return o
    if is_sound(o):
        return EncodedSound(bytes(o.read() if hasattr(o, "read") else o))
    if isinstance(o, Mapping):
        raise ValueError(
            f"a {type(o).__name__} with the keys {', '.join(map(str, o))} is not a recording; give its samples and their sampling rate, "
            "such as (o['array'], o['sampling_rate']), or its path or bytes"
        )
    raise ValueError(
        f"nothing can be predicted on a {type(o).__name__}; give paths, bytes, open files, pairs (y, sr), or pictures"
    )


def _expand(item) -> list:
    """The files that a pattern such as night/*.wav stands for, where no shell has expanded it; anything else as it is."""
    if not isinstance(item, (str, os.PathLike)) or os.path.lexists(item) or not glob.has_magic(os.fspath(item)):
        return [item]
    return sorted(glob.glob(os.path.expanduser(item), recursive=True)) or [item]


def _is_folder(items) -> bool:
    """Whether this is a folder; of addresses, one that is not named like a recording."""
    if is_address(items):
        return not is_audio_name(os.path.basename(items))
    return isinstance(items, (str, os.PathLike)) and os.path.isdir(items)


def list_sources(items) -> tuple[list[str], list]:
    """(a name for each, what to open) of what people predict on: a folder; or recordings, or one, as paths, pairs `(y, sr)` or pictures."""
    if isinstance(items, pd.DataFrame):
        raise ValueError(
            f"a table with the columns {', '.join(map(str, items.columns))} is not a list of recordings; give the column with their "
            "paths, such as [os.path.join(folder, path) for path in table['path']]"
        )
    is_pair = isinstance(items, tuple) and len(items) == 2 and isinstance(items[1], numbers.Real)
    if _is_folder(items):
        items = [as_folder(items) / name for name in find_audio(items)]
    elif is_pair or is_sound(items) or isinstance(items, (Image.Image, Mapping)):
        items = [items]
    sources = [_source(o) for item in items for o in _expand(item)]
    return [o if isinstance(o, str) else f"samples {i}" for i, o in enumerate(sources)], sources


def as_clips(items, column: str = "picture") -> pd.DataFrame:
    """What people predict on, as a table with the column that the loaders read."""
    if isinstance(items, list) and items and isinstance(items[0], pd.Series):  # rows, as `learn.predict` takes one
        items = pd.DataFrame(items).reset_index(drop=True)
    if isinstance(items, pd.DataFrame) and not {column, "path"} & set(items):
        raise ValueError(
            f"the table has the columns {', '.join(map(str, items.columns))}; it needs 'path', the recordings"
        )
    if isinstance(items, pd.DataFrame):
        table = items if column in items else items.assign(**{column: items["path"].map(os.fspath)})
    else:
        names, sources = list_sources(items)
        cells = pd.Series([None] * len(sources), dtype=object)
        for i, source in enumerate(sources):  # one by one: pandas would take an image for a matrix
            cells[i] = source
        table = pd.DataFrame({"path": names, column: cells})
    if not len(table):
        raise ValueError("there is nothing to predict on: no recordings")
    return table
