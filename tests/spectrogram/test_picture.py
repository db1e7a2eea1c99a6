"""A float picture becomes pixels and back: levels, sides, colours, and what the PNG says of itself."""

import io
import json
import os
import struct
import zlib
from dataclasses import dataclass

import librosa
import matplotlib
import numpy as np
import pytest
from PIL import Image

from specimg.audio import Audio
from specimg.core import values
from specimg.render.renderer import Renderer
from specimg.spectrogram import Delta, Mel, Mfcc, Stack, Stft
from specimg.spectrogram.picture import (
    Picture,
    PictureError,
    dequantize,
    describe,
    encode,
    open_image,
    picture_problem,
    quantize,
    read_picture,
    read_planes,
    show_picture,
)

SR = 16000
MEL = Mel(n_mels=20, n_fft=512, hop_length=160)
STACKS = {1: MEL, 2: Stack(MEL, Delta(MEL)), 3: Stack(MEL, Delta(MEL), MEL), 4: Stack(MEL, MEL, MEL, Delta(MEL))}


def floats(channels, bins=20, frames=33, seed=0):
    """Random values that go a little beyond every range of `STACKS`."""
    return np.random.default_rng(seed).uniform(-85, 5, (channels, bins, frames)).astype("float32")


def save(path, x, spec=None, picture=Picture(), sr=SR, begin=0.0):
    path.write_bytes(encode(x, spec or STACKS[len(x)], picture, sr, begin))
    return path


def open_pixels(png):
    with Image.open(io.BytesIO(png) if isinstance(png, bytes) else png) as image:
        return image.mode, image.size, np.array(image)


def expected_levels(x, low, high):
    """uint8 `(bins, frames)` by the definition, in double precision; the lowest bin in the last row."""
    return np.clip(np.floor((x.astype("float64") - low) / (high - low) * 255 + 0.5), 0, 255).astype("uint8")[::-1]


# ---------------------------------------------------------------------- levels


@pytest.mark.parametrize(
    "channels, mode, size", [(1, "L", (33, 20)), (2, "L", (33, 40)), (3, "RGB", (33, 20)), (4, "L", (33, 80))]
)
def test_a_picture_has_a_pixel_for_each_bin_and_frame(tmp_path, channels, mode, size):
    path = save(tmp_path / "a.png", floats(channels))
    assert open_pixels(path)[:2] == (mode, size)
    with Image.open(path) as image:
        image.verify()


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [(20, 33), (1, 1), (1, 50), (50, 1), (257, 3)])
def test_levels_are_rounded_spread_evenly_and_low_notes_lie_at_the_bottom(tmp_path, channels, shape):
    x = floats(channels, *shape)
    path = save(tmp_path / "a.png", x)
    _, _, pixels = open_pixels(path)
    planes = pixels.transpose(2, 0, 1) if channels == 3 else pixels.reshape(channels, *shape)
    for plane, channel, (low, high) in zip(planes, x, describe(path).ranges):
        difference = plane.astype(int) - expected_levels(channel, low, high)
        assert np.abs(difference).max() <= 1 and (difference != 0).mean() < 0.01  # ties, in single precision
    np.testing.assert_array_equal(planes, read_planes(path))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_values_come_back_within_half_a_level(tmp_path, channels):
    x = floats(channels)
    y, info = read_picture(save(tmp_path / "a.png", x))
    assert y.shape == x.shape and y.dtype == np.float32
    for channel, back, (low, high) in zip(x, y, info.ranges):
        np.testing.assert_allclose(back, np.clip(channel, low, high), rtol=0, atol=(high - low) / 255 / 2 * 1.001)


def test_level_zero_is_low_and_level_255_is_high():
    np.testing.assert_array_equal(quantize(np.float32([[-90, -80, -40, 0, 5]]), -80, 0), [[0, 0, 128, 255, 255]])
    np.testing.assert_allclose(dequantize(np.uint8([0, 51, 255]), -80, 0), [-80, -64, 0])
    assert not quantize(np.float32([[3, 3]]), 3, 3).any()
    np.testing.assert_array_equal(dequantize(np.uint8([0, 0]), 3, 3), [3, 3])


def test_pixels_are_librosas_decibels_rounded(tmp_path):
    y = (0.1 * np.random.default_rng(0).standard_normal(SR)).astype("float32")
    y += np.sin(2 * np.pi * 440 * np.arange(SR) / SR, dtype="float32")
    _, _, pixels = open_pixels(Renderer(Mel(n_mels=64)).png(y, SR))
    power = librosa.feature.melspectrogram(y=y.astype("float64"), sr=SR, n_mels=64)
    expected = np.round((librosa.power_to_db(power, ref=np.max) + 80) / 80 * 255)[::-1]
    difference = np.abs(pixels - expected)
    assert pixels.shape == (64, 32) and difference.max() <= 1 and (difference > 0).sum() <= 5


def test_a_range_may_be_fixed_or_each_pictures_own(tmp_path):
    x = floats(1)
    assert describe(save(tmp_path / "a.png", x)).ranges == ((-80, 0),)
    assert describe(save(tmp_path / "b.png", x, picture=Picture(low=-50, high=-10))).ranges == ((-50, -10),)
    assert describe(save(tmp_path / "c.png", x, Mfcc())).ranges == ((float(x.min()), float(x.max())),)
    np.testing.assert_array_equal(open_pixels(tmp_path / "b.png")[2], expected_levels(x[0], -50, -10))
    assert open_pixels(tmp_path / "c.png")[2].min() == 0 and open_pixels(tmp_path / "c.png")[2].max() == 255


def test_a_picture_of_one_value_without_a_range_is_black_and_comes_back(tmp_path):
    y, info = read_picture(save(tmp_path / "a.png", np.full((1, 3, 7), -4.5, "float32"), Mfcc()))
    assert not open_pixels(tmp_path / "a.png")[2].any() and info.ranges == ((-4.5, -4.5),)
    np.testing.assert_array_equal(y, np.full((1, 3, 7), -4.5))


def test_equal_input_gives_equal_bytes():
    assert encode(floats(3), STACKS[3], Picture(), SR) == encode(floats(3), STACKS[3], Picture(), SR)


# ---------------------------------------------------------------------- sides and colours


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "sides", [dict(height=11), dict(width=70), dict(height=47, width=13), dict(height=1, width=1)], ids=str
)
def test_sides_may_be_chosen_one_at_a_time(tmp_path, channels, sides):
    path = save(tmp_path / "a.png", floats(channels), picture=Picture(**sides))
    info = describe(path)
    assert (info.height, info.width) == (sides.get("height", 20), sides.get("width", 33))
    assert (info.bins, info.frames) == (20, 33)
    assert read_planes(path).shape == (channels, info.height, info.width) == read_picture(path)[0].shape


@pytest.mark.parametrize("resample", ["nearest", "box", "bilinear", "bicubic", "lanczos"])
def test_a_resized_picture_is_pillows_of_the_floats_rounded_once(tmp_path, resample):
    x = floats(1)
    path = save(tmp_path / "a.png", x, picture=Picture(height=50, width=9, resample=resample))
    resized = np.array(Image.fromarray(x[0]).resize((9, 50), getattr(Image.Resampling, resample.upper())))
    assert np.abs(open_pixels(path)[2].astype(int) - expected_levels(resized, -80, 0)).max() <= 1


def test_each_row_stays_itself_where_only_the_width_changes(tmp_path):
    rows = np.repeat(np.linspace(-80, 0, 20, dtype="float32")[:, None], 33, axis=1)[None]
    pixels = open_pixels(save(tmp_path / "a.png", rows, picture=Picture(width=100)))[2]
    np.testing.assert_array_equal(pixels, np.repeat(expected_levels(rows[0], -80, 0)[:, :1], 100, axis=1))


@pytest.mark.parametrize("name", ["magma", "viridis", "gray", "tab10"])
def test_a_colour_map_is_a_palette_on_the_same_levels(tmp_path, name):
    x = floats(1)
    path = save(tmp_path / "a.png", x, picture=Picture(colormap=name))
    mode, _, pixels = open_pixels(path)
    assert mode == "P"
    np.testing.assert_array_equal(pixels, open_pixels(save(tmp_path / "b.png", x))[2])
    with Image.open(path) as image:
        colours = np.array(image.convert("RGB"))
    np.testing.assert_array_equal(colours, np.round(matplotlib.colormaps[name](pixels / 255)[..., :3] * 255))
    np.testing.assert_array_equal(read_picture(path)[0], read_picture(tmp_path / "b.png")[0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Picture(height=0), r"Picture\(height=0\): give 1 to 65535 pixels, or None"),
        (lambda: Picture(width=70000), r"Picture\(width=70000\)"),
        (lambda: Picture(colormap="magmaa"), "unknown colormap 'magmaa'; did you mean 'magma'"),
        (lambda: Picture(resample="cubic"), "unknown resample 'cubic'; did you mean 'bicubic'"),
        (lambda: Picture(low=-80), r"Picture\(low=-80, high=None\): give both, low below high, or neither"),
        (lambda: Picture(low=0, high=0), "give both, low below high"),
        (
            lambda: encode(floats(3), STACKS[3], Picture(colormap="magma"), SR),
            "colours one channel, but stack has 3; leave it None",
        ),
    ],
)
def test_a_wrong_choice_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- what a picture says of itself


def test_describe_gives_back_all_that_was_given(tmp_path):
    spec, picture = STACKS[2], Picture(height=40, low=-60, high=1.5)
    info = describe(save(tmp_path / "a.png", floats(2), spec, picture, sr=22050, begin=1.25))
    assert (info.representation, info.picture, info.sr, info.begin, info.channels) == (spec, picture, 22050, 1.25, 2)
    assert (info.unit, info.ranges) == ("dB, dB/frame", ((-60, 1.5), (-60, 1.5)))


@pytest.mark.parametrize("width", [None, 33, 61, 500])
def test_the_column_of_a_click_is_at_its_time(tmp_path, width):
    y = np.zeros(2 * SR, "float32")
    y[int(1.37 * SR)] = 1
    path = tmp_path / "a.png"
    path.write_bytes(Renderer(MEL, Picture(width=width)).png(y, SR))
    info, column = describe(path), read_planes(path)[0].sum(axis=0, dtype=float)
    assert info.times.shape == (width or 201,)
    step = info.times[1] - info.times[0]
    assert np.average(info.times, weights=column) == pytest.approx(1.37, abs=0.01)
    assert abs(info.times[column.argmax()] - 1.37) < max(step, 0.016)
    assert info.span[0] == pytest.approx(-0.005) and info.span[1] == pytest.approx(2.005)
    assert info.times[0] - step / 2 == pytest.approx(info.span[0]) and info.times[-1] + step / 2 == pytest.approx(
        info.span[1]
    )


@pytest.mark.parametrize("height", [None, 20, 64, 301])
@pytest.mark.parametrize("hz", [440, 1000, 3000])
@pytest.mark.parametrize(
    "spec", [Mel(n_mels=64), Mel(n_mels=40, htk=True, fmin=100.0), Stft(n_fft=512)], ids=lambda s: s.slug
)
def test_the_brightest_row_of_a_sine_is_at_its_frequency(tmp_path, sine, spec, hz, height):
    path = tmp_path / "a.png"
    path.write_bytes(Renderer(spec, Picture(height=height)).png(sine(hz), SR))
    info = describe(path)
    brightness = read_planes(path)[0][:, 4:-4].sum(axis=1, dtype=int)
    assert info.frequencies.shape == (info.height,) and (np.diff(info.frequencies) <= 0).all()  # the highest on top
    rows = spec.frequencies(SR)
    width = np.diff(rows)[max(0, np.searchsorted(rows, hz) - 2) :][:3].max() * max(1, len(rows) / info.height)
    assert abs(info.frequencies[brightness.argmax()] - hz) <= width


def test_seconds_count_from_the_beginning_of_the_source(tmp_path, write_wav):
    y = np.zeros(3 * SR, "float32")
    y[int(2.25 * SR)] = 0.9
    wav, path = write_wav(tmp_path / "a.wav", y), tmp_path / "a.png"
    path.write_bytes(Renderer(MEL, Picture(), Audio(trim_db=30)).png(wav, start=0.5))
    info, pixels = describe(path), read_planes(path)[0]
    assert info.begin > 2 and info.width < 100
    assert info.times[pixels.sum(axis=0, dtype=int).argmax()] == pytest.approx(2.25, abs=0.016)


def test_frames_that_are_not_centred_are_half_a_window_later(tmp_path):
    info = describe(
        save(tmp_path / "a.png", floats(1), Mel(n_mels=20, n_fft=512, hop_length=160, center=False), begin=3.0)
    )
    np.testing.assert_allclose(info.times, 3 + (256 + 160 * np.arange(33)) / SR)


def test_rows_without_a_frequency_have_none(tmp_path):
    assert describe(save(tmp_path / "a.png", floats(1), Mfcc())).frequencies is None


# ---------------------------------------------------------------------- files that are not ours, or not whole


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_text(text):
    """A picture of ours whose text chunk says something else."""
    png = encode(floats(1), MEL, Picture(), SR)
    size = struct.unpack(">I", png[33:37])[0]
    return png[:33] + chunk(b"tEXt", b"specimg\0" + text) + png[33 + 12 + size :]


def foreign_png(*claimed):
    """A PNG of another program; `claimed` are the width and height of its header where they are not those of its pixels."""
    data = io.BytesIO()
    Image.new("L", (5, 4)).save(data, "PNG")
    png = data.getvalue()
    return png[:8] + chunk(b"IHDR", struct.pack(">II", *claimed) + png[24:29]) + png[33:] if claimed else png


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "is not a PNG file"),
        (b"just text\n" * 30, "is not a PNG file"),
        (b"\x89PNG\r\n\x1a\n", "is not a PNG file"),
        (foreign_png(), "has no text chunk of specimg before its pixels"),
        (encode(floats(1), MEL, Picture(), SR)[:200], "has no text chunk of specimg"),
        (with_text(b"{"), "has a text chunk that cannot be understood"),
        (with_text(b"\xff\xfe"), "has a text chunk that cannot be understood"),
        (with_text(b"[1, 2]"), "has a text chunk that cannot be understood"),
        (with_text(b'{"format": 1}'), "has a text chunk that cannot be understood"),
        (with_text(b'{"format": 99}'), "is of format 99; this specimg reads format 1: draw it again"),
        (
            with_text(b'{"format": 1, "channels": 1, "representation": {"kind": "wavelet"}}'),
            "unknown representation 'wavelet'",
        ),
    ],
)
def test_what_is_not_ours_is_an_error_with_the_path(tmp_path, data, reason):
    path = tmp_path / "odd.png"
    path.write_bytes(data)
    for read in (describe, read_picture, show_picture):
        with pytest.raises(PictureError, match=f"odd.png' .*{reason}"):
            read(path)
    assert reason in picture_problem(path, MEL)


def changed(**facts):
    """A picture whose text says otherwise of itself."""
    own = json.loads(describing_text(encode(floats(1), MEL, Picture(), SR)))
    own["representation"].update(facts.pop("representation", {}))
    return with_text(json.dumps({**own, **facts}).encode())


def describing_text(png):
    with Image.open(io.BytesIO(png)) as image:
        return image.info["specimg"]


BOMBS = {
    "brackets": with_text(b"[" * 100_000),
    "text of 2 MB": with_text(b" " * 2**21),
    "channels": changed(channels=10**9),
    "bins": changed(bins=10**9),
    "frames": changed(frames=-1),
    "sampling rate 0": changed(sr=0),
    "sampling rate": changed(sr=10**400),
    "begin": changed(begin=float("inf")),
    "ranges": changed(ranges=[[0, 1]] * 10_000),
    "no range": changed(ranges=[[0, float("nan")]]),
    "unit": changed(unit="x" * 1000),
    "n_mels": changed(representation={"n_mels": 10**9}),
    "filter bank": changed(representation={"n_mels": 2**20, "n_fft": 2**20}),
    "hop": changed(representation={"hop_length": 10**12}),
    "65000 x 65000 pixels": foreign_png(65_000, 65_000),
    "no pixels": foreign_png(0, 10),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_picture_that_claims_absurd_things_is_an_error_with_the_path(tmp_path, bomb):
    path = tmp_path / "odd.png"
    path.write_bytes(BOMBS[bomb])
    for read in (describe, read_picture, show_picture):
        with pytest.raises(PictureError, match="odd.png' "):
            read(path)
    assert picture_problem(path, MEL)


@pytest.mark.parametrize("bomb", ["brackets", "bins", "n_mels", "filter bank", "65000 x 65000 pixels"])
def test_and_takes_no_memory(tmp_path, bomb, peak_memory):
    path = tmp_path / "odd.png"
    path.write_bytes(BOMBS[bomb])
    with_axes = f"x, info = read_picture({str(path)!r}); info.times, info.frequencies"
    assert peak_memory("from specimg.spectrogram import read_picture; import PIL.PngImagePlugin", with_axes) < 40  # MB


def test_a_picture_of_gigabytes_takes_no_memory(tmp_path, peak_memory):
    path = tmp_path / "large.png"
    path.write_bytes(foreign_png())
    with open(path, "r+b") as file:
        file.truncate(2**33)
    code = f"raise ValueError(picture_problem({str(path)!r}, Mel()))"
    prepare = "from specimg.spectrogram import Mel; from specimg.spectrogram.picture import picture_problem"
    assert peak_memory(prepare, code) < 20  # MB


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_an_error_at_once(tmp_path, make):
    make(tmp_path / "odd.png")
    for read in (describe, read_picture, show_picture, open_image):
        with pytest.raises(ValueError, match="odd.png' .*is not a regular file"):
            read(tmp_path / "odd.png")
    assert "is not a regular file" in picture_problem(tmp_path / "odd.png", MEL)


def test_pixels_that_are_not_those_of_their_header_are_found(tmp_path):
    png = encode(floats(1), MEL, Picture(), SR)
    at = png.index(b"IDAT") - 4
    (size,) = struct.unpack(">I", png[at : at + 4])
    path = tmp_path / "odd.png"
    path.write_bytes(png[:at] + chunk(b"IDAT", zlib.compress(b"\2")) + png[at + size + 12 :])
    assert "cannot be read" in picture_problem(path, MEL)


def test_no_format_that_pillow_reads_by_running_a_program_is_opened(tmp_path):
    path = tmp_path / "odd.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n")
    with pytest.raises(PictureError, match="it is no picture"):
        open_image(path)


def test_a_picture_that_is_not_there_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        describe(tmp_path / "none.png")
    assert "cannot be read: No such file" in picture_problem(tmp_path / "none.png", MEL)


def test_every_cut_and_every_flipped_bit_of_a_picture_is_found(tmp_path):
    png, path = encode(floats(1), MEL, Picture(), SR), tmp_path / "a.png"
    path.write_bytes(png)
    assert picture_problem(path, MEL) is None
    for length in range(0, len(png), 37):
        path.write_bytes(png[:length])
        assert picture_problem(path, MEL)
    for at in range(0, len(png), 31):
        path.write_bytes(png[:at] + bytes([png[at] ^ 0x10]) + png[at + 1 :])
        assert picture_problem(path, MEL), f"byte {at}"


def test_a_picture_of_another_representation_is_found(tmp_path):
    assert picture_problem(save(tmp_path / "a.png", floats(1)), Mel()) == "was drawn by another representation"


def test_a_long_description_is_found(tmp_path, monkeypatch):
    @dataclass(frozen=True)
    class Labelled(Mel):
        words: tuple[str, ...] = ()

    monkeypatch.setitem(values._KINDS, "labelled", Labelled)
    spec = Labelled(words=("word",) * 2000)
    path = save(tmp_path / "a.png", floats(1), spec)
    assert os.path.getsize(path) > 16000 and describe(path).representation == spec


# ---------------------------------------------------------------------- looking at it


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_shown_picture_has_seconds_and_hertz(tmp_path, channels):
    mel = Mel(n_mels=40)
    spec = mel if channels == 1 else Stack(*[mel] * channels)
    figure = show_picture(save(tmp_path / "dog.wav.png", floats(channels, 40, 64), spec, begin=2.0))
    (ax,) = figure.axes
    left, right, _, _ = ax.images[0].get_extent()
    assert (left, right) == pytest.approx((2 - 0.016, 2 + 63.5 * 0.032))
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_title()) == ("seconds", "Hz", "dog.wav")
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert "1k" in labels and "4k" in labels
    top = int(np.abs(mel.frequencies(SR)[::-1] - 1000).argmin())
    places = [place for place, label in zip(ax.get_yticks(), labels) if label == "1k"]
    planes = channels if channels in (2, 4) else 1
    np.testing.assert_allclose(places, [top + 40 * k for k in range(planes)], atol=0.5)


def test_axes_may_be_given_and_titles_may_hold_anything(tmp_path):
    from matplotlib.figure import Figure

    figure = Figure()
    ax = figure.add_subplot()
    path = save(tmp_path / "a.png", floats(1), Mfcc())
    for title in ["$x", "", os.fsdecode(b"caf\xe9"), "two\nlines"]:
        assert show_picture(path, ax=ax, title=title) is figure
        figure.savefig(io.BytesIO(), format="png")
    assert ax.get_ylabel() == "coefficient"


@pytest.mark.parametrize("fmin, fmax", [(1100, 1900), (2100, 3900), (0, 8000)])
def test_every_hertz_axis_has_numbers(fmin, fmax, tmp_path, sine):
    path = tmp_path / "a.png"
    path.write_bytes(Renderer(Mel(n_mels=8, fmin=fmin, fmax=fmax)).png(sine(1500), 16000))
    ax = show_picture(path).axes[0]
    assert len(ax.get_yticklabels()) >= 2 and ax.get_ylabel() == "Hz"
