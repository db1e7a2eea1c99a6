"""Heads over the map of any timm network: their answers against a naive formula, and networks that have no map."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from specimg.models.heads import AttentionHead, GeM
from specimg.models.networks import create_spec_net

SIZE = (96, 160)


def test_gem_is_between_mean_and_maximum_and_learns_its_exponent():
    x = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(GeM(p=1)(x), x.mean((2, 3)))
    torch.testing.assert_close(GeM(p=200)(x), x.amax((2, 3)), rtol=0.02, atol=0)
    torch.testing.assert_close(GeM(p=3)(x)[1, 2] ** 3, (x[1, 2] ** 3).mean())
    assert GeM(p=3)(x * 1e5).isfinite().all() and GeM()(-x).isfinite().all()
    gem = GeM()
    gem(x).sum().backward()
    assert gem.p.grad.abs() > 0


def test_attention_is_a_mean_of_the_frames_that_is_learnt_for_each_class():
    torch.manual_seed(0)
    head, x = AttentionHead(6, n_classes=3, hidden=5).eval(), torch.randn(2, 6, 4, 7)
    clip, frames = head.answers(x)
    for i in range(2):
        for label in range(3):
            hidden = [head.hidden(head.norm(x.mean(2))[i, :, t]) for t in range(7)]
            answers = torch.stack([head.frames(h)[label] for h in hidden])
            shares = torch.stack([head.attention(h)[label].tanh().exp() for h in hidden])
            torch.testing.assert_close(frames[i, :, label], answers)
            torch.testing.assert_close(clip[i, label], (shares / shares.sum() * answers).sum())
    torch.testing.assert_close(head(x), clip)
    assert head.embed(x).shape == (2, 5)


@pytest.mark.parametrize("head", ["gem", "attention"])
@pytest.mark.parametrize(
    "arch, frames",
    [
        ("inception_v3", 3),
        ("resnet34", 5),
        ("resnet50", 5),
        ("efficientnet_b0", 5),
        ("convnext_atto", 5),
        ("vit_tiny_patch16_224", 10),
    ],
)
def test_networks_with_a_map(arch, frames, head):
    net = create_spec_net(arch, 1, 4, SIZE, head=head).eval()
    x = torch.rand(2, 1, *SIZE)
    with torch.inference_mode():
        assert net(x).shape == (2, 4) and net.embed(x).shape == (2, 512)
        assert net.has_frames == (head == "attention")
        if net.has_frames:
            clip, by_frame = net.answers(x)
            assert by_frame.shape == (2, frames, 4)
            torch.testing.assert_close(net(x), clip)


def test_frames_of_a_vit_stand_where_their_patches_are():
    net = create_spec_net("test_vit", 1, 2, (32, 160), head="attention").eval()
    net[0][1].blocks = nn.Sequential()  # without attention between patches a frame sees its own columns alone
    net[0][1].pos_embed.data.zero_()
    quiet = torch.zeros(1, 1, 32, 160)
    loud = quiet.clone()
    loud[..., 48:64] = torch.rand(32, 16)
    with torch.inference_mode():
        changed = (net.answers(loud)[1] - net.answers(quiet)[1]).abs().sum(2)[0] > 1e-6
    assert changed.nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize(
    "arch, head, size, reason",
    [
        ("mixer_s32_224", "gem", (64, 96), r"gives tokens \(6, 512\) that form no grid known; head='avgmax' takes it"),
        ("deit_tiny_distilled_patch16_224", "gem", (64, 96), "without its own pooling"),
        ("mini_resnet", "attention", (64, 96), "mini_resnet has its own"),
        ("test_resnet", "attention", (64, 32), "a single one of pictures of 32 columns"),
        ("test_resnet", "atention", (64, 96), "unknown head 'atention'; did you mean 'attention'"),
    ],
)
def test_networks_without_a_map(arch, head, size, reason):
    with pytest.raises(ValueError, match=reason):
        create_spec_net(arch, 1, 4, size, head=head)


@pytest.mark.parametrize(
    "options, reason",
    [
        (dict(head="gem", concat_pool=False), "concat_pool=False is an option of head='avgmax'"),
        (dict(head="attention", lin_ftrs=[64, 32]), "has one hidden layer"),
        (dict(head="attention", ps=[0.1, 0.2]), "has one hidden layer"),
    ],
)
def test_options_that_a_head_does_not_have(options, reason):
    with pytest.raises(ValueError, match=reason):
        create_spec_net("test_resnet", 1, 4, (64, 96), **options)
