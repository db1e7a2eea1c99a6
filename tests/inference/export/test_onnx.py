"""A classifier as one file: onnxruntime alone gives the classifier's own probabilities, from pictures and from samples."""

import json
import sys
import textwrap

import numpy as np
import pytest
import soundfile as sf
import torch

from specimg.audio import Audio
from specimg.data import PictureInput, WaveInput
from specimg.data.graph import AudioFrontEnd
from specimg.data.images import FitSize
from specimg.data.waves import FitWave
from specimg.inference import Calibration, Classifier, Ensemble
from specimg.inference.export import onnx as export, quantise_onnx
from specimg.inference.export.onnx import ProbabilityNet, to_exported, to_onnx
from specimg.models.networks import create_spec_net
from specimg.render.renderer import Renderer
from specimg.spectrogram import Cqt, Mel, mel_and_deltas
from specimg.spectrogram.picture import Picture

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
torch.set_num_threads(1)

SR = 8000
MEL = Mel(n_mels=32, n_fft=256, hop_length=64)
LABELS = ["dög", "cat", "low; label"]


def network(seed=0, channels=1, size=(32, 40)):
    """A small network that answers differently to different pictures."""
    torch.manual_seed(seed)
    convolutions = torch.nn.Conv2d(channels, 8, 3, stride=2), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 4, stride=4)
    net = torch.nn.Sequential(*convolutions, torch.nn.Flatten(), torch.nn.LazyLinear(3)).eval()
    net(torch.zeros(1, channels, *size))
    with torch.no_grad():
        net[-1].weight *= 10  # as sure of itself as a trained one
    return net


def classifier(model=None, representation=MEL, fit=None, audio=Audio(sr=SR), is_multi=False, **calibration):
    look = Renderer(representation, Picture(), audio)
    model = model or network(channels=representation.channels)
    return Classifier(model, PictureInput(look, fit or FitSize((32, 40))), LABELS, is_multi, Calibration(**calibration))


def clips(n=3, seconds=0.4, seed=0):
    """Rising tones in noise, (n, samples); the second is silent."""
    t, rng = np.arange(round(SR * seconds)) / SR, np.random.default_rng(seed)
    out = np.stack(
        [np.sin(2 * np.pi * (300 + 500 * i + 900 * t) * t) * 0.3 + 0.01 * rng.standard_normal(len(t)) for i in range(n)]
    )
    out[1:2] = 0
    return out.astype(np.float32)


def open_session(path):
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def answers(session, x):
    return session.run(["probabilities"], {session.get_inputs()[0].name: np.asarray(x)})[0]


def said(clf, ys):
    table = clf.predict([(y, SR) for y in ys], progress=False)
    return table[[f"p_{label}" for label in LABELS]].to_numpy()


@pytest.fixture(scope="module")
def listening(tmp_path_factory):
    """A classifier and its file from samples to probabilities."""
    clf = classifier(temperature=0.25)
    return clf, to_onnx(clf, tmp_path_factory.mktemp("onnx") / "listening.onnx", audio=True)


# ---------------------------------------------------------------------- from pictures


def test_a_network_is_one_file_with_batches_of_any_size(tmp_path):
    model = create_spec_net("test_resnet", 1, 3, (32, 40))
    clf = classifier(model.eval(), is_multi=True, temperature=1.7, thresholds=(0.2, 0.5, 0.9))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    path = to_onnx(clf, tmp_path / "net.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["net.onnx"]
    session = open_session(path)
    (picture,), (out,) = session.get_inputs(), session.get_outputs()
    assert (
        picture.name == "picture"
        and picture.shape[1:] == [1, 32, 40]
        and isinstance(picture.shape[0], str)
        and out.shape[1:] == [3]
    )
    x = torch.rand(5, 1, 32, 40)
    for n in (1, 5):
        np.testing.assert_allclose(answers(session, x[:n].numpy()), clf.probabilities(x[:n]), atol=2e-6)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["labels"]) == LABELS and json.loads(facts["several_labels"]) is True
    assert json.loads(facts["thresholds"]) == [0.2, 0.5, 0.9]
    assert (
        facts["temperature"] == "1.7"
        and "sample_rate" not in facts
        and Renderer.from_json(facts["renderer"]) == clf.renderer
    )
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())


def test_the_file_says_nothing_of_where_it_was_made(listening):
    assert b".py" not in listening[1].read_bytes()
    onnx.checker.check_model(str(listening[1]), full_check=True)


# ---------------------------------------------------------------------- from samples


@pytest.mark.parametrize("n", [1, 3, 5])
def test_samples_give_what_predict_says(listening, n):
    clf, path = listening
    ys = clips(n, seconds=0.4)
    want = said(clf, ys)
    np.testing.assert_allclose(answers(open_session(path), ys), want, atol=1e-3)
    assert n == 1 or np.ptp(want, axis=0).max() > 0.2  # the clips are told apart


@pytest.mark.parametrize("samples", [1, 2, 100, 255, 4321, 40000])
def test_clips_of_any_length(listening, samples):
    clf, path = listening
    y = np.tile(clips(1, seconds=1.0)[0] + np.float32(0.05), 5)[:samples]
    np.testing.assert_allclose(answers(open_session(path), y[None]), said(clf, [y]), atol=1e-3)


def test_silence_alone_and_quiet_clips(listening):
    clf, path = listening
    ys = np.stack([np.zeros(3000, np.float32), np.full(3000, 1e-8, np.float32), clips(1)[0, :3000] * np.float32(1e-3)])
    np.testing.assert_allclose(answers(open_session(path), ys), said(clf, ys), atol=1e-3)


def test_nan_is_not_hidden(listening):
    y = clips(1)
    y[0, 7] = np.nan
    assert np.isnan(answers(open_session(listening[1]), y)).all()


def test_spoken_digits_agree(listening, fsdd):
    clf, path = listening
    session, files = open_session(path), sorted(fsdd.glob("*.wav"))[::100]
    want = clf.predict(files, progress=False)[[f"p_{label}" for label in LABELS]].to_numpy()
    got = np.concatenate([answers(session, sf.read(file, dtype="float32")[0][None]) for file in files])
    assert len(files) == 30 and np.abs(got - want).max() < 1e-3 and np.ptp(want, axis=0).max() > 0.1


def test_the_example_of_the_docstring_runs(listening, tmp_path, monkeypatch, capsys):
    clf, path = listening
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits-audio.onnx").write_bytes(path.read_bytes())
    y = clips(1)[0]
    sf.write("seven.wav", np.stack([y, 0.5 * y], axis=1), SR, subtype="FLOAT")
    lines = export.__doc__.splitlines()
    begin = next(i for i, line in enumerate(lines) if line.strip() == "import json")
    end = next(i for i in range(begin, len(lines)) if "print(" in lines[i])
    exec(textwrap.dedent("\n".join(lines[begin : end + 1])), {})
    want = clf.predict("seven.wav", progress=False).iloc[0]
    label, probability = capsys.readouterr().out.rsplit(" ", 1)
    assert label == want["label"] and float(probability) == pytest.approx(want["probability"], abs=1e-3)


def test_windows_channels_a_fixed_length_and_an_ensemble_in_one_file(tmp_path):
    several = Ensemble([Windowed(network(seed, 3, (16, 16))) for seed in (1, 2)], is_multi=True)
    audio = Audio(duration=0.5, pad="repeat", normalize="rms")
    clf = classifier(
        several, mel_and_deltas(MEL), FitSize((16, 16), "crop", seconds=0.2, windows=2), audio, is_multi=True
    )
    session = open_session(to_onnx(clf, tmp_path / "all.onnx", audio=True, seconds=0.4, sr=SR))
    assert session.get_inputs()[0].shape[1:] == [3200]
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["samples"], facts["sample_rate"], facts["channels"], facts["channel"]) == (
        "3200",
        "8000",
        "3",
        "mean",
    )
    for n in (1, 4):
        np.testing.assert_allclose(answers(session, clips(n)), said(clf, clips(n)), atol=1e-3)


class Windowed(torch.nn.Module):
    """A network that averages windows, as `SpecNet` does."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2]).mean(1)


# ---------------------------------------------------------------------- torch's own


@pytest.mark.parametrize("audio", [False, True])
def test_frames_are_a_second_output(tmp_path, audio):
    torch.manual_seed(0)
    model = create_spec_net("test_resnet", 1, 3, (32, 96), head="attention").eval()
    clf = classifier(model, fit=FitSize((32, 96)), is_multi=True, temperature=2.0)
    session = open_session(clf.to_onnx(tmp_path / "frames.onnx", audio=audio))
    ys = clips()
    x = torch.stack([clf.to_input((y, SR)) for y in ys])
    whole, frames = session.run(["probabilities", "frames"], {"samples": ys} if audio else {"picture": x.numpy()})
    assert frames.shape == (3, 3, 3)
    np.testing.assert_allclose(whole, clf.probabilities(x), atol=1e-4)
    np.testing.assert_allclose(frames, clf.frame_probabilities(x), atol=1e-4)


def test_an_exported_program_answers_without_specimg(tmp_path):
    audio = Audio(sr=SR, normalize="peak")
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1000, 3))
    clf = Classifier(model, WaveInput(FitWave(audio, 1000)), LABELS, False, Calibration(temperature=0.5))
    path = to_exported(clf, tmp_path / "wave.pt2", audio=True)
    extra = {"specimg.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    for n in (1, 5):
        np.testing.assert_allclose(program(torch.from_numpy(clips(n))).detach().numpy(), said(clf, clips(n)), atol=1e-5)
    assert json.loads(json.loads(extra["specimg.json"])["labels"]) == LABELS


def test_a_graph_of_waveforms_takes_waveforms():
    clf = Classifier(torch.nn.Flatten(), WaveInput(FitWave(Audio(sr=SR), 3)), LABELS, False, Calibration())
    program, name, facts = export._exported(clf, audio=False, seconds=None, sr=None)
    assert name == "waveform" and (facts["height"], facts["width"], facts["channels"]) == ("1", "3", "1")
    x = torch.rand(4, 1, 1, 3)
    torch.testing.assert_close(program.module()(x), x.flatten(1).softmax(-1))


# ---------------------------------------------------------------------- what is refused


def test_what_no_graph_can_draw_is_an_error_and_leaves_no_file(tmp_path):
    with pytest.raises(ValueError, match=r"the representation cqt .*, nor with Audio\(trim_db=30.0\).*audio=False"):
        to_onnx(classifier(network(), Cqt(), audio=Audio(sr=SR, trim_db=30)), tmp_path / "x.onnx", audio=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options, said",
    [
        (dict(seconds=1.0), "begins with the picture; give audio=True"),
        (dict(sr=8000), "begins with the picture; give audio=True"),
        (dict(audio=True, seconds=0), "seconds=0: give a number above 0"),
        (dict(audio=True, sr=16000), "sr=16000: these recordings are drawn at 8000 Hz"),
        (dict(opset=17), "opset=17: torch's exporter writes 18 and later"),
    ],
)
def test_arguments_that_do_not_go_together(options, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        to_onnx(classifier(), tmp_path / "x.onnx", **options)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(ValueError, match="is a folder; give a file, such as dog.onnx"):
        to_onnx(classifier(), tmp_path)


def test_an_open_sampling_rate_has_to_be_given(tmp_path):
    with pytest.raises(ValueError, match="a graph has one; give sr="):
        to_onnx(classifier(audio=Audio()), tmp_path / "x.onnx", audio=True, seconds=1.0)


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_missing_packages_are_named(package, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{package} is not installed: pip install specimg\[onnx\]"):
        to_onnx(classifier(), tmp_path / "x.onnx")


def test_an_old_torch_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.export, "Dim", object)
    with pytest.raises(ImportError, match="needs torch 2.6 or later"):
        to_exported(classifier(), tmp_path / "x.pt2")


def test_the_module_itself_answers_as_the_classifier():
    clf = classifier(temperature=0.25, is_multi=True)
    net = ProbabilityNet(clf, AudioFrontEnd(clf.renderer, clf.input.transform)).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(net(torch.from_numpy(clips(5))).numpy(), said(clf, clips(5)), atol=1e-3)


# ---------------------------------------------------------------------- in eight bits


def test_eight_bits_answer_nearly_the_same_from_a_smaller_file_with_the_same_facts(tmp_path):
    clf = classifier(create_spec_net("test_resnet", 1, 3, (32, 40)).eval())
    x = np.random.default_rng(0).random((32, 1, 32, 40), dtype=np.float32)
    exact, small = to_onnx(clf, tmp_path / "exact.onnx"), tmp_path / "int8.onnx"
    assert quantise_onnx(exact, small, x[:16]) == small
    assert small.stat().st_size < 0.5 * exact.stat().st_size
    off = abs(answers(open_session(small), x[16:]) - answers(open_session(exact), x[16:]))
    assert 0 < off.max() < 0.05
    facts = [open_session(file).get_modelmeta().custom_metadata_map for file in (exact, small)]
    assert facts[0] == facts[1] and json.loads(facts[1]["labels"]) == LABELS


def test_eight_bits_need_something_to_know_the_ranges_from(tmp_path):
    with pytest.raises(ValueError, match="no inputs"):
        quantise_onnx(tmp_path / "any.onnx", tmp_path / "int8.onnx", np.zeros((0, 1, 32, 40)))
    assert not (tmp_path / "int8.onnx").exists()
