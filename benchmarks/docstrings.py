"""What the docstrings of the public surface still lack: parameters, fields, returns, examples, annotations.

    python benchmarks/docstrings.py                 # counts, and what is missing
    python benchmarks/docstrings.py audio training  # these rooms only

Public is what the package and its rooms name in `__all__`, and the public methods and properties of those classes. Docstrings are read
by numpydoc, so what counts here is what the site shows.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import inspect
from collections import Counter

import numpydoc.docscrape as docscrape

import specimg
from specimg.core.values import Value

ROOMS = (
    "audio", "cli", "competitions", "data", "datasets", "experiments", "inference", "inference.events", "interpret", "labels", "metrics",
    "models", "models.nets", "render", "reports", "spectrogram", "training",
)  # fmt: skip


def public_objects() -> dict[str, object]:
    """ "audio.read_audio" -> the function: functions and classes of this package that rooms name in `__all__`, each once."""
    found: dict[str, object] = {}
    for room in ROOMS:
        module = importlib.import_module(f"specimg.{room}")
        for name in module.__all__:
            thing = getattr(module, name)
            if (inspect.isfunction(thing) or inspect.isclass(thing)) and thing.__module__.startswith("specimg"):
                if not any(thing is other for other in found.values()):
                    found[f"{room}.{name}"] = thing
    return found


def methods_of(cls: type) -> dict[str, object]:
    """Public methods that the class itself defines, without properties."""
    members = {name: inspect.getattr_static(cls, name) for name in vars(cls) if not name.startswith("_")}
    plain = {
        name: member.__func__ if isinstance(member, (classmethod, staticmethod)) else member
        for name, member in members.items()
    }
    return {name: member for name, member in plain.items() if inspect.isfunction(member)}


def wanted_parameters(function) -> dict[str, inspect.Parameter]:
    """Parameters that a caller gives."""
    parameters = inspect.signature(function).parameters
    return {name: p for name, p in parameters.items() if name not in ("self", "cls") and not name.startswith("_")}


def described(section) -> set[str]:
    """Names in a numpydoc section; "fmin, fmax : float" has two, "*args" is args. A name without a description does not count."""
    names = set()
    for part in section:
        if "".join(part.desc).strip():
            names |= {name.strip().lstrip("*") for name in part.name.split(",")}
    return names


def lacks_of_function(function, needs_example: bool, text: str | None = None) -> list[str]:
    """What one function's docstring lacks; `text` is the one that an overriding method inherits."""
    text = inspect.getdoc(function) or text
    if not text:
        return ["docstring"]
    doc, lacks = docscrape.NumpyDocString(text), []
    parameters = wanted_parameters(function)
    unnamed = [name for name in parameters if name not in described(doc["Parameters"])]
    if unnamed:
        lacks.append(f"parameters {', '.join(unnamed)}")
    hints = function.__annotations__
    bare = [name for name in parameters if name not in hints]
    if bare:
        lacks.append(f"annotations {', '.join(bare)}")
    if "return" not in hints:
        lacks.append("annotation of return")
    returns = str(hints.get("return", ""))
    if returns not in ("None", "NoReturn") and not doc["Returns"] and not doc["Yields"]:
        lacks.append("returns")
    if needs_example and ">>>" not in text:
        lacks.append("example")
    return lacks


def lacks_of_class(cls: type) -> list[str]:
    """What a class's own docstring lacks: fields of values, else the parameters of its `__init__`, and an example."""
    if not cls.__doc__:
        return ["docstring"]
    doc, lacks = docscrape.NumpyDocString(inspect.getdoc(cls)), []
    if dataclasses.is_dataclass(cls) and cls.__dataclass_params__.init:
        wanted = [f.name for f in dataclasses.fields(cls) if f.init and not f.name.startswith("_")]
    elif "__init__" in vars(cls):
        wanted = list(wanted_parameters(cls.__init__))
    else:
        wanted = []
    unnamed = [name for name in wanted if name not in described(doc["Parameters"]) | described(doc["Attributes"])]
    if unnamed:
        lacks.append(f"{'fields' if issubclass(cls, Value) else 'parameters'} {', '.join(unnamed)}")
    if ">>>" not in cls.__doc__ and not issubclass(cls, Exception):
        lacks.append("example")
    return lacks


def survey(rooms: list[str]) -> dict[str, list[str]]:
    """Every public name with what it lacks; an empty list where nothing does."""
    found = {}
    for name, thing in public_objects().items():
        if rooms and name.split(".")[0] not in rooms:
            continue
        if inspect.isclass(thing):
            found[name] = lacks_of_class(thing)
            for method, function in methods_of(thing).items():
                found[f"{name}.{method}"] = lacks_of_function(function, False, inspect.getdoc(getattr(thing, method)))
        else:
            found[name] = lacks_of_function(thing, needs_example=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rooms", nargs="*", help="names of rooms; default all")
    found = survey(parser.parse_args().rooms)
    counts = Counter(lack.split()[0] for lacks in found.values() for lack in lacks)
    for name, lacks in found.items():
        if lacks:
            print(f"{name}: {'; '.join(lacks)}")
    whole = sum(not lacks for lacks in found.values())
    print(
        f"{whole} of {len(found)} public names are whole; lacking: {dict(counts) or 'nothing'}  (specimg {specimg.__version__})"
    )


if __name__ == "__main__":
    main()
