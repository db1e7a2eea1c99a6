"""Predictions in numbers: the constructors and tables of `SpecInterpretation`.

`Findings` hold one `Predictions`, the history of the training, and if available the learner. Its methods are the functions of
`statistics` and `tsne`; t-SNE coordinates are computed once.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from fastai.vision.all import DataLoader, Learner
from sklearn.metrics import label_ranking_average_precision_score
from torch import nn

from ..core.text import count
from ..core.values import choose
from ..experiments import Blend, Run
from ..inference import load_classifier
from ..metrics import wilson_interval
from ..training import Predictions, find_training, predict_all
from ..training.trained import TrainedFolder
from . import statistics, tsne

if TYPE_CHECKING:
    from typing_extensions import Self

    from ..experiments.run import FoldRun

# ---------------------------------------------------------------------- the training of a learner


def _history(learn: Learner) -> pd.DataFrame | None:
    """`learn.history` where `fit` left it, else the epochs of the last fit in fastai's Recorder."""
    history = getattr(learn, "history", None)
    if isinstance(history, pd.DataFrame):
        return history.copy()
    recorder = getattr(learn, "recorder", None)
    names = [name for name in getattr(recorder, "metric_names", []) if name not in ("epoch", "time")]
    # learn.validate() and learn.get_preds() replace the rows by a shorter one, which is not an epoch
    rows = [list(row) for row in getattr(recorder, "values", []) if len(row) == len(names)]
    if not rows:
        return None
    return pd.DataFrame(rows, columns=names).assign(phase="fit", epoch=range(len(rows)))


def _rates(learn: Learner) -> np.ndarray | None:
    """The learning rate of the head, the last parameter group, at each iteration of the last fit."""
    recorder = getattr(learn, "recorder", None)
    rates = getattr(recorder, "lrs", []) or getattr(recorder, "hps", {}).get("lr", [])
    return np.asarray(rates, dtype=float) if len(rates) else None


def _kept_networks(fold_runs: Sequence[FoldRun]) -> dict[int, Path]:
    """Fold -> folder of the classifier that predicted it; of several seeds the first."""
    return {one.fold: one.folder / "classifier" for one in reversed(fold_runs)}


class Findings:
    """Tables of what a classifier got right and wrong; the parameters are those of `SpecInterpretation`."""

    def __init__(
        self,
        predictions: Predictions,
        history: pd.DataFrame | None = None,
        rates: Sequence[float] | None = None,
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
        self._embedded = {}  # t-SNE coordinates, by (features, perplexity, seed)

    @classmethod
    def from_learner(
        cls,
        learn: Learner,
        ds_idx: int = 1,
        dl: DataLoader | None = None,
        embeddings: bool | nn.Module = True,
        layers: str | list[str] | bool | None = None,
    ) -> Self:
        """Predict the validation set, in one pass of the network.

        Parameters
        ----------
        learn : Learner
            As `spec_learner` makes one.
        ds_idx : int, default 1
            Which of the learner's sets: 1 validation, 0 training.
        dl : DataLoader, optional
            Predict this instead.
        embeddings, layers
            What to keep for `tsne` and `nearest`, as in `predict_all`; `layers=["layer4"]` keeps the output of that layer.

        Returns
        -------
        SpecInterpretation

        Raises
        ------
        ValueError
            If `learn` is not a learner, or there are no clips.
        """
        if not isinstance(learn, Learner):
            raise ValueError(
                f"{type(learn).__name__} is not a learner; give one of spec_learner(dls), or call from_run(run)"
            )
        return cls(predict_all(learn, dl, ds_idx, embeddings, layers=layers), _history(learn), _rates(learn), learn)

    @classmethod
    def from_run(cls, run: Run | Blend | str | os.PathLike, fold: int | None = None, seed: int | None = None) -> Self:
        """The predictions of held-out clips in a run, a blend or a training.

        Of a training these are its validation clips. Of a run the clips of all folds are in one table, with the mean over seeds. There are
        no embeddings then: those of different networks do not share a space. A blend has no loss of its own, and gets the cross-entropy
        of its probabilities.

        Parameters
        ----------
        run : Run, Blend or path
            Or the folder of a run, or that of a training: of `fit(out=)` or of `specimg train`.
        fold, seed : int, optional
            Only the network of this fold or seed, with its embeddings and the history of its own training.

        Returns
        -------
        SpecInterpretation

        Raises
        ------
        ValueError
            If `run` is not a run, or has no such network, or a training has no predictions.
        """
        if isinstance(run, (str, os.PathLike)):
            training = find_training(run)
            if training is not None:
                return cls._of_training(training, fold, seed)
            run = Run.open(run)
        if not isinstance(getattr(run, "predictions", None), Predictions):
            raise ValueError(
                f"{type(run).__name__} is not a run; give a Run, a blend, or the folder that cross_validate(..., out=...) wrote; "
                "for a learner call from_learner(learn)"
            )
        fold_runs = getattr(run, "fold_runs", [])  # a blend has none
        if fold is None and seed is None:
            networks = _kept_networks(fold_runs)
            return cls(
                statistics.with_losses(run.predictions), getattr(run, "history", None), networks=networks, run=run
            )
        chosen = [one for one in fold_runs if fold in (None, one.fold) and seed in (None, one.seed)]
        if len(chosen) != 1:
            there = "; ".join(map(str, fold_runs)) or "none of its own"
            raise ValueError(
                f"fold={fold!r} and seed={seed!r} name {count(len(chosen), 'network')} of this run, which has {there}. "
                "Name one, or leave both out"
            )
        network, history = chosen[0], run.history
        own = history[(history["seed"] == network.seed) & (history["fold"] == network.fold)]
        return cls(
            network.oof(),
            own.drop(columns=["seed", "fold"]).reset_index(drop=True),
            networks=_kept_networks([network]),
            run=run,
        )

    @classmethod
    def _of_training(cls, training: TrainedFolder, fold: int | None, seed: int | None) -> Self:
        """The validation clips of a training, with its history and its network."""
        if (fold, seed) != (None, None):
            raise ValueError(
                f"fold={fold!r} and seed={seed!r} name a network of a run; {str(training.folder)!r} holds one training"
            )
        if training.predictions is None:
            raise ValueError(
                f"{str(training.folder)!r} holds no predictions of validation clips: the training is not finished, or nothing was held "
                "out; fit(...) with the same out= goes on, or take from_learner(learn)"
            )
        predictions = Predictions.load(training.predictions)
        return cls(predictions, training.history, networks={0: training.classifier})

    @property
    def table(self) -> pd.DataFrame:
        """DataFrame of one row per clip: path, picture, target, prediction, loss, confidence, right ..."""
        return self.predictions.table

    @property
    def vocab(self) -> list[str]:
        """The labels in the order of the network's outputs."""
        return self.predictions.vocab

    # ------------------------------------------------------------------ tables

    @property
    def _share(self) -> str:
        """The name of the share of correct clips."""
        return "exact match" if self.predictions.is_multi else "accuracy"

    def summary(self) -> pd.Series:
        """Scores of the clips with a target.

        Returns
        -------
        Series
            clips, clips with a target, accuracy with its 95 % Wilson interval (accuracy low, accuracy high), error rate, MAP@3. With
            several labels per clip "exact match", the share of clips whose labels are all correct, takes the place of accuracy, and
            label ranking average precision (LRAP) that of MAP@3.
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
        """Clips by loss.

        Parameters
        ----------
        k : int, optional
            How many; default all.
        largest : bool, default True
            The highest losses first, else the lowest. NaN counts as infinite.

        Returns
        -------
        DataFrame
            Rows of `table` with a target.
        """
        return statistics.top_losses(self.predictions, k, largest)

    def confusion_matrix(self, normalize: bool = False, order: str = "vocab") -> pd.DataFrame:
        """Clips by actual class (rows) and predicted class (columns).

        Parameters
        ----------
        normalize : bool, default False
            Divide each row by its sum; NaN if a class has no clips.
        order : {"vocab", "clusters"}, default "vocab"
            "clusters" makes classes that are often confused neighbours.

        Returns
        -------
        DataFrame
            Shape (classes, classes); int, or float where normalised.

        Raises
        ------
        ValueError
            If clips have several labels.
        """
        return statistics.confusion_matrix(self.predictions, normalize, order)

    def most_confused(self, min_val: int = 1) -> list[tuple[str, str, int]]:
        """Pairs of confused classes, the most frequent first.

        Parameters
        ----------
        min_val : int, default 1
            Fewest clips.

        Returns
        -------
        list of (str, str, int)
            Actual class, predicted class, clips.
        """
        return statistics.most_confused(self.predictions, min_val)

    def clips_of(self, actual: str, predicted: str) -> pd.DataFrame:
        """The clips of one cell of the confusion matrix.

        Parameters
        ----------
        actual, predicted : str
            Its classes.

        Returns
        -------
        DataFrame
            Rows of `table`, by descending confidence.
        """
        return statistics.clips_of(self.predictions, actual, predicted)

    def classification_report(self) -> pd.DataFrame:
        """Precision, recall, F1 and support of each label, as scikit-learn computes them.

        Returns
        -------
        DataFrame
            One row per label, then accuracy (with several labels per clip "micro avg"), "macro avg" and "weighted avg"; columns precision,
            recall, f1-score, support (clips). A label without clips, or never predicted, has zeros.
        """
        return statistics.classification_report(self.predictions)

    def by_group(self, column: str | pd.Series, metric: str | Callable | None = None) -> pd.DataFrame:
        """Accuracy of each group of clips: a speaker, a recorder, a fold ...

        Parameters
        ----------
        column : str or Series
            A column of `table`, such as "group" or "fold"; or the groups of the clips, indexed by path, as
            `train.set_index("path")["verified"]`. Clips without a group are the group "(unknown)".
        metric : str or callable, optional
            Also score each group by this, as `Predictions.score` takes it; NaN if it is undefined for a group.

        Returns
        -------
        DataFrame
            One row per group: clips, accuracy with its 95 % Wilson interval (low, high), loss (mean), and the metric under its name. With
            several labels per clip accuracy is the share of clips whose labels are all correct.

        Raises
        ------
        ValueError
            For an unknown column, or groups of other paths.
        """
        return statistics.by_group(self.predictions, column, metric)

    def calibration(self, n_bins: int = 15) -> pd.DataFrame:
        """Reliability curve: whether probabilities match observed frequencies.

        It is that of the predicted label of each clip; with several labels per clip, that of all labels.

        Parameters
        ----------
        n_bins : int, default 15
            Bins of equal width between 0 and 1.

        Returns
        -------
        DataFrame
            One row per bin: low, high, n, confidence (mean probability), accuracy with its 95 % interval (accuracy_low, accuracy_high).
            `attrs["expected_calibration_error"]` is the mean gap between the two, `attrs["left_out"]` counts clips whose probabilities are
            NaN.

        References
        ----------
        Guo et al., "On calibration of modern neural networks", ICML 2017.
        """
        return statistics.calibration(self.predictions, n_bins)

    def tsne(self, on: str = "embeddings", perplexity: float = 30, seed: int = 0) -> pd.DataFrame:
        """Clips in the plane by t-SNE: those that are similar to the network lie close together.

        It is computed once for each setting; for more than 3,000 clips by openTSNE, if that is installed.

        Parameters
        ----------
        on : str, default "embeddings"
            Features: "embeddings", the input of the last layer; "probabilities"; or a layer in `predictions.layers`.
        perplexity : float, default 30
            Roughly the number of neighbours of a clip; lowered to (clips - 1) / 3 if that is less.
        seed : int, default 0
            Seed of the random initialisation.

        Returns
        -------
        DataFrame
            One row per clip: x, y, class (the target, or the prediction if there is none; the first of several), right, path, picture.
            `attrs["perplexity"]` is the one used.

        Raises
        ------
        ValueError
            For fewer than 4 clips, or features with NaN.

        References
        ----------
        van der Maaten and Hinton, "Visualizing data using t-SNE", JMLR 9, 2008.
        """
        setting = on, float(perplexity), seed
        if setting not in self._embedded:
            self._embedded[setting] = tsne.coordinates(self.predictions, *setting)
        return self._embedded[setting].copy()

    def nearest(self, path_or_row: str | os.PathLike | int, k: int = 8, on: str = "embeddings") -> pd.DataFrame:
        """The nearest neighbours of a clip by cosine distance of their features.

        Parameters
        ----------
        path_or_row : path or int
            The clip's path, a unique end of it, or its row in `table`; or any recording, which the network is given then.
        k : int, default 8
            Number of neighbours.
        on : str, default "embeddings"
            Features, as in `tsne`.

        Returns
        -------
        DataFrame
            Rows of `table` after the column distance (0 same direction, 1 orthogonal, 2 opposite), the nearest first. Clips whose features
            are NaN or all 0 are left out.

        Raises
        ------
        ValueError
            For an unknown clip that is no file, or a file where there is no network, and one whose own features are NaN or all 0.
        """
        if not self._is_elsewhere(path_or_row):
            return tsne.nearest(self.predictions, path_or_row, k, on)
        name = os.fspath(path_or_row)
        return tsne.nearest_to(self.predictions, self._predict(name, on).features(on)[0], name, k, on)

    def _is_elsewhere(self, path_or_row: str | os.PathLike | int) -> bool:
        """Whether it is a file that is none of the clips."""
        if not isinstance(path_or_row, (str, os.PathLike)) or not os.path.isfile(path_or_row):
            return False
        return not any(f"{os.sep}{path}".endswith(f"{os.sep}{os.fspath(path_or_row)}") for path in self.table["path"])

    def _predict(self, name: str, on: str) -> Predictions:
        """What the network makes of a recording that is none of the clips."""
        if self.learn is not None:
            with self.learn.no_bar(), self.learn.no_logging():
                return predict_all(
                    self.learn, dl=self.learn.dls.test_dl([Path(name)]), layers=list(self.predictions.layers) or False
                )
        if not self.networks:
            raise ValueError(
                f"{name!r} is none of the clips, and these are predictions without a network that could be given it; make the "
                "interpretation with SpecInterpretation.from_learner(learn) or from_run(run, fold=0)"
            )
        networks = [load_classifier(folder) for folder in self.networks.values()]
        choose(on, ["embeddings", "probabilities"], "features of a file")
        found = [clf.predict([name], progress=False) for clf in networks]
        if found[0]["status"][0] != "ok":
            raise ValueError(f"{name!r} cannot be read: {found[0]['status'][0]}")
        probs = np.mean([one.filter(regex="^p_").to_numpy(float) for one in found], axis=0)
        embedded = networks[0].embed([name], progress=False).filter(regex="^e_").to_numpy(float)
        table = pd.DataFrame({"path": [name], "target": [None], "loss": [np.nan]})
        return Predictions(
            table, probs, self.vocab, embedded if len(networks) == 1 else None, self.predictions.is_multi
        )
