"""What a classifier learnt, and where it is wrong: pictures and tables read from one `Predictions`.

`SpecInterpretation.from_learner` sends the validation clips through the network once. Everything after that, the clips
with the highest loss, the confusion matrix, the report of each class, the t-SNE map of what the network sees as alike,
is read from the table of that one pass, and so works as well on predictions saved long ago.

>>> interp = SpecInterpretation.from_learner(learn)                   # doctest: +SKIP
>>> interp.plot_top_losses(9).savefig("worst.png")                    # doctest: +SKIP
>>> interp.most_confused(min_val=2)                                   # doctest: +SKIP
[('meow', 'bark', 7), ('cough', 'bark', 2)]
>>> SpecInterpretation(Predictions.load("valid.npz")).plot_tsne()     # doctest: +SKIP
"""

from __future__ import annotations

import math
import os
from functools import partial

import numpy as np
import pandas as pd
from fastai.vision.all import DataLoader, Learner
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from sklearn.metrics import label_ranking_average_precision_score, precision_recall_fscore_support

from .figures import COLOURS, new_figure
from .metrics import wilson_interval
from .plots import (
    MAX_THUMBNAILS,
    axes,
    class_legend,
    class_places,
    draw_clip,
    draw_history,
    draw_matrix,
    draw_thumbnails,
    first,
    name_places,
    named,
    scatter,
    short,
)
from .predictions import Predictions, predict_all
from .values import choose

__all__ = ["SpecInterpretation"]


# What a learner remembers of its training


def _history(learn: Learner) -> pd.DataFrame | None:
    """`learn.history` where a recipe left it, else the epochs of the last fit that fastai's Recorder holds."""
    history = getattr(learn, "history", None)
    if isinstance(history, pd.DataFrame):
        return history.copy()
    recorder = getattr(learn, "recorder", None)
    names = [name for name in getattr(recorder, "metric_names", []) if name not in ("epoch", "time")]
    # learn.validate() and learn.get_preds() put a shorter row, which is no epoch, in the place of all that was there
    rows = [list(row) for row in getattr(recorder, "values", []) if len(row) == len(names)]
    if not rows:
        return None
    return pd.DataFrame(rows, columns=names).assign(phase="fit", epoch=range(len(rows)))


def _rates(learn: Learner) -> np.ndarray | None:
    """The learning rate of every iteration of the last fit, of the last parameter group, which is the head."""
    recorder = getattr(learn, "recorder", None)
    rates = getattr(recorder, "lrs", []) or getattr(recorder, "hps", {}).get("lr", [])
    return np.asarray(rates, dtype=float) if len(rates) else None


class SpecInterpretation:
    """Tables and pictures of what a classifier got right and wrong.

    Parameters
    ----------
    predictions : what the network said, of at least one clip.
    history : for the learning curves, one row an epoch: phase, epoch, train_loss, valid_loss, the metrics, lr, seconds.
    rates : the learning rate of every iteration.

    Every plot returns a matplotlib Figure, and draws on `ax` where that is given.
    """

    def __init__(self, predictions: Predictions, history: pd.DataFrame | None = None, rates=None):
        if not len(predictions):
            raise ValueError("the predictions hold no clips: nothing to interpret; "
                             "name a validation set with valid_pct, valid_col or fold")
        self.predictions = predictions
        self.history = history
        self.rates = rates
        self._maps = {}   # t-SNE coordinates by setting

    @classmethod
    def from_learner(cls, learn: Learner, ds_idx: int = 1, dl: DataLoader | None = None,
                     embeddings=True) -> SpecInterpretation:
        """One pass of the network over the validation set, with `ds_idx=0` the training set, or over `dl`.

        The arguments are those of `predict_all`.
        """
        return cls(predict_all(learn, dl, ds_idx, embeddings), _history(learn), _rates(learn))

    @property
    def table(self) -> pd.DataFrame:
        """One row a clip: path, picture, target, prediction, loss, confidence, right ..."""
        return self.predictions.table

    @property
    def vocab(self) -> list[str]:
        """The labels, in the order of the network's outputs."""
        return self.predictions.vocab

    # In numbers

    @property
    def _share(self) -> str:
        """What the share of clips that are right throughout is called."""
        return "exact match" if self.predictions.is_multi else "accuracy"

    def summary(self) -> pd.Series:
        """Clips, accuracy with its 95 % interval (Wilson), error rate and MAP@3 of the clips that have a target.

        With several labels a clip, "exact match" stands for accuracy, the share of clips of which every label is right, and
        the last line is the label ranking average precision.
        """
        known = self.predictions.labelled
        n, right = int(known.sum()), int(self.table["right"].fillna(False).sum())
        facts = {"clips": len(self.table), "clips with a target": n}
        if n:
            low, high = wilson_interval(right, n)
            share = self._share
            facts |= {share: right / n, f"{share} low": low, f"{share} high": high, "error rate": 1 - right / n}
            multi, diverged = self.predictions.is_multi, np.isnan(self.predictions.probs[known]).any()
            metric = label_ranking_average_precision_score if multi else "map@3"
            facts["LRAP" if multi else "MAP@3"] = math.nan if diverged else self.predictions.score(metric)
        return pd.Series(facts, dtype=object)

    def __repr__(self) -> str:
        facts, share = self.summary(), self._share
        if share not in facts:
            return f"SpecInterpretation: {facts['clips']} clips, none with a target"
        last = facts.index[-1]
        return (f"SpecInterpretation: {facts['clips']} clips, {share} {facts[share]:.3f} "
                f"(95 % between {facts[f'{share} low']:.3f} and {facts[f'{share} high']:.3f}), "
                f"error rate {facts['error rate']:.3f}, {last} {facts[last]:.3f}")

    def _repr_html_(self) -> str:
        return self.summary().to_frame("value").to_html(header=False, float_format="{:.3f}".format)

    def _labelled(self) -> np.ndarray:
        """Row numbers of the clips that have a target."""
        rows = np.flatnonzero(self.predictions.labelled)
        if not len(rows):
            raise ValueError(f"none of the {len(self.table)} clips has a target; predict a loader with labels")
        return rows

    def top_losses(self, k: int | None = None, largest: bool = True) -> pd.DataFrame:
        """The k rows of `table` with the highest loss (or lowest), that one first; NaN counts as infinite."""
        if k is not None and k < 1:
            raise ValueError(f"k={k}: give at least 1 clip")
        rows = self.table.iloc[self._labelled()]
        order = np.argsort(rows["loss"].fillna(np.inf).to_numpy() * (-1 if largest else 1), kind="stable")
        return rows.iloc[order[:k]]

    def confusion_matrix(self, normalize: bool = False) -> pd.DataFrame:
        """Clips by actual class (rows) and predicted class (columns).

        normalize : divide each row by its sum; NaN where a class has no clips
        """
        if self.predictions.is_multi:
            raise ValueError("a confusion matrix needs one label a clip and these clips have lists of labels; "
                             "use classification_report() for each label's precision and recall, or top_losses()")
        rows = self._labelled()
        rows = rows[self.table["prediction"].notna().to_numpy()[rows]]
        counts = np.zeros((len(self.vocab), len(self.vocab)), dtype=int)
        np.add.at(counts, (self.predictions.hot[rows].argmax(axis=1), self.predictions.chosen[rows].argmax(axis=1)), 1)
        table = pd.DataFrame(counts, index=self.vocab, columns=self.vocab)
        table = table.rename_axis(index="actual", columns="predicted")
        return table.div(table.sum(axis=1).replace(0, np.nan), axis=0) if normalize else table

    def most_confused(self, min_val: int = 1) -> list[tuple[str, str, int]]:
        """(actual, predicted, clips) of the mistakes made at least `min_val` times, the most frequent first."""
        counts = self.confusion_matrix().to_numpy()
        cells = zip(*np.nonzero(counts >= min_val))
        found = [(self.vocab[i], self.vocab[j], int(counts[i, j])) for i, j in cells if i != j]
        return sorted(found, key=lambda mistake: -mistake[2])

    def classification_report(self) -> pd.DataFrame:
        """Precision, recall, F1 and support of each label, then their averages, as scikit-learn computes them.

        A label without clips, or never predicted, has zeros.
        """
        rows = self._labelled()
        actual, chosen = self.predictions.hot[rows], self.predictions.chosen[rows]
        chosen = chosen & self.table["prediction"].notna().to_numpy()[rows, None]
        score = partial(precision_recall_fscore_support, actual.astype(int), chosen.astype(int), zero_division=0)
        names = ["precision", "recall", "f1-score", "support"]
        labels = pd.DataFrame(dict(zip(names, score(average=None))), index=self.vocab)
        total = actual.sum()
        micro = "micro avg" if self.predictions.is_multi else "accuracy"   # the same where a clip has one label
        averages = {micro: "micro", "macro avg": "macro", "weighted avg": "weighted"}
        rest = pd.DataFrame({name: [*score(average=kind)[:3], total] for name, kind in averages.items()}, index=names).T
        return pd.concat([labels, rest]).astype({"support": int})

    def tsne(self, on: str = "embeddings", perplexity: float = 30, seed: int = 0) -> pd.DataFrame:
        """Where t-SNE (van der Maaten and Hinton 2008) puts each clip: columns x, y, class, right, path, picture.

        `class` is the target, or the prediction where no target is known; the first of several. The perplexity is
        lowered to (clips - 1) / 3 where that is less; `attrs["perplexity"]` is the one used. Computed once for each
        setting; a few thousand clips take seconds, ten thousand minutes.
        """
        choose(on, ["embeddings", "probabilities"], "features for t-SNE")
        setting = on, float(perplexity), seed
        if setting not in self._maps:
            self._maps[setting] = self._map(on, float(perplexity), seed)
        return self._maps[setting].copy()

    def _map(self, on: str, perplexity: float, seed: int) -> pd.DataFrame:
        n, x = len(self.table), self.predictions.embeddings if on == "embeddings" else self.predictions.probs
        if x is None:
            raise ValueError("these predictions hold no embeddings; "
                             "predict with embeddings=True, or ask for on='probabilities'")
        if n < 4:
            raise ValueError(f"t-SNE needs at least 4 clips and there are {n}; "
                             "read `table` instead, or predict more clips")
        if perplexity <= 0:
            raise ValueError(f"perplexity={perplexity:g}: give a number above 0, about how many neighbours a clip has")
        bad = (~np.isfinite(x)).any(axis=1).sum()
        if bad:
            raise ValueError(f"the {on} of {bad} clips hold NaN or inf: the network diverged; "
                             "leave them out with predictions.subset(mask), or train with a lower rate")
        used = min(perplexity, (n - 1) / 3)
        x = np.pad(x, ((0, 0), (0, max(0, 2 - x.shape[1]))))   # the plane needs two features
        init = "pca" if np.ptp(x, axis=0).any() else "random"  # principal components of equal rows do not exist
        xy = TSNE(perplexity=used, init=init, learning_rate="auto", random_state=seed).fit_transform(x)
        labels = self.table["target"].where(self.predictions.labelled, self.table["prediction"])
        places = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": [first(label) for label in labels]})
        places = pd.concat([places, self.table[["right", "path", "picture"]]], axis=1)
        places.attrs["perplexity"] = used
        return places

    # In pictures

    def plot_top_losses(self, k: int = 9, largest: bool = True, ax=None) -> Figure:
        """The pictures of the k clips with the highest loss (or lowest), over seconds and hertz.

        Above each what was predicted and what it is, both with their probabilities, the loss and the file's name.
        `ax` : axes for the clips, as many as there are.
        """
        worst = self.top_losses(k, largest)
        columns = math.ceil(math.sqrt(len(worst)))
        rows = math.ceil(len(worst) / columns)
        if ax is None:
            ax = new_figure(4 * columns, 3.3 * rows).subplots(rows, columns, squeeze=False)
        axes = list(np.ravel(ax))
        if len(axes) < len(worst):
            raise ValueError(f"{len(axes)} axes for {len(worst)} clips; give one for each, or a smaller k")
        for clip_ax, row in zip(axes, worst.index):
            draw_clip(clip_ax, self.table.at[row, "picture"])
            clip_ax.set_title(self._title(row), fontsize=9, parse_math=False)
        for empty in axes[len(worst):]:
            empty.set_axis_off()
        return axes[0].figure

    def _title(self, row: int) -> str:
        """Three lines about one clip."""
        clip = self.table.loc[row]
        share = "" if self.predictions.is_multi else f" {self.predictions.probs[row] @ self.predictions.hot[row]:.2f}"
        return (f"predicted {short(named(clip['prediction']), 34)} {clip['confidence']:.2f}\n"
                f"actual {short(named(clip['target']), 30)}{share}, loss {round(clip['loss'], 2) + 0.0:.2f}\n"
                f"{short(os.path.basename(clip['path']), 46)}")

    def plot_confusion_matrix(self, normalize: bool = False, ax: Axes | None = None) -> Figure:
        """Actual classes down, predicted ones across.

        The figure grows with the number of classes; where cells become too small for numbers, a colour scale says them.
        """
        table = self.confusion_matrix(normalize)
        n = len(table)
        side = min(24.0, n * (0.6 if n <= 12 else 0.3 if n <= 60 else 0.12))   # inches
        margin = 0.9 + 0.09 * min(30, max(map(len, self.vocab)))
        ax = axes(ax, max(4.0, side + margin), max(3.6, side + margin))
        draw_matrix(ax, table, normalize)
        clips = int(self.confusion_matrix().to_numpy().sum())
        lost = len(self._labelled()) - clips
        ax.set_title(f"confusion of {clips} clips" + (f"\n{lost} without a prediction left out" if lost else ""))
        return ax.figure

    def plot_tsne(self, on: str = "embeddings", perplexity: float = 30, thumbnails: bool | int = False,
                  names: bool = True, seed: int = 0, ax: Axes | None = None) -> Figure:
        """A map on which clips lie near each other that the network sees as alike.

        Parameters
        ----------
        on : "embeddings", what the last layer is given, or "probabilities", what it makes of them.
        perplexity : about how many neighbours count; lowered, and said, where there are too few clips.
        thumbnails : draw the pictures of clips that stand free, at most 120 or the number given.
        names : write each class at the median of its clips; else a legend.
        """
        places = self.tsne(on, perplexity, seed)
        classes = [label for label in [*self.vocab, "none"] if label in set(places["class"])]
        side = next(inches for most, inches in [(15, 7), (60, 10), (150, 16), (math.inf, 22)] if len(classes) <= most)
        ax = axes(ax, side + (0 if names else 2), side * 0.85)
        used = places.attrs["perplexity"]
        lowered = f"\nlowered from {perplexity:g}: {len(places)} clips allow no more" if used < perplexity else ""
        ax.set_title(f"t-SNE on {on}, perplexity {used:.3g}{lowered}", fontsize="medium")
        known = places["right"].dropna()
        edges = f"\nblack edge: predicted wrong, {len(known) - known.sum()} of {len(known)}" if len(known) else ""
        ax.set(xlabel=f"t-SNE 1 (no unit){edges}", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
        ax.margins(0.1)
        ax.set_aspect("equal", adjustable="datalim")   # distances mean the same in both directions
        scatter(ax, places, classes)
        if thumbnails:
            draw_thumbnails(ax, places, MAX_THUMBNAILS if thumbnails is True else int(thumbnails))
        if names:
            name_places(ax, class_places(places, classes))
        else:
            class_legend(ax)
        return ax.figure

    def plot_learning_curves(self, history: pd.DataFrame | None = None, ax: Axes | None = None) -> Figure:
        """Losses and metrics of every epoch; the epochs in which only the head learnt are shaded."""
        history = self.history if history is None else history
        if history is None or not len(history):
            raise ValueError("no epochs to draw: pass history=, one row an epoch with train_loss and valid_loss, "
                             "or make the interpretation from the learner that was fitted, before fastai's validate "
                             "or get_preds empties its recorder")
        ax = axes(ax, 7, 4.2)
        draw_history(ax, history)
        return ax.figure

    def plot_lr(self, ax: Axes | None = None) -> Figure:
        """The head's learning rate over the iterations of the last fit; over epochs where only those are known."""
        by_epoch = self.history["lr"].to_numpy() if self.history is not None and "lr" in self.history else None
        rates = by_epoch if self.rates is None else self.rates
        if rates is None:
            raise ValueError("no learning rates to draw: make the interpretation from the learner that was fitted, "
                             "or give `rates` or a history with the column 'lr'")
        ax = axes(ax, 6, 3.2)
        ax.plot(np.arange(1, len(rates) + 1), rates, color=COLOURS[0])
        ax.set_xlabel("epoch" if self.rates is None else "iteration")
        ax.set_ylabel("learning rate")
        return ax.figure
