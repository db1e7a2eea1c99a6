"""`specimg report` and `specimg review`: a page of a run or a training, and one to review doubtful labels."""

from __future__ import annotations

import sys
from pathlib import Path

from .common import add_command


def _options(args) -> dict:
    given = {name: getattr(args, name) for name in ("title", "audio", "budget_mb", "kbits", "cam")}
    return {**given, "progress": sys.stderr.isatty()}


def _print_size(path: Path) -> None:
    print(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB; open it in a browser")


def _report(args) -> None:
    from ..reports import report

    _print_size(report(args.source, args.out, **_options(args)))


def _review(args) -> None:
    from ..reports import review_sheet

    _print_size(review_sheet(args.source, args.out, **_options(args)))


def _add_page(parser, out: str, cam: int) -> None:
    """The options of both pages."""
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="folder that cv or train wrote, training folder of fit(out=), or a file of predictions (Predictions.save)",
    )
    parser.add_argument("--out", default=out, help=f"the page; default {out}")
    parser.add_argument("--title", help="default the network and the data")
    parser.add_argument("--audio", metavar="FOLDER", help="folder of the recordings, if they have moved")
    parser.add_argument(
        "--budget-mb",
        type=float,
        default=25,
        help="megabytes of embedded pictures and sounds; beyond it they are linked; default 25",
    )
    parser.add_argument("--kbits", type=float, default=32, help="bit rate of embedded sounds in kbit/s; default 32")
    parser.add_argument(
        "--cam",
        type=int,
        default=cam,
        metavar="CLIPS",
        help=f"number of clips, by descending loss, with a class map (Grad-CAM); default {cam}",
    )


def add(commands) -> None:
    """Add the commands of this module."""
    report = add_command(
        commands,
        "report",
        _report,
        "Write one HTML page of a run or a training: scores, figures, and every clip to see and to hear.",
        "specimg report runs/r34 --out report.html",
    )
    _add_page(report, "report.html", 100)
    review = add_command(
        commands,
        "review",
        _review,
        "Write one HTML page to review the clips whose label is most likely wrong; it saves corrections.csv.",
        "specimg review runs/r34 --out review.html",
    )
    _add_page(review, "review.html", 0)
