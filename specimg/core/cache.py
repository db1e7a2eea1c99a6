"""The folder of what can be made again: drawn trees and downloaded data sets."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["default_cache"]


def default_cache() -> Path:
    """Where trees go by default: $SPECIMG_CACHE, else /kaggle/working where that exists, else the user's cache folder."""
    if os.environ.get("SPECIMG_CACHE"):
        return Path(os.environ["SPECIMG_CACHE"])
    if os.path.isdir("/kaggle/working"):
        return Path("/kaggle/working/specimg")
    import platformdirs

    return Path(platformdirs.user_cache_dir("specimg"))
