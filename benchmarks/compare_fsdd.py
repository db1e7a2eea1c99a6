"""Every network of `sp.list_nets()` against ResNet18 and ResNet34 from scratch, on digits from a speaker that none of them heard.

Free Spoken Digit Dataset: one speaker held out, all networks trained alike for a few epochs on the same 64-pixel mel pictures, but for
those that ask for another size or for channels; the SoundNets hear the waveform. It is a race of few epochs on little data: it says
which network learns fast here, not which is best after a week.

    python benchmarks/compare_fsdd.py --data ../shared/data/fsdd --out runs/compare-fsdd --epochs 6

The same again goes on where it was stopped; `--only resnet18 lstm` trains some. The table is printed, and written beside the runs.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from pathlib import Path

import torch
from fsdd import AUGMENT, BATCH, NAMES, RENDERER, SIZE

import specimg as sp
from specimg.core.files import write_atomic
from specimg.experiments import Candidate
from specimg.metrics import wilson_interval
from specimg.models.nets import net_facts
from specimg.models.networks import is_own
from specimg.spectrogram import mel_and_deltas

DELTAS = RENDERER.replace(representation=mel_and_deltas(RENDERER.representation))
SLOW_RATE, RATE = 1e-3, 3e-3  # peak rates: of networks without batch normalisation, and of the others

# what a network asks for besides: another size in pixels, channels, a rate, options of its own
ASKS = {
    "speech_cnn": dict(size=32),
    "digits_cnn": dict(size=48),
    "multichannel_cnn": dict(size=(32, 256), renderer=DELTAS),
    "resnet_lstm": dict(net=dict(backbone="resnet18")),
    **{name: dict(lr=SLOW_RATE) for name in ("feature_mlp", "feature_cnn", "lstm", "recurrent")},
}


def make_competition(data: Path, speaker: str) -> sp.Competition:
    """The digits with one speaker held out, in the only fold there is."""
    table = sp.labels_from_names(data, NAMES)
    return sp.Competition("fsdd", data, table.assign(fold=[0 if who == speaker else -1 for who in table["group"]]))


def make_candidates(epochs: int) -> list[Candidate]:
    """ResNet18 and ResNet34, then our own networks of pictures."""
    candidates = []
    for arch in ["resnet18", "resnet34", *(name for name in sp.list_nets() if not net_facts(name).wave)]:
        asks = ASKS.get(arch, {})
        learner = {"net": asks["net"]} if "net" in asks else {}
        candidates.append(
            Candidate(
                arch,
                arch,
                asks.get("renderer", RENDERER),
                sp.Recipe(epochs=epochs, lr=asks.get("lr", RATE), seed=0),
                loaders=dict(size=asks.get("size", SIZE)),
                learner=learner if is_own(arch) else {"pretrained": False},
            )
        )
    return candidates


def train_wave(comp: sp.Competition, arch: str, epochs: int, out: Path) -> dict:
    """One of the SoundNets, with batch normalisation, on the same clips as waveforms of one second."""
    table = comp.train.assign(held_out=comp.train["fold"] == 0).drop(columns="fold")
    dls = sp.WaveDataLoaders.from_df(
        table, comp.folder, group_col="group", valid_col="held_out", audio=sp.Audio(sr=8000, duration=1.0), bs=BATCH
    )
    learn = sp.spec_learner(dls, arch, seed=0, net=dict(norm=True), path=out)
    history = sp.fit(learn, sp.Recipe(epochs=epochs, lr=RATE, seed=0))
    accuracy, n = float(history["accuracy"].iloc[-1]), len(dls.valid_ds)
    low, high = wilson_interval(round(accuracy * n), n)
    return {
        "candidate": f"{arch} (waveform)",
        "accuracy": accuracy,
        "low": low,
        "high": high,
        "parameters": sum(p.numel() for p in learn.model.parameters()),
        "seconds_epoch": round(float(history["seconds"].median()), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/fsdd"), help="folder that holds the recordings"
    )
    parser.add_argument("--speaker", default="theo", help="who is held out")
    parser.add_argument("--out", type=Path, default=Path("runs/compare-fsdd"))
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--only", nargs="*", help="names of candidates; default all")
    parser.add_argument("--threads", type=int, default=None, help="of torch")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", DeprecationWarning)
    comp = make_competition(args.data, args.speaker)
    candidates = [c for c in make_candidates(args.epochs) if not args.only or c.name in args.only]
    found = sp.compare(
        comp,
        candidates=candidates,
        baseline=None,
        out=args.out,
        loaders=dict(bs=BATCH, augment=AUGMENT, cache=args.out / "pictures", progress=False),
    )
    found.plot_curves().savefig(args.out / "curves.png", dpi=110, bbox_inches="tight")
    waves = args.out / "waves.json"
    rows = json.loads(waves.read_text()) if waves.exists() else []
    for arch in (name for name in sp.list_nets() if net_facts(name).wave and (not args.only or name in args.only)):
        if f"{arch} (waveform)" not in {row["candidate"] for row in rows}:
            rows.append(train_wave(comp, arch, args.epochs, args.out))
            write_atomic(waves, json.dumps(rows, indent=1).encode())
    found.table.to_csv(args.out / "table.csv", index=False)
    print(
        f"\n{args.epochs} epochs, {args.speaker} held out, seed 0; {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}, "
        f"{time.strftime('%Y-%m-%d')}\n{found}"
    )
    for row in rows:
        print(
            f"{row['candidate']}: accuracy {row['accuracy']:.3f} ({row['low']:.3f} to {row['high']:.3f}), {row['parameters']:,} parameters, "
            f"{row['seconds_epoch']} s an epoch"
        )


if __name__ == "__main__":
    main()
