"""Locks for processes that share a folder, on one machine or on many, also where one of them was killed.

    with locked("runs/a/seed0-fold0/lock") as lock:
        if lock:            # nobody else works in this folder
            ...

A lock is a file that names its holder: machine and process. Its time of last change is the holder's sign of life, given every `BEAT`
seconds. `claim_action` is the rule by which a lock that somebody holds is waited for or taken over: of a process of this machine the system
knows whether it is gone, and another machine has to be silent for `PATIENCE`. Who was taken over and wakes up writes nothing below the
folder any more: `write_atomic`, `remove` and what replaces classifiers raise `TakenOverError`.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import platform
import re
import stat
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from .files import OutsideError, guards, temporary_name

BEAT = 15.0  # s between signs of life
PATIENCE = 300.0  # s without one, after which a lock of another machine is taken over
_MOST_CLAIM = 4096  # bytes of a lock


@dataclass(frozen=True)
class Claim:
    """What a lock says of its holder.

    Parameters
    ----------
    machine : str
        The holder's machine, as `this_machine` names it there; empty in a file that says nothing.
    host : str
        Its name for people.
    pid : int
        Its process.
    token : str
        Of this claim alone.
    beat : float
        The last sign of life, s, by the clock of the disk.
    gone : bool
        The system knows that the process is gone; only ever true on its own machine.
    """

    machine: str
    host: str
    pid: int
    token: str
    beat: float
    gone: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}" if self.machine else "an unknown process"


class TakenOverError(RuntimeError):
    """Another process has taken over a lock of this one, which had been silent for too long; its results count.

    Parameters
    ----------
    message : str
        What happened.
    holder : Claim, optional
        Who has it now; None if it has been released since.
    """

    def __init__(self, message: str, holder: Claim | None = None):
        super().__init__(message)
        self.message, self.holder = message, holder

    def __str__(self) -> str:
        return self.message  # fastai puts a line of its own before what a callback raises


def claim_action(claim: Claim | None, now: float, here: str) -> str:
    """What to do about a lock.

    Parameters
    ----------
    claim : Claim or None
        Who holds it.
    now : float
        s, by the clock of the disk, so that machines' clocks need not agree.
    here : str
        This machine.

    Returns
    -------
    str
        "take" what nobody holds; "wait" for a holder that lives; "take over" from one that is gone, or, on another machine, has given no
        sign of life for more than `PATIENCE` seconds.

    Examples
    --------
    >>> killed = Claim("b", "node7", 71, "5f", beat=1000.0)
    >>> claim_action(killed, now=1200.0, here="a"), claim_action(killed, now=1301.0, here="a")
    ('wait', 'take over')
    """
    if claim is None:
        return "take"
    if claim.machine == here:
        return "take over" if claim.gone else "wait"
    return "take over" if now - claim.beat > PATIENCE else "wait"


# ---------------------------------------------------------------------- what is known of machines and processes


@functools.cache
def this_machine() -> str:
    """This machine since its last start, or the container: processes of one machine see one another, and share the system's locks on files."""
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            known = f"{file.read().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # where there is no /proc
        known = f"{uuid.getnode():x}"
    return f"{platform.node()} {known}"


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _flock(handle: int, wait: bool = False) -> bool | None:
    """Whether this process now has the system's lock on an open file; None where the system or the disk has none."""
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as exc:
        return False if exc.errno in (errno.EWOULDBLOCK, errno.EACCES) else None
    return True


# ---------------------------------------------------------------------- the file


def _open(path: str, flags: int) -> int:
    """A descriptor of a regular file: never a link's target, a pipe or a device, and nothing is truncated."""
    wrong = f"{path!r} is not a plain file, so it cannot be a lock; remove it"
    try:
        handle = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o666)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EMLINK):
            raise OutsideError(wrong) from exc
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OutsideError(wrong)
    return handle


def _parse(text: bytes, facts: os.stat_result) -> Claim:
    """The claim in a file; one of an unknown machine if it says nothing, as in the moment in which it is made."""
    try:
        about = json.loads(text)
        machine, host, pid, token = (about[name] for name in ("machine", "host", "pid", "token"))
        if not (isinstance(machine, str) and isinstance(host, str) and type(pid) is int and pid > 0):
            raise ValueError("of another kind")
        if not re.fullmatch("[0-9a-f]{16}", token):  # it becomes part of a name
            raise ValueError("no token")
    except (KeyError, TypeError, ValueError):
        machine, host, pid, token = "", "", 0, f"{facts.st_ino:x}-{facts.st_mtime_ns:x}"
    return Claim(machine, host, pid, token, facts.st_mtime)


def _read(path: str) -> Claim | None:
    """Who holds the lock at a path; None if there is none."""
    try:
        handle = _open(path, 0)
    except FileNotFoundError:
        return None
    try:
        claim = _parse(os.read(handle, _MOST_CLAIM), os.fstat(handle))
        if claim.machine != this_machine():
            return claim
        gone = bool(_flock(handle)) or not _is_running(claim.pid)
        return Claim(claim.machine, claim.host, claim.pid, claim.token, claim.beat, gone)
    finally:
        os.close(handle)


def _clock(folder: str) -> float:
    """The time by the clock of the disk that a folder is on, s."""
    name = os.path.join(folder, temporary_name("clock"))
    handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        return os.fstat(handle).st_mtime
    finally:
        os.close(handle)
        os.unlink(name)


# ---------------------------------------------------------------------- the lock


def _is_of(path: str, token: str) -> bool:
    holder = _read(path)
    return holder is not None and holder.token == token


class Lock:
    """A lock that this process has asked for; true if it got it.

    Parameters
    ----------
    path : str
        The file.
    claim : Claim or None
        Who holds it, when it was asked for: this process, or another one. None where there can be no locks.
    handle : int, optional
        The open file, of a lock that this process holds.
    taken_from : Claim, optional
        Whose lock it was, if it was taken over.
    """

    def __init__(self, path: str, claim: Claim | None, handle: int | None = None, taken_from: Claim | None = None):
        self.path, self.claim, self.taken_from = path, claim, taken_from
        self.handle, self._ended = handle, threading.Event()
        self._folder = os.path.dirname(path)

    @property
    def held(self) -> bool:
        """Whether there is a file that names this process."""
        return self.handle is not None

    def __bool__(self) -> bool:
        return self.held or self.claim is None

    def guard(self, path: str) -> None:
        """TakenOverError if `path` is below the lock's folder, and another process has taken that over."""
        below = os.path.abspath(path).startswith(self._folder + os.sep)
        if below and not _is_of(self.path, self.claim.token):
            holder = _read(self.path)
            raise TakenOverError(
                f"{holder or 'another process'} has taken over {self._folder!r} from this one, which had given no sign of life "
                f"for {PATIENCE:g} s (it was stopped, or cut off from the disk); nothing more is written there",
                holder,
            )

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with contextlib.suppress(OSError):  # the disk is out of reach for a moment, or the file is gone
                os.utime(self.handle)

    def begin(self) -> None:
        """Give signs of life from now on, and guard what is below the folder."""
        self._beating = threading.Thread(target=self._beat, name="lock", daemon=True)
        self._beating.start()
        guards.append(self.guard)

    def end(self) -> None:
        """Remove the file, if it is still of this process."""
        guards.remove(self.guard)
        self._ended.set()
        self._beating.join()  # before another file has its descriptor
        with contextlib.suppress(OSError):
            if _is_of(self.path, self.claim.token):
                os.unlink(self.path)
        os.close(self.handle)


def _create(path: str) -> Lock | None:
    """A new lock that this process holds; None if there is a file already."""
    try:
        handle = _open(path, os.O_CREAT | os.O_EXCL)
    except FileExistsError:
        return None
    _flock(handle, wait=True)  # before it names this process: another one that looks at it has it for a moment
    about = {"machine": this_machine(), "host": platform.node(), "pid": os.getpid(), "token": os.urandom(8).hex()}
    os.write(handle, json.dumps(about).encode())
    return Lock(path, Claim(**about, beat=os.fstat(handle).st_mtime), handle)


def _action(claim: Claim, folder: str) -> str:
    here = this_machine()
    return claim_action(claim, claim.beat if claim.machine == here else _clock(folder), here)


def _ask(path: str) -> Lock:
    """Take the lock, or take it over, or say who holds it."""
    folder = os.path.dirname(path)
    while True:
        lock = _create(path)
        if lock is not None:
            return lock
        claim = _read(path)
        if claim is None:  # released meanwhile
            continue
        if _action(claim, folder) == "wait":
            return Lock(path, claim)
        # one name for all who would take over this claim, so that one of them makes the file
        beside = os.path.join(folder, temporary_name("lock", claim.token))
        lock = _create(beside)
        if lock is None:
            other = _read(beside)
            if other is not None and _action(other, folder) == "wait":
                return Lock(path, other)
        elif not _is_of(path, claim.token):  # one who was quicker is through already
            os.unlink(beside)
            os.close(lock.handle)
            continue
        with contextlib.suppress(
            FileNotFoundError
        ):  # what is left by one who is killed before this line, the next one moves
            os.replace(beside, path)
        if lock is not None:
            return Lock(path, lock.claim, lock.handle, claim)


@contextlib.contextmanager
def locked(path: str | os.PathLike) -> Iterator[Lock]:
    """A lock that is true if this process has it, false if another one has it; one that is stale is taken over (`claim_action`).

    While it is held, a thread gives signs of life, and nothing below its folder is written or removed once another process has taken it
    over. On Windows, and where the disk is read-only, everyone has it.

    Parameters
    ----------
    path : str or path-like
        The file, in a folder that exists; it is made, and removed at the end.

    Yields
    ------
    Lock

    Raises
    ------
    OutsideError
        A link, a folder, a pipe ... stands there.

    Examples
    --------
    >>> with locked("lock") as mine, locked("lock") as theirs:
    ...     print(bool(mine), bool(theirs))
    True False
    """
    path = os.path.abspath(path)  # the working folder may change
    try:
        lock = Lock(path, None) if os.name == "nt" else _ask(path)
    except OSError as exc:
        if exc.errno != errno.EROFS:
            raise
        lock = Lock(path, None)
    if not lock.held:
        yield lock
        return
    lock.begin()
    try:
        yield lock
    finally:
        lock.end()
