"""Samples become a float picture, float32 `(channels, bins, frames)` with low frequencies in row 0; a float picture becomes pixels.

`base` says what a representation is. `framed` has Stft, and what windowed frames share; `banked` Mel, Mfcc, Gammatone and Gfcc;
`musical` Cqt, Vqt, Chroma, Tonnetz and Contrast; `combined` Delta, Scaled and Stack; `stacks` stacks that others did well with. The
arithmetic is in `spectrum`, `filters` and `constant_q`. Parameters, defaults and numbers are librosa's where it has them. `picture` turns
the floats into a PNG that describes itself, and back.
"""

from .banked import Gammatone, Gfcc, Mel, Mfcc, Pcen
from .base import Representation, list_representations
from .combined import Delta, Scaled, Stack
from .framed import Stft
from .musical import Chroma, Contrast, Cqt, Tonnetz, Vqt
from .picture import Picture, PictureError, PictureInfo, describe, read_picture, show_picture
from .stacks import chroma_mfcc_gfcc, mel_and_deltas, three_windows

__all__ = [
    "Picture",
    "PictureError",
    "PictureInfo",
    "describe",
    "read_picture",
    "show_picture",
    "Chroma",
    "Contrast",
    "Cqt",
    "Delta",
    "Gammatone",
    "Gfcc",
    "Mel",
    "Mfcc",
    "Pcen",
    "Representation",
    "Scaled",
    "Stack",
    "Stft",
    "Tonnetz",
    "Vqt",
    "chroma_mfcc_gfcc",
    "list_representations",
    "mel_and_deltas",
    "three_windows",
]
