"""Test-time augmentation: a network reads several windows of a clip, and its outputs are averaged.

A window may begin a little earlier or later and last a little longer or shorter; nothing else is done to a sound here. It is
never turned round and never moved in frequency, because another pitch is another sound.

    TTA(shifts=(-0.1, 0.0, 0.1))                              # three windows of each clip where there was one
    predict_all(learn, dl=with_tta(learn.dls.valid, TTA(lengths=(0.9, 1.0, 1.1))))
    dataclasses.replace(clf, input=clf.input.with_tta(TTA(windows=10)))

`tta_spans` computes which seconds are read. `TTA()` gives the windows of validation. It is for pictures: waveforms have the
windows of their own loaders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from fastai.vision.all import TfmdDL

from ..core.values import Value, register
from ..spectrogram.picture import PictureInfo
from .images import FitSize, SpecImage, window_starts
from .sizes import Sizing

_OF_WAVES = "outputs of several windows of a waveform are averaged by WaveDataLoaders(..., seconds=..., windows=...)"


@register
@dataclass(frozen=True)
class TTA(Value):
    """Test-time augmentation: predictions are averaged over windows of a clip, each one of validation at every length and every shift.

    What lies beyond the picture is blank, so a wide shift shows less of the clip.

    Parameters
    ----------
    shifts : tuple of float, default (0.0,)
        A window begins later by these shares of its length, -1 to 1; negative is earlier.
    lengths : tuple of float, default (1.0,)
        A window lasts that many times as long, about its middle; above 0.
    windows : int, default None
        Evenly spread ones of `method="crop"`; None: as many as validation has.

    Raises
    ------
    ValueError
        For numbers out of range, and an empty tuple.

    Examples
    --------
    >>> sp.TTA(shifts=(-0.1, 0.0, 0.1))
    TTA(shifts=(-0.1, 0.0, 0.1))
    """

    shifts: tuple[float, ...] = (0.0,)
    lengths: tuple[float, ...] = (1.0,)
    windows: int | None = None

    def _check(self) -> None:
        for name in ("shifts", "lengths"):
            self._need(getattr(self, name), "give one number or more", name)
        for shift in self.shifts:
            self._need(abs(shift) <= 1, f"{shift:g} leads past a window's length; give -1 to 1", "shifts")
        for length in self.lengths:
            self._need(length > 0, f"a window cannot last {length:g} times as long; give numbers above 0", "lengths")
        self._need(self.windows is None or self.windows >= 1, "give 1 or more, or None", "windows")


def _windows(method: str, length: float, window: float, count: int, tta: TTA) -> list[tuple[float, float]]:
    """(start, length) of each window, in the unit of the clip's `length` and of `window`, which is the whole clip if it is squeezed."""
    bases = window_starts(length, window, tta.windows or count) if method == "crop" else [0.0]
    return [
        # an unchanged window begins exactly at its base
        (base + (1 - factor) * window / 2 + shift * window, factor * window)
        for base in bases
        for factor in tta.lengths
        for shift in tta.shifts
    ]


def tta_spans(
    method: str, length: float, seconds: float | None, windows: int | None, tta: TTA
) -> list[tuple[float, float]]:
    """(start, end) of every window of a clip, in seconds from the picture's left edge; some begin before 0 or end after `length`.

    Window by window, in each length by length, in each shift by shift. A shift is a share of the unchanged window.

    Parameters
    ----------
    method, seconds, windows : as in `FitSize`: the whole clip ("squish"), its first `seconds` ("pad"), or `windows` of `seconds` ("crop");
        None is one window
    length : the clip's, in seconds

    Raises ValueError if these do not go together, also with `tta.windows`.
    """
    Sizing(None, method, seconds, tta.windows if tta.windows is not None or method != "crop" else windows)
    if method == "pad" and seconds is None:
        raise ValueError("method='pad' needs seconds=, the length that clips are padded to")
    if not 0 < length < math.inf:
        raise ValueError(f"length={length}: a clip lasts a number of seconds above 0")
    found = _windows(method, length, length if method == "squish" else seconds, windows or 1, tta)
    return [(start, start + lasting) for start, lasting in found]


class TTAFit(FitSize):
    """Item transform: a `SpecImage` becomes a `TensorSpec` `(windows, channels, height, width)`; one window alone is not an axis.

    They are the windows of `tta`, each brought to `size`; in training too. All clips give the same number.
    """

    def __init__(self, *sizing: Any, tta: TTA = TTA(), **more: Any):
        super().__init__(*sizing, **more)
        Sizing(self.size, self.method, self.seconds, tta.windows)
        self.tta = tta

    def _info(self, o: SpecImage) -> PictureInfo | None:
        return o.picture_info if self.method == "squish" else super()._info(o)

    def _cuts(self, width: int, columns: int) -> list[tuple[int, int]]:
        # in whole columns, as validation counts them: seconds would round some windows otherwise
        found = _windows(self.method, width, columns, self.windows, self.tta)
        return [(round(start), max(1, round(lasting))) for start, lasting in found]


def fit_with_tta(fit: FitSize, tta: TTA) -> TTAFit:
    """`fit` with these windows in the place of its own; those of a `TTAFit` are replaced, not multiplied. ValueError for waveforms' fit."""
    if not isinstance(fit, FitSize):
        raise ValueError(
            f"{type(fit).__name__} is not a FitSize: TTA shifts and scales windows of pictures; {_OF_WAVES}"
        )
    blank = tuple(level / 255 for level in fit.blank)
    return TTAFit(fit.size, fit.method, fit.seconds, fit.windows, blank, tta=tta)


def with_tta(dl: TfmdDL, tta: TTA) -> TfmdDL:
    """A copy of a loader, such as `learn.dls.valid` or one of `dls.test_dl`, that reads these windows of every clip.

    A batch holds as many times more pictures. ValueError if the loader has no `FitSize`, as those of waveforms have none, or `tta` does
    not go with its method.
    """
    steps, known = getattr(getattr(dl, "after_item", None), "fs", []), getattr(dl, "input", None)
    if known is not None:
        known = known.with_tta(tta)  # refused for waveforms
    if not any(isinstance(step, FitSize) for step in steps):
        raise ValueError(
            f"this {type(dl).__name__} has no FitSize, so it does not know windows; give a loader of SpecDataLoaders, "
            f"or put FitSize among its item_tfms"
        )
    after_item = [fit_with_tta(step, tta) if isinstance(step, FitSize) else step for step in steps]
    return dl.new(after_item=after_item, **({"input": known} if known is not None else {}))
