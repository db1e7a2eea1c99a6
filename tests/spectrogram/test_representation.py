"""Samples become the float picture that librosa computes, and known sounds light the cells they should."""

import itertools

import librosa
import numpy as np
import pytest
from signals import SIGNALS, SR, padded

from specimg.audio import read_audio
from specimg.spectrogram import Delta, Mel, Mfcc, Representation, Stack, Stft
from specimg.spectrogram.spectrum import power_to_db

every_signal = pytest.mark.parametrize("signal", SIGNALS)

SETTINGS = [
    dict(),
    dict(n_fft=1024, hop_length=160, n_mels=64, window="hamming"),
    dict(n_fft=1023, hop_length=333, n_mels=40, pad_mode="reflect"),
    dict(n_fft=1021, hop_length=64, n_mels=40, fmin=300.0, htk=True),
    dict(n_fft=2048, win_length=1201, hop_length=256, n_mels=40, pad_mode="edge"),
    dict(n_fft=512, hop_length=160, n_mels=40, htk=True, norm=None),
    dict(n_fft=2048, hop_length=512, n_mels=128, center=False),
    dict(n_fft=400, hop_length=160, n_mels=20, fmin=100.0, fmax=3500.0, power=1.0),
    dict(n_fft=1024, hop_length=256, n_mels=40, norm=None, htk=True, power=1.0, center=False, window="blackman"),
    dict(n_fft=512, hop_length=2000, n_mels=20, fmax=8000.0, pad_mode="reflect", window="hamming"),
]


def librosa_mel(y, sr, top_db=80.0, **settings):
    y, settings = padded(y, settings)
    return librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=sr, **settings), ref=np.max, top_db=top_db)


def librosa_stft(y, top_db=80.0, **settings):
    y, settings = padded(y, settings)
    return librosa.amplitude_to_db(np.abs(librosa.stft(y, **settings)), ref=np.max, top_db=top_db)


# ---------------------------------------------------------------------- librosa's numbers


@every_signal
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda s: " ".join(f"{k}={v}" for k, v in s.items()) or "defaults")
def test_mel_is_librosas(signal, settings):
    y = SIGNALS[signal]
    for top_db, tolerance in [(80.0, 2e-3), (35.0, 2e-3), (120.0, 1e-4), (None, 1e-4)]:
        x = Mel(top_db=top_db, **settings)(y, SR)
        expected = librosa_mel(y, SR, top_db=top_db, **settings)
        assert x.dtype == np.float32 and x.shape == (1, *expected.shape)
        np.testing.assert_allclose(x[0], expected, rtol=0, atol=tolerance)


def test_mel_is_librosas_for_single_precision_samples_too():
    """What a reader compares with: librosa called on float32 samples, whose own rounding is the greater."""
    y = SIGNALS["white noise"]
    expected = librosa.power_to_db(librosa.feature.melspectrogram(y=y, sr=SR, n_mels=64), ref=np.max)
    np.testing.assert_allclose(Mel(n_mels=64)(y, SR)[0], expected, rtol=0, atol=2e-3)


@pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa's; it pads all the same
@pytest.mark.parametrize("n", [1, 2, 100, 511, 512, 513, 1023, 1024, 1025, 1536, 2047, 5000])
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(pad_mode="edge"),
        dict(pad_mode="reflect"),
        dict(center=False),
        dict(n_fft=1023, hop_length=64, pad_mode="reflect"),
        dict(n_fft=1000, hop_length=3000),
    ],
    ids=str,
)
def test_clips_of_any_length_have_librosas_frames(n, settings):
    settings = dict(n_fft=1024, hop_length=256, n_mels=20) | settings
    y = SIGNALS["white noise"][:n]
    if settings.get("center", True):
        too_short = settings.get("pad_mode") == "reflect" and n <= settings["n_fft"] // 2
    else:
        too_short = n < settings["n_fft"]
    if too_short:
        with pytest.raises(
            ValueError, match=f"a clip of {n} samples is (shorter than the window|too short to be reflected)"
        ):
            Mel(**settings)(y, SR)
    else:
        np.testing.assert_allclose(Mel(**settings)(y, SR)[0], librosa_mel(y, SR, **settings), rtol=0, atol=2e-3)


@every_signal
@pytest.mark.parametrize(
    "settings",
    [
        dict(),
        dict(n_fft=1023, hop_length=160, win_length=800),
        dict(n_fft=512, hop_length=700, center=False, window="hamming"),
        dict(n_fft=256, hop_length=64, pad_mode="reflect"),
    ],
    ids=str,
)
def test_stft_is_librosas(signal, settings):
    y = SIGNALS[signal]
    for top_db in (80.0, 120.0, None):
        np.testing.assert_allclose(
            Stft(top_db=top_db, **settings)(y, SR)[0], librosa_stft(y, top_db, **settings), rtol=0, atol=1e-4
        )


@every_signal
@pytest.mark.parametrize("lifter", [0, 22])
def test_mfcc_is_librosas(signal, lifter):
    y, settings = SIGNALS[signal], dict(n_mels=40, n_fft=1024, hop_length=256)
    x = Mfcc(n_mfcc=13, lifter=lifter, **settings)(y, SR)
    expected = librosa.feature.mfcc(y=y.astype("float64"), sr=SR, n_mfcc=13, lifter=lifter, **settings)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[0], expected, rtol=1e-5, atol=0.02)  # sums of 40 dB values, each good to 2e-3


@pytest.mark.parametrize("order, width", [(1, 9), (2, 9), (1, 3), (2, 5), (3, 7)])
def test_delta_is_librosas(order, width):
    mel = Mel(n_mels=20, n_fft=512, hop_length=160)
    x = Delta(mel, order=order, width=width)(SIGNALS["chirp"], SR)
    expected = librosa.feature.delta(mel(SIGNALS["chirp"], SR)[0].astype("float64"), order=order, width=width)
    assert x.dtype == np.float32 and x.shape == mel(SIGNALS["chirp"], SR).shape
    np.testing.assert_allclose(x[0], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "spec", [Mel(n_mels=64, n_fft=512, hop_length=128), Mel(n_mels=40, n_fft=400, hop_length=160, fmin=50.0, htk=True)]
)
def test_spoken_digits_are_librosas(fsdd, spec):
    for path in sorted(fsdd.glob("*.wav"))[::50]:
        y, sr = read_audio(path)
        settings = {name: getattr(spec, name) for name in ("n_mels", "n_fft", "hop_length", "fmin", "htk")}
        np.testing.assert_allclose(spec(y, sr)[0], librosa_mel(y, sr, **settings), rtol=0, atol=2e-3, err_msg=path.name)


@pytest.mark.parametrize("ref, top_db", [(1.0, 80.0), (0.01, 80.0), (1.0, None), (1e-3, 120.0)])
def test_a_fixed_reference_is_librosas(ref, top_db):
    y = SIGNALS["fading"]
    power = librosa.feature.melspectrogram(y=y.astype("float64"), sr=SR, n_mels=40)
    np.testing.assert_allclose(
        Mel(n_mels=40, ref=ref, top_db=top_db)(y, SR)[0], librosa.power_to_db(power, ref=ref, top_db=top_db), atol=2e-3
    )


def test_a_fixed_reference_keeps_the_loudness_and_the_loudest_cell_does_not():
    y = SIGNALS["white noise"]
    fixed, own = Mel(ref=1.0, top_db=None), Mel(top_db=None)
    np.testing.assert_allclose(fixed(y, SR) - fixed(y / 10, SR), 20, atol=1e-4)
    np.testing.assert_allclose(own(y, SR), own(y / 10, SR), atol=1e-4)


# ---------------------------------------------------------------------- sounds with known answers


@pytest.mark.parametrize("sr, hz", [(16000, 1000), (32000, 1000), (44100, 3000), (8000, 440)])
def test_a_sine_lights_the_band_whose_centre_is_nearest(sine, sr, hz):
    spec = Mel(n_mels=40)
    x = spec(sine(hz, sr=sr), sr)[0][:, 4:-4]
    nearest = int(np.abs(spec.frequencies(sr) - hz).argmin())
    assert (x.argmax(axis=0) == nearest).all()
    others = np.delete(x, [nearest - 1, nearest, nearest + 1], axis=0)
    assert x[nearest].min() > -0.5 and others.max() < x[nearest].min() - 6


def test_a_sine_lights_the_bin_of_its_frequency(sine):
    x = Stft(n_fft=1024)(sine(1000), SR)[0][:, 4:-4]
    assert (x.argmax(axis=0) == 64).all() and Stft(n_fft=1024).frequencies(SR)[64] == 1000


@pytest.mark.parametrize(
    "spec",
    [Mel(n_mels=20, n_fft=512, hop_length=256), Stft(n_fft=512, hop_length=256), Stft(n_fft=512, hop_length=128)],
)
def test_a_click_lights_the_frames_that_contain_it_and_no_other(spec):
    y = np.zeros(16000, "float32")
    y[8000] = 1
    x = spec(y, SR)[0]
    lit = np.flatnonzero(x.max(axis=0) > -80)
    centres = spec.times(x.shape[1], SR) * SR
    np.testing.assert_array_equal(lit, np.flatnonzero(np.abs(centres - 8000) < 256))
    assert len(lit) in (1, 2, 3, 4)
    assert (x[:, np.setdiff1d(np.arange(x.shape[1]), lit)] == -80).all()


@pytest.mark.parametrize(
    "spec", [Mel(), Mel(top_db=60.0), Mel(power=1.0), Mel(top_db=120.0), Stft(), Stft(center=False)], ids=str
)
def test_silence_is_the_bottom_of_the_range(spec):
    x = spec(np.zeros(8000, "float32"), SR)
    assert (x == -spec.top_db).all() and x.shape[0] == 1 and x.dtype == np.float32


@pytest.mark.parametrize(
    "spec",
    [Mel(top_db=None), Mel(ref=1.0), Mfcc(), Mfcc(ref="max"), Delta(Mel()), Stack(Mel(), Delta(Mel()), Mfcc())],
    ids=str,
)
def test_silence_is_finite_in_every_representation(spec):
    x = spec(np.zeros(8000, "float32"), SR)
    assert np.isfinite(x).all() and len(x) == spec.channels


@pytest.mark.parametrize("hop", [160, 512, 700])
def test_two_seconds_have_one_frame_a_hop_and_one_more(hop):
    for spec in (Mel(hop_length=hop), Stft(hop_length=hop), Mfcc(hop_length=hop), Delta(Mel(hop_length=hop))):
        assert spec(np.ones(32000, "float32"), SR).shape[2] == 1 + 32000 // hop


def test_loud_samples_are_an_error_and_not_a_picture_of_nothing():
    with pytest.raises(
        ValueError, match=r"so large that their power overflows; bring them down with Audio\(normalize='peak'\)"
    ):
        Mel()(np.full(4000, 3e38, "float32"), SR)
    assert np.isfinite(Stft()(np.full(4000, 3e38, "float32"), SR)).all()


def test_a_rising_tone_has_positive_delta_and_a_fall_negative():
    y = np.r_[np.zeros(8000), SIGNALS["white noise"][:8000]].astype("float32")
    x = Delta(Mel(n_mels=20, n_fft=512, hop_length=160))(y, SR)[0]
    assert x.mean(axis=0).argmax() == pytest.approx(50, abs=3) and x.max() > 10
    assert Delta(Mel(n_mels=20, n_fft=512, hop_length=160))(y[::-1].copy(), SR)[0].min() < -10


def test_a_call_leaves_the_samples_as_they_are():
    y = SIGNALS["fading"].copy()
    y.setflags(write=False)
    for spec in (Mel(), Mel(top_db=None), Stft(), Mfcc(), Stack(Mel(), Delta(Mel()))):
        spec(y, SR)
    np.testing.assert_array_equal(y, SIGNALS["fading"])


# ---------------------------------------------------------------------- what rows, columns and numbers mean


@pytest.mark.parametrize(
    "htk, fmin, fmax, sr",
    [(False, 0.0, None, 16000), (True, 0.0, None, 22050), (False, 300.0, 3500.0, 8000), (True, 50.0, 14000.0, 32000)],
)
def test_frequencies_are_librosas(htk, fmin, fmax, sr):
    for n_mels in (1, 40, 128):
        expected = librosa.mel_frequencies(n_mels + 2, fmin=fmin, fmax=fmax or sr / 2, htk=htk)[1:-1]
        np.testing.assert_allclose(
            Mel(n_mels=n_mels, fmin=fmin, fmax=fmax, htk=htk).frequencies(sr), expected, rtol=1e-10
        )
    np.testing.assert_allclose(Stft(n_fft=1023).frequencies(sr), librosa.fft_frequencies(sr=sr, n_fft=1023))
    assert Mfcc().frequencies(sr) is None


def test_times_are_the_middles_of_frames():
    np.testing.assert_allclose(Mel(hop_length=160).times(4, SR), [0, 0.01, 0.02, 0.03])
    np.testing.assert_allclose(Mel(n_fft=512, hop_length=160, center=False).times(3, SR), [0.016, 0.026, 0.036])
    np.testing.assert_allclose(Delta(Stft(n_fft=512, hop_length=160, center=False)).times(3, SR), [0.016, 0.026, 0.036])


def test_ranges_units_and_channels():
    mel = Mel(top_db=60.0)
    assert (mel.ranges, mel.unit, mel.channels) == (((-60.0, 0.0),), "dB", 1)
    assert Mel(top_db=None).ranges == (None,) == Mfcc().ranges
    assert (Mfcc().unit, Delta(mel).unit, Delta(mel, order=2).unit, Delta(mel, order=3).unit) == (
        "coefficient",
        "dB/frame",
        "dB/frame²",
        "dB/frame^3",
    )
    stack = Stack(mel, Delta(mel), Mfcc())
    assert (stack.channels, stack.unit, len(stack.ranges)) == (3, "dB, dB/frame, coefficient", 3)
    assert Delta(Stack(mel, Stft())).channels == 2 and Delta(Mfcc()).ranges == (None,)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("signal", ["click", "fading", "chirp", "white noise"])
def test_no_delta_leaves_its_range(order, signal):
    delta = Delta(Mel(n_mels=20, n_fft=512, hop_length=160), order=order)
    ((low, high),) = delta.ranges
    x = delta(SIGNALS[signal], SR)
    assert low == -high and low <= x.min() and x.max() <= high


def test_the_steepest_step_reaches_the_end_of_deltas_range():
    class Step(Mel):
        def __call__(self, y, sr):
            return np.where(np.arange(40) < 20, -80, 0)[None, None].astype("float32")

    ((low, high),) = Delta(Step()).ranges
    assert Delta(Step())(np.zeros(40), SR).max() == pytest.approx(high, rel=1e-5)


# ---------------------------------------------------------------------- several at once


def test_a_stack_has_its_parts_as_channels():
    mel = Mel(n_mels=40, hop_length=256)
    parts = mel, Delta(mel), Delta(mel, order=2)
    x = Stack(*parts)(SIGNALS["chirp"], SR)
    assert x.dtype == np.float32 and x.shape == (3, 40, 1 + 12000 // 256)
    for channel, part in zip(x, parts):
        np.testing.assert_array_equal(channel, part(SIGNALS["chirp"], SR)[0])


def test_a_stack_stretches_to_the_tallest_and_keeps_first_and_last_rows():
    parts = Mel(n_mels=20, hop_length=256), Mfcc(n_mfcc=1, hop_length=256), Mel(n_mels=47, hop_length=256)
    planes = [part(SIGNALS["chirp"], SR)[0] for part in parts]
    x = Stack(*parts)(SIGNALS["chirp"], SR)
    assert x.shape == (3, 47, 47)
    np.testing.assert_array_equal(x[0][[0, -1]], planes[0][[0, -1]])
    np.testing.assert_allclose(x[1], np.repeat(planes[1], 47, axis=0))
    at = np.linspace(0, 19, 47)
    np.testing.assert_allclose(x[0][:, 5], np.interp(at, np.arange(20), planes[0][:, 5]), atol=1e-4)


def test_a_stack_of_odd_and_even_windows_is_as_long_as_the_shortest():
    y = SIGNALS["white noise"][:5120]
    parts = Mel(n_mels=20, n_fft=1024), Mel(n_mels=20, n_fft=1023)
    assert [part(y, SR).shape[2] for part in parts] == [11, 10]
    assert Stack(*parts)(y, SR).shape == (2, 20, 10)


def test_rows_of_a_stack_are_frequencies_where_all_parts_agree():
    mel = Mel(n_mels=40)
    np.testing.assert_array_equal(Stack(mel, Delta(mel)).frequencies(SR), mel.frequencies(SR))
    assert Stack(mel, Mel(n_mels=20)).frequencies(SR) is None and Stack(mel, Mfcc()).frequencies(SR) is None


@pytest.mark.parametrize(
    "parts, message",
    [
        ((), "Stack of 0: give 1 to 4 representations"),
        ((Mel(),) * 5, "Stack of 5: give 1 to 4"),
        ((Mel(), Stack(Mel(), Mel())), "stack has 2 channels itself; stack single-channel representations"),
        ((Mel(), Mel(hop_length=256)), "step 512, 256 samples from frame to frame; give all the same hop_length"),
        ((Mel(center=False), Mel()), "first frames are centred on different samples; give all center=True"),
        ((Mel(center=False), Mel(center=False, n_fft=1024)), "first frames are centred on different samples"),
    ],
)
def test_what_cannot_be_stacked(parts, message):
    with pytest.raises(ValueError, match=message):
        Stack(*parts)


# ---------------------------------------------------------------------- what cannot be


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Mel(n_mels=0), r"Mel\(n_mels=0\): give 1 filter or more"),
        (lambda: Mel(n_fft=0), r"Mel\(n_fft=0\): give a whole number of samples, 1 or more"),
        (lambda: Stft(hop_length=-1), r"Stft\(hop_length=-1\)"),
        (lambda: Mel(win_length=4096), r"Mel\(win_length=4096\): give 1 to n_fft=2048"),
        (lambda: Mel(power=0), r"Mel\(power=0\): 2 for power, 1 for magnitude"),
        (lambda: Mel(fmin=100, fmax=100), "give 0 <= fmin < fmax, in Hz"),
        (lambda: Mel(fmin=-1), "give 0 <= fmin < fmax"),
        (lambda: Mel(norm="area"), "unknown norm 'area'; choose 'slaney' or None"),
        (lambda: Mel(pad_mode="mirror"), "unknown pad_mode 'mirror'; choose one of constant, edge, reflect"),
        (lambda: Stft(window="hannn"), r"Stft\(window='hannn'\): give a name that scipy.signal.get_window takes"),
        (lambda: Mel(window="kaiser"), r"Mel\(window='kaiser'\)"),
        (lambda: Mel(top_db=0), r"Mel\(top_db=0\): give decibels above 0, or None"),
        (lambda: Mel(ref=0), r"Mel\(ref=0\): give a power above 0, or 'max'"),
        (lambda: Mel(ref="mean"), "unknown ref .* 'mean'; choose one of max"),
        (lambda: Mfcc(n_mfcc=200), r"Mfcc\(n_mfcc=200\): give 1 to n_mels=128"),
        (lambda: Mfcc(lifter=-1), r"Mfcc\(lifter=-1\)"),
        (lambda: Delta(Mel(), width=4), r"Delta\(width=4\): give an odd number of frames, 3 or more"),
        (lambda: Delta(Mel(), width=1), r"Delta\(width=1\)"),
        (lambda: Delta(Mel(), order=9), r"Delta\(order=9\): give 1 to width - 1 = 8"),
        (lambda: Delta(Mel(), order=0), r"Delta\(order=0\)"),
    ],
)
def test_a_wrong_choice_is_named_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "spec, n, sr, message",
    [
        (
            Mel(n_mels=128, n_fft=512),
            8000,
            44100,
            r"\d+ of 128 mel filters catch no frequency bin \(the first at \d+ Hz\): n_fft=512 at 44100 Hz",
        ),
        (
            Mel(fmax=10000.0),
            8000,
            16000,
            "mel filters from 0 to 10000 Hz do not fit a clip at 16000 Hz, which ends at 8000 Hz",
        ),
        (Mel(fmin=9000.0), 8000, 16000, "mel filters from 9000 to 8000 Hz do not fit"),
        (
            Mel(center=False),
            2047,
            16000,
            r"a clip of 2047 samples is shorter than the window of 2048 \(0.128 s\); use a smaller n_fft, center=True",
        ),
        (Stft(center=False), 100, 16000, "a clip of 100 samples is shorter than the window"),
        (Mel(pad_mode="reflect"), 1024, 16000, "too short to be reflected by 1024; use pad_mode='constant'"),
        (Delta(Mel()), 4000, 16000, "a clip of 8 frames is shorter than Delta's width of 9"),
    ],
)
def test_what_a_clip_cannot_be_drawn_with_says_so(spec, n, sr, message):
    with pytest.raises(ValueError, match=message):
        spec(np.ones(n, "float32"), sr)


def test_a_window_of_one_sample_is_not_blind():
    np.testing.assert_array_equal(Stft(n_fft=2, win_length=1, hop_length=1, center=False)(np.ones(4, "float32"), SR), 0)


def test_decibels():
    power = np.array([[1e-3, 1e-5, 1e-12]])
    np.testing.assert_allclose(power_to_db(power.copy(), "max", 80.0), [[0, -20, -70]])  # powers count from 1e-10
    np.testing.assert_allclose(power_to_db(power.copy(), "max", 10.0), [[0, -10, -10]])
    np.testing.assert_allclose(power_to_db(power.copy(), 1.0, None), [[-30, -50, -100]])


def test_slugs_tell_representations_apart():
    specs = [
        Mel(),
        Mel(n_mels=64),
        Stft(),
        Stft(n_fft=512),
        Mfcc(),
        Delta(Mel()),
        Delta(Mel(), order=2),
        Stack(Mel(), Delta(Mel())),
    ]
    assert all(a.slug != b.slug for a, b in itertools.combinations(specs, 2))
    assert Stack(Mel(), Delta(Mel())).slug == "mel128+mel128-delta"
    assert all(isinstance(spec, Representation) for spec in specs)
