"""What the commands have in common: settings from text, the options of a renderer, TOML files, how a command is entered.

>>> read_settings(["n_mels=64", "fmax=none", "size=[64,128]"])
{'n_mels': 64, 'fmax': None, 'size': [64, 128]}

A group of commands is a module with `add(commands)`, which calls `add_command` for each; `specimg.cli.main` knows the modules.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

__all__ = ["read_value", "read_column", "read_settings", "renderer_from", "add_look", "read_toml", "add_command"]


# ---------------------------------------------------------------------- settings from text


def read_value(text: str):
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
        raise ValueError(f"{wrong[0]!r} is no setting; write name=value, such as n_mels=64")
    return {name: read_value(text) for name, text in (pair.split("=", 1) for pair in pairs)}


def read_toml(path: str) -> dict:
    """What a TOML file holds, None where it says "none". ValueError, with its name, where it is not TOML."""
    from ..core.values import _swap, _toml

    try:
        return _swap(_toml().loads(Path(path).read_text(encoding="utf-8-sig")), "none", None)
    except ValueError as exc:  # the readers' and the decoder's errors are ValueErrors
        raise ValueError(f"{path!r} is not TOML: {exc}") from exc


# ---------------------------------------------------------------------- how recordings are drawn


def _part_of(name: str, parts: dict) -> str:
    """Which part of a renderer has the setting `name`. ValueError, with the near ones, where none has."""
    from ..core.values import choose

    fields = {
        field: part
        for part in ("audio", "picture", "representation")
        for field in parts[part].to_dict()
        if field != "kind"
    }
    return fields[choose(name, fields, "setting")]


def _look(path: str):
    """The renderer in a TOML file."""
    from ..render.renderer import Renderer

    try:
        return Renderer.from_toml(Path(path))
    except ValueError as exc:
        raise ValueError(f"{path!r} describes no renderer: {exc}") from exc


def renderer_from(args):
    """The renderer that --look, --representation and --set describe."""
    from ..core.values import choose
    from ..render.renderer import Renderer
    from ..spectrogram import Representation

    renderer = _look(args.look) if args.look else Renderer()
    if args.representation:
        renderer = renderer.replace(representation=Representation.from_dict({"kind": args.representation}))
    parts = {"representation": renderer.representation, "picture": renderer.picture, "audio": renderer.audio}
    for name, value in read_settings(args.set).items():
        part, _, field = name.rpartition(".")
        part = choose(part, parts, "part of a renderer") if part else _part_of(field, parts)
        parts[part] = parts[part].replace(**{field: value})
    return Renderer(**parts)


def add_look(parser) -> None:
    """The options that `renderer_from` reads."""
    look = parser.add_argument_group("how recordings are drawn")
    look.add_argument("--look", metavar="FILE", help="a renderer as TOML (Renderer(...).to_toml() writes one)")
    look.add_argument("--representation", metavar="NAME", help="mel (default), stft, mfcc ...")
    look.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="settings by their Python names: n_mels=64 hop_length=256 sr=32000 duration=5 height=224; or audio.sr=32000",
    )
    look.add_argument(
        "--cache", metavar="FOLDER", help="where trees of pictures are kept; default the user's cache folder"
    )


# ---------------------------------------------------------------------- commands


def add_command(commands, name: str, run, text: str, example: str, more: str = "") -> argparse.ArgumentParser:
    """Enter a command, to whose parser its arguments are then added.

    run : does it, given the parsed arguments; `text` says what it does, `more` stands below the `example` in its help
    """
    parser = commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"example:\n  {example}\n{more}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser
