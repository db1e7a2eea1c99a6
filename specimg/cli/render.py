"""`specimg render`: recordings become a cached tree of pictures."""

from __future__ import annotations

import argparse

from ..core.text import count
from .common import add_command, add_renderer, print_failures, renderer_from


def _render(args: argparse.Namespace) -> None:
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
    render = add_command(
        commands,
        "render",
        _render,
        "Draw every recording of a folder into a cached tree of pictures.",
        "specimg render freesound/audio_train --set n_mels=128 sr=32000 --cache cache",
    )
    render.add_argument("source", help="folder of recordings")
    add_renderer(render)
    render.add_argument("--jobs", type=int, default=-1, help="parallel processes; default one per core")
    render.add_argument("--verbose", action="store_true", help="print all failures, not the first ten")
