"""What may be done to a waveform in training, as one value, on whole batches, on the device where they are.

    dls = SpecDataLoaders.from_df(df, "birds", method="crop", seconds=5, live=True,
                                  wave_augment=WaveAugment(mix=0.5, background="rain/", background_db=(0, 25)))

One clip alone: earlier or later, louder or softer, upside down, noise of any colour. Two clips: another one of the batch is heard too,
and its labels with it. And recordings without events, such as rain or wind, in the background.

torch-audiomentations does much of this, but needs torchaudio (0.12 does, and torchaudio is no longer kept), one library more for
pitch, and would not say which clips of a batch it mixed, by which the labels go; the few lines below are less than that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from fastai.vision.all import Transform

from ..audio import Audio, fit_length
from ..audio.find import find_audio
from ..core.cache import default_cache
from ..core.text import count, examples
from ..core.values import Value, register
from ..core.warnings import warn
from ..labels.csv_text import read_csv_text
from ..render.plan import jobs_of_files, jobs_of_segments, resolve_source
from ..render.waves import Waves, keep_waves
from .batches import augmentation
from .blend import Blend, partners
from .waves import TensorWave

NOISE_RANGE = 40.0  # dB: the softest noise lies that far below the loudest


@register
@dataclass(frozen=True)
class WaveAugment(Value):
    """How strongly waveforms are changed in training; 0, or None for noise and background, switches off.

    What then leaves [-1, 1] is made softer as a whole, background and all: clipping would add overtones, and the signal-to-noise ratio
    stays. Of the first batch in which something mixed in does that, a warning counts the clips.

    Parameters
    ----------
    shift : float, default 0.1
        Share of the window, 0 to below 1: the sound begins up to this much earlier or later; silence comes in.
    gain_db : float, default 6.0
        dB: up to this much louder or softer.
    noise_db : float, default 20.0
        dB: noise, at its loudest this far below the clip and up to 40 dB softer; None for no noise.
    noise_slope : tuple of float, default (0.0, 0.0)
        Least and largest exponent by which the noise's power falls with frequency, each clip draws its own: 0 is white, 1 pink
        (3 dB an octave), 2 brown.
    polarity : float, default 0.0
        Share of the clips that are turned upside down, which nobody hears.
    mix : float, default 0.0
        Share of the clips to which another clip of the batch is added [1]_. With several labels a clip it then has the labels of both,
        with one label each counts by its share of the amplitude [2]_ (a learner of `spec_learner` does that).
    mix_db : float, default 6.0
        dB: the other clip's level (root mean square) lies up to this far above or below.
    background : str, default None
        Recordings without events, such as rain: a folder, or a csv table with the column `path` (from the table's folder) and, where
        parts of them are meant, `start` and `end` in seconds. None for no background.
    background_share : float, default 0.5
        Share of the clips that have a background.
    background_db : tuple of float, default (3.0, 30.0)
        dB: least and largest signal-to-noise ratio with it; below 0 the background is louder.

    Raises
    ------
    ValueError
        For numbers out of range.

    References
    ----------
    .. [1] Zhang et al., "mixup: Beyond empirical risk minimization", ICLR 2018, arXiv:1710.09412; with all labels kept, as winners of
       G2Net (2021) and BirdCLEF (2025, 2026) did.
    .. [2] Tokozume, Ushiku & Harada, "Learning from between-class examples for deep sound recognition", ICLR 2018, arXiv:1711.10282.

    Examples
    --------
    >>> from specimg.data import WaveAugment
    >>> WaveAugment(noise_db=None)
    WaveAugment(noise_db=None)
    >>> WaveAugment(mix=0.5, background="rain", background_db=(0, 25), noise_slope=(0, 2)).background_db
    (0.0, 25.0)
    """

    shift: float = 0.1
    gain_db: float = 6.0
    noise_db: float | None = 20.0
    noise_slope: tuple[float, ...] = (0.0, 0.0)
    polarity: float = 0.0
    mix: float = 0.0
    mix_db: float = 6.0
    background: str | None = None
    background_share: float = 0.5
    background_db: tuple[float, ...] = (3.0, 30.0)

    def __post_init__(self):
        if isinstance(self.background, os.PathLike):
            object.__setattr__(self, "background", os.fspath(self.background))
        super().__post_init__()

    def _check(self):
        self._need(0 <= self.shift < 1, "give a share, 0 (off) to below 1", "shift")
        for name in ("gain_db", "mix_db"):
            self._need(getattr(self, name) >= 0, "it goes both ways: give 0 (off) or more", name)
        for name in ("polarity", "mix", "background_share"):
            self._need(0 <= getattr(self, name) <= 1, "give a share, 0 (off) to 1", name)
        for name, least, most, unit in (("noise_slope", -2, 4, "exponents"), ("background_db", -60, 120, "decibels")):
            found = getattr(self, name)
            fits = len(found) == 2 and least <= found[0] <= found[1] <= most
            self._need(fits, f"give two {unit}, the least and the largest, between {least} and {most}", name)

    @property
    def mixes_in(self) -> bool:
        """Whether other recordings are added."""
        return bool(self.mix or (self.background is not None and self.background_share))


# ---------------------------------------------------------------------- on batches


def _uniform(like: torch.Tensor) -> torch.Tensor:
    """A number from -1 to 1 for each waveform, `(n, 1, 1, 1)`."""
    return torch.rand(len(like), 1, 1, 1, device=like.device, dtype=like.dtype) * 2 - 1


def _share(like: torch.Tensor) -> torch.Tensor:
    """A number from 0 to 1 for each waveform, `(n, 1, 1, 1)`."""
    return torch.rand(len(like), 1, 1, 1, device=like.device, dtype=like.dtype)


def _level(x: torch.Tensor) -> torch.Tensor:
    """Root mean square of each waveform, `(n, 1, 1, 1)`."""
    return x.square().mean(-1, keepdim=True).sqrt()


def _shifted(x: torch.Tensor, most: float) -> torch.Tensor:
    """Each waveform later or earlier by up to `most` of its length; zeros come in, nothing comes round."""
    length = x.shape[-1]
    at = torch.arange(length, device=x.device) - (_uniform(x) * most * length).round().long()
    inside = (at >= 0) & (at < length)
    return x.gather(-1, at.clamp(0, length - 1).expand_as(x)) * inside


def _noise(like: torch.Tensor, slope: tuple[float, ...]) -> torch.Tensor:
    """Noise of level 1 whose power falls with frequency to a power from `slope`, one for each waveform."""
    white = torch.randn_like(like)
    if not any(slope):
        return white
    exponent = slope[0] + (slope[1] - slope[0]) * _share(like)
    spectrum = torch.fft.rfft(white)
    bins = torch.arange(spectrum.shape[-1], device=like.device, dtype=like.dtype).clamp(min=1)
    coloured = torch.fft.irfft(spectrum * bins ** (-exponent / 2), n=like.shape[-1])
    return coloured / _level(coloured).clamp(min=1e-12)


def _at_level(y: torch.Tensor, of: torch.Tensor, below_db: torch.Tensor) -> torch.Tensor:
    """`y`, that many dB below the level of `of`; silence stays silence."""
    level = _level(y)
    factor = _level(of) * 10 ** (-below_db / 20) / torch.where(level > 0, level, torch.ones_like(level))
    return y * factor * (level > 0)


class MixWaves(Blend):
    """fastai batch transform that adds another clip of the batch to some of `(n, 1, 1, samples)`, and its labels, in training only."""

    order, moves = -30, False  # before they are drawn

    def __init__(self, settings: WaveAugment):
        super().__init__()
        self.settings = settings

    def _blend(self, x: TensorWave) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, bool]:
        y = x.as_subclass(torch.Tensor)
        others = partners(len(y), y.device)
        below = _uniform(y) * self.settings.mix_db
        other = _at_level(y[others], y, below) * (_share(y) < self.settings.mix)
        heard = _level(other).flatten() > 0
        own = torch.where(heard, 1 / (1 + 10 ** (-below.flatten() / 20)), torch.ones_like(below.flatten()))
        return (y + other).as_subclass(type(x)), own, others, True


class AugmentWaves(Transform):
    """fastai batch transform that applies a `WaveAugment` to `(n, 1, 1, samples)`, in training only; but for `mix`, see `MixWaves`.

    What would leave [-1, 1] is made softer as a whole.

    backgrounds : the recordings of `settings.background`
    """

    order, split_idx = -20, 0  # before they are drawn

    def __init__(self, settings: WaveAugment = WaveAugment(), backgrounds: Waves | None = None):
        super().__init__()
        self.settings, self.backgrounds, self.said = settings, backgrounds, False

    @property
    def moves(self) -> bool:
        """Whether a sound stands elsewhere in the window afterwards."""
        return bool(self.settings.shift)

    def encodes(self, x: TensorWave) -> TensorWave:
        s, y = self.settings, x.as_subclass(torch.Tensor)
        if s.shift:
            y = _shifted(y, s.shift)
        if s.polarity:
            y = torch.where(_share(y) < s.polarity, -y, y)
        before = y
        if self.backgrounds is not None and s.background_share:
            least, most = s.background_db
            ratio = least + (most - least) * _share(y)
            chosen = _share(y) < s.background_share
            y = y + _at_level(self._background(chosen, y), before, ratio)
        if s.noise_db is not None:
            below = s.noise_db + NOISE_RANGE * _uniform(y).abs()
            y = y + _noise(y, s.noise_slope) * _level(before) * 10 ** (-below / 20)
        if s.gain_db:
            y = y * 10 ** (_uniform(y) * s.gain_db / 20)
        peak = y.abs().amax(-1, keepdim=True)
        self._say(peak)
        out = (y / peak.clamp(min=1)).as_subclass(type(x))
        out.set_meta(x, as_copy=True)  # which clips these are
        return out

    def _background(self, chosen: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """A random part of a random recording for each chosen clip, `(n, 1, 1, samples)`, zeros for the others; short ones are repeated."""
        length, names = like.shape[-1], list(self.backgrounds.clips)
        parts = np.zeros((len(like), length), np.float32)
        for row in torch.nonzero(chosen.flatten()).flatten().tolist():
            name = names[int(torch.randint(len(names), (1,)))]
            room = max(0, self.backgrounds.clips[name].count - length)
            first = int(torch.randint(room + 1, (1,)))
            parts[row] = fit_length(self.backgrounds.read(name, first, length), length, "repeat")
        return torch.from_numpy(parts).to(like)[:, None, None]

    def _say(self, peak: torch.Tensor) -> None:
        """Once, how many clips of a batch are made softer for what was mixed in."""
        if self.said or not self.settings.mixes_in:
            return
        loud = int((peak > 1).sum())
        if loud:
            self.said = True
            most = 20 * float(peak.max().log10())
            warn(
                f"{loud} of {len(peak)} waveforms of a batch leave full scale with what is mixed in; they are made softer as a whole, by "
                f"{most:.1f} dB at most, at the same signal-to-noise ratio. This is said once"
            )


# ---------------------------------------------------------------------- backgrounds


def _background_jobs(background: str) -> tuple[str, list]:
    """(the folder, what to decode below it) of a folder or a csv table."""
    if os.path.isdir(background):
        if not find_audio(background):
            raise ValueError(
                f"background={background!r} is a folder without recordings; give one that holds some, such as rain, or leave it out"
            )
        root, _ = resolve_source(background, None)
        return root, jobs_of_files(root, root)
    if not os.path.isfile(background):
        raise ValueError(f"background={background!r} is not there; give a folder of recordings, or a csv table of them")
    table, root = read_csv_text(Path(background), "infer", None, None), os.path.realpath(os.path.dirname(background))
    if "path" not in table or not len(table):
        raise ValueError(
            f"background={background!r} has {count(len(table), 'row')} and the columns {', '.join(map(str, table))}; it needs 'path', the "
            "recordings, and may have 'start' and 'end'"
        )
    if {"start", "end"} <= set(table):
        return root, jobs_of_segments(table, root)
    root, names = resolve_source(table["path"].tolist(), root)
    return root, jobs_of_files(names, root)


def _is_silent(waves: Waves, name: str) -> bool:
    return not waves.read(name).any()


def background_waves(
    background: str, audio: Audio, cache: str | os.PathLike | None, n_jobs: int, progress: bool
) -> Waves:
    """The recordings of a background, decoded into a folder of their own below `cache`, at the rate and channel of `audio`, whole.

    ValueError where none of them sounds; a warning counts those that do not, or cannot be read.
    """
    audio = audio.replace(duration=None, trim_db=None, split_db=None, denoise=None, normalize=None)
    root, jobs = _background_jobs(background)
    identity = json.dumps([root, audio.to_dict()], sort_keys=True).encode("utf-8", "surrogatepass")
    name = f"background-{hashlib.blake2b(identity, digest_size=6).hexdigest()}"
    folder = Path(default_cache() if cache is None else cache).absolute() / name
    waves, reasons = keep_waves(folder, root, audio, jobs, n_jobs=n_jobs, progress=progress)
    wanted = [job for job in jobs if job.picture in waves.clips]
    reasons |= {job.picture: "is silent" for job in wanted if _is_silent(waves, job.picture)}
    waves.clips = {job.picture: waves.clips[job.picture] for job in wanted if job.picture not in reasons}
    told = examples([f"{job.path}: {reasons[job.picture]}" for job in jobs if job.picture in reasons], mark="; ")
    if not waves.clips:
        raise ValueError(
            f"background={background!r} holds {count(len(jobs), 'recording')} without sound ({told}); give others"
        )
    if reasons:
        warn(f"{len(reasons)} of {count(len(jobs), 'recording')} of the background {background!r} left out ({told})")
    return waves


def wave_changes(
    augment: WaveAugment | str | None, audio: Audio, cache=None, n_jobs: int = 1, progress: bool = True
) -> Sequence[Transform]:
    """The transforms of a `WaveAugment`, "default" (its defaults) or None (none); the recordings of its background are decoded first.

    audio : how the clips are read, `sr` given
    """
    changes = augmentation(augment, WaveAugment, AugmentWaves)
    if not changes:
        return []
    settings = changes[0].settings
    if settings.background is not None and settings.background_share:
        changes[0].backgrounds = background_waves(settings.background, audio, cache, n_jobs, progress)
    return [MixWaves(settings), *changes] if settings.mix else changes
