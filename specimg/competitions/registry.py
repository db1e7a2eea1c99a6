"""Layouts of competitions by name: each module of `layouts` registers its own with `@layout(slug, marks=...)`.

Files that describe a competition register their reader with `@file_reader(".toml")`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["FILE_READERS", "LAYOUTS", "Layout", "file_reader", "layout"]


@dataclass(frozen=True)
class Layout:
    """How a known competition is laid out on disk."""

    slug: str
    marks: tuple[tuple[str, ...], ...]  # alternatives: the names that are in its folder
    read: Callable  # (folder, **options) -> Competition
    fetched: str = ""  # name under which `specimg.fetch` gets it, where that may be done


LAYOUTS: dict[str, Layout] = {}


def layout(*slugs: str, marks: Sequence[tuple[str, ...]], fetched: str = "") -> Callable:
    """Decorator: register `read(folder, **options) -> Competition`, for several slugs `read(folder, slug, **options)`."""

    def register(read: Callable) -> Callable:
        for slug in slugs:
            LAYOUTS[slug] = Layout(slug, tuple(marks), read, fetched)
        return read

    return register


FILE_READERS: dict[str, Callable] = {}  # ending of a file -> (path) -> Competition


def file_reader(suffix: str) -> Callable:
    """Decorator: register `read(path) -> Competition` for files with this ending."""

    def register(read: Callable) -> Callable:
        FILE_READERS[suffix] = read
        return read

    return register
