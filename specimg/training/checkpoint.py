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
from .identity import clip_weights, device_of, differences, network_of
from .recipe import Recipe
from .schedule import Progress

__all__ = ["InMemory", "TrainingFolder", "folder_action"]

_FACTS, _OLD_FACTS = "training.json", "run.json"  # the second is how version 0.1 called the first


def folder_action(names: set[str]) -> str:
    """What to do with a folder that holds these names: "begin", "go on" or "refuse"."""
    names = {_FACTS if name == _OLD_FACTS else name for name in names}
    if {"recipe.toml", _FACTS, "checkpoints/last.pth"} <= names:
        return "go on"
    # no more than this is left of a training that was killed before its first checkpoint
    return "begin" if names <= {"recipe.toml", _FACTS, "checkpoints"} else "refuse"


class InMemory:
    """A training without a folder: nothing is written, the best weights are kept in memory."""

    way_on = "nothing of it is on disk, with out= it could go on"

    def open(self, learn: Learner, recipe: Recipe) -> Progress:
        return Progress.new(learn, recipe)

    def note(self, learn: Learner, run: Progress) -> None:
        """Nothing is written."""

    def save(self, learn: Learner, run: Progress) -> None:
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


class TrainingFolder:
    """The folder that `fit(out=)` writes. `checkpoints/last.pth` is the source; `history.csv` repeats its table for readers."""

    def __init__(self, out: str | os.PathLike):
        self.path = Path(out)
        self.recipe_file, self.facts_file = self.path / "recipe.toml", self.path / _FACTS
        if not self.facts_file.exists() and (self.path / _OLD_FACTS).exists() and self.recipe_file.exists():
            self.facts_file = self.path / _OLD_FACTS
        self.history_file = self.path / "history.csv"
        self.last_file, self.best_file = self.path / "checkpoints/last.pth", self.path / "checkpoints/best.pth"
        self.way_on = f"call fit again with the same out= ({self.path}) to go on"

    def action(self) -> str:
        """`folder_action` of what is here; a refusal is a ValueError."""
        if not self.path.exists():
            return "begin"
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder as out=")
        names = {name for name in os.listdir(self.path) if not is_temporary(name)}
        action = folder_action(names | {"checkpoints/last.pth"} if self.last_file.exists() else names)
        if action == "refuse":
            raise ValueError(
                f"{self.path} holds {', '.join(sorted(names)[:5])}, and no training that could go on; "
                "choose a new or an empty folder as out="
            )
        return action

    def open(self, learn: Learner, recipe: Recipe) -> Progress:
        """Begin a training; or read the one that is here, and give `learn` its weights."""
        if self.action() == "begin":
            return self.begin(learn, recipe)
        there = self.recipe().to_dict() | {"clip_weights": self.facts().get("clip_weights")}
        different = differences(there, recipe.to_dict() | {"clip_weights": clip_weights(learn)})
        if different:
            raise ValueError(
                f"{self.path} holds a training by another recipe: {different}; choose a new folder as out="
            )
        run, model = self.read(learn)
        if run.finished:
            raise ValueError(
                f"the training in {self.path} is finished after {len(run.rows)} epochs: {self.history_file} is "
                f"its table, load_training(learn, {str(self.path)!r}) takes its weights; to train anew "
                "choose a new folder as out="
            )
        for file in self.last_file.parent.iterdir():
            if is_temporary(file.name):
                file.unlink()
        learn.model.load_state_dict(model)
        return run

    def begin(self, learn: Learner, recipe: Recipe) -> Progress:
        run = Progress.new(learn, recipe)
        write_atomic(self.recipe_file, recipe.to_toml().encode())
        self.note(learn, run)
        self.save(learn, run)  # the first weights are drawn by chance: one killed in its first epoch needs them again
        return run

    def recipe(self) -> Recipe:
        """The recipe as given."""
        try:
            return Recipe.from_toml(self.recipe_file)
        except ValueError as exc:
            raise ValueError(f"{self.recipe_file}: {exc}") from exc

    def facts(self) -> dict:
        """What was settled when the training began: seed, lr, pretrained, network, weights_from, clip_weights, versions."""
        try:
            return json.loads(self.facts_file.read_text(encoding="utf-8"))
        except ValueError as exc:
            raise ValueError(f"{self.facts_file}: {exc}") from exc

    def read(self, learn: Learner) -> tuple[Progress, dict]:
        """The training that is here and its last weights; ValueError unless it is one of this network and these data."""
        about = self.facts()
        different = differences(about["network"], network_of(learn))
        if different:
            raise ValueError(
                f"{self.path} holds a training of another network or other data: {different}; choose a new folder as out="
            )
        state = self.load(self.last_file, learn)
        run = Progress(self.recipe(), about["seed"], about["pretrained"], about["lr"], state["rows"], state["opt"])
        return run, state["model"]

    def note(self, learn: Learner, run: Progress) -> None:
        """Write training.json."""
        about = {
            "seed": run.seed,
            "lr": run.lr,
            "pretrained": run.pretrained,
            "network": network_of(learn),
            "weights_from": getattr(learn, "weights_from", None),
            "clip_weights": clip_weights(learn),
            "versions": {"specimg": __version__, "fastai": fastai.__version__, "torch": torch.__version__},
        }
        write_atomic(self.facts_file, json.dumps(about, indent=2, ensure_ascii=False).encode())

    def save(self, learn: Learner, run: Progress) -> None:
        """Write a checkpoint and the table."""
        opt = learn.opt.state_dict() if run.rows else None
        self.write(self.last_file, {"model": learn.model.state_dict(), "opt": opt, "rows": run.rows})
        if run.rows:
            write_atomic(self.history_file, run.table().to_csv(index=False).encode())

    def save_best(self, learn: Learner) -> None:
        self.write(self.best_file, {"model": learn.model.state_dict()})

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.load(self.best_file, learn)["model"])

    def write(self, file: Path, state: dict) -> None:
        data = io.BytesIO()
        torch.save(_plain(state), data)
        write_atomic(file, data.getvalue())

    def load(self, file: Path, learn: Learner) -> dict:
        try:
            return torch.load(file, map_location=device_of(learn), weights_only=True)
        except Exception as exc:  # torch and pickle raise a dozen kinds
            raise ValueError(f"{file} is no checkpoint that can be read: {exc}") from exc
