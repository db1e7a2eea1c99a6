"""Variants: each changes the samples as its numbers say, and its chance depends on the recording's name and nothing else."""

import subprocess
import sys

import numpy as np
import pytest

from specimg.audio import Audio
from specimg.audio.read import condition
from specimg.audio.variants import (
    AddNoise,
    PitchShift,
    Roll,
    TimeStretch,
    Variant,
    list_variants,
    seeded,
    variants_by_name,
)

SR = 16000
ALL = [AddNoise(20), AddNoise(40, ref="full"), Roll(0.1), TimeStretch(0.8), PitchShift(-5)]


def rms(y):
    return float(np.sqrt(np.mean(np.square(y, dtype=np.float64))))


def loudest_hz(y, sr=SR):
    spectrum = np.abs(np.fft.rfft(y * np.hanning(len(y)), 1 << 17))
    return spectrum.argmax() * sr / (1 << 17)


# ---------------------------------------------------------------------- what they do


@pytest.mark.parametrize("db", [-6, 0, 20, 40])
def test_noise_lies_its_decibels_below_the_clip(sine, db):
    for level in (1.0, 0.01):
        y = level * sine(440)
        noise = AddNoise(db)(y, SR) - y
        assert 20 * np.log10(rms(y) / rms(noise)) == pytest.approx(db, abs=0.15)
        assert abs(np.corrcoef(noise[1:], noise[:-1])[0, 1]) < 0.03  # white: no sample knows of the next


def test_noise_below_full_scale_does_not_ask_how_loud_the_clip_is(sine):
    for y in (sine(440), 0.01 * sine(440), np.zeros(16000, "float32")):
        assert rms(AddNoise(40, ref="full")(y, SR) - y) == pytest.approx(0.01, rel=0.02)
    assert not AddNoise(20)(np.zeros(16000, "float32"), SR).any()  # 20 dB below nothing


def test_roll_moves_the_clip_round():
    y = np.arange(10, dtype="float32")
    np.testing.assert_array_equal(Roll(0.3)(y, SR), [7, 8, 9, 0, 1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(Roll(0.7)(Roll(0.3)(y, SR), SR), y)


@pytest.mark.parametrize("rate, seconds", [(0.8, 1.25), (0.5, 2.0), (2.0, 0.5)])
def test_stretching_changes_the_length_and_not_the_pitch(sine, rate, seconds):
    y = TimeStretch(rate)(sine(440), SR)
    assert len(y) == seconds * SR
    assert loudest_hz(y) == pytest.approx(440, abs=2)
    assert rms(y) == pytest.approx(rms(sine(440)), rel=0.2)


@pytest.mark.parametrize("steps, hz", [(-5, 440 * 2 ** (-5 / 12)), (12, 880.0), (0.5, 440 * 2 ** (0.5 / 12))])
def test_a_shift_moves_a_line_of_440_hz_to_the_right_place_and_not_the_length(sine, steps, hz):
    y = PitchShift(steps)(sine(440), SR)
    assert len(y) == SR
    assert loudest_hz(y) == pytest.approx(hz, rel=0.005)


@pytest.mark.parametrize(
    "variant", [*ALL, TimeStretch(10), TimeStretch(0.1), PitchShift(48), PitchShift(-48)], ids=lambda v: v.name
)
@pytest.mark.parametrize("n", [1, 2, 100, 2047])
def test_short_clips_become_short_clips_without_a_warning(variant, n, recwarn):
    y = np.full(n, 0.5, "float32")
    out = variant(y, SR)
    assert out.dtype == np.float32 and np.isfinite(out).all() and not recwarn.list
    assert len(out) == (max(1, round(n / variant.rate)) if isinstance(variant, TimeStretch) else n)


@pytest.mark.parametrize("variant", ALL, ids=lambda v: v.name)
def test_a_variant_leaves_its_input_alone(sine, variant):
    y = sine(440, 0.2)
    before = y.copy()
    variant(y, SR)
    np.testing.assert_array_equal(y, before)


def test_a_variant_comes_before_everything_else_that_is_done_to_a_clip(sine):
    audio = Audio(sr=8000, lowpass_hz=1000, trim_db=40, normalize="peak", duration=0.5)
    y, vary = sine(440), TimeStretch(0.8)
    by_itself, _, _ = condition(y[:, None], SR, audio.replace(sr=None), vary=vary)
    changed_before, _, _ = condition(vary(y, SR)[:, None], SR, audio.replace(sr=None))
    np.testing.assert_array_equal(by_itself, changed_before)
    rates = []
    assert len(condition(y[:, None], SR, audio, vary=lambda y, sr: (rates.append((len(y), sr)), y)[1])[0]) == 4000
    assert rates == [(8000, 8000)]  # at the rate of drawing, so that noise fills its band


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "variant, name",
    [
        (AddNoise(20), "noise-20dB"),
        (AddNoise(-3.5), "noise+3.5dB"),
        (AddNoise(0), "noise-0dB"),
        (AddNoise(40.9, ref="full"), "noise-40.9dBFS"),
        (Roll(0.1), "roll-0.1"),
        (TimeStretch(0.8), "stretch-0.8"),
        (TimeStretch(2), "stretch-2"),
        (PitchShift(-5), "pitch-5"),
        (PitchShift(2.5), "pitch+2.5"),
    ],
)
def test_a_name_says_all_of_a_variant(variant, name):
    assert variant.name == name


def test_names_lose_no_digit():
    assert len({TimeStretch(rate).name for rate in (0.8, 0.8000001, np.nextafter(0.8, 1), np.float32(0.8))}) == 4


def test_variants_are_values_with_defaults():
    assert set(list_variants()) == {"addnoise", "pitchshift", "roll", "timestretch"}
    for variant in ALL:
        assert Variant.from_json(variant.to_json()) == variant == Variant.from_toml(variant.to_toml())


def test_variants_by_name_stand_once():
    assert variants_by_name([TimeStretch(0.8), Roll(0.1), TimeStretch(0.80)]) == {
        "stretch-0.8": TimeStretch(0.8),
        "roll-0.1": Roll(0.1),
    }
    assert variants_by_name(Roll(0.1)) == {"roll-0.1": Roll(0.1)} and variants_by_name(()) == {}


@pytest.mark.parametrize(
    "variants, what", [(["stretch"], "'stretch'"), ([TimeStretch], "<class"), ("abc", "'a'"), ([Audio()], "Audio")]
)
def test_what_is_no_variant_is_said(variants, what):
    with pytest.raises(
        ValueError,
        match=rf"{what}.* is not a variant; give values such as AddNoise\(20\) .*addnoise, pitchshift, roll, timestretch",
    ):
        variants_by_name(variants)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: AddNoise(200), r"AddNoise\(db=200\): give decibels between -120 and 120"),
        (lambda: AddNoise(ref="loud"), "unknown ref of AddNoise 'loud'; choose one of clip, full"),
        (lambda: Roll(0), r"Roll\(share=0\): give a share of the clip above 0 and below 1"),
        (lambda: Roll(1), r"Roll\(share=1\)"),
        (lambda: Roll(-0.1), r"Roll\(share=-0.1\): .* 0.9 moves it earlier by 0.1"),
        (
            lambda: TimeStretch(1),
            r"TimeStretch\(rate=1\): give a rate between 0.1 and 10, but not 1, which changes nothing",
        ),
        (lambda: TimeStretch(0), r"TimeStretch\(rate=0\)"),
        (lambda: TimeStretch(11), r"TimeStretch\(rate=11\)"),
        (
            lambda: PitchShift(0),
            r"PitchShift\(steps=0\): give semitones from -48 to 48, but not 0, which changes nothing",
        ),
        (lambda: PitchShift(-49), r"PitchShift\(steps=-49\)"),
    ],
)
def test_a_variant_that_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- chance


def test_chance_depends_on_recording_span_and_variant(sine):
    y = sine(440, 0.1)
    first = seeded(AddNoise(20), "a.wav", None, None)(y, SR)
    np.testing.assert_array_equal(seeded(AddNoise(20), "a.wav", None, None)(y, SR), first)
    for other in [("b.wav", None, None), ("a.wav", 1.0, 2.0), ("a\udce9.wav", None, None)]:
        assert not np.array_equal(seeded(AddNoise(20), *other)(y, SR), first)
    noise, half = first - y, seeded(AddNoise(26.02), "a.wav", None, None)(y, SR) - y
    assert abs(np.corrcoef(noise, half)[0, 1]) < 0.1  # another variant, other noise


def test_the_noise_of_a_recording_is_the_same_in_every_process():
    code = """
import numpy as np, zlib
from specimg.audio.variants import AddNoise, seeded
print(zlib.crc32(seeded(AddNoise(20.0), "b/dog.wav", 1.5, None)(np.full(1000, 0.25, "float32"), 8000).tobytes()))
"""
    said = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(said) == 1
    again = seeded(AddNoise(20), "b/dog.wav", 1.5, None)(np.full(1000, 0.25, "float32"), 8000)
    np.testing.assert_allclose(again[:3], [0.238794, 0.251665, 0.201173], atol=1e-6)  # numpy's frozen numbers


def test_without_a_name_the_seed_is_0(sine):
    y = sine(440, 0.1)
    np.testing.assert_array_equal(AddNoise(20)(y, SR), AddNoise(20)(y, SR, np.random.RandomState(0)))
