"""`specimg report` and `specimg review`: a page of a run or a training, and one to review doubtful labels."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from .common import add_command, option


def _options(args) -> dict:
    given = {name: getattr(args, name) for name in ("title", "audio", "budget_mb", "kbits", "cam", "overwrite")}
    return {**given, "progress": sys.stderr.isatty()}


def _source(args) -> str | Path:
    """What the page is about, here."""
    from ..core.hub import local_folder

    return local_folder(args.source, ["run.toml"], "a run")


def _print_size(path: Path) -> None:
    print(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _report(args) -> None:
    """Write one HTML page of a run or a training: scores, figures, and every clip to see and to hear."""
    from ..reports import report

    _print_size(report(_source(args), args.out, **_options(args)))


def _review(args) -> None:
    """Write one HTML page to review the clips whose label is most likely wrong; it saves corrections.csv."""
    from ..reports import review_sheet

    _print_size(review_sheet(_source(args), args.out, **_options(args)))


def _add_page(parser, out: str, cam: int) -> None:
    """The options of both pages."""
    add = partial(option, parser)
    add(
        "source",
        "folder that cv or train wrote, training folder of fit(out=), or predictions (Predictions.save); or a run on the Hub, hf://user/name",
    )
    add("--out", "the page", out)
    add("--title", "default the network and the data")
    add("--audio", "folder of the recordings, if they have moved", metavar="FOLDER")
    add("--budget-mb", "megabytes of embedded pictures and sounds; beyond it they are linked", 25.0)
    add("--kbits", "bit rate of embedded sounds in kbit/s", 32.0)
    add("--cam", "number of clips, by descending loss, with a class map (Grad-CAM)", cam, metavar="CLIPS")
    add("--overwrite", "replace the file even if it is the page of something else", action="store_true")


def add(commands) -> None:
    """Add the commands of this module."""
    _add_page(add_command(commands, "report", _report, "specimg report runs/r34 --out report.html"), "report.html", 100)
    _add_page(add_command(commands, "review", _review, "specimg review runs/r34 --out review.html"), "review.html", 0)
