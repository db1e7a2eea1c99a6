"""Metrics of one label per clip: by hand, against scikit-learn, and what ties do."""

import numpy as np
import pytest
from scored_clips import SCORES, TRUE, single_label_data
from sklearn import metrics as sk

from specimg.metrics import (
    UndefinedError,
    accuracy,
    accuracy_multi,
    balanced_accuracy,
    error_rate,
    log_loss,
    macro_auc_single,
    macro_f1_single,
    map_at_k,
    ranks,
    top_k_accuracy,
    top_k_labels,
)


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


def test_log_loss_is_scikit_learns_and_clips_certainty():
    rng = np.random.default_rng(0)
    y_true, probs = rng.integers(0, 4, 50), rng.dirichlet(np.ones(4), 50)
    assert log_loss(y_true, probs) == pytest.approx(sk.log_loss(y_true, probs, labels=range(4)))
    assert log_loss(y_true, 3 * probs) == pytest.approx(log_loss(y_true, probs))  # rows are normalised
    assert log_loss([0], [[0.0, 1.0]]) == pytest.approx(-np.log(np.finfo(float).eps))
    for scores in ([[-0.1, 1.1]], [[0.0, 0.0]]):
        with pytest.raises(ValueError, match="log_loss needs probabilities"):
            log_loss([0], scores)


def test_macro_auc_of_one_label_is_scikit_learns_one_vs_rest():
    rng = np.random.default_rng(0)
    y_true, probs = rng.integers(0, 4, 60), rng.dirichlet(np.ones(4), 60)
    assert macro_auc_single(y_true, probs) == pytest.approx(sk.roc_auc_score(y_true, probs, multi_class="ovr"))
    with_empty = np.column_stack([probs, np.zeros(60)])  # a class without a clip is left out
    assert macro_auc_single(y_true, with_empty) == pytest.approx(macro_auc_single(y_true, probs))
    with pytest.raises(UndefinedError):
        macro_auc_single([1, 1], [[0.1, 0.9], [0.2, 0.8]])
