"""A recording far longer than what was learnt is named, and one like those of training is not."""

import warnings

import numpy as np
import pytest
import soundfile as sf

from specimg.audio import Audio
from specimg.data import SpecDataLoaders, WaveDataLoaders
from specimg.inference import load_classifier, save_classifier
from specimg.inference.clip_lengths import about_seconds, learnt_seconds, longest_clip
from specimg.render.renderer import Renderer
from specimg.spectrogram import Mel
from specimg.training.learner import spec_learner

SR = 8000


def tone(seconds, hz=400):
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * SR)) / SR)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sounds")
    for label, hz in (("high", 2000), ("low", 400)):
        (folder / "clips" / label).mkdir(parents=True)
        for i in range(4):
            sf.write(folder / "clips" / label / f"{i}.wav", tone(0.3 + 0.1 * i, hz), SR)
    sf.write(folder / "night.wav", tone(20), SR)
    sf.write(folder / "night.mp3", tone(20), SR)
    return folder


def loaders(sounds, **kwargs):
    look = Renderer(Mel(n_mels=32, n_fft=256, hop_length=64), audio=kwargs.pop("audio", Audio()))
    return SpecDataLoaders.from_folder(
        sounds / "clips", renderer=look, cache=sounds / "cache", size=32, bs=4, n_jobs=1, progress=False, **kwargs
    )


@pytest.fixture(scope="module")
def clf(sounds, tmp_path_factory):
    learn = spec_learner(loaders(sounds), "mini_resnet", pretrained=False, seed=0)
    folder = tmp_path_factory.mktemp("saved") / "classifier"
    save_classifier(learn, folder, golden=0)
    return load_classifier(folder)


def test_recordings_far_longer_than_what_was_learnt_are_named(clf, sounds):
    known = clf.about["training"]["longest_clip"]
    assert known in (0.5, 0.6)  # whichever was held out
    with pytest.warns(UserWarning) as said:
        table = clf.predict(sounds, progress=False)
    (text,) = [str(w.message) for w in said if "far longer" in str(w.message)]
    assert text.startswith(
        f"2 recordings far longer than the clips that this classifier learnt, which last {known:.3g} s at most"
    )
    assert "night.wav lasts 20 s" in text and "night.mp3 lasts 20" in text and "predict_windows" in text
    assert (table["status"] == "ok").all()
    with pytest.warns(UserWarning, match=r"1 recording far longer .* \(samples 0 lasts 10 s\)"):
        clf.predict((tone(10), SR), progress=False)
    with pytest.warns(UserWarning, match="1 recording far longer"):
        clf.predict((sounds / "night.wav").read_bytes(), progress=False)


def test_recordings_like_those_of_training_are_not(clf, sounds, tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        clf.predict(sounds / "clips", progress=False)
        clf.predict([(tone(1), SR), tmp_path / "broken.wav", tmp_path / "none.wav"], progress=False)


def test_clips_cut_to_a_duration_are_as_long_as_their_recordings(sounds):
    cut = loaders(sounds, audio=Audio(duration=0.1))
    assert longest_clip(cut) in (0.5, 0.6) and learnt_seconds(cut.input, {}) == 0.1
    assert learnt_seconds(cut.input, {"longest_clip": 3}) == 3
    waves = WaveDataLoaders.from_folder(sounds / "clips", audio=Audio(sr=SR, duration=0.2), bs=4)
    assert longest_clip(waves) in (0.5, 0.6) and learnt_seconds(waves.input, {}) == 0.2
    crops = loaders(sounds, method="crop", seconds=0.2, windows=2)
    assert learnt_seconds(crops.input, {}) == 0.4 and learnt_seconds(loaders(sounds).input, {}) is None


def test_what_has_no_length(sounds):
    assert about_seconds(sounds / "night.wav") is None and about_seconds(str(sounds / "night.wav")) == 20
    assert about_seconds(str(sounds / "none.wav")) is None
    assert abs(about_seconds(str(sounds / "night.mp3")) - 20) < 0.5
