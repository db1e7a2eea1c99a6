"""`specimg render | train | report | predict | windows | cv | submit ...`: the same functions from the command line.

A competition, from its folder to a submission:

    specimg cv plan.toml --out runs/a          # cross-validation; the same command resumes
    specimg submit runs/a                      # submission.csv, checked
    specimg blend runs/a runs/b --out submission.csv

A classifier, inspected and kept:

    specimg report runs/a                      # one page with every clip to see and hear
    specimg keep runs/a dog-or-not             # all folds as one classifier
    specimg windows dog-or-not night.wav --out night.txt

Each command has `--help` with an example. torch is imported inside the commands, so that help and errors appear at once.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import warnings
from functools import partial
from typing import TextIO

from ..core.offscreen import offscreen
from ..core.text import printable
from . import (
    classifier as keeping,
    render as drawing,
    report as looking,
    runs as competing,
    serve as serving,
    sharing,
    train as training,
)
from .common import in_options

__all__ = ["main"]

GROUPS = (
    drawing,
    training,
    looking,
    keeping,
    serving,
    sharing,
    competing,
)  # modules with `add(commands)`, in the order of the help


_LINES = "\n\t"


class _Shown:
    """A stream that shows control characters, which names and labels may hold, in place of obeying them; but a bar may return to its line."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        start = "\r" if text.startswith("\r") else ""
        self._stream.write(start + printable(text[len(start) :], keep=_LINES))
        return len(text)

    def __getattr__(self, name: str):
        return getattr(self._stream, name)


def _parser() -> argparse.ArgumentParser:
    """The parser with all commands."""
    from .. import __version__

    about = "Recorded sound becomes pictures, and pictures become trained classifiers."
    parser = argparse.ArgumentParser(prog="specimg", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser


def _show_warning(parser: argparse.ArgumentParser, message: Warning | str, *where: object, **more: object) -> None:
    """In place of `warnings.showwarning`: one line, without the source, in the words of the command."""
    print(f"note: {printable(in_options(str(message), parser), keep=_LINES)}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Run a command, as `specimg` does.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; None is those of the process.

    Returns
    -------
    int
        The exit status: 0 done, 1 failed, 130 interrupted. Wrong usage exits with 2, as argparse does.

    Examples
    --------
    >>> from specimg.cli import main
    >>> main(["render", "nowhere", "--cache", "cache"])      # prints the error to stderr
    1
    """
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings(), offscreen(), contextlib.redirect_stdout(_Shown(sys.stdout)):  # type: ignore[type-var]
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.showwarning = partial(_show_warning, args.parser)
            args.run(args)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ModuleNotFoundError) as exc:
        print(f"specimg: {printable(in_options(str(exc), args.parser), keep=_LINES)}", file=sys.stderr)
        return 1
    return 0
