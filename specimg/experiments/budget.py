"""A submission in a given time, on CPUs: as many networks of a run as surely fit, and a valid file at every moment.

    report = submit_within(Run.open("runs/birds"), comp, seconds=90 * 60, out="submission.csv")
    print(report)        # 10 of 15 networks: all 15 would take 112 min ...

The whole file is written first, with the class prior in every row; rows are replaced as recordings are answered. A kill, a full disk or a
recording that cannot be read leaves a submission that is accepted.

How many networks fit is decided by `largest_part` from what a minute of measuring found: seconds to draw a window, seconds for a window of one
network, on as many cores as will work. It is decided again after every recording, so a machine that gets slower costs networks, not rows.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..competitions import Competition, SubmissionFormat, check_submission
from ..core.files import write_atomic
from ..core.progress import line_logger
from ..core.text import count, examples
from ..core.values import Value, register
from ..inference import PostProcessing
from ..inference.export.runtime import check_runtime
from ..labels.tables import KEY, clip_spans
from .budget_workers import (
    Answered,
    Change,
    Exported,
    Job,
    answer_recording,
    export_network,
    lower_precision,
    start_worker,
)
from .run import Run
from .task import Task, fill_rows

MARGIN = 1.25  # by which an estimate must fit: other programs, slower recordings
WRITE_EVERY = 2.0  # s between two writings of the file
LAST = 2.0  # s, and 1 % of the budget, kept for the last writing
MEASURED = 12  # windows of a recording that each worker draws to measure
SAMPLED = 8  # recordings, so many windows of each, that show what another precision costs


# ---------------------------------------------------------------------- the decision


@register
@dataclass(frozen=True)
class Pace(Value):
    """What was measured of a machine, with all workers at work.

    Parameters
    ----------
    draw : float
        Seconds in which one worker reads and draws a window.
    network : float
        Seconds in which one worker runs one network on a window.
    export : float, default 0.0
        Seconds in which one worker makes a network ready.
    workers : int, default 1
        Workers, one a core.

    Examples
    --------
    >>> from specimg.experiments import Pace
    >>> Pace(draw=0.02, network=0.05, workers=4)
    Pace(draw=0.02, network=0.05, workers=4)
    """

    draw: float
    network: float
    export: float = 0.0
    workers: int = 1

    def _check(self) -> None:
        self._need(
            min(self.draw, self.network, self.export) >= 0, "give seconds, 0 or more", "draw", "network", "export"
        )
        self._need(self.workers >= 1, "give 1 or more", "workers")


def estimate_seconds(networks: int, windows: int, pace: Pace, *, longest: int = 1, to_export: int = 0) -> float:
    """How long so many networks take for so many windows, with a margin of a quarter.

    Parameters
    ----------
    networks : int
        Networks that answer each window.
    windows : int
        Windows in all.
    pace : Pace
        What was measured.
    longest : int, default 1
        Windows of the longest recording, for which all others may have to wait at the end.
    to_export : int, default 0
        Networks that have to be made ready before.

    Returns
    -------
    float
        Seconds.

    Examples
    --------
    >>> from specimg.experiments import Pace, estimate_seconds
    >>> estimate_seconds(2, 1000, Pace(draw=0.02, network=0.04), longest=0)
    125.0
    """
    a_window = pace.draw + networks * pace.network
    ready = -(-to_export // pace.workers) * pace.export
    tail = longest * a_window if pace.workers > 1 else 0
    return MARGIN * (ready + windows * a_window / pace.workers + tail)


def largest_part(
    seconds: float, networks: int, windows: int, pace: Pace, *, longest: int = 1, exported: int | None = None
) -> int:
    """The largest number of networks that surely end in time.

    Parameters
    ----------
    seconds : float
        What is left of the budget.
    networks : int
        Networks that there are.
    windows : int
        Windows to answer.
    pace : Pace
        What was measured.
    longest : int, default 1
        Windows of the longest recording.
    exported : int, default None
        How many of the networks are ready; None: all.

    Returns
    -------
    int
        1 to `networks`; 0 if not even one fits.

    Examples
    --------
    >>> from specimg.experiments import Pace, largest_part
    >>> pace = Pace(draw=0.02, network=0.05, workers=4)
    >>> [largest_part(60 * minutes, 10, 8400, pace) for minutes in (2, 10, 90)]
    [0, 4, 10]
    """
    ready = networks if exported is None else exported
    for n in range(networks, 0, -1):
        if estimate_seconds(n, windows, pace, longest=longest, to_export=max(0, n - ready)) <= seconds:
            return n
    return 0


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _why(n: int, networks: int, windows: int, left: float, pace: Pace, longest: int, exported: int) -> str:
    """The decision in words."""

    def takes(k: int) -> str:
        return _minutes(estimate_seconds(k, windows, pace, longest=longest, to_export=max(0, k - exported)))

    speed = (
        f"a window is drawn in {1000 * pace.draw:.1f} ms and takes a network {1000 * pace.network:.1f} ms, on "
        f"{count(pace.workers, 'core')}; {count(windows, 'window')}, {_minutes(left)} left"
    )
    if n == networks:
        those = "the one network, which surely ends" if n == 1 else f"all {n} networks, which surely end"
        return f"{those} in {takes(n)} ({speed})"
    return f"{n} of {networks} networks, which surely {'end' if n > 1 else 'ends'} in {takes(n)}; {n + 1} would take {takes(n + 1)} ({speed})"


# ---------------------------------------------------------------------- the file


class _File:
    """The submission: valid from the first moment, line by line better."""

    def __init__(self, task: Task, prior: np.ndarray, form: SubmissionFormat, path: str | os.PathLike):
        self.task, self.form, self.path = task, form, path
        table = form.to_submission(task.rows, np.tile(prior, (len(task.rows), 1)), list(task.vocab))
        check_submission(table, task)
        self.head, *self.lines = self._text(table, header=True)
        self.answered = np.zeros(len(self.lines), bool)
        self.write()

    def _text(self, table: pd.DataFrame, header: bool) -> list[str]:
        text = table.to_csv(index=False, header=header, lineterminator="\n", float_format="%.7g")
        lines = text.splitlines(keepends=True)
        if len(lines) != len(table) + header:
            raise ValueError("a row's name or a label holds a line break, which no submission line by line can hold")
        return lines

    def put(self, rows: np.ndarray, probs: np.ndarray) -> None:
        """Replace lines by predictions; (rows,) numbers and (rows, classes)."""
        if len(rows):
            table = self.form.to_submission(self.task.rows.iloc[rows], probs, list(self.task.vocab))
            for row, line in zip(rows, self._text(table, header=False)):
                self.lines[row] = line
            self.answered[rows] = True

    def write(self) -> None:
        write_atomic(self.path, (self.head + "".join(self.lines)).encode())
        self.written = time.monotonic()


# ---------------------------------------------------------------------- the report


@dataclass(frozen=True)
class SubmissionReport:
    """How a submission came about.

    Parameters
    ----------
    rows : int
        Rows of the submission.
    with_prior : int
        Rows that have the class prior.
    networks, planned : int
        Networks that answered, and those of the run.
    fewer : int
        Rows that fewer than `networks` answered, because the machine became slower.
    seconds : float
        From the beginning to the last row.
    rows_per_minute : float
        Answered rows, without the time for measuring and exporting.
    reason : str
        Why so many networks.
    failures : tuple of str
        Recordings that could not be read, or only in part, with reasons.
    late : bool
        Whether the budget ended before the last recording.
    precision : str
        What another precision than float32 changed; "" in float32.

    Examples
    --------
    >>> from specimg.experiments import SubmissionReport
    >>> print(SubmissionReport(600, 0, 3, 3, 0, 61.0, 700.0, "all 3 networks"))
    all 3 networks
    600 rows in 61 s, 700 rows a minute
    """

    rows: int
    with_prior: int
    networks: int
    planned: int
    fewer: int
    seconds: float
    rows_per_minute: float
    reason: str
    failures: tuple[str, ...] = ()
    late: bool = False
    precision: str = ""

    def __str__(self) -> str:
        lines = [
            self.reason,
            f"{count(self.rows, 'row')} in {_minutes(self.seconds)}, {self.rows_per_minute:.0f} rows a minute",
        ]
        if self.precision:
            lines.append(self.precision)
        if self.fewer:
            lines.append(f"{count(self.fewer, 'row')} answered by fewer networks: the machine became slower")
        if self.with_prior:
            why = "the budget ended" if self.late else examples(self.failures, 3, mark="; ")
            lines.append(f"{self.with_prior} of {count(self.rows, 'row')} have the class prior ({why})")
        return "\n".join(lines)


# ---------------------------------------------------------------------- the work


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that are started within it use one thread each."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


def start_pool(workers: int) -> Executor:
    """Workers of one thread each, as processes that know nothing of this one's state."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), start_worker)


def _stop(pool: Executor) -> None:
    """End the workers now, whatever they do."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()


@dataclass(frozen=True, eq=False)
class _Recording:
    """A recording that rows ask about."""

    path: str  # in the rows
    file: str
    clips: pd.DataFrame  # path, start, end: each once
    rows: np.ndarray  # numbers of the rows

    def job(self, networks: tuple[Exported, ...] = (), most: int | None = None) -> Job:
        spans = tuple((start, end) for _, start, end in clip_spans(self.clips)[:most])
        return Job(self.file, spans, networks)


def _recordings(task: Task, folder: Path) -> list[_Recording]:
    """In the order of the rows."""
    found = []
    for path, part in task.rows.groupby("path", sort=False):
        clips = part[[name for name in KEY if name in part]].drop_duplicates().reset_index(drop=True)
        found.append(_Recording(str(path), str(folder / str(path)), clips, part.index.to_numpy()))
    return found


class _Submission:
    """One call of `submit_within`."""

    def __init__(
        self,
        run: Run,
        task: Task,
        file: _File,
        steps: PostProcessing,
        runtime: str,
        precision: str,
        deadline: float,
        began: float,
    ):
        self.run, self.task, self.file, self.steps = run, task, file, steps
        self.runtime, self.precision = runtime, precision
        self.deadline, self.began = deadline, began
        self.ready: list[Exported] = []
        self.changes: list[Change] = []
        self.failures: list[str] = []

    @property
    def left(self) -> float:
        return self.deadline - time.monotonic()

    # -- measuring

    def export(self, pool: Executor, folder: Path, first: int, last: int, recordings: list[_Recording]) -> None:
        """Make the networks first ... last - 1 ready; recordings : some of whose windows show what another precision costs."""
        jobs = [
            pool.submit(
                export_network, one.folder / "classifier", folder / f"{i}.onnx", self.run.config.tta, self.runtime
            )
            for i, one in enumerate(self.run.fold_runs)
            if first <= i < last
        ]
        exported = [job.result() for job in jobs]
        if self.precision != "float32":
            step = -(-len(recordings) // SAMPLED)
            sample = tuple(one.job(most=MEASURED) for one in recordings[::step])
            jobs = [pool.submit(lower_precision, one, self.precision, sample) for one in exported]
            exported, changes = zip(*(job.result() for job in jobs))
            self.changes += changes
        self.ready += exported

    def measure(self, pool: Executor, recordings: list[_Recording], workers: int) -> Pace:
        """All workers draw and predict some windows, twice: the first time pays for imports, filter banks and loading."""
        network, reason = (self.ready[0],), ""
        for first in range(0, len(recordings), workers):
            chosen = [recordings[i % len(recordings)] for i in range(first, first + workers)]
            jobs = [one.job(network, MEASURED) for one in chosen]
            for _ in range(2):
                found = list(pool.map(answer_recording, jobs))
            known = [(len(job.spans), one) for job, one in zip(jobs, found) if one.probs is not None]
            if known:  # recordings that cannot be read say nothing
                draw, network_seconds = (
                    max(getattr(one, name) / n for n, one in known) for name in ("draw", "network")
                )
                return Pace(draw, network_seconds, self.ready[0].seconds, workers)
            reason = found[0].reasons[0]
        raise ValueError(f"none of {count(len(recordings), 'recording')} can be read ({reason})")

    # -- answering

    def take(self, one: _Recording, answer: Answered) -> None:
        """Put what a worker found into the file, after post-processing."""
        if answer.reasons:
            i, reason = next(iter(answer.reasons.items()))
            n = len(answer.reasons)
            part = "" if n == len(one.clips) else f" in {n} of {count(len(one.clips), 'window')}"
            self.failures.append(f"{one.path}{part}: {reason}")
        if answer.probs is None:
            return
        probs = self.steps.of(one.clips, answer.probs)
        known = ~np.isnan(probs).any(axis=1)
        rows = self.task.rows.iloc[one.rows]
        filled, without = fill_rows(rows, one.clips[known], probs[known], np.zeros(len(self.task.vocab)))
        self.file.put(one.rows[~without], filled[~without])
        if time.monotonic() - self.file.written > WRITE_EVERY:
            self.file.write()

    def answer(
        self, pool: Executor, recordings: list[_Recording], n: int, pace: Pace, log: Callable
    ) -> tuple[int, bool]:
        """Answer all recordings with `n` networks, with fewer where time gets short: (rows answered by fewer, was it too late)."""
        waiting, running = list(recordings), dict[Future, tuple[_Recording, int]]()
        most, fewer, taken, windows = n, 0, 0.0, 0
        while waiting or running:
            while waiting and len(running) < pace.workers + 1:
                one = waiting.pop(0)
                running[pool.submit(answer_recording, one.job(tuple(self.ready[:n])))] = (one, n)
            done, _ = wait(running, timeout=max(0.0, self.left), return_when=FIRST_COMPLETED)
            if not done:
                return fewer, True
            for future in done:
                one, by = running.pop(future)
                answer = future.result()
                self.take(one, answer)
                fewer += len(one.rows) if by < most else 0
                taken += answer.draw + answer.network * most / by
                windows += len(one.clips)
            # never faster than measured; slower, as it turned out
            slower = max(1.0, taken / windows / (pace.draw + most * pace.network))
            now = pace.replace(draw=pace.draw * slower, network=pace.network * slower, export=0.0)
            left = sum(len(one.clips) for one in [*waiting, *(one for one, _ in running.values())])
            fits = max(1, largest_part(self.left * MARGIN, n, left, now)) if left else n  # measured by now: no margin
            if fits < n:
                log(
                    f"slower than measured: {n} networks would not end in time, the remaining recordings are given {fits}"
                )
                n = fits
        return fewer, False


def _told_changes(precision: str, changes: list[Change]) -> str:
    """What another precision changed, in words."""
    if not changes:
        return ""
    mean, most = float(np.mean([one.mean for one in changes])), max(one.most for one in changes)
    return (
        f"{precision}: probabilities are {mean:.4f} off those of float32 on average, {most:.3f} at most "
        f"({count(len(changes), 'network')}, {count(changes[0].windows, 'window')} of the test recordings each)"
    )


def _check(run: Run, task: Task, seconds: float, workers: int | None, runtime: str, precision: str) -> None:
    different = run.task.differs(task)
    if different:
        raise ValueError(f"the run in {str(run.folder)!r} is of another competition: {different}")
    if not task.has_test:
        raise ValueError(f"{task.slug} has no test set; run.submission() takes the out-of-fold predictions")
    if not seconds > 0:
        raise ValueError(f"a budget of {seconds!r} s; give seconds, above 0")
    if workers is not None and workers < 1:
        raise ValueError(f"workers={workers}; give 1 or more, or None for one a core")
    check_runtime(runtime, precision)


def submit_within(
    run: Run,
    comp: Competition,
    seconds: float,
    out: str | os.PathLike = "submission.csv",
    *,
    workers: int | None = None,
    threshold: float | None = None,
    post_processing: PostProcessing | None = None,
    runtime: str = "onnxruntime",
    precision: str = "float32",
    onnx: str | os.PathLike | None = None,
    began: float | None = None,
    log: Callable[[str], None] | None = print,
) -> SubmissionReport:
    """Write a submission with the largest part of a run's networks that surely ends in a given time, on CPUs.

    The file is valid from its first second on: every row has the class prior until its recording is answered. Each window is drawn once for all
    networks; these run in workers of one thread, one a core.

    Parameters
    ----------
    run : Run
        Finished networks; they are taken in order, so that different folds come first.
    comp : Competition
        The same competition with its test set, and the recordings.
    seconds : float
        The budget, from the call on (or from `began`).
    out : str or path-like, default "submission.csv"
        The file; one that exists is replaced at once.
    workers : int, default None
        Worker processes; None: one for each CPU that this process may use.
    threshold : float, default None
        For decisions; None: the format's own.
    post_processing : PostProcessing, default None
        None: what was chosen for the run out of fold; `PostProcessing()` does nothing.
    runtime : {"onnxruntime", "openvino"}, default "onnxruntime"
        What runs the networks.
    precision : {"float32", "float16", "int8"}, default "float32"
        What they compute in. "float16", of openvino only, is what the CPU has of 16 bits; "int8" is calibrated on windows of the test recordings.
        The report says how far probabilities move; `precision_loss` says beforehand, on held-out clips, what that costs in score.
    onnx : str or path-like, default None
        Where the networks are kept as ONNX files, `0.onnx`, `1.onnx` ... (`0-int8.onnx` ...); those that are there are taken, so exporting can be
        done ahead. None: a temporary folder.
    began : float, default None
        When the budget began, by `time.monotonic()`; None: now.
    log : callable or None, default print
        Takes what was measured and decided.

    Returns
    -------
    SubmissionReport

    Raises
    ------
    ValueError
        The budget is too small for one network, or the competition is another one. The file then holds the class priors.
    ModuleNotFoundError
        onnxruntime (or openvino), or onnx, is not installed.

    Notes
    -----
    In a script, call it below `if __name__ == "__main__":`, as everything that starts processes.

    Examples
    --------
    >>> from specimg.experiments import submit_within
    >>> report = submit_within(run, comp, 90 * 60)                             # doctest: +SKIP
    >>> report.networks, report.planned, report.with_prior                     # doctest: +SKIP
    (10, 15, 0)
    """
    began, log = time.monotonic() if began is None else began, line_logger(log)
    task = Task.of(comp)
    _check(run, task, seconds, workers, runtime, precision)
    form = task.format if threshold is None else task.format.replace(threshold=threshold)
    steps = run.post_processing if post_processing is None else post_processing
    file = _File(task, run.prior, form, out)
    log(f"{count(len(task.rows), 'row')} with the class prior in {os.fspath(out)!r}")
    recordings, n_workers = _recordings(task, comp.folder), workers or cores()
    here = [one for one in recordings if os.path.isfile(one.file)]
    work = _Submission(run, task, file, steps, runtime, precision, began + seconds - LAST - 0.01 * seconds, began)
    work.failures += [f"{one.path}: there is no such file" for one in recordings if one not in here]
    if not here:
        raise ValueError(
            f"none of {count(len(recordings), 'recording')} of the rows is in {str(comp.folder)!r}; give the folder that has them"
        )
    with tempfile.TemporaryDirectory(prefix="specimg-onnx-") as own:
        folder = Path(onnx or own)
        folder.mkdir(parents=True, exist_ok=True)
        pool = start_pool(n_workers)
        try:
            with _one_thread():  # which workers inherit, as they are started one by one
                return _submit(work, pool, folder, here, n_workers, seconds, log)
        except BrokenProcessPool as exc:
            raise OSError(
                f"a worker was killed, as when memory is short; {os.fspath(out)!r} is valid as it is; give fewer workers="
            ) from exc
        finally:
            _stop(pool)
            file.write()


def _submit(
    work: _Submission, pool: Executor, folder: Path, here: list[_Recording], workers: int, seconds: float, log: Callable
) -> SubmissionReport:
    """Measure, decide, make ready, answer."""
    run, file = work.run, work.file
    work.export(pool, folder, 0, 1, here)
    pace = work.measure(pool, here, workers)
    networks, windows = len(run.fold_runs), sum(len(one.clips) for one in here)
    longest = max(len(one.clips) for one in here)
    n = largest_part(work.left, networks, windows, pace, longest=longest, exported=1)
    if not n:
        needed = (
            time.monotonic() - work.began + estimate_seconds(1, windows, pace, longest=longest) + LAST + 0.01 * seconds
        )
        raise ValueError(
            f"a budget of {_minutes(seconds)} is too small for one network: {count(windows, 'window')} on {count(workers, 'core')} need "
            f"{_minutes(needed)} with what was spent on measuring; give at least that, more cores, or a smaller network. "
            f"{os.fspath(file.path)!r} holds the class prior in every row"
        )
    reason = _why(n, networks, windows, work.left, pace, longest, 1)
    log(reason)
    work.export(pool, folder, 1, n, here)
    answering = time.monotonic()
    fewer, late = work.answer(pool, here, n, pace, log)
    ended = time.monotonic()
    report = SubmissionReport(
        len(file.lines),
        int((~file.answered).sum()),
        n,
        run.n_planned,
        fewer,
        round(ended - work.began, 1),
        round(60 * file.answered.sum() / max(ended - answering, 1e-9), 1),
        reason,
        tuple(work.failures),
        late,
        _told_changes(work.precision, work.changes),
    )
    log(str(report).partition("\n")[2])
    return report
