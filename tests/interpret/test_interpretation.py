"""Tables with known answers, and pictures of which the words, places and sizes can be read."""

import math
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import CrossEntropyLossFlat, DataLoader, DataLoaders, Learner, accuracy
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import nn

from specimg import Mel, Picture
from specimg.inference import load_classifier
from specimg.interpret import SpecInterpretation, statistics, tsne
from specimg.spectrogram import picture
from specimg.training import Predictions


def four(**changes):
    """Four clips of two labels; the third is predicted wrong."""
    paths, targets = ["a.wav", "b.wav", "c.wav", "d.wav"], ["no", "yes", "no", "yes"]
    given = {
        "table": pd.DataFrame({"path": paths, "target": targets, "loss": [0.1, 0.2, 2.0, 0.5]}),
        "probs": [[0.9, 0.1], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]],
        "vocab": ["no", "yes"],
        "embeddings": [[0, 0, 1], [5, 5, 1], [1, 0, 0], [5, 4, 0]],
    }
    return SpecInterpretation(Predictions(**{**given, **changes}))


def several(n=8):
    """Clips with any number of labels."""
    rng = np.random.default_rng(0)
    labels = ["rain", "wind", "owl"]
    targets = [[label for label in labels if rng.random() < 0.5] for _ in range(n)]
    table = pd.DataFrame({"path": [f"{i}.wav" for i in range(n)], "target": targets, "loss": rng.random(n)})
    return SpecInterpretation(Predictions(table, rng.random((n, 3)), labels, rng.normal(size=(n, 5)), is_multi=True))


def many(n, vocab, seed=0):
    """n clips, about a third wrong."""
    rng, c = np.random.default_rng(seed), len(vocab)
    actual = rng.integers(0, c, n)
    predicted = np.where(rng.random(n) < 0.33, rng.integers(0, c, n), actual)
    probs = np.full((n, c), 0.5 / c) + 0.5 * np.eye(c)[predicted]
    paths = [f"{i}.wav" for i in range(n)]
    table = pd.DataFrame({"path": paths, "target": [vocab[i] for i in actual], "loss": rng.random(n)})
    return SpecInterpretation(Predictions(table, probs, vocab, np.eye(c)[actual] + rng.normal(0, 0.3, (n, c))))


def words(figure):
    """Every text of a figure, as it is drawn."""
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def boxes(texts):
    """(x0, y0, x1, y1) in pixels of texts, once the figure is laid out."""
    texts[0].figure.draw_without_rendering()
    return [text.get_window_extent().extents for text in texts]


def overlap(a, b):
    return min(a[2], b[2]) > max(a[0], b[0]) + 1 and min(a[3], b[3]) > max(a[1], b[1]) + 1


# -- in numbers


def test_summary():
    facts = four().summary()
    assert facts["clips"] == 4 and facts["accuracy"] == 0.75 and facts["error rate"] == 0.25
    assert facts["MAP@3"] == pytest.approx((3 + 1 / 2) / 4)
    assert (facts["accuracy low"], facts["accuracy high"]) == pytest.approx((0.3006, 0.9544), abs=1e-3)  # 3 of 4
    assert repr(four()) == (
        "SpecInterpretation: 4 clips, accuracy 0.750 (95 % between 0.301 and 0.954), error rate 0.250, MAP@3 0.875"
    )
    assert "0.875" in four()._repr_html_()


def test_summary_of_several_labels_and_of_none():
    assert list(several().summary().index)[-1] == "LRAP"
    unlabelled = four(table=pd.DataFrame({"path": list("abcd")}))
    assert repr(unlabelled) == "SpecInterpretation: 4 clips, none with a target"
    with pytest.raises(ValueError, match="none of the 4 clips has a target"):
        unlabelled.confusion_matrix()


def test_confusion_matrix():
    table = four().confusion_matrix()
    assert table.to_numpy().tolist() == [[1, 1], [0, 2]]
    assert table.index.tolist() == table.columns.tolist() == ["no", "yes"]
    assert (table.index.name, table.columns.name) == ("actual", "predicted")
    assert four().confusion_matrix(normalize=True).to_numpy().tolist() == [[0.5, 0.5], [0, 1]]


def test_a_class_without_clips_has_no_rates():
    probs = np.pad(four().predictions.probs, ((0, 0), (0, 1)))
    rates = four(vocab=["no", "yes", "never"], probs=probs).confusion_matrix(normalize=True)
    assert rates.loc["never"].isna().all() and rates.loc["yes"].tolist() == [0, 1, 0]


def test_most_confused():
    predicted = [("x", "y"), ("x", "y"), ("x", "z"), ("y", "x"), ("z", "z"), ("z", "x"), ("z", "x"), ("z", "x")]
    table = pd.DataFrame({"path": [str(i) for i in range(8)], "target": [actual for actual, _ in predicted]})
    interp = SpecInterpretation(
        Predictions(table, np.eye(3)[["xyz".index(guess) for _, guess in predicted]], list("xyz"))
    )
    assert interp.most_confused() == [("z", "x", 3), ("x", "y", 2), ("x", "z", 1), ("y", "x", 1)]
    assert interp.most_confused(min_val=2) == [("z", "x", 3), ("x", "y", 2)]
    assert interp.most_confused(min_val=9) == []


def test_classification_report():
    report = four().classification_report()
    assert report.loc["no"].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 2])
    assert report.loc["yes"].tolist() == pytest.approx([2 / 3, 1, 4 / 5, 2])
    assert report.loc["accuracy"].tolist() == [0.75, 0.75, 0.75, 4]
    assert report.loc["macro avg", "precision"] == pytest.approx(5 / 6)


def test_classification_report_is_scikit_learns():
    from sklearn.metrics import classification_report

    interp = many(200, [f"c{i}" for i in range(7)])
    theirs = classification_report(
        interp.table["target"], interp.table["prediction"], labels=interp.vocab, output_dict=True, zero_division=0
    )
    for name, row in interp.classification_report().drop("accuracy").iterrows():
        assert row.to_dict() == pytest.approx(theirs[name]), name


def test_a_label_may_be_called_like_an_average():
    table = pd.DataFrame({"path": list("ab"), "target": ["accuracy", "macro avg"]})
    report = SpecInterpretation(Predictions(table, np.eye(2), ["accuracy", "macro avg"])).classification_report()
    assert report.index.tolist() == ["accuracy", "macro avg", "accuracy", "macro avg", "weighted avg"]


def test_several_labels_have_a_report_but_no_confusion():
    interp = several()
    averages = ["micro avg", "macro avg", "weighted avg"]
    assert interp.classification_report().index.tolist() == ["rain", "wind", "owl", *averages]
    for ask in (interp.confusion_matrix, interp.most_confused, interp.plot_confusion_matrix):
        with pytest.raises(ValueError, match="needs one label per clip.*use classification_report"):
            ask()


def test_top_losses():
    assert four().top_losses(2)["path"].tolist() == ["c.wav", "d.wav"]
    assert four().top_losses(2, largest=False)["path"].tolist() == ["a.wav", "b.wav"]
    assert len(four().top_losses()) == 4
    with pytest.raises(ValueError, match="k=0: give at least 1"):
        four().top_losses(0)


def test_a_loss_of_nan_is_the_worst():
    targets, losses = ["no", "yes", None, "no"], [1.0, np.nan, np.nan, 3.0]
    table = pd.DataFrame({"path": list("abcd"), "target": targets, "loss": losses})
    assert four(table=table).top_losses()["path"].tolist() == ["b", "d", "a"]  # c has no label, so no loss


def test_diverged_network():
    probs = [[np.nan, np.nan], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]]
    interp = four(probs=probs, embeddings=np.full((4, 3), np.nan))
    assert interp.confusion_matrix().to_numpy().tolist() == [[0, 1], [0, 2]]
    assert interp.summary()["accuracy"] == 0.5 and math.isnan(interp.summary()["MAP@3"])
    report = interp.classification_report()
    assert report.loc["no", "recall"] == 0 and report.loc["accuracy", "recall"] == 0.5
    assert any("1 without a prediction left out" in word for word in words(interp.plot_confusion_matrix()))
    for on in ("embeddings", "probabilities"):
        with pytest.raises(ValueError, match=f"the {on} of . clips? hold NaN or inf"):
            interp.tsne(on)


def test_no_clips():
    with pytest.raises(ValueError, match="hold no clips.*valid_pct"):
        SpecInterpretation(four().predictions.subset([False] * 4))


# -- t-SNE


@pytest.mark.parametrize("n, wanted, used", [(4, 30, 1.0), (10, 30, 3.0), (31, 9, 9.0), (10, 2, 2.0)])
def test_perplexity_is_lowered_and_reported(n, wanted, used):
    interp = many(n, ["x", "y"])
    places = interp.tsne(perplexity=wanted)
    assert places.attrs["perplexity"] == used and len(places) == n
    assert np.isfinite(places[["x", "y"]]).all(axis=None)
    title = interp.plot_tsne(perplexity=wanted).axes[0].get_title()
    assert title.startswith(f"t-SNE on embeddings, perplexity {used:g}")
    assert (f"lowered from {wanted}: {n} clips allow no more" in title) == (used < wanted)


def test_tsne_keeps_classes_apart_and_repeats():
    places = many(60, ["x", "y"]).tsne(perplexity=10)
    middle = places.groupby("class")[["x", "y"]].median()
    away = [np.linalg.norm(places[["x", "y"]] - middle.loc[label], axis=1) for label in ("x", "y")]
    assert ((away[0] < away[1]) == (places["class"] == "x")).mean() > 0.95
    pd.testing.assert_frame_equal(places, many(60, ["x", "y"]).tsne(perplexity=10))


def test_tsne_is_computed_once_for_each_setting(monkeypatch):
    calls = []
    original = tsne.TSNE
    monkeypatch.setattr(tsne, "TSNE", lambda **kwargs: calls.append(kwargs) or original(**kwargs))
    interp = many(12, ["x", "y"])
    handed_out = interp.tsne()
    handed_out["x"] = 0.0
    interp.plot_tsne()
    interp.plot_tsne(names=False)
    assert len(calls) == 1 and interp.tsne()["x"].ne(0).any()
    interp.tsne(seed=1)
    interp.tsne("probabilities")
    assert len(calls) == 3
    assert not {"n_iter", "max_iter"} & set(calls[0])  # scikit-learn 1.2 and 1.9 agree on neither


@pytest.mark.parametrize(
    "changes, on, message",
    [
        (
            {"embeddings": None},
            "embeddings",
            "hold no embeddings; predict with embeddings=True, take one network of a run",
        ),
        ({}, "pixels", "unknown features 'pixels'; choose one of embeddings, probabilities"),
    ],
)
def test_tsne_says_what_it_needs(changes, on, message):
    with pytest.raises(ValueError, match=message):
        four(**changes).plot_tsne(on)


def test_tsne_of_too_few_clips_or_no_neighbours():
    with pytest.raises(ValueError, match="at least 4 clips and there are 3"):
        SpecInterpretation(four().predictions.subset([0, 1, 2])).plot_tsne()
    with pytest.raises(ValueError, match="perplexity=0: give a number above 0"):
        four().tsne(perplexity=0)


@pytest.mark.parametrize("on", ["embeddings", "probabilities"])
def test_tsne_of_one_class_and_of_equal_clips(on):
    table = pd.DataFrame({"path": list("abcde"), "target": ["x"] * 5})
    interp = SpecInterpretation(Predictions(table, np.ones((5, 1)), ["x"], np.ones((5, 1))))
    assert np.isfinite(interp.tsne(on)[["x", "y"]]).all(axis=None)
    assert "x" in words(interp.plot_tsne(on))


def test_tsne_colours_by_target_else_by_prediction():
    assert four().tsne()["class"].tolist() == ["no", "yes", "no", "yes"]
    assert four(table=pd.DataFrame({"path": list("abcd")})).tsne()["class"].tolist() == ["no", "yes", "yes", "yes"]
    labels = several().table["target"]
    assert several().tsne()["class"].tolist() == [target[0] if target else "none" for target in labels]


def test_tsne_marks_what_is_wrong():
    figure = four().plot_tsne()
    assert any("black edge: predicted wrong, 1 of 4" in word for word in words(figure))
    drawn = [dots for dots in figure.axes[0].collections if len(dots.get_offsets())]
    black = [dots for dots in drawn if np.allclose(dots.get_edgecolor()[0], [0, 0, 0, 1])]
    places = four().tsne()
    assert [dots.get_offsets().tolist() for dots in black] == [[[places.at[2, "x"], places.at[2, "y"]]]]


@pytest.mark.parametrize("n_classes", [3, 41])
def test_tsne_names_do_not_overlap_and_stay_inside(n_classes):
    interp = many(4 * n_classes, [f"a rather long label {i}" for i in range(n_classes)])
    figure = interp.plot_tsne()
    names = [text for text in figure.axes[0].texts if text.get_text().startswith("a rather")]
    assert len(names) == len(set(interp.table["target"]))
    extents, frame = np.array(boxes(names)), figure.axes[0].get_window_extent().extents
    assert not any(overlap(a, b) for i, a in enumerate(extents) for b in extents[:i])
    assert (extents[:, :2] >= frame[:2] - 1).all() and (extents[:, 2:] <= frame[2:] + 1).all()


def test_tsne_legend_instead_of_names():
    figure = many(40, ["x", "y", "z"]).plot_tsne(names=False)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["x", "y", "z"]
    assert not figure.axes[0].texts


def test_tsne_thumbnails(tmp_path):
    from matplotlib.offsetbox import AnnotationBbox

    Image.new("L", (30, 20), 128).save(tmp_path / "a.png")
    pictures = [str(tmp_path / "a.png"), str(tmp_path / "gone.png"), str(tmp_path), ""]
    table = pd.DataFrame({"path": list("abcd"), "picture": pictures})
    figure = four(table=table).plot_tsne(thumbnails=True)
    drawn = [child for child in figure.axes[0].get_children() if isinstance(child, AnnotationBbox)]
    assert len(drawn) == 1 and drawn[0].xy == tuple(four(table=table).tsne()[["x", "y"]].iloc[0])


# -- pictures


ODD = ["<script>", "$x_1$", "a\nb", "a very long label of a sound that nobody can name in a few words"]


def test_labels_are_drawn_as_they_are():
    interp = many(24, ODD)
    for figure in (interp.plot_confusion_matrix(), interp.plot_tsne(), interp.plot_tsne(names=False)):
        drawn = words(figure)
        assert "<script>" in drawn and "$x_1$" in drawn and "a b" in drawn
        assert not any("nobody can name in a few" in word for word in drawn)
        assert all(not text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())
        figure.savefig(BytesIO())


@pytest.fixture
def tree(tmp_path):
    """Two pictures that specimg drew: clips of 1 second at 8 kHz."""
    mel = Mel(n_mels=20, n_fft=512, hop_length=256)
    for name in ("a", "b"):
        x = mel(np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32), 8000)
        (tmp_path / f"{name}.wav.png").write_bytes(picture.encode(x, mel, Picture(), 8000))
    Image.new("L", (30, 20), 128).save(tmp_path / "plain.png")
    (tmp_path / "text.png").write_text("no picture")
    return tmp_path


def with_pictures(tree, *names):
    table = four().table.assign(picture=[str(tree / name) for name in names])
    return four(table=table)


def test_top_losses_stand_on_seconds_and_hertz(tree):
    figure = with_pictures(tree, "gone.png", "plain.png", "a.wav.png", "text.png").plot_top_losses(4)
    worst, second, third, least = figure.axes
    assert (worst.get_xlabel(), worst.get_ylabel()) == ("seconds", "Hz")
    assert worst.get_xlim()[1] == pytest.approx(1.0, abs=0.1)
    assert worst.get_title() == "predicted yes 0.75\nactual no 0.25, loss 2.00\nc.wav"
    assert second.texts[0].get_text() == "picture unreadable"
    assert (third.get_xlabel(), third.get_ylabel()) == ("pixels", "pixels") and third.images
    assert least.texts[0].get_text() == "picture missing" and not least.images


def test_top_losses_of_odd_names(tree):
    path = "in/a/$folder$/" + "long" * 30 + ".wav"
    table = pd.DataFrame({"path": [path], "target": ["$x_1$"], "loss": [1.0], "picture": [str(tree / "a.wav.png")]})
    figure = SpecInterpretation(Predictions(table, [[0.3, 0.7]], ["$x_1$", "y"])).plot_top_losses()
    title = figure.axes[0].title
    assert not title.get_parse_math() and title.get_text().split("\n")[1] == "actual $x_1$ 0.30, loss 1.00"
    left, _, right, _ = boxes([title])[0]
    assert 0 <= left and right <= figure.bbox.width


@pytest.mark.parametrize("k, shape", [(1, (1, 1)), (2, (1, 2)), (3, (2, 2)), (4, (2, 2)), (9, (2, 2))])
def test_top_losses_fill_a_grid(tree, k, shape):
    figure = with_pictures(tree, *["a.wav.png"] * 4).plot_top_losses(k)
    assert figure.axes[0].get_gridspec().get_geometry() == shape
    assert sum(bool(ax.images) for ax in figure.axes) == min(k, 4)


def test_top_losses_on_given_axes(tree):
    interp = with_pictures(tree, *["b.wav.png"] * 4)
    figure = Figure()
    axes = figure.subplots(1, 3)
    assert interp.plot_top_losses(2, ax=axes) is figure and [bool(ax.images) for ax in axes] == [True, True, False]
    with pytest.raises(ValueError, match="3 axes for 4 clips"):
        interp.plot_top_losses(4, ax=axes)


def test_top_losses_of_several_labels():
    figure = several().plot_top_losses(2)
    worst = several().top_losses(1).iloc[0]
    actual = ", ".join(worst["target"]) or "none"
    assert figure.axes[0].get_title().split("\n")[1] == f"actual {actual}, loss {worst['loss']:.2f}"


@pytest.mark.parametrize("n_classes, numbers", [(1, True), (3, True), (41, True), (300, False)])
def test_confusion_matrix_grows_with_its_classes(n_classes, numbers):
    figure = many(3 * n_classes, [f"label {i}" for i in range(n_classes)]).plot_confusion_matrix()
    figure.draw_without_rendering()
    ax = figure.axes[0]
    assert bool(ax.texts) == numbers
    assert ax.get_xlabel() == "predicted" and ax.get_ylabel() == "actual"
    names = [label for label in ax.get_yticklabels() if label.get_text()]
    extents = boxes(names)
    assert not any(overlap(a, b) for a, b in zip(extents, extents[1:]))
    assert min(extent[0] for extent in extents) >= 0  # nothing is cut off
    assert max(extent[3] for extent in boxes(ax.texts)) <= figure.bbox.height if numbers else True


@pytest.mark.parametrize("normalize, numbers", [(False, {"1", "0", "2"}), (True, {"0.50", "0", "1.00"})])
def test_confusion_matrix_says_its_numbers(normalize, numbers):
    assert {text.get_text() for text in four().plot_confusion_matrix(normalize).axes[0].texts} == numbers


@pytest.mark.parametrize(
    "names, rotation",
    [
        ("0123456789", 0),
        (["one", "two", "three", "four", "five"], 0),
        (["Acoustic_guitar", "Saxophone", "Snare_drum", "Bass_drum", "Oboe"], 90),
    ],
)
def test_names_below_a_confusion_matrix_lie_where_there_is_room(names, rotation):
    figure = many(30, list(names)).plot_confusion_matrix()
    figure.draw_without_rendering()
    below = figure.axes[0].get_xticklabels()
    assert {label.get_rotation() for label in below} == {rotation}
    extents = boxes(below)
    assert not any(overlap(a, b) for a, b in zip(extents, extents[1:]))


def test_confusion_matrix_on_small_axes_has_a_scale_instead_of_numbers():
    figure = Figure(figsize=(3, 3))
    ax = figure.add_subplot()
    assert many(90, [f"label {i}" for i in range(30)]).plot_confusion_matrix(ax=ax) is figure
    assert not ax.texts and ax.child_axes


# -- training


HISTORY = pd.DataFrame(
    {
        "phase": ["frozen", "unfrozen", "unfrozen"],
        "epoch": [1, 2, 3],
        "lr": [0.01, 0.005, 0.001],
        "train_loss": [3.0, 2.0, 1.0],
        "valid_loss": [3.5, 2.5, 2.0],
        "accuracy": [0.1, 0.4, 0.5],
        "seconds": [9.0, 9.0, 9.0],
    }
)


def test_learning_curves():
    figure = four().plot_learning_curves(HISTORY)
    left, right = figure.axes
    assert [line.get_ydata().tolist() for line in left.lines] == [[3, 2, 1], [3.5, 2.5, 2]]
    assert [line.get_ydata().tolist() for line in right.lines] == [[0.1, 0.4, 0.5]]
    legend = [text.get_text() for text in left.get_legend().get_texts()]
    assert legend == ["train loss", "valid loss", "accuracy", "body frozen"]
    assert left.get_xlabel() == "epoch" and left.get_ylabel() == "loss"


def test_learning_curves_without_metrics_or_phases():
    figure = four().plot_learning_curves(HISTORY[["train_loss", "valid_loss"]])
    assert len(figure.axes) == 1 and len(figure.axes[0].get_legend().get_texts()) == 2


def test_rates_over_epochs_or_iterations():
    by_epoch = SpecInterpretation(four().predictions, history=HISTORY).plot_lr().axes[0]
    assert all(tick == int(tick) for tick in by_epoch.get_xticks())  # no epoch 1.5
    assert by_epoch.get_xlabel() == "epoch" and by_epoch.lines[0].get_ydata().tolist() == [0.01, 0.005, 0.001]
    by_iteration = SpecInterpretation(four().predictions, history=HISTORY, rates=[1, 2]).plot_lr().axes[0]
    assert by_iteration.get_xlabel() == "iteration" and by_iteration.lines[0].get_ydata().tolist() == [1, 2]


@pytest.mark.parametrize("plot", ["plot_learning_curves", "plot_lr"])
def test_no_training_to_draw(plot):
    with pytest.raises(ValueError, match="make the interpretation from the learner"):
        getattr(four(), plot)()


@pytest.fixture(scope="module")
def learn():
    """A tiny learner, fitted for two epochs."""
    torch.manual_seed(0)
    data = [(torch.randn(6), torch.tensor(i % 2)) for i in range(10)]
    dls = DataLoaders(*(DataLoader(data, bs=4, num_workers=0) for _ in range(2)))
    dls.vocab = ["no", "yes"]
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 2))
    learner = Learner(dls, model, CrossEntropyLossFlat(), metrics=accuracy, path=".")
    learner.remove_cb(learner.progress)
    with learner.no_logging():
        learner.fit_one_cycle(2, 0.1)
    return learner


def test_from_learner_keeps_the_last_fit(learn):
    values = [list(row) for row in learn.recorder.values]
    interp = SpecInterpretation.from_learner(learn)
    assert list(interp.history) == ["train_loss", "valid_loss", "accuracy", "phase", "epoch"]
    np.testing.assert_allclose(interp.history[["train_loss", "valid_loss", "accuracy"]], values)
    assert len(interp.rates) == 6 and max(interp.rates) == pytest.approx(0.1, rel=0.05)
    assert len(interp.table) == 10 and interp.predictions.embeddings.shape == (10, 4)
    assert interp.summary()["accuracy"] == pytest.approx(values[-1][2])
    for figure in (interp.plot_learning_curves(), interp.plot_lr(), interp.plot_tsne(), interp.plot_confusion_matrix()):
        assert isinstance(figure, Figure)


def test_from_learner_asks_the_network_once(learn):
    sizes = []
    handle = learn.model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0])))
    interp = SpecInterpretation.from_learner(learn, embeddings=False)
    for ask in (interp.most_confused, interp.classification_report, interp.plot_confusion_matrix, interp.summary):
        ask()
    handle.remove()
    assert sizes == [4, 4, 2]


def test_a_recorder_emptied_by_fastai_is_no_history(learn):
    learn.validate()
    with pytest.raises(ValueError, match="no epochs to draw.*before fastai's validate or get_preds empties"):
        SpecInterpretation.from_learner(learn).plot_learning_curves()


def test_a_recipes_history_comes_first(learn, monkeypatch):
    monkeypatch.setattr(learn, "history", HISTORY, raising=False)
    interp = SpecInterpretation.from_learner(learn, dl=learn.dls.train)
    pd.testing.assert_frame_equal(interp.history, HISTORY)


def test_a_plot_is_pyplots_current_figure():
    import matplotlib.pyplot as plt

    interp = SpecInterpretation(four().predictions, HISTORY)
    for plot in (interp.plot_tsne, interp.plot_top_losses, interp.plot_confusion_matrix, interp.plot_learning_curves):
        assert plot() is plt.gcf()


# -- confusion in another order, and its cells


def predicted(*pairs, vocab="wxyz", **columns):
    """One clip for each (actual, predicted)."""
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(len(pairs))], "target": [pair[0] for pair in pairs], **columns}
    )
    return SpecInterpretation(
        Predictions(table, 0.9 * np.eye(len(vocab))[[vocab.index(guess) for _, guess in pairs]], list(vocab))
    )


def test_clusters_put_confused_classes_side_by_side():
    pairs = [*zip("wxyz", "wxyz")] * 3 + [("w", "y"), ("y", "w"), ("x", "z"), ("x", "z")]
    interp = predicted(*pairs)
    plain, ordered = interp.confusion_matrix(), interp.confusion_matrix(order="clusters")
    names = ordered.index.tolist()
    assert sorted(names) == list("wxyz") and ordered.columns.tolist() == names
    assert abs(names.index("w") - names.index("y")) == abs(names.index("x") - names.index("z")) == 1
    pd.testing.assert_frame_equal(ordered.loc[list("wxyz"), list("wxyz")], plain)
    figure = interp.plot_confusion_matrix(order="clusters")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == names
    assert "in clusters" in figure.axes[0].get_title()
    with pytest.raises(ValueError, match="unknown order of classes 'cluster'; did you mean 'clusters'"):
        interp.confusion_matrix(order="cluster")


def test_clusters_weigh_rates_not_counts():
    pairs = (
        [("w", "w")] * 90 + [("w", "x")] * 9 + [("x", "x")] * 90 + [("y", "x")] + [("z", "z")] * 3
    )  # all of y, a tenth of w
    order = predicted(*pairs).confusion_matrix(order="clusters").index.tolist()
    assert abs(order.index("x") - order.index("y")) == 1


@pytest.mark.parametrize("vocab", ["w", "wx"])
def test_one_and_two_classes_have_one_order(vocab):
    assert predicted(*zip(vocab, vocab), vocab=vocab).confusion_matrix(order="clusters").index.tolist() == list(vocab)


def test_clips_of_a_cell():
    found = four().clips_of("no", "yes")
    assert found["path"].tolist() == ["c.wav"] and found.index.tolist() == [2]
    assert four().clips_of("yes", "no").empty
    assert four().clips_of("yes", "yes")["confidence"].tolist() == pytest.approx([0.8, 0.6])  # the surest first
    with pytest.raises(ValueError, match="unknown label 'maybe'"):
        four().clips_of("no", "maybe")


def test_most_confused_pairs_with_examples(tree):
    figure = with_pictures(tree, *["a.wav.png"] * 4).plot_most_confused(k_pairs=3, examples=2)
    first, empty = figure.axes
    assert first.get_title().strip() == "c.wav\npredicted 0.75, actual 0.25" and first.images and not empty.axison
    assert "no predicted as yes: 1 of 2 clips" in words(figure)
    top = boxes([text for text in figure.findobj(Text) if "predicted as" in text.get_text()])[0]
    assert top[3] <= figure.bbox.height and not overlap(
        top, boxes([first.title])[0][:3] + [boxes([first.title])[0][3] - 40]
    )


def test_most_confused_of_nothing_or_on_few_axes(tree):
    with pytest.raises(ValueError, match="no clip is misclassified"):
        predicted(("w", "w")).plot_most_confused()
    with pytest.raises(ValueError, match="examples=0: give at least 1"):
        four().plot_most_confused(examples=0)
    with pytest.raises(ValueError, match="2 axes for 3 examples"):
        four().plot_most_confused(ax=Figure().subplots(1, 2))


# -- scores of classes and groups


def names_of(figure):
    """The rows of all columns, from the top."""
    return [label.get_text() for ax in figure.axes for label in ax.get_yticklabels()]


def test_class_scores_are_those_of_the_report():
    figure = four().plot_class_scores()
    ax = figure.axes[0]
    precision, recall, f1 = (dots.get_offsets()[:, 0].tolist() for dots in ax.collections[1:4])
    assert names_of(figure) == ["yes", "no"]  # by F1
    assert (precision, recall, f1) == (
        pytest.approx([2 / 3, 1]),
        pytest.approx([1, 1 / 2]),
        pytest.approx([4 / 5, 2 / 3]),
    )
    assert (
        names_of(four().plot_class_scores("precision")) == names_of(four().plot_class_scores("vocab")) == ["no", "yes"]
    )
    assert any("macro F1 0.733" in word for word in words(figure)) and ax.get_xlabel() == "score (0 to 1)"
    with pytest.raises(ValueError, match="unknown order of classes 'f1'; choose one of f1-score, precision"):
        four().plot_class_scores("f1")


def test_a_class_without_clips_says_so():
    probs = np.pad(four().predictions.probs, ((0, 0), (0, 1)))
    figure = four(vocab=["no", "yes", "a never"], probs=probs).plot_class_scores()
    assert names_of(figure)[-1] == "a never" and "no clips" in words(figure)


@pytest.mark.parametrize("n_classes, columns", [(1, 1), (41, 1), (70, 2)])
def test_class_scores_can_be_read(n_classes, columns):
    figure = many(3 * n_classes, [f"a label of length {i}" for i in range(n_classes)]).plot_class_scores()
    assert len(figure.axes) == columns and len(names_of(figure)) == n_classes
    for ax in figure.axes:
        extents = boxes(ax.get_yticklabels())
        assert not any(overlap(a, b) for a, b in zip(extents, extents[1:]))
        assert (
            min(extent[0] for extent in extents) >= 0
            and max(extent[3] for extent in boxes(ax.texts)) <= figure.bbox.height
        )
    assert max(extent[2] for extent in boxes(figure.axes[-1].texts)) <= figure.bbox.width


def test_rows_on_given_axes_leave_names_out():
    figure = Figure(figsize=(4, 3))
    ax = figure.add_subplot()
    assert many(300, [f"label {i}" for i in range(100)]).plot_class_scores(ax=ax) is figure
    assert 20 < len(ax.get_yticks()) < 50 and len(figure.axes) == 1 and "macro F1" in ax.get_title()


def grouped(**columns):
    return four(table=four().table[["path", "target", "loss"]].assign(**columns))


def test_by_group():
    found = grouped(group=["ann", "bob", "bob", None]).by_group("group", metric="map@3")
    assert found.index.tolist() == ["ann", "bob", "(unknown)"] and found.index.name == "group"
    assert found["clips"].tolist() == [1, 2, 1] and found["accuracy"].tolist() == [1, 0.5, 1]
    assert found["loss"].tolist() == pytest.approx([0.1, 1.1, 0.5]) and found["map@3"].tolist() == [1, 0.75, 1]
    assert found.loc["bob", ["low", "high"]].tolist() == pytest.approx([0.0945, 0.9055], abs=1e-3)  # 1 of 2


def test_by_group_of_numbers_of_truth_and_of_labels():
    assert grouped(fold=[10, 9, 9, 10]).by_group("fold").index.tolist() == [9, 10]
    assert grouped(verified=[True, False, True, True]).by_group("verified")["clips"].to_dict() == {False: 1, True: 3}
    assert four().by_group("target")["accuracy"].to_dict() == {"no": 0.5, "yes": 1}
    assert {"none", "rain, owl"} < set(several(20).by_group("target").index)


def test_by_group_joins_a_series_by_path():
    verified = pd.Series([True, True, False], index=["c.wav", "z.wav", "a.wav"], name="verified")
    found = four().by_group(verified)
    assert found.index.name == "verified" and found["clips"].to_dict() == {False: 1, True: 1, "(unknown)": 2}
    with pytest.raises(
        ValueError, match=r"the groups are of z.wav, none of which is a path.*\(a.wav, b.wav, c.wav, ...\)"
    ):
        four().by_group(verified.iloc[1:2])
    with pytest.raises(ValueError, match="name c.wav more than once"):
        four().by_group(pd.concat([verified, verified[:1]]))


def test_by_group_of_what_cannot_be_grouped_or_scored():
    with pytest.raises(ValueError, match="unknown group column 'grup'; did you mean 'group'"):
        grouped(group=list("aabb")).by_group("grup")
    with pytest.raises(ValueError, match="none of the 4 clips has a target"):
        four(table=pd.DataFrame({"path": list("abcd")})).by_group("path")
    targets = [["rain"], ["owl"], [], []]
    table = pd.DataFrame({"path": list("abcd"), "target": targets, "group": list("xxyy")})
    interp = SpecInterpretation(Predictions(table, np.full((4, 3), 0.3), ["rain", "wind", "owl"], is_multi=True))
    assert interp.by_group("group", "lwlrap")["lwlrap"].isna().tolist() == [False, True]  # no label, no rank
    probs = [[np.nan, np.nan], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]]
    assert four(probs=probs, table=grouped(group=list("xxyy")).table).by_group("group", "map@3")[
        "map@3"
    ].isna().tolist() == [True, False]


def test_plot_groups_by_accuracy_or_number():
    figure = grouped(group=["ann", "bob", "bob", "cy $x$"]).plot_groups("group")
    assert names_of(figure) == ["ann", "cy $x$", "bob"] and "all clips 0.750" in words(figure)
    assert figure.axes[0].get_xlabel() == "accuracy (share of clips)" and any(
        word.startswith("accuracy by group") for word in words(figure)
    )
    assert names_of(grouped(fold=[2, 1, 1, 2]).plot_groups("fold")) == ["1", "2"]
    assert several().plot_groups("path").axes[0].get_xlabel().startswith("exact match")


# -- probabilities


def test_calibration_of_the_most_probable_label():
    curve = four().calibration(n_bins=2)  # 0.9 and 0.8 and 0.6 right, 0.75 wrong
    assert curve["n"].tolist() == [0, 4] and curve.loc[1, "accuracy"] == 0.75
    assert curve.loc[1, "confidence"] == pytest.approx(0.7625) and math.isnan(curve.loc[0, "accuracy"])
    assert curve.attrs["expected_calibration_error"] == pytest.approx(0.0125, abs=1e-6)


def test_calibration_of_several_labels_is_of_all_of_them():
    assert several(8).calibration(5)["n"].sum() == 24
    figure = several(8).plot_calibration(5)
    assert "24 decisions on 3 labels" in figure.axes[0].get_title() and "share of labels" in figure.axes[1].get_ylabel()


def test_calibration_leaves_out_what_diverged():
    probs = [[np.nan, np.nan], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]]
    title = four(probs=probs).plot_calibration().axes[0].get_title()
    assert (
        title.startswith("calibration of 3 clips\nexpected calibration error")
        and "1 without a prediction left out" in title
    )
    for ask in ("plot_calibration", "plot_probabilities"):
        with pytest.raises(ValueError, match="probabilities of all 4 clips are NaN"):
            getattr(four(probs=np.full((4, 2), np.nan)), ask)()


def test_probabilities_right_and_wrong_or_of_a_label():
    figure = four().plot_probabilities(bins=10)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["correct (3)", "wrong (1)"]
    filled = figure.axes[0].patches[::2]
    assert filled[0].get_data().values.sum() == pytest.approx(1) and filled[1].get_data().values.tolist() == [0] * 7 + [
        1,
        0,
        0,
    ]
    figure = four().plot_probabilities("yes")
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert (
        legend == ["clips with it (2)", "clips without it (2)"] and figure.axes[0].get_title() == "probability of yes"
    )
    n_hot = int(several().predictions.hot.sum())
    assert f"labels present ({n_hot})" in words(several().plot_probabilities())
    with pytest.raises(ValueError, match="unknown label 'ja'"):
        four().plot_probabilities("ja")
    with pytest.raises(ValueError, match="bins=0"):
        four().plot_probabilities(bins=0)


# -- layers, hulls, neighbours


def with_heads(n=12):
    rng = np.random.default_rng(0)
    p = many(n, ["x", "y"]).predictions
    heads = {"head1": rng.normal(size=(n, 3)), "head2": rng.normal(size=(n, 4))}
    return SpecInterpretation(Predictions(p.table, p.probs, p.vocab, p.embeddings, layers=heads))


def test_a_panel_for_each_head():
    figure = with_heads().plot_tsne(["head1", "head2"])
    assert [ax.get_title().split(",")[0] for ax in figure.axes] == ["t-SNE on head1", "t-SNE on head2"]
    pair = Figure().subplots(1, 2)
    assert with_heads().plot_tsne(["head1", "embeddings"], ax=pair) is pair[0].figure
    with pytest.raises(ValueError, match="1 axes for 2 maps"):
        with_heads().plot_tsne(["head1", "head2"], ax=Figure().add_subplot())
    with pytest.raises(ValueError, match="unknown features 'head3'; did you mean 'head"):
        with_heads().tsne("head3")
    with pytest.raises(ValueError, match="on=.*name at least one"):
        with_heads().plot_tsne([])


def test_hulls_hold_their_class():
    from matplotlib.patches import Polygon

    interp = with_heads(20)
    drawn = [
        patch
        for patch in interp.plot_tsne(hulls=True).axes[0].patches
        if isinstance(patch, Polygon) and patch.get_fill()
    ]
    places = interp.tsne()
    for patch, label in zip(drawn, ["x", "y"]):
        mine = places.loc[places["class"] == label, ["x", "y"]].to_numpy()
        assert (
            patch.get_path().contains_points(mine, radius=1e-3).all()
            or patch.get_path().contains_points(mine, radius=-1e-3).all()
        )
    assert len(drawn) == 2 and not interp.plot_tsne().axes[0].patches
    with pytest.raises(ValueError, match="hulls=2: give True, False or a share"):
        interp.plot_tsne(hulls=2)


@pytest.mark.parametrize("n, wanted", [(20, "scikit-learn"), (21, "openTSNE")])
def test_opentsne_takes_over_beyond_many_clips(monkeypatch, n, wanted):
    if wanted == "openTSNE":
        pytest.importorskip("openTSNE")
    monkeypatch.setattr(tsne, "MANY", 20)
    places = many(n, ["x", "y"]).tsne(perplexity=5)
    assert places.attrs["by"] == wanted and np.isfinite(places[["x", "y"]]).all(axis=None)


def test_many_clips_without_opentsne_are_reported(monkeypatch):
    monkeypatch.setattr(tsne, "MANY", 20)
    monkeypatch.setattr(tsne.importlib.util, "find_spec", lambda name: None)
    with pytest.warns(
        UserWarning, match=r"takes minutes for the t-SNE of 21 clips; openTSNE .*specimg\[tsne\]"
    ) as caught:
        assert many(21, ["x", "y"]).tsne().attrs["by"] == "scikit-learn"
    assert caught[0].filename == __file__


def test_nearest_by_the_cosine():
    x = [[1, 0], [2, 0], [1, 1], [0, 3], [-1, 0], [0, 0]]
    table = pd.DataFrame({"path": [f"in/{c}.wav" for c in "abcdef"], "target": list("xxyyxy")})
    interp = SpecInterpretation(Predictions(table, np.eye(2)[[0, 0, 1, 1, 0, 1]], ["x", "y"], x))
    found = interp.nearest("in/a.wav", k=9)
    assert found["path"].tolist() == [f"in/{c}.wav" for c in "bcde"] and found.index.tolist() == [
        1,
        2,
        3,
        4,
    ]  # f has no direction
    assert found["distance"].tolist() == pytest.approx([0, 1 - 0.5**0.5, 1, 2])
    for same in ("a.wav", 0, np.int64(0)):
        pd.testing.assert_frame_equal(interp.nearest(same, k=9), found)
    assert interp.nearest(0, k=2, on="probabilities")["path"].tolist() == ["in/b.wav", "in/e.wav"]
    with pytest.raises(ValueError, match="the embeddings of 'in/f.wav' are all 0"):
        interp.nearest(5)


@pytest.mark.parametrize(
    "wanted, message",
    [
        ("d.wav", "2 clips are called 'd.wav' \\(rows 3, 4\\); give the whole path, or the row"),
        ("e.wav", "none of the 5 clips is 'e.wav'; did you mean"),
        ("nothing", "none of the 5 clips is 'nothing'; they are called a.wav, b.wav, c.wav, ..."),
        (5, "row 5 is not there: 5 clips have the rows 0 to 4"),
        (-1, "row -1 is not there"),
    ],
)
def test_nearest_of_which_clip(wanted, message):
    table = pd.DataFrame({"path": ["a.wav", "b.wav", "c.wav", "in/d.wav", "out/d.wav"]})
    interp = SpecInterpretation(Predictions(table, np.full((5, 2), 0.5), ["x", "y"], np.eye(5)))
    with pytest.raises(ValueError, match=message):
        interp.nearest(wanted)


def test_windows_of_one_recording_are_told_by_their_row():
    p = four().predictions
    windows = Predictions(p.table.assign(path="n/a.wav", start=[0, 1, 2, 3]), p.probs, p.vocab)
    with pytest.raises(ValueError, match=r"4 clips are called 'a.wav' \(rows 0, 1, 2, 3\); give the row$"):
        tsne.find_row(windows, "a.wav")


def test_nearest_needs_features():
    with pytest.raises(ValueError, match="hold no embeddings"):
        four(embeddings=None).nearest(0)
    with pytest.raises(ValueError, match="k=0: give at least 1"):
        four().nearest(0, k=0)


def test_plot_nearest_frames_what_is_alike(tree):
    figure = with_pictures(tree, *["a.wav.png"] * 4).plot_nearest("b.wav", k=2)
    own, near, far, _ = figure.axes
    assert (
        own.get_title() == "the clip\nyes\nb.wav"
        and near.get_title().startswith("cosine distance 0.0")
        and near.get_title().endswith("yes\nd.wav")
    )
    assert [ax.spines["left"].get_linestyle() for ax in (near, far)] == ["-", "--"]


# -- several trainings, runs


def of_folds(lengths=(3, 2)):
    parts = [
        HISTORY[:n].assign(valid_loss=[4.0 + fold, 3.0, 2.0][:n], fold=fold, seed=0) for fold, n in enumerate(lengths)
    ]
    return pd.concat(parts, ignore_index=True)


def test_learning_curves_of_several_folds():
    left, right = four().plot_learning_curves(of_folds()).axes
    curves = [line.get_ydata().tolist() for line in left.lines]
    assert curves == [[3, 2, 1], [3, 2], [3, 2, 1], [4, 3, 2], [5, 3], [4.5, 3, 2]]  # each fold, then their mean
    widths = [line.get_linewidth() for line in left.lines]
    assert widths[2] > 2 * widths[0] and len(right.lines) == 3  # fold and seed are not metrics
    assert "mean of 2 trainings" in left.get_title() and left.get_xlim() == (0.5, 3.5)
    assert len(SpecInterpretation(four().predictions, of_folds()).plot_lr().axes[0].lines) == 2


class FakeRun:
    """What `from_run` asks of a run."""

    def __init__(self, folds):
        self.predictions, self.history = four().predictions, of_folds()
        self.fold_runs = [FakeFoldRun(fold) for fold in range(folds)]


class FakeFoldRun:
    seed = 0

    def __init__(self, fold):
        self.fold, self.folder = fold, Path(f"seed0-fold{fold}")

    def oof(self):
        return four().predictions.subset([self.fold, 3])

    def __str__(self):
        return f"fold {self.fold}, seed 0"


def test_from_run():
    whole = SpecInterpretation.from_run(FakeRun(2))
    assert len(whole.table) == 4 and len(whole.history) == 5 and whole.learn is None
    one = SpecInterpretation.from_run(FakeRun(2), fold=1)
    assert one.table["path"].tolist() == ["b.wav", "d.wav"] and one.predictions.embeddings is not None
    assert one.history["valid_loss"].tolist() == [5, 3] and "fold" not in one.history
    with pytest.raises(
        ValueError,
        match="fold=7 and seed=None name 0 networks of this run, which has fold 0, seed 0; fold 1, seed 0. Name one",
    ):
        SpecInterpretation.from_run(FakeRun(2), fold=7)
    with pytest.raises(ValueError, match="fold=None and seed=0 name 2 networks"):
        SpecInterpretation.from_run(FakeRun(2), seed=0)


def test_a_blend_has_losses_to_be_ordered_by():
    p = four().predictions
    silent = Predictions(p.table.drop(columns="loss"), p.probs, p.vocab)
    interp = SpecInterpretation.from_run(SimpleNamespace(predictions=silent))
    own = (p.probs * p.hot).sum(axis=1)
    assert interp.table["loss"].tolist() == pytest.approx((-np.log(own)).tolist(), rel=1e-5)
    assert interp.top_losses(1).index[0] == own.argmin() and interp.run.predictions is silent
    several = Predictions(
        pd.DataFrame({"path": ["a", "b", "c"], "target": [["x"], [], None]}),
        [[0.8, 0.5]] * 3,
        ["x", "y"],
        is_multi=True,
    )
    losses = statistics.with_losses(several).table["loss"].tolist()
    assert losses[:2] == pytest.approx(
        [-(np.log(0.8) + np.log(0.5)) / 2, -(np.log(0.2) + np.log(0.5)) / 2], rel=1e-5
    ) and np.isnan(losses[2])
    assert statistics.with_losses(p) is p


@pytest.mark.parametrize(
    "make, what, message",
    [
        (SpecInterpretation.from_run, 3, "int is not a run; give a Run, a blend, or the folder"),
        (SpecInterpretation.from_run, None, "NoneType is not a run"),
        (
            SpecInterpretation.from_learner,
            "runs/a",
            r"str is not a learner; give one of spec_learner\(dls\), or call from_run\(run\)",
        ),
    ],
)
def test_what_is_neither_run_nor_learner(make, what, message):
    with pytest.raises(ValueError, match=message):
        make(what)


def test_from_the_folder_of_no_run(tmp_path):
    with pytest.raises(ValueError, match="is not the folder of a run"):
        SpecInterpretation.from_run(tmp_path)


# -- asking the network again


@pytest.fixture(scope="module")
def learner_of_tones(tmp_path_factory):
    """A learner of pictures, not trained, with two heads."""
    import soundfile as sf

    from specimg.data import SpecDataLoaders
    from specimg.render.renderer import Renderer
    from specimg.training.learner import spec_learner

    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for i in range(8):
        sf.write(folder / f"{i}.wav", 0.1 * rng.standard_normal(4000), 8000)
    df = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(8)], "label": ["no", "yes"] * 4, "is_valid": [False] * 4 + [True] * 4}
    )
    dls = SpecDataLoaders.from_df(
        df,
        folder,
        valid_col="is_valid",
        renderer=Renderer(Mel(n_mels=32, n_fft=256, hop_length=64)),
        cache=folder / "cache",
        bs=4,
        size=32,
        n_jobs=1,
        num_workers=0,
        progress=False,
    )
    learner = spec_learner(dls, "mini_resnet", pretrained=False, seed=0)
    learner.remove_cb(learner.progress)
    return learner


def test_top_losses_with_class_maps(learner_of_tones):
    interp = SpecInterpretation.from_learner(learner_of_tones)
    assert interp.learn is learner_of_tones and set(interp.predictions.layers) == {"head1", "head2"}
    plain, looked = interp.plot_top_losses(2), interp.plot_top_losses(2, cam=True)
    assert [len(ax.images) for ax in plain.axes] == [1, 1] and [len(ax.images) for ax in looked.axes] == [2, 2]
    assert [ax.get_title() for ax in looked.axes] == [ax.get_title() for ax in plain.axes]
    assert looked.axes[0].get_xlabel() == "seconds" and any("Grad-CAM" in word for word in words(looked))
    assert len(interp.plot_tsne(["head1", "head2"]).axes) == 2


def test_a_picture_that_is_missing_has_no_map(learner_of_tones):
    p = SpecInterpretation.from_learner(learner_of_tones).predictions
    gone = Predictions(p.table.assign(picture=[*p.table["picture"][:3], "gone.png"]), p.probs, p.vocab)
    with pytest.warns(UserWarning, match="1 clip of 4 without a class map"):
        figure = SpecInterpretation(gone, learn=learner_of_tones).plot_top_losses(4, cam=True)
    assert "picture missing" in words(figure) and sum(len(ax.images) == 2 for ax in figure.axes) == 3


def test_each_fold_of_a_run_has_its_own_network(learner_of_tones, tmp_path):
    from specimg.inference import save_classifier
    from specimg.interpret.cam import clip_cam

    p = SpecInterpretation.from_learner(learner_of_tones).predictions
    p = Predictions(p.table.assign(fold=[0, 1, 0, 1]), p.probs, p.vocab)
    networks = {
        0: save_classifier(learner_of_tones, tmp_path / "0", golden=0),
        1: save_classifier(spec_learner_like(learner_of_tones, seed=7), tmp_path / "1", golden=0),
    }
    interp = SpecInterpretation(p, networks=networks)
    cams = interp._cams(interp.table)
    for fold, picture, cam in zip(p.table["fold"], p.table["picture"], cams):
        alone = [clip_cam(load_classifier(networks[k]), picture).values for k in (0, 1)]
        assert np.allclose(cam.values, alone[fold]) and not np.allclose(cam.values, alone[1 - fold])
    assert [len(ax.images) for ax in interp.plot_top_losses(4, cam=True).axes] == [2, 2, 2, 2]


def spec_learner_like(learn, seed):
    """Another network for the same data."""
    from specimg.training.learner import spec_learner

    return spec_learner(learn.dls, learn.arch, pretrained=False, seed=seed)


def test_grad_cam_needs_a_network():
    with pytest.raises(
        ValueError, match=r"Grad-CAM needs the network.*from_learner\(learn\) or from_run\(run\), or leave cam=False"
    ):
        four().plot_top_losses(cam=True)


def test_no_plot_stays_open():
    interp = SpecInterpretation(grouped(group=list("aabb")).predictions, HISTORY)
    for plot in (
        interp.plot_class_scores,
        interp.plot_calibration,
        interp.plot_probabilities,
        interp.plot_most_confused,
        interp.plot_lr,
    ):
        assert isinstance(plot(), Figure)
    for plot, wanted in ((interp.plot_groups, "group"), (interp.plot_nearest, 0)):
        assert isinstance(plot(wanted), Figure)
        axes = Figure().subplots(2, 4)
        assert plot(wanted, ax=axes if plot == interp.plot_nearest else axes[0, 0]) is axes[0, 0].figure
