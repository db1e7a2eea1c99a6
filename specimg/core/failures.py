"""What a system does to long work, said in a sentence: a full disk, a killed worker.

>>> import errno
>>> with explained("runs/first", "finished folds are kept, and the same call continues"):
...     raise OSError(errno.ENOSPC, "No space left on device")
Traceback (most recent call last):
OSError: [Errno 28] no space left while writing into 'runs/first': make room on its disk; finished folds are kept, and the same call continues
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor

FULL = (errno.ENOSPC, errno.EDQUOT)
# in torch's error when a process that loads data is gone; fastai may put a line before it
_OF_TORCH = "DataLoader worker"


@contextlib.contextmanager
def explained(folder: str | os.PathLike, kept: str, fewer: str = "num_workers=0") -> Iterator[None]:
    """Within it a full disk is an OSError, and a killed worker a ChildProcessError, that say what happened, what is kept, and what to do.

    The outermost one has the word: it knows what the user called.

    Parameters
    ----------
    folder : str or path-like
        What is written into.
    kept : str
        What is kept, and how the work continues.
    fewer : str, default "num_workers=0"
        The option that does with fewer workers.

    Raises
    ------
    OSError
        As said; any other error is raised as it is.

    Examples
    --------
    >>> with explained("trained", "the same call continues"):
    ...     raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")
    Traceback (most recent call last):
    ChildProcessError: a process that read or drew clips for 'trained' was killed, ...
    """
    name = repr(os.fspath(folder))
    try:
        yield
    except OSError as exc:
        if exc.errno not in FULL:
            raise
        told = f"no space left while writing into {name}: make room on its disk; {kept}"
        raise OSError(exc.errno, told) from (exc.__cause__ or exc)
    except RuntimeError as exc:
        if not (isinstance(exc, BrokenExecutor) or _OF_TORCH in str(exc)):
            raise
        raise ChildProcessError(
            f"a process that read or drew clips for {name} was killed, as systems do where memory runs out "
            f"({' '.join(str(exc).split())}); {kept}, "
            f"with fewer workers ({fewer}) or smaller batches (bs=)"
        ) from exc
