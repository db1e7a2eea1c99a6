"""What a classifier answers about one recording, before any page shows it."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
from bundles import SR, make_sounds, train

from specimg.audio import Audio
from specimg.core.offscreen import offscreen
from specimg.data import WaveDataLoaders
from specimg.datasets import sine
from specimg.inference import Calibration, load_classifier, save_classifier
from specimg.reports.answers import answer, as_image, clip_seconds
from specimg.training.learner import spec_learner


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    return make_sounds(tmp_path_factory.mktemp("sounds"))


@pytest.fixture(scope="module")
def clf(sounds):
    loaded = load_classifier(save_classifier(train(sounds), sounds.folder / "saved", golden=0))
    return replace(loaded, calibration=Calibration(thresholds=(0.1, 0.1, 0.1)))  # there are events


@pytest.fixture(scope="module")
def several(sounds):
    return load_classifier(
        save_classifier(train(sounds, label_col="both", label_delim=" "), sounds.folder / "several", golden=0)
    )


@pytest.fixture(autouse=True)
def _offscreen():
    with offscreen():
        yield


@pytest.fixture
def night(tmp_path):
    """3 s, of which the clips of training last 0.4 at most."""
    sf.write(tmp_path / "night.wav", np.concatenate([sine(hz, 1.0, SR) for hz in (400, 3000, 1200)]), SR)
    return tmp_path / "night.wav"


def test_a_clip_has_the_label_and_the_probabilities_of_predict(clf, sounds):
    told, row = answer(clf, sounds.files[0]), clf.predict(sounds.files[:1], progress=False).iloc[0]
    assert told.words == row["label"]
    assert told.probabilities == pytest.approx({label: row[f"p_{label}"] for label in clf.vocab})
    assert told.events is None and told.timeline is None


def test_the_picture_is_over_seconds_and_hertz_and_names_what_the_map_is_evidence_for(clf, sounds):
    told = answer(clf, sounds.files[0])
    [ax] = told.picture.axes
    assert ax.get_xlabel() == "seconds" and ax.get_ylabel() == "Hz"
    assert ax.get_title() == f"colour: evidence for {told.words}"
    assert len(ax.images) == 2


def test_below_the_threshold_the_label_is_unknown_and_the_probabilities_stay(clf, sounds):
    told = answer(clf, sounds.files[0], reject_below=1.0)
    assert told.words == "unknown (unsure: below 1)"
    assert told.probabilities == answer(clf, sounds.files[0]).probabilities


def test_a_recording_twice_as_long_as_a_clip_is_heard_window_by_window(clf, night):
    told = answer(clf, night)
    windows = clf.predict_windows(night, clip_seconds(clf)[0], overlap=clip_seconds(clf)[0] / 2, progress=False)
    best = windows.loc[windows["probability"].idxmax()]
    assert told.words.startswith(f"{best['label']}: the clearest window, from 0:00:0")
    assert told.probabilities[best["label"]] == pytest.approx(best["probability"])
    left, right = told.picture.axes[0].get_xlim()
    assert left == pytest.approx(best["start"], abs=0.05) and right == pytest.approx(best["end"], abs=0.05)
    assert set(told.events["path"]) == {"night.wav"} and told.timeline is not None


def test_the_threshold_also_decides_which_events_there_are(clf, night):
    some, none = answer(clf, night, reject_below=0.0), answer(clf, night, reject_below=1.0)
    assert len(some.events) > len(none.events)
    assert none.words.startswith("unknown (unsure: below 1): the clearest window")


def test_too_long_a_recording_is_refused_with_both_lengths(clf, night):
    assert answer(clf, night, most_seconds=2.5).words == (
        "no label: the recording lasts 0:00:03, and at most 0:00:02.5 are taken here; cut it"
    )


@pytest.mark.parametrize(
    "content, reason", [(b"", "no label: "), (b"no sound at all" * 9, "no label: is not a recording")]
)
def test_a_file_that_is_no_recording_is_answered_with_the_reason(clf, tmp_path, content, reason):
    (tmp_path / "x.wav").write_bytes(content)
    told = answer(clf, tmp_path / "x.wav")
    assert told.words.startswith(reason) and str(tmp_path) not in told.words
    assert told.picture is None and told.probabilities == {}


def test_of_several_labels_all_above_their_thresholds_are_said_or_that_there_are_none(several, sounds):
    sure = answer(several, sounds.files[0])
    assert sure.words in (several.predict(sounds.files[:1], progress=False)["label"][0], "none of the labels")
    assert set(sure.probabilities) == set(several.vocab)


def test_a_network_of_waveforms_shows_the_waveform(sounds):
    dls = WaveDataLoaders.from_df(sounds.table, sounds.folder, audio=Audio(sr=4000, duration=2.0), bs=4)
    learn = spec_learner(dls, "soundnet_cnn", pretrained=False, seed=0)
    clf = load_classifier(save_classifier(learn, sounds.folder / "waves", golden=0))
    told = answer(clf, sounds.files[0])
    assert told.words in clf.vocab and len(told.picture.axes[0].lines) > 0


def test_the_picture_for_the_page_has_no_ground(clf, sounds):
    image = as_image(answer(clf, sounds.files[0]).picture)
    assert image.mode == "RGBA" and image.getpixel((1, 1))[3] == 0
