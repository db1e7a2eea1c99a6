"""Competitions: their layouts on disk, their tables, and how their answers are written and checked.

    comp = Competition.open("freesound-audio-tagging")        # found below /kaggle/input, or in a folder that is named
    comp = Competition.from_toml("my-birds.toml")             # any other, described by hand
    check_submission("submission.csv", comp)
"""

from .competition import Competition, Layout, layout, list_competitions
from .formats import BestLabels, ClassColumns, Decisions, LabelSets, SubmissionFormat
from .submission import check_submission, guess_format

__all__ = [
    "Competition", "Layout", "layout", "list_competitions", "SubmissionFormat", "BestLabels", "LabelSets", "ClassColumns", "Decisions",
    "check_submission", "guess_format",
]
