"""How fast are recordings read? What specimg decodes against what soundfile reads, format by format, and one revision against another.

    OMP_NUM_THREADS=1 python benchmarks/decode.py                            # ratios to soundfile.read and librosa.load's decoder
    OMP_NUM_THREADS=1 python benchmarks/decode.py --against ../specimg-old   # a checkout of another revision, paired

Clips of 5 s, mono, 44.1 kHz, are made here. The ways take turns, round by round, and the table shows medians of ratios within rounds, so that a
machine that slows down slows all of them. Revisions run in two processes that wait for each other's turns.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CLIPS, ROUNDS = 20, 21
WORKER = """
import sys, time
from specimg.audio.decode import decode
files = sys.argv[1:]
for line in sys.stdin:
    began = time.process_time()
    for file in files:
        decode(file)
    print(time.process_time() - began, flush=True)
"""


def make_clips(folder: Path) -> dict[str, list[Path]]:
    """`CLIPS` clips of each format."""
    import soundfile as sf

    rng, made = np.random.default_rng(0), {}
    for kind, subtype in (("wav", "PCM_16"), ("wav24", "PCM_24"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None)):
        made[kind] = []
        for i in range(CLIPS):
            path = folder / f"{kind}{i}.{kind.removesuffix('24')}"
            t = np.arange(5 * 44100) / 44100
            y = 0.3 * np.sin(2 * np.pi * (300 + 20 * i) * t) + 0.03 * rng.standard_normal(len(t))
            sf.write(path, y, 44100, subtype=subtype)
            made[kind].append(path)
    return made


def timed(work, files: list[Path]) -> float:
    began = time.process_time()
    for file in files:
        work(file)
    return time.process_time() - began


def against_soundfile(made: dict[str, list[Path]]) -> None:
    import soundfile as sf

    from specimg.audio.decode import decode

    print(f"{'format':8}{'specimg, ms a clip':>20}{'soundfile.read':>16}{'ratio':>8}   quartiles")
    for kind, files in made.items():
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(timed(decode, files))
            theirs.append(timed(lambda file: sf.read(file, dtype="float32"), files))
        low, middle, high = np.percentile(np.divide(ours, theirs), [25, 50, 75])
        ms = [1000 * np.median(t) / len(files) for t in (ours, theirs)]
        print(f"{kind:8}{ms[0]:20.2f}{ms[1]:16.2f}{middle:8.2f}   {low:.2f} to {high:.2f}")


def against_revision(made: dict[str, list[Path]], other: Path) -> None:
    """The same calls in this checkout and in another, turn by turn."""
    here = Path(__file__).resolve().parents[1]

    def worker(root: Path, files: list[Path]) -> subprocess.Popen:
        command = [sys.executable, "-c", WORKER, *map(str, files)]
        return subprocess.Popen(command, cwd=root, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    print(f"{'format':8}{'this, ms a clip':>18}{'the other':>12}{'ratio':>8}   quartiles")
    for kind, files in made.items():
        workers = [worker(here, files), worker(other.resolve(), files)]
        times = np.empty((ROUNDS + 1, 2))
        for row in range(ROUNDS + 1):
            for turn in (0, 1) if row % 2 else (1, 0):
                workers[turn].stdin.write("go\n")
                workers[turn].stdin.flush()
                times[row, turn] = float(workers[turn].stdout.readline())
        for process in workers:
            process.stdin.close()
            process.wait()
        times = times[1:]  # the first pays for imports
        low, middle, high = np.percentile(times[:, 0] / times[:, 1], [25, 50, 75])
        ms = 1000 * np.median(times, axis=0) / len(files)
        print(f"{kind:8}{ms[0]:18.2f}{ms[1]:12.2f}{middle:8.3f}   {low:.3f} to {high:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=Path, help="a checkout of another revision")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = make_clips(Path(folder))
        if args.against:
            against_revision(made, args.against)
        else:
            against_soundfile(made)


if __name__ == "__main__":
    main()
