"""How well does a network from scratch know digits from a speaker it never heard? (Free Spoken Digit Dataset)

Ten digits, six speakers, 500 clips each (8 kHz). One speaker is held out, a ResNet18 is trained on the other five for 8 epochs on
64-pixel grey pictures, without pretraining; the linear baseline stands beside it.

    python benchmarks/fsdd.py --data ../shared/data/fsdd --speakers theo --seeds 0 1 2
    python benchmarks/fsdd.py --data ../shared/data/fsdd                       # every speaker, one seed

The data is a folder with the recordings `{digit}_{speaker}_{n}.wav` anywhere below it. The settings are the module's constants;
they were chosen by hand on these speakers, so the scores say what the method can do here, not what it will do elsewhere.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import pandas as pd
import torch

import specimg as sp
from specimg.data.augment import Augment

NAMES = r"^(?P<label>\d)_(?P<group>[a-z]+)_\d+"
RENDERER = sp.Renderer(sp.Mel(n_mels=64, n_fft=512, hop_length=80, top_db=50.0))
AUGMENT = Augment(shift=0.15, stretch=0.3, freq_shift=0.08, hiss=0.5)  # other voices, other rooms, other margins
RECIPE = sp.Recipe(epochs=8, lr=3e-3)
ARCH, SIZE, BATCH = "resnet18", 64, 64


def one_run(data: Path, table: pd.DataFrame, speaker: str, seed: int, cache) -> dict:
    """Hold `speaker` out, train, and score the network and the linear baseline on the held-out clips."""
    began = time.perf_counter()
    dls = sp.SpecDataLoaders.from_df(
        table.assign(held_out=table["group"] == speaker),
        data,
        group_col="group",
        valid_col="held_out",
        renderer=RENDERER,
        cache=cache,
        size=SIZE,
        bs=BATCH,
        augment=AUGMENT,
    )
    learn = sp.spec_learner(dls, ARCH, pretrained=False, seed=seed)
    history = sp.fit(learn, RECIPE.replace(seed=seed))
    accuracy = float(history["accuracy"].iloc[-1])
    return {
        "speaker": speaker,
        "seed": seed,
        "accuracy": accuracy,
        "linear": sp.linear_baseline(dls).accuracy,
        "seconds": round(time.perf_counter() - began),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/fsdd"), help="folder that holds the recordings"
    )
    parser.add_argument("--speakers", nargs="*", help="who is held out in turn; default everybody")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--cache", default=None, help="where pictures are kept; default the user's cache folder")
    parser.add_argument("--threads", type=int, default=None, help="of torch")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", DeprecationWarning)
    table = sp.labels_from_names(args.data, NAMES)
    speakers = args.speakers or sorted(table["group"].unique())
    rows = []
    for speaker in speakers:
        for seed in args.seeds:
            rows.append(one_run(args.data, table, speaker, seed, args.cache))
            print(rows[-1], flush=True)
    runs = pd.DataFrame(rows)
    summary = runs.groupby("speaker")[["accuracy", "linear"]].mean().round(3)
    print(
        f"\n{ARCH}, {SIZE} px, {RECIPE.epochs} epochs from scratch, seeds {args.seeds}; {platform.machine()}, {torch.get_num_threads()} threads, "
        f"torch {torch.__version__}, {time.strftime('%Y-%m-%d')}"
    )
    print(summary.to_string())
    print(f"mean over speakers: {summary['accuracy'].mean():.3f}, linear {summary['linear'].mean():.3f}")


if __name__ == "__main__":
    main()
