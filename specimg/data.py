"""Trees and labels become fastai DataLoaders.

    dls = SpecDataLoaders.from_csv("freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label",
                                   renderer=Renderer(Mel(), Picture(), Audio(sr=32000)), cache="cache")
    dls.show_batch()              # with each clip's own seconds and hertz
    dls.renderer, dls.tree        # how the pictures were drawn, and where they lie

Missing pictures are drawn first; then everything is plain fastai: a DataBlock of `SpecBlock` and `CategoryBlock` (or
`MultiCategoryBlock`) over a table with one row a clip. `SpecDL` is fastai's loader with three things added: it remembers which
clips a batch holds, draws them on real axes, and can sample by weight.

Clips differ in length, a batch may not. `method` says how they are brought to one `size`: "squish" squeezes the whole clip,
"pad" keeps the time scale and pads, "crop" shows a random window of `seconds` in training and several evenly spread ones,
averaged, in validation.
"""

from __future__ import annotations

import math
import numbers
import os
import struct
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
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
    MultiCategoryBlock,
    OneHotEncode,
    Transform,
    TransformBlock,
    defaults,
)
from PIL import Image

from .audio import find_audio
from .augment import Augment, SpecAugment
from .corrections import apply_corrections
from .folds import split_valid
from .images import FitSize, Samples, SpecImage, TensorSpec, check_method
from .labels import (
    check_labels, clip_keys, examples, is_multilabel, labels_from_csv, labels_from_folders, labels_from_names, sample_weights,
)
from .loader import SpecBlock, SpecDL, SpecFacts
from .picture import PictureInfo, describe
from .plan import name_below
from .render import Renderer, SpecTree, render_tree
from .variants import by_name

__all__ = ["SpecImage", "TensorSpec", "SpecBlock", "SpecDL", "SpecDataLoaders", "list_sources"]

MOST_WINDOWS = 8          # of one clip in validation
WIDEST = 4                # times its height: a default size is no wider


def _picture_size(path: str) -> tuple[int, int]:
    """(height, width) in pixels of a PNG, from its first 24 bytes."""
    with open(path, "rb") as file:
        head = file.read(24)
    width, height = struct.unpack(">II", head[16:24])
    return height, width


def _common_size(pictures: Iterable[str], info: PictureInfo, seconds: float | None) -> tuple[int, int]:
    """The size that pictures are brought to by default: their own where they all have one, else as wide as the median one.

    With `seconds` the width is as many columns as they last. Between the height and four times the height, so that neither one
    long recording nor many clicks decide.
    """
    if seconds is not None:
        return info.height, max(1, round(seconds * info.width / (info.span[1] - info.span[0])))
    widths = [_picture_size(path)[1] for path in pictures]
    if len(set(widths)) == 1:
        return info.height, widths[0]
    return info.height, int(np.clip(np.median(widths), info.height, WIDEST * info.height))


def _blank_levels(info: PictureInfo) -> tuple[float, ...]:
    """The level, 0 to 1, of "nothing there" in each channel as the network sees it: mid-grey where a range is even about 0, else black."""
    if info.picture.colormap:
        import matplotlib

        return tuple(float(level) for level in matplotlib.colormaps[info.picture.colormap](0.0)[:3])
    declared = info.representation.ranges
    return tuple(127.5 / 255 if r is not None and r[0] == -r[1] and info.picture.low is None else 0.0 for r in declared)


def _existing(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """The rows whose recording is there; what is missing is said by number and example, and a table without any is an error."""
    there = np.array([os.path.lexists(root / path) for path in table["path"]], bool)
    if not there.any():
        raise ValueError(f"none of the {len(table)} names in the table is a file below {str(root)!r} (the first is {table['path'].iloc[0]!r}); "
                         f"check folder= and suff=")
    if not there.all():
        missing = table["path"][~there]
        warnings.warn(f"{len(missing)} of {len(table)} rows have no recording below {str(root)!r} ({examples(missing)}) and are left out",
                      stacklevel=5)
    return table[there].reset_index(drop=True)


def _without_rows(table: pd.DataFrame, root: Path) -> None:
    """Say how many recordings of the folder no row of the table names."""
    unnamed = sorted(set(find_audio(root)) - set(table["path"]))
    if unnamed:
        warnings.warn(f"{len(unnamed)} recordings below {str(root)!r} have no row in the table ({examples(unnamed)}); they are not used",
                      stacklevel=5)


def label_table(df: pd.DataFrame, path, folder, corrections=None, **columns) -> pd.DataFrame:
    """The label table that `columns` of `df` describe, of the recordings that are there below `path/folder`.

    corrections : as in `apply_corrections`, where there are any
    columns : as in `labels_from_csv`

    Warns of rows without a recording and, where a folder was named, of recordings without a row.
    """
    root = Path(path) / folder
    table = _existing(labels_from_csv(df, folder=root, **columns), root)
    if folder:
        _without_rows(table, root)
    return table if corrections is None else apply_corrections(table, corrections, depth=3)


def find_pictures(table: pd.DataFrame, tree: SpecTree) -> tuple[np.ndarray, list[str], list[str]]:
    """(bool (rows,): which rows have a picture; the pictures of these, absolute paths; for each of the others why it has none)."""
    rows = dict(zip(clip_keys(tree.originals), tree.originals.itertuples()))
    found = [rows.get(key) for key in clip_keys(table)]
    drawn = np.array([row is not None and row.status == "drawn" for row in found], bool)
    pictures = [str(tree.images / row.picture) for row, good in zip(found, drawn) if good]
    reasons = [f"{path}: {row.reason if row else 'is not in the tree'}" for path, row, good in zip(table["path"], found, drawn) if not good]
    return drawn, pictures, reasons


def _with_pictures(table: pd.DataFrame, tree: SpecTree) -> pd.DataFrame:
    """`table` with the column `picture` (absolute paths); rows without one are left out, with a warning that says why."""
    drawn, pictures, reasons = find_pictures(table, tree)
    if not drawn.any():
        raise ValueError(f"none of the {len(table)} clips has a picture in {str(tree.root)!r} ({examples(reasons, mark='; ')})")
    if reasons:
        warnings.warn(f"{len(reasons)} of {len(table)} clips have no picture and are left out ({examples(reasons, mark='; ')})", stacklevel=4)
    return table[drawn].assign(picture=pictures).reset_index(drop=True)


def _drawn(table: pd.DataFrame, root: Path, renderer: Renderer, cache, n_jobs: int, progress: bool, variants=()) -> SpecTree:
    """The tree that holds a picture for each row, and one more for each variant."""
    segments = table[["path", "start", "end"]] if "start" in table else None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ of \d+ clips could not be drawn")   # `_with_pictures` says so, at every call
        return render_tree(table["path"], renderer, cache, root=root, segments=segments, variants=variants, n_jobs=n_jobs, progress=progress)


def _labels_of(tree: SpecTree) -> pd.DataFrame:
    """What was drawn, labelled with the name of the folder it lies in."""
    table = tree.originals
    table = table[table["status"] == "drawn"].reset_index(drop=True)
    times = ["start", "end"] if table["end"].notna().any() else []
    return table[["path", *times]].assign(label=table["path"].map(lambda path: Path(path).parent.name))


def _split(table: pd.DataFrame, valid_pct: float, fold: int | None, seed: int | None) -> pd.Series:
    """Which rows validate: the given column or the given fold, else a stratified (and grouped) random share."""
    if "is_valid" in table and fold is not None:
        raise ValueError(f"a column of truth values and fold={fold} both say what is held out; give valid_col or fold, not both")
    if "is_valid" in table:
        return table["is_valid"].astype(bool)
    if fold is not None:
        if "fold" not in table:
            raise ValueError(f"fold={fold} needs a column 'fold' in the table; specimg.add_folds makes one")
        held_out = table["fold"] == fold
        if not held_out.any() or held_out.all():
            raise ValueError(f"fold={fold} holds {held_out.sum()} of {len(table)} clips; the folds are {sorted(set(table['fold']))}")
        return held_out
    return split_valid(table, valid_pct, group="group" if "group" in table else None, seed=seed or 0)


@dataclass(frozen=True)
class Sides:
    """The clips of both sides of a split, and the labels that a network is to know."""

    clips: pd.DataFrame   # with the column is_valid
    vocab: list[str]
    multi: bool           # several labels a clip

    @property
    def train(self) -> pd.DataFrame:
        return self.clips[~self.clips["is_valid"]]

    @property
    def valid(self) -> pd.DataFrame:
        return self.clips[self.clips["is_valid"]]

    @property
    def held_out(self) -> pd.DataFrame:
        """What is looked at without training on it; training's clips where nothing is held out."""
        return self.valid if len(self.valid) else self.train


def _with_variants(sides: Sides, tree: SpecTree, variants) -> Sides:
    """Training's clips once more for each variant, with the column `variant`; what is held out stays as it is.

    ValueError where the tree holds no picture of a variant; a warning counts clips that lack one.
    """
    drawn = tree.table[tree.table["status"] == "drawn"]
    picture = dict(zip(zip(drawn["variant"], clip_keys(drawn)), drawn["picture"]))
    more = []
    for name in by_name(variants):
        found = [picture.get((name, key)) for key in clip_keys(sides.train)]
        there = np.array([file is not None for file in found], bool)
        if not there.any():
            raise ValueError(f"the tree {str(tree.root)!r} holds no variant {name!r} of the clips of training; draw it by render_tree(..., variants=...)")
        if not there.all():
            warnings.warn(f"{(~there).sum()} of {len(found)} clips of training have no picture of the variant {name} "
                          f"({examples(sides.train['path'][~there])})", stacklevel=5)
        more.append(sides.train[there].assign(variant=name, picture=[str(tree.images / file) for file in found if file is not None]))
    return replace(sides, clips=pd.concat([sides.clips.assign(variant=""), *more], ignore_index=True)) if more else sides


def deal_sides(table: pd.DataFrame, valid_pct: float, fold: int | None, seed: int | None, vocab) -> Sides:
    """Split a label table; the arguments are those of `SpecDataLoaders.from_df`. ValueError where there is nothing to tell apart."""
    sides = Sides(table.assign(is_valid=_split(table, valid_pct, fold, seed)), [], is_multilabel(table))
    vocab = check_labels(sides.train, sides.valid, vocab)
    if len(vocab) < (1 if sides.multi else 2):
        raise ValueError(f"training holds {f'the label {vocab[0]!r} only' if vocab else 'no label'}; a classifier needs two")
    return replace(sides, vocab=vocab)


def _height_width(size) -> tuple[int, int]:
    """(height, width) from one number or two."""
    sides = [size, size] if isinstance(size, numbers.Integral) else list(size) if isinstance(size, (tuple, list)) else []
    if len(sides) != 2 or not all(isinstance(side, numbers.Integral) and side >= 1 for side in sides):
        raise ValueError(f"size={size!r}: give pixels, one whole number or (height, width)")
    return int(sides[0]), int(sides[1])


def _weights(train: pd.DataFrame, balance: bool, shuffle: bool) -> list[float] | None:
    """How often each clip of training is drawn, against the others; None is each once."""
    if not balance and "weight" not in train:
        return None
    if not shuffle:
        raise ValueError("weights draw clips by chance; leave out shuffle=False, or weight_col and balance")
    weights = sample_weights(train) if balance else train["weight"]
    if not weights.any():
        raise ValueError("every clip of training has weight 0, so that none could be drawn; give some a larger weight")
    return weights.tolist()


def _batch_size(bs: int, n_train: int) -> int:
    """`bs`, or fewer where training has fewer clips: fastai would drop the one short batch and train on nothing, in silence."""
    if bs < 2:
        raise ValueError(f"bs={bs}: batch normalisation needs at least 2 clips a batch")
    if n_train < 2:
        raise ValueError(f"{n_train} clip{'s are' if n_train == 0 else ' is'} left for training; at least 2 are needed")
    if n_train < bs:
        warnings.warn(f"only {n_train} clips to train on, fewer than bs={bs}; bs={n_train} is used", stacklevel=6)
    return min(bs, n_train)


def covering_windows(longest: float, seconds: float) -> int:
    """How many windows of `seconds` a clip is looked at through where it is not trained on: as many as cover the longest, 8 at most."""
    return int(np.clip(math.ceil(longest / seconds - 0.01), 1, MOST_WINDOWS))


def _longest(pictures: Iterable[str]) -> float:
    """Seconds of the longest picture."""
    return max(info.span[1] - info.span[0] for info in map(describe, pictures))


def _augmentation(augment, info: PictureInfo) -> list[Transform]:
    if augment is None:
        return []
    if augment == "default":
        augment = Augment()
    if not isinstance(augment, Augment):
        raise ValueError(f"augment={augment!r}: give 'default', None or an Augment(...)")
    return [SpecAugment(augment, _blank_levels(info))]


class SpecDataLoaders(DataLoaders):
    """fastai DataLoaders over the pictures of recordings, which are drawn where they are missing.

    Every `from_...` takes the arguments of `from_df`. Besides fastai's own attributes: `renderer`, `tree`, `n_channels`,
    `size` (height, width), `is_multi`, and `clips`, a table with one row a clip.
    """

    reads = "picture"   # the column of `clips` that items are read from

    @property
    def facts(self) -> SpecFacts:
        """What all loaders know of the pictures."""
        return self.loaders[0].facts

    @property
    def renderer(self) -> Renderer | None:
        """How the pictures were drawn."""
        return self.facts.renderer

    @property
    def tree(self) -> SpecTree | None:
        """Where the pictures lie."""
        return self.facts.tree

    @property
    def n_channels(self) -> int:
        """Channels of a picture."""
        return self.facts.n_channels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels that the network sees."""
        return self.facts.size

    @property
    def is_multi(self) -> bool:
        """May a clip carry several labels?"""
        return isinstance(self.loaders[0].dataset.tls[1].tfms.fs[-1], OneHotEncode)

    @property
    def clips(self) -> pd.DataFrame:
        """Training's and validation's clips, one row each, `is_valid` says which."""
        return pd.concat([dl.clips.assign(is_valid=bool(i)) for i, dl in enumerate(self.loaders[:2])], ignore_index=True)

    @classmethod
    def from_df(cls, df: pd.DataFrame, path=".", *, folder="", fn_col="path", label_col="label", label_delim=None, suff="",
                start_col=None, end_col=None, group_col=None, weight_col=None, balance=False, valid_pct=0.2, valid_col=None,
                fold=None, fold_col="fold", seed=None, vocab=None, corrections=None, renderer=None, variants=(), cache=None, bs=64, val_bs=None,
                size=None, method="squish", seconds=None, windows=None, augment="default", item_tfms=None, batch_tfms=None, num_workers=None, device=None,
                shuffle=True, n_jobs=-1, progress=True) -> SpecDataLoaders:
        """DataLoaders from a table with one row a recording, or a row for each window of one.

        Parameters
        ----------
        df, path, folder : names in `fn_col` (with `suff` added) are below `path/folder`
        label_delim : what parts the labels of one cell; makes it a multi-label task
        start_col, end_col : seconds, where one recording gives several clips
        group_col : what must not stand on both sides of the split: speaker, site, source
        weight_col : how often training draws a clip, against the others; balance=True evens out the classes besides
        valid_pct, seed : share of clips held out, stratified, and grouped where `group_col` is given; seed None is 0
        valid_col, fold : a column of truth values, or the number in `fold_col`, that is held out instead
        vocab : the labels in the order of the network's outputs; default the sorted ones of training
        corrections : a file or table of labels that a person corrected, see `apply_corrections`
        renderer : how recordings are drawn; default `Renderer()`, a mel spectrogram
        variants : `Stretch(0.8)`, `AddNoise(20)` ...: training sees each clip once more for every one; validation never does
        cache, n_jobs, progress : as in `render_tree`
        size : pixels, one number or (height, width); default the pictures' own
        method, seconds, windows : "squish"; "crop" to windows of `seconds`; "pad" to `seconds` (default the longest clip's)
        augment : "default", an `Augment`, or None
        item_tfms, batch_tfms : fastai transforms besides ours: of a `SpecImage`, and of float batches
        num_workers : default 0 on a CPU, where more gain nothing, else fastai's

        Raises
        ------
        ValueError : a missing column, names that lead out of the folder, no file found, nothing drawn, a class only in validation ...
        """
        check_method(method, seconds, windows)   # these two before an hour of drawing
        size = None if size is None else _height_width(size)
        table = label_table(df, path, folder, corrections, fn_col=fn_col, label_col=label_col, label_delim=label_delim, suffix=suff, start_col=start_col,
                            end_col=end_col, group_col=group_col, weight_col=weight_col, valid_col=valid_col,
                            fold_col=fold_col if fold is not None else None)
        tree = _drawn(table, Path(path) / folder, renderer or Renderer(), cache, n_jobs, progress, variants)
        return cls._from_table(_with_pictures(table, tree), tree, path, variants=variants, balance=balance, valid_pct=valid_pct,
                               fold=fold, seed=seed, vocab=vocab, bs=bs, val_bs=val_bs, size=size, method=method, seconds=seconds, windows=windows,
                               augment=augment, item_tfms=item_tfms, batch_tfms=batch_tfms, num_workers=num_workers, device=device, shuffle=shuffle)

    @classmethod
    def from_csv(cls, path, csv_fname="labels.csv", *, folder="", fn_col=0, label_col=1, header="infer", delimiter=",", **kwargs) -> SpecDataLoaders:
        """From the table `path/csv_fname` with recordings in `path/folder`; columns by name or position. Other arguments: `from_df`."""
        csv = Path(path) / csv_fname
        if not csv.is_file():
            found = sorted(p.name for p in Path(path).glob("*.csv"))
            raise ValueError(f"{str(csv)!r} is not there; {str(path)!r} holds {', '.join(found) or 'no csv'}")
        try:
            df = pd.read_csv(csv, header=header, delimiter=delimiter, index_col=False, dtype=str, keep_default_na=False, encoding="utf-8-sig")
        except ValueError as exc:   # what pandas and the decoder raise are ValueErrors
            raise ValueError(f"{str(csv)!r} cannot be read as csv in UTF-8: {exc}") from exc
        return cls.from_df(df, path, folder=folder, fn_col=fn_col, label_col=label_col, **kwargs)

    @classmethod
    def from_folder(cls, path, *, train="train", valid="valid", valid_pct=0.2, **kwargs) -> SpecDataLoaders:
        """From folders named after the classes; where `path` holds both a `train` and a `valid` folder they are the split.

        Other folders are left out then. Other arguments: `from_df`.
        """
        table = labels_from_folders(path)
        parts = table["path"].str.split("/")
        tops = parts.str[0]
        if {train, valid} <= set(tops):
            table = table[tops.isin([train, valid])].assign(is_valid=tops == valid)
            stray = table["path"][parts.str.len() == 2]
            if len(stray):
                raise ValueError(f"{len(stray)} recordings directly in {train!r} or {valid!r}, such as {stray.iloc[0]!r}; "
                                 f"move each into a folder named after its label")
            kwargs["valid_col"] = "is_valid"
        return cls.from_df(table, path, valid_pct=valid_pct, **kwargs)

    @classmethod
    def from_names(cls, path, regex: str, **kwargs) -> SpecDataLoaders:
        """From file names: the groups `label` and, where there, `group`, `fold`, `start` and `end` of a regular expression.

        Other arguments: `from_df`.
        """
        table = labels_from_names(path, regex)
        for name in {"group", "start", "end"} & set(table):
            kwargs.setdefault(f"{name}_col", name)
        return cls.from_df(table, path, **kwargs)

    @classmethod
    def from_lists(cls, path, fnames, labels, **kwargs) -> SpecDataLoaders:
        """From a list of files and their labels, in the same order.

        Files are below `path`, named from there, from the working folder, or absolutely. Other arguments: `from_df`.
        """
        fnames, labels = list(fnames), list(labels)
        if len(fnames) != len(labels):
            raise ValueError(f"{len(fnames)} files but {len(labels)} labels; give one label a file, in the same order")
        return cls.from_df(pd.DataFrame({"path": [name_below(os.fspath(path), os.fspath(f)) for f in fnames], "label": labels}), path, **kwargs)

    @classmethod
    def from_tree(cls, tree: SpecTree, labels: pd.DataFrame | None = None, path=".", **kwargs) -> SpecDataLoaders:
        """From pictures that stand already and a label table; default the name of each recording's folder. Arguments after drawing: `from_df`."""
        if labels is None:
            labels = _labels_of(tree)
        columns = {f"{c}_col": c for c in ("start", "end", "group", "fold", "weight") if c in labels}
        if "is_valid" in labels and kwargs.get("fold") is None:
            columns["valid_col"] = "is_valid"
        columns["suffix"], corrections = kwargs.pop("suff", ""), kwargs.pop("corrections", None)
        for name in ("fn_col", "label_col", "label_delim", "start_col", "end_col", "group_col", "fold_col", "weight_col", "valid_col"):
            if name in kwargs:
                columns[name] = kwargs.pop(name)
        table = labels_from_csv(labels, **{"fn_col": "path", "label_col": "label", **columns})
        if corrections is not None:
            table = apply_corrections(table, corrections, depth=2)
        return cls._from_table(_with_pictures(table, tree), tree, path, **kwargs)

    @classmethod
    def _from_table(cls, table: pd.DataFrame, tree: SpecTree, path, *, variants=(), balance=False, valid_pct=0.2, fold=None, seed=None, vocab=None,
                    bs=64, val_bs=None, size=None, method="squish", seconds=None, windows=None, augment="default", item_tfms=None, batch_tfms=None,
                    num_workers=None, device=None, shuffle=True) -> SpecDataLoaders:
        """A label table with pictures -> DataBlock -> DataLoaders."""
        check_method(method, seconds, windows)
        sides = deal_sides(table, valid_pct, fold, seed, vocab)
        pictures = sides.clips["picture"]
        info = describe(pictures.iloc[0])
        if method == "pad" and seconds is None:
            seconds = _longest(pictures)
        size = _common_size(pictures, info, seconds) if size is None else _height_width(size)
        if windows is None:
            windows = covering_windows(_longest(sides.held_out["picture"]), seconds) if method == "crop" else 1
        fit = FitSize(size, method, seconds, windows, _blank_levels(info))
        sides = _with_variants(sides, tree, variants)   # after size and windows, which go by recordings as they are
        facts = SpecFacts(tree.renderer, tree, 3 if info.picture.colormap else info.channels, size, method)
        return cls._from_sides(
            sides, SpecBlock(tree.renderer), ColReader("picture"), facts, path, item_tfms=[*as_list(item_tfms), fit],
            batch_tfms=[*_augmentation(augment, info), *as_list(batch_tfms)], balance=balance, bs=bs, val_bs=val_bs,
            num_workers=num_workers, device=device, shuffle=shuffle,
        )

    @classmethod
    def _from_sides(cls, sides: Sides, block: TransformBlock, get_x, facts: SpecFacts, path, *, item_tfms, batch_tfms, balance, bs, val_bs,
                    num_workers, device, shuffle) -> SpecDataLoaders:
        """A split table -> DataBlock -> DataLoaders. block, get_x : the input side; `get_x` takes a row of the table."""
        labels = MultiCategoryBlock(vocab=sides.vocab) if sides.multi else CategoryBlock(vocab=sides.vocab, sort=False)
        data = DataBlock(blocks=(block, labels), get_x=get_x, get_y=ColReader("label"), splitter=ColSplitter("is_valid"),
                         item_tfms=item_tfms, batch_tfms=batch_tfms)
        if num_workers is None:
            num_workers = defaults.cpus if torch.cuda.is_available() else 0
        train = sides.train
        made = data.dataloaders(sides.clips, path=path, bs=_batch_size(bs, len(train)), val_bs=val_bs, shuffle=shuffle, device=device,
                                num_workers=num_workers, facts=facts, dl_kwargs=[{"weights": _weights(train, balance, shuffle)}, {}])
        return cls(*made.loaders, path=path, device=made.device)

    def test_dl(self, test_items, rm_type_tfms=None, with_labels=False, **kwargs):
        """A loader over new recordings: a list of paths, of pairs `(y, sr)` or of pictures, a folder, or a table with the column `path`.

        What is not a picture yet is drawn by `renderer`, in memory.
        """
        clips = as_clips(test_items, self.reads)
        if with_labels and "label" not in clips:
            raise ValueError("with_labels=True needs a table with the columns 'path' and 'label'")
        return super().test_dl(clips, rm_type_tfms=rm_type_tfms, with_labels=with_labels, **kwargs)

    def new_empty(self):
        """For `learn.export`: the transforms without the clips."""
        empty = super().new_empty()
        for dl in empty.loaders:
            dl.facts = replace(dl.facts, tree=None)
        return empty


def as_list(tfms) -> list:
    """Transforms as a list: none, one, or several."""
    return [] if tfms is None else list(tfms) if isinstance(tfms, (list, tuple)) else [tfms]


def _source(o):
    """One thing to predict on: a path as text, `Samples`, or a picture."""
    if isinstance(o, tuple) and len(o) == 2:
        return Samples(*o)
    if isinstance(o, (str, os.PathLike)):
        return os.fspath(o)
    if isinstance(o, Image.Image):
        return o
    raise ValueError(f"nothing can be predicted on a {type(o).__name__}; give paths, pairs (y, sr), or pictures")


def list_sources(items) -> tuple[list[str], list]:
    """(a name for each, what to open) of what people predict on: a folder; or recordings, or one, as paths, pairs `(y, sr)` or pictures."""
    is_pair = isinstance(items, tuple) and len(items) == 2 and isinstance(items[1], numbers.Real)
    if isinstance(items, (str, os.PathLike)) and os.path.isdir(items):
        items = [Path(items) / name for name in find_audio(items)]
    elif is_pair or isinstance(items, (str, os.PathLike, Image.Image)):
        items = [items]
    sources = [_source(o) for o in items]
    return [o if isinstance(o, str) else f"samples {i}" for i, o in enumerate(sources)], sources


def as_clips(items, column: str = "picture") -> pd.DataFrame:
    """What people predict on, as a table with the column that the loaders read."""
    if isinstance(items, list) and items and isinstance(items[0], pd.Series):   # rows, as `learn.predict` takes one
        items = pd.DataFrame(items).reset_index(drop=True)
    if isinstance(items, pd.DataFrame) and not {column, "path"} & set(items):
        raise ValueError(f"the table has the columns {', '.join(map(str, items.columns))}; it needs 'path', the recordings")
    if isinstance(items, pd.DataFrame):
        table = items if column in items else items.assign(**{column: items["path"].map(os.fspath)})
    else:
        names, sources = list_sources(items)
        cells = pd.Series([None] * len(sources), dtype=object)
        for i, source in enumerate(sources):   # one by one: pandas would take an image for a matrix
            cells[i] = source
        table = pd.DataFrame({"path": names, column: cells})
    if not len(table):
        raise ValueError("there is nothing to predict on: no recordings")
    return table
