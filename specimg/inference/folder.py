"""The folder of a classifier: which files it has, and how its parts are written as JSON.

    dog-or-not/
      classifier.json                    how recordings are drawn, network, labels, calibration, training, versions; size and
                                         digest of every other file
      weights.safetensors                numbers only; weights-0.safetensors, weights-1 ... of an ensemble
      README.md                          the model card, for people
      golden/golden.json                 a few recordings with the digests of their pictures and their probabilities
      golden/0-dog.wav, 0-dog.png ...

`classifier.json` is written last and removed first: writing and removing are atomic.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .. import __version__

FORMAT = 2
SETTINGS, WEIGHTS, CARD, GOLDEN = "classifier.json", "weights.safetensors", "README.md", "golden"
# that affect pixels or predictions
PACKAGES = ("torch", "timm", "fastai", "librosa", "numpy", "scipy", "soundfile", "soxr", "pillow")

_OWN_FILES = re.compile(
    r"README\.md|weights(-\d{1,3})?\.safetensors|golden/(golden\.json|\d{1,3}-[A-Za-z0-9_-]{1,40}(\.heard)?\.(wav|png))"
)


def weights_names(networks: int) -> list[str]:
    """Names of the files of that many networks."""
    return [WEIGHTS] if networks == 1 else [f"weights-{i}.safetensors" for i in range(networks)]


def is_own_file(name: str) -> bool:
    """Whether this is the name, from the folder on and with forward slashes, of a file that a classifier may have besides classifier.json."""
    return _OWN_FILES.fullmatch(name) is not None


def facts_of(data: bytes) -> dict:
    """Size and digest of a file, as classifier.json holds them."""
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def versions_now() -> dict[str, str]:
    """Versions of the libraries that affect the pixels or the predictions."""
    found = {"specimg": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # found by another way than pip's
            found[name] = "?"
    return found


def to_json(part) -> bytes:
    """JSON as people can read it; NaN is an error."""
    return json.dumps(part, indent=1, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def size_of(folder: Path, name: str, most: int) -> int:
    """Bytes of a plain file. ValueError if it is missing, no plain file (a pipe would wait for ever), or has more than `most`."""
    file = folder / name
    if not file.is_file():
        raise ValueError(
            f"{name} is not a plain file" if os.path.lexists(file) else f"{name} is missing; copy the folder again"
        )
    there = file.stat().st_size
    if there > most:
        raise ValueError(f"{name} has {there} bytes, more than the {most} it should have")
    return there


def read_whole(folder: Path, name: str, most: int) -> bytes:
    """The bytes of a plain file of at most `most` bytes. ValueError as of `size_of`, and where it cannot be read."""
    try:
        there = size_of(folder, name, most)
        with open(folder / name, "rb") as opened:
            return opened.read(there + 1)
    except OSError as exc:
        raise ValueError(f"{name} cannot be read: {exc.strerror or exc}") from exc
