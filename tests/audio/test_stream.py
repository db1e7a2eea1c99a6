"""Long recordings window by window: the samples, pictures and answers of each span read alone, and what strange recordings give."""

import dataclasses
import math
import os
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch

from specimg.audio import Audio
from specimg.audio.decode import decode
from specimg.audio.readers import BLOCK
from specimg.audio.stream import stream_spans
from specimg.audio.windows import cut_windows
from specimg.cli import main
from specimg.data import PictureInput, SpecDataLoaders, WaveDataLoaders
from specimg.data.images import FitSize
from specimg.inference import load_classifier, save_classifier
from specimg.inference.events import merge_events, read_events
from specimg.render.renderer import Renderer
from specimg.render.tree import render_tree
from specimg.spectrogram import Mel
from specimg.spectrogram.picture import describe, read_planes
from specimg.training.learner import spec_learner

torch.set_num_threads(1)
SR = 8000
MEL = Mel(n_mels=16, n_fft=256, hop_length=64)


def noise(seconds, sr=SR, channels=1, seed=0):
    y = 0.1 * np.random.default_rng(seed).standard_normal((round(seconds * sr), channels))
    return y.astype("float32")


def times(spans):
    return [(span.start, span.end) for span in spans]


# ---------------------------------------------------------------------- the samples


@pytest.mark.parametrize(
    "length, seconds, overlap, expected",
    [
        (10, 4, 0, [(0, 4), (4, 8), (6, 10)]),  # the last ends with the recording
        (10, 4, 2, [(0, 4), (2, 6), (4, 8), (6, 10)]),
        (8, 4, 0, [(0, 4), (4, 8)]),
        (10, 4, 1, [(0, 4), (3, 7), (6, 10)]),
        (1.5, 4, 2, [(0, 1.5)]),  # shorter than a window
        (4, 4, 3.5, [(0, 4)]),
        (4.0005, 4, 0, [(0, 4), (0.0005, 4.0005)]),  # four samples more are seen, too
    ],
)
def test_starts_and_ends(length, seconds, overlap, expected, tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(length), SR)
    assert times(stream_spans(path, seconds, overlap)) == expected


@pytest.mark.parametrize(
    "name, kwargs",
    [
        ("a.wav", {}),
        ("a.wav", dict(subtype="FLOAT")),
        ("a.wav", dict(subtype="PCM_24")),
        ("a.wav", dict(subtype="GSM610")),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.mp3", {}),
        ("a.aiff", {}),
        ("a.w64", {}),
    ],
    ids=lambda p: p if isinstance(p, str) else p.get("subtype", ""),
)
@pytest.mark.parametrize("seconds, overlap", [(0.7, 0.0), (0.5, 0.3), (1 / 3, 0.1)])
def test_every_window_holds_the_very_samples_of_its_span_read_alone(
    name, kwargs, seconds, overlap, tmp_path, write_wav
):
    """Also of codecs that cannot be sought in (GSM) or whose seeking is a matter of its own (mp3)."""
    channels, sr = (1, SR) if kwargs.get("subtype") == "GSM610" else (2, 22050)
    path = write_wav(tmp_path / name, noise(3.21, sr, channels), sr, **kwargs)
    whole = decode(path).y
    spans = list(stream_spans(path, seconds, overlap))
    for span in spans:
        assert span.y.dtype == np.float32 and span.sr == sr and not span.reason
        first, last = round(span.start * sr), round(span.end * sr)
        assert np.array_equal(span.y, whole[first:last])
        if not name.endswith(("mp3", "ogg")):
            assert np.array_equal(span.y, decode(path, span.start, span.end)[0])
    assert abs(len(spans[0].y) - seconds * sr) < 1
    seen = np.zeros(len(whole), bool)
    for span in spans:
        seen[round(span.start * sr) : round(span.end * sr)] = True
    assert seen.all()


def test_windows_are_those_of_cut_windows(tmp_path, write_wav):
    write_wav(tmp_path / "a.wav", noise(7.3, 44100), 44100)
    for seconds, overlap in [(1, 0), (0.3, 0.2), (2, 0.7), (1.234567, 0), (9, 1)]:
        table = cut_windows(["a.wav"], seconds, overlap, folder=tmp_path, rest="shift")
        assert times(stream_spans(tmp_path / "a.wav", seconds, overlap)) == [
            tuple(row) for row in table[["start", "end"]].values.tolist()
        ]


def test_windows_longer_than_a_piece_that_is_read(tmp_path, write_wav):
    y = noise(100.3 * BLOCK / 48000, 48000)
    path = write_wav(tmp_path / "a.wav", y, 48000, subtype="FLOAT")
    seconds = 80.5 * BLOCK / 48000
    spans = list(stream_spans(path, seconds))
    assert len(spans) == 2
    assert np.array_equal(spans[0].y, y[: round(spans[0].end * 48000)]) and np.array_equal(
        spans[1].y, y[-len(spans[1].y) :]
    )


def test_a_window_may_be_changed_without_changing_the_next(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(3), SR, subtype="FLOAT")
    calm = [span.y for span in stream_spans(path, 1, 0.5)]
    for span, wanted in zip(stream_spans(path, 1, 0.5), calm):
        assert np.array_equal(span.y, wanted)
        span.y[:] = 7


@pytest.mark.parametrize(
    "seconds, overlap, message",
    [
        (0, 0, "seconds=0; give the length"),
        (-1, 0, "seconds=-1"),
        (float("nan"), 0, "seconds=nan"),
        (float("inf"), 0, "seconds=inf"),
        (1e-9, 0, "seconds=1e-09"),
        (2, 2, "overlap=2; give seconds from 0 up to, but not as long as, the window of 2 s"),
        (2, 3, "overlap=3"),
        (2, -1, "overlap=-1"),
        (2, float("nan"), "overlap=nan"),
        (2, 1.9999999, "overlap=1.9999999"),
    ],
)
def test_impossible_windows_are_refused(seconds, overlap, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        list(stream_spans(tmp_path / "a.wav", seconds, overlap))


# ---------------------------------------------------------------------- recordings that are none, or break off


def last_words(path, seconds=1.0):
    """(times of the windows, where the row with the reason begins, the reason)."""
    *spans, end = stream_spans(path, seconds)
    assert end.y is None and math.isnan(end.end) and not any(span.reason for span in spans)
    return times(spans), end.start, end.reason


def test_a_wav_that_was_cut_short_gives_what_there_is_and_then_the_reason(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(4), SR)
    size = os.path.getsize(path)
    os.truncate(path, 44 + 2 * 20000)  # 2.5 of 4 s
    assert last_words(path) == (
        [(0, 1), (1, 2), (1.5, 2.5)],
        2.5,
        f"is cut short: it ends {size - 40044} bytes before its header says",
    )


def test_a_flac_that_was_cut_short_gives_what_there_is_and_then_the_reason(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.flac", noise(9), SR)
    os.truncate(path, os.path.getsize(path) // 2)
    spans, begins, reason = last_words(path)
    assert spans[:3] == [(0, 1), (1, 2), (2, 3)] and begins == spans[-1][1] and 4.5 - (4096 + BLOCK) / SR < begins < 4.5
    assert reason.startswith(("is cut short: ", "breaks off at 4.096 s: "))


def test_a_flac_that_is_damaged_in_the_middle_gives_what_comes_before(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.flac", noise(30), SR)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 20000] = b"\x55" * 20000
    path.write_bytes(data)
    spans = list(stream_spans(path, 1.0))
    assert len(spans) > 12 and times(spans[:12]) == [(i, i + 1) for i in range(12)]
    assert spans[-1].reason


def test_the_end_of_a_pipe_is_the_end(tmp_path, write_wav):
    """A size of 0xFFFFFFFF is what ffmpeg leaves when it writes into a pipe: no promise."""
    path = write_wav(tmp_path / "a.wav", noise(2.5), SR)
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    assert times(stream_spans(path, 1)) == [(0, 1), (1, 2), (1.5, 2.5)]


def test_a_header_that_claims_hours_costs_no_memory(tmp_path, write_wav):
    """A flac says how many samples it holds in 36 bits; two seconds of sound claim 68 billion of them, and are read."""
    path = write_wav(tmp_path / "a.flac", noise(2), SR)
    data = bytearray(path.read_bytes())
    data[21] |= 0x0F  # total samples: the low half of byte 21, and bytes 22 to 25
    data[22:26] = b"\xff" * 4
    path.write_bytes(data)
    (span,) = stream_spans(path, 10000)
    assert (span.start, span.end, len(span.y), span.reason) == (0, 2, 2 * SR, "")
    path.write_bytes(data[:-100])
    spans, begins, reason = last_words(path, 10000)
    assert spans == [(0, begins)] and 2 - BLOCK / SR <= begins <= 2
    assert reason.startswith("breaks off at 1.536 s")


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "is empty (0 bytes)"),
        (b"this is a text file, not a sound", "is not a recording: it is text"),
        (None, "is not there"),
        ("folder", "is a folder, not a recording"),
    ],
)
def test_what_is_no_recording_is_one_span_with_the_reason(data, reason, tmp_path):
    path = tmp_path / "a.wav"
    if data == "folder":
        path.mkdir()
    elif data is not None:
        path.write_bytes(data)
    (span,) = stream_spans(path, 1.0)
    assert math.isnan(span.start) and span.y is None
    assert reason in span.reason


def test_a_recording_without_samples(tmp_path, write_wav):
    (span,) = stream_spans(write_wav(tmp_path / "a.wav", np.zeros(0, "float32"), SR), 1.0)
    assert (span.y, span.start, span.reason) == (None, 0, "holds no samples")


def test_windows_of_less_than_two_samples_are_refused(tmp_path, write_wav):
    (span,) = stream_spans(write_wav(tmp_path / "a.wav", noise(1, 1000), 1000), 0.0015)
    assert span.reason == "has less than two samples in 0.0015 s at 1000 Hz"


def test_windows_that_no_memory_holds_are_refused(tmp_path, write_wav):
    """A sampling rate of 2 GHz, which is what a damaged header says."""
    path = write_wav(tmp_path / "a.au", noise(1), SR)
    data = bytearray(path.read_bytes())
    data[16:20] = (2**31 - 1).to_bytes(4, "big")
    path.write_bytes(data)
    (span,) = stream_spans(path, 1.0)
    assert (
        span.reason
        == "has 2147483647 samples in a window of 1 s (at 2147483647 Hz), too many to draw; give shorter windows"
    )


def test_the_file_is_closed_when_the_iterator_is(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(3), SR)

    def is_open():
        return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd"))

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("nobody says which files are open")
    spans = stream_spans(path, 1.0)
    next(spans)
    assert is_open()
    spans.close()
    assert not is_open()


# ---------------------------------------------------------------------- a classifier


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Twelve clips of half a second in two classes."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        for label, level in (("loud", 0.4), ("label", 0.02)):
            sf.write(folder / f"{label}{i}.wav", level * rng.standard_normal(SR // 2), SR)
            rows.append((f"{label}{i}.wav", label))
    return SimpleNamespace(folder=folder, table=pd.DataFrame(rows, columns=["path", "label"]))


def classifier(clips, folder, audio=Audio(sr=SR, duration=0.5), **kwargs):
    options = {
        "renderer": Renderer(MEL, audio=audio),
        "cache": clips.folder / "cache",
        "bs": 4,
        "n_jobs": 1,
        "size": (16, 32),
        **kwargs,
    }
    dls = SpecDataLoaders.from_df(clips.table, clips.folder, **options)
    learn = spec_learner(dls, "test_resnet", pretrained=False, seed=0)
    for x, _ in dls.train:
        learn.model(x)  # in training mode: the running statistics move
    return load_classifier(save_classifier(learn, folder / "clf"))


@pytest.fixture(scope="module")
def clf(clips, tmp_path_factory):
    return classifier(clips, tmp_path_factory.mktemp("bundle"))


def probabilities(table):
    return table[[f"p_{label}" for label in table.attrs["vocab"]]].to_numpy()


def as_segments_say(clf, folder, windows, cache):
    """The probabilities of the same spans, drawn into a tree and opened from there."""
    tree = render_tree(folder, clf.renderer, cache, segments=windows, n_jobs=1)
    x = [clf.input.to_tensor(tree.picture(row.path, row.start)) for row in windows.itertuples()]
    return clf.probabilities(torch.stack(x))


@pytest.mark.parametrize(
    "audio",
    [
        Audio(sr=SR, duration=0.5),
        Audio(duration=0.5, highpass_hz=200, normalize="rms", trim_db=30),
        Audio(sr=6000, duration=0.5),
        Audio(duration=0.6, pad="reflect"),
    ],
    ids=["plain", "conditioned", "resampled", "padded"],
)
@pytest.mark.parametrize("sr, channels", [(SR, 1), (11025, 2)])
def test_pictures_and_answers_are_those_of_the_same_segments(
    audio, sr, channels, clips, clf, tmp_path, write_wav, monkeypatch
):
    """To the pixel, at any rate: a window is resampled by itself, as a segment is."""
    clf = dataclasses.replace(clf, input=PictureInput(Renderer(MEL, audio=audio), clf.input.transform))
    write_wav(tmp_path / "in" / "a.wav", noise(3.3, sr, channels), sr)
    drawn, planes = [], Renderer.planes
    monkeypatch.setattr(Renderer, "planes", lambda self, clip: drawn.append(planes(self, clip)) or drawn[-1])
    out = clf.predict_windows(tmp_path / "in" / "a.wav", 0.5, 0.2, bs=4)
    monkeypatch.undo()
    assert len(out) == 11 and (out["status"] == "ok").all() and out["end"].iloc[-1] == pytest.approx(3.3, abs=1e-4)
    windows = out[["start", "end"]].assign(path="a.wav")
    tree = render_tree(tmp_path / "in", clf.renderer, tmp_path / "cache", segments=windows, n_jobs=1)
    pictures = [tree.picture("a.wav", start) for start in windows["start"]]
    assert all(np.array_equal(found, read_planes(path)) for (found, _), path in zip(drawn, pictures, strict=True))
    assert [info for _, info in drawn] == [describe(path) for path in pictures]
    assert probabilities(out) == pytest.approx(
        as_segments_say(clf, tmp_path / "in", windows, tmp_path / "cache"), abs=1e-6
    )


def test_columns_labels_and_what_the_table_says_of_itself(clf, clips):
    out = clf.predict_windows(clips.folder / "loud0.wav", 0.1)
    assert out.columns.tolist() == ["path", "start", "end", "label", "probability", "status", "p_label", "p_loud"]
    assert out["start"].tolist() == [0, 0.1, 0.2, 0.3, 0.4] and set(out["path"]) == {str(clips.folder / "loud0.wav")}
    assert out.attrs["vocab"] == ["label", "loud"] and out.attrs["band"] == (0.0, SR / 2)
    assert out["label"].tolist() == [("label", "loud")[i] for i in probabilities(out).argmax(axis=1)]


def test_one_window_is_what_predict_says_of_the_clip(clf, clips, tmp_path, write_wav):
    short = write_wav(tmp_path / "short.wav", noise(0.2), SR)
    files = [clips.folder / "loud0.wav", short, write_wav(tmp_path / "one.wav", noise(1 / SR), SR)]
    windows, whole = clf.predict_windows(files), clf.predict(files, progress=False)
    assert len(windows) == 3 and windows["end"].tolist() == [0.5, 0.2, round(1 / SR, 6)]
    assert probabilities(windows) == pytest.approx(probabilities(whole), abs=1e-6)


def test_a_short_recording_is_padded_to_a_window_and_not_stretched(clf, clips, tmp_path, write_wav):
    y = noise(0.2)
    any_length = dataclasses.replace(
        clf, input=PictureInput(clf.renderer.replace(audio=Audio(sr=SR)), clf.input.transform)
    )
    short = write_wav(tmp_path / "short.wav", y, SR)
    padded = write_wav(tmp_path / "padded.wav", np.r_[y, np.zeros((2400, 1), "float32")], SR)
    out = any_length.predict_windows([short, padded], 0.5)
    assert probabilities(out)[0] == pytest.approx(probabilities(out)[1], abs=1e-6)
    assert np.abs(probabilities(any_length.predict([short], progress=False)) - probabilities(out)[:1]).max() > 1e-4


def test_several_looks_at_one_window_are_one(clips, tmp_path, write_wav):
    clf = classifier(clips, tmp_path, Audio(sr=SR), method="crop", seconds=0.25, windows=3)
    path = write_wav(tmp_path / "a.wav", noise(2), SR)
    out = clf.predict_windows(path)
    assert out["start"].tolist() == [0.25 * i for i in range(8)]  # the default is the crop's length
    windows = [(decode(path, row.start, row.end)[0], SR) for row in out.itertuples()]
    assert probabilities(clf.predict(windows, progress=False)) == pytest.approx(probabilities(out), abs=2e-3)
    fit = FitSize(clf.size, "crop", 0.25, windows=1)
    assert probabilities(
        dataclasses.replace(clf, input=clf.input.with_transform(fit)).predict(windows, progress=False)
    ) == pytest.approx(probabilities(out), abs=1e-6)
    wide = clf.predict_windows(path, 0.75)  # three looks take in 0.75 s
    whole = clf.predict([(decode(path, 0, 0.75)[0], SR)], progress=False)
    assert probabilities(wide)[0] == pytest.approx(probabilities(whole)[0], abs=1e-5)
    with pytest.raises(ValueError, match=r"seconds=1: the network reads no more than 0.75 s of a clip"):
        clf.predict_windows(path, 1)


def test_a_network_of_waveforms_hears_windows_too(clips, tmp_path, write_wav):
    dls = WaveDataLoaders.from_df(clips.table, clips.folder, audio=Audio(sr=SR, duration=1.0), bs=4)
    learn = spec_learner(dls, "soundnet_cnn", pretrained=False, seed=0)
    clf = load_classifier(save_classifier(learn, tmp_path / "clf"))
    path = write_wav(tmp_path / "a.wav", noise(2.2, 11025), 11025)
    out = clf.predict_windows(path, overlap=0.5)
    assert out["start"].tolist() == [0, 0.5, 1, 1.2] and (out["status"] == "ok").all()
    windows = [(decode(path, row.start, row.end)[0], 11025) for row in out.itertuples()]
    assert probabilities(clf.predict(windows, progress=False)) == pytest.approx(probabilities(out), abs=1e-6)


def test_a_temperature_is_respected(clf, clips):
    hot = dataclasses.replace(clf, calibration=dataclasses.replace(clf.calibration, temperature=10.0))
    path = clips.folder / "loud0.wav"
    calm, excited = probabilities(hot.predict_windows(path)), probabilities(clf.predict_windows(path))
    assert calm == pytest.approx(probabilities(hot.predict([path], progress=False)), abs=1e-6)
    assert np.abs(calm - 0.5).max() < np.abs(excited - 0.5).max()


# ---------------------------------------------------------------------- strange recordings


def test_bad_recordings_are_rows_with_reasons_between_good_ones(clf, tmp_path, write_wav):
    write_wav(tmp_path / "a.wav", noise(1), SR)
    (tmp_path / "b.wav").write_bytes(b"")
    (tmp_path / "c.wav").write_text("no sound at all, but long enough to be a header of something")
    write_wav(tmp_path / "d.wav", np.zeros(SR, "float32"), SR)
    write_wav(tmp_path / "e.wav", np.zeros(0, "float32"), SR)
    broken = noise(1.5)
    broken[6000] = np.nan
    write_wav(tmp_path / "f.wav", broken, SR, subtype="FLOAT")
    write_wav(tmp_path / "g.wav", noise(1.5), SR)
    os.truncate(tmp_path / "g.wav", 44 + 2 * SR)
    out = clf.predict_windows(tmp_path)
    rows = {name: part for name, part in out.groupby(out["path"].map(os.path.basename))}
    assert list(dict.fromkeys(out["path"].map(os.path.basename))) == [
        "a.wav",
        "b.wav",
        "c.wav",
        "d.wav",
        "e.wav",
        "f.wav",
        "g.wav",
    ]
    assert {name: rows[name]["status"].tolist() for name in "ad" for name in [f"{name}.wav"]} == {
        "a.wav": ["ok"] * 2,
        "d.wav": ["ok"] * 2,
    }
    assert rows["b.wav"]["status"].tolist() == ["is empty (0 bytes)"] and rows["b.wav"]["start"].isna().all()
    assert rows["c.wav"]["status"].iloc[0].startswith("is not a recording: it is text")
    assert rows["e.wav"]["status"].tolist() == ["holds no samples"]
    assert rows["f.wav"]["status"].tolist() == ["ok", "1 samples are NaN or infinite, the first at 0.250 s", "ok"]
    assert rows["g.wav"]["status"].tolist() == ["ok", "ok", "is cut short: it ends 8000 bytes before its header says"]
    assert rows["g.wav"]["start"].tolist() == [0, 0.5, 1]
    bad = out["status"] != "ok"
    assert np.isnan(probabilities(out)[bad]).all() and np.isfinite(probabilities(out)[~bad]).all()
    assert out.loc[bad, "label"].isna().all() and out.loc[~bad, "label"].notna().all()
    assert set(merge_events(out, 0.01)["path"]) == set(out.loc[~bad, "path"])


def test_nothing_but_bad_recordings_is_a_table_too(clf, tmp_path):
    out = clf.predict_windows([tmp_path / "gone.wav"])
    assert out["status"].tolist() == ["is not there"] and np.isnan(probabilities(out)).all() and "band" not in out.attrs
    assert len(merge_events(out)) == 0


@pytest.mark.parametrize(
    "kwargs, message",
    [
        (dict(seconds=0), "seconds=0; give the length of a window"),
        (dict(seconds=-1), "seconds=-1; give"),
        (dict(overlap=0.5), "overlap=0.5; give seconds from 0"),
        (dict(overlap=0.7), "overlap=0.7"),
        (dict(overlap=-0.1), "overlap=-0.1"),
        (dict(bs=0), "bs=0: give 1 or more windows"),
        (dict(seconds=0.6), "reads no more than 0.5 s of a clip"),
        (dict(seconds=float("nan")), "seconds=nan"),
    ],
)
def test_impossible_wishes_are_refused(clf, clips, kwargs, message):
    with pytest.raises(ValueError, match=message):
        clf.predict_windows(clips.folder / "loud0.wav", **kwargs)


def test_a_classifier_of_clips_of_any_length_asks_for_seconds(clf, clips, tmp_path):
    any_length = dataclasses.replace(clf, input=PictureInput(Renderer(MEL), clf.input.transform))
    with pytest.raises(
        ValueError, match="trained on clips of any length, so it does not determine how long a window is; give seconds="
    ):
        any_length.predict_windows(clips.folder / "loud0.wav")
    with pytest.raises(ValueError, match="holds no recordings"):
        clf.predict_windows(tmp_path)
    with pytest.raises(ValueError, match="windows are read from files; give paths"):
        clf.predict_windows((np.zeros(SR), SR))


def test_ctrl_c_stops_and_breaks_nothing(clf, clips, tmp_path, write_wav, monkeypatch):
    path = write_wav(tmp_path / "a.wav", noise(5), SR)
    before = probabilities(clf.predict_windows(path))
    calls = []
    planes = Renderer.planes

    def stopped(self, clip):
        calls.append(clip)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return planes(self, clip)

    monkeypatch.setattr(Renderer, "planes", stopped)
    with pytest.raises(KeyboardInterrupt):
        clf.predict_windows(path, bs=2)
    monkeypatch.undo()
    if os.path.isdir("/proc/self/fd"):
        assert not any(os.path.realpath(f"/proc/self/fd/{fd}") == str(path) for fd in os.listdir("/proc/self/fd"))
    assert np.array_equal(probabilities(clf.predict_windows(path)), before)


def test_memory_does_not_grow_with_the_length(tmp_path):
    """Twenty minutes are 77 MB as floats; windows of 5 s are 0.3 MB."""
    path, minute = tmp_path / "long.wav", noise(60, 16000)
    with sf.SoundFile(path, "w", 16000, 1, "PCM_16") as file:
        for _ in range(20):
            file.write(minute)
    tracemalloc.start()  # counts numpy's memory
    n = sum(len(span.y) > 0 for span in stream_spans(path, 5.0, 1.0))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert n == 300 and most < 3e6


# ---------------------------------------------------------------------- the command line


@pytest.fixture
def say(clf, tmp_path, capsys):
    """say(*arguments) -> (exit status, stdout, stderr) of `specimg windows` with the classifier."""
    folder = save_classifier(clf, tmp_path / "kept", golden=0)

    def run(*arguments):
        status = main(["windows", str(folder), *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def test_the_command_writes_what_the_functions_say(say, clf, tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(3), SR)
    events = merge_events(clf.predict_windows(path, overlap=0.25), 0.4)
    table = tmp_path / "windows.csv"
    status, out, _ = say(path, "--overlap", "0.25", "--threshold", "0.4", "--out", tmp_path / "a.csv", "--table", table)
    what = f"{len(events)} event{'s' * (len(events) != 1)}"
    assert status == 0 and out == f"{what} in {str(tmp_path / 'a.csv')!r}, from 11 windows, 0 without a prediction\n"
    assert (
        read_events(tmp_path / "a.csv")[["start", "end", "label"]].values.tolist()
        == events[["start", "end", "label"]].values.tolist()
    )
    assert len(events) and len(pd.read_csv(table)) == 11
    assert say(path, "--threshold", "0.4", "--out", tmp_path / "a.selections.txt")[0] == 0
    assert "\t4000.0\t" in (tmp_path / "a.selections.txt").read_text()  # half of 8 kHz
    assert say(path, "--threshold", "0.4")[1].startswith("path,start,end,label,probability,mean,windows\n")


def test_the_command_names_what_it_could_not_hear(say, tmp_path, write_wav):
    good = write_wav(tmp_path / "in" / "a.wav", noise(1), SR)
    bad = tmp_path / "in" / "b.wav"
    bad.write_bytes(b"")
    status, _, err = say(tmp_path / "in", "--out", f"{tmp_path}/labels/", "--format", "audacity", "--threshold", "0.01")
    assert status == 0 and f"{str(bad)!r}: is empty (0 bytes)\n" in err
    assert [p.name for p in (tmp_path / "labels").iterdir()] == ["a.wav.txt"] and str(good) not in err
    assert say(bad) == (
        1,
        "",
        f"{str(bad)!r}: is empty (0 bytes)\nspecimg: no window could be labelled; {str(bad)!r} is empty (0 bytes)\n",
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--threshold", "2"], "--threshold 2; probabilities"),
        (["--background", "silense"], "unknown label 'silense'"),
        (["--overlap", "1"], "--overlap 1.0; give seconds"),
        (["--out", "x.xls"], "'x.xls' does not determine how events are written"),
        (["--out", "x.txt", "--format", "labels"], "unknown format of events 'labels'"),
    ],
)
def test_wrong_arguments_are_said_before_hours_are_spent(say, arguments, message, clips, monkeypatch):
    monkeypatch.setattr("specimg.inference.long_recordings.stream_spans", None)
    status, _, err = say(clips.folder / "loud0.wav", *arguments)
    assert status == 1 and message in err and err.count("\n") == 1


def test_one_label_track_for_two_recordings_is_refused_at_once(say, clips, monkeypatch):
    monkeypatch.setattr("specimg.inference.long_recordings.stream_spans", None)
    two = [clips.folder / "loud0.wav", clips.folder / "loud1.wav"]
    assert "an Audacity label track belongs to one recording" in say(*two, "--out", "x.txt")[2]
