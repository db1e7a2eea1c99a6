"""The mean of a network's weights over its training, which often answers better than the weights of any one step.

`Recipe(ema=0.999)` keeps an exponential moving average over the steps, `Recipe(average_last=3)` the plain mean of the weights after the
last three epochs. Either is kept beside the weights that are trained, in the same checkpoint, and takes their place at the end:

fit(learn, Recipe(epochs=10, ema=0.999), out="trained/first")
ema 0.999: valid_loss 0.4110, accuracy 0.8930; the last epoch's weights: valid_loss 0.4402, accuracy 0.8860

timm's `ModelEmaV3` and torch's `AveragedModel` do the averaging.
"""

from __future__ import annotations

import torch
from fastai.vision.all import Callback, Learner
from timm.utils import ModelEmaV3, unwrap_model
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, update_bn

from .identity import device_of
from .learner import seed_generators
from .predict import idle_recorder
from .schedule import Progress, epoch_seed


def _copied(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: part.detach().clone() for name, part in model.state_dict().items()}


class WeightAverage(Callback):
    """Averaged weights beside those that are trained. `state` is all that a resumed training needs.

    `kind` names the average in what is printed, `mean` is the network with averaged weights, `n` the steps or epochs averaged so far.
    """

    run_valid = False

    def __init__(self, kind: str, mean: torch.nn.Module) -> None:
        self.kind, self.mean, self.n = kind, mean, 0

    def state(self) -> dict:
        """{"model": averaged weights, "n": of how many steps or epochs}."""
        return {"model": self.mean.state_dict(), "n": self.n}

    def load(self, state: dict) -> None:
        """Go on from a `state`."""
        self.mean.load_state_dict(state["model"])
        self.n = state["n"]

    def after_epoch_of(self, model: torch.nn.Module, left: int) -> None:
        """An epoch is over, after which `left` unfrozen ones are to come."""

    def after_training(self, learn: Learner, seed: int) -> None:
        """What the average needs before it can answer."""

    def said(self, judged: dict) -> str:
        """What it scored, as a line."""
        averaged, last = (
            ", ".join(f"{name} {figure:.4f}" for name, figure in judged[part].items()) for part in ("averaged", "last")
        )
        return (
            f"{self.kind}: {averaged}; the last epoch's weights: {last}" if averaged else f"{self.kind}: not validated"
        )


class Ema(WeightAverage):
    """Exponential moving average over steps, of the statistics of batch normalisation too; every epoch is validated with it.

    The decay rises to its value as 1 - (1 + step) ** (-2/3), so that the random weights of the beginning are soon forgotten.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.average, self.trained = ModelEmaV3(model, decay=decay, use_warmup=True), None
        super().__init__(f"ema {decay:g}", self.average.module)

    def after_step(self) -> None:
        self.n += 1
        self.average.update(unwrap_model(self.learn.model), step=self.n)

    def restore(self, model: torch.nn.Module) -> None:
        """The trained weights again, where validation has put the average in their place."""
        if self.trained is not None:
            unwrap_model(model).load_state_dict(self.trained)
            self.trained = None

    def before_validate(self) -> None:
        model = unwrap_model(self.learn.model)
        self.trained = _copied(model)
        model.load_state_dict(self.mean.state_dict())

    def after_validate(self) -> None:
        self.restore(self.learn.model)


class MeanOfLast(WeightAverage):
    """Mean of the weights after each of the last epochs; the statistics of batch normalisation are measured again at the end."""

    def __init__(self, model: torch.nn.Module, epochs: int) -> None:
        self.average, self.epochs = AveragedModel(model), epochs
        super().__init__(f"mean of the last {epochs} epochs", self.average.module)

    def load(self, state: dict) -> None:
        super().load(state)
        self.average.n_averaged.fill_(self.n)

    def after_epoch_of(self, model: torch.nn.Module, left: int) -> None:
        if left < self.epochs:
            self.n += 1
            self.average.update_parameters(model)

    def after_training(self, learn: Learner, seed: int) -> None:
        seed_generators(learn.dls, epoch_seed(seed, "average", 0))
        update_bn(learn.dls.train, self.mean)


def averaging(learn: Learner, progress: Progress) -> WeightAverage | None:
    """The average that the recipe asks for, as far as it has come; None where it asks for none."""
    recipe = progress.recipe
    if not (recipe.ema or recipe.average_last):
        return None
    model = learn.model.to(device_of(learn))
    average = Ema(model, recipe.ema) if recipe.ema else MeanOfLast(model, recipe.average_last)
    if progress.average is not None:
        average.load(progress.average)
    return average


def _scores(learn: Learner) -> dict[str, float]:
    """Loss and metrics on the validation clips; {} where there are none."""
    if not len(learn.dls.valid):
        return {}
    with learn.no_bar(), idle_recorder(learn, metrics=True):
        figures = learn.validate()
    names = ["valid_loss", *(metric.name for metric in learn.metrics)]
    return {name: float(figure) for name, figure in zip(names, figures) if figure is not None}


def judged(learn: Learner, average: WeightAverage) -> dict:
    """{"kind", "averaged": scores on the validation clips, "last": those of the last epoch's weights}; the latter stay in the learner."""
    last, trained = _scores(learn), _copied(learn.model)
    learn.model.load_state_dict(average.mean.state_dict())
    averaged = _scores(learn)
    learn.model.load_state_dict(trained)
    return {"kind": average.kind, "averaged": averaged, "last": last}
