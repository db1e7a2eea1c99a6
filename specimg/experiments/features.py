"""Clips as rows of numbers instead of pictures: how often they cross zero, how loud, how bright, their mel bands and MFCCs.

    table = feature_table(labels, "freesound/audio_train", Audio(sr=22050))     # path, label, status, zcr_mean, zcr_std ...
    x = table[feature_columns(table)].to_numpy()                                # for a network of plain layers
    print(feature_baseline(table[~table["is_valid"]], table[table["is_valid"]]))     # specimg.experiments.baseline: the score to beat

Each feature is measured in frames, as librosa measures it, and the clip has the mean and the standard deviation over its frames.
A recording that cannot be read is a row whose `status` says why, and whose features are nan.
"""

from __future__ import annotations

import functools
import os
import re

import numpy as np
import pandas as pd
from scipy import fft

from ..audio import Audio, AudioError, read_audio
from ..audio.windows import as_table, times_of
from ..core.files import inside
from ..core.parallel import work_through
from ..core.progress import progress_bar
from ..core.text import examples
from ..core.warnings import warn
from ..spectrogram import Mel

__all__ = ["clip_features", "feature_columns", "feature_table"]

ROLL_SHARE = 0.85  # of a frame's magnitude lies below its roll-off: librosa's own
NO_CROSSING = 1e-10  # samples nearer to 0 are 0, also librosa's
BLOCK = 256  # frames at a time, so that an hour fits into memory
LENIENT_SR = 8000  # Hz, at which settings are tried where no rate is given: the lower, the more bins has a mel filter
_NAMES = re.compile(r"(zcr|rms|centroid|bandwidth|rolloff|mfcc\d+|mel\d+)_(mean|std)")


# ---------------------------------------------------------------------- features of frames


def _starts(n_samples: int, n_fft: int, hop_length: int) -> np.ndarray:
    """The first sample of each frame, the middle of which is sample t * hop_length; it may lie before the clip."""
    n_frames = 1 + (n_samples + 2 * (n_fft // 2) - n_fft) // hop_length
    return np.arange(n_frames) * hop_length - n_fft // 2


def _sums(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sum of `values` from each first to each last (exclusive); there is nothing outside of the clip."""
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return sums[np.clip(last, 0, len(values))] - sums[np.clip(first, 0, len(values))]


def _crossings(y: np.ndarray) -> np.ndarray:
    """bool `(samples,)`: which samples have another sign than the one before."""
    is_negative = np.where(np.abs(y) <= NO_CROSSING, 0, y) < 0
    return np.concatenate([[False], is_negative[1:] != is_negative[:-1]])


def _spectral_shape(y: np.ndarray, sr: int, n_fft: int, hop_length: int) -> np.ndarray:
    """`(3, frames)`: centroid, bandwidth and roll-off of the magnitude, in Hz; 0 for a frame of zeros."""
    window, hz = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft), np.fft.rfftfreq(n_fft, 1 / sr)
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(y.astype(np.float64), n_fft // 2), n_fft)[::hop_length]
    shape = np.empty((3, len(frames)))
    for i in range(0, len(frames), BLOCK):
        magnitude = np.abs(fft.rfft(frames[i : i + BLOCK] * window))
        total = magnitude.sum(axis=1, keepdims=True)
        share = magnitude / np.where(total > 0, total, 1)
        centroid = share @ hz
        bandwidth = np.sqrt((share * np.square(hz - centroid[:, None])).sum(axis=1))
        below = np.cumsum(magnitude, axis=1)
        rolloff = hz[(below >= ROLL_SHARE * below[:, -1:]).argmax(axis=1)]
        shape[:, i : i + BLOCK] = centroid, bandwidth, rolloff
    return shape


def _numbered(name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows as name00, name01 ..., with as many digits as the last one needs."""
    digits = len(str(len(rows) - 1))
    return {f"{name}{i:0{digits}d}": row for i, row in enumerate(rows)}


def _by_frame(y: np.ndarray, sr: int, n_fft: int, hop_length: int, n_mels: int, n_mfcc: int) -> dict[str, np.ndarray]:
    """Each feature `(frames,)`."""
    if not 1 <= n_mfcc <= n_mels:
        raise ValueError(f"n_mfcc={n_mfcc} has to lie between 1 and n_mels={n_mels}")
    mel = Mel(n_mels=n_mels, n_fft=n_fft, hop_length=hop_length, ref=1.0)(y, sr)[0]
    mfcc = fft.dct(mel, axis=0, type=2, norm="ortho")[:n_mfcc]
    first = _starts(len(y), n_fft, hop_length)
    zcr = (
        _sums(_crossings(y), np.maximum(first, 0) + 1, first + n_fft) / n_fft
    )  # a frame's first sample has none before it
    rms = np.sqrt(_sums(np.square(y, dtype=np.float64), first, first + n_fft) / n_fft)
    centroid, bandwidth, rolloff = _spectral_shape(y, sr, n_fft, hop_length)
    found = {"zcr": zcr, "rms": rms, "centroid": centroid, "bandwidth": bandwidth, "rolloff": rolloff}
    return found | _numbered("mfcc", mfcc) | _numbered("mel", mel)


def clip_features(
    y: np.ndarray, sr: int, *, n_fft: int = 2048, hop_length: int = 512, n_mels: int = 64, n_mfcc: int = 20
) -> dict[str, float]:
    """What a clip sounds like on average: mean and standard deviation over frames of each feature, with librosa's numbers.

    `zcr` (changes of sign a sample), `rms`, `centroid`, `bandwidth` and `rolloff` (Hz), `mfcc00` ..., and `mel00` ... (dB of power,
    at most 80 below the loudest); each with `_mean` and `_std`.

    Raises ValueError for mel filters that are too narrow for `n_fft`, and samples whose power overflows.
    """
    found = _by_frame(np.asarray(y, np.float32), sr, n_fft, hop_length, n_mels, n_mfcc)
    rows = np.stack(list(found.values()))
    names = [f"{name}_{what}" for name in found for what in ("mean", "std")]
    return dict(zip(names, np.stack([rows.mean(axis=1), rows.std(axis=1)], axis=1).ravel().tolist()))


# ---------------------------------------------------------------------- tables


def _features_of(folder, audio: Audio, settings: dict, clip: tuple) -> dict:
    """One row: features and status "ok", or only a status that says what is wrong with the recording."""
    path, start, end = clip
    try:
        y, sr = read_audio(os.path.join(folder, path), audio, start=start, end=end)
        return {"status": "ok", **clip_features(y, sr, **settings)}
    except AudioError as exc:
        return {"status": exc.reason}
    except ValueError as exc:
        return {"status": str(exc)}


def _features_of_chunk(folder, audio: Audio, settings: dict, clips: list[tuple]) -> list[dict]:
    """What a worker runs."""
    return [_features_of(folder, audio, settings, clip) for clip in clips]


def feature_columns(table: pd.DataFrame) -> list[str]:
    """The columns of `table` that hold features, in their order."""
    return [name for name in table if _NAMES.fullmatch(str(name))]


def feature_table(
    clips,
    folder: str | os.PathLike = ".",
    audio: Audio = Audio(),
    *,
    n_jobs: int = -1,
    progress: bool = True,
    **settings,
) -> pd.DataFrame:
    """The features of every recording, or of its span, as a table.

    Parameters
    ----------
    clips : a table with the column `path` and where known `start, end` (seconds), a list of paths, or a folder
    folder : what the paths are below
    audio : how recordings are read
    n_jobs : processes, as in `render_tree`
    settings : n_fft, hop_length, n_mels, n_mfcc of `clip_features`

    Returns
    -------
    The table with the columns `status` ("ok", or why there are no features) and those of `clip_features`, in the order of its rows

    Raises ValueError for a table without `path` and names that lead out of `folder`; warns of recordings without features.
    """
    table, folder = as_table(clips, folder)
    clip_features(
        np.zeros(1, np.float32), audio.sr or LENIENT_SR, **settings
    )  # wrong settings are no fault of each file
    spans = [tuple(None if second != second else second for second in span) for span in times_of(table)]
    todo = [(inside(folder, path), *span) for path, span in zip(table["path"], spans)]
    work, rows = functools.partial(_features_of_chunk, os.fspath(folder), audio, settings), []
    with progress_bar(len(todo), "features", progress) as bar:
        for some in work_through(work, todo, n_jobs):
            rows += some
            bar.update(len(some))
    found = pd.DataFrame(rows, index=table.index)
    bad = found["status"] != "ok"
    if bad.any():
        reasons = [f"{path}: {reason}" for path, reason in zip(table["path"][bad], found["status"][bad])]
        warn(
            f"{int(bad.sum())} of {len(bad)} clips have no features ({examples(reasons, mark='; ')}); see the column 'status'"
        )
    return pd.concat([table.drop(columns=[name for name in found if name in table]), found], axis=1)
