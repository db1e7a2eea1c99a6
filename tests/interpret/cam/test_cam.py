"""Grad-CAM: maps that can be computed by hand, their way back to seconds and hertz, and as sound."""

import math
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import CrossEntropyLossFlat, DataLoaders, Learner
from PIL import Image
from torch import nn

from specimg.audio import Audio, read_audio
from specimg.data import PictureInput, SpecDataLoaders
from specimg.data.images import FitSize
from specimg.data.tta import TTA, fit_with_tta
from specimg.inference import Classifier
from specimg.interpret.cam import Cam, cam_audio, class_maps, clip_cam, clip_cams
from specimg.interpret.cam.map_layers import MapLayer, evaluating, find_map_layers
from specimg.models.nets import list_nets, net_facts
from specimg.models.networks import create_spec_net
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel, Mfcc, Stack, Stft
from specimg.spectrogram.picture import Picture, describe

SR = 8000
LOOK = Renderer(Mel(n_mels=32, n_fft=512, hop_length=128, top_db=40))


def burst(hz, at, seconds=1.0, sr=SR):
    """A tone of 0.15 s that begins at `at` in quiet noise."""
    t = np.arange(round(seconds * sr)) / sr
    shape = np.sin(np.pi * np.clip((t - at) / 0.15, 0, 1))
    return (0.3 * shape * np.sin(2 * np.pi * hz * t) + 0.003 * np.random.default_rng(0).standard_normal(len(t))).astype(
        "float32"
    )


class Linear(nn.Sequential):
    """One convolution, the mean over its map, one linear layer: whose Grad-CAM can be written down. Takes windows too."""

    def __init__(self, kernels, weights):
        conv, last = (
            nn.Conv2d(1, len(kernels), 3, padding=1, bias=False),
            nn.Linear(len(kernels), len(weights), bias=False),
        )
        conv.weight.data, last.weight.data = (
            torch.tensor(np.array(kernels)).float()[:, None],
            torch.tensor(weights).float(),
        )
        super().__init__(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)

    def forward(self, x):
        if x.ndim == 4:
            return super().forward(x)
        return super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


IDENTITY, EDGE = np.eye(3) * [0, 1, 0], np.array([[0, 0, 0], [-1, 0, 1], [0, 0, 0]])


def bright(fit, look=LOOK, vocab=("loud", "quiet"), is_multi=False):
    """A classifier whose map for "loud" is the picture itself, and for "quiet" is empty."""
    return Classifier(Linear([IDENTITY], [[1.0], [-1.0]][: len(vocab)]), PictureInput(look, fit), list(vocab), is_multi)


class Halves(nn.Module):
    """Two maps: the upper half of the picture, and the lower."""

    def forward(self, x):
        upper = torch.zeros_like(x)
        upper[:, :, : x.shape[2] // 2] = x[:, :, : x.shape[2] // 2]
        return torch.cat([upper, x - upper], 1)


def of_halves(look=LOOK, size=(32, 63)):
    """A classifier that predicts "high" for energy in the upper half, and "low" for the lower."""
    last = nn.Linear(2, 2, bias=False)
    last.weight.data = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    return Classifier(
        nn.Sequential(Halves(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last),
        PictureInput(look, FitSize(size)),
        ["high", "low"],
        False,
    )


# ---------------------------------------------------------------- on tensors


def by_hand(model, x, target):
    """ReLU of the maps' sum under the last layer's weights, divided by its largest number: Zhou's CAM, which Grad-CAM equals here."""
    maps = model[0](x)
    cam = (maps * model[3].weight[target][:, None, None]).sum(1).relu()
    return (cam / cam.flatten(1).amax(1)[:, None, None]).detach()


@pytest.mark.parametrize("method", ["gradcam", "hirescam"])
@pytest.mark.parametrize("target", [0, 1])
def test_one_convolution_and_a_mean_can_be_computed_by_hand(target, method):
    model, x = Linear([IDENTITY, EDGE], [[1.0, -2.0], [-0.5, 3.0]]), torch.rand(3, 1, 6, 9)
    maps = class_maps(model, x, target, method=method)
    assert maps.shape == (3, 6, 9) and maps.dtype == torch.float32
    torch.testing.assert_close(maps, by_hand(model, x, target))
    assert maps.flatten(1).amax(1).tolist() == [1.0, 1.0, 1.0] and maps.min() == 0


def test_each_clip_has_its_own_target_and_none_is_the_most_probable():
    model, x = Linear([IDENTITY, EDGE], [[1.0, -2.0], [-0.5, 3.0]]), torch.rand(2, 1, 6, 9)
    both = class_maps(model, x, [1, 0])
    torch.testing.assert_close(both, torch.cat([by_hand(model, x[:1], 1), by_hand(model, x[1:], 0)]))
    best = int(model(x[:1]).argmax())
    torch.testing.assert_close(class_maps(model, x[:1], None), by_hand(model, x[:1], best))


def test_cells_under_their_own_gradient_know_the_place_that_a_dense_layer_looks_at():
    dense = nn.Linear(8, 2, bias=False)
    dense.weight.data = torch.tensor([[1.0, 1, 1, 1, -1, -1, -1, -1], [-1.0, -1, -1, -1, 1, 1, 1, 1]])
    conv = nn.Conv2d(1, 1, 1, bias=False)
    conv.weight.data[:] = 1
    model = nn.Sequential(conv, nn.Flatten(), dense)  # rows 0 and 1 speak for class 0, rows 2 and 3 against it
    x = torch.ones(1, 1, 4, 2)
    assert class_maps(model, x, 0).eq(0).all()  # the mean gradient is 0
    assert class_maps(model, x, 0, method="hirescam")[0].tolist() == [[1, 1], [1, 1], [0, 0], [0, 0]]


def test_nothing_that_speaks_for_a_class_is_an_empty_map():
    assert class_maps(Linear([IDENTITY], [[1.0], [-1.0]]), torch.rand(1, 1, 5, 5), 1).eq(0).all()


def test_windows_of_a_clip_share_one_strongest_place():
    model, x = Linear([IDENTITY], [[1.0], [-1.0]]), torch.rand(2, 3, 1, 5, 7)
    maps = class_maps(model, x, 0)
    assert maps.shape == (2, 3, 5, 7)
    torch.testing.assert_close(maps, x[:, :, 0] / x.flatten(1).amax(1)[:, None, None, None])


def test_few_cells_are_spread_evenly_over_the_picture():
    model = nn.Sequential(
        nn.Conv2d(1, 1, 4, stride=4, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 1, bias=False)
    )
    for parameter in model.parameters():
        parameter.data[:] = 1
    x = torch.zeros(1, 1, 8, 16)
    x[..., 4:, 8:12] = 1  # one cell of 2 x 4
    maps = class_maps(model, x, 0)
    assert np.average(np.arange(16), weights=maps[0].sum(0)) == pytest.approx(9.5)
    assert maps[0].sum(1).argmax() >= 4 and maps[0, :2].eq(0).all()


def state(model):
    return (
        [(p.requires_grad, p.grad) for p in model.parameters()],
        [m.training for m in model.modules()],
        [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in model.modules()],
        [b.clone() for b in model.buffers()],
    )


@pytest.mark.parametrize("around", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_a_frozen_network_in_training_is_left_as_it_was(around):
    model = create_spec_net("test_resnet", 1, 3, (64, 96))
    model.train()
    for parameter in model[0].parameters():
        parameter.requires_grad_(False)
    model[0][1].layer2.eval()
    calls = []
    handle = model[0].register_forward_hook(lambda *args: calls.append(1))
    before, grad_mode = state(model), torch.is_grad_enabled()
    with around():
        maps = class_maps(model, torch.rand(2, 1, 64, 96), None)
    after = state(model)
    handle.remove()
    assert maps.shape == (2, 64, 96) and not maps.requires_grad and torch.is_grad_enabled() == grad_mode
    assert before[:3] == after[:3] and all(torch.equal(a, b) for a, b in zip(before[3], after[3])) and calls


def test_a_failing_network_is_left_as_it_was_too():
    model = create_spec_net("test_resnet", 1, 3, (64, 96)).train()
    before = state(model)
    with pytest.raises((RuntimeError, ValueError), match="channels"):
        class_maps(model, torch.rand(2, 2, 64, 96), 0)
    assert before[:3] == state(model)[:3]


@pytest.mark.parametrize(
    "x, targets, message",
    [
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), 0, "uint8 of the shape"),
        (torch.zeros(1, 8, 8), 0, "give a batch as the network takes it"),
        (torch.zeros(2, 1, 8, 8), 2, "class number from 0 to 1"),
        (torch.zeros(2, 1, 8, 8), [0, 1, 0], "or 2 of them"),
        (torch.zeros(2, 1, 8, 8), torch.tensor([0.0, 1.0]), "class number"),
    ],
)
def test_what_is_no_batch_or_no_class_is_refused(x, targets, message):
    with pytest.raises(ValueError, match=message):
        class_maps(Linear([IDENTITY], [[1.0], [-1.0]]), x, targets)


def test_unknown_methods_and_answers_that_are_no_logits_are_refused():
    with pytest.raises(ValueError, match="unknown method 'scorecam'"):
        class_maps(Linear([IDENTITY], [[1.0]]), torch.rand(1, 1, 8, 8), 0, method="scorecam")
    with pytest.raises(ValueError, match="needs logits"):
        class_maps(nn.Sequential(nn.Conv2d(1, 2, 3)), torch.rand(1, 1, 8, 8), 0)


# ---------------------------------------------------------------- which layer


def layers_of(model, x, layer=None):
    with evaluating(model):
        return find_map_layers(model, x, layer)


TIMM = {  # arch: size, map, the layer that is found
    "resnet18": ((64, 96), (2, 3), "0"),
    "resnet34": ((32, 32), (2, 2), "0.1.layer3"),  # the last map would be one cell
    "inception_v3": ((96, 160), (4, 8), "0.1.Mixed_6e"),  # the last one row; a branch of a block is not all of it
    "test_convnext": ((64, 96), (2, 3), "0"),
    "test_efficientnet": ((64, 96), (2, 3), "0"),
    "swin_tiny_patch4_window7_224": ((64, 96), (2, 3), "0"),  # channels last inside
    "test_vit": (
        (64, 96),
        (4, 6),
        "0.1.blocks.4",
    ),  # a class token is read off: the last block's patches change nothing
    "test_vit2": ((64, 96), (4, 6), "0.1.norm"),  # the mean of the patches is read off
}


@pytest.mark.parametrize("arch", TIMM)
def test_networks_of_timm(arch):
    size, sides, name = TIMM[arch]
    model, x = create_spec_net(arch, 1, 3, size), torch.rand(1, 1, *size)
    (found,) = layers_of(model, x)
    assert found.name == name
    given = {}
    handle = found.module.register_forward_hook(lambda module, args, out: given.update(out=out))
    maps = class_maps(model, x, 1, layer=name)
    handle.remove()
    assert found.read(given["out"]).shape[2:] == sides
    assert maps.shape == (1, *size) and maps.isfinite().all() and 0 <= maps.min() <= maps.max() <= 1


SMALLER = {
    "resnet_lstm": ((64, 96), {"backbone": "resnet18"}),
    "subspectral_net": ((128, 64), {"bands": 3}),
    "soundnet_cnn": ((1, 40_000), {}),
    "soundnet_lstm": ((1, 40_000), {}),
}
WITHOUT = {
    "feature_mlp": "has no layer with maps",
    "lstm": "has no layer with maps",
    "recurrent": "has no layer with maps",
    "feature_cnn": "averages over time",
    "soundnet_cnn": "has no layer with maps",
    "soundnet_lstm": "has no layer with maps",
}


@pytest.mark.parametrize("arch", list_nets())
def test_networks_of_our_own(arch):
    torch.manual_seed(0)  # of twenty random networks, one has a map without anything above 0
    facts = net_facts(arch)
    size, options = SMALLER.get(arch, (facts.size, {}))
    model, x = create_spec_net(arch, facts.in_chans, 3, size, net=options), torch.rand(2, facts.in_chans, *size)
    if arch in WITHOUT:
        with pytest.raises(ValueError, match=WITHOUT[arch]):
            class_maps(model, x, 0)
        return
    maps = class_maps(model, x, None, method="hirescam")
    assert maps.shape == (2, *size) and maps.flatten(1).amax(1).tolist() == pytest.approx([1, 1])


def test_each_band_of_a_subspectral_net_shows_its_own_rows():
    model, x = create_spec_net("subspectral_net", 1, 3, (128, 64), net={"bands": 3}), torch.rand(1, 1, 128, 64)
    found = layers_of(model, x)
    assert [layer.rows for layer in found] == [(0.5, 1.0), (0.25, 0.75), (0.0, 0.5)]
    for parameter in model[1].bands[:2].parameters():  # the two lower bands are deaf
        parameter.data.zero_()
    maps = class_maps(model, x, 0, method="hirescam")
    assert maps[0, :64].max() == 1 and maps[0, 64:].eq(0).all()


def test_tokens_are_laid_out_on_their_grid_behind_the_class_token():
    tokens = torch.tensor([[[-1.0]] + [[float(i)] for i in range(6)]])
    assert MapLayer(nn.Identity(), "norm", grid=(2, 3)).read(tokens).tolist() == [[[[0, 1, 2], [3, 4, 5]]]]


def test_a_layer_by_name():
    torch.manual_seed(0)
    model, x = create_spec_net("test_resnet", 1, 3, (64, 96)), torch.rand(1, 1, 64, 96)
    assert layers_of(model, x, "layer2")[0].name == "0.1.layer2"
    earlier, last = (class_maps(model, x, 0, layer=name, method="hirescam") for name in ("layer2", None))
    assert earlier.shape == (1, 64, 96) and earlier.max() == last.max() == 1 and (earlier - last).abs().max() > 0.1
    with pytest.raises(ValueError, match="unknown layer 'layer9'"):
        class_maps(model, x, 0, layer="layer9")
    with pytest.raises(ValueError, match="'1.8' returns 3 numbers for a picture; name one that gives maps"):
        class_maps(model, x, 0, layer="1.8")


def test_a_layer_by_name_of_networks_that_compute_channels_last_or_tokens():
    swin, x = create_spec_net("swin_tiny_patch4_window7_224", 1, 3, (64, 64)), torch.rand(1, 1, 64, 64)
    (found,) = layers_of(swin, x, "layers.0")
    assert found.channels_last and class_maps(swin, x, 0, layer="layers.0").shape == (1, 64, 64)
    vit = create_spec_net("test_vit", 1, 3, (64, 96))
    assert layers_of(vit, torch.rand(1, 1, 64, 96), "blocks.2")[0].grid == (4, 6)


class Aside(nn.Module):
    """A network that also draws something, which does not matter for the answer."""

    def __init__(self):
        super().__init__()
        self.maps, self.drawing, self.last = nn.Conv2d(1, 2, 3), nn.Conv2d(2, 1, 3), nn.Linear(2, 2)

    def forward(self, x):
        maps = self.maps(x)
        self.drawn = self.drawing(maps)
        return self.last(maps.mean((2, 3)))


def test_a_layer_that_does_not_lead_to_the_answer_is_not_looked_into():
    assert layers_of(Aside(), torch.rand(1, 1, 9, 9))[0].name == "maps"
    with pytest.raises(ValueError, match="does not depend on 'drawing'"):
        class_maps(Aside(), torch.rand(1, 1, 9, 9), 0, layer="drawing")


def test_a_picture_that_shrinks_to_one_cell_is_refused():
    model = nn.Sequential(nn.Conv2d(1, 2, 8), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="8 x 8 pixels passes; use larger pictures"):
        class_maps(model, torch.rand(1, 1, 8, 8), 0)


# ---------------------------------------------------------------- clips


def test_a_cam_is_where_the_sound_is():
    cam = clip_cam(bright(FitSize((32, 40))), (burst(2000, 0.6), SR))
    seconds, hertz = cam.peak
    assert (cam.label, cam.name) == ("loud", "samples 0") and cam.probability > 0.5
    assert cam.values.shape == (cam.info.height, cam.info.width) == (32, 63) and cam.values.dtype == np.float32
    assert seconds == pytest.approx(0.675, abs=0.05) and hertz == pytest.approx(2000, rel=0.1)
    np.testing.assert_array_equal(cam.times, cam.info.times)


AT = 1.4  # s: the middle of the tone
FITS = {
    "squish": FitSize((32, 50)),
    "padded": FitSize((32, 80), "pad", seconds=3.5),
    "cropped": FitSize((32, 50), "crop", seconds=0.8, windows=4),
    "one window": FitSize((16, 64), "crop", seconds=2.5, windows=1),  # longer than the clip
    "shifted": fit_with_tta(FitSize((32, 50)), TTA(shifts=(-0.2, 0.0, 0.2), lengths=(0.8, 1.0))),
}


@pytest.mark.parametrize("fit", FITS.values(), ids=FITS)
def test_however_the_picture_is_fitted_the_peak_is_at_the_same_second(fit):
    cam = clip_cam(bright(fit), (burst(1000, AT - 0.075, seconds=2.0), SR), "loud")
    seconds, hertz = cam.peak
    assert cam.values.shape == (32, 126) and cam.values.max() <= 1
    assert seconds == pytest.approx(AT, abs=0.06) and hertz == pytest.approx(1000, rel=0.15)


def test_what_no_window_shows_is_zero():
    twice = burst(1000, 0.3, seconds=2.0) + burst(1000, AT, seconds=2.0)
    cam = clip_cam(bright(FitSize((32, 50), "pad", seconds=1.0)), (twice, SR), "loud")
    assert cam.peak[0] == pytest.approx(0.375, abs=0.05)
    assert cam.values[:, cam.times > 1.02].max() == 0 < cam.values[:, cam.times < 0.98].max()


def test_windows_that_overlap_are_averaged():
    look = Renderer(Stft(n_fft=64, hop_length=80, top_db=40))
    cam = clip_cam(
        bright(FitSize((8, 40), "crop", seconds=0.6, windows=3), look), (np.full(SR, 0.1, "float32"), SR), "loud"
    )
    assert cam.values.shape == (33, 101)
    inner = cam.values[-1, 5:-5]  # the lowest row holds the constant
    assert inner.min() == pytest.approx(
        inner.max(), rel=0.02
    )  # columns in one, two and three windows are as strong as each other


def test_a_picture_of_a_tree_and_its_recording_have_the_same_map(tmp_path, write_wav):
    from specimg.render.tree import render_tree

    path = write_wav(tmp_path / "in" / "a.wav", burst(1000, 0.3), SR)
    tree = render_tree(tmp_path / "in", LOOK, cache=tmp_path / "cache", progress=False)
    classifier = bright(FitSize((32, 50)))
    drawn, stored = clip_cam(classifier, path), clip_cam(classifier, tree.picture("a.wav"))
    np.testing.assert_array_equal(drawn.values, stored.values)
    assert stored.info == describe(tree.picture("a.wav")) and drawn.name == str(path)


def test_one_class_several_labels_and_an_unknown_one():
    sound = (burst(1000, 0.3), SR)
    alone = clip_cam(bright(FitSize((32, 50)), vocab=["loud"]), sound)
    assert (alone.label, alone.probability) == ("loud", 1.0) and alone.values.max() == 1
    multi = bright(FitSize((32, 50)), is_multi=True)
    both = {label: clip_cam(multi, sound, label) for label in ("loud", "quiet")}
    assert both["loud"].probability + both["quiet"].probability == pytest.approx(
        1
    )  # the sigmoids of one number and its negative
    assert both["loud"].values.any() and not both["quiet"].values.any() and both["quiet"].peak is None
    with pytest.raises(ValueError, match="unknown label 'lout'; did you mean 'loud'"):
        clip_cam(multi, sound, "lout")


def test_pictures_of_other_kinds(tmp_path):
    sound = (burst(1000, 0.3), SR)
    coefficients = clip_cam(
        bright(FitSize((20, 50)), Renderer(Mfcc(n_mfcc=20, n_fft=512, hop_length=128))), sound, "loud"
    )
    assert coefficients.frequencies is None and coefficients.peak[1] is None
    conv = nn.Conv2d(2, 1, 1)
    two = Classifier(
        nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 2)),
        PictureInput(Renderer(Stack(LOOK.representation, LOOK.representation)), FitSize((32, 63), blank=(0, 0))),
        ["a", "b"],
        False,
    )
    cam = clip_cam(two, sound)
    assert cam.values.shape == (32, 63) and cam.pixels.shape == (2, 32, 63)
    assert cam.plot().axes[0].images[-1].get_array().shape == (64, 63)  # one below the other, as the picture
    file = tmp_path / "other.png"
    Image.new("L", (20, 20)).save(file)
    with pytest.raises(ValueError, match="other.png' was not drawn by specimg"):
        clip_cam(bright(FitSize((32, 50))), file)


def test_a_diverged_network_has_no_map():
    classifier = bright(FitSize((32, 50)))
    classifier.model[3].weight.data[:] = math.nan
    assert class_maps(classifier.model, torch.rand(1, 1, 5, 5), 0).isnan().all()
    with pytest.raises(ValueError, match="samples 0: the network returns NaN or infinity: it diverged"):
        clip_cam(classifier, (burst(1000, 0.3), SR))
    with pytest.warns(UserWarning, match="1 clip of 1 without a class map: samples 0: the network returns NaN"):
        assert list(clip_cams(classifier, [(burst(1000, 0.3), SR)])) == [None]


def test_who_looks_at_no_fitted_pictures_is_refused():
    dls = DataLoaders.from_dsets([(torch.rand(1, 8, 8), 0)] * 4, [(torch.rand(1, 8, 8), 0)] * 4, bs=2)
    learn = Learner(dls, Linear([IDENTITY], [[1.0]]), loss_func=CrossEntropyLossFlat())
    with pytest.raises(ValueError, match="are not brought to one size by a FitSize"):
        clip_cam(learn, (burst(1000, 0.3), SR))


def test_many_clips_keep_their_order_and_bad_files_cost_a_warning(tmp_path, write_wav):
    classifier = bright(FitSize((32, 50)))
    files = [write_wav(tmp_path / f"{i}.wav", burst(600 + 500 * i, 0.1 + 0.2 * i), SR) for i in range(4)]
    (tmp_path / "bad.wav").write_bytes(b"RIFF no sound")
    sources = [files[0], tmp_path / "bad.wav", files[1], tmp_path / "gone.png", files[2], files[3]]
    with pytest.warns(
        UserWarning, match=r"2 clips of 6 without a class map: \S+bad.wav: .*; \S+gone.png: No such file"
    ) as caught:
        cams = list(clip_cams(classifier, sources, labels=["loud", None, "quiet", None, None, "loud"], bs=2))
    assert len(caught) == 1 and caught[0].filename == __file__
    assert [cam and cam.label for cam in cams] == ["loud", None, "quiet", None, "loud", "loud"]
    for i, cam in [(0, cams[0]), (2, cams[4]), (3, cams[5])]:
        np.testing.assert_allclose(cam.values, clip_cam(classifier, files[i], "loud").values, atol=1e-6)
        assert cam.peak[0] == pytest.approx(0.175 + 0.2 * i, abs=0.05)


def test_what_clip_cams_is_asked_for_is_checked_at_once():
    classifier = bright(FitSize((32, 50)))
    for arguments, message in [
        (dict(labels=["loud"]), "1 label for 2 clips"),
        (dict(labels="lout"), "unknown label"),
        (dict(bs=0), "bs=0"),
        (dict(method="cam"), "unknown method"),
    ]:
        with pytest.raises(ValueError, match=message):
            clip_cams(classifier, ["a.wav", "b.wav"], **arguments)
    assert list(clip_cams(classifier, [])) == []


def test_a_picture_of_another_tree_is_a_bad_file(tmp_path):
    twice = Renderer(Stack(LOOK.representation, LOOK.representation))
    with pytest.warns(
        UserWarning,
        match=r"1 clip of 3 without a class map: \S+two.png: is \(2, 32, 50\) where the first is \(1, 32, 50\)",
    ):
        for name, look in [("one.png", LOOK), ("two.png", twice), ("three.png", LOOK)]:
            (tmp_path / name).write_bytes(look.png(burst(1000, 0.3), SR))
        cams = list(
            clip_cams(bright(FitSize((32, 50))), [tmp_path / name for name in ("one.png", "two.png", "three.png")])
        )
    assert [cam is None for cam in cams] == [False, True, False]


def by_pixels(values, look=LOOK):
    info = clip_cam(bright(FitSize((32, 50))), (burst(1000, 0.3), SR)).info
    return Cam(values.astype(np.float32), "<b>$x$", 0.5, info, np.zeros((1, 32, 63), np.uint8), "a.wav")


def test_a_small_grid():
    values = np.zeros((32, 63))
    values[:16, 21:42] = 1
    assert by_pixels(values).grid(2, 3).tolist() == [[0, 255, 0], [0, 0, 0]]
    assert by_pixels(values).grid().shape == (16, 32) and by_pixels(values).grid().dtype == np.uint8
    with pytest.raises(ValueError, match="a grid of 0 x 3"):
        by_pixels(values).grid(0, 3)


def test_a_plot_has_seconds_and_hertz_and_returns_its_figure():
    from specimg.core.figures import new_figure

    values = np.zeros((32, 63))
    values[8:12, 20:30] = 1
    ax = new_figure(4, 3).add_subplot()
    assert by_pixels(values).plot(ax) is ax.figure
    ax.figure.draw_without_rendering()
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("seconds", "Hz", "a.wav: <b>$x$ 0.50")
    picture, overlay = ax.images
    assert overlay.get_extent() == picture.get_extent()
    assert (overlay.get_alpha().min(), overlay.get_alpha().max()) == pytest.approx((0, 0.65))
    by_pixels(np.zeros((32, 63))).plot(title="empty").draw_without_rendering()


# ---------------------------------------------------------------- networks that learnt something


def looks_at(kind, folder, write_wav):
    """A learner that has learnt in a moment to tell tones apart by "hertz" or by "seconds", and its clips."""
    rng, rows = np.random.default_rng(1), []
    for i in range(40):
        late = i % 2
        at, hz = rng.uniform(0.05, 0.8), rng.uniform(2500, 3200) if late else rng.uniform(300, 600)
        if kind == "seconds":
            at, hz = rng.uniform(0.65, 0.8) if late else rng.uniform(0.05, 0.25), rng.uniform(500, 3000)
        write_wav(folder / f"{i}.wav", burst(hz, at), SR)
        rows.append((f"{i}.wav", "ab"[late], hz, at + 0.075))
    clips = pd.DataFrame(rows, columns=["path", "label", "hz", "at"])
    dls = SpecDataLoaders.from_df(
        clips[["path", "label"]],
        folder,
        renderer=LOOK,
        cache=folder / "cache",
        valid_pct=0.25,
        seed=0,
        bs=10,
        num_workers=0,
        progress=False,
    )
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(256, 2),
    )
    learn = Learner(dls, model, loss_func=CrossEntropyLossFlat())
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(10, 1e-2)
    return learn, clips


@pytest.mark.parametrize("kind", ["hertz", "seconds"])
def test_a_trained_network_looks_at_what_tells_its_classes_apart(kind, tmp_path, write_wav):
    learn, clips = looks_at(kind, tmp_path, write_wav)
    files = [tmp_path / name for name in clips.path]
    cams = list(clip_cams(learn, files, labels=list(clips.label), method="hirescam"))
    seconds, hertz = np.array([cam.peak for cam in cams]).T
    assert np.mean([cam.probability > 0.5 for cam in cams]) > 0.9  # it has learnt
    assert np.median(np.abs(seconds - clips["at"])) < 0.05 and np.median(np.abs(np.log2(hertz / clips.hz))) < 0.5
    own = clip_cam(learn, files[0], method="hirescam")
    tensor = learn.dls.test_dl([files[0]], num_workers=0).one_batch()[0]  # what the learner's own loader gives
    assert own.probability == pytest.approx(float(learn.model(tensor).detach().softmax(1).max()), abs=1e-5)
    y, sr = cam_audio(learn, files[0], method="hirescam")
    drawn, _ = read_audio(files[0])
    t = np.arange(len(y)) / sr
    beside = np.abs(t - clips["at"][0]) > 0.2
    assert (
        len(y) == len(drawn)
        and (y[beside] ** 2).sum() < 0.5 * (drawn[beside] ** 2).sum()
        and (y**2).sum() > 0.4 * (drawn**2).sum()
    )


# ---------------------------------------------------------------- made audible


def energy(y, sr, hz, around=150):
    power = np.abs(np.fft.rfft(y)) ** 2
    return power[np.abs(np.fft.rfftfreq(len(y), 1 / sr) - hz) < around].sum()


@pytest.fixture
def two_tones(tmp_path, write_wav):
    t = np.arange(SR) / SR
    return write_wav(
        tmp_path / "two.wav",
        (0.3 * np.sin(2 * np.pi * 500 * t) + 0.3 * np.sin(2 * np.pi * 2500 * t)).astype("float32"),
        SR,
    )


@pytest.mark.parametrize("label, kept, gone", [("high", 2500, 500), ("low", 500, 2500)])
def test_of_two_tones_the_one_looked_at_is_kept(two_tones, label, kept, gone):
    before, _ = read_audio(two_tones)
    y, sr = cam_audio(of_halves(), two_tones, label)
    rest, _ = cam_audio(of_halves(), two_tones, label, inverse=True)
    assert (sr, len(y), y.dtype) == (SR, SR, np.float32)
    assert energy(y, sr, kept) > 0.9 * energy(before, sr, kept) and energy(y, sr, gone) < 1e-3 * energy(
        before, sr, gone
    )
    assert energy(rest, sr, gone) > 0.9 * energy(before, sr, gone)
    np.testing.assert_allclose(y + rest, before, atol=1e-6)


def test_it_is_as_long_and_fast_as_what_was_drawn_and_a_part_of_a_file_is_one(two_tones):
    classifier = of_halves(Renderer(LOOK.representation, audio=Audio(sr=6000, duration=1.5)))
    y, sr = cam_audio(classifier, two_tones)
    assert (len(y), sr) == (9000, 6000)
    part, sr = cam_audio(of_halves(), two_tones, "low", start=0.2, end=0.7)
    whole, _ = read_audio(two_tones, start=0.2, end=0.7)
    assert len(part) == len(whole) == 4000 and energy(part, sr, 500) > 0.9 * energy(whole, sr, 500)


def test_a_sound_that_was_trimmed_is_heard_at_its_own_second(tmp_path, write_wav):
    file = write_wav(tmp_path / "a.wav", np.concatenate([np.zeros(SR, "float32"), burst(2500, 0.5)]), SR)
    y, sr = cam_audio(of_halves(Renderer(LOOK.representation, audio=Audio(trim_db=45))), file, "high")
    drawn, _ = read_audio(file, Audio(trim_db=45))
    assert len(y) == len(drawn) < 2 * SR
    assert np.argmax(np.convolve(y**2, np.ones(200))) == pytest.approx(
        np.argmax(np.convolve(drawn**2, np.ones(200))), abs=100
    )
    assert energy(y, sr, 2500) > 0.8 * energy(drawn, sr, 2500)


def test_where_rows_are_no_frequencies_only_the_seconds_are_known(tmp_path):
    look = Renderer(Mfcc(n_mfcc=20, n_fft=512, hop_length=128), Picture(low=-200, high=200))
    t = np.arange(SR) / SR
    samples = (0.3 * (np.sin(2 * np.pi * 500 * t) + np.sin(2 * np.pi * 2500 * t)) * (t > 0.5)).astype("float32")

    class Late(nn.Module):
        def forward(self, x):
            return (
                torch.cat([torch.zeros_like(x[..., : x.shape[3] // 2]), torch.ones_like(x[..., x.shape[3] // 2 :])], 3)
                + 0 * x
            )

    last = nn.Linear(1, 2, bias=False)
    last.weight.data = torch.tensor([[1.0], [-1.0]])
    model = nn.Sequential(Late(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    classifier = Classifier(model, PictureInput(look, FitSize((20, 63))), ["late", "early"], False)
    samples += 0.3 * np.sin(2 * np.pi * 1200 * t).astype("float32") * (t < 0.4)
    y, sr = cam_audio(classifier, (samples, SR), "late")
    assert energy(y, sr, 1200) < 0.01 * energy(samples, sr, 1200)
    assert energy(y, sr, 500) > 0.8 * energy(samples, sr, 500) and energy(y, sr, 2500) > 0.8 * energy(samples, sr, 2500)


def test_keep_says_how_much_is_heard(two_tones):
    little, much = (np.sum(cam_audio(of_halves(), two_tones, "low", keep=keep)[0] ** 2) for keep in (1.0, 0.2))
    assert little <= much
    for keep in (0, 1.5):
        with pytest.raises(ValueError, match=f"keep={keep}: give a map value"):
            cam_audio(of_halves(), two_tones, keep=keep)


def test_nothing_to_hear_is_said(two_tones):
    classifier = bright(FitSize((32, 50)))
    with pytest.warns(
        UserWarning, match="class map of two.wav is 0 everywhere: there is no evidence for 'quiet', and nothing is kept"
    ):
        y, _ = cam_audio(classifier, two_tones, "quiet")
    with pytest.warns(UserWarning, match="all of it is kept"):
        rest, _ = cam_audio(classifier, two_tones, "quiet", inverse=True)
    assert not y.any() and np.array_equal(rest, read_audio(two_tones)[0])


def test_clips_of_a_few_samples_do_not_end_it():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, _ = cam_audio(bright(FitSize((32, 50))), (burst(1000, 0.0)[:3], SR), "loud")
    assert y.shape == (3,) and np.isfinite(y).all()


def test_sources_without_sound_are_refused(tmp_path):
    classifier = of_halves()
    LOOK((burst(500, 0.3)), SR).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match="a.png' is a picture, which holds no sound"):
        cam_audio(classifier, tmp_path / "a.png")
    with pytest.raises(ValueError, match="start and end are seconds in a file"):
        cam_audio(classifier, (burst(500, 0.3), SR), start=0.2)
    with pytest.raises(ValueError, match="has no renderer"):
        cam_audio(SimpleNamespace(**{**vars(classifier), "renderer": None}), (burst(500, 0.3), SR))


@pytest.mark.parametrize("classifier", [3, "classifier/", None])
def test_what_has_no_network(classifier):
    with pytest.raises(
        ValueError, match=f"{type(classifier).__name__} has no network for Grad-CAM; give a learner, or load_classifier"
    ):
        clip_cam(classifier, "dog.wav")
