"""The networks of one run in several processes: shared, killed, stopped, woken; and as tasks of workers, with the same answers as in one process."""

import os
import signal
import threading
import time
import warnings
from concurrent.futures.process import BrokenProcessPool

import joblib
import kill_folds
import pytest
import torch

from specimg.core import locks
from specimg.core.clusters import WorkerError
from specimg.core.locks import Claim
from specimg.experiments import FoldRun, Run, fold_work
from specimg.experiments.fold_work import _failure, _lives, _Outcome, _outcome

torch.set_num_threads(1)

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(scope="module")
def comp(tmp_path_factory):
    return kill_folds.make_competition(tmp_path_factory.mktemp("machines") / "sounds")


@pytest.fixture(scope="module")
def whole(comp):
    """A run that nobody touched."""
    return kill_folds.go(comp, comp.folder.parent / "whole", lambda line: None)


@pytest.fixture
def inline(monkeypatch):
    """Workers that are this process; the list of what they were asked for."""
    asked = []

    def map_chunks(task, items, n_jobs, **how):
        asked.append((list(items), n_jobs, how["chunk"], how["trial"]))
        return (task([item]) for item in items)

    monkeypatch.setattr(fold_work, "map_chunks", map_chunks)
    return asked


# ---------------------------------------------------------------------- processes that meet on one folder


@forks
def test_two_processes_share_the_work(comp, whole, tmp_path):
    callers = kill_folds.two_share(comp, tmp_path / "out")
    said = "".join(caller.said for caller in callers)
    assert said.count("fold 0, seed 0: accuracy") == said.count("fold 1, seed 0: accuracy") == 1
    assert kill_folds.same_answers(Run.open(tmp_path / "out"), whole)


@forks
def test_what_a_killed_process_of_this_machine_held_is_taken_over_at_once(comp, whole, tmp_path):
    killed, following = kill_folds.killed_here(comp, tmp_path / "out")
    assert f"fold 0, seed 0: taken over from process {killed.pid} on " in following.said
    assert "resuming after epoch" in following.said and "waiting" not in following.said
    assert kill_folds.same_answers(Run.open(tmp_path / "out"), whole)


@forks
def test_what_a_killed_process_of_another_machine_held_is_taken_over_after_a_while(comp, whole, tmp_path):
    killed, following = kill_folds.killed_elsewhere(comp, tmp_path / "out")
    said = following.said
    waited = said.index(
        f"fold 0, seed 0: process {killed.pid} on node7 was working on it; waiting for a sign of life, and 2 s after"
    )
    assert said.index("fold 1, seed 0: accuracy") < waited  # first what is free
    assert (
        waited
        < said.index(f"fold 0, seed 0: taken over from process {killed.pid} on node7")
        < said.index("resuming after epoch")
    )
    assert kill_folds.same_answers(Run.open(tmp_path / "out"), whole)


@forks
def test_who_wakes_up_after_being_taken_over_writes_nothing_and_goes_on(comp, whole, tmp_path):
    former, _ = kill_folds.woken(comp, tmp_path / "out")  # which compares the files
    assert "has taken over 'runs/out/seed0-fold0' from this one" in former.said and "Traceback" not in former.said
    assert former.said.count("fold 0, seed 0: accuracy") == 0 and "Run(test_resnet on two-tones" in former.said
    assert kill_folds.same_answers(Run.open(tmp_path / "out"), whole)


def test_a_holder_that_gives_signs_of_life_is_left_alone(comp, tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.05)
    out, log = tmp_path / "out", []
    kill_folds.go(comp, out, log.append, only=[])
    lock = out / "seed0-fold0/lock"
    lock.parent.mkdir()
    lock.write_text('{"machine": "another", "host": "node7", "pid": 71, "token": "0123456789abcdef"}')
    monkeypatch.setattr(fold_work.time, "sleep", lambda seconds: os.utime(lock, (time.time(), time.time() + 1)))
    kill_folds.go(comp, out, log.append, only=[0])
    assert "fold 0, seed 0: another process is working on it (process 71 on node7)" in log and lock.exists()


def test_who_lives_by_hand():
    here, there = (Claim(machine, "a", 7, "5f", 1000.0) for machine in (locks.this_machine(), "another"))
    later = Claim("another", "a", 7, "5f", 1015.0)
    assert _lives(here, None)
    assert not _lives(there, None) and not _lives(there, there) and _lives(later, there)


# ---------------------------------------------------------------------- tasks of workers


@pytest.mark.parametrize(
    "backend",
    ["multiprocessing", pytest.param("loky", marks=pytest.mark.slow)],  # the first forks, and so imports nothing again
)
def test_workers_give_the_answers_of_one_process(backend, comp, whole, tmp_path):
    log = []
    with joblib.parallel_config(backend=backend):
        run = kill_folds.go(comp, tmp_path / "out", log.append, n_jobs=2)
    assert kill_folds.same_answers(run, whole)
    by = [line.split(": by process ") for line in log if ": by process " in line]
    assert [fold for fold, _ in by] == ["fold 0, seed 0", "fold 1, seed 0"]
    assert str(os.getpid()) not in {who.split()[0] for _, who in by}
    first, second = (i for i, line in enumerate(log) if ": by process" in line)
    assert (
        log[first + 1] == "fold 0, seed 0: 12 clips to train on, 12 held out"
        and "fold 0, seed 0: accuracy" in log[second - 1]
    )
    assert not list(run.folder.rglob("lock"))


@pytest.mark.slow
@forks
def test_a_killed_worker_costs_what_it_did_since_its_last_epoch(comp, whole, tmp_path):
    [caller] = kill_folds.killed_worker(comp, tmp_path / "out")
    assert "a worker was killed; 2 networks that did not finish are continued" in caller.said
    assert "resuming after epoch" in caller.said
    assert kill_folds.same_answers(Run.open(tmp_path / "out"), whole)


def test_a_network_that_fails_does_not_stop_the_others(comp, tmp_path, monkeypatch, inline):
    usual, log = fold_work.train_fold, []

    def diverge(fold_run, *args):
        if fold_run.fold == 0:
            raise ValueError("the loss is not finite")
        return usual(fold_run, *args)

    monkeypatch.setattr(fold_work, "train_fold", diverge)
    told = r"1 of 2 networks failed \(fold 0, seed 0: the loss is not finite\); finished and kept: fold 1, seed 0; the same call continues"
    with pytest.raises(ValueError, match=told) as caught:
        kill_folds.go(comp, tmp_path / "out", log.append, n_jobs=3)
    assert "in diverge" in str(caught.value.__cause__)  # where it came from, in the worker
    assert "fold 0, seed 0: failed: the loss is not finite" in log
    assert [(n_jobs, chunk, trial) for _, n_jobs, chunk, trial in inline] == [(3, 1, False)]
    monkeypatch.setattr(fold_work, "train_fold", usual)
    assert len(kill_folds.go(comp, tmp_path / "out", log.append).fold_runs) == 2


def test_workers_that_are_killed_again_and_again_end_the_call(comp, tmp_path, monkeypatch):
    asked = []

    def map_chunks(task, items, n_jobs, **how):
        asked.append(len(items))
        raise BrokenProcessPool("killed")
        yield

    monkeypatch.setattr(fold_work, "map_chunks", map_chunks)
    with pytest.raises(
        OSError, match="was killed, as systems do where memory runs out .* the same call, with the same out=, continues"
    ):
        kill_folds.go(comp, tmp_path / "out", lambda line: None, n_jobs=2)
    assert asked == [2] * fold_work.MOST_LOST


def test_a_worker_that_sees_no_shared_disk_is_said(comp, tmp_path, inline, monkeypatch):
    usual = fold_work.read_about
    seen = iter([1])
    monkeypatch.setattr(fold_work, "read_about", lambda out: usual(out) if next(seen, 0) else {"begun": "another run"})
    with pytest.raises(
        WorkerError,
        match="process .* does not see the run in .*out' .* under the same path, as on a disk that all mount",
    ):
        kill_folds.go(comp, tmp_path / "out", lambda line: None, n_jobs=2)


def test_warnings_of_workers_reach_the_user(tmp_path):
    class Work:
        setup = type("Setup", (), {"config": type("Config", (), {"loaders": {}})})

        def do(self, fold_run, log):
            log("a line")
            for text in ("twice", "twice"):
                warnings.warn(text, UserWarning, stacklevel=1)
            warnings.warn("of a library", FutureWarning, stacklevel=1)
            raise Unportable("deep", "down")

    outcome = _outcome(Work(), FoldRun(0, 0, tmp_path))
    assert (outcome.lines, outcome.warnings) == (["a line"], ["twice"])
    assert type(outcome.error) is RuntimeError and str(outcome.error) == "Unportable: deep"


class Unportable(Exception):
    def __init__(self, what, where):
        super().__init__(what)


def test_the_error_of_all_is_of_the_kind_of_the_first(tmp_path):
    for error, kind in [(OSError(28, "full"), OSError), (KeyError("x"), RuntimeError), (ValueError("nan"), ValueError)]:
        fold_run = FoldRun(0, 1, tmp_path)
        told = _failure({fold_run: _Outcome(fold_run, "", error=error)}, [fold_run, FoldRun(1, 1, tmp_path)])
        assert type(told) is kind and "1 of 2 networks failed (fold 1, seed 0: " in str(told)
        assert "finished and kept: none" in str(told) and getattr(told, "errno", 28) == 28


@pytest.mark.parametrize("n_jobs", [0, None, 1.5])
def test_numbers_of_workers_that_are_none(comp, tmp_path, n_jobs):
    with pytest.raises(ValueError, match=r"n_jobs=.* 1 is this process alone, -1 as many as there are CPUs"):
        kill_folds.go(comp, tmp_path / "out", None, n_jobs=n_jobs)
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------- a real cluster


@pytest.mark.cluster
def test_a_dask_cluster_trains_the_same_and_survives_a_kill(comp, whole, tmp_path):
    """Two workers as processes of their own; the one that trains the first network is killed after its first epoch."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        out, log = tmp_path / "out", []

        def kill():
            os.kill(kill_folds.holder_of(out), signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        run = kill_folds.go(comp, out, log.append, n_jobs=-1)
        killer.join()
    assert kill_folds.same_answers(run, whole)
    assert any(line.startswith("fold 0, seed 0: taken over from process") for line in log)
