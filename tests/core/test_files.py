"""Files appear whole or not at all, and names stay below their folder."""

import errno
import os

import pytest

from specimg.core.files import (
    OutsideError,
    all_plain,
    exchange,
    inside,
    is_temporary,
    refuse_links,
    remove,
    unlinked,
    write_atomic,
)


def listing(folder):
    return sorted(os.listdir(folder))


def test_write_atomic_writes_replaces_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b" / "note.txt"
    write_atomic(path, b"one")
    write_atomic(str(path), b"another")
    assert path.read_bytes() == b"another"
    assert listing(path.parent) == ["note.txt"]


def test_write_atomic_takes_a_bare_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_atomic("note.txt", b"here")
    assert (tmp_path / "note.txt").read_bytes() == b"here"


@pytest.mark.parametrize(
    "name",
    [
        "with space.txt",
        "-dash",
        "new\nline",
        "quo'te\"s",
        "ünï",
        "%41",
        "back\\slash",
        "*?[x]",
        os.fsdecode(b"not-utf8-\xe9"),
        "n" * 255,
    ],
)
def test_write_atomic_takes_odd_names(tmp_path, name):
    write_atomic(tmp_path / name, b"x")
    assert listing(tmp_path) == [name]


class FullDisk:
    """A file that takes five bytes."""

    def __init__(self, file):
        self.file = file

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.file.close()

    def write(self, data):
        self.file.write(data[:5])
        raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("before", [None, b"what stood there"])
def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, before):
    path = tmp_path / "note.txt"
    if before is not None:
        path.write_bytes(before)
    monkeypatch.setattr("specimg.core.files.open", lambda *args: FullDisk(open(*args)), raising=False)
    with pytest.raises(OSError, match="No space left"):
        write_atomic(path, b"much more than five bytes")
    assert listing(tmp_path) == ([] if before is None else ["note.txt"])
    assert before is None or path.read_bytes() == before


def test_an_interruption_while_replacing_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "note.txt"
    path.write_bytes(b"old")

    def interrupted(source, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"new")
    assert listing(tmp_path) == ["note.txt"] and path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "name, code", [("n" * 256, errno.ENAMETOOLONG), ("folder", errno.EISDIR), ("file/below", errno.ENOTDIR)]
)
def test_a_name_that_cannot_be_is_an_error_and_leaves_nothing(tmp_path, name, code):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError) as caught:
        write_atomic(tmp_path / name, b"x")
    assert caught.value.errno == code
    assert listing(tmp_path) == ["file", "folder"]


def test_while_it_is_written_the_name_is_a_leftovers_and_no_two_are_equal(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda source, target: seen.append(os.path.basename(source)))
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as on two machines that share a folder
    for _ in range(3):
        write_atomic(tmp_path / "note.txt", b"x")
    assert len(set(seen)) == 3 and all(map(is_temporary, seen))
    assert not is_temporary("note.txt") and not is_temporary("note.partial-1")


@pytest.mark.parametrize(
    "path, expected",
    [
        ("dog.wav", "dog.wav"),
        ("a/b/dog.wav", "a/b/dog.wav"),
        ("./a//b/../dog.wav", "a/dog.wav"),
        ("/sounds/a/dog.wav", "a/dog.wav"),
        ("/sounds/b/../dog.wav", "dog.wav"),
        ("..dog.wav", "..dog.wav"),
        ("..a/dog.wav", "..a/dog.wav"),
        ("a/..", "."),
        (" dog .wav", " dog .wav"),
        ("-dog\n.wav", "-dog\n.wav"),
        (os.fsdecode(b"\xe9.wav"), os.fsdecode(b"\xe9.wav")),
    ],
)
def test_inside_gives_the_path_below_the_root(path, expected):
    assert inside("/sounds", path) == expected


@pytest.mark.parametrize(
    "path", ["..", "../dog.wav", "a/../../dog.wav", "/dog.wav", "/soundstage/dog.wav", "/sounds/../dog.wav", "/"]
)
def test_inside_refuses_what_leads_out(path):
    with pytest.raises(OutsideError, match="leads out of '/sounds'; give names below that folder"):
        inside("/sounds", path)


def test_inside_refuses_a_zero_byte():
    with pytest.raises(OutsideError, match="zero byte"):
        inside("/sounds", "dog.wav\0.png")


@pytest.mark.parametrize(
    "odd", ["", "/", "/a", "a/", "a//b", ".", "./a", "a/./b", "a/.", "..", "../a", "a/../b", "a/..", "a\0b"]
)
def test_paths_are_plain_together_where_inside_gives_each_of_them_back(odd):
    plain = ["dog.wav", "a/.b", "a./b", "..a/b..", ". /...", "new\nline"]
    assert [inside("images", path) for path in plain] == plain and all_plain(plain)
    for i in range(len(plain) + 1):
        assert not all_plain([*plain[:i], odd, *plain[i:]])


def test_inside_takes_a_relative_root_and_path_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inside("data", tmp_path / "data" / "dog.wav") == "dog.wav"
    with pytest.raises(OutsideError):
        inside("data", tmp_path / "dog.wav")


# ---------------------------------------------------------------------- links, locks, exchanging


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's with a file, beside the folder of a stranger's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious.txt").write_text("mine")
    (tmp_path / "theirs/a").mkdir(parents=True)
    return tmp_path / "mine"


def test_a_path_without_links_is_told(mine):
    theirs = mine.parent / "theirs"
    assert unlinked(theirs, "a/b/c") == theirs / "a/b/c"
    (theirs / "a/out").symlink_to(mine)
    (mine.parent / "named").symlink_to(theirs)
    assert unlinked(mine.parent / "named", "a") == mine.parent / "named/a"  # the caller names it
    for path in ("a/out", "a/out/precious.txt", "a/out/new/deep"):
        with pytest.raises(OutsideError, match="theirs/a/out' is a link, and could lead out of .*cp -rL"):
            unlinked(theirs, path)
    with pytest.raises(OutsideError, match="leads out"):
        unlinked(theirs, "../mine")


@pytest.mark.parametrize("target", ["mine", "mine/precious.txt", "nowhere"])
def test_links_anywhere_in_a_folder_are_refused(mine, target):
    theirs = mine.parent / "theirs"
    refuse_links(theirs)
    refuse_links(theirs / "not there")
    (theirs / "a/link").symlink_to(mine.parent / target)
    with pytest.raises(OutsideError, match="theirs/a/link' is a link"):
        refuse_links(theirs)


def test_removing_passes_no_link(mine):
    theirs = mine.parent / "theirs"
    (theirs / "a/out").symlink_to(mine)
    (theirs / "b/c").mkdir(parents=True)
    (theirs / "b/c/out").symlink_to(mine)
    with pytest.raises(OutsideError, match="is a link"):
        remove(theirs, "a/out/precious.txt")
    with pytest.raises(OutsideError, match="leads out"):
        remove(theirs, "../mine")
    with pytest.raises(OutsideError, match="is the whole of"):
        remove(theirs, ".")
    for path in ("a/out", "b", "not/there"):
        remove(theirs, path)
    assert listing(theirs) == ["a"] and listing(theirs / "a") == [] and listing(mine) == ["precious.txt"]


def test_folders_change_places(tmp_path):
    write_atomic(tmp_path / "new/a", b"new")
    write_atomic(tmp_path / "old/b", b"old")
    if not exchange(tmp_path / "new", tmp_path / "old"):
        pytest.skip("this system cannot")
    assert listing(tmp_path / "old") == ["a"] and listing(tmp_path / "new") == ["b"]
    assert not exchange(tmp_path / "new", tmp_path / "not there")
