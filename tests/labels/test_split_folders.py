"""Folders of a split are used as one or refused, and never pooled."""

import warnings

import pandas as pd
import pytest

from specimg.labels.split_folders import split_by_folders


def table_of(*paths):
    return pd.DataFrame({"path": paths, "label": [path.split("/")[-2] for path in paths]})


def clips(*folders):
    """Two clips of two classes in each folder."""
    return table_of(*(f"{folder}/{label}/{i}.wav" for folder in folders for label in ("cat", "dog") for i in range(2)))


@pytest.mark.parametrize(
    "train, valid",
    [("train", "valid"), ("train", "val"), ("training", "validation"), ("Train", "Valid"), ("TRAIN", "Dev")],
)
@pytest.mark.parametrize("above", ["", "audio/", "data/audio/"])
def test_training_and_validation_by_any_name(train, valid, above):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = split_by_folders(clips(above + train, above + valid), "birds")
    assert dict(zip(table["path"].str.removeprefix(above).str.split("/").str[0], table["is_valid"])) == {
        train: False,
        valid: True,
    }
    assert len(table) == 8


def test_what_lies_beside_the_split_is_counted():
    with pytest.warns(UserWarning, match=r"4 recordings of 'birds' beside 'train' and 'val' not used \(test\)"):
        assert len(split_by_folders(clips("train", "val", "test"), "birds")) == 8


@pytest.mark.parametrize(
    "table, options, message",
    [
        (
            clips("train", "test"),
            {},
            "'train' and 'test', and none for validation; give valid='test' to validate on that",
        ),
        (
            clips("train", "val", "dev"),
            {},
            "'train', 'dev', 'val'; name those of training and validation, train= and valid=",
        ),
        (table_of("cat/train/1.wav", "cat/val/2.wav"), {}, "train, val lie in those of the classes; put them above"),
        (clips("train", "val"), dict(valid="dev"), "'birds' has no folder 'dev'; it has train, val"),
        (table_of("train/1.wav", "train/cat/2.wav", "val/cat/3.wav"), {}, "1 recording directly in 'train' or 'val'"),
    ],
)
def test_what_is_unclear_is_refused_with_the_argument_to_give(table, options, message):
    with pytest.raises(ValueError, match=message):
        split_by_folders(table, "birds", **options)


def test_named_folders():
    table = split_by_folders(clips("train", "test"), "birds", valid="test")
    assert table["is_valid"].tolist() == [False] * 4 + [True] * 4
    table = split_by_folders(clips("one", "two"), "birds", train="one", valid="two")
    assert table["is_valid"].sum() == 4


def test_classes_may_have_such_names():
    table = table_of("train/1.wav", "plane/2.wav", "dev/3.wav")  # a class of trains, as ESC-50 has one
    assert "is_valid" not in split_by_folders(table_of("train/1.wav", "plane/2.wav"), "sounds")
    assert "is_valid" not in split_by_folders(clips("cat", "dog"), "sounds")
    with pytest.raises(ValueError, match="2 recordings directly in 'train' or 'dev'"):
        split_by_folders(table, "sounds")
