"""Golden clips: a few recordings that a classifier keeps, with their pictures and predictions.

    check_classifier("dog-or-not/")          # DataFrame: clip, label, pixels, of, levels, drift, verdict, reason

A new version of librosa, soxr, timm or torch may draw other pixels or predict something else, and nobody would notice. The golden
clips are drawn and predicted again, and the table holds for each how far it has moved since it was saved.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import soundfile

from ..audio import AudioError
from ..audio.decode import decode
from ..core.files import write_atomic
from ..core.hub import local_folder
from ..core.reading import parse_json, read_bytes
from ..core.values import Value, register
from ..data.images import SpecImage
from .classifier import Classifier
from .folder import GOLDEN, SETTINGS, facts_of, to_json, versions_now
from .load import MOST_OTHER, load_folder, read_checked, read_classifier_json
from .settings import check_settings

SECONDS = 5.0  # of a golden clip at most
TOLERANCE = 1e-3  # of a probability: what another processor or number of threads may change by rounding is far below
STEPS = 32768  # of a waveform's full scale: its "levels"
FILE = "golden.json"
SAME, PIXELS, PREDICTIONS, FAILED = "same", "pixels drift", "predictions drift", "no prediction"


@dataclass(frozen=True)
class Recording:
    """One that may become a golden clip."""

    path: str
    label: str  # as people call it; of several labels joined by semicolons
    start: float | None = None  # s
    end: float | None = None  # s
    # a golden clip already, which is taken as it is: to decode and encode it would change its last bit
    is_cut: bool = False


# ---------------------------------------------------------------------- what is kept


def _spread(found: Sequence[Recording], n: int) -> list[list[Recording]]:
    """For each of `n` golden clips the recordings to try, in turn: labels evenly spread, each with its own clips."""
    by_label: dict[str, list[Recording]] = {}
    for recording in found:
        by_label.setdefault(recording.label, []).append(recording)
    labels = sorted(by_label)
    if len(labels) >= n:
        return [by_label[labels[i * len(labels) // n]] for i in range(n)]
    return [by_label[labels[i % len(labels)]][i // len(labels) :] for i in range(n)] if labels else []


def _cut(recording: Recording) -> bytes:
    """The first seconds of a recording as a wav of 16 bits, all its channels. AudioError if it cannot be read."""
    if recording.is_cut:
        return read_bytes(recording.path, MOST_OTHER)
    start = recording.start or 0.0
    stop = start + SECONDS if recording.end is None else min(recording.end, start + SECONDS)
    y, sr = decode(recording.path, recording.start, stop)[:2]
    out = BytesIO()
    soundfile.write(out, np.clip(np.nan_to_num(y), -1, 1), sr, format="WAV", subtype="PCM_16")
    return out.getvalue()


def _planes(prepared: bytes | np.ndarray) -> np.ndarray:
    """What the network's input is made from: uint8 pixels `(channels, height, width)`, or float32 samples."""
    return np.ascontiguousarray(SpecImage.create(prepared).planes if isinstance(prepared, bytes) else prepared)


def _digest(planes: np.ndarray) -> str:
    """SHA-256 of pixels or samples, and of their shape."""
    return hashlib.sha256(repr((planes.dtype.str, planes.shape)).encode() + planes.tobytes()).hexdigest()


def _kept(prepared: bytes | np.ndarray, sr: int | None) -> bytes:
    """The file in which a picture, or samples, are kept."""
    if isinstance(prepared, bytes):
        return prepared
    out = BytesIO()
    soundfile.write(out, prepared, sr, format="WAV", subtype="FLOAT")
    return out.getvalue()


def _drawn(clf: Classifier, file: Path) -> tuple[bytes | np.ndarray, np.ndarray]:
    """(the picture or the samples, the probabilities) of a golden clip."""
    prepared = clf.input.prepare(file)
    return prepared, clf.probabilities(clf.input.to_tensor(prepared)[None])[0]


def _stem(i: int, label: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9_]+", "-", label).strip("-")[:32].strip("-")
    return f"{i}-{slug or 'clip'}"


def _write_one(clf: Classifier, folder: Path, stem: str, recording: Recording) -> tuple[dict, dict[str, bytes]] | None:
    """(the entry in golden.json, the files by name) of one golden clip, written; None if it cannot be read, drawn or predicted."""
    wav = f"{stem}.wav"
    try:
        sound = _cut(recording)
        write_atomic(folder / wav, sound)
        prepared, probs = _drawn(clf, folder / wav)
    except (AudioError, ValueError, FileNotFoundError):
        (folder / wav).unlink(missing_ok=True)
        return None
    if not np.isfinite(probs).all():
        (folder / wav).unlink()
        return None
    planes, kept = _planes(prepared), _kept(prepared, clf.audio.sr)
    picture = f"{stem}.png" if isinstance(prepared, bytes) else f"{stem}.heard.wav"
    write_atomic(folder / picture, kept)
    entry = {
        "clip": wav,
        "label": recording.label,
        "picture": picture,
        "digest": _digest(planes),
        "probabilities": [float(p) for p in probs],
    }
    return entry, {wav: sound, picture: kept}


def write_golden(clf: Classifier, folder: Path, found: Sequence[Recording], n: int) -> dict[str, dict]:
    """Write up to `n` golden clips below `folder`; returns bytes and digest of each file, by its name from the folder on.

    Of each of `n` labels, evenly spread over the vocabulary, the first recording that can be read. Empty where none can.
    """
    files, entries = {}, []
    for i, tries in enumerate(_spread(found, n)):
        for recording in tries[:10]:
            written = _write_one(clf, folder / GOLDEN, _stem(i, recording.label), recording)
            if written:
                entries.append(written[0])
                files |= {f"{GOLDEN}/{name}": facts_of(data) for name, data in written[1].items()}
                break
    if entries:
        text = to_json({"versions": versions_now(), "clips": entries})
        write_atomic(folder / GOLDEN / FILE, text)
        files[f"{GOLDEN}/{FILE}"] = facts_of(text)
    return files


# ---------------------------------------------------------------------- comparing with what was saved


def drift_verdict(pixels: int, drift: float, tolerance: float = TOLERANCE) -> str:
    """The verdict on a golden clip.

    Parameters
    ----------
    pixels : int
        How many differ.
    drift : float
        The largest difference of a probability.
    tolerance : float, default 0.001
        Up to which probabilities count as the same.

    Returns
    -------
    str
        "same", "pixels drift" or "predictions drift".

    Examples
    --------
    >>> from specimg.inference import drift_verdict
    >>> drift_verdict(12, 1e-5)
    'pixels drift'
    """
    if not drift <= tolerance:  # nan too
        return PREDICTIONS
    return PIXELS if pixels else SAME


def _pixels_then(data: bytes, name: str) -> np.ndarray:
    """The pixels, or samples, of a file in golden/. ValueError if it is not such a file."""
    if name.endswith(".wav"):
        try:
            return soundfile.read(BytesIO(data), dtype="float32")[0]
        except soundfile.SoundFileError as exc:
            raise ValueError(f"it is not a wav: {exc}") from exc
    return _planes(data)


def _difference(then: np.ndarray, now: np.ndarray) -> tuple[int, float]:
    """(how many pixels, or samples, differ; the largest difference in levels); all of them where the shapes do."""
    if then.shape != now.shape:
        return max(then.size, now.size), float("inf")
    scale = STEPS if then.dtype == np.float32 else 1
    apart = np.abs(then.astype(np.float64) - now.astype(np.float64)) * scale
    return int(np.count_nonzero(apart)), float(apart.max(initial=0))


def _check_one(clf: Classifier, folder: Path, files: dict, entry: GoldenClip) -> dict:
    """One row of the report."""
    row = {"clip": entry.clip, "label": entry.label, "pixels": 0, "of": 0, "levels": np.nan, "drift": np.nan}
    name = f"{GOLDEN}/{entry.picture}"
    then = _pixels_then(read_checked(folder, name, files[name], MOST_OTHER), name)
    if _digest(then) != entry.digest:
        raise ValueError(f"{name} is not the picture of {GOLDEN}/{FILE} (its digest is another)")
    try:
        prepared, probs = _drawn(clf, folder / GOLDEN / entry.clip)
    except ValueError as exc:
        return row | {"verdict": FAILED, "reason": getattr(exc, "reason", str(exc))}
    pixels, levels = _difference(then, _planes(prepared))
    drift = float(np.abs(probs - np.array(entry.probabilities)).max())
    row |= {"pixels": pixels, "of": int(then.size), "levels": levels, "drift": drift}
    return row | {"verdict": drift_verdict(pixels, drift), "reason": ""}


@register
@dataclass(frozen=True)
class GoldenClip(Value):
    """One entry of golden.json."""

    clip: str  # names of files in golden/
    label: str
    picture: str
    digest: str
    probabilities: tuple[float, ...]


def _read_list(folder: Path, files: dict) -> Any:
    """The content of golden.json."""
    name = f"{GOLDEN}/{FILE}"
    return parse_json(read_checked(folder, name, files[name], MOST_OTHER), name, strict=True)


def _read_entries(held: Any, n_classes: int, files: dict) -> list[GoldenClip]:
    """The entries of golden.json. ValueError if one is not as `write_golden` writes it."""
    if (
        not isinstance(held, dict)
        or not isinstance(held.get("versions"), dict)
        or not isinstance(held.get("clips"), list)
    ):
        raise ValueError("it does not list clips and versions")
    entries = [GoldenClip.from_dict(entry) for entry in held["clips"]]
    for entry in entries:
        known = f"{GOLDEN}/{entry.clip}" in files and f"{GOLDEN}/{entry.picture}" in files
        if not known or len(entry.probabilities) != n_classes or not all(0 <= p <= 1.001 for p in entry.probabilities):
            raise ValueError(f"the entry of {entry.clip!r} is not as it was written")
    if not entries:
        raise ValueError("it lists no clips")
    return entries


def read_golden(folder: Path) -> list[GoldenClip]:
    """The entries of golden.json of the classifier in a folder; none where it keeps no golden clips. ValueError if it is damaged."""
    told = check_settings(read_classifier_json(folder))
    if f"{GOLDEN}/{FILE}" not in told.files:
        return []
    return _read_entries(_read_list(folder, told.files), len(told.vocab), told.files)


def golden_recordings(folder: str | os.PathLike | None) -> list[Recording]:
    """The golden clips of the classifier in a folder; none where it keeps none, or they cannot be read."""
    if folder is None:
        return []
    try:
        entries = read_golden(Path(folder))
    except (ValueError, OSError):
        return []
    return [Recording(os.path.join(folder, GOLDEN, entry.clip), entry.label, is_cut=True) for entry in entries]


def has_golden(folder: Path) -> bool:
    """Whether the classifier in a folder keeps golden clips."""
    return f"{GOLDEN}/{FILE}" in (read_classifier_json(folder).get("files") or {})


def check_loaded(clf: Classifier, folder: Path) -> pd.DataFrame:
    """The table of `check_classifier`, of a classifier that was loaded from a folder."""
    files = read_classifier_json(folder).get("files") or {}
    if not has_golden(folder):
        raise ValueError(f"{str(folder)!r} keeps no golden clips; save_classifier(..., golden=6) keeps some")
    try:
        held = _read_list(folder, files)
        rows = [_check_one(clf, folder, files, entry) for entry in _read_entries(held, len(clf.vocab), files)]
    except (ValueError, OSError, SyntaxError) as exc:
        raise ValueError(f"the golden clips in {str(folder)!r} cannot be read: {exc}") from exc
    table = pd.DataFrame(rows)[["clip", "label", "pixels", "of", "levels", "drift", "verdict", "reason"]]
    now, then = versions_now(), held["versions"]
    table.attrs["versions"] = {name: (str(then.get(name, "?")), now[name]) for name in now}
    return table


def check_classifier(folder: str | os.PathLike) -> pd.DataFrame:
    """Draw and predict the golden clips of a classifier again, with today's libraries.

    Parameters
    ----------
    folder : str or path
        That `save_classifier` wrote; or an address on the Hub, `hf://user/name[@revision][:subfolder]`.

    Returns
    -------
    DataFrame
        A row a clip: clip, label; pixels, how many differ `of` so many (samples of a waveform); levels, the largest difference (of 255; of a
        waveform in 16-bit steps); drift, the largest difference of a probability; verdict, "same", "pixels drift", "predictions drift" (by
        more than 0.001) or "no prediction"; reason, if there is none. `attrs["versions"]` is a table of the libraries then and now.

    Raises
    ------
    ValueError
        If the folder is not a classifier, is damaged, or keeps no golden clips.

    Examples
    --------
    >>> folder = sp.save_classifier(learn, "cat-or-dog", golden=1)
    >>> sp.check_classifier(folder)["verdict"].tolist()
    ['same']
    """
    folder = local_folder(folder, [SETTINGS], "a classifier")
    return check_loaded(load_folder(folder), folder)
