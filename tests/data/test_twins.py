"""Splits do not leak in silence: clips, groups, windows and copies on both sides are refused or warned of."""

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import specimg as sp
from specimg.data.twins import digest_of, picture_digests, repeated_digests

SR = 8000
LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """a/*.wav and b/*.wav: noise, no two alike; copies of two of them, one in another format; and two silent ones."""
    folder, rng = tmp_path_factory.mktemp("twins"), np.random.default_rng(0)
    for label in "ab":
        (folder / label).mkdir()
        for i in range(4):
            sf.write(folder / label / f"{i}.wav", rng.uniform(-0.5, 0.5, SR // 4), SR)
    shutil.copy(folder / "a/0.wav", folder / "a/copy.wav")
    y, _ = sf.read(folder / "b/0.wav")
    sf.write(folder / "b/other.flac", y, SR)
    for name in ("silent", "still"):
        sf.write(folder / f"b/{name}.wav", np.zeros(SR // 4), SR)
    return folder


def load(folder, rows, cls=sp.SpecDataLoaders, **options):
    """The loaders of rows (path, is_valid), labelled by folder, and the warnings."""
    df = pd.DataFrame(rows, columns=["path", "v"]).assign(label=lambda t: t["path"].str[0])
    own = dict(renderer=LOOK, cache=folder.parent / "cache", progress=False)
    own = own if cls is sp.SpecDataLoaders else dict(audio=sp.Audio(sr=SR, duration=0.25))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        dls = cls.from_df(df, folder, valid_col="v", bs=2, num_workers=0, **own, **options)
    return dls, [str(w.message) for w in caught if issubclass(w.category, UserWarning)]


PLAIN = [(f"{label}/{i}.wav", i == 3) for label in "ab" for i in range(4)]
BOTH = pytest.mark.parametrize("cls", [sp.SpecDataLoaders, sp.WaveDataLoaders])


@BOTH
def test_a_clean_split_is_not_warned_of(sounds, cls):
    messages = load(sounds, [*PLAIN, ("b/silent.wav", False), ("b/still.wav", True)], cls)[1]
    assert not any("same content" in message for message in messages)


@BOTH
def test_copies_on_both_sides_are_warned_of(sounds, cls):
    rows = [*PLAIN, ("a/copy.wav", True), ("b/other.flac", True)]
    (message,) = load(sounds, rows, cls)[1]
    assert message.startswith("4 recordings in training and in validation have the same content under different names")
    assert (
        "a/copy.wav is a/0.wav" in message and "b/other.flac is b/0.wav" in message and "score is too good" in message
    )


@BOTH
def test_copies_on_one_side_are_counted(sounds, cls):
    (message,) = load(sounds, [*PLAIN, ("a/copy.wav", False)], cls)[1]
    assert message == "2 recordings under different names have the same content as another (a/copy.wav is a/0.wav)"


def test_copies_with_other_labels_are_said(sounds, tmp_path):
    folder = shutil.copytree(sounds, tmp_path / "sounds")
    shutil.copy(folder / "a/0.wav", folder / "b/copy.wav")
    assert load(folder, [*PLAIN, ("b/copy.wav", False)])[1][0].endswith("; the labels of 1 content differ")


def test_a_cross_validation_warns_once_of_copies_in_other_folds(sounds, tmp_path):
    table = pd.DataFrame([*PLAIN, ("a/copy.wav", True)], columns=["path", "fold"])
    table = table.assign(label=table["path"].str[0], fold=table["fold"].astype(int))
    comp = sp.Competition("twins", sounds, table)
    with pytest.warns(UserWarning) as caught:
        sp.cross_validate(
            comp, LOOK, "mini_resnet", sp.Recipe(epochs=1, lr=0.01), out=tmp_path / "run", log=None,
            loaders=dict(bs=2, progress=False, cache=tmp_path), learner=dict(pretrained=False),
        )  # fmt: skip
    found = [str(w.message) for w in caught if "same content" in str(w.message)]
    assert len(found) == 1 and found[0].startswith("2 recordings in different folds have the same content")


def test_groups_on_both_sides_are_refused_with_their_names(sounds):
    df = pd.DataFrame(PLAIN, columns=["path", "v"]).assign(label=lambda t: t["path"].str[0], fold=[0, 1] * 4)
    df["site"] = ["pond", "pond", "wood", "wood", "hill", "hill", "hill", "hill"]
    for split in (dict(valid_col="v"), dict(fold=1)):
        with pytest.raises(
            ValueError, match=r"groups? of 3 both in training and in validation \(hill, .*leave out valid_col and fold"
        ):
            sp.SpecDataLoaders.from_df(df, sounds, group_col="site", renderer=LOOK, cache=sounds.parent, **split)
    with pytest.raises(ValueError, match="both in training and in validation"):
        sp.WaveDataLoaders.from_df(df, sounds, group_col="site", audio=sp.Audio(sr=SR, duration=0.25), valid_col="v")


@pytest.mark.parametrize(
    "column, where",
    [
        ("is_valid", "both for training and for validation"),
        ("fold", "in several folds"),
        ("group", "in several groups"),
    ],
)
def test_a_clip_in_two_places_is_refused(column, where):
    table = pd.DataFrame({"path": ["a.wav", "b.wav", "a.wav"], "label": ["x", "y", "x"], "place": [0, 0, 1]})
    option = {"is_valid": "valid_col", "fold": "fold_col", "group": "group_col"}[column]
    with pytest.raises(ValueError, match=rf"1 clip listed {where} \(a\.wav\); keep one row of each"):
        sp.labels_from_csv(table, fn_col="path", label_col="label", **{option: "place"})


def test_windows_of_one_recording_in_two_places_are_no_clash():
    table = pd.DataFrame({"path": ["a.wav"] * 2, "label": ["x", "y"], "v": [0, 1], "start": [0, 1], "end": [1, 2]})
    read = sp.labels_from_csv(table, fn_col="path", label_col="label", valid_col="v", start_col="start", end_col="end")
    assert read["is_valid"].tolist() == [False, True]


def test_windows_of_one_recording_on_both_sides_are_warned_of(sounds):
    rows = [(f"{label}/0.wav", label, s, s + 0.1, s > 0.1) for label in "ab" for s in (0.0, 0.05, 0.1, 0.15)]
    df = pd.DataFrame(rows, columns=["path", "label", "start", "end", "v"])
    columns = dict(valid_col="v", start_col="start", end_col="end")
    with pytest.warns(
        UserWarning, match=r"windows of 2 recordings both in training and in validation \(a/0.wav, b/0.wav\)"
    ):
        sp.SpecDataLoaders.from_df(df, sounds, renderer=LOOK, cache=sounds.parent, progress=False, bs=2, **columns)


def test_only_what_may_be_equal_is_read():
    read = []

    def values(i):
        read.append(i)
        return np.array([0, 1, i % 2])

    found = repeated_digests(["x", "y", "x", None, None], values)
    assert read == [0, 2] and found[0] == found[2] and found[1] is found[3] is found[4] is None


def test_silence_has_no_digest_and_missing_pictures_none():
    assert digest_of(np.zeros(5)) is None and digest_of(np.arange(5)) == digest_of(np.arange(5))
    assert picture_digests(["/nowhere/a.png", "/nowhere/b.png"]) == [None, None]
