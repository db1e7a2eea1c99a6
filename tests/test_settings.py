"""settings.ini says what pyproject.toml says, and the version is one."""

import configparser
import re
from pathlib import Path

import pytest

import specimg
from specimg.core.reading import read_toml

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pyproject():
    return read_toml(ROOT / "pyproject.toml")


@pytest.fixture(scope="module")
def settings():
    config = configparser.ConfigParser()
    config.read(ROOT / "settings.ini")
    return config["DEFAULT"]


def test_the_mirror_agrees_with_the_project_table(settings, pyproject):
    project = pyproject["project"]
    assert settings["lib_name"] == project["name"]
    assert settings["description"] == project["description"]
    assert settings["requirements"].split() == [d for d in project["dependencies"] if ";" not in d]
    assert ">=" + settings["min_python"] == project["requires-python"]


def test_the_mirror_agrees_with_the_nbdev_table(settings, pyproject):
    nbdev = pyproject["tool"]["nbdev"]
    for name in ("lib_path", "nbs_path", "doc_path"):
        assert settings[name] == nbdev[name]
    assert settings["tst_flags"].split() == nbdev["tst_flags"]


def test_the_version_is_written_once_in_the_package(settings):
    assert settings["version"] == specimg.__version__
    assert re.search(
        rf'^__version__ = "{re.escape(specimg.__version__)}"$', (ROOT / "specimg/__init__.py").read_text(), re.M
    )


def test_the_first_line_says_which_file_is_the_source():
    assert "pyproject.toml" in (ROOT / "settings.ini").read_text().splitlines()[0]
