"""Building blocks of layouts: from the csv files of a competition to the rows of its tables, with warnings where files and rows differ.

`read_text`, `need_columns`, `numbers` and `refuse` read and check a csv file; `train_rows` makes the training table, `with_audio` drops
rows whose recording is missing; `sample_rows` and `test_windows` make the test table.

    rows = train_rows(folder / "train.csv", folder, "audio_train", keep={"license": "license"})
    rows = with_audio(rows, folder, "audio_train")               # path "audio_train/00044347.wav", label "Hi-hat", license ...
    sample, test = sample_rows(folder, "audio_test")             # id "00063640.wav", path "audio_test/00063640.wav"
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
from ..labels.tables import KEY, clip_index, labels_from_csv
from .submission import read_text

# ---------------------------------------------------------------------- csv files


def refuse(mask: Sequence[bool], csv: Path, column: str, what: str, way_out: str = "correct these rows") -> None:
    """ValueError that names the rows (the first is 1) where a mask is True, if there are any."""
    found = np.flatnonzero(mask) + 1
    if len(found):
        raise ValueError(
            f"{csv.name}: column {column!r} {what} in {count(len(found), 'row')} ({examples(found, 5)}); {way_out}"
        )


def need_columns(table: pd.DataFrame, csv: Path, *names: str) -> None:
    """ValueError if a table lacks a column; the message suggests the closest."""
    for name in names:
        choose(name, list(table), f"column in {csv.name}")


def numbers(table: pd.DataFrame, csv: Path, column: str) -> np.ndarray:
    """A column of text as floats, nan if a cell is empty; ValueError if one is not a number."""
    cells = table[column].str.strip()
    found = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    refuse(~np.isfinite(found) & ~cells.str.lower().isin(["", "nan"]).to_numpy(), csv, column, "is not a number")
    return found


def under(audio: str, path: str) -> str:
    """A path in the folder `audio`, relative to the folder that `audio` is in."""
    return path if audio in ("", ".") else f"{audio}/{path}"


# ---------------------------------------------------------------------- training


def train_rows(
    csv: Path | pd.DataFrame, folder: Path, audio: str, *, keep: dict[str, str] | None = None, **columns: str | None
) -> pd.DataFrame:
    """The training table of a csv file.

    Parameters
    ----------
    csv : Path or DataFrame
        The file, or a table of text.
    folder : Path
        The competition's folder, which the paths are relative to.
    audio : str
        The folder in it that the names in the csv are relative to.
    keep : dict, default None
        Further columns: name in the result -> name in the csv; of rows of one clip, the first counts.
    **columns : str
        Arguments of `labels_from_csv`, such as `suffix` and `group_col`; `fn_col` is "fname" and `label_col` "label" by default.

    Returns
    -------
    DataFrame
        `path, label` and the columns that were named.
    """
    table = csv if isinstance(csv, pd.DataFrame) else read_text(csv)
    columns = {"fn_col": "fname", "label_col": "label"} | columns
    rows = labels_from_csv(csv, folder=folder / audio, **columns)
    if keep:
        keys = [columns[name] for name in ("fn_col", "start_col", "end_col") if columns.get(name)]
        clips = table[keys].set_axis(KEY[: len(keys)], axis=1)
        names = [inside(folder / audio, name + (columns.get("suffix") or "")) for name in clips["path"]]
        given = clip_index(clips.assign(path=names))
        first = np.flatnonzero(~given.duplicated())
        row = first[given[first].get_indexer(clip_index(rows))]
        for name, column in keep.items():
            rows[name] = table[choose(column, list(table), "column of the table")].to_numpy(object)[row]
    return rows.assign(path=[under(audio, path) for path in rows["path"]])


def with_audio(
    rows: pd.DataFrame, folder: Path, audio: str | Sequence[str], what: str = "training", known: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows whose recording exists. A warning counts the others, and recordings without a row.

    Parameters
    ----------
    rows : DataFrame
        With `path`, relative to `folder`.
    folder : Path
        The competition's folder.
    audio : str or sequence of str
        Folders in it whose recordings should have a row.
    what : str, default "training"
        Kind of rows, for messages.
    known : sequence of str
        Paths that need no row, because the csv names them for another purpose.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        No row has its recording.
    """
    folders = [audio] if isinstance(audio, str) else list(audio)
    files = {
        under(below, path) for below in folders if (folder / below).is_dir() for path in find_audio(folder / below)
    }
    exists = np.array([path in files or os.path.lexists(folder / path) for path in rows["path"]], bool)
    if not exists.any():
        first = f" (the first is {rows['path'].iloc[0]!r})" if len(rows) else ""
        n = count(len(rows), what + " row")
        raise ValueError(f"none of the {n} has its recording below {str(folder)!r}{first}; unpack the audio there")
    if not exists.all():
        lost = rows["path"][~exists]
        warn(f"{len(lost)} of {count(len(rows), what + ' row')} have no recording and are left out ({examples(lost)})")
    unnamed = sorted(files - set(rows["path"]) - set(known))
    if unnamed:
        where = f" in {examples(folders)}" if any(folders) else ""
        warn(f"{count(len(unnamed), 'recording')}{where} without a {what} row, not used ({examples(unnamed)})")
    return rows[exists].reset_index(drop=True)


def drop_unknown(labels: Sequence[list[str]], vocab: Sequence[str], what: str) -> list[list[str]]:
    """The labels of each row that are in the vocabulary; a warning counts the others and names the most frequent."""
    known = set(vocab)
    lost = [label for several in labels for label in several if label not in known]
    if lost:
        names, n = np.unique(lost, return_counts=True)
        frequent = names[np.argsort(-n, kind="stable")]
        unknown = f"{count(len(names), 'label')} that the competition does not use ({examples(frequent)})"
        warn(f"{count(len(lost), what)} left out, of {unknown}")
    return [[label for label in several if label in known] for several in labels]


# ---------------------------------------------------------------------- test


def _names_in(folder: Path) -> list[str]:
    """Names in a folder, one request for all of them: single ones can take minutes for 150,000 files; none if it does not exist."""
    return os.listdir(folder) if folder.is_dir() else []


def warn_missing(paths: Sequence[str], folder: Path, audio: str) -> None:
    """Warn of test files that do not exist; `paths` are in the folder `audio` of `folder` and may repeat."""
    paths = list(dict.fromkeys(paths))
    names = {under(audio, name) for name in _names_in(folder / audio)}
    missing = [path for path in paths if path not in names and not os.path.lexists(folder / path)]
    if missing:
        lost = f"{len(missing)} of {count(len(paths), 'test file')} are missing ({examples(missing)})"
        warn(f"{lost}; the class prior is predicted for their rows")


def test_rows(ids: Sequence[str], folder: Path, audio: str, suffix: str = "") -> pd.DataFrame:
    """Rows `id, path`, one per test file. A missing file keeps its row, which a submission needs all the same; a warning counts them."""
    paths = [under(audio, inside(folder / audio, name + suffix)) for name in ids]
    warn_missing(paths, folder, audio)
    return pd.DataFrame({"id": list(ids), "path": paths}, dtype=object)


def sample_rows(
    folder: Path, audio: str, fn_col: str = "fname", sample: str = "sample_submission.csv"
) -> tuple[Path | None, pd.DataFrame | None]:
    """The sample submission and, in its order, its test rows `id, path`.

    Without a sample these are the recordings in `audio` by name, with a warning; without recordings (None, None).
    """
    path = folder / sample
    if path.is_file():
        table = read_text(path)
        return path, test_rows(table[choose(fn_col, list(table), f"column in {sample}")], folder, audio)
    names = sorted(filter(is_audio_name, _names_in(folder / audio)))
    if not names:
        return None, None
    warn(f"no {sample} in {str(folder)!r}: {count(len(names), 'recording')} in {audio!r} are the test rows, by name")
    return None, test_rows(names, folder, audio)


def test_windows(
    recordings: dict[str, float], folder: Path, audio: str, seconds: float, row_id: Callable[[str, int], str]
) -> pd.DataFrame:
    """Rows `id, path, start, end`, one for each window of `seconds` of each recording.

    Parameters
    ----------
    recordings : dict of float
        Name of a file in `audio` -> its length in s; a rest shorter than `seconds` is not a window.
    folder : Path
        The competition's folder.
    audio : str
        The folder of the recordings in it.
    seconds : float
        Length of a window in s.
    row_id : callable
        (file name without suffix, end in whole seconds) -> the row's name in the submission.

    Returns
    -------
    DataFrame
    """
    rows = []
    for name, length in recordings.items():
        path, stem = under(audio, inside(folder / audio, name)), Path(name).stem
        for i in range(int(length / seconds + 1e-6)):
            rows.append((row_id(stem, round((i + 1) * seconds)), path, i * seconds, (i + 1) * seconds))
    return pd.DataFrame(rows, columns=["id", "path", "start", "end"]).astype({"start": float, "end": float})
