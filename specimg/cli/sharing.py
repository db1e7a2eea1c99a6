"""`specimg push`: what was trained or drawn goes to the Hugging Face Hub."""

from __future__ import annotations

import argparse
from functools import partial

from .common import add_command, option


def _push(args: argparse.Namespace) -> None:
    """Push a classifier, a training, a run or a tree to the Hugging Face Hub; specimg predict hf://user/name uses it there."""
    from ..core.hub import parse_address
    from ..experiments import push_to_hub

    names = ("private", "revision", "license", "datasets", "widgets", "golden", "message")
    given = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    address = push_to_hub(args.folder, args.repo, **given)
    print(f"{address}\n{parse_address(address).url}")


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    example = "specimg push dog-or-not user/dog-or-not --license cc-by-4.0"
    add = partial(option, add_command(commands, "push", _push, example))
    add("folder", "of a classifier, a training, a finished run or a tree of pictures")
    add("repo", "user/name; it is made if there is none", metavar="USER/NAME")
    public = "only you may see it; default what your account on the Hub is set to, public as a rule"
    add("--private", public, action=argparse.BooleanOptionalAction)
    add("--revision", "branch, which is made if there is none; default the main branch", metavar="BRANCH")
    add("--license", "the Hub's word for the licence, such as apache-2.0 or cc-by-4.0")
    add("--datasets", "data sets of training, as the Hub names them", nargs="+", metavar="USER/NAME")
    add("--widgets", "let its page play the golden clips: these recordings may be shared", action="store_true")
    add("--golden", "of a training: recordings that travel with it, 0 if none may", 6)
    add("--message", "of the commit")
