"""What does each defect of the tutorial's picture cost? The same network, weights and training on pictures with one defect each.

    python benchmarks/tutorial_defects.py --data ../shared/data           # train what is missing, then print the table
    python benchmarks/tutorial_defects.py --show                          # print the table of what has been trained
    python benchmarks/tutorial_defects.py --pictures docs/images/tutorial_defects.png

Tutorials draw `librosa.display.specshow` into a figure, save it with its margins, and hand the 640 x 480 file to an image
classifier that crops its middle and flips it. Here each of these is put back alone:

    ours              the grey picture of `sp.Renderer`, squeezed to a square; no augmentation
    margins           the picture within the white margins of a figure
    crop              the middle 86 % of the clip only, as a square out of a figure of 4 : 3 cuts it
    colours           matplotlib's viridis in place of grey
    resampling        enlarged to 640 x 480 without interpolation, and kept as a JPEG of quality 75
    flips             fastai's aug_transforms() for photographs: flips, rotation, zoom, warp, light
    ImageNet stats    ImageNet's mean and std for a network that was trained on others (0.5 and 0.5)
    label order       the network of `ours`, its classes named in the order of the folder listing, not sorted
    tutorial          all of it as printed: figure, colours, fastai's Resize that crops, aug_transforms()

Data, groups and training are those of benchmarks/transfer.py: tf_efficientnet_lite0 with ImageNet weights, 1 + 7 epochs,
pictures of 64 x 64, reported groups. One row a training in `benchmarks/results/tutorial_defects.csv`; a second call goes on.
"""

from __future__ import annotations

import argparse
import csv
import io
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    CategoryBlock,
    ColReader,
    ColSplitter,
    DataBlock,
    DataLoaders,
    ImageBlock,
    PILImage,
    PILImageBW,
    Resize,
    ResizeMethod,
    aug_transforms,
)
from PIL import Image
from transfer import ARCH, LOOKS, RESULTS, SHORT, SPLITS, clips, interval, judge, remember, share_wrong

import specimg as sp

FILE = RESULTS / "tutorial_defects.csv"
SIDE, BATCH = 64, 16
FIGURE = (640, 480)  # pixels of matplotlib's default figure
AXES = (80, 58, 576, 427)  # left, top, right, bottom of the axes in it
IMAGENET = (0.449, 0.226)  # mean and std, averaged over the colours for one channel
COLUMNS = "name data seed error hits seconds".split()


# ---------------------------------------------------------------- pictures


def margins(picture: Image.Image) -> Image.Image:
    """The picture where a figure has its axes, on white."""
    left, top, right, bottom = AXES
    figure = Image.new("L", FIGURE, 255)
    figure.paste(picture.resize((right - left, bottom - top), Image.Resampling.NEAREST), (left, top))
    return figure


def middle(picture: Image.Image) -> Image.Image:
    """The middle 86 % of the time axis."""
    cut = round(0.07 * picture.width)
    return picture.crop((cut, 0, picture.width - cut, picture.height))


def colours(picture: Image.Image) -> Image.Image:
    """viridis, as specshow's figures have it or a map like it."""
    import matplotlib

    return Image.fromarray(matplotlib.colormaps["viridis"](np.asarray(picture), bytes=True)[..., :3])


def resampled(picture: Image.Image) -> Image.Image:
    """Enlarged pixel by pixel and compressed with losses."""
    stream = io.BytesIO()
    picture.resize(FIGURE, Image.Resampling.NEAREST).save(stream, "JPEG", quality=75)
    return Image.open(stream)


def figure(file: Path) -> Image.Image:
    """The tutorial's picture of a recording, white margins and colours included."""
    import librosa
    import librosa.display
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    y, sr = librosa.load(file, sr=None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # clips shorter than a window
        mel = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, n_mels=128), ref=np.max)
    drawn, stream = plt.figure(), io.BytesIO()
    librosa.display.specshow(mel, sr=sr)
    plt.axis("off")
    plt.savefig(stream, dpi=100)
    plt.close(drawn)
    return Image.open(stream).convert("RGB")


def same(picture: Image.Image) -> Image.Image:
    """No defect."""
    return picture


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "ours": same,
    "margins": margins,
    "crop": middle,
    "colours": colours,
    "resampling": resampled,
    "flips": same,
    "ImageNet stats": same,
}
NAMES = (*CHANGES, "label order", "tutorial")


def draw(name: str, data: str, file: Path) -> Image.Image:
    """The picture of a recording with a defect."""
    if name == "tutorial":
        return figure(file)
    return CHANGES[name](Image.fromarray(np.asarray(LOOKS[data]["mel"](file))))


def draw_all(name: str, data: str, table: pd.DataFrame, root: Path, folder: Path) -> list[Path]:
    """PNGs of all clips with a defect; what is there stays."""
    files = [folder / data / name / f"{path.replace('/', '_')}.png" for path in table["path"]]
    (folder / data / name).mkdir(parents=True, exist_ok=True)
    for path, file in zip(table["path"], files):
        if not file.exists():
            draw(name, data, root / path).save(file)
    return files


# ---------------------------------------------------------------- one training


def make_loaders(name: str, table: pd.DataFrame, files: list[Path]) -> DataLoaders:
    """fastai's own loaders, so that all pictures go the same way."""
    colour = name in ("colours", "tutorial")
    block = DataBlock(
        (ImageBlock(PILImage if colour else PILImageBW), CategoryBlock(vocab=sorted(set(table["label"])))),
        get_x=ColReader("file"),
        get_y=ColReader("label"),
        splitter=ColSplitter("held_out"),
        item_tfms=Resize(SIDE, ResizeMethod.Crop if name == "tutorial" else ResizeMethod.Squish),
        batch_tfms=aug_transforms() if name in ("flips", "tutorial") else [],
    )
    dls = block.dataloaders(table.assign(file=[str(file) for file in files]), bs=BATCH, num_workers=0)
    if name != "tutorial":  # whose crop in training is at random
        remember(dls)
    return dls


def train(name: str, data: str, seed: int, folder: Path, pictures: Path) -> dict:
    """The figures of one training on the reported groups."""
    table, root = clips(data, "report", folder)
    files = draw_all(name, data, table, root, pictures)
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dls = make_loaders(name, table, files)
        stats = {"stats": IMAGENET} if name == "ImageNet stats" else {}
        learn = sp.spec_learner(dls, ARCH, weights=folder / "weights" / f"{ARCH}.safetensors", seed=seed, **stats)
    learn.model.to(memory_format=torch.channels_last)
    with learn.no_logging(), learn.no_bar():
        sp.fit(learn, sp.Recipe(seed=seed, **SHORT.recipe))
        error, hits, _ = judge(learn)
    rows = [{"name": name, "error": error, "hits": hits}]
    if name == "ours":  # the same answers, named wrongly
        probs, targets = learn.get_preds(ds_idx=1)
        listed = {label: i for i, label in enumerate(dict.fromkeys(table["label"]))}
        order = torch.tensor([listed[label] for label in dls.vocab])
        right = (probs.argmax(1) == order[targets]).int().tolist()
        rows.append({"name": "label order", "error": 1 - np.mean(right), "hits": "".join(map(str, right))})
    return [{"data": data, "seed": seed, "seconds": round(time.perf_counter() - began, 1), **row} for row in rows]


def run(folder: Path, pictures: Path, seeds: list[int], names: list[str]) -> None:
    """Train what the file of results lacks."""
    FILE.parent.mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        for data in SPLITS:
            for name in names:
                done = set(zip(*read_rows()[["name", "data", "seed"]].to_numpy().T)) if FILE.exists() else set()
                if (name, data, seed) in done or name == "label order":
                    continue
                found, new = train(name, data, seed, folder, pictures), not FILE.exists()
                with open(FILE, "a", newline="") as stream:
                    writer = csv.DictWriter(stream, COLUMNS)
                    if new:
                        writer.writeheader()
                    writer.writerows(found)
                for row in found:
                    print(time.strftime("%H:%M:%S"), data, seed, row["name"], f"error {row['error']:.3f}", flush=True)


# ---------------------------------------------------------------- tables and pictures


def read_rows() -> pd.DataFrame:
    """What has been trained so far."""
    return pd.read_csv(FILE, dtype={"hits": str})


def show() -> None:
    """Print error and cost of each defect, with 95 % intervals over clips."""
    rows = read_rows()
    for data in SPLITS:
        for name in NAMES:
            mine = rows[(rows["data"] == data) & (rows["name"] == name)].set_index("seed")
            base = rows[(rows["data"] == data) & (rows["name"] == "ours")].set_index("seed")
            seeds = mine.index.intersection(base.index)
            if not len(seeds):
                continue
            wrong = share_wrong(list(mine.loc[seeds, "hits"]))
            error = "{:.3f} ({:.3f} to {:.3f})".format(*interval(wrong))
            cost = "{:+.3f} ({:+.3f} to {:+.3f})".format(*interval(wrong - share_wrong(list(base.loc[seeds, "hits"]))))
            print(f"{data:7} {name:15} {error}  {'' if name == 'ours' else cost}  seeds {len(seeds)}")


def plot(file: Path, folder: Path) -> None:
    """One drum hit, as each training sees it."""
    import matplotlib.pyplot as plt

    table, root = clips("drums", "report", folder)
    path = root / table.loc[table["label"] == "crash", "path"].iloc[0]
    names = ("ours", "margins", "crop", "colours", "resampling", "tutorial")
    drawn, axes = plt.subplots(1, len(names), figsize=(2 * len(names), 2.3), layout="constrained")
    for ax, name in zip(axes, names):
        picture = draw(name, "drums", path)
        if name == "tutorial":
            picture = picture.crop((80, 0, 560, 480))  # as Resize does in validation
        small = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        ax.imshow(small, cmap="gray", vmin=0, vmax=255)
        ax.set_title(name)
        ax.set_xticks([])
        ax.set_yticks([])
    drawn.savefig(file, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="holds drums, fsdd and weights")
    parser.add_argument("--drawn", type=Path, default=Path("runs/tutorial_defects"), help="folder for the PNGs")
    parser.add_argument("--only", nargs="*", choices=NAMES, default=list(NAMES))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    parser.add_argument("--show", action="store_true", help="train nothing, print the table")
    parser.add_argument("--pictures", type=Path, help="train nothing, draw what the trainings see into this file")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    if args.pictures:
        plot(args.pictures, args.data)
        return
    if not args.show:
        run(args.data, args.drawn, args.seeds, args.only)
    show()


if __name__ == "__main__":
    main()
