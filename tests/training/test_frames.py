"""The loss over clips and frames: its value, what it goes together with, and that validation does without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import Callback, MixUp
from torch.nn import functional as F

import specimg as sp
from specimg.training import ClipWeights, Recipe, TrainingFolder, fit
from specimg.training.frames import ClipAndFrames

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """12 clips of low and high tones."""
    root, rng = tmp_path_factory.mktemp("clips"), np.random.default_rng(0)
    for i in range(12):
        t = np.arange(8000) / 8000
        sf.write(
            root / f"{i}.wav", 0.3 * np.sin(2 * np.pi * (400, 2000)[i % 2] * t) + 0.01 * rng.standard_normal(8000), 8000
        )
    return root


def loaders(folder, several=False):
    label = ["low;both", "high;both"] if several else ["low", "high"]
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(12)], "label": label * 6, "is_valid": [False] * 8 + [True] * 4}
    )
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=80))
    return sp.SpecDataLoaders.from_df(
        table,
        folder,
        label_delim=";" if several else None,
        valid_col="is_valid",
        renderer=look,
        cache=folder / "cache",
        bs=4,
        size=(32, 96),
        num_workers=0,
        seed=0,
    )


def learner(folder, several=False, **options):
    options = {"head": "attention", "seed": 0, "lin_ftrs": [16], **options}
    return sp.spec_learner(loaders(folder, several), "test_resnet", pretrained=False, **options)


class Watch(Callback):
    """Outputs, frames, targets and losses of the training batches, and the validation loss functions."""

    order = 1.5  # after ClipWeights

    def __init__(self):
        self.seen, self.valid, self.rows = [], [], []

    def after_loss(self):
        if self.training:
            self.seen.append((self.pred.detach(), self.pred.frames.detach(), self.yb[0], self.loss_grad.detach()))
            self.rows.append([row for row, _ in self.xb[0].clips])
        else:
            self.valid.append(self.learn.loss_func)


def watched(learn, recipe=Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0), out=None):
    learn.add_cb(Watch())
    with learn.no_bar(), learn.no_logging():
        fit(learn, recipe, out)
    return learn.watch


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.2, 1.0])
def test_half_on_the_clip_and_half_on_the_frames(folder, several, share):
    learn = learner(folder, several, frame_share=share)
    usual, watch = learn.loss_func, watched(learn)
    naive = F.binary_cross_entropy_with_logits if several else F.cross_entropy
    assert len(watch.seen) == 2
    for clip, frames, target, loss in watch.seen:
        assert frames.shape == (4, 3, clip.shape[1])
        target = torch.tensor(target.tolist(), dtype=torch.float32 if several else torch.long)
        expected = (1 - share) * naive(clip, target) + share * naive(frames.max(dim=1).values, target)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert learn.loss_func is usual and all(loss is usual for loss in watch.valid)


def test_weights_of_clips_count_in_both_parts(folder):
    learn, given = learner(folder), torch.tensor([0.0, 1, 2, 3, 0, 1, 2, 3])
    learn.add_cb(ClipWeights(given))
    watch = watched(learn)
    for rows, (clip, frames, target, loss) in zip(watch.rows, watch.seen, strict=True):
        target = torch.tensor(target.tolist())
        parts = [F.cross_entropy(logits, target, reduction="none") for logits in (clip, frames.amax(1))]
        expected = ((parts[0] + parts[1]) / 2 * given[rows] / given.mean()).mean()
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(
    "recipe", [dict(mixup=0.4), dict(label_smoothing=0.1), dict(loss=sp.training.SoftBootstrap())], ids=str
)
def test_with_mixup_smoothing_and_another_loss(folder, recipe):
    learn = learner(folder)
    usual = learn.loss_func
    watch = watched(learn, Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0, **recipe))
    assert learn.loss_func is usual and all(loss is usual for loss in watch.valid)
    plain = [F.cross_entropy(clip, torch.tensor(y.tolist())).item() for clip, _, y, _ in watch.seen]
    assert all(loss.isfinite() for *_, loss in watch.seen)
    assert [loss.item() for *_, loss in watch.seen] != pytest.approx(plain, rel=1e-4)


def test_fastais_own_fit_and_a_failure_within_it(folder):
    class Fail(Callback):
        order = 60

        def after_loss(self):
            raise RuntimeError("stop")

    learn = learner(folder)
    usual = learn.loss_func
    with learn.no_bar(), learn.no_logging():
        with learn.added_cbs(Fail()), pytest.raises(RuntimeError, match="stop"):
            learn.fit(1)
        learn.fit(1, cbs=MixUp(0.4))
    assert learn.loss_func is usual


def test_a_lost_answer_of_the_frames_is_said():
    with pytest.raises(ValueError, match="came without its frames"):
        ClipAndFrames(F.cross_entropy, 0.5)(torch.zeros(2, 3), torch.zeros(2, dtype=torch.long))


def test_a_training_with_another_share_or_head_is_not_resumed(folder, tmp_path):
    watched(learner(folder), out=tmp_path / "run")
    assert TrainingFolder(tmp_path / "run").facts()["network"]["head"] == "attention"
    recipe = Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0)
    with pytest.raises(ValueError, match=r"frame_share is 0.5 there and 0.25 here"):
        fit(learner(folder, frame_share=0.25), recipe, tmp_path / "run")


@pytest.mark.parametrize(
    "options, reason",
    [
        (dict(frame_share=1.5), r"frame_share=1.5: give 0, the clips alone, to 1"),
        (dict(frame_share=0.2, head="gem"), "is of head='attention'"),
    ],
)
def test_shares_that_are_none(folder, options, reason):
    with pytest.raises(ValueError, match=reason):
        learner(folder, **options)


def test_windows_of_a_clip_are_averaged_and_their_frames_follow_each_other(folder):
    model = learner(folder).model.eval()
    x = torch.rand(2, 3, 1, 32, 96)
    with torch.inference_mode():
        clip, frames = model.answers(x)
        each = [model.answers(x[:, i]) for i in range(3)]
    torch.testing.assert_close(clip, torch.stack([part[0] for part in each]).mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(frames, torch.cat([part[1] for part in each], dim=1), rtol=1e-4, atol=1e-5)
    assert model(x).shape == (2, 2)
