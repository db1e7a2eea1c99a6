"""What the windows of one recording tell of each other: scaling, smoothing, short events, temperatures; as functions, values and in a folder."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from bundles import SR, make_sounds, probabilities, train

import specimg as sp
from specimg.inference import (
    Calibration,
    ClassTemperature,
    MinSeconds,
    PostProcessing,
    RecordingScale,
    Smoothing,
    fit_class_temperatures,
    lower_short_events,
    save,
    scale_by_best,
    smooth_windows,
)

NAMES = np.array(["a"] * 4 + ["b"] * 3)
TIMES = np.array([[5.0 * i, 5.0 * i + 5] for i in [*range(4), *range(3)]])
PROBS = np.array([[0.9, 0.2], [0.1, 0.2], [0.7, 0.0], [0.2, 0.4], [0.1, 0.8], [0.1, 0.1], [0.05, 0.9]])


def test_scaling_takes_the_mean_of_the_two_best_windows_of_the_same_recording():
    found = scale_by_best(PROBS, NAMES)
    assert found[:4, 0] == pytest.approx(PROBS[:4, 0] * 0.8)
    assert found[4:, 0] == pytest.approx(PROBS[4:, 0] * 0.1)
    assert found[4:, 1] == pytest.approx(PROBS[4:, 1] * 0.85)


def test_rank_aware_scaling_is_a_power_of_the_best_window():
    assert scale_by_best(PROBS, NAMES, best=1, power=0.5)[:4, 0] == pytest.approx(PROBS[:4, 0] * 0.9**0.5)
    assert scale_by_best(PROBS, NAMES, best=9)[4:, 0] == pytest.approx(PROBS[4:, 0] * PROBS[4:, 0].mean())


def test_smoothing_stays_within_a_recording_and_keeps_a_constant():
    found = smooth_windows(PROBS, NAMES)
    assert found[1, 0] == pytest.approx(0.075 * 0.9 + 0.85 * 0.1 + 0.075 * 0.7)
    assert found[3, 0] == pytest.approx(0.075 * 0.7 + 0.925 * 0.2)  # at the end the window stands in for the one after
    assert found[4, 0] == pytest.approx(0.1)
    assert smooth_windows(np.full((7, 2), 0.3), NAMES, (0.2,) * 5) == pytest.approx(0.3)


def test_a_window_that_could_not_be_read_stays_nan_and_moves_no_other():
    probs = PROBS.copy()
    probs[1] = np.nan
    for found in (scale_by_best(probs, NAMES), smooth_windows(probs, NAMES)):
        assert np.isnan(found[1]).all() and np.isfinite(np.delete(found, 1, axis=0)).all()
    assert scale_by_best(probs, NAMES)[0, 0] == pytest.approx(0.9 * 0.8)
    assert smooth_windows(probs, NAMES)[0, 0] == pytest.approx(0.9)


def test_short_events_are_lowered_and_long_ones_stay():
    probs = np.array([[0.9], [0.1], [0.8], [0.4], [0.7], [0.1], [0.1]])
    found = lower_short_events(probs, NAMES, TIMES, seconds=10)
    assert found[:, 0] == pytest.approx([0.3, 0.1, 0.8, 0.4, 0.3, 0.1, 0.1])  # 0.4 is above the release of 0.3
    assert lower_short_events(probs, NAMES, TIMES, seconds=5) == pytest.approx(probs)


def test_an_event_does_not_last_over_a_gap():
    times = TIMES + np.array([0, 0, 0, 60, 0, 0, 0])[:, None]
    probs = np.array([[0.1], [0.1], [0.8], [0.8], [0.1], [0.1], [0.1]])
    assert lower_short_events(probs, NAMES, times, seconds=10)[2:4, 0] == pytest.approx([0.3, 0.3])


def test_class_temperatures_are_each_class_own_where_it_has_windows_enough():
    right = np.arange(60) < 42
    probs = np.column_stack([np.full(60, 0.9), np.full(60, 0.02)])
    hot = np.column_stack([right, np.arange(60) == 0])
    own, pooled = fit_class_temperatures(probs, hot)
    assert own == pytest.approx(2.59, abs=0.02)
    assert pooled != pytest.approx(own, abs=0.05)  # one window is too few for its own


def test_steps_act_in_order_whatever_the_order_of_the_rows():
    windows = pd.DataFrame({"path": NAMES, "start": TIMES[:, 0], "end": TIMES[:, 1]})
    both = PostProcessing([RecordingScale(), Smoothing()])
    expected = smooth_windows(scale_by_best(PROBS, NAMES), NAMES)
    assert both.of(windows, PROBS) == pytest.approx(expected)
    order = np.random.default_rng(0).permutation(len(NAMES))
    assert both.of(windows.iloc[order], PROBS[order]) == pytest.approx(expected[order])
    other = PostProcessing([Smoothing(), RecordingScale()]).of(windows, PROBS)
    assert not np.allclose(other, expected)


def test_whole_clips_are_left_alone():
    windows = pd.DataFrame({"path": NAMES, "start": TIMES[:, 0], "end": TIMES[:, 1]})
    windows.loc[4:, ["start", "end"]] = np.nan
    found = PostProcessing([RecordingScale()]).of(windows, PROBS)
    assert (found[4:] == PROBS[4:]).all() and (found[:4] != PROBS[:4]).any()
    assert (PostProcessing([RecordingScale()]).of(windows[["path"]], PROBS) == PROBS).all()


def test_the_table_keeps_its_other_columns():
    table = pd.DataFrame({"path": NAMES, "start": TIMES[:, 0], "end": TIMES[:, 1], "status": "ok"})
    table[["p_x", "p_y"]] = PROBS
    table.attrs["vocab"] = ["x", "y"]
    found = PostProcessing([RecordingScale()])(table)
    assert list(found) == list(table) and found.attrs == table.attrs
    assert found[["p_x", "p_y"]].to_numpy() == pytest.approx(scale_by_best(PROBS, NAMES))


def test_values_travel():
    everything = PostProcessing(
        [RecordingScale(1, 0.5), Smoothing.mean(5), MinSeconds(10), ClassTemperature((1.5, 2))], (0.3, 0.4), 20
    )
    assert PostProcessing.from_json(everything.to_json()) == everything
    assert PostProcessing.from_toml(everything.to_toml()) == everything


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Smoothing((0.5, 0.5)), "odd number of weights"),
        (lambda: Smoothing((0.5, 0.5, 0.5)), "sum to 1"),
        (lambda: RecordingScale(best=0), "1 to 1000"),
        (lambda: RecordingScale(power=0), "above 0"),
        (lambda: MinSeconds(0), "above 0"),
        (lambda: ClassTemperature((0.1,)), "0.25 to 20"),
        (lambda: PostProcessing(thresholds=(2,)), "probabilities"),
        (lambda: PostProcessing.from_dict({"steps": [{"kind": "smoothig"}]}), "did you mean 'smoothing'"),
    ],
)
def test_what_is_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_temperatures_of_other_classes_are_refused():
    with pytest.raises(ValueError, match="3 temperatures and there are 2 classes"):
        ClassTemperature((1.0, 1.0, 1.0)).apply(PROBS, NAMES, TIMES)
    with pytest.raises(ValueError, match="0 temperatures and there are 2 classes; fit it"):
        ClassTemperature().apply(PROBS, NAMES, TIMES)


# ---------------------------------------------------------------------- in a classifier


@pytest.fixture(scope="module")
def clf(tmp_path_factory):
    """A classifier of several labels with post-processing, as it comes back from its folder; and a recording of six seconds."""
    folder = tmp_path_factory.mktemp("windows")
    learn = train(make_sounds(folder), label_col="both", label_delim=" ")
    given = save._classifier_of(learn)
    given = replace(given, calibration=Calibration(temperature=2.0), post_processing=PostProcessing([RecordingScale()]))
    sp.save_classifier(given, folder / "kept", golden=0)
    sf.write(folder / "night.wav", np.random.default_rng(0).standard_normal(6 * SR) * np.linspace(0, 0.3, 6 * SR), SR)
    return sp.load_classifier(folder / "kept"), folder / "night.wav"


def test_a_classifier_keeps_its_post_processing_and_applies_it_to_windows(clf):
    clf, night = clf
    assert clf.post_processing == PostProcessing([RecordingScale()])
    plain = replace(clf, calibration=Calibration()).predict_windows(night, 1, post_processing=PostProcessing())
    found = clf.predict_windows(night, 1)
    expected = scale_by_best(probabilities(plain), plain["path"])  # of probabilities at temperature 1
    assert probabilities(found) == pytest.approx(expected, abs=1e-6) and (expected < probabilities(plain)).all()
    assert found["probability"].to_numpy() == pytest.approx(expected.max(axis=1), abs=1e-6)


def test_nothing_is_done_on_request_nor_to_clips(clf):
    clf, night = clf
    bare = replace(clf, post_processing=PostProcessing())
    assert clf.predict_windows(night, 1, post_processing=PostProcessing()).equals(bare.predict_windows(night, 1))
    assert clf.predict(night).equals(bare.predict(night))


def test_labels_are_decided_by_the_thresholds_of_the_steps(clf):
    clf, night = clf
    given = PostProcessing([RecordingScale()], (1.0,) * (len(clf.vocab) - 1) + (0.0,))
    assert set(clf.predict_windows(night, 1, post_processing=given)["label"]) == {clf.vocab[-1]}


def test_post_processing_of_other_labels_is_refused(clf, tmp_path):
    clf, _ = clf
    for steps, name in [([ClassTemperature((1.0, 2.0))], "temperatures"), ([], "thresholds")]:
        given = PostProcessing(steps or [Smoothing()], () if steps else (0.5, 0.5))
        with pytest.raises(ValueError, match=f"post_processing.{name} is .*2 numbers.*one for each of 5 labels"):
            sp.save_classifier(replace(clf, post_processing=given), tmp_path / "x", golden=0)
