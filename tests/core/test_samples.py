"""Whole numbers are scaled by what their kind holds, wherever samples are taken."""

import io

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import specimg as sp
from specimg.audio import AddNoise, PitchShift, Roll, TimeStretch, filter_band, fit_length, loudness, resample
from specimg.core.samples import as_floats
from specimg.data.images import EncodedSound, OpenPicture, Samples
from specimg.data.sources import list_sources
from specimg.data.waves import ReadWave
from specimg.render.prepare import prepare, prepare_all

SR = 16000
FLOATS = (0.35 * np.sin(2 * np.pi * 440 * np.arange(SR) / SR)).astype(np.float32)
WHOLE = {
    "int16": np.round(FLOATS * 2**15).astype(np.int16),
    "int32": np.round(FLOATS.astype(np.float64) * 2**31).astype(np.int32),
    "uint8": np.round(FLOATS * 2**7 + 2**7).astype(np.uint8),
    "uint16": np.round(FLOATS * 2**15 + 2**15).astype(np.uint16),
}
LOOK = sp.Renderer(sp.Mel(n_mels=16, n_fft=512), audio=sp.Audio(sr=SR))
TAKERS = {
    "loudness": lambda y: loudness(y, SR),
    "resample": lambda y: resample(y, SR, 8000),
    "filter_band": lambda y: filter_band(y, SR, 100, 2000),
    "fit_length": lambda y: fit_length(y, SR + 10),
    "by name": lambda y: fit_length(y=y, n_samples=100),
    "roll": lambda y: Roll()(y, SR),
    "noise": lambda y: AddNoise(40)(y, SR),
    "stretch": lambda y: TimeStretch()(y, SR),
    "pitch": lambda y: PitchShift()(y, SR),
    "mfcc": lambda y: sp.spectrogram.Mfcc(n_mels=40, n_fft=1024)(y, SR),
    "wave": lambda y: np.asarray(ReadWave(LOOK.audio)(Samples(y, SR))),
    "prepare": lambda y: prepare(LOOK.audio, (y, SR)),
    "features": lambda y: sp.experiments.clip_features(y, SR)["rms_mean"],
}


@pytest.mark.parametrize("kind", WHOLE)
def test_each_kind_has_its_full_scale(kind):
    y = as_floats(WHOLE[kind])
    assert y.dtype == np.float32 and np.abs(y - FLOATS).max() <= 1 / 2 ** (8 if kind == "uint8" else 15)


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("kind", ["int16", "int32"])
def test_what_takes_samples_takes_whole_numbers(taker, kind):
    want, got = TAKERS[taker](FLOATS), TAKERS[taker](WHOLE[kind])
    # phase vocoders follow the rounding of 16 bits, most in the last frames
    np.testing.assert_allclose(got, want, rtol=0, atol=4e-2 * max(1, float(np.abs(want).max()) / 100))


def test_a_picture_of_whole_numbers_is_that_of_floats():
    for kind in ("int16", "int32"):
        pixels = [np.asarray(LOOK(y, SR)).astype(int) for y in (FLOATS, WHOLE[kind])]
        assert np.abs(np.subtract(*pixels)).max() <= 1


def test_floats_stay_as_they_are_and_what_has_no_full_scale_is_refused():
    assert as_floats(FLOATS) is FLOATS and as_floats([0.5, 1]).dtype == np.float64
    assert as_floats(np.array([0, 1, -1])).tolist() == [0, 1, -1] and as_floats([True, False]).tolist() == [1, 0]
    with pytest.raises(ValueError, match="samples of the kind int64 up to 1000: nobody knows what full scale is"):
        as_floats(np.array([1000, 0]))
    with pytest.raises(ValueError, match="samples of the kind complex128; give floats"):
        LOOK(np.zeros(1000, complex), SR)


# ---------------------------------------------------------------------- bytes, files, tables


@pytest.fixture(scope="module")
def data():
    out = io.BytesIO()
    sf.write(out, FLOATS, SR, format="WAV", subtype="FLOAT")
    return out.getvalue()


def test_bytes_and_open_files_are_recordings(data, tmp_path):
    (tmp_path / "a.wav").write_bytes(data)
    want = LOOK.png(tmp_path / "a.wav")
    assert LOOK.png(data) == LOOK.png(io.BytesIO(data)) == LOOK.png(bytearray(data)) == want
    assert np.array_equal(sp.read_audio(io.BytesIO(data))[0], FLOATS)
    with open(tmp_path / "a.wav", "rb") as file:
        file.seek(10)  # it is read from its beginning
        assert LOOK.png(file) == want
    assert [prepared for prepared, _ in prepare_all(LOOK, [data, str(tmp_path / "a.wav")])] == [want, want]
    names, sources = list_sources([data, io.BytesIO(data), tmp_path / "a.wav"])
    assert names[:2] == ["samples 0", "samples 1"] and all(isinstance(o, EncodedSound) for o in sources[:2])
    assert np.array_equal(np.asarray(ReadWave(sp.Audio())(sources[0]))[0, 0], FLOATS)
    assert np.array_equal(np.asarray(OpenPicture(LOOK)(sources[1])), np.asarray(LOOK(data)))
    assert len(list_sources(data)[1]) == len(list_sources(io.BytesIO(data))[1]) == 1


def test_tables_and_dictionaries_get_a_sentence_that_helps():
    with pytest.raises(
        ValueError, match="a table with the columns path, label is not a list of recordings; give the column"
    ):
        list_sources(pd.DataFrame({"path": ["a.wav"], "label": ["a"]}))
    for items in ({"array": FLOATS, "sampling_rate": SR}, [{"array": FLOATS, "sampling_rate": SR}]):
        with pytest.raises(ValueError, match=r"give its samples and their sampling rate, such as \(o\['array'\]"):
            list_sources(items)
