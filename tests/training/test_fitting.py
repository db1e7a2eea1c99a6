"""Recipes and fit, on pictures of 24 x 40 pixels with 4 batches an epoch: resumes are compared bit by bit."""

from __future__ import annotations

import json
import math
import shutil
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import (
    SGD,
    Brightness,
    Callback,
    CrossEntropyLossFlat,
    DataLoader,
    DataLoaders,
    ImageDataLoaders,
    Learner,
    MixHandler,
    PILImageBW,
    ValueMetric,
    accuracy,
    load_learner,
    vision_learner,
)
from matplotlib.figure import Figure
from PIL import Image
from torch import nn
from trainings import BATCHES, BUSY, EPOCHS, Stop, make_learner, make_plain, same, timeless, weights

from specimg.core.values import Value
from specimg.training import Recipe, fit, load_training, read_history
from specimg.training.callbacks import mixed_precision
from specimg.training.checkpoint import folder_action
from specimg.training.identity import differences
from specimg.training.losses import GeneralizedCrossEntropy, LossFunction, SoftBootstrap
from specimg.training.schedule import best_row, epoch_seed, peak_rates, search_length, stopped_early

torch.set_num_threads(1)


def scripted(learn, values, name="score"):
    """Give `learn` a metric with one known value for each epoch of a phase."""
    learn.metrics = [ValueMetric(lambda: values[learn.epoch], name)]
    return learn


class States(Callback):
    """Keeps a copy of the weights after every epoch."""

    order = 90

    def __init__(self):
        self.states = []

    def after_epoch(self):
        if not hasattr(self, "lr_finder"):
            self.states.append(weights(self.learn))


@pytest.fixture(scope="module")
def uninterrupted():
    """History and last weights of BUSY."""
    learn = make_learner()
    learn.add_cb(States())
    with learn.no_logging():
        history = fit(learn, BUSY)
    return timeless(history), weights(learn)


# ---------------------------------------------------------------- the recipe
def test_recipe_travels():
    recipe = Recipe(epochs=10.0, lr=0.01, clip=1, seed=None, monitor="accuracy")
    assert recipe.epochs == 10 and isinstance(recipe.clip, float)
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    assert Value.from_json(recipe.to_json()) == recipe
    assert Recipe().lr == "default" and Recipe.from_toml(Recipe().to_toml()) == Recipe()


@pytest.mark.parametrize(
    "field, value",
    [
        ("epochs", -1),
        ("freeze_epochs", 1.5),
        ("lr", "fast"),
        ("lr", "0.01"),
        ("lr", 0),
        ("lr", 11),
        ("lr_mult", 0.5),
        ("pct_start", 1),
        ("div", 0),
        ("div_final", 0),
        ("wd", -0.1),
        ("mixup", -1),
        ("label_smoothing", 1),
        ("clip", 0),
        ("early_stopping", -1),
        ("seed", -1),
        ("seed", 2**32),
        ("precision", "quarter"),
    ],
)
def test_bad_fields_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        Recipe(**{field: value})


@pytest.mark.parametrize("loss", [None, GeneralizedCrossEntropy(q=0.5), SoftBootstrap(beta=0.8)], ids=str)
def test_the_loss_travels_with_the_recipe(loss):
    recipe = Recipe(loss=loss)
    for again in (
        Recipe.from_dict(recipe.to_dict()),
        Recipe.from_toml(recipe.to_toml()),
        Recipe.from_json(recipe.to_json()),
    ):
        assert again == recipe and again.loss == loss and type(again.loss) is type(loss)
    assert recipe.to_dict()["loss"] == (loss and loss.to_dict())


@pytest.mark.parametrize(
    "loss, match",
    [
        (
            GeneralizedCrossEntropy(),
            r"Recipe\(loss=GeneralizedCrossEntropy\(\), label_smoothing=0.1\): .* set label_smoothing=0, or leave out loss",
        ),
        ("lq", r"Recipe\(loss=...\): 'lq' is not Loss or None"),
        ({"kind": "lp"}, "unknown loss 'lp'"),
        ({"kind": "lq", "q": 2}, r"GeneralizedCrossEntropy\(q=2\)"),
        ({"kind": "recipe"}, "unknown loss 'recipe'"),
    ],
)
def test_losses_that_a_recipe_does_not_take(loss, match):
    with pytest.raises(ValueError, match=match):
        Recipe(loss=loss, label_smoothing=0.1)


def test_a_recipe_must_train_something():
    with pytest.raises(ValueError, match="trains nothing"):
        Recipe(epochs=0, freeze_epochs=0)


# ---------------------------------------------------------------- decisions
@pytest.mark.parametrize("batches, epochs, steps", [(2, 10, 0), (10, 8, 40), (40, 8, 80), (1000, 10, 100)])
def test_search_length(batches, epochs, steps):
    assert search_length(batches, epochs) == steps


def test_epoch_seeds_differ_and_repeat():
    seeds = {
        epoch_seed(seed, phase, epoch)
        for seed in (0, 1)
        for phase in ("search", "frozen", "unfrozen")
        for epoch in range(10)
    }
    assert len(seeds) == 60
    assert epoch_seed(1, "frozen", 2) == epoch_seed(1, "frozen", 2)


def test_mixed_precision():
    assert mixed_precision("auto", "cuda") and mixed_precision("half", "cuda")
    assert not mixed_precision("auto", "cpu") and not mixed_precision("full", "cuda")
    with pytest.raises(ValueError, match="'half' needs a CUDA device, and this is cpu"):
        mixed_precision("half", "cpu")


def test_peak_rates():
    recipe = Recipe(lr_mult=100)
    assert peak_rates(recipe, 0.01, "unfrozen", pretrained=False) == 0.01
    assert peak_rates(recipe, 0.01, "frozen", pretrained=True) == slice(0.01)
    assert peak_rates(recipe, 0.01, "unfrozen", pretrained=True) == slice(0.00005, 0.005)
    assert peak_rates(recipe.replace(freeze_epochs=0), 0.01, "unfrozen", pretrained=True) == slice(0.0001, 0.01)


@pytest.mark.parametrize(
    "monitor, figures, best",
    [
        ("valid_loss", [3.0, 1.0, 1.0, 2.0], 1),
        ("error_rate", [0.5, 0.4], 1),
        ("accuracy", [0.5, 0.9, 0.7], 1),
        ("roc_auc", [math.nan, 0.5, None], 1),
        ("roc_auc", [math.nan, None], None),
        ("valid_loss", [], None),
    ],
)
def test_best_row(monitor, figures, best):
    assert best_row([{monitor: figure} for figure in figures], monitor) == best


@pytest.mark.parametrize(
    "patience, losses, stopped",
    [
        (0, [1.0, 2.0, 3.0, 4.0], False),
        (2, [1.0, 2.0], False),
        (2, [1.0, 2.0, 3.0], True),
        (2, [1.0, 2.0, 0.5], False),
        (1, [1.0, 1.0], True),
        (2, [], False),
    ],
)
def test_stopped_early(patience, losses, stopped):
    frozen = [{"phase": "frozen", "valid_loss": 0.0}] * 3  # better, and long ago, but of another phase
    rows = frozen + [{"phase": "unfrozen", "valid_loss": loss} for loss in losses]
    assert stopped_early(rows, Recipe(early_stopping=patience)) is stopped


@pytest.mark.parametrize(
    "names, action",
    [
        (set(), "begin"),
        ({"recipe.toml"}, "begin"),
        ({"recipe.toml", "training.json", "checkpoints"}, "begin"),
        ({"recipe.toml", "training.json", "checkpoints", "checkpoints/last.pth", "history.csv", "notes.txt"}, "resume"),
        ({"notes.txt"}, "refuse"),
        ({"recipe.toml", "training.json", "history.csv"}, "refuse"),
        ({"checkpoints", "checkpoints/last.pth"}, "refuse"),
        ({"recipe.toml", "run.json", "checkpoints", "checkpoints/last.pth"}, "resume"),  # of version 0.1
        ({"run.toml", "run.json", "folds.csv"}, "refuse"),  # of a cross-validation
    ],
)
def test_folder_action(names, action):
    assert folder_action(names) == action


def test_differences_are_named():
    assert differences({"a": 1, "b": 2}, {"a": 1, "b": 2}) == ""
    words = differences({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": "x"})
    assert words == "b is 2 there and 3 here; c is None there and 'x' here"
    assert len(differences({"a": list(range(1000))}, {"a": []})) < 100


# ---------------------------------------------------------------- training
def test_history_holds_both_phases(capsys, tmp_path):
    learn = make_learner(path=tmp_path)
    before = [type(cb) for cb in learn.cbs]
    history = fit(learn, EPOCHS.replace(freeze_epochs=1, epochs=2))
    assert list(history) == ["phase", "epoch", "lr", "train_loss", "valid_loss", "accuracy", "seconds"]
    assert list(history["phase"]) == ["frozen", "unfrozen", "unfrozen"] and list(history["epoch"]) == [1, 2, 3]
    assert history["lr"][0] == pytest.approx(0.004) and history["lr"][1] == pytest.approx(0.002)
    assert history is learn.history and (history["seconds"] > 0).all()
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == list(history) and [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]
    assert [float(line.split()[4]) for line in lines] == [round(loss, 4) for loss in history["valid_loss"]]
    assert [type(cb) for cb in learn.cbs] == before
    assert list(tmp_path.iterdir()) == []  # nothing was written


def test_losses_are_means_over_the_epoch():
    learn = make_plain()
    learn.opt_func = SGD
    with learn.no_logging():
        history = fit(learn, Recipe(epochs=1, lr=1e-9, pct_start=0.5, seed=0))
        x, y = zip(*learn.dls.train.dataset)
        loss = learn.loss_func(learn.model(torch.stack(x)), torch.stack(y)).item()
        assert history["train_loss"][0] == pytest.approx(loss, rel=0.1)  # the items are noisy in training
        assert history["valid_loss"][0] == pytest.approx(learn.validate()[0], rel=1e-5)


def test_from_scratch_frozen_epochs_are_skipped_and_said_to_be(capsys):
    learn = make_learner(pretrained=False)
    history = fit(learn, Recipe(epochs=1, freeze_epochs=1, lr=0.01))
    assert "nothing here is pretrained, so the 1 frozen epoch is skipped" in capsys.readouterr().out
    assert list(history["phase"]) == ["unfrozen"] and history["lr"][0] == pytest.approx(0.01)
    assert len({hyper["lr"] for hyper in learn.opt.hypers}) == 1  # no group of parameters is held back
    fit(learn, Recipe(epochs=1, freeze_epochs=3, lr=0.01))
    assert "so the 3 frozen epochs are skipped" in capsys.readouterr().out


def test_frozen_epochs_leave_the_body_and_rates_rise_towards_the_head():
    learn = make_learner()
    learn.add_cb(States())
    before = weights(learn)
    with learn.no_logging():
        fit(learn, EPOCHS.replace(epochs=1, freeze_epochs=1, lr_mult=100))
    frozen, unfrozen = learn.states.states
    convolution = next(name for name in before if name.startswith("0.") and before[name].ndim == 4)
    last = [name for name in before if name.startswith("1.") and before[name].ndim == 2][-1]
    assert torch.equal(before[convolution], frozen[convolution]) and not torch.equal(before[last], frozen[last])
    assert not torch.equal(frozen[convolution], unfrozen[convolution])
    early, late, head = (hyper["lr"] for hyper in learn.opt.hypers)
    assert head / late == pytest.approx(10) and late / early == pytest.approx(10)


def test_epochs_of_the_head_alone():
    learn = make_learner()
    with learn.no_logging():
        assert list(fit(learn, EPOCHS.replace(epochs=0, freeze_epochs=1))["phase"]) == ["frozen"]
        learn.pretrained = False
        with pytest.raises(ValueError, match="nothing here is pretrained; give epochs=1 or more"):
            fit(learn, EPOCHS.replace(epochs=0, freeze_epochs=1))


@pytest.fixture
def picture_learner(tmp_path):
    """A learner on PNGs, as fastai's users make them."""
    rng = np.random.default_rng(0)
    for i in range(40):
        file = tmp_path / "pictures" / f"kind {i % 2}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (24, 40), dtype=np.uint8)).save(file)
    dls = ImageDataLoaders.from_folder(
        tmp_path / "pictures",
        valid_pct=0.2,
        seed=0,
        img_cls=PILImageBW,
        bs=8,
        num_workers=0,
        batch_tfms=[Brightness(0.3)],
    )
    return vision_learner(dls, "test_resnet", pretrained=False, n_in=1, metrics=accuracy)


def test_the_learner_stays_a_fastai_learner(picture_learner, tmp_path):
    learn, recipe = picture_learner, BUSY.replace(epochs=3, freeze_epochs=0)
    learn.add_cb(Stop(2 * BATCHES + 1))
    with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(learn, recipe, out=tmp_path / "run")
    learn.remove_cb(Stop)
    with learn.no_logging(), learn.no_bar():
        fit(learn, recipe, out=tmp_path / "run")  # also after a resume, in which fastai skips epochs
        assert learn.recorder.plot_loss(skip_start=0, ax=Figure().add_subplot()).lines
        learn.export(tmp_path / "export.pkl")
        learn.fit_one_cycle(1, 1e-3)
        assert len(learn.get_preds()[0]) == 8
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fastai's word about pickle
        loaded = load_learner(tmp_path / "export.pkl")
    assert loaded.recipe == recipe and timeless(loaded.history).equals(timeless(learn.history))
    with loaded.no_bar():
        assert loaded.predict(tmp_path / "pictures/kind 1/1.png")[0] in ("kind 0", "kind 1")
    assert json.loads((tmp_path / "run/training.json").read_text())["network"]["classes"] == ["kind 0", "kind 1"]


def test_it_learns(capsys):
    learn = make_learner(pretrained=False, n=96)
    history = fit(learn, Recipe(epochs=9, freeze_epochs=0, lr="find", seed=0))
    assert history["accuracy"].iloc[-1] >= 0.75  # chance is 0.25
    assert "found" in capsys.readouterr().out


def test_without_a_validation_set_its_column_is_empty(tmp_path, capsys):
    learn = make_plain()
    learn.dls = DataLoaders(learn.dls.train, DataLoader([], bs=8))
    history = fit(learn, Recipe(epochs=1, lr=0.01, best_model=True), out=tmp_path)
    assert history["valid_loss"].isna().all() and history["train_loss"].notna().all()
    assert read_history(tmp_path).equals(history)
    assert len(capsys.readouterr().out.splitlines()[-1].split()) == len(history.columns) - 1


def test_quiet_inside_no_logging(capsys):
    learn = make_plain()
    with learn.no_logging():
        fit(learn, Recipe(epochs=1, lr=0.01))
    assert capsys.readouterr().out == ""


# ---------------------------------------------------------------- mixup and label smoothing
def test_mixup_and_smoothing_act_in_training_only_and_are_taken_back():
    seen = []

    class Look(Callback):
        order = 5

        def after_pred(self):
            loss = self.learn.loss_func
            mixed = isinstance(getattr(loss, "__self__", None), MixHandler)
            usual = self.learn.mix_up.old_lf if mixed else loss
            seen.append((self.training, mixed, usual.func.label_smoothing))

    learn = make_learner()
    learn.add_cb(Look())
    loss_func = learn.loss_func
    with learn.no_logging():
        fit(learn, EPOCHS.replace(mixup=0.4, label_smoothing=0.2))
    assert set(seen) == {(True, True, 0.2), (False, False, 0.0)}
    assert learn.loss_func is loss_func and loss_func.func.label_smoothing == 0.0


def test_a_crash_takes_them_back_too():
    learn = make_learner()
    learn.add_cb(Stop(2))
    loss_func = learn.loss_func
    with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(learn, EPOCHS.replace(mixup=0.4, label_smoothing=0.2))
    assert learn.loss_func is loss_func and loss_func.func.label_smoothing == 0.0
    assert not hasattr(learn, "mix_up") and hasattr(learn, "progress")
    assert len(learn.history) == 0


class LossWatch(Callback):
    """Notes what measures each batch: (training?, mixed?, the loss below any mixing)."""

    order = 5

    def __init__(self):
        self.seen = []

    def after_pred(self):
        loss = self.learn.loss_func
        mixed = isinstance(getattr(loss, "__self__", None), MixHandler)
        self.seen.append((self.training, mixed, self.learn.mix_up.old_lf if mixed else loss))


@pytest.mark.parametrize("lr", [0.004, "find"])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_a_loss_trains_and_the_learners_own_validates(mixup, lr):
    learn = scripted(make_learner(), [0.9, 0.1, 0.2])
    learn.add_cb(LossWatch())
    own = learn.loss_func
    with learn.no_logging():
        history = fit(
            learn,
            EPOCHS.replace(
                epochs=3, mixup=mixup, lr=lr, loss=GeneralizedCrossEntropy(), early_stopping=1, monitor="score"
            ),
        )
    assert len(history) == 4  # of 5: MixUp hears of a fit that was cancelled
    seen = learn.loss_watch.seen
    assert {(mixed, loss is own) for training, mixed, loss in seen if not training} == {(False, True)}
    assert {(mixed, str(loss)) for training, mixed, loss in seen if training} == {
        (bool(mixup), "GeneralizedCrossEntropy() for one label a clip")
    }
    assert learn.loss_func is own and own.reduction == "mean"
    assert history["valid_loss"].iloc[-1] == pytest.approx(learn.validate()[0], rel=1e-5)


@pytest.mark.parametrize("mixup", [0.0, 0.4])
@pytest.mark.parametrize("batch", [2, BATCHES + 2])
def test_a_crash_takes_the_loss_back_too(mixup, batch):
    learn = make_learner()
    learn.add_cb(Stop(batch))
    own = learn.loss_func
    with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(learn, EPOCHS.replace(mixup=mixup, loss=SoftBootstrap()))
    assert learn.loss_func is own and own.reduction == "mean"
    learn.remove_cb(Stop)
    learn.add_cb(LossWatch())
    with learn.no_logging():
        learn.fit(1)
    assert {loss is own for _, _, loss in learn.loss_watch.seen} == {True}


def test_a_batch_that_fails_within_the_loss_leaves_it_whole():
    learn = make_learner()
    used = []

    class Spoil(Callback):
        def after_pred(self):
            used.append(self.learn.mix_up.old_lf)
            self.learn.pred = self.learn.pred[:3]

    learn.add_cb(Spoil())
    own = learn.loss_func
    with learn.no_logging(), pytest.raises(RuntimeError):
        fit(learn, EPOCHS.replace(mixup=0.4, loss=GeneralizedCrossEntropy()))
    assert learn.loss_func is own and isinstance(used[0], LossFunction) and used[0].reduction == "mean"


def test_training_with_a_loss_is_training_a_learner_that_has_it():
    learn, other = make_plain(), make_plain(loss_func=GeneralizedCrossEntropy().function())
    with learn.no_logging(), other.no_logging():
        ours, theirs = (
            fit(learn, EPOCHS.replace(mixup=0.3, loss=GeneralizedCrossEntropy())),
            fit(other, EPOCHS.replace(mixup=0.3)),
        )
    assert same(weights(learn), weights(other)) and list(ours["train_loss"]) == list(theirs["train_loss"])
    assert (ours["valid_loss"] != theirs["valid_loss"]).all()


def test_a_learner_that_has_such_a_loss_may_train_with_another():
    learn = make_plain(loss_func=GeneralizedCrossEntropy().function())
    with learn.no_logging():
        history = fit(learn, EPOCHS.replace(loss=SoftBootstrap()))
        assert history["valid_loss"].iloc[-1] == pytest.approx(learn.validate()[0], rel=1e-5)
    assert learn.loss_func.loss == GeneralizedCrossEntropy()


@pytest.mark.parametrize("batch", [BATCHES + 2, 2 * BATCHES + 1])
def test_a_stopped_run_goes_on_with_its_loss(tmp_path, batch):
    recipe, ends = BUSY.replace(label_smoothing=0.0, loss=GeneralizedCrossEntropy()), []
    for stop in (None, batch):
        learn = make_learner()
        if stop:
            learn.add_cb(Stop(stop))
            with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
                fit(learn, recipe, out=tmp_path)
            learn = make_learner(seed=9)
        with learn.no_logging():
            ends.append((timeless(fit(learn, recipe, out=tmp_path if stop else None)), weights(learn)))
    assert ends[0][0].equals(ends[1][0]) and same(ends[0][1], ends[1][1])
    with pytest.raises(
        ValueError,
        match=r"with a different recipe: loss is \{'kind': 'generalizedcrossentropy', 'q': 0.7\} there and None here",
    ):
        fit(make_learner(), recipe.replace(loss=None), out=tmp_path)


def test_a_run_of_the_time_before_losses_goes_on(tmp_path):
    recipe = Recipe(epochs=2, lr=0.01, seed=1)
    learn = make_plain()
    learn.add_cb(Stop(BATCHES + 1))
    with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(learn, recipe, out=tmp_path)
    lines = (tmp_path / "recipe.toml").read_text().splitlines(keepends=True)
    older = [line for line in lines if not line.startswith("loss ")]
    assert len(older) == len(lines) - 1
    (tmp_path / "recipe.toml").write_text("".join(older))
    about = json.loads((tmp_path / "training.json").read_text())
    del about["clip_weights"]
    (tmp_path / "training.json").write_text(json.dumps(about))
    again, whole = make_plain(), make_plain()
    with again.no_logging(), whole.no_logging():
        history = fit(again, recipe, out=tmp_path)
        assert timeless(history).equals(timeless(fit(whole, recipe)))
    load_training(make_plain(), tmp_path)


def test_a_folder_of_version_0_1_is_read_and_goes_on(tmp_path):
    recipe, learn = EPOCHS.replace(seed=2, loss=GeneralizedCrossEntropy()), make_plain()
    learn.add_cb(Stop(BATCHES + 1))
    with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(learn, recipe, out=tmp_path)
    (tmp_path / "training.json").rename(tmp_path / "run.json")
    text = (tmp_path / "recipe.toml").read_text()
    assert 'kind = "generalizedcrossentropy"' in text
    (tmp_path / "recipe.toml").write_text(text.replace("generalizedcrossentropy", "lq"))
    again, whole = make_plain(), make_plain()
    with again.no_logging(), whole.no_logging():
        history = fit(again, recipe, out=tmp_path)
        assert timeless(history).equals(timeless(fit(whole, recipe)))
    assert not (tmp_path / "training.json").exists()
    load_training(make_plain(), tmp_path)


@pytest.mark.parametrize(
    "loss_func, recipe, match",
    [
        (
            nn.MultiMarginLoss(),
            Recipe(loss=GeneralizedCrossEntropy()),
            r"loss=GeneralizedCrossEntropy\(\) replaces a cross entropy, .* and the learner's loss is MultiMarginLoss",
        ),
        (
            CrossEntropyLossFlat(weight=torch.ones(4)),
            Recipe(loss=GeneralizedCrossEntropy()),
            "would ignore the weight of the learner's loss; .*balance=True",
        ),
        (
            nn.CrossEntropyLoss(label_smoothing=0.1),
            Recipe(loss=SoftBootstrap()),
            "would ignore the label_smoothing of the learner's loss",
        ),
        (nn.MultiMarginLoss(), Recipe(label_smoothing=0.1), "needs a cross entropy, and the loss is MultiMarginLoss"),
        (nn.CrossEntropyLoss(), Recipe(mixup=0.1), "fastai's CrossEntropyLossFlat"),
        (None, Recipe(monitor="acuracy"), "unknown monitor 'acuracy'; did you mean 'accuracy'"),
        (None, Recipe(precision="half"), "needs a CUDA device"),
    ],
)
def test_recipes_that_a_learner_cannot_follow(loss_func, recipe, match):
    learn = make_plain(metrics=accuracy, loss_func=loss_func)
    with pytest.raises(ValueError, match=match):
        fit(learn, recipe)


def test_smoothing_works_with_torchs_own_loss():
    learn = make_plain(loss_func=nn.CrossEntropyLoss())
    with learn.no_logging():
        assert len(fit(learn, Recipe(epochs=1, lr=0.01, label_smoothing=0.1))) == 1


def test_mixup_with_a_loss_works_where_the_learners_own_cannot_be_blended():
    learn = make_plain(loss_func=nn.CrossEntropyLoss())
    with learn.no_logging():
        assert len(fit(learn, Recipe(epochs=1, lr=0.01, mixup=0.4, loss=GeneralizedCrossEntropy()))) == 1


def test_a_training_set_below_a_batch_and_a_body_that_cannot_be_frozen():
    with pytest.raises(ValueError, match="training set of 6 items does not fill one batch of 8"):
        fit(make_plain(n=8), Recipe(lr=0.01))
    learn = make_plain()
    learn.pretrained = True
    with learn.no_logging(), pytest.raises(ValueError, match="single parameter group"):
        fit(learn, Recipe(lr=0.01))


# ---------------------------------------------------------------- seeds
def test_seeds_repeat_a_run(uninterrupted):
    learn = make_learner()
    np.random.seed(5)  # what was drawn before does not matter
    with learn.no_logging():
        history = fit(learn, BUSY)
    assert timeless(history).equals(uninterrupted[0]) and same(weights(learn), uninterrupted[1])
    other = make_learner()
    with other.no_logging():
        assert not timeless(fit(other, BUSY.replace(seed=4))).equals(uninterrupted[0])


def test_a_seed_that_was_drawn_is_noted_and_repeats_the_run(tmp_path):
    learn, again, third = make_plain(), make_plain(), make_plain()
    with learn.no_logging(), again.no_logging(), third.no_logging():
        history = fit(learn, Recipe(epochs=1), out=tmp_path)
        assert timeless(fit(again, learn.recipe)).equals(timeless(history))
        fit(third, Recipe(epochs=1))
    noted = json.loads((tmp_path / "training.json").read_text())
    assert (noted["seed"], noted["lr"]) == (learn.recipe.seed, learn.recipe.lr)
    assert Recipe.from_toml(tmp_path / "recipe.toml") == Recipe(epochs=1)  # as it was asked for
    assert third.recipe.seed != learn.recipe.seed


# ---------------------------------------------------------------- the rate
def test_the_search_leaves_the_weights_and_no_files(tmp_path, capsys):
    learn = make_learner(path=tmp_path, pretrained=True)
    before = weights(learn)
    learn.add_cb(Stop(41))  # in the first batch after the search
    with pytest.raises(RuntimeError, match="stop"):
        fit(learn, EPOCHS.replace(lr="find", epochs=20))
    assert 1e-5 <= learn.recipe.lr <= 3e-2
    assert capsys.readouterr().out == f"lr {learn.recipe.lr} found\n"
    assert list(tmp_path.iterdir()) == [] and learn.model_dir == "models"
    head = [name for name in before if name.startswith("1.") and before[name].ndim == 2]
    change = max((weights(learn)[name] - before[name]).abs().max().item() for name in head)
    assert 0 < change <= learn.recipe.lr  # of Adam's one step at lr / 25


def test_a_rate_is_found_once_and_kept(tmp_path, monkeypatch):
    recipe = Recipe(epochs=20, lr="find", seed=0)
    whole, stopped, resumed = make_plain(), make_plain(), make_plain()
    stopped.add_cb(Stop(40 + BATCHES + 1))
    with whole.no_logging(), stopped.no_logging(), resumed.no_logging():
        history = fit(whole, recipe)
        with pytest.raises(RuntimeError, match="stop"):
            fit(stopped, recipe, out=tmp_path)
        monkeypatch.setattr(Learner, "lr_find", None)
        assert timeless(fit(resumed, recipe, out=tmp_path)).equals(timeless(history))
    assert same(weights(resumed), weights(whole)) and resumed.recipe.lr == whole.recipe.lr


def test_no_rate_is_found_in_data_that_are_no_numbers():
    learn = make_plain(spoil=slice(0, 48))
    with learn.no_logging(), pytest.raises(ValueError, match=r"finite loss in 0 of 40 steps only; .*Recipe\(lr="):
        fit(learn, Recipe(epochs=20, lr="find"))


def test_a_search_that_would_outlast_the_training_is_left_out(monkeypatch, capsys):
    monkeypatch.setattr(Learner, "lr_find", None)
    learn = make_plain()
    fit(learn, Recipe(epochs=19, lr="find"))
    assert learn.recipe.lr == 0.003
    assert (
        "lr 0.003, the default: a search would take longer than half of this training of 76 steps"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize("pretrained, lr", [(True, 0.01), (False, 0.003)])
def test_the_default_rate_goes_by_whether_the_network_is_pretrained(pretrained, lr):
    learn = make_learner(pretrained=pretrained)
    with learn.no_logging():
        fit(learn, Recipe(epochs=1, freeze_epochs=0))
    assert learn.recipe.lr == lr and learn.recipe.lr_mult == 3


@pytest.mark.parametrize("out", [None, "run"])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path, out):
    out = out and tmp_path / out
    learn = make_plain(spoil=slice(0, 1))
    with learn.no_logging(), pytest.raises(ValueError, match="train_loss is nan after epoch 1.*diverged; try"):
        fit(
            learn, Recipe(epochs=3, lr=0.01, best_model=True, seed=0), out=out
        )  # one whose first epoch does not drop item 0
    assert len(learn.history) == 0
    if out:
        state = torch.load(out / "checkpoints/last.pth", weights_only=True)
        assert all(part.isfinite().all() for part in state["model"].values())


# ---------------------------------------------------------------- a run folder
@pytest.mark.parametrize("batch", [1, BATCHES + 2, 2 * BATCHES, 2 * BATCHES + 1, 3 * BATCHES + 3])
def test_a_stopped_run_ends_as_if_it_had_not_been(tmp_path, uninterrupted, batch, capsys):
    stopped = make_learner()
    stopped.add_cb(Stop(batch))
    with stopped.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(stopped, BUSY, out=tmp_path / "run")
    finished = (batch - 1) // BATCHES
    assert len(stopped.history) == finished
    resumed = make_learner(seed=9)  # other first weights: those of the run count
    history = fit(resumed, BUSY, out=tmp_path / "run")
    assert timeless(history).equals(uninterrupted[0])
    assert timeless(read_history(tmp_path / "run")).equals(uninterrupted[0])
    assert same(weights(resumed), uninterrupted[1])
    said = f"resuming after epoch {finished} of 4 in {tmp_path / 'run'}, with lr 0.004 as before"
    assert (said in capsys.readouterr().out) == (finished > 0)


def test_resumed_with_worker_processes(tmp_path):
    recipe, ends = EPOCHS.replace(mixup=0.3), []
    for stop in (None, 2 * BATCHES + 2):
        learn = make_learner(num_workers=2)
        if stop:
            learn.add_cb(Stop(stop))
            with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
                fit(learn, recipe, out=tmp_path / "run")
            learn = make_learner(num_workers=2, seed=9)
        with learn.no_logging():
            fit(learn, recipe, out=tmp_path / "run" if stop else None)
        ends.append(weights(learn))
    assert same(*ends)


def test_a_process_killed_in_training_loses_the_epoch_only(tmp_path, uninterrupted):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import trainings as t; from specimg.training import fit; learn = t.make_learner(); "
        f"learn.add_cb(t.Stop({3 * BATCHES + 1}, 'kill')); fit(learn, t.BUSY, out=sys.argv[2])"
    )
    killed = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, Path(__file__).parents[1], tmp_path / "run"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert [line.split()[1] for line in killed.stdout.splitlines()] == ["epoch", "1/4", "2/4", "3/4"]
    (tmp_path / "run/checkpoints/.partial-1-1").write_bytes(b"half a checkpoint")
    assert len(read_history(tmp_path / "run")) == 3
    learn = make_learner(seed=9)
    with learn.no_logging():
        assert timeless(fit(learn, BUSY, out=tmp_path / "run")).equals(uninterrupted[0])
    assert same(weights(learn), uninterrupted[1])
    assert {f.name for f in (tmp_path / "run/checkpoints").iterdir()} == {"last.pth", "best.pth"}


def test_a_table_that_was_not_written_in_time_is_made_good(tmp_path, uninterrupted):
    stopped = make_learner()
    stopped.add_cb(Stop(2 * BATCHES + 1))
    with stopped.no_logging(), pytest.raises(RuntimeError, match="stop"):
        fit(stopped, BUSY, out=tmp_path)
    (tmp_path / "history.csv").unlink()  # killed between the checkpoint and the table
    learn = make_learner()
    with learn.no_logging():
        fit(learn, BUSY, out=tmp_path)
    assert timeless(read_history(tmp_path)).equals(uninterrupted[0])


def test_interrupted_by_hand(tmp_path, capsys):
    for out, way_on in ((None, "nothing was written"), (tmp_path, rf"the same out= ({tmp_path}) to resume")):
        learn = make_learner(pretrained=False)
        learn.add_cb(Stop(BATCHES + 1, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(learn, Recipe(epochs=3, freeze_epochs=0, lr=0.01), out=out)
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith("stopped after 1 of 3 epochs; ") and way_on in last
        assert len(learn.history) == 1


@pytest.fixture
def finished(tmp_path):
    """A finished run of a linear network in `out`."""
    learn = make_plain(metrics=accuracy)
    with learn.no_logging():
        fit(learn, Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1), out=tmp_path / "out")
    return learn, tmp_path / "out"


def test_a_finished_training_is_returned_and_said_to_be(finished, capsys):
    learn, out = finished
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    other = make_plain(metrics=accuracy)
    assert not same(weights(other), weights(learn))
    history = fit(other, Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1), out=out)
    assert (
        f"the training in {out} is finished after 2 epochs: nothing is trained, its weights are loaded"
        in capsys.readouterr().out
    )
    assert same(weights(other), weights(learn)) and timeless(history).equals(timeless(read_history(out)))
    assert other.recipe == learn.recipe and other.history is history
    third = make_plain(metrics=accuracy)
    assert timeless(load_training(third, out)).equals(timeless(history)) and same(weights(third), weights(learn))
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before
    other.pretrained = True
    with pytest.raises(
        ValueError, match="different recipe: pretrained is False there and True here; choose a new folder"
    ):
        fit(other, Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1), out=out)


def test_a_finished_training_on_a_disk_that_is_read_only(finished, tmp_path, mount_tmpfs):
    learn, out = finished
    disk = mount_tmpfs(tmp_path / "disk")
    shutil.copytree(out, disk / "out")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    other = make_plain(metrics=accuracy)
    fit(other, Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1), out=disk / "out")
    assert same(weights(other), weights(learn))


def test_the_best_epoch_of_a_finished_training_is_returned(tmp_path):
    recipe = Recipe(epochs=3, freeze_epochs=0, lr=0.01, seed=1, best_model=True, monitor="score")
    learn = scripted(make_plain(), [0.1, 0.9, 0.2])
    fit(learn, recipe, out=tmp_path / "out")
    other = scripted(make_plain(), [0.1, 0.9, 0.2])
    fit(other, recipe, out=tmp_path / "out")
    assert same(weights(other), weights(learn))
    last = torch.load(tmp_path / "out/checkpoints/last.pth", weights_only=True)["model"]
    assert not same(weights(other), last)


def test_another_recipe_is_named_field_by_field(finished):
    learn, out = finished
    with pytest.raises(
        ValueError, match=r"recipe: epochs is 2 there and 3 here; lr is 0\.01 there and 'default' here;"
    ):
        fit(learn, Recipe(epochs=3, freeze_epochs=0, seed=1), out=out)


def test_another_network_and_other_data_are_named(finished, tmp_path):
    recipe = Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1)
    _, out = finished
    with pytest.raises(ValueError, match="arch is 'Sequential' there and 'test_resnet' here; parameters is 3844 there"):
        fit(make_learner(), recipe, out=out)
    with pytest.raises(ValueError, match="training_items is 36 there and 60 here"):
        fit(make_plain(metrics=accuracy, n=80), recipe, out=out)
    with pytest.raises(ValueError, match="classes is 4 there and 5 here"):
        load_training(make_plain(metrics=accuracy, n_classes=5), out)


def test_foreign_folders_are_refused(tmp_path):
    learn, recipe = make_plain(), Recipe(epochs=1, lr=0.01)
    (tmp_path / "thesis.txt").write_text("chapter 1")
    with pytest.raises(ValueError, match="holds thesis.txt, and no training; choose a new or an empty"):
        fit(learn, recipe, out=tmp_path)
    with pytest.raises(ValueError, match="is a file; choose a folder"):
        fit(learn, recipe, out=tmp_path / "thesis.txt")
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="no training in .* has finished an epoch"):
        read_history(tmp_path)
    with pytest.raises(ValueError, match="holds no training; fit"):
        load_training(learn, tmp_path / "new")


@pytest.mark.parametrize("name", ["recipe.toml", "training.json", "checkpoints/last.pth"])
def test_a_damaged_run_is_named(finished, name):
    learn, out = finished
    (out / name).write_bytes(b"[not what it was")
    with pytest.raises(ValueError, match=Path(name).name):
        fit(learn, Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1), out=out)


def test_checkpoints_load_safely_and_hold_plain_things(finished):
    _, out = finished
    state = torch.load(out / "checkpoints/last.pth", weights_only=True)
    assert set(state) == {"model", "opt", "rows"} and [row["epoch"] for row in state["rows"]] == [1, 2]
    assert {type(part) for part in state["model"].values()} == {torch.Tensor}
    assert state["opt"]["state"][0]["step"] == 2 * BATCHES
    assert all(type(figure) is float for hyper in state["opt"]["hypers"] for figure in hyper.values())


# ---------------------------------------------------------------- stopping early, going back to the best
SCORES = [0.1, 0.5, 0.4, 0.3, 0.9, 0.2]


@pytest.mark.parametrize("stop", [None, 2 * BATCHES + 1, 3 * BATCHES + 1])
def test_early_stopping_survives_a_resume(tmp_path, stop, capsys):
    recipe = Recipe(epochs=6, lr=0.01, early_stopping=2, monitor="score")
    if stop:
        learn = scripted(make_plain(), SCORES)
        learn.add_cb(Stop(stop))
        with pytest.raises(RuntimeError, match="stop"):
            fit(learn, recipe, out=tmp_path)
    learn = scripted(make_plain(), SCORES)
    history = fit(learn, recipe, out=tmp_path)
    assert list(history["score"]) == [0.1, 0.5, 0.4, 0.3]  # the 0.9 would have come too late
    assert "stopped early: no better score for 2 epochs" in capsys.readouterr().out
    fit(learn, recipe, out=tmp_path)
    assert "finished after 4 epochs: nothing is trained" in capsys.readouterr().out


@pytest.mark.parametrize("with_out", [False, True])
def test_back_to_the_best_epoch_of_both_phases(tmp_path, with_out, capsys):
    learn = scripted(make_learner(), [0.6, 0.8, 0.7])  # the frozen epoch 2 is the first of the best
    learn.add_cb(States())
    out = tmp_path / "run" if with_out else None
    fit(learn, Recipe(epochs=3, freeze_epochs=2, lr=0.01, best_model=True, monitor="score"), out=out)
    assert same(weights(learn), learn.states.states[1])
    assert not same(weights(learn), learn.states.states[-1])
    assert "back to epoch 2, the best by score: 0.8000" in capsys.readouterr().out
    if out:
        other = scripted(make_learner(seed=1), [0.0])
        load_training(other, out)
        assert same(weights(other), weights(learn))


def test_a_best_epoch_before_the_stop_is_still_there(tmp_path):
    recipe = Recipe(epochs=3, lr=0.01, seed=0, best_model=True, monitor="score")
    ends = []
    for stop in (None, BATCHES + 1):
        out = tmp_path / str(stop)
        if stop:
            learn = scripted(make_plain(), [0.9, 0.1, 0.2])
            learn.add_cb(Stop(stop))
            with learn.no_logging(), pytest.raises(RuntimeError, match="stop"):
                fit(learn, recipe, out=out)
        learn = scripted(make_plain(), [0.9, 0.1, 0.2])
        with learn.no_logging():
            fit(learn, recipe, out=out)
        ends.append(weights(learn))
    assert same(*ends)


def test_a_monitor_that_is_never_a_number_keeps_the_last_epoch():
    learn = scripted(make_plain(), [math.nan, math.nan])
    learn.add_cb(States())
    with learn.no_logging():
        history = fit(learn, Recipe(epochs=2, lr=0.01, best_model=True, monitor="score"))
    assert same(weights(learn), learn.states.states[-1]) and history["score"].isna().all()
    assert isinstance(history, pd.DataFrame)
