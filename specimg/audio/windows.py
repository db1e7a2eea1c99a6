"""Windows of recordings as rows of a table: `path, start, end`, which the renderer and the loaders take.

    night = cut_windows("night/", seconds=5, overlap=2.5)                          # every recording below a folder
    table = cut_windows(labels, seconds=5, folder="birds/audio", rest="shift")     # a label table; windows inherit its columns
    tree = render_tree("night/", renderer, segments=night)
    dls = SpecDataLoaders.from_df(table, "birds", folder="audio", start_col="start", end_col="end")

    quiet = silence_clips("speech/_background_noise_", n=200, root="speech")        # a class of its own
    table = pd.concat([words, quiet], ignore_index=True)                           # words: a table of whole recordings below speech/

Only headers are read, where they tell the length (mp3 and m4a are decoded). Windows keep the `path` of their recording, by which folds and splits keep them together. With
`Audio(duration=seconds)` all pictures of one sampling rate have the same width.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.files import inside
from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from .decode import DAMAGED, recording_seconds
from .errors import AudioError
from .find import find_audio

if TYPE_CHECKING:
    import pandas as pd

RESTS = ("drop", "keep", "shift")
MIN_REST = 0.01  # of a window: less than that at the end of a recording is left out
DIGITS = 6  # times are kept to the microsecond, as in the names of pictures


def _check_seconds(seconds: float) -> None:
    if not 0 < seconds < math.inf:
        raise ValueError(f"seconds={seconds!r}; give the length of a window, above 0")


# ---------------------------------------------------------------------- windows


def _windows_in(length: float, seconds: float, step: float, rest: str) -> list[tuple[float, float]]:
    """(start, end) of the windows in `length` seconds.

    >>> _windows_in(10.0, 4.0, 4.0, "drop")
    [(0.0, 4.0), (4.0, 8.0)]
    >>> _windows_in(10.0, 4.0, 4.0, "keep")[-1], _windows_in(10.0, 4.0, 4.0, "shift")[-1]
    ((8.0, 10.0), (6.0, 10.0))
    """
    n = max(0, math.floor((length - seconds) / step + 1e-6) + 1)
    spans = [(i * step, i * step + seconds) for i in range(n)]
    left = length - spans[-1][1] if spans else length
    if rest != "drop" and (not spans or left > MIN_REST * seconds):
        spans.append((n * step if rest == "keep" else max(0.0, length - seconds), length))
    return spans


def as_table(
    clips: pd.DataFrame | str | os.PathLike | Iterable, folder: str | os.PathLike
) -> tuple[pd.DataFrame, str | os.PathLike]:
    """A table with the column `path` from one, from a list of paths or from a folder; and the folder that its names are below."""
    import pandas as pd

    if isinstance(clips, (str, os.PathLike)):
        clips, folder = find_audio(clips), clips
    if not isinstance(clips, pd.DataFrame):
        clips = pd.DataFrame({"path": [os.fspath(path) for path in clips]}, dtype=object)
    if "path" not in clips:
        raise ValueError(
            f"the table has the columns {', '.join(map(str, clips.columns))}; it needs 'path', the recordings"
        )
    if ("start" in clips) != ("end" in clips):
        raise ValueError("the table has one of the columns start and end; a span needs both")
    if not len(clips):
        raise ValueError("the table has no rows; give at least one recording")
    return clips, folder


def times_of(table: pd.DataFrame) -> list[tuple[float, float]]:
    """(start, end) of each row in seconds, nan if it is the whole recording."""
    if "start" not in table:
        return [(math.nan, math.nan)] * len(table)
    return list(zip(table["start"].astype(float), table["end"].astype(float)))


def _cut(span: tuple[float, float], length: float, seconds: float, step: float, rest: str) -> list[tuple[float, float]]:
    """The windows in a span, nan for the ends of the recording; a span that lies behind its end stays as it is."""
    first = 0.0 if math.isnan(span[0]) else span[0]
    last = length if math.isnan(span[1]) else min(span[1], length)
    if not first < last:
        return [span]
    return [(first + start, first + end) for start, end in _windows_in(last - first, seconds, step, rest)]


def cut_windows(
    clips: pd.DataFrame | str | os.PathLike | Iterable,
    seconds: float,
    overlap: float = 0.0,
    *,
    folder: str | os.PathLike = ".",
    rest: str = "drop",
    damaged: str = "error",
) -> pd.DataFrame:
    """Cut recordings into windows of `seconds`, each of which shares `overlap` seconds with the one before.

    Parameters
    ----------
    clips : DataFrame, str, os.PathLike or iterable
        A table with the column `path`, a folder, or a list of paths. If a row has `start` and `end` (s), only that span is cut.
    seconds : float
        Length of a window.
    overlap : float, default 0.0
        Seconds, below `seconds`.
    folder : str or os.PathLike, default "."
        The folder that the paths of a table or a list are relative to.
    rest : str, default "drop"
        What becomes of a recording's end, and of recordings shorter than a window: "drop" leaves them out, and a warning counts the
        recordings that are lost; "keep" makes a shorter window; "shift" moves the last window back until it ends with the recording.
    damaged : str, default "error"
        As in `Audio`: a recording that breaks off is not cut, or, "partial", it is cut up to there.

    Returns
    -------
    DataFrame
        A row for each window, with `start` and `end` (s, to the microsecond) and all columns of the recording's row. A recording
        that cannot be read keeps its row as it is, so that drawing it reports the reason.

    Raises
    ------
    ValueError
        For impossible numbers, a table without `path`, and names that lead out of `folder`.

    Examples
    --------
    >>> sp.cut_windows(["night.wav"], seconds=2, overlap=1)
            path  start  end
    0  night.wav    0.0  2.0
    1  night.wav    1.0  3.0
    2  night.wav    2.0  4.0
    """
    _check_seconds(seconds)
    if not 0 <= overlap < seconds:
        raise ValueError(
            f"overlap={overlap!r}; give seconds from 0 up to, but not as long as, the window of {seconds:g} s"
        )
    choose(rest, RESTS, "rest")
    choose(damaged, DAMAGED, "damaged")
    table, folder = as_table(clips, folder)
    length_of = functools.lru_cache(maxsize=None)(functools.partial(recording_seconds, damaged=damaged))
    rows, spans, short = [], [], []
    for row, (path, span) in enumerate(zip(table["path"], times_of(table))):
        file = os.path.join(folder, inside(folder, path))
        try:
            found = _cut(span, length_of(file), seconds, seconds - overlap, rest)
        except AudioError:
            found = [span]
        rows += [row] * len(found)
        spans += found
        short += [] if found else [path]
    if short:
        warn(
            f"{len(short)} of {count(len(table), 'clip')} shorter than a window of {seconds:g} s and left out ({examples(short)}); "
            "rest='keep' or 'shift' takes them as they are"
        )
    times = np.round(np.array(spans, float).reshape(-1, 2), DIGITS)
    return table.iloc[rows].reset_index(drop=True).assign(start=times[:, 0], end=times[:, 1])


# ---------------------------------------------------------------------- silence


def _lengths(folder: str | os.PathLike, seconds: float) -> dict[str, float]:
    """Seconds of each recording below `folder` that holds a window; a warning counts the others."""
    lengths, useless = {}, []
    for name in find_audio(folder):
        try:
            length = recording_seconds(os.path.join(folder, name))
        except AudioError:
            length = 0.0
        if length >= seconds:
            lengths[name] = length
        else:
            useless.append(name)
    if not lengths:
        raise ValueError(
            f"{os.fspath(folder)!r} holds no recording of {seconds:g} s or more that can be read; "
            f"there is nothing to cut silence from"
        )
    if useless:
        warn(
            f"{count(len(useless), 'recording')} shorter than {seconds:g} s or not readable, not used ({examples(useless)})"
        )
    return lengths


def _allocate(n: int, lengths: dict[str, float]) -> dict[str, int]:
    """`n` windows for recordings in proportion to their lengths; the largest remainders get what is left.

    >>> _allocate(4, {"a.wav": 10.0, "b.wav": 20.0})
    {'a.wav': 1, 'b.wav': 3}
    """
    exact = {name: n * length / sum(lengths.values()) for name, length in lengths.items()}
    counts = {name: int(share) for name, share in exact.items()}
    for name in sorted(exact, key=lambda name: counts[name] - exact[name])[: n - sum(counts.values())]:
        counts[name] += 1
    return counts


def silence_clips(
    folder: str | os.PathLike,
    n: int | None = None,
    seconds: float = 1.0,
    *,
    label: str = "silence",
    root: str | os.PathLike | None = None,
) -> pd.DataFrame:
    """Windows of background recordings as rows of a class of their own: `path, start, end, label`.

    They spread evenly over the recordings, in proportion to their lengths, and over each recording.

    Parameters
    ----------
    folder : str or os.PathLike
        Recordings of background, such as `_background_noise_` of Speech Commands.
    n : int, optional
        Number of windows; more than lie side by side overlap. Default as many as lie side by side.
    seconds : float, default 1.0
        Length of a window.
    label : str, default "silence"
        The label of all rows.
    root : str or os.PathLike, optional
        What the paths in the table are below; default `folder`.

    Returns
    -------
    DataFrame
        `path, start, end` (s) and `label`, one row a window.

    Raises
    ------
    ValueError
        If no recording holds a window; a warning counts those that do not.

    Examples
    --------
    >>> sp.silence_clips("clips/dog", n=2, seconds=0.2, root="clips").head(2)
               path  start  end    label
    0  dog/dog0.wav    0.0  0.2  silence
    1  dog/dog1.wav    0.0  0.2  silence
    """
    import pandas as pd

    _check_seconds(seconds)
    if n is not None and n < 1:
        raise ValueError(f"n={n}; give the number of windows, 1 or more, or None for as many as lie side by side")
    lengths = _lengths(folder, seconds)
    windows = (
        {name: math.floor(length / seconds + 1e-9) for name, length in lengths.items()}
        if n is None
        else _allocate(n, lengths)
    )
    below = folder if root is None else root
    rows = []
    for name, k in windows.items():
        path = inside(below, Path(folder).absolute() / name)
        for start in np.linspace(0, lengths[name] - seconds, k):
            rows.append((path, round(float(start), DIGITS), round(float(start) + seconds, DIGITS), label))
    return pd.DataFrame(rows, columns=["path", "start", "end", "label"])
