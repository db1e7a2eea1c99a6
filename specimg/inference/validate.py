"""What a classifier's JSON may say: every entry's kind, type and size, looked at before anything is built from it.

    parts = check_settings(json_object)          # renderer, labels, network ... as values; ValueError with what is wrong

A folder may come from anywhere. Nothing in it is a name to import or to look up but in registries of specimg and timm; numbers
that would ask for absurd memory are refused, where a folder is loaded and where one is saved alike.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

from ..audio import Audio
from ..core.values import choose
from ..data.inputs import NetworkInput, PictureInput, WaveInput, input_from_dict
from ..data.tta import TTAFit
from ..data.waves import FitWave
from ..render.renderer import Renderer
from .calibration import Calibration
from .folder import FORMAT, is_own_file, weights_names

__all__ = ["Parts", "check_input", "check_network", "check_settings", "check_vocab"]

MOST_CLASSES = 1_000_000
MOST_NETWORKS = 200  # in an ensemble
MOST_PIXELS = 2**22  # of a picture that a network looks at: 2048 x 2048
MOST_SAMPLES = 2**24  # of a waveform that it listens to: six minutes at 44.1 kHz
MOST_WINDOWS = 1024  # of one clip
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

_ARCH = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")  # "hf-hub:..." and "local-dir:..." are places, and no names
_NETWORK = ("arch", "n_channels", "n_classes", "size", "net", "ps", "lin_ftrs", "concat_pool")
_FIRST_FORMAT = ("format", "specimg", "renderer", "network", "vocab", "is_multi", "fit")
_ENTRIES = (
    "format",
    "versions",
    "vocab",
    "is_multi",
    "renderer",
    "audio",
    "fit",
    "network",
    "weights",
    "calibration",
    "training",
    "files",
)


@dataclass(frozen=True)
class Parts:
    """What classifier.json says, as values."""

    input: PictureInput | WaveInput
    vocab: list[str]
    is_multi: bool
    network: dict  # arguments of `create_spec_net`
    calibration: Calibration
    weights: list[str]  # names of files, one a network
    files: dict[str, dict]  # bytes and sha256 of every other file; {} in format 1
    about: dict  # training and versions


# ---------------------------------------------------------------------- plain types


def _is_int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value) -> bool:
    return _is_int(value) or (isinstance(value, float) and math.isfinite(value))


def _need(good: bool, where: str, value, rule: str) -> None:
    """ValueError unless `good`: what stands at `where`, and the rule."""
    if not good:
        text = repr(value)
        raise ValueError(f"{where} is {text if len(text) <= 80 else text[:77] + '...'}; it must be {rule}")


def _need_whole(where: str, value, most: float, least: int = 1) -> None:
    _need(_is_int(value) and least <= value <= most, where, value, f"a whole number from {least} to {most:.0f}")


def _need_size(where: str, value) -> None:
    good = isinstance(value, (list, tuple)) and len(value) == 2 and all(_is_int(side) and side >= 1 for side in value)
    _need(good, where, value, "two whole numbers, height and width")
    most = MOST_SAMPLES if value[0] == 1 else MOST_PIXELS
    _need(value[0] * value[1] <= most, where, value, f"{most} pixels at most")


# ---------------------------------------------------------------------- how recordings are drawn


def _check_numbers(part, where: str) -> None:
    """ValueError for a number in a renderer's dictionary that would ask for absurd memory when it draws."""
    for name, value in part.items():
        if isinstance(value, dict):
            _check_numbers(value, f"{where}.{name}")
        elif isinstance(value, (list, tuple)):
            for i, inner in enumerate(value):
                if isinstance(inner, dict):
                    _check_numbers(inner, f"{where}.{name}[{i}]")
        elif _is_number(value) and (name in _MOST or _is_int(value)):
            most = _MOST.get(name, _MOST_ROWS)
            _need(abs(value) <= most, f"{where}.{name}", value, f"{most:.0f} at most")
    rows = [part[name] for name in ("n_mels", "n_bands") if _is_int(part.get(name))]
    if rows and _is_int(part.get("n_fft")):
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
    """Of a representation's dictionary, and of what it is made of; 1 where it has none."""
    below = part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ()
    return max([part.get("n_fft") or 1 if isinstance(part, dict) else 1, *map(_largest_n_fft, below)])


def _check_area(look: Renderer) -> None:
    """ValueError where a picture, or the spectrum that it is drawn from, has absurdly many cells."""
    drawn = (look.audio.duration or 0) / look.representation.hop_seconds(look.audio.sr or HIGHEST_RATE)
    columns, rows = (
        max(drawn, look.picture.width or 1),
        max(_largest_n_fft(look.representation.to_dict()), look.picture.height or 1),
    )
    _need(
        columns * rows <= MOST_CELLS, "renderer", f"{columns:.0f} columns of {rows} rows", f"{MOST_CELLS} cells at most"
    )


def _check_reader(look: Renderer | Audio) -> None:
    """ValueError where drawing, or reading, with these numbers would ask for absurd memory."""
    if not isinstance(look, Renderer):
        _check_numbers(look.to_dict(), "audio")
        _check_audio(look, "audio")
        return
    _check_numbers(look.to_dict(), "renderer")
    _check_audio(look.audio, "renderer.audio")
    _check_area(look)


# ---------------------------------------------------------------------- the network and its input


def check_input(given: NetworkInput) -> None:
    """ValueError where drawing or reading a recording, or the network's input, would ask for absurd memory."""
    _check_reader(given.reader)
    fit = given.transform
    _need_whole("fit.windows", fit.windows, MOST_WINDOWS)
    if isinstance(fit, FitWave):
        _need_whole("fit.samples", fit.samples, MOST_SAMPLES)
        return
    _need_size("fit.size", list(fit.size))
    if isinstance(fit, TTAFit):
        several = len(fit.tta.shifts) * len(fit.tta.lengths) * (fit.tta.windows or fit.windows)
        _need(several <= MOST_WINDOWS, "fit.tta", several, f"{MOST_WINDOWS} windows at most")
        _need(max(fit.tta.lengths) <= 10, "fit.tta.lengths", fit.tta.lengths, "10 at most")
    if fit.seconds is not None:
        columns = fit.seconds / given.renderer.representation.hop_seconds(given.audio.sr or HIGHEST_RATE)
        _need(
            fit.seconds <= LONGEST and columns <= MOST_COLUMNS,
            "fit.seconds",
            fit.seconds,
            f"a day and {MOST_COLUMNS} columns at most",
        )


def check_network(network: dict, n_classes: int, given: NetworkInput) -> None:
    """ValueError where these are not arguments of `create_spec_net` for so many classes and such inputs."""
    _need(isinstance(network, dict), "network", network, "an object")
    for name in network:
        choose(name, _NETWORK, "entry of network")
    for name in _NETWORK[:4]:
        _need(name in network, "network", sorted(network), f"an object with {name}")
    arch = network["arch"]
    _need(
        isinstance(arch, str) and _ARCH.fullmatch(arch) and len(arch) <= 200,
        "network.arch",
        arch,
        "the name of a network of specimg's or timm's",
    )
    _need_whole("network.n_channels", network["n_channels"], 4)
    _need(
        network["n_channels"] == given.channels,
        "network.n_channels",
        network["n_channels"],
        f"the {given.channels} of its inputs",
    )
    if network["n_classes"] != n_classes or not _is_int(network["n_classes"]):
        raise ValueError(f"{n_classes} labels for a network of {network['n_classes']!r}")
    _need_size("network.size", network["size"])
    size = list(given.size)
    _need(list(network["size"]) == size, "network.size", list(network["size"]), f"the size of its inputs, {size}")
    _check_head(network)


def _check_head(network: dict) -> None:
    """The options behind the first four."""
    ps, hidden, net = network.get("ps"), network.get("lin_ftrs"), network.get("net")
    _need(
        ps is None
        or (_is_number(ps) and 0 <= ps < 1)
        or (isinstance(ps, (list, tuple)) and len(ps) <= 10 and all(_is_number(p) and 0 <= p < 1 for p in ps)),
        "network.ps",
        ps,
        "shares from 0 to below 1",
    )
    _need(
        hidden is None
        or (
            isinstance(hidden, (list, tuple))
            and len(hidden) <= 10
            and all(_is_int(n) and 1 <= n <= WIDEST_LAYER for n in hidden)
        ),
        "network.lin_ftrs",
        hidden,
        f"at most 10 whole numbers from 1 to {WIDEST_LAYER}",
    )
    _need(
        isinstance(network.get("concat_pool", True), bool),
        "network.concat_pool",
        network.get("concat_pool"),
        "true or false",
    )
    _need(net is None or isinstance(net, dict), "network.net", net, "an object")
    for name, value in (net or {}).items():
        plain = value is None or isinstance(value, bool) or (_is_number(value) and abs(value) <= WIDEST_LAYER)
        _need(
            plain or (isinstance(value, str) and _ARCH.fullmatch(value)),
            f"network.net.{name}",
            value,
            "a number, true, false or a name",
        )


# ---------------------------------------------------------------------- the whole


def check_vocab(vocab) -> None:
    """ValueError unless these are different labels."""
    _need(
        isinstance(vocab, list) and 1 <= len(vocab) <= MOST_CLASSES and all(isinstance(label, str) for label in vocab),
        "vocab",
        vocab,
        f"a list of 1 to {MOST_CLASSES} labels",
    )
    twice = [label for label, n in Counter(vocab).items() if n > 1]
    _need(not twice, "vocab", twice[:3], "a list of different labels")


def _check_reader_entry(settings: dict) -> None:
    """The entries `renderer` and `audio`, of which one is null."""
    renderer, audio = settings["renderer"], settings.get("audio")
    if (renderer is None) == (audio is None):
        raise ValueError("it must have either a renderer, which draws pictures, or audio, which reads waveforms")
    _need(
        isinstance(audio if renderer is None else renderer, dict),
        "renderer" if audio is None else "audio",
        renderer or audio,
        "an object",
    )
    look = Audio.from_dict(audio) if renderer is None else Renderer.from_dict(renderer)
    _check_reader(look)
    if renderer is None:
        _need(look.sr is not None, "audio.sr", None, "a number: waveforms have one sampling rate")


def _check_fit_entry(part, wave: bool) -> None:
    _need(isinstance(part, dict), "fit", part, "an object")
    names = ("samples", "windows") if wave else ("size", "method", "seconds", "windows", "blank", "tta")
    for name in part:
        choose(name, names, "entry of fit")
    for name in names[:5]:
        _need(name in part, "fit", sorted(part), f"an object with {name}")
    _need_whole("fit.windows", part["windows"], MOST_WINDOWS)
    if not wave:
        _need_size("fit.size", part["size"])
        _need(isinstance(part["method"], str), "fit.method", part["method"], "text")
        _need(
            part["seconds"] is None or _is_number(part["seconds"]), "fit.seconds", part["seconds"], "a number, or null"
        )
        blank = part["blank"]
        _need(
            isinstance(blank, list) and 1 <= len(blank) <= 4 and all(_is_number(b) and 0 <= b <= 1 for b in blank),
            "fit.blank",
            blank,
            "one level from 0 to 1 a channel",
        )
    else:
        _need_whole("fit.samples", part["samples"], MOST_SAMPLES)


def _check_input_entries(settings: dict) -> PictureInput | WaveInput:
    """The entries `renderer`, `audio` and `fit`, as a value."""
    _check_reader_entry(settings)
    _check_fit_entry(settings["fit"], wave=settings["renderer"] is None)
    found = input_from_dict(settings)
    check_input(found)
    return found


def _check_calibration(part, n_classes: int) -> Calibration:
    found = Calibration.from_dict(part)
    several = len(found.thresholds)
    _need(
        several in (0, n_classes), "calibration.thresholds", f"{several} numbers", f"one for each of {n_classes} labels"
    )
    return found


def _check_files(files, weights: list[str]) -> None:
    """Every name is one that a classifier has, so that none leads out of the folder; every weight is among them."""
    _need(
        isinstance(files, dict) and len(files) <= MOST_FILES, "files", files, f"an object of at most {MOST_FILES} files"
    )
    for name, facts in files.items():
        _need(is_own_file(name), "files", name, "names of files that a classifier has")
        good = (
            isinstance(facts, dict)
            and set(facts) == {"bytes", "sha256"}
            and _is_int(facts["bytes"])
            and facts["bytes"] >= 0
        )
        good = good and isinstance(facts["sha256"], str) and re.fullmatch("[0-9a-f]{64}", facts["sha256"])
        _need(good, f"files[{name!r}]", facts, "bytes and sha256")
    lost = [name for name in weights if name not in files]
    _need(not lost, "files", sorted(files), f"an object with {', '.join(lost)}")


def _check_weights(weights) -> None:
    good = isinstance(weights, list) and 1 <= len(weights) <= MOST_NETWORKS and weights == weights_names(len(weights))
    _need(good, "weights", weights, "the names of the files of its networks, in order")


def _upgraded(settings: dict) -> dict:
    """What format 1 says, as format 2 says it."""
    for name in settings:
        choose(name, _FIRST_FORMAT, "entry")
    return {
        **settings,
        "weights": weights_names(1),
        "calibration": Calibration().to_dict(),
        "training": {},
        "versions": {"specimg": str(settings.get("specimg", "?"))},
        "files": None,
    }


def check_settings(settings) -> Parts:
    """What classifier.json says, as values; ValueError with the first thing that is wrong."""
    version = settings.get("format") if isinstance(settings, dict) else None
    if version not in (1, FORMAT) or not _is_int(version):
        raise ValueError(f"it is of format {version!r}; this specimg reads the formats 1 and {FORMAT}")
    old = version == 1
    if old:
        settings = _upgraded(settings)
    else:
        for name in settings:
            choose(name, _ENTRIES, "entry")
    for name in (n for n in _ENTRIES if n != "audio" and not (old and n == "format")):
        _need(name in settings, "classifier.json", "an object", f"one with {name}")
    check_vocab(settings["vocab"])
    vocab = settings["vocab"]
    _need(isinstance(settings["is_multi"], bool), "is_multi", settings["is_multi"], "true or false")
    given = _check_input_entries(settings)
    check_network(settings["network"], len(vocab), given)
    _check_weights(settings["weights"])
    if not old:
        _check_files(settings["files"], settings["weights"])
    for name in ("training", "versions"):
        _need(isinstance(settings[name], dict), name, settings[name], "an object")
    about = {"training": settings["training"], "versions": settings["versions"]}
    network = {**settings["network"], "size": tuple(settings["network"]["size"])}
    return Parts(
        given,
        vocab,
        settings["is_multi"],
        network,
        _check_calibration(settings["calibration"], len(vocab)),
        settings["weights"],
        settings["files"] or {},
        about,
    )
