"""What fewer bits cost: the score of a run's networks in another precision, on clips that they did not train on, beside float32.

    print(precision_loss(run, comp, "int8"))
    # int8 in onnxruntime: macro_auc 0.912 against 0.915 in float32, -0.003 (-0.006 to +0.001, not significant) on 200 held-out clips;
    # 3.1 times as fast

Do this before `submit_within(..., precision="int8")`: there the recordings have no labels, so that only how far probabilities move can be said.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..inference.export.runtime import check_runtime
from ..labels.tables import clip_spans
from ..training import Predictions
from .budget_workers import Exported, Job, answer_recording, export_network, lower_precision
from .fold_run import mean_predictions
from .run import CompetitionPredictions, Run
from .significance import Difference, paired_difference
from .task import Task, metric_value

CALIBRATED = 64  # clips of each network, half of them for the ranges of 8 bits; never those that are scored, where there are others


@dataclass(frozen=True)
class PrecisionLoss:
    """Scores in another precision and in float32, on the same held-out clips.

    Parameters
    ----------
    precision, runtime : str
        What was tried.
    metric : str
        The competition's.
    score, exact : float
        In that precision, and in float32.
    difference : Difference
        Of the two, positive where the other precision is better, with an interval of 95 %.
    faster : float
        How many times as fast a network is.

    Examples
    --------
    >>> from specimg.experiments import Difference, PrecisionLoss
    >>> print(PrecisionLoss("int8", "onnxruntime", "accuracy", 0.71, 0.72, Difference(-0.01, -0.03, 0.01, 200), 2.0))
    int8 in onnxruntime: accuracy 0.7100 against 0.7200 in float32, -0.0100 (-0.0300 to +0.0100, not significant) on 200 held-out clips; 2.0 times as fast
    """

    precision: str
    runtime: str
    metric: str
    score: float
    exact: float
    difference: Difference
    faster: float

    def __str__(self) -> str:
        d = self.difference
        return (
            f"{self.precision} in {self.runtime}: {self.metric} {self.score:.4f} against {self.exact:.4f} in float32, {d.value:+.4f} "
            f"({d.low:+.4f} to {d.high:+.4f}, {d.verdict or 'no verdict'}) on {d.clips} held-out clips; {self.faster:.1f} times as fast"
        )


class _Answers(CompetitionPredictions):
    def __init__(self, task: Task, predictions: Predictions):
        self.task, self.predictions = task, predictions


def _jobs(table: pd.DataFrame, folder: Path, *networks: Exported) -> list[Job]:
    """One job for each clip: clips of a table of predictions need not be sorted by recording."""
    return [Job(os.path.join(folder, path), ((start, end),), networks) for path, start, end in clip_spans(table)]


def _answers(part: Predictions, folder: Path, network: Exported) -> tuple[Predictions, float]:
    """(the clips that can be read, with the network's probabilities; seconds that it took)."""
    found = [answer_recording(job) for job in _jobs(part.table, folder, network)]
    known = np.array([one.probs is not None for one in found])
    if not known.any():
        raise ValueError(f"none of {len(found)} held-out clips can be read ({next(iter(found[0].reasons.values()))})")
    part = part.subset(known)
    probs = np.concatenate([one.probs for one in found if one.probs is not None])
    again = Predictions(part.table, probs.astype(np.float32), part.vocab, is_multi=part.is_multi)
    return again, sum(one.network for one in found)


def _evenly(n: int, of: int) -> np.ndarray:
    return np.unique(np.linspace(0, of - 1, min(n, of)).round().astype(int))


def precision_loss(
    run: Run, comp: Competition, precision: str = "int8", *, runtime: str = "onnxruntime", clips: int = 200
) -> PrecisionLoss:
    """What another precision costs a run in score, on held-out clips.

    Each network answers clips of its own fold, which it did not train on, in float32 and in the other precision.

    Parameters
    ----------
    run : Run
        Finished networks.
    comp : Competition
        The same competition with the recordings of its training set.
    precision : {"int8", "float16"}, default "int8"
        As of `submit_within`.
    runtime : {"onnxruntime", "openvino"}, default "onnxruntime"
        What runs the networks; float32 too.
    clips : int, default 200
        Clips in all, spread evenly over folds and their tables.

    Returns
    -------
    PrecisionLoss
        It prints as one line.

    Raises
    ------
    ValueError
        The competition is another one, no clip can be read, or the runtime has not that precision.
    ModuleNotFoundError
        The runtime, or onnx, is not installed.

    Examples
    --------
    >>> from specimg.experiments import precision_loss
    >>> loss = precision_loss(run, comp, "int8")                                # doctest: +SKIP
    >>> loss.difference.verdict, loss.faster                                    # doctest: +SKIP
    ('not significant', 3.1)
    """
    check_runtime(runtime, precision)
    if run.task.differs(Task.of(comp)):
        raise ValueError(f"the run in {str(run.folder)!r} is of another competition: {run.task.differs(Task.of(comp))}")
    if precision == "float32" or clips < 1:
        raise ValueError(
            f"precision={precision!r}, clips={clips}: compare another precision than float32, on 1 clip or more"
        )
    each, parts = -(-clips // len(run.fold_runs)), ([], [])
    seconds = [0.0, 0.0]
    with tempfile.TemporaryDirectory(prefix="specimg-onnx-") as folder:
        for i, fold_run in enumerate(run.fold_runs):
            oof = fold_run.oof()
            scored = _evenly(each, len(oof))
            others = np.setdiff1d(np.arange(len(oof)), scored)
            sample = others[_evenly(CALIBRATED, len(others))] if len(others) > 1 else scored
            exact = export_network(fold_run.folder / "classifier", Path(folder, f"{i}.onnx"), run.config.tta, runtime)
            lower, _ = lower_precision(exact, precision, tuple(_jobs(oof.table.iloc[sample], comp.folder)))
            for j, network in enumerate((exact, lower)):
                part, took = _answers(oof.subset(scored), comp.folder, network)
                parts[j].append(part)
                seconds[j] += took
    exact, lower = (_Answers(run.task, mean_predictions(of)) for of in parts)
    score, in_float32 = (
        float(metric_value(run.task.metric, p.hot, p.probs, p.is_multi)) for p in (lower.predictions, exact.predictions)
    )
    difference, faster = paired_difference(lower, exact), seconds[0] / seconds[1]
    return PrecisionLoss(precision, runtime, run.task.metric, score, in_float32, difference, faster)
