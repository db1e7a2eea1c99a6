"""Competitions: their layouts on disk, their tables, and how submissions are written and checked.

    comp = Competition.open("freesound-audio-tagging")        # found below /kaggle/input, or in a given folder
    comp = Competition.from_toml("my-birds.toml")             # any other, described in a file
    check_submission("submission.csv", comp)

`layouts` has one module for each kind of competition; `registry` says how to add one.
"""

from . import layouts
from .competition import Competition, list_competitions
from .registry import LAYOUTS, Layout, layout
from .submission import check_submission, guess_format
from .submission_formats import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat

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
