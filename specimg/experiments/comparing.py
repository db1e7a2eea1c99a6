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

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..competitions import Competition
from ..core.text import count
from ..core.values import Value, register
from ..data.tta import TTA
from ..render.renderer import Renderer
from ..training import Recipe
from .bench import finish, open_bench
from .choices import Choices, open_competition
from .comparison import Comparison
from .systems import System, complete, make_systems, name_looks

__all__ = ["ComparePlan", "compare", "run_plan"]


def compare(
    comp: Competition,
    archs: str | Iterable[str] = (),
    renderers=Renderer(),
    recipe: Recipe = Recipe(),
    *,
    out: str | os.PathLike,
    systems: Sequence[System] = (),
    baseline: str | None = None,
    folds: int | None = None,
    seeds: int = 1,
    loaders: dict | None = None,
    learner: dict | None = None,
    trust: str = "sampling",
    tta: TTA = TTA(),
    only: Sequence[int] | None = None,
    say: Callable[[str], None] = print,
) -> Comparison:
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
        raise ValueError(
            f"{len(failed)} of {count(len(systems), 'system')} failed ({reasons}); the others are kept, "
            f"Comparison.open({str(bench.out)!r}) reads them"
        ) from next(iter(failed.values()))
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

    competition: dict = field(default_factory=dict)  # slug, folder and options of `Competition.open`, or toml: a file
    archs: tuple[str, ...] = ()
    renderers: dict = field(default_factory=dict)  # name -> Renderer; none is the default one
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
        choices = Choices(
            folds=self.folds, seeds=self.seeds, trust=self.trust, **{name: getattr(self, name) for name in parts}
        )
        for name in parts:
            object.__setattr__(self, name, getattr(choices, name))
        looks = {
            name: Renderer.from_dict(look) if isinstance(look, dict) else look for name, look in self.renderers.items()
        }
        object.__setattr__(self, "renderers", {name: look.to_dict() for name, look in name_looks(looks).items()})

    @property
    def looks(self) -> dict[str, Renderer]:
        """The renderers by name."""
        return name_looks({name: Renderer.from_dict(look) for name, look in self.renderers.items()} or Renderer())


def run_plan(
    plan: ComparePlan | str | os.PathLike,
    out: str | os.PathLike,
    only: Sequence[int] | None = None,
    say: Callable[[str], None] = print,
) -> Comparison:
    """`compare` by a plan, or by the TOML file that holds one."""
    if not isinstance(plan, ComparePlan):
        plan = ComparePlan.from_toml(Path(plan))
    given = {
        name: getattr(plan, name)
        for name in ("systems", "baseline", "folds", "seeds", "loaders", "learner", "trust", "tta")
    }
    return compare(
        open_competition(plan.competition), plan.archs, plan.looks, plan.recipe, out=out, only=only, say=say, **given
    )
