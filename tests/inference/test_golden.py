"""Golden clips: kept with a classifier, drawn and asked again, and every drift told in numbers and a word."""

import json
import shutil

import numpy as np
import pytest
import soundfile as sf
from bundles import SR, make_sounds, signed, train
from PIL import Image

from specimg.audio import Audio
from specimg.data.wave_loaders import WaveDataLoaders
from specimg.datasets import sine
from specimg.inference import GOLDEN, SETTINGS, check_classifier, drift_verdict, load_classifier, save_classifier
from specimg.inference.golden import SECONDS, Recording, _difference, _spread, _stem
from specimg.render.renderer import Renderer
from specimg.spectrogram.picture import encode


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def saved(sounds, tmp_path_factory):
    return save_classifier(train(sounds), tmp_path_factory.mktemp("bundles") / "plain", golden=3)


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "moved")


# ---------------------------------------------------------------------- decisions


@pytest.mark.parametrize(
    "pixels, answers, word",
    [
        (0, 0.0, "same"),
        (0, 1e-4, "same"),
        (1, 0.0, "pixels drift"),
        (700, 1e-3, "pixels drift"),
        (0, 2e-3, "predictions drift"),
        (5, 0.4, "predictions drift"),
        (0, float("nan"), "predictions drift"),
    ],
)
def test_a_word_for_a_drift(pixels, answers, word):
    assert drift_verdict(pixels, answers) == word


def test_differences_are_counted():
    then, now = np.zeros((1, 2, 3), np.uint8), np.array([[[0, 3, 0], [255, 0, 0]]], np.uint8)
    assert (
        _difference(then, now) == (2, 255) and _difference(now, then) == (2, 255) and _difference(then, then) == (0, 0)
    )
    assert _difference(then, np.zeros((1, 2, 4), np.uint8)) == (8, np.inf)
    assert _difference(np.zeros(4, np.float32), np.array([0, 2 / 32768, 0, 0], np.float32)) == (
        1,
        2,
    )  # of a waveform in 16-bit steps


def test_labels_share_the_golden_clips():
    found = [Recording(f"{label}{i}", label) for label in "abcd" for i in range(3)]
    assert [tries[0].path for tries in _spread(found, 2)] == ["a0", "c0"]
    assert [tries[0].path for tries in _spread(found, 6)] == ["a0", "b0", "c0", "d0", "a1", "b1"]
    assert [recording.path for recording in _spread(found, 6)[4]] == ["a1", "a2"]  # tried in turn
    assert _spread([], 6) == [] and _spread(found[:1], 2) == [[found[0]], []]


@pytest.mark.parametrize(
    "label, stem",
    [
        ("dog", "0-dog"),
        ("../../etc", "0-etc"),
        ("a b/c", "0-a-b-c"),
        ("狗", "0-clip"),
        ("x" * 99, "0-" + "x" * 32),
        ("CON.", "0-CON"),
    ],
)
def test_names_of_files_are_plain(label, stem):
    assert _stem(0, label) == stem


# ---------------------------------------------------------------------- as it was


def test_nothing_has_changed(saved):
    table = check_classifier(saved)
    assert list(table.columns) == ["clip", "label", "pixels", "of", "levels", "drift", "verdict", "reason"]
    assert table["clip"].tolist() == ["0-high.wav", "1-label.wav", "2-path.wav"] and set(table["verdict"]) == {"same"}
    assert (
        (table["pixels"] == 0).all()
        and (table["levels"] == 0).all()
        and (table["drift"] < 1e-6).all()
        and (table["of"] >= 16 * 38).all()
    )
    assert table.attrs["versions"]["librosa"][0] == table.attrs["versions"]["librosa"][1] != "?"


def test_what_is_kept_is_what_was_said(saved, sounds):
    told = json.loads((saved / GOLDEN / "golden.json").read_text())
    clf = load_classifier(saved)
    for entry in told["clips"]:
        out = clf.predict(saved / GOLDEN / entry["clip"])
        assert out[["p_high", "p_label", "p_path"]].to_numpy()[0] == pytest.approx(entry["probabilities"], abs=1e-6)
        assert clf.renderer.png(saved / GOLDEN / entry["clip"]) == (saved / GOLDEN / entry["picture"]).read_bytes()
        assert entry["label"] in entry["clip"]


def test_long_recordings_are_cut(tmp_path):
    sounds = make_sounds(tmp_path)
    for file in sounds.files:
        sf.write(file, np.stack([sine(500, 9, SR)] * 2, 1), SR)
    folder = save_classifier(train(sounds), tmp_path / "clf", golden=1)
    y, sr = sf.read(folder / GOLDEN / "0-high.wav")
    assert (len(y), sr) == (SECONDS * SR, SR) and y.shape[1] == 2
    assert check_classifier(folder)["verdict"].tolist() == ["same"]


# ---------------------------------------------------------------------- drifted


def test_a_louder_pixel_is_seen(saved, monkeypatch):
    """As if a new version of a library rounded one pixel differently: by one level, in the corner."""

    def other(x, *args, **kwargs):
        x = x.copy()
        x[0, 0, 0] += 80 / 255 * (1 if x[0, 0, 0] < -40 else -1)
        return encode(x, *args, **kwargs)

    monkeypatch.setattr("specimg.render.renderer.encode", other)
    table = check_classifier(saved)
    assert set(table["verdict"]) == {"pixels drift"} and (table["pixels"] == 1).all() and (table["levels"] == 1).all()
    assert (table["drift"] < 1e-3).all()


def test_a_brighter_picture_changes_answers(saved, monkeypatch):
    monkeypatch.setattr("specimg.render.renderer.encode", lambda x, *args, **kwargs: encode(x / 2, *args, **kwargs))
    table = check_classifier(saved)
    assert (
        set(table["verdict"]) == {"predictions drift"}
        and (table["pixels"] > 100).all()
        and (table["levels"] > 60).all()
        and (table["drift"] > 1e-3).all()
    )


def test_a_network_that_computes_otherwise(saved, monkeypatch):
    from specimg.inference.classifier import Classifier

    original = Classifier.probabilities
    monkeypatch.setattr(Classifier, "probabilities", lambda self, x: np.roll(original(self, x), 1, axis=1))
    table = check_classifier(saved)
    assert set(table["verdict"]) == {"predictions drift"} and (table["pixels"] == 0).all()


def test_a_picture_of_another_size(saved, monkeypatch):
    monkeypatch.setattr(
        "specimg.render.renderer.encode", lambda x, *args, **kwargs: encode(x[:, :, :-2], *args, **kwargs)
    )
    table = check_classifier(saved)
    assert (table["levels"] == np.inf).all() and (table["pixels"] == table["of"]).all()


def test_a_clip_that_cannot_be_drawn_any_more(saved, monkeypatch):
    monkeypatch.setattr(
        Renderer, "encode", lambda *args, **kwargs: (_ for _ in ()).throw(ValueError("the filter bank is gone"))
    )
    table = check_classifier(saved)
    assert set(table["verdict"]) == {"no prediction"} and set(table["reason"]) == {"the filter bank is gone"}


def test_versions_then_and_now(folder):
    told = json.loads((folder / GOLDEN / "golden.json").read_text())
    told["versions"]["librosa"] = "0.1"
    (folder / GOLDEN / "golden.json").write_text(json.dumps(told))
    signed(folder, f"{GOLDEN}/golden.json")
    assert check_classifier(folder).attrs["versions"]["librosa"][0] == "0.1"


# ---------------------------------------------------------------------- damaged, or none


def test_a_folder_without_golden_clips(sounds, tmp_path):
    folder = save_classifier(train(sounds), tmp_path / "clf", golden=0)
    with pytest.raises(ValueError, match="keeps no golden clips; save_classifier.*golden=6.* keeps some"):
        check_classifier(folder)


def rewritten(change):
    def damage(folder):
        file = folder / GOLDEN / "golden.json"
        told = json.loads(file.read_text())
        change(told)
        file.write_text(json.dumps(told))
        signed(folder, f"{GOLDEN}/golden.json")

    return damage


def other_picture(folder):
    Image.new("L", (9, 9)).save(folder / GOLDEN / "0-high.png")
    signed(folder, f"{GOLDEN}/0-high.png")


def no_picture(folder):
    (folder / GOLDEN / "0-high.png").write_bytes(b"GIF89a")
    signed(folder, f"{GOLDEN}/0-high.png")


@pytest.mark.parametrize(
    "damage, message",
    [
        (rewritten(lambda t: t.pop("clips")), "does not list clips and versions"),
        (
            rewritten(lambda t: t["clips"][0].update(clip="../../../etc/passwd")),
            "the entry of '../../../etc/passwd' is not as it was written",
        ),
        (rewritten(lambda t: t["clips"][0].update(probabilities=[1])), "is not as it was written"),
        (rewritten(lambda t: t["clips"][0].update(probabilities=["a", "b", "c"])), "'a' is not a finite number"),
        (rewritten(lambda t: t["clips"][0].update(probabilities=[10**400, 0, 0])), "is not a finite number"),
        (rewritten(lambda t: t["clips"][0].update(digest="0")), "is not the picture of golden/golden.json"),
        (rewritten(lambda t: t.update(clips=3)), "does not list clips and versions"),
        (rewritten(lambda t: t.update(clips=[])), "it lists no clips"),
        (rewritten(lambda t: t.update(clips={})), "does not list clips and versions"),
        (rewritten(lambda t: t.update(versions="new")), "does not list clips and versions"),
        (other_picture, "is not the picture of golden/golden.json"),
        (no_picture, "cannot be read"),
    ],
)
def test_damaged_golden_clips(damage, message, folder):
    damage(folder)
    with pytest.raises(ValueError, match=message):
        check_classifier(folder)


# ---------------------------------------------------------------------- waveforms


@pytest.fixture(scope="module")
def listener(sounds):
    """A learner of waveforms whose network has the weights of chance."""
    from specimg.training.learner import spec_learner

    dls = WaveDataLoaders.from_df(sounds.table, sounds.folder, audio=Audio(sr=4000, duration=2.0), bs=4)
    return spec_learner(dls, "soundnet_cnn", pretrained=False, seed=0)


def test_a_classifier_of_waveforms(listener, sounds, tmp_path):
    from fastai.vision.all import ProgressCallback

    listener.remove_cb(ProgressCallback)
    folder = save_classifier(listener, tmp_path / "clf", golden=2)
    told = json.loads((folder / SETTINGS).read_text())
    assert told["renderer"] is None and told["audio"]["sr"] == 4000 and told["fit"] == {"samples": 8000, "windows": 1}
    clf = load_classifier(folder)
    assert (
        clf.input.name == "waveform"
        and clf.size == (1, 8000)
        and repr(clf) == "Classifier(3 labels, waveforms of 8000 samples at 4000 Hz)"
    )
    items = [sounds.files[0], tmp_path / "gone.wav", sounds.files[4], sf.read(sounds.files[4])]
    out = clf.predict(items, bs=2)
    wanted = np.stack([listener.predict(path)[2].numpy() for path in (sounds.files[0], sounds.files[4])])
    said = out[["p_high", "p_label", "p_path"]].to_numpy()
    assert said[[0, 2]] == pytest.approx(wanted, abs=1e-6) and said[3] == pytest.approx(said[2], abs=1e-6)
    assert out["status"].tolist() == ["ok", "is not there", "ok", "ok"]
    assert clf.embed(items)["status"].tolist() == out["status"].tolist()
    table = check_classifier(folder)
    assert (
        set(table["verdict"]) == {"same"}
        and (table["of"] == 8000).all()
        and sorted(p.name for p in (folder / GOLDEN).glob("*.heard.wav"))
    )
    assert (
        "the network is given waveforms of 8000 samples at 4000 Hz: 1 window of 2 s"
        in (folder / "README.md").read_text()
    )
