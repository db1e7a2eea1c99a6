"""Messages of the command line speak of its options; --out, --augment and --baseline."""

import numpy as np
import pytest
import soundfile as sf

import specimg as sp
from specimg.cli import _parser, main
from specimg.cli.common import in_options
from specimg.cli.train import _augmentation

SR = 8000
SMALL = [
    "--arch",
    "mini_resnet",
    "--pretrained",
    "no",
    "--epochs",
    "1",
    "--set",
    "n_mels=32",
    "n_fft=256",
    "hop_length=64",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """clips/<label>/*.wav and runs/first, trained on them."""
    home, rng = tmp_path_factory.mktemp("words"), np.random.default_rng(0)
    for label in ("high", "low"):
        (home / "clips" / label).mkdir(parents=True)
        for i in range(6):
            sf.write(home / "clips" / label / f"{label}{i}.wav", rng.uniform(-0.5, 0.5, SR // 2), SR)
    assert main(["train", str(home / "clips"), "--out", str(home / "runs/first"), "--bs", "4", *SMALL]) == 0
    return home


@pytest.fixture
def parser():
    return _parser().parse_args(["train", "clips", "--out", "x"]).parser


@pytest.mark.parametrize(
    "text, words",
    [
        ("give folder='audio' and suffix='.wav'", "give --folder 'audio' and --suffix '.wav'"),
        ("set another `bs`, or valid_pct=0.3", "set another `bs`, or --valid-pct 0.3"),
        ("choose a new folder as out=", "choose a new folder as --out"),
        ("give a number, such as Recipe(lr=0.003)", "give a number, such as --lr 0.003"),
        ("the recipe freeze_epochs=0", "the recipe --freeze-epochs 0"),
        ("from scratch with pretrained=False", "from scratch with --pretrained no"),
        ("hop_length=64 is too short", "hop_length=64 is too short"),  # no option
        ("'a/lr=3.wav' is empty", "'a/lr=3.wav' is empty"),
    ],
)
def test_arguments_become_options_of_the_command(parser, text, words):
    assert in_options(text, parser) == words


def test_errors_and_warnings_of_a_command_name_its_options(home, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("fname,label\nsome,high\nother,low\n")
    assert main(["train", str(tmp_path / "t.csv"), "--folder", str(home / "clips"), "--out", str(tmp_path / "x")]) == 1
    assert "check --folder and --suffix" in capsys.readouterr().err
    (home / "t.csv").write_text("fname,label\nhigh0,high\nhigh1,low\n")
    assert main(["train", str(home / "t.csv"), "--out", str(tmp_path / "x")]) == 1
    assert "'clips/high/high0.wav' is one: give --folder 'clips/high' and --suffix '.wav'" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["--out", None])
def test_keep_and_export_take_out_with_or_without_its_name(home, tmp_path, name):
    out = [] if name is None else [name]
    assert main(["keep", str(home / "runs/first"), *out, str(tmp_path / "kept"), "--golden", "0"]) == 0
    assert sp.load_classifier(tmp_path / "kept").vocab == ["high", "low"]


@pytest.mark.parametrize("given, message", [([], "give --out"), (["a", "--out", "b"], "give --out once")])
@pytest.mark.parametrize("command", ["keep", "export"])
def test_out_is_needed_once(home, command, given, message, capsys):
    assert main([command, str(home / "runs/first"), *given]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "given, augment",
    [
        (None, "default"),
        (["default"], "default"),
        (["none"], None),
        (["shift=0.1", "hiss=0"], sp.Augment(shift=0.1, hiss=0)),
    ],
)
def test_augmentation_from_the_command_line(given, augment):
    assert _augmentation(given) == augment


def test_train_says_its_defaults(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "--augment" in text and "default hiss=0.3" in text and "in which all layers learn; default " in text
    assert f"hiss={sp.Augment().hiss:g}" in text


def test_train_compares_with_the_linear_baseline(home, tmp_path, capsys):
    clips = str(home / "clips")
    assert main(["train", clips, "--out", str(tmp_path / "a"), "--bs", "4", "--augment", "none", *SMALL]) == 0
    assert "the network (accuracy " in capsys.readouterr().out
    assert main(["train", clips, "--out", str(tmp_path / "b"), "--bs", "4", "--no-baseline", *SMALL]) == 0
    assert "linear baseline" not in capsys.readouterr().out


def test_a_page_of_another_training_is_not_replaced(home, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first, fit = str(home / "runs/first"), str(home / "runs/first/training")
    assert main(["report", first, "--cam", "0"]) == 0 and main(["report", first, "--cam", "0"]) == 0  # its own again
    assert main(["review", first, "--out", "report.html"]) == 1
    assert "is the report page" in capsys.readouterr().err
    (tmp_path / "index.html").write_text("<p>mine</p>")
    assert main(["report", fit, "--out", "index.html"]) == 1
    assert "something else than a page" in (said := capsys.readouterr().err) and "give --overwrite" in said
    assert main(["report", fit, "--out", "index.html", "--overwrite", "--cam", "0"]) == 0
