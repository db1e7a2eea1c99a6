"""A run on labelled soundscapes, in the layout of birdclef-2026 and in small."""

import warnings

import torch
from miniatures.birds import birdclef

import specimg as sp

torch.set_num_threads(1)
LOOK = sp.Renderer(sp.Mel(n_mels=16, n_fft=512, hop_length=128), audio=sp.Audio(sr=16000))


def scape_run(folder):
    """(competition, run, what the log said): one epoch on two folds."""
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is odd in the miniature
        comp = sp.Competition.open("birdclef-2026", birdclef(folder / "birdclef-2026", "birdclef-2026"))
        run = sp.cross_validate(
            comp, LOOK, "test_resnet", sp.Recipe(epochs=1, lr=3e-3, seed=0), folds=2, out=folder / "run",
            loaders=dict(bs=8, size=32, method="crop", seconds=1.0, n_jobs=1, progress=False, cache=folder / "cache"),
            learner=dict(pretrained=False), log=said.append,
        )  # fmt: skip
    return comp, run, "\n".join(said)
