"""Values: frozen dataclasses in which every choice is a field, and which convert to plain dictionaries, JSON and TOML.

Values are equal if their fields are, print what differs from the defaults, and make changed copies with `replace`. Each level
of the dictionary holds its own kind, so that nested values never collide:

>>> from specimg.core.values import Value, register
>>> @register
... @dataclass(frozen=True)
... class Window(Value):
...     seconds: float = 1.0   # s
>>> Window(seconds=2) == Window.from_dict({"kind": "window", "seconds": 2.0})
True
>>> Window(), Window(seconds=2)
(Window(), Window(seconds=2.0))
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
import numbers
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from .arguments import keywords, refuse_unknown, unknown_name
from .reading import parse_json, parse_toml, read_toml, swap_leaves

_KINDS: dict[str, type] = {}
T = TypeVar("T")


def choose(name: str, options, what: str) -> str:
    """Return a name that is one of the options; else raise a ValueError that suggests the closest ones.

    Parameters
    ----------
    name : str
        The name to check.
    options : iterable of str
        The names that exist.
    what : str
        What is named, for the message.

    Raises
    ------
    ValueError
        `name` is not one of `options`; the message lists the closest and all of them.

    Examples
    --------
    >>> choose("mel", ["mel", "stft"], "representation")
    'mel'
    """
    options = sorted(options)
    if name in options:
        return name
    raise ValueError(unknown_name(name, options, what))


def register(cls: type[T]) -> type[T]:
    """Class decorator: `from_dict` finds the class by its lower-cased name, `repr` prints what differs from the defaults, and an unknown
    field says where it belongs."""
    _KINDS[cls.__name__.lower()] = cls
    cls.__init__ = _names_fields(cls.__init__)
    if cls.__dataclass_params__.repr:
        cls.__repr__ = _short_repr  # in place of the dataclass's own, which prints every field
    return cls


def kinds(base: type | None = None) -> dict[str, type]:
    """Registered value classes by kind; with `base` only its subclasses.

    >>> list(kinds(sp.Picture))
    ['picture']
    """
    return {kind: cls for kind, cls in sorted(_KINDS.items()) if base is None or issubclass(cls, base)}


def _names_fields(init: Callable) -> Callable:
    """An `__init__` that refuses unknown fields with the place where they live."""

    known = keywords(init)

    @functools.wraps(init)
    def checked(self, *args, **kwargs):
        if not kwargs.keys() <= known:
            refuse_unknown(kwargs, known, f"field of {type(self).__name__}")
        init(self, *args, **kwargs)

    return checked


def _short_repr(value: Value) -> str:
    """`Renderer(Mel(n_mels=64), audio=Audio(sr=32000))`: what differs from the defaults, leading values without their names."""
    texts, leading = [], True
    for field in dataclasses.fields(value):
        part = getattr(value, field.name)
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        if not field.init or (default is not dataclasses.MISSING and part == default):
            leading = False
            continue
        leading = leading and isinstance(part, Value)
        texts.append(repr(part) if leading else f"{field.name}={part!r}")
    return f"{type(value).__name__}({', '.join(texts)})"


@dataclass(frozen=True)
class Value:
    """Base of all values. Subclasses add fields and, if fields have rules, a `_check` method.

    Fields are coerced to their annotated type on construction (`20` and `20.0` are one value); a field that does
    not fit raises a ValueError with the field, the value and what was expected.

    Examples
    --------
    >>> audio = sp.Audio(sr=32000)
    >>> audio.replace(sr=16000), audio == sp.Audio.from_json(audio.to_json())
    (Audio(sr=16000), True)
    """

    def __post_init__(self):
        for name, annotation in _annotations(type(self)).items():
            object.__setattr__(
                self, name, _coerce(getattr(self, name), annotation, f"{type(self).__name__}({name}=...)")
            )
        self._check()

    def _check(self) -> None:
        """Raise a ValueError if fields, alone or in combination, break a rule."""

    def _need(self, holds: bool, rule: str, *names: str) -> None:
        """Refuse the fields `names` if their rule does not hold: "Delta(width=2): give an odd number of frames, 3 or more"."""
        if not holds:
            parts = [(name, getattr(self, name)) for name in names]
            fields = [f"{name}={part:g}" if isinstance(part, float) else f"{name}={part!r}" for name, part in parts]
            raise ValueError(f"{type(self).__name__}({', '.join(fields)}): {rule}")

    @property
    def kind(self) -> str:
        """The name of this kind of value in dictionaries: the lower-cased class name."""
        return type(self).__name__.lower()

    def replace(self: T, **changes: Any) -> T:
        """A copy with some fields changed.

        Parameters
        ----------
        **changes : any
            New values of fields.

        Returns
        -------
        Value

        Raises
        ------
        ValueError
            A field does not exist, or its new value breaks a rule.
        """
        refuse_unknown(changes, _annotations(type(self)), f"field of {type(self).__name__}")
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """The value as plain dictionaries, lists, numbers and strings.

        Returns
        -------
        dict
            `kind` first at every level, then the fields.
        """
        return {"kind": self.kind} | {name: _plain(getattr(self, name)) for name in _annotations(type(self))}

    @classmethod
    def from_dict(cls: type[T], data: dict[str, Any]) -> T:
        """The value that a dictionary describes.

        Parameters
        ----------
        data : dict
            As `to_dict` returns it; fields that are left out take their default.

        Returns
        -------
        Value

        Raises
        ------
        ValueError
            The kind or a field is unknown, or a required field is missing.
        """
        if not isinstance(data, dict):
            raise ValueError(f"{cls.__name__} expects a dictionary, got {type(data).__name__} {data!r}")
        data = dict(data)
        kind = data.pop("kind", None if cls not in _KINDS.values() else cls.__name__.lower())
        if kind is None:
            raise ValueError(f"the dictionary has no 'kind'; choose one of {', '.join(kinds(cls))}")
        found = _KINDS[choose(kind, kinds(cls), cls.__name__.lower())]
        refuse_unknown(data, _annotations(found), f"field of {found.__name__}")
        for name in sorted(_required(found) - set(data)):
            raise ValueError(f"the dictionary of kind {kind!r} lacks the field {name!r}, which has no default")
        return found(**{name: _restore(part) for name, part in data.items()})

    def to_json(self, **kwargs: Any) -> str:
        """The value as JSON text.

        Parameters
        ----------
        **kwargs : any
            Arguments of `json.dumps`, such as `indent`.

        Returns
        -------
        str
        """
        return json.dumps(self.to_dict(), **{"allow_nan": False, "ensure_ascii": False, **kwargs})

    @classmethod
    def from_json(cls: type[T], text: str) -> T:
        """The value that JSON text describes.

        Parameters
        ----------
        text : str
            As `to_json` returns it.

        Returns
        -------
        Value

        Raises
        ------
        ValueError
            The text is not JSON, or does not describe such a value.
        """
        return cls.from_dict(parse_json(text))

    def to_toml(self) -> str:
        """The value as TOML text, a table for every nested value.

        Returns
        -------
        str
            None is written as "none", because TOML has no null.
        """
        import tomli_w

        return tomli_w.dumps(swap_leaves(self.to_dict(), None, "none"))

    @classmethod
    def from_toml(cls: type[T], text_or_path: str | Path) -> T:
        """The value that TOML text or a TOML file describes.

        Parameters
        ----------
        text_or_path : str or Path
            The text, or a file: a Path, or a name that ends in .toml.

        Returns
        -------
        Value

        Raises
        ------
        ValueError
            The text is not TOML, or does not describe such a value.
        """
        is_path = isinstance(text_or_path, Path) or (text_or_path.endswith(".toml") and "\n" not in text_or_path)
        return cls.from_dict(read_toml(text_or_path, none=True) if is_path else parse_toml(text_or_path, none=True))

    @property
    def key(self) -> str:
        """A digest of the value, 16 hexadecimal digits: equal for equal values, different for different ones."""
        text = json.dumps(self.to_dict(), sort_keys=True, allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@functools.cache
def _annotations(cls: type) -> dict[str, Any]:
    """Field name -> resolved type, in the order of the fields that `__init__` takes."""
    hints = typing.get_type_hints(cls)
    return {f.name: hints[f.name] for f in dataclasses.fields(cls) if f.init}


def _required(cls: type) -> set[str]:
    """Names of the fields without a default."""
    return {f.name for f in dataclasses.fields(cls) if f.init and f.default is f.default_factory is dataclasses.MISSING}


def _plain(part):
    if isinstance(part, Value):
        return part.to_dict()
    if isinstance(part, tuple):
        return [_plain(p) for p in part]
    return part


def _restore(part):
    """Lists become tuples; nested dictionaries become values when the field that takes them is coerced."""
    return tuple(_restore(p) for p in part) if isinstance(part, (list, tuple)) else part


def _coerce(part, annotation, where: str):
    """`part` as the annotated type, or a ValueError that starts with `where`."""
    for option in _options(annotation):
        fits, coerced = _try(part, option, where)
        if fits:
            return coerced
    expected = " or ".join(_type_name(o) for o in _options(annotation))
    raise ValueError(f"{where}: {part!r} is not {expected}")


def _options(annotation) -> tuple:
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return typing.get_args(annotation)
    return (annotation,)


def _type_name(option) -> str:
    names = {
        int: "a whole number",
        float: "a finite number",
        str: "a string",
        bool: "True or False",
        type(None): "None",
    }
    return names.get(option, getattr(option, "__name__", str(option)))


def _is_finite(number) -> bool:
    """Whether it is a number that a float can hold."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _try(part, option, where: str) -> tuple[bool, Any]:
    """(does it fit, the coerced part). Numpy numbers become Python's, -0.0 becomes 0.0, True is never a number."""
    is_bool = isinstance(part, bool) or type(part).__name__ in ("bool_", "bool")
    if option is type(None):
        return part is None, None
    if option is bool:
        return is_bool, bool(part) if is_bool else part
    if option is int:
        whole = isinstance(part, numbers.Real) and not is_bool and _is_finite(part) and part == int(part)
        return whole, int(part) if whole else part
    if option is float:
        finite = isinstance(part, numbers.Real) and not is_bool and _is_finite(part)
        return finite, float(part) + 0.0 if finite else part
    if option is str:
        return isinstance(part, str), str(part) if isinstance(part, str) else part
    if typing.get_origin(option) is tuple:
        inner = typing.get_args(option)[0]  # only tuple[X, ...] is used
        if not isinstance(part, (tuple, list)):
            return False, part
        return True, tuple(_coerce(p, inner, f"{where}[{i}]") for i, p in enumerate(part))
    if isinstance(part, dict) and issubclass(option, Value):
        return True, option.from_dict(part)
    return isinstance(part, option), part
