"""The data of a page as one dictionary for JSON: no NaN, no numpy, rounded.

    page = collect(subject, media, order, title="Digits", review=None)
    page["clips"]["loss"][:3]           # clips in the order of `review_order`
    page["report"][0]                   # {"label": "three", "precision": 0.91, "recall": 0.88, "f1": 0.9, "support": 50}

What counts clips (the confusion matrix, its pairs, filters) the page computes from the clips, so that a number and the clips behind it
cannot disagree; everything else comes from `interpret`.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import time

import numpy as np
import pandas as pd

from .. import __version__
from ..interpret import statistics
from ..interpret.tsne import coordinates
from ..labels.tables import clip_spans
from ..training import Predictions
from .media import Media
from .subject import Subject

CHUNK = 32  # clips per block of media
SECTIONS = ("Data", "Picture", "Network", "Training", "Versions")  # of the facts, in this order
TOP = 3  # labels of a clip with their probability
MOST_GROUPS = 200  # values of a column to filter by
MOST_ON_MAP = 3000  # clips; t-SNE of more takes minutes
_OWN = frozenset("path picture start end target prediction loss confidence right weight scored variant".split())


def plain(part, digits: int | None = None):
    """`part` for JSON: NaN and infinity become None, numpy's numbers Python's, rounded to `digits` decimals."""
    if isinstance(part, dict):
        return {str(name): plain(value, digits) for name, value in part.items()}
    if isinstance(part, (list, tuple, np.ndarray, pd.Series)):
        return [plain(value, digits) for value in part]
    if part is None or part is pd.NA:
        return None
    if isinstance(part, (bool, np.bool_)):
        return bool(part)
    if isinstance(part, numbers.Integral):
        return int(part)
    if isinstance(part, numbers.Real):
        number = float(part)
        return (number if digits is None else round(number, digits)) if math.isfinite(number) else None
    return str(part)


# ---------------------------------------------------------------------- clips


def _cells(hot: np.ndarray, known: np.ndarray, is_multi: bool) -> list:
    """For each clip the number of its label, or a list of numbers; None if unknown."""
    labels = [np.flatnonzero(row).tolist() for row in hot]
    return [None if not ok else row if is_multi else row[0] for row, ok in zip(labels, known)]


def group_columns(table: pd.DataFrame) -> list[str]:
    """Columns that group clips, such as speaker or fold: those with more than one value, but not too many."""
    found = []
    for name in table.columns:
        if name in _OWN or str(name).startswith("p_") or any(isinstance(cell, (list, dict)) for cell in table[name]):
            continue
        values = table[name].dropna().map(str).nunique()
        if 1 < values <= min(MOST_GROUPS, max(2, len(table) // 2)):
            found.append(name)
    return found


def _groups(table: pd.DataFrame) -> list[dict]:
    groups = []
    for name in group_columns(table):
        cells = table[name].astype(object).where(table[name].notna(), statistics.UNKNOWN)
        distinct = cells.unique().tolist()
        values = dict.fromkeys(str(distinct[i]) for i in statistics.in_order(distinct))
        number = {value: k for k, value in enumerate(values)}
        of = [number[str(cell)] for cell in cells]
        groups.append({"name": str(name), "values": list(number), "of": of})
    return groups


def _clips(p: Predictions, order: np.ndarray, media: Media) -> dict:
    """The table of clips, column by column."""
    p = p.subset(order)
    table, keys = p.table, clip_spans(p.table)
    known = statistics.is_known(p)
    own = np.where(p.labelled, (p.probs * p.hot).max(axis=1, initial=0), np.nan) if len(p) else np.zeros(0)
    best = np.argsort(-p.probs, axis=1)[:, :TOP]
    top = [[[int(k), round(float(row[k]), 3)] for k in ks] if ok else None for row, ks, ok in zip(p.probs, best, known)]
    right = [None if pd.isna(cell) else int(cell) for cell in table["right"]]
    return {
        "n": len(p),
        "path": [key[0] for key in keys],
        "start": plain([key[1] for key in keys], 6),
        "end": plain([key[2] for key in keys], 6),
        "target": _cells(p.hot, p.labelled, p.is_multi),
        "guess": _cells(p.chosen, known, p.is_multi),
        "top": top,
        "own": plain(own, 4),
        "loss": plain(table["loss"].to_numpy(float), 4),
        "confidence": plain(table["confidence"].to_numpy(float), 4),
        "right": right,
        **{name: plain(column, 4) for name, column in media.columns.items()},
    }


# ---------------------------------------------------------------------- tables


def _report(p: Predictions) -> tuple[list[dict], list[dict]]:
    """(a row per class, the averages)."""
    if not p.labelled.any():
        return [], []
    found = statistics.classification_report(p).rename(columns={"f1-score": "f1"})
    rows = [{"label": str(label), **plain(row, 4)} for label, row in zip(found.index, found.to_dict("records"))]
    n = len(p.vocab)
    return rows[:n], rows[n:]


def _breakdown(p: Predictions, groups: list[dict]) -> list[dict]:
    """For each grouping column a row per group: clips, share of correct ones with its interval."""
    if not p.labelled.any():
        return []
    found = []
    for group in groups:
        rows = statistics.by_group(p, group["name"]).rename(columns={"accuracy": "rate"}).drop(columns="loss")
        listed = [{"value": str(value), **row} for value, row in zip(rows.index, rows.to_dict("records"))]
        found.append({"name": group["name"], "rows": plain(listed, 4)})
    return found


def _class_order(p: Predictions) -> list[int] | None:
    """An order of the classes in which those often confused are neighbours."""
    if p.is_multi or len(p.vocab) < 4 or not p.labelled.any():
        return None
    return statistics.cluster_order(statistics.confusion_matrix(p).to_numpy()).tolist()


def _map(p: Predictions, order: np.ndarray) -> dict:
    """t-SNE coordinates of the clips; or why there are none."""
    p = p.subset(order)
    chosen = np.sort(np.random.default_rng(0).permutation(len(p))[:MOST_ON_MAP])
    on = "probabilities" if p.embeddings is None else "embeddings"
    try:
        found = coordinates(p.subset(chosen), on)
    except ValueError as exc:
        return {"why": str(exc)}
    return {
        "on": on,
        "perplexity": plain(found.attrs["perplexity"], 1),
        "x": plain(found["x"], 2),
        "y": plain(found["y"], 2),
        "clips": chosen.tolist(),
        "left_out": len(p) - len(chosen),
    }


# ---------------------------------------------------------------------- the page


def _digest(clips: dict, vocab: list[str]) -> str:
    """Identifies the page's clips, so that choices stored in the browser belong to one page."""
    text = repr([clips["path"], clips["start"], clips["end"], clips["target"], vocab])
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def collect(
    subject: Subject, media: Media, order: np.ndarray, *, title: str, review: dict | None, whole: bool = True
) -> dict:
    """The dictionary that the page's JavaScript reads.

    Parameters
    ----------
    subject : Subject
        What the page is about.
    media : Media
        Media of the clips in this order.
    order : ndarray
        (n,) int, rows of the predictions as the page lists them.
    title : str
        Title of the page.
    review : dict or None
        As `read_issues` returns it.
    whole : bool, default True
        False for a page of label review only.

    Returns
    -------
    dict
    """
    p = subject.predictions
    clips = _clips(p, order, media)
    groups = _groups(p.table.iloc[order].reset_index(drop=True))
    report, averages = _report(p) if whole else ([], [])
    facts = {section: subject.facts[section] for section in SECTIONS if subject.facts.get(section)}
    return {
        "title": title,
        "kind": "report" if whole else "review",
        "id": _digest(clips, p.vocab),
        "version": __version__,
        "made": time.strftime("%Y-%m-%d %H:%M"),
        "chunk": CHUNK,
        "vocab": p.vocab,
        "multi": p.is_multi,
        "clips": clips,
        "groups": groups,
        "axes": media.axes,
        "reasons": media.reasons,
        "media": media.summary,
        "notes": subject.notes,
        "review": review,
        "some_loss": any(loss is not None for loss in clips["loss"]),
        "scores": plain(subject.scores, 6),
        "facts": [[section, list(map(list, rows.items()))] for section, rows in facts.items()],
        "networks": plain(subject.networks, 6) if whole else [],
        "report": report,
        "averages": averages,
        "breakdown": _breakdown(p, groups) if whole else [],
        "order": _class_order(p) if whole else None,
        "map": _map(p, order) if whole and len(p) else None,
    }
