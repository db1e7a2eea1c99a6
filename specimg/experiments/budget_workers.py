"""What each worker of `submit_within` does: one core, one thread, one recording after the other.

A worker draws each window once, for all networks, and runs these in turn. It ends with the process that started it.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..audio.read import read_clip
from ..data.inputs import PictureInput, input_from_dict
from ..data.tta import TTA
from ..inference import Calibration, load_classifier
from ..inference.calibration import logits_of, probabilities_of
from ..inference.export.quantise import quantise_onnx
from ..inference.export.runtime import OnnxNetwork
from ..spectrogram.picture import PictureInfo

AT_ONCE = 64  # pictures through a network together
Span = tuple[float | None, float | None]  # start and end, seconds; None for a whole recording


@dataclass(frozen=True)
class Exported:
    """A network as a worker takes it."""

    file: str
    input: dict[str, Any]  # as `NetworkInput.to_dict` gives it
    is_multi: bool
    seconds: float  # that exporting took
    runtime: str = "onnxruntime"
    precision: str = "float32"


@dataclass(frozen=True)
class Job:
    """Windows of one recording, and the networks that answer them."""

    path: str  # of the file
    spans: tuple[Span, ...]
    networks: tuple[Exported, ...] = ()


@dataclass
class Answered:
    """What became of a job.

    probs : (windows, classes), nan where a window could not be read; None if none could
    reasons : of those windows, by number
    draw, network : seconds in all for drawing, and for all networks
    """

    probs: np.ndarray | None
    reasons: dict[int, str] = field(default_factory=dict)
    draw: float = 0.0
    network: float = 0.0


# ---------------------------------------------------------------------- the process


def start_worker() -> None:
    """One thread, and an end when the parent ends, however it does."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    import torch

    torch.set_num_threads(1)


def export_network(folder: Path, file: Path, tta: TTA, runtime: str = "onnxruntime") -> Exported:
    """A saved classifier as an ONNX file, at temperature 1; one that is there already is taken."""
    began = time.perf_counter()
    clf = load_classifier(folder)
    given = clf.input if tta == TTA() else clf.input.with_tta(tta)
    if not file.is_file():
        replace(clf, calibration=Calibration()).to_onnx(file)
    return Exported(str(file), given.to_dict(), clf.is_multi, time.perf_counter() - began, runtime)


_loaded: dict[tuple[str, str, str], OnnxNetwork] = {}


def _network(one: Exported) -> OnnxNetwork:
    key = (one.file, one.runtime, one.precision)
    if key not in _loaded:
        _loaded[key] = OnnxNetwork(*key)
    return _loaded[key]


# ---------------------------------------------------------------------- windows


Drawn = tuple[np.ndarray, PictureInfo]  # a picture, as `Renderer.planes` draws it


def _drawn(given: PictureInput, job: Job) -> tuple[list[Drawn], list[int], dict[int, str]]:
    """(pictures, the windows that they are of, why the others have none)."""
    pictures, rows, reasons = [], [], {}
    for i, (start, end) in enumerate(job.spans):
        try:
            pictures.append(given.renderer.planes(read_clip(job.path, given.audio, start, end)))
            rows.append(i)
        except ValueError as exc:  # an AudioError has its reason without the path
            reasons[i] = getattr(exc, "reason", str(exc))
    return pictures, rows, reasons


def _tensors(given: PictureInput, pictures: list[Drawn]) -> np.ndarray:
    """float32 (windows of recordings, windows of the network, channels, height, width)."""
    x = np.stack([given.planes_tensor(*picture).numpy() for picture in pictures])
    return x if x.ndim == 5 else x[:, None]


def _probabilities(network: OnnxNetwork, x: np.ndarray, is_multi: bool) -> np.ndarray:
    """(windows, classes): over the network's windows logits are averaged, as the network itself does."""
    flat = x.reshape(-1, *x.shape[2:])
    found = np.concatenate([network(flat[i : i + AT_ONCE]) for i in range(0, len(flat), AT_ONCE)])
    if x.shape[1] == 1:
        return found
    mean = logits_of(found, is_multi).reshape(len(x), x.shape[1], -1).mean(axis=1)
    return probabilities_of(mean, is_multi)


def answer_recording(job: Job) -> Answered:
    """The mean of the networks' probabilities for each window of a recording."""
    began = time.perf_counter()
    inputs: list[Any] = [input_from_dict(one.input) for one in job.networks]  # of pictures, as the run's
    pictures, rows, reasons = _drawn(inputs[0], job)
    if not rows:
        return Answered(None, reasons, time.perf_counter() - began)
    made: dict[str, np.ndarray] = {}
    for one, given in zip(job.networks, inputs):
        key = repr(one.input["fit"])
        if key not in made:
            made[key] = _tensors(given, pictures)
    drawn = time.perf_counter()
    total: Any = sum(
        _probabilities(_network(one), made[repr(one.input["fit"])], one.is_multi).astype(float) for one in job.networks
    )
    probs = np.full((len(job.spans), total.shape[1]), np.nan)
    probs[rows] = total / len(job.networks)
    return Answered(probs, reasons, drawn - began, time.perf_counter() - drawn)


# ---------------------------------------------------------------------- precision


@dataclass(frozen=True)
class Change:
    """How far probabilities of another precision are from those of float32.

    mean, most : of the absolute differences of all classes and windows
    windows : on which that was measured
    """

    mean: float
    most: float
    windows: int


def lower_precision(exact: Exported, precision: str, sample: tuple[Job, ...]) -> tuple[Exported, Change]:
    """A network in another precision, and what that changes on some windows. An 8-bit file that is there already is taken.

    sample : windows of recordings; every second one calibrates 8 bits, all others are compared. ValueError if none can be read.
    """
    began, pictures = time.perf_counter(), list[Drawn]()
    given: Any = input_from_dict(exact.input)
    for job in sample:
        pictures += _drawn(given, job)[0]
    if len(pictures) < 2:
        raise ValueError(
            f"precision={precision!r} needs two windows of recordings that can be read, to measure what it costs"
        )
    x = _tensors(given, pictures)
    file = Path(exact.file)
    if precision == "int8":
        file = file.with_name(f"{file.stem}-int8.onnx")
        if not file.is_file():
            quantise_onnx(exact.file, file, x[::2].reshape(-1, *x.shape[2:]))
    lower = replace(exact, file=str(file), precision=precision)
    off = abs(
        _probabilities(_network(lower), x[1::2], exact.is_multi)
        - _probabilities(_network(exact), x[1::2], exact.is_multi)
    )
    took = exact.seconds + time.perf_counter() - began
    return replace(lower, seconds=took), Change(float(off.mean()), float(off.max()), len(off))
