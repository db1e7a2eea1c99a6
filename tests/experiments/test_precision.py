"""What fewer bits cost in score, on held-out clips."""

import numpy as np
import pytest
from scapes import scape_run

from specimg.experiments import Run, precision, precision_loss


@pytest.fixture(scope="module")
def scapes(tmp_path_factory):
    comp, run, _ = scape_run(tmp_path_factory.mktemp("scapes"))
    return comp, run


def test_eight_bits_and_float32_are_scored_on_the_same_held_out_clips(scapes):
    comp, run = scapes
    loss = precision_loss(run, comp, "int8", clips=10)
    assert loss.metric == run.task.metric and loss.difference.clips == 10
    assert loss.score - loss.exact == pytest.approx(loss.difference.value, abs=1e-9)
    assert loss.faster > 0
    assert f"{loss.score:.4f} against {loss.exact:.4f} in float32" in str(loss)


def test_float32_answers_as_the_run_did_out_of_fold(scapes, monkeypatch):
    comp, run = scapes
    kept, answers = [], precision._answers

    def noted(part, folder, network):
        found, seconds = answers(part, folder, network)
        kept.append((network.precision, part, found))
        return found, seconds

    monkeypatch.setattr(precision, "_answers", noted)
    precision_loss(run, comp, "int8", clips=6)
    assert [name for name, *_ in kept] == ["float32", "int8"] * 2
    _, before, again = kept[0]
    assert again.probs == pytest.approx(before.probs, abs=2e-3)  # pictures are drawn anew, and cropped as then
    assert abs(kept[1][2].probs - before.probs).max() > 0
    assert not np.array_equal(kept[1][2].probs, again.probs)


def test_a_network_does_not_answer_clips_that_calibrate_it(scapes, monkeypatch):
    comp, run = scapes
    jobs, lower = [], precision.lower_precision
    monkeypatch.setattr(
        precision, "lower_precision", lambda exact, name, sample: jobs.append(sample) or lower(exact, name, sample)
    )
    scored, answers = [], precision._answers
    monkeypatch.setattr(precision, "_answers", lambda part, *rest: scored.append(part) or answers(part, *rest))
    precision_loss(run, comp, "int8", clips=6)
    for sample, part in zip(jobs, scored[::2]):
        spans = {(job.path, *job.spans[0]) for job in sample}
        assert not spans & {(job.path, *job.spans[0]) for job in precision._jobs(part.table, comp.folder)}


def test_what_cannot_be_compared_is_refused(scapes):
    comp, run = scapes
    with pytest.raises(ValueError, match="compare another precision than float32"):
        precision_loss(run, comp, "float32")
    with pytest.raises(ValueError, match="float16"):
        precision_loss(Run.open(run.folder), comp, "float16")
