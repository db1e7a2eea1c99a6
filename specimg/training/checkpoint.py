"""Where a training is kept: in a training folder, or in memory.

    trained/first/
      recipe.toml            the recipe as given
      training.json          what was settled at the start: seed, learning rate, network, data, versions
      history.csv            one row per epoch
      checkpoints/last.pth   weights, optimizer state and history after the last finished epoch
      checkpoints/best.pth   weights of the best epoch, where the recipe asks for them

`TrainingFolder` and `InMemory` have the same methods: `open`, `note`, `save`, `save_best`, `load_best`. Every write is atomic,
last.pth after best.pth and before history.csv, so a training can be killed at any moment. Checkpoints are read with
`weights_only=True`, so one from elsewhere runs no code. Folders of earlier versions, with run.json for training.json, are read too.
A training folder holds one network; the folder of a cross-validation, a *run*, holds one of these for every fold and seed.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import fastai
import numpy as np
import torch
from fastai.vision.all import Learner

from .. import __version__
from ..core.files import is_temporary, write_atomic
from ..core.text import count
from .identity import clip_weights, device_of, differences, network_of
from .recipe import Recipe
from .schedule import Progress

__all__ = ["InMemory", "TrainingFolder", "folder_action"]

_FACTS, _OLD_FACTS = "training.json", "run.json"  # version 0.1 used the second name


def folder_action(names: set[str]) -> str:
    """What to do with a folder that holds these names: "begin", "resume" or "refuse"."""
    names = {_FACTS if name == _OLD_FACTS else name for name in names}
    if {"recipe.toml", _FACTS, "checkpoints/last.pth"} <= names:
        return "resume"
    # no more than this is left of a training that was killed before its first checkpoint
    return "begin" if names <= {"recipe.toml", _FACTS, "checkpoints"} else "refuse"


class InMemory:
    """A training without a folder: nothing is written, the best weights are kept in memory."""

    how_to_resume = "nothing was written; with out= it could be resumed"

    def open(self, learn: Learner, recipe: Recipe) -> Progress:
        return Progress.new(learn, recipe)

    def note(self, learn: Learner, progress: Progress) -> None:
        """Write nothing."""

    def save(self, learn: Learner, progress: Progress) -> None:
        """Write nothing."""

    def save_best(self, learn: Learner) -> None:
        self.best = {name: part.detach().clone() for name, part in learn.model.state_dict().items()}

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.best)


def _plain(part: object) -> object:
    """`part` as plain tensors, numbers, lists and dictionaries, which torch loads with `weights_only=True`."""
    if isinstance(part, torch.Tensor):
        return part.detach().as_subclass(torch.Tensor)
    if isinstance(part, dict):
        return {key: _plain(value) for key, value in part.items()}
    if isinstance(part, np.generic):
        return part.item()
    return part if part is None or isinstance(part, (str, bool, int, float)) else [_plain(value) for value in part]


class TrainingFolder:
    """The folder that `fit(out=)` writes: recipe.toml, training.json, history.csv and checkpoints/.

    Parameters
    ----------
    out : path
        The folder; it need not exist yet.

    Examples
    --------
    >>> from specimg.training import TrainingFolder
    >>> with learn.no_bar(), learn.no_logging():
    ...     history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out="trained")
    >>> folder = TrainingFolder("trained")
    >>> folder.recipe()
    Recipe(epochs=1, freeze_epochs=0, lr=0.001)
    >>> folder.facts()["network"]["arch"]
    'mini_resnet'
    """

    def __init__(self, out: str | os.PathLike) -> None:
        self.path = Path(out)
        self.recipe_file, self.facts_file = self.path / "recipe.toml", self.path / _FACTS
        if not self.facts_file.exists() and (self.path / _OLD_FACTS).exists() and self.recipe_file.exists():
            self.facts_file = self.path / _OLD_FACTS
        self.history_file = self.path / "history.csv"
        self.last_file, self.best_file = self.path / "checkpoints/last.pth", self.path / "checkpoints/best.pth"
        self.how_to_resume = f"call fit again with the same out= ({self.path}) to resume"

    def action(self) -> str:
        """`folder_action` of what is here.

        Returns
        -------
        str
            "begin" or "resume".

        Raises
        ------
        ValueError
            It is a file, or a folder that holds something else.
        """
        if not self.path.exists():
            return "begin"
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder as out=")
        names = {name for name in os.listdir(self.path) if not is_temporary(name)}
        action = folder_action(names | {"checkpoints/last.pth"} if self.last_file.exists() else names)
        if action == "refuse":
            raise ValueError(
                f"{self.path} holds {', '.join(sorted(names)[:5])}, and no training; "
                "choose a new or an empty folder as out="
            )
        return action

    def open(self, learn: Learner, recipe: Recipe) -> Progress:
        """Begin a training; or read the one that is here and load its weights.

        Parameters
        ----------
        learn : Learner
            The learner to train.
        recipe : Recipe
            How to train; on resuming it must be the same.

        Returns
        -------
        Progress
            What is done and what is left.

        Raises
        ------
        ValueError
            The training is finished, or one of another recipe, network or data.
        """
        if self.action() == "begin":
            return self._begin(learn, recipe)
        there = self.recipe().to_dict() | {"clip_weights": self.facts().get("clip_weights")}
        different = differences(there, recipe.to_dict() | {"clip_weights": clip_weights(learn)})
        if different:
            raise ValueError(
                f"{self.path} holds a training with a different recipe: {different}; choose a new folder as out="
            )
        progress, model = self.read(learn)
        if progress.finished:
            raise ValueError(
                f"the training in {self.path} is finished after {count(len(progress.rows), 'epoch')}: {self.history_file} is "
                f"its table, specimg.training.load_training(learn, {str(self.path)!r}) loads its weights; to train again "
                "choose a new folder as out="
            )
        for file in self.last_file.parent.iterdir():
            if is_temporary(file.name):
                file.unlink()
        learn.model.load_state_dict(model)
        return progress

    def _begin(self, learn: Learner, recipe: Recipe) -> Progress:
        progress = Progress.new(learn, recipe)
        write_atomic(self.recipe_file, recipe.to_toml().encode())
        self.note(learn, progress)
        self.save(learn, progress)  # a training killed in its first epoch needs the random initial weights again
        return progress

    def recipe(self) -> Recipe:
        """The recipe as given.

        Returns
        -------
        Recipe
        """
        try:
            return Recipe.from_toml(self.recipe_file)
        except ValueError as exc:
            raise ValueError(f"{self.recipe_file}: {exc}") from exc

    def facts(self) -> dict:
        """What was settled when the training began.

        Returns
        -------
        dict
            seed, lr, pretrained, network, weights_from, clip_weights, versions.
        """
        try:
            return json.loads(self.facts_file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise ValueError(f"{self.facts_file}: {exc}") from exc

    def read(self, learn: Learner) -> tuple[Progress, dict]:
        """The training that is here and its last weights.

        Parameters
        ----------
        learn : Learner
            Of the same network and data.

        Returns
        -------
        tuple of Progress and dict
            What is done, and the state dict of the model.

        Raises
        ------
        ValueError
            It is a training of another network or other data, or damaged.
        """
        facts = self.facts()
        different = differences(facts["network"], network_of(learn))
        if different:
            raise ValueError(
                f"{self.path} holds a training of another network or other data: {different}; choose a new folder as out="
            )
        state = self._load(self.last_file, learn)
        progress = Progress(self.recipe(), facts["seed"], facts["pretrained"], facts["lr"], state["rows"], state["opt"])
        return progress, state["model"]

    def note(self, learn: Learner, progress: Progress) -> None:
        """Write training.json.

        Parameters
        ----------
        learn : Learner
            The learner in training.
        progress : Progress
            What was settled.
        """
        facts = {
            "seed": progress.seed,
            "lr": progress.lr,
            "pretrained": progress.pretrained,
            "network": network_of(learn),
            "weights_from": getattr(learn, "weights_from", None),
            "clip_weights": clip_weights(learn),
            "versions": {"specimg": __version__, "fastai": fastai.__version__, "torch": torch.__version__},
        }
        write_atomic(self.facts_file, json.dumps(facts, indent=2, ensure_ascii=False).encode())

    def save(self, learn: Learner, progress: Progress) -> None:
        """Write a checkpoint and the table.

        Parameters
        ----------
        learn : Learner
            The learner in training.
        progress : Progress
            The finished epochs.
        """
        opt = learn.opt.state_dict() if progress.rows else None
        self._write(self.last_file, {"model": learn.model.state_dict(), "opt": opt, "rows": progress.rows})
        if progress.rows:
            write_atomic(self.history_file, progress.table().to_csv(index=False).encode())

    def save_best(self, learn: Learner) -> None:
        """Write the weights of the best epoch.

        Parameters
        ----------
        learn : Learner
            The learner in training.
        """
        self._write(self.best_file, {"model": learn.model.state_dict()})

    def load_best(self, learn: Learner) -> None:
        """Load the weights of the best epoch.

        Parameters
        ----------
        learn : Learner
            Of the same network.
        """
        learn.model.load_state_dict(self._load(self.best_file, learn)["model"])

    def _write(self, file: Path, state: dict) -> None:
        data = io.BytesIO()
        torch.save(_plain(state), data)
        write_atomic(file, data.getvalue())

    def _load(self, file: Path, learn: Learner) -> dict:
        try:
            return torch.load(file, map_location=device_of(learn), weights_only=True)
        except Exception as exc:  # torch and pickle raise a dozen kinds
            raise ValueError(f"{file} is not a checkpoint that can be read: {exc}") from exc
