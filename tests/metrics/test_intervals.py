"""Confidence intervals: as wide as they should be, repeatable, of groups as a whole."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from scored_clips import multi_label_data, single_label_data

from specimg.metrics import accuracy, bootstrap_score, d_prime, get_metric, macro_auc, wilson_interval


@pytest.mark.parametrize(
    "successes, n, low, high",
    [  # as scipy's binomtest(...).proportion_ci(method="wilson")
        (8, 10, 0.4901625, 0.9433178),
        (0, 10, 0.0, 0.2775328),
        (10, 10, 0.7224672, 1.0),
        (50, 100, 0.4038315, 0.5961685),
    ],
)
def test_wilson_interval(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_intervals_refuse_nonsense():
    for successes, n in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="n must be at least 1"):
            wilson_interval(successes, n)
    with pytest.raises(ValueError, match="level=95"):
        wilson_interval(1, 2, level=95)


def test_bootstrap_score_of_a_mean_over_clips():
    y_true, scores = single_label_data(2, n=400)
    low, high = bootstrap_score("accuracy", y_true, scores, seed=3)
    mean = accuracy(y_true, scores)
    half = 1.96 * math.sqrt(mean * (1 - mean) / 400)
    assert (low, high) == pytest.approx((mean - half, mean + half), abs=0.2 * half)
    assert bootstrap_score("accuracy", y_true, scores, seed=3) == (low, high)
    assert bootstrap_score("accuracy", y_true, scores, seed=4) != (low, high)
    narrow = bootstrap_score("accuracy", y_true, scores, seed=3, level=0.5)
    assert low < narrow[0] < mean < narrow[1] < high
    assert bootstrap_score("error_rate", y_true, scores, seed=3) == pytest.approx((1 - high, 1 - low))


@pytest.mark.parametrize("name", ["accuracy", "map@2", "top@2", "row_f1", "accuracy_multi"])
@pytest.mark.parametrize("grouped", [False, True])
def test_scoring_each_clip_once_gives_what_scoring_each_resample_gives(name, grouped):
    chosen = get_metric(name)
    y_true, scores = multi_label_data(1) if chosen.multilabel else single_label_data(1)
    groups = np.arange(len(scores)) // 4 if grouped else None
    assert bootstrap_score(name, y_true, scores, groups, n_resamples=40) == pytest.approx(
        bootstrap_score(chosen.function, y_true, scores, groups, n_resamples=40)
    )


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy"])
def test_groups_are_drawn_whole(name):
    """Every clip five times, in any order: as groups they tell what the clips tell, as clips they pretend to tell more."""
    y_true, scores = single_label_data(5, n=60)
    rows = np.random.RandomState(0).permutation(np.repeat(np.arange(60), 5))
    _, first = np.unique(rows, return_index=True)
    once = rows[np.sort(first)]  # groups are numbered in the order in which they come
    names = np.array([f"speaker {row}" for row in rows])
    alone = bootstrap_score(name, y_true[once], scores[once], seed=7)
    grouped = bootstrap_score(name, y_true[rows], scores[rows], names, seed=7)
    assert grouped == pytest.approx(alone)
    low, high = bootstrap_score(name, y_true[rows], scores[rows], seed=7)
    assert high - low < 0.6 * (alone[1] - alone[0])


def test_groups_may_be_of_any_size():
    """Two speakers, one always right in 2 clips, one never in 6: both drawn give 1/4, one of them twice gives 0 or 1."""
    y_true, scores = np.zeros(8, int), np.array([[0.9, 0.1]] * 2 + [[0.1, 0.9]] * 6)
    groups = ["a", "a", "b", "b", "b", "b", "b", "b"]
    assert bootstrap_score("accuracy", y_true, scores, groups) == (0, 1)
    assert bootstrap_score("accuracy", y_true, scores, groups, level=0.4) == (0.25, 0.25)  # half of all resamples


def test_bootstrap_score_of_a_whole_set_metric_covers_the_truth():
    """Of 40 draws from a world with an area of 0.76, the interval holds 0.76 about 19 times in 20."""
    truth, covered = norm.cdf(1 / math.sqrt(2)), 0
    for seed in range(40):
        rng = np.random.RandomState(seed)
        y_true = rng.rand(150, 1) < 0.4
        scores = rng.normal(size=(150, 1)) + y_true
        low, high = bootstrap_score("macro_auc", y_true, scores, seed=seed)
        covered += low <= truth <= high
    assert 33 <= covered <= 40


def test_resamples_without_a_value_are_drawn_again():
    y_true, scores = np.zeros((8, 1), int), np.arange(8)[:, None] / 8
    y_true[5] = 1  # a third of all resamples miss it
    calls = []

    def counted(truth, row_scores):
        calls.append(truth.any())
        return macro_auc(truth, row_scores)

    low, high = bootstrap_score(counted, y_true, scores, n_resamples=100)
    assert 0 <= low < 5 / 7 < high <= 1
    assert 120 < len(calls) < 200 and calls.count(True) == 101

    def gives_nan(truth, row_scores):
        return macro_auc(truth, row_scores) if truth.any() else math.nan

    assert bootstrap_score(gives_nan, y_true, scores, n_resamples=100) == (low, high)


def test_infinite_values_have_an_interval():
    y_true = np.array([[1], [1], [1], [0], [0], [0]])
    low, high = bootstrap_score("d_prime", y_true, [[0.9], [0.8], [0.3], [0.4], [0.2], [0.1]])
    assert low < d_prime(y_true, [[0.9], [0.8], [0.3], [0.4], [0.2], [0.1]]) < high == math.inf
    assert bootstrap_score("d_prime", y_true, y_true) == (math.inf, math.inf)


def test_bootstrap_score_refuses_nonsense():
    y_true, scores = single_label_data(0, n=20)
    with pytest.raises(ValueError, match="level=95"):
        bootstrap_score("accuracy", y_true, scores, level=95)
    with pytest.raises(ValueError, match="unknown metric 'acuracy'"):
        bootstrap_score("acuracy", y_true, scores)
    with pytest.raises(ValueError, match="n_resamples=0"):
        bootstrap_score("accuracy", y_true, scores, n_resamples=0)
    with pytest.raises(ValueError, match=r"y_true has shape \(20,\); expected \(20, 6\)"):
        bootstrap_score("lwlrap", y_true, scores)
    with pytest.raises(ValueError, match=r"groups have shape \(19,\); expected \(20,\)"):
        bootstrap_score("accuracy", y_true, scores, groups=["a"] * 19)
    for missing in (None, math.nan):
        with pytest.raises(ValueError, match="1 of 20 clips have no group"):
            bootstrap_score("accuracy", y_true, scores, groups=["a", "b"] * 9 + ["c", missing])
    with pytest.raises(ValueError, match="there is one group"):
        bootstrap_score("accuracy", y_true, scores, groups=["a"] * 20)
    with pytest.raises(ValueError, match="there is one clip"):
        bootstrap_score("accuracy", y_true[:1], scores[:1])
    with pytest.raises(ValueError, match="the metric is nan on all 20 clips"):
        bootstrap_score(lambda y, s: math.nan, y_true, scores)
    whole = accuracy(y_true, scores)
    with pytest.raises(ValueError, match="a value on only 0 of 30 resamples of 20 clips"):
        bootstrap_score(lambda y, s: whole if (y == y_true).all() else math.nan, y_true, scores, n_resamples=3)
