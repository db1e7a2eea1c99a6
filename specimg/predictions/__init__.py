"""Predictions: one pass over the clips, kept as one table.

`predict_all` sends every clip of a loader through the network once and keeps what came out: the probabilities, the
loss, and the embedding, which is what the network's last linear layer was given. Top losses, confusion, t-SNE,
out-of-fold tables and submissions are all read from that one value; nothing is computed twice.

>>> valid = predict_all(learn)                                 # doctest: +SKIP
>>> valid.table.nlargest(3, "loss")[["path", "target"]]        # doctest: +SKIP
>>> valid.save("valid.npz")                                    # doctest: +SKIP
>>> Predictions.load("valid.npz").score("map@3")               # doctest: +SKIP
0.914
"""

from .layers import find_layer
from .passing import activation, predict_all
from .table import Predictions

__all__ = ["Predictions", "predict_all", "activation", "find_layer"]
