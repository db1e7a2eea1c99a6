"""A recipe is how a network is trained; `fit` trains by it, and resumes where it was interrupted.

First only the head of a pretrained network learns (the frozen epochs), then the whole network, its early layers more slowly than the
late ones. Both phases follow the one-cycle policy: the learning rate rises to a peak and falls to almost nothing. The peak is a number,
or found by a short trial run in which the learning rate grows until the loss does (`lr="find"`).

With `out` a training has a folder: the recipe, the table of its epochs, its weights after every epoch. Each epoch takes its
randomness (shuffling, augmentation, mixup, dropout) from a seed of its own, made of the training's seed and its own number. So no
generator has to be saved, and on a CPU a training that was killed and resumed ends in the very weights of one that was not.

>>> sp.Recipe(epochs=10, freeze_epochs=5).replace(lr=0.003).lr
0.003

`recipe` holds the choices, `learner` makes what is trained (`weights_look` knows which pictures belong to weights of sound), `losses` what is minimised (`blending` for clips that are blends); `schedule` follows from a recipe epoch by
epoch, `identity` tells trainings apart, `checkpoint` keeps them, `callbacks` prepare a learner, `tracking` tells others, `speed` makes steps cheap, `loop` trains, `ranks` is for several processes at once, `fitting` is
the public API. Afterwards `predict` passes every clip through the network once (`layers` finds its inner activations), and
`predictions` is the table of the results.
"""

from .blending import BlendedLabels
from .checkpoint import TrainingFolder
from .fitting import fit, load_training, read_history
from .learner import SpecLearner, spec_learner
from .losses import (
    AsymmetricLoss,
    BinaryCrossEntropy,
    ClipWeights,
    FocalLoss,
    GeneralizedCrossEntropy,
    Loss,
    SoftAUC,
    SoftBootstrap,
)
from .predict import predict_all
from .predictions import Predictions
from .ranks import alone
from .recipe import Recipe
from .tracking import Track, list_trackers
from .trained import find_training
from .weights_look import AudioPretrained, audio_pretrained, list_audio_pretrained

__all__ = [
    "AudioPretrained",
    "BlendedLabels",
    "AsymmetricLoss",
    "BinaryCrossEntropy",
    "ClipWeights",
    "FocalLoss",
    "GeneralizedCrossEntropy",
    "Loss",
    "Predictions",
    "Recipe",
    "SoftAUC",
    "SoftBootstrap",
    "SpecLearner",
    "Track",
    "TrainingFolder",
    "alone",
    "audio_pretrained",
    "find_training",
    "fit",
    "list_audio_pretrained",
    "list_trackers",
    "load_training",
    "predict_all",
    "read_history",
    "spec_learner",
]
