"""The manifest of a tree: one row a picture, in SQLite while drawing and as csv for people.

Several processes may have a connection each. Rows are committed as soon as their pictures are written, so that a kill costs at
most the pictures in flight.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ..core.files import write_atomic

LOCK_TIMEOUT = 60  # s to wait for another process
DRAWN, FAILED, UNREADABLE = "drawn", "failed", "unreadable"  # status


class Row(NamedTuple):
    """One picture, or why there is none.

    Parameters
    ----------
    path : str
        The recording, below the source's root, with forward slashes.
    start, end : float or None
        Seconds in the recording; None for the whole of it.
    variant : str
        Name of the variant, as `Variant.name`; "" is the recording as it is.
    picture : str
        The picture below images/, with forward slashes; the row's key.
    size : int or None
        Bytes of the recording; None if it was not there.
    mtime : int or None
        Modification time of the recording in ns.
    status : str
        "drawn", "failed" (a broken file) or "unreadable" (tried again at the next call).
    reason : str
        Why there is no picture; "" if there is one.
    duration : float or None
        Seconds that were drawn.
    sr : int or None
        Sampling rate of the recording in Hz.
    """

    path: str
    start: float | None
    end: float | None
    variant: str
    picture: str
    size: int | None
    mtime: int | None
    status: str
    reason: str
    duration: float | None
    sr: int | None


_TYPES = dict(start="REAL", end="REAL", size="INTEGER", mtime="INTEGER", duration="REAL", sr="INTEGER")
_COLUMNS = ", ".join(f'"{c}" {_TYPES.get(c, "TEXT")}' + (" PRIMARY KEY" if c == "picture" else "") for c in Row._fields)
_INSERT = f"INSERT OR REPLACE INTO pictures VALUES ({', '.join('?' * len(Row._fields))})"


def _stored(value: object) -> object:
    """A cell as SQLite takes it: a name that is not valid UTF-8 (Python keeps its bytes as lone surrogates) goes in as bytes."""
    try:
        if isinstance(value, str):
            value.encode()
        return value
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogatepass")


def _restored(value: object) -> object:
    """The inverse of `_stored`."""
    return value.decode("utf-8", "surrogatepass") if isinstance(value, bytes) else value


def _switch_to_log(db: sqlite3.Connection) -> None:
    """Write ahead: readers and the one writer do not wait for each other. SQLite itself does not wait while another process switches."""
    give_up = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc) or time.monotonic() > give_up:
                raise
        time.sleep(0.01)


def _open_to_write(path: Path) -> sqlite3.Connection:
    """A connection to the database, which is made if there is none."""
    db = sqlite3.connect(path, timeout=LOCK_TIMEOUT)
    try:
        _switch_to_log(db)
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(f"CREATE TABLE IF NOT EXISTS pictures ({_COLUMNS})")
    except sqlite3.Error:
        db.close()
        raise
    return db


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing. Where the folder cannot hold SQLite's lock files, the database is read as it lies there."""
    uri = path.resolve().as_uri()
    log = path.with_name(path.name + "-wal")
    if os.access(path.parent, os.W_OK):
        return sqlite3.connect(f"{uri}?mode=ro", uri=True, timeout=LOCK_TIMEOUT)
    if not log.exists():
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)
    memory = sqlite3.connect(":memory:")
    with tempfile.TemporaryDirectory() as folder:  # a killed process left its log, which has to be folded in
        for file in (path, log):
            shutil.copyfile(file, os.path.join(folder, file.name))
        copy = sqlite3.connect(os.path.join(folder, path.name))
        copy.backup(memory)
        copy.close()
    return memory


class Manifest:
    """Rows of a tree's `manifest.db`; a context manager.

    Parameters
    ----------
    folder : str or os.PathLike
        The tree.
    write : bool, default True
        False opens the database where the folder may be read-only.
    """

    def __init__(self, folder: str | os.PathLike, write: bool = True):
        self.folder, self._write = Path(folder), write
        path = self.folder / "manifest.db"
        self._db = _open_to_write(path) if write else _open_to_read(path)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *exc) -> None:
        try:
            if self._write:
                self._db.execute("PRAGMA journal_mode=DELETE")  # folds the log back: a tree at rest is one plain file
        except sqlite3.OperationalError:
            pass  # another process still has it open, and will fold it back
        finally:
            self._db.close()

    def rows(self) -> list[Row]:
        """All rows, by picture."""
        return [Row(*map(_restored, values)) for values in self._db.execute("SELECT * FROM pictures ORDER BY picture")]

    def put(self, rows: Iterable[Row]) -> None:
        """Insert or replace rows and commit them."""
        with self._db:
            self._db.executemany(_INSERT, (tuple(map(_stored, row)) for row in rows))

    def drop(self, pictures: Iterable[str]) -> None:
        """Delete the rows of these pictures."""
        with self._db:
            self._db.executemany("DELETE FROM pictures WHERE picture = ?", [(_stored(p),) for p in pictures])

    def export(self) -> None:
        """Write manifest.csv beside the database; bytes of names that are not UTF-8 as \\udc80 to \\udcff."""
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(Row._fields)
        writer.writerows(self.rows())
        write_atomic(self.folder / "manifest.csv", text.getvalue().encode("utf-8", "backslashreplace"))


def read_rows(folder: str | os.PathLike) -> list[Row]:
    """Rows of the tree in `folder`, by picture; none where nothing has been drawn yet.

    Raises
    ------
    ValueError
        If its manifest.db is damaged.
    """
    path = Path(folder) / "manifest.db"
    if not path.exists():
        return []
    try:
        with Manifest(folder, write=False) as manifest:
            return manifest.rows()
    except sqlite3.OperationalError as exc:
        if "no such table" in str(exc):  # its process was killed, or is only beginning
            return []
        raise
    except sqlite3.DatabaseError as exc:
        raise ValueError(
            f"{str(path)!r} is damaged ({exc}); delete it, and the next render_tree draws the tree again"
        ) from exc
