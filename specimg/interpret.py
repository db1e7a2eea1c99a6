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
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.ticker import MaxNLocator
from PIL import Image
from sklearn.manifold import TSNE
from sklearn.metrics import label_ranking_average_precision_score, precision_recall_fscore_support

from . import picture
from .figures import new_figure
from .metrics import wilson_interval
from .predictions import Predictions, predict_all
from .values import choose

__all__ = ["SpecInterpretation"]

# Paul Tol's "muted" colours, which colour-blind readers tell apart; 9 colours and 8 markers give 72 different pairs
_COLOURS = ["#332288", "#CC6677", "#44AA99", "#DDCC77", "#882255", "#88CCEE", "#117733", "#AA4499", "#999933"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "<", ">"]
_MAX_THUMBNAILS = 120


def _short(text, width: int) -> str:
    """`text` on one line of at most `width` characters, cut in the middle: the ends of file names differ."""
    text = " ".join(str(text).split())
    if len(text) <= width:
        return text
    head = (width - 1) // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head):]}"


def _named(labels) -> str:
    """One label, or several joined."""
    return labels if isinstance(labels, str) else ", ".join(labels or []) or "none"


def _first(labels) -> str:
    """The label, or the first of several; "none" where there is none."""
    return "none" if not labels else labels if isinstance(labels, str) else labels[0]


# Drawing one thing each


def _axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The axes given, or those of a new figure of this size in inches."""
    return new_figure(width, height).add_subplot() if ax is None else ax


def _colour(i: int) -> str:
    return _COLOURS[i % len(_COLOURS)]


def _legend(ax: Axes, handles: list, labels: list[str], **kwargs) -> None:
    """A legend without a frame that writes `$x$` as it stands, where matplotlib would set mathematics."""
    for text in ax.legend(handles, labels, frameon=False, **kwargs).get_texts():
        text.set_parse_math(False)


def _settle(ax: Axes) -> None:
    """Lay the figure out and keep the limits of its axes, so that pixels can be counted."""
    ax.figure.draw_without_rendering()
    ax.set_autoscale_on(False)


def _say(ax: Axes, text: str) -> None:
    """Empty axes that say why they are empty."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4")
    ax.set_xticks([])
    ax.set_yticks([])


def _draw_clip(ax: Axes, path: str) -> None:
    """A clip's picture with seconds and hertz; in pixels where it does not say them; words where it cannot be read."""
    try:
        try:
            picture.show_picture(path, ax=ax, title="")
        except picture.PictureError:
            with Image.open(path) as image:
                ax.imshow(np.asarray(image.convert("RGB")), aspect="auto")
            ax.set_xlabel("pixels")
            ax.set_ylabel("pixels")
    except FileNotFoundError:
        _say(ax, "picture gone")
    except OSError:
        _say(ax, "picture cannot be read")


def _cell_inches(ax: Axes, n: int) -> float:
    """The side of one of n x n square cells on these axes."""
    box = ax.get_position()
    width, height = ax.figure.bbox.size / ax.figure.dpi
    return min(box.width * width, box.height * height) / n


def _write_cells(ax: Axes, matrix: np.ndarray, cell: float, decimals: int) -> None:
    """The numbers into the cells; zeros only where there are few classes."""
    half = np.nanmax(matrix, initial=0) / 2
    size = min(11.0, cell * 72 * (0.35 if decimals else 0.45))
    for row, column in zip(*np.nonzero(np.isfinite(matrix))):
        value = matrix[row, column]
        if value or len(matrix) <= 12:
            colour = "white" if value > half else "black" if value else "0.7"
            number = f"{value:.{decimals}f}" if value else "0"
            ax.text(column, row, number, ha="center", va="center", fontsize=size, color=colour)


def _draw_matrix(ax: Axes, table: pd.DataFrame, normalize: bool) -> None:
    """A confusion matrix: actual classes down, predicted ones across."""
    n, matrix = len(table), table.to_numpy(float)
    blues = colormaps["Blues"].with_extremes(bad="0.93")   # a class without clips has no rates
    image = ax.imshow(matrix, cmap=blues, vmin=0, vmax=1 if normalize else None, interpolation="nearest")
    cell = _cell_inches(ax, n)
    size = min(10.0, max(4.0, cell * 72 * 0.75))
    every = max(1, math.ceil(size / 72 / cell))   # where names would touch, only each so many is written
    names = [_short(label, 30) for label in table.index][::every]
    rotation = 90 if n > 4 or max(map(len, names)) > 8 else 0
    ax.set_xticks(range(0, n, every), names, rotation=rotation, fontsize=size, parse_math=False)
    ax.set_yticks(range(0, n, every), names, fontsize=size, parse_math=False)
    ax.set_xlabel("predicted")
    ax.set_ylabel("actual")
    if cell >= 0.2:
        _write_cells(ax, matrix, cell, 2 if normalize else 0)
    else:
        unit = "share of the actual class" if normalize else "clips"
        ax.figure.colorbar(image, cax=ax.inset_axes([1.02, 0.2, 0.02, 0.6]), label=unit)


def _spread(centres: np.ndarray, sizes: np.ndarray, low, high, rounds: int = 300) -> np.ndarray:
    """Centres (k, 2) of boxes of `sizes` (k, 2), pushed apart between the corners `low` and `high` until none overlap.

    Where there is no room for all, some still do after `rounds`.
    """
    centres = centres + np.linspace(0, 1e-3, len(centres))[:, None]   # no two in exactly one place
    need = (sizes[:, None] + sizes[None]) / 2
    others = ~np.eye(len(centres), dtype=bool)
    for _ in range(rounds):
        centres = np.clip(centres, low + sizes / 2, np.maximum(high - sizes / 2, low + sizes / 2))
        apart = centres[:, None] - centres[None]
        overlap = need - np.abs(apart)
        touching = (overlap > 0).all(axis=2) & others
        if not touching.any():
            break
        along_x = overlap[..., 0] < overlap[..., 1]   # push along the shorter way out
        push = np.where(np.stack([along_x, ~along_x], axis=2), np.sign(apart) * (overlap + 0.5) / 2, 0)
        centres = centres + np.where(touching[..., None], push, 0).sum(axis=1) * 0.7
    return centres


def _scatter(ax: Axes, points: pd.DataFrame, classes: list[str]) -> None:
    """Every clip a marker in its class's colour and shape; wrong ones have a black edge."""
    wrong = points["right"].eq(False).fillna(False).to_numpy(bool)
    size = float(np.clip(4000 / len(points), 16, 45))   # points squared
    for i, label in enumerate(classes):
        look = {"s": size, "color": _colour(i), "marker": _MARKERS[i % len(_MARKERS)]}
        here = (points["class"] == label).to_numpy()
        right = points[here & ~wrong]
        ax.scatter(right["x"], right["y"], **look, edgecolors="white", linewidths=0.3, zorder=3, label=label)
        missed = points[here & wrong]
        ax.scatter(missed["x"], missed["y"], **look, edgecolors="black", linewidths=size**0.5 / 5, zorder=4)


def _class_places(points: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """The median place of each class (x, y), how far half of its clips stand from there (radius), and its colour."""
    places = points.groupby("class")[["x", "y"]].median()
    away = np.linalg.norm(points[["x", "y"]].to_numpy() - places.loc[points["class"]].to_numpy(), axis=1)
    places = places.assign(radius=pd.Series(away).groupby(points["class"].to_numpy()).median()).loc[classes]
    return places.assign(colour=[_colour(i) for i in range(len(classes))])


def _name_places(ax: Axes, places: pd.DataFrame) -> None:
    """A cross at each of `places` (x, y, radius in data units; colour), its name above it, moved until none overlap."""
    size = 9 if len(places) <= 15 else 7 if len(places) <= 60 else 5
    style = {"fontsize": size, "ha": "center", "va": "center", "zorder": 7, "parse_math": False}
    box = {"boxstyle": "round,pad=0.2", "facecolor": "white", "alpha": 0.85, "linewidth": size / 8}
    texts = [ax.text(0, 0, _short(label, 24), **style, bbox=box | {"edgecolor": colour})
             for label, colour in places["colour"].items()]
    _settle(ax)
    point = ax.figure.dpi / 72           # in pixels
    sizes = np.array([text.get_window_extent().size for text in texts]) + 0.5 * size * point
    centres = places[["x", "y"]].to_numpy()
    at, rim = ax.transData.transform(centres), ax.transData.transform(centres + places[["radius"]].to_numpy() * [0, 1])
    lifted = at + np.minimum(rim - at, 30 * point) + sizes * [0, 0.6]
    frame = ax.get_window_extent()
    free = ax.transData.inverted().transform(_spread(lifted, sizes, frame.min, frame.max))
    ax.plot(*centres.T, "P", markersize=size * 0.7, color="black", markeredgecolor="white", zorder=6)
    for text, start, end in zip(texts, centres, free):
        text.set_position(end)
        ax.plot(*zip(start, end), color="0.3", linewidth=0.6, zorder=5)


def _class_legend(ax: Axes) -> None:
    """Colours and markers of the classes, beside the axes."""
    handles, labels = ax.get_legend_handles_labels()
    _legend(ax, handles, [_short(label, 24) for label in labels], loc="upper left", bbox_to_anchor=(1.01, 1),
            borderaxespad=0, ncols=math.ceil(len(labels) / 32), fontsize="small", markerscale=1.5)


def _draw_thumbnails(ax: Axes, points: pd.DataFrame, most: int) -> None:
    """Small pictures at the places of clips, as many as stand free of one another."""
    _settle(ax)
    side, frame = 34, {"edgecolor": "0.5", "linewidth": 0.5}   # points
    taken = np.empty((0, 2))
    for path, x, y in zip(points["picture"], points["x"], points["y"]):
        at = ax.transData.transform((x, y)) * 72 / ax.figure.dpi
        if len(taken) >= most or (np.abs(taken - at).max(axis=1) < side * 1.1).any():
            continue
        try:
            with open(path, "rb") as file, Image.open(file) as image:
                pixels = np.asarray(image.convert("RGB").resize((side * 2, side * 2)))
        except OSError:
            continue
        taken = np.vstack([taken, at])
        ax.add_artist(AnnotationBbox(OffsetImage(pixels, zoom=0.5), (x, y), pad=0.1, zorder=4.5, bboxprops=frame))


def _draw_metrics(ax: Axes, epochs: np.ndarray, values: pd.DataFrame) -> list:
    """Dashed lines on an axis of their own at the right."""
    right = ax.twinx()
    right.set_ylabel("metric (dashed)")
    if values.min().min() >= 0 and values.max().max() <= 1:
        right.set_ylim(-0.02, 1.02)
    return [right.plot(epochs, values[name], "--", color=_colour(i + 2), marker=_MARKERS[(i + 1) % len(_MARKERS)],
                       markersize=3, label=name)[0] for i, name in enumerate(values)]


def _draw_history(ax: Axes, history: pd.DataFrame) -> None:
    """Losses on the left axis, metrics on the right; the epochs in which the body was frozen are shaded."""
    epochs = np.arange(1, len(history) + 1)
    losses = [name for name in ("train_loss", "valid_loss") if name in history]
    metrics = [name for name in history.select_dtypes("number") if name not in {*losses, "epoch", "lr", "seconds"}]
    lines = [ax.plot(epochs, history[name], "o-", color=_colour(i), markersize=3, label=name.replace("_", " "))[0]
             for i, name in enumerate(losses)]
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if metrics:
        lines += _draw_metrics(ax, epochs, history[metrics])
    frozen = history["phase"].eq("frozen").to_numpy() if "phase" in history else np.zeros(len(history), bool)
    if frozen.any():
        lines.append(ax.axvspan(0.5, epochs[frozen][-1] + 0.5, color="0.9", zorder=0, label="body frozen"))
    ax.set_xlim(0.5, len(history) + 0.5)
    _legend(ax, lines, [line.get_label() for line in lines], loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=4)


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

    def summary(self) -> pd.Series:
        """Clips, accuracy with its 95 % interval (Wilson), error rate and MAP@3 of the clips that have a target.

        With several labels a clip, accuracy counts clips of which every label is right, and the last line is the label
        ranking average precision.
        """
        known = self.predictions.labelled
        n, right = int(known.sum()), int(self.table["right"].fillna(False).sum())
        facts = {"clips": len(self.table), "clips with a target": n}
        if n:
            low, high = wilson_interval(right, n)
            facts |= {"accuracy": right / n, "accuracy low": low, "accuracy high": high, "error rate": 1 - right / n}
            multi, diverged = self.predictions.is_multi, np.isnan(self.predictions.probs[known]).any()
            metric = label_ranking_average_precision_score if multi else "map@3"
            facts["LRAP" if multi else "MAP@3"] = math.nan if diverged else self.predictions.score(metric)
        return pd.Series(facts, dtype=object)

    def __repr__(self) -> str:
        facts = self.summary()
        if "accuracy" not in facts:
            return f"SpecInterpretation: {facts['clips']} clips, none with a target"
        last = facts.index[-1]
        return (f"SpecInterpretation: {facts['clips']} clips, accuracy {facts['accuracy']:.3f} "
                f"(95 % between {facts['accuracy low']:.3f} and {facts['accuracy high']:.3f}), "
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
        places = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "class": [_first(label) for label in labels]})
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
            _draw_clip(clip_ax, self.table.at[row, "picture"])
            clip_ax.set_title(self._title(row), fontsize=9, parse_math=False)
        for empty in axes[len(worst):]:
            empty.set_axis_off()
        return axes[0].figure

    def _title(self, row: int) -> str:
        """Three lines about one clip."""
        clip = self.table.loc[row]
        share = "" if self.predictions.is_multi else f" {self.predictions.probs[row] @ self.predictions.hot[row]:.2f}"
        return (f"predicted {_short(_named(clip['prediction']), 34)} {clip['confidence']:.2f}\n"
                f"actual {_short(_named(clip['target']), 30)}{share}, loss {round(clip['loss'], 2) + 0.0:.2f}\n"
                f"{_short(os.path.basename(clip['path']), 46)}")

    def plot_confusion_matrix(self, normalize: bool = False, ax: Axes | None = None) -> Figure:
        """Actual classes down, predicted ones across.

        The figure grows with the number of classes; where cells become too small for numbers, a colour scale says them.
        """
        table = self.confusion_matrix(normalize)
        n = len(table)
        side = min(24.0, n * (0.6 if n <= 12 else 0.3 if n <= 60 else 0.12))   # inches
        margin = 0.9 + 0.09 * min(30, max(map(len, self.vocab)))
        ax = _axes(ax, max(4.0, side + margin), max(3.6, side + margin))
        _draw_matrix(ax, table, normalize)
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
        ax = _axes(ax, side + (0 if names else 2), side * 0.85)
        used = places.attrs["perplexity"]
        lowered = f"\nlowered from {perplexity:g}: {len(places)} clips allow no more" if used < perplexity else ""
        ax.set_title(f"t-SNE on {on}, perplexity {used:.3g}{lowered}", fontsize="medium")
        known = places["right"].dropna()
        edges = f"\nblack edge: predicted wrong, {len(known) - known.sum()} of {len(known)}" if len(known) else ""
        ax.set(xlabel=f"t-SNE 1 (no unit){edges}", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
        ax.margins(0.1)
        ax.set_aspect("equal", adjustable="datalim")   # distances mean the same in both directions
        _scatter(ax, places, classes)
        if thumbnails:
            _draw_thumbnails(ax, places, _MAX_THUMBNAILS if thumbnails is True else int(thumbnails))
        if names:
            _name_places(ax, _class_places(places, classes))
        else:
            _class_legend(ax)
        return ax.figure

    def plot_learning_curves(self, history: pd.DataFrame | None = None, ax: Axes | None = None) -> Figure:
        """Losses and metrics of every epoch; the epochs in which only the head learnt are shaded."""
        history = self.history if history is None else history
        if history is None or not len(history):
            raise ValueError("no epochs to draw: pass history=, one row an epoch with train_loss and valid_loss, "
                             "or make the interpretation from the learner that was fitted, before fastai's validate "
                             "or get_preds empties its recorder")
        ax = _axes(ax, 7, 4.2)
        _draw_history(ax, history)
        return ax.figure

    def plot_lr(self, ax: Axes | None = None) -> Figure:
        """The head's learning rate over the iterations of the last fit; over epochs where only those are known."""
        by_epoch = self.history["lr"].to_numpy() if self.history is not None and "lr" in self.history else None
        rates = by_epoch if self.rates is None else self.rates
        if rates is None:
            raise ValueError("no learning rates to draw: make the interpretation from the learner that was fitted, "
                             "or give `rates` or a history with the column 'lr'")
        ax = _axes(ax, 6, 3.2)
        ax.plot(np.arange(1, len(rates) + 1), rates, color=_COLOURS[0])
        ax.set_xlabel("epoch" if self.rates is None else "iteration")
        ax.set_ylabel("learning rate")
        return ax.figure
