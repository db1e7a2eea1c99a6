"""How time and memory grow with the number of recordings, 1,000 to 100,000: a table, and the exponent that fits each row of it.

    python benchmarks/growth.py --work /dev/shm/growth                  # all of it, resumable: what results/growth.csv holds is kept
    python benchmarks/growth.py --only report listing --most 10000      # these parts, up to that size
    python benchmarks/growth.py --table                                 # the table of what is measured

Recordings of 0.1 s at 8 kHz (hard links to 256 different ones), pictures of 16 mel bands, 10 classes, random probabilities and embeddings of 16 numbers where a
network would be needed. Each measurement is a process of its own, after the same on 100 recordings, so that imports do not count: seconds of a CPU, seconds of
a clock, and the peak of memory beyond what was held before. Recordings and pictures are prepared by another process. Exponents are of CPU time, between the
two largest sizes and over the last tenfold: 1 is linear, and n log n is about 1.1 there.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import gc
import math
import os
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

SIZES = (1000, 3000, 10_000, 30_000, 100_000)
FIELDS = ("what", "n", "cpu_s", "wall_s", "mb")
CLASSES, DIFFERENT, WARM = 10, 256, 100


def recordings(work: Path, n: int) -> Path:
    """A folder of n recordings in ten folders, hard links to a few hundred files."""
    import soundfile

    folder = work / f"audio{n}"
    if not (folder / "whole").exists():
        rng = np.random.default_rng(0)
        for k in range(CLASSES):
            (folder / f"class{k}").mkdir(parents=True, exist_ok=True)
        for k in range(DIFFERENT):
            soundfile.write(work / f"base{k}.wav", 0.1 * rng.standard_normal(800), 8000)
        for i in range(n):
            link = folder / f"class{i % CLASSES}" / f"{i}.wav"
            if not link.exists():
                os.link(work / f"base{i % DIFFERENT}.wav", link)
        (folder / "whole").touch()
    return folder


def table_of(n: int) -> pd.DataFrame:
    """Paths and labels."""
    return pd.DataFrame(
        {"path": [f"class{i % CLASSES}/{i}.wav" for i in range(n)], "label": [f"class{i % CLASSES}" for i in range(n)]}
    )


def drawn(work: Path, n: int):
    """The tree of pictures of these recordings."""
    import specimg as sp

    look = sp.Renderer(sp.Mel(n_mels=16, n_fft=128, hop_length=64), audio=sp.Audio(sr=8000))
    return sp.render_tree(recordings(work, n), look, work / f"cache{n}", n_jobs=1, progress=False)


def predicted(n: int, features: int = 16):
    """Predictions as of a network that is right more often than not."""
    from specimg.training import Predictions

    rng = np.random.default_rng(0)
    table = table_of(n).rename(columns={"label": "target"})
    logits = rng.normal(size=(n, CLASSES)) + 2 * np.eye(CLASSES)[np.arange(n) % CLASSES]
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    loss = -np.log(probs[np.arange(n), np.arange(n) % CLASSES])
    centres = np.eye(CLASSES, features)[np.arange(n) % CLASSES]
    vocab = [f"class{k}" for k in range(CLASSES)]
    return Predictions(table.assign(loss=loss), probs, vocab, rng.normal(size=(n, features)) + 3 * centres)


# each part: takes what it needs, and returns what is measured


def listing(work: Path, n: int) -> Callable:
    import specimg as sp

    folder = recordings(work, n)
    return lambda: sp.audio.find_audio(folder)


def drawing(work: Path, n: int) -> Callable:
    shutil.rmtree(work / f"cache{n}", ignore_errors=True)
    return lambda: drawn(work, n)


def second_call(work: Path, n: int) -> Callable:
    return lambda: drawn(work, n)


def loaders(work: Path, n: int) -> Callable:
    import specimg as sp

    tree, table = drawn(work, n), table_of(n)
    return lambda: sp.SpecDataLoaders.from_tree(tree, table, bs=64, num_workers=0, device="cpu", augment=None)


def epoch(work: Path, n: int) -> Callable:
    dls = loaders(work, n)()

    def run() -> None:
        for loader in dls.train, dls.valid:
            for _ in loader:
                pass

    return run


def predictions(work: Path, n: int) -> Callable:
    from specimg.training import Predictions

    p, file = predicted(n), work / "predictions.npz"
    table = p.table[["path", "target", "loss"]]

    def run() -> None:
        made = Predictions(table, p.probs, p.vocab, p.embeddings)
        made.save(file)
        read = Predictions.load(file)
        for metric in "accuracy", "map@3":
            read.score(metric)
        read.subset(~read.table["right"])

    return run


def issues(work: Path, n: int) -> Callable:
    from specimg.interpret import label_issues

    p = predicted(n)
    return lambda: label_issues(p)


def interpretation(work: Path, n: int) -> Callable:
    from specimg.interpret import SpecInterpretation

    found = SpecInterpretation(predicted(n))
    return lambda: [
        found.summary(), found.top_losses(), found.confusion_matrix(), found.classification_report(),
        found.calibration(), found.nearest(0),
    ]  # fmt: skip


def tsne(work: Path, n: int) -> Callable:
    from specimg.interpret import SpecInterpretation

    found = SpecInterpretation(predicted(n))
    return lambda: found.tsne()


def report(work: Path, n: int) -> Callable:
    import specimg as sp
    from specimg.training import Predictions

    tree, p = drawn(work, n), predicted(n)
    pictures = tree.table.set_index("path")["picture"].reindex(p.table["path"])
    table = p.table.assign(picture=[str(tree.images / name) for name in pictures])
    p = Predictions(table[["path", "picture", "target", "loss"]], p.probs, p.vocab, p.embeddings)
    return lambda: sp.report(p, work / "report.html", cam=0, progress=False, overwrite=True)


PARTS = {  # and whether pictures are drawn before
    "listing": (listing, False),
    "drawing": (drawing, False),
    "second call": (second_call, True),
    "loaders": (loaders, True),
    "epoch without the network": (epoch, True),
    "predictions": (predictions, False),
    "label issues": (issues, False),
    "interpretation": (interpretation, False),
    "t-SNE": (tsne, False),  # scikit-learn up to 3,000, then openTSNE
    "report": (report, True),
}


def prepare(what: str, n: int, work: Path) -> None:
    for size in WARM, n:
        if PARTS[what][1]:
            drawn(work, size)
        elif what in ("listing", "drawing"):
            recordings(work, size)


def memory(field: str) -> float:
    """MB of this process: VmRSS now, VmHWM at the peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def measure(what: str, n: int, work: Path) -> None:
    """Print CPU seconds, seconds and megabytes of one part."""
    part = PARTS[what][0]
    part(work, WARM)()
    run = part(work, n)
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, cpu, began = memory("VmRSS"), time.process_time(), time.perf_counter()
    kept = run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - began
    print(f"{cpu:.3f},{wall:.3f},{memory('VmHWM') - before:.1f}")
    del kept


def in_a_process(step: str, what: str, n: int, work: Path, limit: float) -> str | None:
    """The last line that a step prints; None, and a message, where it fails or takes too long."""
    command = [sys.executable, __file__, "--work", str(work), "--step", step, what, str(n)]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=True).stdout
    except subprocess.TimeoutExpired:
        print(f"{what}, {n:,}: {step} not within {limit:g} s", flush=True)
    except subprocess.CalledProcessError as exc:
        reason = exc.stderr.strip().splitlines() or [f"exit status {exc.returncode}"]
        print(f"{what}, {n:,}: {step} failed: {reason[-1]}", flush=True)
    else:
        return told.strip().splitlines()[-1] if told.strip() else ""
    return None


def exponent(small: pd.Series, large: pd.Series) -> float:
    """Of CPU time: 1 is linear."""
    return math.log(max(large["cpu_s"], 1e-3) / max(small["cpu_s"], 1e-3)) / math.log(large["n"] / small["n"])


def growth(rows: pd.DataFrame) -> str:
    """Cells: the exponents between the two largest sizes and over the last tenfold, and the KB of memory that a recording adds between the two."""
    if len(rows) < 2:
        return "| | "
    small, large = rows.iloc[-2], rows.iloc[-1]
    tenth = rows[rows["n"] >= large["n"] / 10].iloc[0]
    kb = 1024 * (large["mb"] - small["mb"]) / (large["n"] - small["n"])
    return f"{exponent(small, large):.2f} | {exponent(tenth, large):.2f} | {kb:.2f}"


def show(out: Path) -> None:
    """Print the table in Markdown: CPU seconds and MB of each size."""
    found = pd.read_csv(out)
    sizes = sorted(found["n"].unique())
    print(f"| CPU seconds, MB | {' | '.join(f'{n:,}' for n in sizes)} | exponent | over tenfold | KB a recording |")
    print("|---" * (len(sizes) + 4) + "|")
    for what in PARTS:
        rows = found[found["what"] == what].sort_values("n")
        if len(rows):
            at = {row.n: f"{row.cpu_s:.3g}, {row.mb:.0f}" for row in rows.itertuples()}
            print(f"| {what} | {' | '.join(at.get(n, '') for n in sizes)} | {growth(rows)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path("/tmp/specimg-growth"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "growth.csv")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--most", type=int, default=SIZES[-1], help="recordings of these parts")
    parser.add_argument(
        "--limit", type=float, default=170, help="seconds of one measurement; larger sizes are left out"
    )
    parser.add_argument("--table", action="store_true", help="show what is measured, measure nothing")
    parser.add_argument("--step", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    if args.step:
        warnings.simplefilter("ignore")
        step, what, n = args.step
        return {"preparation": prepare, "measurement": measure}[step](what, int(n), args.work)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    if not args.out.exists():
        args.out.write_text(",".join(FIELDS) + "\n")
    with args.out.open() as file:
        known = {(row["what"], int(row["n"])) for row in csv.DictReader(file)}
    ended = set(args.only) if args.table else set()
    for n in (size for size in SIZES if size <= args.most):
        for what in args.only:
            if (what, n) in known or what in ended:
                continue
            told = in_a_process("preparation", what, n, args.work, 10 * args.limit)
            told = told if told is None else in_a_process("measurement", what, n, args.work, args.limit)
            if told is None:
                ended.add(what)
                continue
            with args.out.open("a") as file:
                file.write(f"{what},{n},{told}\n")
            print(what, n, told, flush=True)
    show(args.out)


if __name__ == "__main__":
    main()
