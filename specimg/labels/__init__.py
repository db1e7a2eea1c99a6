"""Labels: which recording carries which label, who belongs together, what was corrected.

A table is a DataFrame with one row a recording, or a row for each window of it; `tables` makes and matches them, `sheets` reads cells
of csv files, `classes` counts labels, `folds` splits, `corrections` applies what a person corrected. Everything is joined by name, never by order.
"""

from .classes import check_labels, class_counts, class_weights, label_lists, sample_weights
from .corrections import apply_corrections, read_corrections, write_corrections
from .folds import add_folds, split_valid
from .tables import (
    KEY,
    Match,
    clip_index,
    clip_spans,
    is_multilabel,
    labels_from_csv,
    labels_from_folders,
    labels_from_names,
    match_files,
)

__all__ = [
    "KEY",
    "Match",
    "add_folds",
    "apply_corrections",
    "check_labels",
    "class_counts",
    "class_weights",
    "clip_index",
    "clip_spans",
    "is_multilabel",
    "label_lists",
    "labels_from_csv",
    "labels_from_folders",
    "labels_from_names",
    "match_files",
    "read_corrections",
    "sample_weights",
    "split_valid",
    "write_corrections",
]
