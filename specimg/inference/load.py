"""A folder becomes a classifier again, after every check: nothing in it is executed, and nothing that does not fit is taken.

    clf = load_folder(Path("dog-or-not"))       # load_classifier is for users: it takes addresses on the Hub, too

In this order: the JSON's entries (`settings`), size and digest of the golden clips, the size of each file of weights, and the names and
shapes in its header; then the network is built by name, within the memory that its weights call for, and compared with them;
only then are the numbers read, and their digest compared. What else lies in the folder is left alone and named in a warning.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..core.reading import is_number, parse_json
from ..core.text import count, examples
from ..core.warnings import warn
from ..models.networks import create_spec_net
from ..training import TrainingFolder, find_training
from ..training.trained import kind_of
from .calibration import Calibration
from .classifier import Classifier
from .ensemble import Ensemble
from .folder import CARD, FORMAT, GOLDEN, SETTINGS, read_whole, size_of, weights_names
from .settings import Settings, check_settings

MOST_JSON = 2**24  # bytes
MOST_HEADER = 2**24  # bytes, of a file of weights
MOST_WEIGHTS = 2**36  # bytes, of one: 64 GB
MOST_OTHER = 2**26  # bytes, of a golden clip or the card
SLACK = 2**26  # numbers that building a network may make besides its weights: the picture that is tried on it, masks
LARGEST_STEP = 2**29  # numbers that one layer may give for that picture

_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
# functions that make a tensor from numbers
_MAKERS = {
    torch.empty,
    torch.zeros,
    torch.ones,
    torch.full,
    torch.rand,
    torch.randn,
    torch.eye,
    torch.empty_strided,
    torch.arange,
    torch.linspace,
    torch.logspace,
    torch.randint,
    torch.randperm,
}


# ---------------------------------------------------------------------- the JSON


def read_classifier_json(folder: Path):
    """The JSON of classifier.json, unchecked. ValueError, with the folder's name, if there is none."""
    file = folder / SETTINGS
    if not os.path.lexists(file):
        below = sorted(str(found.parent) for found in folder.glob(f"*/{SETTINGS}"))
        hint = f"did you mean {below[0]!r}?" if below else "save_classifier writes one"
        raise ValueError(f"{str(folder)!r} is not a classifier (it has no {SETTINGS}); {hint}")
    try:
        data = read_whole(folder, SETTINGS, MOST_JSON)
    except ValueError as exc:
        raise ValueError(f"{str(folder)!r} cannot be loaded: {exc}") from exc
    return parse_json(data, file, strict=True)


# ---------------------------------------------------------------------- files


def _check_size(folder: Path, name: str, facts: dict, most: int) -> None:
    """ValueError unless the file has the size in `facts`, `most` bytes at most."""
    if facts["bytes"] > most:
        raise ValueError(f"{name} should have {facts['bytes']} bytes; it may have {most}")
    there = size_of(folder, name, facts["bytes"])
    if there != facts["bytes"]:
        raise ValueError(f"{name} has {there} of its {facts['bytes']} bytes: it was cut short; copy the folder again")


def read_checked(folder: Path, name: str, facts: dict, most: int) -> bytes:
    """A file of the classifier. ValueError unless it has the size and the digest in `facts`."""
    _check_size(folder, name, facts, most)
    data = read_whole(folder, name, facts["bytes"])
    if hashlib.sha256(data).hexdigest() != facts["sha256"]:
        raise ValueError(
            f"{name} is not the file that was saved (its sha256 is another): it was changed, or comes from another classifier"
        )
    return data


def _check_others(folder: Path, settings: Settings) -> None:
    """Golden clips must be as they were saved; a changed card is warned of."""
    for name, facts in settings.files.items():
        if name in settings.weights:
            continue
        try:
            read_checked(folder, name, facts, MOST_OTHER)
        except ValueError as exc:
            if name != CARD:
                raise
            warn(f"{str(folder)!r}: {exc}")


def _other_files(folder: Path, settings: Settings) -> list[str]:
    """Names of files in the folder, and in golden/, that are not the classifier's; those that begin with a dot do not count."""
    known = {SETTINGS, *settings.weights, *settings.files}
    places = {"": folder, f"{GOLDEN}/": folder / GOLDEN}
    found = [
        prefix + entry for prefix, place in places.items() if place.is_dir() for entry in sorted(os.listdir(place))
    ]
    # ours begin with a dot, too
    return [name for name in found if name not in {*known, GOLDEN} and not os.path.basename(name).startswith(".")]


# ---------------------------------------------------------------------- weights


def _header_text(file: Path) -> bytes:
    """The JSON at the head of a safetensors file; of the numbers behind it, which may be many, nothing is read."""
    with open(file, "rb") as opened:
        first = opened.read(8)
        length = struct.unpack("<Q", first)[0] if len(first) == 8 else -1
        if not 2 <= length <= min(file.stat().st_size - 8, MOST_HEADER):
            raise ValueError(f"{file.name} is not a safetensors file: its header is cut short, or none")
        return opened.read(length)


def _read_header(file: Path) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
    """Type and shape of each tensor, from the head of a safetensors file. ValueError if it is none."""
    name, text = file.name, _header_text(file)
    try:
        entries = parse_json(text, name, strict=True)
        entries.pop("__metadata__", None)
        found = {key: (_DTYPES[entry["dtype"]], tuple(entry["shape"])) for key, entry in entries.items()}
        valid = all(isinstance(side, int) and 0 <= side < 2**40 for _, shape in found.values() for side in shape)
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"{name} is not a safetensors file: {exc}") from exc
    if not valid:
        raise ValueError(f"{name} is not a safetensors file: a shape is not a list of whole numbers")
    if sum(dtype.itemsize * math.prod(shape) for dtype, shape in found.values()) != file.stat().st_size - 8 - len(text):
        raise ValueError(f"{name} does not hold as many numbers as its header; it was cut short or changed")
    return found


class _Budget(TorchFunctionMode):
    """Within it torch makes so many numbers and no more, whatever a network's name and options ask for: ValueError."""

    def __init__(self, numbers: int):
        super().__init__()
        self.left = self.numbers = numbers

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _MAKERS:
            self._pay(func, args, kwargs)
        out = func(*args, **kwargs)
        if isinstance(out, Tensor) and out.numel() > LARGEST_STEP:
            raise ValueError(f"the network makes {out.numel()} numbers at once of its input; that is absurd")
        return out

    def _pay(self, func, args, kwargs) -> None:
        self.left -= _numbers_made(func, args, kwargs)
        if self.left < 0:
            raise ValueError(
                f"the network asks for more memory than its weights have numbers ({self.numbers} with all that building "
                "takes): they are not this network's"
            )


def _numbers_made(func, args, kwargs) -> int:
    """How many numbers a maker makes."""
    sizes = [part for part in args if is_number(part)]
    if func in (torch.arange, torch.linspace, torch.logspace, torch.randperm):
        named = [value for value in kwargs.values() if isinstance(value, (int, float))]
        return int(max([abs(size) for size in (*sizes, *named) if math.isfinite(size)], default=0))
    shape = kwargs.get("size", next((part for part in args if isinstance(part, (tuple, list))), sizes))
    return math.prod(int(side) for side in shape) if isinstance(shape, (tuple, list)) else 0


def _build(network: dict, numbers: int) -> nn.Module:
    """The network that the folder names, with random weights that leave no trace. numbers : of its weights."""
    try:
        with torch.random.fork_rng(devices=[]), _Budget(3 * numbers + SLACK):
            return create_spec_net(**network)
    except ValueError:
        raise
    except Exception as exc:  # networks refuse what they cannot be in a dozen ways
        raise ValueError(
            f"the network {network['arch']} cannot be made with these options: {type(exc).__name__}: {exc}"
        ) from exc


def _compare(model: nn.Module, header: dict, name: str) -> None:
    """ValueError unless the weights are those of this network: the same names, shapes and types."""
    wanted = {key: (tensor.dtype, tuple(tensor.shape)) for key, tensor in model.state_dict().items()}
    lost, more = sorted(set(wanted) - set(header)), sorted(set(header) - set(wanted))
    if lost or more:
        parts = [
            f"{len(names)} {what} ({examples(names, 2)})"
            for names, what in ((lost, "lack"), (more, "are not of it"))
            if names
        ]
        raise ValueError(f"{name} holds the weights of another network: of {len(wanted)} tensors {' and '.join(parts)}")
    for key in sorted(wanted):
        if wanted[key] != header[key]:
            (here, size), (there, other) = wanted[key], header[key]
            raise ValueError(
                f"{name} holds the weights of another network: {key} is {there} of shape {list(other)}, "
                f"not {here} of shape {list(size)}".replace("torch.", "")
            )


def _load_network(folder: Path, name: str, settings: Settings) -> nn.Module:
    """One network with the weights in the file `name`, whose numbers are read when all else fits."""
    facts = settings.files.get(name)  # format 1 has none
    if facts:
        _check_size(folder, name, facts, MOST_WEIGHTS)
    else:
        size_of(folder, name, MOST_WEIGHTS)
    header = _read_header(folder / name)
    model = _build(settings.network_options, sum(math.prod(shape) for _, shape in header.values()))
    _compare(model, header, name)
    data = read_checked(folder, name, facts, MOST_WEIGHTS) if facts else read_whole(folder, name, MOST_WEIGHTS)
    model.load_state_dict(load(data))
    return model.eval()


# ---------------------------------------------------------------------- the whole


def _classifier(model: nn.Module, settings: Settings, folder: Path) -> Classifier:
    about = {"training": settings.training, "versions": settings.versions, "folder": str(folder.absolute())}
    return Classifier(
        model,
        settings.input,
        list(settings.vocab),
        settings.is_multi,
        settings.calibration,
        settings.network_options,
        about,
        settings.post_processing,
    )


def _load(folder: Path, data) -> tuple[Classifier, Settings]:
    settings = check_settings(data)
    _check_others(folder, settings)
    networks = [_load_network(folder, name, settings) for name in settings.weights]
    model = networks[0] if len(networks) == 1 else Ensemble(networks, settings.is_multi).eval()
    return _classifier(model, settings, folder), settings


@contextmanager
def _named(folder: Path) -> Iterator[None]:
    """Within it whatever a folder makes torch, JSON and the system raise is a ValueError with the folder's name."""
    try:
        yield
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        OSError,
        OverflowError,
        MemoryError,
        RecursionError,
        SafetensorError,
    ) as exc:
        reason = " ".join(str(exc).split())  # torch's go over many lines
        kind = "" if type(exc) is ValueError else f"{type(exc).__name__}: "
        raise ValueError(f"{str(folder)!r} cannot be loaded: {kind}{reason[:500]}") from exc


def _load_training(folder: Path) -> Classifier:
    """The classifier in a training folder of `fit`, with the weights that `load_training` takes."""
    training = TrainingFolder(folder)
    facts = training.facts()
    if not facts.get("classifier"):
        raise ValueError(
            "its training.json does not say how recordings come to the network, because its learner did not know or is of an earlier "
            "version; save_classifier(learn, ...) keeps a learner of SpecDataLoaders"
        )
    network = facts["network"]
    about = {"network": network["arch"], "weights_from": facts["weights_from"], "clips": network["training_items"]}
    files = {name: {"bytes": 0, "sha256": "0" * 64} for name in weights_names(1)}
    entries = {"versions": facts["versions"], "calibration": Calibration().to_dict(), "training": about, "files": files}
    settings = check_settings({"format": FORMAT, **facts["classifier"], **entries, "weights": weights_names(1)})
    weights, finished = training.weights()
    model = _build(settings.network_options, sum(tensor.numel() for tensor in weights.values()))
    _compare(model, {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in weights.items()}, "its checkpoint")
    model.load_state_dict(weights)
    if not finished:
        warn(f"the training in {str(folder)!r} is not finished: its last epoch predicts")
    return _classifier(model.eval(), settings, folder)


def load_folder(folder: Path) -> Classifier:
    """The classifier in a folder of `save_classifier`, of `fit(out=)` or of `specimg train`. ValueError with the reason if there is none."""
    kind = kind_of(folder)
    if kind == "trained":
        return load_folder(find_training(folder).classifier)
    if kind == "training":
        with _named(folder):
            return _load_training(folder)
    data = read_classifier_json(folder)
    with _named(folder):
        clf, settings = _load(folder, data)
    others = _other_files(folder, settings)
    if others:
        warn(
            f"{count(len(others), 'file')} in {str(folder)!r} not the classifier's, and not opened ({examples(others)})"
        )
    return clf
