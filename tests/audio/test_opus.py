"""Sounds as Opus: to the sample, as they were drawn."""

import io

import numpy as np
import pytest
import soundfile as sf

from specimg import Audio, read_audio
from specimg.audio.opus import clip_sound, encode_opus


@pytest.mark.parametrize("sr", [4000, 8000, 11025, 16000, 22050, 44100, 96000])
def test_an_encoded_sound_lasts_as_long_and_keeps_its_pitch(sr, sine):
    y = sine(1000, 0.7313, sr)
    back, rate = sf.read(io.BytesIO(encode_opus(y, sr)))
    assert rate in (8000, 12000, 16000, 24000, 48000) and (rate >= sr or rate == 48000)
    assert len(back) == int(np.ceil(len(y) * rate / sr))
    assert abs(np.abs(np.fft.rfft(back)).argmax() * rate / len(back) - 1000) < 3


def test_long_sounds_are_written_in_blocks_and_samples_beyond_full_scale_do_not_wrap():
    y = np.tile(np.float32([0, 1.5, 0, -1.5]), 8000 * 40 // 4)
    back, rate = sf.read(io.BytesIO(encode_opus(y, 8000, kbits=16)))
    assert len(back) == len(y) and np.isfinite(back).all()


def test_more_kilobits_make_a_larger_file():
    noise = np.random.default_rng(0).normal(0, 0.1, 32000).astype("float32")
    sizes = [len(encode_opus(noise, 16000, kbits)) for kbits in (12, 32, 96)]
    assert sizes == sorted(sizes) and sizes[1] * 8 / 2000 == pytest.approx(32, rel=0.25)


def test_what_is_played_is_what_was_drawn(tmp_path, write_wav, sine):
    y = np.concatenate([np.zeros(4000), sine(500, 0.5, 8000), np.zeros(4000)]).astype("float32")
    path, audio = write_wav(tmp_path / "a.wav", y, 8000), Audio(sr=16000, trim_db=30)
    drawn, sr = read_audio(path, audio)
    sound = clip_sound(path, audio)
    assert sound.seconds == len(drawn) / sr and 0.4 < sound.begin < 0.5
    assert sf.info(io.BytesIO(sound.data)).frames == len(drawn)
    part = clip_sound(path, Audio(), 0.5, 0.75)
    assert (part.begin, part.seconds) == (0.5, 0.25)
    assert clip_sound(path, Audio(), until=0.25).seconds == 0.25
