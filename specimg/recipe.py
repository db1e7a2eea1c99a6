"""A recipe says how a network is trained; `fit` trains it so, and goes on where it was stopped.

First only the head of a pretrained network learns (the frozen epochs), then the whole network does, the early layers more
slowly than the late ones. Both phases follow the one-cycle policy: the rate rises to its peak and falls to almost nothing.
The peak is a number, or found by a short trial run in which the rate grows until the loss does (`lr="find"`).

With `out` a run lives in a folder: the recipe, the table of its epochs and its weights after every epoch. Each epoch draws
its chances (shuffling, augmentation, mixup, dropout) from a seed of its own, made of the run's seed and the epoch's number.
So no generator has to be saved, and on a CPU a run killed and gone on with ends in the very weights of one never stopped.

>>> from specimg.recipe import Recipe
>>> Recipe(epochs=10, freeze_epochs=5).replace(lr=0.003).to_dict()["lr"]
0.003
"""

from __future__ import annotations

import io
import json
import math
import os
import random
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Callable, Iterator

import fastai
import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    Callback,
    CancelFitException,
    GradientClip,
    Learner,
    MixedPrecision,
    MixUp,
    find_bs,
    in_notebook,
    set_seed,
)

from . import __version__
from .files import is_leftover, write_whole
from .values import Value, choose, register

__all__ = ["Recipe", "fit", "load_run", "read_history"]

PHASES = ("frozen", "unfrozen")
LR_RANGE = (1e-5, 3e-2)   # a rate outside was found by accident: a loss that never fell, or one that never rose
_FIRST_COLUMNS = ["phase", "epoch", "lr", "train_loss", "valid_loss"]


@register
@dataclass(frozen=True)
class Recipe(Value):
    """How a network is trained. `lr_mult`, `div`, `div_final` and `pct_start` are fastai's, and mean what they mean there."""

    epochs: int = 5                # epochs in which the whole network learns
    freeze_epochs: int = 1         # epochs before them in which only the head learns; skipped where nothing is pretrained
    lr: float | str = "find"       # the head's rate at its peak; "find" looks for it
    lr_mult: float = 100.0         # the earliest layers of a pretrained body learn at lr / lr_mult; from scratch all at lr
    div: float = 25.0              # the rate starts at lr / div,
    div_final: float = 1e5         # and ends at lr / div_final
    pct_start: float = 0.25        # share of the steps in which the rate rises
    wd: float | None = None        # weight decay; None is the learner's own
    mixup: float = 0.0             # alpha of the Beta distribution by which two clips are blended; 0 is off
    label_smoothing: float = 0.0   # share of the target given to all classes alike, in training only; 0 is off
    clip: float | None = None      # largest norm of the gradient; None is off
    early_stopping: int = 0        # unfrozen epochs without a better `monitor` before the run ends; 0 is off
    best_model: bool = False       # go back to the epoch with the best `monitor` at the end
    monitor: str = "valid_loss"    # column of the history: the less the better for losses and errors, else the more
    precision: str = "auto"        # half: float16 where it is safe; full: float32; auto: half on CUDA, else full
    seed: int | None = None        # of everything drawn by chance in training; None draws one, which is recorded

    def _check(self) -> None:
        choose(self.precision, ("auto", "full", "half"), "precision")
        rules = {
            "epochs": (self.epochs >= 0, "0 or more"),
            "freeze_epochs": (self.freeze_epochs >= 0, "0 or more"),
            "lr": (self.lr == "find" if isinstance(self.lr, str) else 0 < self.lr <= 10, "'find' or a number in (0, 10]"),
            "lr_mult": (self.lr_mult >= 1, "1 or more"),
            "div": (self.div >= 1, "1 or more"),
            "div_final": (self.div_final >= 1, "1 or more"),
            "pct_start": (0 < self.pct_start < 1, "between 0 and 1"),
            "wd": (self.wd is None or self.wd >= 0, "0 or more, or None"),
            "mixup": (self.mixup >= 0, "0 (off) or more"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 (off) or more, and less than 1"),
            "clip": (self.clip is None or self.clip > 0, "more than 0, or None (off)"),
            "early_stopping": (self.early_stopping >= 0, "0 (off) or more"),
            "seed": (self.seed is None or 0 <= self.seed < 2**32, "in 0 ... 2**32 - 1, or None"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise ValueError(f"Recipe({name}={getattr(self, name)!r}): must be {rule}")
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("Recipe(epochs=0, freeze_epochs=0) trains nothing: give at least one epoch")


# Decisions: small functions of plain values.


def search_length(batches: int, epochs: int) -> int:
    """Steps of the search for a rate: as many as the run itself has, but 40 at least and 100 at most."""
    return max(40, min(100, batches * epochs))


def epoch_seed(seed: int, phase: str, epoch: int) -> int:
    """The seed of one epoch (counted within its phase) or of the search; neighbours have nothing in common."""
    return int(np.random.SeedSequence((seed, ("search", *PHASES).index(phase), epoch)).generate_state(1)[0])


def mixed_precision(precision: str, device: str) -> bool:
    """Does a run on this type of device use float16? ValueError where it cannot."""
    if precision == "half" and device != "cuda":
        raise ValueError(f"precision 'half' needs a CUDA device, and this is {device}; choose auto or full")
    return device == "cuda" and precision != "full"


def rates(recipe: Recipe, lr: float, phase: str, pretrained: bool) -> float | slice:
    """The peak rate of the parameter groups, as fastai's `fit_one_cycle` takes it.

    As in fastai's `fine_tune`, a network whose head has learnt in frozen epochs goes on at half the rate.
    """
    if not pretrained:
        return lr
    if phase == "frozen":
        return slice(lr)
    lr = lr / 2 if recipe.freeze_epochs else lr
    return slice(lr / recipe.lr_mult, lr)


def best_row(rows: list[dict], monitor: str) -> int | None:
    """Index of the first of the best epochs; None where none has a figure."""
    sign = 1 if "loss" in monitor or "error" in monitor else -1
    figures = [(sign * row[monitor], i) for i, row in enumerate(rows) if row[monitor] is not None]
    return min((pair for pair in figures if not math.isnan(pair[0])), default=(None, None))[1]


def stopped_early(rows: list[dict], recipe: Recipe) -> bool:
    """Have the last `early_stopping` unfrozen epochs brought nothing better?"""
    rows = [row for row in rows if row["phase"] == "unfrozen"]
    best = best_row(rows, recipe.monitor) if recipe.early_stopping and rows else None
    since = len(rows) - (0 if best is None else best + 1)
    return 0 < recipe.early_stopping <= since


def diverged(row: dict) -> str:
    """What is wrong with an epoch whose loss is no number, and what to do; empty where all is well."""
    for name in ("train_loss", "valid_loss"):
        loss = row.get(name)
        if loss is not None and not math.isfinite(loss):
            return (f"{name} is {loss} in epoch {row['epoch']} (lr up to {row['lr']:.2g}): the training diverged; give a "
                    f"smaller rate, such as Recipe(lr={row['lr'] / 10:.1g}), or Recipe(clip=1.0), and a new out=")
    return ""


def folder_action(names: set[str]) -> str:
    """What to do with a folder that holds these names: "begin", "go on" or "refuse"."""
    if {"recipe.toml", "run.json", "checkpoints/last.pth"} <= names:
        return "go on"
    # a run killed before its first checkpoint leaves no more than this
    return "begin" if names <= {"recipe.toml", "run.json", "checkpoints"} else "refuse"


def differences(there: dict, here: dict) -> str:
    """The entries in which two dictionaries differ, in words; empty where they are equal."""
    def short(part) -> str:
        text = repr(part)
        return text if len(text) <= 60 else f"{text[:57]}..."

    return "; ".join(f"{name} is {short(there.get(name))} there and {short(here.get(name))} here"
                     for name in there | here if there.get(name) != here.get(name))


# One run: what was asked for, what was settled when it began, what it has done.


@dataclass
class _Run:
    recipe: Recipe                                   # as asked for
    seed: int
    pretrained: bool
    lr: float | None = None                          # None until it is found
    rows: list[dict] = field(default_factory=list)   # one for each finished epoch
    opt: dict | None = None                          # the optimizer's state after the last of them, where they were read
    problem: str = ""                                # why it cannot go on

    @property
    def planned(self) -> dict[str, int]:
        """Epochs of each phase."""
        return {"frozen": self.recipe.freeze_epochs if self.pretrained else 0, "unfrozen": self.recipe.epochs}

    @property
    def total(self) -> int:
        return sum(self.planned.values())

    def done(self, phase: str) -> int:
        """Finished epochs of this phase."""
        return sum(row["phase"] == phase for row in self.rows)

    def todo(self, phase: str) -> int:
        """Epochs of this phase still to come."""
        over = self.done("unfrozen") if phase == "frozen" else stopped_early(self.rows, self.recipe)
        return 0 if over else self.planned[phase] - self.done(phase)

    @property
    def finished(self) -> bool:
        return not any(self.todo(phase) for phase in PHASES)

    @property
    def settled(self) -> Recipe:
        """The recipe with the seed and the rate that were used: it repeats the run."""
        return self.recipe.replace(seed=self.seed, lr=self.recipe.lr if self.lr is None else self.lr)

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=list(self.rows[0]) if self.rows else [*_FIRST_COLUMNS, "seconds"])


def _new_run(learn: Learner, recipe: Recipe) -> _Run:
    # not from the global generators: a run before this one may have seeded them
    seed = secrets.randbelow(2**32) if recipe.seed is None else recipe.seed
    lr = None if recipe.lr == "find" else recipe.lr
    return _Run(recipe, seed, bool(getattr(learn, "pretrained", False)), lr)


def _device(learn: Learner) -> torch.device:
    return getattr(learn.dls, "device", None) or next(learn.model.parameters()).device


def _network(learn: Learner) -> dict[str, Any]:
    """What a run's folder and a learner must agree on."""
    arch = getattr(learn, "arch", type(learn.model))
    vocab = getattr(learn.dls, "vocab", None)
    return {
        "arch": getattr(arch, "__name__", str(arch)),
        "parameters": sum(p.numel() for p in learn.model.parameters()),
        "classes": getattr(learn.dls, "c", None) if vocab is None else [str(label) for label in vocab],
        "training_items": getattr(learn.dls.train, "n", None),
    }


# Where a run is kept: in memory, or in a folder.


class _Memory:
    """A run without a folder: nothing is written, the best weights are kept in memory."""

    way_on = "nothing of it is on disk; with out= it could go on"

    def open(self, learn: Learner, recipe: Recipe) -> _Run:
        return _new_run(learn, recipe)

    def note(self, learn: Learner, run: _Run) -> None:
        """Nothing to write."""

    def save(self, learn: Learner, run: _Run) -> None:
        """Nothing to write."""

    def save_best(self, learn: Learner) -> None:
        self._best = {name: part.detach().clone() for name, part in learn.model.state_dict().items()}

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self._best)


def _plain(part):
    """`part` with plain tensors, numbers, lists and dictionaries only, so that it loads with `weights_only=True`."""
    if isinstance(part, torch.Tensor):
        return part.detach().as_subclass(torch.Tensor)
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, np.generic):
        return part.item()
    if part is None or isinstance(part, (str, bool, int, float)):
        return part
    return [_plain(value) for value in part]


class _Folder:
    """A run in a folder. `checkpoints/last.pth` is the truth; `history.csv` is its table, written out for people."""

    def __init__(self, out: str | os.PathLike):
        self.path = Path(out)
        self.recipe, self.about, self.history = (self.path / n for n in ("recipe.toml", "run.json", "history.csv"))
        self.last, self.best = (self.path / "checkpoints" / name for name in ("last.pth", "best.pth"))
        self.way_on = f"call fit again with the same out={str(out)!r} to go on"

    def open(self, learn: Learner, recipe: Recipe) -> _Run:
        """Begin a run, or read the one that is here and put its weights into `learn`."""
        if self.action() == "begin":
            run = _new_run(learn, recipe)
            write_whole(self.recipe, recipe.to_toml().encode())
            self.note(learn, run)
            self.save(learn, run)   # the first weights are drawn by chance: a run killed in its first epoch needs them again
            return run
        asked = self.asked()
        different = differences(asked.to_dict(), recipe.to_dict())
        if different:
            raise ValueError(f"{self.path} holds a run of another recipe: {different}; give the same recipe, or a new out=")
        run, model = self.read(learn)
        if run.finished:
            raise ValueError(f"{self.path} is finished after {len(run.rows)} epochs; read_history({str(self.path)!r}) is its "
                             f"table, load_run(learn, {str(self.path)!r}) takes its weights; choose a new out= for a new run")
        for file in self.last.parent.iterdir():
            if is_leftover(file.name):
                file.unlink()
        learn.model.load_state_dict(model)
        return run

    def action(self) -> str:
        """`folder_action` of what is here; a refusal is a ValueError."""
        if not self.path.exists():
            return "begin"
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder for out=")
        names = {name for name in os.listdir(self.path) if not is_leftover(name)}
        action = folder_action(names | {f"checkpoints/{self.last.name}"} if self.last.exists() else names)
        if action == "refuse":
            raise ValueError(f"{self.path} holds {', '.join(sorted(names)[:5])}, and no run to go on with; "
                             "choose a new or an empty folder for out=")
        return action

    def asked(self) -> Recipe:
        """The recipe of the run that is here."""
        try:
            return Recipe.from_toml(self.recipe)
        except ValueError as exc:
            raise ValueError(f"{self.recipe}: {exc}") from exc

    def read(self, learn: Learner) -> tuple[_Run, dict]:
        """The run that is here, and its last weights. ValueError where it is not one of this network and these data."""
        about = json.loads(self.about.read_text(encoding="utf-8"))
        different = differences(about["network"], _network(learn))
        if different:
            raise ValueError(f"{self.path} holds a run of another network or other data: {different}; choose another out=")
        state = self.load(self.last, learn)
        run = _Run(self.asked(), about["seed"], about["pretrained"], about["lr"], state["rows"], state["opt"])
        return run, state["model"]

    def load(self, file: Path, learn: Learner) -> dict:
        try:
            return torch.load(file, map_location=_device(learn), weights_only=True)
        except Exception as exc:   # torch and pickle raise a dozen kinds
            raise ValueError(f"{file} is no checkpoint that can be read: {exc}") from exc

    def note(self, learn: Learner, run: _Run) -> None:
        """Write down what was settled when the run began."""
        about = {"seed": run.seed, "lr": run.lr, "pretrained": run.pretrained, "network": _network(learn),
                 "weights_from": getattr(learn, "weights_from", None),
                 "versions": {"specimg": __version__, "fastai": fastai.__version__, "torch": torch.__version__}}
        write_whole(self.about, json.dumps(about, indent=2, ensure_ascii=False).encode())

    def write(self, file: Path, state: dict) -> None:
        data = io.BytesIO()
        torch.save(_plain(state), data)
        write_whole(file, data.getvalue())

    def save(self, learn: Learner, run: _Run) -> None:
        opt = learn.opt.state_dict() if run.rows else None
        self.write(self.last, {"model": learn.model.state_dict(), "opt": opt, "rows": run.rows})
        if run.rows:
            write_whole(self.history, run.table().to_csv(index=False).encode())

    def save_best(self, learn: Learner) -> None:
        self.write(self.best, {"model": learn.model.state_dict()})

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.load(self.best, learn)["model"])


# What is hung into fastai's training loop.


def _cross_entropy(loss_func) -> torch.nn.CrossEntropyLoss | None:
    """The cross entropy in a loss function of fastai or torch, where it is one."""
    loss = getattr(loss_func, "func", loss_func)
    return loss if isinstance(loss, torch.nn.CrossEntropyLoss) else None


class _LabelSmoothing(Callback):
    """Smooths the targets in training. The validation loss stays the usual one, so that recipes can be compared by it."""

    def __init__(self, cross_entropy: torch.nn.CrossEntropyLoss, share: float):
        self.cross_entropy, self.share, self.usual = cross_entropy, share, cross_entropy.label_smoothing

    def before_train(self):
        self.cross_entropy.label_smoothing = self.share

    def before_validate(self):
        self.cross_entropy.label_smoothing = self.usual


def _seed_everything(learn: Learner, seed: int) -> None:
    set_seed(seed, reproducible=True)
    for dl in learn.dls.loaders:
        if hasattr(dl, "rng"):   # fastai's DataLoader shuffles with a generator of its own
            dl.rng = random.Random(seed)


class _Table:
    """Prints epochs as lines under one heading: plain text, that a log file keeps."""

    def __init__(self, say: Callable[[str], None], total: int):
        self.say, self.total, self.headed = say, total, False

    def __call__(self, row: dict) -> None:
        cells = {name: f"{figure:.4f}" if isinstance(figure, float) else str(figure) for name, figure in row.items()}
        cells |= {"epoch": f"{row['epoch']}/{self.total}", "lr": f"{row['lr']:.1e}", "seconds": f"{row['seconds']:.1f}"}
        for texts in ([cells] if self.headed else [dict(zip(row, row)), cells]):
            self.say("  ".join(texts[name].rjust(max(8, len(name))) for name in row))
        self.headed = True


class _Epochs(Callback):
    """Seeds every epoch of a phase, measures it and hands it on to the run."""

    order = 55   # after the Recorder, whose figures it takes; before callbacks that may end the training
    run_valid = False

    def __init__(self, this_run: _Run, phase: str, store: _Memory | _Folder, table: _Table):
        self.this_run, self.phase, self.store, self.table = this_run, phase, store, table
        self.skip = this_run.done(phase)   # fastai counts through the epochs that it skips

    def before_epoch(self):
        if self.epoch >= self.skip:
            _seed_everything(self.learn, epoch_seed(self.this_run.seed, self.phase, self.epoch))
            self.began, self.loss_sum, self.seen, self.peak = time.perf_counter(), 0.0, 0, 0.0

    def after_batch(self):
        size = find_bs(self.yb)
        self.loss_sum += self.learn.loss.mean().item() * size
        self.seen += size
        self.peak = max(self.peak, float(self.opt.hypers[-1]["lr"]))

    def row(self) -> dict:
        """The epoch just over. Its training loss is the mean over the epoch; fastai's lags behind by some 50 batches."""
        figures = {name: None if figure is None else float(figure)
                   for name, figure in zip(list(self.recorder.metric_names)[1:], self.learn.final_record)}
        figures["train_loss"] = self.loss_sum / self.seen
        return {"phase": self.phase, "epoch": len(self.this_run.rows) + 1, "lr": self.peak, **figures,
                "seconds": round(time.perf_counter() - self.began, 3)}

    def after_epoch(self):
        if self.epoch < self.skip:
            return
        run, row = self.this_run, self.row()
        run.problem = diverged(row)
        if run.problem:
            raise CancelFitException
        run.rows.append(row)
        if run.recipe.best_model and best_row(run.rows, run.recipe.monitor) == len(run.rows) - 1:
            self.store.save_best(self.learn)   # first, so that an epoch that counts as done has left its weights
        self.store.save(self.learn, run)
        self.table(row)
        if stopped_early(run.rows, run.recipe):
            raise CancelFitException


@contextmanager
def _equipped(learn: Learner, recipe: Recipe) -> Iterator[None]:
    """`learn` with the recipe's callbacks, and without fastai's own table; afterwards as before, however training ended."""
    half = mixed_precision(recipe.precision, _device(learn).type) and not hasattr(learn, "mixed_precision")
    cross_entropy, loss_func = _cross_entropy(learn.loss_func), learn.loss_func
    usual = cross_entropy.label_smoothing if cross_entropy else 0.0
    cbs = [MixedPrecision()] if half else []
    cbs += [MixUp(recipe.mixup)] if recipe.mixup else []
    cbs += [_LabelSmoothing(cross_entropy, recipe.label_smoothing)] if recipe.label_smoothing else []
    cbs += [GradientClip(recipe.clip)] if recipe.clip else []
    with ExitStack() as stack:
        stack.enter_context(learn.no_logging())
        if not (in_notebook() or sys.stdout.isatty()):
            stack.enter_context(learn.no_bar())   # a bar in a log file is a thousand lines
        stack.enter_context(learn.added_cbs(cbs))
        try:
            yield
        finally:   # a batch that fails leaves MixUp's loss, the smoothing and autocast switched on
            learn.loss_func = loss_func
            if cross_entropy:
                cross_entropy.label_smoothing = usual
            if half and torch.is_autocast_enabled():
                cbs[0].autocast.__exit__(None, None, None)


# Training.


def _check_learner(learn: Learner, recipe: Recipe) -> None:
    """ValueError where the recipe cannot be followed with this learner."""
    if len(learn.dls.train) == 0:
        raise ValueError(f"the training set of {getattr(learn.dls.train, 'n', 0)} items fills no batch of "
                         f"{getattr(learn.dls.train, 'bs', None)}; choose a smaller bs")
    if recipe.epochs == 0 and not getattr(learn, "pretrained", False):
        raise ValueError("Recipe(epochs=0) trains only the head of a pretrained network, and nothing here is pretrained; "
                         "give epochs=1 or more")
    choose(recipe.monitor, ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)], "monitor")
    mixed_precision(recipe.precision, _device(learn).type)
    if recipe.label_smoothing and not _cross_entropy(learn.loss_func):
        raise ValueError(f"label_smoothing={recipe.label_smoothing} needs a cross entropy, and the loss is "
                         f"{learn.loss_func}; set it to 0")
    if recipe.mixup and isinstance(learn.loss_func, torch.nn.CrossEntropyLoss):
        raise ValueError(f"mixup={recipe.mixup} needs a loss that fastai can mix, and torch's CrossEntropyLoss is none; "
                         "give the learner fastai's CrossEntropyLossFlat")


def _set_frozen(learn: Learner, phase: str) -> None:
    """Freeze the body, or nothing. The optimizer forgets its moments, so that a phase begins the same after a resume."""
    if phase == "unfrozen":
        learn.unfreeze()
    elif len(learn.opt.param_lists) > 1:
        learn.freeze()
    else:
        raise ValueError("the learner has a single parameter group, so its body cannot be frozen; give it a splitter, "
                         "or the recipe freeze_epochs=0")


def _find_rate(learn: Learner, run: _Run) -> float:
    """The rate in the middle of the longest fall of the loss, while the rate grows from 1e-7 to 10 (fastai's `valley`).

    Smith 2017, arXiv:1506.01186. The weights stay as they were. ValueError where the trial run gives too few points.
    """
    _set_frozen(learn, "frozen" if run.planned["frozen"] else "unfrozen")
    _seed_everything(learn, epoch_seed(run.seed, "search", 0))
    steps, model_dir = search_length(len(learn.dls.train), run.total), learn.model_dir
    try:
        with tempfile.TemporaryDirectory() as folder, learn.no_bar():
            learn.model_dir = Path(folder)   # lr_find saves the weights in it; beside the data may be read-only
            found = learn.lr_find(num_it=steps, show_plot=False).valley
    except IndexError:   # not one point to choose from
        found = math.nan
    finally:
        learn.model_dir = model_dir
    points = sum(math.isfinite(loss) for loss in learn.recorder.losses)
    if points < steps // 2:
        raise ValueError(f"no rate found: the loss was a finite number in only {points} of {steps} trial steps; look at "
                         "the data, or give a number, such as Recipe(lr=0.003)")
    return found


def _train(learn: Learner, run: _Run, phase: str, store: _Memory | _Folder, table: _Table) -> None:
    """The epochs of one phase that are still to come."""
    recipe, done = run.recipe, run.done(phase)
    _set_frozen(learn, phase)
    if done:
        learn.opt.load_state_dict(run.opt)
    learn.fit_one_cycle(run.planned[phase], rates(recipe, run.lr, phase, run.pretrained), div=recipe.div,
                        div_final=recipe.div_final, pct_start=recipe.pct_start, wd=recipe.wd,
                        cbs=_Epochs(run, phase, store, table), start_epoch=done)
    # the epochs skipped left empty rows, over which the recorder's plots would stumble
    learn.recorder.values, learn.recorder.iters = learn.recorder.values[done:], learn.recorder.iters[done:]
    if run.problem:
        raise ValueError(run.problem)


def _carry_out(learn: Learner, run: _Run, store: _Memory | _Folder, say: Callable[[str], None]) -> None:
    """Find the rate, train phase by phase, and go back to the best epoch if asked to."""
    recipe, table = run.recipe, _Table(say, run.total)
    learn.create_opt()
    learn.model.zero_grad(set_to_none=True)   # fastai's optimizer would decay frozen weights that still have a gradient
    if run.lr is None:
        found = _find_rate(learn, run)
        run.lr = min(max(found, LR_RANGE[0]), LR_RANGE[1])
        store.note(learn, run)
        say(f"lr {run.lr:.2g} found" + ("" if run.lr == found else f" ({found:.2g}, held within {LR_RANGE})"))
    for row in run.rows:
        table(row)
    for phase in PHASES:
        if run.todo(phase):
            _train(learn, run, phase, store, table)
    if stopped_early(run.rows, recipe):
        say(f"stopped early: no better {recipe.monitor} for {recipe.early_stopping} epochs")
    best = best_row(run.rows, recipe.monitor) if recipe.best_model else None
    if best is not None:
        store.load_best(learn)
        say(f"back to epoch {best + 1}, the best by {recipe.monitor} ({run.rows[best][recipe.monitor]:.4f})")


def fit(learn: Learner, recipe: Recipe = Recipe(), out: str | os.PathLike | None = None) -> pd.DataFrame:
    """Train `learn` by a recipe. Returns the table of epochs, also kept as `learn.history`.

    Columns: phase (frozen, unfrozen), epoch (from 1 through both), lr (highest in the epoch), train_loss, valid_loss, the
    metrics, seconds. `learn.recipe` is the recipe with the seed and the rate that were used; it repeats the run from the
    same first weights. The table is printed as it grows; inside `learn.no_logging()` nothing is printed. A learner that is
    in mixed precision already stays in it.

    Parameters
    ----------
    out : folder of the run, new or empty: recipe.toml, run.json (what was settled and found), history.csv and checkpoints.
        The same call with the same folder goes on after the last finished epoch, with the same rate and schedule, and gives
        the learner the weights of that epoch. Without `out` nothing is written.

    Raises
    ------
    ValueError : a recipe this learner cannot follow; no rate found; a loss that is no number; an `out` that is finished, or
        holds another recipe, another network, other data or other files.

    Examples
    --------
    >>> fit(learn, Recipe(epochs=10, freeze_epochs=5, mixup=0.2), out="runs/first")      # doctest: +SKIP
    """
    _check_learner(learn, recipe)
    say = partial(print, flush=True) if learn.logger is print else learn.logger
    store = _Memory() if out is None else _Folder(out)
    run = store.open(learn, recipe)
    if run.rows:
        say(f"going on after epoch {len(run.rows)} of {run.total} in {out}, with lr {run.lr:.2g} as before")
    skipped = recipe.freeze_epochs - run.planned["frozen"]
    if skipped:
        say(f"nothing here is pretrained, so the {skipped} frozen epoch{'s are' if skipped > 1 else ' is'} skipped")
    try:
        with _equipped(learn, recipe):
            _carry_out(learn, run, store, say)
    except KeyboardInterrupt:
        say(f"stopped in epoch {len(run.rows) + 1} of {run.total}; {store.way_on}")
        raise
    finally:
        learn.history, learn.recipe = run.table(), run.settled
    return learn.history


def read_history(out: str | os.PathLike) -> pd.DataFrame:
    """The table of epochs of the run in a folder, as `fit` returns it."""
    file = _Folder(out).history
    if not file.exists():
        raise ValueError(f"{file} does not exist; no epoch of a run is finished in {out}")
    return pd.read_csv(file, float_precision="round_trip")


def load_run(learn: Learner, out: str | os.PathLike) -> pd.DataFrame:
    """Give `learn` the weights of the run in a folder: its best where the recipe asks for it, else its last.

    Returns the table of epochs. ValueError where there is no run, or one of another network.
    """
    store = _Folder(out)
    if store.action() == "begin":
        raise ValueError(f"{out} holds no run; fit(learn, recipe, out={str(out)!r}) begins one")
    run, model = store.read(learn)
    learn.model.load_state_dict(model)
    if run.recipe.best_model and store.best.exists():
        store.load_best(learn)
    learn.history, learn.recipe = run.table(), run.settled
    return learn.history
