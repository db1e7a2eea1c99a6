"""What a network of our own is, and how it is found by name.

    @net("mini_resnet", n_classes=8, in_chans=1, size=(201, 101), source="...")
    class MiniResNet(Net): ...

    create_net("mini_resnet")                               # the published network: its classes, channels and picture size
    create_net("mini_resnet", n_classes=10, in_chans=3)     # the same for other data
    create_net("mini_resnet", 10, 1, size=(64, 64))         # and for other pictures, where its layers depend on them

A network takes `(batch, in_chans, height, width)`, normalised, as pictures are: the highest frequency in the first row, time from
left to right. It gives logits `(batch, n_classes)`. One that learns more than the labels (a reconstruction, the answers of its parts)
says what that costs in `extra_loss`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ...core.values import choose

__all__ = ["Net", "NetFacts", "net", "list_nets", "net_facts", "create_net"]


class Net(nn.Module):
    """Base of the networks. A subclass is made by `__init__(n_classes, in_chans, size, **options)`."""

    smallest = (1, 1)  # height, width in pixels of the smallest picture that goes through

    @classmethod
    def check(cls, in_chans: int, size: tuple[int, int], **options) -> str:
        """Why pictures of these channels and this size cannot be used, with the way out; empty where they can.

        options : as for `__init__`, where they change what fits
        """
        if size[0] < cls.smallest[0] or size[1] < cls.smallest[1]:
            return f"it takes pictures of {cls.smallest[0]} x {cls.smallest[1]} pixels (height x width) or more; set size= of the DataLoaders, or draw larger ones"
        return ""

    def extra_loss(self, loss_func: Callable, *targets: Tensor) -> Tensor | None:
        """What training pays besides the loss of the logits, for the batch that was last put through in training mode; None for nothing."""
        return None

    @property
    def heads(self) -> dict[str, nn.Module]:
        """Layers whose output is an embedding worth looking at, by name.

        `predict_all` keeps these outputs as `Predictions.layers`, averaged over time, frequency and a clip's windows; each layer has to
        run once in a pass.
        """
        return {}


@dataclass(frozen=True)
class NetFacts:
    """A published network."""

    name: str
    make: type[Net]
    n_classes: int  # as published
    in_chans: int
    size: tuple[int, int]  # height, width of its pictures, or (1, samples)
    source: str  # where it was published
    wave: bool = False  # does it take waveforms, (batch, 1, samples)?


_NETS: dict[str, NetFacts] = {}


def net(
    name: str, *, n_classes: int, in_chans: int, size: tuple[int, int], source: str, wave: bool = False
) -> Callable[[type[Net]], type[Net]]:
    """Class decorator: register a network with the numbers that it was published with."""

    def register(cls: type[Net]) -> type[Net]:
        _NETS[name] = NetFacts(name, cls, n_classes, in_chans, size, source, wave)
        return cls

    return register


def list_nets() -> list[str]:
    """Names of our own networks, as `create_net` and `spec_learner` take them."""
    return sorted(_NETS)


def net_facts(name: str) -> NetFacts:
    """What is known of a network. ValueError, with the near names, for an unknown one."""
    return _NETS[choose(name, _NETS, "net")]


def _check_options(name: str, make: type[Net], options: dict) -> None:
    known = list(inspect.signature(make.__init__).parameters)[4:]  # after self, n_classes, in_chans, size
    for option in options:
        if not known:
            raise ValueError(f"{name} takes no options, and got {option}={options[option]!r}")
        choose(option, known, f"option of {name}")


def create_net(
    name: str,
    n_classes: int | None = None,
    in_chans: int | None = None,
    *,
    size: tuple[int, int] | None = None,
    **options,
) -> Net:
    """A network with random weights: with nothing but its name the published one.

    Parameters
    ----------
    n_classes, in_chans, size : of the published network where they are not given; size is (height, width) in pixels, or
        (1, samples)
    options : what this network can be told besides, see its class

    Raises ValueError for an unknown name, and for pictures that the network cannot take.
    """
    facts = net_facts(name)
    _check_options(name, facts.make, options)
    n_classes, in_chans = n_classes or facts.n_classes, in_chans or facts.in_chans
    size = facts.size if size is None else tuple(size)
    problem = facts.make.check(in_chans, size, **options)
    if problem:
        kind, pixels = (
            ("waveforms", f"{size[1]} samples")
            if facts.wave and size[0] == 1
            else ("pictures", f"{size[0]} x {size[1]} pixels")
        )
        raise ValueError(
            f"{name} cannot take {kind} of {in_chans} channel{'s' if in_chans != 1 else ''} and {pixels}: {problem}"
        )
    return facts.make(n_classes, in_chans, size, **options)


def count_parameters(model: nn.Module) -> int:
    """Trainable numbers of a network."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


@torch.no_grad()
def features_of(layers: nn.Module, in_chans: int, size: tuple[int, int]) -> tuple[int, ...]:
    """The shape of one picture behind `layers`, without the batch."""
    was_training = layers.training
    try:
        return tuple(layers.eval()(torch.zeros(1, in_chans, *size)).shape[1:])
    finally:
        layers.train(was_training)
