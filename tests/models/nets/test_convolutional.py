"""Convolutional networks with something behind or beside them: published counts, shapes, axes, extra losses, and that they learn."""

import copy
import inspect
import math
from functools import cache

import pytest
import timm
import torch
import torch.nn.functional as F
from fastai.vision.all import total_params
from torch import nn

from specimg.models.nets import create_net, list_nets, net_facts
from specimg.models.nets.base import features_of
from specimg.models.nets.joint_autoencoder import unit_range
from specimg.models.nets.separable import Stage, block, blocks, flat_features, shrinkage
from specimg.models.nets.subspectral import band_rows


def count_parameters(model):
    return total_params(model)[0]


# name, options, pictures small enough for quick tests
SMALL = {
    "cldnn": ("cldnn", {}, (8, 24)),
    "cldnn soft": ("cldnn", {"attention": "soft"}, (8, 24)),
    "cldnn self": ("cldnn", {"attention": "self"}, (8, 24)),
    "separable_cnn": ("separable_cnn", {}, (16, 32)),
    "multichannel_cnn": ("multichannel_cnn", {}, (16, 256)),
    "subspectral_net": ("subspectral_net", {"bands": 3}, (32, 16)),
    "joint_autoencoder": ("joint_autoencoder", {}, (20, 40)),
    "resnet_lstm": ("resnet_lstm", {"backbone": "test_resnet"}, (64, 96)),
    "resnet_lstm soft": ("resnet_lstm", {"backbone": "test_resnet", "attention": "soft"}, (64, 96)),
}
NAMES = sorted({name for name, _, _ in SMALL.values()})
EXTRA = ("subspectral_net", "joint_autoencoder")
every = pytest.mark.parametrize("key", SMALL)


def small(key, n_classes=3, in_chans=2, seed=0, **more):
    """(network, 8 random pictures that suit it)."""
    name, options, size = SMALL[key]
    torch.manual_seed(seed)
    return create_net(name, n_classes, in_chans, size=size, **options, **more), torch.rand(8, in_chans, *size)


@cache
def published(name):
    return create_net(name).eval()


def zero(net):
    """All weights 0."""
    for p in net.parameters():
        nn.init.zeros_(p)
    return net


def whole_loss(net, x, y):
    """Cross entropy of the logits and what the network pays besides, in that order."""
    loss = F.cross_entropy(net(x), y)
    extra = net.extra_loss(F.cross_entropy, y)
    return loss if extra is None else loss + extra


# ---------------------------------------------------------------- counts
# Keras counts the running mean and variance of batch normalisation, which are not parameters here, and knows one bias for an LSTM, where
# PyTorch has two.
def conv(n_in, n_out, height, width):
    return n_in * n_out * height * width + n_out


def dense(*widths):
    return sum(n_in * n_out + n_out for n_in, n_out in zip(widths, widths[1:]))


def lstm(n_in, units):
    """As Keras counts: four gates, each with weights for input and state and one bias."""
    return 4 * (units * (n_in + units) + units)


def keras_norm(channels):
    """Scale, shift, running mean and running variance."""
    return 4 * channels


def keras_block(n_in, n_out, height, width):
    """Two convolutions, one of 1 x 1, a normalisation."""
    return (
        conv(n_in, n_out, height, width)
        + conv(n_out, n_out, height, width)
        + conv(n_out, n_out, 1, 1)
        + keras_norm(n_out)
    )


def running_statistics(net):
    return sum(b.numel() for name, b in net.named_buffers() if name.endswith(("running_mean", "running_var")))


def second_biases(net):
    return sum(p.numel() for name, p in net.named_parameters() if "bias_hh" in name)


def keras_count(net):
    return count_parameters(net) + running_statistics(net) - second_biases(net)


def test_cldnn_has_the_published_number_of_parameters():
    net = published("cldnn")
    convs = keras_block(1, 32, 1, 3) + keras_block(32, 32, 3, 1) + keras_block(32, 64, 3, 3)
    lstms = 2 * lstm(32 * 64, 128) + 2 * lstm(2 * 128, 128)  # a quarter of 128 rows, 64 channels; both directions
    assert (running_statistics(net), second_biases(net)) == (2 * (32 + 32 + 64), 4 * 4 * 128)
    assert keras_count(net) == convs + lstms + dense(2 * 128, 64, 6) == 2_711_974


def test_separable_cnn_has_the_published_number_of_parameters():
    convs = (
        keras_block(1, 32, 1, 3)
        + keras_block(32, 32, 3, 1)
        + keras_block(32, 64, 1, 3)
        + keras_block(64, 64, 3, 1)
        + keras_block(64, 128, 3, 3)
        + keras_block(128, 256, 3, 3)
    )
    assert keras_count(published("separable_cnn")) == convs + dense(256 * 8 * 8, 512, 6) == 9_646_630


def test_multichannel_cnn_has_the_published_number_of_parameters():
    # kernels as in the source, whose pictures have time in rows: 256 x 128, of which 1 x 8 are left
    convs = (
        keras_block(4, 32, 1, 3)
        + keras_block(32, 32, 5, 1)
        + keras_block(32, 64, 1, 3)
        + keras_block(64, 64, 5, 1)
        + keras_block(64, 128, 5, 3)
        + keras_block(128, 256, 5, 3)
    )
    assert keras_count(published("multichannel_cnn")) == convs + dense(256 * 1 * 8, 512, 6) == 3_064_646


def test_subspectral_net_has_the_published_number_of_parameters():
    net = published("subspectral_net")
    band = (
        keras_block(1, 32, 1, 3)
        + keras_block(32, 32, 3, 1)
        + keras_block(32, 64, 1, 3)
        + keras_block(64, 64, 3, 1)
        + keras_block(64, 128, 5, 5)
        + dense(128 * 8 * 8, 512, 6)
    )
    assert keras_count(net.bands[0]) + count_parameters(net.band_classifiers[0]) == band == 4_893_478
    assert keras_count(net) == 7 * band + dense(7 * 512, 256, 128, 64, 6) == 35_213_648


def test_joint_autoencoder_has_the_published_numbers_of_parameters():
    net = published("joint_autoencoder")
    filters = [1, 16, 32, 64, 128]
    down = sum(conv(n_in, n_out, 3, 3) + keras_norm(n_out) for n_in, n_out in zip(filters, filters[1:]))
    up = sum(
        conv(n_in, n_out, 3, 3) + keras_norm(n_out) for n_in, n_out in zip([1, 128, 64, 32, 16], [128, 64, 32, 16, 1])
    )
    autoencoder = sum(map(keras_count, [net.encoder, net.code, net.decoder]))
    assert autoencoder == down + dense(128 * 8 * 8, 64) + up == 721_733
    assert count_parameters(net.dense) + count_parameters(net.classifier) == dense(64, 64, 32, 6) == 6_438
    assert keras_count(net) == autoencoder + 6_438


def test_resnet_lstm_has_the_parameters_of_its_parts():
    """No count is published. ResNet50 has 23,508,032 without its classes at 3 channels; at 1 its 7 x 7 stem has a third of its weights."""
    net = published("resnet_lstm")
    backbone = 23_508_032 - 2 * 64 * 7 * 7
    behind = lstm(4 * 2048, 64) + lstm(64, 64) + dense(64, 64, 6)  # 4 rows of 2,048 channels are left of 128 rows
    assert count_parameters(net.backbone) == backbone == 23_501_760
    assert count_parameters(net) == backbone + behind + second_biases(net) == 25_653_638
    norms = [layer.num_features for layer in net.backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    biases = sum(norms)  # Keras' ResNet50 has one before each normalisation
    assert (biases, second_biases(net)) == (26_560, 2 * 4 * 64)
    assert keras_count(net) + biases == 25_732_806
    assert keras_count(net.backbone) + biases + 2 * 64 * 7 * 7 == 23_587_712  # Keras' own count at 3 channels


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("cldnn", 2_713_766),
        ("separable_cnn", 9_645_478),
        ("multichannel_cnn", 3_063_494),
        ("subspectral_net", 35_209_168),
        ("joint_autoencoder", 727_209),
        ("resnet_lstm", 25_653_638),
    ],
)
def test_the_docstring_tells_the_count(name, count):
    assert count_parameters(published(name)) == count
    text = inspect.getdoc(net_facts(name).make)
    assert f"{count:,} parameters" in text


@pytest.mark.parametrize(("attention", "more"), [("soft", 256 + 6), ("self", 2 * 256 * 32 + 32 + 32 + 1)])
def test_attention_adds_its_own_parameters_only(attention, more):
    assert count_parameters(small(f"cldnn {attention}")[0]) == count_parameters(small("cldnn")[0]) + more


# ---------------------------------------------------------------- shapes
def test_the_networks_are_listed_with_their_source():
    assert set(NAMES) <= set(list_nets())
    for name in NAMES:
        assert (
            net_facts(name).source.startswith("WWH98932/Audio-Classification-Models (2020)")
            and not net_facts(name).wave
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_published_network_takes_the_published_picture(name):
    facts = net_facts(name)
    with torch.no_grad():
        assert published(name)(torch.zeros(1, facts.in_chans, *facts.size)).shape == (1, facts.n_classes)


@every
@pytest.mark.parametrize(("n_classes", "in_chans"), [(2, 1), (41, 4)])
def test_other_classes_and_channels(key, n_classes, in_chans):
    net, x = small(key, n_classes, in_chans)
    assert net(x[:2]).shape == (2, n_classes)  # a batch of two, in training


@every
def test_other_sizes(key):
    name, options, (height, width) = SMALL[key]
    for size in [(height + 7, width), (height, width + 9)]:
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


# ---------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("name", "smallest"), [("cldnn", (4, 4)), ("separable_cnn", (16, 16)), ("multichannel_cnn", (16, 256))]
)
def test_pictures_that_are_too_small_are_refused(name, smallest):
    height, width = smallest
    make = net_facts(name).make
    assert create_net(name, 3, 1, size=smallest).eval()(torch.zeros(1, 1, *smallest)).shape == (1, 3)
    for size in [(height - 1, width), (height, width - 1)]:
        sentence = (
            rf"^{name} cannot take pictures of 2 channels and {size[0]} x {size[1]} pixels: it takes pictures of {height} x "
            rf"{width} pixels \(height x width\) or more; set size= of the DataLoaders, or draw larger ones$"
        )
        with pytest.raises(ValueError, match=sentence):
            create_net(name, 3, 2, size=size)
        with pytest.raises(RuntimeError):  # the rule is no stricter than the layers
            blocks(1, make.stages)(torch.zeros(1, 1, *size))


@pytest.mark.parametrize(("bands", "height"), [(None, 61), (7, 61), (1, 16), (2, 23), (3, 31), (15, 121)])
def test_bands_that_are_too_low_are_refused(bands, height):
    options = {} if bands is None else {"bands": bands}
    for size in [(height - 1, 16), (height, 15)]:
        sentence = (
            rf"^subspectral_net cannot take pictures of 1 channel and {size[0]} x {size[1]} pixels: for {bands or 7} bands it "
            rf"takes pictures of {height} x 16 pixels \(height x width\) or more; set size= .* or ask for fewer bands$"
        )
        with pytest.raises(ValueError, match=sentence):
            create_net("subspectral_net", 3, 1, size=size, **options)
    assert band_rows(height, bands or 7)[0] == slice(height - 16, height)  # just high enough for the poolings
    assert band_rows(height - 1, bands or 7)[0] == slice(height - 16, height - 1)


def test_bands_of_the_least_height_go_through():
    assert create_net("subspectral_net", 3, 1, size=(61, 16)).eval()(torch.zeros(1, 1, 61, 16)).shape == (1, 3)


def test_no_bands_are_refused():
    with pytest.raises(ValueError, match="bands=0; 1 or more are needed"):
        create_net("subspectral_net", 3, 1, bands=0)


def test_joint_autoencoder_takes_a_single_pixel():
    net = create_net("joint_autoencoder", 3, 1, size=(1, 1)).eval()
    assert net(torch.zeros(2, 1, 1, 1)).shape == (2, 3) and net.reconstruct(torch.zeros(2, 1, 1, 1)).shape == (
        2,
        1,
        1,
        1,
    )


@pytest.mark.parametrize("weight", [-0.5, float("nan")])
def test_a_weight_below_zero_is_refused(weight):
    with pytest.raises(
        ValueError, match=rf"reconstruction={weight}; the weight of the reconstruction error is 0 \(off\) or more"
    ):
        create_net("joint_autoencoder", reconstruction=weight)


def test_an_unknown_backbone_lists_the_near_ones():
    with pytest.raises(
        ValueError, match=r"unknown backbone 'resnet51'; did you mean .*'resnet50'.* timm.list_models\(\) names all"
    ):
        create_net("resnet_lstm", backbone="resnet51")


def test_backbones_without_a_map_or_for_other_pictures_are_refused():
    with pytest.raises(
        ValueError, match="backbone 'test_vit' has no map of features with an axis of time; choose a convolutional one"
    ):
        create_net("resnet_lstm", size=(64, 96), backbone="test_vit")
    with pytest.raises(
        ValueError, match=r"backbone 'test_vit' cannot take pictures of 60 x 99 pixels \(height x width\); set size="
    ):
        create_net("resnet_lstm", size=(60, 99), backbone="test_vit")


@pytest.mark.parametrize("name", ["cldnn", "resnet_lstm"])
def test_an_unknown_attention_lists_the_near_ones(name):
    options = {"backbone": "test_resnet"} if name == "resnet_lstm" else {}
    with pytest.raises(ValueError, match="unknown attention 'sofd'; did you mean 'soft'"):
        create_net(name, size=(32, 32), attention="sofd", **options)


# ---------------------------------------------------------------- training
def normalised_biases(net):
    """Biases of convolutions right before a normalisation, which takes them out again: their gradient is 0 but for rounding."""
    names = set()
    for name, layer in net.named_modules():
        children = list(layer.named_children())
        names |= {
            f"{name}.{child}.bias"
            for (child, one), (_, behind) in zip(children, children[1:])
            if isinstance(one, nn.Conv2d) and isinstance(behind, nn.BatchNorm2d)
        }
    return names


@every
def test_gradients_reach_every_parameter(key):
    net, x = small(key)
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(
                layer.weight
            )  # timm starts the last one of a residual block at 0, which stops what comes before it
    whole_loss(net, x, torch.arange(8) % 3).backward()
    missing = [name for name, p in net.named_parameters() if p.grad is None]
    untouched = {name for name, p in net.named_parameters() if p.grad is not None and not p.grad.any()}
    assert not missing and not untouched - normalised_biases(net)


@pytest.mark.parametrize(
    ("key", "parts"), [("subspectral_net", {"band_classifiers"}), ("joint_autoencoder", {"decoder"})]
)
def test_some_parts_learn_from_the_extra_loss_alone(key, parts):
    net, x = small(key)
    F.cross_entropy(net(x), torch.arange(8) % 3).backward()
    assert {name.split(".")[0] for name, p in net.named_parameters() if p.grad is None} == parts


@every
def test_a_few_steps_on_eight_pictures_lower_the_loss(key):
    net, x = small(key, in_chans=1)
    y = torch.arange(8) % 3
    x[:, :, :, ::2] += y[:, None, None, None]
    optimizer = torch.optim.Adam(net.parameters(), 2e-3)
    losses = []
    for _ in range(
        12 if key in ("multichannel_cnn", "subspectral_net") else 25
    ):  # these two are slow, and learn at once
        loss = whole_loss(net, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-4:]) < 0.8 * sum(losses[:4])


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
    assert torch.equal(net(x), net(x)) == (key == "joint_autoencoder")  # the only one without dropout
    net.eval()
    assert torch.equal(net(x), net(x))


@pytest.mark.parametrize(
    ("key", "rates"),
    [
        ("cldnn", [0.25]),
        ("separable_cnn", [0.5]),
        ("multichannel_cnn", [0.5]),
        ("subspectral_net", [0.3, 0.3, 0.3]),
        ("resnet_lstm", [0.25, 0.5]),
    ],
)
def test_dropout_rates(key, rates):
    net, _ = small(key)
    assert (
        sorted(layer.p for layer in net.modules() if isinstance(layer, (nn.Dropout, nn.Dropout1d)) and layer.p) == rates
    )


@pytest.mark.parametrize(("key", "widths"), [("cldnn", [64 * 2, 256]), ("resnet_lstm", [96 * 2, 64])])
def test_dropout_of_what_both_lstms_read(key, widths):
    net, x = small(key)
    dropped, read = [], []
    net.drop.register_forward_hook(lambda _, __, out: dropped.append(out))
    for layer in net.modules():
        if isinstance(layer, nn.LSTM):
            layer.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    net(x)
    assert [one.shape[2] for one in read] == widths
    assert all(one is other for one, other in zip(dropped, read)) and len(dropped) == 2


# ---------------------------------------------------------------- extra losses
@every
def test_only_two_networks_pay_an_extra_loss_and_only_in_training(key):
    net, x = small(key)
    y = torch.arange(8) % 3
    assert net.extra_loss(F.cross_entropy, y) is None  # nothing was put through yet
    net.eval()(x)
    assert net.extra_loss(F.cross_entropy, y) is None
    net.train()(x)
    assert (net.extra_loss(F.cross_entropy, y) is not None) == (key in EXTRA)


@pytest.mark.parametrize("key", EXTRA)
def test_an_extra_loss_is_paid_once_and_holds_nothing_afterwards(key):
    net, x = small(key)
    y = torch.arange(8) % 3
    net(x)
    net.eval()(x[:2])  # a look at something else in between
    paid = net.extra_loss(F.cross_entropy, y)
    assert paid.ndim == 0 and paid.requires_grad and paid > 0
    assert net.extra_loss(F.cross_entropy, y) is None
    copy.deepcopy(net)  # not possible while a batch's graph hangs on it


def test_bands_pay_the_sum_of_their_losses():
    net, x = small("subspectral_net")
    y = torch.arange(8) % 3
    net(x)
    answers = net.band_logits(x)  # no dropout there: the same in training
    by_hand = sum(-answers[:, band].log_softmax(1)[torch.arange(8), y].mean() for band in range(3))
    assert answers.shape == (8, 3, 3)
    assert torch.allclose(net.extra_loss(F.cross_entropy, y), by_hand, atol=1e-6)


def test_bands_that_know_nothing_pay_the_logarithm_of_the_classes_each():
    net, x = small("subspectral_net", n_classes=5)
    zero(net)(x)
    assert net.extra_loss(F.cross_entropy, torch.arange(8) % 5).item() == pytest.approx(3 * math.log(5), rel=1e-6)


def test_bands_pay_by_the_loss_that_is_trained():
    net, x = small("subspectral_net")
    net(x)
    answers = net.band_logits(x)
    tags = torch.eye(3)[torch.arange(8) % 3]
    expected = sum(F.binary_cross_entropy_with_logits(answers[:, band], tags) for band in range(3))
    assert torch.allclose(net.extra_loss(F.binary_cross_entropy_with_logits, tags), expected, atol=1e-6)

    net(x)  # mixed clips: a loss of two targets
    first, second = torch.arange(8) % 3, torch.arange(8).flip(0) % 3
    expected = sum(
        0.3 * F.cross_entropy(answers[:, band], first) + 0.7 * F.cross_entropy(answers[:, band], second)
        for band in range(3)
    )
    paid = net.extra_loss(
        lambda logits, a, b: 0.3 * F.cross_entropy(logits, a) + 0.7 * F.cross_entropy(logits, b), first, second
    )
    assert torch.allclose(paid, expected, atol=1e-6)


def test_an_empty_drawing_pays_for_its_grey():
    """With weights 0 every pixel is drawn as sigmoid(0) = 0.5: an error of 0.25 for black and white, 0.1875 where 1 pixel in 4 is grey."""
    net, _ = small("joint_autoencoder", in_chans=1, reconstruction=4.0)
    x = torch.zeros(2, 1, 20, 40)
    x[..., 20:] = 7.0
    assert torch.equal(zero(net).reconstruct(x), torch.full_like(x, 0.5))
    net(x)
    assert net.extra_loss(F.cross_entropy, torch.zeros(2, dtype=torch.long)).item() == pytest.approx(4.0 * 0.25)
    x[:, :, ::2, ::2] = 3.5
    net(x)
    assert net.extra_loss(F.cross_entropy, torch.zeros(2, dtype=torch.long)).item() == pytest.approx(4.0 * 0.1875)


def test_a_drawing_is_compared_with_the_picture_in_its_own_range():
    net, x = small("joint_autoencoder", reconstruction=2.0)
    net(x)
    drawn = net.reconstruct(x)  # no dropout: the same in training
    assert drawn.shape == x.shape and 0 < drawn.min() and drawn.max() < 1
    expected = 2.0 * (drawn - unit_range(x)).square().mean()
    assert torch.allclose(net.extra_loss(F.cross_entropy, torch.arange(8)), expected, atol=1e-6)


def test_without_weight_nothing_is_drawn():
    net, x = small("joint_autoencoder", reconstruction=0)
    drawings = []
    net.decoder.register_forward_hook(lambda *_: drawings.append(1))
    net(x)
    assert net.extra_loss(F.cross_entropy, torch.arange(8) % 3) is None and not drawings


def test_drawings_become_better():
    net, x = small("joint_autoencoder", in_chans=1)
    x = F.interpolate(torch.rand(8, 1, 5, 5), x.shape[2:])  # coarse enough for a code of 6 numbers
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    errors = []
    for _ in range(60):
        net(x)
        loss = net.extra_loss(F.cross_entropy)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    grey = (unit_range(x) - unit_range(x).mean()).square().mean().item()  # of the best picture of one value
    assert errors[-1] < 0.5 * grey < errors[0]


def test_unit_range():
    x = torch.tensor([[[[-2.0, 0.0, 2.0]], [[5.0, 5.0, 5.0]]], [[[1.0, 2.0, 5.0]], [[0.0, -1.0, 0.0]]]])
    expected = torch.tensor([[[[0.0, 0.5, 1.0]], [[0.0, 0.0, 0.0]]], [[[0.0, 0.25, 1.0]], [[1.0, 0.0, 1.0]]]])
    assert torch.equal(unit_range(x), expected)
    mean, std = torch.tensor([0.4, 7.0])[:, None, None], torch.tensor([0.2, 3.0])[:, None, None]
    assert torch.allclose(unit_range((x - mean) / std), expected, atol=1e-6)


def test_the_code_has_a_number_for_each_16_pixels_square():
    assert published("joint_autoencoder").heads["code"][0].out_features == 64
    net, x = small("joint_autoencoder")
    seen = []
    net.heads["code"].register_forward_hook(lambda _, __, out: seen.append(out))
    net.eval()(x)
    (code,) = seen
    assert code.shape == (8, 2 * 3)  # 20 x 40 pixels
    assert torch.allclose(net.classifier(net.dense(code)), net(x), atol=1e-6)


def test_the_classifier_of_the_code_is_linear():
    net, _ = small("joint_autoencoder")
    head = nn.Sequential(net.dense, net.classifier)
    a, b = torch.randn(2, 4, 6)
    assert torch.allclose(head(a) + head(b) - head(torch.zeros(4, 6)), head(a + b), atol=1e-5)


# ---------------------------------------------------------------- axes
def reach(layers, in_chans, size, row, column):
    """(rows, columns) of the output that a pixel of the input changes."""
    torch.manual_seed(0)
    x = torch.rand(1, in_chans, *size)
    changed = x.clone()
    changed[0, :, row, column] += 10.0
    with torch.no_grad():
        differs = (layers.eval()(x) != layers(changed))[0].any(0)
    return differs.any(1).nonzero().flatten().tolist(), differs.any(0).nonzero().flatten().tolist()


@pytest.mark.parametrize(
    ("name", "pools", "first", "second"),
    [
        ("cldnn", [(1, 2), (2, 1), (2, 2)], ([8], [8, 9, 10, 11, 12]), ([6, 7, 8, 9, 10], [8])),
        (
            "separable_cnn",
            [(1, 2), (2, 1), (1, 2), (2, 1), (2, 2), (2, 2)],
            ([8], [8, 9, 10, 11, 12]),
            ([6, 7, 8, 9, 10], [8]),
        ),
        (
            "multichannel_cnn",
            [(2, 1), (1, 4), (2, 1), (1, 4), (2, 4), (2, 4)],
            ([6, 7, 8, 9, 10], [10]),
            ([8], [4, 5, 6, 7, 8, 9, 10, 11, 12]),
        ),
    ],
)
def test_kernels_reach_along_their_axis(name, pools, first, second):
    """Two convolutions of 3 reach two pixels to each side, of 5 four; not a pixel along the other axis."""
    stages = net_facts(name).make.stages
    assert [stage.pool for stage in stages] == pools
    without_pool = [block(2, stage)[:-1] for stage in stages]
    column = first[1][len(first[1]) // 2]
    assert reach(without_pool[0], 2, (16, 20), 8, column) == first
    assert reach(block(2, stages[1])[:-1], 2, (16, 20), 8, 8) == second


def test_multichannel_cnn_leaves_frequency_and_uses_up_time():
    stages = net_facts("multichannel_cnn").make.stages
    x, sizes = torch.zeros(1, 1, 128, 256), []
    with torch.no_grad():
        for layer in blocks(1, stages):
            x = layer(x)
            sizes.append(tuple(x.shape[1:]))
    assert sizes == [(32, 64, 256), (32, 64, 64), (64, 32, 64), (64, 32, 16), (128, 16, 4), (256, 8, 1)]


def test_a_block_normalises_behind_its_last_activation():
    layers = block(3, Stage(4, (1, 3), (1, 2)))
    assert [type(layer).__name__ for layer in layers] == 3 * ["Conv2d", "LeakyReLU"] + ["BatchNorm2d", "MaxPool2d"]
    assert {layer.negative_slope for layer in layers if isinstance(layer, nn.LeakyReLU)} == {0.01}
    assert (layers[6].eps, layers[6].momentum) == (
        0.001,
        0.1,
    )  # not Keras' momentum: running statistics must arrive in a hundred updates
    assert layers(torch.zeros(1, 3, 5, 7)).shape == (1, 4, 5, 3)  # the seventh column fills no pair


@pytest.mark.parametrize("size", [(16, 16), (31, 47), (33, 40)])
def test_what_is_left_of_a_picture_is_counted_right(size):
    stages = net_facts("separable_cnn").make.stages
    assert shrinkage(stages) == (16, 16)
    assert features_of(nn.Sequential(blocks(1, stages), nn.Flatten()), 1, size) == (flat_features(stages, size),)


def test_cldnn_reads_columns_in_both_directions():
    torch.manual_seed(0)
    net, x = create_net("cldnn", 3, 2, size=(8, 48)), torch.rand(4, 2, 8, 48)
    seen = []
    net.first.register_forward_hook(lambda _, inputs, out: seen.append((inputs[0], out[0])))
    changed = x.clone()
    changed[..., 24:28] += 1.0  # step 6 of 12 and, through the kernels, two before and two behind it
    with torch.no_grad():
        net.eval()(x)
        net(changed)
    (steps, before), (_, after) = seen
    assert steps.shape == (4, 12, 64 * 2)  # a quarter of 48 columns and of 8 rows
    differs = (before != after).any(0)  # (steps, forward and backward states)
    forward, backward = differs[:, :128].any(1).tolist(), differs[:, 128:].any(1).tolist()
    assert forward == [False] * 4 + [True] * 8
    assert backward == [True] * 9 + [False] * 3


def test_cldnn_keeps_what_has_read_the_whole_sequence():
    net, x = small("cldnn")
    seen = {}
    net.second.register_forward_hook(lambda _, __, out: seen.update(states=out[0]))
    net.dense.register_forward_pre_hook(lambda _, inputs: seen.update(kept=inputs[0]))
    net.eval()(x)
    forward, backward = seen["states"][:, -1, :128], seen["states"][:, 0, 128:]
    assert torch.equal(seen["kept"], torch.cat([forward, backward], 1))


@pytest.mark.parametrize("attention", ["soft", "self"])
def test_cldnn_attends_between_its_lstms(attention):
    net, x = small(f"cldnn {attention}")
    seen = {}
    net.first.register_forward_hook(lambda _, __, out: seen.update(first=out[0]))
    net.second.register_forward_pre_hook(lambda _, inputs: seen.update(second=inputs[0]))
    net.eval()(x)
    assert torch.equal(seen["second"], net.attention(seen["first"]))
    assert (seen["second"] - seen["first"]).abs().max() > 0.1 * seen["first"].abs().max()


def test_cldnn_starts_with_normal_convolutions_and_keras_lstms():
    torch.manual_seed(0)
    net = create_net("cldnn", 6, 1, size=(16, 16))
    convs = torch.cat([layer.weight.flatten() for layer in net.convs.modules() if isinstance(layer, nn.Conv2d)])
    assert convs.std().item() == pytest.approx(0.05, rel=0.05) and convs.abs().max() > 0.15  # Glorot's would end before
    assert torch.equal(net.second.bias_ih_l0_reverse.chunk(4)[1], torch.ones(128))


@pytest.mark.parametrize("backbone", ["test_resnet", "test_mambaout"])  # the second gives its map with channels last
def test_resnet_lstm_reads_the_columns_of_its_map(backbone):
    if not timm.is_model(backbone):
        pytest.skip("this timm has no such network")
    torch.manual_seed(0)
    net = create_net("resnet_lstm", 3, 2, size=(64, 160), backbone=backbone)
    seen = {}
    net.backbone.register_forward_hook(lambda _, __, out: seen.update(map=out))
    net.layers[0].register_forward_pre_hook(lambda _, inputs: seen.update(steps=inputs[0]))
    net.layers[1].register_forward_hook(lambda _, __, out: seen.update(states=out[0]))
    net.dense.register_forward_pre_hook(lambda _, inputs: seen.update(kept=inputs[0]))
    net.eval()(torch.rand(2, 2, 64, 160))
    assert seen["map"].shape[2:] == (2, 5)
    assert torch.equal(seen["steps"], seen["map"].permute(0, 3, 1, 2).flatten(2))
    assert torch.equal(seen["kept"], seen["states"][:, -1])


def test_resnet_lstm_with_attention_hears_all_steps():
    net, x = small("resnet_lstm soft")
    seen = {}
    net.layers[1].register_forward_hook(lambda _, __, out: seen.update(states=out[0]))
    net.dense.register_forward_pre_hook(lambda _, inputs: seen.update(kept=inputs[0]))
    net.eval()(x)
    assert torch.equal(seen["kept"], net.attention.summary(seen["states"]))
    assert not torch.allclose(seen["kept"], seen["states"][:, -1], atol=1e-3)


# ---------------------------------------------------------------- bands
def test_bands_of_the_published_picture():
    bands = band_rows(512, 7)
    assert bands == [
        slice(512 - 128 - 64 * i, 512 - 64 * i) for i in range(7)
    ]  # the lowest frequencies, in the last rows, first


@pytest.mark.parametrize("bands", [1, 2, 3, 7, 10])
def test_bands_hold_every_row_and_overlap_by_half(bands):
    for rows in range(bands + 1, 300):
        found = band_rows(rows, bands)
        height = found[0].stop - found[0].start
        assert len(found) == bands and all(one.stop - one.start == height for one in found)
        assert found[0].stop == rows and found[-1].start == 0
        assert all(lower.start - higher.start <= height / 2 + 1 for lower, higher in zip(found, found[1:]))
        assert height - 1 < 2 * rows / (bands + 1) <= height


def test_each_band_hears_its_own_rows():
    net, x = small("subspectral_net")
    net.eval()
    assert net.rows == [slice(16, 32), slice(8, 24), slice(0, 16)]
    before = net.band_logits(x)
    for row, expected in [
        (31, [True, False, False]),
        (18, [True, True, False]),
        (10, [False, True, True]),
        (0, [False, False, True]),
    ]:
        changed = x.clone()
        changed[:, :, row] += 1.0
        assert [not torch.equal(before[:, band], net.band_logits(changed)[:, band]) for band in range(3)] == expected


def test_heads_of_the_bands_are_what_the_whole_is_made_of():
    net, x = small("subspectral_net")
    net.eval()
    assert list(net.heads) == ["band1", "band2", "band3"]
    seen = []
    for head in net.heads.values():
        head.register_forward_hook(lambda _, __, out: seen.append(out))
    out = net(x)
    assert [one.shape for one in seen] == [(8, 512)] * 3
    assert torch.equal(net.classifier(net.dense(torch.cat(seen, 1))), out)
    assert torch.equal(net.band_classifiers[1](seen[1]), net.band_logits(x)[:, 1])
