"""A recipe says how a network is trained; `fit` trains it so, and goes on where it was stopped.

First only the head of a pretrained network learns (the frozen epochs), then the whole network does, its early layers
more slowly than the late ones. Both phases follow the one-cycle policy: the rate rises to a peak and falls to almost
nothing. The peak is a number, or found by a short trial run in which the rate grows until the loss does (`lr="find"`).

With `out` a run lives in a folder: the recipe, the table of its epochs, its weights after every epoch. Each epoch draws
its chances (shuffling, augmentation, mixup, dropout) from a seed of its own, made of the run's seed and its own number.
So no generator has to be saved, and on a CPU a run that was killed ends in the very weights of one that was not.

>>> from specimg.recipe import Recipe
>>> Recipe(epochs=10, freeze_epochs=5).replace(lr=0.003).lr
0.003
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import random
import secrets
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import fastai
import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    Callback, CancelFitException, GradientClip, Learner, MixedPrecision, MixUp, SuggestionMethod, find_bs, in_notebook,
    set_seed,
)

from . import __version__
from .files import is_leftover, write_whole
from .losses import ClipWeights, Loss, LossFunction, is_multi_loss
from .values import Value, choose, register

__all__ = ["Recipe", "fit", "fit_or_load", "load_run", "read_history"]

PHASES = ("frozen", "unfrozen")
SEARCHED = (1e-5, 1.0)   # rates tried: smaller ones teach nothing in a few epochs, and pull fastai's suggestions down
KEPT = (1e-5, 3e-2)      # rates taken: one outside was suggested by noise, of a loss that never rose or never fell


@register
@dataclass(frozen=True)
class Recipe(Value):
    """How a network is trained. `lr_mult`, `pct_start`, `div` and `div_final` are fastai's, and mean the same."""

    epochs: int = 5                # epochs in which the whole network learns
    freeze_epochs: int = 1         # epochs before them in which only the head learns; skipped if nothing is pretrained
    lr: float | str = "find"       # peak rate of the head; "find" looks for it
    lr_mult: float = 100.0         # a pretrained body's earliest layers learn at lr / lr_mult; from scratch all at lr
    pct_start: float = 0.25        # share of a phase in which the rate rises
    div: float = 25.0              # the rate starts at lr / div
    div_final: float = 1e5         # and ends at lr / div_final
    wd: float | None = None        # weight decay; None is the learner's own
    mixup: float = 0.0             # alpha of the Beta distribution by which two clips are blended; 0 is off
    label_smoothing: float = 0.0   # share of the target given to all classes alike, in training only; 0 is off
    loss: Loss | None = None       # Lq or SoftBootstrap in training only, where labels are partly wrong; None is the learner's
    clip: float | None = None      # largest norm of the gradient; None is off
    early_stopping: int = 0        # unfrozen epochs without a better `monitor` before the run ends; 0 is off
    best_model: bool = False       # go back to the epoch with the best `monitor` at the end
    monitor: str = "valid_loss"    # column of the history; a loss or an error should fall, anything else rise
    precision: str = "auto"        # full: float32; half: float16 where that is safe; auto: half on CUDA, else full
    seed: int | None = None        # of all chance in training; None draws one, and the run notes it

    def _check(self) -> None:
        choose(self.precision, ("auto", "full", "half"), "precision")
        is_rate = self.lr == "find" if isinstance(self.lr, str) else 0 < self.lr <= 10
        rules = {
            "epochs": (self.epochs >= 0, "0 or more"),
            "freeze_epochs": (self.freeze_epochs >= 0, "0 or more"),
            "lr": (is_rate, "'find', or a number above 0 and up to 10"),
            "lr_mult": (self.lr_mult >= 1, "1 or more"),
            "pct_start": (0 < self.pct_start < 1, "between 0 and 1"),
            "div": (self.div >= 1, "1 or more"),
            "div_final": (self.div_final >= 1, "1 or more"),
            "wd": (self.wd is None or self.wd >= 0, "0 or more, or None"),
            "mixup": (self.mixup >= 0, "0 (off) or more"),
            "label_smoothing": (0 <= self.label_smoothing < 1, "0 (off) or more, and below 1"),
            "clip": (self.clip is None or self.clip > 0, "above 0, or None (off)"),
            "early_stopping": (self.early_stopping >= 0, "0 (off) or more"),
            "seed": (self.seed is None or 0 <= self.seed < 2**32, "from 0 to 2**32 - 1, or None"),
        }
        for name, (kept, rule) in rules.items():
            if not kept:
                raise ValueError(f"Recipe({name}={getattr(self, name)!r}): it must be {rule}")
        if self.epochs + self.freeze_epochs == 0:
            raise ValueError("Recipe(epochs=0, freeze_epochs=0) trains nothing; give one epoch or more")
        if self.loss is not None and self.label_smoothing:
            raise ValueError(f"Recipe(loss={self.loss}, label_smoothing={self.label_smoothing:g}): each is an answer to wrong labels; "
                             "set label_smoothing=0, or leave out loss")


# ---------------------------------------------------------------- decisions, on plain values
def search_length(batches: int, epochs: int) -> int:
    """Steps of the search for a rate: a quarter of the run's own, but 40 at least and 100 at most."""
    return max(40, min(100, batches * epochs // 4))


def epoch_seed(seed: int, phase: str, epoch: int) -> int:
    """The seed of one epoch, counted from 0 within its phase, or of the search; neighbours have nothing in common."""
    return int(np.random.SeedSequence((seed, ("search", *PHASES).index(phase), epoch)).generate_state(1)[0])


def mixed_precision(precision: str, device: str) -> bool:
    """Does a run on this type of device use float16? ValueError where that was asked for and cannot be."""
    if precision == "half" and device != "cuda":   # fastai would train in float32 without a word
        raise ValueError(f"precision 'half' needs a CUDA device, and this is {device}; choose auto or full")
    return device == "cuda" and precision != "full"


def peak_rates(recipe: Recipe, lr: float, phase: str, pretrained: bool) -> float | slice:
    """Peak rates of the parameter groups, as `fit_one_cycle` takes them: one for all, or a slice from first to last.

    As in fastai's `fine_tune`, a network whose head has learnt in frozen epochs goes on at half the rate.
    """
    if not pretrained:
        return lr
    if phase == "frozen":
        return slice(lr)
    lr = lr / 2 if recipe.freeze_epochs else lr
    return slice(lr / recipe.lr_mult, lr)


def best_row(rows: list[dict], monitor: str) -> int | None:
    """Index of the best epoch, the first of equals; None where none has a figure."""
    sign = 1 if "loss" in monitor or "error" in monitor else -1
    figures = [(sign * row[monitor], i) for i, row in enumerate(rows) if row[monitor] is not None]
    return min((pair for pair in figures if not math.isnan(pair[0])), default=(None, None))[1]


def stopped_early(rows: list[dict], recipe: Recipe) -> bool:
    """Have the last `early_stopping` unfrozen epochs brought nothing better?"""
    unfrozen = [row for row in rows if row["phase"] == "unfrozen"]
    best = best_row(unfrozen, recipe.monitor)
    since = len(unfrozen) if best is None else len(unfrozen) - 1 - best
    return 0 < recipe.early_stopping <= since


def divergence(row: dict) -> str:
    """What is wrong with an epoch whose loss is no finite number, and the way out; empty where all is well."""
    for name in ("train_loss", "valid_loss"):
        if row.get(name) is not None and not math.isfinite(row[name]):
            return (f"{name} is {row[name]} after epoch {row['epoch']}, with lr up to {row['lr']:.2g}: the training "
                    f"diverged; try Recipe(lr={row['lr'] / 10:.1g}) or Recipe(clip=1.0), with a new out=")
    return ""


def folder_action(names: set[str]) -> str:
    """What to do with a folder that holds these names: "begin", "go on" or "refuse"."""
    if {"recipe.toml", "run.json", "checkpoints/last.pth"} <= names:
        return "go on"
    # no more than this is left of a run that was killed before its first checkpoint
    return "begin" if names <= {"recipe.toml", "run.json", "checkpoints"} else "refuse"


def differences(there: dict, here: dict) -> str:
    """The entries in which two dictionaries differ, in words; empty where they are equal."""
    def short(part) -> str:
        return text if len(text := repr(part)) <= 60 else f"{text[:57]}..."

    return "; ".join(f"{name} is {short(there.get(name))} there and {short(here.get(name))} here"
                     for name in there | here if there.get(name) != here.get(name))


# ---------------------------------------------------------------- one run
def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """A history whose figures are floats: None is nan, and text becomes the very number it was written from."""
    return table.astype({name: int if name == "epoch" else float for name in table if name != "phase"})


@dataclass
class _Run:
    """What was asked for, what was settled when the run began, and what it has done."""

    recipe: Recipe                                   # as asked for
    seed: int
    pretrained: bool
    lr: float | None                                 # None until it is found
    rows: list[dict] = field(default_factory=list)   # the finished epochs, a row of the history each
    opt: dict | None = None                          # the optimizer's state after them, where a folder held it
    problem: str = ""                                # why it cannot go on

    @classmethod
    def new(cls, learn: Learner, recipe: Recipe) -> _Run:
        # the seed comes from the system: the global generators may stand where a run before this one put them
        seed = secrets.randbelow(2**32) if recipe.seed is None else recipe.seed
        return cls(recipe, seed, bool(getattr(learn, "pretrained", False)), None if recipe.lr == "find" else recipe.lr)

    @property
    def planned(self) -> dict[str, int]:
        """Epochs of each phase."""
        return {"frozen": self.recipe.freeze_epochs if self.pretrained else 0, "unfrozen": self.recipe.epochs}

    @property
    def total(self) -> int:
        return sum(self.planned.values())

    def done(self, phase: str) -> int:
        """Finished epochs of a phase."""
        return sum(row["phase"] == phase for row in self.rows)

    def todo(self, phase: str) -> int:
        """Epochs of a phase still to come."""
        over = self.done("unfrozen") if phase == "frozen" else stopped_early(self.rows, self.recipe)
        return 0 if over else self.planned[phase] - self.done(phase)

    @property
    def finished(self) -> bool:
        return not any(map(self.todo, PHASES))

    @property
    def settled(self) -> Recipe:
        """The recipe with the seed and the rate that were used."""
        return self.recipe.replace(seed=self.seed, lr=self.recipe.lr if self.lr is None else self.lr)

    def table(self) -> pd.DataFrame:
        names = list(self.rows[0]) if self.rows else ["phase", "epoch", "lr", "train_loss", "valid_loss", "seconds"]
        return _typed(pd.DataFrame(self.rows, columns=names))


def _device(learn: Learner) -> torch.device:
    device = getattr(learn.dls, "device", None)   # may have been given as text
    return next(learn.model.parameters()).device if device is None else torch.device(device)


def _pictures(learn: Learner) -> dict:
    """What SpecDataLoaders show the network: how clips are drawn and fitted, and which clip carries which label on which side."""
    facts, clips = getattr(learn.dls, "facts", None), getattr(learn.dls, "clips", None)
    if facts is None or clips is None:
        return {}
    names = [name for name in ("path", "start", "end", "label", "is_valid") if name in clips]
    drawn = facts.renderer or getattr(facts, "audio", None)   # waveforms are read, not drawn
    table = clips[names].astype(str).sort_values(names).to_csv(index=False)
    return {
        "renderer": None if drawn is None else drawn.key,
        "size": list(facts.size),
        "method": facts.method,
        "clips": hashlib.blake2b(table.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
    }


def _network(learn: Learner) -> dict:
    """What a learner must have in common with the run it goes on with."""
    arch, vocab = getattr(learn, "arch", type(learn.model)), getattr(learn.dls, "vocab", None)
    return {
        "arch": getattr(arch, "__name__", str(arch)),
        "parameters": sum(p.numel() for p in learn.model.parameters()),
        "classes": getattr(learn.dls, "c", None) if vocab is None else [str(label) for label in vocab],
        "training_items": getattr(learn.dls.train, "n", None),
        **_pictures(learn),
    }


def _clip_weights(learn: Learner) -> str | None:
    """Which weights of clips the learner trains with."""
    return "+".join(cb.key for cb in learn.cbs if isinstance(cb, ClipWeights)) or None


# ---------------------------------------------------------------- where a run is kept
class _Memory:
    """A run without a folder: nothing is written, the best weights are kept in memory."""

    way_on = "nothing of it is on disk, with out= it could go on"

    def open(self, learn: Learner, recipe: Recipe) -> _Run:
        return _Run.new(learn, recipe)

    def note(self, learn: Learner, run: _Run) -> None:
        """Nothing is written."""

    def save(self, learn: Learner, run: _Run) -> None:
        """Nothing is written."""

    def save_best(self, learn: Learner) -> None:
        self.best = {name: part.detach().clone() for name, part in learn.model.state_dict().items()}

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.best)


def _plain(part):
    """`part` in plain tensors, numbers, lists and dictionaries: all that torch loads with `weights_only=True`."""
    if isinstance(part, torch.Tensor):
        return part.detach().as_subclass(torch.Tensor)
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, np.generic):
        return part.item()
    return part if part is None or isinstance(part, (str, bool, int, float)) else [_plain(value) for value in part]


class _Folder:
    """A run in a folder. `checkpoints/last.pth` is the truth; `history.csv` is its table, written out to be read."""

    def __init__(self, out: str | os.PathLike):
        self.path = Path(out)
        self.recipe_file, self.about_file = self.path / "recipe.toml", self.path / "run.json"
        self.history_file = self.path / "history.csv"
        self.last_file, self.best_file = self.path / "checkpoints/last.pth", self.path / "checkpoints/best.pth"
        self.way_on = f"call fit again with the same out= ({self.path}) to go on"

    def action(self) -> str:
        """`folder_action` of what is here; a refusal is a ValueError."""
        if not self.path.exists():
            return "begin"
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder as out=")
        names = {name for name in os.listdir(self.path) if not is_leftover(name)}
        action = folder_action(names | {"checkpoints/last.pth"} if self.last_file.exists() else names)
        if action == "refuse":
            raise ValueError(f"{self.path} holds {', '.join(sorted(names)[:5])}, and no run that could go on; "
                             "choose a new or an empty folder as out=")
        return action

    def open(self, learn: Learner, recipe: Recipe) -> _Run:
        """Begin a run; or read the one that is here, and give `learn` its weights."""
        if self.action() == "begin":
            return self.begin(learn, recipe)
        there = self.asked().to_dict() | {"clip_weights": self.about().get("clip_weights")}
        different = differences(there, recipe.to_dict() | {"clip_weights": _clip_weights(learn)})
        if different:
            raise ValueError(f"{self.path} holds a run by another recipe: {different}; choose a new folder as out=")
        run, model = self.read(learn)
        if run.finished:
            raise ValueError(f"the run in {self.path} is finished after {len(run.rows)} epochs: {self.history_file} is "
                             f"its table, load_run(learn, {str(self.path)!r}) takes its weights; to train anew "
                             "choose a new folder as out=")
        for file in self.last_file.parent.iterdir():
            if is_leftover(file.name):
                file.unlink()
        learn.model.load_state_dict(model)
        return run

    def begin(self, learn: Learner, recipe: Recipe) -> _Run:
        run = _Run.new(learn, recipe)
        write_whole(self.recipe_file, recipe.to_toml().encode())
        self.note(learn, run)
        self.save(learn, run)   # the first weights are drawn by chance: one killed in its first epoch needs them again
        return run

    def asked(self) -> Recipe:
        """The recipe of the run that is here."""
        try:
            return Recipe.from_toml(self.recipe_file)
        except ValueError as exc:
            raise ValueError(f"{self.recipe_file}: {exc}") from exc

    def about(self) -> dict:
        """What was settled when the run that is here began."""
        try:
            return json.loads(self.about_file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise ValueError(f"{self.about_file}: {exc}") from exc

    def read(self, learn: Learner) -> tuple[_Run, dict]:
        """The run that is here and its last weights; ValueError unless it is one of this network and these data."""
        about = self.about()
        different = differences(about["network"], _network(learn))
        if different:
            raise ValueError(f"{self.path} holds a run of another network or other data: {different}; "
                             "choose a new folder as out=")
        state = self.load(self.last_file, learn)
        run = _Run(self.asked(), about["seed"], about["pretrained"], about["lr"], state["rows"], state["opt"])
        return run, state["model"]

    def note(self, learn: Learner, run: _Run) -> None:
        """Write down what is settled."""
        about = {"seed": run.seed, "lr": run.lr, "pretrained": run.pretrained, "network": _network(learn),
                 "weights_from": getattr(learn, "weights_from", None), "clip_weights": _clip_weights(learn),
                 "versions": {"specimg": __version__, "fastai": fastai.__version__, "torch": torch.__version__}}
        write_whole(self.about_file, json.dumps(about, indent=2, ensure_ascii=False).encode())

    def save(self, learn: Learner, run: _Run) -> None:
        """Write down where the run stands."""
        opt = learn.opt.state_dict() if run.rows else None
        self.write(self.last_file, {"model": learn.model.state_dict(), "opt": opt, "rows": run.rows})
        if run.rows:
            write_whole(self.history_file, run.table().to_csv(index=False).encode())

    def save_best(self, learn: Learner) -> None:
        self.write(self.best_file, {"model": learn.model.state_dict()})

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.load(self.best_file, learn)["model"])

    def write(self, file: Path, state: dict) -> None:
        data = io.BytesIO()
        torch.save(_plain(state), data)
        write_whole(file, data.getvalue())

    def load(self, file: Path, learn: Learner) -> dict:
        try:
            return torch.load(file, map_location=_device(learn), weights_only=True)
        except Exception as exc:   # torch and pickle raise a dozen kinds
            raise ValueError(f"{file} is no checkpoint that can be read: {exc}") from exc


# ---------------------------------------------------------------- what is hung into fastai's training loop
def _cross_entropy(loss_func) -> torch.nn.CrossEntropyLoss | None:
    """The cross entropy inside a loss of fastai or torch, where it is one."""
    loss = getattr(loss_func, "func", loss_func)
    return loss if isinstance(loss, torch.nn.CrossEntropyLoss) else None


class _LabelSmoothing(Callback):
    """Smooths the targets in training. The validation loss stays as it is, so that recipes can be compared by it."""

    def __init__(self, cross_entropy: torch.nn.CrossEntropyLoss, share: float):
        self.cross_entropy, self.share, self.usual = cross_entropy, share, cross_entropy.label_smoothing

    def before_train(self):
        self.cross_entropy.label_smoothing = self.share

    def before_validate(self):
        self.cross_entropy.label_smoothing = self.usual


class _TrainingLoss(Callback):
    """Another loss in training. Validation keeps the learner's own, so that recipes can be compared by it."""

    order = -1   # before MixUp, which wraps the loss that it finds when training begins

    def __init__(self, other: LossFunction, usual: Callable):
        self.other, self.usual = other, usual

    def before_train(self):
        self.learn.loss_func = self.other

    def before_validate(self):   # not after_train: there MixUp puts back, later, what it found
        self.learn.loss_func = self.usual


@contextmanager
def _equipped(learn: Learner, recipe: Recipe) -> Iterator[None]:
    """`learn` with the recipe's callbacks and without fastai's table; then as before, however the training ended."""
    half = mixed_precision(recipe.precision, _device(learn).type) and not hasattr(learn, "mixed_precision")
    loss_func, cross_entropy = learn.loss_func, _cross_entropy(learn.loss_func)
    usual = cross_entropy.label_smoothing if cross_entropy else 0.0
    cbs = [MixedPrecision()] if half else []
    cbs += [_TrainingLoss(recipe.loss.function(is_multi_loss(loss_func)), loss_func)] if recipe.loss else []
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
        finally:   # a batch that fails leaves the loss of training or MixUp's, the smoothing and autocast switched on
            learn.loss_func = loss_func
            if cross_entropy:
                cross_entropy.label_smoothing = usual
            if half and torch.is_autocast_enabled():
                cbs[0].autocast.__exit__(None, None, None)


def _seed_everything(learn: Learner, seed: int) -> None:
    set_seed(seed, reproducible=True)
    for dl in learn.dls.loaders:
        if hasattr(dl, "rng"):   # fastai's DataLoader shuffles with a generator of its own
            dl.rng = random.Random(seed)


class _Table:
    """Prints epochs as lines under one heading: plain text, which reads the same in a notebook and in a log."""

    def __init__(self, say: Callable[[str], None], total: int):
        self.say, self.total, self.headed = say, total, False

    def add(self, row: dict) -> None:
        cells = {name: "" if figure is None else f"{figure:.4f}" for name, figure in row.items() if name != "phase"}
        cells |= {"phase": row["phase"], "epoch": f"{row['epoch']}/{self.total}", "lr": f"{row['lr']:.1e}",
                  "seconds": f"{row['seconds']:.1f}"}
        for texts in [cells] if self.headed else [dict(zip(row, row)), cells]:
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

    def measured(self) -> dict:
        """The row of the epoch just over. Its training loss is the mean over the epoch; fastai's lags far behind."""
        names = list(self.recorder.metric_names)[1:]   # the first is epoch; the last, time, has no figure
        figures = {name: None if x is None else float(x) for name, x in zip(names, self.learn.final_record)}
        figures["train_loss"] = self.loss_sum / self.seen
        return {"phase": self.phase, "epoch": len(self.this_run.rows) + 1, "lr": self.peak, **figures,
                "seconds": round(time.perf_counter() - self.began, 3)}

    def after_epoch(self):
        if self.epoch < self.skip:
            return
        run, row = self.this_run, self.measured()
        run.problem = divergence(row)
        if run.problem:
            raise CancelFitException
        run.rows.append(row)
        if run.recipe.best_model and best_row(run.rows, run.recipe.monitor) == len(run.rows) - 1:
            self.store.save_best(self.learn)   # first: an epoch that counts as done has left its weights
        self.store.save(self.learn, run)
        self.table.add(row)
        if stopped_early(run.rows, run.recipe):
            raise CancelFitException


# ---------------------------------------------------------------- training
def _check_loss(usual: Callable, loss: Loss) -> None:
    """ValueError where `loss` cannot take the place of the learner's own in training."""
    if is_multi_loss(usual) is None:
        raise ValueError(f"loss={loss} takes the place of a cross entropy, of softmax or of sigmoids, and the loss is {usual}; "
                         "set it to None")
    inner = getattr(usual, "func", usual)
    lost = [name for name in ("weight", "pos_weight") if getattr(inner, name, None) is not None]
    lost += ["label_smoothing"] if getattr(inner, "label_smoothing", 0) else []
    if lost:
        raise ValueError(f"loss={loss} would do without the {' and '.join(lost)} of the learner's loss; give the learner one without, "
                         "or set it to None; classes can be evened out by drawing clips: balance=True of SpecDataLoaders")


def _check_learner(learn: Learner, recipe: Recipe) -> None:
    """ValueError where the recipe cannot be followed with this learner."""
    train, loss = learn.dls.train, learn.loss_func
    if len(train) == 0:
        raise ValueError(f"the training set of {getattr(train, 'n', 0)} items does not fill one batch of "
                         f"{getattr(train, 'bs', None)}; set a smaller `bs`")
    if recipe.epochs == 0 and not getattr(learn, "pretrained", False):
        raise ValueError("Recipe(epochs=0) trains only the head of a pretrained network, and nothing here is "
                         "pretrained; give epochs=1 or more")
    choose(recipe.monitor, ["train_loss", "valid_loss", *(metric.name for metric in learn.metrics)], "monitor")
    mixed_precision(recipe.precision, _device(learn).type)
    if recipe.label_smoothing and not _cross_entropy(loss):
        raise ValueError(f"label_smoothing={recipe.label_smoothing} needs a cross entropy, and the loss is {loss}; "
                         "set it to 0")
    if recipe.loss is not None:
        _check_loss(loss, recipe.loss)
    if recipe.mixup and recipe.loss is None and isinstance(loss, torch.nn.CrossEntropyLoss):
        raise ValueError(f"mixup={recipe.mixup} needs a loss that fastai can blend, torch's CrossEntropyLoss is none; "
                         "give the learner fastai's CrossEntropyLossFlat")
    for cb in learn.cbs:
        if isinstance(cb, ClipWeights):
            cb.check(learn, bool(recipe.mixup))


def _set_frozen(learn: Learner, phase: str) -> None:
    """Freeze the body, or nothing. The optimizer forgets its moments, so both phases begin alike after a resume."""
    if phase == "unfrozen":
        learn.unfreeze()
    elif len(learn.opt.param_lists) > 1:
        learn.freeze()
    else:
        raise ValueError("the learner has a single parameter group, so no body can be frozen; give it a splitter, or "
                         "the recipe freeze_epochs=0")


def _find_rate(learn: Learner, run: _Run) -> float:
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
            learn.model_dir = Path(folder)   # lr_find saves the weights in it, and beside the data may be read-only
            [found] = learn.lr_find(*SEARCHED, num_it=steps, show_plot=False, suggest_funcs=suggest)
    except IndexError:   # not one loss to choose from
        found = math.nan
    finally:
        learn.model_dir = model_dir
    losses = [float(loss) for loss in learn.recorder.losses if math.isfinite(loss)]
    if len(losses) < steps // 2:
        raise ValueError(f"no rate found: the trial run gave a finite loss in {len(losses)} of {steps} steps only; "
                         "look at the data, or give a number, such as Recipe(lr=0.003)")
    return float(f"{found:.2g}")   # the figure that is printed is the one that is used


def _train(learn: Learner, run: _Run, phase: str, store: _Memory | _Folder, table: _Table) -> None:
    """The epochs of one phase that are still to come."""
    recipe, done = run.recipe, run.done(phase)
    _set_frozen(learn, phase)
    if done:
        learn.opt.load_state_dict(run.opt)
    learn.fit_one_cycle(run.planned[phase], peak_rates(recipe, run.lr, phase, run.pretrained), div=recipe.div,
                        div_final=recipe.div_final, pct_start=recipe.pct_start, wd=recipe.wd,
                        cbs=_Epochs(run, phase, store, table), start_epoch=done)
    # epochs that were skipped left empty rows, over which the recorder's plots would stumble
    learn.recorder.values, learn.recorder.iters = learn.recorder.values[done:], learn.recorder.iters[done:]
    if run.problem:
        raise ValueError(run.problem)


def _carry_out(learn: Learner, run: _Run, store: _Memory | _Folder, say: Callable[[str], None]) -> None:
    """Find the rate, train phase by phase, and go back to the best epoch where that is asked for."""
    recipe, table = run.recipe, _Table(say, run.total)
    learn.create_opt()
    learn.model.zero_grad(set_to_none=True)   # fastai's optimizer would decay frozen weights that still have gradients
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


def fit(learn: Learner, recipe: Recipe = Recipe(), out: str | os.PathLike | None = None) -> pd.DataFrame:
    """Train `learn` by a recipe. Returns the table of its epochs, kept as `learn.history` too.

    Columns: phase (frozen, unfrozen), epoch (from 1 through both), lr (the highest in it), train_loss, valid_loss, the
    metrics, seconds. It is printed as it grows; within `learn.no_logging()` nothing is. `learn.recipe` is the recipe
    with the seed and the rate that were used: from the same first weights it repeats the run. A learner that is in
    mixed precision already stays in it.

    Parameters
    ----------
    out : folder of the run, new or empty: recipe.toml, run.json (what was drawn and found), history.csv, checkpoints/.
        The same call goes on after the last finished epoch, with its weights, the same rate and schedule. Without
        `out` nothing is written.

    Raises ValueError where this learner cannot follow the recipe, no rate is found, a loss is no finite number, or
    `out` is finished or holds another recipe, another network, other data or other files.

    Examples
    --------
    >>> fit(learn, Recipe(epochs=10, freeze_epochs=5, mixup=0.2), out="runs/first")      # doctest: +SKIP
    """
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe={recipe!r} is no Recipe; write Recipe(epochs=...)")
    _check_learner(learn, recipe)
    say = partial(print, flush=True) if learn.logger is print else learn.logger
    store = _Memory() if out is None else _Folder(out)
    run = store.open(learn, recipe)
    if run.rows:
        say(f"going on after epoch {len(run.rows)} of {run.total} in {out}, with lr {run.lr} as before")
    skipped = recipe.freeze_epochs - run.planned["frozen"]
    if skipped:
        say(f"nothing here is pretrained, so the {skipped} frozen epoch{'s are' if skipped > 1 else ' is'} skipped")
    try:
        with _equipped(learn, recipe):
            _carry_out(learn, run, store, say)
    except KeyboardInterrupt:
        say(f"stopped after {len(run.rows)} of {run.total} epochs; {store.way_on}")
        raise
    finally:
        learn.history, learn.recipe = run.table(), run.settled
    return learn.history


def read_history(out: str | os.PathLike) -> pd.DataFrame:
    """The table of epochs of the run in a folder, as `fit` returns it."""
    file = _Folder(out).history_file
    if not file.is_file():
        raise ValueError(f"{file} does not exist: no run in {os.fspath(out)!r} has finished an epoch")
    return _typed(pd.read_csv(file, dtype=str))


def load_run(learn: Learner, out: str | os.PathLike) -> pd.DataFrame:
    """Give `learn` the weights of the run in a folder: the best where its recipe asks for them, else the last.

    Returns the table of its epochs. ValueError where there is no run, or one of another network or other data.
    """
    store = _Folder(out)
    if store.action() == "begin":
        raise ValueError(f"{store.path} holds no run; fit(learn, recipe, out={str(store.path)!r}) begins one")
    run, model = store.read(learn)
    learn.model.load_state_dict(model)
    if run.recipe.best_model and store.best_file.exists():
        store.load_best(learn)
    learn.history, learn.recipe = run.table(), run.settled
    return learn.history


def fit_or_load(learn: Learner, recipe: Recipe, out: str | os.PathLike) -> pd.DataFrame:
    """`fit` in the folder `out`; where this recipe has run to its end there, its weights are taken instead."""
    out = Path(out)
    if (out / "history.csv").exists() and Recipe.from_toml(out / "recipe.toml") == recipe:
        rows = read_history(out).to_dict("records")
        planned = recipe.epochs + (recipe.freeze_epochs if learn.pretrained else 0)
        if len(rows) >= planned or stopped_early(rows, recipe):
            return load_run(learn, out)
    return fit(learn, recipe, out=out)
