"""Blends of what runs said: against means worked out by hand, and what they gain where it is known."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest

from specimg.competitions import BestLabels, ClassColumns, LabelSets
from specimg.experiments import Blend, blend
from specimg.experiments.blending import choose_weights, combine
from specimg.experiments.run import CompetitionPredictions
from specimg.experiments.task import Task
from specimg.metrics import get_metric
from specimg.metrics.registry import _METRICS, Metric
from specimg.training import Predictions

VOCAB = ("a", "b", "c")


class Said(CompetitionPredictions):
    """What a run said about clips 0.wav, 1.wav ... and test clips t0, t1 ...; `hot` are their labels, `(clips, classes)`."""

    def __init__(
        self,
        probs,
        hot,
        test=((0.2, 0.3, 0.5),),
        *,
        metric="accuracy",
        is_multi=False,
        folds=3,
        format=None,
        names=None,
        **columns,
    ):
        probs, hot = np.array(probs, float), np.array(hot)
        labels = [[VOCAB[i] for i in np.flatnonzero(row)] for row in hot]
        table = pd.DataFrame(
            {
                "path": names or [f"{i}.wav" for i in range(len(probs))],
                "fold": np.arange(len(probs)) % folds,
                "target": pd.Series(labels if is_multi else [label for (label,) in labels], dtype=object),
            }
        ).assign(**columns)
        self.predictions = Predictions(table, probs, VOCAB, is_multi=is_multi)
        self.test_clips, self.test_probs = (
            pd.DataFrame({"path": [f"t{i}" for i in range(len(test))]}),
            np.array(test, float),
        )
        rows = pd.DataFrame({"id": [f"t{i}" for i in range(len(test))], "path": [f"t{i}" for i in range(len(test))]})
        self.task = Task(
            "by-hand",
            metric,
            format or (ClassColumns() if is_multi else BestLabels()),
            VOCAB,
            is_multi,
            "0",
            True,
            rows,
        )


def one_hot(numbers) -> np.ndarray:
    return np.eye(3, dtype=int)[np.asarray(numbers)]


def random_probs(rng, n, is_multi=False) -> np.ndarray:
    drawn = rng.random((n, 3))
    return drawn if is_multi else drawn / drawn.sum(axis=1, keepdims=True)


def leaning(rng, numbers, strength) -> np.ndarray:
    """Probabilities that know the truth more or less well."""
    logits = rng.standard_normal((len(numbers), 3)) + strength * one_hot(numbers)
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


# ---------------------------------------------------------------------- means by hand

TWO = [np.array([[0.8, 0.1, 0.1], [0.3, 0.3, 0.4]]), np.array([[0.2, 0.4, 0.4], [0.6, 0.2, 0.2]])]


def test_arithmetic_mean():
    assert combine(TWO, [1, 3], "mean", False) == pytest.approx(np.array([[0.35, 0.325, 0.325], [0.525, 0.225, 0.25]]))


def test_geometric_mean_sums_to_one():
    root = np.sqrt(TWO[0] * TWO[1])
    assert combine(TWO, [0.5, 0.5], "geometric", False) == pytest.approx(root / root.sum(axis=1, keepdims=True))
    weighted = TWO[0] ** 0.25 * TWO[1] ** 0.75
    assert combine(TWO, [1, 3], "geometric", False) == pytest.approx(weighted / weighted.sum(axis=1, keepdims=True))


def test_geometric_mean_of_odds_where_a_clip_may_have_several_labels():
    odds = np.sqrt(TWO[0] / (1 - TWO[0]) * TWO[1] / (1 - TWO[1]))
    assert combine(TWO, [1, 1], "geometric", True) == pytest.approx(odds / (1 + odds))
    turned = combine([1 - p for p in TWO], [1, 1], "geometric", True)
    assert turned == pytest.approx(1 - combine(TWO, [1, 1], "geometric", True)), "yes and no are treated alike"


def test_ranks_share_the_places_of_equals():
    first = np.array([[0.1], [0.7], [0.7], [0.9]])  # places 0, 1 and 2 shared, 3: (0.5, 2, 2, 3.5) of 4
    second = np.array([[0.4], [0.3], [0.2], [0.1]])
    assert combine([first], [1], "rank", True)[:, 0] == pytest.approx([0.125, 0.5, 0.5, 0.875])
    assert combine([first, second], [3, 1], "rank", True)[:, 0] == pytest.approx([0.3125, 0.53125, 0.46875, 0.6875])


@pytest.mark.parametrize("is_multi", [False, True])
def test_certainty_is_no_nan_and_does_not_silence_the_others(is_multi):
    sure, other = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), np.array([[0.0, 0.9, 0.1], [0.5, 0.3, 0.2]])
    mean = combine([sure, other, other], [1, 1, 1], "geometric", is_multi)
    assert np.isfinite(mean).all() and (mean >= 0).all() and (mean <= 1).all()
    assert mean[0, 1] > mean[0, 2], "where one says 0 of both, the others are heard"
    alone = combine([sure, other], [1, 0], "geometric", is_multi)
    assert alone == pytest.approx(sure, abs=1e-11)


def test_small_probabilities_keep_their_order():
    tiny = np.array([[0.9, 1e-9, 1e-11], [0.9, 1e-10, 1e-8]])
    for is_multi in (False, True):
        assert (np.argsort(combine([tiny], [1], "geometric", is_multi), axis=1) == np.argsort(tiny, axis=1)).all()


# ---------------------------------------------------------------------- weights


def test_weights_of_equals_go_to_the_first():
    assert choose_weights(lambda weights: 0.5, 3).tolist() == [1, 0, 0]
    assert choose_weights(lambda weights: np.nan, 4).tolist() == [0.25] * 4


def test_weights_are_found():
    wanted = np.array([0.25, 0.0, 0.75])
    assert choose_weights(lambda weights: -np.abs(weights - wanted).sum(), 3) == pytest.approx(wanted)


def test_a_copy_of_a_run_gains_nothing():
    rng = np.random.default_rng(0)
    truth = rng.integers(3, size=60)
    probs = leaning(rng, truth, 1.5)
    probs[:5] = [1.0, 0.0, 0.0]
    for way in ("geometric", "mean", "rank"):
        both = blend([Said(probs, one_hot(truth), metric="map@3"), Said(probs, one_hot(truth), metric="map@3")], way)
        if way != "rank":  # ranks among clips are another answer than the run's own
            assert both.gain == 0 and both.cross_fitted_gain == 0 and both.weights.tolist() == [1, 0]
        assert both.weights.sum() == pytest.approx(1)


def test_a_useless_run_gets_no_weight():
    rng = np.random.default_rng(1)
    truth = rng.integers(3, size=90)
    good, useless = (
        Said(leaning(rng, truth, 4), one_hot(truth)),
        Said(one_hot((truth + 1) % 3) * 0.9 + 0.03, one_hot(truth)),
    )
    for runs, weights in (([good, useless], [1, 0]), ([useless, good], [0, 1])):
        both = blend(runs)
        assert both.weights.tolist() == weights and both.gain == 0 and both.best == good.score


def test_two_that_know_different_things_gain():
    """One tells a from the rest, the other b and c from each other: together they know all."""
    truth = np.arange(60) % 3
    first = np.where((truth == 0)[:, None], [0.8, 0.1, 0.1], [0.1, 0.451, 0.449])
    second = np.where(
        (truth == 2)[:, None], [0.45, 0.1, 0.45], np.where((truth == 1)[:, None], [0.45, 0.45, 0.1], [0.4, 0.3, 0.3])
    )
    runs = [Said(first, one_hot(truth), folds=4), Said(second, one_hot(truth), folds=4)]
    both = blend(runs)
    assert [float(run.score) for run in runs] == pytest.approx([2 / 3, 1 / 3])
    assert both.score == 1 and both.gain == pytest.approx(1 / 3) and both.cross_fitted_gain == pytest.approx(1 / 3)
    text = str(both)
    assert (
        text.startswith("Blend(geometric mean of 2 runs: accuracy 1.0000 (")
        and "gain over the best of them +0.3333" in text
    )
    assert "; with weights chosen on the other folds +0.3333" in text and text.count("  weight 0.") == 2
    assert both.table["weight"].sum() == pytest.approx(1) and both.table["accuracy"].tolist() == pytest.approx(
        [2 / 3, 1 / 3]
    )


def test_the_honest_gain_is_that_of_weights_chosen_on_the_other_folds():
    rng = np.random.default_rng(2)
    truth = rng.integers(3, size=45)
    runs = [Said(leaning(rng, truth, 0.6), one_hot(truth)) for _ in range(4)]
    both = blend(runs, "mean")
    fold, value = np.arange(45) % 3, get_metric("accuracy").function
    fitted = np.zeros((45, 3))
    for one in range(3):
        others = fold != one
        weights = choose_weights(
            lambda w: value(truth[others], combine([r.predictions.probs[others] for r in runs], w, "mean", False)), 4
        )
        fitted[~others] = combine([r.predictions.probs[~others] for r in runs], weights, "mean", False)
    assert both.cross_fitted_gain == pytest.approx(value(truth, fitted) - float(both.best))
    assert both.cross_fitted_gain <= both.gain and both.gain > 0
    equal = blend(runs, "mean", "equal")
    assert equal.weights.tolist() == [0.25] * 4 and equal.cross_fitted_gain == equal.gain
    assert "other folds" not in str(equal)


def test_given_weights():
    rng = np.random.default_rng(3)
    truth = rng.integers(3, size=12)
    parts = [random_probs(rng, 12), random_probs(rng, 12)]
    both = blend([Said(p, one_hot(truth)) for p in parts], "mean", [1, 3])
    assert both.weights.tolist() == [0.25, 0.75] and both.predictions.probs == pytest.approx(
        parts[0] / 4 + parts[1] * 3 / 4
    )
    assert both.test_probs == pytest.approx(np.array([[0.2, 0.3, 0.5]]))


def test_only_clips_that_count_choose_the_weights():
    truth = np.zeros(20, int)
    counts = np.arange(20) < 6
    right, wrong = np.array([0.9, 0.05, 0.05]), np.array([0.05, 0.9, 0.05])
    first = Said(np.where(counts[:, None], right, wrong), one_hot(truth), scored=counts)
    second = Said(np.where(counts[:, None], wrong, right), one_hot(truth), scored=counts)
    both = blend([second, first])
    assert both.weights.tolist() == [0, 1] and both.score == 1 and both.score.n == 6


def test_a_metric_that_should_fall():
    rng = np.random.default_rng(4)
    truth = rng.integers(3, size=60)
    good, bad = (Said(leaning(rng, truth, strength), one_hot(truth), metric="error_rate") for strength in (3, 0.3))
    both = blend([bad, good])
    assert both.best == good.score < bad.score and both.weights[1] > both.weights[0]
    assert both.gain == pytest.approx(float(good.score) - float(both.score)) and both.gain >= 0
    worse = blend([bad, good], weights=[1, 0])
    assert worse.gain < 0


def test_a_metric_that_is_not_defined_everywhere():
    """Of macro AUC no fold alone has a value: a fold is of one label."""
    truth = np.arange(30) % 3
    rng = np.random.default_rng(5)
    runs = [Said(random_probs(rng, 30, True), one_hot(truth), metric="macro_auc", is_multi=True) for _ in range(2)]
    both = blend(runs, "rank")
    assert both.cross_fitted_gain == both.cross_fitted_gain and both.weights.sum() == pytest.approx(1)
    one_label = [
        Said(random_probs(rng, 6, True), one_hot(np.zeros(6, int)), metric="macro_auc", is_multi=True) for _ in range(2)
    ]
    with pytest.warns(UserWarning, match="macro_auc is not defined on 6 clips"):
        both = blend(one_label)
        assert both.weights.tolist() == [0.5, 0.5] and np.isnan(both.gain)


# ---------------------------------------------------------------------- what is blended


def test_clips_are_joined_by_name_and_the_missing_are_said(tmp_path):
    rng = np.random.default_rng(6)
    truth = rng.integers(3, size=10)
    probs = [random_probs(rng, 10), random_probs(rng, 10)]
    names = [f"{i}.wav" for i in range(10)]
    turned = Said(probs[1][::-1][:8], one_hot(truth[::-1][:8]), names=names[::-1][:8])
    told = r"^2 clips were not held out in every run \(0.wav, 1.wav\); the score is of the 8 others$"
    with pytest.warns(UserWarning, match=told) as said:
        both = blend([Said(probs[0], one_hot(truth)), turned], "mean", "equal")
    assert said[0].filename == __file__
    assert both.oof["path"].tolist() == names[2:]
    assert both.predictions.probs == pytest.approx((probs[0][2:] + probs[1][2:]) / 2)
    assert both.oof["label"].tolist() == [VOCAB[i] for i in truth[2:]] and both.singles[0].n == 8


def test_test_rows_that_one_run_did_not_hear_get_the_prior(tmp_path):
    truth = [0, 0, 0, 1]
    probs = random_probs(np.random.default_rng(7), 4)
    first = Said(probs, one_hot(truth), test=[[0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.8, 0.2]])
    second = Said(probs, one_hot(truth), test=[[0.1, 0.3, 0.6], [0.3, 0.3, 0.4], [0.4, 0.6, 0.0]])
    second.test_clips, second.test_probs = (
        second.test_clips.iloc[[2, 0]].reset_index(drop=True),
        second.test_probs[[2, 0]],
    )
    both = blend([first, second], "mean", "equal")
    assert both.test_clips["path"].tolist() == ["t0", "t2"]
    assert both.test_probs == pytest.approx(np.array([[0.1, 0.2, 0.7], [0.2, 0.7, 0.1]]))
    with pytest.warns(UserWarning, match=r"^1 of 3 rows are given the class prior \(t1\)$") as said:
        table = both.submission(tmp_path / "sub.csv")
    assert said[0].filename == __file__
    assert table["label"].tolist() == ["c", "a", "b"]


def test_the_prior_of_ranks_is_the_middle(tmp_path):
    truth = np.array([0, 0, 0, 1, 1, 2])
    rng = np.random.default_rng(8)
    runs = [Said(random_probs(rng, 6, True), one_hot(truth), metric="macro_auc", is_multi=True) for _ in range(2)]
    both = blend(runs, "rank")
    assert both.prior == pytest.approx([0.5] * 3, abs=1e-5) and np.argsort(-both.prior).tolist() == [0, 1, 2]
    assert blend(runs).prior == pytest.approx([3 / 6, 2 / 6, 1 / 6])


def test_blends_are_blended_again(tmp_path):
    rng = np.random.default_rng(9)
    truth = rng.integers(3, size=30)
    a, b, c = (Said(leaning(rng, truth, 1), one_hot(truth), test=random_probs(rng, 2)) for _ in range(3))
    inner = blend([a, b], "mean", "equal")
    outer = blend([inner, c], "mean", [2, 1])
    flat = blend([a, b, c], "mean", "equal")
    assert outer.predictions.probs == pytest.approx(
        flat.predictions.probs, abs=1e-6
    ) and outer.test_probs == pytest.approx(flat.test_probs)
    assert outer.score == flat.score and isinstance(outer, Blend)
    assert "1: Blend(mean mean of 2 runs" in str(outer)
    assert outer.submission(tmp_path / "sub.csv")["fname"].tolist() == ["t0", "t1"]
    assert blend(a).weights.tolist() == [1] and blend([a]).gain == 0


def test_thresholds_of_a_blend_are_chosen_out_of_fold(tmp_path):
    hot = one_hot([0, 1, 2, 0])
    rng = np.random.default_rng(10)
    options = dict(test=[[0.25, 0.05, 0.05]], metric="row_f1", is_multi=True, format=LabelSets())
    runs = [Said(0.2 * hot + 0.1 * rng.random((4, 3)), hot, **options) for _ in range(2)]
    both = blend(runs, "mean", "equal")
    assert 0.1 <= both.best_threshold() < 0.2
    assert both.submission(tmp_path / "s.csv")["birds"].tolist() == ["nocall"]
    assert both.submission(tmp_path / "s.csv", threshold="oof")["birds"].tolist() == ["a"]
    with pytest.raises(ValueError, match="way='rank': by-hand scores decisions, and there is no threshold for ranks"):
        blend(runs, "rank")


# ---------------------------------------------------------------------- what is refused


def test_what_cannot_be_blended_is_refused():
    truth = [0, 1, 2, 0]
    probs = random_probs(np.random.default_rng(11), 4)
    good = Said(probs, one_hot(truth))
    with pytest.raises(
        ValueError,
        match="runs of different competitions cannot be blended: it is scored by error_rate, not by accuracy",
    ):
        blend([good, Said(probs, one_hot(truth), metric="error_rate")])
    with pytest.raises(ValueError, match=r"blend takes a list of runs, such as .*; got \[3\]"):
        blend([3])
    with pytest.raises(ValueError, match="'.*runs/a' is not the folder of a run"):
        blend(["runs/a"])
    with pytest.raises(ValueError, match="blend takes a list of runs"):
        blend([])
    with pytest.raises(ValueError, match="unknown way to blend 'geometrc'; did you mean 'geometric'"):
        blend([good], "geometrc")
    with pytest.raises(ValueError, match="unknown weights 'off'; did you mean 'oof'"):
        blend([good], weights="off")
    for weights in ([1], [1, -1], [0, 0], [1, np.nan], [1, "x"], None, {"a": 1, "b": 2}):
        with pytest.raises(ValueError, match="give 2 numbers from 0 up, one a run, not all 0; or 'oof', or 'equal'"):
            blend([good, good], weights=weights)
    with pytest.raises(ValueError, match="no held-out clip in common"):
        blend([good, Said(probs, one_hot(truth), names=list("wxyz"))])
    with pytest.raises(
        ValueError, match=r"1 clip with other labels in one run than in another \(3.wav\); blend runs of the same data"
    ):
        blend([good, Said(probs, one_hot([0, 1, 2, 1]))])
    broken = probs.copy()
    broken[2] = np.nan
    with pytest.raises(ValueError, match=r"the network gives nan for 1 clip \(2.wav\)"):
        blend([good, Said(broken, one_hot(truth))])


def test_runs_that_answer_different_rows_give_no_submission(tmp_path):
    truth = [0, 1, 2, 0]
    probs = random_probs(np.random.default_rng(12), 4)
    both = blend([Said(probs, one_hot(truth)), Said(probs, one_hot(truth), test=[[0.1, 0.2, 0.7]] * 2)])
    assert both.gain == 0
    with pytest.raises(
        ValueError, match="the runs predict different test rows; give each of them the same with run.predict_test"
    ):
        both.submission(tmp_path / "sub.csv")
    assert not (tmp_path / "sub.csv").exists()


def test_many_clips_take_a_moment():
    """20,000 of them; looked for one by one in a list they would take minutes."""
    n = 20_000
    rng = np.random.default_rng(13)
    truth = rng.integers(3, size=n)
    runs = [Said(leaning(rng, truth, 1), one_hot(truth), test=random_probs(rng, n)) for _ in range(2)]
    runs[1].predictions = runs[1].predictions.subset(np.arange(n)[::-1])
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        both = blend(runs, weights="equal")
        assert both.test_probs.shape == (n, 3) and len(both.predictions) == n
    assert time.perf_counter() - began < 20


def test_a_metric_of_ones_own_is_blended(monkeypatch):
    monkeypatch.setitem(_METRICS, "share of a", Metric("share of a", lambda y_true, scores: float(scores[:, 0].mean())))
    truth = np.arange(9) % 3
    low, high = (
        Said(np.tile(probs, (9, 1)), one_hot(truth), metric="share of a")
        for probs in ([0.1, 0.5, 0.4], [0.8, 0.1, 0.1])
    )
    assert blend([low, high]).weights.tolist() == [0, 1]
