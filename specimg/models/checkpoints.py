"""Checkpoints of PyTorch Lightning, of which the tensors alone are read: whatever else is pickled in them becomes a placeholder.

Such a `.ckpt` holds hyperparameters, callbacks and optimisers beside the weights, so that torch's `weights_only=True` refuses most of them.
Here pickle finds nothing but what rebuilds tensors: every other name in the file stands for a class that does nothing and keeps nothing.

    read_checkpoint("epoch=9.ckpt")           # {"model.conv1.weight": tensor, ...}, its "state_dict"
"""

from __future__ import annotations

import pickle
import types
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_REBUILD = {
    ("collections", "OrderedDict"),
    ("torch", "Size"),
    ("torch", "device"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch._utils", "_rebuild_tensor_v3"),
    ("torch._utils", "_rebuild_parameter"),
}


class _Placeholder:
    """In place of whatever is no tensor: takes any arguments and any content, and keeps none."""

    def __new__(cls, *args: object, **kwargs: object) -> _Placeholder:
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def _ignore(self, *args: object) -> None:
        pass

    __setstate__ = __setitem__ = append = extend = add = update = _ignore


class _TensorUnpickler(pickle.Unpickler):
    """Finds what rebuilds tensors, and nothing else; torch itself finds their storages."""

    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(getattr(torch, name, None), torch.dtype)
        if is_dtype or (module, name) in _REBUILD:
            return super().find_class(module, name)
        return _Placeholder


def _refuse(*args: object, **kwargs: object) -> None:
    raise ValueError("the format of torch before 1.6 is not read")


_TENSORS_ONLY = types.SimpleNamespace(
    __name__="tensors_only", Unpickler=_TensorUnpickler, load=_refuse, UnpicklingError=pickle.UnpicklingError
)


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of the "state_dict" of a checkpoint by name, on the CPU.

    ValueError if it is none: not a zip archive of torch's, or without a state_dict.
    """
    if not zipfile.is_zipfile(path):
        raise ValueError("it is not a checkpoint of PyTorch")
    with zipfile.ZipFile(path) as archive:
        if any(name.endswith(("constants.pkl", ".py")) for name in archive.namelist()):
            raise ValueError("it is a program of TorchScript")
    found = torch.load(path, map_location="cpu", pickle_module=_TENSORS_ONLY, weights_only=False)
    state = found.get("state_dict", found) if isinstance(found, dict) else None
    if not isinstance(state, dict):
        raise ValueError("it has no state_dict")
    return {name: tensor for name, tensor in state.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
