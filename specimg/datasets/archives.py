"""An archive is at hand: announced, taken from the folder or downloaded, and its checksum judged.

Archives come into a working folder beside the finished data sets; one that somebody put into the folder by hand is taken instead, and
is never deleted. `checksum_verdict` says what a checksum proves:

>>> from specimg.datasets import checksum_verdict
>>> checksum_verdict("md5:aa", "md5:bb", stable=True)       # not to be unpacked
'wrong'
>>> checksum_verdict("md5:aa", "md5:bb", stable=False)      # a server that packs anew: a warning
'changed'
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pooch

from ..core.text import amount, examples
from ..core.warnings import warn
from .catalogue import DataSet, RemoteFile, total_size
from .download import ResumingDownloader

__all__ = ["Archive", "announce", "checksum_verdict", "obtain"]


def _part(file: RemoteFile, work: Path) -> Path:
    return work / f"{file.name}.part"


def _bytes_here(file: RemoteFile, work: Path) -> int:
    """How much of an archive an earlier call has downloaded."""
    path = work / file.name
    return path.stat().st_size if path.is_file() else ResumingDownloader(_part(file, work)).begun(file.url)[0]


def announce(data: DataSet, folder: Path, work: Path) -> None:
    """One line before anything is downloaded: how much, from where, under which licence."""
    terms = f"licence: {data.licence}; see {data.home}"
    missing = [file for file in data.files if not (folder / file.name).is_file()]
    if not missing:
        print(f"{data.name}: from {', '.join(file.name for file in data.files)} in {folder}; {terms}", flush=True)
        return
    left = data.download_size if len(missing) == len(data.files) else total_size(missing)
    hosts = examples(urlsplit(file.url).hostname for file in missing)
    have = sum(_bytes_here(file, work) for file in missing)
    begun = f" ({amount(have)} of it are here already)" * bool(have)
    print(f"{data.name}: {amount(left)}{begun} to download from {hosts} into {folder}; {terms}", flush=True)


def _download(file: RemoteFile, folder: Path, work: Path, progress: bool) -> Path:
    """The archive in `work`, downloaded where it is not there. ConnectionError with the ways out."""
    # no checksum for pooch: `obtain` judges, what lies there already as well
    store = pooch.create(path=work, base_url="", registry={file.name: None}, urls={file.name: file.url})
    try:
        return Path(store.fetch(file.name, downloader=ResumingDownloader(_part(file, work), progress)))
    except ConnectionError as exc:
        raise ConnectionError(
            f"{exc}. Call again to go on where it stopped; or download that address by other means and put the file at "
            f"{folder / file.name}: fetch takes it from there"
        ) from exc


# ---------------------------------------------------------------------- checksums


def checksum_verdict(known: str | None, seen: str, stable: bool) -> str:
    """ "same", "unknown" (none is published), "changed" (other bytes, which prove nothing: a warning) or "wrong"."""
    if known is None:
        return "unknown"
    if known == seen:
        return "same"
    return "wrong" if stable else "changed"


def _digests(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Algorithm -> "algorithm:digest" of a file, which is read once."""
    hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            for each in hashes.values():
                each.update(chunk)
    return {name: f"{name}:{each.hexdigest()}" for name, each in hashes.items()}


class Archive(NamedTuple):
    path: Path
    verdict: str
    by_hand: bool  # the user put it there, so it is not ours to delete
    record: dict  # of it in the note


def obtain(file: RemoteFile, folder: Path, work: Path, progress: bool) -> Archive:
    """The archive that lies in `folder`, else the one downloaded into `work`. ValueError where its checksum is wrong."""
    by_hand = (folder / file.name).is_file()
    path = folder / file.name if by_hand else _download(file, folder, work, progress)
    algorithm = (file.checksum or "sha256").partition(":")[0]
    digests = _digests(path, {algorithm, "sha256"})
    seen = digests[algorithm]
    verdict = checksum_verdict(file.checksum, seen, file.stable)
    if verdict == "wrong":
        if not by_hand:
            path.unlink()
        way_out = "replace or remove it" if by_hand else "it was deleted; call again to download it anew"
        raise ValueError(
            f"{path} has the checksum {seen}, and {file.checksum} was expected: {way_out}. If its publisher has put out a new "
            "version, fetch a DataSet with that checksum"
        )
    if verdict == "changed":
        warn(
            f"{path} has the checksum {seen}, where {file.checksum} is known; its server packs such archives anew at times, so it is "
            "taken as it is"
        )
    record = {
        "name": file.name,
        "url": file.url,
        "by_hand": by_hand,
        "size": path.stat().st_size,
        "sha256": digests["sha256"][7:],
        "checksum_known": file.checksum,
        "checksum_seen": seen,
        "checksum_is": verdict,
    }
    return Archive(path, verdict, by_hand, record)
