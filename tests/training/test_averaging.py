"""Averaged weights: what they are, that validation is done with them, and that a killed training ends in the same ones."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fastai.vision.all import Callback
from trainings import BATCHES, BUSY, EPOCHS, Stop, make_learner, make_plain, same, timeless, weights

from specimg.training import Recipe, TrainingFolder, fit, load_training

EMA = BUSY.replace(ema=0.9, best_model=False)
LAST = BUSY.replace(average_last=2, best_model=False)


class Steps(Callback):
    """The weights after every step, and after every epoch."""

    order, run_valid = 90, False

    def __init__(self):
        self.steps, self.epochs = [], []

    def after_step(self):
        self.steps.append(weights(self.learn))

    def after_epoch(self):
        self.epochs.append(weights(self.learn))


def quiet(learn, recipe, out=None):
    with learn.no_logging():
        return fit(learn, recipe, out)


@pytest.fixture(scope="module", params=[EMA, LAST], ids=["ema", "average_last"])
def whole(request):
    """(recipe, history, weights) of a training that nothing stopped."""
    learn = make_learner()
    history = quiet(learn, request.param)
    return request.param, timeless(history), weights(learn)


def test_ema_is_what_a_loop_over_the_steps_gives():
    learn = make_learner()
    learn.add_cb(Steps())
    quiet(learn, EMA)
    expected = None
    for step, there in enumerate(learn.steps.steps):
        decay = min(0.9, 1 - (1 + step) ** (-2 / 3)) if step else 0.0
        for name, part in there.items():
            if not part.is_floating_point():
                expected = {**(expected or {}), name: part}
            else:
                before = part.double() if expected is None or name not in expected else expected[name]
                expected = {**(expected or {}), name: decay * before + (1 - decay) * part.double()}
    for name, part in weights(learn).items():
        torch.testing.assert_close(part.double(), expected[name].double(), rtol=1e-4, atol=1e-5)
    assert len(learn.steps.steps) == 4 * BATCHES


def test_every_epoch_is_validated_with_the_moving_average_and_training_goes_on_as_without_it():
    plain, averaged = make_learner(), make_learner()
    for learn in (plain, averaged):
        learn.add_cb(Steps())
    without, with_ema = quiet(plain, EMA.replace(ema=0)), quiet(averaged, EMA)
    assert with_ema["train_loss"].equals(without["train_loss"])
    assert not with_ema["valid_loss"].equals(without["valid_loss"])
    assert all(same(*pair) for pair in zip(plain.steps.steps, averaged.steps.steps))
    with averaged.no_bar():
        loss = averaged.validate()[0]
    assert loss == pytest.approx(with_ema["valid_loss"].iloc[-1], abs=1e-6)


def test_the_mean_of_the_last_epochs_has_statistics_of_its_own():
    learn = make_learner()
    learn.add_cb(Steps())
    quiet(learn, LAST)
    after, found = learn.steps.epochs[2:4], weights(learn)  # frozen epochs, then the two unfrozen ones, then validation
    for name, part in learn.model.named_parameters():
        torch.testing.assert_close(part, (after[0][name] + after[1][name]) / 2)
    measured = [name for name in found if name.endswith("running_mean")]
    assert measured and not any(torch.equal(found[name], after[1][name]) for name in measured)


def test_both_are_judged_beside_the_last_epoch_and_kept(whole, tmp_path, capsys):
    recipe, history, end = whole
    learn = make_learner()
    fit(learn, recipe, tmp_path / "run")
    facts = json.loads((tmp_path / "run/training.json").read_text())["average"]
    with learn.no_bar():
        averaged = learn.validate()
    assert facts["averaged"] == pytest.approx({"valid_loss": averaged[0], "accuracy": averaged[1]})
    assert (facts["last"]["valid_loss"] == pytest.approx(history["valid_loss"].iloc[-1])) == bool(recipe.average_last)
    said = f"{facts['kind']}: valid_loss {averaged[0]:.4f}, accuracy {averaged[1]:.4f}; the last epoch's weights: valid_loss"
    assert said in capsys.readouterr().out
    assert same(weights(learn), end)
    folder = TrainingFolder(tmp_path / "run")
    assert same(folder.weights()[0], end) and folder.weights()[1]
    other = make_learner(seed=5)
    load_training(other, tmp_path / "run")
    assert same(weights(other), end)


@pytest.mark.parametrize("batch", [2, 2 * BATCHES + 3, 4 * BATCHES])
def test_a_stopped_training_ends_in_the_same_average(whole, tmp_path, batch):
    recipe, history, end = whole
    stopped, resumed = make_learner(), make_learner(seed=9)
    stopped.add_cb(Stop(batch))
    with pytest.raises(RuntimeError, match="stop"):
        quiet(stopped, recipe, tmp_path)
    assert timeless(quiet(resumed, recipe, tmp_path)).equals(history)
    assert same(weights(resumed), end)


def test_a_killed_process_ends_in_the_same_average(whole, tmp_path):
    recipe, history, end = whole
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import trainings as t; from specimg.training import Recipe, fit; learn = t.make_learner(); "
        f"learn.add_cb(t.Stop({3 * BATCHES + 2}, 'kill')); fit(learn, Recipe.from_json(sys.argv[3]), sys.argv[2])"
    )
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, Path(__file__).parents[1], tmp_path / "run", recipe.to_json()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    learn = make_learner(seed=9)
    assert timeless(quiet(learn, recipe, tmp_path / "run")).equals(history)
    assert same(weights(learn), end)


def test_killed_between_the_last_epoch_and_the_average(whole, tmp_path, monkeypatch):
    recipe, history, end = whole
    stopped, resumed = make_learner(), make_learner(seed=9)
    with monkeypatch.context() as patch:
        patch.setattr("specimg.training.loop.judged", Stop(1).after_batch)
        with pytest.raises(TypeError):
            quiet(stopped, recipe, tmp_path)
    assert timeless(quiet(resumed, recipe, tmp_path)).equals(history)
    assert same(weights(resumed), end)
    assert json.loads((tmp_path / "training.json").read_text())["average"]["averaged"]


def test_the_best_epoch_is_that_of_the_average():
    learn = make_learner()
    history = quiet(learn, EMA.replace(best_model=True))
    with learn.no_bar():
        assert learn.validate()[0] == pytest.approx(history["valid_loss"].min(), abs=1e-6)


def test_an_interruption_in_validation_leaves_the_trained_weights(tmp_path):
    class InValidation(Callback):
        order = 60

        def before_batch(self):
            if not self.training:
                raise KeyboardInterrupt

    learn = make_learner()
    learn.add_cbs([Steps(), InValidation()])
    with pytest.raises(KeyboardInterrupt):
        quiet(learn, EMA)
    assert same(weights(learn), learn.steps.steps[-1])


def test_the_recorder_keeps_the_course_of_the_training():
    plain, averaged = make_plain(), make_plain()
    for learn, ema in ((plain, 0.0), (averaged, 0.9)):
        quiet(learn, Recipe(epochs=2, freeze_epochs=0, lr=0.01, ema=ema, seed=0))
    assert len(averaged.recorder.values) == 2 and averaged.recorder.lrs == plain.recorder.lrs
    assert [float(x) for x in averaged.recorder.losses] == [float(x) for x in plain.recorder.losses]


def test_without_validation_clips_nothing_is_judged(capsys):
    learn = make_plain()
    learn.dls.valid.dataset = []
    learn.dls.valid.n = 0
    fit(learn, Recipe(epochs=2, freeze_epochs=0, lr=0.01, ema=0.9))
    assert "ema 0.9: not validated" in capsys.readouterr().out


@pytest.mark.parametrize(
    "fields, match",
    [
        (dict(ema=1), r"ema=1.0\): it must be 0 \(off\) or more, and below 1"),
        (dict(average_last=1), "from 2 to epochs=14"),
        (dict(average_last=4, epochs=3), "from 2 to epochs=3"),
        (dict(average_last=2, ema=0.9), "both average the weights; give one"),
        (dict(average_last=2, best_model=True), "the other a single one"),
        (dict(average_last=2, early_stopping=1), "which epochs are the last"),
    ],
)
def test_recipes_that_cannot_average(fields, match):
    with pytest.raises(ValueError, match=match):
        Recipe(**fields)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda average: average.update(n="many"), "'average' is no set of averaged weights"),
        (lambda average: average["model"].popitem(), "averaged weights of another network"),
    ],
)
def test_an_average_of_another_kind(tmp_path, change, match):
    learn = make_plain()
    quiet(learn, Recipe(epochs=1, freeze_epochs=0, lr=0.01, ema=0.9, seed=0), tmp_path)
    file = tmp_path / "checkpoints/last.pth"
    state = torch.load(file, weights_only=True)
    change(state["average"])
    torch.save(state, file)
    with pytest.raises(ValueError, match=match):
        load_training(make_plain(), tmp_path)
    assert EPOCHS.ema == 0  # off unless asked for
