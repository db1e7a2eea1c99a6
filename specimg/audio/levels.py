"""What is judged by level: which parts of a clip are silence, how loud it is, and how loud it is made.

    y = y[slice(*trim_span(y, trim_db=40))]                      # beginning and end, as librosa.effects.trim
    parts = [y[a:b] for a, b in split_spans(y, split_db=40)]     # what sounds, as librosa.effects.split
    loudness(y, sr)                                              # LUFS; a 997 Hz sine at full scale has -3.01

Loudness is that of ITU-R BS.1770-4, of one channel: the level after a filter that hears like a head, over blocks of 0.4 s, of
which the silent and the quiet ones do not count.
"""

from __future__ import annotations

import functools
import math

import numpy as np

__all__ = ["trim_span", "split_spans", "loudness", "normalize"]

NORMALIZERS = ("peak", "rms", "loudness")
RMS_LEVEL = 0.1  # -20 dB of full scale, where normalize="rms" puts a clip
LOUDNESS = -23.0  # LUFS, where normalize="loudness" puts it: EBU R 128
FRAME, HOP = 2048, 512  # samples: librosa.effects.trim's own
FLOOR = 1e-10  # mean power below this counts as this, also librosa's


# ---------------------------------------------------------------------- silence


def _is_loud(y: np.ndarray, below_db: float) -> np.ndarray:
    """bool `(frames,)`: which frames, centred on every 512th sample, are at most `below_db` quieter than the loudest.

    Nothing counts as quieter than -100 dB, so that silence throughout is loud throughout.
    """
    squares = np.concatenate([[0.0], np.cumsum(np.square(y, dtype=np.float64))])
    starts = np.arange(0, len(y) + 1, HOP) - FRAME // 2
    power = squares[np.clip(starts + FRAME, 0, len(y))] - squares[np.clip(starts, 0, len(y))]
    power = np.maximum(power, FRAME * FLOOR)
    return power > power.max() * 10 ** (-below_db / 10)


def trim_span(y: np.ndarray, trim_db: float) -> tuple[int, int]:
    """First and last sample (exclusive) that stay when beginning and end more than `trim_db` below the loudest frame go.

    The frames and the rule are those of `librosa.effects.trim`; a clip that is silent throughout stays whole.
    """
    loud = np.flatnonzero(_is_loud(y, trim_db))
    return int(loud[0]) * HOP, min(len(y), (int(loud[-1]) + 1) * HOP)


def split_spans(y: np.ndarray, split_db: float) -> np.ndarray:
    """int `(spans, 2)`: first and last sample (exclusive) of each part that is nowhere more than `split_db` below the loudest frame.

    The numbers of `librosa.effects.split`; a clip that is silent throughout is one span.
    """
    loud = np.concatenate([[False], _is_loud(y, split_db), [False]])
    return np.minimum(np.flatnonzero(loud[1:] != loud[:-1]) * HOP, len(y)).reshape(-1, 2)


# ---------------------------------------------------------------------- loudness

# BS.1770-4, tables 1 and 2: (b, a) at 48 kHz. The head (a shelf, 4 dB above 2 kHz) and a high-pass at 38 Hz; each with the
# frequency in Hz at which it keeps its exact response at other rates: that of the standard's calibration, and its own.
_SHELF = (1.53512485958697, -2.69169618940638, 1.19839281085285), (1.0, -1.69065929318241, 0.73248077421585), 997.0
_HIGHPASS = (1.0, -2.0, 1.0), (1.0, -1.99004745483398, 0.99007225036621), 38.13547087602444
_OFFSET = -0.691  # dB, takes out what the filter adds at 997 Hz
_BLOCK, _STEP = 0.4, 0.1  # s
_SILENCE, _QUIET = -70.0, -10.0  # LUFS, and LU below the mean of what is no silence: blocks below do not count


def _bilinear(c) -> np.ndarray:
    """A polynomial in 1/z as one in s (highest power first), or back, but for a factor: z = (1 + s) / (1 - s)."""
    return np.array([c[0] - c[1] + c[2], 2 * (c[0] - c[2]), c[0] + c[1] + c[2]])


def _at_rate(b, a, exact_hz: float, sr: int) -> np.ndarray:
    """A second-order section `(6,)` that does at `sr` what `b, a` do at 48 kHz: to s, to the new rate, and back."""
    stretch = math.tan(math.pi * exact_hz / 48000) / math.tan(math.pi * exact_hz / sr)
    scale = np.array([stretch**2, stretch, 1.0])
    (b0, b1, b2), (a0, a1, a2) = (
        (x + y + z, 2 * (z - x), x - y + z) for x, y, z in (_bilinear(b) * scale, _bilinear(a) * scale)
    )
    return np.array([b0, b1, b2, a0, a1, a2]) / a0


@functools.lru_cache(maxsize=16)
def _k_weighting(sr: int) -> np.ndarray:
    """The filter before loudness is measured, second-order sections `(2, 6)`; what lies above half the rate is left out."""
    return np.array([_at_rate(*stage, sr) for stage in (_SHELF, _HIGHPASS) if sr > 2 * stage[2]]).reshape(-1, 6)


def _lufs(power) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return _OFFSET + 10 * np.log10(power)


def _block_powers(y: np.ndarray, sr: int) -> np.ndarray:
    """Mean squares of blocks of 0.4 s, each 0.1 s after the last; of a shorter clip the whole is one block."""
    squares = np.concatenate([[0.0], np.cumsum(np.square(y))])
    n_blocks = math.floor((len(y) / sr - _BLOCK) / _STEP + 1e-9) + 1
    if n_blocks < 1:
        return squares[-1:] / len(y)
    first = np.round(np.arange(n_blocks) * _STEP * sr).astype(int)
    last = np.minimum(first + max(1, round(_BLOCK * sr)), len(y))
    return (squares[last] - squares[first]) / np.maximum(last - first, 1)


def loudness(y: np.ndarray, sr: int) -> float:
    """Integrated loudness of a mono clip in LUFS (ITU-R BS.1770-4); -inf for a clip that is nowhere above -70 LUFS.

    As one channel: the same sound on both channels of a stereo recording has 3.01 LU more. A clip shorter than 0.4 s is
    measured whole, without the relative gate.
    """
    from scipy.signal import sosfilt

    sections = _k_weighting(sr)
    powers = _block_powers(sosfilt(sections, y.astype(np.float64)) if len(sections) else y.astype(np.float64), sr)
    powers = powers[_lufs(powers) > _SILENCE]
    if not len(powers):
        return -math.inf
    gate = _lufs(powers.mean()) + _QUIET
    return float(_lufs(powers[_lufs(powers) > gate].mean()))


# ---------------------------------------------------------------------- normalising


def normalize(y: np.ndarray, sr: int, how: str) -> np.ndarray:
    """`y` at the level that `Audio.normalize` asks for; what is silent (for "loudness": nowhere above -70 LUFS) is left alone."""
    if how == "loudness":
        level = 10 ** ((loudness(y, sr) - LOUDNESS) / 20)
    elif how == "rms":
        level = float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))) / RMS_LEVEL
    else:
        level = float(np.abs(y).max())
    level = np.float32(level)
    return y / level if level > 0 else y
