"""What each of several processes does in tests/training/test_ranks.py: it trains, and writes what it saw.

RANK=0 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=... python ranks_training.py FOLDER killed|whole|nets
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import torch
from fastai.vision.all import SGD, Callback, CrossEntropyLossFlat, Learner, accuracy, set_seed
from torch import nn

import specimg as sp
from specimg.metrics import fastai_metric
from specimg.models.nets import net_facts
from specimg.training import ClipWeights

SR, CLIPS = 8000, 36
LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
KILLED = sp.Recipe(epochs=3, freeze_epochs=0, lr=0.001, mixup=0.3, seed=4)
AVERAGED = sp.Recipe(epochs=2, freeze_epochs=0, lr=0.003, ema=0.8, label_smoothing=0.1, seed=5)
PLAIN = sp.Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=6)

SEARCHED = sp.Recipe(epochs=28, freeze_epochs=0, lr="find", best_model=True, seed=7)
MEAN = sp.Recipe(epochs=3, freeze_epochs=0, lr=0.003, average_last=2, seed=8)


def make_clips(folder):
    """Half a second of a tone in noise; the tone is the label."""
    rng, t = np.random.default_rng(0), np.arange(SR // 2) / SR
    for i in range(CLIPS):
        label, hz = [("high", 2400), ("low", 300), ("mid", 900)][i % 3]
        (folder / label).mkdir(parents=True, exist_ok=True)
        y = 0.2 * np.sin(2 * np.pi * hz * rng.uniform(0.8, 1.25) * t) + 0.1 * rng.standard_normal(len(t))
        sf.write(folder / label / f"{i}.wav", y.astype("float32"), SR)


def make_loaders(folder, bs=4, **options):
    """29 clips of training and 7 of validation: neither number divides by two."""
    there = {"renderer": LOOK, "cache": folder / "cache", "valid_pct": 0.2, "seed": 0}
    return sp.SpecDataLoaders.from_folder(folder / "clips", bs=bs, **there | options)


def metrics():
    """One is a mean over batches, one over clips; the third needs all of them at once."""
    return [accuracy, fastai_metric("map@3"), fastai_metric("macro_auc_single")]


def own_learner(folder, **options):
    """A network of our own, which adds a loss of its own."""
    return sp.spec_learner(make_loaders(folder), "mini_resnet", pretrained=False, metrics=metrics(), seed=1, **options)


def frames_learner(folder):
    """timm's, with a head that answers for frames; clips are drawn by weight, and weighted."""
    dls = make_loaders(folder, balance=True)
    weights = ClipWeights(np.linspace(0.5, 1.5, dls.train.n))
    return sp.spec_learner(
        dls, "test_resnet", pretrained=False, head="attention", metrics=metrics(), seed=1, cbs=weights
    )


def plain_learner(folder, bs=4):
    """Linear, without dropout, batch normalisation or augmentation: two halves of a batch give the gradient of the whole."""
    set_seed(1)
    dls = make_loaders(folder, bs, augment=None)
    height, width = dls.size
    model = nn.Sequential(nn.Flatten(), nn.Linear(height * width, 3))
    return Learner(dls, model, loss_func=CrossEntropyLossFlat(), opt_func=SGD, metrics=metrics(), path=folder)


def picture_nets():
    """Our own networks that take pictures."""
    return [name for name in sp.list_nets() if not net_facts(name).wave]


def net_learner(folder, name):
    """One of them, with pictures as large as it needs: some have more weights the larger these are."""
    size = {"multichannel_cnn": (32, 256), "subspectral_net": (64, 256)}.get(name, (32, 64))
    dls = make_loaders(folder, size=size)
    return sp.spec_learner(dls, name, pretrained=False, metrics=metrics(), seed=1)


class Watch(Callback):
    """Keeps the numbers of the clips that were read, and may end its process as no process survives."""

    order = 60

    def __init__(self, last_batch=None):
        self.read, self.left = {"train": [], "valid": []}, last_batch

    def before_epoch(self):
        for part in self.read.values():
            part.append([])

    def after_batch(self):
        self.read["train" if self.training else "valid"][-1] += [number for number, _ in self.learn.xb[0].clips]
        if self.training and self.left is not None:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def digest(model):
    """Of all weights."""
    parts = b"".join(part.numpy().tobytes() for part in model.state_dict().values())
    return hashlib.blake2b(parts, digest_size=8).hexdigest()


def train(learn, recipe, out, last_batch=None):
    """The history, the clips read, and a digest of the weights in the end."""
    watch = Watch(last_batch)
    with learn.added_cbs(watch):
        history = sp.fit(learn, recipe, out=out)
    names = sorted({type(layer).__name__ for layer in learn.model.modules()})
    return {"rows": history.to_dict("records"), "read": watch.read, "weights": digest(learn.model), "layers": names}


def main():
    folder, how, rank = Path(sys.argv[1]), sys.argv[2], int(os.environ["RANK"])
    torch.set_num_threads(1)
    place = folder if rank == 0 else folder / "nobody writes here"
    if how == "nets":
        found = {name: train(net_learner(folder, name), PLAIN.replace(epochs=1), None) for name in picture_nets()}
        found["searched"] = train(plain_learner(folder), SEARCHED, place / "searched")
        found["mean"] = train(own_learner(folder), MEAN, place / "mean")
        (folder / f"nets-{rank}.json").write_text(json.dumps(found))
        return
    if how == "killed":
        train(own_learner(folder), KILLED, place / "killed", last_batch=5 if rank == 1 else None)
    found = {
        "resumed": train(own_learner(folder), KILLED, place / "killed"),
        "whole": train(own_learner(folder), KILLED, place / "whole"),
        "begun by one": train(own_learner(folder), KILLED, place / "begun by one"),
        "frames": train(frames_learner(folder), AVERAGED, place / "frames"),
        "plain": train(plain_learner(folder), PLAIN, place / "plain"),
    }
    (folder / f"found-{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
