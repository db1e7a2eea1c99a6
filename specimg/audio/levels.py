"""How loud a clip is, and the level it is brought to.

loudness(y, sr)                        # LUFS; a 997 Hz sine at full scale has -3.01
normalize_level(y, sr, "loudness")     # at -23 LUFS; also "peak" and "rms"
"""

from __future__ import annotations

import math

import numpy as np

from ..core.samples import takes_samples
from .effects import fit_length, resample

NORMALIZERS = ("peak", "rms", "loudness")
RMS_LEVEL = 0.1  # -20 dB of full scale, where normalize="rms" puts a clip
LOUDNESS = -23.0  # LUFS, where normalize="loudness" puts it: EBU R 128
STANDARD_SR = 48000  # Hz, at which BS.1770 defines its filters
BLOCK = 0.4  # s, the least that it measures


@takes_samples
def loudness(y: np.ndarray, sr: int) -> float:
    """Integrated loudness of a mono clip, measured by pyloudnorm at 48 kHz.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`. A clip shorter than 0.4 s is measured as if it were repeated up to there.
    sr : int
        Sampling rate in Hz.

    Returns
    -------
    float
        LUFS, as one channel (the same sound on both channels of a stereo recording has 3.01 LU more);
        -inf for a clip that is nowhere above -70 LUFS.

    References
    ----------
    ITU-R BS.1770-4, Algorithms to measure audio programme loudness and true-peak audio level, 2015.

    Examples
    --------
    >>> from specimg.audio import loudness
    >>> sine = np.sin(2 * np.pi * 997 * np.arange(48000) / 48000)
    >>> round(loudness(sine, 48000), 2)
    -3.01
    """
    import pyloudnorm

    y = resample(y, sr, STANDARD_SR)
    y = fit_length(y, max(len(y), math.ceil(BLOCK * STANDARD_SR)), "repeat").astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # of silence
        return float(pyloudnorm.Meter(STANDARD_SR, filter_class="DeMan").integrated_loudness(y))


@takes_samples
def normalize_level(y: np.ndarray, sr: int, how: str) -> np.ndarray:
    """Scale a clip to the level that `Audio.normalize` names.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`.
    sr : int
        Sampling rate in Hz.
    how : str
        "peak" (largest magnitude 1), "rms" (0.1, which is -20 dB of full scale) or "loudness" (-23 LUFS).

    Returns
    -------
    np.ndarray
        Samples `(samples,)`; a silent clip (for "loudness": nowhere above -70 LUFS) is returned as it is.
    """
    if how == "loudness":
        level = 10 ** ((loudness(y, sr) - LOUDNESS) / 20)
    elif how == "rms":
        level = float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) / RMS_LEVEL
    else:
        level = float(np.abs(y).max())
    level = np.float32(level)
    return y / level if level > 0 else y
