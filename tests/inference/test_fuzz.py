"""Damage by chance, for a bounded time: a folder or a sound is answered or refused by a ValueError, and never anything else.

`benchmarks/fuzz_folder.py` does the same for as long as one likes.
"""

import copy
import json
import random
import warnings

import pytest

from specimg.audio import AudioError, read_audio
from specimg.core.reading import parse_json
from specimg.inference import SETTINGS
from specimg.inference.load import _read_header
from specimg.inference.settings import check_settings


@pytest.fixture(scope="module")
def fuzz():
    """The script, as a module."""
    import fuzz_folder

    return fuzz_folder


@pytest.fixture(scope="module")
def whole(fuzz, tmp_path_factory):
    return fuzz.make_classifier(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def settings(whole):
    return json.loads((whole / SETTINGS).read_text())


def test_damaged_folders(fuzz, whole, tmp_path):
    results = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for seed in range(36):
            results.append(fuzz.try_folder(random.Random(seed), whole, tmp_path)[1])
    assert (
        set(results) == {"refused", "answered"} and results.count("refused") > 12
    )  # most damage is seen, some does none


def test_damaged_sounds(fuzz, tmp_path, capfd):
    sounds = fuzz.make_sounds(tmp_path)
    results = [fuzz.try_sound(random.Random(seed), sounds, tmp_path)[1] for seed in range(300)]
    capfd.readouterr()  # decoders of mp3 print
    assert results.count("answered") > 5 and results.count("refused") > 100


def test_damaged_settings(fuzz, settings):
    """The checks alone, which are fast: whatever the JSON says, values or a ValueError come out."""
    refused = 0
    for seed in range(1500):
        told = fuzz.damage_json(random.Random(seed), settings)
        try:
            check_settings(json.loads(json.dumps(told)))
        except ValueError:
            refused += 1
    assert 500 < refused < 1500


def test_settings_of_any_shape(settings):
    """The same by hypothesis, which looks for the smallest input that goes wrong."""
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed; pip install specimg[dev]")
    strategies = hypothesis.strategies
    leaves = (
        strategies.none()
        | strategies.booleans()
        | strategies.integers()
        | strategies.floats(allow_nan=False, allow_infinity=False)
        | strategies.text(max_size=20)
    )
    anything = strategies.recursive(
        leaves,
        lambda inner: (
            strategies.lists(inner, max_size=4)
            | strategies.dictionaries(strategies.text(max_size=8), inner, max_size=4)
        ),
        max_leaves=12,
    )
    entries = strategies.sampled_from(sorted(settings))

    @hypothesis.settings(max_examples=120, deadline=None, derandomize=True, database=None)
    @hypothesis.given(entries, anything, strategies.booleans())
    def check(entry, value, deeper):
        told = copy.deepcopy(settings)
        if deeper and isinstance(told[entry], dict) and told[entry]:
            told[entry][sorted(told[entry])[0]] = value
        else:
            told[entry] = value
        try:
            check_settings(told)
        except ValueError as exc:
            assert str(exc)

    check()


def test_any_bytes_as_settings_weights_and_sound(tmp_path, capfd):
    hypothesis = pytest.importorskip("hypothesis", reason="hypothesis is not installed; pip install specimg[dev]")
    path = tmp_path / "any.wav"

    @hypothesis.settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @hypothesis.given(
        hypothesis.strategies.binary(max_size=300),
        hypothesis.strategies.sampled_from(
            [b"", b"RIFF", b"fLaC", b"OggS", b"\xff\xfb", b'{"a":', b"\x10\0\0\0\0\0\0\0"]
        ),
    )
    def check(data, magic):
        path.write_bytes(magic + data)
        for read, error in (
            (lambda: read_audio(path), AudioError),
            (lambda: parse_json(magic + data, strict=True), ValueError),
            (lambda: _read_header(path), ValueError),
        ):
            try:
                read()
            except error:
                pass

    check()
    capfd.readouterr()
