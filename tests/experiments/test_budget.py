"""A submission in a given time: how many networks, what stands in the file at every moment, and what is said of what went wrong."""

import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from concurrent.futures import Executor, Future

import numpy as np
import pandas as pd
import pytest
from scapes import scape_run

import specimg as sp
from specimg.cli import main
from specimg.experiments import Pace, budget, estimate_seconds, largest_part, submit_within
from specimg.experiments.budget_workers import Exported, Job, answer_recording, export_network
from specimg.inference import PostProcessing, RecordingScale, scale_by_best
from specimg.inference.export import runtime

PACE = Pace(draw=0.02, network=0.04, export=10.0, workers=4)


# ---------------------------------------------------------------------- the decision


def test_an_estimate_counts_drawing_once_and_each_network():
    assert estimate_seconds(1, 1000, PACE, longest=0) == pytest.approx(1.25 * 1000 * 0.06 / 4)
    assert estimate_seconds(10, 1000, PACE, longest=0) == pytest.approx(1.25 * 1000 * 0.42 / 4)


def test_an_estimate_counts_exporting_in_rounds_and_waiting_for_the_longest_recording():
    base = estimate_seconds(5, 1000, PACE, longest=0)
    assert estimate_seconds(5, 1000, PACE, longest=0, to_export=4) == pytest.approx(base + 1.25 * 10)
    assert estimate_seconds(5, 1000, PACE, longest=0, to_export=5) == pytest.approx(base + 1.25 * 20)
    assert estimate_seconds(5, 1000, PACE, longest=100) == pytest.approx(base + 1.25 * 100 * 0.22)
    alone = PACE.replace(workers=1)
    assert estimate_seconds(5, 1000, alone, longest=100) == estimate_seconds(5, 1000, alone, longest=0)


@pytest.mark.parametrize("networks", [1, 3, 10])
@pytest.mark.parametrize("seconds", [1, 100, 300, 900, 5400])
def test_the_largest_part_fits_and_one_more_does_not(networks, seconds):
    n = largest_part(seconds, networks, 8400, PACE, longest=12, exported=1)

    def takes(k):
        return estimate_seconds(k, 8400, PACE, longest=12, to_export=k - 1)

    assert n == 0 or takes(n) <= seconds
    assert n == networks or takes(n + 1) > seconds


def test_nothing_fits_in_no_time_and_all_in_ninety_minutes():
    assert largest_part(30, 10, 8400, PACE) == 0
    assert largest_part(90 * 60, 10, 8400, PACE) == 10


def test_a_pace_is_checked():
    with pytest.raises(ValueError, match="0 or more"):
        Pace(draw=-1, network=1)
    with pytest.raises(ValueError, match="1 or more"):
        Pace(draw=1, network=1, workers=0)


# ---------------------------------------------------------------------- a run


class Inline(Executor):
    """A pool that works at once, in this process; `before` is called before each recording."""

    def __init__(self, before=lambda job: None):
        self.before = before

    def submit(self, work, *args):
        future = Future()
        if work is answer_recording:
            self.before(args[0])
        future.set_result(work(*args))
        return future


@pytest.fixture(scope="module")
def scapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scapes")
    comp, run, _ = scape_run(folder)
    for i, one in enumerate(run.fold_runs):
        export_network(one.folder / "classifier", folder / "onnx" / f"{i}.onnx", run.config.tta)
    return comp, run, folder / "onnx"


@pytest.fixture
def given(scapes, tmp_path, monkeypatch):
    """(competition in a folder of the test's own, options of submit_within, the lines of the log)."""
    comp, run, onnx = scapes
    folder, said = shutil.copytree(comp.folder, tmp_path / "data"), []
    monkeypatch.setattr(budget, "start_pool", lambda workers: Inline())
    options = dict(out=tmp_path / "s.csv", workers=1, onnx=onnx, log=said.append, post_processing=PostProcessing())
    return folder, options, said


def opened(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sp.Competition.open("birdclef-2026", folder)


def numbers(comp, file):
    return pd.read_csv(file)[list(comp.vocab)].to_numpy()


def test_the_submission_is_that_of_predict_test(scapes, given, tmp_path):
    (comp, run, _), (folder, options, said) = scapes, given
    report = submit_within(run, opened(folder), 3600, **options)
    plain = run.predict_test(comp, tmp_path / "cache", 1, False).submission(
        tmp_path / "p.csv", post_processing=PostProcessing()
    )
    assert numbers(comp, options["out"]) == pytest.approx(plain[list(comp.vocab)].to_numpy(), abs=1e-4)
    assert "accepted" in sp.check_submission(options["out"], comp)
    assert (report.networks, report.planned, report.with_prior, report.fewer) == (2, 2, 0, 0)
    assert report.reason.startswith("all 2 networks, which surely end in") and report.reason in said


def test_post_processing_is_applied_to_each_recording(scapes, given):
    (comp, run, _), (folder, options, _) = scapes, given
    submit_within(run, opened(folder), 3600, **options)
    plain, names = numbers(comp, options["out"]), [path for path in comp.test["path"]]
    submit_within(run, opened(folder), 3600, **{**options, "post_processing": PostProcessing([RecordingScale()])})
    assert numbers(comp, options["out"]) == pytest.approx(scale_by_best(plain, names), abs=1e-6)


def test_a_kill_leaves_answers_and_priors(scapes, given, monkeypatch):
    (comp, run, _), (folder, options, _) = scapes, given
    seen = []

    def before(job):
        seen.append(job.path)
        if len(seen) == 4:  # two measured the first recording, one answered it
            raise KeyboardInterrupt

    monkeypatch.setattr(budget, "start_pool", lambda workers: Inline(before))
    monkeypatch.setattr(budget, "WRITE_EVERY", 0.0)
    monkeypatch.setattr(budget._Submission, "answer", one_by_one)
    with pytest.raises(KeyboardInterrupt):
        submit_within(run, opened(folder), 3600, **options)
    assert "accepted" in sp.check_submission(options["out"], comp)
    found = numbers(comp, options["out"])
    assert found[3:] == pytest.approx(np.tile(run.prior, (3, 1)), abs=1e-6)
    assert not np.isclose(found[:3], run.prior, atol=1e-4).all(axis=1).any()


def one_by_one(self, pool, recordings, n, pace, log):
    for one in recordings:
        self.take(one, pool.submit(answer_recording, one.job(tuple(self.ready[:n]))).result())


def test_the_file_is_valid_before_anything_is_measured(scapes, given, monkeypatch):
    (comp, run, _), (folder, options, _) = scapes, given

    def no_pool(workers):
        assert "accepted" in sp.check_submission(options["out"], comp)
        assert numbers(comp, options["out"]) == pytest.approx(np.tile(run.prior, (6, 1)), abs=1e-6)
        raise MemoryError

    monkeypatch.setattr(budget, "start_pool", no_pool)
    with pytest.raises(MemoryError):
        submit_within(run, opened(folder), 3600, **options)


def test_a_budget_too_small_for_one_network(scapes, given, monkeypatch):
    (comp, run, _), (folder, options, _) = scapes, given
    slow = Pace(draw=1.0, network=2.0, workers=1)
    monkeypatch.setattr(budget._Submission, "measure", lambda self, *_: slow)
    with pytest.raises(
        ValueError,
        match=r"a budget of 20 s is too small for one network: 6 windows on 1 core need \d\d s .*class prior in every row",
    ):
        submit_within(run, opened(folder), 20, **options)
    assert numbers(comp, options["out"]) == pytest.approx(np.tile(run.prior, (6, 1)), abs=1e-6)


def test_a_part_of_the_networks_with_the_reason(scapes, given, monkeypatch):
    (_, run, _), (folder, options, said) = scapes, given
    slow = Pace(draw=1.0, network=2.0, workers=1)
    monkeypatch.setattr(budget._Submission, "measure", lambda self, *_: slow)
    report = submit_within(run, opened(folder), 35, **options)
    assert (report.networks, report.planned) == (1, 2)
    assert any(
        "1 of 2 networks, which surely ends in 22 s; 2 would take 38 s (a window is drawn in 1000.0 ms" in line
        for line in said
    )


def test_a_machine_that_gets_slower_costs_networks(scapes, given, monkeypatch):
    (_, run, _), (folder, options, said) = scapes, given
    monkeypatch.setattr(budget._Submission, "measure", lambda self, *_: Pace(draw=1e-5, network=1e-5, workers=1))

    def slow(job):
        answer = answer_recording(job)
        answer.draw, answer.network = 9.0, 9.0 * len(job.networks)
        return answer

    class Slow(Inline):
        def submit(self, work, *args):
            return super().submit(slow if work is answer_recording else work, *args)

    for name in ("BC2026_Test_0003_S05_20250227_010002", "BC2026_Test_0004_S05_20250227_010002"):
        shutil.copy(
            folder / "test_soundscapes/BC2026_Test_0001_S05_20250227_010002.ogg",
            folder / f"test_soundscapes/{name}.ogg",
        )
    monkeypatch.setattr(budget, "start_pool", lambda workers: Slow())
    report = submit_within(run, opened(folder), 30, **options)
    assert any("slower than measured: 2 networks would not end in time" in line for line in said)
    assert report.fewer > 0 and report.with_prior == 0 and "answered by fewer networks" in str(report)


def test_recordings_that_cannot_be_read_are_counted_rows(scapes, given):
    (comp, run, _), (folder, options, _) = scapes, given
    whole = opened(folder)
    first = folder / whole.test["path"].iloc[0]
    first.write_bytes(b"no audio at all")
    report = submit_within(run, whole, 3600, **options)
    assert (
        report.with_prior == 3
        and "3 of 6 rows have the class prior" in str(report)
        and "Test_0001" in report.failures[0]
    )
    found = numbers(comp, options["out"])
    assert found[:3] == pytest.approx(np.tile(run.prior, (3, 1)), abs=1e-6)
    assert not np.isclose(found[3:], run.prior, atol=1e-4).all(axis=1).any()


def test_a_recording_that_breaks_off_is_counted(scapes, given):
    (_, run, _), (folder, options, _) = scapes, given
    whole = opened(folder)
    first = folder / whole.test["path"].iloc[0]
    data = first.read_bytes()
    first.write_bytes(data[: len(data) // 2])
    report = submit_within(run, whole, 3600, **options)
    assert "accepted" in sp.check_submission(options["out"], whole)
    assert report.with_prior == 3 and "damaged" in report.failures[0]


def test_windows_that_can_be_read_are_answered_where_others_cannot(scapes):
    comp, run, onnx = scapes
    clf = sp.load_classifier(run.fold_runs[0].folder / "classifier")
    network = Exported(str(onnx / "0.onnx"), clf.input.to_dict(), True, 0.0)
    job = Job(str(comp.folder / comp.test["path"].iloc[0]), ((0.0, 5.0), (100.0, 105.0)), (network,))
    answer = answer_recording(job)
    assert np.isfinite(answer.probs[0]).all() and np.isnan(answer.probs[1]).all()
    assert list(answer.reasons) == [1] and answer.draw > 0 and answer.network > 0


def test_what_cannot_be_submitted_is_refused(scapes, given, monkeypatch):
    (comp, run, _), (folder, options, _) = scapes, given
    with pytest.raises(ValueError, match="a budget of 0 s"):
        submit_within(run, comp, 0, **options)
    with pytest.raises(ValueError, match="workers=0"):
        submit_within(run, comp, 60, **{**options, "workers": 0})
    with pytest.raises(ValueError, match="unknown runtime 'tensorrt'"):
        submit_within(run, comp, 60, **{**options, "runtime": "tensorrt"})
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="openvino is not installed: pip install openvino"):
        submit_within(run, comp, 60, **{**options, "runtime": "openvino"})
    monkeypatch.undo()
    monkeypatch.setattr(budget, "start_pool", lambda workers: Inline())
    whole = opened(folder)
    for path in set(whole.test["path"]):
        (folder / path).unlink()
    with pytest.raises(ValueError, match="none of 2 recordings of the rows is in"):
        submit_within(run, whole, 60, **options)


def test_several_windows_of_a_picture_are_averaged_as_the_network_does(scapes):
    comp, run, onnx = scapes
    clf = sp.load_classifier(run.fold_runs[0].folder / "classifier")
    given = clf.input
    assert given.to_tensor(given.renderer.png(str(comp.folder / comp.test["path"].iloc[0]), start=0, end=5)).ndim == 4
    network = Exported(str(onnx / "0.onnx"), given.to_dict(), True, 0.0)
    job = Job(str(comp.folder / comp.test["path"].iloc[0]), ((0.0, 5.0), (5.0, 10.0)), (network,))
    pictures = [given.to_tensor(given.renderer.png(job.path, start=start, end=end)) for start, end in job.spans]
    expected = np.stack([clf.probabilities(x[None])[0] for x in pictures])
    assert answer_recording(job).probs == pytest.approx(expected, abs=1e-5)


# ---------------------------------------------------------------------- the command


@pytest.mark.slow
def test_the_command_with_workers(scapes, tmp_path, capsys):
    comp, run, onnx = scapes
    out = tmp_path / "s.csv"
    main(
        [
            "submit",
            str(run.folder),
            "--budget",
            "10m",
            "--workers",
            "2",
            "--out",
            str(out),
            "--competition",
            str(comp.folder),
        ]
    )
    said = capsys.readouterr().out
    assert "accepted" in sp.check_submission(out, comp) and "all 2 networks" in said and "rows a minute" in said


@pytest.mark.slow
def test_a_killed_command_leaves_a_valid_submission(scapes, tmp_path):
    comp, run, onnx = scapes
    folder = shutil.copytree(comp.folder, tmp_path / "data")
    first = folder / comp.test["path"].iloc[0]
    for i in range(400):
        shutil.copy(first, first.with_name(f"BC2026_Test_{i + 1000}_S05_20250227_010002.ogg"))
    out = tmp_path / "s.csv"
    words = ["submit", str(run.folder), "--budget", "10m", "--workers", "1", "--onnx", str(onnx), "--out", str(out)]
    command = [sys.executable, "-W", "ignore", "-m", "specimg.cli", *words, "--competition", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        priors = len(pd.read_csv(_when(lambda: out.is_file() and out)))
        _when(lambda: _answered(out, run.prior) > 0)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    n = _answered(out, run.prior)
    assert 0 < n < priors == 1206 and "accepted" in sp.check_submission(out, opened(folder))


def _answered(out, prior):
    return int((~np.isclose(pd.read_csv(out).iloc[:, 1:].to_numpy(), prior, atol=1e-5).all(axis=1)).sum())


def _when(found, seconds=120):
    """What `found` gives, once that is true."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := found():
            return answer
        time.sleep(0.05)
    raise AssertionError("not within two minutes")


@pytest.mark.parametrize("text", ["90", "0m", "90 minutes", "m"])
def test_a_budget_that_is_no_time(text, capsys):
    with pytest.raises(SystemExit):
        main(["submit", "runs/x", "--budget", text])
    assert "is no time: write 90m, 1.5h or 30s" in capsys.readouterr().err


# ---------------------------------------------------------------------- precision


def test_eight_bits_are_calibrated_on_the_test_recordings_and_what_they_change_is_said(scapes, given):
    (comp, run, _), (folder, options, said) = scapes, given
    submit_within(run, opened(folder), 3600, **options)
    exact = numbers(comp, options["out"])
    report = submit_within(run, opened(folder), 3600, precision="int8", **options)
    assert "accepted" in sp.check_submission(options["out"], comp)
    off = abs(numbers(comp, options["out"]) - exact)
    assert 0 < off.max() < 0.1
    assert report.precision.startswith("int8: probabilities are 0.0") and report.precision in "\n".join(said)
    assert "(2 networks, 3 windows of the test recordings each)" in report.precision
    assert (options["onnx"] / "0-int8.onnx").stat().st_size < (options["onnx"] / "0.onnx").stat().st_size


def test_float32_says_nothing_of_precision(scapes, given):
    (_, run, _), (folder, options, _) = scapes, given
    assert submit_within(run, opened(folder), 3600, **options).precision == ""


def test_a_precision_that_a_runtime_has_not(scapes, given):
    (comp, run, _), (_, options, _) = scapes, given
    with pytest.raises(ValueError, match="'float16' is not faster in onnxruntime on a CPU.*runtime='openvino'"):
        submit_within(run, comp, 60, precision="float16", **options)
    with pytest.raises(ValueError, match="unknown precision 'int4'"):
        submit_within(run, comp, 60, precision="int4", **options)


def test_openvino_in_sixteen_bits_and_in_eight(scapes, given):
    pytest.importorskip("openvino")
    (comp, run, _), (folder, options, _) = scapes, given
    submit_within(run, opened(folder), 3600, **options)
    exact = numbers(comp, options["out"])
    for precision in ("float16", "int8"):
        report = submit_within(run, opened(folder), 3600, runtime="openvino", precision=precision, **options)
        assert abs(numbers(comp, options["out"]) - exact).max() < 0.1
        assert report.precision.startswith(f"{precision}: probabilities are ")
