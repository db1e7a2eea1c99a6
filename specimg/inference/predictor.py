"""What windows of long recordings and exported graphs need of a classifier: a protocol, so that neither of them imports `Classifier`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ..data import NetworkInput
from .post_processing import PostProcessing


class Predictor(Protocol):
    """A network with its input and its labels; `Classifier` is one."""

    model: nn.Module  # the network's input -> logits (batch, classes)
    input: NetworkInput
    vocab: list[str]
    is_multi: bool  # may a clip carry several labels?

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""

    @property
    def thresholds(self) -> np.ndarray:
        """(classes,): the probability above which a clip has each label, if it may have several."""

    def activate(self, logits: Tensor) -> Tensor:
        """Logits (batch, classes) -> probabilities."""

    def for_steps(self, post_processing: PostProcessing) -> Predictor:
        """The same at temperature 1, with the thresholds of these steps."""

    def probabilities(self, x: Tensor) -> np.ndarray:
        """float32 (batch, classes) for a batch of inputs."""

    @property
    def has_frames(self) -> bool:
        """Does the network answer for each frame, too?"""

    def frame_probabilities(self, x: Tensor) -> np.ndarray:
        """float32 (batch, frames, classes) for a batch of inputs."""

    def table_of(
        self, names: Sequence[str], probs: np.ndarray, status: Sequence[str], reject_below: float | None = None
    ) -> pd.DataFrame:
        """The table of predictions: path, label, probability, status, p_<label> ..."""
