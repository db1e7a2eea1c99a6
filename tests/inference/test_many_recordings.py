"""Recordings that are dealt over workers get the rows that one process gives."""

import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from dask_cluster import Cluster

import specimg as sp
from specimg.core.clusters import pickled
from specimg.data import PictureInput
from specimg.data.images import FitSize
from specimg.inference import Classifier, many_recordings

SR = 8000
LOOK = sp.Renderer(sp.Mel(n_mels=24, n_fft=256, hop_length=80), audio=sp.Audio(sr=SR, duration=1.0))


@pytest.fixture(scope="module")
def clf():
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 5, stride=3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 7 * 12, 3)
    )
    net.embed = net[:3].forward
    return Classifier(net.eval(), PictureInput(LOOK, FitSize((24, 40))), ["high", "low", "noise"], False)


@pytest.fixture
def recordings(tmp_path, write_wav, sine, monkeypatch):
    """Nine of different lengths, one of which is none."""
    monkeypatch.setattr(many_recordings, "BATCHES", 1)
    for i in range(9):
        write_wav(tmp_path / f"{i}.wav", sine(200 + 300 * i, 0.6 + 0.2 * i, SR), SR)
    (tmp_path / "4.wav").write_text("no sound")
    return tmp_path


def check_same(there, here):
    pd.testing.assert_frame_equal(there, here, check_exact=False, rtol=0, atol=1e-6)
    assert there.attrs == here.attrs and there["path"].tolist() == here["path"].tolist()
    assert there.loc[there["status"] != "ok", "status"].str.contains("not a recording").all()


def check_everything(clf, recordings, **options):
    """All verbs, with one worker and with more, batches divided alike or otherwise."""
    files = sorted(map(str, recordings.glob("*.wav")))
    samples = [(0.1 * np.random.default_rng(0).standard_normal(SR).astype("float32"), SR)]
    many = dict(bs=4, progress=False, n_jobs=2)
    one = many | {"n_jobs": 1, "bs": 3}
    check_same(clf.predict(files + samples, **many), clf.predict(files + samples, **one))
    check_same(clf.embed(files, **many), clf.embed(files, **one))
    for settings in ({}, {"overlap": 0.5, "seconds": 1.0}):
        check_same(
            clf.predict_windows(recordings, **settings, **many), clf.predict_windows(recordings, **settings, **one)
        )
    unread = clf.predict([recordings / "4.wav"], **many)
    assert unread["probability"].isna().all() and "not a recording" in unread["status"][0]


def test_threads_share_recordings(clf, recordings, monkeypatch):
    monkeypatch.setattr("specimg.core.parallel.WORTH_WORKERS", 0)
    with joblib.parallel_config(backend="threading"):
        check_everything(clf, recordings)


def test_a_classifier_travels(clf, recordings):
    there = pickle.loads(pickled(many_recordings._Travelling(clf))).clf
    assert there.model is not clf.model
    check_same(there.predict(recordings, progress=False), clf.predict(recordings, progress=False))


def test_wrong_arguments_are_said_at_once(clf, recordings):
    for wrong in ({"seconds": 9.0}, {"overlap": 2.0}, {"bs": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}="):
            clf.predict_windows(recordings, n_jobs=2, progress=False, **wrong)


def on_worker():
    """What is run in a worker, which cannot import this module: functions that travel whole."""

    def count_loads():
        from specimg.inference.many_recordings import _Travelling as Travelling

        load, Travelling.loads = Travelling.__setstate__, 0

        def counted(self, state):
            Travelling.loads += 1
            load(self, state)

        Travelling.__setstate__ = counted

    def loads_so_far():
        from specimg.inference.many_recordings import _Travelling

        return _Travelling.loads

    return count_loads, loads_so_far


@pytest.mark.cluster
def test_dask_workers_load_the_networks_once(clf, recordings, tmp_path_factory, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr("specimg.core.clusters.INLINE", 100)  # so that it travels as large networks do
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    cluster.add_worker()
    try:
        with distributed.Client(scheduler_file=cluster.file) as client, joblib.parallel_config(backend="dask"):
            check_everything(clf, recordings)
            count_loads, loads_so_far = on_worker()
            client.run(count_loads)
            clf.predict(recordings, bs=1, progress=False, n_jobs=-1)
            [loads] = client.run(loads_so_far).values()
            assert loads == 1  # for nine chunks
    finally:
        cluster.kill(*cluster.processes)
