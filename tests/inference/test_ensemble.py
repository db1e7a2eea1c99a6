"""Several networks as one: the mean of their probabilities, and a run as one folder, calibrated on what was held out."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bundles import make_sounds, probabilities, train
from torch import nn

from specimg.data.tta import TTA, TTAFit
from specimg.inference import (
    SETTINGS,
    Ensemble,
    check_classifier,
    fit_temperature,
    load_classifier,
    rescale,
    save_classifier,
)
from specimg.training import predict_all


class Says(nn.Module):
    """Always the same logits, whatever it is given; its embedding too."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor([logits]))

    def forward(self, x):
        return self.logits.expand(len(x), -1)

    embed = forward


def odds(*probs):
    return [math.log(p / (1 - p)) for p in probs]


# ---------------------------------------------------------------------- the module


def test_the_mean_of_softmax_by_hand():
    net = Ensemble([Says(math.log(0.8), math.log(0.2)), Says(math.log(0.4), math.log(0.6))])
    out = net(torch.zeros(3, 1, 4, 4))
    assert (
        out.shape == (3, 2)
        and out.exp()[0].tolist() == pytest.approx([0.6, 0.4])
        and out.softmax(1)[2].tolist() == pytest.approx([0.6, 0.4])
    )
    assert len(net) == 2 and net.embed(torch.zeros(3, 1, 4, 4)).shape == (3, 4)


def test_the_mean_of_sigmoid_by_hand():
    net = Ensemble([Says(*odds(0.8, 0.1, 0.5)), Says(*odds(0.4, 0.3, 0.5))], is_multi=True)
    assert net(torch.zeros(1, 1, 4, 4)).sigmoid()[0].tolist() == pytest.approx([0.6, 0.2, 0.5])


@pytest.mark.parametrize("is_multi", [False, True])
def test_one_network_answers_as_it_is(is_multi):
    logits = [2.0, -1.0, 0.3]
    out = Ensemble([Says(*logits)], is_multi)(torch.zeros(1, 1, 4, 4))
    act = torch.sigmoid if is_multi else lambda x: x.softmax(1)
    assert act(out)[0].tolist() == pytest.approx(act(torch.tensor([logits]))[0].tolist())


@pytest.mark.parametrize("is_multi", [False, True])
def test_what_is_sure_stays_finite(is_multi):
    net = Ensemble([Says(300.0, -300.0), Says(200.0, -250.0)], is_multi)
    out = net(torch.zeros(1, 1, 4, 4))
    assert torch.isfinite(out).all() and out[0, 0] > out[0, 1]
    out[0, 1].backward()
    assert torch.isfinite(net.networks[0].logits.grad).all()


def test_no_networks_are_no_ensemble():
    with pytest.raises(ValueError, match="an ensemble of no networks"):
        Ensemble([])


# ---------------------------------------------------------------------- a run as a folder


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


def make_run(sounds, folder, tta=TTA(), **options):
    """What `save_classifier` asks of a run: two folds with their classifiers, and what each said of clips that it had not seen."""
    fold_runs, parts = [], []
    for fold in range(2):
        learn = train(sounds, seed=fold, **options)
        with torch.no_grad():
            learn.model[1][-1].weight.mul_(8 * (1 + fold))  # too sure, and no two alike
        save_classifier(learn, folder / f"seed0-fold{fold}" / "classifier", golden=0)
        fold_runs.append(SimpleNamespace(fold=fold, seed=0, folder=folder / f"seed0-fold{fold}"))
        parts.append(predict_all(learn, layers=False))
    return SimpleNamespace(
        fold_runs=fold_runs, predictions=parts[0].merge(parts[1]), config=SimpleNamespace(tta=tta, recipe=None)
    )


@pytest.fixture(scope="module")
def run(sounds, tmp_path_factory):
    return make_run(sounds, tmp_path_factory.mktemp("run"))


def test_folds_become_one_folder(run, sounds, tmp_path):
    folder = save_classifier(run, tmp_path / "both", golden=2)
    told = json.loads((folder / SETTINGS).read_text())
    assert (
        told["weights"] == ["weights-0.safetensors", "weights-1.safetensors"]
        and told["training"]["networks"] == 2
        and told["training"]["folds"] == 2
    )
    clf = load_classifier(folder)
    assert repr(clf).endswith("'squish', 2 networks)") and isinstance(clf.model, Ensemble)
    alone = [
        probabilities(load_classifier(member.folder / "classifier").predict(sounds.files)) for member in run.fold_runs
    ]
    mean = np.mean(alone, axis=0)
    assert np.abs(alone[0] - alone[1]).max() > 0.05
    wanted = fit_temperature(run.predictions.probs, run.predictions.hot)
    assert (
        clf.temperature == pytest.approx(wanted)
        and clf.temperature > 1.5
        and clf.calibration.clips == len(run.predictions)
    )
    assert probabilities(clf.predict(sounds.files)) == pytest.approx(rescale(mean, wanted), abs=1e-5)
    assert set(check_classifier(folder)["verdict"]) == {"same"}
    card = (folder / "README.md").read_text()
    assert (
        "2 networks, of whose probabilities the mean is taken" in card
        and "fitted on the predictions of single networks" in card
        and "out of fold" in card
    )


def test_embeddings_stand_side_by_side(run, sounds, tmp_path):
    clf = load_classifier(save_classifier(run, tmp_path / "both", golden=0))
    both = clf.embed(sounds.files[:2]).filter(regex="^e_").to_numpy()
    alone = [
        load_classifier(member.folder / "classifier").embed(sounds.files[:2]).filter(regex="^e_").to_numpy()
        for member in run.fold_runs
    ]
    assert both == pytest.approx(np.concatenate(alone, axis=1), abs=1e-6)


def test_a_run_need_not_be_calibrated(run, tmp_path):
    clf = load_classifier(save_classifier(run, tmp_path / "cold", golden=0, calibrate=False))
    assert clf.temperature == 1 and clf.calibration.clips == 0


def test_several_labels_get_thresholds(sounds, tmp_path):
    run = make_run(sounds, tmp_path / "run", label_col="both", label_delim=" ")
    clf = load_classifier(save_classifier(run, tmp_path / "both", golden=0))
    alone = [
        probabilities(load_classifier(member.folder / "classifier").predict(sounds.files[:4]))
        for member in run.fold_runs
    ]
    assert len(clf.calibration.thresholds) == 5 and clf.is_multi
    said = probabilities(clf.predict(sounds.files[:4]))
    assert said == pytest.approx(rescale(np.mean(alone, axis=0), clf.temperature, is_multi=True), abs=1e-5)


def test_windows_of_a_run_travel(sounds, tmp_path):
    run = make_run(sounds, tmp_path / "run", TTA(shifts=(-0.1, 0.0, 0.1)), method="pad")
    clf = load_classifier(save_classifier(run, tmp_path / "both", golden=0))
    assert (
        isinstance(clf.input.transform, TTAFit)
        and clf.input.transform.tta == run.config.tta
        and clf.to_input(sounds.files[0]).ndim == 4
    )
    assert clf.predict(sounds.files[:2])["status"].tolist() == ["ok", "ok"]


def test_networks_that_do_not_go_together(sounds, run, tmp_path):
    other = make_run(sounds, tmp_path / "run", size=(20, 30))
    mixed = SimpleNamespace(fold_runs=[run.fold_runs[0], other.fold_runs[1]], predictions=run.predictions)
    with pytest.raises(ValueError, match="the networks of this run do not go together: network is"):
        save_classifier(mixed, tmp_path / "mixed")
    assert not (tmp_path / "mixed").exists()


def test_weights_of_folds_cannot_change_places(run, tmp_path):
    folder = save_classifier(run, tmp_path / "both", golden=0)
    one, two = (folder / f"weights-{i}.safetensors" for i in range(2))
    data = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(data)
    with pytest.raises(ValueError, match="weights-0.safetensors is not the file that was saved"):
        load_classifier(folder)
