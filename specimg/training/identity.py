"""By what a training is known again: its network, its pictures, its clips, and the weights of these.

A training in a folder may go on only with what it was begun with, else its history would tell of two trainings as of one. `network_of`
says what that is, as plain data for training.json, and `differences` names what has changed:

>>> from specimg.training import differences
>>> differences({"arch": "resnet18", "parameters": 9}, {"arch": "resnet34", "parameters": 9})
"arch is 'resnet18' there and 'resnet34' here"
"""

from __future__ import annotations

import hashlib

import torch
from fastai.vision.all import Learner

from .losses import ClipWeights

__all__ = ["clip_weights", "device_of", "differences", "network_of", "shown_pictures"]


def device_of(learn: Learner) -> torch.device:
    device = getattr(learn.dls, "device", None)  # may have been given as text
    return next(learn.model.parameters()).device if device is None else torch.device(device)


def shown_pictures(learn: Learner) -> dict:
    """What SpecDataLoaders show the network: how clips are drawn and fitted, and which clip carries which label on which side."""
    given, clips = getattr(learn.dls, "input", None), getattr(learn.dls, "clips", None)
    if given is None or clips is None:
        return {}
    names = [name for name in ("path", "start", "end", "label", "is_valid") if name in clips]
    table = clips[names].astype(str).sort_values(names).to_csv(index=False)
    return {
        "renderer": given.reader.key,
        "size": list(given.size),
        "method": given.method,
        "clips": hashlib.blake2b(table.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest(),
    }


def network_of(learn: Learner) -> dict:
    """What a learner must have in common with the run it goes on with."""
    arch, vocab = getattr(learn, "arch", type(learn.model)), getattr(learn.dls, "vocab", None)
    return {
        "arch": getattr(arch, "__name__", str(arch)),
        "parameters": sum(p.numel() for p in learn.model.parameters()),
        "classes": getattr(learn.dls, "c", None) if vocab is None else [str(label) for label in vocab],
        "training_items": getattr(learn.dls.train, "n", None),
        **shown_pictures(learn),
    }


def clip_weights(learn: Learner) -> str | None:
    """Which weights of clips the learner trains with."""
    return "+".join(cb.key for cb in learn.cbs if isinstance(cb, ClipWeights)) or None


def differences(there: dict, here: dict) -> str:
    """The entries in which two dictionaries differ, in words; empty where they are equal."""

    def short(part) -> str:
        return text if len(text := repr(part)) <= 60 else f"{text[:57]}..."

    return "; ".join(
        f"{name} is {short(there.get(name))} there and {short(here.get(name))} here"
        for name in there | here
        if there.get(name) != here.get(name)
    )
