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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.vision.all import Learner
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from . import __version__
from .audio import AudioError, find_audio
from .data import FitSize, Samples, SpecImage
from .files import write_whole
from .learner import create_spec_net
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

    def _tensor(self, source) -> torch.Tensor:
        """Recording or samples -> float `(channels, height, width)` or `(windows, channels, height, width)` in [0, 1]."""
        png = self.renderer.png(source.y, source.sr) if isinstance(source, Samples) else self.renderer.png(source)
        return self.fit(SpecImage.create(png), split_idx=1).float().div(255).as_subclass(torch.Tensor)

    @torch.inference_mode()
    def _probabilities(self, pictures: list[torch.Tensor]) -> np.ndarray:
        logits = self.model.eval()(torch.stack(pictures))
        return (logits.sigmoid() if self.is_multi else logits.softmax(dim=-1)).numpy()

    def predict(self, items, bs: int = 32, progress: bool = False) -> pd.DataFrame:
        """Label recordings.

        Parameters
        ----------
        items : a path, a folder, a list of paths, or a list of pairs `(y, sr)`
        bs : clips a batch

        Returns
        -------
        DataFrame with one row an item, in order: path, label (the most probable), probability, status ("ok", or why there is
        none), and p_<label> for each label; `attrs["vocab"]` names the labels
        """
        from tqdm import tqdm

        names, sources = _sources(items)
        probs, status = np.full((len(sources), len(self.vocab)), np.nan, np.float32), ["ok"] * len(sources)
        batch, rows = [], []
        for row, source in enumerate(tqdm(sources, unit="clip", disable=not progress)):
            try:
                batch.append(self._tensor(source))
                rows.append(row)
            except (AudioError, ValueError) as exc:
                status[row] = getattr(exc, "reason", str(exc))
            if len(batch) == bs or (batch and row == len(sources) - 1):
                probs[rows] = self._probabilities(batch)
                batch, rows = [], []
        if batch:   # the last item was a bad one
            probs[rows] = self._probabilities(batch)
        return self._table(names, probs, status)

    def _table(self, names: list[str], probs: np.ndarray, status: list[str]) -> pd.DataFrame:
        known = ~np.isnan(probs).any(axis=1)
        best = np.where(known, np.nan_to_num(probs).argmax(axis=1), 0)
        table = pd.DataFrame({
            "path": names, "label": [self.vocab[i] if k else None for i, k in zip(best, known)],
            "probability": probs[np.arange(len(probs)), best], "status": status,
        })
        table = pd.concat([table, pd.DataFrame(probs, columns=[f"p_{label}" for label in self.vocab])], axis=1)
        table.attrs["vocab"] = list(self.vocab)
        return table


def _sources(items) -> tuple[list[str], list]:
    """(names for the table, what to draw)."""
    if isinstance(items, (str, os.PathLike)):
        items = [Path(items) / name for name in find_audio(items)] if os.path.isdir(items) else [items]
    sources = [Samples(*o) if isinstance(o, tuple) else os.fspath(o) for o in items]
    return [s if isinstance(s, str) else f"samples {i}" for i, s in enumerate(sources)], sources


def save_classifier(learn: Learner, folder: str | os.PathLike) -> Path:
    """Write a learner of `spec_learner` over `SpecDataLoaders` as a folder: weights.safetensors and classifier.json.

    Raises ValueError where the learner is another, or the folder holds something else.
    """
    dls, folder = learn.dls, Path(folder)
    if getattr(dls, "renderer", None) is None or not hasattr(learn, "net_options"):
        raise ValueError("this learner does not say how its pictures were drawn or how its network is made; train with SpecDataLoaders and spec_learner")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SETTINGS).exists():
        raise ValueError(f"{str(folder)!r} holds files that are no classifier; give a new folder")
    fit = next(t for t in dls.valid.after_item.fs if isinstance(t, FitSize))
    settings = {
        "format": FORMAT, "specimg": __version__, "renderer": dls.renderer.to_dict(), "network": learn.net_options, "vocab": list(map(str, dls.vocab)),
        "is_multi": dls.is_multi, "fit": {"size": list(fit.size), "method": fit.method, "seconds": fit.seconds, "windows": fit.windows,
                                          "blank": [float(b) / 255 for b in fit.blank]},
    }
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in learn.model.state_dict().items()}
    write_whole(folder / WEIGHTS, save(state))
    write_whole(folder / SETTINGS, json.dumps(settings, indent=1).encode())
    return folder


def load_classifier(folder: str | os.PathLike) -> Classifier:
    """The classifier in a folder; runs no code from it. ValueError where something is missing or does not fit."""
    folder = Path(folder)
    try:
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ValueError(f"{str(folder)!r} is not a classifier (it has no {SETTINGS}); save_classifier writes one") from exc
    except ValueError as exc:
        raise ValueError(f"{str(folder / SETTINGS)!r} is not JSON: {exc}") from exc
    if settings.get("format") != FORMAT:
        raise ValueError(f"{str(folder)!r} is of format {settings.get('format')!r}; this specimg reads format {FORMAT}")
    try:
        renderer, net, fit = Renderer.from_dict(settings["renderer"]), settings["network"], FitSize(**_as_size(settings["fit"]))
        vocab, is_multi = settings["vocab"], settings["is_multi"]
        with torch.random.fork_rng(devices=[]):   # random weights that are replaced at once leave no trace
            model = create_spec_net(**{**net, "size": tuple(net["size"])})
        model.load_state_dict(load_file(folder / WEIGHTS))
    except (KeyError, TypeError, RuntimeError, SafetensorError, FileNotFoundError) as exc:
        raise ValueError(f"{str(folder)!r} cannot be loaded: {type(exc).__name__}: {str(exc)[:300]}") from exc
    return Classifier(model.eval(), renderer, vocab, is_multi, fit)


def _as_size(fit: dict) -> dict:
    return {**fit, "size": tuple(fit["size"]), "blank": tuple(fit["blank"])}
