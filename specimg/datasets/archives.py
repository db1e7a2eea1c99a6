"""An archive is obtained: announced, taken from the folder or downloaded, and its checksum compared.

Archives are downloaded into a working folder beside the finished data sets; one that somebody put into the folder by hand is
used instead, and is never deleted.

>>> compare_checksums("md5:aa", "md5:bb", stable=True)       # not to be unpacked
'wrong'
>>> compare_checksums("md5:aa", "md5:bb", stable=False)      # from a server that packs again: a warning
'changed'
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pooch

from ..core.text import amount, examples
from ..core.warnings import warn
from .catalogue import DataSet, RemoteFile, total_size
from .download import ResumingDownloader


def _part(file: RemoteFile, work: Path) -> Path:
    return work / f"{file.name}.part"


def _bytes_here(file: RemoteFile, work: Path) -> int:
    """Bytes of an archive that an earlier call has downloaded."""
    path = work / file.name
    return path.stat().st_size if path.is_file() else ResumingDownloader(_part(file, work)).begun(file.url)[0]


def announce(data: DataSet, folder: Path, work: Path) -> None:
    """Print one line before anything is downloaded: how much, from where, under which licence."""
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
    """The archive in `work`, downloaded if it is not there; ConnectionError with the ways out."""
    # no checksum for pooch: `obtain` compares it, of files that were there before as well
    store = pooch.create(path=work, base_url="", registry={file.name: None}, urls={file.name: file.url})
    try:
        return Path(store.fetch(file.name, downloader=ResumingDownloader(_part(file, work), progress)))
    except ConnectionError as exc:
        raise ConnectionError(
            f"{exc}. Call again to go on where it stopped; or download that address by other means and put the file at "
            f"{folder / file.name}: fetch takes it from there"
        ) from exc


# ---------------------------------------------------------------------- checksums


def compare_checksums(known: str | None, found: str, stable: bool) -> str:
    """What a checksum proves.

    Parameters
    ----------
    known : str or None
        The published checksum, "algorithm:digest"; None if none is published.
    found : str
        That of the file.
    stable : bool
        False if the server packs the archive again at times, so that other bytes prove nothing.

    Returns
    -------
    {"unknown", "same", "changed", "wrong"}
        "changed" is worth a warning; a "wrong" file is not unpacked.
    """
    if known is None:
        return "unknown"
    if known == found:
        return "same"
    return "wrong" if stable else "changed"


class Archive(NamedTuple):
    """An archive on disk.

    Parameters
    ----------
    path : Path
        The file.
    status : str
        As `compare_checksums` returns it.
    by_hand : bool
        The user put it there, so it is not ours to delete.
    record : dict
        What the data set's note says of it.
    """

    path: Path
    status: str
    by_hand: bool
    record: dict


def obtain(file: RemoteFile, folder: Path, work: Path, progress: bool) -> Archive:
    """The archive that is in `folder`, else the one downloaded into `work`; ValueError if its checksum is wrong."""
    by_hand = (folder / file.name).is_file()
    path = folder / file.name if by_hand else _download(file, folder, work, progress)
    algorithm = (file.checksum or "sha256").partition(":")[0]
    digests = {name: pooch.file_hash(str(path), name) for name in {algorithm, "sha256"}}
    found = f"{algorithm}:{digests[algorithm]}"
    status = compare_checksums(file.checksum, found, file.stable)
    if status == "wrong":
        if not by_hand:
            path.unlink()
        way_out = "replace or remove it" if by_hand else "it was deleted; call again to download it again"
        raise ValueError(
            f"{path} has the checksum {found}, and {file.checksum} was expected: {way_out}. If its publisher has put out a new "
            "version, fetch a DataSet with that checksum"
        )
    if status == "changed":
        warn(
            f"{path} has the checksum {found}, where {file.checksum} is known; its server packs such archives again at times, so it is "
            "taken as it is"
        )
    record = {
        "name": file.name,
        "url": file.url,
        "by_hand": by_hand,
        "size": path.stat().st_size,
        "sha256": digests["sha256"],
        "checksum_known": file.checksum,
        "checksum_seen": found,
        "checksum_is": status,
    }
    return Archive(path, status, by_hand, record)
