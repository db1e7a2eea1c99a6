"""A classifier as one file for other programs: ONNX, which needs neither specimg nor torch to run, or torch's own exported program.

    clf = load_classifier("digits/")
    clf.to_onnx("digits.onnx")                       # pictures -> probabilities
    clf.to_onnx("digits-audio.onnx", audio=True)     # samples -> probabilities

With `audio=True` all of it is in the graph: framing, window, Fourier transform, filters, decibels, 8 bits, resizing,
normalisation, network, temperature, softmax. To read a recording is all that is left outside:

    import json
    import numpy as np, onnxruntime, soundfile

    session = onnxruntime.InferenceSession("digits-audio.onnx")
    facts = session.get_modelmeta().custom_metadata_map
    y, sr = soundfile.read("seven.wav", dtype="float32", always_2d=True)
    if sr != int(facts["sample_rate"]):
        raise SystemExit(f"resample from {sr} to {facts['sample_rate']} Hz first")
    mono = y.mean(axis=1) if facts["channel"] == "mean" else y[:, int(facts["channel"])]
    probabilities = session.run(["probabilities"], {"samples": mono[np.newaxis]})[0][0]
    print(json.loads(facts["labels"])[probabilities.argmax()], probabilities.max())

The file holds what such a program has to know: labels, sampling rate, size, thresholds (see `graph_facts`). Batches are of any size.
Nothing in a graph can refuse an unreadable recording: NaN comes out as NaN, and clips shorter than `fewest_samples` are an error or nonsense.
"""

from __future__ import annotations

import copy
import io
import json
import os
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from ... import __version__
from ...core.files import write_atomic
from ...data.graph.front import front_end
from ..predictor import Predictor

OPSET = 18  # of ONNX: the lowest that torch's exporter writes; onnxruntime 1.14 reads it


class ProbabilityNet(nn.Module):
    """Input -> probabilities float32 `(batch, classes)`: a front end where there is one, the network, temperature, softmax or sigmoid.

    Of a network with frames, both: of clips, and of frames `(batch, frames, classes)`.
    """

    def __init__(self, clf: Predictor, front: nn.Module):
        super().__init__()
        self.front, self.network, self.activate = front, copy.deepcopy(clf.model).cpu(), clf.activate

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if not getattr(self.network, "has_frames", False):
            return self.activate(self.network(self.front(x)))
        return tuple(map(self.activate, self.network.answers(self.front(x))))


# ---------------------------------------------------------------------- what goes in


def _n_samples(seconds: float | None, sr: int | None) -> int | None:
    if seconds is None:
        return None
    if not seconds > 0:
        raise ValueError(
            f"seconds={seconds!r}: give a number above 0, the length of every clip, or None for clips of any length"
        )
    return max(1, round(seconds * sr))


def _front_end(clf: Predictor, seconds: float | None, sr: int | None) -> tuple[nn.Module, int | None]:
    """(the module from samples to the network's input, the number of samples if it is fixed)."""
    rate = clf.input.audio.sr or sr
    n_samples = _n_samples(seconds, rate) if rate else None  # the front end refuses a missing one
    return front_end(clf.input, sr, n_samples), n_samples


def _example(clf: Predictor, front: nn.Module, n_samples: int | None) -> tuple[str, Tensor, dict[int, object]]:
    """(name of the input, an example of it, the axes of any length)."""
    any_size = torch.export.Dim.DYNAMIC
    if isinstance(front, nn.Identity):
        return (clf.input.name, torch.zeros(2, clf.input.channels, *clf.input.size), {0: any_size})
    if n_samples is not None:
        return "samples", torch.zeros(2, n_samples), {0: any_size}
    return "samples", torch.zeros(2, 4 * max(front.fewest, front.sr)), {0: any_size, 1: any_size}


def graph_facts(clf: Predictor, front: nn.Module, n_samples: int | None) -> dict[str, str]:
    """What is written beside the graph, as strings; lists and the renderer as JSON."""
    facts = {
        "specimg": __version__,
        "labels": json.dumps(clf.vocab, ensure_ascii=False),
        "several_labels": json.dumps(clf.is_multi),
        "height": str(clf.input.size[0]),
        "width": str(clf.input.size[1]),
        "channels": str(clf.input.channels),
        "temperature": repr(float(clf.temperature)),
    }
    if clf.is_multi:
        facts["thresholds"] = json.dumps([float(t) for t in clf.thresholds])
    if clf.input.renderer is not None:
        facts["renderer"] = clf.input.renderer.to_json()
    if not isinstance(front, nn.Identity):
        facts |= {"sample_rate": str(front.sr), "channel": str(clf.input.audio.channel)}
        facts |= {"samples": str(n_samples or "any"), "fewest_samples": str(front.fewest)}
    return facts


def _exported(clf: Predictor, audio: bool, seconds: float | None, sr: int | None):
    """(torch's exported program, the input's name, the facts)."""
    if not hasattr(getattr(torch.export, "Dim", None), "DYNAMIC"):
        raise ImportError(f"exporting needs torch 2.6 or later, and this is {torch.__version__}")
    if not audio and (seconds is not None or sr is not None):
        raise ValueError("seconds= and sr= are of samples, and this graph begins with the picture; give audio=True too")
    front, n_samples = _front_end(clf, seconds, sr) if audio else (nn.Identity(), None)
    name, example, any_size = _example(clf, front, n_samples)
    net = ProbabilityNet(clf, front).eval()
    with torch.no_grad(), warnings.catch_warnings():
        # of torch to itself: names that it will drop, how it keeps the weights of an LSTM
        warnings.simplefilter("ignore")
        program = torch.export.export(net, (example,), dynamic_shapes=(any_size,), strict=False)
    return program, name, graph_facts(clf, front, n_samples)


# ---------------------------------------------------------------------- ONNX


def _onnx():
    try:
        import onnx
        import onnxscript  # noqa: F401  torch's exporter is written in it
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"ONNX files need the packages onnx and onnxscript, and {exc.name} is not installed: "
            f"pip install specimg[onnx]"
        ) from exc
    return onnx


def _without_traces(model) -> None:
    """Remove where in whose files each node was made: as large as the graph, and private."""
    for holder in [model.graph, *model.functions]:
        for part in [*holder.node, *getattr(holder, "value_info", ())]:
            del part.metadata_props[:]
            part.ClearField("doc_string")


def onnx_bytes(
    clf: Predictor, *, audio: bool = False, seconds: float | None = None, sr: int | None = None, opset: int = OPSET
) -> bytes:
    """The file of `to_onnx`, in memory.

    Parameters
    ----------
    clf, audio, seconds, sr, opset
        As in `to_onnx`.

    Returns
    -------
    bytes
        An ONNX model.

    Raises
    ------
    ValueError, ModuleNotFoundError
        As of `to_onnx`.
    """
    onnx = _onnx()
    if opset < OPSET:
        raise ValueError(f"opset={opset}: torch's exporter writes {OPSET} and later")
    program, name, facts = _exported(clf, audio, seconds, sr)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        written = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=opset,
            verbose=False,
            input_names=[name],
            output_names=["probabilities", "frames"] if clf.has_frames else ["probabilities"],
        )
    model = written.model_proto
    _without_traces(model)
    onnx.helper.set_model_props(model, facts)
    return model.SerializeToString()


def to_onnx(
    clf: Predictor,
    path: str | os.PathLike,
    *,
    audio: bool = False,
    seconds: float | None = None,
    sr: int | None = None,
    opset: int = OPSET,
) -> Path:
    """Write a classifier as one ONNX file: normalisation, network, temperature, and softmax or sigmoid.

    Of a network with head="attention" there is a second output, "frames", float32 `(batch, frames, classes)`, which divide the picture
    evenly in time. The input is "picture", float32 `(batch, channels, height, width)` in [0, 1], as `Classifier.to_input` returns it ("waveform",
    `(batch, 1, 1, samples)`, for networks of waveforms); with `audio=True` it is "samples", float32 `(batch, n)` in [-1, 1], mono, at
    the file's "sample_rate". The output is "probabilities", float32 `(batch, classes)`. An ensemble is one graph.

    Parameters
    ----------
    clf : Classifier
        The classifier.
    path : str or path
        The file; what stands there is replaced.
    audio : bool, default False
        Put the drawing into the graph, too.
    seconds : float, default None
        The one length of all clips, for runtimes that want it fixed; clips of other lengths are then cut or padded outside, which
        changes the picture where pictures are squished. None: clips of any length, as `predict` takes them; of one length in a batch.
    sr : int, default None
        Hz of the samples, where the renderer leaves it open (`Audio(sr=None)`).
    opset : int, default 18
        Version of ONNX's operators, 18 or more.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        If `audio=True` and something in the renderer cannot be part of a graph (all of it is named), and if `path` is a folder.
    ModuleNotFoundError
        Without the packages onnx and onnxscript.

    Examples
    --------
    >>> clf.to_onnx("cat-or-dog.onnx", audio=True, sr=8000).name
    'cat-or-dog.onnx'
    """
    if os.path.isdir(path):
        raise ValueError(f"{os.fspath(path)!r} is a folder; give a file, such as dog.onnx")
    write_atomic(path, onnx_bytes(clf, audio=audio, seconds=seconds, sr=sr, opset=opset))
    return Path(path)


# ---------------------------------------------------------------------- torch


def to_exported(
    clf: Predictor, path: str | os.PathLike, *, audio: bool = False, seconds: float | None = None, sr: int | None = None
) -> Path:
    """Write a classifier as a program of `torch.export` (a .pt2 file), with the input and output of `to_onnx`.

    `torch.export.load(path).module()(x)` predicts without specimg. Such a file is a zip archive that may hold pickles, so load one only
    from somebody you trust; specimg itself never loads one. The facts of `to_onnx` are in it as "specimg.json".

    Parameters
    ----------
    clf, path, audio, seconds, sr
        As in `to_onnx`.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ValueError
        As of `to_onnx`.
    """
    program, _, facts = _exported(clf, audio, seconds, sr)
    file = io.BytesIO()
    torch.export.save(program, file, extra_files={"specimg.json": json.dumps(facts)})
    write_atomic(path, file.getvalue())
    return Path(path)
