"""`fetch`: a data set is there, or is downloaded, checked, unpacked and put in place.

All work is done in `.partial-<name>`; the finished folder gets its name by one rename, after the note `specimg-source.json` was written
into it. So a folder of that name with that note is complete, and a second call needs no network:

    fetch("ESC-50")                      # in the package's cache
    fetch("ESC-50", "data")              # data/ESC-50/ESC-50-master
    fetch("hf://datasets/user/birds")    # a data set on the Hugging Face Hub, through its own library and cache
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path

from .. import __version__
from ..core.cache import default_cache
from ..core.failures import FULL
from ..core.files import inside, write_atomic
from ..core.hub import HubAddress, Listing, download, is_address, parse_address
from ..core.reading import read_json
from ..core.text import amount, count
from .archives import announce, obtain
from .catalogue import DataSet, find_dataset
from .unpack import unpack_all

SOURCE = "specimg-source.json"  # in a data set's folder: it is complete, and this is where it comes from
PARTIAL = ".partial-"


def _content(folder: Path) -> str:
    """The folder of an unpacked data set that is returned: its only top folder, else all of it (".")."""
    entries = os.listdir(folder)
    return entries[0] if len(entries) == 1 and (folder / entries[0]).is_dir() else "."


def _finished(home: Path, data: DataSet) -> Path | None:
    """The folder to return if the data set is complete; ValueError if something else is there."""
    try:
        source = read_json(home / SOURCE)
        fetched = {each["name"]: each["checksum_known"] for each in source["archives"]}
        content = inside(home, source["content"])
    except (FileNotFoundError, NotADirectoryError):
        if home.exists() and (not home.is_dir() or any(home.iterdir())):
            raise ValueError(
                f"{home} exists and has no {SOURCE}, so fetch did not make it; move it away or give another folder=. "
                f"An archive that you downloaded belongs beside it, in {home.parent}"
            ) from None
        return None
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(
            f"{home / SOURCE} cannot be read: {exc}; delete {home} to fetch it again, or give another folder="
        ) from exc
    wanted = {file.name: file.checksum for file in data.files}
    if fetched != wanted:
        raise ValueError(
            f"{home} holds another version, made of {fetched} instead of {wanted}; delete it to fetch it again, or give "
            "another folder="
        )
    return home / content


@contextlib.contextmanager
def _alone(folder: Path, name: str):
    """Only one process at a time; the others wait, and find the data set complete. SQLite releases its lock with the process."""
    path = folder / f".lock-{name}"
    open(path, "ab").close()  # the disk's own error, if the folder cannot be written to
    lock = sqlite3.connect(path, timeout=1, isolation_level=None)
    told = False
    try:
        while True:
            try:
                lock.execute("BEGIN EXCLUSIVE")
                break
            except sqlite3.OperationalError as exc:
                if "locked" not in str(exc):
                    raise OSError(f"{path} cannot be locked: {exc}; give another folder=") from exc
            if not told:
                print(f"{name}: another process fetches it; waiting", flush=True)
                told = True
        yield
    finally:
        lock.close()


def _install(data: DataSet, folder: Path, progress: bool) -> Path:
    """Download, check, unpack, and put in place with one rename."""
    home, work = folder / data.name, folder / f"{PARTIAL}{data.name}"
    work.mkdir(exist_ok=True)
    unpacked = work / "unpacked"
    try:
        announce(data, folder, work)
        archives = [obtain(file, folder, work, progress) for file in data.files]
        unpack_all(archives, unpacked, progress)
        content = _content(unpacked)
        records = [archive.record for archive in archives]
        source = {"dataset": data.to_dict(), "content": content, "archives": records, "specimg": __version__}
        write_atomic(unpacked / SOURCE, json.dumps(source, indent=2).encode())
        if home.exists():
            home.rmdir()  # empty, as `_finished` found; not every system renames onto a folder
        os.rename(unpacked, home)
        shutil.rmtree(work, ignore_errors=True)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
        with contextlib.suppress(OSError):
            work.rmdir()  # if nothing is left to resume
    return home / content


def _disk_error(folder: Path, exc: OSError) -> OSError:
    """The same kind of error with a message that says what to do."""
    if exc.errno in FULL:
        return OSError(
            exc.errno,
            f"no space left in {str(folder)!r} ({exc.strerror}); what was downloaded is kept: make room and call "
            "again to go on, or give another folder=",
        )
    if exc.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return PermissionError(
            exc.errno, f"{str(folder)!r} cannot be written to ({exc.strerror}); give another folder="
        )
    return OSError(exc.errno or errno.EIO, f"fetching into {str(folder)!r} failed: {exc}")


@contextlib.contextmanager
def _bars(progress: bool):
    """Within it huggingface_hub shows bars only if asked to."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    quiet = not progress and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()


def _fetch_from_hub(address: HubAddress, folder: Path, progress: bool) -> Path:
    """The folder of a data set on the Hub."""
    if address.type != "dataset":
        raise ValueError(
            f"{address} is no data set; those begin with hf://datasets/, and load_classifier takes classifiers"
        )

    def tell(listing: Listing) -> None:
        size = f"{amount(sum(listing.sizes.values()))} in {count(len(listing.sizes), 'file')}"
        print(f"{address}: {size}; licence: {listing.license or 'not named'}; see {address.url}", flush=True)

    with _bars(progress):
        return download(address, into=folder, tell=tell)


def fetch(name: str | DataSet, folder: str | os.PathLike | None = None, *, progress: bool = True) -> Path:
    """The folder of a public data set, which is downloaded, checked and unpacked if it is not there yet.

    Size and licence are printed before a download begins, and are kept in `<folder>/<name>/specimg-source.json`. A second call
    uses no network. A call that was stopped, by Ctrl-C, a kill or the network, is resumed by the next one.

    Parameters
    ----------
    name : str or DataSet
        One of `list_datasets()`, or a data set of your own; or one on the Hugging Face Hub, `hf://datasets/user/name[@revision][:subfolder]`, as
        `labels_from_audiofolder` reads it.
    folder : str or path-like, default None
        Where data sets are kept; None is `datasets` in the package's cache ($SPECIMG_CACHE, /kaggle/working, the user's cache
        folder). Archives that you put there by hand are used instead of a download, and stay; downloaded ones are deleted after
        unpacking.
    progress : bool, default True
        Show bars on terminals and in notebooks.

    Returns
    -------
    Path
        `<folder>/<name>`, or the only folder in it: `ESC-50/ESC-50-master`, `mini_speech_commands/mini_speech_commands`,
        `UrbanSound8K/UrbanSound8K`, `FSDD/free-spoken-digit-dataset-1.0.9`; the words' folders are in `speech_commands_v1` and
        `_v2` themselves, and four folders in `FSDKaggle2018`. Of the Hub: `<folder>/datasets--user--name/<commit>`. Files that macOS adds (`__MACOSX`, `._*`, `.DS_Store`) are left out.

    Raises
    ------
    ValueError
        The name is unknown, a checksum is wrong (only a warning for GitHub's archives, which are packed again at times), or an
        archive is damaged, holds links or names that lead out of the folder, or needs more room than there is.
    ConnectionError
        The network fails; the message says how to go on.
    OSError
        The disk is full or read-only.

    Examples
    --------
    >>> sp.fetch("ESC-50")                      # doctest: +SKIP
    PosixPath('/home/me/.cache/specimg/datasets/ESC-50/ESC-50-master')
    >>> sp.labels_from_audiofolder(sp.fetch("hf://datasets/user/birds"))      # doctest: +SKIP
    """
    folder = default_cache() / "datasets" if folder is None else Path(folder).expanduser()
    if is_address(name):
        return _fetch_from_hub(parse_address(name), folder, progress)
    data = name if isinstance(name, DataSet) else find_dataset(name)
    found = _finished(folder / data.name, data)
    if found:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, data.name):
            return _finished(folder / data.name, data) or _install(data, folder, progress)
    except KeyboardInterrupt:
        print(f"stopped: what was downloaded of {data.name} is kept; call again to go on", file=sys.stderr)
        raise
    except ConnectionError:
        raise  # its message says what to do
    except OSError as exc:
        raise _disk_error(folder, exc) from exc
