"""Windows of long recordings: the fast ways give the numbers of the plain ones."""

import sys

import numpy as np
import pytest
import soundfile as sf
import torch

import specimg as sp
from specimg.data import PictureInput
from specimg.data.images import FitSize
from specimg.inference import Calibration, Classifier, long_recordings, runtimes
from specimg.inference.runtimes import choose_runtime, operations_of
from specimg.models.networks import create_spec_net

SR = 8000
LABELS = ["high", "low", "noise"]
MEL = sp.Mel(n_mels=24, n_fft=256, hop_length=80)


@pytest.fixture(scope="module")
def net():
    torch.manual_seed(0)
    convolutions = torch.nn.Conv2d(1, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 4, stride=4)
    model = torch.nn.Sequential(*convolutions, torch.nn.Flatten(), torch.nn.LazyLinear(3)).eval()
    model(torch.zeros(1, 1, 24, 40))
    with torch.no_grad():
        model[-1].weight *= 10  # as sure of itself as a trained one
    return model


def classifier(model, look=None, fit=None, is_multi=False, **audio):
    look = look or sp.Renderer(MEL, audio=sp.Audio(**{"sr": SR, "duration": 1.0, **audio}))
    return Classifier(model, PictureInput(look, fit or FitSize((24, 40))), LABELS, is_multi, Calibration(1.5))


def recording(path, seconds=7.3, sr=SR, channels=1):
    """Tones that rise and fall in noise of changing level, with some silence."""
    t, rng = np.arange(round(seconds * sr)) / sr, np.random.default_rng(3)
    y = np.sin(2 * np.pi * (600 * t + 400 * np.sin(t))) * (0.2 + 0.15 * np.sin(5 * t)) + 0.02 * rng.standard_normal(
        len(t)
    )
    y[int(3.1 * sr) : int(3.6 * sr)] = 0
    several = np.stack([y * (1 - 0.3 * i) + 0.01 * i * rng.standard_normal(len(t)) for i in range(channels)], axis=1)
    sf.write(path, several.clip(-1, 1), sr)
    return path


def numbers(table):
    return table[[name for name in table if name.startswith("p_")]].to_numpy()


def one_by_one(clf, path, table, seconds=1.0):
    """Each window read and drawn by itself, and answered alone."""
    read, found = long_recordings._read_once(clf.input, seconds), []
    for start, end in table[["start", "end"]].to_numpy():
        y, sr = sf.read(
            path, dtype="float32", always_2d=True, start=round(start * clf_sr(path)), stop=round(end * clf_sr(path))
        )
        found.append(clf.probabilities(read.to_tensor(read.prepare((y, sr)))[None])[0])
    return np.stack(found)


def clf_sr(path):
    return sf.info(path).samplerate


# ---------------------------------------------------------------------- pictures without a PNG


@pytest.mark.parametrize(
    "look, fit",
    [
        (sp.Renderer(MEL), FitSize((24, 40))),
        (sp.Renderer(MEL, sp.Picture(height=30, width=50, colormap="magma")), FitSize((24, 40))),
        (sp.Renderer(sp.spectrogram.mel_and_deltas(MEL)), FitSize((24, 40), "crop", 0.4, 3)),
        (
            sp.Renderer(sp.Stft(n_fft=256, hop_length=80, part="real_imag")),
            FitSize((24, 40), "pad", 1.5, blank=(0.5, 0.5)),
        ),
        (sp.Renderer(sp.Stack(MEL, MEL, MEL, sp.Mfcc(n_mels=24, n_fft=256, hop_length=80))), FitSize((24, 40))),
    ],
    ids=["grey", "coloured", "three crops", "two padded", "four"],
)
def test_the_tensor_of_a_clip_is_that_of_its_png(look, fit, tmp_path):
    from specimg.audio.read import read_clip

    read = PictureInput(look, fit)
    clip = read_clip(recording(tmp_path / "a.wav", 1.0), look.audio)
    torch.testing.assert_close(read.clip_tensor(clip), read.to_tensor(read.prepare_clip(clip)), rtol=0, atol=0)


# ---------------------------------------------------------------------- windows as one by one


@pytest.mark.parametrize(
    "audio, sr, channels, overlap",
    [
        ({}, SR, 1, 0.0),
        ({}, SR, 1, 0.5),
        ({}, 22050, 2, 0.5),
        ({}, 11025, 2, 0.3),
        (dict(normalize="peak", highpass_hz=200), SR, 1, 0.5),
        (dict(trim_db=20.0), 16000, 2, 0.0),
        (dict(sr=None), 16000, 1, 0.75),
    ],
    ids=["plain", "overlap", "resampled", "uneven", "normalised", "trimmed", "own rate"],
)
@pytest.mark.parametrize("is_multi", [False, True], ids=["one label", "several"])
def test_windows_are_as_one_by_one(net, tmp_path, audio, sr, channels, overlap, is_multi):
    clf, path = classifier(net, is_multi=is_multi, **audio), recording(tmp_path / "long.wav", sr=sr, channels=channels)
    table = clf.predict_windows(path, overlap=overlap, progress=False)
    ok = table["status"] == "ok"
    assert ok.sum() >= 6 and table["end"].iloc[-1] == pytest.approx(7.3)  # the last window is moved back
    np.testing.assert_allclose(numbers(table[ok]), one_by_one(clf, path, table[ok]), rtol=0, atol=1e-4)


# ---------------------------------------------------------------------- runtimes


@pytest.mark.parametrize("is_multi", [False, True], ids=["one label", "several"])
def test_onnxruntime_gives_the_numbers_of_torch(net, tmp_path, is_multi):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    clf, path = classifier(net, is_multi=is_multi), recording(tmp_path / "long.wav", sr=16000, channels=2)
    plain = clf.predict_windows(path, overlap=0.5, progress=False, runtime="torch")
    fast = clf.predict_windows(path, overlap=0.5, progress=False, runtime="onnxruntime")
    assert (plain.attrs["runtime"], fast.attrs["runtime"]) == ("torch", "onnxruntime")
    assert list(fast["label"]) == list(plain["label"])
    np.testing.assert_allclose(numbers(fast), numbers(plain), rtol=0, atol=1e-4)


def test_onnxruntime_gives_frames_and_the_windows_before_damage(tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = create_spec_net("test_resnet", 1, len(LABELS), (32, 64), head="attention").eval()
    clf, path = classifier(model, fit=FitSize((32, 64)), is_multi=True), recording(tmp_path / "long.wav")
    path.write_bytes(path.read_bytes()[:-40000])
    plain = clf.predict_windows(path, frames=True, progress=False, runtime="torch")
    fast = clf.predict_windows(path, frames=True, progress=False, runtime="onnxruntime")
    assert "cut short" in fast["status"].iloc[-1] and fast.attrs["step"] == plain.attrs["step"]
    assert fast[["start", "end", "status"]].equals(plain[["start", "end", "status"]])
    np.testing.assert_allclose(numbers(fast), numbers(plain), rtol=0, atol=1e-4)


def test_a_network_is_exported_once_and_again_when_it_has_changed(net, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    from specimg.inference.export import onnx as export

    written, write = [], export.onnx_bytes
    monkeypatch.setattr(export, "onnx_bytes", lambda clf: written.append(clf) or write(clf))
    clf, path = classifier(net), recording(tmp_path / "long.wav", 3.0)
    for _ in range(2):
        first = clf.predict_windows(path, progress=False, runtime="onnxruntime")
    assert len(written) == 1
    with torch.no_grad():
        net[-1].bias += torch.tensor([1.0, 0.0, 0.0])
    second = clf.predict_windows(path, progress=False, runtime="onnxruntime")
    with torch.no_grad():
        net[-1].bias -= torch.tensor([1.0, 0.0, 0.0])
    assert len(written) == 2 and (second["p_high"] > first["p_high"]).all()


def test_exporting_is_for_hours_of_sound_and_what_is_installed(net, tmp_path, monkeypatch):
    clf, path = classifier(net), recording(tmp_path / "long.wav", 3.0)
    work = operations_of(net, (1, 24, 40))
    assert work == 2 * (8 * 9 * 11 * 19 + 8 * 8 * 16 * 2 * 4 + 3 * 64)
    assert choose_runtime(work, 100) == "torch" and choose_runtime(10**9, 2000) == "onnxruntime"
    monkeypatch.setattr(runtimes, "PAYS", 0)
    monkeypatch.setattr(runtimes, "NEEDED", ("no_such_package",))
    assert clf.predict_windows(path, progress=False).attrs["runtime"] == "torch"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert clf.predict_windows(path, progress=False, runtime="torch")["status"].eq("ok").all()


def test_auto_takes_torch_and_says_so_where_a_network_differs_or_cannot_be_exported(net, tmp_path, monkeypatch):
    clf, path = classifier(net), recording(tmp_path / "long.wav", 3.0)
    expected = clf.predict_windows(path, progress=False, runtime="torch")
    monkeypatch.setattr(runtimes, "PAYS", 0)
    monkeypatch.setattr(runtimes, "NEEDED", ())
    monkeypatch.setattr(
        runtimes, "exported_network", lambda *_: runtimes.Exported(lambda x, _: np.full((len(x), 3), 0.5), b"")
    )
    with pytest.warns(UserWarning, match="differ by up to 0.* torch runs it"):
        found = clf.predict_windows(path, progress=False)
    assert found.attrs["runtime"] == "torch" and np.array_equal(numbers(found), numbers(expected))

    def fails(clf, runtime):
        raise RuntimeError("an operator that is not known")

    monkeypatch.setattr(runtimes, "exported_network", fails)
    with pytest.warns(UserWarning, match="RuntimeError: an operator that is not known"):
        found = clf.predict_windows(path, progress=False)
    assert found.attrs["runtime"] == "torch" and np.array_equal(numbers(found), numbers(expected))


def test_a_runtime_that_cannot_do_it_is_refused(net, tmp_path, monkeypatch):
    path = recording(tmp_path / "long.wav", 3.0)
    with pytest.raises(ValueError, match="unknown runtime 'onnxruntme'; did you mean 'onnxruntime'"):
        classifier(net).predict_windows(path, runtime="onnxruntme")
    crops = classifier(net, fit=FitSize((24, 40), "crop", 0.4, 3))
    monkeypatch.setattr(runtimes, "check_runtime", lambda *_: None)
    with pytest.raises(ValueError, match="several pictures of each window"):
        crops.predict_windows(path, runtime="onnxruntime")
    monkeypatch.setattr(
        runtimes, "exported_network", lambda *_: runtimes.Exported(lambda x, _: np.zeros((len(x), 3)), b"")
    )
    with pytest.raises(ValueError, match="give runtime='torch'"):
        classifier(net).predict_windows(path, runtime="onnxruntime")
