"""fastai's loader with three things added: it remembers which clips a batch holds, draws them on real axes, samples by weight.

`SpecBlock` is the input of a fastai DataBlock over recordings or pictures; its batches come from a `SpecDL`.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import IntToFloatTensor, L, TfmdDL, TransformBlock

from ..core.figures import new_figure
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import PictureInfo, draw_pixels
from .images import OpenPicture, SpecImage, TensorSpec
from .inputs import NetworkInput


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
        """One row a clip in the order of the data set: path, picture, and where known label, start, end, group, weight."""
        items = getattr(self.dataset, "items", [])
        if isinstance(items, pd.DataFrame):
            return items.reset_index(drop=True)
        names = [str(o) for o in items]
        return pd.DataFrame({"path": names, "picture": names})

    # -- remember which clips a batch holds: tensors lose what is hung on them when they are collated

    def do_item(self, s):
        item = super().do_item(s)
        x = item[0] if isinstance(item, tuple) else item
        x.index = s or 0
        return item

    def do_batch(self, b):
        batch = super().do_batch(b)
        firsts = [item[0] if isinstance(item, tuple) else item for item in b]
        x = batch[0] if isinstance(batch, tuple) else batch
        x.clips = [(o.index, getattr(o, "spans", None)) for o in firsts]
        return batch

    # -- showing

    def _draw(self, ax, x, clip, title: str) -> None:
        """One decoded input on its axes. clip : (its number, the seconds of its windows), or None if that is not known."""
        raise NotImplementedError

    def _sheet(self, samples, clips, titles, ctxs, nrows: int | None, ncols: int | None, figsize) -> np.ndarray:
        """Draw samples side by side; returns their axes."""
        n = len(samples)
        if ctxs is None:
            ncols = ncols or math.ceil(n / nrows if nrows else math.sqrt(n))
            nrows = nrows or math.ceil(n / ncols)
            fig = new_figure(*(figsize or (3.6 * ncols, 2.7 * nrows)))
            ctxs = fig.subplots(nrows, ncols, squeeze=False)
            for ax in ctxs.flat[n:]:
                ax.set_axis_off()
        axes = np.ravel(ctxs)
        for ax, sample, clip, title in zip(axes, samples, clips or [None] * n, titles):
            self._draw(ax, sample[0], clip, title)
        return axes

    def show_batch(self, b=None, max_n=9, ctxs=None, show=True, unique=False, nrows=None, ncols=None, figsize=None):
        """Draw up to `max_n` clips of a batch with their own seconds and hertz; returns the matplotlib Figure.

        unique : show one clip as augmentation varies it
        """
        if b is None:
            b = (self.new(get_idxs=lambda: [0] * max_n, drop_last=False) if unique else self).one_batch()
        if not show:
            return self._pre_show_batch(b, max_n=max_n)
        clips = getattr(b[0], "clips", None)
        samples = self._pre_show_batch(b, max_n=max_n)[2]
        titles = [_label_text(sample[1]) if len(sample) > 1 else "" for sample in samples]
        return self._sheet(samples, clips, titles, ctxs, nrows, ncols, figsize)[0].figure

    def show_results(self, b, out, max_n=9, ctxs=None, show=True, nrows=None, ncols=None, figsize=None):
        """Draw up to `max_n` clips with their label and, below it, what was predicted; returns the matplotlib Figure."""
        samples = self._pre_show_batch(b, max_n=max_n)[2]
        guesses = self._pre_show_batch((b[0], out), max_n=max_n)[2]
        if not show:
            return samples, guesses
        titles = [f"{_label_text(s[1])}\n{_label_text(g[1])}" for s, g in zip(samples, guesses)]
        axes = self._sheet(samples, getattr(b[0], "clips", None), titles, ctxs, nrows, ncols, figsize)
        fig = axes[0].figure
        for ax, s, g in zip(axes, samples, guesses):
            ax.title.set_color("black" if _label_text(s[1]) == _label_text(g[1]) else "firebrick")
        if "ipykernel" in sys.modules:  # Learner.show_results drops what we return
            from IPython.display import display

            display(fig)
        return fig


class SpecDL(ClipDL):
    """A loader that draws pictures."""

    def _info(self, index: int) -> PictureInfo | None:
        """What the text chunk of clip number `index` holds, drawn again where it was never stored; None for a picture from elsewhere."""
        items = self.dataset.tls[0].items
        o = items.iloc[index] if isinstance(items, pd.DataFrame) else items[index]
        for step in self.dataset.tls[0].tfms.fs:
            if isinstance(step, OpenPicture):
                return SpecImage.create(step.source(o)).picture_info
            o = step(o)
        return None

    def _draw(self, ax, x, clip, title: str) -> None:
        """One decoded picture (levels 0 to 255) on its axes; without axes if it is not known which `clip` it is."""
        index, spans = clip or (None, None)
        pixels = np.asarray(x if x.ndim == 3 else x[0])
        info = None if index is None else self._info(index)
        if info is None:
            TensorSpec(torch.from_numpy(pixels)).show(ctx=ax, title=title)
            return
        if len(pixels) == 3:
            flat = pixels.transpose(1, 2, 0)
        else:
            flat = pixels.reshape(-1, pixels.shape[-1])
        draw_pixels(
            ax, flat, replace(info, height=pixels.shape[1], width=pixels.shape[2]), title, spans[0] if spans else None
        )


def _label_text(y) -> str:
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
