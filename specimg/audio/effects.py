"""What changes the sound of a clip: another sampling rate, less noise, a band of frequencies, another length.

    y = resample(y, 44100, 32000)
    y = filter_band(y, 32000, highpass_hz=200, lowpass_hz=4000)      # Butterworth, zero phase
    y = fit_length(y, 5 * 32000, pad="repeat")

Filters are cascades of second-order sections. As a single fraction of polynomials, the form in which textbooks write them, a
Butterworth filter of order 35 at 3 kHz has poles outside the unit circle once it is rounded to double precision, and is unstable
at 44.1 kHz; its sections stay stable.
"""

from __future__ import annotations

import math

import numpy as np

from ..core.samples import takes_samples
from ..core.values import choose

PADS = ("silence", "repeat", "reflect")
DENOISERS = ("stationary", "nonstationary")
GATE_WINDOW = 1024  # samples, of noisereduce, which fails on shorter clips
MAX_FILTER_ORDER = 48  # of a filter: beyond it the gain of its sections leaves double precision


@takes_samples
def resample(y: np.ndarray, sr: int, target_sr: int) -> np.ndarray:
    """Resample a clip in soxr's high quality.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`.
    sr, target_sr : int
        Sampling rates in Hz, before and after.

    Returns
    -------
    np.ndarray
        float32 `(ceil(samples * target_sr / sr),)`, the length that `librosa.resample` gives.

    Examples
    --------
    >>> sp.audio.resample(np.zeros(44100, "float32"), 44100, 32000).shape
    (32000,)
    """
    if sr == target_sr:
        return y
    import soxr

    out = soxr.resample(y, sr, target_sr, quality="HQ").astype(np.float32, copy=False)
    return fit_length(out, math.ceil(len(y) * (target_sr / sr)))


@takes_samples
def fit_length(y: np.ndarray, n_samples: int, pad: str = "silence") -> np.ndarray:
    """Cut a clip at its end, or pad it there.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`.
    n_samples : int
        Samples of the result.
    pad : str, default "silence"
        What a shorter clip is padded with: "silence" adds zeros, "repeat" plays the clip again, "reflect" plays it backwards and
        forwards in turn.

    Returns
    -------
    np.ndarray
        Samples `(n_samples,)`.

    Examples
    --------
    >>> y = np.array([1.0, 2.0, 3.0])
    >>> sp.audio.fit_length(y, 2), sp.audio.fit_length(y, 5, pad="reflect")
    (array([1., 2.]), array([1., 2., 3., 2., 1.]))
    """
    choose(pad, PADS, "pad")
    n = len(y)
    if n >= n_samples:
        return y[:n_samples]
    if pad == "silence":
        return np.concatenate([y, np.zeros(n_samples - n, y.dtype)])
    period = n if pad == "repeat" else max(1, 2 * (n - 1))  # reflection does not repeat the end samples
    index = np.arange(n_samples) % period
    return y[np.where(index < n, index, period - index)]


def _sections(sr: int, highpass_hz: float | None, lowpass_hz: float | None, order: int) -> np.ndarray:
    """A Butterworth low-pass, high-pass or (with both edges) band-pass as second-order sections `(sections, 6)`."""
    from scipy.signal import butter

    if highpass_hz is None:
        return butter(order, lowpass_hz, "lowpass", fs=sr, output="sos")
    if lowpass_hz is None:
        return butter(order, highpass_hz, "highpass", fs=sr, output="sos")
    return butter(order, [highpass_hz, lowpass_hz], "bandpass", fs=sr, output="sos")


@takes_samples
def filter_band(
    y: np.ndarray, sr: int, highpass_hz: float | None = None, lowpass_hz: float | None = None, order: int = 8
) -> np.ndarray:
    """Keep a band of frequencies: a Butterworth filter, run forwards and backwards so that it has no delay.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`.
    sr : int
        Sampling rate in Hz.
    highpass_hz, lowpass_hz : float, optional
        Lower and upper edge of the band in Hz, below `sr / 2`; each edge is at -6 dB. Default no edge on that side.
    order : int, default 8
        Order of the filter, 1 to 48. Beyond an edge the level falls by 12 dB an octave for each order (both passes together).

    Returns
    -------
    np.ndarray
        float32 `(samples,)`.

    Raises
    ------
    ValueError
        If an edge is not below half the sampling rate, or so near to it, to 0 or to the other edge that the filter is unstable.

    Examples
    --------
    >>> y, sr = sp.read_audio("dog.wav")                       # 300 Hz and some noise
    >>> quiet = sp.audio.filter_band(y, sr, highpass_hz=1000)
    >>> bool(quiet.std() < 0.1 * y.std())
    True
    """
    from scipy.signal import sosfiltfilt

    edges = {
        name: edge for name, edge in (("highpass_hz", highpass_hz), ("lowpass_hz", lowpass_hz)) if edge is not None
    }
    if not edges:
        return y
    for name, edge in edges.items():
        if edge >= sr / 2:
            what = {"highpass_hz": "keep", "lowpass_hz": "cut"}[name]
            raise ValueError(
                f"sampled at {sr} Hz, so there is nothing above {sr / 2:g} Hz to {what} at {edge:g} Hz; lower {name}"
            )
    try:
        with np.errstate(all="ignore"):  # numbers that are not finite are looked for below
            sections = _sections(sr, highpass_hz, lowpass_hz, order)
            out = sosfiltfilt(sections, y, padlen=min(3 * (2 * len(sections) + 1), len(y) - 1)).astype(np.float32)
    except (OverflowError, ValueError, np.linalg.LinAlgError):  # scipy from 1.18 raises a ValueError of its own
        out = np.array([np.nan])
    if not np.isfinite(out).all():
        given = ", ".join(f"{name}={edge:.12g}" for name, edge in edges.items())
        raise ValueError(
            f"no filter of order {order} comes out of {given} at {sr} Hz, too near to 0 or to {sr / 2:g} Hz; "
            f"lower filter_order"
        )
    return out


@takes_samples
def denoise(y: np.ndarray, sr: int, how: str) -> np.ndarray:
    """Spectral gating by the package noisereduce, which treats as noise what sounds most of the time; digital silence stays.

    Parameters
    ----------
    y : np.ndarray
        Samples `(samples,)`.
    sr : int
        Sampling rate in Hz.
    how : str
        "stationary" (one threshold for the clip) or "nonstationary" (one that follows it).

    Returns
    -------
    np.ndarray
        float32 `(samples,)`.

    Raises
    ------
    ModuleNotFoundError
        Without noisereduce.
    ValueError
        If its result is not finite.

    References
    ----------
    Sainburg, Thielk & Gentner, Finding, visualizing, and quantifying latent structure across diverse animal vocal repertoires,
    PLoS Computational Biology 16(10), 2020.
    """
    try:
        import noisereduce
    except ModuleNotFoundError as exc:
        raise ModuleNotFoundError(
            f"Audio(denoise={how!r}) needs the package noisereduce: pip install specimg[denoise]"
        ) from exc
    if not y.any():  # it would divide 0 by 0
        return y
    long = fit_length(y, max(len(y), GATE_WINDOW), "reflect")
    out = noisereduce.reduce_noise(y=long, sr=sr, stationary=how == "stationary")[: len(y)].astype(np.float32)
    if not np.isfinite(out).all():
        raise ValueError(
            f"noisereduce gives samples that are NaN or infinite with denoise={how!r}; leave denoise out, "
            f"or choose the other of {' and '.join(DENOISERS)}"
        )
    return out
