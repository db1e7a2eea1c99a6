"""Formats of submissions: what each writes, by known answers, and that it accepts its own."""

import numpy as np
import pandas as pd
import pytest
from submissions import FORMATS, PROBS, ROWS, VOCAB, as_rows, sample_of

from specimg.competitions import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat, check_submission
from specimg.competitions.submission import read_text

ODD_IDS = [
    "007",
    "None",
    "NA",
    "nan",
    "",
    "1e5",
    "a, b",
    'say "hi"',
    " blank ",
    "two\nlines",
    "Zaunkönig 鷦鷯.wav",
    "-1.0",
    "TRUE",
]


def test_best_labels():
    assert as_rows(BestLabels().to_submission(ROWS, PROBS, VOCAB)) == [
        ["fname", "label"],
        ["a.wav", "meow"],
        ["b.wav", "bark"],
        ["c.wav", "siren"],
    ]
    assert as_rows(BestLabels(k=2, id_col="f", label_col="s").to_submission(ROWS, PROBS, VOCAB)) == [
        ["f", "s"],
        ["a.wav", "meow siren"],
        ["b.wav", "bark meow"],
        ["c.wav", "siren bark"],
    ]  # of equals the first
    assert BestLabels(k=9).to_submission(ROWS, PROBS, VOCAB)["label"][0] == "meow siren bark"


def test_label_sets():
    assert LabelSets(threshold=0.15).to_submission(ROWS, PROBS, VOCAB)["birds"].tolist() == [
        "bark meow siren",
        "bark",
        "siren",
    ]
    assert LabelSets(threshold=0.5).to_submission(ROWS, PROBS, VOCAB)["birds"].tolist() == [
        "nocall",
        "bark",
        "siren",
    ]  # 0.5 is not above 0.5
    assert list(LabelSets().to_submission(ROWS, PROBS, VOCAB)) == ["row_id", "birds"]


def test_what_stands_for_nothing_is_never_written_beside_a_label():
    answers = LabelSets(nothing="none").to_submission(ROWS[:2], [[0.9, 0.9], [0.9, 0.1]], ["none", "owl"])
    assert answers["birds"].tolist() == ["owl", "none"]


def test_class_columns():
    assert as_rows(ClassColumns().to_submission(ROWS, PROBS, VOCAB)) == [
        ["fname", *VOCAB],
        ["a.wav", 0.2, 0.5, 0.3],
        ["b.wav", 0.8, 0.1, 0.1],
        ["c.wav", 0.0, 0.0, 1.0],
    ]


def test_decisions():
    answers = Decisions().to_submission(ROWS, PROBS, VOCAB)
    assert as_rows(answers) == [["row_id", "target"], ["a.wav", False], ["b.wav", False], ["c.wav", True]]
    assert Decisions(threshold=0.4).to_submission(ROWS, PROBS, VOCAB)["target"].tolist() == [True, False, True]
    assert answers.to_csv(index=False, lineterminator="\n") == "row_id,target\na.wav,False\nb.wav,False\nc.wav,True\n"


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_no_rows_are_a_header(fmt):
    answers = fmt.to_submission(ROWS[:0], np.zeros((0, 3)), VOCAB)
    assert list(answers) == fmt.columns(VOCAB) and not len(answers)


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_formats_are_values(fmt):
    assert SubmissionFormat.from_json(fmt.to_json()) == SubmissionFormat.from_toml(fmt.to_toml()) == fmt


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
@pytest.mark.parametrize(
    "probs, what",
    [
        (PROBS[:2], r"shape \(2, 3\); expected \(3, 3\), rows and labels"),
        (PROBS[:, :2], r"shape \(3, 2\)"),
        (PROBS[0], r"shape \(3,\)"),
        (np.where(PROBS == 1, np.nan, PROBS), r"nan in 1 row \(c.wav\); correct them"),
    ],
)
def test_probabilities_that_do_not_fit_are_refused(fmt, probs, what):
    with pytest.raises(ValueError, match=what):
        fmt.to_submission(ROWS, probs, VOCAB)


@pytest.mark.parametrize(
    "fmt, vocab, what",
    [
        (
            BestLabels(k=2),
            ["bark", "air conditioner", "a\tb"],
            r"2 labels with blanks \('air conditioner', 'a\\tb'\), which separate the labels",
        ),
        (LabelSets(), ["bark", " owl", "siren"], "1 label with blanks"),
        (LabelSets(), ["bark", "", "siren"], "1 label with blanks"),
        (ClassColumns(), ["bark", "fname", "siren"], "the label 'fname' has the name of the column"),
        (Decisions(), ["bark", "siren", "owl"], r"1 target label not in the vocabulary \(meow\); add them to it"),
    ],
)
def test_labels_that_cannot_be_written_are_refused(fmt, vocab, what):
    with pytest.raises(ValueError, match=what):
        fmt.to_submission(ROWS, PROBS, vocab)
    with pytest.raises(ValueError, match=what):
        fmt.check(ROWS, vocab)


def test_one_label_a_row_may_hold_blanks():
    answers = BestLabels().to_submission(ROWS, PROBS, ["a b", "c d", "e"])
    assert answers["label"].tolist() == ["c d", "a b", "e"]
    assert "accepted" in check_submission(answers, answers, format=BestLabels(), vocab=["a b", "c d", "e"])


def test_decisions_need_questions():
    with pytest.raises(ValueError, match=r"need the column 'target_label', the label of each row; they have \['id'\]"):
        Decisions().to_submission(ROWS[["id"]], PROBS, VOCAB)


@pytest.mark.parametrize(
    "make, what",
    [
        (lambda: BestLabels(k=0), r"BestLabels\(k=0\): give the number of labels a row, at least 1"),
        (lambda: LabelSets(threshold=1.5), r"LabelSets\(threshold=1.5\): give a probability"),
        (lambda: Decisions(threshold=-0.1), r"Decisions\(threshold=-0.1\): give a probability"),
        (lambda: LabelSets(nothing=""), r"LabelSets\(nothing=''\): give one word"),
        (lambda: LabelSets(nothing="no call"), "give one word"),
        (lambda: BestLabels(k="three"), "not a whole number"),
    ],
)
def test_formats_that_make_no_sense(make, what):
    with pytest.raises(ValueError, match=what):
        make()


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_what_is_written_is_accepted(fmt, tmp_path):
    path, sample = tmp_path / "submission.csv", tmp_path / "sample.csv"
    answers = fmt.to_submission(ROWS, PROBS, VOCAB)
    answers.to_csv(path, index=False)
    sample_of(fmt).to_csv(sample, index=False)
    shown = ", ".join(fmt.columns(VOCAB))
    assert check_submission(path, sample, format=fmt, vocab=VOCAB) == f"3 rows in the columns {shown}: accepted"
    assert check_submission(answers, sample, format=fmt, vocab=VOCAB) == check_submission(
        path, sample_of(fmt), format=fmt, vocab=VOCAB
    )
    assert "accepted" in check_submission(
        answers.set_axis([7, 7, 7]), sample, format=fmt
    )  # the index is not part of it


@pytest.mark.parametrize("fmt", FORMATS, ids=repr)
def test_odd_names_and_labels_come_through_a_file(fmt, tmp_path):
    vocab = ["None", "NA", "007"] if fmt.kind != "decisions" else VOCAB
    rows = pd.DataFrame({"id": ODD_IDS, "target_label": "meow"})
    probs = np.random.RandomState(0).rand(len(rows), 3)
    answers = fmt.to_submission(rows, probs, vocab)
    answers.to_csv(tmp_path / "submission.csv", index=False)
    sample = sample_of(fmt, rows, vocab)
    assert "accepted" in check_submission(tmp_path / "submission.csv", sample, format=fmt, vocab=vocab)
    assert "accepted" in check_submission(answers, sample, format=fmt, vocab=vocab)


def test_numbers_come_through_a_file_unchanged(tmp_path):
    probs = np.array([[1e-300, 1 / 3, np.float32(0.1)]])
    ClassColumns().to_submission(ROWS[:1], probs, VOCAB).to_csv(tmp_path / "s.csv", index=False)
    assert read_text(tmp_path / "s.csv")[VOCAB].astype(float).to_numpy().tolist() == probs.tolist()
