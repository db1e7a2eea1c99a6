"""New recordings become what a network is given, in memory: PNGs for one that looks, samples for one that listens.

    for ready, trouble in prepare_all(Renderer(Mel()), ["a.wav", "b.ogg"], n_jobs=2):
        ...                                   # ready: the very bytes that `render_tree` would store; None where there is trouble

Order is kept, a bad recording is a reason and never the end, and at most a few hundred inputs wait at a time. Worker processes
draw and read only, so that they start without torch.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ..audio import Audio, AudioError
from ..audio.read import condition, read_clip
from ..core.parallel import map_chunks
from .renderer import Renderer, as_channels

__all__ = ["MOST_SAMPLES", "prepare", "prepare_all"]

MOST_SAMPLES = 2**27  # of all channels in one recording: 50 minutes of mono at 44.1 kHz, half a gigabyte as floats
ROUND = 256  # recordings that are prepared before the next are begun: what waits for the network stays small


def _check_length(path) -> None:
    """AudioError where a recording is too long for one picture; silent where it is none, or no plain file, which reading will say."""
    import soundfile

    if not os.path.isfile(path):  # to look into a pipe would wait for somebody to write
        return
    try:
        info = soundfile.info(path if os.name == "nt" else os.fsencode(path))
    except (soundfile.SoundFileError, OSError):
        return
    if info.frames * info.channels > MOST_SAMPLES:
        raise AudioError(
            path,
            f"lasts {info.frames / info.samplerate:.0f} s ({info.frames * info.channels} samples), too long for one answer; "
            f"cut it into windows (predict_windows)",
        )


def _read_samples(y, sr, audio: Audio) -> np.ndarray:
    """Samples in memory as `audio` says; ValueError where they are none."""
    if np.ndim(sr) or sr < 1 or sr != int(sr):
        raise ValueError(f"sampling rate {sr!r}: give a whole number of samples a second, 1 or more")
    return condition(as_channels(y), int(sr), audio)[0]


def prepare(look: Renderer | Audio, source) -> bytes | np.ndarray:
    """A recording (a path, or a pair `(y, sr)`) as the PNG that a renderer draws, or as the samples `(samples,)` that `Audio` asks for.

    Raises ValueError, AudioError above all, with the reason.
    """
    if isinstance(source, (str, os.PathLike)):
        _check_length(source)
        return look.png(source) if isinstance(look, Renderer) else read_clip(source, look).y
    if not isinstance(source, tuple):
        raise ValueError(f"a {type(source).__name__} is no recording; give paths or pairs (y, sr)")
    y, sr = source
    return look.png(y, sr) if isinstance(look, Renderer) else _read_samples(y, sr, look)


def _prepare_one(look: Renderer | Audio, source) -> tuple[bytes | np.ndarray | None, str]:
    """(what the network is given, "") or (None, why not)."""
    try:
        return prepare(look, source), ""
    except ValueError as exc:  # an AudioError has its reason without the path
        return None, getattr(exc, "reason", str(exc))
    except ImportError:
        raise  # a package that is not installed is no fault of the recording
    except Exception as exc:  # whatever else one recording does must not end the run
        return None, f"{type(exc).__name__}: {exc}"


def _prepare_some(look: Renderer | Audio, sources: Sequence) -> list[tuple[bytes | np.ndarray | None, str]]:
    """What a worker runs."""
    return [_prepare_one(look, source) for source in sources]


def prepare_all(
    look: Renderer | Audio, sources: Sequence, n_jobs: int = 1
) -> Iterator[tuple[bytes | np.ndarray | None, str]]:
    """Yield (what the network is given, "") or (None, the reason) for each source, in order.

    n_jobs : processes, as joblib counts them; they are started only where more than a few seconds of work are left
    """
    work = functools.partial(_prepare_some, look)
    for first in range(0, len(sources), ROUND):
        for done in map_chunks(work, list(sources[first : first + ROUND]), n_jobs):
            yield from done
