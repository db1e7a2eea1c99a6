"""Runs side by side as they stand in a folder: a table with differences to a baseline, curves, and what flatters the best.

    found = Comparison.open("runs/compare")
    print(found)                  # score, spread, parameters, seconds an epoch, gain or loss or noise
    found.best, found.honest_best, found.runs["resnet18, mel"].oof
    found.plot_curves()

`comparison.json` names the systems and what they have in common; each system is a `Run` in a folder of its own.
"""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd

from ..core.files import inside, write_atomic
from ..core.text import align_columns, cell, count, examples
from ..core.values import choose
from ..metrics import get_metric
from ..training.checkpoint import TrainingFolder
from .curves import draw_curves
from .differences import Difference, aligned, paired_difference
from .run import Run
from .task import metric_value

__all__ = ["Comparison", "RECORD", "read_record", "write_record", "run_in"]

RECORD, _DIFFERENCES = "comparison.json", "differences.json"


# ---------------------------------------------------------------------- the folder


def read_record(folder: Path) -> dict:
    """comparison.json. ValueError where there is none, or it cannot be read."""
    file = folder / RECORD
    if not file.is_file():
        below = sorted(str(found.parent) for found in folder.glob(f"*/{RECORD}"))
        hint = f"did you mean {below[0]!r}?" if below else "compare(..., out=...) makes one"
        raise ValueError(f"{str(folder)!r} holds no comparison (it has no {RECORD}); {hint}")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        for system in about["systems"]:
            inside(folder, system["folder"])  # of a comparison from elsewhere nothing may lead out of it
        return {**about, "baseline": about["baseline"], "facts": about["facts"]}
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"{str(file)!r} cannot be read: {type(exc).__name__}: {exc}") from exc


def write_record(folder: Path, about: dict) -> None:
    write_atomic(folder / RECORD, json.dumps(about, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def run_in(folder: Path) -> Run | None:
    """The run in a folder, as far as it has come; None where it has not begun."""
    return Run(folder) if (folder / "folds.csv").is_file() else None


def _parameters(run: Run) -> int:
    """Of the network, as its first member noted them."""
    return TrainingFolder(run.members[0].folder / "fit").facts()["network"]["parameters"]


class Comparison:
    """Runs side by side; printed or shown in a notebook, it is a table.

    Attributes
    ----------
    folder : absolute Path
    systems : the names of all systems, in the order in which they were asked for
    runs : the `Run` of each system of which a network has finished, by name
    failed : name -> reason, of systems that could not be trained to their end
    baseline : the name of the system that the others are compared with
    """

    def __init__(self, folder: str | os.PathLike, baseline: str | None = None):
        self.folder = Path(folder).absolute()  # the working folder may change
        self._about = read_record(self.folder)
        self.systems: list[str] = [system["name"] for system in self._about["systems"]]
        self.failed: dict[str, str] = {
            system["name"]: system["failed"] for system in self._about["systems"] if system.get("failed")
        }
        self.baseline: str = choose(baseline or self._about["baseline"], self.systems, "system as baseline=")

    @classmethod
    def open(cls, folder: str | os.PathLike, baseline: str | None = None) -> Comparison:
        """What stands in a folder, wherever it was copied to. ValueError where there is none.

        baseline : another system than the one that was named when it was made
        """
        return cls(folder, baseline)

    @functools.cached_property
    def runs(self) -> dict[str, Run]:
        found = {system["name"]: run_in(self.folder / system["folder"]) for system in self._about["systems"]}
        return {name: run for name, run in found.items() if run is not None and run.members}

    @property
    def metric(self) -> str:
        """What the systems are scored by."""
        return self._about["facts"]["metric"]

    @property
    def finished(self) -> list[str]:
        """The names of the systems all of whose networks are trained."""
        return [name for name, run in self.runs.items() if len(run.members) == run.n_planned]

    # -- the table

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row a system of which a network has finished, best first.

        score, low, high : over all held-out clips, seeds averaged, with its interval of 95 %; clips : that these are of
        mean, std : of the networks' own scores, over folds and seeds
        networks, planned : how many are trained, and how many there will be
        parameters : trainable numbers of the network
        seconds_epoch : median, with the epoch's validation
        ms_picture : to draw one clip, median, in one process where the comparison was begun; None where nothing could be drawn
        difference, difference_low, difference_high : to the baseline, positive is better, on the `shared` clips that both held out
        verdict : "gain", "loss" or "noise"; "" for the baseline itself, and where there is no difference
        """
        rows = [self._row(system) for system in self._about["systems"] if system["name"] in self.runs]
        if not rows:
            return pd.DataFrame(columns=["system", "score"])
        rises = not get_metric(self.metric).greater_is_better
        return pd.DataFrame(rows).sort_values("score", ascending=rises, kind="stable", ignore_index=True)

    def _row(self, system: dict) -> dict:
        name = system["name"]
        run, base = self.runs[name], self.runs.get(self.baseline)
        scores = run.scores["score"]
        difference = (
            Difference(np.nan, np.nan, np.nan, 0) if base is None or name == self.baseline else self.difference(name)
        )
        return {
            "system": name,
            "arch": run.choices.arch,
            "picture": run.choices.renderer.slug,
            "score": float(run.score),
            "low": run.score.low,
            "high": run.score.high,
            "clips": run.score.n,
            "mean": scores.mean(),
            "std": scores.std() if len(scores) > 1 else np.nan,
            "networks": len(run.members),
            "planned": run.n_planned,
            "parameters": _parameters(run),
            "seconds_epoch": round(float(run.history["seconds"].median()), 2),
            "ms_picture": system["ms_picture"],
            "difference": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "shared": difference.clips,
            "verdict": difference.verdict,
        }

    def difference(self, name: str) -> Difference:
        """`paired_difference` of a system to the baseline. ValueError where one of them has no finished network."""
        run, base = (
            self.runs[choose(one, self.runs, "system with a finished network")] for one in (name, self.baseline)
        )
        kept = self._kept.get(name)
        if kept is not None and kept["of"] == [self.baseline, run._state, base._state]:
            return Difference(*(np.nan if number is None else number for number in kept["difference"]))
        return paired_difference(run, base)

    @functools.cached_property
    def _kept(self) -> dict:
        """What `keep_differences` wrote: name -> of (the baseline, and which networks both had then), difference."""
        file = self.folder / _DIFFERENCES
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}

    def keep_differences(self) -> None:
        """Write differences.json: with many clips and classes an interval takes minutes, and nobody wants to wait for it at every look."""
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
        """The name of the system with the best score."""
        if not self.runs:
            raise ValueError(f"no system of the comparison in {str(self.folder)!r} has finished a network yet")
        return self.table["system"].iloc[0]

    @functools.cached_property
    def honest_best(self) -> float:
        """The score of choosing the best: each fold is answered by the system that is best on the other folds. nan with a single fold.

        Of many systems the best owes a part of its score to luck; the clips of a fold do not take part in the choice that is scored
        on them. On the clips that all systems held out.
        """
        parts = aligned(list(self.runs.values())) if self.runs else []
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
        return pd.DataFrame(
            {
                "system": t["system"],
                f"{self.metric} (95 %)": [cell(*row) for row in t[["score", "low", "high"]].to_numpy(float)],
                "mean ± std": [
                    f"{mean:.3f} ± {std:.3f}" if std == std else "" for mean, std in t[["mean", "std"]].to_numpy(float)
                ],
                "parameters": t["parameters"].map("{:,}".format),
                "s an epoch": t["seconds_epoch"].map("{:.1f}".format),
                "ms a picture": ["" if ms is None or ms != ms else f"{ms:.1f}" for ms in t["ms_picture"]],
                "difference (95 %)": [
                    cell(*row, form="+.3f")
                    for row in t[["difference", "difference_low", "difference_high"]].to_numpy(float)
                ],
                "verdict": t["verdict"],
            }
        )

    def _notes(self) -> list[str]:
        """What has to be known to read the table."""
        t = self.table
        notes = (
            [f"difference: to {self.baseline}, on the same clips; above 0 is better"]
            if (t["verdict"] != "").any()
            else []
        )
        for row in t[t["networks"] < t["planned"]].itertuples():
            notes.append(
                f"{row.system}: {row.networks} of {row.planned} networks finished, its score is of {count(row.clips, 'clip')}"
            )
        for row in t[(t["verdict"] != "") & (t["shared"] < t["clips"].max())].itertuples():
            notes.append(f"{row.system}: the difference is on {count(row.shared, 'clip')} that both held out")
        if len(t) > 1:
            honest = self.honest_best
            notes.append(
                f"the best of {len(t)} was chosen by this very score, which flatters it"
                + (
                    f"; where the other folds choose, it is {honest:.3f}"
                    if honest == honest
                    else "; a single fold cannot tell by how much"
                )
            )
        return notes

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        waiting = [name for name in self.systems if name not in self.runs and name not in self.failed]
        rest = f", waiting: {examples(waiting)}" if waiting else ""
        return f"Comparison({len(self.finished)} of {count(len(self.systems), 'system')} finished{rest}, in {str(self.folder)!r})"

    def __str__(self) -> str:
        failures = [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        return "\n".join(
            [repr(self), *([align_columns(self._shown()), *self._notes()] if self.runs else []), *failures]
        )

    def _repr_html_(self) -> str:
        from html import escape

        table = self._shown().to_html(index=False) if self.runs else escape(repr(self))
        return "\n".join([table, *(f"<p>{escape(note)}</p>" for note in (self._notes() if self.runs else []))])

    def plot_curves(self, metric: str | None = None, ax=None):
        """The metric of the held-out clips after every epoch, a line a system, the mean over its networks; returns the Figure.

        A line ends where the first of the networks ended. The legend stands in the order of the lines' last points, best first.

        metric : a column of the tables of epochs, such as "valid_loss"; default the competition's metric
        """
        return draw_curves(self.runs, metric or self.metric, ax)
