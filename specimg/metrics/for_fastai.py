"""The registered metrics as fastai calls them: with a network's raw outputs and the targets, batch by batch.

A Learner shows them after every epoch, under the names that `list_metrics` gives:

>>> learn = Learner(dls, model, metrics=[fastai_metric("accuracy"), fastai_metric("map@3")])      # doctest: +SKIP

fastai averages over batches, weighted by their clips. That is right for means over clips only; other metrics become an
AccumMetric, which waits for the last batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .arrays import UndefinedError
from .registry import get_metric

if TYPE_CHECKING:
    from fastai.metrics import AccumMetric


class FastaiMetric:
    """A metric as fastai calls it: with the network's outputs and the targets, both tensors.

    It keeps only its name, by which fastai prints it, so that it pickles. Where the outputs hold nan, or the metric is not
    defined on these clips, the value is nan: it shows in the table, and training goes on.

    Parameters
    ----------
    name : str
        One of `list_metrics()`.

    Examples
    --------
    >>> import torch
    >>> FastaiMetric("accuracy")(torch.tensor([[0.2, 0.8], [0.6, 0.4]]), torch.tensor([1, 1]))
    tensor(0.5000)
    """

    def __init__(self, name: str):
        self.__name__ = get_metric(name).name

    def __call__(self, pred, targ):
        chosen, pred = get_metric(self.__name__), pred.detach().float()
        if pred.isnan().any():
            return pred.new_tensor(math.nan)
        scores = (pred.sigmoid() if chosen.multilabel else pred.softmax(dim=-1)) if chosen.probabilities else pred
        scores, y_true = scores.cpu().numpy(), targ.detach().cpu().numpy()
        try:
            return pred.new_tensor(chosen.function(y_true if chosen.multilabel else y_true.reshape(-1), scores))
        except UndefinedError:
            return pred.new_tensor(math.nan)

    def __repr__(self) -> str:
        return f"FastaiMetric({self.__name__!r})"


def fastai_metric(name: str) -> FastaiMetric | AccumMetric:
    """A metric for the `metrics=` of a fastai Learner.

    The network's raw outputs are ranked as they are; a metric of probabilities gets their softmax, or sigmoid if it is multi-label.

    Parameters
    ----------
    name : str
        One of `list_metrics()`.

    Returns
    -------
    FastaiMetric or fastai's AccumMetric
        The latter if the metric is not a mean over clips and needs the whole validation set.

    Raises
    ------
    ValueError
        The name is unknown.

    Examples
    --------
    >>> fastai_metric("map@3"), type(fastai_metric("lwlrap")).__name__
    (FastaiMetric('map@3'), 'AccumMetric')
    """
    called = FastaiMetric(name)
    if get_metric(name).mean_over_clips:
        return called
    from fastai.metrics import AccumMetric

    return AccumMetric(called, flatten=False)
