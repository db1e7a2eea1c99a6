"""`specimg compare`: a plan on the command line, what it prints and refuses, and the plan that its help shows."""

import pytest
from pitches import PLAN, table, write_sounds

from specimg.cli import main
from specimg.experiments import Comparison


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_sounds(tmp_path / "sounds")
    rows = table()
    rows.assign(fname=rows["path"]).to_csv(tmp_path / "sounds/train.csv", index=False)
    (tmp_path / "comp.toml").write_text(
        'slug = "three-pitches"\nfolder = "sounds"\nmetric = "map@3"\n[train]\ncsv = "train.csv"\n'
        'fn_col = "fname"\nlabel_col = "label"\ngroup_col = "group"\n'
    )
    (tmp_path / "plan.toml").write_text(PLAN)
    return tmp_path


def test_compare_by_a_plan(place, capsys):
    assert (
        main(
            [
                "compare",
                "plan.toml",
                "--out",
                "runs/c",
                "--only",
                "0",
                "--curves",
                "curves.png",
                "--set",
                "renderers.mel.representation.n_mels=40",
            ]
        )
        == 0
    )
    said = capsys.readouterr().out
    assert (
        "--- 1 of 2: feature_mlp, mel" in said
        and "Comparison(0 of 2 systems finished" in said
        and "difference: to large" in said
    )
    assert (place / "curves.png").stat().st_size > 10000
    found = Comparison.open("runs/c")
    assert found.runs["feature_mlp, mel"].choices.renderer.representation.n_mels == 40 and found.table[
        "networks"
    ].tolist() == [1, 1]
    assert main(["compare", "runs/c"]) == 0
    assert capsys.readouterr().out.strip() == str(found)


def test_what_compare_refuses(place, capsys):
    assert main(["compare", "plan.toml"]) == 1
    assert "no folder for the run: give --out" in capsys.readouterr().err
    (place / "bad.toml").write_text("arch = 'resnet18'\n")
    assert main(["compare", "bad.toml", "--out", "x"]) == 1
    assert "'bad.toml' is no plan: unknown field of ComparePlan 'arch'; did you mean 'archs'" in capsys.readouterr().err
    assert main(["compare", "plan.toml", "--out", "x", "--set", "baseline=nobody"]) == 1
    assert "unknown system as baseline= 'nobody'" in capsys.readouterr().err
    assert main(["compare", "sounds"]) == 1
    assert "holds no comparison" in capsys.readouterr().err


def test_the_plan_in_the_help_is_one(tmp_path):
    from specimg.cli import competition as competing
    from specimg.experiments import ComparePlan

    file = tmp_path / "plan.toml"
    file.write_text(competing._COMPARE_PLAN.split("picture):\n")[1])
    plan, out = competing._plan(str(file), [], ComparePlan)
    assert out == "runs/compare" and plan.archs == ("resnet18", "mini_resnet") and list(plan.looks) == ["mel", "stft"]
    assert plan.systems[0].name == "large" and plan.systems[0].loaders == {"size": 128} and plan.recipe.epochs == 10
