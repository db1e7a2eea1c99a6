"""Metrics in a fastai Learner: the value of the whole set, through batches of unequal size."""

import pickle

import numpy as np
import pytest
from scored_clips import SCORES, TRUE, multi_label_data, single_label_data

from specimg import metrics
from specimg.metrics import fastai_metric, get_metric, list_metrics, metric, registry


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
    """A metric that is not a mean over clips: the range of the scores' first column."""
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
    probabilities = (torch.sigmoid(logits) if multi else torch.softmax(logits, dim=-1)).numpy()
    assert values == pytest.approx([get_metric(name).function(y_true, probabilities) for name in names], rel=1e-5)


def test_where_a_metric_has_no_value_a_training_run_goes_on():
    import torch

    from specimg.metrics import UndefinedError

    with pytest.raises(UndefinedError, match="none of the 2 clips"):
        metrics.lwlrap([[0, 0], [0, 0]], [[0.1, 0.9], [0.2, 0.8]])
    for name in ("lwlrap", "macro_auc", "mean_average_precision"):
        shown = metrics.FastaiMetric(name)(torch.tensor([[0.1, 0.9], [0.2, 0.8]]), torch.zeros(2, 2))
        assert torch.isnan(shown)


def test_a_metric_of_probabilities_gets_the_softmax_of_single_labels():
    import torch

    logits, target = torch.tensor([[2.0, 0.0, 1.0], [0.5, 0.1, -3.0]]), torch.tensor([0, 1])
    expected = torch.nn.functional.cross_entropy(logits, target)
    assert float(fastai_metric("log_loss")(logits, target)) == pytest.approx(float(expected), abs=1e-6)
