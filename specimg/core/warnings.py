"""Warnings point at the user's own line, however deep in the package they arise.

warn("3 of 18 training clips could not be drawn")      # shown at the user's own call of cross_validate
"""

from __future__ import annotations

import sys
import warnings

from .text import printable

_PACKAGE = __name__.partition(".")[0]
# What may stand between two lines of ours: cached properties, context managers, callbacks and workers.
_BETWEEN = {_PACKAGE, "contextlib", "fastai", "fastcore", "functools", "joblib", "torch"}


def warn(message: str) -> None:
    """Issue a UserWarning at the nearest line that is neither the package's own nor that of a library which called it back.

    Parameters
    ----------
    message : str
        What happened, and what to do about it.
    """
    level, frame = 2, sys._getframe(1)  # the line that called this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(printable(message, keep="\n"), UserWarning, stacklevel=level)
