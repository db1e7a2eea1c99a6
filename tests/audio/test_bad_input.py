"""What people really have: broken files, odd names, headers that lie, full disks."""

import errno
import io
import os
import re
import struct
import subprocess
import tracemalloc
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from specimg.audio import Audio, AudioError, UnreadableError, read_audio, recording_seconds
from specimg.core import files
from specimg.render import manifest, tree as render
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Mel, Stft
from specimg.spectrogram.picture import describe, read_planes

SR = 8000
LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=128))
posix = pytest.mark.skipif(os.name != "posix", reason="names and links of POSIX")


def noise(n=2000, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(n)).astype("float32")


def encoded(format, y=None, sr=SR, **kwargs):
    """The bytes of a file."""
    data = io.BytesIO()
    sf.write(data, noise() if y is None else y, sr, format=format, **kwargs)
    return data.getvalue()


def chunk(name, data, size=None):
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


PCM = (noise(1000) * 32767).astype("<i2").tobytes()


def fmt(channels=1, sr=SR):
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, channels, sr, 2 * sr, 2, 16))


def wav(*chunks, size=None):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if size is None else size) + body


def patched(data, at, new):
    return data[:at] + new + data[at + len(new) :]


def flac_claiming(samples):
    """A flac whose header names another number of samples (36 bits)."""
    data = encoded("FLAC")
    word = int.from_bytes(data[18:26], "big")
    return patched(data, 18, (word >> 36 << 36 | samples).to_bytes(8, "big"))


def cut(data, share):
    return data[: int(len(data) * share)]


@pytest.fixture
def source(tmp_path, write_wav):
    """A folder with one good recording."""
    write_wav(tmp_path / "source" / "good.wav", noise(), SR)
    return tmp_path / "source"


@pytest.fixture
def draw(tmp_path):
    """draw(source, renderer=LOOK, **render_tree's) in this process, without the warnings about failures."""

    def call(source, renderer=LOOK, **kwargs):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*could not be drawn")
            return render_tree(source, renderer, **{"cache": tmp_path / "cache", "n_jobs": 1} | kwargs)

    return call


def reasons(tree):
    return dict(zip(tree.failures.path, tree.failures.reason))


# ---------------------------------------------------------------------- files that are not recordings, or not whole

BROKEN = {
    "text.wav": (b"this is not a sound\n" * 40, "is not a recording: it is text, which begins 'this is not a sound"),
    "text.mp3": (b"this is not a sound\n" * 40, "is not a recording: it is text, which begins 'this is not a sound"),
    "page.ogg": (b"<html><body>404 not found</body></html>", "is not a recording: it is an HTML page"),
    "zeros.flac": (bytes(5000), "is not a recording: it is 5000 bytes that are all zero"),
    "empty.wav": (b"", r"is empty \(0 bytes\)"),
    "riff.wav": (b"RIFF", "is not a recording: it is text, which begins 'RIFF'"),
    "header.wav": (b"RIFF\x24\0\0\0WAVE", "is not a recording that can be read"),
    "prose.wav": (
        b"RIFF is how this text begins, and it goes on",
        "is not a recording: it is text, which begins 'RIFF is how",
    ),
    "no samples.wav": (encoded("WAV", np.zeros(0)), "holds no samples"),
    "no samples.flac": (encoded("FLAC", np.zeros(0)), "is empty|holds no samples"),
    "cut.wav": (cut(encoded("WAV"), 0.7), r"is cut short: it ends \d+ bytes before its header says"),
    "cut early.wav": (encoded("WAV")[:45], r"is cut short: it ends \d+ bytes before its header says"),
    "cut by one.wav": (encoded("WAV")[:-1], "is cut short: it ends 1 bytes before its header says"),
    "cut float.wav": (cut(encoded("WAV", subtype="FLOAT"), 0.7), "is cut short"),
    "cut big-endian.wav": (cut(encoded("WAV", endian="BIG"), 0.7), "is cut short"),
    "cut extensible.wav": (cut(encoded("WAVEX"), 0.7), "is cut short"),
    "cut adpcm.wav": (cut(encoded("WAV", subtype="MS_ADPCM"), 0.7), "is cut short"),
    "cut rf64.wav": (cut(encoded("RF64"), 0.7), "is cut short"),
    "cut.w64": (cut(encoded("W64"), 0.7), "is cut short"),
    "cut.aiff": (cut(encoded("AIFF"), 0.7), "is cut short"),
    "cut.aifc": (cut(encoded("AIFF", subtype="FLOAT"), 0.7), "is cut short"),
    "cut.au": (cut(encoded("AU"), 0.7), "is cut short"),
    "cut little-endian.au": (cut(encoded("AU", endian="LITTLE"), 0.7), "is cut short"),
    "cut.caf": (cut(encoded("CAF"), 0.7), "is cut short|is not a recording that can be read"),
    "cut.flac": (cut(encoded("FLAC"), 0.7), "breaks off while being decoded"),
    "cut header.flac": (encoded("FLAC")[:60], "breaks off while being decoded|is not a recording"),
    "cut.mp3": (cut(encoded("MP3", noise(16000)), 0.7), r"is cut short: \d+ of the 30 frames its header promises"),
    "cut.ogg": (cut(encoded("OGG"), 0.7), "is not a recording that can be read"),
    "nan.wav": (
        encoded("WAV", np.r_[noise(4000), np.nan, noise(99)], subtype="FLOAT"),
        "1 samples are NaN or infinite, the first at 0.500 s",
    ),
    "inf.wav": (
        encoded("WAV", np.r_[np.inf, -np.inf, noise()], subtype="FLOAT"),
        "2 samples are NaN or infinite, the first at 0.000 s",
    ),
    "beyond single.wav": (encoded("WAV", np.full(2000, 1e300), subtype="DOUBLE"), "2000 samples are NaN or infinite"),
    "overflow.wav": (
        encoded("WAV", np.full(2000, 3e38), subtype="FLOAT"),
        r"power overflows; bring them down with Audio\(normalize='peak'\)",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_costs_a_row_with_its_reason(source, draw, name):
    data, reason = BROKEN[name]
    (source / name).write_bytes(data)
    if name != "overflow.wav":  # those samples are sound, but no single-precision picture of them is
        with pytest.raises(AudioError, match=f"{name}': ({reason})"):
            read_audio(source / name)
    tree = draw(source)
    assert len(tree) == 1 and list(reasons(tree)) == [name]
    assert re.search(reason, reasons(tree)[name])


def test_all_of_them_at_once_and_each_keeps_its_reason(source, draw):
    for name, (data, _) in BROKEN.items():
        (source / name).write_bytes(data)
    first = draw(source)
    assert len(first) == 1 and set(reasons(first)) == set(BROKEN)
    assert reasons(draw(source)) == reasons(SpecTree.open(first.root)) == reasons(first)


def test_a_recording_so_loud_that_its_power_overflows_can_be_normalized(source, draw):
    (source / "loud.wav").write_bytes(BROKEN["overflow.wav"][0])
    assert len(draw(source, LOOK.replace(audio=Audio(normalize="peak")))) == 2
    assert len(draw(source, LOOK.replace(representation=Stft(n_fft=256)))) == 2  # in double precision throughout


@pytest.mark.parametrize(
    "y",
    [np.zeros(2000), np.array([0.5]), np.array([0.0]), np.full(2000, 1e-38)],
    ids=["silence", "one sample", "one zero", "tiny"],
)
@pytest.mark.parametrize(
    "audio",
    [Audio(), Audio(sr=16000, trim_db=40, lowpass_hz=1000, normalize="rms", duration=0.3, pad="reflect")],
    ids=["as it is", "every step"],
)
def test_silence_and_next_to_nothing_are_drawn(source, draw, y, audio):
    sf.write(source / "odd.wav", y, SR, subtype="FLOAT")
    tree = draw(source, LOOK.replace(audio=audio))
    assert len(tree) == 2
    if not y.any():
        assert not read_planes(tree.picture("odd.wav")).any()


# ---------------------------------------------------------------------- headers

SOUND = {
    "list after": wav(fmt(), chunk(b"data", PCM), chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0\0")),
    "odd list before": wav(fmt(), chunk(b"LIST", b"INFOx"), chunk(b"data", PCM)),
    "odd junk before": wav(chunk(b"JUNK", b"x" * 27), fmt(), chunk(b"data", PCM)),
    "unknown chunk": wav(fmt(), chunk(b"abcd", b"x" * 27), chunk(b"data", PCM)),
    "odd data": wav(fmt(), b"data" + struct.pack("<I", len(PCM) + 1) + PCM + b"\0"),
    "riff size 0": wav(fmt(), chunk(b"data", PCM), size=0),
    "riff size all ones": wav(fmt(), chunk(b"data", PCM), size=0xFFFFFFFF),
    "garbage behind": wav(fmt(), chunk(b"data", PCM)) + b"no chunk at all" * 3,
    "streamed by ffmpeg": wav(fmt(), b"data\xff\xff\xff\xff" + PCM, size=0xFFFFFFFF),
    "streamed by sox": wav(fmt(), b"data\x00\xf0\xff\x7f" + PCM, size=0x7FFFF024),
    "streamed by arecord": wav(fmt(), b"data\x00\x00\x00\x80" + PCM, size=0x80000024),
    "streamed au": b".snd"
    + struct.pack(">5I", 24, 0xFFFFFFFF, 3, SR, 1)
    + np.frombuffer(PCM, "<i2").astype(">i2").tobytes(),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_header_that_is_odd_but_honest_is_read_whole(tmp_path, name):
    path = tmp_path / f"{name}.wav"
    path.write_bytes(SOUND[name])
    y, sr = read_audio(path)
    assert sr == SR
    np.testing.assert_array_equal(y, np.frombuffer(PCM, "<i2") / np.float32(32768))


RF64, W64, AU, CAF, AIFF = (encoded(kind) for kind in ("RF64", "W64", "AU", "CAF", "AIFF"))
LIES = {
    "rf64.wav": (
        patched(RF64, RF64.index(b"ds64") + 16, (1 << 40).to_bytes(8, "little")),
        "is cut short: it ends 10995116",
    ),
    "w64.w64": (
        patched(W64, W64.index(b"data") + 16, (1 << 40).to_bytes(8, "little")),
        "is cut short: it ends 10995116",
    ),
    "w64 zero.w64": (
        patched(W64, W64.index(b"fmt ") + 16, bytes(8)),
        "is not a recording|holds no samples|is cut short",
    ),
    "channels.wav": (wav(fmt(channels=65535), chunk(b"data", PCM)), "is not a recording that can be read|breaks off"),
    "no channel.wav": (wav(fmt(channels=0), chunk(b"data", PCM)), "is not a recording that can be read|breaks off"),
    "rate.wav": (wav(fmt(sr=0), chunk(b"data", PCM)), "is not a recording that can be read"),
    "chunk.wav": (
        wav(fmt(), chunk(b"LIST", b"INFO", size=0xFFFFFF00), chunk(b"data", PCM)),
        "is not a recording that can be read|is cut short",
    ),
    "no format.wav": (wav(chunk(b"data", PCM)), "is not a recording that can be read"),
}


@pytest.mark.parametrize("name", LIES)
def test_a_header_that_lies_is_found_out_without_asking_for_gigabytes(source, draw, name):
    data, reason = LIES[name]
    (source / name).write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(AudioError, match=reason):
            read_audio(source / name)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert list(reasons(draw(source))) == [name]


def field(data, at, size, order="little", width=4):
    """The file with another number of bytes in its header."""
    return patched(data, at, size.to_bytes(width, order))


UNFINISHED = {
    **{
        f"{size:#x}.wav": field(encoded("WAV"), 40, size)
        for size in (0, 0xFFFFFFFF, 0xFFFFFF9B, 0x7FFFFFFF, 0x7FFFF000)
    },
    **{f"{size:#x} float.wav": field(encoded("WAVEX"), 76, size) for size in (0, 0x80000000, 0xFFFFFFDB)},
    **{
        f"{size:#x} rf64.wav": field(RF64, RF64.index(b"ds64") + 16, size, width=8)
        for size in (0, 2**63 - 1, 2**64 - 1)
    },
    **{f"{size:#x}.w64": field(W64, W64.index(b"data") + 16, size, width=8) for size in (0, 24, 2**63 - 2, 2**64 - 1)},
    **{f"{size:#x}.au": field(AU, 8, size, "big") for size in (0, 2**31 - 1, 2**32 - 1, 0x7F000000)},
    **{f"{size:#x}.caf": field(CAF, CAF.index(b"data") + 4, size, "big", 8) for size in (0, 2**63 - 1, 2**64 - 1)},
    **{f"{size:#x}.aiff": field(AIFF, AIFF.index(b"SSND") + 4, size, "big") for size in (0, 0x7F000008, 2**32 - 1)},
    "pipe.flac": flac_claiming(0),
    "less.flac": flac_claiming(1000),
    "more.flac": flac_claiming(10**5),
    "most.flac": flac_claiming((1 << 36) - 1),
}


@pytest.mark.parametrize("name", UNFINISHED)
def test_what_was_written_into_a_pipe_or_never_finished_is_read_to_the_end(source, draw, name):
    path = source / name
    path.write_bytes(UNFINISHED[name])
    tracemalloc.start()
    try:
        y, sr = read_audio(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    (source / "intact").write_bytes(encoded("FLAC" if name.endswith("flac") else "WAV"))
    np.testing.assert_array_equal(y[:2000], read_audio(source / "intact")[0])
    assert sr == SR and len(y) - 2000 in (0, 2)  # two bytes more: what stands behind the samples of a caf
    np.testing.assert_array_equal(read_audio(path, start=0.1, end=0.2)[0], y[800:1600])
    assert recording_seconds(path) == len(y) / SR
    tree = draw(source)
    assert not len(tree.failures) and set(tree.table.duration) == {len(y) / SR, 0.25}


def test_a_wav_without_samples_and_with_a_chunk_behind_is_not_unfinished(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(fmt(), chunk(b"data", b""), chunk(b"LIST", b"INFOISFT\x05\0\0\0abcd\0\0")))
    with pytest.raises(AudioError, match="holds no samples"):
        read_audio(tmp_path / "a.wav")


def test_a_header_that_says_less_is_believed(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(fmt(), b"data" + struct.pack("<I", 500) + PCM))
    assert len(read_audio(tmp_path / "a.wav")[0]) == 250


@pytest.mark.parametrize("sr", [192000, 1])
def test_the_fastest_and_the_slowest_sampling_rate_are_drawn(source, draw, sr):
    (source / "odd.wav").write_bytes(encoded("WAV", sr=sr))
    with pytest.warns(UserWarning, match=f"1 at {sr} Hz"):
        tree = draw(source, Renderer(Mel(n_mels=8, n_fft=1024, hop_length=128)))
    info = describe(tree.picture("odd.wav"))
    assert (info.sr, info.height, info.width) == (sr, 8, 16)
    assert info.span[1] - info.span[0] == pytest.approx(16 * 128 / sr)


def test_a_sampling_rate_that_the_representation_cannot_draw_costs_a_row(source, draw):
    (source / "odd.wav").write_bytes(encoded("WAV", sr=192000))
    assert "of 16 mel filters catch no frequency bin" in reasons(draw(source))["odd.wav"]


def test_a_slow_recording_can_be_resampled(source, draw):
    (source / "odd.wav").write_bytes(encoded("WAV", noise(3), sr=1))
    tree = draw(source, LOOK.replace(audio=Audio(sr=16000)))
    assert len(tree) == 2 and describe(tree.picture("odd.wav")).frames == 1 + 48000 // 128


# ---------------------------------------------------------------------- what is not a file, or may not be read


@posix
def test_folders_and_links_named_like_recordings(source, draw, tmp_path):
    (source / "dir.wav").mkdir()
    (source / "dir.wav" / "inside.wav").write_bytes((source / "good.wav").read_bytes())
    os.symlink("nowhere.wav", source / "broken.wav")
    os.symlink("self.wav", source / "self.wav")
    os.symlink(source / "good.wav", source / "link.wav")
    os.symlink(source, source / "round")
    os.symlink("again", source / "again")
    os.mkfifo(source / "pipe.wav")
    tree = draw(source)
    assert tree.table.path[tree.table.status == "drawn"].tolist() == ["dir.wav/inside.wav", "good.wav", "link.wav"]
    assert reasons(tree) == {
        "broken.wav": "is a broken link to 'nowhere.wav'",
        "dir.wav": "is a folder, not a recording",
        "pipe.wav": "is empty (0 bytes)",
        "self.wav": "is a broken link to 'self.wav'",
    }


def test_files_of_a_list_that_are_not_there_are_rows(source, draw):
    tree = draw(["good.wav", "none.wav", "odd\ud800.wav", "n" * 300 + ".wav", "."], root=source)
    assert len(tree) == 1
    assert list(reasons(tree).values()) == ["is not there"] * 3 + ["is a folder, not a recording"]
    tree = draw(["good.wav", "none.wav"], root=source)
    (source / "none.wav").write_bytes((source / "good.wav").read_bytes())
    assert len(draw(["good.wav", "none.wav"], root=source)) == 2


def test_a_file_that_may_not_be_read_is_tried_again(source, draw, monkeypatch):
    (source / "secret.wav").write_bytes((source / "good.wav").read_bytes())

    def guarded(path, *args):
        if str(path).endswith("secret.wav"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return open(path, *args)

    with monkeypatch.context() as patch:
        patch.setattr("specimg.audio.readers.open", guarded, raising=False)
        with pytest.raises(UnreadableError, match="secret.wav': cannot be read: Permission denied"):
            read_audio(source / "secret.wav")
        tree = draw(source)
    assert reasons(tree) == {"secret.wav": "cannot be read: Permission denied"} and set(tree.table.status) == {
        "drawn",
        "unreadable",
    }
    assert len(draw(source)) == 2


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read everything")
def test_a_file_without_permission(source, draw):
    (source / "secret.wav").write_bytes((source / "good.wav").read_bytes())
    (source / "secret.wav").chmod(0)
    assert reasons(draw(source)) == {"secret.wav": "cannot be read: Permission denied"}
    (source / "secret.wav").chmod(0o600)
    assert len(draw(source)) == 2


def test_a_folder_that_may_not_be_listed_is_left_out_with_a_warning(source, draw, monkeypatch):
    (source / "closed").mkdir()
    scandir = os.scandir

    def guarded(path):
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.warns(UserWarning, match="the folder '.*closed' is left out: Permission denied"):
        assert len(draw(source)) == 1


def test_memory_that_runs_out_is_no_fault_of_the_file(source, draw, monkeypatch):
    def none_left(self, *shape):
        raise MemoryError("Unable to allocate")

    with monkeypatch.context() as patch:
        patch.setattr("specimg.audio.readers.SampleBuffer.take", none_left)
        tree = draw(source)
    assert reasons(tree) == {"good.wav": "does not fit into the memory there is: Unable to allocate"}
    assert len(draw(source)) == 1


# ---------------------------------------------------------------------- names

NAMES = [
    "with space.wav",
    " lead and trail .wav",
    "quo'te\"s.wav",
    "ünïcödé 音.wav",
    "right-to-left \u202e.wav",
    "new\nline.wav",
    "tab\t.wav",
    "-dash.wav",
    "--help.wav",
    "%41 %2F ?#&.wav",
    "$HOME `ls` $(ls).wav",
    "back\\slash.wav",
    "star*[x].wav",
    "a.wav.png.wav",
    "comma, semicolon; .wav",
    "a@0-1.wav",
    "n" * 246 + ".wav",
    "ü" * 123 + ".wav",
    "deep/er/and/deeper/x.wav",
    "CON.wav",
    os.fsdecode(b"caf\xe9.wav"),
    os.fsdecode(b"\xff\xfe/\x80.wav"),
]


@posix
def test_a_name_may_be_anything(source, draw, monkeypatch):
    data = (source / "good.wav").read_bytes()
    for name in NAMES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(data)
    tree = draw(source)
    assert set(tree.table.path) == {*NAMES, "good.wav"} and len(tree) == len(NAMES) + 1
    assert {tree.picture(name).read_bytes() for name in NAMES} == {LOOK.png(source / "good.wav")}
    assert all(tree.picture(name) == tree.images / f"{name}.png" for name in NAMES)
    assert all(describe(tree.picture(source / name)).sr == SR for name in NAMES)
    found = SpecTree.open(tree.root)
    assert set(found.table.path) == set(tree.table.path) and len(found.verify()) == 0
    assert len(pd.read_csv(tree.root / "manifest.csv")) == len(NAMES) + 1
    monkeypatch.setattr(render, "read_clip", None)
    assert draw(source).table.equals(tree.table)
    assert draw([source / name for name in NAMES], root=source).table.path.tolist() == NAMES


@posix
def test_a_name_that_leaves_no_room_for_the_pictures_costs_a_row(source, draw):
    data = (source / "good.wav").read_bytes()
    for name in ("n" * 251 + ".wav", "good.wav.png/below.wav", "ü" * 125 + ".wav"):
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_bytes(data)
    tree = draw(source)
    assert len(tree) == 1 and len(tree.failures) == 3
    assert all(reason.startswith("no picture can have the name '") for reason in tree.failures.reason)
    assert reasons(draw(source)) == reasons(tree)


@posix
def test_a_name_too_long_with_its_segments_times_costs_a_row(source, draw):
    name = "n" * 246 + ".wav"
    (source / name).write_bytes((source / "good.wav").read_bytes())
    tree = draw(source, segments=[dict(path=name, start=0, end=0.125), dict(path="good.wav", start=0, end=0.125)])
    assert len(tree) == 1 and "File name too long" in tree.failures.reason[0]


def test_a_modification_time_beyond_the_manifests_integers(source, draw, monkeypatch):
    os.utime(source / "good.wav", (1, 13_569_465_600))  # the year 2400
    if os.stat(source / "good.wav").st_mtime < 13e9:
        pytest.skip("this disk knows no such year")
    assert len(draw(source)) == 1
    monkeypatch.setattr(render, "read_clip", None)
    assert len(draw(source)) == 1


# ---------------------------------------------------------------------- disks


def many(source, n):
    data = (source / "good.wav").read_bytes()
    for i in range(n):
        (source / f"{i:03d}.wav").write_bytes(data)
    return n + 1


def whole_pictures(cache):
    (root,) = cache.iterdir()
    pictures = list((root / "images").iterdir())
    assert all(path.read_bytes().endswith(b"IEND\xaeB`\x82") and path.suffix == ".png" for path in pictures)
    return pictures


def test_a_disk_that_fills_ends_the_run_and_keeps_what_is_drawn(source, draw, tmp_path, monkeypatch):
    n = many(source, 40)
    written = []

    def filling(path, data):
        if len(written) >= 30 and str(path).endswith(".png"):
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        files.write_atomic(path, data)

    monkeypatch.setattr("specimg.core.parallel.CHUNK", 4)
    with monkeypatch.context() as patch:
        patch.setattr(render, "write_atomic", filling)
        with pytest.raises(
            OSError, match="no space left while drawing into .*; what is drawn is kept: make room, or choose another"
        ) as caught:
            draw(source)
    assert caught.value.errno == errno.ENOSPC and isinstance(caught.value.__cause__, OSError)
    assert len(whole_pictures(tmp_path / "cache")) == 29  # and renderer.json
    drawn = []
    read = render.read_clip
    monkeypatch.setattr(render, "read_clip", lambda *args: (drawn.append(args[0]), read(*args))[1])
    assert len(draw(source)) == n and len(drawn) == n - 28  # seven chunks of four had their rows


def test_a_real_small_disk_that_fills(source, draw, tmp_path, mount_tmpfs):
    n = many(source, 150)
    disk = mount_tmpfs(tmp_path / "disk", "size=300k")
    with pytest.raises(OSError, match="no space left while drawing into"):
        draw(source, cache=disk)
    kept = len(whole_pictures(disk))
    assert 0 < kept < n
    subprocess.run(["mount", "-o", "remount,size=5m", disk], check=True)
    tree = draw(source, cache=disk)
    assert len(tree) == n and len(tree.verify()) == 0


def test_a_disk_so_small_that_no_tree_begins(source, draw, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk", "size=4k")
    with pytest.raises(OSError, match="no space left while drawing into"):
        draw(source, cache=disk)


def test_a_manifest_that_cannot_grow_is_a_full_disk(source, draw, monkeypatch):
    many(source, 100)
    open_to_write = manifest._open_to_write

    def small(path):
        db = open_to_write(path)
        db.execute("PRAGMA max_page_count=1")  # it keeps the pages that it has
        return db

    monkeypatch.setattr(manifest, "_open_to_write", small)
    with pytest.raises(OSError, match="no space left while drawing into"):
        draw(source)


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_cache_that_cannot_be_written_is_said(source, draw, monkeypatch, code):
    def refused(path, data):
        raise OSError(code, "refused")

    monkeypatch.setattr(render, "write_atomic", refused)
    with pytest.raises(PermissionError, match="cannot be written to; choose another folder with cache="):
        draw(source)


def test_a_cache_on_a_disk_that_is_read_only(source, draw, tmp_path, mount_tmpfs):
    disk = mount_tmpfs(tmp_path / "disk")
    draw(source, cache=disk)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    assert len(draw(source, cache=disk)) == 1  # there is nothing to write
    many(source, 3)
    with pytest.raises(PermissionError, match="cannot be written to; choose another folder with cache="):
        draw(source, cache=disk)
    with pytest.raises(PermissionError, match="cannot be written to"):
        draw(source, LOOK.replace(audio=Audio(sr=4000)), cache=disk)


def test_a_cache_that_is_a_file(source, draw, tmp_path):
    (tmp_path / "cache").write_bytes(b"")
    with pytest.raises(OSError, match="drawing into .*cache.* failed: .*Not a directory|cannot be written to"):
        draw(source)


def test_samples_near_the_end_of_floats_are_refused_and_not_resampled(tmp_path):
    y = np.full(4800, 3e38, np.float32)
    y[::2] *= -1
    sf.write(tmp_path / "huge.wav", y, 8000, subtype="FLOAT")
    with pytest.raises(ValueError, match="too large to be resampled; the file is damaged"):
        read_audio(tmp_path / "huge.wav", Audio(sr=6000, trim_db=40))
