"""fastai's loader with three things added: it remembers which clips a batch holds, draws them on real axes, samples by weight.

`SpecBlock` is the input of a fastai DataBlock over recordings or pictures; its batches come from a `SpecDL`.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import (
    EncodedMultiCategorize,
    IntToFloatTensor,
    L,
    Normalize,
    OneHotEncode,
    RandomErasing,
    TfmdDL,
    ToTensor,
    Transform,
    TransformBlock,
)
from fastai.vision.augment import AffineCoordTfm, LightingTfm

from ..core.figures import new_figure
from ..core.warnings import warn
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import MEND, PictureError, PictureInfo, draw_pixels
from .images import FitTransform, OpenPicture, SpecImage, TensorSpec
from .inputs import NetworkInput
from .waves import RecordingPart

# fastai's transforms that leave every pixel where it is; ours say themselves, by `moves`, whether they do
_STAY = (ToTensor, FitTransform, IntToFloatTensor, Normalize, LightingTfm, RandomErasing)


def follow_axes(transforms, split_idx: int | None) -> str:
    """What transforms of tensors leave of the seconds and hertz on the axes: "true", "augmented" (ours, nearly true) or "lost".

    split_idx : 0 in training, where alone fastai's affine transforms move anything
    """
    stay = (*_STAY, AffineCoordTfm) if split_idx else _STAY
    applied = [t for t in transforms if isinstance(t, AffineCoordTfm) or t.split_idx in (None, split_idx)]
    moves = [getattr(t, "moves", False if isinstance(t, stay) else None) for t in applied]
    return "lost" if None in moves else "augmented" if any(moves) else "true"


class ClipDL(TfmdDL):
    """fastai's loader that knows its clips: it remembers which ones a batch holds, draws them on real axes, and samples by weight.

    Parameters
    ----------
    dataset, bs, kwargs
        As in fastai's `TfmdDL`.
    input : NetworkInput, default None
        What the network is given of a clip; None in a DataBlock of one's own.
    tree : SpecTree, default None
        Where the pictures lie.
    weights : sequence of float, default None
        One a clip; a shuffled pass then draws that many clips with these odds, some twice, some never.
    """

    opens: type[Transform]  # the transform that opens a clip

    def __init__(
        self,
        dataset=None,
        bs: int = 64,
        input: NetworkInput | None = None,
        tree: SpecTree | None = None,
        weights=None,
        **kwargs,
    ):
        super().__init__(dataset, bs=bs, **kwargs)
        self.input, self.tree = input, tree
        self.weights = None if weights is None else [float(w) for w in weights]
        self._unread: list[str] = []  # why pictures since the last batch could not be read

    def new(self, dataset=None, cls=None, **kwargs):
        """A loader like this one, as fastai makes it; over another `dataset` the weights do not hold."""
        kept = {"input": self.input, "tree": self.tree, "weights": self.weights if dataset is None else None}
        return super().new(dataset, cls, **{**kept, **kwargs})

    def get_idxs(self):
        if self.weights is None or not self.shuffle:
            return super().get_idxs()
        return self.rng.choices(range(self.n), weights=self.weights, k=self.n)

    @property
    def clips(self) -> pd.DataFrame:
        """One row a clip in the order of the data set: path, picture, and where known label, start, end, group, weight.

        Of a DataBlock of one's own: path, picture (empty for recordings, which are drawn as they are needed), recording, label.
        """
        items = getattr(self.dataset, "items", [])
        if self.input is not None and isinstance(items, pd.DataFrame):
            return items.reset_index(drop=True)
        return pd.DataFrame([self._clip(index) for index in range(len(items))])

    def _opened(self, index: int) -> tuple[Transform | None, Any]:
        """The transform that opens clip number `index`, and what it is given."""
        items = self.dataset.tls[0].items
        o = items.iloc[index] if isinstance(items, pd.DataFrame) else items[index]
        for step in self.dataset.tls[0].tfms.fs:
            if isinstance(step, self.opens):
                return step, o
            o = step(o)
        return None, o

    def _clip(self, index: int) -> dict[str, Any]:
        """The row of a clip of somebody's own DataBlock."""
        step, o = self._opened(index)
        times = {"start": o.start, "end": o.end} if isinstance(o, RecordingPart) else {}
        o = o.path if times else o
        name = os.fspath(o) if isinstance(o, (str, os.PathLike)) else ""
        picture = os.fspath((step.file(o) if isinstance(step, OpenPicture) else None) or "")
        source = getattr(getattr(step, "tree", None), "source", None) or ""
        recording = os.path.abspath(os.path.join(source, name)) if name and not name.lower().endswith(".png") else ""
        row = {"path": name or f"item {index}", "picture": picture, "recording": recording, **times}
        return row | ({"label": self._label(index)} if len(self.dataset.tls) > 1 else {})

    def _label(self, index: int) -> str | list[str]:
        """The label of a clip, or its labels, as fastai shows them."""
        label = self.dataset.tls[1].decode(self.dataset.tls[1][index])
        return [str(one) for one in label] if isinstance(label, (list, L)) else str(label)

    @property
    def is_multi(self) -> bool:
        """Whether a clip may carry several labels."""
        targets = self.dataset.tls[1:]
        return bool(targets) and isinstance(targets[0].tfms.fs[-1], (OneHotEncode, EncodedMultiCategorize))

    # -- remember which clips a batch holds: tensors lose what is hung on them when they are collated

    def do_item(self, s):
        """An item; None, which fastai leaves out of the batch, if its picture cannot be read."""
        try:
            item = super().do_item(s)
        except PictureError as exc:
            self._unread.append(str(exc))
            return None
        if item is None:
            return None
        x = item[0] if isinstance(item, tuple) else item
        x.index = s or 0
        return item

    def do_batch(self, b):
        batch = super().do_batch(b)
        firsts = [item[0] if isinstance(item, tuple) else item for item in b]
        x = batch[0] if isinstance(batch, tuple) else batch
        x.clips = [(o.index, getattr(o, "spans", None)) for o in firsts]
        x.parts = [getattr(o, "part", None) for o in firsts]  # of each picture what is seen
        x.unread, self._unread = self._unread, []  # of a worker, which nobody would hear
        return batch

    def __iter__(self):
        for batch in super().__iter__():
            for problem in getattr(batch[0] if isinstance(batch, (tuple, list)) else batch, "unread", ()):
                warn(f"{problem}; the clip is left out. {MEND}")
            yield batch

    # -- showing

    @property
    def axes(self) -> str:
        """What this loader's transforms of tensors leave of seconds and hertz, see `follow_axes`."""
        items = self.after_item.fs
        first = next((i for i, t in enumerate(items) if isinstance(t, (ToTensor, FitTransform))), len(items))
        return follow_axes([*items[first:], *self.after_batch.fs], getattr(self.dataset, "split_idx", None))

    def _draw(self, ax, x, clip, part, title: str) -> None:
        """One decoded input on its axes.

        clip : (its number, the seconds of its windows), or None if that is not known
        part : what of its picture it shows, as `SpecImage.part`, or None if that is not known
        """
        raise NotImplementedError

    def _sheet(self, samples, x, titles, ctxs, nrows: int | None, ncols: int | None, figsize) -> np.ndarray:
        """Draw samples side by side; returns their axes."""
        n = len(samples)
        if ctxs is None:
            ncols = ncols or math.ceil(n / nrows if nrows else math.sqrt(n))
            nrows = nrows or math.ceil(n / ncols)
            fig = new_figure(*(figsize or (3.6 * ncols, 2.7 * nrows)))
            ctxs = fig.subplots(nrows, ncols, squeeze=False)
            for ax in ctxs.flat[n:]:
                ax.set_axis_off()
        axes, known = np.ravel(ctxs), self.axes
        nothing = [None] * n
        clips, parts = (nothing if known == "lost" else getattr(x, name, nothing) for name in ("clips", "parts"))
        for ax, sample, clip, part, title in zip(axes, samples, clips, parts, titles):
            self._draw(ax, sample[0], clip, part, title)
            if known == "augmented":
                for axis in (ax.xaxis, ax.yaxis):
                    if axis.get_label_text() in ("seconds", "Hz"):
                        axis.set_label_text(f"{axis.get_label_text()} (augmented)")
        return axes

    def show_batch(self, b=None, max_n=9, ctxs=None, show=True, unique=False, nrows=None, ncols=None, figsize=None):
        """Draw up to `max_n` clips of a batch with their own seconds and hertz; returns the matplotlib Figure.

        unique : show one clip as augmentation varies it
        """
        if b is None:
            b = (self.new(get_idxs=lambda: [0] * max_n, drop_last=False) if unique else self).one_batch()
        if not show:
            return self._pre_show_batch(b, max_n=max_n)
        samples = self._pre_show_batch(b, max_n=max_n)[2]
        titles = [label_text(sample[1]) if len(sample) > 1 else "" for sample in samples]
        return self._sheet(samples, b[0], self._blended(b, titles), ctxs, nrows, ncols, figsize)[0].figure

    def _blended(self, b, titles: list[str]) -> list[str]:
        """The titles; of clips that are blends, every label with its share."""
        shares, vocab = getattr(b[0], "shares", None), [str(label) for label in getattr(self, "vocab", None) or ()]
        target = None if len(b) < 2 or not vocab else b[1].as_subclass(torch.Tensor).cpu()
        if shares is not None and target is not None:
            target = shares.cpu() @ torch.nn.functional.one_hot(target.long(), len(vocab)).float()
        if target is None or target.ndim != 2 or ((target == 0) | (target == 1)).all():
            return titles
        return [_shared_title(row.tolist(), vocab) for row in target[: len(titles)]]

    def show_results(self, b, out, max_n=9, ctxs=None, show=True, nrows=None, ncols=None, figsize=None):
        """Draw up to `max_n` clips with their label and, below it, what was predicted; returns the matplotlib Figure."""
        if not show:
            return super().show_results(b, out, max_n=max_n, show=False)
        samples = self._pre_show_batch(b, max_n=max_n)[2]
        guesses = self._pre_show_batch((b[0], out), max_n=max_n)[2]
        titles = [f"{label_text(s[1])}\n{label_text(g[1])}" for s, g in zip(samples, guesses)]
        axes = self._sheet(samples, b[0], titles, ctxs, nrows, ncols, figsize)
        fig = axes[0].figure
        for ax, s, g in zip(axes, samples, guesses):
            ax.title.set_color("black" if label_text(s[1]) == label_text(g[1]) else "firebrick")
        return fig


class SpecDL(ClipDL):
    """A loader that draws pictures."""

    opens = OpenPicture

    @property
    def renderer(self) -> Renderer | None:
        """How recordings are drawn; None where only pictures are opened."""
        return next((step.renderer for step in self.dataset.tls[0].tfms.fs if isinstance(step, OpenPicture)), None)

    def _info(self, index: int) -> PictureInfo | None:
        """What the text chunk of clip number `index` holds, drawn again where it was never stored; None for a picture from elsewhere."""
        step, o = self._opened(index)
        return None if step is None else SpecImage.create(step.source(o)).picture_info

    def _draw(self, ax, x, clip, part, title: str) -> None:
        """One decoded picture (levels 0 to 255) on its axes; without axes if it is not known what it shows."""
        pixels = np.asarray(x if x.ndim == 3 else x[0])
        index, spans = clip or (None, None)
        info = None if index is None or part is None else self._info(index)
        if info is None:
            TensorSpec(torch.from_numpy(pixels)).show(ctx=ax, title=title)
            return
        flat = pixels.transpose(1, 2, 0) if len(pixels) == 3 else pixels.reshape(-1, pixels.shape[-1])
        (left, top, right, bottom), (start, end) = part, info.span
        span = spans[0] if spans else (start + left * (end - start), start + right * (end - start))
        info = replace(info, height=pixels.shape[1], width=pixels.shape[2])
        draw_pixels(ax, flat, info, title, span, (top, bottom))


def _shared_title(row: list[float], vocab: list[str]) -> str:
    """ "kick 0.6, snare 0.4"; labels that are there as a whole without a number."""
    heard = [(share, label) for share, label in zip(row, vocab) if share > 0.005]
    return ", ".join(f"{label} {share:.1g}" if share < 0.995 else label for share, label in sorted(heard, reverse=True))


def label_text(y) -> str:
    """A decoded target as text: a category, or several joined by semicolons."""
    return "; ".join(map(str, y)) if isinstance(y, (list, tuple, L)) else str(y)


def SpecBlock(renderer: Renderer | None = None, tree: SpecTree | None = None) -> TransformBlock:
    """The input of a fastai DataBlock: paths of recordings or of pictures become pictures.

    Parameters
    ----------
    renderer : Renderer, default None
        How recordings are drawn, in memory; None: as `tree` was, else `Renderer()`.
    tree : SpecTree, default None
        Recordings that it holds are opened there instead.

    Returns
    -------
    TransformBlock
        Give it a target's block beside it.

    Examples
    --------
    >>> from fastai.vision.all import CategoryBlock, DataBlock, parent_label
    >>> look = sp.Renderer(sp.Mel(n_mels=32))
    >>> data = DataBlock((sp.SpecBlock(look), CategoryBlock), get_y=parent_label)
    >>> dls = data.dataloaders(["clips/cat/cat0.wav", "clips/dog/dog0.wav"] * 5, bs=2, num_workers=0)
    >>> dls.one_batch()[0].shape
    torch.Size([2, 1, 32, 8])
    """
    if renderer is None and tree is None:
        renderer = Renderer()
    return TransformBlock(type_tfms=[OpenPicture(renderer, tree)], batch_tfms=IntToFloatTensor, dl_type=SpecDL)
