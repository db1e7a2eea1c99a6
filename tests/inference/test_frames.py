"""Frame by frame: a network that hears loudness in each of its frames, on recordings whose loud parts are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
from torch import nn

import specimg as sp
from specimg.data.images import FitSize
from specimg.data.inputs import PictureInput
from specimg.inference import Classifier, Ensemble
from specimg.inference.frames import frames_of_windows
from specimg.models.heads import AttentionHead
from specimg.models.networks import Normalise, SpecNet

SR, STEP = 8000, 0.25


class Mean(nn.Module):
    """Mean level of each of 8 parts of the picture in time: a map of one feature."""

    def forward(self, x):
        return nn.functional.adaptive_avg_pool2d(x, (1, 8))


def loudness(level=0.2):
    """A network whose frames are of "loud" where the mean level is above `level`, of pictures of 2 s."""
    head = AttentionHead(1, n_classes=2, hidden=1)
    for layer, weight, bias in ((head.hidden[1], 1.0, 0.0), (head.frames, 400.0, -400 * level)):
        layer.weight.data.fill_(weight)
        layer.bias.data.fill_(bias)
    head.frames.weight.data[1] *= -1
    head.frames.bias.data[1] *= -1
    return SpecNet(nn.Sequential(Normalise([0.0], [1.0]), Mean()), head).eval()


def classifier(method="squish", seconds=None, windows=1, duration=2.0, model=None, **audio):
    look = sp.Renderer(
        sp.Mel(n_mels=16, n_fft=256, hop_length=80, ref=1.0), audio=sp.Audio(sr=SR, duration=duration, **audio)
    )
    read = PictureInput(look, FitSize((16, 64), method, seconds, windows))
    return Classifier(model or loudness(), read, ["loud", "quiet"], is_multi=True)


@pytest.fixture
def recording(tmp_path):
    """12 s, loud from 3 to 4 and from 7.5 to 9 s."""
    rng = np.random.default_rng(0)
    y = 1e-4 * rng.standard_normal(12 * SR)
    for start, end in ((3, 4), (7.5, 9)):
        y[int(start * SR) : int(end * SR)] = 0.5 * rng.standard_normal(int((end - start) * SR))
    sf.write(tmp_path / "long.wav", y.clip(-1, 1), SR)
    return tmp_path / "long.wav"


@pytest.mark.parametrize("overlap", [0.0, 1.0, 0.7])
def test_events_have_the_onsets_and_offsets_of_frames(recording, overlap):
    frames = classifier().predict_windows(recording, overlap=overlap, frames=True)
    assert frames.attrs["step"] == STEP and frames["start"].iloc[0] == 0 and frames["end"].iloc[-1] == 12
    assert (frames["start"].to_numpy()[1:] == frames["end"].to_numpy()[:-1]).all()
    events = sp.merge_events(frames, labels="loud")
    found = events[["start", "end"]].to_numpy()
    assert found.shape == (2, 2) and np.abs(found - [[3, 4], [7.5, 9]]).max() <= STEP
    windows = classifier().predict_windows(recording, overlap=overlap)
    coarse = sp.merge_events(windows, labels="loud")[["start", "end"]].to_numpy()
    assert len(coarse) == 0 or np.abs(coarse[0] - [3, 4]).max() > STEP


def test_windows_that_do_not_overlap_give_every_frame(recording):
    clf = classifier()
    frames = clf.predict_windows(recording, frames=True)
    x = torch.stack(
        [clf.to_input((sf.read(recording)[0][i * 2 * SR : (i + 1) * 2 * SR].astype("f4"), SR)) for i in range(6)]
    )
    assert len(frames) == 48
    np.testing.assert_allclose(
        frames[["p_loud", "p_quiet"]].to_numpy(), clf.frame_probabilities(x).reshape(48, 2), rtol=1e-4, atol=1e-6
    )


def test_a_window_of_a_crop_spans_its_own_seconds(recording):
    clf = classifier("crop", seconds=2.0, windows=3, duration=None)
    events = sp.merge_events(clf.predict_windows(recording, frames=True), labels="loud")
    assert np.abs(events[["start", "end"]].to_numpy() - [[3, 4], [7.5, 9]]).max() <= STEP
    padded = classifier("pad", seconds=4.0, duration=None).predict_windows(recording, seconds=2, frames=True)
    assert padded.attrs["step"] == 0.5 and (padded.groupby(padded["start"] // 2).size() == 4).all()


@pytest.mark.parametrize(
    "seconds, ends", [(0.1, None), (0.25, [0.25]), (0.9, [0.25, 0.5, 0.75, 0.9]), (2.0, list(np.arange(1, 9) * 0.25))]
)
def test_recordings_shorter_than_a_window_and_than_a_frame(tmp_path, seconds, ends):
    sf.write(tmp_path / "short.wav", 0.1 * np.ones(round(seconds * SR)), SR)
    frames = classifier().predict_windows(tmp_path / "short.wav", frames=True)
    if ends is None:
        assert frames["status"].tolist() == [
            "0.1 s is shorter than one frame of the network, 0.25 s; pad the recording"
        ]
        assert frames["p_loud"].isna().all() and len(sp.merge_events(frames)) == 0
    else:
        assert frames["end"].tolist() == pytest.approx(ends) and (frames["status"] == "ok").all()


def test_recordings_that_cannot_be_read_are_rows_among_frames(recording, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    frames = classifier().predict_windows([recording, tmp_path / "bad.wav", recording, recording], frames=True)
    assert (frames["status"] != "ok").sum() == 1 and len(frames) == 3 * 48 + 1
    alone = classifier().predict_windows(tmp_path / "bad.wav", frames=True)
    assert len(alone) == 1 and alone["p_loud"].isna().all()


def test_an_ensemble_averages_frames_too():
    several = Ensemble([loudness(0.2), loudness(0.4)], is_multi=True).eval()
    clf = classifier(model=several)
    x = torch.rand(2, 1, 16, 64)
    each = [classifier(model=net).frame_probabilities(x) for net in several.networks]
    assert clf.has_frames
    np.testing.assert_allclose(clf.frame_probabilities(x), np.mean(each, axis=0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda: classifier(model=nn.Sequential(nn.Flatten(), nn.Linear(1024, 2))), r"head='attention'"),
        (lambda: classifier(trim_db=20), r"Audio\(trim_db=20\) cuts parts out of every window"),
        (lambda: classifier("crop", seconds=1.0, windows=2), "2 crops, whose frames overlap; give seconds=1 or less"),
    ],
)
def test_classifiers_whose_frames_have_no_times(recording, make, reason):
    with pytest.raises(ValueError, match=reason):
        make().predict_windows(recording, frames=True)


def test_frames_are_cut_where_windows_overlap():
    spans = [("a", 0.0, 2.0, "ok"), ("a", 1.5, 3.5, "ok"), ("b", 0.0, 2.0, "ok"), ("b", 2.0, np.nan, "broken")]
    probs = np.arange(3)[:, None, None] * np.ones((3, 4, 1))
    rows, found = frames_of_windows(spans, probs, 0.5)
    table = pd.DataFrame(rows, columns=["path", "start", "end", "status"])
    a = table[table["path"] == "a"]
    assert a["start"].tolist() == [0, 0.5, 1, 1.75, 2, 2.5, 3]
    assert (a["start"].to_numpy()[1:] == a["end"].to_numpy()[:-1]).all()
    assert table["status"].tolist()[-1] == "broken" and sum(map(len, found)) == len(table) - 1


@pytest.mark.parametrize("head", ["gem", "attention"])
def test_the_head_is_in_the_classifiers_folder_and_in_that_of_a_training(tmp_path, head):
    rng = np.random.default_rng(0)
    for i in range(8):
        (tmp_path / "clips" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / "clips" / "ab"[i % 2] / f"{i}.wav", 0.1 * rng.standard_normal(SR), SR)
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=80))
    dls = sp.SpecDataLoaders.from_folder(
        tmp_path / "clips", renderer=look, cache=tmp_path / "cache", bs=2, size=(32, 96), valid_pct=0.25, num_workers=0
    )
    learn = sp.spec_learner(dls, "test_resnet", pretrained=False, head=head)
    with learn.no_bar(), learn.no_logging():
        sp.fit(learn, sp.Recipe(epochs=1, freeze_epochs=0, lr=1e-3), out=tmp_path / "run")
    for folder in (sp.save_classifier(learn, tmp_path / "clf", golden=0), tmp_path / "run"):
        clf = sp.load_classifier(folder)
        assert clf.network["head"] == head and clf.has_frames == (head == "attention")
        x = torch.rand(2, 1, 32, 96)
        with torch.inference_mode():
            torch.testing.assert_close(clf.model(x), learn.model.eval()(x))
    with learn.no_bar():
        found = sp.training.predict_all(learn)
    np.testing.assert_allclose(
        clf.embed([tmp_path / "clips" / path for path in found.table["path"]]).filter(regex="^e_").to_numpy(),
        found.embeddings,
        rtol=1e-3,
        atol=1e-4,
    )
