"""Which picture of a sound is worth training on? A linear probe answers in minutes: nothing is trained but logistic regression.

    probe = linear_probe(comp, {"mel": Renderer(Mel()), "stft": Renderer(Stft())}, "resnet34", loaders=dict(size=128))
    print(probe)                          # score of each picture, and its difference to the first
    probe.answers["mel"].oof              # what was said of each clip

A frozen network looks at every clip once. What it says of them, averaged over the picture, is standardised and given to logistic
regression, fold by fold, so that every clip is judged by a model that never saw it. Fine-tuning goes further and can turn the order
round; what a probe finds useless seldom becomes the best. With random weights (`pretrained=False`, and all networks of
`list_nets()`) the order still says something of the pictures, but weakly.
"""

from __future__ import annotations

import functools
import os
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import defaults
from torch import nn
from tqdm import tqdm

from ..competitions import Competition
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
from .bench import milliseconds_a_picture
from .choices import Choices
from .differences import Difference, paired_difference
from .drawing import _Pictures, clips_at_once, draw_clips, with_pictures
from .held_out import deal_folds, fold_numbers, sides
from .run import CompetitionAnswers
from .systems import name_looks
from .task import Task, metric_value, that_count

__all__ = ["LinearProbe", "Probed", "linear_probe"]

_STEPS = 1000  # of the solver at most


# ---------------------------------------------------------------------- the frozen network


def _frozen_network(
    clips: pd.DataFrame, tree: SpecTree, task: Task, choices: Choices, seed: int
) -> tuple[nn.Module, TTAFit, str]:
    """(network, how pictures are fitted to it, where its weights come from)."""
    known = clips[[name for name in (*KEY, "label") if name in clips]].assign(
        is_valid=clips["fold"] == fold_numbers(clips)[0]
    )
    # the loaders only tell size and channels: nothing trains, so batches may be of any size
    options = {**choices.loading, "bs": 2, "num_workers": 0, "augment": None, "balance": False, "variants": ()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dls = SpecDataLoaders.from_tree(tree, known, path=tree.root, vocab=list(task.vocab), **options)
    learn = spec_learner(dls, choices.arch, seed=seed, **choices.learner)
    fit = next(step for step in dls.valid.after_item.fs if isinstance(step, FitSize))
    return learn.model.eval(), fit_with_tta(fit, TTA()), learn.weights_from


@torch.inference_mode()
def _embeddings(
    network: nn.Module,
    files,
    fit: TTAFit,
    *,
    bs: int = 64,
    num_workers: int | None = None,
    device=None,
    progress: bool = True,
    title: str = "",
) -> np.ndarray:
    """float32 `(pictures, features)`. ValueError where they are no finite numbers."""
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if num_workers is None:
        num_workers = defaults.cpus if torch.cuda.is_available() else 0
    loader = torch.utils.data.DataLoader(
        _Pictures(files, fit), batch_size=clips_at_once(bs, fit), num_workers=num_workers
    )
    network = network.to(device)
    seen = [
        network.features(x.to(device).float().div(255)).float().cpu().numpy()
        for x in tqdm(loader, desc=title, unit="batch", disable=not progress, leave=False)
    ]
    found = np.concatenate(seen)
    bad = ~np.isfinite(found).all(axis=1)
    if bad.any():
        raise ValueError(
            f"the network gives numbers that are not finite for {count(int(bad.sum()), 'picture')}; "
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


def fit_and_judge(
    x: np.ndarray, hot: np.ndarray, weight: np.ndarray | None, held_out: np.ndarray, is_multi: bool, C: float
) -> np.ndarray:
    """(clips held out, classes): probabilities from logistic regression on the standardised features of the other clips.

    Where clips may have several labels each is a question of its own. A label that all clips of training have, or none, is answered
    by that.

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


class Probed(CompetitionAnswers):
    """What the linear model says of one kind of picture, out of fold; `predictions` hold the embeddings too.

    weights_from : a sentence on the network's weights
    ms_picture : milliseconds to draw a clip, in one process; seconds : that everything took, drawing included
    """

    def __init__(
        self, task: Task, predictions: Predictions, weights_from: str, ms_picture: float | None, seconds: float
    ):
        self.task, self.predictions, self.weights_from, self.ms_picture, self.seconds = (
            task,
            predictions,
            weights_from,
            ms_picture,
            seconds,
        )

    @property
    def test_clips(self):
        raise ValueError("a linear probe has not looked at the test set; cross_validate trains networks that do")

    test_probs = test_clips


class LinearProbe:
    """Pictures side by side; printed or shown in a notebook, it is a table. `linear_probe` makes it.

    arch : the network that looked at them
    answers : name of the picture -> `Probed`
    """

    def __init__(self, arch: str, answers: dict[str, Probed]):
        self.arch, self.answers = arch, answers

    @property
    def metric(self) -> str:
        """What the pictures are scored by."""
        return next(iter(self.answers.values())).task.metric

    @functools.cached_property
    def table(self) -> pd.DataFrame:
        """One row a picture, best first.

        score, low, high : over all held-out clips, with its interval of 95 %; clips : that these are of; std : of the folds' scores
        features : numbers that describe a picture; ms_picture : to draw it; seconds : that it all took
        difference, difference_low, difference_high, verdict : to the first picture, paired; positive is better
        """
        rows, rises = [self._row(name) for name in self.answers], not get_metric(self.metric).greater_is_better
        return pd.DataFrame(rows).sort_values("score", ascending=rises, kind="stable", ignore_index=True)

    def _row(self, name: str) -> dict:
        found, first = self.answers[name], next(iter(self.answers))
        score = found.score
        difference = (
            Difference(np.nan, np.nan, np.nan, 0) if name == first else paired_difference(found, self.answers[first])
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
                "ms a picture": ["" if ms is None or ms != ms else f"{ms:.1f}" for ms in t["ms_picture"]],
                "s in all": t["seconds"].map("{:.0f}".format),
                "difference (95 %)": [
                    cell(*row, form="+.3f")
                    for row in t[["difference", "difference_low", "difference_high"]].to_numpy(float)
                ],
                "verdict": t["verdict"],
            }
        )

    def _notes(self) -> list[str]:
        first, several = next(iter(self.answers)), len(self.answers) > 1
        sources = dict.fromkeys(found.weights_from for found in self.answers.values())
        random = [" (random weights: the order of the pictures is a weak hint)"] * any(
            "from scratch" in source for source in sources
        )
        return [
            f"frozen network: {'; '.join(sources)}{''.join(random)}",
            *[f"difference: to {first}, on the same clips; above 0 is better"] * several,
        ]

    def __len__(self) -> int:
        return len(self.answers)

    def __repr__(self) -> str:
        return f"LinearProbe({count(len(self), 'picture')} through {self.arch}, by {self.metric})"

    def __str__(self) -> str:
        return "\n".join([repr(self), align_columns(self._shown()), *self._notes()])

    def _repr_html_(self) -> str:
        from html import escape

        return "\n".join([self._shown().to_html(index=False), *(f"<p>{escape(note)}</p>" for note in self._notes())])


def _std_of_folds(found: Probed) -> float:
    """Of the metric, fold by fold; nan where there is one."""
    counted = found.predictions.subset(that_count(found.predictions))
    fold = counted.table["fold"].to_numpy()
    parts = [counted.subset(fold == one) for one in np.unique(fold)]
    scores = [metric_value(found.task.metric, part.hot, part.probs, part.is_multi) for part in parts]
    return float(np.std(scores, ddof=1)) if len(scores) > 1 else np.nan


# ---------------------------------------------------------------------- the probe


def _out_of_fold(clips: pd.DataFrame, x: np.ndarray, task: Task, C: float) -> Predictions:
    """What is said of every clip that is ever held out, by a model that was fitted to the others."""
    hot, probs = _hot(clips["label"], task.vocab), np.zeros((len(clips), len(task.vocab)))
    weight = clips["weight"].to_numpy(float) if "weight" in clips else None
    for fold in fold_numbers(clips):
        train, held_out = sides(clips, fold)
        if not train.any():
            raise ValueError(
                f"fold {fold} leaves no clip to learn from that could be drawn; give another number of folds="
            )
        probs[held_out] = fit_and_judge(
            x[train], hot[train], None if weight is None else weight[train], x[held_out], task.is_multi, C
        )
    table = clips[[name for name in (*KEY, "picture", "label", "group", "fold", "weight", "scored") if name in clips]]
    whole = Predictions(table.rename(columns={"label": "target"}), probs, task.vocab, x, task.is_multi)
    return whole.subset((clips["fold"] >= 0).to_numpy())


def _probe(
    comp: Competition, table: pd.DataFrame, task: Task, choices: Choices, seed: int, C: float, title: str
) -> Probed:
    """One kind of picture."""
    began = time.perf_counter()
    tree = draw_clips([table], comp.folder, choices.renderer, **choices.drawing)
    clips = with_pictures(table, tree, "training clip")
    if not fold_numbers(clips):
        raise ValueError("no clip that is held out could be drawn")
    network, fit, weights_from = _frozen_network(clips, tree, task, choices, seed)
    options = {
        name: choices.loaders[name] for name in ("bs", "num_workers", "device", "progress") if name in choices.loaders
    }
    x = _embeddings(network, clips["picture"], fit, title=title, **options)
    predictions = _out_of_fold(clips, x, task, C)
    seconds = time.perf_counter() - began
    return Probed(task, predictions, weights_from, milliseconds_a_picture(comp, choices.renderer), seconds)


def linear_probe(
    comp: Competition,
    renderers=Renderer(),
    arch: str = "resnet34",
    *,
    pretrained: bool | str = True,
    weights: str | os.PathLike | None = None,
    folds: int | None = None,
    loaders: dict | None = None,
    learner: dict | None = None,
    C: float = 0.1,
    seed: int = 0,
    say: Callable[[str], None] = print,
) -> LinearProbe:
    """Rank pictures of the same sounds by what a frozen network and logistic regression make of them.

    Parameters
    ----------
    renderers : one `Renderer`, several, or a dictionary that names them; differences are to the first
    arch, pretrained, weights : as in `spec_learner`; of `list_nets()` nothing pretrained exists
    folds : as in `cross_validate`; None takes those that the data set gives, else 5
    loaders : arguments of `SpecDataLoaders.from_df` after the labels: size, method, seconds, bs, cache, num_workers ...; what is for
        training alone (augment, balance, variants) plays no part
    learner : further arguments of `spec_learner`: stats, net
    C : inverse strength of the regularisation, of standardised features
    seed : by which folds are dealt and random weights drawn
    say : takes each line of the log

    Raises ValueError where names, options or weights are wrong, or a fold cannot be judged.
    """
    if not C > 0:
        raise ValueError(f"C={C}: give a number above 0; the smaller, the simpler the model")
    say = partial(print, flush=True) if say is print else say
    looks, task = name_looks(renderers), Task.of(comp)
    options = {"pretrained": pretrained, "weights": weights, **(learner or {})}
    choices = Choices(arch=arch, folds=folds, loaders=loaders or {}, learner=options)
    check_weights(arch, pretrained, weights)
    table, answers = deal_folds(comp, folds, seed), {}
    for i, (name, renderer) in enumerate(looks.items(), start=1):
        try:
            answers[name] = _probe(comp, table, task, choices.replace(renderer=renderer), seed, C, title=name)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from exc
        say(f"{i} of {len(looks)}, {name}: {answers[name].score}, {answers[name].seconds:.0f} s")
    return LinearProbe(arch, answers)
