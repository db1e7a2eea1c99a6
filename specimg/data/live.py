"""Pictures drawn live: samples go to the device in batches, and `graph` draws them there, as the renderer would.

    dls = SpecDataLoaders.from_csv("birds", "labels.csv", renderer=look, method="crop", seconds=5, live=True)

Only training's clips come so, a random part of each in every epoch; what may be done to a waveform (`WaveAugment`) is done before it is
drawn; `x.waves` of a batch is what was drawn, to be heard. Whatever is evaluated - validation, training's clips when they are predicted on, new recordings - takes the tree's way, which is
the saved classifier's: there is one renderer and one kind of classifier, and its figures are the same.

A part is drawn by itself, as `predict_windows` draws its windows. With `ref="max"` its own loudest cell is white; where a tree's
picture is cut, that of the whole clip was. A fixed `ref=` draws both alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from fastai.vision.all import Transform, TransformBlock

from ..audio import Audio, fit_length
from ..core.text import count, examples
from ..core.warnings import warn
from ..render.manifest import Row
from ..render.plan import Job
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..render.waves import Wave, Waves, keep_waves
from .graph import AudioFrontEnd, cannot_draw
from .graph.transform import Fourier
from .images import WHOLE, FitSize, OpenPicture, SpecImage, TensorSpec
from .loader import SpecBlock
from .split import SplitClips
from .wave_augment import WaveAugment, wave_changes
from .waves import TensorWave

AT_ONCE = 4  # clips that a CPU draws at once, whose frames stay in its cache
MOST_SAMPLES = (
    2**23
)  # that another device draws at once: frames of a quarter of a gigabyte, where they overlap fourfold
WAY_OUT = "leave out live=True, and pictures are drawn ahead"


# ---------------------------------------------------------------------- what can be drawn live


def refuse_live(live: bool, renderer: Renderer, variants: Sequence, item_tfms: object, wave_augment: object) -> None:
    """ValueError, with every reason, for what cannot be drawn in a batch."""
    if not live:
        raise ValueError(
            "wave_augment changes waveforms before they are drawn in the batch, and these are drawn ahead; give live=True too"
        )
    if not (wave_augment is None or isinstance(wave_augment, WaveAugment)):
        raise ValueError(f"wave_augment={wave_augment!r}: give None or WaveAugment(...)")
    why = cannot_draw(renderer.replace(audio=Audio(sr=renderer.audio.sr)), n_samples=1)
    if why:
        raise ValueError(f"no batch can be drawn live with {', nor with '.join(why)}; {WAY_OUT}")
    if variants:
        raise ValueError(
            "variants are pictures that are drawn ahead, live=True changes the sound in the batch: give wave_augment=, or "
            "leave one of the two out"
        )
    if item_tfms:
        raise ValueError(
            "item_tfms change stored pictures, and live=True has none of training's clips; give batch_tfms=, or "
            + WAY_OUT
        )


def _one(found: set, what: str, way_out: str) -> int:
    """The one number of a set. ValueError where there are several."""
    if len(found) > 1:
        shown = examples(sorted(found))
        raise ValueError(f"the clips have {len(found)} {what} ({shown}), and a batch has one; {way_out}")
    return next(iter(found))


def _samples_of(fit: FitSize, audio: Audio, sr: int, waves: Sequence[Wave]) -> int:
    """Samples of what is drawn of each clip."""
    seconds = audio.duration if fit.method == "squish" else fit.seconds
    if seconds is not None:
        return max(1, round(seconds * sr))
    trimmed = f"give Audio(duration=...), to which they are cut after trimming; or {WAY_OUT}"
    return _one({wave.count for wave in waves}, "lengths in samples", trimmed)


# ---------------------------------------------------------------------- transforms


def _name_of(picture: str, images: Path) -> str:
    """The name of a picture below the images of its tree."""
    return Path(picture).relative_to(images).as_posix()


@dataclass(frozen=True)
class LiveClip:
    """A clip of training: its picture, which names its samples, and which is opened where it is shown and evaluated."""

    picture: str


class ReadLive(Transform):
    """What is opened of a row of the table of clips: of training a `LiveClip`, else the picture or the recording that it names."""

    def encodes(self, row):  # without an annotation, by which fastai would convert what is returned
        picture = row["picture"]
        return picture if bool(row.get("is_valid", True)) or not isinstance(picture, str) else LiveClip(picture)


class OpenLive(OpenPicture):
    """In training a `LiveClip` becomes a `TensorWave` `(1, 1, samples)`, a random part of it; elsewhere its stored picture is opened.

    Anything else is opened or drawn as `OpenPicture` does it.
    """

    def __init__(self, tree: SpecTree, waves: Waves, samples: int, crop: bool):
        super().__init__(tree.renderer)
        self.images, self.waves, self.samples, self.crop = tree.images, waves, samples, crop
        self.training = False

    def __call__(self, b, split_idx=None, **kwargs):
        self.training = split_idx == 0
        return super().__call__(b, split_idx=split_idx, **kwargs)

    def source(self, o):
        return super().source(o.picture if isinstance(o, LiveClip) else o)

    def file(self, o):
        return super().file(o.picture if isinstance(o, LiveClip) else o)

    def encodes(self, o: LiveClip):
        if not self.training:
            return SpecImage.create(o.picture)
        name = _name_of(o.picture, self.images)
        wave = self.waves.clips[name]
        first = random.randint(0, max(0, wave.count - self.samples)) if self.crop else 0
        y = fit_length(self.waves.read(name, first, self.samples), self.samples)
        x = TensorWave(torch.from_numpy(y)[None, None])
        begin = wave.begin + first / wave.sr
        x.spans, x.part = [(begin, begin + self.samples / wave.sr)], WHOLE
        return x


class DrawLive(Transform):
    """Batch transform: waveforms float32 `(n, 1, 1, samples)` become pictures `(n, channels, height, width)`, in whole levels of 0 to 255.

    Drawn on the device where they are, in double precision. `x.waves`, float32 `(n, samples)`, is what was drawn.
    """

    order, moves = -10, False  # before everything that changes pictures; every sound stays where it is

    def __init__(self, front: AudioFrontEnd):
        super().__init__()
        self.front = front
        for part in front.modules():
            if isinstance(part, Fourier):
                part.products = False

    def encodes(self, x: TensorWave) -> TensorSpec:
        where = torch.device("cpu") if x.device.type == "mps" else x.device  # which has no double precision
        samples = x.as_subclass(torch.Tensor)[:, 0, 0].to(where)
        front = self.front.to(where)
        parts = samples.split(AT_ONCE if where.type == "cpu" else max(1, MOST_SAMPLES // samples.shape[1]))
        with torch.no_grad():
            out = TensorSpec(torch.cat([front.fitted(part) for part in parts]).to(x.device))
        out.set_meta(x, as_copy=True)  # which clips these are
        out.waves = samples  # to be heard
        return out


# ---------------------------------------------------------------------- clips and loaders


def _check_lengths(rows: list[Row], method: str, audio: Audio) -> None:
    """ValueError, before anything is decoded, for clips that come to no common rate or length."""
    if audio.sr is None:
        rates = f"Audio(sr=None) draws each at its own; give Audio(sr=...), or {WAY_OUT}"
        _one({row.sr for row in rows}, "sampling rates in Hz", rates)
    if method == "squish" and audio.duration is None:
        ways = f"give Audio(duration=...), or method='crop' or 'pad' with seconds=; or {WAY_OUT}"
        _one({round(row.duration, 6) for row in rows}, "lengths in seconds", ways)


@dataclass(frozen=True, eq=False)
class Live:
    """How training's clips are drawn live.

    clips : those of training that have samples, and all others
    block, get_x : input of a DataBlock
    draw : the batch transforms: what changes waveforms, and what draws them
    """

    clips: SplitClips
    block: TransformBlock
    get_x: ReadLive
    draw: list[Transform]


def live_clips(
    clips: SplitClips, tree: SpecTree, fit: FitSize, wave_augment: WaveAugment | None, n_jobs: int, progress: bool
) -> Live:
    """Decode training's clips, and put together what draws them. ValueError for what cannot be drawn so."""
    rows = tree.rows(_name_of(picture, tree.images) for picture in clips.train["picture"].unique())
    _check_lengths(rows, fit.method, tree.renderer.audio)
    jobs = [Job(*row[: len(Job._fields)]) for row in rows]
    waves, reasons = keep_waves(tree.root, tree.source, tree.renderer.audio, jobs, n_jobs=n_jobs, progress=progress)
    if reasons:
        told = examples([f"{job.path}: {reasons[job.picture]}" for job in jobs if job.picture in reasons], mark="; ")
        if len(reasons) == len(jobs):
            raise ValueError(f"none of the {len(jobs)} clips of training can be decoded ({told}); {WAY_OUT}")
        warn(f"{len(reasons)} of {count(len(jobs), 'clip')} of training cannot be decoded and are left out ({told})")
        without = clips.clips["picture"].isin([str(tree.images / name) for name in reasons]) & ~clips.clips["is_valid"]
        clips = replace(clips, clips=clips.clips[~without].reset_index(drop=True))
    kept = [waves.clips[job.picture] for job in jobs if job.picture not in reasons]
    sr = kept[0].sr
    samples = _samples_of(fit, tree.renderer.audio, sr, kept)
    one_window = FitSize(fit.size, fit.method, fit.seconds, 1, tuple(level / 255 for level in fit.blank))
    look = tree.renderer.replace(audio=Audio(sr=sr))  # the samples are conditioned already
    front = AudioFrontEnd(look, one_window, n_samples=samples)
    opened = OpenLive(tree, waves, samples, fit.method == "crop")
    plain = SpecBlock(tree.renderer)
    block = TransformBlock(type_tfms=[opened], batch_tfms=plain.batch_tfms, dl_type=plain.dl_type)
    changes = wave_changes(wave_augment, tree.renderer.audio.replace(sr=sr), tree.root.parent, n_jobs, progress)
    return Live(clips, block, ReadLive(), [*changes, DrawLive(front)])
