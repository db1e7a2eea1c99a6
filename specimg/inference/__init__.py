"""A trained classifier as a folder without pickled code, and its predictions of new recordings.

    save_classifier(learn, "dog-or-not/")
    clf = load_classifier("dog-or-not/")
    clf.predict(["a.wav", "b.ogg"])            # DataFrame: path, label, probability, status, p_<label> ...
    check_classifier("dog-or-not/")            # do today's libraries draw and predict as those of then?

The folder holds numbers (safetensors) and text (JSON): loading builds the network by name and fills in the numbers; nothing in the
folder is ever executed. `folder` names its files, `settings` checks its JSON, `save` and `load` write and read it, `opening` takes it from the Hub
too, `hub` prepares it for there, `model_card` writes its README, `golden` keeps clips that show drift. `classifier` predicts,
`long_recordings` window by window, `ensemble` makes one network of several, `calibration` fits probabilities and thresholds,
`post_processing` lets the windows of one recording know each other, `events` merges windows, and `export` writes one file for other
programs (ONNX).
"""

from .calibration import Calibration, calibrate, coverage_curve, fit_temperature, fit_thresholds, plot_coverage, rescale
from .classifier import Classifier
from .ensemble import Ensemble
from .events import merge_events, read_events, write_events
from .folder import CARD, GOLDEN, SETTINGS, WEIGHTS
from .golden import check_classifier, drift_verdict
from .opening import load_classifier
from .post_processing import (
    ClassTemperature,
    MinSeconds,
    PostProcessing,
    RecordingScale,
    Smoothing,
    WindowStep,
    fit_class_temperatures,
    lower_short_events,
    scale_by_best,
    smooth_windows,
)
from .save import save_classifier

__all__ = [
    "merge_events",
    "read_events",
    "write_events",
    "CARD",
    "GOLDEN",
    "SETTINGS",
    "WEIGHTS",
    "Calibration",
    "ClassTemperature",
    "Classifier",
    "Ensemble",
    "MinSeconds",
    "PostProcessing",
    "RecordingScale",
    "Smoothing",
    "WindowStep",
    "calibrate",
    "check_classifier",
    "coverage_curve",
    "drift_verdict",
    "fit_class_temperatures",
    "fit_temperature",
    "fit_thresholds",
    "load_classifier",
    "lower_short_events",
    "plot_coverage",
    "rescale",
    "save_classifier",
    "scale_by_best",
    "smooth_windows",
]
