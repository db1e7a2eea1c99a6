"""Arguments under a name that does not exist: the message has the closest names, and where a setting of this name lives.

>>> sp.Picture(size=224)
Traceback (most recent call last):
specimg.core.arguments.UnknownArgument: unknown field of Picture 'size'; size is an argument of SpecDataLoaders.from_...; choose one of ...

Values refuse unknown fields by `refuse_unknown`; functions whose arguments people mix up with them are decorated with `names_arguments`.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from .text import examples

P = ParamSpec("P")
T = TypeVar("T")
_PACKAGE = __name__.partition(".")[0]


class UnknownArgument(TypeError, ValueError):
    """An argument that a value or a function does not take: a TypeError as Python's own, a ValueError as of any invalid setting."""


def unknown_name(
    name: object, options: Iterable[str], what: str, elsewhere: Callable[[str], str] = lambda name: ""
) -> str:
    """The message for a name that is none of the options: the closest ones, or else what is said of it `elsewhere`, and all of them."""
    options = sorted(options)
    near = difflib.get_close_matches(str(name), options, n=3)
    hint = f" did you mean {' or '.join(map(repr, near))}?" if near else ""
    if not near and (place := elsewhere(str(name))):
        hint = f" {place};"
    return f"unknown {what} {name!r};{hint} choose one of {', '.join(options)}"


def _fields(public: dict[str, object]) -> dict[str, set[str]]:
    """Public class of values -> names of its fields. The default parts of the value that has most parts come first."""
    values = {n: o for n, o in public.items() if isinstance(o, type) and dataclasses.is_dataclass(o)}
    parts: Counter[type] = Counter()
    for value in values.values():
        defaults = [type(f.default) for f in dataclasses.fields(value) if dataclasses.is_dataclass(f.default)]
        parts.update(dict.fromkeys(defaults, len(defaults)))
    first = sorted(values, key=lambda n: -parts[values[n]])
    return {n: {f.name for f in dataclasses.fields(values[n]) if f.init} for n in first}


def _parameters(public: dict[str, object]) -> dict[str, set[str]]:
    """Public function -> names of its parameters; the constructors `from_...` of a class together."""
    found: dict[str, set[str]] = {}
    for name, thing in public.items():
        if inspect.isfunction(thing):
            found[name] = set(inspect.signature(thing).parameters)
        for method, made in inspect.getmembers(thing, inspect.ismethod) if inspect.isclass(thing) else ():
            if method.startswith("from_") and made.__module__.startswith(_PACKAGE):
                found.setdefault(f"{name}.from_...", set()).update(inspect.signature(made).parameters)
    return found


def place_of(name: str) -> str:
    """Where a setting of this name lives among the public names of the package, in words; empty if nowhere.

    >>> place_of("sr"), place_of("no such setting")
    ('sr is a field of Audio', '')
    """
    front = importlib.import_module(_PACKAGE)
    public = {each: getattr(front, each) for each in front.__all__}
    for what, owners in (("a field", _fields(public)), ("an argument", _parameters(public))):
        having = [owner for owner, names in owners.items() if name in names]
        if having:
            return f"{name} is {what} of {examples(having)}"
    return ""


def parameter_texts(doc: str) -> dict[str, str]:
    """Heading -> entry, of the section "Parameters" of a docstring in numpydoc's form.

    >>> parameter_texts("Draw.\\n\\nParameters\\n----------\\nbs : int\\n    Clips per batch.\\n")
    {'bs : int': 'bs : int\\n    Clips per batch.\\n'}
    """
    after = re.split(r"^Parameters\n-+\n", inspect.cleandoc(doc) + "\n", maxsplit=1, flags=re.M)[-1]
    section = re.split(r"^[A-Z]\w+\n-+\n", after, maxsplit=1, flags=re.M)[0]
    entries = re.findall(r"^(\S.*)\n((?:[ ]+.*\n|\n(?=[ ]))+)", section, flags=re.M)
    return {heading: f"{heading}\n{text}" for heading, text in entries}


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """UnknownArgument for the first of the given names that is not known.

    >>> refuse_unknown(["n_mels"], ["n_mels", "n_fft"], "field of Mel")
    """
    known = set(known)
    for name in given:
        if name not in known:
            raise UnknownArgument(unknown_name(name, known, what, place_of))


def keywords(function: Callable) -> set[str]:
    """The names of the arguments that a function or a method takes by name.

    >>> sorted(keywords(place_of))
    ['name']
    """
    parameters = inspect.signature(function).parameters.values()
    return {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)} - {"self", "cls"}


def names_arguments(function: Callable[P, T]) -> Callable[P, T]:
    """Decorator: an unknown keyword argument is an `UnknownArgument` that says where it belongs."""

    known = keywords(function)

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if not kwargs.keys() <= known:
            refuse_unknown(kwargs, known, f"argument of {function.__name__}")
        return function(*args, **kwargs)

    return checked
