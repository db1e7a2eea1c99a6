"""Figures for files only; a module of its own because the command line says so before anything needs matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_OFFSCREEN = ContextVar("offscreen", default=False)


@contextmanager
def offscreen() -> Iterator[None]:
    """Within it figures are drawn for files: no window opens, no notebook shows them, and pyplot does not know them."""
    before = _OFFSCREEN.set(True)
    try:
        yield
    finally:
        _OFFSCREEN.reset(before)


def is_offscreen() -> bool:
    """Whether figures are drawn for files only, here and now."""
    return _OFFSCREEN.get()
