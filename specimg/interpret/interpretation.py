"""What a classifier learnt, and where it is wrong: pictures and tables read from one `Predictions`.

`SpecInterpretation.from_learner` sends the validation clips through the network once. Everything after that, the clips
with the highest loss, the confusion matrix, the scores of each class and speaker, calibration, the t-SNE map of what the
network sees as alike, is read from the table of that one pass, and so works as well on predictions saved long ago and on
the out-of-fold predictions of a run. Only the Grad-CAM overlay asks the network again.

>>> interp = SpecInterpretation.from_learner(learn)                   # doctest: +SKIP
>>> interp.plot_top_losses(9, cam=True).savefig("worst.png")          # doctest: +SKIP
>>> interp.most_confused(min_val=2)                                   # doctest: +SKIP
[('meow', 'bark', 7), ('cough', 'bark', 2)]
>>> SpecInterpretation.from_run("runs/r34").by_group("group")         # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.text import count
from ..core.values import choose
from ..data.waves import draw_recording
from ..inference import load_classifier
from . import plots, statistics as tables, tsne as maps
from .cam import Cam, clip_cams
from .findings import Findings
from .plots import named, number, short

__all__ = ["SpecInterpretation"]


class SpecInterpretation(Findings):
    """Tables and pictures of what a classifier got right and wrong.

    Parameters
    ----------
    predictions : what the network said, of at least one clip.
    history : for the learning curves, one row an epoch: phase, epoch, train_loss, valid_loss, the metrics, lr, seconds; with the
        columns seed and fold the epochs of several trainings.
    rates : the learning rate of every iteration.
    learn : the learner that predicted, for Grad-CAM.
    networks : in its place the folders of classifiers, by the fold that each judged.
    run : the run, or the blend, that the predictions are of; a page tells its choices.

    Every plot returns a matplotlib Figure, and draws on `ax` where that is given.
    """

    # ------------------------------------------------------------------ clips

    def _cams(self, clips: pd.DataFrame) -> list[Cam | None]:
        """What speaks for the label that was predicted; None where the picture is gone."""
        if self.learn is not None:
            return list(clip_cams(self.learn, clips["picture"].tolist()))
        if not self.networks:
            raise ValueError(
                "Grad-CAM asks the network again and this interpretation has none; make it with "
                "SpecInterpretation.from_learner(learn) or from_run(run), or leave cam=False (a blend has no network "
                "of its own)"
            )
        cams: dict[int, Cam | None] = {}
        for fold, rows in clips.groupby("fold"):  # each clip is shown to the network that had not seen it
            cams |= zip(rows.index, clip_cams(load_classifier(self.networks[int(fold)]), rows["picture"].tolist()))
        return [cams[row] for row in clips.index]

    def _draw(self, ax: Axes, row: int, title: str = "") -> None:
        """One clip: its picture or, where a network listened to the waveform, that."""
        clip = self.table.loc[row]
        if clip["picture"] or not clip.get("recording"):
            plots.draw_clip(ax, clip["picture"], title)
            return
        start, end = (
            None if pd.isna(second) else float(second)
            for second in (clip.get("start", np.nan), clip.get("end", np.nan))
        )
        draw_recording(ax, clip["recording"], start, end)
        plots.title_clip(ax, title)

    def _title(self, row: int) -> str:
        """Three lines about one clip."""
        clip = self.table.loc[row]
        share = "" if self.predictions.is_multi else f" {self.predictions.probs[row] @ self.predictions.hot[row]:.2f}"
        return (
            f"predicted {short(named(clip['prediction']), 34)} {clip['confidence']:.2f}\n"
            f"actual {short(named(clip['target']), 30)}{share}, loss {number(clip['loss'])}\n"
            f"{short(os.path.basename(clip['path']), 46)}"
        )

    def plot_top_losses(self, k: int = 9, largest: bool = True, ax=None, cam: bool = False) -> Figure:
        """The pictures of the k clips with the highest loss (or lowest), over seconds and hertz.

        Above each what was predicted and what it is, both with their probabilities, the loss and the file's name.

        Parameters
        ----------
        ax : axes for the clips, as many as there are.
        cam : lay over each picture where the network looked for the label that it predicted (Grad-CAM).

        Raises ValueError for `cam` without a network.
        """
        worst = self.top_losses(k, largest)
        looks = self._cams(worst) if cam else [None] * len(worst)
        figure, axes = plots.axes_for(ax, len(worst), 4, 3.3)
        for clip_ax, row, look in zip(axes, worst.index, looks):
            if look is None:
                self._draw(clip_ax, row)
            else:
                look.plot(clip_ax, title="")
            plots.title_clip(clip_ax, self._title(row))
        if cam and ax is None:
            figure.supxlabel(
                "colour: what speaks for the predicted label (Grad-CAM), blue a little, yellow most", fontsize="small"
            )
        return figure

    def plot_most_confused(self, k_pairs: int = 4, examples: int = 3, ax=None) -> Figure:
        """A row for each of the most confused pairs of classes: clips of the one that were taken for the other, the surest first.

        ax : k_pairs x examples axes
        """
        for name, value in {"k_pairs": k_pairs, "examples": examples}.items():
            if value < 1:
                raise ValueError(f"{name}={value}: give at least 1")
        pairs = self.most_confused()[:k_pairs]
        if not pairs:
            raise ValueError("no clip was taken for another class: there is nothing to show")
        figure, axes = plots.axes_for(ax, len(pairs) * examples, 3.6, 3.1, examples, "examples")
        support = self.confusion_matrix().sum(axis=1)
        for i, (actual, predicted, n) in enumerate(pairs):
            row_axes, clips = axes[i * examples : (i + 1) * examples], self.clips_of(actual, predicted)
            heading = (
                f"{short(actual, 24)} taken for {short(predicted, 24)}: {n} of {count(int(support[actual]), 'clip')}"
            )
            plots.head_row(row_axes[0], heading, 2)
            for clip_ax, clip in zip(row_axes, clips.itertuples()):
                own = self.predictions.probs[clip.Index, self.vocab.index(actual)]
                self._draw(
                    clip_ax,
                    clip.Index,
                    f" \n \n{short(os.path.basename(clip.path), 40)}\n"
                    f"predicted {clip.confidence:.2f}, actual {own:.2f}",
                )
            for empty in row_axes[len(clips) :]:
                empty.set_axis_off()
        return figure

    def plot_nearest(self, path_or_row: str | os.PathLike | int, k: int = 8, on: str = "embeddings", ax=None) -> Figure:
        """A clip and the k others most alike to it, framed dark where they have its label, rose and dashed where not.

        ax : axes for the clip and its neighbours, k + 1
        """
        found, row = self.nearest(path_or_row, k, on), maps.find_row(self.predictions, path_or_row)
        figure, axes = plots.axes_for(ax, 1 + len(found), 3.6, 2.9)
        labels = self.table["target"].where(self.predictions.labelled, self.table["prediction"])
        for clip_ax, one, distance in zip(axes, [row, *found.index], [None, *found["distance"]]):
            lead = "the clip" if distance is None else f"cosine distance {number(distance, 3)}"
            self._draw(
                clip_ax,
                one,
                f"{lead}\n{short(named(labels[one]), 40)}\n{short(os.path.basename(self.table.at[one, 'path']), 40)}",
            )
            if distance is not None:
                alike = labels[one] == labels[row]
                plots.frame_clip(clip_ax, plots.GOOD if alike else plots.BAD, "-" if alike else "--")
        if ax is None:
            figure.supxlabel(
                "frame: dark where a neighbour has the clip's label, rose and dashed where it has another",
                fontsize="small",
            )
        return figure

    # ------------------------------------------------------------------ classes and groups

    def plot_confusion_matrix(self, normalize: bool = False, order: str = "vocab", ax: Axes | None = None) -> Figure:
        """Actual classes down, predicted ones across.

        The figure grows with the number of classes; where cells become too small for numbers, a colour scale says them.

        order : "vocab", or "clusters", which puts classes that are taken for one another side by side
        """
        table, counts = self.confusion_matrix(normalize, order), self.confusion_matrix()
        ax = plots.axes(ax, *plots.matrix_size(self.vocab))
        plots.draw_matrix(ax, table, normalize)
        clips = int(counts.to_numpy().sum())
        lost = int(self.predictions.labelled.sum()) - clips
        ordered = "\nclasses in clusters" if order == "clusters" else ""
        ax.set_title(
            f"confusion of {count(clips, 'clip')}{ordered}"
            + (f"\n{lost} without a prediction left out" if lost else "")
        )
        return ax.figure

    def plot_class_scores(self, order: str = "f1-score", ax: Axes | None = None) -> Figure:
        """Precision, recall and F1 of each class, one row each, and at the right its clips.

        order : "f1-score", "precision", "recall" or "support", the highest at the top and classes without clips at the end; or "vocab"
        """
        choose(order, ["f1-score", "precision", "recall", "support", "vocab"], "order of classes")
        report = self.classification_report()
        scores, macro = report.iloc[: -tables.AVERAGES], float(report["f1-score"].iloc[-2])
        if order != "vocab":
            places = np.lexsort([-scores[order].to_numpy(), scores["support"].to_numpy() == 0])
            scores = scores.iloc[places]
        figure, parts = plots.row_axes(ax, len(scores), max(map(len, self.vocab)))
        for one, rows in parts:
            plots.draw_scores(one, scores.iloc[rows])
        clips, classes = (
            count(int(self.predictions.labelled.sum()), "clip"),
            "1 class" if len(scores) == 1 else f"{len(scores)} classes",
        )
        plots.title_rows(figure, parts, ax, f"scores of {classes}, {clips}\nmacro F1 {macro:.3f}", plots.score_marks())
        return figure

    def plot_groups(self, column: str | pd.Series, ax: Axes | None = None) -> Figure:
        """Accuracy of each group, such as a speaker, a recorder, a fold, with its 95 % interval, and at the right its clips.

        Groups that are numbers stand in their order, others by accuracy, the best at the top. `column` as in `by_group`.
        """
        groups = self.by_group(column)
        if groups.index.dtype.kind not in "iuf":
            groups = groups.sort_values("accuracy", ascending=False, kind="stable")
        overall = float((groups["accuracy"] * groups["clips"]).sum() / groups["clips"].sum())
        figure, parts = plots.row_axes(ax, len(groups), max(len(str(name)) for name in groups.index))
        for one, rows in parts:
            plots.draw_groups(one, groups.iloc[rows], overall)
            one.set_xlabel(f"{self._share} (share of clips)")
        plots.title_rows(
            figure, parts, ax, f"{self._share} by {short(groups.index.name, 30)}", plots.group_marks(overall)
        )
        return figure

    # ------------------------------------------------------------------ probabilities

    def plot_calibration(self, n_bins: int = 15, ax: Axes | None = None) -> Figure:
        """Share that is right over the probability given (a reliability diagram), and the expected calibration error."""
        curve = self.calibration(n_bins)
        ax = plots.axes(ax, 5.6, 5)
        what, n, lost = (
            "labels" if self.predictions.is_multi else "clips",
            int(curve["n"].sum()),
            curve.attrs["left_out"],
        )
        plots.draw_calibration(ax, curve, what)
        of = f"{n:,} decisions on {len(self.vocab)} labels" if self.predictions.is_multi else count(n, "clip")
        ax.set_title(
            f"calibration of {of}\nexpected calibration error {curve.attrs['expected_calibration_error']:.3f} "
            f"in {count(n_bins, 'bin')}" + (f"\n{lost} without a prediction left out" if lost else ""),
            fontsize="medium",
        )
        return ax.figure

    def plot_probabilities(self, label: str | None = None, bins: int = 20, ax: Axes | None = None) -> Figure:
        """Histograms: how sure the network was where it was right, and where it was wrong.

        label : the probability of this label instead, in clips that have it and in clips that do not
        """
        if bins < 1:
            raise ValueError(f"bins={bins}: give at least 1")
        parts = tables.probabilities_of(self.predictions, label)
        ax = plots.axes(ax, 6.5, 4)
        plots.draw_histograms(ax, parts, bins)
        of = (
            short(label, 40) if label is not None else "a label" if self.predictions.is_multi else "the predicted label"
        )
        ax.set_title(f"probability of {of}", fontsize="medium", parse_math=False)
        ax.set(xlabel="probability", ylabel="share of its kind in each bin")
        return ax.figure

    # ------------------------------------------------------------------ maps

    def plot_tsne(
        self,
        on: str | Sequence[str] = "embeddings",
        perplexity: float = 30,
        thumbnails: bool | int = False,
        names: bool = True,
        seed: int = 0,
        ax=None,
        hulls: bool | float = False,
    ) -> Figure:
        """A map on which clips lie near each other that the network sees as alike.

        Parameters
        ----------
        on : "embeddings", what the last layer is given; "probabilities", what it makes of them; the name of a layer that was kept;
            or a list of these, one panel each, as ["head1", "head2"]; `ax` is then as many axes.
        perplexity : about how many neighbours count; lowered, and said, where there are too few clips.
        thumbnails : draw the pictures of clips that stand free, at most 120 or the number given.
        names : write each class at the median of its clips; else a legend.
        hulls : draw the convex hull of each class; 0.9 that of the 90 % of its clips nearest to the median.
        """
        if not 0 <= hulls <= 1:
            raise ValueError(f"hulls={hulls}: give True, False or a share of each class between 0 and 1")
        asked = [on] if isinstance(on, str) else list(on)
        if not asked:
            raise ValueError("on=[]: name at least one kind of features, such as 'embeddings'")
        found = {name: self.tsne(name, perplexity, seed) for name in asked}
        some = found[asked[0]]
        classes = [label for label in [*self.vocab, "none"] if label in set(some["class"])]
        side = plots.map_side(len(classes))
        beside = (
            0 if names else plots.legend_size(classes, side * 0.65)[0] / len(asked)
        )  # axes themselves are about that high
        figure, axes = plots.axes_for(ax, len(asked), side + beside, side * 0.85, len(asked), "maps")
        for one, (name, places) in zip(axes, found.items()):
            self._draw_map(one, name, places, perplexity, classes, float(hulls))
        if not names:
            plots.class_legend(axes[-1])
        for one, places in zip(axes, found.values()):  # last, when nothing moves any more
            if thumbnails:
                plots.draw_thumbnails(
                    one, places, classes, plots.MAX_THUMBNAILS if thumbnails is True else int(thumbnails)
                )
            if names:
                plots.name_places(one, plots.class_places(places, classes))
        return figure

    def _draw_map(
        self, ax: Axes, name: str, places: pd.DataFrame, asked: float, classes: list[str], hulls: float
    ) -> None:
        used, known = places.attrs["perplexity"], places["right"].dropna()
        lowered = f"\nlowered from {asked:g}: {len(places)} clips allow no more" if used < asked else ""
        ax.set_title(f"t-SNE on {name}, perplexity {used:.3g}{lowered}", fontsize="medium", parse_math=False)
        edges = f"\nblack edge: predicted wrong, {len(known) - known.sum()} of {len(known)}" if len(known) else ""
        ax.set(xlabel=f"t-SNE 1 (no unit){edges}", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
        ax.margins(0.1)
        ax.set_aspect("equal", adjustable="datalim")  # distances mean the same in both directions
        plots.draw_points(ax, places, classes)
        if hulls:
            plots.draw_hulls(ax, places, classes, hulls)

    # ------------------------------------------------------------------ training

    def plot_learning_curves(self, history: pd.DataFrame | None = None, ax: Axes | None = None) -> Figure:
        """Losses and metrics of every epoch; the epochs in which only the head learnt are shaded.

        Of a run with several folds or seeds: thin lines for each, thick ones for their mean.
        """
        history = self.history if history is None else history
        if history is None or not len(history):
            raise ValueError(
                "no epochs to draw: pass history=, one row an epoch with train_loss and valid_loss, "
                "or make the interpretation from the learner that was fitted, before fastai's validate "
                "or get_preds empties its recorder"
            )
        ax = plots.axes(ax, 7, 4.2)
        plots.draw_history(ax, history)
        return ax.figure

    def plot_lr(self, ax: Axes | None = None) -> Figure:
        """The head's learning rate over the iterations of the last fit; over epochs where only those are known."""
        has_epochs = self.history is not None and "lr" in self.history
        if self.rates is None and not has_epochs:
            raise ValueError(
                "no learning rates to draw: make the interpretation from the learner that was fitted, "
                "or give `rates` or a history with the column 'lr'"
            )
        by_epoch = [part["lr"].to_numpy() for part in plots.trainings(self.history)] if has_epochs else []
        ax = plots.axes(ax, 6, 3.2)
        plots.draw_rates(
            ax, by_epoch if self.rates is None else [self.rates], "epoch" if self.rates is None else "iteration"
        )
        return ax.figure
