"""The search for a recipe: what may be searched, what is proposed, and that a search that was stopped ends as one that never was."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg.competitions import Competition
from specimg.experiments import (
    Comparison,
    Run,
    bench,
    compare,
    cross_validate,
    member as training,
    search as searching,
    search_recipe,
)
from specimg.experiments.search import _check_space, _name, _next, _propose, _restored
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel, Stft
from specimg.training import Recipe
from specimg.training.losses import Lq

torch.set_num_threads(1)

SR = 8000
HZ = {"high": 3000, "low": 300, "mid": 1000}
MEL = {"mel": Renderer(Mel(n_mels=32, n_fft=256, hop_length=64))}
RECIPE = Recipe(epochs=1, freeze_epochs=0, lr=0.01)
SPACE = {"lr": (1e-3, 1e-1, "log"), "mixup": [0.0, 0.2], "epochs": (1, 2)}


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


@pytest.fixture(scope="session")
def comp(tmp_path_factory) -> Competition:
    folder = tmp_path_factory.mktemp("suche") / "töne"
    folder.mkdir()
    for i in range(12):
        tone = 0.3 * np.sin(2 * np.pi * HZ[sorted(HZ)[i % 3]] * np.arange(int(0.3 * SR)) / SR)
        sf.write(folder / f"{i:02}.wav", tone + 0.01 * np.random.default_rng(i).standard_normal(len(tone)), SR)
    rows = pd.DataFrame({"path": [f"{i:02}.wav" for i in range(12)], "label": [sorted(HZ)[i % 3] for i in range(12)]})
    return Competition("three-pitches", folder, rows, "map@3")


def go(comp, out, space=None, n_trials=3, renderer=None, log=None, **changes) -> Comparison:
    loaders = {
        "bs": 3,
        "size": 32,
        "cache": str(comp.folder.parent / "cache"),
        "n_jobs": 1,
        "progress": False,
        "num_workers": 0,
    }
    options = {"recipe": RECIPE, "folds": 2, "loaders": loaders, **changes}
    return search_recipe(
        comp,
        renderer or MEL,
        "feature_mlp",
        SPACE if space is None else space,
        n_trials=n_trials,
        out=out,
        say=(log if log is not None else []).append,
        **options,
    )


class Pretended:
    """cross_validate whose networks were trained elsewhere: one finished run under many recipes, right as often as `skill(recipe)`."""

    def __init__(self, run: Run, skill):
        self.run, self.skill, self.recipes = run, skill, []

    def __call__(self, comp, renderer, arch, recipe, *, out, **options):
        import shutil

        self.recipes.append(recipe)
        share = self.skill(recipe)
        if math.isnan(share):
            raise ValueError("train_loss is nan after epoch 1: the training diverged")
        shutil.copytree(self.run.folder, out, dirs_exist_ok=True)
        (out / "score.json").unlink(missing_ok=True)
        for member in Run(out).members:
            oof = member.oof()
            right = np.arange(len(oof)) < round(share * len(oof))
            probs = np.where(right[:, None], oof.hot * 0.98 + 0.01, ~oof.hot / 2)
            type(oof)(oof.table, probs, oof.vocab).save(member.folder / "oof.npz")


@pytest.fixture(scope="session")
def trained(comp, tmp_path_factory) -> Run:
    loaders = {
        "bs": 3,
        "size": 32,
        "cache": str(comp.folder.parent / "cache"),
        "n_jobs": 1,
        "progress": False,
        "num_workers": 0,
    }
    out = tmp_path_factory.mktemp("trained") / "run"
    return cross_validate(
        comp, MEL["mel"], "feature_mlp", RECIPE, folds=2, out=out, loaders=loaders, test=False, say=[].append
    )


@pytest.fixture
def pretended(trained, monkeypatch):
    """pretended(skill) -> the list of recipes that are asked for from now on."""

    def pretend(skill):
        made = Pretended(trained, skill)
        monkeypatch.setattr(bench, "cross_validate", made)
        return made.recipes

    return pretend


# ---------------------------------------------------------------------- the space


@pytest.mark.parametrize(
    "space, said",
    [
        ({}, "the space is empty"),
        ({"learning_rate": [0.1]}, "unknown field of Recipe to search 'learning_rate'"),
        ({"seed": [1, 2]}, "unknown field of Recipe to search 'seed'"),
        ({"lr": []}, r"space\['lr'\] = \[\]: give a list of choices, or a tuple"),
        ({"lr": 0.1}, r"space\['lr'\] = 0.1: give a list"),
        ({"lr": (0.1, 0.01)}, "the lower one first"),
        ({"lr": (0.1,)}, "the lower one first"),
        ({"lr": (0.1, "x")}, "the lower one first"),
        ({"lr": (0.01, 0.1, "lin")}, "the lower one first"),
        ({"mixup": (False, True)}, "numbers"),
        ({"mixup": (0, 1, "log")}, r"on a logarithmic scale the lower end has to be above 0"),
        ({"lr": (0.01, 99.0)}, r"Recipe\(lr=99.0\): it must be"),
        ({"epochs": (1.5, 3)}, "1.5 is not a whole number"),
        ({"loss": [None, "lq"]}, "Recipe"),
        ({"best_model": (0, 1)}, "0 is not True or False"),
    ],
)
def test_spaces_that_are_none(space, said):
    with pytest.raises(ValueError, match=said):
        _check_space(space, RECIPE)


def test_a_space_of_all_kinds_is_accepted():
    _check_space(
        {**SPACE, "lr": ["find", 0.01], "loss": [None, Lq()], "wd": (0.0, 0.1), "best_model": [True, False]}, RECIPE
    )


def test_names_say_what_was_tried():
    tried = {"lr": 0.00301, "epochs": 4, "loss": Lq(0.5), "mixup": 0.0}
    assert _name("a, mel", tried) == "a, mel: lr=0.00301, epochs=4, loss=Lq(q=0.5), mixup=0"


def test_trials_of_another_space_are_not_read_into_this_one():
    space = {"lr": (0.001, 0.1), "loss": [None, Lq()]}
    assert _restored({"lr": 0.05, "loss": Lq().to_dict()}, space) == {"lr": 0.05, "loss": Lq()}
    assert _restored({"lr": 0.05, "loss": None}, space) == {"lr": 0.05, "loss": None}
    for other in (
        {"lr": 0.5, "loss": None},
        {"lr": 0.05, "loss": Lq(0.1).to_dict()},
        {"lr": 0.05},
        {"lr": "find", "loss": None},
        {"lr": 0.05, "loss": None, "wd": 0.1},
    ):
        assert _restored(other, space) is None


# ---------------------------------------------------------------------- what is proposed


def test_proposals_lie_in_the_space_and_follow_from_seed_and_trials(optuna):
    space = {**SPACE, "mixup": (0, 1), "loss": [None, Lq()], "lr": (0.00123456, 0.0999999, "log")}
    trials = []
    for i in range(15):
        tried = _propose(trials, space, seed=3)
        assert tried == _propose(trials, space, seed=3), "the same question, the same answer"
        assert (
            list(tried) == list(space)
            and tried["epochs"] in (1, 2)
            and type(tried["epochs"]) is int
            and tried["loss"] in (None, Lq())
        )
        assert space["lr"][0] <= tried["lr"] <= space["lr"][1]
        assert tried["lr"] in (space["lr"][0], space["lr"][1], float(f"{tried['lr']:.3g}")), "three digits"
        trials.append((tried, None if i == 4 else tried["lr"]))
    values = [tried["mixup"] for tried, _ in trials]
    assert min(values) < 0.4 and max(values) > 0.6
    assert any(value not in (0, 1) for value in values), "mixup is no whole number, whatever its ends are"
    assert _propose([], space, seed=3) != _propose([], space, seed=4)


def test_proposals_go_where_scores_are_good_and_away_from_failures(optuna):
    def late_trials(score, n):
        late = []
        for seed in range(3):
            trials = []
            for _ in range(n):
                tried = _next(trials, {"lr": (1e-4, 1.0, "log"), "mixup": [0.0, 0.2, 0.4]}, seed)
                trials.append((tried, score(tried)))
            late += [tried for tried, _ in trials[n // 2 :]]
        return late

    late = late_trials(lambda tried: -abs(math.log10(tried["lr"]) + 2) + (tried["mixup"] == 0.2), 40)
    assert np.mean([3e-3 < tried["lr"] < 3e-2 for tried in late]) > 0.4, "by chance a quarter"
    assert np.mean([tried["mixup"] == 0.2 for tried in late]) > 0.5, "by chance a third"
    late = late_trials(lambda tried: None if tried["lr"] > 1e-2 else 0.5, 30)
    assert np.mean([tried["lr"] <= 1e-2 for tried in late]) > 0.65, "by chance a half"


def test_nothing_is_tried_twice_and_what_is_finite_is_tried_to_the_end(optuna):
    space, trials = {"mixup": [0.0, 0.2, 0.4], "epochs": [1, 2], "loss": [None, Lq()]}, []
    while (tried := _next(trials, space, 0)) is not None:
        assert tried not in [earlier for earlier, _ in trials]
        trials.append((tried, 0.5))
    assert len(trials) == 12
    assert _next([({"epochs": 1}, 0.1), ({"epochs": 2}, 0.2)], {"epochs": (1, 2)}, 0) is None


def test_optuna_says_nothing_and_stays_as_it_was(optuna, capfd):
    optuna.logging.set_verbosity(optuna.logging.INFO)
    _propose([], SPACE, 0)
    assert capfd.readouterr().err == "" and optuna.logging.get_verbosity() == optuna.logging.INFO


# ---------------------------------------------------------------------- the search


def test_a_search_is_a_comparison_whose_baseline_is_the_recipe_itself(optuna, comp, tmp_path):
    """With real training, once."""
    log = []
    found = go(comp, tmp_path / "out", n_trials=2, log=log)
    assert len(found) == 3 and found.baseline == "feature_mlp, mel" and list(found.trials) == found.systems[1:]
    assert found.runs["feature_mlp, mel"].choices.recipe == RECIPE
    for name, tried in found.trials.items():
        assert found.runs[name].choices.recipe == RECIPE.replace(**tried) and name == _name("feature_mlp, mel", tried)
    assert "the best of 3 was chosen by this very score, which flatters it" in str(found)
    assert [line for line in log if line.startswith("---")] == [
        "--- feature_mlp, mel: the recipe that the search begins with",
        *(f"--- trial {i} of 2: {name}" for i, name in enumerate(found.trials, start=1)),
    ]
    assert Comparison.open(tmp_path / "out").table.equals(found.table)


def test_a_search_that_was_stopped_ends_as_one_that_never_was(optuna, comp, tmp_path, pretended, monkeypatch):
    def skill(recipe):
        return float("nan") if recipe.lr > 0.05 else 0.9 - abs(math.log10(recipe.lr) + 2.5) / 3

    pretended(skill)
    whole = go(comp, tmp_path / "whole", n_trials=12)
    once, stops = bench.cross_validate, iter([False, False, True, False, False, False, True] + [False] * 40)

    def stopped(*args, **kwargs):
        if next(stops):
            raise KeyboardInterrupt
        return once(*args, **kwargs)

    monkeypatch.setattr(bench, "cross_validate", stopped)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            go(comp, tmp_path / "parts", n_trials=12)
    go(comp, tmp_path / "parts", n_trials=8)
    log = []
    parts = go(comp, tmp_path / "parts", n_trials=12, log=log)
    assert "8 trials over already" in log
    assert parts.trials == whole.trials and len(whole.trials) == 12
    assert 0 < len(whole.failed) < 8 and parts.failed == whole.failed, "some diverged, and count as trials"
    assert parts.table["score"].tolist() == whole.table["score"].tolist() and parts.best == whole.best
    asked = pretended(skill)
    again = go(comp, tmp_path / "parts", n_trials=12)
    assert asked == [RECIPE] and again.trials == whole.trials, (
        "the recipe itself is looked up, and nothing else asked for"
    )


def test_another_seed_proposes_other_trials(optuna, comp, tmp_path, pretended):
    pretended(lambda recipe: 0.5)
    one, other = (go(comp, tmp_path / str(seed), n_trials=2, seed=seed) for seed in (0, 1))
    assert set(one.trials).isdisjoint(other.trials)


def test_the_metric_decides_which_end_is_good(optuna, comp, tmp_path, pretended, monkeypatch):
    told = []
    propose = searching._propose
    monkeypatch.setattr(
        searching, "_propose", lambda trials, *args: told.append(list(trials)) or propose(trials, *args)
    )
    pretended(lambda recipe: 0.75 if recipe.epochs == 2 else 0.25)
    go(comp, tmp_path, {"epochs": [1, 2]}, n_trials=3)
    scores = {tried["epochs"]: score for tried, score in told[-1]}
    run = Run(tmp_path / "feature_mlp-mel-epochs=2")
    assert scores[2] == pytest.approx(float(run.score)) and scores[2] > scores[1]
    assert searching._score(run, [0]) == pytest.approx(run.members[0].oof().score("map@3"))
    object.__setattr__(run.task, "metric", "error_rate")
    assert searching._score(run, None) == pytest.approx(-run.predictions.score("error_rate"))


def test_some_folds_make_a_quicker_search(optuna, comp, tmp_path, monkeypatch):
    trained = []
    train = training.train_member
    monkeypatch.setattr(
        "specimg.experiments.cross_validation.train_member",
        lambda member, *args: trained.append(str(member)) or train(member, *args),
    )
    found = go(comp, tmp_path, {"epochs": [1, 2]}, n_trials=1, only=[1])
    assert trained == ["fold 1, seed 0"] * 2 and found.table["networks"].tolist() == [1, 1]
    trained.clear()
    go(comp, tmp_path, {"epochs": [1, 2]}, n_trials=1, only=[1])
    assert trained == [], "a trial is over when the folds that were asked for are"


def test_values_that_do_not_go_together_are_a_failed_trial(optuna, comp, tmp_path, pretended):
    asked, log = pretended(lambda recipe: 0.5), []
    found = go(comp, tmp_path, {"loss": [None, Lq()], "label_smoothing": [0.0, 0.1]}, n_trials=9, log=log)
    name = "feature_mlp, mel: loss=Lq(q=0.7), label_smoothing=0.1"
    assert list(found.failed) == [name]
    assert found.failed[name].startswith(
        "Recipe(loss=Lq(q=0.7), label_smoothing=0.1): each is an answer to wrong labels"
    )
    assert len(found.trials) == 4 and len(asked) == 4 and log[-2] == "nothing new to try after 4 trials"
    assert any(line.startswith(f"{name} failed: Recipe(loss=") for line in log)
    assert go(comp, tmp_path, {"loss": [None, Lq()], "label_smoothing": [0.0, 0.1]}, n_trials=9).trials == found.trials


def test_a_search_joins_a_comparison(optuna, comp, tmp_path, pretended):
    asked = pretended(lambda recipe: 0.5)
    shared = {"folds": 2, "say": [].append}
    compare(comp, ["mini_resnet", "feature_mlp"], MEL, RECIPE, out=tmp_path, baseline="mini_resnet, mel", **shared)
    found = go(comp, tmp_path, n_trials=2, loaders={})
    assert (
        found.systems[:2] == ["mini_resnet, mel", "feature_mlp, mel"]
        and len(found) == 4
        and found.baseline == "mini_resnet, mel"
    )
    assert len(asked) == 5
    narrower = go(comp, tmp_path, {"epochs": [3, 4]}, n_trials=1, loaders={})
    assert len(narrower.trials) == 3, "another space counts its own trials"


# ---------------------------------------------------------------------- what is refused


def test_without_optuna_there_is_a_way_out(comp, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(
        ImportError, match=r'needs optuna, which is not installed; pip install "specimg\[search\]" brings it'
    ):
        go(comp, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_wrong_is_said_before_anything_is_trained(optuna, comp, tmp_path, pretended):
    asked = pretended(lambda recipe: 0.5)
    for changes, said in [
        ({"renderer": {**MEL, "stft": Renderer(Stft())}}, "2 renderers: a search is for one picture"),
        ({"space": {"lr": 3}}, r"space\['lr'\] = 3"),
        ({"learner": {"pss": 1}}, "unknown option in learner= 'pss'"),
    ]:
        with pytest.raises(ValueError, match=said):
            go(comp, tmp_path / "out", **changes)
    assert not asked and not (tmp_path / "out").exists()


def test_a_recipe_that_fails_itself_begins_no_search(optuna, comp, tmp_path, pretended):
    pretended(lambda recipe: float("nan"))
    with pytest.raises(ValueError, match="^feature_mlp, mel: train_loss is nan after epoch 1"):
        go(comp, tmp_path)
    assert json.loads((tmp_path / "comparison.json").read_text())["systems"][0]["failed"].startswith(
        "train_loss is nan"
    )
