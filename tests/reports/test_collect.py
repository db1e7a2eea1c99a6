"""The data of a page as JSON."""

import numpy as np
import pandas as pd

from specimg.reports.collect import group_columns, plain


def test_numbers_become_plain():
    assert plain(
        {"a": np.float32(1.23456), "b": [np.nan, np.inf, np.int64(3), pd.NA, None, np.bool_(True), "x"]}, 2
    ) == {"a": 1.23, "b": [None, None, 3, None, None, True, "x"]}


def test_columns_with_a_few_values_group_clips():
    table = pd.DataFrame(
        {
            "path": list("abcdef"),
            "speaker": list("xxyyzz"),
            "site": "one",
            "take": range(6),
            "fold": [0, 1] * 3,
            "lists": [[1]] * 6,
            "verified": [True, None, False, True, True, False],
            "loss": [1, 1, 2, 2, 3, 3],
        }
    )
    assert group_columns(table) == ["speaker", "fold", "verified"]
