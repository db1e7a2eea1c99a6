"""Work on many items: in this process while little is left, else in joblib's workers, wherever these run.

>>> def squares(numbers):
...     return [n * n for n in numbers]
>>> [row for rows in map_chunks(squares, [1, 2, 3], n_jobs=1) for row in rows]
[1, 4, 9]
"""

from __future__ import annotations

import contextlib
import queue
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

from .clusters import INLINE, active_engine, digest_of, map_on_cluster, pickled, work_of

CHUNK = 16  # items a worker is given at once
ROUND = 8  # chunks for each worker at once, with a backend that returns all results together
WORTH_WORKERS = 1.5  # s of work left for one process, above which starting workers pays: they need a second
AHEAD = 2  # chunks for each of this machine's processes, so that none waits for the next
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _has_own_processes(n_jobs: int) -> bool:
    """Whether joblib would start processes of its own here: nobody chose another backend, and this is no worker itself."""
    import joblib
    from joblib.parallel import get_active_backend

    return type(get_active_backend()[0]).__name__ == "LokyBackend" and joblib.effective_n_jobs(n_jobs) > 1


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


def _beside(work: Callable, chunks: list[list], n_jobs: int) -> Iterator[tuple[int, list]]:
    """(number of a chunk, its results), as they are done by joblib's own processes and by this one.

    This process is one of the `n_jobs`: it takes the chunk that is next in line, from the first moment on, so that the second in which the
    others start is not lost.
    """
    import joblib
    from joblib.externals.loky import get_reusable_executor
    from threadpoolctl import threadpool_limits

    others = joblib.effective_n_jobs(n_jobs) - 1
    executor = get_reusable_executor(others, env=dict.fromkeys(THREADS, "1"))
    line, done, left = deque(enumerate(chunks)), queue.SimpleQueue(), len(chunks)

    def next_in_line() -> tuple[int, list] | None:
        try:
            return line.popleft()  # of another thread, too
        except IndexError:
            return None

    def feed(before: Future | None = None) -> None:
        taken = next_in_line() if before is None or not before.exception() else None
        if taken is not None:
            future = executor.submit(known, taken[1])
            future.add_done_callback(lambda future: done.put((taken[0], future)))
            future.add_done_callback(feed)

    try:
        with _once(work) as known, threadpool_limits(1):
            for _ in range(AHEAD * others):
                feed()
            while left:
                mine = next_in_line()
                if mine is not None:
                    yield mine[0], work(mine[1])
                    left -= 1
                while left and (mine is None or not done.empty()):
                    k, future = done.get()
                    yield k, future.result()
                    left -= 1
    finally:
        if left:  # something was raised, here or there
            line.clear()
            executor.shutdown(wait=False, kill_workers=True)


def _sorted(numbered: Iterator[tuple[int, list]]) -> Iterator[list]:
    """Results in the order of their numbers 0, 1 ..., each as soon as those before it are there."""
    waiting, due = dict[int, list](), 0
    for k, rows in numbered:
        waiting[k] = rows
        while due in waiting:
            yield waiting.pop(due)
            due += 1


def _in_workers(work: Callable, chunks: list[list], n_jobs: int) -> Iterator[list]:
    """Results of the workers of joblib's active backend, one by one if it can return them so."""
    import joblib

    try:
        parallel, together = joblib.Parallel(n_jobs=n_jobs, return_as="generator"), len(chunks)
    except ValueError:  # a backend that returns all at once (multiprocessing): rounds, so that a kill costs one
        parallel, together = joblib.Parallel(n_jobs=n_jobs), ROUND * joblib.effective_n_jobs(n_jobs)
    with _once(work) as known, parallel:  # the same workers for all rounds
        for i in range(0, len(chunks), together):
            yield from parallel(joblib.delayed(known)(chunk) for chunk in chunks[i : i + together])


def map_chunks(
    work: Callable[[list], list],
    items: list,
    n_jobs: int,
    chunk: int | None = None,
    libraries: Iterable[str] = (),
    in_order: bool = True,
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
    in_order : bool, default True
        False yields the results of this machine's processes as they are done, not in the order of the items.

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
            if _has_own_processes(n_jobs):
                found = _beside(work, chunks, n_jobs)
                yield from _sorted(found) if in_order else (rows for _, rows in found)
            else:
                yield from _in_workers(work, chunks, n_jobs)
            return
        yield work(chunks.pop(0))
        done += 1
