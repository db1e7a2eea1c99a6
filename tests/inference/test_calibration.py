"""Temperature, thresholds and coverage on cases worked by hand, and what a saved classifier makes of them."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from bundles import make_sounds, probabilities, train

from specimg.inference import (
    Calibration,
    calibrate,
    coverage_curve,
    fit_temperature,
    fit_thresholds,
    load_classifier,
    plot_coverage,
    rescale,
    save_classifier,
)
from specimg.training import Predictions


def says(probs, targets, is_multi=False, **columns):
    probs = np.asarray(probs, float)
    vocab = [f"l{i}" for i in range(probs.shape[1])]
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(len(probs))], "target": pd.Series(targets, dtype=object), **columns}
    )
    return Predictions(table, probs, vocab, is_multi=is_multi)


# ---------------------------------------------------------------------- temperature


def test_rescaled_by_hand():
    assert rescale([[0.8, 0.2]], 1.0) == pytest.approx(np.array([[0.8, 0.2]]))
    assert rescale([[0.8, 0.2]], 2.0) == pytest.approx(np.array([[2 / 3, 1 / 3]]))  # odds of 4 become odds of 2
    assert rescale([[0.8, 0.5]], 2.0, is_multi=True) == pytest.approx(np.array([[2 / 3, 0.5]]))
    extreme = rescale(np.array([[1.0, 0.0]], np.float32), 3.0)
    assert np.isfinite(extreme).all() and extreme.sum() == pytest.approx(1)


@pytest.mark.parametrize("is_multi", [False, True])
def test_a_known_temperature_is_found(is_multi):
    """Answers drawn from the probabilities themselves are calibrated; made three times as sure, they need a temperature of three."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (20_000, 3))
    if is_multi:
        true = 1 / (1 + np.exp(-logits))
        hot, sure = rng.random(true.shape) < true, 1 / (1 + np.exp(-3 * logits))
    else:
        true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        hot = np.eye(3, dtype=bool)[(true.cumsum(1) > rng.random((len(true), 1))).argmax(1)]
        sure = np.exp(3 * logits) / np.exp(3 * logits).sum(1, keepdims=True)
    assert fit_temperature(sure, hot, is_multi) == pytest.approx(3, rel=0.05)
    assert fit_temperature(true, hot, is_multi) == pytest.approx(1, abs=0.05)


def test_two_of_three_right_by_hand():
    """Odds of 9 to 1 said, 2 to 1 seen: the best temperature is log 9 / log 2."""
    probs, hot = [[0.9, 0.1]] * 3, np.array([[1, 0], [1, 0], [0, 1]], bool)
    assert fit_temperature(probs, hot) == pytest.approx(math.log(9) / math.log(2), rel=1e-3)


def test_it_is_never_worse_than_without():
    rng = np.random.default_rng(1)
    for n in (1, 2, 5, 40):
        for _ in range(20):
            probs = rng.dirichlet([0.3] * 4, n)
            targets = [f"l{k}" for k in rng.integers(4, size=n)]
            fitted = calibrate(says(probs, targets))
            assert fitted.nll[1] <= fitted.nll[0] and 0.25 <= fitted.temperature <= 20


def test_all_right_and_all_wrong_stay_within_bounds():
    hot = np.array([[1, 0]] * 4, bool)
    assert fit_temperature([[0.9, 0.1]] * 4, hot) == pytest.approx(0.25, rel=0.05)  # surer is ever better
    assert fit_temperature([[0.1, 0.9]] * 4, hot) == pytest.approx(20, rel=0.05)
    assert fit_temperature(np.array([[1.0, 0.0]] * 4), ~hot) == pytest.approx(20, rel=0.05)  # zeros are not infinities


# ---------------------------------------------------------------------- thresholds


def test_a_threshold_by_hand():
    """Ten positives above 0.6, ten negatives below 0.2: any threshold between is perfect, 0.4 lies midway."""
    probs = np.r_[np.linspace(0.6, 0.9, 10), np.linspace(0.0, 0.2, 10)][:, None]
    hot = np.r_[np.ones(10), np.zeros(10)][:, None].astype(bool)
    assert fit_thresholds(probs, hot) == pytest.approx([0.4])


def test_a_threshold_below_some_negatives():
    """Probabilities 0.9 (12 yes), 0.5 (6 yes, 2 no), 0.3 (1 yes, 10 no): F1 is 24/31, 36/39, 38/50; the second wins, at 0.4."""
    probs = np.repeat([0.9, 0.5, 0.3], [12, 8, 11])[:, None]
    hot = np.r_[np.ones(18), np.zeros(2), np.ones(1), np.zeros(10)][:, None].astype(bool)
    assert fit_thresholds(probs, hot) == pytest.approx([0.4])


def test_rare_labels_share_one():
    rng = np.random.default_rng(0)
    common = rng.random(200) < 0.5
    rare = np.zeros(200, bool)
    rare[:3] = True
    probs = np.stack([np.where(common, 0.35, 0.25), np.where(rare, 0.9, 0.1)], axis=1)
    own, shared = fit_thresholds(probs, np.stack([common, rare], axis=1))
    assert own == pytest.approx(0.3) and shared == pytest.approx(0.3)  # of all pooled: 0.25 and less are noes
    alone = fit_thresholds(probs[:, 1:], rare[:, None])
    assert alone == pytest.approx([0.5])  # three clips say nothing


def test_a_label_that_all_clips_have():
    probs, hot = np.full((30, 2), 0.7), np.ones((30, 2), bool)
    hot[:, 1] = np.arange(30) < 15
    probs[15:, 1] = 0.2
    everyone, half = fit_thresholds(probs, hot)
    assert half == pytest.approx(0.45) and everyone == pytest.approx(0.45)


# ---------------------------------------------------------------------- both


def test_only_clips_that_count():
    probs = [[0.9, 0.1]] * 3 + [[0.1, 0.9]] * 50
    table = says(probs, ["l0", "l0", "l1"] + ["l0"] * 50, scored=[True] * 3 + [False] * 50)
    fitted = calibrate(table, "out of fold")
    assert (
        fitted.clips == 3
        and fitted.source == "out of fold"
        and fitted.temperature == pytest.approx(3.17, abs=0.01)
        and fitted.thresholds == ()
    )
    assert fitted.nll == pytest.approx(
        (-(2 * math.log(0.9) + math.log(0.1)) / 3, -(2 * math.log(2 / 3) + math.log(1 / 3)) / 3), abs=1e-4
    )


def test_nothing_to_fit_on():
    with pytest.raises(ValueError, match="none of the 2 clips has a label and a prediction"):
        calibrate(says([[0.9, 0.1]] * 2, [None, None]))


@pytest.mark.parametrize(
    "options, message",
    [
        (dict(temperature=0), "give 0.25 to 20"),
        (dict(temperature=1e9), "give 0.25 to 20"),
        (dict(thresholds=(1.5,)), "thresholds=.*1.5.*: give probabilities, 0 to 1"),
        (dict(clips=-1), "give 0 clips or more"),
        (dict(nll=(1.0,)), "nll before and after"),
        (dict(temperature=float("nan")), "not a finite number"),
    ],
)
def test_a_calibration_that_is_none(options, message):
    with pytest.raises(ValueError, match=message):
        Calibration(**options)


# ---------------------------------------------------------------------- coverage


def test_coverage_by_hand():
    table = says([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]], ["l0", "l1", "l1", "l1"])
    curve = coverage_curve(table, thresholds=[0, 0.65, 0.75, 0.85, 0.95])
    assert curve["clips"].tolist() == [4, 3, 2, 1, 0] and curve["coverage"].tolist() == [1, 0.75, 0.5, 0.25, 0]
    assert curve["accuracy"].tolist()[:4] == pytest.approx([0.75, 2 / 3, 0.5, 1.0]) and math.isnan(curve["accuracy"][4])
    assert (curve["low"][:4] <= curve["accuracy"][:4]).all() and (curve["accuracy"][:4] <= curve["high"][:4]).all()
    assert len(coverage_curve(table)) == 101


def test_a_temperature_moves_the_curve():
    table = says([[0.9, 0.1], [0.8, 0.2]], ["l0", "l0"])
    assert coverage_curve(table, thresholds=[0.7])["clips"].tolist() == [2]
    assert coverage_curve(table, temperature=2, thresholds=[0.7])["clips"].tolist() == [1]  # 0.75 and 0.667 are left


def test_coverage_of_several_labels_is_refused():
    with pytest.raises(ValueError, match="if a clip may have several each label has a threshold of its own"):
        coverage_curve(says([[0.9, 0.1]], [["l0"]], is_multi=True))


def test_the_curve_is_drawn(tmp_path):
    from specimg.core.figures import new_figure

    rng = np.random.default_rng(0)
    probs = rng.dirichlet([0.5] * 3, 300)
    curve = coverage_curve(says(probs, [f"l{k}" for k in (probs.cumsum(1) > rng.random((300, 1))).argmax(1)]))
    figure = plot_coverage(curve)
    [ax] = figure.axes
    assert [line.get_label() for line in ax.lines] == ["clips with a label", "labels that are right"]
    assert ax.lines[0].get_ydata().tolist() == curve["coverage"].tolist()
    own = new_figure(4, 3).add_subplot()
    assert plot_coverage(curve, ax=own) is own.figure


# ---------------------------------------------------------------------- in a classifier


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


def test_a_temperature_travels(sounds, tmp_path):
    learn = train(sounds)
    plain = load_classifier(save_classifier(learn, tmp_path / "plain", golden=0))
    warm = load_classifier(save_classifier(learn, tmp_path / "warm", golden=0, calibrate=True))
    assert warm.calibration.clips == 4 and warm.calibration.source == "validation" and warm.temperature != 1
    cold = probabilities(plain.predict(sounds.files[:5]))
    assert probabilities(warm.predict(sounds.files[:5])) == pytest.approx(rescale(cold, warm.temperature), abs=1e-5)
    assert "reject\\_below" in (tmp_path / "warm" / "README.md").read_text()


def test_each_label_has_its_threshold(sounds, tmp_path):
    from dataclasses import replace

    learn = train(sounds, label_col="both", label_delim=" ")
    clf = load_classifier(save_classifier(learn, tmp_path / "clf", golden=0))
    probs = probabilities(clf.predict(sounds.files))
    middle = np.median(probs, axis=0)
    own = replace(clf, calibration=Calibration(thresholds=tuple(middle)))
    again = load_classifier(save_classifier(own, tmp_path / "own", golden=0))
    assert again.thresholds == pytest.approx(middle)
    table = again.predict(sounds.files)
    for row, label in zip(probabilities(table), table["label"]):
        assert label == "; ".join(name for name, p, t in zip(clf.vocab, row, again.thresholds) if p > t)
    assert 0 < (table["label"] == "").sum() + (table["label"].str.count(";") > 0).sum()


def test_a_learner_without_validation_cannot_be_calibrated(sounds, tmp_path):
    sounds = SimpleNamespace(**{**vars(sounds), "table": sounds.table.assign(held_out=False)})
    learn = train(sounds, valid_col="held_out")
    with pytest.raises(ValueError, match="calibrate=True needs clips that were held out"):
        save_classifier(learn, tmp_path / "clf", calibrate=True)
    with pytest.warns(UserWarning, match="no golden clips are kept: nothing was held out"):
        save_classifier(learn, tmp_path / "clf")
    assert "None was computed" in (tmp_path / "clf" / "README.md").read_text()


def test_predictions_at_hand_are_used(sounds, tmp_path, monkeypatch):
    learn = train(sounds)
    monkeypatch.setattr("specimg.inference.save.predict_all", lambda *args, **kwargs: 1 / 0)
    given = says([[0.9, 0.05, 0.05]] * 3, ["l0", "l0", "l1"])
    given = Predictions(given.table.assign(target=["high", "high", "path"]), given.probs, ["high", "label", "path"])
    clf = load_classifier(save_classifier(learn, tmp_path / "clf", golden=0, predictions=given, calibrate=True))
    assert clf.calibration.clips == 3 and clf.about["training"]["scores"][0]["score"] == pytest.approx(2 / 3)
    assert SimpleNamespace(**clf.about["training"]["scores"][0]).metric == "accuracy"
