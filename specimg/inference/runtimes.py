"""What answers the windows of long recordings: torch, or the exported network in a faster runtime where exporting it pays.

    answers = answers_of(clf, clf.input, "auto", windows=7200)
    answers(batch)                 # probabilities (batch, classes)
    answers.runtime                # "onnxruntime": 2 TFLOP and more of a network on a CPU, where the packages are installed

onnxruntime ran a ResNet18 on one thread 1.2 to 1.4 times as fast as torch, and to export it took 4 to 6 s (benchmarks/long_file.py). Numbers agree to about 1e-6: some windows of the first batch are answered by both, and a network that differs by more than 1e-4 stays in torch.
"""

from __future__ import annotations

import hashlib
import importlib.util
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from ..core.values import choose
from ..core.warnings import warn
from ..data import NetworkInput
from .export.runtime import RUNTIMES, OnnxNetwork, check_runtime
from .predictor import Predictor

CHOICES = ("auto", "torch", *RUNTIMES)
FASTEST = "onnxruntime"  # what "auto" means
NEEDED = ("onnx", "onnxscript", FASTEST)  # packages
# operations from which on exporting pays: torch does some 70 GFLOP a second on a thread, onnxruntime 110, so that 2 TFLOP save 10 s
PAYS = 2e12
AGREES = 1e-4  # by which probabilities may differ
COMPARED = 4  # inputs of the first batch that torch answers, too


# ---------------------------------------------------------------------- the decision


def operations_of(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Floating-point operations of a network on one input `(channels, height, width)`: those of its matrix products and convolutions."""
    from torch.utils.flop_counter import FlopCounterMode

    weight = next(model.parameters(), torch.empty(0))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model.eval()(torch.zeros(1, *shape, device=weight.device, dtype=weight.dtype))
    return counter.get_total_flops()


def choose_runtime(operations: int, windows: int) -> str:
    """What "auto" takes for so many windows of so many operations: "torch", or "onnxruntime" where the time it saves exceeds that of exporting.

    >>> choose_runtime(1_500_000_000, windows=12), choose_runtime(1_500_000_000, windows=7200)
    ('torch', 'onnxruntime')
    """
    return FASTEST if operations * windows >= PAYS else "torch"


def cannot_export(clf: Predictor, read: NetworkInput) -> str:
    """Why the windows of a classifier cannot be answered by another runtime than torch; "" if they can."""
    if next((weight.device.type for weight in clf.model.parameters()), "cpu") != "cpu":
        return "the network is on another device than the CPU"
    if read.windows != 1 or getattr(read.transform, "tta", None) is not None:
        return "the classifier reads several pictures of each window, whose logits torch averages"
    return ""


# ---------------------------------------------------------------------- exported networks


@dataclass
class Exported:
    """A network in a runtime, what it was exported of, and which of its outputs were compared with torch's."""

    network: OnnxNetwork
    digest: bytes
    compared: set[str] = field(default_factory=set)


_kept: weakref.WeakKeyDictionary[nn.Module, Exported] = weakref.WeakKeyDictionary()


def _digest(clf: Predictor, runtime: str, threads: int) -> bytes:
    """Of all that an exported network depends on: networks may be trained on after they were exported."""
    found = hashlib.sha256(repr((runtime, threads, clf.temperature, clf.is_multi)).encode())
    for name, value in clf.model.state_dict().items():
        found.update(name.encode())
        found.update(np.ascontiguousarray(value.detach().cpu().numpy()).reshape(-1).view(np.uint8))
    return found.digest()


def exported_network(clf: Predictor, runtime: str) -> Exported:
    """The network of a classifier in a runtime, on as many threads as torch uses; it is exported once, in memory, and kept as long as the model."""
    from .export.onnx import onnx_bytes

    threads = torch.get_num_threads()
    digest = _digest(clf, runtime, threads)
    known = _kept.get(clf.model)
    if known is None or known.digest != digest:
        known = _kept[clf.model] = Exported(OnnxNetwork(onnx_bytes(clf), runtime, threads=threads), digest)
    return known


# ---------------------------------------------------------------------- answers


class Answers:
    """Probabilities of batches, by torch or by an exported network that is compared with it on its first batch.

    Parameters
    ----------
    plain : callable
        What torch answers.
    exported : Exported, default None
        The exported network; None: torch answers.
    output : str, default "probabilities"
        Or "frames".
    runtime : str, default "torch"
        What runs the exported network.
    insists : bool, default False
        Whether a network that differs is a ValueError; else a warning, and torch answers.
    """

    def __init__(
        self,
        plain: Callable[[Tensor], np.ndarray],
        exported: Exported | None = None,
        output: str = "probabilities",
        runtime: str = "torch",
        insists: bool = False,
    ):
        self.plain, self.exported, self.output, self.runtime, self.insists = plain, exported, output, runtime, insists

    def __call__(self, x: Tensor) -> np.ndarray:
        """Probabilities of a batch.

        Parameters
        ----------
        x : Tensor
            Inputs of the network, stacked.

        Returns
        -------
        ndarray
            float32 (batch, classes), or (batch, frames, classes).
        """
        if self.exported is None:
            return self.plain(x)
        found = self.exported.network(x.numpy(), self.output)
        return found if self.output in self.exported.compared else self._compared(x, found)

    def _compared(self, x: Tensor, found: np.ndarray) -> np.ndarray:
        """`found`, or what torch answers where the two differ."""
        expected, found_there = self.plain(x[:COMPARED]), found[:COMPARED]
        if np.allclose(found_there, expected, rtol=0, atol=AGREES, equal_nan=True):
            self.exported.compared.add(self.output)
            return found
        off = f"in {self.runtime} the probabilities of this network differ by up to {np.nanmax(np.abs(found_there - expected)):.2g}"
        if self.insists:
            raise ValueError(f"{off}; give runtime='torch'")
        warn(f"{off}, so torch runs it")
        self.exported, self.runtime = None, "torch"
        return self.plain(x)


def _check(clf: Predictor, read: NetworkInput, runtime: str) -> None:
    """ValueError or ModuleNotFoundError unless a runtime that was asked for can answer."""
    choose(runtime, CHOICES, "runtime")
    if runtime in RUNTIMES:
        check_runtime(runtime)
        reason = cannot_export(clf, read)
        if reason:
            raise ValueError(f"runtime={runtime!r}: {reason}; give runtime='torch'")


def answers_of(
    clf: Predictor, read: NetworkInput, runtime: str = "auto", windows: int = 0, *, frames: bool = False
) -> Answers:
    """What answers batches of windows.

    Parameters
    ----------
    clf : Classifier
        The classifier.
    read : NetworkInput
        How a window is read.
    runtime : {"auto", "torch", "onnxruntime", "openvino"}, default "auto"
        "auto" is onnxruntime where it is installed and there is work enough, and torch elsewhere.
    windows : int, default 0
        How many there will be, about.
    frames : bool, default False
        Of every frame.

    Returns
    -------
    Answers

    Raises
    ------
    ValueError
        For another runtime, or one that cannot run this network.
    ModuleNotFoundError
        A runtime that was asked for is not installed.
    """
    _check(clf, read, runtime)
    plain, insists = clf.frame_probabilities if frames else clf.probabilities, runtime != "auto"
    if runtime == "auto":
        possible = not cannot_export(clf, read) and all(map(importlib.util.find_spec, NEEDED))
        shape = (read.channels, *read.size)
        runtime = choose_runtime(operations_of(clf.model, shape), windows) if possible else "torch"
    if runtime == "torch":
        return Answers(plain)
    try:
        exported = exported_network(clf, runtime)
    except Exception as exc:  # the exporter has errors of many kinds
        if insists:
            raise
        warn(
            f"this network cannot be exported ({type(exc).__name__}: {str(exc)[:200]}), so torch runs it; runtime='torch' says no more"
        )
        return Answers(plain)
    return Answers(plain, exported, "frames" if frames else "probabilities", runtime, insists)
