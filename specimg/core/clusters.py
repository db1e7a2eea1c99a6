"""Work on the workers of a Dask or Ray cluster that exists already, where joblib's active backend is one of these.

    with joblib.parallel_config(backend="dask"):      # or "ray"
        render_tree("recordings", cache="shared/cache")

The backend says which cluster; chunks then go to it through the cluster's own futures. joblib's own loop would wait for ever once all
workers are gone, and on Ray it neither repeats the work of a killed worker nor returns results one by one.

A worker checks, before it unpickles anything of ours, that it has the versions of this process, whenever it joined. The work itself is
unpickled once a worker, so that it may hold networks.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import itertools
import os
import pickle
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from .installed import installed_versions

AHEAD = 8  # chunks for each core of the cluster that are under way or wait for one before them
POLL = 1.0  # s between looks at the cluster while a result is waited for
PATIENCE = 60.0  # s without a single worker, after which waiting ends; SPECIMG_PATIENCE sets another
INLINE = 2**16  # bytes of pickled work up to which it travels with every chunk, above which once to each worker
WORKS = 2  # pieces of work that a worker keeps unpickled


class WorkerError(RuntimeError):
    """Workers are gone, differ from this process, or do not see what it sees."""


def _patience() -> float:
    return float(os.environ.get("SPECIMG_PATIENCE") or PATIENCE)


# ---------------------------------------------------------------------- work that travels


def pickled(value: Any) -> bytes:
    """The bytes of a value, be it of a class or a function of a notebook."""
    try:
        from cloudpickle import dumps
    except ImportError:  # joblib brought its own before 1.6
        from joblib.externals.cloudpickle import dumps
    return dumps(value)


def digest_of(blob: bytes) -> str:
    """What a piece of work is known by."""
    return hashlib.blake2b(blob, digest_size=16).hexdigest()


# ---------------------------------------------------------------------- in a worker

_works: dict[str, Callable[[list], list]] = {}  # digest -> work, the latest last
_unpickling = threading.Lock()  # threads of a worker share what is unpickled


def work_of(digest: str, read: Callable[[], bytes]) -> Callable[[list], list]:
    """A piece of work, which is read and unpickled where this process has not met it lately."""
    with _unpickling:
        if digest not in _works:
            while len(_works) >= WORKS:
                _works.pop(next(iter(_works)))
            _works[digest] = pickle.loads(read())
        return _works[digest]


@functools.lru_cache
def _differences(wanted: tuple[tuple[str, str], ...]) -> str:
    """What is installed here in another version than wanted, both named; "" if nothing is."""
    here = installed_versions(name for name, _ in wanted)
    return ", ".join(
        f"{name} {here.get(name, 'nowhere')} (here: {version})" for name, version in wanted if here.get(name) != version
    )


def _chunk_there(
    wanted: tuple[tuple[str, str], ...], digest: str, pickled_work: bytes, pickled_chunk: bytes
) -> tuple[str, Any]:
    """What a worker runs: ("done", results), ("failed", the error) or ("differs", how), so that no engine wraps an error of ours."""
    differences = _differences(wanted)
    if differences:
        return "differs", f"on {platform.node()} process {os.getpid()} has {differences}"
    try:
        return "done", work_of(digest, lambda: pickled_work)(pickle.loads(pickled_chunk))
    except Exception as exc:
        return "failed", exc


def _same(value: bytes) -> bytes:
    return value


# ---------------------------------------------------------------------- engines


class Engine(Protocol):
    """What is needed of a cluster."""

    name: str

    def cores(self) -> int:
        """How many tasks can run at once, now."""

    def ahead(self, cores: int) -> int:
        """How many chunks may be under way."""

    def share(self, value: bytes) -> Any:
        """A handle which, given to `submit`, arrives as the value and travels to each worker once."""

    def submit(self, *args: Any) -> Any:
        """Have `_chunk_there` called with these arguments."""

    def first_done(self, tasks: list, seconds: float) -> Any:
        """One of these that is done, for which it waits this long at most; None if there is none."""

    def result(self, task: Any, seconds: float) -> Any:
        """What a task that is done returned; TimeoutError if it does not arrive, as with its worker gone since."""

    def lost(self, exc: Exception) -> str:
        """What of the cluster itself is out of reach, as this error says or otherwise; "" if nothing is."""

    def cancel(self, tasks: list) -> None:
        """Begin none of these any more."""

    def waiting(self) -> contextlib.AbstractContextManager:
        """Within it this process waits; where it is a worker itself, another task has its place."""


class _Dask:
    name = "Dask"

    def __init__(self, backend: Any, n_jobs: int):
        import distributed

        self._wait, self._client, self._options = distributed.wait, backend.client, backend.submit_kwargs
        self.waiting = backend.retrieval_context

    def cores(self) -> int:
        return sum(self._client.nthreads(callback_timeout=_patience()).values())

    def ahead(self, cores: int) -> int:
        return AHEAD * cores

    def share(self, value: bytes) -> Any:
        # a task, not scattered data, which would be lost with the last worker that holds it
        return self._client.submit(_same, value, pure=False, **self._options)

    def submit(self, *args: Any) -> Any:
        return self._client.submit(_chunk_there, *args, pure=False, **self._options)

    def first_done(self, tasks: list, seconds: float) -> Any:
        if not any(task.done() for task in tasks):
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                self._wait(tasks, timeout=seconds, return_when="FIRST_COMPLETED")
        return next((task for task in tasks if task.done()), None)

    def result(self, task: Any, seconds: float) -> Any:
        try:
            return task.result(timeout=seconds)
        except asyncio.TimeoutError as exc:  # another class until Python 3.11
            raise TimeoutError(str(exc)) from exc

    def lost(self, exc: Exception) -> str:
        broken = isinstance(exc, OSError)  # the connection, which the client itself notices a little later
        if self._client.status == "running" and not broken:
            return ""
        address = self._client.scheduler.address if self._client.scheduler else "that it was connected to"
        return f"the scheduler {address} is gone or out of reach"

    def cancel(self, tasks: list) -> None:
        self._client.cancel(tasks)


class _Ray:
    name = "Ray"

    def __init__(self, backend: Any, n_jobs: int):
        import ray

        if not ray.is_initialized():
            ray.init()
        self._ray, self._n_jobs = ray, n_jobs
        self._task = ray.remote(_chunk_there).options(**(backend.ray_remote_args or {}))
        self.waiting = contextlib.nullcontext

    def cores(self) -> int:
        return int(sum(node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]))

    def ahead(self, cores: int) -> int:
        wanted = self._n_jobs if self._n_jobs > 0 else cores + 1 + self._n_jobs
        return wanted if wanted < cores else AHEAD * cores

    def share(self, value: bytes) -> Any:
        return self._ray.put(value)

    def submit(self, *args: Any) -> Any:
        return self._task.remote(*args)

    def first_done(self, tasks: list, seconds: float) -> Any:
        return next(iter(self._ray.wait(tasks, num_returns=1, timeout=seconds)[0]), None)

    def result(self, task: Any, seconds: float) -> Any:
        return self._ray.get(task, timeout=seconds)

    def lost(self, exc: Exception) -> str:
        return "" if self._ray.is_initialized() else "this process is no longer connected to a cluster"

    def cancel(self, tasks: list) -> None:
        for task in tasks:
            self._ray.cancel(task)


_ENGINES: dict[str, Callable[[Any, int], Engine]] = {"DaskDistributedBackend": _Dask, "RayBackend": _Ray}


def active_engine(n_jobs: int) -> Engine | None:
    """The cluster that joblib's active backend stands for; None if that backend is none of a cluster, or one process shall work.

    Parameters
    ----------
    n_jobs : int
        1 keeps the work in this process. Dask uses all workers else; Ray as many cores as joblib would count.
    """
    if n_jobs == 1 or "joblib" not in sys.modules:  # a backend is made active through joblib
        return None
    from joblib.parallel import get_active_backend

    backend = get_active_backend()[0]
    make = _ENGINES.get(type(backend).__name__)
    return make(backend, n_jobs) if make else None


# ---------------------------------------------------------------------- chunks to results


@contextlib.contextmanager
def _said(engine: Engine) -> Iterator[None]:
    """Within it whatever the cluster raises is a WorkerError."""
    try:
        yield
    except WorkerError:
        raise
    except Exception as exc:
        what = engine.lost(exc) or "a piece of the work was given up"
        raise WorkerError(f"{engine.name}: {what} ({type(exc).__name__}: {' '.join(str(exc).split())[:500]})") from exc


def _wait_for(engine: Engine, tasks: list) -> tuple[Any, Any]:
    """The first of these that is done, and its result. WorkerError if there is no worker for as long as patience lasts."""
    since = None  # when no worker was left
    while True:
        task = engine.first_done(tasks, POLL)
        if task is not None:
            with contextlib.suppress(TimeoutError):
                return task, engine.result(task, _patience())
        if engine.cores():
            since = None
            continue
        since = since or time.monotonic()
        if time.monotonic() - since > _patience():
            raise WorkerError(
                f"{engine.name} has had no worker for {_patience():g} s: all are gone, or none has come; start some, or set "
                f"SPECIMG_PATIENCE to more seconds where they take longer to come"
            )


def _opened(engine: Engine, answer: tuple[str, Any]) -> list:
    """The results in a worker's answer, or the error that it is."""
    word, value = answer
    if word == "differs":
        raise WorkerError(
            f"a worker of {engine.name} {value}; what workers make must not depend on which of them made it: install the same "
            f"versions everywhere"
        )
    if word == "failed":
        raise value
    return value


def map_on_cluster(
    engine: Engine,
    work: Callable[[list], list],
    chunks: Iterable[list],
    libraries: Iterable[str] = (),
    in_order: bool = True,
) -> Iterator[list]:
    """Call a function on lists in the workers of a cluster.

    Parameters
    ----------
    engine : Engine
        As `active_engine` gives it.
    work : callable
        Takes a list, returns a list. It is pickled once, and unpickled once in each worker.
    chunks : iterable of list
        What it is called with; begun as results come back.
    libraries : iterable of str
        Packages that workers must have in the version of this process, besides specimg.
    in_order : bool, default True
        Results come in the order of the chunks; else as soon as they are there.

    Yields
    ------
    list
        The results of a chunk.

    Raises
    ------
    WorkerError
        The cluster has no workers, or not the same versions, or is gone; other errors are those of `work`.
    """
    blob, wanted = pickled(work), tuple(installed_versions(libraries).items())
    digest = digest_of(blob)
    todo, under_way, looked, most = iter(chunks), [], -POLL, 0
    with engine.waiting():
        try:
            with _said(engine):
                shared = blob if len(blob) <= INLINE else engine.share(blob)
            while True:
                with _said(engine):
                    if time.monotonic() - looked > POLL:  # workers may join
                        looked, most = time.monotonic(), max(1, engine.ahead(engine.cores()))
                    for chunk in itertools.islice(todo, max(0, most - len(under_way))):
                        under_way.append(engine.submit(wanted, digest, shared, pickled(chunk)))
                    if not under_way:
                        return
                    task, answer = _wait_for(engine, under_way[:1] if in_order else under_way)
                    under_way.remove(task)
                yield _opened(engine, answer)
        finally:
            with contextlib.suppress(Exception):  # the cluster may be gone
                engine.cancel(under_way)
