"""What a room may use of a room above it: the front door, which stands above all of them, hands it in.

    provide("pages", lambda: specimg.reports.training_pages)      # in specimg/__init__.py, for `specimg.training`
    provided("pages")(learn)                                      # there

So training can end with a report, and imports nothing that reports need. Nothing is imported before it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

_PROVIDED: dict[str, Callable[[], Callable]] = {}


def provide(name: str, load: Callable[[], Callable]) -> None:
    """Hand in a function under a name; `load` imports and returns it when it is first asked for."""
    _PROVIDED[name] = load


def provided(name: str) -> Callable:
    """The function that was handed in under a name.

    >>> provided("training_pages").__name__
    'training_pages'
    """
    return _PROVIDED[name]()
