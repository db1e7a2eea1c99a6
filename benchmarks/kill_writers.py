"""Kill whatever writes at a random moment, call it again, and hold the result against that of a call which nobody stopped.

    python benchmarks/kill_writers.py                                # 3 kills of each writer
    python benchmarks/kill_writers.py --kills 200 --out benchmarks/results/kill_writers.csv

Each writer is run once without being stopped, in a process of its own, which gives its result and its seconds. Then, again and again,
a process that runs it is killed (SIGKILL) after a random part of these seconds, up to three times in a row; the next call must end
with the same result, in the same folder. What stands there between kill and call must be readable, or be said to be incomplete.
The script ends with status 1 where a result differs. It needs a system that forks.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import hashlib
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile as sf
import torch

import specimg as sp
from specimg.render.manifest import read_rows
from specimg.training.predict import predict_all

SR, HZ = 8000, {"high": 2000, "low": 300}
LOOK = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
RECIPE = sp.Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=0)
CLIPS = 24


class Writer(NamedTuple):
    """Something that writes, and how its result is looked at."""

    begin: Callable[[Path], None]  # makes what the call finds
    call: Callable[[Path], None]
    result: Callable[[Path], str]  # a digest of what the call left


# ---------------------------------------------------------------------- the shared recordings and networks


def make_sounds(folder: Path) -> pd.DataFrame:
    """Recordings of two tones below `folder`; path, label, is_valid."""
    rng, rows = np.random.default_rng(0), []
    folder.mkdir()
    for i in range(CLIPS):
        label = sorted(HZ)[i % 2]
        tone = 0.4 * np.sin(2 * np.pi * HZ[label] * np.arange(SR // 2) / SR)
        sf.write(folder / f"{i}.wav", tone + 0.02 * rng.standard_normal(len(tone)), SR)
        rows.append((f"{i}.wav", label, i % 3 == 0))
    return pd.DataFrame(rows, columns=["path", "label", "is_valid"])


def digest(*parts: object) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part if isinstance(part, bytes) else repr(part).encode())
    return found.hexdigest()[:16]


def files_digest(folder: Path, *but: str) -> str:
    """Names and bytes of all files below a folder that hold results."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in but)
    return digest(*(part for file in files for part in (str(file.relative_to(folder)), file.read_bytes())))


class Stage:
    """The recordings, and the writers over them."""

    def __init__(self, work: Path):
        self.sounds = work / "sounds"
        self.table = make_sounds(self.sounds)
        self.cache = work / "cache"
        self.events = pd.DataFrame(
            {
                "path": [f"{i % 9}.wav" for i in range(3000)],
                "start": np.arange(3000) * 1.0,
                "end": np.arange(3000) + 0.5,
                "label": [sorted(HZ)[i % 2] for i in range(3000)],
                "probability": 0.5,
            }
        )
        self.learn = self.learner(0)
        self.other = self.learner(1)
        self.run = self.cross_validate(work)

    def learner(self, seed: int):
        dls = sp.SpecDataLoaders.from_df(
            self.table, self.sounds, valid_col="is_valid", renderer=LOOK, cache=self.cache, bs=8, n_jobs=1,
            progress=False, num_workers=0, seed=0,
        )  # fmt: skip
        return sp.spec_learner(dls, "test_resnet", pretrained=False, seed=seed)

    # -- trees

    def draw(self, folder: Path) -> sp.SpecTree:
        return sp.render_tree(self.sounds, LOOK, folder / "cache", n_jobs=1, progress=False)

    def tree_result(self, folder: Path) -> str:
        (tree,) = (folder / "cache").iterdir()
        pictures = {file.name: file.read_bytes() for file in (tree / "images").iterdir() if file.suffix == ".png"}
        rows = [row for row in read_rows(tree)]
        return digest(sorted(pictures.items()), rows, (tree / "manifest.csv").read_bytes())

    def damage(self, folder: Path) -> None:
        """A tree with damaged pictures, a picture of no recording, and what an old process left."""
        tree = self.draw(folder)
        for i in range(0, CLIPS, 2):
            file = tree.picture(f"{i}.wav")
            file.write_bytes(file.read_bytes()[:-20])
        for name in ("stray.wav.png", ".partial-0123"):
            (tree.images / name).write_bytes(b"old")
            os.utime(tree.images / name, (0, 0))

    def mend(self, folder: Path) -> None:
        tree = self.draw(folder)
        tree.verify(drop=True)
        tree.gc()
        self.draw(folder)

    # -- networks

    def save(self, learn, folder: Path) -> None:
        sp.save_classifier(learn, folder / "classifier", golden=1)

    def classifier_result(self, folder: Path) -> str:
        clf = sp.load_classifier(folder / "classifier")
        left = sorted(file.name for file in folder.iterdir())
        return digest(left, clf.predict([self.sounds / "0.wav"], progress=False).to_csv())

    def fit(self, folder: Path) -> None:
        learn = self.learner(0)
        with learn.no_bar():
            sp.fit(learn, RECIPE, out=folder / "fit")

    def fit_result(self, folder: Path) -> str:
        learn = self.learner(1)
        with learn.no_bar():
            sp.fit(learn, RECIPE, out=folder / "fit")  # which is finished, and so is read
            probs = predict_all(learn).probs
        return digest(np.asarray(probs).round(5).tolist())

    def cross_validate(self, folder: Path):
        comp = sp.Competition("two-tones", self.sounds, self.table[["path", "label"]], metric="accuracy")
        loading = {"bs": 8, "size": 32, "cache": str(self.cache), "n_jobs": 1, "progress": False, "num_workers": 0}
        return sp.cross_validate(
            comp, LOOK, "test_resnet", RECIPE.replace(epochs=1), folds=2, out=folder / "run", loaders=loading,
            learner={"pretrained": False}, log=lambda *_: None,
        )  # fmt: skip

    def run_result(self, folder: Path) -> str:
        run = self.cross_validate(folder)
        return digest(float(run.score), run.predictions.table["path"].tolist(), run.predictions.probs.round(5).tolist())

    def submit(self, folder: Path) -> None:
        self.run.submission(folder / "submission.csv")

    def old_submission(self, folder: Path) -> None:
        (folder / "submission.csv").write_text("id,label\nold,high\n" * 1000)

    def write_report(self, folder: Path) -> None:
        sp.report(self.run, folder / "report.html", overwrite=True, progress=False)

    def report_result(self, folder: Path) -> str:
        """All but the minute, and but the sounds: a stream of Ogg has a serial number drawn at random."""
        page = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "", (folder / "report.html").read_text())
        lines = page.splitlines()
        return digest(sorted(os.listdir(folder)), [line for line in lines if 'id="sounds-' not in line])

    # -- tables

    def write_tables(self, folder: Path) -> None:
        events = self.events
        sp.write_events(events, folder / "events.csv")
        sp.write_corrections(
            pd.DataFrame({"path": events["path"].unique(), "label": "low", "corrected": "high"}), folder / "c.csv"
        )

    def old_tables(self, folder: Path) -> None:
        """Older files of these names, of which nothing may remain mixed with the new."""
        sp.write_events(self.events.iloc[:5], folder / "events.csv")

    def tables_result(self, folder: Path) -> str:
        return files_digest(folder)

    @property
    def writers(self) -> dict[str, Writer]:
        def nothing(folder):
            pass

        return {
            "render_tree": Writer(nothing, self.draw, self.tree_result),
            "verify, gc": Writer(self.damage, self.mend, self.tree_result),
            "save_classifier": Writer(
                lambda folder: self.save(self.other, folder),
                lambda folder: self.save(self.learn, folder),
                self.classifier_result,
            ),
            "fit(out=)": Writer(nothing, self.fit, self.fit_result),
            "cross_validate(out=)": Writer(nothing, self.cross_validate, self.run_result),
            "events, corrections": Writer(self.old_tables, self.write_tables, self.tables_result),
            "submission": Writer(self.old_submission, self.submit, self.tables_result),
            "report": Writer(self.write_report, self.write_report, self.report_result),
        }


# ---------------------------------------------------------------------- processes


def begun(work: Callable[[Path], object], folder: Path) -> int:
    """Begin `work(folder)` in a forked process, which writes what it returns, or its error, beside the folder; the process's number."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            text = str(work(folder))
        status = 0
    except BaseException:
        text = traceback.format_exc()
    answer_of(folder).write_text(text)
    os._exit(status)


def answer_of(folder: Path) -> Path:
    return folder.with_suffix(".answer")


def done(work: Callable[[Path], object], folder: Path) -> str:
    """What `work(folder)` returns in a process of its own, as text; RuntimeError with its traceback where it failed."""
    answer_of(folder).unlink(missing_ok=True)
    _, status = os.waitpid(begun(work, folder), 0)
    text = answer_of(folder).read_text() if answer_of(folder).exists() else f"it ended with status {status}"
    if status:
        raise RuntimeError(text)
    return text


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def killed_after(child: int, seconds: float) -> bool:
    """Kill a process after so many seconds; False if it had ended before."""
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def try_writer(writer: Writer, seconds: float, rng: random.Random, folder: Path) -> tuple[int, str]:
    """(kills that met the writer, the result of the call after them)."""
    done(writer.begin, fresh(folder))
    kills = 0
    for _ in range(rng.choice([1, 1, 2, 3])):
        kills += killed_after(begun(writer.call, folder), rng.uniform(0, seconds))
    done(writer.call, folder)
    return kills, done(writer.result, folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=18, help="of all writers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--writer", help="only this one")
    parser.add_argument("--out", help="a csv file for the table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rng, counts, rows = random.Random(args.seed), Counter(), []
    with tempfile.TemporaryDirectory() as work:
        stage, folder = Stage(Path(work)), Path(work, "trial")
        writers = {name: w for name, w in stage.writers.items() if args.writer in (None, name)}
        expected, took = {}, {}
        for name, writer in writers.items():
            done(writer.begin, fresh(folder))
            began = time.perf_counter()
            done(writer.call, folder)
            took[name] = time.perf_counter() - began
            expected[name] = done(writer.result, folder)
        each = -(-args.kills // len(writers))
        for name, writer in writers.items():
            while counts[name, "kills"] < each:
                try:
                    kills, result = try_writer(writer, took[name], rng, folder)
                except RuntimeError as exc:
                    kills, result = 1, f"failed: {exc}"
                    print(f"{name}: {exc}", file=sys.stderr)
                counts[name, "kills"] += kills
                counts[name, "trials"] += 1
                counts[name, "equal"] += result == expected[name]
            rows.append(
                {
                    "writer": name,
                    "seconds": round(took[name], 2),
                    "kills": counts[name, "kills"],
                    "calls_after": counts[name, "trials"],
                    "equal": counts[name, "equal"],
                }
            )
            print(rows[-1], flush=True)
    if args.out:
        with open(args.out, "w", newline="") as file:
            writing = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writing.writeheader()
            writing.writerows(rows)
    equal, trials = sum(row["equal"] for row in rows), sum(row["calls_after"] for row in rows)
    print(
        f"{sum(row['kills'] for row in rows)} kills, {equal} of {trials} results as those of a call that nobody stopped"
    )
    return int(equal < trials)


if __name__ == "__main__":
    sys.exit(main())
