"""Systems side by side: differences against hand-made ones, what the table says, what a kill costs, what joins later, what is refused."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from pitches import table, write_sounds

from specimg.audio.variants import Roll
from specimg.competitions import BestLabels, Competition
from specimg.core.text import align_columns, cell
from specimg.data.augment import Augment
from specimg.data.tta import TTA
from specimg.experiments import (
    Candidate,
    Comparison,
    Run,
    compare,
    comparing,
    comparison,
    cross_validate,
    drawing,
    fold_training as training,
    paired_difference,
    verdict,
)
from specimg.experiments.candidates import make_candidates, name_renderers
from specimg.experiments.config import RunConfig
from specimg.experiments.drawing import milliseconds_per_picture
from specimg.experiments.run import CompetitionPredictions
from specimg.experiments.significance import shared_predictions
from specimg.experiments.task import Task
from specimg.metrics import get_metric
from specimg.metrics.registry import _METRICS, Metric
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel, Stft
from specimg.training import Predictions, Recipe

torch.set_num_threads(1)

MEL, STFT = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64)), Renderer(Stft(n_fft=64, hop_length=64))
RECIPE = Recipe(epochs=1, freeze_epochs=0, lr=0.01)
# strong, so that one epoch leaves mistakes to compare
AUGMENT = Augment(
    shift=0.1, stretch=0.2, freq_shift=0.04, gain=0.05, noise=0.02, hiss=0.3, time_mask=0.15, freq_mask=0.15
)
PART = "[a-z_]+, [a-z]+"


# ---------------------------------------------------------------------- 18 clips, two looks, the smallest of networks


@pytest.fixture(scope="session")
def comp(tmp_path_factory) -> Competition:
    home = tmp_path_factory.mktemp("vergleich ä")
    write_sounds(home / "töne")
    return Competition("three-pitches", home / "töne", table(), "map@3", BestLabels())


def options(comp, **changes) -> dict:
    loaders = {
        "bs": 4,
        "size": 32,
        "cache": str(comp.folder.parent / "cache"),
        "n_jobs": 1,
        "progress": False,
        "num_workers": 0,
        "augment": AUGMENT,
    }
    return {
        "folds": 2,
        "learner": {"pretrained": False},
        **changes,
        "loaders": {**loaders, **changes.get("loaders", {})},
    }


def go(comp, out, archs="feature_mlp", renderers=None, log=None, recipe=RECIPE, **changes) -> Comparison:
    """`compare` with what all tests have in common; the log goes to the list `log`."""
    looks, log = {"mel": MEL} if renderers is None else renderers, (log if log is not None else []).append
    return compare(comp, archs, looks, recipe, out=out, log=log, **options(comp, **changes))


@pytest.fixture(scope="session")
def first(comp):
    """(comparison of three networks and two looks, its log)."""
    log = []
    return go(comp, comp.folder.parent / "first", ["feature_mlp", "test_resnet"], {"mel": MEL, "stft": STFT}, log), log


@pytest.fixture(scope="session")
def found(first) -> Comparison:
    return first[0]


@pytest.fixture
def copied(found, tmp_path) -> Comparison:
    shutil.copytree(found.folder, tmp_path / "copied")
    return Comparison.open(tmp_path / "copied")


@pytest.fixture
def untrained(monkeypatch):
    """No network is trained: the list of those that would be, as (folder of the system, fold_run)."""
    asked = []

    def train_fold(fold_run, table, setup, log=print):
        asked.append((fold_run.folder.parent.name, str(fold_run)))
        raise ValueError(f"{fold_run} would be trained")

    monkeypatch.setattr("specimg.experiments.fold_work.train_fold", train_fold)
    return asked


def said_of(run: Run, probs) -> None:
    """Let the networks of a finished run have said something else: `probs(hot, probs, fold) -> probs`."""
    for fold_run in run.fold_runs:
        oof = fold_run.oof()
        Predictions(oof.table, probs(oof.hot, oof.probs, fold_run.fold), oof.vocab, is_multi=oof.is_multi).save(
            fold_run.folder / "oof.npz"
        )
    (run.folder / "score.json").unlink()  # what was kept of what it said before
    (run.folder.parent / "differences.json").unlink(missing_ok=True)


# ---------------------------------------------------------------------- differences, against hand-made ones

VOCAB = ("a", "b", "c")


class Said(CompetitionPredictions):
    """What was said of clips 0.wav, 1.wav ... by hand; `hot` are their labels, `(clips, classes)`."""

    def __init__(self, probs, hot, metric="accuracy", is_multi=False, names=None, **columns):
        hot, n = np.array(hot), len(probs)
        labels = [[VOCAB[i] for i in np.flatnonzero(row)] for row in hot]
        rows = pd.DataFrame({"path": names or [f"{i}.wav" for i in range(n)], "fold": np.arange(n) % 3})
        rows["target"] = pd.Series(labels if is_multi else [label for (label,) in labels], dtype=object)
        self.predictions = Predictions(rows.assign(**columns), np.array(probs, float), VOCAB, is_multi=is_multi)
        self.task = Task(
            "by-hand", metric, BestLabels(), VOCAB, is_multi, "0", False, pd.DataFrame({"id": [], "path": []})
        )


@pytest.fixture(scope="module")
def two():
    """(truth, probabilities that know a little, probabilities that know more) of 60 clips."""
    rng = np.random.default_rng(3)
    hot = np.eye(3, dtype=int)[rng.integers(3, size=60)]
    parts = [np.exp(rng.standard_normal((60, 3)) + strength * hot) for strength in (0.7, 1.6)]
    return hot, *(part / part.sum(axis=1, keepdims=True) for part in parts)


def by_hand(value_of, units, seed=0, n=1000):
    """(5 % ends) of a value over resampled units, drawn as `bootstrap_score` draws: RandomState, whole units, with replacement."""
    rng, names = np.random.RandomState(seed), list(dict.fromkeys(units))
    rows = {name: np.flatnonzero(np.array(units) == name) for name in names}
    values = np.sort(
        [value_of(np.concatenate([rows[names[i]] for i in rng.randint(len(names), size=len(names))])) for _ in range(n)]
    )
    return values[int(0.025 * (n - 1))], values[-1 - int(0.025 * (n - 1))]


def test_difference_of_a_mean_over_clips_is_the_bootstrap_of_the_clips_own_differences(two):
    hot, weak, strong = two
    groups = [f"g{i % 17}" for i in range(60)]
    right = [(probs.argmax(axis=1) == hot.argmax(axis=1)).astype(float) for probs in (strong, weak)]
    difference = paired_difference(Said(strong, hot, group=groups), Said(weak, hot, group=groups))
    assert difference.value == pytest.approx((right[0] - right[1]).mean()) and difference.clips == 60
    assert (difference.low, difference.high) == pytest.approx(
        by_hand(lambda rows: (right[0] - right[1])[rows].mean(), groups)
    )
    assert difference.low > 0 and difference.verdict == "better"
    back = paired_difference(Said(weak, hot, group=groups), Said(strong, hot, group=groups))
    assert back.value == -difference.value and back.verdict == "worse"


def test_difference_of_a_metric_of_all_clips_draws_both_together(two):
    hot, weak, strong = two
    truth, names = hot.argmax(axis=1), [f"{i // 2}.wav" for i in range(60)]  # two clips of each recording stay together
    starts = [float(i % 2) for i in range(60)]
    metric = get_metric("balanced_accuracy").function
    said = [
        Said(probs, hot, "balanced_accuracy", names=names, start=starts, end=[at + 1 for at in starts])
        for probs in (strong, weak)
    ]
    difference = paired_difference(*said)
    assert difference.value == pytest.approx(metric(truth, strong) - metric(truth, weak))
    ends = by_hand(lambda rows: metric(truth[rows], strong[rows]) - metric(truth[rows], weak[rows]), names, n=200)
    assert (difference.low, difference.high) == pytest.approx(ends)


def test_smaller_is_better_turns_the_sign(two):
    hot, weak, strong = two
    better = paired_difference(Said(strong, hot, "error_rate"), Said(weak, hot, "error_rate"))
    accuracy = paired_difference(Said(strong, hot), Said(weak, hot))
    assert better == pytest.approx(accuracy) and better.verdict == "better"


@pytest.mark.parametrize("metric", ["macro_auc", "lwlrap", "row_f1"])
def test_several_labels_a_clip(two, metric):
    rng = np.random.default_rng(1)
    hot = (rng.random((60, 3)) < 0.4).astype(int)
    hot[hot.sum(axis=1) == 0, 0] = 1
    knows, guesses = 0.6 * hot + 0.3 * rng.random((60, 3)), rng.random((60, 3))
    one, other = Said(knows, hot, metric, True), Said(guesses, hot, metric, True)
    difference = paired_difference(one, other)
    assert difference.value == pytest.approx(one.score - other.score) and difference.verdict == "better"
    assert difference.low <= difference.value <= difference.high


def test_a_run_against_itself_is_noise_of_exactly_nothing(two):
    hot, weak, _ = two
    for metric in ("accuracy", "balanced_accuracy", "error_rate"):
        assert paired_difference(Said(weak, hot, metric), Said(weak, hot, metric))[:3] == (0, 0, 0)
    assert paired_difference(Said(weak, hot), Said(weak, hot)).verdict == "not significant"


def test_only_clips_that_both_held_out_and_that_count(two):
    hot, weak, strong = two
    scored = [i >= 10 for i in range(60)]
    whole = Said(strong, hot, scored=scored)
    half = Said(weak[:40][::-1], hot[:40][::-1], names=[f"{i}.wav" for i in range(40)][::-1], scored=scored[:40][::-1])
    difference = paired_difference(whole, half)
    rows = slice(10, 40)
    assert difference.clips == 30
    right = [np.mean(probs[rows].argmax(1) == hot[rows].argmax(1)) for probs in (strong, weak)]
    assert difference.value == pytest.approx(right[0] - right[1])


def test_no_clip_in_common_is_no_difference(two):
    hot, weak, strong = two
    difference = paired_difference(Said(weak, hot), Said(strong, hot, names=[f"other {i}.wav" for i in range(60)]))
    assert difference.clips == 0 and np.isnan(difference[:3]).all() and difference.verdict == ""
    nothing_counts = Said(weak, hot, scored=[False] * 60)
    assert shared_predictions([nothing_counts, nothing_counts]) == []
    alone = paired_difference(Said(weak[:1], hot[:1]), Said(strong[:1], hot[:1]))
    assert alone.clips == 1 and np.isnan(alone.low) and alone.verdict == "", "one clip has no interval"


def test_runs_of_different_competitions_are_not_compared(two):
    hot, weak, strong = two
    with pytest.raises(
        ValueError,
        match="runs of different competitions cannot be compared: it is scored by accuracy, not by error_rate",
    ):
        paired_difference(Said(weak, hot, "error_rate"), Said(strong, hot))


def test_a_metric_that_is_not_defined_is_no_difference(two, monkeypatch):
    hot, weak, strong = two
    monkeypatch.setitem(_METRICS, "never", Metric("never", lambda y_true, scores: float("nan"), mean_over_clips=False))
    difference = paired_difference(Said(weak, hot, "never"), Said(strong, hot, "never"))
    assert np.isnan(difference[:3]).all() and difference.verdict == ""


@pytest.mark.parametrize(
    "low, high, said",
    [
        (0.001, 0.2, "better"),
        (-0.2, -0.001, "worse"),
        (-0.1, 0.1, "not significant"),
        (0, 0, "not significant"),
        (0, 0.1, "not significant"),
        (np.nan, np.nan, ""),
    ],
)
def test_verdicts(low, high, said):
    assert verdict(low, high) == said


# ---------------------------------------------------------------------- the table


def test_every_network_on_every_look_is_a_run_in_a_folder(found, comp):
    names = ["feature_mlp, mel", "test_resnet, mel", "feature_mlp, stft", "test_resnet, stft"]
    assert (
        list(found.runs) == found.candidates == found.finished == names
        and len(found) == 4
        and found.baseline == names[0]
    )
    for name, run in found.runs.items():
        assert run.config.arch == name.split(",")[0] and run.config.renderer == (MEL if name.endswith("mel") else STFT)
        assert run.config.recipe == RECIPE and run.config.folds == 2
    assert all(run.folds.equals(found.runs[names[0]].folds) for run in found.runs.values())
    files = ["comparison.csv", "comparison.json", "differences.json"]
    folders = ["feature_mlp-mel", "feature_mlp-stft", "test_resnet-mel", "test_resnet-stft"]
    assert sorted(path.name for path in found.folder.iterdir()) == files + folders


def test_rows_say_what_their_runs_say(found):
    rows = found.table.set_index("candidate")
    assert (np.diff(found.table["score"]) <= 0).all(), "best first"
    base = found.runs[found.baseline]
    for name, run in found.runs.items():
        row = rows.loc[name]
        assert (row["score"], row["low"], row["high"], row["clips"]) == (
            float(run.score),
            run.score.low,
            run.score.high,
            18,
        )
        own = [fold_run.done["score"] for fold_run in run.fold_runs]
        assert row["mean"] == pytest.approx(np.mean(own)) and row["std"] == pytest.approx(np.std(own, ddof=1))
        assert (row["networks"], row["planned"]) == (2, 2)
        assert row["seconds_epoch"] > 0 and 0 < row["ms_picture"] < 1000
        if name != found.baseline:
            difference = paired_difference(run, base)
            assert tuple(row[["difference", "difference_low", "difference_high", "shared", "verdict"]]) == (
                *difference,
                difference.verdict,
            )
    assert rows.loc[found.baseline, "verdict"] == "" and np.isnan(rows.loc[found.baseline, "difference"])
    from specimg.models.networks import create_spec_net

    for arch in ("feature_mlp", "test_resnet"):
        net = create_spec_net(arch, 1, 3, (32, 32))
        assert rows.loc[f"{arch}, mel", "parameters"] == sum(p.numel() for p in net.parameters())


def test_what_is_printed(found):
    lines = str(found).splitlines()
    assert lines[0] == f"Comparison(4 of 4 candidates finished, in {str(found.folder)!r})" == repr(found)
    assert re.split(r"\s{2,}", lines[1]) == [
        "candidate",
        "map@3 (95 %)",
        "mean ± std",
        "parameters",
        "s per epoch",
        "ms per picture",
        "difference (95 %)",
        "verdict",
    ]
    for name in found.candidates:
        row, line = found.table.set_index("candidate").loc[name], next(line for line in lines if line.startswith(name))
        assert (
            f"{row['score']:.3f} ({row['low']:.3f} to {row['high']:.3f})" in line and f"{row['parameters']:,}" in line
        )
        assert (f"{row['difference']:+.3f}" in line) == (name != found.baseline) and line.endswith(row["verdict"])
    assert lines[6] == "difference: to feature_mlp, mel, on the same clips; above 0 is better"
    assert lines[7].startswith(
        "the best of 4 was chosen by this very score, which is optimistic; chosen on the other folds, it is 0."
    )
    html = found._repr_html_()
    assert html.count("<tr") == 5 and "optimistic" in html
    csv = pd.read_csv(found.folder / "comparison.csv")
    assert csv["candidate"].tolist() == found.table["candidate"].tolist()
    assert csv["score"].to_numpy() == pytest.approx(found.table["score"].to_numpy())


def test_text_of_cells_and_tables():
    assert (
        cell(0.81249, 0.79, 0.8333) == "0.812 (0.790 to 0.833)"
        and cell(0.5, np.nan, np.nan) == "0.500"
        and cell(*[np.nan] * 3) == ""
    )
    assert cell(0.0123, -0.1, 0.2, "+.3f") == "+0.012 (-0.100 to +0.200)"
    assert (
        align_columns(pd.DataFrame({"name": ["a", "long"], "n": ["1", "10"], "end": ["x", ""]}))
        == "name   n  end\na      1  x\nlong  10"
    )


def test_against_a_useless_system_it_is_a_gain_and_against_its_twin_noise(found, tmp_path):
    """The same run under three names; then two of them have said something else."""
    about = json.loads((found.folder / "comparison.json").read_text())
    about["systems"] = [
        {**about["systems"][0], "name": name, "folder": name} for name in ("useless", "middling", "twin", "knows")
    ]
    about["baseline"] = "middling"
    for name in ("useless", "middling", "twin", "knows"):
        shutil.copytree(found.folder / "feature_mlp-mel", tmp_path / name)
    (tmp_path / "comparison.json").write_text(json.dumps(about))
    said_of(Run(tmp_path / "knows"), lambda hot, probs, fold: hot * 0.98 + 0.01)
    said_of(Run(tmp_path / "useless"), lambda hot, probs, fold: (~hot) / 2)
    rows = Comparison.open(tmp_path).table.set_index("candidate")
    assert rows["verdict"].to_dict() == {
        "knows": "better",
        "useless": "worse",
        "twin": "not significant",
        "middling": "",
    }
    assert rows.loc["twin", ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    assert rows.loc["knows", "score"] == 1 and rows.index[0] == "knows" and rows.index[-1] == "useless"
    other = Comparison.open(tmp_path, baseline="useless")
    assert set(other.table["verdict"]) == {"better", ""} and other.best == "knows"
    assert other.table.set_index("candidate").loc["knows", "difference"] == pytest.approx(
        1 - rows.loc["useless", "score"]
    )


def test_what_is_not_known_stands_empty(copied):
    file = copied.folder / "comparison.json"
    file.write_text(re.sub(r'"ms_picture": [\d.]+', '"ms_picture": null', file.read_text()))
    said = Comparison.open(copied.folder)
    assert said.table["ms_picture"].isna().all()
    assert "None" not in str(said) and "nan" not in str(said) and "nan" not in said._repr_html_().lower()


def test_smaller_is_better_puts_the_smallest_first(found, tmp_path):
    for name in ("knows", "useless"):
        shutil.copytree(found.folder / "feature_mlp-mel", tmp_path / name)
        for file in (tmp_path / name).glob("competition.json"):
            file.write_text(file.read_text().replace("map@3", "error_rate"))
    about = json.loads((found.folder / "comparison.json").read_text())
    about["systems"] = [{**about["systems"][0], "name": name, "folder": name} for name in ("useless", "knows")]
    about = {**about, "baseline": "useless", "facts": {**about["facts"], "metric": "error_rate"}}
    (tmp_path / "comparison.json").write_text(json.dumps(about))
    said_of(Run(tmp_path / "knows"), lambda hot, probs, fold: hot * 0.98 + 0.01)
    said_of(Run(tmp_path / "useless"), lambda hot, probs, fold: (~hot) / 2)
    rows = Comparison.open(tmp_path).table
    assert rows[["candidate", "score", "difference", "verdict"]].iloc[0].tolist() == ["knows", 0, 1, "better"]
    assert Comparison.open(tmp_path).cross_fitted_best == 0


def test_where_the_other_folds_choose(copied):
    """One system is right in fold 0 alone, another in fold 1 alone: chosen by the other fold, each answers where it is wrong."""
    for name, right in {
        "feature_mlp, mel": 0,
        "test_resnet, mel": 1,
        "feature_mlp, stft": None,
        "test_resnet, stft": None,
    }.items():
        said_of(copied.runs[name], lambda hot, probs, fold: hot * 0.98 + 0.01 if fold == right else (~hot) / 2)
    fresh = Comparison.open(copied.folder)
    wrong = fresh.runs["feature_mlp, mel"].predictions.subset(np.arange(18) >= 0)
    assert fresh.best in ("feature_mlp, mel", "test_resnet, mel") and fresh.table["score"].max() > 0.6
    at_its_worst = np.mean([1 / (1 + place) for place in _places((~wrong.hot) / 2, wrong.hot)])
    assert fresh.cross_fitted_best == pytest.approx(at_its_worst) and fresh.cross_fitted_best < 0.5


def _places(probs, hot):
    """Of the right label among the probabilities of each clip; of equals the later counts, as in MAP."""
    return [list(np.argsort(-row, kind="stable")).index(int(truth.argmax())) for row, truth in zip(probs, hot)]


def test_differences_are_worked_out_once(copied, monkeypatch):
    asked = []

    def counted(run, baseline):
        asked.append(run)
        return paired_difference(run, baseline)

    monkeypatch.setattr(comparison, "paired_difference", counted)
    assert Comparison.open(copied.folder).table.equals(copied.table) and not asked
    assert (
        Comparison.open(copied.folder, baseline="test_resnet, mel").table["verdict"].ne("").sum() == 3
        and len(asked) == 3
    )
    said_of(copied.runs["test_resnet, mel"], lambda hot, probs, fold: hot * 0.98 + 0.01)
    assert Comparison.open(copied.folder).difference("test_resnet, mel").verdict == "better", "nothing is kept any more"
    Comparison.open(copied.folder).keep_differences()
    fold_run = copied.runs["test_resnet, stft"].fold_runs[0]
    (fold_run.folder / "done.json").write_text(
        (fold_run.folder / "done.json").read_text() + " "
    )  # as if it had been trained anew
    asked.clear()
    assert len(Comparison.open(copied.folder).table) == 4 and [run.config.arch for run in asked] == ["test_resnet"]
    with pytest.raises(ValueError, match="unknown candidate with a trained network 'nobody'"):
        copied.difference("nobody")


# ---------------------------------------------------------------------- going on, and joining later


def frozen_in_time(folder) -> dict:
    return {
        str(path.relative_to(folder)): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.name in ("done.json", "oof.npz")
    }


def test_the_same_call_trains_nothing(comp, copied, untrained):
    before, log = frozen_in_time(copied.folder), []
    again = go(comp, copied.folder, ["feature_mlp", "test_resnet"], {"mel": MEL, "stft": STFT}, log)
    assert frozen_in_time(copied.folder) == before and not untrained
    assert again.table.equals(copied.table), "the time that a picture took stays as it was measured"
    assert sum("finished already, map@3" in line for line in log) == 8 and log[-1] == str(again)


def test_a_copy_is_read_where_the_recordings_are_gone(copied, found, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Comparison.open("copied").table.equals(found.table) and copied.folder != found.folder
    assert Comparison.open("copied").runs["feature_mlp, mel"].folder == copied.folder / "feature_mlp-mel"


def test_a_kill_costs_the_network_in_work_alone(comp, found, tmp_path, monkeypatch):
    """Killed in the second network of the first system; what comes out is what comes out of one that never was."""
    train, trained = training.train_fold, []

    def stopped(fold_run, *args):
        trained.append(fold_run)
        if len(trained) == 2:
            raise KeyboardInterrupt
        train(fold_run, *args)

    monkeypatch.setattr("specimg.experiments.fold_work.train_fold", stopped)
    with pytest.raises(KeyboardInterrupt):
        go(comp, tmp_path, ["feature_mlp"], {"mel": MEL, "stft": STFT})
    half = Comparison.open(tmp_path)
    assert repr(half) == f"Comparison(0 of 2 candidates finished, waiting: feature_mlp, stft, in {str(tmp_path)!r})"
    assert (
        half.table[["candidate", "networks", "planned"]].values.tolist() == [["feature_mlp, mel", 1, 2]]
        and half.table["clips"][0] < 18
    )
    assert f"feature_mlp, mel: 1 of 2 networks trained, its score is of {half.table['clips'][0]} clips" in str(half)
    done = frozen_in_time(tmp_path)
    monkeypatch.setattr("specimg.experiments.fold_work.train_fold", train)
    whole = go(comp, tmp_path, ["feature_mlp"], {"mel": MEL, "stft": STFT})
    assert {name: when for name, when in frozen_in_time(tmp_path).items() if name in done} == done
    for name in whole.candidates:
        assert np.array_equal(whole.runs[name].predictions.probs, found.runs[name].predictions.probs)


def test_systems_join_later_and_the_baseline_stays_until_another_is_named(comp, copied):
    joined = go(comp, copied.folder, ["mini_resnet"])
    assert joined.candidates == [*copied.candidates, "mini_resnet, mel"] and joined.baseline == "feature_mlp, mel"
    assert set(joined.runs) == set(joined.candidates)
    rows = joined.table.set_index("candidate")
    assert rows.loc["mini_resnet, mel", "verdict"] in ("better", "worse", "not significant")
    assert (
        rows.drop("mini_resnet, mel").loc[copied.table["candidate"], "score"].tolist() == copied.table["score"].tolist()
    )
    renamed = go(comp, copied.folder, ["mini_resnet"], baseline="mini_resnet, mel")
    assert renamed.baseline == Comparison.open(copied.folder).baseline == "mini_resnet, mel"
    assert renamed.table.set_index("candidate").loc["mini_resnet, mel", "verdict"] == ""
    assert (
        renamed.table.set_index("candidate").loc["feature_mlp, mel", "difference"]
        == -rows.loc["mini_resnet, mel", "difference"]
    )


def test_some_folds_now_and_the_others_later(comp, tmp_path):
    part = go(comp, tmp_path, renderers={"mel": MEL, "stft": STFT}, only=[1])
    assert part.table["networks"].tolist() == [1, 1] and part.finished == [] and np.isnan(part.table["std"]).all()
    said = str(part)
    assert "0 of 2 candidates finished" in said and "feature_mlp, mel: 1 of 2 networks trained" in said
    assert "which is optimistic; a single fold cannot show it" in said
    assert " ± " not in "\n".join(said.splitlines()[2:])
    go(comp, tmp_path, only=[0])
    mixed = Comparison.open(tmp_path)
    n = int(mixed.table.set_index("candidate").loc["feature_mlp, stft", "clips"])
    assert mixed.table.set_index("candidate").loc["feature_mlp, mel", "clips"] == 18 > n
    assert f"feature_mlp, stft: the difference is on {n} clips that both held out" in str(mixed)
    with pytest.raises(ValueError, match=r"feature_mlp, mel: only=\[7\]: there is no fold 7"):
        go(comp, tmp_path, only=[7])


def test_seeds_spread(comp, tmp_path):
    both = go(comp, tmp_path, seeds=2)
    row = both.table.iloc[0]
    own = [fold_run.done["score"] for fold_run in both.runs["feature_mlp, mel"].fold_runs]
    assert len(own) == 4 == row["networks"]
    assert row["std"] == pytest.approx(np.std(own, ddof=1)) and row["mean"] == pytest.approx(np.mean(own))
    with pytest.raises(ValueError, match="holds a comparison on other data or folds: seeds is 2 there and 1 here"):
        go(comp, tmp_path)


# ---------------------------------------------------------------------- what fails


def test_a_system_that_fails_is_named_and_the_others_are_kept(comp, tmp_path):
    log = []
    candidates = [
        Candidate("broken", "feature_mlp", MEL, RECIPE.replace(lr=10.0)),
        Candidate("waves", "soundnet_cnn", MEL),
    ]
    said = r"^2 of 3 candidates failed \(broken: .*diverged.*; waves: soundnet_cnn takes waveforms.*\); the others are kept"
    broken = pytest.MonkeyPatch()
    usual = comparing.run_cross_validation

    def validate(comp, config, out, **options):
        if config.recipe.lr == 10.0:
            raise ValueError("train_loss is nan after epoch 1: the training diverged")
        return usual(comp, config, out, **options)

    broken.setattr(comparing, "run_cross_validation", validate)
    try:
        with pytest.raises(ValueError, match=said):
            go(comp, tmp_path, candidates=candidates, log=log)
    finally:
        broken.undo()
    kept = Comparison.open(tmp_path)
    assert list(kept.runs) == ["feature_mlp, mel"] and set(kept.failed) == {"broken", "waves"}
    assert repr(kept).startswith("Comparison(1 of 3 candidates finished, in")
    assert "broken failed: train_loss is nan after epoch 1: the training diverged" in str(kept).splitlines()
    assert "broken failed: train_loss is nan after epoch 1: the training diverged" in log
    shutil.copytree(
        tmp_path / "feature_mlp-mel", tmp_path / "broken", dirs_exist_ok=True
    )  # as if it had been trained now
    mended = go(comp, tmp_path, [], candidates=[Candidate("broken", "feature_mlp", MEL)])
    assert "broken" in mended.runs and set(mended.failed) == {"waves"}, (
        "what failed is tried again, and forgotten when it ends well"
    )


def test_too_little_memory_is_a_failure_of_one_system(comp, tmp_path, monkeypatch):
    asked = []

    def validate(comp, config, out, **options):
        asked.append(out.name)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(comparing, "run_cross_validation", validate)
    said = r"2 of 2 candidates failed \(feature_mlp, mel: CUDA out of memory; mini_resnet, mel: CUDA out of memory\)"
    with pytest.raises(ValueError, match=said):
        go(comp, tmp_path, ["feature_mlp", "mini_resnet"])
    assert asked == ["feature_mlp-mel", "mini_resnet-mel"]
    nothing = Comparison.open(tmp_path)
    assert len(nothing) == 0 and len(nothing.table) == 0 and np.isnan(nothing.cross_fitted_best)
    assert (
        "feature_mlp, mel failed: CUDA out of memory" in str(nothing) and "Comparison(0 of 2" in nothing._repr_html_()
    )
    with pytest.raises(ValueError, match="no candidate of the comparison in .* has a trained network yet"):
        nothing.best


def test_a_mistake_of_ours_is_no_failure_of_a_system(comp, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "run_cross_validation", lambda *args, **kwargs: {}["missing"])
    with pytest.raises(KeyError):
        go(comp, tmp_path)


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"archs": []}, "nothing to compare: give archs="),
        ({"archs": ["feature_mlp", "resnet43"]}, r"^resnet43, mel: unknown arch 'resnet43'; did you mean 'resnet"),
        (
            {"archs": ["feature_mlp", "test_resnet"], "learner": {"pretrained": True}},
            r"^test_resnet, mel: no pretrained weights for test_resnet",
        ),
        (
            {"candidates": [Candidate("mine", "mini_resnet", learner={"weights": "x", "pretrained": True})]},
            "^mine: x: no such file or folder",
        ),
        ({"learner": {"pretraind": False}}, "unknown option in learner= 'pretraind'; did you mean 'pretrained'"),
        ({"loaders": {"sizes": 3}}, "unknown option in loaders= 'sizes'"),
        ({"trust": "blindly"}, "unknown trust 'blindly'"),
        ({"seeds": 0}, "seeds=0: it must be 1 to 1000"),
        (
            {"archs": ["feature_mlp", "feature_mlp"]},
            r"^names that are not names of different folders \('feature_mlp, mel'\)",
        ),
        (
            {"candidates": [Candidate("Feature_MLP - mel", "mini_resnet")]},
            "names that are not names of different folders",
        ),
        ({"candidates": [Candidate("..", "mini_resnet")]}, r"not names of different folders \('\.\.'\)"),
        (
            {"renderers": [MEL, MEL.replace(representation=Mel(n_mels=32, n_fft=512))]},
            r"2 renderers have only 1 name \(mel32\); name them",
        ),
        ({"renderers": {"mel": Mel()}}, "is not a Renderer"),
        ({"renderers": [Mel()]}, "is not a Renderer"),
        ({"baseline": "feature_mlp"}, "unknown candidate as baseline= 'feature_mlp'; did you mean 'feature_mlp, mel'"),
        (
            {"candidates": [Candidate("other", "feature_mlp", MEL, Recipe(seed=3))]},
            r"recipes have different seeds \(0, 3\), by which folds are assigned",
        ),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_drawn_or_trained(
    comp, tmp_path, untrained, monkeypatch, changes, said
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "no-cache"))
    with pytest.raises(ValueError, match=said):
        go(comp, tmp_path / "out", **{"archs": "feature_mlp", **changes})
    assert not (tmp_path / "out").exists() and not untrained


def test_a_folder_of_other_data_or_of_something_else_is_refused(comp, copied, tmp_path):
    with pytest.raises(
        ValueError, match="holds a comparison on other data or folds: folds is 2 there and 3 here; choose a new folder"
    ):
        go(comp, copied.folder, folds=3)
    with pytest.raises(ValueError, match="fold_seed is 0 there and 4 here"):
        go(comp, copied.folder, recipe=RECIPE.replace(seed=4))
    fewer = Competition("three-pitches", comp.folder, table()[:12], "map@3", BestLabels())
    with pytest.raises(ValueError, match="data is '[0-9a-f]{16}' there and '[0-9a-f]{16}' here"):
        go(fewer, copied.folder)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    with pytest.raises(ValueError, match="holds thesis.txt, and no comparison"):
        go(comp, tmp_path / "full")
    with pytest.raises(
        ValueError,
        match=r"feature_mlp, mel: '.*' holds a run of another configuration: recipe.epochs is 1 there and 3 here",
    ):
        go(comp, copied.folder, recipe=RECIPE.replace(epochs=3))


def test_what_is_no_comparison_is_not_opened(found, tmp_path):
    with pytest.raises(
        ValueError, match=r"holds no comparison \(it has no comparison.json\); compare\(..., out=...\) makes one"
    ):
        Comparison.open(tmp_path)
    with pytest.raises(ValueError, match=f"did you mean '{re.escape(str(found.folder))}'"):
        Comparison.open(found.folder.parent)
    about = json.loads((found.folder / "comparison.json").read_text())
    for broken, said in [
        ("{", "is not JSON"),
        ('{"systems": []}', "KeyError: 'baseline'"),
        ("[]", "TypeError"),
        (json.dumps({**about, "systems": [{"name": "x", "folder": "../../x"}]}), "leads out of"),
    ]:
        (tmp_path / "comparison.json").write_text(broken)
        with pytest.raises(ValueError, match=rf"comparison.json' cannot be read: .*{said}"):
            Comparison.open(tmp_path)
    with pytest.raises(ValueError, match="unknown candidate as baseline= 'nobody'"):
        Comparison.open(found.folder, baseline="nobody")


# ---------------------------------------------------------------------- systems


def test_systems_are_named_after_network_and_look():
    systems = make_candidates(["a", "b"], [MEL, STFT])
    assert [(s.name, s.arch, s.renderer) for s in systems] == [
        ("a, mel32", "a", MEL),
        ("b, mel32", "b", MEL),
        ("a, stft64", "a", STFT),
        ("b, stft64", "b", STFT),
    ]
    assert [s.name for s in make_candidates("a", MEL)] == ["a, mel32"], (
        "a second look that joins later does not rename the first"
    )
    assert name_renderers({"x": MEL}) == {"x": MEL}
    assert [Candidate(name, "a").folder for name in ("a, b/c", "../x", "lr=0.1: é", "-.-")] == [
        "a-b-c",
        "x",
        "lr=0.1-é",
        "",
    ]


def test_what_all_systems_share_and_what_is_their_own():
    common = {
        "pretrained": False,
        "weights": "folder",
        "ps": 0.3,
        "lin_ftrs": [64],
        "concat_pool": False,
        "stats": "train",
    }
    shared = RunConfig(recipe=RECIPE, loaders={"bs": 8, "size": 32}, learner=common)
    timm = Candidate("a", "test_resnet", MEL, learner={"ps": 0.1}, loaders={"size": 64}).configure(shared)
    assert timm.learner == {**common, "ps": 0.1} and timm.loaders == {"bs": 8, "size": 64} and timm.recipe == RECIPE
    assert timm.arch == "test_resnet" and timm.renderer == MEL
    own = Candidate("b", "mini_resnet", MEL, RECIPE.replace(epochs=9)).configure(
        RunConfig(recipe=RECIPE, learner=common)
    )
    assert own.learner == {"pretrained": False, "stats": "train"} and own.recipe.epochs == 9, (
        "heads and weights are timm's alone"
    )
    with pytest.raises(ValueError, match="lacks the field 'arch'"):
        Candidate.from_dict({"name": "x"})


def test_options_reach_cross_validation(comp, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(comparing, "run_cross_validation", lambda *args, **kwargs: seen.append((args, kwargs)))
    tta = TTA(shifts=(0, 0.1))
    own = Candidate(
        "own",
        "mini_resnet",
        STFT,
        RECIPE.replace(epochs=2),
        loaders={"bs": 2, "variants": [Roll(0.1)]},
        learner={"stats": "train"},
    )
    loaders, learner = {"bs": 4, "size": 32}, {"pretrained": False}
    compare(
        comp,
        ["feature_mlp"],
        MEL,
        RECIPE,
        candidates=[own],
        out=tmp_path,
        folds=3,
        seeds=2,
        loaders=loaders,
        trust="loss",
        tta=tta,
        learner=learner,
        only=[1],
        log=[].append,
    )
    (args, kwargs), (own_args, own_kwargs) = seen
    shared = RunConfig(folds=3, seeds=2, trust="loss", tta=tta, recipe=RECIPE, loaders=loaders, learner=learner)
    assert args == (comp, shared.replace(arch="feature_mlp", renderer=MEL), tmp_path / "feature_mlp-mel32")
    assert own_args == (
        comp,
        shared.replace(
            arch="mini_resnet",
            renderer=STFT,
            recipe=RECIPE.replace(epochs=2),
            learner={"pretrained": False, "stats": "train"},
            loaders={"bs": 2, "size": 32, "variants": [{"kind": "roll", "share": 0.1}]},
        ),
        tmp_path / "own",
    )
    for given in (kwargs, own_kwargs):
        assert (given["only"], given["test"]) == ([1], False)


def test_the_best_answers_the_test_set_later(comp, copied):
    """A system is an ordinary run: the same arguments, with its folder, go on with it."""
    shared = options(comp)
    run = cross_validate(
        comp, MEL, "feature_mlp", RECIPE, out=copied.folder / "feature_mlp-mel", log=[].append, **shared
    )
    assert np.array_equal(run.predictions.probs, copied.runs["feature_mlp, mel"].predictions.probs)


# ---------------------------------------------------------------------- the time that a picture takes


def test_pictures_are_timed_on_the_clips_themselves_in_their_spans(comp, monkeypatch):
    drawn, now = [], iter(np.cumsum([0, 9.0, 0, 0.004, 0, 0.002, 0, 0.003] + [0, 0.003] * 40))  # the first pays for all

    def png(self, source, sr=None, *, start=None, end=None):
        drawn.append((source, start, end))
        return b""

    monkeypatch.setattr(Renderer, "png", png)
    monkeypatch.setattr(drawing.time, "perf_counter", lambda: float(next(now)))
    monkeypatch.setattr(drawing, "_TIMED_MS", 1e9)
    spans = table(start=np.arange(18) * 1.0, end=np.arange(18) + 0.5)
    assert milliseconds_per_picture(Competition("spans", comp.folder, spans), MEL) == pytest.approx(3.0)
    assert drawn[0] == drawn[1] == (str(comp.folder / "00.wav"), 0.0, 0.5) and drawn[-1] == (
        str(comp.folder / "17.wav"),
        17.0,
        17.5,
    )
    assert len(drawn) == 19


def test_slow_pictures_are_timed_less_often_and_bad_files_not_at_all(comp, monkeypatch):
    drawn = []

    def png(self, source, sr=None, *, start=None, end=None):
        drawn.append(source)
        if source.endswith(("00.wav", "03.wav")):
            raise ValueError("no sound")

    monkeypatch.setattr(Renderer, "png", png)
    assert milliseconds_per_picture(comp, MEL) >= 0 and len(drawn) == 19
    clock = iter(np.arange(0, 200, 2.0))  # two seconds each
    monkeypatch.setattr(drawing.time, "perf_counter", lambda: float(next(clock)))
    drawn.clear()
    assert milliseconds_per_picture(comp, MEL) == 2000 and len(drawn) == 6, "three pictures, three bad files"
    monkeypatch.setattr(
        Renderer, "png", lambda self, source, **span: 1 / 0 if False else (_ for _ in ()).throw(ValueError("no sound"))
    )
    clock = iter(np.arange(0, 200, 2.0))
    assert milliseconds_per_picture(comp, MEL) is None


# ---------------------------------------------------------------------- the picture


def test_curves_are_the_means_of_the_networks(found):
    fig = found.plot_curves()
    (ax,) = fig.axes
    assert (
        isinstance(fig, Figure)
        and ax.get_xlabel() == "epoch"
        and ax.get_ylabel() == "map@3 of held-out clips, mean of the networks"
    )
    for line, (name, run) in zip(ax.get_lines(), found.runs.items()):
        history = run.history
        assert line.get_label() == name and line.get_xdata().tolist() == [1]
        assert line.get_ydata() == pytest.approx([history["map@3"].mean()])
    last = {line.get_label(): line.get_ydata()[-1] for line in ax.get_lines()}
    order = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [last[name] for name in order] == sorted(last.values(), reverse=True), "best first"
    falling = found.plot_curves("valid_loss").axes[0]
    last = {line.get_label(): line.get_ydata()[-1] for line in falling.get_lines()}
    assert [last[text.get_text()] for text in falling.get_legend().get_texts()] == sorted(last.values())
    with pytest.raises(ValueError, match="unknown column of the tables of epochs 'map@4'; did you mean 'map@3'"):
        found.plot_curves("map@4")


def crowd(found, folder, n=20) -> Comparison:
    """A comparison of many systems with curves of eight epochs that nobody trained."""
    about, rng = json.loads((found.folder / "comparison.json").read_text()), np.random.default_rng(0)
    about["systems"] = []
    for i in range(n):
        name = f"network_{i} $x_{i}$, look {i % 4}"
        shutil.copytree(found.folder / "feature_mlp-mel", folder / f"s{i}")
        for fold_run in Run(folder / f"s{i}").fold_runs:
            epochs = 8 - (fold_run.fold if i == 3 else 0)  # one network stopped early
            rows = pd.DataFrame(
                {"phase": "unfrozen", "epoch": range(1, epochs + 1), "lr": 0.01, "train_loss": 1.0, "valid_loss": 1.0}
            )
            rows["map@3"] = (0.3 + 0.03 * i) * (1 - np.exp(-rows["epoch"] / (1 + i % 5))) + 0.01 * rng.standard_normal(
                epochs
            )
            rows.assign(seconds=1.0).to_csv(fold_run.folder / "fit/history.csv", index=False)
        about["systems"].append({"name": name, "folder": f"s{i}", "ms_picture": None})
    (folder / "comparison.json").write_text(json.dumps({**about, "baseline": about["systems"][0]["name"]}))
    return Comparison.open(folder)


def test_twenty_systems_are_told_apart(found, tmp_path):
    many = crowd(found, tmp_path)
    fig = many.plot_curves()
    (ax,) = fig.axes
    looks = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in ax.get_lines()}
    assert len(looks) == 20
    assert len(ax.get_lines()[3].get_xdata()) == 7, "a line ends where the first of its networks ended"
    fig.savefig(tmp_path / "curves.png", dpi=60)
    box, legend = ax.get_window_extent(), ax.get_legend().get_window_extent()
    width, height = fig.bbox.size
    assert legend.x0 >= box.x1 and legend.x1 <= width and legend.y0 >= 0 and legend.y1 <= height, (
        "beside the axes, and within the picture"
    )
    assert box.width > 0.4 * width
    given = Figure().add_subplot()
    assert many.plot_curves(ax=given) is given.figure and len(given.get_lines()) == 20
