"""The networks of a run, one after the other in this process, or as tasks of workers, wherever these are.

    work = FoldWork(out, setup, earlier, test_clips)
    work_on_folds(work, fold_runs, n_jobs=4, log=print)

`FoldWork.do` claims a network, trains it or continues, and predicts; it is the same for all. Workers get it through `core.parallel`, so that
joblib's active backend says where they are: processes of this machine, Dask's, Ray's. What they make is in the folder of the run, which
all of them share; what comes back is only what is to be said.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import platform
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from ..core import locks
from ..core.clusters import WorkerError
from ..core.locks import Claim, TakenOverError, this_machine
from ..core.parallel import map_chunks
from ..core.progress import progress_bar
from ..core.text import count
from ..core.warnings import warn
from ..labels.tables import clip_index
from ..metrics.registry import Metric, get_metric, own_metric
from ..training.identity import versions_of_training
from .drawing import join_pictures
from .fold_run import FoldRun
from .fold_training import FoldSetup, drop_checkpoints, free_gpu, predict_test, train_fold
from .held_out import add_pseudo_labels, split_fold, warn_related
from .run import Run, read_about
from .storage import claimed

MOST_LOST = 3  # times in a row that workers may be killed without a network finished between; then memory is too small

Log = Callable[[str], None]

# ---------------------------------------------------------------------- one network


def _fold_clips(fold_run: FoldRun, work: FoldWork, log: Log) -> pd.DataFrame:
    """The training table of one network, with pseudo-labels of the earlier run's networks of the same fold."""
    setup, config = work.setup, work.setup.config
    rows = setup.table
    if work.earlier is not None:
        sure = work.earlier.pseudo_labels(config.pseudo_min, fold_run.fold)
        sure = join_pictures(sure, setup.tree, "pseudo-labelled clip").drop(columns="picture")
        rows = add_pseudo_labels(rows, sure)
    warn_related(rows, fold_run.fold)
    train, held_out = split_fold(rows, fold_run.fold)
    pseudo = f", {train[len(setup.table) :].sum()} of them pseudo-labelled" if work.earlier is not None else ""
    varied = f", each in {count(len(config.variants), 'variant')} too" if config.variants else ""
    log(f"{fold_run}: {count(int(train.sum()), 'clip')} to train on{pseudo}{varied}, {held_out.sum()} held out")
    return rows


def _has_predicted(fold_run: FoldRun, clips: pd.DataFrame) -> bool:
    """Whether exactly these clips are predicted. A recording that could not be read at first may have been repaired."""
    return fold_run.predicted_test and clip_index(fold_run.test().table).equals(clip_index(clips))


@dataclass(frozen=True, eq=False)
class FoldWork:
    """What is done for each network of a run; it travels to workers."""

    out: Path
    setup: FoldSetup
    earlier: Run | None = None  # gives pseudo-labels
    test_clips: pd.DataFrame | None = None  # where they are to be predicted

    def do(self, fold_run: FoldRun, log: Log) -> Claim | None:
        """Train a network, unless that is done, and predict. If another process works on it, its claim is returned, and nothing done."""
        try:
            with claimed(fold_run) as lock:
                if not lock:
                    return lock.claim
                if lock.taken_from is not None and not fold_run.finished:
                    log(f"{fold_run}: taken over from {lock.taken_from}, which left it unfinished")
                if not fold_run.finished:
                    train_fold(fold_run, _fold_clips(fold_run, self, log), self.setup, log)
                    drop_checkpoints(fold_run)
                    free_gpu()
                if self.test_clips is not None and not _has_predicted(fold_run, self.test_clips):
                    predict_test(fold_run, self.test_clips, self.setup)
        except TakenOverError as exc:
            log(f"{fold_run}: {exc}")
            return exc.holder
        return None

    def check_seen(self, begun: dict) -> None:
        """WorkerError unless this process sees the run and the pictures."""
        tree = self.setup.tree.root
        try:
            seen = tree.is_dir() and all(read_about(self.out).get(name) == text for name, text in begun.items())
        except (OSError, ValueError):
            seen = False
        if not seen:
            raise WorkerError(
                f"{_this_process()} does not see the run in {str(self.out)!r} or the pictures in {str(tree)!r} that the calling process sees; "
                "give out= and loaders=dict(cache=) folders that all machines have under the same path, as on a disk that all mount"
            )


# ---------------------------------------------------------------------- in a worker


def _this_process() -> str:
    return f"process {os.getpid()} on {platform.node()}"


@dataclass(frozen=True)
class _Outcome:
    """What came of one network in a worker."""

    fold_run: FoldRun
    by: str
    busy: Claim | None = None  # of another process that works on it
    error: Exception | None = None
    trace: str = ""
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


_alone = threading.Lock()  # generators of random numbers belong to a process: threads of one would share them


def _portable(error: Exception) -> Exception:
    """The error, if it survives a journey between processes, else one of its words."""
    try:
        pickle.loads(pickle.dumps(error))
        return error
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")


def _outcome(work: FoldWork, fold_run: FoldRun) -> _Outcome:
    lines: list[str] = []
    busy = error = None
    trace = ""
    loaders = work.setup.config.loaders
    if multiprocessing.current_process().daemon and loaders.get("num_workers") != 0:
        lines.append(f"{fold_run}: this worker may not start processes, so it loads clips itself (num_workers=0)")
        config = work.setup.config.replace(loaders={**loaders, "num_workers": 0})
        work = replace(work, setup=replace(work.setup, config=config))
    with _alone, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        try:
            busy = work.do(fold_run, lines.append)
        except Exception as exc:  # of this network; the others go on
            error, trace = _portable(exc), traceback.format_exc()
    told = [str(one.message) for one in said if issubclass(one.category, UserWarning)]
    return _Outcome(fold_run, _this_process(), busy, error, trace, lines, list(dict.fromkeys(told)))


def _outcomes(work: FoldWork, metric: Metric, begun: dict, fold_runs: list[FoldRun]) -> list[_Outcome]:
    """What a worker runs."""
    work.check_seen(begun)
    try:
        get_metric(metric.name)
    except ValueError:  # a user's own
        own_metric(metric)
    return [_outcome(work, fold_run) for fold_run in fold_runs]


# ---------------------------------------------------------------------- all networks


def _pass_in_workers(
    work: FoldWork, fold_runs: Sequence[FoldRun], n_jobs: int, log: Log
) -> tuple[dict[FoldRun, Claim], dict[FoldRun, _Outcome]]:
    """(networks that other processes work on, networks that failed) after a task for each."""
    metric, about = get_metric(work.setup.task.metric), read_about(work.out)
    task = partial(_outcomes, work, metric, {name: about.get(name) for name in ("data", "begun")})
    busy, failed, left, lost = {}, {}, list(fold_runs), 0
    with progress_bar(len(left), "networks", work.setup.config.loaders.get("progress", True), unit="network") as bar:
        while left:
            try:
                for [outcome] in map_chunks(
                    task, list(left), n_jobs, chunk=1, trial=False, libraries=versions_of_training()
                ):
                    left.remove(outcome.fold_run)
                    lost = 0
                    bar.update()
                    if outcome.busy is not None:
                        busy[outcome.fold_run] = outcome.busy
                        continue
                    log(f"{outcome.fold_run}: {'by' if outcome.lines else 'finished already, says'} {outcome.by}")
                    for line in outcome.lines:
                        log(line)
                    for told in outcome.warnings:
                        warn(told)
                    if outcome.error is not None:
                        failed[outcome.fold_run] = outcome
                        log(f"{outcome.fold_run}: failed: {outcome.error}")
            except BrokenExecutor:
                lost += 1
                if lost == MOST_LOST:
                    raise
                log(
                    f"a worker was killed; {count(len(left), 'network')} that did not finish are continued after their last epochs"
                )
    return busy, failed


def _pass_here(work: FoldWork, fold_runs: Sequence[FoldRun], log: Log) -> dict[FoldRun, Claim]:
    busy = {}
    for fold_run in fold_runs:
        claim = work.do(fold_run, log)
        if claim is not None:
            busy[fold_run] = claim
    return busy


def _lives(claim: Claim, before: Claim | None) -> bool:
    """Whether a holder is known to live: the system says so, or it has given a sign of life since the last look."""
    return claim.machine == this_machine() or (before is not None and claim != before)


def _failure(failed: dict[FoldRun, _Outcome], fold_runs: Sequence[FoldRun]) -> Exception:
    """One error for all networks that failed, of the kind of the first."""
    first = next(iter(failed.values())).error
    finished = [str(fold_run) for fold_run in fold_runs if fold_run.finished]
    text = "; ".join(f"{fold_run}: {outcome.error}" for fold_run, outcome in failed.items())
    text = f"{len(failed)} of {count(len(fold_runs), 'network')} failed ({text}); "
    text += f"finished and kept: {'; '.join(finished) or 'none'}; the same call continues with the others"
    if isinstance(first, OSError):
        return OSError(first.errno, text)
    return ValueError(text) if isinstance(first, ValueError) else RuntimeError(text)


def work_on_folds(work: FoldWork, fold_runs: Sequence[FoldRun], n_jobs: int, log: Log) -> None:
    """Do the work of each network that no other process works on; what a silent one held is taken over when the rule allows.

    n_jobs : 1 is this process, which an error ends; in workers the other networks go on, and the error comes at the end
    """
    todo, failed, seen = list(fold_runs), {}, {}
    while todo:
        if n_jobs == 1:
            busy = _pass_here(work, todo, log)
        else:
            busy, also = _pass_in_workers(work, todo, n_jobs, log)
            failed |= also
        todo = [fold_run for fold_run, claim in busy.items() if not _lives(claim, seen.get(fold_run))]
        for fold_run, claim in busy.items():
            if fold_run not in todo:
                log(f"{fold_run}: another process is working on it ({claim})")
            elif fold_run not in seen:
                log(
                    f"{fold_run}: {claim} was working on it; waiting for a sign of life, and {locks.PATIENCE:g} s after the last one "
                    "this call takes over"
                )
        seen = {fold_run: busy[fold_run] for fold_run in todo}
        if todo:
            time.sleep(locks.BEAT)
    if failed:
        raise _failure(failed, fold_runs) from RuntimeError(next(iter(failed.values())).trace)
