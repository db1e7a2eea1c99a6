"""What the windows of one recording tell of each other: probabilities that are scaled, smoothed or lowered by their neighbours.

    scale = PostProcessing([RecordingScale(best=2), Smoothing()])
    windows = scale(clf.predict_windows("night.wav"))           # the same table with other probabilities
    clf.predict_windows("night.wav", post_processing=scale)     # at once

A bird that is certain in one minute of a recording is likelier in its other minutes, too; so winners of BirdCLEF scale each window by the
recording's best ones. Which of these steps help is for out-of-fold predictions of labelled recordings to say, not for a leaderboard:
`cross_validate` scores each of them so, and what it chooses travels with the run and with the classifier.

Each step is a plain function on arrays `(windows, classes)` and a value with its choices. Steps act in order, on probabilities at temperature 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..core.values import Value, register
from .calibration import TEMPERATURES, fit_temperature, rescale
from .events.merging import RELEASE, is_on, window_labels

FEW = 10  # windows with a label, below which its own temperature would be noise
MOST_WEIGHTS = 101  # neighbours that one window is a mean of
MOST_STEPS = 100


# ---------------------------------------------------------------------- the plain functions


def _members(recordings: ArrayLike) -> list[np.ndarray]:
    """Row numbers of each recording, in order."""
    number = pd.factorize(pd.Series(np.asarray(recordings)))[0]
    return np.split(np.argsort(number, kind="stable"), np.cumsum(np.bincount(number))[:-1]) if len(number) else []


def scale_by_best(probs: ArrayLike, recordings: ArrayLike, best: int = 2, power: float = 1.0) -> np.ndarray:
    """Multiply each window's probability of a class by that of the recording's best windows.

    Parameters
    ----------
    probs : array-like of float, shape (windows, classes)
        Probabilities; rows of nan (windows that could not be read) stay, and count for nothing.
    recordings : array-like, shape (windows,)
        The recording of each window.
    best : int, default 2
        How many of a recording's best windows of a class are averaged, 1 or more; all, where it has fewer.
    power : float, default 1.0
        The mean is raised to it, 0 to 4; 0 changes nothing.

    Returns
    -------
    ndarray
        float64 (windows, classes): p * mean(best p of the recording) ** power.

    References
    ----------
    The second place of BirdCLEF 2026 multiplied by the mean of the two best windows and reports +0.018 to +0.027 of macro ROC-AUC. With one window
    and a power of 0.4 or 0.5 it is what notebooks of 2026 call rank-aware scaling, after the third place of 2025.

    Examples
    --------
    >>> from specimg.inference import scale_by_best
    >>> scale_by_best([[0.8], [0.4], [0.1]], ["night.wav"] * 3).round(2).ravel().tolist()
    [0.48, 0.24, 0.06]
    """
    out = np.array(probs, float)
    for rows in _members(recordings):
        known = rows[~np.isnan(out[rows]).any(axis=1)]
        if len(known):
            top = np.sort(out[known], axis=0)[-best:].mean(axis=0)
            out[known] *= top**power
    return out


def smooth_windows(
    probs: ArrayLike, recordings: ArrayLike, weights: Sequence[float] = (0.075, 0.85, 0.075)
) -> np.ndarray:
    """Weighted means of each window and its neighbours in the same recording.

    Parameters
    ----------
    probs : array-like of float, shape (windows, classes)
        Probabilities, the windows of one recording in order of time. Where a neighbour is missing, at an end of the recording or because it could
        not be read, the window itself stands in.
    recordings : array-like, shape (windows,)
        The recording of each window.
    weights : sequence of float, default (0.075, 0.85, 0.075)
        Of the neighbours before, the window, and those after: an odd number that sums to 1.

    Returns
    -------
    ndarray
        float64 (windows, classes).

    References
    ----------
    The first place of BirdCLEF 2025 smoothed by 0.075, 0.85, 0.075 ("delta"), with gains of +0.003 to +0.007 reported since; a plain moving average
    gained nothing or lost 0.001.

    Examples
    --------
    >>> from specimg.inference import smooth_windows
    >>> smooth_windows([[0.0], [1.0], [0.0]], ["night.wav"] * 3).round(3).ravel().tolist()
    [0.075, 0.85, 0.075]
    """
    probs = np.asarray(probs, float)
    out, half = probs.copy(), len(weights) // 2
    for rows in _members(recordings):
        own = probs[rows]
        total = np.zeros_like(own)
        for shift, weight in zip(range(-half, half + 1), weights):
            near = own[np.clip(np.arange(len(rows)) + shift, 0, len(rows) - 1)]
            outside = (np.arange(len(rows)) + shift < 0) | (np.arange(len(rows)) + shift >= len(rows))
            total += weight * np.where(outside[:, None] | np.isnan(near), own, near)
        out[rows] = total
    return out


def lower_short_events(
    probs: ArrayLike,
    recordings: ArrayLike,
    times: ArrayLike,
    seconds: float,
    threshold: float = 0.5,
    release: float = RELEASE,
) -> np.ndarray:
    """Scale the windows of events that are too short down, until the best of them stands at the release level.

    Parameters
    ----------
    probs : array-like of float, shape (windows, classes)
        Probabilities, the windows of one recording in order of time.
    recordings : array-like, shape (windows,)
        The recording of each window.
    times : array-like of float, shape (windows, 2)
        Start and end of each window, seconds.
    seconds : float
        Length that an event must have at least.
    threshold : float, default 0.5
        Probability that opens an event, in (0, 1].
    release : float, default 0.6
        Share of it that keeps an event open, in (0, 1).

    Returns
    -------
    ndarray
        float64 (windows, classes).

    Examples
    --------
    >>> from specimg.inference import lower_short_events
    >>> times = [[0, 5], [5, 10], [10, 15], [15, 20]]
    >>> lower_short_events([[0.9], [0.1], [0.8], [0.8]], ["night.wav"] * 4, times, seconds=10).ravel().tolist()
    [0.3, 0.1, 0.8, 0.8]
    """
    out, times = np.array(probs, float), np.asarray(times, float)
    for rows in _members(recordings):
        starts, ends = times[rows].T
        fresh = np.r_[True, starts[1:] > ends[:-1] + 1e-6]
        for column in np.flatnonzero((out[rows] >= threshold).any(axis=0)):
            on = is_on(out[rows, column], threshold, release * threshold, fresh)
            edges = np.flatnonzero(np.r_[True, fresh[1:] | (on[1:] != on[:-1]), True])
            for first, behind in pairwise(edges):
                event = rows[first:behind]
                if on[first] and times[event, 1].max() - times[event[0], 0] < seconds - 1e-6:
                    out[event, column] *= release * threshold / out[event, column].max()
    return out


def fit_class_temperatures(probs: ArrayLike, hot: ArrayLike) -> np.ndarray:
    """A temperature for each class, of the smallest negative log-likelihood on these windows.

    A class that fewer than 10 windows have, or all have, takes the temperature that is best for all classes together.

    Parameters
    ----------
    probs : array-like of float, shape (windows, classes)
        Probabilities at temperature 1, of windows that the network was not trained on.
    hot : array-like of bool, shape (windows, classes)
        Which labels each window has.

    Returns
    -------
    ndarray
        float64 (classes,), 0.25 to 20.

    References
    ----------
    Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks", class by class. It changes the order of no class's windows, hence
    no macro ROC-AUC; what it changes is scores of decisions, and of several classes together.

    Examples
    --------
    >>> from specimg.inference import fit_class_temperatures
    >>> right = np.arange(40) < 28
    >>> fit_class_temperatures(np.full((40, 1), 0.9), right[:, None]).round(1)      # 0.9 sure, right in 7 of 10
    array([2.6])
    """
    probs, hot = np.asarray(probs, float), np.asarray(hot, bool)
    known = ~np.isnan(probs).any(axis=1)
    probs, hot = probs[known], hot[known]
    pooled = fit_temperature(probs, hot, is_multi=True) if hot.any() else 1.0
    own = [FEW <= n < len(hot) for n in hot.sum(axis=0)]
    each = [fit_temperature(probs[:, [i]], hot[:, [i]], True) if fits else pooled for i, fits in enumerate(own)]
    return np.array(each)


# ---------------------------------------------------------------------- the values


@dataclass(frozen=True)
class WindowStep(Value, ABC):
    """Base of the steps; a subclass defines `apply`, and `fitted` where it learns from labels.

    Examples
    --------
    >>> from specimg.inference import RecordingScale
    >>> RecordingScale().apply(np.array([[0.8], [0.4]]), np.array(["a", "a"]), np.array([[0, 5], [5, 10]])).round(2).ravel().tolist()
    [0.48, 0.24]
    """

    @abstractmethod
    def apply(self, probs: np.ndarray, recordings: np.ndarray, times: np.ndarray) -> np.ndarray:
        """The probabilities after this step.

        Parameters
        ----------
        probs : ndarray
            float (windows, classes), the windows of one recording in order of time.
        recordings : ndarray
            (windows,): the recording of each.
        times : ndarray
            float (windows, 2): start and end of each, seconds.

        Returns
        -------
        ndarray
            float64 (windows, classes).
        """

    @property
    def learns(self) -> bool:
        """Whether it has to be fitted on labels before it can be applied."""
        return False

    def fitted(self, probs: np.ndarray, hot: np.ndarray) -> WindowStep:
        """The same step, fitted on windows with known labels.

        Parameters
        ----------
        probs : ndarray
            float (windows, classes).
        hot : ndarray
            bool (windows, classes).

        Returns
        -------
        WindowStep
            This one, where there is nothing to fit.
        """
        return self


@register
@dataclass(frozen=True)
class RecordingScale(WindowStep):
    """Scale by the recording's best windows, class by class: see `scale_by_best`.

    Parameters
    ----------
    best : int, default 2
        How many of the recording's best windows are averaged, 1 or more.
    power : float, default 1.0
        The mean is raised to it, above 0 and up to 4. `RecordingScale(best=1, power=0.5)` is rank-aware scaling.

    Examples
    --------
    >>> from specimg.inference import RecordingScale
    >>> RecordingScale(), RecordingScale(best=1, power=0.5)
    (RecordingScale(), RecordingScale(best=1, power=0.5))
    """

    best: int = 2
    power: float = 1.0

    def _check(self) -> None:
        self._need(1 <= self.best <= 1000, "give the number of windows, 1 to 1000", "best")
        self._need(0 < self.power <= 4, "give a power above 0 and up to 4", "power")

    def apply(self, probs: np.ndarray, recordings: np.ndarray, times: np.ndarray) -> np.ndarray:
        return scale_by_best(probs, recordings, self.best, self.power)


@register
@dataclass(frozen=True)
class Smoothing(WindowStep):
    """Weighted means of each window and its neighbours: see `smooth_windows`.

    Parameters
    ----------
    weights : tuple of float, default (0.075, 0.85, 0.075)
        An odd number, up to 101, from 0 to 1, that sums to 1. `Smoothing.mean(3)` is the plain moving average.

    Examples
    --------
    >>> from specimg.inference import Smoothing
    >>> Smoothing().weights
    (0.075, 0.85, 0.075)
    """

    weights: tuple[float, ...] = (0.075, 0.85, 0.075)

    def _check(self) -> None:
        good = len(self.weights) % 2 == 1 and len(self.weights) <= MOST_WEIGHTS
        good = good and all(0 <= weight <= 1 for weight in self.weights) and abs(sum(self.weights) - 1) < 1e-6
        self._need(
            good, f"give an odd number of weights, {MOST_WEIGHTS} at most, from 0 to 1, that sum to 1", "weights"
        )

    @classmethod
    def mean(cls, windows: int = 3) -> Smoothing:
        """The plain moving average.

        Parameters
        ----------
        windows : int, default 3
            How many, an odd number.

        Returns
        -------
        Smoothing

        Examples
        --------
        >>> from specimg.inference import Smoothing
        >>> Smoothing.mean(3).apply(np.eye(3), np.zeros(3), np.zeros((3, 2))).round(2)[1].tolist()
        [0.33, 0.33, 0.33]
        """
        return cls((1 / windows,) * windows)

    def apply(self, probs: np.ndarray, recordings: np.ndarray, times: np.ndarray) -> np.ndarray:
        return smooth_windows(probs, recordings, self.weights)


@register
@dataclass(frozen=True)
class MinSeconds(WindowStep):
    """Lower events that are shorter than so many seconds: see `lower_short_events`.

    Parameters
    ----------
    seconds : float
        Length that an event must have at least, above 0.
    threshold : float, default 0.5
        Probability that opens an event, above 0 and up to 1.
    release : float, default 0.6
        Share of it that keeps an event open, above 0 and below 1.

    Examples
    --------
    >>> from specimg.inference import MinSeconds
    >>> MinSeconds(10)
    MinSeconds(seconds=10.0)
    """

    seconds: float
    threshold: float = 0.5
    release: float = RELEASE

    def _check(self) -> None:
        self._need(0 < self.seconds <= 86_400, "give seconds, above 0, a day at most", "seconds")
        self._need(0 < self.threshold <= 1, "give a probability above 0 and up to 1", "threshold")
        self._need(0 < self.release < 1, "give a share above 0 and below 1", "release")

    def apply(self, probs: np.ndarray, recordings: np.ndarray, times: np.ndarray) -> np.ndarray:
        return lower_short_events(probs, recordings, times, self.seconds, self.threshold, self.release)


@register
@dataclass(frozen=True)
class ClassTemperature(WindowStep):
    """A temperature for each class, fitted on held-out windows: see `fit_class_temperatures`.

    Parameters
    ----------
    temperatures : tuple of float, default ()
        One a class, 0.25 to 20, by which its logits are divided; () has to be fitted first.

    Examples
    --------
    >>> from specimg.inference import ClassTemperature
    >>> ClassTemperature().learns, ClassTemperature((2.0,)).apply(np.array([[0.9]]), np.zeros(1), np.zeros((1, 2))).round(2).item()
    (True, 0.75)
    """

    temperatures: tuple[float, ...] = ()

    def _check(self) -> None:
        low, high = TEMPERATURES
        good = all(low <= temperature <= high for temperature in self.temperatures)
        self._need(good, f"give temperatures from {low:g} to {high:g}", "temperatures")

    @property
    def learns(self) -> bool:
        return not self.temperatures

    def fitted(self, probs: np.ndarray, hot: np.ndarray) -> ClassTemperature:
        return ClassTemperature(tuple(float(f"{t:.6g}") for t in fit_class_temperatures(probs, hot)))

    def apply(self, probs: np.ndarray, recordings: np.ndarray, times: np.ndarray) -> np.ndarray:
        if len(self.temperatures) != probs.shape[1]:
            raise ValueError(
                f"ClassTemperature has {len(self.temperatures)} temperatures and there are {probs.shape[1]} classes; "
                "fit it on held-out windows: step.fitted(probs, hot)"
            )
        return rescale(probs, np.array(self.temperatures), is_multi=True)


@register
@dataclass(frozen=True)
class PostProcessing(Value):
    """Steps in order, and the thresholds of what comes out; call it on a table of windows.

    Parameters
    ----------
    steps : tuple of WindowStep, default ()
        What is done, in order; () changes nothing.
    thresholds : tuple of float, default ()
        Probability after the steps above which a window has each label, 0 to 1; () are the classifier's own.
    clips : int, default 0
        Windows it was chosen on.

    Raises
    ------
    ValueError
        For numbers out of range.

    Examples
    --------
    >>> from specimg.inference import PostProcessing, RecordingScale, Smoothing
    >>> both = PostProcessing([RecordingScale(), Smoothing()])
    >>> windows = pd.DataFrame({"path": "a.wav", "start": [0.0, 5.0], "end": [5.0, 10.0], "p_owl": [0.8, 0.4]})
    >>> both(windows)["p_owl"].round(3).tolist()
    [0.462, 0.258]
    """

    steps: tuple[WindowStep, ...] = ()
    thresholds: tuple[float, ...] = ()
    clips: int = 0

    def _check(self) -> None:
        self._need(len(self.steps) <= MOST_STEPS, f"give {MOST_STEPS} steps at most", "steps")
        good = all(0 <= threshold <= 1 for threshold in self.thresholds)
        self._need(good, "give probabilities, 0 to 1", "thresholds")
        self._need(self.clips >= 0, "give 0 or more", "clips")

    def of(self, windows: pd.DataFrame, probs: ArrayLike) -> np.ndarray:
        """Probabilities after all steps.

        Parameters
        ----------
        windows : DataFrame
            `path`, `start` and `end` (s) of each, in any order. Rows without a start are whole clips, and stay as they are.
        probs : array-like of float, shape (windows, classes)
            Their probabilities.

        Returns
        -------
        ndarray
            float64 (windows, classes), in the order of the rows.

        Raises
        ------
        ValueError
            A step has not been fitted, or for another number of classes.
        """
        out = np.array(probs, float)
        if not self.steps or "start" not in windows:
            return out
        start = windows["start"].to_numpy(float)
        order = np.lexsort((start, pd.factorize(windows["path"])[0]))
        order = order[~np.isnan(start[order])]
        recordings = windows["path"].to_numpy()[order]
        times = windows[["start", "end"]].to_numpy(float)[order]
        part = out[order]
        for step in self.steps:
            part = step.apply(part, recordings, times)
        out[order] = part
        return out

    def __call__(self, windows: pd.DataFrame) -> pd.DataFrame:
        """A table of windows with the probabilities after all steps.

        Parameters
        ----------
        windows : DataFrame
            What `predict_windows` returns. Its columns label and probability stay; `predict_windows(post_processing=...)` decides anew.

        Returns
        -------
        DataFrame
            A copy, with other columns p_<label>.
        """
        columns = [f"p_{label}" for label in window_labels(windows)]
        out = windows.copy()
        out[columns] = self.of(windows, windows[columns].to_numpy(float))
        out.attrs = dict(windows.attrs)
        return out
