"""Labelled soundscapes in the layout of birdclef-2026: folder, cross-validation, post-processing chosen out of fold, submission, classifier."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from scapes import scape_run

import specimg as sp
from specimg.experiments import choose_post_processing
from specimg.inference import PostProcessing, RecordingScale, scale_by_best


@pytest.fixture(scope="module")
def scapes(tmp_path_factory):
    return scape_run(tmp_path_factory.mktemp("scapes"))


@pytest.fixture
def copied(scapes, tmp_path):
    """The run in a folder of the test's own, with scaling by the recording's best windows in place of what chance chose."""
    comp, run, _ = scapes
    run = sp.Run.open(shutil.copytree(run.folder, tmp_path / "run"))
    choose_post_processing(run, [])
    file = run.folder / "post_processing.json"
    about = json.loads(file.read_text())
    about["chosen"] = PostProcessing([RecordingScale()], (0.5,) * 4, 9).to_dict()
    file.write_text(json.dumps(about))
    return comp, sp.Run.open(run.folder)


def test_every_step_is_scored_out_of_fold_and_the_verdict_is_kept(scapes):
    comp, run, said = scapes
    about = json.loads((run.folder / "post_processing.json").read_text())
    assert about["metric"] == "macro_auc" and [row[0] for row in about["scores"]][:2] == ["none", "RecordingScale()"]
    assert {row[5] for row in about["scores"][1:]} <= {"better", "worse", "not significant", ""}
    assert "chosen out of fold, on 9 windows: nothing: 2 groups or recordings are too few, 5 are needed" in said
    assert run.has_chosen and run.post_processing.steps == PostProcessing.from_dict(about["chosen"]).steps == ()


def test_the_submission_applies_what_was_chosen_and_is_accepted(copied, tmp_path):
    comp, run = copied
    scaled = run.submission(tmp_path / "scaled.csv")
    plain = run.submission(tmp_path / "plain.csv", post_processing=PostProcessing())
    assert "accepted" in sp.check_submission(tmp_path / "scaled.csv", comp)
    names = plain["row_id"].str.rsplit("_", n=1).str[0]
    expected = scale_by_best(plain[list(comp.vocab)].to_numpy(), names)
    assert scaled[list(comp.vocab)].to_numpy() == pytest.approx(expected, abs=1e-6)
    again = run.predict_test(comp, tmp_path / "cache", n_jobs=1, progress=False).submission(tmp_path / "again.csv")
    assert again[list(comp.vocab)].to_numpy() == pytest.approx(expected, abs=1e-5)


def test_the_classifier_applies_it_to_windows(copied, tmp_path):
    comp, run = copied
    clf = sp.load_classifier(sp.save_classifier(run, tmp_path / "clf", golden=0))
    assert clf.post_processing == run.post_processing and clf.post_processing.thresholds == (0.5,) * 4
    assert "by `recordingscale`, chosen out of fold on 9 windows" in (tmp_path / "clf/README.md").read_text()
    night = comp.folder / comp.test["path"].iloc[0]
    plain = clf.predict_windows(night, 1, post_processing=PostProcessing())
    found = clf.predict_windows(night, 1)
    columns = [f"p_{label}" for label in comp.vocab]
    assert (found[columns].to_numpy() < plain[columns].to_numpy()).mean() > 0.5
    assert pd.Series(found["probability"]).notna().all() and len(found) == 15


def test_what_was_chosen_with_other_networks_is_not_applied(copied):
    comp, run = copied
    file = run.folder / "post_processing.json"
    about = json.loads(file.read_text())
    file.write_text(json.dumps({**about, "of": {"seed0-fold0": "0"}}))
    with pytest.warns(UserWarning, match="was chosen with other networks .* choose_post_processing"):
        assert sp.Run.open(run.folder).post_processing == PostProcessing()
    assert not sp.Run.open(run.folder).has_chosen
    file.write_text("[]")
    with pytest.raises(ValueError, match="cannot be read .*remove it, or choose_post_processing"):
        sp.Run.open(run.folder).post_processing
    assert np.isfinite(run.score)
