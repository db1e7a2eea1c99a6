"""Work on many items: in this process while little is left, else in joblib's workers, wherever these run.

Where nothing speaks against it (Linux, one thread, neither torch nor joblib loaded, so that nobody has chosen other workers) they are copies
of this process, which start in a thirtieth of the time.

>>> def squares(numbers):
...     return [n * n for n in numbers]
>>> [row for rows in map_chunks(squares, [1, 2, 3], n_jobs=1) for row in rows]
[1, 4, 9]
"""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager
from pathlib import Path

from .clusters import INLINE, active_engine, digest_of, map_on_cluster, pickled, work_of

CHUNK = 16  # items a worker is given at once
ROUND = 8  # chunks for each worker at once, with a backend that returns all results together
WORTH_WORKERS = 1.5  # s of work left for one process, above which starting workers pays: they need a second
WORTH_COPIES = 0.3  # s of it, above which copies of this process, which start at once, pay
# whose threads or devices a copy of the process lacks; and joblib, by which another kind of workers may have been chosen
NEVER_COPIED = (
    "torch",
    "tensorflow",
    "jax",
    "numba",
    "ray",
    "distributed",
    "openvino",
    "onnxruntime",
    "fsspec",
    "joblib",
)
PR_SET_PDEATHSIG = 1  # of Linux's prctl
AHEAD = 2  # chunks for each of this machine's processes, so that none waits for the next
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def _n_joblibs(n_jobs: int) -> int:
    """How many processes of its own joblib would start beside this one; none where somebody chose another backend, or in a worker."""
    import joblib
    from joblib.parallel import get_active_backend

    return joblib.effective_n_jobs(n_jobs) - 1 if type(get_active_backend()[0]).__name__ == "LokyBackend" else 0


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


@contextlib.contextmanager
def _joblibs_processes(work: Callable, others: int) -> Iterator[tuple[Executor, Callable]]:
    """joblib's own processes, and what stands for `work` in them. They stay for the next call, unless something is raised."""
    from joblib.externals.loky import get_reusable_executor

    executor = get_reusable_executor(others, env=dict.fromkeys(THREADS, "1"))
    try:
        with _once(work) as known:
            yield executor, known
    except BaseException:  # here or there
        executor.shutdown(wait=False, kill_workers=True)
        raise


def _may_copy() -> bool:
    """Whether workers may be copies (forks) of this process: on Linux, with one thread and nothing loaded that a copy could break.

    The thread by which tqdm looks after its bars does not matter: copies have no bars.
    """
    threads = [thread for thread in threading.enumerate() if type(thread).__name__ != "TMonitor"]
    return (
        sys.platform == "linux"
        and threads == [threading.main_thread()]
        and multiprocessing.parent_process() is None
        and not any(name in sys.modules for name in NEVER_COPIED)
    )


def _begin_copy() -> None:
    """A copy ends with its original, leaves Ctrl-C to it, and multiplies matrices in one thread, as there are other copies."""
    from threadpoolctl import threadpool_limits

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threadpool_limits(1)


@contextlib.contextmanager
def _copies(work: Callable, others: int) -> Iterator[tuple[Executor, Callable]]:
    """Copies of this process, and the work."""
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(others, multiprocessing.get_context("fork"), _begin_copy) as pool:
        with warnings.catch_warnings():  # Python from 3.12 on warns of BLAS's threads, too, which bear it
            warnings.filterwarnings("ignore", message=".*multi-threaded, use of fork")
            pool.submit(int)  # they start now
        yield pool, work


def _n_copies(n_jobs: int) -> int:
    """How many copies work beside this process; `n_jobs` as joblib counts it: -1 is all CPUs that this process may use, -2 all but one."""
    if n_jobs == 1 or not _may_copy():
        return 0
    return n_jobs - 1 if n_jobs > 0 else max(0, len(os.sched_getaffinity(0)) + n_jobs)


def _beside(
    work: Callable, chunks: list[list], processes: AbstractContextManager[tuple[Executor, Callable]], others: int
) -> Iterator[tuple[int, list]]:
    """(number of a chunk, its results), as they are done by other processes and by this one.

    This process takes the chunk that is next in line, from the first moment on, so that the second in which the others may start is not lost.
    """
    from threadpoolctl import threadpool_limits

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

    with processes as (executor, known), threadpool_limits(1):
        try:
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
            line.clear()  # where something was raised, nothing more is begun


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
    trial: bool = True,
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
        False yields results as they are done, by this machine's processes or by a cluster, so that least is lost with the latter.
    trial : bool, default True
        Begin in this process, and start workers of this machine only when much is left; False gives items of minutes to workers alone.

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
        yield from map_on_cluster(engine, work, chunks, libraries, in_order)
        return
    if n_jobs != 1 and not trial:
        yield from _in_workers(work, chunks, n_jobs)
        return
    began, done = time.perf_counter(), 0
    while chunks:
        left = len(chunks) * (time.perf_counter() - began) / done if done else 0
        if n_jobs != 1 and left > WORTH_COPIES and (n := _n_copies(n_jobs)):
            found = _beside(work, chunks, _copies(work, n), n)
        elif n_jobs != 1 and left > WORTH_WORKERS and (n := _n_joblibs(n_jobs)):
            found = _beside(work, chunks, _joblibs_processes(work, n), n)
        elif n_jobs != 1 and left > WORTH_WORKERS:
            yield from _in_workers(work, chunks, n_jobs)
            return
        else:
            yield work(chunks.pop(0))
            done += 1
            continue
        yield from _sorted(found) if in_order else (rows for _, rows in found)
        return
