"""The manifest of a tree: one row a picture, in SQLite while drawing and as csv for people.

Several processes may have a connection each. Rows are committed as soon as their pictures are written, so that a kill costs at
most the pictures in flight.

A tree may come from a stranger. So the database must hold our one table and nothing else (a view may never end, a trigger or a generated
column may do anything), its files must be files, and every name must lie inside the tree.
"""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import itertools
import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..core.files import all_plain, inside, unlinked, write_atomic

LOCK_TIMEOUT = 60  # s to wait for another process
MAX_CELL = 1 << 20  # bytes of a name or a reason
# parts of SQLite's messages that are not about the database itself
_OF_THE_DISK = {"full": errno.ENOSPC, "readonly": errno.EROFS, "I/O": errno.EIO, "unable to open": errno.EIO}
# end of a journal that names another file, which SQLite would delete
_SUPER_JOURNAL = bytes.fromhex("d9d505f920a163d7")
DRAWN, PARTIAL, FAILED, UNREADABLE = "drawn", "partial", "failed", "unreadable"  # status
HAS_PICTURE = (DRAWN, PARTIAL)


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
        "drawn", "partial" (drawn as far as a damaged recording goes), "failed" (a broken file) or "unreadable" (tried again at the
        next call).
    reason : str
        Why there is no picture, or why it is partial; "" if it is whole.
    duration : float or None
        Seconds that were drawn.
    sr : int or None
        Sampling rate of the recording in Hz.
    note : str
        What makes the sound hardly usable, names of `specimg.audio.faults.FAULTS` separated by "; "; "" for most.
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
    note: str = ""


_TYPES = dict(start="REAL", end="REAL", size="INTEGER", mtime="INTEGER", duration="REAL", sr="INTEGER")
_COLUMNS = ", ".join(f'"{c}" {_TYPES.get(c, "TEXT")}' + (" PRIMARY KEY" if c == "picture" else "") for c in Row._fields)
_TABLE = f"CREATE TABLE pictures ({_COLUMNS})"
_TABLE_WITHOUT_NOTE = _TABLE.replace(', "note" TEXT', "")  # of trees drawn before there were notes
_INSERT = f"INSERT OR REPLACE INTO pictures VALUES ({', '.join('?' * len(Row._fields))})"


# ---------------------------------------------------------------------- what is wrong, in words


def _damaged(path: Path, why: object) -> ValueError:
    return ValueError(f"{str(path)!r} is damaged ({why}); delete it, and the next render_tree draws the tree again")


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: a TimeoutError if another process holds the database, else an OSError of the disk or a ValueError."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        told = str(exc)
        if "locked" in told or "busy" in told:
            raise TimeoutError(
                f"{str(path)!r} is held by another process for more than {LOCK_TIMEOUT} s; what is drawn is kept: call again when "
                f"that process has ended"
            ) from exc
        code = next((code for part, code in _OF_THE_DISK.items() if part in told), None)
        if code is None:
            raise _damaged(path, told) from exc
        raise OSError(code, f"{told} ({str(path)!r})") from exc
    except (sqlite3.DatabaseError, UnicodeDecodeError) as exc:
        raise _damaged(path, exc) from exc


def _check_files(path: Path) -> None:
    """ValueError if the database, or a file that SQLite keeps beside it, is something else than a file or would make it delete others."""
    for end in ("", "-wal", "-shm", "-journal"):
        file = unlinked(path.parent, path.name + end)
        if file.exists() and not file.is_file():
            raise ValueError(
                f"{str(file)!r} is no regular file; remove it, and the next render_tree draws the tree again"
            )
    journal = path.with_name(path.name + "-journal")
    if journal.exists():
        with open(journal, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - len(_SUPER_JOURNAL)))
            if file.read() == _SUPER_JOURNAL:
                raise ValueError(f"{str(journal)!r} names another file, which would be deleted; remove it")


def _check_tables(db: sqlite3.Connection, path: Path) -> None:
    """ValueError if the database holds anything but our own table, or that one with other columns."""
    found = db.execute("SELECT type, name, sql FROM sqlite_master").fetchmany(3)
    if not found:  # its process was killed, or is only beginning
        return
    tables = [("index", "sqlite_autoindex_pictures_1", None), ("table", "pictures", _TABLE)]
    if sorted(found) not in (tables, [tables[0], ("table", "pictures", _TABLE_WITHOUT_NOTE)]):
        raise ValueError(
            f"{str(path)!r} does not hold the one table pictures ({', '.join(Row._fields)}) of this specimg; it is of another version, "
            f"or was changed: delete it, and the next render_tree draws the tree again"
        )


_KINDS = {"REAL": (float, type(None)), "INTEGER": (int, type(None)), "TEXT": (str,)}
_CELLS = [(c, _KINDS[_TYPES.get(c, "TEXT")]) for c in Row._fields]
_STATUS = (*HAS_PICTURE, FAILED, UNREADABLE)


def _check_row(row: Row) -> None:
    """ValueError if a cell is of another kind, or a name leads out of the tree."""
    for (column, kinds), value in zip(_CELLS, row):
        if not isinstance(value, kinds):
            raise ValueError(f"its row of {row.picture!r} has the {column} {value!r}")
    if row.status not in _STATUS:
        raise ValueError(f"its row of {row.picture!r} has the status {row.status!r}")
    if row.picture == ".":
        raise ValueError("it has a picture without a name")
    for name in (row.picture, row.path):
        if inside("images", name) != name:
            raise ValueError(f"its name {name!r} is not written as names in a tree are")


def _all_sound(rows: list[Row], kinds: set[tuple[type, ...]]) -> bool:
    """Whether `_check_row` would pass every row, from the kinds of cells that rows have: a hundred thousand are looked at together."""
    return (
        all(issubclass(kind, allowed) for row_kinds in kinds for (_, allowed), kind in zip(_CELLS, row_kinds))
        and {row.status for row in rows}.issubset(_STATUS)
        and all_plain(row.picture for row in rows)
        and all_plain(row.path for row in rows)
    )


# ---------------------------------------------------------------------- the database


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


def _bounded(db: sqlite3.Connection) -> sqlite3.Connection:
    """The same connection, which trusts nothing in the database."""
    db.execute("PRAGMA trusted_schema=OFF")
    if hasattr(db, "setlimit"):  # from Python 3.11 on
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_CELL)
    return db


def _add_notes(db: sqlite3.Connection) -> None:
    """Add the column of notes to a table that was made before there were any."""
    with db:
        db.execute("BEGIN IMMEDIATE")  # another process may be about to do the same
        if db.execute("SELECT sql FROM sqlite_master WHERE name = 'pictures'").fetchone() == (_TABLE_WITHOUT_NOTE,):
            db.execute('ALTER TABLE pictures ADD COLUMN "note" TEXT')
            db.execute("UPDATE pictures SET note = ''")


def _open_to_write(path: Path) -> sqlite3.Connection:
    """A connection to the database, which is made if there is none."""
    db = sqlite3.connect(path, timeout=LOCK_TIMEOUT)
    try:
        _switch_to_log(_bounded(db))
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute(_TABLE.replace("TABLE", "TABLE IF NOT EXISTS"))
        _check_tables(db, path)
        _add_notes(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_to_read(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing but, where SQLite has to, what a killed process left undone.

    Where the folder cannot hold SQLite's lock files, the database is read as it lies there.
    """
    uri = path.resolve().as_uri()
    left = [file for end in ("-wal", "-journal") if (file := path.with_name(path.name + end)).exists()]
    if os.access(path.parent, os.W_OK):
        db = sqlite3.connect(f"{uri}?mode=rw", uri=True, timeout=LOCK_TIMEOUT)
        db.execute("PRAGMA query_only=ON")
        return db
    if not left:
        return sqlite3.connect(f"{uri}?mode=ro&immutable=1", uri=True)
    memory = sqlite3.connect(":memory:")
    with tempfile.TemporaryDirectory() as folder:
        for file in (path, *left):
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
        self.path = self.folder / "manifest.db"
        _check_files(self.path)
        with _explained(self.path):
            self._db = _open_to_write(self.path) if write else _bounded(_open_to_read(self.path))

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
        """All rows, by picture. ValueError if one of them cannot be."""
        with _explained(self.path):
            _check_tables(self._db, self.path)
            # a page that leads back to itself would give rows without end; 25 ms for 100,000 rows
            (state,) = self._db.execute("PRAGMA quick_check(1)").fetchone()
            if state != "ok":
                raise _damaged(self.path, state)
            found = list(itertools.starmap(Row, self._select()))
        kinds = {tuple(map(type, row)) for row in found}
        if any(bytes in row_kinds for row_kinds in kinds):
            found = [Row(*map(_restored, row)) for row in found]
            kinds = {tuple(map(type, row)) for row in found}
        try:
            for row in () if _all_sound(found, kinds) else found:
                _check_row(row)
        except ValueError as exc:
            raise _damaged(self.path, exc) from exc
        return found

    def _select(self) -> Iterable[tuple]:
        """The rows by picture; none where the table has still to be made."""
        try:
            return self._db.execute("SELECT * FROM pictures ORDER BY picture")
        except sqlite3.OperationalError as exc:
            if "no such table" not in str(exc):
                raise
            return ()

    def put(self, rows: Iterable[Row]) -> None:
        """Insert or replace rows and commit them. FileNotFoundError if the tree was deleted meanwhile."""
        if not self.path.exists():  # SQLite would go on writing into the file without a name
            raise FileNotFoundError(errno.ENOENT, "the tree was deleted", str(self.path))
        self._outdate()
        with _explained(self.path), self._db:
            self._db.executemany(_INSERT, (tuple(map(_stored, row)) for row in rows))

    def _outdate(self) -> None:
        """Remove manifest.csv, which is there only while it holds all rows: so a kill before it is written is seen."""
        (self.folder / "manifest.csv").unlink(missing_ok=True)

    def drop(self, pictures: Iterable[str]) -> None:
        """Delete the rows of these pictures."""
        self._outdate()
        with _explained(self.path), self._db:
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
        If its manifest.db is damaged, is of another version, or has a name that leads out of the tree.
    TimeoutError
        If another process holds it.
    """
    if not unlinked(folder, "manifest.db").exists():
        return []
    with Manifest(folder, write=False) as manifest:
        return manifest.rows()
