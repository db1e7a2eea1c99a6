"""What the commands share: settings from text, the options of a renderer, TOML files, how a command is registered.

>>> from specimg.cli.common import read_settings
>>> read_settings(["n_mels=64", "fmax=none", "size=[64,128]"])
{'n_mels': 64, 'fmax': None, 'size': [64, 128]}

A group of commands is a module with `add(commands)`, which calls `add_command` for each; `specimg.cli.GROUPS` lists the modules.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..render.renderer import Renderer
SHOWN = 10  # failures that are printed without --verbose


# ---------------------------------------------------------------------- settings from text


def read_value(text: str) -> object:
    """A setting from the command line: a number, none/true/false, a list such as [64,64], or text."""
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    lowered = text.lower()
    if lowered in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[lowered]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def read_column(text: str) -> int | str:
    """A column by position or by name."""
    return int(text) if text.isdecimal() else text


def read_settings(pairs: list[str]) -> dict:
    """["n_mels=64", "fmax=none"] -> {"n_mels": 64, "fmax": None}"""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not a setting; write name=value, such as n_mels=64")
    return {name: read_value(text) for name, text in (pair.split("=", 1) for pair in pairs)}


# ---------------------------------------------------------------------- the renderer


def _part_of(name: str, parts: dict) -> str:
    """The part of a renderer that has the setting `name`. ValueError, with similar ones, if none has."""
    from ..core.values import choose

    fields = {
        field: part
        for part in ("audio", "picture", "representation")
        for field in parts[part].to_dict()
        if field != "kind"
    }
    return fields[choose(name, fields, "setting")]


def _read_renderer(path: str) -> Renderer:
    """The renderer in a TOML file."""
    from ..render.renderer import Renderer

    try:
        return Renderer.from_toml(Path(path))
    except ValueError as exc:
        raise ValueError(f"{path!r} is not a renderer: {exc}") from exc


def renderer_from(args: argparse.Namespace) -> Renderer:
    """The renderer that --renderer, --representation and --set describe."""
    from ..core.values import choose
    from ..render.renderer import Renderer
    from ..spectrogram import Representation

    renderer = _read_renderer(args.renderer) if args.renderer else Renderer()
    if args.representation:
        renderer = renderer.replace(representation=Representation.from_dict({"kind": args.representation}))
    parts = {"representation": renderer.representation, "picture": renderer.picture, "audio": renderer.audio}
    for name, value in read_settings(args.set).items():
        part, _, field = name.rpartition(".")
        part = choose(part, parts, "part of a renderer") if part else _part_of(field, parts)
        parts[part] = parts[part].replace(**{field: value})
    return Renderer(**parts)


def add_renderer(parser: argparse.ArgumentParser) -> None:
    """Add the options that `renderer_from` reads."""
    renderer = parser.add_argument_group("renderer")
    renderer.add_argument("--renderer", metavar="FILE", help="a renderer as TOML, as Renderer(...).to_toml() writes it")
    renderer.add_argument("--representation", metavar="NAME", help="mel (default), stft, mfcc ...")
    renderer.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings by their Python names: n_mels=64 hop_length=256 sr=32000 duration=5 height=224; or audio.sr=32000",
    )
    renderer.add_argument(
        "--cache", metavar="FOLDER", help="folder for trees of pictures; default the user's cache folder"
    )


# ---------------------------------------------------------------------- commands


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], None],
    text: str,
    example: str,
    more: str = "",
) -> argparse.ArgumentParser:
    """Register a command that `run` carries out; `text` describes it, `more` follows the `example` in its help. Returns its parser."""
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}\n{more}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


# ---------------------------------------------------------------------- what went wrong


def print_failures(rows: Iterable[tuple[str, str]], verbose: bool, where: str) -> None:
    """Print (what, reason) to stderr: ten of them, all if `verbose`; `where` tells the rest, and where they are listed."""
    rows = list(rows)
    for what, reason in rows if verbose else rows[:SHOWN]:
        print(f"{what}: {reason}", file=sys.stderr)
    if len(rows) > SHOWN and not verbose:
        print(f"... and {len(rows) - SHOWN} more, shown by --verbose", file=sys.stderr)
    if rows and where:
        print(where, file=sys.stderr)
