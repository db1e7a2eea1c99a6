"""Locks: one holder at a time, whoever is killed, stopped, or sits on another machine."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from specimg.core import locks
from specimg.core.files import OutsideError, remove, write_atomic
from specimg.core.locks import PATIENCE, Claim, TakenOverError, claim_action, locked

if os.name == "nt":
    pytest.skip("no locks on Windows", allow_module_level=True)

HOLDER = """
import sys, time
from specimg.core.locks import locked
with locked(sys.argv[1]) as lock:
    print(bool(lock), flush=True)
    time.sleep(60)
"""


def claim_of(machine="elsewhere", **changes) -> Claim:
    return Claim(
        **{"machine": machine, "host": "node7", "pid": 71, "token": "0123456789abcdef", "beat": 1000.0, **changes}
    )


def leave_claim(path, silent=0.0, **changes) -> Claim:
    """A lock as a process left it that has been silent for so many seconds."""
    claim = claim_of(**changes)
    about = {"machine": claim.machine, "host": claim.host, "pid": claim.pid, "token": claim.token}
    path.write_text(json.dumps(about))
    os.utime(path, (time.time() - silent, time.time() - silent))
    return claim


@pytest.fixture
def holder(tmp_path):
    """A process that holds tmp_path/lock."""
    other = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "lock"], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "True\n"
    yield other
    other.kill()
    other.wait()


# ---------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    "claim, now, action",
    [
        (None, 0, "take"),
        (claim_of("here", gone=False), 1e9, "wait"),  # it lives, however silent
        (claim_of("here", gone=True), 1000, "take over"),  # it is gone, however fresh
        (claim_of("elsewhere"), 1000, "wait"),
        (claim_of("elsewhere"), 1000 + PATIENCE, "wait"),
        (claim_of("elsewhere"), 1001 + PATIENCE, "take over"),
        (claim_of("elsewhere"), 900, "wait"),  # a sign of life of just now, by a clock that is behind
        (claim_of(""), 1000, "wait"),  # about to be written
        (claim_of(""), 1001 + PATIENCE, "take over"),
    ],
)
def test_the_rule(claim, now, action):
    assert claim_action(claim, now, "here") == action


# ---------------------------------------------------------------------- one machine


def test_a_lock_is_one_and_leaves_nothing(tmp_path):
    for _ in range(2):
        with locked(tmp_path / "lock") as mine, locked(tmp_path / "lock") as theirs:
            assert (bool(mine), bool(theirs)) == (True, False)
            assert theirs.claim.pid == os.getpid() and str(theirs.claim).startswith(f"process {os.getpid()} on ")
        assert os.listdir(tmp_path) == []


def test_a_process_that_was_killed_holds_nothing(tmp_path, holder):
    with locked(tmp_path / "lock") as lock:
        assert not lock and lock.claim.pid == holder.pid
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock") as lock:
        assert lock and lock.taken_from.pid == holder.pid
        assert os.listdir(tmp_path) == ["lock"]
    assert os.listdir(tmp_path) == []


def test_a_disk_without_locks_of_the_system_tells_the_dead_by_their_number(tmp_path, holder, monkeypatch):
    monkeypatch.setattr(locks, "_flock", lambda handle, wait=False: None)
    with locked(tmp_path / "lock") as lock:
        assert not lock
    holder.kill()
    holder.wait()
    with locked(tmp_path / "lock") as lock, locked(tmp_path / "lock") as second:
        assert lock and not second


@pytest.mark.parametrize("kind", ["link", "hanging link", "folder", "pipe"])
def test_a_lock_opens_nothing_else(tmp_path, kind):
    mine, lock = tmp_path / "mine", tmp_path / "theirs/lock"
    mine.mkdir()
    (mine / "precious.txt").write_text("mine")
    lock.parent.mkdir()
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.symlink_to(mine / ("precious.txt" if kind == "link" else "new.txt"))
    with pytest.raises(OutsideError, match="lock' is not a plain file, so it cannot be a lock; remove it"):
        with locked(lock):
            pass
    assert os.listdir(mine) == ["precious.txt"] and (mine / "precious.txt").read_text() == "mine"


def test_a_lock_on_a_disk_that_is_read_only_is_everyones(tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with locked(disk / "lock") as mine:
        assert mine and mine.claim is None and os.listdir(disk) == []


# ---------------------------------------------------------------------- many machines


def test_another_machine_is_waited_for_until_it_has_been_silent_long_enough(tmp_path):
    lock = tmp_path / "lock"
    theirs = leave_claim(lock, silent=PATIENCE - 60)
    with locked(lock) as mine:
        assert not mine and mine.claim.token == theirs.token
    leave_claim(lock, silent=PATIENCE + 60)
    with locked(lock) as mine:
        assert mine and mine.taken_from.token == theirs.token and str(mine.taken_from) == "process 71 on node7"
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["", "of an earlier version", "[1]", '{"machine": "a", "host": "b", "pid": 1, "token": "../x"}']
)
def test_a_lock_that_says_nothing_is_judged_by_its_age(tmp_path, text):
    lock = tmp_path / "lock"
    lock.write_text(text)
    with locked(lock) as mine:
        assert not mine and str(mine.claim) == "an unknown process"
    os.utime(lock, (0, 0))
    with locked(lock) as mine:
        assert mine
    assert os.listdir(tmp_path) == []


def test_of_many_who_would_take_over_one_does(tmp_path):
    for round in range(20):
        lock, together, got = tmp_path / f"lock{round}", threading.Barrier(8), []
        leave_claim(lock, silent=PATIENCE + 60)

        def take(lock=lock, together=together, got=got):
            together.wait()
            with locked(lock) as mine:
                got.append(bool(mine))
                together.wait()  # all have asked before one lets go

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(got) == [False] * 7 + [True]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("silent, free", [(0, False), (PATIENCE + 60, True)])
def test_one_who_was_killed_while_taking_over_is_taken_over_too(tmp_path, silent, free):
    first = leave_claim(tmp_path / "lock", silent=PATIENCE + 60)
    leave_claim(tmp_path / f".partial-lock-{first.token}", silent=silent, pid=72, token="fedcba9876543210")
    with locked(tmp_path / "lock") as mine:
        assert bool(mine) == free
        assert (mine.taken_from if free else mine.claim).pid == 72
    assert len(os.listdir(tmp_path)) == (0 if free else 2)


def test_a_holder_gives_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    with locked(tmp_path / "lock"):
        os.utime(tmp_path / "lock", (0, 0))
        give_up = time.monotonic() + 20
        while os.stat(tmp_path / "lock").st_mtime == 0:
            assert time.monotonic() < give_up
            time.sleep(0.01)


def test_who_was_taken_over_writes_and_removes_nothing_below_the_folder(tmp_path, monkeypatch):
    folder = tmp_path / "fold"
    write_atomic(folder / "deep/a", b"old")
    with locked(folder / "lock") as former:
        write_atomic(folder / "deep/a", b"mine")
        os.utime(folder / "lock", (0, 0))
        monkeypatch.setattr(locks, "this_machine", lambda: "another")
        with locked(folder / "lock") as new:
            assert new and new.taken_from.token == former.claim.token
            new.guard(folder / "deep/a")
            for change in (lambda: write_atomic(folder / "deep/a", b"late"), lambda: remove(folder, "deep")):
                with pytest.raises(
                    TakenOverError,
                    match=r"process \d+ on .* has taken over .*fold' from this one, which had given no sign",
                ):
                    change()
            write_atomic(tmp_path / "fold2", b"elsewhere it may")
        with pytest.raises(TakenOverError):  # the new one is done, and the folder is not the former one's again
            write_atomic(folder / "deep/a", b"late")
    write_atomic(folder / "deep/b", b"free again")
    assert (folder / "deep/a").read_bytes() == b"mine" and sorted(os.listdir(folder)) == ["deep"]


def test_a_process_that_was_stopped_finds_its_lock_taken(tmp_path):
    """Really stopped, and taken over by the clock of the disk, as by another machine."""
    code = """
import os, signal, sys
from specimg.core.files import write_atomic
from specimg.core.locks import locked
with locked(sys.argv[1] + "/lock"):
    os.kill(os.getpid(), signal.SIGSTOP)
    write_atomic(sys.argv[1] + "/result", b"late")
"""
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stderr=subprocess.PIPE, text=True)
    os.waitpid(process.pid, os.WUNTRACED)
    os.utime(tmp_path / "lock", (0, 0))
    claim = json.loads((tmp_path / "lock").read_text())
    code = """
import sys
from specimg.core import locks
from specimg.core.files import write_atomic
locks.this_machine = lambda: "another"
with locks.locked(sys.argv[1] + "/lock") as lock:
    write_atomic(sys.argv[1] + "/result", str(lock.taken_from.pid).encode())
"""
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    process.send_signal(signal.SIGCONT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode and "TakenOverError" in said and "nothing more is written there" in said
    assert (tmp_path / "result").read_text() == str(claim["pid"]) and os.listdir(tmp_path) == ["result"]
