"""Pictures, sounds and class maps of all clips: compressed, embedded within a budget, linked beyond it.

    media = gather_media(subject, order, "pages/report.html", cam=100, audio=None, budget_mb=25, kbits=32, progress=True)
    media.pictures, media.sounds, media.cams      # base64 for each clip in the order of the page, or None
    media.columns                                 # their columns in the page's table of clips
    print(media.summary)                          # "1,180 of 2,000 sounds embedded, as the pictures show them (Ogg Opus ..."

Pictures come first and take at most half of the budget; sounds take the rest. Clips are taken in the order given, that of `review_order`.
A missing picture is drawn again where its recording exists.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
from fastai.vision.all import Learner

from ..audio import Audio, recording_seconds
from ..audio.opus import LEAST, MOST, Sound, clip_sound, describe_bitrate
from ..core.addresses import Address
from ..core.progress import progress_bar
from ..core.text import count, examples
from ..core.warnings import warn
from ..inference import Classifier, load_classifier
from ..interpret.cam import Cam, clip_cams
from ..interpret.frames import FrameCurves, frame_curves, has_frames
from ..interpret.recordings import find_recordings, is_below
from ..labels.tables import clip_spans
from ..render.renderer import Renderer
from ..spectrogram.picture import MEND
from .pictures import SmallPicture, small_picture
from .sound import embed_first, link_to, sound_bytes
from .subject import Subject

GRID = 12, 24  # rows and columns of a class map
MOST_CURVES = 6  # labels whose frames are drawn below a spectrogram
MB = 1_000_000
AT_ONCE = 64  # clips handed to threads at once


@dataclass(frozen=True)
class MediaOptions:
    """How the media of a page are made; the parameters of `report`.

    Parameters
    ----------
    cam : int
        Number of clips with a class map, 0 or more.
    audio : path or None
        Folder of the recordings, where they have moved.
    budget_mb : float
        Megabytes of embedded media, 0 or more.
    kbits : float
        Bit rate of embedded sounds in kbit/s, 6 to 256.
    progress : bool
        Show bars.
    """

    cam: int
    audio: str | os.PathLike | None
    budget_mb: float
    kbits: float
    progress: bool

    def __post_init__(self) -> None:
        for name, is_kept, rule in [
            ("cam", self.cam >= 0, "0 or more clips"),
            ("budget_mb", self.budget_mb >= 0, "0 or more megabytes"),
            ("kbits", LEAST <= self.kbits <= MOST, f"{LEAST} to {MOST} kbit/s"),
        ]:
            if not is_kept:
                raise ValueError(f"{name}={getattr(self, name)!r}: give {rule}")
        if self.audio is not None and not os.path.isdir(self.audio):
            raise ValueError(f"audio={os.fspath(self.audio)!r} is not a folder; give the folder of the recordings")


@dataclass
class Media:
    """The media of a page, with one entry per clip.

    Parameters
    ----------
    pictures, sounds, cams : list of (str or None)
        base64 of WebP pictures, Ogg Opus sounds and uint8 class maps; None if not embedded.
    columns : dict of str to list
        Columns of the page's table of clips: left and edge (seconds), axes, picture, sound, begin, seconds, why, cam, frames.
    axes : list of dict
        The distinct axes, which `columns["axes"]` numbers.
    reasons : list of str
        Why clips have no sound, numbered by `columns["why"]`.
    summary : str
        What is embedded, linked and missing.
    """

    pictures: list[str | None] = field(default_factory=list)
    sounds: list[str | None] = field(default_factory=list)
    cams: list[str | None] = field(default_factory=list)
    columns: dict[str, list] = field(default_factory=dict)
    axes: list[dict] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    summary: str = ""


# ---------------------------------------------------------------------- pictures


def _each(work: Callable, items: Sequence, bar) -> Iterator:
    """`work` of each item in order, by threads: encoders release Python's lock."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for at in range(0, len(items), AT_ONCE):  # in batches, so that Ctrl-C ends it soon
            for made in pool.map(work, items[at : at + AT_ONCE]):
                bar.update()
                yield made


def _text(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode("ascii")


def _draw_again(renderer: Renderer | None, recording: Path | None, key: tuple) -> bytes | None:
    """The picture of a clip whose file is missing, from its recording."""
    if renderer is None or recording is None:
        return None
    try:
        return renderer.png(recording, start=key[1], end=key[2])
    except ValueError:
        return None


def _picture(subject: Subject, file: str, recording: Path | None, key: tuple) -> tuple[SmallPicture | None, bool, str]:
    """(the picture, was it drawn again, why its file cannot be read)."""
    try:
        return small_picture(file, subject.seconds), False, ""
    except (OSError, ValueError) as exc:  # missing, damaged, or none, as of a network of waveforms
        problem = str(exc) if isinstance(file, str) and os.path.isfile(file) else ""
        png = _draw_again(subject.renderer, recording, key)
        return (None, False, problem) if png is None else (small_picture(png, subject.seconds), True, problem)


def _put_axes(media: Media, pictures: list[SmallPicture | None]) -> None:
    """The span of each picture, and the number of its axes among the distinct ones."""
    numbers: dict[tuple, int] = {}
    for small in pictures:
        known = small is not None and small.span is not None
        left, right = small.span if known else (None, None)
        key = (small.ticks, small.unit) if known else None
        media.columns["left"].append(left)
        media.columns["edge"].append(right)
        media.columns["axes"].append(numbers.setdefault(key, len(numbers)) if known else None)
    media.axes = [{"ticks": [list(tick) for tick in ticks], "unit": unit} for ticks, unit in numbers]


def _put_pictures(media: Media, pictures: list, files: list[str], folder: Path, budget: float) -> float:
    """Embed pictures within half of the budget and link the others; returns the bytes used."""
    texts = [None if small is None else _text(small.data) for small in pictures]
    embedded = embed_first([len(text or "") for text in texts], budget / 2)
    media.pictures = [text if taken else None for text, taken in zip(texts, embedded)]
    for text, taken, file in zip(texts, embedded, files):
        there = 1 if text and taken else link_to(file, folder) if text and os.path.isfile(file) else None
        media.columns["picture"].append(there)
    return sum(len(text) for text in media.pictures if text)


# ---------------------------------------------------------------------- sounds


def _span(small: SmallPicture | None, key: tuple, recording: Path) -> tuple[float, float]:
    """(begin, end) of a clip in its recording in seconds, from its picture, its row or its header.

    ValueError if the recording is unreadable.
    """
    _, start, end = key
    if small is not None and small.span is not None:
        return max(small.span[0], start or 0.0), small.span[1] if end is None else min(small.span[1], end)
    return start or 0.0, recording_seconds(recording) if end is None else end


def _spans(pictures: list, keys: list[tuple], recordings: list, why: list[str]) -> list[tuple[float, float] | None]:
    """The span of each clip; None for an unreadable recording, with the reason in `why`."""
    spans = []
    for i, (small, key, recording) in enumerate(zip(pictures, keys, recordings)):
        try:
            spans.append(None if recording is None else _span(small, key, recording))
        except ValueError as exc:
            spans.append(None)
            why[i] = f"The recording cannot be read: {getattr(exc, 'reason', exc)}."
    return spans


def _make_sound(subject: Subject, recording: Path, key: tuple, small: SmallPicture | None, kbits: float) -> Sound | str:
    """The sound of a clip, or why there is none."""
    audio = subject.renderer.audio if subject.renderer is not None else Audio()
    cut = small.span[1] if subject.seconds is not None and small is not None and small.span is not None else None
    try:
        return clip_sound(recording, audio, key[1], key[2], cut, kbits)
    except (ValueError, OSError) as exc:
        return f"The recording cannot be read: {getattr(exc, 'reason', exc)}."


def _embed_sounds(
    subject: Subject, keys: list, recordings: list, pictures: list, spans: list, budget: float, options: MediaOptions
) -> list[Sound | str | None]:
    """For each clip its sound, or why there is none; None if it is to be linked."""
    wanted = [i for i, span in enumerate(spans) if span is not None]
    room = embed_first([sound_bytes(spans[i][1] - spans[i][0], options.kbits) for i in wanted], budget)
    chosen = [i for i, fits in zip(wanted, room) if fits]
    made: list[Sound | str | None] = [None] * len(spans)

    def make(i: int) -> Sound | str:
        return _make_sound(subject, recordings[i], keys[i], pictures[i], options.kbits)

    with progress_bar(len(chosen), "sounds", options.progress) as bar:
        for i, sound in zip(chosen, _each(make, chosen, bar)):
            made[i] = sound
    sizes = [len(sound.data) * 4 / 3 if isinstance(sound, Sound) else 0 for sound in made]
    fit = embed_first(sizes, budget)  # some are larger than estimated
    return [sound if fits else None for sound, fits in zip(made, fit)]


def _put_sounds(media: Media, made: list, spans: list, recordings: list, why: list[str], folder: Path) -> None:
    """Enter each sound as embedded, linked or missing."""
    numbers: dict[str, int] = {}
    for sound, span, recording, reason in zip(made, spans, recordings, why):
        reason = sound if isinstance(sound, str) else reason
        if sound is None and isinstance(recording, Address):
            reason = (
                reason or "The recording lies in a store, to which a page cannot link; a larger sound budget embeds it."
            )
        if isinstance(sound, Sound):
            row = 1, sound.begin, sound.seconds, None
        elif span is not None and not reason:
            row = link_to(recording, folder, *span), span[0], span[1] - span[0], None
        else:
            row = None, None, None, numbers.setdefault(reason, len(numbers))
        media.sounds.append(_text(sound.data) if isinstance(sound, Sound) else None)
        for name, cell in zip(("sound", "begin", "seconds", "why"), row):
            media.columns[name].append(cell)
    media.reasons = list(numbers)


# ---------------------------------------------------------------------- class maps


def _networks(subject: Subject, order: np.ndarray) -> list[tuple[Learner | Classifier, np.ndarray]]:
    """(a learner or classifier, the positions in `order` of the clips that it predicted)."""
    if subject.network is not None:
        return [(subject.network, np.arange(len(order)))]
    known = {} if subject.interp is None else subject.interp.networks
    there = {fold: folder for fold, folder in known.items() if folder.is_dir()}
    if len(there) < 2:
        return [(load_classifier(folder), np.arange(len(order))) for folder in there.values()]
    fold = subject.predictions.table["fold"].to_numpy()[order].astype(int)
    return [(load_classifier(folder), np.flatnonzero(fold == number)) for number, folder in there.items()]


def _grid(cam: Cam, seconds: float | None) -> np.ndarray:
    """uint8 (rows, columns) over the picture as the page shows it: cut to `seconds`, repeated for each of its planes."""
    left, right = cam.info.span
    if seconds is not None and right - left > seconds:
        columns = max(1, round(seconds / (right - left) * cam.info.width))
        cam = replace(cam, values=np.ascontiguousarray(cam.values[:, :columns]))
    planes = cam.info.channels if cam.info.channels in (2, 4) else 1
    return np.tile(cam.grid(*GRID), (planes, 1))


def _put_cams(media: Media, subject: Subject, order: np.ndarray, files: list[str], options: MediaOptions) -> str:
    """Class maps of the first clips; returns a sentence about them."""
    media.cams, media.columns["cam"] = [None] * len(order), [None] * len(order)
    if options.cam == 0 or not len(order):
        return "There are no class maps."
    why = "there is no network"
    try:
        for network, rows in _networks(subject, order):
            why = "the pictures are missing, or the network returns NaN"
            rows = [i for i in rows if i < options.cam and files[i] and os.path.isfile(files[i])]
            for i, cam in zip(rows, clip_cams(network, [files[i] for i in rows], progress=options.progress)):
                if cam is not None:
                    grid = _grid(cam, subject.seconds)
                    media.cams[i], media.columns["cam"][i] = _text(grid.tobytes()), list(grid.shape)
    except (ValueError, OSError) as exc:  # a network without maps, or one that is not ours
        return f"There are no class maps: {exc}"
    n = sum(cam is not None for cam in media.cams)
    if not n:
        return f"There are no class maps: {why}."
    rest = len(order) - n
    return f"Class maps (Grad-CAM of the predicted class) of {count(n, 'clip')}{f', not of the other {rest:,}' * bool(rest)}."


# ---------------------------------------------------------------------- frames


def _shown_curves(curves: FrameCurves) -> dict:
    """Edges in seconds, and [number of a label, percent of each frame] of the labels that are highest anywhere."""
    highest = np.argsort(-curves.probs.max(axis=0), kind="stable")[:MOST_CURVES]
    percent = np.round(100 * curves.probs.T).astype(int)
    return {
        "edges": np.round(curves.edges, 4).tolist(),
        "labels": [[int(number), percent[number].tolist()] for number in highest],
    }


def _put_frames(media: Media, subject: Subject, order: np.ndarray, files: list, options: MediaOptions) -> str:
    """Curves of the frames of the first clips; returns a sentence about them."""
    media.columns["frames"] = [None] * len(order)
    try:
        for network, rows in _networks(subject, order) if options.cam and len(order) else []:
            if not has_frames(network):
                continue
            rows = [i for i in rows if i < options.cam and files[i] and os.path.isfile(files[i])]
            for i, curves in zip(rows, frame_curves(network, [files[i] for i in rows])):
                if curves is not None and np.isfinite(curves.probs).all():
                    media.columns["frames"][i] = _shown_curves(curves)
    except (ValueError, OSError) as exc:
        return f" There are no curves of frames: {exc}"
    n = sum(frames is not None for frames in media.columns["frames"])
    return f" Curves of the {MOST_CURVES} labels that are highest in any frame, of {count(n, 'clip')}." if n else ""


# ---------------------------------------------------------------------- all of it


def _summary(media: Media, again: int, kbits: float) -> str:
    """What is embedded, linked and missing."""
    n, sounds = len(media.sounds), media.columns["sound"]
    embedded = [i for i, text in enumerate(media.sounds) if text]
    linked, missing = sum(isinstance(s, str) for s in sounds), sum(s is None for s in sounds)
    size = sum(len(media.sounds[i]) for i in embedded) / MB
    quality = f"Ogg Opus, {describe_bitrate(kbits)}, {size:.1f} MB"
    shown = f"{len(embedded):,} of {count(n, 'sound')} embedded, as the pictures show them ({quality})"
    parts = [shown] if embedded else []
    parts += [f"{linked:,} linked to the recordings, which have to stay where they are"] if linked else []
    parts += [f"{missing:,} without sound"] if missing else []
    pictures = media.columns["picture"]
    parts += [f"{sum(p == 1 for p in pictures):,} pictures embedded"]
    parts += [f"{k:,} linked" for k in [sum(isinstance(p, str) for p in pictures)] if k]
    parts += [f"{k:,} missing" for k in [sum(p is None for p in pictures)] if k]
    parts += [f"{again:,} drawn again, because their files are missing"] if again else []
    return "; ".join(parts) + "."


def gather_media(subject: Subject, order: np.ndarray, page: str | os.PathLike, options: MediaOptions) -> Media:
    """The media of a page.

    Parameters
    ----------
    subject : Subject
        What the page is about.
    order : ndarray
        (n,) int, the clips as rows of the predictions.
    page : path
        The page's file, for relative links.
    options : MediaOptions
        How media are made.

    Returns
    -------
    Media
    """
    media, folder = Media(), Path(page).absolute().parent
    for name in ("left", "edge", "axes", "picture", "sound", "begin", "seconds", "why"):
        media.columns[name] = []
    table = subject.predictions.table.iloc[order].reset_index(drop=True)
    keys, files = clip_spans(table), table["picture"].tolist()
    if subject.is_read:
        files = [file if file and is_below(file, subject.pictures) else "" for file in files]
    root = Path(options.audio) if options.audio is not None else subject.folder
    recordings, why = find_recordings(table, root, anywhere=not subject.is_read)
    with progress_bar(len(keys), "pictures", options.progress) as bar:
        found = list(_each(lambda row: _picture(subject, *row), list(zip(files, recordings, keys)), bar))
    pictures = [small for small, *_ in found]
    again = sum(anew and bool(file) for (_, anew, _), file in zip(found, files))
    problems = [problem for *_, problem in found if problem]
    if problems:
        warn(f"{count(len(problems), 'picture')} cannot be read ({examples(problems, mark='; ')}). {MEND}")
    _put_axes(media, pictures)
    budget = options.budget_mb * MB
    budget -= _put_pictures(media, pictures, files, folder, budget)
    spans = _spans(pictures, keys, recordings, why)
    made = _embed_sounds(subject, keys, recordings, pictures, spans, budget, options)
    _put_sounds(media, made, spans, recordings, why, folder)
    drawn = [file or recording for file, recording in zip(files, recordings)]  # in memory where no picture is stored
    maps = _put_cams(media, subject, order, drawn, options) + _put_frames(media, subject, order, drawn, options)
    media.summary = f"{_summary(media, again, options.kbits)} {maps}" if len(table) else ""
    return media


def review_order(table: pd.DataFrame) -> np.ndarray:
    """(n,) int: rows by descending loss, NaN first; then clips of unknown label by ascending confidence."""
    loss = table["loss"].to_numpy(float)
    known = table["right"].notna().to_numpy()
    confidence = np.nan_to_num(table["confidence"].to_numpy(float), nan=-1.0, neginf=-1.0)
    loss = np.where(known, np.nan_to_num(loss, nan=np.inf, posinf=np.inf), 0)
    return np.lexsort((confidence, -loss, ~known))
