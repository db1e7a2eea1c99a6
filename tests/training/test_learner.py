"""The learner: shapes, statistics, groups and guards, on small plain PNGs."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from fastai.vision.all import (
    DataBlock,
    ImageBlock,
    ImageDataLoaders,
    IntToFloatTensor,
    Learner,
    MultiCategoryBlock,
    Normalize,
    PILImage,
    PILImageBW,
    RandTransform,
    Resize,
    TensorImage,
    accuracy,
    load_learner,
    set_seed,
)
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from specimg.models import weights
from specimg.models.networks import Normalise, create_body, create_spec_net, split_body, split_stages
from specimg.training import Recipe, learner
from specimg.training.learner import spec_learner

torch.set_num_threads(1)
HEIGHT, WIDTH = 48, 64
LABELS = ["tone", "click"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """48 grey pictures of two kinds: a bright row, a bright column, each at a random place."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for i in range(48):
        pixels = rng.integers(0, 60, (HEIGHT, WIDTH), dtype="uint8")
        band = pixels.T if i % 2 else pixels
        band[rng.integers(4, 40) :][:4] += 150
        Image.fromarray(pixels).save(folder / f"{LABELS[i % 2]}_{i}.png")
    return folder


@pytest.fixture(autouse=True)
def nothing_at_hand(tmp_path, monkeypatch):
    """No cache and no mounts but those a test makes; files are written to a folder of the test's own."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    monkeypatch.chdir(tmp_path)


def kind(path):
    return Path(path).name.split("_")[0]


def make_dls(pictures, bs=4, picture=PILImage, seed=0, **kwargs):
    files = sorted(pictures.glob("*.png"))
    options = dict(valid_pct=0.25, seed=seed, bs=bs, num_workers=0, img_cls=picture, device="cpu")
    return ImageDataLoaders.from_path_func(".", files, kind, **{**options, **kwargs})


def make_learner(dls, arch="test_resnet", **kwargs):
    return spec_learner(dls, arch, **{"pretrained": False, **kwargs})


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    """A file of weights for test_resnet."""
    torch.manual_seed(5)
    path = tmp_path_factory.mktemp("weights") / "test_resnet.safetensors"
    save_file(timm.create_model("test_resnet").state_dict(), path)
    return path


# ---------------------------------------------------------------- the network
@pytest.mark.parametrize(
    "arch, n, size",
    [
        ("test_resnet", 1, (HEIGHT, WIDTH)),
        ("test_resnet", 4, (33, 80)),
        ("test_vit", 2, (HEIGHT, WIDTH)),
        ("inception_next_atto", 1, (HEIGHT, WIDTH)),
        ("test_mambaout", 3, (HEIGHT, WIDTH)),
        ("resnet18", 1, (HEIGHT, WIDTH)),
        ("pit_ti_224", 1, (HEIGHT, WIDTH)),
    ],
)
def test_every_kind_of_network_gives_logits_and_features(arch, n, size):
    net = create_spec_net(arch, n, 5, size, ps=0.1).eval()
    x = torch.rand(2, n, *size)
    features = net.embed(x)
    assert net(x).shape == (2, 5) and features.shape == (2, 512)
    assert torch.allclose(net[1][-1](features), net(x), atol=1e-5)


def test_windows_are_averaged():
    torch.manual_seed(0)
    net = create_spec_net("test_resnet", 1, 3, (HEIGHT, WIDTH)).eval()
    x = torch.rand(2, 4, 1, HEIGHT, WIDTH)
    single = torch.stack([net(x[:, i]) for i in range(4)])
    assert torch.allclose(net(x), single.mean(0), atol=1e-5) and single.std(0).min() > 1e-5
    assert torch.allclose(net.embed(x), torch.stack([net.embed(x[:, i]) for i in range(4)]).mean(0), atol=1e-5)


def test_normalise_is_arithmetic_and_travels_with_the_weights():
    layer = Normalise([0.5, 0.25], [0.5, 0.125])
    x = torch.tensor([1.0, 0.5]).reshape(1, 2, 1, 1)
    assert layer(x).flatten().tolist() == [1.0, 2.0]
    assert list(layer.state_dict()) == ["mean", "std"] and not list(layer.parameters())


@pytest.mark.parametrize(
    "arch, n, size, told",
    [
        ("inception_v3", 3, (64, 200), r"inception_v3 .* pictures of 64 x 200 pixels.*75 or more.*`size="),
        ("test_vit", 1, (70, 96), r"multiples of 16 x 16, such as 64 x 96"),
        ("efficientformer_l1", 3, (64, 64), r"it accepts 224 x 224; set `size=`"),
    ],
)
def test_sizes_that_do_not_go_through_are_told(arch, n, size, told):
    with pytest.raises(ValueError, match=told):
        create_body(arch, n, size)


def test_inception_takes_75_pixels():
    body, features = create_body("inception_v3", 1, (75, 75))
    assert features == (2048, 1, 1) and body.training


@pytest.mark.parametrize(
    "arch, told",
    [
        ("resnet43", "unknown arch 'resnet43'; did you mean 'resnet34'"),
        ("resnet34.a9", "unknown pretrained tag of resnet34 'resnet34.a9'; did you mean 'resnet34.a3_in1k'"),
        (timm.create_model, "is not a string"),
    ],
)
def test_unknown_architectures(arch, told):
    with pytest.raises(ValueError, match=told):
        create_body(arch, 3, (64, 64))


# ---------------------------------------------------------------- normalisation
def statistics(learn):
    first = learn.model[0][0]
    return first.mean.flatten().tolist(), first.std.flatten().tolist()


@pytest.mark.parametrize(
    "arch, size, mean",
    [("test_resnet", 64, [0.5] * 3), ("resnet18", 64, [0.485, 0.456, 0.406]), ("inception_v3", 80, [0.5] * 3)],
)
def test_the_networks_own_statistics_also_from_scratch(pictures, arch, size, mean):
    learn = make_learner(make_dls(pictures, item_tfms=Resize(size)), arch)
    assert statistics(learn)[0] == pytest.approx(mean)


def test_one_channel_takes_the_average_statistics(pictures):
    learn = make_learner(make_dls(pictures, picture=PILImageBW), "resnet18")
    assert statistics(learn) == (pytest.approx([0.449]), pytest.approx([0.226]))
    assert learn.model(torch.rand(2, 1, HEIGHT, WIDTH)).shape == (2, 2)


def test_training_statistics_are_those_of_the_pixels(pictures):
    dls = make_dls(pictures, picture=PILImageBW)
    pixels = np.stack([np.asarray(Image.open(path)) for path in dls.train_ds.items]) / 255
    learn = make_learner(dls, stats="train")
    assert statistics(learn) == (pytest.approx([pixels.mean()], abs=1e-5), pytest.approx([pixels.std()], abs=1e-5))


class White(RandTransform):
    def encodes(self, x: TensorImage):
        return torch.ones_like(x)


def test_training_statistics_leave_augmentation_out(pictures):
    plain, white = make_dls(pictures), make_dls(pictures, batch_tfms=White(p=1.0))
    assert white.train.one_batch()[0].std() == 0
    assert statistics(make_learner(white, stats="train")) == statistics(make_learner(plain, stats="train"))


@pytest.mark.parametrize(
    "stats, expected",
    [
        ((0.1, 0.2), ([0.1] * 3, [0.2] * 3)),
        (([0.1, 0.2, 0.3], 0.5), ([0.1, 0.2, 0.3], [0.5] * 3)),
        (np.array([[0.1], [0.2]]), ([0.1] * 3, [0.2] * 3)),
    ],
)
def test_numbers_as_statistics(pictures, stats, expected):
    mean, std = statistics(make_learner(make_dls(pictures), stats=stats))
    assert (mean, std) == (pytest.approx(expected[0]), pytest.approx(expected[1]))


@pytest.mark.parametrize(
    "stats, told",
    [
        ("imagenet", "unknown stats 'imagenet'"),
        ((0.5, 0.0), "std above 0"),
        (([0.1, 0.2], 1), "for 3 channels"),
        ((0.5, float("nan")), "give finite numbers"),
        (3, "unknown stats 3"),
        ((1, 2, 3), "unknown stats"),
    ],
)
def test_statistics_that_make_no_sense(pictures, stats, told):
    with pytest.raises(ValueError, match=told):
        make_learner(make_dls(pictures), stats=stats)


def test_two_learners_on_one_dls_leave_each_other_alone(pictures):
    dls = make_dls(pictures)
    before = [type(t).__name__ for t in dls.after_batch.fs]
    first = make_learner(dls, stats=(0.1, 0.2))
    second = make_learner(dls)
    assert statistics(first)[0] == pytest.approx([0.1] * 3) and statistics(second)[0] == pytest.approx([0.5] * 3)
    assert [type(t).__name__ for t in dls.after_batch.fs] == before == [IntToFloatTensor.__name__]


def test_normalising_twice_is_refused(pictures):
    dls = make_dls(pictures, batch_tfms=Normalize.from_stats([0.5] * 3, [0.5] * 3))
    with pytest.raises(ValueError, match="normalised twice"):
        make_learner(dls)


# ---------------------------------------------------------------- groups
@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "test_convnext", "inception_v3", "densenet121"])
def test_stages_make_three_groups_with_every_parameter_once(arch):
    net = create_spec_net(arch, 3, 4, (96, 96))
    groups = split_stages(net)
    ids = [id(p) for group in groups for p in group]
    assert len(groups) == 3 and sorted(ids) == sorted(id(p) for p in net.parameters())
    assert [id(p) for p in groups[2]] == [id(p) for p in net[1].parameters()]
    assert next(net[0][1].parameters()) is groups[0][0]


def test_resnet_is_cut_where_fastai_cuts_it():
    net = create_spec_net("resnet18", 3, 2, (64, 64))
    later = {id(p) for p in split_stages(net)[1]}
    assert later == {id(p) for layer in (net[0][1].layer3, net[0][1].layer4) for p in layer.parameters()}


def test_freezing_leaves_head_and_batch_normalisation(pictures):
    learn = make_learner(make_dls(pictures))
    learn.freeze()
    norms = {id(p) for m in learn.model[0].modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    for p in learn.model[0].parameters():
        assert p.requires_grad == (id(p) in norms)
    assert all(p.requires_grad for p in learn.model[1].parameters())
    learn.unfreeze()
    assert all(p.requires_grad for p in learn.model.parameters())


def first_layer_only(model):
    return [list(model[0][1].conv1.parameters())]


def test_split_is_chosen_and_checked(pictures):
    dls = make_dls(pictures)
    learn = make_learner(dls, split="body")
    learn.create_opt()
    assert learn.splitter is split_body and len(learn.opt.param_lists) == 2
    with pytest.raises(ValueError, match="unknown split 'halves'"):
        make_learner(dls, split="halves")
    with pytest.raises(ValueError, match="parameters in no group or in several"):
        make_learner(dls, split=first_layer_only)
    with pytest.warns(UserWarning, match="timm defines no stages of PoolingVisionTransformer"):
        assert make_learner(dls, "pit_ti_224").splitter is split_body


# ---------------------------------------------------------------- training
def test_lr_find_fit_export_and_load(pictures, tmp_path):
    learn = make_learner(make_dls(pictures), seed=1)
    with learn.no_bar(), learn.no_logging():
        found = learn.lr_find(num_it=10, show_plot=False)
        learn.fit_one_cycle(1, 1e-2)
    assert found.valley > 0 and np.isfinite(learn.recorder.values[0]).all()
    learn.export("learner.pkl")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = load_learner(tmp_path / "learner.pkl")
    picture = next(pictures.glob("*.png"))
    with learn.no_bar(), again.no_bar():
        assert torch.equal(learn.predict(picture)[2], again.predict(picture)[2])
    assert (again.arch, again.pretrained) == ("test_resnet", False) and again.weights_from == "test_resnet from scratch"
    same = create_spec_net(**learn.net_options)
    same.load_state_dict(learn.model.state_dict())
    assert statistics(learn)[0] == same[0][0].mean.flatten().tolist()


def test_it_learns(pictures):
    set_seed(1)  # for the order of the batches, which the loaders draw when they are made
    learn = make_learner(make_dls(pictures, bs=8), seed=1)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(12, 1e-2)
    assert learn.recorder.values[-1][2] == 1.0


def test_seeds_repeat_the_weights(pictures):
    dls = make_dls(pictures)
    one, same, other = [make_learner(dls, seed=seed).model.state_dict() for seed in (3, 3, 4)]
    assert all(torch.equal(one[name], same[name]) for name in one)
    for part in ("0.1.conv1.0.weight", "1.8.weight"):
        assert not torch.equal(one[part], other[part])


def test_pretrained_weights_start_frozen_and_are_told(pictures, donor):
    learn = make_learner(make_dls(pictures, picture=PILImageBW), pretrained=True, weights=donor)
    source = weights.read_weights(donor)["conv1.0.weight"]
    assert torch.allclose(learn.model[0][1].conv1[0].weight, source.sum(1, keepdim=True))
    assert not learn.model[0][1].conv1[0].weight.requires_grad and learn.model[1][-1].weight.requires_grad
    assert learn.pretrained and learn.weights_from == f"test_resnet from {donor} (file): 90 of 90 tensors match"


def test_dropout_follows_the_weights_unless_it_is_given(pictures, donor):
    dls = make_dls(pictures)

    def dropouts(**kwargs):
        return [m.p for m in make_learner(dls, **kwargs).model[1].modules() if isinstance(m, nn.Dropout)]

    assert dropouts() == [0.1, 0.2] and dropouts(pretrained=True, weights=donor) == [0.25, 0.5]
    assert dropouts(ps=0.4) == [0.2, 0.4] and dropouts(ps=0.3, lin_ftrs=[]) == [0.3]


def test_a_saved_learner_is_a_file_of_weights(pictures):
    dls = make_dls(pictures)
    first = make_learner(dls, seed=1)
    with first.no_bar(), first.no_logging():
        first.fit_one_cycle(1)
    path = first.save("first", with_opt=False)
    second = make_learner(dls, pretrained=True, weights=path, seed=2)
    assert torch.equal(second.model[0][1].conv1[0].weight, first.model[0][1].conv1[0].weight)
    assert not torch.equal(second.model[1][-1].weight, first.model[1][-1].weight)
    with pytest.raises(ValueError, match="optimiser.pth: .* `learn.save` with_opt=False"):
        make_learner(dls, pretrained=True, weights=first.save("with-optimiser"))


def test_no_weights_at_hand(pictures):
    dls = make_dls(pictures)
    with pytest.raises(ValueError, match="no pretrained weights for test_resnet.*HF_HUB_OFFLINE is set.*Options"):
        spec_learner(dls, "test_resnet")
    with pytest.warns(UserWarning, match="training from scratch"):
        learn = spec_learner(dls, "test_resnet", pretrained="if-available")
    assert all(p.requires_grad for p in learn.model.parameters())


# ---------------------------------------------------------------- guards
@pytest.mark.parametrize(
    "bs, kwargs, told",
    [(64, {}, "36 training items do not fill one batch of bs=64"), (1, {}, "bs=1: batch normalisation")],
)
def test_loaders_that_train_on_nothing(pictures, bs, kwargs, told):
    with pytest.raises(ValueError, match=told):
        make_learner(make_dls(pictures, bs=bs, **kwargs))


@pytest.mark.parametrize(
    "n, bs, drop_last, told",
    [
        (0, 4, True, "empty"),
        (5, 1, False, "bs=1"),
        (3, 4, True, "do not fill"),
        (9, 4, False, "one alone"),
        (9, 4, True, None),
        (4, 4, True, None),
        (3, 4, False, None),
        (10, 4, False, None),
    ],
)
def test_check_batches(n, bs, drop_last, told):
    if told is None:
        assert learner._check_batches(n, bs, drop_last) is None
    else:
        with pytest.raises(ValueError, match=told):
            learner._check_batches(n, bs, drop_last)


def test_the_attributes_of_our_own_loaders_come_first(pictures):
    dls = make_dls(pictures)
    assert learner._read_data(dls) == learner._Data(3, (HEIGHT, WIDTH), 2, False)
    dls.n_channels, dls.size, dls.is_multi = 2, [16, 32], False
    assert learner._read_data(dls) == learner._Data(2, (16, 32), 2, False)


# ---------------------------------------------------------------- metrics, loss and folders
def both_kinds(path):
    return [kind(path), "any"]


def test_several_labels_an_item(pictures):
    block = DataBlock((ImageBlock(PILImageBW), MultiCategoryBlock()), get_y=both_kinds)
    learn = make_learner(block.dataloaders(sorted(pictures.glob("*.png")), bs=4, num_workers=0, device="cpu"))
    with learn.no_bar(), learn.no_logging():
        learn.fit(1)
    assert [m.name for m in learn.metrics] == ["accuracy_multi"] and learn.model[1][-1].out_features == 3


def test_metrics_default_given_and_named(pictures):
    dls = make_dls(pictures)
    assert [m.name for m in make_learner(dls).metrics] == ["accuracy", "error_rate"]
    assert [m.name for m in make_learner(dls, metrics=accuracy).metrics] == ["accuracy"]
    assert [m.name for m in make_learner(dls, metrics=["map@3", accuracy]).metrics] == ["map@3", "accuracy"]
    assert [m.name for m in make_learner(dls, metrics="error_rate").metrics] == ["error_rate"]


def test_arguments_of_the_learner_pass_through(pictures, tmp_path):
    loss = nn.CrossEntropyLoss()
    learn = make_learner(make_dls(pictures), wd=0.3, loss_func=loss, path=tmp_path / "there", model_dir="here")
    assert isinstance(learn, Learner) and learn.wd == 0.3 and learn.loss_func is loss
    assert (learn.path, learn.model_dir) == (tmp_path / "there", "here")
    with pytest.raises(TypeError):
        make_learner(make_dls(pictures), no_such_argument=1)


def test_a_folder_that_cannot_be_written_is_left_alone(pictures, tmp_path, monkeypatch):
    assert learner._writable(tmp_path / "new" / "one") == tmp_path / "new" / "one"
    monkeypatch.setattr(learner.os, "access", lambda path, mode: False)
    assert make_learner(make_dls(pictures)).path == Path.cwd() == tmp_path


def test_patches_have_to_cover_the_picture(pictures):
    from specimg.models.networks import create_body

    with pytest.raises(ValueError, match="multiples of 16 x 16, such as 64 x 64"):
        create_body("vit_tiny_patch16_224", 1, (60, 60))
    assert create_body("vit_tiny_patch16_224", 1, (48, 64))[1]


def test_fine_tune_takes_the_values_of_a_recipe_where_none_are_given(pictures, monkeypatch):
    learn, given = make_learner(make_dls(pictures)), []
    monkeypatch.setattr(Learner, "fine_tune", lambda self, *args, **kwargs: given.append((args, kwargs)))
    learn.fine_tune(3)
    learn.pretrained = True
    learn.fine_tune(3, freeze_epochs=2, wd=0.1)
    learn.fine_tune(3, 1e-3, lr_mult=100)
    lr_mult = Recipe().lr_mult
    assert given == [
        ((3, 3e-3, 1, lr_mult, 0.3, 5.0), {}),
        ((3, 1e-2, 2, lr_mult, 0.3, 5.0), {"wd": 0.1}),
        ((3, 1e-3, 1, 100, 0.3, 5.0), {}),
    ]
