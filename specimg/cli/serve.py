"""`specimg serve` and `specimg space`: a page to try a classifier on, here or on the Hub."""

from __future__ import annotations

import argparse
from functools import partial

from .common import add_command, open_classifier, option


def _serve(args: argparse.Namespace) -> None:
    """Open a page to try classifiers on, with a microphone or files; needs pip install specimg[serve]."""
    from ..reports.app import import_gradio, serve

    import_gradio()  # says that it is absent before the classifiers are read
    limits = {"reject_below": args.reject_below, "most_mb": args.most_mb, "most_seconds": args.most_seconds}
    classifiers = [open_classifier(folder) for folder in args.classifiers]
    serve(classifiers, host=args.host, port=args.port, browser=args.browser, block=True, **limits)


def _space(args: argparse.Namespace) -> None:
    """Write a folder that is a Hugging Face Space as it stands: the page of serve, what it needs, and the classifier; and push it."""
    from ..reports import write_space

    clf = open_classifier(args.classifier)
    print(write_space(clf, args.out, title=args.title, golden=args.golden, requirement=args.requirement))
    if args.push:
        from ..inference.hub import push_folder

        print(
            push_folder(args.out, args.push, repo_type="space", private=args.private, revision=None, message="The page")
        )


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    example = "specimg serve dog-or-not --browser"
    add = partial(option, add_command(commands, "serve", _serve, example))
    add("classifiers", "folders of what was trained; several answer side by side", nargs="+", metavar="FOLDER")
    add("--host", "address to listen on; 0.0.0.0 lets other machines in", "127.0.0.1")
    add("--port", "default the first free one from 7860", type=int)
    add("--browser", "open a browser", action="store_true")
    add("--reject-below", "label a clip unknown if its largest probability is lower", 0.0, metavar="P")
    add("--most-mb", "megabytes of the largest file that may be uploaded", 50.0)
    add("--most-seconds", "seconds of the longest recording that is taken", 600.0)
    add = partial(
        option, add_command(commands, "space", _space, "specimg space dog-or-not space --push user/dog-or-not")
    )
    add("classifier", "folder of what was trained", metavar="FOLDER")
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
