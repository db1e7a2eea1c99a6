"""Which files of a folder are recordings, decided by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator

from ..core.warnings import warn

__all__ = ["AUDIO_SUFFIXES", "find_audio", "is_audio_name", "walk_audio"]

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
)  # fmt: skip


def is_audio_name(name: str) -> bool:
    """Whether a file name ends like that of a recording; hidden files (`._dog.wav` of macOS) do not count."""
    return name.lower().endswith(AUDIO_SUFFIXES) and not name.startswith(".")


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where we may not read
        return False


def walk_audio(folder: str | os.PathLike) -> Iterator[tuple[str, os.DirEntry]]:
    """Yield (path below `folder` with forward slashes, `os.DirEntry`) of everything named like a recording, sorted.

    Linked folders are followed, each once. Broken links and folders named `x.wav` are yielded too, and fail when they are drawn.
    Folders that may not be listed are left out with a warning.
    """
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
            name = prefix + entry.name
            if is_audio_name(entry.name):
                yield name, entry
            if not entry.name.startswith(".") and _is_folder(entry):
                real = os.path.realpath(entry.path) if entry.is_symlink() else entry.path
                if real not in visited:
                    visited.add(real)
                    yield from walk(entry.path, name + "/")

    yield from walk(os.path.realpath(folder), "")


def find_audio(folder: str | os.PathLike) -> list[str]:
    """List the recordings anywhere below a folder.

    Parameters
    ----------
    folder : str or os.PathLike
        The folder; it is searched in depth, and links to other folders are followed.

    Returns
    -------
    list of str
        Paths below `folder` with forward slashes, sorted. What counts is the suffix: one of `AUDIO_SUFFIXES`.

    Raises
    ------
    ValueError
        If there is no such folder.

    Examples
    --------
    >>> sp.audio.find_audio("clips")[:2]
    ['cat/cat0.wav', 'cat/cat1.wav']
    """
    if not os.path.isdir(folder):
        raise ValueError(f"{os.fspath(folder)!r} is not a folder; give the folder that holds the recordings")
    return sorted(name for name, entry in walk_audio(folder) if os.path.isfile(entry.path))
