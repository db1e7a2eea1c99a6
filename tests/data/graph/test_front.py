"""The way from samples to the network's input in torch: each stage against librosa or Pillow, the whole against specimg's own pixels."""

import librosa
import numpy as np
import pytest
import torch
from PIL import Image

from specimg.audio import Audio, fit_length as fit_samples
from specimg.audio.levels import RMS_LEVEL, normalize_level
from specimg.data.graph import AudioFrontEnd, WaveFrontEnd, cannot_draw, feature_module, list_graph_representations
from specimg.data.graph.pixels import FILTERS, resize, resize_levels, to_levels
from specimg.data.graph.transform import Fourier, cut_frames, cut_or_pad, normalize
from specimg.data.images import FitSize, SpecImage
from specimg.data.waves import FitWave, TensorWave
from specimg.render.renderer import Renderer
from specimg.spectrogram import (
    Chroma,
    Cqt,
    Delta,
    Gammatone,
    Gfcc,
    Mel,
    Mfcc,
    Pcen,
    Scaled,
    Stack,
    Stft,
    mel_and_deltas,
)
from specimg.spectrogram.picture import Picture, read_planes

torch.set_num_threads(1)
SR = 16000
FRAMES = dict(n_fft=512, hop_length=160)
MEL = Mel(n_mels=40, **FRAMES)
EARS = dict(n_bands=24, fmin=100.0, **FRAMES)


def chirp(seconds=0.7, sr=SR, seed=0):
    """A fading chirp, and from one third on faint noise: cells from 0 to far below -80 dB."""
    n = int(sr * seconds)
    t = np.arange(n) / sr
    noise = np.random.default_rng(seed).standard_normal(n) * 0.01 * (t > seconds / 3)
    return (0.5 * np.sin(2 * np.pi * (300 * t + 900 * t * t)) * np.exp(-3 * t) + noise).astype(np.float32)


def run(module, y):
    """A module on one clip, without the axis of the batch."""
    with torch.inference_mode():
        return module(torch.from_numpy(y)[None])[0].numpy()


def levels_of(front, y):
    with torch.inference_mode():
        return front.levels(torch.from_numpy(y)[None])[0][0].numpy()


def assert_same_pixels(got, want, share=1e-3):
    """Levels of one shape, of which at most `share` differ, by one."""
    assert got.shape == want.shape
    off = np.abs(got.astype(float) - want)
    assert off.max() <= 1 and (off > 0).mean() <= share


def assert_near_pixels(got, want):
    """Levels of one shape, resized in another order than Pillow's: never more than two apart, a quarter of one in the mean."""
    assert got.shape == want.shape
    off = np.abs(got.astype(float) - want)
    assert off.max() <= 2 and off.mean() <= 0.25


# ---------------------------------------------------------------------- samples and frames


@pytest.mark.parametrize("pad", ["silence", "repeat", "reflect"])
@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 33])
def test_length_is_fitted_as_the_audio_room_does_it(n, pad):
    y = np.arange(1, n + 1, dtype=np.float32)
    np.testing.assert_array_equal(run(lambda y: cut_or_pad(y, 20, pad), y), fit_samples(y, 20, pad))


@pytest.mark.parametrize("how", ["peak", "rms"])
def test_each_clip_is_normalised_by_itself_and_silence_left_alone(how):
    clips = np.stack([chirp(0.1), 0.01 * chirp(0.1, seed=1), np.zeros(1600, np.float32)])
    got = normalize(torch.from_numpy(clips), how, RMS_LEVEL).numpy()
    want = np.stack([normalize_level(y, SR, how) for y in clips])
    np.testing.assert_allclose(got, want, rtol=3e-7)
    assert not got[2].any()


@pytest.mark.parametrize(
    "center, pad_mode", [(False, "constant"), (True, "constant"), (True, "reflect"), (True, "edge")]
)
@pytest.mark.parametrize("n_fft, hop", [(8, 3), (7, 2), (6, 10)])
def test_frames_are_cut_as_librosa_cuts_them(n_fft, hop, center, pad_mode):
    for n in (9, 10, 11, 40):
        y = np.arange(1.0, n + 1)
        padded = np.pad(y, n_fft // 2, mode=pad_mode) if center else y
        want = librosa.util.frame(padded, frame_length=n_fft, hop_length=hop).T
        np.testing.assert_array_equal(run(lambda y: cut_frames(y, n_fft, hop, center, pad_mode), y), want)


@pytest.mark.parametrize("n", [1, 2, 7, 12, 400, 509, 512, 2048])
def test_two_products_are_a_fourier_transform(n):
    x = np.random.default_rng(0).standard_normal((3, n))
    re, im = Fourier(n)(torch.from_numpy(x))
    want = np.fft.rfft(x)
    assert np.abs(re.numpy() + 1j * im.numpy() - want).max() < 1e-12 * np.sqrt(n) * np.abs(want).max()


# ---------------------------------------------------------------------- librosa's numbers


@pytest.mark.parametrize("sr", [8000, 22050, 44100])
def test_mel_is_librosas(sr):
    y = chirp(sr=sr)
    got = run(feature_module(Mel(n_mels=32, n_fft=1024, hop_length=256), sr), y.astype(np.float64))[0]
    power = librosa.feature.melspectrogram(y=y.astype(np.float64), sr=sr, n_mels=32, n_fft=1024, hop_length=256)
    np.testing.assert_allclose(got, librosa.power_to_db(power, ref=np.max, top_db=80), atol=2e-5)


def test_mfcc_is_librosas():
    y = chirp().astype(np.float64)
    got = run(feature_module(Mfcc(n_mfcc=13, lifter=22, **FRAMES), SR), y)[0]
    np.testing.assert_allclose(got, librosa.feature.mfcc(y=y, sr=SR, n_mfcc=13, lifter=22, **FRAMES), atol=1e-4)


def test_pcen_is_librosas():
    y = chirp().astype(np.float64)
    got = run(feature_module(MEL.replace(pcen=Pcen()), SR), y)[0]
    power = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=40, **FRAMES)
    np.testing.assert_allclose(got, librosa.pcen(power * 2**31, sr=SR, hop_length=160), rtol=1e-5, atol=1e-6)


def test_a_cell_far_below_its_frame_is_exact():
    y = np.cos(
        2 * np.pi * 1000 * np.arange(SR) / SR
    )  # its skirts fall to -150 dB, where single precision knows nothing
    got = run(feature_module(Mel(n_mels=32, top_db=None, **FRAMES), SR), y)[0]
    power = librosa.feature.melspectrogram(y=y, sr=SR, n_mels=32, **FRAMES)
    np.testing.assert_allclose(got, librosa.power_to_db(power, ref=np.max, top_db=None), atol=2e-4)


# ---------------------------------------------------------------------- Pillow's pixels

SIZES = [(20, 31), (40, 64), (7, 200), (64, 50), (1, 1), (97, 13)]


@pytest.mark.parametrize("resample", FILTERS)
def test_floats_are_resized_as_pillow_does_it(resample):
    x = np.random.default_rng(0).normal(-40, 20, (40, 50)).astype(np.float32)
    for height, width in SIZES:
        want = np.asarray(Image.fromarray(x).resize((width, height), getattr(Image.Resampling, resample.upper())))
        got = resize(torch.from_numpy(x)[None, None], height, width, resample)[0, 0].numpy()
        off = np.abs(got - want) > 1e-3
        assert off.mean() <= (0.02 if resample == "nearest" else 0)  # where two pixels are equally near


def test_levels_are_resized_to_the_levels_of_pillow_or_those_beside_them():
    x = np.random.default_rng(0).integers(0, 256, (40, 50)).astype(np.uint8)
    x[:8, :9] = np.array([0, 255])[np.indices((8, 9)).sum(0) % 2]  # a chequerboard, where sums lie at the ends
    for height, width in SIZES:
        want = np.asarray(Image.fromarray(x).resize((width, height), Image.Resampling.BILINEAR)).astype(int)
        got = resize_levels(torch.from_numpy(x)[None, None].float(), height, width)[0, 0].numpy()
        assert np.abs(got - want).max() <= 1


def test_levels_saturate_and_a_picture_of_one_value_is_black():
    x = torch.tensor([[[[-90.0, -80.0, -40.0, 0.0, 5.0]]], [[[3.0] * 5]]])
    assert to_levels(x[:1], [(-80.0, 0.0)]).flatten().tolist() == [0, 0, 128, 255, 255]
    own = [(x[:, 0].amin((1, 2), keepdim=True).double(), x[:, 0].amax((1, 2), keepdim=True).double())]
    assert to_levels(x, own)[1].flatten().tolist() == [0] * 5
    assert to_levels(x, own)[0].flatten().tolist() == [0, 27, 134, 242, 255]  # 10/95, 50/95, 90/95 of 255


# ---------------------------------------------------------------------- specimg's pixels

SPECS = [
    MEL,
    MEL.replace(n_fft=400, n_mels=32, win_length=320, window="hamming"),
    MEL.replace(power=1.0),
    MEL.replace(scale="linear", ref=1.0),
    MEL.replace(top_db=None, ref=1.0),
    MEL.replace(pcen=Pcen()),
    MEL.replace(pad_mode="reflect"),
    MEL.replace(pad_mode="edge"),
    MEL.replace(center=False),
    MEL.replace(n_fft=509, n_mels=20),
    Stft(**FRAMES),
    Stft(scale="power", ref=4.0, **FRAMES),
    Stft(scale="root", **FRAMES),
    Stft(part="real", **FRAMES),
    Stft(part="real_imag", scale="root", **FRAMES),
    Stft(part="magnitude_phase", **FRAMES),
    Mfcc(**FRAMES),
    Gammatone(**EARS),
    Gfcc(**EARS),
    Gfcc(compression="log", **EARS),
    Delta(MEL),
    mel_and_deltas(MEL),
    Stack(MEL, Mfcc(**FRAMES), MEL.replace(n_fft=511, n_mels=20)),
    Stack(MEL, Scaled(Delta(MEL), how="max"), MEL, MEL),
    Scaled(MEL),
    Scaled(MEL, by="picture", how="standard"),
    Scaled(MEL, how="l1"),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.slug)
def test_every_representation_has_the_renderers_pixels(spec):
    look = Renderer(spec, Picture(), Audio(sr=SR))
    front = AudioFrontEnd(look)
    for seconds in (0.1, 0.7):
        y = chirp(seconds)
        assert_same_pixels(levels_of(front, y), read_planes(look.png(y, SR)))


def test_the_list_names_what_was_tested():
    tested = {kind for spec in SPECS for kind in [spec.kind, *(part.kind for part in getattr(spec, "parts", ()))]}
    assert list_graph_representations() == sorted(tested)


@pytest.mark.parametrize(
    "picture",
    [
        Picture(height=30, width=50),
        Picture(width=90, resample="bicubic"),
        Picture(height=64, resample="nearest"),
        Picture(low=-60.0, high=-10.0),
        Picture(colormap="magma"),
    ],
    ids=["size", "width", "height", "range", "colours"],
)
@pytest.mark.parametrize(
    "audio",
    [
        Audio(sr=SR),
        Audio(sr=SR, duration=0.5, pad="repeat", normalize="peak"),
        Audio(sr=SR, duration=0.5, pad="reflect", normalize="rms"),
    ],
    ids=["plain", "peak", "rms"],
)
def test_the_network_gets_the_pixels_of_the_stored_picture(picture, audio):
    look, fit = Renderer(MEL, picture, audio), FitSize((32, 48))
    front = AudioFrontEnd(look, fit)
    for y in (chirp(0.2), chirp(0.9, seed=1)):
        want = np.asarray(fit(SpecImage.create(look.png(y, SR)), split_idx=1))
        assert_near_pixels(run(front, y) * 255, want)


@pytest.mark.parametrize(
    "fit",
    [
        FitSize((32, 48), "crop", seconds=0.31),
        FitSize((32, 48), "crop", seconds=0.31, windows=4),
        FitSize((32, 48), "pad", seconds=0.5, blank=(0.2,)),
    ],
    ids=["crop", "windows", "pad"],
)
def test_windows_and_padding_are_those_of_fit_size(fit):
    for look, seconds in (
        (Renderer(MEL, Picture(), Audio(sr=SR)), None),
        (Renderer(MEL, Picture(width=77), Audio(sr=SR)), 0.7),
    ):
        for clip in (chirp(0.2), chirp(0.7)) if seconds is None else (chirp(0.7),):
            front = AudioFrontEnd(look, fit, n_samples=None if seconds is None else len(clip))
            want = np.asarray(fit(SpecImage.create(look.png(clip, SR)), split_idx=1))
            assert_near_pixels(run(front, clip) * 255, want)


@pytest.mark.parametrize("sr", [8000, 11025, 48000])
def test_any_sampling_rate(sr):
    y, look = chirp(0.4, sr), Renderer(Mel(n_mels=24, n_fft=1024, hop_length=200))
    assert_same_pixels(levels_of(AudioFrontEnd(look, sr=sr), y), read_planes(look.png(y, sr)))


@pytest.mark.parametrize("n", [1, 2, 100])
def test_clips_shorter_than_a_frame(n):
    y, look = chirp()[:n] + np.float32(0.1), Renderer(MEL, Picture(), Audio(sr=SR))
    assert_same_pixels(levels_of(AudioFrontEnd(look), y), read_planes(look.png(y, SR)))


@pytest.mark.parametrize(
    "spec",
    [
        MEL,
        Stft(**FRAMES),
        MEL.replace(scale="linear"),
        MEL.replace(pcen=Pcen()),
        Stft(part="real", **FRAMES),
        Mfcc(**FRAMES),
    ],
    ids=lambda spec: spec.slug,
)
def test_digital_silence_is_the_renderers_and_a_loud_neighbour_does_not_change_it(spec):
    look = Renderer(spec, Picture(), Audio(sr=SR, normalize="peak"))
    batch = np.stack([np.zeros(4000, np.float32), chirp(0.25)])
    with torch.inference_mode():
        got = AudioFrontEnd(look).levels(torch.from_numpy(batch))[0].numpy()
    for levels, y in zip(got, batch):
        assert_same_pixels(levels, read_planes(look.png(y, SR)))
    if spec is MEL:
        assert not got[0].any()


def test_a_clip_has_the_same_pixels_alone_and_among_five():
    front = AudioFrontEnd(Renderer(mel_and_deltas(MEL), Picture(), Audio(sr=SR)), FitSize((24, 24)))
    batch = torch.from_numpy(np.stack([chirp(0.3, seed=i) * 0.3**i for i in range(5)]))
    with torch.inference_mode():
        together = front(batch)
        assert together.shape == (5, 3, 24, 24)
        for i in range(5):
            assert torch.equal(front(batch[i : i + 1])[0], together[i])


def test_spoken_digits_have_the_renderers_pixels(fsdd):
    look = Renderer(Mel(n_mels=64, n_fft=512, hop_length=80), Picture(), Audio(sr=8000))
    front, off, pixels = AudioFrontEnd(look), 0, 0
    from specimg.audio import read_audio

    for path in sorted(fsdd.glob("*.wav"))[::60]:
        y, _ = read_audio(path, look.audio)
        want = read_planes(look.png(path))
        got = levels_of(front, y)
        assert np.abs(got - want).max() <= 1
        off, pixels = off + int((got != want).sum()), pixels + want.size
    assert pixels > 100_000 and off / pixels < 5e-4


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.slug)
def test_everything_is_computed_where_the_samples_are(spec):
    """On torch's device without memory, where a tensor made elsewhere is an error, as it is on a GPU."""
    for audio in (Audio(sr=SR), Audio(sr=SR, duration=0.5, pad="reflect", normalize="rms")):
        for fit in (FitSize((16, 24)), FitSize((16, 24), "crop", seconds=0.3), FitSize((16, 24), "pad", seconds=0.6)):
            front = AudioFrontEnd(Renderer(spec, Picture(height=30), audio), fit, n_samples=8000).to("meta")
            for part in front.modules():
                if isinstance(part, Fourier):
                    part.products = fit.method == "squish"
            assert front(torch.empty(2, 8000, device="meta")).shape[-2:] == (16, 24)


# ---------------------------------------------------------------------- waveforms


@pytest.mark.parametrize(
    "audio",
    [Audio(sr=8000), Audio(sr=8000, pad="repeat", normalize="peak"), Audio(sr=8000, pad="reflect", duration=0.5)],
    ids=["plain", "peak", "duration"],
)
@pytest.mark.parametrize("windows", [1, 3])
def test_waveforms_are_cut_as_fit_wave_cuts_them(audio, windows):
    from specimg.audio.read import condition

    fit = FitWave(audio, 1000, windows)
    front = WaveFrontEnd(fit)
    for n in (1, 700, 1000, 3333):
        y = chirp(0.5, 8000)[:n] + np.float32(0.1)
        ready = condition(y[:, None], 8000, audio)[0]
        want = np.asarray(fit(TensorWave(torch.from_numpy(ready)[None, None]), split_idx=1))
        np.testing.assert_allclose(run(front, y), want, rtol=3e-7)


# ---------------------------------------------------------------------- what is refused


def test_everything_that_cannot_be_drawn_is_named():
    look = Renderer(
        Stack(MEL.replace(hop_length=512), Delta(Cqt())),
        Picture(width=50),
        Audio(sr=SR, trim_db=40, lowpass_hz=3000, denoise="stationary", normalize="loudness"),
    )
    why = cannot_draw(look, FitSize((8, 8), "crop", seconds=0.1))
    assert len(why) == 6 and why[0].startswith("the representation cqt (these can: delta, gammatone, gfcc, mel")
    with pytest.raises(
        ValueError,
        match=r"representation cqt .*Audio\(trim_db=40.0\), nor with Audio\(denoise='stationary'\), nor with "
        r"Audio\(lowpass_hz=3000.0\).*'loudness'.*audio=False",
    ):
        AudioFrontEnd(look, sr=SR)
    assert cannot_draw(Renderer(MEL)) == []
    assert cannot_draw(Renderer(MEL, Picture(width=90, resample="lanczos"))) == [
        "Picture(resample='lanczos') (these can: nearest, bilinear, bicubic)"
    ]


def test_crops_of_a_fixed_width_need_one_length():
    look, fit = Renderer(MEL, Picture(width=50), Audio(sr=SR)), FitSize((8, 8), "crop", seconds=0.1)
    with pytest.raises(ValueError, match=r"method='crop' on Picture\(width=50\).*give seconds="):
        AudioFrontEnd(look, fit)
    assert not cannot_draw(look, fit, n_samples=8000) and not cannot_draw(
        Renderer(MEL, Picture(width=50), Audio(sr=SR, duration=1.0)), fit
    )


def test_a_waveform_has_no_gate_either():
    with pytest.raises(ValueError, match=r"Audio\(split_db=30.0\)"):
        WaveFrontEnd(FitWave(Audio(sr=8000, split_db=30), 100))


def test_features_without_a_module_are_an_error_that_lists_the_others():
    with pytest.raises(ValueError, match="chroma cannot be drawn in an exported graph; these can: delta, .*stft"):
        feature_module(Scaled(Chroma()), SR)


def test_the_rate_is_asked_for_and_has_to_fit():
    with pytest.raises(ValueError, match="a graph has one; give sr="):
        AudioFrontEnd(Renderer(MEL))
    with pytest.raises(ValueError, match="sr=8000: these recordings are drawn at 16000 Hz"):
        AudioFrontEnd(Renderer(MEL, Picture(), Audio(sr=SR)), sr=8000)


def test_what_the_renderer_refuses_is_refused_in_its_words():
    with pytest.raises(ValueError, match="mel filters catch no frequency bin"):
        AudioFrontEnd(Renderer(Mel(n_mels=256, **FRAMES), Picture(), Audio(sr=SR)))


@pytest.mark.parametrize(
    "spec, fewest",
    [(MEL, 1), (MEL.replace(center=False), 512), (MEL.replace(pad_mode="reflect"), 257), (Delta(MEL), 1280)],
    ids=lambda x: getattr(x, "slug", x),
)
def test_the_shortest_clip_is_known(spec, fewest):
    look = Renderer(spec, Picture(), Audio(sr=SR))
    assert AudioFrontEnd(look).fewest == fewest
    assert_same_pixels(levels_of(AudioFrontEnd(look), chirp()[:fewest]), read_planes(look.png(chirp()[:fewest], SR)))
    if fewest > 1:
        with pytest.raises(
            ValueError, match=f"clips of {fewest - 1} samples at 16000 Hz are too short .* this renderer needs {fewest}"
        ):
            AudioFrontEnd(look, n_samples=fewest - 1)
