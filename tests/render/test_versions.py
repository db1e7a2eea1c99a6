"""A tree records the libraries that drew it; what would mix pictures of different numbers is refused, what may round differently is reported."""

import json
import warnings

import numpy as np
import pytest

from specimg.audio import Audio
from specimg.audio.variants import AddNoise, PitchShift, Roll, TimeStretch
from specimg.core import installed
from specimg.render.renderer import Renderer
from specimg.render.tree import SpecTree, render_tree
from specimg.render.versions import compare_versions, read_versions, version_action
from specimg.spectrogram import Chroma, Contrast, Cqt, Delta, Gammatone, Mel, Picture, Scaled, Stack, Stft, Tonnetz, Vqt

MEL = Mel(n_mels=16, n_fft=256, hop_length=128)
SR = 8000
WARPED = TimeStretch(0.8)


@pytest.fixture
def source(tmp_path, write_wav):
    for i in range(3):
        write_wav(tmp_path / "source" / f"{i}.wav", 0.1 * np.random.default_rng(i).standard_normal(4000), SR)
    return tmp_path / "source"


@pytest.fixture
def draw(source, tmp_path):
    """draw(renderer, **render_tree's) into one cache, in this process."""

    def call(renderer=Renderer(MEL), **kwargs):
        return render_tree(source, renderer, **{"cache": tmp_path / "cache", "n_jobs": 1, "progress": False} | kwargs)

    return call


@pytest.fixture
def pretend(monkeypatch):
    """pretend(librosa="1.0.0"): what is installed from now on."""
    real, pretended = installed.version, {}
    monkeypatch.setattr(installed, "version", lambda name: pretended.get(name) or real(name))
    return lambda **numbers: pretended.update(numbers)


def recorded(tree):
    return json.loads((tree.root / "renderer.json").read_text())["versions"]


def bytes_of(tree):
    return {row.picture: (tree.images / row.picture).read_bytes() for row in tree.table.itertuples()}


# ---------------------------------------------------------------------- what affects the pixels


@pytest.mark.parametrize(
    "value, libraries",
    [
        (Renderer(), {"numpy", "scipy", "soundfile"}),
        (Renderer(Stack(MEL, Delta(MEL))), {"numpy", "scipy", "soundfile"}),
        (
            Renderer(Gammatone(), Picture(height=64, colormap="magma"), Audio(sr=16000)),
            {"pillow", "matplotlib", "soxr"},
        ),
        (Audio(), {"numpy", "soundfile"}),
        (Audio(trim_db=40), {"librosa"}),
        (Audio(split_db=40), {"librosa"}),
        (Audio(highpass_hz=100), {"scipy"}),
        (Audio(denoise="stationary"), {"noisereduce"}),
        (Audio(normalize="loudness"), {"pyloudnorm"}),
        (Audio(normalize="peak"), {"numpy", "soundfile"}),
        (Picture(), {"numpy"}),
        (Cqt(), {"librosa", "soxr"}),
        (Vqt(), {"librosa"}),
        (Chroma(), {"librosa"}),
        (Tonnetz(), {"librosa"}),
        (Contrast(), {"librosa"}),
        (Scaled(Delta(Chroma())), {"librosa"}),
        (Stack(MEL, Chroma(hop_length=128)), {"librosa", "scipy"}),
        (AddNoise(20), {"numpy"}),
        (Roll(0.1), {"numpy"}),
        (TimeStretch(0.8), {"librosa"}),
        (PitchShift(2), {"librosa", "soxr"}),
    ],
    ids=lambda v: ", ".join(sorted(v)) if isinstance(v, set) else repr(v),
)
def test_a_value_names_its_libraries(value, libraries):
    assert value.libraries >= libraries
    assert ("librosa" in value.libraries) == ("librosa" in libraries)


def test_what_draws_without_librosa_says_so():
    for value in (Renderer(), Renderer(Stft()), Audio(sr=8000, lowpass_hz=100, normalize="rms"), Picture(width=3)):
        assert "librosa" not in value.libraries


@pytest.mark.parametrize(
    "library, drawn_by, installed, action",
    [
        ("librosa", ["0.11.0"], "0.11.0", "draw"),
        ("librosa", ["0.10.2", "0.11.0"], "0.10.2", "draw"),
        ("librosa", ["0.10.2"], "0.11.0", "warn"),
        ("librosa", ["0.11.0"], "1.0.0", "refuse"),
        ("librosa", ["1.0.0"], "0.11.0", "refuse"),
        ("pyloudnorm", ["0.2.0"], "1.0", "refuse"),
        ("numpy", ["1.26.4"], "2.4.6", "warn"),
        ("pillow", ["9.5.0"], "12.0.0", "warn"),
    ],
)
def test_the_decision(library, drawn_by, installed, action):
    assert version_action(library, drawn_by, installed) == action


def test_what_is_not_recorded_and_specimg_itself_are_not_compared():
    assert compare_versions({"specimg": ["0.0.1"]}, {"specimg": "9.0", "librosa": "1.0.0"}) == {
        "warn": "",
        "refuse": "",
    }


# ---------------------------------------------------------------------- trees


def test_a_tree_records_librosa_once_librosa_draws(draw):
    assert "librosa" not in recorded(draw())
    assert recorded(draw(variants=[AddNoise(20)])).keys() == {"specimg", "numpy", "scipy", "soundfile"}
    assert len(recorded(draw(variants=[WARPED]))["librosa"]) == 1


def test_another_major_version_may_not_draw_into_a_tree(draw, source, pretend, write_wav):
    pretend(librosa="0.11.0")
    tree = draw(variants=[WARPED])
    before = bytes_of(tree)
    pretend(librosa="1.0.0")
    with pytest.warns(
        UserWarning, match=r"drawn with librosa 0.11.0 \(installed: 1.0.0\), which may draw other pixels"
    ):
        assert len(draw(variants=[WARPED])) == 6  # nothing to draw: the pictures are as they were
    write_wav(source / "new.wav", np.tile([0.1, -0.1], 2000), SR)
    message = (
        r"drawn with librosa 0.11.0 \(installed: 1.0.0\): another major .* delete that folder, or choose another cache="
    )
    with pytest.raises(ValueError, match=message):
        draw(variants=[WARPED])
    with pytest.warns(UserWarning, match="may draw other pixels"):
        assert bytes_of(SpecTree.open(tree.root)) == before
    assert not (tree.images / "new.wav.png").exists()
    assert recorded(tree)["librosa"] == ["0.11.0"]
    pretend(librosa="0.11.0")
    assert len(draw(variants=[WARPED])) == 8


def test_what_librosa_has_no_hand_in_is_drawn_by_any_version(draw, source, pretend, write_wav):
    pretend(librosa="0.11.0")
    draw(variants=[WARPED])
    pretend(librosa="1.0.0")
    write_wav(source / "new.wav", np.tile([0.1, -0.1], 2000), SR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(draw()) == 4 and len(draw(variants=[AddNoise(20)])) == 8


def test_a_minor_difference_is_reported_once_and_recorded(draw, source, pretend, write_wav):
    pretend(numpy="2.0.0")
    draw()
    pretend(numpy="2.1.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw()  # nothing is drawn
        write_wav(source / "new.wav", np.tile([0.1, -0.1], 2000), SR)
        with pytest.warns(
            UserWarning, match=r"drawn with numpy 2.0.0 \(installed: 2.1.0\), which may round differently"
        ):
            tree = draw()
        assert recorded(tree)["numpy"] == ["2.0.0", "2.1.0"]
        write_wav(source / "newer.wav", np.tile([0.1, -0.1], 2000), SR)
        draw()
    pretend(numpy="2.0.0")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SpecTree.open(tree.root)


def test_opening_reports_every_difference(draw, pretend):
    pretend(numpy="2.0.0", librosa="0.11.0")
    tree = draw(variants=[WARPED])
    pretend(numpy="2.1.0", librosa="1.0.0")
    with pytest.warns(
        UserWarning, match=r"librosa 0.11.0 \(installed: 1.0.0\), numpy 2.0.0 \(installed: 2.1.0\), which may"
    ):
        assert len(SpecTree.open(tree.root)) == 6


def test_a_tree_of_earlier_days_has_one_version_a_library(draw, source, write_wav):
    tree = draw()
    path = tree.root / "renderer.json"
    facts = json.loads(path.read_text())
    facts["versions"] = {name: numbers[0] for name, numbers in facts["versions"].items()}
    path.write_text(json.dumps(facts))
    write_wav(source / "new.wav", np.tile([0.1, -0.1], 2000), SR)
    again = draw(variants=[AddNoise(20)])
    assert read_versions(again.root) == {name: [number] for name, number in facts["versions"].items()}


@pytest.mark.parametrize("text", ["{", '{"versions": 3}', "[]", '{"versions": {"a\\u001b": "1"}}'])
def test_a_damaged_description_says_what_to_do(draw, text):
    tree = draw()
    (tree.root / "renderer.json").write_text(text)
    with pytest.raises(ValueError, match="renderer.json' .*; delete that folder to draw it again"):
        draw()
