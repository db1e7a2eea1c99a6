"""Grad-CAM of clips: from a recording or its picture to a map on the picture's own pixels, and so in seconds and hertz.

    cam = clip_cam(learn, "cache/.../dog.wav.png", label="cat")
    cam.plot().savefig("why-not-a-cat.png")
    cam.peak                                  # (1.87, 2230.0): seconds in the source, hertz

A network is given a picture squeezed, padded, or window by window, by the `FitSize` of its data. Maps are brought back the same way;
overlapping windows are averaged, and what no window covers is 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from fastai.vision.all import IntToFloatTensor, Learner, ToTensor, compose_tfms
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
from ...data.images import FitSize, OpenPicture
from ...data.sources import list_sources
from ...data.waves import FitWave
from ...inference import Classifier
from ...render.renderer import Renderer
from ...spectrogram.picture import PictureError, PictureInfo, draw_pixels
from ...training.predict import activation
from .gradcam import METHODS, maps_and_logits
from .map_layers import MapLayer, evaluating, find_map_layers

# From sky blue to yellow: distinguishable with colour blindness, and neither is a grey of the picture below
_TINT = LinearSegmentedColormap.from_list("cam", ["#0077BB", "#33BBEE", "#FFDD33"])
_OPACITY = 0.65  # of the maximum


@dataclass(frozen=True, eq=False)
class Cam:
    """A class activation map of a clip: where in its picture there is evidence for a label.

    Rows and columns are the picture's pixels, whose seconds and hertz are `times` and `frequencies`.

    Parameters
    ----------
    values : ndarray
        float32 (height, width), 0 to 1; 1 is the maximum over all that the network was given, which may be padding.
    label : str
        The label.
    probability : float
        Probability of the label, 0 to 1, as the network predicts it.
    info : PictureInfo
        The picture's seconds, hertz and decibels.
    pixels : ndarray
        uint8 (channels, height, width), the picture.
    name : str
        Name of the source.

    Examples
    --------
    >>> from specimg.interpret import clip_cam
    >>> cam = clip_cam(learn, "dog.wav", "dog")
    >>> cam.label, cam.values.shape == cam.pixels.shape[1:]
    ('dog', True)
    >>> cam.grid(4, 8).shape
    (4, 8)
    >>> fig = cam.plot()
    """

    values: np.ndarray
    label: str
    probability: float
    info: PictureInfo
    pixels: np.ndarray
    name: str

    @property
    def times(self) -> np.ndarray:
        """Seconds in the source of each column, shape (width,)."""
        return self.info.times

    @property
    def frequencies(self) -> np.ndarray | None:
        """Hz of each row from the top down, shape (height,); None if rows are not frequencies."""
        return self.info.frequencies

    @property
    def peak(self) -> tuple[float, float | None] | None:
        """(seconds in the source, Hz) of the maximum; Hz is None if rows are not frequencies. None if the map is 0."""
        if not self.values.any():
            return None
        row, column = np.unravel_index(self.values.argmax(), self.values.shape)
        return float(self.times[column]), None if self.frequencies is None else float(self.frequencies[row])

    def grid(self, rows: int = 16, columns: int = 32) -> np.ndarray:
        """The map at low resolution.

        Parameters
        ----------
        rows, columns : int, default 16, 32
            Equal parts of the picture that are averaged.

        Returns
        -------
        ndarray
            uint8 (rows, columns), 0 to 255, high frequencies in row 0.
        """
        if rows < 1 or columns < 1:
            raise ValueError(f"a grid of {rows} x {columns}; give 1 or more rows and columns")
        small = Image.fromarray(self.values).resize((columns, rows), Image.Resampling.BOX)
        return np.round(np.asarray(small).clip(0, 1) * 255).astype(np.uint8)

    def plot(self, ax: Axes | None = None, title: str | None = None) -> Figure:
        """Draw the picture in grey over seconds and hertz, overlaid by the map in colour, with a contour at 0.5.

        Parameters
        ----------
        ax : Axes, optional
            Where to draw.
        title : str, optional
            Default the name, the label and its probability.

        Returns
        -------
        Figure
        """
        if ax is None:
            ax = new_figure(7, 3.5).add_subplot()
        planes = len(self.pixels) if len(self.pixels) in (2, 4) else 1  # one above the other, as in the file
        grey = self.pixels.reshape(-1, self.pixels.shape[2]) if planes > 1 else self.pixels.mean(axis=0)
        if title is None:
            title = f"{os.path.basename(self.name).removesuffix('.png')}: {self.label} {self.probability:.2f}"
        draw_pixels(ax, grey, self.info, title, cmap="gray")
        values = np.tile(self.values, (planes, 1))
        look = {"cmap": _TINT, "vmin": 0, "vmax": 1, "alpha": values * _OPACITY, "interpolation": "nearest"}
        ax.imshow(values, aspect="auto", extent=ax.images[-1].get_extent(), **look)
        if min(values.shape) > 1 and values.min() < 0.5 < values.max():
            ax.contour(self.times, np.arange(len(values)), values, levels=[0.5], colors="white", linewidths=1)
        return ax.figure


# ---------------------------------------------------------------- the network and its input
@dataclass(frozen=True, eq=False)
class PicturePipeline:
    """A learner or classifier as Grad-CAM needs it: network, vocabulary, and the steps from a picture to a batch."""

    model: torch.nn.Module
    vocab: list[str]
    renderer: Renderer | None
    item_tfms: list  # of validation
    batch_tfms: list
    probabilities: Callable[[Tensor], Tensor]  # of logits

    @classmethod
    def of(cls, classifier: Learner | Classifier) -> PicturePipeline:
        """ValueError if pictures are not fitted by a `FitSize`."""
        if isinstance(classifier, Learner):
            dls = classifier.dls
            items, batches = list(dls.valid.after_item.fs), list(dls.valid.after_batch.fs)
            renderer, act = getattr(dls, "renderer", None), activation(classifier.loss_func)
        elif not isinstance(getattr(classifier, "model", None), torch.nn.Module) or not hasattr(classifier, "input"):
            raise ValueError(
                f"{type(classifier).__name__} has no network for Grad-CAM; give a learner, or load_classifier(folder)"
            )
        else:
            dls, items, batches = classifier, [classifier.input.transform], [IntToFloatTensor()]
            renderer = classifier.renderer
            act = torch.sigmoid if classifier.is_multi else lambda logits: logits.softmax(dim=-1)
        kinds = {kind for step in items for kind in (FitSize, FitWave, ToTensor) if isinstance(step, kind)}
        if FitSize not in kinds and kinds != {ToTensor}:
            raise ValueError(
                f"the pictures of this {type(classifier).__name__} are not brought to one size by a FitSize or by fastai, so its "
                "maps cannot be located; give a learner over SpecDataLoaders or a SpecBlock, or a classifier made of one"
            )
        return cls(classifier.model, list(map(str, dls.vocab)), renderer, items, batches, act)

    def number(self, label: str | None) -> int | None:
        """The number of a label; None for None. ValueError for an unknown one."""
        return None if label is None else self.vocab.index(choose(str(label), self.vocab, "label"))

    def batch(self, pictures: list[Tensor]) -> Tensor:
        """Fitted pictures as a batch, on the network's device."""
        device = next(self.model.parameters()).device
        x = type(pictures[0])(torch.stack(list(pictures))).to(device)
        return compose_tfms((x,), self.batch_tfms, split_idx=1)[0].as_subclass(Tensor)

    def map_layers(self, x: Tensor, layer: str | None) -> list[MapLayer]:
        """The layers that Grad-CAM reads."""
        with evaluating(self.model):
            return find_map_layers(self.model, x.clone(), layer)


@dataclass(frozen=True, eq=False)
class FittedClip:
    """A clip's picture, and the part of it that the network is given."""

    name: str
    info: PictureInfo
    pixels: np.ndarray  # uint8 (channels, height, width)
    x: Tensor  # fitted
    cuts: list[tuple[int, int]]  # (first, last + 1) column of each window in the picture; may exceed it
    rows: tuple[int, int]  # (first, last + 1) row that the windows show; may exceed it, too

    @classmethod
    def of(cls, pipeline: PicturePipeline, name: str, source) -> FittedClip:
        """Open the picture, or draw the recording, and fit it. ValueError or OSError if that fails."""
        image = OpenPicture(pipeline.renderer).encodes(source)
        info, pixels = image.picture_info, image.planes
        if info is None:
            raise PictureError(f"{name!r} was not drawn by specimg: its seconds and hertz are not known")
        x = compose_tfms((image,), pipeline.item_tfms, split_idx=1)[0]
        if getattr(x, "part", None) is None:
            raise ValueError(
                f"{name!r}: an item transform made another picture of it, so nobody knows where on it a map belongs; "
                "fastai's Resize and crops, without mirrored edges, are followed"
            )
        left, top, right, bottom = x.part
        start, end = info.span
        whole = [(start + left * (end - start), start + right * (end - start))]
        column = (end - start) / info.width  # s
        cuts = [tuple(round((at - start) / column) for at in span) for span in getattr(x, "spans", None) or whole]
        return cls(name, info, pixels, x, cuts, (round(top * info.height), round(bottom * info.height)))

    def on_picture(self, maps: np.ndarray) -> np.ndarray:
        """The maps (windows, h, w) or (h, w) of its windows -> (height, width) on the picture's own pixels."""
        maps = maps.reshape(-1, *maps.shape[-2:])
        left, right = min(0, *(first for first, _ in self.cuts)), max(self.info.width, *(last for _, last in self.cuts))
        (upper, lower), top = self.rows, min(0, self.rows[0])
        shape = max(self.info.height, lower) - top, right - left
        total, times = np.zeros(shape), np.zeros(shape[1])
        for part, (first, last) in zip(maps, self.cuts):
            total[upper - top : lower - top, first - left : last - left] += _resized(part, lower - upper, last - first)
            times[first - left : last - left] += 1
        total /= np.maximum(times, 1)
        total /= total.max() or 1.0  # padding counts: where the maximum lies in it, the clip itself stays dark
        return total[-top : self.info.height - top, -left : self.info.width - left].astype(np.float32)


def _resized(part: np.ndarray, height: int, width: int) -> np.ndarray:
    x = torch.from_numpy(np.ascontiguousarray(part))[None, None]
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=False, antialias=True)[0, 0].numpy()


def _cams(
    pipeline: PicturePipeline,
    clips: list[FittedClip],
    numbers: list[int | None],
    layer: str | list[MapLayer] | None,
    method: str,
) -> list[Cam | None]:
    """One Cam per clip, in order; None if the network returns NaN."""
    maps, logits = maps_and_logits(pipeline.model, pipeline.batch([clip.x for clip in clips]), numbers, layer, method)
    probs, maps, cams = pipeline.probabilities(logits.float()).cpu().numpy(), maps.cpu().numpy(), []
    for clip, number, cam, prob, logit in zip(clips, numbers, maps, probs, logits.cpu().numpy()):
        number = int(logit.argmax()) if number is None else number
        known = np.isfinite(logit).all() and np.isfinite(cam).all()
        label, probability = pipeline.vocab[number], float(prob[number])
        picture = clip.on_picture(cam) if known else None
        cams.append(Cam(picture, label, probability, clip.info, clip.pixels, clip.name) if known else None)
    return cams


_DIVERGED = "the network returns NaN or infinity: it diverged in training"


def one_cam(pipeline: PicturePipeline, name: str, source, label: str | None, layer: str | None, method: str) -> Cam:
    """`clip_cam` of one source as `list_sources` names it."""
    number = pipeline.number(label)
    (cam,) = _cams(pipeline, [FittedClip.of(pipeline, name, source)], [number], layer, method)
    if cam is None:
        raise ValueError(f"{name}: {_DIVERGED}")
    return cam


def clip_cam(
    classifier: Learner | Classifier,
    source: str | os.PathLike | tuple[np.ndarray, int],
    label: str | None = None,
    layer: str | None = None,
    method: str = "gradcam",
) -> Cam:
    """Where in a clip there is evidence for a label, by Grad-CAM.

    Parameters
    ----------
    classifier : Learner or Classifier
        A learner over `SpecDataLoaders`, or a saved classifier.
    source : path or (ndarray, int)
        A recording, as a file or as samples and sampling rate in Hz, drawn as in training; or its picture, the PNG of a tree.
    label : str, optional
        Any label of the vocabulary; default the most probable.
    layer : str, optional
        Name of the layer to read, such as "layer3"; default the last with maps.
    method : {"gradcam", "hirescam"}, default "gradcam"
        As in `class_maps`.

    Returns
    -------
    Cam

    Raises
    ------
    ValueError
        For an unknown label, an unreadable file, a network without maps, and one that returns NaN.
    FileNotFoundError
        For a missing picture.

    References
    ----------
    Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", ICCV 2017.

    Examples
    --------
    >>> from specimg.interpret import clip_cam
    >>> cam = clip_cam(learn, "dog.wav", "cat")
    >>> cam.label, 0 <= cam.probability <= 1
    ('cat', True)
    """
    names, sources = list_sources([source])
    return one_cam(PicturePipeline.of(classifier), names[0], sources[0], label, layer, method)


def _reason(exc: Exception) -> str:
    # the reason of an AudioError is without the path
    return getattr(exc, "reason", None) or getattr(exc, "strerror", None) or str(exc)


def fitted_batches(
    pipeline: PicturePipeline, names: list[str], sources: list, bs: int, failures: list[str]
) -> Iterator[list[FittedClip | None]]:
    """The clips, `bs` at a time; None for unreadable ones and those unlike the first, noted with the reason in `failures`."""
    shape = None
    for at in range(0, len(names), bs):
        batch = []
        for name, source in zip(names[at : at + bs], sources[at : at + bs]):
            try:
                clip = FittedClip.of(pipeline, name, source)
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


def clip_cams(
    classifier: Learner | Classifier,
    sources: Iterable | str | os.PathLike,
    labels: str | Sequence[str | None] | None = None,
    layer: str | None = None,
    bs: int = 16,
    progress: bool = False,
    method: str = "gradcam",
) -> Iterator[Cam | None]:
    """`clip_cam` of many clips, batch by batch, in their order.

    A final warning counts the clips that could not be read, or for which the network returns NaN.

    Parameters
    ----------
    classifier, layer, method
        As in `clip_cam`.
    sources : iterable or path
        Recordings or pictures, also mixed; or a folder.
    labels : str or sequence, optional
        One for all clips, or one for each, where None is the most probable.
    bs : int, default 16
        Clips per batch.
    progress : bool, default False
        Show a bar.

    Yields
    ------
    Cam or None
        One for each source; None for a clip that failed.

    Raises
    ------
    ValueError
        At the call, for an unknown label or a wrong number of them.

    Examples
    --------
    >>> from specimg.interpret import clip_cams
    >>> [cam.label for cam in clip_cams(learn, "clips/dog", labels="dog", bs=4)]
    ['dog', 'dog', 'dog', 'dog', 'dog', 'dog']
    """
    pipeline = PicturePipeline.of(classifier)
    names, found = list_sources(sources if isinstance(sources, (str, os.PathLike, tuple)) else list(sources))
    if bs < 1:
        raise ValueError(f"bs={bs}: give at least 1 clip per batch")
    labels = [labels] * len(names) if labels is None or isinstance(labels, str) else list(labels)
    if len(labels) != len(names):
        raise ValueError(
            f"{count(len(labels), 'label')} for {count(len(names), 'clip')}; give one label, or one for each clip"
        )
    numbers = [pipeline.number(label) for label in labels]
    choose(method, METHODS, "method")

    def cams() -> Iterator[Cam | None]:
        failures, layers = [], layer
        with progress_bar(len(names), "cams", progress) as bar:
            for at, batch in zip(range(0, len(names), bs), fitted_batches(pipeline, names, found, bs, failures)):
                fitted = [(clip, number) for clip, number in zip(batch, numbers[at : at + bs]) if clip is not None]
                seen, wanted = [clip for clip, _ in fitted], [number for _, number in fitted]
                if fitted and not isinstance(layers, list):  # the layer is searched once
                    layers = pipeline.map_layers(pipeline.batch([seen[0].x]), layer)
                made = iter(_cams(pipeline, seen, wanted, layers, method) if fitted else [])
                for clip in batch:
                    cam = None if clip is None else next(made)
                    if clip is not None and cam is None:
                        failures.append(f"{clip.name}: {_DIVERGED}")
                    bar.update()
                    yield cam
        if failures:
            warn(f"{count(len(failures), 'clip')} of {len(names)} without a class map: {examples(failures, mark='; ')}")

    return cams()
