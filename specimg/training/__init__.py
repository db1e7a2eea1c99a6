"""A recipe says how a network is trained; `fit` trains it so, and goes on where it was stopped.

First only the head of a pretrained network learns (the frozen epochs), then the whole network does, its early layers
more slowly than the late ones. Both phases follow the one-cycle policy: the rate rises to a peak and falls to almost
nothing. The peak is a number, or found by a short trial run in which the rate grows until the loss does (`lr="find"`).

With `out` a training has a folder: the recipe, the table of its epochs, its weights after every epoch. Each epoch takes
its randomness (shuffling, augmentation, mixup, dropout) from a seed of its own, made of the training's seed and its own number.
So no generator has to be saved, and on a CPU a training that was killed ends in the very weights of one that was not.

>>> from specimg.training import Recipe
>>> Recipe(epochs=10, freeze_epochs=5).replace(lr=0.003).lr
0.003

`recipe` is what is decided, `learner` what is trained, `losses` what is minimised; `schedule` follows from a recipe epoch by epoch,
`identity` tells runs apart, `checkpoint` keeps them, `callbacks` equip a learner, `loop` trains, `fitting` is what people call. Afterwards
`predict` sends every clip through the network once, and `predictions` is the table of what came out.
"""

from .callbacks import mixed_precision
from .checkpoint import TrainingFolder, folder_action
from .fitting import fit, fit_or_load, load_training, read_history
from .identity import differences, shown_pictures
from .layers import find_layer
from .learner import spec_learner
from .loop import KEPT, SEARCHED
from .losses import GeneralizedCrossEntropy, LossFunction, SoftBootstrap
from .predict import activation, predict_all
from .predictions import Predictions
from .recipe import Recipe
from .schedule import PHASES, best_row, divergence, epoch_seed, peak_rates, search_length, stopped_early

__all__ = [
    "KEPT",
    "PHASES",
    "SEARCHED",
    "LossFunction",
    "GeneralizedCrossEntropy",
    "Predictions",
    "Recipe",
    "SoftBootstrap",
    "TrainingFolder",
    "activation",
    "best_row",
    "differences",
    "divergence",
    "epoch_seed",
    "find_layer",
    "fit",
    "fit_or_load",
    "folder_action",
    "load_training",
    "mixed_precision",
    "peak_rates",
    "predict_all",
    "read_history",
    "search_length",
    "shown_pictures",
    "spec_learner",
    "stopped_early",
]
