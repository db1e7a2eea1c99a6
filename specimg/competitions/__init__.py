"""Competitions: their layouts on disk, their tables, and how their answers are written and checked.

    comp = Competition.open("freesound-audio-tagging")        # found below /kaggle/input, or in a folder that is named
    comp = Competition.from_toml("my-birds.toml")             # any other, described by hand
    check_submission("submission.csv", comp)

`layouts` has one module for each kind of competition; each registers itself with `@layout` of `registry`.
"""

from . import layouts
from .competition import Competition, list_competitions
from .formats import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat
from .registry import LAYOUTS, Layout, layout
from .submission import check_submission, guess_format

__all__ = [
    "LAYOUTS",
    "BestLabels",
    "ClassColumns",
    "Competition",
    "Decisions",
    "LabelSets",
    "Layout",
    "SubmissionFormat",
    "check_submission",
    "guess_format",
    "layout",
    "layouts",
    "list_competitions",
]
