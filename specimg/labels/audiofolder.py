"""Data sets as Hugging Face's AudioFolder lays them out: a metadata file beside the sounds, sounds inside parquet files, or folders of classes.

    table = labels_from_audiofolder("my_dataset")       # path, label; is_valid where the data set has its own validation

    my_dataset/metadata.csv            file_name,label ...; also .jsonl and .parquet, in the folder or in train/, validation/ ...
    my_dataset/data/train-00000-of-00002.parquet        a column of sounds as bytes, one of labels; needs pip install specimg[parquet]
    my_dataset/train/<label>/*.wav     without metadata

Sounds inside parquet files are written out once, byte for byte, and read like any other recording.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..core.cache import default_cache
from ..core.files import write_atomic
from ..core.reading import parse_json
from ..core.text import examples
from .csv_text import read_csv_text
from .split_folders import split_by_folders, split_of_name
from .tables import labels_from_csv, labels_from_folders

if TYPE_CHECKING:
    import pyarrow.parquet

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")
# in the order in which they are looked for
LABEL_COLUMNS = ("label", "labels", "class", "category", "target", "species")
ROWS = 16  # sounds of a parquet file that are in memory at once
# what a file of sound begins with, for sounds that have no name
_ENDINGS = {b"RIFF": ".wav", b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3", b"FORM": ".aiff"}


# ---------------------------------------------------------------------- metadata beside the sounds


def _read_lines(path: Path) -> pd.DataFrame:
    """A table with a JSON object in every line; numbers and lists stay what they are."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [parse_json(line, f"{path}, line {i}") for i, line in enumerate(lines, start=1) if line.strip()]
    wrong = [i for i, row in enumerate(rows, start=1) if not isinstance(row, dict)]
    if wrong:
        raise ValueError(f'{path}: row {examples(wrong)} is no JSON object; write {{"file_name": ..., "label": ...}}')
    return pd.DataFrame(rows, dtype=object)


def _read_metadata(path: Path, encoding: str | None) -> pd.DataFrame:
    if path.suffix == ".csv":
        return read_csv_text(path, encoding=encoding)
    return _read_lines(path) if path.suffix == ".jsonl" else _parquet(path).read().to_pandas()


def _file_column(table: pd.DataFrame, path: Path) -> str:
    names = [str(name) for name in table if name == "file_name" or str(name).endswith("_file_name")]
    if len(names) != 1 and "file_name" not in names:
        raise ValueError(f"{path} needs the column file_name; it has {examples(table.columns, 12)}")
    return "file_name" if "file_name" in names else names[0]


def _from_metadata(files: list[Path], folder: Path, encoding: str | None) -> pd.DataFrame:
    """The rows of all metadata files; `path` is relative to `folder`."""
    tables = []
    for file in files:
        table = _read_metadata(file, encoding)
        below = file.parent.relative_to(folder).as_posix()
        names = table.pop(_file_column(table, file)).map(str)
        tables.append(table.assign(path=names if below == "." else below + "/" + names))
    return pd.concat(tables, ignore_index=True)


# ---------------------------------------------------------------------- sounds inside parquet files


def _parquet(path: Path) -> pyarrow.parquet.ParquetFile:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(f"{str(path)!r} needs the package pyarrow: pip install specimg[parquet]") from exc
    try:
        return parquet.ParquetFile(path)
    except (OSError, ValueError) as exc:  # of pyarrow, too
        raise ValueError(f"{path} is not a parquet file that can be read: {exc}") from exc


def _features(schema: Any, path: Path) -> dict[str, dict]:
    """The types that the library `datasets` notes of columns; none where another program wrote the file."""
    noted = (schema.metadata or {}).get(b"huggingface")
    return parse_json(noted, path).get("info", {}).get("features", {}) if noted else {}


def _sound_column(schema: Any, features: dict[str, dict], path: Path) -> str:
    noted = [
        name for name, feature in features.items() if isinstance(feature, dict) and feature.get("_type") == "Audio"
    ]
    found = noted or [
        field.name
        for field in schema
        if hasattr(field.type, "get_field_index") and field.type.get_field_index("bytes") >= 0
    ]
    if len(found) != 1:
        what = f"{len(found)} columns of sounds ({examples(found)})" if found else "no column of sounds"
        raise ValueError(
            f"{path} has {what} among {examples(schema.names, 12)}; one with the fields bytes and path is read"
        )
    return found[0]


def _ending(data: bytes) -> str:
    return next(
        (ending for magic, ending in _ENDINGS.items() if data.startswith(magic)), ".m4a" if data[4:8] == b"ftyp" else ""
    )


def _unpacked_name(split: str, row: int, sound: dict) -> str:
    """ "train/000017-dog.wav": every sound has its own, whatever is written in the file."""
    given = re.sub(r"[^\w.+-]+", "_", PurePosixPath((sound.get("path") or "").replace("\\", "/")).name)[-80:]
    return f"{split}/{row:06}{'-' * bool(given)}{given or _ending(sound['bytes'])}"


def _sounds(file: Path, split: str, first: int, to: Path) -> Iterator[dict]:
    """The rows of a parquet file, with `path` in place of the sound, which is written below `to`."""
    reader = _parquet(file)
    features = _features(reader.schema_arrow, file)
    column = _sound_column(reader.schema_arrow, features, file)
    names = {name: each["names"] for name, each in features.items() if isinstance(each, dict) and each.get("names")}
    row = first
    for batch in reader.iter_batches(batch_size=ROWS):
        for cells in batch.to_pylist():
            sound = cells.pop(column) or {}
            if not sound.get("bytes"):
                raise ValueError(f"{file}: row {row - first + 1} has no sound inside (path {sound.get('path')!r})")
            name = _unpacked_name(split, row, sound)
            if not os.path.exists(to / name) or os.path.getsize(to / name) != len(sound["bytes"]):
                write_atomic(to / name, sound["bytes"])
            for label, choices in names.items():  # numbers of classes; -1 is none
                if isinstance(cells.get(label), int):
                    cells[label] = choices[cells[label]] if 0 <= cells[label] < len(choices) else None
            yield {**cells, "path": name}
            row += 1


def _split_of(file: Path, folder: Path) -> str:
    """The split that a folder or the beginning of a parquet file's name says, "train-00000-of-00002"; else that beginning."""
    names = [*file.relative_to(folder).parts[:-1], re.split(r"[-.]", file.name)[0]]
    return next((name for name in names if split_of_name(name)), names[-1])


def _unpack(files: list[Path], folder: Path, unpack: str | os.PathLike | None) -> tuple[pd.DataFrame, Path]:
    """(the rows of the parquet files, the folder that their sounds were written to, with a metadata file as soon as all of them are there)."""
    state = [(file.relative_to(folder).as_posix(), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.blake2b(repr([os.path.realpath(folder), state]).encode(), digest_size=6).hexdigest()
    to = Path(default_cache() / "audiofolder" if unpack is None else unpack) / f"{folder.resolve().name}-{key}"
    if not (to / "metadata.jsonl").is_file():
        counts: Counter[str] = Counter()
        lines = []
        for file in files:
            split = _split_of(file, folder)
            for row in _sounds(file, split, counts[split], to):
                counts[split] += 1
                lines.append(json.dumps({"file_name": row.pop("path"), **row}, default=str))
        write_atomic(to / "metadata.jsonl", "\n".join(lines).encode())
    return _from_metadata([to / "metadata.jsonl"], to, None), to


# ---------------------------------------------------------------------- the table


def _label_column(table: pd.DataFrame, named: int | str | Sequence | None, folder: Path) -> int | str | Sequence:
    if named is not None:
        return named
    others = [str(name) for name in table if name not in ("path", "is_valid")]
    found = [name for name in LABEL_COLUMNS if name in others] or (others if len(others) == 1 else [])
    if not found:
        raise ValueError(f"the metadata of {str(folder)!r} has the columns {examples(others, 12)}; give label_col=")
    return found[0]


def _visible(folder: Path, pattern: str) -> list[Path]:
    """The files below a folder, those in hidden folders (.git, .cache) left out."""
    found = (path for path in folder.rglob(pattern) if path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def labels_from_audiofolder(
    folder: str | os.PathLike,
    *,
    label_col: int | str | Sequence | None = None,
    train: str | None = None,
    valid: str | None = None,
    unpack: str | os.PathLike | None = None,
    encoding: str | None = None,
    **columns: Any,
) -> pd.DataFrame:
    """Read the labels of a data set that Hugging Face's AudioFolder reads, or of parquet files with the sounds inside.

    Parameters
    ----------
    folder : str or path-like
        With `metadata.csv`, `.jsonl` or `.parquet` (a column `file_name`, relative to that file); or with parquet files; or with a folder
        for each class.
    label_col : int, str or sequence of these, optional
        Column of the labels, or one for each class; default "label", "labels", "class", "category", "target" or "species", or the only one
        there is.
    train, valid : str, optional
        Names of the splits to learn from and to validate on; default those called train and validation, in all their spellings. Beside
        a split `test` alone, `valid="test"` validates on it.
    unpack : str or path-like, optional
        Folder that sounds inside parquet files are written to, byte for byte; default one in the user's cache folder.
    encoding : str, optional
        Of `metadata.csv`; default as in `labels_from_csv`.
    **columns
        `label_delim`, `start_col`, `end_col`, `group_col`, `fold_col`, `weight_col`, `valid_col` as in `labels_from_csv`.

    Returns
    -------
    DataFrame
        As of `labels_from_csv`, with `is_valid` where the data set has its own validation. `attrs["folder"]` is the folder that the paths
        are below: that of the data set, or of the unpacked sounds.

    Raises
    ------
    ValueError
        There is neither metadata nor a recording, a column is missing, it is not clear what validates, and as in `labels_from_csv`.
    ModuleNotFoundError
        pyarrow is not installed, and there are parquet files.

    References
    ----------
    Hugging Face, "Create an audio dataset", https://huggingface.co/docs/datasets/audio_dataset.

    Examples
    --------
    >>> with open("clips/metadata.jsonl", "w") as file:
    ...     _ = file.write('{"file_name": "cat/cat0.wav", "label": "purr"}')
    >>> sp.labels_from_audiofolder("clips").to_dict("records")
    [{'path': 'cat/cat0.wav', 'label': 'purr'}]
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{str(folder)!r} is not a folder; give that of the data set")
    metadata = [path for name in METADATA for path in _visible(folder, name)]
    parquet = _visible(folder, "*.parquet")
    if metadata:
        table, root = _from_metadata(metadata, folder, encoding), folder
    elif parquet:
        table, root = _unpack(parquet, folder, unpack)
    else:
        table, root = labels_from_folders(folder), folder
    is_table = bool(metadata or parquet)
    if not {"valid_col", "fold_col"} & set(columns):  # before labels are read: those of a test are often missing
        table = split_by_folders(table, folder, train, valid, classes_below=not is_table).reset_index(drop=True)
        columns |= {"valid_col": "is_valid"} if "is_valid" in table else {}
    if is_table:
        table.attrs.update(source=str((metadata or parquet)[0]))
        table = labels_from_csv(
            table, folder=root, fn_col="path", label_col=_label_column(table, label_col, folder), **columns
        )
    table.attrs = {"folder": str(root)}
    return table
