"""Several processes that train one network, each on its share of every batch; the first of them writes.

    torchrun --nproc_per_node 2 train.py        # or: accelerate launch train.py; `fit` in it sees how many there are
    with learn.distrib_ctx(): fit(learn, ...)   # fastai's own way, with options for accelerate

fastai's `DistributedTrainer` has each process a copy of the network whose gradients are averaged in every step (torch's
`DistributedDataParallel`). What `fit` needs beyond that is here and nowhere else:

- `training_share` and `validation_share` deal the numbers of the clips, after a loader has shuffled them or drawn them by weight:
  every process draws the same ones, because `fit` seeds their loaders alike.
- Metrics are computed from all outputs, in the order of the clips, in batches as of one process; none is counted twice.
- `Ranks.first` lets the first process work alone (open the folder, search a learning rate, judge and keep the end), while the others
  wait; what it found, or why it failed, all are told.
- `alone` shields what is no common work from fastai, which otherwise waits for the other processes in every batch.

>>> training_share([3, 0, 4, 1, 2], 0, 2, drop_last=True), training_share([3, 0, 4, 1, 2], 1, 2, drop_last=True)
([3, 4], [0, 1])
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from functools import partial
from io import BytesIO
from typing import Any, TypeVar

import torch
from fastai.vision.all import Callback, DataLoader, GetAttr, Learner, num_distrib, rank_distrib, to_detach
from timm.layers import convert_sync_batchnorm
from timm.utils import unwrap_model
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .identity import clip_weights, device_of, differences, network_of

T = TypeVar("T")

# How long the others wait for what the first does alone. One that died is noticed at once, by its closed connection.
LONGEST_WAIT = timedelta(days=1)


# ---------------------------------------------------------------- the clips are dealt


def training_share(clips: list[int], rank: int, size: int, drop_last: bool) -> list[int]:
    """Every `size`-th clip from number `rank` on, equally many in each process.

    So batch k of all processes together is batch k of one process with `size` times as many clips a batch. What is left over is left
    out where a loader drops its last batch anyway, else the first clips fill it up.
    """
    n = len(clips) // size if drop_last else -(-len(clips) // size)
    return list(itertools.islice(itertools.cycle(clips), rank, n * size, size))


def validation_share(clips: list[int], rank: int, size: int) -> list[int]:
    """The `rank`-th of `size` parts in a row, some of which may have a clip more than others; none stands in two."""
    return clips[len(clips) * rank // size : len(clips) * (rank + 1) // size]


class ShareOfLoader(GetAttr):
    """A loader of which this process reads its share; what else is asked of it, the loader answers."""

    _default = "dl"

    def __init__(self, dl: DataLoader, rank: int, size: int, training: bool) -> None:
        self.dl, self.training = dl, training
        deal = partial(training_share, drop_last=dl.drop_last) if training else validation_share
        self.share: Callable[[list[int]], list[int]] = partial(deal, rank=rank, size=size)

    def __len__(self) -> int:
        n = len(self.share(list(range(self.dl.n))))
        return n // self.dl.bs if self.dl.drop_last else -(-n // self.dl.bs)

    def __iter__(self) -> Iterator[Any]:
        self.dl.randomize()
        own, mine = self.dl.get_idxs, self.share(list(self.dl.get_idxs()))
        self.dl.get_idxs = partial(list, mine)
        given, again = 0, None
        try:
            for batch in self.dl:
                given, again = given + 1, batch if again is None else again
                yield batch
        finally:
            self.dl.get_idxs = own
        # clips that cannot be read are left out, and a process that had a batch less than the others would keep them waiting
        for _ in range(given, len(self) if self.training else 0):
            if again is None:
                raise ValueError(f"not one of the {len(mine)} training clips of this process can be read")
            yield again

    def to_detach(self, b: Any, cpu: bool = True, gather: bool = True) -> Any:
        """Tensors without their history, as fastai's loaders give them; of this process alone."""
        return to_detach(b, cpu=cpu, gather=False)


# ---------------------------------------------------------------- within an epoch


class _SyncNorms(Callback):
    """Batch normalisation over the clips of all processes, during training. timm's conversion keeps the activations within its layers."""

    order = 10  # before DistributedTrainer wraps the network

    def __init__(self) -> None:
        self.kept: dict[str, nn.Module] = {}

    def before_fit(self) -> None:
        self.kept = {name: layer for name, layer in self.learn.model.named_modules() if isinstance(layer, _BatchNorm)}
        self.learn.model = convert_sync_batchnorm(self.learn.model)

    def after_fit(self) -> None:
        self.restore(unwrap_model(self.learn.model))

    def restore(self, model: nn.Module) -> None:
        """The layers that were there, which fastai and exports know, with what was learnt."""
        for name, layer in self.kept.items():
            layer.load_state_dict(model.get_submodule(name).state_dict())
            above, _, last = name.rpartition(".")
            setattr(model.get_submodule(above), last, layer.train(model.training))
        self.kept = {}


class _Shared(Callback):
    """Each process reads its share; after each epoch all have the first one's network, and the metrics of all clips."""

    order, run_train = 12, False  # right after DistributedTrainer, before the Recorder; batches of validation only

    def __init__(self, ranks: Ranks) -> None:
        self.ranks = ranks

    def before_fit(self) -> None:
        self.learn.dls.loaders = self.ranks.trainer.old_dls  # its own loaders repeat clips in validation

    def before_train(self) -> None:
        self.learn.dl = self.ranks.share_of(self.learn.dls.train, training=True)

    def after_train(self) -> None:
        self.ranks.same(unwrap_model(self.learn.model))  # running means of batch normalisation are each process's own

    def before_validate(self) -> None:
        self.learn.dl = self.ranks.share_of(self.learn.dls.valid, training=False)
        # the wrapper waits for the other processes, of which one may have a batch less
        self.wrapped, self.learn.model = self.learn.model, unwrap_model(self.learn.model)
        self.seen: list[tuple] = []

    def after_batch(self) -> None:
        self.seen.append(to_detach((self.learn.pred, *self.learn.yb), gather=False))

    def after_validate(self) -> None:
        """The metrics again, over all clips in their order, in batches as of one process."""
        seen = [batch for part in self.ranks.gathered(self.seen) for batch in part]
        columns = [torch.cat(column).split(self.learn.dl.bs) for column in zip(*seen)]
        self.recorder.before_validate()
        for batch in zip(*columns):
            self.learn.pred, *targets = (x.to(self.ranks.device) for x in batch)
            self.learn.yb = tuple(targets)
            self.learn.loss = self.learn.loss_func(self.learn.pred, *targets)
            self.recorder.after_batch()
        self.learn.model = self.wrapped


# ---------------------------------------------------------------- the processes


def _trainers(learn: Learner) -> list[Callback]:
    """fastai's DistributedTrainer, where `learn.distrib_ctx()` has added it. Its module needs accelerate, and may never be imported."""
    kind = getattr(sys.modules.get("fastai.distributed"), "DistributedTrainer", ())
    return [cb for cb in learn.cbs if isinstance(cb, kind)]


@contextmanager
def alone(learn: Learner) -> Iterator[None]:
    """Within it fastai takes this process for the only one: what is done in it, no other process need do.

    `learn.validate()`, `get_preds` or `lr_find` wait for the other processes elsewhere, in every batch.

    Parameters
    ----------
    learn : Learner
        Whose `DistributedTrainer` rests meanwhile.

    Returns
    -------
    context manager

    Examples
    --------
    >>> from specimg.training import alone
    >>> with alone(learn), learn.no_bar():
    ...     figures = learn.validate()
    """
    known = {
        name: os.environ.pop(name) for name in ("WORLD_SIZE", "RANK") if name in os.environ
    }  # all that fastai asks
    try:
        with learn.removed_cbs(_trainers(learn)):
            yield
    finally:
        os.environ.update(known)


class Ranks:
    """The processes that train one network: this one alone, or one of several, within `together`."""

    def __init__(
        self, learn: Learner, rank: int = 0, size: int = 1, trainer: Callback | None = None, synced: bool = False
    ) -> None:
        self.learn, self.rank, self.size, self.trainer, self.synced = learn, rank, size, trainer, synced
        self.device, self.norms = device_of(learn), _SyncNorms()
        # Python's objects and waiting go over gloo, also where gradients go from GPU to GPU
        self.group = None if size == 1 else distributed.new_group(backend="gloo", timeout=LONGEST_WAIT)

    @property
    def is_writer(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def gathered(self, part: T) -> list[T]:
        """What each process gives, in their order, in all of them."""
        parts: list = [part] * self.size
        if self.size > 1:
            distributed.all_gather_object(parts, part, group=self.group)
        return parts

    def agreed(self, part: T) -> T:
        """The first process's, in all of them; tensors come to the device of each."""
        if self.size == 1:
            return part
        packed = BytesIO()
        if self.is_writer:
            torch.save(part, packed)
        box = [packed.getvalue()]
        distributed.broadcast_object_list(box, 0, group=self.group)
        if self.is_writer:
            return part
        return torch.load(BytesIO(box[0]), map_location=self.device, weights_only=False)

    def first(self, work: Callable[[], T]) -> T:
        """What `work()` gives in the first process, which does it `alone` while the others wait. ValueError in these if it fails."""
        if self.size == 1:
            return work()
        told: dict[str, Any] = {}
        if self.is_writer:
            try:
                with alone(self.learn):
                    told = {"found": work()}
            except Exception as exc:
                self.agreed({"failed": f"{type(exc).__name__}: {exc}"})
                raise
        told = self.agreed(told)
        if "failed" in told:
            raise ValueError(f"the first of {self.size} processes failed: {told['failed']}")
        return told["found"]

    def same(self, model: nn.Module) -> None:
        """The first process's weights and statistics, in all of them."""
        for part in model.state_dict().values() if self.size > 1 else ():
            distributed.broadcast(part, 0, group=self.group)

    def share_of(self, dl: DataLoader, training: bool) -> ShareOfLoader:
        """The part of a loader that this process reads."""
        return ShareOfLoader(dl, self.rank, self.size, training)

    def steps(self) -> int:
        """Batches that each process trains on in an epoch."""
        train = self.learn.dls.train
        return len(train) if self.size == 1 else len(self.share_of(train, training=True))

    def callbacks(self) -> list[Callback]:
        """What the epochs of several processes need."""
        if self.size == 1:
            return []
        return [_Shared(self), *([self.norms] if self.synced else [])]

    def check(self, recipe: dict[str, Any]) -> None:
        """ValueError unless all would train the same network by the same recipe on the same clips, with a batch in each process."""
        train = self.learn.dls.train
        if self.size == 1:
            return
        if not self.steps():
            raise ValueError(
                f"{train.n} training clips, dealt over {self.size} processes, do not fill one batch of bs={train.bs} in each; set `bs` to "
                f"{train.n // self.size} or less, or start fewer processes"
            )
        first, *others = self.gathered({**network_of(self.learn), **recipe, "clip_weights": clip_weights(self.learn)})
        for rank, other in enumerate(others, start=1):
            if differences(first, other):
                raise ValueError(
                    f"process {rank} of {self.size} has another recipe, network or data than process 0: {differences(first, other)} "
                    "(there is process 0); give all the same files, and the same seed= where a split is drawn"
                )


def _check_trainer(trainer: Callback, device: torch.device) -> None:
    """ValueError if accelerate or torch would not train on this device as asked."""
    processes = trainer.accelerator.num_processes
    way_out = "write learn.distrib_ctx(sync_bn=False, cpu=True), or no distrib_ctx at all: fit makes its own"
    if processes != num_distrib():
        raise ValueError(
            f"{num_distrib()} processes were started, and accelerate knows of {processes}; on a CPU {way_out}"
        )
    if trainer.sync_bn and device.type == "cpu":
        raise ValueError(f"sync_bn=True: torch synchronises batch normalisation on GPUs only; {way_out}")


@contextmanager
def together(learn: Learner) -> Iterator[Ranks]:
    """Within it the processes that were launched train `learn` as one; a single one where none was launched.

    Parameters
    ----------
    learn : Learner
        The same in each of them.

    Yields
    ------
    Ranks

    Raises
    ------
    ModuleNotFoundError
        Several processes were launched, and accelerate is not installed.
    ValueError
        accelerate would not use all of them.
    ConnectionError
        Another process has ended.
    """
    if num_distrib() <= 1:
        yield Ranks(learn)
        return
    if importlib.util.find_spec("accelerate") is None:
        raise ModuleNotFoundError(
            f"{num_distrib()} processes train one network (WORLD_SIZE) with the package accelerate: pip install specimg[accelerate]"
        )
    import fastai.distributed  # noqa: F401  it adds distrib_ctx

    device = device_of(learn)
    options = {"sync_bn": False, "cpu": True} if device.type == "cpu" else {}
    with nullcontext() if _trainers(learn) else learn.distrib_ctx(**options):
        [trainer] = _trainers(learn)
        _check_trainer(trainer, device)
        if device.type != "cpu":
            learn.dls.to(trainer.accelerator.device)  # each process its own
        # torch's conversion would lose the activations within timm's layers, so ours is done before
        synced, trainer.sync_bn = trainer.sync_bn, False
        ranks = Ranks(learn, rank_distrib(), num_distrib(), trainer, synced)
        try:
            yield ranks
        except RuntimeError as exc:
            if not isinstance(exc, distributed.DistError) and "gloo" not in str(exc):
                raise
            raise ConnectionError(
                f"another of the {ranks.size} processes of this training has ended, or cannot be reached "
                f"({' '.join(str(exc).split()).partition('. ')[0]}); finished epochs are kept, start all of them again"
            ) from exc
        finally:
            trainer.sync_bn = synced
            learn.model = unwrap_model(learn.model)  # where an error left it as it was
            ranks.norms.restore(learn.model)
