"""A run: the predictions of every fold for the clips that were held out, and for the test set.

    run = Run.open("runs/r34")
    run.score                       # map@3 0.9120 (0.8940 to 0.9290, 1203 clips)
    run.scores                      # a row for each fold and seed
    run.oof                         # one row per clip: label, fold, prediction, p_<label> ...
    run.submission("submission.csv")

The folder of a run holds `run.toml` (the configuration), `run.json` (versions, seeds, data digest, picture size), `competition.json` and
`answers.csv` (the rows to predict), `folds.csv` (which clip is held out when), `score.json`, and for each fold and seed a folder with the
table of its epochs, the trained classifier and its predictions. It may be copied anywhere; the recordings are not needed.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..core.files import refuse_links, write_atomic
from ..core.hub import local_folder
from ..core.reading import is_number, read_bytes, read_json
from ..core.text import count
from ..core.warnings import warn
from ..inference import Classifier, PostProcessing, load_classifier
from ..inference.save import classifier_of_run
from ..labels.tables import KEY, clip_index
from ..metrics import get_metric
from ..render.tree import SpecTree
from ..training import Predictions, read_history
from ..training.checkpoint import TrainingFolder
from .config import RunConfig
from .drawing import draw_clips, join_pictures, predict_pictures
from .fold_run import MOST_DONE, FoldRun, check_paths, mean_predictions, plan_fold_runs
from .task import Score, Task, has_threshold, read_table, refuse_nan, save_submission, score_predictions, scored_mask

# of every run; the last is written last
PARTS = ("run.toml", "run.json", "competition.json", "answers.csv", "folds.csv")
MOST_RUN_JSON = 2**22  # bytes of run.json, and of score.json, which lists the networks
POST_PROCESSING = "post_processing.json"  # what `choose_post_processing` chose
MOST_POST_PROCESSING = 2**24  # bytes of it: it may have two numbers a label


# ---------------------------------------------------------------------- what runs and blends share


class CompetitionPredictions:
    """Out-of-fold predictions and test probabilities of one competition: what runs and blends share.

    Attributes
    ----------
    task : Task
        Labels, metric and rows of the competition.
    predictions : Predictions
        Predictions of all clips that were held out; `SpecInterpretation(run.predictions)` plots them.
    test_clips : DataFrame
        The test clips that could be drawn.
    test_probs : ndarray of shape (clips, classes)
        Their probabilities.
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
        """The out-of-fold table, one row per clip: path, start, end, label, fold, group, prediction, loss, confidence, right ..., p_<label>."""
        table = self.predictions.table.rename(columns={"target": "label"}).drop(columns="picture")
        first = [name for name in [*KEY, "label", "fold", "group"] if name in table]
        probs = pd.DataFrame(self.predictions.probs, columns=[f"p_{label}" for label in self.task.vocab])
        return pd.concat([table[first + [name for name in table if name not in first]], probs], axis=1)

    @functools.cached_property
    def prior(self) -> np.ndarray:
        """(classes,): the share of each label among the scored clips; the prediction of rows whose recording could not be drawn."""
        counts = scored_mask(self.predictions)
        n_classes = len(self.task.vocab)
        return self.predictions.hot[counts].mean(axis=0) if counts.any() else np.full(n_classes, 1 / n_classes)

    @property
    def post_processing(self) -> PostProcessing:
        """What `submission` does with the windows of one recording; nothing, unless it was chosen out of fold."""
        return PostProcessing()

    def best_threshold(self, post_processing: PostProcessing | None = None) -> float:
        """The probability from which to decide for a label, of 0.02, 0.04 ... 0.98, that scores best out of fold.

        Parameters
        ----------
        post_processing : PostProcessing, optional
            What was done before the decision; default that of this run.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            The metric takes probabilities, not decisions.
        """
        metric = get_metric(self.task.metric)
        if not has_threshold(metric.name):
            raise ValueError(f"{metric.name} takes probabilities, not decisions: there is no threshold to choose")
        chosen = self.post_processing if post_processing is None else post_processing
        counted = self.predictions.subset(scored_mask(self.predictions))
        truth, sign = counted.hot.astype(int), 1 if metric.greater_is_better else -1
        probs = chosen.of(counted.table, counted.probs)
        scores = [sign * metric.function(truth, probs, threshold=step / 50) for step in range(1, 50)]
        return float(np.argmax(scores) + 1) / 50

    def submission(
        self,
        path: str | os.PathLike = "submission.csv",
        threshold: float | str | None = None,
        post_processing: PostProcessing | None = None,
    ) -> pd.DataFrame:
        """Write the predictions in the competition's format and check them against its rows and columns.

        Without a test set the out-of-fold predictions of all training clips are written. Rows whose recording is unreadable, empty or missing
        get the class prior, and a warning counts them.

        Parameters
        ----------
        path : str or path-like, default "submission.csv"
            The file; one that exists is replaced.
        threshold : float or "oof", optional
            For decisions; default the format's own, "oof" takes `best_threshold()`.
        post_processing : PostProcessing, optional
            What is done with the windows of each recording; default what was chosen out of fold (`choose_post_processing`), and
            `PostProcessing()` does nothing.

        Returns
        -------
        DataFrame
            What was written.

        Raises
        ------
        ValueError
            The competition would not accept it; nothing is written.
        """
        chosen = self.post_processing if post_processing is None else post_processing
        threshold = self.best_threshold(chosen) if threshold == "oof" else threshold
        if self.task.has_test:
            clips, probs = self.test_clips, self.test_probs
        else:
            clips, probs = self.predictions.table, self.predictions.probs
        return save_submission(self.task, clips, chosen.of(clips, probs), self.prior, path, threshold)


# ---------------------------------------------------------------------- the run


def drawn_test_clips(rows: pd.DataFrame, tree: SpecTree) -> pd.DataFrame:
    """The test clips that have a picture, each once: path, start, end, group, picture. A warning counts the others, with reasons."""
    clips = rows[[name for name in [*KEY, "group"] if name in rows]].drop_duplicates(
        [name for name in KEY if name in rows]
    )
    return join_pictures(clips, tree, "test clip", "given the class prior")


def _what_instead(folder: Path) -> str:
    """What to do with a folder that is not a run."""
    below = sorted(str(found.parent) for found in folder.glob("*/run.toml"))
    if TrainingFolder(folder).facts_file.is_file():
        return "it holds one training, as fit(..., out=...) writes it; report, SpecInterpretation.from_run and load_classifier take that"
    return f"did you mean {below[0]!r}?" if below else "cross_validate(..., out=...) makes one"


def _is_size(part: object) -> bool:
    return isinstance(part, list) and len(part) == 2 and all(type(side) is int and side > 0 for side in part)


def read_about(folder: Path) -> dict[str, Any]:
    """run.json: data, seeds, fold_seed, pseudo, versions, machine, begun, and where known size and tree. ValueError if it holds something else."""
    file = folder / "run.json"
    about = read_json(file, max_bytes=MOST_RUN_JSON)
    if not isinstance(about, dict):
        raise ValueError(f"{str(file)!r} is a {type(about).__name__}, and no object")
    versions, texts = about.get("versions", {}), ("data", "pseudo", "tree", "begun", "machine")
    fits = {
        "versions": isinstance(versions, dict) and all(isinstance(number, str) for number in versions.values()),
        "size": _is_size(about.get("size", [1, 1])),
        **{name: isinstance(about.get(name), (str, type(None))) for name in texts},
    }
    for name, good in fits.items():
        if not good:
            raise ValueError(f"{str(file)!r}: its entry {name!r} is {about[name]!r:.60}")
    return about


def _read_kept_score(file: Path) -> dict[str, Any]:
    """What score.json holds. ValueError if that is something else."""
    about = read_json(file, max_bytes=MOST_RUN_JSON)
    if not isinstance(about, dict) or not {"score", "low", "high", "clips"} <= set(about):
        raise ValueError("it does not hold a score")
    for name in ("score", "low", "high", "clips"):
        number = about[name]
        if not is_number(number, below=1e300) and (number is not None or name == "clips"):
            raise ValueError(f"its entry {name!r} is {number!r:.40}")
    return about


def _read_chosen(file: Path) -> tuple[Any, PostProcessing]:
    """(the networks it was chosen with, the steps) of post_processing.json. ValueError if it holds something else."""
    about = read_json(file, max_bytes=MOST_POST_PROCESSING)
    if not isinstance(about, dict) or not {"of", "chosen"} <= set(about):
        raise ValueError("it does not hold what was chosen")
    return about["of"], PostProcessing.from_dict(about["chosen"])


class Run(CompetitionPredictions):
    """A cross-validation on disk; `cross_validate` returns one, `Run.open(folder)` reads one.

    Parameters
    ----------
    folder : str or path-like
        Folder of the run.

    Attributes
    ----------
    folder : Path
        Absolute.
    config : RunConfig
        The configuration, as in run.toml.
    about : dict
        What run.json holds: versions, seeds, when it was begun, the size and the tree of its pictures.
    task : Task
        Labels, metric and rows of the competition.
    folds : DataFrame
        One row per training clip: path, start, end, group, fold.
    planned : list of FoldRun
        The networks of the finished run; `fold_runs` are those that are trained.
    score, oof, predictions, test_clips, test_probs
        Described at the properties of these names.

    Raises
    ------
    ValueError
        The folder holds no run, the run cannot be read, or it holds a link, which could lead out of it.

    Examples
    --------
    >>> run.score.metric, len(run.oof), run.n_planned
    ('accuracy', 12, 2)
    >>> run.scores[["seed", "fold", "clips"]].to_numpy().tolist()
    [[0, 0, 4], [0, 1, 8]]
    >>> len(sp.Run.open(run.folder).submission("submission.csv"))
    12
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder = Path(folder).absolute()  # the working folder may change
        missing = [name for name in PARTS if not (self.folder / name).is_file()]
        if missing:
            raise ValueError(
                f"{str(self.folder)!r} is not the folder of a run (it has no {missing[0]}); {_what_instead(self.folder)}"
            )
        refuse_links(self.folder)
        if (self.folder / "score.json").is_dir():
            raise ValueError(f"{str(self.folder / 'score.json')!r} is a folder, where a run keeps a file; remove it")
        try:
            self.config = RunConfig.from_toml(self.folder / "run.toml")
            self.about = read_about(self.folder)
            self.task = Task.load(self.folder)
            check_paths(self.task.rows, self.folder / "answers.csv")
            self.folds = check_paths(read_table(self.folder / "folds.csv"), self.folder / "folds.csv")
            self.planned = plan_fold_runs(self.folder, self.config, self.folds)
        except (KeyError, TypeError, ValueError, OverflowError) as exc:
            reason = f"it has no {exc}" if isinstance(exc, KeyError) else exc
            raise ValueError(f"the run in {str(self.folder)!r} cannot be read: {reason}") from exc
        self._test: tuple[pd.DataFrame, np.ndarray] | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike) -> Run:
        """Open the run in a folder, wherever it was copied to.

        Parameters
        ----------
        folder : str or path-like
            Folder of the run; or an address on the Hub, `hf://user/name[@revision][:subfolder]`, that `push_to_hub` filled.

        Returns
        -------
        Run

        Raises
        ------
        ValueError
            The folder holds no run, or no fold of it has finished.
        ConnectionError
            The Hub is out of reach, and it is not in huggingface_hub's cache.
        """
        run = cls(local_folder(folder, PARTS[:1], "a run"))
        run._require_finished()
        return run

    @functools.cached_property
    def fold_runs(self) -> list[FoldRun]:
        """The networks that are trained, seed by seed and fold by fold."""
        return [fold_run for fold_run in self.planned if fold_run.finished]

    @property
    def n_planned(self) -> int:
        """Number of networks of the finished run."""
        return len(self.planned)

    def _require_finished(self) -> None:
        if not self.fold_runs:
            raise ValueError(
                f"no fold of the run in {str(self.folder)!r} has finished; cross_validate with the same arguments continues"
            )

    # -- the clips that were held out

    @functools.cached_property
    def score(self) -> Score:
        """The competition's metric over all held-out clips at once: a float with `.metric`, `.low`, `.high`, `.n`."""
        kept = self._kept_score()
        return super().score if kept is None else kept

    def _kept_score(self) -> Score | None:
        """What `keep_score` wrote, if it is of the networks that are finished now. Warns if it is damaged."""
        file = self.folder / "score.json"
        if not file.is_file():
            return None
        try:
            about = _read_kept_score(file)
        except ValueError as exc:
            warn(
                f"{str(file)!r} cannot be read ({exc}); nothing is lost, the score is computed again from the predictions"
            )
            return None
        return Score.from_dict(about, self.task.metric) if about.get("of") == self._state else None

    @property
    def _state(self) -> dict[str, str]:
        """The finished networks, with a digest of what was measured of each."""
        return {
            fold_run.folder.name: hashlib.blake2b(
                read_bytes(fold_run.folder / "done.json", MOST_DONE), digest_size=8
            ).hexdigest()
            for fold_run in self.fold_runs
        }

    def keep_score(self) -> None:
        """Write score.json, because the interval over many clips takes a minute to compute."""
        if self.fold_runs and self._kept_score() is None:
            write_atomic(
                self.folder / "score.json", json.dumps({**self.score.to_dict(), "of": self._state}, indent=1).encode()
            )

    @functools.cached_property
    def post_processing(self) -> PostProcessing:  # type: ignore[override]
        """What was chosen out of fold, and `submission` and `classifier` apply; nothing, with a warning, if its file is of other networks."""
        found = self._kept_choice()
        if found is not None and found[0] != self._state:
            warn(
                f"{str(self.folder / POST_PROCESSING)!r} was chosen with other networks than those of this run, and is not applied; "
                "choose_post_processing(run) chooses again"
            )
            return PostProcessing()
        return PostProcessing() if found is None else found[1]

    def _kept_choice(self) -> tuple[Any, PostProcessing] | None:
        """(the networks it was chosen with, the steps); None if nothing was chosen."""
        file = self.folder / POST_PROCESSING
        if not file.is_file():
            return None
        try:
            return _read_chosen(file)
        except ValueError as exc:
            raise ValueError(
                f"{str(file)!r} cannot be read ({exc}); remove it, or choose_post_processing(run) chooses again"
            ) from exc

    @property
    def has_chosen(self) -> bool:
        """Whether post-processing was chosen, or refused, with the networks that are finished now."""
        found = self._kept_choice()
        return found is not None and found[0] == self._state

    @functools.cached_property
    def predictions(self) -> Predictions:  # type: ignore[override]
        """Predictions of all clips that were held out, fold by fold, the mean over the seeds."""
        self._require_finished()
        by_fold: dict[int, list[Predictions]] = {}
        for fold_run in self.fold_runs:
            by_fold.setdefault(fold_run.fold, []).append(self._of_this_task(fold_run.oof(), fold_run))
        folds = [mean_predictions(by_fold[fold]) for fold in sorted(by_fold)]
        return folds[0].merge(*folds[1:])

    def _of_this_task(self, predictions: Predictions, fold_run: FoldRun) -> Predictions:
        """The predictions. ValueError if they are of other labels than the competition's."""
        if predictions.vocab != list(self.task.vocab) or predictions.is_multi != self.task.is_multi:
            raise ValueError(
                f"the predictions in {str(fold_run.folder)!r} are of other labels than those of {self.task.slug}; {fold_run._way_out}"
            )
        return predictions

    @property
    def scores(self) -> pd.DataFrame:
        """One row per finished fold and seed: its score with the ends of the interval, scored clips, epochs and seconds."""
        names = ["score", "low", "high", "clips", "epochs", "seconds"]
        done = [(fold_run, fold_run.done) for fold_run in self.fold_runs]
        rows = [(fold_run.seed, fold_run.fold, *(measured[name] for name in names)) for fold_run, measured in done]
        return pd.DataFrame(rows, columns=["seed", "fold", *names]).astype({name: float for name in names[:3]})

    @property
    def history(self) -> pd.DataFrame:
        """The tables of epochs of all networks, one below the other, with the columns seed and fold."""
        self._require_finished()
        return pd.concat(
            [read_history(m.folder / "fit").assign(seed=m.seed, fold=m.fold) for m in self.fold_runs], ignore_index=True
        )

    # -- the test set

    def _test_of(self, fold_runs: Sequence[FoldRun]) -> Predictions:
        """The mean of the networks' predictions of the test set. ValueError if one has not predicted it."""
        self._require_finished()
        without = [fold_run for fold_run in fold_runs if not fold_run.predicted_test]
        if without:
            raise ValueError(
                f"the test set has not been predicted by {without[0]}; cross_validate with the same arguments and test=True "
                f"does it, or run.predict_test(Competition.open({self.task.slug!r}, ...))"
            )
        tests = [self._of_this_task(fold_run.test(), fold_run) for fold_run in fold_runs]
        clips = [clip_index(test.table) for test in tests]
        if not all(own.equals(clips[0]) for own in clips):
            raise ValueError(
                f"the networks in {str(self.folder)!r} predicted different test clips; "
                f"run.predict_test(Competition.open({self.task.slug!r}, ...)) predicts them all again"
            )
        return mean_predictions(tests)

    def _load_test(self) -> tuple[pd.DataFrame, np.ndarray]:
        if self._test is None:
            mean = self._test_of(self.fold_runs)
            if len(self.fold_runs) < self.n_planned:
                warn(
                    f"the test set is predicted by {len(self.fold_runs)} of {self.n_planned} networks: the run is not finished"
                )
            self._test = mean.table, mean.probs
        return self._test

    @property
    def test_clips(self) -> pd.DataFrame:
        """The test clips that could be drawn: path and, where known, start, end, group."""
        return self._load_test()[0]

    @property
    def test_probs(self) -> np.ndarray:  # type: ignore[override]
        """(clips, classes): the mean over all networks."""
        return self._load_test()[1]

    def predict_test(
        self, comp: Competition, cache: str | os.PathLike | None = None, n_jobs: int = -1, progress: bool = True
    ) -> Run:
        """The same run with predictions of the test set of `comp`, made now by the saved classifiers; nothing is written into its folder.

        For code competitions: train where there is time, mount the run's folder where the hidden test set is.

        Parameters
        ----------
        comp : Competition
            The same competition, with a test set.
        cache : str or path-like, optional
            Where its pictures are kept; default the user's cache folder.
        n_jobs : int, default -1
            Processes that draw.
        progress : bool, default True
            Show progress bars.

        Returns
        -------
        Run

        Raises
        ------
        ValueError
            `comp` is another competition, or has no test set.
        """
        self._require_finished()
        different = self.task.differs(Task.of(comp))
        if different:
            raise ValueError(f"the run in {str(self.folder)!r} is of another competition: {different}")
        if comp.test is None:
            raise ValueError(
                f"{comp.slug} in {str(comp.folder)!r} has no test set; run.submission() takes the out-of-fold predictions of the training clips"
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
        run._test = clips, total / len(run.fold_runs)
        refuse_nan(*run._test)
        return run

    def classifier(self) -> Classifier:
        """One classifier of all networks: the mean of their probabilities, calibrated on the out-of-fold predictions.

        Returns
        -------
        Classifier
            As `save_classifier(run, ...)` keeps it.

        Raises
        ------
        ValueError
            No fold has finished, or the networks do not go together.

        Examples
        --------
        >>> run.classifier().vocab
        ['cat', 'dog']
        """
        self._require_finished()
        return classifier_of_run(self)

    # -- what others may learn from it

    def pseudo_labels(self, min_probability: float = 0.9, fold: int | None = None) -> pd.DataFrame:
        """Test clips that the run predicts with confidence, as rows of a training table.

        Parameters
        ----------
        min_probability : float, default 0.9
            Where clips may have several labels those of this probability or more are taken.
        fold : int, optional
            Only predictions of the networks that held this fold out. Networks that were trained on a clip must not label others for the
            network that is evaluated on it, or its score would no longer be out of fold.

        Returns
        -------
        DataFrame
            Columns `path`, `start`, `end`, `group`, `label`, `weight` (the largest probability).

        Raises
        ------
        ValueError
            There is no test set, or it was not predicted.
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
