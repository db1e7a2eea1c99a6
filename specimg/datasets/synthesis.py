"""Signals with known answers, and kinds of sound that vary as real ones do.

A kind of sound is a function `(rng, seconds, sr) -> y` under `@sound`; `make_sound` puts what it returns into a room, at a
random position of a noisy clip. Some kinds come in pairs, of which the second is the first reversed: mean and standard deviation
of every row of their spectrograms agree, and only a model that uses the order of time can separate them.

>>> tone = sine(440, seconds=0.5, sr=16000)                 # always the same
>>> bell = make_sound("bell", np.random.default_rng(0))     # another generator, another bell
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from ..core.values import choose

# Signals with known answers -------------------------------------------------------------------------------------------


def _length(seconds: float, sr: int) -> int:
    """Samples in `seconds`."""
    if not (math.isfinite(seconds) and seconds >= 0 and sr > 0):
        raise ValueError(f"no sound has seconds={seconds!r} at sr={sr!r}; give seconds >= 0 and sr > 0")
    return round(seconds * sr)


def _check_pitch(hz: float, sr: int) -> None:
    if not 0 <= hz <= sr / 2:
        raise ValueError(f"{hz!r} Hz cannot be sampled at sr={sr}; give 0 to {sr / 2:g} Hz, or a higher sr")


def silence(seconds: float = 1.0, sr: int = 22050) -> np.ndarray:
    """Digital silence.

    Parameters
    ----------
    seconds : float, default 1.0
        Length in s, from 0.
    sr : int, default 22050
        Sampling rate in Hz.

    Returns
    -------
    ndarray of float32, shape (samples,)
        Zeros.

    Examples
    --------
    >>> silence(0.5, sr=8000).shape
    (4000,)
    """
    return np.zeros(_length(seconds, sr), dtype=np.float32)


def click(at: float = 0.5, seconds: float = 1.0, sr: int = 22050, level: float = 0.5) -> np.ndarray:
    """A click: one sample in silence.

    Parameters
    ----------
    at : float, default 0.5
        Its time in s, from 0 to below `seconds`.
    seconds : float, default 1.0
        Length in s, from 0.
    sr : int, default 22050
        Sampling rate in Hz.
    level : float, default 0.5
        Value of the sample.

    Returns
    -------
    ndarray of float32, shape (samples,)

    Raises
    ------
    ValueError
        `at` is outside the clip.

    Examples
    --------
    >>> np.flatnonzero(click(at=0.25, seconds=1.0, sr=8000))
    array([2000])
    """
    y, sample = silence(seconds, sr), round(at * sr)
    if not 0 <= sample < len(y):
        raise ValueError(f"a click at {at!r} s lies outside the {seconds!r} s of sound; give 0 <= at < seconds")
    y[sample] = level
    return y


def sine(hz: float, seconds: float = 1.0, sr: int = 22050, level: float = 0.5) -> np.ndarray:
    """A pure tone that starts at phase 0.

    Parameters
    ----------
    hz : float
        Frequency in Hz, 0 to `sr / 2`.
    seconds : float, default 1.0
        Length in s, from 0.
    sr : int, default 22050
        Sampling rate in Hz.
    level : float, default 0.5
        Amplitude.

    Returns
    -------
    ndarray of float32, shape (samples,)

    Raises
    ------
    ValueError
        `hz` is above half the sampling rate.

    Examples
    --------
    >>> sine(2000, seconds=0.0005, sr=8000).round(2).tolist()
    [0.0, 0.5, 0.0, -0.5]
    """
    _check_pitch(hz, sr)
    t = np.arange(_length(seconds, sr)) / sr  # s
    return (level * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def chirp(f0: float, f1: float, seconds: float = 1.0, sr: int = 22050, level: float = 0.5) -> np.ndarray:
    """A linear chirp, which reversed is `chirp(f1, f0)`, sample by sample.

    Parameters
    ----------
    f0, f1 : float
        Frequency at the start and at the end in Hz, 0 to `sr / 2`.
    seconds : float, default 1.0
        Length in s, from 0.
    sr : int, default 22050
        Sampling rate in Hz.
    level : float, default 0.5
        Amplitude.

    Returns
    -------
    ndarray of float32, shape (samples,)

    Examples
    --------
    >>> np.array_equal(chirp(200, 2000)[::-1], chirp(2000, 200))
    True
    """
    for hz in (f0, f1):
        _check_pitch(hz, sr)
    n = _length(seconds, sr)
    t = (np.arange(n) - (n - 1) / 2) / sr  # s, zero in the middle: there the phase is even under reversal
    slope = (f1 - f0) * sr / max(n, 1)  # Hz/s
    return (level * np.cos(np.pi * ((f0 + f1) * t + slope * t**2))).astype(np.float32)


def noise(seconds: float = 1.0, sr: int = 22050, rng: np.random.Generator | int = 0, level: float = 0.5) -> np.ndarray:
    """White noise, uniformly distributed.

    Parameters
    ----------
    seconds : float, default 1.0
        Length in s, from 0.
    sr : int, default 22050
        Sampling rate in Hz.
    rng : numpy Generator or int, default 0
        A generator, or a seed.
    level : float, default 0.5
        Values lie from `-level` to `level`.

    Returns
    -------
    ndarray of float32, shape (samples,)

    Examples
    --------
    >>> round(float(noise().std()), 2)
    0.29
    """
    n = _length(seconds, sr)
    return np.random.default_rng(rng).uniform(-level, level, n).astype(np.float32)


# Building blocks of the kinds of sound: float64, of any level ---------------------------------------------------------


def _log_uniform(rng: np.random.Generator, low: float, high: float, size=None):
    """Log-uniform random numbers: for pitches and durations."""
    return np.exp(rng.uniform(np.log(low), np.log(high), size))


def _decay(n: int, sr: int, tau: float) -> np.ndarray:
    """(n,) from 1 down to 1/e after `tau` seconds."""
    return np.exp(-np.arange(n) / (tau * sr))


def _glide(hz: np.ndarray, sr: int) -> np.ndarray:
    """A tone whose frequency at every sample is `hz`."""
    return np.sin(2 * np.pi * np.cumsum(hz) / sr)


def _ring(hz: np.ndarray, tau: np.ndarray, gain: np.ndarray, n: int, sr: int) -> np.ndarray:
    """A sum of decaying sines, (n,): frequencies in Hz, times to 1/e in s and gains are (partials,)."""
    step = (2j * np.pi * hz - 1 / tau)[:, None] / sr
    gain = np.where(hz < sr / 2, gain, 0)[:, None]
    # exp(step * (start + offset)) is a product: two short tables instead of an exponential per partial and sample.
    starts, offsets = np.arange(0, n, 256), np.arange(256)
    # einsum adds in one thread: the bytes do not depend on how many BLAS would take
    waves = np.einsum("ps,po->so", gain * np.exp(step * starts), np.exp(step * offsets))
    return waves.imag.ravel()[:n]


def _hiss(n: int, sr: int, rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """Stationary noise between about `low` and `high` Hz (12 dB per octave beyond), of standard deviation 1."""
    size = 1 << max(n - 1, 1).bit_length()  # a power of two: the FFT of other lengths may be slow
    hz = np.arange(size // 2 + 1) * (sr / size)
    hz[0] = hz[1]
    gain = 1 / np.sqrt((1 + np.square(np.square(low / hz))) * (1 + np.square(np.square(hz / high))))
    y = np.fft.irfft(gain * rng.standard_normal(2 * len(hz)).view(complex))  # white noise is white in its spectrum too
    return y[:n] / y.std()


def _add(y: np.ndarray, part: np.ndarray, at: int) -> None:
    """Add `part` to `y` from sample `at` on, cut at the end of `y`."""
    end = min(at + len(part), len(y))
    y[at:end] += part[: end - at]


def _repeat(n: int, times: Iterable[float], sr: int, part: Callable[[], np.ndarray]) -> np.ndarray:
    """A fresh `part()` at each of `times` (s) in n samples of silence."""
    y = np.zeros(n)
    for time in times:
        _add(y, part(), min(round(time * sr), n))
    return y


# The registry of kinds ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    play: Callable[[np.random.Generator, float, int], np.ndarray]
    seconds: tuple[float, float]  # s, of whole clips, shortest and longest
    room: bool  # may reflections be added?
    backwards: bool = False  # reversed in time


_SOUNDS: dict[str, _Kind] = {}


def sound(seconds: tuple[float, float], room: bool = True, backwards: str | None = None) -> Callable:
    """Decorator that registers a function `(rng, seconds, sr) -> y` as a kind of sound, under its own name.

    Parameters
    ----------
    seconds : (float, float)
        The shortest and the longest clip in s that `make_sound` draws; the function makes a part of it.
    room : bool, default True
        `make_sound` adds reflections of a room.
    backwards : str, default None
        A second kind of this name is the first one's clips reversed.

    Returns
    -------
    callable
        The decorator.

    Examples
    --------
    >>> @sound(seconds=(0.5, 1.0))
    ... def buzz(rng, seconds, sr):
    ...     return np.sign(sine(rng.uniform(80, 160), seconds, sr))
    >>> "buzz" in list_sounds()
    True
    """

    def add(play: Callable) -> Callable:
        _SOUNDS[play.__name__] = kind = _Kind(play, seconds, room)
        if backwards is not None:
            _SOUNDS[backwards] = dataclasses.replace(kind, backwards=True)
        return play

    return add


def list_sounds() -> list[str]:
    """The kinds of sound that `make_sound` accepts.

    Returns
    -------
    list of str
        Sorted.

    Examples
    --------
    >>> list_sounds()[:3]
    ['bell', 'bird_chirp', 'chirp_down']
    """
    return sorted(_SOUNDS)


@sound(seconds=(0.5, 3.0))
def plucked_string(rng, seconds, sr):
    """Karplus and Strong (1983): a burst of noise in a loop whose filter averages neighbours."""
    n = _length(seconds, sr)
    hz = _log_uniform(rng, 80, 500)
    period = round(sr / hz)
    harmonic = np.arange(period // 2 + 1)
    loss = np.exp(-1 / (hz * rng.uniform(0.3, 1.5)))  # of a round, so that the string dies within a second or so
    kept = loss * np.cos(np.pi * harmonic / period)  # the gain of that average, without its half sample of delay
    rounds = np.arange(-(-n // period))[:, None]
    burst = np.fft.rfft(rng.uniform(-1, 1, period))
    return np.fft.irfft(burst * kept**rounds, n=period, axis=1).ravel()[:n]


@sound(seconds=(0.8, 4.0))
def bell(rng, seconds, sr):
    """Inharmonic partials with the ratios of Risset (1969), slightly detuned."""
    ratio = np.array([0.56, 0.92, 1.19, 1.7, 2.0, 2.74, 3.0, 3.76, 4.07]) * rng.uniform(0.97, 1.03, 9)
    tau = seconds * rng.uniform(0.2, 0.6) / ratio**0.7
    return _ring(_log_uniform(rng, 250, 1500) * ratio, tau, rng.uniform(0.2, 1, 9), _length(seconds, sr), sr)


@sound(seconds=(0.3, 1.2))
def kick(rng, seconds, sr):
    """A drum whose pitch falls quickly, after the short noise of the beater."""
    n = _length(seconds, sr)
    low, high = rng.uniform(40, 70), rng.uniform(150, 400)
    hz = low + (high - low) * _decay(n, sr, rng.uniform(0.015, 0.05))
    body = _glide(hz, sr) * _decay(n, sr, rng.uniform(0.06, 0.2))
    beater = _hiss(n, sr, rng, 500, 4000) * _decay(n, sr, 0.004)
    return body + rng.uniform(0.05, 0.4) * beater


@sound(seconds=(0.3, 1.5))
def hi_hat(rng, seconds, sr):
    """One to four strokes of bright noise, open or closed."""
    n, strokes = _length(seconds, sr), rng.integers(1, 5)
    low, tau = rng.uniform(0.2, 0.35) * sr, _log_uniform(rng, 0.015, 0.12)
    times = np.arange(strokes) * seconds / strokes
    return _repeat(n, times, sr, lambda: _hiss(n, sr, rng, low, sr) * _decay(n, sr, tau) * rng.uniform(0.4, 1))


@sound(seconds=(1.5, 5.0))
def siren(rng, seconds, sr):
    """A tone with overtones whose pitch wails up and down, or jumps between two notes."""
    t = np.arange(_length(seconds, sr)) / sr
    low, octaves, steep = rng.uniform(400, 900), rng.uniform(0.4, 1.2), _log_uniform(rng, 0.3, 8)
    wave = np.sin(2 * np.pi * (rng.uniform(0.5, 3) * t + rng.uniform()))
    hz = low * 2 ** (octaves * (0.5 + 0.5 * np.tanh(steep * wave) / np.tanh(steep)))
    return sum(gain * _glide(k * hz, sr) for k, gain in ((1, 1), (2, rng.uniform(0.1, 0.6)), (3, rng.uniform(0, 0.4))))


@sound(seconds=(0.4, 2.5))
def bird_chirp(rng, seconds, sr):
    """A phrase of whistled syllables, each a quick glide with a soft start and end."""
    n = _length(seconds, sr)
    length = min(_log_uniform(rng, 0.04, 0.16), seconds)
    m = _length(length, sr)
    start, end = np.minimum(_log_uniform(rng, 1800, 6000, 2), 0.45 * sr)
    bow = rng.uniform(-0.2, 0.2) * np.sin(np.pi * np.arange(m) / m)
    syllable = _glide(np.geomspace(start, end, m) * (1 + bow), sr) * np.hanning(m)
    step = length * rng.uniform(1.1, 2.5)
    times = np.r_[0, np.arange(step, seconds - length, step)]
    return _repeat(n, times, sr, lambda: syllable * rng.uniform(0.5, 1))


@sound(seconds=(1.0, 5.0))
def rain(rng, seconds, sr):
    """Drops, each a moment of noise, over a steady hiss."""
    n = _length(seconds, sr)
    drops = (rng.uniform(size=n) < _log_uniform(rng, 20, 200) / sr) * rng.exponential(size=n)
    falling = np.convolve(drops, _decay(round(0.02 * sr), sr, rng.uniform(0.002, 0.005)))[:n]
    return _hiss(n, sr, rng, _log_uniform(rng, 300, 1500), 0.4 * sr) * (rng.uniform(0.15, 0.4) + falling)


@sound(seconds=(1.0, 5.0))
def engine(rng, seconds, sr):
    """A low wave of many overtones with an unsteady pitch, and the noise of its exhaust in time with it."""
    n = _length(seconds, sr)
    drift = 1 + rng.uniform(0.01, 0.06) * np.sin(2 * np.pi * (rng.uniform(0.3, 3) * np.arange(n) / sr + rng.uniform()))
    turns = np.cumsum(_log_uniform(rng, 25, 90) * drift) / sr
    harmonic = np.arange(1, 31)
    gain = harmonic ** -rng.uniform(0.5, 1.2) * np.exp(2j * np.pi * rng.uniform(size=30)) * rng.uniform(0.3, 1, 30)
    turn = np.fft.irfft(np.r_[0, gain], n=1024)
    wave = np.interp(turns % 1, np.arange(1025) / 1024, np.r_[turn, turn[0]])
    exhaust = _hiss(n, sr, rng, 100, 2000) * (1 + np.sin(2 * np.pi * turns))
    return wave / turn.std() + rng.uniform(0.1, 0.4) * exhaust


@sound(seconds=(0.5, 2.0))
def knock(rng, seconds, sr):
    """Two to five knocks on one wooden door."""
    n, knocks = _length(seconds, sr), rng.integers(2, 6)
    hz, tau = _log_uniform(rng, 120, 250) * np.array([1, 2.1, 3.4]), rng.uniform(0.01, 0.03) * np.array([1.5, 1, 0.7])
    gap = min(rng.uniform(0.12, 0.4), seconds / knocks)
    times = np.arange(knocks) * gap
    return _repeat(n, times, sr, lambda: _ring(hz, tau, rng.uniform(0.4, 1, 3), _length(gap, sr), sr))


@sound(seconds=(0.3, 1.5))
def clap(rng, seconds, sr):
    """One to three claps of many people: each is a few bursts of noise within hundredths of a second."""
    n, claps = _length(seconds, sr), rng.integers(1, 4)
    low, tau = rng.uniform(700, 1500), rng.uniform(0.02, 0.06)
    m = _length(min(8 * tau, seconds), sr)

    def burst():
        return _hiss(m, sr, rng, low, 2.5 * low) * _decay(m, sr, tau * rng.uniform(0.3, 1))

    def one_clap():
        return _repeat(m, np.r_[0, rng.uniform(0.004, 0.035, 3)], sr, burst)

    return _repeat(n, np.arange(claps) * seconds / claps, sr, one_clap)


@sound(seconds=(0.5, 3.0), room=False, backwards="chirp_down")
def chirp_up(rng, seconds, sr):
    """A whistle that rises by one to two and a half octaves; its envelope is symmetric in time."""
    n = _length(seconds, sr)
    low, octaves, bend = _log_uniform(rng, 250, 1500), rng.uniform(1, 2.5), _log_uniform(rng, 0.6, 1.6)
    position = (np.arange(n) + 0.5) / n  # 0 to 1
    soft_ends = np.minimum(1, 8 * np.minimum(position, 1 - position))
    hz = np.minimum(low * 2 ** (octaves * position**bend), 0.45 * sr)
    return soft_ends * (_glide(hz, sr) + rng.uniform(0, 0.3) * _glide(np.minimum(2 * hz, 0.45 * sr), sr))


@sound(seconds=(0.6, 3.0), backwards="swell")
def strike(rng, seconds, sr):
    """A sheet of metal is struck and rings; reversed it swells up and stops."""
    n, partials = _length(seconds, sr), 24
    hz = _log_uniform(rng, 300, 3000) * np.sort(_log_uniform(rng, 1, 6, partials))
    tau = seconds * rng.uniform(0.1, 0.3) * rng.uniform(0.5, 1.5, partials)
    crash = _hiss(n, sr, rng, 1500, 9000) * _decay(n, sr, seconds * rng.uniform(0.05, 0.2))
    return _ring(hz, tau, rng.uniform(0.1, 0.5, partials), n, sr) + rng.uniform(0.2, 1.0) * crash


@sound(seconds=(1.5, 4.0), room=False, backwards="slowing_down")
def speeding_up(rng, seconds, sr):
    """Taps that follow each other faster and faster; a tap itself is symmetric in time."""
    n, taps = _length(seconds, sr), rng.integers(7, 13)
    m = _length(rng.uniform(0.03, 0.06), sr)
    t = (np.arange(m) - (m - 1) / 2) / sr  # s, zero in the middle of the tap
    tap = np.hanning(m) * np.cos(2 * np.pi * np.outer(_log_uniform(rng, 400, 3000, 3), t)).sum(axis=0)
    gaps = np.geomspace(1, rng.uniform(0.1, 0.3), taps - 1)
    times = np.r_[0, np.cumsum(gaps)] / gaps.sum() * (n - m) / sr
    return _repeat(n, times, sr, lambda: tap * rng.uniform(0.6, 1))


# A clip: the sound in a room, at a random position of a noisy recording ----------------------------------------------------------

_SHORTEST = 0.1  # s, of a clip
LOWEST_SR = 8000  # Hz


def _reflect(y: np.ndarray, sr: int, rng: np.random.Generator) -> np.ndarray:
    """`y` and three to seven reflections of it, up to 90 ms late, the later the weaker."""
    wet, strength = y.copy(), rng.uniform(0, 0.6)
    for delay in rng.uniform(0.01, 0.09, rng.integers(3, 8)):  # s
        _add(wet, strength * np.exp(-delay / 0.04) * y, round(delay * sr))
    return wet


def _to_peak(y: np.ndarray, db: float) -> np.ndarray:
    """`y` scaled to a peak of `db` decibels of full scale; silence stays silence."""
    return 10 ** (db / 20) / (np.abs(y).max() or 1.0) * y


def make_sound(kind: str, rng: np.random.Generator | int, sr: int = 22050, seconds: float | None = None) -> np.ndarray:
    """A random clip of one kind of sound; pitch, position, level, room and noise are random.

    Parameters
    ----------
    kind : str
        One of `list_sounds()`.
    rng : numpy Generator or int
        A generator, which is advanced, or a seed.
    sr : int, default 22050
        Sampling rate in Hz, at least 8000.
    seconds : float, default None
        Length of the clip in s, at least 0.1; None draws it, between 0.3 and 5.

    Returns
    -------
    ndarray of float32, shape (samples,)
        Values in [-1, 1].

    Raises
    ------
    ValueError
        The kind is unknown, or the clip is too short or its sampling rate too low.

    Examples
    --------
    >>> up, down = make_sound("chirp_up", 7), make_sound("chirp_down", 7)
    >>> np.array_equal(down, up[::-1])
    True
    """
    found = _SOUNDS[choose(kind, _SOUNDS, "sound")]
    if sr < LOWEST_SR:
        raise ValueError(f"sr={sr!r} is too low for these sounds; give at least {LOWEST_SR} Hz")
    if seconds is not None and not seconds >= _SHORTEST:
        raise ValueError(f"seconds={seconds!r} is too short for these sounds; give at least {_SHORTEST} s")
    rng = np.random.default_rng(rng)
    drawn = _log_uniform(rng, *found.seconds)
    n = _length(drawn if seconds is None else seconds, sr)
    event = np.array(found.play(rng, rng.uniform(0.7, 1.0) * n / sr, sr), dtype=float)[:n]
    fade = min(round(0.005 * sr), len(event))
    event[-fade:] *= np.linspace(1, 0, fade)  # no click where the sound is cut off
    y = np.zeros(n)
    _add(y, event, rng.integers(n - len(event) + 1))
    if found.room:
        y = _reflect(y, sr, rng)
    y = _to_peak(y, 0)  # the noise lies 30 to 60 dB below it
    y += 10 ** (rng.uniform(-60, -30) / 20) * _hiss(n, sr, rng, 50, _log_uniform(rng, 500, sr / 2))
    y = _to_peak(y, rng.uniform(-20, -1))
    return (y[::-1] if found.backwards else y).astype(np.float32)
