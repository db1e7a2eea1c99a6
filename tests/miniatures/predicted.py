"""A few short sounds, drawn, with made-up predictions whose mistakes are known.

Clip number k lasts 0.2 s + k * 0.01 s and sounds at its class's pitch. Every fourth clip is predicted as the next class.
"""

import numpy as np
import pandas as pd
import soundfile as sf

from specimg import Audio, Mel, Picture, Renderer, render_tree
from specimg.training import Predictions

LOOK = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64), Picture(), Audio(sr=8000))


def write_sounds(folder, n, n_classes, sr=8000):
    """Names of n recordings in `folder`, class by class in turn."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"clip{k:03}.wav" for k in range(n)]
    for k, name in enumerate(names):
        t = np.arange(round(sr * (0.2 + 0.01 * k))) / sr
        sf.write(folder / name, 0.4 * np.sin(2 * np.pi * 300 * (1 + k % n_classes) * t), sr)
    return names


def probabilities(actual, predicted, n_classes, sure=0.7):
    """(clips, classes): `sure` for the prediction, a little for the label, next to nothing for the rest."""
    probs = np.full((len(actual), n_classes), 1e-3)
    probs[np.arange(len(actual)), actual] = 0.05
    probs[np.arange(len(predicted)), predicted] = sure
    return probs / probs.sum(axis=1, keepdims=True)


def make_predictions(folder, n=24, vocab=("cat", "dog", "owl"), **columns):
    """Predictions of n clips whose recordings are in folder/audio, drawn into folder/cache; speakers "ann" and "bob" in turn."""
    names = write_sounds(folder / "audio", n, len(vocab))
    tree = render_tree(folder / "audio", LOOK, folder / "cache", n_jobs=1, progress=False)
    actual = np.arange(n) % len(vocab)
    predicted = np.where(np.arange(n) % 4 == 3, (actual + 1) % len(vocab), actual)
    probs = probabilities(actual, predicted, len(vocab))
    facts = {
        "path": names,
        "picture": [str(tree.picture(name)) for name in names],
        "target": [vocab[k] for k in actual],
        "loss": -np.log(probs[np.arange(n), actual]),
        "group": ["ann", "bob"] * (n // 2) + ["ann"] * (n % 2),
    }
    rng = np.random.default_rng(0)
    return Predictions(
        pd.DataFrame({**facts, **columns}), probs, list(vocab), rng.normal(size=(n, 8)) + 4 * actual[:, None]
    )
