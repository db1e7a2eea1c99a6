"""Sound that decodes and is hardly usable is told by name."""

import numpy as np
import pytest
import soundfile as sf

from specimg.audio import Audio
from specimg.audio.faults import FAULTS, find_faults
from specimg.audio.read import condition, read_clip

SR = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)
NOISE = np.random.default_rng(0).normal(0, 0.2, SR)
SOUNDS = {
    "tone": (TONE, ()),
    "full scale": (2 * TONE, ()),
    "stereo": (np.stack([TONE, NOISE], axis=1), ()),
    "one side": (np.stack([TONE, 0 * TONE], axis=1), ()),
    "quiet": (TONE * 1e-3, ()),
    "opposite": (np.stack([TONE, -TONE], axis=1), ("channels cancel",)),
    "opposite but for rounding": (np.stack([TONE, -TONE + 2.0**-15 * (NOISE > 0)], axis=1), ("channels cancel",)),
    "four": (np.stack([TONE, -TONE, NOISE, -NOISE], axis=1), ("channels cancel",)),
    "silence": (0 * TONE, ("digital silence",)),
    "silence twice": (np.zeros((SR, 2)), ("digital silence",)),
    "offset": (TONE * 0.2 + 0.3, ("DC offset",)),
    "clipped": (np.clip(TONE * 10, -1, 1), ("clipping",)),
    "clipped noise": (np.clip(NOISE * 3, -1, 1), ("clipping",)),
    "clipped and off": (np.clip(TONE * 10 + 3, -1, 1), ("DC offset", "clipping")),
}


@pytest.mark.parametrize("name", SOUNDS)
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_each_fault_is_told(tmp_path, name, subtype):
    y, faults = SOUNDS[name]
    sf.write(tmp_path / "a.wav", y, SR, subtype)
    clip = read_clip(tmp_path / "a.wav")
    assert clip.faults == faults and set(faults) <= set(FAULTS)
    assert (not clip.y.any()) == (
        faults in [("channels cancel",), ("digital silence",)]
    )  # no noise of rounding is left


def test_one_of_the_channels_that_cancel_can_be_read(tmp_path):
    sf.write(tmp_path / "a.wav", np.stack([TONE, -TONE, 0 * TONE], axis=1), SR, "FLOAT")
    for channel, faults in enumerate([(), (), ("digital silence",)]):
        clip = read_clip(tmp_path / "a.wav", Audio(channel=channel))
        assert clip.faults == faults
    np.testing.assert_allclose(read_clip(tmp_path / "a.wav", Audio(channel=0)).y, TONE, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_channels_are_averaged_as_numpy_does(channels):
    y = np.random.default_rng(1).normal(0, 0.3, (1000, channels)).astype(np.float32)
    np.testing.assert_array_equal(condition(y, SR, Audio())[0], y.T.mean(axis=0))


def test_a_span_is_judged_by_itself(tmp_path):
    sf.write(tmp_path / "a.wav", np.concatenate([0 * TONE, TONE]), SR)
    spans = [read_clip(tmp_path / "a.wav", start=start, end=start + 1).faults for start in (0, 1)]
    assert spans == [("digital silence",), ()] and read_clip(tmp_path / "a.wav").faults == ()


def test_no_samples_have_no_fault():
    assert find_faults(np.zeros((0, 1)), np.zeros(0)) == []
