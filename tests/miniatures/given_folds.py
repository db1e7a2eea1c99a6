"""ESC-50 (with its part ESC-10) and UrbanSound8K in small: their folders, names and columns, with synthesised clips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

ESC = {
    "dog": (0, True),
    "rain": (10, True),
    "chainsaw": (41, True),
    "siren": (42, False),
}  # category -> (target, is it in ESC-10?)
URBAN = {"air_conditioner": 0, "car_horn": 1, "dog_bark": 3}  # class -> classID
RATES = (44100, 8000, 22050, 48000, 11025)  # Hz: UrbanSound8K leaves them as they were


def clip(kind: int, seconds: float, sr: int, rng: np.random.Generator) -> np.ndarray:
    """Kind 0 a low tone, 1 noise, 2 a high tone, 3 a sweep: float32 (samples,)."""
    n = round(seconds * sr)
    t = np.arange(n) / sr
    y = (
        np.sin(2 * np.pi * 400 * rng.uniform(0.9, 1.1) * t),
        rng.uniform(-1, 1, n),
        np.sin(2 * np.pi * 3000 * rng.uniform(0.9, 1.1) * t),
        np.sin(2 * np.pi * (500 * t + 2500 / seconds * t**2)),
    )[kind]
    return (rng.uniform(0.2, 0.6) * y).astype("float32")


def esc50(folder, seed: int = 0) -> Path:
    """Write 40 clips of 0.3 s, two of one source in each of 5 folds for each of 4 categories (three of ESC-10), and return the folder.

    As in the data set, some clips end in digital silence.
    """
    folder, rng, rows = Path(folder), np.random.default_rng(seed), []
    (folder / "audio").mkdir(parents=True)
    (folder / "meta").mkdir()
    for fold in range(1, 6):
        for kind, (category, (target, esc10)) in enumerate(ESC.items()):
            source = 100000 + 100 * fold + kind
            for take in "AB":
                y = clip(kind, 0.3, 44100, rng)
                y[len(y) * 2 // 3 :] *= take == "A"
                name = f"{fold}-{source}-{take}-{target}.wav"
                sf.write(folder / "audio" / name, y, 44100, subtype="PCM_16")
                rows.append((name, fold, target, category, esc10, source, take))
    table = pd.DataFrame(rows, columns=["filename", "fold", "target", "category", "esc10", "src_file", "take"])
    table.sort_values("filename").to_csv(folder / "meta" / "esc50.csv", index=False)
    return folder


def urbansound8k(folder, seed: int = 0) -> Path:
    """Write 60 slices of 0.05 to 0.25 s, two of one source in each of 10 folds for each of 3 classes, and return the folder.

    As in the data set, sampling rates, channels and sample formats differ, a slice is very short, and the folders hold more than audio.
    """
    folder, rng, rows = Path(folder), np.random.default_rng(seed), []
    (folder / "metadata").mkdir(parents=True)
    for fold in range(1, 11):
        (folder / "audio" / f"fold{fold}").mkdir(parents=True)
        (folder / "audio" / f"fold{fold}" / ".DS_Store").write_bytes(b"\0")
        for kind, (label, class_id) in enumerate(URBAN.items()):
            source = 7061 + 10 * fold + kind
            for part in range(2):
                i = len(rows)
                y = clip(kind, 0.05 if i == 7 else 0.25, RATES[i % 5], rng)
                name = f"{source}-{class_id}-0-{part}.wav"
                sf.write(
                    folder / "audio" / f"fold{fold}" / name,
                    np.stack([y, 0.8 * y], axis=1) if i % 4 == 1 else y,
                    RATES[i % 5],
                    subtype=("PCM_16", "PCM_24", "FLOAT")[i % 3],
                )
                start = 58.5 + 2 * part  # in the source recording, not in the slice
                rows.append((name, source, start, start + len(y) / RATES[i % 5], 1 + i % 2, fold, class_id, label))
    table = pd.DataFrame(
        rows, columns=["slice_file_name", "fsID", "start", "end", "salience", "fold", "classID", "class"]
    )
    table.sort_values("slice_file_name").to_csv(folder / "metadata" / "UrbanSound8K.csv", index=False)
    return folder
