"""Submissions that somebody wrote: everything that is wrong with one is reported."""

import time

import numpy as np
import pandas as pd
import pytest
from submissions import FORMATS, PROBS, ROWS, VOCAB, as_rows, sample_of

from specimg.competitions import (
    BestLabels,
    ClassColumns,
    Competition,
    Decisions,
    LabelSets,
    SubmissionFormat,
    check_submission,
    guess_format,
)
from specimg.competitions.submission import check_sample, read_text


def problems_of(text, sample, tmp_path, **kwargs):
    """The problems of a csv file, in the words of the message."""
    path = tmp_path / "submission.csv"
    path.write_text(text, encoding="utf-8", newline="")
    with pytest.raises(ValueError) as error:
        check_submission(path, sample, **kwargs)
    message = str(error.value)
    start = f"{str(path)!r} would not be accepted: "
    assert message.startswith(start), message
    return message[len(start) :].split("; ")


def test_a_file_is_read_cell_for_cell(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text('fname,label\n007,NA\n"a, ""b""",None\n,\n 1.50 ,nan\n', encoding="utf-8")
    table = read_text(path)
    assert as_rows(table) == [["fname", "label"], ["007", "NA"], ['a, "b"', "None"], ["", ""], [" 1.50 ", "nan"]]
    assert table.index.tolist() == [0, 1, 2, 3]


def test_a_byte_order_mark_and_other_line_ends_change_nothing(tmp_path):
    for data in (
        "\ufefffname,label\r\na.wav,bark\r\n",
        "fname,label\na.wav,bark",
        '\ufeff"fname","label"\r\n"a.wav","bark"\r\n\r\n',
    ):
        (tmp_path / "t.csv").write_bytes(data.encode())
        assert as_rows(read_text(tmp_path / "t.csv")) == [["fname", "label"], ["a.wav", "bark"]]
        assert "accepted" in check_submission(tmp_path / "t.csv", pd.DataFrame({"fname": ["a.wav"], "label": ["meow"]}))


def test_short_lines_end_in_empty_cells(tmp_path):
    (tmp_path / "t.csv").write_text("a,b,c\n1\n2,3\n")
    assert as_rows(read_text(tmp_path / "t.csv"))[1:] == [["1", "", ""], ["2", "3", ""]]


@pytest.mark.parametrize(
    "data, what",
    [
        (b"", "cannot be read as csv in UTF-8: No columns"),
        (b"fname,label\na.wav,bark,meow\n", "Expected 2 fields in line 2, saw 3"),
        (b"fname,label\n\xff\xfe\n", "cannot be read as csv in UTF-8"),
        (b'fname,label\n"a.wav,bark\n', "cannot be read as csv in UTF-8"),
        (b"fname,label,label\na.wav,bark,meow\n", r"has columns of one name \('label'\); give each its own"),
    ],
)
def test_files_that_are_no_csv(data, what, tmp_path):
    path = tmp_path / "submission.csv"
    path.write_bytes(data)
    for read in (read_text, lambda path: check_submission(path, sample_of(BestLabels())), guess_format):
        with pytest.raises(ValueError, match=what) as error:
            read(path)
        assert str(error.value).startswith(repr(str(path)))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        check_submission(tmp_path / "nowhere.csv", sample_of(BestLabels()))
    with pytest.raises(FileNotFoundError, match="nowhere.csv"):
        check_submission(sample_of(BestLabels()), tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    "header, wanted",
    [
        ("fname", ["1 column missing ('label')"]),
        ("fname,label,extra,more", ["2 columns too many ('extra', 'more')"]),
        ("fname,species", ["1 column missing ('label')", "1 column too many ('species')"]),
        ("file,label", ["1 column missing ('fname')", "1 column too many ('file')"]),
        ("fname, label", ["1 column missing ('label')", "1 column too many (' label')"]),
        ("label,fname", ["the columns are in another order", "column 1 is 'label' and should be 'fname'"]),
    ],
)
def test_columns(header, wanted, tmp_path):
    text = f"{header}\n" + "".join(",".join(["x"] * len(header.split(","))) + "\n" for _ in range(3))
    found = problems_of(text, sample_of(BestLabels()), tmp_path)
    assert found == wanted  # rows are looked at once the columns are right


def test_an_index_written_with_the_table(tmp_path):
    answers = BestLabels().to_submission(ROWS, PROBS, VOCAB)
    assert problems_of(answers.to_csv(), answers, tmp_path) == [
        "1 column too many ('')",
        "the first column is pandas's index",
        "write the table with to_csv(..., index=False)",
    ]
    answers.to_csv(tmp_path / "s.csv")
    with pytest.raises(ValueError, match=r"too many \('Unnamed: 0'\); the first column is pandas's index"):
        check_submission(pd.read_csv(tmp_path / "s.csv"), answers)


def test_a_column_that_stands_there_twice():
    double = pd.DataFrame([["a.wav", "bark", "bark"]], columns=["fname", "label", "label"])
    with pytest.raises(ValueError, match=r"the submission would not be accepted: 1 column repeated \('label'\)$"):
        check_submission(double, sample_of(BestLabels(), ROWS[:1]))


def test_class_columns_in_another_order(tmp_path):
    answers = ClassColumns().to_submission(ROWS, PROBS, VOCAB)[["fname", "meow", "bark", "siren"]]
    found = problems_of(answers.to_csv(index=False), sample_of(ClassColumns()), tmp_path)
    assert found == ["the columns are in another order", "column 2 is 'meow' and should be 'bark'"]


@pytest.mark.parametrize(
    "ids, wanted",
    [
        (["a.wav", "c.wav"], ["1 row missing (b.wav)"]),
        ([], ["3 rows missing (a.wav, b.wav, c.wav)"]),
        (["a.wav", "b.wav", "c.wav", "d.wav"], ["1 row too many (d.wav)"]),
        (["a.wav", "b.wav", "b.wav", "c.wav"], ["1 row repeated (b.wav)"]),
        (
            ["a.wav", "a.wav", "x.wav"],
            ["2 rows missing (b.wav, c.wav)", "1 row too many (x.wav)", "1 row repeated (a.wav)"],
        ),
        (["a.wav", "c.wav", "b.wav"], ["the rows are in another order", "row 2 is 'c.wav' and should be 'b.wav'"]),
        (["a", "b", "c"], ["3 rows missing (a.wav, b.wav, c.wav)", "3 rows too many (a, b, c)"]),
    ],
)
def test_rows(ids, wanted, tmp_path):
    text = "fname,label\n" + "".join(f"{name},bark\n" for name in ids)
    assert problems_of(text, sample_of(BestLabels()), tmp_path) == wanted


def test_no_more_than_three_rows_are_named(tmp_path):
    sample = pd.DataFrame({"fname": [f"{i}.wav" for i in range(1600)], "label": "bark"})
    assert problems_of("fname,label\n", sample, tmp_path) == ["1600 rows missing (0.wav, 1.wav, 2.wav, ...)"]


def test_numbers_that_pandas_made_of_names_are_other_names(tmp_path):
    sample = pd.DataFrame({"fname": ["007", "008"], "label": ["bark", "bark"]})
    assert problems_of("fname,label\n7,bark\n8,bark\n", sample, tmp_path) == [
        "2 rows missing (007, 008)",
        "2 rows too many (7, 8)",
    ]
    with pytest.raises(ValueError, match=r"2 rows missing \(007, 008\)"):
        check_submission(pd.DataFrame({"fname": [7, 8], "label": ["bark", "bark"]}), sample)


def cell_problems(fmt, cells, tmp_path, vocab=VOCAB):
    ids = [f"{i}.wav" for i in range(len(cells))]
    sample = sample_of(fmt, pd.DataFrame({"id": ids, "target_label": "meow"}))
    rows = "".join(f"{name},{cell}\n" for name, cell in zip(ids, cells))
    return problems_of(f"{','.join(fmt.columns(VOCAB))}\n{rows}", sample, tmp_path, format=fmt, vocab=vocab)


def test_cells_of_one_label(tmp_path):
    found = cell_problems(BestLabels(), ["bark", "", "  ", "brak", "bark meow", "bark "], tmp_path)
    assert found == [
        "2 rows without a label (1.wav, 2.wav)",
        "3 rows with a label that the competition does not know (3.wav: 'brak', 4.wav: 'bark meow', 5.wav: 'bark ')",
    ]


def test_cells_of_several_labels(tmp_path):
    found = cell_problems(BestLabels(k=2), ["bark  meow", "", "bark meow siren", "meow meow", "bark owl"], tmp_path)
    assert found == [
        "1 row without a label (1.wav)",
        "1 row with more than 2 labels (2.wav)",
        "1 row with one label twice (3.wav)",
        "1 row with a label that the competition does not know (4.wav: 'owl')",
    ]


def test_labels_that_nobody_listed_are_not_judged(tmp_path):
    assert cell_problems(BestLabels(), ["", "what ever"], tmp_path, vocab=None) == ["1 row without a label (0.wav)"]
    assert cell_problems(LabelSets(), ["", "what ever"], tmp_path, vocab=None) == [
        "1 row without a label, where 'nocall' should be (0.wav)"
    ]


def test_cells_of_label_sets(tmp_path):
    found = cell_problems(
        LabelSets(), ["nocall", "bark meow", "", "bark nocall", "bark bark", "owl", "nocall nocall"], tmp_path
    )
    assert found == [
        "1 row without a label, where 'nocall' should be (2.wav)",
        "1 row with 'nocall' beside other labels (3.wav)",
        "2 rows with one label twice (4.wav, 6.wav)",
        "1 row with a label that the competition does not know (5.wav: 'owl')",
    ]


def test_cells_of_probabilities(tmp_path):
    cells = [
        "0,1,0.5",
        "1e-9,.5,1.0",
        "nan,0,0",
        "0,inf,0",
        "0,0,",
        "0,bark,0",
        "0,1.0001,0",
        "-0.1,0,0",
        "-0.0,0,0",
        "0,True,0",
        "-5,x,0",
    ]
    assert cell_problems(ClassColumns(), cells, tmp_path) == [
        "6 rows with a cell that is not a finite number (2.wav: bark 'nan', 3.wav: meow 'inf', 4.wav: siren '', ...)",
        "3 rows with a probability outside 0 to 1 (6.wav: meow '1.0001', 7.wav: bark '-0.1', 10.wav: bark '-5')",
    ]


def test_cells_of_decisions(tmp_path):
    assert cell_problems(Decisions(), ["True", "False", "true", "", "0.7", "1"], tmp_path) == [
        "4 rows with neither True nor False (2.wav, 3.wav, 4.wav, ...)"
    ]


@pytest.mark.parametrize(
    "cell, what",
    [
        (np.nan, "1 row without a label"),
        (None, "1 row without a label"),
        (pd.NA, "1 row without a label"),
        (["bark"], "1 row with a label that the competition does not know"),
        (3, "1 row with a label .* not know .a.wav: '3'."),
    ],
)
def test_cells_of_a_table_that_hold_no_text(cell, what):
    table = pd.DataFrame({"fname": ["a.wav"], "label": pd.Series([cell], dtype=object)})
    with pytest.raises(ValueError, match=f"the submission would not be accepted: {what}"):
        check_submission(table, sample_of(BestLabels(), ROWS[:1]), vocab=VOCAB)


def test_a_table_with_nan_and_inf():
    table = ClassColumns().to_submission(ROWS, PROBS, VOCAB)
    table.loc[0, "bark"], table.loc[2, "siren"] = np.nan, np.inf
    with pytest.raises(
        ValueError, match=r"2 rows with a cell that is not a finite number \(a.wav: bark '', c.wav: siren 'inf'\)"
    ):
        check_submission(table, sample_of(ClassColumns()))


def test_tables_of_every_dtype_are_read_like_their_file(tmp_path):
    table = pd.DataFrame(
        {
            "fname": pd.Categorical(["a.wav", "b.wav", "c.wav"]),
            "bark": pd.array([1, 0, 1], "Int64"),
            "meow": [True, False, True],
            "siren": np.float32([0.1, 0.2, 0.3]),
        }
    )
    with pytest.raises(ValueError, match=r"3 rows with a cell that is not a finite number \(a.wav: meow 'True'"):
        check_submission(table, sample_of(ClassColumns()))
    assert "accepted" in check_submission(
        table.assign(meow=table["meow"].astype("boolean").astype("Int64")), sample_of(ClassColumns())
    )


def test_rows_and_cells_are_judged_together(tmp_path):
    found = problems_of("fname,label\na.wav,brak\nb.wav,\n", sample_of(BestLabels()), tmp_path, vocab=VOCAB)
    assert found == [
        "1 row missing (c.wav)",
        "1 row without a label (b.wav)",
        "1 row with a label that the competition does not know (a.wav: 'brak')",
    ]


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_the_sample_tells_the_format(fmt, tmp_path):
    sample = sample_of(fmt)
    if fmt.kind == "labelsets":
        sample["birds"] = "nocall"
    sample.to_csv(tmp_path / "sample.csv", index=False)
    columns = {name: part for name, part in fmt.to_dict().items() if name not in ("threshold", "nothing")}
    guessed = guess_format(tmp_path / "sample.csv")
    assert guessed == guess_format(sample) == SubmissionFormat.from_dict(columns)


@pytest.mark.parametrize(
    "cells, vocab, k",
    [
        (["yes", "no"], None, 1),
        (["", ""], None, 1),
        ([], None, 1),
        (["a b c", "a"], VOCAB, 3),
        (["air conditioner", "bark"], None, 2),
        (["air conditioner", "bark"], ["air conditioner", "bark", "owl"], 1),
        (["air conditioner", "bark meow"], ["air conditioner", "bark", "meow"], 2),
    ],
)
def test_how_many_labels_a_row_may_have(cells, vocab, k):
    sample = pd.DataFrame({"fname": [f"{i}.wav" for i in range(len(cells))], "label": pd.Series(cells, dtype=object)})
    assert guess_format(sample, vocab) == BestLabels(k=k)


def test_a_sample_of_names_alone():
    with pytest.raises(
        ValueError, match=r"the columns \['fname'\]; it needs one of row names and one or more of predictions"
    ):
        guess_format(pd.DataFrame({"fname": ["a.wav"]}))


@pytest.mark.parametrize(
    "fmt, vocab, what",
    [
        (
            BestLabels(label_col="species"),
            None,
            r"the format bestlabels: 1 column missing \('label'\); 1 column too many",
        ),
        (BestLabels(id_col="file"), None, r"1 column missing \('fname'\)"),
        (ClassColumns(), ["bark", "meow"], r"1 column missing \('label'\); 2 columns too many \('bark', 'meow'\)"),
        (ClassColumns(id_col="row_id"), None, r"1 column missing \('fname'\)"),
        (LabelSets(), None, "format labelsets"),
    ],
)
def test_a_format_that_the_sample_contradicts(fmt, vocab, what):
    with pytest.raises(ValueError, match=what + ".*; give another format or other labels"):
        check_submission(sample_of(BestLabels()), sample_of(BestLabels()), format=fmt, vocab=vocab)


def test_labels_in_another_order_than_the_sample():
    with pytest.raises(ValueError, match="are in another order; column 2 is 'meow' and should be 'bark'"):
        check_sample(sample_of(ClassColumns()), ClassColumns(), ["meow", "bark", "siren"])


def test_a_sample_with_double_rows():
    sample = pd.DataFrame({"fname": ["a.wav", "a.wav"], "label": "bark"})
    with pytest.raises(ValueError, match=r"the sample submission has 1 row repeated \(a.wav\)"):
        check_submission(sample, sample)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_a_competition_knows_rows_format_and_labels(fmt, tmp_path):
    train = pd.DataFrame({"path": [f"{label}.wav" for label in VOCAB], "label": VOCAB})
    comp = Competition("pets", tmp_path, train, format=fmt, test=ROWS.assign(path=ROWS["id"]))
    answers = fmt.to_submission(comp.prediction_rows(), PROBS, comp.vocab)
    answers.to_csv(tmp_path / "s.csv", index=False)
    assert comp.check(answers) == comp.check(tmp_path / "s.csv") == check_submission(answers, comp)
    with pytest.raises(ValueError, match="1 row missing .a.wav."):
        comp.check(answers[1:])


def test_other_labels_than_the_competition_s_may_be_given(tmp_path):
    train = pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["bark", "meow"]})
    comp = Competition("pets", tmp_path, train)
    answers = pd.DataFrame({"fname": ["a.wav", "b.wav"], "label": ["owl", "meow"]})
    with pytest.raises(ValueError, match="does not know .a.wav: 'owl'."):
        check_submission(answers, comp)
    assert "accepted" in check_submission(answers, comp, vocab=pd.Index(["owl", "meow"]))


def test_a_large_submission_is_checked_in_seconds(tmp_path):
    ids = [f"clip_{i:08x}.wav" for i in range(150_000)]
    sample, start = pd.DataFrame({"fname": ids, "label": "silence"}), time.perf_counter()
    sample.to_csv(tmp_path / "s.csv", index=False)
    assert check_submission(tmp_path / "s.csv", sample).startswith("150000 rows")
    with pytest.raises(
        ValueError, match=r"would not be accepted: 75001 rows missing \(clip_00000000.wav, clip_00000001.wav"
    ):
        check_submission(sample[::2][1:], sample)
    assert time.perf_counter() - start < 20


def test_a_competition_in_the_place_of_the_submission_is_said(tmp_path):
    from specimg.competitions import Competition

    comp = Competition("pets", tmp_path, pd.DataFrame({"path": ["a.wav", "b.wav"], "label": ["cat", "dog"]}))
    with pytest.raises(ValueError, match="the first argument is the submission, the second the competition"):
        check_submission(comp, "submission.csv")
