"""The training itself: the learning rate is searched for, then one phase after the other is trained, epoch by epoch.

`train_phases` does all of it with a learner that is `equipped`, from wherever its training stands. `_Epochs`, a callback, seeds the
randomness of every epoch, measures its loss and its time, and passes its row to the progress, the folder and the printed table:

       phase     epoch        lr  train_loss  valid_loss   seconds
      frozen       1/3   4.0e-03      1.5012      1.3466       2.1
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from fastai.vision.all import Callback, CancelFitException, Learner, SuggestionMethod, find_bs
from timm.utils import unwrap_model

from ..core.text import count
from .averaging import Ema, WeightAverage, averaging, judged
from .checkpoint import InMemory, TrainingFolder
from .learner import seed_generators
from .ranks import Ranks
from .schedule import (
    DEFAULT_RATE,
    PHASES,
    Progress,
    best_row,
    divergence,
    epoch_seed,
    peak_rates,
    search_length,
    stopped_early,
)
from .tracking import Tracked

# learning rates tried: smaller ones train nothing in a few epochs, and pull fastai's suggestions down
SEARCHED = (1e-5, 1.0)
_TORCH_CANNOT_WRITE = ("PytorchStreamWriter", "inline_container", "iostream")  # of its errors where a disk is full
KEPT = (1e-5, 3e-2)  # learning rates accepted: outside lie suggestions from a loss that never rose or never fell


# ---------------------------------------------------------------- one epoch


class _Table:
    """Prints epochs as lines under one header: plain text, the same in a notebook and in a log file. Who follows the training is told, too."""

    def __init__(self, log: Callable[[str], None], total: int, tracked: Tracked) -> None:
        self.log, self.total, self.tracked, self.headed = log, total, tracked, False

    def add(self, row: dict) -> None:
        cells = {name: "" if figure is None else f"{figure:.4f}" for name, figure in row.items() if name != "phase"}
        cells |= {
            "phase": row["phase"],
            "epoch": f"{row['epoch']}/{self.total}",
            "lr": f"{row['lr']:.1e}",
            "seconds": f"{row['seconds']:.1f}",
        }
        for texts in [cells] if self.headed else [dict(zip(row, row)), cells]:
            self.log("  ".join(texts[name].rjust(max(8, len(name))) for name in row))
        self.headed = True
        self.tracked.add(row)


class _Epochs(Callback):
    """Seeds every epoch of a phase, measures it and records it."""

    order = 55  # after the Recorder, whose figures it takes; before callbacks that may stop training
    run_valid = False

    def __init__(
        self,
        progress: Progress,
        phase: str,
        store: InMemory | TrainingFolder,
        table: _Table,
        average: WeightAverage | None,
        ranks: Ranks,
    ) -> None:
        self.this_training, self.phase, self.store, self.table, self.average = progress, phase, store, table, average
        self.ranks = ranks
        self.skip = progress.done(phase)  # fastai counts through the epochs that it skips

    def before_epoch(self) -> None:
        if self.epoch >= self.skip:
            seed = epoch_seed(self.this_training.seed, self.phase, self.epoch)
            seed_generators(self.learn.dls, seed, self.ranks.rank)
            self.began, self.loss_sum, self.seen, self.peak = time.perf_counter(), 0.0, 0, 0.0

    def after_batch(self) -> None:
        size = find_bs(self.yb)
        self.loss_sum += self.learn.loss.mean().item() * size
        self.seen += size
        self.peak = max(self.peak, float(self.opt.hypers[-1]["lr"]))

    def after_train(self) -> None:
        if self.average is not None:
            self.ranks.same(self.average.mean)

    def measured(self) -> dict:
        """The row of the epoch just over, of all processes. Its training loss is the mean over the epoch; fastai's is a running mean that lags."""
        names = list(self.recorder.metric_names)[1:]  # the first is epoch; the last, time, has no figure
        figures = {name: None if x is None else float(x) for name, x in zip(names, self.learn.final_record)}
        sums, seen = zip(*self.ranks.gathered((self.loss_sum, self.seen)))
        figures["train_loss"] = sum(sums) / sum(seen)
        row = {
            "phase": self.phase,
            "epoch": len(self.this_training.rows) + 1,
            "lr": self.peak,
            **figures,
            "seconds": round(time.perf_counter() - self.began, 3),
        }
        return self.ranks.agreed(row)

    def after_epoch(self) -> None:
        if self.epoch < self.skip:
            return
        progress, row = self.this_training, self.measured()
        progress.problem = divergence(row)
        if progress.problem:
            raise CancelFitException
        progress.rows.append(row)
        if self.average is not None:
            self.average.after_epoch_of(unwrap_model(self.learn.model), progress.todo("unfrozen"))
            progress.average = self.average.state()
        if progress.recipe.best_model and best_row(progress.rows, progress.recipe.monitor) == len(progress.rows) - 1:
            self.store.save_best(self.learn, progress)  # first: an epoch that counts as done has left its weights
        self.store.save(self.learn, progress)
        self.table.add(row)
        if stopped_early(progress.rows, progress.recipe):
            raise CancelFitException


# ---------------------------------------------------------------- the phases


def _set_frozen(learn: Learner, phase: str) -> None:
    """Freeze the body, or nothing. The optimizer's moments are reset, so that a resumed phase begins as an uninterrupted one."""
    if phase == "unfrozen":
        learn.unfreeze()
    elif len(learn.opt.param_lists) > 1:
        learn.freeze()
    else:
        raise ValueError(
            "the learner has a single parameter group, so there is no body to freeze; give it a splitter, or "
            "the recipe freeze_epochs=0"
        )


def _find_lr(learn: Learner, progress: Progress, steps: int) -> float:
    """A peak learning rate from a trial run in which the learning rate grows, so that the loss falls and then rises.

    For a pretrained network the middle of the longest fall, fastai's default (`valley`). From scratch a tenth of the
    learning rate with the lowest loss (`minimum`), which is higher: random weights have further to go in the same epochs.
    Smith, "Cyclical learning rates for training neural networks", 2017, arXiv:1506.01186. The weights are restored.
    ValueError if the trial run ends too soon.
    """
    suggest = SuggestionMethod.Valley if progress.pretrained else SuggestionMethod.Minimum
    _set_frozen(learn, "frozen" if progress.planned["frozen"] else "unfrozen")
    seed_generators(learn.dls, epoch_seed(progress.seed, "search", 0))
    model_dir = learn.model_dir
    try:
        with tempfile.TemporaryDirectory() as folder, learn.no_bar():
            learn.model_dir = Path(folder)  # lr_find saves the weights in it, and beside the data may be read-only
            [found] = learn.lr_find(*SEARCHED, num_it=steps, show_plot=False, suggest_funcs=suggest)
    except RuntimeError as exc:
        if not any(part in str(exc) for part in _TORCH_CANNOT_WRITE):
            raise
        raise OSError(
            f"the search for a learning rate cannot keep the weights in {tempfile.gettempdir()!r}, whose disk is full; make room "
            "there, set TMPDIR to another folder, or give a number as lr="
        ) from exc
    except IndexError:  # not one loss to choose from
        found = math.nan
    finally:
        learn.model_dir = model_dir
    losses = [float(loss) for loss in learn.recorder.losses if math.isfinite(loss)]
    if len(losses) < steps // 2:
        raise ValueError(
            f"no learning rate found: the trial run gave a finite loss in {len(losses)} of {steps} steps only; "
            "look at the data, or give a number, such as Recipe(lr=0.003)"
        )
    return float(f"{found:.2g}")  # the number that is printed is the one that is used


def _train(
    learn: Learner,
    progress: Progress,
    phase: str,
    store: InMemory | TrainingFolder,
    table: _Table,
    average: WeightAverage | None,
    ranks: Ranks,
) -> None:
    """The remaining epochs of one phase."""
    recipe, done = progress.recipe, progress.done(phase)
    _set_frozen(learn, phase)
    if done:
        store.load_optimizer(learn, progress)
    learn.fit_one_cycle(
        progress.planned[phase],
        peak_rates(recipe, progress.lr, phase, progress.pretrained),
        div=recipe.div,
        div_final=recipe.div_final,
        pct_start=recipe.pct_start,
        wd=recipe.wd,
        cbs=[
            _Epochs(progress, phase, store, table, average, ranks),
            *([] if average is None else [average]),
            *ranks.callbacks(),
        ],
        start_epoch=done,
    )
    # skipped epochs left empty rows, at which the recorder's plots would fail
    learn.recorder.values, learn.recorder.iters = learn.recorder.values[done:], learn.recorder.iters[done:]
    if progress.problem:
        raise ValueError(progress.problem)


def conclude(learn: Learner, progress: Progress, store: InMemory | TrainingFolder, log: Callable[[str], None]) -> None:
    """Give the learner, which holds the weights of the last epoch, those that the recipe asks for: averaged ones, or the best epoch's."""
    average = averaging(learn, progress)
    if average is not None and progress.judged is None:
        average.after_training(learn, progress.seed)
        progress.average = average.state()
        store.save_average(progress)
        progress.judged = judged(learn, average)
        store.note(learn, progress)
        log(average.said(progress.judged))
    if average is not None:
        learn.model.load_state_dict(progress.average["model"])
    if progress.recipe.best_model and best_row(progress.rows, progress.recipe.monitor) is not None:
        store.load_best(learn)


def train_phases(
    learn: Learner,
    progress: Progress,
    store: InMemory | TrainingFolder,
    log: Callable[[str], None],
    tracked: Tracked,
    ranks: Ranks,
) -> None:
    """Find the learning rate, train phase by phase, and restore the best epoch where the recipe asks for it."""
    recipe, table = progress.recipe, _Table(log, progress.total, tracked)
    learn.create_opt()
    learn.model.zero_grad(set_to_none=True)  # fastai's optimizer would decay frozen weights that still have gradients
    searched = search_length(ranks.steps(), progress.total)
    if progress.lr is None and not searched:
        progress.lr = DEFAULT_RATE[progress.pretrained]
        store.note(learn, progress)
        steps = ranks.steps() * progress.total
        log(
            f"lr {progress.lr}, the default: a search would take longer than half of this training of {count(steps, 'step')}"
        )
    elif progress.lr is None:
        found = ranks.first(lambda: _find_lr(learn, progress, searched))
        progress.lr = min(max(found, KEPT[0]), KEPT[1])
        store.note(learn, progress)
        log(f"lr {progress.lr} found" + ("" if progress.lr == found else f" (suggested: {found}, kept within {KEPT})"))
    for row in progress.rows:
        table.add(row)
    average = averaging(learn, progress)
    try:
        for phase in PHASES:
            if progress.todo(phase):
                _train(learn, progress, phase, store, table, average, ranks)
    finally:
        if isinstance(average, Ema):  # interrupted within validation
            average.restore(learn.model)
    if stopped_early(progress.rows, recipe):
        log(f"stopped early: no better {recipe.monitor} for {recipe.early_stopping} epochs")
    ranks.first(lambda: conclude(learn, progress, store, log))
    ranks.same(learn.model)
    best = best_row(progress.rows, recipe.monitor) if recipe.best_model else None
    if best is not None:
        log(f"back to epoch {best + 1}, the best by {recipe.monitor}: {progress.rows[best][recipe.monitor]:.4f}")
