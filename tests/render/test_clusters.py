"""Trees that real Dask and Ray clusters draw: processes of their own on this machine, which are killed, differ, or see less."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import joblib
import numpy as np
import pytest
import soundfile as sf
from dask_cluster import PACKAGES, Cluster

import specimg
from specimg.audio import Audio
from specimg.core.clusters import WorkerError
from specimg.render import tree as render
from specimg.render.manifest import read_rows
from specimg.render.renderer import Renderer
from specimg.render.tree import render_tree
from specimg.spectrogram import Mel, Picture

pytestmark = [pytest.mark.cluster, pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")]

SR, N = 8000, 400
LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64), Picture(), Audio(sr=4000))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """N recordings and a file that is none."""
    folder = tmp_path_factory.mktemp("sounds")
    for i in range(N):
        if i < 8:
            sf.write(folder / f"{i:04d}.wav", 0.1 * np.random.default_rng(i).standard_normal(8000), SR)
        else:
            os.link(folder / f"{i % 8:04d}.wav", folder / f"{i:04d}.wav")
    (folder / "text.wav").write_text("no sound")
    return folder


@pytest.fixture(scope="module")
def alone(source, tmp_path_factory):
    """What one process draws."""
    return draw(source, tmp_path_factory.mktemp("alone"), n_jobs=1)


@pytest.fixture(autouse=True)
def small_chunks_and_little_patience(monkeypatch):
    monkeypatch.setattr("specimg.core.parallel.CHUNK", 4)
    monkeypatch.setenv("SPECIMG_PATIENCE", "2")


def draw(source, cache, **options):
    with pytest.warns(UserWarning, match="1 of 401 clips could not be drawn .text.wav: is not a recording"):
        return render_tree(source, LOOK, cache, progress=False, **options)


def images_of(tree):
    whole = (path for path in tree.images.iterdir() if not path.name.startswith(".partial-"))  # of a killed worker
    return {path.name: path.read_bytes() for path in whole}


def check_same(tree, alone):
    assert images_of(tree) == images_of(alone) and len(tree) == N
    assert tree.table.equals(alone.table) and tree.failures.path.tolist() == ["text.wav"]


@contextlib.contextmanager
def in_the_middle(cache, then):
    """Within it `then` is called once some pictures are there, and rows of some have arrived; afterwards, how many there were."""
    seen = []

    def watch():
        for _ in range(20_000):
            found = len(list(cache.glob("*/images/*.png")))
            if found >= 24 and any(map(read_rows, cache.glob("*"))):
                seen.append(found)
                return then()
            time.sleep(0.002)

    thread = threading.Thread(target=watch)
    thread.start()
    yield seen
    thread.join()
    assert seen and seen[0] < N, "it was to happen in the middle"


def check_that_the_next_call_goes_on(source, cache, alone, monkeypatch):
    read, opened = render.read_clip, []
    kept = len(list(cache.glob("*/images/*.png")))
    monkeypatch.setattr(render, "read_clip", lambda *args: (opened.append(args[0]), read(*args))[1])
    check_same(draw(source, cache, n_jobs=1), alone)
    assert kept >= 24 and N - kept <= len(opened) < N


def other_versions(folder, library):
    """A folder which, in front of sys.path, makes a library another version."""
    if library == "specimg":
        shutil.copytree(os.path.join(PACKAGES, "specimg"), folder / "specimg")
        file = folder / "specimg" / "__init__.py"
        file.write_text(file.read_text().replace(f'"{specimg.__version__}"', '"0.0.7"'))
    else:
        (folder / f"{library}-0.0.7.dist-info").mkdir()
        (folder / f"{library}-0.0.7.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {library}\nVersion: 0.0.7\n"
        )
    return os.pathsep.join([str(folder), PACKAGES])


# ---------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    pytest.importorskip("distributed")
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    yield cluster
    cluster.kill(*cluster.processes)


@pytest.fixture
def client(dask):
    """A client of the cluster, with two workers."""
    from distributed import Client

    while len(dask.workers) < 2:
        dask.add_worker()
    with Client(scheduler_file=dask.file, set_as_default=True) as client, joblib.parallel_config(backend="dask"):
        for worker in dask.workers:
            dask.wait_for(client, worker)
        yield client


def test_dask_draws_the_same_bytes_and_shows_progress(client, source, alone, tmp_path, monkeypatch):
    bar, moved = render.progress_bar, []

    @contextlib.contextmanager
    def seen(*args):
        with bar(*args) as inner:
            update = inner.update
            inner.update = lambda n=1: (moved.append(n), update(n))[1]
            yield inner

    monkeypatch.setattr(render, "progress_bar", seen)
    check_same(draw(source, tmp_path), alone)
    assert sum(moved) == N + 1 and len(moved) == 101
    ran_here = client.run(lambda: "specimg.render.tree" in sys.modules)
    assert list(ran_here.values()) == [True, True]


def test_the_work_of_a_killed_dask_worker_is_done_again(client, dask, source, alone, tmp_path):
    with in_the_middle(tmp_path, lambda: dask.kill(dask.workers[0])):
        tree = draw(source, tmp_path)
    check_same(tree, alone)


@pytest.mark.parametrize("library", ["specimg", "soxr"])
def test_a_dask_worker_with_another_version_is_refused(client, dask, source, tmp_path, library):
    path = other_versions(tmp_path, library)
    dask.kill(*dask.workers[1:])  # so that the other one surely gets something to do
    odd = dask.add_worker(PYTHONPATH=path)
    try:
        dask.wait_for(client, odd)
        with pytest.raises(
            WorkerError, match=rf"has {library} 0\.0\.7 \(here: [1-9]?[0-9.]*\).*install the same versions"
        ):
            render_tree(source, LOOK, tmp_path / "cache", progress=False)
    finally:
        dask.kill(odd)


@pytest.mark.parametrize("hidden", ["recordings", "cache"])
def test_a_dask_worker_that_does_not_see_our_files_is_refused(client, dask, source, tmp_path, hidden):
    folder = source if hidden == "recordings" else tmp_path
    if subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode:
        pytest.skip("no disk may be mounted here for one process")
    odd = dask.add_worker(before=["unshare", "-rm", "sh", "-c", f'mount -t tmpfs none "{folder}" && exec "$@"', "sh"])
    try:
        dask.wait_for(client, odd)
        with pytest.raises(
            WorkerError, match="a worker cannot read .*need the recordings and the cache at the same paths"
        ):
            render_tree(source, LOOK, tmp_path, progress=False)
    finally:
        dask.kill(odd)


def test_when_all_dask_workers_are_gone_it_is_said(client, dask, source, alone, tmp_path, monkeypatch):
    with in_the_middle(tmp_path, lambda: dask.kill(*dask.workers)):
        with pytest.raises(WorkerError, match=r"Dask has had no worker for 2 s.*of 401 pictures are drawn and kept"):
            render_tree(source, LOOK, tmp_path, progress=False)
    check_that_the_next_call_goes_on(source, tmp_path, alone, monkeypatch)


def test_when_the_dask_scheduler_is_gone_it_is_said(source, alone, tmp_path, tmp_path_factory, monkeypatch):
    distributed = pytest.importorskip("distributed")
    cluster = Cluster(tmp_path_factory.mktemp("lost"))
    cluster.add_worker()
    try:
        with (
            distributed.Client(scheduler_file=cluster.file, timeout=3) as client,
            joblib.parallel_config(backend="dask"),
        ):
            client.wait_for_workers(1, timeout=60)
            with in_the_middle(tmp_path, lambda: cluster.kill(cluster.scheduler)):
                with pytest.raises(WorkerError, match="Dask: the scheduler tcp.* is gone .* are drawn and kept"):
                    render_tree(source, LOOK, tmp_path, progress=False)
            check_that_the_next_call_goes_on(source, tmp_path, alone, monkeypatch)
    finally:
        cluster.kill(*cluster.processes)


# ---------------------------------------------------------------------- Ray


@pytest.fixture(scope="module")
def ray():
    ray = pytest.importorskip("ray")
    from ray.util.joblib import register_ray

    register_ray()
    runtime = {"env_vars": {"PYTHONPATH": PACKAGES, "OMP_NUM_THREADS": "1"}}
    ray.init(
        num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 * 2**20, runtime_env=runtime
    )
    yield ray
    ray.shutdown()


def test_ray_draws_the_same_bytes(ray, source, alone, tmp_path):
    with joblib.parallel_config(backend="ray"):
        check_same(draw(source, tmp_path), alone)


def test_the_work_of_a_killed_ray_worker_is_done_again(ray, source, alone, tmp_path):
    pid = ray.get(ray.remote(lambda: os.getpid()).remote())  # an idle worker, which will be used again
    with in_the_middle(tmp_path, lambda: os.kill(pid, signal.SIGKILL)), joblib.parallel_config(backend="ray"):
        tree = draw(source, tmp_path)
    check_same(tree, alone)


def test_ray_workers_with_another_version_are_refused(ray, source, tmp_path):
    other = {"runtime_env": {"env_vars": {"PYTHONPATH": other_versions(tmp_path, "soxr")}}}
    with joblib.parallel_config(backend="ray", ray_remote_args=other):
        with pytest.raises(WorkerError, match=r"a worker of Ray .* has soxr 0\.0\.7 \(here: .*; 0 of 401 pictures"):
            render_tree(source, LOOK, tmp_path / "cache", progress=False)
