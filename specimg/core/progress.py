"""Progress bars, where somebody watches."""

from __future__ import annotations

import sys

__all__ = ["progress_bar"]


def progress_bar(total: int | None, name: str, wanted: bool = True, *, unit: str = "clip", initial: int = 0):
    """A tqdm bar on terminals and in notebooks; nothing in a log.

    Parameters
    ----------
    total : how many are to come; None where nobody knows
    name : what stands before the bar
    wanted : False for none at all
    unit : what is counted; "B" for bytes, shown as kB, MB, GB
    initial : how many are there already
    """
    from tqdm import tqdm

    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    return tqdm(
        total=total, desc=name, unit=unit, unit_scale=unit == "B", initial=initial, disable=not (wanted and watched)
    )
