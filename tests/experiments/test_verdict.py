"""A network against the linear baseline on the same clips, and why it may lose."""

import numpy as np
import pandas as pd
import pytest

from specimg.experiments.baseline import LinearBaseline, likely_reasons
from specimg.training import Predictions

N = 60
LABELS = np.array(["a", "b"] * (N // 2))


def hot(right):
    """Probabilities of the labels a and b that are right where `right` is."""
    p_a = np.where((LABELS == "a") == right, 0.9, 0.1)
    return np.column_stack([p_a, 1 - p_a])


def baseline(right):
    clips = pd.DataFrame({"path": [f"{i}.wav" for i in range(N)], "label": LABELS})
    return LinearBaseline(float(right.mean()), 0.5, hot(right), None, clips, ("a", "b"))


def predictions(right):
    order = np.random.default_rng(0).permutation(N)  # clips are matched by name
    table = pd.DataFrame({"path": [f"{i}.wav" for i in range(N)], "target": LABELS}).iloc[order].reset_index(drop=True)
    return Predictions(table, hot(right)[order], ["a", "b"])


FIRST = {share: np.arange(N) < share * N for share in (0.3, 0.6, 0.65, 1.0)}


@pytest.mark.parametrize(
    "network, linear, words",
    [
        (0.3, 0.6, r"the network \(accuracy 0.300\) loses to the linear baseline \(0.600\) on 60 clips$"),
        (0.6, 0.65, "loses to the linear baseline .* on 60 clips, by no more than chance$"),
        (1.0, 0.6, "beats the linear baseline .* on 60 clips$"),
        (0.6, 0.6, "equals the linear baseline .* on 60 clips$"),
    ],
)
def test_the_verdict(network, linear, words):
    import re

    assert re.search(words, baseline(FIRST[linear]).compare(predictions(FIRST[network])))


def test_other_clips_are_refused():
    own = predictions(FIRST[0.6])
    with pytest.raises(ValueError, match="59 clips of the baseline are not among the predictions"):
        baseline(FIRST[0.6]).compare(own.subset([0]))


def history(train, valid):
    return pd.DataFrame({"train_loss": train, "valid_loss": valid})


@pytest.mark.parametrize(
    "about, reason",
    [
        ((None, False, 500, 10), "random weights"),
        ((None, True, 50, 10), "5 clips per class"),
        ((history([2.3, 2.25], [2.3, 2.3]), True, 500, 10), "that of guessing.*lr='find'"),
        ((history([1.5, 0.9], [1.4, 1.2]), True, 500, 10), "2 epochs only"),
        ((history([1.0] * 11 + [0.1], [0.8] * 11 + [1.2]), True, 500, 10), "by heart .*best_model=True"),
    ],
)
def test_likely_reasons(about, reason):
    (found,) = likely_reasons(*about)
    import re

    assert re.search(reason, found)


def test_no_reason_is_made_up():
    assert likely_reasons(history([1.0] * 12, [0.9] * 12), True, 500, 10) == []
