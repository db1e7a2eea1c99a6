"""Several processes train one network: pure parts without processes, the rest in two that meet over gloo."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from fastai.vision.all import DataLoader, DataLoaders, Learner, set_seed
from ranks_training import (
    KILLED,
    PLAIN,
    digest,
    frames_learner,
    make_clips,
    make_loaders,
    own_learner,
    picture_nets,
    plain_learner,
)
from torch import nn
from trainings import Stop, make_learner, timeless

import specimg as sp
from specimg.training import Predictions, alone, load_training, predict_all
from specimg.training.ranks import Ranks, ShareOfLoader, _SyncNorms, together, training_share, validation_share

TESTS = Path(__file__).parents[1]


# ---------------------------------------------------------------- without processes
@pytest.mark.parametrize("n, size, bs", [(31, 2, 4), (32, 4, 4), (50, 3, 5), (9, 8, 1), (64, 1, 8)])
def test_training_deals_each_clip_once_and_batches_of_all_are_those_of_one(n, size, bs):
    clips = [int(i) for i in np.random.default_rng(0).permutation(n)]
    shares = [training_share(clips, rank, size, drop_last=True) for rank in range(size)]
    assert {len(share) for share in shares} == {n // size}
    assert len({clip for share in shares for clip in share}) == n // size * size
    for k in range(n // size // bs):
        batches = [share[k * bs : (k + 1) * bs] for share in shares]
        assert {clip for batch in batches for clip in batch} == set(clips[k * bs * size : (k + 1) * bs * size])


def test_without_drop_last_the_first_clips_fill_up():
    shares = [training_share([5, 6, 7], rank, 4, drop_last=False) for rank in range(4)]
    assert shares == [[5], [6], [7], [5]]


@pytest.mark.parametrize("n, size", [(7, 2), (3, 4), (0, 2), (100, 8)])
def test_validation_deals_all_in_order_and_none_twice(n, size):
    parts = [validation_share(list(range(n)), rank, size) for rank in range(size)]
    assert [clip for part in parts for clip in part] == list(range(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips, and their pictures."""
    folder = tmp_path_factory.mktemp("ranks")
    make_clips(folder / "clips")
    make_loaders(folder)
    return folder


def numbers(batches):
    return [number for x, _ in batches for number, _ in x.clips]


def test_shares_of_a_weighted_loader_hold_the_clips_that_one_process_draws(folder):
    def loader():
        dls = make_loaders(folder, balance=True)
        dls.train.rng.seed(3)
        return dls.train

    drawn = numbers(loader())
    shares = [list(ShareOfLoader(loader(), rank, 2, training=True)) for rank in range(2)]
    assert [len(share) for share in shares] == [len(ShareOfLoader(loader(), 0, 2, True))] * 2 == [3, 3]
    both = sorted(numbers(shares[0]) + numbers(shares[1]))
    assert both == sorted(drawn[:24]) and len(set(both)) < 24  # of 29 drawn some are drawn twice
    assert shares[0][0][1].shape == (4,)


def test_a_share_leaves_its_loader_as_it_was(folder):
    dls = make_loaders(folder)
    share = ShareOfLoader(dls.valid, 1, 2, training=False)
    assert numbers(share) == [3, 4, 5, 6] and len(share) == 1
    assert numbers(dls.valid) == list(range(7)) and share.n == 7


class Unreadable:
    """Every third clip cannot be read."""

    def __call__(self, item):
        from fastai.data.load import SkipItemException

        if item[1] % 3 == 0:
            raise SkipItemException
        return item


def test_a_process_whose_clips_cannot_be_read_keeps_step():
    items = [(torch.zeros(1), i) for i in range(24)]
    dl = DataLoader(items, bs=4, drop_last=True, after_item=Unreadable())
    share = ShareOfLoader(dl, 0, 2, training=True)  # 0, 2 ... 22: four of them cannot be read
    assert len(share) == 3 and [y.tolist() for _, y in share] == [[2, 4, 8, 10], [14, 16, 20, 22], [2, 4, 8, 10]]
    with pytest.raises(ValueError, match="not one of the 4 training clips"):
        list(ShareOfLoader(DataLoader(items[::3], bs=4, drop_last=True, after_item=Unreadable()), 0, 2, training=True))


def test_synchronised_norms_keep_activations_and_the_layers_come_back():
    set_seed(0)
    model = nn.Sequential(nn.Identity(), timm.create_model("test_efficientnet", num_classes=2)).eval()
    x, kinds = torch.randn(2, 3, 64, 64), [type(layer) for layer in model.modules()]
    before = model(x)
    learn = Learner(DataLoaders([], []), model, loss_func=nn.CrossEntropyLoss())
    norms = _SyncNorms()
    norms.learn = learn
    norms.before_fit()
    assert any(isinstance(layer, nn.SyncBatchNorm) for layer in learn.model.modules())
    assert torch.equal(learn.model(x), before)  # torch's own conversion leaves the activations out
    for layer in learn.model.modules():
        if isinstance(layer, nn.SyncBatchNorm):
            layer.running_mean += 1
    learned = learn.model(x)
    norms.after_fit()
    assert [type(layer) for layer in learn.model.modules()] == kinds and not norms.kept
    assert torch.equal(learn.model(x), learned) and not torch.equal(learned, before)


def test_alone_fastai_sees_one_process(monkeypatch):
    from fastai.vision.all import num_distrib, rank_distrib

    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.setenv("RANK", "3")
    learn = make_learner()
    with pytest.raises(RuntimeError, match="stop"), alone(learn):
        assert (num_distrib(), rank_distrib()) == (0, 0)
        assert len(learn.validate()) == 2  # which gathers from all processes elsewhere
        raise RuntimeError("stop")
    assert (num_distrib(), rank_distrib()) == (8, 3)


def test_several_processes_without_accelerate_name_it(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"specimg\[accelerate\]"), together(make_learner()):
        pass


def told(learn, size, others, monkeypatch):
    """A process that hears from others what they would train."""
    monkeypatch.setattr("specimg.training.ranks.distributed.new_group", lambda **_: None)
    ranks = Ranks(learn, 0, size)
    monkeypatch.setattr(ranks, "gathered", lambda mine: [mine, *(mine | other for other in others)])
    return ranks


def test_processes_with_other_clips_are_refused(monkeypatch, folder):
    ranks = told(own_learner(folder), 3, [{}, {"clips": "another"}], monkeypatch)
    with pytest.raises(ValueError, match="process 2 of 3 has another .* clips is .* there and 'another' here"):
        ranks.check(KILLED.to_dict())


def test_too_many_processes_are_refused(monkeypatch, folder):
    ranks = told(own_learner(folder), 8, [], monkeypatch)
    with pytest.raises(ValueError, match="29 training clips, dealt over 8 processes.* set `bs` to 3 or less"):
        ranks.check({})


# ---------------------------------------------------------------- in two processes
def start(folder, how):
    """Two processes as launchers start them; their exit statuses and what they printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    known = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    paths = os.pathsep.join([str(TESTS.parent), os.environ.get("PYTHONPATH", "")])
    processes = []
    for rank in range(2):
        env = {**os.environ, **known, "PYTHONPATH": paths, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        command = [sys.executable, "-W", "ignore", TESTS / "ranks_training.py", folder, how]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(subprocess.Popen([str(part) for part in command], env=env, **pipes))
    try:
        printed = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], printed


@pytest.fixture(scope="module")
def trained(folder):
    """What two processes found, after an earlier training of theirs whose second process was killed in its second epoch."""
    pytest.importorskip("accelerate")
    statuses, printed = start(folder, "killed")
    shutil.copytree(folder / "killed", folder / "left by two")
    learn = own_learner(folder, cbs=Stop(9))
    with pytest.raises(RuntimeError, match="stop"), learn.no_logging():
        sp.fit(learn, KILLED, out=folder / "begun by one", predictions=False)
    again, lines = start(folder, "whole")
    assert again == [0, 0], "\n".join(lines)
    found = [json.loads((folder / f"found-{rank}.json").read_text()) for rank in range(2)]
    return {"statuses": statuses, "killed": printed, "printed": lines, "found": found}


def history(rows):
    return timeless(pd.DataFrame(rows))


@pytest.mark.parametrize("name", ["whole", "frames", "plain"])
def test_every_clip_is_read_once_an_epoch(trained, name):
    read = [found[name]["read"] for found in trained["found"]]
    for first, second in zip(*(part["train"] for part in read)):
        assert len(first) == len(second) == 12  # of 29 in batches of 4 and 4
        assert name == "frames" or len({*first, *second}) == 24
    for first, second in zip(*(part["valid"] for part in read)):
        assert first + second == list(range(7))


def test_the_second_process_knows_what_the_first_knows_and_writes_nothing(trained, folder):
    first, second = trained["found"]
    for name in first:
        assert first[name]["rows"] == second[name]["rows"] and first[name]["weights"] == second[name]["weights"]
        assert first[name]["layers"] == second[name]["layers"]
    assert not (folder / "nobody writes here").exists()
    assert trained["printed"][1] == ""
    assert trained["printed"][0].count("phase") == 5


@pytest.mark.parametrize("name", ["whole", "frames", "plain"])
def test_metrics_are_those_of_one_process(trained, folder, name):
    learn = {"whole": own_learner, "frames": frames_learner, "plain": plain_learner}[name](folder)
    rows = load_training(learn, folder / name)
    with learn.no_bar(), learn.no_logging():
        figures = learn.validate()
    assert list(figures) == pytest.approx(
        rows.iloc[-1][["valid_loss", "accuracy", "map@3", "macro_auc_single"]], rel=1e-6
    )
    kept = predict_all(learn)
    assert np.allclose(kept.probs, Predictions.load(folder / name / "predictions.npz").probs, atol=1e-6)


def test_the_same_seed_repeats_and_so_does_a_training_of_which_a_process_was_killed(trained, folder):
    assert trained["statuses"][1] == -9 and trained["statuses"][0] == 1
    assert "ConnectionError: another of the 2 processes of this training has ended" in trained["killed"][0]
    assert len(pd.read_csv(folder / "left by two" / "history.csv")) == 1
    assert "resuming after epoch 1 of 3" in trained["printed"][0]
    resumed, whole = trained["found"][0]["resumed"], trained["found"][0]["whole"]
    assert history(resumed["rows"]).equals(history(whole["rows"])) and len(whole["rows"]) == 3
    assert resumed["weights"] == whole["weights"]


def test_half_batches_of_two_processes_train_as_whole_ones_of_one(trained, folder):
    learn = plain_learner(folder, bs=8)
    with learn.no_logging():
        rows = timeless(sp.fit(learn, PLAIN))
    theirs = history(trained["found"][0]["plain"]["rows"])
    assert np.allclose(rows.drop(columns="phase"), theirs.drop(columns="phase"), rtol=1e-5)
    other = plain_learner(folder, bs=8)
    load_training(other, folder / "plain")
    assert torch.allclose(learn.model[1].weight, other.model[1].weight, rtol=1e-4, atol=1e-6)


def test_one_process_goes_on_from_two_and_two_from_one(trained, folder, capsys):
    learn = own_learner(folder)
    rows = sp.fit(learn, KILLED, out=folder / "left by two")
    assert "begun by 2 and goes on with 1 processes: a step takes 4 clips now, not 8" in capsys.readouterr().out
    assert timeless(rows)[:1].equals(history(trained["found"][0]["whole"]["rows"])[:1]) and len(rows) == 3
    assert "begun by 1 and goes on with 2 processes: a step takes 8 clips now, not 4" in trained["printed"][0]
    assert len(trained["found"][0]["begun by one"]["rows"]) == 3


def test_what_two_processes_trained_is_a_classifier(trained, folder):
    state = torch.load(folder / "whole" / "checkpoints" / "last.pth", weights_only=True)
    assert not any(name.startswith("module.") for name in state["model"])
    assert not (folder / "whole" / "lock").exists()
    clf = sp.load_classifier(folder / "whole")
    files = sorted((folder / "clips").rglob("*.wav"))[:3]
    assert len(clf.predict(files)) == 3


@pytest.mark.slow
def test_every_network_of_our_own_a_search_and_a_mean_of_weights_in_two_processes(folder):
    pytest.importorskip("accelerate")
    statuses, printed = start(folder, "nets")
    assert statuses == [0, 0], "\n".join(printed)
    first, second = [json.loads((folder / f"nets-{rank}.json").read_text()) for rank in range(2)]
    assert {*picture_nets(), "searched", "mean"} == set(first)
    for name in first:
        assert first[name]["weights"] == second[name]["weights"] and first[name]["rows"] == second[name]["rows"], name
    assert "found" in printed[0] and len(first["searched"]["rows"]) == 28
    for name, learn in [("searched", plain_learner(folder)), ("mean", own_learner(folder))]:
        load_training(learn, folder / name)
        assert digest(learn.model) == first[name]["weights"]
    with learn.no_bar(), learn.no_logging():
        figures = learn.validate()
    facts = json.loads((folder / "mean" / "training.json").read_text())
    assert facts["average"]["averaged"]["valid_loss"] == pytest.approx(figures[0], rel=1e-6)
    assert facts["processes"] == 2
