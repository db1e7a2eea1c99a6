"""A training folder that came from elsewhere, is full, or is somebody's already: said in a sentence, and nothing outside it is touched."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from fastai.vision.all import Callback, CrossEntropyLossFlat, DataLoader, DataLoaders, Learner, set_seed
from memory import cost_of
from torch import nn

from specimg.core.files import OutsideError
from specimg.core.locks import locked
from specimg.training import Recipe, fit, load_training, read_history
from specimg.training.checkpoint import TrainingFolder

torch.set_num_threads(1)
RECIPE = Recipe(epochs=3, freeze_epochs=0, lr=0.01, seed=1)


def make_learner(width=8, num_workers=0):
    """A linear network on 24 items: epochs that cost nothing."""
    set_seed(0)
    items = [(torch.randn(width), torch.tensor(i % 2)) for i in range(24)]
    train = DataLoader(items[:16], bs=8, num_workers=num_workers)
    dls = DataLoaders(train, DataLoader(items[16:], bs=8))
    dls.c = 2
    return Learner(dls, nn.Linear(width, 2), loss_func=CrossEntropyLossFlat())


def quiet(learn, recipe, out):
    with learn.no_logging(), learn.no_bar():
        return fit(learn, recipe, out=out)


class StopAfter(Callback):
    """Ends training in the first batch of an epoch."""

    order = 80

    def __init__(self, epochs, how):
        self.epochs, self.how = epochs, how

    def before_epoch(self):
        if self.epoch == self.epochs:
            self.how()


def stop():
    raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A training that was stopped after two of three epochs."""
    out = tmp_path_factory.mktemp("stopped") / "out"
    learn = make_learner()
    learn.add_cb(StopAfter(2, stop))
    with pytest.raises(KeyboardInterrupt):
        quiet(learn, RECIPE, out)
    return out


@pytest.fixture
def out(stopped, tmp_path):
    return Path(shutil.copytree(stopped, tmp_path / "out"))


# ---------------------------------------------------------------------- two at once


def test_a_second_training_is_refused_while_the_first_runs(tmp_path):
    pytest.importorskip("fcntl")
    seen = []

    def second():
        with pytest.raises(
            ValueError,
            match="another process trains in .*out now .process .* on .*; wait until it is finished, or choose",
        ):
            quiet(make_learner(), RECIPE, tmp_path / "out")
        seen.append(sorted(os.listdir(tmp_path / "out")))

    learn = make_learner()
    learn.add_cb(StopAfter(1, second))
    history = quiet(learn, RECIPE, tmp_path / "out")
    alone = quiet(make_learner(), RECIPE, tmp_path / "alone")
    assert history.drop(columns="seconds").equals(alone.drop(columns="seconds"))
    assert seen == [["checkpoints", "history.csv", "lock", "recipe.toml", "training.json"]]
    assert sorted(os.listdir(tmp_path / "out")) == ["checkpoints", "history.csv", "recipe.toml", "training.json"]


def test_a_training_of_another_process_is_noticed_and_a_killed_one_is_not(tmp_path):
    pytest.importorskip("fcntl")
    code = "import sys, time; from specimg.core.locks import locked\nwith locked(sys.argv[1]) as m: print(bool(m), flush=True); time.sleep(60)"
    (tmp_path / "out").mkdir()
    other = subprocess.Popen([sys.executable, "-c", code, tmp_path / "out/lock"], stdout=subprocess.PIPE, text=True)
    try:
        assert other.stdout.readline() == "True\n"
        with pytest.raises(ValueError, match="another process trains in"):
            quiet(make_learner(), RECIPE, tmp_path / "out")
    finally:
        other.kill()
        other.wait()
    assert len(quiet(make_learner(), RECIPE, tmp_path / "out")) == 3


# ---------------------------------------------------------------------- links


@pytest.mark.parametrize("link", ["lock", "checkpoints", "history.csv", "checkpoints/last.pth", "recipe.toml", "notes"])
def test_a_folder_with_links_is_refused_and_nothing_is_touched(link, out, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious.txt").write_text("mine")
    (mine / "last.pth").write_bytes(b"mine, too")
    target = out / link
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    target.symlink_to(mine if link == "checkpoints" else mine / "precious.txt")
    for call in (lambda: quiet(make_learner(), RECIPE, out), lambda: load_training(make_learner(), out)):
        with pytest.raises(OutsideError, match=f"{link}' is a link, and could lead out of .*out'; remove it"):
            call()
    assert {file.name: file.read_bytes() for file in mine.iterdir()} == {
        "precious.txt": b"mine",
        "last.pth": b"mine, too",
    }


# ---------------------------------------------------------------------- a full disk, a killed worker


def test_a_full_disk_is_named_and_the_same_call_resumes(tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk", "size=256k")
    learn = make_learner(width=1000)
    with pytest.raises(
        OSError,
        match="no space left while writing into '.*disk/out': make room on its disk; finished epochs are kept, and call fit again",
    ):
        learn.add_cb(StopAfter(2, lambda: (disk / "full").write_bytes(bytes(shutil.disk_usage(disk).free))))
        quiet(learn, RECIPE, disk / "out")
    assert len(read_history(disk / "out")) == 2
    (disk / "full").unlink()
    history = quiet(make_learner(width=1000), RECIPE, disk / "out")
    assert history.drop(columns="seconds").equals(
        quiet(make_learner(width=1000), RECIPE, tmp_path / "out").drop(columns="seconds")
    )


def test_a_full_disk_for_temporary_files_is_said_by_the_search(monkeypatch):
    def full(
        self, *args, **kwargs
    ):  # what torch says; a real full disk is shown to it by hand: it leaves the file open
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 1088 vs 982")

    monkeypatch.setattr(Learner, "save", full)
    with pytest.raises(
        OSError,
        match="search for a learning rate cannot keep the weights in .*, whose disk is full; make room there, set TMPDIR",
    ):
        quiet(make_learner(), RECIPE.replace(lr="find", epochs=100), None)


def kill_a_worker():
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    os.kill(int(children[-1]), signal.SIGKILL)


def test_a_killed_worker_is_said_and_the_same_call_resumes(tmp_path):
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        pytest.skip("this system does not list children")

    class KillWorker(Callback):
        def after_batch(self):
            if self.training and self.epoch == 1 and self.iter == 0:
                kill_a_worker()
                time.sleep(0.2)

    learn = make_learner(num_workers=1)
    learn.add_cb(KillWorker())
    with pytest.raises(
        ChildProcessError,
        match="a process that read or drew clips for .* was killed, .*; finished epochs are kept, .*num_workers=0",
    ):
        quiet(learn, RECIPE, tmp_path / "out")
    assert len(quiet(make_learner(), RECIPE, tmp_path / "out")) == 3


# ---------------------------------------------------------------------- damaged, or of another kind


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda facts: [facts], "it is a list, and no object"),
        (lambda facts: "x", "it is a str"),
        ({"seed": 10**400}, "its entry 'seed' is 1000.*; it must be a whole number"),
        ({"seed": "1"}, "its entry 'seed' is '1'"),
        ({"lr": [1]}, "its entry 'lr' is"),
        ({"lr": None, "pretrained": 1}, "its entry 'pretrained' is 1; it must be true or false"),
        ({"network": None}, "its entry 'network' is None; it must be an object"),
        ({"network": {"classes": {"a": 1}}}, "its entry 'network' does not describe a network"),
        ({"versions": ["x"]}, "its entry 'versions' is"),
        (lambda facts: {k: v for k, v in facts.items() if k != "lr"}, "its entry 'lr' is missing"),
    ],
)
def test_facts_of_another_kind(change, message, out):
    facts = json.loads((out / "training.json").read_text())
    changed = change(facts) if callable(change) else {**facts, **change}
    (out / "training.json").write_text(json.dumps(changed))
    for call in (
        TrainingFolder(out).facts,
        lambda: quiet(make_learner(), RECIPE, out),
        lambda: load_training(make_learner(), out),
    ):
        with pytest.raises(
            ValueError,
            match=f"training.json is not what fit writes: {message}.*; remove '.*out' to train again, or choose",
        ):
            call()


def without(name):
    return lambda state: {key: part for key, part in state.items() if key != name}


def rows(change):
    return lambda state: {**state, "rows": change(state["rows"])}


def optimizer(change):
    return lambda state: {**state, "opt": change(state["opt"])}


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda state: [1], "it holds a list"),
        (without("model"), "its entry 'model' is missing"),
        (without("opt"), "its entry 'opt' is missing"),
        (without("rows"), "its entry 'rows' is missing"),
        (lambda state: {**state, "model": [1]}, "its entry 'model' is no set of tensors"),
        (lambda state: {**state, "model": {"weight": 3}}, "its entry 'model' is no set of tensors"),
        (lambda state: {**state, "model": {}}, "holds the weights of another network: .*Missing key"),
        (
            lambda state: {**state, "model": {"weight": torch.zeros(1).expand(10**12), "bias": torch.zeros(2)}},
            "of another network",
        ),
        (rows(lambda r: 3), "its entry 'rows' is no list of epochs"),
        (rows(lambda r: [1, 2]), "its entry 'rows' is no list of epochs"),
        (rows(lambda r: [{}]), "its entry 'rows' is no list of epochs"),
        (rows(lambda r: [r[1]]), "its epoch 1 is not as fit writes it"),
        (rows(lambda r: [r[0], {**r[1], "phase": "x"}]), "its epoch 2 is not as fit writes it"),
        (rows(lambda r: [r[0], {**r[1], "valid_loss": "x"}]), "its epoch 2 is not as fit writes it"),
        (rows(lambda r: [r[0], {"phase": "unfrozen"}]), "its epoch 2 is not as fit writes it"),
        (rows(lambda r: [r[0], {**r[1], "valid_loss": 10**400}]), "its epoch 2 is not as fit writes it"),
        (optimizer(lambda o: None), "its entry 'opt' is no state of an optimizer"),
        (optimizer(lambda o: {}), "holds a state of another optimizer: it lacks entries"),
        (optimizer(lambda o: {**o, "hypers": []}), "another optimizer: it is of 2 tensors in 0 groups, not of 2 in 1"),
        (optimizer(lambda o: {**o, "state": [1, 2]}), "another optimizer: its entries are of another kind"),
        (
            optimizer(lambda o: {**o, "state": [{"grad_avg": torch.zeros(1).expand(10**12)}] * 2}),
            "its tensors have other shapes",
        ),
        (optimizer(lambda o: {**o, "hypers": [{"lr": 1}]}), "its numbers are not those of this optimizer"),
        (optimizer(lambda o: {**o, "hypers": [{**o["hypers"][0], "lr": "x"}]}), "its numbers are not those"),
        (optimizer(lambda o: {**o, "hypers": [{**o["hypers"][0], "mom": 1}]}), "its numbers are not those"),
        (optimizer(lambda o: {**o, "hypers": [{**o["hypers"][0], "sqr_mom": 1.0}]}), "it was made with other numbers"),
    ],
)
def test_a_checkpoint_of_another_kind(change, message, out):
    file = out / "checkpoints/last.pth"
    torch.save(change(torch.load(file, weights_only=True)), file)
    with pytest.raises(
        ValueError, match=f"last.pth .*{message}.*; remove '.*out' to train again, or choose another folder"
    ):
        quiet(make_learner(), RECIPE, out)


@pytest.mark.parametrize(
    "text", ["", "x", "phase,epoch\n1,2\n", "phase,epoch,lr\nunfrozen,1e400,2\n", "\0", '"', "epoch\n1.5"]
)
def test_a_history_that_cannot_be_read(text, out):
    (out / "history.csv").write_text(text)
    try:
        read_history(out)
    except ValueError as exc:
        assert "history.csv is not a table of epochs" in str(exc)


# ---------------------------------------------------------------------- what asks for memory


def packed(file):
    """A checkpoint of zeros, packed a thousandfold."""
    with zipfile.ZipFile(file) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(2**27) if name.endswith("data/0") else data)


def claims(file):
    """A checkpoint whose pickle claims a tensor of 8 GB."""
    data = io.BytesIO()
    torch.save({"model": {"weight": torch.zeros(3)}, "opt": None, "rows": []}, data)
    with zipfile.ZipFile(data) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, part in members.items():
            number = part.replace(b"K\x03tq", b"J\x00\x00\x00\x7ftq") if name.endswith("data.pkl") else part
            archive.writestr(name, number)


def deep(file):
    file.write_text("[" * 10_000_000)


@pytest.mark.parametrize(
    "name, bomb, message",
    [
        ("checkpoints/last.pth", packed, "would unpack to 1"),
        ("checkpoints/last.pth", claims, "is not a checkpoint that can be read"),
        ("training.json", deep, "nested in more than 100 levels"),
        ("training.json", lambda file: os.truncate(file, 10**12), "has 1000000000000 bytes"),
        ("recipe.toml", deep, "has 10000000 bytes"),
        ("recipe.toml", lambda file: file.write_text("a = " + "[" * 100_000), "nested in more than 100 levels"),
        ("recipe.toml", lambda file: file.write_text(".".join("a" * 20_000) + " = 1"), "a key of more than 100 parts"),
        ("history.csv", lambda file: os.truncate(file, 10**12), "at most 4194304 are read"),
    ],
)
def test_bombs_cost_little(name, bomb, message, out):
    bomb(out / name)
    learn = make_learner()
    cost = cost_of(lambda: read_history(out) if name == "history.csv" else quiet(learn, RECIPE, out))
    assert cost.error == "ValueError" and message in cost.message and name in cost.message, cost
    assert cost.megabytes < 150 and cost.seconds < 5, cost


def test_an_honest_checkpoint_is_not_taken_for_packed(out):
    torch.save({"model": {"weight": torch.zeros(10**6)}}, out / "zeros.pth")
    from specimg.core.reading import refuse_packed

    refuse_packed(out / "zeros.pth")
    refuse_packed(out / "training.json")
    with pytest.raises(FileNotFoundError):
        refuse_packed(out / "none.pth")
    (out / "zeros.pth").write_bytes((out / "zeros.pth").read_bytes()[-100:])
    with pytest.raises(ValueError, match="is a damaged zip file"):
        refuse_packed(out / "zeros.pth")


def test_a_stopped_training_goes_on(out, tmp_path):
    """The folder that the tests above damage is in order."""
    assert len(read_history(out)) == 2
    history = quiet(make_learner(), RECIPE, out)
    assert history.drop(columns="seconds").equals(
        quiet(make_learner(), RECIPE, tmp_path / "whole").drop(columns="seconds")
    )
    with locked(out / "lock") as free:
        assert free
