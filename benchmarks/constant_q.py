"""How fast is the constant-Q transform? librosa's, which builds its filters for every clip, and specimg's, which keeps them, in turns.

python benchmarks/constant_q.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import librosa
import numpy as np

from specimg.spectrogram import Cqt, Vqt

CASES = [
    (Vqt(), 22050, 1),
    (Cqt(), 32000, 2),
    (Cqt(), 22050, 5),
    (Cqt(n_bins=252, bins_per_octave=36), 22050, 5),
    (Cqt(), 22050, 30),
]
ROUNDS = 9


def seconds_of(work: Callable[[], object]) -> float:
    """Processor time of one call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def compare(spec: Cqt | Vqt, sr: int, seconds: int) -> str:
    """A line: milliseconds of both, the median ratio of paired rounds, and how far apart the numbers are."""
    y = np.random.default_rng(0).standard_normal(sr * seconds).astype("float32")
    fields = ("fmin", "n_bins", "bins_per_octave", "hop_length")
    settings = {name: getattr(spec, name) for name in fields} | {"gamma": getattr(spec, "gamma", 0.0)}

    def librosas():
        return np.abs(librosa.vqt(y.astype("float64"), sr=sr, tuning=0.0, dtype=np.complex128, **settings))

    def specimgs():
        return np.sqrt(spec.power(y, sr))

    furthest = np.abs(specimgs() - librosas()).max() / librosas().max()
    times = np.array([(seconds_of(librosas), seconds_of(specimgs)) for _ in range(ROUNDS)])
    slow, fast = np.median(times, axis=0) * 1000
    ratio = np.median(times[:, 0] / times[:, 1])
    return (
        f"{spec!r:36} {seconds:3} s at {sr} Hz: librosa {slow:5.1f} ms, specimg {fast:5.1f} ms, {ratio:4.1f} times as fast; "
        f"furthest cell {furthest:.0e} of the largest"
    )


def main() -> None:
    warnings.simplefilter("ignore")
    for case in CASES:
        print(compare(*case))


if __name__ == "__main__":
    main()
