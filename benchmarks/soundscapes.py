"""What helps on soundscapes? Networks that learn from clips with labels answer for long recordings, window by window.

    python benchmarks/soundscapes.py make --data ../shared/data      # the recordings, some 40 MB in build/soundscapes
    python benchmarks/soundscapes.py train                           # what is missing; a training takes one to two minutes of a core
    python benchmarks/soundscapes.py show                            # the table, with intervals, in Markdown
    python benchmarks/soundscapes.py precision                       # what 16 and 8 bits cost a network in score, and gain in time

Ten labels: six kinds of drum (14 kits) and four spoken digits (six speakers, the Free Spoken Digit Dataset). Kits and speakers of the test
recordings are in no other recording.

- `train`: 480 clips of 3 s with one or two labels and no times, 10 to 30 dB above faint noise, as people record what they are after.
- `background`: 12 recordings of 20 s of coloured noise and rain, without events.
- `dev`: 16 recordings of a minute, of the kits and speakers of training; here post-processing and thresholds are chosen.
- `test`: 24 recordings of a minute, 18 events each, which may overlap; 5 to 20 dB above coloured noise (its power falls with frequency to a
  power of 0 to 2) or rain. `events.csv` has each onset, end and signal-to-noise ratio: the level of the event while it sounds, and that of
  the recording's background.

Settings add up: the whole window; an attention head; another clip mixed into the waveform; background mixed in. Post-processing is what the windows
of `dev` call better. They do so for tf_efficientnet_lite0 with ImageNet weights, and for a ResNet18 from scratch, of which there are no weights without
a hub. One renderer, one recipe, three seeds. Scores: macro ROC-AUC and mAP of windows of 3 s side by side (a label counts where it
sounds for 0.1 s or more); macro F1 of events with onsets right to 1 s, from windows every second, each of which answers for its middle second, and
from frames where a head has them (of a second), above thresholds chosen on `dev`.

Every training is one row of `benchmarks/results/soundscapes.csv` for each post-processing; its predictions are kept in `build/soundscapes`. A
difference is called better or worse where the interval of a bootstrap over test recordings and seeds does not hold 0.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import time
import warnings
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import soundfile as sf
import soxr
import torch

import specimg as sp
from specimg.datasets.synthesis import rain
from specimg.experiments.post_processing import score_post_processing
from specimg.experiments.significance import verdict
from specimg.experiments.task import Task
from specimg.inference import PostProcessing
from specimg.inference.events import event_scores
from specimg.training import Predictions

RESULTS = Path(__file__).parent / "results" / "soundscapes.csv"
WORK = Path("build/soundscapes")
SR, CLIP, MINUTE = 16_000, 3.0, 60.0
TEST_KITS = ("audiophob", "millo_drums_v_1", "millo_multilayered2", "millo_multilayered3", "rumpf_kit_z01_h2")
TEST_SPEAKERS = ("theo", "yweweler")
LABELS = ("kick", "snare", "tom", "hihat_closed", "crash", "ride", "digit_0", "digit_1", "digit_6", "digit_8")
TAKES = 40  # digits: of the 50 recordings of a digit by a speaker
N_TRAIN, N_BACKGROUND, N_DEV, N_TEST, EVENTS = 480, 12, 16, 24, 18
SNR = {"clip": (10, 30), "scape": (5, 20)}  # dB
HEARD = 0.1  # s that a label must sound in a window
COLLAR = 1.0  # s that an onset may be wrong by
LOOK = sp.Renderer(sp.Mel(n_mels=64, n_fft=1024, hop_length=500, ref=1.0), audio=sp.Audio(sr=SR))
EPOCHS, RATES = 6, {True: 1e-2, False: 3e-3}  # with ImageNet weights, from scratch


# ---------------------------------------------------------------------- the recordings


@dataclass(frozen=True)
class Hit:
    """A real clip: its label and its samples, cut where it is no longer heard."""

    label: str
    y: np.ndarray


def _audible(y: np.ndarray) -> np.ndarray:
    """The samples up to the last 20 ms that are less than 30 dB below the loudest; level 1 (root mean square) over these."""
    n = SR // 50
    frames = np.pad(y, (0, -len(y) % n)).reshape(-1, n)
    level = np.sqrt((frames**2).mean(axis=1))
    heard = np.flatnonzero(level > level.max() * 10 ** (-30 / 20))
    part = y[heard[0] * n : (heard[-1] + 1) * n]
    return part / np.sqrt((part**2).mean())


def _read(path: Path) -> np.ndarray:
    y, sr = sf.read(path, dtype="float32", always_2d=True)
    return _audible(soxr.resample(y.mean(axis=1), sr, SR).astype(float))


def read_hits(data: Path) -> dict[bool, list[Hit]]:
    """Drum hits and digits; False: of the kits and speakers of training, True: of test recordings."""
    hits: dict[bool, list[Hit]] = {False: [], True: []}
    for row in pd.read_csv(data / "drums" / "drums.csv").itertuples():
        if row.label in LABELS:
            hits[row.kit in TEST_KITS].append(Hit(row.label, _read(data / "drums" / row.path)))
    for path in sorted((data / "fsdd" / "recordings").glob("*.wav")):
        digit, speaker, take = re.fullmatch(r"(\d)_(\w+)_(\d+)", path.stem).groups()
        if int(take) < TAKES and f"digit_{digit}" in LABELS:
            hits[speaker in TEST_SPEAKERS].append(Hit(f"digit_{digit}", _read(path)))
    return hits


def background(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Rain, or noise whose power falls with frequency to a power of 0 to 2; level 1."""
    n = round(seconds * SR)
    if rng.random() < 0.5:
        y = rain(rng, seconds, SR)[:n]
    else:
        hz = np.fft.rfftfreq(n, 1 / SR)
        hz[0] = hz[1]
        y = np.fft.irfft(hz ** (-rng.uniform(0, 2) / 2) * rng.standard_normal(2 * len(hz)).view(complex), n)
    return y / np.sqrt((y**2).mean())


def _pick(hits: list[Hit], rng: np.random.Generator) -> Hit:
    """A hit of a label by lot, so that rare drums are as frequent as digits."""
    labels = sorted({hit.label for hit in hits})
    label = labels[rng.integers(len(labels))]
    mine = [hit for hit in hits if hit.label == label]
    return mine[rng.integers(len(mine))]


def _mixed(placed: list[tuple[Hit, int, float]], noise: np.ndarray) -> np.ndarray:
    """The hits at their first samples, so many dB above the noise; below full scale."""
    y = noise.copy()
    for hit, at, db in placed:
        part = hit.y[: len(y) - at]
        y[at : at + len(part)] += part * 10 ** (db / 20)
    return (0.5 * y / np.abs(y).max()).astype("float32")


def _write(path: Path, y: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, y, SR, subtype="PCM_16")


def _clip(hits: list[Hit], rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    chosen = [_pick(hits, rng) for _ in range(1 + (rng.random() < 0.3))]
    placed = [
        (hit, int(rng.uniform(0, 0.8) * CLIP * SR), rng.uniform(*SNR["clip"]))
        for hit in chosen
        for _ in range(rng.integers(1, 4))
    ]
    return _mixed(placed, background(rng, CLIP)), sorted({hit.label for hit in chosen})


def _scape(hits: list[Hit], rng: np.random.Generator) -> tuple[np.ndarray, list[dict]]:
    """A minute: a few labels are about, as in a place; most events are theirs."""
    about = sorted({_pick(hits, rng).label for _ in range(4)})
    here = [hit for hit in hits if hit.label in about]
    placed, rows = [], []
    for _ in range(EVENTS):
        hit = _pick(here if rng.random() < 0.85 else hits, rng)
        at, db = int(rng.uniform(0, MINUTE - 1) * SR), rng.uniform(*SNR["scape"])
        placed.append((hit, at, db))
        end = min(MINUTE, at / SR + len(hit.y) / SR)
        rows.append({"start": round(at / SR, 3), "end": round(end, 3), "label": hit.label, "snr_db": round(db, 1)})
    return _mixed(placed, background(rng, MINUTE)), rows


def make(data: Path) -> None:
    """All recordings and their tables; the same samples every time."""
    hits, rng = read_hits(data), np.random.default_rng(0)
    rows = []
    for i in range(N_TRAIN):
        y, labels = _clip(hits[False], rng)
        _write(WORK / "train" / f"{i:04}.wav", y)
        rows.append({"path": f"train/{i:04}.wav", "label": ";".join(labels)})
    pd.DataFrame(rows).to_csv(WORK / "train.csv", index=False)
    for i in range(N_BACKGROUND):
        y = background(rng, 20)
        _write(WORK / "background" / f"{i:02}.wav", 0.3 * y / np.abs(y).max())
    events = []
    for part, n in (("dev", N_DEV), ("test", N_TEST)):
        for i in range(n):
            y, found = _scape(hits[part == "test"], rng)
            _write(WORK / part / f"{i:02}.wav", y)
            events += [{"path": f"{part}/{i:02}.wav", **row} for row in found]
    pd.DataFrame(events).to_csv(WORK / "events.csv", index=False)
    print(f"{N_TRAIN} clips, {N_DEV} + {N_TEST} recordings, {len(events)} events in {WORK}")


# ---------------------------------------------------------------------- trainings


@dataclass(frozen=True)
class Setting:
    """What is added to the whole window."""

    arch: str = "tf_efficientnet_lite0"
    head: str | None = None
    mix: float = 0.0
    background: bool = False

    @property
    def loaders(self) -> dict:
        if not (self.mix or self.background):
            return {}
        from specimg.data import WaveAugment

        quiet = WaveAugment(shift=0.0, gain_db=0.0, noise_db=None)
        beds = dict(background=str(WORK / "background"), background_db=(0.0, 20.0)) if self.background else {}
        return {"live": True, "wave_augment": quiet.replace(mix=self.mix, **beds)}

    @property
    def learner(self) -> dict:
        return {"head": self.head} if self.head else {}

    @property
    def pretrained(self) -> bool:
        """Of ResNet18 there are no ImageNet weights without a hub; of the other there is a package, in the extra `weights`."""
        return self.arch != "resnet18"


SETTINGS = {
    "ResNet18": Setting("resnet18"),
    "ResNet18, + attention head": Setting("resnet18", head="attention"),
    "ResNet18, + waveform mixup": Setting("resnet18", head="attention", mix=0.5),
    "ResNet18, + background mixing": Setting("resnet18", head="attention", mix=0.5, background=True),
    "whole window": Setting(),
    "+ attention head": Setting(head="attention"),
    "+ waveform mixup": Setting(head="attention", mix=0.5),
    "+ background mixing": Setting(head="attention", mix=0.5, background=True),
    # the two that act on waveforms without the head
    "whole window, waveform mixup": Setting(mix=0.5),
    "whole window, background mixing": Setting(background=True),
}

# network -> the settings that add up, each to the one before
CHAINS = {
    arch: [name for name, setting in SETTINGS.items() if setting.arch == arch and not name.startswith("whole window,")]
    for arch in ("resnet18", "tf_efficientnet_lite0")
}


def train(setting: Setting, seed: int) -> sp.inference.Classifier:
    """A classifier; clips of every tenth row are held out, and only looked at."""
    table = pd.read_csv(WORK / "train.csv").assign(is_valid=lambda t: t.index % 10 == 9)
    options = dict(renderer=LOOK, cache=WORK / "cache", bs=16, size=(64, 96), num_workers=0, n_jobs=1, progress=False)
    dls = sp.SpecDataLoaders.from_df(
        table, WORK, label_delim=";", valid_col="is_valid", seed=seed, **options, **setting.loaders
    )
    learn = sp.spec_learner(dls, setting.arch, pretrained=setting.pretrained, seed=seed, **setting.learner)
    with learn.no_bar():
        sp.fit(learn, sp.Recipe(epochs=EPOCHS, freeze_epochs=1, lr=RATES[setting.pretrained], seed=seed))
    from specimg.inference.save import _classifier_of

    return _classifier_of(learn)


# ---------------------------------------------------------------------- scores


def truth_of(windows: pd.DataFrame, events: pd.DataFrame, vocab: list[str]) -> np.ndarray:
    """bool (windows, classes): which labels sound for 0.1 s or more."""
    hot = np.zeros((len(windows), len(vocab)), bool)
    spans = windows[["start", "end"]].to_numpy(float)
    for event in events.itertuples():
        both = np.minimum(spans[:, 1], event.end) - np.maximum(spans[:, 0], event.start)
        needed = min(HEARD, event.end - event.start)
        hot[:, vocab.index(event.label)] |= (windows["path"] == event.path).to_numpy() & (both >= needed - 1e-9)
    return hot


def as_predictions(windows: pd.DataFrame, probs: np.ndarray, hot: np.ndarray, vocab: list[str]) -> Predictions:
    targets = [[label for label, yes in zip(vocab, row) if yes] for row in hot]
    folds = pd.factorize(windows["path"])[0] % 4
    table = windows[["path", "start", "end"]].assign(target=pd.Series(targets, dtype=object), fold=folds)
    return Predictions(table, probs, vocab, is_multi=True)


def side_by_side(windows: pd.DataFrame) -> np.ndarray:
    return (windows["start"] % CLIP < 1e-6).to_numpy()


def events_of(
    windows: pd.DataFrame, probs: np.ndarray, thresholds: np.ndarray, vocab: list[str], margin: float = 1.0
) -> pd.DataFrame:
    """Events of windows a second apart, each of which answers for its middle: for what lies `margin` seconds from its ends."""
    middle = windows[["path", "start", "end"]].assign(start=windows["start"] + margin, end=windows["end"] - margin)
    middle[[f"p_{label}" for label in vocab]] = probs
    # an event's onset is where its windows begin; thresholds of 0 or 1 would open none or all
    levels = dict(zip(vocab, np.clip(thresholds, 0.02, 0.98)))
    return sp.merge_events(middle, levels)


def f1_of(true: pd.DataFrame, found: pd.DataFrame) -> float:
    scores = event_scores(true, found, COLLAR)
    return float(scores["f1"][scores["true"] > 0].mean())


def event_thresholds(
    windows: pd.DataFrame, probs: np.ndarray, events: pd.DataFrame, vocab: list[str], margin: float = 1.0
) -> np.ndarray:
    """For each label the threshold, of quantiles of its probabilities, with the best F1 of its events."""
    best = np.full(len(vocab), 0.5)
    for i, label in enumerate(vocab):
        mine, top = events[events["label"] == label], -1.0
        for level in np.unique(np.quantile(probs[:, i], [0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99])):
            one = events_of(windows, probs[:, [i]], np.array([level]), [label], margin)
            score = f1_of(mine, one)
            if score > top:
                top, best[i] = score, level
    return best


class Answers:
    """Windows of one network, of `dev` and of `test`, and their truth."""

    def __init__(self, part: str, windows: pd.DataFrame, vocab: list[str]):
        known = pd.read_csv(WORK / "events.csv")
        self.events = known[known["path"].str.startswith(part)].reset_index(drop=True)
        self.windows, self.vocab = windows.reset_index(drop=True), vocab
        self.probs = windows[[f"p_{label}" for label in vocab]].to_numpy(float)
        self.beside = side_by_side(self.windows)
        self.hot = truth_of(self.windows, self.events, vocab)

    def predictions(self) -> Predictions:
        b = self.beside
        rows = self.windows[b].reset_index(drop=True)
        return as_predictions(rows, self.probs[b], self.hot[b], self.vocab)

    def processed(self, steps: PostProcessing) -> tuple[np.ndarray, np.ndarray]:
        """(probabilities of windows side by side, of windows every second) after the steps, each set by itself."""
        b = self.beside
        rows = self.windows[b].reset_index(drop=True)
        return steps.of(rows, self.probs[b]), steps.of(self.windows, self.probs)


def _files(part: str) -> list[str]:
    return [str(file) for file in sorted((WORK / part).glob("*.wav"))]


def answer(clf, part: str) -> pd.DataFrame:
    windows = clf.predict_windows(_files(part), CLIP, CLIP - 1, bs=64, progress=False)
    return _named(windows, part)


def _named(windows: pd.DataFrame, part: str) -> pd.DataFrame:
    return windows.assign(path=[f"{part}/{Path(path).name}" for path in windows["path"]])


def _inputs(clf, windows: pd.DataFrame) -> np.ndarray:
    """float32 (windows, channels, height, width) of the network."""
    pictures = [
        clf.renderer.png(WORK / path, start=start, end=end)
        for path, start, end in windows[["path", "start", "end"]].itertuples(index=False)
    ]
    return np.stack([clf.input.to_tensor(picture).numpy() for picture in pictures])


def frame_f1(clf, dev: Answers, test: Answers) -> float | str:
    """F1 of events of frames; "" where the network has none."""
    if not clf.has_frames:
        return ""
    tables = {
        part: _named(clf.predict_windows(_files(part), CLIP, frames=True, progress=False), part)
        for part in ("dev", "test")
    }
    probs = {part: table[[f"p_{label}" for label in clf.vocab]].to_numpy(float) for part, table in tables.items()}
    levels = event_thresholds(tables["dev"], probs["dev"], dev.events, clf.vocab, margin=0.0)
    return round(f1_of(test.events, events_of(tables["test"], probs["test"], levels, clf.vocab, margin=0.0)), 5)


def scores_of(dev: Answers, test: Answers, steps: PostProcessing) -> dict[str, float]:
    near, every = test.processed(steps)
    hot = test.hot[test.beside]
    thresholds = event_thresholds(dev.windows, dev.processed(steps)[1], dev.events, dev.vocab)
    found = events_of(test.windows, every, thresholds, test.vocab)
    return {
        "auc": sp.metrics.macro_auc(hot, near),
        "map": sp.metrics.mean_average_precision(hot, near),
        "event_f1": f1_of(test.events, found),
    }


# ---------------------------------------------------------------------- the table


def _task(vocab: list[str]) -> Task:
    rows = pd.DataFrame({"id": [], "path": []})
    return Task("soundscapes", "macro_auc", sp.competitions.ClassColumns(), tuple(vocab), True, "", False, rows)


def recipe_key() -> str:
    """Which recordings, look and recipe rows belong to; others are trained again."""
    facts = (LOOK.to_json(), EPOCHS, RATES, N_TRAIN, N_DEV, N_TEST, EVENTS, CLIP, LABELS, SNR)
    return hashlib.blake2b(repr(facts).encode(), digest_size=4).hexdigest()


COLUMNS = ["key", "setting", "seed", "post", "steps", "auc", "map", "event_f1", "frame_f1", "seconds"]


def read_rows() -> pd.DataFrame:
    table = pd.read_csv(RESULTS, keep_default_na=False) if RESULTS.is_file() else pd.DataFrame(columns=COLUMNS)
    return table[table["key"] == recipe_key()].reset_index(drop=True)


def _append(rows: list[dict]) -> None:
    new = not RESULTS.is_file()
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def kept_file(name: str, seed: int, part: str) -> Path:
    plain = re.sub(r"\W+", "-", name).strip("-")
    return WORK / "answers" / f"{plain}-{seed}-{part}-{recipe_key()}.csv"


def one(name: str, seed: int) -> None:
    """Train, answer, choose post-processing on `dev`, score on `test`, and note it."""
    began = time.perf_counter()
    clf = train(SETTINGS[name], seed)
    seconds = time.perf_counter() - began
    tables = {part: answer(clf, part) for part in ("dev", "test")}
    for part, table in tables.items():
        kept_file(name, seed, part).parent.mkdir(parents=True, exist_ok=True)
        table.drop(columns="status").to_csv(kept_file(name, seed, part), index=False, float_format="%.6g")
    dev, test = (Answers(part, table, clf.vocab) for part, table in tables.items())
    choice = score_post_processing(_task(clf.vocab), dev.predictions())
    print(choice)
    rows, of_frames = [], frame_f1(clf, dev, test)
    for post, steps in (("no", PostProcessing()), ("yes", choice.chosen)):
        found = scores_of(dev, test, steps)
        facts = {"key": recipe_key(), "setting": name, "seed": seed, "post": post, "seconds": round(seconds, 1)}
        facts["frame_f1"] = of_frames if post == "no" else ""
        rows.append(
            {**facts, "steps": " then ".join(map(repr, steps.steps)), **{k: round(v, 5) for k, v in found.items()}}
        )
        print(rows[-1], flush=True)
    _append(rows)


def train_missing(names: list[str], seeds: list[int]) -> None:
    for seed in seeds:
        for name in names:
            rows = read_rows()
            if not ((rows["setting"] == name) & (rows["seed"] == seed)).any():
                print(f"{name}, seed {seed}", flush=True)
                one(name, seed)


# ---------------------------------------------------------------------- differences


def _kept_answers(name: str, seed: int) -> tuple[Answers, PostProcessing]:
    table = pd.read_csv(kept_file(name, seed, "test"))
    vocab = [column[2:] for column in table if column.startswith("p_")]
    dev = Answers("dev", pd.read_csv(kept_file(name, seed, "dev")), vocab)
    return Answers("test", table, vocab), score_post_processing(_task(vocab), dev.predictions()).chosen


def _resampled(
    parts: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]], metric, n: int = 500
) -> dict[str, np.ndarray]:
    """name -> the metric's mean over seeds in each resample of recordings and seeds, the same for all.

    parts : name -> for each seed (truth, probabilities, recording of each window)
    """
    first = next(iter(parts.values()))
    names = np.unique(first[0][2])
    members = [np.flatnonzero(first[0][2] == name) for name in names]
    rng, found = np.random.default_rng(0), {name: [] for name in parts}
    for _ in range(n):
        rows = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        seeds = rng.integers(len(first), size=len(first))
        for name, of_seeds in parts.items():
            values = [metric(of_seeds[seed][0][rows], of_seeds[seed][1][rows]) for seed in sorted(set(seeds))]
            weights = [np.sum(seeds == seed) for seed in sorted(set(seeds))]
            found[name].append(np.average(values, weights=weights))
    return {name: np.array(values) for name, values in found.items()}


def _ends(values: np.ndarray) -> tuple[float, float]:
    return tuple(np.quantile(values, [0.025, 0.975]))


def show(names: list[str], seeds: list[int]) -> None:
    """The table of those settings that have all of these seeds: means with intervals, and each difference to what it is added to."""
    rows = read_rows()
    numbers = ["auc", "map", "event_f1", "frame_f1", "seconds"]
    rows[numbers] = rows[numbers].apply(pd.to_numeric, errors="coerce")
    done = [name for name in names if set(seeds) <= set(rows["seed"][rows["setting"] == name])]
    if not done:
        raise SystemExit(f"no setting has the seeds {seeds} yet: train them, or show fewer, --seeds 0")
    parts = {}
    for name in done:
        kept = [_kept_answers(name, seed) for seed in seeds]
        for post in (False, True):
            of_seeds = []
            for test, chosen in kept:
                near = test.processed(chosen if post else PostProcessing())[0]
                paths = test.windows["path"].to_numpy()[test.beside]
                of_seeds.append((test.hot[test.beside], near, paths))
            parts[name, post] = of_seeds
    drawn = {
        m: _resampled(parts, f) for m, f in (("auc", sp.metrics.macro_auc), ("map", sp.metrics.mean_average_precision))
    }
    print(f"{len(seeds)} seeds; intervals: 95 %, bootstrap over {N_TEST} recordings and the seeds\n")
    print(
        "| setting | macro ROC-AUC | mAP | event F1 | of frames | added: ROC-AUC | added: mAP |\n|---|---|---|---|---|---|---|"
    )
    for name, post in parts:
        base = (name, False) if post else (_before(name, done), False)
        mine = rows[(rows["setting"] == name) & (rows["post"] == ("yes" if post else "no")) & rows["seed"].isin(seeds)]
        cells = [
            f"{mine[m].mean():.3f} ({_ends(drawn[m][name, post])[0]:.3f} to {_ends(drawn[m][name, post])[1]:.3f})"
            for m in drawn
        ]
        cells += [_spread(mine["event_f1"]), _spread(mine["frame_f1"])]
        for m in drawn:
            if base[0] is None:
                cells.append("")
                continue
            low, high = _ends(drawn[m][name, post] - drawn[m][base])
            old = rows[(rows["setting"] == base[0]) & (rows["post"] == "no") & rows["seed"].isin(seeds)]
            word = {"not significant": "noise"}.get(verdict(low, high), verdict(low, high))
            cells.append(f"{mine[m].mean() - old[m].mean():+.3f} ({low:+.3f} to {high:+.3f}), {word}")
        label = f"{name}, post-processed" if post else name
        print(f"| {label} | " + " | ".join(cells) + " |")


def _spread(values: pd.Series) -> str:
    """Mean and standard deviation over seeds; nothing where there is none."""
    known = values.dropna()
    if not len(known):
        return ""
    return f"{known.mean():.3f}" + (f" ± {known.std():.3f}" if len(known) > 1 else "")


def _before(name: str, done: list[str]) -> str | None:
    """The setting that this one adds to."""
    if name.startswith("whole window,"):
        return "whole window"
    chain = [other for other in CHAINS[SETTINGS[name].arch] if other in done]
    place = chain.index(name)
    return chain[place - 1] if place else None


# ---------------------------------------------------------------------- fewer bits

WAYS = [
    ("onnxruntime", "float32"),
    ("onnxruntime", "int8"),
    ("openvino", "float32"),
    ("openvino", "float16"),
    ("openvino", "int8"),
]


def precision(names: list[str]) -> None:
    """Each network in every runtime and precision on the test recordings' windows side by side, in one thread; 8 bits are calibrated on `dev`."""
    from importlib.util import find_spec

    from specimg.inference.export import quantise_onnx
    from specimg.inference.export.runtime import OnnxNetwork

    print(
        "| network | runtime | precision | ms a window | macro ROC-AUC | beside float32 | mAP | probabilities move: mean, most |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        clf = train(SETTINGS[name], 0)
        tables = {
            part: _named(clf.predict_windows(_files(part), CLIP, progress=False), part) for part in ("dev", "test")
        }
        test = Answers("test", tables["test"], clf.vocab)
        x = {part: _inputs(clf, tables[part]) for part in tables}
        exact, small = clf.to_onnx(WORK / "exact.onnx"), WORK / "int8.onnx"
        quantise_onnx(exact, small, x["dev"][::4])
        ways = [(runtime, bits) for runtime, bits in WAYS if find_spec(runtime)]
        networks = {way: OnnxNetwork(small if way[1] == "int8" else exact, *way) for way in ways}
        took: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        probs: dict[tuple[str, str], np.ndarray] = {}
        for _ in range(5):  # in turns; the first pays for loading
            for way, network in networks.items():
                began = time.perf_counter()
                probs[way] = np.concatenate([network(x["test"][i : i + 32]) for i in range(0, len(x["test"]), 32)])
                took[way].append(time.perf_counter() - began)
        rows = {way: [(test.hot, probs[way], test.windows["path"].to_numpy())] for way in ways}
        drawn = _resampled(rows, sp.metrics.macro_auc)
        for way in ways:
            milliseconds = 1000 * np.median(took[way][1:]) / len(x["test"])
            auc = sp.metrics.macro_auc(test.hot, probs[way])
            low, high = _ends(drawn[way] - drawn[ways[0]])
            off, score = abs(probs[way] - probs[ways[0]]), sp.metrics.mean_average_precision(test.hot, probs[way])
            beside = "" if way == ways[0] else f"{low:+.4f} to {high:+.4f}"
            print(
                f"| {name} | {way[0]} | {way[1]} | {milliseconds:.2f} | {auc:.4f} | {beside} | {score:.4f} | {off.mean():.4f}, {off.max():.3f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["make", "train", "show", "precision"])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--settings", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), metavar="SETTING")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if args.command == "make":
        make(args.data)
    elif args.command == "precision":
        precision(args.settings)
    elif args.command == "train":
        train_missing(args.settings, args.seeds)
    else:
        show(args.settings, args.seeds)


if __name__ == "__main__":
    main()
