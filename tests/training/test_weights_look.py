"""Weights of sound: the pictures that belong to them are drawn as published, others are refused, kernels are turned."""

import numpy as np
import pytest
import soundfile as sf
import timm
import torch
from safetensors.torch import save_file

import specimg as sp
from specimg.training.learner import spec_learner
from specimg.training.weights_look import AudioPretrained, audio_pretrained, list_audio_pretrained, turn_kernels

torch.set_num_threads(1)
SR = 32000


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    for i in range(8):
        label = "ab"[i % 2]
        (folder / label).mkdir(exist_ok=True)
        y = 0.3 * np.sin(2 * np.pi * (500 + 2000 * (i % 2)) * np.arange(SR // 2) / SR) + 0.01 * rng.normal(size=SR // 2)
        sf.write(folder / label / f"{i}.wav", y.astype("float32"), SR)
    return folder


def loaders(clips, renderer, tmp_path, **kwargs):
    options = dict(cache=tmp_path / "cache", bs=2, num_workers=0, progress=False, device="cpu")
    return sp.SpecDataLoaders.from_folder(clips, renderer=renderer, **options, **kwargs)


# a small network, as others would have trained it: low frequencies in row 0
def small(**changes):
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=1024, hop_length=320), sp.Picture(low=-60, high=0), sp.Audio(sr=SR))
    return AudioPretrained("test_resnet", look, **{"mean": -30.0, "std": 15.0, "layout": "low-top", **changes})


@pytest.fixture(scope="module")
def donor(tmp_path_factory):
    torch.manual_seed(3)
    net = timm.create_model("test_resnet", in_chans=1, num_classes=5)
    path = tmp_path_factory.mktemp("weights") / "epoch=9.ckpt"
    state = {f"model.{name}": tensor for name, tensor in net.state_dict().items()}
    torch.save({"state_dict": state, "pytorch-lightning_version": "2.4.0", "epoch": 9}, path)
    return net, path


# ---------------------------------------------------------------- the values
@pytest.mark.parametrize("name", list_audio_pretrained())
def test_published_weights_have_a_network_of_timm_a_source_and_a_picture_of_every_sound(name):
    look = audio_pretrained(name)
    assert timm.is_model(look.arch) and look.source and look.channels == 1 and look.seconds == 5
    t = np.arange(SR) / SR
    for y in (np.sin(2 * np.pi * 1000 * t), np.sign(np.sin(2 * np.pi * 440 * t)), 1e-6 * np.sin(2 * np.pi * 50 * t)):
        y = y.astype("float32") / (np.abs(y).max() if look.renderer.audio.normalize else 1)
        x = look.renderer.representation(y, SR)
        assert x.max() < look.renderer.picture.high
        assert name == "perch-2" or x.min() >= look.renderer.picture.low - 1e-4  # Perch has a floor of its own, black


def test_a_pixel_is_what_training_normalised():
    look = audio_pretrained("birdset-convnext")
    low, high = look.renderer.picture.low, look.renderer.picture.high
    pixel = (np.array([-80.0, 0.0, 30.0]) - low) / (high - low)
    (mean,), (std,) = look.statistics["mean"], look.statistics["std"]
    np.testing.assert_allclose((pixel - mean) / std, (np.array([-80.0, 0.0, 30.0]) + 4.268) / 4.569)


def test_perchs_picture_is_that_of_its_published_front_end():
    look = audio_pretrained("perch-2")
    y = np.random.default_rng(1).normal(size=SR).astype("float32")
    y /= np.abs(y).max()
    dB = look.renderer.representation(y, SR)[0]
    low, high = look.renderer.picture.low, look.renderer.picture.high
    (mean,), (std,) = look.statistics["mean"], look.statistics["std"]
    ours = (np.clip((dB - low) / (high - low), 0, 1) - mean) / std
    # written out: peak 0.25, amplitude over the window's sum, HTK triangles, 0.1 ln(max(x, 1e-5)); a frame centred on sample 320 t
    window = np.hanning(641)[:-1]
    frame = 0.25 * y[320 * 20 - 320 : 320 * 20 + 320] * window
    amplitude = np.abs(np.fft.rfft(frame, 1024)) / window.sum()
    edges = 700 * np.expm1(np.linspace(np.log1p(60 / 700), np.log1p(16000 / 700), 130))
    hz = np.arange(513) * SR / 1024
    filters = np.array(
        [
            np.clip(np.minimum((hz - a) / (b - a), (c - hz) / (c - b)), 0, None)
            for a, b, c in zip(edges, edges[1:], edges[2:])
        ]
    )
    theirs = 0.1 * np.log(np.maximum(filters @ amplitude, 1e-5))
    np.testing.assert_allclose(ours[:, 20], theirs, atol=1e-4)
    assert abs(theirs.min() - theirs.max()) > 0.1


@pytest.mark.parametrize(
    "changes, told",
    [
        (dict(mean=None), "give both, or neither"),
        (dict(std=0.0), "give more than 0"),
        (dict(layout="sideways"), "unknown layout"),
        (dict(renderer=sp.Renderer()), "say what a pixel means"),
    ],
)
def test_values_that_make_no_sense(changes, told):
    given = {"arch": "test_resnet", "renderer": small().renderer, "mean": -30.0, "std": 15.0}
    with pytest.raises(ValueError, match=told):
        AudioPretrained(**(given | changes))


def test_unknown_weights():
    with pytest.raises(ValueError, match="did you mean 'perch-2'"):
        audio_pretrained("perch2")


# ---------------------------------------------------------------- turned kernels
@pytest.mark.parametrize("layout", ["low-bottom", "low-top", "time-down"])
@torch.no_grad()
def test_a_turned_network_answers_for_our_pictures_as_it_did_for_its_own(layout):
    torch.manual_seed(0)
    net = timm.create_model("convnext_tiny", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), in_chans=1, num_classes=0)
    for block in net.modules():
        if hasattr(block, "gamma"):
            block.gamma.fill_(1.0)  # else the blocks hardly count
    ours = torch.randn(2, 1, 64, 96)  # low frequencies at the bottom
    theirs = {"low-bottom": ours, "low-top": ours.flip(-2), "time-down": ours.flip(-2).transpose(-1, -2)}[layout]
    expected = net.eval()(theirs)
    assert layout == "low-bottom" or not torch.allclose(net(ours), net(ours.flip(-2)), atol=1e-3)
    turn_kernels(net, layout)
    torch.testing.assert_close(net(ours), expected, rtol=1e-4, atol=1e-5)


# ---------------------------------------------------------------- the learner
def test_a_checkpoint_of_lightning_starts_with_its_own_pictures_statistics_and_turned(clips, donor, tmp_path):
    net, path = donor
    look = small()
    dls = loaders(clips, look.renderer, tmp_path)
    learn = spec_learner(dls, "test_resnet", weights=path, weights_look=look)
    first, body = learn.model[0][0], learn.model[0][1]
    assert first.mean.flatten().tolist() == pytest.approx([0.5]) and first.std.flatten().tolist() == pytest.approx(
        [0.25]
    )
    kernels = {name: tensor for name, tensor in body.state_dict().items() if tensor.ndim == 4}
    assert all(torch.equal(tensor, net.state_dict()[name].flip(-2)) for name, tensor in kernels.items())
    assert learn.pretrained and "epoch=9.ckpt" in learn.weights_from
    plain = spec_learner(dls, "test_resnet", weights=path)  # whatever the pictures: as it stands in the file
    assert all(torch.equal(plain.model[0][1].state_dict()[name].flip(-2), kernels[name]) for name in kernels)


def test_pictures_that_differ_are_refused_field_by_field(clips, donor, tmp_path):
    mel = sp.Mel(n_mels=40, n_fft=2048, hop_length=512, fmin=50, fmax=7000)
    dls = loaders(clips, sp.Renderer(mel, audio=sp.Audio(sr=16000)), tmp_path)
    with pytest.raises(ValueError) as told:
        spec_learner(dls, "test_resnet", weights=donor[1], weights_look=small())
    for part in (
        "n_mels=40 instead of 32", "n_fft=2048 instead of 1024", "hop_length=512 instead of 320", "fmin=50.0 instead of 0.0",
        "fmax=7000.0 instead of 16000.0", "sr=16000 instead of 32000", "low=None instead of -60", "height=40 instead of 32", "renderer=",
    ):  # fmt: skip
        assert part in str(told.value)
    assert "pad_mode" not in str(told.value)


def test_channels_other_representations_and_sizes_are_told(clips, donor, tmp_path):
    look = small()
    coloured = look.renderer.replace(picture=sp.Picture(low=-60, high=0, colormap="magma"))
    with pytest.raises(ValueError, match="colormap='magma' instead of None, channels=3 instead of 1"):
        spec_learner(loaders(clips, coloured, tmp_path / "a"), "test_resnet", weights=donor[1], weights_look=look)
    with pytest.raises(ValueError, match="representation='stft' instead of 'mel'"):
        other = look.renderer.replace(representation=sp.Stft(n_fft=1024, hop_length=320))
        spec_learner(loaders(clips, other, tmp_path / "b"), "test_resnet", weights=donor[1], weights_look=look)
    with pytest.raises(ValueError, match=r"weights: height=48 instead of 32\. Make"):
        dls = loaders(clips, look.renderer, tmp_path / "c", size=(48, 51))
        spec_learner(dls, "test_resnet", weights=donor[1], weights_look=look)


@pytest.mark.parametrize(
    "arch, options, told",
    [
        ("test_resnet", dict(weights_look="birdset-convnext"), "give arch='convnext_base'"),
        ("mini_resnet", dict(weights_look=small()), "belongs to 'test_resnet'"),
        ("test_resnet", dict(weights_look=small(), weights=None), "name the file too"),
        ("test_resnet", dict(weights_look="parakeet"), "unknown pretrained network of sound"),
    ],
)
def test_another_network_no_file_and_unknown_names_are_refused(clips, donor, tmp_path, arch, options, told):
    dls = loaders(clips, small().renderer, tmp_path)
    with pytest.raises(ValueError, match=told):
        spec_learner(dls, arch, **{"weights": donor[1], **options})


def test_equal_settings_written_otherwise_are_equal(clips, donor, tmp_path):
    look = small()
    same = look.renderer.replace(
        representation=sp.Mel(n_mels=32, n_fft=1024, hop_length=320, win_length=1024, fmax=16000)
    )
    learn = spec_learner(loaders(clips, same, tmp_path), "test_resnet", weights=donor[1], weights_look=look)
    assert learn.pretrained


def test_birdsets_convnext_under_transformers_names_starts_a_learner(clips, tmp_path):
    """The recipe of the guide, with a small network in place of the large one."""
    torch.manual_seed(0)
    net = timm.create_model("convnext_atto", in_chans=1, num_classes=3)
    names = {
        "stem.0": "embeddings.patch_embeddings", "stem.1": "embeddings.layernorm", "head.norm": "layernorm",
        ".blocks.": ".layers.", ".downsample.": ".downsampling_layer.", ".conv_dw.": ".dwconv.", ".norm.": ".layernorm.",
        ".mlp.fc": ".pwconv", ".gamma": ".layer_scale_parameter",
    }  # fmt: skip

    def theirs(name):
        if name.startswith("head.fc"):
            return name.replace("head.fc", "classifier")
        for here, there in names.items():
            name = name.replace(here, there)
        return "convnext." + name.replace("stages.", "encoder.stages.")

    save_file({theirs(name): tensor for name, tensor in net.state_dict().items()}, tmp_path / "model.safetensors")
    known = audio_pretrained("birdset-convnext")
    look = AudioPretrained("convnext_atto", known.renderer, mean=known.mean, std=known.std, layout=known.layout)
    dls = loaders(clips, known.renderer, tmp_path)
    learn = spec_learner(dls, "convnext_atto", weights=tmp_path / "model.safetensors", weights_look=look)
    assert torch.equal(learn.model[0][1].stem[0].weight, net.stem[0].weight.flip(-2))
    assert torch.equal(learn.model[0][1].stages[1].blocks[0].mlp.fc1.weight, net.stages[1].blocks[0].mlp.fc1.weight)
