"""From the csv files of a competition to the rows of its tables, and what is said where files and rows do not fit.

Layouts are written with these: `train_rows` reads a label table and keeps further columns, `with_audio` leaves out rows whose
recording is missing, `asked_rows` and `test_windows` list what is asked.

    rows = train_rows(folder / "train.csv", folder, "audio_train", keep={"license": "license"})
    rows = with_audio(rows, folder, "audio_train")               # path "audio_train/00044347.wav", label "Hi-hat", license ...
    sample, test = asked_rows(folder, "audio_test")              # id "00063640.wav", path "audio_test/00063640.wav"
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..audio import find_audio
from ..audio.find import is_audio_name
from ..core.files import inside
from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.tables import KEY, clip_index, clip_spans, labels_from_csv
from .submission import read_text

__all__ = [
    "KEY",
    "read_text",
    "refuse",
    "clip_index",
    "clip_spans",
    "under",
    "train_rows",
    "with_audio",
    "drop_unknown",
    "warn_missing",
    "test_rows",
    "asked_rows",
    "test_windows",
]


def refuse(bad: Sequence[bool], csv: Path, column: str, what: str, way_out: str) -> None:
    """ValueError that names the rows (the first is 1) where `bad` holds, if there are any."""
    found = np.flatnonzero(bad) + 1
    if len(found):
        raise ValueError(
            f"{csv.name}: column {column!r} {what} in {count(len(found), 'row')} ({examples(found, 5)}); {way_out}"
        )


def under(audio: str, path: str) -> str:
    """A path below the folder `audio`, seen from the folder that this lies in."""
    return path if audio in ("", ".") else f"{audio}/{path}"


# ---------------------------------------------------------------------- training


def train_rows(
    csv,
    folder: Path,
    audio: str,
    *,
    fn_col="fname",
    label_col="label",
    label_delim: str | None = None,
    suffix: str = "",
    keep: dict[str, str] | None = None,
    start_col: str | None = None,
    end_col: str | None = None,
    **columns,
) -> pd.DataFrame:
    """Rows `path, label ...` of a csv file (or a text table), with paths below `folder`. Columns go by name.

    Parameters
    ----------
    audio : the folder below `folder` that the names are relative to
    keep : further columns: name here -> name in the csv; of rows that stand there twice, the first
    columns : `group_col`, `fold_col`, `weight_col`, `valid_col` as in `labels_from_csv`
    """
    table = csv if isinstance(csv, pd.DataFrame) else read_text(csv)
    rows = labels_from_csv(
        csv,
        folder=folder / audio,
        fn_col=fn_col,
        label_col=label_col,
        label_delim=label_delim,
        suffix=suffix,
        start_col=start_col,
        end_col=end_col,
        **columns,
    )
    if keep:
        clips = table[[fn_col] if start_col is None else [fn_col, start_col, end_col]].set_axis(
            KEY[: 1 if start_col is None else 3], axis=1
        )
        given = clip_index(clips.assign(path=[inside(folder / audio, name + suffix) for name in table[fn_col]]))
        first = np.flatnonzero(~given.duplicated())
        row = first[given[first].get_indexer(clip_index(rows))]
        for name, column in keep.items():
            rows[name] = table[choose(column, list(table), "column of the table")].to_numpy(object)[row]
    return rows.assign(path=[under(audio, path) for path in rows["path"]])


def with_audio(
    rows: pd.DataFrame, folder: Path, audio: str | Sequence[str], what: str = "training", known: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows whose recording is there. Rows without one, and recordings in the folders `audio` without a row, are said in a warning.

    Parameters
    ----------
    known : paths that need no row here, because the csv names them for another purpose

    Raises ValueError where no row has its recording.
    """
    folders = [audio] if isinstance(audio, str) else list(audio)
    files = {
        under(below, path) for below in folders if (folder / below).is_dir() for path in find_audio(folder / below)
    }
    there = np.array([path in files or os.path.lexists(folder / path) for path in rows["path"]], bool)
    if not there.any():
        first = f" (the first is {rows['path'].iloc[0]!r})" if len(rows) else ""
        n = count(len(rows), what + " row")
        raise ValueError(f"none of the {n} has its recording below {str(folder)!r}{first}; unpack the audio there")
    if not there.all():
        lost = rows["path"][~there]
        warn(f"{len(lost)} of {count(len(rows), what + ' row')} have no recording and are left out ({examples(lost)})")
    unnamed = sorted(files - set(rows["path"]) - set(known))
    if unnamed:
        where = f" in {examples(folders)}" if any(folders) else ""
        warn(f"{count(len(unnamed), 'recording')}{where} without a {what} row, not used ({examples(unnamed)})")
    return rows[there].reset_index(drop=True)


def drop_unknown(labels: Sequence[list[str]], vocab: Sequence[str], what: str) -> list[list[str]]:
    """The labels of each row that the vocabulary knows; a warning counts the others and names the commonest."""
    known = set(vocab)
    lost = [label for several in labels for label in several if label not in known]
    if lost:
        names, n = np.unique(lost, return_counts=True)
        commonest = names[np.argsort(-n, kind="stable")]
        strange = f"{count(len(names), 'label')} that the competition does not ask for ({examples(commonest)})"
        warn(f"{count(len(lost), what)} left out, of {strange}")
    return [[label for label in several if label in known] for several in labels]


# ---------------------------------------------------------------------- test


def warn_missing(paths: Sequence[str], folder: Path, audio: str) -> None:
    """Warn of test files that are not there; `paths`, below the folder `audio` of `folder`, may name one more than once."""
    paths = list(dict.fromkeys(paths))
    names = (
        os.listdir(folder / audio) if (folder / audio).is_dir() else []
    )  # asking for 150,000 files singly can take minutes
    there = {under(audio, name) for name in names}
    missing = [path for path in paths if path not in there and not os.path.lexists(folder / path)]
    if missing:
        lost = f"{len(missing)} of {count(len(paths), 'test file')} are missing ({examples(missing)})"
        warn(f"{lost}; their rows are answered with the class prior")


def test_rows(ids: Sequence[str], folder: Path, audio: str, suffix: str = "") -> pd.DataFrame:
    """Rows `id, path`, one a test file. One that is missing keeps its row, which has to be answered all the same; a warning counts them."""
    home = folder / audio
    paths = [under(audio, inside(home, name + suffix)) for name in ids]
    warn_missing(paths, folder, audio)
    return pd.DataFrame({"id": list(ids), "path": paths}, dtype=object)


def asked_rows(
    folder: Path, audio: str, fn_col: str = "fname", sample: str = "sample_submission.csv"
) -> tuple[Path | None, pd.DataFrame | None]:
    """The sample submission and, in its order, the rows `id, path` that it asks for.

    Where it is missing these are the recordings in `audio` by name, which a warning says; (None, None) where these are missing too.
    """
    path = folder / sample
    if path.is_file():
        table = read_text(path)
        return path, test_rows(table[choose(fn_col, list(table), f"column in {sample}")], folder, audio)
    names = (
        sorted(name for name in os.listdir(folder / audio) if is_audio_name(name)) if (folder / audio).is_dir() else []
    )
    if not names:
        return None, None
    warn(f"no {sample} in {str(folder)!r}: {count(len(names), 'recording')} in {audio!r} will be answered, by name")
    return None, test_rows(names, folder, audio)


def test_windows(
    recordings: dict[str, float], folder: Path, audio: str, seconds: float, row_id: Callable[[str, int], str]
) -> pd.DataFrame:
    """Rows `id, path, start, end`, one for each stretch of `seconds` of each recording.

    Parameters
    ----------
    recordings : name of a file in `audio` -> its length in seconds; a rest shorter than `seconds` is no stretch
    row_id : (file name without its ending, end in whole seconds) -> the submission's name of the row
    """
    rows = []
    for name, length in recordings.items():
        path, stem = under(audio, inside(folder / audio, name)), Path(name).stem
        for i in range(int(length / seconds + 1e-6)):
            rows.append((row_id(stem, round((i + 1) * seconds)), path, i * seconds, (i + 1) * seconds))
    return pd.DataFrame(rows, columns=["id", "path", "start", "end"]).astype({"start": float, "end": float})
