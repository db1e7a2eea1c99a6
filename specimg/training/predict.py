"""One pass of a learner over the clips of a loader: each once, neither shuffled nor augmented, and everything kept.

    valid = predict_all(learn)                                  # Predictions of the validation set
    test = predict_all(learn, dl=learn.dls.test_dl(files))      # without targets
    predict_all(learn, layers=["layer3"]).layers["layer3"]      # and the output of a layer

The learner is left unchanged: its history, its callbacks, its hooks.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Callback, DataLoader, DataLoaders, Learner, Recorder
from torch import nn
from torch.nn import functional as F

from ..core.text import count, examples
from .layers import Activations, embedding_layer, named_layers
from .predictions import THRESHOLD, Predictions, is_missing
from .ranks import alone

_CARRIED = ["start", "end", "group", "fold", "weight", "recording"]  # taken over from `dl.clips` where known


def _ordered(dl: DataLoader) -> tuple[DataLoader, list[int]]:
    """A copy of the loader that yields every item once, the last batch included, and the item numbers in its order."""
    if not isinstance(dl, DataLoader):
        raise ValueError(
            f"dl is a {type(dl).__name__}; give a fastai DataLoader such as learn.dls.valid or learn.dls.test_dl(files)"
        )
    if not dl.n:
        raise ValueError(
            "the loader holds no clips: nothing to predict; name a validation set with valid_pct, "
            "valid_col or fold, or pass another `dl` or `ds_idx`"
        )
    dl = dl.new(shuffle=False, drop_last=False)
    rows = list(dl.get_idxs())
    return dl.new(get_idxs=functools.partial(list, rows)), rows


def _clips(dl: DataLoader, rows: list[int], folder: str | Path) -> pd.DataFrame:
    """path, picture and what else is known of the items `rows`: from `dl.clips`, else from the dataset's items."""
    clips = getattr(dl, "clips", None)
    if isinstance(clips, pd.DataFrame):
        clips = clips.iloc[rows].reset_index(drop=True)
        if "recording" in clips:  # samples without a file have no name
            clips["recording"] = [file if isinstance(file, str) else "" for file in clips["recording"]]
        return clips[[name for name in ["path", "picture", "label", *_CARRIED] if name in clips]]
    items = getattr(dl, "items", range(dl.n))
    items = items.iloc[:, 0].tolist() if isinstance(items, pd.DataFrame) else items
    named = [items[i] if isinstance(items[i], (str, os.PathLike)) else f"item {i}" for i in rows]
    pictures = [str(Path(folder) / name) for name in named]
    return pd.DataFrame({"path": [str(name) for name in named], "picture": pictures})


def _vocab(dls: DataLoaders) -> list[str]:
    """The labels as strings; of several vocabularies the last, which is the target's."""
    vocab = getattr(dls, "vocab", None)
    if vocab is None or not len(vocab):
        raise ValueError("the learner's data have no vocabulary: predictions are kept for classifiers only")
    inner = vocab[-1]
    return [str(label) for label in (vocab if isinstance(inner, str) or not hasattr(inner, "__len__") else inner)]


def activation(loss_func: Callable) -> Callable[[torch.Tensor], torch.Tensor]:
    """The function that turns the network's outputs into probabilities."""
    if hasattr(loss_func, "activation"):
        return loss_func.activation
    if isinstance(loss_func, nn.CrossEntropyLoss) or loss_func is F.cross_entropy:
        return functools.partial(torch.softmax, dim=-1)
    if isinstance(loss_func, nn.BCEWithLogitsLoss) or loss_func is F.binary_cross_entropy_with_logits:
        return torch.sigmoid
    raise ValueError(
        f"the loss {loss_func!r} does not define how outputs become probabilities; "
        "give it an `activation` method, or pass act=torch.sigmoid or the like"
    )


def _is_multi(loss_func: Callable, outputs: torch.Tensor) -> bool:
    """Whether this loss is one for several labels a clip. For loaders without targets."""
    if hasattr(loss_func, "decodes"):
        return loss_func.decodes(outputs).ndim == 2
    return isinstance(loss_func, nn.BCEWithLogitsLoss) or loss_func is F.binary_cross_entropy_with_logits


def _takes_reduction(loss_func: Callable) -> bool:
    """Whether it can return one loss per item."""
    return hasattr(loss_func, "reduction") or loss_func in (F.cross_entropy, F.binary_cross_entropy_with_logits)


def _clip_losses(loss_func: Callable, loss: torch.Tensor, pred: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(n,): the loss of each clip, from the batch's loss if that is not reduced, else computed clip by clip."""
    n = len(pred)
    if loss.numel() % n or (loss.numel() == 1 and n > 1):
        return torch.stack([loss_func(pred[i : i + 1], target[i : i + 1]).mean() for i in range(n)])
    return loss.reshape(n, -1).mean(dim=1)


class _Collector(Callback):
    """Collects outputs, targets, losses and layers' activations of each batch."""

    order = -10  # right after the batch, as fastai's own GatherPredsCallback

    def __init__(self, activations: Activations) -> None:
        self.activations = activations
        self.kept = {"outputs": [], "targets": [], "losses": []}
        self.features = {name: [] for name in activations.names}
        self.rows: list[int] | None = []  # numbers of the items; None if the loader does not know them

    def _keep(self, name: str, x: torch.Tensor) -> None:
        self.kept[name].append(x.detach().cpu().as_subclass(torch.Tensor))  # without fastai's tensor types

    def after_batch(self) -> None:
        pred, seen = self.learn.pred, getattr(self.learn.xb[0], "clips", None)
        self.rows = None if seen is None or self.rows is None else [*self.rows, *(row for row, _ in seen)]
        self._keep("outputs", pred.float())
        if len(self.learn.yb):
            target = self.learn.yb[0]
            self._keep("targets", target)
            self._keep("losses", _clip_losses(self.learn.loss_func, self.learn.loss, pred, target).float())
        for name, x in self.activations.take(len(pred)).items():
            self.features[name].append(x.cpu().as_subclass(torch.Tensor))

    def all(self, name: str) -> torch.Tensor | None:
        """One tensor over all clips; None if nothing was kept."""
        return torch.cat(self.kept[name]) if self.kept[name] else None


@contextlib.contextmanager
def idle_recorder(learn: Learner, metrics: bool = False) -> Iterator[None]:
    """An idle Recorder in place of the learner's own, which would reset its history at the start of this pass."""
    recorders, idle = [cb for cb in learn.cbs if isinstance(cb, Recorder)], Recorder(valid_metrics=metrics)
    learn.remove_cbs(recorders)
    learn.add_cb(idle)  # fastai's progress bar needs one
    try:
        yield
    finally:
        learn.remove_cb(idle)
        learn.add_cbs(recorders)


def _run_once(learn: Learner, dl: DataLoader, activations: Activations) -> _Collector:
    """Every batch of `dl` through the network once, with the transforms that validation has."""
    as_valid = getattr(dl.dataset, "set_split_idx", None)
    with contextlib.ExitStack() as stack:
        stack.enter_context(alone(learn))  # also where several processes train: each that asks predicts every clip
        stack.enter_context(activations)
        stack.enter_context(idle_recorder(learn))
        if as_valid is not None:
            stack.enter_context(as_valid(1))
        if _takes_reduction(learn.loss_func):
            stack.enter_context(learn.loss_not_reduced())
        collector = _Collector(activations)
        learn.get_preds(dl=dl, with_preds=False, with_targs=False, reorder=False, cbs=collector)
    return collector


def _pictures_gone(clips: pd.DataFrame) -> str:
    """The message where the pass found a file missing."""
    gone = [file for file in clips.get("picture", []) if isinstance(file, str) and file and not os.path.exists(file)]
    return (
        f"{count(len(gone), 'picture')} of {len(clips)} gone ({examples(gone)}); create the DataLoaders again, which redraws them, "
        "or load predictions that were saved"
    )


def _decode_targets(targets: torch.Tensor | None, n: int, vocab: list[str], is_multi: bool) -> list:
    if targets is None:
        return [None] * n
    if is_multi:
        return [[vocab[i] for i in np.flatnonzero(row)] for row in targets.numpy() > THRESHOLD]
    return [vocab[i] for i in targets.reshape(n).tolist()]


def _check_names(clips: pd.DataFrame, targets: list, is_multi: bool) -> None:
    """The labels that `dl.clips` names must be those that the batches carried, or names and numbers do not match."""
    if "label" not in clips or is_multi:
        return
    for path, label, target in zip(clips["path"], clips["label"], targets):
        if target is not None and not is_missing(label) and str(label) != target:
            raise ValueError(
                f"{path}: `dl.clips` has {str(label)!r}, the loader gave {target!r}; "
                "the rows of `dl.clips` must be in the order of the dataset"
            )


def predict_all(
    learn: Learner,
    dl: DataLoader | None = None,
    ds_idx: int = 1,
    embeddings: bool | nn.Module = True,
    act: Callable[[torch.Tensor], torch.Tensor] | None = None,
    layers: str | list[str] | bool | None = None,
) -> Predictions:
    """Predict every clip of a loader, once, and keep what came out.

    Neither shuffled nor augmented, whatever the loader does in training; the last batch is complete. The learner's history is
    unchanged.

    Parameters
    ----------
    learn : Learner
        A trained classifier.
    dl : DataLoader, optional
        Such as `learn.dls.test_dl(files)`; without labels targets are None and losses NaN. None is loader `ds_idx` of `learn.dls`.
    ds_idx : int, default 1
        0 training, 1 validation.
    embeddings : bool or nn.Module, default True
        Keep the input of the last `nn.Linear`, or of the layer given, averaged over a clip's windows.
    act : callable, optional
        Turns the network's outputs into probabilities; None is the loss function's own activation.
    layers : str, list of str or bool, optional
        Layers whose outputs are kept too, averaged over time and frequency: "layer4", or heads of our own networks (`Net.heads`).
        None keeps those heads, False nothing.

    Returns
    -------
    Predictions
        One row per clip, in the loader's order. Clips whose picture is damaged are left out, with a warning each.

    Raises
    ------
    ValueError
        The loader has no clips, the learner no labels, the network no linear layer; a layer is unknown or its short name ambiguous.

    Examples
    --------
    >>> from specimg.training import predict_all
    >>> with learn.no_bar():
    ...     valid = predict_all(learn)
    >>> len(valid) == len(learn.dls.valid_ds), valid.probs.shape[1], valid.vocab
    (True, 2, ['cat', 'dog'])
    """
    vocab, act = _vocab(learn.dls), act or activation(learn.loss_func)
    source = learn.dls[ds_idx] if dl is None else dl
    ordered, rows = _ordered(source)
    activations = Activations(learn.model, embedding_layer(learn.model, embeddings), named_layers(learn.model, layers))
    clips = _clips(source, rows, learn.dls.path)
    try:
        passed = _run_once(learn, ordered, activations)
    except FileNotFoundError as exc:
        raise ValueError(_pictures_gone(clips)) from exc
    outputs, targets, losses = (passed.all(name) for name in ("outputs", "targets", "losses"))
    # of the others, which the loader names, the pictures cannot be read
    if passed.rows and len(passed.rows) < len(rows):
        rows = passed.rows
        clips = _clips(source, rows, learn.dls.path)
    n = len(rows)
    if outputs is None or len(outputs) != n:
        raise ValueError(
            f"the loader gave {0 if outputs is None else len(outputs)} clips of {n}; "
            "an item transform skips some, or a callback stops the pass"
        )
    is_multi = _is_multi(learn.loss_func, outputs) if targets is None else targets.ndim == 2
    labels = _decode_targets(targets, n, vocab, is_multi)
    _check_names(clips, labels, is_multi)
    table = clips.drop(columns="label", errors="ignore").assign(
        target=pd.Series(labels, dtype=object), loss=np.full(n, np.nan) if losses is None else losses.numpy()
    )
    features = {name: torch.cat(parts).numpy() for name, parts in passed.features.items()}
    return Predictions(table, act(outputs).numpy(), vocab, features.pop("embeddings", None), is_multi, features)
