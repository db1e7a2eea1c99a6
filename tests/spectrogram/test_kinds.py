"""What holds for every representation: pictures and back, dictionaries and TOML, silence, the command line; and Scaled and the stacks."""

import itertools
import json

import numpy as np
import pytest
import soundfile as sf
from sklearn.preprocessing import MinMaxScaler, StandardScaler, normalize

from specimg.audio import Audio
from specimg.cli import main
from specimg.core.values import Value, kinds
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree
from specimg.spectrogram import (
    Chroma,
    Contrast,
    Cqt,
    Delta,
    Gammatone,
    Gfcc,
    Mel,
    Mfcc,
    Pcen,
    Representation,
    Scaled,
    Stack,
    Stft,
    Tonnetz,
    Vqt,
    chroma_mfcc_gfcc,
    list_representations,
    mel_and_deltas,
    three_windows,
)
from specimg.spectrogram.picture import Picture, describe, read_picture, read_planes

SR = 22050
MEL = Mel(n_mels=20, n_fft=512, hop_length=256)
MADE_OF_OTHERS = {"delta": Delta(MEL), "scaled": Scaled(Gammatone()), "stack": Stack(MEL, Delta(MEL))}
EXAMPLES = [
    *(MADE_OF_OTHERS.get(kind) or Representation.from_dict({"kind": kind}) for kind in list_representations()),
    *(Stft(n_fft=400, hop_length=160, part=part) for part in ("real", "real_imag", "magnitude_phase")),
    *(Stft(n_fft=512, scale=scale) for scale in ("power", "linear", "root")),
    Stft(n_fft=512, part="real", scale="root"),
    Mel(scale="linear", n_mels=40),
    Mel(pcen=Pcen(gain=0.8), n_mels=40),
    Gammatone(scale="linear"),
    Gfcc(compression="log"),
    Cqt(scale="root", n_bins=48, fmin=110.0),
    Vqt(gamma=20.0),
    *(Chroma(source, norm=norm) for source in ("stft", "cqt") for norm in ("l2", None)),
    Chroma("cens"),
    Tonnetz(Chroma("stft")),
    Contrast(scale="linear"),
    *(Scaled(MEL, by=by, how=how) for by in ("row", "picture") for how in ("minmax", "standard", "max", "l1")),
    Scaled(Stft(part="real_imag", n_fft=400, hop_length=160), by="picture", how="max"),
    Delta(Gammatone(), order=2),
    Scaled(Delta(MEL)),
    mel_and_deltas(MEL),
    three_windows(SR),
    chroma_mfcc_gfcc(12),
    chroma_mfcc_gfcc(24, by_row=True),
]
every_example = pytest.mark.parametrize("spec", EXAMPLES, ids=lambda s: s.slug)


@pytest.fixture(scope="module")
def speech():
    """2 seconds like speech: a voice that glides through vowels, hisses, and stops in between; nothing digital silent."""
    rng, t = np.random.default_rng(3), np.arange(2 * SR) / SR
    pitch = np.cumsum(120 + 40 * np.sin(2 * np.pi * 1.5 * t)) / SR
    voice = sum(
        np.sin(2 * np.pi * k * pitch) * np.exp(-(((k * 130 - f(t)) / 250) ** 2))
        for k in range(1, 40)
        for f in (lambda t: 500 + 200 * np.sin(2 * np.pi * t), lambda t: 1500 + 600 * np.cos(5 * t))
    )
    speaking = np.clip(np.sin(2 * np.pi * 2.5 * t) * 3, 0, 1)
    hiss = rng.standard_normal(len(t)) * np.clip(np.sin(2 * np.pi * 2.5 * t - 2) * 3, 0, 1)
    return (0.1 * voice * speaking + 0.03 * hiss + 1e-4 * rng.standard_normal(len(t))).astype("float32")


# ---------------------------------------------------------------------- every one


def test_every_kind_has_an_example():
    assert list_representations() == sorted(kinds(Representation)) == sorted({spec.kind for spec in EXAMPLES})
    assert (
        " ".join(list_representations())
        == "chroma contrast cqt delta gammatone gfcc mel mfcc scaled stack stft tonnetz vqt"
    )


@every_example
def test_shape_type_axes_and_ranges_agree(spec, speech):
    x = spec(speech, SR)
    assert x.dtype == np.float32 and x.ndim == 3 and np.isfinite(x).all()
    assert len(x) == spec.channels == len(spec.ranges) and isinstance(spec.unit, str) and spec.unit
    rows = spec.frequencies(SR)
    assert rows is None or (rows.shape == x.shape[1:2] and (np.diff(rows) > 0).all())
    assert x.shape[2] == 1 + round(len(speech) // (spec.hop_seconds(SR) * SR)) and spec.first_column(SR) == 0
    assert all(low < high for low, high in filter(None, spec.ranges))
    assert x.std() > 0


@every_example
def test_its_picture_comes_back_to_half_a_level(spec, speech, tmp_path):
    (tmp_path / "a.png").write_bytes(Renderer(spec).png(speech, SR))
    back, info = read_picture(tmp_path / "a.png")
    x = spec(speech, SR)
    assert info.representation == spec and info.unit == spec.unit and back.shape == x.shape
    for channel, found, (low, high) in zip(x, back, info.ranges):
        np.testing.assert_allclose(
            found, np.clip(channel, low, high), rtol=0, atol=0.5 * (high - low) / 255 + 1e-5 * (high - low)
        )
        assert ((channel < low) | (channel > high)).mean() < 0.02  # hardly anything beyond black and white
    np.testing.assert_array_equal(np.asarray(Renderer(spec)(speech, SR)), np.asarray(Renderer(spec)(speech, SR)))


@every_example
def test_it_comes_back_from_dictionary_json_and_toml(spec):
    assert Value.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert type(spec).from_toml(spec.to_toml()) == spec and Renderer.from_toml(Renderer(spec).to_toml()) == Renderer(
        spec
    )
    assert (
        hash(type(spec).from_json(spec.to_json())) == hash(spec)
        and type(spec).from_dict(spec.to_dict()).key == spec.key
    )


def test_slugs_and_keys_tell_them_apart():
    assert len({spec.key for spec in EXAMPLES}) == len(EXAMPLES)
    named = [
        Stft(),
        Stft(part="real"),
        Mel(),
        Mel(pcen=Pcen()),
        Mel(scale="linear"),
        Gammatone(),
        Gfcc(),
        Cqt(),
        Vqt(),
        Chroma(),
        Chroma("cqt"),
        Chroma("cens"),
        Tonnetz(),
        Contrast(),
        Scaled(Mel()),
        Scaled(Mel(), "picture"),
        Scaled(Mel(), how="l1"),
        mel_and_deltas(),
        chroma_mfcc_gfcc(),
    ]
    assert all(a.slug != b.slug for a, b in itertools.combinations(named, 2))


@every_example
def test_silence_is_black_or_where_numbers_have_a_sign_mid_grey(spec):
    y = np.zeros(2 * SR, "float32")
    x, levels = spec(y, SR), read_planes(Renderer(spec).png(y, SR))
    assert np.isfinite(x).all()
    for channel, level, limits in zip(x, levels, spec.ranges):
        signed = limits is not None and limits[0] == -limits[1]
        if limits is not None:
            np.testing.assert_allclose(channel, 0 if signed else limits[0], atol=1e-6)
            assert (level == (level[0, 0] if signed else 0)).all() and (not signed or level[0, 0] in (127, 128))


@every_example
@pytest.mark.parametrize("level", [1e-20, 1e-7])
def test_what_is_nearly_silent_is_finite(spec, level, speech):
    assert np.isfinite(spec((speech * level).astype("float32"), SR)).all()


@every_example
def test_a_call_leaves_the_samples_as_they_are(spec, speech):
    y = speech.copy()
    y.setflags(write=False)
    once, twice = spec(y, SR), spec(y, SR)
    np.testing.assert_array_equal(once, twice)
    np.testing.assert_array_equal(y, speech)


@pytest.fixture(scope="module")
def recording(speech, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    sf.write(folder / "a.wav", speech, SR)
    return folder


@pytest.mark.parametrize("kind", sorted(set(list_representations()) - set(MADE_OF_OTHERS)))
def test_the_command_line_draws_it_by_name(kind, recording, tmp_path, capsys):
    assert main(["render", str(recording), "--representation", kind, "--cache", str(tmp_path), "--jobs", "1"]) == 0
    tree = SpecTree.open(capsys.readouterr().out.splitlines()[-1])
    assert len(tree) == 1 and describe(tree.picture("a.wav")).representation == Representation.from_dict({"kind": kind})


@pytest.mark.parametrize("kind, lacks", [("delta", "'spec'"), ("scaled", "'spec'")])
def test_what_is_made_of_others_says_what_it_lacks(kind, lacks, recording, capsys):
    assert main(["render", str(recording), "--representation", kind]) != 0
    assert f"the dictionary of kind '{kind}' lacks the field {lacks}" in capsys.readouterr().err


def test_settings_of_the_command_line_reach_the_new_fields(recording, tmp_path, capsys):
    settings = ["--representation", "stft", "--set", "part=real", "n_fft=400", "hop_length=160"]
    assert main(["render", str(recording), *settings, "--cache", str(tmp_path)]) == 0
    tree = SpecTree.open(capsys.readouterr().out.splitlines()[-1])
    assert tree.renderer.representation == Stft(n_fft=400, hop_length=160, part="real")


def test_descriptions_from_before_these_fields_mean_what_they_meant():
    framing = dict(
        hop_length=512, win_length=None, ref="max", top_db=80.0, window="hann", center=True, pad_mode="constant"
    )
    old_mel = (
        dict(kind="mel", n_mels=64, n_fft=2048, fmin=0.0, fmax=None, power=2.0, htk=False, norm="slaney") | framing
    )
    old_stft = dict(kind="stft", n_fft=512) | framing
    assert Representation.from_dict(old_mel) == Mel(n_mels=64) and Representation.from_dict(old_stft) == Stft(n_fft=512)


# ---------------------------------------------------------------------- one scale


def by_hand(x, how, by):
    """scikit-learn's scalers on the rows, or on the whole, of `(bins, frames)`."""
    rows = x.astype("float64") if by == "row" else x.astype("float64").reshape(1, -1)
    if how == "minmax":
        found = MinMaxScaler().fit_transform(rows.T).T
    elif how == "standard":
        found = StandardScaler().fit_transform(rows.T).T
    else:
        found = normalize(rows, norm=how, axis=1)
    return found.reshape(x.shape)


@pytest.mark.parametrize("by", ["row", "picture"])
@pytest.mark.parametrize("how", ["minmax", "standard", "max", "l1"])
@pytest.mark.parametrize("spec", [MEL, Stack(MEL, Delta(MEL))], ids=lambda s: s.kind)
def test_scaled_is_scikit_learns(spec, how, by, speech):
    x, found = spec(speech, SR), Scaled(spec, by=by, how=how)(speech, SR)
    assert found.dtype == np.float32 and found.shape == x.shape
    for channel, scaled in zip(x, found):
        np.testing.assert_allclose(scaled, by_hand(channel, how, by), rtol=1e-5, atol=1e-6)


def test_a_hand_worked_picture_scaled():
    class Given(Mel):
        def __call__(self, y, sr):
            return np.array([[[-80, -40, 0], [-20, -20, -20]]], "float32")

    def scaled(**how):
        return Scaled(Given(), **how)(np.zeros(1), SR)[0].tolist()

    assert scaled() == [[0, 0.5, 1], [0, 0, 0]]
    assert scaled(by="picture") == [[0, 0.5, 1], [0.75] * 3]
    np.testing.assert_allclose(scaled(how="standard"), [[-(1.5**0.5), 0, 1.5**0.5], [0, 0, 0]], rtol=1e-6)
    np.testing.assert_allclose(scaled(how="l1"), [[-2 / 3, -1 / 3, 0], [-1 / 3] * 3], rtol=1e-6)
    assert scaled(how="max", by="picture") == [[-1, -0.5, 0], [-0.25] * 3]


@pytest.mark.parametrize("how", ["minmax", "standard"])
def test_rows_of_one_number_are_0_whatever_the_number(how):
    numbers = np.random.default_rng(0).standard_normal((40, 200)) * 10.0 ** np.arange(-20, 20)[:, None]
    for rows in numbers.astype("float32"):
        assert (Scaled(MEL, how=how)._transform(np.tile(rows[None, :, None], 997)) == 0).all()


def test_scaling_keeps_axes_and_says_its_range_and_unit():
    spec = Scaled(Stft(part="real_imag", center=False), how="standard")
    inner = spec.spec
    assert (spec.channels, spec.ranges, spec.unit) == (2, ((-3.0, 3.0),) * 2, "standard deviations")
    np.testing.assert_array_equal(spec.times(5, SR), inner.times(5, SR))
    np.testing.assert_array_equal(spec.frequencies(SR), inner.frequencies(SR))
    assert (Scaled(MEL).ranges, Scaled(MEL, how="l1").ranges, Scaled(MEL).slug) == (
        ((0.0, 1.0),),
        (None,),
        "mel20-minmax-row",
    )
    found = [
        Scaled(part, how="max").ranges[0] for part in (MEL, Stft(scale="linear"), Stft(part="real"), Delta(MEL), Mfcc())
    ]
    assert found == [(-1.0, 0.0), (0.0, 1.0), (-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Scaled(MEL, by="column"), "unknown by 'column'; choose one of picture, row"),
        (lambda: Scaled(MEL, how="min-max"), "unknown how 'min-max'; did you mean 'minmax'"),
        (lambda: Scaled(Picture()), "is not Representation"),
    ],
)
def test_a_wrong_scaling_is_named_when_it_is_made(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---------------------------------------------------------------------- stacks


def test_mel_and_deltas_are_what_they_say(speech):
    found = mel_and_deltas(MEL, width=5)
    assert found == Stack(MEL, Delta(MEL, width=5), Delta(MEL, order=2, width=5))
    for channel, part in zip(found(speech, SR), found.parts):
        np.testing.assert_array_equal(channel, part(speech, SR)[0])


def test_a_stack_draws_what_its_parts_have_in_common_once(speech):
    calls = []

    class Counted(Mel):
        def __call__(self, y, sr):
            calls.append(1)
            return super().__call__(y, sr)

    mel = Counted(n_mels=20)
    Stack(mel, Delta(mel), Delta(Delta(mel)), Scaled(mel))(speech, SR)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "sr, n_fft, lengths, hop", [(44100, 4410, (1102, 2205, 4410), 441), (16000, 1600, (400, 800, 1600), 160)]
)
def test_three_windows_of_the_papers_lengths_on_one_grid(sr, n_fft, lengths, hop):
    """torchaudio's mel there: HTK, no norm, one n_fft for all; 1102.5 samples round to even, in the paper's code as here."""
    found = three_windows(sr)
    settings = [(p.win_length, p.n_fft, p.hop_length, p.htk, p.norm, p.n_mels) for p in found.parts]
    assert settings == [(n, n_fft, hop, True, None, 128) for n in lengths]
    x = found(np.random.default_rng(0).standard_normal(sr).astype("float32"), sr)
    assert x.shape == (3, 128, 101) and found.frequencies(sr) is not None


def test_three_windows_see_a_click_short_and_long():
    y = np.zeros(16000, "float32")
    y[8000] = 1
    x = three_windows(16000)(y, 16000)
    lit = [(channel.max(axis=0) > -40).sum() for channel in x]
    assert lit[0] in (2, 3) and lit[0] < lit[1] < lit[2] and lit[2] >= 8


def test_three_windows_take_other_windows_and_fields_of_mel():
    found = three_windows(16000, windows=(0.02, 0.04), hop=0.02, n_mels=64, fmin=50.0, top_db=60.0, htk=False)
    assert [p.win_length for p in found.parts] == [320, 640]
    assert {(p.hop_length, p.n_mels, p.fmin, p.top_db, p.htk) for p in found.parts} == {(320, 64, 50.0, 60.0, False)}


@pytest.mark.parametrize(
    "make, message",
    [
        (
            lambda: three_windows(0),
            r"three_windows\(sr=0, windows=\(0.025, 0.05, 0.1\), hop=0.01\): give Hz, and seconds that hold a sample or more",
        ),
        (lambda: three_windows(16000, windows=()), "windows=\\(\\)"),
        (lambda: three_windows(16000, hop=0), "hop=0"),
        (lambda: three_windows(16000, windows=(0.01,) * 5), "Stack of 5: give 1 to 4"),
        (lambda: chroma_mfcc_gfcc(rows=0), r"Chroma\(n_chroma=0\)"),
        (
            lambda: Stack(Cqt(hop_length=256), Mel()),
            "step 256, 512 samples from frame to frame; give all the same hop_length",
        ),
        (lambda: Stack(Chroma("cqt"), Gfcc(hop_length=160)), "give all the same hop_length"),
        (
            lambda: Stack(Cqt(), Mel(center=False)),
            "first frames are centred on different samples; give all center=True",
        ),
        (
            lambda: Stack(Stft(part="real_imag"), Mel()),
            "stft has 2 channels itself; stack single-channel representations",
        ),
    ],
)
def test_what_cannot_be_stacked_says_so(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_four_channel_picture_of_8_seconds_at_16_khz():
    """128 rows each: Wang's 256 x 128 x 4, but for the frame more that centred frames have."""
    y = np.random.default_rng(0).standard_normal(int(8.18 * 16000)).astype("float32") / 10
    x = chroma_mfcc_gfcc()(y, 16000)
    assert x.shape == (4, 128, 256) and np.isfinite(x).all()
    gfcc = chroma_mfcc_gfcc().parts[3]
    assert (gfcc.n_gfcc, gfcc.n_bands, gfcc.n_fft) == (128, 256, 1024)
    with pytest.raises(ValueError, match=r"shorter than the longest filter, 5.6\d\d s at 32.7 Hz"):
        chroma_mfcc_gfcc()(y[:32000], 16000)


def test_chroma_of_12_rows_beside_mfcc_of_128_is_stretched(speech):
    x = Stack(Chroma(), Mfcc(n_mfcc=128))(speech, SR)
    assert x.shape[:2] == (2, 128)
    np.testing.assert_array_equal(x[0][[0, -1]], Chroma()(speech, SR)[0][[0, -1]])


def test_a_stack_of_cqt_and_mel_has_the_frames_both_have(speech):
    assert Stack(Cqt(), Mel(), Chroma("cens"), Contrast())(speech, SR).shape == (4, 128, 1 + 2 * SR // 512)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pictures_of_one_to_four_channels_through_the_renderer(channels, speech):
    spec = Stack(*[Chroma(), Gammatone(), Cqt(), Gfcc()][:channels])
    image = Renderer(spec, Picture(height=64, width=50), Audio(sr=SR))(speech, SR)
    assert image.size == (50, 64 * (channels if channels in (2, 4) else 1)) and image.mode == (
        "RGB" if channels == 3 else "L"
    )
