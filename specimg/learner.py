"""The learner: a timm network with normalisation as its first layer, in a plain fastai `Learner`.

>>> learn = spec_learner(dls, "resnet34")                       # doctest: +SKIP
>>> learn.lr_find(); learn.fit_one_cycle(5, 1e-2)               # doctest: +SKIP

`learn.model` is a `SpecNet`: `model[0]` the body (normalisation, then timm's network without its classifier),
`model[1]` the head. The statistics live in the model, not in the DataLoaders, so that two learners on one `dls` never
share them and whatever is saved carries them. Pictures come in as (batch, channels, height, width), 0 to 1; where there
is one more axis, (batch, windows, channels, height, width), the windows of a clip are averaged. Parameters form three
groups, two of the body's stages and the head, for rates that differ. What fastai lets pass in silence is an error here:
a training set smaller than a batch, pictures too small for the network, weights that fit only in part, pictures that
would be normalised twice.
"""

from __future__ import annotations

import bisect
import difflib
import itertools
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from fastai.vision.all import (
    DataLoaders, L, Learner, Normalize, TensorBase, TensorMultiCategory, accuracy, accuracy_multi, apply_init,
    create_head, delegates, error_rate, get_c, set_seed,
)
from timm.models import get_arch_pretrained_cfgs, group_parameters, split_model_name_tag
from torch import Tensor, nn

from .metrics import fastai_metric
from .values import choose
from .weights import use_weights

__all__ = ["spec_learner", "SpecNet", "Normalise", "create_body", "create_spec_net", "split_stages", "split_body"]

_STATS_BATCHES = 16
_REFUSED = (RuntimeError, AssertionError, ValueError, IndexError)   # how networks refuse a picture's size


# ---------------------------------------------------------------- the network's parts
class Normalise(nn.Module):
    """(x - mean) / std by channel. The statistics are buffers: saved with the weights, never trained."""

    def __init__(self, mean, std):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).reshape(-1, 1, 1))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).reshape(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


class ChannelsFirst(nn.Module):
    """(batch, height, width, features), as some transformers give it, to (batch, features, height, width)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 3, 1, 2)


class SpecNet(nn.Sequential):
    """Body and head. Input (batch, channels, height, width) or (batch, windows, channels, height, width), 0 to 1.

    Output (batch, classes): logits. Those of several windows are averaged, before any softmax or sigmoid.
    """

    def forward(self, x: Tensor) -> Tensor:
        return _over_windows(super().forward, x)

    def embed(self, x: Tensor) -> Tensor:
        """(batch, features): what the last linear layer sees, averaged over windows."""
        last = max(i for i, layer in enumerate(self[1]) if isinstance(layer, nn.Linear))
        return _over_windows(lambda x: self[1][:last](self[0](x)), x)


def _over_windows(network, x: Tensor) -> Tensor:
    """`network(x)`; where `x` has an axis of windows, the mean over it."""
    if isinstance(x, TensorBase):
        x = x.as_subclass(Tensor)   # fastai's image types cost time in every layer, and no layer needs them
    if x.ndim == 4:
        return network(x)
    return network(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


# ---------------------------------------------------------------- building the body
def check_arch(arch: str) -> None:
    """ValueError unless timm knows the name, and its tag where it has one."""
    if not isinstance(arch, str):
        raise ValueError(f"arch {arch!r} is not a string; give the name of a timm network, such as 'resnet34'")
    name, tag = split_model_name_tag(arch)
    if not timm.is_model(name):
        known = timm.list_models()
        near = difflib.get_close_matches(name, known, n=5) + [found for found in known if name and name in found]
        hint = f"did you mean {' or '.join(map(repr, dict.fromkeys(near[:5])))}? " if near else ""
        raise ValueError(f"unknown arch {arch!r}; {hint}timm.list_models() names all {len(known)}")
    if tag:
        choose(arch, get_arch_pretrained_cfgs(name), f"pretrained tag of {name}")


def _check_patches(net: nn.Module, size: tuple[int, int]) -> None:
    """ValueError where patches do not cover a picture: a transformer would not see what is left over at the bottom and the right."""
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    if patch is None or size is None:
        return
    steps = (patch, patch) if isinstance(patch, int) else tuple(patch)
    if any(side % step for side, step in zip(size, steps)):
        raise ValueError(f"patches of {steps[0]} x {steps[1]} do not cover {size[0]} x {size[1]}")


def _create_network(arch: str, n_channels: int, size: tuple[int, int] | None = None, **options) -> nn.Module:
    """timm's network without its classifier, made for pictures of `size` where it has to be made for one size."""
    if size is not None and timm.get_pretrained_cfg(arch).fixed_input_size:
        options["img_size"] = size
    net = timm.create_model(arch, num_classes=0, in_chans=n_channels, **options)
    _check_patches(net, size)
    return net


@torch.no_grad()
def _try_size(body: nn.Module, n_channels: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of one picture's features, from one forward pass in evaluation mode."""
    was_training = body.training
    try:
        return tuple(body.eval()(torch.zeros(1, n_channels, *size)).shape[1:])
    finally:
        body.train(was_training)


def _takes(net: nn.Module, n_channels: int, size: tuple[int, int]) -> bool:
    try:
        _try_size(net, n_channels, size)
    except _REFUSED:
        return False
    return True


def _sizes_accepted(arch: str, n_channels: int, size: tuple[int, int]) -> str:
    """What a network accepts that has refused pictures of `size`, in words."""
    net = _create_network(arch, n_channels)
    own = net.pretrained_cfg["input_size"][-1]
    patch = getattr(getattr(net, "patch_embed", None), "patch_size", None)
    if not _takes(net, n_channels, (own, own)):
        return f"not even its own {own} x {own} with {n_channels} channels; choose another architecture"
    if net.pretrained_cfg["fixed_input_size"] and patch is None:
        return f"{own} x {own}; set `size=` of the DataLoaders"
    if net.pretrained_cfg["fixed_input_size"]:
        steps = (patch, patch) if isinstance(patch, int) else patch
        near = " x ".join(str(max(1, round(side / step)) * step) for side, step in zip(size, steps))
        return f"multiples of {' x '.join(map(str, steps))}, such as {near}; set `size=` of the DataLoaders"
    sides = range(1, own + 1)
    smallest = sides[bisect.bisect_left(sides, True, key=lambda side: _takes(net, n_channels, (side, side)))]
    return f"{smallest} or more in height and in width; set `size=` of the DataLoaders, or draw larger pictures"


def create_body(arch: str, n_channels: int, size: tuple[int, int]) -> tuple[nn.Sequential, tuple[int, ...]]:
    """The body of a network with random weights, and the shape of one picture's features behind it.

    The body is a Sequential of a `Normalise` that changes nothing yet, timm's network (`body[1]`), and what brings its
    features to (batch, features, height, width); to (batch, features) where the network does its own pooling.
    Raises ValueError where the name is unknown or pictures of `size` (height, width) do not go through.
    """
    check_arch(arch)
    has_map = timm.get_pretrained_cfg(arch).pool_size
    for options in [{"global_pool": ""}, {}] if has_map else [{}]:   # a few networks with a map cannot give it away
        try:
            net = _create_network(arch, n_channels, size, **options)
            turn = [ChannelsFirst()] if options and getattr(net, "output_fmt", None) == "NHWC" else []
            body = nn.Sequential(Normalise([0.0] * n_channels, [1.0] * n_channels), net, *turn)
            return body, _try_size(body, n_channels, size)
        except _REFUSED as exc:
            refusal = exc
    raise ValueError(
        f"{arch} does not accept pictures of {size[0]} x {size[1]} pixels (height x width); it accepts "
        f"{_sizes_accepted(arch, n_channels, size)}"
    ) from refusal


def _add_head(
    body: nn.Module, features: tuple[int, ...], n_classes: int, *, ps=0.5, lin_ftrs=None, concat_pool: bool = True
) -> SpecNet:
    """`body` under fastai's head; a map of features is pooled first."""
    is_map = len(features) == 3
    head = create_head(features[0], n_classes, lin_ftrs=lin_ftrs, ps=ps, pool=is_map, concat_pool=concat_pool)
    apply_init(head, nn.init.kaiming_normal_)
    return SpecNet(body, head)


def create_spec_net(arch: str, n_channels: int, n_classes: int, size: tuple[int, int], **head) -> SpecNet:
    """The bare network with random weights and no normalisation yet: both come with a state dict.

    `spec_learner` notes these arguments as `learn.net_options`, so that the same network can be made again.
    `head` may give `ps` (dropout before the last layer; half of it before the others), `lin_ftrs` (hidden sizes,
    default [512]) and `concat_pool` (average and maximum, not the average alone).
    """
    body, features = create_body(arch, n_channels, tuple(size))
    return _add_head(body, features, n_classes, **head)


# ---------------------------------------------------------------- what the DataLoaders tell
@dataclass(frozen=True)
class _Data:
    n_channels: int
    size: tuple[int, int]   # height, width
    n_classes: int
    is_multi: bool          # several labels an item


def _read_data(dls: DataLoaders) -> _Data:
    """What the network must know of the data: from the attributes of `SpecDataLoaders`, else from one batch."""
    n_classes = get_c(dls)
    if not n_classes:
        raise ValueError("the number of classes is not known; set `dls.c`, or make `dls` with a CategoryBlock")
    if all(getattr(dls, name, None) is not None for name in ("n_channels", "size", "is_multi")):
        return _Data(dls.n_channels, tuple(dls.size), n_classes, dls.is_multi)
    x, *_, y = (dls.valid if len(dls.valid) else dls.train).one_batch()
    return _Data(x.shape[-3], tuple(x.shape[-2:]), n_classes, isinstance(y, TensorMultiCategory))


def _check_batches(n: int, bs: int, drop_last: bool) -> None:
    """ValueError where batches of `bs` out of `n` training items cannot be trained on."""
    if n == 0:
        raise ValueError("the training set is empty; look at the split")
    if bs == 1:
        raise ValueError("bs=1: batch normalisation needs 2 items or more in every batch; set a larger `bs`")
    if drop_last and n < bs:
        raise ValueError(
            f"{n} training items do not fill one batch of bs={bs}, and a last, smaller batch is dropped: fastai would "
            f"train on nothing without a word. Set `bs` to {n} or less"
        )
    if not drop_last and n % bs == 1:
        raise ValueError(
            f"{n} training items in batches of bs={bs} leave one alone in the last; set another `bs`, or drop_last"
        )


def _check_loaders(dls: DataLoaders) -> None:
    """ValueError for what fastai would train on in silence."""
    train = dls.train
    if getattr(train, "n", None) is not None and getattr(train, "bs", None):   # fastai's own; others do not tell
        _check_batches(train.n, train.bs, train.drop_last)
    for loader in dls.loaders:
        transforms = getattr(getattr(loader, "after_batch", None), "fs", [])
        if any(isinstance(transform, Normalize) for transform in transforms):
            raise ValueError(
                "the DataLoaders hold a Normalize, and the network normalises by itself: pictures would be normalised "
                "twice. Make the DataLoaders without it (fastai's vision_learner leaves one there); stats= says by what"
            )


# ---------------------------------------------------------------- normalisation
def _network_statistics(cfg: dict, n_channels: int) -> tuple[list[float], list[float]]:
    """The network's own mean and deviation; their averages where there are not as many channels."""
    def spread(values):
        return list(values) if len(values) == n_channels else [sum(values) / len(values)] * n_channels

    return spread(cfg["mean"]), spread(cfg["std"])


@torch.no_grad()
def _training_statistics(dls: DataLoaders) -> tuple[list[float], list[float]]:
    """Mean and deviation of each channel over evenly spread training items, treated as in validation: not augmented."""
    items = dls.train_ds.items
    count = min(len(items), _STATS_BATCHES * dls.train.bs)
    picked = [i * len(items) // count for i in range(count)]
    chosen = items.iloc[picked] if hasattr(items, "iloc") else [items[i] for i in picked]
    pixels, total, squares = 0, 0.0, 0.0
    for batch in dls.test_dl(chosen, num_workers=0):
        x = batch[0].as_subclass(Tensor).cpu().double()
        x = x.flatten(0, -4).movedim(1, 0).flatten(1)   # channels, pixels of all windows and items
        pixels, total, squares = pixels + x.shape[1], total + x.sum(1), squares + (x * x).sum(1)
    mean = total / pixels
    return mean.tolist(), (squares / pixels - mean * mean).clamp(min=0).sqrt().tolist()


def _given_statistics(stats, n_channels: int) -> tuple[list[float], list[float]]:
    """`stats` = (mean, deviation), each a number or one number a channel."""
    try:
        mean, std = [[float(v) for v in (values if hasattr(values, "__len__") else [values])] for values in stats]
    except (TypeError, ValueError) as exc:
        raise ValueError(f"unknown stats {stats!r}; choose 'network', 'train' or numbers: (mean, deviation)") from exc
    for values in (mean, std):
        if len(values) not in (1, n_channels):
            raise ValueError(f"stats {stats!r} for {n_channels} channels; give one number, or {n_channels} of them")
    return mean * (n_channels // len(mean)), std * (n_channels // len(std))


def _statistics(stats, cfg: dict, dls: DataLoaders, n_channels: int) -> tuple[list[float], list[float]]:
    """(mean, deviation) of each channel that `stats` asks for."""
    if isinstance(stats, str):
        choose(stats, ("network", "train"), "stats")
        mean, std = _network_statistics(cfg, n_channels) if stats == "network" else _training_statistics(dls)
    else:
        mean, std = _given_statistics(stats, n_channels)
    if not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"stats={stats!r} is mean {mean} and deviation {std}; give finite ones, a deviation above 0")
    return mean, std


# ---------------------------------------------------------------- parameter groups
def split_body(model: SpecNet) -> list[list[nn.Parameter]]:
    """Two groups, as fastai's own: body, head."""
    return [list(model[0].parameters()), list(model[1].parameters())]


def split_stages(model: SpecNet) -> list[list[nn.Parameter]]:
    """Three groups: the stem and the earlier half of the stages as timm counts them, the later half, the head."""
    net = model[0][1]
    by_stage = group_parameters(net, net.group_matcher(coarse=True))
    stages = [by_stage[stage] for stage in sorted(by_stage)]
    early = set(itertools.chain(*stages[: (len(stages) + 1) // 2]))
    first = [p for name, p in net.named_parameters() if name in early]
    later = [p for name, p in net.named_parameters() if name not in early]
    return [group for group in (first, later, list(model[1].parameters())) if group]


def _has_stages(net: nn.Module) -> bool:
    try:
        net.group_matcher(coarse=True)
    except (AttributeError, AssertionError, NotImplementedError):   # timm tells only the finer groups, or none
        return False
    return True


def _choose_split(split, model: SpecNet):
    """The function that groups the parameters, after a look that it does so: every one in exactly one group."""
    if not callable(split):
        choose(split, ("stages", "body"), "split")
        staged = _has_stages(model[0][1])
        if split == "stages" and not staged:
            name = type(model[0][1]).__name__
            warnings.warn(f"timm tells no stages of {name}: the groups are body and head", stacklevel=3)
        split = split_stages if split == "stages" and staged else split_body
    grouped = [id(p) for group in split(model) for p in group]
    lost = [name for name, p in model.named_parameters() if grouped.count(id(p)) != 1]
    if lost:
        raise ValueError(f"split puts {len(lost)} parameters in no group or in several, as {lost[0]}; put each in one")
    return split


# ---------------------------------------------------------------- the learner
def _choose_metrics(metrics, is_multi: bool) -> list:
    """fastai's metrics; names are looked up in `specimg.metrics`."""
    if metrics is None:
        return [accuracy_multi] if is_multi else [accuracy, error_rate]
    return [fastai_metric(metric) if isinstance(metric, str) else metric for metric in L(metrics)]


def _writable(path: Path) -> Path:
    """`path` where a learner may write there, else the working folder: mounted data sets are often read-only."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return path if os.access(there, os.W_OK) else Path.cwd()


@delegates(Learner.__init__, but=["model", "splitter"])
def spec_learner(
    dls: DataLoaders, arch: str = "resnet34", *, pretrained: bool | str = True, weights: str | Path | None = None,
    stats="network", split="stages", metrics=None, seed: int | None = None, ps=None, lin_ftrs: list[int] | None = None,
    concat_pool: bool = True, **kwargs,
) -> Learner:
    """A fastai `Learner` over any timm network, for pictures of 1 to 4 channels.

    Where weights were loaded the body starts frozen, as fastai's vision_learner has it; `learn.unfreeze()` frees it.
    `learn.pretrained` says whether, `learn.weights_from` in a sentence from where, and `learn.net_options` how
    `create_spec_net` makes the same network again.

    Parameters
    ----------
    arch : a timm name, with or without a tag: "resnet34", "inception_v3", "tf_efficientnet_b0.ns_jft_in1k".
    pretrained : True, False, or "if-available": from scratch, with a warning, where no weights are at hand.
    weights : a file or a folder, such as a mounted Kaggle data set; by default cache, /kaggle/input and hub are tried.
    stats : "network" (its own mean and deviation, also from scratch), "train" (measured on training pictures), or
        numbers (mean, deviation).
    split : "stages" (early, late, head), "body" (body, head), or a function of the model giving lists of parameters.
    metrics : fastai's, or names such as "map@3"; by default accuracy and error rate, for several labels accuracy_multi.
    seed : repeats the random weights; sets the global generators with fastai's `set_seed`.
    ps, lin_ftrs, concat_pool : the head, as fastai's `create_head` takes them. Dropout `ps` is 0.5 over pretrained
        weights, as fastai's, and 0.2 from scratch, where 0.5 starves a young network.

    Raises ValueError where the architecture is unknown, pictures do not fit it, weights do not fit or are out of reach,
    or the DataLoaders would train on nothing or normalise a second time.
    """
    _check_loaders(dls)
    data = _read_data(dls)
    if seed is not None:
        set_seed(seed)
    body, features = create_body(arch, data.n_channels, data.size)
    found = use_weights(body[1], pretrained, weights)
    head = dict(ps=(0.5 if found else 0.2) if ps is None else ps, lin_ftrs=lin_ftrs, concat_pool=concat_pool)
    model = _add_head(body, features, data.n_classes, **head)
    body[0] = Normalise(*_statistics(stats, body[1].pretrained_cfg, dls, data.n_channels))
    told = {"path": _writable(Path(getattr(dls, "path", None) or ".")), "loss_func": getattr(dls, "loss_func", None)}
    learn = Learner(
        dls, model, splitter=_choose_split(split, model), metrics=_choose_metrics(metrics, data.is_multi),
        **told | kwargs,
    )
    learn.arch, learn.pretrained = arch, bool(found)
    learn.net_options = dict(arch=arch, n_channels=data.n_channels, n_classes=data.n_classes, size=data.size, **head)
    learn.weights_from = found or f"{arch} from scratch"
    if found:
        learn.freeze()
    return learn
