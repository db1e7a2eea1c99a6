"""The command line: help that comes at once, the same results as the functions, errors in one line."""

import re
import shlex
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg import __version__, cli, datasets
from specimg.audio import Audio
from specimg.cli import demo, main, render as drawing, runs as competing
from specimg.cli.common import read_settings
from specimg.competitions import Competition, check_submission
from specimg.data.tta import TTA
from specimg.datasets import make_competition, sine
from specimg.experiments import Run, RunConfig, blend
from specimg.inference import load_classifier
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree
from specimg.spectrogram import Mel, Stft
from specimg.spectrogram.picture import Picture
from specimg.training import Recipe

torch.set_num_threads(1)
SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)
HZ = {"high": 3000, "low": 400}
SETTINGS = ["--set", "n_mels=16", "n_fft=256", "hop_length=64"]
COMMANDS = [
    "render",
    "train",
    "report",
    "review",
    "keep",
    "predict",
    "windows",
    "export",
    "push",
    "fetch",
    "cv",
    "compare",
    "submit",
    "blend",
    "check",
    "demo",
]


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
    return main(
        [
            "train",
            str(source),
            "--out",
            str(out),
            *SETTINGS,
            "--cache",
            str(sounds.cache),
            "--arch",
            "test_resnet",
            "--pretrained",
            "no",
            "--epochs",
            "1",
            "--lr",
            "0.003",
            "--bs",
            "4",
            *more,
        ]
    )


@pytest.fixture(scope="module")
def trained(sounds):
    out = sounds.folder / "run"
    assert train(sounds, sounds.audio, out) == 0
    return out


def error(capsys):
    """What stderr says, which is one line besides a note on tones that are alike, and nothing of a traceback."""
    said = "".join(line for line in capsys.readouterr().err.splitlines(True) if "same content" not in line)
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
        example = shlex.split(capsys.readouterr().out.split("example:\n  specimg ")[1].splitlines()[0])
        assert cli._parser().parse_args(example).run.__name__ == f"_{command}"


def test_help_and_errors_come_without_torch():
    code = (
        "import sys\nfrom specimg.cli import main\n"
        "for argv in (['--help'], ['train', '--help'], ['cv', '--help'], ['--version'], ['nonsense']):\n"
        "    try: main(argv)\n"
        "    except SystemExit as left: print(left.code)\n"
        "print(main(['render', '/no/such/folder']))\n"
        "print(sorted({'torch', 'fastai', 'pandas', 'librosa', 'sklearn', 'matplotlib'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert __version__ in out
    assert [line for line in out if line.isdigit()] == ["0", "0", "0", "0", "2", "1"] and out[-1] == "[]"


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["nonsense"],
        ["render"],
        ["train", "x"],
        ["predict", "x"],
        ["train", "x", "--out", "y", "--pretrained", "maybe"],
        ["cv"],
        ["submit"],
        ["blend"],
        ["check"],
        ["cv", "x", "--only", "first"],
    ],
)
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
    tree = rendered(
        sounds,
        capsys,
        *SETTINGS,
        "fmax=3000",
        "sr=8000",
        "height=20",
        "--set",
        "audio.normalize=peak",
        "resample=nearest",
    )
    assert tree.renderer == Renderer(
        MEL.replace(fmax=3000.0), Picture(height=20, resample="nearest"), Audio(sr=8000, normalize="peak")
    )
    assert len(tree) == 16


def test_render_another_representation(sounds, capsys):
    tree = rendered(sounds, capsys, "--representation", "stft", "--set", "n_fft=256", "representation.hop_length=64")
    assert tree.renderer == Renderer(Stft(n_fft=256, hop_length=64))


def test_render_a_look_from_a_file(sounds, capsys, tmp_path):
    look = Renderer(MEL, Picture(height=24), Audio(duration=0.25))
    (tmp_path / "look.toml").write_text(look.to_toml())
    tree = rendered(sounds, capsys, "--renderer", str(tmp_path / "look.toml"), "--set", "duration=none", "top_db=60")
    assert tree.renderer == Renderer(MEL.replace(top_db=60.0), Picture(height=24))


def test_render_names_failures(tmp_path, capsys, sounds):
    sf.write(tmp_path / "good.wav", sine(400, 0.3, SR), SR)
    (tmp_path / "bad.wav").write_bytes(b"")
    assert (
        main(["render", str(tmp_path), "--cache", str(tmp_path / "cache"), "--jobs", "1", "--verbose", *SETTINGS]) == 0
    )
    said = capsys.readouterr()
    assert "1 pictures, 1 failures" in said.out
    assert "note: 1 of 2 clips could not be drawn" in said.err and "'bad.wav': is empty (0 bytes)" in said.err


def test_render_says_where_failures_are_listed_and_fails_where_nothing_is_drawn(tmp_path, capsys):
    for i in range(12):
        (tmp_path / f"{i:02}.wav").write_bytes(b"")
    argv = ["render", str(tmp_path), "--cache", str(tmp_path / "cache"), "--jobs", "1", *SETTINGS]
    assert main(argv) == 1
    said = capsys.readouterr()
    listed = Path(said.out.splitlines()[-1]) / "manifest.csv"
    assert "none of 12 recordings could be drawn; the reasons are in" in said.err and repr(str(listed)) in said.err
    assert pd.read_csv(listed)["reason"].tolist() == ["is empty (0 bytes)"] * 12
    assert said.err.count(".wav': is empty") == 10 and "... and 2 more, shown by --verbose" in said.err
    assert main([*argv, "--verbose"]) == 1
    assert capsys.readouterr().err.count(".wav': is empty") == 12


@pytest.mark.parametrize(
    "text, value",
    [
        ("3", 3),
        ("-3", -3),
        ("0.5", 0.5),
        ("1e-3", 0.001),
        ("none", None),
        ("None", None),
        ("TRUE", True),
        ("false", False),
        ("hann", "hann"),
        ("", ""),
        ("[64, 64]", [64, 64]),
        ("[64", "[64"),
    ],
)
def test_settings_are_numbers_truths_none_or_text(text, value):
    got = read_settings([f"a={text}"])["a"]
    assert got == value and type(got) is type(value)


@pytest.mark.parametrize(
    "more, message",
    [
        (["--set", "n_melz=3"], "unknown setting 'n_melz'; did you mean 'n_mels'"),
        (["--set", "durations=3"], "unknown setting 'durations'; did you mean 'duration'"),
        (["--set", "audio.srr=3"], "unknown field of Audio 'srr'; did you mean 'sr'"),
        (["--set", "adio.sr=3"], "unknown part of a renderer 'adio'; did you mean 'audio'"),
        (["--set", "n_mels=many"], r"Mel\(n_mels=...\): 'many' is not a whole number"),
        (["--set", "n_mels"], "'n_mels' is not a setting; write name=value"),
        (["--representation", "mell"], "unknown representation 'mell'; did you mean 'mel'"),
        (["--renderer", "no.toml"], "no.toml"),
    ],
)
def test_a_look_that_is_none(more, message, sounds, capsys):
    assert main(["render", str(sounds.audio), *more]) == 1
    assert re.search(message, error(capsys))


def test_a_broken_look_is_named(sounds, tmp_path, capsys):
    (tmp_path / "look.toml").write_text("kind = [")
    assert main(["render", str(sounds.audio), "--renderer", str(tmp_path / "look.toml")]) == 1
    assert "look.toml' is not a renderer" in error(capsys)


# ---------------------------------------------------------------------- train


def test_train_leaves_a_classifier_and_pictures(trained, sounds):
    names = {file.name for file in trained.iterdir()}
    assert names == {
        "training",
        "classifier",
        "learning_curves.png",
        "top_losses.png",
        "confusion.png",
        "predictions.npz",
    }
    clf = load_classifier(trained / "classifier")
    assert clf.vocab == ["high", "low"] and clf.renderer == Renderer(MEL)


def test_train_again_takes_the_finished_network(trained, sounds, capsys):
    before = (trained / "classifier" / "weights.safetensors").read_bytes()
    (trained / "classifier" / "classifier.json").unlink()  # stopped before it was saved
    assert train(sounds, sounds.audio, trained) == 0
    assert (trained / "classifier" / "weights.safetensors").read_bytes() == before
    said = capsys.readouterr().out
    assert "2 classes; 16 x 38 pixels" in said and "the classifier is in" in said and "█" not in said


def test_train_with_another_recipe_needs_another_folder(trained, sounds, capsys):
    assert train(sounds, sounds.audio, trained, "--epochs", "2") == 1
    assert "epochs is 1 there and 2 here" in error(capsys)


def test_train_refuses_to_write_among_the_recordings(sounds, capsys):
    out = str(sounds.audio / "runs")
    assert main(["train", str(sounds.audio), "--out", out, "--pretrained", "no"]) == 1
    assert "lies in the folder of the recordings" in capsys.readouterr().err and not (sounds.audio / "runs").exists()


def test_train_on_names(sounds, capsys):
    assert (
        train(
            sounds,
            sounds.audio,
            sounds.folder / "names",
            "--regex",
            r"_(?P<label>[a-z]+)",
            "--baseline",
            "--size",
            "20",
        )
        == 0
    )
    said = capsys.readouterr().out
    assert "linear baseline: accuracy 1.000" in said and "20 x 20 pixels" in said


def test_train_on_a_csv_of_several_labels(sounds, capsys):
    out = sounds.folder / "several"
    columns = ["--folder", "audio", "--fn-col", "fname", "--label-col", "1", "--label-delim", " "]
    assert train(sounds, sounds.csv, out, *columns, "--valid-pct", "0.25") == 0
    assert "12 clips for training, 4 for validation; 3 classes" in capsys.readouterr().out
    assert load_classifier(out / "classifier").is_multi and not (out / "confusion.png").exists()


@pytest.mark.parametrize(
    "argv, message",
    [
        (["nowhere.csv"], "nowhere.csv' is not there"),
        (["CSV", "--folder", "audio", "--label-col", "lable"], "train.csv 'lable'; did you mean 'label'"),
        (["CSV", "--folder", "sound"], "none of the 16 names in the table is a file below"),
        (
            ["CSV", "--folder", "audio", "--label-col", "take", "--baseline", "--label-delim", " "],
            "the linear baseline needs one label a clip",
        ),
        (["AUDIO", "--lr", "fast"], r"--lr 'fast'"),
        (["AUDIO", "--arch", "test_resnt"], "unknown arch 'test_resnt'; did you mean 'test_resnet'"),
        (["AUDIO", "--regex", "("], "is not a regular expression"),
    ],
)
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
        assert (
            line == f"{row.path},{row.label},{row.probability:.4f},ok"
            if row.status == "ok"
            else f"{row.path},,,is not there"
        )


def test_predict_a_folder_into_a_file(trained, sounds, tmp_path, capsys):
    assert (
        main(["predict", str(trained / "classifier"), str(sounds.audio), "--out", str(tmp_path / "new" / "labels.csv")])
        == 0
    )
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


# ---------------------------------------------------------------------- fetch


def test_fetch_without_a_name_lists_what_there_is(capsys):
    assert main(["fetch"]) == 0
    said = capsys.readouterr().out
    assert all(f"{name}\n    " in said for name in datasets.list_datasets())
    assert "182 MB; CC BY 4.0" in said and "None" not in said


def test_fetch_hands_its_arguments_on(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(datasets, "fetch", lambda *args, progress: calls.append(args) or "data/ESC-50")
    assert main(["fetch", "ESC-50", "data"]) == main(["fetch", "FSDD"]) == 0
    assert calls == [("ESC-50", "data"), ("FSDD", None)] and capsys.readouterr().out == "data/ESC-50\n" * 2


def test_fetching_what_nobody_knows(capsys):
    assert main(["fetch", "ESC-51"]) == 1
    assert "unknown data set 'ESC-51'; did you mean 'ESC-50'" in error(capsys)


# ---------------------------------------------------------------------- cv

PLAN = """
out = "runs/a"
arch = "test_resnet"
folds = 2
[competition]
slug = "freesound-audio-tagging"
folder = "freesound"
options = { scored = "all" }
[renderer.representation]
kind = "mel"
n_mels = 16
n_fft = 256
hop_length = 128
[recipe]
epochs = 1
lr = 0.003
[loaders]
bs = 8
size = [32, 32]
cache = "pictures"
n_jobs = 1
progress = false
[learner]
pretrained = false
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder to work in: a competition of three kinds of sound, and a plan in a folder of its own that has been followed to runs/a."""
    desk = tmp_path_factory.mktemp("desk")
    make_competition(
        desk / "freesound", n_per_class=8, n_test=4, sr=8000, kinds=["bell", "rain", "siren"], progress=False
    )
    (desk / "plans").mkdir()
    (desk / "plans" / "a.toml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        assert main(["cv", "plans/a.toml"]) == 0
    return desk


@pytest.fixture
def at_desk(desk, monkeypatch):
    monkeypatch.chdir(desk)
    return desk


def last_line(capsys):
    """The last of what stderr says, after the notes; nothing of a traceback."""
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()[-1]


def test_cv_follows_its_plan(at_desk):
    run = Run.open("runs/a")
    assert run.config.replace(competition={}) == RunConfig(
        {},
        Renderer(Mel(n_mels=16, n_fft=256, hop_length=128)),
        "test_resnet",
        Recipe(epochs=1, lr=0.003),
        folds=2,
        loaders=dict(bs=8, size=[32, 32], cache="pictures", n_jobs=1, progress=False),
        learner=dict(pretrained=False),
    )
    about = {"slug": "freesound-audio-tagging", "folder": str(at_desk / "freesound"), "options": {"scored": "all"}}
    assert run.config.competition == about
    assert len(run.fold_runs) == run.n_planned == 2 and run.score.n == 24
    assert (at_desk / "pictures").is_dir()


def test_the_same_again_trains_nothing_and_shows_the_scores(at_desk, capsys):
    before = {file: file.stat().st_mtime_ns for file in (at_desk / "runs" / "a").rglob("*")}
    assert main(["cv", "plans/a.toml"]) == 0
    said = capsys.readouterr().out
    run = Run.open("runs/a")
    assert (
        "freesound-audio-tagging" in said
        and "24 clips, 3 labels, 7 test rows, scored by map@3" in said
        and "2 finished already" in said
    )
    for row in run.scores.itertuples():
        assert re.search(
            rf"^ +{row.seed} +{row.fold} +{row.score:.4f} +{row.low:.4f} +{row.high:.4f} +12 +1 ", said, re.M
        )
    assert said.splitlines()[-1] == f"out of fold: {run.score}"
    assert {file: file.stat().st_mtime_ns for file in (at_desk / "runs" / "a").rglob("*")} == before


def test_the_plan_of_a_run_repeats_it(at_desk):
    assert main(["cv", "runs/a/run.toml", "--out", "runs/b"]) == 0
    first, second = Run.open("runs/a"), Run.open("runs/b")
    assert second.score == first.score and second.config == first.config and second.folder != first.folder
    assert np.array_equal(second.predictions.probs, first.predictions.probs) and np.array_equal(
        second.test_probs, first.test_probs
    )


@pytest.fixture(scope="module")
def other(desk):
    """A second run, of another look, begun with one fold and gone on with; without answers to the test set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        argv = [
            "cv",
            "plans/a.toml",
            "--out",
            "runs/other",
            "--set",
            "renderer.representation.n_mels=12",
            "recipe.lr=0.01",
            "--no-test",
        ]
        assert main([*argv, "--only", "1"]) == 0
        assert [member.fold for member in Run.open("runs/other").fold_runs] == [1]
        assert main(argv) == 0
    return "runs/other"


def test_cv_in_several_calls(at_desk, other):
    run = Run.open(other)
    assert len(run.fold_runs) == 2 and run.config.renderer.representation.n_mels == 12 and run.config.recipe.lr == 0.01
    assert not list((at_desk / other).rglob("test.npz"))


def test_the_plan_in_the_help_is_one(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["cv", "--help"])
    (tmp_path / "plan.toml").write_text(capsys.readouterr().out.split("working folder):\n")[1])
    config, out = competing._plan(str(tmp_path / "plan.toml"), [])
    assert out == "runs/first"
    assert config == RunConfig(
        {"slug": "freesound-audio-tagging", "folder": "freesound"},
        Renderer(Mel(n_mels=128)),
        folds=5,
        recipe=Recipe(epochs=10, freeze_epochs=3),
        loaders=dict(bs=64, size=[128, 256]),
    )


def test_settings_change_a_plan_in_depth(at_desk):
    config, out = competing._plan(
        "plans/a.toml",
        [
            "arch=resnet18",
            "folds=none",
            "recipe.lr=find",
            "tta.shifts=[-0.1, 0, 0.1]",
            "competition.folder=data",
            "loaders.augment.gain=0.5",
            "loaders.size=[64,96]",
            "learner.pretrained=if-available",
        ],
    )
    plain, _ = competing._plan("plans/a.toml", [])
    assert out == "runs/a" and (config.arch, config.folds, config.recipe.lr) == ("resnet18", None, "find")
    assert config.tta == TTA(shifts=(-0.1, 0.0, 0.1)) and config.competition == {**plain.competition, "folder": "data"}
    assert config.loaders == {**plain.loaders, "augment": {"gain": 0.5}, "size": [64, 96]}
    assert config.learner == {"pretrained": "if-available"}
    assert config.renderer == plain.renderer and config.recipe.epochs == 1


def test_an_empty_plan_is_all_defaults(tmp_path):
    (tmp_path / "plan.toml").write_text("")
    assert competing._plan(str(tmp_path / "plan.toml"), []) == (RunConfig(), None)


@pytest.mark.parametrize(
    "text, more, message",
    [
        (None, [], "No such file"),
        ("arch = [", [], "plan.toml' is not TOML: "),
        ("out = 3", [], "plan.toml': out = 3 is not the name of a folder"),
        ('arc = "resnet18"', [], "plan.toml' is not a plan: unknown field of RunConfig 'arc'; did you mean 'arch'"),
        ("[recipe]\nepoch = 3", [], "plan.toml' is not a plan: unknown field of Recipe 'epoch'; did you mean 'epochs'"),
        ("[loaders]\nbatch = 3", [], "plan.toml' is not a plan: unknown option in loaders= 'batch'"),
        ("", [], "no folder for the run: give --out, or write out ="),
        ("", ["--out", "x"], "which competition? give [competition] with slug"),
        ("", ["--set", "recipe.epoch=3"], "unknown field of Recipe 'epoch'; did you mean 'epochs'"),
        ("", ["--set", "recipe.epochs=many"], "Recipe(epochs=...): 'many' is not a whole number"),
        ("", ["--set", "arch.size=3"], "--set arch.size=...: arch is 'resnet34', which has no parts"),
        ("", ["--set", "epochs"], "'epochs' is not a setting; write name=value"),
        (
            '[competition]\nslug = "freesound-audio"',
            ["--out", "x"],
            "unknown competition 'freesound-audio'; did you mean 'freesound",
        ),
        ('[competition]\nslug = "ESC-50"\nfolder = "nowhere"', ["--out", "x"], "'nowhere' is not a folder"),
    ],
)
def test_a_plan_that_cannot_be_followed(text, more, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if text is not None:
        (tmp_path / "plan.toml").write_text(text)
    assert main(["cv", "plan.toml", *more]) == 1
    assert message in error(capsys)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "more, message",
    [
        (["--set", "recipe.epochs=2"], "runs/a' holds a run of another configuration: "),
        (["--only", "7"], "there is no fold 7"),
        (["--out", "freesound"], "and no run; choose a new or an empty folder"),
        (["--out", "runs/none", "--set", "arch=test_resnt"], "unknown arch 'test_resnt'; did you mean 'test_resnet'"),
    ],
)
def test_a_run_that_cannot_be(more, message, at_desk, capsys):
    assert main(["cv", "plans/a.toml", *more]) == 1
    assert message in last_line(capsys)


def test_ctrl_c_ends_a_run_without_a_traceback(at_desk, monkeypatch, capsys):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("specimg.experiments.cross_validation.run_cross_validation", stopped)
    assert main(["cv", "plans/a.toml"]) == 130
    assert last_line(capsys) == "stopped"


# ---------------------------------------------------------------------- submit, blend, check


@pytest.mark.filterwarnings("ignore")
def test_submit_writes_what_the_run_says(at_desk, tmp_path, capsys):
    out = tmp_path / "new" / "answers.csv"
    assert main(["submit", "runs/a", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    run = Run.open("runs/a")
    assert repr(run) in said and f"7 rows in {str(out)!r}" in said
    assert out.read_bytes() == run.submission(tmp_path / "same.csv").to_csv(index=False).encode()
    assert check_submission(out, "freesound/sample_submission.csv")


def test_submit_writes_submission_csv_by_default(desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["submit", str(desk / "runs" / "a")]) == 0
    assert [file.name for file in tmp_path.iterdir()] == ["submission.csv"]


def test_submit_predicts_another_test_set(at_desk, other, tmp_path, capsys):
    assert main(["submit", other]) == 1
    assert "the test set has not been predicted" in last_line(capsys)
    hidden = shutil.copytree("freesound", tmp_path / "hidden")
    sample = pd.read_csv(hidden / "sample_submission.csv", keep_default_na=False).iloc[
        2:
    ]  # other rows than those of training
    sample.to_csv(hidden / "sample_submission.csv", index=False)
    out, cache = tmp_path / "answers.csv", tmp_path / "cache"
    before = sorted((at_desk / other).rglob("*"))
    assert main(["submit", other, "--competition", str(hidden), "--cache", str(cache), "--out", str(out)]) == 0
    assert pd.read_csv(out)["fname"].tolist() == sample["fname"].tolist()
    assert cache.is_dir() and sorted((at_desk / other).rglob("*")) == before


BIRDS = """
slug = "my-birds"
folder = "freesound"
metric = "map@3"
[train]
csv = "train.csv"
audio = "audio_train"
[test]
sample = "sample_submission.csv"
audio = "audio_test"
"""


def test_a_competition_that_a_file_describes(at_desk, tmp_path, capsys):
    (at_desk / "birds.toml").write_text(BIRDS)
    (tmp_path / "plan.toml").write_text(
        PLAN.replace(PLAN[PLAN.index("slug") : PLAN.index("[renderer")], 'toml = "birds.toml"\n')
    )
    assert main(["cv", str(tmp_path / "plan.toml"), "--out", "runs/birds", "--no-test"]) == 0
    assert "'my-birds': 24 clips, 3 labels, 7 test rows, scored by map@3" in capsys.readouterr().out
    out = tmp_path / "answers.csv"
    assert main(["submit", "runs/birds", "--competition", "birds.toml", "--cache", "pictures", "--out", str(out)]) == 0
    assert main(["check", str(out), "freesound/sample_submission.csv"]) == 0


@pytest.mark.parametrize(
    "argv, message",
    [
        (["submit", "nowhere"], "nowhere' is not the folder of a run"),
        (["submit", "runs/a", "--threshold", "oof"], "map@3 takes probabilities, not decisions"),
        (["submit", "runs/a", "--threshold", "0.4"], "--threshold 0.4: submissions are written as bestlabels"),
        (["submit", "runs/a", "--competition", "nowhere"], "'nowhere' is not a folder"),
        (["submit", "runs/a", "--competition", "nowhere.toml"], "nowhere.toml"),
        (["blend", "runs/a", "nowhere"], "nowhere' is not the folder of a run"),
        (["blend", "runs/a", "OTHER", "--weights", "0.5,0.4,0.1"], "give 2 numbers"),
        (["blend", "runs/a", "OTHER", "--weights", "even"], "unknown weights 'even'; choose one of equal, oof"),
        (
            ["blend", "runs/a", "OTHER", "--way", "geometrical"],
            "unknown way to blend 'geometrical'; did you mean 'geometric'",
        ),
        (["blend", "runs/a", "OTHER", "--out", "x.csv"], "the test set has not been predicted"),
        (["blend", "nowhere.toml"], "nowhere.toml' is not the folder of a run"),
    ],
)
def test_answers_that_cannot_be(argv, message, at_desk, other, capsys):
    assert main([other if word == "OTHER" else word for word in argv]) == 1
    assert message in last_line(capsys)
    assert not (at_desk / "x.csv").exists() and not (at_desk / "submission.csv").exists()


def test_blend_shows_its_gain(at_desk, other, capsys):
    assert main(["blend", "runs/a", other]) == 0
    assert capsys.readouterr().out == f"{blend([Run.open('runs/a'), Run.open(other)])}\n"
    assert not (at_desk / "submission.csv").exists()


@pytest.mark.filterwarnings("ignore")
def test_blend_writes_a_submission(at_desk, other, tmp_path, capsys):
    out = tmp_path / "both.csv"
    argv = [
        "blend",
        "runs/a",
        other,
        "--way",
        "mean",
        "--weights",
        "0.25,0.75",
        "--competition",
        "freesound",
        "--cache",
        "pictures",
    ]
    assert main([*argv, "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert (
        "Blend(mean mean of 2 runs" in said and "weight 0.25" in said and "weight 0.75" in said and "7 rows in" in said
    )
    comp = Competition.open("freesound-audio-tagging", "freesound", scored="all")
    runs = [Run.open(folder).predict_test(comp, "pictures", progress=False) for folder in ("runs/a", other)]
    wanted = blend(runs, "mean", [0.25, 0.75]).submission(tmp_path / "same.csv")
    assert pd.read_csv(out, keep_default_na=False).equals(wanted)


@pytest.mark.filterwarnings("ignore")
def test_check_a_submission(at_desk, tmp_path, capsys):
    answers = Run.open("runs/a").submission(tmp_path / "good.csv")
    capsys.readouterr()
    for against in ("freesound/sample_submission.csv", "runs/a"):
        assert main(["check", str(tmp_path / "good.csv"), against]) == 0
        assert "7 rows in the columns fname, label: accepted" in capsys.readouterr().out
    answers.assign(label="Bark").iloc[1:].to_csv(tmp_path / "bad.csv", index=False)
    assert main(["check", str(tmp_path / "bad.csv"), "runs/a"]) == 1
    said = error(capsys)
    assert (
        "bad.csv' would not be accepted: 1 row missing" in said and "a label that the competition does not know" in said
    )
    assert main(["check", str(tmp_path / "bad.csv"), "nowhere.csv"]) == 1
    assert "nowhere.csv" in error(capsys)


# ---------------------------------------------------------------------- demo, and how commands end


def test_demo_hands_its_arguments_on(monkeypatch):
    calls = []
    monkeypatch.setattr(demo, "run_demo", lambda *args: calls.append(args))
    assert main(["demo", "here", "--arch", "resnet18", "--epochs", "3", "--per-class", "9"]) == 0
    assert main(["demo"]) == 0
    assert calls == [("here", "resnet18", demo.RECIPE.replace(epochs=3), 9), ("demo", demo.ARCH, None, 60)]


@pytest.mark.parametrize(
    "raised, status, said",
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (OSError(28, "No space left on device"), 1, "specimg: [Errno 28] No space left on device\n"),
        (ModuleNotFoundError("needs noisereduce"), 1, "specimg: needs noisereduce\n"),
    ],
)
def test_how_a_command_ends(raised, status, said, monkeypatch, capsys):
    def fail(args):
        raise raised

    monkeypatch.setattr(drawing, "_render", fail)
    assert main(["render", "x"]) == status
    assert capsys.readouterr().err == said


def test_a_mistake_of_ours_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(drawing, "_render", lambda args: {}["missing"])
    with pytest.raises(KeyError):
        main(["render", "x"])


def test_warnings_are_notes_while_a_command_runs(monkeypatch, capsys):
    before = warnings.showwarning
    monkeypatch.setattr(drawing, "_render", lambda args: warnings.warn("three clips are short"))
    assert main(["render", "x"]) == 0
    assert capsys.readouterr().err == "note: three clips are short\n"
    assert warnings.showwarning is before
