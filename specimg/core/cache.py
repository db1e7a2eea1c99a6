"""The folder of what can be made again: rendered trees and downloaded data sets."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache() -> Path:
    """The default cache folder: $SPECIMG_CACHE, else /kaggle/working/specimg on Kaggle, else the user's cache folder."""
    if os.environ.get("SPECIMG_CACHE"):
        return Path(os.environ["SPECIMG_CACHE"])
    if os.path.isdir("/kaggle/working"):
        return Path("/kaggle/working/specimg")
    import platformdirs

    return Path(platformdirs.user_cache_dir("specimg"))
