"""Which network, which picture? Several systems on the same folds of the same data, side by side.

    found = compare(comp, ["resnet18", "mini_resnet"], {"mel": Renderer(Mel()), "stft": Renderer(Stft())}, Recipe(epochs=8),
                    out="runs/compare", baseline="resnet18, mel", loaders=dict(size=64))
    print(found)                  # score, spread, parameters, seconds an epoch, gain or loss or noise
    found.plot_curves()

Each system is a run of its own in a folder of its own, so that a comparison goes on where it was stopped, more systems may join it
later, and `Comparison.open(folder)` reads what is done. Differences are paired: the same clips, judged by both, are drawn again and
again; where 95 % of these differences lie on one side of 0 it is a gain or a loss, else noise. The interval knows the luck of the
clips (or groups), not that of the random weights: for that train several seeds, and look at the spread.
"""

from __future__ import annotations

import functools
import json
import os
import re
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from ..compete import Competition
from ..compete.tables import clip_keys
from ..figures import COLOURS, new_figure
from ..files import inside, write_whole
from ..labels import count, examples
from ..metrics import bootstrap_score, get_metric
from ..networks import check_arch, check_weights, is_own
from ..predictions import Predictions
from ..recipe import Recipe, differences
from ..render import Renderer
from ..tta import TTA
from ..values import Value, choose, register
from .blending import align_runs
from .choices import Choices, open_competition
from .cross import cross_validate
from .run import Answered, Run
from .task import metric_value, that_count

__all__ = ["System", "Comparison", "ComparePlan", "Difference", "compare", "run_plan", "verdict", "paired_difference"]

_FILE, _DIFFERENCES = "comparison.json", "differences.json"
_TIMED_CLIPS, _TIMED_MS = 20, 5000   # drawn to say how long a picture takes: so many, or for so long
_TIMMS = ("weights", "ps", "lin_ftrs", "concat_pool")   # options of `spec_learner` that our own networks refuse
_LINES = ("-", "--", ":")   # with 9 colours they give 27 systems a look of their own
_MARKERS = ("o", "s", "^")


# ---------------------------------------------------------------------- what is compared

@register
@dataclass(frozen=True)
class System(Value):
    """A network, a picture, and how it is trained where that differs from the other systems."""

    name: str
    arch: str
    renderer: Renderer = Renderer()
    recipe: Recipe | None = None                    # None is the comparison's
    loaders: dict = field(default_factory=dict)     # over the comparison's
    learner: dict = field(default_factory=dict)     # over the comparison's

    def _check(self) -> None:
        choices = Choices(renderer=self.renderer, arch=self.arch, loaders=self.loaders, learner=self.learner)
        object.__setattr__(self, "loaders", choices.loaders)
        object.__setattr__(self, "learner", choices.learner)

    @property
    def folder(self) -> str:
        """The name as the name of a folder."""
        return re.sub(r"[^\w.+=]+", "-", self.name).strip("-.")


def name_looks(renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer]) -> dict[str, Renderer]:
    """Pictures by name: the keys of a dictionary, else what their representations call themselves. ValueError where two share a name."""
    if isinstance(renderers, Renderer):
        renderers = [renderers]
    if isinstance(renderers, Mapping):
        looks = dict(renderers)
    else:
        renderers = list(renderers)
        looks = {getattr(renderer, "slug", None): renderer for renderer in renderers}
        if len(looks) < len(renderers):
            raise ValueError(f"{len(renderers)} renderers have only {count(len(looks), 'name')} ({examples(looks)}); name them: "
                             "renderers={'short': Renderer(...), 'long': Renderer(...)}")
    for name, renderer in looks.items():
        if not isinstance(renderer, Renderer):
            raise ValueError(f"renderers: {renderer!r} is no Renderer; give values such as Renderer(Mel())")
    return {str(name): renderer for name, renderer in looks.items()}


def make_systems(archs: str | Iterable[str], renderers) -> list[System]:
    """Every network on every picture, named "resnet18, mel"."""
    archs = [archs] if isinstance(archs, str) else list(archs)
    return [System(f"{arch}, {name}", arch, renderer) for name, renderer in name_looks(renderers).items() for arch in archs]


# ---------------------------------------------------------------------- differences

def verdict(low: float, high: float) -> str:
    """"gain" where the whole interval of a difference is above 0, "loss" where it is below, else "noise"; "" where there is none.

    Of forty systems that are worth as much as the baseline, one is called a gain and one a loss by luck alone.
    """
    if low != low or high != high:
        return ""
    return "gain" if low > 0 else "loss" if high < 0 else "noise"


class Difference(NamedTuple):
    """Of two scores on the same clips: positive where the first is better; nan where it is not defined."""

    value: float
    low: float      # of 95 %
    high: float
    clips: int      # that both were scored on

    @property
    def verdict(self) -> str:
        """See `verdict`."""
        return verdict(self.low, self.high)


def _aligned(runs: Sequence[Answered]) -> list[Predictions]:
    """The runs' predictions of the clips that all of them held out and that count, in one order; [] where there is no such clip."""
    keys = [set(clip_keys(run.predictions.table)) for run in runs]
    if not set.intersection(*keys):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")   # that some clips are not shared: tables say how many are
        parts = align_runs(runs)
    counts = that_count(parts[0])
    return [part.subset(counts) for part in parts] if counts.any() else []


def _units(clips: pd.DataFrame) -> np.ndarray | None:
    """What is drawn again and again: groups where they are known, else recordings; None, clips, where all are of one."""
    names = clips["group" if "group" in clips else "path"].astype(str).to_numpy()
    return names if len(set(names)) > 1 else None


def _clip_by_clip(metric: str, part: Predictions) -> np.ndarray:
    """(clips,): the metric of each clip alone."""
    return np.array([metric_value(metric, part.hot[i:i + 1], part.probs[i:i + 1], part.is_multi) for i in range(len(part))])


def paired_difference(run: Answered, baseline: Answered) -> Difference:
    """By how much a run (or blend) is better than another on the clips that both held out.

    The interval is a bootstrap (Efron 1979) over groups, where the clips know theirs, else over recordings: what is drawn is drawn for
    both. It is nan where the metric is not defined or there is a single clip. ValueError for runs of different competitions.
    """
    if run.task.differs(baseline.task):
        raise ValueError(f"runs of different competitions cannot be compared: {run.task.differs(baseline.task)}")
    metric, parts = get_metric(run.task.metric), _aligned([run, baseline])
    if not parts:
        return Difference(np.nan, np.nan, np.nan, 0)
    ours, theirs = parts
    sign = 1 if metric.greater_is_better else -1
    n_classes, units = len(ours.vocab), _units(ours.table)

    def of_both(hot, both):
        one, other = (metric_value(metric.name, hot, probs, ours.is_multi) for probs in (both[:, :n_classes], both[:, n_classes:]))
        return sign * (one - other)

    both = np.hstack([ours.probs, theirs.probs])
    value = of_both(ours.hot, both)
    try:
        if metric.mean_over_clips:   # the mean of the clips' own differences: a thousand resamples cost nothing
            each = sign * (_clip_by_clip(metric.name, ours) - _clip_by_clip(metric.name, theirs))
            low, high = bootstrap_score(lambda _, each: each.mean(), each, each, groups=units, n_resamples=1000)
        else:
            low, high = bootstrap_score(of_both, ours.hot, both, groups=units)
    except ValueError:
        low, high = np.nan, np.nan
    return Difference(float(value), low, high, len(ours))


# ---------------------------------------------------------------------- tables to be read

def cell(value: float, low: float, high: float, form: str = ".3f") -> str:
    """"0.812 (0.790 to 0.833)"; without an interval the value alone; empty where there is no value."""
    interval = f" ({low:{form}} to {high:{form}})" if low == low else ""
    return f"{value:{form}}{interval}" if value == value else ""


def as_text(table: pd.DataFrame) -> str:
    """Columns of text and numbers, the first and the last to the left, the others to the right."""
    texts = [[name, *("" if value is None or value != value else str(value) for value in table[name])] for name in table]
    last = len(texts) - 1
    columns = [[text.ljust(max(map(len, part))) if i in (0, last) else text.rjust(max(map(len, part))) for text in part]
               for i, part in enumerate(texts)]
    return "\n".join("  ".join(row).rstrip() for row in zip(*columns))


# ---------------------------------------------------------------------- the folder

def _read_record(folder: Path) -> dict:
    """comparison.json. ValueError where there is none, or it cannot be read."""
    file = folder / _FILE
    if not file.is_file():
        below = sorted(str(found.parent) for found in folder.glob(f"*/{_FILE}"))
        hint = f"did you mean {below[0]!r}?" if below else "compare(..., out=...) makes one"
        raise ValueError(f"{str(folder)!r} holds no comparison (it has no {_FILE}); {hint}")
    try:
        about = json.loads(file.read_text(encoding="utf-8"))
        for system in about["systems"]:
            inside(folder, system["folder"])   # of a comparison from elsewhere nothing may lead out of it
        return {**about, "baseline": about["baseline"], "facts": about["facts"]}
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"{str(file)!r} cannot be read: {type(exc).__name__}: {exc}") from exc


def _write_record(folder: Path, about: dict) -> None:
    write_whole(folder / _FILE, json.dumps(about, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def _run_in(folder: Path) -> Run | None:
    """The run in a folder, as far as it has come; None where it has not begun."""
    return Run(folder) if (folder / "folds.csv").is_file() else None


def _parameters(run: Run) -> int:
    """Of the network, as its first member noted them."""
    return json.loads((run.members[0].folder / "fit" / "run.json").read_text(encoding="utf-8"))["network"]["parameters"]


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
        self.folder = Path(folder).absolute()   # the working folder may change
        self._about = _read_record(self.folder)
        self.systems: list[str] = [system["name"] for system in self._about["systems"]]
        self.failed: dict[str, str] = {system["name"]: system["failed"] for system in self._about["systems"] if system.get("failed")}
        self.baseline: str = choose(baseline or self._about["baseline"], self.systems, "system as baseline=")

    @classmethod
    def open(cls, folder: str | os.PathLike, baseline: str | None = None) -> Comparison:
        """What stands in a folder, wherever it was copied to. ValueError where there is none.

        baseline : another system than the one that was named when it was made
        """
        return cls(folder, baseline)

    @functools.cached_property
    def runs(self) -> dict[str, Run]:
        found = {system["name"]: _run_in(self.folder / system["folder"]) for system in self._about["systems"]}
        return {name: run for name, run in found.items() if run is not None and run.members}

    @property
    def metric(self) -> str:
        """What the systems are scored by."""
        return self._about["facts"]["metric"]

    @property
    def trials(self) -> dict[str, dict]:
        """What `search_recipe` tried, by the name of the system: field of the recipe -> value in plain parts."""
        return {system["name"]: system["tried"] for system in self._about["systems"] if "tried" in system}

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
        difference = Difference(np.nan, np.nan, np.nan, 0) if base is None or name == self.baseline else self.difference(name)
        return {
            "system": name, "arch": run.choices.arch, "picture": run.choices.renderer.slug,
            "score": float(run.score), "low": run.score.low, "high": run.score.high, "clips": run.score.n,
            "mean": scores.mean(), "std": scores.std() if len(scores) > 1 else np.nan, "networks": len(run.members), "planned": run.n_planned,
            "parameters": _parameters(run), "seconds_epoch": round(float(run.history["seconds"].median()), 2), "ms_picture": system["ms_picture"],
            "difference": difference.value, "difference_low": difference.low, "difference_high": difference.high, "shared": difference.clips,
            "verdict": difference.verdict,
        }

    def difference(self, name: str) -> Difference:
        """`paired_difference` of a system to the baseline. ValueError where one of them has no finished network."""
        run, base = (self.runs[choose(one, self.runs, "system with a finished network")] for one in (name, self.baseline))
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
        write_whole(self.folder / _DIFFERENCES, json.dumps(kept, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))

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
        parts = _aligned(list(self.runs.values())) if self.runs else []
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
        return pd.DataFrame({
            "system": t["system"], f"{self.metric} (95 %)": [cell(*row) for row in t[["score", "low", "high"]].to_numpy(float)],
            "mean ± std": [f"{mean:.3f} ± {std:.3f}" if std == std else "" for mean, std in t[["mean", "std"]].to_numpy(float)],
            "parameters": t["parameters"].map("{:,}".format), "s an epoch": t["seconds_epoch"].map("{:.1f}".format),
            "ms a picture": ["" if ms is None or ms != ms else f"{ms:.1f}" for ms in t["ms_picture"]],
            "difference (95 %)": [cell(*row, "+.3f") for row in t[["difference", "difference_low", "difference_high"]].to_numpy(float)],
            "verdict": t["verdict"],
        })

    def _notes(self) -> list[str]:
        """What has to be known to read the table."""
        t = self.table
        notes = [f"difference: to {self.baseline}, on the same clips; above 0 is better"] if (t["verdict"] != "").any() else []
        for row in t[t["networks"] < t["planned"]].itertuples():
            notes.append(f"{row.system}: {row.networks} of {row.planned} networks finished, its score is of {count(row.clips, 'clip')}")
        for row in t[(t["verdict"] != "") & (t["shared"] < t["clips"].max())].itertuples():
            notes.append(f"{row.system}: the difference is on {count(row.shared, 'clip')} that both held out")
        if len(t) > 1:
            honest = self.honest_best
            notes.append(f"the best of {len(t)} was chosen by this very score, which flatters it" + (
                f"; where the other folds choose, it is {honest:.3f}" if honest == honest else "; a single fold cannot tell by how much"))
        return notes

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        waiting = [name for name in self.systems if name not in self.runs and name not in self.failed]
        rest = f", waiting: {examples(waiting)}" if waiting else ""
        return f"Comparison({len(self.finished)} of {count(len(self.systems), 'system')} finished{rest}, in {str(self.folder)!r})"

    def __str__(self) -> str:
        failures = [f"{name} failed: {reason}" for name, reason in self.failed.items()]
        return "\n".join([repr(self), *([as_text(self._shown()), *self._notes()] if self.runs else []), *failures])

    def _repr_html_(self) -> str:
        from html import escape

        table = self._shown().to_html(index=False) if self.runs else escape(repr(self))
        return "\n".join([table, *(f"<p>{escape(note)}</p>" for note in (self._notes() if self.runs else []))])

    def plot_curves(self, metric: str | None = None, ax=None):
        """The metric of the held-out clips after every epoch, a line a system, the mean over its networks; returns the Figure.

        A line ends where the first of the networks ended. The legend stands in the order of the lines' last points, best first.

        metric : a column of the tables of epochs, such as "valid_loss"; default the competition's metric
        """
        metric = metric or self.metric
        curves = {name: _curve(run, metric) for name, run in self.runs.items()}
        beside = 0.065 * max(map(len, curves), default=0)   # inches that the names take
        fig = new_figure(7 + beside, max(4.5, 0.22 * len(curves))) if ax is None else ax.figure
        ax = fig.add_subplot() if ax is None else ax
        for i, (name, curve) in enumerate(curves.items()):
            look = {"color": COLOURS[i % len(COLOURS)], "linestyle": _LINES[i // len(COLOURS) % len(_LINES)],
                    "marker": _MARKERS[i // len(COLOURS) % len(_MARKERS)]}
            ax.plot(curve.index, curve, label=name, markersize=4, linewidth=1.6, **look)
        ax.set(xlabel="epoch", ylabel=f"{metric} of held-out clips, mean of the networks")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.grid(alpha=0.3)
        self._legend(ax, curves, falls="loss" in metric or "error" in metric)
        return fig

    @staticmethod
    def _legend(ax, curves: dict[str, pd.Series], falls: bool) -> None:
        """Beside the axes, best first; names as they are written, where matplotlib would set mathematics."""
        lines = dict(zip(curves, ax.get_lines()[-len(curves):] if curves else []))
        last = {name: curve.iloc[-1] if len(curve) else -np.inf for name, curve in curves.items()}
        order = sorted(curves, key=last.get, reverse=not falls)
        legend = ax.legend([lines[name] for name in order], order, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
                           handlelength=3)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _curve(run: Run, metric: str) -> pd.Series:
    """Epoch -> mean over the networks, as far as all of them went."""
    history = run.history
    choose(metric, [column for column in history if column not in ("phase", "seed", "fold", "epoch")], "column of the tables of epochs")
    return history.pivot(index="epoch", columns=["seed", "fold"], values=metric).dropna().mean(axis=1)


# ---------------------------------------------------------------------- the comparison

def milliseconds_a_picture(comp: Competition, renderer: Renderer) -> float | None:
    """Median time to draw a clip of training, of some spread over the table, in one process; None where none can be drawn."""
    clips = clip_keys(comp.train)
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, _TIMED_CLIPS + 1).round().astype(int))]
    times: list[float] = []
    for path, start, end in [chosen[0], *chosen]:   # the first once more: it pays for what is loaded and worked out once
        began = time.perf_counter()
        try:
            renderer.png(os.path.join(comp.folder, path), start=start, end=end)
        except ValueError:   # a bad file; the run says so
            continue
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > _TIMED_MS:
            break
    return round(float(np.median(times[1:] or times)), 2) if times else None


@dataclass(frozen=True, eq=False)
class Bench:
    """What the systems of a comparison have in common, and the folder that they are noted in."""

    comp: Competition
    out: Path
    folds: int | None
    seeds: int
    fold_seed: int
    only: Sequence[int] | None
    options: dict                  # trust and tta of `cross_validate`
    say: Callable[[str], None]
    timed: dict = field(default_factory=dict)   # the key of a renderer -> milliseconds a picture, where that was measured already

    @property
    def facts(self) -> dict:
        """What must be the same whenever a system joins."""
        return {"slug": self.comp.slug, "data": self.comp.digest, "metric": self.comp.metric, "folds": self.folds, "seeds": self.seeds,
                "fold_seed": self.fold_seed}

    def _record(self) -> dict:
        """What stands in the folder; a new record where nothing does. ValueError for a comparison on other data or folds, or other files."""
        if not (self.out / _FILE).is_file():
            there = sorted(os.listdir(self.out)) if self.out.is_dir() else []
            if there:
                raise ValueError(f"{str(self.out)!r} holds {examples(there, 5)}, and no comparison; "
                                 "choose a new or an empty folder as out=")
            return {"facts": self.facts, "baseline": None, "systems": []}
        about = _read_record(self.out)
        different = differences(about["facts"], self.facts)
        if different:
            raise ValueError(f"{str(self.out)!r} holds a comparison on other data or folds: {different}; choose a new folder as out=")
        return about

    def check(self, systems: Sequence[System]) -> None:
        """ValueError, with the system's name, for what can be known to be wrong before anything is drawn or trained."""
        for system in systems:
            try:
                check_arch(system.arch)
                run = _run_in(self.out / system.folder)
                if run is None or len(run.members) < run.n_planned:
                    check_weights(system.arch, system.learner.get("pretrained", True), system.learner.get("weights"))
            except ValueError as exc:
                raise ValueError(f"{system.name}: {exc}") from exc

    def _milliseconds(self, renderer: Renderer) -> float | None:
        if renderer.key not in self.timed:
            self.timed[renderer.key] = milliseconds_a_picture(self.comp, renderer)
        return self.timed[renderer.key]

    def join(self, systems: Sequence[System], baseline: str | None = None, **facts) -> None:
        """Note systems that are not there yet, with how long their pictures take and further `facts`; and the baseline, if one is named.

        Raises ValueError where two systems share a name or a folder, the baseline is no system, or the folder holds something else.
        """
        about = self._record()
        noted = {system["name"]: system for system in about["systems"]}
        _check_names([*systems, *(System(name, "", Renderer()) for name in noted if name not in {s.name for s in systems})])
        names = list(dict.fromkeys([*noted, *(system.name for system in systems)]))
        about["baseline"] = choose(baseline or about["baseline"] or names[0], names, "system as baseline=")
        for system in systems:
            if system.name not in noted:
                milliseconds = self._milliseconds(system.renderer)
                noted[system.name] = {"name": system.name, "folder": system.folder, "ms_picture": milliseconds, **facts}
        _write_record(self.out, {**about, "systems": list(noted.values())})

    def note(self, name: str, **facts) -> None:
        """Change what is noted of a system."""
        about = _read_record(self.out)
        _write_record(self.out, {**about, "systems": [{**s, **facts} if s["name"] == name else s for s in about["systems"]]})

    def train(self, system: System) -> Exception | None:
        """Cross-validate a system, or go on with it. What it failed of is noted, and returned."""
        try:
            cross_validate(self.comp, system.renderer, system.arch, system.recipe, folds=self.folds, seeds=self.seeds,
                           out=self.out / system.folder, loaders=system.loaders, learner=system.learner, test=False, only=self.only,
                           say=self.say, **self.options)
        except (ValueError, torch.cuda.OutOfMemoryError) as exc:
            self.say(f"{system.name} failed: {exc}")
            self.note(system.name, failed=str(exc))
            return exc.with_traceback(None)   # whose frames would keep the network in memory
        self.note(system.name, failed=None)
        return None


def _check_names(systems: Sequence[System]) -> None:
    """ValueError where systems share a name, or names differ only in what a folder's name cannot say."""
    folders = [system.folder.casefold() for system in systems]   # some disks know no capitals
    double = [system.name for system, folder in zip(systems, folders) if folders.count(folder) > 1 or not folder]
    if double:
        raise ValueError(f"names that are no names of different folders ({examples(map(repr, double))}); "
                         "give each system a name of its own")


def complete(system: System, recipe: Recipe, loaders: dict | None, learner: dict | None) -> System:
    """A system with all that it shares with the others. Options of timm's heads and weights do not concern networks of our own."""
    common = {name: value for name, value in (learner or {}).items() if not (is_own(system.arch) and name in _TIMMS)}
    loaders = {**(loaders or {}), **system.loaders}
    return system.replace(recipe=system.recipe or recipe, loaders=loaders, learner={**common, **system.learner})


def _fold_seed(systems: Sequence[System]) -> int:
    """The seed by which folds are dealt. ValueError where systems have different ones."""
    seeds = {system.recipe.seed or 0 for system in systems}
    if len(seeds) > 1:
        raise ValueError(f"the systems' recipes have different seeds ({examples(sorted(seeds))}), by which folds are dealt: they would be "
                         "compared on different folds; give all recipes the same")
    return seeds.pop()


def open_bench(comp: Competition, systems: Sequence[System], out: str | os.PathLike, folds: int | None, seeds: int, only, options: dict,
               say: Callable[[str], None]) -> Bench:
    """The bench for systems that are `complete`. ValueError for what can be known to be wrong now."""
    Choices(folds=folds, seeds=seeds, **options)
    say = partial(print, flush=True) if say is print else say
    bench = Bench(comp, Path(out).absolute(), folds, seeds, _fold_seed(systems), only, options, say)
    bench.check(systems)
    return bench


def finish(bench: Bench) -> Comparison:
    """The comparison as it stands, told, and its table written as comparison.csv."""
    found = Comparison(bench.out)
    found.keep_differences()
    found = Comparison(bench.out)
    write_whole(bench.out / "comparison.csv", found.table.to_csv(index=False).encode("utf-8", "surrogatepass"))
    bench.say(str(found))
    return found


def compare(comp: Competition, archs: str | Iterable[str] = (), renderers=Renderer(), recipe: Recipe = Recipe(), *, out: str | os.PathLike,
            systems: Sequence[System] = (), baseline: str | None = None, folds: int | None = None, seeds: int = 1,
            loaders: dict | None = None, learner: dict | None = None, trust: str = "sampling", tta: TTA = TTA(),
            only: Sequence[int] | None = None, say: Callable[[str], None] = print) -> Comparison:
    """Cross-validate every network on every picture, on the same folds, and put them side by side.

    Parameters
    ----------
    archs : names of networks, timm's and `list_nets()`; networks of waveforms cannot take part
    renderers : one `Renderer`, several, or a dictionary that names them; a system is named after both, "resnet18, mel"
    out : folder of the comparison; the same call goes on where it was stopped, another one adds its systems
    systems : further ones that are no product of these, with their own loaders, learner or recipe
    baseline : name of the system that the others are compared with; default the one named before, else the first
    learner : as in `cross_validate`; weights, ps, lin_ftrs and concat_pool concern timm's networks only
    folds, seeds, loaders, trust, tta, only, say : as in `cross_validate`. The test set is not predicted; `cross_validate` with the
        system's own arguments, and its folder as `out`, does so later

    Raises ValueError where names, options or weights are wrong, before anything is trained, or the folder holds something else. A
    system that fails in training (pictures that do not fit the network, a loss that diverges, too little memory) does not keep the
    others from being trained; then comes a ValueError that names it.
    """
    systems = [complete(system, recipe, loaders, learner) for system in [*make_systems(archs, renderers), *systems]]
    if not systems:
        raise ValueError("nothing to compare: give archs=, such as ['resnet18', 'mini_resnet'], or systems=")
    bench = open_bench(comp, systems, out, folds, seeds, only, {"trust": trust, "tta": tta}, say)
    bench.join(systems, baseline)
    failed = {}
    for i, system in enumerate(systems, start=1):
        bench.say(f"--- {i} of {len(systems)}: {system.name}")
        problem = bench.train(system)
        if problem is not None:
            failed[system.name] = problem
    found = finish(bench)
    if failed:
        reasons = "; ".join(f"{name}: {problem}" for name, problem in failed.items())
        raise ValueError(f"{len(failed)} of {count(len(systems), 'system')} failed ({reasons}); the others are kept, "
                         f"Comparison.open({str(bench.out)!r}) reads them") from next(iter(failed.values()))
    return found


# ---------------------------------------------------------------------- from a file

@register
@dataclass(frozen=True)
class ComparePlan(Value):
    """A comparison as one value: what `specimg compare` reads.

    archs = ["resnet18", "mini_resnet"]
    baseline = "resnet18, mel"

    [competition]
    slug = "freesound-audio-tagging"
    folder = "freesound"

    [renderers.mel.representation]
    kind = "mel"

    [[systems]]                # further ones, with a recipe, loaders or learner of their own
    name = "large"
    arch = "inception_v3"
    loaders = {size = 128}
    """

    competition: dict = field(default_factory=dict)   # slug, folder and options of `Competition.open`, or toml: a file
    archs: tuple[str, ...] = ()
    renderers: dict = field(default_factory=dict)     # name -> Renderer; none is the default one
    systems: tuple[System, ...] = ()
    baseline: str | None = None
    recipe: Recipe = Recipe()
    folds: int | None = None
    seeds: int = 1
    trust: str = "sampling"
    tta: TTA = TTA()
    loaders: dict = field(default_factory=dict)
    learner: dict = field(default_factory=dict)

    def _check(self) -> None:
        parts = ("competition", "loaders", "learner")
        choices = Choices(folds=self.folds, seeds=self.seeds, trust=self.trust, **{name: getattr(self, name) for name in parts})
        for name in parts:
            object.__setattr__(self, name, getattr(choices, name))
        looks = {name: Renderer.from_dict(look) if isinstance(look, dict) else look for name, look in self.renderers.items()}
        object.__setattr__(self, "renderers", {name: look.to_dict() for name, look in name_looks(looks).items()})

    @property
    def looks(self) -> dict[str, Renderer]:
        """The renderers by name."""
        return name_looks({name: Renderer.from_dict(look) for name, look in self.renderers.items()} or Renderer())


def run_plan(plan: ComparePlan | str | os.PathLike, out: str | os.PathLike, only: Sequence[int] | None = None,
             say: Callable[[str], None] = print) -> Comparison:
    """`compare` by a plan, or by the TOML file that holds one."""
    if not isinstance(plan, ComparePlan):
        plan = ComparePlan.from_toml(Path(plan))
    given = {name: getattr(plan, name) for name in ("systems", "baseline", "folds", "seeds", "loaders", "learner", "trust", "tta")}
    return compare(open_competition(plan.competition), plan.archs, plan.looks, plan.recipe, out=out, only=only, say=say, **given)
