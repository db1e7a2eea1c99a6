"""Pictures drawn live in the batch against pictures from the tree: the pixels, the seconds of an epoch, and what is learnt.

    python benchmarks/live.py --data ../shared/data/drums                   # pixels and seconds, some minutes
    python benchmarks/live.py --data ../shared/data/drums --seeds 3         # and accuracy, a quarter of an hour on two cores

Pixels: levels (of 255) by which the two ways differ, for each representation that can be drawn live, at the network's own size and as
drawn. Seconds: ResNet18 at 128 x 216 (5 s at 22,050 Hz), the two ways in turns, the median of their epochs, in one thread. Accuracy:
drums with whole kits held out, the same recipe and seeds for both ways, and with clips blended. Only ratios mean something elsewhere.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import specimg as sp
from specimg.data import WaveAugment
from specimg.data.graph import list_graph_representations
from specimg.metrics import wilson_interval
from specimg.spectrogram import mel_and_deltas

HELD_OUT = ("audiophob", "bja_pacific", "hardelectro1")
FRAMES = dict(n_fft=1024, hop_length=512)
MEL = sp.Mel(n_mels=64, **FRAMES)
LOOKS = {
    "mel": MEL,
    "mel, pcen": MEL.replace(pcen=sp.Pcen()),
    "stft": sp.Stft(**FRAMES),
    "mfcc": sp.Mfcc(n_mels=64, **FRAMES),
    "gammatone": sp.Gammatone(n_bands=32, fmin=100.0, **FRAMES),
    "gfcc": sp.Gfcc(n_bands=32, fmin=100.0, **FRAMES),
    "delta": sp.Delta(MEL),
    "scaled": sp.Scaled(MEL),
    "stack": mel_and_deltas(MEL),
}


def loaders(args, table: pd.DataFrame, live: bool, look: sp.Renderer, **options) -> sp.SpecDataLoaders:
    options = {"bs": 32, "augment": None, "n_jobs": 1, "progress": False, "seed": 0, **options}
    return sp.SpecDataLoaders.from_df(table, args.data, renderer=look, cache=args.cache, live=live, **options)


# ---------------------------------------------------------------- pixels


def levels_apart(args, table: pd.DataFrame, look: sp.Renderer, size) -> tuple[int, float]:
    """(the most levels by which a pixel differs, the share of pixels that differ)."""
    ways = [loaders(args, table, live, look, size=size, shuffle=False) for live in (False, True)]
    most, off, pixels = 0, 0, 0
    for (stored, *_), (drawn, *_) in zip(*(dls.train for dls in ways)):
        apart = (stored - drawn).abs().mul(255).round()
        most, off, pixels = max(most, int(apart.max())), off + int((apart > 0).sum()), pixels + apart.numel()
    return most, off / pixels


def pixels(args, table: pd.DataFrame) -> None:
    some = table.iloc[:: max(1, len(table) // 96)].reset_index(drop=True)
    audio = sp.Audio(sr=22050, duration=1.5)
    print(f"\nlevels of 255 by which live and tree differ, {len(some)} drums, as drawn and at 64 x 64")
    for name, representation in LOOKS.items():
        found = [levels_apart(args, some, sp.Renderer(representation, audio=audio), size) for size in (None, 64)]
        print(f"  {name:<11}" + "".join(f"  at most {most}, in {share:7.4%} of the pixels" for most, share in found))
    kinds = {
        kind for spec in LOOKS.values() for kind in [spec.kind, *(part.kind for part in getattr(spec, "parts", ()))]
    }
    print(f"  not measured: {sorted(set(list_graph_representations()) - kinds) or 'none'}")


# ---------------------------------------------------------------- seconds


def one_epoch(learn) -> float:
    began = time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3)
    return time.perf_counter() - began


def seconds(args, table: pd.DataFrame) -> None:
    look = sp.Renderer(sp.Mel(n_mels=128), audio=sp.Audio(sr=22050, duration=5.0, pad="repeat"))
    some = table.iloc[:: max(1, len(table) // args.clips)].reset_index(drop=True)
    learners = {}
    for way in ("tree", "live"):
        dls = loaders(args, some, way == "live", look, size=(128, 216), valid_pct=0.1)
        learners[way] = sp.spec_learner(dls, "resnet18", pretrained=False, seed=0)
    took = {way: [] for way in learners}
    for _ in range(args.turns + 1):  # the first is not counted: memory is found, files are read
        for way, learn in learners.items():
            took[way].append(one_epoch(learn))
    median = {way: float(np.median(each[1:])) for way, each in took.items()}
    print(
        f"\nseconds an epoch, ResNet18 at 128 x 216, {learners['live'].dls.train.n} clips, one thread, median of {args.turns}"
    )
    print("  " + ", ".join(f"{way} {each:.2f} s" for way, each in median.items()))
    print(f"  live / tree = {median['live'] / median['tree']:.2f} (at most 1.5 is wanted)")


# ---------------------------------------------------------------- accuracy


def accuracy(args, table: pd.DataFrame) -> None:
    table = table.assign(is_valid=table["group"].isin(HELD_OUT))
    look = sp.Renderer(MEL, audio=sp.Audio(sr=22050, duration=1.5))
    mix = WaveAugment(shift=0, gain_db=0, noise_db=None, mix=0.5)
    ways = {"tree": {}, "live": {"live": True}, "live, waveforms mixed": {"live": True, "wave_augment": mix}}
    ways["tree, cut_mix"] = {"augment": sp.Augment(hiss=0, cut_mix=0.5)}
    ways["tree, band_gain"] = {"augment": sp.Augment(hiss=0, band_gain=0.075)}
    print(
        f"\naccuracy on {int(table.is_valid.sum())} drums of {len(HELD_OUT)} kits held out, {args.arch} from scratch, {args.epochs} epochs"
    )
    for name in args.only or ways:
        options, right = ways[name], []
        for seed in range(args.seeds):
            dls = loaders(args, table, look=look, size=64, valid_col="is_valid", **{"live": False, **options})
            learn = sp.spec_learner(dls, args.arch, pretrained=False, seed=seed)
            with learn.no_bar(), learn.no_logging():
                sp.fit(learn, sp.Recipe(epochs=args.epochs, freeze_epochs=0, seed=seed))
            with learn.no_bar():
                right.append(float(learn.validate()[1]))
        n = int(table.is_valid.sum()) * args.seeds
        _, low, high = (float(np.mean(right)), *wilson_interval(round(np.mean(right) * n), n)[-2:])
        print(
            f"  {name:<24}{np.mean(right):.3f} ({', '.join(f'{each:.3f}' for each in right)}), 95 % {low:.3f} to {high:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/drums"), help="folder of drums.csv")
    parser.add_argument("--clips", type=int, default=96, help="of which an epoch is timed")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=0, help="accuracy over so many; 0 leaves it out")
    parser.add_argument(
        "--only", nargs="+", help="of the ways whose accuracy is measured, these; pixels and seconds are left out"
    )
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    table = pd.read_csv(args.data / "drums.csv").rename(columns={"kit": "group"})
    with tempfile.TemporaryDirectory() as args.cache:
        if not args.only:
            pixels(args, table)
            seconds(args, table)
        if args.seeds:
            accuracy(args, table)
    print(f"\n{platform.machine()}, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
