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

from ..competitions import Competition
from ..core.text import count
from ..data.tta import TTA
from ..render.renderer import Renderer
from ..training import Recipe
from .bench import finish, open_bench
from .comparison import Comparison
from .systems import System, complete, make_systems

__all__ = ["compare"]


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
