"""Losses by hand, at their limits and far out; weights of clips against the same batch without them."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
import torch.nn.functional as F
from fastai.vision.all import (
    SGD,
    BCEWithLogitsLossFlat,
    Callback,
    CancelFitException,
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    Learner,
    MixUp,
    NoneReduce,
    ProgressCallback,
    TensorCategory,
    TensorMultiCategory,
    set_seed,
)
from torch import nn

from specimg.core.values import Value
from specimg.data import SpecDataLoaders
from specimg.datasets import sine
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel
from specimg.training import Recipe, fit, predict_all
from specimg.training.losses import (
    AsymmetricLoss,
    BinaryCrossEntropy,
    ClipWeights,
    FocalLoss,
    GeneralizedCrossEntropy,
    Loss,
    LossFunction,
    SoftAUC,
    SoftBootstrap,
    is_multi_loss,
)

torch.set_num_threads(1)
LN2 = math.log(2)
LOSSES = [
    GeneralizedCrossEntropy(q=0.7),
    GeneralizedCrossEntropy(q=0.2),
    SoftBootstrap(beta=0.7),
    SoftBootstrap(beta=0.3),
]


def logits_of(*p):
    """Logits whose softmax is `p`, one row."""
    return torch.tensor([p], dtype=torch.float64).log()


def logit(p):
    return torch.tensor([[math.log(p / (1 - p))]], dtype=torch.float64)


def some_logits(n=6, classes=4, spread=3.0):
    return spread * torch.randn(n, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def some_labels(n=6, classes=4):
    return torch.arange(n) % classes


def some_targets(n=6, classes=4):
    return torch.rand(n, classes, generator=torch.Generator().manual_seed(1)).round().double()


# ---------------------------------------------------------------------- values


@pytest.mark.parametrize(
    "loss, label, cost",
    [
        (GeneralizedCrossEntropy(q=0.5), 0, (1 - 0.5**0.5) / 0.5),
        (GeneralizedCrossEntropy(q=0.5), 1, 1.0),  # the square root of 1/4 is 1/2
        (SoftBootstrap(beta=0.6), 0, 0.6 * LN2 + 0.4 * 1.5 * LN2),
        (SoftBootstrap(beta=0.6), 2, 0.6 * 2 * LN2 + 0.4 * 1.5 * LN2),
    ],
)
def test_one_label_by_hand(loss, label, cost):
    logits = logits_of(0.5, 0.25, 0.25)  # of an entropy of 1.5 bits
    assert loss.function()(logits, torch.tensor([label])).item() == pytest.approx(cost)


@pytest.mark.parametrize(
    "loss, target, cost",
    [
        (GeneralizedCrossEntropy(q=0.5), 1.0, (1 - 0.8**0.5) / 0.5),
        (GeneralizedCrossEntropy(q=0.5), 0.0, (1 - 0.2**0.5) / 0.5),
        (SoftBootstrap(beta=0.6), 1.0, -(0.6 + 0.4 * 0.8) * math.log(0.8) - 0.4 * 0.2 * math.log(0.2)),
        (SoftBootstrap(beta=0.6), 0.0, -(0.6 + 0.4 * 0.2) * math.log(0.2) - 0.4 * 0.8 * math.log(0.8)),
    ],
)
def test_several_labels_by_hand_element_by_element(loss, target, cost):
    assert loss.function(is_multi=True)(logit(0.8), torch.tensor([[target]])).item() == pytest.approx(cost)
    both = torch.cat([logit(0.8), logit(0.8)], dim=1)
    found = loss.function(is_multi=True)(both, torch.tensor([[target, 1 - target]]))
    other = loss.function(is_multi=True)(logit(0.8), torch.tensor([[1 - target]]))
    assert found.item() == pytest.approx((cost + other.item()) / 2)


def test_lq_lies_between_cross_entropy_and_one_minus_p():
    logits, labels, targets = some_logits(), some_labels(), some_targets()
    near = GeneralizedCrossEntropy(q=1e-6)
    assert near.function()(logits, labels).item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-4)
    of_sigmoids = F.binary_cross_entropy_with_logits(logits, targets).item()
    assert near.function(True)(logits, targets).item() == pytest.approx(of_sigmoids, rel=1e-4)
    assert near.function()(logits.float(), labels).item() == pytest.approx(
        F.cross_entropy(logits, labels).item(), rel=1e-4
    )
    p = logits.softmax(dim=-1)[range(6), labels]
    assert GeneralizedCrossEntropy(q=1).function()(logits, labels).item() == pytest.approx((1 - p).mean().item())
    assert GeneralizedCrossEntropy(q=1).function(True)(logits, targets).item() == pytest.approx(
        (logits.sigmoid() - targets).abs().mean().item()
    )


def test_soft_bootstrap_that_believes_every_label_is_cross_entropy():
    logits, labels, targets = some_logits(), some_labels(), some_targets()
    loss = SoftBootstrap(beta=1)
    assert torch.allclose(loss.function()(logits, labels), F.cross_entropy(logits, labels), rtol=1e-12)
    assert torch.equal(loss.function(True)(logits, targets), F.binary_cross_entropy_with_logits(logits, targets))


def plainly(loss, is_multi, logits, target):
    """The formulas as the papers write them."""
    if is_multi:
        p = logits.sigmoid()
        of_label, hot = torch.where(target == 1, p, 1 - p)[..., None], torch.stack([target, 1 - target], dim=-1)
        p = torch.stack([p, 1 - p], dim=-1)
    else:
        p = logits.softmax(dim=-1)
        of_label, hot = p.gather(-1, target[:, None]), F.one_hot(target, logits.shape[-1]).double()
    if isinstance(loss, GeneralizedCrossEntropy):
        return ((1 - of_label**loss.q) / loss.q).mean()
    return -((loss.beta * hot + (1 - loss.beta) * p) * p.log()).sum(dim=-1).mean()


@pytest.mark.parametrize("is_multi", [False, True])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_value_and_gradient_are_those_of_the_plain_formula(loss, is_multi):
    ours, theirs = some_logits().requires_grad_(), some_logits().requires_grad_()
    target = some_targets() if is_multi else some_labels()
    found, expected = loss.function(is_multi)(ours, target), plainly(loss, is_multi, theirs, target)
    found.backward()
    expected.backward()
    assert torch.allclose(found, expected, rtol=1e-10) and torch.allclose(ours.grad, theirs.grad, rtol=1e-8, atol=1e-12)
    assert theirs.grad.abs().max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("size", [50, 1e4])
@pytest.mark.parametrize("is_multi", [False, True])
@pytest.mark.parametrize("loss", [*LOSSES, GeneralizedCrossEntropy(q=1), SoftBootstrap(beta=1)], ids=str)
def test_saturated_logits_give_finite_losses_and_gradients(loss, is_multi, size, dtype):
    logits = (size * torch.tensor([[1, -1, 0], [-1, 1, 1], [1, -1, -1]])).to(dtype).requires_grad_()
    target = torch.tensor([[0, 1, 0], [1, 0, 0], [1, 0, 0]]) if is_multi else torch.tensor([1, 0, 0])
    value = loss.function(is_multi)(logits, target)
    value.backward()
    assert value.dtype == torch.float32 and value.isfinite() and logits.grad.isfinite().all()
    assert value > 0 and loss.function(is_multi)(logits[2:], target[2:]) < 1e-6  # the last row is sure and right


def test_lq_lets_a_hopeless_label_go_and_cross_entropy_does_not():
    logits = torch.tensor([[12.0, 0.0]], requires_grad=True)
    pulls = []
    for loss in (GeneralizedCrossEntropy(q=0.7).function(), CrossEntropyLossFlat()):
        logits.grad = None
        loss(logits, torch.tensor([1])).backward()
        pulls.append(logits.grad.abs().max().item())
    assert pulls[0] < 1e-3 and pulls[1] > 0.99


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: GeneralizedCrossEntropy(q=0),
            r"GeneralizedCrossEntropy\(q=0\): give a number above 0 and up to 1; near 0 it is cross entropy",
        ),
        (lambda: GeneralizedCrossEntropy(q=1.1), r"GeneralizedCrossEntropy\(q=1.1\): give a number above 0"),
        (
            lambda: SoftBootstrap(beta=0),
            r"SoftBootstrap\(beta=0\): give a number above 0 and up to 1, which is cross entropy",
        ),
        (lambda: SoftBootstrap(beta="half"), "'half' is not a finite number"),
        (
            lambda: Loss.from_dict({"kind": "l1"}),
            "unknown loss 'l1'; choose one of asymmetricloss, binarycrossentropy, focalloss, generalizedcrossentropy",
        ),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_losses_travel(loss):
    assert Loss.from_dict(loss.to_dict()) == Value.from_toml(loss.to_toml()) == loss


# ---------------------------------------------------------------------- as fastai calls them


def test_what_fastai_asks_of_a_loss():
    one, several = GeneralizedCrossEntropy().function(), SoftBootstrap().function(is_multi=True)
    logits = some_logits()
    assert torch.equal(one.activation(logits), logits.softmax(dim=-1)) and torch.equal(
        several.activation(logits), logits.sigmoid()
    )
    assert one.decodes(logits.softmax(dim=-1)).tolist() == logits.argmax(dim=-1).tolist()
    assert torch.equal(several.decodes(logits.sigmoid()), logits > 0)
    assert one.y_int and not several.y_int
    assert (
        str(one) == "GeneralizedCrossEntropy() for one label a clip"
        and str(several) == "SoftBootstrap() for several labels a clip"
    )


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_reductions(loss):
    for function, target, shape in [
        (loss.function(), TensorCategory(some_labels()), (6,)),
        (loss.function(True), TensorMultiCategory(some_targets()), (6, 4)),
    ]:
        mean = function(some_logits(), target)
        with NoneReduce(function) as unreduced:
            losses = unreduced(some_logits(), target)
        assert type(mean) is torch.Tensor and losses.shape == shape and torch.equal(losses.mean(), mean)
        assert function.reduction == "mean"
        function.reduction = "sum"
        assert torch.equal(function(some_logits(), target), losses.sum())


def test_blended_targets_of_several_labels_cost_the_blend_of_both():
    logits, a, share = some_logits(), some_targets(), 0.3
    b = 1 - a
    for loss in LOSSES:
        function = loss.function(is_multi=True)
        blend = share * function(logits, a) + (1 - share) * function(logits, b)
        assert torch.allclose(function(logits, share * a + (1 - share) * b), blend)


def test_which_kind_of_loss():
    assert (
        is_multi_loss(CrossEntropyLossFlat())
        is is_multi_loss(nn.CrossEntropyLoss())
        is is_multi_loss(GeneralizedCrossEntropy().function())
        is False
    )
    assert (
        is_multi_loss(BCEWithLogitsLossFlat())
        is is_multi_loss(nn.BCEWithLogitsLoss())
        is is_multi_loss(GeneralizedCrossEntropy().function(True))
        is True
    )
    assert is_multi_loss(nn.MSELoss()) is is_multi_loss(F.l1_loss) is None


# ---------------------------------------------------------------------- loaders that tell their clips

LABELS = ["high", "low", "high;low", "low"]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """A folder of 20 tones that differ in level, and two tables of them: one label a clip, and several."""
    folder = tmp_path_factory.mktemp("sounds")
    names = [f"{i}.wav" for i in range(20)]
    for i, name in enumerate(names):
        sf.write(folder / name, (1 - 0.04 * i) * sine(3000 if i % 2 == 0 else 400, 0.1, 8000), 8000)
    one = pd.DataFrame(
        {"path": names, "label": [LABELS[i % 2] for i in range(20)], "held": [i >= 16 for i in range(20)]}
    )
    return SimpleNamespace(folder=folder, one=one, several=one.assign(label=[LABELS[i % 4] for i in range(20)]))


def load(sounds, is_multi=False, augment=None, **kwargs):
    return SpecDataLoaders.from_df(
        sounds.several if is_multi else sounds.one,
        sounds.folder,
        label_delim=";" if is_multi else None,
        valid_col="held",
        renderer=Renderer(Mel(n_mels=8, n_fft=256, hop_length=64)),
        cache=sounds.folder / "cache",
        size=(8, 12),
        n_jobs=1,
        progress=False,
        augment=augment,
        **{"bs": 8, **kwargs},
    )


def make_learner(dls, loss_func=None, cbs=()):
    """A linear network: no clip acts on another through batch normalisation."""
    set_seed(0)
    learn = Learner(
        dls, nn.Sequential(nn.Flatten(), nn.Linear(96, dls.c)), loss_func=loss_func, opt_func=SGD, cbs=list(cbs)
    )
    return learn.remove_cb(ProgressCallback)


class FirstBatch(Callback):
    """Keeps what the first batch was and the gradient that it gave, and ends the training."""

    def before_step(self):
        x, y = self.xb[0], self.yb[0]
        self.batch = SimpleNamespace(
            x=x.as_subclass(torch.Tensor),
            y=y.as_subclass(torch.Tensor),
            rows=[row for row, _ in x.clips],
            loss=self.learn.loss.item(),
        )
        self.gradients = [p.grad.clone() for p in self.model.parameters()]
        raise CancelFitException


def first_batch(learn):
    seen = FirstBatch()
    with learn.no_logging():
        learn.fit(1, 0.1, cbs=seen)
    return seen.batch, seen.gradients


LOSS_FUNCS = {
    "CrossEntropyLossFlat": (False, CrossEntropyLossFlat),
    "label smoothing": (False, lambda: CrossEntropyLossFlat(label_smoothing=0.2)),
    "torch's": (False, nn.CrossEntropyLoss),
    "function": (False, lambda: F.cross_entropy),
    "BCEWithLogitsLossFlat": (True, BCEWithLogitsLossFlat),
    "GeneralizedCrossEntropy": (False, lambda: GeneralizedCrossEntropy().function()),
    "GeneralizedCrossEntropy, several": (True, lambda: GeneralizedCrossEntropy().function(True)),
    "SoftBootstrap": (False, lambda: SoftBootstrap().function()),
    "SoftBootstrap, several": (True, lambda: SoftBootstrap().function(True)),
}


@pytest.fixture(scope="module")
def loaders(sounds):
    return {is_multi: load(sounds, is_multi) for is_multi in (False, True)}


@pytest.mark.parametrize("name", LOSS_FUNCS)
def test_clips_of_weight_0_leave_the_gradient_of_the_others(loaders, name):
    is_multi, make = LOSS_FUNCS[name]
    learn = make_learner(loaders[is_multi], make())
    weights = np.array([1.0, 0.0] * 8)  # the clips of odd numbers are the mislabelled ones
    learn.add_cb(ClipWeights(weights))
    batch, found = first_batch(learn)
    right = [row % 2 == 0 for row in batch.rows]
    assert 0 < sum(right) < 8
    learn.model.zero_grad()
    alone = make()(learn.model(batch.x[right]), batch.y[right])
    alone.backward()
    scale = 2.0 * sum(right) / 8  # a mean weight of 1, and a mean over the whole batch
    assert batch.loss == pytest.approx(scale * alone.item(), rel=1e-5)
    for p, gradient in zip(learn.model.parameters(), found):
        assert torch.allclose(gradient, scale * p.grad, rtol=1e-4, atol=1e-7) and gradient.abs().max() > 1e-4


@pytest.mark.parametrize("is_multi", [False, True])
def test_every_clip_has_its_own_weight(loaders, is_multi):
    learn = make_learner(loaders[is_multi])
    weights = np.arange(1.0, 17.0)
    learn.add_cb(ClipWeights(pd.Series(weights, index=range(100, 116))))  # by position, whatever the index
    batch, found = first_batch(learn)
    assert batch.rows != sorted(batch.rows)
    learn.model.zero_grad()
    losses = torch.stack([learn.loss_func(learn.model(x[None]), y[None]) for x, y in zip(batch.x, batch.y)])
    expected = (torch.tensor(weights[batch.rows] / weights.mean()) * losses).mean()
    expected.backward()
    assert batch.loss == pytest.approx(expected.item(), rel=1e-5)
    assert all(torch.allclose(g, p.grad, rtol=1e-4, atol=1e-7) for p, g in zip(learn.model.parameters(), found))


def test_weights_alike_leave_training_bit_for_bit_as_it_was(loaders):
    ends = []
    for cbs in ([], [ClipWeights(np.full(16, 0.3))], [ClipWeights([1.0] * 15 + [0.5])]):
        learn = make_learner(loaders[False], cbs=cbs)
        with learn.no_logging():
            history = fit(learn, Recipe(epochs=2, lr=0.1, seed=0))
        ends.append((list(learn.model.parameters()), history.drop(columns="seconds")))
    plain, alike, other = ends
    assert all(torch.equal(a, b) for a, b in zip(plain[0], alike[0])) and plain[1].equals(alike[1])
    assert not torch.equal(plain[0][0], other[0][0])


def test_validation_counts_every_clip_alike(loaders):
    learn = make_learner(loaders[False])
    plain = learn.validate()[0]
    learn.add_cb(ClipWeights(np.arange(16)))
    assert learn.validate()[0] == plain
    assert len(predict_all(learn, embeddings=False)) == 4


@pytest.mark.parametrize("num_workers", [0, 2])
def test_batches_still_know_their_clips_after_workers_augmentation_and_mixup(sounds, num_workers):
    seen = []

    class Look(Callback):
        run_valid = False

        def after_pred(self):
            rows, y = [row for row, _ in self.xb[0].clips], self.yb[0]
            seen.append((rows, [self.dls.vocab[int(i)] for i in y]))

    dls = load(sounds, augment="default", num_workers=num_workers)
    learn = make_learner(dls, cbs=[Look()])
    with learn.no_logging():
        learn.fit(2, 0.01)
        learn.fit(1, 0.01, cbs=MixUp(0.4))
        weighted = make_learner(dls, cbs=[ClipWeights(np.arange(16))])
        with weighted.no_logging():
            weighted.fit(1, 0.01)
    assert len(seen) == 6 and all(len(set(rows)) == 8 for rows, _ in seen)
    assert all([dls.train.clips["label"][row] for row in rows] == labels for rows, labels in seen)
    assert len({tuple(rows) for rows, _ in seen}) == 6


def test_clips_drawn_by_weight_keep_their_own_weights(sounds):
    """A clip that is drawn twice stands in a batch twice, each time with its weight."""
    dls = load(sounds)
    dls.train.weights = [1.0] + [0.0] * 14 + [1.0]
    learn = make_learner(dls, cbs=[ClipWeights([1.0] * 15 + [0.0])])
    batch, _ = first_batch(learn)
    assert set(batch.rows) == {0, 15}
    of_first = learn.loss_func(learn.model(batch.x[[batch.rows.index(0)]]), batch.y[[batch.rows.index(0)]])
    assert batch.loss == pytest.approx(of_first.item() * batch.rows.count(0) / 8 * 16 / 15, rel=1e-5)


@pytest.mark.parametrize(
    "weights, message",
    [
        (3.0, r"weights of the shape \(\); give one number a training clip"),
        ([[1, 2]], r"weights of the shape \(1, 2\)"),
        ([], r"weights of the shape \(0,\)"),
        (
            [1, -1, math.nan],
            "the weight of clip 1 is -1, one of 2 that are not weights; give finite numbers, 0 or more",
        ),
        ([0, 0], "all 2 weights are 0, so that nothing would be learnt"),
    ],
)
def test_weights_that_are_none(weights, message):
    with pytest.raises(ValueError, match=message):
        ClipWeights(weights)


def test_weights_for_other_clips(loaders):
    learn = make_learner(loaders[False], cbs=[ClipWeights([1.0, 2.0])])
    with (
        learn.no_logging(),
        pytest.raises(ValueError, match="2 weights for 16 training clips; give one a row of dls.train.clips"),
    ):
        learn.fit(1)


def test_blended_clips_have_no_weight(loaders, tmp_path):
    learn = make_learner(loaders[False], cbs=[ClipWeights(np.arange(16))])
    with pytest.raises(ValueError, match="MixUp blends clips, .* draw clips by weight instead"):
        fit(learn, Recipe(epochs=1, mixup=0.4), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with learn.no_logging(), pytest.raises(ValueError, match="MixUp blends clips"):
        learn.fit(1, cbs=MixUp(0.4))


def test_batches_that_do_not_tell_their_clips():
    items = [(torch.randn(1, 8, 12), torch.tensor(i % 2)) for i in range(8)]
    dls = DataLoaders(DataLoader(items, bs=4), DataLoader(items, bs=4))
    dls.c = 2
    learn = make_learner(dls, CrossEntropyLossFlat(), cbs=[ClipWeights(range(8))])
    with learn.no_logging(), pytest.raises(ValueError, match="the batch does not identify its clips"):
        learn.fit(1)


class Batchwise:
    """A loss of the whole batch that has no other."""

    reduction = "mean"

    def __call__(self, pred, target):
        return F.cross_entropy(pred, target)


@pytest.mark.parametrize(
    "loss_func, message",
    [
        (
            CrossEntropyLossFlat(weight=torch.tensor([1.0, 5.0])),
            "where the mean over the clips is .* without class weights",
        ),
        (CrossEntropyLossFlat(reduction="sum"), "where the mean over the clips is"),
        (Batchwise(), "gives 1 losses for 8 clips; weights need a loss that respects reduction='none'"),
    ],
)
def test_losses_that_cannot_be_weighted(loaders, loss_func, message):
    learn = make_learner(loaders[False], loss_func, cbs=[ClipWeights(np.arange(16))])
    with learn.no_logging(), pytest.raises(ValueError, match=message):
        learn.fit(1)


def test_a_run_goes_on_with_its_own_weights_only(loaders, tmp_path):
    class Stop(Callback):
        def before_epoch(self):
            if self.epoch == 1:
                raise RuntimeError("stop")

    recipe, out = Recipe(epochs=2, lr=0.1, seed=0), tmp_path / "run"
    learn = make_learner(loaders[False], cbs=[ClipWeights(np.arange(16)), Stop()])
    with learn.no_logging():
        with pytest.raises(RuntimeError, match="stop"):
            fit(learn, recipe, out=out)
        with pytest.raises(
            ValueError, match="holds a training with a different recipe: clip_weights is '.*' there and None here"
        ):
            fit(make_learner(loaders[False]), recipe, out=out)
        again = make_learner(loaders[False], cbs=[ClipWeights(2 * np.arange(16))])  # the same ratios
        with again.no_logging():
            fit(again, recipe, out=out)
    whole = make_learner(loaders[False], cbs=[ClipWeights(np.arange(16))])
    with whole.no_logging():
        fit(whole, recipe)
    assert all(torch.equal(a, b) for a, b in zip(whole.model.parameters(), again.model.parameters()))


# ---------------------------------------------------------------------- with recipes and predictions


@pytest.mark.parametrize("loss", [GeneralizedCrossEntropy(), SoftBootstrap()], ids=str)
@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("is_multi", [False, True])
def test_a_recipe_trains_with_it_what_the_data_hold(loaders, is_multi, mixup, loss):
    learn = make_learner(loaders[is_multi])
    own = learn.loss_func
    with learn.no_logging():
        history = fit(learn, Recipe(epochs=1, lr=0.1, seed=0, mixup=mixup, loss=loss))
    assert learn.loss_func is own and history["valid_loss"][0] == pytest.approx(learn.validate()[0], rel=1e-6)
    plain = make_learner(loaders[is_multi], loss.function(is_multi))
    with plain.no_logging():
        same = fit(plain, Recipe(epochs=1, lr=0.1, seed=0, mixup=mixup))
    assert all(torch.equal(a, b) for a, b in zip(learn.model.parameters(), plain.model.parameters()))
    assert same["train_loss"][0] == history["train_loss"][0] and same["valid_loss"][0] != history["valid_loss"][0]


@pytest.mark.parametrize("is_multi", [False, True])
def test_predictions_of_a_learner_that_has_it_as_its_own(loaders, is_multi, sounds):
    learn = make_learner(loaders[is_multi], GeneralizedCrossEntropy().function(is_multi))
    found, new = (
        predict_all(learn),
        predict_all(learn, dl=learn.dls.test_dl([sounds.folder / "0.wav", sounds.folder / "1.wav"])),
    )
    assert found.is_multi == new.is_multi == is_multi and len(new) == 2
    losses = [learn.loss_func(learn.model(x[None]), y[None]).item() for x, y in zip(*learn.dls.valid.one_batch())]
    assert found.table["loss"].tolist() == pytest.approx(losses, rel=1e-4)
    assert isinstance(learn.loss_func, LossFunction) and learn.loss_func.reduction == "mean"


# ---------------------------------------------------------------------- rare labels and the ranking


def naive(loss, logits, target):
    """The mean loss of several labels a clip, label by label and pair by pair."""
    costs, p = [], logits.sigmoid()
    n, classes = logits.shape
    cross_entropy = -(target * p.log() + (1 - target) * (1 - p).log())
    if isinstance(loss, SoftAUC):
        for label in range(classes):
            have = [i for i in range(n) if target[i, label] == 1]
            lack = [i for i in range(n) if target[i, label] == 0]
            pairs = [math.log(1 + math.exp(logits[j, label] - logits[i, label])) for i in have for j in lack]
            costs += [np.mean(pairs)] if pairs else []
        return np.mean(costs) + loss.bce * cross_entropy.mean().item()
    for p_, t in zip(p.flatten().tolist(), target.flatten().tolist()):
        if isinstance(loss, BinaryCrossEntropy):
            costs.append(-math.log(p_) * loss.pos_weight if t else -math.log(1 - p_))
        elif isinstance(loss, FocalLoss):
            weight = 1 if loss.alpha is None else loss.alpha if t else 1 - loss.alpha
            costs.append(weight * -((1 - p_) ** loss.gamma * math.log(p_) if t else p_**loss.gamma * math.log(1 - p_)))
        else:
            q = max(p_ - loss.shift, 0)
            costs.append(
                -((1 - p_) ** loss.gamma_present * math.log(p_) if t else q**loss.gamma_absent * math.log(1 - q))
            )
    return np.mean(costs)


RARE = [
    BinaryCrossEntropy(pos_weight=3.0),
    FocalLoss(),
    FocalLoss(gamma=1.5, alpha=0.25),
    AsymmetricLoss(),
    AsymmetricLoss(gamma_absent=2, gamma_present=0, shift=0),
    SoftAUC(),
    SoftAUC(bce=0),
]


@pytest.mark.parametrize("loss", RARE, ids=str)
def test_losses_of_several_labels_against_a_naive_formula(loss):
    logits, target = some_logits(), some_targets()
    target[:, 0] = 1  # a label that all clips have
    found = loss.function(is_multi=True)(logits, target)
    assert found.item() == pytest.approx(naive(loss, logits, target), rel=1e-6)
    by_clip = LossFunction(loss, True, "none")(logits, target)
    assert by_clip.shape == logits.shape and by_clip.mean().item() == pytest.approx(found.item())


@pytest.mark.parametrize("loss", RARE, ids=str)
@pytest.mark.parametrize("several", [False, True])
def test_losses_far_out_are_finite_and_fall_towards_the_truth(loss, several):
    target = some_targets() if several else some_labels()
    hot = target if several else F.one_hot(target, 4).double()
    function, ends = loss.function(several), []
    for scale in (-500.0, -1.0, 0.0, 1.0, 500.0):
        logits = (scale * (2 * hot - 1)).requires_grad_()
        value = function(logits, target)
        value.backward()
        assert value.isfinite() and logits.grad.isfinite().all()
        ends.append(value.item())
    assert ends == sorted(ends, reverse=True) and ends[-1] == pytest.approx(0, abs=1e-6)


def test_one_label_a_clip():
    logits, target = some_logits(), some_labels()
    each = F.cross_entropy(logits, target, reduction="none")
    p = logits.softmax(1)[torch.arange(6), target]
    weights = (1.0, 2.0, 3.0, 4.0)
    for loss, expected in (
        (FocalLoss(gamma=2), (1 - p) ** 2 * each),
        (AsymmetricLoss(gamma_present=1), (1 - p) * each),
        (BinaryCrossEntropy(weights), torch.tensor(weights, dtype=torch.float64)[target] * each),
    ):
        torch.testing.assert_close(LossFunction(loss, reduction="none")(logits, target), expected)
    hot = F.one_hot(target, 4).double()
    auc = naive(SoftAUC(bce=0), logits, hot) + 0.25 * each.mean().item()
    assert SoftAUC().function()(logits, target).item() == pytest.approx(auc)


@pytest.mark.parametrize("loss", [*RARE, BinaryCrossEntropy()], ids=str)
def test_label_smoothing_goes_with_each(loss):
    logits, labels, targets = some_logits(), some_labels(), some_targets()
    several = loss.function(True, smoothing=0.2)(logits, targets)
    assert several.item() == pytest.approx(loss.function(True)(logits, 0.8 * targets + 0.1).item())
    one = loss.function(smoothing=0.2)(logits, labels)
    if loss == BinaryCrossEntropy():
        assert one.item() == pytest.approx(F.cross_entropy(logits, labels, label_smoothing=0.2).item())
    elif not isinstance(loss, SoftAUC):
        of_each = [loss.function()(logits, torch.full((6,), label)).item() for label in range(4)]
        assert one.item() == pytest.approx(0.8 * loss.function()(logits, labels).item() + 0.2 * np.mean(of_each))
    assert one.isfinite() and one.item() != pytest.approx(loss.function()(logits, labels).item())


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("loss", [*RARE, None], ids=str)
def test_a_recipe_trains_with_each_smoothed_and_weighted(loss, several):
    def learner():
        set_seed(0)
        items = list(zip(torch.randn(24, 1, 4, 6), some_targets(24).float() if several else some_labels(24)))
        dls = DataLoaders(DataLoader(items, bs=8), DataLoader(items, bs=8))
        usual = BCEWithLogitsLossFlat() if several else CrossEntropyLossFlat()
        return Learner(dls, nn.Sequential(nn.Flatten(), nn.Linear(24, 4)), loss_func=usual)

    ends = []
    for smoothing in (0.0, 0.1):
        learn = learner()
        usual = learn.loss_func
        with learn.no_bar(), learn.no_logging():
            fit(learn, Recipe(epochs=1, freeze_epochs=0, lr=0.01, seed=0, loss=loss, label_smoothing=smoothing))
        assert learn.loss_func is usual
        ends.append(learn.history["train_loss"].iloc[-1])
    assert all(map(math.isfinite, ends)) and ends[0] != ends[1]
    # clips of weight 0 leave no trace in the gradient of a loss of single clips
    logits = some_logits().float().requires_grad_()
    target = some_targets() if several else some_labels()
    if loss is not None and not isinstance(loss, SoftAUC):
        function = LossFunction(loss, several, "none")
        weights = torch.tensor([0.0, 1, 2, 1, 1, 1])
        (function(logits, target).reshape(6, -1).mean(1) * weights).mean().backward()
        assert not logits.grad[0].any() and logits.grad[1].any()


def test_losses_out_of_range_and_weights_of_another_number():
    for make, reason in (
        (lambda: FocalLoss(gamma=-1), "FocalLoss.gamma=-1"),
        (lambda: FocalLoss(alpha=1), "between 0 and 1, or None"),
        (lambda: AsymmetricLoss(shift=1), "below 1"),
        (lambda: AsymmetricLoss(gamma_absent=-1), "gamma_absent=-1"),
        (lambda: SoftAUC(bce=-1), "give 0 or more"),
        (lambda: BinaryCrossEntropy(pos_weight=(1, 0)), "give numbers above 0"),
        (
            lambda: BinaryCrossEntropy((1, 2)).function(True)(some_logits(), some_targets()),
            "2 weights, and there are 4 labels",
        ),
    ):
        with pytest.raises(ValueError, match=reason):
            make()


@pytest.mark.parametrize("loss", [*RARE, BinaryCrossEntropy((1, 2))], ids=str)
def test_these_losses_travel_in_a_recipe(loss):
    recipe = Recipe(loss=loss, label_smoothing=0.1)
    assert Recipe.from_toml(recipe.to_toml()) == recipe and Recipe.from_json(recipe.to_json()).loss == loss
