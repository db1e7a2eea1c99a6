"""The registered metrics as fastai calls them: with a network's raw outputs and the targets, batch by batch.

A Learner shows them after every epoch, under the names that `list_metrics` gives:

>>> learn = Learner(dls, model, metrics=[fastai_metric("accuracy"), fastai_metric("map@3")])      # doctest: +SKIP

fastai averages over batches, weighted by their clips. That is right for means over clips only; the others come as an
AccumMetric, which waits for the last batch.
"""

from __future__ import annotations

import math

from .arrays import UndefinedError
from .registry import get_metric

__all__ = ["FastaiMetric", "fastai_metric"]


class FastaiMetric:
    """A metric as fastai calls it: with the network's outputs and the targets, both tensors.

    It keeps only its name, by which fastai prints it, and so it pickles. Where the outputs hold a nan, or the metric has
    no value on these clips, the result is nan: it is seen in the table, and training is not stopped.
    """

    def __init__(self, name: str):
        self.__name__ = get_metric(name).name

    def __call__(self, pred, targ):
        chosen, pred = get_metric(self.__name__), pred.detach().float()
        if pred.isnan().any():
            return pred.new_tensor(math.nan)
        scores = pred.sigmoid() if chosen.multilabel and chosen.probabilities else pred
        scores, y_true = scores.cpu().numpy(), targ.detach().cpu().numpy()
        try:
            return pred.new_tensor(chosen.function(y_true if chosen.multilabel else y_true.reshape(-1), scores))
        except UndefinedError:
            return pred.new_tensor(math.nan)

    def __repr__(self) -> str:
        return f"FastaiMetric({self.__name__!r})"


def fastai_metric(name: str):
    """The metric `name` for a Learner's `metrics=`; see `list_metrics`.

    The network's raw outputs are ranked as they are; a multi-label metric of probabilities gets their sigmoid. A metric
    that is no mean over clips comes as fastai's AccumMetric, which waits for the last batch.
    """
    called = FastaiMetric(name)
    if get_metric(name).mean_over_clips:
        return called
    from fastai.metrics import AccumMetric

    return AccumMetric(called, flatten=False)
