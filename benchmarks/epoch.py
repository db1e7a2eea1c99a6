"""How long does an epoch of training take on a CPU? Plain fastai and specimg, side by side in one process, on the same pictures.

    python benchmarks/epoch.py                                                  # ResNet18, one thread, without augmentation
    python benchmarks/epoch.py --arch tf_efficientnet_lite0 --threads 2 --augment --frozen
    python benchmarks/epoch.py --profile                                        # where the time of each way goes

Grey pictures of 128 x 216 pixels, drawn once. Both ways train the same timm network with the same batches, metrics and one-cycle policy.

    plain      ImageDataLoaders, vision_learner: a picture opens as RGB, and so do most people's
    specimg    SpecDataLoaders.from_tree, spec_learner: one channel

Epochs take turns, so that a machine that slows down slows both; the table shows medians, and medians of the ratios within rounds, of the
seconds that passed and of those that the processor worked (which other processes disturb less). Validation is part of an epoch.
`--augment`: each way's own default augmentation. `--frozen`: the body frozen, as at the start of `fine_tune`.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
import warnings
from pathlib import Path
from statistics import median

import numpy as np

RESULTS = Path(__file__).parent / "results" / "epoch.csv"
WAYS = ("plain", "specimg")
KEY = ("network", "threads", "augmented", "frozen", "batch", "pictures")


def make_tree(folder: Path, n: int):
    """A tree of `n` pictures of 5 s at 22.05 kHz, 128 x 216 pixels, and its label table, a fifth of it for validation."""
    import pandas as pd
    import soundfile as sf

    import specimg as sp
    from specimg.datasets import list_sounds, make_sound

    kinds, rows = list_sounds(), []
    (folder / "clips").mkdir()
    for i in range(n):
        y = make_sound(kinds[i % len(kinds)], np.random.default_rng(i), sr=22050, seconds=5.0)
        sf.write(folder / "clips" / f"{i:04d}.wav", y, 22050, subtype="PCM_16")
        rows.append({"path": f"{i:04d}.wav", "label": kinds[i % len(kinds)], "is_valid": i >= n * 4 // 5})
    look = sp.Renderer(sp.Mel(n_mels=128))
    tree = sp.render_tree(folder / "clips", look, folder / "cache", n_jobs=1, progress=False)
    return tree, pd.DataFrame(rows)


def plain_learner(tree, labels, arch: str, bs: int, augment: bool):
    """What fastai's documentation shows, with pictures of one size."""
    from fastai.vision.all import ImageDataLoaders, accuracy, aug_transforms, error_rate, vision_learner

    table = labels.assign(path=[str(tree.picture(path)) for path in labels["path"]])
    dls = ImageDataLoaders.from_df(
        table, path="/", fn_col="path", label_col="label", valid_col="is_valid", bs=bs, num_workers=0, device="cpu",
        batch_tfms=aug_transforms() if augment else None,
    )  # fmt: skip
    return vision_learner(dls, arch, pretrained=False, metrics=[accuracy, error_rate])


def spec_learner(tree, labels, arch: str, bs: int, augment: bool):
    """The same with specimg."""
    import specimg as sp

    dls = sp.SpecDataLoaders.from_tree(
        tree, labels, bs=bs, num_workers=0, device="cpu", augment="default" if augment else None
    )
    return sp.spec_learner(dls, arch, pretrained=False)


def epoch(learn, frozen: bool) -> tuple[float, float]:
    """Seconds of one epoch: that passed, and that the processor worked."""
    (learn.freeze if frozen else learn.unfreeze)()
    began, worked = time.perf_counter(), time.process_time()
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-3)
    return time.perf_counter() - began, time.process_time() - worked


def measure(learners: dict, frozen: bool, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Of each way the seconds of its epochs, round by round, everything warm."""
    taken = {way: [] for way in learners}
    for number in range(rounds + 1):  # round 0 warms up
        for way, learn in learners.items():
            seconds = epoch(learn, frozen)
            if number:
                taken[way].append(seconds)
    return taken


def as_row(key: tuple, taken: dict[str, list[tuple[float, float]]]) -> dict:
    """One row of the table."""
    row = dict(zip(KEY, key))
    for i, what in enumerate(("passed", "worked")):
        plain, ours = ([seconds[i] for seconds in taken[way]] for way in WAYS)
        row |= {f"plain_{what}": f"{median(plain):.2f}", f"specimg_{what}": f"{median(ours):.2f}"}
        row[f"ratio_{what}"] = f"{median(b / a for a, b in zip(plain, ours)):.3f}"
    return row


def save(rows: list[dict]) -> None:
    """Write rows into the table of results, in place of earlier ones with the same key."""
    old = list(csv.DictReader(RESULTS.open())) if RESULTS.exists() else []
    new = {tuple(str(row[name]) for name in KEY): row for row in [*old, *rows]}
    with RESULTS.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(new[key] for key in sorted(new))


def profile(learn, frozen: bool, rows: int = 14) -> str:
    """What one epoch of a warm learner spends its time on: torch's operations, then Python's functions."""
    import cProfile
    import io
    import pstats

    import torch

    epoch(learn, frozen)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
        epoch(learn, frozen)
    stats = cProfile.Profile()
    stats.runcall(epoch, learn, frozen)
    text = io.StringIO()
    pstats.Stats(stats, stream=text).sort_stats("tottime").print_stats(rows)
    total = sum(event.self_cpu_time_total for event in seen.key_averages())
    most = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)[:rows]
    shown = [
        f"{event.self_cpu_time_total / total:7.1%} {event.self_cpu_time_total / 1e3:9.1f} ms {event.count:6d} {event.key}"
        for event in most
    ]
    return "\n".join([*shown, text.getvalue()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", nargs="+", default=["resnet18"], help="timm's names")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--augment", action="store_true", help="each way's default augmentation")
    parser.add_argument("--frozen", action="store_true", help="epochs of the head, and of batch normalisation, alone")
    parser.add_argument("--bs", type=int, default=16)
    parser.add_argument("--pictures", type=int, default=120, help="four fifths are trained on")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", action="store_true", help="print where the time goes; measure nothing")
    parser.add_argument("--save", action="store_true", help=f"write the rows to {RESULTS.name}")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree, labels = make_tree(Path(folder), args.pictures)
        for arch in args.arch:
            make = {"plain": plain_learner, "specimg": spec_learner}
            learners = {way: make[way](tree, labels, arch, args.bs, args.augment) for way in WAYS}
            if args.profile:
                for way, learn in learners.items():
                    print(f"\n{arch}, {way}\n{profile(learn, args.frozen)}")
                continue
            key = (arch, args.threads, args.augment, args.frozen, args.bs, args.pictures)
            rows.append(as_row(key, measure(learners, args.frozen, args.rounds)))
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if args.save and rows:
        save(rows)


if __name__ == "__main__":
    main()
