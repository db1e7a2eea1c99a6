"""Recordings as rows of numbers instead of pictures: zero crossings, loudness, spectral shape, MFCCs and mel bands.

    table = feature_table(labels, "freesound/audio_train", Audio(sr=22050))     # path, label, status, zcr_mean, zcr_std ...
    x = table[feature_columns(table)].to_numpy()                                # for scikit-learn, or a network of dense layers
    print(feature_baseline(table[~table["is_valid"]], table[table["is_valid"]]))

Each feature is computed in frames by librosa; a clip has the mean and the standard deviation over its frames. A recording that cannot be
read is a row whose `status` gives the reason, and whose features are nan.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..audio import Audio, AudioError, read_audio
from ..audio.windows import as_table, times_of
from ..core.files import inside
from ..core.parallel import map_chunks
from ..core.progress import progress_bar
from ..core.samples import as_floats
from ..core.text import examples
from ..core.warnings import warn
from ..spectrogram import Mel

BLOCK = 4096  # frames at a time, so that an hour fits into memory
LENIENT_SR = 8000  # Hz, at which settings are checked where no sampling rate is given: at low rates mel filters have the most bins
_NAMES = re.compile(r"(zcr|rms|centroid|bandwidth|rolloff|mfcc\d+|mel\d+)_(mean|std)")


# ---------------------------------------------------------------------- features of frames


_SHAPES = ("zcr", "rms", "centroid", "bandwidth", "rolloff")


def _shapes(y: np.ndarray, sr: int, n_fft: int, hop_length: int) -> np.ndarray:
    """`(5, frames)`, in the order of `_SHAPES`: librosa's centred frames, a block of them at a time."""
    from librosa import feature, stft

    padded, edged = np.pad(y, n_fft // 2), np.pad(y, n_fft // 2, mode="edge")
    framing = dict(frame_length=n_fft, hop_length=hop_length, center=False)
    blocks = []
    for start in range(0, len(padded) - n_fft + 1, BLOCK * hop_length):
        span = slice(start, start + (BLOCK - 1) * hop_length + n_fft)
        S = np.abs(stft(padded[span], n_fft=n_fft, hop_length=hop_length, center=False))
        rows = [feature.zero_crossing_rate(edged[span], **framing), feature.rms(y=padded[span], **framing)]
        for shape in (feature.spectral_centroid, feature.spectral_bandwidth, feature.spectral_rolloff):
            rows.append(shape(S=S, sr=sr, n_fft=n_fft))
        blocks.append(np.concatenate(rows))
    return np.concatenate(blocks, axis=1)


def _numbered(name: str, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Rows as name00, name01 ..., with as many digits as the last one needs."""
    digits = len(str(len(rows) - 1))
    return {f"{name}{i:0{digits}d}": row for i, row in enumerate(rows)}


def _by_frame(y: np.ndarray, sr: int, n_fft: int, hop_length: int, n_mels: int, n_mfcc: int) -> dict[str, np.ndarray]:
    """Each feature `(frames,)`."""
    from librosa.feature import mfcc

    if not 1 <= n_mfcc <= n_mels:
        raise ValueError(f"n_mfcc={n_mfcc} has to lie between 1 and n_mels={n_mels}")
    mel = Mel(n_mels=n_mels, n_fft=n_fft, hop_length=hop_length, ref=1.0)(y, sr)[0]
    found = dict(zip(_SHAPES, _shapes(y, sr, n_fft, hop_length)))
    return found | _numbered("mfcc", mfcc(S=mel, n_mfcc=n_mfcc)) | _numbered("mel", mel)


def clip_features(
    y: np.ndarray, sr: int, *, n_fft: int = 2048, hop_length: int = 512, n_mels: int = 64, n_mfcc: int = 20
) -> dict[str, float]:
    """Mean and standard deviation over frames of a clip's features, with librosa's numbers.

    Parameters
    ----------
    y : ndarray of shape (samples,)
        Samples.
    sr : int
        Sampling rate in Hz.
    n_fft : int, default 2048
        Samples per frame.
    hop_length : int, default 512
        Samples from frame to frame.
    n_mels : int, default 64
        Mel bands.
    n_mfcc : int, default 20
        Cepstral coefficients, at most `n_mels`.

    Returns
    -------
    dict of str to float
        `zcr` (changes of sign per sample), `rms`, `centroid`, `bandwidth` and `rolloff` (Hz), `mfcc00` ..., `mel00` ... (dB of power, at
        most 80 below the loudest); each with `_mean` and `_std`.

    Raises
    ------
    ValueError
        Mel filters are too narrow for `n_fft`, or the power of the samples overflows.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")
    >>> features = sp.experiments.clip_features(y, sr)
    >>> len(features), round(features["rms_mean"], 1)
    (178, 0.3)
    """
    found = _by_frame(as_floats(y).astype(np.float32, copy=False), sr, n_fft, hop_length, n_mels, n_mfcc)
    rows = np.stack(list(found.values()))
    names = [f"{name}_{what}" for name in found for what in ("mean", "std")]
    return dict(zip(names, np.stack([rows.mean(axis=1), rows.std(axis=1)], axis=1).ravel().tolist()))


# ---------------------------------------------------------------------- tables


def _features_of(folder, audio: Audio, settings: dict, clip: tuple) -> dict:
    """One row: status "ok" and features, or only a status that gives the reason."""
    path, start, end = clip
    try:
        y, sr = read_audio(os.path.join(folder, path), audio, start=start, end=end)
        return {"status": "ok", **clip_features(y, sr, **settings)}
    except AudioError as exc:
        return {"status": exc.reason}
    except ValueError as exc:
        return {"status": str(exc)}


def _features_of_chunk(folder, audio: Audio, settings: dict, clips: list[tuple]) -> list[dict]:
    """The work of one call of a worker."""
    return [_features_of(folder, audio, settings, clip) for clip in clips]


def feature_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that hold features, in order.

    Parameters
    ----------
    table : DataFrame
        As `feature_table` gives it.

    Returns
    -------
    list of str

    Examples
    --------
    >>> sp.experiments.feature_columns(pd.DataFrame(columns=["path", "zcr_mean", "mel00_std"]))
    ['zcr_mean', 'mel00_std']
    """
    return [name for name in table if _NAMES.fullmatch(str(name))]


def feature_table(
    clips: pd.DataFrame | Iterable[str | os.PathLike] | str | os.PathLike,
    folder: str | os.PathLike = ".",
    audio: Audio = Audio(),
    *,
    n_jobs: int = -1,
    progress: bool = True,
    **settings: int,
) -> pd.DataFrame:
    """The features of every recording, or of its span, as a table.

    Parameters
    ----------
    clips : DataFrame, iterable of str or path-like, or a folder
        A table with the column `path` and, where rows are windows, `start` and `end` in seconds; or paths; or a folder of recordings.
    folder : str or path-like, default "."
        Root of the paths.
    audio : Audio, default Audio()
        How recordings are read.
    n_jobs : int, default -1
        Processes, as in `render_tree`.
    progress : bool, default True
        Show a progress bar.
    **settings : int
        `n_fft`, `hop_length`, `n_mels`, `n_mfcc` of `clip_features`.

    Returns
    -------
    DataFrame
        The table with the columns `status` ("ok", or why there are no features) and those of `clip_features`, in the order of its rows.

    Raises
    ------
    ValueError
        The table has no column `path`, a name leads out of `folder`, or settings are invalid.

    Examples
    --------
    >>> table = sp.experiments.feature_table(sp.labels_from_folders("clips"), "clips", progress=False)
    >>> table.shape, set(table["status"])
    ((12, 181), {'ok'})
    """
    table, folder = as_table(clips, folder)
    # wrong settings are an error now, not a status of each file
    clip_features(np.zeros(1, np.float32), audio.sr or LENIENT_SR, **settings)
    spans = [tuple(None if second != second else second for second in span) for span in times_of(table)]
    todo = [(inside(folder, path), *span) for path, span in zip(table["path"], spans)]
    work, rows = functools.partial(_features_of_chunk, os.fspath(folder), audio, settings), []
    with progress_bar(len(todo), "features", progress) as bar:
        for some in map_chunks(work, todo, n_jobs):
            rows += some
            bar.update(len(some))
    found = pd.DataFrame(rows, index=table.index)
    invalid = found["status"] != "ok"
    if invalid.any():
        reasons = [f"{path}: {reason}" for path, reason in zip(table["path"][invalid], found["status"][invalid])]
        warn(
            f"{int(invalid.sum())} of {len(invalid)} clips have no features ({examples(reasons, mark='; ')}); see the column 'status'"
        )
    return pd.concat([table.drop(columns=[name for name in found if name in table]), found], axis=1)
