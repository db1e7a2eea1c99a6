"""Readers of files from elsewhere: what is read as the standard readers read it, and what is refused before it costs memory."""

import json
import os
import re
import time
import tracemalloc
import zipfile

import numpy as np
import pytest

from specimg.core.reading import parse_json, parse_toml, read_bytes, read_json, read_npz, read_toml
from specimg.core.values import Value
from specimg.spectrogram import Mel


@pytest.fixture
def cheap():
    """What the test does takes less than 40 MB and 5 s of a CPU."""
    tracemalloc.start()
    began = time.process_time()
    yield
    peak, seconds = tracemalloc.get_traced_memory()[1], time.process_time() - began
    tracemalloc.stop()
    assert peak < 40e6 and seconds < 5, (peak, seconds)


# ---------------------------------------------------------------------- JSON and TOML


def test_what_is_in_order_is_read(tmp_path):
    facts = {"a": [1, 2.5, None, True], "b": {"c": 'brackets [[[ in "text" \\'}, "d": [[]] * 300}
    (tmp_path / "a.json").write_text(json.dumps(facts), encoding="utf-8")
    assert read_json(tmp_path / "a.json") == facts == read_json(str(tmp_path / "a.json"), strict=True)
    (tmp_path / "a.toml").write_text('\ufeffa.b.c = [1.5, "none"]\n[x.y]\nz = "ü . . ."\n', encoding="utf-8")
    assert read_toml(tmp_path / "a.toml") == {"a": {"b": {"c": [1.5, "none"]}}, "x": {"y": {"z": "ü . . ."}}}
    assert read_toml(tmp_path / "a.toml", none=True)["a"]["b"]["c"] == [1.5, None]
    assert np.isnan(parse_json("NaN"))


@pytest.mark.parametrize("text", ['"[[[', '{"a": "\\', '"\\\\"[', "[1,", "", '\\"[', "{]"])
def test_what_is_no_json_is_said(text):
    with pytest.raises(ValueError, match="^'f' is not JSON: "):
        parse_json(text, "f")


@pytest.mark.parametrize(
    "text, message",
    [
        ("[NaN]", "NaN is not a JSON number"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "it has the entry 'c' twice"),
        (b"\xff", "codec can't decode"),
    ],
)
def test_a_strict_reader(text, message):
    with pytest.raises(ValueError, match=f"^'f' is not JSON: .*{message}"):
        parse_json(text, "f", strict=True)


def nested(n, inner=""):
    return "[" * n + inner + "]" * n


@pytest.mark.parametrize(
    "text",
    [
        nested(101),
        "[" * 100_000,
        '{"a":' * 100_000,
        '["\\\\",' * 5000,
        nested(3000, '"]]]"'),
        "[" * 1_000_000,
        "[]," * 300_000 + "[" * 200,
    ],
)
def test_json_that_is_nested_too_deeply(cheap, text, tmp_path):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=r"run.json' is nested in more than 100 levels"):
        read_json(tmp_path / "run.json")
    with pytest.raises(ValueError, match="nested in more than 100 levels"):
        Mel.from_json(text)


def test_a_hundred_levels_are_read():
    assert parse_json(nested(100)) and parse_json('["\\"]", "[[", {"a": "{"}]') == ['"]', "[[", {"a": "{"}]
    assert parse_toml("a = " + nested(90)) and parse_toml(".".join("a" * 90) + " = 1")


@pytest.mark.parametrize(
    "text, message",
    [
        ("a = " + nested(100_000), "nested in more than 100 levels"),
        ("a = " + nested(101), "nested in more than 100 levels"),
        ("a.b = " + "{c = " * 300 + "1" + "}" * 300, "nested in more than 100 levels"),
        (".".join("a" * 20_000) + " = 1", "has a key of more than 100 parts"),
        ("[" + ' . "a" '.join("a" * 10_000) + "]", "is not TOML|has a key of more than 100 parts"),
        ("[" + " . ".join(["'a'", '"b"'] * 10_000) + "]", "has a key of more than 100 parts"),
        ("a" * 100_000, "is not TOML"),
        ("a = '" + "a" * 1_000_000, "is not TOML"),
        ("a = = 3", "is not TOML: Invalid value"),
    ],
)
def test_toml_that_is_refused(cheap, text, message, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ValueError, match=f"^'{re.escape(str(tmp_path))}.run.toml' .*({message})"):
        read_toml(tmp_path / "run.toml")
    with pytest.raises(ValueError, match=f"run.toml' .*({message})"):
        Mel.from_toml(tmp_path / "run.toml")


def test_files_that_are_too_large_or_no_files(cheap, tmp_path):
    file = tmp_path / "a.json"
    with open(file, "wb") as opened:
        opened.truncate(10**12)  # a hole
    with pytest.raises(ValueError, match=r"a.json' has 1000000000000 bytes; at most 67108864 are read"):
        read_json(file)
    with pytest.raises(ValueError, match="at most 4194304 are read"):
        read_toml(file)
    with pytest.raises(ValueError, match="is not a regular file"):
        read_json(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(ValueError, match="pipe' is not a regular file"):
            read_bytes(tmp_path / "pipe", 100)


def test_values_name_their_file(tmp_path):
    (tmp_path / "mel.toml").write_text(Mel(top_db=None).to_toml())
    assert Value.from_toml(tmp_path / "mel.toml") == Mel(top_db=None)


# ---------------------------------------------------------------------- arrays


def test_arrays_are_read_as_numpy_reads_them(tmp_path):
    arrays = {
        "a": np.eye(3),
        "b": np.array(["x", "ü"]),
        "c": np.zeros((0, 4), "u1"),
        "d": np.float32(2),
        "e": np.eye(3).T[:2],
    }
    for write in (np.savez, np.savez_compressed):
        write(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz")
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            assert found[name].dtype == np.asarray(array).dtype and np.array_equal(found[name], array)


def npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def header(text, version=1):
    size = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode()


@pytest.mark.parametrize(
    "data",
    [
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }\n") + bytes(80),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }\n") + bytes(80),
        header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9, 10**9), }\n") + bytes(80),
        header("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + b"cos\nsystem\n(S'true'\ntR.",
        header("(" * 9000),
        header("[" * 60_000, version=2),
        header("{'descr': '<f8', 'shape': ()}"),
        header("", version=3),
        b"\x93NUMPY\x02\0\xff\xff\xff\x7f",
        b"no array",
        b"",
    ],
)
def test_arrays_that_claim_what_they_are_not(cheap, data, tmp_path):
    with pytest.raises(ValueError, match=r"a\.npz' is not read: ."):
        read_npz(npz(tmp_path / "a.npz", a=data))


def test_arrays_that_would_fill_the_memory(cheap, tmp_path):
    zeros = header("{'descr': '|u1', 'fortran_order': False, 'shape': (99999872,), }".ljust(117) + "\n") + bytes(
        99_999_872
    )
    npz(tmp_path / "bomb.npz", a=zeros)
    del zeros
    tracemalloc.reset_peak()
    with pytest.raises(
        ValueError, match=r"bomb.npz' is not read: its arrays take 1\d{8} bytes, too many for a file of \d+"
    ):
        read_npz(tmp_path / "bomb.npz")
    np.savez(tmp_path / "a.npz", np.zeros(1000))
    with pytest.raises(ValueError, match="its arrays take 8128 bytes"):
        read_npz(tmp_path / "a.npz", max_bytes=8000)


@pytest.mark.parametrize("content", [b"", b"PK", b"\x80\x04K\x01.", b"text"])
def test_files_that_are_no_npz(content, tmp_path):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match="a.npz' is not read: it is not a .npz file"):
        read_npz(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError):
        read_npz(tmp_path / "b.npz")
