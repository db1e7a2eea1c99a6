"""A linear probe compares kinds of pictures in minutes: it trains only logistic regression, on features of a frozen network.

    probe = linear_probe(comp, {"mel": Renderer(Mel()), "stft": Renderer(Stft())}, "resnet34", loaders=dict(size=128))
    print(probe)                          # score of each picture, and its difference to the first
    probe.results["mel"].oof              # the out-of-fold predictions

A frozen network computes features of every clip once. Their means over the picture are standardised and given to logistic regression, fold
by fold, so that every clip is predicted by a model that was not fitted to it. Fine-tuning may change the order: over eight pictures
the rank correlation of the two was 0.45 on drums and 0.43 on spoken digits (benchmarks/transfer.py), so a probe rules out rather than chooses. With random weights (`pretrained=False`, and all networks of `list_nets()`) the order is a weak hint.
"""

from __future__ import annotations

import functools
import os
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from torch import nn

from ..competitions import Competition
from ..core.progress import line_logger
from ..core.text import align_columns, cell, count
from ..data import SpecDataLoaders
from ..data.images import FitSize
from ..data.tta import TTA, TTAFit, fit_with_tta
from ..labels.tables import KEY
from ..metrics import get_metric
from ..models.networks import check_weights
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..training import Predictions
from ..training.learner import spec_learner
from .candidates import name_renderers
from .config import RunConfig
from .drawing import draw_clips, join_pictures, milliseconds_per_picture, over_pictures
from .held_out import assign_folds, fold_numbers, split_fold
from .run import CompetitionPredictions
from .significance import Difference, paired_difference
from .task import Task, metric_value, scored_mask

_STEPS = 1000  # of the solver at most


# ---------------------------------------------------------------------- the frozen network


def _frozen_network(
    clips: pd.DataFrame, tree: SpecTree, task: Task, config: RunConfig, seed: int
) -> tuple[nn.Module, TTAFit, str]:
    """(network, transform that fits pictures to it, where its weights come from)."""
    known = clips[[name for name in (*KEY, "label") if name in clips]].assign(
        is_valid=clips["fold"] == fold_numbers(clips)[0]
    )
    # only size and channels are taken from the loaders; nothing trains, so batches may be of any size
    options = {**config.loading, "bs": 2, "num_workers": 0, "augment": None, "balance": False, "variants": ()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dls = SpecDataLoaders.from_tree(tree, known, path=tree.root, vocab=list(task.vocab), **options)
    learn = spec_learner(dls, config.arch, seed=seed, **config.learner)
    fit = next(step for step in dls.valid.after_item.fs if isinstance(step, FitSize))
    return learn.model.eval(), fit_with_tta(fit, TTA()), learn.weights_from


def _embeddings(network: nn.Module, files: Sequence[str], fit: TTAFit, **options) -> np.ndarray:
    """float32 `(pictures, features)`. ValueError if they are not finite."""
    found = over_pictures(network.features, network, files, fit, **options)
    invalid = ~np.isfinite(found).all(axis=1)
    if invalid.any():
        raise ValueError(
            f"the network gives numbers that are not finite for {count(int(invalid.sum()), 'picture')}; "
            "use pretrained weights, or another architecture"
        )
    return found


# ---------------------------------------------------------------------- the linear model


def _hot(labels: pd.Series, vocab: tuple[str, ...]) -> np.ndarray:
    """(clips, classes) bool."""
    number = {label: i for i, label in enumerate(vocab)}
    hot = np.zeros((len(labels), len(vocab)), bool)
    for row, several in enumerate(labels):
        hot[row, [number[str(label)] for label in ([several] if isinstance(several, str) else several)]] = True
    return hot


def fit_and_predict(
    x: np.ndarray, hot: np.ndarray, weight: np.ndarray | None, held_out: np.ndarray, is_multi: bool, C: float
) -> np.ndarray:
    """(held-out clips, classes): probabilities by logistic regression on the standardised features of the other clips.

    Where clips may have several labels each label is a binary problem. A label that all training clips have, or none, gets that share.

    Parameters
    ----------
    x, hot, weight : of training: `(clips, features)`, `(clips, classes)` bool, `(clips,)`
    C : inverse strength of the regularisation
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    x, held_out = scaler.transform(x), scaler.transform(held_out)

    def fitted(y):
        return LogisticRegression(C=C, max_iter=_STEPS).fit(x, y, sample_weight=weight)

    probs = np.zeros((len(held_out), hot.shape[1]))
    if not is_multi:
        y = hot.argmax(axis=1)
        if len(set(y)) == 1:
            probs[:, y[0]] = 1
            return probs
        model = fitted(y)
        probs[:, model.classes_] = model.predict_proba(held_out)
        return probs
    for label, y in enumerate(hot.T):
        probs[:, label] = fitted(y).predict_proba(held_out)[:, 1] if 0 < y.sum() < len(y) else y.mean()
    return probs


# ---------------------------------------------------------------------- what was found


class ProbeResult(CompetitionPredictions):
    """Out-of-fold predictions of the linear model for one kind of picture; `predictions` hold the embeddings too.

    weights_from : a sentence on the network's weights
    ms_picture : milliseconds to draw a clip, in one process; seconds : duration of the probe, drawing included
    """

    def __init__(
        self, task: Task, predictions: Predictions, weights_from: str, ms_picture: float | None, seconds: float
    ):
        self.task, self.predictions = task, predictions
        self.weights_from, self.ms_picture, self.seconds = weights_from, ms_picture, seconds

    @property
    def test_clips(self):
        raise ValueError("a linear probe does not predict the test set; cross_validate trains networks that do")

    test_probs = test_clips


class LinearProbe:
    """Kinds of pictures side by side; printed or shown in a notebook, it is a table. `linear_probe` makes it.

    Parameters
    ----------
    arch : str
        The frozen network.
    results : dict of str to ProbeResult
        By name of the picture: `score`, `oof`, `predictions` (with embeddings), `weights_from`, `ms_picture`, `seconds`.

    Examples
    --------
    >>> probe = sp.linear_probe(comp, sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64)), "mini_resnet", pretrained=False,
    ...                         folds=2, loaders=dict(bs=4, progress=False, cache="cache"), log=None)
    >>> probe
    LinearProbe(1 picture through mini_resnet, by accuracy)
    """

    def __init__(self, arch: str, results: dict[str, ProbeResult]):
        self.arch, self.results = arch, results

    @property
    def metric(self) -> str:
        """Name of the metric by which pictures are scored."""
        return next(iter(self.results.values())).task.metric

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row per picture, best first.

        score, low, high : over all held-out clips, with its 95 % interval; clips : how many clips that is; std : of the folds' scores
        features : length of the embedding; ms_picture : milliseconds to draw one; seconds : duration of the probe
        difference, difference_low, difference_high, verdict : to the first picture, paired; positive is better
        """
        rows, rises = [self._row(name) for name in self.results], not get_metric(self.metric).greater_is_better
        return pd.DataFrame(rows).sort_values("score", ascending=rises, kind="stable", ignore_index=True)

    def _row(self, name: str) -> dict:
        found, first = self.results[name], next(iter(self.results))
        score = found.score
        difference = (
            Difference(np.nan, np.nan, np.nan, 0) if name == first else paired_difference(found, self.results[first])
        )
        return {
            "picture": name,
            "score": float(score),
            "low": score.low,
            "high": score.high,
            "clips": score.n,
            "std": _std_of_folds(found),
            "features": found.predictions.embeddings.shape[1],
            "ms_picture": found.ms_picture,
            "seconds": found.seconds,
            "difference": difference.value,
            "difference_low": difference.low,
            "difference_high": difference.high,
            "verdict": difference.verdict,
        }

    def _shown(self) -> pd.DataFrame:
        t = self.table
        return pd.DataFrame(
            {
                "picture": t["picture"],
                f"{self.metric} (95 %)": [cell(*row) for row in t[["score", "low", "high"]].to_numpy(float)],
                "std of folds": [cell(std, np.nan, np.nan) for std in t["std"]],
                "ms per picture": ["" if ms is None or ms != ms else f"{ms:.1f}" for ms in t["ms_picture"]],
                "seconds": t["seconds"].map("{:.0f}".format),
                "difference (95 %)": [
                    cell(*row, form="+.3f")
                    for row in t[["difference", "difference_low", "difference_high"]].to_numpy(float)
                ],
                "verdict": t["verdict"],
            }
        )

    def _notes(self) -> list[str]:
        first, several = next(iter(self.results)), len(self.results) > 1
        sources = dict.fromkeys(found.weights_from for found in self.results.values())
        random = [" (random weights: the order of the pictures is a weak hint)"] * any(
            "from scratch" in source for source in sources
        )
        return [
            f"frozen network: {'; '.join(sources)}{''.join(random)}",
            *[f"difference: to {first}, on the same clips; above 0 is better"] * several,
        ]

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        return f"LinearProbe({count(len(self), 'picture')} through {self.arch}, by {self.metric})"

    def __str__(self) -> str:
        return "\n".join([repr(self), align_columns(self._shown()), *self._notes()])

    def _repr_html_(self) -> str:
        from html import escape

        return "\n".join([self._shown().to_html(index=False), *(f"<p>{escape(note)}</p>" for note in self._notes())])


def _std_of_folds(found: ProbeResult) -> float:
    """Standard deviation of the metric over folds; nan with one fold."""
    counted = found.predictions.subset(scored_mask(found.predictions))
    fold = counted.table["fold"].to_numpy()
    parts = [counted.subset(fold == one) for one in np.unique(fold)]
    scores = [metric_value(found.task.metric, part.hot, part.probs, part.is_multi) for part in parts]
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else np.nan


# ---------------------------------------------------------------------- the probe


def _out_of_fold(clips: pd.DataFrame, x: np.ndarray, task: Task, C: float) -> Predictions:
    """Predictions of every clip that is ever held out, by a model that was fitted to the others."""
    hot, probs = _hot(clips["label"], task.vocab), np.zeros((len(clips), len(task.vocab)))
    weight = clips["weight"].to_numpy(float) if "weight" in clips else None
    for fold in fold_numbers(clips):
        train, held_out = split_fold(clips, fold)
        if not train.any():
            raise ValueError(f"fold {fold} leaves no training clip that could be drawn; give another number of folds=")
        probs[held_out] = fit_and_predict(
            x[train], hot[train], None if weight is None else weight[train], x[held_out], task.is_multi, C
        )
    table = clips[[name for name in (*KEY, "picture", "label", "group", "fold", "weight", "scored") if name in clips]]
    whole = Predictions(table.rename(columns={"label": "target"}), probs, task.vocab, x, task.is_multi)
    return whole.subset((clips["fold"] >= 0).to_numpy())


def _probe(
    comp: Competition, table: pd.DataFrame, task: Task, config: RunConfig, seed: int, C: float, title: str
) -> ProbeResult:
    """Probe one kind of picture."""
    began = time.perf_counter()
    tree = draw_clips([table], comp.folder, config.renderer, **config.drawing)
    clips = join_pictures(table, tree, "training clip")
    if not fold_numbers(clips):
        raise ValueError("no clip that is held out could be drawn")
    network, fit, weights_from = _frozen_network(clips, tree, task, config, seed)
    options = {
        name: config.loaders[name] for name in ("bs", "num_workers", "device", "progress") if name in config.loaders
    }
    x = _embeddings(network, clips["picture"], fit, title=title, **options)
    predictions = _out_of_fold(clips, x, task, C)
    seconds = time.perf_counter() - began
    return ProbeResult(task, predictions, weights_from, milliseconds_per_picture(comp, config.renderer), seconds)


def linear_probe(
    comp: Competition,
    renderers: Renderer | Mapping[str, Renderer] | Iterable[Renderer] = Renderer(),
    arch: str = "resnet34",
    *,
    pretrained: bool | str = True,
    weights: str | os.PathLike | None = None,
    folds: int | None = None,
    loaders: dict | None = None,
    learner: dict | None = None,
    C: float = 0.1,
    seed: int = 0,
    log: Callable[[str], None] | None = print,
) -> LinearProbe:
    """Rank pictures of the same sounds by logistic regression on the features of a frozen network.

    Parameters
    ----------
    comp : Competition
        Data, labels and metric.
    renderers : Renderer, mapping of str to Renderer, or iterable of Renderer, default Renderer()
        Kinds of pictures; differences are to the first.
    arch : str, default "resnet34"
        Name of a network: timm's, or one of `list_nets()`.
    pretrained : bool or str, default True
        As in `spec_learner`; networks of `list_nets()` have no pretrained weights.
    weights : str or path-like, optional
        As in `spec_learner`.
    folds : int, optional
        Number of folds; None: those of the data set, else 5.
    loaders : dict, optional
        Arguments of `SpecDataLoaders.from_df` after the labels: `size`, `method`, `seconds`, `bs`, `cache`, `num_workers` ... What is
        for training alone (`augment`, `balance`, `variants`) is not used.
    learner : dict, optional
        Further arguments of `spec_learner`: `stats`, `net`.
    C : float, default 0.1
        Inverse strength of the regularisation, of standardised features; above 0.
    seed : int, default 0
        Seed of the folds and of random weights.
    log : callable or None, default print
        Takes each line of the log; None is silent.

    Returns
    -------
    LinearProbe

    Raises
    ------
    ValueError
        Names, options or weights are wrong, or a fold has no training clips.

    Examples
    --------
    >>> renderer = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    >>> probe = sp.linear_probe(comp, {"mel": renderer, "stft": renderer.replace(representation=sp.Stft(n_fft=64, hop_length=64))},
    ...                         "mini_resnet", pretrained=False, folds=2, loaders=dict(bs=4, progress=False, cache="cache"), log=None)
    >>> sorted(probe.table["picture"])
    ['mel', 'stft']
    """
    if not C > 0:
        raise ValueError(f"C={C}: give a number above 0; the smaller, the simpler the model")
    log = line_logger(log)
    named, task = name_renderers(renderers), Task.of(comp)
    options = {"pretrained": pretrained, "weights": weights, **(learner or {})}
    config = RunConfig(arch=arch, folds=folds, loaders=loaders or {}, learner=options)
    check_weights(arch, pretrained, weights)
    table, results = assign_folds(comp, folds, seed), {}
    for i, (name, renderer) in enumerate(named.items(), start=1):
        try:
            results[name] = _probe(comp, table, task, config.replace(renderer=renderer), seed, C, title=name)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from exc
        log(f"{i} of {len(named)}, {name}: {results[name].score}, {results[name].seconds:.0f} s")
    return LinearProbe(arch, results)
