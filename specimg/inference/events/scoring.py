"""How well found events agree with annotated ones: precision, recall and F1 of events.

    scores = event_scores(annotated, merge_events(windows, 0.7), collar=1.0)     # a row a label: true, found, right, precision, recall, f1
    scores["f1"].mean()                                                          # macro F1

The definition is that of sed_eval [1]_ (event-based, optimal matching), whose numbers it gives; sed_eval itself needs dcase_util and seven
packages more, and psds_eval 0.5.3 does not run with pandas 3.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_bipartite_matching


def _matches(true: np.ndarray, found: np.ndarray, collar: float, share: float | None) -> int:
    """How many of the spans `(n, 2)` find a partner, where each has one at most."""
    if not len(true) or not len(found):
        return 0
    fits = np.abs(true[:, None, 0] - found[None, :, 0]) <= collar + 1e-9
    if share is not None:
        allowed = np.maximum(collar, share * (true[:, 1] - true[:, 0]))
        fits &= np.abs(true[:, None, 1] - found[None, :, 1]) <= allowed[:, None] + 1e-9
    return int((maximum_bipartite_matching(csr_array(fits), perm_type="column") >= 0).sum())


def _share(right: pd.Series, of: pd.Series) -> pd.Series:
    return (right / of.where(of > 0)).astype(float)


def event_scores(
    true: pd.DataFrame, found: pd.DataFrame, collar: float = 0.2, offset_share: float | None = None
) -> pd.DataFrame:
    """Precision, recall and F1 of events, label by label.

    A found event is right if it is of the same recording and label as an annotated one and begins within `collar` of it; each annotated event counts
    once, in the matching that finds most.

    Parameters
    ----------
    true : DataFrame
        Annotated events: path, start, end (s), label.
    found : DataFrame
        What `merge_events` returns, or any table with these columns.
    collar : float, default 0.2
        Seconds that an onset may be early or late, above 0.
    offset_share : float, default None
        Ends count too, and may be wrong by this share of the annotated length, or by `collar`, if that is more; sed_eval's default is 0.5. None: only
        onsets count.

    Returns
    -------
    DataFrame
        A row for each label of either table, in order: label; true, found and right, numbers of events; precision, recall and f1, 0 to 1, nan where
        there is nothing to divide by. The mean of `f1` over the labels with annotated events is the macro F1, `2 * right / (true + found)` of the
        sums the micro F1.

    Raises
    ------
    ValueError
        A column is missing, or the collar is not above 0.

    References
    ----------
    .. [1] Mesaros, Heittola, Virtanen (2016), "Metrics for polyphonic sound event detection", Applied Sciences 6(6):162; sed_eval 0.2.1.

    Examples
    --------
    >>> from specimg.inference.events import event_scores
    >>> true = pd.DataFrame({"path": "night.wav", "start": [1.0, 5.0], "end": [2.0, 6.0], "label": "owl"})
    >>> found = pd.DataFrame({"path": "night.wav", "start": [1.1, 9.0], "end": [2.0, 9.5], "label": "owl"})
    >>> event_scores(true, found)[["true", "found", "right", "f1"]].values.tolist()
    [[2.0, 2.0, 1.0, 0.5]]
    """
    for name, table in {"true": true, "found": found}.items():
        missing = [column for column in ("path", "start", "end", "label") if column not in table]
        if missing:
            raise ValueError(f"the table {name} lacks the column {missing[0]!r}; give path, start, end and label")
    if not collar > 0:
        raise ValueError(f"collar={collar!r}; give seconds, above 0")
    labels = sorted({*true["label"], *found["label"]})
    counts = {label: [0, 0, 0] for label in labels}
    spans = [
        {key: part[["start", "end"]].to_numpy(float) for key, part in table.groupby(["path", "label"], sort=False)}
        for table in (true, found)
    ]
    for key in {*spans[0], *spans[1]}:
        ours, theirs = (part.get(key, np.empty((0, 2))) for part in spans)
        for i, n in enumerate((len(ours), len(theirs), _matches(ours, theirs, collar, offset_share))):
            counts[key[1]][i] += n
    table = pd.DataFrame([(label, *counts[label]) for label in labels], columns=["label", "true", "found", "right"])
    return table.assign(
        precision=_share(table["right"], table["found"]),
        recall=_share(table["right"], table["true"]),
        f1=_share(2 * table["right"], table["true"] + table["found"]),
    )
