"""Which files of a folder are recordings, decided by their names."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator

from ..core.addresses import Stored, as_address, is_address, list_stored
from ..core.text import count, examples
from ..core.warnings import warn

_SOUNDFILE = (
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64", ".sph", ".voc",
    ".gsm", ".vox",
)  # fmt: skip
_AV = (
    ".mp3", ".mp2", ".mpga", ".m4a", ".m4b", ".aac", ".mp4", ".mov", ".3gp", ".3g2", ".wma", ".asf", ".webm", ".weba", ".mka", ".mkv",
    ".avi", ".amr", ".awb", ".spx", ".ac3", ".ape", ".wv", ".tta", ".mpc",
)  # fmt: skip
AUDIO_SUFFIXES = _SOUNDFILE + _AV


# beside recordings in the most orderly of folders: texts, tables, labels, pictures; nobody misses them where sounds are listed
COMPANIONS = (
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".xml", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".md", ".rst", ".htm", ".html", ".pdf",
    ".doc", ".docx", ".rtf", ".xls", ".xlsx", ".ods", ".parquet", ".db", ".png", ".jpg", ".jpeg", ".gif", ".svg", ".npy", ".npz", ".pkl",
    ".f32", ".h5", ".py", ".r", ".ipynb", ".sh", ".log", ".bib", ".md5", ".sha256", ".textgrid", ".lab", ".eaf", ".svl",
)  # fmt: skip
_PAPERS = {"readme", "license", "licence", "copying", "changelog", "notice", "authors", "makefile"}  # have no ending


def is_audio_name(name: str) -> bool:
    """Whether a file name ends like that of a recording; hidden files (`._dog.wav` of macOS) do not count."""
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")


def _is_companion(name: str) -> bool:
    """Whether a file is of a kind that nobody takes for a recording."""
    name = name.lower()
    return name.startswith(".") or name.endswith(COMPANIONS) or name in _PAPERS or name == "thumbs.db"


def decoder_of_name(name: str) -> str:
    """The package that decodes recordings of this name, if their bytes are what it says: "av" or "soundfile"."""
    return "av" if name.lower().endswith(_AV) else "soundfile"


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where we may not read
        return False


def _stored_audio(folder: str | os.PathLike, others: list[str] | None) -> Iterator[tuple[str, Stored]]:
    """What `walk_audio` yields of an address."""
    for name, stored in list_stored(as_address(folder)).items():
        *folders, last = name.split("/")
        if any(part.startswith(".") for part in folders):
            continue
        if is_audio_name(last):
            yield name, stored
        elif others is not None and not _is_companion(last):
            others.append(name)


def walk_audio(
    folder: str | os.PathLike, others: list[str] | None = None
) -> Iterator[tuple[str, os.DirEntry | Stored]]:
    """Yield (path below `folder` with forward slashes, `os.DirEntry`) of everything named like a recording, sorted; of an address, `Stored`.

    Linked folders are followed, each once. Broken links and folders named `x.wav` are yielded too, and fail when they are drawn.
    Folders that may not be listed are left out with a warning. Paths of files that are passed over, because they are of no known kind, are
    appended to `others`.
    """
    if is_address(folder):
        yield from _stored_audio(folder, others)
        return
    visited = {os.path.realpath(folder)}

    def walk(directory, prefix):
        try:
            entries = sorted(os.scandir(directory), key=lambda e: e.name)
        except OSError as exc:
            if not prefix:
                raise
            warn(f"the folder {directory!r} is left out: {exc.strerror}")
            return
        for entry in entries:
            name, is_folder = prefix + entry.name, _is_folder(entry)
            if is_audio_name(entry.name):
                yield name, entry
            elif not is_folder and others is not None and not _is_companion(entry.name):
                others.append(name)
            if is_folder and not entry.name.startswith("."):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in visited:
                    visited.add(real)
                    yield from walk(entry.path, name + "/")

    yield from walk(os.path.realpath(folder), "")


def by_ending(names: Iterable[str]) -> str:
    """How many files there are of each ending, the most frequent first.

    >>> by_ending(["a.mid", "b.mid", "c", "d.SYX"])
    '2 .mid, 1 .syx, 1 without an ending'
    """
    counts = Counter(os.path.splitext(name)[1].lower() for name in names)
    order = sorted(counts.items(), key=lambda item: (item[0] == "", -item[1], item[0]))
    return ", ".join(f"{n} {ending or 'without an ending'}" for ending, n in order)


def warn_passed_over(folder: str | os.PathLike, others: list[str]) -> None:
    """Say how many files of a folder are passed over, if there are any."""
    if others:
        warn(
            f"{count(len(others), 'file')} below {os.fspath(folder)!r} passed over, of no known kind of recording: {by_ending(others)} "
            f"({examples(others)}); convert them to wav or flac, or give their names"
        )


def list_audio(folder: str | os.PathLike) -> tuple[list[str], list[str]]:
    """(the recordings anywhere below a folder, the files that are passed over), paths below it; ValueError if there is no such folder."""
    is_stored = is_address(folder)
    if not is_stored and not os.path.isdir(folder):
        raise ValueError(f"{os.fspath(folder)!r} is not a folder; give the folder that holds the recordings")
    others: list[str] = []
    return sorted(name for name, entry in walk_audio(folder, others) if is_stored or os.path.isfile(entry.path)), others


def find_audio(folder: str | os.PathLike) -> list[str]:
    """List the recordings anywhere below a folder.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder, or its address in a store; it is searched in depth, and links to other folders are followed.

    Returns
    -------
    list of str
        Paths below `folder` with forward slashes, sorted. What counts is the suffix: one of `AUDIO_SUFFIXES`. A warning counts files of
        other kinds by their endings, all but texts, tables and pictures.

    Raises
    ------
    ValueError
        If there is no such folder.

    Examples
    --------
    >>> sp.audio.find_audio("clips")[:2]
    ['cat/cat0.wav', 'cat/cat1.wav']
    """
    found, others = list_audio(folder)
    warn_passed_over(folder, others)
    return found


def locate_names(folder: str | os.PathLike, names: Iterable[str]) -> tuple[str, str] | None:
    """The folder below this one and the suffix with which most of the names are recordings; None where none is.

    Parameters
    ----------
    folder : str or path-like
        Where to look, folders below it included.
    names : iterable of str
        Names that are no files, such as "x1".

    Returns
    -------
    tuple of str or None
        What to put in front of the names, "" or "audio", and behind them, "" or ".wav".

    Examples
    --------
    >>> from specimg.audio.find import locate_names
    >>> locate_names(".", ["dog0", "dog1"])
    ('clips/dog', '.wav')
    """
    by_stem: dict[str, list[str]] = {}
    for path in list_audio(folder)[0] if is_address(folder) or os.path.isdir(folder) else ():
        by_stem.setdefault(posixpath.splitext(posixpath.basename(path))[0], []).append(path)
    found: Counter[tuple[str, str]] = Counter()
    for name in names:
        last = posixpath.basename(name)
        for path in {*by_stem.get(last, []), *by_stem.get(posixpath.splitext(last)[0], [])}:
            front, there, back = path.rpartition(name)
            if there and front[-1:] in ("", "/") and (not back or back.startswith(".")):
                found[front.rstrip("/"), back] += 1
    return found.most_common(1)[0][0] if found else None
