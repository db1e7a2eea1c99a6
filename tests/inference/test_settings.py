"""Folders that are not a classifier, or no longer: each is refused with the reason, nothing of it runs, nothing absurd is built."""

import json
import os
import pickle
import resource
import shutil
import struct
import time
import warnings

import pytest
import torch
from bundles import edited, make_sounds, probabilities, signed, train
from safetensors.torch import load_file, save_file

from specimg.inference import CARD, GOLDEN, SETTINGS, WEIGHTS, load_classifier, save_classifier
from specimg.inference.folder import is_own_file


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def learn(sounds):
    return train(sounds)


@pytest.fixture(scope="module")
def saved(learn, tmp_path_factory):
    return save_classifier(learn, tmp_path_factory.mktemp("bundles") / "plain", golden=1)


@pytest.fixture
def folder(saved, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(saved, tmp_path / "damaged")


def put(*names, value):
    """A damage: this value deep in the settings."""

    def change(settings):
        for name in names[:-1]:
            settings = settings[name]
        settings[names[-1]] = value

    return edited(change)


def cut(name, n=50):
    return lambda f: (f / name).write_bytes((f / name).read_bytes()[:-n])


def grown(name):
    return lambda f: (f / name).write_bytes((f / name).read_bytes() + b"\0" * 9)


# ---------------------------------------------------------------------- damage


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / SETTINGS).write_text("{"), "classifier.json' is not JSON"),
        (lambda f: (f / SETTINGS).write_bytes(b"\xff\xfe"), "classifier.json' is not JSON"),
        (lambda f: (f / SETTINGS).write_text("[" * 100_000), "classifier.json' is nested in more than 100 levels"),
        (lambda f: (f / SETTINGS).write_text('{"format": NaN}'), "NaN is not a JSON number"),
        (lambda f: (f / SETTINGS).write_text(" " * (2**24 + 1)), "more than the 16777216 it should have"),
        (lambda f: (f / SETTINGS).write_text("[1]"), "is of format None; this specimg reads the formats 1 and 2"),
        (lambda f: (f / SETTINGS).unlink(), "is not a classifier .it has no classifier.json"),
        (
            lambda f: (f / SETTINGS).write_text('{"format": 2, "is_multi": false, "is_multi": true}'),
            "is not JSON: it has the entry 'is_multi' twice",
        ),
        (
            lambda f: ((f / SETTINGS).unlink(), (f / SETTINGS).mkdir()),
            "damaged' cannot be loaded: classifier.json is not a plain file",
        ),
        (put("network", "n_channels", value=3), "network.n_channels is 3; it must be the 1 of its inputs"),
        (
            put("renderer", "representation", "n_fft", value=2**20),
            "representation.n_fft is 1048576; it must be 131072 at most",
        ),
        (
            edited(lambda s: s["renderer"]["picture"].update(width=65_535, height=65_535)),
            "renderer is '65535 columns of 65535 rows'; it must be",
        ),
        (
            edited(
                lambda s: (
                    s["renderer"]["representation"].update(hop_length=1),
                    s["renderer"]["audio"].update(duration=1000.0, sr=8000),
                )
            ),
            "renderer is '8000000 columns of 256 rows'; it must be 268435456 cells at most",
        ),
        (
            edited(lambda s: s["renderer"]["audio"].update(duration=2000.0, sr=192_000)),
            "renderer.audio.duration is 2000.0; it must be 268435456 samples",
        ),
        (put("format", value=9), "is of format 9; this specimg reads the formats 1 and 2"),
        (put("format", value=True), "is of format True"),
        (put("formt", value=2), "unknown field of Settings 'formt'; did you mean 'format'"),
        (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors is missing; copy the folder again"),
        (cut(WEIGHTS), "weights.safetensors has \\d+ of its \\d+ bytes: it was cut short"),
        (grown(WEIGHTS), "weights.safetensors has \\d+ bytes, more than the \\d+ it should have"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), "weights.safetensors has 0 of its"),
        (lambda f: ((f / WEIGHTS).unlink(), os.mkfifo(f / WEIGHTS)), "weights.safetensors is not a plain file"),
        (lambda f: ((f / WEIGHTS).unlink(), (f / WEIGHTS).mkdir()), "weights.safetensors is not a plain file"),
        (lambda f: (f / GOLDEN / "0-high.wav").unlink(), "golden/0-high.wav is missing; copy the folder again"),
        (cut(f"{GOLDEN}/0-high.wav"), "golden/0-high.wav has \\d+ of its \\d+ bytes"),
        (lambda f: shutil.copy(f / GOLDEN / "0-high.png", f / GOLDEN / "0-high.wav"), "golden/0-high.wav"),
        (put("renderer", "representation", "kind", value="mell"), "did you mean 'mel'"),
        (put("renderer", value=None), "either a renderer, which draws pictures, or audio"),
        (put("renderer", value=[1]), r"Settings\(renderer=...\): \(1,\) is not Renderer or None"),
        (put("renderer", "representation", "n_mels", value="many"), "'many' is not a whole number"),
        (
            put("network", "arch", value="test_efficientnet"),
            "holds the weights of another network: of \\d+ tensors \\d+ lack",
        ),
        (put("network", "arch", value="resnet3"), "unknown arch 'resnet3'"),
        (put("network", "arch", value=None), r"NetworkOptions\(arch=...\): None is not a string"),
        (put("network", "layers", value=3), "unknown field of NetworkOptions 'layers'"),
        (put("network", "size", value=[16]), "network.size is \\[16\\]; it must be two whole numbers"),
        (
            put("network", "size", value=[16, 45]),
            "network.size is \\[16, 45\\]; it must be the size of its inputs, \\[16, 44\\]",
        ),
        (put("network", "concat_pool", value=False), "is float32 of shape \\[\\d+.*\\], not float32 of shape"),
        (put("network", "concat_pool", value="yes"), r"NetworkOptions\(concat_pool=...\): 'yes' is not True or False"),
        (put("network", "net", value={"attention": "soft"}), "test_resnet is timm's"),
        (put("vocab", value=["a", "b"]), "2 labels for a network of 3"),
        (put("vocab", value=["a", "b", "a"]), "it must be a list of different labels"),
        (put("vocab", value="abc"), r"Settings\(vocab=...\): 'abc' is not tuple"),
        (edited(lambda s: s.pop("is_multi")), "lacks the field 'is_multi'"),
        (put("is_multi", value=0), r"Settings\(is_multi=...\): 0 is not True or False"),
        (put("fit", "method", value="zoom"), "unknown method 'zoom'"),
        (put("fit", "method", value="crop"), "method='crop' needs seconds="),
        (put("fit", "blank", value=[2]), "fit.blank is \\[2.0\\]; it must be one level from 0 to 1"),
        (put("fit", "zoom", value=2), "unknown field of PictureFit 'zoom'"),
        (put("calibration", "temperature", value=0), "temperature=0\\): give 0.25 to 20"),
        (put("calibration", "thresholds", value=[0.5]), "it must be one for each of 3 labels"),
        (put("weights", value=["../weights.safetensors"]), "it must be the names of the files of its networks"),
        (
            put("weights", value=["weights-0.safetensors", "weights-1.safetensors"]),
            "it must be an object with weights-0.safetensors",
        ),
        (
            put("files", "../../secret.txt", value={"bytes": 1, "sha256": "0" * 64}),
            "files is '../../secret.txt'; it must be names of files that a classifier has",
        ),
        (put("files", WEIGHTS, value={"bytes": -1, "sha256": "0" * 64}), "it must be bytes and sha256"),
        (put("files", WEIGHTS, value={"bytes": 10**18, "sha256": "0" * 64}), "should have 1000000000000000000 bytes"),
        (put("training", value="long"), r"Settings\(training=...\): 'long' is not dict"),
    ],
)
def test_a_damaged_folder_is_an_error_with_its_path(damage, message, folder):
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        load_classifier(folder)
    assert "damaged" in str(caught.value)


@pytest.mark.parametrize(
    "names, value",
    [
        (("network", "n_classes"), 10**9),
        (("network", "n_channels"), 10**9),
        (("network", "size"), [10**9, 10**9]),
        (("fit", "size"), [2**16, 2**16]),
        (("network", "lin_ftrs"), [10**9]),
        (("network", "lin_ftrs"), [65536, 65536]),
        (("network", "arch"), "eva02_enormous_patch14_clip_224"),
        (("fit", "windows"), 10**9),
        (
            ("fit",),
            {
                "kind": "picture_fit",
                "size": [2048, 2048],
                "method": "crop",
                "seconds": 1.0,
                "windows": 1000,
                "blank": [0.0],
            },
        ),
        (("renderer", "representation", "n_mels"), 10**9),
        (("renderer", "representation", "n_fft"), 2**30),
        (("renderer", "representation", "hop_length"), 10**12),
        (("renderer", "picture", "height"), 10**9),
        (("renderer", "audio", "duration"), 1e12),
        (("renderer", "audio", "sr"), 10**9),
        (("network", "ps"), 10**400),
    ],
)
def test_absurd_sizes_ask_for_no_memory(names, value, folder):
    put(*names, value=value)(folder)
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ValueError, match="cannot be loaded|is not JSON"):
        load_classifier(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 400_000  # kB
    assert time.perf_counter() - began < 20


def test_many_labels_for_a_small_network(folder):
    labels = [str(i) for i in range(200_000)]
    edited(lambda s: (s.update(vocab=labels), s["network"].update(n_classes=len(labels))))(folder)
    with pytest.raises(
        ValueError, match="asks for more memory than its weights have numbers|holds the weights of another network"
    ):
        load_classifier(folder)


@pytest.mark.parametrize(
    "arch",
    [
        "hf-hub:timm/resnet18.a1_in1k",
        "hf_hub:timm/resnet18",
        "local-dir:/tmp/net",
        "../resnet18",
        "timm/resnet18",
        "os.system",
        "resnet18 ",
    ],
)
def test_a_network_is_a_name_and_never_a_place(arch, folder):
    put("network", "arch", value=arch)(folder)
    with pytest.raises(ValueError, match="network.arch is .* it must be the name of a network|unknown arch"):
        load_classifier(folder)
    ours = {"arch": "resnet_lstm", "n_channels": 1, "n_classes": 3, "size": [16, 44], "net": {"backbone": arch}}
    put("network", value=ours)(folder)
    with pytest.raises(ValueError, match="network.net.backbone is|unknown backbone"):
        load_classifier(folder)


def test_the_network_is_never_asked_for_weights(saved, monkeypatch):
    import timm

    asked, make = [], timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, **options: asked.append((name, options)) or make(name, **options)
    )
    load_classifier(saved)
    assert asked and all(name == "test_resnet" and not options.get("pretrained") for name, options in asked)


# ---------------------------------------------------------------------- weights that are not its own


def test_weights_of_another_classifier(learn, folder, sounds, tmp_path):
    other = save_classifier(train(sounds, label_col="both", label_delim=" "), tmp_path / "other", golden=0)
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(ValueError, match="weights.safetensors has \\d+ bytes, more than"):
        load_classifier(folder)
    signed(folder, WEIGHTS)  # even where the digest says yes
    with pytest.raises(
        ValueError,
        match="holds the weights of another network: 1.8.weight is float32 of shape \\[5, 512\\], not float32 of shape \\[3, 512\\]",
    ):
        load_classifier(folder)


def test_weights_of_the_same_size_are_told_by_their_digest(folder):
    state = load_file(folder / WEIGHTS)
    save_file(
        {name: tensor + 1 if tensor.is_floating_point() else tensor for name, tensor in state.items()}, folder / WEIGHTS
    )
    with pytest.raises(ValueError, match="is not the file that was saved .its sha256 is another"):
        load_classifier(folder)


def with_header(f, header: bytes, body: bytes = b"", length=None):
    (f / WEIGHTS).write_bytes(struct.pack("<Q", len(header) if length is None else length) + header + body)
    signed(f, WEIGHTS)


@pytest.mark.parametrize(
    "forge, message",
    [
        (lambda f: with_header(f, b"{}", length=2**62), "not a safetensors file: its header is cut short"),
        (lambda f: with_header(f, b"no json"), "not a safetensors file"),
        (lambda f: with_header(f, b"[]"), "not a safetensors file"),
        (lambda f: with_header(f, b"{}"), "of another network: of \\d+ tensors \\d+ lack"),
        (
            lambda f: with_header(
                f,
                json.dumps({"a": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}}).encode(),
            ),
            "does not hold as many numbers",
        ),
        (
            lambda f: with_header(
                f, json.dumps({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}).encode()
            ),
            "a shape is not a list of whole numbers",
        ),
        (
            lambda f: with_header(f, json.dumps({"a": {"dtype": "X9", "shape": [1], "data_offsets": [0, 4]}}).encode()),
            "not a safetensors file: 'X9'",
        ),
        (lambda f: with_header(f, json.dumps({"a": {"dtype": "F32"}}).encode()), "not a safetensors file: 'shape'"),
        (
            lambda f: with_header(
                f, json.dumps({"odd.name": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode(), b"\0" * 8
            ),
            "1 are not of it .odd.name",
        ),
    ],
)
def test_a_forged_header(forge, message, folder):
    forge(folder)
    with pytest.raises(ValueError, match=message):
        load_classifier(folder)


def test_the_numbers_of_a_file_that_does_not_fit_are_never_read(folder):
    """A file of 20 GB, which takes no room on the disk, whose size the settings confirm."""
    size = 20 * 2**30
    header = json.dumps({"junk": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    for head in (b"", struct.pack("<Q", len(header)) + header):
        (folder / WEIGHTS).write_bytes(head)
        os.truncate(folder / WEIGHTS, len(head) + size)
        put("files", WEIGHTS, value={"bytes": len(head) + size, "sha256": "0" * 64})(folder)
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        with pytest.raises(
            ValueError,
            match="holds the weights of another network" if head else "not a safetensors file: its header is cut short",
        ):
            load_classifier(folder)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
        assert time.perf_counter() - began < 10


def test_tensors_that_overlap(folder):
    data = bytearray((folder / WEIGHTS).read_bytes())
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    one, two = [name for name, entry in header.items() if entry.get("shape") == header["0.0.mean"]["shape"]][:2]
    header[two]["data_offsets"] = header[one]["data_offsets"]
    text = json.dumps(header, separators=(",", ":")).encode()
    with_header(folder, text + b" " * (-len(text) % 8), bytes(data[8 + length :]))
    with pytest.raises(ValueError, match="cannot be loaded: SafetensorError"):
        load_classifier(folder)


# ---------------------------------------------------------------------- strangers in the folder


class Bomb:
    """Whoever unpickles it leaves a trace."""

    def __reduce__(self):
        return os.mkdir, (os.environ["SPECIMG_TRACE"],)


def test_a_pickle_in_the_folder_is_named_and_not_opened(folder, tmp_path, monkeypatch):
    trace = tmp_path / "it ran"
    monkeypatch.setenv("SPECIMG_TRACE", str(trace))
    for name in (
        "model.pkl",
        "weights.pth",
        "pytorch_model.bin",
        "golden/clips.pickle",
        "specimg.py",
        "sitecustomize.py",
    ):
        (folder / name).write_bytes(
            pickle.dumps(Bomb()) if not name.endswith(".py") else f"import os; os.mkdir({str(trace)!r})".encode()
        )
    (folder / ".DS_Store").write_bytes(b"x")
    with pytest.warns(
        UserWarning,
        match="6 files in .* not the classifier's, and not opened .model.pkl, pytorch_model.bin, sitecustomize.py, ...",
    ) as caught:
        load_classifier(folder)
    assert not trace.exists() and len([w for w in caught if "not opened" in str(w.message)]) == 1
    pickle.loads((folder / "model.pkl").read_bytes())  # the test could fail
    assert trace.exists()


def test_a_pickle_instead_of_the_weights(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("SPECIMG_TRACE", str(tmp_path / "it ran"))
    torch.save({"a": Bomb()}, folder / WEIGHTS)
    signed(folder, WEIGHTS)
    with pytest.raises(ValueError, match="weights.safetensors is not a safetensors file"):
        load_classifier(folder)
    assert not (tmp_path / "it ran").exists()


def test_a_card_that_people_changed_is_said(folder):
    with open(folder / CARD, "a") as file:
        file.write("Not for bats.\n")
    with pytest.warns(UserWarning, match="README.md has \\d+ bytes, more than"):
        load_classifier(folder)
    (folder / CARD).unlink()
    with pytest.warns(UserWarning, match="README.md is missing"):
        load_classifier(folder)


def test_an_untouched_folder_loads_without_a_word(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_classifier(saved)


def test_a_folder_may_be_linked_and_copied(saved, sounds, tmp_path):
    linked = tmp_path / "linked"  # as the caches of model hubs keep them
    (linked / GOLDEN).mkdir(parents=True)
    for file in [f for f in saved.rglob("*") if f.is_file()]:
        (linked / file.relative_to(saved)).symlink_to(file)
    assert (
        probabilities(load_classifier(linked).predict(sounds.files[:2]))
        == probabilities(load_classifier(saved).predict(sounds.files[:2]))
    ).all()


def test_saving_does_not_reach_through_a_link(learn, folder, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    shutil.move(folder / GOLDEN, elsewhere)
    (folder / GOLDEN).symlink_to(elsewhere)
    there = sorted(os.listdir(elsewhere))
    with pytest.raises(
        ValueError,
        match="golden' is a link, and what it leads to would be overwritten; remove the link, or give a new folder",
    ):
        save_classifier(learn, folder)
    assert there and sorted(os.listdir(elsewhere)) == there


@pytest.mark.parametrize(
    "name, own",
    [
        ("README.md", True),
        ("weights.safetensors", True),
        ("weights-12.safetensors", True),
        ("golden/golden.json", True),
        ("golden/3-dog.wav", True),
        ("golden/3-dog.heard.wav", True),
        ("../README.md", False),
        ("golden/../x.wav", False),
        ("golden/3-../../x.wav", False),
        ("/etc/passwd", False),
        ("weights.pth", False),
        ("golden/3-dog.pkl", False),
        ("README.md\n", False),
        ("golden\\3-dog.wav", False),
        ("", False),
    ],
)
def test_which_names_a_classifier_has(name, own):
    assert is_own_file(name) == own


# ---------------------------------------------------------------------- the first format


def first_format(saved, folder):
    """The folder as the first format had it."""
    folder.mkdir()
    told = json.loads((saved / SETTINGS).read_text())
    shutil.copy(saved / WEIGHTS, folder / WEIGHTS)
    old = {name: told[name] for name in ("renderer", "network", "vocab", "is_multi", "fit")}
    (folder / SETTINGS).write_text(json.dumps({"format": 1, "specimg": "0.1.0", **old}))
    return folder


def test_the_first_format_is_read(saved, sounds, tmp_path):
    clf = load_classifier(first_format(saved, tmp_path / "old"))
    assert (
        probabilities(clf.predict(sounds.files[:3])) == probabilities(load_classifier(saved).predict(sounds.files[:3]))
    ).all()
    assert clf.temperature == 1 and clf.about["training"] == {} and clf.about["versions"] == {"specimg": "0.1.0"}
    again = load_classifier(save_classifier(clf, tmp_path / "old", golden=0))  # it becomes one of today's
    assert json.loads((tmp_path / "old" / SETTINGS).read_text())["format"] == 2 and again.vocab == clf.vocab


@pytest.mark.parametrize(
    "damage, message",
    [
        (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors is missing"),
        (cut(WEIGHTS), "does not hold as many numbers as its header"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), "is not a safetensors file"),
        (put("calibration", value={}), "unknown entry 'calibration'"),
        (edited(lambda s: s.pop("network")), "lacks the field 'network'"),
        (put("vocab", value=["a"]), "1 labels for a network of 3"),
    ],
)
def test_damage_of_the_first_format(damage, message, saved, tmp_path):
    folder = first_format(saved, tmp_path / "old")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load_classifier(folder)


def test_paths_where_no_classifier_is(tmp_path, sounds):
    for path in (tmp_path / "nowhere", tmp_path, sounds.files[0]):
        with pytest.raises(ValueError, match="is not a classifier"):
            load_classifier(path)
