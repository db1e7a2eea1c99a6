"""Which layer of a network Grad-CAM reads, and how its output is read as maps.

It is the last layer whose output still has time and frequency, and through which every path from input to output leads. This is tested
on one picture (a branch of an Inception block, or the inside of a residual one, fails), so no list of architectures is needed:

- a convolutional network: the maps before its last pooling, `(batch, features, height, width)`, also with channels last
- a transformer: the last tokens that can still change the output, on the grid of the last map before them. With a class token these are
  the tokens that the last block attends to
- `subspectral_net`: the same of each band, each for its own rows

Maps of one row or one column are used only if there are no larger ones.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...models.nets.averaged import FeatureCNN
from ...models.nets.backbone import ChannelsFirst
from ...models.nets.subspectral import SubSpectralNet
from ...models.networks import NamedNet, Normalise, SpecNet
from ...training.layers import find_layer

MOST_PREFIX = 16  # tokens before those of the grid: class, distillation, registers
_FEATURES_FIRST = (nn.Conv2d, nn.BatchNorm2d, ChannelsFirst)  # whatever the network around them does


@dataclass(frozen=True)
class MapLayer:
    """A layer, and how to read its output as maps."""

    module: nn.Module
    name: str
    channels_last: bool = False  # (batch, height, width, features)
    grid: tuple[int, int] | None = None  # height, width of tokens (batch, others + grid, features)
    rows: tuple[float, float] = (0.0, 1.0)  # the part of the picture's height that the maps show, from the top

    def read(self, out: Tensor) -> Tensor:
        """The output of the layer as (batch, features, height, width)."""
        if self.grid is not None:
            height, width = self.grid
            return out[:, out.shape[1] - height * width :].transpose(1, 2).unflatten(2, self.grid)
        return out.permute(0, 3, 1, 2) if self.channels_last else out


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """The network in evaluation mode, with gradients; afterwards each module is in its previous mode."""
    modes = [(module, module.training) for module in model.modules()]
    recurrent = any(isinstance(module, nn.RNNBase) for module in model.modules())
    # cuDNN's have no gradient in evaluation mode
    plain = torch.backends.cudnn.flags(enabled=False) if recurrent else contextlib.nullcontext()
    try:
        model.eval()
        with torch.inference_mode(False), torch.enable_grad(), plain:
            yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextlib.contextmanager
def detached_output(layer: nn.Module) -> Iterator[list]:
    """Collects what a layer returns, each time cut off from the graph before it, so that a gradient by it is that of the rest."""
    given = []

    def detach(layer: nn.Module, args, out):
        if not isinstance(out, Tensor):
            given.append(out)
            return out
        given.append(out.detach().clone().requires_grad_())
        return given[-1].clone()  # the next layer may be in place

    with layer.register_forward_hook(detach):
        yield given


# ---------------------------------------------------------------- outputs of layers
def _shapes(model: nn.Module, x: Tensor) -> dict[str, tuple[int, ...]]:
    """Output shapes of the layers that return one tensor, once, with a row per picture; in the order in which they finish."""
    runs: list[tuple[str, object]] = []

    def note(name: str) -> Callable:
        return lambda module, args, out: runs.append((name, getattr(out, "shape", None)))

    with contextlib.ExitStack() as hooks, torch.no_grad():
        for name, module in model.named_modules():
            if name:
                hooks.enter_context(module.register_forward_hook(note(name)))
        model(x)
    names, n = [name for name, _ in runs], x.shape[:-3].numel()
    return {name: tuple(shape) for name, shape in runs if shape and shape[0] == n and names.count(name) == 1}


def _is_channels_last(model: nn.Module, name: str) -> bool:
    """Whether timm declares that the network around this layer computes (batch, height, width, features)."""
    modules = dict(model.named_modules())
    if isinstance(modules[name], _FEATURES_FIRST):
        return False
    parts = name.split(".")
    around = [modules[".".join(parts[:i])] for i in range(len(parts) + 1)]
    return any(str(getattr(module, "output_fmt", "")).endswith("NHWC") for module in around)


def _maps(model: nn.Module, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[MapLayer, int, int]]:
    """(layer, height, width) of all layers that give maps, but for those inside attention, which are never the only path."""
    modules, found = dict(model.named_modules()), {}
    for name, shape in shapes.items():
        if len(shape) == 4 and not isinstance(modules[name], Normalise) and "attn" not in name.split("."):
            last = _is_channels_last(model, name)
            height, width = shape[1:3] if last else shape[2:4]
            found[name] = MapLayer(modules[name], name, last), height, width
    return found


# ---------------------------------------------------------------- the choice
def _is_bottleneck(node, output, x: Tensor) -> bool:
    """Whether every path of the autograd graph from the output back to `x` leads through this node."""
    seen, left = {node}, [output]
    while left:
        at = left.pop()
        if at is None or at in seen:
            continue
        if getattr(at, "variable", None) is x:
            return False
        seen.add(at)
        left += [before for before, _ in at.next_functions]
    return True


def _bottlenecks(model: nn.Module, layers: list[MapLayer], x: Tensor) -> Iterator[MapLayer]:
    """The layers through which every path leads, the last first, from one forward pass; poolings are left out."""
    x, nodes = x.detach().clone().requires_grad_(), {}
    with contextlib.ExitStack() as hooks:
        for layer in layers:
            hooks.enter_context(
                layer.module.register_forward_hook(lambda module, args, out: nodes.__setitem__(module, out.grad_fn))
            )
        output = model(x).sum()
    for layer in reversed(layers):
        node = nodes[layer.module]
        if node is not None and "Pool" not in node.name() and _is_bottleneck(node, output.grad_fn, x):
            yield layer


def _tried(model: nn.Module, layer: MapLayer, x: Tensor) -> tuple[bool, bool]:
    """(does every path from `x` to the output lead through this layer, can its maps change the output)."""
    x = x.detach().clone().requires_grad_()
    with detached_output(layer.module) as given:
        output = model(x)
    if not output.requires_grad:
        return False, False
    around, through = torch.autograd.grad(output.max(), [x, given[0]], allow_unused=True)
    return around is None and through is not None, through is not None and bool(layer.read(through).ne(0).any())


def _last_bottleneck(model: nn.Module, layers: list[MapLayer], x: Tensor, changing: bool = False) -> MapLayer | None:
    """The last of these through which every path leads; with `changing`, whose maps can also change the output."""
    for layer in _bottlenecks(model, layers, x):
        alone, changes = _tried(model, layer, x)  # an identity is bypassed, though its output is not
        if alone and (changes or not changing):
            return layer
    return None


def _tokens_behind(
    model: nn.Module, shapes: dict[str, tuple[int, ...]], before: str, grid: tuple[int, int]
) -> list[MapLayer]:
    """Layers that finish after the layer `before` and return tokens of this grid."""
    modules, names = dict(model.named_modules()), list(shapes)
    behind = {name: shapes[name] for name in names[names.index(before) + 1 :]}
    cells = grid[0] * grid[1]
    return [
        MapLayer(modules[name], name, grid=grid)
        for name, shape in behind.items()
        if len(shape) == 3 and cells <= shape[1] <= cells + MOST_PREFIX
    ]


def _bands(net: SubSpectralNet, height: int) -> list[MapLayer]:
    """The layer before the last pooling of each band, with the rows of the picture that it covers."""
    found = []
    for i, (band, rows) in enumerate(zip(net.bands, net.rows)):
        last, at = len(band[0]) - 1, len(band[0][-1]) - 2
        found.append(
            MapLayer(band[0][last][at], f"1.bands.{i}.0.{last}.{at}", rows=(rows.start / height, rows.stop / height))
        )
    return found


def _refusal(model: nn.Module, maps: dict, x: Tensor) -> ValueError:
    net = model[1] if isinstance(model, NamedNet) else model[0][1] if isinstance(model, SpecNet) else model
    name = type(net).__name__
    if isinstance(net, FeatureCNN):
        return ValueError(
            f"{name} averages over time first: its maps have no time axis. Grad-CAM needs a network of whole pictures, "
            "such as 'resnet34' or 'mini_resnet'"
        )
    if maps:
        return ValueError(
            f"no layer of {name} gives maps of more than one cell through which all of a picture of {x.shape[-2]} x "
            f"{x.shape[-1]} pixels passes; use larger pictures, or name a layer with layer="
        )
    return ValueError(
        f"{name} has no layer with maps of time and frequency, (batch, features, height, width); Grad-CAM "
        "needs a convolutional network, such as 'resnet34' or 'mini_resnet'. A compiled network hides its layers"
    )


def _search(model: nn.Module, x: Tensor) -> list[MapLayer]:
    own = model[1] if isinstance(model, NamedNet) else None
    if isinstance(own, SubSpectralNet):
        return _bands(own, x.shape[-2])
    shapes = _shapes(model, x)
    maps = {} if isinstance(own, FeatureCNN) else _maps(model, shapes)
    large = [layer for layer, height, width in maps.values() if min(height, width) > 1]
    slim = [layer for layer, height, width in maps.values() if max(height, width) > 1]
    found = _last_bottleneck(model, large, x) or _last_bottleneck(model, slim, x)
    if found is None:
        raise _refusal(model, maps, x)
    tokens = _tokens_behind(model, shapes, found.name, maps[found.name][1:])
    return [_last_bottleneck(model, tokens, x, changing=True) or found]


def _named(model: nn.Module, x: Tensor, name: str) -> MapLayer:
    """The layer of this name. ValueError if it gives no maps."""
    module, shapes = find_layer(model, name), _shapes(model, x)
    full = next(known for known, one in model.named_modules() if one is module)
    shape = shapes.get(full)
    if shape is None:
        raise ValueError(
            f"the layer {name!r} does not return one tensor, once, for each picture; name one that gives maps"
        )
    if len(shape) == 4 and max(shape[1:3] if _is_channels_last(model, full) else shape[2:4]) > 1:
        return MapLayer(module, full, _is_channels_last(model, full))
    before = {other: sides for other, (_, *sides) in _maps(model, shapes).items()}
    for other in reversed([known for known in shapes if known in before]) if len(shape) == 3 else []:
        if any(layer.module is module for layer in _tokens_behind(model, shapes, other, tuple(before[other]))):
            return MapLayer(module, full, grid=tuple(before[other]))
    raise ValueError(
        f"the layer {name!r} returns {' x '.join(map(str, shape[1:]))} numbers for a picture; name one that gives maps of more "
        "than one cell, (batch, features, height, width), or leave layer= out"
    )


def find_map_layers(model: nn.Module, x: Tensor, layer: str | None = None) -> list[MapLayer]:
    """The layers that Grad-CAM reads, found with the first picture of `x`; one, but for networks whose parts see parts of a picture.

    Parameters
    ----------
    model : nn.Module
        Within `evaluating`.
    x : Tensor
        A batch as the network takes it.
    layer : str, optional
        Name of the layer to read; its beginning may be left out, as in "layer3".

    Returns
    -------
    list of MapLayer

    Raises
    ------
    ValueError
        If no layer, or not this one, gives maps.
    """
    one = x[:1]
    return _search(model, one) if layer is None else [_named(model, one, layer)]
