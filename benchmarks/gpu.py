"""What a GPU makes of a training: loader against synthetic rate, bf16, channels_last, compile, live against tree, in at most eight minutes.

    python benchmarks/gpu.py                    # 480 s; prints as it goes, writes benchmarks/results/gpu.csv
    python benchmarks/gpu.py --tiny             # on a CPU, at a size that measures nothing: does it run?

Every part is a process of its own with its share of what time is left, so that one that fails, hangs or runs out of memory costs itself only; rows
are written as they are measured. "synthetic" trains on one batch that stays on the device: what the network takes. "loader" only loads:
what the pictures take. Where the loader's rate is below the network's, the GPU waits. "epoch" has both. Pictures a second, medians of steps.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

NETWORKS = {"resnet34": 224, "inception_v3": 299, "efficientnet_b0": 224}  # name -> size in pixels
TINY = {"resnet34": 32, "inception_v3": 80, "efficientnet_b0": 32}
MODES = ("float32", "bf16", "channels_last", "bf16 + channels_last")
FIELDS = ("part", "network", "mode", "pictures_per_second", "device", "batch", "size")


class Bench:
    """The options of one process, and where its rows go."""

    def __init__(self, args: argparse.Namespace):
        import torch

        self.args, self.until = args, time.monotonic() + args.seconds
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.name = torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu"
        self.bs, self.sizes = (2, TINY) if args.tiny else (64, NETWORKS)
        self.n, self.steps = (8, 2) if args.tiny else (2048, 30)

    def put(self, part: str, network: str, mode: str, rate: float, size: int) -> None:
        """Print and write a row at once."""
        row = (part, network, mode, f"{rate:.1f}", self.name, self.bs, size)
        print(f"{part:<10} {network:<16} {mode:<22} {rate:10.1f} pictures/s", flush=True)
        with open(self.args.out, "a", newline="") as file:
            csv.writer(file).writerow(row)

    def loaders(self, size: int, live: bool = False, **options):
        """Loaders over the same made clips for every part; the first one draws them."""
        import specimg as sp

        table = make_clips(Path(self.args.work) / "audio", self.n)
        look = sp.Renderer(
            sp.Mel(n_mels=32 if self.args.tiny else 128, n_fft=512, hop_length=128), audio=sp.Audio(sr=16000)
        )
        options = {"seconds": 0.5, "method": "crop", "augment": None, "bs": self.bs, **options}
        return sp.SpecDataLoaders.from_df(
            table, Path(self.args.work) / "audio", renderer=look, cache=Path(self.args.work) / "cache", size=size, live=live,
            device=self.device, progress=False, **options,
        )  # fmt: skip

    def wait(self) -> None:
        """Until the device has done what it was given."""
        import torch

        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def rate(self, step, warm: int = 3) -> float:
        """Pictures a second: the median of steps, as many as there is time for."""
        seconds: list[float] = []
        for k in range(warm + self.steps):
            began = time.perf_counter()
            step()
            self.wait()
            if k >= warm or (self.args.tiny and k):
                seconds.append(time.perf_counter() - began)
            if seconds and time.monotonic() > self.until:
                break
        return self.bs / statistics.median(seconds)


def make_clips(folder: Path, n: int):
    """Table of n clips of one second of noise and a tone, in two classes; written once."""
    import numpy as np
    import pandas as pd
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    rng, t = np.random.default_rng(0), np.arange(16000) / 16000
    for k in range(n if not (folder / f"{n - 1}.wav").exists() else 0):
        y = 0.1 * rng.standard_normal(16000) + 0.3 * np.sin(2 * np.pi * (500 + 1000 * (k % 2)) * t)
        soundfile.write(folder / f"{k}.wav", y, 16000)
    return pd.DataFrame({"path": [f"{k}.wav" for k in range(n)], "label": ["low", "high"] * (n // 2)})


def step_of(bench: Bench, model, x, y, mode: str):
    """A training step on one batch: a function without arguments."""
    import torch

    if "channels_last" in mode:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    if "compile" in mode:
        model = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        half = torch.autocast(bench.device.type, torch.bfloat16) if "bf16" in mode else contextlib.nullcontext()
        with half:
            loss = torch.nn.functional.cross_entropy(model(x).float(), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    return step


def measure_synthetic(bench: Bench, network: str, modes: tuple[str, ...]) -> None:
    """Steps on one batch, in each mode."""
    import torch

    import specimg as sp

    size = bench.sizes[network]
    dls = bench.loaders(size, num_workers=0)
    x, y = dls.one_batch()[:2]
    x, y = x.as_subclass(torch.Tensor).to(bench.device), y.as_subclass(torch.Tensor).to(bench.device)
    for mode in modes:
        model = sp.spec_learner(dls, network, pretrained=False, seed=0).model.to(bench.device).train()
        bench.put("synthetic", network, mode, bench.rate(step_of(bench, model, x, y, mode)), size)


def measure_loading(bench: Bench, live: bool) -> None:
    """Batches alone, then whole epochs of ResNet34 with them."""
    import torch

    import specimg as sp

    size, mode = bench.sizes["resnet34"], "live" if live else "tree"
    dls = bench.loaders(size, live)
    batches = iter(())

    def load():
        nonlocal batches
        batch = next(batches, None)
        if batch is None:
            batches = iter(dls.train)
            batch = next(batches)
        return batch

    bench.put("loader", "", mode, bench.rate(load), size)
    model = sp.spec_learner(dls, "resnet34", pretrained=False, seed=0).model.to(bench.device).train()
    bench.until = max(bench.until, time.monotonic() + 5)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        x, y = (part.as_subclass(torch.Tensor).to(bench.device) for part in load()[:2])
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    bench.put("epoch", "resnet34", mode, bench.rate(step), size)


PARTS = {
    "tree": lambda bench: measure_loading(bench, live=False),
    "live": lambda bench: measure_loading(bench, live=True),
    **{name: lambda bench, name=name: measure_synthetic(bench, name, MODES) for name in NETWORKS},
    **{
        f"compile {name}": lambda bench, name=name: measure_synthetic(bench, name, ("bf16 + compile",))
        for name in NETWORKS
    },
}


def run_parts(args: argparse.Namespace) -> int:
    """Each part in a process of its own; returns how many failed."""
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with open(args.out, "w", newline="") as file:
        csv.writer(file).writerow(FIELDS)
    last, failed, parts = time.monotonic() + args.seconds, 0, args.parts or list(PARTS)
    with tempfile.TemporaryDirectory() as work:
        for k, part in enumerate(parts):
            share = (last - time.monotonic()) / (len(parts) - k)
            command = [sys.executable, __file__, "--part", part, "--work", work, "--out", str(args.out)]
            command += ["--seconds", f"{0.7 * share:.0f}", *(["--tiny"] if args.tiny else [])]
            try:
                code = subprocess.run(command, timeout=max(share, 1)).returncode
                told = "" if code == 0 else f"ended with {code}"
            except subprocess.TimeoutExpired:
                told = f"not done in its {share:.0f} s"
            if told:
                failed += 1
                print(f"{part}: {told}; the rest goes on", flush=True)
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a size at which it runs on a CPU and measures nothing")
    parser.add_argument("--seconds", type=float, default=480, help="of all parts together")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "gpu.csv")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), help="only these")
    parser.add_argument("--part", choices=list(PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part is None:
        sys.exit(run_parts(args) > 0)
    warnings.simplefilter("ignore")
    os.environ.setdefault("MPLBACKEND", "Agg")
    PARTS[args.part](Bench(args))


if __name__ == "__main__":
    main()
