"""`specimg render`: recordings become a cached tree of pictures."""

from __future__ import annotations

import argparse

from ..core.text import count
from .common import add_command, add_renderer, option, print_failures, renderer_from


def _render(args: argparse.Namespace) -> None:
    """Draw every recording of a folder into a cached tree of pictures."""
    from ..render.tree import render_tree

    tree = render_tree(args.source, renderer_from(args), args.cache, n_jobs=args.jobs)
    failures = tree.failures[["path", "reason"]].itertuples(index=False)
    listed = str(tree.root / "manifest.csv")
    print_failures(
        [(repr(path), reason) for path, reason in failures], args.verbose, f"failures are listed in {listed!r}"
    )
    print(tree)
    print(tree.root)
    if not len(tree):
        raise ValueError(f"none of {count(len(tree.table), 'recording')} could be drawn; the reasons are in {listed!r}")


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    example = "specimg render freesound/audio_train --set n_mels=128 sr=32000 --cache cache"
    render = add_command(commands, "render", _render, example)
    option(render, "source", "folder of recordings")
    add_renderer(render)
    option(render, "--jobs", "parallel processes, -1 is one per core", -1)
    option(render, "--verbose", "print all failures, not the first ten", action="store_true")
