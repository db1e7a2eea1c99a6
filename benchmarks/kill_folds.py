"""Kill, stop and wake the processes that train the folds of one run, and hold what comes out against a run that nobody touched.

    python benchmarks/kill_folds.py                                               # prints what each process said
    python benchmarks/kill_folds.py --out benchmarks/results/kill_folds.txt

Processes meet on one folder, as on several machines that mount one disk. Another machine is played by a lock that names one: its holder
is killed or stopped, its lock is renamed to `node7`, and no sign of life comes. Signs of life are given every 0.2 s here and missed for 2 s,
in place of 15 s and 5 minutes. The script ends with status 1 where a score or a prediction differs. It needs a system that forks.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
import torch

import specimg as sp
from specimg.core import locks

SR, HZ, CLIPS = 8000, {"high": 2000, "low": 300}, 24
LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
RECIPE = sp.Recipe(epochs=4, freeze_epochs=0, lr=0.01, seed=0)
GIVE_UP = 120  # s


# ---------------------------------------------------------------------- the run


def make_competition(folder: Path) -> sp.Competition:
    """Recordings of two tones in noise below `folder`."""
    rng, names = np.random.default_rng(0), []
    folder.mkdir(parents=True)
    for i in range(CLIPS):
        names.append((f"{i}.wav", sorted(HZ)[i % 2]))
        tone = 0.2 * np.sin(2 * np.pi * HZ[names[-1][1]] * np.arange(SR // 2) / SR)
        sf.write(folder / names[-1][0], tone + 0.1 * rng.standard_normal(len(tone)), SR)
    return sp.Competition("two-tones", folder, pd.DataFrame(names, columns=["path", "label"]), metric="accuracy")


def go(comp: sp.Competition, out: Path, log: Callable[[str], None], **options) -> sp.Run:
    loading = {
        "bs": 4,
        "size": 32,
        "cache": str(comp.folder.parent / "cache"),
        "n_jobs": 1,
        "progress": False,
        "num_workers": 0,
    }
    how = {"folds": 2, "loaders": loading, "learner": {"pretrained": False}, **options}
    return sp.cross_validate(comp, LOOK, "test_resnet", RECIPE, out=out, log=log, **how)


def same_answers(one: sp.Run, other: sp.Run) -> bool:
    """Equal to the last digit."""
    same = one.oof["path"].tolist() == other.oof["path"].tolist() and float(one.score) == float(other.score)
    return same and np.array_equal(one.predictions.probs, other.predictions.probs)


# ---------------------------------------------------------------------- processes


class Caller:
    """A process that calls `go`, and writes its log."""

    def __init__(self, name: str, comp: sp.Competition, out: Path, **options):
        self.name, self.file = name, out.with_name(f"{out.name}-{name}.log")
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        status = 1
        try:
            locks.BEAT, locks.PATIENCE = 0.2, 2.0
            warnings.simplefilter("ignore")
            with open(self.file, "w", buffering=1) as file:
                try:
                    go(comp, out, lambda line: print(line, file=file), **options)
                    status = 0
                except BaseException:
                    traceback.print_exc(file=file)
        finally:
            os._exit(status)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def end(self) -> int:
        """Wait for it; its status."""
        return os.waitpid(self.pid, 0)[1]

    @property
    def said(self) -> str:
        return (
            self.file.read_text()
            .replace(str(self.file.parent), "runs")
            .replace(f" on {platform.node()}", " on this host")
        )


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + GIVE_UP
    while not holds():
        if time.monotonic() > give_up:
            raise TimeoutError("nothing happened")
        time.sleep(0.002)


def holder_of(out: Path, fold: int = 0) -> int:
    """The process that works on a fold, after its first epoch."""
    until((out / f"seed0-fold{fold}/fit/history.csv").exists)
    return json.loads((out / f"seed0-fold{fold}/lock").read_text())["pid"]


def written(folder: Path) -> dict[Path, int]:
    """Each file below a folder, and when it was written."""
    return {file: file.stat().st_mtime_ns for file in folder.rglob("*") if file.is_file()}


def move_to_another_machine(out: Path, fold: int = 0) -> None:
    """Let the locks of a fold name another machine, which gave its last sign of life now."""
    for lock in (out / f"seed0-fold{fold}/lock", out / f"seed0-fold{fold}/fit/lock"):
        about = json.loads(lock.read_text())
        lock.write_text(json.dumps({**about, "machine": "another", "host": "node7"}))


# ---------------------------------------------------------------------- what happens


def two_share(comp: sp.Competition, out: Path) -> list[Caller]:
    """two processes share a run"""
    go(comp, out, lambda line: None, only=[])  # begun, and all pictures drawn
    callers = [Caller(name, comp, out) for name in ("first", "second")]
    for caller in callers:
        caller.end()
    return callers


def killed_here(comp: sp.Competition, out: Path) -> list[Caller]:
    """kill -9 on this machine: taken over at once"""
    first = Caller("killed", comp, out)
    holder_of(out)
    first.signal(signal.SIGKILL)
    first.end()
    second = Caller("next", comp, out)
    second.end()
    return [first, second]


def killed_elsewhere(comp: sp.Competition, out: Path) -> list[Caller]:
    """kill -9 on another machine: taken over when it has been silent for 2 s, which the other call waits for"""
    first = Caller("killed", comp, out)
    holder_of(out)
    first.signal(signal.SIGKILL)
    first.end()
    move_to_another_machine(out)
    second = Caller("next", comp, out)
    second.end()
    return [first, second]


def woken(comp: sp.Competition, out: Path) -> list[Caller]:
    """stopped on another machine, taken over, and woken up: it writes nothing, and goes on with what is left"""
    first = Caller("stopped", comp, out)
    holder_of(out)
    first.signal(signal.SIGSTOP)
    os.waitpid(first.pid, os.WUNTRACED)
    move_to_another_machine(out)
    second = Caller("next", comp, out)
    second.end()
    results = written(out / "seed0-fold0")
    first.signal(signal.SIGCONT)
    first.end()
    if written(out / "seed0-fold0") != results:
        raise RuntimeError("who was woken has written over the results of its successor")
    return [first, second]


def killed_worker(comp: sp.Competition, out: Path) -> list[Caller]:
    """a worker of n_jobs=2 is killed -9: its fold is continued by another one"""
    caller = Caller("call", comp, out, n_jobs=2)
    os.kill(holder_of(out), signal.SIGKILL)
    caller.end()
    return [caller]


STORIES = (two_share, killed_here, killed_elsewhere, woken, killed_worker)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--story", help=f"only this one of {', '.join(story.__name__ for story in STORIES)}")
    parser.add_argument("--out", help="a text file for what was said")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    text, differ = [], 0
    with tempfile.TemporaryDirectory() as work:
        comp = make_competition(Path(work, "sounds"))
        whole = go(comp, Path(work, "whole"), lambda line: None)
        for story in STORIES:
            if args.story not in (None, story.__name__):
                continue
            out = Path(work, story.__name__)
            callers = story(comp, out)
            same = same_answers(sp.Run.open(out), whole)
            differ += not same
            text.append(f"## {story.__doc__}")
            text += [f"--- {caller.name} (process {caller.pid})\n{caller.said.rstrip()}" for caller in callers]
            text.append(
                f"--- scores and predictions {'equal those' if same else 'DIFFER from those'} of a run that nobody touched\n"
            )
            print("\n".join(text[-2 - len(callers) :]), flush=True)
    if args.out:
        Path(args.out).write_text("\n".join(text))
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())
