"""The demo from sounds to submission, small; its submission and its score by hand."""

import csv
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from specimg.cli import demo
from specimg.cli.demo import DemoResult, run_demo, score_submission, write_submission
from specimg.inference import load_classifier
from specimg.training import Recipe, learner, read_history

torch.set_num_threads(1)
RECIPE = Recipe(epochs=1, freeze_epochs=1, lr=3e-3, seed=0)
PICTURES = ["batch.png", "learning_curves.png", "confusion.png", "top_losses.png", "tsne.png"]
pytestmark = pytest.mark.filterwarnings("ignore:training from scratch", "ignore:.*seen once")


def run(folder, **kwargs):
    """(result, what was said) of a demo of 16 kinds of sound with 6 clips each."""
    said = []
    options = dict(arch="test_resnet", recipe=RECIPE, n_per_class=6, n_test=10, log=said.append)
    return run_demo(folder, **{**options, **kwargs}), said


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "here"
    result, said = run(folder)
    return SimpleNamespace(folder=folder, results=folder / "results", result=result, said="\n".join(said))


# ---------------------------------------------------------------------- the whole of it


def test_what_the_demo_found(done):
    found = done.result
    assert isinstance(found, DemoResult) and found.folder == done.folder
    assert found.chance == pytest.approx(15 / 16)  # one verified clip of each kind is held out
    assert len(found.interpretation.table) == 16
    assert found.error == pytest.approx(1 - found.interpretation.table["right"].mean())
    assert 0 <= found.linear_error < found.chance and 0 <= found.map3 <= 1
    for words in (
        "16 classes",
        "80 clips for training",
        "16 verified clips for validation",
        "NO PRETRAINED WEIGHTS",
        "13 rows in",
        f"{found.map3:.3f}",
    ):
        assert words in done.said


def test_a_pretrained_network_is_trained_beside_the_same_from_scratch(done, monkeypatch, tmp_path):
    """Here the weights are random: what is tested is the way, not what it is worth."""
    told = "test_resnet from here (package): 96 of 96 tensors match"
    monkeypatch.setattr(learner, "use_weights", lambda net, pretrained, weights: told if pretrained else None)
    result, said = run(tmp_path / "here")
    results, said = tmp_path / "here" / "results", "\n".join(said)
    assert f"weights: {told}" in said and "NO PRETRAINED" not in said
    assert "first the head alone, 1 epoch, then all layers, 1 epoch" in said
    assert "for comparison the same network from scratch, 2 epochs" in said
    assert f"test_resnet from scratch {result.scratch_error:.3f}, pretrained {result.error:.3f}" in said
    pretrained, scratch = read_history(results / "training"), read_history(results / "from_scratch")
    assert pretrained["phase"].tolist() == ["frozen", "unfrozen"] and scratch["phase"].tolist() == ["unfrozen"] * 2
    assert result.scratch_error == pytest.approx(scratch["error_rate"].iloc[-1])
    assert result.error == pytest.approx(pretrained["error_rate"].iloc[-1])
    assert "transfer.png" in said and (results / "transfer.png").stat().st_size > 5000
    assert done.result.scratch_error is None and not (done.results / "transfer.png").exists()


def test_wrong_labels_never_validate(done):
    train = pd.read_csv(done.folder / "train.csv")
    verified = set(train["fname"][train["manually_verified"] == 1])
    assert set(done.result.interpretation.table["path"]) <= verified


def test_the_pictures(done):
    for name in PICTURES:
        with Image.open(done.results / name) as image:
            image.load()
            assert min(image.size) > 200 and len(np.unique(np.asarray(image))) > 10
        assert name in done.said


def test_the_submission_has_the_samples_rows_in_their_order(done):
    with open(done.results / "submission.csv", newline="") as file:
        rows = list(csv.reader(file))
    with open(done.folder / "sample_submission.csv", newline="") as file:
        sample = list(csv.reader(file))
    assert rows[0] == ["fname", "label"] and len(rows) == 14
    assert [row[0] for row in rows] == [row[0] for row in sample]
    kinds = set(pd.read_csv(done.folder / "train.csv")["label"])
    for _, label in rows[1:]:
        assert len(set(label.split())) == 3 and set(label.split()) <= kinds


def test_empty_files_get_the_commonest_labels_of_training(done):
    submission = pd.read_csv(done.results / "submission.csv").set_index("fname")["label"]
    solution = pd.read_csv(done.folder / "solution.csv", keep_default_na=False).set_index("fname")["label"]
    empty = solution.index[solution == "None"]
    assert len(empty) == 3 and submission[empty].nunique() == 1
    for name in empty:
        assert f"{name}: " in done.said and "it gets the commonest labels" in done.said


def test_the_submission_is_the_classifiers_answer(done):
    clf = load_classifier(done.results / "classifier")
    out = clf.predict(done.folder / "audio_test")
    submission = pd.read_csv(done.results / "submission.csv").set_index("fname")["label"]
    for row in out[out["status"] == "ok"].itertuples():
        assert submission[row.path.rsplit("/", 1)[1]].split()[0] == row.label


def test_the_score_is_that_of_the_answers(done):
    submission = pd.read_csv(done.results / "submission.csv")
    answers = dict(csv.reader(open(done.folder / "solution.csv", newline="")))
    points = [
        1 / (1 + label.split().index(answers[name])) if answers[name] in label.split() else 0
        for name, label in submission.itertuples(index=False)
        if answers[name] != "None"
    ]
    assert len(points) == 10 and done.result.map3 == pytest.approx(np.mean(points))


# ---------------------------------------------------------------------- again


def test_a_demo_stopped_after_training_goes_on_with_the_trained_network(done, monkeypatch):
    def stop(*args):
        raise KeyboardInterrupt

    pictures = {p: p.stat().st_mtime_ns for p in (done.folder / "pictures").rglob("*.png")}
    (done.results / "left").write_text("of the first run")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(demo, "_draw_findings", stop)
        run(done.folder)  # finished before, so it begins anew
    assert not (done.results / "left").exists() and not (done.results / "finished").exists()
    history = (done.results / "training" / "history.csv").read_bytes()
    again, _ = run(done.folder)
    assert (done.results / "training" / "history.csv").read_bytes() == history
    assert (done.results / "finished").exists()
    assert (again.error, again.map3) == (done.result.error, done.result.map3)  # the seed repeats the run
    assert (
        len(pictures) == 96 and {p: p.stat().st_mtime_ns for p in (done.folder / "pictures").rglob("*.png")} == pictures
    )


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("chapter one")
    with pytest.raises(ValueError, match="thesis.txt"):
        run(tmp_path)


# ---------------------------------------------------------------------- by hand


def predictions(rows, vocab):
    """What a classifier says: rows of (path, status, probabilities)."""
    table = pd.DataFrame({"path": [r[0] for r in rows], "status": [r[1] for r in rows]})
    for i, label in enumerate(vocab):
        table[f"p_{label}"] = [r[2][i] for r in rows]
    table.attrs["vocab"] = vocab
    return table


NAN = [np.nan] * 4
VOCAB = ["Bark", "Cello", "Gong", "Meow"]


@pytest.fixture
def sample(tmp_path):
    (tmp_path / "sample.csv").write_text("fname,label\nc.wav,x\n001,x\na.wav,x\nempty.wav,x\ngone.wav,x\n")
    return tmp_path / "sample.csv"


def test_a_submission_by_hand(sample, tmp_path):
    said = predictions(
        [
            ("test/a.wav", "ok", [0.1, 0.2, 0.3, 0.4]),
            ("test/empty.wav", "is empty", NAN),
            ("test/c.wav", "ok", [0.7, 0.05, 0.15, 0.1]),
            ("test/001", "ok", [0.0, 0.0, 1.0, 0.0]),
            ("test/stray.wav", "ok", [1, 0, 0, 0]),
        ],
        VOCAB,
    )
    out = write_submission(said, sample, tmp_path / "new" / "submission.csv", ["Gong", "Bark", "Cello", "Meow"])
    text = (tmp_path / "new" / "submission.csv").read_text()
    assert text.splitlines()[:2] == ["fname,label", "c.wav,Bark Gong Meow"]
    assert text.splitlines()[2].startswith("001,Gong ")
    assert text.splitlines()[3:] == ["a.wav,Meow Gong Cello", "empty.wav,Gong Bark Cello", "gone.wav,Gong Bark Cello"]
    assert text.endswith("\n") and "\r" not in text
    assert out["label"].tolist() == [line.split(",")[1] for line in text.splitlines()[1:]]


def test_a_submission_of_fewer_labels_and_of_none_known(sample, tmp_path):
    said = predictions([("a.wav", "ok", [0.1, 0.2, 0.3, 0.4])], VOCAB)
    assert write_submission(said, sample, tmp_path / "s.csv", VOCAB, k=1)["label"].tolist() == [
        "Bark",
        "Bark",
        "Meow",
        "Bark",
        "Bark",
    ]
    none = predictions([("a.wav", "is empty", NAN)], VOCAB)
    assert set(write_submission(none, sample, tmp_path / "s.csv", VOCAB)["label"]) == {"Bark Cello Gong"}


def test_a_score_by_hand():
    submission = pd.DataFrame(
        {"fname": list("abcdef"), "label": ["Bark Gong", "Bark Gong Meow", "Gong Bark Meow", "Cello", "Bark", "Bark"]}
    )
    solution = pd.DataFrame({"fname": list("fedcba"), "label": ["None", "Owl", "Cello", "Meow", "Gong", "Bark"]})
    assert score_submission(submission, solution) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 + 0) / 5)


@pytest.mark.slow
def test_the_demo_makes_at_most_half_the_mistakes_of_the_linear_model(tmp_path):
    result = run_demo(tmp_path / "demo", log=lambda line: None)
    assert result.error <= result.linear_error / 2 and result.linear_error < result.chance / 2
