"""Networks by name: timm's with a head of fastai's, and our own; normalisation is the first layer of each.

    net = create_spec_net("resnet34", n_channels=1, n_classes=10, size=(128, 256))      # timm's
    net = create_spec_net("mini_resnet", n_channels=1, n_classes=10, size=(201, 101))   # ours, see `list_nets`

Input is (batch, channels, height, width), 0 to 1, or (batch, windows, channels, height, width), over whose windows the output is
averaged. `split_stages` and `split_body` group the parameters for different learning rates.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable
from pathlib import Path

import timm
import torch
from fastai.vision.all import Callback, TensorBase, apply_init, create_head
from timm.models import get_arch_pretrained_cfgs, group_parameters, split_model_name_tag
from timm.utils import unwrap_model
from torch import Tensor, nn

from ..core.values import choose
from .heads import HEADS, AttentionHead, create_map_head
from .nets import Net, create_net, list_nets, net_facts
from .nets.backbone import REFUSALS, ChannelsFirst, check_timm_name, create_timm_network
from .nets.base import features_of
from .weights import named_weights, use_weights


# ---------------------------------------------------------------- the network's parts
class Normalise(nn.Module):
    """(x - mean) / std by channel. The statistics are buffers: saved with the weights, never trained.

    ValueError for another number of channels; a single one would be broadcast silently.
    """

    def __init__(self, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-3] != len(self.mean):
            raise ValueError(
                f"pictures of {x.shape[-3]} channel{'s' if x.shape[-3] != 1 else ''}, and the network was made for {len(self.mean)}; "
                "draw them with the renderer that it was trained with, or make a network for them"
            )
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


class SpecNet(nn.Sequential):
    """Body and head. Input (batch, channels, height, width) or (batch, windows, channels, height, width), 0 to 1.

    Output (batch, classes): logits. Those of several windows are averaged, before any softmax or sigmoid. In training with a head that
    answers for frames too they hang on the output, as `.frames`: (batch, frames of all windows, classes).
    """

    @property
    def has_frames(self) -> bool:
        """Whether the head answers for each frame."""
        return isinstance(self[1], AttentionHead)

    def forward(self, x: Tensor) -> Tensor:
        if not (self.has_frames and self.training):
            return _over_windows(super().forward, x)
        clip, frames = self.answers(x)
        clip.frames = frames  # for the loss, whatever stands between
        return clip

    def answers(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the clips (batch, classes), and of the frames of their windows (batch, frames of all windows, classes)."""
        plain = _plain(x)
        clip, frames = self[1].answers(self[0](plain if plain.ndim == 4 else plain.flatten(0, 1)))
        if plain.ndim == 4:
            return clip, frames
        return clip.unflatten(0, plain.shape[:2]).mean(1), frames.unflatten(0, plain.shape[:2]).flatten(1, 2)

    def embed(self, x: Tensor) -> Tensor:
        """(batch, features): the input of the last linear layer, averaged over windows, and over frames where there are any."""
        if self.has_frames:
            return _over_windows(lambda x: self[1].embed(self[0](x)), x)
        last = max(i for i, layer in enumerate(self[1]) if isinstance(layer, nn.Linear))
        return _over_windows(lambda x: self[1][:last](self[0](x)), x)

    def features(self, x: Tensor) -> Tensor:
        """(batch, features): the output of the body, averaged over its map and over windows; the head is not used."""
        return _over_windows(lambda x: _pooled(self[0](x)), x)


def _pooled(x: Tensor) -> Tensor:
    """The mean over the area of a map (batch, features, height, width); (batch, features) as it is."""
    return x.mean((2, 3)) if x.ndim == 4 else x


def _plain(x: Tensor) -> Tensor:
    """Without fastai's image types, which slow every layer down; no layer needs them."""
    return x.as_subclass(Tensor) if isinstance(x, TensorBase) else x


def _over_windows(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """`network(x)`; the mean over windows if `x` has an axis of them."""
    x = _plain(x)
    if x.ndim == 4:
        return network(x)
    return network(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


# ---------------------------------------------------------------- our own
class NamedNet(nn.Sequential):
    """A network of `specimg.models.nets` behind its normalisation. Input and output are those of `SpecNet`."""

    def __init__(self, net: Net, n_channels: int):
        super().__init__(Normalise([0.0] * n_channels, [1.0] * n_channels), net)

    def forward(self, x: Tensor) -> Tensor:
        return _over_windows(super().forward, x)

    def embed(self, x: Tensor) -> Tensor:
        """(batch, features): the input of the last layer, averaged over windows."""
        seen = []
        with self[1].classifier.register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0])):
            self(x)
        return seen[0] if x.ndim == 4 else seen[0].unflatten(0, x.shape[:2]).mean(1)

    def features(self, x: Tensor) -> Tensor:
        """(batch, features): the same as `embed`; these networks have no separate head."""
        return self.embed(x)


class ExtraLoss(Callback):
    """Adds a network's `Net.extra_loss` to the loss, in training only."""

    order, run_valid = 2, False  # after ClipWeights, before MixedPrecision scales the loss

    def after_loss(self) -> None:
        # several processes that train together have the network in a wrapper
        extra = unwrap_model(self.learn.model)[1].extra_loss(self.learn.loss_func, *self.learn.yb)
        if extra is not None:
            self.learn.loss_grad = self.learn.loss_grad + extra
            self.learn.loss = self.learn.loss_grad.clone()


def is_own(arch: str) -> bool:
    """Whether this is one of `list_nets`, and not timm's."""
    return arch in list_nets()


def _check_kind(arch: str, size: tuple[int, int]) -> None:
    """ValueError if a network for waveforms gets pictures, or the other way round; a single row is a waveform."""
    wave, given = is_own(arch) and net_facts(arch).wave, size[0] == 1
    if wave and not given:
        raise ValueError(
            f"{arch} takes waveforms, and these are pictures of {size[0]} x {size[1]} pixels; "
            "make the data with WaveDataLoaders"
        )
    if given and not wave:
        for_waves = " or ".join(name for name in list_nets() if net_facts(name).wave)
        raise ValueError(
            f"{arch} takes pictures, and these are waveforms of {size[1]} samples; make the data with SpecDataLoaders, "
            f"or use {for_waves}"
        )


def _create_named(arch: str, n_channels: int, n_classes: int, size: tuple[int, int], options: dict) -> NamedNet:
    if not isinstance(options, dict):
        raise ValueError(f"net={options!r}: it is a dict of options, such as net=dict(attention='soft')")
    _check_kind(arch, size)
    return NamedNet(create_net(arch, n_classes, n_channels, size=size, **options), n_channels)


# ---------------------------------------------------------------- the body
def check_arch(arch: str) -> None:
    """ValueError unless it is one of ours, or a timm name, with a known tag if it has one."""
    if not isinstance(arch, str):
        raise ValueError(f"arch {arch!r} is not a string; give the name of a timm network, such as 'resnet34'")
    if is_own(arch):
        return
    check_timm_name(arch, "arch", list_nets())
    name, tag = split_model_name_tag(arch)
    if tag:
        choose(arch, get_arch_pretrained_cfgs(name), f"pretrained tag of {name}")


def _patch(net: nn.Module) -> tuple[int, int] | None:
    """Height and width of the patches that a network cuts pictures into."""
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    return (patch, patch) if isinstance(patch, int) else patch and tuple(patch)


def _check_patches(net: nn.Module, size: tuple[int, int]) -> None:
    """ValueError if patches do not cover a picture: a transformer would ignore the rest at the bottom and the right."""
    steps = _patch(net)
    if steps is None or size is None:
        return
    if any(side % step for side, step in zip(size, steps)):
        raise ValueError(f"patches of {steps[0]} x {steps[1]} do not cover {size[0]} x {size[1]}")


def _create_network(arch: str, n_channels: int, size: tuple[int, int] | None = None, **options) -> nn.Module:
    """`create_timm_network`, whose patches cover the pictures."""
    net = create_timm_network(arch, n_channels, size, **options)
    _check_patches(net, size)
    return net


def _takes(net: nn.Module, n_channels: int, size: tuple[int, int]) -> bool:
    try:
        features_of(net, n_channels, size)
    except REFUSALS:
        return False
    return True


def check_weights(arch: str, pretrained: bool | str = True, weights: str | Path | None = None) -> None:
    """ValueError if `spec_learner` would find no weights, or wrong ones; to be called before pictures are drawn."""
    check_arch(arch)
    if is_own(arch):
        if weights is not None:
            named_weights(weights, pretrained)  # whether they fit shows when the size of the input is known
    elif pretrained is True or weights is not None:
        with torch.random.fork_rng(devices=[]):
            use_weights(_create_network(arch, 3), pretrained, weights)


def _sizes_accepted(arch: str, n_channels: int, size: tuple[int, int]) -> str:
    """The sizes that a network accepts which has refused pictures of `size`, as text."""
    net = _create_network(arch, n_channels)
    own = net.pretrained_cfg["input_size"][-1]
    steps = _patch(net)
    if not _takes(net, n_channels, (own, own)):
        return f"not even its own {own} x {own} with {n_channels} channels; choose another architecture"
    if net.pretrained_cfg["fixed_input_size"] and steps is None:
        return f"{own} x {own}; set `size=` of the DataLoaders"
    if net.pretrained_cfg["fixed_input_size"]:
        near = " x ".join(str(max(1, round(side / step)) * step) for side, step in zip(size, steps))
        return f"multiples of {' x '.join(map(str, steps))}, such as {near}; set `size=` of the DataLoaders"
    sides = range(1, own + 1)
    smallest = sides[bisect.bisect_left(sides, True, key=lambda side: _takes(net, n_channels, (side, side)))]
    return f"{smallest} or more in height and in width; set `size=` of the DataLoaders, or draw larger pictures"


class TokensToMap(nn.Module):
    """(batch, tokens, features) of a transformer to (batch, features, height, width); tokens that are no part of the grid are left out."""

    def __init__(self, grid: tuple[int, int], prefix: int) -> None:
        super().__init__()
        self.grid, self.prefix = grid, prefix

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.prefix :].transpose(1, 2).unflatten(2, self.grid)

    def extra_repr(self) -> str:
        return f"grid={self.grid}, prefix={self.prefix}"


def _turn_to_map(net: nn.Module, features: tuple[int, ...]) -> list[nn.Module]:
    """The layer that makes a map (features, height, width) of what a network gives; [] where it is one, or cannot become one."""
    if len(features) == 3:
        return [ChannelsFirst()] if getattr(net, "output_fmt", None) == "NHWC" else []
    grid, prefix = getattr(getattr(net, "patch_embed", None), "grid_size", None), getattr(net, "num_prefix_tokens", 0)
    known = len(features) == 2 and grid is not None and grid[0] * grid[1] + prefix == features[0]
    return [TokensToMap(tuple(grid), prefix)] if known else []


def create_map_body(
    arch: str, n_channels: int, size: tuple[int, int], head: str
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """As `create_body`, of a network whose output is a map, or tokens that form a grid; ValueError, with the reason, of any other."""
    check_arch(arch)
    needs = f"head={head!r} needs a map of features, from which to pool"
    if is_own(arch):
        raise ValueError(
            f"{needs}; {arch} is a network of our own, which has a head of its own. Choose a network of timm's"
        )
    _check_kind(arch, size)
    try:
        net = _create_network(arch, n_channels, size, global_pool="")
        features = features_of(net, n_channels, size)
    except (*REFUSALS, TypeError) as exc:
        create_body(arch, n_channels, size)  # where no head at all would go on these pictures, that is the reason
        reason = " ".join(str(exc).split())[:200]
        raise ValueError(
            f"{needs}; {arch} cannot be had without its own pooling ({reason}); head='avgmax' takes it"
        ) from exc
    body = nn.Sequential(Normalise([0.0] * n_channels, [1.0] * n_channels), net, *_turn_to_map(net, features))
    found = features_of(body, n_channels, size)
    if len(found) != 3:
        what = (
            f"tokens {tuple(found)} that form no grid known"
            if len(found) == 2
            else f"{found[0]} features, pooled already"
        )
        raise ValueError(f"{needs}; {arch} gives {what}; head='avgmax' takes it")
    if head == "attention" and found[2] == 1:
        raise ValueError(
            f"head='attention' needs several frames, and {arch} makes a single one of pictures of {size[1]} columns; give wider "
            "pictures (size= of the DataLoaders), a network with a smaller stride, or head='gem'"
        )
    return body, found


def create_body(arch: str, n_channels: int, size: tuple[int, int]) -> tuple[nn.Sequential, tuple[int, ...]]:
    """The body of a network with random weights, and the shape of one picture's features after it.

    The body is a Sequential of an identity `Normalise`, timm's network (`body[1]`) and, if needed, `ChannelsFirst`. Its output is
    (batch, features, height, width), or (batch, features) if the network pools by itself.
    ValueError if the name is unknown, pictures of `size` (height, width) do not pass, or they are waveforms.
    """
    check_arch(arch)
    if is_own(arch):
        raise ValueError(f"{arch} is a network of our own, which has no separate body; create_spec_net makes all of it")
    _check_kind(arch, size)
    has_map = timm.get_pretrained_cfg(arch).pool_size
    for options in [{"global_pool": ""}, {}] if has_map else [{}]:  # a few networks with a map cannot return it
        try:
            net = _create_network(arch, n_channels, size, **options)
            turn = [ChannelsFirst()] if options and getattr(net, "output_fmt", None) == "NHWC" else []
            body = nn.Sequential(Normalise([0.0] * n_channels, [1.0] * n_channels), net, *turn)
            return body, features_of(body, n_channels, size)
        except REFUSALS as exc:
            refusal = exc
    raise ValueError(
        f"{arch} does not accept pictures of {size[0]} x {size[1]} pixels (height x width); it accepts "
        f"{_sizes_accepted(arch, n_channels, size)}"
    ) from refusal


def add_head(
    body: nn.Module,
    features: tuple[int, ...],
    n_classes: int,
    *,
    ps: float | list[float] = 0.5,
    lin_ftrs: list[int] | None = None,
    concat_pool: bool = True,
    head: str = "avgmax",
) -> SpecNet:
    """`body` with a head: fastai's (`create_head`), before which a map of features is pooled, or another of `HEADS`."""
    if len(features) == 3:
        layers = create_map_head(head, features[0], n_classes, ps, lin_ftrs, concat_pool)
    else:
        layers = create_head(features[0], n_classes, lin_ftrs=lin_ftrs, ps=ps, pool=False, concat_pool=concat_pool)
    apply_init(layers, nn.init.kaiming_normal_)
    return SpecNet(body, layers)


def create_body_for(
    head: str, arch: str, n_channels: int, size: tuple[int, int]
) -> tuple[nn.Sequential, tuple[int, ...]]:
    """`create_body`, or `create_map_body` where the head needs one."""
    choose(head, HEADS, "head")
    return create_body(arch, n_channels, size) if head == "avgmax" else create_map_body(arch, n_channels, size, head)


def create_spec_net(
    arch: str, n_channels: int, n_classes: int, size: tuple[int, int], *, net: dict | None = None, **head
) -> SpecNet | NamedNet:
    """A network with random weights and identity normalisation, ready for a state dict.

    `spec_learner` keeps these arguments as `learn.net_options`. For timm's networks `head` may hold `ps` (dropout before the last
    layer; half of it before the others), `lin_ftrs` (hidden sizes, default [512]), `concat_pool` (average and maximum, not the
    average alone) and `head` ("avgmax", "gem" or "attention"); for our own `net` holds the options.
    """
    check_arch(arch)
    if is_own(arch):
        if head:
            raise ValueError(
                f"{', '.join(head)}: heads are for timm's networks; {arch} has its own, its options go into net="
            )
        return _create_named(arch, n_channels, n_classes, tuple(size), net or {})
    if net:
        raise ValueError(f"net={net!r}: options of our own networks, and {arch} is timm's; list_nets() names ours")
    body, features = create_body_for(head.get("head", "avgmax"), arch, n_channels, tuple(size))
    return add_head(body, features, n_classes, **head)


# ---------------------------------------------------------------- parameter groups
def split_body(model: SpecNet) -> list[list[nn.Parameter]]:
    """Two groups, as fastai's own: body, head."""
    return [list(model[0].parameters()), list(model[1].parameters())]


def split_stages(model: SpecNet) -> list[list[nn.Parameter]]:
    """Three groups: the stem and the earlier half of timm's stages, the later half, the head."""
    net = model[0][1]
    by_stage = group_parameters(net, net.group_matcher(coarse=True))
    stages = [by_stage[stage] for stage in sorted(by_stage)]
    early = set(itertools.chain(*stages[: (len(stages) + 1) // 2]))
    first = [p for name, p in net.named_parameters() if name in early]
    later = [p for name, p in net.named_parameters() if name not in early]
    return [group for group in (first, later, list(model[1].parameters())) if group]


def split_named(model: NamedNet) -> list[list[nn.Parameter]]:
    """Two groups of a network of our own: all before its last layer, and the last layer."""
    last = list(model[1].classifier.parameters())
    ids = {id(p) for p in last}
    return [[p for p in model.parameters() if id(p) not in ids], last]


def has_stages(net: nn.Module) -> bool:
    """Whether timm defines the stages of this network."""
    try:
        net.group_matcher(coarse=True)
    except (AttributeError, AssertionError, NotImplementedError):  # timm defines only finer groups, or none
        return False
    return True
