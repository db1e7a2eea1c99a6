"""Label tables: which recording carries which label, which rows train and which validate, what was corrected.

A table is a DataFrame with one row per recording, or per window of a recording. `tables` makes and joins them, `audiofolder` reads data
sets of Hugging Face, `sheets` and `csv_text` read csv files, `split_folders` folders of training and validation, `classes` counts labels, `folds` assigns folds, `corrections` applies corrected labels, `annotations` reads labelled spans of long
recordings and makes windows of them. Tables are joined by name, never by order.
"""

from .annotations import label_windows, list_annotation_formats, read_annotations
from .audiofolder import labels_from_audiofolder
from .classes import Balance, class_counts, class_weights, sample_weights
from .corrections import apply_corrections, read_corrections, write_corrections
from .folds import add_folds, split_valid
from .tables import clip_index, is_multilabel, labels_from_csv, labels_from_folders, labels_from_names

__all__ = [
    "Balance",
    "add_folds",
    "apply_corrections",
    "class_counts",
    "class_weights",
    "clip_index",
    "is_multilabel",
    "label_windows",
    "labels_from_audiofolder",
    "labels_from_csv",
    "labels_from_folders",
    "labels_from_names",
    "list_annotation_formats",
    "read_annotations",
    "read_corrections",
    "sample_weights",
    "split_valid",
    "write_corrections",
]
