"""What makes a network that knows photographs win on a few hundred sounds? A search, and its check on other groups.

    python benchmarks/transfer.py search --data ../shared/data      # one factor after the other, on development groups
    python benchmarks/transfer.py defaults --data ../shared/data    # on the reported groups, beside others
    python benchmarks/transfer.py probe --data ../shared/data       # linear_probe's ranks of pictures beside training's
    python benchmarks/transfer.py compare --data ../shared/data     # former and present defaults, judged by sp.compare
    python benchmarks/transfer.py show                              # tables of what has been trained so far

Two sets of real sound, with groups that never stand on both sides of a split: `drums` (ten kinds of drum, 14 kits) and
`digits` (ten digits, six speakers: the Free Spoken Digit Dataset). The network is tf_efficientnet_lite0 with ImageNet
weights, a file below `--data`/weights. Choices are made on the splits `a` and `b`, whose held-out groups are
development groups; the split `report` holds out groups that no choice has seen.

Every training is one row of `benchmarks/results/transfer_<table>.csv`, keyed by data, split, setting and seed: a second
call trains only what is missing. `hits` holds one digit a held-out clip, 1 where it was right, so that settings can be
compared clip by clip; `again` is the error once the statistics of batch normalisation were taken from plain pictures.
A training takes 20 to 50 seconds of one idle core; `--only`, `--settings`, `--sets` and `--splits` train a part.
"""

from __future__ import annotations

import argparse
import csv
import functools
import json
import time
import warnings
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Callback, TensorImage, set_seed
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

import specimg as sp
from specimg.data.augment import SILENT, Augment, SpecAugment, _gaps, _hiss, _uniform
from specimg.experiments import Candidate
from specimg.spectrogram import mel_and_deltas
from specimg.training.schedule import DEFAULT_RATE

RESULTS = Path(__file__).parent / "results"
ARCH = "tf_efficientnet_lite0"
NAMES = r"^(?P<label>\d)_(?P<group>[a-z]+)_\d+"
BATCH_NORM = (nn.BatchNorm1d, nn.BatchNorm2d)


# ---------------------------------------------------------------- the sounds and their splits


@dataclass(frozen=True)
class Split:
    """Who is held out; everybody else is trained on, but for the reported groups."""

    valid: tuple[str, ...]


REPORTED = {"drums": ("audiophob", "bja_pacific", "hardelectro1"), "digits": ("nicolas", "theo")}
SPLITS = {
    "drums": {
        "a": Split(("the_black_pearl_1_0", "rumpf_kit_z01_h2", "electricempirekit")),
        "b": Split(("forzeestereo", "millo_multilayered2")),
        "report": Split(REPORTED["drums"]),
    },
    "digits": {"a": Split(("jackson",)), "b": Split(("george",)), "report": Split(REPORTED["digits"])},
}
TAKES, VALID_TAKES = 10, 15  # digits: of the 50 recordings of a digit by a speaker, trained on and held out

# pictures that suit the set: drums ring for seconds at 22 kHz, digits last half a second at 8 kHz
MELS = {"drums": sp.Mel(), "digits": sp.Mel(n_mels=64, n_fft=512, hop_length=80, top_db=50.0)}


def pictures_of(mel: sp.Mel) -> dict[str, sp.Renderer]:
    """Kinds of pictures with the windows of a mel spectrogram."""
    frames = dict(n_fft=mel.n_fft, hop_length=mel.hop_length)
    kinds = {
        "mel": mel,
        "mel, half the bands": mel.replace(n_mels=mel.n_mels // 2),
        "mel and deltas": mel_and_deltas(mel),
        "stft": sp.Stft(**frames),
        "mfcc": sp.Mfcc(n_mels=mel.n_mels, **frames),
        "gfcc": sp.Gfcc(**frames),
        "cqt": sp.Cqt(hop_length=mel.hop_length // 64 * 64 or 64, n_bins=60, fmin=65.4),
        "chroma": sp.Chroma(n_octaves=5, **frames),
    }
    return {name: sp.Renderer(kind) for name, kind in kinds.items()}


def variants_of(mel: sp.Mel, sr: int) -> dict[str, sp.Renderer]:
    """The mel spectrogram of a set with one choice changed."""
    hop = mel.hop_length
    kinds = {
        "more bands": mel.replace(n_mels=224 if sr > 8000 else 96),
        "half the hop": mel.replace(hop_length=hop // 2),
        "twice the hop": mel.replace(hop_length=2 * hop),
        "windows of half the length": mel.replace(win_length=mel.n_fft // 2),
        "fixed range": mel.replace(ref=1.0),
        "three equal channels": sp.Stack(mel, mel, mel),
        "three windows": sp.three_windows(sr=sr, hop=hop / sr, n_mels=mel.n_mels, top_db=mel.top_db),
    }
    nearest = sp.Renderer(mel, sp.Picture(height=64, width=64, resample="nearest"))
    return {name: sp.Renderer(kind) for name, kind in kinds.items()} | {"nearest": nearest}


LOOKS = {data: pictures_of(mel) for data, mel in MELS.items()}
RATES = {"drums": 22050, "digits": 8000}  # Hz of the recordings
VARIED = {data: variants_of(mel, RATES[data]) for data, mel in MELS.items()}
SIZES = {"drums": (64, 128), "digits": (64, 64)}


def clips(data: str, split: str, folder: Path) -> tuple[pd.DataFrame, Path]:
    """(table with path, label, group, held_out; the folder of the recordings) of one split."""
    if data == "drums":
        root = folder / "drums"
        table = pd.read_csv(root / "drums.csv").rename(columns={"kit": "group"})
    else:
        root = folder / "fsdd"
        table = sp.labels_from_names(root, NAMES)
        table["take"] = table["path"].str.extract(r"_(\d+)\.wav$")[0].astype(int)
    chosen, reported = SPLITS[data][split], REPORTED[data]
    table["held_out"] = table["group"].isin(chosen.valid)
    table = table[table["held_out"] | ~table["group"].isin(reported)]
    if "take" in table:
        table = table[table["take"] < np.where(table["held_out"], VALID_TAKES, TAKES)].drop(columns="take")
    return table.reset_index(drop=True), root


# ---------------------------------------------------------------- what is varied


# The defaults that the search began with, fastai's for photographs and an augmentation for long runs from scratch.
FORMER_AUGMENT = dict(
    shift=0.1, stretch=0.2, freq_shift=0.04, gain=0.05, noise=0.02, hiss=0.3, time_masks=1, time_mask=0.15, freq_masks=1, freq_mask=0.15
)  # fmt: skip
FORMER_RECIPE = dict(epochs=5, freeze_epochs=1, lr="find", lr_mult=100.0)


@dataclass(frozen=True)
class Setting:
    """One way to train. What is not named is as it was before the search."""

    look: str = "mel"
    augment: dict | None = field(default_factory=dict)  # fields of Augment; None is off
    fill: str = "black"  # of what is left empty: black; mean of the picture; wrap; nearest: black, not interpolated
    recipe: dict = field(default_factory=dict)  # fields of Recipe
    learner: dict = field(default_factory=dict)  # arguments of spec_learner
    loaders: dict = field(default_factory=dict)  # further arguments of from_df: bs, size, method ...
    norm: str = "train"  # statistics of the body's batch normalisation: train (as usual), frozen
    how: str = "recipe"  # recipe (sp.fit), fine_tune (fastai's), linear (sp.linear_baseline)

    def key(self) -> str:
        """The same text for the same setting."""
        return json.dumps({k: v for k, v in asdict(self).items() if v != asdict(Setting())[k]}, sort_keys=True)

    def but(self, **changes) -> Setting:
        """This setting with changes; those of dictionaries are merged into what stands there."""
        merged = {
            k: {**getattr(self, k), **v} if isinstance(v, dict) and k != "augment" else v for k, v in changes.items()
        }
        return replace(self, **merged)


# ---------------------------------------------------------------- augmentation that fills otherwise than with black


class FilledAugment(SpecAugment):
    """`SpecAugment` whose shifts and gaps are filled with the picture's mean, or whose shifts go round its ends."""

    def __init__(self, settings: Augment, fill: tuple[float, ...] = (0.0,), how: str = "mean"):
        super().__init__(settings, fill)
        self.how = how

    def encodes(self, x: TensorImage) -> TensorImage:
        s, n, plain = self.settings, len(x), x.as_subclass(Tensor)
        if self.how == "black":
            return super().encodes(x)
        black = torch.tensor(self.fill, device=x.device, dtype=plain.dtype).view(1, -1, 1, 1)
        mean = black if self.how == "nearest" else plain.mean((2, 3), keepdim=True)
        level = self._moved(plain - mean) + mean - black
        if s.gain:
            level = torch.where(level.abs() > SILENT, level + _uniform(n, s.gain, level), level)
        if s.noise:
            level = level + _uniform(n, s.noise, level).abs() * torch.randn_like(level)
        if s.hiss:
            level = torch.where(black == 0, torch.maximum(level, _hiss(level, s.hiss)), level)
        for _ in range(s.time_masks if s.time_mask else 0):
            gaps = _gaps(n, x.shape[-1], s.time_mask, level)[:, None, None, :]
            level = torch.where(gaps, mean - black, level)
        for _ in range(s.freq_masks if s.freq_mask else 0):
            gaps = _gaps(n, x.shape[-2], s.freq_mask, level)[:, None, :, None]
            level = torch.where(gaps, mean - black, level)
        out = (level + black).clamp(0, 1).as_subclass(type(x))
        out.set_meta(x, as_copy=True)
        return out

    def _moved(self, level: Tensor) -> Tensor:
        """Shift, stretch and frequency shift; what comes in from outside is 0, or the other end."""
        s, n = self.settings, len(level)
        if not (s.shift or s.stretch or s.freq_shift):
            return level
        theta = torch.zeros(n, 2, 3, device=level.device, dtype=level.dtype)
        theta[:, 0, 0] = 1 + _uniform(n, s.stretch, level).flatten()
        theta[:, 0, 2] = 2 * _uniform(n, s.shift, level).flatten()
        theta[:, 1, 1] = 1
        theta[:, 1, 2] = 2 * _uniform(n, s.freq_shift, level).flatten()
        grid = F.affine_grid(theta, list(level.shape), align_corners=False)
        if self.how == "nearest":  # no pixel is a mean of others, so that the grain of a noise stays as it is
            return F.grid_sample(level, grid, mode="nearest", padding_mode="zeros", align_corners=False)
        if self.how == "wrap":
            time_axis = torch.remainder(grid[..., :1] + 1, 2) - 1
            grid = torch.cat([time_axis, grid[..., 1:]], -1)
            return F.grid_sample(level, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return F.grid_sample(level, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


# ---------------------------------------------------------------- batch normalisation


class FrozenStatistics(Callback):
    """Keeps the statistics of ImageNet in the body's batch normalisation; scale and offset still learn."""

    run_valid = False

    def before_batch(self):
        for layer in self.model[0].modules():
            if isinstance(layer, BATCH_NORM):
                layer.eval()


@torch.no_grad()
def estimate_again(learn) -> None:
    """Take the statistics of batch normalisation once more, from training's plain pictures."""
    layers = [layer for layer in learn.model.modules() if isinstance(layer, BATCH_NORM)]
    usual = [layer.momentum for layer in layers]
    learn.model.eval()
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
        layer.train()
    # mixed: a batch of one class would hide the spread between classes
    mixed = learn.dls.train_ds.items.sample(frac=1, random_state=0)
    for x, *_ in learn.dls.test_dl(mixed, num_workers=0, bs=64):
        learn.model(x)
    for layer, momentum in zip(layers, usual):
        layer.momentum = momentum
    learn.model.eval()


# ---------------------------------------------------------------- one training


def remember(dls) -> None:
    """Every picture is opened once and kept: opening them in each epoch would take as long as a small network does."""
    for dl in dls.loaders:
        dl.do_item = functools.lru_cache(maxsize=None)(dl.do_item)


def make_loaders(data: str, split: str, setting: Setting, folder: Path, cache) -> sp.SpecDataLoaders:
    """The pictures of a split as a setting wants them."""
    table, root = clips(data, split, folder)
    options = {"size": SIZES[data], "bs": 64, **setting.loaders}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dls = sp.SpecDataLoaders.from_df(
            table,
            root,
            group_col="group",
            valid_col="held_out",
            renderer=(LOOKS[data] | VARIED[data])[setting.look],
            cache=cache,
            augment=None if setting.augment is None else Augment(**FORMER_AUGMENT | setting.augment),
            progress=False,
            num_workers=0,
            **options,
        )
    for transform in dls.train.after_batch.fs:
        if isinstance(transform, SpecAugment) and setting.fill != "black":
            transform.__class__, transform.how = FilledAugment, setting.fill
    return dls


def judge(learn) -> tuple[float, str, float]:
    """(error, one digit a held-out clip: 1 where it is right, cross entropy)."""
    probs, targets = learn.get_preds(ds_idx=1)
    hits = (probs.argmax(1) == targets).int().tolist()
    loss = -probs[range(len(targets)), targets].clamp(min=1e-7).log().mean()
    return 1 - float(np.mean(hits)), "".join(map(str, hits)), float(loss)


def train(data: str, split: str, setting: Setting, seed: int, folder: Path, cache, curves: bool = False) -> dict:
    """The figures of one training; `curves`: the held-out error after every epoch too."""
    dls = make_loaders(data, split, setting, folder, cache)
    if setting.how == "linear":
        found = sp.linear_baseline(dls)
        right = np.array(found.vocab)[found.probs.argmax(1)] == dls.valid.clips["label"].to_numpy()
        return {"error": found.error, "hits": "".join(map(str, right.astype(int)))}
    remember(dls)
    options = {"weights": folder / "weights" / f"{ARCH}.safetensors"} if setting.learner.get("pretrained", True) else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learn = sp.spec_learner(dls, ARCH, seed=seed, **options, **setting.learner)
    learn.model.to(memory_format=torch.channels_last)  # twice as fast on a CPU, with the same sums
    given = {name: value for name, value in setting.recipe.items() if value is not None}
    recipe = sp.Recipe(seed=seed, **FORMER_RECIPE | given)
    cbs = [FrozenStatistics()] if setting.norm == "frozen" else []
    whole = dls.loaders[1]
    if not curves:  # a search needs no curves, and they cost a sixth of its time
        dls.loaders[1] = dls.test_dl(whole.clips.iloc[:: len(whole.clips) // 8], with_labels=True, num_workers=0)
    learn.add_cbs(cbs)
    began = time.perf_counter()
    if setting.how == "fine_tune":
        set_seed(seed, reproducible=True)
        with learn.no_logging(), learn.no_bar():
            learn.fine_tune(recipe.epochs, setting.recipe.get("lr"), lr_mult=setting.recipe.get("lr_mult"))
        curve = [row[3] for row in learn.recorder.values]
        rate, loss = setting.recipe.get("lr") or DEFAULT_RATE[learn.pretrained], learn.recorder.values[-1][0]
    else:
        with learn.no_logging(), learn.no_bar():
            history = sp.fit(learn, recipe)
        curve = history["error_rate"].tolist()
        rate, loss = learn.recipe.lr, float(history["train_loss"].iloc[-1])
    seconds = time.perf_counter() - began
    learn.remove_cbs(cbs)
    dls.loaders[1] = whole
    with learn.no_logging(), learn.no_bar():
        error, hits, valid_loss = judge(learn)
        again, hits_again = float("nan"), ""
        if setting.augment is not None:  # augmented pictures have other statistics than the plain ones that are judged
            estimate_again(learn)
            again, hits_again, _ = judge(learn)
    return {
        "error": error,
        "error_again": again,
        "train_loss": loss,
        "valid_loss": valid_loss,
        "lr": rate,
        "curve": " ".join(f"{e:.4f}" for e in curve) if curves else "",
        "seconds": round(seconds, 1),
        "hits": hits,
        "hits_again": hits_again,
    }


# ---------------------------------------------------------------- tables that grow

COLUMNS = (
    "table name data split seed error error_again train_loss valid_loss lr curve seconds hits hits_again setting"
).split()


def read_rows(file: Path) -> pd.DataFrame:
    """What has been trained so far."""
    return pd.read_csv(file, dtype={"hits": str, "hits_again": str}) if file.exists() else pd.DataFrame(columns=COLUMNS)


def run(file: Path, jobs: list[tuple], folder: Path, cache, curves: bool = False) -> None:
    """Train what is missing of (table, name, data, split, seed, setting), one row each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    old = read_rows(file)
    done = set(zip(old["data"], old["split"], old["seed"], old["setting"]))
    for table, name, data, split, seed, setting in jobs:
        key = (data, split, seed, setting.key())
        if key in done:
            continue
        row = {
            "table": table,
            "name": name,
            "data": data,
            "split": split,
            "seed": seed,
            "setting": setting.key(),
            **train(data, split, setting, seed, folder, cache, curves),
        }
        new = not file.exists()
        with open(file, "a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow({k: round(v, 5) if isinstance(v, float) else v for k, v in row.items()})
        done.add(key)
        found = {"error_again": float("nan"), "valid_loss": float("nan"), "seconds": 0.0, **row}
        print(
            time.strftime("%H:%M:%S"),
            f"{table:10} {name:26} {data} {split} seed {seed}:",
            "error {error:.3f}, again {error_again:.3f}, loss {valid_loss:.2f}, {seconds} s".format(**found),
            flush=True,
        )


# ---------------------------------------------------------------- the search, round by round

PARTS = {
    "shift": dict(shift=0.1),
    "stretch": dict(stretch=0.2),
    "freq shift": dict(freq_shift=0.04),
    "gain": dict(gain=0.05),
    "noise": dict(noise=0.02),
    "hiss": dict(hiss=0.3),
    "masks": dict(time_mask=0.15, freq_mask=0.15),
}
OFF = dict(shift=0.0, stretch=0.0, freq_shift=0.0, gain=0.0, noise=0.0, hiss=0.0, time_mask=0.0, freq_mask=0.0)
WEAK = dict(shift=0.03, stretch=0.05, freq_shift=0.04, gain=0.05, noise=0.0, hiss=0.0, time_mask=0.08, freq_mask=0.08)


def only(**parts) -> dict:
    """Fields of Augment with nothing but these parts."""
    return {**OFF, **parts}


def halved() -> dict:
    """The former strengths, each by half."""
    return {name: FORMER_AUGMENT[name] / 2 for name in OFF}


EARLIER = Setting(
    augment=only(hiss=0.3), loaders=dict(bs=16, size=64), recipe=dict(epochs=7, freeze_epochs=1, lr=1e-2, lr_mult=10.0)
)
SHORT = EARLIER.but(recipe=dict(lr_mult=3.0))  # for tables with many trainings
PROPOSED = SHORT.but(recipe=dict(epochs=14))


def rounds() -> dict[str, dict[str, Setting]]:
    """Round -> name -> setting; the first of a round is what the others are compared with."""
    base = Setting(augment=None, loaders=dict(bs=32), recipe=dict(epochs=6, freeze_epochs=1, lr=1e-2, lr_mult=10.0))
    slow = base.but(loaders=dict(bs=16, size=64), recipe=dict(epochs=7))  # smaller pictures, smaller batches
    flat = slow.but(recipe=dict(lr=3e-3, lr_mult=1.0))
    hissing = flat.but(augment=only(hiss=0.3))
    moves = dict(shift=0.1, stretch=0.2, freq_shift=0.04)
    return {
        "parts": {  # which part of the augmentation costs what
            "none": base,
            "all": base.but(augment={}),
            **{name: base.but(augment=only(**part)) for name, part in PARTS.items()},
        },
        "norm": {  # statistics of batch normalisation as usual, or ImageNet's kept
            "usual": base,
            **{
                f"frozen, lr {lr:g} / {mult}": base.but(norm="frozen", recipe=dict(lr=lr, lr_mult=float(mult)))
                for lr, mult in [(1e-2, 10), (3e-3, 10), (3e-3, 1), (1e-3, 1), (1e-2, 100)]
            },
            **{
                f"usual, lr {lr:g} / {mult}": base.but(recipe=dict(lr=lr, lr_mult=float(mult)))
                for lr, mult in [(3e-3, 1), (1e-2, 100)]
            },
        },
        "rate": {
            "bs 16, lr 1e-2 / 10": slow,
            "bs 16, lr 1e-2 / 10, 64 x 128": slow.but(loaders=dict(size=(64, 128))),
            "bs 32": slow.but(loaders=dict(bs=32)),
            "bs 64": slow.but(loaders=dict(bs=64)),
            "lr 3e-3 / 1": flat,
            "lr 3e-3 / 10": slow.but(recipe=dict(lr=3e-3)),
            "frozen norm, lr 1e-3 / 10": slow.but(norm="frozen", recipe=dict(lr=1e-3)),
            "lr 3e-3 / 1, no frozen epochs": flat.but(recipe=dict(freeze_epochs=0, epochs=8)),
            "lr 3e-3 / 1, bs 8": flat.but(loaders=dict(bs=8)),
        },
        "fill": {  # what is left empty, and how strong
            "none": flat,
            "all, black": flat.but(augment={}),
            "all, mean": flat.but(augment={}, fill="mean"),
            "all, wrap": flat.but(augment={}, fill="wrap"),
            "half, mean": flat.but(augment=halved(), fill="mean"),
            "no time moves, mean": flat.but(augment=dict(shift=0.0, stretch=0.0), fill="mean"),
            "freq shift + gain": flat.but(augment=only(freq_shift=0.04, gain=0.05)),
        },
        "hiss": {
            "none": flat,
            "hiss only": hissing,
            "all but hiss": flat.but(augment=dict(hiss=0.0)),
            "hiss, weak moves": flat.but(augment={**WEAK, "hiss": 0.3}),
            "hiss, moves without interpolation": flat.but(augment=only(hiss=0.3, **moves), fill="nearest"),
            "hiss only, lr 1e-2 / 10": hissing.but(recipe=dict(lr=1e-2, lr_mult=10.0)),
            "pad": flat.but(loaders=dict(method="pad")),
            "from scratch": flat.but(learner=dict(pretrained=False)),
        },
        "around": {  # an earlier proposal, with one choice changed
            "lr_mult 10": EARLIER,
            "bs 64": EARLIER.but(loaders=dict(bs=64)),
            "14 epochs": EARLIER.but(recipe=dict(epochs=14)),
            "11 epochs, mixup 0.4": EARLIER.but(recipe=dict(epochs=11, mixup=0.4)),
            "4 frozen, 4 epochs, lr 3e-3": EARLIER.but(recipe=dict(freeze_epochs=4, epochs=4, lr=3e-3)),
            "no frozen epochs": EARLIER.but(recipe=dict(freeze_epochs=0, epochs=8)),
            "lr_mult 3": EARLIER.but(recipe=dict(lr_mult=3.0)),
            "lr_mult 3, 14 epochs": EARLIER.but(recipe=dict(lr_mult=3.0, epochs=14)),
            "lr 5e-3, lr_mult 1": EARLIER.but(recipe=dict(lr=5e-3, lr_mult=1.0)),
            "lr_mult 1": EARLIER.but(recipe=dict(lr_mult=1.0)),
            "lr_mult 100": EARLIER.but(recipe=dict(lr_mult=100.0)),
            "lr 3e-3": EARLIER.but(recipe=dict(lr=3e-3)),
            "lr found": EARLIER.but(recipe=dict(lr="find")),
            "label smoothing 0.1": EARLIER.but(recipe=dict(label_smoothing=0.1)),
            "weight decay 0.1": EARLIER.but(recipe=dict(wd=0.1)),
            "dropout 0.8": EARLIER.but(learner=dict(ps=0.8)),
            "linear head": EARLIER.but(learner=dict(lin_ftrs=[])),
            "mean pool": EARLIER.but(learner=dict(concat_pool=False)),
            "stats of training": EARLIER.but(learner=dict(stats="train")),
            "pad": EARLIER.but(loaders=dict(method="pad")),
            "128 x 128": EARLIER.but(loaders=dict(size=128)),
            "hiss 0.5": EARLIER.but(augment=only(hiss=0.5)),
            "hiss, gain 0.15": EARLIER.but(augment=only(hiss=0.3, gain=0.15)),
            "all augmentation": EARLIER.but(augment={}),
        },
        "pictures": {name: SHORT.but(look=name) for name in LOOKS["drums"]},  # ranked by training; see `probe`
        "looks": {  # the mel spectrogram with one choice changed
            "mel": SHORT,
            **{name: SHORT.but(look=name) for name in VARIED["drums"]},
            "64 x 128": SHORT.but(loaders=dict(size=(64, 128))),
            "128 x 64": SHORT.but(loaders=dict(size=(128, 64))),
        },
        "average": {  # weights averaged over steps, or over the last epochs
            "none": PROPOSED,
            "ema 0.99": PROPOSED.but(recipe=dict(ema=0.99)),
            "last 3 epochs": PROPOSED.but(recipe=dict(average_last=3)),
        },
    }


PLAN = (("drums", "a"), ("digits", "a"))


def search_jobs(names, seeds, titles=None, splits=None, sets=None) -> list[tuple]:
    """The trainings of some rounds; of them some settings, splits and sets of sounds alone."""
    return [
        (name, title, data, split, seed, setting)
        for name, settings in rounds().items()
        if not names or name in names
        for title, setting in settings.items()
        if not titles or title in titles
        for data, usual in PLAN
        for split in splits or [usual]
        if not sets or data in sets
        for seed in seeds
    ]


# ---------------------------------------------------------------- tables to read


def share_wrong(hits: list[str]) -> np.ndarray:
    """Of every clip the share of trainings that were wrong, from one string a training: 1 where it was right."""
    return 1 - np.mean([[int(hit) for hit in row] for row in hits], axis=0)


def interval(wrong: np.ndarray, draws: int = 2000) -> tuple[float, float, float]:
    """(mean, low, high) over clips: an error, or a difference of errors; 95 % by bootstrap over clips, each with all of its seeds."""
    means = np.random.default_rng(0).choice(wrong, (draws, len(wrong))).mean(axis=1)
    return float(wrong.mean()), *map(float, np.quantile(means, [0.025, 0.975]))


def over_splits(rows: pd.DataFrame) -> np.ndarray:
    """`share_wrong` of each split, one after the other; splits may have different seeds."""
    return np.concatenate([share_wrong(list(part["hits"])) for _, part in rows.groupby("split")])


def show(file: Path, names) -> None:
    """Print each round: error, difference to its first setting, and the same with statistics estimated again."""
    rows = read_rows(file)
    for name, settings in rounds().items():
        if names and name not in names:
            continue
        print(f"\n== {name}")
        for data in SPLITS:
            first = None
            for title, setting in settings.items():
                mine = rows[(rows["data"] == data) & (rows["setting"] == setting.key()) & (rows["split"] != "report")]
                if not len(mine):
                    continue
                first = mine if first is None else first
                shared = mine.merge(first[["split", "seed"]], on=["split", "seed"])
                pair = first.merge(shared[["split", "seed"]], on=["split", "seed"])
                error, low, high = interval(over_splits(mine))
                line = f"{data:7} {title:28} {error:.3f} ({low:.3f} to {high:.3f})"
                if len(shared):
                    line += "  {:+.3f} ({:+.3f} to {:+.3f})".format(*interval(over_splits(shared) - over_splits(pair)))
                means = mine[["error_again", "train_loss", "valid_loss", "lr", "seconds"]].astype(float).mean()
                told = "again {:.3f}  train loss {:.2f}  loss {:.2f}  lr {:.2g}  {:.0f} s".format(*means)
                print(f"{line}  {told}  n {len(mine)}")


# ---------------------------------------------------------------- a linear probe beside training


def probe(file: Path, folder: Path, cache) -> None:
    """Score every kind of picture by `sp.linear_probe` on the development groups that the round `pictures` trains on."""
    done = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["data", "split"])
    for data, split in PLAN:
        if ((done["data"] == data) & (done["split"] == split)).any():
            continue
        table, root = clips(data, split, folder)
        folds = table.assign(fold=np.where(table["held_out"], 0, -1)).drop(columns="held_out")
        found = sp.linear_probe(
            sp.Competition(data, root, folds),
            LOOKS[data],
            ARCH,
            weights=folder / "weights" / f"{ARCH}.safetensors",
            loaders={**SHORT.loaders, "cache": cache, "progress": False},
        )
        print(found)
        rows = found.table[["picture", "score", "low", "high"]].assign(data=data, split=split)
        done = pd.concat([done, rows])
        done.to_csv(file, index=False)


def show_probe(file: Path) -> None:
    """Print the error of probe and training by picture, and the rank correlation (Spearman) of the two."""
    if not file.exists():
        return
    probed, trained = pd.read_csv(file), read_rows(RESULTS / "transfer_search.csv")
    keys = {name: setting.key() for name, setting in rounds()["pictures"].items()}
    for (data, split), part in probed.groupby(["data", "split"], sort=False):
        mine = trained[(trained["data"] == data) & (trained["split"] == split)]
        errors = {name: mine.loc[mine["setting"] == key, "error"].mean() for name, key in keys.items()}
        both = part.assign(probe=1 - part["score"], training=part["picture"].map(errors)).dropna()
        print(both[["data", "picture", "probe", "training"]].to_string(index=False, float_format="%.3f"))
        if len(both) > 2:
            found = spearmanr(both["probe"], both["training"])
            print(f"{data}: rank correlation {found.statistic:.2f} over {len(both)} pictures (p {found.pvalue:.3f})")


# ---------------------------------------------------------------- former and present defaults through compare


def compare_defaults(folder: Path, cache, out: Path, sets=None) -> None:
    """Let `sp.compare` judge present defaults beside the former ones, on all development groups, each held out once."""
    for data in sets or SPLITS:
        table, root = clips(data, "a", folder)
        loading = {"size": SIZES[data], "cache": cache, "progress": False, "num_workers": 0}
        former = Candidate(
            "as it was",
            ARCH,
            LOOKS[data]["mel"],
            sp.Recipe(**FORMER_RECIPE),
            loaders={"bs": 64, "augment": Augment(**FORMER_AUGMENT)},
        )
        found = sp.compare(
            sp.Competition(data, root, table.drop(columns="held_out"), metric="accuracy"),
            recipe=sp.Recipe(epochs=7),
            out=out / data,
            candidates=[former, Candidate("Recipe(epochs=7)", ARCH, LOOKS[data]["mel"])],
            baseline="as it was",
            folds=3,
            loaders=loading,
            learner={"weights": str(folder / "weights" / f"{ARCH}.safetensors")},
        )
        print(found, flush=True)


# ---------------------------------------------------------------- the reported groups


def systems() -> dict[str, Setting]:
    """What stands side by side on the groups that no choice has seen."""

    def from_scratch(epochs: int) -> Setting:
        return EARLIER.but(learner=dict(pretrained=False), recipe=dict(freeze_epochs=0, epochs=epochs, lr=3e-3))

    return {
        "linear baseline": Setting(how="linear", augment=None),
        "Recipe()": PROPOSED,
        "from scratch": from_scratch(15),
        "Recipe(epochs=7)": SHORT,
        "from scratch, 8 epochs": from_scratch(8),
        "fine_tune(5)": PROPOSED.but(how="fine_tune").but(recipe=dict(epochs=5, lr=None, lr_mult=None)),
        "epochs=7, lr_mult=10": EARLIER,
        "Recipe(), as it was": Setting(loaders=dict(size=64)),
        "fine_tune(5), as it was": Setting(
            how="fine_tune", recipe=dict(epochs=5, lr=2e-3, lr_mult=100.0), loaders=dict(size=64)
        ),
    }


def report_jobs(seeds, titles=None) -> list[tuple]:
    """The trainings of the reported table; the linear baseline has no seed."""
    return [
        ("defaults", title, data, "report", seed, setting)
        for seed in seeds
        for title, setting in systems().items()
        if not titles or title in titles
        for data in SPLITS
        if seed == 0 or setting.how != "linear"
    ]


def show_report(file: Path, folder: Path) -> None:
    """Print the reported table: error, 95 % over clips and, for drums, over kits."""
    rows = read_rows(file)
    for data in SPLITS:
        table, _ = clips(data, "report", folder)
        groups = table.loc[table["held_out"], "group"].to_numpy()
        mine = rows[rows["data"] == data]
        scratch = mine[mine["setting"] == systems()["from scratch"].key()]
        for title, setting in systems().items():
            part = mine[mine["setting"] == setting.key()]
            if not len(part):
                continue
            hits = list(part["hits"])
            wrong = share_wrong(hits)
            error, low, high = interval(wrong)
            line = f"{data:7} {title:30} {error:.3f} ({low:.3f} to {high:.3f})"
            line += "  seeds " + " ".join(f"{e:.3f}" for e in part["error"])
            line += "  " + ", ".join(f"{group} {wrong[groups == group].mean():.3f}" for group in dict.fromkeys(groups))
            if len(scratch) and len(part) == len(scratch) and title != "from scratch":
                line += "  against scratch {:+.3f} ({:+.3f} to {:+.3f})".format(
                    *interval(wrong - share_wrong(list(scratch["hits"])))
                )
            print(line)


def plot_curves(file: Path) -> None:
    """Draw the held-out error after every epoch, mean over seeds, of what was trained for the reported table."""
    import matplotlib.pyplot as plt

    rows = read_rows(RESULTS / "transfer_defaults.csv").dropna(subset="curve")
    drawn, axes = plt.subplots(1, len(SPLITS), figsize=(11, 3.4), sharey=True, layout="constrained")
    for ax, data in zip(axes, SPLITS):
        for title, setting in systems().items():
            mine = rows[(rows["data"] == data) & (rows["setting"] == setting.key())]
            if len(mine):
                curve = np.mean([[float(error) for error in row.split()] for row in mine["curve"]], axis=0)
                ax.plot(1 + np.arange(len(curve)), curve, marker=".", label=f"{title} ({len(mine)})")
        for row in (
            read_rows(RESULTS / "transfer_defaults.csv")
            .query("name == 'linear baseline' and data == @data")
            .itertuples()
        ):
            ax.axhline(row.error, color="grey", linestyle=":", label="linear baseline")
        ax.set(title=data, xlabel="epoch", ylim=(0, 1))
    axes[0].set_ylabel("error on held-out groups")
    axes[-1].legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.02, 1))
    drawn.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=["search", "probe", "defaults", "compare", "show"])
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder that holds drums, fsdd and weights"
    )
    parser.add_argument("--only", nargs="*", help="rounds of the search; default all")
    parser.add_argument(
        "--settings", nargs="*", help="settings of these rounds, or systems of the defaults; default all"
    )
    parser.add_argument("--splits", nargs="*", choices=["a", "b"], help="default the round's own")
    parser.add_argument("--sets", nargs="*", choices=list(SPLITS), help="default both")
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--cache", default=None, help="where pictures are kept; default the user's cache folder")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/transfer"), help="folder of `compare`, which resumes there"
    )
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--curves", type=Path, help="with show: draw the learning curves into this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    warnings.simplefilter("ignore")
    file = RESULTS / "transfer_search.csv"
    if args.table == "search":
        run(file, search_jobs(args.only, args.seeds, args.settings, args.splits, args.sets), args.data, args.cache)
    if args.table == "defaults":
        run(
            RESULTS / "transfer_defaults.csv",
            report_jobs(args.seeds, args.settings),
            args.data,
            args.cache,
            curves=True,
        )
    if args.table == "compare":
        compare_defaults(args.data, args.cache, args.out, args.sets)
    if args.table == "probe":
        probe(RESULTS / "transfer_probe.csv", args.data, args.cache)
    if args.table in ("search", "show"):
        show(file, args.only)
    if args.table in ("probe", "show"):
        show_probe(RESULTS / "transfer_probe.csv")
    if args.table == "show" and args.curves:
        plot_curves(args.curves)
    if args.table in ("defaults", "show"):
        show_report(RESULTS / "transfer_defaults.csv", args.data)


if __name__ == "__main__":
    main()
