"""16-bit wav files are read without libsndfile; its numbers are the measure."""

import numpy as np
import pytest
import soundfile as sf

from specimg.audio.decode import decode
from specimg.audio.readers import SoundfileReader, WavReader, open_recording


@pytest.fixture(params=[1, 2, 3])
def wav(tmp_path, request):
    y = np.random.default_rng(0).uniform(-1, 1, (5001, request.param))
    y[:2] = [[-1.0], [1.0]]
    sf.write(tmp_path / "a.wav", y, 11025, subtype="PCM_16")
    return tmp_path / "a.wav"


def test_the_numbers_are_libsndfiles(wav):
    with open_recording(wav) as reader:
        assert isinstance(reader, WavReader) or reader.channels == 3  # soundfile writes more channels as "extensible"
    assert np.array_equal(decode(wav).y, sf.read(wav, dtype="float32", always_2d=True)[0])
    assert np.array_equal(
        decode(wav, 0.1, 0.2).y, sf.read(wav, dtype="float32", always_2d=True, start=1102, stop=2205)[0]
    )


def test_blocks_join_to_the_whole(wav):
    with open_recording(wav) as reader:
        reader.seek(10)
        blocks = [block.copy() for block in reader.blocks(777)]
    assert np.array_equal(np.concatenate(blocks), decode(wav).y[10:]) and not reader.problem


def test_a_wav_that_is_not_whole_or_of_other_samples_is_left_to_libsndfile(wav, tmp_path):
    data = wav.read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-100])
    sf.write(tmp_path / "24.wav", np.zeros(100), 8000, subtype="PCM_24")
    for name in ("cut.wav", "24.wav"):
        with open_recording(tmp_path / name) as reader:
            assert isinstance(reader, SoundfileReader)
