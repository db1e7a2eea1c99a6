"""A trained network together with all that turns a recording into predictions.

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

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from ..audio import Audio
from ..core.clusters import active_engine
from ..core.progress import progress_bar
from ..data import NetworkInput
from ..data.images import EncodedSound, Samples
from ..data.sources import list_sources
from ..render.renderer import Renderer
from .calibration import Calibration
from .clip_lengths import warn_far_longer
from .ensemble import Ensemble, most_in_a_batch
from .frames import check_frames
from .long_recordings import predict_windows
from .many_recordings import outputs_of_many, windows_of_many
from .post_processing import PostProcessing

UNKNOWN = "unknown"  # what `reject_below` makes of a label
THRESHOLD = 0.5  # of several labels those of a higher probability are predicted, where no others were fitted


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained network together with all that turns a recording into predictions; `load_classifier` makes one from a folder.

    Parameters
    ----------
    model : Module
        The network: its input, of one or of several windows a clip, -> logits (batch, classes).
    input : NetworkInput
        What the network is given of a recording, and how a recording becomes that.
    vocab : list of str
        The labels, in the order of the network's outputs.
    is_multi : bool
        May a clip have several labels? Then each has its own probability.
    calibration : Calibration, default Calibration()
        How logits become probabilities, and those labels.
    network : dict, default {}
        Arguments with which `create_spec_net` makes the network, or each of an ensemble's.
    about : dict, default {}
        "training" and "versions", as the folder holds them, and "folder", from which it was loaded.
    post_processing : PostProcessing, default PostProcessing()
        What `predict_windows` does with the probabilities of the windows of one recording.

    Examples
    --------
    >>> clf
    Classifier(2 labels, pictures of 32 x 63 pixels, 'squish')
    >>> table = clf.predict("dog.wav")
    >>> list(table), table["status"][0]
    (['path', 'label', 'probability', 'status', 'p_cat', 'p_dog'], 'ok')
    """

    model: nn.Module
    input: NetworkInput
    vocab: list[str]
    is_multi: bool
    calibration: Calibration = Calibration()
    network: dict = field(default_factory=dict)
    about: dict = field(default_factory=dict)
    post_processing: PostProcessing = PostProcessing()

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
        """(classes,): the probability above which a clip has each label, if it may have several."""
        return np.array(self.calibration.thresholds or [THRESHOLD] * len(self.vocab))

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.model.parameters()).device

    def to(self, device: str | torch.device) -> Classifier:
        """Move the network to a device.

        Parameters
        ----------
        device : str or torch.device
            Such as "cuda".

        Returns
        -------
        Classifier
            This one.
        """
        self.model.to(device)
        return self

    def __repr__(self) -> str:
        several = ", several a clip" if self.is_multi else ""
        folds = f", {len(self.model)} networks" if isinstance(self.model, Ensemble) else ""
        return f"Classifier({len(self.vocab)} labels{several}, {self.input.describe()}{folds})"

    # -- one input, one batch

    def to_input(self, source: str | os.PathLike | tuple | Samples) -> Tensor:
        """A recording as the network takes it.

        Parameters
        ----------
        source : str, path, bytes, file or pair (y, sr)
            The recording.

        Returns
        -------
        Tensor
            float32 `(channels, height, width)` in [0, 1], or `(1, 1, samples)`; several windows are an axis in front.

        Raises
        ------
        ValueError
            With the reason, where it cannot be read.
        """
        return self.input.to_tensor(self.input.prepare(_plain_source(source)))

    def activate(self, logits: Tensor) -> Tensor:
        """Logits to probabilities, at the classifier's temperature.

        Parameters
        ----------
        logits : Tensor
            (batch, classes), of the network.

        Returns
        -------
        Tensor
            float32 (batch, classes): softmax, or sigmoid if a clip may have several labels.
        """
        scaled = logits.float() / self.temperature
        return scaled.sigmoid() if self.is_multi else scaled.softmax(dim=-1)

    @torch.inference_mode()
    def probabilities(self, x: Tensor) -> np.ndarray:
        """Probabilities of a batch.

        Parameters
        ----------
        x : Tensor
            What `to_input` returns, stacked.

        Returns
        -------
        ndarray
            float32 (batch, classes).
        """
        return self.activate(self.model.eval()(x.to(self.device))).cpu().numpy()

    @property
    def has_frames(self) -> bool:
        """Whether the network answers for each frame too: `spec_learner(..., head="attention")`."""
        return getattr(self.model, "has_frames", False)

    @torch.inference_mode()
    def frame_probabilities(self, x: Tensor) -> np.ndarray:
        """Probabilities of each frame of a batch, at the classifier's temperature.

        Parameters
        ----------
        x : Tensor
            What `to_input` returns, stacked.

        Returns
        -------
        ndarray
            float32 (batch, frames, classes); the frames divide a clip's picture evenly in time, one clip's windows one after the other.

        Raises
        ------
        ValueError
            The network has no frames.
        """
        check_frames(self)
        return self.activate(self.model.eval().answers(x.to(self.device))[1]).cpu().numpy()

    @torch.inference_mode()
    def embeddings(self, x: Tensor) -> np.ndarray:
        """Inputs of the network's last layer for a batch.

        Parameters
        ----------
        x : Tensor
            What `to_input` returns, stacked.

        Returns
        -------
        ndarray
            float32 (batch, features); of an ensemble those of all networks side by side.
        """
        return self.model.eval().embed(x.to(self.device)).float().cpu().numpy()

    # -- many recordings

    def _inputs(self, sources: list, n_jobs: int) -> Iterator[tuple[Tensor | None, str]]:
        """(the network's input, "ok") or (None, why not) of each source, in order."""
        for prepared, reason in self.input.prepare_all([_plain_source(source) for source in sources], n_jobs):
            if prepared is None:
                yield None, reason
                continue
            try:
                yield self.input.to_tensor(prepared), reason or "ok"
            except ValueError as exc:
                yield None, str(exc)

    def _batches(
        self, sources: list, bs: int, n_jobs: int, progress: bool, status: list[str]
    ) -> Iterator[tuple[list[int], Tensor]]:
        """(row numbers, batch) of the sources that can be read; the status of every source is appended to `status`."""
        rows, batch = [], []
        with progress_bar(len(sources), "predict", progress) as bar:
            for x, found in self._inputs(sources, n_jobs):
                status.append(found)
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

    def _run_here(self, sources: list, what: str, bs: int, n_jobs: int, progress: bool) -> tuple[np.ndarray, list[str]]:
        """((sources, width) float32 outputs of a method, NaN if a recording cannot be read; the status of each).

        The width is 0 where no recording could be read.
        """
        status: list[str] = []
        answer = getattr(self, what)
        parts = [(rows, answer(x)) for rows, x in self._batches(sources, bs, n_jobs, progress, status)]
        outputs = np.full((len(sources), parts[0][1].shape[1] if parts else 0), np.nan, np.float32)
        for rows, part in parts:
            outputs[rows] = part
        return outputs, status

    def _run(self, sources: list, what: str, bs: int, n_jobs: int, progress: bool) -> tuple[np.ndarray, list[str]]:
        """The same, where joblib's active backend is a cluster in its workers, the networks too."""
        if bs < 1:
            raise ValueError(f"bs={bs}: give 1 or more recordings a batch")
        if active_engine(n_jobs) is None:
            return self._run_here(sources, what, bs, n_jobs, progress)
        return outputs_of_many(self, [_plain_source(source) for source in sources], what, bs, n_jobs, progress)

    def predict(
        self, items: Any, bs: int = 32, progress: bool = True, n_jobs: int = 1, reject_below: float | None = None
    ) -> pd.DataFrame:
        """Label recordings.

        Those that are far longer than the clips which the classifier learnt are named in a warning: they are for `predict_windows`.

        Parameters
        ----------
        items : str, path, bytes, file, pair (y, sr), or list of them
            Recordings, or one of them; or a folder.
        bs : int, default 32
            Clips a batch.
        progress : bool, default True
            Show a bar, on terminals and in notebooks.
        n_jobs : int, default 1
            Processes that draw, as joblib counts them (-1: one a core), beside this one that runs the network. Where joblib's active backend
            is Dask or Ray and this is not 1, the cluster's workers do both.
        reject_below : float, default None
            Label a clip "unknown" where the largest probability is lower; `coverage_curve` shows what a value costs and gains.

        Returns
        -------
        DataFrame
            One row an item, in order: path, label (the most probable; where a clip may have several, all above their threshold, joined by
            semicolons), probability (the largest), status ("ok"; "partial: ..." where a damaged recording was read as far as it goes, which
            `Audio(damaged="partial")` asks for; "unsure: ..." where `reject_below` made the label "unknown", should a class
            be called that; or why there is no prediction), and p_<label> for each label, whatever it is called. `attrs["vocab"]` names the
            labels.

        Raises
        ------
        ValueError
            If `bs` or `reject_below` is out of range, or an item is of another kind.
        """
        if reject_below is not None and not 0 <= reject_below <= 1:
            raise ValueError(f"reject_below={reject_below!r} is a probability; give 0 to 1, or None")
        names, sources = list_sources(items)
        warn_far_longer(self.input, self.about.get("training") or {}, names, sources)
        found, status = self._run(sources, "probabilities", bs, n_jobs, progress)
        probs = found if found.shape[1] else np.full((len(sources), len(self.vocab)), np.nan, np.float32)
        return self.table_of(names, probs, status, reject_below)

    def predict_windows(
        self,
        items: Any,
        seconds: float | None = None,
        overlap: float = 0.0,
        *,
        frames: bool = False,
        bs: int = 32,
        progress: bool = True,
        post_processing: PostProcessing | None = None,
        runtime: str = "auto",
        n_jobs: int = 1,
    ) -> pd.DataFrame:
        """Label every window of long recordings, which are streamed: memory holds two windows and a batch, however long they are.

        Parameters
        ----------
        items : str, path, or list of them
            A recording, several, or a folder.
        seconds : float, default None
            Length of a window; None: what the classifier was trained on (`Audio(duration=...)`, or the `seconds` of its crops).
        overlap : float, default 0.0
            Seconds that a window shares with the one before.
        frames : bool, default False
            A row for each frame of the windows, at the network's own time step, of a network with head="attention". Where windows overlap
            each time is taken from the window in which it lies nearer to the middle.
        bs : int, default 32
            Windows a batch.
        progress : bool, default True
            Show a bar, on terminals and in notebooks.
        post_processing : PostProcessing, default None
            What is done with the windows of each recording; None: what was chosen out of fold for this classifier, if anything was.
            for windows, and nothing with frames. `PostProcessing()` does nothing. Its steps act on probabilities at temperature 1, as they were chosen.
        runtime : {"auto", "torch", "onnxruntime", "openvino"}, default "auto"
            What runs the network. "auto": onnxruntime for a network on a CPU where there are hours of sound and `specimg[onnx]` is installed, and
            torch elsewhere. The network is then exported in memory, in some seconds, on as many threads as torch uses; probabilities agree to
            1e-4, which is checked on the first batch.
        n_jobs : int, default 1
            Workers, each with the networks, that share the recordings (not the windows of one), as joblib's active backend has them: processes of
            this machine, or the workers of Dask or Ray.

        Returns
        -------
        DataFrame
            One row a window, recordings in order: path, start, end (seconds in the recording), label, probability, status, and p_<label> for
            each label; `attrs["vocab"]` names the labels, `attrs["runtime"]` what ran the network, `attrs["band"]` is the band that the network reads, (low, high) in Hz. The last
            window ends with the recording, and overlaps the one before it as far as it must. A recording shorter than a window is one row,
            padded as in training. A recording that cannot be read is a row with the reason and without times; one that breaks off has rows
            up to there, and then one with the reason that starts there. A window with NaN samples is a row with the reason.
            With `frames`, a row a frame, which follow each other without gaps, `attrs["step"]` is their length in seconds, and a recording
            shorter than one is a row with the reason.

        Raises
        ------
        ValueError
            For impossible numbers, and where the classifier does not determine how long a window is. With `frames`, where the network has
            none, or the classifier reads a window in several crops, or cuts silence out of it. For a runtime that cannot run this network.
        ModuleNotFoundError
            A runtime that was asked for is not installed.
        """
        chosen = self.post_processing if post_processing is None and not frames else post_processing or PostProcessing()
        options = dict(frames=frames, bs=bs, post_processing=chosen, runtime=runtime)
        if n_jobs == 1:
            return predict_windows(self, items, seconds, overlap, progress=progress, **options)
        return windows_of_many(self, items, n_jobs, progress, dict(seconds=seconds, overlap=overlap) | options)

    def embed(self, items: Any, bs: int = 32, progress: bool = True, n_jobs: int = 1) -> pd.DataFrame:
        """Inputs of the network's last layer for each recording: for neighbours, clusters and maps.

        Parameters
        ----------
        items, bs, progress, n_jobs
            As in `predict`.

        Returns
        -------
        DataFrame
            One row an item, in order: path, status, and the features e_0, e_1 ... (NaN if a recording cannot be read);
            `table.filter(regex="^e_").to_numpy()` is the matrix. Of an ensemble the features of all its networks stand side by side.
        """
        names, sources = list_sources(items)
        found, status = self._run(sources, "embeddings", bs, n_jobs, progress)
        features = pd.DataFrame(found, columns=[f"e_{i}" for i in range(found.shape[1])])
        return pd.DataFrame({"path": names, "status": status}, dtype=object).join(features)

    # -- other programs

    def to_onnx(self, path: str | os.PathLike, *, audio: bool = False, **options: Any) -> Path:
        """Write one ONNX file, from pictures or samples to probabilities.

        Parameters
        ----------
        path : str or path
            The file; what stands there is replaced.
        audio : bool, default False
            Put the drawing into the graph, too, so that it takes samples.
        **options
            `seconds`, `sr` and `opset`, see `specimg.inference.export.onnx.to_onnx`.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        ValueError
            If `audio=True` and something in the renderer cannot be part of a graph.
        """
        from .export.onnx import to_onnx

        return to_onnx(self, path, audio=audio, **options)

    def to_exported(self, path: str | os.PathLike, *, audio: bool = False, **options: Any) -> Path:
        """Write the same as a program of `torch.export`.

        Parameters
        ----------
        path : str or path
            The file; what stands there is replaced.
        audio : bool, default False
            Put the drawing into the graph, too, so that it takes samples.
        **options
            `seconds` and `sr`, see `specimg.inference.export.onnx.to_exported`.

        Returns
        -------
        Path
            The file.
        """
        from .export.onnx import to_exported

        return to_exported(self, path, audio=audio, **options)

    # -- the table

    def for_steps(self, post_processing: PostProcessing) -> Classifier:
        """This classifier as steps of post-processing need it: at temperature 1, and with their thresholds.

        Parameters
        ----------
        post_processing : PostProcessing
            The steps, which act on its probabilities.

        Returns
        -------
        Classifier
            A copy with the same network.
        """
        thresholds = post_processing.thresholds or self.calibration.thresholds
        return replace(self, calibration=Calibration(thresholds=thresholds))

    def labels_of(self, probs: np.ndarray) -> list[str]:
        """The label of each clip.

        Parameters
        ----------
        probs : ndarray
            (clips, classes): probabilities.

        Returns
        -------
        list of str
            The most probable label; if a clip may have several, all above their threshold, joined by semicolons.
        """
        if self.is_multi:
            return ["; ".join(label for label, yes in zip(self.vocab, row) if yes) for row in probs > self.thresholds]
        return [self.vocab[best] for best in probs.argmax(axis=1)]

    def table_of(
        self, names: Sequence[str], probs: np.ndarray, status: Sequence[str], reject_below: float | None = None
    ) -> pd.DataFrame:
        """The table that `predict` returns.

        Parameters
        ----------
        names : sequence of str
            Names of the recordings.
        probs : ndarray
            float32 (recordings, classes), NaN if there are none.
        status : sequence of str
            "ok", or why there are none.
        reject_below : float, default None
            As in `predict`.

        Returns
        -------
        DataFrame
            As of `predict`.
        """
        known = ~np.isnan(probs).any(axis=1)
        best = np.where(known, np.nan_to_num(probs).max(axis=1, initial=0), np.nan)
        unsure = known & (best < reject_below) if reject_below is not None else np.zeros(len(probs), bool)
        status = np.array(list(status), dtype=object)
        status[(status == "ok") & ~known] = "the network gives nan: its training diverged"
        status[unsure] = f"unsure: below {reject_below or 0:g}"
        labels = np.array(self.labels_of(np.nan_to_num(probs)), dtype=object)
        labels[unsure], labels[~known] = UNKNOWN, None
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
    """`Samples` as a pair and `EncodedSound` as bytes, which need no torch to travel to a worker."""
    if isinstance(source, EncodedSound):
        return source.data
    return (source.y, source.sr) if isinstance(source, Samples) else source
