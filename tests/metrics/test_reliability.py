"""Calibration worked by hand, and what is refused."""

import numpy as np
import pytest

from specimg.metrics import calibration_curve, expected_calibration_error

PROBS = [[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.45, 0.55]]
HOT = [[1, 0], [0, 1], [0, 1], [0, 1]]  # the second is wrong


def test_a_curve_worked_by_hand():
    curve = calibration_curve(PROBS, HOT, n_bins=4)  # 0.55 and 0.7 in the third bin, 0.8 and 0.9 in the fourth
    assert curve["low"].tolist() == [0, 0.25, 0.5, 0.75] and curve["high"].tolist() == [0.25, 0.5, 0.75, 1]
    assert curve["n"].tolist() == [0, 0, 2, 2]
    assert curve["confidence"].tolist() == pytest.approx([np.nan, np.nan, 0.625, 0.85], nan_ok=True)
    assert curve["accuracy"].tolist() == pytest.approx([np.nan, np.nan, 1, 0.5], nan_ok=True)
    assert curve.loc[3, ["accuracy_low", "accuracy_high"]].tolist() == pytest.approx([0.0945, 0.9055], abs=1e-3)
    assert expected_calibration_error(PROBS, HOT, n_bins=4) == pytest.approx((2 * 0.375 + 2 * 0.35) / 4)


def test_a_bin_holds_its_upper_end():
    curve = calibration_curve([[0.0], [0.5], [1.0]], [[0], [1], [1]], n_bins=2)
    assert curve["n"].tolist() == [2, 1]


def test_all_labels_count_where_a_clip_may_have_several():
    curve = calibration_curve(PROBS, HOT, n_bins=2, multilabel=True)
    assert curve["n"].tolist() == [4, 4]
    assert curve["accuracy"].tolist() == [1 / 4, 3 / 4]  # 0.1 0.2 0.3 0.45 against 0.9 0.8 0.7 0.55
    assert expected_calibration_error(PROBS, HOT, 2, multilabel=True) == pytest.approx(
        (abs(0.2625 - 0.25) + abs(0.7375 - 0.75)) / 2
    )


def test_the_error_is_that_of_the_definition():
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.ones(5), 400)
    hot = np.eye(5, dtype=bool)[rng.integers(0, 5, 400)]
    conf, right = probs.max(axis=1), hot[np.arange(400), probs.argmax(axis=1)]
    slow = 0.0
    for m in range(1, 11):  # Guo et al. (2017), equation 3
        here = (conf > (m - 1) / 10) & (conf <= m / 10)
        slow += here.sum() / 400 * abs(right[here].mean() - conf[here].mean()) if here.any() else 0
    assert expected_calibration_error(probs, hot, n_bins=10) == pytest.approx(slow)


def test_who_says_what_is_true_has_no_error():
    rng = np.random.default_rng(1)
    p = rng.random(20000)
    hot = rng.random(20000) < p
    probs = np.stack([1 - p, p], axis=1)
    assert expected_calibration_error(probs, np.stack([~hot, hot], axis=1), multilabel=True) < 0.02
    assert expected_calibration_error(probs**0.2, np.stack([~hot, hot], axis=1), multilabel=True) > 0.2


@pytest.mark.parametrize(
    "probs, hot, n_bins, message",
    [
        ([[0.5, np.nan]], [[1, 0]], 5, "scores hold nan in 1 of 1 clips"),
        ([[0.5, 1.2]], [[1, 0]], 5, "probs reaches from 0.5 to 1.2; probabilities lie between 0 and 1"),
        ([[0.5, 0.5]], [1], 5, "y_true has shape"),
        ([[0.5, 0.5]], [[1, 0]], 0, "n_bins=0: give at least 1 bin"),
    ],
)
def test_what_is_refused(probs, hot, n_bins, message):
    with pytest.raises(ValueError, match=message):
        calibration_curve(probs, hot, n_bins)


def test_half_precision_may_round_above_one():
    assert calibration_curve([[1.0005, 0.0]], [[1, 0]], 4)["n"].tolist() == [0, 0, 0, 1]
