"""Label tables: what is read stays what it was, nothing is joined by order, and no group stands on two sides."""

import gzip
import os
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from specimg.labels.classes import Balance, check_labels, class_counts, class_weights, sample_weights, sort_labels
from specimg.labels.folds import add_folds, split_valid
from specimg.labels.tables import (
    is_multilabel,
    labels_from_csv,
    labels_from_folders,
    labels_from_names,
    labels_of_every_folder,
)


@pytest.fixture
def csv(tmp_path):
    """csv(text, **kwargs of labels_from_csv) -> table."""

    def read(text, encoding="utf-8", **kwargs):
        path = tmp_path / "train.csv"
        path.write_text(text, encoding=encoding, newline="")
        return labels_from_csv(path, **kwargs)

    return read


def table_of(labels, **columns):
    """Clips 000.wav, 001.wav ... with these labels."""
    return pd.DataFrame({"path": [f"{i:03}.wav" for i in range(len(labels))], "label": list(labels)} | columns)


def as_rows(table):
    return list(table.itertuples(index=False, name=None))


def random_table(seed, n=120, n_labels=6, n_groups=20, several=False):
    """Uneven classes, uneven groups, and some recordings cut into windows."""
    rng = np.random.RandomState(seed)
    names = np.array([f"label {i}" for i in range(n_labels)])
    odds = np.linspace(1, 4, n_labels) / np.linspace(1, 4, n_labels).sum()
    start = rng.randint(0, 3, n).astype(float)
    table = pd.DataFrame(
        {
            "path": [f"{i}.wav" for i in rng.permutation(n) // 2],
            "start": start,
            "end": start + 1,
            "label": [
                list(names[rng.rand(n_labels) < odds]) if several else rng.choice(names, p=odds) for _ in range(n)
            ],
        }
    )
    speaker = {path: f"speaker {int(rng.rand() ** 2 * n_groups)}" for path in sorted(set(table["path"]))}
    return table.assign(speaker=table["path"].map(speaker))


def labels_by_side(table, side):
    """(labels, sides) counts of rows."""
    each = pd.DataFrame({"label": table["label"], "side": np.asarray(side)}).explode("label").dropna()
    return pd.crosstab(each["label"], each["side"])


# ---------------------------------------------------------------------- csv


def test_names_and_labels_stay_text(csv):
    table = csv("fname,label\n007.wav,007\nb.wav,NA\nc.wav,1.50\n")
    assert as_rows(table) == [("007.wav", "007"), ("b.wav", "NA"), ("c.wav", "1.50")]
    assert list(table.columns) == ["path", "label"] and not is_multilabel(table)


@pytest.mark.parametrize("columns", [dict(fn_col=1, label_col=0), dict(fn_col="fname", label_col="label")])
def test_columns_by_position_and_by_name_behind_a_byte_order_mark(csv, columns):
    assert as_rows(csv("label,fname\ndog,a.wav\n", encoding="utf-8-sig", **columns)) == [("a.wav", "dog")]


def test_names_with_quotes_newlines_and_unicode(csv, tmp_path):
    names = ['a "quoted", one.wav', "two\nlines.wav", " spaces .wav", "Zaunkönig 鷦鷯 🐦.wav"]
    table = pd.DataFrame({"fname": names, "label": ["dog", "cat", "Zaunkönig", "a, b"]})
    table.to_csv(tmp_path / "odd.csv", index=False)
    assert as_rows(labels_from_csv(tmp_path / "odd.csv")) == as_rows(labels_from_csv(table)) == as_rows(table)


def test_all_columns(csv):
    text = "f;l;from;to;who;k;w;v\na;dog;0;2.5;ann;2;1;True\na; cat ;2.5;5;ann;2;0.25;0\n"
    table = csv(
        text,
        delimiter=";",
        suffix=".wav",
        fn_col="f",
        label_col="l",
        start_col="from",
        end_col="to",
        group_col="who",
        fold_col="k",
        weight_col="w",
        valid_col="v",
    )
    assert list(table.columns) == ["path", "label", "start", "end", "group", "fold", "weight", "is_valid"]
    assert as_rows(table) == [
        ("a.wav", "dog", 0.0, 2.5, "ann", 2, 1.0, True),
        ("a.wav", "cat", 2.5, 5.0, "ann", 2, 0.25, False),
    ]
    assert table["fold"].dtype.kind == "i" and table["is_valid"].dtype == bool


def test_folds_that_are_no_numbers_stay_text(csv):
    assert csv("a,b,c\nx.wav,dog,A\ny.wav,dog,1\n", fold_col="c")["fold"].tolist() == ["A", "1"]


def test_a_csv_without_header(csv):
    assert as_rows(csv("a.wav,dog\nb.wav,cat\n", header=None)) == [("a.wav", "dog"), ("b.wav", "cat")]


def test_several_labels(csv):
    table = csv('fname,labels\na.wav,"Bark, Meow,Bark"\nb.wav,\nc.wav,Meow\n', label_delim=",")
    assert table["label"].tolist() == [["Bark", "Meow"], [], ["Meow"]] and is_multilabel(table)
    again = labels_from_csv(table, fn_col="path", label_col="label")
    assert again["label"].tolist() == table["label"].tolist()


def test_labels_that_are_numbers_become_text():
    assert labels_from_csv(pd.DataFrame({"f": [Path("a.wav"), "b.wav"], "l": [7, 8]}))["label"].tolist() == ["7", "8"]


def test_two_files_of_one_name_in_two_folders(csv):
    table = csv("fname,label\ndog/1.wav,dog\ncat/1.wav,cat\n./cat/../cow/1.wav,cow\n")
    assert table["path"].tolist() == ["dog/1.wav", "cat/1.wav", "cow/1.wav"]


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/secret.wav", "dog/../../secret.wav", ".."])
def test_no_name_leads_out_of_the_folder(csv, tmp_path, name):
    with pytest.raises(ValueError, match=r"train\.csv, row 2: '.*' leads out of"):
        csv(f"fname,label\na.wav,dog\n{name},dog\n", folder=tmp_path / "audio")


def test_absolute_names_below_the_folder_become_relative(tmp_path):
    table = pd.DataFrame({"fname": [tmp_path / "audio" / "dog" / "1.wav"], "label": ["dog"]})
    assert labels_from_csv(table, folder=tmp_path / "audio")["path"].tolist() == ["dog/1.wav"]


@pytest.mark.parametrize(
    "text, kwargs, message",
    [
        (
            "fname,label\na,b\n",
            dict(label_col="labl"),
            r"unknown column in .*train\.csv 'labl'; did you mean 'label'\? choose one of fname, label",
        ),
        ("fname,label\na,b\n", dict(label_col=2), "has no column 2; give 0 to 1 or one of fname, label"),
        ("fname,label\na,dog\nb,\nc, \n", {}, r"column 'label' is empty in 2 rows \(2, 3\)"),
        ("fname,label\n,dog\n", {}, r"column 'fname' is empty in 1 row \(1\)"),
        ("fname,label\na,dog\nb\n", {}, r"column 'label' is empty in 1 row \(2\)"),
        ("fname,label\n,dog\n", dict(suffix=".wav"), "column 'fname' is empty"),
        ("fname,label\n", {}, "has no rows"),
        ("", {}, r"train\.csv cannot be read as csv in UTF-8"),
        (
            "fname,label\na,b\nc,d,e\n",
            {},
            r"train\.csv: 1 row \(2\) with more cells than the header, which has 2: row 2 is .*give delimiter=",
        ),
        ("fname,label\na,b,c\nd,e\n", {}, r"1 row \(1\) with more cells than the header"),
        ("a,b\nc,d,e\n", dict(header=None), r"1 row \(2\) with more cells than the first row"),
        ('fname,label\na,"dog\n', {}, "EOF inside string"),
        ("fname^label\na^dog\n", {}, "if another mark .* separates the cells, give delimiter="),
        ("f,l,s,e\na,b,0,1\n", dict(start_col="s"), "needs both its start and its end"),
        ("f,l,s,e\na,b,0,1\nc,b,2,2\n", dict(start_col="s", end_col="e"), r"'e' is not after the start in 1 row \(2\)"),
        ("f,l,s,e\na,b,x,1\n", dict(start_col="s", end_col="e"), "column 's' is not a finite number"),
        (
            "f,l,w\na,b,-1\nb,b,inf\nc,b,\n",
            dict(weight_col="w"),
            r"'w' is not a finite number .* in 3 rows \(1, 2, 3\)",
        ),
        ("f,l,v\na,b,perhaps\n", dict(valid_col="v"), "column 'v' is neither True nor False in 1 row"),
        ("f,l,g\na,b,\n", dict(group_col="g"), "column 'g' is empty"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(csv, text, kwargs, message):
    with pytest.raises(ValueError, match=message):
        csv(text, **kwargs)


@pytest.mark.parametrize("written, given", [("cp1252", "cp1252"), ("utf-16-le", "utf-16-le"), ("cp1250", "cp1252")])
def test_a_csv_in_another_encoding_is_refused_and_then_read_in_it(tmp_path, written, given):
    (tmp_path / "train.csv").write_bytes("fname,label\nZaunkönig.wav,bird\n".encode(written))
    with pytest.raises(ValueError, match=r"train\.csv .*give encoding='(cp1252|utf-16-le)'"):
        labels_from_csv(tmp_path / "train.csv")
    assert as_rows(labels_from_csv(tmp_path / "train.csv", encoding=given)) == [("Zaunkönig.wav", "bird")]
    with pytest.raises(ValueError, match="unknown encoding 'utf-9'; give encoding="):
        labels_from_csv(tmp_path / "train.csv", encoding="utf-9")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_delimiter_and_encoding_are_found_out(csv, encoding, delimiter, newline):
    lines = ["fname,label,from,to", "Zaunkönig.wav,wren; or not,0.5,1.5", "b.wav,cat,0,2,", ""]
    text = newline.join(lines).replace(",", delimiter).replace("; or not", "" if delimiter == ";" else "; or not")
    table = csv(text, encoding=encoding, start_col="from", end_col="to")
    label = "wren" if delimiter == ";" else "wren; or not"
    assert as_rows(table) == [("Zaunkönig.wav", label, 0.5, 1.5), ("b.wav", "cat", 0.0, 2.0)]


def test_a_comma_before_the_fraction_where_semicolons_separate(csv):
    assert as_rows(csv("f;l;s;e\na.wav;dog;0,5;1,25\n", start_col="s", end_col="e")) == [("a.wav", "dog", 0.5, 1.25)]


def test_a_header_with_a_comma_in_a_table_of_semicolons(csv):
    table = csv("f;l;start, s;end, s\na.wav;dog;0;1\n", start_col="start, s", end_col=3)
    assert as_rows(table) == [("a.wav", "dog", 0.0, 1.0)]


def test_a_packed_csv(tmp_path):
    with gzip.open(tmp_path / "train.csv.gz", "wt") as file:
        file.write("fname;label\na.wav;dog\n")
    assert as_rows(labels_from_csv(tmp_path / "train.csv.gz")) == [("a.wav", "dog")]


@pytest.mark.skipif(os.sep != "/", reason="backslashes are the separator here")
def test_backslashes_of_windows(csv, tmp_path):
    (tmp_path / "odd\\name.wav").touch()
    table = csv("fname,label\ndog\\a.wav,dog\nodd\\name.wav,cat\n", folder=tmp_path)
    assert table["path"].tolist() == ["dog/a.wav", "odd\\name.wav"]
    with pytest.raises(ValueError, match=r"row 1: .* is a whole path of another computer; give names below the folder"):
        csv("fname,label\nC:\\sounds\\a.wav,dog\n")


# ---------------------------------------------------------------------- several labels in all their forms


def test_lists_that_came_back_from_csv_as_text(csv, tmp_path):
    lists = pd.DataFrame({"f": ["a.wav", "b.wav", "c.wav"], "l": [["cat", "it's"], [], ["owl"]]})
    lists.to_csv(tmp_path / "lists.csv", index=False)
    expected = [("a.wav", ["cat", "it's"]), ("b.wav", []), ("c.wav", ["owl"])]
    for delim in (None, ",", ";"):
        assert as_rows(labels_from_csv(tmp_path / "lists.csv", label_delim=delim)) == expected
    lists.assign(l=lists["l"].map(np.array)).to_csv(tmp_path / "arrays.csv", index=False)
    assert as_rows(labels_from_csv(tmp_path / "arrays.csv")) == expected
    with pytest.raises(ValueError, match=r"'l' holds lists as text, but not in 1 row \(2\)"):
        csv("f,l\na,\"['x', 'y']\"\nb,dog\n")
    assert csv("f,l\na,[noise]\nb,[bird]\n")["label"].tolist() == ["[noise]", "[bird]"]


@pytest.mark.parametrize("yes, no", [(1, 0), (1.0, 0.0), (True, False)])
def test_one_column_a_class(tmp_path, yes, no):
    raw = pd.DataFrame({"f": ["a.wav", "b.wav", "c.wav"], "owl": [yes, no, no], "cat": [yes, no, yes], "n": [1, 2, 3]})
    raw.to_csv(tmp_path / "raw.csv", index=False)
    expected = [("a.wav", ["owl", "cat"]), ("b.wav", []), ("c.wav", ["cat"])]
    for source in (raw, tmp_path / "raw.csv"):
        assert as_rows(labels_from_csv(source, label_col=["owl", "cat"])) == expected
        assert as_rows(labels_from_csv(source, label_col=[1, 2])) == expected
    with pytest.raises(ValueError, match=r"column 'n' is neither 0 nor 1 in 2 rows \(2, 3\)"):
        labels_from_csv(raw, label_col=["owl", "n"])


def test_one_of_several_columns_of_classes_is_no_label(csv):
    text = "f,owl,cat\na.wav,1,0\nb.wav,1,1\n"
    with pytest.raises(
        ValueError, match=r"'owl' holds only 0 and 1, as does cat; .*label_col=\['owl', 'cat'\], else label_col='owl'"
    ):
        csv(text)
    with pytest.warns(UserWarning, match=r"'cat' holds only 0 and 1, .*label_col=\['owl', 'cat'\]"):
        assert csv(text, label_col="cat")["label"].tolist() == ["0", "1"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert csv("f,label,verified\na,1,0\nb,0,1\n")["label"].tolist() == ["1", "0"]  # its name says what it is
        assert csv("f,dog,held\na,1,0\nb,0,1\n", valid_col="held")["label"].tolist() == ["1", "0"]


@pytest.mark.parametrize("cells", [[[0, 1], [1, 0]], ["[0, 1]", "[1, 0]"], ["[0. 1.]", "[1. 0.]"]])
def test_zeros_and_ones_without_the_names_of_classes_are_refused(cells):
    with pytest.raises(ValueError, match="holds 0 and 1 for each class, but not the names of the classes.*label_col="):
        labels_from_csv(pd.DataFrame({"f": ["a", "b"], "l": cells}))


def test_opensoundscapes_index_of_file_start_and_end():
    clips = [("a.wav", 0.0, 3.0), ("a.wav", 3.0, 6.0), ("b.wav", 0.0, 3.0)]
    index = pd.MultiIndex.from_tuples(clips, names=["file", "start_time", "end_time"])
    table = pd.DataFrame({"owl": [1, 0, 0], "cat": [True, True, False], "site": list("xxy")}, index=index)
    labels = [["owl", "cat"], ["cat"], []]
    read = labels_from_csv(table.drop(columns="site"))
    assert list(read) == ["path", "label", "start", "end"]
    assert as_rows(read) == [(path, label, *span) for (path, *span), label in zip(clips, labels)]
    assert labels_from_csv(table, group_col="site")["group"].tolist() == ["x", "x", "y"]
    assert labels_from_csv(table, label_col="site")["label"].tolist() == ["x", "x", "y"]
    whole = table.drop(columns="site").groupby("file").max()
    assert as_rows(labels_from_csv(whole)) == [("a.wav", ["owl", "cat"]), ("b.wav", [])]


def test_a_named_index_is_a_column():
    table = pd.DataFrame({"label": ["dog"], "clip": ["a.wav"]}, index=pd.Index(["ann"], name="speaker"))
    assert as_rows(labels_from_csv(table, fn_col="clip", label_col=0, group_col="speaker")) == [("a.wav", "dog", "ann")]


def test_measurements_are_no_labels(csv):
    with pytest.raises(
        ValueError, match=r"numbers such as 0\.25, 3 different ones in 3 rows; regression is not offered"
    ):
        csv("f,depth\na,0.25\nb,1.75\nc,3\n")
    with pytest.warns(UserWarning, match=r"each of the 2 becomes a class of its own, as regression is not offered"):
        assert csv("f,speed\na,0.5\nb,1.5\nc,0.5\nd,1.5\n")["label"].tolist() == ["0.5", "1.5", "0.5", "1.5"]


def test_whole_numbers_keep_their_order():
    labels = ["10", "9", "1", "10", "9", "1"]
    assert check_labels(labels, labels) == ["1", "9", "10"]
    assert check_labels([*labels, "x", "x"], labels) == ["1", "10", "9", "x"]
    assert sort_labels(["07", "7", "-1"]) == ["-1", "07", "7"]


def test_lists_of_labels_must_be_lists_everywhere():
    with pytest.raises(ValueError, match=r"column 'l' holds lists, but not in 1 row \(2\)"):
        labels_from_csv(pd.DataFrame({"f": ["a", "b"], "l": [["dog"], "dog"]}))


# ---------------------------------------------------------------------- duplicates


def test_rows_that_say_the_same_are_kept_once(csv):
    with pytest.warns(UserWarning, match=r"2 duplicate rows left out \(a\.wav\)"):
        table = csv("fname,label\na.wav,dog\nb.wav,cat\na.wav,dog\n./a.wav,dog\n")
    assert as_rows(table) == [("a.wav", "dog"), ("b.wav", "cat")] and table.index.tolist() == [0, 1]


def test_windows_of_one_file_are_no_duplicates(csv):
    table = csv("f,l,s,e\na.wav,dog,0,1\na.wav,cat,1,2\n", start_col="s", end_col="e")
    assert len(table) == 2


def test_one_clip_with_two_labels_is_refused(csv):
    with pytest.raises(ValueError, match=r"2 clips with different labels \(a\.wav, b\.wav\)"):
        csv("fname,label\na.wav,dog\nb.wav,cat\na.wav,cat\nb.wav,dog\nc.wav,dog\n")


def test_in_multi_label_tables_the_labels_are_united(csv):
    with pytest.warns(UserWarning, match=r"1 clip with different labels \(a\.wav\); their labels are united"):
        table = csv("fname,label\na.wav,dog cat\nb.wav,cat\na.wav,cow dog\n", label_delim=" ")
    assert as_rows(table) == [("a.wav", ["dog", "cat", "cow"]), ("b.wav", ["cat"])]


def test_the_order_of_labels_makes_no_difference(csv):
    with pytest.warns(UserWarning, match="1 duplicate row left out"):
        assert len(csv("fname,label\na.wav,dog cat\na.wav,cat dog\n", label_delim=" ")) == 1


def test_a_table_that_is_read_is_not_changed():
    raw = pd.DataFrame({"f": ["a", "a"], "l": [["dog"], ["cat"]]})
    before = raw.copy(deep=True)
    with pytest.warns(UserWarning, match="united"):
        labels_from_csv(raw)
    pd.testing.assert_frame_equal(raw, before)


# ---------------------------------------------------------------------- folders and names


@pytest.fixture
def digits(tmp_path):
    """Two speakers' folders, with one name in both; and something that is not a recording."""
    for name in ("ann/3_ann_0.wav", "ann/4_ann_0.wav", "bob/3_bob_0.wav", "bob/notes.txt", "bob/extra/4_bob_0.flac"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_labels_from_folders(digits):
    assert as_rows(labels_from_folders(digits)) == [
        ("ann/3_ann_0.wav", "ann"),
        ("ann/4_ann_0.wav", "ann"),
        ("bob/3_bob_0.wav", "bob"),
        ("bob/extra/4_bob_0.flac", "extra"),
    ]


def test_recordings_outside_of_any_label_folder_are_refused(digits):
    (digits / "stray.wav").touch()
    with pytest.raises(ValueError, match=r"1 recording directly in '.*' \(stray\.wav\)"):
        labels_from_folders(digits)


@pytest.mark.parametrize("read", [labels_from_folders, lambda folder: labels_from_names(folder, "(.)")])
def test_a_folder_without_recordings_is_an_error(tmp_path, read):
    with pytest.raises(ValueError, match=r"no recordings below '.*'; names must end in one of \.wav"):
        read(tmp_path)


def test_a_class_of_which_every_file_is_passed_over(digits):
    (digits / "cal").mkdir()
    for name in ("cal/1.mid", "cal/2.mid", "cal/notes.txt", "ann/x.mid"):
        (digits / name).touch()
    with pytest.raises(
        ValueError, match=r"every file of 1 folder .*\(cal\) is of no known kind of recording: 2 \.mid; convert"
    ):
        labels_of_every_folder(digits)
    with pytest.warns(UserWarning) as said:
        table = labels_from_folders(digits)
    assert set(table["label"]) == {"ann", "bob", "extra"}
    assert re.search(r"1 folder without a known kind of recording \(cal\)", str(said[0].message))
    assert re.search(r"3 files below .* passed over, .*: 3 \.mid", str(said[1].message))
    with pytest.warns(UserWarning, match=r"3 files below .* passed over"):
        labels_from_names(digits, r"^(\d)_")
    for name in ("cal/1.mid", "cal/2.mid", "ann/x.mid"):
        (digits / name).unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a folder of notes is no class
        assert len(labels_of_every_folder(digits)) == 4


def test_a_folder_of_nothing_known_says_what_is_there(tmp_path):
    (tmp_path / "a.mid").touch()
    with pytest.raises(ValueError, match=r"no recordings below .*; there are 1 \.mid"):
        labels_from_folders(tmp_path)


def test_labels_from_names(digits):
    table = labels_from_names(digits, r"^(?P<label>\d)_(?P<group>[a-z]+)_(?P<fold>\d+)\.")
    assert as_rows(table) == [
        ("ann/3_ann_0.wav", "3", "ann", 0),
        ("ann/4_ann_0.wav", "4", "ann", 0),
        ("bob/3_bob_0.wav", "3", "bob", 0),
        ("bob/extra/4_bob_0.flac", "4", "bob", 0),
    ]


def test_one_unnamed_group_is_the_label_and_the_path_may_be_searched(digits):
    assert labels_from_names(digits, r"^(\d)")["label"].tolist() == ["3", "4", "3", "4"]
    assert labels_from_names(digits, "^(.+?)/", on="path")["label"].tolist() == ["ann", "ann", "bob", "bob"]


def test_names_from_a_list_with_windows():
    regex = r"(?P<label>[a-z]+)_(?P<start>[\d.]+)-(?P<end>\d+)"
    table = labels_from_names(["/data/x/owl_0.5-2.wav"], regex, folder="/data")
    assert as_rows(table) == [("x/owl_0.5-2.wav", "owl", 0.5, 2.0)]


@pytest.mark.parametrize(
    "regex, kwargs, message",
    [
        (r"^(?P<label>3)_", {}, r"2 of 4 files do not match '.*' in their name \(ann/4_ann_0\.wav, bob/extra/4_bob_0"),
        (r"^(?P<label>ann)/", {}, "4 of 4 files do not match .* search with on='path'"),
        (r"^(?P<label>\d)_(?P<who>.)", {}, "unknown group in the regex 'who'; choose one of end, fold, group, label"),
        (r"^(\d)_([a-z]+)", {}, "has no group named label"),
        (r"^(?P<label>\d", {}, "is not a regular expression"),
        (r"^(?P<label>x?)", {}, "column 'label' is empty in 4 rows"),
        (r"^(\d)", dict(on="stem"), "unknown value of on 'stem'"),
    ],
)
def test_names_that_do_not_fit(digits, regex, kwargs, message):
    with pytest.raises(ValueError, match=message):
        labels_from_names(digits, regex, **kwargs)


# ---------------------------------------------------------------------- classes


def test_class_counts_commonest_first():
    assert class_counts(table_of(["b", "a", "c", "c"])).to_dict() == {"c": 2, "a": 1, "b": 1}
    assert list(class_counts([["b", "a"], [], ["b"]]).items()) == [("b", 2), ("a", 1)]
    assert class_counts([3, 3, 11]).to_dict() == {"3": 2, "11": 1}


def test_class_weights_are_scikit_learns_balanced():
    from sklearn.utils.class_weight import compute_class_weight

    classes = np.array(["a", "b", "c"])
    y = np.random.RandomState(0).choice(classes, 50, p=[0.7, 0.2, 0.1])
    weights = class_weights(y)
    assert list(weights) == list(classes)
    assert list(weights.values()) == pytest.approx(compute_class_weight("balanced", classes=classes, y=y))
    assert np.mean([weights[label] for label in y]) == pytest.approx(1)


def test_sample_weights():
    table = table_of(["dog", "dog", "dog", "cat"])
    assert sample_weights(table).tolist() == pytest.approx([2 / 3, 2 / 3, 2 / 3, 2])
    weighted = table.assign(weight=[1, 0, 0.5, 1]).set_index(pd.Index([4, 3, 2, 1]))
    assert sample_weights(weighted).to_dict() == pytest.approx({4: 2 / 3, 3: 0, 2: 1 / 3, 1: 2})
    with pytest.raises(ValueError, match="column 'weight' is not a finite number from 0 up in 1 row"):
        sample_weights(table.assign(weight=[1, -1, 1, 1]))
    with pytest.raises(ValueError, match="every row has weight 0"):
        sample_weights(table.assign(weight=0))


@pytest.mark.parametrize(
    "balance, draws",
    [
        (Balance(), [50, 50, 50]),
        (Balance(power=0), [100, 40, 10]),
        (Balance(power=0.5), [150 * root / (10 + 40**0.5 + 10**0.5) for root in (10, 40**0.5, 10**0.5)]),
        (Balance(power=0, least=20), [130 * 100 / 140, 130 * 40 / 140, 20]),
        (Balance(power=0, least=39), [72, 39, 39]),  # the second class falls below only once the third was lifted
        (Balance(power=0.5, least=50), [50, 50, 50]),
    ],
    ids=str,
)
def test_balance_says_how_many_draws_each_class_can_expect(balance, draws):
    labels = ["a"] * 100 + ["b"] * 40 + ["c"] * 10
    weights = balance.class_weights(labels)
    found = [weights[label] * labels.count(label) for label in "abc"]
    assert found == pytest.approx(draws) and sum(found) == pytest.approx(150)
    assert sample_weights(table_of(labels), balance).sum() == pytest.approx(150)
    if balance == Balance():
        assert weights == pytest.approx(class_weights(labels))
    assert Balance.from_toml(balance.to_toml()) == balance


def test_balances_that_cannot_be():
    with pytest.raises(
        ValueError, match=r"Balance\(least=51\) for 3 classes is more than the 150 draws of an epoch; give up to 50"
    ):
        Balance(least=51).class_weights(["a"] * 100 + ["b"] * 40 + ["c"] * 10)
    with pytest.raises(ValueError, match=r"Balance\(power=2\)"):
        Balance(power=2)
    with pytest.raises(ValueError, match=r"Balance\(least=-1\)"):
        Balance(least=-1)


def test_sample_weights_of_several_labels_are_their_mean():
    table = table_of([["dog"], ["dog", "cat"], []])  # 3 labels: dog 3/(2*2), cat 3/(2*1)
    assert sample_weights(table).tolist() == pytest.approx([0.75, (0.75 + 1.5) / 2, 1.0])


def test_check_labels():
    with pytest.warns(UserWarning, match=r"2 labels seen once in training \(3, cow\)"):
        assert check_labels(table_of([3, "dog", "dog", "cow"]), table_of(["3", "dog"])) == ["3", "cow", "dog"]
    with pytest.raises(ValueError, match=r"2 labels in validation but not in training \(7, cat\)"):
        check_labels(["dog", "dog"], ["dog", 7, "cat"])
    with pytest.raises(ValueError, match=r"column 'label' is empty in 1 row \(2\)"):
        check_labels(["dog", None], ["dog"])


# ---------------------------------------------------------------------- folds


def test_folds_by_hand():
    table = table_of("aaaabb")
    folds = add_folds(table, n_splits=2)
    assert "fold" not in table and folds.drop(columns="fold").equals(table)
    assert sorted(map(tuple, folds.groupby("fold")["label"].agg(sorted))) == [("a", "a", "b"), ("a", "a", "b")]


@pytest.mark.parametrize("seed", range(8))
def test_ungrouped_folds_are_even_to_one_clip(seed):
    rng = np.random.RandomState(seed)
    table, n_splits = table_of(rng.geometric(0.2, 157)), 3 + seed % 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of rare labels
        fold = add_folds(table, n_splits, seed=seed)["fold"]
    by_label, sizes = pd.crosstab(table["label"], fold), fold.value_counts()
    assert by_label.max(axis=1).sub(by_label.min(axis=1)).max() <= 1
    assert sizes.max() - sizes.min() <= 1 and sorted(sizes.index) == list(range(n_splits))


@pytest.mark.filterwarnings("ignore:.* in fewer")
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_nothing_that_belongs_together_is_parted(seed, several):
    table = random_table(seed, several=several)
    by_path, by_speaker = add_folds(table, 4, seed=seed), add_folds(table, 4, group="speaker", seed=seed)
    assert (by_path.groupby("path")["fold"].nunique() == 1).all()
    assert (by_speaker.groupby("path")["fold"].nunique() == 1).all()
    assert (by_speaker.groupby("speaker")["fold"].nunique() == 1).all()
    assert set(by_path["fold"]) == set(by_speaker["fold"]) == {0, 1, 2, 3}


def test_windows_that_tie_groups_together_are_not_parted():
    """a.wav has windows of ann and bob, b.wav of bob and cid: all three must go together."""
    table = pd.DataFrame(
        {
            "path": ["a.wav", "a.wav", "b.wav", "b.wav", "c.wav", "d.wav"],
            "label": list("xyxyxy"),
            "speaker": ["ann", "bob", "bob", "cid", "dan", "dan"],
        }
    )
    fold = add_folds(table, 2, group="speaker")["fold"]
    assert fold[:4].nunique() == fold[4:].nunique() == 1 and fold[0] != fold[5]


@pytest.mark.parametrize("group", [None, "speaker"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.filterwarnings("ignore:.* in fewer")
def test_sides_do_not_depend_on_the_order_of_rows(group, several):
    table = random_table(3, several=several)
    shuffled = table.sample(frac=1, random_state=1)
    folds, valid = add_folds(table, 4, group=group, seed=7), split_valid(table, 0.25, group=group, seed=7)
    assert add_folds(shuffled, 4, group=group, seed=7)["fold"].sort_index().equals(folds["fold"])
    assert split_valid(shuffled, 0.25, group=group, seed=7).sort_index().equals(valid)
    assert not add_folds(table, 4, group=group, seed=8)["fold"].equals(folds["fold"])


def test_a_seed_gives_these_folds_everywhere():
    """Written down, so that no other version of anything deals the same recordings out differently."""
    assert add_folds(table_of("aaaaabbbbccc"), 3, seed=1)["fold"].tolist() == [0, 2, 0, 1, 1, 0, 1, 2, 2, 1, 0, 2]


def test_folds_of_several_labels_are_even():
    """12 labels, the rarest about 20 times: 4 folds hold each label to within 2 clips, their sizes to within 3."""
    rng = np.random.RandomState(0)
    names = np.array([f"label {i}" for i in range(12)])
    table = table_of([list(names[rng.rand(12) < np.linspace(0.05, 0.3, 12)]) for _ in range(400)])
    folds = add_folds(table, 4)
    by_label, sizes = labels_by_side(folds, folds["fold"]), folds["fold"].value_counts()
    assert by_label.max(axis=1).sub(by_label.min(axis=1)).max() <= 2
    assert sizes.max() - sizes.min() <= 3
    by_chance = labels_by_side(folds, rng.permutation(folds["fold"]))
    assert by_chance.max(axis=1).sub(by_chance.min(axis=1)).max() > 8


def test_grouped_folds_are_as_even_as_scikit_learns():
    from sklearn.model_selection import StratifiedGroupKFold

    def unevenness(fold):
        shares = pd.crosstab(table["label"], fold, normalize="index")
        return shares.std(axis=1).mean()

    ours, theirs = [], []
    for seed in range(5):
        table = random_table(seed, n=600, n_groups=60)
        ours.append(unevenness(add_folds(table, 5, group="speaker", seed=seed)["fold"]))
        fold = np.empty(len(table), int)
        splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
        for i, (_, test) in enumerate(splitter.split(table, table["label"], table["speaker"])):
            fold[test] = i
        theirs.append(unevenness(fold))
    assert np.mean(ours) < 1.1 * np.mean(theirs)


def test_labels_rarer_than_the_folds_are_named():
    with pytest.warns(UserWarning, match=r"2 labels in fewer recordings than the 3 folds, .* \(cat 1, cow 2\)"):
        add_folds(table_of(["dog"] * 5 + ["cat", "cow", "cow"]), 3)


@pytest.mark.parametrize(
    "change, kwargs, message",
    [
        ({}, dict(n_splits=1), "n_splits=1; folds need at least 2"),
        ({}, dict(n_splits=7), "6 recordings cannot fill 7 folds"),
        (dict(who=list("aabbaa")), dict(n_splits=3, group="who"), "2 groups cannot fill 3 folds"),
        (
            dict(who=["a", None, "b", " ", np.nan, "b"]),
            dict(group="who"),
            r"column 'who' is empty in 3 rows \(2, 4, 5\)",
        ),
        (dict(speaker="a"), dict(group="speakr"), "unknown column in the table 'speakr'; did you mean 'speaker'"),
        (dict(label=["a", None, "a", "a", "a", "a"]), {}, r"column 'label' is empty in 1 row \(2\)"),
    ],
)
def test_folds_that_cannot_be(change, kwargs, message):
    with pytest.raises(ValueError, match=message):
        add_folds(table_of("aaabbb").assign(**change), **{"n_splits": 2} | kwargs)


def test_a_group_column_that_is_not_used_is_said():
    table = table_of("aabb", group=list("xyxy"))
    with pytest.warns(UserWarning, match="has a column 'group', but its groups are not kept together"):
        add_folds(table, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert add_folds(table, 2, group="group").groupby("group")["fold"].nunique().eq(1).all()


def test_clips_without_labels_are_spread_too():
    assert add_folds(table_of([[]] * 6), 3)["fold"].value_counts().tolist() == [2, 2, 2]


# ---------------------------------------------------------------------- training and validation


@pytest.mark.parametrize("pct", [0.05, 0.2, 0.37, 0.5, 0.9])
def test_split_valid_holds_out_its_share_of_every_label(pct):
    table = table_of(np.random.RandomState(0).choice(list("abcde"), 300, p=[0.5, 0.25, 0.15, 0.07, 0.03]))
    valid = split_valid(table, pct)
    by_label = table.groupby("label")["path"].agg("count")
    assert valid.dtype == bool and abs(valid.sum() - pct * 300) <= 1
    assert (valid.groupby(table["label"]).sum() - pct * by_label).abs().max() <= 1


def test_many_small_classes_still_give_the_share_in_all():
    """Rounding each class of two clips by itself would hold out nothing, or half of everything."""
    assert split_valid(table_of([f"label {i // 2}" for i in range(200)]), 0.2).mean() == pytest.approx(0.2)


def test_a_label_seen_once_stays_in_training():
    table = table_of(["dog"] * 10 + ["cat", "cow"])
    for seed in range(10):
        with pytest.warns(UserWarning, match=r"2 labels in one recording only, kept in training \(cat, cow\)"):
            valid = split_valid(table, 0.4, seed=seed)
        assert set(table["label"][valid]) == {"dog"} and abs(valid.sum() - 4) <= 1


@pytest.mark.filterwarnings("ignore:.* only, kept in training")
@pytest.mark.parametrize("group", [None, "speaker"])
@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_validation_knows_nothing_that_training_does_not(seed, several, group):
    table = random_table(seed, n=40 + 20 * seed, n_labels=12, n_groups=8 + seed, several=several)
    valid = split_valid(table, 0.3, group=group, seed=seed)
    assert valid.any() and not valid.all()
    counts = labels_by_side(table, valid)
    assert (counts[False] > 0).all()
    assert valid.groupby(table["path"]).nunique().eq(1).all()
    assert group is None or valid.groupby(table[group]).nunique().eq(1).all()


@pytest.mark.parametrize("seed", range(5))
def test_grouped_split_is_near_its_share(seed):
    table = random_table(seed, n=600, n_groups=60)
    assert split_valid(table, 0.2, group="speaker", seed=seed).mean() == pytest.approx(0.2, abs=0.03)


def test_validation_is_never_empty():
    assert split_valid(table_of("aaaa"), 0.01).sum() == 1
    assert split_valid(table_of("aaaa"), 0.99).sum() == 3
    assert split_valid(table_of("aaaa", who=list("xxyy")), 0.1, group="who").sum() == 2


def test_splits_that_cannot_be():
    with pytest.raises(ValueError, match="valid_pct=20; give a fraction between 0 and 1"):
        split_valid(table_of("aabb"), 20)
    with pytest.warns(UserWarning, match="kept in training"):
        with pytest.raises(ValueError, match="none of 2 recordings can be held out"):
            split_valid(table_of("ab"))
    with pytest.raises(ValueError, match="no rows"):
        split_valid(table_of("ab")[:0])
