"""What a classifier learnt, and where it is wrong: tables and pictures read from one `Predictions`.

tables            functions of predictions: worst clips, confusion, scores of classes and groups, calibration
maps              t-SNE and nearest neighbours
findings          all of these as methods of one object, and where it comes from: a learner, a run
interpretation    SpecInterpretation: findings with their pictures
"""

from .cam import Cam, cam_audio, class_maps, clip_cam, clip_cams
from .interpretation import SpecInterpretation
from .label_quality import label_issues

__all__ = ["Cam", "cam_audio", "class_maps", "clip_cam", "clip_cams", "label_issues", "SpecInterpretation"]
