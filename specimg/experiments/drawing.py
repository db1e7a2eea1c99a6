"""From clips to pictures, and from pictures to probabilities: what all folds share.

All clips of a competition, of training and test set, are drawn into one tree, once. A clip that cannot be drawn is reported, and never ends a run.

    tree = draw_clips([comp.train, comp.test], comp.folder, renderer)
    train = join_pictures(comp.train, tree, "training clip")       # warns of clips that could not be drawn, and why
    probs = predict_pictures(classifier, train["picture"])
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import defaults
from torch import nn

from ..audio.variants import Variant
from ..competitions import Competition
from ..core.progress import progress_bar
from ..core.text import count, examples
from ..core.warnings import warn
from ..data.clip_table import drawn_tree, find_pictures
from ..data.images import SpecImage
from ..data.tta import TTA, TTAFit, fit_with_tta
from ..inference import Classifier
from ..labels.tables import KEY, clip_spans
from ..render.manifest import HAS_PICTURE
from ..render.renderer import Renderer
from ..render.tree import SpecTree
from ..spectrogram.picture import PictureError

PICTURES_AT_ONCE = 256  # through the network: a clip may have dozens of windows
_TIMED_CLIPS, _TIMED_MS = 20, 5000  # drawn to measure how long a picture takes: so many, or for so long


# ---------------------------------------------------------------------- pictures


def draw_clips(
    tables: Sequence[pd.DataFrame | None],
    folder: Path,
    renderer: Renderer,
    cache: str | os.PathLike | None = None,
    n_jobs: int = -1,
    progress: bool = True,
    variants: Sequence[Variant] = (),
) -> SpecTree:
    """One tree with a picture for each clip of the tables (columns `path` and where known `start, end`), each drawn once."""
    wanted = [table[[name for name in KEY if name in table]] for table in tables if table is not None and len(table)]
    clips = pd.concat(wanted, ignore_index=True).drop_duplicates()
    return drawn_tree(clips, folder, renderer, cache, n_jobs, progress, variants)


def draw_variants(
    tree: SpecTree,
    tables: Sequence[pd.DataFrame],
    folder: Path,
    renderer: Renderer,
    variants: Sequence[Variant],
    **drawing,
) -> SpecTree:
    """The tree of `draw_clips` with the variants of the clips of `tables` added. Warns about variants that could not be drawn."""
    if not variants:
        return tree
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # already warned about when the clips themselves were drawn
        more = draw_clips(tables, folder, renderer, variants=variants, **drawing)
    rows = [row for row in more._rows if row.variant]
    whole = {(row.path, row.start, row.end) for row in more._rows if not row.variant and row.status in HAS_PICTURE}
    lost = [row for row in rows if row.status not in HAS_PICTURE and (row.path, row.start, row.end) in whole]
    if lost:
        named = examples([f"{row.path} {row.variant}: {row.reason}" for row in lost], mark="; ")
        warn(f"{len(lost)} of {count(len(rows), 'variant')} could not be drawn; training does without them ({named})")
    return SpecTree(tree.root, tree.renderer, tree.source, [*tree._rows, *rows])


def join_pictures(table: pd.DataFrame, tree: SpecTree, noun: str, consequence: str = "left out") -> pd.DataFrame:
    """The rows that have a picture, with the column `picture` (absolute paths). A warning counts the others and gives reasons.

    noun, consequence : how the warning calls a clip, and what it says happens to those without a picture
    """
    drawn, pictures, lost = find_pictures(table, tree)
    if lost:
        warn(
            f"{len(lost)} of {count(len(table), noun)} could not be drawn and are {consequence} ({examples(lost, mark='; ')})"
        )
    return (
        table[drawn].assign(picture=pd.Series(pictures, index=table.index[drawn], dtype=object)).reset_index(drop=True)
    )


def milliseconds_per_picture(comp: Competition, renderer: Renderer) -> float | None:
    """Median time to draw a training clip in one process, over clips spread evenly through the table; None if none can be drawn."""
    clips = clip_spans(comp.train)
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, _TIMED_CLIPS + 1).round().astype(int))]
    times: list[float] = []
    for path, start, end in [chosen[0], *chosen]:  # the first once more: it pays for imports and filter banks
        began = time.perf_counter()
        try:
            renderer.png(os.path.join(comp.folder, path), start=start, end=end)
        except ValueError:  # an unreadable file; the run reports it
            continue
        times.append(1000 * (time.perf_counter() - began))
        if sum(times) > _TIMED_MS:
            break
    return round(float(np.median(times[1:] or times)), 2) if times else None


# ---------------------------------------------------------------------- probabilities


class PictureFiles(torch.utils.data.Dataset):
    """Pictures as tensors, `(windows, channels, height, width)` or without windows, 0 to 255."""

    def __init__(self, files: Sequence[str], fit: TTAFit):
        self.files, self.fit = [os.fspath(file) for file in files], fit

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        try:
            picture = SpecImage.create(self.files[i])
        except PictureError as exc:
            raise ValueError(f"{exc}; remove it, and the tree draws it again") from exc
        return self.fit(picture, split_idx=1).as_subclass(torch.Tensor)


def clips_per_batch(bs: int, fit: TTAFit) -> int:
    """Clips per batch: `bs`, or fewer where their windows are more than `PICTURES_AT_ONCE`."""
    starts = (fit.tta.windows or fit.windows) if fit.method == "crop" else 1
    return max(1, min(bs, PICTURES_AT_ONCE // (starts * len(fit.tta.lengths) * len(fit.tta.shifts))))


@torch.inference_mode()
def over_pictures(
    compute: Callable[[torch.Tensor], torch.Tensor],
    network: nn.Module,
    files: Sequence[str],
    fit: TTAFit,
    *,
    bs: int = 64,
    num_workers: int | None = None,
    device: str | torch.device | None = None,
    progress: bool = True,
    title: str = "",
) -> np.ndarray:
    """float32 `(pictures, ...)`: what `compute` gives for batches of pictures in 0 to 1, with the `network` on the same device.

    num_workers, device : default as in `SpecDataLoaders`: the GPU where there is one, and workers for it

    Raises ValueError if a picture cannot be read.
    """
    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if num_workers is None:
        num_workers = defaults.cpus if torch.cuda.is_available() else 0
    network.to(device).eval()
    pictures = PictureFiles(files, fit)
    loader = torch.utils.data.DataLoader(pictures, batch_size=clips_per_batch(bs, fit), num_workers=num_workers)
    parts = []
    with progress_bar(len(loader), title, progress, unit="batch") as bar:
        for x in loader:
            parts.append(compute(x.to(device).float().div(255)).float().cpu().numpy())
            bar.update()
    return np.concatenate(parts)


def predict_pictures(clf: Classifier, files: Sequence[str], tta: TTA = TTA(), **options) -> np.ndarray:
    """float32 `(pictures, classes)`: probabilities of drawn pictures, averaged over the windows of `tta`; options of `over_pictures`."""
    if not len(files):
        return np.zeros((0, len(clf.vocab)), np.float32)
    fit = fit_with_tta(clf.input.transform, tta)
    return over_pictures(lambda x: clf.activate(clf.model(x)), clf.model, files, fit, **options)
