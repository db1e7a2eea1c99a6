"""Signals that the tests of representations share."""

import numpy as np

SR = 16000


def lowpassed(y, sr, hz):
    """Nothing above `hz`, by zeros in the transform."""
    spectrum = np.fft.rfft(y)
    spectrum[np.fft.rfftfreq(len(y), 1 / sr) > hz] = 0
    return np.fft.irfft(spectrum, len(y))


def make_signals(sr=SR, n=12000):
    """Sounds on which single precision is hard put: what is to be seen lies far below what is loud."""
    rng, t = np.random.default_rng(0), np.arange(n) / sr
    white = rng.standard_normal(n)
    found = {
        "white noise": 0.1 * white,
        "noise below 3 kHz": lowpassed(0.1 * white, sr, 3000),
        "direct current": 0.5 + 1e-5 * white,
        "rumble at 7 Hz": 0.9 * np.sin(2 * np.pi * 7 * t) + 1e-4 * white,
        "full-scale sine": np.sin(2 * np.pi * 1000 * t),
        "click": np.eye(1, n, n // 2)[0],
        "chirp": np.sin(2 * np.pi * (20 * t + 0.2 * sr / t[-1] * t**2)),
        "fading": white * 10 ** (-5 * t / t[-1]),
        "short": 0.1 * white[:2500],
    }
    return {name: y.astype("float32") for name, y in found.items()}


SIGNALS = make_signals()


def padded(y, settings):
    """Reflection done beforehand: librosa reflects the last few samples alone, which may be too few to reflect once."""
    if settings.get("pad_mode") == "reflect":
        return np.pad(y.astype("float64"), settings["n_fft"] // 2, mode="reflect"), settings | dict(center=False)
    return y.astype("float64"), settings
