"""A search for a recipe: optuna proposes, cross-validation answers, and every trial is a row of a comparison.

    found = search_recipe(comp, look, "resnet18", {"lr": (1e-3, 1e-1, "log"), "mixup": [0.0, 0.2, 0.4], "epochs": (4, 12)},
                          n_trials=20, out="runs/search", loaders=dict(size=64))
    print(found)                                       # the recipe it began with is the baseline
    found.runs[found.best].choices.recipe

The comparison is the record of the trials: the same call goes on where it was stopped, and ends in the very trials of one that
never was; a larger `n_trials` adds to them. The best of many trials owes a part of its score to luck, which the table says, and
`found.honest_best` measures. Needs optuna: pip install "specimg[search]".
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from ..competitions import Competition
from ..core.text import count
from ..core.values import Value, choose
from ..data.tta import TTA
from ..metrics import get_metric
from ..render.renderer import Renderer
from ..training import Recipe
from .bench import Bench, finish, open_bench
from .comparison import Comparison
from .run import Run
from .systems import System, complete, name_looks
from .task import metric_value, that_count

__all__ = ["search_recipe"]

_DIGITS = 3  # of a number that is tried, so that a system's name says all of it
_REPEATS = 20  # proposals in a row that were tried already, after which another way is taken

_Trial = tuple[dict, "float | None"]  # what was tried, and its score, larger is better; None where it failed


# ---------------------------------------------------------------------- what is searched


def _optuna():
    try:
        import optuna
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            'search_recipe needs optuna, which is not installed; pip install "specimg[search]" brings it'
        ) from exc
    return optuna


def _is_whole(name: str) -> bool:
    """Is this field of a recipe a whole number?"""
    return isinstance(getattr(Recipe(), name), int)


def _check_range(name: str, span: tuple, recipe: Recipe) -> None:
    """ValueError unless `span` is (low, high) or (low, high, "log") of numbers that the recipe takes."""
    low, high, *log = span if len(span) in (2, 3) else (None, None)
    numbers = all(isinstance(end, (int, float)) and not isinstance(end, bool) for end in (low, high))
    if not numbers or log not in ([], ["log"]) or not low < high:
        raise ValueError(
            f"space[{name!r}] = {span!r}: give (low, high) or (low, high, 'log'), numbers, the lower one first; "
            "choices are a list"
        )
    if log and low <= 0:
        raise ValueError(f"space[{name!r}] = {span!r}: on a logarithmic scale the lower end has to be above 0")
    for end in (low, high):
        recipe.replace(**{name: end})


def _check_space(space: Mapping, recipe: Recipe) -> None:
    """ValueError where the space names no field of a recipe, or values that it refuses."""
    if not space:
        raise ValueError(
            "the space is empty; name fields of Recipe, such as {'lr': (1e-3, 1e-1, 'log'), 'mixup': [0.0, 0.2]}"
        )
    fields = [field for field in recipe.to_dict() if field not in ("kind", "seed")]  # a lucky seed is no better recipe
    for name, wanted in space.items():
        choose(name, fields, "field of Recipe to search")
        if isinstance(wanted, tuple):
            _check_range(name, wanted, recipe)
        elif isinstance(wanted, list) and wanted:
            for choice in wanted:
                recipe.replace(**{name: choice})
        else:
            raise ValueError(f"space[{name!r}] = {wanted!r}: give a list of choices, or a tuple (low, high)")


def _text(value) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _name(base: str, tried: Mapping) -> str:
    """ "resnet18, mel: lr=0.003, mixup=0.2"."""
    return f"{base}: " + ", ".join(f"{field}={_text(value)}" for field, value in tried.items())


# ---------------------------------------------------------------------- trials on disk


def _plain(value):
    return value.to_dict() if isinstance(value, Value) else value


def _restored(noted: Mapping, space: Mapping) -> dict | None:
    """What was tried, from how it is noted; None where that lies in another space."""
    if set(noted) != set(space):
        return None
    tried = {}
    for name, wanted in space.items():
        if isinstance(wanted, list):
            fitting = [choice for choice in wanted if _plain(choice) == noted[name]]
        else:
            fitting = (
                [noted[name]] if isinstance(noted[name], (int, float)) and wanted[0] <= noted[name] <= wanted[1] else []
            )
        if not fitting:
            return None
        tried[name] = fitting[0]
    return tried


def _score(run: Run, only: Sequence[int] | None) -> float | None:
    """The metric over the clips of the folds `only`, larger is better; None where it is not defined."""
    part, metric = run.predictions, get_metric(run.task.metric)
    rows = that_count(part) & (part.table["fold"].isin(list(only)).to_numpy() if only is not None else True)
    value = metric_value(metric.name, part.hot[rows], part.probs[rows], part.is_multi) if rows.any() else math.nan
    return None if math.isnan(value) else value if metric.greater_is_better else -value


def _over(run: Run | None, only: Sequence[int] | None) -> bool:
    """Are all networks of the folds `only` trained?"""
    return run is not None and all(member.finished for member in run.planned if only is None or member.fold in only)


def _trials(bench: Bench, base: str, space: Mapping) -> list[_Trial]:
    """The trials of this search that are over, in the order in which they were proposed."""
    found, trials = Comparison(bench.out), []
    for name, noted in found.trials.items():
        tried = _restored(noted, space)
        if tried is None or name != _name(base, tried):
            continue
        run = found.runs.get(name)
        if name in found.failed:
            trials.append((tried, None))
        elif _over(run, bench.only):
            trials.append((tried, _score(run, bench.only)))
    return trials


# ---------------------------------------------------------------------- what optuna is told, and what it proposes


def _distributions(space: Mapping) -> dict:
    """For optuna; of choices their numbers, for it knows no values of ours."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def one(name, wanted):
        if isinstance(wanted, list):
            return CategoricalDistribution(tuple(range(len(wanted))))
        low, high, *log = wanted
        return (
            IntDistribution(int(low), int(high), log=bool(log))
            if _is_whole(name)
            else FloatDistribution(low, high, log=bool(log))
        )

    return {name: one(name, wanted) for name, wanted in space.items()}


def _as_params(tried: Mapping, space: Mapping) -> dict:
    return {
        name: wanted.index(tried[name]) if isinstance(wanted, list) else tried[name] for name, wanted in space.items()
    }


def _from_params(params: Mapping, space: Mapping) -> dict:
    def one(name, wanted):
        if isinstance(wanted, list):
            return wanted[params[name]]
        if _is_whole(name):
            return params[name]
        return min(max(float(f"{params[name]:.{_DIGITS}g}"), wanted[0]), wanted[1])

    return {name: one(name, wanted) for name, wanted in space.items()}


@contextmanager
def _quiet(optuna):
    """Without optuna's own lines on the screen."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _propose(trials: Sequence[_Trial], space: Mapping, seed: int, attempt: int = 0) -> dict:
    """What to try next, by the tree-structured Parzen estimator (Bergstra et al. 2011); the first ten trials are drawn at random.

    It follows from the trials, the seed and the attempt alone, so that a search that was stopped goes on as if it never had been.
    """
    optuna = _optuna()
    chance, distributions = (
        int(np.random.SeedSequence((seed, len(trials), attempt)).generate_state(1)[0]),
        _distributions(space),
    )
    with _quiet(optuna):
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=chance))
        for tried, score in trials:
            # the sampler takes a trial that was pruned without a value for worse than all others, and forgets one that failed
            state = optuna.trial.TrialState.PRUNED if score is None else optuna.trial.TrialState.COMPLETE
            params = _as_params(tried, space)
            study.add_trial(
                optuna.trial.create_trial(params=params, distributions=distributions, value=score, state=state)
            )
        return _from_params(study.ask(distributions).params, space)


def _next(trials: Sequence[_Trial], space: Mapping, seed: int) -> dict | None:
    """What to try next that has not been tried; None where there is nothing left."""
    known = [tried for tried, _ in trials]
    for attempt in range(_REPEATS):
        tried = _propose(trials, space, seed, attempt)
        if tried not in known:
            return tried
    if not all(isinstance(wanted, list) for wanted in space.values()):
        return None
    every = (dict(zip(space, choices)) for choices in itertools.product(*space.values()))
    return next((tried for tried in every if tried not in known), None)


# ---------------------------------------------------------------------- the search


def _carry_out(bench: Bench, base: System, tried: Mapping) -> float | None:
    """One trial: its score, None where it fails."""
    name = _name(base.name, tried)
    try:
        system = base.replace(name=name, recipe=base.recipe.replace(**tried))
    except ValueError as exc:  # values that do not go together
        bench.join([base.replace(name=name)], tried={field: _plain(value) for field, value in tried.items()})
        bench.note(name, failed=str(exc))
        bench.say(f"{name} failed: {exc}")
        return None
    bench.join([system], tried={field: _plain(value) for field, value in tried.items()})
    failed = bench.train(system)
    return None if failed else _score(Run(bench.out / system.folder), bench.only)


def search_recipe(
    comp: Competition,
    renderer: Renderer | Mapping[str, Renderer],
    arch: str,
    space: Mapping[str, list | tuple],
    recipe: Recipe = Recipe(),
    *,
    n_trials: int,
    out: str | os.PathLike,
    folds: int | None = None,
    seeds: int = 1,
    loaders: dict | None = None,
    learner: dict | None = None,
    trust: str = "sampling",
    tta: TTA = TTA(),
    only: Sequence[int] | None = None,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> Comparison:
    """Cross-validate `recipe`, then `n_trials` changes of it, each proposed by what the earlier ones scored.

    Parameters
    ----------
    renderer : the picture; {"mel": Renderer(...)} gives it a name
    space : field of `Recipe` -> a list of choices, or a range, (low, high) or (low, high, "log"); ranges of whole numbers hold both ends
    recipe : all else, and the baseline that trials are compared with
    n_trials : how many in all, those of earlier calls and failed ones included
    out : folder of the comparison, new or one that `compare` or an earlier search made on the same data and folds
    only : numbers of the folds to train: fewer make a quicker search that knows less
    seed : of the proposals; that of the training is the recipe's
    folds, seeds, loaders, learner, trust, tta, say : as in `compare`

    Trials are named by what was tried, "resnet18, mel: lr=0.003, mixup=0.2". One that fails (a loss that diverges, values that do not go
    together) is noted, counts as worse than all others, and is not tried again.

    Raises ModuleNotFoundError without optuna; ValueError where the space is none of a recipe, or the recipe itself fails.
    """
    _optuna()
    looks = name_looks(renderer)
    if len(looks) != 1:
        raise ValueError(f"{len(looks)} renderers: a search is for one picture; compare(...) finds it first")
    (base,) = [
        complete(System(f"{arch}, {name}", arch, look), recipe, loaders, learner) for name, look in looks.items()
    ]
    _check_space(space, base.recipe)
    bench = open_bench(comp, [base], out, folds, seeds, only, {"trust": trust, "tta": tta}, say)
    bench.join([base])
    bench.say(f"--- {base.name}: the recipe that the search begins with")
    problem = bench.train(base)
    if problem is not None:
        raise ValueError(f"{base.name}: {problem}") from problem
    trials = _trials(bench, base.name, space)
    if trials:
        bench.say(f"{count(len(trials), 'trial')} over already")
    while len(trials) < n_trials:
        tried = _next(trials, space, seed)
        if tried is None:
            bench.say(f"nothing new to try after {count(len(trials), 'trial')}")
            break
        bench.say(f"--- trial {len(trials) + 1} of {n_trials}: {_name(base.name, tried)}")
        trials.append((tried, _carry_out(bench, base, tried)))
    return finish(bench)
