"""Layers by name, and their activations: the input of the last one and the outputs of others, collected by hooks.

with Activations(model, embedding_layer(model, True), named_layers(model, ["layer4"])) as activations:
    model(x)                                  # the windows of a clip are consecutive rows of the batch
    activations.take(len(clips))["layer4"]    # (clips, features): averaged over area, time and windows
"""

from __future__ import annotations

import difflib

import torch
from torch import nn

from ..models.networks import NamedNet

# Layers over (batch, features, steps), and layers over (batch, steps, features)
_ALONG_TIME = (nn.Conv1d, nn.BatchNorm1d, nn.MaxPool1d, nn.AvgPool1d, nn.AdaptiveAvgPool1d, nn.AdaptiveMaxPool1d)
_STEP_BY_STEP = (nn.Linear, nn.LayerNorm, nn.RNNBase, nn.MultiheadAttention)


def embedding_layer(model: nn.Module, embeddings: bool | nn.Module) -> nn.Module | None:
    """The layer whose input is the embedding: the one given, with True the last linear one, with False None."""
    if isinstance(embeddings, nn.Module) or not embeddings:
        return embeddings or None
    linear = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    if not linear:
        raise ValueError(
            f"{type(model).__name__} has no nn.Linear whose input could be the embedding; "
            "pass embeddings=False, or the layer itself as embeddings=learn.model.head"
        )
    return linear[-1]


def find_layer(model: nn.Module, name: str) -> nn.Module:
    """The layer of that name; the end of a name, such as "layer4", is enough where it is unique."""
    known = dict(model.named_modules())
    fitting = [name] if name in known else [full for full in known if full.endswith(f".{name}")]
    if len(fitting) > 1:
        raise ValueError(f"{len(fitting)} layers are called {name!r}; write more of the name, such as {fitting[0]!r}")
    if not fitting:
        near = difflib.get_close_matches(
            name, {part for full in known for part in (full, full.rpartition(".")[2])}, n=5
        )
        hint = f"did you mean {' or '.join(map(repr, sorted(near)))}? " if near else ""
        raise ValueError(f"unknown layer {name!r}; {hint}learn.model.named_modules() names all {len(known)}")
    return known[fitting[0]]


def named_layers(model: nn.Module, layers: str | list[str] | bool | None) -> dict[str, nn.Module]:
    """Layers by name: those named, with None or True the heads of one of our own networks, with False none."""
    heads = model[1].heads if isinstance(model, NamedNet) else {}
    if layers is None or layers is True:
        return heads
    names = [layers] if isinstance(layers, str) else list(layers or [])
    taken = [name for name in names if name in ("embeddings", "probabilities")]
    if taken:
        raise ValueError(
            f"layers={names}: {taken[0]!r} is a reserved name of predictions; write more of the layer's name"
        )
    return {name: heads[name] if name in heads else find_layer(model, name) for name in names}


def _maps_features_last(model: nn.Module) -> set[int]:
    """ids of the layers with maps of (batch, height, width, features), such as those of timm's Swin."""
    nets = [net for net in model.modules() if getattr(net, "output_fmt", None) == "NHWC"]
    return {id(layer) for net in nets for layer in net.modules() if not isinstance(layer, nn.Conv2d)}


def _runs_along_time(layer: nn.Module, end: int) -> bool:
    """Whether its sequences are (batch, features, steps), judged by the first (end 0) or last (-1) inner layer with a fixed order of axes."""
    ordered = [inner for inner in layer.modules() if isinstance(inner, _ALONG_TIME + _STEP_BY_STEP)]
    return bool(ordered) and isinstance(ordered[end], _ALONG_TIME)


def _flat(x: torch.Tensor, axis: int) -> torch.Tensor:
    """(batch, features): maps and sequences averaged over all axes but the batch and the features."""
    return x.movedim(axis, 1).flatten(2).mean(dim=2) if x.ndim > 2 else x


class Activations:
    """Inputs and outputs of layers, batch by batch: a context manager of hooks.

    Parameters
    ----------
    model : nn.Module
        The network.
    inputs_of : nn.Module or None
        The layer whose input is kept, as "embeddings".
    outputs_of : dict of str to nn.Module
        The layers whose outputs are kept, by name.
    """

    def __init__(self, model: nn.Module, inputs_of: nn.Module | None, outputs_of: dict[str, nn.Module]) -> None:
        self.inputs_of, self.outputs_of = inputs_of, outputs_of
        self.last = _maps_features_last(model)
        self.names = ["embeddings"] * (inputs_of is not None) + list(outputs_of)
        self.seen: dict[str, list[torch.Tensor]] = {name: [] for name in self.names}

    def _keep(self, name: str, layer: nn.Module, x: torch.Tensor | tuple, end: int) -> None:
        """Append `x`, the input (end 0) or the output (end -1) of a layer."""
        x = x[0] if isinstance(x, (tuple, list)) else x  # an LSTM returns its states too
        if not getattr(layer, "batch_first", True) and x.ndim == 3:
            x = x.transpose(0, 1)
        first = _runs_along_time(layer, end) if x.ndim == 3 else id(layer) not in self.last
        self.seen[name].append(_flat(x.detach().float(), 1 if first else -1))

    def __enter__(self) -> Activations:
        self.handles = []
        if self.inputs_of is not None:
            self.handles.append(
                self.inputs_of.register_forward_pre_hook(lambda layer, args: self._keep("embeddings", layer, args, 0))
            )
        for name, layer in self.outputs_of.items():
            self.handles.append(
                layer.register_forward_hook(lambda layer, args, out, name=name: self._keep(name, layer, out, -1))
            )
        return self

    def __exit__(self, *exc: object) -> None:
        for handle in self.handles:
            handle.remove()

    def take(self, n: int) -> dict[str, torch.Tensor]:
        """(n, features) of each layer for the last batch, of n clips; the mean over windows where a clip has several."""
        taken = {name: _over_windows(name, seen, n) for name, seen in self.seen.items()}
        for seen in self.seen.values():
            seen.clear()
        return taken


def _over_windows(name: str, seen: list[torch.Tensor], n: int) -> torch.Tensor:
    """(n, features): the mean over the windows of each clip, which are consecutive rows of the batch."""
    if len(seen) != 1 or len(seen[0]) % n:
        layer = "the embedding layer" if name == "embeddings" else f"the layer {name!r}"
        raise ValueError(
            f"{layer} ran {len(seen)} times on {[len(x) for x in seen]} rows for a batch of "
            f"{n} clips; it must run once on each clip or its windows. A compiled model hides its layers: "
            "predict with the plain one, or pass embeddings=False and layers=False"
        )
    return seen[0].reshape(n, -1, seen[0].shape[-1]).mean(dim=1)
