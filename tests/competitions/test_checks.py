"""Tables of a competition: what is read as what, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from pets import TEST, small

from specimg.competitions import BestLabels, ClassColumns, Competition, Decisions, LabelSets


def refused(what, train=None, **kwargs):
    with pytest.raises(ValueError, match=what):
        Competition("pets", "pets", small() if train is None else train, **kwargs)


def test_by_hand(tmp_path):
    table = small().set_axis([7, 7, 8, 9])
    comp = Competition("pets", str(tmp_path), table)
    assert comp.folder == tmp_path and comp.vocab == ("cat", "dog") and not comp.is_multi
    assert (comp.metric, comp.format, comp.options) == (
        "accuracy",
        BestLabels(),
        {},
    ) and comp.test is comp.sample is comp.solution is None
    assert comp.train.index.tolist() == [0, 1, 2, 3] and table.index.tolist() == [7, 7, 8, 9]


def test_labels_become_text():
    comp = Competition("pets", ".", small(label=[3, 1, 3, 1]))
    assert comp.train["label"].tolist() == ["3", "1", "3", "1"] and comp.vocab == ("1", "3")
    several = pd.Series([(1, 2), [2], np.array([], int), ["2", 2]])
    comp = Competition("pets", ".", small(label=several), metric="lwlrap")
    assert comp.train["label"].tolist() == [["1", "2"], ["2"], [], ["2"]] and comp.is_multi
    assert several[0] == (1, 2)


def test_numbers_and_truths_are_made_of_what_a_csv_holds():
    text = small(
        start=["0", "1.5", None, "2"],
        end=["1", "2", None, "3"],
        weight=["1", "0.5", "0", "2"],
        fold=["1", "0", "-1", "1"],
    )
    t = Competition("pets", ".", text.assign(scored=[1, 0, 1, 1])).train
    assert t["start"].tolist()[:2] == [0.0, 1.5] and t["start"].isna().tolist() == t["end"].isna().tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert (
        t["weight"].tolist() == [1.0, 0.5, 0.0, 2.0]
        and t["fold"].tolist() == [1, 0, -1, 1]
        and t["fold"].dtype.kind == "i"
    )
    assert t["scored"].tolist() == [True, False, True, True] and t["scored"].dtype == bool


def test_the_vocabulary_may_be_ordered_and_hold_more():
    with pytest.warns(
        UserWarning, match=r"^1 label of the vocabulary without a clip in training \(owl\): no network can learn them$"
    ) as said:
        comp = Competition("pets", ".", small(), vocab=["owl", "dog", "cat"])
    assert comp.vocab == ("owl", "dog", "cat") and said[0].filename == __file__


@pytest.mark.parametrize(
    "table, what",
    [
        ([1, 2], "the training table is a list; give a DataFrame with the columns path, label"),
        (
            small().drop(columns="label"),
            "the training table lacks the column 'label'; it has path and needs path, label",
        ),
        (small().rename(columns={"path": "fname"}), "lacks the column 'path'; it has fname, label"),
        (pd.concat([small(), small()[["label"]]], axis=1), "has columns of one name; it has path, label, label"),
        (small()[:0], "the training table has no rows; give one for each clip"),
        (small(path=["a.wav", "b.wav", "../c.wav", "d.wav"]), r"'../c.wav' leads out of '.*'; give names below"),
        (small(path=["a.wav", "/etc/passwd", "c.wav", "d.wav"]), "'/etc/passwd' leads out of"),
        (
            small(path=["a.wav", "./b.wav", "c.wav", "d.wav"]),
            r"names './b.wav'; write paths below 'pets' .*, such as 'b.wav'",
        ),
        (small(path=["a.wav", "b.wav", "", "d.wav"]), "the training table names ''"),
        (small(path=["a.wav", np.nan, "c.wav", "d.wav"]), "names the path nan; write text"),
        (
            small(path=["a.wav", "b.wav", "a.wav", "a.wav"]),
            r"2 rows of the training table of a clip that is there already \(a.wav\)",
        ),
        (small(label=["dog", None, "dog", ""]), r"column 'label' is empty in 2 rows \(2, 4\)"),
        (small(label=[["dog"], ["cat"], None, []]), r"column 'label' is empty in 1 row \(3\)"),
        (small(start=0.0), "the training table has only one of the columns 'start' and 'end'; it needs both, or none"),
        (
            small(start=[0, 1, 2, -1.0], end=[1, 1, 3, 3.0]),
            r"2 rows of the training table whose times are not 0 <= start < end \(b.wav, d",
        ),
        (
            small(start=[0, np.nan, 2, 0], end=[1, 1, np.nan, np.inf]),
            r"3 rows .* whose times .* \(b.wav, c.wav, d.wav\); correct them; both",
        ),
        (
            small(start=["0", "x", "0", "0"], end=1),
            r"1 row of the training table whose start is not a number \(b.wav\); write a number, or",
        ),
        (
            small(weight=[1, np.nan, -1, np.inf]),
            r"3 rows of the training table whose weight is not a finite number from 0 \(b.wav, c.wav, d",
        ),
        (small(weight=["high", 1, 1, 1]), "whose weight is not a number"),
        (
            small(fold=[0, 1, 0.5, -2]),
            r"2 rows of the training table whose fold is not a whole number from -1 \(c.wav, d.wav\)",
        ),
        (small(fold=["a", "b", "a", "b"]), "4 rows of the training table whose fold is not a number"),
        (
            small(fold=[0, 1, np.nan, -1]),
            r"1 row of the training table without a fold, where others have one \(c.wav\)",
        ),
        (small(fold=-1), "every row of the training table has fold -1, so that nothing is held out"),
        (
            small(group=["x", None, "y", "y"]),
            r"1 row of the training table without a group \(b.wav\); give each clip one",
        ),
        (
            small(scored=[True, None, False, True]),
            r"1 row of the training table whose scored is neither True nor False \(b.wav\)",
        ),
        (small(scored=["yes", "no", "no", "no"]), "4 rows of the training table whose scored is neither"),
    ],
)
def test_training_tables_that_cannot_be_relied_on(table, what):
    refused(what, table)


def test_windows_of_one_recording_are_different_clips():
    table = small(path="a.wav", start=[0, 1, 2, np.nan], end=[1, 2, 3, np.nan])
    assert len(Competition("pets", ".", table).train) == 4
    refused(
        "1 row of the training table of a clip that is there already",
        table.assign(start=[0, 1, 1, np.nan], end=[1, 2, 2, np.nan]),
    )
    refused(
        "1 row of the training table of a clip that is there",
        table.assign(start=[0, np.nan, 1, np.nan], end=[1, np.nan, 2, np.nan]),
    )


def test_only_clips_that_are_held_out_need_a_group():
    comp = Competition("pets", ".", small(group=["x", None, "y", "y"], fold=[0, -1, 1, 1]))
    assert comp.train["group"].isna().sum() == 1


@pytest.mark.parametrize(
    "table, what",
    [
        (TEST.drop(columns="id"), "the test table lacks the column 'id'; it has path and needs id, path"),
        (TEST.assign(path=["t/1.wav", "../2.wav"]), "'../2.wav' leads out of"),
        (TEST.assign(id="1"), r"1 test row with an id that is there already \(1\); give each its own"),
        (
            TEST.assign(id=["1", None]),
            r"1 row of the test table without an id \(t/2.wav\); give each row its name in the submission",
        ),
        (TEST.assign(id=["", "1"]), "1 row of the test table without an id"),
        (TEST.assign(end=1.0), "the test table has only one of the columns"),
        (
            TEST.assign(start=1.0, end=1.0),
            r"2 rows of the test table whose times are not 0 <= start < end \(t/1.wav, t/2.wav\)",
        ),
        ("sample_submission.csv", "the test table is a str; give a DataFrame with the columns id, path"),
    ],
)
def test_test_tables_that_cannot_be_relied_on(table, what):
    refused(what, test=table)


def test_test_tables():
    test = TEST.assign(id=[1, 2], target_label=["cat", "dog"], start=["0", "1"], end=["1", "2"]).set_axis([5, 5])
    comp = Competition("pets", ".", small(), test=test)
    assert (
        comp.test["id"].tolist() == ["1", "2"]
        and comp.test.index.tolist() == [0, 1]
        and comp.test["end"].tolist() == [1.0, 2.0]
    )
    assert comp.prediction_rows() is comp.test and comp.expected_rows().tolist() == ["1", "2"]
    double = TEST.assign(path="t/1.wav")  # two questions about one recording
    assert len(Competition("pets", ".", small(), test=double).test) == 2
    assert len(Competition("pets", ".", small(), test=TEST[:0]).expected_rows()) == 0  # recordings that come later


@pytest.mark.parametrize(
    "kwargs, what",
    [
        (dict(vocab=["dog", "cat", "dog"]), r"the vocabulary names a label twice \(dog\); name each once"),
        (
            dict(vocab=["dog"]),
            r"1 label in training that the vocabulary lacks \(cat\); add them, or leave their clips out",
        ),
        (dict(metric="acuracy"), "unknown metric 'acuracy'; did you mean 'accuracy'"),
        (
            dict(metric="lwlrap"),
            "the metric 'lwlrap' does not go with clips of one label; choose one of accuracy, .*map@3",
        ),
        (
            dict(train=small(label=[["dog"], [], ["cat"], ["dog"]])),
            "'accuracy' does not go with clips of several labels; choose .*lwlrap",
        ),
        (
            dict(train=small(label=[[], [], [], []]), metric="lwlrap"),
            "no clip of training has a label, and there is no vocab",
        ),
        (
            dict(train=small(label=["big dog", "cat", "cat", "owl"]), format=BestLabels(k=3)),
            r"1 label with blanks \('big dog'\), which separate",
        ),
        (
            dict(train=small(label=["fname", "cat", "cat", "owl"]), format=ClassColumns()),
            "the label 'fname' has the name of the column",
        ),
        (dict(format=Decisions(), test=TEST), "need the column 'target_label'"),
        (
            dict(format=Decisions(), test=TEST.assign(target_label=["dog", "owl"])),
            r"1 target label not in the vocabulary \(owl\)",
        ),
        (dict(format=LabelSets(), train=small(label=["a b", "c", "c", "c"])), "1 label with blanks"),
        (
            dict(test=TEST, solution=pd.DataFrame({"id": list("543721"), "label": "dog"})),
            r"4 rows of the solution that .* \(3, 4, 5, ...\)",
        ),
        (dict(test=TEST, solution=pd.DataFrame({"id": ["1"]})), "the solution table lacks the column 'label'"),
        (dict(train=small(id=["1", "2", "3", "3"])), r"1 training row with an id that is there already \(3\)"),
    ],
)
def test_labels_metric_format_and_answers_must_go_together(kwargs, what):
    refused(what, **kwargs)


def test_a_training_table_s_own_ids_matter_only_where_they_are_answered():
    assert Competition("pets", ".", small(id="x"), test=TEST).expected_rows().tolist() == ["1", "2"]
