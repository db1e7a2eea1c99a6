"""Warnings of this room are about the line outside the package that began it, however deep they are said.

    warn_user("3 of 18 training clips could not be drawn")      # seen at the user's own call of cross_validate
"""

from __future__ import annotations

import sys
import warnings

__all__ = ["warn_user"]

_PACKAGE = __name__.partition(".")[0]
_BETWEEN = {_PACKAGE, "functools", "contextlib"}   # cached properties and context managers stand between two lines of ours


def warn_user(message: str) -> None:
    """Warn at the nearest line that is not the package's own."""
    level, frame = 2, sys._getframe(1)   # the line that called this function
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, UserWarning, stacklevel=level)
