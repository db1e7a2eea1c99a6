"""The linear baseline: right where the average spectrum decides, at chance where it cannot."""

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg.data import SpecDataLoaders
from specimg.datasets import chirp, sine
from specimg.experiments.baseline import linear_baseline, row_statistics
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel

torch.set_num_threads(1)
SR = 8000
LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64))
HZ = {"high": 3000, "low": 400, "mid": 1200}


def load(folder, clips, **kwargs):
    """Loaders of (label, samples), every third clip of a label held out."""
    rows, seen = [], {}
    for i, (label, y) in enumerate(clips):
        sf.write(folder / f"{i}.wav", y, SR)
        seen[label] = seen.get(label, 0) + 1
        rows.append((f"{i}.wav", label, seen[label] % 3 == 0))
    table = pd.DataFrame(rows, columns=["path", "label", "held"])
    options = dict(valid_col="held", renderer=LOOK, cache=folder / "cache", bs=4, n_jobs=1)
    return SpecDataLoaders.from_df(table, folder, **{**options, **kwargs})


def tones(n, seed=0):
    rng = np.random.default_rng(seed)
    return [(label, sine(hz, 0.3, SR) + rng.normal(0, 0.02, 2400)) for _ in range(n) for label, hz in HZ.items()]


def test_rows_are_described_by_mean_and_deviation():
    planes = np.array([[[0, 255], [51, 51]], [[102, 102], [0, 51]]], "uint8")
    assert row_statistics(planes) == pytest.approx([0.5, 0.2, 0.4, 0.1, 0.5, 0, 0, 0.1])
    assert row_statistics(planes[:1]).shape == (4,)


def test_what_the_average_spectrum_tells_is_found(tmp_path):
    found = linear_baseline(load(tmp_path, tones(6)))
    assert (found.accuracy, found.error, found.vocab) == (1.0, 0.0, ("high", "low", "mid"))
    assert found.chance == pytest.approx(1 / 3)
    assert found.probs.shape == (6, 3) and found.probs.sum(axis=1) == pytest.approx(np.ones(6))
    assert [found.vocab[i] for i in found.probs.argmax(axis=1)] == found.clips["label"].tolist()
    assert (
        str(found)
        == "linear baseline: accuracy 1.000 (error 0.000) on 6 clips; the most frequent class alone gives 0.333"
    )


def test_labels_that_mean_nothing_are_not_learnt(tmp_path):
    labels = np.random.default_rng(1).permutation(["a", "b"] * 30)
    y = np.random.default_rng(2).normal(0, 0.1, (60, 2400))
    assert linear_baseline(load(tmp_path, list(zip(labels, y)))).accuracy == pytest.approx(0.5, abs=0.25)


def test_two_classes_that_are_each_other_backwards_look_alike(tmp_path):
    rng = np.random.default_rng(3)
    up = [chirp(300 * 2 ** rng.uniform(0, 1), 1500 * 2 ** rng.uniform(0, 1), 0.3, SR) for _ in range(60)]
    clips = [(label, y[::-1] if label == "down" else y) for label, y in zip(["down", "up"] * 30, up)]
    clips = [(label, y + rng.normal(0, 0.01, len(y))) for label, y in clips]
    assert linear_baseline(load(tmp_path, clips)).accuracy == pytest.approx(0.5, abs=0.25)


def test_chance_is_the_share_of_trainings_commonest_label(tmp_path):
    clips = tones(6) + [("low", sine(400, 0.3, SR))] * 3
    assert linear_baseline(load(tmp_path, clips)).chance == pytest.approx(3 / 7)


def test_several_labels_a_clip_have_no_linear_baseline(tmp_path):
    with pytest.raises(ValueError, match="needs one label a clip"):
        linear_baseline(load(tmp_path, [(f"{label} loud", y) for label, y in tones(3)], label_delim=" "))
