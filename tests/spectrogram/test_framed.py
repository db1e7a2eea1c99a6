"""The signed and two-channel parts of the STFT, the scales beside decibels, PCEN, and gammatone filters against what is published."""

import subprocess
import sys

import librosa
import numpy as np
import pytest
import scipy.signal
from scipy.fft import dct
from signals import SIGNALS, SR, padded

from specimg.audio import read_audio
from specimg.spectrogram import Gammatone, Gfcc, Mel, Mfcc, Pcen, Stft
from specimg.spectrogram.filters import erb, erb_centres, gammatone_filters, hz_to_mel

every_signal = pytest.mark.parametrize("signal", SIGNALS)
STFTS = [
    dict(),
    dict(n_fft=400, hop_length=160),
    dict(n_fft=1023, hop_length=160, win_length=800, window="hamming"),
    dict(n_fft=512, hop_length=700, center=False),
    dict(n_fft=256, hop_length=64, pad_mode="reflect"),
]


def librosa_complex(y, **settings):
    y, settings = padded(y, settings)
    return librosa.stft(y, **settings)


# ---------------------------------------------------------------------- parts of the STFT


@every_signal
@pytest.mark.parametrize("settings", STFTS, ids=str)
def test_every_part_of_the_stft_is_librosas(signal, settings):
    y = SIGNALS[signal]
    expected = librosa_complex(y, **settings)
    peak = np.abs(expected).max()
    real = Stft(part="real", **settings)(y, SR)
    pair = Stft(part="real_imag", **settings)(y, SR)
    polar = Stft(part="magnitude_phase", scale="linear", **settings)(y, SR)
    assert real.dtype == pair.dtype == polar.dtype == np.float32
    assert real.shape == (1, *expected.shape) and pair.shape == polar.shape == (2, *expected.shape)
    np.testing.assert_allclose(real[0], expected.real / peak, atol=1e-6)
    np.testing.assert_allclose(pair[0] + 1j * pair[1], expected / peak, atol=1e-6)
    np.testing.assert_allclose(polar[0] * np.exp(1j * polar[1].astype("float64")), expected / peak, atol=1e-6)
    np.testing.assert_array_equal(pair[0], real[0])


@pytest.mark.parametrize("ref", [1.0, 0.25])
def test_with_a_number_for_ref_the_parts_are_librosas_own_numbers(ref):
    y, settings = SIGNALS["chirp"], dict(n_fft=400, hop_length=160)
    expected = librosa_complex(y, **settings)
    np.testing.assert_allclose(Stft(part="real", ref=ref, **settings)(y, SR)[0], expected.real / ref**0.5, atol=1e-4)
    np.testing.assert_allclose(
        Stft(scale="linear", ref=ref, **settings)(y, SR)[0], np.abs(expected) / ref**0.5, atol=1e-4
    )
    np.testing.assert_allclose(
        Stft(scale="power", ref=ref, **settings)(y, SR)[0], np.abs(expected) ** 2 / ref, rtol=1e-5, atol=1e-4
    )


def test_the_samples_come_back_from_the_pair_and_from_magnitude_and_phase():
    y = SIGNALS["white noise"]
    settings = dict(n_fft=400, hop_length=100)
    real, imag = Stft(part="real_imag", ref=1.0, **settings)(y, SR)
    magnitude, phase = Stft(part="magnitude_phase", scale="linear", ref=1.0, **settings)(y, SR)
    for spectrum in (real + 1j * imag, magnitude * np.exp(1j * phase)):
        np.testing.assert_allclose(librosa.istft(spectrum, hop_length=100, length=len(y)), y, atol=1e-5)


def test_the_classic_real_part_of_a_second_at_16_khz_is_201_by_101():
    x = Stft(n_fft=400, hop_length=160, part="real")(SIGNALS["white noise"][np.arange(16000) % 12000], 16000)
    assert x.shape == (1, 201, 101) and x.min() < -0.3 and x.max() > 0.3


@every_signal
@pytest.mark.parametrize("scale, exponent", [("power", 2), ("linear", 1), ("root", 0.5)])
def test_scales_are_powers_of_the_magnitude(signal, scale, exponent):
    y, settings = SIGNALS[signal], dict(n_fft=512, hop_length=160)
    share = np.abs(librosa_complex(y, **settings))
    share /= share.max()
    spec = Stft(scale=scale, **settings)
    np.testing.assert_allclose(spec(y, SR)[0], share**exponent, atol=2e-6)
    assert spec.ranges == ((0.0, 1.0),)


def test_the_root_keeps_the_sign():
    y = SIGNALS["chirp"]
    linear, root = Stft(part="real_imag")(y, SR), Stft(part="real_imag", scale="root")(y, SR)
    np.testing.assert_allclose(np.sign(root) * root**2, linear, atol=1e-6)
    assert root.min() < -0.5


def test_magnitude_and_phase_are_decibels_and_radians():
    y = SIGNALS["fading"]
    spec = Stft(n_fft=512, part="magnitude_phase")
    x = spec(y, SR)
    np.testing.assert_array_equal(x[0], Stft(n_fft=512)(y, SR)[0])
    assert spec.unit == "dB, rad" and spec.ranges == ((-80.0, 0.0), (-np.pi, np.pi))
    assert -np.float32(np.pi) <= x[1].min() < -3.1 and 3.1 < x[1].max() <= np.float32(np.pi)


@pytest.mark.parametrize("part", ["magnitude", "real", "real_imag", "magnitude_phase"])
def test_a_silent_clip_has_no_angle_and_no_sign(part):
    spec = Stft(part=part)
    x = spec(np.zeros(8000, "float32"), SR)
    expected = {"magnitude": [-80], "real": [0], "real_imag": [0, 0], "magnitude_phase": [-80, 0]}[part]
    assert len(x) == spec.channels == len(spec.ranges) == len(expected)
    np.testing.assert_array_equal(x, np.broadcast_to(np.array(expected, "float32")[:, None, None], x.shape))


def test_silent_frames_within_a_sounding_clip_have_the_angle_zero():
    y = SIGNALS["white noise"].copy()
    y[3000:9000] = -0.0
    x = Stft(n_fft=512, hop_length=128, part="magnitude_phase")(y, SR)
    np.testing.assert_array_equal(x[1][:, 30:65], 0)


def test_signed_parts_are_even_about_zero_and_others_begin_at_it():
    assert (
        Stft(part="real").ranges == ((-1.0, 1.0),) and Stft(part="real_imag", scale="root").ranges == ((-1.0, 1.0),) * 2
    )
    assert Stft(top_db=None).ranges == (None,) and Stft(top_db=None, scale="linear").ranges == ((0.0, 1.0),)
    units = [Stft(scale=s).unit for s in (None, "db", "power", "linear", "root")]
    assert units == ["dB", "dB", "power", "amplitude", "√amplitude"] and Stft(part="real").unit == "amplitude"
    slugs = [Stft().slug, Stft(part="real").slug, Stft(part="real", scale="root").slug, Stft(scale="linear").slug]
    assert slugs == ["stft2048", "stft2048-real", "stft2048-real-root", "stft2048-linear"]


# ---------------------------------------------------------------------- mel without decibels


@every_signal
@pytest.mark.parametrize(
    "settings",
    [
        dict(power=2.0),
        dict(power=1.0),
        dict(power=1.5),
        dict(n_fft=400, hop_length=160, n_mels=20, htk=True, norm=None),
    ],
    ids=str,
)
def test_linear_mel_is_librosas_own_numbers(signal, settings):
    y, settings = SIGNALS[signal], dict(n_mels=40) | settings
    expected = librosa.feature.melspectrogram(y=y.astype("float64"), sr=SR, **settings)
    x = Mel(scale="linear", ref=1.0, **settings)(y, SR)
    assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
    np.testing.assert_allclose(x[0], expected, rtol=1e-3, atol=1e-8 * expected.max())
    np.testing.assert_allclose(
        Mel(scale="linear", **settings)(y, SR)[0], expected / expected.max(), rtol=1e-3, atol=1e-7
    )


@every_signal
@pytest.mark.parametrize(
    "sr, settings, constants",
    [
        (16000, dict(n_mels=40), dict()),
        (
            16000,
            dict(n_mels=40, n_fft=400, hop_length=160),
            dict(gain=0.8, bias=10.0, power=0.25, time_constant=0.06, eps=1e-3),
        ),
        (32000, dict(n_mels=40, power=1.0), dict(gain=0.0)),
    ],
)
def test_pcen_is_librosas(signal, sr, settings, constants):
    y = SIGNALS[signal]
    mel = librosa.feature.melspectrogram(y=y.astype("float64"), sr=sr, **settings)
    expected = librosa.pcen(mel * 2**31, sr=sr, hop_length=settings.get("hop_length", 512), **constants)
    x = Mel(pcen=Pcen(**constants), **settings)(y, sr)
    assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
    np.testing.assert_allclose(x[0], expected, rtol=1e-5, atol=1e-6 * expected.max())


def test_pcen_takes_the_loudness_out_and_lets_onsets_stand():
    rng = np.random.default_rng(1)
    y = 0.01 * rng.standard_normal(64000)
    y[48000:48160] += rng.standard_normal(160)
    spec = Mel(n_mels=40, n_fft=512, hop_length=160, pcen=Pcen(gain=1.0))
    loud, quiet = spec(y, SR)[0], spec(y / 30, SR)[0]
    np.testing.assert_allclose(loud[:, 100:], quiet[:, 100:], rtol=0.02)  # from where the smoothing has settled
    assert loud[:, 290:310].mean(axis=0).max() > 3 * loud[:, 100:290].mean(axis=0).max()


def test_pcen_of_silence_is_zero_and_has_no_fixed_range():
    spec = Mel(pcen=Pcen())
    assert (spec(np.zeros(8000, "float32"), SR) == 0).all()
    assert (spec.ranges, spec.unit, spec.slug) == ((None,), "PCEN", "mel128-pcen")
    assert Mel.from_dict({"pcen": {"gain": 0.5}}) == Mel(pcen=Pcen(gain=0.5))


def test_units_and_ranges_of_mel():
    assert [Mel(scale="linear", power=p).unit for p in (2.0, 1.0, 1.5)] == ["power", "amplitude", "amplitude^1.5"]
    assert (
        Mel(scale="linear").ranges == Gammatone(scale="linear").ranges == ((0.0, 1.0),)
        and Mel(scale="linear").slug == "mel128-linear"
    )


# ---------------------------------------------------------------------- gammatone filters


def test_the_ears_bandwidth_is_what_glasberg_and_moore_measured():
    """ERB = 24.7 (4.37 F + 1), F in kHz (Hearing Research 47, 1990)."""
    np.testing.assert_allclose(erb([100, 500, 1000, 4000, 10000]), [35.49, 78.67, 132.64, 456.46, 1104.09], atol=0.006)


@pytest.mark.parametrize(
    "n, fmin, fmax", [(64, 50.0, 8000.0), (128, 0.0, 22050.0), (5, 300.0, 3000.0), (1, 440.0, 4000.0)]
)
def test_centres_are_slaneys(n, fmin, fmax):
    """His ERBSpace, Apple technical report 35, with EarQ = 9.26449 and minBW = 24.7."""
    ear = 9.26449 * 24.7
    k = np.arange(n, 0, -1)
    expected = -ear + np.exp(k * (-np.log(fmax + ear) + np.log(fmin + ear)) / n) * (fmax + ear)
    found = erb_centres(n, fmin, fmax)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
    assert found[0] == pytest.approx(fmin, abs=1e-6) and (np.diff(found) > 0).all() and found[-1] < fmax


@pytest.mark.parametrize(
    "hz, depth, tolerance", [(100.0, 15, 0.7), (250.0, 60, 0.25), (1000.0, 60, 0.1), (4000.0, 60, 0.1)]
)
def test_the_response_is_that_of_the_gammatone_impulse(hz, depth, tolerance):
    """t^3 exp(-2 pi 1.019 ERB t) cos(2 pi f t), transformed; its mirror image at -f, which the formula leaves away, shows at 100 Hz."""
    sr, n = 64000, 64000
    t = np.arange(n) / sr
    response = np.abs(np.fft.rfft(t**3 * np.exp(-2 * np.pi * 1.019 * erb(hz) * t) * np.cos(2 * np.pi * hz * t)))
    expected = 20 * np.log10(response / response[int(hz)])
    found = 10 * np.log10(gammatone_filters(sr, n, 1, hz, sr / 2)[0])
    above = (expected > -depth) & (np.arange(n // 2 + 1) > hz - 3 * erb(hz))
    assert above.sum() > 2 * erb(hz)
    np.testing.assert_allclose(found[above], expected[above], atol=tolerance)


@pytest.mark.parametrize("hz", [250.0, 1000.0, 3000.0])
def test_the_response_is_that_of_scipys_gammatone(hz):
    """Slaney's digital filter, within 0.5 dB over three bandwidths to either side."""
    sr = 16000
    bins, response = scipy.signal.freqz(
        *scipy.signal.gammatone(hz, "iir", fs=sr), worN=4001, include_nyquist=True, fs=sr
    )
    found = gammatone_filters(sr, 8000, 1, hz, sr / 2)[0]
    near = np.abs(bins - hz) < 1.5 * erb(hz)
    np.testing.assert_allclose(10 * np.log10(found[near]), 20 * np.log10(np.abs(response[near])), atol=0.5)


def test_each_filter_passes_as_much_noise_as_a_rectangle_of_its_bandwidth():
    """What "equivalent rectangular" means, and where the factor 1.019 is from: 5 pi / 16 * 1.019 = 1.0005."""
    filters = gammatone_filters(64000, 64000, 20, 200.0, 8000.0)  # a bin a hertz
    np.testing.assert_allclose(filters.sum(axis=1), erb(erb_centres(20, 200.0, 8000.0)), rtol=0.003)
    assert filters.max() == pytest.approx(1, abs=1e-3)


@every_signal
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(n_bands=40, n_fft=1024, hop_length=160, window="hamming"),
        dict(n_bands=128, n_fft=2048, win_length=1200, hop_length=256, fmin=0.0, fmax=4000.0),
        dict(n_bands=20, n_fft=1023, hop_length=333, pad_mode="reflect", fmin=100.0),
        dict(n_bands=30, n_fft=1000, hop_length=300, center=False, fmin=200.0),
    ],
    ids=str,
)
def test_gammatone_is_librosas_power_under_the_published_filters(signal, settings):
    y = SIGNALS[signal]
    framing = {k: v for k, v in settings.items() if k not in ("n_bands", "fmin", "fmax")}
    power = np.abs(librosa_complex(y, **dict(n_fft=2048) | framing)) ** 2
    choices = dict(n_fft=2048, n_bands=64, fmin=50.0, fmax=SR / 2) | settings
    filters = gammatone_filters(SR, *(choices[name] for name in ("n_fft", "n_bands", "fmin", "fmax")))
    for top_db, tolerance in [(80.0, 2e-3), (40.0, 2e-3), (120.0, 1e-4), (None, 1e-4)]:
        x = Gammatone(top_db=top_db, **settings)(y, SR)
        expected = librosa.power_to_db(filters @ power, ref=np.max, top_db=top_db)
        assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
        np.testing.assert_allclose(x[0], expected, rtol=0, atol=tolerance)
    linear = Gammatone(scale="linear", ref=1.0, **settings)(y, SR)[0]
    np.testing.assert_allclose(linear, filters @ power, rtol=1e-3, atol=1e-8 * power.max())


@pytest.mark.parametrize("sr, hz", [(16000, 1000), (44100, 1000), (8000, 440), (32000, 3000)])
def test_a_sine_lights_the_gammatone_band_nearest(sine, sr, hz):
    spec = Gammatone(n_bands=40)
    x = spec(sine(hz, sr=sr), sr)[0][:, 4:-4]
    assert (x.argmax(axis=0) == np.abs(spec.frequencies(sr) - hz).argmin()).all()
    np.testing.assert_array_equal(spec.frequencies(sr), erb_centres(40, 50.0, sr / 2))


def test_gammatone_gives_low_frequencies_more_rows_than_mel():
    """Between 50 and 500 Hz lie 7.3 of the 25.6 ERB up to 8 kHz (here nearly as many rows of 64), and 16 % of Slaney's mel."""
    ears = (Gammatone().frequencies(SR) < 500).sum() / 64
    mels = (hz_to_mel(500) - hz_to_mel(50)) / (hz_to_mel(8000) - hz_to_mel(50))
    assert 0.25 < ears < 0.31 and mels < 0.16


@every_signal
@pytest.mark.parametrize(
    "settings",
    [dict(), dict(n_gfcc=128, n_bands=256, n_fft=1024, hop_length=512, window="hamming"), dict(ref="max")],
    ids=str,
)
def test_gfcc_is_the_cosine_transform_of_the_cubic_root(signal, settings):
    y = SIGNALS[signal]
    framing = {k: v for k, v in settings.items() if k in ("n_fft", "hop_length", "window")}
    filters = gammatone_filters(SR, settings.get("n_fft", 2048), settings.get("n_bands", 64), 50.0, SR / 2)
    power = filters @ np.abs(librosa_complex(y, **framing)) ** 2
    if settings.get("ref") == "max":
        power /= power.max()
    expected = dct(power ** (1 / 3), axis=0, norm="ortho")[: settings.get("n_gfcc", 20)]
    x = Gfcc(**settings)(y, SR)
    assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
    np.testing.assert_allclose(x[0], expected, rtol=0, atol=1e-4 * np.abs(expected).max())


def test_gfcc_of_decibels_is_mfcc_over_gammatone_filters():
    y = SIGNALS["chirp"]
    decibels = Gammatone(ref=1.0)(y, SR)[0].astype("float64")
    np.testing.assert_allclose(Gfcc(compression="log")(y, SR)[0], dct(decibels, axis=0, norm="ortho")[:20], atol=2e-3)


def test_a_louder_clip_has_larger_cepstra_unless_ref_is_its_own():
    y = SIGNALS["white noise"]
    np.testing.assert_allclose(Gfcc()(y, SR), 10 ** (2 / 3) * Gfcc()(y / 10, SR), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(Gfcc(ref="max")(y, SR), Gfcc(ref="max")(y / 10, SR), rtol=1e-3, atol=1e-4)
    assert (Gfcc().unit, Gfcc().ranges, Gfcc().frequencies(SR), Gfcc().slug) == ("coefficient", (None,), None, "gfcc20")


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: Stft(part="phase"),
            r"unknown part 'phase'; choose one of magnitude, magnitude_phase, real, real_imag",
        ),
        (lambda: Stft(scale="log"), "unknown scale 'log'; choose one of db, linear, power, root"),
        (
            lambda: Stft(part="real", scale="db"),
            r"Stft\(part='real', scale='db'\): signed parts have no dB; choose 'linear' or 'root', or part='magnitude'",
        ),
        (lambda: Stft(part="real_imag", scale="power"), "signed parts have no power; choose 'linear' or 'root'"),
        (lambda: Mel(scale="power"), "unknown scale 'power'; choose one of db, linear"),
        (
            lambda: Mel(scale="linear", pcen=Pcen()),
            r"Mel\(scale='linear', pcen=...\): pcen takes the place of the scale; leave one of them out",
        ),
        (lambda: Pcen(bias=0), r"Pcen\(bias=0\): give a number above 0"),
        (lambda: Pcen(time_constant=-1), r"Pcen\(time_constant=-1\)"),
        (lambda: Pcen(gain=-0.5), r"Pcen\(gain=-0.5\): give 0 or more"),
        (lambda: Gammatone(n_bands=0), r"Gammatone\(n_bands=0\): give 1 filter or more"),
        (lambda: Gammatone(fmin=100, fmax=50), r"Gammatone\(fmin=100, fmax=50\): give 0 <= fmin < fmax, in Hz"),
        (lambda: Gammatone(scale="root"), "unknown scale 'root'; choose one of db, linear"),
        (lambda: Gammatone(top_db=-1), r"Gammatone\(top_db=-1\)"),
        (lambda: Gfcc(n_gfcc=65), r"Gfcc\(n_gfcc=65\): give 1 to n_bands=64"),
        (lambda: Gfcc(compression="cube"), "unknown compression 'cube'; .*choose one of cubic-root, log"),
    ],
)
def test_a_wrong_choice_is_named_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "spec, n, sr, message",
    [
        (
            Gammatone(n_fft=1024),
            8000,
            44100,
            r"6 of 64 gammatone filters are narrower than a frequency bin \(the lowest, at 50 Hz, is 30 Hz wide\): n_fft=1024 at 44100 Hz has "
            r"a bin every 43.1 Hz only; use n_fft=1466 or more, or fmin=171 or higher",
        ),
        (
            Gammatone(fmax=9000.0),
            8000,
            16000,
            "gammatone filters from 50 to 9000 Hz do not fit a clip at 16000 Hz, which ends at 8000 Hz",
        ),
        (
            Gfcc(center=False),
            2047,
            16000,
            r"a clip of 2047 samples is shorter than the window of 2048 \(0.128 s\); use a smaller n_fft, center=True",
        ),
        (Stft(part="real", center=False), 100, 16000, "a clip of 100 samples is shorter than the window"),
        (Stft(part="magnitude_phase", pad_mode="reflect"), 1024, 16000, "too short to be reflected by 1024"),
        (Mel(n_mels=128, n_fft=512, pcen=Pcen()), 8000, 44100, r"\d+ of 128 mel filters catch no frequency bin"),
        (Mfcc(n_mels=128, n_fft=512), 8000, 44100, r"\d+ of 128 mel filters catch no frequency bin"),
    ],
)
def test_what_a_clip_cannot_be_drawn_with_says_so(spec, n, sr, message):
    with pytest.raises(ValueError, match=message):
        spec(np.ones(n, "float32"), sr)


@pytest.mark.parametrize(
    "spec",
    [
        Gammatone(),
        Gfcc(),
        Mel(pcen=Pcen()),
        Mel(scale="linear"),
        Stft(scale="power", ref=1.0),
        Stft(part="real", ref=1e-10),
    ],
    ids=lambda s: s.slug,
)
def test_loud_samples_are_an_error_and_not_a_picture_of_nothing(spec):
    with pytest.raises(
        ValueError, match=r"so large that their power overflows; bring them down with Audio\(normalize='peak'\)"
    ):
        spec(np.full(4000, 3e38, "float32") * (1 if spec.kind != "mel" or spec.pcen is None else np.inf), SR)


def test_filters_that_are_just_wide_enough_are_drawn():
    """As the error advises: noise then has no stripes, rows of it differ by their bandwidth and 2 dB at most."""
    y = np.random.default_rng(0).standard_normal(400000).astype("float32")
    for spec in (Gammatone(n_fft=1466, scale="linear"), Gammatone(n_fft=1024, fmin=171.0, scale="linear")):
        noise = spec(y, 44100)[0].mean(axis=1) / erb(spec.frequencies(44100))
        assert 10 * np.log10(noise.max() / noise.min()) < 2


def test_none_of_these_loads_librosa():
    code = """
import sys, numpy as np
from specimg.spectrogram import *
specs = Mel(), Mel(pcen=Pcen()), Gammatone(), Gfcc(), Mfcc(), Stft(part='real_imag'), Scaled(Mel()), mel_and_deltas(), three_windows(16000)
for spec in specs:
    spec(np.ones(9000, 'float32'), 16000)
print(*{m.split('.')[0] for m in sys.modules})
"""
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(loaded) & {"librosa", "numba", "torch", "pandas"}


def test_spoken_digits_are_librosas(fsdd):
    for path in sorted(fsdd.glob("*.wav"))[::250]:
        y, sr = read_audio(path)
        settings = dict(n_fft=256, hop_length=64)
        expected = librosa.stft(y.astype("float64"), **settings)
        real, imag = Stft(part="real_imag", ref=1.0, **settings)(y, sr)
        np.testing.assert_allclose(real + 1j * imag, expected, atol=1e-5, err_msg=path.name)
        power = np.abs(librosa.stft(y.astype("float64"), n_fft=512, hop_length=64)) ** 2
        ears = librosa.power_to_db(gammatone_filters(sr, 512, 64, 50.0, sr / 2) @ power, ref=np.max)
        np.testing.assert_allclose(
            Gammatone(n_fft=512, hop_length=64)(y, sr)[0], ears, rtol=0, atol=2e-3, err_msg=path.name
        )
        mel = librosa.feature.melspectrogram(y=y.astype("float64"), sr=sr, n_mels=40, **settings)
        pcen = librosa.pcen(mel * 2**31, sr=sr, hop_length=64)
        np.testing.assert_allclose(Mel(n_mels=40, pcen=Pcen(), **settings)(y, sr)[0], pcen, rtol=1e-4, atol=1e-5)
