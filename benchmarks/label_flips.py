"""How many wrong labels does a label review find? (Free Spoken Digit Dataset)

One label in twenty is replaced by another digit, at random. Networks that never saw a clip judge it (cross-validation), the clips are
listed by how likely their label is wrong, and the flips among the first of the list are counted, for each way to rank.

    python benchmarks/label_flips.py --data ../shared/data/fsdd --out runs/label-flips
    python benchmarks/label_flips.py --data ../shared/data/fsdd --out runs/label-flips --by-speaker

With --by-speaker the networks have not heard the clip's speaker either. The data is a folder with the recordings
`{digit}_{speaker}_{n}.wav` anywhere below it. The same call again goes on where it was stopped, and prints what a finished run found. Of a
perfect list the "first 5%" hold every flip, of a list in random order one in twenty.
"""

from __future__ import annotations

import argparse
import platform
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fsdd import AUGMENT, BATCH, NAMES, RENDERER, SIZE
from sklearn.metrics import average_precision_score

import specimg as sp
from specimg.interpret.label_quality import list_rankings

ARCH, FOLDS = "mini_resnet", 4
RECIPE = sp.Recipe(epochs=6, lr=3e-3)
FIRST = (0.05, 0.10)  # shares of the list that a person would listen to


def flip_labels(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
    """The table with `share` of the labels replaced by another one, and the column `true`."""
    rng = np.random.default_rng(seed)
    labels = np.array(sorted(table["label"].unique()))
    number = np.searchsorted(labels, table["label"])
    flipped = rng.choice(len(table), round(share * len(table)), replace=False)
    number[flipped] = (number[flipped] + rng.integers(1, len(labels), len(flipped))) % len(labels)
    return table.assign(true=table["label"], label=labels[number])


def judge(table: pd.DataFrame, data: Path, args) -> sp.Run:
    """Every clip judged by a network that never saw it."""
    train = table.drop(columns="true") if args.by_speaker else table.drop(columns=["true", "group"])
    comp = sp.Competition("fsdd-flips", data, train=train)
    name = f"{'speaker' if args.by_speaker else 'stratified'}-{args.share:g}-seed{args.seed}"
    return sp.cross_validate(
        comp,
        RENDERER,
        ARCH,
        RECIPE.replace(seed=args.seed),
        folds=3 if args.by_speaker else FOLDS,
        out=args.out / name,
        loaders=dict(bs=BATCH, size=SIZE, augment=AUGMENT, cache=args.out / "pictures"),
        learner=dict(pretrained=False),
    )


def count_found(run: sp.Run, table: pd.DataFrame) -> pd.DataFrame:
    """For each way to rank: which share of the flips is among the first of the list, and what confident learning names."""
    true = dict(zip(table["path"], table["true"]))
    rows = {}
    for rank in list_rankings():
        for adjust in (False, True):
            listed = sp.label_issues(run, rank=rank, adjust=adjust)
            right = listed["path"].map(true)
            is_flip, named = (listed["label"] != right).to_numpy(), listed["issue"].to_numpy()
            found = {
                f"first {share:.0%}": is_flip[: round(share * len(listed))].sum() / is_flip.sum() for share in FIRST
            }
            rows[rank + ", adjusted" * adjust] = found | {
                "average precision": average_precision_score(is_flip, -listed["quality"])
            }
    suggested = (listed["suggestion"] == right).to_numpy()
    disagree = (listed["suggestion"] != listed["label"]).sum()
    print(
        f"confident learning names {named.sum()} clips, {(named & is_flip).sum()} of them flips; the suggestion is the true label for "
        f"{suggested[is_flip].mean():.3f} of all flips; another than the label for {disagree} clips"
    )
    return pd.DataFrame(rows).T


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/fsdd"), help="folder that holds the recordings"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/label-flips"))
    parser.add_argument("--share", type=float, default=0.05, help="of the labels that are flipped")
    parser.add_argument(
        "--by-speaker", action="store_true", help="fold by speaker; default stratified folds, which know all voices"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="of torch")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", DeprecationWarning)
    began = time.perf_counter()
    table = flip_labels(sp.labels_from_names(args.data, NAMES), args.share, args.seed)
    run = judge(table, args.data, args)
    flips = int((table["true"] != table["label"]).sum())
    print(
        f"\n{flips} of {len(table)} labels flipped; {ARCH}, {SIZE} px, {RECIPE.epochs} epochs from scratch, {len(run.fold_runs)} folds "
        f"{'by speaker' if args.by_speaker else 'stratified'}, seed {args.seed}; out of fold {run.score}; {platform.machine()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {time.perf_counter() - began:.0f} s"
    )
    print(count_found(run, table).to_string(float_format="{:.3f}".format))


if __name__ == "__main__":
    main()
