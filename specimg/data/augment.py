"""What may be done to a spectrogram in training, and what may not.

A spectrogram is not a photograph: left and right are before and after, up and down are high and low. So nothing is ever flipped
or rotated. What leaves a sound the same sound: beginning a little earlier or later, playing a little faster or slower, another
voice's pitch (a small shift of the frequency axis), another loudness, some noise, and short gaps in time and frequency (SpecAugment). Mixup of whole pictures belongs to `Recipe(mixup=...)`;
parts in time of another clip (`cut_mix`) change the labels here, see `blend`.

All of it runs on whole batches, on the device where they are, and only in training.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from fastai.vision.all import TensorImage, Transform

from ..core.values import Value, register
from .batches import augmentation
from .blend import Blend, partners

# of the range, from the fill: gain leaves it alone; the zero of a signed picture lies between two levels
SILENT = 0.51 / 255


HISS_GRAIN = 0.06  # of the range: 5 dB of 80, about the spread of the power of noise in a mel band
HISS_SLOPE = 0.1  # of the range: how much louder or softer at the top than in the middle


@register
@dataclass(frozen=True)
class Augment(Value):
    """How strongly pictures are changed in training.

    The default is only background noise (hiss), the one component that never lowered accuracy in short runs on any data set measured
    (benchmarks/transfer.py). Time shifts and masks help in long runs, such as 40 epochs from scratch; enable them there.

    Shares are of the picture's width, height or range, 0 to below 1; 0 switches off.

    Parameters
    ----------
    shift : float, default 0
        Share of the width: the sound begins up to this much earlier or later.
    stretch : float, default 0
        Up to this share slower or faster.
    freq_shift : float, default 0
        Share of the height: up to this much higher or lower.
    gain : float, default 0
        Share of the range: up to this much louder or softer; 0.05 is 4 dB of 80.
    noise : float, default 0
        Share of the range: largest standard deviation of white noise; each picture draws its own.
    hiss : float, default 0.3
        Share of the range: in half of the pictures a hiss of up to this level covers what is quieter.
    time_masks, freq_masks : int, default 1
        Gaps in time and in frequency (SpecAugment).
    time_mask, freq_mask : float, default 0
        Share of the width and of the height: the largest gap.
    band_gain : float, default 0
        Share of the range: random bands of frequency are up to this much louder or softer, with slopes between them (FilterAugment [2]_), as
        another room or microphone would have it; 0.075 is 6 dB of 80, the paper's.
    bands : tuple of int, default (3, 6)
        Fewest and most of these bands, of each batch.
    cut_mix : float, default 0
        Share of the clips of which a part in time, of random place and length, is another clip's (CutMix [3]_ along time only). Each label
        counts by its share of the time.

    Raises
    ------
    ValueError
        For shares out of range, and a negative number of gaps.

    References
    ----------
    .. [1] Park et al. (2019), "SpecAugment: A Simple Data Augmentation Method for Automatic Speech Recognition", arXiv 1904.08779.
    .. [2] Nam, Kim & Park (2022), "FilterAugment: An Acoustic Environmental Data Augmentation Method", ICASSP, arXiv 2110.03282 (the
       linear kind).
    .. [3] Yun et al. (2019), "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features", ICCV, arXiv 1905.04899.

    Examples
    --------
    >>> sp.Augment(), sp.Augment(shift=0.1, stretch=0.2, time_mask=0.15, freq_mask=0.15)    # for few epochs, for many
    (Augment(), Augment(shift=0.1, stretch=0.2, time_mask=0.15, freq_mask=0.15))
    """

    shift: float = 0.0
    stretch: float = 0.0
    freq_shift: float = 0.0
    gain: float = 0.0
    noise: float = 0.0
    hiss: float = 0.3
    time_masks: int = 1
    time_mask: float = 0.0
    freq_masks: int = 1
    freq_mask: float = 0.0
    band_gain: float = 0.0
    bands: tuple[int, ...] = (3, 6)
    cut_mix: float = 0.0

    def _check(self):
        for name in ("shift", "stretch", "freq_shift", "gain", "noise", "hiss", "time_mask", "freq_mask", "band_gain"):
            self._need(0 <= getattr(self, name) < 1, "give a share, 0 (off) to below 1", name)
        self._need(min(self.time_masks, self.freq_masks) >= 0, "give 0 (off) or more", "time_masks", "freq_masks")
        self._need(0 <= self.cut_mix <= 1, "give a share, 0 (off) to 1", "cut_mix")
        fits = len(self.bands) == 2 and 1 <= self.bands[0] <= self.bands[1]
        self._need(fits, "give two numbers, the fewest and the most, 1 or more", "bands")


def _uniform(n: int, most: float, like: torch.Tensor) -> torch.Tensor:
    """`(n, 1, 1, 1)` drawn evenly from -most to most."""
    return (torch.rand(n, 1, 1, 1, device=like.device, dtype=like.dtype) * 2 - 1) * most


def _moved(x: torch.Tensor, settings: Augment) -> torch.Tensor:
    """Shift, stretch and frequency shift in one bilinear look-up; what comes in from outside is 0. x: `(n, channels, height, width)`."""
    n = len(x)
    theta = torch.zeros(n, 2, 3, device=x.device, dtype=x.dtype)
    theta[:, 0, 0] = 1 + _uniform(n, settings.stretch, x).flatten()  # always positive: time never runs backwards
    theta[:, 0, 2] = 2 * _uniform(n, settings.shift, x).flatten()  # the grid is 2 wide
    theta[:, 1, 1] = 1
    theta[:, 1, 2] = 2 * _uniform(n, settings.freq_shift, x).flatten()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _hiss(level: torch.Tensor, most: float) -> torch.Tensor:
    """A background noise `(n, 1, height, width)` in dB pictures: a level below `most`, a slope over frequency, and its grain.

    Below 0, and so inaudible, in half of the pictures. In decibels the louder of two sounds is nearly their sum.
    """
    n, _, height, _ = level.shape
    slope = torch.linspace(-1, 1, height, device=level.device, dtype=level.dtype).view(1, 1, -1, 1)
    grain = torch.randn_like(level[:, :1])
    loudness = _uniform(n, most, level)
    hiss = loudness + HISS_SLOPE * _uniform(n, 1.0, level) * slope + HISS_GRAIN * grain
    return torch.where(loudness > 0, hiss, torch.zeros_like(hiss))


def _band_gains(level: torch.Tensor, most: float, bands: tuple[int, ...]) -> torch.Tensor:
    """FilterAugment, `(n, 1, height, 1)`: gains from -most to most at random rows, and straight lines between them."""
    n, height = len(level), level.shape[-2]
    knots = min(int(torch.randint(bands[0], bands[1] + 1, (1,))), height - 1) + 1  # the edges of that many bands
    if knots < 2:
        return _uniform(n, most, level)
    inner = torch.randperm(height - 2)[: knots - 2].sort().values + 1
    rows = torch.cat([torch.tensor([0]), inner, torch.tensor([height - 1])]).to(level.device)
    gains = _uniform(n * len(rows), most, level).view(n, -1)
    at = torch.arange(height, device=level.device)
    right = torch.bucketize(at, rows).clamp(min=1)
    left = right - 1
    along = ((at - rows[left]) / (rows[right] - rows[left])).to(level.dtype)
    return (gains[:, left] + along * (gains[:, right] - gains[:, left])).view(n, 1, height, 1)


def _gaps(n: int, length: int, most: float, like: torch.Tensor) -> torch.Tensor:
    """`(n, length)`, True in one gap of 0 to `most * length` pixels in each row."""
    size = torch.randint(int(most * length) + 1, (n, 1), device=like.device)
    begin = (torch.rand(n, 1, device=like.device) * (length - size + 1)).floor()
    at = torch.arange(length, device=like.device)
    return (at >= begin) & (at < begin + size)


class SpecAugment(Transform):
    """fastai batch transform that applies an `Augment` to pictures `(n, channels, height, width)` in [0, 1], in training only.

    Parameters
    ----------
    settings : Augment, default Augment()
        What is done.
    fill : tuple of float, default (0.0,)
        Level of "nothing there" of each channel: black for decibels, mid-grey for a signed picture.

    Examples
    --------
    >>> import torch
    >>> from fastai.vision.all import TensorImage
    >>> from specimg.data import SpecAugment
    >>> SpecAugment(sp.Augment())(TensorImage(torch.rand(2, 1, 32, 63)), split_idx=0).shape
    torch.Size([2, 1, 32, 63])
    """

    order, split_idx = 20, 0  # after the pictures became floats; training only

    def __init__(self, settings: Augment = Augment(), fill: tuple[float, ...] = (0.0,)):
        super().__init__()
        self.settings, self.fill = settings, tuple(fill)

    @property
    def moves(self) -> bool:
        """Whether a sound stands elsewhere in the picture afterwards."""
        return bool(self.settings.shift or self.settings.stretch or self.settings.freq_shift)

    def encodes(self, x: TensorImage) -> TensorImage:
        s, n = self.settings, len(x)
        plain = x.as_subclass(torch.Tensor)
        fill = torch.tensor(self.fill, device=x.device, dtype=plain.dtype).view(1, -1, 1, 1)
        level = plain - fill  # 0 is "nothing there" from here on
        if self.moves:
            level = _moved(level, s)
        if s.gain:
            audible = level.abs() > SILENT
            level = torch.where(audible, level + _uniform(n, s.gain, level), level)
        if s.band_gain:
            black_and_audible = (fill == 0) & (level > SILENT)  # of a signed picture it would be no gain
            level = torch.where(black_and_audible, level + _band_gains(level, s.band_gain, s.bands), level)
        if s.noise:
            std = _uniform(n, s.noise, level).abs()
            level = level + std * torch.randn_like(level)
        if s.hiss:
            level = torch.where(fill == 0, torch.maximum(level, _hiss(level, s.hiss)), level)  # black is quiet there
        for _ in range(s.time_masks if s.time_mask else 0):
            level = level.masked_fill(_gaps(n, x.shape[-1], s.time_mask, level)[:, None, None, :], 0.0)
        for _ in range(s.freq_masks if s.freq_mask else 0):
            level = level.masked_fill(_gaps(n, x.shape[-2], s.freq_mask, level)[:, None, :, None], 0.0)
        out = (level + fill).clamp(0, 1).as_subclass(type(x))
        out.set_meta(x, as_copy=True)  # which clips these are
        return out


class CutMixTime(Blend):
    """fastai batch transform that puts a part in time of another picture into some of `(n, channels, height, width)`, in training only.

    Of how long it is every share is as likely (Beta(1, 1), as in the paper).

    share : of the pictures
    """

    order, moves = (
        15,
        True,
    )  # after the pictures became floats, before noise and gaps; the seconds of the part are another clip's

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def _blend(self, x: TensorImage) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, bool]:
        y, width = x.as_subclass(torch.Tensor), x.shape[-1]
        others, drawn = partners(len(y), y.device), torch.rand(3, len(y), 1, device=y.device)
        columns = (drawn[0] * (width + 1)).floor().clamp(max=width) * (drawn[1] < self.share)
        first = (drawn[2] * (width - columns + 1)).floor()
        at = torch.arange(width, device=y.device)
        inside = (at >= first) & (at < first + columns)
        made = torch.where(inside[:, None, None, :], y[others], y)
        return made.as_subclass(type(x)), 1 - columns.flatten() / width, others, False


def picture_changes(augment: Augment | str | None, fill: tuple[float, ...] = (0.0,)) -> list[Transform]:
    """The transforms of an `Augment`, "default" (its defaults) or None (none)."""
    changes = augmentation(augment, Augment, partial(SpecAugment, fill=fill))
    return [CutMixTime(changes[0].settings.cut_mix), *changes] if changes and changes[0].settings.cut_mix else changes
