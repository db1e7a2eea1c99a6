"""The command line: help that comes at once, the same results as the functions, errors in one line."""

import re
import subprocess
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg import __version__, cli, demo
from specimg.audio import Audio
from specimg.bundle import load_classifier
from specimg.cli import main
from specimg.picture import Picture
from specimg.render import Renderer, SpecTree
from specimg.representation import Mel, Stft
from specimg.sounds import sine

torch.set_num_threads(1)
SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
HZ = {"high": 3000, "low": 400}
SETTINGS = ["--set", "n_mels=16", "n_fft=256", "hop_length=64"]
COMMANDS = ["render", "train", "predict", "demo"]


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """16 tones in folders of classes below .audio, and .csv beside it."""
    folder = tmp_path_factory.mktemp("sounds")
    rows = []
    for i in range(8):
        for label, hz in HZ.items():
            path = folder / "audio" / label / f"{i}_{label}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            sf.write(path, sine(hz, 0.3, SR), SR)
            rows.append((f"{label}/{path.name}", f"{label} loud" if i % 2 else label, i))
    table = pd.DataFrame(rows, columns=["fname", "label", "take"])
    table.to_csv(folder / "train.csv", index=False)
    return SimpleNamespace(folder=folder, audio=folder / "audio", csv=folder / "train.csv", cache=folder / "cache")


def train(sounds, source, out, *more):
    return main(["train", str(source), "--out", str(out), *SETTINGS, "--cache", str(sounds.cache), "--arch", "test_resnet", "--pretrained", "no",
                 "--epochs", "1", "--lr", "0.003", "--bs", "4", *more])


@pytest.fixture(scope="module")
def trained(sounds):
    out = sounds.folder / "run"
    assert train(sounds, sounds.audio, out) == 0
    return out


def error(capsys):
    """What stderr says, which is one line, and nothing of a traceback."""
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    return said


# ---------------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"example:\n  specimg {command} " in capsys.readouterr().out


def test_examples_are_commands_that_are_understood(capsys):
    for command in COMMANDS:
        with pytest.raises(SystemExit):
            main([command, "--help"])
        example = capsys.readouterr().out.split("example:\n  specimg ")[1].split()
        assert cli._parser().parse_args(example).run is getattr(cli, f"_{command}")


def test_help_and_errors_come_without_torch():
    code = ("import sys\nfrom specimg.cli import main\n"
            "for argv in (['--help'], ['train', '--help'], ['--version'], ['nonsense']):\n"
            "    try: main(argv)\n"
            "    except SystemExit as left: print(left.code)\n"
            "print(main(['render', '/no/such/folder']))\n"
            "print(sorted({'torch', 'fastai', 'pandas', 'librosa', 'sklearn'} & set(sys.modules)))")
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert __version__ in out
    assert [line for line in out if line.isdigit()] == ["0", "0", "0", "2", "1"] and out[-1] == "[]"


@pytest.mark.parametrize("argv", [
    [], ["nonsense"], ["render"], ["train", "x"], ["predict", "x"], ["train", "x", "--out", "y", "--pretrained", "maybe"],
])
def test_asked_wrongly(argv):
    with pytest.raises(SystemExit) as left:
        main(argv)
    assert left.value.code == 2


# ---------------------------------------------------------------------- render


def rendered(sounds, capsys, *more):
    """The tree that a render leaves."""
    assert main(["render", str(sounds.audio), "--cache", str(sounds.cache), "--jobs", "1", *more]) == 0
    said = capsys.readouterr()
    assert "16 pictures" in said.out
    return SpecTree.open(said.out.splitlines()[-1])


def test_render_with_settings(sounds, capsys):
    tree = rendered(sounds, capsys, *SETTINGS, "fmax=3000", "sr=8000", "height=20", "--set", "audio.normalize=peak", "resample=nearest")
    assert tree.renderer == Renderer(MEL.replace(fmax=3000.0), Picture(height=20, resample="nearest"), Audio(sr=8000, normalize="peak"))
    assert len(tree) == 16


def test_render_another_representation(sounds, capsys):
    tree = rendered(sounds, capsys, "--representation", "stft", "--set", "n_fft=256", "representation.hop_length=64")
    assert tree.renderer == Renderer(Stft(n_fft=256, hop_length=64))


def test_render_a_look_from_a_file(sounds, capsys, tmp_path):
    look = Renderer(MEL, Picture(height=24), Audio(duration=0.25))
    (tmp_path / "look.toml").write_text(look.to_toml())
    tree = rendered(sounds, capsys, "--look", str(tmp_path / "look.toml"), "--set", "duration=none", "top_db=60")
    assert tree.renderer == Renderer(MEL.replace(top_db=60.0), Picture(height=24))


def test_render_names_failures(tmp_path, capsys, sounds):
    sf.write(tmp_path / "good.wav", sine(400, 0.3, SR), SR)
    (tmp_path / "bad.wav").write_bytes(b"")
    assert main(["render", str(tmp_path), "--cache", str(tmp_path / "cache"), "--jobs", "1", "--verbose", *SETTINGS]) == 0
    said = capsys.readouterr()
    assert "1 pictures, 1 failures" in said.out
    assert "note: 1 of 2 clips could not be drawn" in said.err and "'bad.wav': is empty (0 bytes)" in said.err


@pytest.mark.parametrize("text, value", [
    ("3", 3), ("-3", -3), ("0.5", 0.5), ("1e-3", 0.001), ("none", None), ("None", None), ("TRUE", True), ("false", False), ("hann", "hann"), ("", ""),
])
def test_settings_are_numbers_truths_none_or_text(text, value):
    got = cli._settings([f"a={text}"])["a"]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize("more, message", [
    (["--set", "n_melz=3"], "unknown setting 'n_melz'; did you mean 'n_mels'"),
    (["--set", "durations=3"], "unknown setting 'durations'; did you mean 'duration'"),
    (["--set", "audio.srr=3"], "unknown field of Audio 'srr'; did you mean 'sr'"),
    (["--set", "adio.sr=3"], "unknown part of a renderer 'adio'; did you mean 'audio'"),
    (["--set", "n_mels=many"], r"Mel\(n_mels=...\): 'many' is not a whole number"),
    (["--set", "n_mels"], "'n_mels' is no setting; write name=value"),
    (["--representation", "mell"], "unknown representation 'mell'; did you mean 'mel'"),
    (["--look", "no.toml"], "no.toml"),
])
def test_a_look_that_is_none(more, message, sounds, capsys):
    assert main(["render", str(sounds.audio), *more]) == 1
    assert re.search(message, error(capsys))


def test_a_broken_look_is_named(sounds, tmp_path, capsys):
    (tmp_path / "look.toml").write_text("kind = [")
    assert main(["render", str(sounds.audio), "--look", str(tmp_path / "look.toml")]) == 1
    assert "look.toml' describes no renderer" in error(capsys)


# ---------------------------------------------------------------------- train


def test_train_leaves_a_classifier_and_pictures(trained, sounds):
    names = {file.name for file in trained.iterdir()}
    assert names == {"run", "classifier", "learning_curves.png", "top_losses.png", "confusion.png"}
    clf = load_classifier(trained / "classifier")
    assert clf.vocab == ["high", "low"] and clf.renderer == Renderer(MEL)


def test_train_again_takes_the_finished_network(trained, sounds, capsys):
    before = (trained / "classifier" / "weights.safetensors").read_bytes()
    (trained / "classifier" / "classifier.json").unlink()            # stopped before it was saved
    assert train(sounds, sounds.audio, trained) == 0
    assert (trained / "classifier" / "weights.safetensors").read_bytes() == before
    said = capsys.readouterr().out
    assert "2 classes; 16 x 38 pixels" in said and "the classifier is in" in said and "█" not in said


def test_train_with_another_recipe_needs_another_folder(trained, sounds, capsys):
    assert train(sounds, sounds.audio, trained, "--epochs", "2") == 1
    assert "epochs is 1 there and 2 here" in error(capsys)


def test_train_on_names(sounds, capsys):
    assert train(sounds, sounds.audio, sounds.folder / "names", "--regex", r"_(?P<label>[a-z]+)", "--baseline", "--size", "20") == 0
    said = capsys.readouterr().out
    assert "linear baseline: accuracy 1.000" in said and "20 x 20 pixels" in said


def test_train_on_a_csv_of_several_labels(sounds, capsys):
    out = sounds.folder / "several"
    columns = ["--folder", "audio", "--fn-col", "fname", "--label-col", "1", "--label-delim", " "]
    assert train(sounds, sounds.csv, out, *columns, "--valid-pct", "0.25") == 0
    assert "12 clips train, 4 validate; 3 classes" in capsys.readouterr().out
    assert load_classifier(out / "classifier").is_multi and not (out / "confusion.png").exists()


@pytest.mark.parametrize("argv, message", [
    (["nowhere.csv"], "nowhere.csv' is not there"),
    (["CSV", "--folder", "audio", "--label-col", "lable"], "unknown column in the table 'lable'; did you mean 'label'"),
    (["CSV", "--folder", "sound"], "none of the 16 names in the table is a file below"),
    (["CSV", "--folder", "audio", "--label-col", "take", "--baseline", "--label-delim", " "], "the linear baseline needs one label a clip"),
    (["AUDIO", "--lr", "fast"], r"Recipe(lr='fast')"),
    (["AUDIO", "--arch", "test_resnt"], "unknown arch 'test_resnt'; did you mean 'test_resnet'"),
    (["AUDIO", "--regex", "("], "is not a regular expression"),
])
@pytest.mark.filterwarnings("ignore")
def test_training_that_cannot_be(argv, message, sounds, tmp_path, capsys):
    source = {"CSV": sounds.csv, "AUDIO": sounds.audio}.get(argv[0], tmp_path / argv[0])
    assert train(sounds, source, tmp_path / "out", *argv[1:]) == 1
    said = capsys.readouterr().err
    assert message in said.splitlines()[-1] and "Traceback" not in said
    assert not (tmp_path / "out" / "classifier").exists()


# ---------------------------------------------------------------------- predict


def test_predict_prints_a_short_table(trained, sounds, capsys):
    paths = [sounds.audio / "low" / "0_low.wav", sounds.folder / "gone.wav", sounds.audio / "high" / "1_high.wav"]
    assert main(["predict", str(trained / "classifier"), *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "path,label,probability,status"
    wanted = load_classifier(trained / "classifier").predict(paths)
    for line, row in zip(lines[1:], wanted.itertuples()):
        assert line == f"{row.path},{row.label},{row.probability:.4f},ok" if row.status == "ok" else f"{row.path},,,is not there"


def test_predict_a_folder_into_a_file(trained, sounds, tmp_path, capsys):
    assert main(["predict", str(trained / "classifier"), str(sounds.audio), "--out", str(tmp_path / "new" / "labels.csv")]) == 0
    table = pd.read_csv(tmp_path / "new" / "labels.csv")
    assert list(table.columns) == ["path", "label", "probability", "status", "p_high", "p_low"] and len(table) == 16
    assert np.allclose(table["p_high"] + table["p_low"], 1, atol=1e-5)
    assert "16 rows in" in capsys.readouterr().out


def test_predicting_that_cannot_be(trained, sounds, tmp_path, capsys):
    classifier = str(trained / "classifier")
    assert main(["predict", str(tmp_path / "nowhere"), str(sounds.audio)]) == 1
    assert "nowhere' is not a classifier" in error(capsys)
    assert main(["predict", classifier, str(tmp_path)]) == 1
    assert "holds no recordings" in error(capsys)
    assert main(["predict", classifier, str(tmp_path / "gone.wav")]) == 1
    assert "no recording could be labelled" in error(capsys)


# ---------------------------------------------------------------------- demo, and how commands end


def test_demo_hands_its_arguments_on(monkeypatch):
    calls = []
    monkeypatch.setattr(demo, "run_demo", lambda *args: calls.append(args))
    assert main(["demo", "here", "--arch", "resnet18", "--epochs", "3", "--per-class", "9"]) == 0
    assert main(["demo"]) == 0
    assert calls == [("here", "resnet18", demo.RECIPE.replace(epochs=3), 9), ("demo", "resnet34", demo.RECIPE, 60)]


@pytest.mark.parametrize("raised, status, said", [
    (KeyboardInterrupt(), 130, "stopped\n"), (OSError(28, "No space left on device"), 1, "specimg: [Errno 28] No space left on device\n"),
    (ModuleNotFoundError("needs noisereduce"), 1, "specimg: needs noisereduce\n"),
])
def test_how_a_command_ends(raised, status, said, monkeypatch, capsys):
    def fail(args):
        raise raised

    monkeypatch.setattr(cli, "_render", fail)
    assert main(["render", "x"]) == status
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(cli, "_render", lambda args: {}["missing"])
    with pytest.raises(KeyError):
        main(["render", "x"])


def test_warnings_are_notes_while_a_command_runs(monkeypatch, capsys):
    before = warnings.showwarning
    monkeypatch.setattr(cli, "_render", lambda args: warnings.warn("three clips are short"))
    assert main(["render", "x"]) == 0
    assert capsys.readouterr().err == "note: three clips are short\n"
    assert warnings.showwarning is before
