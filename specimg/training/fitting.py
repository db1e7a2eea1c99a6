"""Train, resume and reload: `fit` trains, `read_history` and `load_training` read a training folder.

history = fit(learn, Recipe(epochs=10), out="trained/first")     # interrupted? the same call resumes; finished? it loads what is there
read_history("trained/first")                                    # the same table, without a network
load_training(learn, "trained/first")                            # its weights in a learner of the same kind
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
from fastai.vision.all import Learner, noop

from ..core.arguments import names_arguments
from ..core.failures import explained
from ..core.progress import line_logger
from ..core.reading import read_bytes
from ..core.text import count
from ..core.wiring import provided
from .callbacks import check_learner, equipped
from .checkpoint import InMemory, TrainingFolder
from .identity import network_of, versions_of_training
from .loop import conclude, train_phases
from .ranks import Ranks, alone, together
from .recipe import Recipe
from .schedule import Progress, typed
from .tracking import Track, Tracked, as_track, followed

MOST_HISTORY = 2**22  # bytes of history.csv, which has a row for each epoch


def _keep_predictions(learn: Learner, store: TrainingFolder, log: Callable[[str], None]) -> None:
    """Predictions of the validation clips, where there are any, in the training folder."""
    if store.predictions_file.exists() or not getattr(learn.dls.valid, "n", 0):
        return
    try:
        store.save_predictions(learn)
    except ValueError as exc:  # a learner of something else than classes
        log(f"no predictions are kept: {exc}")


def _opened(
    learn: Learner,
    recipe: Recipe,
    store: InMemory | TrainingFolder,
    processes: int,
    stack: ExitStack,
    log: Callable[[str], None],
) -> Progress:
    """What is done and what is left. Until the end of `stack` nobody else trains there."""
    stack.enter_context(store.claimed())
    progress = store.open(learn, recipe, processes)
    if progress.processes != processes and not progress.finished:
        bs = getattr(learn.dls.train, "bs", None) or 1
        log(
            f"this training was begun by {progress.processes} and goes on with {processes} processes: "
            f"a step takes {bs * processes} clips now, not {bs * progress.processes}"
        )
    return progress


@names_arguments
def fit(
    learn: Learner,
    recipe: Recipe = Recipe(),
    out: str | os.PathLike | None = None,
    *,
    predictions: bool = True,
    track: str | Track | None = None,
) -> pd.DataFrame:
    """Train a learner by a recipe; the same call with the same `out` resumes after the last finished epoch.

    If none is left, nothing is trained: the weights are loaded, and the table is returned.
    The table is printed as it grows; within `learn.no_logging()` nothing is. Afterwards `learn.history` is the table and
    `learn.recipe` the recipe with the seed and the learning rate that were used: from the same initial weights it repeats the
    training. A learner that is in mixed precision already stays in it.

    Where several processes were launched (torchrun, accelerate launch), each calls it, and they train as one: `bs` clips a step in each,
    every clip once an epoch among them; the first of them writes and prints. They need the package accelerate.

    Parameters
    ----------
    learn : Learner
        As `spec_learner` makes it, or any fastai learner.
    recipe : Recipe, default Recipe()
        How to train.
    out : path, optional
        Training folder, new or empty: recipe.toml, training.json (what was drawn and found), history.csv, checkpoints/, predictions.npz.
        None writes nothing. `report`, `SpecInterpretation.from_run` and `load_classifier` take it.
    predictions : bool, default True
        With `out`, predict the validation clips once more at the end, and keep that.
    track : {"wandb", "tensorboard", "mlflow"} or Track, optional
        Who follows the training: recipe, renderer and network, a point per epoch on each curve, at the end the largest losses, the confusion
        matrix and the report. Resumed with the same `out` it stays one training there, where the library can.

    Returns
    -------
    DataFrame
        One row per epoch: phase (frozen, unfrozen), epoch (from 1 through both), lr (the highest in it), train_loss, valid_loss,
        the metrics, seconds.

    Raises
    ------
    ValueError
        The learner cannot follow the recipe, no learning rate is found, a loss is not finite, another process trains in `out`, or `out`
        holds another recipe, another network, other data, other files or a link; `track` is unknown or does not begin.
    ModuleNotFoundError
        The library that `track` names, or accelerate for several processes, is not installed.
    ConnectionError
        Another of several processes has ended: what is finished is kept, and the same command resumes.
    OSError
        The disk is full, or a process that loads data was killed: what is finished is kept, and the same call resumes.

    Examples
    --------
    >>> with learn.no_bar(), learn.no_logging():
    ...     history = sp.fit(learn, sp.Recipe(epochs=2, freeze_epochs=0, lr=1e-3, seed=0), out="trained")
    >>> history[["phase", "epoch", "lr"]]
          phase  epoch       lr
    0  unfrozen      1  0.00100
    1  unfrozen      2  0.00075
    """
    if not isinstance(learn, Learner):
        raise ValueError(f"learn is a {type(learn).__name__}; fit takes a learner, which spec_learner(dls) makes")
    if not isinstance(recipe, Recipe):
        raise ValueError(f"recipe={recipe!r} is not a Recipe; write Recipe(epochs=...)")
    check_learner(learn, recipe)
    track = as_track(track)
    with ExitStack() as stack:
        ranks = stack.enter_context(together(learn))
        log = line_logger(print if learn.logger is print else learn.logger) if ranks.is_writer else noop
        store = TrainingFolder(out) if out is not None and ranks.is_writer else InMemory()
        stack.enter_context(explained(store.name, f"finished epochs are kept, and {store.how_to_resume}"))
        ranks.check(recipe.to_dict())
        progress = ranks.first(lambda: _opened(learn, recipe, store, ranks.size, stack, log))
        ranks.same(learn.model)
        try:
            if progress.rows and progress.finished:
                ranks.first(lambda: conclude(learn, progress, store, log))
                ranks.same(learn.model)
                log(
                    f"the training in {out} is finished after {count(len(progress.rows), 'epoch')}: nothing is trained, "
                    "its weights are loaded"
                )
            else:
                _train_followed(learn, recipe, progress, store, log, track, ranks)
            if predictions and out is not None:
                ranks.first(lambda: _keep_predictions(learn, store, log))
        finally:
            learn.history, learn.recipe = progress.table(), progress.settled
    return learn.history


def _train(
    learn: Learner,
    recipe: Recipe,
    progress: Progress,
    store: InMemory | TrainingFolder,
    log: Callable[[str], None],
    tracked: Tracked,
    ranks: Ranks,
) -> None:
    """The epochs that are left."""
    if progress.rows:
        log(
            f"resuming after epoch {len(progress.rows)} of {progress.total} in {store.name}, with lr {progress.lr} as before"
        )
    skipped = recipe.freeze_epochs - progress.planned["frozen"]
    if skipped:
        log(f"nothing here is pretrained, so the {skipped} frozen epoch{'s are' if skipped > 1 else ' is'} skipped")
    try:
        with equipped(learn, recipe):
            train_phases(learn, progress, store, log, tracked, ranks)
    except KeyboardInterrupt:
        log(f"stopped after {len(progress.rows)} of {progress.total} epochs; {store.how_to_resume}")
        raise


def _about(learn: Learner, recipe: Recipe, progress: Progress) -> dict[str, Any]:
    """What a tracker is told of a training before its first epoch."""
    given, clips = getattr(learn.dls, "input", None), getattr(learn.dls, "clips", ())
    drawn = (
        {} if given is None else {"renderer": given.reader.to_dict(), "size": list(given.size), "method": given.method}
    )
    return {
        "recipe": {**recipe.to_dict(), "seed": progress.seed},
        **drawn,
        "network": network_of(learn),
        "weights_from": getattr(learn, "weights_from", None),
        "clips": {"training": getattr(learn.dls.train, "n", None), "all": len(clips)},
        "versions": versions_of_training(),
    }


def _train_followed(
    learn: Learner,
    recipe: Recipe,
    progress: Progress,
    store: InMemory | TrainingFolder,
    log: Callable[[str], None],
    track: Track | None,
    ranks: Ranks,
) -> None:
    """The epochs that are left, then what a tracker shows of the end. A training of a group leaves the report to the group."""
    place = store.path if isinstance(store, TrainingFolder) else None
    track = track if ranks.is_writer else None
    about = {} if track is None else _about(learn, recipe, progress)
    with followed(track, about, place, len(progress.rows)) as tracked, tempfile.TemporaryDirectory() as scratch:
        _train(learn, recipe, progress, store, log, tracked, ranks)
        learn.history, learn.recipe = progress.table(), progress.settled
        page = track is not None and track.group is None
        with alone(learn):
            tracked.finish(lambda: provided("training_pages")(learn, Path(scratch), page=page))


def read_history(out: str | os.PathLike) -> pd.DataFrame:
    """The table of epochs of a training folder.

    Parameters
    ----------
    out : path
        Training folder.

    Returns
    -------
    DataFrame
        As `fit` returns it.

    Raises
    ------
    ValueError
        No epoch has finished there.

    Examples
    --------
    >>> from specimg.training import read_history
    >>> with learn.no_bar(), learn.no_logging():
    ...     history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out="trained")
    >>> read_history("trained").equals(history)
    True
    """
    file = TrainingFolder(out).history_file
    if not file.is_file():
        raise ValueError(f"{file} does not exist: no training in {os.fspath(out)!r} has finished an epoch")
    try:
        return typed(pd.read_csv(BytesIO(read_bytes(file, MOST_HISTORY)), dtype=str))
    except (ValueError, OverflowError) as exc:  # what pandas raises are ValueErrors
        raise ValueError(
            f"{file} is not a table of epochs that can be read ({exc}); if the training goes on, its next epoch writes it again"
        ) from exc


def load_training(learn: Learner, out: str | os.PathLike) -> pd.DataFrame:
    """Load the weights of a training folder into a learner: the best or averaged ones where its recipe keeps them, else the last.

    Parameters
    ----------
    learn : Learner
        A learner of the same network and data.
    out : path
        Training folder.

    Returns
    -------
    DataFrame
        Its table of epochs, as `fit` returns it; also `learn.history`.

    Raises
    ------
    ValueError
        There is no training, it is damaged, or it is one of another network or other data.

    Examples
    --------
    >>> from specimg.training import load_training
    >>> with learn.no_bar(), learn.no_logging():
    ...     history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out="trained")
    >>> other = sp.spec_learner(learn.dls, "mini_resnet", pretrained=False)
    >>> load_training(other, "trained").equals(history)
    True
    """
    store = TrainingFolder(out)
    if store.action() == "begin":
        raise ValueError(f"{store.path} holds no training; fit(learn, recipe, out={str(store.path)!r}) begins one")
    progress = store.read(learn)
    store.load_weights(learn)
    learn.history, learn.recipe = progress.table(), progress.settled
    return learn.history
