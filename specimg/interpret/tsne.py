"""Which clips look alike to a network: a map of all of them by t-SNE, and the nearest neighbours of one.

Both read features that `Predictions` keep: the embeddings, the probabilities, or a layer by its name.

>>> places(p, "embeddings")[["x", "y", "class"]].head(2)              # doctest: +SKIP
>>> nearest(p, "dog_17.wav", k=3)[["distance", "path", "target"]]     # doctest: +SKIP
"""

from __future__ import annotations

import difflib
import importlib.util
import numbers
import os

import numpy as np
import pandas as pd
from sklearn.manifold import TSNE

from ..core.text import count, examples
from ..core.warnings import warn
from ..training import Predictions
from .plots import first

__all__ = ["MANY", "find_row", "nearest", "places"]

MANY = 3000  # clips beyond which scikit-learn's t-SNE takes minutes


# ---------------------------------------------------------------------- t-SNE


def _checked(p: Predictions, on: str, perplexity: float) -> np.ndarray:
    """(n, features) that a map can be made of, or a ValueError."""
    x, n = p.features(on), len(p)
    if n < 4:
        raise ValueError(
            f"t-SNE needs at least 4 clips and there {'is' if n == 1 else 'are'} {n}; "
            "read `table` instead, or predict more clips"
        )
    if perplexity <= 0:
        raise ValueError(f"perplexity={perplexity:g}: give a number above 0, about how many neighbours a clip has")
    bad = (~np.isfinite(x)).any(axis=1).sum()
    if bad:
        raise ValueError(
            f"the {on} of {count(bad, 'clip')} hold NaN or inf: the network diverged; "
            "leave them out with predictions.subset(mask), or train with a lower rate"
        )
    return np.pad(x, ((0, 0), (0, max(0, 2 - x.shape[1]))))  # the plane needs two features


def _embed(x: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, str]:
    """(n, 2) and the name of the library that found them: openTSNE where there are many clips, if it is installed."""
    init = "pca" if np.ptp(x, axis=0).any() else "random"  # principal components of equal rows do not exist
    if len(x) > MANY and importlib.util.find_spec("openTSNE"):
        import openTSNE

        by = openTSNE.TSNE(
            perplexity=perplexity, initialization=init, random_state=seed, n_jobs=1
        )  # one thread: the same map everywhere
        return np.asarray(by.fit(x)), "openTSNE"
    if len(x) > MANY:
        warn(
            f"scikit-learn takes minutes for the t-SNE of {len(x):,} clips; openTSNE is made for that many (pip install 'specimg[tsne]'), "
            "or draw a part of them: predictions.subset(mask)"
        )
    return TSNE(perplexity=perplexity, init=init, learning_rate="auto", random_state=seed).fit_transform(
        x
    ), "scikit-learn"


def places(p: Predictions, on: str = "embeddings", perplexity: float = 30, seed: int = 0) -> pd.DataFrame:
    """Where t-SNE (van der Maaten and Hinton 2008) puts each clip: columns x, y, class, right, path, picture.

    `class` is the target, or the prediction where no target is known; the first of several. The perplexity is lowered to
    (clips - 1) / 3 where that is less; `attrs["perplexity"]` is the one used, `attrs["by"]` the library.
    """
    x = _checked(p, on, perplexity)
    used = min(perplexity, (len(p) - 1) / 3)
    xy, library = _embed(x, used, seed)
    labels = p.table["target"].where(p.labelled, p.table["prediction"])
    found = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": [first(label) for label in labels]})
    found = pd.concat([found, p.table[["right", "path", "picture"]]], axis=1)
    found.attrs = {"perplexity": used, "by": library}
    return found


# ---------------------------------------------------------------------- neighbours


def find_row(p: Predictions, path_or_row: str | os.PathLike | int) -> int:
    """The number of a clip's row: given itself, or by the clip's path or the end of it that no other clip has.

    Raises ValueError where there is no such clip, naming near ones, or more than one.
    """
    if isinstance(path_or_row, numbers.Integral):
        row = int(path_or_row)
        if not 0 <= row < len(p):
            raise ValueError(f"row {row} is not there: {count(len(p), 'clip')} have the rows 0 to {len(p) - 1}")
        return row
    asked, paths = os.fspath(path_or_row), p.table["path"]
    found = np.flatnonzero(paths == asked)
    if not len(found):
        found = np.flatnonzero(paths.str.endswith(f"/{asked}") | paths.str.endswith(f"{os.sep}{asked}"))
    if not len(found):
        near = difflib.get_close_matches(
            asked, paths.tolist() if os.sep in asked else [os.path.basename(path) for path in paths], 3, 0.5
        )
        hint = (
            f"did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?"
            if near
            else f"they are called {examples(paths)}"
        )
        raise ValueError(f"none of the {count(len(p), 'clip')} is {asked!r}; {hint}")
    if len(found) > 1:
        way_out = (
            "give the row" if paths[found].nunique() == 1 else "give the whole path, or the row"
        )  # windows share a path
        raise ValueError(f"{len(found)} clips are called {asked!r} (rows {examples(found, 5)}); {way_out}")
    return int(found[0])


def nearest(p: Predictions, path_or_row: str | os.PathLike | int, k: int = 8, on: str = "embeddings") -> pd.DataFrame:
    """The k other clips most alike to one, as rows of the table with `distance` before them, the nearest first.

    distance : 1 minus the cosine of the angle between two clips' features: 0 for the same direction, 1 for nothing in common

    Raises ValueError for an unknown clip, k below 1, and features of this clip that are NaN or all 0. Other such clips are left out.
    """
    if k < 1:
        raise ValueError(f"k={k}: give at least 1 neighbour")
    row, x = find_row(p, path_or_row), p.features(on).astype(float)
    lengths = np.linalg.norm(x, axis=1)
    usable = np.isfinite(lengths) & (lengths > 0)
    if not usable[row]:
        what = "all 0" if lengths[row] == 0 else "NaN or inf"
        raise ValueError(
            f"the {on} of {p.table.at[row, 'path']!r} are {what}: they have no direction, and so no neighbours"
        )
    others = np.flatnonzero(usable & (np.arange(len(p)) != row))
    distance = np.clip(1 - x[others] @ x[row] / (lengths[others] * lengths[row]), 0, 2)
    order = np.argsort(distance, kind="stable")[:k]
    found = p.table.iloc[others[order]].copy()
    found.insert(0, "distance", distance[order])
    return found
