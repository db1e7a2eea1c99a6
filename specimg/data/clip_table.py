"""Labels and pictures meet in one table, a row a clip, with the columns path, label and picture, and start, end, fold ... where given.

    table = label_table(df, root, Columns(fn_col="fname"), Split(), all_named=True)            # of recordings that are there
    tree = drawn_tree(table, root, Renderer(), cache=None, n_jobs=-1, progress=True)            # draws what is missing
    table = add_pictures(table, tree)

A row without a recording or a picture is left out, and a warning counts these rows and gives examples; if none is left it is an error.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd

from ..audio import find_audio
from ..audio.find import locate_names
from ..core.addresses import Address, stats_stored
from ..core.text import examples
from ..core.warnings import warn
from ..labels.corrections import apply_corrections
from ..labels.split_folders import split_by_folders
from ..labels.tables import clip_index, labels_from_csv
from ..render.manifest import HAS_PICTURE
from ..render.renderer import Renderer
from ..render.tree import SpecTree, render_tree
from ..spectrogram.picture import MEND, PictureError, describe, open_image, picture_size
from .split import Split

Corrections: TypeAlias = pd.DataFrame | str | os.PathLike | None


def _way_out(root: Path | Address, names: pd.Series) -> str:
    """Which arguments would make files of these names, where recordings tell."""
    found = locate_names(root, names)
    if found is None:
        return "check folder= and suffix="
    front, back = found
    example = "/".join(filter(None, [front, names.iloc[0] + back]))
    given = " and ".join(f"{name}={value!r}" for name, value in (("folder", front), ("suffix", back)) if value)
    return f"{example!r} is one: give {given}"


def _existing(table: pd.DataFrame, root: Path | Address) -> pd.DataFrame:
    """The rows whose recording is there; what is missing is warned of by number and example, and a table without any is an error."""
    if isinstance(root, Address):
        stored = stats_stored(root, table["path"])
        there = np.array([stored[path][1] is not None for path in table["path"]], bool)
    else:
        there = np.array([os.path.lexists(os.path.join(root, path)) for path in table["path"].tolist()], bool)
    if not there.any():
        raise ValueError(
            f"none of the {len(table)} names in the table is a file below {str(root)!r} "
            f"(the first is {table['path'].iloc[0]!r}); {_way_out(root, table['path'])}"
        )
    if not there.all():
        missing = table["path"][~there]
        warn(
            f"{len(missing)} of {len(table)} rows have no recording below {str(root)!r} ({examples(missing)}) and are left out"
        )
    return table[there].reset_index(drop=True)


def _without_rows(table: pd.DataFrame, root: Path | Address) -> None:
    """Warn of recordings of the folder that no row of the table names."""
    unnamed = sorted(set(find_audio(root)) - set(table["path"]))
    if unnamed:
        warn(
            f"{len(unnamed)} recordings below {str(root)!r} have no row in the table ({examples(unnamed)}); they are not used"
        )


@dataclass(frozen=True)
class Columns:
    """Which columns of a table mean what, by name or position; fields as in `labels_from_csv`."""

    fn_col: str | int = "path"
    label_col: str | int | Sequence = "label"
    label_delim: str | None = None
    suffix: str = ""
    start_col: str | int | None = None
    end_col: str | int | None = None
    weight_col: str | int | None = None

    def read(self, df: pd.DataFrame, split: Split, corrections: Corrections = None, folder=None) -> pd.DataFrame:
        """The label table that these columns of `df`, and those of `split`, describe."""
        table = labels_from_csv(df, folder=folder, **vars(self), **split.columns)
        return table if corrections is None else apply_corrections(table, corrections)


def label_table(
    df: pd.DataFrame,
    root: Path | Address,
    columns: Columns,
    split: Split,
    corrections: Corrections = None,
    *,
    all_named: bool,
) -> pd.DataFrame:
    """The label table of the recordings that are there below `root`.

    corrections : as in `apply_corrections`, if there are any
    all_named : warn of recordings below `root` without a row

    Warns of rows without a recording.
    """
    table = _existing(columns.read(df, split, None, root), root)
    if all_named:
        _without_rows(table, root)
    return table if corrections is None else apply_corrections(table, corrections)


def find_pictures(table: pd.DataFrame, tree: SpecTree) -> tuple[np.ndarray, list[str], list[str]]:
    """(bool (rows,): which rows have a picture; the pictures of these, absolute paths; for each of the others why it has none)."""
    originals = tree.originals
    found = originals.set_index(clip_index(originals))[["status", "reason", "picture"]].reindex(clip_index(table))
    drawn = found["status"].isin(HAS_PICTURE).to_numpy()
    pictures = [str(tree.images / picture) for picture in found["picture"][drawn]]
    reasons = found["reason"].where(found["status"].notna(), "is not in the tree")
    return drawn, pictures, [f"{path}: {reason}" for path, reason in zip(table["path"][~drawn], reasons[~drawn])]


def add_pictures(table: pd.DataFrame, tree: SpecTree) -> pd.DataFrame:
    """`table` with the column `picture` (absolute paths); rows without one are left out, with a warning that names reasons."""
    drawn, pictures, reasons = find_pictures(table, tree)
    if not drawn.any():
        raise ValueError(
            f"none of the {len(table)} clips has a picture in {str(tree.root)!r} ({examples(reasons, mark='; ')})"
        )
    if reasons:
        warn(f"{len(reasons)} of {len(table)} clips have no picture and are left out ({examples(reasons, mark='; ')})")
    return table[drawn].assign(picture=pictures).reset_index(drop=True)


def _damage(path: str, described: bool, opened: bool) -> str:
    """Why a picture cannot be used, by its size, by what it says of itself, and by its pixels; "" if it can."""
    try:
        picture_size(path)
        if described or opened:
            describe(path)
        if opened:
            open_image(path)
    except PictureError as exc:
        return str(exc)
    return ""


def without_damaged(clips: pd.DataFrame, described: bool) -> pd.DataFrame:
    """`clips` without those whose picture cannot be used, of which a warning says why; an error if none is left.

    described : read all that pictures say of themselves, where lengths are compared

    Of every picture the beginning is read, and the first of training and of validation are opened: they stand for all others. Damage
    behind the beginning of the rest is found where they are loaded.
    """
    problems: dict[int, str] = {}
    for _, side in clips.groupby("is_valid"):
        is_first = True
        for row, path in side["picture"].items():
            if problem := _damage(path, described, opened=is_first):
                problems[row] = problem
            else:
                is_first = False
    if not problems:
        return clips
    told = f"{len(problems)} of {len(clips)} pictures are damaged ({examples(problems.values(), mark='; ')})"
    if len(problems) == len(clips):
        raise PictureError(f"{told}. {MEND}")
    warn(f"{told}; their clips are left out. {MEND}")
    return clips.drop(index=list(problems)).reset_index(drop=True)


def drawn_tree(
    table: pd.DataFrame, root: Path | Address, renderer: Renderer, cache, n_jobs: int, progress: bool, variants=()
) -> SpecTree:
    """The tree that holds a picture for each row, and one more for each variant."""
    segments = table[["path", "start", "end"]] if "start" in table else None
    with warnings.catch_warnings():
        # `add_pictures` warns of them, at every call
        warnings.filterwarnings("ignore", r"\d+ of \d+ clips could not be drawn")
        return render_tree(
            table["path"],
            renderer,
            cache,
            root=root,
            segments=segments,
            variants=variants,
            n_jobs=n_jobs,
            progress=progress,
        )


def labels_of_folders(tree: SpecTree) -> pd.DataFrame:
    """What was drawn, labelled with the name of the folder it lies in, with `is_valid` where folders of a split lie above those."""
    table = tree.originals
    table = table[table["status"].isin(HAS_PICTURE)].reset_index(drop=True)
    times = ["start", "end"] if table["end"].notna().any() else []
    table = table[["path", *times]].assign(label=table["path"].map(lambda path: Path(path).parent.name))
    return split_by_folders(table, tree.source)
