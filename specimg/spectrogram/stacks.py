"""Pictures of several channels that did well elsewhere, as plain representations to be changed at will.

Renderer(mel_and_deltas(Mel(n_mels=64)))          # a mel picture, its slope, its curvature
Renderer(three_windows(sr=44100), Picture(), Audio(sr=44100))
Renderer(chroma_mfcc_gfcc(), Picture(), Audio(sr=16000))     # four channels
"""

from __future__ import annotations

from typing import Any

from .banked import Gfcc, Mel, Mfcc
from .base import Representation
from .combined import Delta, Scaled, Stack
from .musical import Chroma


def mel_and_deltas(mel: Representation = Mel(), width: int = 9) -> Stack:
    """A picture, its slope and its curvature in time, as red, green and blue.

    Parameters
    ----------
    mel : Representation, default Mel()
        The picture.
    width : int, default 9
        Frames over which slope and curvature are fitted; clips of fewer frames cannot be drawn.

    Returns
    -------
    Stack
        Three channels.

    Examples
    --------
    >>> sp.spectrogram.mel_and_deltas(sp.Mel(n_mels=64)).channels
    3
    """
    return Stack(mel, Delta(mel, width=width), Delta(mel, order=2, width=width))


def three_windows(
    sr: int, windows: tuple[float, ...] = (0.025, 0.05, 0.1), hop: float = 0.01, n_mels: int = 128, **mel: Any
) -> Stack:
    """Mel pictures through a short, a middle and a long window, as red, green and blue: sharp in time, and sharp in frequency.

    Parameters
    ----------
    sr : int
        Sampling rate in Hz of the recordings as they are drawn; give `Audio(sr=...)` the same.
    windows : tuple of float, default (0.025, 0.05, 0.1)
        Seconds, one a channel, up to four.
    hop : float, default 0.01
        Seconds from frame to frame.
    n_mels : int, default 128
        Filters, rows.
    **mel
        Other fields of `Mel`, such as fmin, fmax or top_db.

    Returns
    -------
    Stack
        A channel for each window.

    Notes
    -----
    The windows of 25, 50 and 100 ms are zero-padded to the longest, on HTK's mel scale, as in the paper (92.89 % on ESC-50 with an
    ensemble of DenseNets). There each window has a hop of its own (10, 25, 50 ms) and the three are resized to one width; here all step
    by `hop`, so that columns are the same instant from the start. Decibels below the loudest cell take the place of its log(power + 1e-6).

    References
    ----------
    Palanisamy, Singhania & Yao, Rethinking CNN models for audio classification, 2020, arXiv:2007.11154.

    Examples
    --------
    >>> stack = sp.three_windows(sr=44100)
    >>> [part.win_length for part in stack.parts], stack.parts[0].hop_length
    ([1102, 2205, 4410], 441)
    """
    if sr < 1 or not windows or min(windows) * sr < 1 or hop * sr < 1:
        raise ValueError(
            f"three_windows(sr={sr}, windows={tuple(windows)}, hop={hop:g}): give Hz, and seconds that hold a sample or "
            f"more"
        )
    lengths = [round(seconds * sr) for seconds in windows]
    common = dict(n_mels=n_mels, n_fft=max(lengths), hop_length=round(hop * sr), htk=True, norm=None) | mel
    return Stack(*(Mel(win_length=length, **common) for length in lengths))


def chroma_mfcc_gfcc(rows: int = 128, n_fft: int = 1024, hop_length: int = 512, by_row: bool = False) -> Stack:
    """Four channels: chroma of the STFT, chroma of the CQT, MFCC and GFCC, each of `rows` rows.

    Parameters
    ----------
    rows : int, default 128
        Rows of every channel.
    n_fft : int, default 1024
        Samples of a Fourier transform.
    hop_length : int, default 512
        Samples from frame to frame.
    by_row : bool, default False
        Each row from 0 to 1, as scikit-learn's MinMaxScaler makes them. Else the chromas are from 0 to 1 and the coefficients of each
        clip are drawn from their lowest to their highest.

    Returns
    -------
    Stack
        Four channels.

    Notes
    -----
    The picture of github.com/WWH98932/Audio-Classification-Models (at 16 kHz, windows of 8.18 s). With `rows` notes to the octave the
    filters of its CQT are long, 5.6 s with 128, and shorter clips are an error; with 12 rows they take 1.6 s. There the GFCC steps by
    508 samples and the tuning is estimated; here all four step alike, and it is 0.

    Examples
    --------
    >>> sp.spectrogram.chroma_mfcc_gfcc(rows=12).slug
    'chroma12-stft+chroma12-cqt+mfcc12+gfcc12'
    """
    parts = (
        Chroma("stft", n_chroma=rows, n_fft=n_fft, hop_length=hop_length),
        Chroma("cqt", n_chroma=rows, hop_length=hop_length),
        Mfcc(n_mfcc=rows, n_mels=max(128, rows), n_fft=n_fft, hop_length=hop_length),
        Gfcc(n_gfcc=rows, n_bands=2 * rows, n_fft=n_fft, hop_length=hop_length, window="hamming"),
    )
    return Stack(*(Scaled(part, by="row") for part in parts) if by_row else parts)
