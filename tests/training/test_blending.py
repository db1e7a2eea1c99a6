"""The loss of blends: each label by its share, in training only."""

import pytest
import torch
from fastai.vision.all import CrossEntropyLossFlat, LabelSmoothingCrossEntropyFlat
from torch.nn import functional as F

import specimg as sp
from specimg.data import WaveAugment
from specimg.training import BlendedLabels, ClipWeights, GeneralizedCrossEntropy
from specimg.training.blending import blends

SR = 8000


@pytest.fixture
def dls(tmp_path, write_wav, sine):
    for i in range(12):
        write_wav(tmp_path / "clips" / ("low", "high")[i % 2] / f"{i}.wav", sine((300, 1500)[i % 2] + i, 0.5, SR), SR)
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64), audio=sp.Audio(sr=SR, duration=0.5))
    mix = WaveAugment(mix=1.0, shift=0, noise_db=None)
    return sp.SpecDataLoaders.from_folder(
        tmp_path / "clips",
        renderer=look,
        cache=tmp_path / "cache",
        live=True,
        wave_augment=mix,
        bs=8,
        augment=None,
        progress=False,
    )


def learner(dls, **options):
    return sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0, **options)


@pytest.mark.parametrize("loss", [CrossEntropyLossFlat(), LabelSmoothingCrossEntropyFlat()])
def test_the_loss_is_that_of_the_labels_by_their_shares(dls, loss):
    learn, seen = learner(dls, loss_func=loss), []

    blended = next(cb for cb in learn.cbs if isinstance(cb, BlendedLabels))
    wrapped = blended.lf

    def lf(pred, *yb):
        out = wrapped(pred, *yb)
        if learn.training:
            seen.append((pred.detach(), yb[0], learn.xb[0].shares, out.detach()))
        return out

    blended.lf = lf
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    assert seen and learn.loss_func is loss
    for pred, y, shares, out in seen:
        target = shares @ F.one_hot(y.as_subclass(torch.Tensor), 2).float()
        smoothing = getattr(loss.func if hasattr(loss, "func") else loss, "eps", 0.0)
        want = F.cross_entropy(pred.as_subclass(torch.Tensor), target, label_smoothing=smoothing)
        assert float(out) == pytest.approx(float(want), rel=1e-5)


def test_other_losses_for_wrong_labels_take_blends_too(dls):
    learn = learner(dls)
    with learn.no_bar(), learn.no_logging():
        history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3, loss=GeneralizedCrossEntropy(), seed=0))
    assert history["train_loss"].notna().all() and learn.loss_func is dls.loss_func


def test_loaders_that_blend_nothing_need_nothing(dls):
    assert blends(dls)
    plain = sp.SpecDataLoaders.from_tree(dls.tree, bs=4)
    assert not blends(plain) and not any(isinstance(cb, BlendedLabels) for cb in learner(plain).cbs)


def test_what_does_not_go_with_blends_is_refused(dls):
    with pytest.raises(ValueError, match="the loaders blend clips already .* set one of them to 0"):
        sp.fit(learner(dls), sp.Recipe(epochs=1, mixup=0.2))
    learn = learner(dls, cbs=[ClipWeights([1.0] * dls.train.n)])
    with pytest.raises(ValueError, match="a blend has no weight of its own"):
        sp.fit(learn, sp.Recipe(epochs=1))
    learn = learner(dls, loss_func=torch.nn.CrossEntropyLoss())
    with (
        pytest.raises(ValueError, match="is not one of fastai's for single labels"),
        learn.no_bar(),
        learn.no_logging(),
    ):
        learn.fit(1)


def test_frames_count_by_the_same_shares(dls):
    learn = sp.spec_learner(dls, "test_resnet", pretrained=False, head="attention", seed=0)
    with learn.no_bar(), learn.no_logging():
        history = sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3, seed=0))
    assert history["train_loss"].notna().all() and learn.loss_func is dls.loss_func
