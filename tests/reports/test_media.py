"""Where recordings are, and in which order clips come."""

import numpy as np
import pandas as pd
import pytest

from specimg.reports.media import find_recording, review_order


def test_no_name_of_a_table_leads_out_of_the_folder(tmp_path, write_wav, sine):
    there = write_wav(tmp_path / "in" / "a.wav", sine(400))
    write_wav(tmp_path / "secret.wav", sine(400))
    assert find_recording("a.wav", tmp_path / "in") == there
    assert find_recording(str(there), None) == there
    assert find_recording("/gone/from/here/a.wav", tmp_path / "in") == there
    for path, folder, words in [
        ("../secret.wav", tmp_path / "in", "leads out"),
        ("a.wav", None, "folder of the recordings is not known"),
        ("b.wav", tmp_path / "in", "not where it was"),
        ("/gone/b.wav", tmp_path / "in", "not where it was"),
    ]:
        with pytest.raises(ValueError, match=words):
            find_recording(path, folder)


def test_the_worst_come_first_and_unknown_labels_last():
    table = pd.DataFrame(
        {
            "loss": [0.1, np.nan, 2.0, np.nan, np.nan],
            "right": pd.array([True, False, False, pd.NA, pd.NA], "boolean"),
            "confidence": [0.9, np.nan, 0.8, 0.9, 0.4],
        }
    )
    assert review_order(table).tolist() == [1, 2, 0, 4, 3]
