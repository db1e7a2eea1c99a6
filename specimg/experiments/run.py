"""A run: what every fold said about the clips that it never saw, and about the test set.

    run = Run.open("runs/r34")
    run.score                       # map@3 0.9120 (0.8940 to 0.9290, 1203 clips)
    run.scores                      # a row for each fold and seed
    run.oof                         # one row a clip: label, fold, prediction, p_<label> ...
    run.submission("submission.csv")

The folder of a run holds `run.toml` (every choice), `run.json` (versions, seeds, data digest, picture size), `competition.json`
and `answers.csv` (what is asked), `folds.csv` (who is held out when), `score.json`, and for each fold of each seed a folder with the
table of its epochs, the trained classifier and its answers. It may be copied anywhere; the recordings need not come along.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..core.files import write_atomic
from ..core.text import count
from ..core.warnings import warn
from ..inference import load_classifier
from ..labels.tables import KEY, clip_index
from ..metrics import get_metric
from ..training import Predictions, read_history
from .config import RunConfig
from .drawing import draw_clips, join_pictures, predict_pictures
from .fold_run import FoldRun, mean_predictions, plan_fold_runs
from .task import Score, Task, has_threshold, read_table, refuse_nan, score_predictions, scored_mask, write_submission

__all__ = ["Run", "CompetitionPredictions", "drawn_test_clips"]

PARTS = (
    "run.toml",
    "run.json",
    "competition.json",
    "answers.csv",
    "folds.csv",
)  # that every run has; the last is written last


# ---------------------------------------------------------------------- what runs and blends have in common


class CompetitionPredictions:
    """Out-of-fold predictions and test probabilities of one competition: what runs and blends have in common.

    Attributes
    ----------
    task : labels, metric and rows of the competition
    predictions : `Predictions` of all clips that were held out; `SpecInterpretation(run.predictions)` draws them
    test_clips, test_probs : the test clips with an answer, and their probabilities `(clips, classes)`
    """

    task: Task
    predictions: Predictions
    test_clips: pd.DataFrame
    test_probs: np.ndarray

    @functools.cached_property
    def score(self) -> Score:
        """The competition's metric over all held-out clips at once: a float with `.metric`, `.low`, `.high`, `.n`."""
        return score_predictions(self.predictions, self.task.metric)

    @property
    def oof(self) -> pd.DataFrame:
        """The out-of-fold table: path, start, end, label, fold, group, prediction, loss, confidence, right ..., p_<label>."""
        table = self.predictions.table.rename(columns={"target": "label"}).drop(columns="picture")
        first = [name for name in [*KEY, "label", "fold", "group"] if name in table]
        probs = pd.DataFrame(self.predictions.probs, columns=[f"p_{label}" for label in self.task.vocab])
        return pd.concat([table[first + [name for name in table if name not in first]], probs], axis=1)

    @functools.cached_property
    def prior(self) -> np.ndarray:
        """(classes,): how common each label is among the clips that count; what is said where nothing can be heard."""
        counts = scored_mask(self.predictions)
        n_classes = len(self.task.vocab)
        return self.predictions.hot[counts].mean(axis=0) if counts.any() else np.full(n_classes, 1 / n_classes)

    def best_threshold(self) -> float:
        """The probability above which to say yes that scores best out of fold, of 0.02, 0.04 ... 0.98; for metrics of decisions.

        Raises ValueError where the metric has no threshold.
        """
        metric = get_metric(self.task.metric)
        if not has_threshold(metric.name):
            raise ValueError(f"{metric.name} is no metric of decisions: there is no threshold to choose")
        counted = self.predictions.subset(scored_mask(self.predictions))
        truth, sign = counted.hot.astype(int), 1 if metric.greater_is_better else -1
        scores = [sign * metric.function(truth, counted.probs, threshold=step / 50) for step in range(1, 50)]
        return float(np.argmax(scores) + 1) / 50

    def submission(
        self, path: str | os.PathLike = "submission.csv", threshold: float | str | None = None
    ) -> pd.DataFrame:
        """Write the answers in the competition's format, check them against its rows and columns, and return them.

        Without a test set every clip of training is answered by networks that never saw it. Rows whose recording is bad, empty or
        missing get the class prior, and a warning counts them.

        Parameters
        ----------
        threshold : for answers of yes and no; default the format's own, "oof" takes `best_threshold()`

        Raises ValueError where the answers would not be accepted; nothing is written then.
        """
        threshold = self.best_threshold() if threshold == "oof" else threshold
        if self.task.has_test:
            clips, probs = self.test_clips, self.test_probs
        else:
            clips, probs = self.predictions.table, self.predictions.probs
        return write_submission(self.task, clips, probs, self.prior, path, threshold)


# ---------------------------------------------------------------------- the run


def drawn_test_clips(rows: pd.DataFrame, tree) -> pd.DataFrame:
    """The test clips that have a picture, each once: path, start, end, group, picture. The others are said by number and reason."""
    clips = rows[[name for name in [*KEY, "group"] if name in rows]].drop_duplicates(
        [name for name in KEY if name in rows]
    )
    return join_pictures(clips, tree, "test clip", "answered with the class prior")


class Run(CompetitionPredictions):
    """A cross-validation on disk; `cross_validate` returns one, `Run.open(folder)` reads one.

    Besides what `CompetitionPredictions` has:

    folder : absolute Path
    choices : every choice that was made, as in run.toml
    folds : one row a training clip: path, start, end, group, fold
    fold_runs : the finished folds of all seeds, of `n_planned`
    scores, history : tables, see there
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder).absolute()  # the working folder may change
        missing = [name for name in PARTS if not (self.folder / name).is_file()]
        if missing:
            below = sorted(str(found.parent) for found in self.folder.glob("*/run.toml"))
            hint = f"did you mean {below[0]!r}?" if below else "cross_validate(..., out=...) makes one"
            raise ValueError(f"{str(self.folder)!r} is not the folder of a run (it has no {missing[0]}); {hint}")
        try:
            self.config = RunConfig.from_toml(self.folder / "run.toml")
            self.task = Task.load(self.folder)
            self.folds = read_table(self.folder / "folds.csv")
            self.planned = plan_fold_runs(self.folder, self.config, self.folds)
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(f"the run in {str(self.folder)!r} cannot be read: {exc}") from exc
        self._answers: tuple[pd.DataFrame, np.ndarray] | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """The run in a folder, wherever it was copied to. ValueError where there is none, or no fold of it has finished."""
        run = cls(folder)
        run._require_finished()
        return run

    @functools.cached_property
    def fold_runs(self) -> list[FoldRun]:
        """The networks that are trained, seed by seed and fold by fold."""
        return [fold_run for fold_run in self.planned if fold_run.finished]

    @property
    def n_planned(self) -> int:
        """Networks that the finished run has."""
        return len(self.planned)

    def _require_finished(self) -> None:
        if not self.fold_runs:
            raise ValueError(
                f"no fold of the run in {str(self.folder)!r} has finished; cross_validate with the same arguments goes on"
            )

    # -- the clips that were held out

    @functools.cached_property
    def score(self) -> Score:
        """The competition's metric over all held-out clips at once: a float with `.metric`, `.low`, `.high`, `.n`."""
        kept = self._kept_score()
        return super().score if kept is None else kept

    def _kept_score(self) -> Score | None:
        """What `keep_score` wrote, where it is of the very fold_runs that are finished now."""
        file = self.folder / "score.json"
        about = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        return Score.from_dict(about, self.task.metric) if about.get("of") == self._state else None

    @property
    def _state(self) -> dict[str, str]:
        """The finished fold_runs, and a digest of what was measured of each."""
        return {
            fold_run.folder.name: hashlib.blake2b(
                (fold_run.folder / "done.json").read_bytes(), digest_size=8
            ).hexdigest()
            for fold_run in self.fold_runs
        }

    def keep_score(self) -> None:
        """Write score.json: with many clips the interval takes a minute, and nobody wants to wait for it at every look."""
        if self.fold_runs and self._kept_score() is None:
            write_atomic(
                self.folder / "score.json", json.dumps({**self.score.to_dict(), "of": self._state}, indent=1).encode()
            )

    @functools.cached_property
    def predictions(self) -> Predictions:  # type: ignore[override]
        """Of all clips that were held out, fold by fold, the mean over the seeds."""
        self._require_finished()
        by_fold: dict[int, list[Predictions]] = {}
        for fold_run in self.fold_runs:
            by_fold.setdefault(fold_run.fold, []).append(fold_run.oof())
        folds = [mean_predictions(by_fold[fold]) for fold in sorted(by_fold)]
        return folds[0].merge(*folds[1:])

    @property
    def scores(self) -> pd.DataFrame:
        """One row for each finished fold and seed: its score with the interval's ends, clips that count, epochs and seconds."""
        names = ["score", "low", "high", "clips", "epochs", "seconds"]
        done = [(fold_run, fold_run.done) for fold_run in self.fold_runs]
        rows = [(fold_run.seed, fold_run.fold, *(measured[name] for name in names)) for fold_run, measured in done]
        return pd.DataFrame(rows, columns=["seed", "fold", *names]).astype({name: float for name in names[:3]})

    @property
    def history(self) -> pd.DataFrame:
        """The tables of epochs of all folds, one below the other, with the columns seed and fold."""
        self._require_finished()
        return pd.concat(
            [read_history(m.folder / "fit").assign(seed=m.seed, fold=m.fold) for m in self.fold_runs], ignore_index=True
        )

    # -- the test set

    def _test_of(self, fold_runs: Sequence[FoldRun]) -> Predictions:
        """The mean of what fold_runs say about the test set. ValueError where one has not been asked."""
        self._require_finished()
        silent = [fold_run for fold_run in fold_runs if not fold_run.predicted_test]
        if silent:
            raise ValueError(
                f"the test set has not been predicted by {silent[0]}; cross_validate with the same arguments and test=True "
                f"does it, or run.predict_test(Competition.open({self.task.slug!r}, ...))"
            )
        tests = [fold_run.test() for fold_run in fold_runs]
        clips = [clip_index(test.table) for test in tests]
        if not all(own.equals(clips[0]) for own in clips):
            raise ValueError(
                f"the networks in {str(self.folder)!r} have heard different test clips; "
                f"run.predict_test(Competition.open({self.task.slug!r}, ...)) asks them all again"
            )
        return mean_predictions(tests)

    def _load_answers(self) -> tuple[pd.DataFrame, np.ndarray]:
        if self._answers is None:
            mean = self._test_of(self.fold_runs)
            if len(self.fold_runs) < self.n_planned:
                warn(
                    f"the test set is answered by {len(self.fold_runs)} of {self.n_planned} networks: the run is not finished"
                )
            self._answers = mean.table, mean.probs
        return self._answers

    @property
    def test_clips(self) -> pd.DataFrame:
        """The test clips that could be heard: path and where known start, end, group."""
        return self._load_answers()[0]

    @property
    def test_probs(self) -> np.ndarray:  # type: ignore[override]
        """(clips, classes): the mean over all networks."""
        return self._load_answers()[1]

    def predict_test(self, comp: Competition, cache=None, n_jobs: int = -1, progress: bool = True) -> Run:
        """The same run with answers for the test set of `comp`, predicted now by the saved classifiers; nothing is written into its folder.

        For code competitions: train where there is time, mount the run's folder where the hidden test set is.
        Raises ValueError where `comp` is another competition, or has no test set.
        """
        self._require_finished()
        different = self.task.differs(Task.of(comp))
        if different:
            raise ValueError(f"the run in {str(self.folder)!r} is of another competition: {different}")
        if comp.test is None:
            raise ValueError(
                f"{comp.slug} in {str(comp.folder)!r} has no test set; run.submission() answers the clips of training"
            )
        run = Run(self.folder)
        run.task = Task.of(comp)
        tree = draw_clips([comp.test], comp.folder, self.config.renderer, cache, n_jobs, progress)
        clips = drawn_test_clips(comp.test, tree)
        total = np.zeros((len(clips), len(run.task.vocab)))
        for fold_run in run.fold_runs:
            classifier = load_classifier(fold_run.folder / "classifier")
            total += predict_pictures(
                classifier, clips["picture"], self.config.tta, progress=progress, title=f"test, {fold_run}"
            )
        run._answers = clips, total / len(run.fold_runs)
        refuse_nan(*run._answers)
        return run

    # -- what others may learn from it

    def pseudo_labels(self, min_probability: float = 0.9, fold: int | None = None) -> pd.DataFrame:
        """Test clips that the run is sure of, as rows of a training table: path, start, end, group, label, weight (the probability).

        Where clips may have several labels those of `min_probability` or more are taken, and the weight is the largest.

        fold : only what the networks say that held this fold out. Networks that have seen a clip must not label others for the network
            that is tested on it, or its score would be no longer out of fold.

        Raises ValueError where there is no test set, or it has not been predicted.
        """
        if not self.task.has_test:
            raise ValueError(f"{self.task.slug} has no test set to take pseudo-labels from")
        fold_runs = [m for m in self.fold_runs if fold is None or m.fold == fold]
        if not fold_runs:
            raise ValueError(f"fold {fold} of the run in {str(self.folder)!r} has not finished")
        return _sure(self._test_of(fold_runs), min_probability)

    def __repr__(self) -> str:
        part = (
            ""
            if len(self.fold_runs) == self.n_planned
            else f", {len(self.fold_runs)} of {count(self.n_planned, 'network')} finished"
        )
        score = f": {self.score}" if self.fold_runs else ""
        return f"Run({self.config.arch} on {self.task.slug}, {self.config.renderer.representation.slug}{part}{score})"


def _sure(test: Predictions, least: float) -> pd.DataFrame:
    """The clips with a label of probability `least` or more, as rows of a training table."""
    sure = test.subset(test.probs.max(axis=1, initial=0) >= least)
    if test.is_multi:
        labels = [[test.vocab[i] for i in np.flatnonzero(row >= least)] for row in sure.probs]
    else:
        labels = [test.vocab[i] for i in sure.probs.argmax(axis=1)]
    rows = sure.table[[name for name in [*KEY, "group"] if name in sure.table]]
    return rows.assign(label=pd.Series(labels, dtype=object), weight=sure.probs.max(axis=1, initial=0).astype(float))
