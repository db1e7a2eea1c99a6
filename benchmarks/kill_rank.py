"""Kill one of two processes that train a network together, start both again, and hold the end against a training that nobody killed.

    python benchmarks/kill_rank.py                                       # gloo on a CPU; needs accelerate
    python benchmarks/kill_rank.py --victim 0 --out benchmarks/results/kill_rank.log

The two processes are started as launchers start them, without a launcher that would end the other: it must notice by itself. The victim
kills itself (SIGKILL) in the middle of the second epoch. The script ends with status 1 where the results differ.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SR, CLIPS, STEPS = 8000, 40, 4  # steps an epoch: 32 clips of training, 4 in each process
CHILD = "SPECIMG_KILL_RANK"  # in the environment of the two: their folder, and in which batch which of them is killed


def make_clips(folder: Path) -> None:
    """Two tones in noise."""
    import soundfile as sf

    rng, t = np.random.default_rng(0), np.arange(SR // 2) / SR
    for i in range(CLIPS):
        label, hz = [("high", 2000), ("low", 300)][i % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        y = 0.2 * np.sin(2 * np.pi * hz * rng.uniform(0.8, 1.2) * t) + 0.1 * rng.standard_normal(len(t))
        sf.write(folder / label / f"{i}.wav", y.astype("float32"), SR)


def train(folder: Path, name: str, victim: int | None) -> None:
    """What each process does."""
    import torch
    from fastai.vision.all import Callback

    import specimg as sp

    class Kill(Callback):
        order, run_valid = 80, False

        def after_batch(self) -> None:
            if self.train_iter == STEPS + 2 and victim == int(os.environ["RANK"]):
                print(f"process {victim} is killed in epoch {self.epoch + 1}", flush=True)
                os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    dls = sp.SpecDataLoaders.from_folder(folder / "clips", renderer=look, cache=folder / "cache", bs=4, seed=0)
    learn = sp.spec_learner(dls, "mini_resnet", pretrained=False, seed=0, cbs=Kill())
    sp.fit(learn, sp.Recipe(epochs=3, freeze_epochs=0, lr=0.003, mixup=0.2, seed=0), out=folder / name)


def start(folder: Path, name: str, victim: int | None = None) -> list[str]:
    """Train in two processes; returns the lines of a log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    known = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    known[CHILD] = json.dumps([os.fspath(folder), name, victim])
    processes = []
    for rank in range(2):
        env = {**os.environ, **known, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        processes.append(subprocess.Popen([sys.executable, "-W", "ignore", __file__], env=env, **pipes))
    lines, gone = [f"# two processes train {name!r}"], None
    while any(process.poll() is None for process in processes):
        if gone is None and victim is not None and processes[victim].poll() is not None:
            gone = time.perf_counter()
        time.sleep(0.02)
    if gone is not None:
        lines.append(f"the other process ended {time.perf_counter() - gone:.1f} s after the kill")
    for rank, process in enumerate(processes):
        said = [line.removeprefix(f"[rank{rank}]: ") for line in process.communicate()[0].splitlines()]
        raised = (
            said.index("Traceback (most recent call last):")
            if "Traceback (most recent call last):" in said
            else len(said)
        )
        kept = said[:raised] + said[max(raised, len(said) - 1) :]  # of an error its last line
        lines += [f"[{rank}] {line.replace(os.fspath(folder), '.')}" for line in kept if line.strip()]
        lines.append(f"[{rank}] exit status {process.returncode}")
    return lines


def results(folder: Path, name: str) -> tuple:
    """History without times, and all weights."""
    import torch

    from specimg.training import read_history

    state = torch.load(folder / name / "checkpoints" / "last.pth", weights_only=True)
    table = read_history(folder / name).drop(columns="seconds")
    return table.to_csv(index=False), {key: part.numpy().tobytes() for key, part in state["model"].items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--victim", type=int, choices=[0, 1], default=1)
    parser.add_argument("--out", type=Path, help="file for the log")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_clips(folder / "clips")
        lines = start(folder, "killed", args.victim)
        lines += start(folder, "killed")
        lines += start(folder, "whole")
        same = results(folder, "killed") == results(folder, "whole")
    lines.append("history and weights are those of the training that nobody killed" if same else "the results DIFFER")
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n")
    sys.exit(not same)


if __name__ == "__main__":
    if CHILD in os.environ:
        place, *rest = json.loads(os.environ[CHILD])
        train(Path(place), *rest)
    else:
        main()
