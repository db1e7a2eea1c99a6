"""Which steps of post-processing help: windows of labelled soundscapes that were held out are scored with each and without.

    found = choose_post_processing(run)
    print(found)                        # each step: the score with it, the difference to without, better, worse or not significant
    found.chosen                        # PostProcessing([RecordingScale()]), which run.submission() and run.classifier() now apply

`cross_validate` does this at its end where soundscapes are labelled. Nothing here sees a leaderboard. A step that learns from labels
(`ClassTemperature`) is fitted on the other folds of the windows that it is scored on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..core.files import write_atomic
from ..core.text import align_columns, cell, count
from ..core.warnings import warn
from ..inference import fit_thresholds
from ..inference.post_processing import (
    ClassTemperature,
    MinSeconds,
    PostProcessing,
    RecordingScale,
    Smoothing,
    WindowStep,
)
from ..training import Predictions
from .run import POST_PROCESSING, CompetitionPredictions, Run
from .significance import Difference, paired_difference
from .task import Task, metric_value, scored_mask

LEAST_UNITS = 5  # groups or recordings: of fewer, a step without effect is better for all of them too often by chance
COLUMNS = ["steps", "score", "difference", "low", "high", "verdict"]


class _Windows(CompetitionPredictions):
    """Held-out windows as `paired_difference` takes them."""

    def __init__(self, task: Task, predictions: Predictions):
        self.task, self.predictions = task, predictions

    @property
    def value(self) -> float:
        p = self.predictions
        return metric_value(self.task.metric, p.hot, p.probs, p.is_multi)


def soundscape_windows(predictions: Predictions) -> Predictions:
    """The scored windows of recordings that have two or more of them.

    Parameters
    ----------
    predictions : Predictions
        Out of fold; clips without a `start` are whole recordings.

    Returns
    -------
    Predictions
        Empty, where no soundscape is labelled.

    Examples
    --------
    >>> from specimg.experiments.post_processing import soundscape_windows
    >>> len(soundscape_windows(run.predictions))
    0
    """
    table = predictions.table
    counts = scored_mask(predictions)
    if "start" not in table:
        return predictions.subset(np.zeros(len(table), bool))
    counts = counts & table["start"].notna().to_numpy()
    windows = table["path"].where(counts).map(table["path"][counts].value_counts())
    return predictions.subset(counts & (windows.fillna(0) >= 2).to_numpy())


def default_candidates(window_seconds: float) -> tuple[WindowStep, ...]:
    """The steps that `cross_validate` scores.

    Parameters
    ----------
    window_seconds : float
        Length of a window, seconds; events of less than two are candidates for being lowered.

    Returns
    -------
    tuple of WindowStep

    Examples
    --------
    >>> from specimg.experiments import default_candidates
    >>> default_candidates(5.0)[0]
    RecordingScale()
    """
    return (
        RecordingScale(),
        RecordingScale(best=1, power=0.5),
        Smoothing(),
        Smoothing.mean(3),
        ClassTemperature(),
        MinSeconds(2 * window_seconds),
    )


def _folds(windows: Predictions) -> np.ndarray:
    return windows.table["fold"].to_numpy() if "fold" in windows.table else np.zeros(len(windows))


def _through(steps: Sequence[WindowStep], windows: Predictions, train: np.ndarray) -> PostProcessing:
    """The steps, each fitted on the windows `train` as they come out of those before."""
    fitted: list[WindowStep] = []
    for step in steps:
        before = PostProcessing(tuple(fitted)).of(windows.table, windows.probs) if step.learns else windows.probs
        fitted.append(step.fitted(before[train], windows.hot[train]) if step.learns else step)
    return PostProcessing(tuple(fitted))


def post_processed(windows: Predictions, steps: Sequence[WindowStep]) -> Predictions:
    """Held-out windows after some steps; what learns is fitted on the other folds.

    Parameters
    ----------
    windows : Predictions
        As of `soundscape_windows`.
    steps : sequence of WindowStep
        What is done, in order.

    Returns
    -------
    Predictions

    Raises
    ------
    ValueError
        A step learns, and all windows are of one fold.

    Examples
    --------
    >>> from specimg.experiments.post_processing import post_processed
    >>> len(post_processed(run.predictions, []))
    12
    """
    fold, out = _folds(windows), np.array(windows.probs, float)
    if not any(step.learns for step in steps):
        out = PostProcessing(tuple(steps)).of(windows.table, out)
    elif len(set(fold)) < 2:
        raise ValueError(
            "a step that learns from labels needs windows of two folds or more: it is fitted on the others"
        )
    else:
        for one in np.unique(fold):
            here = fold == one
            out[here] = _through(steps, windows, ~here).of(windows.table, windows.probs)[here]
    return Predictions(windows.table, out, windows.vocab, None, windows.is_multi)


@dataclass(frozen=True, eq=False)
class PostProcessingChoice:
    """What each step gains on held-out windows, and which are chosen.

    Parameters
    ----------
    table : DataFrame
        A row for no step, for each candidate, and for those that are chosen: steps, score; difference to no step with the ends of its 95 %
        interval, low and high, and the verdict, "better", "worse" or "not significant".
    chosen : PostProcessing
        The steps that are better, fitted on all windows, with thresholds.
    metric : str
        Name of the metric.
    units : int, default 5
        Groups, where the windows have them, else recordings, over which the intervals are. Of fewer than 5 nothing is chosen.

    Examples
    --------
    >>> from specimg.experiments import PostProcessingChoice
    >>> from specimg.inference import PostProcessing
    >>> PostProcessingChoice(pd.DataFrame(), PostProcessing(), "macro_auc").chosen
    PostProcessing()
    """

    table: pd.DataFrame
    chosen: PostProcessing
    metric: str
    units: int = LEAST_UNITS

    def __str__(self) -> str:
        t = self.table
        shown = pd.DataFrame(
            {
                "post-processing": t["steps"],
                self.metric: t["score"].map("{:.4f}".format),
                "difference (95 %)": [
                    cell(*row, form="+.4f") for row in t[["difference", "low", "high"]].to_numpy(float)
                ],
                "verdict": t["verdict"],
            }
        )
        kept = " then ".join(map(repr, self.chosen.steps)) or "none is better than nothing"
        if self.units < LEAST_UNITS:
            kept = f"nothing: {self.units} groups or recordings are too few, {LEAST_UNITS} are needed"
        return f"{align_columns(shown)}\nchosen out of fold, on {count(self.chosen.clips, 'window')}: {kept}"


def _name(steps: Sequence[WindowStep]) -> str:
    return " then ".join(map(repr, steps)) or "none"


def _row(view: _Windows, steps: Sequence[WindowStep], difference: Difference | None) -> tuple:
    if difference is None:
        return _name(steps), view.value, np.nan, np.nan, np.nan, ""
    return _name(steps), view.value, difference.value, difference.low, difference.high, difference.verdict


def _score(task: Task, windows: Predictions, steps: Sequence[WindowStep]) -> _Windows:
    return _Windows(task, post_processed(windows, steps))


def choose_steps(
    task: Task, windows: Predictions, candidates: Sequence[WindowStep], may_choose: bool = True
) -> tuple[list[WindowStep], pd.DataFrame]:
    """Greedy: of the candidates that are significantly better than what is chosen so far, the best is added, until none is.

    Each is scored alone, too. Raises nothing: a metric that is not defined gives nan, and nothing is chosen.
    """
    base = _score(task, windows, [])
    rows, chosen, best = [_row(base, [], None)], [], base
    left, first = list(candidates), True
    while left:
        views = [_score(task, windows, [*chosen, step]) for step in left]
        found = [paired_difference(view, best) for view in views]
        if first:
            rows += [_row(view, [step], difference) for view, step, difference in zip(views, left, found)]
            first = False
        better = [i for i, difference in enumerate(found) if difference.verdict == "better"]
        if not better or not may_choose:
            break
        i = max(better, key=lambda i: found[i].value)
        best = views[i]
        chosen.append(left.pop(i))
    if len(chosen) > 1:
        rows.append(_row(best, chosen, paired_difference(best, base)))
    return chosen, pd.DataFrame(rows, columns=COLUMNS)


def score_post_processing(
    task: Task, predictions: Predictions, candidates: Sequence[WindowStep] | None = None
) -> PostProcessingChoice | None:
    """Score held-out windows with each step and without, and choose those that help.

    Parameters
    ----------
    task : Task
        Labels and metric.
    predictions : Predictions
        Out of fold, with labels.
    candidates : sequence of WindowStep, default None
        None: `default_candidates` for the length of these windows.

    Returns
    -------
    PostProcessingChoice or None
        None, where no soundscape is labelled, or a window has one label only.

    Examples
    --------
    >>> from specimg.experiments.post_processing import score_post_processing
    >>> score_post_processing(run.task, run.predictions) is None        # clips, no windows of recordings
    True
    """
    windows = soundscape_windows(predictions)
    if not windows.is_multi or windows.table["path"].nunique() < 2:
        return None
    if candidates is None:
        length = float((windows.table["end"] - windows.table["start"]).median())
        candidates = default_candidates(length)
    if len(set(_folds(windows))) < 2 and any(step.learns for step in candidates):
        warn("post-processing that learns from labels is not scored: all labelled windows are of one fold")
        candidates = [step for step in candidates if not step.learns]
    units = windows.table["group" if "group" in windows.table else "path"].nunique()
    steps, table = choose_steps(task, windows, candidates, may_choose=units >= LEAST_UNITS)
    everyone = np.ones(len(windows), bool)
    fitted = _through(steps, windows, everyone)
    after = post_processed(windows, steps)
    thresholds = tuple(float(f"{t:.6g}") for t in fit_thresholds(after.probs, after.hot)) if steps else ()
    chosen = PostProcessing(fitted.steps, thresholds, len(windows))
    return PostProcessingChoice(table, chosen, task.metric, units)


def choose_post_processing(
    run: Run, candidates: Sequence[WindowStep] | None = None, log: Callable[[str], None] | None = None
) -> PostProcessingChoice | None:
    """Choose the post-processing of a run's windows out of fold, and keep it in the run's folder.

    `run.submission()`, `run.classifier()` and `save_classifier(run, ...)` then apply it.

    Parameters
    ----------
    run : Run
        A finished one, whose competition has labelled windows of soundscapes.
    candidates : sequence of WindowStep, default None
        In any order; each is scored alone, and on top of those that are chosen before it. None: `default_candidates`. An empty list keeps none.
    log : callable, default None
        Takes the table as text.

    Returns
    -------
    PostProcessingChoice or None
        None, where there is nothing to choose on; then nothing is kept.

    Notes
    -----
    A step is chosen where its paired difference is "better" at 95 %, over groups or recordings, of which there must be 5. The chosen ones are scored on the windows that chose
    them, so their score is a little too good.

    Examples
    --------
    >>> from specimg.experiments import choose_post_processing
    >>> choose_post_processing(run) is None                 # clips, no windows of recordings
    True
    """
    found = score_post_processing(run.task, run.predictions, candidates)
    if found is None:
        return None
    rows = found.table.astype(object).where(found.table.notna(), None).values.tolist()
    about = {"of": run._state, "metric": found.metric, "scores": rows, "chosen": found.chosen.to_dict()}
    write_atomic(run.folder / POST_PROCESSING, json.dumps(about, indent=1, ensure_ascii=False).encode())
    vars(run).pop("post_processing", None)
    if log is not None:
        log(str(found))
    return found
