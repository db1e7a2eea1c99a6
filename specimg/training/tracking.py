"""A training that Weights & Biases, TensorBoard or MLflow follow: what it is, its curves, and at the end its pictures and its report.

    fit(learn, Recipe(epochs=10), out="runs/first", track="wandb")
    fit(learn, Recipe(epochs=10), out="runs/first", track=Track("mlflow", project="birds", name="first"))

A tracker is a small class over the library's own API, registered by name. fastai's callbacks know neither recipe nor renderer, its WandbCallback
fails on today's fastcore, and for MLflow it has none. Where a library fails during a training, a warning says so and the training goes on.

With `out` the folder keeps `tracking.json`, so that a training that is resumed stays one on the tracker's page, where the library can.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from PIL import Image

from ..core.files import unlinked, write_atomic
from ..core.reading import read_json
from ..core.values import Value, choose, register
from ..core.warnings import warn

FILE = "tracking.json"
MOST_NOTE = 2**16  # bytes of it
_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)


class Tracker(Protocol):
    """What a library does for a training.

    Attributes
    ----------
    package : str
        What has to be installed.
    way_out : str
        What to do where it does not begin.
    id : str
        By which the library finds the training again.
    """

    package: ClassVar[str]
    way_out: ClassVar[str]
    id: str

    def __init__(self, track: Track, about: dict[str, Any], place: Path | None, known: str | None, epochs: int) -> None:
        """Begin, or go on with the training `known` after that many epochs. place : the training folder."""

    def numbers(self, numbers: dict[str, float], epoch: int) -> None:
        """The row of an epoch."""

    def picture(self, name: str, picture: Image.Image) -> None:
        """A picture of the end."""

    def file(self, name: str, path: Path) -> None:
        """A file to keep."""

    def close(self, status: str) -> None:
        """The end: "finished", "failed" or "killed"."""


TRACKERS: dict[str, type[Tracker]] = {}


def tracker(name: str) -> Callable[[type], type]:
    """Class decorator: `fit(track=name)` uses this tracker."""

    def register_it(cls: type) -> type:
        TRACKERS[name] = cls
        return cls

    return register_it


def list_trackers() -> list[str]:
    """The names that `track=` takes.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from specimg.training import list_trackers
    >>> list_trackers()
    ['mlflow', 'tensorboard', 'wandb']
    """
    return sorted(TRACKERS)


@register
@dataclass(frozen=True)
class Track(Value):
    """Who follows a training, and under which name; `track="wandb"` is `Track("wandb")`.

    Parameters
    ----------
    to : {"wandb", "tensorboard", "mlflow"}
        The library, which has to be installed.
    project : str, default "specimg"
        Project of wandb, experiment of MLflow; of TensorBoard it is the folder that counts. WANDB_PROJECT and MLFLOW_EXPERIMENT_NAME come first.
    name : str, optional
        Of the training; default the name of its folder, else the library's own.
    group : str, optional
        What several trainings belong to: the group of wandb, the parent run of MLflow. `cross_validate` gives its own.

    Examples
    --------
    >>> from specimg.training import Track
    >>> Track("wandb", name="first")
    Track(to='wandb', name='first')
    >>> Track("wandbb")
    Traceback (most recent call last):
    ValueError: unknown tracker 'wandbb'; did you mean 'wandb'? choose one of mlflow, tensorboard, wandb
    """

    to: str
    project: str = "specimg"
    name: str | None = None
    group: str | None = None

    def _check(self) -> None:
        choose(self.to, TRACKERS, "tracker")


def as_track(track: str | Track | None) -> Track | None:
    """The value that an argument `track=` describes. ValueError for an unknown name; ModuleNotFoundError where its library is not installed."""
    if track is None:
        return None
    if not isinstance(track, (str, Track)):
        raise ValueError(f"track={track!r}: give one of {', '.join(list_trackers())}, or a Track")
    track = Track(track) if isinstance(track, str) else track
    package = TRACKERS[track.to].package
    if importlib.util.find_spec(package) is None:
        raise ModuleNotFoundError(f"track={track.to!r} needs the package {package}: pip install {package}")
    return track


# ---------------------------------------------------------------------- the libraries


def _as_json(about: dict) -> str:
    return json.dumps(about, indent=1, ensure_ascii=False, default=str)


@tracker("tensorboard")
class _TensorBoard:
    """Event files in `tensorboard/` of the training folder, else in torch's own `runs/`."""

    package, way_out = "tensorboard", "choose another folder as out="

    def __init__(self, track: Track, about: dict[str, Any], place: Path | None, known: str | None, epochs: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.id = "tensorboard"
        folder = None if place is None else str(unlinked(place, "tensorboard"))
        # what a killed process wrote of the epoch that is now repeated is not shown
        self.writer = SummaryWriter(folder, purge_step=epochs + 1 if known else None, comment=f"-{track.name or ''}")
        if not known:
            self.writer.add_text("about", f"```json\n{_as_json(about)}\n```")

    def numbers(self, numbers: dict[str, float], epoch: int) -> None:
        for name, number in numbers.items():
            self.writer.add_scalar(name, number, epoch)
        self.writer.flush()

    def picture(self, name: str, picture: Image.Image) -> None:
        self.writer.add_image(name, np.asarray(picture), dataformats="HWC")

    def file(self, name: str, path: Path) -> None:
        kept = Path(self.writer.log_dir) / path.name  # it keeps no files itself, so this one lies beside its own
        shutil.copyfile(path, kept)
        self.writer.add_text(name, str(kept))

    def close(self, status: str) -> None:
        self.writer.close()


@tracker("wandb")
class _Wandb:
    """A run of Weights & Biases: one of its own, or the one that the user has begun."""

    package, way_out = "wandb", "log in with `wandb login`, or set WANDB_MODE=offline"

    def __init__(self, track: Track, about: dict[str, Any], place: Path | None, known: str | None, epochs: int) -> None:
        import wandb

        self.wandb, self.is_own = wandb, wandb.run is None or track.group is not None
        if self.is_own:
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", track.project),
                name=track.name,
                group=track.group,
                id=known,
                resume="allow" if known else None,
                config=about,
                reinit="create_new",
            )
            self.run.define_metric("*", step_metric="epoch")
        else:
            self.run = wandb.run
            self.run.config.update(about, allow_val_change=True)
        self.id = self.run.id

    def numbers(self, numbers: dict[str, float], epoch: int) -> None:
        self.run.log({**numbers, "epoch": epoch})

    def picture(self, name: str, picture: Image.Image) -> None:
        self.run.log({name: self.wandb.Image(picture)})

    def file(self, name: str, path: Path) -> None:
        artifact = self.wandb.Artifact(f"{name}-{self.run.id}", type=name)
        artifact.add_file(str(path))
        self.run.log_artifact(artifact)

    def close(self, status: str) -> None:
        if self.is_own:
            self.run.finish(exit_code=0 if status == "finished" else 1)


def _flat(part: dict, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, with dots between the names."""
    found = {}
    for name, value in part.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def _mlflow_name(name: str) -> str:
    """What MLflow takes as the name of a metric: "map@3" is "map_3"."""
    return re.sub(r"[^\w .\-/]", "_", name)


@tracker("mlflow")
class _MLflow:
    """A run of MLflow: one of its own, in a group below a run of the group's name, or the one that the user has begun."""

    package, way_out = "mlflow", "set MLFLOW_TRACKING_URI"
    _LONGEST, _MOST = 500, 100  # characters of a parameter, and how many are sent at once

    def __init__(self, track: Track, about: dict[str, Any], place: Path | None, known: str | None, epochs: int) -> None:
        import mlflow
        from mlflow import entities

        self.client = mlflow.MlflowClient()
        active = mlflow.active_run() if track.group is None else None
        self.is_own = active is None
        self.id = active.info.run_id if active else self._begin(track, known)
        if not self.client.get_run(self.id).data.params:  # which MLflow lets nobody change
            flat = {name: str(value)[: self._LONGEST] for name, value in _flat(about).items() if value is not None}
            params = [entities.Param(_mlflow_name(name), value) for name, value in flat.items()]
            for i in range(0, len(params), self._MOST):
                self.client.log_batch(self.id, params=params[i : i + self._MOST])
        self.client.log_text(self.id, _as_json(about), "about.json")

    def _begin(self, track: Track, known: str | None) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", track.project)
        found = self.client.get_experiment_by_name(name)
        experiment = self.client.create_experiment(name) if found is None else found.experiment_id
        if known:
            self.client.update_run(known, status="RUNNING")
            return known
        if track.group is None:
            return self._new(experiment, track.name)
        parent = self._parent(experiment, track.group)
        return (
            parent if track.name == track.group else self._new(experiment, track.name, {"mlflow.parentRunId": parent})
        )

    def _new(self, experiment: str, name: str | None, tags: dict[str, str] | None = None) -> str:
        return self.client.create_run(experiment, run_name=name, tags=tags or {}).info.run_id

    def _parent(self, experiment: str, group: str) -> str:
        """The run of a group, which the first of its trainings makes."""
        tag = group.replace("'", "_")
        found = self.client.search_runs([experiment], filter_string=f"tags.specimg_group = '{tag}'", max_results=1)
        return found[0].info.run_id if found else self._new(experiment, group, {"specimg_group": tag})

    def numbers(self, numbers: dict[str, float], epoch: int) -> None:
        for name, number in numbers.items():
            self.client.log_metric(self.id, _mlflow_name(name), number, step=epoch)

    def picture(self, name: str, picture: Image.Image) -> None:
        self.client.log_image(self.id, picture, f"{name}.png")

    def file(self, name: str, path: Path) -> None:
        self.client.log_artifact(self.id, str(path))

    def close(self, status: str) -> None:
        if self.is_own:
            self.client.set_terminated(self.id, status=status.upper())


# ---------------------------------------------------------------------- one training


class Tracked:
    """A training that is followed. The library's failures are warnings, after which nobody follows.

    Parameters
    ----------
    tracker : Tracker or None
        None: nobody follows.
    note : path or None
        The file that keeps the library's id and how many epochs it knows.
    name : str
        Of the library.
    epochs : int
        How many epochs it knows already.
    """

    def __init__(self, tracker: Tracker | None, note: Path | None = None, name: str = "", epochs: int = 0) -> None:
        self.tracker, self.note, self.name, self.epochs = tracker, note, name, epochs

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        try:
            yield
        except Exception as exc:  # whatever a library raises, an hour of training is worth more
            warn(f"{self.name} no longer follows, the work goes on: {type(exc).__name__}: {exc}")
            self.tracker = None

    def keep(self) -> None:
        """Write the note."""
        if self.tracker is not None and self.note is not None:
            known = {self.name: {"id": self.tracker.id, "epochs": self.epochs}}
            write_atomic(self.note, json.dumps(known, indent=1).encode())

    def add(self, row: dict[str, Any]) -> None:
        """Send the row of an epoch, unless it is known."""
        if self.tracker is None or row["epoch"] <= self.epochs:
            return
        numbers = {name: float(x) for name, x in row.items() if isinstance(x, (int, float)) and name != "epoch"}
        with self._going_on():
            self.tracker.numbers(numbers, row["epoch"])
            self.epochs = row["epoch"]
        self.keep()

    def finish(self, parts: Callable[[], Iterable[tuple[str, Any]]]) -> None:
        """Send what the end has to show: parts gives names with figures, paths of files, or numbers."""
        if self.tracker is None:
            return
        with self._going_on():
            for name, part in parts():
                if isinstance(part, Path):
                    self.tracker.file(name, part)
                elif isinstance(part, dict):
                    self.tracker.numbers(part, self.epochs)
                else:
                    self.tracker.picture(name, _pixels(part))

    def close(self, status: str) -> None:
        """Say how it ended."""
        if self.tracker is not None:
            with self._going_on():
                self.tracker.close(status)


def _pixels(figure: Any) -> Image.Image:
    """A figure as the picture that every library takes."""
    from io import BytesIO

    out = BytesIO()
    figure.savefig(out, format="png", dpi=110)
    return Image.open(out).convert("RGB")


def _known(note: Path | None, name: str) -> tuple[str | None, int]:
    """(the library's id, how many epochs it knows) that an earlier call noted."""
    if note is None or not note.is_file():
        return None, 0
    held = read_json(note, max_bytes=MOST_NOTE)
    entry = held.get(name) if isinstance(held, dict) else None
    if entry is None:
        return None, 0
    fits = isinstance(entry, dict) and isinstance(entry.get("id"), str) and _ID.fullmatch(entry["id"])
    if not fits or type(entry.get("epochs")) is not int or not 0 <= entry["epochs"] < 2**31:
        raise ValueError(f"{str(note)!r} is not as it was written; remove it, and {name} begins a new training")
    return entry["id"], entry["epochs"]


@contextmanager
def followed(track: Track | None, about: dict[str, Any], place: Path | None, epochs: int = 0) -> Iterator[Tracked]:
    """Within it a library follows a training; nobody where `track` is None.

    Parameters
    ----------
    track : Track or None
        As `as_track` gives it.
    about : dict
        What it is: recipe, renderer, network ...
    place : path or None
        Its folder, which exists; None where it has none.
    epochs : int, default 0
        Finished ones: of those an earlier call noted, so many are known.

    Yields
    ------
    Tracked

    Raises
    ------
    ValueError
        The library does not begin.
    """
    if track is None:
        yield Tracked(None)
        return
    note = None if place is None else unlinked(place, FILE)
    known, there = _known(note, track.to)
    there = min(there, epochs)
    kind = TRACKERS[track.to]
    named = track if track.name or place is None else track.replace(name=place.absolute().name)
    try:
        tracker = kind(named, about, place, known, there)
    except Exception as exc:  # each library has its own kinds
        reason = " ".join(str(exc).split())[:500]
        raise ValueError(
            f"{track.to} does not begin ({type(exc).__name__}: {reason}); {kind.way_out}, or leave track= out"
        ) from exc
    one = Tracked(tracker, note, track.to, there)
    one.keep()
    status = "failed"
    try:
        yield one
        status = "finished"
    except KeyboardInterrupt:
        status = "killed"
        raise
    finally:
        one.close(status)
