"""Where a training is kept: in a training folder, or in memory.

    trained/first/
      recipe.toml            the recipe as given
      training.json          what was settled at the start: seed, learning rate, network, data, versions; and how recordings are drawn
      history.csv            one row per epoch
      checkpoints/last.pth   weights, optimizer state and history after the last finished epoch; averaged weights where the recipe asks for them
      checkpoints/best.pth   weights of the best epoch, where the recipe asks for them
      predictions.npz        of the validation clips, when it is finished

`TrainingFolder` and `InMemory` have the same methods: `claimed`, `open`, `note`, `save`, `save_best`,
`save_average`, `load_best`, `load_optimizer`. Every write is atomic,
last.pth after best.pth and before history.csv, so a training can be killed at any moment. A lock (`core.locks`), a file that is gone
afterwards, keeps a second process out. Checkpoints are read with `weights_only=True`, so one from elsewhere runs no code; what it holds is checked entry by
entry, and a folder that holds links is refused. Folders of earlier versions, with run.json for training.json, are read too.
A training folder holds one network; the folder of a cross-validation, a *run*, holds one of these for every fold and seed.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision.all import Learner
from timm.utils import unwrap_model

from ..core.files import is_temporary, refuse_links, write_atomic
from ..core.locks import locked
from ..core.reading import is_number, read_json, refuse_packed
from .identity import classifier_of, clip_weights, device_of, differences, network_of, versions_of_training
from .predict import predict_all
from .recipe import Recipe
from .schedule import PHASES, Progress

PREDICTIONS = "predictions.npz"  # of validation clips, in training folders and in that of `specimg train`
_FACTS, _OLD_FACTS = "training.json", "run.json"  # version 0.1 used the second name
_LOCK = "lock"
_MOST_FACTS = 2**24  # bytes of training.json, which lists the classes


def folder_action(names: set[str]) -> str:
    """What to do with a folder that holds these names: "begin", "resume" or "refuse"."""
    names = {_FACTS if name == _OLD_FACTS else name for name in names} - {_LOCK}
    if {"recipe.toml", _FACTS, "checkpoints/last.pth"} <= names:
        return "resume"
    # no more than this is left of a training that was killed before its first checkpoint
    return "begin" if names <= {"recipe.toml", _FACTS, "checkpoints"} else "refuse"


def _weights(learn: Learner) -> dict[str, torch.Tensor]:
    """Of the network itself, without the wrapper that it has while several processes train it."""
    return unwrap_model(learn.model).state_dict()


def _answering(learn: Learner, progress: Progress) -> dict[str, torch.Tensor]:
    """The weights that this epoch was validated with."""
    return progress.average["model"] if progress.recipe.ema and progress.average else _weights(learn)


class InMemory:
    """A training without a folder: nothing is written, the best weights are kept in memory."""

    name = "memory"
    how_to_resume = "nothing was written; with out= it could be resumed"

    def claimed(self) -> nullcontext:
        """Nobody else trains here."""
        return nullcontext()

    def open(self, learn: Learner, recipe: Recipe, processes: int = 1) -> Progress:
        return Progress.new(learn, recipe, processes)

    def note(self, learn: Learner, progress: Progress) -> None:
        """Write nothing."""

    def save(self, learn: Learner, progress: Progress) -> None:
        """Write nothing."""

    def save_best(self, learn: Learner, progress: Progress) -> None:
        self.best = {name: part.detach().clone() for name, part in _answering(learn, progress).items()}

    def save_average(self, progress: Progress) -> None:
        """Write nothing."""

    def load_best(self, learn: Learner) -> None:
        learn.model.load_state_dict(self.best)

    def load_optimizer(self, learn: Learner, progress: Progress) -> None:
        """In a process beside the one that has the folder."""
        learn.opt.load_state_dict(progress.opt)


# ---------------------------------------------------------------------- what a file must hold


def _is_text_or_none(part: object) -> bool:
    return part is None or isinstance(part, str)


_FACT_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda part: type(part) is int and 0 <= part < 2**32, "a whole number from 0 to 2**32 - 1"),
    "lr": (lambda part: part is None or (is_number(part) and 0 < part <= 10), "a number above 0 and up to 10, or null"),
    "pretrained": (lambda part: isinstance(part, bool), "true or false"),
    "network": (lambda part: isinstance(part, dict), "an object"),
    "weights_from": (_is_text_or_none, "text or null"),
    "clip_weights": (_is_text_or_none, "text or null"),
    "classifier": (lambda part: part is None or isinstance(part, dict), "an object or null"),
    "average": (lambda part: part is None or isinstance(part, dict), "an object or null"),
    "processes": (lambda part: type(part) is int and 1 <= part < 2**20, "a whole number from 1 on"),
    "versions": (
        lambda part: isinstance(part, dict) and all(isinstance(number, str) for number in part.values()),
        "an object of texts",
    ),
}
_OPTIONAL_FACTS = (
    "weights_from",
    "clip_weights",
    "classifier",
    "average",
    "processes",
    "versions",
)  # earlier versions had not all of them


def _check_facts(facts: Any) -> dict:
    """The content of training.json. ValueError with the first entry that is missing or of another kind."""
    if not isinstance(facts, dict):
        raise ValueError(f"it is a {type(facts).__name__}, and no object")
    for name, (fits, rule) in _FACT_RULES.items():
        if name not in facts and name in _OPTIONAL_FACTS:
            continue
        if name not in facts or not fits(facts[name]):
            found = f"is {facts[name]!r:.60}" if name in facts else "is missing"
            raise ValueError(f"its entry {name!r} {found}; it must be {rule}")
    network = facts["network"]
    classes, numbers = network.get("classes"), [network.get("parameters", 0), network.get("training_items") or 0]
    named = not isinstance(classes, list) or all(isinstance(label, str) for label in classes)
    if not named or isinstance(classes, (dict, str)) or not all(isinstance(n, int) and 0 <= n < 2**63 for n in numbers):
        raise ValueError("its entry 'network' does not describe a network")
    return facts


def _check_rows(rows: Any) -> None:
    """ValueError unless these are epochs one after the other."""
    names = list(rows[0]) if isinstance(rows, list) and rows and isinstance(rows[0], dict) else []
    if not isinstance(rows, list) or (
        rows and not {"phase", "epoch", "lr", "train_loss", "valid_loss", "seconds"} <= set(names)
    ):
        raise ValueError("its entry 'rows' is no list of epochs")
    for number, row in enumerate(rows, start=1):
        whole = isinstance(row, dict) and list(row) == names and row["phase"] in PHASES and row["epoch"] == number
        if not whole or not all(part is None or is_number(part) for name, part in row.items() if name != "phase"):
            raise ValueError(f"its epoch {number} is not as fit writes it")


def _is_tensors(part: Any) -> bool:
    return isinstance(part, dict) and all(isinstance(tensor, torch.Tensor) for tensor in part.values())


def _check_state(state: Any, entries: tuple[str, ...]) -> dict:
    """The content of a checkpoint. ValueError with the first entry that is missing or of another kind."""
    if not isinstance(state, dict):
        raise ValueError(f"it holds a {type(state).__name__}")
    for name in entries:
        if name not in state:
            raise ValueError(f"its entry {name!r} is missing")
    if not _is_tensors(state["model"]):
        raise ValueError("its entry 'model' is no set of tensors")
    average = state.get("average")
    if average is not None:
        known = isinstance(average, dict) and type(average.get("n")) is int and 0 <= average["n"] < 2**63
        if not known or not _is_tensors(average.get("model")):
            raise ValueError("its entry 'average' is no set of averaged weights")
    if "rows" in entries:
        _check_rows(state["rows"])
        if not isinstance(state["opt"], dict if state["rows"] else (dict, type(None))):
            raise ValueError("its entry 'opt' is no state of an optimizer")
    return state


_SCHEDULED = ("lr", "mom", "wd")  # numbers of an optimizer that training sets
_MOMENTS = ("grad_avg", "sqr_avg", "slow_weights")  # tensors in the state of fastai's optimizers; the rest are numbers


def _misfit(learn: Learner, opt: dict) -> str:
    """Why this is not a state of the learner's optimizer; empty if it is. It must be known before fastai takes it."""
    state, hypers = opt.get("state"), opt.get("hypers")
    parameters = [parameter for parameter, *_ in learn.opt.all_params()]
    if not isinstance(state, list) or not isinstance(hypers, list):
        return "it lacks entries"
    if len(state) != len(parameters) or len(hypers) != len(learn.opt.param_lists):
        return f"it is of {len(state)} tensors in {len(hypers)} groups, not of {len(parameters)} in {len(learn.opt.param_lists)}"
    if not all(isinstance(part, dict) for part in (*state, *hypers)):
        return "its entries are of another kind"
    for parameter, part in zip(parameters, state):
        for name, x in part.items():
            if isinstance(x, torch.Tensor) and not (x.shape == parameter.shape and x.is_floating_point()):
                return "its tensors have other shapes"
            if not isinstance(x, torch.Tensor) and (name in _MOMENTS or not isinstance(x, (int, float))):
                return "its entries are of another kind"
    for ours, hyper in zip(learn.opt.hypers, hypers):
        known = set(hyper) == set(ours) and all(is_number(number, below=1e30) for number in hyper.values())
        if not known or not 0 <= hyper.get("mom", 0) < 1:
            return "its numbers are not those of this optimizer"
        if any(hyper[name] != ours[name] for name in set(ours) - set(_SCHEDULED)):
            return "it was made with other numbers"
    return ""


# ---------------------------------------------------------------------- the folder


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
        self.predictions_file = self.path / PREDICTIONS
        self.name = os.fspath(out)
        self.how_to_resume = f"call fit again with the same out= ({self.path}) to resume"
        self._begin_again = f"remove {str(self.path)!r} to train again, or choose another folder as out="

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Within it no other process trains in this folder.

        Returns
        -------
        context manager

        Raises
        ------
        ValueError
            One does, or something else is here.
        """
        self.action()
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / _LOCK) as lock:
            if not lock:
                raise ValueError(
                    f"another process trains in {self.path} now ({lock.claim}); wait until it is finished, or choose another folder as out="
                )
            yield

    def action(self) -> str:
        """`folder_action` of what is here.

        Returns
        -------
        str
            "begin" or "resume".

        Raises
        ------
        ValueError
            It is a file, or a folder that holds something else or a link.
        """
        if not self.path.exists():
            return "begin"
        if not self.path.is_dir():
            raise ValueError(f"{self.path} is a file; choose a folder as out=")
        refuse_links(self.path)
        for file in (
            self.recipe_file,
            self.facts_file,
            self.history_file,
            self.last_file,
            self.best_file,
            self.last_file.parent,
        ):
            if file.exists() and file.is_dir() != (file == self.last_file.parent):
                kind = "folder" if file.is_dir() else "file"
                raise ValueError(f"{file} is a {kind}, and not what fit writes; {self._begin_again}")
        names = {name for name in os.listdir(self.path) if not is_temporary(name)}
        action = folder_action(names | {"checkpoints/last.pth"} if self.last_file.exists() else names)
        if action == "refuse":
            raise ValueError(
                f"{self.path} holds {', '.join(sorted(names)[:5])}, and no training; "
                "choose a new or an empty folder as out="
            )
        return action

    def open(self, learn: Learner, recipe: Recipe, processes: int = 1) -> Progress:
        """Begin a training; or read the one that is here and load its weights.

        Parameters
        ----------
        learn : Learner
            The learner to train.
        recipe : Recipe
            How to train; on resuming it must be the same.
        processes : int, default 1
            How many train the network; on resuming they may be others, and those of the beginning are returned.

        Returns
        -------
        Progress
            What is done and what is left, which may be nothing.

        Raises
        ------
        ValueError
            It is a training of another recipe, network or data, or damaged.
        """
        if self.action() == "begin":
            return self._begin(learn, recipe, processes)
        there = self.recipe().to_dict() | {"clip_weights": self.facts().get("clip_weights")}
        here = recipe.to_dict() | {"clip_weights": clip_weights(learn)}
        if not differences(there, here):
            progress = self.read(learn)
            if progress.finished:  # else the weights of the checkpoint stand in for those that the learner began with
                there["pretrained"], here["pretrained"] = progress.pretrained, bool(getattr(learn, "pretrained", False))
        different = differences(there, here)
        if different:
            raise ValueError(
                f"{self.path} holds a training with a different recipe: {different}; choose a new folder as out="
            )
        for file in [] if progress.finished else self.last_file.parent.iterdir():
            if is_temporary(file.name):
                file.unlink()
        return progress

    def _begin(self, learn: Learner, recipe: Recipe, processes: int) -> Progress:
        progress = Progress.new(learn, recipe, processes)
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
            raise ValueError(f"{self.recipe_file} is not a recipe: {exc}") from exc

    def facts(self) -> dict:
        """What was settled when the training began.

        Returns
        -------
        dict
            seed, lr, pretrained, network, weights_from, clip_weights, versions; classifier, the entries of classifier.json, or None.

        Raises
        ------
        ValueError
            It is damaged, or of another kind.
        """
        try:
            return _check_facts(read_json(self.facts_file, max_bytes=_MOST_FACTS))
        except ValueError as exc:
            raise ValueError(f"{self.facts_file} is not what fit writes: {exc}; {self._begin_again}") from exc

    def read(self, learn: Learner) -> Progress:
        """Read the training that is here, and load its last weights.

        Parameters
        ----------
        learn : Learner
            Of the same network and data.

        Returns
        -------
        Progress
            What is done and what is left.

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
        state = self._load(self.last_file, device_of(learn), ("model", "opt", "rows"))
        self._load_model(self.last_file, learn, state)
        recipe = self.recipe()
        if state["rows"] and recipe.monitor not in state["rows"][0]:
            raise ValueError(
                f"{self.last_file} has no column {recipe.monitor!r}, which {self.recipe_file} monitors; {self._begin_again}"
            )
        average = state.get("average")
        if average is not None:
            self._check_average(average, state["model"])
        return Progress(
            recipe,
            facts["seed"],
            facts["pretrained"],
            facts["lr"],
            state["rows"],
            state["opt"],
            average,
            facts.get("average"),
            processes=facts.get("processes", 1),
        )

    def _check_average(self, average: dict, model: dict[str, torch.Tensor]) -> None:
        shapes, expected = ({name: part.shape for name, part in parts.items()} for parts in (average["model"], model))
        if shapes != expected:
            raise ValueError(f"{self.last_file} holds averaged weights of another network; {self._begin_again}")

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
            "classifier": classifier_of(learn),
            "average": progress.judged,
            "processes": progress.processes,
            "versions": versions_of_training(),
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
        state = {"model": _weights(learn), "opt": opt, "rows": progress.rows}
        self._write(self.last_file, state if progress.average is None else {**state, "average": progress.average})
        if progress.rows:
            write_atomic(self.history_file, progress.table().to_csv(index=False).encode())

    def save_best(self, learn: Learner, progress: Progress) -> None:
        """Write the weights of the best epoch.

        Parameters
        ----------
        learn : Learner
            The learner in training.
        progress : Progress
            With the averaged weights, where the recipe validates with them.
        """
        self._write(self.best_file, {"model": _answering(learn, progress)})

    def save_average(self, progress: Progress) -> None:
        """Write the averaged weights of a training that is over into its last checkpoint.

        Parameters
        ----------
        progress : Progress
            With the averaged weights.
        """
        state = self._load(self.last_file, torch.device("cpu"), ("model", "opt", "rows"))
        self._write(self.last_file, {**state, "average": progress.average})

    def load_best(self, learn: Learner) -> None:
        """Load the weights of the best epoch.

        Parameters
        ----------
        learn : Learner
            Of the same network.
        """
        self._load_model(self.best_file, learn, self._load(self.best_file, device_of(learn), ("model",)))

    def load_optimizer(self, learn: Learner, progress: Progress) -> None:
        """Give the learner's optimizer the state that it had after the last finished epoch.

        Parameters
        ----------
        learn : Learner
            Of the same network, with its optimizer.
        progress : Progress
            As `open` gave it.
        """
        why = _misfit(learn, progress.opt or {})
        if why:
            raise ValueError(f"{self.last_file} holds a state of another optimizer: {why}; {self._begin_again}")
        learn.opt.load_state_dict(progress.opt)

    def save_predictions(self, learn: Learner) -> None:
        """Write the predictions of the validation clips.

        Parameters
        ----------
        learn : Learner
            The trained learner.

        Raises
        ------
        ValueError
            Its clips cannot be predicted one by one; see `predict_all`.
        """
        training = learn.model.training
        with learn.no_bar(), learn.no_logging():
            predict_all(learn).save(self.predictions_file)
        learn.model.train(training)

    def load_weights(self, learn: Learner) -> None:
        """Give the learner `weights`.

        Parameters
        ----------
        learn : Learner
            Of the same network.
        """
        self._load_model(self.last_file.parent, learn, {"model": self.weights()[0]})

    def weights(self) -> tuple[dict[str, torch.Tensor], bool]:
        """The weights of the training: of the best epoch or averaged ones where its recipe keeps them, else of the last.

        Returns
        -------
        tuple of dict and bool
            The state dict of the model, on the CPU, and whether the training is finished.

        Raises
        ------
        ValueError
            A checkpoint is missing or damaged.
        """
        facts, recipe, cpu = self.facts(), self.recipe(), torch.device("cpu")
        last = self._load(self.last_file, cpu, ("model", "opt", "rows"))
        progress = Progress(recipe, facts["seed"], facts["pretrained"], facts["lr"], last["rows"])
        averaged = last.get("average") and (
            recipe.ema or facts.get("average")
        )  # the mean of the last epochs: when it is whole
        if averaged:
            self._check_average(last["average"], last["model"])
        if recipe.best_model and self.best_file.exists():
            return self._load(self.best_file, cpu, ("model",))["model"], progress.finished
        return (last["average"] if averaged else last)["model"], progress.finished

    def _write(self, file: Path, state: dict) -> None:
        data = io.BytesIO()
        torch.save(_plain(state), data)
        write_atomic(file, data.getvalue())

    def _load(self, file: Path, device: torch.device, entries: tuple[str, ...]) -> dict:
        try:
            refuse_packed(file)
            return _check_state(torch.load(file, map_location=device, weights_only=True), entries)
        except Exception as exc:  # torch and pickle raise a dozen kinds
            reason = " ".join(str(exc).split())[:300] or type(exc).__name__
            raise ValueError(f"{file} is not a checkpoint that can be read: {reason}; {self._begin_again}") from exc

    def _load_model(self, file: Path, learn: Learner, state: dict) -> None:
        try:
            learn.model.load_state_dict(state["model"])
        except RuntimeError as exc:
            reason = " ".join(str(exc).split())[:300]
            raise ValueError(f"{file} holds the weights of another network: {reason}; {self._begin_again}") from exc
