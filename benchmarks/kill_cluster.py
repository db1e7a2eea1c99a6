"""Drawing on clusters: what happens when pieces of one are killed, and how long Dask and Ray take beside two processes of joblib.

    python benchmarks/kill_cluster.py                     # 1,000 recordings of two seconds
    python benchmarks/kill_cluster.py --n 300 --rounds 1
    python benchmarks/kill_cluster.py --only times

Scheduler and workers of Dask and the nodes of Ray are processes of this machine, with one thread each, started for the purpose. The log
of the kills shows seconds since the call and pictures there; times are medians of rounds in which the three take turns.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import joblib
import numpy as np
import soundfile as sf
from dask_cluster import PACKAGES, Cluster

import specimg as sp
from specimg.core import parallel

SR = 22050
LOOK = sp.Renderer(sp.Mel(n_mels=64))
PATIENCE = 5.0  # s, instead of a minute


def make_recordings(folder: Path, n: int) -> Path:
    """`n` recordings of two seconds, 16 of them written and the others links to these."""
    folder.mkdir()
    for i in range(n):
        if i < 16:
            y = 0.1 * np.random.default_rng(i).standard_normal(2 * SR)
            sf.write(folder / f"{i:05d}.wav", y, SR)
        else:
            os.link(folder / f"{i % 16:05d}.wav", folder / f"{i:05d}.wav")
    return folder


def pictures(cache: Path) -> int:
    return len(list(cache.glob("*/images/*.png")))


def same_pictures(one: sp.SpecTree, other: sp.SpecTree) -> bool:
    """Whether all are there and have the same bytes; what a killed worker had begun to write is another file."""
    found = [{path.name: path.read_bytes() for path in tree.images.glob("[!.]*")} for tree in (one, other)]
    return found[0] == found[1] and len(one) == len(other)


def draw(source: Path, cache: Path, **options) -> sp.SpecTree:
    return sp.render_tree(source, LOOK, cache, progress=False, **options)


def log_of(title: str, source: Path, cache: Path, alone: sp.SpecTree, kill: Callable[[], None], after: int) -> None:
    """Draw, kill once `after` pictures are there, draw again in this process; print what happened when."""
    began = time.perf_counter()

    def say(text: str) -> None:
        print(f"  {time.perf_counter() - began:6.2f} s  {pictures(cache):5d} pictures  {text}", flush=True)

    def watch() -> None:
        while pictures(cache) < after:
            time.sleep(0.005)
        say("killed")
        kill()

    print(f"\n{title}", flush=True)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        tree = draw(source, cache)
        say(f"done; the same bytes as one process: {same_pictures(tree, alone)}")
    except Exception as exc:
        say(f"{type(exc).__name__}: {exc}")
        tree = draw(source, cache, n_jobs=1)
        say(f"the next call, in this process, is done; the same bytes as one process: {same_pictures(tree, alone)}")


@contextlib.contextmanager
def dask(folder: Path, workers: int = 2) -> Iterator[Cluster]:
    """A cluster that joblib's active backend stands for."""
    from distributed import Client

    folder.mkdir()
    cluster = Cluster(folder)
    for _ in range(workers):
        cluster.add_worker()
    try:
        with Client(scheduler_file=cluster.file, timeout=5) as client, joblib.parallel_config(backend="dask"):
            client.wait_for_workers(workers)
            yield cluster
    finally:
        cluster.kill(*cluster.processes)


@contextlib.contextmanager
def ray(cpus: int = 2) -> Iterator[None]:
    """The same of Ray."""
    import ray
    from ray.util.joblib import register_ray

    register_ray()
    runtime = {"env_vars": {"PYTHONPATH": PACKAGES, "OMP_NUM_THREADS": "1"}}
    small = dict(include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20)
    ray.init(num_cpus=cpus, runtime_env=runtime, **small)
    try:
        with joblib.parallel_config(backend="ray"):
            yield
    finally:
        ray.shutdown()


def show_kills(folder: Path, source: Path, alone: sp.SpecTree, n: int) -> None:
    os.environ["SPECIMG_PATIENCE"] = str(PATIENCE)
    with dask(folder / "dask") as cluster:
        kill = lambda: cluster.kill(cluster.workers[0])  # noqa: E731
        log_of("Dask, one of two workers killed -9", source, folder / "1", alone, kill, n // 4)
        kill = lambda: cluster.kill(*cluster.workers)  # noqa: E731
        log_of(f"Dask, all workers killed -9, SPECIMG_PATIENCE={PATIENCE:g}", source, folder / "2", alone, kill, n // 4)
    with dask(folder / "dask2") as cluster:
        kill = lambda: cluster.kill(cluster.scheduler)  # noqa: E731
        log_of("Dask, the scheduler killed -9", source, folder / "3", alone, kill, n // 4)
    with ray():
        import ray as engine

        pid = engine.get(engine.remote(lambda: os.getpid()).remote())  # an idle worker, which draws next
        kill = lambda: os.kill(pid, signal.SIGKILL)  # noqa: E731
        log_of("Ray, one of two workers killed -9", source, folder / "4", alone, kill, n // 4)
    del os.environ["SPECIMG_PATIENCE"]


def show_times(folder: Path, source: Path, n: int, rounds: int) -> None:
    """Medians of the time of a whole call, the workers warm."""
    taken: dict[str, list[float]] = {"two processes of joblib": [], "Dask, two workers": [], "Ray, two workers": []}

    def take(name: str, cache: Path, **options) -> None:
        began = time.perf_counter()
        draw(source, cache, **options)
        if "warm" not in cache.name:
            taken[name].append(time.perf_counter() - began)

    local, on_dask, on_ray = taken
    parallel.WORTH_WORKERS = 0.0  # so that joblib's processes get what the clusters' workers get
    with dask(folder / "dask3"), ray():
        for turn in ["warm", *map(str, range(rounds))]:
            with joblib.parallel_config(backend="loky"):
                take(local, folder / f"local-{turn}", n_jobs=2)
            with joblib.parallel_config(backend="dask"):
                take(on_dask, folder / f"dask-{turn}")
            with joblib.parallel_config(backend="ray"):
                take(on_ray, folder / f"ray-{turn}")
    print(f"\n{n} recordings of 2 s, medians of {rounds} rounds in turns, workers warm")
    for name, seconds in taken.items():
        ratio = statistics.median(seconds) / statistics.median(taken[local])
        print(f"  {name:25s} {statistics.median(seconds):6.2f} s   {ratio:4.2f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--n", type=int, default=1000, help="recordings (default 1000)")
    parser.add_argument("--rounds", type=int, default=3, help="of the times (default 3)")
    parser.add_argument("--only", choices=["kills", "times"], help="one half of it")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = make_recordings(folder / "recordings", options.n)
        if options.only != "times":
            alone = draw(source, folder / "alone", n_jobs=1)
            show_kills(folder, source, alone, options.n)
        if options.only != "kills":
            show_times(folder, source, options.n, options.rounds)


if __name__ == "__main__":
    main()
