"""Recordings of every kind that people have: read to their true end, alike in every door; what is damaged or no sound is said."""

import io
import shutil
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from made_recordings import SR, aligned, encode, flac_of_bits, made, sound, written

from specimg.audio import Audio, AudioError, cut_windows, find_audio, read_audio, recording_seconds
from specimg.audio.decode import decode
from specimg.audio.find import decoder_of_name
from specimg.audio.stream import stream_spans
from specimg.render.manifest import PARTIAL
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.spectrogram import Mel

KINDS = {kind.name: kind for kind in made()}
READ, DAMAGED, REFUSED = (
    [name for name, kind in KINDS.items() if kind.status == status] for status in ("read", "damaged", "refused")
)
LOOK = Renderer(Mel(n_mels=16, n_fft=512, hop_length=256), audio=Audio(sr=8000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All of them."""
    folder = tmp_path_factory.mktemp("made")
    for name, kind in KINDS.items():
        (folder / name).write_bytes(kind.data)
    return folder


def likeness(y, sr):
    """The highest correlation of mono samples with the sound that went in, wherever it lies in them."""
    a, b = aligned(y, sr)
    return len(a) / len(sound(sr)) * np.corrcoef(a, b)[0, 1]


# ---------------------------------------------------------------------- whole ones


@pytest.mark.parametrize("name", READ)
def test_a_recording_is_read_to_its_true_end(folder, name):
    kind = KINDS[name]
    y, sr = read_audio(folder / name)
    assert kind.samples <= len(y) <= kind.samples + kind.slack
    if name.startswith("amr"):  # made by hand, of nothing
        return
    for first in range(0, len(y) - len(y) // kind.copies + 1, len(y) // kind.copies):
        assert likeness(y[first : first + len(y) // kind.copies + 2000], sr) > 0.93


@pytest.mark.parametrize("name", READ)
def test_every_door_gives_the_same_samples(folder, name):
    path = folder / name
    y, sr = read_audio(path)
    assert recording_seconds(path) == len(y) / sr
    assert np.array_equal(read_audio(path.read_bytes())[0], y)
    with open(path, "rb") as file:
        assert np.array_equal(read_audio(file)[0], y)
    for start, end in ((0.0, 0.5), (0.5, 1.0), (1.2, None), (1.2, 99)):
        span = y[round(start * sr) : None if end is None else round(end * sr)]
        np.testing.assert_allclose(read_audio(path, start=start, end=end)[0], span, atol=1e-6)
    spans = list(stream_spans(path, 0.5))
    assert not any(span.reason for span in spans) and spans[-1].end == pytest.approx(len(y) / sr, abs=1e-6)
    np.testing.assert_allclose(spans[1].y.mean(axis=1), y[round(0.5 * sr) : round(1.0 * sr)], atol=1e-6)
    windows = cut_windows([name], 0.5, folder=folder, rest="shift")
    assert windows["end"].iloc[-1] == pytest.approx(len(y) / sr, abs=1e-6)


@pytest.mark.parametrize("bits", [12, 20, 32])
def test_flac_of_odd_bits_is_exact(tmp_path, bits):
    (tmp_path / "a.flac").write_bytes(flac_of_bits(bits))
    want = np.round(sound()[:, 0].astype(np.float64) * (2 ** (bits - 1) - 1)) / 2 ** (bits - 1)
    np.testing.assert_allclose(read_audio(tmp_path / "a.flac")[0], want, atol=1e-7)


@pytest.mark.parametrize("muxer, codec", [("mp3", "libmp3lame"), ("mp2", "mp2"), ("adts", "aac"), ("ipod", "aac")])
def test_spans_far_into_a_recording_are_slices_of_the_whole(tmp_path, monkeypatch, muxer, codec):
    monkeypatch.setattr("made_recordings.SECONDS", 9.0)
    (tmp_path / "a").write_bytes(encode(muxer, codec, bit_rate=128000))
    whole = decode(tmp_path / "a").y
    for start in (0.2, 1.5, 4.0, 7.77, 8.9):
        first, last = round(start * SR), round((start + 0.3) * SR)
        assert np.array_equal(decode(tmp_path / "a", start, start + 0.3).y, whole[first:last])
    with pytest.raises(AudioError, match=r"ends at [\d.]+ s, before the span from 10 s"):
        decode(tmp_path / "a", 10.0)


def test_joined_parts_of_different_rates_are_brought_to_the_first(tmp_path):
    parts = [
        written("OGG", "VORBIS"),
        written("OGG", "VORBIS", sound(22050)[:, :1], 22050),
        encode("mp3", "libmp3lame", bit_rate=128000),
        encode("mp3", "libmp3lame", 22050, 1, bit_rate=64000),
    ]
    for name, data in (("a.ogg", parts[0] + parts[1]), ("a.mp3", parts[2] + parts[3])):
        (tmp_path / name).write_bytes(data)
        y, sr = read_audio(tmp_path / name)
        n = len(sound())
        assert sr == SR and abs(len(y) - 2 * n) <= 512  # as far as FFmpeg's Vorbis goes beyond the end
        assert likeness(y[n - 500 :] / 0.75, SR) > 0.98


def test_a_file_object_that_cannot_seek_is_read(folder):
    data = (folder / "wav.wav").read_bytes()

    class Pipe(io.RawIOBase):
        def seekable(self):
            return False

        def read(self, n=-1):
            return data

    assert len(read_audio(Pipe())[0]) == len(sound())
    with pytest.raises(AudioError, match="'<bytes>': is not a recording: it is text"):
        read_audio(b"not a sound")


@pytest.mark.filterwarnings("ignore:1 file below")
def test_what_is_read_when_named_is_found_when_listed(folder):
    assert set(find_audio(folder)) == set(KINDS) - {"bare.raw"}
    assert {decoder_of_name(name) for name in ("a.M4A", "b.mp3")} == {"av"} and decoder_of_name("a.flac") == "soundfile"


@pytest.mark.parametrize("command", ["speexenc", "sox"])
def test_what_only_another_program_writes(tmp_path, command):
    """Speex, and what sox writes into pipes."""
    if not shutil.which(command):
        pytest.skip(f"no {command} here")
    sf.write(tmp_path / "a.wav", sound(16000)[:, :1], 16000)
    if command == "speexenc":
        subprocess.run(["speexenc", "-w", tmp_path / "a.wav", tmp_path / "a.spx"], check=True, capture_output=True)
        y, sr = read_audio(tmp_path / "a.spx")
        assert sr == 16000 and likeness(y, sr) > 0.8
        return
    for kind in ("wav", "au", "flac", "sph", "ircam", "aiff"):
        data = subprocess.run(f"cat a.wav | sox -t wav - -t {kind} -", shell=True, cwd=tmp_path, capture_output=True)
        (tmp_path / "piped").write_bytes(data.stdout)
        np.testing.assert_allclose(read_audio(tmp_path / "piped")[0], sound(16000)[:, 0], atol=1e-4)


# ---------------------------------------------------------------------- damaged ones, and what is no sound


@pytest.mark.parametrize("name", DAMAGED)
def test_what_breaks_off_is_refused_or_read_as_far_as_it_goes(folder, name):
    path, partial = folder / name, Audio(damaged="partial")
    with pytest.raises(
        AudioError, match=r"(is cut short|is damaged|breaks off).*; Audio\(damaged='partial'\) reads what"
    ):
        read_audio(path)
    if name != "flac with a bad frame.flac":  # which is found by decoding alone
        with pytest.raises(AudioError):
            recording_seconds(path)
    with pytest.warns(UserWarning, match=r"(is cut short|is damaged|breaks off).*; it is read up to there"):
        y, sr = read_audio(path, partial)
    assert KINDS[name].samples <= len(y) < 8 * len(sound())
    assert abs(recording_seconds(path, "partial") - len(y) / sr) < 1e-9
    whole = sound(sr).mean(axis=1)
    n = min(len(y), len(whole))
    assert likeness(y, sr) > 0.9 * n / len(whole)
    *spans, end = stream_spans(path, 0.1)
    assert end.y is None and end.reason and not any(span.reason for span in spans)


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_sound_is_named(folder, name):
    kinds = {
        "page": "an HTML page",
        "feed": "XML",
        "pointer": "a git-LFS pointer, which stands for the recording; `git lfs pull` fetches that",
        "archive": "a zip archive",
        "answer": "JSON",
        "notes": "text, which begins 'This is what was said at the meeting",
        "zeros": "5000 bytes that are all zero",
        "bare": "holds bare samples: without a header nobody knows their sampling rate",
        "noise": "is not a recording that can be read",
        "index lost": "The index of an mp4 stands at its end: this one is cut short",
    }
    for source in (folder / name, (folder / name).read_bytes() if name != "bare.raw" else folder / name):
        with pytest.raises(AudioError) as caught:
            read_audio(source)
        assert kinds[name.partition(".")[0]] in caught.value.reason


def test_a_title_that_is_not_utf8_does_no_harm(tmp_path):
    data = KINDS["aac in wav.wav"].data
    title = b"LIST" + (16).to_bytes(4, "little") + b"INFOINAM" + (4).to_bytes(4, "little") + b"\xe9\xff\xfe\0"
    assert len(read_audio(data[:12] + title + data[12:])[0]) == len(read_audio(data)[0])


def test_a_video_without_sound_says_so(tmp_path):
    import av

    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8))))
        container.mux(stream.encode(None))
    with pytest.raises(AudioError, match="holds no sound, but video"):
        read_audio(tmp_path / "a.mp4")


def test_nothing_is_printed_by_the_libraries_that_decode(folder):
    code = (
        "import sys; from specimg.audio import read_audio, AudioError\n"
        "for path in sys.argv[1:]:\n    try: read_audio(path)\n    except AudioError: pass\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *(folder / name for name in KINDS)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_cut_at_any_byte_of_a_flac_or_ogg_is_found(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("flac.flac", "vorbis.ogg", "flac in Ogg.oga"):
        data = KINDS[name].data
        for size in rng.integers(100, len(data) - 1, 12):
            with pytest.raises(AudioError):
                read_audio(data[:size])


# ---------------------------------------------------------------------- every door at once


def test_a_tree_of_all_of_them(folder, tmp_path):
    look = LOOK.replace(audio=Audio(sr=8000, damaged="partial"))
    with pytest.warns(UserWarning) as told:
        tree = render_tree(folder, look, tmp_path, n_jobs=1, progress=False)
    status = dict(zip(tree.table.path, tree.table.status))
    expected = dict.fromkeys(READ, "drawn") | dict.fromkeys(DAMAGED, PARTIAL) | dict.fromkeys(REFUSED, "failed")
    assert status == {name: what for name, what in expected.items() if name != "bare.raw"}
    assert any(
        f"{len(DAMAGED)} of {len(tree.table)} clips are drawn only as far as their recording goes" in str(w.message)
        for w in told
    )
    assert len(tree) == len(READ) + len(DAMAGED) and tree.picture("mp3 cut.mp3").exists()
    for row in tree.table[tree.table.status != "failed"].itertuples():
        assert row.duration == recording_seconds(folder / row.path, "partial")
        assert bool(row.reason) == (row.status == PARTIAL)
    assert {"av", "soundfile"} <= set(SpecTree.open(tree.root).renderer.libraries | {"av"})
    import json

    assert {"av", "soundfile"} <= set(json.loads((tree.root / "renderer.json").read_text())["versions"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = render_tree(folder, look, tmp_path, n_jobs=1, progress=False)
        refusing = render_tree(folder, LOOK, tmp_path, n_jobs=1, progress=False)
    assert again.table.equals(tree.table)
    assert len(refusing) == len(READ) and set(refusing.table.status) == {"drawn", "failed"}


def test_a_tree_of_wav_alone_does_not_depend_on_the_other_decoder(tmp_path, write_wav):
    import json

    write_wav(tmp_path / "clips" / "a.wav", sound(8000), 8000)
    tree = render_tree(tmp_path / "clips", LOOK, tmp_path, progress=False)
    assert "av" not in json.loads((tree.root / "renderer.json").read_text())["versions"]


def test_importing_and_reading_wav_does_without_the_other_decoder(folder):
    code = (
        "import sys; from specimg.audio import read_audio\n"
        "for path in sys.argv[1:]: read_audio(path); print('av' in sys.modules)"
    )
    names = ("wav.wav", "flac.flac", "vorbis.ogg", "aac.m4a")
    done = subprocess.run([sys.executable, "-c", code, *(folder / n for n in names)], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False", "False", "True"], done.stderr


def test_a_partial_recording_is_cut_up_to_there_where_that_is_asked_for(folder):
    table = pd.DataFrame({"path": ["wav cut.wav"]})
    assert cut_windows(table, 0.25, folder=folder)["start"].isna().all()
    assert cut_windows(table, 0.25, folder=folder, damaged="partial")["end"].tolist() == [0.25, 0.5]
    with pytest.raises(ValueError, match="unknown damaged 'skip'"):
        cut_windows(table, 0.25, folder=folder, damaged="skip")
