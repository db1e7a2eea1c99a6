"""Writing the folder of a run: begun, checked against what is asked for, and shared between processes.

`is_new` decides between beginning and continuing and refuses a folder that holds something else; it writes nothing. `begin_run` writes what
is known before anything is drawn, `record_pictures` what is known after. `claimed` lets several processes work on one run.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from .. import __version__
from ..core.files import is_temporary, remove, unlinked, write_atomic
from ..core.locks import Lock, locked
from ..labels.tables import KEY
from ..render.tree import SpecTree
from ..training.identity import differences
from .config import RunConfig
from .fold_run import FoldRun
from .run import PARTS, Run, read_about
from .task import Task, write_table

# ---------------------------------------------------------------------- what is compared


def predictions_digest(earlier: Run | None) -> str | None:
    """16 hexadecimal digits that stand for an earlier run's predictions of the test set."""
    if earlier is None:
        return None
    digest = hashlib.blake2b(digest_size=8)
    for fold_run in earlier.fold_runs:
        digest.update((fold_run.folder / "test.npz").read_bytes())
    return digest.hexdigest()


def _refuse(out: Path, what: str) -> None:
    raise ValueError(f"{str(out)!r} holds a run of {what}; choose a new folder as out=")


def _compare(out: Path, config: RunConfig, task: Task, earlier: Run | None) -> None:
    """ValueError unless the run in `out` is the one that is asked for."""
    there = Run(out)
    if there.task.differs(task):
        _refuse(out, f"another competition: {there.task.differs(task)}")
    different = differences(there.config.identity, config.identity)
    if different:
        _refuse(out, f"another configuration: {different}")
    if there.task.digest != task.digest:
        _refuse(out, f"other data: {task.slug} had other clips, labels, groups, folds or weights then")
    if not there.task.same_test_rows(task):
        raise ValueError(
            f"{str(out)!r} holds a run with other test rows; Run.open({str(out)!r}).predict_test(comp) "
            "predicts a new test set, or choose a new folder as out="
        )
    if there.about.get("pseudo") != predictions_digest(earlier):
        _refuse(out, "other pseudo-labels: the earlier run predicted something else then")


def is_new(out: Path, config: RunConfig, task: Task, earlier: Run | None) -> bool:
    """Whether there is no run in `out` yet. ValueError if it is a file, or holds another run or something else."""
    if out.exists() and not out.is_dir():
        raise ValueError(f"{str(out)!r} is a file; choose a folder as out=")
    names = {name for name in os.listdir(out) if not is_temporary(name)} if out.is_dir() else set()
    if PARTS[-1] in names:
        _compare(out, config, task, earlier)
        return False
    if names - {*PARTS}:
        raise ValueError(
            f"{str(out)!r} holds {', '.join(sorted(names)[:5])}, and no run; choose a new or an empty folder as out="
        )
    return True


# ---------------------------------------------------------------------- what is written


def _versions() -> dict[str, str]:
    """Versions of Python and of the libraries that draw and train."""
    from importlib.metadata import version

    names = ("torch", "fastai", "timm", "librosa", "soundfile", "numpy", "pandas", "pillow", "scikit-learn")
    return {"specimg": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def _write_about(out: Path, about: dict) -> None:
    write_atomic(out / "run.json", json.dumps(about, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def begin_run(out: Path, config: RunConfig, task: Task, folds: pd.DataFrame, earlier: Run | None) -> None:
    """Write configuration, rows to predict and folds."""
    _write_about(
        out,
        {
            "data": task.digest,
            "seeds": config.seed_list,
            "fold_seed": config.first_seed,
            "pseudo": predictions_digest(earlier),
            "versions": _versions(),
            "machine": platform.machine(),
            "begun": time.strftime("%Y-%m-%d %H:%M:%S"),
        },
    )
    write_atomic(out / "run.toml", config.to_toml().encode())
    task.save(out)
    write_table(out / "folds.csv", folds[[name for name in [*KEY, "group", "fold"] if name in folds]])


def record_pictures(out: Path, tree: SpecTree, size: tuple[int, int]) -> None:
    """Add the pictures' folder and size (height, width) to run.json. ValueError if the run began with another size."""
    about = read_about(out)
    if about.get("size", list(size)) != list(size):
        there, here = (f"{height} x {width} pixels" for height, width in (about["size"], size))
        _refuse(out, f"another picture size: {there} there and {here} here")
    if about.get("tree") != str(tree.root):
        _write_about(out, {**about, "size": list(size), "tree": str(tree.root)})


# ---------------------------------------------------------------------- shared between processes


@contextmanager
def claimed(fold_run: FoldRun) -> Iterator[Lock]:
    """A lock that is true if this process may work on the fold, false if another one does."""
    folder = unlinked(fold_run.folder.parent, fold_run.folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / "lock") as lock:
        if lock.taken_from is not None:
            remove(folder, "fit/lock")  # who held the fold held the training in it
        yield lock
