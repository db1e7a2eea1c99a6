"""A network in an ONNX file, run in one thread: for workers, of which there is one a core.

    network = OnnxNetwork("fold0.onnx")
    network(pictures)                       # float32 (batch, channels, height, width) in [0, 1] -> probabilities (batch, classes)

Measured on CPUs, several processes of one thread each answer more windows a minute than one process of several threads: convolutions of small
batches do not fill many cores.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np

from ...core.values import choose

RUNTIMES = {"onnxruntime": "specimg[onnx]", "openvino": "openvino"}  # and what pip installs them by


def check_runtime(runtime: str) -> None:
    """ValueError for an unknown runtime, ModuleNotFoundError, with what to install, for one that is not there."""
    choose(runtime, RUNTIMES, "runtime")
    if importlib.util.find_spec(runtime) is None:
        raise ModuleNotFoundError(f"{runtime} is not installed: pip install {RUNTIMES[runtime]}")


def _onnxruntime(file: str):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(["probabilities"], {name: x})[0]


def _openvino(file: str):
    import openvino

    # f32: the default of some CPUs is bfloat16, whose probabilities differ in the third digit
    settings = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(file, "CPU", settings)
    output = model.output("probabilities")
    return lambda x: np.array(model([x])[output])


class OnnxNetwork:
    """Probabilities by a file that `Classifier.to_onnx` wrote, in one thread.

    Parameters
    ----------
    file : str or path
        The ONNX file, from pictures to probabilities.
    runtime : {"onnxruntime", "openvino"}, default "onnxruntime"
        The package that runs it.

    Raises
    ------
    ValueError
        For another runtime.
    ModuleNotFoundError
        The runtime is not installed.

    Examples
    --------
    >>> from specimg.inference.export.runtime import OnnxNetwork
    >>> network = OnnxNetwork(clf.to_onnx("two-sounds.onnx"))
    >>> x = clf.to_input("dog.wav")[None]
    >>> np.abs(network(x.numpy()) - clf.probabilities(x)).max() < 1e-4
    np.True_
    """

    def __init__(self, file: str | os.PathLike, runtime: str = "onnxruntime"):
        check_runtime(runtime)
        self._run = {"onnxruntime": _onnxruntime, "openvino": _openvino}[runtime](os.fspath(file))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities of a batch.

        Parameters
        ----------
        x : ndarray
            float32 (batch, channels, height, width) in [0, 1].

        Returns
        -------
        ndarray
            float32 (batch, classes).
        """
        return self._run(np.ascontiguousarray(x, np.float32))
