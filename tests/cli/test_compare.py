"""`specimg compare`: it shows what `compare` left in a folder, against another baseline too, and draws the curves."""

import pytest
from pitches import table, write_sounds

from specimg.cli import main
from specimg.competitions import Competition
from specimg.experiments import Comparison, compare
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel, Stft
from specimg.training import Recipe


@pytest.fixture
def found(tmp_path, monkeypatch) -> Comparison:
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "sounds")
    looks = {"mel": Renderer(Mel(n_mels=32, n_fft=256, hop_length=64)), "stft": Renderer(Stft(n_fft=64, hop_length=64))}
    loaders = dict(bs=4, size=32, num_workers=0, progress=False, cache="cache")
    return compare(
        Competition("three-pitches", tmp_path / "sounds", table(), "map@3"),
        "feature_mlp",
        looks,
        Recipe(epochs=1, freeze_epochs=0, lr=0.01),
        out="runs/c",
        folds=2,
        only=[0],
        loaders=loaders,
        learner=dict(pretrained=False),
        log=[].append,
    )


def test_compare_shows_a_folder(found, capsys):
    assert main(["compare", "runs/c", "--curves", "curves.png", "--metric", "valid_loss"]) == 0
    assert capsys.readouterr().out.strip() == str(found)
    assert (found.folder.parent.parent / "curves.png").stat().st_size > 10000
    assert main(["compare", "runs/c", "--baseline", "feature_mlp, stft"]) == 0
    assert "difference: to feature_mlp, stft" in capsys.readouterr().out


def test_what_compare_refuses(found, capsys):
    assert main(["compare", "runs/c", "--baseline", "nobody"]) == 1
    assert "unknown candidate as --baseline 'nobody'" in capsys.readouterr().err
    assert main(["compare", "sounds"]) == 1
    assert "holds no comparison" in capsys.readouterr().err
    assert main(["compare", "runs/c", "--curves", "c.png", "--metric", "nothing"]) == 1
    assert "unknown column of the tables of epochs 'nothing'" in capsys.readouterr().err
