"""Recordings as waveforms for fastai: samples instead of pictures, for networks that take the sound itself.

    dls = WaveDataLoaders.from_csv("freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label",
                                   audio=Audio(sr=16000, duration=2.0))
    x, y = dls.one_batch()        # x: TensorWave (batch, 1, 1, samples), float32, nominally in [-1, 1]
    dls.show_batch()              # over each clip's own seconds
    learn = spec_learner(dls, "soundnet_cnn")

Clips differ in length, a batch may not: `Audio(duration=...)` cuts and pads all of them at their end; `seconds` shows a random window
in training and several evenly spread ones, averaged, in validation.

The headers of all files are read first, and what is not a recording is left out with a warning. A file that breaks off or holds NaN
is found when a batch reads it: an error that names it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from fastai.interpret import plot_top_losses
from fastai.vision.all import TfmdDL, TransformBlock, get_grid
from PIL import Image

from ..audio import Audio, AudioError, recording_seconds
from ..audio.read import read_clip
from ..core.addresses import Address, as_folder, is_address
from ..core.text import examples
from ..core.warnings import warn
from .batches import Batches
from .clip_table import Columns, Corrections, label_table
from .inputs import WaveInput
from .loader import ClipDL, label_text
from .loaders import ClipDataLoaders, Folder, SpecDataLoaders, shows, shows_parameters, take
from .sizes import covering_windows
from .sources import as_clips
from .split import Split, SplitClips, split_clips
from .twins import digest_of, repeated_digests, warn_of_twins
from .wave_augment import WaveAugment, wave_changes
from .waves import ReadWave, RecordingPart, TensorWave, draw_wave, fit_wave, wave_sizing

PEEK = 0.05  # s of a file that are decoded to see that it is a recording


class WaveDL(ClipDL):
    """A loader that draws waveforms."""

    opens = ReadWave

    @property
    def audio(self) -> Audio:
        """How recordings are read."""
        return next(step.audio for step in self.dataset.tls[0].tfms.fs if isinstance(step, ReadWave))

    def _draw(self, ax, x, clip, part, title: str) -> None:
        """One waveform (the first of several windows) over its seconds; over samples if it is not known which `clip` it is."""
        spans = clip[1] if clip else None
        draw_wave(ax, np.asarray(x).reshape(-1, x.shape[-1])[0], title, spans[0] if spans else None)


@plot_top_losses.dispatch
def show_top_losses(x: TensorWave, y: Any, samples, outs, raws, losses, nrows=None, ncols=None, figsize=None, **kwargs):
    """What fastai's `Interpretation.plot_top_losses` draws of waveforms, titled as it titles images."""
    axes = get_grid(len(samples), nrows=nrows, ncols=ncols, figsize=figsize, title="Prediction/Actual/Loss/Probability")
    for ax, sample, out, raw, loss in zip(axes, samples, outs, raws, losses):
        title = f"{label_text(out[0])}/{label_text(sample[1])} / {loss.item():.2f} / {raw.max().item():.2f}"
        sample[0].show(ctx=ax, title=title)


def WaveBlock(audio: Audio, seconds: float | None = None, windows: int | None = None) -> TransformBlock:
    """The input of a fastai DataBlock: paths of recordings become waveforms of one length.

    Parameters
    ----------
    audio : Audio
        How recordings are read, with its `sr`, and its `duration` where `seconds` is not given.
    seconds : float, default None
        Length of a window: a random one in training, evenly spread ones in validation.
    windows : int, default None
        How many in validation; None is 1.

    Returns
    -------
    TransformBlock
        Give it a target's block beside it.

    Raises
    ------
    ValueError
        If clips come to no common length.

    Examples
    --------
    >>> from fastai.vision.all import CategoryBlock, DataBlock, parent_label
    >>> data = DataBlock((sp.WaveBlock(sp.Audio(sr=8000, duration=0.5)), CategoryBlock), get_y=parent_label)
    >>> dls = data.dataloaders(["clips/cat/cat0.wav", "clips/dog/dog0.wav"] * 5, bs=2, num_workers=0)
    >>> dls.one_batch()[0].shape
    torch.Size([2, 1, 1, 4000])
    """
    fit = fit_wave(audio, wave_sizing(audio, seconds, windows))
    return TransformBlock(type_tfms=[ReadWave(audio)], item_tfms=[fit], dl_type=WaveDL)


def _time(row, name: str) -> float | None:
    """A cell of a table that may lack this column; NaN is None."""
    value = row.get(name)
    return None if value is None or value != value else float(value)


def _item(row):
    """What `ReadWave` reads, from a row of the table of clips."""
    start, end = _time(row, "start"), _time(row, "end")
    return row["recording"] if start is None and end is None else RecordingPart(row["recording"], start, end)


def _peek(row, decoded: Audio) -> tuple[str, bytes | int | None]:
    """Why a clip cannot be read, from its header and its beginning, empty if it can; and a digest of that, of silence the file's size.

    decoded : what needs no more than decoding
    """
    start, end = _time(row, "start"), _time(row, "end")
    peek = (start or 0.0) + PEEK
    try:
        clip = read_clip(row["recording"], decoded, start, peek if end is None else min(end, peek))
    except AudioError as exc:
        return f"{row['path']}: {exc.reason}", None
    return "", digest_of(clip.y) or (row["path"] if is_address(row["recording"]) else os.path.getsize(row["recording"]))


def _readable(table: pd.DataFrame, root: Path, audio: Audio) -> pd.DataFrame:
    """`table` with the column `recording` (absolute paths); what is not a recording is left out, with a warning that names the reason."""
    table = table.assign(
        recording=[
            str(root / path) if isinstance(root, Address) else os.path.abspath(root / path) for path in table["path"]
        ]
    )
    decoded = Audio(channel=audio.channel)
    peeks = [_peek(row, decoded) for row in table.to_dict("records")]
    problems = [problem for problem, _ in peeks]
    found = [problem for problem in problems if problem]
    if len(found) == len(table):
        raise ValueError(f"none of the {len(table)} clips can be read ({examples(found, mark='; ')})")
    if found:
        warn(f"{len(found)} of {len(table)} clips cannot be read and are left out ({examples(found, mark='; ')})")
    table = table.assign(begins=[digest for _, digest in peeks])
    return table[[not problem for problem in problems]].reset_index(drop=True)


def _warn_of_copies(clips: pd.DataFrame, decoded: Audio) -> None:
    """Warn of recordings with the samples of another; those that begin alike are read whole."""
    rows = clips.to_dict("records")

    def samples(i: int) -> np.ndarray:
        try:
            return read_clip(rows[i]["recording"], decoded, _time(rows[i], "start"), _time(rows[i], "end")).y
        except AudioError:  # the loader will say so
            return np.zeros(1)

    warn_of_twins(clips, repeated_digests([row["begins"] for row in rows], samples), "is_valid")


def _lasts(row) -> float:
    """Seconds of a clip, by its file's header."""
    whole, end = recording_seconds(row["recording"]), _time(row, "end")
    return (whole if end is None else min(whole, end)) - (_time(row, "start") or 0.0)


@shows_parameters
class WaveDataLoaders(ClipDataLoaders):
    """fastai DataLoaders over the waveforms of recordings.

    Make them by `from_csv`, `from_df`, `from_folder`, `from_names` or `from_lists`. Besides fastai's own attributes: `audio`, `input`,
    `n_channels` (1), `size` (1, samples), `is_multi`, and `clips`, a table with one row a clip.

    Examples
    --------
    >>> dls = sp.WaveDataLoaders.from_folder("clips", audio=sp.Audio(sr=8000, duration=0.5), bs=4)
    >>> dls.one_batch()[0].shape
    torch.Size([4, 1, 1, 4000])
    """

    reads = "recording"

    @property
    def audio(self) -> Audio:
        """How recordings are read."""
        return self.input.audio

    @classmethod
    @shows(
        SpecDataLoaders.from_df,
        but=["renderer", "variants", "cache", "size", "method", "live", "wave_augment", "n_jobs", "progress"],
    )
    def from_df(
        cls,
        df: pd.DataFrame,
        path: Folder = ".",
        *,
        audio: Audio | None = None,
        seconds: float | None = None,
        windows: int | None = None,
        augment: WaveAugment | str | None = "default",
        **kwargs: Any,
    ) -> WaveDataLoaders:
        """DataLoaders from a table with one row a recording, or a row for each window of one.

        Each epoch reads all recordings, so long ones gain from more workers.

        Parameters
        ----------
        df : DataFrame
            Names and labels of recordings.
        path : str or path, default "."
            The recordings lie below `path/folder`.
        audio : Audio
            How recordings are read; its `sr` has to be given, and its `duration` where `seconds` is not.
        seconds : float, default None
            Length of a window: a random one in training, evenly spread ones in validation, over which predictions are averaged.
        windows : int, default None
            How many in validation; None: as many as cover the longest clip, 8 at most.
        augment : WaveAugment, "default" or None, default "default"
            How waveforms are changed in training.
        **kwargs
            As in `SpecDataLoaders.from_df`.

        Returns
        -------
        WaveDataLoaders
            Training and validation.

        Raises
        ------
        ValueError
            If clips come to no common length or cannot be read, and as in `SpecDataLoaders.from_df`.
        """
        sizing, changes = wave_sizing(audio, seconds, windows), wave_changes(augment, audio)
        columns, split, batches = take(Columns, kwargs), take(Split, kwargs), take(Batches, kwargs)
        clips = cls._readable_clips(df, path, audio, columns, split, **kwargs)
        path = "." if is_address(path) else path  # where a learner keeps its files
        if sizing.method == "crop" and windows is None:
            longest = audio.duration or max(map(_lasts, clips.evaluated.to_dict("records")))
            sizing = sizing.replace(windows=covering_windows(longest, seconds))
        fit = fit_wave(audio, sizing)
        block = TransformBlock(type_tfms=[ReadWave(audio)], item_tfms=[fit], dl_type=WaveDL)
        made = batches.dataloaders(clips, block, _item, path, batch_tfms=changes, input=WaveInput(fit))
        return cls(*made.loaders, path=path, device=made.device)

    @staticmethod
    def _readable_clips(
        df: pd.DataFrame,
        path: Folder,
        audio: Audio,
        columns: Columns,
        split: Split,
        folder: str = "",
        vocab: Sequence[str] | None = None,
        corrections: Corrections = None,
    ) -> SplitClips:
        """The clips that can be read, in training and validation."""
        root = as_folder(path) / folder
        table = label_table(df, root, columns, split, corrections, all_named=bool(folder))
        clips = split_clips(_readable(table, root, audio), split, vocab)
        _warn_of_copies(clips.clips, Audio(channel=audio.channel))
        return replace(clips, clips=clips.clips.drop(columns="begins"))

    def test_dl(
        self, test_items: Any, rm_type_tfms: int | None = None, with_labels: bool = False, **kwargs: Any
    ) -> TfmdDL:
        """A loader over new recordings.

        Samples of another rate are resampled; if a table has `start` and `end`, that part of the recording is read.

        Parameters
        ----------
        test_items : list of paths or of pairs (y, sr), folder, or DataFrame
            A table has the column `path`.
        rm_type_tfms, with_labels, **kwargs
            As in `SpecDataLoaders.test_dl`.

        Returns
        -------
        TfmdDL
            A loader of waveforms.

        Raises
        ------
        ValueError
            If there is nothing to predict on, a table lacks columns, or an item is a picture.
        """
        clips = as_clips(test_items, self.reads)
        if any(isinstance(source, Image.Image) for source in clips[self.reads]):
            raise ValueError("waveforms cannot be read from a picture; give paths of recordings, or pairs (y, sr)")
        return super().test_dl(clips, rm_type_tfms=rm_type_tfms, with_labels=with_labels, **kwargs)
