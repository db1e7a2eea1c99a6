"""Sound that is there and hardly usable: channels that cancel, digital silence, a large DC offset, heavy clipping.

>>> y = np.sin(np.arange(8000) / 5)
>>> find_faults(np.stack([y, -y], axis=1), np.zeros(8000)), find_faults(y[:, None] + 0.3, y + 0.3)
(['channels cancel'], ['DC offset'])

Such recordings are drawn like any other: who draws them counts them and says their names.
"""

from __future__ import annotations

import numpy as np

# power of the mean below which, relative to that of the channels, it is what rounding has left: -60 dB
CANCELLED = 1e-6
DC = 0.05  # of full scale
# share of samples at the peak; how large that is at least; a step of 16 bits
CLIPPED, NEAR_FULL, LEVEL = (0.01, 0.98, 2.0**-15)

# what it is called, and what it means
FAULTS = {
    "channels cancel": "their mean is silence: Audio(channel=0) takes one of them",
    "digital silence": "every sample is 0",
    "DC offset": f"the mean is beyond {DC:g} of full scale: Audio(highpass_hz=20) takes it away",
    "clipping": f"more than {CLIPPED:.0%} of the samples are at full scale",
}


def cancels(y: np.ndarray, mean: np.ndarray) -> bool:
    """Whether the mean of channels `(samples, channels)` is nothing but what rounding has left of them."""
    flat = y.reshape(-1)
    power = float(np.dot(flat, flat)) / y.shape[1]
    return bool(float(np.dot(mean, mean)) < CANCELLED * power)


def find_faults(raw: np.ndarray, y: np.ndarray, channel: int | str = "mean") -> list[str]:
    """What makes a clip hardly usable: names of `FAULTS`; none for most.

    raw : samples `(samples, channels)` as they are stored, nominally in [-1, 1]
    y : `(samples,)`, what is made of the channels
    channel : as in `Audio`
    """
    if not y.size:
        return []
    high, low = float(y.max()), float(y.min())
    several = raw.shape[1] > 1
    if high == 0 == low:
        return ["channels cancel" if several and channel == "mean" and raw.any() else "digital silence"]
    found = ["DC offset"] if abs(float(y.mean())) > DC else []
    peak = max(float(raw.max()), -float(raw.min())) if several else max(high, -low)
    if peak >= NEAR_FULL:
        at_peak = np.count_nonzero(raw >= peak - LEVEL) + np.count_nonzero(raw <= LEVEL - peak)
        found += ["clipping"] if at_peak > CLIPPED * raw.size else []
    return found
