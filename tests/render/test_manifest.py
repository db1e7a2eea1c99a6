"""The manifest of a stranger's tree: nothing in it runs, never ends, or reaches outside the tree; a damaged or locked one is said."""

import os
import shutil
import sqlite3
import struct
import sys

import pytest

from specimg.core.files import OutsideError
from specimg.render import manifest
from specimg.render.manifest import _TABLE, DRAWN, Manifest, Row, read_rows


def row(name="dog.wav", **changes):
    return Row(name, None, None, "", f"{name}.png", 2044, 1_700_000_000, DRAWN, "", 0.5, 8000)._replace(**changes)


@pytest.fixture
def folder(tmp_path):
    """A tree's manifest with two rows."""
    (tmp_path / "tree").mkdir()
    with Manifest(tmp_path / "tree") as written:
        written.put([row("a.wav"), row("b/c.wav", start=0.5, end=1.0)])
    return tmp_path / "tree"


def rewrite(folder, *statements):
    """A manifest.db made by these statements, as a stranger may make it."""
    (folder / "manifest.db").unlink()
    db = sqlite3.connect(folder / "manifest.db")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


# ---------------------------------------------------------------------- names and cells


@pytest.mark.parametrize("column", ["picture", "path"])
@pytest.mark.parametrize("name", ["/etc/passwd", "../../x", "a/../../../x", "a/./x", "a//x", "a\0x"])
def test_a_name_that_leads_out_of_the_tree_is_refused_on_opening(folder, column, name):
    with Manifest(folder) as written:
        written.put([row(**{column: name})])
    with pytest.raises(ValueError, match="manifest.db' is damaged .*; delete it, and the next render_tree draws"):
        read_rows(folder)


@pytest.mark.parametrize(
    "changes", [{"status": "gone"}, {"reason": None}, {"size": "many"}, {"sr": "x"}, {"duration": "long"}]
)
def test_a_cell_of_another_kind_is_refused(folder, changes):
    with Manifest(folder) as written:
        written.put([row(**changes)])
    with pytest.raises(ValueError, match="is damaged .its row of 'dog.wav.png' has the"):
        read_rows(folder)


# ---------------------------------------------------------------------- tables

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
COLUMNS = ", ".join(f'"{name}"' for name in Row._fields)
GENERATED = COLUMNS.replace('"reason"', '"reason" AS (hex(zeroblob(400000000)))')


@pytest.mark.parametrize(
    "statements",
    [
        [f"CREATE VIEW pictures AS {ENDLESS}"],
        [_TABLE, "CREATE TRIGGER t AFTER INSERT ON pictures BEGIN DELETE FROM pictures; END"],
        [_TABLE, f"CREATE VIEW v AS {ENDLESS}"],
        [f"CREATE TABLE pictures ({GENERATED})"],
        ['CREATE TABLE pictures ("path" TEXT, "picture" TEXT PRIMARY KEY)'],
        [_TABLE.replace('"sr" INTEGER', '"sr" INTEGER, "colour" TEXT')],
        ["CREATE VIRTUAL TABLE pictures USING fts5(path)"],
    ],
    ids=["view", "trigger", "other view", "generated", "few columns", "more columns", "virtual"],
)
def test_only_our_own_table_is_read_or_written(folder, statements):
    rewrite(folder, *statements)
    for write in (False, True):
        with pytest.raises(
            ValueError, match="does not hold the one table pictures .*: delete it, and the next render_tree"
        ):
            with Manifest(folder, write) as opened:
                opened.rows()


BOMBS = {
    "view": [f"CREATE VIEW pictures AS {ENDLESS}"],
    "generated": [f"CREATE TABLE pictures ({GENERATED})", "INSERT INTO pictures (path) VALUES ('a')"],
    "cell": [_TABLE, "INSERT INTO pictures (reason) VALUES (zeroblob(400000000))"],
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_manifest_that_has_no_end_or_400_mb_in_a_cell_takes_no_memory(folder, peak_memory, bomb):
    if bomb == "cell" and sys.version_info < (3, 11):
        pytest.skip("sqlite3 sets no limits before Python 3.11")
    rewrite(folder, *BOMBS[bomb])
    peak = peak_memory("from specimg.render.manifest import read_rows", f"read_rows({str(folder)!r})")
    assert peak < 30  # MB


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["manifest.db", "manifest.db-wal", "manifest.db-journal"])
def test_links_in_the_place_of_the_database_are_refused(folder, tmp_path, name):
    (tmp_path / "mine.db").write_bytes((folder / "manifest.db").read_bytes())
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(tmp_path / "mine.db")
    for write in (False, True):
        with pytest.raises(OutsideError, match="is a link"):
            Manifest(folder, write)
    assert (tmp_path / "mine.db").exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_pipe_or_a_folder_in_its_place_is_refused(folder, make):
    (folder / "manifest.db").unlink()
    make(folder / "manifest.db")
    with pytest.raises(ValueError, match="is no regular file; remove it"):
        read_rows(folder)


def hot_journal(folder):
    """The journal of a process that was killed while it wrote; what it had written so far is in the database."""
    db = sqlite3.connect(folder / "manifest.db", isolation_level=None)
    db.execute("PRAGMA journal_mode=DELETE")
    db.execute("PRAGMA cache_size=1")
    db.execute("BEGIN")
    db.executemany(manifest._INSERT, [row(f"{i}.wav", reason="x" * 900) for i in range(60)])
    for name in ("manifest.db", "manifest.db-journal"):
        shutil.copy(folder / name, folder / f"{name}.copy")
    db.execute("ROLLBACK")
    db.close()
    for name in ("manifest.db", "manifest.db-journal"):
        os.replace(folder / f"{name}.copy", folder / name)


def test_what_a_killed_process_left_undone_is_undone(folder):
    hot_journal(folder)
    assert [row.path for row in read_rows(folder)] == ["a.wav", "b/c.wav"]
    assert not (folder / "manifest.db-journal").exists()


def test_a_journal_that_names_another_file_does_not_have_it_deleted(folder, tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("notes")
    hot_journal(folder)
    name, magic = os.fsencode(mine), bytes.fromhex("d9d505f920a163d7")
    with open(folder / "manifest.db-journal", "ab") as file:
        file.write(struct.pack(">I", 0x40000000 // 4096 + 1) + name + struct.pack(">II", len(name), sum(name)) + magic)
    for write in (False, True):
        with pytest.raises(ValueError, match="names another file, which would be deleted; remove it"):
            Manifest(folder, write)
    assert mine.read_text() == "notes"


def test_every_byte_overwritten_is_said_or_harmless(folder):
    data = bytearray((folder / "manifest.db").read_bytes())
    whole = read_rows(folder)
    refused = 0
    for at in range(0, len(data), 37):
        damaged = data.copy()
        damaged[at : at + 8] = bytes(255 - byte for byte in damaged[at : at + 8])
        (folder / "manifest.db").write_bytes(damaged)
        try:
            assert len(read_rows(folder)) <= len(whole)
        except (ValueError, OSError) as exc:
            assert "manifest.db" in str(exc)
            refused += 1
    assert refused > 10


# ---------------------------------------------------------------------- held by another process


def test_a_manifest_that_another_process_holds_is_said(folder, monkeypatch):
    monkeypatch.setattr(manifest, "LOCK_TIMEOUT", 0.05)
    other = sqlite3.connect(folder / "manifest.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    for call in (lambda: read_rows(folder), lambda: Manifest(folder)):
        with pytest.raises(TimeoutError, match="is held by another process .* what is drawn is kept: call again when"):
            call()
    other.close()
    assert len(read_rows(folder)) == 2


def test_a_tree_that_is_deleted_while_it_is_written_is_said(folder):
    with Manifest(folder) as written:
        shutil.rmtree(folder)
        with pytest.raises(FileNotFoundError, match="the tree was deleted"):
            written.put([row()])
