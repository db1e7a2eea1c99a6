"""A recipe says how a network is trained; `fit` trains it so, and goes on where it was stopped.

First only the head of a pretrained network learns (the frozen epochs), then the whole network does, its early layers
more slowly than the late ones. Both phases follow the one-cycle policy: the rate rises to a peak and falls to almost
nothing. The peak is a number, or found by a short trial run in which the rate grows until the loss does (`lr="find"`).

With `out` a run lives in a folder: the recipe, the table of its epochs, its weights after every epoch. Each epoch draws
its chances (shuffling, augmentation, mixup, dropout) from a seed of its own, made of the run's seed and its own number.
So no generator has to be saved, and on a CPU a run that was killed ends in the very weights of one that was not.

>>> from specimg.recipe import Recipe
>>> Recipe(epochs=10, freeze_epochs=5).replace(lr=0.003).lr
0.003

`value` is what is decided, `schedule` what follows from it epoch by epoch, `identity` by what a run is known again, `folder` where it
is kept, `equipping` what a learner is given for it, `training` how it is carried out, and `fitting` what people call.
"""

from .equipping import mixed_precision
from .fitting import fit, fit_or_load, load_run, read_history
from .folder import folder_action
from .identity import differences, shown_pictures
from .schedule import PHASES, best_row, divergence, epoch_seed, peak_rates, search_length, stopped_early
from .training import KEPT, SEARCHED
from .value import Recipe

__all__ = [
    "KEPT", "PHASES", "SEARCHED", "Recipe", "best_row", "differences", "divergence", "epoch_seed", "fit", "fit_or_load", "folder_action",
    "load_run", "mixed_precision", "peak_rates", "read_history", "search_length", "shown_pictures", "stopped_early",
]
