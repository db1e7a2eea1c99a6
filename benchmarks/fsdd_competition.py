"""A competition made of real speech, from the unpacked folder to a scored submission (Free Spoken Digit Dataset).

The digits are laid out as Kaggle's tensorflow-speech-recognition-challenge: a folder for each word, `<speaker>_nohash_<n>.wav`, long
recordings of noise in `_background_noise_` from which the class "silence" is cut, test clips without a name. One speaker makes the test
set, with clips of a noise that training never hears; the other five are cross-validated in 3 folds, no speaker on two sides. The
submission is written, checked, and scored against the answers; the linear baseline does the same on the same folds.

    python benchmarks/fsdd_competition.py --data ../shared/data/fsdd --speaker theo --out runs/fsdd-competition

The same again goes on where it was stopped. Settings are those of benchmarks/fsdd.py.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf
import torch
from fsdd import ARCH, AUGMENT, BATCH, NAMES, RECIPE, RENDERER, SIZE

import specimg as sp
from specimg.experiments.drawing import draw_clips
from specimg.experiments.held_out import assign_folds, split_fold
from specimg.experiments.run import drawn_test_clips
from specimg.labels.tables import KEY, clip_index
from specimg.metrics import accuracy

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SLUG = "tensorflow-speech-recognition-challenge"
SR = 8000  # Hz, of the digits
NOISE_SECONDS = 40.0  # of each recording of noise
N_SILENCE = 50  # test clips without a word
FOLDS = 3


def make_noise(kind: int, rng: np.random.Generator) -> np.ndarray:
    """Background noise, float32 `(samples,)`: noise of one spectral slope, hum, and clicks, in a mixture that differs by kind."""
    n = int(NOISE_SECONDS * SR)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / SR)
    y = np.fft.irfft(spectrum / np.maximum(hz, 20) ** (kind % 3 / 2), n)  # white, pink, brown
    t = np.arange(n) / SR
    y = y / y.std() + (kind % 2) * np.sin(2 * np.pi * (50 + 10 * kind) * t)
    y *= 1 + 0.5 * np.sin(2 * np.pi * rng.uniform(0.1, 0.5) * t)  # it comes and goes
    y[rng.integers(0, n, 4 * kind)] += 8
    return (10 ** rng.uniform(-2.2, -1.2) * y / np.abs(y).max()).astype(np.float32)


def lay_out(data: Path, folder: Path, speaker: str, seed: int = 0) -> None:
    """Write the competition's folder; `solution.csv` beside it holds the answers."""
    if (folder / "sample_submission.csv").exists():
        return
    rng = np.random.default_rng(seed)
    audio, test = folder / "train" / "audio", folder / "test" / "audio"
    (audio / "_background_noise_").mkdir(parents=True, exist_ok=True)
    test.mkdir(parents=True, exist_ok=True)
    table = sp.labels_from_names(data, NAMES)
    answers = []
    for path, label, who in table[["path", "label", "group"]].itertuples(index=False):
        word = WORDS[int(label)]
        if who == speaker:
            answers.append((data / path, word))
            continue
        (audio / word).mkdir(exist_ok=True)
        number = Path(path).stem.rsplit("_", 1)[-1]
        shutil.copyfile(data / path, audio / word / f"{who}_nohash_{number}.wav")
    for kind in range(6):
        sf.write(audio / "_background_noise_" / f"noise_{kind}.wav", make_noise(kind, rng), SR)
    unheard, length = make_noise(7, rng), SR
    answers += [(unheard[at : at + length], "silence") for at in rng.integers(0, len(unheard) - length, N_SILENCE)]
    for name in ("validation_list.txt", "testing_list.txt"):
        (folder / "train" / name).write_text("")
    rows = []
    for i, at in enumerate(rng.permutation(len(answers))):
        source, label = answers[at]
        name = f"clip_{i:09d}.wav"
        shutil.copyfile(source, test / name) if isinstance(source, Path) else sf.write(test / name, source, SR)
        rows.append((name, label))
    solution = pd.DataFrame(rows, columns=["fname", "label"]).sort_values("fname")
    solution.to_csv(folder.with_name(folder.name + "-solution.csv"), index=False)
    solution.assign(label="silence").to_csv(folder / "sample_submission.csv", index=False)


def linear(comp: sp.Competition, cache, out: Path) -> tuple[float, pd.DataFrame]:
    """The linear baseline on the same folds: its out-of-fold accuracy, and its answers to the test set."""
    table = assign_folds(comp, FOLDS)
    tree = draw_clips([table, comp.test], comp.folder, RENDERER, cache, progress=False)
    clips = drawn_test_clips(comp.test, tree)
    right, probs = [], []
    for fold in range(FOLDS):
        train, held_out = split_fold(table, fold)
        rows = table[train | held_out].assign(is_valid=held_out[train | held_out])[[*KEY, "label", "is_valid"]]
        dls = sp.SpecDataLoaders.from_tree(tree, rows, size=SIZE, bs=BATCH, vocab=comp.vocab)
        model = sp.linear_baseline(dls)
        right.append(model.probs.argmax(1) == [model.vocab.index(label) for label in model.clips["label"]])
        probs.append(
            pd.DataFrame(model.predict(clips["picture"]), columns=model.vocab).reindex(
                columns=comp.vocab, fill_value=0.0
            )
        )
    rows = clip_index(clips).get_indexer(clip_index(comp.test))
    answers = comp.format.to_submission(comp.test, np.mean(probs, axis=0)[rows], comp.vocab)
    sp.check_submission(answers, comp)
    answers.to_csv(out, index=False)
    return float(np.concatenate(right).mean()), answers


def score(submission: pd.DataFrame, solution: pd.DataFrame) -> float:
    """Share of right answers, joined by name."""
    both = submission.merge(solution, on="fname", suffixes=("", "_true"))
    vocab = sorted({*both["label"], *both["label_true"]})
    hot = np.eye(len(vocab))[[vocab.index(label) for label in both["label"]]]
    return accuracy([vocab.index(label) for label in both["label_true"]], hot)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data/fsdd"), help="folder that holds the recordings"
    )
    parser.add_argument("--speaker", default="theo", help="who makes the test set")
    parser.add_argument("--out", type=Path, default=Path("runs/fsdd-competition"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=None, help="of torch")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.simplefilter("ignore", DeprecationWarning)
    began, cache = time.perf_counter(), args.out / "pictures"
    folder = args.out / f"competition-{args.speaker}"
    lay_out(args.data, folder, args.speaker)
    comp = sp.Competition.open(SLUG, folder, unknown=0.0)
    print(comp)
    run = sp.cross_validate(
        comp,
        RENDERER,
        ARCH,
        RECIPE.replace(seed=args.seed),
        folds=FOLDS,
        out=args.out / f"{args.speaker}-seed{args.seed}",
        loaders=dict(bs=BATCH, size=SIZE, augment=AUGMENT, cache=cache),
        learner=dict(pretrained=False),
    )
    submission = run.submission(args.out / f"{args.speaker}-submission.csv")
    linear_oof, linear_answers = linear(comp, cache, args.out / f"{args.speaker}-linear.csv")
    solution = pd.read_csv(folder.with_name(folder.name + "-solution.csv"))
    speech = solution["label"] != "silence"
    print(run.scores.to_string(index=False))
    print(
        f"\n{ARCH}, {SIZE} px, {RECIPE.epochs} epochs from scratch, {FOLDS} folds by speaker, seed {args.seed}; {platform.machine()}, "
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {time.strftime('%Y-%m-%d')}, {time.perf_counter() - began:.0f} s"
    )
    for name, oof, answers in (
        ("specimg", f"{float(run.score):.3f} ({run.score.low:.3f} to {run.score.high:.3f})", submission),
        ("linear", f"{linear_oof:.3f}", linear_answers),
    ):
        digits = answers[answers["fname"].isin(solution["fname"][speech])]
        print(
            f"{name}: out of fold {oof}; submission {score(answers, solution):.3f}, its digits alone {score(digits, solution):.3f}"
        )


if __name__ == "__main__":
    main()
