"""What a classifier learnt and if it is wrong: figures and tables of one `Predictions`.

`SpecInterpretation.from_learner` predicts the validation clips once. Top losses, confusion matrix, scores of classes and speakers,
calibration and t-SNE are then computed from the table of that pass, and so work as well on saved predictions and on the out-of-fold
predictions of a run. Only Grad-CAM uses the network again.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..core.figures import new_figure
from ..core.offscreen import offscreen
from ..core.text import count
from ..core.values import choose
from ..data.waves import draw_recording
from ..experiments import Run
from ..inference import load_classifier
from ..labels.tables import clip_spans
from ..render.renderer import Renderer
from . import players, statistics, tsne
from .cam import Cam, clip_cams
from .findings import Findings
from .plots import bars, lines, matrices, panels, scatter, style
from .plots.style import named, number, short
from .recordings import find_recordings, folder_of_run, tree_of

if TYPE_CHECKING:
    from IPython.display import HTML


class SpecInterpretation(Findings):
    """Figures and tables of what a classifier got right and wrong.

    Every `plot_` method returns a matplotlib Figure, and draws on `ax` where that is given.

    Parameters
    ----------
    predictions : Predictions
        Predictions of at least one clip.
    history : DataFrame, optional
        For learning curves, one row per epoch: phase, epoch, train_loss, valid_loss, metrics, lr, seconds; with the columns seed and fold
        those of several trainings.
    rates : sequence of float, optional
        The learning rate at each iteration.
    learn : Learner, optional
        The learner that predicted, for Grad-CAM.
    networks : dict of int to Path, optional
        In its place, folders of classifiers by the fold that each predicted.
    run : Run or Blend, optional
        What the predictions are of, for `report`.

    Examples
    --------
    >>> with learn.no_bar():
    ...     interp = sp.SpecInterpretation.from_learner(learn)
    >>> list(interp.confusion_matrix())
    ['cat', 'dog']
    >>> fig = interp.plot_top_losses(4, cam=True)
    >>> fig.savefig("worst.png")
    >>> runs = sp.SpecInterpretation.from_run(run)
    >>> runs.by_group("group").columns.tolist()
    ['clips', 'accuracy', 'low', 'high', 'loss']
    """

    # ------------------------------------------------------------------ clips

    def _cams(self, clips: pd.DataFrame) -> list[Cam | None]:
        """Class activation maps of the predicted labels; None if the picture is missing."""
        if self.learn is not None:
            recordings = clips.get("recording", clips["picture"])  # drawn in memory where no picture is stored
            return list(clip_cams(self.learn, clips["picture"].where(clips["picture"] != "", recordings).tolist()))
        if not self.networks:
            raise ValueError(
                "Grad-CAM needs the network and this interpretation has none; make it with "
                "SpecInterpretation.from_learner(learn) or from_run(run), or leave cam=False (a blend has no network "
                "of its own)"
            )
        if len(self.networks) == 1:
            return list(clip_cams(load_classifier(*self.networks.values()), clips["picture"].tolist()))
        cams: dict[int, Cam | None] = {}
        for fold, rows in clips.groupby("fold"):  # each clip with the network that was not trained on it
            cams |= zip(rows.index, clip_cams(load_classifier(self.networks[int(fold)]), rows["picture"].tolist()))
        return [cams[row] for row in clips.index]

    @property
    def _renderer(self) -> Renderer | None:
        """How recordings are drawn for the network; None if that is not known, or the network is given waveforms."""
        if self.learn is None and self.networks:
            return load_classifier(next(iter(self.networks.values()))).input.renderer
        return getattr(getattr(self.learn, "dls", None), "renderer", None)

    def _draw(self, ax: Axes, row: int, title: str = "") -> None:
        """One clip of the table."""
        self._draw_clip(ax, self.table.loc[row], title)

    def _draw_clip(self, ax: Axes, clip: pd.Series, title: str = "") -> None:
        """One clip: its picture, stored or drawn now, or, of a network of waveforms, its waveform."""
        if clip["picture"] or not clip.get("recording"):
            panels.draw_clip(ax, clip["picture"], title)
            return
        renderer = self._renderer
        if renderer is not None and os.path.isfile(clip["recording"]):
            panels.draw_clip(ax, renderer(clip["recording"]), title)
            return
        seconds = [clip.get(name, np.nan) for name in ("start", "end")]
        start, end = (None if pd.isna(second) else float(second) for second in seconds)
        draw_recording(ax, clip["recording"], start, end)
        panels.title_clip(ax, title)

    def _title(self, row: int) -> str:
        """Three lines about one clip."""
        clip = self.table.loc[row]
        share = "" if self.predictions.is_multi else f" {self.predictions.probs[row] @ self.predictions.hot[row]:.2f}"
        return (
            f"predicted {short(named(clip['prediction']), 34)} {clip['confidence']:.2f}\n"
            f"actual {short(named(clip['target']), 30)}{share}, loss {number(clip['loss'])}\n"
            f"{short(os.path.basename(clip['path']), 46)}"
        )

    def plot_top_losses(
        self, k: int = 9, largest: bool = True, ax: Axes | Sequence[Axes] | None = None, cam: bool = False
    ) -> Figure:
        """The pictures of the clips with the highest loss over seconds and hertz, with prediction, target, their probabilities and loss.

        Parameters
        ----------
        k : int, default 9
            Number of clips.
        largest : bool, default True
            The highest losses, else the lowest.
        ax : sequence of Axes, optional
            One for each clip.
        cam : bool, default False
            Overlay Grad-CAM of the predicted label.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            For `cam` without a network.
        """
        worst = self.top_losses(k, largest)
        cams = self._cams(worst) if cam else [None] * len(worst)
        figure, axes = style.axes_for(ax, len(worst), 4, 3.3)
        for clip_ax, row, one in zip(axes, worst.index, cams):
            if one is None:
                self._draw(clip_ax, row)
            else:
                one.plot(clip_ax, title="")
            panels.title_clip(clip_ax, self._title(row))
        if cam and ax is None:
            figure.supxlabel(
                "colour: evidence for the predicted label (Grad-CAM), from blue, weak, to yellow, strong",
                fontsize="small",
            )
        return figure

    def listen(
        self, k: int = 9, largest: bool = True, cam: bool = False, audio: str | os.PathLike | None = None
    ) -> HTML:
        """The clips of `plot_top_losses` with a player under each, for a notebook: the sound that was drawn, as small Opus files inside it.

        Parameters
        ----------
        k : int, default 9
            Number of clips.
        largest : bool, default True
            The highest losses, else the lowest.
        cam : bool, default False
            Overlay Grad-CAM of the predicted label.
        audio : path, optional
            Folder of the recordings, where they have moved.

        Returns
        -------
        IPython.display.HTML
            A clip without a sound has the reason in its place.

        Raises
        ------
        ValueError
            For `cam` without a network.

        Examples
        --------
        >>> interp.listen(2).data.count("<audio")
        2
        """
        worst = self.top_losses(k, largest)
        cams = self._cams(worst) if cam else [None] * len(worst)
        tree, renderer = tree_of(worst["picture"]), self._renderer
        known = tree.source if tree is not None else folder_of_run(self.run) if isinstance(self.run, Run) else None
        folder = known if audio is None else Path(audio)
        files, why = find_recordings(worst, folder, anywhere=self.learn is not None)
        drawn = renderer or (tree.renderer if tree is not None else Renderer())
        cards = []
        with offscreen():
            for row, one, file, reason, span in zip(worst.index, cams, files, why, clip_spans(worst)):
                figure = new_figure(4, 3)
                ax = figure.add_subplot()
                if one is None:
                    self._draw(ax, row)
                else:
                    one.plot(ax, title="")
                panels.title_clip(ax, self._title(row))
                cards.append(
                    players.card(figure, self._title(row), players.player(file, reason, drawn.audio, *span[1:]))
                )
        return players.in_a_grid(cards)

    def plot_most_confused(
        self, k_pairs: int = 4, examples: int = 3, ax: Axes | Sequence[Axes] | None = None
    ) -> Figure:
        """Examples of the most confused pairs of classes: a row of clips for each pair, by descending confidence.

        Parameters
        ----------
        k_pairs : int, default 4
            Number of pairs.
        examples : int, default 3
            Clips of each.
        ax : sequence of Axes, optional
            `k_pairs` x `examples` axes.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If no clip is misclassified.
        """
        for name, value in {"k_pairs": k_pairs, "examples": examples}.items():
            if value < 1:
                raise ValueError(f"{name}={value}: give at least 1")
        pairs = self.most_confused()[:k_pairs]
        if not pairs:
            raise ValueError("no clip is misclassified: there is no pair of confused classes to show")
        figure, axes = style.axes_for(ax, len(pairs) * examples, 3.6, 3.1, examples, "examples")
        support = self.confusion_matrix().sum(axis=1)
        for i, (actual, predicted, n) in enumerate(pairs):
            row_axes, clips = axes[i * examples : (i + 1) * examples], self.clips_of(actual, predicted)
            of = count(int(support[actual]), "clip")
            panels.head_row(row_axes[0], f"{short(actual, 24)} predicted as {short(predicted, 24)}: {n} of {of}", 2)
            for clip_ax, clip in zip(row_axes, clips.itertuples()):
                own = self.predictions.probs[clip.Index, self.vocab.index(actual)]
                name = short(os.path.basename(clip.path), 40)
                self._draw(clip_ax, clip.Index, f" \n \n{name}\npredicted {clip.confidence:.2f}, actual {own:.2f}")
            for empty in row_axes[len(clips) :]:
                empty.set_axis_off()
        return figure

    def plot_nearest(
        self,
        path_or_row: str | os.PathLike | int,
        k: int = 8,
        on: str = "embeddings",
        ax: Axes | Sequence[Axes] | None = None,
    ) -> Figure:
        """A clip and its nearest neighbours, framed dark where they have its label, rose and dashed where not.

        Parameters
        ----------
        path_or_row, k, on
            As in `nearest`.
        ax : sequence of Axes, optional
            `k` + 1 axes.

        Returns
        -------
        Figure
        """
        labels = self.table["target"].where(self.predictions.labelled, self.table["prediction"])
        if self._is_elsewhere(path_or_row):
            name = os.fspath(path_or_row)
            predicted = self._predict(name, on)
            found = tsne.nearest_to(self.predictions, predicted.features(on)[0], name, k, on)
            clip = pd.Series({"path": name, "picture": name if name.endswith(".png") else "", "recording": name})
            label = predicted.table["prediction"][0]
            lead = f"the file\npredicted {short(named(label), 30)}"
        else:
            found = self.nearest(path_or_row, k, on)
            row = tsne.find_row(self.predictions, path_or_row)
            clip, label = self.table.loc[row], labels[row]
            lead = f"the clip\n{short(named(label), 40)}"
        figure, axes = style.axes_for(ax, 1 + len(found), 3.6, 2.9)
        self._draw_clip(axes[0], clip, f"{lead}\n{short(os.path.basename(clip['path']), 40)}")
        for clip_ax, one, distance in zip(axes[1:], found.index, found["distance"]):
            self._draw(
                clip_ax,
                one,
                f"cosine distance {number(distance, 3)}\n{short(named(labels[one]), 40)}\n"
                f"{short(os.path.basename(self.table.at[one, 'path']), 40)}",
            )
            same = labels[one] == label
            panels.frame_clip(clip_ax, style.GOOD if same else style.BAD, "-" if same else "--")
        if ax is None:
            figure.supxlabel(
                "frame: dark where a neighbour has the clip's label, rose and dashed where it has another",
                fontsize="small",
            )
        return figure

    # ------------------------------------------------------------------ classes and groups

    def plot_confusion_matrix(self, normalize: bool = False, order: str = "vocab", ax: Axes | None = None) -> Figure:
        """The confusion matrix, actual classes down, predicted ones across; where cells are too small for numbers, with a colour scale.

        Parameters
        ----------
        normalize, order
            As in `confusion_matrix`.
        ax : Axes, optional
            By default a figure that grows with the number of classes.

        Returns
        -------
        Figure
        """
        table, counts = self.confusion_matrix(normalize, order), self.confusion_matrix()
        ax = style.axes(ax, *matrices.matrix_size(self.vocab))
        matrices.draw_matrix(ax, table, normalize)
        clips = int(counts.to_numpy().sum())
        lost = int(self.predictions.labelled.sum()) - clips
        ordered = "\nclasses in clusters" if order == "clusters" else ""
        ax.set_title(
            f"confusion of {count(clips, 'clip')}{ordered}"
            + (f"\n{lost} without a prediction left out" if lost else "")
        )
        return ax.figure

    def plot_class_scores(self, order: str = "f1-score", ax: Axes | None = None) -> Figure:
        """Precision, recall and F1 of each class, one row each, with its number of clips.

        Parameters
        ----------
        order : {"f1-score", "precision", "recall", "support", "vocab"}, default "f1-score"
            By descending score, classes without clips last; or as in the vocabulary.
        ax : Axes, optional
            By default a figure with a column for each 60 classes.

        Returns
        -------
        Figure
        """
        choose(order, ["f1-score", "precision", "recall", "support", "vocab"], "order of classes")
        report = self.classification_report()
        scores, macro = report.iloc[: -statistics.AVERAGES], float(report["f1-score"].iloc[-2])
        if order != "vocab":
            places = np.lexsort([-scores[order].to_numpy(), scores["support"].to_numpy() == 0])
            scores = scores.iloc[places]
        figure, parts = bars.row_axes(ax, len(scores), max(map(len, self.vocab)))
        for one, rows in parts:
            bars.draw_scores(one, scores.iloc[rows])
        clips = count(int(self.predictions.labelled.sum()), "clip")
        classes = "1 class" if len(scores) == 1 else f"{len(scores)} classes"
        bars.title_rows(figure, parts, ax, f"scores of {classes}, {clips}\nmacro F1 {macro:.3f}", bars.score_marks())
        return figure

    def plot_groups(self, column: str | pd.Series, ax: Axes | None = None) -> Figure:
        """Accuracy of each group with its 95 % interval, one row each, with its number of clips.

        Numeric groups are in their order, others by descending accuracy.

        Parameters
        ----------
        column : str or Series
            The groups, as in `by_group`.
        ax : Axes, optional
            By default a figure with a column for each 60 groups.

        Returns
        -------
        Figure
        """
        groups = self.by_group(column)
        if groups.index.dtype.kind not in "iuf":
            groups = groups.sort_values("accuracy", ascending=False, kind="stable")
        overall = float((groups["accuracy"] * groups["clips"]).sum() / groups["clips"].sum())
        figure, parts = bars.row_axes(ax, len(groups), max(len(str(name)) for name in groups.index))
        for one, rows in parts:
            bars.draw_groups(one, groups.iloc[rows], overall)
            one.set_xlabel(f"{self._share} (share of clips)")
        bars.title_rows(
            figure, parts, ax, f"{self._share} by {short(groups.index.name, 30)}", bars.group_marks(overall)
        )
        return figure

    # ------------------------------------------------------------------ probabilities

    def plot_calibration(self, n_bins: int = 15, ax: Axes | None = None) -> Figure:
        """A reliability diagram, observed accuracy over predicted probability, with the expected calibration error.

        Parameters
        ----------
        n_bins : int, default 15
            Bins of equal width.
        ax : Axes, optional
            Where to draw.

        Returns
        -------
        Figure
        """
        curve = self.calibration(n_bins)
        ax = style.axes(ax, 5.6, 5)
        what = "labels" if self.predictions.is_multi else "clips"
        n, lost = int(curve["n"].sum()), curve.attrs["left_out"]
        lines.draw_calibration(ax, curve, what)
        of = f"{n:,} decisions on {len(self.vocab)} labels" if self.predictions.is_multi else count(n, "clip")
        ax.set_title(
            f"calibration of {of}\nexpected calibration error {curve.attrs['expected_calibration_error']:.3f} "
            f"in {count(n_bins, 'bin')}" + (f"\n{lost} without a prediction left out" if lost else ""),
            fontsize="medium",
        )
        return ax.figure

    def plot_probabilities(self, label: str | None = None, bins: int = 20, ax: Axes | None = None) -> Figure:
        """Histograms of the confidence of correct and of wrong predictions.

        Parameters
        ----------
        label : str, optional
            Instead, the probability of this label in clips with and without it.
        bins : int, default 20
            Bins of equal width.
        ax : Axes, optional
            Where to draw.

        Returns
        -------
        Figure
        """
        if bins < 1:
            raise ValueError(f"bins={bins}: give at least 1")
        parts = statistics.probabilities_of(self.predictions, label)
        ax = style.axes(ax, 6.5, 4)
        bars.draw_histograms(ax, parts, bins)
        of = "a label" if self.predictions.is_multi else "the predicted label"
        of = of if label is None else short(label, 40)
        ax.set_title(f"probability of {of}", fontsize="medium", parse_math=False)
        ax.set(xlabel="probability", ylabel="share in each bin")
        return ax.figure

    # ------------------------------------------------------------------ maps

    def plot_tsne(
        self,
        on: str | Sequence[str] = "embeddings",
        perplexity: float = 30,
        thumbnails: bool | int = False,
        names: bool = True,
        seed: int = 0,
        ax: Axes | Sequence[Axes] | None = None,
        hulls: bool | float = False,
    ) -> Figure:
        """A t-SNE map: clips that are similar to the network lie close together.

        Parameters
        ----------
        on : str or list of str, default "embeddings"
            Features, as in `tsne`; a list gives a panel for each.
        perplexity : float, default 30
            As in `tsne`; the title reports one that was lowered.
        thumbnails : bool or int, default False
            Show pictures of clips where they do not overlap, at most 120 or this number.
        names : bool, default True
            Write each class's name at the median of its clips; else a legend.
        seed : int, default 0
            Seed of the random initialisation.
        ax : Axes or sequence of Axes, optional
            One for each of `on`.
        hulls : bool or float, default False
            Draw the convex hull of each class; of the share of its clips nearest the median, if below 1.

        Returns
        -------
        Figure
        """
        if not 0 <= hulls <= 1:
            raise ValueError(f"hulls={hulls}: give True, False or a share of each class between 0 and 1")
        features = [on] if isinstance(on, str) else list(on)
        if not features:
            raise ValueError("on=[]: name at least one kind of features, such as 'embeddings'")
        found = {name: self.tsne(name, perplexity, seed) for name in features}
        some = found[features[0]]
        classes = [label for label in [*self.vocab, "none"] if label in set(some["class"])]
        side = scatter.map_side(len(classes))
        height = side * 0.65  # of the axes, about
        beside = 0 if names else scatter.legend_size(classes, height)[0] / len(features)
        figure, axes = style.axes_for(ax, len(features), side + beside, side * 0.85, len(features), "maps")
        for one, (name, points) in zip(axes, found.items()):
            self._draw_map(one, name, points, perplexity, classes, float(hulls))
        if not names:
            scatter.class_legend(axes[-1])
        for one, points in zip(axes, found.values()):  # last, when the layout is final
            if thumbnails:
                scatter.draw_thumbnails(
                    one, points, classes, scatter.MAX_THUMBNAILS if thumbnails is True else int(thumbnails)
                )
            if names:
                scatter.name_centres(one, scatter.class_centres(points, classes))
        return figure

    def _draw_map(
        self, ax: Axes, name: str, points: pd.DataFrame, wanted: float, classes: list[str], hulls: float
    ) -> None:
        used, known = points.attrs["perplexity"], points["right"].dropna()
        lowered = f"\nlowered from {wanted:g}: {len(points)} clips allow no more" if used < wanted else ""
        ax.set_title(f"t-SNE on {name}, perplexity {used:.3g}{lowered}", fontsize="medium", parse_math=False)
        edges = f"\nblack edge: predicted wrong, {len(known) - known.sum()} of {len(known)}" if len(known) else ""
        ax.set(xlabel=f"t-SNE 1 (no unit){edges}", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
        ax.margins(0.1)
        ax.set_aspect("equal", adjustable="datalim")  # distances mean the same in both directions
        scatter.draw_points(ax, points, classes)
        if hulls:
            scatter.draw_hulls(ax, points, classes, hulls)

    # ------------------------------------------------------------------ training

    def plot_learning_curves(self, history: pd.DataFrame | None = None, ax: Axes | None = None) -> Figure:
        """Losses and metrics of each epoch; epochs with a frozen body are shaded.

        Of several folds or seeds, thin lines for each and thick ones for their mean.

        Parameters
        ----------
        history : DataFrame, optional
            One row per epoch; default that of the training.
        ax : Axes, optional
            Where to draw.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If no epochs are known.
        """
        history = self.history if history is None else history
        if history is None or not len(history):
            raise ValueError(
                "no epochs to draw: pass history=, one row per epoch with train_loss and valid_loss, "
                "or make the interpretation from the learner that was fitted, before fastai's validate "
                "or get_preds empties its recorder"
            )
        ax = style.axes(ax, 7, 4.2)
        lines.draw_history(ax, history)
        return ax.figure

    def plot_lr(self, ax: Axes | None = None) -> Figure:
        """The head's learning rate over the iterations of the last fit, or over epochs where only those are known.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw.

        Returns
        -------
        Figure

        Raises
        ------
        ValueError
            If no learning rates are known.
        """
        has_epochs = self.history is not None and "lr" in self.history
        if self.rates is None and not has_epochs:
            raise ValueError(
                "no learning rates to draw: make the interpretation from the learner that was fitted, "
                "or give `rates` or a history with the column 'lr'"
            )
        by_epoch = [part["lr"].to_numpy() for part in lines.trainings(self.history)] if has_epochs else []
        ax = style.axes(ax, 6, 3.2)
        lines.draw_rates(
            ax, by_epoch if self.rates is None else [self.rates], "epoch" if self.rates is None else "iteration"
        )
        return ax.figure
