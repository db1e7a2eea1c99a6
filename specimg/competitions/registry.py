"""Layouts of competitions by name: each module of `layouts` registers its own with `@layout`.

To add one, write a module in `layouts/`, name it in `layouts/__init__.py`, and test it on a miniature of the real folder
(`tests/competitions/layouts/`). `reading` has what most layouts need: `train_rows`, `with_audio`, `sample_rows`. In your own code
a decorator is enough; `marks` are names in the folder by which `Competition.open` recognises it:

>>> @layout("two-sounds", marks=[("labels.csv", "clips")])
... def read_two_sounds(folder, verified=True):
...     table = sp.labels_from_csv(folder / "labels.csv", fn_col="fname", label_col="label", group_col="group")
...     table["path"] = "clips/" + table["path"]
...     return sp.Competition("two-sounds", folder, table, metric="accuracy", format=sp.BestLabels())
>>> sp.Competition.open("two-sounds", ".")
Competition('two-sounds': 12 clips, 2 labels, scored by accuracy)

Formats of files that describe a competition register their reader with `@file_reader(".toml")`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Layout:
    """The layout of a known competition on disk.

    Parameters
    ----------
    slug : str
        Name of the competition, Kaggle's if it is there.
    marks : tuple of tuple of str
        Alternatives, each the names of files and folders that are in its folder.
    read : callable
        `(folder, **options) -> Competition`; with a parameter `slug` if one function reads several.
    fetched : str, default ""
        Name under which `specimg.fetch` gets it, if its licence allows that.

    Examples
    --------
    >>> LAYOUTS["ESC-50"].fetched
    'ESC-50'
    """

    slug: str
    marks: tuple[tuple[str, ...], ...]
    read: Callable
    fetched: str = ""


LAYOUTS: dict[str, Layout] = {}


def layout(*slugs: str, marks: Sequence[tuple[str, ...]], fetched: str = "") -> Callable:
    """Decorator that registers a layout.

    Parameters
    ----------
    *slugs : str
        Names of competitions.
    marks : sequence of tuple of str
        Alternatives, each the names of files and folders that are in the competition's folder.
    fetched : str, default ""
        Name under which `specimg.fetch` gets it.

    Returns
    -------
    callable
        A decorator for `read(folder, **options) -> Competition`; for several slugs `read(folder, slug, **options)`. Options of
        `Competition.open` are its keyword arguments.

    Examples
    --------
    >>> @layout("one-folder-per-word", marks=[("yes", "no")])
    ... def read_words(folder):
    ...     return sp.Competition("one-folder-per-word", folder, sp.labels_from_folders(folder))
    >>> "one-folder-per-word" in sp.list_competitions()
    True
    """

    def register(read: Callable) -> Callable:
        for slug in slugs:
            LAYOUTS[slug] = Layout(slug, tuple(marks), read, fetched)
        return read

    return register


FILE_READERS: dict[str, Callable] = {}  # suffix of a file -> (path) -> Competition; layouts enter themselves
