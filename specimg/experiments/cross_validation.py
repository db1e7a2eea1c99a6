"""Cross-validation: every clip is judged by a network that never saw it, and the test set by all of them.

    run = cross_validate(comp, Renderer(Mel()), "resnet34", Recipe(epochs=10), folds=5, out="runs/r34", loaders=dict(bs=64))
    run.score, run.oof, run.submission("submission.csv")

The same call again goes on where it was stopped: finished folds are read, the fold in work goes on after its last epoch, and
nothing is trained twice. A folder that holds another competition, other choices, other data or another picture size is an error.
Several processes may work on one run: each takes the next fold that no other is at.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..core.text import count, examples
from ..data.sizes import Sizing
from ..data.tta import TTA
from ..labels.tables import clip_index
from ..models.networks import check_arch, check_weights
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..training import Recipe
from .choices import Choices
from .drawing import draw_clips, with_pictures, with_variants
from .held_out import deal_folds, fold_numbers, report_akin, sides, with_pseudo
from .member import Setup, answer_test, drop_checkpoints, free_gpu, train_member
from .run import Member, Run, heard_clips, plan_members
from .storage import begin, claimed, is_new, note_pictures
from .task import Score, Task

__all__ = ["cross_validate"]


# ---------------------------------------------------------------------- before anything is drawn


def _open_earlier(pseudo, comp: Competition) -> Run | None:
    """The run that gives pseudo-labels. ValueError where it is of another competition, is not finished, or has not answered."""
    if pseudo is None:
        return None
    earlier, task = pseudo if isinstance(pseudo, Run) else Run.open(pseudo), Task.of(comp)
    where = f"the run in {str(earlier.folder)!r}"
    if earlier.task.differs(task):
        raise ValueError(f"{where} cannot give pseudo-labels here: {earlier.task.differs(task)}")
    if len(earlier.members) < earlier.n_planned:
        raise ValueError(
            f"{where} has {len(earlier.members)} of {count(earlier.n_planned, 'network')} finished; "
            "let it end before its answers are learnt from"
        )
    earlier.pseudo_labels()  # a ValueError where there is no test set, or it was not predicted
    return earlier


def _fold_of(table: pd.DataFrame) -> pd.Series:
    """Clip -> fold."""
    return table.set_index(clip_index(table))["fold"]


def _check_same_folds(earlier: Run | None, table: pd.DataFrame) -> None:
    """ValueError unless an earlier run held the same clips out in the same folds."""
    if earlier is None:
        return
    then = _fold_of(earlier.folds).reindex(clip_index(table)).to_numpy()
    moved = table["path"][~np.isnan(then) & (then != table["fold"])].tolist()
    if moved or set(fold_numbers(table)) - set(fold_numbers(earlier.folds)):
        what = (
            f"held {count(len(moved), 'clip')} out in other folds ({examples(moved)})" if moved else "has other folds"
        )
        raise ValueError(
            f"the run in {str(earlier.folder)!r} {what}: its networks have seen what would be tested here, "
            "and the score would be too good; use the same folds= and Recipe(seed=...)"
        )


def _check_together(choices: Choices, table: pd.DataFrame) -> None:
    """ValueError where choices do not go together: later it would cost an hour of drawing, or of training."""
    check_arch(choices.arch)
    loading = choices.loading
    for windows in (loading.get("windows"), choices.tta.windows):
        Sizing(None, loading.get("method", "squish"), loading.get("seconds"), windows)
    if choices.trust == "loss" and choices.recipe.mixup and ("weight" in table or choices.pseudo):
        raise ValueError(
            f"trust='loss' and Recipe(mixup={choices.recipe.mixup:g}): MixUp blends clips, and a blend has no weight "
            "of its own; use trust='sampling', or mixup=0"
        )


def _settled_folds(comp: Competition, choices: Choices, out: Path, new: bool) -> pd.DataFrame:
    """The training table with its folds: dealt now, or those that the run in `out` began with."""
    if new:
        return deal_folds(comp, choices.folds, choices.first_seed)
    return comp.train.assign(fold=_fold_of(Run(out).folds).loc[clip_index(comp.train)].to_numpy())


def _check_kinds(comp, renderer, recipe, tta) -> None:
    """ValueError, with what to write instead, where an argument is of another kind."""
    wanted = {
        "comp": (comp, Competition, "Competition.open('freesound-audio-tagging', 'freesound/')"),
        "renderer": (renderer or Renderer(), Renderer, "Renderer(Mel())"),
        "recipe": (recipe, Recipe, "Recipe(epochs=10)"),
        "tta": (tta, TTA, "TTA(shifts=(-0.1, 0.0, 0.1))"),
    }
    for name, (given, kind, example) in wanted.items():
        if not isinstance(given, kind):
            raise ValueError(f"{name}={given!r} is no {kind.__name__}; write {example}")
    if not comp.folder.is_dir():
        raise ValueError(
            f"the folder of {comp.slug}, {str(comp.folder)!r}, is not there; make the competition with the folder that its paths are below"
        )


def _where(comp: Competition) -> dict:
    """How the competition is found again: its TOML file, or slug, folder and options."""
    if comp.source is not None:
        return {"toml": comp.source}
    return {"slug": comp.slug, "folder": comp.folder.absolute(), "options": comp.options}


def _chosen(planned: list[Member], only: Sequence[int] | None) -> list[Member]:
    """The members of the folds `only`, else all."""
    numbers = sorted({member.fold for member in planned})
    for fold in () if only is None else only:
        if fold not in numbers:
            raise ValueError(
                f"only={list(only)}: there is no fold {fold!r}; the folds are {', '.join(map(str, numbers))}"
            )
    return [member for member in planned if only is None or member.fold in only]


# ---------------------------------------------------------------------- the work


@dataclass(frozen=True)
class _Plan:
    """What is to be done, settled before anything is drawn."""

    comp: Competition
    task: Task
    choices: Choices
    earlier: Run | None
    table: pd.DataFrame  # of training, with folds
    asked: pd.DataFrame | None  # of the test set, where it is to be predicted
    members: list[Member]
    out: Path
    say: Callable[[str], None]

    @property
    def todo(self) -> list[Member]:
        return [
            member for member in self.members if not member.finished or (self.asked is not None and not member.answered)
        ]


def _make_plan(
    comp: Competition,
    choices: Choices,
    earlier: Run | None,
    out: Path,
    test: bool,
    only: Sequence[int] | None,
    say: Callable[[str], None],
) -> _Plan:
    """Settle what is to be done, and begin the folder where there is no run yet; what can be refused is refused before that."""
    task = Task.of(comp)
    new = is_new(out, choices, task, earlier)
    table = _settled_folds(comp, choices, out, new)
    _check_same_folds(earlier, table)
    _check_together(choices, table)
    members = _chosen(plan_members(out, choices, table), only)
    if not all(member.finished for member in members):
        check_weights(choices.arch, choices.learner.get("pretrained", True), choices.learner.get("weights"))
    if new:
        begin(out, choices, task, table, earlier)
    return _Plan(comp, task, choices, earlier, table, comp.test if test else None, members, out, say)


def _say_plan(plan: _Plan) -> None:
    numbers, n_seeds = fold_numbers(plan.table), len(plan.choices.seed_list)
    finished = [member for member in plan.members if member.finished]
    plan.say(
        f"{plan.comp!r}\n{count(len(plan.members), 'network')} to train, of {count(len(numbers), 'fold')} "
        f"and {count(n_seeds, 'seed')}; {len(finished)} finished already"
    )
    for member in finished:
        plan.say(f"{member}: finished already, {Score.from_dict(member.done, plan.task.metric)}")
        drop_checkpoints(member)  # of one that was stopped just before


def _drawn_clips(table: pd.DataFrame, tree: SpecTree) -> pd.DataFrame:
    """The training clips that have a picture. ValueError where a fold is left without."""
    drawn = with_pictures(table, tree, "training clip").drop(columns="picture")
    lost = sorted(set(fold_numbers(table)) - set(fold_numbers(drawn)))
    if lost:
        reasons = dict(zip(tree.failures["path"], tree.failures["reason"]))
        named = [f"{path}: {reasons.get(path)}" for path in table["path"][table["fold"].isin(lost)]]
        raise ValueError(
            f"{'fold' if len(lost) == 1 else 'folds'} {', '.join(map(str, lost))} without a clip that could be drawn "
            f"({examples(named, mark='; ')}); correct these files, or give another number of folds="
        )
    return drawn


def _rows_of(member: Member, plan: _Plan, setup: Setup) -> pd.DataFrame:
    """The training table of one member, with what it learns from an earlier run's networks of the same fold."""
    rows = setup.table
    if plan.earlier is not None:
        sure = plan.earlier.pseudo_labels(plan.choices.pseudo_min, member.fold)
        sure = with_pictures(sure, setup.tree, "pseudo-labelled clip").drop(columns="picture")
        rows = with_pseudo(rows, sure)
    report_akin(rows, member.fold)
    train, held_out = sides(rows, member.fold)
    pseudo = f", {train[len(setup.table) :].sum()} of them pseudo-labelled" if plan.earlier is not None else ""
    varied = f", each in {count(len(plan.choices.variants), 'variant')} too" if plan.choices.variants else ""
    plan.say(f"{member}: {count(int(train.sum()), 'clip')} to train on{pseudo}{varied}, {held_out.sum()} held out")
    return rows


def _has_answered(member: Member, clips: pd.DataFrame) -> bool:
    """Has it answered these very clips? A recording that could not be read at first may have been corrected."""
    return member.answered and clip_index(member.test().table).equals(clip_index(clips))


def _draw(plan: _Plan) -> SpecTree:
    """One tree with all clips, and with the variants of those that a network still has to be trained on."""
    comp, choices, earlier = plan.comp, plan.choices, plan.earlier
    tree = draw_clips(
        [plan.table, plan.asked, None if earlier is None else earlier.test_clips],
        comp.folder,
        choices.renderer,
        **choices.drawing,
    )
    folds = {member.fold for member in plan.members if not member.finished}
    learnt = [] if earlier is None else [earlier.pseudo_labels(choices.pseudo_min, fold) for fold in sorted(folds)]
    variants = choices.variants if folds else ()
    return with_variants(tree, [plan.table, *learnt], comp.folder, choices.renderer, variants, **choices.drawing)


def _carry_out(plan: _Plan) -> None:
    """Draw all clips, then train, judge and answer, network by network."""
    tree = _draw(plan)
    setup = Setup.open(plan.task, plan.choices, tree, _drawn_clips(plan.table, tree))
    note_pictures(plan.out, tree, setup.size)
    heard = None if plan.asked is None else heard_clips(plan.asked, tree)
    for member in plan.members:
        with claimed(member) as free:
            if not free:
                plan.say(f"{member}: another process is at it")
                continue
            if not member.finished:
                train_member(member, _rows_of(member, plan, setup), setup, plan.say)
                drop_checkpoints(member)
                free_gpu()
            if heard is not None and not _has_answered(member, heard):
                answer_test(member, heard, setup)


def cross_validate(
    comp: Competition,
    renderer: Renderer | None = None,
    arch: str = "resnet34",
    recipe: Recipe = Recipe(),
    *,
    folds: int | None = None,
    seeds: int = 1,
    out: str | os.PathLike,
    loaders: dict | None = None,
    learner: dict | None = None,
    trust: str = "sampling",
    tta: TTA = TTA(),
    pseudo: Run | str | os.PathLike | None = None,
    pseudo_min: float = 0.9,
    test: bool = True,
    only: Sequence[int] | None = None,
    say: Callable[[str], None] = print,
) -> Run:
    """Train a network for each fold, and return the run: out-of-fold table, score, answers to the test set.

    Parameters
    ----------
    folds : how many; None takes those that the data set gives, else 5. Stratified, and grouped where the competition knows groups
    seeds : networks a fold, with the seeds recipe.seed (default 0), +1 ...; their probabilities are averaged
    out : folder of the run; the same call goes on where it was stopped
    loaders : arguments of `SpecDataLoaders.from_df` after the labels: bs, size, method, seconds, augment, cache, num_workers ...;
        variants=[TimeStretch(0.8), AddNoise(20)] lets training see each clip once more for every one. What is held out, and the test set,
        is judged by clips as they are
    learner : arguments of `spec_learner`: pretrained, weights, stats, ps ...
    trust : what the weights of clips do (labels nobody verified, low ratings, noisy sources): "sampling" draws these clips less
        often, "loss" weighs their loss, "ignore" neither
    tta : time-shifted and multi-length windows whose answers are averaged, for held-out and test clips alike
    pseudo : an earlier run on the same folds; test clips it is sure of (`pseudo_min`) train as if its answers were labels, with the
        probability as their weight. Each fold learns only from networks that never saw the clips it is tested on
    test : predict the test set; where that was left out, the same call with True does it later
    only : numbers of the folds to train now; the others may follow in another call, or in another process
    say : takes each line of the log

    Raises ValueError where choices do not go together, weights are out of reach, a fold would be empty, a network gives nan, or
    `out` holds another run.
    """
    began, say = time.perf_counter(), partial(print, flush=True) if say is print else say
    _check_kinds(comp, renderer, recipe, tta)
    earlier = _open_earlier(pseudo, comp)
    choices = Choices(
        competition=_where(comp),
        renderer=renderer or Renderer(),
        arch=arch,
        recipe=recipe,
        folds=folds,
        seeds=seeds,
        trust=trust,
        tta=tta,
        pseudo=None if earlier is None else str(earlier.folder),
        pseudo_min=pseudo_min,
        loaders=loaders or {},
        learner=learner or {},
    )
    plan = _make_plan(comp, choices, earlier, Path(out).absolute(), test, only, say)
    _say_plan(plan)
    try:
        if plan.todo:
            _carry_out(plan)
    except KeyboardInterrupt:
        say(f"stopped; the same call, with out={str(plan.out)!r}, goes on")
        raise
    run = Run(plan.out)
    run.keep_score()
    say(f"{run!r}; {time.perf_counter() - began:.0f} s")
    return run
