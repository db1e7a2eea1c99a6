"""Grad-CAM of clips: from a recording or its picture to a map on the picture's own pixels, and so on seconds and hertz.

    cam = clip_cam(learn, "cache/.../dog.wav.png", label="cat")
    cam.plot().savefig("why-not-a-cat.png")
    cam.peak                                  # (1.87, 2230.0): seconds in the source, hertz

A network sees a picture squeezed, padded, or window by window, as the data's `FitSize` has it. The maps go the same way back; where
windows overlap their mean is taken, and what no window shows is 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from fastai.vision.all import IntToFloatTensor, Learner, compose_tfms
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from ...core.figures import new_figure
from ...core.progress import progress_bar
from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from ...data import list_sources
from ...data.images import FitSize, OpenPicture
from ...render.renderer import Renderer
from ...spectrogram.picture import PictureError, PictureInfo, draw_pixels
from ...training.predict import activation
from .gradcam import METHODS, look
from .layers import MapLayer, as_in_validation, find_map_layers

__all__ = ["Cam", "clip_cam", "clip_cams"]

# From sky blue to yellow: told apart by colour-blind readers, and neither is a grey of the picture below
_TINT = LinearSegmentedColormap.from_list("cam", ["#0077BB", "#33BBEE", "#FFDD33"])
_OPAQUE = 0.65  # of the strongest place


@dataclass(frozen=True, eq=False)
class Cam:
    """What in a clip speaks for a label.

    Rows and columns are the picture's pixels: `times` and `frequencies` say where they lie.
    """

    values: (
        np.ndarray
    )  # float32 (height, width), 0 to 1; 1 is the strongest place of all that the network saw, 0 where nothing is
    label: str
    probability: float  # of the label, as the network answers
    info: PictureInfo
    pixels: np.ndarray  # uint8 (channels, height, width): the picture
    name: str  # of the source

    @property
    def times(self) -> np.ndarray:
        """Seconds in the source of each column `(width,)`."""
        return self.info.times

    @property
    def frequencies(self) -> np.ndarray | None:
        """Hz of each row `(height,)`, from the top down; None where rows are not frequencies."""
        return self.info.frequencies

    @property
    def peak(self) -> tuple[float, float | None] | None:
        """(seconds in the source, Hz) of the strongest place; None for Hz where rows are not frequencies.

        None where nothing speaks for the label.
        """
        if not self.values.any():
            return None
        row, column = np.unravel_index(self.values.argmax(), self.values.shape)
        return float(self.times[column]), None if self.frequencies is None else float(self.frequencies[row])

    def grid(self, rows: int = 16, columns: int = 32) -> np.ndarray:
        """uint8 (rows, columns), 0 to 255: the mean over equal parts of the picture, high frequencies in row 0."""
        if rows < 1 or columns < 1:
            raise ValueError(f"a grid of {rows} x {columns}; give 1 or more rows and columns")
        small = Image.fromarray(self.values).resize((columns, rows), Image.Resampling.BOX)
        return np.round(np.asarray(small).clip(0, 1) * 255).astype(np.uint8)

    def plot(self, ax: Axes | None = None, title: str | None = None) -> Figure:
        """Draw the picture in grey with the map in colour over it, weak places transparent, a line round what is above 0.5.

        The axes say seconds and hertz.

        title : default the name, the label and its probability
        """
        if ax is None:
            ax = new_figure(7, 3.5).add_subplot()
        planes = (
            len(self.pixels) if len(self.pixels) in (2, 4) else 1
        )  # these stand one above the other, as in the file
        grey = self.pixels.reshape(-1, self.pixels.shape[2]) if planes > 1 else self.pixels.mean(axis=0)
        if title is None:
            title = f"{os.path.basename(self.name).removesuffix('.png')}: {self.label} {self.probability:.2f}"
        draw_pixels(ax, grey, self.info, title, cmap="gray")
        values = np.tile(self.values, (planes, 1))
        ax.imshow(
            values,
            cmap=_TINT,
            vmin=0,
            vmax=1,
            alpha=values * _OPAQUE,
            aspect="auto",
            extent=ax.images[-1].get_extent(),
            interpolation="nearest",
        )
        if min(values.shape) > 1 and values.min() < 0.5 < values.max():
            ax.contour(self.times, np.arange(len(values)), values, levels=[0.5], colors="white", linewidths=1)
        return ax.figure


# ---------------------------------------------------------------- what looks: a learner or a classifier
@dataclass(frozen=True, eq=False)
class Eyes:
    """What a learner or a classifier does to a picture before its network sees it, and with what the network answers."""

    model: torch.nn.Module
    vocab: list[str]
    renderer: Renderer | None
    item_tfms: list  # of validation
    batch_tfms: list
    probabilities: Callable[[Tensor], Tensor]  # of logits

    @classmethod
    def of(cls, looker) -> Eyes:
        """ValueError where pictures are not fitted by a `FitSize`."""
        if isinstance(looker, Learner):
            dls = looker.dls
            items, batches = list(dls.valid.after_item.fs), list(dls.valid.after_batch.fs)
            renderer, act = getattr(dls, "renderer", None), activation(looker.loss_func)
        elif not isinstance(getattr(looker, "model", None), torch.nn.Module) or not hasattr(looker, "input"):
            raise ValueError(
                f"{type(looker).__name__} has no network to look into; give a learner, or load_classifier(folder)"
            )
        else:
            dls, items, batches, renderer = looker, [looker.input.transform], [IntToFloatTensor()], looker.renderer
            act = torch.sigmoid if looker.is_multi else lambda logits: logits.softmax(dim=-1)
        if not any(isinstance(step, FitSize) for step in items):
            raise ValueError(
                f"this {type(looker).__name__} looks at no pictures that a FitSize brought to one size, so nobody "
                "knows where its maps lie; give a learner over SpecDataLoaders, or a classifier made of one"
            )
        return cls(looker.model, list(map(str, dls.vocab)), renderer, items, batches, act)

    def number(self, label: str | None) -> int | None:
        """Which class it is; None for None. ValueError for an unknown one."""
        return None if label is None else self.vocab.index(choose(str(label), self.vocab, "label"))

    def batch(self, pictures: list[Tensor]) -> Tensor:
        """Fitted pictures as the network takes them, on its device."""
        device = next(self.model.parameters()).device
        x = type(pictures[0])(torch.stack(list(pictures))).to(device)
        return compose_tfms((x,), self.batch_tfms, split_idx=1)[0].as_subclass(Tensor)

    def map_layers(self, x: Tensor, layer: str | None) -> list[MapLayer]:
        with as_in_validation(self.model):
            return find_map_layers(self.model, x.clone(), layer)


@dataclass(frozen=True, eq=False)
class Seen:
    """A clip's picture, and what of it the network is shown."""

    name: str
    info: PictureInfo
    pixels: np.ndarray  # uint8 (channels, height, width)
    x: Tensor  # fitted
    cuts: list[tuple[int, int]]  # (first, last + 1) column of each window in the picture; some reach beyond it

    @classmethod
    def of(cls, eyes: Eyes, name: str, source) -> Seen:
        """Open the picture, or draw the recording, and fit it. ValueError or OSError where that cannot be done."""
        image = OpenPicture(eyes.renderer).encodes(source)
        info, pixels = image.picture_info, image.planes
        if info is None:
            raise PictureError(f"{name!r} was not drawn by specimg: it does not say which seconds and hertz it shows")
        x = compose_tfms((image,), eyes.item_tfms, split_idx=1)[0]
        column = (info.span[1] - info.span[0]) / info.width  # s
        spans = getattr(x, "spans", None) or [info.span]
        cuts = [tuple(round((at - info.span[0]) / column) for at in span) for span in spans]
        return cls(name, info, pixels, x, cuts)

    def place(self, maps: np.ndarray) -> np.ndarray:
        """(windows, h, w) or (h, w), what was seen of each window -> (height, width), on the picture's own pixels."""
        maps = maps.reshape(-1, *maps.shape[-2:])
        left, right = min(0, *(first for first, _ in self.cuts)), max(self.info.width, *(last for _, last in self.cuts))
        total, times = np.zeros((self.info.height, right - left)), np.zeros(right - left)
        for part, (first, last) in zip(maps, self.cuts):
            total[:, first - left : last - left] += _resized(part, self.info.height, last - first)
            times[first - left : last - left] += 1
        total /= np.maximum(times, 1)
        total /= total.max() or 1.0  # padding counts: a clip of which the network looked at the padding stays dark
        return total[:, -left : self.info.width - left].astype(np.float32)


def _resized(part: np.ndarray, height: int, width: int) -> np.ndarray:
    x = torch.from_numpy(np.ascontiguousarray(part))[None, None]
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()


def _cams(
    eyes: Eyes, clips: list[Seen], numbers: list[int | None], layer: str | list[MapLayer] | None, method: str
) -> list[Cam | None]:
    """One Cam a clip, in order; None where the network answers NaN."""
    maps, answers = look(eyes.model, eyes.batch([clip.x for clip in clips]), numbers, layer, method)
    probs, maps, cams = eyes.probabilities(answers.float()).cpu().numpy(), maps.cpu().numpy(), []
    for clip, number, cam, prob, answer in zip(clips, numbers, maps, probs, answers.cpu().numpy()):
        number = int(answer.argmax()) if number is None else number
        known = np.isfinite(answer).all() and np.isfinite(cam).all()
        cams.append(
            Cam(clip.place(cam), eyes.vocab[number], float(prob[number]), clip.info, clip.pixels, clip.name)
            if known
            else None
        )
    return cams


_DIVERGED = "the network answers NaN or infinity: it diverged in training, and there is nothing to look into"


def cam_of(eyes: Eyes, name: str, source, label: str | None, layer: str | None, method: str) -> Cam:
    """`clip_cam` of one source as `list_sources` names it."""
    number = eyes.number(label)
    (cam,) = _cams(eyes, [Seen.of(eyes, name, source)], [number], layer, method)
    if cam is None:
        raise ValueError(f"{name}: {_DIVERGED}")
    return cam


def clip_cam(looker, source, label: str | None = None, layer: str | None = None, method: str = "gradcam") -> Cam:
    """What in a clip speaks for a label, by Grad-CAM.

    Parameters
    ----------
    looker : a learner over `SpecDataLoaders`, or a `Classifier`
    source : a recording, as a path or a pair `(y, sr)`, which is drawn as the training clips were; or its picture, the PNG of a tree
    label : any of the vocabulary, also one that the network did not choose; default the most probable
    layer : the name of the layer to look into, such as "layer3"; default the last that has maps
    method : "gradcam", or "hirescam" for networks whose dense layers see every cell of the maps by itself, see `maps`

    Raises ValueError for an unknown label, a file that cannot be read, a network without maps, and one that answers NaN; FileNotFoundError
    where there is no such picture.
    """
    names, sources = list_sources([source])
    return cam_of(Eyes.of(looker), names[0], sources[0], label, layer, method)


def _reason(exc: Exception) -> str:
    return (
        getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)
    )  # an AudioError has its reason without the path


def _batches(eyes: Eyes, names: list[str], sources: list, bs: int, failures: list[str]) -> Iterator[list[Seen | None]]:
    """The clips, `bs` at a time; None for what cannot be opened or is unlike the first, whose name and reason go into `failures`."""
    shape = None
    for at in range(0, len(names), bs):
        batch = []
        for name, source in zip(names[at : at + bs], sources[at : at + bs]):
            try:
                clip = Seen.of(eyes, name, source)
                shape = shape or clip.x.shape
                if clip.x.shape != shape:
                    raise ValueError(
                        f"is {tuple(clip.x.shape)} where the first is {tuple(shape)}; give pictures of one tree"
                    )
                batch.append(clip)
            except (ValueError, OSError) as exc:
                failures.append(f"{name}: {_reason(exc)}")
                batch.append(None)
        yield batch


def _many(
    eyes: Eyes,
    names: list[str],
    sources: list,
    numbers: list[int | None],
    layer: str | None,
    method: str,
    bs: int,
    progress: bool,
) -> Iterator[Cam | None]:
    failures, layers = [], layer
    with progress_bar(len(names), "cams", progress) as bar:
        for at, batch in zip(range(0, len(names), bs), _batches(eyes, names, sources, bs, failures)):
            clips = [(clip, number) for clip, number in zip(batch, numbers[at : at + bs]) if clip is not None]
            if clips and not isinstance(layers, list):  # the layer is searched once
                layers = eyes.map_layers(eyes.batch([clips[0][0].x]), layer)
            seen, shown = [clip for clip, _ in clips], [number for _, number in clips]
            cams = iter(_cams(eyes, seen, shown, layers, method) if clips else [])
            for clip in batch:
                cam = None if clip is None else next(cams)
                if clip is not None and cam is None:
                    failures.append(f"{clip.name}: {_DIVERGED}")
                bar.update()
                yield cam
    if failures:
        warn(f"{count(len(failures), 'clip')} of {len(names)} without a map: {examples(failures, mark='; ')}")


def clip_cams(
    looker,
    sources: Iterable,
    labels=None,
    layer: str | None = None,
    bs: int = 16,
    progress: bool = False,
    method: str = "gradcam",
) -> Iterator[Cam | None]:
    """`clip_cam` of many clips, batch by batch, one after the other in their order.

    A clip that cannot be opened, or of which the network answers NaN, is None; at the end a warning counts them.

    Parameters
    ----------
    looker, layer, method : as in `clip_cam`
    sources : recordings or pictures, also mixed; or a folder
    labels : one for all clips, or one for each, where None is the most probable
    bs : clips a batch
    progress : show a bar

    Raises ValueError, before anything is opened, where a label is unknown or their number is not that of the sources.
    """
    eyes = Eyes.of(looker)
    names, found = list_sources(sources if isinstance(sources, (str, os.PathLike, tuple)) else list(sources))
    if bs < 1:
        raise ValueError(f"bs={bs}: give 1 clip a batch or more")
    labels = [labels] * len(names) if labels is None or isinstance(labels, str) else list(labels)
    if len(labels) != len(names):
        raise ValueError(
            f"{count(len(labels), 'label')} for {count(len(names), 'clip')}; give one label, or one for each clip"
        )
    return _many(
        eyes,
        names,
        found,
        [eyes.number(label) for label in labels],
        layer,
        choose(method, METHODS, "method"),
        bs,
        progress,
    )
