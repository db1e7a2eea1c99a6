"""Work on many items by this process and others beside it."""

import functools
import os
import signal
import time
from concurrent.futures import BrokenExecutor

import joblib
import pytest

from specimg.core import parallel
from specimg.core.parallel import map_chunks


def who(numbers):
    time.sleep(0.01)
    return [(n, os.getpid()) for n in numbers]


def die(parent, numbers):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.02)
    return numbers


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(parallel, "WORTH_WORKERS", 0)


@pytest.mark.parametrize("in_order", [True, False])
def test_this_process_works_beside_the_others_and_each_item_is_done_once(in_order):
    rows = [row for rows in map_chunks(who, list(range(400)), 2, 2, in_order=in_order) for row in rows]
    numbers, processes = zip(*rows)
    assert (list(numbers) if in_order else sorted(numbers)) == list(range(400))
    assert os.getpid() in processes and len(set(processes)) == 2


def test_a_backend_that_somebody_chose_does_the_work():
    with joblib.parallel_config(backend="threading"):
        rows = [row for rows in map_chunks(who, list(range(40)), 2, 2) for row in rows]
    assert [n for n, _ in rows] == list(range(40))


def test_a_killed_worker_is_an_error_and_the_next_call_works():
    with pytest.raises(BrokenExecutor):
        list(map_chunks(functools.partial(die, os.getpid()), list(range(2000)), 2, 2))
    assert len(list(map_chunks(who, list(range(20)), 2, 2))) == 10


def test_an_interruption_here_ends_the_others():
    def stop_at_the_third():
        for i, _ in enumerate(map_chunks(who, list(range(100_000)), 2, 2)):
            if i == 2:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_at_the_third()
    rows = [row for rows in map_chunks(who, list(range(100)), 2, 2) for row in rows]  # not behind what was left
    assert [n for n, _ in rows] == list(range(100))
