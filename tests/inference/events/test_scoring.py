"""Found events against annotated ones, with sed_eval's definition."""

import numpy as np
import pandas as pd
import pytest

from specimg.inference.events import event_scores


def events(*rows):
    return pd.DataFrame(rows, columns=["path", "start", "end", "label"])


def counts(scores):
    return scores.set_index("label")[["true", "found", "right"]].T.to_dict("list")


def test_an_event_is_right_by_recording_label_and_onset():
    true = events(("a", 1, 2, "owl"), ("a", 5, 6, "owl"), ("b", 1, 2, "owl"), ("a", 1, 2, "fox"))
    found = events(("a", 1.2, 9, "owl"), ("b", 5, 6, "owl"), ("a", 5.21, 6, "owl"), ("a", 1, 2, "wren"))
    assert counts(event_scores(true, found)) == {"fox": [1, 0, 0], "owl": [3, 3, 1], "wren": [0, 1, 0]}


def test_each_event_counts_once_in_the_best_matching():
    true = events(("a", 1.0, 2, "owl"), ("a", 1.3, 2, "owl"))
    found = events(("a", 1.15, 2, "owl"), ("a", 0.9, 2, "owl"), ("a", 0.95, 2, "owl"))
    assert counts(event_scores(true, found)) == {"owl": [2, 3, 2]}  # greedily, 1.15 could take 1.0 and leave 1.3 alone


def test_ends_count_on_request():
    true = events(("a", 0, 4, "owl"), ("a", 10, 10.2, "owl"))
    found = events(("a", 0, 6, "owl"), ("a", 10, 10.39, "owl"))
    assert counts(event_scores(true, found, offset_share=0.5))["owl"][2] == 2  # half of 4 s; the collar of 0.2 s
    assert counts(event_scores(true, found, offset_share=0.4))["owl"][2] == 1


def test_scores_are_nan_where_there_is_nothing():
    row = event_scores(events(("a", 1, 2, "owl")), events()).iloc[0]
    assert row["recall"] == 0 and np.isnan(row["precision"]) and row["f1"] == 0
    assert len(event_scores(events(), events())) == 0


def test_what_is_missing_is_said():
    with pytest.raises(ValueError, match="the table found lacks the column 'end'"):
        event_scores(events(), events().drop(columns="end"))
    with pytest.raises(ValueError, match="collar=0; give seconds, above 0"):
        event_scores(events(), events(), collar=0)
