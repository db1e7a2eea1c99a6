"""Cross-validation: every clip is predicted by a network that was not trained on it, and the test set by all networks.

    run = cross_validate(comp, Renderer(Mel()), "resnet34", Recipe(epochs=10), folds=5, out="runs/r34", loaders=dict(bs=64))
    run.score, run.oof, run.submission("submission.csv")

The same call continues where it was stopped: finished folds are read, an unfinished fold continues after its last epoch. A folder that
holds another competition, configuration, data or picture size is an error. Several processes, of several machines too, may work on one run:
each takes the next fold that no other process is working on (`core.locks` has the rule). `n_jobs=` does it with workers of one call.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from ..competitions import Competition
from ..core.arguments import names_arguments
from ..core.failures import explained
from ..core.progress import line_logger
from ..core.text import count, examples
from ..core.warnings import warn
from ..core.wiring import provided
from ..data.sizes import Sizing
from ..data.tta import TTA
from ..data.twins import picture_digests, warn_of_twins
from ..labels.tables import clip_index
from ..models.networks import check_arch, check_weights
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..training import Recipe, Track
from ..training.tracking import FILE as TRACKING, as_track, followed
from .config import RunConfig
from .drawing import draw_clips, draw_variants, join_pictures
from .fold_run import FoldRun, plan_fold_runs
from .fold_training import FoldSetup, drop_checkpoints
from .fold_work import FoldWork, work_on_folds
from .held_out import assign_folds, fold_numbers
from .post_processing import choose_post_processing
from .run import Run, drawn_test_clips, read_about
from .storage import begin_run, is_new, record_pictures
from .task import Score, Task

_KEPT = "finished folds and epochs are kept, and the same call, with the same out=, continues"
_FEWER = "loaders=dict(num_workers=0, n_jobs=1)"


# ---------------------------------------------------------------------- before anything is drawn


def _open_earlier(config: RunConfig, comp: Competition) -> Run | None:
    """The run that gives pseudo-labels. ValueError if it is of another competition, unfinished, or without predictions of the test set."""
    if config.pseudo is None:
        return None
    earlier, task = Run.open(config.pseudo), Task.of(comp)
    where = f"the run in {str(earlier.folder)!r}"
    if earlier.task.differs(task):
        raise ValueError(f"{where} cannot give pseudo-labels here: {earlier.task.differs(task)}")
    if len(earlier.fold_runs) < earlier.n_planned:
        raise ValueError(
            f"{where} has {len(earlier.fold_runs)} of {count(earlier.n_planned, 'network')} finished; "
            "finish it before its predictions are used as labels"
        )
    earlier.pseudo_labels()  # a ValueError where there is no test set, or it was not predicted
    return earlier


def _fold_of(table: pd.DataFrame) -> pd.Series:
    """Clip -> fold."""
    return table.set_index(clip_index(table))["fold"]


def _check_same_folds(earlier: Run | None, table: pd.DataFrame) -> None:
    """ValueError unless an earlier run held out the same clips in the same folds."""
    if earlier is None:
        return
    then = _fold_of(earlier.folds).reindex(clip_index(table)).to_numpy()
    moved = table["path"][~np.isnan(then) & (then != table["fold"])].tolist()
    if moved or set(fold_numbers(table)) - set(fold_numbers(earlier.folds)):
        what = (
            f"held {count(len(moved), 'clip')} out in other folds ({examples(moved)})" if moved else "has other folds"
        )
        raise ValueError(
            f"the run in {str(earlier.folder)!r} {what}: its networks were trained on clips that are held out here, "
            "and the score would be too good; use the same folds= and Recipe(seed=...)"
        )


def _check_together(config: RunConfig, table: pd.DataFrame) -> None:
    """ValueError for options that exclude each other, before an hour of drawing or training."""
    check_arch(config.arch)
    loading = config.loading
    for windows in (loading.get("windows"), config.tta.windows):
        Sizing(None, loading.get("method", "squish"), loading.get("seconds"), windows)
    if config.trust == "loss" and config.recipe.mixup and ("weight" in table or config.pseudo):
        raise ValueError(
            f"trust='loss' and Recipe(mixup={config.recipe.mixup:g}): MixUp blends clips, and a blend has no weight "
            "of its own; use trust='sampling', or mixup=0"
        )


def _training_table(comp: Competition, config: RunConfig, out: Path, new: bool) -> pd.DataFrame:
    """The training table with its folds: assigned now, or those that the run in `out` began with."""
    if new:
        return assign_folds(comp, config.folds, config.first_seed)
    return comp.train.assign(fold=_fold_of(Run(out).folds).loc[clip_index(comp.train)].to_numpy())


def _check_types(comp: object, renderer: object, recipe: object, tta: object) -> None:
    """ValueError with an example for an argument of another type."""
    wanted = {
        "comp": (comp, Competition, "Competition.open('freesound-audio-tagging', 'freesound/')"),
        "renderer": (renderer, Renderer, "Renderer(Mel())"),
        "recipe": (recipe, Recipe, "Recipe(epochs=10)"),
        "tta": (tta, TTA, "TTA(shifts=(-0.1, 0.0, 0.1))"),
    }
    for name, (given, kind, example) in wanted.items():
        if not isinstance(given, kind):
            raise ValueError(f"{name}={given!r} is not a {kind.__name__}; write {example}")


def _location(comp: Competition) -> dict:
    """How the competition is found again: its TOML file, or slug, folder and options."""
    if comp.source is not None:
        return {"toml": comp.source}
    if comp.described is not None:
        return comp.described
    return {"slug": comp.slug, "folder": comp.folder.absolute(), "options": comp.options}


def _chosen(planned: list[FoldRun], only: Sequence[int] | None) -> list[FoldRun]:
    """The networks of the folds `only`, else all."""
    numbers = sorted({fold_run.fold for fold_run in planned})
    for fold in () if only is None else only:
        if fold not in numbers:
            raise ValueError(
                f"only={list(only)}: there is no fold {fold!r}; the folds are {', '.join(map(str, numbers))}"
            )
    return [fold_run for fold_run in planned if only is None or fold_run.fold in only]


# ---------------------------------------------------------------------- the work


@dataclass(frozen=True)
class _Plan:
    """What is to be done, settled before anything is drawn."""

    comp: Competition
    task: Task
    config: RunConfig
    earlier: Run | None
    table: pd.DataFrame  # the training clips with folds
    test: pd.DataFrame | None  # the test rows, where they are to be predicted
    fold_runs: list[FoldRun]
    out: Path
    log: Callable[[str], None]
    track: Track | None = None  # with the group of the run

    @property
    def is_done(self) -> bool:
        return all(f.finished and (self.test is None or f.predicted_test) for f in self.fold_runs)


def _make_plan(
    comp: Competition, config: RunConfig, out: Path, test: bool, only: Sequence[int] | None, log: Callable[[str], None]
) -> _Plan:
    """Settle what is to be done, and begin the folder if there is no run yet; all checks come before that."""
    task, earlier = Task.of(comp), _open_earlier(config, comp)
    new = is_new(out, config, task, earlier)
    table = _training_table(comp, config, out, new)
    _check_same_folds(earlier, table)
    _check_together(config, table)
    fold_runs = _chosen(plan_fold_runs(out, config, table), only)
    if not all(fold_run.finished for fold_run in fold_runs):
        check_weights(config.arch, config.learner.get("pretrained", True), config.learner.get("weights"))
    if new:
        begin_run(out, config, task, table, earlier)
    return _Plan(comp, task, config, earlier, table, comp.test if test else None, fold_runs, out, log)


def _log_plan(plan: _Plan) -> None:
    numbers, n_seeds = fold_numbers(plan.table), len(plan.config.seed_list)
    finished = [fold_run for fold_run in plan.fold_runs if fold_run.finished]
    plan.log(
        f"{plan.comp!r}\n{count(len(plan.fold_runs), 'network')} to train, of {count(len(numbers), 'fold')} "
        f"and {count(n_seeds, 'seed')}; {len(finished)} finished already"
    )
    for fold_run in finished:
        plan.log(f"{fold_run}: finished already, {Score.from_dict(fold_run.done, plan.task.metric)}")
        drop_checkpoints(fold_run)  # of one that was stopped just before


def _drawn_clips(table: pd.DataFrame, tree: SpecTree) -> pd.DataFrame:
    """The training clips that have a picture. ValueError if a fold is left without."""
    drawn = join_pictures(table, tree, "training clip")
    warn_of_twins(drawn, picture_digests(drawn["picture"]), "fold")
    drawn = drawn.drop(columns="picture")
    lost = sorted(set(fold_numbers(table)) - set(fold_numbers(drawn)))
    if lost:
        reasons = dict(zip(tree.failures["path"], tree.failures["reason"]))
        named = [f"{path}: {reasons.get(path)}" for path in table["path"][table["fold"].isin(lost)]]
        raise ValueError(
            f"{'fold' if len(lost) == 1 else 'folds'} {', '.join(map(str, lost))} without a clip that could be drawn "
            f"({examples(named, mark='; ')}); correct these files, or give another number of folds="
        )
    return drawn


def _draw(plan: _Plan) -> SpecTree:
    """One tree with all clips, and with variants of those that a network still has to be trained on."""
    comp, config, earlier = plan.comp, plan.config, plan.earlier
    tables = [plan.table, plan.test, None if earlier is None else earlier.test_clips]
    tree = draw_clips(tables, comp.folder, config.renderer, **config.drawing)
    folds = {fold_run.fold for fold_run in plan.fold_runs if not fold_run.finished}
    pseudo = [] if earlier is None else [earlier.pseudo_labels(config.pseudo_min, fold) for fold in sorted(folds)]
    variants = config.variants if folds else ()
    return draw_variants(tree, [plan.table, *pseudo], comp.folder, config.renderer, variants, **config.drawing)


def _carry_out(plan: _Plan, n_jobs: int) -> None:
    """Draw all clips; then train each network and predict held-out clips and test set."""
    tree = _draw(plan)
    setup = FoldSetup.open(plan.task, plan.config, tree, _drawn_clips(plan.table, tree), plan.track)
    record_pictures(plan.out, tree, setup.size)
    test_clips = None if plan.test is None else drawn_test_clips(plan.test, tree)
    work_on_folds(FoldWork(plan.out, setup, plan.earlier, test_clips), plan.fold_runs, n_jobs, plan.log)


def _show_whole(run: Run, track: Track | None) -> None:
    """A tracker is shown the finished run, once: its score, its pictures and its report, in the group of its networks."""
    if track is None or len(run.fold_runs) < run.n_planned or (run.folder / TRACKING).exists():
        return
    about = {"config": run.config.to_dict(), "competition": run.task.slug, "networks": run.n_planned}
    score = {name: float(x) for name, x in run.score.to_dict().items() if name != "clips" and x is not None}
    try:
        with (
            followed(track.replace(name=track.group), about, run.folder) as tracked,
            tempfile.TemporaryDirectory() as scratch,
        ):
            tracked.finish(lambda: [("score", score), *provided("training_pages")(run, Path(scratch))])
    except ValueError as exc:  # the run is finished whatever the tracker says
        warn(str(exc))


def run_cross_validation(
    comp: Competition,
    config: RunConfig,
    out: str | os.PathLike,
    *,
    test: bool = True,
    only: Sequence[int] | None = None,
    n_jobs: int = 1,
    log: Callable[[str], None] | None = print,
    track: str | Track | None = None,
) -> Run:
    """`cross_validate` by a configuration; `config.competition` is replaced by where `comp` lies."""
    began, log = time.perf_counter(), line_logger(log)
    if type(n_jobs) is not int or n_jobs == 0:
        raise ValueError(
            f"n_jobs={n_jobs!r} is no number of workers; 1 is this process alone, -1 as many as there are CPUs"
        )
    _check_types(comp, config.renderer, config.recipe, config.tta)
    if not comp.folder.is_dir():
        raise ValueError(
            f"the folder of {comp.slug}, {str(comp.folder)!r}, does not exist; make the competition with the folder that its paths are below"
        )
    pseudo = None if config.pseudo is None else str(Path(config.pseudo).absolute())  # the working folder may change
    config = config.replace(competition=_location(comp), pseudo=pseudo)
    track = as_track(track)
    plan = _make_plan(comp, config, Path(out).absolute(), test, only, log)
    if track is not None:
        begun = read_about(plan.out).get("begun")  # folders of one name are several runs
        plan = replace(plan, track=track.replace(group=track.group or f"{track.name or plan.out.name} ({begun})"))
    _log_plan(plan)
    try:
        if not plan.is_done:
            with explained(plan.out, _KEPT, _FEWER):
                _carry_out(plan, n_jobs)
    except KeyboardInterrupt:
        log(f"stopped; the same call, with out={str(plan.out)!r}, continues")
        raise
    run = Run(plan.out)
    run.keep_score()
    _show_whole(run, plan.track)
    log(f"{run!r}; {time.perf_counter() - began:.0f} s")
    if len(run.fold_runs) == run.n_planned and not run.has_chosen:
        choose_post_processing(run, log=log)
    return run


@names_arguments
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
    n_jobs: int = 1,
    log: Callable[[str], None] | None = print,
    track: str | Track | None = None,
) -> Run:
    """Train a network for each fold, and return the run: out-of-fold predictions, score, predictions of the test set.

    The same call may run in several processes, on one machine or on many that share the folder `out`: each takes the next network that
    nobody works on. Who works on one gives a sign of life every 15 s. What it held is taken over, and continued after the last finished
    epoch: at once if its process is gone from this machine, and from another machine when it has been silent for 5 minutes by the clock of
    the disk. A call that finds nothing but silent holders at its end waits so long. A holder that was only stopped, and wakes up, writes
    nothing over the results of its successor: it says so, and goes on with the next network.

    Parameters
    ----------
    comp : Competition
        Data, labels and metric.
    renderer : Renderer, optional
        How recordings are drawn; default `Renderer()`.
    arch : str, default "resnet34"
        Name of a network: timm's, or one of `list_nets()`.
    recipe : Recipe, default Recipe()
        How each network is trained.
    folds : int, optional
        Number of folds; None: those of the data set, else 5. Stratified by label, and grouped where the competition has groups.
    seeds : int, default 1
        Networks per fold, with the seeds `recipe.seed` (0 where that is None), +1, +2 ...; their probabilities are averaged.
    out : str or path-like
        Folder of the run; the same call continues where it was stopped.
    loaders : dict, optional
        Arguments of `SpecDataLoaders.from_df` after the labels: `bs`, `size`, `method`, `seconds`, `augment`, `cache`, `num_workers`
        ... With `variants=[TimeStretch(0.8), AddNoise(20)]` training uses each clip once more for every variant; held-out clips and the
        test set are predicted as they are.
    learner : dict, optional
        Arguments of `spec_learner`: `pretrained`, `weights`, `stats`, `ps` ...
    trust : {"sampling", "loss", "ignore"}, default "sampling"
        What the weights of clips (unverified labels, low ratings, noisy sources) do: such clips are drawn less often, or their loss is
        weighted, or nothing.
    tta : TTA, default TTA()
        Shifted and longer windows whose predictions are averaged, for held-out and test clips alike.
    pseudo : Run, str or path-like, optional
        An earlier run on the same folds, or its folder. Test clips that it predicts with `pseudo_min` or more are used in training, with
        the prediction as label and its probability as weight. Each fold uses only networks that were not trained on its held-out clips.
    pseudo_min : float, default 0.9
        Probability, in (0, 1).
    test : bool, default True
        Predict the test set. After False, the same call with True does it later.
    only : sequence of int, optional
        Numbers of the folds to train now; the others may follow in another call, or in another process.
    n_jobs : int, default 1
        Workers that train networks at once, a fold with a seed each; 1 trains them in this process, -1 takes as many workers as there are
        CPUs. joblib's active backend says where they are: processes of this machine, or, within `joblib.parallel_config(backend="dask")`
        or `"ray"`, a cluster, whose machines need `out` and the pictures under the same path. A network that fails does not stop the
        others; the error comes at the end, with what is finished. Clips are drawn before, with `loaders=dict(n_jobs=)`.
    log : callable or None, default print
        Takes each line of the log; None is silent. Of workers come the lines of a network together, when it is done.
    track : {"wandb", "tensorboard", "mlflow"} or Track, optional
        Who follows, as in `fit`: one training a network, all in one group, and when the run is finished its score, pictures and report.

    Returns
    -------
    Run
        Read from `out`.

    Raises
    ------
    ValueError
        Options exclude each other, `track` is unknown, weights are not found, a fold would be empty, a network gives nan, or `out` holds another run.
    WorkerError
        A cluster has no workers, or these have other versions or do not see the folders.
    OSError
        The disk is full, or a process that draws or loads data was killed: what is finished is kept, and the same call continues.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    >>> run = sp.cross_validate(comp, renderer, "mini_resnet", sp.Recipe(epochs=1, lr=0.01), folds=2, out="runs/mini",
    ...                         loaders=dict(bs=4, progress=False, cache="cache"), learner=dict(pretrained=False), log=None)
    >>> run.scores[["seed", "fold", "clips"]].to_numpy().tolist()
    [[0, 0, 4], [0, 1, 8]]
    >>> run.score.metric
    'accuracy'
    """
    renderer = renderer or Renderer()
    _check_types(comp, renderer, recipe, tta)
    config = RunConfig(
        renderer=renderer,
        arch=arch,
        recipe=recipe,
        folds=folds,
        seeds=seeds,
        trust=trust,
        tta=tta,
        pseudo=None if pseudo is None else os.fspath(pseudo.folder if isinstance(pseudo, Run) else pseudo),
        pseudo_min=pseudo_min,
        loaders=loaders or {},
        learner=learner or {},
    )
    return run_cross_validation(comp, config, out, test=test, only=only, n_jobs=n_jobs, log=log, track=track)
