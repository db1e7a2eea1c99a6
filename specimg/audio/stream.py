"""A recording of any length, window by window: read once from its beginning, never whole in memory.

    for span in stream_spans("night.wav", seconds=5, overlap=2.5):
        span.start, span.end           # 0.0, 5.0; 2.5, 7.5; ...
        span.y, span.sr                # float32 (samples, channels), the very samples of decode("night.wav", span.start, span.end)
        span.reason                    # "", or why there are no samples, and y is None

The file is read forwards only, so that compressed and piped recordings stream like any other. Two windows are
all that is kept. What comes afterwards (mono, another rate, filters, levels) is done to each window by itself, as it is to
a clip: `condition` knows no neighbours. That draws a window as it would be drawn alone, at the price that what windows
share is worked on twice.

The last window ends where the recording does, and overlaps the one before as far as it must: every sample is in a window.
A recording shorter than a window is one window, shorter.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .decode import AudioError, cut_short, open_sound, own_words

__all__ = ["Span", "check_windows", "stream_spans"]

PIECE = 4096  # samples read at once: of a file that breaks off no more than that are lost before the break
MICRO = 1_000_000  # times are kept to the microsecond, as in tables of windows
SMALLEST_STEP = 0.001  # s between two windows
MOST_SAMPLES = 2**27  # of all channels in a window: half a gigabyte; a damaged header may claim any sampling rate


@dataclass(frozen=True, eq=False)
class Span:
    """A window of a recording, or the reason why there is none."""

    start: float  # s in the recording; nan where the recording cannot be opened
    end: float  # s; nan where a recording breaks off and nobody knows what it still held
    y: np.ndarray | None = None  # float32 (samples, channels)
    sr: int = 0  # Hz
    reason: str = ""


def check_windows(seconds: float, overlap: float) -> None:
    """ValueError where these are no windows."""
    if not SMALLEST_STEP <= seconds < math.inf:
        raise ValueError(f"seconds={seconds!r}; give the length of a window, {SMALLEST_STEP} s or more")
    if not 0 <= overlap <= seconds - SMALLEST_STEP:
        raise ValueError(
            f"overlap={overlap!r}; give seconds from 0 up to, but not as long as, the window of {seconds:g} s"
        )


class _Tape:
    """The samples of an open file, read forwards once; the latest of them are kept."""

    def __init__(self, file):
        file.seekable = lambda: False  # or soundfile seeks after each read, at which mp3 decoders lose their thread
        self.file = file
        self.begin = 0  # the first sample kept, counted in the file
        self.kept = np.empty((0, file.channels), np.float32)
        self.trouble = ""  # why reading stopped before the end

    @property
    def end(self) -> int:
        """The first sample that is not read yet."""
        return self.begin + len(self.kept)

    def read_to(self, last: int) -> bool:
        """Read on up to sample `last`; False where the file ends before."""
        import soundfile

        pieces, at = [self.kept], self.end
        while at < last and not self.trouble:
            try:
                piece = self.file.read(min(PIECE, last - at), dtype="float32", always_2d=True)
            except soundfile.SoundFileError as exc:
                self.trouble = f"breaks off while being decoded: {own_words(exc)}"
                break
            if not len(piece):
                break
            pieces.append(piece)
            at += len(piece)
        self.kept = np.concatenate(pieces)
        return at >= last

    def cut(self, first: int, last: int) -> np.ndarray:
        """A copy of the samples `first` to `last`, which later steps may work on in place."""
        return self.kept[first - self.begin : last - self.begin].copy()

    def forget(self, first: int) -> None:
        """Let go of what lies before sample `first`."""
        self.kept, self.begin = self.kept[first - self.begin :], first


def _why_it_ended(tape: _Tape, missing: int) -> str:
    """What a file that is read to its end lacks; "" where it is whole."""
    if tape.trouble:
        return tape.trouble
    if missing:
        return cut_short(missing)
    promised = tape.file.frames
    if promised != 2**63 - 1 and tape.end < promised:  # written into a pipe, a file promises nothing
        return f"is cut short: {tape.end} of the {promised} samples its header promises"
    return "" if tape.end else "holds no samples"


def _spans(file, missing: int, seconds: float, overlap: float) -> Iterator[Span]:
    sr, tape, seen, n = file.samplerate, _Tape(file), 0, 0
    length, step = (
        round(seconds * MICRO),
        round(seconds * MICRO) - round(overlap * MICRO),
    )  # whole numbers: sums of them are exact
    if seconds * sr < 2:
        yield Span(math.nan, math.nan, reason=f"has less than two samples in {seconds:g} s at {sr} Hz")
        return
    if seconds * sr * file.channels > MOST_SAMPLES:
        many = f"has {seconds * sr * file.channels:.0f} samples in a window of {seconds:g} s (at {sr} Hz)"
        yield Span(math.nan, math.nan, reason=f"{many}, too many to draw; give shorter windows")
        return
    while True:
        start, end = n * step / MICRO, (n * step + length) / MICRO
        first, last = round(start * sr), round(end * sr)
        if not tape.read_to(last):
            break
        yield Span(start, end, tape.cut(first, last), sr)
        tape.forget(first)
        seen, n = last, n + 1
    total = tape.end
    ends_at = round(total / sr, 6)
    if total > seen:
        start = round(max(0.0, total / sr - length / MICRO), 6)
        yield Span(start, ends_at, tape.cut(round(start * sr), total), sr)
    reason = _why_it_ended(tape, missing)
    if reason:
        yield Span(ends_at, math.nan, reason=reason)


def stream_spans(path: str | os.PathLike, seconds: float, overlap: float = 0.0) -> Iterator[Span]:
    """The windows of a recording in order, each of `seconds`, the first `overlap` of which are in the window before, too.

    A recording that cannot be opened is one Span with the reason. One that breaks off, or is shorter than its header says, gives
    the windows up to there, and then a Span that begins there, with the reason. The file is closed when the iterator is.

    Raises ValueError where `seconds` and `overlap` are no windows.
    """
    check_windows(seconds, overlap)
    try:
        file, missing = open_sound(path)
    except AudioError as exc:
        yield Span(math.nan, math.nan, reason=exc.reason)
        return
    with file:
        yield from _spans(file, missing, seconds, overlap)
