"""A file becomes samples: librosa's, whatever the format, and each step of Audio has a known answer."""

import os
import pickle
import sys
import types
import warnings

import librosa
import numpy as np
import pytest
import soundfile as sf
from scipy.signal import BadCoefficients, butter, lfilter, sosfilt, tf2zpk

from specimg.audio import (
    AUDIO_SUFFIXES,
    Audio,
    AudioError,
    filter_band,
    find_audio,
    fit_length,
    loudness,
    read_audio,
    recording_seconds,
    resample,
)
from specimg.audio.decode import SampleBuffer
from specimg.audio.find import is_audio_name
from specimg.audio.read import condition, read_clip

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
    # librosa has mp3 decoded by libmpg123
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-5 if suffix == "mp3" else 0)


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


@pytest.mark.parametrize(
    "start, end, reason",
    [
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
    ],
)
def test_a_span_that_is_not_there_is_an_error_with_the_path(tmp_path, write_wav, start, end, reason):
    path = write_wav(tmp_path / "a.wav", noise(1000), 100)
    with pytest.raises(AudioError, match=f"a.wav': {reason}"):
        read_audio(path, start=start, end=end)


# ---------------------------------------------------------------------- length


@pytest.mark.parametrize(
    "pad, expected",
    [
        ("silence", [1, 2, 3, 0, 0, 0, 0, 0, 0, 0]),
        ("repeat", [1, 2, 3, 1, 2, 3, 1, 2, 3, 1]),
        ("reflect", [1, 2, 3, 2, 1, 2, 3, 2, 1, 2]),
    ],
)
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
    whole = envelope(kind)
    for clip in (whole, whole[:3000], whole[:511], whole[:1]):
        expected, (first, _) = librosa.effects.trim(clip, top_db=trim_db)
        y, _, begin = condition(clip[:, None], 16000, Audio(trim_db=trim_db))
        np.testing.assert_array_equal(y, expected)
        assert begin == first


def test_trimming_moves_the_beginning(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", envelope("silent ends"), subtype="FLOAT")
    clip = read_clip(path, Audio(trim_db=30), 0.125)
    _, (first, last) = librosa.effects.trim(envelope("silent ends")[2000:], top_db=30)
    assert first > 0 and len(clip.y) == last - first
    assert clip.begin == pytest.approx(0.125 + first / 16000)
    assert clip.duration == 18000 / 16000


def test_the_lowpass_kills_what_is_above_it_and_keeps_what_is_below_in_place(tmp_path, write_wav, sine):
    def rms(y):
        return float(np.sqrt(np.mean(y[1600:-1600] ** 2)))

    high, _ = read_audio(write_wav(tmp_path / "high.wav", sine(5000), subtype="FLOAT"), Audio(lowpass_hz=2000))
    low, _ = read_audio(write_wav(tmp_path / "low.wav", sine(500), subtype="FLOAT"), Audio(lowpass_hz=2000))
    assert rms(high) < 1e-4 * rms(sine(5000))
    np.testing.assert_allclose(low[1600:-1600], sine(500)[1600:-1600], atol=1e-3)  # no delay
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
    assert loudness(*read_audio(path, Audio(normalize="loudness"))) == pytest.approx(-23, abs=1e-3)


@pytest.mark.parametrize("normalize", ["peak", "rms", "loudness"])
def test_normalizing_leaves_silence_and_near_silence_finite(tmp_path, write_wav, normalize):
    y = np.zeros(16000, "float32")
    assert not read_audio(write_wav(tmp_path / "a.wav", y, subtype="FLOAT"), Audio(normalize=normalize))[0].any()
    y[5] = 1e-45  # the smallest float32
    assert np.isfinite(
        read_audio(write_wav(tmp_path / "b.wav", y, subtype="FLOAT"), Audio(normalize=normalize))[0]
    ).all()


def tone(hz, seconds=1.0, sr=16000, db=0.0):
    """A sine whose peak lies at `db` of full scale."""
    return (10 ** (db / 20) * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr)).astype("float32")


def gain_db(hz, sr=16000, **edges):
    """By how much a tone's level changes when it is filtered, in dB, away from the ends of the clip."""
    y = tone(hz, 2.0, sr)
    middle = slice(len(y) // 4, -len(y) // 4)
    return 20 * np.log10(np.sqrt(np.mean(filter_band(y, sr, **edges)[middle] ** 2) / np.mean(y[middle] ** 2)))


BAND = dict(highpass_hz=500, lowpass_hz=2000)


@pytest.mark.parametrize("hz", [250, 500, 900, 1000, 1100, 2000])
@pytest.mark.parametrize("order", [1, 2, 8])
def test_filters_pass_and_stop_by_the_decibels_that_butterworth_says(hz, order):
    ratio = np.tan(np.pi * hz / 16000) / np.tan(
        np.pi * 1000 / 16000
    )  # of frequencies, as the bilinear transform warps them
    low, high = (-20 * np.log10(1 + r ** (2 * order)) for r in (ratio, 1 / ratio))  # twice: forwards and backwards
    for name, expected in (("lowpass_hz", low), ("highpass_hz", high)):
        if expected > -120:  # below that lies the rounding of float32
            assert gain_db(hz, **{name: 1000}, order=order) == pytest.approx(expected, abs=0.05)
    if hz == 1000:
        assert low == high == pytest.approx(-6.02, abs=0.001)


@pytest.mark.parametrize("hz, db", [(500, -6.02), (2000, -6.02), (1000, 0.0), (600, 0.0), (1600, 0.0)])
def test_a_band_pass_has_both_edges(hz, db):
    assert gain_db(hz, **BAND) == pytest.approx(db, abs=0.05)


@pytest.mark.parametrize(
    "edges, hz", [(dict(lowpass_hz=1000), 4000), (dict(highpass_hz=1000), 250), (BAND, 125), (BAND, 6000)]
)
def test_filters_leave_nothing_of_what_lies_two_octaves_away(edges, hz):
    assert gain_db(hz, **edges) < -100


@pytest.mark.parametrize(
    "edges", [dict(lowpass_hz=4000), dict(highpass_hz=50), dict(highpass_hz=50, lowpass_hz=4000)], ids=str
)
def test_filters_do_not_delay(edges):
    y = tone(500)
    np.testing.assert_allclose(filter_band(y, 16000, **edges)[4000:-4000], y[4000:-4000], atol=1e-4)
    click = np.zeros(8001, "float32")
    click[4000] = 1
    out = filter_band(click, 16000, **edges)
    assert np.abs(out).argmax() == 4000
    np.testing.assert_allclose(out, out[::-1], atol=1e-6)


def test_a_filter_of_order_35_explodes_as_a_fraction_and_not_as_sections():
    y, edge = noise(44100), dict(Wn=3000, fs=44100)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", BadCoefficients)
        b, a = butter(35, **edge)
        assert np.abs(tf2zpk(b, a)[1]).max() > 1.4  # poles outside of the unit circle
        assert not np.isfinite(lfilter(b, a, y)).all()
    sections = butter(35, **edge, output="sos")
    assert max(np.abs(np.roots(section[3:])).max() for section in sections) < 1
    assert np.abs(sosfilt(sections, y)).max() < np.abs(y).max()
    out = filter_band(y, 44100, lowpass_hz=3000, order=35)
    before, after = (np.abs(np.fft.rfft(x * np.hanning(len(x)))) ** 2 for x in (y, out))
    np.testing.assert_allclose(after[:2800], before[:2800], rtol=0.02)
    assert after[3400:].sum() < 1e-9 * after.sum()


def test_audio_filters_before_it_judges_silence():
    rumble, bird = tone(40, 2.0, db=-6), np.zeros(32000, "float32")
    bird[12000:20000] = tone(3000, 0.5, db=-20)
    y = (rumble + bird)[:, None]
    assert len(condition(y, 16000, Audio(trim_db=30))[0]) == 32000  # all of it sounds
    clean, _, begin = condition(y, 16000, Audio(trim_db=30, highpass_hz=300))
    assert begin == pytest.approx(12000, abs=2048) and len(clean) == pytest.approx(8000, abs=3072)
    assert np.abs(np.fft.rfft(clean))[: int(200 * len(clean) / 16000)].max() < 0.01 * np.abs(np.fft.rfft(clean)).max()


@pytest.mark.parametrize(
    "fields, reason",
    [
        (
            dict(highpass_hz=5000),
            "sampled at 8000 Hz, so there is nothing above 4000 Hz to keep at 5000 Hz; lower highpass_hz",
        ),
        (dict(lowpass_hz=4000), "nothing above 4000 Hz to cut at 4000 Hz; lower lowpass_hz"),
        (dict(highpass_hz=100, lowpass_hz=5000), "to cut at 5000 Hz; lower lowpass_hz"),
        (
            dict(lowpass_hz=3999.9999999, filter_order=48),
            "no filter of order 48 comes out of lowpass_hz=3999.9999999 at 8000 Hz, too near to 0",
        ),
        (dict(highpass_hz=3999.999999, filter_order=48), "no filter of order 48 comes out of highpass_hz=3999.999999"),
        (
            dict(highpass_hz=1e-6),
            "no filter of order 8 comes out of highpass_hz=1e-06 at 8000 Hz, too near to 0 .* lower filter_order",
        ),
    ],
)
def test_an_edge_that_no_filter_can_have(tmp_path, write_wav, sine, fields, reason):
    path = write_wav(tmp_path / "a.wav", sine(500), 8000)
    with pytest.raises(AudioError, match=f"a.wav': .*{reason}"):
        read_audio(path, Audio(**fields))


def test_no_edge_is_no_filter():
    y = noise(100)
    assert filter_band(y, 16000) is y


# ---------------------------------------------------------------------- silence inside


def bursts(*spans, n=40000, quiet=1e-4):
    """Noise that is loud from second to second of each span, at 16 kHz."""
    level = np.full(n, quiet)
    for start, end in spans:
        level[round(start * 16000) : round(end * 16000)] = 1
    return (noise(n, seed=2) * level).astype("float32")


@pytest.mark.parametrize("split_db", [10, 40, 70, 150])
@pytest.mark.parametrize("n", [1, 511, 2048, 3000, 20480, 40000])
def test_splitting_is_librosas(split_db, n):
    for clip in (bursts((0.3, 0.8), (1.2, 1.3), (2.0, 2.5))[:n], bursts((0, 0.1), n=n), bursts(n=n, quiet=0.0)):
        spans = librosa.effects.split(clip, top_db=split_db)
        y, _, begin = condition(clip[:, None], 16000, Audio(split_db=split_db))
        np.testing.assert_array_equal(y, np.concatenate([clip[first:last] for first, last in spans]))
        assert begin == spans[0, 0]


def test_silence_inside_is_cut_out_and_the_rest_joined(tmp_path, write_wav):
    y = bursts((0.3, 0.8), (1.5, 2.0))
    path = write_wav(tmp_path / "a.wav", y, subtype="FLOAT")
    (first, stop), (again, last) = librosa.effects.split(y, top_db=40)
    np.testing.assert_allclose([first, stop, again, last], np.multiply([0.3, 0.8, 1.5, 2.0], 16000), atol=2048)
    clip = read_clip(path, Audio(split_db=40))
    np.testing.assert_array_equal(clip.y, np.concatenate([y[first:stop], y[again:last]]))
    assert (clip.begin, clip.duration) == (first / 16000, 2.5)
    trimmed = read_clip(path, Audio(trim_db=40))
    assert trimmed.begin == clip.begin and len(trimmed.y) == last - first
    both = read_clip(path, Audio(trim_db=40, split_db=40))
    assert len(both.y) == pytest.approx(len(clip.y), abs=4 * 512) and both.begin == clip.begin


def test_splitting_silence_leaves_it_whole(tmp_path, write_wav):
    path = write_wav(tmp_path / "a.wav", np.zeros(5000, "float32"))
    assert len(read_audio(path, Audio(split_db=30))[0]) == 5000


# ---------------------------------------------------------------------- loudness


@pytest.mark.parametrize("sr", [8000, 16000, 22050, 44100, 48000])
@pytest.mark.parametrize("db", [0, -23, -60])
def test_the_published_sine_of_997_hz(sr, db):
    assert loudness(tone(997, 2.0, sr, db), sr) == pytest.approx(
        db - 3.01, abs=0.02
    )  # BS.1770: -3.01 at full scale on one channel


@pytest.mark.parametrize(
    "parts, expected",
    [
        ([(-23, 20)], -23.0),
        ([(-33, 20)], -33.0),
        ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
        ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
        ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
    ],
)
def test_the_first_five_signals_of_ebu_tech_3341(parts, expected):
    y = np.concatenate([tone(1000, seconds, 8000, db) for db, seconds in parts])
    assert loudness(y, 8000) + 3.01 == pytest.approx(
        expected, abs=0.1
    )  # the signals are stereo, the same on both channels


def test_short_and_silent_clips_have_a_loudness_too():
    assert loudness(tone(997, 0.399, 48000, -20), 48000) == pytest.approx(-23.01, abs=0.05)
    assert loudness(tone(997, 0.1, 16000, -20), 16000) == pytest.approx(-23.0, abs=0.2)
    for silent in (np.zeros(48000), np.zeros(1), tone(997, 1.0, 48000, -68), tone(997, 0.1, 48000, -68)):
        assert loudness(silent, 48000) == -np.inf
    assert np.isfinite(loudness(np.ones(1), 1)) and np.isfinite(loudness(np.ones(7), 3))


def test_loudness_goes_by_what_sounds_and_not_by_the_pauses():
    speech = tone(997, 2.0, 16000, -30)
    paused = np.concatenate([speech, np.zeros(160000, "float32")])
    assert loudness(paused, 16000) == pytest.approx(loudness(speech, 16000), abs=0.6)
    y, _, _ = condition(paused[:, None], 16000, Audio(normalize="loudness"))
    assert loudness(y, 16000) == pytest.approx(-23, abs=0.01)
    assert y.dtype == np.float32 and np.abs(y).max() / np.abs(paused).max() == pytest.approx(10 ** (10 / 20), rel=0.1)


def test_denoising_without_its_package_names_it(tmp_path, write_wav, sine, monkeypatch):
    monkeypatch.setitem(sys.modules, "noisereduce", None)  # as where it is not installed
    with pytest.raises(
        ModuleNotFoundError,
        match=r"Audio\(denoise='stationary'\) needs the package noisereduce: pip install specimg\[denoise\]",
    ):
        read_audio(write_wav(tmp_path / "a.wav", sine(440)), Audio(denoise="stationary"))


@pytest.fixture
def gate(monkeypatch):
    """A stand-in for noisereduce that halves what it is given, and remembers it."""
    calls = []

    def reduce_noise(y, sr, stationary):
        calls.append((y, sr, stationary))
        return y.astype("float64") * (np.nan if y[0] == 0.75 else 0.5)

    monkeypatch.setitem(sys.modules, "noisereduce", types.SimpleNamespace(reduce_noise=reduce_noise))
    return calls


def test_what_the_gate_is_given_and_gives(gate):
    y = noise(3000)
    for how in ("stationary", "nonstationary"):
        np.testing.assert_array_equal(condition(y[:, None], 8000, Audio(denoise=how))[0], y / 2)
    assert [(sr, stationary) for _, sr, stationary in gate] == [(8000, True), (8000, False)]
    np.testing.assert_array_equal(condition(y[:5, None], 8000, Audio(denoise="stationary"))[0], y[:5] / 2)
    assert len(gate[-1][0]) == 1024 and set(gate[-1][0]) == set(y[:5])  # it fails on clips shorter than its window
    assert not condition(np.zeros((3000, 1), "float32"), 8000, Audio(denoise="stationary"))[0].any() and len(gate) == 3
    with pytest.raises(
        AudioError, match="'a.wav': noisereduce gives samples that are NaN or infinite with denoise='stationary'; leave"
    ):
        condition(np.full((3000, 1), 0.75, "float32"), 8000, Audio(denoise="stationary"), "a.wav")


@pytest.mark.parametrize("how, left", [("stationary", 0.1), ("nonstationary", 0.25)])
def test_the_gate_takes_away_noise_and_leaves_a_call(how, left):
    pytest.importorskip("noisereduce")
    t = np.arange(48000) / 16000
    call = 0.3 * np.sin(2 * np.pi * 440 * t) * (t % 1 < 0.05)
    y = (call + 0.2 * noise(48000)).astype("float32")
    out, _, _ = condition(y[:, None], 16000, Audio(denoise=how))
    pause, sounding = t % 1 > 0.15, (t % 1 > 0.01) & (t % 1 < 0.04)
    assert np.std(out[pause]) < left * np.std(y[pause])
    assert np.std(out[sounding]) > 0.7 * np.std(call[sounding])
    for n in (1, 300, 1023):
        assert np.isfinite(condition(y[:n, None], 16000, Audio(denoise=how))[0]).all()


EVERYTHING = [
    Audio(),
    Audio(sr=22050),
    Audio(sr=8000),
    Audio(trim_db=30),
    Audio(lowpass_hz=500),
    Audio(normalize="peak"),
    Audio(normalize="rms"),
    Audio(normalize="loudness"),
    Audio(highpass_hz=500),
    Audio(highpass_hz=500, lowpass_hz=2000, filter_order=48),
    Audio(split_db=30),
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


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(sr=0), r"Audio\(sr=0\): give a number above 0, or None"),
        (dict(duration=-1), r"Audio\(duration=-1.0\)"),
        (dict(trim_db=0), r"Audio\(trim_db=0.0\)"),
        (dict(lowpass_hz=0), r"Audio\(lowpass_hz=0.0\)"),
        (dict(highpass_hz=0), r"Audio\(highpass_hz=0.0\): give a number above 0, or None"),
        (dict(split_db=-3), r"Audio\(split_db=-3.0\)"),
        (dict(filter_order=0), r"Audio\(filter_order=0\): give 1 to 48"),
        (dict(filter_order=49), r"Audio\(filter_order=49\)"),
        (
            dict(highpass_hz=2000, lowpass_hz=500),
            r"Audio\(highpass_hz=2000, lowpass_hz=500\) leaves nothing; give highpass_hz, .* below",
        ),
        (dict(highpass_hz=500, lowpass_hz=500), "leaves nothing"),
        (dict(normalize="lufs"), "unknown normalize 'lufs'; choose one of loudness, peak, rms"),
        (dict(channel=-1), "channels are counted from 0"),
        (dict(channel="left"), "unknown channel .* 'left'; choose one of mean"),
        (dict(pad="mirror"), "unknown pad 'mirror'; choose one of reflect, repeat, silence"),
        (dict(normalize="peek"), "unknown normalize 'peek'; did you mean 'peak'"),
        (dict(denoise="yes"), "unknown denoise 'yes'; choose one of nonstationary, stationary"),
    ],
)
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


# ---------------------------------------------------------------------- headers, work memory and finding files


def test_a_header_tells_how_long_a_recording_lasts(tmp_path, write_wav):
    assert recording_seconds(write_wav(tmp_path / "a.wav", noise(4000, 2), 16000)) == 0.25
    assert recording_seconds(write(tmp_path, "flac", "PCM_16", noise(8000))) == 0.5
    whole = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[:-100])
    (tmp_path / "words.wav").write_bytes(b"no sound at all")
    write_wav(tmp_path / "empty.wav", noise(0))
    for name, reason in [
        ("cut.wav", "is cut short"),
        ("words.wav", "is not a recording"),
        ("empty.wav", "holds no samples"),
        ("none.wav", "is not there"),
    ]:
        with pytest.raises(AudioError, match=f"{name}': {reason}"):
            recording_seconds(tmp_path / name)


def test_scratch_is_used_again_and_grows():
    buffer = SampleBuffer()
    first = buffer.take(100, 2)
    assert first.shape == (100, 2) and first.dtype == np.float32
    assert np.shares_memory(first, buffer.take(50)) and buffer.take(1000).shape == (1000,)


def test_reading_with_scratch_gives_the_same_samples(tmp_path, write_wav):
    buffer = SampleBuffer()
    for n in (3000, 500, 4000):
        path = write_wav(tmp_path / f"{n}.wav", noise(n, 2, seed=n))
        np.testing.assert_array_equal(read_clip(path, buffer=buffer).y, read_audio(path)[0])


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


# ---------------------------------------------------------------------- only as much as is looked at


@pytest.mark.parametrize(
    "sr, target", [(44100, None), (44100, 16000), (192000, 16000), (11025, 48000), (1500, 8000), (44100, 1000)]
)
@pytest.mark.parametrize("start", [None, 1.5])
def test_the_beginning_of_a_long_recording_gives_the_samples_of_the_whole(tmp_path, write_wav, sr, target, start):
    y = 0.1 * np.random.default_rng(0).standard_normal(sr * 12).astype("float32")
    path = write_wav(tmp_path / "long.wav", y, sr, subtype="FLOAT")
    audio = Audio(sr=target, duration=0.6)
    clip = read_clip(path, audio, start)
    first = round((start or 0) * sr)
    expected, rate, _ = condition(y[first:, None], sr, audio)
    assert np.array_equal(clip.y, expected) and clip.sr == rate
    assert clip.duration == pytest.approx(12 - (start or 0), abs=1 / sr)


def test_only_the_beginning_of_a_long_recording_is_read(tmp_path, peak_memory):
    path = tmp_path / "hours.flac"
    with sf.SoundFile(path, "w", 8000, 1) as file:  # two hours: 230 MB of samples
        for _ in range(120):
            file.write(np.zeros(8000 * 60, "int16"))
    read = f"y, sr = read_audio({str(path)!r}, Audio(duration=0.6)); raise ValueError(len(y))"
    assert peak_memory("from specimg.audio import Audio, read_audio; import soundfile", read) < 40  # MB


@pytest.mark.parametrize(
    "audio, seconds",
    [
        (Audio(), None),
        (Audio(duration=2), 2),
        (Audio(duration=2, sr=16000), 4),
        (Audio(duration=2, normalize="peak"), None),
        (Audio(duration=2, trim_db=40), None),
        (Audio(duration=2, highpass_hz=50), None),
    ],
)
def test_how_much_is_looked_at(audio, seconds):
    assert audio.looks_at == seconds
