"""A classifier takes the place of an earlier one all at once: whenever it is stopped, one of the two is there, whole."""

import json
import os
import shutil
import stat
import subprocess
import warnings

import pytest
from bundles import make_sounds, train

from specimg.core import files
from specimg.core.locks import locked
from specimg.inference import GOLDEN, SETTINGS, check_classifier, load_classifier, replace, save_classifier


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def clf(sounds, tmp_path_factory):
    """A classifier whose folder, loaded, is called `old` in these tests; three golden clips."""
    return load_classifier(save_classifier(train(sounds), tmp_path_factory.mktemp("whole") / "clf", golden=3))


def named(clf, name):
    """The classifier with another name of its first label, so that the folders differ."""
    from dataclasses import replace as changed

    return changed(clf, vocab=[name, *clf.vocab[1:]])


def first_label(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of files that are not the classifier's
        return load_classifier(folder).vocab[0]


@pytest.fixture
def folder(clf, tmp_path):
    return save_classifier(named(clf, "old"), tmp_path / "clf")


def killed_at(step, work):
    """Run `work` in a child that dies, as by kill -9, before the call of that number of what changes the disk; False if it ended first."""
    child = os.fork()
    if child == 0:
        calls = [0]

        def counted(function):
            def call(*args, **kwargs):
                calls[0] += 1
                if calls[0] > step:
                    os._exit(9)
                return function(*args, **kwargs)

            return call

        for name in ("mkdir", "rename", "replace", "unlink", "rmdir", "link"):
            setattr(os, name, counted(getattr(os, name)))
        replace.exchange = counted(replace.exchange)
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9)
    return code == 9


@pytest.mark.parametrize("exchanges", [True, False])
def test_killed_at_every_step_the_old_one_or_the_new_one_is_there(
    exchanges, clf, folder, tmp_path_factory, monkeypatch
):
    """Where the system cannot exchange folders there are moments without one, but never a mixture, and it can be saved again."""
    if exchanges and not files.exchange(*(str(shutil.copytree(folder, folder.parent / name)) for name in "ab")):
        pytest.skip("this system cannot exchange folders")
    if not exchanges:
        monkeypatch.setattr(replace, "exchange", lambda one, other: False)
    new, seen, step = named(clf, "new"), [], 0
    whole = shutil.copytree(folder, tmp_path_factory.mktemp("copy") / "clf")
    while killed_at(step, lambda: save_classifier(new, folder, golden=1)):
        try:
            seen.append(first_label(folder))
        except ValueError as exc:
            assert not exchanges and "is not a classifier (it has no classifier.json)" in str(exc)
            seen.append("none")
            if step % 3:  # now and then by the call that was killed itself
                save_classifier(new, folder, golden=0)
        if seen[-1] != "old":
            shutil.rmtree(folder)
            shutil.copytree(whole, folder)
        step += 1
    # without exchange nothing may follow the last rename, so that no kill finds the new one
    assert step > 10 and ({*seen} == {"old", "new"} if exchanges else {*seen} - {"new"} == {"old", "none"})
    assert first_label(folder) == "new"
    save_classifier(new, folder)
    assert [name for name in os.listdir(folder.parent) if name not in ("clf", "a", "b")] == []


def test_a_disk_that_fills_leaves_the_old_one(clf, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk", "size=8m")
    folder = save_classifier(named(clf, "old"), disk / "clf", golden=0)
    (disk / "full").write_bytes(bytes(shutil.disk_usage(disk).free - 200_000))
    said = (
        "no space left while writing into '.*disk/clf': make room on its disk; an earlier classifier there is as it was"
    )
    with pytest.raises(OSError, match=said):
        save_classifier(named(clf, "new"), folder)
    assert first_label(folder) == "old" and sorted(os.listdir(disk)) == ["clf", "full"]
    with pytest.raises(OSError, match=said):
        save_classifier(named(clf, "new"), disk / "clf")
    (disk / "full").unlink()
    assert first_label(save_classifier(named(clf, "new"), folder)) == "new"


def test_what_is_not_the_classifiers_is_kept_with_its_permissions(clf, folder, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "a").write_text("mine")
    (folder / ".git/objects").mkdir(parents=True)
    (folder / ".git/objects/ab").write_text("a commit")
    (folder / "notes.txt").write_text("read this")
    (folder / GOLDEN / "own.txt").write_text("mine")
    (folder / "link").symlink_to(mine)
    folder.chmod(0o750)
    save_classifier(named(clf, "new"), folder, golden=0)
    assert (folder / ".git/objects/ab").read_text() == "a commit" and (folder / "notes.txt").read_text() == "read this"
    assert os.listdir(folder / GOLDEN) == ["own.txt"] and os.readlink(folder / "link") == str(mine)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750 and (mine / "a").read_text() == "mine"
    with pytest.warns(UserWarning, match="3 files in .* not the classifier's"):
        assert load_classifier(folder).vocab[0] == "new"


@pytest.mark.parametrize("where", ["a link", "the working folder", "a parent that may not be written to", "empty"])
def test_places_of_every_kind(where, clf, tmp_path, monkeypatch):
    folder = target = tmp_path / "clf"
    if where == "a link":
        target = tmp_path / "elsewhere/v1"
        target.parent.mkdir()
        folder.symlink_to(target)
    else:
        folder.mkdir()
    if where == "the working folder":
        monkeypatch.chdir(folder)
        folder = folder.relative_to(folder)
    if where.startswith("a parent"):
        monkeypatch.setattr(os, "access", lambda *args: False)
    for name in ("old", "new"):
        save_classifier(named(clf, name), folder, golden=1)
        assert first_label(folder) == first_label(target) == name and not target.is_symlink()
    assert sorted(os.listdir(target)) == ["README.md", SETTINGS, GOLDEN, "weights.safetensors"]
    assert check_classifier(target)["verdict"].tolist() == ["same"]
    assert os.listdir(target.parent) == [target.name]
    if where == "a link":
        assert folder.is_symlink()


def test_a_mounted_disk_is_the_folder(clf, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk", "size=8m")
    for name in ("old", "new"):
        assert first_label(save_classifier(named(clf, name), disk)) == name
    assert os.listdir(tmp_path) == ["disk"]
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    with pytest.raises(OSError, match="Read-only"):
        save_classifier(named(clf, "newer"), disk)
    assert first_label(disk) == "new"


def test_what_a_killed_process_left_is_removed_and_what_another_one_writes_is_not(clf, folder):
    assert killed_at(4, lambda: save_classifier(named(clf, "new"), folder))
    (left,) = [name for name in os.listdir(folder.parent) if name != "clf"]
    (folder.parent / f"{left}-of-others").mkdir()
    busy = folder.parent / f"{left[:-16]}{'0' * 16}"
    busy.mkdir()
    with locked(busy / replace._LOCK):
        save_classifier(named(clf, "new"), folder)
        assert sorted(os.listdir(folder.parent)) == sorted(["clf", busy.name])
    save_classifier(named(clf, "new"), folder)
    assert os.listdir(folder.parent) == ["clf"]


# ---------------------------------------------------------------------- golden clips of a classifier that was loaded


def golden_of(folder):
    return {file.name: file.read_bytes() for file in (folder / GOLDEN).iterdir() if file.name != "golden.json"}


def test_a_classifier_that_is_saved_again_keeps_its_golden_clips(clf, tmp_path):
    folder = save_classifier(clf, tmp_path / "clf")
    before = golden_of(folder)
    assert len(before) == 6
    for target in (folder, folder, tmp_path / "copy"):  # onto itself, too
        save_classifier(load_classifier(folder), target)
        assert golden_of(target) == before and set(check_classifier(target)["verdict"]) == {"same"}
    assert "golden/` holds 3 recordings" in (folder / "README.md").read_text()
    save_classifier(load_classifier(folder), folder, golden=2)
    assert len(golden_of(folder)) == 4
    save_classifier(load_classifier(folder), folder, golden=0)
    assert not (folder / GOLDEN).exists()
    with pytest.warns(UserWarning, match="no golden clips are kept"):
        save_classifier(load_classifier(folder), folder)


@pytest.mark.parametrize("damage", ["gone", "entry", "clip"])
def test_golden_clips_that_cannot_be_read_are_not_kept(damage, clf, tmp_path):
    folder = save_classifier(clf, tmp_path / "clf")
    clf = load_classifier(folder)
    if damage == "gone":
        shutil.rmtree(folder)
    elif damage == "clip":
        for file in (folder / GOLDEN).glob("*.wav"):
            file.write_bytes(b"no sound")
    else:
        told = json.loads((folder / SETTINGS).read_text())
        (folder / SETTINGS).write_text(
            json.dumps({**told, "files": {"golden/golden.json": {"bytes": 1, "sha256": "x"}}})
        )
    with pytest.warns(UserWarning, match="no golden clips are kept"):
        save_classifier(clf, tmp_path / "copy")
    load_classifier(tmp_path / "copy")
