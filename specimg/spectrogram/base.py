"""What every representation is: a value that turns samples into a float picture, and knows what its rows, columns and numbers mean.

    spec = Mel(n_mels=64)
    x = spec(y, sr)          # float32 (channels, bins, frames), low frequencies in row 0
    spec.ranges              # what black and white stand for, in spec.unit, one pair a channel: ((-80.0, 0.0),)
    spec.frequencies(sr)     # Hz of each row, or None if rows are not frequencies
    spec.times(frames, sr)   # s of each column

A new one is a frozen dataclass with the decorator `specimg.core.values.register` and these few members; trees, pictures and axes then
work with it.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from ..core.samples import takes_samples
from ..core.values import Value, kinds

Range = tuple[float, float]


@dataclass(frozen=True)
class Representation(Value):
    """Base class of the representations: a value that turns samples into a float picture.

    A new one is a frozen dataclass with the decorator `register`, a `__call__`, `hop_seconds`, and what differs of `channels`, `unit`,
    `ranges`, `first_column`, `frequencies`, `libraries` and `slug`.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)                    # and @register above it, with which trees can be opened again
    ... class Envelope(sp.spectrogram.Representation):
    ...     hop_length: int = 512
    ...     unit = "amplitude"
    ...     def __call__(self, y, sr):
    ...         frames = y[: len(y) // self.hop_length * self.hop_length].reshape(-1, self.hop_length)
    ...         return np.abs(frames).max(axis=1)[None, None]
    ...     def hop_seconds(self, sr):
    ...         return self.hop_length / sr
    >>> y, sr = sp.read_audio("dog.wav")
    >>> Envelope()(y, sr).shape, sp.Renderer(Envelope())("dog.wav").size
    ((1, 1, 7), (7, 1))
    """

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if "__call__" in cls.__dict__:
            cls.__call__ = takes_samples(cls.__call__, position=1)

    @abstractmethod
    def __call__(self, y: np.ndarray, sr: int) -> np.ndarray:
        """The picture float32 `(channels, bins, frames)` of samples float32 `(samples,)` at `sr` Hz, low frequencies in row 0."""

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
        """Values drawn black and white, one pair a channel; None for each picture's own lowest and highest."""
        return (None,) * self.channels

    @abstractmethod
    def hop_seconds(self, sr: int) -> float:
        """Time from one column to the next.

        Parameters
        ----------
        sr : int
            Sampling rate in Hz.

        Returns
        -------
        float
            Seconds.
        """

    def first_column(self, sr: int) -> float:
        """Time of the middle of column 0.

        Parameters
        ----------
        sr : int
            Sampling rate in Hz.

        Returns
        -------
        float
            Seconds; 0 if frames are centred.
        """
        return 0.0

    def frequencies(self, sr: int) -> np.ndarray | None:
        """Frequency of each row.

        Parameters
        ----------
        sr : int
            Sampling rate in Hz.

        Returns
        -------
        np.ndarray or None
            Hz `(bins,)`, lowest first; None if rows are not frequencies.
        """
        return None

    def times(self, frames: int, sr: int) -> np.ndarray:
        """Time of the middle of each column.

        Parameters
        ----------
        frames : int
            Number of columns.
        sr : int
            Sampling rate in Hz.

        Returns
        -------
        np.ndarray
            Seconds `(frames,)` from the beginning of the samples.
        """
        return self.first_column(sr) + np.arange(frames) * self.hop_seconds(sr)

    @property
    def libraries(self) -> frozenset[str]:
        """Packages whose arithmetic is in the numbers; a tree records their versions."""
        return frozenset({"numpy", "scipy"})

    @property
    def slug(self) -> str:
        """Short text for the name of a folder."""
        return self.kind


def list_representations() -> list[str]:
    """Names of all representations, as `Representation.from_dict` and the command line take them.

    Returns
    -------
    list of str

    Examples
    --------
    >>> sp.list_representations()[:4]
    ['chroma', 'contrast', 'cqt', 'delta']
    """
    return list(kinds(Representation))
