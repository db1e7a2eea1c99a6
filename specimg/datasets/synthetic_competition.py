"""A small competition of synthetic sounds, in the layout of Kaggle's freesound-audio-tagging (2018).

`make_competition` plans every clip from the seed first and then writes what is missing, so that a call which was stopped
is resumed by the next one, and the same arguments give the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf
from tqdm import tqdm

from ..core.files import is_temporary, write_atomic
from ..core.reading import read_json
from ..core.values import Value, choose
from .synthesis import LOWEST_SR, list_sounds, make_sound

_EMPTY = ("0b0427e2.wav", "6ea0099f.wav", "b39975f5.wav")  # the real competition's three test clips without sound
_RECORD = "competition.json"  # written last: where it is, everything is
_FOLDERS = {"train": "audio_train", "test": "audio_test"}
_TABLES = ("train.csv", "sample_submission.csv", "solution.csv")


@dataclass(frozen=True)
class _Settings(Value):
    """What determines the content of a competition, down to the byte; see `make_competition`."""

    kinds: tuple[str, ...]
    n_per_class: int = 60
    n_test: int = 120
    sr: int = 22050  # Hz
    seed: int = 0
    verified: float = 0.6  # share of the training clips of each class
    wrong: float = 0.2  # share of the unverified training clips
    version: int = 1  # of the synthesis: incremented with every change of a sound

    def _check(self):
        for kind in self.kinds:
            choose(kind, list_sounds(), "sound")
        rules = {
            "kinds": (len(set(self.kinds)) == len(self.kinds) >= 2, "two or more different names of list_sounds()"),
            "n_per_class": (self.n_per_class >= 1, "at least 1"),
            "n_test": (self.n_test >= 0, "at least 0"),
            "sr": (self.sr >= LOWEST_SR, f"at least {LOWEST_SR} Hz"),
            "seed": (self.seed >= 0, "at least 0"),
            "verified": (0 <= self.verified <= 1, "a share from 0 to 1"),
            "wrong": (0 <= self.wrong <= 1, "a share from 0 to 1"),
        }
        for name, (holds, rule) in rules.items():
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r}; give {rule}")


@dataclass(frozen=True)
class _Clip:
    split: str  # "train" or "test"
    index: int  # within the split
    kind: str
    name: str  # of the file

    @property
    def path(self) -> str:
        return f"{_FOLDERS[self.split]}/{self.name}"

    @property
    def label(self) -> str:
        return self.kind.capitalize()


def _file_name(made_from: tuple, taken: set[str]) -> str:
    """Eight hexadecimal digits: a digest of what the sound is made from, which does not reveal the label."""
    tries = (repr((*made_from, attempt)).encode() for attempt in itertools.count())
    names = (hashlib.blake2b(made, digest_size=4).hexdigest() + ".wav" for made in tries)
    return next(name for name in names if name not in taken)


def _plan(settings: _Settings) -> list[_Clip]:
    """All clips with sound, sorted by split and file name: the order reveals nothing about the kinds."""
    clips, taken = [], set(_EMPTY)
    for split, count in ("train", settings.n_per_class * len(settings.kinds)), ("test", settings.n_test):
        for index in range(count):
            kind = settings.kinds[index % len(settings.kinds)]
            name = _file_name((settings.version, settings.seed, settings.sr, split, index, kind), taken)
            taken.add(name)
            clips.append(_Clip(split, index, kind, name))
    return sorted(clips, key=lambda clip: (clip.split, clip.name))


def _train_rows(clips: list[_Clip], settings: _Settings) -> list[tuple]:
    """Rows fname, label, manually_verified; of the unverified ones an exact share has another class's label."""
    n_verified = round(settings.verified * settings.n_per_class)
    clips = [clip for clip in clips if clip.split == "train"]
    verified = [clip.index // len(settings.kinds) < n_verified for clip in clips]
    labels = [clip.label for clip in clips]
    rng = np.random.default_rng(settings.seed)
    doubtful = rng.permutation(np.flatnonzero(np.logical_not(verified)))
    for i in doubtful[: round(settings.wrong * len(doubtful))]:
        labels[i] = rng.choice([kind.capitalize() for kind in settings.kinds if kind != clips[i].kind])
    return [(clip.name, label, int(sure)) for clip, label, sure in zip(clips, labels, verified)]


def _csv_bytes(columns: tuple[str, ...], rows: list[tuple]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode()


def _tables(clips: list[_Clip], settings: _Settings) -> dict[str, bytes]:
    """The csv files by name. The solution is for scoring only; training never reads it."""
    answers = {clip.name: clip.label for clip in clips if clip.split == "test"} | dict.fromkeys(_EMPTY, "None")
    guess = " ".join(sorted(kind.capitalize() for kind in settings.kinds)[:3])
    tables = (
        (("fname", "label", "manually_verified"), _train_rows(clips, settings)),
        (("fname", "label"), [(name, guess) for name in sorted(answers)]),
        (("fname", "label"), sorted(answers.items())),
    )
    return {name: _csv_bytes(*table) for name, table in zip(_TABLES, tables)}


def _wav_bytes(y: np.ndarray, sr: int) -> bytes:
    """A 16-bit mono wav file."""
    file = io.BytesIO()
    sf.write(file, y, sr, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _clip_bytes(clip: _Clip, settings: _Settings) -> bytes:
    """The file of one clip, which depends on its own index only and not on the clips before it."""
    rng = np.random.default_rng([settings.seed, list(_FOLDERS).index(clip.split), clip.index])
    return _wav_bytes(make_sound(clip.kind, rng, settings.sr), settings.sr)


def _files_in(folder: Path) -> set[str]:
    """Every file below `folder`, relative and with forward slashes, without temporary files of killed processes."""
    return {
        Path(root, name).relative_to(folder).as_posix()
        for root, _, names in os.walk(folder)
        for name in names
        if not is_temporary(name)
    }


def _read_record(path: Path) -> dict | None:
    """The settings that an earlier call wrote last, or None."""
    try:
        record = read_json(path)
        if not isinstance(record, dict):
            raise ValueError(f"expected an object, found {record!r}")
        return record
    except FileNotFoundError:
        return None
    except ValueError as exc:
        raise ValueError(f"{path} is not a record of a competition made here; choose an empty folder") from exc


def _missing(folder: Path, planned: set[str], settings: _Settings) -> set[str]:
    """The planned files that are still to be written; ValueError if the folder belongs to something else."""
    found, record, wanted = _files_in(folder), _read_record(folder / _RECORD), settings.to_dict()
    if record is None:
        if found - planned:
            raise ValueError(
                f"{folder} holds files that do not belong to this competition, such as {min(found - planned)!r}; "
                "choose an empty folder, or one where the same call was stopped"
            )
        found -= {*_TABLES}  # those of a stopped call may have been for other shares of wrong labels
    elif record != wanted:
        there = ", ".join(f"{name}={record.get(name)!r}" for name, value in wanted.items() if record.get(name) != value)
        raise ValueError(f"{folder} holds a competition with {there}; choose another folder, or remove this one first")
    return planned - found


def make_competition(
    folder: str | os.PathLike,
    *,
    n_per_class: int = 60,
    n_test: int = 120,
    sr: int = 22050,
    seed: int = 0,
    kinds: Iterable[str] | None = None,
    verified: float = 0.6,
    wrong: float = 0.2,
    progress: bool = True,
) -> Path:
    """Write a small competition of synthetic sounds in the layout of freesound-audio-tagging (2018).

    The same arguments give the same bytes. A call that was stopped is resumed by the next one; if everything is there, nothing is
    written.

        train.csv               fname, label, manually_verified
        sample_submission.csv   fname, label: one row per test file, with up to three labels
        solution.csv            fname, label: the true label of every test file, "None" for the empty ones
        audio_train/  audio_test/   wav, 16 bit, mono
        competition.json        the settings, written last

    Parameters
    ----------
    folder : str or path-like
        Where to write; a new or empty folder, or that of a stopped call.
    n_per_class : int, default 60
        Training clips of each class.
    n_test : int, default 120
        Test clips with sound; three empty ones are added, as in the real competition.
    sr : int, default 22050
        Sampling rate in Hz, at least 8000.
    seed : int, default 0
        Seed of everything random.
    kinds : iterable of str, default None
        Names from `list_sounds()`, two or more; None is all of them. The labels are these names, capitalised.
    verified : float, default 0.6
        Fraction of each class that has manually_verified=1 and the right label.
    wrong : float, default 0.2
        Fraction of the other training clips that have another class's label.
    progress : bool, default True
        Show a bar.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ValueError
        An argument is out of range, or `folder` holds a competition with other settings or other files.

    Examples
    --------
    >>> folder = sp.make_competition("toy", n_per_class=2, n_test=3, sr=8000, kinds=["bell", "rain"], progress=False)
    >>> pd.read_csv(folder / "train.csv").shape
    (4, 3)
    """
    folder = Path(folder)
    kinds = tuple(sorted(list_sounds() if kinds is None else kinds))
    settings = _Settings(kinds, n_per_class, n_test, sr, seed, verified, wrong)
    clips = _plan(settings)
    no_clip = _wav_bytes(np.zeros(0), settings.sr)  # a header and no sample
    fixed = {f"{_FOLDERS['test']}/{name}": data for name, data in zip(_EMPTY, (no_clip, no_clip, b""))}
    fixed |= _tables(clips, settings)
    missing = _missing(folder, {clip.path for clip in clips} | fixed.keys(), settings)
    if not missing:
        return folder
    # A file is named by the digest of what its sound is made from: if the name exists, the sound is the right one.
    clips = [clip for clip in clips if clip.path in missing]
    for clip in tqdm(clips, desc=f"sounds in {folder.name}", unit="clip", disable=not progress):
        write_atomic(folder / clip.path, _clip_bytes(clip, settings))
    for path in sorted(missing & fixed.keys()):
        write_atomic(folder / path, fixed[path])
    write_atomic(folder / _RECORD, settings.to_json(indent=1).encode())
    return folder
