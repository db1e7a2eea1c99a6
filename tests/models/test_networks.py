"""Networks by name in a learner: ours beside timm's, from training to a saved classifier, and what does not go together."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile as sf
import torch
from fastai.vision.all import Callback
from torch import nn

from specimg.audio import Audio
from specimg.data import SpecDataLoaders
from specimg.data.wave_loaders import WaveDataLoaders
from specimg.inference import load_classifier, save_classifier
from specimg.models.nets import list_nets, net_facts
from specimg.models.networks import (
    ExtraLoss,
    NamedNet,
    SpecNet,
    check_arch,
    check_weights,
    create_body,
    create_spec_net,
    is_own,
    split_named,
)
from specimg.render.renderer import Renderer
from specimg.spectrogram import Delta, Mel, Stack
from specimg.training import Recipe, fit, predict_all
from specimg.training.learner import spec_learner
from specimg.training.losses import ClipWeights

torch.set_num_threads(1)

SR = 8000
MEL = Mel(n_mels=32, n_fft=256, hop_length=64)
PICTURES = [name for name in list_nets() if not net_facts(name).wave]
WAVES = [name for name in list_nets() if net_facts(name).wave]
# pictures of 32 x 32 pixels, or what a network needs at least; options where the published one is large
SIZES = {
    **{name: tuple(max(32, least) for least in net_facts(name).make.smallest) for name in PICTURES},
    "resnet_lstm": (64, 64),
}
OPTIONS = {"resnet_lstm": {"backbone": "test_resnet"}, "subspectral_net": {"bands": 1}}


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Six clips of each of two pitches, half a second each, in folders named after them."""
    folder = tmp_path_factory.mktemp("netze") / "töne"
    for i in range(12):
        label, hz = [("high", 3000), ("low", 300)][i % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(SR // 2) / SR)
        sf.write(folder / label / f"{i:02}.wav", tone + 0.01 * np.random.default_rng(i).standard_normal(len(tone)), SR)
    return folder


def make_dls(sounds, size=(32, 32), spec=MEL, **changes):
    options = {
        "renderer": Renderer(spec),
        "cache": sounds.parent / "cache",
        "bs": 4,
        "valid_pct": 0.34,
        "seed": 0,
        "size": size,
        "augment": None,
        "num_workers": 0,
        **changes,
    }
    return SpecDataLoaders.from_folder(sounds, **options)


def make_learner(sounds, arch="mini_resnet", size=None, seed=0, net=None, spec=MEL, loaders=None, **changes):
    dls = make_dls(sounds, size or SIZES.get(arch, (32, 32)), spec, **(loaders or {}))
    learn = spec_learner(dls, arch, pretrained=False, seed=seed, net=net or OPTIONS.get(arch), **changes)
    learn.logger = [].append
    return learn


def make_waves(sounds, **changes):
    options = {
        "audio": Audio(sr=SR, duration=1.0),
        "bs": 4,
        "valid_pct": 0.34,
        "seed": 0,
        "augment": None,
        "num_workers": 0,
        **changes,
    }
    return WaveDataLoaders.from_folder(sounds, **options)


def quietly(learn):
    learn.logger = [].append
    return learn.no_bar()


# ---------------------------------------------------------------- the whole road, for every network
@pytest.mark.parametrize("arch", PICTURES)
def test_train_save_load_and_predict(arch, sounds, tmp_path):
    learn = make_learner(sounds, arch)
    with quietly(learn):
        history = fit(learn, Recipe(epochs=1, lr=1e-3, seed=1))
        valid = predict_all(learn)
    assert np.isfinite(history[["train_loss", "valid_loss"]].to_numpy()).all()
    assert isinstance(learn.model, NamedNet) and learn.arch == arch
    assert learn.weights_from == f"{arch} from scratch" and not learn.pretrained
    save_classifier(learn, tmp_path / "clf")
    clf = load_classifier(tmp_path / "clf")
    fresh = clf.predict([sounds / path for path in valid.table["path"]])
    assert fresh[[f"p_{label}" for label in valid.vocab]].to_numpy() == pytest.approx(valid.probs, abs=1e-5)
    state = learn.model.state_dict()
    assert all(torch.equal(part, state[name]) for name, part in clf.model.state_dict().items())
    x = learn.dls.valid.one_batch()[0]
    with torch.no_grad():
        embedded, logits = learn.model.eval().embed(x), learn.model(x)
        assert torch.equal(learn.model.features(x), embedded)
        assert torch.allclose(learn.model[1].classifier(embedded), logits, atol=1e-5), "the last layer is a linear one"
    assert embedded.numpy() == pytest.approx(valid.embeddings[: len(x)], abs=1e-5), "what predict_all keeps"
    assert torch.isfinite(logits).all() and logits.shape == (4, 2)


@pytest.mark.parametrize("arch", WAVES)
def test_waveforms_train_and_predict(arch, sounds, tmp_path):
    learn = spec_learner(make_waves(sounds), arch, seed=0)
    with quietly(learn):
        fit(learn, Recipe(epochs=1, lr=1e-3, seed=1))
        valid = predict_all(learn)
    assert len(valid) == 4 and valid.probs.sum(axis=1) == pytest.approx(1)
    assert learn.model[0].mean.flatten().tolist() == [0] and learn.model[0].std.flatten().tolist() == [1], (
        "waveforms stay as they are"
    )
    x = learn.dls.valid.one_batch()[0]
    with torch.no_grad():
        assert learn.model.eval().embed(x).numpy() == pytest.approx(valid.embeddings, abs=1e-5)
    same = create_spec_net(**learn.net_options)
    same.load_state_dict(learn.model.state_dict())
    save_classifier(learn, tmp_path / "clf")
    answers = load_classifier(tmp_path / "clf").predict(list(learn.dls.valid.clips["recording"]))
    assert answers[[f"p_{label}" for label in learn.dls.vocab]].to_numpy() == pytest.approx(valid.probs, abs=1e-5)


@pytest.mark.parametrize("arch", list_nets())
def test_the_published_network_in_a_learners_dress(arch):
    """As large as it was published: built, and one forward pass, in evaluation mode."""
    facts = net_facts(arch)
    net = create_spec_net(arch, facts.in_chans, facts.n_classes, facts.size).eval()
    x = torch.rand(1, facts.in_chans, *facts.size)
    with torch.no_grad():
        logits = net(x)
    assert logits.shape == (1, facts.n_classes) and torch.isfinite(logits).all()
    groups = split_named(net)
    ids = [id(p) for group in groups for p in group]
    assert sorted(ids) == sorted(id(p) for p in net.parameters())
    assert [id(p) for p in groups[1]] == [id(p) for p in net[1].classifier.parameters()]


@pytest.mark.parametrize("arch, side", [("inception_v3", 75), ("resnet50", 96)])
def test_sizes_that_small_pictures_of_words_were_shown_at(arch, side):
    net = create_spec_net(arch, 1, 10, (side, side)).eval()
    with torch.no_grad():
        assert net(torch.rand(2, 1, side, side)).shape == (2, 10) and net.features(
            torch.rand(2, 1, side, side)
        ).shape == (2, 2048)


# ---------------------------------------------------------------- shapes
def test_windows_are_averaged_and_channels_may_be_several(sounds):
    net = create_spec_net("mini_resnet", 2, 3, (32, 40)).eval()
    x = torch.rand(2, 4, 2, 32, 40)
    with torch.no_grad():
        single = torch.stack([net(x[:, i]) for i in range(4)])
        embedded = torch.stack([net.embed(x[:, i]) for i in range(4)])
        assert torch.allclose(net(x), single.mean(0), atol=1e-6) and single.std(0).max() > 1e-6
        assert torch.allclose(net.embed(x), embedded.mean(0), atol=1e-6) and net.embed(x).shape == (2, 64)
    assert not net[1].classifier._forward_pre_hooks, "nothing is left hanging on the layer"
    dls = make_dls(sounds, (32, 40), Stack(MEL, Delta(MEL, 1)), method="crop", seconds=0.2)
    learn = spec_learner(dls, "mini_resnet", seed=0)
    with quietly(learn):
        fit(learn, Recipe(epochs=1, lr=1e-3, seed=1))
        assert predict_all(learn).embeddings.shape == (4, 64)
    assert dls.valid.one_batch()[0].shape == (4, 3, 2, 32, 40)
    assert learn.net_options == {"arch": "mini_resnet", "n_channels": 2, "n_classes": 2, "size": (32, 40)}


@pytest.mark.parametrize(
    "arch, features", [("test_resnet", 64), ("test_vit", 64), ("inception_next_atto", 320), ("pit_ti_224", 256)]
)
def test_features_are_the_bodys_own_averaged_over_map_and_windows(arch, features):
    torch.manual_seed(0)
    net = create_spec_net(arch, 1, 3, (32, 48)).eval()
    x = torch.rand(2, 3, 1, 32, 48)
    with torch.no_grad():
        maps = torch.stack([net[0](x[:, i]) for i in range(3)])
        maps = maps.mean((3, 4)) if maps.ndim == 5 else maps
        assert torch.allclose(net.features(x), maps.mean(0), atol=1e-5)
        assert net.features(x).shape == net.features(x[:, 0]).shape == (2, maps.shape[-1])
        assert not torch.allclose(net.features(x), net.features(x[:, 0]))


def test_statistics_of_the_first_layer(sounds):
    def first(**changes):
        layer = make_learner(sounds, **changes).model[0]
        return layer.mean.flatten().tolist(), layer.std.flatten().tolist()

    assert first() == ([0.5], [0.5]), "pictures become -1 to 1"
    assert first(stats=(0.25, 2.0)) == ([0.25], [2.0])
    dls = make_dls(sounds)
    pixels = torch.cat([x for x, *_ in dls.test_dl(dls.train_ds.items)]).double()
    mean, std = first(stats="train")
    assert mean == pytest.approx([float(pixels.mean())], abs=1e-4) and std == pytest.approx(
        [float(pixels.std(unbiased=False))], abs=1e-4
    )


def test_options_travel_with_the_classifier(sounds, tmp_path):
    learn = make_learner(sounds, "lstm", net={"attention": "soft", "stacked": True})
    assert learn.net_options["net"] == {"attention": "soft", "stacked": True}
    assert learn.model[1].attention is not None and len(learn.model[1].layers) == 3
    save_classifier(learn, tmp_path / "clf")
    assert json.loads((tmp_path / "clf/classifier.json").read_text())["network"]["net"] == {
        "attention": "soft",
        "stacked": True,
    }
    assert load_classifier(tmp_path / "clf").model[1].attention is not None
    assert make_learner(sounds, "lstm").net_options.get("net") is None


def test_the_seed_repeats_the_weights(sounds):
    one, same, other = (make_learner(sounds, seed=seed).model.state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(part, same[name]) for name, part in one.items())
    assert any(not torch.equal(part, other[name]) for name, part in one.items())


def test_groups_and_freezing(sounds):
    learn = make_learner(sounds)
    assert learn.splitter is make_learner(sounds, split="body").splitter is split_named
    learn.create_opt()
    assert [len(group) for group in learn.opt.param_lists] == [len(list(learn.model.parameters())) - 2, 2]
    learn.freeze()
    norms = {id(p) for layer in learn.model.modules() if isinstance(layer, nn.BatchNorm2d) for p in layer.parameters()}
    last = {id(p) for p in learn.model[1].classifier.parameters()}
    assert all(p.requires_grad == (id(p) in norms | last) for p in learn.model.parameters())
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())
    with pytest.raises(ValueError, match="parameters in no group or in several"):
        make_learner(sounds, split=lambda model: [list(model[1].classifier.parameters())])


def test_frozen_epochs_are_skipped_because_nothing_is_pretrained(sounds):
    learn = make_learner(sounds, "feature_mlp")
    with quietly(learn):
        assert fit(learn, Recipe(epochs=1, freeze_epochs=3, lr=1e-3))["phase"].tolist() == ["unfrozen"]


def test_two_heads(sounds):
    """The first is what the dense layer is given; `predict_all` keeps what a layer is given."""
    learn = make_learner(sounds)
    heads, x = learn.model[1].heads, learn.dls.valid.one_batch()[0]
    assert list(heads) == ["head1", "head2"]
    with quietly(learn):
        pooled = predict_all(learn, embeddings=heads["head2"]).embeddings
        mapped = predict_all(learn, embeddings=heads["head1"]).embeddings
        last = predict_all(learn).embeddings
    with torch.no_grad():
        net = learn.model.eval()
        stages = net[1].stages(net[0](x))
        first = heads["head1"](stages)
        assert pooled == pytest.approx(first.numpy(), abs=1e-5) and mapped == pytest.approx(
            stages.mean((2, 3)).numpy(), abs=1e-5
        )
        assert last == pytest.approx(heads["head2"](first).relu().numpy(), abs=1e-5)
    assert pooled.shape == last.shape == (4, 64)


# ---------------------------------------------------------------- what training pays besides
TWO_EPOCHS = Recipe(epochs=2, lr=1e-3, seed=1)


class LossesSeen(Callback):
    """The loss of every batch before and after `ExtraLoss`, and what the network asked for."""

    run_valid = True

    def __init__(self, order):
        self.order, self.seen = order, []

    def after_loss(self):
        self.seen.append(
            (self.training, float(self.learn.loss.detach().mean()), float(self.learn.loss_grad.detach().mean()))
        )


@pytest.mark.parametrize(
    "recipe, weighted",
    [
        (TWO_EPOCHS, False),
        (TWO_EPOCHS.replace(mixup=0.4), False),
        (TWO_EPOCHS, True),
        (TWO_EPOCHS.replace(label_smoothing=0.1), False),
    ],
)
@pytest.mark.parametrize("arch", ["joint_autoencoder", "subspectral_net"])
def test_extra_loss_is_added_in_training_and_nothing_in_validation(arch, recipe, weighted, sounds, monkeypatch):
    learn, asked = make_learner(sounds, arch, loaders={"seed": 0}), []
    net = learn.model[1]
    usual = net.extra_loss

    def extra_loss(loss_func, *targets):
        extra = usual(loss_func, *targets)
        asked.append(float(extra.detach()))
        return extra

    monkeypatch.setattr(net, "extra_loss", extra_loss)
    before, after = LossesSeen(1.5), LossesSeen(3)
    learn.add_cbs([before, after])
    if weighted:
        learn.add_cb(ClipWeights(np.linspace(0.5, 1.5, learn.dls.train.n)))
    assert [type(cb) for cb in learn.cbs if isinstance(cb, ExtraLoss)] == [ExtraLoss]
    with quietly(learn):
        history = fit(learn, recipe)
        valid = predict_all(learn)
    pairs = list(zip(before.seen, after.seen))
    training = [(one[1], other[1], other[2]) for one, other in pairs if one[0]]
    assert len(training) == len(asked) == 2 * len(learn.dls.train) == 4 and min(asked) > 0
    for (without, paid, graded), extra in zip(training, asked):
        assert paid == graded == pytest.approx(without + extra, rel=1e-5)
    validated = [one == other for one, other in pairs if not one[0]]
    assert len(validated) == 3 and all(validated), "two epochs and predict_all, a batch each"
    assert history["valid_loss"].iloc[-1] == pytest.approx(valid.table["loss"].mean(), rel=1e-4), (
        "validation is of the labels alone"
    )
    means = [np.mean([paid for _, paid, _ in epoch]) for epoch in (training[:2], training[2:])]
    assert history["train_loss"].tolist() == pytest.approx(means, rel=1e-4)


def test_extra_loss_teaches_what_only_it_can(sounds):
    """The drawing half of the autoencoder has no part in the labels' loss."""
    learn = make_learner(sounds, "joint_autoencoder")
    weights = learn.model[1].decoder[1][0].weight.detach().clone()
    with quietly(learn):
        fit(learn, Recipe(epochs=1, lr=1e-2, seed=1))
    assert not torch.equal(weights, learn.model[1].decoder[1][0].weight)
    off = make_learner(sounds, "joint_autoencoder", net={"reconstruction": 0.0})
    weights = off.model[1].decoder[1][0].weight.detach().clone()
    with quietly(off):
        fit(off, Recipe(epochs=1, lr=1e-2, seed=1, wd=0.0))
    assert torch.equal(weights, off.model[1].decoder[1][0].weight)


def test_timms_networks_pay_nothing_besides(sounds):
    learn = make_learner(sounds, "test_resnet")
    assert isinstance(learn.model, SpecNet) and not [cb for cb in learn.cbs if isinstance(cb, ExtraLoss)]


# ---------------------------------------------------------------- what does not go together
def test_which_networks_are_ours():
    assert is_own("mini_resnet") and not is_own("resnet34") and not is_own("nonsense")
    assert not set(list_nets()) & set(__import__("timm").list_models()), "one name, one network"
    for arch in ("mini_resnet", "resnet34", "resnet34.a1_in1k"):
        check_arch(arch)


@pytest.mark.parametrize(
    "arch, near",
    [
        ("mini_resnt", "mini_resnet"),
        ("resnet_lstm18", "resnet_lstm"),
        ("resnet43", "resnet34"),
        ("soundnet", "soundnet_cnn"),
        ("digits", "digits_cnn"),
        ("joint", "joint_autoencoder"),
    ],
)
def test_unknown_names_are_sought_in_both_lists(arch, near):
    said = rf"unknown arch {arch!r}; did you mean .*{near!r}.*list_nets\(\) names ours, timm.list_models\(\) timm's"
    with pytest.raises(ValueError, match=said):
        check_arch(arch)


def test_a_name_like_none_has_no_hint():
    with pytest.raises(ValueError, match=r"^unknown arch 'qqqq'; list_nets\(\) names ours"):
        check_arch("qqqq")
    with pytest.raises(ValueError, match="arch None is not a string"):
        create_spec_net(None, 1, 2, (32, 32))


@pytest.mark.parametrize(
    "arch, changes, said",
    [
        (
            "mini_resnet",
            {"ps": 0.3},
            "^ps: heads are for timm's networks; mini_resnet has its own, its options go into net=",
        ),
        (
            "mini_resnet",
            {"lin_ftrs": [64], "concat_pool": False},
            "^lin_ftrs, concat_pool: heads are for timm's networks",
        ),
        ("mini_resnet", {"weights": "some/file.pth"}, "some/file.pth' together with pretrained=False"),
        ("mini_resnet", {"net": {"depth": 3}}, "mini_resnet takes no options, and got depth=3"),
        ("lstm", {"net": {"atention": "soft"}}, "unknown option of lstm 'atention'; did you mean 'attention'"),
        ("lstm", {"net": {"attention": "hard"}}, "unknown attention 'hard'"),
        ("lstm", {"net": "soft"}, r"net='soft': it is a dict of options, such as net=dict\("),
        (
            "test_resnet",
            {"net": {"attention": "soft"}},
            r"net=\{'attention': 'soft'\}: options of our own networks, and test_resnet is timm's",
        ),
        ("mini_resnet", {"split": "halves"}, "unknown split 'halves'"),
        ("resnet_lstm", {"net": {"backbone": "resnet43"}, "size": (64, 64)}, "resnet43"),
        (
            "mini_resnet",
            {"size": (31, 40)},
            r"mini_resnet cannot take pictures of 1 channel and 31 x 40 pixels: it takes pictures of 32 x 32 pixels "
            r"\(height x width\) or more; set size= of the DataLoaders, or draw larger ones",
        ),
        (
            "soundnet_cnn",
            {},
            "soundnet_cnn takes waveforms, and these are pictures of 32 x 32 pixels; make the data with WaveDataLoaders",
        ),
    ],
)
def test_what_does_not_go_together(arch, changes, said, sounds):
    with pytest.raises(ValueError, match=said):
        make_learner(sounds, arch, **changes)


def test_waveforms_are_not_given_to_networks_of_pictures(sounds):
    said = "mini_resnet takes pictures, and these are waveforms of 8000 samples; make the data with SpecDataLoaders"
    with pytest.raises(ValueError, match=said):
        spec_learner(make_waves(sounds), "mini_resnet")
    said = r"soundnet_cnn cannot take waveforms of 1 channel and 800 samples: it takes waveforms of \d+ samples or more"
    with pytest.raises(ValueError, match=said):
        spec_learner(make_waves(sounds, audio=Audio(sr=SR, duration=0.1)), "soundnet_cnn")


@pytest.mark.parametrize("arch", ["test_resnet", "mini_resnet"])
@pytest.mark.parametrize(
    "made, given, said",
    [
        (3, 1, "pictures of 1 channel, and the network was made for 3"),
        (1, 3, "pictures of 3 channels, and .* made for 1"),
    ],
)
def test_pictures_of_other_channels_are_refused(arch, made, given, said):
    net = create_spec_net(arch, made, 2, (32, 32)).eval()
    assert net(torch.rand(2, made, 32, 32)).shape == net(torch.rand(2, 4, made, 32, 32)).shape == (2, 2)
    for x in (torch.rand(2, given, 32, 32), torch.rand(2, 4, given, 32, 32)):
        with pytest.raises(
            ValueError,
            match=f"^{said}; draw them with the renderer that it was trained with, or make a network for them$",
        ):
            net(x)


def test_options_of_heads_and_nets_without_a_learner():
    with pytest.raises(ValueError, match="^ps: heads are for timm's"):
        create_spec_net("mini_resnet", 1, 2, (32, 32), ps=0.2)
    with pytest.raises(ValueError, match="is timm's"):
        create_spec_net("test_resnet", 1, 2, (32, 32), net={"attention": "soft"})
    with pytest.raises(ValueError, match="3 channels|in_chans|cannot take"):
        create_spec_net("mini_resnet", 3, 2, (8, 8))


def test_weights_are_asked_for_before_anything_is_drawn():
    check_weights("mini_resnet"), check_weights("mini_resnet", "if-available")
    with pytest.raises(ValueError, match="x.pth: no such file or folder"):
        check_weights("mini_resnet", True, "x.pth")
    with pytest.raises(ValueError, match="unknown arch"):
        check_weights("resnet43")
    check_weights("test_resnet", False)


def test_a_body_is_timms():
    with pytest.raises(
        ValueError,
        match="mini_resnet is a network of our own, which has no separate body; create_spec_net makes all of it",
    ):
        create_body("mini_resnet", 1, (32, 32))
