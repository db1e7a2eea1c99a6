"""What a classifier said, in numbers: the constructors and tables of `SpecInterpretation`.

`Findings` hold one `Predictions`, what is known of the training, and where it is at hand the learner. Its methods are the
functions of `tables` and `maps`; maps are computed once.

>>> findings = Findings(Predictions.load("valid.npz"))                # doctest: +SKIP
>>> findings.summary()["accuracy"], findings.most_confused()[0]       # doctest: +SKIP
(0.912, ('meow', 'bark', 7))
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from fastai.vision.all import DataLoader, Learner
from sklearn.metrics import label_ranking_average_precision_score

from ..core.text import count
from ..experiments import Blend, Run
from ..metrics import wilson_interval
from ..training import Predictions, predict_all
from . import statistics as tables, tsne as maps

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Findings"]


# ---------------------------------------------------------------------- what a learner remembers of its training


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


def _kept_networks(members) -> dict[int, Path]:
    """The folder of the classifier that judged each fold; of several seeds the first."""
    return {member.fold: member.folder / "classifier" for member in reversed(members)}


class Findings:
    """Tables of what a classifier got right and wrong; the parameters are those of `SpecInterpretation`."""

    def __init__(
        self,
        predictions: Predictions,
        history: pd.DataFrame | None = None,
        rates=None,
        learn: Learner | None = None,
        networks: dict[int, Path] | None = None,
        run: Run | Blend | None = None,
    ):
        if not len(predictions):
            raise ValueError(
                "the predictions hold no clips: nothing to interpret; "
                "name a validation set with valid_pct, valid_col or fold"
            )
        self.predictions = predictions
        self.history = history
        self.rates = rates
        self.learn = learn
        self.networks = networks or {}
        self.run = run
        self._maps = {}  # t-SNE coordinates by setting

    @classmethod
    def from_learner(
        cls, learn: Learner, ds_idx: int = 1, dl: DataLoader | None = None, embeddings=True, layers=None
    ) -> Self:
        """One pass of the network over the validation set, with `ds_idx=0` the training set, or over `dl`.

        The arguments are those of `predict_all`; `layers=["layer4"]` keeps that layer's output for maps and neighbours.
        """
        if not isinstance(learn, Learner):
            raise ValueError(
                f"{type(learn).__name__} is no learner; give one of spec_learner, or of a run from_run(run)"
            )
        return cls(predict_all(learn, dl, ds_idx, embeddings, layers=layers), _history(learn), _rates(learn), learn)

    @classmethod
    def from_run(cls, run: Run | Blend | str | os.PathLike, fold: int | None = None, seed: int | None = None) -> Self:
        """What the networks of a run, or of a blend, said about the clips that each of them never saw.

        A blend has no loss of its own: it gets the cross-entropy of its probabilities.

        Parameters
        ----------
        run : a Run, a Blend, or the folder of a run.
        fold, seed : one network of a run, with its embeddings and the epochs of its own training. Of several networks there are
            no embeddings, which do not live in one space, and so no map or neighbours by them; the clips of all folds stand in
            one table, the mean over seeds.

        Raises ValueError for what is no run, and where the run has no such network.
        """
        run = Run.open(run) if isinstance(run, (str, os.PathLike)) else run
        if not isinstance(getattr(run, "predictions", None), Predictions):
            raise ValueError(
                f"{type(run).__name__} is no run; give a Run, a blend, or the folder that cross_validate(..., out=...) wrote; "
                "of a learner from_learner(learn)"
            )
        if fold is None and seed is None:
            networks = _kept_networks(getattr(run, "members", []))
            return cls(tables.with_losses(run.predictions), getattr(run, "history", None), networks=networks, run=run)
        members = [m for m in getattr(run, "members", []) if fold in (None, m.fold) and seed in (None, m.seed)]
        if len(members) != 1:
            there = "; ".join(str(m) for m in getattr(run, "members", [])) or "none of its own"
            raise ValueError(
                f"fold={fold!r} and seed={seed!r} name {count(len(members), 'network')} of this run, which has {there}. "
                "Name one, or leave both out"
            )
        member, history = members[0], run.history
        own = history[(history["seed"] == member.seed) & (history["fold"] == member.fold)]
        return cls(
            member.oof(),
            own.drop(columns=["seed", "fold"]).reset_index(drop=True),
            networks=_kept_networks([member]),
            run=run,
        )

    @property
    def table(self) -> pd.DataFrame:
        """One row a clip: path, picture, target, prediction, loss, confidence, right ..."""
        return self.predictions.table

    @property
    def vocab(self) -> list[str]:
        """The labels, in the order of the network's outputs."""
        return self.predictions.vocab

    # ------------------------------------------------------------------ in numbers

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
            return f"{type(self).__name__}: {facts['clips']} clips, none with a target"
        last = facts.index[-1]
        return (
            f"{type(self).__name__}: {facts['clips']} clips, {share} {facts[share]:.3f} "
            f"(95 % between {facts[f'{share} low']:.3f} and {facts[f'{share} high']:.3f}), "
            f"error rate {facts['error rate']:.3f}, {last} {facts[last]:.3f}"
        )

    def _repr_html_(self) -> str:
        return self.summary().to_frame("value").to_html(header=False, float_format="{:.3f}".format)

    def top_losses(self, k: int | None = None, largest: bool = True) -> pd.DataFrame:
        """The k rows of `table` with the highest loss (or lowest), that one first; NaN counts as infinite."""
        return tables.top_losses(self.predictions, k, largest)

    def confusion_matrix(self, normalize: bool = False, order: str = "vocab") -> pd.DataFrame:
        """Clips by actual class (rows) and predicted class (columns).

        normalize : divide each row by its sum; NaN where a class has no clips
        order : "vocab", or "clusters", which puts classes that are taken for one another side by side
        """
        return tables.confusion_matrix(self.predictions, normalize, order)

    def most_confused(self, min_val: int = 1) -> list[tuple[str, str, int]]:
        """(actual, predicted, clips) of the mistakes made at least `min_val` times, the most frequent first."""
        return tables.most_confused(self.predictions, min_val)

    def clips_of(self, actual: str, predicted: str) -> pd.DataFrame:
        """The rows of `table` in one cell of the confusion matrix, those that the network was surest of first."""
        return tables.clips_of(self.predictions, actual, predicted)

    def classification_report(self) -> pd.DataFrame:
        """Precision, recall, F1 and support of each label, then their averages, as scikit-learn computes them.

        A label without clips, or never predicted, has zeros.
        """
        return tables.classification_report(self.predictions)

    def by_group(self, column: str | pd.Series, metric=None) -> pd.DataFrame:
        """One row a group: clips, accuracy with its 95 % interval (Wilson), mean loss, and the metric; see `tables.by_group`.

        column : of `table`, such as "group" or "fold", or a Series of groups indexed by path
        """
        return tables.by_group(self.predictions, column, metric)

    def calibration(self, n_bins: int = 15) -> pd.DataFrame:
        """How often a probability comes true, one row a bin: low, high, n, confidence, accuracy with its interval.

        Of the most probable label of each clip; with several labels a clip, of all labels. `attrs["expected_calibration_error"]` is
        the mean distance between probability and truth (Guo et al. 2017).
        """
        return tables.calibration(self.predictions, n_bins)

    def tsne(self, on: str = "embeddings", perplexity: float = 30, seed: int = 0) -> pd.DataFrame:
        """Where t-SNE (van der Maaten and Hinton 2008) puts each clip: columns x, y, class, right, path, picture.

        `class` is the target, or the prediction where no target is known; the first of several. The perplexity is
        lowered to (clips - 1) / 3 where that is less; `attrs["perplexity"]` is the one used. Computed once for each
        setting; beyond 3,000 clips by openTSNE, if it is installed.

        on : "embeddings", "probabilities", or the name of a layer that `predictions.layers` keep
        """
        setting = on, float(perplexity), seed
        if setting not in self._maps:
            self._maps[setting] = maps.places(self.predictions, *setting)
        return self._maps[setting].copy()

    def nearest(self, path_or_row: str | os.PathLike | int, k: int = 8, on: str = "embeddings") -> pd.DataFrame:
        """The k other clips most alike to one by the cosine of their features, as rows of `table` with the column `distance`.

        path_or_row : the clip's path, an end of it that no other clip has, or its row in `table`
        """
        return maps.nearest(self.predictions, path_or_row, k, on)
