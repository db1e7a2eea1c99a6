"""What a classifier learnt and if it is wrong: tables and figures of one `Predictions`, label errors, Grad-CAM.

statistics        tables as functions of predictions: top losses, confusion, scores of classes and groups, calibration
tsne              t-SNE and nearest neighbours
findings          these as methods of one object, made of a learner or a run
interpretation    SpecInterpretation: findings with figures
label_quality     label errors by confident learning
plots/            functions that draw on axes
frames            what each frame of a clip holds
cam/              Grad-CAM in seconds and hertz, as picture and sound
"""

from .cam import Cam, cam_audio, class_maps, clip_cam, clip_cams
from .frames import FrameCurves, frame_curves
from .interpretation import SpecInterpretation
from .label_quality import label_issues

__all__ = [
    "Cam",
    "FrameCurves",
    "SpecInterpretation",
    "cam_audio",
    "class_maps",
    "clip_cam",
    "clip_cams",
    "frame_curves",
    "label_issues",
]
