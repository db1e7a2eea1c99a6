"""classifier.json as a value that checks itself: every entry's kind, type and size, before anything is built from it.

    settings = check_settings(json_object)       # Settings(...); ValueError with the first thing that is wrong
    settings.input, settings.network, settings.files

A folder may come from anywhere. Nothing in it is a name to import or to look up but in registries of specimg and timm; numbers
that would ask for absurd memory are refused, where a folder is loaded and where one is saved.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

from ..audio import Audio
from ..core.values import Value, choose, register
from ..data.inputs import NetworkInput, input_from_dict
from ..data.tta import TTA
from ..models.heads import HEADS
from ..render.renderer import Renderer
from .calibration import Calibration
from .folder import FORMAT, is_own_file, weights_names
from .post_processing import ClassTemperature, PostProcessing

MOST_CLASSES = 1_000_000
MOST_NETWORKS = 200  # in an ensemble
MOST_PIXELS = 2**22  # of a network's picture: 2048 x 2048
MOST_SAMPLES = 2**24  # of a network's waveform: six minutes at 44.1 kHz
MOST_WINDOWS = 1024  # of one clip
MOST_VALUES = 2**27  # pixels, or samples, of all windows of one clip
MOST_COLUMNS = 2**20  # of a picture, before it is brought to size
LONGEST = 86_400.0  # s, a day
WIDEST_LAYER = 2**16  # of a head
HIGHEST_RATE = 192_000  # Hz, assumed where each file keeps its own
MOST_FILES = 2_000
MOST_NUMBERS = 2**27  # of a filter bank: rows times n_fft
MOST_CLIP = 2**28  # samples of a clip that is padded to its duration: a gigabyte
MOST_CELLS = 2**28  # of a picture while it is drawn: columns times rows or n_fft

# of numbers in a renderer, by the name of their field
_MOST = {
    "sr": 2**20,
    "n_fft": 2**17,
    "win_length": 2**17,
    "hop_length": 2**20,
    "order": 64,
    "width": 65_535,
    "height": 65_535,
    "duration": LONGEST,
}
_MOST_ROWS = 2**14  # all other whole numbers: n_mels, n_bins, bins_per_octave ...

_ARCH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")  # "hf-hub:..." and "local-dir:..." are locations, and no names
_FIRST_FORMAT = ("format", "specimg", "renderer", "network", "vocab", "is_multi", "fit")


def _need(good: bool, where: str, value: Any, rule: str) -> None:
    """ValueError unless `good`: what stands at `where`, and the rule."""
    if not good:
        text = repr(value)
        raise ValueError(f"{where} is {text if len(text) <= 80 else text[:77] + '...'}; it must be {rule}")


# ---------------------------------------------------------------------- how recordings are read or drawn


def _check_numbers(part, where: str) -> None:
    """ValueError for a number in a renderer's dictionary that would ask for absurd memory when it draws."""
    for name, value in part.items():
        if isinstance(value, dict):
            _check_numbers(value, f"{where}.{name}")
        elif isinstance(value, (list, tuple)):
            for i, inner in enumerate(value):
                if isinstance(inner, dict):
                    _check_numbers(inner, f"{where}.{name}[{i}]")
        elif type(value) in (int, float) and (name in _MOST or type(value) is int):
            most = _MOST.get(name, _MOST_ROWS)
            _need(abs(value) <= most, f"{where}.{name}", value, f"{most:.0f} at most")
    rows = [part[name] for name in ("n_mels", "n_bands") if type(part.get(name)) is int]
    if rows and type(part.get("n_fft")) is int:
        _need(
            max(rows) * part["n_fft"] <= MOST_NUMBERS,
            where,
            f"{max(rows)} rows of n_fft={part['n_fft']}",
            f"{MOST_NUMBERS} numbers at most",
        )


def _check_audio(audio: Audio, where: str) -> None:
    samples = (audio.duration or 0) * (audio.sr or HIGHEST_RATE)
    _need(samples <= MOST_CLIP, f"{where}.duration", audio.duration, f"{MOST_CLIP} samples at most")


def _largest_n_fft(part) -> int:
    """Largest `n_fft` in a representation's dictionary and in those nested in it; 1 if there is none."""
    below = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    return max([part.get("n_fft") or 1 if isinstance(part, dict) else 1, *map(_largest_n_fft, below)])


def _check_area(renderer: Renderer) -> None:
    """ValueError if a picture, or the spectrum that it is drawn from, has absurdly many cells."""
    drawn = (renderer.audio.duration or 0) / renderer.representation.hop_seconds(renderer.audio.sr or HIGHEST_RATE)
    columns, rows = (
        max(drawn, renderer.picture.width or 1),
        max(_largest_n_fft(renderer.representation.to_dict()), renderer.picture.height or 1),
    )
    _need(
        columns * rows <= MOST_CELLS, "renderer", f"{columns:.0f} columns of {rows} rows", f"{MOST_CELLS} cells at most"
    )


def _check_reader(reader: Renderer | Audio) -> None:
    """ValueError if drawing, or reading, with these numbers would ask for absurd memory."""
    if not isinstance(reader, Renderer):
        _check_numbers(reader.to_dict(), "audio")
        _check_audio(reader, "audio")
        return
    _check_numbers(reader.to_dict(), "renderer")
    _check_audio(reader.audio, "renderer.audio")
    _check_area(reader)


# ---------------------------------------------------------------------- how inputs come to the network's size


def _check_size(where: str, size: tuple[int, ...]) -> None:
    _need(len(size) == 2 and min(size) >= 1, where, list(size), "two whole numbers, height and width")
    most = MOST_SAMPLES if size[0] == 1 else MOST_PIXELS
    _need(size[0] * size[1] <= most, where, list(size), f"{most} pixels at most")


def _check_count(where: str, value: int, most: int) -> None:
    _need(1 <= value <= most, where, value, f"a whole number from 1 to {most}")


def _check_windows(windows: int, values: int, unit: str) -> None:
    _check_count("fit.windows", windows, MOST_WINDOWS)
    _need(
        windows * values <= MOST_VALUES,
        "fit.windows",
        windows,
        f"{MOST_VALUES} {unit} at most, and these have {values} each",
    )


@register
@dataclass(frozen=True)
class PictureFit(Value):
    """The entry `fit` of a classifier of pictures: arguments of `FitSize`, and test-time augmentation where there is any."""

    size: tuple[int, ...]  # pixels: height, width
    method: str
    seconds: float | None
    windows: int
    blank: tuple[float, ...]  # levels, 0 to 1
    tta: TTA | None = None

    def _check(self) -> None:
        _check_size("fit.size", self.size)
        _check_windows(self.windows, self.size[0] * self.size[1], "pixels")
        levels = 1 <= len(self.blank) <= 4 and all(0 <= level <= 1 for level in self.blank)
        _need(levels, "fit.blank", list(self.blank), "one level from 0 to 1 a channel")
        _need((self.seconds or 0) <= LONGEST, "fit.seconds", self.seconds, "a day at most")
        if self.tta is not None:
            several = len(self.tta.shifts) * len(self.tta.lengths) * (self.tta.windows or self.windows)
            _need(several <= MOST_WINDOWS, "fit.tta", several, f"{MOST_WINDOWS} windows at most")
            _check_windows(several, self.size[0] * self.size[1], "pixels")
            _need(max(self.tta.lengths) <= 10, "fit.tta.lengths", self.tta.lengths, "10 at most")


@register
@dataclass(frozen=True)
class WaveFit(Value):
    """The entry `fit` of a classifier of waveforms: arguments of `FitWave`."""

    samples: int
    windows: int

    def _check(self) -> None:
        _check_count("fit.samples", self.samples, MOST_SAMPLES)
        _check_windows(self.windows, self.samples, "samples")


# ---------------------------------------------------------------------- the network and the files


@register
@dataclass(frozen=True)
class NetworkOptions(Value):
    """Arguments of `create_spec_net`."""

    arch: str
    n_channels: int
    n_classes: int
    size: tuple[int, ...]
    net: dict | None = None
    ps: float | tuple[float, ...] | None = None
    lin_ftrs: tuple[int, ...] | None = None
    concat_pool: bool = True
    head: str = "avgmax"

    def _check(self) -> None:
        choose(self.head, HEADS, "network.head")
        is_name = _ARCH.fullmatch(self.arch) and len(self.arch) <= 200
        _need(is_name, "network.arch", self.arch, "the name of a network of specimg's or timm's")
        _check_count("network.n_channels", self.n_channels, 4)
        _check_size("network.size", self.size)
        shares = self.ps if isinstance(self.ps, tuple) else (self.ps or 0.0,)
        _need(len(shares) <= 10 and all(0 <= p < 1 for p in shares), "network.ps", self.ps, "shares from 0 to below 1")
        hidden, most = self.lin_ftrs or (), WIDEST_LAYER
        narrow = len(hidden) <= 10 and all(1 <= n <= most for n in hidden)
        _need(narrow, "network.lin_ftrs", hidden, f"at most 10 whole numbers from 1 to {most}")
        for name, value in (self.net or {}).items():
            small = value is None or (isinstance(value, (int, float)) and abs(value) <= most)  # true and false, too
            fits = small or (isinstance(value, str) and _ARCH.fullmatch(value))
            _need(bool(fits), f"network.net.{name}", value, "a number, true, false or a name")


@register
@dataclass(frozen=True)
class FileFacts(Value):
    """Size and digest of a file."""

    bytes: int
    sha256: str

    def _check(self) -> None:
        good = self.bytes >= 0 and re.fullmatch("[0-9a-f]{64}", self.sha256)
        _need(bool(good), "files", (self.bytes, self.sha256), "bytes and sha256")


# ---------------------------------------------------------------------- the whole


@register
@dataclass(frozen=True)
class Settings(Value):
    """What classifier.json holds."""

    format: int
    versions: dict
    vocab: tuple[str, ...]
    is_multi: bool
    renderer: Renderer | None
    fit: dict
    network: dict
    weights: tuple[str, ...]  # names of files, one a network
    calibration: Calibration
    training: dict
    files: dict  # name -> FileFacts, of every other file; format 1 has none
    audio: Audio | None = None
    post_processing: PostProcessing = PostProcessing()

    def _check(self) -> None:
        self._check_vocab()
        self._check_input()
        self._check_network()
        self._check_files()
        n, thresholds = len(self.vocab), len(self.calibration.thresholds)
        found, rule = f"{thresholds} numbers", f"one for each of {n} labels"
        _need(thresholds in (0, n), "calibration.thresholds", found, rule)
        self._check_post_processing()

    def _check_post_processing(self) -> None:
        """Every list that has one number a label has as many as there are labels."""
        n, chosen = len(self.vocab), self.post_processing
        fitted = [len(step.temperatures) for step in chosen.steps if isinstance(step, ClassTemperature)]
        for name, found, fits in [
            ("thresholds", len(chosen.thresholds), len(chosen.thresholds) in (0, n)),
            *(("temperatures", m, m == n) for m in fitted),
        ]:
            _need(fits, f"post_processing.{name}", f"{found} numbers", f"one for each of {n} labels")

    def _check_vocab(self) -> None:
        _need(1 <= len(self.vocab) <= MOST_CLASSES, "vocab", self.vocab, f"a list of 1 to {MOST_CLASSES} labels")
        twice = [label for label, n in Counter(self.vocab).items() if n > 1]
        _need(not twice, "vocab", twice[:3], "a list of different labels")

    def _check_input(self) -> None:
        if (self.renderer is None) == (self.audio is None):
            raise ValueError("it must have either a renderer, which draws pictures, or audio, which reads waveforms")
        _check_reader(self.audio or self.renderer)
        if self.renderer is None:
            _need(self.audio.sr is not None, "audio.sr", None, "a number: waveforms have one sampling rate")
            WaveFit.from_dict(self.fit)
            return
        fit = PictureFit.from_dict(self.fit)
        rate = self.renderer.audio.sr or HIGHEST_RATE
        columns = (fit.seconds or 0) / self.renderer.representation.hop_seconds(rate)
        _need(columns <= MOST_COLUMNS, "fit.seconds", fit.seconds, f"{MOST_COLUMNS} columns at most")

    def _check_network(self) -> None:
        network, given, n = NetworkOptions.from_dict(self.network), self.input, len(self.vocab)
        inputs = f"the {given.channels} of its inputs"
        _need(network.n_channels == given.channels, "network.n_channels", network.n_channels, inputs)
        if network.n_classes != n:
            raise ValueError(f"{n} labels for a network of {network.n_classes}")
        size = f"the size of its inputs, {list(given.size)}"
        _need(network.size == given.size, "network.size", list(network.size), size)

    def _check_files(self) -> None:
        """Every name is one that a classifier has, so that none leads out of the folder; every file of weights is among them."""
        n = len(self.weights)
        named = 1 <= n <= MOST_NETWORKS and list(self.weights) == weights_names(n)
        _need(named, "weights", self.weights, "the names of the files of its networks, in order")
        _need(len(self.files) <= MOST_FILES, "files", len(self.files), f"at most {MOST_FILES} files")
        for name, facts in self.files.items():
            _need(is_own_file(name), "files", name, "names of files that a classifier has")
            FileFacts.from_dict(facts)
        lost = [name for name in self.weights if name not in self.files] if self.format == FORMAT else []
        _need(not lost, "files", sorted(self.files), f"an object with {', '.join(lost)}")

    @property
    def input(self) -> NetworkInput:
        """What the network is given of a recording."""
        audio = None if self.audio is None else self.audio.to_dict()
        renderer = None if self.renderer is None else self.renderer.to_dict()
        kind = WaveFit if renderer is None else PictureFit
        fit = {
            name: value
            for name, value in kind.from_dict(self.fit).to_dict().items()
            if value is not None or name == "seconds"
        }
        return input_from_dict({"renderer": renderer, "audio": audio, "fit": fit})

    @property
    def network_options(self) -> dict[str, Any]:
        """Arguments of `create_spec_net`, those that are given."""
        options = NetworkOptions.from_dict(self.network)
        return {field.name: getattr(options, field.name) for field in fields(options) if field.name in self.network}


def _upgraded(settings: dict) -> dict:
    """What format 1 holds, in the words of format 2."""
    for name in settings:
        choose(name, _FIRST_FORMAT, "entry")
    known = {name: value for name, value in settings.items() if name != "specimg"}
    versions = {"specimg": str(settings.get("specimg", "?"))}
    new = {"weights": weights_names(1), "calibration": {}, "training": {}, "versions": versions, "files": {}}
    return {**known, **new}


def check_settings(settings: Any) -> Settings:
    """The value that the JSON of a classifier describes; ValueError with the first thing that is wrong."""
    version = settings.get("format") if isinstance(settings, dict) else None
    if version not in (1, FORMAT) or type(version) is not int:
        raise ValueError(f"it is of format {version!r}; this specimg reads the formats 1 and {FORMAT}")
    if "kind" in settings:
        choose("kind", [field.name for field in fields(Settings)], "entry")
    return Settings.from_dict(_upgraded(settings) if version == 1 else settings)
