"""Which steps help is said by held-out windows: those that do are chosen, those that hurt are called worse, chance is called chance."""

import numpy as np
import pandas as pd
import pytest

from specimg.competitions import ClassColumns
from specimg.experiments.post_processing import (
    default_candidates,
    post_processed,
    score_post_processing,
    soundscape_windows,
)
from specimg.experiments.task import Task
from specimg.inference import ClassTemperature, RecordingScale, Smoothing
from specimg.training import Predictions

VOCAB = ["owl", "wren", "fox"]


def windows(seed=0, recordings=40, per=6, rare=0.4, noise=1.2):
    """Labelled windows: a label is in a recording or not, and then in most of its windows; networks see each window by itself."""
    rng = np.random.default_rng(seed)
    rows, probs = [], []
    for recording in range(recordings):
        here = rng.random(len(VOCAB)) < rare
        for i in range(per):
            heard = here & (rng.random(len(VOCAB)) < 0.8)
            rows.append(
                {
                    "path": f"r{recording}.wav",
                    "start": 5.0 * i,
                    "end": 5.0 * i + 5,
                    "target": [label for label, yes in zip(VOCAB, heard) if yes],
                    "fold": recording % 4,
                }
            )
            probs.append(1 / (1 + np.exp(-(2 * heard - 1 + noise * rng.standard_normal(len(VOCAB))))))
    return Predictions(pd.DataFrame(rows), probs, VOCAB, is_multi=True)


@pytest.fixture(scope="module")
def task():
    rows = pd.DataFrame({"id": [], "path": []})
    return Task("owls", "macro_auc", ClassColumns(), tuple(VOCAB), True, "", False, rows)


def test_what_helps_is_chosen_and_what_does_not_is_not(task):
    found = score_post_processing(task, windows(), [RecordingScale(), ClassTemperature()])
    assert found.chosen.steps == (RecordingScale(),) and len(found.chosen.thresholds) == 3
    table = found.table.set_index("steps")
    assert table.loc["RecordingScale()", "verdict"] == "better"
    assert table.loc["RecordingScale()", "score"] > table.loc["none", "score"] + 0.01
    assert table.loc["ClassTemperature()", "verdict"] != "better"  # it changes the order of no class's windows
    assert "chosen out of fold, on 240 windows: RecordingScale()" in str(found)


def test_a_step_that_hurts_is_called_worse_and_nothing_is_chosen(task):
    alternating = windows(noise=0.5)
    hot = alternating.hot.copy()
    hot[::2] = True
    hot[1::2] = False  # every neighbour says the contrary
    probs = np.where(hot, 0.7, 0.3) + 0.2 * np.random.default_rng(1).standard_normal(hot.shape)
    targets = pd.Series([[label for label, yes in zip(VOCAB, row) if yes] for row in hot], dtype=object)
    given = Predictions(alternating.table.assign(target=targets), np.clip(probs, 0, 1), VOCAB, is_multi=True)
    found = score_post_processing(task, given, [Smoothing.mean(3)])
    assert found.table["verdict"].tolist() == ["", "worse"] and not found.chosen.steps
    assert "none is better than nothing" in str(found)


def test_what_learns_is_fitted_on_the_other_folds():
    given = windows()
    after = post_processed(given, [ClassTemperature()])
    here = (given.table["fold"] == 2).to_numpy()
    step = ClassTemperature().fitted(given.probs[~here], given.hot[~here])
    expected = step.apply(given.probs[here], np.zeros(here.sum()), np.zeros((here.sum(), 2)))
    assert after.probs[here] == pytest.approx(expected, abs=1e-6)
    one = given.subset(here)
    with pytest.raises(ValueError, match="two folds or more"):
        post_processed(one, [ClassTemperature()])


def test_a_single_fold_scores_what_does_not_learn(task):
    given = windows(recordings=12)
    given = given.subset((given.table["fold"] == 2).to_numpy())
    with pytest.warns(UserWarning, match="all labelled windows are of one fold"):
        found = score_post_processing(task, given)
    assert not found.table["steps"].str.contains("Temperature").any() and len(found.table) == len(default_candidates(5))


def test_clips_and_single_windows_are_no_soundscapes(task):
    given = windows(recordings=4)
    table = given.table.copy()
    table.loc[:7, "start"] = np.nan  # r0 are clips, of r1 four windows are left
    table.loc[table["path"] == "r2.wav", "path"] = [f"s{i}.wav" for i in range(6)]
    mixed = Predictions(table, given.probs, VOCAB, is_multi=True)
    assert soundscape_windows(mixed).table["path"].value_counts().to_dict() == {"r1.wav": 4, "r3.wav": 6}
    assert score_post_processing(task, mixed.subset(table["path"] == "r0.wav")) is None


def test_steps_are_added_while_they_help(task):
    given = windows(noise=2.5, recordings=60)
    found = score_post_processing(task, given, [Smoothing.mean(3), RecordingScale()])
    assert len(found.chosen.steps) == 2
    last = found.table.iloc[-1]
    assert " then " in last["steps"] and last["score"] > found.table["score"].iloc[:-1].max()
