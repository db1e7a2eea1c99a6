"""The folder of a Space: what it holds, that it starts by itself, and that it reaches the Hub."""

from importlib.metadata import version

import pytest
from bundles import make_sounds, train

from specimg.cli import main
from specimg.inference import check_classifier, save_classifier
from specimg.reports import app, write_space

pytest.importorskip("gradio", reason="gradio is not installed: pip install specimg[serve]")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    sounds = make_sounds(tmp_path_factory.mktemp("sounds"), n=3)
    return save_classifier(train(sounds), sounds.folder / "three tones", golden=1)


def test_it_is_a_space_with_its_header_and_a_classifier_that_is_the_same(saved, tmp_path):
    yaml = pytest.importorskip("yaml")
    space = write_space(saved, tmp_path / "space", title='Tones: "high" # or not?')
    header = yaml.safe_load((space / "README.md").read_text().split("---")[1])
    assert header["title"] == 'Tones: "high" # or not?' and header["sdk_version"] == version("gradio")
    assert (header["sdk"], header["app_file"]) == ("gradio", "app.py")
    assert check_classifier(space / "classifiers" / "three-tones")["verdict"].tolist() == ["same"]
    lines = (space / "requirements.txt").read_text().splitlines()
    assert (
        lines[-1].startswith("specimg[serve]>=") and "--extra-index-url https://download.pytorch.org/whl/cpu" in lines
    )


def test_its_app_serves_the_classifiers_beside_it(saved, tmp_path, monkeypatch):
    space = write_space({"b": saved, "a": saved}, tmp_path / "space", golden=0)
    served = []
    monkeypatch.setattr("specimg.serve", served.extend, raising=False)
    exec(compile((space / "app.py").read_text(), space / "app.py", "exec"), {"__file__": str(space / "app.py")})
    assert list(app.named_classifiers(served)) == ["a", "b"]
    assert not list(space.rglob("golden"))


def test_it_replaces_an_earlier_space_and_nothing_else(saved, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "app.py").write_text("print()")
    with pytest.raises(ValueError, match="holds something that is no Space"):
        write_space(saved, tmp_path / "mine")
    space = write_space(saved, tmp_path / "space", title="old")
    assert write_space(saved, space, title="new", requirement="specimg @ git+https://example.org/specimg") == space
    assert "old" not in (space / "README.md").read_text()
    assert (space / "requirements.txt").read_text().endswith("\nspecimg @ git+https://example.org/specimg\n")
    with pytest.raises(ValueError, match="give one line"):
        write_space(saved, space, requirement="a\nb")


def test_the_command_pushes_it_and_what_an_earlier_one_had_is_gone(saved, tmp_path, hub, capsys):
    hub.put("user/tones", {"classifiers/old/classifier.json": b"{}", "notes.txt": b"mine"}, kind="space")
    assert main(["space", str(saved), str(tmp_path / "space"), "--push", "user/tones"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{hub.address}/spaces/user/tones"
    names = set(hub.repo("user/tones", "space").at("main")[1])
    assert {"app.py", "requirements.txt", "README.md", "notes.txt", "classifiers/three-tones/classifier.json"} <= names
    assert "classifiers/old/classifier.json" not in names
