"""Workers that are copies of this process: pytest itself has joblib loaded, so each test is a process of its own."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copied on Linux only")

BEGIN = """
import os, sys, time
from specimg.core import parallel
parallel.CHUNK, parallel.WORTH_COPIES = 2, 0
def work(items):
    time.sleep(0.02)
    return [(item, os.getpid()) for item in items]
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", BEGIN + code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_copies_and_this_process_work_and_results_are_in_order():
    printed = run("""
rows = [row for rows in parallel.map_chunks(work, list(range(41)), n_jobs=3) for row in rows]
workers = {pid for _, pid in rows}
print([item for item, _ in rows] == list(range(41)), len(workers), os.getpid() in workers)
""")
    assert printed == "True 3 True"


def test_once_joblib_is_loaded_its_backend_decides():
    assert run("print(parallel._may_copy()); import joblib; print(parallel._may_copy())").split() == ["True", "False"]


def test_a_process_with_further_threads_is_not_copied():
    code = "import threading; threading.Thread(target=time.sleep, args=(5,), daemon=True).start(); print(parallel._may_copy())"
    assert run(code) == "False"


def test_a_copy_that_is_killed_is_said():
    printed = run("""
from specimg.core.failures import explained
here = os.getpid()
def work(items):
    if os.getpid() != here: os.kill(os.getpid(), 9)
    time.sleep(0.02)
    return items
done = 0
try:
    with explained("tree", "the rest is kept"):
        for rows in parallel.map_chunks(work, list(range(60)), n_jobs=2): done += len(rows)
except ChildProcessError as exc:
    print(0 < done < 60, exc)
""")
    assert printed.startswith("True a process that read or drew clips for 'tree' was killed")


def test_errors_of_the_work_are_raised_as_they_are():
    printed = run("""
def work(items):
    if 30 in items: raise OSError(28, "full")
    return items
try: list(parallel.map_chunks(work, list(range(60)), n_jobs=2))
except OSError as exc: print(exc.errno)
""")
    assert printed == "28"


def test_copies_end_with_a_process_that_is_killed():
    code = """
def work(items):
    print(os.getpid(), flush=True)
    time.sleep(0.3)
    return items
list(parallel.map_chunks(work, list(range(400)), n_jobs=2))
"""
    process = subprocess.Popen([sys.executable, "-c", BEGIN + code], stdout=subprocess.PIPE, text=True)
    copies = set()
    while not copies:
        copies = {int(process.stdout.readline())} - {process.pid}
    process.send_signal(signal.SIGKILL)
    process.wait()
    (copy,) = copies
    for _ in range(100):
        if not os.path.exists(f"/proc/{copy}") or " Z " in open(f"/proc/{copy}/stat").read():
            return
        time.sleep(0.05)
    pytest.fail("the copy lives on")
