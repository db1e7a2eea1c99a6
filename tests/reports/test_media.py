"""In which order clips come."""

import numpy as np
import pandas as pd

from specimg.reports.media import review_order


def test_the_worst_come_first_and_unknown_labels_last():
    table = pd.DataFrame(
        {
            "loss": [0.1, np.nan, 2.0, np.nan, np.nan],
            "right": pd.array([True, False, False, pd.NA, pd.NA], "boolean"),
            "confidence": [0.9, np.nan, 0.8, 0.9, 0.4],
        }
    )
    assert review_order(table).tolist() == [1, 2, 0, 4, 3]
