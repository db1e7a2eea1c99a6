"""A trained network together with all that turns a recording into its answer.

    clf = load_classifier("dog-or-not/")
    clf.predict(["a.wav", "b.ogg"])                    # DataFrame: path, label, probability, status, p_<label> ...
    clf.predict("night/", n_jobs=4, reject_below=0.7)  # a folder; "unknown" where the best probability is lower
    clf.predict_windows("night.wav", 5, overlap=2.5)   # DataFrame: path, start, end, label ... of every window, for `merge_events`
    clf.embed("night/")                                # DataFrame: path, status, e_0, e_1 ...

    x = clf.to_input("a.wav")                          # float (channels, height, width) or (windows, channels, height, width)
    clf.probabilities(x[None])                         # (1, classes), with the classifier's temperature

Recordings are drawn in memory by the renderer of training, to the byte; a classifier of waveforms reads their samples instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..audio import Audio
from ..core.progress import progress_bar
from ..data import NetworkInput
from ..data.images import Samples
from ..data.sources import list_sources
from ..render.renderer import Renderer
from .calibration import Calibration
from .ensemble import Ensemble, most_in_a_batch
from .long_recordings import predict_windows

__all__ = ["Classifier"]

UNKNOWN = "unknown"  # what `reject_below` makes of a label
THRESHOLD = 0.5  # of several labels those of a higher probability are said, where no others were fitted


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network and how it is asked; `load_classifier` makes one from a folder."""

    model: (
        nn.Module
    )  # (batch, channels, height, width), or with windows after the batch, in [0, 1] -> logits (batch, classes)
    input: NetworkInput  # what the network is given of a recording, and how a recording becomes that
    vocab: list[str]
    is_multi: bool  # several labels a clip: each has its own probability
    calibration: Calibration = Calibration()
    network: dict = field(
        default_factory=dict
    )  # arguments with which `create_spec_net` makes the network, or each of an ensemble's
    about: dict = field(default_factory=dict)  # "training" and "versions", as the folder tells them

    # -- what it is

    @property
    def renderer(self) -> Renderer | None:
        """How recordings are drawn; None for waveforms."""
        return self.input.renderer

    @property
    def audio(self) -> Audio:
        """How recordings are read."""
        return self.input.audio

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the network's input in pixels; (1, samples) of waveforms."""
        return self.input.size

    @property
    def temperature(self) -> float:
        """What logits are divided by before they become probabilities."""
        return self.calibration.temperature

    @property
    def thresholds(self) -> np.ndarray:
        """(classes,): the probability above which each label is said, where a clip may have several."""
        return np.array(self.calibration.thresholds or [THRESHOLD] * len(self.vocab))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def to(self, device) -> Classifier:
        """This classifier, its network moved to a device such as "cuda"."""
        self.model.to(device)
        return self

    def __repr__(self) -> str:
        several = ", several a clip" if self.is_multi else ""
        folds = f", {len(self.model)} networks" if isinstance(self.model, Ensemble) else ""
        return f"Classifier({len(self.vocab)} labels{several}, {self.input.describe()}{folds})"

    # -- one input, one batch

    def to_input(self, source) -> Tensor:
        """A recording (path, or pair `(y, sr)`) as the network takes it, without the axis of the batch.

        float32 `(channels, height, width)` in [0, 1], or `(1, 1, samples)`; with an axis of windows in front where there are several.
        Raises ValueError with the reason where it cannot be read.
        """
        return self.input.to_tensor(self.input.prepare(_plain_source(source)))

    def activate(self, logits: Tensor) -> Tensor:
        """Logits (batch, classes) of the network -> probabilities, with the classifier's temperature."""
        scaled = logits.float() / self.temperature
        return scaled.sigmoid() if self.is_multi else scaled.softmax(dim=-1)

    @torch.inference_mode()
    def probabilities(self, x: Tensor) -> np.ndarray:
        """float32 (batch, classes) for a batch of `to_input`'s tensors."""
        return self.activate(self.model.eval()(x.to(self.device))).cpu().numpy()

    @torch.inference_mode()
    def embeddings(self, x: Tensor) -> np.ndarray:
        """float32 (batch, features) for a batch of `to_input`'s tensors: what the last layer sees; of several networks side by side."""
        return self.model.eval().embed(x.to(self.device)).float().cpu().numpy()

    # -- many recordings

    def _inputs(self, sources: list, n_jobs: int) -> Iterator[tuple[Tensor | None, str]]:
        """(the network's input, "ok") or (None, why not) of each source, in order."""
        for prepared, reason in self.input.prepare_all([_plain_source(source) for source in sources], n_jobs):
            if reason:
                yield None, reason
                continue
            try:
                yield self.input.to_tensor(prepared), "ok"
            except ValueError as exc:
                yield None, str(exc)

    def _batches(
        self, sources: list, bs: int, n_jobs: int, progress: bool, status: list[str]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """(row numbers, batch) of the sources that can be read; the status of every source is appended to `status`."""
        rows, batch = [], []
        with progress_bar(len(sources), "predict", progress) as bar:
            for x, said in self._inputs(sources, n_jobs):
                status.append(said)
                bar.update()
                if x is None:
                    continue
                rows.append(len(status) - 1)
                batch.append(x)
                if len(batch) >= most_in_a_batch(x, bs):
                    yield rows, torch.stack(batch)
                    rows, batch = [], []
            if batch:
                yield rows, torch.stack(batch)

    def _ask(
        self, sources: list, what: Callable[[Tensor], np.ndarray], bs: int, n_jobs: int, progress: bool
    ) -> tuple[np.ndarray, list[str]]:
        """((sources, width) float32 of what the network says, NaN where a recording is bad; the status of each).

        The width is 0 where no recording could be read.
        """
        if bs < 1:
            raise ValueError(f"bs={bs}: give 1 or more recordings a batch")
        status: list[str] = []
        parts = [(rows, what(x)) for rows, x in self._batches(sources, bs, n_jobs, progress, status)]
        said = np.full((len(sources), parts[0][1].shape[1] if parts else 0), np.nan, np.float32)
        for rows, part in parts:
            said[rows] = part
        return said, status

    def predict(
        self, items, bs: int = 32, progress: bool = True, n_jobs: int = 1, reject_below: float | None = None
    ) -> pd.DataFrame:
        """Label recordings.

        Parameters
        ----------
        items : recordings, or one of them, as paths or pairs `(y, sr)`; or a folder
        bs : clips a batch
        progress : a bar, on terminals and in notebooks
        n_jobs : processes that draw, as joblib counts them (-1: one a core), beside this one that runs the network
        reject_below : say "unknown" where the largest probability is lower; `coverage_curve` shows what a value costs and gains

        Returns
        -------
        DataFrame with one row an item, in order: path, label (the most probable; where a clip may have several, all above their
        threshold, joined by semicolons), probability (the largest), status ("ok", "unsure: ..." where `reject_below` made the label
        "unknown", should a class be called that, or why there is no answer), and p_<label> for each label, whatever it is called; `attrs["vocab"]` names the labels
        """
        if reject_below is not None and not 0 <= reject_below <= 1:
            raise ValueError(f"reject_below={reject_below!r} is a probability; give 0 to 1, or None")
        names, sources = list_sources(items)
        said, status = self._ask(sources, self.probabilities, bs, n_jobs, progress)
        probs = said if said.shape[1] else np.full((len(sources), len(self.vocab)), np.nan, np.float32)
        return self.table_of(names, probs, status, reject_below)

    def predict_windows(
        self, items, seconds: float | None = None, overlap: float = 0.0, *, bs: int = 32, progress: bool = True
    ) -> pd.DataFrame:
        """Label every window of recordings of any length, which are streamed; see `specimg.inference.long_recordings.predict_windows`."""
        return predict_windows(self, items, seconds, overlap, bs=bs, progress=progress)

    def embed(self, items, bs: int = 32, progress: bool = True, n_jobs: int = 1) -> pd.DataFrame:
        """What the network's last layer sees of each recording, for neighbours, clusters and maps; arguments as in `predict`.

        Returns
        -------
        DataFrame with one row an item, in order: path, status, and the features e_0, e_1 ... (NaN where a recording is bad);
        `table.filter(regex="^e_").to_numpy()` is the matrix. Of an ensemble the features of all its networks stand side by side.
        """
        names, sources = list_sources(items)
        said, status = self._ask(sources, self.embeddings, bs, n_jobs, progress)
        features = pd.DataFrame(said, columns=[f"e_{i}" for i in range(said.shape[1])])
        return pd.concat(
            [
                pd.DataFrame({"path": pd.Series(names, dtype=object), "status": pd.Series(status, dtype=object)}),
                features,
            ],
            axis=1,
        )

    # -- other programs

    def to_onnx(self, path, *, audio: bool = False, **options) -> Path:
        """Write one ONNX file, from pictures or (`audio=True`) samples to probabilities; see `specimg.inference.export.onnx.to_onnx`."""
        from .export.onnx import to_onnx

        return to_onnx(self, path, audio=audio, **options)

    def to_exported(self, path, *, audio: bool = False, **options) -> Path:
        """Write the same as a program of `torch.export`; see `specimg.inference.export.onnx.to_exported`."""
        from .export.onnx import to_exported

        return to_exported(self, path, audio=audio, **options)

    # -- the table

    def labels_of(self, probs: np.ndarray) -> list[str]:
        """What is said of each row of probabilities (clips, classes): the most probable label, or all above their threshold, joined by semicolons."""
        if self.is_multi:
            return ["; ".join(label for label, yes in zip(self.vocab, row) if yes) for row in probs > self.thresholds]
        return [self.vocab[best] for best in probs.argmax(axis=1)]

    def table_of(
        self, names: Sequence[str], probs: np.ndarray, status: Sequence[str], reject_below: float | None = None
    ) -> pd.DataFrame:
        """The table that `predict` returns, from the names of recordings, their probabilities (NaN where there are none) and their status."""
        known = ~np.isnan(probs).any(axis=1)
        best = np.where(known, np.nan_to_num(probs).max(axis=1, initial=0), np.nan)
        unsure = known & (best < reject_below) if reject_below is not None else np.zeros(len(probs), bool)
        status = [
            "the network gives nan: its training diverged"
            if said == "ok" and not k
            else f"unsure: below {reject_below:g}"
            if u
            else said
            for said, k, u in zip(status, known, unsure)
        ]
        said = self.labels_of(np.nan_to_num(probs))
        labels = [(UNKNOWN if u else label) if k else None for label, k, u in zip(said, known, unsure)]
        table = pd.DataFrame(
            {
                "path": pd.Series(names, dtype=object),
                "label": pd.Series(labels, dtype=object),
                "probability": best.astype(np.float32),
                "status": pd.Series(status, dtype=object),
            }
        )
        table = pd.concat([table, pd.DataFrame(probs, columns=[f"p_{label}" for label in self.vocab])], axis=1)
        table.attrs["vocab"] = list(self.vocab)
        return table


def _plain_source(source):
    """`Samples` as a pair, which needs no torch to travel to a worker."""
    return (source.y, source.sr) if isinstance(source, Samples) else source
