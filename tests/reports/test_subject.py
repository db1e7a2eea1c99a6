"""What a page is about, in words."""

import pandas as pd

from specimg import Mel
from specimg.reports.subject import data_digest, in_words


def test_values_are_told_in_words():
    assert in_words(Mel(n_mels=64)).startswith("mel: n_mels 64, n_fft 2048, hop_length 512")
    assert in_words({"size": [64, 96], "bs": 8, "none": None}) == "size 64 x 96, bs 8"


def test_the_digest_of_data_knows_labels_and_sides_but_no_order():
    clips = pd.DataFrame({"path": ["a", "b"], "label": ["x", ["y", "z"]], "is_valid": [True, False]})
    assert data_digest(clips) == data_digest(clips.iloc[::-1])
    assert (
        len(
            {data_digest(clips), data_digest(clips.assign(label=["x", "y"])), data_digest(clips.assign(is_valid=False))}
        )
        == 3
    )
