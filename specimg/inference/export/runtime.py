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
PRECISIONS = ("float32", "float16", "int8")


def check_runtime(runtime: str, precision: str = "float32") -> None:
    """ValueError for an unknown runtime or what it cannot compute in, ModuleNotFoundError, with what to install, for one that is not there."""
    choose(runtime, RUNTIMES, "runtime")
    choose(precision, PRECISIONS, "precision")
    if (runtime, precision) == ("onnxruntime", "float16"):
        raise ValueError(
            "precision='float16' is not faster in onnxruntime on a CPU, where it computes in float32; give runtime='openvino', or int8"
        )
    needed = {runtime, "onnxruntime"} if precision == "int8" else {runtime}  # onnxruntime makes the 8-bit network
    for name in sorted(needed):
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(f"{name} is not installed: pip install {RUNTIMES[name]}")


def _onnxruntime(file: str | bytes, precision: str, threads: int):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x, output: session.run([output], {name: x})[0]


def _openvino(file: str | bytes, precision: str, threads: int):
    import openvino

    # f32 must be asked for: the default of some CPUs is bfloat16, which is also what they take for f16
    hint = "f16" if precision == "float16" else "f32"
    settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": hint}
    core = openvino.Core()
    model = core.compile_model(core.read_model(file), "CPU", settings)
    return lambda x, output: np.array(model([x])[model.output(output)])


class OnnxNetwork:
    """Probabilities by a file that `Classifier.to_onnx` wrote.

    Parameters
    ----------
    file : str, path or bytes
        The ONNX file, from pictures to probabilities, or what is in it.
    runtime : {"onnxruntime", "openvino"}, default "onnxruntime"
        The package that runs it.
    precision : {"float32", "float16", "int8"}, default "float32"
        What it computes in. "float16", of openvino only, is what the CPU has of 16 bits: bfloat16 on many. "int8" is for a file of `quantise_onnx`.
    threads : int, default 1
        Threads that one batch is spread over.

    Raises
    ------
    ValueError
        For another runtime or precision, or a precision that the runtime has not.
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

    def __init__(
        self,
        file: str | os.PathLike | bytes,
        runtime: str = "onnxruntime",
        precision: str = "float32",
        *,
        threads: int = 1,
    ):
        check_runtime(runtime, precision)
        source = file if isinstance(file, bytes) else os.fspath(file)
        run = {"onnxruntime": _onnxruntime, "openvino": _openvino}[runtime]
        self._run = run(source, precision, threads)

    def __call__(self, x: np.ndarray, output: str = "probabilities") -> np.ndarray:
        """Probabilities of a batch.

        Parameters
        ----------
        x : ndarray
            float32 (batch, channels, height, width) in [0, 1].
        output : str, default "probabilities"
            Or "frames", of a network that has them.

        Returns
        -------
        ndarray
            float32 (batch, classes); of frames (batch, frames, classes).
        """
        return self._run(np.ascontiguousarray(x, np.float32), output)
