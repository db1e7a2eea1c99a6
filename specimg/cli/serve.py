"""`specimg serve` and `specimg space`: a page to try a classifier on, here or on the Hub."""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import TYPE_CHECKING

from .common import add_command, open_classifier, option

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


def _opened(folders: list[str]) -> dict[str, Classifier]:
    """Name -> classifier, by the last part of where it is, or all of it where two have the same."""
    last = [os.path.basename(os.path.normpath(folder)) for folder in folders]
    return dict(zip(last if len(set(last)) == len(last) else folders, map(open_classifier, folders)))


def _serve(args: argparse.Namespace) -> None:
    """Open a page to try classifiers on, with a microphone or files; needs pip install specimg[serve]."""
    from ..reports.app import import_gradio, serve

    import_gradio()  # says that it is absent before the classifiers are read
    limits = {"reject_below": args.reject_below, "most_mb": args.most_mb, "most_seconds": args.most_seconds}
    serve(_opened(args.classifiers), host=args.host, port=args.port, browser=args.browser, block=True, **limits)


def _space(args: argparse.Namespace) -> None:
    """Write a folder that is a Hugging Face Space as it stands: the page of serve, what it needs, and the classifiers; and push it."""
    from ..core.hub import parse_address, push_folder
    from ..reports.space import CLASSIFIERS, write_space

    named, given = _opened(args.classifiers), {name: getattr(args, name) for name in ("title", "golden", "requirement")}
    print(write_space(named, args.out, **given))
    if args.push:
        gone = [f"{CLASSIFIERS}/*"]  # what an earlier commit had there and this folder has not
        address = push_folder(args.out, args.push, repo_type="space", private=args.private, replaces=gone)
        print(f"{address}\n{parse_address(address).url}")


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    which = "what was trained: a folder of train, keep or cv, or hf://user/name"
    add = partial(option, add_command(commands, "serve", _serve, "specimg serve dog-or-not --browser"))
    add("classifiers", f"{which}; several answer side by side", nargs="+", metavar="FOLDER")
    add("--host", "address to listen on; 0.0.0.0 lets other machines in", "127.0.0.1")
    add("--port", "default the first free one from 7860", type=int)
    add("--browser", "open a browser", action="store_true")
    add("--reject-below", "label a clip unknown if its largest probability is lower", 0.0, metavar="P")
    add("--most-mb", "megabytes of the largest file that may be uploaded", 50.0)
    add("--most-seconds", "seconds of the longest recording that is taken", 600.0)

    example = "specimg space dog-or-not space --push user/dog-or-not"
    add = partial(option, add_command(commands, "space", _space, example))
    add("classifiers", f"{which}; several answer side by side", nargs="+", metavar="FOLDER")
    add("out", "folder of the Space: new, or of an earlier one")
    add("--title", "title of the Space; default the name of the classifier")
    add("--golden", "golden clips to take along as examples; 0 if recordings must not travel", 6)
    add(
        "--requirement",
        "where the Space gets specimg from, as a line of requirements.txt; default this version of PyPI",
    )
    add("--push", "push it to this Space, with the Hub's own token", metavar="USER/NAME")
    public = "only you may see it; default what your account on the Hub is set to, public as a rule"
    add("--private", public, action=argparse.BooleanOptionalAction)
