"""What the commands share: settings from text, the options of a renderer, TOML files, how a command is registered.

>>> from specimg.cli.common import read_settings
>>> read_settings(["n_mels=64", "fmax=none", "size=[64,128]"])
{'n_mels': 64, 'fmax': None, 'size': [64, 128]}

A group of commands is a module with `add(commands)`, which calls `add_command` for each; `specimg.cli.GROUPS` lists the modules.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.text import printable

if TYPE_CHECKING:
    from ..inference.classifier import Classifier
    from ..render.renderer import Renderer
TRACK = "who follows: wandb, tensorboard or mlflow; pip install it first"  # said of --track
SHOWN = 10  # failures that are printed without --verbose


# ---------------------------------------------------------------------- settings from text


def read_value(text: str) -> object:
    """A setting from the command line: a number, none/true/false, a list such as [64,64], or text."""
    from ..core.reading import parse_json

    if text.startswith("["):
        try:
            return parse_json(text)
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


def read_duration(text: str) -> float:
    """ "90m", "1.5h" or "30s" in seconds; a number alone is refused, for it would be read in two ways."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if not found or not float(found[1]) > 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write 90m, 1.5h or 30s")
    return float(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]]


def read_column(text: str) -> int | str:
    """A column by position or by name."""
    return int(text) if text.isdecimal() else text


def read_settings(pairs: list[str] | None) -> dict:
    """["n_mels=64", "fmax=none"] -> {"n_mels": 64, "fmax": None}"""
    pairs = pairs or []
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


# ---------------------------------------------------------------------- what was trained


def open_classifier(folder: str) -> Classifier:
    """The classifier in a folder of keep, train or fit(out=), here or on the Hub; of a run the mean of its networks."""
    from ..core.hub import local_folder

    here = local_folder(folder, ["classifier.json", "run.toml"], "a classifier")  # before torch is imported
    from ..experiments import Run
    from ..inference import load_classifier
    from ..training.trained import kind_of

    return Run.open(here).classifier() if kind_of(here) == "run" else load_classifier(folder)


# ---------------------------------------------------------------------- commands


def add_command(
    commands: argparse._SubParsersAction, name: str, run: Callable[[Any], None], example: str, more: str = ""
) -> argparse.ArgumentParser:
    """The parser of a command; the docstring of `run` describes it, `more` follows the `example` in its help."""
    text = " ".join((run.__doc__ or "").split())
    epilog, form = f"example:\n  {example}\n{more}", argparse.RawDescriptionHelpFormatter
    parser = commands.add_parser(name, help=text, description=text, epilog=epilog, formatter_class=form)
    parser.set_defaults(run=run, parser=parser)
    return parser


def option(to, name: str, text: str, default: object = None, **how: Any) -> None:
    """Add an argument to a parser or a group of one. A default gives the type, and is said in the help."""
    if default is not None:
        how.setdefault("type", type(default))
        text = f"{text}; default {default:g}" if isinstance(default, float) else f"{text}; default {default}"
    to.add_argument(name, help=text, default=default, **how)


def add_renderer(parser: argparse.ArgumentParser) -> None:
    """Add the options that `renderer_from` reads."""
    add = partial(option, parser.add_argument_group("renderer"))
    add("--renderer", "a renderer as TOML, as Renderer(...).to_toml() writes it", metavar="FILE")
    add("--representation", "mel (default), stft, mfcc ...", metavar="NAME")
    add_settings(add, "settings: n_mels=64 hop_length=256 sr=32000 duration=5 height=224; or audio.sr=32000")
    add("--cache", "folder for trees of pictures; default the user's cache folder", metavar="FOLDER")


def add_settings(add: Callable, text: str) -> None:
    """Add `--set`, which `read_settings` reads."""
    add("--set", text, nargs="+", action="extend", metavar="NAME=VALUE")


def add_out(add: Callable, text: str) -> None:
    """Add --out, which may also be given without its name; `out_of` reads it."""
    add("target", f"the same as --out: {text}", nargs="?", metavar="OUT")
    add("--out", text)


def out_of(args: argparse.Namespace) -> str:
    """What `add_out` was given. ValueError if it is nothing, or two things."""
    given = [name for name in (args.target, args.out) if name is not None]
    if len(given) != 1:
        raise ValueError("give --out once" if given else "nothing says where to write: give --out")
    return given[0]


# ---------------------------------------------------------------------- what went wrong


def in_options(text: str, parser: argparse.ArgumentParser) -> str:
    """A message of the package in the words of a command: "give suffix='.wav'" becomes "give --suffix '.wav'".

    >>> parser = argparse.ArgumentParser()
    >>> _ = parser.add_argument("--lr"), parser.add_argument("--overwrite", action="store_true")
    >>> in_options("such as Recipe(lr=0.003); or give overwrite=True; see lr= and sr=", parser)
    'such as --lr 0.003; or give --overwrite; see --lr and sr='
    """
    known = set(re.findall(r"--[a-z][a-z-]*", parser.format_help()))

    def option_of(match: re.Match) -> str:
        name, value = match["name"].replace("_", "-"), match["value"] or ""
        name = next((f"--{each}" for each in (name, name.removeprefix("n-")) if f"--{each}" in known), "")
        words = {"": "", "True": "", "False": " no"}.get(value, f" {value}")
        return f"{name}{words}" if name else match[0]

    value = r"(?P<value>'[^']*'|\"[^\"]*\"|[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
    for pattern in (rf"\b[A-Z]\w*\((?P<name>[a-z_]+)={value}\)", rf"(?<![\w./'\"-])(?P<name>[a-z_]+)={value}"):
        text = re.sub(pattern, option_of, text)
    return text


def print_failures(rows: Iterable[tuple[str, str]], verbose: bool, where: str) -> None:
    """Print (what, reason) to stderr: ten of them, all if `verbose`; `where` tells the rest, and where they are listed."""
    rows = list(rows)
    for what, reason in rows if verbose else rows[:SHOWN]:
        print(printable(f"{what}: {reason}"), file=sys.stderr)
    if len(rows) > SHOWN and not verbose:
        print(f"... and {len(rows) - SHOWN} more, shown by --verbose", file=sys.stderr)
    if rows and where:
        print(where, file=sys.stderr)
