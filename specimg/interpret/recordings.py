"""Where the recordings of predicted clips are.

    tree = tree_of(predictions.table["picture"])          # the tree of their pictures, which knows its source
    files, why = find_recordings(predictions.table, tree.source, anywhere=False)

A file of predictions may be anybody's: with `anywhere=False` nothing outside the folder of the recordings is opened.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from ..core.addresses import Address, as_folder
from ..core.files import inside
from ..experiments import Run
from ..render.tree import SpecTree


def tree_of(pictures: pd.Series) -> SpecTree | None:
    """The tree that the first of these pictures lies in which is there and in one."""
    seen: set[str] = set()
    for name in pictures:
        if not name or os.path.dirname(name) in seen or not os.path.exists(name):
            continue
        seen.add(os.path.dirname(name))
        for folder in [above.parent for above in Path(name).absolute().parents if above.name == "images"]:
            if (folder / "renderer.json").is_file():
                try:
                    return SpecTree.open(folder)
                except ValueError:  # of another version: its pictures can still be shown
                    return None
    return None


def folder_of_run(run: Run) -> Path | Address | None:
    """Where the competition's recordings were when the run was trained."""
    known = run.config.competition.get("folder")
    return as_folder(known) if known else None


def is_below(file: str | os.PathLike, folder: Path | None) -> bool:
    """Whether a file lies below a folder, wherever links lead."""
    return folder is not None and Path(os.path.realpath(file)).is_relative_to(os.path.realpath(folder))


def find_recording(path: str, folder: Path | Address | None, anywhere: bool = True) -> Path | Address:
    """The recording of a clip: below `folder`, or at an absolute path.

    A file that is no longer at its absolute path is looked for by its name in `folder`. ValueError, with a message for the page, where there
    is none, for a relative path that leads out of the folder, and unless `anywhere` for every file that does not lie below the folder.
    """
    if os.path.isabs(path):
        moved = None if folder is None else folder / os.path.basename(path)
        is_there = os.path.exists(path)
        is_usable = is_there and (anywhere or is_below(path, folder))
        found = Path(path) if is_usable or moved is None or (is_there and not moved.is_file()) else moved
    elif folder is None:
        raise ValueError("The folder of the recordings is not known; name it with audio=.")
    else:
        try:
            found = folder / inside(folder, path)
        except ValueError as exc:
            raise ValueError("The path of the recording leads out of its folder.") from exc
    if isinstance(found, Address) and anywhere:  # whether it is there shows when it is read
        return found
    if isinstance(found, Address) or (not anywhere and not is_below(found, folder)):
        raise ValueError(
            "The file of predictions names a recording outside their folder, which is not opened; name the folder with audio=."
        )
    if not found.is_file():
        raise ValueError("The recording is not where it was; name its folder with audio=.")
    return found


def find_recordings(
    table: pd.DataFrame, folder: Path | Address | None, anywhere: bool
) -> tuple[list[Path | Address | None], list[str]]:
    """(the recording of each clip or None, why there is none); predictions of waveforms name the file itself."""
    found: list[Path | Address | None] = []
    why: list[str] = []
    for path, given in zip(table["path"], table.get("recording", [""] * len(table))):
        try:
            named = isinstance(given, str) and os.path.isfile(given) and (anywhere or is_below(given, folder))
            found.append(Path(given) if named else find_recording(path, folder, anywhere))
            why.append("")
        except (ValueError, OSError) as exc:
            found.append(None)
            why.append(str(exc))
    return found, why
