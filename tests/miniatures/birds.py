"""BirdCLEF in small: the folders, files, columns and row names of each year, with a few synthesised birds.

`birdclef(folder, "birdclef-2023")` writes the state in which Kaggle runs a submitted notebook, with test recordings;
`hidden=True` the state that is downloaded, without them. `birdclef_answers(slug)` tells what is heard in each test row.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

SR = 32000
SECONDS = 0.6  # of a training clip
CLIPS = (10, 8, 8, 1)  # of each bird: the last has one recording only, as some have
AUTHORS = ("Ana Pérez", "B. Bird", "Chen, C.", "Doe", "Evi", "F. Finch")
UNKNOWN = "zzzbird"  # heard in the background, but nobody asks for it
RATINGS = (5.0, 4.0, 3.5, 0.0, 2.0, 4.5)

BIRDS = {
    "birdclef-2021": ("acafly", "amecro", "houfin", "rufhum"),
    "birdclef-2022": ("akiapo", "apapan", "houfin", "skylar"),
    "birdclef-2023": ("abethr1", "abhori1", "thrnig1", "yewgre1"),
    "birdclef-2024": ("asbfly", "comior1", "houspa", "zitcis1"),
    "birdclef-2025": ("1139490", "126247", "amakin1", "yehcar1"),
    "birdclef-2026": ("22961", "47158son01", "brnowl", "compau"),
}
WITH_TAXONOMY = ("birdclef-2025", "birdclef-2026")  # and train.csv
SCORED = ("apapan", "akiapo")  # of 2022, in the order of its file

# test recordings: which birds (by number) are heard in each of three stretches of five seconds
HEARD = (((0,), (), (1, 2)), ((2,), (1,), ()))
SOUNDSCAPES = {
    "birdclef-2021": ("20152_SSW_20170805", "57610_COR_20190904"),
    "birdclef-2022": ("soundscape_453028782", "soundscape_1000170626"),
    "birdclef-2023": ("soundscape_29201", "soundscape_31007"),
    "birdclef-2024": ("soundscape_1446779", "soundscape_998240"),
    "birdclef-2025": ("soundscape_8358733", "soundscape_10021"),
    "birdclef-2026": ("BC2026_Test_0001_S05_20250227_010002", "BC2026_Test_0002_S22_20250301_200000"),
}
_UNLABELLED = {
    "birdclef-2024": "unlabeled_soundscapes/460830.ogg",
    "birdclef-2025": "train_soundscapes/H02_20230420_074000.ogg",
    "birdclef-2026": "train_soundscapes/BC2026_Train_0007_S08_20250606_030007.ogg",
}
_LABELLED = "2782_SSW_20170701"  # the soundscape of 2021 whose labels are given
_LABELLED_HEARD = ((1,), (), (0, 2))
_LABELLED_2026 = {  # three soundscapes of two sites
    "BC2026_Train_0039_S22_20211231_201500": ((1,), (), (0, 2)),
    "BC2026_Train_0040_S22_20220101_201500": ((2,), (2, 3), ()),
    "BC2026_Train_0041_S08_20220101_060000": ((), (0,), (3,)),
}


def song(bird: int, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """The bird's whistle, 1, 2, 4 or 8 kHz in beats, over faint noise: float32 (samples,) at 32 kHz."""
    t = np.arange(round(seconds * SR)) / SR
    whistle = np.sin(2 * np.pi * 1000 * 2**bird * rng.uniform(0.95, 1.05) * t) * (
        np.sin(2 * np.pi * 6 * t + rng.uniform(0, 6)) > 0
    )
    return (rng.uniform(0.2, 0.5) * whistle + 0.01 * rng.standard_normal(len(t))).astype("float32")


def _write_ogg(path: Path, y: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with sf.SoundFile(path, "w", SR, 1, format="OGG", subtype="VORBIS") as file:
        for begin in range(0, len(y), SR):  # a second at a time: some libsndfile crash on long blocks
            file.write(y[begin : begin + SR])


def _scape(heard, rng: np.random.Generator) -> np.ndarray:
    """Five seconds for each set of birds, one after the other."""
    quiet = 0.01 * rng.standard_normal(5 * SR).astype("float32")
    return np.concatenate([sum((song(bird, 5.0, rng) for bird in birds), quiet) for birds in heard])


def _code(i: int, bird: int, number: int, slug: str) -> str:
    """The name of a recording; since 2025 there are three collections."""
    kind = ("XC", "iNat", "CSA")[i % 3] if slug in WITH_TAXONOMY else "XC"
    return f"{kind}{1000 * (bird + 1) + number}"


def _clips(slug: str) -> pd.DataFrame:
    """The rows of the training table, with all columns of any year."""
    birds, rows = BIRDS[slug], []
    none = "['']" if slug == "birdclef-2025" else "[]"
    for bird, n in enumerate(CLIPS):
        for number in range(n):
            i = len(rows)
            code = _code(i, bird, number, slug)
            secondary = {2: f"['{birds[(bird + 1) % 3]}']", 5: f"['{UNKNOWN}', '{birds[(bird + 2) % 3]}']"}.get(
                i % 7, none
            )
            rows.append(
                {
                    "primary_label": birds[bird],
                    "secondary_labels": secondary,
                    "type": "['call', 'male']",
                    "latitude": "" if i % 8 == 7 else f"{20 + i / 4:.2f}",
                    "longitude": "" if i % 8 == 7 else f"{-155 + i / 3:.2f}",
                    "scientific_name": f"Avis numerus {bird}",
                    "common_name": f"Bird, No. {bird}",
                    "author": AUTHORS[number % 6],
                    "date": "2019-04-01",
                    "filename": f"{code}.ogg" if slug == "birdclef-2021" else f"{birds[bird]}/{code}.ogg",
                    "class_name": "Aves",
                    "inat_taxon_id": str(1000 + bird),
                    "license": "CC BY-NC-SA 4.0",
                    "rating": f"{RATINGS[i % 6]:g}" if slug in WITH_TAXONOMY else f"{RATINGS[i % 6]:.1f}",
                    "time": "07:30",
                    "url": f"https://recordings.example/{code}",
                    "collection": code.rstrip("0123456789"),
                    "path": f"{birds[bird]}/{code}.ogg",
                    "bird": bird,
                    "secondary": [birds.index(b) for b in birds[:3] if b in secondary],
                }
            )
    return pd.DataFrame(rows)


_FRONT = "primary_label,secondary_labels,type,"
_PLACE = "latitude,longitude,scientific_name,common_name,author,"
_COLUMNS = {
    "birdclef-2021": _FRONT + _PLACE + "date,filename,license,rating,time,url",
    "birdclef-2022": _FRONT + _PLACE + "license,rating,time,url,filename",
    "birdclef-2023": _FRONT + _PLACE + "license,rating,url,filename",
    "birdclef-2024": _FRONT + _PLACE + "license,rating,url,filename",
    "birdclef-2025": _FRONT + "filename,collection,rating,url," + _PLACE + "license",
    "birdclef-2026": _FRONT
    + "latitude,longitude,scientific_name,common_name,class_name,inat_taxon_id,author,license,rating,url,filename,collection",
}


def _write_training(folder: Path, slug: str, rng: np.random.Generator) -> None:
    clips = _clips(slug)
    audio = "train_short_audio" if slug == "birdclef-2021" else "train_audio"
    clips[_COLUMNS[slug].split(",")].to_csv(
        folder / ("train.csv" if slug in WITH_TAXONOMY else "train_metadata.csv"), index=False
    )
    for path, bird, others in zip(clips["path"], clips["bird"], clips["secondary"]):
        y = song(bird, SECONDS, rng) + sum(0.3 * song(other, SECONDS, rng) for other in others)
        _write_ogg(folder / audio / path, y)


def _rows(slug: str) -> pd.DataFrame:
    """The test rows with all columns of any year, and the answer `label`: the birds heard, in 2022 whether the one asked for is."""
    birds, rows = BIRDS[slug], []
    for name, stretches in zip(SOUNDSCAPES[slug], HEARD):
        short = "_".join(name.split("_")[:2]) if slug == "birdclef-2021" else name
        for i, heard in enumerate(stretches):
            end, here = 5 * (i + 1), [birds[bird] for bird in heard]
            if slug == "birdclef-2022":
                rows += [
                    {
                        "row_id": f"{name}_{bird}_{end}",
                        "file_id": name,
                        "bird": bird,
                        "end_time": end,
                        "label": bird in here,
                    }
                    for bird in SCORED
                ]
            else:
                audio_id, site = short.split("_")[:2]
                rows.append(
                    {"row_id": f"{short}_{end}", "site": site, "audio_id": audio_id, "seconds": end, "label": here}
                )
    return pd.DataFrame(rows)


def birdclef_answers(slug: str) -> pd.DataFrame:
    """`id, label` of every test row: the list of birds that are heard; in 2022 whether the bird asked for is."""
    return _rows(slug).rename(columns={"row_id": "id"})[["id", "label"]]


def _write_tables(folder: Path, slug: str, rows: pd.DataFrame) -> None:
    """sample_submission.csv, test.csv and what else a year has."""
    sample = rows[["row_id"]]
    if slug == "birdclef-2021":
        sample = sample.assign(birds="nocall")
        rows[["row_id", "site", "audio_id", "seconds"]].to_csv(folder / "test.csv", index=False)
        for site in ("COL", "COR", "SNE", "SSW"):
            (folder / "test_soundscapes" / f"{site}_recording_location.txt").write_text(f"site {site}\n")
    elif slug == "birdclef-2022":
        sample = sample.assign(target=False)
        rows[["row_id", "file_id", "bird", "end_time"]].to_csv(folder / "test.csv", index=False)
        (folder / "scored_birds.json").write_text(json.dumps(SCORED))
    else:
        sample = sample.assign(**dict.fromkeys(BIRDS[slug], 1 / len(BIRDS[slug])))
    sample.to_csv(folder / "sample_submission.csv", index=False)
    if slug in WITH_TAXONOMY:
        columns = {
            "primary_label": BIRDS[slug],
            "inat_taxon_id": range(4),
            "scientific_name": "Avis",
            "common_name": "Bird",
        }
        pd.DataFrame(columns | {"class_name": "Aves"}).to_csv(folder / "taxonomy.csv", index=False)
        (folder / "test_soundscapes" / "readme.txt").write_text(
            "The recordings appear here when a notebook is scored.\n"
        )
    elif slug != "birdclef-2021":
        rows = "".join(f"{i},species,{bird}\n" for i, bird in enumerate(BIRDS[slug]))
        (folder / "eBird_Taxonomy_v2021.csv").write_text("TAXON_ORDER,CATEGORY,SPECIES_CODE\n" + rows)


def _write_timed_labels(folder: Path, rng: np.random.Generator) -> None:
    """Labelled soundscapes of 2026: clock times, labels in one cell, and every row of the first recording twice."""
    rows = []
    for name, stretches in _LABELLED_2026.items():
        _write_ogg(folder / "train_soundscapes" / f"{name}.ogg", _scape(stretches, rng))
        for i, heard in enumerate(stretches):
            cell = ";".join(BIRDS["birdclef-2026"][bird] for bird in heard)
            rows.append((f"{name}.ogg", f"00:00:{5 * i:02}", f"00:00:{5 * (i + 1):02}", cell))
    table = pd.DataFrame(rows + rows[:3], columns=["filename", "start", "end", "primary_label"])
    table.to_csv(folder / "train_soundscapes_labels.csv", index=False)


def _write_soundscapes(folder: Path, slug: str, rng: np.random.Generator, hidden: bool) -> None:
    if slug == "birdclef-2021":
        _write_ogg(folder / "train_soundscapes" / f"{_LABELLED}.ogg", _scape(_LABELLED_HEARD, rng))
        cells = [" ".join(BIRDS[slug][bird] for bird in birds) or "nocall" for birds in _LABELLED_HEARD]
        rows = [(f"2782_SSW_{5 * (i + 1)}", "SSW", 2782, 5 * (i + 1), cell) for i, cell in enumerate(cells)]
        labels = pd.DataFrame(rows, columns=["row_id", "site", "audio_id", "seconds", "birds"])
        labels.to_csv(folder / "train_soundscape_labels.csv", index=False)
    if slug == "birdclef-2026":
        _write_timed_labels(folder, rng)
    if slug in _UNLABELLED:
        _write_ogg(folder / _UNLABELLED[slug], _scape(((0,),), rng))
    for name, heard in zip(SOUNDSCAPES[slug], HEARD) if not hidden else ():
        _write_ogg(folder / "test_soundscapes" / f"{name}.ogg", _scape(heard, rng))


def birdclef(folder, slug: str, hidden: bool = False, seed: int = 0) -> Path:
    """Write one year's competition into `folder` and return it; the samples depend on the seed alone (ogg files hold a number by lot).

    27 training clips of four birds, one of them with a single recording, by six authors; two soundscapes of 15 s to be answered. With
    `hidden` they are not there, and the tables ask three rows (2022: six) of one that is not there either.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    (folder / "test_soundscapes").mkdir(parents=True)
    rows = _rows(slug)
    _write_tables(folder, slug, rows.head(3 * (len(SCORED) if slug == "birdclef-2022" else 1)) if hidden else rows)
    _write_training(folder, slug, rng)
    _write_soundscapes(folder, slug, rng, hidden)
    return folder
