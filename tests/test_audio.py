"""A file becomes samples: librosa's, whatever the format, and each step of Audio has a known answer."""

import os
import pickle

import librosa
import numpy as np
import pytest
import soundfile as sf

from specimg.audio import (
    AUDIO_SUFFIXES,
    Audio,
    AudioError,
    Scratch,
    find_audio,
    fit_length,
    is_audio_name,
    read_audio,
    read_clip,
    resample,
    trim_span,
)

FORMATS = [
    ("wav", "PCM_U8"),
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("wav", "DOUBLE"),
    ("wav", "ULAW"),
    ("wav", "MS_ADPCM"),
    ("flac", "PCM_16"),
    ("flac", "PCM_24"),
    ("ogg", "VORBIS"),
    ("opus", "OPUS"),
    ("mp3", "MPEG_LAYER_III"),
    ("aiff", "PCM_16"),
    ("au", "PCM_16"),
    ("caf", "PCM_16"),
    ("w64", "PCM_16"),
    ("rf64", "PCM_16"),
    ("wavex", "PCM_24"),
]
CONTAINERS = {"opus": "OGG", "wavex": "WAVEX", "rf64": "RF64"}


def noise(*shape, seed=0):
    return (0.1 * np.random.default_rng(seed).standard_normal(shape)).astype("float32")


def write(folder, suffix, subtype, y, sr=16000):
    path = folder / f"clip.{'wav' if suffix == 'wavex' else suffix}"
    sf.write(path, y, sr, subtype=subtype, format=CONTAINERS.get(suffix))
    return path


# ---------------------------------------------------------------------- decoding, against librosa

@pytest.mark.parametrize("suffix, subtype", FORMATS)
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_are_librosas_in_every_format(tmp_path, suffix, subtype, channels):
    path = write(tmp_path, suffix, subtype, noise(4001, channels))
    y, sr = read_audio(path)
    expected, expected_sr = librosa.load(path, sr=None, mono=True)
    assert sr == expected_sr == 16000
    assert y.dtype == np.float32 and y.ndim == 1
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize("suffix, subtype", FORMATS)
def test_a_span_is_a_slice_of_the_whole_in_every_format(tmp_path, suffix, subtype):
    path = write(tmp_path, suffix, subtype, noise(16000, 2))
    whole, sr = read_audio(path)
    for start, end in [(None, 0.25), (0.25, 0.75), (0.50001, 0.9), (0.9, None), (0.9, 7), (0.9, np.inf)]:
        expected = whole[round((start or 0) * sr) : len(whole) if end is None else round(min(end, 10) * sr)]
        np.testing.assert_allclose(read_audio(path, start=start, end=end)[0], expected, atol=1e-6)


def test_a_span_of_a_codec_that_cannot_seek_is_read_from_the_beginning(tmp_path):
    path = write(tmp_path, "wav", "GSM610", noise(8000), sr=8000)
    np.testing.assert_array_equal(read_audio(path, start=0.25, end=0.5)[0], read_audio(path)[0][2000:4000])


@pytest.mark.parametrize("channels", range(1, 7))
def test_channels_are_averaged_or_chosen(tmp_path, write_wav, channels):
    raw = noise(1000, channels)
    path = write_wav(tmp_path / "a.wav", raw, subtype="FLOAT")
    np.testing.assert_allclose(read_audio(path)[0], raw.mean(axis=1), atol=1e-7)
    for channel in range(channels):
        np.testing.assert_array_equal(read_audio(path, Audio(channel=channel))[0], raw[:, channel])
    with pytest.raises(AudioError, match=f"a.wav': has {channels} channels?, so there is no channel {channels}"):
        read_audio(path, Audio(channel=channels))


@pytest.mark.parametrize("source_sr", [8000, 11025, 16000, 44100, 48000, 192000])
def test_resampling_is_librosas(tmp_path, write_wav, source_sr):
    path = write_wav(tmp_path / "a.wav", noise(source_sr // 3, 2), source_sr, subtype="FLOAT")
    y, sr = read_audio(path, Audio(sr=22050))
    expected, _ = librosa.load(path, sr=22050, res_type="soxr_hq")
    assert sr == 22050
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize(
    "source_sr, target_sr", [(11025, 24000), (16000, 22050), (48000, 16000), (8000, 44100), (192000, 8000)]
)
def test_a_resampled_clip_has_librosas_length(source_sr, target_sr):
    for n in [1, 2, 3, 100, 11025, 22050]:
        expected = librosa.resample(noise(n), orig_sr=source_sr, target_sr=target_sr, res_type="soxr_hq")
        assert len(resample(noise(n), source_sr, target_sr)) == len(expected)


def test_samples_beyond_full_scale_do_not_wrap(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", np.array([1.5, -1.5, 0.25], "float32"), subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path)[0], [1.5, -1.5, 0.25])


def test_a_compressed_file_that_exceeds_full_scale_does_not_wrap(tmp_path):
    square = np.sign(np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)).astype("float32")
    y, _ = read_audio(write(tmp_path, "ogg", "VORBIS", square))
    assert np.abs(y).max() > 1
    assert np.corrcoef(y, square)[0, 1] > 0.9


# ---------------------------------------------------------------------- spans

def test_a_span_counts_samples_from_its_start_to_its_end(tmp_path, write_wav):
    ramp = np.arange(1000, dtype="float32") / 1000
    path = write_wav(tmp_path / "a.wav", ramp, 100, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(path, start=2, end=3.5)[0], ramp[200:350])
    np.testing.assert_array_equal(read_audio(path, start=9.5, end=20)[0], ramp[950:])
    clip = read_clip(path, Audio(), 2, 3.5)
    assert (clip.begin, clip.duration, clip.sr, clip.source_sr) == (2.0, 1.5, 100, 100)


@pytest.mark.parametrize("start, end, reason", [
    (-1, None, "has no span from -1 s to None s; start is 0 or later"),
    (2, 2, "has no span from 2 s to 2 s"),
    (2, 1, "has no span from 2 s to 1 s"),
    (None, 0, "has no span from None s to 0 s"),
    (np.nan, None, "has no span from nan s"),
    (1, np.nan, "has no span from 1 s to nan s"),
    (np.inf, None, "has no span from inf s"),
    (10, None, "ends at 10 s, before the span from 10 s"),
    (1e300, None, "ends at 10 s, before the span from 1e.300 s"),
    (3.001, 3.002, "has no sample between 3.001 s and 3.002 s at 100 Hz"),
])
def test_a_span_that_is_not_there_is_an_error_with_the_path(tmp_path, write_wav, start, end, reason):
    path = write_wav(tmp_path / "a.wav", noise(1000), 100)
    with pytest.raises(AudioError, match=f"a.wav': {reason}"):
        read_audio(path, start=start, end=end)


# ---------------------------------------------------------------------- length

@pytest.mark.parametrize("pad, expected", [
    ("silence", [1, 2, 3, 0, 0, 0, 0, 0, 0, 0]),
    ("repeat", [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]),
    ("reflect", [1, 2, 3, 2, 1, 2, 3, 2, 1, 2]),
])
def test_padding(pad, expected):
    y = np.array([1, 2, 3], "float32")
    np.testing.assert_array_equal(fit_length(y, 10, pad), expected)
    np.testing.assert_array_equal(fit_length(y, 2, pad), [1, 2])
    np.testing.assert_array_equal(fit_length(y, 3, pad), [1, 2, 3])
    np.testing.assert_array_equal(fit_length(y[:1], 3, pad), [1, 0, 0] if pad == "silence" else [1, 1, 1])
    assert fit_length(y, 10, pad).dtype == np.float32


def test_an_unknown_pad_is_named():
    with pytest.raises(ValueError, match="unknown pad 'mirror'; choose one of reflect, repeat, silence"):
        fit_length(np.ones(3, "float32"), 5, "mirror")


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.5])
@pytest.mark.parametrize("pad", ["silence", "repeat", "reflect"])
def test_duration_fits_every_clip(tmp_path, write_wav, seconds, pad):
    y = noise(8000)
    path = write_wav(tmp_path / "a.wav", y, subtype="FLOAT")
    fitted, sr = read_audio(path, Audio(duration=seconds, pad=pad))
    np.testing.assert_array_equal(fitted, fit_length(y, round(seconds * 16000), pad))


def test_duration_counts_after_resampling_and_never_gives_nothing(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", noise(8000))
    assert len(read_audio(path, Audio(sr=4000, duration=0.3))[0]) == 1200
    assert len(read_audio(path, Audio(duration=1e-9))[0]) == 1


# ---------------------------------------------------------------------- trimming, filtering, levels

def envelope(kind, n=20000):
    y = noise(n, seed=1)
    t = np.arange(n)
    return y * {
        "loud in the middle": np.where((t > 7000) & (t < 12000), 1, 1e-3),
        "silent ends": np.where((t > 7000) & (t < 12000), 1, 0),
        "quiet throughout": np.full(n, 1e-4),
        "silence": np.zeros(n),
        "fading": 10 ** (-6 * t / n),
        "loud at the end": np.where(t > 19900, 1, 0),
    }[kind].astype("float32")


@pytest.mark.parametrize("trim_db", [10, 30, 60, 100, 150])
@pytest.mark.parametrize(
    "kind", ["loud in the middle", "silent ends", "quiet throughout", "silence", "fading", "loud at the end"]
)
def test_trimming_is_librosas(kind, trim_db):
    y = envelope(kind)
    for clip in (y, y[:3000], y[:511], y[:1]):
        _, expected = librosa.effects.trim(clip, top_db=trim_db)
        assert trim_span(clip, trim_db) == tuple(expected)


def test_trimming_moves_the_beginning(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", envelope("silent ends"), subtype="FLOAT")
    clip = read_clip(path, Audio(trim_db=30), 0.125)
    first, last = trim_span(envelope("silent ends")[2000:], 30)
    assert first > 0 and len(clip.y) == last - first
    assert clip.begin == pytest.approx(0.125 + first / 16000)
    assert clip.duration == 18000 / 16000


def test_the_lowpass_kills_what_is_above_it_and_keeps_what_is_below_in_place(tmp_path, write_wav, sine):
    def rms(y):
        return float(np.sqrt(np.mean(y[1600:-1600] ** 2)))

    high, _ = read_audio(write_wav(tmp_path / "high.wav", sine(5000), subtype="FLOAT"), Audio(lowpass_hz=2000))
    low, _ = read_audio(write_wav(tmp_path / "low.wav", sine(500), subtype="FLOAT"), Audio(lowpass_hz=2000))
    assert rms(high) < 1e-4 * rms(sine(5000))
    np.testing.assert_allclose(low[1600:-1600], sine(500)[1600:-1600], atol=1e-3)   # no delay
    assert low.dtype == np.float32 and len(low) == 16000


def test_a_lowpass_above_what_the_clip_holds_is_an_error(tmp_path, write_wav, sine):
    path = write_wav(tmp_path / "a.wav", sine(500), 8000)
    with pytest.raises(
        AudioError, match="sampled at 8000 Hz, so there is nothing above 4000 Hz to cut at 5000 Hz; lower lowpass_hz"
    ):
        read_audio(path, Audio(lowpass_hz=5000))


def test_normalizing(tmp_path, write_wav, sine):
    path = write_wav(tmp_path / "a.wav", 0.1 * sine(440), subtype="FLOAT")
    assert np.abs(read_audio(path, Audio(normalize="peak"))[0]).max() == pytest.approx(1)
    assert np.sqrt(np.mean(read_audio(path, Audio(normalize="rms"))[0] ** 2)) == pytest.approx(0.1, rel=1e-4)


@pytest.mark.parametrize("normalize", ["peak", "rms"])
def test_normalizing_leaves_silence_and_near_silence_finite(tmp_path, write_wav, normalize):
    y = np.zeros(16000, "float32")
    assert not read_audio(write_wav(tmp_path / "a.wav", y, subtype="FLOAT"), Audio(normalize=normalize))[0].any()
    y[5] = 1e-45  # the smallest float32
    assert np.isfinite(
        read_audio(write_wav(tmp_path / "b.wav", y, subtype="FLOAT"), Audio(normalize=normalize))[0]
    ).all()


def test_denoising_names_its_package_or_works(tmp_path, write_wav, sine):
    path = write_wav(tmp_path / "a.wav", sine(440) + noise(16000))
    try:
        import noisereduce  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ModuleNotFoundError, match=r"pip install specimg\[denoise\]"):
            read_audio(path, Audio(denoise="stationary"))
    else:
        y, _ = read_audio(path, Audio(denoise="stationary"))
        assert y.shape == (16000,) and np.std(y - sine(440)) < np.std(noise(16000))


EVERYTHING = [
    Audio(),
    Audio(sr=22050),
    Audio(sr=8000),
    Audio(trim_db=30),
    Audio(lowpass_hz=500),
    Audio(normalize="peak"),
    Audio(normalize="rms"),
    Audio(duration=0.01),
    Audio(duration=0.01, pad="repeat"),
    Audio(duration=0.01, pad="reflect"),
    Audio(channel=0),
    Audio(sr=22050, trim_db=30, lowpass_hz=500, duration=0.01, pad="reflect", normalize="rms"),
]


@pytest.mark.parametrize("audio", EVERYTHING, ids=str)
@pytest.mark.parametrize("n", [1, 2])
def test_a_clip_of_one_sample_passes_every_step(tmp_path, write_wav, audio, n):
    path = write_wav(tmp_path / "a.wav", np.full((n, 2), 0.5, "float32"))
    y, sr = read_audio(path, audio)
    assert y.dtype == np.float32 and len(y) >= 1 and np.isfinite(y).all()
    assert sr == (audio.sr or 16000)
    assert audio.duration is None or len(y) == round(audio.duration * sr)


# ---------------------------------------------------------------------- the value

@pytest.mark.parametrize("fields, message", [
    (dict(sr=0), r"Audio\(sr=0\): give a number above 0, or None"),
    (dict(duration=-1), r"Audio\(duration=-1.0\)"),
    (dict(trim_db=0), r"Audio\(trim_db=0.0\)"),
    (dict(lowpass_hz=0), r"Audio\(lowpass_hz=0.0\)"),
    (dict(channel=-1), "channels are counted from 0"),
    (dict(channel="left"), "unknown channel .* 'left'; choose one of mean"),
    (dict(pad="mirror"), "unknown pad 'mirror'; choose one of reflect, repeat, silence"),
    (dict(normalize="peek"), "unknown normalize 'peek'; did you mean 'peak'"),
    (dict(denoise="yes"), "unknown denoise 'yes'; choose one of nonstationary, stationary"),
])
def test_a_wrong_choice_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        Audio(**fields)


def test_an_audio_error_travels_between_processes():
    error = pickle.loads(pickle.dumps(AudioError("a/b.wav", "is empty")))
    assert type(error) is AudioError and (error.path, error.reason, str(error)) == (
        "a/b.wav",
        "is empty",
        "'a/b.wav': is empty",
    )


# ---------------------------------------------------------------------- work memory and finding files

def test_scratch_is_used_again_and_grows():
    scratch = Scratch()
    first = scratch.take(100, 2)
    assert first.shape == (100, 2) and first.dtype == np.float32
    assert np.shares_memory(first, scratch.take(50)) and scratch.take(1000).shape == (1000,)


def test_reading_with_scratch_gives_the_same_samples(tmp_path, write_wav):
    scratch = Scratch()
    for n in (3000, 500, 4000):
        path = write_wav(tmp_path / f"{n}.wav", noise(n, 2, seed=n))
        np.testing.assert_array_equal(read_clip(path, scratch=scratch).y, read_audio(path)[0])


@pytest.mark.parametrize(
    "name, expected",
    [
        ("a.wav", True),
        ("A.WAV", True),
        ("a.b.flac", True),
        ("a.txt", False),
        ("wav", False),
        ("._a.wav", False),
        (".wav", False),
        ("a.wav.png", False),
    ],
)
def test_names_of_recordings(name, expected):
    assert is_audio_name(name) is expected


def test_find_audio_goes_in_depth_follows_links_once_and_gives_files_only(tmp_path):
    for name in ["b.wav", "a/c.FLAC", "a/b/d.mp3", "notes.txt", ".hidden/e.wav", "a/._f.wav"]:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(b"")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "g.ogg").write_bytes(b"")
    (tmp_path / "data" / "dir.wav").mkdir()
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "link")
    os.symlink(tmp_path / "data", tmp_path / "data" / "a" / "round")
    os.symlink("nowhere", tmp_path / "data" / "broken.wav")
    os.symlink("self.wav", tmp_path / "data" / "self.wav")
    assert find_audio(tmp_path / "data") == ["a/b/d.mp3", "a/c.FLAC", "b.wav", "link/g.ogg"]


def test_find_audio_from_a_relative_or_linked_folder_visits_each_folder_once(tmp_path, monkeypatch):
    (tmp_path / "data" / "a").mkdir(parents=True)
    (tmp_path / "data" / "a" / "x.wav").write_bytes(b"")
    os.symlink(tmp_path / "data" / "a", tmp_path / "data" / "again")
    os.symlink("data", tmp_path / "linked")
    monkeypatch.chdir(tmp_path)
    assert find_audio("data") == find_audio("linked") == ["a/x.wav"]


def test_find_audio_without_a_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a folder; give the folder that holds the recordings"):
        find_audio(tmp_path / "none")


def test_every_suffix_is_lower_case_and_begins_with_a_dot():
    assert all(s == s.lower() and s.startswith(".") for s in AUDIO_SUFFIXES)
