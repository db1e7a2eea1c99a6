"""Recordings prepared in memory: the renderer's own bytes, in order, whatever goes wrong with one of them."""

import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile as sf

from specimg.audio import Audio, AudioError, read_audio
from specimg.render.prepare import prepare, prepare_all
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel

LOOK = Renderer(Mel(n_mels=16, n_fft=256, hop_length=64))
PIPE = "import sys; from specimg.render.prepare import prepare_all; from specimg.render import Renderer; print(*(why for _, why in prepare_all(Renderer(), sys.argv[1:])))"


@pytest.fixture
def files(tmp_path, sine):
    paths = [tmp_path / f"{hz}.wav" for hz in (300, 500, 900)]
    for path in paths:
        sf.write(path, sine(int(path.stem), 0.2, 8000), 8000)
    return paths


def test_pictures_and_samples(files):
    y, sr = sf.read(files[0], dtype="float32")
    assert prepare(LOOK, files[0]) == LOOK.png(files[0]) and prepare(LOOK, (y, sr)) == LOOK.png(y, sr)
    audio = Audio(sr=4000, duration=0.5)
    assert (prepare(audio, files[0]) == read_audio(files[0], audio)[0]).all() and (
        prepare(audio, (y, sr)) == read_audio(files[0], audio)[0]
    ).all()


def test_in_order_with_reasons(files, tmp_path):
    sources = [
        files[0],
        tmp_path / "gone.wav",
        (np.full(900, np.nan), 8000),
        files[1],
        7,
        (np.zeros(900), 8000.5),
        files[2],
    ]
    found = list(prepare_all(LOOK, sources))
    assert [trouble for _, trouble in found] == [
        "",
        "is not there",
        "900 samples are NaN or infinite, the first at 0.000 s",
        "",
        "a int is not a recording; give paths or pairs (y, sr)",
        "sampling rate 8000.5: give a whole number of samples a second, 1 or more",
        "",
    ]
    assert [ready for ready, trouble in found if not trouble] == [LOOK.png(path) for path in files]
    assert all(ready is None for ready, trouble in found if trouble)


@pytest.mark.parametrize("sr", [0, 8000.5, [8000]])
def test_a_rate_that_is_none(sr):
    with pytest.raises(ValueError, match="sampling rate .*: give a whole number"):
        prepare(Audio(), (np.zeros(900), sr))


def test_whatever_one_recording_does_the_others_go_on(files):
    class Odd(type(LOOK)):
        def encode(self, clip):
            if np.array_equal(clip.y, read_audio(files[1])[0]):
                raise RuntimeError("a library stumbled")
            return super().encode(clip)

    found = list(prepare_all(Odd(LOOK.representation), files))
    assert [trouble for _, trouble in found] == ["", "RuntimeError: a library stumbled", ""]


def test_a_missing_package_is_not_the_recordings_fault(files, monkeypatch):
    monkeypatch.setattr(
        Renderer, "encode", lambda *args, **kwargs: (_ for _ in ()).throw(ModuleNotFoundError("noisereduce"))
    )
    with pytest.raises(ModuleNotFoundError, match="noisereduce"):
        list(prepare_all(LOOK, files))


def test_what_is_too_long_is_not_read(files, monkeypatch):
    monkeypatch.setattr("specimg.render.prepare.MAX_SAMPLES", 1599)
    with pytest.raises(
        AudioError, match="lasts 0 s \\(1600 samples\\), too long to be read at once; cut it into windows"
    ):
        prepare(LOOK, files[0])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_nobody_waits_for_a_pipe(files, tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    done = subprocess.run(
        [sys.executable, "-c", PIPE, tmp_path / "pipe.wav"], capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "is empty (0 bytes)", done.stderr
