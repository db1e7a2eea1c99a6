"""What a classifier learnt and if it is wrong: tables and figures of one `Predictions`, label errors, Grad-CAM.

statistics        tables as functions of predictions: top losses, confusion, scores of classes and groups, calibration
tsne              t-SNE and nearest neighbours
findings          these as methods of one object, made of a learner or a run
interpretation    SpecInterpretation: findings with figures
label_quality     label errors by confident learning
plots/            functions that draw on axes
cam/              Grad-CAM in seconds and hertz, as picture and sound
"""

from .cam import Cam, cam_audio, class_maps, clip_cam, clip_cams
from .interpretation import SpecInterpretation
from .label_quality import label_issues

__all__ = ["Cam", "SpecInterpretation", "cam_audio", "class_maps", "clip_cam", "clip_cams", "label_issues"]
