"""Tables with known answers, and pictures of which the words, places and sizes can be read."""

import math
import sys
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import CrossEntropyLossFlat, DataLoader, DataLoaders, Learner, accuracy
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from torch import nn

from specimg import Mel, Picture, interpret, picture
from specimg.interpret import SpecInterpretation
from specimg.predictions import Predictions


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
    said = np.where(rng.random(n) < 0.33, rng.integers(0, c, n), actual)
    probs = np.full((n, c), 0.5 / c) + 0.5 * np.eye(c)[said]
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
    assert (facts["accuracy low"], facts["accuracy high"]) == pytest.approx((0.3006, 0.9544), abs=1e-3)   # 3 of 4
    assert repr(four()) == ("SpecInterpretation: 4 clips, accuracy 0.750 (95 % between 0.301 and 0.954), "
                            "error rate 0.250, MAP@3 0.875")
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
    said = [("x", "y"), ("x", "y"), ("x", "z"), ("y", "x"), ("z", "z"), ("z", "x"), ("z", "x"), ("z", "x")]
    table = pd.DataFrame({"path": [str(i) for i in range(8)], "target": [actual for actual, _ in said]})
    interp = SpecInterpretation(Predictions(table, np.eye(3)[["xyz".index(guess) for _, guess in said]], list("xyz")))
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
    theirs = classification_report(interp.table["target"], interp.table["prediction"], labels=interp.vocab,
                                   output_dict=True, zero_division=0)
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
        with pytest.raises(ValueError, match="needs one label a clip.*use classification_report"):
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
    assert four(table=table).top_losses()["path"].tolist() == ["b", "d", "a"]   # c has no label, so no loss


def test_diverged_network():
    probs = [[np.nan, np.nan], [0.2, 0.8], [0.25, 0.75], [0.4, 0.6]]
    interp = four(probs=probs, embeddings=np.full((4, 3), np.nan))
    assert interp.confusion_matrix().to_numpy().tolist() == [[0, 1], [0, 2]]
    assert interp.summary()["accuracy"] == 0.5 and math.isnan(interp.summary()["MAP@3"])
    report = interp.classification_report()
    assert report.loc["no", "recall"] == 0 and report.loc["accuracy", "recall"] == 0.5
    assert any("1 without a prediction left out" in word for word in words(interp.plot_confusion_matrix()))
    for on in ("embeddings", "probabilities"):
        with pytest.raises(ValueError, match=f"the {on} of . clips hold NaN or inf"):
            interp.tsne(on)


def test_no_clips():
    with pytest.raises(ValueError, match="hold no clips.*valid_pct"):
        SpecInterpretation(four().predictions.subset([False] * 4))


# -- t-SNE


@pytest.mark.parametrize("n, asked, used", [(4, 30, 1.0), (10, 30, 3.0), (31, 9, 9.0), (10, 2, 2.0)])
def test_perplexity_is_lowered_and_said(n, asked, used):
    interp = many(n, ["x", "y"])
    places = interp.tsne(perplexity=asked)
    assert places.attrs["perplexity"] == used and len(places) == n
    assert np.isfinite(places[["x", "y"]]).all(axis=None)
    title = interp.plot_tsne(perplexity=asked).axes[0].get_title()
    assert title.startswith(f"t-SNE on embeddings, perplexity {used:g}")
    assert (f"lowered from {asked}: {n} clips allow no more" in title) == (used < asked)


def test_tsne_keeps_classes_apart_and_repeats():
    places = many(60, ["x", "y"]).tsne(perplexity=10)
    middle = places.groupby("class")[["x", "y"]].median()
    away = [np.linalg.norm(places[["x", "y"]] - middle.loc[label], axis=1) for label in ("x", "y")]
    assert ((away[0] < away[1]) == (places["class"] == "x")).mean() > 0.95
    pd.testing.assert_frame_equal(places, many(60, ["x", "y"]).tsne(perplexity=10))


def test_tsne_is_computed_once_for_each_setting(monkeypatch):
    calls = []
    original = interpret.TSNE
    monkeypatch.setattr(interpret, "TSNE", lambda **kwargs: calls.append(kwargs) or original(**kwargs))
    interp = many(12, ["x", "y"])
    handed_out = interp.tsne()
    handed_out["x"] = 0.0
    interp.plot_tsne()
    interp.plot_tsne(names=False)
    assert len(calls) == 1 and interp.tsne()["x"].ne(0).any()
    interp.tsne(seed=1)
    interp.tsne("probabilities")
    assert len(calls) == 3
    assert not {"n_iter", "max_iter"} & set(calls[0])   # scikit-learn 1.2 and 1.9 agree on neither


@pytest.mark.parametrize("changes, on, message", [
    ({"embeddings": None}, "embeddings", "hold no embeddings; predict with embeddings=True, or ask for on='prob"),
    ({}, "pixels", "unknown features for t-SNE 'pixels'; choose one of embeddings, probabilities"),
])
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
    assert second.texts[0].get_text() == "picture cannot be read"
    assert (third.get_xlabel(), third.get_ylabel()) == ("pixels", "pixels") and third.images
    assert least.texts[0].get_text() == "picture gone" and not least.images


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
    assert min(extent[0] for extent in extents) >= 0   # nothing is cut off
    assert max(extent[3] for extent in boxes(ax.texts)) <= figure.bbox.height if numbers else True


@pytest.mark.parametrize("normalize, numbers", [(False, {"1", "0", "2"}), (True, {"0.50", "0", "1.00"})])
def test_confusion_matrix_says_its_numbers(normalize, numbers):
    assert {text.get_text() for text in four().plot_confusion_matrix(normalize).axes[0].texts} == numbers


def test_confusion_matrix_on_small_axes_has_a_scale_instead_of_numbers():
    figure = Figure(figsize=(3, 3))
    ax = figure.add_subplot()
    assert many(90, [f"label {i}" for i in range(30)]).plot_confusion_matrix(ax=ax) is figure
    assert not ax.texts and ax.child_axes


# -- training


HISTORY = pd.DataFrame({
    "phase": ["frozen", "unfrozen", "unfrozen"], "epoch": [1, 2, 3], "lr": [0.01, 0.005, 0.001],
    "train_loss": [3.0, 2.0, 1.0], "valid_loss": [3.5, 2.5, 2.0], "accuracy": [0.1, 0.4, 0.5],
    "seconds": [9.0, 9.0, 9.0],
})


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


def test_figures_stay_out_of_pyplot():
    interp = SpecInterpretation(four().predictions, HISTORY)
    for plot in (interp.plot_tsne, interp.plot_top_losses, interp.plot_confusion_matrix, interp.plot_learning_curves):
        plot()
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()
