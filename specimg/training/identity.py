"""What identifies a training: its network, its pictures, its clips and their weights.

A training may be resumed only with what it was begun with, else its history would mix two trainings. `network_of` collects that as
plain data for training.json, and `differences` names what has changed:

>>> from specimg.training.identity import differences
>>> differences({"arch": "resnet18", "parameters": 9}, {"arch": "resnet34", "parameters": 9})
"arch is 'resnet18' there and 'resnet34' here"
"""

from __future__ import annotations

import hashlib

import fastai
import torch
from fastai.vision.all import Learner

from .. import __version__
from .frames import FrameLoss
from .losses import ClipWeights


def device_of(learn: Learner) -> torch.device:
    """The device of the learner's data, else of its model."""
    device = getattr(learn.dls, "device", None)  # may have been given as text
    return next(learn.model.parameters()).device if device is None else torch.device(device)


def shown_pictures(learn: Learner) -> dict:
    """What SpecDataLoaders feed the network: renderer, size, method, and a digest of the clips, their labels and their split; {} of others."""
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


def versions_of_training() -> dict[str, str]:
    """Version of each library that has a hand in a training."""
    return {"specimg": __version__, "fastai": fastai.__version__, "torch": torch.__version__}


def _head_of(learn: Learner) -> dict:
    """The head, where it is another than the usual one, and the share of the loss that is on frames."""
    head = (getattr(learn, "net_options", None) or {}).get("head")
    shares = [cb.share for cb in learn.cbs if isinstance(cb, FrameLoss)]
    return ({} if head is None else {"head": head}) | ({"frame_share": shares[0]} if shares else {})


def network_of(learn: Learner) -> dict:
    """What a learner must have in common with the training that it resumes."""
    arch, vocab = getattr(learn, "arch", type(learn.model)), getattr(learn.dls, "vocab", None)
    return {
        "arch": getattr(arch, "__name__", str(arch)),
        "parameters": sum(p.numel() for p in learn.model.parameters()),
        "classes": getattr(learn.dls, "c", None) if vocab is None else [str(label) for label in vocab],
        "training_items": getattr(learn.dls.train, "n", None),
        **shown_pictures(learn),
        **_head_of(learn),
    }


def classifier_of(learn: Learner) -> dict | None:
    """How recordings come to the network and what it answers, as the entries of classifier.json; None where the learner does not know."""
    given, network = getattr(learn.dls, "input", None), getattr(learn, "net_options", None)
    if given is None or network is None:
        return None
    vocab = [str(label) for label in learn.dls.vocab]
    return {"vocab": vocab, "is_multi": bool(learn.dls.is_multi), "network": network, **given.to_dict()}


def clip_weights(learn: Learner) -> str | None:
    """The key of the clip weights that the learner trains with; None without."""
    return "+".join(cb.key for cb in learn.cbs if isinstance(cb, ClipWeights)) or None


def differences(there: dict, here: dict) -> str:
    """The entries in which two dictionaries differ, as text; empty if they are equal."""

    def short(part: object) -> str:
        return text if len(text := repr(part)) <= 60 else f"{text[:57]}..."

    return "; ".join(
        f"{name} is {short(there.get(name))} there and {short(here.get(name))} here"
        for name in there | here
        if there.get(name) != here.get(name)
    )
