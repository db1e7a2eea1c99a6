"""Metrics of several labels per clip: by hand and against scikit-learn, with ties and classes without a clip."""

import math

import numpy as np
import pytest
from scipy.stats import norm
from scored_clips import multi_label_data
from sklearn import metrics as sk

from specimg.metrics import (
    d_prime,
    get_metric,
    list_metrics,
    log_loss_multi,
    lwlrap,
    macro_auc,
    macro_f1,
    mean_average_precision,
    padded_cmap,
    per_class_lwlrap,
    row_f1,
)


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
        (y_true * 2, scores, "y_true holds 2 and is not an array of 0 and 1"),
        (np.where(y_true, 1, np.nan), scores, "y_true holds nan"),
        (y_true.astype(str), scores, "y_true holds <U.* and is not an array of 0 and 1"),
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


def test_log_loss_of_several_labels_is_binary_cross_entropy():
    import torch

    rng = np.random.default_rng(0)
    hot, probs = rng.integers(0, 2, (30, 4)), rng.uniform(0.01, 0.99, (30, 4))
    expected = torch.nn.functional.binary_cross_entropy(torch.tensor(probs), torch.tensor(hot).double())
    assert log_loss_multi(hot, probs) == pytest.approx(float(expected))
    with pytest.raises(ValueError, match="log_loss_multi needs probabilities"):
        log_loss_multi([[1]], [[1.5]])
