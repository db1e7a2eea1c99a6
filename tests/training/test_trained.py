"""Folders of trainings, whichever wrote them, are read alike: by `load_classifier`, `from_run`, `report` and the command line."""

import json

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

import specimg as sp
from specimg.cli import main
from specimg.training import Predictions, find_training
from specimg.training.trained import folder_kind, kind_of

SR = 8000
LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
OPTIONS = ["--arch", "mini_resnet", "--pretrained", "no", "--epochs", "1", "--bs", "4"]
DRAWING = ["--set", "n_mels=32", "n_fft=256", "hop_length=64"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Twelve tones of two kinds, and what fit, `specimg train` and cross_validate make of them: runs/fit, runs/train, runs/cv."""
    home = tmp_path_factory.mktemp("home")
    rng = np.random.default_rng(0)
    for label, hz in {"cat": 1500, "dog": 300}.items():
        (home / "clips" / label).mkdir(parents=True)
        for i in range(6):
            y = 0.4 * np.sin(2 * np.pi * hz * (1 + 0.02 * i) * np.arange(SR // 2) / SR)
            sf.write(home / "clips" / label / f"{i}.wav", y + 0.02 * rng.standard_normal(len(y)), SR)
    options = dict(bs=4, cache=home / "cache", progress=False, num_workers=0)
    dls = sp.SpecDataLoaders.from_folder(home / "clips", valid_pct=0.34, renderer=LOOK, **options)
    learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0, path=home)
    with learn.no_bar(), learn.no_logging():
        sp.fit(learn, sp.Recipe(epochs=2, freeze_epochs=0, lr=3e-3, best_model=True, seed=0), out=home / "runs/fit")
    sp.save_classifier(learn, home / "saved")
    comp = sp.Competition("tones", home / "clips", sp.labels_from_folders(home / "clips"))
    loaders, learner = dict(bs=4, cache=home / "cache", progress=False), dict(pretrained=False)
    recipe = sp.Recipe(epochs=1, lr=3e-3)
    sp.cross_validate(
        comp, LOOK, "mini_resnet", recipe, folds=2, out=home / "runs/cv", loaders=loaders, learner=learner, log=None
    )
    out = ["--out", str(home / "runs/train"), "--cache", str(home / "cache")]
    assert main(["train", str(home / "clips"), *out, *OPTIONS, *DRAWING]) == 0
    return home


@pytest.mark.parametrize(
    "names, kind",
    [
        ({"run.toml", "run.json", "folds.csv"}, "run"),
        ({"run.toml"}, "run"),  # Run.open names what is missing
        ({"recipe.toml", "training.json", "checkpoints"}, "training"),
        ({"recipe.toml", "run.json", "history.csv", "checkpoints"}, "training"),  # of version 0.1
        ({"predictions.npz", "classifier", "run", "confusion.png"}, "trained"),
        ({"predictions.npz"}, "none"),
        ({"recipe.toml"}, "none"),
        (set(), "none"),
    ],
)
def test_what_a_folder_is(names, kind):
    assert folder_kind(names) == kind


def test_what_a_folder_on_disk_is(home):
    names = ("runs/fit", "runs/train", "runs/train/training", "runs/cv", "saved", "nowhere")
    assert [kind_of(home / name) for name in names] == ["training", "trained", "training", "run", "none", "none"]


def test_fit_keeps_the_predictions_of_validation(home):
    kept = Predictions.load(home / "runs/fit/predictions.npz")
    assert kept.table["target"].tolist() and set(kept.table["target"]) == {"cat", "dog"} and kept.embeddings is not None
    own = sp.load_classifier(home / "saved").predict([home / "clips" / path for path in kept.table["path"]])
    np.testing.assert_allclose(own[["p_cat", "p_dog"]].to_numpy(), kept.probs, atol=1e-5)


def test_fit_leaves_them_out_where_asked(home, tmp_path):
    options = dict(bs=4, cache=home / "cache", progress=False, num_workers=0)
    dls = sp.SpecDataLoaders.from_folder(home / "clips", valid_pct=0.34, renderer=LOOK, **options)
    learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0, path=tmp_path)
    with learn.no_bar(), learn.no_logging():
        sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=3e-3), out=tmp_path / "fit", predictions=False)
    assert find_training(tmp_path / "fit").predictions is None
    with pytest.raises(ValueError, match="holds no predictions of validation clips"):
        sp.SpecInterpretation.from_run(tmp_path / "fit")


def test_a_training_folder_is_loaded_as_the_classifier_saved_of_it(home):
    loaded, saved = sp.load_classifier(home / "runs/fit"), sp.load_classifier(home / "saved")
    assert loaded.vocab == saved.vocab and loaded.renderer == LOOK and loaded.size == saved.size
    for name, tensor in saved.model.state_dict().items():
        assert torch.equal(tensor, loaded.model.state_dict()[name]), name


@pytest.mark.parametrize("name", ["runs/train", "runs/train/training"])
def test_what_train_wrote_is_loaded(home, name):
    assert sp.load_classifier(home / name).vocab == ["cat", "dog"]


def test_a_run_makes_one_classifier_as_keep_does(home, tmp_path):
    run = sp.Run.open(home / "runs/cv")
    sp.save_classifier(run, tmp_path / "kept", golden=0)
    kept, made = sp.load_classifier(tmp_path / "kept"), run.classifier()
    assert made.calibration == kept.calibration
    clips = home / "clips/cat"
    pd.testing.assert_frame_equal(made.predict(clips), kept.predict(clips))
    with pytest.raises(ValueError, match=r"is the run of a cross-validation; Run\.open\(.*\)\.classifier\(\) makes"):
        sp.load_classifier(home / "runs/cv")


def test_an_unfinished_training_says_so(home, tmp_path):
    import shutil

    half = shutil.copytree(home / "runs/fit", tmp_path / "half")
    text = (half / "recipe.toml").read_text()
    (half / "recipe.toml").write_text(text.replace("epochs = 2", "epochs = 5", 1))
    with pytest.warns(UserWarning, match="is not finished: its last epoch predicts"):
        sp.load_classifier(half)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda facts: facts.update(classifier=None), "does not say how recordings come to the network"),
        (lambda facts: facts["classifier"].update(vocab=["cat"]), "1 labels for a network of 2"),
        (lambda facts: facts["classifier"]["network"].update(arch="hf-hub:evil/model"), "network.arch is"),
        (lambda facts: facts["classifier"].update(code="x"), "unknown field of Settings 'code'"),
    ],
)
def test_a_training_folder_from_elsewhere_is_checked(home, tmp_path, change, message):
    import shutil

    other = shutil.copytree(home / "runs/fit", tmp_path / "other")
    facts = json.loads((other / "training.json").read_text())
    change(facts)
    (other / "training.json").write_text(json.dumps(facts))
    with pytest.raises(ValueError, match=f"other' cannot be loaded: .*{message}"):
        sp.load_classifier(other)


EVERY = pytest.mark.parametrize("name", ["runs/fit", "runs/train", "runs/cv"])


@EVERY
def test_every_folder_is_interpreted(home, name):
    interp = sp.SpecInterpretation.from_run(home / name)
    assert set(interp.table["target"]) == {"cat", "dog"} and len(interp.history)
    figure = interp.plot_top_losses(2, cam=True)
    assert len(figure.axes) >= 2


def test_a_training_has_no_folds(home):
    with pytest.raises(ValueError, match="fold=0 and seed=None name a network of a run; .*fit' holds one training"):
        sp.SpecInterpretation.from_run(home / "runs/fit", fold=0)


@EVERY
def test_every_folder_is_reported_reviewed_predicted_and_kept(home, name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, clip = str(home / name), str(home / "clips/cat/0.wav")
    assert main(["report", folder, "--cam", "0"]) == 0 and (tmp_path / "report.html").is_file()
    assert main(["review", folder]) == 0 and (tmp_path / "review.html").is_file()
    assert main(["predict", folder, clip]) == 0 and f"{clip}," in capsys.readouterr().out
    assert main(["windows", folder, clip, "--seconds", "0.5", "--out", "found.csv"]) == 0
    assert main(["keep", folder, "kept"]) == 0
    assert sp.load_classifier("kept").vocab == ["cat", "dog"] and (tmp_path / "kept/golden/golden.json").is_file()
