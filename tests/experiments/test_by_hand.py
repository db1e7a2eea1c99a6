"""A competition by hand: a plan with a train.csv and a sample submission is one file, and any function is a metric."""

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import specimg as sp
from specimg.cli import main
from specimg.experiments import RunConfig, open_competition
from specimg.metrics import Metric, registry

SR = 8000
PLAN = """
out = "runs/a"
arch = "mini_resnet"
folds = 2
[competition]
slug = "my-birds"
folder = "birds"
metric = "log_loss"
train = {csv = "train.csv", audio = "audio", group_col = "site"}
test = {sample = "sample_submission.csv", audio = "test"}
[recipe]
epochs = 1
lr = 0.01
[learner]
pretrained = false
[loaders]
bs = 4
cache = "cache"
progress = false
[renderer.representation]
kind = "mel"
n_mels = 32
n_fft = 256
hop_length = 64
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    """birds/train.csv and birds/sample_submission.csv, whose names have no suffix, and the recordings; plan.toml beside."""
    rng = np.random.default_rng(0)
    for part, n in (("audio", 12), ("test", 3)):
        (tmp_path / "birds" / part).mkdir(parents=True)
        for i in range(n):
            sf.write(tmp_path / "birds" / part / f"{part[0]}{i}.wav", rng.uniform(-0.5, 0.5, SR // 2), SR)
    train = pd.DataFrame({"recording_id": [f"a{i}" for i in range(12)], "species": ["owl", "wren"] * 6})
    train.assign(site=[f"s{i // 4}" for i in range(12)]).to_csv(tmp_path / "birds/train.csv", index=False)
    sample = pd.DataFrame({"recording_id": [f"t{i}" for i in range(3)], "owl": 0.5, "wren": 0.5})
    sample.to_csv(tmp_path / "birds/sample_submission.csv", index=False)
    (tmp_path / "plan.toml").write_text(PLAN)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_plan_goes_from_two_csv_files_to_a_submission(home):
    assert main(["cv", "plan.toml"]) == 0
    assert main(["submit", "runs/a"]) == 0
    table = pd.read_csv("submission.csv")
    assert list(table) == ["recording_id", "owl", "wren"] and table["recording_id"].tolist() == ["t0", "t1", "t2"]
    run = sp.Run.open("runs/a")
    assert run.score.metric == "log_loss" and run.folds["group"].nunique() == 3
    again = RunConfig.from_toml(run.folder / "run.toml")
    assert open_competition(again.competition).digest == run.task.digest
    assert main(["cv", str(run.folder / "run.toml"), "--out", "runs/a"]) == 0  # a run.toml is a plan


def test_columns_and_suffix_are_found_and_may_be_given(home):
    about = {"slug": "my-birds", "folder": "birds", "train": {"csv": "train.csv", "audio": "audio"}}
    comp = sp.Competition.from_dict(about)
    assert comp.train["path"][0] == "audio/a0.wav" and comp.vocab == ("owl", "wren")
    about["train"] |= {"fn_col": "recording_id", "label_col": "site"}
    assert sp.Competition.from_dict(about).vocab == ("s0", "s1", "s2")


@pytest.mark.parametrize(
    "about, message",
    [
        ({"metric": "accuracy"}, "which competition?"),
        ({"slug": "x", "train": {"cvs": "a"}}, "unknown field of TrainFile 'cvs'; did you mean 'csv'"),
        ({"slug": "x", "toml": "a.toml"}, r"\[competition\] has toml and slug"),
        ({"slug": "unheard-of"}, "unknown competition 'unheard-of'"),
    ],
)
def test_what_is_missing_or_wrong_is_said(about, message):
    with pytest.raises(ValueError, match=message):
        open_competition(about)


# ---------------------------------------------------------------------- a metric of one's own


def mean_certainty(y_true, scores):
    return float(scores.max(axis=1).mean())


def test_any_function_is_a_metric(home, monkeypatch):
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    table = sp.labels_from_csv("birds/train.csv", fn_col=0, label_col=1, suffix=".wav")
    comp = sp.Competition("own", "birds/audio", table, metric=mean_certainty)
    assert comp.metric == "mean_certainty"
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    run = sp.cross_validate(
        comp, look, "mini_resnet", sp.Recipe(epochs=1, lr=0.01), folds=2, out="runs/own", log=None,
        loaders=dict(bs=4, progress=False, cache="cache"), learner=dict(pretrained=False),
    )  # fmt: skip
    assert run.score.metric == "mean_certainty" and run.score == pytest.approx(run.predictions.probs.max(axis=1).mean())
    assert "mean_certainty" in run.history


def test_a_metric_for_which_less_is_better_is_a_metric_value(home, monkeypatch):
    monkeypatch.setattr(registry, "_METRICS", dict(registry._METRICS))
    table = sp.labels_from_csv("birds/train.csv", fn_col=0, label_col=1, suffix=".wav")
    comp = sp.Competition("own", "birds/audio", table, metric=Metric("cost", mean_certainty, greater_is_better=False))
    assert comp.metric == "cost" and not registry.get_metric("cost").greater_is_better
