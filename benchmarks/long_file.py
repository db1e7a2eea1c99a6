"""How much memory and time does a night of sound take? Ten hours at 16 kHz, and one hour of 44.1 kHz stereo that is resampled.

    OMP_NUM_THREADS=1 python benchmarks/long_file.py                 # makes 1.8 GB of wav in a temporary folder, and removes them
    OMP_NUM_THREADS=1 python benchmarks/long_file.py --hours 0.2     # shorter: both files a fiftieth
    OMP_NUM_THREADS=1 python benchmarks/long_file.py --before OTHER  # this package against that in the folder OTHER, another commit's checkout
    OMP_NUM_THREADS=1 python benchmarks/long_file.py --memory        # peak memory for 10 minutes and for 2 hours

A ResNet18 is trained on bird calls, sirens and noise, and kept as a folder. The long files are noise in which a bird or a siren
sounds now and then, so that the events which come out can be counted. Each file is worked through by a fresh process: its peak
memory is what the system says of the process (`ru_maxrss`); most of it are the libraries, so what was held before is said, too.

`--before` answers files of some minutes, at two sampling rates, with and without overlap, by two processes that take turns: medians of the
processor's time, and the largest difference of a probability. What the export to onnxruntime takes is measured by itself, since it is done once
for all files. `--keep FOLDER` keeps classifiers and files for the next call; `--csv FILE` gets the table.
"""

from __future__ import annotations

import argparse
import csv
import inspect
import json
import os
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
SIZES = {"64x64": 64, "128x161": None}  # pixels of pictures; None: as they are drawn
COMPARED = ((16000, 1, "wav"), (44100, 2, "wav"), (44100, 2, "flac"))
OVERLAPS = (0.0, 2.5)  # s


def noisy(n: int, rng) -> np.ndarray:
    return (LEVEL * rng.standard_normal(n)).astype(np.float32)


def train_classifier(folder: Path, size: int | None = 64) -> Path:
    """A ResNet18 on clips of 5 s in which a sound begins anywhere, kept as a folder."""
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
    mel = sp.Mel(n_mels=64, n_fft=1024, hop_length=512) if size else sp.Mel(n_mels=128, n_fft=2048, hop_length=500)
    look = sp.Renderer(mel, audio=sp.Audio(sr=SR, duration=SECONDS))
    table = pd.DataFrame(rows, columns=["path", "label"])
    dls = sp.SpecDataLoaders.from_df(
        table, folder, renderer=look, cache=folder / "cache", bs=16, size=size, augment=None, n_jobs=1
    )
    learn = sp.spec_learner(dls, "resnet18", pretrained=False, seed=0)
    with learn.no_bar():
        history = sp.fit(learn, sp.Recipe(epochs=5, lr=2e-3, seed=0))
    print(f"a ResNet18: accuracy {history['accuracy'].iloc[-1]:.2f} on {len(dls.valid_ds)} clips", flush=True)
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


def work(classifier: str, path: str, runtime: str = "auto") -> dict:
    """What a fresh process does with a file."""
    import soundfile as sf

    import specimg as sp

    warnings.simplefilter("ignore", DeprecationWarning)
    clf = sp.load_classifier(classifier)
    clf.predict(
        [(np.zeros(SR, np.float32), SR)] * 32, progress=False
    )  # what the first batch allocates is no matter of the file
    before, peak_before, began = held(), peak(), time.perf_counter()
    windows = clf.predict_windows(path, progress=False, runtime=runtime)
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
        "runtime": windows.attrs.get("runtime"),
        "ok": int((windows["status"] == "ok").sum()),
        "events": events[["start", "end", "label"]].values.tolist(),
    }


# ---------------------------------------------------------------------- before and after


def serve(classifier: str) -> None:
    """Answer the requests of `compare`, a line each, in one process: runtime, path, overlap and where the probabilities go."""
    import torch

    import specimg as sp

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    clf = sp.load_classifier(classifier)
    clf.predict([(np.zeros(SR, np.float32), SR)] * 32, progress=False)
    knows_runtimes = "runtime" in inspect.signature(clf.predict_windows).parameters
    for line in sys.stdin:
        runtime, path, overlap, out = json.loads(line)
        more = {"runtime": runtime} if knows_runtimes else {}
        began, wall = time.process_time(), time.perf_counter()
        table = clf.predict_windows(path, overlap=overlap, progress=False, **more)
        took, wall = time.process_time() - began, time.perf_counter() - wall
        np.save(out, table[[name for name in table if name.startswith("p_")]].to_numpy())
        print(
            json.dumps({"cpu": took, "wall": wall, "windows": len(table), "runtime": table.attrs.get("runtime")}),
            flush=True,
        )


class Way:
    """A process of one of the packages that are compared."""

    def __init__(self, name: str, package: Path, runtime: str, classifier: Path, folder: Path):
        self.name, self.runtime, self.out = name, runtime, folder / f"{name}.npy"
        environment = {**os.environ, "PYTHONPATH": str(package), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-W", "ignore", __file__, "--serve", str(classifier)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def answer(self, path: Path, overlap: float) -> dict:
        self.process.stdin.write(json.dumps([self.runtime, str(path), overlap, str(self.out)]) + "\n")
        self.process.stdin.flush()
        return {**json.loads(self.process.stdout.readline()), "probs": np.load(self.out)}

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def compare(before: Path, folder: Path, files: list[Path], minutes: int, rounds: int, sizes: list[str]) -> list[dict]:
    """One row for each size, file and overlap."""
    here, rows = Path(__file__).resolve().parents[1], []
    for size in sizes:
        classifier = classifier_of(folder, size)
        ways = [Way("before", before, "torch", classifier, folder), Way("now", here, "onnxruntime", classifier, folder)]
        first = [way.answer(files[0], 0.0)["cpu"] for way in ways]  # with what is done once
        again = [way.answer(files[0], 0.0)["cpu"] for way in ways]
        print(f"{size}: exporting to onnxruntime took {first[1] - again[1]:.1f} s, once", flush=True)
        for path in files:
            for overlap in OVERLAPS:
                found = [[way.answer(path, overlap) for way in ways] for _ in range(rounds)]
                rows.append(row_of(size, path, overlap, minutes, list(zip(*found))))
                print(said(rows[-1]), flush=True)
        for way in ways:
            way.close()
    return rows


def row_of(size: str, path: Path, overlap: float, minutes: int, found: list[tuple[dict, ...]]) -> dict:
    """The medians of the rounds of both ways."""
    before, now = (float(np.median([one["cpu"] for one in way])) for way in found)
    off = max(float(np.abs(one["probs"] - found[0][0]["probs"]).max()) for one in found[1])
    n = found[0][0]["windows"]
    return {
        "picture": size,
        "file": path.name,
        "overlap_s": overlap,
        "windows": n,
        "before_ms": round(1000 * before / n, 2),
        "now_ms": round(1000 * now / n, 2),
        "before_x_real_time": round(60 * minutes / before),
        "now_x_real_time": round(60 * minutes / now),
        "ratio": round(before / now, 2),
        "max_difference": f"{off:.1e}",
    }


def said(row: dict) -> str:
    return (
        f"{row['picture']} {row['file']} overlap {row['overlap_s']:g} s: a window {row['before_ms']} ms before, {row['now_ms']} now; "
        f"{row['before_x_real_time']} -> {row['now_x_real_time']} times real time, "
        f"{row['ratio']} times as fast; probabilities differ by {row['max_difference']}"
    )


def long_files(folder: Path, minutes: int) -> list[Path]:
    """The files that are compared, written where they are not there."""
    import soundfile as sf

    paths = []
    for sr, channels, kind in COMPARED:
        paths.append(path := folder / f"{sr}x{channels}-{minutes}min.{kind}")
        if not path.exists():
            wav = folder / "made.wav"
            make_long(wav, minutes / 60, sr, channels)
            sf.write(path, *sf.read(wav, dtype="int16"), subtype="PCM_16")
            wav.unlink()
    return paths


def classifier_of(folder: Path, size: str) -> Path:
    """The classifier of a size, trained where it is not there."""
    inside = folder / size
    if not (inside / "classifier").exists():
        inside.mkdir(exist_ok=True)
        train_classifier(inside, SIZES[size])
    return inside / "classifier"


def memory(folder: Path, size: str) -> None:
    """Peak memory of fresh processes, for files of 10 minutes and of 2 hours."""
    classifier = str(classifier_of(folder, size))
    for sr, channels in ((16000, 1), (44100, 2)):
        for hours in (1 / 6, 2.0):
            path = folder / f"{sr}-{hours:.2f}h.wav"
            if not path.exists():
                make_long(path, hours, sr, channels)
            for runtime in ("torch", "onnxruntime"):
                command = [sys.executable, "-W", "ignore", __file__, "--work", classifier, str(path), runtime]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                out = json.loads(done.stdout.splitlines()[-1])
                print(
                    f"{60 * hours:.0f} min at {sr} Hz, {channels} channels, {runtime}: peak {out['peak']:.0f} MB ({out['peak before']:.0f} before the "
                    f"file), {out['seconds']:.0f} s, {out['audio'] / out['seconds']:.0f} times real time",
                    flush=True,
                )


# ---------------------------------------------------------------------- hours


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


def add_rows(path: Path, rows: list[dict]) -> None:
    """Rows of a table, with its header where the file is new."""
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=10.0, help="of the longer file; the other is a tenth of it")
    parser.add_argument("--work", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--serve", metavar="CLASSIFIER", help=argparse.SUPPRESS)
    parser.add_argument("--before", type=Path, help="the folder of another commit's checkout, to compare with")
    parser.add_argument("--memory", action="store_true", help="peak memory for 10 minutes and for 2 hours")
    parser.add_argument("--minutes", type=int, default=10, help="of the files that are compared")
    parser.add_argument("--rounds", type=int, default=3, help="that the ways take turns")
    parser.add_argument(
        "--sizes", nargs="+", default=list(SIZES), choices=SIZES, help="of the pictures that are compared"
    )
    parser.add_argument(
        "--files", default="", metavar="BEGINNING", help="of the names of those that are compared, as 44100x2"
    )
    parser.add_argument("--keep", type=Path, help="where classifiers and files stay")
    parser.add_argument("--csv", type=Path, help="gets the rows of the comparison, behind those that it has")
    args = parser.parse_args()
    if args.serve:
        serve(args.serve)
        return
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
        if args.before or args.memory:
            kept = args.keep or folder
            kept.mkdir(exist_ok=True)
            if args.memory:
                memory(kept, args.sizes[-1])
                return
            files = [path for path in long_files(kept, args.minutes) if path.name.startswith(args.files)]
            rows = compare(args.before, kept, files, args.minutes, args.rounds, args.sizes)
            if args.csv:
                add_rows(args.csv, rows)
            return
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
