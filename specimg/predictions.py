"""Predictions: one pass over the clips, kept as one table.

`predict_all` sends every clip of a loader through the network once and keeps what came out: the probabilities, the
loss, and the embedding, which is what the network's last linear layer was given. Top losses, confusion, t-SNE,
out-of-fold tables and submissions are all read from that one value; nothing is computed twice.

>>> valid = predict_all(learn)                                 # doctest: +SKIP
>>> valid.table.nlargest(3, "loss")[["path", "target"]]        # doctest: +SKIP
>>> valid.save("valid.npz")                                    # doctest: +SKIP
>>> Predictions.load("valid.npz").score("map@3")               # doctest: +SKIP
0.914
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Callback, DataLoader, Learner, Recorder
from torch import nn
from torch.nn import functional as F

from .files import write_whole
from .metrics import get_metric, list_metrics
from .networks import NamedNet
from .values import choose

__all__ = ["Predictions", "predict_all"]

_DERIVED = ["prediction", "confidence", "right"]         # columns made from probabilities and targets
_FIRST = ["path", "picture", "target", "prediction", "loss", "confidence", "right"]
_CARRIED = ["start", "end", "group", "fold", "weight", "recording"]   # taken over from `dl.clips` where known
_THRESHOLD = 0.5                                         # of several labels those of a higher probability are predicted
_FORMAT = 1                                              # of the file that `save` writes
_ALONG_TIME = (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)   # (batch, features, steps)
_STEP_BY_STEP = (nn.Linear, nn.LayerNorm, nn.RNNBase, nn.MultiheadAttention)                                          # (batch, steps, features)


def _is_missing(label) -> bool:
    return bool(pd.api.types.is_scalar(label) and pd.isna(label))


def _plain_target(label, is_multi: bool):
    """A label as str, or several as a list of str; None where it is not known."""
    if _is_missing(label):
        return None
    if not is_multi:
        return str(label)
    if isinstance(label, str):
        raise ValueError(f"the target {label!r} is one label; with is_multi=True give a list of labels")
    return [str(one) for one in label]


def _one_hot(targets: list, vocab: list[str]) -> np.ndarray:
    """(n, classes) bool: which labels each clip has; a clip of unknown target has none."""
    number = {label: i for i, label in enumerate(vocab)}
    hot = np.zeros((len(targets), len(vocab)), dtype=bool)
    for row, labels in enumerate(targets):
        for label in [labels] if isinstance(labels, str) else labels or []:
            if label not in number:
                raise ValueError(f"row {row} has the target {label!r}, which is none of the {len(vocab)} labels of the "
                                 "vocabulary; leave such rows out, or set their target to None")
            hot[row, number[label]] = True
    return hot


def _check_features(name: str, features: np.ndarray | None, n: int) -> None:
    if features is not None and (features.ndim != 2 or len(features) != n):
        raise ValueError(f"{name} has the shape {features.shape}; {n} clips need ({n}, features)")


def _check(table, probs, vocab) -> None:
    if "path" not in table:
        raise ValueError(f"the table has the columns {list(table.columns)}; it needs at least 'path'")
    if len(set(vocab)) != len(vocab):
        raise ValueError(f"the vocabulary names a label twice: {vocab}")
    if probs.shape != (len(table), len(vocab)):
        raise ValueError(f"probs has the shape {probs.shape}; {len(table)} clips and {len(vocab)} labels "
                         f"need {(len(table), len(vocab))}")
    if (probs < 0).any() or (probs > 1 + 1e-3).any():   # half precision rounds 1 upwards
        raise ValueError(f"probs reaches from {np.nanmin(probs):g} to {np.nanmax(probs):g}; probabilities lie between "
                         "0 and 1: give the network's outputs their activation, softmax or sigmoid")


def _metric_function(name: str, is_multi: bool):
    """The metric of that name, if it is one for this kind of target."""
    found = get_metric(name)
    if found.multilabel != is_multi:
        fitting = [other for other in list_metrics() if get_metric(other).multilabel == is_multi]
        raise ValueError(f"the metric {name!r} is for {'several labels' if found.multilabel else 'one label'} a clip; "
                         f"choose one of {', '.join(fitting)}")
    return found.function


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    """The rows of all parts, where every part has them with the same number of features."""
    widths = {None if part is None else part.shape[1] for part in parts}
    return np.concatenate(parts) if len(widths) == 1 and None not in widths else None


class Predictions:
    """What a network said about each of n clips: rows of `table`, `probs` and `embeddings` belong together.

    Parameters
    ----------
    table : DataFrame with `path`; `picture` (a PNG), `target`, `loss` and any further column where known. A target is
        a label, with `is_multi` a list of labels, and None where nobody knows it. Of waveforms there is no picture, but
        `recording`, the file, which `waves.draw_recording` draws.
    probs : (n, classes) in [0, 1].
    vocab : the labels, in the order of the columns of `probs`.
    embeddings : (n, features), or None.
    layers : further embeddings by name, (n, features) each: the heads of a network that has several, or layers asked for.

    Attributes
    ----------
    table : DataFrame: path, picture, target, prediction, loss, confidence, right and the further columns. `prediction`
        is the most probable label, or with `is_multi` the list of labels above 0.5; it is None where probabilities are
        NaN, as a diverged network gives them. `confidence` is the largest probability. `right` is NA where the target
        is not known.
    hot : (n, classes) bool, the targets.
    labelled : (n,) bool, where a target is known.
    """

    def __init__(self, table: pd.DataFrame, probs, vocab, embeddings=None, is_multi: bool = False, layers: dict | None = None):
        self.vocab = [str(label) for label in vocab]
        self.probs = np.asarray(probs, dtype=np.float32)
        self.embeddings = None if embeddings is None else np.asarray(embeddings, dtype=np.float32)
        self.layers = {name: np.asarray(x, dtype=np.float32) for name, x in (layers or {}).items()}
        self.is_multi = bool(is_multi)
        _check(table, self.probs, self.vocab)
        for name, features in {"embeddings": self.embeddings, **self.layers}.items():
            _check_features(name, features, len(table))
        given = table["target"].tolist() if "target" in table else [None] * len(table)
        targets = [_plain_target(label, self.is_multi) for label in given]
        self.hot = _one_hot(targets, self.vocab)
        self.labelled = np.array([target is not None for target in targets], dtype=bool)
        self.table = self._complete(table.reset_index(drop=True), targets)

    def _complete(self, table: pd.DataFrame, targets: list) -> pd.DataFrame:
        """A new table with every column, the known ones first."""
        n = len(table)
        known = ~np.isnan(self.probs).any(axis=1)
        right = pd.array((self.chosen == self.hot).all(axis=1) & known, dtype="boolean")
        right[~self.labelled] = pd.NA
        pictures = table.get("picture", [""] * n if "recording" in table else table["path"])
        columns = {
            "path": table["path"].map(str).to_numpy(object),
            "picture": [str(file) if isinstance(file, (str, os.PathLike)) else "" for file in pictures],
            "target": pd.Series(targets, dtype=object),
            "prediction": pd.Series(self._predictions(known), dtype=object),
            "loss": np.asarray(table.get("loss", np.full(n, np.nan)), dtype=np.float32),
            "confidence": self.probs.max(axis=1, initial=-np.inf),
            "right": right if not self.labelled.all() else right.to_numpy(bool),
        }
        return pd.DataFrame(columns).assign(**{name: table[name] for name in table if name not in _FIRST})

    def _predictions(self, known: np.ndarray) -> list:
        """Labels as users read them; None where `known` is False."""
        labels = [[self.vocab[i] for i in np.flatnonzero(row)] for row in self.chosen]
        return [(row if self.is_multi else row[0]) if ok else None for row, ok in zip(labels, known)]

    @property
    def chosen(self) -> np.ndarray:
        """(n, classes) bool: the predicted labels, one a row unless `is_multi`."""
        if self.is_multi:
            return self.probs > _THRESHOLD
        return np.arange(len(self.vocab)) == self.probs.argmax(axis=1)[:, None]

    def features(self, on: str = "embeddings") -> np.ndarray:
        """(n, features): "embeddings", "probabilities", or one of `layers` by its name.

        Raises ValueError for another name, and where no embeddings were kept.
        """
        choose(on, ["embeddings", "probabilities", *self.layers], "features")
        if on == "embeddings" and self.embeddings is None:
            raise ValueError("these predictions hold no embeddings; predict with embeddings=True, or ask for on='probabilities'")
        return self.probs if on == "probabilities" else self.layers.get(on, self.embeddings)

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        kind = "multi-label, " if self.is_multi else ""
        features = "no embeddings" if self.embeddings is None else f"embeddings of {self.embeddings.shape[1]}"
        return (f"Predictions({len(self)} clips, {self.labelled.sum()} with a target, "
                f"{kind}{len(self.vocab)} labels, {features})")

    def subset(self, mask) -> Predictions:
        """The rows where `mask` is True, in their order; or the rows that whole numbers name. NA counts as False."""
        mask = np.asarray(mask.fillna(False) if isinstance(mask, pd.Series) else mask)
        if mask.dtype == object:
            mask = mask.astype(bool)
        if mask.dtype == bool and mask.shape != (len(self),):
            raise ValueError(f"the mask has the shape {mask.shape}; {len(self)} clips need ({len(self)},)")
        rows = np.arange(len(self))[mask]
        embeddings = None if self.embeddings is None else self.embeddings[rows]
        layers = {name: x[rows] for name, x in self.layers.items()}
        return Predictions(self.table.iloc[rows], self.probs[rows], self.vocab, embeddings, self.is_multi, layers)

    def merge(self, *others: Predictions) -> Predictions:
        """These rows, then those of the others: the folds of a cross-validation become one out-of-fold table.

        All must have one vocabulary in one order. Embeddings stay where every part has them with the same number of
        features; those of two networks do not live in one space, so do not draw them into one t-SNE.
        """
        parts = [self, *others]
        for other in others:
            if other.vocab != self.vocab or other.is_multi != self.is_multi:
                raise ValueError(f"the vocabularies differ, {self.vocab} and {other.vocab}; "
                                 "train all folds with one `vocab` and the same kind of label")
        embeddings = _joined([part.embeddings for part in parts])
        layers = {name: _joined([part.layers.get(name) for part in parts]) for name in self.layers}
        table = pd.concat([part.table.drop(columns=_DERIVED) for part in parts], ignore_index=True)
        layers = {name: x for name, x in layers.items() if x is not None}
        return Predictions(table, np.concatenate([p.probs for p in parts]), self.vocab, embeddings, self.is_multi, layers)

    def score(self, metric="accuracy") -> float:
        """A metric over the clips whose target is known.

        `metric` is a name such as "accuracy" or "map@3" (see `specimg.metrics.list_metrics`), or a function of
        `(y_true, scores)`: class numbers `(n,)`, with `is_multi` 0 and 1 `(n, classes)`; probabilities `(n, classes)`.
        """
        if not self.labelled.any():
            raise ValueError(f"none of the {len(self)} clips has a target; score needs a loader with labels")
        if isinstance(metric, str):
            metric = _metric_function(metric, self.is_multi)
        hot = self.hot[self.labelled]
        return float(metric(hot.astype(int) if self.is_multi else hot.argmax(axis=1), self.probs[self.labelled]))

    def save(self, path: str | os.PathLike) -> None:
        """Write one .npz file: the arrays, and the rest as JSON text. No pickle is in it."""
        columns = {name: self.table[name].tolist() for name in self.table if name not in _DERIVED}
        about = {"format": _FORMAT, "vocab": self.vocab, "is_multi": self.is_multi, "columns": columns, "layers": list(self.layers)}
        text = json.dumps(about, default=str).encode()
        arrays = {"probs": self.probs, "about": np.frombuffer(text, dtype=np.uint8)}
        if self.embeddings is not None:
            arrays["embeddings"] = self.embeddings
        arrays |= {f"layer{i}": x for i, x in enumerate(self.layers.values())}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        write_whole(path, buffer.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> Predictions:
        """Read what `save` wrote. A file that holds anything else, pickled objects above all, is a ValueError."""
        try:
            with np.load(path, allow_pickle=False) as arrays:
                about = json.loads(arrays["about"].tobytes())
                probs, embeddings = arrays["probs"], arrays["embeddings"] if "embeddings" in arrays else None
                layers = {str(name): arrays[f"layer{i}"] for i, name in enumerate(about.get("layers", []))}
            if about["format"] != _FORMAT:
                raise ValueError(f"its format is {about['format']}, this version reads {_FORMAT}")
            return cls(pd.DataFrame(about["columns"]), probs, about["vocab"], embeddings, about["is_multi"], layers)
        except (ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
            raise ValueError(f"{os.fspath(path)}: not predictions that Predictions.save wrote: {exc}") from exc


# One pass of a learner


def _ordered(dl: DataLoader) -> tuple[DataLoader, list[int]]:
    """A copy of the loader that gives every item once, the last batch included, and the item numbers in its order."""
    if not isinstance(dl, DataLoader):
        raise ValueError(f"dl is a {type(dl).__name__}; give a fastai DataLoader such as learn.dls.valid "
                         "or learn.dls.test_dl(files)")
    if not dl.n:
        raise ValueError("the loader holds no clips: nothing to predict; name a validation set with valid_pct, "
                         "valid_col or fold, or pass another `dl` or `ds_idx`")
    dl = dl.new(shuffle=False, drop_last=False)
    rows = list(dl.get_idxs())
    return dl.new(get_idxs=functools.partial(list, rows)), rows


def _clips(dl: DataLoader, rows: list[int], folder) -> pd.DataFrame:
    """path, picture and what else is known of the items `rows`: from `dl.clips`, else from the dataset's own items."""
    clips = getattr(dl, "clips", None)
    if isinstance(clips, pd.DataFrame):
        clips = clips.iloc[rows].reset_index(drop=True)
        if "recording" in clips:   # samples that were given without a file have no name
            clips["recording"] = [file if isinstance(file, str) else "" for file in clips["recording"]]
        return clips[[name for name in ["path", "picture", "label", *_CARRIED] if name in clips]]
    items = getattr(dl, "items", range(dl.n))
    items = items.iloc[:, 0].tolist() if isinstance(items, pd.DataFrame) else items
    named = [items[i] if isinstance(items[i], (str, os.PathLike)) else f"item {i}" for i in rows]
    pictures = [str(Path(folder) / name) for name in named]
    return pd.DataFrame({"path": [str(name) for name in named], "picture": pictures})


def _vocab(dls) -> list[str]:
    """The labels as strings; of several vocabularies the last, which is the target's."""
    vocab = getattr(dls, "vocab", None)
    if vocab is None or not len(vocab):
        raise ValueError("the learner's data have no vocabulary: predictions are kept for classifiers only")
    inner = vocab[-1]
    return [str(label) for label in (vocab if isinstance(inner, str) or not hasattr(inner, "__len__") else inner)]


def activation(loss_func):
    """The function that turns the network's outputs into probabilities."""
    if hasattr(loss_func, "activation"):
        return loss_func.activation
    if isinstance(loss_func, nn.CrossEntropyLoss) or loss_func is F.cross_entropy:
        return functools.partial(torch.softmax, dim=-1)
    if isinstance(loss_func, nn.BCEWithLogitsLoss) or loss_func is F.binary_cross_entropy_with_logits:
        return torch.sigmoid
    raise ValueError(f"the loss {loss_func!r} does not say how outputs become probabilities; "
                     "give it an `activation` method, or pass act=torch.sigmoid or the like")


def _decides_each_label(loss_func, outputs: torch.Tensor) -> bool:
    """Whether this loss is one for several labels a clip, where no targets tell."""
    if hasattr(loss_func, "decodes"):
        return loss_func.decodes(outputs).ndim == 2
    return isinstance(loss_func, nn.BCEWithLogitsLoss) or loss_func is F.binary_cross_entropy_with_logits


def _embedding_layer(model: nn.Module, embeddings) -> nn.Module | None:
    """The layer whose input is the embedding: the one given, else the last linear one."""
    if isinstance(embeddings, nn.Module) or not embeddings:
        return embeddings or None
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ValueError(f"{type(model).__name__} has no nn.Linear whose input could be the embedding; "
                         "pass embeddings=False, or the layer itself as embeddings=learn.model.head")
    return linear[-1]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer of that name, of which the beginning may be left out where the rest is one layer's alone: "layer4"."""
    known = dict(model.named_modules())
    fitting = [name] if name in known else [full for full in known if full.endswith(f".{name}")]
    if len(fitting) > 1:
        raise ValueError(f"{len(fitting)} layers are called {name!r}; write more of the name, such as {fitting[0]!r}")
    if not fitting:
        near = difflib.get_close_matches(name, {part for full in known for part in (full, full.rpartition(".")[2])}, n=5)
        hint = f"did you mean {' or '.join(map(repr, sorted(near)))}? " if near else ""
        raise ValueError(f"unknown layer {name!r}; {hint}learn.model.named_modules() names all {len(known)}")
    return known[fitting[0]]


def _named_layers(model: nn.Module, layers) -> dict[str, nn.Module]:
    """Layers by name: those asked for, else (None, True) the heads of one of our own networks; {} for False."""
    heads = model[1].heads if isinstance(model, NamedNet) else {}
    if layers is None or layers is True:
        return heads
    names = [layers] if isinstance(layers, str) else list(layers or [])
    taken = [name for name in names if name in ("embeddings", "probabilities")]
    if taken:
        raise ValueError(f"layers={names}: {taken[0]!r} is what predictions call something else; write more of the layer's name")
    return {name: heads[name] if name in heads else find_layer(model, name) for name in names}


def _maps_features_last(model: nn.Module) -> set[int]:
    """ids of the layers whose maps are (batch, height, width, features), as those of timm's Swin are."""
    nets = [net for net in model.modules() if getattr(net, "output_fmt", None) == "NHWC"]
    return {id(layer) for net in nets for layer in net.modules() if not isinstance(layer, nn.Conv2d)}


def _runs_along_time(layer: nn.Module, end: int) -> bool:
    """Are its sequences (batch, features, steps)? The first (end 0) or last (-1) layer inside that has an order of its own tells."""
    ordered = [inner for inner in layer.modules() if isinstance(inner, _ALONG_TIME + _STEP_BY_STEP)]
    return bool(ordered) and isinstance(ordered[end], _ALONG_TIME)


def _flat(x: torch.Tensor, axis: int) -> torch.Tensor:
    """(batch, features): maps and sequences averaged over all but the batch and the axis of the features."""
    return x.movedim(axis, 1).flatten(2).mean(dim=2) if x.ndim > 2 else x


class _Watch:
    """What layers are given and give, batch by batch: hooks that fill lists, taken off at the end of `with`.

    inputs_of : the layer whose input is kept as "embeddings"; outputs_of : layers whose outputs are kept, by name
    """

    def __init__(self, model: nn.Module, inputs_of: nn.Module | None, outputs_of: dict[str, nn.Module]):
        self.inputs_of, self.outputs_of = inputs_of, outputs_of
        self.last = _maps_features_last(model)
        self.names = ["embeddings"] * (inputs_of is not None) + list(outputs_of)
        self.seen: dict[str, list[torch.Tensor]] = {name: [] for name in self.names}

    def _keep(self, name: str, layer: nn.Module, x, end: int) -> None:
        """end : 0 where `x` is what the layer is given, -1 where it is what it gives"""
        x = x[0] if isinstance(x, (tuple, list)) else x          # an LSTM gives its states besides
        if not getattr(layer, "batch_first", True) and x.ndim == 3:
            x = x.transpose(0, 1)
        first = _runs_along_time(layer, end) if x.ndim == 3 else id(layer) not in self.last
        self.seen[name].append(_flat(x.detach().float(), 1 if first else -1))

    def __enter__(self) -> _Watch:
        self.handles = []
        if self.inputs_of is not None:
            self.handles.append(self.inputs_of.register_forward_pre_hook(lambda layer, args: self._keep("embeddings", layer, args, 0)))
        for name, layer in self.outputs_of.items():
            self.handles.append(layer.register_forward_hook(lambda layer, args, out, name=name: self._keep(name, layer, out, -1)))
        return self

    def __exit__(self, *exc) -> None:
        for handle in self.handles:
            handle.remove()

    def take(self, n: int) -> dict[str, torch.Tensor]:
        """(n, features) of each layer for the batch of n clips that went through; the mean where a clip has several windows."""
        taken = {name: _over_windows(name, seen, n) for name, seen in self.seen.items()}
        for seen in self.seen.values():
            seen.clear()
        return taken


def _over_windows(name: str, seen: list[torch.Tensor], n: int) -> torch.Tensor:
    """(n, features): what a layer saw in one batch of n clips, whose windows stand one after the other along the batch."""
    if len(seen) != 1 or len(seen[0]) % n:
        layer = "the embedding layer" if name == "embeddings" else f"the layer {name!r}"
        raise ValueError(f"{layer} ran {len(seen)} times on {[len(x) for x in seen]} rows for a batch of "
                         f"{n} clips; it must run once on each clip or its windows. A compiled model hides its layers: "
                         "predict with the plain one, or pass embeddings=False and layers=False")
    return seen[0].reshape(n, -1, seen[0].shape[-1]).mean(dim=1)


def _takes_reduction(loss_func) -> bool:
    return hasattr(loss_func, "reduction") or loss_func in (F.cross_entropy, F.binary_cross_entropy_with_logits)


def _clip_losses(loss_func, loss: torch.Tensor, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(n,): one loss a clip, from the batch's loss where that is not reduced, else computed clip by clip."""
    n = len(pred)
    if loss.numel() % n or (loss.numel() == 1 and n > 1):
        return torch.stack([loss_func(pred[i:i + 1], target[i:i + 1]).mean() for i in range(n)])
    return loss.reshape(n, -1).mean(dim=1)


class _Collector(Callback):
    """Keeps what each batch gave, and what the layers that are watched saw of it."""

    order = -10   # right after the batch, as fastai's own GatherPredsCallback

    def __init__(self, watch: _Watch):
        self.watch = watch
        self.kept = {"outputs": [], "targets": [], "losses": []}
        self.features = {name: [] for name in watch.names}

    def _keep(self, name: str, x: torch.Tensor) -> None:
        self.kept[name].append(x.detach().cpu().as_subclass(torch.Tensor))   # fastai's own tensor types stay behind

    def after_batch(self):
        pred = self.learn.pred
        self._keep("outputs", pred.float())
        if len(self.learn.yb):
            target = self.learn.yb[0]
            self._keep("targets", target)
            self._keep("losses", _clip_losses(self.learn.loss_func, self.learn.loss, pred, target).float())
        for name, x in self.watch.take(len(pred)).items():
            self.features[name].append(x.cpu().as_subclass(torch.Tensor))

    def all(self, name: str) -> torch.Tensor | None:
        """One tensor over all clips, or None where nothing was kept."""
        return torch.cat(self.kept[name]) if self.kept[name] else None


@contextlib.contextmanager
def _quiet_recorder(learn: Learner):
    """An idle Recorder in the place of the learner's own, which would forget the last fit at the start of this pass."""
    recorders, idle = [cb for cb in learn.cbs if isinstance(cb, Recorder)], Recorder(valid_metrics=False)
    learn.remove_cbs(recorders)
    learn.add_cb(idle)   # fastai's progress bar asks for one
    try:
        yield
    finally:
        learn.remove_cb(idle)
        learn.add_cbs(recorders)


def _run_once(learn: Learner, dl: DataLoader, watch: _Watch) -> _Collector:
    """Every batch of `dl` through the network once, with the transforms that validation has."""
    as_valid = getattr(dl.dataset, "set_split_idx", None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(watch)
        stack.enter_context(_quiet_recorder(learn))
        if as_valid is not None:
            stack.enter_context(as_valid(1))
        if _takes_reduction(learn.loss_func):
            stack.enter_context(learn.loss_not_reduced())
        collector = _Collector(watch)
        learn.get_preds(dl=dl, with_preds=False, with_targs=False, reorder=False, cbs=collector)
    return collector


def _decode_targets(targets: torch.Tensor | None, n: int, vocab: list[str], is_multi: bool) -> list:
    if targets is None:
        return [None] * n
    if is_multi:
        return [[vocab[i] for i in np.flatnonzero(row)] for row in targets.numpy() > _THRESHOLD]
    return [vocab[i] for i in targets.reshape(n).tolist()]


def _check_names(clips: pd.DataFrame, targets: list, is_multi: bool) -> None:
    """The labels that `dl.clips` names must be those that the batches carried, or names and numbers do not match."""
    if "label" not in clips or is_multi:
        return
    for path, label, target in zip(clips["path"], clips["label"], targets):
        if target is not None and not _is_missing(label) and str(label) != target:
            raise ValueError(f"{path}: `dl.clips` says {str(label)!r}, the loader gave {target!r}; "
                             "the rows of `dl.clips` must be in the order of the dataset")


def predict_all(learn: Learner, dl: DataLoader | None = None, ds_idx: int = 1, embeddings: bool | nn.Module = True,
                act=None, layers: str | list[str] | bool | None = None) -> Predictions:
    """Send every clip of a loader through the network, once, and keep what came out.

    Neither shuffled nor augmented, whatever the loader does in training; no clip of the last batch is left out. The
    learner's history stays as it is.

    Parameters
    ----------
    dl : a loader such as `learn.dls.test_dl(files)`; without labels the targets are None and the losses NaN.
    ds_idx : which of the learner's loaders, where `dl` is not given: 0 training, 1 validation.
    embeddings : keep the input of the last `nn.Linear`, or of the layer given here, averaged over a clip's windows.
    act : turns the network's outputs into probabilities; by default the loss function's own activation.
    layers : names of layers whose output is kept besides, averaged over time and frequency: "layer4", or one of the
        heads of our own networks (`Net.heads`), which are kept by default; False for none.

    Raises ValueError for a loader without clips, a learner without labels, a network without a linear layer, and for a
    layer that is not there, or whose short name several have.
    """
    vocab, act = _vocab(learn.dls), act or activation(learn.loss_func)
    source = learn.dls[ds_idx] if dl is None else dl
    ordered, rows = _ordered(source)
    watch = _Watch(learn.model, _embedding_layer(learn.model, embeddings), _named_layers(learn.model, layers))
    passed = _run_once(learn, ordered, watch)
    outputs, targets, losses = (passed.all(name) for name in ("outputs", "targets", "losses"))
    n = len(rows)
    if outputs is None or len(outputs) != n:
        raise ValueError(f"the loader gave {0 if outputs is None else len(outputs)} clips of {n}; "
                         "an item transform skips some, or a callback stops the pass")
    is_multi = _decides_each_label(learn.loss_func, outputs) if targets is None else targets.ndim == 2
    clips = _clips(source, rows, learn.dls.path)
    labels = _decode_targets(targets, n, vocab, is_multi)
    _check_names(clips, labels, is_multi)
    table = clips.drop(columns="label", errors="ignore").assign(
        target=pd.Series(labels, dtype=object), loss=np.full(n, np.nan) if losses is None else losses.numpy())
    features = {name: torch.cat(parts).numpy() for name, parts in passed.features.items()}
    return Predictions(table, act(outputs).numpy(), vocab, features.pop("embeddings", None), is_multi, features)
