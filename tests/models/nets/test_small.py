"""The smaller networks: published counts, shapes, axes, attention, and that they learn."""

import inspect

import pytest
import torch
import torch.nn.functional as F
from fastai.vision.all import total_params
from torch import nn

import specimg as sp
from specimg.models.nets import create_net, list_nets, net_facts
from specimg.models.nets.attention import SelfAttention, SoftAttention, create_attention, list_attentions
from specimg.models.nets.base import features_of
from specimg.models.nets.keras_layers import KERAS_NORM, SequenceDropout, as_sequence, start_like_keras


def count_parameters(model):
    return total_params(model)[0]


# key: name, options, and the height and width of pictures small enough for quick tests
SMALL = {
    "mini_resnet": ("mini_resnet", {}, (32, 40)),
    "speech_cnn": ("speech_cnn", {}, (12, 14)),
    "digits_cnn": ("digits_cnn", {}, (14, 12)),
    "feature_mlp": ("feature_mlp", {}, (24, 10)),
    "feature_cnn": ("feature_cnn", {}, (12, 10)),
    "lstm": ("lstm", {}, (12, 16)),
    "lstm stacked": ("lstm", {"stacked": True}, (12, 16)),
    "lstm soft": ("lstm", {"attention": "soft"}, (12, 16)),
    "lstm self": ("lstm", {"attention": "self"}, (12, 16)),
    "recurrent": ("recurrent", {}, (12, 16)),
    "recurrent soft": ("recurrent", {"attention": "soft"}, (12, 16)),
    "recurrent self": ("recurrent", {"attention": "self"}, (12, 16)),
}
NAMES = sorted({name for name, _, _ in SMALL.values()})
RECURRENT = [key for key, (name, _, _) in SMALL.items() if name in ("lstm", "recurrent")]
every = pytest.mark.parametrize("key", SMALL)


def small(key, n_classes=3, in_chans=2, seed=0):
    """(network, 8 random pictures that suit it)."""
    name, options, size = SMALL[key]
    torch.manual_seed(seed)
    return create_net(name, n_classes, in_chans, size=size, **options), torch.rand(8, in_chans, *size)


# ---------------------------------------------------------------- counts
def conv(n_in, n_out, kernel, bias=True):
    return n_in * n_out * kernel * kernel + n_out * bias


def dense(*widths):
    return sum(n_in * n_out + n_out for n_in, n_out in zip(widths, widths[1:]))


def lstm(*widths):
    """As Keras counts: four gates, each with weights for input and state and one bias."""
    return sum(4 * (units * (n_in + units) + units) for n_in, units in zip(widths, widths[1:]))


def norm(channels):
    """Scale and shift; Keras adds as many running statistics."""
    return 2 * channels


def running_statistics(model):
    return sum(b.numel() for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var")))


def second_biases(model):
    return sum(p.numel() for name, p in model.named_parameters() if "bias_hh" in name)


def keras_count(model):
    return count_parameters(model) + running_statistics(model) - second_biases(model)


def test_mini_resnet_has_the_published_number_of_parameters():
    filters = [1, 16, 32, 64, 64, 64]
    convs = 0
    for n_in, n_out in zip(filters, filters[1:]):
        convs += conv(n_in, n_out, 3, bias=False) + conv(n_out, n_out, 3, bias=False) + 3 * norm(n_out)
        convs += 0 if n_in == n_out else conv(n_in, n_out, 1, bias=False) + norm(n_out)
    net = create_net("mini_resnet")
    assert convs == count_parameters(net.stages) == 223_264
    assert count_parameters(net) == convs + dense(64, 64, 8) == 227_944


def test_speech_cnn_has_the_published_number_of_parameters():
    layers = [
        conv(1, 32, 3),
        norm(32),
        conv(32, 64, 3),
        norm(64),
        dense(64 * 14 * 14, 1024),
        dense(1024, 128),
        dense(128, 35),
    ]
    assert layers == [320, 64, 18_496, 128, 12_846_080, 131_200, 4_515]  # the printed table of the source
    assert count_parameters(create_net("speech_cnn")) == sum(layers) == 13_000_803


def test_digits_cnn_has_the_published_number_of_parameters_in_keras_count():
    net = create_net("digits_cnn")
    convs = conv(1, 32, 4) + conv(32, 48, 3) + conv(48, 120, 3)
    norms = norm(32) + norm(48) + norm(120) + norm(128) + norm(64)
    assert count_parameters(net) == convs + norms + dense(34 * 34 * 120, 128, 64, 10) == 17_832_354
    assert running_statistics(net) == norms == 784  # what Keras calls not trainable
    assert keras_count(net) == 17_833_138


@pytest.mark.parametrize(("rows", "expected"), [(257, 191_782), (128, 158_758)])
def test_feature_mlp_has_the_published_number_of_parameters(rows, expected):
    assert (
        count_parameters(create_net("feature_mlp", 6, size=(rows, 50)))
        == dense(rows, 256, 256, 128, 128, 64, 32, 6)
        == expected
    )


def test_feature_cnn_has_the_published_number_of_parameters():
    # 40 x 5 becomes 20 x 3 and 10 x 2
    expected = conv(1, 64, 5) + conv(64, 128, 5) + dense(10 * 2 * 128, 256, 512, 6)
    assert count_parameters(create_net("feature_cnn")) == expected == 996_870


def test_lstm_has_the_numbers_of_the_figure():
    net = create_net("lstm")
    assert second_biases(net) == 4 * 256
    assert keras_count(net) == lstm(120, 256) + dense(256, 64, 8) == 403_016


def test_stacked_lstm_has_the_published_number_of_parameters():
    net = create_net("lstm", 6, size=(128, 128), stacked=True)
    assert second_biases(net) == 4 * (128 + 128 + 64)
    assert keras_count(net) == lstm(128, 128, 128, 64) + dense(64, 128, 6) == 321_670


def test_recurrent_has_the_published_number_of_parameters():
    net = create_net("recurrent")
    assert second_biases(net) == 4 * (128 + 128)
    assert keras_count(net) == lstm(128, 128, 128) + dense(128, 64, 32, 16, 8) + dense(8 * 128, 6) == 280_318


def test_attention_adds_its_own_parameters_only():
    plain = count_parameters(create_net("lstm", 4, 1, size=(8, 20)))
    assert count_parameters(create_net("lstm", 4, 1, size=(8, 20), attention="soft")) == plain + 256 + 20
    assert (
        count_parameters(create_net("lstm", 4, 1, size=(8, 20), attention="self")) == plain + 2 * 256 * 32 + 32 + 32 + 1
    )


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("mini_resnet", 227_944),
        ("speech_cnn", 13_000_803),
        ("digits_cnn", 17_832_354),
        ("feature_mlp", 191_782),
        ("feature_cnn", 996_870),
        ("lstm", 404_040),
        ("recurrent", 281_342),
    ],
)
def test_the_docstring_tells_the_count(name, count):
    assert count_parameters(create_net(name)) == count
    assert f"{count:,} parameters" in inspect.getdoc(net_facts(name).make)


# ---------------------------------------------------------------- shapes
def test_the_front_door_has_them():
    assert sp.list_nets() == list_nets() and type(sp.create_net("mini_resnet")) is net_facts("mini_resnet").make


def test_the_networks_are_listed_with_their_source():
    assert set(NAMES) <= set(list_nets())
    for name in NAMES:
        assert "/" in net_facts(name).source and not net_facts(name).wave


@pytest.mark.parametrize("name", NAMES)
def test_the_published_network_takes_the_published_picture(name):
    facts = net_facts(name)
    out = create_net(name).eval()(torch.zeros(2, facts.in_chans, *facts.size))
    assert out.shape == (2, facts.n_classes)


@every
@pytest.mark.parametrize(("n_classes", "in_chans"), [(2, 1), (5, 3), (41, 4)])
def test_other_classes_and_channels(key, n_classes, in_chans):
    net, x = small(key, n_classes, in_chans)
    assert net(x).shape == (8, n_classes)


@every
def test_other_sizes(key):
    name, options, (height, width) = SMALL[key]
    for size in [(height + 7, width), (height, width + 9), (2 * height + 1, 3 * width + 1)]:
        assert create_net(name, 3, 1, size=size, **options)(torch.rand(2, 1, *size)).shape == (2, 3)


@every
def test_the_last_layer_is_linear_and_its_input_is_the_embedding(key):
    net, x = small(key)
    last = [layer for layer in net.modules() if isinstance(layer, nn.Linear)][-1]
    seen = {}
    last.register_forward_hook(lambda layer, inputs, output: seen.update(embedding=inputs[0], output=output))
    out = net.eval()(x)
    assert last.out_features == 3 and torch.equal(seen["output"], out)
    assert seen["embedding"].shape == (8, last.in_features)


@pytest.mark.parametrize(("name", "smallest"), [("mini_resnet", 32), ("speech_cnn", 6), ("digits_cnn", 9)])
def test_pictures_that_are_too_small_are_refused(name, smallest):
    assert create_net(name, 3, 1, size=(smallest, smallest)).eval()(torch.zeros(1, 1, smallest, smallest)).shape == (
        1,
        3,
    )
    for size in [(smallest - 1, 100), (100, smallest - 1)]:
        with pytest.raises(
            ValueError,
            match=rf"{name} cannot take pictures of 2 channels and {size[0]} x {size[1]} pixels: it takes "
            rf"pictures of {smallest} x {smallest} pixels \(height x width\) or more; set size=",
        ):
            create_net(name, 3, 2, size=size)
    with pytest.raises(RuntimeError):  # the rule is no stricter than the layers
        net_facts(name).make(3, 1, (smallest - 1, smallest)).eval()(torch.zeros(1, 1, smallest - 1, smallest))


@pytest.mark.parametrize("name", ["feature_mlp", "feature_cnn", "lstm", "recurrent"])
def test_the_others_take_a_single_pixel(name):
    assert create_net(name, 3, 1, size=(1, 1)).eval()(torch.zeros(2, 1, 1, 1)).shape == (2, 3)


def test_an_unknown_network_or_attention_lists_the_near_ones():
    with pytest.raises(ValueError, match="unknown net 'mini_resnt'; did you mean 'mini_resnet'"):
        create_net("mini_resnt")
    with pytest.raises(ValueError, match="unknown attention 'sofd'; did you mean 'soft'"):
        create_net("lstm", attention="sofd")


# ---------------------------------------------------------------- training
@every
def test_gradients_reach_every_parameter(key):
    net, x = small(key)
    F.cross_entropy(net(x), torch.arange(8) % 3).backward()
    untouched = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert not untouched


@every
def test_a_few_steps_on_eight_pictures_lower_the_loss(key):
    net, x = small(key)
    y = torch.arange(8) % 3
    x[torch.arange(8), :, :, 0] += 2 * y[:, None, None]  # what the classes differ in: the first column
    x = (x - x.mean()) / x.std()
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    losses = []
    for _ in range(40):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


@every
def test_weights_load_back_and_a_seed_repeats_them(key):
    net, x = small(key)
    other, _ = small(key, seed=1)
    net, other = net.eval(), other.eval()
    assert not torch.equal(net(x), other(x))
    other.load_state_dict(net.state_dict())
    assert torch.equal(net(x), other(x))
    assert torch.equal(net(x), small(key)[0].eval()(x))


@every
def test_dropout_is_random_in_training_only(key):
    net, x = small(key)
    torch.manual_seed(0)
    same = torch.equal(net.train()(x), net(x))
    assert same == (key in ("lstm", "lstm soft", "lstm self"))  # the only ones without dropout
    net.eval()
    assert torch.equal(net(x), net(x))


@every
def test_no_network_of_these_pays_an_extra_loss(key):
    net, x = small(key)
    net(x)
    assert net.extra_loss(F.cross_entropy, torch.arange(8) % 3) is None


# ---------------------------------------------------------------- axes
def states(net, x):
    """What each LSTM of a network gives for every step: a list of (batch, steps, units)."""
    seen = []
    hooks = [layer.register_forward_hook(lambda _, __, out: seen.append(out[0])) for layer in net.layers]
    with torch.no_grad():
        net.eval()(x)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize("key", RECURRENT)
def test_recurrent_networks_read_columns_from_left_to_right(key):
    net, x = small(key)
    before = states(net, x)
    changed = x.clone()
    changed[..., 9] += 1.0
    for old, new in zip(before, states(net, changed)):
        assert old.shape[1] == x.shape[-1]
        assert torch.equal(old[:, :9], new[:, :9])  # what was heard before does not know of it
        assert (old[:, 9:] - new[:, 9:]).abs().amax((0, 2)).min() > 0  # all after it do


@pytest.mark.parametrize("key", RECURRENT)
def test_recurrent_networks_know_the_order_of_time(key):
    net, x = small(key)
    assert not torch.allclose(net.eval()(x), net(x.flip(-1)), atol=1e-4)


def test_a_step_of_the_sequence_is_a_column():
    x = torch.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    steps = as_sequence(x)
    assert steps.shape == (2, 5, 12)
    assert torch.equal(steps[1, 2], x[1, :, :, 2].flatten())  # channel after channel, row after row


@pytest.mark.parametrize("key", ["feature_mlp", "feature_cnn"])
def test_averaging_networks_do_not_know_the_order_of_time(key):
    net, x = small(key)
    net.eval()
    assert torch.allclose(net(x), net(x[..., torch.randperm(x.shape[-1])]), atol=1e-5)
    assert torch.allclose(net(x), net(x.mean(-1, keepdim=True)), atol=1e-5)  # nor the number of columns
    assert not torch.allclose(net(x), net(x.flip(-2)), atol=1e-4)  # but rows
    assert not torch.allclose(net(x), net(x.flip(1)), atol=1e-4)  # and channels


def test_feature_cnn_lays_a_feature_in_each_column():
    net, _ = small("feature_cnn", in_chans=5)
    seen = []
    net.convs.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    x = torch.zeros(1, 5, 12, 4)
    x[0, 3, 7] = torch.tensor([0.0, 1.0, 2.0, 5.0])  # feature 3, row 7; mean 2
    net(x)
    expected = torch.zeros(1, 1, 12, 5)
    expected[0, 0, 7, 3] = 2.0
    assert torch.equal(seen[0], expected)


@pytest.mark.parametrize("in_chans", [1, 2, 3, 4, 5, 8])
def test_feature_cnn_counts_what_its_poolings_leave(in_chans):
    net = create_net("feature_cnn", 3, in_chans, size=(13, 4))
    assert features_of(net.convs, 1, (13, in_chans)) == (net.dense[0].in_features,)


# ---------------------------------------------------------------- the order of layers
def test_digits_cnn_normalises_behind_the_relu_and_speech_cnn_before_it():
    digits, x = small("digits_cnn")
    assert digits.convs[:3](x).min() < 0 < digits.convs[:3](x).max()
    assert digits.dense[:3](digits.convs(x)).min() < 0
    speech, x = small("speech_cnn")
    assert speech.convs[:3](x).min() == 0


def test_speech_cnn_is_linear_behind_its_convolutions():
    net, _ = small("speech_cnn")
    head = nn.Sequential(net.dense, net.classifier).eval()
    a, b = torch.rand(2, 4, net.dense[0].in_features)
    assert torch.allclose(head(a) + head(b) - head(torch.zeros_like(a)), head(a + b), atol=1e-4)


def test_mini_resnet_shows_its_two_embeddings():
    net, x = small("mini_resnet")
    net.eval()
    seen = {}
    assert list(net.heads) == ["head1", "head2"]
    for name, layer in net.heads.items():
        layer.register_forward_hook(lambda _, __, out, name=name: seen.update({name: out}))
    out = net(x)
    assert seen["head1"].shape == seen["head2"].shape == (8, 64)
    assert torch.equal(seen["head1"], net.stages(x).amax((2, 3)))
    assert torch.allclose(seen["head2"], F.linear(seen["head1"], net.dense.weight, net.dense.bias), atol=1e-6)
    assert torch.allclose(net.classifier(seen["head2"].relu()), out, atol=1e-6)


def test_a_residual_block_adds_its_input():
    block = small("mini_resnet")[0].stages[3][0].eval()  # 64 to 64: nothing on the way round
    x = torch.randn(2, 64, 4, 4)
    nn.init.zeros_(block.convs[3].weight)
    assert torch.allclose(block(x), x.relu())


# ---------------------------------------------------------------- attention
def test_soft_attention_by_hand():
    attention = SoftAttention(2, 3)
    attention.weight.data = torch.tensor([1.0, -1.0])
    attention.bias.data = torch.tensor([0.0, 0.5, 0.0])
    x = torch.tensor([[[1.0, 0.0], [0.0, 0.5], [2.0, 2.0]]])
    scores = torch.tensor([1.0, 0.0, 0.0]).tanh()  # 1, -0.5 + 0.5, 0
    shares = scores.exp() / scores.exp().sum()
    assert torch.allclose(attention.weights(x)[0], shares)
    assert torch.allclose(attention(x)[0], x[0] * shares[:, None])
    assert torch.allclose(attention.summary(x)[0], (x[0] * shares[:, None]).sum(0))


def test_self_attention_equals_the_formula_pair_by_pair():
    torch.manual_seed(0)
    attention = SelfAttention(3, units=4)
    for p in attention.parameters():
        p.data.normal_()
    x = torch.randn(2, 5, 3)
    scores = torch.empty(2, 5, 5)
    for b, t, s in torch.cartesian_prod(torch.arange(2), torch.arange(5), torch.arange(5)).tolist():
        pair = torch.tanh(x[b, t] @ attention.ask + x[b, s] @ attention.offer + attention.ask_bias)
        scores[b, t, s] = torch.sigmoid(pair @ attention.score + attention.score_bias)
    shares = scores.exp() / scores.exp().sum(-1, keepdim=True)
    assert torch.allclose(attention.weights(x), shares, atol=1e-6)
    assert torch.allclose(attention(x), torch.einsum("bts,bsf->btf", shares, x), atol=1e-5)
    assert torch.allclose(attention.summary(x), attention(x).mean(1))


@pytest.mark.parametrize("name", ["self", "soft"])
def test_attention_that_cares_for_nothing_is_the_mean(name):
    attention = create_attention(name, 4, 6)
    for p in attention.parameters():
        nn.init.zeros_(p)
    x = torch.randn(2, 6, 4)
    assert torch.allclose(attention.summary(x), x.mean(1), atol=1e-6)


def test_attention_by_name():
    assert list_attentions() == ["self", "soft"]
    assert create_attention(None, 4, 6) is None
    assert isinstance(create_attention("soft", 4, 6), SoftAttention) and isinstance(
        create_attention("self", 4, 6), SelfAttention
    )


def test_soft_attention_refuses_sequences_of_another_length():
    with pytest.raises(
        ValueError, match="soft attention was made for 6 steps, each with its own bias, and got 5; make"
    ):
        create_attention("soft", 4, 6)(torch.zeros(1, 5, 4))
    assert create_attention("self", 4, 6)(torch.zeros(1, 5, 4)).shape == (1, 5, 4)


@pytest.mark.parametrize("attention", ["soft", "self"])
def test_with_attention_the_first_step_is_heard_directly(attention):
    """A sum of many steps, not the last one alone."""
    net, x = small(f"lstm {attention}")
    seen = []
    net.dense.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    (sequence,) = states(net, x)
    expected = net.attention.summary(sequence)
    assert torch.allclose(seen[0], expected, atol=1e-6)
    assert not torch.allclose(seen[0], sequence[:, -1], atol=1e-3)


# ---------------------------------------------------------------- Keras
def test_dropout_of_a_sequence_takes_features_for_all_steps():
    torch.manual_seed(0)
    out = SequenceDropout(0.5)(torch.ones(4, 7, 50))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(out, out[:, :1].expand_as(out))
    assert not torch.equal(out[0], out[1])


def test_stacked_lstm_drops_the_inputs_of_its_first_two_layers():
    net, x = small("lstm stacked")
    seen = []
    net.drop.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0].shape[-1], out)))
    net(x)
    assert [width for width, _ in seen] == [2 * 12, 128]
    assert net.drop.drop.p == 0.1


def test_networks_start_with_the_weights_of_keras():
    torch.manual_seed(0)
    net = create_net("recurrent", 6, size=(64, 16))
    first = net.layers[0]
    input_gate, forget_gate, *rest = first.bias_ih_l0.chunk(4)
    assert torch.equal(forget_gate, torch.ones(128)) and not input_gate.any() and not torch.cat(rest).any()
    assert not first.bias_hh_l0.any()
    assert torch.allclose(first.weight_hh_l0.T @ first.weight_hh_l0, torch.eye(128), atol=1e-5)  # orthogonal
    for weight, fan in [(first.weight_ih_l0, 64 + 4 * 128), (net.classifier.weight, 16 * 8 + 6)]:
        limit = (6 / fan) ** 0.5  # Glorot's
        assert 0.95 * limit < weight.abs().max() <= limit
    assert not net.classifier.bias.any()


def test_convolutions_without_bias_start_too():
    layer = nn.Conv2d(2, 3, 5, bias=False)
    nn.init.zeros_(layer.weight)
    start_like_keras(layer)
    limit = (6 / (25 * (2 + 3))) ** 0.5
    assert 0.8 * limit < layer.weight.abs().max() <= limit


def test_digits_cnn_normalises_as_keras_but_for_the_momentum():
    layers = create_net("digits_cnn", size=(9, 9)).modules()
    norms = [layer for layer in layers if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d))]
    assert len(norms) == 5 and KERAS_NORM == {"eps": 0.001}
    assert all(layer.eps == 0.001 and layer.momentum == 0.1 for layer in norms)
