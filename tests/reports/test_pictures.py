"""Pictures of a page: small, on their seconds and hertz."""

import io

import numpy as np
import pytest
from miniatures.predicted import LOOK
from PIL import Image

from specimg import Audio, Mel, Renderer, Stft
from specimg.reports.pictures import small_picture
from specimg.spectrogram import describe


def test_a_picture_is_small_and_keeps_its_seconds_and_hertz(tmp_path, sine):
    file = tmp_path / "long.png"
    file.write_bytes(Renderer(Mel(n_mels=200, hop_length=64), audio=Audio()).png(sine(1000, 3.0), 16000))
    small, info = small_picture(file), describe(file)
    image = Image.open(io.BytesIO(small.data))
    assert image.format == "WEBP" and image.size == (256, 128)
    assert small.span == info.span and small.unit == "Hz"
    at = dict(small.ticks)["1k"]
    bright = np.asarray(image.convert("L")).mean(axis=1).argmax()
    assert abs((bright + 0.5) / 128 - at) < 0.01  # the tone lies where the axis says 1k


def test_planes_stand_below_each_other_and_each_has_its_hertz(tmp_path, sine):
    file = tmp_path / "two.png"
    file.write_bytes(Renderer(Stft(n_fft=256, hop_length=64, part="real_imag")).png(sine(1000), 16000))
    ticks = [at for text, at in small_picture(file).ticks if text == "4k"]
    assert len(ticks) == 2 and ticks[1] == pytest.approx(ticks[0] + 0.5, abs=1e-3)


def test_what_the_network_was_not_shown_is_cut_off(tmp_path, sine):
    file = tmp_path / "cut.png"
    file.write_bytes(LOOK.png(sine(500, 1.0, 8000), 8000))
    left, right = small_picture(file, seconds=0.25).span
    assert left == describe(file).span[0] and right - left == pytest.approx(0.25, abs=0.008)
    assert small_picture(file, seconds=5.0).span == describe(file).span


def test_a_picture_from_elsewhere_has_no_axes(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "other.png")
    small = small_picture(tmp_path / "other.png")
    assert small.span is None and small.ticks == () and Image.open(io.BytesIO(small.data)).size == (40, 30)
    with pytest.raises(OSError):
        small_picture(tmp_path / "none.png")
