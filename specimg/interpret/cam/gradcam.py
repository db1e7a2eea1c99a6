"""Grad-CAM on tensors: the maps of a layer, weighed by how much each of them speaks for a class.

    maps = class_maps(learn.model, x, targets)               # x (n, channels, height, width) -> (n, height, width) in [0, 1]
    maps = class_maps(learn.model, x, 3, layer="layer3")     # finer, and less about the class

The weight of a map is the mean of the gradient of the class's logit over it; the maps' weighted sum says where there is something
that speaks for the class, and what speaks against it is cut off (ReLU). A map has few cells (a picture's sides divided by 32, in
most networks), which are spread evenly over the picture: a place is known to about a cell, not to a pixel.

    "gradcam"    Selvaraju et al., Grad-CAM (ICCV 2017), equations 1 and 2
    "hirescam"   Draelos and Carin, Use HiResCAM instead of Grad-CAM (2020), equation 7: each cell under its own gradient. For networks
                 whose dense layers see every cell by itself, such as `speech_cnn`: where low notes speak for a class and high ones
                 against it, the mean gradient is near 0 and says neither. After an average over the map both are the same
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.values import choose
from .layers import MapLayer, Tap, as_in_validation, find_map_layers

__all__ = ["class_maps", "look"]

METHODS = ("gradcam", "hirescam")


def _checked(x: Tensor) -> Tensor:
    if x.ndim not in (4, 5) or not x.is_floating_point() or not len(x):
        raise ValueError(
            f"x is {x.dtype} of the shape {tuple(x.shape)}; give a batch as the network takes it: floats "
            "(n, channels, height, width), or (n, windows, channels, height, width)"
        )
    with torch.inference_mode(False):
        return x.detach().clone().as_subclass(Tensor)


def _numbers(targets, answers: Tensor) -> Tensor:
    """(n,) class numbers; the most probable class where there is None."""
    n, classes = answers.shape
    best = answers.argmax(1).tolist()
    if not isinstance(targets, Tensor):
        targets = [targets] * n if targets is None or not hasattr(targets, "__len__") else list(targets)
        targets = [best[i % n] if target is None else int(target) for i, target in enumerate(targets)]
    numbers = torch.as_tensor(targets, device=answers.device)
    if numbers.shape != (n,) or numbers.is_floating_point() or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(
            f"targets={targets!r}: give one class number from 0 to {classes - 1}, or {n} of them, one a clip"
        )
    return numbers.long()


def _run(model: nn.Module, x: Tensor, targets, layers: list[MapLayer]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """(what each layer gave, its gradients, logits)."""
    taps = [Tap(layer.module) for layer in layers]
    try:
        for tap in taps:
            tap.__enter__()
        answers = model(x)
    finally:
        for tap in taps:
            tap.__exit__()
    if answers.ndim != 2 or len(answers) != len(x):
        raise ValueError(
            f"the network answers with the shape {tuple(answers.shape)}; Grad-CAM needs logits ({len(x)}, classes)"
        )
    chosen = answers.gather(1, _numbers(targets, answers)[:, None]).sum()  # of one sum each clip has its own gradient
    given = [tap.given[-1] for tap in taps]
    grads = torch.autograd.grad(chosen, given, allow_unused=True) if chosen.requires_grad else [None] * len(given)
    if any(grad is None for grad in grads):
        raise ValueError(
            f"the network's answer does not depend on {layers[0].name!r}; name another layer, or leave layer= out"
        )
    return given, grads, answers.detach()


def _weighed(layer: MapLayer, given: Tensor, grad: Tensor, method: str) -> Tensor:
    """(n, height, width): the maps under their weights, without what speaks against the class."""
    maps, grads = layer.read(given.detach()).float(), layer.read(grad).float()
    weights = grads.mean((2, 3), keepdim=True) if method == "gradcam" else grads
    return (maps * weights).sum(1).relu()


def _spread(weighed: list[Tensor], layers: list[MapLayer], size: tuple[int, int]) -> Tensor:
    """(n, *size): each layer's map over the rows that it shows; the mean where several show one."""
    total = weighed[0].new_zeros(len(weighed[0]), *size)
    times = weighed[0].new_zeros(size[0], 1)
    for layer, cam in zip(layers, weighed):
        top, bottom = (round(share * size[0]) for share in layer.rows)
        total[:, top:bottom] += F.interpolate(
            cam[:, None], (bottom - top, size[1]), mode="bilinear", align_corners=False
        )[:, 0]
        times[top:bottom] += 1
    return total / times.clamp(min=1)


def look(
    model: nn.Module, x: Tensor, targets=None, layer: str | list[MapLayer] | None = None, method: str = "gradcam"
) -> tuple[Tensor, Tensor]:
    """(`class_maps`, logits) of one pass; without targets, for the most probable class of each clip.

    layer : as in `class_maps`, or what `find_map_layers` found, to look into the same layers again
    """
    choose(method, METHODS, "method")
    x = _checked(x)
    with as_in_validation(model):
        layers = layer if isinstance(layer, list) else find_map_layers(model, x, layer)
        given, grads, answers = _run(model, x, targets, layers)
    weighed = [_weighed(*parts, method) for parts in zip(layers, given, grads)]
    maps = _spread(weighed, layers, tuple(x.shape[-2:])).unflatten(0, x.shape[:-3])
    peaks = maps.flatten(1).amax(1).reshape(-1, *[1] * (maps.ndim - 1))
    return maps / peaks.where(peaks != 0, torch.ones_like(peaks)), answers


def class_maps(model: nn.Module, x: Tensor, targets, layer: str | None = None, method: str = "gradcam") -> Tensor:
    """Where in each picture there is something that speaks for a class: float32 (n, height, width) in [0, 1], as large as `x`.

    1 is the strongest place of a clip; all is 0 where nothing speaks for the class, and NaN where the network answers NaN. The
    network is used as in validation, frozen or not, and left as it was: modes, gradients, hooks.

    Parameters
    ----------
    x : a batch as the network takes it, (n, channels, height, width), 0 to 1; or (n, windows, channels, height, width), of which
        the maps are (n, windows, height, width), with one strongest place a clip
    targets : the number of the class that is asked for, or one for each clip; None is the most probable
    layer : the name of the layer to look into, such as "layer3"; by default the last that has maps, see `layers`
    method : "gradcam" or "hirescam", see the module

    Raises ValueError where the network has no such layer, as `feature_mlp` and `lstm`, or the layer gives no maps.
    """
    return look(model, x, targets, layer, method)[0]
