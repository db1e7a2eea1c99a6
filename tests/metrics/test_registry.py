"""Metrics by name: every one is what the registry says of it."""

import doctest
import importlib
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
from scored_clips import SCORES, TRUE, multi_label_data, single_label_data

from specimg import metrics
from specimg.metrics import (
    Metric,
    fastai_metric,
    get_metric,
    list_metrics,
    map_at_k,
    own_metric,
    registry,
    top_k_accuracy,
)


def test_names():
    assert list_metrics() == [
        "accuracy",
        "accuracy_multi",
        "balanced_accuracy",
        "d_prime",
        "error_rate",
        "log_loss",
        "log_loss_multi",
        "lwlrap",
        "macro_auc",
        "macro_auc_single",
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
    if name not in (
        "lwlrap",
        "mean_average_precision",
        "macro_auc",
        "macro_auc_single",
        "d_prime",
        "macro_f1",
    ):  # no value on some clips
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
    own = {
        name
        for part in parts()
        for name, thing in vars(part).items()
        if getattr(thing, "__module__", "") == part.__name__
    }
    inner = {name for name in own if not name.startswith("_")} - {"as_scores", "as_indices", "as_hot", "error_of_curve"}
    assert inner == set(metrics.__all__) and all(hasattr(metrics, name) for name in inner)


@pytest.fixture
def unregistered(monkeypatch):
    """Metrics that a test registers are forgotten after it."""
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))


def share_of_first(y_true, scores):
    return float(np.mean(np.asarray(y_true) == 0))


def test_a_function_becomes_a_metric_under_its_name(unregistered):
    assert own_metric(share_of_first) == "share_of_first" == own_metric(share_of_first)
    found = get_metric("share_of_first")
    assert found.function([0, 1], None) == 0.5 and found.probabilities and not found.mean_over_clips
    assert own_metric(Metric("cost", share_of_first, greater_is_better=False)) == "cost"
    assert not get_metric("cost").greater_is_better


def test_a_function_of_a_known_name_keeps_both(unregistered):
    from sklearn.metrics import log_loss

    assert own_metric(log_loss) == "sklearn.log_loss"
    y_true, probs = np.arange(4), np.full((4, 4), 0.1) + 0.6 * np.eye(4)[[0, 1, 3, 3]]
    ours, theirs = (get_metric(name).function(y_true, probs) for name in ("log_loss", "sklearn.log_loss"))
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize("given", [lambda y_true, scores: 0.0, 3, None])
def test_what_has_no_name_is_no_metric(given):
    with pytest.raises(ValueError, match="is no metric; give a name of list_metrics"):
        own_metric(given)


def test_an_unknown_name_says_how_to_register_ones_own():
    with pytest.raises(
        ValueError, match=r"unknown metric 'mine'.*must be registered in this process: own_metric\(function\)"
    ):
        get_metric("mine")
