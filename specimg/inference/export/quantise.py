"""A network in an ONNX file with 8-bit integers in place of float32: smaller, and two to four times as fast on CPUs that multiply these.

    file = clf.to_onnx("dog.onnx")
    quantise_onnx(file, "dog-int8.onnx", clf.to_input("dog.wav")[None].numpy())

What it costs is for each network another matter: measure it on clips with labels (`specimg.experiments.precision_loss`).
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...core.files import write_atomic


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser recommends to the root logger what is done already."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def quantise_onnx(file: str | os.PathLike, path: str | os.PathLike, inputs: np.ndarray) -> Path:
    """Write a network of `to_onnx` in 8 bits: weights per channel, activations between the least and the greatest that the inputs give.

    Static quantisation with inserted quantise and dequantise nodes [1]_, which onnxruntime and OpenVINO compute in integers.

    Parameters
    ----------
    file : str or path
        The ONNX file in float32, with one input.
    path : str or path
        The file to write; what stands there is replaced.
    inputs : ndarray
        float32 (n, channels, height, width): typical inputs, some dozens.

    Returns
    -------
    Path
        The file, with the facts of the first.

    Raises
    ------
    ValueError
        Without any input.
    ModuleNotFoundError
        Without the packages onnx and onnxruntime.

    References
    ----------
    .. [1] B. Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only inference", CVPR 2018.

    Examples
    --------
    >>> from specimg.inference.export import quantise_onnx
    >>> file = clf.to_onnx("float.onnx")
    >>> quantise_onnx(file, "int8.onnx", clf.to_input("dog.wav")[None].numpy()).name
    'int8.onnx'
    """
    if not len(inputs):
        raise ValueError("no inputs: quantising needs some typical ones, to know the range of every activation")
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Inputs(CalibrationDataReader):
        """One input after the other, under its name."""

        def __init__(self, name: str):
            self.left = iter([{name: np.ascontiguousarray(x[None], np.float32)} for x in inputs])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    original = onnx.load(os.fspath(file))
    with tempfile.TemporaryDirectory(prefix="specimg-int8-") as folder, _quiet():
        plain, small = Path(folder, "plain.onnx"), Path(folder, "int8.onnx")
        # the symbolic inference of shapes knows fewer graphs than onnx's own, which is enough
        quant_pre_process(os.fspath(file), str(plain), skip_symbolic_shape=True)
        # u8 times s8 is what x86's integer instructions multiply
        kinds = dict(activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True)
        quantize_static(str(plain), str(small), Inputs(original.graph.input[0].name), **kinds)
        model = onnx.load(str(small))
    onnx.helper.set_model_props(model, {fact.key: fact.value for fact in original.metadata_props})
    write_atomic(path, model.SerializeToString())
    return Path(path)
