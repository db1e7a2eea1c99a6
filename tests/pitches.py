"""Eighteen clips of three pitches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import soundfile as sf

SR = 8000
HZ = {"high": 3000, "low": 300, "mid": 1000}


def write_sounds(folder) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(18):
        seconds, hz = 0.3 + 0.05 * (i % 4), HZ[sorted(HZ)[i % 3]]
        tone = 0.3 * np.sin(2 * np.pi * hz * np.arange(int(SR * seconds)) / SR)
        sf.write(folder / f"{i:02}.wav", tone + 0.01 * np.random.default_rng(i).standard_normal(len(tone)), SR)


def table(**columns) -> pd.DataFrame:
    rows = {"path": [f"{i:02}.wav" for i in range(18)], "label": [sorted(HZ)[i % 3] for i in range(18)]}
    return pd.DataFrame(rows).assign(group=[f"speaker {i // 2}" for i in range(18)], **columns)
