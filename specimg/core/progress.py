"""Progress bars, on terminals and in notebooks only."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from .text import printable

if TYPE_CHECKING:
    from tqdm import tqdm


def progress_bar(total: int | None, name: str, wanted: bool = True, *, unit: str = "clip", initial: int = 0) -> tqdm:
    """A tqdm bar on terminals and in notebooks; silent if the output goes to a file.

    Parameters
    ----------
    total : int or None
        How many are to come; None if that is not known.
    name : str
        The text before the bar.
    wanted : bool, default True
        False shows none at all.
    unit : str, default "clip"
        What is counted; "B" for bytes, shown as kB, MB, GB.
    initial : int, default 0
        How many are done already.

    Returns
    -------
    tqdm
        To be used in a `with`, with `update(n)`.
    """
    from tqdm import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        total=total, desc=name, unit=unit, unit_scale=unit == "B", initial=initial, disable=not (wanted and watched)
    )


def line_logger(log: Callable[[str], None] | None) -> Callable[[str], None]:
    """What takes the lines of a log: `log` itself, nothing for None, and `print` without delay, and without control characters."""
    if log is None:
        return lambda line: None
    return (lambda line: print(printable(line, keep="\n"), flush=True)) if log is print else log
