"""Which clips are similar to a network: a t-SNE map of all, and the nearest neighbours of one.

Both use features that `Predictions` hold: the embeddings, the probabilities, or a layer by its name. `SpecInterpretation.tsne` and
`SpecInterpretation.nearest` describe parameters and columns.

>>> from specimg.interpret.tsne import find_row
>>> find_row(interp.predictions, 0)
0
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
from .plots.style import first

MANY = 3000  # clips beyond which scikit-learn's t-SNE takes minutes


# ---------------------------------------------------------------------- t-SNE


def _checked(p: Predictions, on: str, perplexity: float) -> np.ndarray:
    """Features (n, at least 2) that t-SNE can embed; else a ValueError."""
    x, n = p.features(on), len(p)
    if n < 4:
        raise ValueError(
            f"t-SNE needs at least 4 clips and there {'is' if n == 1 else 'are'} {n}; "
            "read `table` instead, or predict more clips"
        )
    if perplexity <= 0:
        raise ValueError(f"perplexity={perplexity:g}: give a number above 0, roughly how many neighbours a clip has")
    bad = (~np.isfinite(x)).any(axis=1).sum()
    if bad:
        raise ValueError(
            f"the {on} of {count(bad, 'clip')} hold NaN or inf: the network diverged; "
            "leave them out with predictions.subset(mask), or train with a lower learning rate"
        )
    return np.pad(x, ((0, 0), (0, max(0, 2 - x.shape[1]))))  # the initialisation needs two features


def _embed(x: np.ndarray, perplexity: float, seed: int) -> tuple[np.ndarray, str]:
    """Coordinates (n, 2) and the library that computed them: openTSNE for more than MANY clips if it is installed."""
    init = "pca" if np.ptp(x, axis=0).any() else "random"  # equal rows have no principal components
    if len(x) > MANY and importlib.util.find_spec("openTSNE"):
        import openTSNE

        # with one thread it is reproducible
        by = openTSNE.TSNE(perplexity=perplexity, initialization=init, random_state=seed, n_jobs=1)
        return np.asarray(by.fit(x)), "openTSNE"
    if len(x) > MANY:
        warn(
            f"scikit-learn takes minutes for the t-SNE of {len(x):,} clips; openTSNE is made for that many (pip install 'specimg[tsne]'), "
            "or embed a part of them: predictions.subset(mask)"
        )
    return TSNE(perplexity=perplexity, init=init, learning_rate="auto", random_state=seed).fit_transform(
        x
    ), "scikit-learn"


def coordinates(p: Predictions, on: str = "embeddings", perplexity: float = 30, seed: int = 0) -> pd.DataFrame:
    """t-SNE coordinates of each clip: x, y, class, right, path, picture; see `SpecInterpretation.tsne`. `attrs["by"]` is the library."""
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
    """The row of a clip, given as such, or as the clip's path or a unique end of it.

    ValueError if no clip has it, naming similar ones, or several have.
    """
    if isinstance(path_or_row, numbers.Integral):
        row = int(path_or_row)
        if not 0 <= row < len(p):
            raise ValueError(f"row {row} is not there: {count(len(p), 'clip')} have the rows 0 to {len(p) - 1}")
        return row
    wanted, paths = os.fspath(path_or_row), p.table["path"]
    found = np.flatnonzero(paths == wanted)
    if not len(found):
        found = np.flatnonzero(paths.str.endswith(f"/{wanted}") | paths.str.endswith(f"{os.sep}{wanted}"))
    if not len(found):
        near = difflib.get_close_matches(
            wanted, paths.tolist() if os.sep in wanted else [os.path.basename(path) for path in paths], 3, 0.5
        )
        hint = f"did you mean {' or '.join(map(repr, dict.fromkeys(near)))}?"
        hint = hint if near else f"they are called {examples(paths)}"
        raise ValueError(f"none of the {count(len(p), 'clip')} is {wanted!r}; {hint}")
    if len(found) > 1:
        is_one = paths[found].nunique() == 1  # windows share a path
        way_out = "give the row" if is_one else "give the whole path, or the row"
        raise ValueError(f"{len(found)} clips are called {wanted!r} (rows {examples(found, 5)}); {way_out}")
    return int(found[0])


def nearest_to(p: Predictions, x: np.ndarray, name: str, k: int, on: str, row: int | None = None) -> pd.DataFrame:
    """The `k` clips nearest to the features `x` of something called `name` by cosine distance; `row` is the clip that it is itself."""
    if k < 1:
        raise ValueError(f"k={k}: give at least 1 neighbour")
    features, x = p.features(on).astype(float), np.asarray(x, float)
    lengths, length = np.linalg.norm(features, axis=1), np.linalg.norm(x)
    if not np.isfinite(length) or length == 0:
        what = "all 0" if length == 0 else "NaN or inf"
        raise ValueError(f"the {on} of {name!r} are {what}: cosine distance is not defined for them")
    usable = np.isfinite(lengths) & (lengths > 0)
    others = np.flatnonzero(usable & (np.arange(len(p)) != row))
    distance = np.clip(1 - features[others] @ x / (lengths[others] * length), 0, 2)
    order = np.argsort(distance, kind="stable")[:k]
    found = p.table.iloc[others[order]].copy()
    found.insert(0, "distance", distance[order])
    return found


def nearest(p: Predictions, path_or_row: str | os.PathLike | int, k: int = 8, on: str = "embeddings") -> pd.DataFrame:
    """The `k` other clips nearest to one by cosine distance; see `SpecInterpretation.nearest`."""
    row = find_row(p, path_or_row)
    return nearest_to(p, p.features(on)[row], p.table.at[row, "path"], k, on, row)
