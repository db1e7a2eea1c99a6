"""A comparison on disk: a table with differences to a baseline, learning curves, and a score of the choice of the best.

    found = Comparison.open("runs/compare")
    print(found)                  # score, spread, parameters, seconds per epoch, differences to the baseline
    found.best, found.cross_fitted_best, found.runs["resnet18, mel"].oof
    found.plot_curves()

`comparison.json` names the candidates and what they share; each candidate is a `Run` in a folder of its own.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.files import unlinked, write_atomic
from ..core.reading import read_json
from ..core.text import align_columns, cell, count, examples, printable
from ..core.values import choose
from ..core.warnings import warn
from ..metrics import get_metric
from ..training.checkpoint import TrainingFolder
from .learning_curves import draw_curves
from .run import Run
from .significance import Difference, paired_difference, shared_predictions
from .task import metric_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RECORD, _DIFFERENCES = "comparison.json", "differences.json"
MOST_RECORD = 2**24  # bytes of comparison.json, and of differences.json
_NO_DIFFERENCE = Difference(np.nan, np.nan, np.nan, 0)


# ---------------------------------------------------------------------- the folder


def _check_entry(entry: dict) -> None:
    """ValueError if what is noted of a candidate is of another kind."""
    ms, failed = entry["ms_picture"], entry.get("failed")
    if not isinstance(entry["name"], str) or not entry["name"].isprintable():
        raise ValueError(f"{entry['name']!r:.60} is no name of a candidate")
    if not (ms is None or isinstance(ms, (int, float))) or not isinstance(failed, (str, type(None))):
        raise ValueError(f"what is noted of {entry['name']!r} is not as compare writes it")


def read_record(folder: Path) -> dict:
    """comparison.json. ValueError if there is none, or it cannot be read."""
    file = folder / RECORD
    if not file.is_file():
        below = sorted(str(found.parent) for found in folder.glob(f"*/{RECORD}"))
        hint = f"did you mean {below[0]!r}?" if below else "compare(..., out=...) makes one"
        raise ValueError(f"{str(folder)!r} holds no comparison (it has no {RECORD}); {hint}")
    try:
        about = read_json(unlinked(folder, RECORD), max_bytes=MOST_RECORD)
        for name in ("systems", "baseline", "facts"):
            about[name]  # KeyError, TypeError
        for entry in about["systems"]:
            unlinked(folder, entry["folder"])  # a comparison from elsewhere must not lead out of its folder
            _check_entry(entry)
        if not isinstance(about["facts"]["metric"], str):
            raise ValueError("its metric is no name")
        return about
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise ValueError(f"{str(file)!r} cannot be read: {type(exc).__name__}: {exc}") from exc


def write_record(folder: Path, about: dict) -> None:
    """Write comparison.json; candidates are under "systems", as in earlier versions."""
    write_atomic(folder / RECORD, json.dumps(about, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def run_in(folder: Path) -> Run | None:
    """The run in a folder, finished or not; None if it has not begun."""
    return Run(folder) if (folder / "folds.csv").is_file() else None


def _check_kept(kept: Any) -> dict:
    """The content of differences.json. ValueError if it is of another kind."""
    rows = list(kept.values()) if isinstance(kept, dict) else [None]
    for row in rows:
        numbers = row.get("difference") if isinstance(row, dict) else None
        good = isinstance(numbers, list) and len(numbers) == len(_NO_DIFFERENCE) and "of" in row
        if not good or not all(number is None or isinstance(number, (int, float)) for number in numbers):
            raise ValueError("it does not hold differences")
    return kept


def _n_parameters(run: Run) -> int:
    """Number of parameters of the network, as its first training recorded it."""
    return TrainingFolder(run.fold_runs[0].folder / "fit").facts()["network"].get("parameters", 0)


class Comparison:
    """Runs side by side; printed or shown in a notebook, it is a table. `compare` makes it.

    Parameters
    ----------
    folder : str or path-like
        Folder of the comparison.
    baseline : str, optional
        Name of the candidate that the others are compared with; default the one that was named when it was made.

    Attributes
    ----------
    folder : Path
        Absolute.
    candidates : list of str
        Names of all candidates, in the order in which they were added.
    runs : dict of str to Run
        The run of each candidate of which a network is trained.
    failed : dict of str to str
        Why candidates could not be trained to their end.
    baseline : str
        Name of the candidate that the others are compared with.

    Raises
    ------
    ValueError
        The folder holds no comparison, or the baseline is not a candidate.

    Examples
    --------
    >>> from specimg.experiments import Comparison
    >>> found = Comparison("runs/compare")                                   # doctest: +SKIP
    >>> found.best, found.runs[found.best].score                             # doctest: +SKIP
    ('mini_resnet, mel32', accuracy 0.9167 (0.7500 to 1.0000, 12 clips))
    """

    def __init__(self, folder: str | os.PathLike, baseline: str | None = None):
        self.folder = Path(folder).absolute()  # the working folder may change
        self._about = read_record(self.folder)
        self._entries: dict[str, dict] = {entry["name"]: entry for entry in self._about["systems"]}
        self.candidates: list[str] = list(self._entries)
        self.failed: dict[str, str] = {
            name: entry["failed"] for name, entry in self._entries.items() if entry.get("failed")
        }
        self.baseline: str = choose(baseline or self._about["baseline"], self.candidates, "candidate as baseline=")

    @classmethod
    def open(cls, folder: str | os.PathLike, baseline: str | None = None) -> Comparison:
        """Open the comparison in a folder, wherever it was copied to.

        Parameters
        ----------
        folder : str or path-like
            Folder of the comparison.
        baseline : str, optional
            Another candidate than the one that was named when it was made.

        Returns
        -------
        Comparison

        Raises
        ------
        ValueError
            The folder holds no comparison, or the baseline is not a candidate.
        """
        return cls(folder, baseline)

    @functools.cached_property
    def runs(self) -> dict[str, Run]:
        """The run of each candidate of which a network is trained."""
        found = {name: run_in(self.folder / entry["folder"]) for name, entry in self._entries.items()}
        return {name: run for name, run in found.items() if run is not None and run.fold_runs}

    @property
    def metric(self) -> str:
        """Name of the metric by which candidates are scored."""
        return self._about["facts"]["metric"]

    @property
    def finished(self) -> list[str]:
        """Names of the candidates all of whose networks are trained."""
        return [name for name, run in self.runs.items() if len(run.fold_runs) == run.n_planned]

    # -- the table

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row per candidate of which a network is trained, best first.

        score, low, high : over all held-out clips, seeds averaged, with its 95 % interval; clips : how many clips that is
        mean, std : of the scores of the single networks, over folds and seeds
        networks, planned : networks that are trained, and that the finished run has
        parameters : trainable parameters of the network
        seconds_epoch : median duration of an epoch, validation included
        ms_picture : milliseconds to draw one clip, median, in one process where the comparison was begun; None if none could be drawn
        difference, difference_low, difference_high : to the baseline, on the `shared` clips that both held out; positive is better
        verdict : "better", "worse" or "not significant"; "" for the baseline, and if there is no difference
        """
        rows = [self._row(name) for name in self.candidates if name in self.runs]
        if not rows:
            return pd.DataFrame(columns=["candidate", "score"])
        rises = not get_metric(self.metric).greater_is_better
        return pd.DataFrame(rows).sort_values("score", ascending=rises, kind="stable", ignore_index=True)

    def _row(self, name: str) -> dict:
        run, scores = self.runs[name], self.runs[name].scores["score"]
        alone = name == self.baseline or self.baseline not in self.runs
        difference = _NO_DIFFERENCE if alone else self.difference(name)
        return {
            "candidate": name,
            "arch": run.config.arch,
            "picture": run.config.renderer.slug,
            "score": float(run.score),
            "low": run.score.low,
            "high": run.score.high,
            "clips": run.score.n,
            "mean": scores.mean(),
            "std": scores.std() if len(scores) > 1 else np.nan,
            "networks": len(run.fold_runs),
            "planned": run.n_planned,
            "parameters": _n_parameters(run),
            "seconds_epoch": round(float(run.history["seconds"].median()), 2),
            "ms_picture": self._entries[name]["ms_picture"],
            "difference": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "shared": difference.clips,
            "verdict": difference.verdict,
        }

    def difference(self, name: str) -> Difference:
        """The `paired_difference` of a candidate to the baseline.

        Parameters
        ----------
        name : str
            Name of the candidate.

        Returns
        -------
        Difference

        Raises
        ------
        ValueError
            One of the two has no trained network.
        """
        run, base = (
            self.runs[choose(one, self.runs, "candidate with a trained network")] for one in (name, self.baseline)
        )
        kept = self._kept.get(name)
        if kept is not None and kept["of"] == [self.baseline, run._state, base._state]:
            return Difference(*(np.nan if number is None else number for number in kept["difference"]))
        return paired_difference(run, base)

    @functools.cached_property
    def _kept(self) -> dict:
        """Differences that `keep_differences` wrote, by candidate, with the networks that they are of."""
        file = self.folder / _DIFFERENCES
        try:
            return _check_kept(read_json(file, max_bytes=MOST_RECORD)) if file.is_file() else {}
        except ValueError as exc:
            warn(f"{str(file)!r} cannot be read ({exc}); nothing is lost, the differences are computed again")
            return {}

    def keep_differences(self) -> None:
        """Write differences.json, because an interval over many clips and classes takes minutes to compute."""
        base, kept = self.runs.get(self.baseline), {}
        for name, run in self.runs.items() if base is not None else ():
            if name != self.baseline:
                numbers = [None if number != number else number for number in self.difference(name)]
                kept[name] = {"of": [self.baseline, run._state, base._state], "difference": numbers}
        write_atomic(
            self.folder / _DIFFERENCES, json.dumps(kept, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass")
        )

    @property
    def best(self) -> str:
        """Name of the candidate with the best score."""
        if not self.runs:
            raise ValueError(f"no candidate of the comparison in {str(self.folder)!r} has a trained network yet")
        return self.table["candidate"].iloc[0]

    @functools.cached_property
    def cross_fitted_best(self) -> float:
        """The score of choosing the best: each fold is predicted by the candidate that is best on the other folds.

        The best of many candidates owes part of its score to chance; here the clips of a fold take no part in the choice that is scored
        on them. On the clips that all candidates held out; nan with a single fold.
        """
        parts = shared_predictions(list(self.runs.values())) if self.runs else []
        fold = parts[0].table["fold"].to_numpy() if parts else np.zeros(0)
        if len(set(fold)) < 2:
            return np.nan
        hot, is_multi, sign = parts[0].hot, parts[0].is_multi, 1 if get_metric(self.metric).greater_is_better else -1
        probs = np.zeros(parts[0].probs.shape)
        for one in np.unique(fold):
            others = fold != one
            values = [sign * metric_value(self.metric, hot[others], part.probs[others], is_multi) for part in parts]
            probs[~others] = parts[int(np.nan_to_num(values, nan=-np.inf).argmax())].probs[~others]
        return metric_value(self.metric, hot, probs, is_multi)

    # -- what is shown

    def _shown(self) -> pd.DataFrame:
        t = self.table
        spread = [f"{mean:.3f} ± {std:.3f}" if std == std else "" for mean, std in zip(t["mean"], t["std"])]
        ends = t[["difference", "difference_low", "difference_high"]].to_numpy(float)
        return pd.DataFrame(
            {
                "candidate": t["candidate"],
                f"{self.metric} (95 %)": [cell(*row) for row in t[["score", "low", "high"]].to_numpy(float)],
                "mean ± std": spread,
                "parameters": t["parameters"].map("{:,}".format),
                "s per epoch": t["seconds_epoch"].map("{:.1f}".format),
                "ms per picture": ["" if ms is None or ms != ms else f"{ms:.1f}" for ms in t["ms_picture"]],
                "difference (95 %)": [cell(*row, form="+.3f") for row in ends],
                "verdict": t["verdict"],
            }
        )

    def _notes(self) -> list[str]:
        """What a reader of the table has to know."""
        t, notes = self.table, []
        compared = t["verdict"] != ""
        if compared.any():
            notes.append(f"difference: to {self.baseline}, on the same clips; above 0 is better")
        for row in t[t["networks"] < t["planned"]].itertuples():
            notes.append(
                f"{row.candidate}: {row.networks} of {row.planned} networks trained, its score is of {count(row.clips, 'clip')}"
            )
        for row in t[compared & (t["shared"] < t["clips"].max())].itertuples():
            notes.append(f"{row.candidate}: the difference is on {count(row.shared, 'clip')} that both held out")
        if len(t) > 1:
            value = self.cross_fitted_best
            fitted = (
                f"chosen on the other folds, it is {value:.3f}" if value == value else "a single fold cannot show it"
            )
            notes.append(f"the best of {len(t)} was chosen by this very score, which is optimistic; {fitted}")
        return notes

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        waiting = [name for name in self.candidates if name not in self.runs and name not in self.failed]
        rest = f", waiting: {examples(waiting)}" if waiting else ""
        n = f"{len(self.finished)} of {count(len(self.candidates), 'candidate')}"
        return f"Comparison({n} finished{rest}, in {str(self.folder)!r})"

    def __str__(self) -> str:
        failures = [f"{name} failed: {printable(reason)}" for name, reason in self.failed.items()]
        return "\n".join(
            [repr(self), *([align_columns(self._shown()), *self._notes()] if self.runs else []), *failures]
        )

    def _repr_html_(self) -> str:
        from html import escape

        table = self._shown().to_html(index=False) if self.runs else escape(repr(self))
        return "\n".join([table, *(f"<p>{escape(note)}</p>" for note in (self._notes() if self.runs else []))])

    def plot_curves(self, metric: str | None = None, ax: Axes | None = None) -> Figure:
        """Draw learning curves: the metric of the held-out clips after every epoch, a line per candidate, the mean over its networks.

        A line ends where the first of its networks ended. The legend follows the last points of the lines, best first.

        Parameters
        ----------
        metric : str, optional
            A column of the tables of epochs, such as "valid_loss"; default the competition's metric.
        ax : matplotlib Axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        matplotlib Figure
        """
        return draw_curves(self.runs, metric or self.metric, ax)
