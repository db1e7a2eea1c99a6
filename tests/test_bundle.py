"""A classifier as a folder: the learner's own answers, from numbers and text alone; a folder that is none is refused."""

import json
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import ProgressCallback, Resize
from PIL import Image

from specimg.bundle import SETTINGS, WEIGHTS, load_classifier, save_classifier
from specimg.data import SpecDataLoaders
from specimg.learner import spec_learner
from specimg.picture import Picture
from specimg.render import Renderer
from specimg.representation import Delta, Mel, Stack
from specimg.sounds import sine

torch.set_num_threads(1)
SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
LOOK = Renderer(MEL)
HZ = {"high": 3000, "label": 400, "path": 1200}      # names that are columns, too


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """18 tones of three lengths in .folder, .table (path, label, both) and .files."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = [(f"{label}{i}.wav", label, f"{label} {'odd' if i % 2 else 'even'}") for i in range(6) for label in HZ]
    for i, (name, label, _) in enumerate(rows):
        sf.write(folder / name, sine(HZ[label], 0.3 + 0.05 * (i % 3), SR), SR)
    table = pd.DataFrame(rows, columns=["path", "label", "both"])
    return SimpleNamespace(folder=folder, table=table, files=[folder / name for name in table["path"]])


def train(sounds, **kwargs):
    """A learner with weights of chance, statistics of its batch norms included."""
    options = dict(renderer=LOOK, cache=sounds.folder / "cache", bs=4, n_jobs=1)
    dls = SpecDataLoaders.from_df(sounds.table, sounds.folder, **{**options, **kwargs})
    learn = spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    learn.remove_cb(ProgressCallback)
    for x, _ in dls.train:
        learn.model(x)                               # in training mode: the running statistics move
    return learn


@pytest.fixture(scope="module")
def learn(sounds):
    return train(sounds)


@pytest.fixture(scope="module")
def saved(learn, tmp_path_factory):
    return save_classifier(learn, tmp_path_factory.mktemp("bundles") / "plain")


@pytest.fixture(scope="module")
def clf(saved):
    return load_classifier(saved)


def probabilities(table):
    return table[[f"p_{label}" for label in table.attrs["vocab"]]].to_numpy()


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize("options", [
    {}, dict(method="crop", seconds=0.104, windows=3), dict(method="pad"), dict(size=(20, 31)), dict(label_col="both", label_delim=" "),
    dict(renderer=Renderer(Stack(MEL, Delta(MEL))), method="pad", seconds=0.5), dict(renderer=Renderer(MEL, Picture(colormap="magma"))),
], ids=["squish", "crop", "pad", "size", "multi-label", "2 channels", "colours"])
def test_a_classifier_says_what_its_learner_says(options, sounds, tmp_path):
    learn = train(sounds, **options)
    clf = load_classifier(save_classifier(learn, tmp_path / "clf"))
    out = clf.predict(sounds.files[:5], bs=2)
    wanted = np.stack([learn.predict(path)[2].numpy() for path in sounds.files[:5]])
    assert probabilities(out) == pytest.approx(wanted, abs=1e-6)
    assert clf.vocab == list(learn.dls.vocab) and clf.is_multi == learn.dls.is_multi and clf.renderer == learn.dls.renderer
    assert np.ptp(wanted) > 0.01


def test_a_folder_of_numbers_and_text(saved):
    assert sorted(file.name for file in saved.iterdir()) == ["classifier.json", "weights.safetensors"]
    json.loads((saved / SETTINGS).read_text())
    for file in saved.iterdir():
        data = file.read_bytes()
        assert not data.startswith((b"PK", b"\x80"))          # torch's zip archives, pickles


def test_loading_leaves_chance_as_it_was(saved):
    torch.manual_seed(4)
    state = torch.get_rng_state()
    load_classifier(saved)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_classifier_prints_in_a_line(clf):
    assert repr(clf) == "Classifier(3 labels, pictures of 16 x 44 pixels, 'squish')"


# ---------------------------------------------------------------------- predicting


def test_the_table(clf, sounds):
    out = clf.predict(sounds.files)
    assert list(out.columns) == ["path", "label", "probability", "status", "p_high", "p_label", "p_path"]
    assert out["path"].tolist() == [str(path) for path in sounds.files] and set(out["status"]) == {"ok"}
    probs = probabilities(out)
    assert probs.sum(axis=1) == pytest.approx(np.ones(18), abs=1e-5)
    assert out["probability"].to_numpy() == pytest.approx(probs.max(axis=1))
    assert out["label"].tolist() == [clf.vocab[i] for i in probs.argmax(axis=1)]


@pytest.mark.parametrize("bs", [1, 4, 18, 100])
def test_the_size_of_batches_does_not_matter(bs, clf, sounds):
    assert probabilities(clf.predict(sounds.files, bs=bs)) == pytest.approx(probabilities(clf.predict(sounds.files)), abs=1e-6)


def test_ways_to_name_recordings(clf, sounds):
    whole = probabilities(clf.predict(sounds.files))
    arrays = [sf.read(path) for path in sounds.files]
    for items in (map(str, sounds.files), tuple(sounds.files), arrays):
        assert (probabilities(clf.predict(items)) == whole).all()
    for item in (sounds.files[3], str(sounds.files[3]), arrays[3]):
        assert probabilities(clf.predict(item)) == pytest.approx(whole[3:4], abs=1e-6)
    assert clf.predict(arrays[:2])["path"].tolist() == ["samples 0", "samples 1"]
    folder = clf.predict(sounds.folder)
    assert folder["path"].tolist() == sorted(map(str, sounds.files))


def test_nothing_to_predict(clf, tmp_path):
    for items in ([], tmp_path):
        out = clf.predict(items)
        assert len(out) == 0 and list(out.columns)[:4] == ["path", "label", "probability", "status"] and out.attrs["vocab"] == clf.vocab


@pytest.mark.parametrize("bs", [1, 2, 32])
def test_bad_recordings_are_rows_with_their_reason(bs, clf, sounds, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    items = [tmp_path / "gone.wav", sounds.files[0], tmp_path / "empty.wav", sounds.files[1], (np.full(900, np.nan), SR), tmp_path]
    out = clf.predict(items, bs=bs)
    assert out["status"].tolist() == ["is not there", "ok", "is empty (0 bytes)", "ok", "900 samples are NaN or infinite, the first at 0.000 s",
                                      "is a folder, not a recording"]
    assert out["label"].notna().tolist() == [False, True, False, True, False, False]
    assert (out["probability"].notna() == out["label"].notna()).all()
    assert probabilities(out)[[1, 3]] == pytest.approx(probabilities(clf.predict(sounds.files[:2])), abs=1e-6)


def test_only_bad_recordings(clf, tmp_path):
    out = clf.predict([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert out["status"].tolist() == ["is not there"] * 2 and out["p_high"].isna().all()


@pytest.mark.parametrize("items, message", [
    ([3], "nothing can be predicted on a int"), ([(SR, np.zeros(900))], "give \\(y, sr\\), the sampling rate last"), ([None], "on a NoneType"),
])
def test_what_is_no_recording_at_all(items, message, clf):
    with pytest.raises(ValueError, match=message):
        clf.predict(items)


# ---------------------------------------------------------------------- folders that are none


def edited(change):
    """A change of the settings."""
    def edit(folder):
        settings = json.loads((folder / SETTINGS).read_text())
        change(settings)
        (folder / SETTINGS).write_text(json.dumps(settings))
    return edit


@pytest.mark.parametrize("damage, message", [
    (lambda f: (f / SETTINGS).write_text("{"), "classifier.json' is not JSON"),
    (lambda f: (f / SETTINGS).write_bytes(b"\xff\xfe"), "classifier.json' is not JSON"),
    (lambda f: (f / SETTINGS).write_text("[1]"), "is of format None; this specimg reads format 1"),
    (lambda f: (f / SETTINGS).unlink(), "is not a classifier .it has no classifier.json"),
    (lambda f: (f / WEIGHTS).unlink(), "cannot be loaded: FileNotFoundError"),
    (lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes()[:-50]), "cannot be loaded: SafetensorError"),
    (lambda f: (f / WEIGHTS).write_bytes(b""), "cannot be loaded: SafetensorError"),
    (edited(lambda s: s.update(format=9)), "is of format 9; this specimg reads format 1"),
    (edited(lambda s: s["renderer"]["representation"].update(kind="mell")), "cannot be loaded: .*did you mean 'mel'"),
    (edited(lambda s: s["network"].update(arch="test_efficientnet")), "cannot be loaded: RuntimeError"),
    (edited(lambda s: s["network"].update(arch="resnet3")), "cannot be loaded: .*unknown arch 'resnet3'"),
    (edited(lambda s: s.update(vocab=["a", "b"])), "2 labels for a network of 3"),
    (edited(lambda s: s.pop("is_multi")), "cannot be loaded: KeyError: 'is_multi'"),
    (edited(lambda s: s["fit"].update(method="zoom")), "unknown method 'zoom'"),
])
def test_a_damaged_folder_is_an_error_with_its_path(damage, message, saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "damaged")
    damage(folder)
    with pytest.raises(ValueError, match=message) as caught:
        load_classifier(folder)
    assert "damaged" in str(caught.value)


def test_weights_of_another_network(learn, saved, sounds, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "mixed")
    other = save_classifier(train(sounds, label_col="both", label_delim=" "), tmp_path / "other")
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    with pytest.raises(ValueError, match="mixed' cannot be loaded: .*size mismatch"):
        load_classifier(folder)


def test_paths_where_no_classifier_is(tmp_path, sounds):
    for path in (tmp_path / "nowhere", tmp_path, sounds.files[0]):
        with pytest.raises(ValueError, match="is not a classifier"):
            load_classifier(path)


# ---------------------------------------------------------------------- saving


def test_a_foreign_folder_is_left_alone(learn, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter one")
    with pytest.raises(ValueError, match="holds files that are no classifier; give a new folder"):
        save_classifier(learn, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_classifier_is_replaced_as_a_whole(learn, sounds, tmp_path, monkeypatch):
    folder = save_classifier(learn, tmp_path / "clf")
    other = train(sounds, label_col="both", label_delim=" ")
    assert load_classifier(save_classifier(other, folder)).is_multi
    monkeypatch.setattr("specimg.bundle.json.dumps", lambda *args, **kwargs: 1 / 0)      # killed between the two files
    with pytest.raises(ZeroDivisionError):
        save_classifier(learn, folder)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is not a classifier"):                         # not one's weights with the other's labels
        load_classifier(folder)
    assert load_classifier(save_classifier(learn, folder)).vocab == ["high", "label", "path"]


def test_a_learner_of_other_data_is_refused(learn, tmp_path):
    plain = SimpleNamespace(dls=SimpleNamespace(), model=learn.model)
    with pytest.raises(ValueError, match="train with SpecDataLoaders and spec_learner"):
        save_classifier(plain, tmp_path / "clf")
    assert not (tmp_path / "clf").exists()


def test_transforms_that_a_classifier_does_without_are_said(sounds, tmp_path):
    with pytest.warns(UserWarning, match="does without Resize, which validation has"):
        save_classifier(train(sounds, item_tfms=Resize((16, 30), method="squish")), tmp_path / "clf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_classifier(train(sounds), tmp_path / "plain")


def test_a_picture_is_no_recording(clf, sounds):
    out = clf.predict([LOOK(sounds.files[0]), Image.new("L", (9, 9))])
    assert out["label"].isna().all() and set(out["status"]) != {"ok"}


def test_several_labels_are_all_named(sounds, tmp_path):
    learn = train(sounds, label_col="both", label_delim=" ")
    table = load_classifier(save_classifier(learn, tmp_path / "several")).predict(sounds.files)
    vocab = table.attrs["vocab"]
    for row in table.itertuples():
        probs = table.loc[row.Index, [f"p_{label}" for label in vocab]]
        assert row.label == "; ".join(label for label, p in zip(vocab, probs) if p > 0.5)


def test_the_folder_of_a_run_points_to_its_classifier(saved):
    with pytest.raises(ValueError, match="did you mean '.*plain'"):
        load_classifier(saved.parent)
