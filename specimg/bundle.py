"""A trained classifier as a folder without pickled code, and its answers on new recordings.

    save_classifier(learn, "dog-or-not/")
    clf = load_classifier("dog-or-not/")
    clf.predict(["a.wav", "b.ogg"])          # DataFrame: path, label, probability, status, p_<label> ...

The folder holds `weights.safetensors` (numbers only) and `classifier.json` (how recordings are drawn, which network, which
labels). Loading builds the network by name from timm and fills in the numbers; nothing in the folder is ever executed.
"""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import DataLoader, IntToFloatTensor, Learner, ToTensor
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from . import __version__
from .data import list_sources
from .images import FitSize, Samples, SpecImage
from .files import is_leftover, write_whole
from .networks import create_spec_net
from .render import Renderer

__all__ = ["Classifier", "save_classifier", "load_classifier"]

FORMAT = 1
SETTINGS, WEIGHTS = "classifier.json", "weights.safetensors"


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network together with all that turns a recording into its answer."""

    model: nn.Module
    renderer: Renderer
    vocab: list[str]
    is_multi: bool        # several labels a clip: each has its own probability
    fit: FitSize          # how a picture is brought to the network's size

    def __repr__(self) -> str:
        several = ", several a clip" if self.is_multi else ""
        return f"Classifier({len(self.vocab)} labels{several}, pictures of {self.fit.size[0]} x {self.fit.size[1]} pixels, {self.fit.method!r})"

    def _tensor(self, source) -> torch.Tensor:
        """Recording or samples -> float `(channels, height, width)` or `(windows, channels, height, width)` in [0, 1]."""
        png = self.renderer.png(source.y, source.sr) if isinstance(source, Samples) else self.renderer.png(source)
        return self.fit(SpecImage.create(png), split_idx=1).float().div(255).as_subclass(torch.Tensor)

    @torch.inference_mode()
    def _probabilities(self, pictures: list[torch.Tensor]) -> np.ndarray:
        device = next(self.model.parameters()).device
        logits = self.model.eval()(torch.stack(pictures).to(device))
        return (logits.sigmoid() if self.is_multi else logits.softmax(dim=-1)).cpu().numpy()

    def predict(self, items, bs: int = 32, progress: bool = False) -> pd.DataFrame:
        """Label recordings.

        Parameters
        ----------
        items : recordings, or one of them, as paths or pairs `(y, sr)`; or a folder
        bs : clips a batch

        Returns
        -------
        DataFrame with one row an item, in order: path, label (the most probable; where a clip may have several,
        all above one half, joined by semicolons), probability (of the most probable), status ("ok", or why there is
        none), and p_<label> for each label; `attrs["vocab"]` names the labels
        """
        from tqdm import tqdm

        names, sources = list_sources(items)
        probs, status = np.full((len(sources), len(self.vocab)), np.nan, np.float32), ["ok"] * len(sources)
        batch, rows = [], []
        for row, source in enumerate(tqdm(sources, unit="clip", disable=not progress)):
            try:
                batch.append(self._tensor(source))
                rows.append(row)
            except ValueError as exc:   # an AudioError has its reason without the path
                status[row] = getattr(exc, "reason", str(exc))
            if len(batch) == bs:
                probs[rows] = self._probabilities(batch)
                batch, rows = [], []
        if batch:
            probs[rows] = self._probabilities(batch)
        return self._table(names, probs, status)

    def _label(self, probs: np.ndarray) -> str:
        """The most probable label; where a clip may have several, all above one half, joined by semicolons."""
        if self.is_multi:
            return "; ".join(label for label, p in zip(self.vocab, probs) if p > 0.5)
        return self.vocab[probs.argmax()]

    def _table(self, names: list[str], probs: np.ndarray, status: list[str]) -> pd.DataFrame:
        known = ~np.isnan(probs).any(axis=1)
        best = np.where(known, np.nan_to_num(probs).argmax(axis=1), 0)
        table = pd.DataFrame({
            "path": names, "label": [self._label(row) if k else None for row, k in zip(probs, known)],
            "probability": probs[np.arange(len(probs)), best], "status": status,
        })
        table = pd.concat([table, pd.DataFrame(probs, columns=[f"p_{label}" for label in self.vocab])], axis=1)
        table.attrs["vocab"] = list(self.vocab)
        return table


def _own_transforms(dl: DataLoader) -> list[str]:
    """What a loader does to validation's pictures beyond what a `Classifier` does."""
    known = (FitSize, ToTensor, IntToFloatTensor)
    return [type(t).__name__ for t in [*dl.after_item.fs, *dl.after_batch.fs] if t.split_idx != 0 and not isinstance(t, known)]


def save_classifier(learn: Learner, folder: str | os.PathLike) -> Path:
    """Write a learner of `spec_learner` over `SpecDataLoaders` as a folder: weights.safetensors and classifier.json.

    Raises ValueError where the learner is another, or the folder holds something else. Warns of item and batch transforms that
    validation has besides specimg's own: a classifier does without them.
    """
    dls, folder = learn.dls, Path(folder)
    if getattr(dls, "renderer", None) is None or not hasattr(learn, "net_options"):
        raise ValueError("this learner does not say how its pictures were drawn or how its network is made; "
                         "train with SpecDataLoaders and spec_learner")
    there = {file.name for file in folder.iterdir() if not is_leftover(file.name)} if folder.is_dir() else set()
    if SETTINGS not in there and there - {WEIGHTS}:
        raise ValueError(f"{str(folder)!r} holds files that are no classifier; give a new folder")
    own = _own_transforms(dls.valid)
    if own:
        warnings.warn(f"the classifier does without {', '.join(own)}, which validation has, so it will answer otherwise than the learner",
                      stacklevel=2)
    fit = next(t for t in dls.valid.after_item.fs if isinstance(t, FitSize))
    settings = {
        "format": FORMAT, "specimg": __version__, "renderer": dls.renderer.to_dict(), "network": learn.net_options,
        "vocab": list(map(str, dls.vocab)), "is_multi": dls.is_multi,
        "fit": {"size": list(fit.size), "method": fit.method, "seconds": fit.seconds, "windows": fit.windows,
                "blank": [float(b) / 255 for b in fit.blank]},
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in learn.model.state_dict().items()}
    (folder / SETTINGS).unlink(missing_ok=True)   # written last: new weights are never read with old labels
    write_whole(folder / WEIGHTS, save(state))
    write_whole(folder / SETTINGS, json.dumps(settings, indent=1).encode())
    return folder


def load_classifier(folder: str | os.PathLike) -> Classifier:
    """The classifier in a folder; runs no code from it. ValueError where something is missing or does not fit."""
    folder = Path(folder)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as exc:
        below = sorted(str(found.parent) for found in folder.glob(f"*/{SETTINGS}"))
        hint = f"did you mean {below[0]!r}?" if below else "save_classifier writes one"
        raise ValueError(f"{str(folder)!r} is not a classifier (it has no {SETTINGS}); {hint}") from exc
    except ValueError as exc:
        raise ValueError(f"{str(folder / SETTINGS)!r} is not JSON: {exc}") from exc
    version = settings.get("format") if isinstance(settings, dict) else None
    if version != FORMAT:
        raise ValueError(f"{str(folder)!r} is of format {version!r}; this specimg reads format {FORMAT}")
    try:
        renderer, net, fit = Renderer.from_dict(settings["renderer"]), settings["network"], FitSize(**_as_size(settings["fit"]))
        vocab, is_multi = settings["vocab"], settings["is_multi"]
        if len(vocab) != net["n_classes"]:
            raise ValueError(f"{len(vocab)} labels for a network of {net['n_classes']}")
        with torch.random.fork_rng(devices=[]):   # random weights that are replaced at once leave no trace
            model = create_spec_net(**{**net, "size": tuple(net["size"])})
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, FileNotFoundError) as exc:
        reason = " ".join(str(exc).split())   # torch's go over many lines
        raise ValueError(f"{str(folder)!r} cannot be loaded: {type(exc).__name__}: {reason[:300]}") from exc
    return Classifier(model.eval(), renderer, vocab, is_multi, fit)


def _as_size(fit: dict) -> dict:
    return {**fit, "size": tuple(fit["size"]), "blank": tuple(fit["blank"])}
