"""The training itself: a rate is searched for, then one phase after the other is trained, epoch by epoch.

`carry_out` does all of it with a learner that is `equipped`, from wherever its run stands. `_Epochs`, a callback, surrounds every
epoch: it seeds the epoch's chances, measures its loss and its time, and hands its row on to the run, to the folder and to the
table that is printed:

       phase     epoch        lr  train_loss  valid_loss   seconds
      frozen       1/3   4.0e-03      1.5012      1.3466       2.1
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastai.vision.all import Callback, CancelFitException, Learner, SuggestionMethod, find_bs, set_seed

from .checkpoint import InMemory, TrainingFolder
from .schedule import PHASES, Progress, best_row, divergence, epoch_seed, peak_rates, search_length, stopped_early

__all__ = ["KEPT", "SEARCHED", "carry_out"]

SEARCHED = (1e-5, 1.0)  # rates tried: smaller ones teach nothing in a few epochs, and pull fastai's suggestions down
KEPT = (1e-5, 3e-2)  # rates taken: one outside was suggested by noise, of a loss that never rose or never fell


def _seed_everything(learn: Learner, seed: int) -> None:
    set_seed(seed, reproducible=True)
    for dl in learn.dls.loaders:
        if hasattr(dl, "rng"):  # fastai's DataLoader shuffles with a generator of its own
            dl.rng = random.Random(seed)


# ---------------------------------------------------------------- one epoch


class _Table:
    """Prints epochs as lines under one heading: plain text, which reads the same in a notebook and in a log."""

    def __init__(self, say: Callable[[str], None], total: int):
        self.say, self.total, self.headed = say, total, False

    def add(self, row: dict) -> None:
        cells = {name: "" if figure is None else f"{figure:.4f}" for name, figure in row.items() if name != "phase"}
        cells |= {
            "phase": row["phase"],
            "epoch": f"{row['epoch']}/{self.total}",
            "lr": f"{row['lr']:.1e}",
            "seconds": f"{row['seconds']:.1f}",
        }
        for texts in [cells] if self.headed else [dict(zip(row, row)), cells]:
            self.say("  ".join(texts[name].rjust(max(8, len(name))) for name in row))
        self.headed = True


class _Epochs(Callback):
    """Seeds every epoch of a phase, measures it and hands it on to the run."""

    order = 55  # after the Recorder, whose figures it takes; before callbacks that may end the training
    run_valid = False

    def __init__(self, this_run: Progress, phase: str, store: InMemory | TrainingFolder, table: _Table):
        self.this_run, self.phase, self.store, self.table = this_run, phase, store, table
        self.skip = this_run.done(phase)  # fastai counts through the epochs that it skips

    def before_epoch(self):
        if self.epoch >= self.skip:
            _seed_everything(self.learn, epoch_seed(self.this_run.seed, self.phase, self.epoch))
            self.began, self.loss_sum, self.seen, self.peak = time.perf_counter(), 0.0, 0, 0.0

    def after_batch(self):
        size = find_bs(self.yb)
        self.loss_sum += self.learn.loss.mean().item() * size
        self.seen += size
        self.peak = max(self.peak, float(self.opt.hypers[-1]["lr"]))

    def measured(self) -> dict:
        """The row of the epoch just over. Its training loss is the mean over the epoch; fastai's lags far behind."""
        names = list(self.recorder.metric_names)[1:]  # the first is epoch; the last, time, has no figure
        figures = {name: None if x is None else float(x) for name, x in zip(names, self.learn.final_record)}
        figures["train_loss"] = self.loss_sum / self.seen
        return {
            "phase": self.phase,
            "epoch": len(self.this_run.rows) + 1,
            "lr": self.peak,
            **figures,
            "seconds": round(time.perf_counter() - self.began, 3),
        }

    def after_epoch(self):
        if self.epoch < self.skip:
            return
        run, row = self.this_run, self.measured()
        run.problem = divergence(row)
        if run.problem:
            raise CancelFitException
        run.rows.append(row)
        if run.recipe.best_model and best_row(run.rows, run.recipe.monitor) == len(run.rows) - 1:
            self.store.save_best(self.learn)  # first: an epoch that counts as done has left its weights
        self.store.save(self.learn, run)
        self.table.add(row)
        if stopped_early(run.rows, run.recipe):
            raise CancelFitException


# ---------------------------------------------------------------- the phases


def _set_frozen(learn: Learner, phase: str) -> None:
    """Freeze the body, or nothing. The optimizer forgets its moments, so both phases begin alike after a resume."""
    if phase == "unfrozen":
        learn.unfreeze()
    elif len(learn.opt.param_lists) > 1:
        learn.freeze()
    else:
        raise ValueError(
            "the learner has a single parameter group, so no body can be frozen; give it a splitter, or "
            "the recipe freeze_epochs=0"
        )


def _find_rate(learn: Learner, run: Progress) -> float:
    """A peak rate from a trial run in which the rate grows, so that the loss falls and then rises.

    For a pretrained network the middle of the longest fall, fastai's default (`valley`). From scratch a tenth of the
    rate with the lowest loss (`minimum`), which is higher: random weights have a longer way to go in the same epochs.
    Smith 2017, arXiv:1506.01186. The weights stay as they were. ValueError where the trial run ends too soon.
    """
    suggest = SuggestionMethod.Valley if run.pretrained else SuggestionMethod.Minimum
    _set_frozen(learn, "frozen" if run.planned["frozen"] else "unfrozen")
    _seed_everything(learn, epoch_seed(run.seed, "search", 0))
    steps, model_dir = search_length(len(learn.dls.train), run.total), learn.model_dir
    try:
        with tempfile.TemporaryDirectory() as folder, learn.no_bar():
            learn.model_dir = Path(folder)  # lr_find saves the weights in it, and beside the data may be read-only
            [found] = learn.lr_find(*SEARCHED, num_it=steps, show_plot=False, suggest_funcs=suggest)
    except IndexError:  # not one loss to choose from
        found = math.nan
    finally:
        learn.model_dir = model_dir
    losses = [float(loss) for loss in learn.recorder.losses if math.isfinite(loss)]
    if len(losses) < steps // 2:
        raise ValueError(
            f"no rate found: the trial run gave a finite loss in {len(losses)} of {steps} steps only; "
            "look at the data, or give a number, such as Recipe(lr=0.003)"
        )
    return float(f"{found:.2g}")  # the figure that is printed is the one that is used


def _train(learn: Learner, run: Progress, phase: str, store: InMemory | TrainingFolder, table: _Table) -> None:
    """The epochs of one phase that are still to come."""
    recipe, done = run.recipe, run.done(phase)
    _set_frozen(learn, phase)
    if done:
        learn.opt.load_state_dict(run.opt)
    learn.fit_one_cycle(
        run.planned[phase],
        peak_rates(recipe, run.lr, phase, run.pretrained),
        div=recipe.div,
        div_final=recipe.div_final,
        pct_start=recipe.pct_start,
        wd=recipe.wd,
        cbs=_Epochs(run, phase, store, table),
        start_epoch=done,
    )
    # epochs that were skipped left empty rows, over which the recorder's plots would stumble
    learn.recorder.values, learn.recorder.iters = learn.recorder.values[done:], learn.recorder.iters[done:]
    if run.problem:
        raise ValueError(run.problem)


def carry_out(learn: Learner, run: Progress, store: InMemory | TrainingFolder, say: Callable[[str], None]) -> None:
    """Find the rate, train phase by phase, and go back to the best epoch where that is asked for."""
    recipe, table = run.recipe, _Table(say, run.total)
    learn.create_opt()
    learn.model.zero_grad(set_to_none=True)  # fastai's optimizer would decay frozen weights that still have gradients
    if run.lr is None:
        found = _find_rate(learn, run)
        run.lr = min(max(found, KEPT[0]), KEPT[1])
        store.note(learn, run)
        say(f"lr {run.lr} found" + ("" if run.lr == found else f" (suggested: {found}, kept within {KEPT})"))
    for row in run.rows:
        table.add(row)
    for phase in PHASES:
        if run.todo(phase):
            _train(learn, run, phase, store, table)
    if stopped_early(run.rows, recipe):
        say(f"stopped early: no better {recipe.monitor} for {recipe.early_stopping} epochs")
    best = best_row(run.rows, recipe.monitor) if recipe.best_model else None
    if best is not None:
        store.load_best(learn)
        say(f"back to epoch {best + 1}, the best by {recipe.monitor}: {run.rows[best][recipe.monitor]:.4f}")
