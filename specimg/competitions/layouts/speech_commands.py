"""Short spoken words: Kaggle's TensorFlow Speech Recognition Challenge, and the Speech Commands that its words are from.

    comp = Competition.open("tensorflow-speech-recognition-challenge", "speech/")       # ten words, silence, unknown
    comp = Competition.open("speech_commands", "speech_commands_v0.02/")                # every word
    comp = Competition.open("speech_commands", "words/", words=["up", "down"], unknown=0.1, silence=0.1)

One folder per word, one file per clip: `yes/00f0204f_nohash_0.wav` is the first "yes" of speaker 00f0204f, and file names repeat in
other folders. Speakers are groups. Clips of all other words may be sampled as "unknown", and windows of the long recordings in
`_background_noise_` as "silence"; what is sampled depends on the seed and on the names of the files only.

Both layouts are read under both names: as Kaggle has it (`train/audio/yes/...`, `test/audio/...`), and as the data set unpacks
(`yes/...`, no test set). Your own words may be laid out like that.
"""

from __future__ import annotations

import hashlib
import math
import numbers
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ...audio.find import is_audio_name
from ...core.files import OutsideError, inside
from ...core.text import count, examples
from ...core.values import choose
from ...core.warnings import warn
from ...labels.folds import divided
from ..competition import Competition
from ..reading import sample_rows
from ..registry import layout
from ..submission_formats import BestLabels

TEN_WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
SILENCE, UNKNOWN = "silence", "unknown"
NOISE = "_background_noise_"
LISTS = ("validation_list.txt", "testing_list.txt")  # folds 0 and 1 of the official split
MARKS = [("train/audio",), LISTS, (NOISE,), ("yes", "no")]


# ---------------------------------------------------------------------- files


def _audio_below(folder: Path) -> str:
    """The folder of the words' folders: as on Kaggle, as in its `train` folder, or the folder itself."""
    return next((below for below in ("train/audio", "audio") if (folder / below).is_dir()), "")


def _listed(folder: Path) -> tuple[list[str], list[str]]:
    """The names of recordings and of folders in a folder, sorted; without a request for each file."""
    files, folders = [], []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.is_dir():
                folders.append(entry.name)
            elif is_audio_name(entry.name):
                files.append(entry.name)
    return sorted(files), sorted(folders)


def _words_in(folder: Path) -> dict[str, list[str]]:
    """The recordings in the folder of each word. ValueError if there are none, a warning if some are outside."""
    stray, folders = _listed(folder)
    if stray:
        what = f"{count(len(stray), 'recording')} directly in {str(folder)!r}, not used ({examples(stray)})"
        warn(f"{what}; move each into the folder of its word")
    found = {word: _listed(folder / word)[0] for word in folders if word != NOISE}
    if not any(found.values()):
        raise ValueError(
            f"no recordings in the folders of {str(folder)!r}; "
            "unpack them to one folder per word, such as 'yes/00f0204f_nohash_0.wav'"
        )
    return {word: files for word, files in found.items() if files}


def _speaker(word: str, file: str) -> str:
    """The speaker: the name before `_nohash_`; a file without it is its own group."""
    name, mark, _ = file.partition("_nohash_")
    return name if mark else f"{word}/{file}"


# ---------------------------------------------------------------------- which words


def _checked_words(words: Sequence[str], there: dict[str, list[str]]) -> list[str]:
    if isinstance(words, str) or not len(words) or len(set(words)) < len(words):
        raise ValueError(f"words={words!r}; give a list of different words, such as words=['yes', 'no']")
    return [choose(word, there, "word") for word in words]


def _every_word(there: dict[str, list[str]]) -> list[str]:
    return [word for word in there if word not in (SILENCE, UNKNOWN)]


def _the_ten(there: dict[str, list[str]]) -> list[str]:
    """The words of the challenge; all there are, if there is none of them."""
    words = [word for word in TEN_WORDS if word in there]
    if not words:
        words = _every_word(there)
        each = f"each of the {count(len(words), 'word')} that have one is a label ({examples(words)})"
        warn(f"none of the challenge's ten words has a folder; {each}")
    elif len(words) < len(TEN_WORDS):
        missing = [word for word in TEN_WORDS if word not in there]
        warn(
            f"{len(missing)} of the challenge's ten words have no folder ({examples(missing)}): no network can learn them"
        )
    return words


# ---------------------------------------------------------------------- sampling


def _random_number(seed: int, name: str) -> int:
    """A number that depends on the seed and on a name only, so that neither order nor other files change what is sampled."""
    text = f"{seed} {name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big")


def _how_many(name: str, share: float, n: int) -> int:
    if not isinstance(share, numbers.Real) or not 0 <= share < math.inf:
        raise ValueError(f"{name}={share!r}; give a share of the clips of known words, such as 0.1")
    return round(share * n)


def _even_shares(n: int, there: dict[str, int]) -> dict[str, int]:
    """Divide `n` clips over words that have these numbers of clips: the same number of each, as far as they have.

    >>> _even_shares(7, {"bed": 10, "cat": 1, "dog": 10})
    {'cat': 1, 'bed': 3, 'dog': 3}
    """
    shares = {}
    for i, word in enumerate(sorted(there, key=there.get)):
        shares[word] = min(there[word], (n - sum(shares.values())) // (len(there) - i))
    return shares


def _draw_unknown(others: dict[str, list[str]], n: int, seed: int) -> list[tuple[str, str]]:
    """`n` pairs of word and file, evenly over the other words."""
    total = sum(map(len, others.values()))
    if n > total:
        warn(f"{count(n, 'clip')} of unknown words wanted, but the other words have {total}")
    order = sorted(others, key=lambda word: _random_number(seed, word))
    shares = _even_shares(n, {word: len(others[word]) for word in order})
    return [
        (word, file)
        for word, k in shares.items()
        for file in sorted(others[word], key=lambda file: _random_number(seed, f"{word}/{file}"))[:k]
    ]


# ---------------------------------------------------------------------- silence


def _lengths(folder: Path, seconds: float) -> dict[str, float]:
    """The length in seconds of each recording of noise that holds a window of `seconds`; a warning names the others."""
    import soundfile

    lengths, useless = {}, []
    for file in _listed(folder)[0]:
        try:
            length = soundfile.info(os.fspath(folder / file)).duration
        except (OSError, soundfile.SoundFileError):
            length = 0.0
        if length >= seconds:
            lengths[file] = length
        else:
            useless.append(file)
    if useless:
        warn(
            f"{count(len(useless), 'recording')} in {NOISE} shorter than {seconds:g} s or not readable, not used ({examples(useless)})"
        )
    return lengths


def _windows_each(n: int, lengths: dict[str, float]) -> dict[str, int]:
    """Divide `n` windows over recordings in proportion to their lengths; the largest remainders get what is left."""
    exact = {file: n * length / sum(lengths.values()) for file, length in lengths.items()}
    whole = {file: int(share) for file, share in exact.items()}
    for file in sorted(exact, key=lambda file: whole[file] - exact[file])[: n - sum(whole.values())]:
        whole[file] += 1
    return whole


def _starts(n: int, length: float, seconds: float, seed: int) -> np.ndarray:
    """Starts of `n` windows in whole milliseconds: random without overlap if they fit, else evenly spread."""
    room = length - n * seconds
    if room >= 0:
        # numpy keeps RandomState the same in every version
        gaps = np.sort(np.random.RandomState(seed % 2**32).uniform(0, room, n))
        starts = gaps + seconds * np.arange(n)
    else:
        starts = np.linspace(0, length - seconds, n)
    return np.unique(np.floor(1000 * starts + 1e-6) / 1000)


def _silence(folder: Path, below: str, n: int, seconds: float, seed: int) -> pd.DataFrame:
    """`n` windows of the recordings of noise: `path, start, end, group`; fewer, with a warning, if they are too short."""
    lengths = _lengths(folder, seconds) if folder.is_dir() else {}
    rows = []
    for file, k in _windows_each(n, lengths).items() if lengths else ():
        starts = _starts(k, lengths[file], seconds, _random_number(seed, file))
        rows += [(f"{below}{NOISE}/{file}", start, round(start + seconds, 6), f"{NOISE}/{file}") for start in starts]
    if len(rows) < n:
        warn(f"{count(n, 'clip')} of silence wanted, but the recordings in {str(folder)!r} give {len(rows)}")
    return pd.DataFrame(rows, columns=["path", "start", "end", "group"])


# ---------------------------------------------------------------------- the official lists


def _read_list(path: Path, audio: Path) -> set[str]:
    """The clips that a list names, a line each, as paths below the folder of the words."""
    names = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            names |= {inside(audio, line.strip())} if line.strip() else set()
        except OutsideError as exc:
            raise OutsideError(f"{path.name}, line {number}: {exc}") from exc
    return names


def _lists_in(folder: Path, audio: Path, there: dict[str, list[str]]) -> dict[str, int]:
    """The fold of each clip that a list names: 0 for validation, 1 for testing."""
    missing = [name for name in LISTS if not (folder / name).is_file()]
    if missing:
        raise ValueError(
            f"split='official' needs {' and '.join(missing)} in {str(folder)!r}; "
            "unpack them there, or open it with split='random'"
        )
    validation, testing = (_read_list(folder / name, audio) for name in LISTS)
    both = sorted(validation & testing)
    if both:
        raise ValueError(
            f"{count(len(both), 'clip')} in both {LISTS[0]} and {LISTS[1]} ({examples(both)}); take them out of one"
        )
    lost = sorted(
        (validation | testing).difference(f"{word}/{file}" for word, files in there.items() for file in files)
    )
    if lost:
        warn(f"{count(len(lost), 'clip')} in the official lists without a recording ({examples(lost)})")
    return dict.fromkeys(validation, 0) | dict.fromkeys(testing, 1)


def _official_folds(clips: pd.DataFrame, fold_of: dict[str, int], below: str, seed: int) -> list[int]:
    """Folds of words by the lists, -1 if none names them; two random recordings of noise are held out as well."""
    noises = sorted(set(clips["group"][clips["start"].notna()]), key=lambda file: _random_number(seed, file))
    held_out = dict(zip(noises, (0, 1))) if len(noises) > 1 else {}
    folds = [
        held_out.get(group, -1) if start == start else fold_of.get(path[len(below) :], -1)
        for path, group, start in zip(clips["path"], clips["group"], clips["start"])
    ]
    split = divided(clips["group"], pd.Series(folds, index=clips.index))
    if len(split):
        warn(
            f"{count(len(split), 'speaker')} in more than one part of the official split ({examples(split)}): "
            "scores are too optimistic; split='random' keeps every speaker together"
        )
    return folds


# ---------------------------------------------------------------------- the tables


def _word_clips(
    there: dict[str, list[str]], words: list[str], unknown: float, below: str, seed: int
) -> tuple[pd.DataFrame, int]:
    """`path, label, group, word` of the known words and a sample of the others; and the number of clips of known words.

    Folders named silence and unknown hold clips of these labels, all of which are used.
    """
    known = [(word, file, word) for word in words for file in there[word]]
    own = [(word, file, word) for word in (SILENCE, UNKNOWN) if word not in words for file in there.get(word, ())]
    others = {word: files for word, files in there.items() if word not in (*words, SILENCE, UNKNOWN)}
    drawn = [
        (word, file, UNKNOWN) for word, file in _draw_unknown(others, _how_many("unknown", unknown, len(known)), seed)
    ]
    rows = [(f"{below}{word}/{file}", label, _speaker(word, file), word) for word, file, label in known + own + drawn]
    return pd.DataFrame(rows, columns=["path", "label", "group", "word"]), len(known)


def _clips(
    folder: Path,
    words: Sequence[str] | None,
    default_words: Callable,
    unknown: float,
    silence: float,
    seed: int,
    seconds: float,
    split: str,
) -> pd.DataFrame:
    """The training table."""
    choose(split, ["random", "official"], "split")
    if not isinstance(seconds, numbers.Real) or not 0 < seconds < math.inf:
        raise ValueError(f"seconds={seconds!r}; give the length of a window of silence, above 0")
    audio = _audio_below(folder)
    there, below = _words_in(folder / audio), f"{audio}/" if audio else ""
    words = _checked_words(words, there) if words is not None else default_words(there)
    spoken, n_known = _word_clips(there, words, unknown, below, seed)
    nameless = spoken["group"].str.contains("/")
    if nameless.any():
        warn(
            f"{int(nameless.sum())} of {count(len(spoken), 'clip')} without a speaker in their name, such as 00f0204f_nohash_0.wav "
            f"({examples(spoken['path'][nameless])}); each is a group of its own, so one voice may be in both training and validation"
        )
    n_silence = _how_many("silence", silence, n_known)
    quiet = _silence(folder / audio / NOISE, below, n_silence, seconds, seed).assign(label=SILENCE, word=SILENCE)
    clips = pd.concat([spoken.assign(start=np.nan, end=np.nan), quiet.astype({"start": float, "end": float})])
    clips = clips.sort_values(["path", "start"])[["path", "label", "start", "end", "group", "word"]].reset_index(
        drop=True
    )
    if split == "random":
        return clips.assign(fold=np.nan)
    lists = folder / "train" if audio == "train/audio" else folder
    return clips.assign(fold=_official_folds(clips, _lists_in(lists, folder / audio, there), below, seed))


@layout("tensorflow-speech-recognition-challenge", marks=MARKS, fetched="speech_commands_v1")
def read_challenge(
    folder: Path,
    words: Sequence[str] | None = None,
    unknown: float = 0.1,
    silence: float = 0.1,
    seed: int = 0,
    seconds: float = 1.0,
    split: str = "random",
) -> Competition:
    """TensorFlow Speech Recognition Challenge (2017): ten words, silence and unknown; accuracy.

    A tenth of unknown clips and a tenth of silence are the defaults of TensorFlow's tutorial to the challenge.

    Parameters
    ----------
    folder : Path
        The folder as Kaggle gives it, or as Speech Commands unpacks.
    words : sequence of str, default None
        The words that are labels; None is the challenge's ten, or all there are if it has none of them.
    unknown : float, default 0.1
        Clips sampled from all other words, evenly over the words, as a fraction of the clips of known words.
    silence : float, default 0.1
        Windows cut from the recordings in `_background_noise_`, as such a fraction; without overlap if possible.
    seed : int, default 0
        Seed of what is sampled.
    seconds : float, default 1.0
        Length of a window of silence in s.
    split : {"random", "official"}, default "random"
        Folds are still to be assigned; or fold 0 is the validation list, fold 1 the testing list, and all else is always in training.
        Two recordings of noise are held out with them, if there are two or more.

    Returns
    -------
    Competition
        Training has the columns `label, start, end` (empty for whole files), `group` (the speaker, or the recording of noise), `word`
        (the spoken one) and `fold`.
    """
    train = _clips(folder, words, _the_ten, unknown, silence, seed, seconds, split)
    sample, test = sample_rows(folder, "test/audio")
    slug, about = "tensorflow-speech-recognition-challenge", dict(format=BestLabels(k=1), test=test, sample=sample)
    return Competition(slug, folder, train, metric="accuracy", **about)


@layout("speech_commands", marks=MARKS, fetched="speech_commands_v2")
def read_speech_commands(
    folder: Path,
    words: Sequence[str] | None = None,
    unknown: float = 0.0,
    silence: float = 0.0,
    seed: int = 0,
    seconds: float = 1.0,
    split: str = "random",
) -> Competition:
    """Speech Commands: every word is a label, without silence and unknown; accuracy.

    There is no test set: the clips that are held out are predicted.

    Parameters
    ----------
    folder : Path
        The folder as Speech Commands unpacks, or as Kaggle gives the challenge.
    words, unknown, silence, seed, seconds, split
        As for the challenge, `read_challenge`; other words and silence are not sampled by default.

    Returns
    -------
    Competition

    References
    ----------
    Warden, "Speech Commands: a dataset for limited-vocabulary speech recognition", arXiv 1804.03209, 2018.
    """
    train = _clips(folder, words, _every_word, unknown, silence, seed, seconds, split)
    return Competition("speech_commands", folder, train, metric="accuracy", format=BestLabels(k=1))
