"""Throw damaged classifiers, trees, runs, training folders and sounds at what reads them, for a bounded time, and count.

    python benchmarks/fuzz_folder.py --seconds 300 --seed 0
    python benchmarks/fuzz_folder.py --seconds 300 --only run training

Each input is a folder of a trained classifier, a tree of pictures, a run or a training, or a recording, changed by chance: bytes flipped, cut, inserted,
files swapped, entries of JSON, TOML, csv, .npz and checkpoints replaced, files replaced by links and folders, random bytes behind the magic
of wav, flac, ogg, mp3 ... Whatever happens must be a ValueError (or the answer, where the change did no harm); nothing may run, hang, reach
out of the folder, or ask for absurd memory. The script ends with status 1 and the seed of the first input that
did otherwise.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import os
import random
import resource
import shutil
import sqlite3
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile as sf
import torch

from specimg.audio import Audio, AudioError, read_audio
from specimg.data import SpecDataLoaders, SpecImage
from specimg.data.images import FitSize
from specimg.datasets import sine
from specimg.inference import SETTINGS, check_classifier, load_classifier, save_classifier
from specimg.inference.folder import facts_of
from specimg.render.prepare import prepare
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Mel, Stack, describe, read_picture
from specimg.training import Recipe
from specimg.training.learner import spec_learner

TWO_EPOCHS = Recipe(epochs=2, freeze_epochs=0, lr=0.01, seed=1)
LIMIT = 6 * 2**30  # bytes of address space: what asks for more is found out
SLOW = 20.0  # s for one input
VALUES = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    3,
    10**9,
    2**31,
    2**63,
    10**400,
    -(10**9),
    0.5,
    -0.5,
    1e308,
    1e-300,
    "",
    "a",
    "mel",
    "renderer",
    "stack",
    "cqt",
    "resnet18",
    "hf-hub:timm/resnet18",
    "../..",
    "/etc/passwd",
    "\x00",
    "\ud800",
    "x" * 10_000,
    [],
    [[]],
    {},
    [1, 2],
    [10**9, 10**9],
    {"kind": "mel"},
    {"kind": "audio"},
    [0.1] * 50,
    ["a"] * 50,
    {"a": {"a": {"a": {}}}},
]
MAGICS = {
    "wav": b"RIFF\x24\x08\x00\x00WAVEfmt ",
    "rf64": b"RF64\xff\xff\xff\xffWAVE",
    "flac": b"fLaC\x00\x00\x00\x22",
    "ogg": b"OggS\x00\x02",
    "mp3": b"\xff\xfb\x90\x00",
    "id3.mp3": b"ID3\x04\x00\x00",
    "aiff": b"FORM\x00\x00\x08\x00AIFF",
    "au": b".snd\x00\x00\x00\x18",
    "caf": b"caff\x00\x01\x00\x00",
    "w64": b"riff\x2e\x91\xcf\x11",
}


# ---------------------------------------------------------------------- a classifier, and sounds


def make_classifier(folder: Path) -> Path:
    """A small classifier of two tones with two golden clips."""
    import pandas as pd

    rows = [(f"{label}{i}.wav", label) for i in range(6) for label in ("high", "low")]
    for i, (name, label) in enumerate(rows):
        sf.write(folder / name, sine(2000 if label == "high" else 300, 0.25 + 0.02 * (i % 3), 8000), 8000)
    dls = SpecDataLoaders.from_df(
        pd.DataFrame(rows, columns=["path", "label"]),
        folder,
        renderer=Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)),
        cache=folder / "cache",
        bs=4,
        n_jobs=1,
        progress=False,
    )
    learn = spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    return save_classifier(learn, folder / "classifier", golden=2, calibrate=True)


def make_sounds(folder: Path) -> list[bytes]:
    """Whole recordings of every kind that libsndfile writes here."""
    y, found = sine(440, 0.3, 8000), []
    for ext, subtype in [
        ("wav", "PCM_16"),
        ("wav", "FLOAT"),
        ("wav", "PCM_24"),
        ("wav", "IMA_ADPCM"),
        ("flac", "PCM_16"),
        ("ogg", "VORBIS"),
        ("mp3", "MPEG_LAYER_III"),
        ("aiff", "PCM_16"),
        ("au", "PCM_16"),
        ("caf", "PCM_16"),
        ("w64", "PCM_16"),
        ("rf64", "PCM_16"),
        ("ogg", "OPUS"),
    ]:
        path = folder / f"whole.{ext}"
        try:
            sf.write(path, np.stack([y, y], 1) if subtype == "PCM_24" else y, 8000, subtype=subtype, format=ext.upper())
        except (sf.SoundFileError, ValueError):
            continue
        found.append(path.read_bytes())
    return found


# ---------------------------------------------------------------------- damage


def damage_bytes(rng: random.Random, data: bytes) -> bytes:
    """Some bytes flipped, cut, doubled, inserted, or overwritten by numbers that headers like."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = min(len(data), rng.choice([rng.randrange(64), rng.randrange(max(1, len(data)))]))
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:]
        elif kind == 2:
            data[at:at] = rng.randbytes(rng.choice([1, 4, 300]))
        elif kind == 3:
            data[at : at + 4] = struct.pack(
                rng.choice("<>") + "I", rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, rng.randrange(2**32)])
            )
        elif kind == 4:
            data[at : at + 8] = struct.pack(rng.choice("<>") + "Q", rng.choice([0, 2**63 - 1, 2**64 - 1, 2**40]))
        else:
            data[at:at] = data[: rng.randrange(200)]
    return bytes(data)


def places(part, path=()):
    """Every place in nested JSON."""
    yield path
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def damage_json(rng: random.Random, settings):
    """Some entries replaced, removed, renamed or taken from elsewhere."""
    settings = copy.deepcopy(settings)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        found = [path for path in places(settings) if path]
        if not found:
            break
        path = rng.choice([p for p in found if p[0] != "files"] or found)
        holder = settings
        for key in path[:-1]:
            holder = holder[key]
        kind = rng.randrange(5)
        if kind == 0 and isinstance(holder, dict):
            del holder[path[-1]]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(["kind", "format", "__class__", "arch", "x"])] = holder.pop(path[-1])
        elif kind == 2 and isinstance(holder[path[-1]], (int, float)) and not isinstance(holder[path[-1]], bool):
            holder[path[-1]] = holder[path[-1]] * rng.choice([-1, 0, 2, 10, 10**6, 10**12, 0.5])
        else:
            holder[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    return settings


def damage_folder(rng: random.Random, folder: Path) -> str:
    """One damage to a copy of the folder; returns its name."""
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    kind = rng.choice(
        ["json", "json", "json", "json text", "bytes", "bytes, signed", "swap", "swap, signed", "remove", "golden json"]
    )
    settings = folder / SETTINGS
    told = json.loads(settings.read_text())
    if kind == "json":
        settings.write_text(json.dumps(damage_json(rng, told)))
    elif kind == "json text":
        settings.write_bytes(damage_bytes(rng, settings.read_bytes()))
    elif kind == "golden json":
        file = folder / "golden" / "golden.json"
        file.write_text(json.dumps(damage_json(rng, json.loads(file.read_text()))))
    elif kind == "remove":
        rng.choice(files).unlink()
    else:
        one, two = rng.sample([file for file in files if file.name != SETTINGS], 2)
        one.write_bytes(two.read_bytes() if "swap" in kind else damage_bytes(rng, one.read_bytes()))
    if "signed" in kind or kind == "golden json":
        told["files"] = {name: facts_of((folder / name).read_bytes()) for name in told["files"]}
        settings.write_text(json.dumps(told))
    return kind


# ---------------------------------------------------------------------- runs and training folders


def make_run(folder: Path) -> Path:
    """A small run of two folds over two tones, with a test set; its competition is `run_competition(folder)`."""
    from specimg.experiments import cross_validate
    from specimg.training import Recipe

    for i in range(12):
        label = "high" if i % 2 else "low"
        sf.write(folder / f"{label}{i}.wav", sine(2000 if label == "high" else 300, 0.25 + 0.02 * (i % 3), 8000), 8000)
    run = cross_validate(
        run_competition(folder),
        Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)),
        "test_resnet",
        Recipe(epochs=1, freeze_epochs=0, lr=0.01),
        folds=2,
        out=folder / "run",
        loaders=dict(bs=4, size=16, cache=str(folder / "cache"), n_jobs=1, progress=False, num_workers=0),
        learner=dict(pretrained=False),
        log=None,
    )
    run.submission(folder / "submission.csv")
    return run.folder


def run_competition(folder: Path):
    """The competition of `make_run`."""
    import pandas as pd

    from specimg.competitions import BestLabels, Competition

    names = [f"{'high' if i % 2 else 'low'}{i}.wav" for i in range(12)]
    table = pd.DataFrame({"path": names[:8], "label": [name.rstrip("0123456789.wav") for name in names[:8]]})
    test = pd.DataFrame({"id": names[8:], "path": names[8:]})
    return Competition("two-tones", folder, table, metric="map@3", format=BestLabels(k=2), test=test)


def make_training(folder: Path):
    """(a learner of one linear layer, its training folder after one of two epochs)"""
    from fastai.vision.all import CancelFitException

    from specimg.training import fit

    learn = plain_learner()
    learn.add_cb(_stop_after_first(CancelFitException))
    with learn.no_bar(), learn.no_logging():
        fit(learn, TWO_EPOCHS, out=folder / "training")
    return folder / "training"


def plain_learner():
    """A learner that costs nothing."""
    from fastai.vision.all import CrossEntropyLossFlat, DataLoader, DataLoaders, Learner

    torch.manual_seed(0)
    items = [(torch.randn(8), torch.tensor(i % 2)) for i in range(24)]
    dls = DataLoaders(DataLoader(items[:16], bs=8), DataLoader(items[16:], bs=8))
    dls.c = 2
    return Learner(dls, torch.nn.Linear(8, 2), loss_func=CrossEntropyLossFlat())


def _stop_after_first(how):
    from fastai.vision.all import Callback

    class Stop(Callback):
        order = 80

        def before_epoch(self):
            if self.epoch == 1:
                raise how

    return Stop()


def damage_cells(rng: random.Random, text: str) -> str:
    """Some cells, rows or names of a csv replaced."""
    rows = [line.split(",") for line in text.splitlines()]
    for _ in range(rng.choice([1, 1, 2, 5])):
        row = rng.choice(rows)
        kind = rng.randrange(5)
        if kind == 0 and row:
            row[rng.randrange(len(row))] = str(rng.choice([*VALUES[:-1], *CELLS]))
        elif kind == 1 and row:
            row.pop()
        elif kind == 2:
            row.append(rng.choice(CELLS))
        elif kind == 3:
            rows.append(list(row))
        else:
            rows[0] = rng.sample(rows[0], len(rows[0]))
    return "\n".join(map(",".join, rows))


CELLS = ["", "/etc/passwd", "../../x.wav", "nan", "inf", "1e400", "9" * 5000, '"', "\x00", "a\x1b[2J", "high", "-1"]


def damage_npz(rng: random.Random, file: Path) -> None:
    """Predictions with other arrays, or another table."""
    with np.load(file) as kept:
        arrays = {name: kept[name] for name in kept}
    name = rng.choice([*sorted(arrays), "about", "about", "about"])
    if name == "about":
        about = damage_json(rng, json.loads(arrays["about"].tobytes()))
        if rng.random() < 0.3 and isinstance(about, dict) and isinstance(about.get("columns"), dict):
            column = about["columns"].get(rng.choice(["path", "picture"]))
            if isinstance(column, list) and column:
                column[0] = rng.choice(["/etc/passwd", "../../../x", "\x1b[2J", "a\x00b"])
        arrays["about"] = np.frombuffer(json.dumps(about).encode("utf-8", "surrogatepass"), np.uint8)
    else:
        shape = rng.choice([(0,), (1,), (3, 3), (8, 2), (2, 8), (4, 2, 1)])
        arrays[name] = np.full(
            shape, rng.choice([0, 1, 2, -1, np.nan, np.inf]), rng.choice(["f4", "f8", "i8", "c8", "U3"])
        )
    np.savez_compressed(file, **arrays)


def damage_checkpoint(rng: random.Random, file: Path) -> None:
    """A checkpoint with other entries, whose tensors are kept."""
    state = torch.load(file, weights_only=True)
    holders = [path for path in places(state) if path]
    path = rng.choice(holders)
    holder = state
    for key in path[:-1]:
        holder = holder[key]
    if rng.random() < 0.3 and isinstance(holder, dict):
        del holder[path[-1]]
    else:
        tensors = [torch.zeros(3), torch.zeros(1).expand(10**12), torch.zeros(2, 8, dtype=torch.int64)]
        holder[path[-1]] = rng.choice([*VALUES[:-1], *tensors])
    torch.save(state, file)


def damage_tree_of_files(rng: random.Random, folder: Path, mine: Path) -> str:
    """One damage to a copy of a run or a training folder; returns its name. Links lead to the folder `mine`."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and "classifier" not in file.parts)
    file = rng.choice(files)
    suffix = file.suffix
    kind = rng.choice(["entries", "entries", "entries", "bytes", "swap", "remove", "link", "folder", "nested"])
    if kind == "link":
        target = rng.choice([file, file.parent]) if file.parent != folder else file
        shutil.rmtree(target) if target.is_dir() else target.unlink()
        target.symlink_to(mine if rng.random() < 0.5 else mine / "precious.txt")
    elif kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind == "remove":
        file.unlink()
    elif kind == "swap":
        file.write_bytes(rng.choice(files).read_bytes())
    elif kind == "nested":
        file.write_text(rng.choice(["[", '{"a":', "a = [", "a."]) * rng.choice([200, 100_000]))
    elif kind == "bytes" or suffix == ".pth" and rng.random() < 0.1:
        file.write_bytes(damage_bytes(rng, file.read_bytes()))
    elif suffix == ".json":
        file.write_text(json.dumps(damage_json(rng, json.loads(file.read_text()))))
    elif suffix == ".toml":
        lines = file.read_text().splitlines()
        at = rng.randrange(len(lines))
        name = lines[at].partition("=")[0]
        lines[at] = (
            f"{name}= {rng.choice(['1', '-1', '1e9', '10000000000', 'nan', '[]', 'true', chr(34) * 2, '{a = 1}'])}"
        )
        file.write_text("\n".join(lines))
    elif suffix == ".csv":
        file.write_text(damage_cells(rng, file.read_text()), encoding="utf-8", errors="surrogatepass")
    elif suffix == ".npz":
        damage_npz(rng, file)
    elif suffix == ".pth":
        damage_checkpoint(rng, file)
    return f"{kind} of {suffix or file.name}"


def guarded(work: Path) -> Path:
    """A folder of the user's, which must stay as it is."""
    mine = work / "mine"
    mine.mkdir(exist_ok=True)
    for name in ("precious.txt", "last.pth", "lock", "oof.npz"):
        (mine / name).write_text("mine")
    return mine


def is_untouched(mine: Path) -> bool:
    there = {file.name: file.read_text() for file in mine.iterdir()}
    return there == dict.fromkeys(["precious.txt", "last.pth", "lock", "oof.npz"], "mine")


def _use_run(folder: Path, competition) -> None:
    """All that reads a run, and the call that would go on with it."""
    from specimg.experiments import Run
    from specimg.experiments.storage import is_new
    from specimg.experiments.task import Task
    from specimg.reports.page_source import read_subject

    run = Run.open(folder)
    repr(run), run.score, run.scores, run.oof, run.history, run.test_probs, run.pseudo_labels(0.5)
    run.keep_score()
    run.submission(folder.parent / "submission.csv")
    read_subject(folder)
    is_new(folder, run.config, Task.of(competition), None)


def try_run(rng: random.Random, whole: Path, work: Path) -> tuple[str, str]:
    """(what was done, what came of it)"""
    folder, mine = work / "damaged run", guarded(work)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    kind = damage_tree_of_files(rng, folder, mine)
    try:
        _use_run(folder, run_competition(whole.parent))
        result = "answered"
    except ValueError:
        result = "refused"
    assert is_untouched(mine), "it reached out of its folder"
    return f"run: {kind}", result


def try_training(rng: random.Random, whole: Path, work: Path) -> tuple[str, str]:
    """(what was done, what came of it)"""
    from specimg.reports.page_source import read_subject
    from specimg.training import fit, load_training, read_history

    folder, mine = work / "damaged training", guarded(work)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    kind = damage_tree_of_files(rng, folder, mine)
    learn, result = plain_learner(), "answered"
    for use in (
        lambda: read_history(folder),
        lambda: load_training(learn, folder),
        lambda: read_subject(folder),
        lambda: fit(learn, TWO_EPOCHS, out=folder),
    ):
        try:
            with learn.no_bar(), learn.no_logging():
                use()
        except ValueError:
            result = "refused"
    assert is_untouched(mine), "it reached out of its folder"
    return f"training: {kind}", result


# ---------------------------------------------------------------------- trees

NAMES = [
    "../../../mine of trees/notes.txt",
    "/etc/passwd",
    "images",
    ".",
    "..",
    "a\0b",
    "x" * 5000,
    "a/./b.png",
    "high0.wav.png",
]
SCHEMAS = [
    "ALTER TABLE pictures ADD COLUMN colour TEXT",
    "CREATE VIEW v AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
    "CREATE TRIGGER t AFTER INSERT ON pictures BEGIN DELETE FROM pictures; END",
    "DROP TABLE pictures",
    "CREATE INDEX i ON pictures (path)",
]


def make_tree(work: Path) -> Path:
    """A tree of the recordings beside a classifier, a few of them as stacks of two planes."""
    sounds = work / "sounds"
    sounds.mkdir()
    for i in range(5):
        sf.write(sounds / f"high{i}.wav", sine(2000, 0.25, 8000), 8000)
    mel = Mel(n_mels=16, n_fft=256, hop_length=64)
    return render_tree(sounds, Renderer(Stack(mel, mel)), work / "trees", n_jobs=1, progress=False).root


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def damage_picture(rng: random.Random, png: bytes) -> bytes:
    """What a picture says of itself, or the size in its header, changed; every checksum is right."""
    (size,) = struct.unpack(">I", png[33:37])
    header, text, rest = png[16:29], png[41 : 41 + size], png[45 + size :]
    if rng.random() < 0.3:
        sides = [rng.choice([0, 1, 2**16, 2**31, 2**32 - 1, rng.randrange(500)]) for _ in range(2)]
        header = struct.pack(">II", *sides) + header[8:]
    else:
        facts = damage_json(rng, json.loads(text.partition(b"\0")[2]))
        text = b"specimg\0" + json.dumps(facts).encode()
    return png[:8] + _chunk(b"IHDR", header) + _chunk(b"tEXt", text) + rest


def damage_manifest(rng: random.Random, path: Path) -> None:
    """A cell of the manifest, or its table, changed."""
    db = sqlite3.connect(path)
    column = rng.choice(["path", "picture", "status", "reason", "size", "sr", "duration", "start"])
    value = rng.choice([*NAMES, None, -1, 2**62, 1.5, b"\xff", "drawn", "gone", 1e308])
    with contextlib.suppress(sqlite3.Error), db:
        if rng.random() < 0.3:
            db.execute(rng.choice(SCHEMAS))
        else:
            db.execute(f"UPDATE pictures SET {column} = ? WHERE picture = 'high{rng.randrange(5)}.wav.png'", [value])
    db.close()


def damage_tree(rng: random.Random, folder: Path, mine: Path) -> str:
    """One damage to a copy of a tree; `mine` is a folder that links lead to. Returns its name."""
    pictures = sorted((folder / "images").iterdir())
    one, two = rng.sample(pictures, 2)
    file = rng.choice([folder / "manifest.db", folder / "renderer.json", one])
    kind = rng.choice(["bytes", "json", "manifest", "manifest", "picture", "picture", "link", "node", "swap", "remove"])
    if kind == "bytes":
        file.write_bytes(damage_bytes(rng, file.read_bytes()))
    elif kind == "json":
        settings = folder / "renderer.json"
        settings.write_text(json.dumps(damage_json(rng, json.loads(settings.read_text()))))
    elif kind == "manifest":
        damage_manifest(rng, folder / "manifest.db")
    elif kind == "picture":
        one.write_bytes(damage_picture(rng, one.read_bytes()))
    elif kind == "swap":
        one.write_bytes(rng.choice([two, folder / "renderer.json"]).read_bytes())
    elif kind == "remove":
        shutil.rmtree(folder / "images") if rng.random() < 0.2 else file.unlink()
    else:
        place = rng.choice([file, folder / "images", folder / "manifest.db-wal", folder / "manifest.db-journal"])
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        if kind == "link":
            place.symlink_to(rng.choice([mine, mine / "notes.txt", Path("/dev/zero")]))
        else:
            rng.choice([os.mkfifo, os.mkdir])(place)
    return kind


def _use_tree(folder: Path) -> None:
    """Everything that reads or writes a tree."""
    tree = SpecTree.open(folder)
    for row in tree.table.itertuples():
        with contextlib.suppress(ValueError, FileNotFoundError):
            file = tree.picture(row.path)
            FitSize((16, 16), "crop", seconds=0.2, windows=2)(SpecImage.create(file))
            assert np.isfinite(read_picture(file)[1].times).all()
            rows = describe(file).frequencies
            assert rows is None or len(rows)
    for call in (tree.verify, tree.gc, lambda: tree.verify(drop=True)):
        call()


def try_tree(rng: random.Random, whole: Path, work: Path) -> tuple[str, str]:
    """(what was done, what came of it)"""
    folder, mine, sounds = work / "damaged" / whole.name, work / "mine of trees", whole.parents[1] / "sounds"
    shutil.rmtree(folder.parent, ignore_errors=True)
    shutil.copytree(whole, folder)
    mine.mkdir(exist_ok=True)
    for name in ("notes.txt", "high0.wav.png"):
        (mine / name).write_bytes(b"mine")
        os.utime(mine / name, (0, 0))
    kind, result = damage_tree(rng, folder, mine), "answered"
    renderer = SpecTree.open(whole).renderer
    for use in (
        lambda: _use_tree(folder),
        lambda: render_tree(sounds, renderer, folder.parent, n_jobs=1, progress=False),
    ):
        try:
            use()
        except ValueError:
            result = "refused"
    assert {file.name: file.read_bytes() for file in mine.iterdir()} == {
        "notes.txt": b"mine",
        "high0.wav.png": b"mine",
    }, "a file outside was touched"
    return f"tree: {kind}", result


# ---------------------------------------------------------------------- trying


def try_folder(rng: random.Random, whole: Path, work: Path) -> tuple[str, str]:
    """(what was done, what came of it)"""
    folder = work / "damaged"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)
    kind = damage_folder(rng, folder)
    try:
        clf = load_classifier(folder)
        clf.predict([(np.zeros(2400, np.float32), 8000), folder / "golden" / "0-high.wav"], progress=False)
        check_classifier(folder)
    except ValueError:
        return f"folder: {kind}", "refused"
    return f"folder: {kind}", "answered"


def try_sound(rng: random.Random, whole: list[bytes], work: Path) -> tuple[str, str]:
    """(what was done, what came of it)"""
    if rng.random() < 0.3:
        name, magic = rng.choice(sorted(MAGICS.items()))
        data, kind = magic + rng.randbytes(rng.choice([0, 1, 40, 400, 5000])), f"random {name}"
    else:
        data, kind = damage_bytes(rng, rng.choice(whole)), "damaged"
    path = work / "sound.wav"
    path.write_bytes(data)
    audio = rng.choice(
        [Audio(), Audio(sr=4000), Audio(sr=16000, duration=0.5, trim_db=40, normalize="peak"), Audio(channel=1)]
    )
    result = "refused"
    try:
        y, _ = read_audio(path, audio)
        assert y.dtype == np.float32 and np.isfinite(y).all(), "samples that are none"
        prepare(Renderer(Mel(n_mels=16, n_fft=256, hop_length=64)), path)
        result = "answered"
    except AudioError:
        pass
    except ValueError as exc:  # of drawing or of Audio, as for samples too few for a filter
        result = f"refused otherwise: {type(exc).__name__}"
    return f"sound: {kind}", result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="+", choices=["classifier", "run", "sound", "training", "tree"], help="default all"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    sys.stderr = os.fdopen(os.dup(2), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders of mp3 write a line for every damaged frame
    counts, slowest, at, began = Counter(), (0.0, ""), args.seed, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        makers = {
            "classifier": make_classifier,
            "run": make_run,
            "training": make_training,
            "sound": make_sounds,
            "tree": make_tree,
        }
        tries = {
            "classifier": try_folder,
            "run": try_run,
            "training": try_training,
            "sound": try_sound,
            "tree": try_tree,
        }
        wholes = {}
        for name in args.only or makers:
            (work / name).mkdir()
            wholes[name] = makers[name](work / name)
        turns = [
            name
            for name in ("sound", "run", "tree", "sound", "classifier", "tree", "sound", "training")
            if name in wholes
        ]
        trace = work / "it ran"
        os.environ["SPECIMG_TRACE"] = str(trace)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        resource.setrlimit(
            resource.RLIMIT_AS, (LIMIT + 2**35, resource.RLIM_INFINITY)
        )  # torch alone maps tens of gigabytes
        while time.perf_counter() - began < args.seconds:
            rng, started = random.Random(at), time.perf_counter()
            try:
                name = turns[at % len(turns)]
                kind, result = tries[name](rng, wholes[name], work)
            except BaseException as exc:
                if isinstance(exc, KeyboardInterrupt):
                    break
                traceback.print_exc()
                print(f"input {at}: {type(exc).__name__}; --seed {at} --seconds 1 repeats it")
                return 1
            took = time.perf_counter() - started
            slowest = max(slowest, (took, f"input {at}, {kind}"))
            counts[f"{kind}: {result}"] += 1
            at += 1
            if took > SLOW:
                print(f"input {at - 1} took {took:.0f} s ({kind})")
                return 1
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, n in sorted(counts.items()):
        print(f"{n:8d}  {name}")
    print(
        f"{sum(counts.values())} inputs in {time.perf_counter() - began:.0f} s from seed {args.seed}: only ValueErrors; "
        f"memory {base // 1024} MB before, {peak // 1024} MB at the most; slowest {slowest[0]:.1f} s ({slowest[1]})"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
