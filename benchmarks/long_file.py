"""How much memory and time does a night of sound take? Ten hours at 16 kHz, and one hour of 44.1 kHz stereo that is resampled.

    OMP_NUM_THREADS=1 python benchmarks/long_file.py                 # makes 1.8 GB of wav in a temporary folder, and removes them
    OMP_NUM_THREADS=1 python benchmarks/long_file.py --hours 0.2     # shorter: both files a fiftieth

A small network is trained on bird calls, sirens and noise, and kept as a folder. The long files are noise in which a bird or a siren
sounds now and then, so that the events which come out can be counted. Each file is worked through by a fresh process: its peak
memory is what the system says of the process (`ru_maxrss`); most of it are the libraries, so what was held before is said, too.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

SR, SECONDS, LEVEL = 16000, 5.0, 0.02  # of the classifier; s a window; of the noise
LABELS = ("bird_chirp", "siren")
EVERY = 300  # s from one planted sound to the next
FILES = ((1.0, 16000, 1), (0.1, 44100, 2))  # hours of those asked for, Hz, channels


def noisy(n: int, rng) -> np.ndarray:
    return (LEVEL * rng.standard_normal(n)).astype(np.float32)


def train_classifier(folder: Path) -> Path:
    """A small network on clips of 5 s in which a sound begins anywhere, kept as a folder."""
    import pandas as pd
    import soundfile as sf

    import specimg as sp
    from specimg.datasets import make_sound

    rng, rows = np.random.default_rng(0), []
    for i in range(60):
        for label in (*LABELS, "noise"):
            y = noisy(round(SECONDS * SR), rng)
            if label != "noise":
                sound = make_sound(label, rng, sr=SR)[: len(y)]
                at = rng.integers(0, len(y) - len(sound) // 2)
                y[at : at + len(sound)] += 0.5 * sound[: len(y) - at]
            sf.write(folder / f"{label}{i}.wav", y, SR)
            rows.append((f"{label}{i}.wav", label))
    look = sp.Renderer(sp.Mel(n_mels=64, n_fft=1024, hop_length=512), audio=sp.Audio(sr=SR, duration=SECONDS))
    table = pd.DataFrame(rows, columns=["path", "label"])
    dls = sp.SpecDataLoaders.from_df(
        table, folder, renderer=look, cache=folder / "cache", bs=16, size=64, augment=None, n_jobs=1
    )
    learn = sp.spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    with learn.no_bar():
        history = sp.fit(learn, sp.Recipe(epochs=8, lr=1e-2, seed=0))
    print(f"a small network: accuracy {history['accuracy'].iloc[-1]:.2f} on {len(dls.valid_ds)} clips", flush=True)
    return sp.save_classifier(learn, folder / "classifier")


def make_long(path: Path, hours: float, sr: int, channels: int) -> list[tuple[float, float, str]]:
    """Write a wav of 16 bits in pieces; returns (start, end, label) of each planted sound."""
    import soundfile as sf

    from specimg.datasets import make_sound

    rng, planted = np.random.default_rng(1), []
    with sf.SoundFile(path, "w", sr, channels, "PCM_16") as file:
        for minute in range(round(hours * 60)):
            y = noisy(60 * sr, rng)
            if minute % (EVERY // 60) == 2:
                label = LABELS[len(planted) % 2]
                at, sound = rng.uniform(1, 40), make_sound(label, rng, sr=sr)
                y[round(at * sr) :][: len(sound)] += 0.5 * sound[: 60 * sr - round(at * sr)]
                planted.append((60 * minute + at, 60 * minute + at + len(sound) / sr, label))
            file.write(np.repeat(y[:, None], channels, axis=1))
    return planted


def peak() -> float:
    """MB that this process has held at most."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used / 1e3


def held() -> float:
    """MB that this process holds now, where the system says so (Linux); else nan."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6
    except OSError:
        return float("nan")


def work(classifier: str, path: str) -> dict:
    """What a fresh process does with a file."""
    import soundfile as sf

    import specimg as sp

    warnings.simplefilter("ignore", DeprecationWarning)
    clf = sp.load_classifier(classifier)
    clf.predict(
        [(np.zeros(SR, np.float32), SR)] * 32, progress=False
    )  # what the first batch allocates is no matter of the file
    before, peak_before, began = held(), peak(), time.perf_counter()
    windows = clf.predict_windows(path, progress=False)
    took = time.perf_counter() - began
    events = sp.merge_events(windows, threshold=0.5, background="noise")
    return {
        "before": before,
        "after": held(),
        "peak before": peak_before,
        "peak": peak(),
        "seconds": took,
        "audio": sf.info(path).duration,
        "windows": len(windows),
        "ok": int((windows["status"] == "ok").sum()),
        "events": events[["start", "end", "label"]].values.tolist(),
    }


def report(name: str, size: int, planted: list[tuple[float, float, str]], out: dict) -> None:
    found = sum(
        any(start < until and at < end and said == label for start, end, said in out["events"])
        for at, until, label in planted
    )
    false = sum(not any(start < until and at < end for at, until, _ in planted) for start, end, _ in out["events"])
    print(
        f"{name}: {size / 1e6:,.0f} MB on disk, {out['windows']} windows ({out['ok']} with an answer) in {out['seconds']:.0f} s, "
        f"{out['audio'] / out['seconds']:,.0f} times real time\n"
        f"    memory: at most {out['peak']:.0f} MB, {out['peak before']:.0f} MB of them already without the file; "
        f"held before {out['before']:.0f} MB, after {out['after']:.0f} MB\n"
        f"    {found} of {len(planted)} planted sounds found under their name, {false} events where nothing was planted",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0, help="of the longer file; the other is a tenth of it")
    parser.add_argument("--work", nargs=2, metavar=("CLASSIFIER", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        print(json.dumps(work(*args.work)))
        return
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch

    print(
        f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        classifier = train_classifier(folder)
        for share, sr, channels in FILES:
            path = folder / "long.wav"
            planted = make_long(path, share * args.hours, sr, channels)
            command = [sys.executable, "-W", "ignore", __file__, "--work", str(classifier), str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            name = f"{share * args.hours:g} h at {sr} Hz, {channels} channel{'s' * (channels > 1)}"
            report(name, path.stat().st_size, planted, json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
