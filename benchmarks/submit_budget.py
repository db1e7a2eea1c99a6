"""What `specimg submit --budget` decides on this machine, and how many rows a minute it answers, with 1, 3 and 10 networks.

    python benchmarks/submit_budget.py --out build/budget --minutes 2

Ten ResNet18 (five folds and two seeds, one epoch, weights of chance) on a miniature in the layout of birdclef-2026, at 128 mels and 224 x 224 pixels
of five seconds at 32 kHz; test recordings are the miniature's two, copied. The networks know nothing, which costs the same time.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import warnings
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from miniatures.birds import birdclef

import specimg as sp
from specimg.experiments import submit_within

LOOK = sp.Renderer(sp.Mel(n_mels=128), audio=sp.Audio(sr=32000, duration=5.0))


def make_run(folder: Path, recordings: int, arch: str) -> tuple[sp.Competition, sp.Run]:
    """A competition with so many test recordings of 15 s, and a run of ten networks."""
    if not (folder / "data").is_dir():
        birdclef(folder / "data", "birdclef-2026")
        scapes = sorted((folder / "data" / "test_soundscapes").glob("*.ogg"))
        for i in range(recordings - 2):
            shutil.copy(scapes[i % 2], scapes[0].with_name(f"BC2026_Test_{1000 + i}_S05_20250227_010002.ogg"))
    comp = sp.Competition.open("birdclef-2026", folder / "data")
    loaders = dict(bs=16, size=224, n_jobs=1, num_workers=0, progress=False, cache=folder / "cache")
    run = sp.cross_validate(
        comp, LOOK, arch, sp.Recipe(epochs=1, lr=1e-3, seed=0), folds=5, seeds=2, out=folder / "run", loaders=loaders,
        learner=dict(pretrained=False), test=False,
    )  # fmt: skip
    return comp, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/budget"))
    parser.add_argument("--recordings", type=int, default=40)
    parser.add_argument("--minutes", type=float, nargs="+", default=[10.0])
    parser.add_argument("--networks", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--workers", type=int)
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--runtime", default="onnxruntime")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    comp, run = make_run(args.out, args.recordings, args.arch)
    rows = []
    for minutes in args.minutes:
        for n in args.networks:
            some = sp.Run.open(run.folder)
            vars(some)["fold_runs"] = run.fold_runs[:n]
            report = submit_within(
                some,
                comp,
                60 * minutes,
                args.out / f"{n}.csv",
                workers=args.workers,
                runtime=args.runtime,
                onnx=args.out / args.runtime,
            )
            sp.check_submission(args.out / f"{n}.csv", comp)
            facts = {"budget": f"{minutes:g} min", "networks": n, "taken": report.networks, "rows": report.rows}
            rows.append(
                {
                    **facts,
                    "seconds": report.seconds,
                    "rows a minute": report.rows_per_minute,
                    "with prior": report.with_prior,
                }
            )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
