"""Grad-CAM on tensors: the feature maps of a layer, weighted by their gradients.

    maps = class_maps(learn.model, x, targets)               # x (n, channels, height, width) -> (n, height, width) in [0, 1]
    maps = class_maps(learn.model, x, 3, layer="layer3")     # finer, and less specific to the class

The weight of a feature map is the mean over it of the gradient of the class's logit; the weighted sum, without its negative part (ReLU),
is large where there is evidence for the class. It has few cells (in most networks the picture's sides divided by 32), interpolated
over the picture: a location is known to about a cell, not to a pixel.

    "gradcam"    Selvaraju et al., "Grad-CAM", ICCV 2017, equations 1 and 2
    "hirescam"   Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020, equation 7: each cell is weighted by its own gradient. For
                 networks whose dense layers see each cell separately, such as `speech_cnn`: where low frequencies are evidence for a
                 class and high ones against it, their mean gradient is near 0. After global average pooling both methods are equal
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core.values import choose
from .map_layers import MapLayer, detached_output, evaluating, find_map_layers

METHODS = ("gradcam", "hirescam")


def _checked(x: Tensor) -> Tensor:
    if x.ndim not in (4, 5) or not x.is_floating_point() or not len(x):
        raise ValueError(
            f"x is {x.dtype} of the shape {tuple(x.shape)}; give a batch as the network takes it: floats "
            "(n, channels, height, width), or (n, windows, channels, height, width)"
        )
    with torch.inference_mode(False):
        return x.detach().clone().as_subclass(Tensor)


def _numbers(targets, logits: Tensor) -> Tensor:
    """(n,) class numbers; the most probable class for None."""
    n, classes = logits.shape
    best = logits.argmax(1).tolist()
    if not isinstance(targets, Tensor):
        targets = [targets] * n if targets is None or not hasattr(targets, "__len__") else list(targets)
        targets = [best[i % n] if target is None else int(target) for i, target in enumerate(targets)]
    numbers = torch.as_tensor(targets, device=logits.device)
    if numbers.shape != (n,) or numbers.is_floating_point() or numbers.min() < 0 or numbers.max() >= classes:
        raise ValueError(
            f"targets={targets!r}: give one class number from 0 to {classes - 1}, or {n} of them, one per clip"
        )
    return numbers.long()


def _run(model: nn.Module, x: Tensor, targets, layers: list[MapLayer]) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """(output of each layer, its gradients, logits)."""
    with contextlib.ExitStack() as hooks:
        outputs = [hooks.enter_context(detached_output(layer.module)) for layer in layers]
        logits = model(x)
    if logits.ndim != 2 or len(logits) != len(x):
        raise ValueError(
            f"the network returns the shape {tuple(logits.shape)}; Grad-CAM needs logits ({len(x)}, classes)"
        )
    chosen = logits.gather(1, _numbers(targets, logits)[:, None]).sum()  # clips do not share gradients
    given = [output[-1] for output in outputs]
    grads = torch.autograd.grad(chosen, given, allow_unused=True) if chosen.requires_grad else [None] * len(given)
    if any(grad is None for grad in grads):
        raise ValueError(
            f"the network's output does not depend on {layers[0].name!r}; name another layer, or leave layer= out"
        )
    return given, grads, logits.detach()


def _weighted(layer: MapLayer, given: Tensor, grad: Tensor, method: str) -> Tensor:
    """(n, height, width): the weighted sum of the feature maps, without its negative part."""
    maps, grads = layer.read(given.detach()).float(), layer.read(grad).float()
    weights = grads.mean((2, 3), keepdim=True) if method == "gradcam" else grads
    return (maps * weights).sum(1).relu()


def _over_picture(weighted: list[Tensor], layers: list[MapLayer], size: tuple[int, int]) -> Tensor:
    """(n, *size): each layer's map interpolated over the rows that it covers; the mean where several cover one."""
    total = weighted[0].new_zeros(len(weighted[0]), *size)
    times = weighted[0].new_zeros(size[0], 1)
    for layer, cam in zip(layers, weighted):
        top, bottom = (round(share * size[0]) for share in layer.rows)
        stretched = F.interpolate(cam[:, None], (bottom - top, size[1]), mode="bilinear", align_corners=False)
        total[:, top:bottom] += stretched[:, 0]
        times[top:bottom] += 1
    return total / times.clamp(min=1)


def maps_and_logits(
    model: nn.Module, x: Tensor, targets=None, layer: str | list[MapLayer] | None = None, method: str = "gradcam"
) -> tuple[Tensor, Tensor]:
    """(`class_maps`, logits) of one pass; `layer` may also be the result of `find_map_layers`, to reuse it."""
    choose(method, METHODS, "method")
    x = _checked(x)
    with evaluating(model):
        layers = layer if isinstance(layer, list) else find_map_layers(model, x, layer)
        given, grads, logits = _run(model, x, targets, layers)
    weighted = [_weighted(*parts, method) for parts in zip(layers, given, grads)]
    maps = _over_picture(weighted, layers, tuple(x.shape[-2:])).unflatten(0, x.shape[:-3])
    peaks = maps.flatten(1).amax(1).reshape(-1, *[1] * (maps.ndim - 1))
    return maps / peaks.where(peaks != 0, torch.ones_like(peaks)), logits


def class_maps(
    model: nn.Module,
    x: Tensor,
    targets: int | Sequence[int | None] | Tensor | None,
    layer: str | None = None,
    method: str = "gradcam",
) -> Tensor:
    """Class activation maps of a batch: where in each picture there is evidence for a class.

    The network is evaluated as in validation, frozen or not, and left unchanged: modes, gradients, hooks.

    Parameters
    ----------
    model : nn.Module
        A network that returns logits (n, classes).
    x : Tensor
        A batch as the network takes it, float (n, channels, height, width) in [0, 1], or (n, windows, channels, height, width).
    targets : int, sequence of int, Tensor or None
        The number of the class, or one for each clip; None is the most probable.
    layer : str, optional
        Name of the layer to read, such as "layer3"; default the last with maps.
    method : {"gradcam", "hirescam"}, default "gradcam"
        "hirescam" weights each cell by its own gradient, for networks whose dense layers see each cell separately.

    Returns
    -------
    Tensor
        float32 (n, height, width), or (n, windows, height, width), as large as `x`, in [0, 1]: the maximum of a clip is 1; all is 0 where
        there is no evidence, and NaN if the network returns NaN.

    Raises
    ------
    ValueError
        If no layer, or not this one, gives maps, as in `feature_mlp` and `lstm`.

    References
    ----------
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.
    Draelos and Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks", 2020.

    Examples
    --------
    >>> from specimg.interpret import class_maps
    >>> x, _ = dls.valid.one_batch()
    >>> class_maps(learn.model, x, None).shape == (len(x), *dls.size)
    True
    """
    return maps_and_logits(model, x, targets, layer, method)[0]
