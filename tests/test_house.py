"""The house: data flows one way, what stands left of the tree knows no torch, and the front door is light."""

import ast
import subprocess
import sys
from pathlib import Path

import house
import pytest

import specimg

PACKAGE = Path(specimg.__file__).parent

# From the ground up; a room imports only from rooms on lower floors, never from one beside it.
FLOORS = [
    {"core"},
    {"audio", "spectrogram", "metrics", "datasets", "models"},
    {"labels", "render"},
    {"competitions", "data", "training"},
    {"inference"},
    {"experiments"},
    {"interpret"},
    {"reports"},
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS, start=1) for room in rooms}
LIGHT = ["core", "audio", "spectrogram", "metrics", "datasets", "labels", "render", "competitions"]


GRAPH = house.import_graph(PACKAGE)


def test_the_rooms_are_those_of_the_floors():
    assert {name.split(".")[0] for name in GRAPH} == set(FLOOR)
    assert {path.name for path in PACKAGE.glob("*.py*") if path.is_file()} == {"__init__.py", "__init__.pyi"}


@pytest.mark.parametrize("room", sorted(FLOOR))
def test_a_room_imports_only_from_lower_floors(room):
    wrong = sorted(other for other in house.room_graph(GRAPH)[room] if FLOOR[other] >= FLOOR[room])
    assert not wrong


def test_no_circle_between_files():
    assert house.circles(GRAPH) == []


def test_circles_are_found_where_there_are_some():
    assert house.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_imports_by_star(path):
    tree = ast.walk(ast.parse(path.read_text()))
    assert not [n for n in tree if isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names)]


def test_tests_mirror_the_package():
    folders = {
        path.parent.relative_to(PACKAGE.parent / "tests") for path in (PACKAGE.parent / "tests").rglob("test_*.py")
    }
    strangers = [folder for folder in folders if not (PACKAGE / folder).is_dir()]
    assert not strangers


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after `code` ran in a fresh interpreter."""
    code = f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_is_light():
    assert not loaded_by("import specimg") & {"torch", "fastai", "pandas", "librosa", "numpy", "matplotlib"}


def test_what_draws_pictures_loads_neither_torch_nor_pandas_nor_librosa():
    code = "import specimg.render, numpy as np; specimg.render.Renderer().png(np.ones(9000, 'float32'), 22050)"
    assert not loaded_by(code) & {"torch", "fastai", "pandas", "librosa", "numba", "matplotlib", "sklearn"}


@pytest.mark.parametrize("room", LIGHT)
def test_rooms_left_of_training_know_no_torch(room):
    assert "torch" not in loaded_by(f"import specimg.{room}")


def test_every_public_name_can_be_imported():
    for name in specimg.__all__:
        assert getattr(specimg, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        specimg.no_such_name
