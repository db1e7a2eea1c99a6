"""`report` and `review_sheet`: a page as one HTML file.

The page's data stand in JSON blocks in which `<` is escaped, and reach the document as text, never as markup: a label `<script>` is a
label. A policy in the head allows the page's own style and script, by their digests, and media; nothing can be fetched from a network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np

from ..core.files import write_atomic
from ..interpret import SpecInterpretation
from ..interpret.label_quality import label_issues
from ..training import Predictions
from .charts import draw_charts
from .collect import CHUNK, collect, plain
from .facts import Subject, read_subject
from .media import Media, gather_media, worth_order

__all__ = ["report", "review_sheet"]

SCRIPTS = ("data", "player", "cards", "tables", "scatter", "review", "main")  # in this order one script
LEAST_ISSUES, MOST_ISSUES = 50, 1000  # clips that a review shows, however many are issues


# ---------------------------------------------------------------------- the file


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def as_json(part) -> str:
    """JSON in ASCII that no HTML reader takes for markup."""
    text = json.dumps(part, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _blocks(kind: str, parts: list[str | None]) -> list[str]:
    """Media as blocks of so many clips each; a block without any is left out."""
    chunks = [(at // CHUNK, parts[at : at + CHUNK]) for at in range(0, len(parts), CHUNK)]
    return [
        f'<script type="application/json" id="{kind}-{number}">{as_json(chunk)}</script>'
        for number, chunk in chunks
        if any(chunk)
    ]


def _digest_of(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def page_html(page: dict, media: Media, charts: dict[str, str]) -> str:
    """The whole file; `charts` are SVG by name."""
    style = _asset("page.css")
    script = '(() => {\n"use strict";\n' + "\n".join(_asset(f"{name}.js") for name in SCRIPTS) + "})();\n"
    policy = (
        f"default-src 'none'; img-src data: file: 'self'; media-src blob: file: 'self'; style-src {_digest_of(style)}; "
        f"script-src {_digest_of(script)}; base-uri 'none'; form-action 'none'"
    )
    blocks = [*_blocks("pictures", media.pictures), *_blocks("cams", media.cams), *_blocks("sounds", media.sounds)]
    parts = {
        "policy": policy,
        "title": html.escape(page["title"].encode("utf-8", "replace").decode()),
        "style": style,
        "script": script,
        "page": as_json(page),
        "charts": "\n".join(f'<template id="chart-{name}">{svg}</template>' for name, svg in charts.items()),
        "media": "\n".join(blocks),
    }
    before, *rest = _asset("page.html").split("{{")
    return before + "".join(parts[name] + after for name, after in (piece.split("}}", 1) for piece in rest))


# ---------------------------------------------------------------------- label review


def _shown(issues: int, judged: int) -> int:
    """How many clips a review shows: all issues, and some of the doubtful beyond them."""
    return min(judged, max(issues, LEAST_ISSUES), MOST_ISSUES)


def read_issues(source: SpecInterpretation | Predictions) -> tuple[dict, list[int]]:
    """(what the page's review shows, the rows of its clips); where nothing can be judged, why."""
    with warnings.catch_warnings(record=True) as said:  # the page says it
        warnings.simplefilter("always", UserWarning)
        try:
            found = label_issues(source)
        except ValueError as exc:
            return {"why": str(exc)}, []
    issues = int(found["issue"].sum())
    shown = found.head(_shown(issues, len(found)))
    names = ("label", "suggestion", "quality", "issue")
    rows = [
        {"clip": int(row), **{name: plain(cell, 4) for name, cell in zip(names, cells)}}
        for row, *cells in zip(shown.index, *(shown[name] for name in names))
    ]
    notes = [str(warning.message) for warning in said if issubclass(warning.category, UserWarning)]
    return {"issues": issues, "judged": len(found), "notes": notes, "rows": rows}, [row["clip"] for row in rows]


def _renumbered(review: dict, order: np.ndarray) -> dict:
    """Clips by their place on the page instead of their row in the predictions."""
    place = {int(row): at for at, row in enumerate(order)}
    return (
        {**review, "rows": [{**row, "clip": place[row["clip"]]} for row in review["rows"]]}
        if "rows" in review
        else review
    )


# ---------------------------------------------------------------------- the two pages


def _check(path, cam: int, budget_mb: float, kbits: float, audio) -> Path:
    rules = {
        "cam": (cam >= 0, "0 or more clips", cam),
        "budget_mb": (budget_mb >= 0, "0 or more megabytes", budget_mb),
        "kbits": (6 <= kbits <= 256, "6 to 256 kbit/s", kbits),
    }
    for name, (kept, rule, value) in rules.items():
        if not kept:
            raise ValueError(f"{name}={value!r}: give {rule}")
    if audio is not None and not os.path.isdir(audio):
        raise ValueError(f"audio={os.fspath(audio)!r} is no folder; name the one that the recordings lie in")
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; name the file to write, such as {str(path / 'report.html')!r}")
    return path


def _title_of(subject: Subject) -> str:
    """A name for the page, from what is known."""
    network = subject.facts.get("Network", {}).get("network")
    data = subject.facts.get("Data", {})
    place = (
        data.get("competition") or Path(data["recordings"]).name
        if "competition" in data or "recordings" in data
        else ""
    )
    return " on ".join(part for part in (network, place) if part) or "What a classifier heard"


def _write(
    subject: Subject, order: np.ndarray, path: Path, review: dict | None, title: str, whole: bool, **options
) -> Path:
    media = gather_media(subject, order, path, **options)
    page = collect(subject, media, order, title=title, review=review, whole=whole)
    groups = [part["name"] for part in page["breakdown"]]
    charts = draw_charts(subject.interp, subject.history, groups) if whole else {}
    write_atomic(path, page_html(page, media, charts).encode())
    return path


def report(
    source,
    path: str | os.PathLike = "report.html",
    *,
    title: str | None = None,
    cam: int = 100,
    audio: str | os.PathLike | None = None,
    budget_mb: float = 25,
    kbits: float = 32,
    progress: bool = True,
) -> Path:
    """Write one self-contained HTML page to look at what a classifier learnt, and to listen to where it is wrong.

    It holds what was trained on what, scores with intervals, learning curves, the confusion matrix and whose clips stand behind each
    cell, precision and recall of each class, a t-SNE map, groups, calibration, the labels that are likely wrong, and every clip with
    its spectrogram and a player of exactly the span that was drawn.

    Parameters
    ----------
    source : a SpecInterpretation, a Learner (its validation set is predicted), a Run, a blend, or Predictions; or the path of a run's
        folder, or of predictions that were saved
    path : the file to write; its folder is made
    title : default the network and the data
    cam : clips of the highest loss that get a class map (Grad-CAM), where a network is at hand; 0 for none
    audio : folder of the recordings, where they have moved since
    budget_mb : megabytes of embedded pictures and sounds; what goes beyond is linked, the clips least worth hearing first
    kbits : kbit/s of embedded sounds (Ogg Opus)
    progress : show bars

    Returns the path. Raises ValueError for a source of another kind and for options out of range; clips without sound or picture, NaN
    losses, an empty validation set or a learner that was trained elsewhere are said on the page.

    >>> report(interp, "report.html")            # doctest: +SKIP
    """
    path = _check(path, cam, budget_mb, kbits, audio)
    subject = read_subject(source)
    order = worth_order(subject.predictions.table)
    review = (
        _renumbered(read_issues(subject.interp)[0], order)
        if len(order) and subject.predictions.labelled.any()
        else None
    )
    return _write(
        subject,
        order,
        path,
        review,
        title or _title_of(subject),
        True,
        cam=cam,
        audio=audio,
        budget_mb=budget_mb,
        kbits=kbits,
        progress=progress,
    )


def review_sheet(
    source,
    path: str | os.PathLike = "review.html",
    *,
    title: str | None = None,
    cam: int = 0,
    audio: str | os.PathLike | None = None,
    budget_mb: float = 25,
    kbits: float = 32,
    progress: bool = True,
) -> Path:
    """Write a page of the clips whose label is most likely wrong, with player, suggestion and a choice, that saves corrections.csv.

    `label_issues` finds them; the predictions must be of clips that the network never learnt from, as those of a run are. The
    parameters are those of `report`.
    """
    path = _check(path, cam, budget_mb, kbits, audio)
    subject = read_subject(source)
    review, rows = read_issues(subject.interp) if len(subject.predictions) else ({"why": "there are no clips."}, [])
    order = np.array(rows, int)
    title = title or f"Label review: {_title_of(subject)}"
    return _write(
        subject,
        order,
        path,
        _renumbered(review, order),
        title,
        False,
        cam=cam,
        audio=audio,
        budget_mb=budget_mb,
        kbits=kbits,
        progress=progress,
    )
