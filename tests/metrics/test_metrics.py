"""Metrics by hand and by another road: what ties and empty classes do, how wide the intervals are, what fastai sees.

Every metric is held against scikit-learn or against a slow loop written from its definition, on random data with many
equal scores, clips without a label and classes without a clip.
"""

import doctest
import importlib
import math
import pickle
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from specimg import metrics
from specimg.metrics import (
    accuracy,
    accuracy_multi,
    balanced_accuracy,
    bootstrap_score,
    d_prime,
    error_rate,
    fastai_metric,
    get_metric,
    list_metrics,
    lwlrap,
    macro_auc,
    macro_f1,
    macro_f1_single,
    map_at_k,
    mean_average_precision,
    metric,
    padded_cmap,
    per_class_lwlrap,
    ranks,
    registry,
    row_f1,
    top_k_accuracy,
    top_k_labels,
    wilson_interval,
)

SCORES = np.array(
    [  # the true class stands ...
        [0.70, 0.10, 0.10, 0.10],  # 1st
        [0.40, 0.30, 0.20, 0.10],  # 2nd
        [0.40, 0.30, 0.20, 0.10],  # 3rd
        [0.40, 0.30, 0.20, 0.10],  # 4th
        [0.05, 0.05, 0.10, 0.80],  # 1st
    ]
)
TRUE = np.array([0, 1, 2, 3, 3])


def test_values_worked_by_hand():
    assert ranks(TRUE, SCORES).tolist() == [1, 2, 3, 4, 1]
    assert accuracy(TRUE, SCORES) == pytest.approx(2 / 5)
    assert error_rate(TRUE, SCORES) == pytest.approx(3 / 5)
    assert map_at_k(TRUE, SCORES, k=1) == pytest.approx(2 / 5)
    assert map_at_k(TRUE, SCORES) == pytest.approx((1 + 1 / 2 + 1 / 3 + 0 + 1) / 5)
    assert map_at_k(TRUE, SCORES, k=4) == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4 + 1) / 5)
    assert map_at_k(TRUE, SCORES, k=9) == map_at_k(TRUE, SCORES, k=4)


def test_ties_go_to_the_lower_class_index():
    flat = np.zeros((4, 4))
    assert ranks([0, 1, 2, 3], flat).tolist() == [1, 2, 3, 4]
    assert accuracy([0, 1, 2, 3], flat) == 0.25
    assert map_at_k([0, 1, 2, 3], flat) == pytest.approx((1 + 1 / 2 + 1 / 3) / 4)
    assert top_k_labels(flat[:1], ["a", "b", "c", "d"], k=2) == [["a", "b"]]
    assert top_k_labels([[1, 2, 1, 2]], ["a", "b", "c", "d"], k=9) == [["b", "d", "a", "c"]]


def test_map_at_k_agrees_with_the_submission_it_scores():
    """The same by another road: write the top 3 labels, then look where the truth stands among them."""
    rng = np.random.RandomState(0)
    vocab = [f"class {i}" for i in range(7)]
    scores, y_true = rng.randint(0, 4, (200, 7)), rng.randint(0, 7, 200)  # many ties
    guesses = top_k_labels(scores, vocab, k=3)
    by_hand = [1 / (1 + row.index(vocab[y])) if vocab[y] in row else 0 for row, y in zip(guesses, y_true)]
    assert map_at_k(y_true, scores) == pytest.approx(np.mean(by_hand))


def test_scores_of_minus_infinity_have_a_rank():
    assert ranks([0, 1], [[-np.inf, 0.0], [-np.inf, 0.0]]).tolist() == [2, 1]


def test_accuracy_multi_counts_pairs():
    y_true = [[1, 0, 0], [0, 1, 1]]
    scores = [[0.9, 0.6, 0.5], [0.1, 0.4, 0.7]]  # one false yes, one false no; 0.5 is not above 0.5
    assert accuracy_multi(y_true, scores) == pytest.approx(4 / 6)
    assert accuracy_multi(y_true, scores, threshold=0.65) == pytest.approx(5 / 6)


def single_label_data(seed, n=120, classes=6, levels=5):
    """Clips of every class but the last, scored in few levels, so that many scores are equal."""
    rng = np.random.RandomState(seed)
    return rng.randint(0, classes - 1, n), rng.randint(0, levels, (n, classes)) / levels


def test_top_k_accuracy():
    assert [top_k_accuracy(TRUE, SCORES, k) for k in (1, 2, 3, 4, 9)] == pytest.approx([2 / 5, 3 / 5, 4 / 5, 1, 1])
    y_true, scores = single_label_data(0)
    guesses = top_k_labels(scores, range(6), k=2)
    assert top_k_accuracy(y_true, scores, k=2) == pytest.approx(np.mean([y in row for row, y in zip(guesses, y_true)]))
    untied = np.random.RandomState(1).permutation(120 * 6).reshape(120, 6) / 720
    expected = sk.top_k_accuracy_score(y_true, untied, k=3, labels=range(6))
    assert top_k_accuracy(y_true, untied, k=3) == pytest.approx(expected)


def test_balanced_accuracy_is_the_mean_recall_of_the_classes_that_occur():
    assert balanced_accuracy(TRUE, SCORES) == pytest.approx((1 + 0 + 0 + 1 / 2) / 4)
    assert balanced_accuracy([0, 0, 0, 1], [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]]) == pytest.approx(
        (2 / 3 + 1) / 2
    )
    for seed in range(5):
        y_true, scores = single_label_data(seed)
        expected = np.mean([np.mean(scores[y_true == c].argmax(axis=1) == c) for c in range(5)])
        assert balanced_accuracy(y_true.astype(np.uint64), scores) == pytest.approx(expected)


def test_macro_f1_of_one_label():
    # class 0: taken 4 times, right once of 1; classes 1 and 2: never taken; 3: taken once, right once of 2
    assert macro_f1_single(TRUE, SCORES) == pytest.approx((2 / 5 + 0 + 0 + 2 / 3) / 4)
    # class 1 is neither true nor predicted, class 2 only predicted
    assert macro_f1_single([0, 0], [[1, 0, 0], [0, 0, 1]]) == pytest.approx((2 / 3 + 0) / 2)
    for seed in range(5):
        y_true, scores = single_label_data(seed)
        expected = sk.f1_score(y_true, scores.argmax(axis=1), average="macro")  # of the labels in either
        assert macro_f1_single(y_true, scores) == pytest.approx(expected)


@pytest.mark.parametrize(
    "y_true, scores, message",
    [
        ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "nan in 1 of 2 clips"),
        ([0], [0.5, 0.5], r"shape \(2,\); expected \(clips, classes\)"),
        ([], np.zeros((0, 3)), r"shape \(0, 3\)"),
        ([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]], r"y_true has shape \(3,\); expected \(2,\)"),
        ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "y_true holds 0 to 2; expected 0 to 1"),
        ([-1, 1], [[0.5, 0.5], [0.5, 0.5]], "y_true holds -1 to 1"),
        ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "float64; expected whole numbers"),
    ],
)
def test_what_cannot_be_scored_is_refused(y_true, scores, message):
    with pytest.raises(ValueError, match=message):
        accuracy(y_true, scores)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="k=0"):
        map_at_k(TRUE, SCORES, k=0)
    with pytest.raises(ValueError, match="k=-1"):
        top_k_accuracy(TRUE, SCORES, k=-1)
    with pytest.raises(ValueError, match="vocab has 2 labels; scores have 4"):
        top_k_labels(SCORES, ["a", "b"])
    with pytest.raises(ValueError, match=r"expected \(5, 4\) of 0 and 1"):
        accuracy_multi(TRUE, SCORES)
    with pytest.raises(ValueError, match="of 0 and 1"):
        accuracy_multi(SCORES, SCORES)


# ---------------------------------------------------------------------- several labels a clip


def multi_label_data(seed, n=90, classes=7, levels=12):
    """Labels, and scores of which many are equal; clip 0 has no label, clip 1 all but that of class 0, which has no clip."""
    rng = np.random.RandomState(seed)
    y_true = (rng.rand(n, classes) < 0.25).astype(int)
    y_true[0], y_true[1], y_true[:, 0] = 0, 1, 0
    scores = rng.randint(0, levels, (n, classes)) / levels
    return y_true, np.clip(scores + 0.2 * y_true * rng.rand(n, 1).round(1), 0, 1)


def untied_data(seed):
    y_true, scores = multi_label_data(seed)
    return y_true, np.random.RandomState(seed).permutation(scores.size).reshape(scores.shape) / scores.size


SEEDS = range(6)
MULTI = [name for name in list_metrics() if get_metric(name).multilabel]


def lwlrap_by_definition(y_true, scores, ahead):
    """The precisions of all true labels, one after the other; `ahead(row, label)` are the labels down to this one."""
    by_label = {label: [] for label in range(scores.shape[1])}
    for truth, row in zip(y_true, scores):
        for label in np.flatnonzero(truth):
            best = ahead(row, label)
            by_label[label].append(sum(truth[other] for other in best) / len(best))
    return by_label


def test_lwlrap_by_hand():
    y_true = [[1, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    scores = [[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.2, 0.1]]
    assert lwlrap(y_true, scores) == pytest.approx((1 + 2 / 3 + 1 / 4) / 3)  # not the mean of clips, (5/6 + 1/4) / 2
    with np.errstate(all="raise"):  # no warning of a division by 0
        values, weights = per_class_lwlrap(y_true, scores)
    assert values == pytest.approx([1, np.nan, 2 / 3, 1 / 4], nan_ok=True)
    assert weights == pytest.approx([1 / 3, 0, 1 / 3, 1 / 3])


def test_equal_scores_stand_at_the_last_of_their_ranks():
    assert lwlrap([[1, 0, 0, 0]], np.zeros((1, 4))) == 1 / 4
    assert lwlrap([[0, 1, 0, 1]], np.zeros((1, 4))) == 2 / 4
    assert lwlrap([[0, 1, 0, 0]], [[0.9, 0.5, 0.5, 0.1]]) == pytest.approx(1 / 3)
    y_true, scores = multi_label_data(0)
    columns = np.random.RandomState(1).permutation(scores.shape[1])
    assert lwlrap(y_true[:, columns], scores[:, columns]) == pytest.approx(lwlrap(y_true, scores))


@pytest.mark.parametrize("seed", SEEDS)
def test_lwlrap_with_ties(seed):
    y_true, scores = multi_label_data(seed)
    by_label = lwlrap_by_definition(y_true, scores, lambda row, label: np.flatnonzero(row >= row[label]))
    assert lwlrap(y_true, scores) == pytest.approx(np.mean(sum(by_label.values(), [])))
    some = y_true.any(axis=1)
    assert lwlrap(y_true, scores) == pytest.approx(
        sk.label_ranking_average_precision_score(y_true[some], scores[some], sample_weight=y_true[some].sum(axis=1))
    )
    values, weights = per_class_lwlrap(y_true, scores)
    expected = [np.mean(precisions) if precisions else np.nan for precisions in by_label.values()]
    assert values == pytest.approx(expected, nan_ok=True)
    assert weights == pytest.approx(y_true.sum(axis=0) / y_true.sum())
    assert np.isnan(values[0]) and np.nansum(values * weights) == pytest.approx(lwlrap(y_true, scores))


@pytest.mark.parametrize("seed", SEEDS)
def test_lwlrap_without_ties_is_the_organisers(seed):
    """Theirs sorts each clip's labels, best first, and counts true ones down to each."""
    y_true, scores = untied_data(seed)

    def down_to(row, label):
        order = list(np.argsort(row)[::-1])
        return order[: order.index(label) + 1]

    by_label = lwlrap_by_definition(y_true, scores, down_to)
    assert lwlrap(y_true, scores) == pytest.approx(np.mean(sum(by_label.values(), [])))
    assert per_class_lwlrap(y_true, scores)[0][1:] == pytest.approx([np.mean(by_label[label]) for label in range(1, 7)])


def test_macro_auc_by_hand():
    scores = np.array([[0.9, 0.1], [0.5, 0.1], [0.5, 0.1], [0.1, 0.1]])
    assert macro_auc([[1, 0], [0, 0], [1, 0], [0, 0]], scores) == pytest.approx((2 + 1.5) / 4)  # class 1 has no clip
    assert macro_auc([[1, 1], [0, 1], [1, 1], [0, 1]], scores) == pytest.approx((2 + 1.5) / 4)  # class 1 has all
    assert macro_auc([[1, 1], [0, 0], [1, 0], [0, 0]], scores) == pytest.approx(((2 + 1.5) / 4 + 0.5) / 2)
    assert macro_auc([[1], [0]], [[-np.inf], [np.inf]]) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_macro_auc(seed):
    y_true, scores = multi_label_data(seed)
    y_true[:, 1] = 1
    areas = []
    for truth, column in zip(y_true.T[2:], scores.T[2:]):
        pairs = [(p > n) + (p == n) / 2 for p in column[truth == 1] for n in column[truth == 0]]
        areas.append(np.mean(pairs))
    assert macro_auc(y_true, scores) == pytest.approx(np.mean(areas))
    assert macro_auc(y_true, scores) == pytest.approx(sk.roc_auc_score(y_true[:, 2:], scores[:, 2:], average="macro"))


def test_d_prime():
    y_true, scores = multi_label_data(0)
    assert d_prime(y_true, scores) == pytest.approx(math.sqrt(2) * norm.ppf(macro_auc(y_true, scores)))
    assert d_prime([[1], [0]], [[0.5], [0.5]]) == 0
    assert d_prime([[1], [0]], [[0.7], [0.5]]) == math.inf == -d_prime([[0], [1]], [[0.7], [0.5]])
    apart = np.random.RandomState(0).normal(size=(20000, 1))
    apart[:10000] += 1.5  # two normal distributions 1.5 standard deviations apart
    assert d_prime(np.arange(20000)[:, None] < 10000, apart) == pytest.approx(1.5, abs=0.04)


def test_mean_average_precision_by_hand():
    scores = np.array([[0.9, 0.3], [0.7, 0.3], [0.5, 0.3], [0.3, 0.3]])
    assert mean_average_precision([[1, 0], [0, 0], [1, 0], [0, 0]], scores) == pytest.approx((1 + 2 / 3) / 2)
    assert mean_average_precision([[0, 1], [0, 0], [0, 0], [1, 0]], scores) == pytest.approx((1 / 4 + 1 / 4) / 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_mean_average_precision(seed):
    y_true, scores = multi_label_data(seed)
    assert mean_average_precision(y_true, scores) == pytest.approx(
        np.mean([sk.average_precision_score(y_true[:, label], scores[:, label]) for label in range(1, 7)])
    )


def test_padded_cmap_by_hand():
    # class 0: 1 added clip, then the true one at rank 3: (1 + 2/3) / 2; class 1: the added clip alone
    assert padded_cmap([[0, 0], [1, 0]], [[0.9, 0.4], [0.2, 0.5]], padding=1) == pytest.approx((5 / 6 + 1) / 2)
    # a score of 1 ties with the added one: 1/2 for that; the true clip stands third
    assert padded_cmap([[0], [1]], [[1.0], [0.2]], padding=1) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert padded_cmap(np.zeros((3, 2)), np.full((3, 2), 0.5)) == 1  # nothing to find, and defined
    assert padded_cmap([[0], [1]], [[1.0005], [0.2]], padding=1) == pytest.approx((1 / 2 + 2 / 3) / 2)  # half precision


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("padding", [1, 5])
def test_padded_cmap(seed, padding):
    y_true, scores = multi_label_data(seed)
    ones = np.ones((padding, 7), dtype=int)
    expected = sk.average_precision_score(np.vstack([y_true, ones]), np.vstack([scores, ones]), average="macro")
    assert padded_cmap(y_true, scores, padding=padding) == pytest.approx(expected)
    assert padding != 5 or padded_cmap(y_true, scores) == pytest.approx(expected)


def test_row_f1_by_hand():
    y_true = [[1, 1, 0], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
    scores = [[0.9, 0.1, 0.6], [0.1, 0.5, 0.2], [0.1, 0.6, 0.2], [0.2, 0.1, 0.3]]
    assert row_f1(y_true, scores) == pytest.approx((1 / 2 + 1 + 0 + 0) / 4)  # 0.5 is not above 0.5
    assert row_f1(y_true, scores, threshold=0.15) == pytest.approx((1 / 2 + 0 + 0 + 2 / 3) / 4)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_row_f1(seed, threshold):
    y_true, scores = multi_label_data(seed)
    chosen, by_row = scores > threshold, []
    for truth, row in zip(y_true, chosen):
        truth, guess = set(np.flatnonzero(truth)) or {"nocall"}, set(np.flatnonzero(row)) or {"nocall"}
        tp, fp, fn = len(truth & guess), len(guess - truth), len(truth - guess)
        by_row.append(2 * tp / (2 * tp + fp + fn))
    assert row_f1(y_true, scores, threshold=threshold) == pytest.approx(np.mean(by_row))
    with_nocall = [np.column_stack([hot, ~hot.any(axis=1)]).astype(int) for hot in (y_true == 1, chosen)]
    assert row_f1(y_true, scores, threshold=threshold) == pytest.approx(sk.f1_score(*with_nocall, average="samples"))


def test_macro_f1_by_hand():
    y_true = [[1, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]
    scores = [[0.9, 0.1, 0.6, 0.1], [0.2, 0.1, 0.2, 0.5], [0.9, 0.1, 0.2, 0.1]]
    # class 0: 1 hit, 1 miss, 1 false; 1: neither true nor predicted; 2: only predicted; 3: only true
    assert macro_f1(y_true, scores) == pytest.approx((2 / 4 + 0 + 0) / 3)
    assert macro_f1(y_true, scores, threshold=0.65) == pytest.approx((2 / 4 + 0) / 2)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("threshold", [0.5, 0.95])
def test_macro_f1(seed, threshold):
    y_true, scores = multi_label_data(seed)
    scores[:, 0] = 0.1  # class 0 is neither true nor predicted
    chosen = (scores > threshold).astype(int)
    expected = sk.f1_score(y_true[:, 1:], chosen[:, 1:], average="macro")
    assert macro_f1(y_true, scores, threshold=threshold) == pytest.approx(expected)


@pytest.mark.parametrize("name", MULTI)
def test_labels_may_be_of_any_type_and_arrays_are_not_changed(name):
    function = get_metric(name).function
    y_true, scores = multi_label_data(3)
    before = y_true.copy(), scores.copy()
    value = function(y_true, scores)
    assert isinstance(value, float)
    for kind in (bool, float, np.uint8):
        assert function(y_true.astype(kind), scores) == value
    assert function(y_true.tolist(), scores.tolist()) == value
    assert (y_true == before[0]).all() and (scores == before[1]).all()


@pytest.mark.parametrize("name", MULTI)
def test_several_labels_that_cannot_be_scored_are_refused(name):
    function = get_metric(name).function
    y_true, scores = multi_label_data(0)
    for bad_truth, bad_scores, message in [
        (y_true[:, 0], scores, r"y_true has shape \(90,\); expected \(90, 7\) of 0 and 1"),
        (y_true[:-1], scores, r"y_true has shape \(89, 7\)"),
        (y_true, scores[0], r"scores have shape \(7,\)"),
        (y_true, np.where(scores > 0.9, np.nan, scores), r"nan in \d+ of 90 clips"),
        (y_true * 2, scores, "y_true holds 2 and is no array of 0 and 1"),
        (np.where(y_true, 1, np.nan), scores, "y_true holds nan"),
        (y_true.astype(str), scores, "y_true holds <U.* and is no array of 0 and 1"),
        (y_true.astype(object), scores, "y_true holds object"),
    ]:
        with pytest.raises(ValueError, match=message):
            function(bad_truth, bad_scores)


@pytest.mark.parametrize(
    "name, message",
    [
        ("lwlrap", "none of the 4 clips has a label; lwlrap needs"),
        ("mean_average_precision", "none of the 4 clips has a label; mean_average_precision needs"),
        ("macro_auc", "none of the 3 classes has both"),
        ("d_prime", "none of the 3 classes has both"),
        ("macro_f1", "none of the 4 clips has a label and no score is above 0.5"),
    ],
)
def test_metrics_without_a_value_say_so(name, message):
    with pytest.raises(ValueError, match=message):
        get_metric(name).function(np.zeros((4, 3)), np.full((4, 3), 0.2))


def test_other_refusals_of_several_labels():
    with pytest.raises(ValueError, match="none of the 1 classes has both"):
        macro_auc([[1], [1]], [[0.1], [0.2]])
    with pytest.raises(ValueError, match="none of the 4 clips has a label"):
        per_class_lwlrap(np.zeros((4, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="padding=0"):
        padded_cmap([[1]], [[0.5]], padding=0)
    for scores in ([[3.2], [0.1]], [[0.3], [-0.1]]):
        with pytest.raises(ValueError, match=r"scores reach from .* padded_cmap needs probabilities"):
            padded_cmap([[1], [0]], scores)


# ---------------------------------------------------------------------- intervals


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


# ---------------------------------------------------------------------- by name, and for fastai


def test_names():
    assert list_metrics() == [
        "accuracy",
        "accuracy_multi",
        "balanced_accuracy",
        "d_prime",
        "error_rate",
        "lwlrap",
        "macro_auc",
        "macro_f1",
        "macro_f1_single",
        "map@3",
        "mean_average_precision",
        "padded_cmap",
        "row_f1",
        "top@5",
    ]
    assert get_metric("map@2").function(TRUE, SCORES) == map_at_k(TRUE, SCORES, k=2)
    assert get_metric("top@2").function(TRUE, SCORES) == top_k_accuracy(TRUE, SCORES, k=2)
    assert (get_metric("top@7").name, get_metric("map@12").name) == ("top@7", "map@12")
    assert [get_metric(name).greater_is_better for name in ("accuracy", "error_rate", "map@7")] == [True, False, True]
    with pytest.raises(ValueError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        fastai_metric("acuracy")
    with pytest.raises(ValueError, match="unknown metric 'map@0'"):
        fastai_metric("map@0")
    with pytest.raises(ValueError, match="unknown metric 'mapp@3'; did you mean 'map@3'"):
        fastai_metric("mapp@3")


def data_for(name, seed=0):
    return multi_label_data(seed) if get_metric(name).multilabel else single_label_data(seed)


@pytest.mark.parametrize("name", list_metrics())
def test_what_the_registry_says_of_a_metric_is_true(name):
    chosen = get_metric(name)
    y_true, scores = data_for(name)
    value = chosen.function(y_true, scores)
    try:
        from_logits = chosen.function(y_true, 9 * scores - 3)  # ranks alike
    except ValueError as error:
        assert "needs probabilities" in str(error)
        from_logits = None
    assert (from_logits == value) != chosen.probabilities
    if name not in ("lwlrap", "mean_average_precision", "macro_auc", "d_prime", "macro_f1"):  # no value on some clips
        by_clip = np.mean([chosen.function(y_true[i : i + 1], scores[i : i + 1]) for i in range(len(scores))])
        assert (by_clip == pytest.approx(value)) == chosen.mean_over_clips
    hot = y_true if chosen.multilabel else np.eye(scores.shape[1])[y_true]
    best, worst = (chosen.function(y_true, np.abs(hot - flip) * 0.9 + 0.05) for flip in (0, 1))
    assert (best > worst) == chosen.greater_is_better


@pytest.mark.parametrize("name", list_metrics())
def test_predictions_know_every_metric(name):
    import pandas as pd

    from specimg.training import Predictions

    y_true, scores = data_for(name)
    is_multi, vocab = get_metric(name).multilabel, list("abcdefg")[: scores.shape[1]]
    targets = [[vocab[i] for i in np.flatnonzero(row)] for row in y_true] if is_multi else [vocab[i] for i in y_true]
    table = pd.DataFrame({"path": range(len(targets) + 1), "target": [*targets, None]})  # of the last nobody knows it
    kept = Predictions(table, [*scores, scores[0]], vocab, is_multi=is_multi)
    assert kept.score(name) == pytest.approx(get_metric(name).function(y_true, scores.astype(np.float32)))


@pytest.mark.parametrize(
    "name, expected", [("accuracy", 2 / 5), ("error_rate", 3 / 5), ("map@3", 17 / 30), ("map@2", 1 / 2)]
)
def test_fastai_metric_survives_pickle(name, expected):
    import torch

    again = pickle.loads(pickle.dumps(fastai_metric(name)))
    assert again.__name__ == name
    for dtype in (torch.float32, torch.bfloat16):
        assert float(again(torch.tensor(SCORES, dtype=dtype), torch.tensor(TRUE))) == pytest.approx(expected)


def test_fastai_metric_of_several_labels_takes_raw_outputs():
    import torch
    from fastai.metrics import accuracy_multi as fastai_accuracy_multi

    logits = torch.tensor(np.random.RandomState(0).normal(size=(5, 3)), dtype=torch.float32)
    targ = torch.tensor(np.random.RandomState(1).randint(0, 2, (5, 3)), dtype=torch.float32)
    ours, theirs = fastai_metric("accuracy_multi")(logits, targ), fastai_accuracy_multi(logits, targ)
    assert float(ours) == pytest.approx(float(theirs))


def test_a_diverged_network_has_no_accuracy():
    import torch

    assert np.isnan(float(fastai_metric("accuracy")(torch.tensor([[float("nan"), 1.0]]), torch.tensor([1]))))


@pytest.fixture
def whole_set_metric():
    """A metric that is no mean over clips: the range of the scores' first column."""
    metric("first column's range", mean_over_clips=False)(lambda y_true, scores: float(np.ptp(scores[:, 0])))
    yield "first column's range"
    del registry._METRICS["first column's range"]


def test_a_learner_averages_over_clips_not_over_batches(whole_set_metric):
    import torch
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner

    torch.set_num_threads(1)
    clips = [(torch.tensor(row, dtype=torch.float32), torch.tensor(y)) for row, y in zip(SCORES, TRUE)]
    loader = DataLoader(clips, bs=3)  # batches of 3 and 2
    names = ["accuracy", "map@3", whole_set_metric]
    same = torch.nn.Linear(4, 4, bias=False)  # hands its input on
    torch.nn.init.eye_(same.weight)
    learn = Learner(
        DataLoaders(loader, loader),
        same,
        loss_func=torch.nn.CrossEntropyLoss(),
        metrics=[fastai_metric(name) for name in names],
    )
    _, *values = learn.validate()
    assert values == pytest.approx([2 / 5, 17 / 30, 0.65])
    assert [m.name for m in learn.metrics] == names


@pytest.mark.parametrize("kind", ["one label", "several labels"])
def test_a_learner_shows_the_value_of_the_whole_set(kind):
    """Through batches of unequal size, whatever the metric, from raw outputs."""
    import torch
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner

    multi = kind == "several labels"
    names = [name for name in list_metrics() if get_metric(name).multilabel == multi]
    y_true, scores = multi_label_data(4) if multi else single_label_data(4)
    logits = torch.tensor(np.log((scores + 0.01) / (1.01 - scores)), dtype=torch.float32)
    target = torch.tensor(y_true, dtype=torch.float32 if multi else torch.int64)
    loader = DataLoader(list(zip(logits, target)), bs=37)
    loss = torch.nn.BCEWithLogitsLoss() if multi else torch.nn.CrossEntropyLoss()
    same = torch.nn.Linear(scores.shape[1], scores.shape[1], bias=False)  # hands its input on
    torch.nn.init.eye_(same.weight)
    learn = Learner(DataLoaders(loader, loader), same, loss_func=loss, metrics=[fastai_metric(name) for name in names])
    _, *values = learn.validate()
    probabilities = torch.sigmoid(logits).numpy()
    assert values == pytest.approx([get_metric(name).function(y_true, probabilities) for name in names], rel=1e-5)


def parts():
    return [importlib.import_module(f"specimg.metrics.{part.name}") for part in pkgutil.iter_modules(metrics.__path__)]


def test_the_package_is_light_and_its_examples_run(monkeypatch):
    heavy = "import sys, specimg.metrics; print({'torch', 'fastai', 'pandas', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))  # an example registers a metric
    results = {part.__name__.rpartition(".")[2]: doctest.testmod(part) for part in [metrics, *parts()]}
    assert not any(result.failed for result in results.values())
    without = [name for name, result in results.items() if not result.attempted]
    assert without == []


def test_every_name_of_the_parts_is_a_name_of_the_package():
    inner = {name for part in parts() for name in part.__all__} - {"as_scores", "as_indices", "as_hot"}
    assert inner == set(metrics.__all__) and all(hasattr(metrics, name) for name in inner)


def test_where_a_metric_has_no_value_a_training_run_goes_on():
    import torch

    from specimg.metrics import UndefinedError

    with pytest.raises(UndefinedError, match="none of the 2 clips"):
        metrics.lwlrap([[0, 0], [0, 0]], [[0.1, 0.9], [0.2, 0.8]])
    for name in ("lwlrap", "macro_auc", "mean_average_precision"):
        shown = metrics.FastaiMetric(name)(torch.tensor([[0.1, 0.9], [0.2, 0.8]]), torch.zeros(2, 2))
        assert torch.isnan(shown)
