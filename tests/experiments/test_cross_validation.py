"""Cross-validation from sounds to a submission, on tiny clips: who learns from whom, what a kill costs, what is refused."""

from __future__ import annotations

import copy
import errno
import inspect
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from fastai.vision.all import Callback

from specimg.audio import AudioError
from specimg.audio.variants import AddNoise, Roll, TimeStretch, Variant
from specimg.competitions import BestLabels, ClassColumns, Competition, Decisions, LabelSets
from specimg.core import values
from specimg.core.values import Value, register
from specimg.data import SpecDataLoaders
from specimg.data.augment import Augment
from specimg.data.tta import TTA
from specimg.experiments import (
    FoldRun,
    Run,
    RunConfig,
    config as config_module,
    cross_validate,
    cross_validation as cross,
    drawing as clips_room,
    fold_training as training,
    fold_work,
    open_competition,
    run as run_room,
    storage as record,
)
from specimg.experiments.held_out import add_pseudo_labels, assign_folds, split_fold, warn_related
from specimg.experiments.run import CompetitionPredictions, _sure
from specimg.experiments.task import Score, Task, fill_rows, save_submission, score_predictions
from specimg.inference import load_classifier
from specimg.labels import Balance
from specimg.labels.tables import KEY, clip_spans
from specimg.metrics import get_metric
from specimg.render.renderer import Renderer
from specimg.render.tree import render_tree
from specimg.spectrogram import Mel
from specimg.training import Predictions, Recipe
from specimg.training.learner import spec_learner
from specimg.training.losses import ClipWeights, GeneralizedCrossEntropy, SoftAUC

torch.set_num_threads(1)

# half of the test set cannot be read: every run says so, and one test looks at what it says
pytestmark = pytest.mark.filterwarnings(
    r"ignore:\d of 6 (test clips could not be drawn|rows are given the class prior)"
)

SR = 8000
HZ = {"high": 3000, "low": 300, "mid": 1000}
LOOK = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64))
RECIPE = Recipe(epochs=2, freeze_epochs=0, lr=0.01)
TEST_FILES = ["t1.wav", "t2.wav", "empty.wav", "noise.wav", "gone.wav", "t3.wav"]  # the third to fifth cannot be heard


# ---------------------------------------------------------------------- a competition of 18 + 6 tiny clips


def write_sounds(folder: Path) -> None:
    """Three pitches, six clips each, and a test set of which half cannot be read."""
    for below in ("train", "test"):
        (folder / below).mkdir(parents=True, exist_ok=True)

    def write(name, label, seconds):
        tone = 0.3 * np.sin(2 * np.pi * HZ[label] * np.arange(int(SR * seconds)) / SR)
        sf.write(folder / name, tone + 0.01 * np.random.default_rng(len(name)).standard_normal(len(tone)), SR)

    for i in range(18):
        write(f"train/{i:02}.wav", sorted(HZ)[i % 3], 0.3 + 0.05 * (i % 4))
    for name, label in zip(["t1.wav", "t2.wav", "t3.wav"], ["low", "mid", "high"]):
        write(f"test/{name}", label, 0.4)
    (folder / "test/empty.wav").touch()
    (folder / "test/noise.wav").write_bytes(b"no sound at all")


def train_table(**columns) -> pd.DataFrame:
    """Groups of two clips each; the last three clips do not count for the score."""
    rows = pd.DataFrame(
        {"path": [f"train/{i:02}.wav" for i in range(18)], "label": [sorted(HZ)[i % 3] for i in range(18)]}
    )
    rows["group"] = [f"speaker {i % 3}{i // 6}" for i in range(18)]
    rows["scored"] = [i < 15 for i in range(18)]
    return rows.assign(**columns)


def test_table(**columns) -> pd.DataFrame:
    return pd.DataFrame({"id": TEST_FILES, "path": [f"test/{name}" for name in TEST_FILES]}).assign(**columns)


test_table.__test__ = False


def competition(folder: Path, train=None, **changes) -> Competition:
    facts = {"metric": "map@3", "format": BestLabels(k=2), "test": test_table(), **changes}
    return Competition("three-pitches", folder, train_table() if train is None else train, **facts)


def go(comp: Competition, out: Path, *, cache=None, log=None, loaders=None, **changes) -> Run:
    """cross_validate with what all tests have in common; the log goes to the list `log`."""
    cache = cache or comp.folder.parent / "cache"
    options = {
        "renderer": LOOK,
        "arch": "test_resnet",
        "recipe": RECIPE,
        "folds": 2,
        "learner": {"pretrained": False},
        **changes,
    }
    options["loaders"] = {
        "bs": 4,
        "size": 32,
        "cache": str(cache),
        "n_jobs": 1,
        "progress": False,
        "num_workers": 0,
        **(loaders or {}),
    }
    return cross_validate(comp, out=out, log=(log if log is not None else []).append, **options)


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """A folder with blanks and letters beyond ASCII in its name."""
    folder = tmp_path_factory.mktemp("rüns of sounds")
    write_sounds(folder / "töne")
    return folder


@pytest.fixture(scope="session")
def comp(home) -> Competition:
    return competition(home / "töne")


@pytest.fixture(scope="session")
def first(comp, home):
    """(the run, its log, its warnings): two folds, never stopped."""
    log = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = go(comp, home / "first", log=log)
    return run, log, said


@pytest.fixture(scope="session")
def run(first) -> Run:
    return first[0]


class Trained(list):
    """What networks were given, instead of being trained: (fold_run, table, training clips, held-out clips, callbacks)."""

    def paths(self, member_index: int) -> tuple[set, set]:
        return set(self[member_index]["train"]["path"]), set(self[member_index]["valid"]["path"])


@pytest.fixture
def untrained(monkeypatch) -> Trained:
    """Networks stay as they were drawn; what they would have learnt from is kept."""
    seen = Trained()
    make, real_fit = training._make_learner, training.fit

    def make_learner(fold_run, table, setup, log):
        learn = make(fold_run, table, setup, log)
        seen.append(
            {
                "fold_run": fold_run,
                "table": table,
                "train": learn.dls.train.clips,
                "valid": learn.dls.valid.clips,
                "dls": learn.dls,
                "weights": [cb for cb in learn.cbs if isinstance(cb, ClipWeights)],
                "learn": learn,
            }
        )
        return learn

    def fit(learn, recipe, out, predictions, track):
        history = pd.DataFrame(
            {"phase": ["unfrozen"], "epoch": 1, "lr": 0.1, "train_loss": 1.0, "valid_loss": 1.0, "seconds": 0.0}
        )
        out.mkdir(parents=True, exist_ok=True)
        history.to_csv(out / "history.csv", index=False)
        return history

    assert real_fit is training.fit
    monkeypatch.setattr(training, "_make_learner", make_learner)
    monkeypatch.setattr(training, "fit", fit)
    return seen


def frozen_in_time(folder: Path) -> dict:
    """Name -> time of the last change, of all below a folder."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def same_answers(one: Run, other: Run) -> bool:
    return (
        one.oof["path"].tolist() == other.oof["path"].tolist()
        and np.array_equal(one.predictions.probs, other.predictions.probs)
        and np.array_equal(one.test_probs, other.test_probs)
    )


# ---------------------------------------------------------------------- the whole road


def test_every_clip_is_held_out_once_by_a_network_that_never_saw_it(run, comp):
    oof = run.oof
    assert sorted(oof["path"]) == sorted(comp.train["path"])
    assert set(oof["fold"]) == {0, 1} and oof.groupby("group")["fold"].nunique().max() == 1
    for fold_run in run.fold_runs:
        held_out = set(fold_run.oof().table["path"])
        about = json.loads((fold_run.folder / "fit/training.json").read_text())
        assert held_out == set(run.folds["path"][run.folds["fold"] == fold_run.fold])
        assert about["network"]["training_items"] == 18 - len(held_out)
    assert oof.set_index("path").loc[comp.train["path"], "label"].tolist() == comp.train["label"].tolist()


def test_score_is_the_metric_of_the_table_by_hand(run):
    oof = run.oof[run.oof["scored"].astype(bool)]
    probs = oof[[f"p_{label}" for label in run.task.vocab]].to_numpy()
    places = [
        list(np.argsort(-row, kind="stable")).index(run.task.vocab.index(label))
        for row, label in zip(probs, oof["label"])
    ]
    assert run.score == pytest.approx(np.mean([1 / (1 + place) for place in places]))
    assert run.score.metric == "map@3" and run.score.n == len(oof) == 15
    assert run.score.low <= run.score <= run.score.high and run.score.low < run.score.high
    assert str(run.score) == f"map@3 {float(run.score):.4f} ({run.score.low:.4f} to {run.score.high:.4f}, 15 clips)"
    table = run.scores
    assert table[["seed", "fold", "epochs"]].values.tolist() == [[0, 0, 2], [0, 1, 2]] and table["clips"].sum() == 15
    assert (table["score"] * table["clips"]).sum() / 15 == pytest.approx(float(run.score))
    assert (table["low"] <= table["score"]).all() and (table["score"] <= table["high"]).all()
    assert len(run.history) == 4 and set(run.history["fold"]) == {0, 1}


def test_answers_are_those_of_the_saved_classifiers_on_the_recordings(run, comp):
    """Drawn again from the sounds, so that no table can have slipped."""
    names = [f"p_{label}" for label in run.task.vocab]
    by_path = run.oof.set_index("path")[names]
    on_test = []
    for fold_run in run.fold_runs:
        clf = load_classifier(fold_run.folder / "classifier")
        paths = fold_run.oof().table["path"].tolist()
        fresh = clf.predict([comp.folder / path for path in paths])
        assert fresh[names].to_numpy() == pytest.approx(by_path.loc[paths].to_numpy(), abs=1e-5)
        on_test.append(clf.predict([comp.folder / path for path in run.test_clips["path"]])[names].to_numpy())
    assert run.test_clips["path"].tolist() == ["test/t1.wav", "test/t2.wav", "test/t3.wav"]
    assert run.test_probs == pytest.approx(np.mean(on_test, axis=0), abs=1e-5)


def test_rows_that_cannot_be_heard_get_the_class_prior_and_are_counted(run, comp, tmp_path):
    told = r"^3 of 6 rows are given the class prior \(test/empty.wav, test/noise.wav, test/gone.wav\)$"
    with pytest.warns(UserWarning, match=told) as said:
        table = run.submission(tmp_path / "new folder/sub.csv")
    assert said[0].filename == __file__
    assert table["fname"].tolist() == TEST_FILES
    scored = comp.train[comp.train["scored"]]
    common = scored["label"].value_counts().reindex(run.task.vocab) / 15
    assert run.prior == pytest.approx(common.to_numpy())
    by_prior = " ".join(np.array(run.task.vocab)[np.argsort(-run.prior, kind="stable")][:2])
    assert table["label"].tolist()[2:5] == [by_prior] * 3
    best = [" ".join(np.array(run.task.vocab)[np.argsort(-row, kind="stable")][:2]) for row in run.test_probs]
    assert [table["label"][i] for i in (0, 1, 5)] == best
    written = pd.read_csv(tmp_path / "new folder/sub.csv")
    assert written.equals(table) or written.astype(object).equals(table.astype(object))
    assert comp.check(tmp_path / "new folder/sub.csv").startswith("6 rows")


def test_the_log_and_the_warnings_tell_what_happens(first):
    run, log, said = first
    told = [str(w.message) for w in said if w.category is UserWarning and "same content" not in str(w.message)]
    assert [w.filename for w in said if "test clip" in str(w.message)] == [__file__]
    assert len(told) == 1
    assert told[0].startswith("3 of 6 test clips could not be drawn and are given the class prior (test/empty.wav: ")
    assert re.search("; test/noise.wav: .*; test/gone.wav: ", told[0])
    assert log[0].endswith("2 networks to train, of 2 folds and 1 seed; 0 finished already")
    assert any(re.fullmatch(r"fold 0, seed 0: \d+ clips to train on, \d+ held out", line) for line in log)
    assert any(line.split()[:2] == ["unfrozen", "1/2"] for line in log), "the table of epochs goes to the log"
    assert log[-1].startswith("Run(test_resnet on three-pitches, mel32: map@3 0.")


def test_every_choice_is_recorded(run, comp):
    config = RunConfig.from_toml(run.folder / "run.toml")
    assert config == run.config and config.recipe == RECIPE and config.renderer == LOOK and config.loaders["bs"] == 4
    assert config.competition == {"slug": "three-pitches", "folder": str(comp.folder), "options": {}}
    about = json.loads((run.folder / "run.json").read_text())
    assert about["data"] == comp.digest and about["seeds"] == [0] and about["size"] == [32, 32]
    assert torch.__version__.startswith(about["versions"]["torch"])
    assert {"specimg", "python", "fastai", "timm", "numpy"} <= set(about["versions"])
    assert not list(run.folder.rglob("*.pth")), "the classifier holds the weights"
    assert run.n_planned == 2 and [str(m) for m in run.fold_runs] == ["fold 0, seed 0", "fold 1, seed 0"]


def test_a_finished_run_called_again_trains_nothing_and_opens_no_audio(run, comp, home, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("nothing may be done")

    for name in ("draw_clips", "work_on_folds", "check_weights", "begin_run"):
        monkeypatch.setattr(cross, name, never)
    before, log = frozen_in_time(run.folder), []
    again = go(comp, run.folder, log=log)
    assert frozen_in_time(run.folder) == before
    assert same_answers(again, run) and "2 finished already" in log[0]
    assert log[1].startswith("fold 0, seed 0: finished already, map@3 0.")


def test_data_and_cache_may_move(run, home, tmp_path):
    shutil.copytree(home / "töne", tmp_path / "elsewhere")
    moved = competition(tmp_path / "elsewhere")
    again = go(moved, run.folder, cache=tmp_path / "other cache", loaders={"val_bs": 2, "progress": True})
    assert again.score == run.score


# ---------------------------------------------------------------------- copied, mounted, unfinished


@pytest.fixture
def copied(run, comp, tmp_path):
    """The run copied elsewhere, while its recordings and pictures are gone."""
    shutil.copytree(run.folder, tmp_path / "mounted here")
    away = [(path, path.with_name(path.name + " away")) for path in (comp.folder, comp.folder.parent / "cache")]
    for here, there in away:
        here.rename(there)
    before = frozen_in_time(tmp_path / "mounted here")
    yield Run.open(tmp_path / "mounted here")
    for here, there in away:
        there.rename(here)
    assert frozen_in_time(tmp_path / "mounted here") == before, "a run that is only read is not written to"


def test_a_copy_needs_neither_recordings_nor_pictures(copied, run, tmp_path):
    assert copied.score == run.score and copied.oof.equals(run.oof) and copied.scores.equals(run.scores)
    with pytest.warns(UserWarning, match="3 of 6 rows"):
        copied.submission(tmp_path / "sub.csv")
    assert (tmp_path / "sub.csv").read_text().startswith("fname,label\nt1.wav,")


def test_a_run_answers_a_new_test_set(run, home, tmp_path):
    there = tmp_path / "hidden"
    shutil.copytree(home / "töne", there)
    shutil.copy(there / "test/t1.wav", there / "test/new one.wav")
    rows = pd.DataFrame(
        {"id": ["new one.wav", "t3.wav", "lost.wav"], "path": ["test/new one.wav", "test/t3.wav", "test/lost.wav"]}
    )
    hidden = competition(there, test=rows)
    before = frozen_in_time(run.folder)
    with pytest.warns(UserWarning, match="^1 of 3 test clips could not be drawn and are given the class prior") as said:
        asked = run.predict_test(hidden, cache=tmp_path / "cache", n_jobs=1, progress=False)
    assert said[0].filename == __file__
    assert frozen_in_time(run.folder) == before
    assert asked.test_probs == pytest.approx(run.test_probs[[0, 2]], abs=1e-6)
    with pytest.warns(UserWarning, match="^1 of 3 rows"):
        assert asked.submission(tmp_path / "sub.csv")["fname"].tolist() == rows["id"].tolist()
    assert asked.score == run.score and len(run.task.rows) == 6, "the run itself is as it was"


def test_a_run_answers_no_other_competition(run, home):
    other = competition(home / "töne", train_table(label=["a" if i % 2 else "b" for i in range(18)]))
    with pytest.raises(ValueError, match=r"is of another competition: the labels differ \(a, b, high, \.\.\.\)"):
        run.predict_test(other)
    with pytest.raises(ValueError, match="has no test set; run.submission"):
        run.predict_test(competition(home / "töne", test=None))


def test_an_unfinished_run_says_so(untrained, comp, home, tmp_path):
    half = go(comp, tmp_path / "half", only=[1])
    assert [m.fold for m in half.fold_runs] == [1] and len(half.oof) == (half.folds["fold"] == 1).sum()
    assert "1 of 2 networks finished" in repr(half) and half.scores["fold"].tolist() == [1]
    half = Run.open(tmp_path / "half")
    with pytest.warns(UserWarning, match="predicted by 1 of 2 networks: the run is not finished") as said:
        half.submission(tmp_path / "sub.csv")
    assert said[0].filename == __file__
    with pytest.raises(ValueError, match=r"only=\[0, 7\]: there is no fold 7; the folds are 0, 1"):
        go(comp, tmp_path / "half", only=[0, 7])
    whole = go(comp, tmp_path / "half")
    assert [row["fold_run"].fold for row in untrained] == [1, 0] and len(whole.oof) == 18
    assert whole.oof["fold"].is_monotonic_increasing


def test_the_test_set_may_be_asked_later(untrained, comp, tmp_path):
    quiet = go(comp, tmp_path / "later", test=False)
    assert len(quiet.fold_runs) == 2
    with pytest.raises(
        ValueError,
        match="has not been predicted by fold 0, seed 0; cross_validate with the same arguments and test=True",
    ):
        quiet.submission(tmp_path / "sub.csv")
    told = go(comp, tmp_path / "later")
    assert len(untrained) == 2 and told.test_probs.shape == (3, 3)


def test_a_recording_that_was_corrected_is_heard_by_all(untrained, home, tmp_path):
    folder = tmp_path / "töne"
    shutil.copytree(home / "töne", folder)
    comp = competition(folder)
    go(comp, tmp_path / "out", only=[0])
    shutil.copy(folder / "test/t1.wav", folder / "test/gone.wav")
    go(comp, tmp_path / "out", only=[1])
    with pytest.raises(ValueError, match="predicted different test clips; run.predict_test"):
        Run.open(tmp_path / "out").test_probs
    (tmp_path / "out/seed0-fold1/test.npz").unlink()
    both = go(comp, tmp_path / "out")
    assert both.test_clips["path"].tolist() == ["test/t1.wav", "test/t2.wav", "test/gone.wav", "test/t3.wav"]


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(ValueError, match=r"is not the folder of a run \(it has no run.toml\); cross_validate"):
        Run.open(tmp_path)
    with pytest.raises(ValueError, match="did you mean '.*first'?"):
        Run.open(run.folder.parent)
    broken = tmp_path / "broken"
    shutil.copytree(run.folder, broken)
    (broken / "competition.json").write_text("{not json")
    with pytest.raises(ValueError, match="broken' cannot be read: "):
        Run.open(broken)
    (broken / "competition.json").write_bytes((run.folder / "competition.json").read_bytes())
    for done in broken.glob("*/done.json"):
        done.unlink()
    with pytest.raises(
        ValueError, match="no fold of the run in .* has finished; cross_validate with the same arguments continues"
    ):
        Run.open(broken)
    assert repr(Run(broken)) == "Run(test_resnet on three-pitches, mel32, 0 of 2 networks finished)"
    with pytest.raises(ValueError, match="no fold of the run"):
        Run(broken).score


# ---------------------------------------------------------------------- stopped and gone on with

STOPS = ["beginning", "drawing", "first epoch", "epochs", "judged", "between", "answering"]


class Kill(Callback):
    """The kill that no process survives, in one of the first fold's or the second fold's batches."""

    run_valid = False

    def __init__(self, batch, how):
        self.left, self.how = batch, how

    def after_batch(self):
        self.left -= 1
        if self.left == 0:
            self.how()


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def before(room, name, stop, when=lambda *args: True):
    """Let a function of a room be stopped at its first call for which `when` holds."""
    usual = getattr(room, name)

    def stopped(*args, **kwargs):
        if when(*args):
            stop()
        return usual(*args, **kwargs)

    setattr(room, name, stopped)


def with_callback(fold: int, batch: int, how):
    """Let the network of a fold be stopped in a batch."""
    usual = training._make_learner

    def make(fold_run, *args):
        learn = usual(fold_run, *args)
        if fold_run.fold == fold:
            learn.add_cb(Kill(batch, how))
        return learn

    training._make_learner = make


def prepare_stop(where: str) -> None:
    """Change the rooms, in a process of its own, so that a run dies there."""
    if where == "beginning":
        before(record, "write_table", die)  # folds.csv is written last
    if where == "drawing":
        import specimg.render.tree

        before(specimg.render.tree, "write_atomic", die, lambda path, data: str(path).endswith("09.wav.png"))
    if where == "first epoch":
        with_callback(0, 1, die)
    if where == "epochs":
        with_callback(1, 4, die)  # two batches an epoch: in the second epoch
    if where == "judged":
        before(training, "write_atomic", die, lambda path, data: path.name == "done.json")
    if where == "between":
        before(fold_work, "train_fold", die, lambda fold_run, *args: fold_run.fold == 1)
    if where == "answering":
        before(training, "predict_pictures", die)


def stop_everywhere(home: str) -> None:
    """Run in a fresh process: let one child die at each of STOPS. A child that survives exits with 1."""
    home = Path(home)
    warnings.simplefilter("ignore")
    for where in STOPS:
        child = os.fork()
        if not child:
            prepare_stop(where)
            own = {"cache": home / "cache of drawing"} if where == "drawing" else {}
            go(competition(home / "töne"), home / "stopped" / where, **own)
            os._exit(1)
        status = os.waitpid(child, 0)[1]
        assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (where, status)


@pytest.fixture(scope="session")
def stopped(run, home) -> Path:
    """The folder of the runs that were killed."""
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import conftest, test_cross_validation; test_cross_validation.stop_everywhere(sys.argv[2])"
    call = [sys.executable, "-c", code, str(Path(__file__).parent), str(home)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return home / "stopped"


@pytest.mark.parametrize("where", STOPS)
def test_a_killed_run_goes_on_and_ends_in_the_same_answers(where, stopped, run, comp, home):
    finished = {"between": ["fold 0"], "epochs": ["fold 0"], "answering": ["fold 0"]}.get(where, [])
    own = {"cache": home / "cache of drawing"} if where == "drawing" else {}
    log = []
    again = go(comp, stopped / where, log=log, **own)
    assert [line.split(",")[0] for line in log if "finished already, map@3" in line] == finished
    told = [line for line in log if "resuming after epoch" in line]
    assert (where == "epochs") == bool(told) and all("after epoch 1 of 2" in line for line in told)
    assert same_answers(again, run) and again.score == run.score
    assert not list(again.folder.rglob("*.pth")) and not [p for p in again.folder.rglob(".partial-*")]


def test_ctrl_c_says_the_way_on(run, comp, tmp_path, monkeypatch):
    def press():
        raise KeyboardInterrupt

    usual, log = training._make_learner, []
    monkeypatch.setattr(training, "_make_learner", usual)  # so that it is put back
    with_callback(1, 3, press)
    with pytest.raises(KeyboardInterrupt):
        go(comp, tmp_path / "out", log=log)
    assert log[-1] == f"stopped; the same call, with out={str(tmp_path / 'out')!r}, continues"
    monkeypatch.setattr(training, "_make_learner", usual)
    assert same_answers(go(comp, tmp_path / "out"), run)


def test_checkpoints_that_a_kill_left_are_removed(run, comp, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(run.folder, out)
    (out / "seed0-fold0/fit/checkpoints").mkdir()
    (out / "seed0-fold0/fit/checkpoints/last.pth").write_bytes(b"1")
    go(comp, out)
    assert not list(out.rglob("*.pth"))


def test_processes_share_a_run(untrained, comp, tmp_path):
    pytest.importorskip("fcntl")
    busy, log = FoldRun(0, 0, tmp_path / "out/seed0-fold0"), []
    go(comp, tmp_path / "out", only=[])
    with record.claimed(busy) as mine, record.claimed(busy) as theirs:
        assert (bool(mine), bool(theirs)) == (True, False)
        part = go(comp, tmp_path / "out", log=log)
    told = f"fold 0, seed 0: another process is working on it (process {os.getpid()} on "
    assert any(line.startswith(told) for line in log) and [m.fold for m in part.fold_runs] == [1]
    assert [m.fold for m in go(comp, tmp_path / "out").fold_runs] == [0, 1]
    assert [row["fold_run"].fold for row in untrained] == [1, 0]


def test_a_disk_without_locks_is_no_hindrance(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")

    def refuse(file, how):
        raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with record.claimed(FoldRun(0, 0, tmp_path)) as mine:
        assert mine


def test_a_full_disk_costs_nothing_that_was_finished(run, comp, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    usual = Predictions.save
    monkeypatch.setattr(
        Predictions, "save", lambda self, path: full(path, b"") if "fold1" in str(path) else usual(self, path)
    )
    with pytest.raises(
        OSError,
        match="no space left while writing into '.*out': make room on its disk; finished folds and epochs are kept, and the same",
    ):
        go(comp, tmp_path / "out")
    monkeypatch.setattr(Predictions, "save", usual)
    log = []
    assert same_answers(go(comp, tmp_path / "out", log=log), run)
    assert sum("finished already, map@3" in line for line in log) == 1


# ---------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "change, message",
    [
        (
            dict(recipe=RECIPE.replace(epochs=3)),
            r"another configuration: recipe.epochs is 2 there and 3 here; choose a new folder",
        ),
        (
            dict(renderer=Renderer(Mel(n_mels=33, n_fft=256, hop_length=64))),
            r"configuration: renderer.representation.n_mels is 32 there and 33 here",
        ),
        (
            dict(loaders={"size": 48, "bs": 8}),
            r"another configuration: loaders.bs is 4 there and 8 here; loaders.size is 32 there and 48 here",
        ),
        (dict(folds=3), r"another configuration: folds is 2 there and 3 here"),
        (
            dict(tta=TTA(shifts=(-0.1, 0.1))),
            r"another configuration: tta.shifts is \[0.0\] there and \[-0.1, 0.1\] here",
        ),
        (
            dict(arch="resnet18", trust="loss"),
            r"arch is 'test_resnet' there and 'resnet18' here; trust is 'sampling' there and 'loss' here",
        ),
    ],
)
def test_a_folder_of_other_choices_is_refused_by_their_names(run, comp, change, message):
    before = frozen_in_time(run.folder)
    with pytest.raises(ValueError, match=message):
        go(comp, run.folder, **change)
    assert frozen_in_time(run.folder) == before


@pytest.mark.filterwarnings("ignore:1 label of the vocabulary without a clip in training")
def test_a_folder_of_other_data_is_refused(run, home):
    folder = home / "töne"
    labels = train_table()["label"].tolist()
    with pytest.raises(
        ValueError,
        match="holds a run of other data: three-pitches had other clips, labels, groups, folds or weights then",
    ):
        go(competition(folder, train_table(label=[labels[1], *labels[1:]])), run.folder)
    with pytest.raises(ValueError, match="another competition: the labels differ"):
        go(competition(folder, vocab=("high", "low", "mid", "new")), run.folder)
    with pytest.raises(ValueError, match="another competition: it is scored by accuracy, not by map@3"):
        go(competition(folder, metric="accuracy"), run.folder)
    slug = Competition("two-pitches", folder, train_table(), metric="map@3", format=BestLabels(k=2), test=test_table())
    with pytest.raises(ValueError, match="another competition: two-pitches is not three-pitches"):
        go(slug, run.folder)
    with pytest.raises(ValueError, match="holds a run with other test rows; Run.open.*predict_test"):
        go(competition(folder, test=test_table().iloc[:5]), run.folder)


def test_files_and_foreign_folders_are_refused(comp, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="file' is a file; choose a folder as out="):
        go(comp, tmp_path / "file")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/run.toml").write_text("kind = 'choices'")
    (tmp_path / "notes/thesis.txt").write_text("important")
    with pytest.raises(
        ValueError, match="notes' holds run.toml, thesis.txt, and no run; choose a new or an empty folder"
    ):
        go(comp, tmp_path / "notes")
    assert (tmp_path / "notes/run.toml").read_text() == "kind = 'choices'"


def test_pictures_of_another_size_are_refused(untrained, home, tmp_path):
    """Without size= the recordings decide; here they were cut after the first fold."""
    folder = tmp_path / "töne"
    shutil.copytree(home / "töne", folder)
    comp = competition(folder)
    go(comp, tmp_path / "out", only=[0], loaders={"size": None})
    assert json.loads((tmp_path / "out/run.json").read_text())["size"][0] == 32
    for file in (folder / "train").iterdir():
        y, sr = sf.read(file)
        sf.write(file, np.tile(y, 3), sr)
    with pytest.raises(
        ValueError, match=r"holds a run of another picture size: 32 x \d+ pixels there and 32 x \d+ pixels here"
    ):
        go(comp, tmp_path / "out", loaders={"size": None})


def test_all_folds_see_pictures_of_one_size(home, tmp_path):
    """The clips of a fold have one length, and folds 0 and 3 share a group, so that neither trains beside the other."""
    rows = train_table(fold=[i % 4 for i in range(18)], group=["xyzx"[i % 4] for i in range(18)])
    tree = render_tree(rows["path"], LOOK, home / "cache", root=home / "töne", n_jobs=1, progress=False)
    task = Task.of(competition(home / "töne", rows))
    fold_runs = [FoldRun(0, fold, tmp_path / str(fold)) for fold in range(4)]
    for method, own in (("squish", "size"), ("pad", "seconds")):
        setup = training.FoldSetup.open(
            task, RunConfig(loaders={"bs": 4, "num_workers": 0, "method": method}), tree, rows
        )
        assert getattr(setup, own) is not None
        loaders = [setup.loaders(rows, fold_run) for fold_run in fold_runs]
        assert len({dls.size for dls in loaders}) == 1
        assert len({dls.valid.after_item.fs[0].seconds for dls in loaders}) == 1


def test_mistakes_are_said_before_anything_is_written(comp, home, tmp_path):
    out = tmp_path / "out"
    weighted = competition(home / "töne", train_table(weight=1.0))
    for call, message in [
        (dict(arch="resnet43"), "unknown arch 'resnet43'"),
        (dict(learner={"pretrained": True, "weights": "nowhere.safetensors"}), "nowhere.safetensors"),
        (dict(learner={"pretraind": False}), "unknown option in learner= 'pretraind'; did you mean 'pretrained'"),
        (dict(loaders={"batchsize": 4}), "unknown option in loaders= 'batchsize'"),
        (dict(trust="loose"), "unknown trust 'loose'; did you mean 'loss'"),
        (dict(folds=1), "folds=1: it must be 2 or more, or None"),
        (dict(seeds=0), "seeds=0: it must be 1 to 1000"),
        (dict(only=[5]), r"only=\[5\]: there is no fold 5"),
        (dict(folds=10), "9 groups cannot fill 10 folds"),
        (dict(tta=TTA(windows=3)), "windows=3 goes with method='crop'; 'squish' reads a clip once"),
        (dict(loaders={"method": "crop"}), "method='crop' needs seconds=, the length of its window"),
    ]:
        with pytest.raises(ValueError, match=message):
            go(comp, out, **call)
    with pytest.raises(ValueError, match="trust='loss' and Recipe.mixup=0.4.: MixUp blends clips"):
        go(weighted, out, trust="loss", recipe=RECIPE.replace(mixup=0.4))
    assert not out.exists()


# ---------------------------------------------------------------------- who is held out when


def apart(row) -> bool:
    """Do no recording and no group stand on both sides of what a network was given?"""
    table = row["table"].set_index("path")
    train, valid = set(row["train"]["path"]), set(row["valid"]["path"])
    groups = [set(table.loc[sorted(side), "group"].dropna()) for side in (train, valid)]
    return not train & valid and not groups[0] & groups[1]


def test_what_always_trains_does_not_train_beside_its_own_group(untrained, home, tmp_path):
    """Clips 0 to 3 always train; 0 and 1 share their group with clips that are held out."""
    groups = [f"g{i % 3}{i // 6}" for i in range(18)]
    train = train_table(group=groups, fold=[-1.0] * 4 + [np.nan] * 14)
    comp = competition(home / "töne", train)
    told = r"^fold \d: \d clips? of other folds belong to recordings or groups that are held out, and do not train in it \(train/0"
    with pytest.warns(UserWarning, match=told):
        run = go(comp, tmp_path / "out")
    assert len(untrained) == 2 and all(apart(row) for row in untrained)
    assert sorted(run.oof["path"]) == sorted(train["path"][4:]), "and is never held out"
    for row in untrained:
        held_out = set(row["table"].set_index("path").loc[row["valid"]["path"], "group"])
        free = [path for path, group in zip(train["path"][:4], groups) if group not in held_out]
        assert set(free) <= set(row["train"]["path"]) and len(row["train"]) == 18 - len(row["valid"]) - (4 - len(free))


def test_windows_of_a_recording_stay_together(untrained, home, tmp_path):
    parts = pd.concat(
        [train_table(start=0.0, end=0.1 + 0.2), train_table(start=0.15, end=0.3)], ignore_index=True
    ).drop(columns="group")
    rows = pd.DataFrame({"id": ["a", "b"], "path": "test/t1.wav", "start": [0.0, 0.1], "end": [0.1 + 0.2, 0.35]})
    run = go(competition(home / "töne", parts, test=rows), tmp_path / "out")
    assert sorted(clip_spans(run.oof)) == sorted(clip_spans(parts)) and len(run.oof) == 36
    assert run.oof.groupby("path")["fold"].nunique().max() == 1
    for row in untrained:
        assert not set(row["train"]["path"]) & set(row["valid"]["path"])
    again = Run.open(tmp_path / "out")
    assert clip_spans(again.folds) == clip_spans(parts) and clip_spans(again.task.rows) == clip_spans(rows), (
        "to the last bit"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert again.submission(tmp_path / "sub.csv")["fname"].tolist() == ["a", "b"]


def test_a_multi_label_run(untrained, home, tmp_path):
    labels = [[label] if i % 4 else [label, "loud"] for i, label in enumerate(train_table()["label"])]
    labels[5] = []
    comp = competition(home / "töne", train_table(label=labels), metric="lwlrap", format=ClassColumns())
    run = go(comp, tmp_path / "out")
    assert run.task.vocab == ("high", "loud", "low", "mid") and run.predictions.is_multi
    hot, probs = run.predictions.hot, run.predictions.probs
    counts = run.oof["scored"].to_numpy(bool)
    assert run.score == pytest.approx(get_metric("lwlrap").function(hot[counts].astype(int), probs[counts]))
    by_path = dict(zip(comp.train["path"], comp.train["label"]))
    assert [sorted(several) for several in run.oof["label"]] == [sorted(by_path[path]) for path in run.oof["path"]]
    with pytest.warns(UserWarning, match="3 of 6 rows"):
        table = run.submission(tmp_path / "sub.csv")
    assert list(table) == ["fname", "high", "loud", "low", "mid"]
    assert table.iloc[2, 1:].to_numpy(float) == pytest.approx(hot[counts].mean(axis=0))
    written = pd.read_csv(tmp_path / "sub.csv").iloc[[0, 1, 5], 1:].to_numpy(float)
    assert written == pytest.approx(run.test_probs, rel=1e-6)


def test_given_folds_are_used_or_dealt_anew_with_a_warning(home):
    given = train_table(fold=[i // 6 + 1 for i in range(18)])  # groups stay together
    comp = competition(home / "töne", given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert assign_folds(comp)["fold"].tolist() == assign_folds(comp, 3)["fold"].tolist() == given["fold"].tolist()
    told = "three-pitches gives 3 folds and 2 are assigned instead: the score cannot be compared with published ones"
    with pytest.warns(UserWarning, match=told) as said:
        dealt = assign_folds(comp, 2)
    assert said[0].filename == __file__ and sorted(set(dealt["fold"])) == [0, 1]
    assert dealt.groupby("group")["fold"].nunique().max() == 1
    free = competition(home / "töne")
    with pytest.warns(UserWarning, match="3 labels in fewer groups than the 5 folds"):
        assert sorted(set(assign_folds(free)["fold"])) == [0, 1, 2, 3, 4]
    assert assign_folds(free, 3, seed=1)["fold"].tolist() != assign_folds(free, 3, seed=2)["fold"].tolist()


def test_folds_that_cannot_be_are_said(home, comp, tmp_path):
    with pytest.warns(
        UserWarning, match=r"4 labels in fewer groups than the 4 folds, .* \(high 3, low 3, mid 3, rare 1\)"
    ):
        assign_folds(competition(home / "töne", train_table(label=["rare", *train_table()["label"][1:]])), 4)
    one_speaker = train_table(group=["me"] * 18, fold=[i % 2 for i in range(18)])
    with pytest.raises(
        ValueError,
        match="fold 0 leaves no clip to train on: all others belong to recordings or groups that are held out",
    ):
        assign_folds(competition(home / "töne", one_speaker))
    broken = train_table(
        path=["test/empty.wav", "test/noise.wav", *train_table()["path"][2:]], fold=[1, 1] + [2, 3] * 8
    )
    broken["group"] = [f"g{i}" for i in range(18)]
    with pytest.warns(
        UserWarning, match=r"^2 of 18 training clips could not be drawn and are left out \(test/empty.wav: "
    ) as said:
        with pytest.raises(
            ValueError, match=r"fold 1 without a clip that could be drawn \(test/empty.wav: .*; test/noise.wav: .*\)"
        ):
            go(competition(home / "töne", broken), tmp_path / "out", folds=None)
    assert said[0].filename == __file__


def test_bad_training_files_are_left_out_and_counted(untrained, home, tmp_path):
    train = train_table(path=["test/noise.wav", *train_table()["path"][1:]])
    with pytest.warns(
        UserWarning, match=r"^1 of 18 training clips could not be drawn and are left out \(test/noise.wav: "
    ):
        run = go(competition(home / "töne", train, test=None, format=BestLabels()), tmp_path / "out")
    assert len(run.oof) == 17 and "test/noise.wav" not in set(run.oof["path"])
    with pytest.warns(UserWarning, match=r"^1 of 18 rows are given the class prior \(test/noise.wav\)"):
        run.submission(tmp_path / "sub.csv")


def test_sides_by_hand():
    table = pd.DataFrame(
        {"path": list("aabcde"), "group": ["x", "x", "x", "y", None, "y"], "fold": [0, 1, -1, 1, 0, -1]}
    )
    train, held_out = split_fold(table, 0)
    assert held_out.tolist() == [True, False, False, False, True, False]
    assert train.tolist() == [
        False,
        False,
        False,
        True,
        False,
        True,
    ]  # the second is of a's recording, the third of its group
    with pytest.warns(UserWarning, match=r"^fold 0: 2 clips of other folds .* \(a, b\)$") as said:
        warn_related(table, 0)
    assert said[0].filename == __file__
    train, held_out = split_fold(table.drop(columns="group"), 1)
    assert train.tolist() == [False, False, True, False, True, True] and held_out.tolist() == [
        False,
        True,
        False,
        True,
        False,
        False,
    ]


def test_a_class_that_nobody_heard_does_no_harm(untrained, home, tmp_path):
    with pytest.warns(UserWarning, match="1 label of the vocabulary without a clip in training"):
        comp = competition(home / "töne", vocab=("unheard", "mid", "low", "high"), format=ClassColumns())
    run = go(comp, tmp_path / "out")
    assert run.prior[0] == 0 and run.test_probs.shape == (3, 4) and 0 < run.score <= 1
    with pytest.warns(UserWarning, match="3 of 6 rows"):
        assert list(run.submission(tmp_path / "sub.csv")) == ["fname", "unheard", "mid", "low", "high"]


def test_a_fold_without_a_clip_that_counts(untrained, home, tmp_path):
    train = train_table(fold=[i // 6 for i in range(18)], scored=[i >= 6 for i in range(18)])
    log = []
    run = go(competition(home / "töne", train), tmp_path / "out", folds=None, log=log)
    assert any("fold 0, seed 0: map@3 not defined (0 clips)" in line for line in log)
    assert np.isnan(run.scores["score"][0]) and run.scores["clips"].tolist() == [0, 6, 6] and run.score.n == 12
    again = []
    go(competition(home / "töne", train), tmp_path / "out", folds=None, log=again)
    assert again[1] == "fold 0, seed 0: finished already, map@3 not defined (0 clips)"


# ---------------------------------------------------------------------- seeds, tta, trust


def test_seeds_are_averaged_clip_by_clip(untrained, comp, tmp_path):
    run = go(comp, tmp_path / "out", seeds=2, recipe=RECIPE.replace(seed=5))
    assert [(m.seed, m.fold) for m in run.fold_runs] == [(5, 0), (5, 1), (6, 0), (6, 1)] and len(run.scores) == 4
    assert run.config.seed_list == [5, 6]
    parts = [{}, {}]
    for fold_run in run.fold_runs:
        parts[fold_run.seed - 5].update(zip(fold_run.oof().table["path"], fold_run.oof().probs))
    expected = [(parts[0][path] + parts[1][path]) / 2 for path in run.oof["path"]]
    assert run.predictions.probs == pytest.approx(np.array(expected), abs=1e-6) and len(run.oof) == 18
    assert not np.allclose(parts[0]["train/00.wav"], parts[1]["train/00.wav"])
    assert run.test_probs == pytest.approx(np.mean([m.test().probs for m in run.fold_runs], axis=0), abs=1e-6)
    (run.fold_runs[3].folder / "done.json").unlink()
    most = Run.open(tmp_path / "out")
    assert len(most.oof) == 18 and len(most.fold_runs) == 3
    fold_1 = [most.predictions.probs[i] for i, path in enumerate(most.oof["path"]) if most.oof["fold"][i] == 1]
    assert fold_1 == pytest.approx(
        np.array([parts[0][path] for path in most.oof["path"][most.oof["fold"] == 1]]), abs=1e-6
    )


def test_windows_of_tta_are_looked_at_in_validation_and_test(untrained, comp, tmp_path, monkeypatch):
    seen = []
    usual = clips_room.clips_per_batch

    def clips_per_batch(bs, fit):
        seen.append((fit.tta, usual(bs, fit)))
        return usual(bs, fit)

    monkeypatch.setattr(clips_room, "clips_per_batch", clips_per_batch)
    monkeypatch.setattr(training, "clips_per_batch", clips_per_batch)
    many = TTA(shifts=tuple(i / 100 for i in range(50)), lengths=(1.0, 0.9))
    plain = go(comp, tmp_path / "plain", only=[0])
    run = go(comp, tmp_path / "out", tta=many, only=[0], loaders={"val_bs": 16})
    assert [tta for tta, _ in seen] == [TTA(), TTA(), many, many] and seen[2][1] == seen[3][1] == 2, (
        "200 pictures at once, not 1600"
    )
    one, other = run.predictions.probs, plain.predictions.probs
    assert one.shape == other.shape and not np.allclose(one, other) and np.allclose(one, other, atol=0.5)


def weights_by_path(row) -> dict:
    return {path: float(weight) for path, weight in zip(row["train"]["path"], row["dls"].train.weights)}


def test_trust_decides_what_weights_do(untrained, home, tmp_path):
    given = np.array([1.0 if i % 2 else 0.25 for i in range(18)])
    by_path = dict(zip(train_table()["path"], given))
    comp = competition(home / "töne", train_table(weight=given))
    go(comp, tmp_path / "sampling", only=[0])
    go(comp, tmp_path / "loss", only=[0], trust="loss")
    go(comp, tmp_path / "ignore", only=[0], trust="ignore")
    sampling, loss, ignore = untrained
    assert (
        weights_by_path(sampling) == {path: by_path[path] for path in sampling["train"]["path"]}
        and not sampling["weights"]
    )
    assert loss["dls"].train.weights is None and ignore["dls"].train.weights is None and not ignore["weights"]
    expected = np.array([by_path[path] for path in loss["train"]["path"]])
    assert loss["weights"][0].weights == pytest.approx(expected / expected.mean())
    equal = go(competition(home / "töne", train_table(weight=0.5)), tmp_path / "equal", only=[0])
    assert untrained[3]["dls"].train.weights is None, "equal weights leave each clip once in an epoch"
    assert equal.oof["weight"].tolist() == [0.5] * len(equal.oof)


def test_doubtful_clips_are_drawn_less_often_and_weigh_less(home, tmp_path):
    """With real batches: those of a doubtful clip are counted, and its loss is seen."""
    given = np.array([1.0 if i % 2 else 0.0 for i in range(18)])
    comp = competition(home / "töne", train_table(weight=given))
    for trust in ("sampling", "loss"):
        run = go(
            comp,
            tmp_path / trust,
            only=[0],
            trust=trust,
            recipe=Recipe(epochs=1, freeze_epochs=0, lr=0.01, loss=GeneralizedCrossEntropy(q=0.5)),
        )
        assert len(run.history) == 1 and run.history["train_loss"].notna().all()
    tree = render_tree(train_table()["path"], LOOK, home / "cache", root=home / "töne", n_jobs=1, progress=False)
    rows = assign_folds(comp, 2)
    config = RunConfig(folds=2, loaders={"bs": 4, "size": 32, "num_workers": 0})
    setup = training.FoldSetup.open(Task.of(comp), config, tree, rows)
    dls = setup.loaders(rows, FoldRun(0, 0, tmp_path / "m"))
    drawn = [dls.train.clips["path"][index] for _ in range(3) for x, y in dls.train for index, _ in x.clips]
    assert drawn and all(int(path[6:8]) % 2 for path in drawn), "a clip of weight 0 is never drawn"


# ---------------------------------------------------------------------- scores that are not


def predictions_of(probs, targets, vocab=("a", "b"), is_multi=False, **columns) -> Predictions:
    table = pd.DataFrame(
        {"path": [f"{i}.wav" for i in range(len(probs))], "target": pd.Series(list(targets), dtype=object)}
    )
    return Predictions(table.assign(**columns), np.array(probs, float), vocab, is_multi=is_multi)


def test_scores_where_there_is_nothing_to_score():
    none = score_predictions(predictions_of([[0.9, 0.1]], [None]), "accuracy")
    assert np.isnan(none) and none.n == 0 and str(none) == "accuracy not defined (0 clips)"
    one = score_predictions(predictions_of([[0.9, 0.1], [0.4, 0.6]], ["a", "a"], scored=[False, True]), "accuracy")
    assert one == 0 and np.isnan(one.low) and str(one) == "accuracy 0.0000 (1 clip)"
    with pytest.warns(
        UserWarning,
        match="macro_auc is not defined on 2 clips: none of the 2 classes has both clips with its label and",
    ):
        flat = score_predictions(predictions_of([[0.9, 0.1], [0.4, 0.6]], [["a"], ["a"]], is_multi=True), "macro_auc")
    assert np.isnan(flat) and flat.n == 2
    with pytest.raises(ValueError, match=r"the network gives nan for 1 clip \(1.wav\): its training diverged"):
        score_predictions(predictions_of([[0.9, 0.1], [np.nan, np.nan]], ["a", None]), "accuracy")


def test_a_warning_is_about_the_line_of_the_user_however_deep_it_is_said():
    """Here it is said three calls down, behind a cached property."""
    rows = pd.DataFrame({"id": ["0"], "path": ["0.wav"]})
    flat = predicted(
        predictions_of([[0.9, 0.1], [0.4, 0.6]], [["a"], ["a"]], is_multi=True), task_of(rows, metric="macro_auc")
    )
    with pytest.warns(UserWarning, match="macro_auc is not defined on 2 clips") as said:
        assert np.isnan(flat.score)
    assert [w.filename for w in said] == [__file__]


def test_intervals_are_over_groups_else_recordings():
    """Ten clips that agree within their group of five: the interval over groups is the wider."""
    probs, targets = [[0.9, 0.1]] * 20 + [[0.1, 0.9]] * 20, ["a"] * 40
    by_clip = score_predictions(predictions_of(probs, targets), "accuracy")
    by_group = score_predictions(predictions_of(probs, targets, group=[f"g{i // 5}" for i in range(40)]), "accuracy")
    by_file = score_predictions(predictions_of(probs, targets, path=[f"f{i // 5}" for i in range(40)]), "accuracy")
    assert by_clip == by_group == by_file == 0.5
    assert by_group.high - by_group.low > 1.5 * (by_clip.high - by_clip.low)
    assert (by_file.low, by_file.high) == (by_group.low, by_group.high)


def test_a_score_travels():
    score = Score(0.5, "accuracy", 0.25, 0.75, 4)
    through_json = Score.from_dict(json.loads(json.dumps(score.to_dict())), "accuracy")
    for twin in (copy.copy(score), copy.deepcopy(score), pickle.loads(pickle.dumps(score)), through_json):
        assert (twin, twin.metric, twin.low, twin.high, twin.n) == (0.5, "accuracy", 0.25, 0.75, 4)
    assert score + 1 == 1.5 and f"{score:.2f}" == "0.50"
    none = Score.from_dict(Score(np.nan, "accuracy").to_dict(), "accuracy")
    assert np.isnan(none) and np.isnan(none.low) and none.n == 0


def test_the_score_is_kept_until_a_network_changes(run, tmp_path, monkeypatch):
    shutil.copytree(run.folder, tmp_path / "copy")
    usual = run_room.score_predictions
    asked = []
    monkeypatch.setattr(run_room, "score_predictions", lambda *args: asked.append(1) or usual(*args))
    assert Run.open(tmp_path / "copy").score == run.score and not asked
    done = tmp_path / "copy/seed0-fold0/done.json"
    done.write_text(done.read_text() + " ")
    again = Run.open(tmp_path / "copy")
    assert (again.score, again.score.low, again.score.high, again.score.n) == (
        run.score,
        run.score.low,
        run.score.high,
        15,
    )
    assert len(asked) == 1
    done.unlink()
    assert Run.open(tmp_path / "copy").score.n < 15


def test_nan_of_a_network_is_an_error(comp, home, tmp_path, monkeypatch, untrained):
    usual = training.predict_pictures
    monkeypatch.setattr(training, "predict_pictures", lambda *args, **kwargs: usual(*args, **kwargs) * np.nan)
    with pytest.raises(
        ValueError,
        match=r"network gives nan for 3 clips \(test/t1.wav, test/t2.wav, test/t3.wav\): its training diverged",
    ):
        go(comp, tmp_path / "test")
    assert not list((tmp_path / "test").rglob("test.npz")) and len(list((tmp_path / "test").rglob("done.json"))) == 1
    judge = training.predict_all

    def spoilt(learn, dl):
        judged = judge(learn, dl=dl)
        return Predictions(judged.table, judged.probs * np.nan, judged.vocab)

    monkeypatch.setattr(training, "predict_all", spoilt)
    with pytest.raises(ValueError, match=r"the network gives nan for \d+ clips"):
        go(comp, tmp_path / "oof")
    assert not list((tmp_path / "oof").rglob("oof.npz")) and not list((tmp_path / "oof").rglob("done.json"))


# ---------------------------------------------------------------------- answers


def task_of(rows: pd.DataFrame, format=ClassColumns(), metric="accuracy", has_test=True, vocab=("a", "b")) -> Task:
    return Task("by-hand", metric, format, vocab, metric in ("row_f1", "macro_f1"), "0", has_test, rows)


def test_rows_are_filled_by_name_and_times_not_by_order():
    clips = pd.DataFrame({"path": ["x", "x", "y"], "start": [0.0, 5.0, np.nan], "end": [5.0, 10.0, np.nan]})
    rows = pd.DataFrame({"id": list("12345"), "path": ["y", "x", "z", "x", "x"]})
    rows = rows.assign(start=[np.nan, 5, 0, 0, np.nan], end=[np.nan, 10, 5, 5, np.nan])
    filled, without = fill_rows(rows, clips, np.array([[0.1, 0.9], [0.2, 0.8], [0.3, 0.7]]), np.array([0.5, 0.5]))
    assert filled[:, 0].tolist() == [0.3, 0.2, 0.5, 0.1, 0.5] and without.tolist() == [False, False, True, False, True]
    nothing = fill_rows(rows, clips.iloc[:0], np.zeros((0, 2)), np.array([0.25, 0.75]))
    assert nothing[0].tolist() == [[0.25, 0.75]] * 5 and nothing[1].all()


def test_rows_that_ask_about_one_label_each(tmp_path):
    """Two questions about the same seconds, one about a recording that is not there."""
    rows = pd.DataFrame(
        {
            "id": ["q1", "q2", "q3"],
            "path": ["x", "x", "gone"],
            "start": 0.0,
            "end": 5.0,
            "target_label": ["a", "b", "b"],
        }
    )
    clips = pd.DataFrame({"path": ["x"], "start": [0.0], "end": [5.0]})
    task = task_of(rows, Decisions(), "macro_f1")
    with pytest.warns(UserWarning, match=r"1 of 3 rows are given the class prior \(gone\)"):
        table = save_submission(task, clips, np.array([[0.3, 0.8]]), np.array([0.1, 0.6]), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").read_text() == "row_id,target\nq1,False\nq2,True\nq3,True\n" and len(table) == 3
    with pytest.warns(UserWarning):
        save_submission(task, clips, np.array([[0.3, 0.8]]), np.array([0.1, 0.6]), tmp_path / "s.csv", threshold=0.2)
    assert (tmp_path / "s.csv").read_text() == "row_id,target\nq1,True\nq2,True\nq3,True\n"


def test_what_would_not_be_accepted_is_not_written(tmp_path):
    rows = pd.DataFrame({"id": ["1"], "path": ["x"]})
    with pytest.raises(ValueError, match="threshold=0.5: submissions are written as classcolumns, without a threshold"):
        save_submission(
            task_of(rows), rows, np.array([[0.5, 0.5]]), np.array([0.5, 0.5]), tmp_path / "s.csv", threshold=0.5
        )
    with pytest.raises(ValueError, match="gives nan for 1 clip"):
        save_submission(task_of(rows), rows, np.array([[np.nan, 0.5]]), np.array([0.5, 0.5]), tmp_path / "s.csv")
    with pytest.raises(ValueError, match="would not be accepted: 1 row with a probability outside 0 to 1"):
        save_submission(task_of(rows), rows, np.array([[1.5, 0.5]]), np.array([0.5, 0.5]), tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()


def predicted(predictions: Predictions, task: Task) -> CompetitionPredictions:
    found = CompetitionPredictions()
    found.task, found.predictions = task, predictions
    return found


def test_the_best_threshold_is_found_out_of_fold(tmp_path):
    """Of three clips that count the positives have 0.4 and 0.3, the negative 0.19; a clip that does not count would say otherwise."""
    rows = pd.DataFrame({"id": ["1"], "path": ["1.wav"]})
    probs, targets = [[0.4, 0.0], [0.3, 0.0], [0.19, 0.0], [0.9, 0.0]], [["a"], ["a"], [], []]
    predictions = predictions_of(probs, targets, is_multi=True, scored=[True, True, True, False])
    whole = predicted(predictions, task_of(rows, LabelSets(), "row_f1", has_test=False))
    assert whole.best_threshold() == pytest.approx(0.2)
    assert whole.submission(tmp_path / "s.csv")["birds"].tolist() == ["nocall"]
    assert whole.submission(tmp_path / "s.csv", threshold="oof")["birds"].tolist() == ["a"]
    with pytest.raises(ValueError, match="lwlrap takes probabilities, not decisions: there is no threshold to choose"):
        predicted(predictions, task_of(rows, metric="lwlrap")).best_threshold()


def test_without_a_test_set_the_clips_of_training_are_answered(untrained, home, tmp_path):
    train = train_table(id=[f"clip {i}" for i in range(18)], fold=[-1, -1] + [np.nan] * 16).drop(columns="group")
    run = go(competition(home / "töne", train, test=None, format=BestLabels()), tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = run.submission(tmp_path / "sub.csv")
    assert table["fname"].tolist() == [f"clip {i}" for i in range(2, 18)]
    prediction = dict(zip(run.oof["id"], run.oof["prediction"]))
    assert table["label"].tolist() == [prediction[name] for name in table["fname"]]
    with pytest.raises(ValueError, match="three-pitches has no test set to take pseudo-labels from"):
        run.pseudo_labels()


def test_columns_of_the_table_never_hide_what_was_predicted(untrained, home, tmp_path):
    train = train_table(rating=range(18), prediction="x", loss=-1.0, right="y", target="z")
    oof = go(competition(home / "töne", train), tmp_path / "out", only=[0]).oof
    assert (oof["loss"] > 0).all() and set(oof["prediction"]) <= set(HZ)
    assert oof["right"].tolist() == (oof["prediction"] == oof["label"]).tolist()
    assert oof["rating"].tolist() == [int(path[6:8]) for path in oof["path"]]


def test_fifty_thousand_rows_take_a_moment():
    n = 50_000
    rows = pd.DataFrame({"id": [str(i) for i in range(n)], "path": [f"{i // 10}.wav" for i in range(n)]})
    rows = rows.assign(start=[5.0 * (i % 10) for i in range(n)], end=[5.0 * (i % 10) + 5 for i in range(n)])
    began = time.perf_counter()
    filled, without = fill_rows(rows, rows.iloc[::-1], np.random.default_rng(0).random((n, 3)), np.zeros(3))
    assert not without.any() and time.perf_counter() - began < 10
    began = time.perf_counter()
    table = rows.assign(label="a", weight=1.0)
    assert (
        len(add_pseudo_labels(table, table.assign(path="new " + table["path"]))) == 2 * n
        and time.perf_counter() - began < 10
    )


# ---------------------------------------------------------------------- variants

MORE = [Roll(0.25), AddNoise(20)]
NAMES = ["roll-0.25", "noise-20dB"]


@pytest.fixture
def asked(monkeypatch) -> list:
    """The pictures that networks are asked about in the test set."""
    files, usual = [], training.predict_pictures
    monkeypatch.setattr(
        training,
        "predict_pictures",
        lambda clf, pictures, *args, **kwargs: files.extend(pictures) or usual(clf, pictures, *args, **kwargs),
    )
    return files


def test_training_sees_variants_and_nothing_is_judged_by_them(untrained, asked, comp, tmp_path):
    log = []
    run = go(comp, tmp_path / "out", loaders={"variants": MORE}, cache=tmp_path / "cache", log=log)
    for row in untrained:
        train, valid = row["train"], row["valid"]
        assert apart(row) and len(train) == 3 * (18 - len(valid)) and set(train["variant"]) == {"", *NAMES}
        for name, part in train.groupby("variant"):
            assert len(part) == 18 - len(valid) == part["path"].nunique(), "each clip once in each variant"
            assert all(name in picture for picture in part["picture"])
        assert set(valid["variant"]) == {""} and not any("@" in picture for picture in valid["picture"])
        n = len(train) // 3
        assert f"{row['fold_run']}: {n} clips to train on, each in 2 variants too, {len(valid)} held out" in log
    assert sorted(run.oof["path"]) == sorted(comp.train["path"]) and run.score.n == 15
    assert len(asked) == 6 and not any("@" in str(picture) for picture in asked)
    drawn = [path.name for path in (tmp_path / "cache").rglob("*.png")]
    assert len(drawn) == 18 * 3 + 3 and not any(name.startswith("t") and "@" in name for name in drawn), (
        "only what trains is drawn in variants"
    )
    plain = go(comp, tmp_path / "plain", cache=tmp_path / "cache")
    assert (
        plain.oof["path"].tolist() == run.oof["path"].tolist()
        and plain.oof["fold"].tolist() == run.oof["fold"].tolist()
    )


def test_windows_and_groups_stay_together_in_all_their_variants(untrained, home, tmp_path):
    """Two windows of each recording; clips 0 to 3 always train, but not beside their own group."""
    parts = pd.concat([train_table(start=at, end=at + 0.15) for at in (0.0, 0.15)], ignore_index=True)
    parts["fold"] = [-1.0 if i % 18 < 4 else np.nan for i in range(36)]
    parts["group"] = [f"g{i % 18 % 3}{i % 18 // 6}" for i in range(36)]
    with pytest.warns(UserWarning, match=r"^fold \d: \d clips? of other folds belong to recordings or groups") as said:
        go(competition(home / "töne", parts, test=None), tmp_path / "out", loaders={"variants": Roll(0.5)})
    assert said[0].filename == __file__
    groups = dict(zip(parts["path"], parts["group"]))
    for row in untrained:
        held_out = {groups[path] for path in row["valid"]["path"]}
        assert not held_out & {groups[path] for path in row["train"]["path"]} and set(row["valid"]["variant"]) == {""}
        keys = clip_spans(row["train"])
        assert sorted(keys) == sorted(2 * clip_spans(row["train"][row["train"]["variant"] == ""])), (
            "each window in both"
        )


def test_weights_of_clips_are_those_of_their_variants(untrained, home, tmp_path):
    given = dict(zip(train_table()["path"], [1.0 if i % 2 else 0.25 for i in range(18)]))
    comp = competition(home / "töne", train_table(weight=list(given.values())))
    for trust in ("sampling", "loss"):
        go(comp, tmp_path / trust, only=[0], trust=trust, loaders={"variants": MORE})
    sampling, loss = untrained
    expected = [given[path] for path in sampling["train"]["path"]]
    assert sampling["dls"].train.weights == expected and len(expected) == 3 * len(set(sampling["train"]["path"]))
    assert loss["weights"][0].weights == pytest.approx(np.array(expected) / np.mean(expected))


def test_pseudo_labelled_clips_are_learnt_in_variants_too(untrained, asked, opinions, comp, tmp_path):
    go(comp, tmp_path / "out", pseudo=opinions, loaders={"variants": MORE})
    for row in untrained:
        learnt = row["train"][row["train"]["path"].str.startswith("test/")]
        assert sorted(zip(learnt["path"], learnt["variant"])) == sorted(
            (path, name) for path in ("test/t2.wav", "test/t3.wav") for name in ["", *NAMES]
        )
    assert len(asked) == 6 and not any("@" in str(picture) for picture in asked)


def test_other_variants_are_another_run(untrained, comp, tmp_path):
    run = go(comp, tmp_path / "out", only=[0], loaders={"variants": MORE})
    assert run.config.variants == tuple(MORE) and RunConfig.from_toml(run.folder / "run.toml") == run.config
    before = frozen_in_time(run.folder)
    for other, told in [
        (MORE[:1], r"\['roll-0.25'\] here"),
        ([MORE[0], AddNoise(20, "full")], r"\['roll-0.25', 'noise-20dBFS'\] here"),
        (None, ""),
    ]:
        with pytest.raises(
            ValueError,
            match=rf"another configuration: loaders.variants is \['roll-0.25', 'noise-20dB'\] there and .*{told}; choose",
        ):
            go(comp, run.folder, loaders={"variants": other})
    assert frozen_in_time(run.folder) == before
    again = go(comp, run.folder, loaders=run.config.loaders)  # as a plan, or run.toml, says them
    assert len(again.fold_runs) == 2 and [row["fold_run"].fold for row in untrained] == [0, 1]


def test_variants_through_real_epochs_end_in_the_same_answers_after_a_stop(comp, home, tmp_path, monkeypatch):
    def press():
        raise KeyboardInterrupt

    more = {"loaders": {"variants": [Roll(0.5)]}, "only": [1]}
    whole, usual = go(comp, tmp_path / "whole", **more), training._make_learner
    about = json.loads((whole.fold_runs[0].folder / "fit/training.json").read_text())
    assert about["network"]["training_items"] == 2 * (18 - len(whole.oof))
    monkeypatch.setattr(training, "_make_learner", usual)
    with_callback(1, 6, press)  # four or five batches an epoch: in the second
    with pytest.raises(KeyboardInterrupt):
        go(comp, tmp_path / "stopped", **more)
    monkeypatch.setattr(training, "_make_learner", usual)
    assert same_answers(go(comp, tmp_path / "stopped", **more), whole)


@dataclass(frozen=True)
class Never(Variant):
    """Cannot be made of the first clips."""

    name = "never"

    def __call__(self, y, sr, rng=None):
        if len(y) < 0.32 * sr:
            raise AudioError("", "is too short for it")
        return y


def test_variants_that_cannot_be_drawn_are_counted_once_and_training_does_without(
    untrained, comp, tmp_path, monkeypatch
):
    monkeypatch.setattr(values, "_KINDS", {**values._KINDS})  # known in this test only
    register(Never)
    with pytest.warns(UserWarning) as said:
        go(comp, tmp_path / "out", cache=tmp_path / "cache", loaders={"variants": [Never(), Roll(0.5)]})
    told = [w for w in said if "variant" in str(w.message)]
    assert len(told) == 1 and told[0].filename == __file__
    assert re.match(
        r"5 of 36 variants could not be drawn; training does without them \(train/00.wav never: .*too short for it; train/04.wav never: ",
        str(told[0].message),
    )
    for row in untrained:
        train, short = row["train"], {f"train/{i:02}.wav" for i in range(0, 18, 4)}
        assert set(train.loc[train["variant"] == "never", "path"]) == set(train["path"]) - short
        assert set(train.loc[train["variant"] == "roll-0.5", "path"]) == set(train["path"])


# ---------------------------------------------------------------------- pseudo-labels


@pytest.fixture
def opinions(run, tmp_path) -> Path:
    """A copy of the run whose networks disagree: those of fold 0 call every test clip low, those of fold 1 mid."""
    shutil.copytree(run.folder, tmp_path / "opinions")
    for fold_run in Run.open(tmp_path / "opinions").fold_runs:
        said = fold_run.test()
        probs = np.tile([[0.01, 0.97, 0.02], [0.01, 0.02, 0.97]][fold_run.fold], (len(said), 1))
        probs[0] = [0.4, 0.3, 0.3]
        Predictions(said.table, probs, said.vocab).save(fold_run.folder / "test.npz")
    return tmp_path / "opinions"


def test_a_fold_learns_only_from_networks_that_never_saw_its_held_out_clips(untrained, opinions, comp, tmp_path):
    log = []
    run = go(comp, tmp_path / "out", pseudo=opinions, trust="loss", log=log)
    for row, label in zip(untrained, ["low", "mid"]):
        learnt = row["train"][row["train"]["path"].str.startswith("test/")]
        assert learnt["path"].tolist() == ["test/t2.wav", "test/t3.wav"] and learnt["label"].tolist() == [label] * 2
        assert not row["valid"]["path"].str.startswith("test/").any()
        by_path = dict(zip(row["train"]["path"], row["weights"][0].weights))
        assert by_path["test/t2.wav"] / by_path[next(iter(by_path))] == pytest.approx(0.97, abs=1e-4)
    assert sum("2 of them pseudo-labelled" in line for line in log) == 2
    assert sorted(run.oof["path"]) == sorted(comp.train["path"]) and run.config.pseudo == str(opinions)
    Predictions(Run.open(opinions).test_clips, np.full((3, 3), 1 / 3), run.task.vocab).save(
        opinions / "seed0-fold0/test.npz"
    )
    with pytest.raises(
        ValueError, match="holds a run of other pseudo-labels: the earlier run predicted something else then"
    ):
        go(comp, tmp_path / "out", pseudo=opinions, trust="loss")
    with pytest.raises(ValueError, match="another configuration: .*pseudo is True there and False here"):
        go(comp, tmp_path / "out", trust="loss")


def test_pseudo_labels_of_a_group_that_is_held_out_are_not_learnt(untrained, home, tmp_path):
    """The test clips are of a speaker in training; only where he is not held out do they train."""
    comp = competition(home / "töne", test=test_table(group="speaker 00"))
    earlier = go(comp, tmp_path / "earlier")
    for fold_run in earlier.fold_runs:
        said = fold_run.test()
        assert said.table["group"].tolist() == ["speaker 00"] * 3
        Predictions(said.table, np.tile([0.98, 0.01, 0.01], (3, 1)), said.vocab).save(fold_run.folder / "test.npz")
    untrained.clear()
    with pytest.warns(
        UserWarning, match=r"^fold \d: 3 clips of other folds belong to .* that are held out.*\(test/t1.wav, "
    ) as said:
        go(comp, tmp_path / "out", pseudo=tmp_path / "earlier")
    assert [w.filename for w in said if "belong" in str(w.message)] == [__file__]
    own = {
        row["fold_run"].fold: "speaker 00" in set(row["table"].set_index("path").loc[row["valid"]["path"], "group"])
        for row in untrained
    }
    for row in untrained:
        assert apart(row) and row["train"]["path"].str.startswith("test/").sum() == (
            0 if own[row["fold_run"].fold] else 3
        )
    assert sorted(own.values()) == [False, True]


def test_pseudo_labels_come_from_the_same_folds_of_a_finished_run(run, comp, home, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"held \d+ clips out in other folds \(train/.*\): its networks were trained on clips that are held out here",
    ):
        go(comp, tmp_path / "out", pseudo=run, recipe=RECIPE.replace(seed=1))
    with pytest.raises(ValueError, match="out in other folds"):
        go(comp, tmp_path / "out", pseudo=run, folds=3)
    half = tmp_path / "half"
    shutil.copytree(run.folder, half)
    (half / "seed0-fold1/test.npz").unlink()
    with pytest.raises(ValueError, match="has not been predicted by fold 1"):
        go(comp, tmp_path / "out", pseudo=half)
    (half / "seed0-fold1/done.json").unlink()
    with pytest.raises(
        ValueError, match="half' has 1 of 2 networks finished; finish it before its predictions are used as labels"
    ):
        go(comp, tmp_path / "out", pseudo=half)
    with pytest.raises(ValueError, match="cannot give pseudo-labels here: it is scored by accuracy"):
        go(competition(home / "töne", metric="accuracy"), tmp_path / "out", pseudo=run)
    with pytest.raises(ValueError, match="fold 9 of the run in .* has not finished"):
        run.pseudo_labels(fold=9)
    assert not (tmp_path / "out").exists()


def test_sure_answers_as_rows_by_hand():
    clips = pd.DataFrame({"path": ["x", "y", "z"], "start": [0.0, 1, 2], "end": [1.0, 2, 3]})
    single = Predictions(clips, [[0.9, 0.1], [0.6, 0.4], [0.05, 0.95]], ["a", "b"])
    rows = _sure(single, 0.9)
    assert clip_spans(rows) == [("x", 0.0, 1.0), ("z", 2.0, 3.0)] and rows["label"].tolist() == ["a", "b"]
    assert rows["weight"].tolist() == pytest.approx([0.9, 0.95]) and list(rows) == [*KEY, "label", "weight"]
    several = Predictions(
        pd.DataFrame({"path": ["x", "y"]}), [[0.95, 0.92, 0.1], [0.5, 0.1, 0.1]], ["a", "b", "c"], is_multi=True
    )
    rows = _sure(several, 0.9)
    assert rows["label"].tolist() == [["a", "b"]] and rows["weight"].tolist() == pytest.approx([0.95])
    assert not len(_sure(several, 0.99))


def test_a_clip_that_is_in_training_already_keeps_its_label():
    table = pd.DataFrame({"path": ["a", "b"], "label": ["x", "y"], "fold": [0, 1]})
    pseudo = pd.DataFrame({"path": ["b", "c"], "label": ["z", "z"], "weight": [0.9, 0.8]})
    both = add_pseudo_labels(table, pseudo)
    assert both["path"].tolist() == ["a", "b", "c"] and both["label"].tolist() == ["x", "y", "z"]
    assert both["weight"].tolist() == [1.0, 1.0, 0.8] and both["fold"].tolist() == [0, 1, -1]
    assert add_pseudo_labels(table, pseudo.iloc[:1]) is table


def test_multi_label_pseudo_labels_are_learnt(untrained, home, tmp_path):
    labels = [[label] if i % 4 else [label, "loud"] for i, label in enumerate(train_table()["label"])]
    comp = competition(home / "töne", train_table(label=labels), metric="lwlrap", format=ClassColumns())
    earlier = go(comp, tmp_path / "earlier")
    for fold_run in earlier.fold_runs:
        said = fold_run.test()
        probs = np.tile([0.1, 0.93, 0.94, 0.1], (3, 1))
        Predictions(said.table, probs, said.vocab, is_multi=True).save(fold_run.folder / "test.npz")
    untrained.clear()
    go(comp, tmp_path / "out", pseudo=earlier, pseudo_min=0.92, only=[1])
    learnt = untrained[0]["train"]
    learnt = learnt[learnt["path"].str.startswith("test/")]
    assert [sorted(several) for several in learnt["label"]] == [["loud", "low"]] * 3
    assert weights_by_path(untrained[0])["test/t1.wav"] == pytest.approx(0.94, abs=1e-4)


# ---------------------------------------------------------------------- places


def test_a_relative_folder_stays_where_it_was(untrained, comp, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = fold_work.train_fold

    def walk_away(*args):
        usual(*args)
        os.chdir("/")

    monkeypatch.setattr(fold_work, "train_fold", walk_away)
    run = go(comp, Path("runs/a b"))
    assert run.folder == tmp_path / "runs/a b" and run.score == Run.open(tmp_path / "runs/a b").score
    os.chdir(tmp_path)
    near = Run.open("runs/a b")
    os.chdir("/")
    assert len(near.oof) == 18 and near.test_probs.shape == (3, 3)


def test_a_mounted_run_is_only_read(run, home, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "input", "size=64m")
    shutil.copytree(run.folder, disk / "run")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError):
        (disk / "run/new").touch()
    mounted = Run.open(disk / "run")
    two = competition(home / "töne", test=test_table().iloc[:2])
    asked = mounted.predict_test(two, cache=tmp_path / "cache", n_jobs=1, progress=False)
    assert asked.submission(tmp_path / "sub.csv")["fname"].tolist() == TEST_FILES[:2]
    assert go(competition(home / "töne"), disk / "run").score == run.score


def test_a_broken_picture_is_named(run, home, tmp_path):
    clf = load_classifier(run.fold_runs[0].folder / "classifier")
    tree = render_tree(train_table()["path"][:3], LOOK, tmp_path, root=home / "töne", n_jobs=1, progress=False)
    files = [tree.picture(path) for path in train_table()["path"][:3]]
    whole = clips_room.predict_pictures(clf, files, progress=False)
    assert whole.shape == (3, 3) and whole.sum(axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert clips_room.predict_pictures(clf, [], progress=False).shape == (0, 3)
    files[2].write_bytes(b"no picture")
    with pytest.raises(ValueError, match="02.wav.png.*; remove it, and the tree draws it again"):
        clips_room.predict_pictures(clf, files, progress=False)


def test_names_that_are_not_utf8_survive(tmp_path):
    name = os.fsdecode(b"caf\xe9.wav")
    rows = pd.DataFrame({"id": ["1", "007"], "path": [name, 'with "quotes", commas\nand lines']})
    rows = rows.assign(start=[0.1 + 0.2, np.nan], end=[1 / 3 + 1, np.nan])
    task = task_of(rows)
    task.save(tmp_path)
    again = Task.load(tmp_path)
    assert again.rows["id"].tolist() == ["1", "007"] and clip_spans(again.rows) == clip_spans(rows)
    assert (
        again.same_test_rows(task)
        and not again.differs(task)
        and again.format == task.format
        and again.vocab == task.vocab
    )
    assert not again.same_test_rows(task_of(rows.iloc[:1]))


# ---------------------------------------------------------------------- choices


def test_choices_travel_through_toml():
    config = RunConfig(
        competition={"slug": "ESC-50", "folder": Path("data/ESC-50"), "options": {"group": None, "names": ("a", "b")}},
        renderer=LOOK,
        arch="resnet18",
        recipe=Recipe(loss=GeneralizedCrossEntropy(q=0.6), seed=3),
        folds=4,
        tta=TTA(shifts=(-0.1, 0.1)),
        pseudo="runs/first",
        loaders={
            "bs": np.int64(16),
            "size": (64, 96),
            "augment": Augment(),
            "seconds": None,
            "method": "squish",
            "variants": (TimeStretch(0.8), AddNoise(20), TimeStretch(0.8)),
        },
        learner={"pretrained": False, "stats": ((0.5,), (0.25,)), "metrics": ["accuracy"], "ps": np.float64(0.25)},
    )
    again = RunConfig.from_toml(config.to_toml())
    assert again == config and again.identity == config.identity and Value.from_json(config.to_json()) == config
    assert again.loading["variants"] == again.variants == (TimeStretch(0.8), AddNoise(20)), "each once"
    assert (
        again.loading["augment"] == Augment() and again.loading["size"] == [64, 96] and again.loaders["seconds"] is None
    )
    assert again.competition == {
        "slug": "ESC-50",
        "folder": "data/ESC-50",
        "options": {"group": None, "names": ["a", "b"]},
    }
    assert again.seed_list == [3] and again.first_seed == 3
    assert again.learning("map@3")["metrics"] == ["map@3", "accuracy"] and RunConfig().learning("accuracy")[
        "metrics"
    ] == ["accuracy"]
    assert RunConfig(learner={"metrics": "accuracy"}).learning("map@3")["metrics"] == ["map@3", "accuracy"]


def test_a_run_of_networks_with_frames_averaged_weights_and_a_loss_of_the_ranking(comp, home, tmp_path):
    run = go(
        comp,
        tmp_path / "frames",
        recipe=RECIPE.replace(ema=0.9, loss=SoftAUC(), label_smoothing=0.1),
        learner={"pretrained": False, "head": "attention", "frame_share": 0.3},
        loaders={"size": (32, 64), "balance": Balance(power=0.5, least=2)},
    )
    again = RunConfig.from_toml(run.config.to_toml())
    assert again == run.config and again.loading["balance"] == Balance(power=0.5, least=2)
    assert Run.open(tmp_path / "frames").config.learner["head"] == "attention"
    clf = run.classifier()
    assert clf.has_frames and clf.network["head"] == "attention" and len(run.predictions) == 18
    frames = clf.predict_windows(home / "töne/train/00.wav", seconds=0.3, frames=True, progress=False)
    assert len(frames) == 2 and np.isfinite(frames[[f"p_{label}" for label in sorted(HZ)]].to_numpy()).all()
    assert {"averaged", "last"} <= set(
        json.loads(next((tmp_path / "frames").rglob("training.json")).read_text())["average"]
    )


def test_places_are_no_part_of_a_run():
    here = RunConfig(
        competition={"slug": "a", "folder": "x"},
        loaders={"cache": "c", "n_jobs": 1, "bs": 4},
        learner={"weights": "/here/x.safetensors", "ps": 0.1},
        pseudo="p",
    )
    there = RunConfig(
        competition={"slug": "a", "folder": "y"},
        loaders={"num_workers": 2, "device": "cpu", "bs": 4},
        learner={"weights": "/there/x.safetensors", "ps": 0.1},
        pseudo="q",
    )
    assert here.identity != here.replace(learner={"weights": "/here/y.safetensors", "ps": 0.1}).identity
    assert here.identity == there.identity and here != there
    assert here.drawing == {"cache": "c", "n_jobs": 1} and there.loading == {
        "num_workers": 2,
        "device": torch.device("cpu"),
        "bs": 4,
    }
    assert here.identity != here.replace(pseudo=None).identity != here.replace(loaders={"bs": 5}).identity
    assert here.identity["renderer.representation.kind"] == "mel" and here.identity["loaders.bs"] == 4
    assert RunConfig(loaders={"variants": []}) == RunConfig(loaders={"variants": None}) == RunConfig(), (
        "none are no choice"
    )
    assert (
        RunConfig(loaders={"variants": Roll(0.1)})
        == RunConfig(loaders={"variants": [{"kind": "roll", "share": 0.1}]})
        != RunConfig()
    )


def test_a_configuration_of_earlier_versions_is_read():
    text = 'kind = "choices"\narch = "resnet18"\n[[loaders.variants]]\nkind = "stretch"\nrate = 0.8\n'
    assert RunConfig.from_toml(text) == RunConfig(arch="resnet18", loaders={"variants": [TimeStretch(0.8)]})


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(loaders={"item_tfms": 1}), "unknown option in loaders= 'item_tfms'"),
        (
            dict(loaders={"augment": abs}),
            r"loaders\['augment'\] is <built-in function abs>, which run.toml cannot hold",
        ),
        (dict(loaders={"seconds": float("nan")}), r"loaders\['seconds'\] is nan, which run.toml cannot hold"),
        (dict(loaders={"size": [32, {"a": object}]}), r"loaders\['size'\]\[1\]\['a'\] is <class 'object'>"),
        (dict(learner={"split": "none"}), r"learner\['split'\] is 'none', which run.toml cannot hold"),
        (dict(competition={"slugs": "x"}), "unknown option in competition= 'slugs'; did you mean 'slug'"),
        (dict(pseudo_min=1.0), "pseudo_min=1.0: it must be between 0 and 1"),
        (dict(trust="samplng"), "unknown trust 'samplng'; did you mean 'sampling'"),
        (dict(loaders=3), "loaders.*3 is not dict"),
        (dict(loaders={"variants": ["stretch"]}), "'stretch' is not a variant; give values such as AddNoise"),
        (
            dict(loaders={"variants": "stretch"}),
            r"loaders\['variants'\] is 'stretch'; give a list of variants, such as \[TimeStretch\(0.8\)",
        ),
        (dict(loaders={"variants": [{"kind": "strech"}]}), "unknown variant 'strech'; did you mean 'timestretch'"),
        (
            dict(loaders={"variants": [{"kind": "timestretch", "rate": 1}]}),
            r"TimeStretch\(rate=1\): give a rate between 0.1 and 10",
        ),
    ],
)
def test_wrong_choices_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**wrong)


def test_options_are_those_of_the_functions_that_take_them():
    of_loaders = {*inspect.signature(SpecDataLoaders.from_df).parameters}
    assert {*config_module._DRAWING} <= {*inspect.signature(render_tree).parameters} & of_loaders
    assert {*config_module._LOADING} <= of_loaders
    assert {*config_module._LEARNING} <= {*inspect.signature(spec_learner).parameters}
    assert config_module._RESOURCES <= {*config_module._DRAWING, *config_module._LOADING}


def test_competitions_are_opened_by_their_choices(tmp_path):
    with pytest.raises(ValueError, match="which competition. give .competition. with slug and folder"):
        open_competition({})
    with pytest.raises(ValueError, match="unknown competition 'ESC-51'; did you mean 'ESC-5?0"):
        open_competition({"slug": "ESC-51", "folder": str(tmp_path)})


# ---------------------------------------------------------------------- arguments of another kind


@pytest.mark.parametrize(
    "wrong, message",
    [
        (dict(comp="comp"), r"comp='comp' is not a Competition; write Competition.open\("),
        (dict(renderer="mel"), r"renderer='mel' is not a Renderer; write Renderer\(Mel\(\)\)"),
        (dict(recipe=5), r"recipe=5 is not a Recipe; write Recipe\(epochs=10\)"),
        (dict(tta=(-0.1, 0.1)), r"tta=\(-0.1, 0.1\) is not a TTA; write TTA\(shifts="),
    ],
)
def test_an_argument_of_another_kind_is_told_what_to_write(comp, home, wrong, message):
    with pytest.raises(ValueError, match=message):
        cross_validate(**{"comp": comp, "out": home / "none", **wrong})
    assert not (home / "none").exists()


def test_data_that_are_gone_are_said_at_once(comp, home, tmp_path):
    import dataclasses

    with pytest.raises(ValueError, match="the folder of .*, does not exist"):
        cross_validate(dataclasses.replace(comp, folder=tmp_path / "gone"), out=home / "none")


def test_a_broken_record_of_a_fold_is_named_with_the_way_out(run, tmp_path):
    shutil.copytree(run.folder, tmp_path / "copy")
    broken = Run(tmp_path / "copy")
    (broken.fold_runs[0].folder / "done.json").write_text("")
    with pytest.raises(ValueError, match="done.json' is broken .* the same call trains this fold again"):
        broken.scores


def test_a_score_hangs_on_no_order_of_clips(run):
    predictions = run.predictions
    backwards = predictions.subset(np.arange(len(predictions))[::-1])
    there, here = (score_predictions(p, run.task.metric) for p in (predictions, backwards))
    assert (float(there), there.low, there.high) == (float(here), here.low, here.high)


def test_the_folder_of_a_training_is_no_run_and_named(run):
    with pytest.raises(ValueError, match="is not the folder of a run .*; it holds one training, as fit.*from_run"):
        Run.open(run.fold_runs[0].folder / "fit")
