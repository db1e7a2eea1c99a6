"""The folder of a competition is found: below a given one, and wherever Kaggle mounts it."""

import errno
import os
import time

import pytest
from pets import MARKS, place, touch

from specimg.competitions.locate import find_folder, has_marks
from specimg.competitions.registry import LAYOUTS


def test_marks_are_alternatives_of_which_all_must_be_there(tmp_path):
    touch(tmp_path / "a/train.csv", tmp_path / "b/meta.csv")
    assert (
        not has_marks(tmp_path / "a", MARKS)
        and has_marks(tmp_path / "b", MARKS)
        and not has_marks(tmp_path / "c", MARKS)
    )
    touch(f"{tmp_path}/a/audio_train/")
    assert has_marks(tmp_path / "a", MARKS)


@pytest.mark.parametrize("below", ["", "freesound", "freesound/unpacked"])
def test_found_in_the_named_folder_and_up_to_two_below(below, tmp_path):
    wanted = place(tmp_path / "data" / below)
    assert find_folder("x", tmp_path / "data", MARKS) == find_folder("x", str(tmp_path / "data"), MARKS) == wanted


def test_not_found_three_below(tmp_path):
    place(tmp_path / "a/b/c")
    with pytest.raises(
        ValueError,
        match=r"no freesound in '.*': searched for a folder with 'train.csv' and 'audio_train' or 'meta.csv'",
    ):
        find_folder("freesound", tmp_path, MARKS)


def test_the_uppermost_is_taken(tmp_path):
    place(tmp_path / "a/copy")
    place(tmp_path / "b")
    assert find_folder("x", tmp_path, MARKS) == tmp_path / "b"
    assert find_folder("x", place(tmp_path), MARKS) == tmp_path


def test_two_that_look_alike_are_an_error(tmp_path):
    place(tmp_path / "2018"), place(tmp_path / "2019"), place(tmp_path / ".hidden")
    with pytest.raises(
        ValueError, match=r"2 folders below '.*' look like freesound \(.*2018, .*2019\); give the one that is meant"
    ):
        find_folder("freesound", tmp_path, MARKS)
    assert find_folder("freesound", tmp_path / "2019", MARKS) == tmp_path / "2019"


def test_two_names_of_one_folder_are_one_place(tmp_path):
    place(tmp_path / "real")
    (tmp_path / "also").symlink_to("real")
    assert os.path.realpath(find_folder("x", tmp_path, MARKS)) == str(tmp_path / "real")


@pytest.mark.parametrize(
    "mount",
    [
        "birds",
        "competitions/birds",
        "datasets/someone/birds",
        "birds/birds",
        "another-name",
        "datasets/someone/another-name",
        "datasets/someone/another-name/unpacked",
        "competitions/another-name/deep",
    ],
)
def test_found_where_kaggle_mounts_it(mount, kaggle):
    touch(kaggle / "weights/model.safetensors", kaggle / "datasets/somebody/else/readme.md")
    wanted = place(kaggle / mount)
    assert find_folder("birds", None, MARKS) == wanted


@pytest.mark.parametrize("mount", ["{slug}", "competitions/{slug}", "competitions/{slug}/unpacked"])
def test_every_competition_is_found_beside_all_others(mount, kaggle):
    """Also where one has the marks of another, as several years of one competition do."""
    for slug, known in LAYOUTS.items():
        for name in known.marks[0]:
            touch(f"{kaggle / mount.format(slug=slug) / name}{'' if '.' in name else '/'}")
    for slug, known in LAYOUTS.items():
        assert find_folder(slug, None, known.marks, others=LAYOUTS) == kaggle / mount.format(slug=slug)


def test_its_own_name_goes_first(kaggle):
    place(kaggle / "aaa")
    wanted = place(kaggle / "datasets/me/birds")
    assert find_folder("birds", None, MARKS) == wanted
    assert (
        find_folder("birds", None, MARKS) != place(kaggle / "competitions/birds") == find_folder("birds", None, MARKS)
    )


def test_another_competition_with_the_same_marks_is_not_taken(kaggle):
    place(kaggle / "birds-2023/unpacked")
    with pytest.raises(ValueError, match="no birds-2024 in '.*kaggle' or 'birds-2024'"):
        find_folder("birds-2024", None, MARKS, others=["birds-2023", "birds-2024"])
    assert find_folder("birds-2023", None, MARKS, others=["birds-2023", "birds-2024"]) == kaggle / "birds-2023/unpacked"
    assert (
        find_folder("birds-2024", kaggle, MARKS, others=["birds-2023"]) == kaggle / "birds-2023/unpacked"
    )  # it was named


def test_found_in_the_working_folder(kaggle):
    place("birds/unpacked")
    assert find_folder("birds", None, MARKS).as_posix() == "birds/unpacked"


def test_a_folder_that_is_not_there(tmp_path):
    touch(tmp_path / "train.csv")
    for folder in (tmp_path / "nowhere", tmp_path / "train.csv"):
        with pytest.raises(
            ValueError, match=r"is not a folder; give the one that birds was unpacked to, with .* in it, or fetch it$"
        ):
            find_folder("birds", folder, MARKS, ", or fetch it")


def test_folders_that_may_not_be_read_are_passed_over(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    wanted = place(tmp_path / "b")
    scan, exists = os.scandir, os.path.exists

    def deny(path=".", closed=str(tmp_path / "a")):
        if os.fspath(path).startswith(closed):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", deny)
    monkeypatch.setattr(
        os.path, "exists", lambda path: not os.fspath(path).startswith(str(tmp_path / "a")) and exists(path)
    )
    assert find_folder("x", tmp_path, MARKS) == wanted


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="may read everything")
def test_a_closed_folder_is_passed_over(tmp_path):
    wanted = place(tmp_path / "b")
    (tmp_path / "a").mkdir(mode=0)
    assert find_folder("x", tmp_path, MARKS) == wanted


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "nowhere").symlink_to("gone")
    (tmp_path / "up").symlink_to(tmp_path)
    with pytest.raises(ValueError, match="no x in"):
        find_folder("x", tmp_path, MARKS)
    wanted = place(tmp_path / "z/unpacked")
    assert os.path.samefile(
        find_folder("x", tmp_path, MARKS), wanted
    )  # what cannot be looked into does not hide the others


def test_a_file_in_the_place_of_a_folder(tmp_path):
    touch(tmp_path / "birds", tmp_path / "train.csv/", tmp_path / "b/audio_train")
    with pytest.raises(ValueError, match="no birds in"):
        find_folder("birds", tmp_path, MARKS)


def test_5000_folders_are_looked_through_quickly(tmp_path):
    for i in range(5000):
        (tmp_path / f"{i:04}").mkdir()
    start = time.perf_counter()
    with pytest.raises(ValueError, match="no x in"):
        find_folder("x", tmp_path, MARKS)
    wanted = place(tmp_path / "zz")
    assert find_folder("x", tmp_path, MARKS) == wanted
    assert time.perf_counter() - start < 5
