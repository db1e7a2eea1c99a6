"""A classifier as a folder: the learner's own answers, from numbers and text alone; a folder that is none is refused."""

import json
import os
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from bundles import LOOK, MEL, SR, make_sounds, probabilities, train
from fastai.vision.all import Resize
from PIL import Image

from specimg.data import PictureInput
from specimg.data.images import SpecImage
from specimg.inference import GOLDEN, SETTINGS, WEIGHTS, load_classifier, save_classifier
from specimg.inference.folder import facts_of
from specimg.render.renderer import Renderer
from specimg.render.tree import render_tree
from specimg.spectrogram import Delta, Stack
from specimg.spectrogram.picture import Picture


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def learn(sounds):
    return train(sounds)


@pytest.fixture(scope="module")
def saved(learn, tmp_path_factory):
    return save_classifier(learn, tmp_path_factory.mktemp("bundles") / "plain")


@pytest.fixture(scope="module")
def clf(saved):
    return load_classifier(saved)


# ---------------------------------------------------------------------- there and back


@pytest.mark.parametrize(
    "options",
    [
        {},
        dict(method="crop", seconds=0.104, windows=3),
        dict(method="pad"),
        dict(size=(20, 31)),
        dict(label_col="both", label_delim=" "),
        dict(renderer=Renderer(Stack(MEL, Delta(MEL))), method="pad", seconds=0.5),
        dict(renderer=Renderer(MEL, Picture(colormap="magma"))),
    ],
    ids=["squish", "crop", "pad", "size", "multi-label", "2 channels", "colours"],
)
def test_a_classifier_says_what_its_learner_says(options, sounds, tmp_path):
    learn = train(sounds, **options)
    clf = load_classifier(save_classifier(learn, tmp_path / "clf"))
    out = clf.predict(sounds.files[:5], bs=2)
    wanted = np.stack([learn.predict(path)[2].numpy() for path in sounds.files[:5]])
    assert probabilities(out) == pytest.approx(wanted, abs=1e-6)
    assert (
        clf.vocab == list(learn.dls.vocab) and clf.is_multi == learn.dls.is_multi and clf.renderer == learn.dls.renderer
    )
    assert np.ptp(wanted) > 0.01


def all_files(folder):
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_a_folder_of_numbers_text_sounds_and_pictures(saved):
    clips = [
        f"golden/{i}-{label}" for i, label in enumerate(["high", "label", "path", "high"])
    ]  # the four that validate
    assert all_files(saved) == sorted(
        ["README.md", SETTINGS, WEIGHTS, "golden/golden.json", *(f"{c}.{end}" for c in clips for end in ("png", "wav"))]
    )
    for name in all_files(saved):
        data = (saved / name).read_bytes()
        assert not data.startswith((b"PK", b"\x80"))  # torch's zip archives, pickles


def test_the_settings_tell_everything(saved, learn):
    told = json.loads((saved / SETTINGS).read_text())
    assert (
        told["format"] == 2 and told["vocab"] == ["high", "label", "path"] and told["network"]["arch"] == "test_resnet"
    )
    assert {"specimg", "python", "torch", "timm", "librosa", "numpy", "pillow"} <= set(told["versions"])
    assert told["files"] == {
        name: facts_of((saved / name).read_bytes()) for name in all_files(saved) if name != SETTINGS
    }
    assert (
        told["training"]["clips"] == 14
        and told["training"]["held_out"] == 4
        and told["training"]["clips_of_label"] == {"high": 4, "label": 5, "path": 5}
    )
    [score] = told["training"]["scores"]
    assert (
        score["metric"] == "accuracy"
        and score["clips"] == 4
        and score["low"] <= score["score"] <= score["high"]
        and score["on"] == "validation"
    )
    assert told["calibration"]["temperature"] == 1 and told["calibration"]["clips"] == 0


def test_what_is_loaded_tells_how_it_was_trained(clf):
    assert (
        clf.about["training"]["network"] == "test_resnet"
        and clf.about["versions"]["torch"] == torch.__version__.split("+")[0]
    )


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
    assert probabilities(clf.predict(sounds.files, bs=bs)) == pytest.approx(
        probabilities(clf.predict(sounds.files)), abs=1e-6
    )


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
        assert (
            len(out) == 0
            and list(out.columns)[:4] == ["path", "label", "probability", "status"]
            and out.attrs["vocab"] == clf.vocab
        )


@pytest.mark.parametrize("bs", [1, 2, 32])
def test_bad_recordings_are_rows_with_their_reason(bs, clf, sounds, tmp_path):
    (tmp_path / "empty.wav").write_bytes(b"")
    items = [
        tmp_path / "gone.wav",
        sounds.files[0],
        tmp_path / "empty.wav",
        sounds.files[1],
        (np.full(900, np.nan), SR),
        tmp_path,
    ]
    out = clf.predict(items, bs=bs)
    assert out["status"].tolist() == [
        "is not there",
        "ok",
        "is empty (0 bytes)",
        "ok",
        "900 samples are NaN or infinite, the first at 0.000 s",
        "is a folder, not a recording",
    ]
    assert out["label"].notna().tolist() == [False, True, False, True, False, False]
    assert (out["probability"].notna() == out["label"].notna()).all()
    assert probabilities(out)[[1, 3]] == pytest.approx(probabilities(clf.predict(sounds.files[:2])), abs=1e-6)


def test_only_bad_recordings(clf, tmp_path):
    out = clf.predict([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert out["status"].tolist() == ["is not there"] * 2 and out["p_high"].isna().all()


@pytest.mark.parametrize(
    "items, message",
    [
        ([3], "nothing can be predicted on a int"),
        ([(SR, np.zeros(900))], "give \\(y, sr\\), the sampling rate last"),
        ([None], "on a NoneType"),
    ],
)
def test_what_is_no_recording_at_all(items, message, clf):
    with pytest.raises(ValueError, match=message):
        clf.predict(items)


# ---------------------------------------------------------------------- saving


def test_a_foreign_folder_is_left_alone(learn, tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter one")
    with pytest.raises(ValueError, match="holds thesis.txt, and no classifier; give a new folder, or an empty one"):
        save_classifier(learn, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_classifier_is_replaced_as_a_whole(learn, sounds, tmp_path, monkeypatch):
    folder = save_classifier(learn, tmp_path / "clf")
    other = train(sounds, label_col="both", label_delim=" ")
    assert load_classifier(save_classifier(other, folder)).is_multi
    monkeypatch.setattr("specimg.inference.save.write_card", lambda *args: 1 / 0)  # killed before the last file
    with pytest.raises(ZeroDivisionError):
        save_classifier(learn, folder)
    monkeypatch.undo()
    assert load_classifier(folder).is_multi and os.listdir(tmp_path) == ["clf"]
    assert load_classifier(save_classifier(learn, folder)).vocab == ["high", "label", "path"]


def test_a_learner_of_other_data_is_refused(learn, tmp_path):
    plain = SimpleNamespace(dls=SimpleNamespace(), model=learn.model)
    with pytest.raises(ValueError, match="train with SpecDataLoaders or WaveDataLoaders and spec_learner"):
        save_classifier(plain, tmp_path / "clf")
    assert not (tmp_path / "clf").exists()


def test_transforms_that_a_classifier_does_without_are_said(sounds, tmp_path):
    with pytest.warns(UserWarning, match="does without Resize, which validation has"):
        save_classifier(train(sounds, item_tfms=Resize((16, 30), method="squish")), tmp_path / "clf")
    plain = train(sounds)  # which warns that some of these recordings are equal
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_classifier(plain, tmp_path / "plain")


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


# ---------------------------------------------------------------------- the picture


@pytest.mark.parametrize(
    "look",
    [LOOK, Renderer(Stack(MEL, Delta(MEL))), Renderer(MEL, Picture(height=20, colormap="magma"))],
    ids=["grey", "2 channels", "colours"],
)
def test_the_picture_is_that_of_training_to_the_byte(look, sounds, tmp_path):
    learn = train(sounds, renderer=look)
    clf = load_classifier(save_classifier(learn, tmp_path / "clf", golden=0))
    tree = render_tree(sounds.files[:4], look, cache=tmp_path, root=sounds.folder, n_jobs=1)
    for path in sounds.files[:4]:
        stored = tree.picture(path).read_bytes()
        assert clf.renderer.png(path) == stored
        pixels = clf.input.transform(SpecImage.create(stored), split_idx=1).float().div(255)
        assert torch.equal(clf.to_input(path), torch.as_tensor(pixels))


def test_workers_draw_the_same(clf, sounds, monkeypatch):
    monkeypatch.setattr("specimg.core.parallel.WORTH_WORKERS", 0.0)  # as if there were hours of work
    files = sounds.files * 2  # more than one chunk, so that workers get some
    alone, together = clf.predict(files, n_jobs=1), clf.predict(files, n_jobs=2)
    pd.testing.assert_frame_equal(alone, together)


def test_a_long_list_is_prepared_in_rounds(clf, sounds, monkeypatch):
    monkeypatch.setattr("specimg.render.prepare.ROUND", 5)
    assert probabilities(clf.predict(sounds.files)) == pytest.approx(
        probabilities(clf.predict(sounds.files[:9] + sounds.files[9:])), abs=0
    )


# ---------------------------------------------------------------------- unsure, and embedded


def test_what_is_unsure_is_unknown(clf, sounds):
    whole = clf.predict(sounds.files)
    middle = float(whole["probability"].median())
    out = clf.predict([*sounds.files, "gone.wav"], reject_below=middle)
    low = out["probability"] < middle
    assert 0 < low.sum() < 18 and set(out["status"][low]) == {f"unsure: below {middle:g}"}
    assert (
        (out["label"][low] == "unknown").all()
        and out["label"].isna().tolist() == 18 * [False] + [True]
        and out["p_high"][low].notna().all()
    )
    rest = ~low.to_numpy()[:18]
    assert (
        out["label"][:18][rest].tolist() == whole["label"][rest].tolist() and out["status"].iloc[-1] == "is not there"
    )


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_share_that_is_none(value, clf, sounds):
    with pytest.raises(ValueError, match="reject_below=.* is a probability; give 0 to 1, or None"):
        clf.predict(sounds.files[:1], reject_below=value)


def test_a_batch_of_none(clf, sounds):
    with pytest.raises(ValueError, match="bs=0: give 1 or more"):
        clf.predict(sounds.files[:1], bs=0)


def test_embeddings_are_what_the_last_layer_sees(clf, learn, sounds):
    items = [sounds.files[0], "gone.wav", *sounds.files[1:4]]
    out = clf.embed(items, bs=2)
    assert out["path"].tolist() == list(map(str, items)) and out["status"].tolist() == [
        "ok",
        "is not there",
        "ok",
        "ok",
        "ok",
    ]
    features = out.filter(regex="^e_").to_numpy()
    assert np.isnan(features[1]).all() and features.shape[1] == 512
    last = learn.model[1][-1]
    with torch.no_grad():
        logits = last.cpu()(torch.from_numpy(features[[0, 2, 3, 4]]))
    wanted = probabilities(clf.predict(sounds.files[:4]))
    assert logits.softmax(1).numpy() == pytest.approx(wanted, abs=1e-5)


def test_nothing_to_embed(clf, tmp_path):
    assert list(clf.embed([]).columns) == ["path", "status"]
    assert clf.embed([tmp_path / "gone.wav"])["status"].tolist() == ["is not there"]


def test_a_network_that_diverged_says_so(clf, sounds):
    from copy import deepcopy
    from dataclasses import replace

    broken = replace(clf, model=deepcopy(clf.model))
    next(iter(broken.model.parameters())).data.fill_(float("nan"))
    out = broken.predict(sounds.files[:2])
    assert out["label"].isna().all() and set(out["status"]) == {"the network gives nan: its training diverged"}


# ---------------------------------------------------------------------- bad recordings, one by one


def bad_sounds(folder):
    """name -> (what is given, the status that is expected)"""
    y = (0.5 * np.sin(np.arange(3000) / 5)).astype("float32")
    files = {name: folder / f"{name}.wav" for name in ("rate", "stereo", "silent", "one", "none", "text", "cut")}
    sf.write(files["rate"], y, 11025)
    sf.write(files["stereo"], np.stack([y, y[::-1]], 1), SR)
    sf.write(files["silent"], np.zeros(3000), SR)
    sf.write(files["one"], np.zeros(1), SR)
    sf.write(files["none"], np.zeros(0), SR)
    files["text"].write_text("this is not a sound at all")
    whole = folder / "rate.wav"
    files["cut"].write_bytes(whole.read_bytes()[:-100])
    return files


def test_odd_recordings_are_answered_and_bad_ones_are_rows(clf, tmp_path):
    files = bad_sounds(tmp_path)
    out = clf.predict([files[name] for name in ("rate", "stereo", "silent", "one", "none", "text", "cut")], bs=3)
    status = dict(zip(("rate", "stereo", "silent", "one", "none", "text", "cut"), out["status"]))
    assert [status[name] for name in ("rate", "stereo", "silent", "one")] == ["ok"] * 4
    assert status["none"] == "holds no samples" and status["cut"].startswith(
        "is cut short: it ends 100 bytes before its header says; "
    )
    assert status["text"].startswith("is not a recording: it is text")
    assert out["label"].notna().tolist() == [True] * 4 + [False] * 3


def test_ten_hours_are_too_long_for_one_picture(clf, tmp_path):
    path = tmp_path / "night.wav"
    sf.write(path, np.zeros(0), SR, subtype="PCM_16")
    head = bytearray(path.read_bytes())
    seconds = 36_000
    head[4:8], head[40:44] = (36 + 2 * SR * seconds).to_bytes(4, "little"), (2 * SR * seconds).to_bytes(4, "little")
    path.write_bytes(bytes(head))
    with open(path, "r+b") as file:
        file.truncate(44 + 2 * SR * seconds)  # sparse: ten hours that take no room
    [status] = clf.predict(path)["status"]
    assert (
        status
        == "lasts 36000 s (288000000 samples), too long to be read at once; cut it into windows (predict_windows, cut_windows)"
    )


# ---------------------------------------------------------------------- fastai's own way


def test_fastai_exports_the_learner_too(learn, clf, sounds, tmp_path):
    from fastai.vision.all import load_learner

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fastai warns that it is a pickle
        learn.export(tmp_path / "learner.pkl")
        again = load_learner(tmp_path / "learner.pkl")
    said = np.stack([again.predict(path)[2].numpy() for path in sounds.files[:3]])
    assert said == pytest.approx(probabilities(clf.predict(sounds.files[:3])), abs=1e-6)


# ---------------------------------------------------------------------- what is saved, and from what


def test_a_classifier_can_be_saved_again(clf, sounds, tmp_path):
    folder = save_classifier(clf, tmp_path / "again", golden=0)
    again = load_classifier(folder)
    assert (probabilities(again.predict(sounds.files[:4])) == probabilities(clf.predict(sounds.files[:4]))).all()
    assert again.about["training"]["network"] == "test_resnet"


@pytest.mark.parametrize("trained", [3, "model.pth", torch.nn.Linear(2, 2)], ids=["number", "path", "module"])
def test_what_cannot_be_a_classifier(trained, tmp_path):
    with pytest.raises(
        ValueError, match="cannot be kept as a classifier; give a learner of spec_learner, a Run or a Classifier"
    ):
        save_classifier(trained, tmp_path / "clf")


@pytest.mark.parametrize("golden", [-1, 101])
def test_how_many_golden_clips(golden, learn, tmp_path):
    with pytest.raises(ValueError, match="give 0 to 100 clips"):
        save_classifier(learn, tmp_path / "clf", golden=golden)


def test_the_card_can_be_read(saved, tmp_path, sounds):
    card = (saved / "README.md").read_text()
    for text in (
        "# plain",
        "carries one label of 3",
        "pictures of 16 x 44 pixels, 'squish' drawn as mel16: the whole recording squeezed",
        "| path | 5 |",
        "clf = sp.load_classifier('plain')",
        "| accuracy | 0.",
        "Not fitted",
        "network: test\\_resnet",
        "`golden/` holds 4 recordings",
    ):
        assert text in card
    several = save_classifier(train(sounds, label_col="both", label_delim=" "), tmp_path / "several", calibrate=True)
    card = (several / "README.md").read_text()
    for text in (
        "may carry several labels of 5",
        "| label | clips of training | threshold |",
        "| lwlrap | 0.",
        "Temperature",
    ):
        assert text in card


def test_labels_cannot_break_the_card(sounds, tmp_path):
    from dataclasses import replace

    clf = load_classifier(save_classifier(train(sounds), tmp_path / "clf", golden=0))
    odd = replace(clf, vocab=["a|b &amp; \x1b[2J\u202e", "c\n# d", "<img src=x>"])
    card = (save_classifier(odd, tmp_path / "odd", golden=0) / "README.md").read_text()
    assert r"| a\|b &amp;amp; \\x1b\[2J\\u202e |" in card
    assert not any(ord(mark) < 32 and mark != "\n" for mark in card) and "\u202e" not in card
    assert "| c # d |" in card and "| \\<img src=x\\> |" in card


def test_what_could_not_be_loaded_is_not_saved(clf, tmp_path):
    from dataclasses import replace

    with pytest.raises(ValueError, match="vocab is .* it must be a list of different labels"):
        save_classifier(replace(clf, vocab=["a", "b", "a"]), tmp_path / "clf")
    assert not (tmp_path / "clf").exists()
    with pytest.raises(ValueError, match="renderer.representation.n_mels is 20000; it must be 16384 at most"):
        drawn = PictureInput(Renderer(MEL.replace(n_mels=20000)), clf.input.transform)
        save_classifier(replace(clf, input=drawn), tmp_path / "clf")


def test_a_readme_of_somebody_else_is_left_alone(learn, tmp_path):
    (tmp_path / "README.md").write_text("my thesis")
    with pytest.raises(ValueError, match="holds README.md, and no classifier"):
        save_classifier(learn, tmp_path)
    assert (tmp_path / "README.md").read_text() == "my thesis"


def test_a_smaller_one_leaves_nothing_of_a_larger(learn, tmp_path):
    folder = save_classifier(learn, tmp_path / "clf")
    assert len(all_files(folder)) == 12
    save_classifier(learn, folder, golden=0)
    assert all_files(folder) == ["README.md", SETTINGS, WEIGHTS]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_classifier(folder)


@pytest.mark.parametrize("step", ["write_golden", "write_card", "settings_of"])
def test_killed_at_any_step_it_is_no_classifier_and_can_be_saved_again(step, learn, tmp_path, monkeypatch):
    monkeypatch.setattr(f"specimg.inference.save.{step}", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_classifier(learn, tmp_path / "clf")
    monkeypatch.undo()
    with pytest.raises(ValueError, match="is not a classifier"):
        load_classifier(tmp_path / "clf")
    load_classifier(save_classifier(learn, tmp_path / "clf"))


def test_a_tree_without_recordings_gives_no_golden_clips(sounds, tmp_path):
    other = make_sounds(tmp_path)
    learn = train(other)
    for file in other.files:
        file.unlink()
    with pytest.warns(UserWarning, match="no golden clips are kept"):
        folder = save_classifier(learn, tmp_path / "clf")
    assert "golden" not in (folder / "README.md").read_text() and not (folder / GOLDEN / "golden.json").exists()
    load_classifier(folder)
