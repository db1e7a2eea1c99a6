"""A full disk and a killed worker are said in a sentence; other errors stay what they are."""

import errno
from concurrent.futures.process import BrokenProcessPool

import pytest

from specimg.core.failures import explained


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_the_outermost_has_the_word(code):
    full = OSError(code, "full", "a/b")
    with pytest.raises(
        OSError, match="no space left while writing into 'runs': make room on its disk; all is kept"
    ) as caught:
        with explained("runs", "all is kept"), explained("runs/a", "a is kept"):
            raise full
    assert caught.value.errno == code and caught.value.__cause__ is full


@pytest.mark.parametrize(
    "exc", [RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly"), BrokenProcessPool("terminated abruptly")]
)
def test_a_killed_worker(exc):
    with pytest.raises(
        ChildProcessError, match=r"'runs' was killed.*\(.*\); all is kept, with fewer workers \(n_jobs=1\)"
    ):
        with explained("runs", "all is kept", "n_jobs=1"):
            raise exc


@pytest.mark.parametrize(
    "exc", [OSError(errno.EACCES, "x"), RuntimeError("shapes"), ValueError("DataLoader worker"), KeyError()]
)
def test_other_errors_stay(exc):
    with pytest.raises(type(exc)) as caught:
        with explained("runs", "all is kept"):
            raise exc
    assert caught.value is exc
