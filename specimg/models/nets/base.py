"""Our own networks: their base class, and the registry by name.

    @net("mini_resnet", n_classes=8, in_chans=1, size=(201, 101), source="...")
    class MiniResNet(Net): ...

    create_net("mini_resnet")                               # the published network: its classes, channels and picture size
    create_net("mini_resnet", n_classes=10, in_chans=3)     # the same for other data
    create_net("mini_resnet", 10, 1, size=(64, 64))         # and for other pictures, where its layers depend on them

A network takes normalised pictures `(batch, in_chans, height, width)`: the highest frequency in the first row, time from left to
right. It returns logits `(batch, n_classes)`. One that learns more than the labels (a reconstruction, predictions of its parts) returns
the loss of that from `extra_loss`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...core.values import choose


class Net(nn.Module):
    """Base of our own networks.

    A subclass has an `__init__(n_classes, in_chans, size, **options)`, is registered with `@net(...)`, and keeps its last linear layer
    as `self.classifier`. `smallest` is the smallest (height, width) in pixels that it takes.

    Examples
    --------
    >>> from torch import nn
    >>> from specimg.models.nets import Net, net
    >>> @net("mean_net", n_classes=2, in_chans=1, size=(64, 64), source="this example")
    ... class MeanNet(Net):
    ...     def __init__(self, n_classes, in_chans, size) -> None:
    ...         super().__init__()
    ...         self.classifier = nn.Linear(in_chans * size[0], n_classes)
    ...     def forward(self, x):
    ...         return self.classifier(x.mean(-1).flatten(1))
    >>> sp.create_net("mean_net", 10).classifier
    Linear(in_features=64, out_features=10, bias=True)
    """

    smallest = (1, 1)

    @classmethod
    def check(cls, in_chans: int, size: tuple[int, int], **options: Any) -> str:
        """Why pictures of these channels and this size cannot be used.

        Parameters
        ----------
        in_chans : int
            Channels.
        size : tuple of int
            Height and width in pixels, or (1, samples).
        **options
            As for `__init__`, where they change what fits.

        Returns
        -------
        str
            The reason with the way out; empty if they fit.
        """
        if size[0] < cls.smallest[0] or size[1] < cls.smallest[1]:
            return f"it takes pictures of {cls.smallest[0]} x {cls.smallest[1]} pixels (height x width) or more; set size= of the DataLoaders, or draw larger ones"
        return ""

    def extra_loss(self, loss_func: Callable, *targets: Tensor) -> Tensor | None:
        """A loss besides that of the logits, for the last batch in training mode.

        Parameters
        ----------
        loss_func : callable
            The loss of the labels.
        *targets : Tensor
            The targets of the batch.

        Returns
        -------
        Tensor or None
            A scalar; None for nothing.
        """
        return None

    @property
    def heads(self) -> dict[str, nn.Module]:
        """Layers whose output is an embedding of interest, by name.

        `predict_all` keeps these outputs as `Predictions.layers`, averaged over time, frequency and a clip's windows; each layer has to
        run once in a pass.
        """
        return {}


@dataclass(frozen=True)
class NetFacts:
    """A published network.

    Parameters
    ----------
    name : str
        Its name in `list_nets()`.
    make : type
        Its class.
    n_classes : int
        Classes as published.
    in_chans : int
        Channels as published.
    size : tuple of int
        Height and width of its pictures in pixels, or (1, samples).
    source : str
        The publication.
    wave : bool, default False
        Does it take waveforms, (batch, 1, samples)?

    Examples
    --------
    >>> from specimg.models.nets import net_facts
    >>> facts = net_facts("mini_resnet")
    >>> facts.n_classes, facts.in_chans, facts.size, facts.source
    (8, 1, (201, 101), 'xValentim/mini-audio-classifier')
    """

    name: str
    make: type[Net]
    n_classes: int
    in_chans: int
    size: tuple[int, int]
    source: str
    wave: bool = False


_NETS: dict[str, NetFacts] = {}


def net(
    name: str, *, n_classes: int, in_chans: int, size: tuple[int, int], source: str, wave: bool = False
) -> Callable[[type[Net]], type[Net]]:
    """Class decorator: register a network, with the numbers that it was published with.

    Parameters
    ----------
    name : str
        As `create_net` and `spec_learner` take it.
    n_classes : int
        Classes as published.
    in_chans : int
        Channels as published.
    size : tuple of int
        Height and width of its pictures in pixels, or (1, samples).
    source : str
        The publication.
    wave : bool, default False
        Does it take waveforms?

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    See `Net`.

    >>> from specimg.models.nets import net
    """

    def register(cls: type[Net]) -> type[Net]:
        _NETS[name] = NetFacts(name, cls, n_classes, in_chans, size, source, wave)
        return cls

    return register


def list_nets() -> list[str]:
    """Names of our own networks, as `create_net` and `spec_learner` take them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> "mini_resnet" in sp.list_nets()
    True
    """
    return sorted(_NETS)


def net_facts(name: str) -> NetFacts:
    """The facts of one of our own networks.

    Parameters
    ----------
    name : str
        One of `list_nets()`.

    Returns
    -------
    NetFacts

    Raises
    ------
    ValueError
        The name is unknown; the message lists similar ones.

    Examples
    --------
    >>> from specimg.models.nets import net_facts
    >>> net_facts("soundnet_cnn").wave
    True
    """
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
    **options: object,
) -> Net:
    """One of our own networks with random weights; with nothing but its name the published one.

    Parameters
    ----------
    name : str
        One of `list_nets()`.
    n_classes : int, optional
        None is that of the published network; so are the following.
    in_chans : int, optional
        Channels of the pictures.
    size : tuple of int, optional
        Height and width in pixels, or (1, samples).
    **options
        Options of this network, see its class.

    Returns
    -------
    Net
        Takes (batch, in_chans, height, width), returns logits (batch, n_classes).

    Raises
    ------
    ValueError
        The name or an option is unknown, or the network cannot take such pictures.

    Examples
    --------
    >>> import torch
    >>> net = sp.create_net("mini_resnet", n_classes=10, in_chans=3, size=(128, 128))
    >>> net(torch.zeros(2, 3, 128, 128)).shape
    torch.Size([2, 10])
    """
    facts = net_facts(name)
    _check_options(name, facts.make, options)
    n_classes, in_chans = n_classes or facts.n_classes, in_chans or facts.in_chans
    size = facts.size if size is None else tuple(size)
    problem = facts.make.check(in_chans, size, **options)
    if problem:
        kind, pixels = "pictures", f"{size[0]} x {size[1]} pixels"
        if facts.wave and size[0] == 1:
            kind, pixels = "waveforms", f"{size[1]} samples"
        raise ValueError(
            f"{name} cannot take {kind} of {in_chans} channel{'s' if in_chans != 1 else ''} and {pixels}: {problem}"
        )
    return facts.make(n_classes, in_chans, size, **options)


@torch.no_grad()
def features_of(layers: nn.Module, in_chans: int, size: tuple[int, int]) -> tuple[int, ...]:
    """The shape of one picture's output of `layers`, without the batch."""
    was_training = layers.training
    try:
        return tuple(layers.eval()(torch.zeros(1, in_chans, *size)).shape[1:])
    finally:
        layers.train(was_training)
