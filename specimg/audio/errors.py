"""What is wrong with a recording: its path and the reason, as one sentence."""

from __future__ import annotations

import os


class AudioError(ValueError):
    """A recording that cannot be used; the message holds its path and the reason.

    Parameters
    ----------
    path : str or os.PathLike
        The recording.
    reason : str
        What is wrong with it, as the rest of a sentence that begins with the path.
    """

    def __init__(self, path: str | os.PathLike, reason: str):
        super().__init__(f"{os.fspath(path)!r}: {reason}")
        self.path, self.reason = path, reason

    def __reduce__(self):
        return type(self), (self.path, self.reason)


class UnreadableError(AudioError):
    """A recording that the system does not let us read. The file itself may be intact, so it is worth another attempt."""


class OutOfReachError(UnreadableError):
    """The store that a recording lies in does not answer, and will not for the next one either."""
