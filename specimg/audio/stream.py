"""A recording of any length, window by window: read once from its beginning, never as a whole in memory.

    for span in stream_spans("night.wav", seconds=5, overlap=2.5):
        span.start, span.end           # 0.0, 5.0; 2.5, 7.5; ...
        span.y, span.sr                # float32 (samples, channels), the very samples of decode("night.wav", span.start, span.end)
        span.reason                    # "", or why there are no samples, and y is None

The file is read forwards only, so that compressed and piped recordings stream like any other, and no more than two windows are
in memory. What comes afterwards (mono, resampling, filters, levels) is done to each window by itself, as it is to a clip. So a
window is drawn as it would be drawn alone, and the overlap of two windows is processed twice.

The last window ends with the recording and overlaps the one before as far as it must: every sample is in a window.
A recording shorter than a window is one, shorter, window.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .errors import AudioError, UnreadableError
from .readers import Reader, open_recording

MICRO = 1_000_000  # times are kept to the microsecond, as in tables of windows
MIN_STEP = 0.001  # s between two windows
MAX_SAMPLES = 2**27  # of all channels in a window: half a gigabyte; a damaged header may claim any sampling rate


@dataclass(frozen=True, eq=False)
class Span:
    """A window of a recording, or the reason why there is none.

    Parameters
    ----------
    start : float
        Seconds in the recording; nan if it cannot be opened.
    end : float
        Seconds; nan if a recording breaks off, since its full length is unknown.
    y : np.ndarray, optional
        float32 `(samples, channels)`; None if there are no samples.
    sr : int, default 0
        Sampling rate in Hz.
    reason : str, default ""
        Why there are no samples.
    """

    start: float
    end: float
    y: np.ndarray | None = None
    sr: int = 0
    reason: str = ""


def check_windows(seconds: float, overlap: float) -> None:
    """ValueError unless `seconds` and `overlap` (s) make windows."""
    if not MIN_STEP <= seconds < math.inf:
        raise ValueError(f"seconds={seconds!r}; give the length of a window, {MIN_STEP} s or more")
    if not 0 <= overlap <= seconds - MIN_STEP:
        raise ValueError(
            f"overlap={overlap!r}; give seconds from 0 up to, but not as long as, the window of {seconds:g} s"
        )


class _Window:
    """The latest samples of an open recording, which is read forwards once."""

    def __init__(self, reader: Reader):
        self.reader = reader
        self.begin = 0  # the first sample kept, counted in the recording
        self.kept = np.empty((0, reader.channels), np.float32)

    @property
    def end(self) -> int:
        """The first sample that is not read yet."""
        return self.begin + len(self.kept)

    def read_to(self, last: int) -> bool:
        """Read on up to sample `last`; False if the recording ends before."""
        pieces, at = [self.kept], self.end
        while at < last and len(piece := self.reader.read(min(self.reader.block, last - at))):
            pieces.append(piece)
            at += len(piece)
        self.kept = np.concatenate(pieces)
        return at >= last

    def cut(self, first: int, last: int) -> np.ndarray:
        """A copy of the samples `first` to `last`, which later steps may change in place."""
        return self.kept[first - self.begin : last - self.begin].copy()

    def forget(self, first: int) -> None:
        """Drop the samples before `first`."""
        self.kept, self.begin = self.kept[first - self.begin :], first


def _stream(reader: Reader, seconds: float, overlap: float) -> Iterator[Span]:
    sr, window, seen, n = reader.sr, _Window(reader), 0, 0
    length = round(seconds * MICRO)
    step = length - round(overlap * MICRO)  # whole numbers: sums of them are exact
    if seconds * sr < 2:
        yield Span(math.nan, math.nan, reason=f"has less than two samples in {seconds:g} s at {sr} Hz")
        return
    if seconds * sr * reader.channels > MAX_SAMPLES:
        many = f"has {seconds * sr * reader.channels:.0f} samples in a window of {seconds:g} s (at {sr} Hz)"
        yield Span(math.nan, math.nan, reason=f"{many}, too many to draw; give shorter windows")
        return
    while True:
        start, end = n * step / MICRO, (n * step + length) / MICRO
        first, last = round(start * sr), round(end * sr)
        if not window.read_to(last):
            break
        yield Span(start, end, window.cut(first, last), sr)
        window.forget(first)
        seen, n = last, n + 1
    total = window.end
    ends_at = round(total / sr, 6)
    if total > seen:
        start = round(max(0.0, total / sr - length / MICRO), 6)
        yield Span(start, ends_at, window.cut(round(start * sr), total), sr)
    reason = reader.problem or ("" if total else "holds no samples")
    if reason:
        yield Span(ends_at, math.nan, reason=reason)


def stream_spans(path: str | os.PathLike, seconds: float, overlap: float = 0.0) -> Iterator[Span]:
    """Yield the windows of a recording in order.

    Parameters
    ----------
    path : str or os.PathLike
        The recording, or its address in a store.
    seconds : float
        Length of a window in seconds, 0.001 or more.
    overlap : float, default 0.0
        Seconds that a window shares with the one before.

    Yields
    ------
    Span
        A window with its samples. A recording that cannot be opened is one Span with the reason. One that breaks off, or is shorter
        than its header says, gives the windows up to there, and then a Span that begins there, with the reason.

    Raises
    ------
    ValueError
        If `seconds` and `overlap` make no windows.

    Examples
    --------
    >>> from specimg.audio.stream import stream_spans
    >>> [(span.start, span.end, span.y.shape) for span in stream_spans("night.wav", seconds=3, overlap=1)]
    [(0.0, 3.0, (24000, 1)), (1.0, 4.0, (24000, 1))]
    """
    check_windows(seconds, overlap)
    try:
        reader = open_recording(path)
    except AudioError as exc:
        yield Span(math.nan, math.nan, reason=exc.reason)
        return
    with reader:
        try:
            yield from _stream(reader, seconds, overlap)
        except UnreadableError as exc:  # its store is gone
            yield Span(round(reader.at / reader.sr, 6), math.nan, reason=exc.reason)
