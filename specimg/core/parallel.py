"""Work on many items: in this process while little is left, else in joblib's workers, wherever these run.

>>> def squares(numbers):
...     return [n * n for n in numbers]
>>> [row for rows in map_chunks(squares, [1, 2, 3], n_jobs=1) for row in rows]
[1, 4, 9]
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from .clusters import INLINE, active_engine, digest_of, map_on_cluster, pickled, work_of

CHUNK = 16  # items a worker is given at once
ROUND = 8  # chunks for each worker at once, with a backend that returns all results together
WORTH_WORKERS = 2.5  # s of work left for one process, above which starting workers (1 s) pays


class _FromFile:
    """Large work, as with networks in it, that each worker of this machine unpickles from a file once."""

    def __init__(self, file: str, digest: str):
        self.file, self.digest = file, digest

    def __call__(self, chunk: list) -> list:
        return work_of(self.digest, lambda: Path(self.file).read_bytes())(chunk)


@contextlib.contextmanager
def _once(work: Callable) -> Iterator[Callable]:
    """Within it what stands for `work` in the workers: the work itself where it is small, or they are threads."""
    from joblib.parallel import get_active_backend

    shared = getattr(get_active_backend()[0], "supports_sharedmem", False)  # threads
    blob = b"" if shared else pickled(work)
    if len(blob) <= INLINE:
        yield work
        return
    with tempfile.TemporaryDirectory(prefix="specimg-") as folder:
        file = Path(folder) / "work"
        file.write_bytes(blob)
        yield _FromFile(str(file), digest_of(blob))


def _in_workers(work: Callable, chunks: list[list], n_jobs: int) -> Iterator[list]:
    """Results of joblib's workers, one by one if its active backend can return them so."""
    import joblib

    try:
        parallel, together = joblib.Parallel(n_jobs=n_jobs, return_as="generator"), len(chunks)
    except ValueError:  # a backend that returns all at once (multiprocessing): rounds, so that a kill costs one
        parallel, together = joblib.Parallel(n_jobs=n_jobs), ROUND * joblib.effective_n_jobs(n_jobs)
    with _once(work) as known, parallel:  # the same workers for all rounds
        for i in range(0, len(chunks), together):
            yield from parallel(joblib.delayed(known)(chunk) for chunk in chunks[i : i + together])


def map_chunks(
    work: Callable[[list], list], items: list, n_jobs: int, chunk: int | None = None, libraries: Iterable[str] = ()
) -> Iterator[list]:
    """Call a function on chunks of a list, in this process while little is left, else in joblib's workers.

    joblib's active backend decides where workers run: `joblib.parallel_config(backend="dask")`, or `"ray"`, reaches a cluster, which
    is given all of the work at once.

    Parameters
    ----------
    work : callable
        Takes some items, returns a list of results. It is pickled for other processes.
    items : list
        All items.
    n_jobs : int
        Number of workers; 1 keeps the work in this process, -1 uses all CPUs; on Dask any other number than 1 means all workers.
    chunk : int, optional
        Items a worker is given at once; default CHUNK, which suits items of some milliseconds.
    libraries : iterable of str
        Packages that affect the results; a cluster's worker that has another version of one, or of specimg, is refused.

    Yields
    ------
    list
        The result of each chunk, in the order of the items.

    Raises
    ------
    WorkerError
        A cluster has lost all workers, or its workers have other versions.
    """
    size = CHUNK if chunk is None else chunk
    chunks = [items[i : i + size] for i in range(0, len(items), size)]
    engine = active_engine(n_jobs) if chunks else None
    if engine is not None:
        yield from map_on_cluster(engine, work, chunks, libraries)
        return
    began, done = time.perf_counter(), 0
    while chunks:
        left = len(chunks) * (time.perf_counter() - began) / done if done else 0
        if n_jobs != 1 and left > WORTH_WORKERS:
            yield from _in_workers(work, chunks, n_jobs)
            return
        yield work(chunks.pop(0))
        done += 1
