"""The house: data flows one way, what stands left of the tree knows no torch, and the front door is light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import specimg

PACKAGE = Path(specimg.__file__).parent

# From left to right; a module imports only from modules before it.
ORDER = [
    "values", "files", "figures", "audio", "variants", "representation", "picture", "manifest", "plan", "render", "inputs", "labels", "corrections", "windows", "folds", "features", "metrics", "datasets", "compete", "sounds", "baseline", "events",
    "augment", "images", "tta", "loader", "data", "waves", "nets", "weights", "networks", "learner", "losses", "recipe", "predictions", "cam", "graph", "bundle", "runs", "plots", "interpret", "review", "page", "demo", "cli",
]
LIGHT = ORDER[: ORDER.index("augment")]


def imported_rooms(path: Path) -> set[str]:
    """Rooms of the package that a module imports anywhere, lazily or not."""
    depth = len(path.relative_to(PACKAGE).parts)   # 1 for modules of the package itself
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            rooms |= {node.module.split(".")[0]} if node.module else {a.name for a in node.names}
        if isinstance(node, ast.ImportFrom) and node.level == 0 and (node.module or "").startswith("specimg."):
            rooms.add(node.module.split(".")[1])
    return rooms & set(ORDER)


def modules():
    return [p for p in sorted(PACKAGE.rglob("*.py")) if p.name != "__init__.py" or p.parent != PACKAGE]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_module_has_its_place_in_the_order():
    assert {room_of(p) for p in modules()} == set(ORDER)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_module_imports_only_from_modules_before_it(path):
    here = ORDER.index(room_of(path))
    later = [room for room in imported_rooms(path) if ORDER.index(room) > here]
    assert not later


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_module_imports_by_star(path):
    stars = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and any(a.name == "*" for a in n.names)]
    assert not stars


def loaded_by(code: str) -> set[str]:
    """Top-level modules in memory after `code` ran in a fresh interpreter."""
    out = subprocess.run([sys.executable, "-c", f"{code}\nimport sys; print(*{{m.split('.')[0] for m in sys.modules}})"],
                         capture_output=True, text=True, check=True)
    return set(out.stdout.split())


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
