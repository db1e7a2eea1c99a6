"""`specimg render | train | report | predict | windows | cv | submit ...`: the same functions from the command line.

A competition, from its folder to a submission:

    specimg cv plan.toml --out runs/a          # cross-validation; the same again goes on
    specimg submit runs/a                      # submission.csv, checked
    specimg blend runs/a runs/b --out submission.csv

A classifier, listened to and kept:

    specimg report runs/a                      # one page to look at and to listen to
    specimg keep runs/a dog-or-not             # all folds as one classifier
    specimg windows dog-or-not night.wav --out night.txt

Each command has `--help` with an example. What torch needs is imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import sys
import warnings

from . import classifier as keeping, render as drawing, report as looking, runs as competing, train as training

__all__ = ["main"]

GROUPS = (drawing, training, looking, keeping, competing)  # modules with `add(commands)`, in the order of the help


def _parser() -> argparse.ArgumentParser:
    from .. import __version__

    about = "Recorded sound becomes pictures, and pictures become trained classifiers."
    parser = argparse.ArgumentParser(prog="specimg", description=about)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for group in GROUPS:
        group.add(commands)
    return parser


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"note: {message}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 could not, 2 asked wrongly, 130 stopped by Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.showwarning = _show_warning
            args.run(args)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ModuleNotFoundError) as exc:
        print(f"specimg: {exc}", file=sys.stderr)
        return 1
    return 0
