"""`SpecDataLoaders`: fastai's DataLoaders, made from whatever labels recordings.

    SpecDataLoaders.from_folder("birds")                                           # birds/owl/1.wav, birds/wren/7.wav ...
    SpecDataLoaders.from_names("digits", r"(?P<label>[0-9])_(?P<group>[a-z]+)_")   # digits/7_theo_12.wav; no speaker in both sets
    SpecDataLoaders.from_csv("freesound", "train.csv", folder="audio_train")

Every `from_...` brings its input to a table and passes it to `from_df`, which draws what is missing; `from_tree` starts from pictures that
already exist. Arguments of one kind travel as one value: `Columns` names the table's columns, `Split` what is held out, `Sizing`
how clips come to one size, `Batches` how they are loaded.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
import torch
from fastai.vision.all import ColReader, DataLoaders, OneHotEncode, TfmdDL
from fastcore.basics import copy_func
from fastcore.meta import delegates

from ..core.addresses import Address, as_folder
from ..core.arguments import names_arguments, parameter_texts
from ..core.text import count, examples
from ..labels.audiofolder import labels_from_audiofolder
from ..labels.classes import Balance
from ..labels.csv_text import read_csv_text
from ..labels.split_folders import split_by_folders
from ..labels.tables import labels_from_names, labels_of_every_folder
from ..render.plan import name_below
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import describe
from .augment import Augment, picture_changes
from .batches import Batches, Transforms
from .clip_table import Columns, Corrections, add_pictures, drawn_tree, label_table, labels_of_folders, without_damaged
from .images import FitSize
from .inputs import NetworkInput, PictureInput
from .live import live_clips, refuse_live
from .loader import SpecBlock
from .sizes import Sizing, blank_levels
from .sources import as_clips
from .split import Split, add_variants, split_clips
from .twins import picture_digests, warn_of_twins
from .wave_augment import WaveAugment

T = TypeVar("T")
Folder = str | os.PathLike
Column = str | int | None  # by name or position


def take(kind: type[T], options: dict[str, Any], **defaults: Any) -> T:
    """The value of this kind from those of `options` that are its fields, which leave the dictionary, else from `defaults`."""
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{**defaults, **{name: options.pop(name) for name in names & set(options)}})


def _with_texts(doc: str, other: str, names: set[str]) -> str:
    """A docstring with the entries of another one for these parameters, in place of that for **kwargs."""
    entries = []
    for heading, text in parameter_texts(other).items():
        listed, *kind = heading.split(" : ", 1)
        shown = [name for name in listed.split(", ") if name in names]
        if shown:
            entries.append(text.replace(heading, " : ".join([", ".join(shown), *kind]), 1))
    return inspect.cleandoc(doc).replace(parameter_texts(doc)["**kwargs"], "".join(entries))


def shows(to: Callable, but: Sequence[str] = ()) -> Callable:
    """Decorator: show the parameters of `to`, without those in `but`, in place of **kwargs, in the signature and in the docstring."""

    def decorate(function: Callable) -> Callable:
        own = set(inspect.signature(function).parameters)
        shown = delegates(to, but=[*but, "df"])(function)
        shown.__doc__ = _with_texts(function.__doc__, to.__doc__, set(inspect.signature(shown).parameters) - own)
        return names_arguments(shown)

    return decorate


def shows_parameters(cls: type) -> type:
    """Class decorator: its `from_...` show the parameters of its `from_df`."""
    for name in (name for name in vars(ClipDataLoaders) if name.startswith("from_")):
        sister = copy_func(getattr(cls, name).__func__)
        sister.__annotations__ = {**sister.__annotations__, "return": cls.__name__}
        setattr(cls, name, classmethod(shows(cls.from_df)(sister)))
    return cls


def _folder_labels(paths: pd.Series, vocab: set[str]) -> list[str]:
    """The folder of each recording as its label. ValueError if that is no label of the vocabulary."""
    labels = [Path(path).parent.name for path in paths]
    other = [path for path, label in zip(paths, labels) if label not in vocab]
    if other:
        raise ValueError(
            f"with_labels=True: {count(len(other), 'recording')} of {len(labels)} in no folder named after a label "
            f"({examples(other)}); give a table with the columns 'path' and 'label'"
        )
    return labels


class ClipDataLoaders(DataLoaders):
    """fastai DataLoaders over clips of recordings: base of `SpecDataLoaders` and `WaveDataLoaders`.

    A subclass has a `from_df`, to which every other `from_...` hands its arguments. Besides fastai's own attributes: `input`, `n_channels`,
    `size`, `is_multi`, and `clips`, a table with one row a clip.

    Examples
    --------
    >>> from specimg.data import ClipDataLoaders
    >>> isinstance(dls, ClipDataLoaders), dls.n_channels, dls.is_multi
    (True, 1, False)
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
        """Whether a clip may carry several labels."""
        return isinstance(self.loaders[0].dataset.tls[1].tfms.fs[-1], OneHotEncode)

    @property
    def clips(self) -> pd.DataFrame:
        """The clips of training and validation, one row each, with the column `is_valid`."""
        return pd.concat(
            [dl.clips.assign(is_valid=bool(i)) for i, dl in enumerate(self.loaders[:2])], ignore_index=True
        )

    @classmethod
    def from_csv(
        cls,
        path: Folder,
        csv_fname: Folder = "labels.csv",
        *,
        folder: str = "",
        fn_col: str | int = 0,
        label_col: str | int | Sequence = 1,
        header: int | str | None = "infer",
        delimiter: str | None = None,
        encoding: str | None = None,
        **kwargs: Any,
    ) -> ClipDataLoaders:
        """DataLoaders from a csv file.

        Parameters
        ----------
        path, csv_fname : str or path
            The table is `path/csv_fname`; `path` may be an address in a store, such as s3://bucket/birds.
        folder : str, default ""
            The recordings lie below `path/folder`.
        fn_col, label_col : str or int, default 0 and 1
            Columns of the recordings' names and of their labels, by name or position; as labels also several, one a class, of 0 and 1.
        header : int, "infer" or None, default "infer"
            As in `pandas.read_csv`; None if the first line is data already.
        delimiter, encoding : str, default None
            As in `labels_from_csv`: found out, or named, such as ";" and "cp1252".
        **kwargs
            As in `from_df`.

        Returns
        -------
        DataLoaders
            Their class is the one this is called on.

        Raises
        ------
        ValueError
            If there is no such file, it cannot be read, and as in `from_df`.
        """
        csv = Path(csv_fname) if Path(csv_fname).is_absolute() else as_folder(path) / csv_fname
        if isinstance(csv, Path) and not csv.is_file():
            found = sorted(p.name for p in Path(path).glob("*.csv"))
            raise ValueError(f"{str(csv)!r} is not there; {str(path)!r} holds {', '.join(found) or 'no csv'}")
        df = read_csv_text(csv, header, delimiter, encoding)
        return cls.from_df(df, path, folder=folder, fn_col=fn_col, label_col=label_col, **kwargs)

    @classmethod
    def from_folder(
        cls, path: Folder, *, train: str | None = None, valid: str | None = None, valid_pct: float = 0.2, **kwargs: Any
    ) -> ClipDataLoaders:
        """DataLoaders from folders named after the classes.

        Parameters
        ----------
        path : str or path
            A folder that contains one folder per class; or two folders, of training and of validation, each containing the class folders.
            Recordings beside these two are not used, and a warning counts them.
        train, valid : str, default None
            Names of these two folders; None: train or training, and valid, validation, val or dev, in upper or lower case. Beside a
            folder `test` alone, say whether to validate on it: `valid="test"`.
        valid_pct : float, default 0.2
            Share of the clips that a random split holds out, if there are no train and valid folders.
        **kwargs
            As in `from_df`.

        Returns
        -------
        DataLoaders
            Their class is the one this is called on.

        Raises
        ------
        ValueError
            If recordings lie in no folder of a class, if no file of a class is of a known kind of recording, if it is not clear which folder is for validation, and as in `from_df`.

        Examples
        --------
        >>> dls = sp.SpecDataLoaders.from_folder("clips", renderer=sp.Renderer(sp.Mel(n_mels=32)), size=32, bs=4)
        >>> list(dls.vocab), dls.size
        (['cat', 'dog'], (32, 32))
        """
        table = split_by_folders(labels_of_every_folder(path), path, train, valid)
        if "is_valid" in table:
            kwargs["valid_col"] = "is_valid"
        return cls.from_df(table, path, valid_pct=valid_pct, **kwargs)

    @classmethod
    def from_audiofolder(
        cls,
        path: Folder,
        *,
        label_col: str | int | Sequence | None = None,
        train: str | None = None,
        valid: str | None = None,
        unpack: Folder | None = None,
        valid_pct: float = 0.2,
        **kwargs: Any,
    ) -> ClipDataLoaders:
        """DataLoaders from a data set that Hugging Face's AudioFolder reads, or from parquet files with the sounds inside.

        Parameters
        ----------
        path : str or path
            The folder: with `metadata.csv`, `.jsonl` or `.parquet`, with parquet files, or with a folder for each class.
        label_col : str, int or sequence of these, default None
            Column of the labels, or one for each class; None: the one that is called so.
        train, valid : str, default None
            Names of the splits to learn from and to validate on; None: those called train and validation. Beside a split `test` alone,
            `valid="test"` validates on it.
        unpack : str or path, default None
            Folder that sounds inside parquet files are written to; None: one in the user's cache folder.
        valid_pct : float, default 0.2
            Share of the clips that a random split holds out, if the data set has no validation of its own.
        **kwargs
            As in `from_df`.

        Returns
        -------
        DataLoaders
            Their class is the one this is called on.

        Raises
        ------
        ValueError
            As in `labels_from_audiofolder` and in `from_df`.
        ModuleNotFoundError
            If there are parquet files and pyarrow is not installed.
        """
        if kwargs.get("fold") is not None:
            kwargs.setdefault("fold_col", "fold")
        names = ("label_delim", "start_col", "end_col", "group_col", "weight_col", "valid_col", "fold_col")
        columns = {name: kwargs.pop(name) for name in names if name in kwargs}
        table = labels_from_audiofolder(path, label_col=label_col, train=train, valid=valid, unpack=unpack, **columns)
        given = {
            "start": "start_col",
            "end": "end_col",
            "group": "group_col",
            "weight": "weight_col",
            "is_valid": "valid_col",
        }
        kwargs |= {argument: name for name, argument in given.items() if name in table}
        return cls.from_df(table, table.attrs["folder"], valid_pct=valid_pct, **kwargs)

    @classmethod
    def from_names(cls, path: Folder, regex: str, **kwargs: Any) -> ClipDataLoaders:
        """DataLoaders from file names.

        Parameters
        ----------
        path : str or path
            The folder of the recordings.
        regex : str
            A regular expression that is found in each name, with a group `label` and, where there, `group`, `fold`, `start` and `end`.
        **kwargs
            As in `from_df`.

        Returns
        -------
        DataLoaders
            Their class is the one this is called on.
        """
        table = labels_from_names(path, regex)
        for name in {"group", "start", "end"} & set(table):
            kwargs.setdefault(f"{name}_col", name)
        return cls.from_df(table, path, **kwargs)

    @classmethod
    def from_lists(cls, path: Folder, fnames: Sequence[Folder], labels: Sequence, **kwargs: Any) -> ClipDataLoaders:
        """DataLoaders from a list of files and their labels.

        Parameters
        ----------
        path : str or path
            The folder that the files lie below.
        fnames : sequence of str or path
            Files, named from `path`, from the working folder, or absolutely.
        labels : sequence
            One for each file, in the same order.
        **kwargs
            As in `from_df`.

        Returns
        -------
        DataLoaders
            Their class is the one this is called on.

        Raises
        ------
        ValueError
            If there are more files than labels or fewer, and as in `from_df`.
        """
        fnames, labels = list(fnames), list(labels)
        if len(fnames) != len(labels):
            raise ValueError(f"{len(fnames)} files but {len(labels)} labels; give one label a file, in the same order")
        names = [name_below(os.fspath(path), os.fspath(f)) for f in fnames]
        return cls.from_df(pd.DataFrame({"path": names, "label": labels}), path, **kwargs)

    def test_dl(
        self, test_items: Any, rm_type_tfms: int | None = None, with_labels: bool = False, **kwargs: Any
    ) -> TfmdDL:
        """A loader over new recordings.

        Parameters
        ----------
        test_items : list of paths or of pairs (y, sr), folder, or DataFrame
            A table has the column `path`; `SpecDataLoaders` take pictures, too.
        rm_type_tfms : int, default None
            As in fastai.
        with_labels : bool, default False
            Load the column `label` of the table as targets; of recordings without a table, the name of the folder that each lies in.
        **kwargs
            As in fastai, such as `bs`.

        Returns
        -------
        TfmdDL
            What is not a picture yet is drawn when it is read, in memory.

        Raises
        ------
        ValueError
            If there is nothing to predict on, a table lacks columns, or a recording lies in no folder named after a label.
        """
        clips = as_clips(test_items, self.reads)
        if with_labels and "label" not in clips:
            clips = clips.assign(label=_folder_labels(clips["path"], set(map(str, self.vocab))))
        return super().test_dl(clips, rm_type_tfms=rm_type_tfms, with_labels=with_labels, **kwargs)


# ---------------------------------------------------------------------- pictures


@shows_parameters
class SpecDataLoaders(ClipDataLoaders):
    """fastai DataLoaders over the pictures of recordings, which are drawn where they are missing.

    Make them by `from_csv`, `from_df`, `from_folder`, `from_names`, `from_lists` or `from_tree`. Besides fastai's own attributes: `renderer`,
    `tree`, `input`, `n_channels`, `size` (height, width in pixels), `is_multi`, and `clips`, a table with one row a clip.

    Examples
    --------
    >>> look = sp.Renderer(sp.Mel(n_mels=32, n_fft=256, hop_length=64))
    >>> dls = sp.SpecDataLoaders.from_folder("clips", renderer=look, cache="cache", bs=4, progress=False)
    >>> dls.vocab, dls.size, len(dls.train_ds), len(dls.valid_ds)
    (['cat', 'dog'], (32, 63), 10, 2)
    """

    reads = "picture"

    @property
    def tree(self) -> SpecTree | None:
        """Where the pictures lie."""
        return self.loaders[0].tree

    @classmethod
    @names_arguments
    def from_df(
        cls,
        df: pd.DataFrame,
        path: Folder = ".",
        *,
        folder: str = "",
        fn_col: str | int = "path",
        label_col: str | int | Sequence = "label",
        label_delim: str | None = None,
        suffix: str = "",
        start_col: Column = None,
        end_col: Column = None,
        group_col: Column = None,
        weight_col: Column = None,
        balance: bool | Balance = False,
        valid_pct: float = 0.2,
        valid_col: Column = None,
        fold: int | str | None = None,
        fold_col: str | int = "fold",
        seed: int | None = None,
        vocab: Sequence[str] | None = None,
        corrections: Corrections = None,
        renderer: Renderer | None = None,
        variants: Sequence = (),
        cache: Folder | None = None,
        bs: int | None = None,
        val_bs: int | None = None,
        size: int | tuple[int, int] | None = None,
        method: str = "squish",
        seconds: float | None = None,
        windows: int | None = None,
        augment: Augment | str | None = "default",
        item_tfms: Transforms = None,
        batch_tfms: Transforms = None,
        num_workers: int | None = None,
        device: str | torch.device | None = None,
        shuffle: bool = True,
        live: bool = False,
        wave_augment: WaveAugment | None = None,
        n_jobs: int = -1,
        progress: bool = True,
    ) -> SpecDataLoaders:
        """DataLoaders from a table with one row a recording, or a row for each window of one.

        Parameters
        ----------
        df : DataFrame
            Names and labels of recordings.
        path : str or path, default "."
            The recordings lie below `path/folder`; it may be an address in a store, such as s3://bucket/birds.
        folder : str, default ""
            The folder of the recordings, below `path`.
        fn_col, label_col : str or int, default "path" and "label"
            Columns of names and labels, by name or position; as labels also several, one a class, of 0 and 1.
        label_delim : str, default None
            What separates the labels of one cell; makes it a multi-label task.
        suffix : str, default ""
            Added to every name, such as ".wav".
        start_col, end_col : str or int, default None
            Columns of seconds, where one recording gives several clips.
        group_col : str or int, default None
            Column of what must not occur in both training and validation: speaker, site, source.
        weight_col : str or int, default None
            Column of how often training draws a clip, relative to the others.
        balance : bool or Balance, default False
            Draw all classes equally often in training, besides; `specimg.labels.Balance(power=0.5, least=20)`: by the square roots of
            their counts, and each at least so often.
        valid_pct : float, default 0.2
            Share of the clips to hold out at random: stratified, and grouped if `group_col` is given.
        valid_col : str or int, default None
            Column of truth values: the clips to hold out instead.
        fold, fold_col : int or str, default None and "fold"
            The fold to hold out instead, and the column of folds.
        seed : int, default None
            Seed of the random split; None is 0.
        vocab : sequence of str, default None
            The labels in the order of the network's outputs; None: the sorted ones of training.
        corrections : DataFrame or path, default None
            Labels that a person corrected, see `apply_corrections`.
        renderer : Renderer, default None
            How recordings are drawn; None: `Renderer()`, a mel spectrogram.
        variants : sequence of variants, default ()
            `TimeStretch(0.8)`, `AddNoise(20)` ...: training sees each clip once more for every one; validation never does.
        cache : str or path, default None
            Folder of the tree, as in `render_tree`.
        bs, val_bs : int, default None
            Clips a batch in training (2 or more; None: 64, with fewer than 1,600 clips 32, with fewer than 800 clips 16, because few
            epochs need many steps) and in validation (None: as in training).
        size : int or (int, int), default None
            (height, width) in pixels; None: the pictures' own.
        method, seconds, windows : default "squish", None and None
            How clips of different length come to one size, see `Sizing`.
        augment : Augment, "default" or None, default "default"
            How pictures are changed in training.
        item_tfms, batch_tfms : Transform or list of Transform, default None
            fastai's, besides ours: of a `SpecImage` (a `TensorWave` of a whole clip), and of float batches.
        num_workers : int, default None
            Processes that load; None: 0 on a CPU, where more gain nothing, else fastai's number.
        device : str or torch.device, default None
            Where batches go; None: the GPU where there is one.
        shuffle : bool, default True
            Draw training's clips in random order.
        live : bool, default False
            Draw training's pictures in the batch, on the device, by the same renderer: in every epoch of another random part of `seconds`
            (method "crop"). Samples are decoded once, into one file beside the pictures; validation keeps the tree's pictures. A batch's
            `x.waves`, float32 `(n, samples)`, is what was drawn.
        wave_augment : WaveAugment, default None
            How waveforms are changed in training, with `live=True`, before they are drawn and `augment` changes pictures.
        n_jobs, progress : int and bool, default -1 and True
            Settings of drawing, as in `render_tree`.

        Returns
        -------
        SpecDataLoaders
            Training and validation.

        Raises
        ------
        ValueError
            For a missing column, names that lead out of the folder, where no file is found or can be drawn, for a label that occurs only in
            validation, for arguments that do not go together, and for a look that cannot be drawn live.
        """
        sizing = Sizing(size, method, seconds, windows)  # checked before an hour of drawing
        if live or wave_augment is not None:
            refuse_live(live, renderer or Renderer(), variants, item_tfms, wave_augment)
        split = Split(valid_pct, valid_col, fold, fold_col, group_col, seed)
        columns = Columns(fn_col, label_col, label_delim, suffix, start_col, end_col, weight_col)
        batches = Batches(bs, val_bs, balance, item_tfms, batch_tfms, num_workers, device, shuffle)
        root = as_folder(path) / folder
        path = "." if isinstance(root, Address) else path  # where a learner keeps its files
        table = label_table(df, root, columns, split, corrections, all_named=bool(folder))
        tree = drawn_tree(table, root, renderer or Renderer(), cache, n_jobs, progress, variants)
        decoding = dict(n_jobs=n_jobs, progress=progress)
        return cls._from_pictures(
            table, tree, path, split, sizing, batches, vocab, variants, augment, live, wave_augment, **decoding
        )

    @classmethod
    @shows(from_df, but=["folder", "renderer", "cache", "n_jobs", "progress"])
    def from_tree(
        cls, tree: SpecTree, labels: pd.DataFrame | None = None, path: Folder = ".", **kwargs: Any
    ) -> SpecDataLoaders:
        """DataLoaders from pictures that already exist.

        Columns of a label table (start, end, group, fold, weight, is_valid) need not be named.

        Parameters
        ----------
        tree : SpecTree
            The pictures.
        labels : DataFrame, default None
            A label table; None: each recording's folder is its label.
        path : str or path, default "."
            Where a learner keeps its files.
        **kwargs
            As in `from_df`.

        Returns
        -------
        SpecDataLoaders
            Training and validation.

        Raises
        ------
        ValueError
            If no clip has a picture, and as in `from_df`.
        """
        labels = labels_of_folders(tree) if labels is None else labels
        known = {f"{c}_col": c for c in ("start", "end", "weight") if c in labels}
        there = {f"{c}_col": c for c in ("group", "fold") if c in labels}
        if "is_valid" in labels and kwargs.get("fold") is None:
            there["valid_col"] = "is_valid"
        columns, split = take(Columns, kwargs, **known), take(Split, kwargs, **there)
        sizing, batches = take(Sizing, kwargs), take(Batches, kwargs)
        table = columns.read(labels, split, kwargs.pop("corrections", None))
        return cls._from_pictures(table, tree, path, split, sizing, batches, **kwargs)

    @classmethod
    def _from_pictures(
        cls,
        table: pd.DataFrame,
        tree: SpecTree,
        path: Folder,
        split: Split,
        sizing: Sizing,
        batches: Batches,
        vocab: Sequence[str] | None = None,
        variants: Sequence = (),
        augment: Augment | str | None = "default",
        live: bool = False,
        wave_augment: WaveAugment | None = None,
        n_jobs: int = -1,
        progress: bool = True,
    ) -> SpecDataLoaders:
        """A label table whose clips have pictures in the tree -> DataLoaders."""
        if live or wave_augment is not None:
            refuse_live(live, tree.renderer, variants, batches.item_tfms, wave_augment)
        clips = split_clips(add_pictures(table, tree), split, vocab)
        clips = replace(clips, clips=without_damaged(clips.clips, described=sizing.method != "squish"))
        warn_of_twins(clips.clips, picture_digests(clips.clips["picture"]), "is_valid")
        pictures = clips.clips["picture"].tolist()
        info = describe(pictures[0])
        sizing = sizing.settled(pictures, clips.evaluated["picture"].tolist())
        fit = FitSize(sizing.size, sizing.method, sizing.seconds, sizing.windows or 1, blank_levels(info))
        changes = picture_changes(augment, blank_levels(info))
        if live:
            drawn = live_clips(clips, tree, fit, wave_augment, n_jobs, progress)
            clips, block, get_x, changes = drawn.clips, drawn.block, drawn.get_x, [*drawn.draw, *changes]
        else:
            clips = add_variants(clips, tree, variants)  # after the size, which goes by recordings as they are
            block, get_x = SpecBlock(tree.renderer), ColReader("picture")
        made = batches.dataloaders(
            clips,
            block,
            get_x,
            path,
            item_tfms=[fit],
            batch_tfms=changes,
            input=PictureInput(tree.renderer, fit),
            tree=tree,
        )
        return cls(*made.loaders, path=path, device=made.device)

    def new_empty(self) -> SpecDataLoaders:
        """For `learn.export`: the transforms without the clips.

        Returns
        -------
        SpecDataLoaders
            Without items and without a tree.
        """
        empty = super().new_empty()
        for dl in empty.loaders:
            dl.tree = None
        return empty
