"""How long the clips are that a classifier learnt, and which recordings are far longer: two minutes squeezed into the picture of half a second.

`save_classifier` keeps the length of the longest clip of training as "longest_clip" among what it knows of the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..audio import AudioError
from ..audio.readers import open_recording
from ..core.text import count, examples
from ..core.warnings import warn
from ..data import NetworkInput
from ..data.images import EncodedSound, Samples
from ..labels.tables import clip_index

FAR = 3  # times as long as the longest clip of training
MOST_HEADERS = 200  # that are read to know how long clips are which were never drawn


def about_seconds(source: Any) -> float | None:
    """How long a recording is, by its header; None for a picture, and where that does not tell or it cannot be read."""
    if isinstance(source, Samples):
        return np.shape(source.y)[-1] / source.sr if source.sr and np.ndim(source.y) else None
    source = source.data if isinstance(source, EncodedSound) else source
    if not isinstance(source, (str, bytes)):
        return None
    try:
        with open_recording(source) as reader:
            return reader.about_seconds
    except AudioError:  # its row says why
        return None


def longest_clip(dls: Any) -> float | None:
    """Seconds of the longest clip of training: of what was drawn, else by the headers of some recordings; None where nothing tells."""
    clips, tree = dls.train.clips, getattr(dls, "tree", None)
    if tree is not None:
        drawn = tree.originals
        lengths = pd.Series(drawn["duration"].to_numpy(float), clip_index(drawn)).reindex(clip_index(clips)).to_numpy()
    elif "recording" in clips:
        some = clips.iloc[np.unique(np.linspace(0, len(clips) - 1, MOST_HEADERS).astype(int))]
        whole = np.array([about_seconds(path) or np.nan for path in some["recording"]])
        spans = clip_index(some).to_frame()
        lengths = np.where(spans["end"].isna(), whole, spans["end"] - spans["start"].fillna(0))
    else:
        return None
    return float(np.nanmax(lengths)) if np.isfinite(lengths).any() else None


def learnt_seconds(read: NetworkInput, training: dict) -> float | None:
    """Seconds of the longest clip that a classifier learnt; None for one saved before that was kept, if its input does not tell."""
    kept = training.get("longest_clip")
    if isinstance(kept, (int, float)) and kept > 0:
        return float(kept)
    return read.audio.duration or (read.seconds * read.windows if read.seconds else None)


def warn_far_longer(read: NetworkInput, training: dict, names: Sequence[str], sources: Sequence) -> None:
    """Say which recordings are far longer than the clips that were learnt, and what predicts them window by window."""
    learnt = learnt_seconds(read, training)
    if learnt is None:
        return
    lengths = [(name, about_seconds(source) or 0) for name, source in zip(names, sources)]
    far = [f"{name} lasts {seconds:g} s" for name, seconds in lengths if seconds > FAR * learnt]
    if far:
        warn(
            f"{count(len(far), 'recording')} far longer than the clips that this classifier learnt, which last {learnt:.3g} s at most "
            f"({examples(far)}); predict takes each as one clip: predict_windows listens to all of it, window by window"
        )
