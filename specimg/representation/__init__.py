"""Samples become a float picture: float32 `(channels, bins, frames)`, low frequencies in row 0.

`base` says what a representation is, `spectrum` holds the arithmetic, `framed` has Mel, Stft and Mfcc, `combined` has Delta
and Stack. Parameters, defaults and numbers are librosa's.
"""

from .base import Representation, list_representations
from .combined import Delta, Stack
from .framed import Mel, Mfcc, Stft

__all__ = ["Delta", "Mel", "Mfcc", "Representation", "Stack", "Stft", "list_representations"]
