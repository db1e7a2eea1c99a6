"""Freesound's competitions of 2018 and 2019 in small, as Kaggle gives them and as they were published: 44.1 kHz, 16 bit, mono."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from . import hex_name, hiss, random_of, tone, write_csv, write_wav

SR = 44100
HZ_2018 = {"Bark": 500, "Cello": 125, "Hi-hat": None, "Violin_or_fiddle": 2000}  # None: a hiss
EMPTY_2018 = ("0b0427e2.wav", "6ea0099f.wav", "b39975f5.wav")  # the true names of the test files without a sample
HZ_2019 = {
    "Bark": 500,
    "Buzz": 125,
    "Church_bell": 2000,
    "Female_speech_and_woman_speaking": 250,
    "Zipper_(clothing)": None,
}
LICENSE, USAGE = "Creative Commons 0", ("Private", "Public")


def _mix(labels: list[str], hz: dict, seconds: float, *names) -> np.ndarray:
    rng = random_of("freesound", *names)
    return sum(
        hiss(seconds, SR, rng) if hz[label] is None else 0.6 * tone(hz[label], seconds, SR, rng) for label in labels
    )


# ---------------------------------------------------------------------- 2018


def _train_2018() -> list[tuple[str, str, str, int]]:
    """(file, label, what is heard, verified): 7 clips a class, 4 verified; of the others one a class has a wrong label."""
    classes, rows = list(HZ_2018), []
    for i, label in enumerate(classes):
        for k in range(7):
            heard = classes[(i + 1) % len(classes)] if k == 6 else label
            rows.append((hex_name(2018, "train", label, k) + ".wav", label, heard, int(k < 4)))
    return sorted(rows)


def answers_2018() -> dict[str, str]:
    """The label of each test clip that is scored, two a class."""
    return dict(sorted((hex_name(2018, "test", label, k) + ".wav", label) for label in HZ_2018 for k in range(2)))


def _padding_2018() -> list[str]:
    """Test clips that are never scored: two of some sound, and the three empty ones."""
    return [hex_name(2018, "padding", k) + ".wav" for k in range(2)] + list(EMPTY_2018)


def freesound_2018(folder: Path, published: bool = False) -> Path:
    """28 training clips of 4 classes and their test set, as on Kaggle; or as FSDKaggle2018 was published, without padding."""
    folder = Path(folder)
    home = "FSDKaggle2018.audio_" if published else "audio_"
    for name, _, heard, _ in _train_2018():
        write_wav(folder / f"{home}train" / name, _mix([heard], HZ_2018, 0.3, 2018, name), SR)
    for name, label in answers_2018().items():
        write_wav(folder / f"{home}test" / name, _mix([label], HZ_2018, 0.3, 2018, name), SR)
    if published:
        _write_published_2018(folder / "FSDKaggle2018.meta")
        return folder
    for name in _padding_2018():
        write_wav(
            folder / "audio_test" / name, np.zeros(0) if name in EMPTY_2018 else hiss(0.3, SR, random_of(name)), SR
        )
    write_csv(
        folder / "train.csv",
        ["fname", "label", "manually_verified"],
        [(name, label, sure) for name, label, _, sure in _train_2018()],
    )
    asked = sorted([*answers_2018(), *_padding_2018()])
    write_csv(folder / "sample_submission.csv", ["fname", "label"], [(name, "Bark Cello Hi-hat") for name in asked])
    return folder


def _write_published_2018(meta: Path) -> None:
    write_csv(
        meta / "train_post_competition.csv",
        ["fname", "label", "manually_verified", "freesound_id", "license"],
        [(name, label, sure, 1000 + i, LICENSE) for i, (name, label, _, sure) in enumerate(_train_2018())],
    )
    write_csv(
        meta / "test_post_competition_scoring_clips.csv",
        ["fname", "label", "usage", "freesound_id", "license"],
        [(name, label, USAGE[i % 2], 2000 + i, LICENSE) for i, (name, label) in enumerate(answers_2018().items())],
    )


# ---------------------------------------------------------------------- 2019


def _train_2019() -> dict[str, list[tuple[str, list[str], list[str]]]]:
    """(file, labels, what is heard) of the curated and of the noisy clips."""
    classes, curated, noisy = list(HZ_2019), [], []
    for i, label in enumerate(classes):
        other = classes[(i + 1) % len(classes)]
        for k in range(7):
            labels = sorted([label, other]) if k == 6 else [label]
            curated.append((hex_name(2019, "curated", label, k) + ".wav", labels, labels))
        for k in range(3):  # the second has a wrong label
            noisy.append((hex_name(2019, "noisy", label, k) + ".wav", [label], [other] if k == 1 else [label]))
    curated += [
        ("f76181c4.wav", ["Bark"], ["Buzz"]),
        ("1d44b0bd.wav", ["Buzz"], []),
    ]  # two of the clips known to be broken
    return {"curated": sorted(curated), "noisy": sorted(noisy)}


def answers_2019() -> dict[str, list[str]]:
    """The labels of each test clip; every third has two."""
    classes, rows = list(HZ_2019), {}
    for k in range(9):
        labels = {classes[k % 5]} | ({classes[(k + 2) % 5]} if k % 3 == 0 else set())
        rows[hex_name(2019, "test", k) + ".wav"] = sorted(labels)
    return dict(sorted(rows.items()))


def freesound_2019(folder: Path, noisy: bool = True, published: bool = False) -> Path:
    """37 curated and 15 noisy training clips of 5 classes and their test set, as on Kaggle; or as FSDKaggle2019 was published."""
    folder = Path(folder)
    home = "FSDKaggle2019.audio_" if published else ""
    parts = {part: rows for part, rows in _train_2019().items() if noisy or part == "curated"}
    for part, rows in parts.items():
        for name, _, heard in rows:
            y = _mix(heard, HZ_2019, 0.3, 2019, name) if heard else np.zeros(round(0.3 * SR))
            write_wav(folder / f"{home}train_{part}" / name, y, SR)
    for name, labels in answers_2019().items():
        write_wav(folder / f"{home}test" / name, _mix(labels, HZ_2019, 0.3, 2019, name), SR)
    if published:
        _write_published_2019(folder / "FSDKaggle2019.meta", parts)
        return folder
    for part, rows in parts.items():
        write_csv(
            folder / f"train_{part}.csv", ["fname", "labels"], [(name, ",".join(labels)) for name, labels, _ in rows]
        )
    write_csv(
        folder / "sample_submission.csv",
        ["fname", *HZ_2019],
        [(name, *["0.000"] * len(HZ_2019)) for name in answers_2019()],
    )
    return folder


def _write_published_2019(meta: Path, parts: dict) -> None:
    for part, rows in parts.items():
        source = "freesound_id" if part == "curated" else "flickr_video_URL"
        write_csv(
            meta / f"train_{part}_post_competition.csv",
            ["fname", "labels", source, "license"],
            [(name, ",".join(labels), 1000 + i, LICENSE) for i, (name, labels, _) in enumerate(rows)],
        )
    write_csv(
        meta / "test_post_competition.csv",
        ["fname", "labels", "usage", "freesound_id", "license"],
        [
            (name, ",".join(labels), USAGE[i % 2], 3000 + i, LICENSE)
            for i, (name, labels) in enumerate(answers_2019().items())
        ],
    )
