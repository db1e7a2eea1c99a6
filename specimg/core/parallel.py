"""Work on many items, in this process while little is left, else in joblib's workers, wherever these run.

for rows in work_through(draw_some, items, n_jobs=-1): ...
"""

from __future__ import annotations

import time

__all__ = ["work_through"]

CHUNK = 16  # clips a worker draws between two reports
ROUND = 8  # chunks for each worker between two reports of a backend that reports all at once
WORTH_WORKERS = 2.5  # s of work left for one process, above which starting workers (1 s) pays


def _chunks(items: list) -> list[list]:
    return [items[i : i + CHUNK] for i in range(0, len(items), CHUNK)]


def _in_workers(work, chunks: list[list], n_jobs: int):
    """Yield lists of rows from joblib's workers, one by one where its active backend can hand them back so."""
    import joblib

    try:
        parallel, together = joblib.Parallel(n_jobs=n_jobs, return_as="generator"), len(chunks)
    except (
        ValueError
    ):  # a backend that hands back all at once (multiprocessing, Ray): rounds, so that a kill costs one of them
        parallel, together = joblib.Parallel(n_jobs=n_jobs), ROUND * joblib.effective_n_jobs(n_jobs)
    for i in range(0, len(chunks), together):
        yield from parallel(joblib.delayed(work)(chunk) for chunk in chunks[i : i + together])


def work_through(work, items: list, n_jobs: int):
    """Yield `work(some items)`, lists of rows in the order of the items: in this process while little is left, else by joblib's workers.

    joblib's active backend decides where workers run, so that `joblib.parallel_config(backend="dask")` reaches a cluster.
    """
    chunks = _chunks(items)
    began, done = time.perf_counter(), 0
    while chunks:
        left = len(chunks) * (time.perf_counter() - began) / done if done else 0
        if n_jobs != 1 and left > WORTH_WORKERS:
            break
        yield work(chunks.pop(0))
        done += 1
    if not chunks:
        return
    yield from _in_workers(work, chunks, n_jobs)
