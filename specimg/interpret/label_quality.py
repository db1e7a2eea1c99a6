"""Label review: the clips whose label is most likely wrong, the likeliest first, from what networks that never saw them say.

`label_issues` finds them by confident learning (Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset
Labels", JAIR 70). A network is sure of a label where it gives it at least the probability that it gives, on average, to clips that carry
it; a clip that it is surely of another label than its own is an issue. Sounds that a network finds hard all look doubtful; a threshold
for each label allows for that. What a person hears then goes into `corrections.csv`; see `specimg.labels.corrections`.

    run = cross_validate(comp, look, "resnet34", folds=5, out="runs/a")
    doubtful = label_issues(run).head(50)                                                # listen to these: path, label, suggestion ...
    write_corrections(doubtful.assign(corrected=[...]), "corrections.csv")

It needs predictions out of fold: a network knows the labels of its own training by heart, the wrong ones too, and finds none.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from ..core.text import count, examples
from ..core.values import choose
from ..core.warnings import warn
from ..labels.tables import KEY, clip_index
from ..training import Predictions

__all__ = ["label_issues", "list_rankings", "surely"]

RANKINGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {}

_SMALLEST = 1e-12  # a probability that is divided by
_WEIGHT_OF_WORST = 0.8  # of a clip's labels in its quality; the value that the source found best


# ---------------------------------------------------------------------- how good a label is


def _ranking(quality: Callable) -> Callable:
    """Decorator: register `quality(probs, given) -> (n,)`, from 0, surely wrong, to 1, surely right.

    probs : (n, classes), rows of sum 1; given : (n,) int, the label that each clip carries
    """
    RANKINGS[quality.__name__] = quality
    return quality


def list_rankings() -> list[str]:
    """The names that `label_issues` takes as `rank`."""
    return sorted(RANKINGS)


def _of_given(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    return probs[np.arange(len(given)), given]


def _rival(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) int: the most probable of the other labels."""
    return np.where(np.arange(probs.shape[1]) == given[:, None], -1.0, probs).argmax(axis=1)


@_ranking
def self_confidence(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """The probability of the label."""
    return _of_given(probs, given)


@_ranking
def normalized_margin(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """By how much the label is more probable than its nearest rival, moved from [-1, 1] to [0, 1]."""
    return (1 + _of_given(probs, given) - _of_given(probs, _rival(probs, given))) / 2


@_ranking
def weighted_entropy(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Entropy as a share of the largest, divided by the label's probability, x; as quality log(1 + x) / x."""
    entropy = -(probs * np.log(np.maximum(probs, _SMALLEST))).sum(axis=1) / np.log(probs.shape[1])
    x = np.maximum(entropy / np.maximum(_of_given(probs, given), _SMALLEST), _SMALLEST)
    return np.log1p(x) / x


# ---------------------------------------------------------------------- confident learning


def _thresholds(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(classes,): the mean probability of a label over the clips that carry it; infinite where none does."""
    carried = np.bincount(given, minlength=probs.shape[1])
    total = np.bincount(given, weights=_of_given(probs, given), minlength=probs.shape[1])
    return np.where(carried > 0, total / np.maximum(carried, 1), np.inf)


def surely(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """(n,) int: the label that each clip surely has, -1 where the network is sure of none.

    A network is sure of a label from the mean probability that it gives to clips that carry it; of several such labels the most probable
    counts. Counted by the label given and the label surely had, the clips are the confident joint (Northcutt et al. 2021, eq. 1).

    probs : (n, classes), rows of sum 1; given : (n,) int
    """
    reached = np.where(
        probs >= _thresholds(probs, given) - 1e-6, probs, -1.0
    )  # a class of equal probabilities reaches its own mean
    return np.where(reached.max(axis=1, initial=-1.0) >= 0, reached.argmax(axis=1), -1)


def _adjusted(probs: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Probabilities less their thresholds, moved and scaled so that they are probabilities again: labels the network finds hard gain."""
    thresholds = _thresholds(probs, given)
    thresholds = np.where(np.isfinite(thresholds), thresholds, thresholds[np.isfinite(thresholds)].max())
    moved = probs - thresholds + thresholds.max()
    return moved / np.maximum(moved.sum(axis=1, keepdims=True), _SMALLEST)


def _judge(probs: np.ndarray, given: np.ndarray, rank: str, adjust: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(quality (n,) of each label, suggestion (n,) int, issue (n,) bool)."""
    quality = RANKINGS[rank](_adjusted(probs, given) if adjust else probs, given)
    sure = surely(probs, given)
    # of a label with few clips the threshold may be so low that clips reach it whose own label is far more probable
    issue = (sure >= 0) & (sure != given) & (_of_given(probs, np.maximum(sure, 0)) > _of_given(probs, given))
    return quality, np.where(issue, sure, probs.argmax(axis=1)), issue


# ---------------------------------------------------------------------- one label a clip


def _single(predictions: Predictions, rank: str, adjust: bool) -> dict[str, list | np.ndarray]:
    probs, given, vocab = (
        predictions.probs.astype(float),
        predictions.hot.argmax(axis=1),
        np.array(predictions.vocab, object),
    )
    quality, suggestion, issue = _judge(probs, given, rank, adjust)
    return {
        "label": vocab[given],
        "suggestion": vocab[suggestion],
        "p_label": _of_given(probs, given),
        "p_suggestion": _of_given(probs, suggestion),
        "quality": quality,
        "issue": issue,
    }


# ---------------------------------------------------------------------- several labels a clip


def _pooled(quality: np.ndarray) -> np.ndarray:
    """(n,) from (n, labels): a clip's quality, an exponential moving average from its best label to its worst, which weighs most."""
    best_first = -np.sort(-quality, axis=1)
    pooled = best_first[:, 0]
    for each in best_first.T[1:]:
        pooled = _WEIGHT_OF_WORST * each + (1 - _WEIGHT_OF_WORST) * pooled
    return pooled


def _several(predictions: Predictions, rank: str, adjust: bool) -> dict[str, list | np.ndarray]:
    """Each label is a question of yes or no, judged by itself; a clip is an issue where one of its answers is."""
    hot, vocab = predictions.hot, predictions.vocab
    quality, doubted = np.empty(hot.shape), np.empty(hot.shape, bool)
    for k, p in enumerate(predictions.probs.T.astype(float)):
        quality[:, k], _, doubted[:, k] = _judge(np.stack([1 - p, p], axis=1), hot[:, k].astype(int), rank, adjust)

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


# ---------------------------------------------------------------------- what may be judged


def _training_clips(learner) -> pd.DataFrame | None:
    """The clips that a learner, or its DataLoaders, trains on, where these say so."""
    clips = getattr(getattr(getattr(learner, "dls", learner), "train", None), "clips", None)
    return clips if isinstance(clips, pd.DataFrame) else None


def _refuse_seen(predictions: Predictions, trained_on: pd.DataFrame | None) -> None:
    """ValueError where predictions are of clips that the network was trained on."""
    if trained_on is None:
        return
    known = predictions.table["path"][clip_index(predictions.table).isin(clip_index(trained_on))].tolist()
    if known:
        raise ValueError(
            f"{len(known)} of {count(len(predictions), 'clip')} were trained on by the network that judges them "
            f"({examples(known)}): it knows their labels by heart; predict the validation set, or take cross_validate(...), "
            "which judges every clip unseen"
        )


def _judgeable(predictions: Predictions) -> np.ndarray:
    """(rows,) int: the clips with a label and with probabilities. ValueError where there is nothing to judge or to judge by."""
    if not predictions.labelled.any():
        raise ValueError(f"none of the {count(len(predictions), 'clip')} has a label; there is none to doubt")
    if len(predictions.vocab) < 2 and not predictions.is_multi:
        raise ValueError(
            f"the vocabulary holds the label {predictions.vocab[0]!r} only; there is no other that could be right"
        )
    blank = np.isnan(predictions.probs).any(axis=1)
    lost = predictions.labelled & blank
    if not (predictions.labelled & ~blank).any():
        raise ValueError(
            f"all probabilities are NaN ({count(int(lost.sum()), 'clip')}): the network diverged; "
            "train it again at a lower rate"
        )
    if lost.any():
        paths = predictions.table["path"][lost]
        warn(f"{count(len(paths), 'clip')} without probabilities (NaN) left out ({examples(paths)})")
    return np.flatnonzero(predictions.labelled & ~blank)


def _warn_lonely(predictions: Predictions) -> None:
    """A label that one clip carries was never heard by the network that judged this clip."""
    lonely = [label for label, n in zip(predictions.vocab, predictions.hot.sum(axis=0)) if n == 1]
    if lonely:
        warn(
            f"{count(len(lonely), 'label')} carried by one clip ({examples(lonely)}): who judged it had never heard another, so that it "
            "stands high in the list, right or wrong"
        )


# ---------------------------------------------------------------------- the list


def label_issues(predictions, *, rank: str = "self_confidence", adjust: bool = False, trained_on=None) -> pd.DataFrame:
    """The clips by how likely their label is wrong, the likeliest first.

    Confident learning (Northcutt, Jiang, Chuang 2021, JAIR 70) says which are issues, a label quality (Kuan, Mueller 2022,
    "Model-agnostic label quality scoring to detect real-world label errors") in which order they are best listened to. Where clips
    carry several labels, each is judged as a question of yes or no, and a clip's quality is an exponential moving average of its
    labels' qualities, the worst weighing 0.8 (Thyagarajan et al. 2022, "Identifying incorrect annotations in multi-label classification
    data").

    Parameters
    ----------
    predictions : out of fold: a `Run`, a blend, or `Predictions` (or the interpretation) of a validation set
    rank : "self_confidence", the label's probability; "normalized_margin", against its nearest rival; "weighted_entropy". Of 3,000 spoken
        digits with one label in 20 flipped, the first found 92 % of the flips in the first 5 % of the list and 98.7 % in the first 10 %,
        the second 87 % and 98.0 %, the third 90 % and 97.3 % (benchmarks/label_flips.py)
    adjust : first allow for labels that the network finds hard, as confident learning does; there it helped the margin only, to 89 %
    trained_on : the learner, its DataLoaders or a table with the column path; predictions of clips that it was trained on are refused. An
        interpretation made of a learner knows it

    Returns one row for each clip that has a label; the index is its row in `predictions.table`:

    path, start, end, group, fold : where known
    label : what it carries; a list where clips may carry several
    suggestion : what the network says instead, the label itself where it agrees
    p_label, p_suggestion : their probabilities; lists beside lists
    quality : of the label, 0 to 1; the list is sorted by it, issues not first
    issue : does confident learning call it wrong?
    missing, wrong : only with several labels: those that the clip lacks, and those that it carries in error

    Raises ValueError where no clip has a label, there is only one label, all probabilities are NaN, or clips were trained on. Warns of
    clips whose probabilities are NaN, which are left out, and of labels that one clip carries.
    """
    source = getattr(predictions, "predictions", predictions)
    if not isinstance(source, Predictions):
        raise ValueError(
            f"{type(predictions).__name__} holds no predictions; give a Run, such as Run.open(folder), or Predictions of "
            "clips that the network never saw, such as SpecInterpretation.from_learner(learn)"
        )
    choose(rank, RANKINGS, "ranking")
    rows = _judgeable(source)
    learner = getattr(predictions, "learn", None) if trained_on is None else trained_on
    seen = learner if isinstance(learner, pd.DataFrame) else _training_clips(learner)
    if trained_on is not None and (seen is None or "path" not in seen):
        raise ValueError(
            f"trained_on={type(trained_on).__name__} does not say on what; give the learner, its DataLoaders or a table with "
            "the column 'path'"
        )
    _refuse_seen(source, seen)
    kept = source.subset(rows)
    _warn_lonely(kept)
    judged = (_several if source.is_multi else _single)(kept, rank, adjust)
    table = kept.table[[name for name in [*KEY, "group", "fold"] if name in kept.table]]
    table = table.assign(**{name: pd.Series(list(cells)) for name, cells in judged.items()})
    table.index = rows
    first = [name for name in [*KEY, *judged] if name in table]
    return table[first + [name for name in table if name not in first]].sort_values("quality", kind="stable")
