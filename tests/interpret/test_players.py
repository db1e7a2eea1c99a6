"""Listening to the worst mistakes in a notebook."""

import base64
import io
import re

import pytest
import soundfile as sf
from miniatures.predicted import make_predictions

from specimg.interpret import SpecInterpretation

pytest.importorskip("IPython")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def interp(folder):
    return SpecInterpretation(make_predictions(folder, n=12, vocab=("<b>cat</b>", "dog", "owl")))


def sounds(html):
    return [io.BytesIO(base64.b64decode(data)) for data in re.findall(r"data:audio/ogg;base64,([^\"]+)", html)]


def test_each_of_the_worst_clips_has_its_picture_and_the_sound_that_was_drawn(interp, folder):
    html, worst = interp.listen(3).data, interp.top_losses(3)
    assert html.count("<img") == html.count("<audio") == 3
    for sound, path in zip(sounds(html), worst["path"], strict=True):
        drawn = sf.info(folder / "audio" / path)
        assert sf.info(sound).duration == pytest.approx(drawn.duration, abs=1e-3)


def test_the_picture_is_described_in_words_and_markup_stays_text(interp):
    html = interp.listen(12).data
    assert 'alt="predicted ' in html and "&lt;b&gt;cat&lt;/b&gt;" in html and "<b>" not in html


def test_a_clip_without_a_recording_says_why(interp, folder, tmp_path):
    html = interp.listen(2, audio=tmp_path).data
    assert html.count("<img") == 2 and "<audio" not in html
    assert html.count("No sound. The recording is not where it was; name its folder with audio=.") == 2


def test_saved_predictions_open_no_file_outside_the_folder_of_the_recordings(folder, tmp_path):
    sf.write(tmp_path / "secret.wav", [0.0] * 800, 8000)
    predictions = make_predictions(folder, n=12)
    predictions.table["path"] = str(tmp_path / "secret.wav")
    html = SpecInterpretation(predictions).listen(2).data
    assert "<audio" not in html and html.count("names a recording outside their folder") == 2
