"""Recordings as waveforms for fastai: samples instead of pictures, for networks that take the sound itself.

    dls = WaveDataLoaders.from_csv("freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label",
                                   audio=Audio(sr=16000, duration=2.0))
    x, y = dls.one_batch()        # x: TensorWave (batch, 1, 1, samples), float32, nominally in [-1, 1]
    dls.show_batch()              # over each clip's own seconds
    learn = spec_learner(dls, "soundnet_cnn")

Clips differ in length, a batch may not: `Audio(duration=...)` cuts and pads all of them at their end; `seconds` shows a random window
in training and several evenly spread ones, averaged, in validation.

The headers of all files are read first, and what is no recording is left out with a warning. A file that breaks off or holds NaN
is found when a batch reads it: an error that names it.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Transform, TransformBlock
from PIL import Image

from ..audio import Audio, AudioError, read_clip, recording_seconds
from ..core.text import examples
from ..core.warnings import warn
from .clips import label_table
from .inputs import WaveInput
from .loader import ClipDL
from .loaders import ClipDataLoaders, as_list
from .sizes import covering_windows
from .sources import as_clips
from .split import deal_sides
from .waves import AugmentWaves, ReadWave, Span, WaveAugment, check_length, draw_wave, fit_wave

__all__ = ["WaveBlock", "WaveDL", "WaveDataLoaders"]

PEEK = 0.05  # s of a file that are decoded to see that it is a recording


def _augmentation(augment) -> list[Transform]:
    if augment is None:
        return []
    if augment == "default":
        augment = WaveAugment()
    if not isinstance(augment, WaveAugment):
        raise ValueError(f"augment={augment!r}: give 'default', None or a WaveAugment(...)")
    return [AugmentWaves(augment)]


class WaveDL(ClipDL):
    """A loader that draws waveforms."""

    def _draw(self, ax, x, clip, title: str) -> None:
        """One waveform (the first of several windows) over its seconds; over samples where it is not known which `clip` it is."""
        spans = clip[1] if clip else None
        draw_wave(ax, np.asarray(x).reshape(-1, x.shape[-1])[0], title, spans[0] if spans else None)


def WaveBlock(audio: Audio, seconds: float | None = None, windows: int | None = None) -> TransformBlock:
    """A fastai block for the input side of a DataBlock: paths of recordings become waveforms of one length.

    audio : with its `sr`, and its `duration` where `seconds` does not say the length
    seconds, windows : show windows of that length: a random one in training, `windows` (default 1) evenly spread ones in validation

    >>> DataBlock(blocks=(WaveBlock(Audio(sr=16000, duration=2.0)), CategoryBlock), get_items=..., get_y=...)      # doctest: +SKIP
    """
    check_length(audio, seconds, windows)
    return TransformBlock(type_tfms=[ReadWave(audio)], item_tfms=[fit_wave(audio, seconds, windows)], dl_type=WaveDL)


def _time(row, name: str) -> float | None:
    """A cell of a table that may lack this column; NaN is None."""
    value = row.get(name)
    return None if value is None or value != value else float(value)


def _item(row):
    """What `ReadWave` reads, from a row of the table of clips."""
    start, end = _time(row, "start"), _time(row, "end")
    return row["recording"] if start is None and end is None else Span(row["recording"], start, end)


def _trouble(row, decoded: Audio) -> str:
    """Why a clip cannot be read, from its header and its beginning; empty where it can. decoded : what needs no more than decoding."""
    start, end = _time(row, "start"), _time(row, "end")
    peek = (start or 0.0) + PEEK
    try:
        read_clip(row["recording"], decoded, start, peek if end is None else min(end, peek))
    except AudioError as exc:
        return f"{row['path']}: {exc.reason}"
    return ""


def _readable(table: pd.DataFrame, root: Path, audio: Audio) -> pd.DataFrame:
    """`table` with the column `recording` (absolute paths); what is no recording is left out, with a warning that says why."""
    table = table.assign(recording=[os.path.abspath(root / path) for path in table["path"]])
    decoded = Audio(channel=audio.channel)
    troubles = [_trouble(row, decoded) for row in table.to_dict("records")]
    bad = [trouble for trouble in troubles if trouble]
    if len(bad) == len(table):
        raise ValueError(f"none of the {len(table)} clips can be read ({examples(bad, mark='; ')})")
    if bad:
        warn(f"{len(bad)} of {len(table)} clips cannot be read and are left out ({examples(bad, mark='; ')})")
    return table[[not trouble for trouble in troubles]].reset_index(drop=True)


def _lasts(row) -> float:
    """Seconds of a clip, by its file's header."""
    whole, end = recording_seconds(row["recording"]), _time(row, "end")
    return (whole if end is None else min(whole, end)) - (_time(row, "start") or 0.0)


class WaveDataLoaders(ClipDataLoaders):
    """fastai DataLoaders over the waveforms of recordings.

    `from_csv`, `from_folder`, `from_names` and `from_lists` take the arguments of `from_df`. Besides fastai's own attributes:
    `audio`, `n_channels` (1), `size` (1, samples), `is_multi`, and `clips`, a table with one row a clip.
    """

    reads = "recording"

    @property
    def audio(self) -> Audio:
        """How recordings are read."""
        return self.input.audio

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
        audio: Audio | None = None,
        seconds=None,
        windows=None,
        bs=64,
        val_bs=None,
        augment="default",
        item_tfms=None,
        batch_tfms=None,
        num_workers=None,
        device=None,
        shuffle=True,
    ) -> WaveDataLoaders:
        """DataLoaders from a table with one row a recording, or a row for each window of one.

        Parameters
        ----------
        df, path, folder ... corrections : as in `SpecDataLoaders.from_df`
        audio : how recordings are read; its `sr` has to be given, and its `duration` where `seconds` is not
        seconds, windows : show windows of that length: a random one in training, `windows` evenly spread ones in validation (default as
            many as cover the longest clip, 8 at most), over which the network's answers are averaged
        augment : "default", a `WaveAugment`, or None
        item_tfms, batch_tfms : fastai transforms besides ours, of a `TensorWave`: of a clip's whole length, and of batches
        num_workers : default 0 on a CPU, else fastai's; each epoch reads all recordings, so that with long ones more may be worth it

        Raises
        ------
        ValueError : clips of no common length, and what `SpecDataLoaders.from_df` raises but for drawing
        """
        check_length(audio, seconds, windows)
        augmentation = _augmentation(augment)
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
        sides = deal_sides(_readable(table, Path(path) / folder, audio), valid_pct, fold, seed, vocab)
        if seconds is not None and windows is None:
            longest = audio.duration or max(map(_lasts, sides.held_out.to_dict("records")))
            windows = covering_windows(longest, seconds)
        block = WaveBlock(audio, seconds, windows)
        return cls._from_sides(
            sides,
            block,
            _item,
            dict(input=WaveInput(block.item_tfms[-1])),
            path,
            item_tfms=as_list(item_tfms),
            batch_tfms=[*augmentation, *as_list(batch_tfms)],
            balance=balance,
            bs=bs,
            val_bs=val_bs,
            num_workers=num_workers,
            device=device,
            shuffle=shuffle,
        )

    def test_dl(self, test_items, rm_type_tfms=None, with_labels=False, **kwargs):
        """A loader over new recordings: a list of paths or of pairs `(y, sr)`, a folder, or a table with the column `path`.

        Samples of another rate are resampled; where the table says `start` and `end`, that part of the recording is read.
        """
        clips = as_clips(test_items, self.reads)
        if any(isinstance(source, Image.Image) for source in clips[self.reads]):
            raise ValueError("waveforms cannot be read from a picture; give paths of recordings, or pairs (y, sr)")
        return super().test_dl(clips, rm_type_tfms=rm_type_tfms, with_labels=with_labels, **kwargs)
