"""The course of a training, on plain values: its epochs, their learning rates and seeds, and when it ends.

A training has two phases, "frozen" and "unfrozen", of some epochs each. The functions decide and train nothing; `Progress` holds how
far a training has come. A row of the history is a dictionary: phase, epoch, lr, train_loss, valid_loss, the metrics, seconds.

>>> from specimg.training.schedule import peak_rates
>>> peak_rates(sp.Recipe(lr_mult=100), 0.01, "unfrozen", pretrained=True)      # half of it after frozen epochs; first to last group
slice(5e-05, 0.005, None)
"""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from fastai.vision.all import Learner

from .recipe import Recipe

# Peak learning rates, by "is it pretrained?"; chosen on held-out kits and speakers (benchmarks/transfer.py).
DEFAULT_RATE = {True: 1e-2, False: 3e-3}
PHASES = ("frozen", "unfrozen")


# ---------------------------------------------------------------- decisions


def search_length(batches: int, epochs: int) -> int:
    """Steps of the search for a learning rate: a quarter of the training's own, 40 to 100; 0 if 40 are more than half of them."""
    own = batches * epochs
    return 0 if own < 80 else max(40, min(100, own // 4))


def epoch_seed(seed: int, phase: str, epoch: int) -> int:
    """The seed of one epoch, counted from 0 within its phase, of the "search" or the "average"; neighbouring epochs are unrelated."""
    parts = ("search", *PHASES, "average")
    return int(np.random.SeedSequence((seed, parts.index(phase), epoch)).generate_state(1)[0])


def given_rate(lr: float | str, pretrained: bool) -> float | None:
    """The learning rate of a recipe as a number; None if it has yet to be found."""
    if lr == "find":
        return None
    return DEFAULT_RATE[pretrained] if lr == "default" else float(lr)


def peak_rates(recipe: Recipe, lr: float, phase: str, pretrained: bool) -> float | slice:
    """Peak learning rates of the parameter groups, as `fit_one_cycle` takes them: one for all, or a slice from first to last.

    As in fastai's `fine_tune`, a network whose head has been trained in frozen epochs continues at half the learning rate.
    """
    if not pretrained:
        return lr
    if phase == "frozen":
        return slice(lr)
    lr = lr / 2 if recipe.freeze_epochs else lr
    return slice(lr / recipe.lr_mult, lr)


def best_row(rows: list[dict], monitor: str) -> int | None:
    """Index of the best epoch, the first of equals; None if no epoch has a finite value."""
    sign = 1 if "loss" in monitor or "error" in monitor else -1
    figures = [(sign * row[monitor], i) for i, row in enumerate(rows) if row[monitor] is not None]
    return min((pair for pair in figures if not math.isnan(pair[0])), default=(None, None))[1]


def stopped_early(rows: list[dict], recipe: Recipe) -> bool:
    """Whether the last `early_stopping` unfrozen epochs brought no improvement."""
    unfrozen = [row for row in rows if row["phase"] == "unfrozen"]
    best = best_row(unfrozen, recipe.monitor)
    since = len(unfrozen) if best is None else len(unfrozen) - 1 - best
    return 0 < recipe.early_stopping <= since


def divergence(row: dict) -> str:
    """The message for an epoch whose loss is not finite, with the way out; empty if all is well."""
    for name in ("train_loss", "valid_loss"):
        if row.get(name) is not None and not math.isfinite(row[name]):
            return (
                f"{name} is {row[name]} after epoch {row['epoch']}, with lr up to {row['lr']:.2g}: the training "
                f"diverged; try Recipe(lr={row['lr'] / 10:.1g}) or Recipe(clip=1.0), with a new out="
            )
    return ""


# ---------------------------------------------------------------- how far a training has come


def typed(table: pd.DataFrame) -> pd.DataFrame:
    """A history of floats: None becomes NaN, and text the very number it was written from."""
    return table.astype({name: int if name == "epoch" else float for name in table if name != "phase"})


@dataclass
class Progress:
    """The recipe, what was settled at the start, and the finished epochs."""

    recipe: Recipe  # as given
    seed: int
    pretrained: bool
    lr: float | None  # None until it is found
    rows: list[dict] = field(default_factory=list)  # the finished epochs, a row of the history each
    opt: dict | None = None  # the optimizer's state after them, where read from a folder
    average: dict | None = None  # `WeightAverage.state` after them, where the recipe averages weights
    judged: dict | None = (
        None  # what that average scored on the validation clips in the end, and the last epoch's weights
    )
    problem: str = ""  # why it cannot go on
    processes: int = 1  # that began it, together

    @classmethod
    def new(cls, learn: Learner, recipe: Recipe, processes: int = 1) -> Progress:
        # the seed comes from the system: an earlier training may have seeded the global generators
        seed = secrets.randbelow(2**32) if recipe.seed is None else recipe.seed
        pretrained = bool(getattr(learn, "pretrained", False))
        return cls(recipe, seed, pretrained, given_rate(recipe.lr, pretrained), processes=processes)

    @property
    def planned(self) -> dict[str, int]:
        """Epochs of each phase."""
        return {"frozen": self.recipe.freeze_epochs if self.pretrained else 0, "unfrozen": self.recipe.epochs}

    @property
    def total(self) -> int:
        """Epochs of both phases."""
        return sum(self.planned.values())

    def done(self, phase: str) -> int:
        """Finished epochs of a phase."""
        return sum(row["phase"] == phase for row in self.rows)

    def todo(self, phase: str) -> int:
        """Remaining epochs of a phase."""
        over = self.done("unfrozen") if phase == "frozen" else stopped_early(self.rows, self.recipe)
        return 0 if over else self.planned[phase] - self.done(phase)

    @property
    def finished(self) -> bool:
        """Whether no epochs are left."""
        return not any(map(self.todo, PHASES))

    @property
    def settled(self) -> Recipe:
        """The recipe with the seed and the learning rate that were used."""
        return self.recipe.replace(seed=self.seed, lr=self.recipe.lr if self.lr is None else self.lr)

    def table(self) -> pd.DataFrame:
        """The history."""
        names = list(self.rows[0]) if self.rows else ["phase", "epoch", "lr", "train_loss", "valid_loss", "seconds"]
        return typed(pd.DataFrame(self.rows, columns=names))
