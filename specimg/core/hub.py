"""Folders on the Hugging Face Hub: an address names one, `local_folder` brings it here, `push_folder` sends one there.

    hf://user/dog-or-not                        the newest commit of its main branch
    hf://user/dog-or-not@v2:small               a branch, a tag or a commit; and a folder in it
    hf://datasets/user/my-birds                 a data set

huggingface_hub does the work, with its own cache, tokens, progress bars, offline mode (HF_HUB_OFFLINE) and address (HF_ENDPOINT). What is listed
there is checked before anything is downloaded, and what came down before anybody reads it: names stay inside, nothing is a pickle, everything fits
on the disk. Each commit then has a folder without links in specimg's own cache, of the same files (hard links where the disks allow it).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from .addresses import refuse_address
from .cache import default_cache
from .files import OutsideError, files_below, link_or_copy, temporary_name
from .text import amount, examples
from .values import Value, register

PREFIX = "hf://"
TYPES = {"model": "", "dataset": "datasets/", "space": "spaces/"}  # and how an address of each begins
PICKLES = (".pkl", ".pickle", ".dill", ".joblib", ".pt", ".pth", ".ckpt", ".bin")
MOST_FILES = 2_000_000

_ADDRESS = re.compile(
    r"hf:/+(?:(?P<kind>models|datasets|spaces)/)?(?P<repo>[^/@:]+/[^/@:]+)(?:@(?P<revision>[^:]+))?(?::(?P<subfolder>.+))?"
)
_REPO = re.compile(r"[A-Za-z0-9_](?:[\w.-]*\w)?/\w(?:[\w.-]{0,94}\w)?", re.ASCII)
_REVISION = re.compile(r"\w[\w./+-]{0,249}", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
# modules of the errors with which huggingface_hub's connections fail, version by version
_CONNECTIONS = ("requests", "urllib3", "httpx", "httpx2", "httpcore", "httpcore2")


# ---------------------------------------------------------------------- addresses


def _stays_inside(name: str) -> bool:
    """Whether the name of a file or a folder stays in its repository on every system, and can be printed."""
    parts = name.split("/")
    return not any(part in ("", ".", "..") or "\\" in part or ":" in part or not part.isprintable() for part in parts)


@register
@dataclass(frozen=True)
class HubAddress(Value):
    """A folder on the Hub.

    Parameters
    ----------
    repo : str
        The repository, "user/name".
    type : {"model", "dataset", "space"}, default "model"
        What the Hub calls it: classifiers, runs and trees live in a "model".
    revision : str, optional
        A branch, a tag or a commit; None is the newest commit of the main branch.
    subfolder : str, default ""
        A folder in it; "" is all of it.

    Examples
    --------
    >>> from specimg.core.hub import HubAddress, parse_address
    >>> print(HubAddress("user/dog-or-not", revision="v2", subfolder="small"))
    hf://user/dog-or-not@v2:small
    >>> parse_address("hf://datasets/user/birds")
    HubAddress(repo='user/birds', type='dataset')
    """

    repo: str
    type: str = "model"
    revision: str | None = None
    subfolder: str = ""

    def _check(self) -> None:
        named = _REPO.fullmatch(self.repo) and "--" not in self.repo and ".." not in self.repo
        self._need(bool(named) and not self.repo.endswith(".git"), "give a repository as user/name", "repo")
        self._need(self.type in TYPES, f"choose one of {', '.join(TYPES)}", "type")
        known = self.revision is None or (_REVISION.fullmatch(self.revision) and ".." not in self.revision)
        self._need(bool(known), "give the name of a branch or a tag, or a commit", "revision")
        self._need(
            not self.subfolder or _stays_inside(self.subfolder),
            "give a folder of the repository, such as models/small",
            "subfolder",
        )

    @property
    def url(self) -> str:
        """Its page."""
        from huggingface_hub import constants

        return f"{constants.ENDPOINT}/{TYPES[self.type]}{self.repo}"

    def __str__(self) -> str:
        at = "" if self.revision is None else f"@{self.revision}"
        return f"{PREFIX}{TYPES[self.type]}{self.repo}{at}{':' if self.subfolder else ''}{self.subfolder}"


def is_address(source: object) -> bool:
    """Whether this is text that begins as an address on the Hub does; a path made of it counts, too.

    >>> is_address("hf://user/dog-or-not"), is_address("dog-or-not")
    (True, False)
    """
    return isinstance(source, (str, os.PathLike)) and str(source).startswith("hf:/")


def parse_address(text: str | os.PathLike) -> HubAddress:
    """The address that a text is.

    Parameters
    ----------
    text : str
        `hf://[datasets/]user/name[@revision][:subfolder]`.

    Returns
    -------
    HubAddress

    Raises
    ------
    ValueError
        It is none; the message says how one is written.

    Examples
    --------
    >>> parse_address("hf://user/dog-or-not@v2").revision
    'v2'
    """
    found = _ADDRESS.fullmatch(str(text))
    try:
        if found is None:
            raise ValueError("that is no such name")
        kind = found["kind"].removesuffix("s") if found["kind"] else "model"
        return HubAddress(found["repo"], kind, found["revision"], found["subfolder"] or "")
    except ValueError as exc:
        raise ValueError(
            f"{str(text)!r} is not an address on the Hub ({exc}); write hf://user/name, hf://user/name@revision:folder or hf://datasets/user/name"
        ) from exc


# ---------------------------------------------------------------------- what goes wrong


class _OutOfReach(ConnectionError):
    """The Hub did not answer: a copy in the cache may do."""


def _is_connection(exc: Exception) -> bool:
    return isinstance(exc, (ConnectionError, TimeoutError)) or type(exc).__module__.split(".")[0] in _CONNECTIONS


_LOG_IN = "log in with `hf auth login`, or set HF_TOKEN"


def _in_words(exc: Exception, address: HubAddress, doing: str) -> Exception:
    """What huggingface_hub raised as a ValueError, or an _OutOfReach, that says what happened and what to do; anything else as it is."""
    from huggingface_hub import utils

    name = f"{address.type} {address.repo!r}"
    if isinstance(exc, utils.OfflineModeIsEnabled):
        return exc
    if isinstance(exc, utils.GatedRepoError):
        return ValueError(f"the {name} is gated: accept its terms at {address.url}, and {_LOG_IN}")
    if isinstance(exc, utils.RevisionNotFoundError):
        return ValueError(
            f"the {name} has no revision {address.revision or 'main'!r}, or no longer: {address.url}/tree/main lists its branches and tags; "
            "without @revision the newest is taken"
        )
    if isinstance(exc, utils.RepositoryNotFoundError):
        return ValueError(
            f"the Hub has no {name} that you may {doing}: look for its name at {address.url}; for a private one {_LOG_IN}"
        )
    reason = " ".join(str(exc).split())[:300]
    if isinstance(exc, utils.HfHubHTTPError):
        status = getattr(exc.response, "status_code", None)
        if status in (401, 403):
            return ValueError(f"you may not {doing} the {name}: {_LOG_IN}, with a token that allows it")
        return _OutOfReach(f"it answers {status}: {reason}")
    return _OutOfReach(f"{type(exc).__name__}: {reason}") if _is_connection(exc) else exc


@contextlib.contextmanager
def _told(address: HubAddress, doing: str) -> Iterator[None]:
    """Within it what huggingface_hub raises is what `_in_words` makes of it."""
    try:
        yield
    except Exception as exc:  # of connections: requests', urllib3's or httpx's, by its version
        # uploads of large files fail with a RuntimeError around the cause
        inner = exc.__cause__ if isinstance(exc, RuntimeError) and isinstance(exc.__cause__, Exception) else exc
        told = _in_words(inner, address, doing)
        if told in (exc, inner):
            raise
        raise told from exc


def _unreachable(address: HubAddress, exc: Exception) -> ConnectionError:
    """What to do where neither the Hub nor its cache has it."""
    from huggingface_hub import constants

    where = f"and {address} is not whole in the cache, {constants.HF_HUB_CACHE!r}"
    if isinstance(exc, _OutOfReach):
        return ConnectionError(
            f"the Hub at {constants.ENDPOINT} is out of reach ({exc}), {where}: try again when there is a network, set HF_ENDPOINT to a mirror, "
            "or copy the folder here by other means"
        )
    return ConnectionError(
        f"HF_HUB_OFFLINE is set, {where}: unset it, or load it once where there is a network and copy that cache here (HF_HOME)"
    )


# ---------------------------------------------------------------------- what a repository holds


class Listing(NamedTuple):
    """What a repository, or the folder of it that an address names, holds.

    Parameters
    ----------
    sizes : dict of str to int
        Bytes of each file, by its name from that folder on.
    commit : str
        The commit that the address leads to now.
    license : str or None
        As its card says.
    """

    sizes: dict[str, int]
    commit: str
    license: str | None


def _below(names: Mapping[str, int], subfolder: str) -> dict[str, int]:
    start = f"{subfolder}/" if subfolder else ""
    return {name[len(start) :]: size for name, size in names.items() if name.startswith(start)}


def _listing(address: HubAddress) -> Listing:
    """What the Hub says; one request."""
    from huggingface_hub import HfApi

    with _told(address, "read"):
        info = HfApi().repo_info(
            address.repo, repo_type=address.type, revision=address.revision, files_metadata=True, timeout=10
        )
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or ()}
    card = getattr(info, "card_data", None) or {}
    return Listing(_below(sizes, address.subfolder), info.sha, card.get("license"))


def _check_names(address: HubAddress, names: Sequence[str], marks: Sequence[str], what: str) -> None:
    """ValueError unless these are the files of what is asked for. marks : of which one must be there; none: a data set, which is not opened here."""
    if len(names) > MOST_FILES:
        raise ValueError(f"{address} holds {len(names)} files; {MOST_FILES} are taken at most")
    for name in names:
        if not _stays_inside(name):
            raise OutsideError(f"{address} holds a file named {name!r}, which could lead out of its folder")
    if not names:
        raise ValueError(f"{address} holds nothing; {address.url} lists what is there")
    pickles = sorted(name for name in names if name.lower().endswith(PICKLES))
    if marks and pickles:
        raise ValueError(
            f"{address} holds {examples(pickles)}: a pickle runs whatever code it holds when it is opened, so nothing of this repository is "
            "taken; its author can push what save_classifier writes"
        )
    if marks and not set(marks) & set(names):
        below = sorted({name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in marks})
        hint = f"did you mean {HubAddress(address.repo, address.type, address.revision, below[0])}?" if below else ""
        raise ValueError(
            f"{address} is not {what}: it has no {' and no '.join(marks)}, but {examples(sorted(names))}; {hint or 'push_to_hub pushes one'}"
        )


def _check_room(address: HubAddress, listing: Listing) -> None:
    """OSError if what is still to be downloaded is more than its disk has left."""
    from huggingface_hub import constants, try_to_load_from_cache

    start = f"{address.subfolder}/" if address.subfolder else ""
    there = {"revision": listing.commit, "repo_type": address.type}
    missing = sum(
        size
        for name, size in listing.sizes.items()
        if not isinstance(try_to_load_from_cache(address.repo, start + name, **there), str)
    )
    place = Path(constants.HF_HUB_CACHE).absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if missing > free:
        told = f"{address} needs {amount(missing)}, and {str(place)!r} has {amount(free)} left; make room, or set HF_HOME to another disk"
        raise OSError(errno.ENOSPC, told)


# ---------------------------------------------------------------------- down


def _snapshot(address: HubAddress, offline: bool) -> Path:
    """The folder of a commit in huggingface_hub's cache, downloaded unless `offline`."""
    from huggingface_hub import snapshot_download

    with _told(address, "read"):
        return Path(
            snapshot_download(
                address.repo,
                repo_type=address.type,
                revision=address.revision,
                allow_patterns=f"{address.subfolder}/*" if address.subfolder else None,
                local_files_only=offline,
            )
        )


def _obtain(address: HubAddress, marks: Sequence[str], what: str, tell: Callable[[Listing], None] | None) -> Path:
    """The snapshot of an address, after every check of what the Hub lists; from the cache where the Hub is out of reach."""
    from huggingface_hub import utils

    try:
        listing = _listing(address)
        _check_names(address, list(listing.sizes), marks, what)
        _check_room(address, listing)
        if tell is not None:
            tell(listing)
        return _snapshot(address, offline=False)
    except (_OutOfReach, utils.OfflineModeIsEnabled) as exc:
        try:
            return _snapshot(address, offline=True)
        except (FileNotFoundError, utils.OfflineModeIsEnabled):  # LocalEntryNotFoundError, too
            raise _unreachable(address, exc) from exc


def _without_links(address: HubAddress, snapshot: Path, home: Path) -> None:
    """Fill `home` with the files of a snapshot, in which huggingface_hub keeps links to its blobs. OutsideError if one leads elsewhere."""
    cache = snapshot.parents[2].resolve()
    start = snapshot / address.subfolder
    new = home.with_name(temporary_name(home.name))
    try:
        new.mkdir(parents=True)
        for folder, _, names in os.walk(start):
            for name in names:
                source = Path(folder, name)
                real = source.resolve()
                if not real.is_relative_to(cache) or not real.is_file():
                    raise OutsideError(
                        f"{str(source)!r} leads out of the cache of the Hub; delete {str(snapshot)!r} and try again"
                    )
                target = new / source.relative_to(start)
                target.parent.mkdir(parents=True, exist_ok=True)
                # a database is written in place, and the blob must not be
                shutil.copyfile(real, target) if name.endswith(".db") else link_or_copy(real, target)
        try:
            os.rename(new, home)
        except OSError:
            if not home.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _home(address: HubAddress, commit: str, into: Path) -> Path:
    of = f"-{hashlib.blake2b(address.subfolder.encode(), digest_size=4).hexdigest()}" if address.subfolder else ""
    return into / f"{address.type}s--{address.repo.replace('/', '--')}" / f"{commit}{of}"


def download(
    address: HubAddress,
    *,
    marks: Sequence[str] = (),
    what: str = "a folder of specimg's",
    into: str | os.PathLike | None = None,
    tell: Callable[[Listing], None] | None = None,
) -> Path:
    """The folder that an address names, downloaded if it is not here yet.

    Parameters
    ----------
    address : HubAddress
        As `parse_address` gives it.
    marks : sequence of str, default ()
        Names of files of which one must be there; then there may be no pickles. Without, the repository is a data set, of which nothing is opened.
    what : str
        What has these files, for the message: "a classifier".
    into : path, optional
        Where the folder is made; default `hub` in specimg's cache.
    tell : callable, optional
        Given the `Listing` before a download begins.

    Returns
    -------
    Path
        A folder without links, of one commit, which is its name.

    Raises
    ------
    ValueError
        There is no such repository, revision or folder, it is private or gated, or it holds something else.
    ConnectionError
        The Hub is out of reach, or offline mode is on, and it is not in huggingface_hub's cache.
    OSError
        The disk has not that much room.
    """
    place = default_cache() / "hub" if into is None else Path(into).expanduser()
    if (
        address.revision
        and _COMMIT.fullmatch(address.revision)
        and (known := _home(address, address.revision, place)).is_dir()
    ):
        return known  # a commit never changes
    snapshot = _obtain(address, marks, what, tell)
    home = _home(address, snapshot.name, place)
    if not home.is_dir():
        _without_links(address, snapshot, home)
    _check_names(address, [name for name, _ in files_below(home)], marks, what)
    return home


def local_folder(source: str | os.PathLike, marks: Sequence[str], what: str) -> Path:
    """A folder here: of an address on the Hub the one that `download` makes, else the path itself.

    Parameters
    ----------
    source : str or path
        A folder, or `hf://user/name[@revision][:subfolder]`.
    marks : sequence of str
        Names of files of which what is downloaded must have one.
    what : str
        What has these files, for the message.

    Returns
    -------
    Path

    Raises
    ------
    ValueError, ConnectionError, OSError
        As `download`, and a ValueError for an address of another store; nothing is looked at in a folder that is here.

    Examples
    --------
    >>> local_folder("clips", ["classifier.json"], "a classifier").name
    'clips'
    """
    if is_address(source):
        return download(parse_address(source), marks=marks, what=what)
    refuse_address(
        source,
        what,
        "copy it here (aws s3 sync, gsutil rsync, rclone) and give that folder, or push it to the Hub: hf://user/name",
    )
    return Path(source)


# ---------------------------------------------------------------------- up


def _check_private(address: HubAddress, private: bool | None) -> None:
    """ValueError where a repository that was there already is public, though a private one is asked for."""
    from huggingface_hub import HfApi

    if private is None:
        return
    with _told(address, "read"):
        there = bool(HfApi().repo_info(address.repo, repo_type=address.type, timeout=10).private)
    if there != private:
        kinds = {True: "private", False: "public"}
        raise ValueError(
            f"the {address.type} {address.repo!r} exists and is {kinds[there]}, which private={private} does not change; "
            f"change it at {address.url}/settings, or push to another name"
        )


def push_folder(
    folder: str | os.PathLike,
    repo: str,
    *,
    repo_type: str = "model",
    private: bool | None = None,
    revision: str | None = None,
    message: str | None = None,
    replaces: Sequence[str] = (),
) -> str:
    """Push every file of a folder to the Hub as it stands; `push_to_hub` checks and prepares one first.

    Parameters
    ----------
    folder : str or path
        The folder; it may hold no links.
    repo : str
        "user/name"; it is made if there is none. A Space that is made runs Gradio.
    repo_type : {"model", "dataset", "space"}, default "model"
        What it is.
    private : bool, optional
        Whether only you may see it; None: of a new one what your account on the Hub is set to, which is public as a rule.
    revision : str, optional
        The branch, which is made if there is none; default the main branch.
    message : str, optional
        Of the commit.
    replaces : sequence of str, default ()
        Patterns of files in the repository that are deleted where the folder has none of that name.

    Returns
    -------
    str
        The address of the commit: "hf://user/name@<commit>".

    Raises
    ------
    ValueError
        You may not write there, the repository is public where private=True asks for another, or the folder holds a link or nothing.
    ConnectionError
        The Hub is out of reach, or offline mode is on.
    """
    from huggingface_hub import HfApi, constants, utils

    address = HubAddress(repo, repo_type, revision)
    if not any(True for _ in files_below(folder)):  # refuses links
        raise ValueError(f"{os.fspath(folder)!r} holds no files to push")
    api, options = HfApi(library_name="specimg"), {"repo_type": repo_type}
    try:
        with _told(address, "write to"):
            sdk = {"space_sdk": "gradio"} if repo_type == "space" else {}
            api.create_repo(repo, private=private, exist_ok=True, **sdk, **options)
            _check_private(address, private)
            if revision is not None:
                api.create_branch(repo, branch=revision, exist_ok=True, **options)
            pushed = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                revision=revision,
                commit_message=message or "Pushed by specimg",
                delete_patterns=list(replaces) or None,
                **options,
            )
    except (_OutOfReach, utils.OfflineModeIsEnabled) as exc:
        why = str(exc) if isinstance(exc, _OutOfReach) else "HF_HUB_OFFLINE is set"
        raise ConnectionError(
            f"nothing was pushed to {address}: the Hub at {constants.ENDPOINT} is out of reach ({why}); push again when it is"
        ) from exc
    return str(address.replace(revision=pushed.oid))
