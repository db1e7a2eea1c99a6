"""What people call: `fit` trains, `read_history` and `load_training` read a training folder, `fit_or_load` does whichever is needed.

history = fit(learn, Recipe(epochs=10), out="runs/first")     # killed on the way? the same call goes on
read_history("runs/first")                                    # the same table, without a network
load_training(learn, "runs/first")                                 # its weights in a learner of the same kind
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pandas as pd
from fastai.vision.all import Learner

from .callbacks import check_learner, equipped
from .checkpoint import InMemory, TrainingFolder
from .loop import carry_out
from .recipe import Recipe
from .schedule import stopped_early, typed

__all__ = ["fit", "fit_or_load", "load_training", "read_history"]


def fit(learn: Learner, recipe: Recipe = Recipe(), out: str | os.PathLike | None = None) -> pd.DataFrame:
    """Train `learn` by a recipe. Returns the table of its epochs, kept as `learn.history` too.

    Columns: phase (frozen, unfrozen), epoch (from 1 through both), lr (the highest in it), train_loss, valid_loss, the
    metrics, seconds. It is printed as it grows; within `learn.no_logging()` nothing is. `learn.recipe` is the recipe
    with the seed and the rate that were used: from the same first weights it repeats the run. A learner that is in
    mixed precision already stays in it.

    Parameters
    ----------
    out : training folder, new or empty: recipe.toml, training.json (what was drawn and found), history.csv, checkpoints/.
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
    check_learner(learn, recipe)
    say = partial(print, flush=True) if learn.logger is print else learn.logger
    store = InMemory() if out is None else TrainingFolder(out)
    run = store.open(learn, recipe)
    if run.rows:
        say(f"going on after epoch {len(run.rows)} of {run.total} in {out}, with lr {run.lr} as before")
    skipped = recipe.freeze_epochs - run.planned["frozen"]
    if skipped:
        say(f"nothing here is pretrained, so the {skipped} frozen epoch{'s are' if skipped > 1 else ' is'} skipped")
    try:
        with equipped(learn, recipe):
            carry_out(learn, run, store, say)
    except KeyboardInterrupt:
        say(f"stopped after {len(run.rows)} of {run.total} epochs; {store.way_on}")
        raise
    finally:
        learn.history, learn.recipe = run.table(), run.settled
    return learn.history


def read_history(out: str | os.PathLike) -> pd.DataFrame:
    """The table of epochs of a training folder, as `fit` returns it."""
    file = TrainingFolder(out).history_file
    if not file.is_file():
        raise ValueError(f"{file} does not exist: no training in {os.fspath(out)!r} has finished an epoch")
    return typed(pd.read_csv(file, dtype=str))


def load_training(learn: Learner, out: str | os.PathLike) -> pd.DataFrame:
    """Give `learn` the weights of a training folder: the best where its recipe asks for them, else the last.

    Returns the table of its epochs. ValueError where there is no training, or one of another network or other data.
    """
    store = TrainingFolder(out)
    if store.action() == "begin":
        raise ValueError(f"{store.path} holds no training; fit(learn, recipe, out={str(store.path)!r}) begins one")
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
            return load_training(learn, out)
    return fit(learn, recipe, out=out)
