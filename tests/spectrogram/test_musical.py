"""Cqt, Vqt, Chroma, Tonnetz and Contrast are librosa's, and notes with known names light the rows they should."""

import librosa
import numpy as np
import pytest
from signals import make_signals

from specimg.audio import read_audio
from specimg.spectrogram import Chroma, Contrast, Cqt, Tonnetz, Vqt, chroma_mfcc_gfcc

SR = 22050
SIGNALS = {name: y for name, y in make_signals(SR, 40000).items() if name != "short"}
every_signal = pytest.mark.parametrize("signal", SIGNALS)
NOISE = SIGNALS["white noise"]


def tones(*hz, seconds=2.0, sr=SR):
    """Sines together, float32."""
    t = np.arange(int(seconds * sr)) / sr
    return sum(0.3 * np.sin(2 * np.pi * f * t) for f in hz).astype("float32")


def librosa_db(function, y, top_db=80.0, **settings):
    return librosa.amplitude_to_db(np.abs(function(y.astype("float64"), **settings)), ref=np.max, top_db=top_db)


# ---------------------------------------------------------------------- constant and variable Q


@every_signal
def test_cqt_is_librosas(signal):
    y = SIGNALS[signal]
    for top_db in (80.0, 120.0, None):
        x = Cqt(top_db=top_db)(y, SR)
        expected = librosa_db(librosa.cqt, y, top_db, sr=SR)
        assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
        np.testing.assert_allclose(x[0], expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    "sr, settings",
    [
        (16000, dict(n_bins=60, fmin=65.4, hop_length=256)),
        (44100, dict(n_bins=84, fmin=110.0, hop_length=441)),  # a hop that cannot be halved
        (44100, dict(n_bins=24, fmin=55.0, hop_length=1024)),  # halved before the first octave
        (8000, dict(n_bins=30, bins_per_octave=12, fmin=200.0, hop_length=64)),  # not whole octaves
        (22050, dict(n_bins=84, bins_per_octave=24, tuning=0.3, filter_scale=0.5, window="hamming", fmin=130.0)),
        (22050, dict(n_bins=5, fmin=440.0, hop_length=100)),
        (22050, dict(n_bins=1, fmin=440.0)),
        (32000, dict(n_bins=60, fmin=61.74, hop_length=500)),
    ],
    ids=str,
)
@pytest.mark.parametrize("signal", ["white noise", "chirp", "click"])
def test_cqt_and_vqt_are_librosas_whatever_the_setting(signal, sr, settings):
    y = make_signals(sr, 2 * sr)[signal]
    np.testing.assert_allclose(
        Cqt(**settings)(y, sr)[0], librosa_db(librosa.cqt, y, sr=sr, **settings), rtol=0, atol=0.01
    )
    for gamma in (None, 0.0, 20.0):
        expected = librosa_db(librosa.vqt, y, sr=sr, gamma=gamma, **settings)
        np.testing.assert_allclose(Vqt(gamma=gamma, **settings)(y, sr)[0], expected, rtol=0, atol=0.01)


def test_other_scales_of_the_cqt():
    share = np.abs(librosa.cqt(NOISE.astype("float64"), sr=SR))
    np.testing.assert_allclose(Cqt(scale="linear", ref=1.0)(NOISE, SR)[0], share, rtol=1e-4, atol=1e-6)
    share /= share.max()
    for scale, exponent in [("power", 2), ("linear", 1), ("root", 0.5)]:
        spec = Cqt(scale=scale)
        np.testing.assert_allclose(spec(NOISE, SR)[0], share**exponent, atol=1e-5)
        assert spec.ranges == ((0.0, 1.0),)
    assert (Cqt().unit, Cqt(scale="linear").unit, Cqt(top_db=60.0).ranges) == ("dB", "amplitude", ((-60.0, 0.0),))


@pytest.mark.parametrize(
    "spec", [Cqt(), Vqt(), Cqt(n_bins=48, bins_per_octave=12, fmin=110.0, hop_length=200)], ids=str
)
@pytest.mark.parametrize("hz", [440.0, 880.0, 1318.51])
def test_a_note_lights_its_row(spec, hz):
    row = int(np.abs(spec.frequencies(SR) - hz).argmin())
    assert spec.frequencies(SR)[row] == pytest.approx(hz, rel=1e-5)
    x = spec(tones(hz), SR)[0][:, 20:-20]
    assert (x.argmax(axis=0) == row).all() and np.delete(x, range(row - 2, row + 3), axis=0).max() < -6


def test_a4_is_row_45_of_the_cqt_and_frequencies_are_librosas():
    assert Cqt().frequencies(SR)[45] == pytest.approx(440)
    found = Cqt(n_bins=96, bins_per_octave=24, fmin=55.0).frequencies(SR)
    np.testing.assert_allclose(found, librosa.cqt_frequencies(96, fmin=55.0, bins_per_octave=24))
    np.testing.assert_allclose(
        Vqt(tuning=0.5).frequencies(SR), librosa.cqt_frequencies(84, fmin=Cqt().fmin, tuning=0.5)
    )


def test_vqt_is_sharper_in_time_than_cqt_at_the_low_end():
    click = np.zeros(44100, "float32")
    click[22050] = 1
    wide, narrow = (
        np.count_nonzero(spec(click, SR)[0][0] > -60) for spec in (Cqt(hop_length=128), Vqt(hop_length=128))
    )
    assert narrow < wide / 3


# ---------------------------------------------------------------------- notes


@every_signal
@pytest.mark.parametrize(
    "source, settings",
    [
        ("stft", dict()),
        ("stft", dict(n_chroma=24, n_fft=4096, win_length=3000, hop_length=1000, window="hamming", tuning=0.2)),
        ("cqt", dict()),
        ("cqt", dict(fmin=65.4, n_octaves=5, bins_per_octave=24, hop_length=1024)),
        ("cens", dict()),
        ("cens", dict(n_chroma=24, bins_per_octave=48, n_octaves=4, fmin=130.8, tuning=-0.25)),
    ],
    ids=str,
)
def test_chroma_is_librosas(signal, source, settings):
    y = SIGNALS[signal].astype("float64")
    expected = getattr(librosa.feature, f"chroma_{source}")(y=y, sr=SR, **dict(tuning=0.0) | settings)
    x = Chroma(source, **settings)(SIGNALS[signal], SR)
    assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
    allowed = 0.002 if source == "cens" else 0  # of the cells: a share that lies on one of its four thresholds
    far = ~np.isclose(x[0], expected, rtol=0, atol=1e-4)
    assert far.mean() <= allowed, f"{far.sum()} cells, by {np.abs(x[0] - expected).max()}"
    assert 0 <= x.min() and x.max() <= 1 and Chroma(source).ranges == ((0.0, 1.0),)


@pytest.mark.parametrize("norm, of", [("max", np.inf), ("l1", 1), ("l2", 2), (None, None)])
def test_norms_of_chroma_are_librosas(norm, of):
    y = NOISE.astype("float64")
    for source, function in (("stft", librosa.feature.chroma_stft), ("cqt", librosa.feature.chroma_cqt)):
        expected = function(y=y, sr=SR, tuning=0.0, norm=of)
        np.testing.assert_allclose(
            Chroma(source, norm=norm)(NOISE, SR)[0], expected, rtol=1e-3, atol=1e-5 * expected.max()
        )
    assert Chroma(norm=norm).ranges == ((None,) if norm is None else ((0.0, 1.0),))


def test_units_of_chroma():
    assert [Chroma(s).unit for s in ("stft", "cqt", "cens")] == ["share of the strongest"] * 2 + ["share of the length"]
    assert (Chroma(norm=None).unit, Chroma("cqt", norm=None).unit, Chroma(norm="l1").unit) == (
        "power",
        "amplitude",
        "share of the sum",
    )
    assert Chroma().frequencies(SR) is None and (Chroma().slug, Chroma("cens", n_chroma=24).slug) == (
        "chroma12-stft",
        "chroma24-cens",
    )


@pytest.mark.parametrize("source", ["stft", "cqt", "cens"])
@pytest.mark.parametrize("hz, row", [(261.626, 0), (440.0, 9), (880.0, 9), (493.883, 11)])
def test_a_note_lights_its_chroma_in_every_octave(source, hz, row):
    x = Chroma(source)(tones(hz), SR)[0][:, 20:-20]
    assert (x.argmax(axis=0) == row).all()


def test_a_chord_is_its_three_notes():
    x = Chroma("cqt")(tones(261.626, 329.628, 391.995), SR)[0][:, 30:-30].mean(axis=1)
    assert set(np.argsort(x)[-3:]) == {0, 4, 7}


def test_notes_that_do_not_divide_36_have_filters_of_their_own():
    """128 notes to the octave need filters that are 5.6 s long at C1, and 0.7 s at C4."""
    settings = dict(n_chroma=128, fmin=261.626, n_octaves=3)
    x = Chroma("cqt", **settings)(NOISE, SR)
    assert x.shape[:2] == (1, 128)
    expected = librosa.feature.chroma_cqt(y=NOISE.astype("float64"), sr=SR, tuning=0.0, bins_per_octave=128, **settings)
    np.testing.assert_allclose(x[0], expected, atol=1e-3)


@every_signal
@pytest.mark.parametrize("chroma", [Chroma("cqt"), Chroma("stft"), Chroma("cens")], ids=lambda c: c.source)
def test_tonnetz_is_librosas(signal, chroma):
    y = SIGNALS[signal].astype("float64")
    notes = getattr(librosa.feature, f"chroma_{chroma.source}")(y=y, sr=SR, tuning=0.0)
    x = Tonnetz(chroma)(SIGNALS[signal], SR)
    expected = librosa.feature.tonnetz(chroma=notes)
    assert x.dtype == np.float32 and x.shape == (1, 6, notes.shape[1])
    assert (~np.isclose(x[0], expected, atol=1e-4)).mean() <= (0.01 if chroma.source == "cens" else 0)
    if chroma.source == "cqt":
        np.testing.assert_allclose(x[0], librosa.feature.tonnetz(y=y, sr=SR, tuning=0.0), atol=1e-4)


def test_a_lone_c_lies_at_the_top_of_every_circle():
    x = Tonnetz(Chroma("cens"))(tones(261.626), SR)[0][:, 30:-30].mean(axis=1)
    np.testing.assert_allclose(x, [0, 1, 0, 1, 0, 0.5], atol=0.15)
    spec = Tonnetz()
    assert (spec.ranges, spec.unit, spec.frequencies(SR), spec.slug) == (
        ((-1.0, 1.0),),
        "coordinate",
        None,
        "tonnetz-cqt",
    )


def test_the_tuning_is_not_estimated():
    """A piece a quarter tone flat has the rows of its frequencies, the same beside other sounds."""
    flat = tones(440 * 2 ** (-0.5 / 12))
    alone, beside = Chroma("cqt")(flat, SR)[0][:, 30], Chroma("cqt")(np.r_[flat, tones(440.0)], SR)[0][:, 30]
    np.testing.assert_allclose(alone, beside, atol=1e-4)


# ---------------------------------------------------------------------- peaks and valleys


@every_signal
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(n_bands=4, fmin=100.0, quantile=0.2, n_fft=1024, hop_length=300),
        dict(n_fft=1023, win_length=800, window="hamming"),
    ],
    ids=str,
)
def test_contrast_is_librosas(signal, settings):
    y = SIGNALS[signal]
    for scale in ("db", "linear"):
        expected = librosa.feature.spectral_contrast(y=y.astype("float64"), sr=SR, linear=scale == "linear", **settings)
        x = Contrast(scale=scale, **settings)(y, SR)
        assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
        np.testing.assert_allclose(x[0], expected, rtol=1e-4, atol=1e-3)


def test_a_tone_stands_out_in_its_octave_and_noise_nowhere():
    spec = Contrast()
    x = spec(tones(1000.0) + NOISE[np.arange(44100) % 40000] / 10, SR)[0].mean(axis=1)
    row = int(np.abs(np.log2(spec.frequencies(SR) / 1000)).argmin())
    assert row == 3 and x.argmax() == 3 and x[3] > np.delete(x, 3).max() + 8
    assert spec(NOISE, SR)[0].mean(axis=1).max() < 18
    np.testing.assert_allclose(spec.frequencies(SR)[:3], [100, 282.84, 565.69], atol=0.01)
    assert (spec.ranges, spec.unit, Contrast(scale="linear").ranges) == (((0.0, 80.0),), "dB", (None,))


# ---------------------------------------------------------------------- silence and bad input


@pytest.mark.parametrize(
    "spec, value",
    [
        (Cqt(), -80),
        (Vqt(), -80),
        (Cqt(top_db=60.0), -60),
        (Cqt(scale="linear"), 0),
        (Chroma(), 0),
        (Chroma("cqt"), 0),
        (Chroma("cens"), 0),
        (Chroma(norm=None), 0),
        (Tonnetz(), 0),
        (Contrast(), 0),
        (Contrast(scale="linear"), 0),
    ],
    ids=str,
)
def test_silence_is_the_bottom_of_the_range_and_no_key_at_all(spec, value):
    x = spec(np.zeros(44100, "float32"), SR)
    assert (x == value).all() and x.dtype == np.float32


@pytest.mark.parametrize(
    "spec",
    [Cqt(scale="power", ref=1e-10), Chroma(norm=None), Contrast(scale="linear"), Chroma("cqt", norm=None)],
    ids=str,
)
def test_loud_samples_are_an_error_and_not_a_picture_of_nothing(spec):
    with pytest.raises(ValueError, match="so large that their power overflows"):
        spec(np.full(44100, 3e38, "float32") * np.where(np.arange(44100) % 50 < 25, 1, -1).astype("float32"), SR)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Cqt(n_bins=0), r"Cqt\(n_bins=0\): give 1 bin or more"),
        (lambda: Cqt(bins_per_octave=0), r"Cqt\(bins_per_octave=0\)"),
        (lambda: Cqt(hop_length=0), r"Cqt\(hop_length=0\): give a whole number of samples, 1 or more"),
        (lambda: Cqt(fmin=0), r"Cqt\(fmin=0\): give a number above 0"),
        (lambda: Vqt(filter_scale=-1), r"Vqt\(filter_scale=-1\): give a number above 0"),
        (lambda: Vqt(gamma=-1), r"Vqt\(gamma=-1\): give Hz, 0 or more, or None"),
        (lambda: Vqt(window="hannn"), r"Vqt\(window='hannn'\): give a name that scipy.signal.get_window takes"),
        (lambda: Cqt(top_db=0), r"Cqt\(top_db=0\): give decibels above 0, or None"),
        (lambda: Cqt(scale="log"), "unknown scale 'log'; choose one of db, linear, power, root"),
        (lambda: Chroma("cqtt"), "unknown source 'cqtt'; did you mean 'cqt'"),
        (lambda: Chroma(n_chroma=0), r"Chroma\(n_chroma=0\): give 1 note or more"),
        (lambda: Chroma(n_fft=0), r"Chroma\(n_fft=0\)"),
        (lambda: Chroma(win_length=4096), r"Chroma\(win_length=4096\): give 1 to n_fft=2048"),
        (lambda: Chroma(norm="l3"), "unknown norm 'l3'; .*choose one of l1, l2, librosa, max"),
        (
            lambda: Chroma("cens", norm=None),
            r"Chroma\(source='cens', norm=None\): CENS is a share of each frame; choose 'l1', 'l2' or 'max'",
        ),
        (lambda: Chroma("cqt", n_octaves=0), r"Chroma\(n_octaves=0\): give 1 octave or more"),
        (lambda: Chroma("cqt", bins_per_octave=40), r"Chroma\(bins_per_octave=40\): give a multiple of n_chroma=12"),
        (lambda: Chroma("cqt", fmin=-1), r"Cqt\(fmin=-1\): give a number above 0"),
        (lambda: Tonnetz(Cqt()), "is not Chroma"),
        (lambda: Contrast(n_bands=0), r"Contrast\(n_bands=0\): give 1 octave or more"),
        (lambda: Contrast(fmin=0), r"Contrast\(fmin=0\): give Hz above 0"),
        (lambda: Contrast(quantile=1), r"Contrast\(quantile=1\): give a share between 0 and 1"),
        (lambda: Contrast(scale="power"), "unknown scale 'power'; choose one of db, linear"),
    ],
)
def test_a_wrong_choice_is_named_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "spec, n, sr, message",
    [
        (
            Cqt(n_bins=100),
            44100,
            16000,
            r"the highest bin, at 9956 Hz, reaches up to \d+ Hz, and a clip at 16000 Hz ends at 8000 Hz; use n_bins=95 "
            r"or less, a lower fmin, or Audio\(sr=...\)",
        ),
        (Cqt(), 44100, 8000, "use n_bins=83 or less"),
        (Vqt(fmin=9000.0, n_bins=12), 44100, 16000, r"at 16000 Hz ends at 8000 Hz; use a lower fmin, or Audio\(sr"),
        (Chroma("cqt"), 44100, 4000, r"the highest bin, at 4106 Hz, .* use n_octaves=5 or less, a lower fmin"),
        (Tonnetz(), 44100, 4000, "use n_octaves=5 or less"),
        (
            Cqt(),
            8000,
            22050,
            r"a clip of 8000 samples \(0.363 s\) is shorter than the longest filter, 0.530 s at 32.7 Hz; use fmin=49 or more with a "
            r"smaller n_bins, fewer bins_per_octave, Vqt, whose low filters are shorter, or Audio\(duration=...\)",
        ),
        (Vqt(gamma=0.0), 8000, 22050, "smaller n_bins, fewer bins_per_octave, a larger gamma, or"),
        (Cqt(n_bins=6), 8000, 22050, "at 32.7 Hz; use fewer bins_per_octave, Vqt"),
        (
            Chroma("cens"),
            16000,
            16000,
            r"\(1.000 s\) is shorter than the longest filter, 1.588 s at 32.7 Hz; use fmin=53 or more with a smaller n_octaves, "
            r"fewer bins_per_octave, source='stft', or Audio\(duration=...\)",
        ),
        (
            Contrast(),
            8000,
            8000,
            "the highest band begins at 6400 Hz, and a clip at 8000 Hz ends at 4000 Hz; use n_bands=5 or fewer, or a lower fmin",
        ),
        (Contrast(fmin=5000.0), 8000, 8000, "ends at 4000 Hz; use a lower fmin"),
        (
            Contrast(n_fft=128),
            8000,
            44100,
            "the lowest band, up to 200 Hz, holds one frequency bin: n_fft=128 at 44100 Hz has one every 344.5 Hz only; "
            "use a larger n_fft or a higher fmin",
        ),
    ],
)
def test_what_a_clip_cannot_be_drawn_with_says_so(spec, n, sr, message):
    with pytest.raises(ValueError, match=message):
        spec(np.ones(n, "float32"), sr)


def test_the_advice_of_the_errors_works():
    y = NOISE[:8000]
    assert Cqt(fmin=49.0, n_bins=70)(y, 22050).shape[1] == 70 and Vqt()(y, 22050).shape[1] == 84
    assert Cqt(n_bins=95)(NOISE, 16000).shape[1] == 95 and Cqt(n_bins=83)(NOISE, 8000).shape[1] == 83
    assert Chroma("cqt", n_octaves=5)(NOISE, 4000).shape[1] == 12
    assert Contrast(n_bands=5)(NOISE, 8000).shape[1] == 6
    assert chroma_mfcc_gfcc(rows=12)(NOISE, 16000).shape[:2] == (4, 12)


def test_spoken_digits_are_librosas(fsdd):
    """Speech at 8 kHz, a third of a second and more; what C1's filters are too long for, higher and wider ones draw."""
    for path in sorted(fsdd.glob("*.wav"))[::250]:
        y, sr = read_audio(path)
        exact, settings = y.astype("float64"), dict(n_bins=36, fmin=261.626, hop_length=64)
        for spec, function in ((Cqt(**settings), librosa.cqt), (Vqt(**settings), librosa.vqt)):
            np.testing.assert_allclose(
                spec(y, sr)[0], librosa_db(function, y, sr=sr, **settings), rtol=0, atol=0.01, err_msg=path.name
            )
        notes = librosa.feature.chroma_stft(y=exact, sr=sr, n_fft=512, hop_length=64, tuning=0.0)
        np.testing.assert_allclose(Chroma(n_fft=512, hop_length=64)(y, sr)[0], notes, atol=1e-5)
        contrast = librosa.feature.spectral_contrast(y=exact, sr=sr, n_bands=4, n_fft=512)
        np.testing.assert_allclose(Contrast(n_bands=4, n_fft=512)(y, sr)[0], contrast, atol=1e-3)
