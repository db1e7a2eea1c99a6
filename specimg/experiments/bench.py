"""The bench on which systems are measured: a folder, the data and folds that all have in common, and the training of one system.

bench = open_bench(comp, systems, "runs/compare", folds=5, seeds=1, only=None, options={}, say=print)
bench.join(systems, baseline="resnet18, mel")     # noted, and how long their pictures take
for system in systems:
    bench.train(system)                           # what it failed of is noted, and returned
finish(bench)                                     # the Comparison, told and written as comparison.csv
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..competitions import Competition
from ..core.files import write_atomic
from ..core.text import examples
from ..core.values import choose
from ..labels.tables import clip_spans
from ..models.networks import check_arch, check_weights
from ..render.renderer import Renderer
from ..training.identity import differences
from .choices import Choices
from .comparison import RECORD, Comparison, read_record, run_in, write_record
from .cross_validation import cross_validate
from .systems import System, check_names, common_seed

__all__ = ["Bench", "open_bench", "finish", "milliseconds_a_picture"]

_TIMED_CLIPS, _TIMED_MS = 20, 5000  # drawn to say how long a picture takes: so many, or for so long


def milliseconds_a_picture(comp: Competition, renderer: Renderer) -> float | None:
    """Median time to draw a clip of training, of some spread over the table, in one process; None where none can be drawn."""
    clips = clip_spans(comp.train)
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, _TIMED_CLIPS + 1).round().astype(int))]
    times: list[float] = []
    for path, start, end in [chosen[0], *chosen]:  # the first once more: it pays for what is loaded and worked out once
        began = time.perf_counter()
        try:
            renderer.png(os.path.join(comp.folder, path), start=start, end=end)
        except ValueError:  # a bad file; the run says so
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
    options: dict  # trust and tta of `cross_validate`
    say: Callable[[str], None]
    timed: dict = field(
        default_factory=dict
    )  # the key of a renderer -> milliseconds a picture, where that was measured already

    @property
    def facts(self) -> dict:
        """What must be the same whenever a system joins."""
        return {
            "slug": self.comp.slug,
            "data": self.comp.digest,
            "metric": self.comp.metric,
            "folds": self.folds,
            "seeds": self.seeds,
            "fold_seed": self.fold_seed,
        }

    def _record(self) -> dict:
        """What stands in the folder; a new record where nothing does. ValueError for a comparison on other data or folds, or other files."""
        if not (self.out / RECORD).is_file():
            there = sorted(os.listdir(self.out)) if self.out.is_dir() else []
            if there:
                raise ValueError(
                    f"{str(self.out)!r} holds {examples(there, 5)}, and no comparison; "
                    "choose a new or an empty folder as out="
                )
            return {"facts": self.facts, "baseline": None, "systems": []}
        about = read_record(self.out)
        different = differences(about["facts"], self.facts)
        if different:
            raise ValueError(
                f"{str(self.out)!r} holds a comparison on other data or folds: {different}; choose a new folder as out="
            )
        return about

    def check(self, systems: Sequence[System]) -> None:
        """ValueError, with the system's name, for what can be known to be wrong before anything is drawn or trained."""
        for system in systems:
            try:
                check_arch(system.arch)
                run = run_in(self.out / system.folder)
                if run is None or len(run.members) < run.n_planned:
                    check_weights(system.arch, system.learner.get("pretrained", True), system.learner.get("weights"))
            except ValueError as exc:
                raise ValueError(f"{system.name}: {exc}") from exc

    def _milliseconds(self, renderer: Renderer) -> float | None:
        if renderer.key not in self.timed:
            self.timed[renderer.key] = milliseconds_a_picture(self.comp, renderer)
        return self.timed[renderer.key]

    def join(self, systems: Sequence[System], baseline: str | None = None) -> None:
        """Note systems that are not there yet, with how long their pictures take; and the baseline, if one is named.

        Raises ValueError where two systems share a name or a folder, the baseline is no system, or the folder holds something else.
        """
        about = self._record()
        noted = {system["name"]: system for system in about["systems"]}
        check_names(
            [*systems, *(System(name, "", Renderer()) for name in noted if name not in {s.name for s in systems})]
        )
        names = list(dict.fromkeys([*noted, *(system.name for system in systems)]))
        about["baseline"] = choose(baseline or about["baseline"] or names[0], names, "system as baseline=")
        for system in systems:
            if system.name not in noted:
                milliseconds = self._milliseconds(system.renderer)
                noted[system.name] = {"name": system.name, "folder": system.folder, "ms_picture": milliseconds}
        write_record(self.out, {**about, "systems": list(noted.values())})

    def note(self, name: str, **facts) -> None:
        """Change what is noted of a system."""
        about = read_record(self.out)
        write_record(
            self.out, {**about, "systems": [{**s, **facts} if s["name"] == name else s for s in about["systems"]]}
        )

    def train(self, system: System) -> Exception | None:
        """Cross-validate a system, or go on with it. What it failed of is noted, and returned."""
        try:
            cross_validate(
                self.comp,
                system.renderer,
                system.arch,
                system.recipe,
                folds=self.folds,
                seeds=self.seeds,
                out=self.out / system.folder,
                loaders=system.loaders,
                learner=system.learner,
                test=False,
                only=self.only,
                say=self.say,
                **self.options,
            )
        except (ValueError, torch.cuda.OutOfMemoryError) as exc:
            self.say(f"{system.name} failed: {exc}")
            self.note(system.name, failed=str(exc))
            return exc.with_traceback(None)  # whose frames would keep the network in memory
        self.note(system.name, failed=None)
        return None


def open_bench(
    comp: Competition,
    systems: Sequence[System],
    out: str | os.PathLike,
    folds: int | None,
    seeds: int,
    only,
    options: dict,
    say: Callable[[str], None],
) -> Bench:
    """The bench for systems that are `complete`. ValueError for what can be known to be wrong now."""
    Choices(folds=folds, seeds=seeds, **options)
    say = partial(print, flush=True) if say is print else say
    bench = Bench(comp, Path(out).absolute(), folds, seeds, common_seed(systems), only, options, say)
    bench.check(systems)
    return bench


def finish(bench: Bench) -> Comparison:
    """The comparison as it stands, told, and its table written as comparison.csv."""
    found = Comparison(bench.out)
    found.keep_differences()
    found = Comparison(bench.out)
    write_atomic(bench.out / "comparison.csv", found.table.to_csv(index=False).encode("utf-8", "surrogatepass"))
    bench.say(str(found))
    return found
