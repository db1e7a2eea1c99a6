"""Curves of frames lie on the clip's own seconds, in the interpretation and on a page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import soundfile as sf
import torch

import specimg as sp
from specimg.interpret import frame_curves

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("frames"), np.random.default_rng(0)
    for i in range(8):
        (root / "clips" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        sf.write(root / "clips" / "ab"[i % 2] / f"{i}.wav", 0.1 * rng.standard_normal(8000), 8000)
    return root


def learner(folder, head="attention", **loaders):
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=80))
    options = dict(cache=folder / "cache", bs=2, size=(32, 96), valid_pct=0.5, num_workers=0, seed=0)
    dls = sp.SpecDataLoaders.from_folder(folder / "clips", renderer=look, **options, **loaders)
    return sp.spec_learner(dls, "test_resnet", pretrained=False, head=head, seed=0)


@pytest.mark.parametrize("loaders, frames, end", [({}, 3, 1.0), (dict(method="pad", seconds=2.0), 2, 1.0)])
def test_curves_lie_on_the_seconds_of_the_clip(folder, loaders, frames, end):
    learn = learner(folder, **loaders)
    curves, missing = frame_curves(learn, [folder / "clips/a/0.wav", folder / "nothing.wav"])
    assert missing is None and curves.probs.shape == (frames, 2) and curves.vocab == ["a", "b"]
    assert abs(curves.edges[0]) < 0.02 and abs(curves.edges[-1] - end) < 0.02
    np.testing.assert_allclose(curves.probs.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(curves.of("b"), curves.probs[:, 1])


def test_several_windows_of_a_clip_follow_each_other(folder):
    [curves] = frame_curves(learner(folder, method="crop", seconds=0.4), [folder / "clips/a/0.wav"])
    assert (np.diff(curves.edges) > 0).all() and len(curves.edges) == len(curves.probs) + 1 > 4


def test_networks_without_frames_are_refused(folder):
    with pytest.raises(ValueError, match="head='attention'"):
        frame_curves(learner(folder, head="gem"), [folder / "clips/a/0.wav"])


@pytest.mark.parametrize("head", ["attention", "gem"])
def test_a_page_has_the_curves_where_there_are_frames(folder, head, tmp_path):
    page = sp.report(learner(folder, head), tmp_path / "report.html", cam=3, progress=False).read_text()
    found = json.loads(re.search('id="page">(.*?)</script>', page)[1])["clips"]["frames"]
    assert len(found) == 4 and sum(part is not None for part in found) == (3 if head == "attention" else 0)
    if head == "attention":
        assert len(found[0]["edges"]) == 4 and sorted(k for k, _ in found[0]["labels"]) == [0, 1]
        assert all(len(percent) == 3 and 0 <= min(percent) <= max(percent) <= 100 for _, percent in found[0]["labels"])
