"""`report` and `review_sheet`: a page as one HTML file.

The page's data are JSON blocks in which `<` is escaped, and reach the document as text, never as markup: a label `<script>` is a label. A
content security policy allows the page's own style and script, by their digests, and media; nothing can be fetched from a network.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import os
import re
import warnings
from importlib.resources import files
from pathlib import Path

import numpy as np
from fastai.vision.all import Learner

from ..core.files import write_atomic
from ..core.reading import parse_json, read_bytes
from ..experiments import Blend, Run
from ..interpret import SpecInterpretation
from ..interpret.label_quality import label_issues
from ..training import Predictions
from .charts import draw_charts
from .collect import CHUNK, collect, plain
from .media import Media, MediaOptions, gather_media, review_order
from .page_source import read_subject
from .subject import Subject

SCRIPTS = ("data", "player", "cards", "tables", "scatter", "review", "main")  # concatenated in this order
MOST_PAGE = 2**30  # bytes of a file that is looked into before it is replaced
_PAGE = re.compile(rb'<script type="application/json" id="page">(.*?)</script>', re.DOTALL)
LEAST_ISSUES, MOST_ISSUES = 50, 1000  # clips on a page of review, however many are issues


# ---------------------------------------------------------------------- the file


def _asset(name: str) -> str:
    return (files(__package__) / "assets" / name).read_text(encoding="utf-8")


def as_json(part) -> str:
    """JSON in ASCII without HTML markup."""
    text = json.dumps(part, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _blocks(kind: str, parts: list[str | None]) -> list[str]:
    """Media in blocks of CHUNK clips; empty ones are left out."""
    chunks = [(at // CHUNK, parts[at : at + CHUNK]) for at in range(0, len(parts), CHUNK)]
    return [
        f'<script type="application/json" id="{kind}-{number}">{as_json(chunk)}</script>'
        for number, chunk in chunks
        if any(chunk)
    ]


def _digest_of(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def page_html(page: dict, media: Media, charts: dict[str, str]) -> str:
    """The HTML of a page; `charts` are SVG by name."""
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


def _shown(issues: int, labelled: int) -> int:
    """How many clips a review shows: all issues, and some more doubtful ones."""
    return min(labelled, max(issues, LEAST_ISSUES), MOST_ISSUES)


def read_issues(source: SpecInterpretation | Predictions) -> tuple[dict, list[int]]:
    """(the page's review, the rows of its clips); without labels to review, why."""
    with warnings.catch_warnings(record=True) as caught:  # the page shows them
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
    notes = [str(warning.message) for warning in caught if issubclass(warning.category, UserWarning)]
    return {"issues": issues, "labelled": len(found), "notes": notes, "rows": rows}, [row["clip"] for row in rows]


def _renumbered(review: dict, order: np.ndarray) -> dict:
    """Clips by their position on the page instead of their row in the predictions."""
    if "rows" not in review:
        return review
    position = {int(row): at for at, row in enumerate(order)}
    return {**review, "rows": [{**row, "clip": position[row["clip"]]} for row in review["rows"]]}


# ---------------------------------------------------------------------- the two pages


def _file(path: str | os.PathLike) -> Path:
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; name the file to write, such as {str(path / 'report.html')!r}")
    return path


def _title_of(subject: Subject) -> str:
    """A name for the page, from what is known."""
    network = subject.facts.get("Network", {}).get("network")
    data = subject.facts.get("Data", {})
    data_name = data.get("competition") or Path(data.get("recordings", "")).name
    return " on ".join(part for part in (network, data_name) if part) or "Classifier report"


def _folder_of(subject: Subject) -> str | None:
    """The folder of the training, where known."""
    return subject.facts.get("Training", {}).get("folder")


def _is_of(page: dict) -> list:
    """What a page is of: its kind, its title and the folder of the training. Another page of the same may replace it."""
    facts = dict(page["facts"])
    return [page["kind"], page["title"], dict(facts.get("Training", {})).get("folder")]


def _read_page(path: Path) -> list | None:
    """What the page in a file is of; None if it is no page of ours."""
    found = _PAGE.search(read_bytes(path, MOST_PAGE)) if path.stat().st_size <= MOST_PAGE else None
    try:
        return None if found is None else _is_of(parse_json(found[1]))
    except (ValueError, KeyError, TypeError):
        return None


def _refuse_another(path: Path, of: list) -> None:
    """ValueError if the file is another page, or something else than one."""
    if not path.exists():
        return
    there = _read_page(path)
    if there == of:
        return
    what = "something else than a page of report or review_sheet"
    if there is not None:
        kind, title, folder = there
        what = f"the {kind} page {title!r}" + (f" of {folder!r}" if folder else "")
    raise ValueError(f"{str(path)!r} is {what}; name another file, or give overwrite=True")


def _write(
    subject: Subject, order: np.ndarray, path: Path, review: dict | None, title: str, whole: bool, options: MediaOptions
) -> Path:
    media = gather_media(subject, order, path, options)
    page = collect(subject, media, order, title=title, review=review, whole=whole)
    groups = [part["name"] for part in page["breakdown"]]
    charts = draw_charts(subject.interp, subject.history, groups) if whole else {}
    write_atomic(path, page_html(page, media, charts).encode())
    return path


def report(
    source: SpecInterpretation | Learner | Run | Blend | Predictions | str | os.PathLike,
    path: str | os.PathLike = "report.html",
    *,
    title: str | None = None,
    cam: int = 100,
    audio: str | os.PathLike | None = None,
    budget_mb: float = 25,
    kbits: float = 32,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write one self-contained HTML page to see what a classifier learnt, and to listen to its mistakes.

    It shows facts about data, network and training, scores with intervals, learning curves, the confusion matrix with the clips of each
    cell, scores of classes and groups, a t-SNE map, calibration, likely label errors, and every clip with its spectrogram and a player.
    It works from a file, without a network connection. Missing recordings or pictures, NaN and an empty validation set are reported on the
    page.

    Parameters
    ----------
    source : SpecInterpretation, Learner, Run, Blend, Predictions or path
        A learner's validation set is predicted. A path is the folder of a run (`cross_validate(out=)`), a training folder (`fit(out=)`),
        the folder of `specimg train`, or a file of saved predictions.
    path : path, default "report.html"
        The file; its folder is created. An earlier page of the same training is replaced.
    title : str, optional
        Default the network and the data.
    cam : int, default 100
        Number of clips, by descending loss, with a class map (Grad-CAM), if the network is available.
    audio : path, optional
        Folder of the recordings, where they have moved.
    budget_mb : float, default 25
        Megabytes of embedded pictures and sounds; beyond it they are linked, the clips of the lowest loss first.
    kbits : float, default 32
        Bit rate of embedded sounds (Ogg Opus) in kbit/s, 6 to 256.
    progress : bool, default True
        Show bars.
    overwrite : bool, default False
        Replace whatever the file is.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ValueError
        For another kind of source, a folder that is none of these, options out of range, and a file that is there and is another page.

    Examples
    --------
    >>> page = sp.report(interp, "report.html", progress=False)
    >>> page.name
    'report.html'
    >>> page = sp.report(run, "run.html", cam=0, progress=False)
    """
    options, path = MediaOptions(cam, audio, budget_mb, kbits, progress), _file(path)
    subject = read_subject(source)
    title = title or _title_of(subject)
    if not overwrite:
        _refuse_another(path, ["report", title, _folder_of(subject)])
    order = review_order(subject.predictions.table)
    review = None
    if len(order) and subject.predictions.labelled.any():
        review = _renumbered(read_issues(subject.interp)[0], order)
    return _write(subject, order, path, review, title, True, options)


def review_sheet(
    source: SpecInterpretation | Learner | Run | Blend | Predictions | str | os.PathLike,
    path: str | os.PathLike = "review.html",
    *,
    title: str | None = None,
    cam: int = 0,
    audio: str | os.PathLike | None = None,
    budget_mb: float = 25,
    kbits: float = 32,
    progress: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write a page to review the clips whose label is most likely wrong, which saves `corrections.csv`.

    Each clip has a player, the suggested label and a choice; `corrections="corrections.csv"` applies what is saved at the next training.
    `label_issues` finds the clips; predictions must be out of fold, as those of a run are.

    Parameters
    ----------
    source, title, audio, budget_mb, kbits, progress, overwrite
        As in `report`.
    path : path, default "review.html"
        The file; its folder is created.
    cam : int, default 0
        Number of clips with a class map.

    Returns
    -------
    Path
        Path of the file.

    Raises
    ------
    ValueError
        As in `report`.

    Examples
    --------
    >>> sp.review_sheet(run, "review.html", progress=False).name
    'review.html'
    """
    options, path = MediaOptions(cam, audio, budget_mb, kbits, progress), _file(path)
    subject = read_subject(source)
    title = title or f"Label review: {_title_of(subject)}"
    if not overwrite:
        _refuse_another(path, ["review", title, _folder_of(subject)])
    review, rows = read_issues(subject.interp) if len(subject.predictions) else ({"why": "there are no clips."}, [])
    order = np.array(rows, int)
    return _write(subject, order, path, _renumbered(review, order), title, False, options)
