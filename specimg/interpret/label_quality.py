"""Label errors: the clips whose label is most likely wrong, from out-of-fold predictions, by confident learning.

A network is confident of a label if it predicts it with at least the mean probability over the clips that carry it; a clip that it is
confidently of another label than its own is an issue. The threshold per label allows for sounds that are hard to classify.
What a listener decides goes into `corrections.csv`; see `specimg.labels.corrections`.

    run = cross_validate(comp, renderer, "resnet34", folds=5, out="runs/a")
    doubtful = label_issues(run).head(50)                                                # listen to these: path, label, suggestion ...
    write_corrections(doubtful.assign(corrected=[...]), "corrections.csv")

Predictions must be out of fold: a network has memorised the labels that it was trained on, wrong ones too.

Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.tables import KEY, clip_index
from ..training import Predictions

if TYPE_CHECKING:
    from fastai.vision.all import DataLoaders, Learner

    from ..experiments import Blend, Run
    from .interpretation import SpecInterpretation

_SMALLEST = 1e-12  # probability as a divisor
_WEIGHT_OF_WORST = 0.8  # in the pooled quality of several labels; the source's choice


# ---------------------------------------------------------------------- label quality


def _of_given(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    return probs[np.arange(len(given)), given]


def _rival(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) int: the most probable of the other labels."""
    return np.where(np.arange(probs.shape[1]) == given[:, None], -1.0, probs).argmax(axis=1)


def self_confidence(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The probability of the label."""
    return _of_given(probs, given)


def normalized_margin(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The margin between the label and the most probable other one, mapped from [-1, 1] to [0, 1]."""
    return (1 + _of_given(probs, given) - _of_given(probs, _rival(probs, given))) / 2


def weighted_entropy(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """log(1 + x) / x of x, the normalised entropy divided by the label's probability."""
    entropy = -(probs * np.log(np.maximum(probs, _SMALLEST))).sum(axis=1) / np.log(probs.shape[1])
    x = np.maximum(entropy / np.maximum(_of_given(probs, given), _SMALLEST), _SMALLEST)
    return np.log1p(x) / x


# ---------------------------------------------------------------------- confident learning


RANKINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    ranking.__name__: ranking for ranking in (self_confidence, normalized_margin, weighted_entropy)
}


def list_rankings() -> list[str]:
    """Names that `label_issues` takes as `rank`.

    Returns
    -------
    list of str

    Examples
    --------
    >>> from specimg.interpret.label_quality import list_rankings
    >>> list_rankings()
    ['normalized_margin', 'self_confidence', 'weighted_entropy']
    """
    return sorted(RANKINGS)


def _thresholds(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(classes,): the mean probability of a label over the clips that carry it; infinite without such clips."""
    carried = np.bincount(given, minlength=probs.shape[1])
    total = np.bincount(given, weights=_of_given(probs, given), minlength=probs.shape[1])
    return np.where(carried > 0, total / np.maximum(carried, 1), np.inf)


def confident_labels(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The label that the network is confident of, for each clip.

    It is the most probable of the labels that reach their threshold, the mean probability over the clips that carry the label. Counts by
    given and confident label are the confident joint.

    Parameters
    ----------
    probs : ndarray
        (n, classes), rows that sum to 1.
    given : ndarray
        (n,) int, the label that each clip carries.

    Returns
    -------
    ndarray
        (n,) int; -1 if no label reaches its threshold.

    References
    ----------
    Northcutt, Jiang and Chuang, JAIR 70, 2021, equation 1.
    """
    # equal probabilities reach their mean despite rounding
    reached = np.where(probs >= _thresholds(probs, given) - 1e-6, probs, -1.0)
    return np.where(reached.max(axis=1, initial=-1.0) >= 0, reached.argmax(axis=1), -1)


def _adjusted(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Probabilities less their thresholds, shifted and normalised to sum to 1: labels that are hard to predict gain."""
    thresholds = _thresholds(probs, given)
    thresholds = np.where(np.isfinite(thresholds), thresholds, thresholds[np.isfinite(thresholds)].max())
    moved = probs - thresholds + thresholds.max()
    return moved / np.maximum(moved.sum(axis=1, keepdims=True), _SMALLEST)


def _evaluate(
    probs: np.ndarray, given: np.ndarray, rank: str, adjust: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quality (n,) of each label, suggestion (n,) int, issue (n,) bool)."""
    quality = RANKINGS[rank](_adjusted(probs, given) if adjust else probs, given)
    confident = confident_labels(probs, given)
    # the threshold of a label with few clips may be so low that clips whose own label is far more probable reach it
    more = _of_given(probs, np.maximum(confident, 0)) > _of_given(probs, given)
    issue = (confident >= 0) & (confident != given) & more
    return quality, np.where(issue, confident, probs.argmax(axis=1)), issue


# ---------------------------------------------------------------------- one label per clip


def _single(predictions: Predictions, rank: str, adjust: bool) -> dict[str, list | np.ndarray]:
    probs, vocab = predictions.probs.astype(float), np.array(predictions.vocab, object)
    given = predictions.hot.argmax(axis=1)
    quality, suggestion, issue = _evaluate(probs, given, rank, adjust)
    return {
        "label": vocab[given],
        "suggestion": vocab[suggestion],
        "p_label": _of_given(probs, given),
        "p_suggestion": _of_given(probs, suggestion),
        "quality": quality,
        "issue": issue,
    }


# ---------------------------------------------------------------------- several labels per clip


def _pooled(quality: np.ndarray) -> np.ndarray:
    """(n, labels) -> (n,): an exponential moving average from a clip's best label to its worst, which weighs most."""
    best_first = -np.sort(-quality, axis=1)
    pooled = best_first[:, 0]
    for each in best_first.T[1:]:
        pooled = _WEIGHT_OF_WORST * each + (1 - _WEIGHT_OF_WORST) * pooled
    return pooled


def _several(predictions: Predictions, rank: str, adjust: bool) -> dict[str, list | np.ndarray]:
    """Each label is a binary problem of its own; a clip is an issue if one of its labels is."""
    hot, vocab = predictions.hot, predictions.vocab
    quality, doubted = np.empty(hot.shape), np.empty(hot.shape, bool)
    for k, p in enumerate(predictions.probs.T.astype(float)):
        quality[:, k], _, doubted[:, k] = _evaluate(np.stack([1 - p, p], axis=1), hot[:, k].astype(int), rank, adjust)

    def named(chosen: np.ndarray) -> list[list[str]]:
        return [[vocab[k] for k in np.flatnonzero(row)] for row in chosen]

    def probabilities(chosen: np.ndarray) -> list[list[float]]:
        return [p[row].astype(float).tolist() for p, row in zip(predictions.probs, chosen)]

    suggested = hot ^ doubted
    return {
        "label": named(hot),
        "suggestion": named(suggested),
        "p_label": probabilities(hot),
        "p_suggestion": probabilities(suggested),
        "quality": _pooled(quality),
        "issue": doubted.any(axis=1),
        "missing": named(doubted & ~hot),
        "wrong": named(doubted & hot),
    }


# ---------------------------------------------------------------------- which clips


def _training_clips(learner) -> pd.DataFrame | None:
    """The clips that a learner, or its DataLoaders, trains on, if known."""
    clips = getattr(getattr(getattr(learner, "dls", learner), "train", None), "clips", None)
    return clips if isinstance(clips, pd.DataFrame) else None


def _refuse_training_clips(predictions: Predictions, trained_on: pd.DataFrame | None) -> None:
    """ValueError if predictions are of clips that the network was trained on."""
    if trained_on is None:
        return
    known = predictions.table["path"][clip_index(predictions.table).isin(clip_index(trained_on))].tolist()
    if known:
        raise ValueError(
            f"{len(known)} of {count(len(predictions), 'clip')} were in the training set of the network that predicted "
            f"them ({examples(known)}): it has memorised their labels; predict the validation set, or take "
            "cross_validate(...), whose predictions are all out of fold"
        )


def _usable_rows(predictions: Predictions) -> np.ndarray:
    """(rows,) int: the clips with a label and probabilities. ValueError if there are none, or only one label."""
    if not predictions.labelled.any():
        raise ValueError(f"none of the {count(len(predictions), 'clip')} has a label: there is nothing to check")
    if len(predictions.vocab) < 2 and not predictions.is_multi:
        raise ValueError(
            f"the vocabulary holds the label {predictions.vocab[0]!r} only: there is no other that could be correct"
        )
    blank = np.isnan(predictions.probs).any(axis=1)
    lost = predictions.labelled & blank
    if not (predictions.labelled & ~blank).any():
        raise ValueError(
            f"all probabilities are NaN ({count(int(lost.sum()), 'clip')}): the network diverged; "
            "train it again with a lower learning rate"
        )
    if lost.any():
        paths = predictions.table["path"][lost]
        warn(f"{count(len(paths), 'clip')} without probabilities (NaN) left out ({examples(paths)})")
    return np.flatnonzero(predictions.labelled & ~blank)


def _warn_single(predictions: Predictions) -> None:
    """The network that predicted the only clip of a label was trained on none."""
    single = [label for label, n in zip(predictions.vocab, predictions.hot.sum(axis=0)) if n == 1]
    if single:
        warn(
            f"{count(len(single), 'label')} with one clip ({examples(single)}): the network that predicted it was trained on no "
            "other, so that it ranks high, correct or not"
        )


def _agreement(predictions: Predictions) -> float:
    """Cohen's kappa of labels and predictions; of several labels per clip, over all clips and labels, with as many predicted as there are."""
    from sklearn.metrics import cohen_kappa_score

    given, chosen = predictions.hot.argmax(axis=1), predictions.probs.argmax(axis=1)
    if predictions.is_multi:
        ranks = (-predictions.probs).argsort(axis=1, kind="stable").argsort(axis=1)
        given, chosen = predictions.hot.ravel(), (ranks < predictions.hot.sum(axis=1, keepdims=True)).ravel()
    kappa = cohen_kappa_score(given, chosen)
    return 1.0 if np.isnan(kappa) else float(kappa)  # nan: one label only, always predicted


def _withdrawn(predictions: Predictions, issue: np.ndarray, least: float) -> np.ndarray:
    """The issues; none, with a warning, if the network agrees with the labels too little to judge them."""
    kappa = _agreement(predictions)
    if kappa >= least or not issue.any():
        return issue
    right = float((predictions.hot == predictions.chosen).all(axis=1).mean())
    warn(
        f"the network predicts {right:.0%} of {count(len(predictions), 'clip')} as they are labelled (Cohen's kappa {kappa:.2f}): it is too weak to "
        f"judge labels, so none of the {int(issue.sum())} doubtful ones is called an issue. Train a better network first, or listen to the "
        "top of the list"
    )
    return np.zeros_like(issue)


# ---------------------------------------------------------------------- the ranking


def label_issues(
    predictions: Run | Blend | SpecInterpretation | Predictions,
    *,
    rank: str = "self_confidence",
    adjust: bool = False,
    min_agreement: float = 0.4,
    trained_on: Learner | DataLoaders | pd.DataFrame | None = None,
) -> pd.DataFrame:
    """Clips ranked by how likely their label is wrong.

    Confident learning decides which are issues [1]_, a label quality their order [2]_. Where clips have several labels, each is a binary
    problem, and the quality of a clip is an exponential moving average over its labels, the worst weighing 0.8 [3]_.

    Parameters
    ----------
    predictions : Run, Blend, SpecInterpretation or Predictions
        Out of fold, or of a validation set.
    rank : {"self_confidence", "normalized_margin", "weighted_entropy"}, default "self_confidence"
        The quality: the label's probability; its margin over the most probable other one; or weighted by entropy. Of 3,000 spoken digits
        with 5 % of labels flipped, the first 5 % of the list held 92 %, 87 % and 90 % of the flips (benchmarks/label_flips.py).
    adjust : bool, default False
        First subtract each label's threshold from its probabilities; in that benchmark this helped the margin only, to 89 %.
    min_agreement : float, default 0.4
        Cohen's kappa of labels and predictions, at most 1, below which the network is too weak to judge: nothing is an issue then, and a
        warning says so. Up to 0.4 agreement is called fair, above moderate [4]_.
    trained_on : Learner, DataLoaders or DataFrame, optional
        What the network was trained on, or a table with the column path; predictions of such clips are refused. Known from an
        interpretation that was made of a learner.

    Returns
    -------
    DataFrame
        One row per clip with a label, by ascending quality; the index is its row in `predictions.table`. Columns: path, if known start,
        end, group, fold; label; suggestion, the network's label, or the same; p_label and p_suggestion, their probabilities; quality, 0 to 1;
        issue, bool. With several labels per clip label, suggestion and their probabilities are lists, and missing and wrong list the labels
        to add and to remove.

    Raises
    ------
    ValueError
        If no clip has a label, there is one label only, all probabilities are NaN, or clips were trained on.

    Warns
    -----
    UserWarning
        For clips left out because their probabilities are NaN, for labels with one clip, and for a network too weak to judge.

    References
    ----------
    .. [1] Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR 70, 2021.
    .. [2] Kuan and Mueller, "Model-agnostic label quality scoring to detect real-world label errors", ICML DataPerf workshop, 2022.
    .. [3] Thyagarajan et al., "Identifying incorrect annotations in multi-label classification data", 2022.
    .. [4] Landis and Koch, "The measurement of observer agreement for categorical data", Biometrics 33, 1977.

    Examples
    --------
    >>> issues = sp.label_issues(run)
    >>> issues[["path", "label", "suggestion", "issue"]].shape
    (12, 4)
    >>> issues["quality"].is_monotonic_increasing
    True
    """
    source = getattr(predictions, "predictions", predictions)
    if not isinstance(source, Predictions):
        raise ValueError(
            f"{type(predictions).__name__} holds no predictions; give a Run, such as Run.open(folder), or Predictions of "
            "held-out clips, such as SpecInterpretation.from_learner(learn)"
        )
    choose(rank, RANKINGS, "ranking")
    rows = _usable_rows(source)
    learner = getattr(predictions, "learn", None) if trained_on is None else trained_on
    seen = learner if isinstance(learner, pd.DataFrame) else _training_clips(learner)
    if trained_on is not None and (seen is None or "path" not in seen):
        raise ValueError(
            f"trained_on={type(trained_on).__name__} names no clips; give the learner, its DataLoaders or a table with "
            "the column 'path'"
        )
    _refuse_training_clips(source, seen)
    kept = source.subset(rows)
    _warn_single(kept)
    found = (_several if source.is_multi else _single)(kept, rank, adjust)
    found["issue"] = _withdrawn(kept, np.asarray(found["issue"], bool), min_agreement)
    table = kept.table[[name for name in [*KEY, "group", "fold"] if name in kept.table]]
    table = table.assign(**{name: pd.Series(list(cells)) for name, cells in found.items()})
    table.index = rows
    first = [name for name in [*KEY, *found] if name in table]
    return table[first + [name for name in table if name not in first]].sort_values("quality", kind="stable")
