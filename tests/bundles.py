"""What the tests of classifiers share: tones of three labels, two of which are called like columns, and learners over them."""

import json
from types import SimpleNamespace

import pandas as pd
import soundfile as sf
import torch
from fastai.vision.all import ProgressCallback

from specimg.data import SpecDataLoaders
from specimg.datasets import sine
from specimg.inference import SETTINGS
from specimg.inference.folder import facts_of
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel
from specimg.training.learner import spec_learner

torch.set_num_threads(1)
SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
LOOK = Renderer(MEL)
HZ = {"high": 3000, "label": 400, "path": 1200}  # names that are columns, too


def make_sounds(folder, n=6):
    """3 n tones of three lengths in .folder, .table (path, label, both) and .files."""
    rows = [(f"{label}{i}.wav", label, f"{label} {'odd' if i % 2 else 'even'}") for i in range(n) for label in HZ]
    for i, (name, label, _) in enumerate(rows):
        sf.write(folder / name, sine(HZ[label], 0.3 + 0.05 * (i % 3), SR), SR)
    table = pd.DataFrame(rows, columns=["path", "label", "both"])
    return SimpleNamespace(folder=folder, table=table, files=[folder / name for name in table["path"]])


def train(sounds, **kwargs):
    """A learner with weights of chance, statistics of its batch norms included."""
    options = dict(renderer=LOOK, cache=sounds.folder / "cache", bs=4, n_jobs=1)
    dls = SpecDataLoaders.from_df(sounds.table, sounds.folder, **{**options, **kwargs})
    learn = spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    learn.remove_cb(ProgressCallback)
    for x, _ in dls.train:
        learn.model(x)  # in training mode: the running statistics move
    return learn


def probabilities(table):
    return table[[f"p_{label}" for label in table.attrs["vocab"]]].to_numpy()


def edited(change):
    """A damage: a change of the settings."""

    def edit(folder):
        settings = json.loads((folder / SETTINGS).read_text())
        change(settings)
        (folder / SETTINGS).write_text(json.dumps(settings))

    return edit


def signed(folder, name):
    """Enter the file as it is now into the settings: what somebody does who forges a folder."""
    edited(lambda s: s["files"].__setitem__(name, facts_of((folder / name).read_bytes())))(folder)
