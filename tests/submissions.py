"""Formats, labels and rows of submissions."""

import numpy as np
import pandas as pd

from specimg.competitions import BestLabels, ClassColumns, Decisions, LabelSets

VOCAB = ["bark", "meow", "siren"]


PROBS = np.array([[0.2, 0.5, 0.3], [0.8, 0.1, 0.1], [0.0, 0.0, 1.0]])


ROWS = pd.DataFrame({"id": ["a.wav", "b.wav", "c.wav"], "target_label": ["meow", "meow", "siren"]})


FORMATS = [
    BestLabels(),
    BestLabels(k=2),
    BestLabels(k=3, id_col="file", label_col="species"),
    LabelSets(),
    LabelSets(threshold=0.15, nothing="silence"),
    ClassColumns(),
    ClassColumns(id_col="row_id"),
    Decisions(),
    Decisions(threshold=0.9),
]


def sample_of(fmt, rows=ROWS, vocab=VOCAB):
    """A sample submission: every answer the same."""
    return fmt.to_submission(rows, np.tile(PROBS[:1], (len(rows), 1)), vocab)


def as_rows(table):
    return [list(table), *table.to_numpy(object).tolist()]
