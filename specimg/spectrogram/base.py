"""What every representation is: a value that turns samples into a float picture, and knows what its rows, columns and numbers mean.

    spec = Mel(n_mels=64)
    x = spec(y, sr)          # float32 (channels, bins, frames), low frequencies in row 0
    spec.ranges              # what black and white stand for, in spec.unit, one pair a channel: ((-80.0, 0.0),)
    spec.frequencies(sr)     # Hz of each row, or None where rows are not frequencies
    spec.times(frames, sr)   # s of each column

A new one is a frozen dataclass with the decorator `register` (from specimg.core.values) and these few members; trees, pictures and
axes then work with it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ..core.values import Value, kinds

__all__ = ["Representation", "list_representations"]

Range = tuple[float, float]


@dataclass(frozen=True)
class Representation(Value):
    """Base class; see the module's docstring."""

    @abstractmethod
    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """Samples float32 `(samples,)` -> picture float32 `(channels, bins, frames)`."""

    @property
    def channels(self) -> int:
        """Number of channels."""
        return 1

    @property
    def unit(self) -> str:
        """Unit of the numbers."""
        return "dB"

    @property
    def ranges(self) -> tuple[Range | None, ...]:
        """For each channel the values drawn black and white, or None: each picture's own lowest and highest."""
        return (None,) * self.channels

    @abstractmethod
    def hop_seconds(self, sr: int) -> float:
        """Seconds from one column to the next."""

    def first_column(self, sr: int) -> float:
        """Seconds of the middle of column 0; 0 where frames are centred."""
        return 0.0

    def frequencies(self, sr: int) -> np.ndarray | None:
        """Hz of each row `(bins,)`, lowest first; None where rows are not frequencies."""
        return None

    def times(self, frames: int, sr: int) -> np.ndarray:
        """Seconds of the middle of each column `(frames,)`, from the beginning of the samples."""
        return self.first_column(sr) + np.arange(frames) * self.hop_seconds(sr)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the numbers; a tree records their versions."""
        return frozenset({"numpy", "scipy"})

    @property
    def slug(self) -> str:
        """A few letters for the name of a folder."""
        return self.kind


def list_representations() -> list[str]:
    """Names of all representations, as `from_dict` and the command line take them."""
    return list(kinds(Representation))
