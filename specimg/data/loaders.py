"""`SpecDataLoaders`: fastai's DataLoaders, made from whatever says which recording carries which label.

    SpecDataLoaders.from_folder("birds")                                           # birds/owl/1.wav, birds/wren/7.wav ...
    SpecDataLoaders.from_names("digits", r"(?P<label>[0-9])_(?P<group>[a-z]+)_")   # digits/7_theo_12.wav; no speaker on both sides
    SpecDataLoaders.from_csv("freesound", "train.csv", folder="audio_train")

Every `from_...` brings its input to a table and hands it to `from_df`, which draws what is missing; `from_tree` starts from pictures that
stand already. From the table with pictures on, all take one way: `_from_table` splits it and settles size and augmentation,
`_from_sides` makes fastai's DataBlock of it.
"""

from __future__ import annotations

import os
from pathlib import Path

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

from ..labels.corrections import apply_corrections
from ..labels.tables import labels_from_csv, labels_from_folders, labels_from_names
from ..render.plan import name_below
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import PictureInfo, describe
from .augment import Augment, SpecAugment
from .clips import drawn_tree, label_table, labels_of, with_pictures
from .images import FitSize, check_method
from .inputs import NetworkInput, PictureInput
from .loader import SpecBlock
from .sizes import blank_levels, common_size, covering_windows, height_width, longest_seconds
from .sources import as_clips
from .split import Sides, batch_size, deal_sides, draw_weights, with_variants

__all__ = ["ClipDataLoaders", "SpecDataLoaders", "as_list"]


def as_list(tfms) -> list:
    """Transforms as a list: none, one, or several."""
    return [] if tfms is None else list(tfms) if isinstance(tfms, (list, tuple)) else [tfms]


def _augmentation(augment, info: PictureInfo) -> list[Transform]:
    if augment is None:
        return []
    if augment == "default":
        augment = Augment()
    if not isinstance(augment, Augment):
        raise ValueError(f"augment={augment!r}: give 'default', None or an Augment(...)")
    return [SpecAugment(augment, blank_levels(info))]


class ClipDataLoaders(DataLoaders):
    """fastai DataLoaders over clips of recordings, which know what the network is given of them: base of `SpecDataLoaders` and `WaveDataLoaders`.

    A subclass has a `from_df`, to which every other `from_...` hands its arguments. Besides fastai's own attributes: `input`, `n_channels`, `size`,
    `is_multi`, and `clips`, a table with one row a clip.
    """

    reads: str  # the column of `clips` that items are read from

    @property
    def input(self) -> NetworkInput:
        """What the network is given of a clip."""
        return self.loaders[0].input

    @property
    def renderer(self) -> Renderer | None:
        """How the pictures were drawn; None for waveforms."""
        return self.input.renderer

    @property
    def n_channels(self) -> int:
        """Channels of the network's input."""
        return self.input.channels

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input in pixels; (1, samples) of waveforms."""
        return self.input.size

    @property
    def is_multi(self) -> bool:
        """May a clip carry several labels?"""
        return isinstance(self.loaders[0].dataset.tls[1].tfms.fs[-1], OneHotEncode)

    @property
    def clips(self) -> pd.DataFrame:
        """Training's and validation's clips, one row each, `is_valid` says which."""
        return pd.concat(
            [dl.clips.assign(is_valid=bool(i)) for i, dl in enumerate(self.loaders[:2])], ignore_index=True
        )

    @classmethod
    def from_csv(
        cls, path, csv_fname="labels.csv", *, folder="", fn_col=0, label_col=1, header="infer", delimiter=",", **kwargs
    ) -> ClipDataLoaders:
        """From the table `path/csv_fname` with recordings in `path/folder`; columns by name or position. Other arguments: `from_df`."""
        csv = Path(path) / csv_fname
        if not csv.is_file():
            found = sorted(p.name for p in Path(path).glob("*.csv"))
            raise ValueError(f"{str(csv)!r} is not there; {str(path)!r} holds {', '.join(found) or 'no csv'}")
        try:
            df = pd.read_csv(
                csv,
                header=header,
                delimiter=delimiter,
                index_col=False,
                dtype=str,
                keep_default_na=False,
                encoding="utf-8-sig",
            )
        except ValueError as exc:  # what pandas and the decoder raise are ValueErrors
            raise ValueError(f"{str(csv)!r} cannot be read as csv in UTF-8: {exc}") from exc
        return cls.from_df(df, path, folder=folder, fn_col=fn_col, label_col=label_col, **kwargs)

    @classmethod
    def from_folder(cls, path, *, train="train", valid="valid", valid_pct=0.2, **kwargs) -> ClipDataLoaders:
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
                raise ValueError(
                    f"{len(stray)} recordings directly in {train!r} or {valid!r}, such as {stray.iloc[0]!r}; "
                    f"move each into a folder named after its label"
                )
            kwargs["valid_col"] = "is_valid"
        return cls.from_df(table, path, valid_pct=valid_pct, **kwargs)

    @classmethod
    def from_names(cls, path, regex: str, **kwargs) -> ClipDataLoaders:
        """From file names: the groups `label` and, where there, `group`, `fold`, `start` and `end` of a regular expression.

        Other arguments: `from_df`.
        """
        table = labels_from_names(path, regex)
        for name in {"group", "start", "end"} & set(table):
            kwargs.setdefault(f"{name}_col", name)
        return cls.from_df(table, path, **kwargs)

    @classmethod
    def from_lists(cls, path, fnames, labels, **kwargs) -> ClipDataLoaders:
        """From a list of files and their labels, in the same order.

        Files are below `path`, named from there, from the working folder, or absolutely. Other arguments: `from_df`.
        """
        fnames, labels = list(fnames), list(labels)
        if len(fnames) != len(labels):
            raise ValueError(f"{len(fnames)} files but {len(labels)} labels; give one label a file, in the same order")
        names = [name_below(os.fspath(path), os.fspath(f)) for f in fnames]
        return cls.from_df(pd.DataFrame({"path": names, "label": labels}), path, **kwargs)

    @classmethod
    def _from_sides(
        cls,
        sides: Sides,
        block: TransformBlock,
        get_x,
        known: dict,
        path,
        *,
        item_tfms,
        batch_tfms,
        balance,
        bs,
        val_bs,
        num_workers,
        device,
        shuffle,
    ) -> ClipDataLoaders:
        """A split table -> DataBlock -> DataLoaders.

        block, get_x : the input side; `get_x` takes a row of the table.
        known : what every loader knows, `input` and `tree`
        """
        labels = MultiCategoryBlock(vocab=sides.vocab) if sides.multi else CategoryBlock(vocab=sides.vocab, sort=False)
        data = DataBlock(
            blocks=(block, labels),
            get_x=get_x,
            get_y=ColReader("label"),
            splitter=ColSplitter("is_valid"),
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        if num_workers is None:
            num_workers = defaults.cpus if torch.cuda.is_available() else 0
        train = sides.train
        made = data.dataloaders(
            sides.clips,
            path=path,
            bs=batch_size(bs, len(train)),
            val_bs=val_bs,
            shuffle=shuffle,
            device=device,
            num_workers=num_workers,
            **known,
            dl_kwargs=[{"weights": draw_weights(train, balance, shuffle)}, {}],
        )
        return cls(*made.loaders, path=path, device=made.device)

    def test_dl(self, test_items, rm_type_tfms=None, with_labels=False, **kwargs):
        """A loader over new recordings: a list of paths or of pairs `(y, sr)`, a folder, or a table with the column `path`."""
        clips = as_clips(test_items, self.reads)
        if with_labels and "label" not in clips:
            raise ValueError("with_labels=True needs a table with the columns 'path' and 'label'")
        return super().test_dl(clips, rm_type_tfms=rm_type_tfms, with_labels=with_labels, **kwargs)


class SpecDataLoaders(ClipDataLoaders):
    """fastai DataLoaders over the pictures of recordings, which are drawn where they are missing.

    Every `from_...` takes the arguments of `from_df`. Besides fastai's own attributes: `renderer`, `tree`, `n_channels`,
    `size` (height, width), `is_multi`, and `clips`, a table with one row a clip. `test_dl` takes pictures, too.
    """

    reads = "picture"

    @property
    def tree(self) -> SpecTree | None:
        """Where the pictures lie."""
        return self.loaders[0].tree

    @classmethod
    def from_df(
        cls,
        df: pd.DataFrame,
        path=".",
        *,
        folder="",
        fn_col="path",
        label_col="label",
        label_delim=None,
        suff="",
        start_col=None,
        end_col=None,
        group_col=None,
        weight_col=None,
        balance=False,
        valid_pct=0.2,
        valid_col=None,
        fold=None,
        fold_col="fold",
        seed=None,
        vocab=None,
        corrections=None,
        renderer=None,
        variants=(),
        cache=None,
        bs=64,
        val_bs=None,
        size=None,
        method="squish",
        seconds=None,
        windows=None,
        augment="default",
        item_tfms=None,
        batch_tfms=None,
        num_workers=None,
        device=None,
        shuffle=True,
        n_jobs=-1,
        progress=True,
    ) -> SpecDataLoaders:
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
        variants : `TimeStretch(0.8)`, `AddNoise(20)` ...: training sees each clip once more for every one; validation never does
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
        check_method(method, seconds, windows)  # these two before an hour of drawing
        size = None if size is None else height_width(size)
        table = label_table(
            df,
            path,
            folder,
            corrections,
            fn_col=fn_col,
            label_col=label_col,
            label_delim=label_delim,
            suffix=suff,
            start_col=start_col,
            end_col=end_col,
            group_col=group_col,
            weight_col=weight_col,
            valid_col=valid_col,
            fold_col=fold_col if fold is not None else None,
        )
        tree = drawn_tree(table, Path(path) / folder, renderer or Renderer(), cache, n_jobs, progress, variants)
        return cls._from_table(
            with_pictures(table, tree),
            tree,
            path,
            variants=variants,
            balance=balance,
            valid_pct=valid_pct,
            fold=fold,
            seed=seed,
            vocab=vocab,
            bs=bs,
            val_bs=val_bs,
            size=size,
            method=method,
            seconds=seconds,
            windows=windows,
            augment=augment,
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
            num_workers=num_workers,
            device=device,
            shuffle=shuffle,
        )

    @classmethod
    def from_tree(cls, tree: SpecTree, labels: pd.DataFrame | None = None, path=".", **kwargs) -> SpecDataLoaders:
        """From pictures that stand already and a label table; default the name of each recording's folder.

        Arguments after drawing: `from_df`.
        """
        if labels is None:
            labels = labels_of(tree)
        columns = {f"{c}_col": c for c in ("start", "end", "group", "fold", "weight") if c in labels}
        if "is_valid" in labels and kwargs.get("fold") is None:
            columns["valid_col"] = "is_valid"
        columns["suffix"], corrections = kwargs.pop("suff", ""), kwargs.pop("corrections", None)
        for name in (
            "fn_col",
            "label_col",
            "label_delim",
            "start_col",
            "end_col",
            "group_col",
            "fold_col",
            "weight_col",
            "valid_col",
        ):
            if name in kwargs:
                columns[name] = kwargs.pop(name)
        table = labels_from_csv(labels, **{"fn_col": "path", "label_col": "label", **columns})
        if corrections is not None:
            table = apply_corrections(table, corrections)
        return cls._from_table(with_pictures(table, tree), tree, path, **kwargs)

    @classmethod
    def _from_table(
        cls,
        table: pd.DataFrame,
        tree: SpecTree,
        path,
        *,
        variants=(),
        balance=False,
        valid_pct=0.2,
        fold=None,
        seed=None,
        vocab=None,
        bs=64,
        val_bs=None,
        size=None,
        method="squish",
        seconds=None,
        windows=None,
        augment="default",
        item_tfms=None,
        batch_tfms=None,
        num_workers=None,
        device=None,
        shuffle=True,
    ) -> SpecDataLoaders:
        """A label table with pictures -> DataBlock -> DataLoaders."""
        check_method(method, seconds, windows)
        sides = deal_sides(table, valid_pct, fold, seed, vocab)
        pictures = sides.clips["picture"]
        info = describe(pictures.iloc[0])
        if method == "pad" and seconds is None:
            seconds = longest_seconds(pictures)
        size = common_size(pictures, info, seconds) if size is None else height_width(size)
        if windows is None:
            windows = covering_windows(longest_seconds(sides.held_out["picture"]), seconds) if method == "crop" else 1
        fit = FitSize(size, method, seconds, windows, blank_levels(info))
        sides = with_variants(sides, tree, variants)  # after size and windows, which go by recordings as they are
        return cls._from_sides(
            sides,
            SpecBlock(tree.renderer),
            ColReader("picture"),
            dict(input=PictureInput(tree.renderer, fit), tree=tree),
            path,
            item_tfms=[*as_list(item_tfms), fit],
            batch_tfms=[*_augmentation(augment, info), *as_list(batch_tfms)],
            balance=balance,
            bs=bs,
            val_bs=val_bs,
            num_workers=num_workers,
            device=device,
            shuffle=shuffle,
        )

    def new_empty(self):
        """For `learn.export`: the transforms without the clips."""
        empty = super().new_empty()
        for dl in empty.loaders:
            dl.tree = None
        return empty
