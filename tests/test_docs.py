"""README and the site's pages: short, and true to the names that exist."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import specimg

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / name for name in ("README.md", "CONTRIBUTING.md", *sorted(ROOT.joinpath("docs").glob("**/*.md")))
    if "_build" not in str(name) and "generated" not in str(name)
]  # fmt: skip


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def test_there_are_pages():
    assert len(PAGES) > 15


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_on_a_page_uses_names_that_exist(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "sp":
                assert hasattr(specimg, node.attr), f"sp.{node.attr}"
            if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "specimg":
                module = importlib.import_module(node.module)
                assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []
    for block in blocks(page, "python"):
        for room, name in re.findall(r"\bsp\.([a-z]+)\.(\w+)", block):
            assert hasattr(getattr(specimg, room), name), f"sp.{room}.{name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_command_on_a_page_exists(page):
    from specimg.cli import _parser

    [commands] = [action for action in _parser()._actions if action.dest not in ("help", "version")]
    said = re.findall(r"(?:^|`)specimg ([a-z]+)\b", page.read_text(encoding="utf-8"), re.M)
    assert set(said) - {"conf"} <= set(commands.choices)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
        if not re.match(r"\w+:", target):
            place = (page.parent / target).resolve()
            notebook = ROOT / "nbs" / (place.name + ".ipynb")
            made = "generated" in str(place) or notebook.exists()
            assert made or place.exists() or place.with_suffix(".md").exists(), target


EXTENDING = """
import sys
from pathlib import Path

import numpy as np
import soundfile
import specimg as sp

[representation, network, layout, metric] = [Path(name).read_text() for name in sys.argv[1:]]
soundfile.write("dog.wav", 0.3 * np.sin(np.arange(8000) / 5), 8000)
exec(representation)
assert Envelope()(np.ones(2048, "float32"), 8000).shape == (1, 1, 5) and "envelope" in sp.list_representations()
exec(network.split("learn = ")[0])
assert sp.create_net("tiny_cnn", 3, 1).head.out_features == 3
for name in "train_audio/a.wav", "train_audio/b.wav", "test_audio/c.wav":
    Path("frogs", name).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(Path("frogs", name), np.zeros(800), 8000)
Path("frogs/train.csv").write_text("file,frogs,pond\\na.wav,moor tree,1\\nb.wav,tree,2\\n")
Path("frogs/sample_submission.csv").write_text("file,label\\nc.wav,tree\\n")
exec(layout)
assert comp.vocab == ("moor", "tree") and len(comp.test) == 1
exec(metric)
assert sp.metrics.get_metric("worst_class").function(np.array([0, 1]), np.eye(2)) == 1.0
"""


def test_the_examples_of_extending_work(tmp_path):
    """As they stand on the page, in a process of their own, because they register what they make."""
    names = []
    for number, block in enumerate(blocks(ROOT / "docs" / "how-to" / "extend.md", "python")):
        names.append(str(tmp_path / f"{number}.py"))
        Path(names[-1]).write_text(block)
    there = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", EXTENDING, *names],
        cwd=tmp_path,
        env=there,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# ---------------------------------------------------------------------- as they stand

AT_ONCE = ["README.md", "docs/index.md", "docs/how-to/look-and-listen.md"]
LONGER = ["kaggle", "own-recordings", "compare", "deploy", "long-recordings", "annotations", "offline"]


def run_pages(folder, *pages):
    """Their Python in a process of its own; the pages whose blocks ran, one for each block."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(ROOT / "tests" / "pages.py"), *(str(ROOT / page) for page in pages)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return [line.rsplit(" ", 1)[0] for line in done.stdout.splitlines() if line.startswith(str(ROOT))]


def test_the_code_of_readme_and_of_the_first_pages_runs_as_it_stands(tmp_path):
    ran = run_pages(tmp_path, *AT_ONCE)
    assert [ran.count(str(ROOT / page)) for page in AT_ONCE] == [len(blocks(ROOT / page, "python")) for page in AT_ONCE]


@pytest.mark.slow
def test_the_code_of_the_other_pages_runs_as_it_stands(tmp_path):
    pytest.importorskip("onnxruntime")
    ran = run_pages(tmp_path, *(f"docs/how-to/{name}.md" for name in LONGER))
    assert len(set(ran)) == len(LONGER) - 1  # what offline.md names lies on Kaggle only


@pytest.mark.slow
@pytest.mark.cluster
def test_the_code_on_clusters_runs_as_it_stands(tmp_path):
    pytest.importorskip("distributed")
    pytest.importorskip("ray")
    assert len(run_pages(tmp_path, "docs/how-to/clusters.md")) == 3  # not that of Slurm
