"""Small trainings for tests: 4 batches an epoch of pictures of 24 x 40 pixels, which may be stopped or killed in any batch."""

from __future__ import annotations

import math
import os
import signal

import torch
from fastai.vision.all import (
    Callback,
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    Learner,
    accuracy,
    set_seed,
    vision_learner,
)
from torch import nn

from specimg.training import Recipe

EPOCHS = Recipe(epochs=2, freeze_epochs=2, lr=0.004, seed=3)
# dropout is in the network; this adds every other use of chance, and of state between batches
BUSY = EPOCHS.replace(mixup=0.3, label_smoothing=0.1, clip=1.0, wd=0.05, best_model=True)
BATCHES = 4  # a training epoch


class Noise:
    """An augmentation of items: it draws from torch's generator, in a worker process where there are any."""

    def __call__(self, item):
        x, y = item
        return x + 0.1 * torch.randn(x.shape), y


def make_loaders(n=48, bs=8, num_workers=0, n_classes=4, spoil=None):
    """Pictures (1, 24, 40) of noise with a brighter band where the class says; a quarter of them for validation."""
    x = torch.randn(n, 1, 24, 40, generator=torch.Generator().manual_seed(0))
    y = torch.arange(n) % n_classes
    for i in range(n):
        x[i, :, 5 * y[i] : 5 * y[i] + 5] += 1.5
    if spoil is not None:
        x[spoil] = math.nan
    items = list(zip(x, y))
    cut = n - n // 4
    train = DataLoader(items[:cut], bs=bs, shuffle=True, drop_last=True, num_workers=num_workers, after_item=Noise())
    dls = DataLoaders(train, DataLoader(items[cut:], bs=bs))
    dls.c = n_classes
    return dls


def three_groups(model):
    body, head = list(model[0].parameters()), list(model[1].parameters())
    return [body[: len(body) // 2], body[len(body) // 2 :], head]


def make_learner(pretrained=True, seed=0, n_classes=4, path=".", arch="test_resnet", **data):
    """A small network of random weights that says of itself whether it is pretrained."""
    set_seed(seed)
    learn = vision_learner(
        make_loaders(n_classes=n_classes, **data),
        arch,
        pretrained=False,
        n_in=1,
        n_out=n_classes,
        loss_func=CrossEntropyLossFlat(),
        metrics=accuracy,
        splitter=three_groups,
        path=path,
    )
    learn.pretrained = pretrained
    return learn


def make_plain(metrics=None, loss_func=None, **data):
    """A linear network in one parameter group: epochs that cost nothing."""
    set_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(24 * 40, 4))
    return Learner(make_loaders(**data), model, loss_func=loss_func or CrossEntropyLossFlat(), metrics=metrics)


class Stop(Callback):
    """Ends the program in a given training batch, of the search too, by an exception or the kill that none survives."""

    order, run_valid = 80, False

    def __init__(self, batch, how=RuntimeError):
        self.left, self.how = batch, how

    def after_batch(self):
        self.left -= 1
        if self.left == 0 and self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.left == 0:
            raise self.how("stop")


def weights(learn):
    return {name: part.clone() for name, part in learn.model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def timeless(history):
    return history.drop(columns="seconds")
