"""Which libraries drew the pictures of a tree, and whether those installed now may draw into it too.

A value names the libraries that affect its pixels (`Renderer().libraries`); a tree records their versions in `renderer.json`.
specimg's own changes are not compared: whenever they move a pixel, the format number in the tree's key is raised, and with it the folder
changes.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from ..core.reading import read_json
from ..core.warnings import warn

MAX_BYTES = 1 << 20  # of a renderer.json
_WORD = re.compile(r"[\w.+!-]{1,100}")  # a library, or a version of it
Recorded = dict[str, list[str]]  # library -> its versions, oldest first

# Libraries of signal processing, which change their numbers with a new major version (librosa 1.0 has another phase vocoder). What the
# others do in our pictures (arithmetic, Fourier transforms, decoding, resampling, resizing) stays the same but for rounding.
CHANGE_NUMBERS = frozenset({"librosa", "noisereduce", "pyloudnorm"})


def read_facts(folder: Path) -> dict:
    """What renderer.json in `folder` holds.

    Raises
    ------
    FileNotFoundError
        If there is no tree yet.
    ValueError
        If it is damaged.
    """
    path = folder / "renderer.json"
    try:
        facts = read_json(path, max_bytes=MAX_BYTES)
    except ValueError as exc:
        raise ValueError(f"{exc}; delete that folder to draw it again") from exc
    if not isinstance(facts, dict):
        raise ValueError(f"{str(path)!r} holds a {type(facts).__name__}; delete that folder to draw it again")
    return facts


def read_versions(folder: Path) -> Recorded:
    """What the tree in `folder` records; empty if there is no tree yet.

    Raises
    ------
    ValueError
        If renderer.json is damaged.
    """
    try:
        recorded = read_facts(folder).get("versions", {})
    except (FileNotFoundError, NotADirectoryError):
        return {}
    try:
        found = {name: [numbers] if isinstance(numbers, str) else list(numbers) for name, numbers in recorded.items()}
        for word in itertools.chain(found, *found.values()):  # they go into messages
            if not _WORD.fullmatch(word):
                raise ValueError(f"{word[:80]!r} is no version")
        return found
    except (AttributeError, TypeError, ValueError) as exc:
        raise ValueError(
            f"{str(folder / 'renderer.json')!r} does not describe a tree ({exc}); delete that folder to draw it again"
        ) from exc


def version_action(library: str, drawn_by: list[str], installed: str) -> str:
    """What to do about a library of which a tree was drawn with some versions and another may be installed now.

    Returns
    -------
    str
        "draw" where the installed version is among them, "warn" where pictures may differ in rounding, "refuse" where a new major
        version of the library has other numbers.

    Examples
    --------
    >>> from specimg.render.versions import version_action
    >>> version_action("librosa", ["0.11.0"], "0.11.0"), version_action("librosa", ["0.10.2"], "0.11.0")
    ('draw', 'warn')
    >>> version_action("librosa", ["0.11.0"], "1.0.0"), version_action("numpy", ["1.26.4"], "2.4.6")
    ('refuse', 'warn')
    """
    if installed in drawn_by:
        return "draw"
    major = {number.partition(".")[0] for number in (*drawn_by, installed)}
    return "refuse" if library in CHANGE_NUMBERS and len(major) > 1 else "warn"


def compare_versions(recorded: Recorded, installed: dict[str, str]) -> dict[str, str]:
    """Libraries whose installed version is not one of those that drew a tree.

    Parameters
    ----------
    recorded : dict of list of str
        Versions that drew the tree, as `read_versions` returns them; a library that it does not record is not compared.
    installed : dict of str
        Versions that would draw now, as `core.installed.installed_versions` returns them.

    Returns
    -------
    dict of str
        The actions "warn" and "refuse" of `version_action`, each with its libraries as text; "" if there are none.

    Examples
    --------
    >>> from specimg.render.versions import compare_versions
    >>> compare_versions({"numpy": ["2.4.6"], "librosa": ["0.11.0"]}, {"numpy": "2.4.6", "librosa": "1.0.0"})
    {'warn': '', 'refuse': 'librosa 0.11.0 (installed: 1.0.0)'}
    """
    changes: dict[str, list[str]] = {"draw": [], "warn": [], "refuse": []}
    for name, now in installed.items():
        if name != "specimg" and name in recorded:
            text = f"{name} {' and '.join(recorded[name])} (installed: {now})"
            changes[version_action(name, recorded[name], now)].append(text)
    return {action: ", ".join(changes[action]) for action in ("warn", "refuse")}


def warn_of_versions(folder: Path, changes: dict[str, str]) -> None:
    """Warn if `compare_versions` found differences, naming both versions of each library."""
    differing = ", ".join(filter(None, [changes["refuse"], changes["warn"]]))
    if differing:
        what = "draw other pixels" if changes["refuse"] else "round differently"
        warn(f"the tree {str(folder)!r} was drawn with {differing}, which may {what}")
