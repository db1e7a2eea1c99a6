"""New recordings become the input of a network, in memory: PNGs for networks of pictures, samples for networks of waveforms.

    for prepared, reason in prepare_all(Renderer(Mel()), ["a.wav", "b.ogg"], n_jobs=2):
        ...                                   # the very bytes that `render_tree` would store, or None and the reason

Order is kept, an unreadable recording never ends the run, and at most a few hundred inputs are in memory. Workers only read and
draw, so that they start without torch.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike

from ..audio import Audio
from ..audio.read import condition, read_clip
from ..audio.readers import Sound, is_sound, name_of
from ..core.parallel import map_chunks
from ..core.warnings import warn
from .manifest import PARTIAL
from .renderer import Renderer, as_channels

MAX_SAMPLES = 2**27  # of all channels in one recording: 50 minutes of mono at 44.1 kHz, half a gigabyte as floats
ROUND = 256  # recordings that are prepared before the next are begun, which bounds what waits for the network in memory


Source = Sound | tuple[ArrayLike, int]


def _condition_samples(y: ArrayLike, sr: int, audio: Audio) -> np.ndarray:
    """Samples in memory as `audio` asks for them; ValueError if they are none."""
    if np.ndim(sr) or sr < 1 or sr != int(sr):
        raise ValueError(f"sampling rate {sr!r}: give a whole number of samples a second, 1 or more")
    return condition(as_channels(y), int(sr), audio)[0]


def _prepared(reader: Renderer | Audio, source: Source) -> tuple[bytes | np.ndarray, str]:
    """(what `prepare` returns, why it is partial or "")."""
    if is_sound(source):
        clip = read_clip(source, reader.audio if isinstance(reader, Renderer) else reader, most=MAX_SAMPLES)
        return reader.encode(clip) if isinstance(reader, Renderer) else clip.y, clip.problem
    if not isinstance(source, tuple):
        raise ValueError(f"a {type(source).__name__} is not a recording; give paths or pairs (y, sr)")
    y, sr = source
    return reader.png(y, sr) if isinstance(reader, Renderer) else _condition_samples(y, sr, reader), ""


def prepare(reader: Renderer | Audio, source: Source) -> bytes | np.ndarray:
    """Prepare one recording for a network.

    Parameters
    ----------
    reader : Renderer or Audio
        A renderer draws; `Audio` reads only.
    source : str, os.PathLike, bytes, file or tuple
        Path of a recording, its bytes, or a file that is open in binary mode; or a pair `(y, sr)` of samples and their sampling rate in Hz.

    Returns
    -------
    bytes or np.ndarray
        The PNG that the renderer draws, or float32 `(samples,)`. A warning says if a damaged recording was read as far as it goes.

    Raises
    ------
    ValueError
        With the reason; an AudioError if it is about a file.
    """
    prepared, problem = _prepared(reader, source)
    if problem:
        warn(f"{name_of(source)!r} {problem}; it is read up to there")
    return prepared


def _prepare_one(reader: Renderer | Audio, source: Source) -> tuple[bytes | np.ndarray | None, str]:
    """What `prepare_all` yields of a source."""
    try:
        prepared, problem = _prepared(reader, source)
        return prepared, f"{PARTIAL}: {problem}" if problem else ""
    except ValueError as exc:  # an AudioError has its reason without the path
        return None, getattr(exc, "reason", str(exc))
    except ImportError:
        raise  # a package that is not installed is not a fault of the recording
    except Exception as exc:  # whatever else one recording does must not end the run
        return None, f"{type(exc).__name__}: {exc}"


def _prepare_some(reader: Renderer | Audio, sources: Sequence[Source]) -> list[tuple[bytes | np.ndarray | None, str]]:
    """What a worker runs."""
    return [_prepare_one(reader, source) for source in sources]


def prepare_all(
    reader: Renderer | Audio, sources: Sequence[Source], n_jobs: int = 1
) -> Iterator[tuple[bytes | np.ndarray | None, str]]:
    """Prepare recordings for a network, in worker processes where that pays.

    Parameters
    ----------
    reader : Renderer or Audio
        As in `prepare`.
    sources : sequence
        As `prepare` takes them; where others prepare them, not files that are open.
    n_jobs : int, default 1
        Processes, as joblib counts them; they are started only where more than a few seconds of work are left.

    Yields
    ------
    prepared : bytes, np.ndarray or None
        As `prepare` returns it, in the order of `sources`; None if that is not possible.
    reason : str
        Why the recording could not be prepared, or, after "partial: ", why only its beginning was; "" if it was.
    """
    work = functools.partial(_prepare_some, reader)
    for first in range(0, len(sources), ROUND):
        for done in map_chunks(work, list(sources[first : first + ROUND]), n_jobs, libraries=reader.libraries):
            yield from done
