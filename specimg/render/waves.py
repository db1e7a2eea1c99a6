"""The samples of many clips in one file, which loaders map into memory: each is decoded once, as `Audio` has it.

    waves, reasons = keep_waves(tree.root, tree.source, tree.renderer.audio, jobs)      # decodes what is new or changed
    waves.read("dog.wav.png")                       # float32 (samples,)
    waves.read("night.wav.png", first=48000, most=160000)      # a part of it; nothing else is read from the disk

    <tree>/waves.f32      the samples, one clip after the other: float32, little-endian
    <tree>/waves.json     where in it each clip lies, by the name of its picture; size and time of its recording; a checksum

Samples are only ever appended, and `waves.json` is replaced in one step when they are on the disk. So a clip is there as a whole or not
at all, a kill costs the clips of the last seconds, the next call goes on, and whoever reads meanwhile is not disturbed.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..audio import Audio
from ..audio.read import Clip, read_clip
from ..core.addresses import join
from ..core.failures import explained
from ..core.files import unlinked, write_atomic
from ..core.locks import locked
from ..core.parallel import map_chunks
from ..core.progress import progress_bar
from ..core.reading import is_number, read_json
from .plan import Job
from .prepare import MAX_SAMPLES

FORMAT = 1
MOST_INDEX = 2**28  # bytes of waves.json: two million clips
LONGEST = 1e9  # s into a recording
BYTES = 4  # of a sample
OFTEN = 2.0  # s between two versions of waves.json while clips are decoded
WAIT = 0.5  # s between two looks at the lock of another process


class Wave(NamedTuple):
    """Where the samples of a clip lie, and which recording they come from.

    Parameters
    ----------
    size : int or None
        Bytes of the recording; None if it was not there.
    mtime : int or None
        Modification time of the recording in ns.
    first : int
        Number of samples before it in the file.
    count : int
        Its samples.
    begin : float
        Seconds in the recording where it begins.
    sr : int
        Sampling rate in Hz.
    crc : int
        CRC-32 of its bytes.
    """

    size: int | None
    mtime: int | None
    first: int
    count: int
    begin: float
    sr: int
    crc: int


class Waves:
    """Samples of clips, mapped into memory; `keep_waves` makes it.

    Parameters
    ----------
    folder : path
        Where `waves.f32` and `waves.json` lie.

    Attributes
    ----------
    folder : Path
        The folder.
    clips : dict of str to Wave
        By the name of a clip's picture. Entries that are no clips of the file are left out.

    Examples
    --------
    >>> from specimg.render.plan import jobs_of_files
    >>> from specimg.render.waves import keep_waves
    >>> waves, reasons = keep_waves("kept", "clips", sp.Audio(sr=8000), jobs_of_files("clips", "clips"), progress=False)
    >>> len(waves), waves.read("dog/dog0.wav.png").shape, waves.read("dog/dog0.wav.png", first=1000, most=200).shape
    (12, (4000,), (200,))
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder)
        self.clips = _entries(self.folder)

    @property
    def file(self) -> Path:
        """The file of the samples."""
        return unlinked(self.folder, "waves.f32")

    @functools.cached_property
    def _map(self) -> np.ndarray:
        return np.memmap(self.file, "<f4", "r")

    def __getstate__(self) -> dict:
        """Without the map: each process that loads clips opens its own."""
        return {"folder": self.folder, "clips": self.clips}

    def __len__(self) -> int:
        return len(self.clips)

    def read(self, picture: str, first: int = 0, most: int | None = None) -> np.ndarray:
        """The samples of a clip, or of a part of it.

        Parameters
        ----------
        picture : str
            Name of its picture below the tree's images.
        first : int, default 0
            The first sample.
        most : int, default None
            How many; None: all from there on. Fewer where the clip ends.

        Returns
        -------
        ndarray
            float32 `(samples,)`, a copy.
        """
        wave = self.clips[picture]
        stop = wave.count if most is None else min(wave.count, first + most)
        return np.array(self._map[wave.first + first : wave.first + stop], np.float32)

    def verify(self) -> list[str]:
        """Read everything, and find clips whose samples are no longer those that were written.

        Returns
        -------
        list of str
            Names of their pictures; delete `waves.f32` to have all decoded again.
        """
        return [name for name, wave in self.clips.items() if zlib.crc32(self.read(name).tobytes()) != wave.crc]


def _is_wave(entry: object, end: int) -> bool:
    """Whether this describes a clip in a file of `end` samples."""
    return (
        isinstance(entry, list)
        and len(entry) == len(Wave._fields)
        and all(part is None or is_number(part) for part in entry)
        and all(isinstance(entry[i], int) and entry[i] >= least for i, least in ((2, 0), (3, 1), (5, 1), (6, 0)))
        and is_number(entry[4], below=LONGEST)
        and entry[2] + entry[3] <= end
    )


def _entries(folder: Path) -> dict[str, Wave]:
    """The clips that `waves.json` lists and `waves.f32` is long enough for; none where the index is missing or damaged: it is made again."""
    try:
        end = unlinked(folder, "waves.f32").stat().st_size // BYTES
        index = read_json(unlinked(folder, "waves.json"), max_bytes=MOST_INDEX)
        found = dict(index["clips"]) if index["format"] == FORMAT else {}
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        return {}
    return {name: Wave(*entry) for name, entry in found.items() if _is_wave(entry, end)}


def _decode_some(root: str, audio: Audio, jobs: list[Job]) -> list[tuple[Job, Clip | None, str]]:
    """(job, its clip or None, why there is none) of some clips; what a worker runs."""
    found: list[tuple[Job, Clip | None, str]] = []
    for job in jobs:
        try:
            clip = read_clip(join(root, job.path), audio, job.start, job.end, most=MAX_SAMPLES)
            found.append((job, clip, ""))
        except ValueError as exc:  # an AudioError has its reason without the path
            found.append((job, None, getattr(exc, "reason", str(exc))))
    return found


@contextlib.contextmanager
def _alone(folder: Path):
    """Within it no other process adds clips to this folder; one that does is waited for."""
    while True:
        with locked(unlinked(folder, "waves.lock")) as mine:
            if mine:
                yield
                return
        time.sleep(WAIT)


class _Writer:
    """Appends clips behind those that are known, and keeps the index up to date."""

    def __init__(self, folder: Path, known: dict[str, Wave]):
        self.folder, self.clips = folder, dict(known)
        self.end = max((wave.first + wave.count for wave in known.values()), default=0)
        self.written = time.monotonic()
        path = unlinked(folder, "waves.f32")
        if not known:  # a new file, so that who has mapped one whose index is lost keeps it
            path.unlink(missing_ok=True)
        self.file = open(path, "r+b" if known else "wb")
        self.file.truncate(self.end * BYTES)  # what a killed process has left behind them
        self.file.seek(self.end * BYTES)

    def add(self, job: Job, clip: Clip) -> None:
        data = np.ascontiguousarray(clip.y, "<f4").tobytes()
        self.file.write(data)
        place = (self.end, len(clip.y), clip.begin, clip.sr, zlib.crc32(data))
        self.clips[job.picture] = Wave(job.size, job.mtime, *place)
        self.end += len(clip.y)
        if time.monotonic() - self.written > OFTEN:
            self.save()

    def save(self) -> None:
        """Samples first, then the index that names them."""
        self.file.flush()
        os.fsync(self.file.fileno())
        write_atomic(self.folder / "waves.json", json.dumps({"format": FORMAT, "clips": self.clips}).encode())
        self.written = time.monotonic()


def keep_waves(
    folder: str | os.PathLike,
    root: str | os.PathLike,
    audio: Audio,
    jobs: Iterable[Job],
    *,
    n_jobs: int = -1,
    progress: bool = True,
) -> tuple[Waves, dict[str, str]]:
    """Decode clips into the file of a folder; those that are there, of recordings that have not changed, stay.

    Parameters
    ----------
    folder : path
        The folder, made if there is none: that of a tree, or one for these recordings and this `audio` alone.
    root : path
        Folder of the recordings.
    audio : Audio
        How they are read.
    jobs : iterable of Job
        Which clips, as `plan.jobs_of_files` and `plan.jobs_of_segments` make them.
    n_jobs : int, default -1
        Processes, as joblib counts them; -1 is one a core.
    progress : bool, default True
        Show a progress bar.

    Returns
    -------
    waves : Waves
        The samples.
    reasons : dict of str to str
        Picture -> why its clip could not be read.

    Raises
    ------
    OSError
        The disk is full or cannot be written to; what is decoded is kept.
    """
    folder, jobs = Path(folder), list(jobs)
    waves, reasons = Waves(folder), {}
    if not _missing(waves.clips, jobs):
        return waves, reasons
    folder.mkdir(parents=True, exist_ok=True)
    kept = "what is decoded is kept, and the same call goes on"
    with explained(folder, kept, "n_jobs="), _alone(folder):
        known = _entries(folder)  # another process may have decoded them meanwhile
        left, work = _missing(known, jobs), functools.partial(_decode_some, os.fspath(root), audio)
        writer = _Writer(folder, known)
        try:
            with progress_bar(len(left), f"{folder.name}, samples", progress) as bar:
                for found in map_chunks(work, left, n_jobs, libraries=audio.libraries):
                    for job, clip, reason in found:
                        if clip is None:
                            reasons[job.picture] = reason
                        else:
                            writer.add(job, clip)
                    bar.update(len(found))
        finally:
            try:
                writer.save()
            finally:
                writer.file.close()
    return Waves(folder), reasons


def _missing(known: dict[str, Wave], jobs: list[Job]) -> list[Job]:
    """The clips that are not there, or whose recording has changed since."""
    return [job for job in jobs if known.get(job.picture, (None, None))[:2] != (job.size, job.mtime)]
