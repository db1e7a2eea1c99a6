"""The networks on waveforms: published counts, padding by hand, lengths, the axis of time, and that they learn."""

import pytest
import torch
import torch.nn.functional as F
from fastai.vision.all import total_params
from torch import nn

from specimg.models.nets import create_net, list_nets, net_facts
from specimg.models.nets.base import features_of
from specimg.models.nets.soundnet import SameConv1d


def count_parameters(model):
    return total_params(model)[0]


NAMES = ["soundnet_cnn", "soundnet_lstm"]
SMALLEST = {"soundnet_cnn": 7097, "soundnet_lstm": 3577}
every = pytest.mark.parametrize("name", NAMES)
with_norm = pytest.mark.parametrize("norm", [False, True], ids=["plain", "norm"])


def small(name, n_classes=3, in_chans=1, seed=0, samples=None, **options):
    """(network, 6 random waveforms a little longer than the smallest)."""
    torch.manual_seed(seed)
    samples = samples or SMALLEST[name] + 303
    return create_net(name, n_classes, in_chans, size=(1, samples), **options), 0.3 * torch.randn(
        6, in_chans, 1, samples
    )


# ---------------------------------------------------------------- counts
def dense(*widths):
    return sum(n_in * n_out + n_out for n_in, n_out in zip(widths, widths[1:]))


def lstm(n_in, units):
    """As Keras counts: four gates, each with weights for input and state and one bias."""
    return 4 * (units * (n_in + units) + units)


CONVS = [(1, 16, 64), (16, 32, 32), (32, 64, 16), (64, 128, 8), (128, 256, 4), (256, 512, 4), (512, 1024, 4)]


def convs(rows):
    return sum(n_in * n_out * kernel + n_out for n_in, n_out, kernel in rows)


def test_the_cnn_has_the_published_number_of_parameters():
    net = create_net("soundnet_cnn")
    assert count_parameters(net.convs) == convs(CONVS) == 2_870_256
    assert features_of(net.convs, 1, (30_000,)) == (1024, 6)  # as the source's text says: 6 x 1024
    assert count_parameters(net) == 2_870_256 + dense(6 * 1024, 512, 128, 8) == 6_083_192


def test_the_lstm_has_the_published_layers():
    net = create_net("soundnet_lstm")
    assert count_parameters(net.convs) == convs(CONVS[:-1]) == 772_080
    assert features_of(net.convs, 1, (30_000,)) == (512, 13)  # steps of the text, features of the figure
    keras = 772_080 + lstm(512, 256) + lstm(256, 256) + dense(256, 512, 128, 8)
    assert keras == 2_283_128
    assert count_parameters(net) == keras + 2 * 4 * 256 == 2_285_176  # a second bias vector in each layer


@every
def test_batch_normalisation_is_an_option(name):
    plain, normed = create_net(name), create_net(name, norm=True)
    filters = sum(n_out for _, n_out, _ in (CONVS if name == "soundnet_cnn" else CONVS[:-1]))
    assert count_parameters(normed) - count_parameters(plain) == 2 * filters
    assert f"{2 * filters:,} parameters more" in type(plain).__doc__
    order = [type(layer).__name__ for layer in normed.convs[:4]]
    assert order == ["SameConv1d", "BatchNorm1d", "ReLU", "MaxPool1d"]
    with pytest.raises(ValueError, match="unknown option of soundnet_.* 'dropout'.*norm"):
        create_net(name, dropout=0.5)


@every
def test_facts_and_docstrings(name):
    facts = net_facts(name)
    assert name in list_nets()
    assert (facts.n_classes, facts.in_chans, facts.size, facts.wave) == (8, 1, (1, 30_000), True)
    assert "Aytar" in facts.source
    assert f"{count_parameters(create_net(name)):,} parameters" in facts.make.__doc__


# ---------------------------------------------------------------- padding and lengths
@pytest.mark.parametrize(
    ("x", "kernel", "stride", "expected"),
    [
        ([1, 2, 3], 4, 1, [6, 6, 5]),  # one zero before, two behind
        ([1, 2, 3, 4], 3, 2, [6, 7]),  # one zero behind
        ([1, 2, 3, 4], 4, 4, [10]),  # none
        ([1, 2, 3, 4, 5], 2, 4, [3, 5]),  # one behind
        ([1, 2, 3, 4, 5], 1, 4, [1, 5]),  # a stride longer than the kernel: nothing is missing
    ],
)
def test_padding_by_hand(x, kernel, stride, expected):
    conv = SameConv1d(1, 1, kernel, stride, bias=False)
    nn.init.ones_(conv.weight)
    assert conv(torch.tensor([[x]], dtype=torch.float)).tolist() == [[expected]]


@pytest.mark.parametrize("samples", [7, 8, 9, 63, 64, 65, 30_000])
def test_a_padded_convolution_gives_one_value_a_stride_begun(samples):
    assert SameConv1d(1, 2, 64, 8)(torch.zeros(1, 1, samples)).shape == (1, 2, -(samples // -8))


@every
def test_other_lengths_and_channels(name):
    for samples, in_chans in [(SMALLEST[name], 1), (8000, 2), (22_050, 1)]:
        net, x = small(name, in_chans=in_chans, samples=samples)
        assert net(x[:2]).shape == (2, 3)


@every
def test_a_row_of_pixels_is_the_same_as_none(name):
    net, x = small(name, in_chans=2)
    assert torch.equal(net(x), net(x[:, :, 0]))


@every
def test_waveforms_that_are_too_short_are_refused(name):
    smallest = SMALLEST[name]
    assert net_facts(name).make.smallest == (1, smallest)
    with pytest.raises(
        ValueError,
        match=rf"{name} cannot take waveforms of 1 channel and {smallest - 1} samples: it takes waveforms of "
        rf"{smallest} samples or more; set a longer duration=",
    ):
        create_net(name, size=(1, smallest - 1))
    with pytest.raises(RuntimeError):  # the rule is no stricter than the layers
        net_facts(name).make(3, 1, (1, smallest - 1))(torch.zeros(1, 1, 1, smallest - 1))


@every
def test_pictures_are_refused(name):
    with pytest.raises(
        ValueError,
        match=rf"{name} cannot take pictures of 3 channels and 128 x 9000 pixels: it takes waveforms, of size",
    ):
        create_net(name, in_chans=3, size=(128, 9000))


# ---------------------------------------------------------------- time
def test_the_lstm_reads_from_the_beginning_to_the_end():
    net, x = small("soundnet_lstm", samples=30_000)
    seen = []
    net.lstm.register_forward_hook(lambda layer, inputs, output: seen.append(output[0]))
    net.eval()
    changed = x.clone()
    changed[..., 29_000:] += 1.0
    net(x), net(changed)
    before, after = seen
    differ = (before - after).abs().amax((0, 2)) > 0
    assert before.shape == (6, 13, 256)
    assert (
        differ.tolist() == sorted(differ.tolist()) and not differ[6] and differ[-1]
    )  # late samples change late steps only


@every
def test_the_last_step_is_what_the_sound_ends_with(name):
    net, x = small(name, samples=16_000)
    net.eval()
    assert not torch.allclose(net(x), net(x.flip(-1)), atol=1e-5)


def test_dense_layers_of_the_lstm_see_its_last_step():
    net, x = small("soundnet_lstm")
    seen = {}
    net.lstm.register_forward_hook(lambda layer, inputs, output: seen.update(steps=output[0]))
    net.dense.register_forward_pre_hook(lambda layer, inputs: seen.update(dense=inputs[0]))
    net(x)
    assert torch.equal(seen["dense"], seen["steps"][:, -1])


# ---------------------------------------------------------------- training
@every
@with_norm
def test_gradients_reach_every_parameter(name, norm):
    net, x = small(name, norm=norm, samples=10_000)  # of the LSTM several steps: one has no step before
    F.cross_entropy(net(x), torch.arange(6) % 3).backward()
    untouched = [key for key, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched


@every
@with_norm
def test_a_few_steps_on_six_sounds_tell_them_apart(name, norm):
    net, x = small(name, norm=norm)
    time = torch.arange(x.shape[-1]) / 8000
    y = torch.arange(6) % 3
    x = torch.sin(2 * torch.pi * (300 * 3 ** y[:, None, None, None]) * time) + 0.1 * x  # 300, 900 and 2700 Hz
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(25):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert net(x).argmax(1).tolist() == y.tolist()


@every
def test_weights_load_back_and_a_seed_repeats_them(name):
    net, x = small(name, norm=True)
    other, _ = small(name, norm=True, seed=1)
    net, other = net.eval(), other.eval()
    assert not torch.equal(net(x), other(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(x), other(x))
    assert torch.equal(net(x), small(name, norm=True)[0].eval()(x))


@every
def test_the_last_layer_is_linear_and_its_input_is_the_embedding(name):
    net, x = small(name)
    seen = {}
    net.classifier.register_forward_hook(lambda layer, inputs, output: seen.update(embedding=inputs[0], output=output))
    out = net(x)
    assert [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1] is net.classifier
    assert torch.equal(seen["output"], out) and seen["embedding"].shape == (6, 128) and out.shape == (6, 3)
    assert net.extra_loss(F.cross_entropy, torch.arange(6) % 3) is None


def test_they_start_with_the_weights_of_keras():
    torch.manual_seed(0)
    net = create_net("soundnet_lstm", size=(1, 4000))
    for bias in (net.lstm.bias_ih_l0, net.lstm.bias_ih_l1):
        input_gate, forget_gate, *rest = bias.chunk(4)
        assert torch.equal(forget_gate, torch.ones(256)) and not input_gate.any() and not torch.cat(rest).any()
    limit = (6 / (64 * (1 + 16))) ** 0.5  # Glorot's, of the first convolution
    assert 0.95 * limit < net.convs[0].weight.abs().max() <= limit and not net.convs[0].bias.any()
