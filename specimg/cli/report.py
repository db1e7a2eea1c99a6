"""`specimg report` and `specimg review`: a page to look at a run and to listen to it, and one to hear whether labels are right."""

from __future__ import annotations

import sys
from pathlib import Path

from .common import add_command

__all__ = ["add"]


def _options(args) -> dict:
    given = {name: getattr(args, name) for name in ("title", "audio", "budget_mb", "kbits", "cam")}
    return {**given, "progress": sys.stderr.isatty()}


def _say(path: Path) -> None:
    print(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _report(args) -> None:
    from ..reports import report

    _say(report(args.source, args.out, **_options(args)))


def _review(args) -> None:
    from ..reports import review_sheet

    _say(review_sheet(args.source, args.out, **_options(args)))


def _add_page(parser, out: str, cam: int) -> None:
    """The options that both pages have."""
    parser.add_argument(
        "source", metavar="RUN", help="folder that cv wrote, or a file of predictions (Predictions.save)"
    )
    parser.add_argument("--out", default=out, help=f"the page; default {out}")
    parser.add_argument("--title", help="default the network and the data")
    parser.add_argument("--audio", metavar="FOLDER", help="where the recordings lie, if they have moved")
    parser.add_argument(
        "--budget-mb",
        type=float,
        default=25,
        help="megabytes of embedded pictures and sounds, beyond which they are linked; default 25",
    )
    parser.add_argument("--kbits", type=float, default=32, help="kbit/s of embedded sounds; default 32")
    parser.add_argument(
        "--cam",
        type=int,
        default=cam,
        metavar="CLIPS",
        help=f"clips of the highest loss that show where the network looked; default {cam}",
    )


def add(commands) -> None:
    """Enter the commands of this module."""
    report = add_command(
        commands,
        "report",
        _report,
        "Write one HTML page to look at a run and to listen to its mistakes.",
        "specimg report runs/r34 --out report.html",
    )
    _add_page(report, "report.html", 100)
    review = add_command(
        commands,
        "review",
        _review,
        "Write one HTML page of the clips whose label is most likely wrong; it saves corrections.csv.",
        "specimg review runs/r34 --out review.html",
    )
    _add_page(review, "review.html", 0)
