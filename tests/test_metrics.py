"""Metrics by hand: where the true class stands, what ties do, how wide the intervals are, and what fastai sees."""

import doctest
import pickle
import subprocess
import sys

import numpy as np
import pytest

from specimg import metrics
from specimg.metrics import (
    accuracy, accuracy_multi, bootstrap_interval, error_rate, fastai_metric, get_metric, list_metrics, map_at_k, ranks,
    top_k_labels, wilson_interval,
)

SCORES = np.array([   # the true class stands ...
    [0.70, 0.10, 0.10, 0.10],   # 1st
    [0.40, 0.30, 0.20, 0.10],   # 2nd
    [0.40, 0.30, 0.20, 0.10],   # 3rd
    [0.40, 0.30, 0.20, 0.10],   # 4th
    [0.05, 0.05, 0.10, 0.80],   # 1st
])
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
    scores, y_true = rng.randint(0, 4, (200, 7)), rng.randint(0, 7, 200)   # many ties
    guesses = top_k_labels(scores, vocab, k=3)
    by_hand = [1 / (1 + row.index(vocab[y])) if vocab[y] in row else 0 for row, y in zip(guesses, y_true)]
    assert map_at_k(y_true, scores) == pytest.approx(np.mean(by_hand))


def test_scores_of_minus_infinity_have_a_rank():
    assert ranks([0, 1], [[-np.inf, 0.0], [-np.inf, 0.0]]).tolist() == [2, 1]


def test_accuracy_multi_counts_pairs():
    y_true = [[1, 0, 0], [0, 1, 1]]
    scores = [[0.9, 0.6, 0.5], [0.1, 0.4, 0.7]]   # one false yes, one false no; 0.5 is not above 0.5
    assert accuracy_multi(y_true, scores) == pytest.approx(4 / 6)
    assert accuracy_multi(y_true, scores, threshold=0.65) == pytest.approx(5 / 6)


@pytest.mark.parametrize("y_true, scores, message", [
    ([0, 1], [[0.5, np.nan], [0.5, 0.5]], "nan in 1 of 2 clips"),
    ([0], [0.5, 0.5], r"shape \(2,\); expected \(clips, classes\)"),
    ([], np.zeros((0, 3)), r"shape \(0, 3\)"),
    ([0, 1, 1], [[0.5, 0.5], [0.5, 0.5]], r"y_true has shape \(3,\); expected \(2,\)"),
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]], "y_true holds 0 to 2; expected 0 to 1"),
    ([-1, 1], [[0.5, 0.5], [0.5, 0.5]], "y_true holds -1 to 1"),
    ([0.0, 1.0], [[0.5, 0.5], [0.5, 0.5]], "float64; expected whole numbers"),
])
def test_what_cannot_be_scored_is_refused(y_true, scores, message):
    with pytest.raises(ValueError, match=message):
        accuracy(y_true, scores)


def test_other_bad_input_is_refused():
    with pytest.raises(ValueError, match="k=0"):
        map_at_k(TRUE, SCORES, k=0)
    with pytest.raises(ValueError, match="vocab has 2 labels; scores have 4"):
        top_k_labels(SCORES, ["a", "b"])
    with pytest.raises(ValueError, match=r"expected \(5, 4\) of 0 and 1"):
        accuracy_multi(TRUE, SCORES)
    with pytest.raises(ValueError, match="of 0 and 1"):
        accuracy_multi(SCORES, SCORES)


@pytest.mark.parametrize("successes, n, low, high", [   # as scipy's binomtest(...).proportion_ci(method="wilson")
    (8, 10, 0.4901625, 0.9433178),
    (0, 10, 0.0, 0.2775328),
    (10, 10, 0.7224672, 1.0),
    (50, 100, 0.4038315, 0.5961685),
])
def test_wilson_interval(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_intervals_refuse_nonsense():
    for successes, n in [(0, 0), (3, 2), (-1, 2)]:
        with pytest.raises(ValueError, match="n must be at least 1"):
            wilson_interval(successes, n)
    with pytest.raises(ValueError, match="level=95"):
        wilson_interval(1, 2, level=95)
    for values in ([], [0.0, np.nan], np.zeros((2, 2))):
        with pytest.raises(ValueError, match="all finite"):
            bootstrap_interval(values)


def test_bootstrap_interval_is_near_the_normal_one_and_repeats():
    values = np.random.RandomState(1).normal(0.6, 0.2, 400)
    low, high = bootstrap_interval(values, seed=3)
    half = 1.96 * values.std() / np.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)
    assert bootstrap_interval(values, seed=3) == (low, high) != bootstrap_interval(values, seed=4)
    assert bootstrap_interval([0.5, 0.5]) == (0.5, 0.5)


# ---------------------------------------------------------------------- by name, and for fastai

def test_names():
    assert list_metrics() == ["accuracy", "accuracy_multi", "error_rate", "map@3"]
    assert get_metric("map@2").function(TRUE, SCORES) == map_at_k(TRUE, SCORES, k=2)
    assert [get_metric(name).greater_is_better for name in ("accuracy", "error_rate", "map@7")] == [True, False, True]
    with pytest.raises(ValueError, match="unknown metric 'acuracy'; did you mean 'accuracy'"):
        fastai_metric("acuracy")
    with pytest.raises(ValueError, match="unknown metric 'map@0'"):
        fastai_metric("map@0")


@pytest.mark.parametrize("name, expected", [
    ("accuracy", 2 / 5), ("error_rate", 3 / 5), ("map@3", 17 / 30), ("map@2", 1 / 2),
])
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
    metrics.metric("first column's range", mean_over_clips=False)(lambda y_true, scores: float(np.ptp(scores[:, 0])))
    yield "first column's range"
    del metrics._METRICS["first column's range"]


def test_a_learner_averages_over_clips_not_over_batches(whole_set_metric):
    import torch
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner

    torch.set_num_threads(1)
    clips = [(torch.tensor(row, dtype=torch.float32), torch.tensor(y)) for row, y in zip(SCORES, TRUE)]
    loader = DataLoader(clips, bs=3)   # batches of 3 and 2
    names = ["accuracy", "map@3", whole_set_metric]
    same = torch.nn.Linear(4, 4, bias=False)   # hands its input on
    torch.nn.init.eye_(same.weight)
    learn = Learner(DataLoaders(loader, loader), same, loss_func=torch.nn.CrossEntropyLoss(),
                    metrics=[fastai_metric(name) for name in names])
    _, *values = learn.validate()
    assert values == pytest.approx([2 / 5, 17 / 30, 0.65])
    assert [m.name for m in learn.metrics] == names


def test_the_module_is_light_and_its_examples_run():
    heavy = "import sys, specimg.metrics; print({'torch', 'fastai', 'pandas', 'sklearn'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
    results = doctest.testmod(metrics)
    assert results.attempted >= 4 and not results.failed
