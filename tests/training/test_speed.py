"""Adam in one operation and channels last: the same training as fastai's, to rounding, in the same checkpoints."""

import copy
from types import SimpleNamespace

import pytest
import torch
from fastai.optimizer import Adam
from fastai.vision.all import CrossEntropyLossFlat
from torch import nn
from trainings import EPOCHS, make_loaders

from specimg.training import fit, spec_learner, speed as speed_file
from specimg.training.speed import ChannelsLastWherePaid, FastAdam

torch.set_num_threads(1)


def make_learner(seed=0, **options):
    learn = spec_learner(
        make_loaders(), "test_resnet", pretrained=False, seed=seed, loss_func=CrossEntropyLossFlat(), **options
    )
    return learn


def weights(learn):
    return {name: part.clone() for name, part in learn.model.state_dict().items()}


def is_channels_last(learn):
    kernels = [p for p in learn.model.parameters() if p.ndim == 4 and min(p.shape[:2]) > 1 and p.shape[2] > 1]
    states = {p.is_contiguous(memory_format=torch.channels_last) for p in kernels}
    assert len(states) == 1
    return states.pop()


def small_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.Linear(64, 3))


def make_optimizer(kind, net, **options):
    opt = kind([list(net[:2].parameters()), list(net[2:].parameters())], lr=1e-2, **options)
    for p in net[1].parameters():
        opt.state[p]["do_wd"] = False  # as fastai's Learner(wd_bn_bias=False) says
    return opt


def steps(net, opt, count, first=0):
    """Some steps with the rates and moments of a schedule; the first group has a rate of its own."""
    for i in range(first, first + count):
        x = torch.randn(5, 2, 8, 8, generator=torch.Generator().manual_seed(i))
        net(x).square().mean().backward()
        opt.set_hypers(lr=[1e-3 * (i + 1), 1e-2 * (i + 1)], mom=0.95 - 0.02 * i, wd=0.1)
        opt.step()
        opt.zero_grad()


def largest_difference(one, other):
    return max((p - q).abs().max().item() for p, q in zip(one.parameters(), other.parameters()))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("options", [{}, {"eps": 1e-3, "sqr_mom": 0.9}])
def test_it_steps_as_fastais_adam(layout, options):
    usual, fast = small_net(), small_net().to(memory_format=layout)
    steps(usual, make_optimizer(Adam, usual, **options), 6)
    steps(fast, make_optimizer(FastAdam, fast, **options), 6)
    assert largest_difference(small_net(), usual) > 0.02
    assert largest_difference(usual, fast) < 1e-5


@pytest.mark.parametrize("kinds", [(Adam, FastAdam), (FastAdam, Adam)])
def test_each_goes_on_from_the_others_state(kinds):
    whole, halves = small_net(), small_net()
    steps(whole, make_optimizer(Adam, whole), 6)
    begun, goes_on = (make_optimizer(kind, halves) for kind in kinds)
    steps(halves, begun, 3)
    goes_on.load_state_dict(copy.deepcopy(begun.state_dict()))
    halves.to(memory_format=torch.channels_last)  # the state keeps its own layout
    steps(halves, goes_on, 3, first=3)
    assert largest_difference(whole, halves) < 1e-5
    assert {part["step"] for part in goes_on.state_dict()["state"]} == {6}


def test_gradients_of_another_layout_are_put_in_order():
    usual, fast = small_net(), small_net().to(memory_format=torch.channels_last)
    opts = make_optimizer(Adam, usual), make_optimizer(FastAdam, fast)
    for net, opt in zip((usual, fast), opts):
        for p in net.parameters():
            p.grad = torch.arange(p.numel(), dtype=torch.float32).reshape(p.shape) / p.numel() - 0.3
            if net is fast and p.ndim == 4:
                assert p.grad.stride() != p.stride()
        opt.step()
    assert largest_difference(usual, fast) < 1e-6


def test_without_the_operation_it_is_fastais_own_step(monkeypatch):
    usual, fast = small_net(), small_net()
    monkeypatch.setattr(speed_file, "_is_fused", lambda device: False)
    steps(usual, make_optimizer(Adam, usual), 3)
    steps(fast, make_optimizer(FastAdam, fast), 3)
    assert largest_difference(usual, fast) == 0


def test_frozen_groups_are_left_alone_and_train_when_they_are_freed():
    net = small_net()
    opt, body = make_optimizer(FastAdam, net), net[0].weight.detach().clone()
    steps(net, opt, 1)
    moved = net[0].weight.detach().clone()
    opt.freeze_to(1)
    steps(net, opt, 2, first=1)
    assert not torch.equal(body, moved) and torch.equal(net[0].weight, moved)
    opt.freeze_to(0)
    steps(net, opt, 1, first=3)
    assert not torch.equal(net[0].weight, moved)


def test_a_training_is_fastais_to_rounding():
    """The same seed, with the fast way and with fastai's Adam in the usual layout."""
    fast, usual = make_learner(), make_learner(opt_func=Adam)
    usual.to_contiguous()
    assert not any(isinstance(cb, ChannelsLastWherePaid) for cb in usual.cbs)
    before = weights(fast)
    for learn in (fast, usual):
        with learn.no_bar(), learn.no_logging():
            fit(learn, EPOCHS.replace(freeze_epochs=0))
    assert is_channels_last(fast) and not is_channels_last(usual)
    assert isinstance(fast.opt, FastAdam) and not isinstance(usual.opt, FastAdam)
    moved = max((part - before[name]).abs().max().item() for name, part in weights(usual).items() if part.ndim == 4)
    for name, part in weights(usual).items():
        assert torch.allclose(part, weights(fast)[name], atol=0.02 * moved), name


def test_layouts_do_not_travel(tmp_path):
    """Weights go between learners of either layout by file and by state dict, with the same names and shapes."""
    trained, fresh = make_learner(), make_learner(seed=1)
    with trained.no_bar(), trained.no_logging():
        trained.fit(1)
    names = {name: part.shape for name, part in weights(fresh).items()}
    assert {name: part.shape for name, part in weights(trained).items()} == names
    trained.path = fresh.path = tmp_path
    trained.save("weights")
    fresh.load("weights")
    assert is_channels_last(trained) and not is_channels_last(fresh)
    x = torch.rand(3, 1, 24, 40)
    with torch.no_grad():
        outputs = [learn.model.eval()(x) for learn in (trained, fresh)]
    assert torch.allclose(*outputs, atol=1e-5)


def test_a_training_begun_with_fastais_adam_is_resumed(tmp_path):
    recipe, out = EPOCHS.replace(freeze_epochs=0, epochs=2), tmp_path / "training"

    class Stop(Exception):
        pass

    begun = make_learner(opt_func=Adam)
    begun.to_contiguous()

    def stop_after_one(text):
        if "1/2" in text:
            raise Stop("after one epoch")

    begun.logger = stop_after_one
    with pytest.raises(Stop), begun.no_bar():
        fit(begun, recipe, out)
    resumed, whole = make_learner(), make_learner()
    for learn, where in ((resumed, out), (whole, None)):
        with learn.no_bar(), learn.no_logging():
            fit(learn, recipe, where, predictions=False)
    for name, part in weights(whole).items():
        assert torch.allclose(part, weights(resumed)[name], atol=0.01), name


@pytest.mark.parametrize(
    "device, half, converted", [("cpu", False, True), ("meta", False, False), ("meta", True, True)]
)
def test_on_a_gpu_the_layout_is_that_of_mixed_precision_only(device, half, converted):
    net = nn.Conv2d(3, 4, 3, device=device)
    callback = ChannelsLastWherePaid()
    callback.learn = SimpleNamespace(model=net, **({"mixed_precision": True} if half else {}))
    callback.before_fit()
    assert net.weight.is_contiguous(memory_format=torch.channels_last) == converted
