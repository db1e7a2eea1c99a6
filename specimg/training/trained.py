"""What training left on disk: which kind of folder it is, and where its predictions, its history and its weights lie.

find_training("runs/first").predictions        # of `specimg train`, of fit(out=): the path of predictions.npz
kind_of(Path("runs/r34"))                      # "run": what `cross_validate` writes, which `specimg.experiments.Run` reads
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from .checkpoint import PREDICTIONS, TrainingFolder
from .fitting import read_history


def folder_kind(names: set[str]) -> str:
    """What a folder that holds these names is: "run", "training", "trained" or "none".

    A run is written by `cross_validate`, a training folder by `fit`; "trained" is what `specimg train` writes: predictions.npz and
    classifier/, with the training folder below.

    >>> from specimg.training.trained import folder_kind
    >>> folder_kind({"recipe.toml", "training.json", "checkpoints"})
    'training'
    """
    if "run.toml" in names:
        return "run"
    if "recipe.toml" in names and names & {"training.json", "run.json"}:  # the second name is that of version 0.1
        return "training"
    return "trained" if {PREDICTIONS, "classifier"} <= names else "none"


def kind_of(folder: str | os.PathLike) -> str:
    """`folder_kind` of a folder on disk; "none" of what is no folder."""
    return folder_kind(set(os.listdir(folder))) if os.path.isdir(folder) else "none"


@dataclass(frozen=True)
class TrainedFolder:
    """One training: the folder of `fit(out=)`, alone or below that of `specimg train`.

    Parameters
    ----------
    folder : Path
        As it was named.
    training : TrainingFolder or None
        Recipe, facts, history and checkpoints; None where it was removed.
    predictions : Path or None
        Those of the validation clips; None of an unfinished training, and where nothing was held out.
    classifier : Path
        What `load_classifier` takes.
    """

    folder: Path
    training: TrainingFolder | None
    predictions: Path | None
    classifier: Path

    @property
    def history(self) -> pd.DataFrame | None:
        """The table of epochs, where one has finished."""
        known = self.training is not None and self.training.history_file.is_file()
        return read_history(self.training.path) if known else None


def find_training(folder: str | os.PathLike) -> TrainedFolder | None:
    """The training in a folder of `fit(out=)` or of `specimg train`; None where the folder is something else.

    Parameters
    ----------
    folder : str or path
        The folder.

    Returns
    -------
    TrainedFolder or None

    Examples
    --------
    >>> from specimg.training import find_training
    >>> with learn.no_bar(), learn.no_logging():
    ...     history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out="trained")
    >>> find_training("trained").predictions.name, find_training("clips")
    ('predictions.npz', None)
    """
    folder = Path(os.path.abspath(folder))
    kind = kind_of(folder)
    if kind == "training" and kind_of(folder.parent) != "trained":
        training = TrainingFolder(folder)
        there = training.predictions_file.is_file()
        return TrainedFolder(folder, training, training.predictions_file if there else None, folder)
    if kind not in ("training", "trained"):
        return None
    whole = folder if kind == "trained" else folder.parent
    below = (
        [child for child in sorted(whole.iterdir()) if kind_of(child) == "training"] if kind == "trained" else [folder]
    )
    training = TrainingFolder(below[0]) if below else None
    return TrainedFolder(folder, training, whole / PREDICTIONS, whole / "classifier")
