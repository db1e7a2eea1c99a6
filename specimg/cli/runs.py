"""`specimg fetch | cv | compare | submit | blend | check`: a competition, from its data to a submission.

specimg cv plan.toml --out runs/a          # cross-validation; the same call continues where it was stopped
specimg submit runs/a                      # submission.csv, checked
specimg blend runs/a runs/b --out submission.csv
"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

from ..core.hub import is_address
from ..core.text import count
from .classifier import check_folder
from .common import TRACK, add_command, add_settings, option, read_duration, read_settings, read_value


def _fetch(args) -> None:
    """Download, check and unpack a public data set; without a name, list them."""
    from ..datasets import fetch, find_dataset, list_datasets

    if args.name:
        print(fetch(args.name, args.folder, progress=sys.stderr.isatty()))
        return
    for data in map(find_dataset, list_datasets()):
        size = f"{data.download_size / 1e6:,.0f} MB; " if data.download_size else ""
        print(f"{data.name}\n    {data.about}\n    {size}{data.licence}")


# ---------------------------------------------------------------------- plans

_PLAN = """
a plan (what is left out takes its default; paths are relative to the working folder):
  out = "runs/first"
  arch = "resnet34"
  folds = 5

  [competition]
  slug = "freesound-audio-tagging"
  folder = "freesound"            # not needed on Kaggle

  # any other competition, or your own data, by hand:
  # slug = "my-birds"
  # folder = "birds"
  # metric = "log_loss"           # see specimg.metrics.list_metrics()
  # train = {csv = "train.csv", audio = "audio", fn_col = "id", label_col = "species", suffix = ".wav"}
  # test = {sample = "sample_submission.csv", audio = "test"}

  [renderer.representation]
  kind = "mel"
  n_mels = 128

  [recipe]
  epochs = 10
  freeze_epochs = 3

  [loaders]
  bs = 64
  size = [128, 256]
"""


def _put(plan: dict, name: str, value) -> None:
    """Set "recipe.epochs" in nested tables. ValueError if the name leads into what is not a table."""
    *tables, last = name.split(".")
    for table in tables:
        inner = plan.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ValueError(f"--set {name}=...: {table} is {inner!r}, which has no parts")
        plan = inner
    plan[last] = value


def _plan(path: str, settings: list[str]):
    """(RunConfig, the folder or None) that a plan file and --set describe."""
    from ..core.reading import read_toml
    from ..experiments import RunConfig

    plan = read_toml(path, none=True)
    out = plan.pop("out", None)
    if not isinstance(out, (str, type(None))):
        raise ValueError(f"{path!r}: out = {out!r} is not the name of a folder")
    try:
        whole = RunConfig.from_dict(plan).to_dict()
    except ValueError as exc:
        raise ValueError(f"{path!r} is not a plan: {exc}") from exc
    for name, value in read_settings(settings).items():
        _put(whole, name, value)
    return RunConfig.from_dict(whole), out


def _folder(args, out: str | None) -> str:
    """Where results go: --out, else the plan's own. ValueError without either."""
    folder = args.out or out
    if not folder:
        raise ValueError(f'no folder for the run: give --out, or write out = "runs/first" at the top of {args.plan!r}')
    return folder


# ---------------------------------------------------------------------- runs


def _cv(args) -> None:
    """Cross-validate on a competition by a plan, a TOML file; the same call continues where it was stopped."""
    from ..experiments import open_competition
    from ..experiments.cross_validation import run_cross_validation

    config, out = _plan(args.plan, args.set)
    out = _folder(args, out)
    comp, how = open_competition(config.competition), {"only": args.only, "n_jobs": args.jobs, "track": args.track}
    how["test"] = not args.no_test
    run = run_cross_validation(comp, config, out, **how)
    print(run.scores.to_string(index=False, float_format="{:.4f}".format, formatters={"seconds": "{:.0f}".format}))
    print(f"out of fold: {run.score}")


def _compare(args) -> None:
    """Show a comparison that `specimg.compare` made: scores side by side, with differences to a baseline."""
    from ..experiments import Comparison

    found = Comparison.open(args.folder, args.baseline)
    print(found)
    if args.curves:
        found.plot_curves(args.metric).savefig(args.curves, dpi=110)


def _competition_of(run, location: str) -> dict:
    """The run's competition at another place: a folder, or a TOML file."""
    known = run.config.competition
    if "toml" in known and not location.endswith(".toml"):  # the file names the test rows
        raise ValueError(
            f"the competition of {str(run.folder)!r} is described by a TOML file; give one for the new test set as --competition, "
            f"not {location!r}"
        )
    return {"toml": location} if location.endswith(".toml") else {**known, "folder": location}


def _open_run(folder: str, args):
    """The run in a folder; with --competition it predicts the test set there."""
    from ..experiments import Run, open_competition

    run = Run.open(folder)
    if args.competition is None:
        return run
    about = _competition_of(run, args.competition)
    return run.predict_test(open_competition(about), args.cache, progress=sys.stderr.isatty())


def _write_submission(predictions, args) -> None:
    table = predictions.submission(args.out, args.threshold)
    print(f"{count(len(table), 'row')} in {args.out!r}, checked")


def _submit_within(args, began: float) -> None:
    from ..experiments import Run, open_competition, submit_within

    run = Run.open(args.folder)
    about = run.config.competition if args.competition is None else _competition_of(run, args.competition)
    threshold = run.best_threshold() if args.threshold == "oof" else args.threshold
    print(run)
    options = dict(workers=args.workers, threshold=threshold, runtime=args.runtime, onnx=args.onnx, began=began)
    options["precision"] = args.precision
    report = submit_within(run, open_competition(about), args.budget, args.out, **options)
    print(f"{count(report.rows, 'row')} in {args.out!r}, checked")


def _submit(args) -> None:
    """Write a run's submission, and check it; with --budget, predict the test set now, on CPUs, with as many networks as surely end in that time."""
    began = time.monotonic()
    if args.budget is not None:
        _submit_within(args, began)
        return
    for name in ("workers", "onnx"):
        if getattr(args, name) is not None:
            raise ValueError(f"--{name} is of --budget; give that too")
    run = _open_run(args.folder, args)
    print(run)
    _write_submission(run, args)


def _check(args) -> None:
    """Would the competition accept this submission? Or, of a classifier's folder: do today's libraries still draw
    its golden clips and predict as when it was saved?
    """
    from ..competitions import check_submission

    if Path(args.submission).is_dir() or is_address(args.submission):
        check_folder(args.submission)
        return
    against = args.against
    if against is None:
        raise ValueError(
            f"check {args.submission!r} against what? give the sample submission, or the folder of a run; a folder alone is a classifier"
        )
    if Path(against).is_dir():
        from ..experiments import Run

        against = Run(against).task
    print(check_submission(args.submission, against))


# ---------------------------------------------------------------------- blends


def _weights(text: str):
    """ "oof", "equal", or "0.3,0.7" as numbers."""
    return [read_value(part) for part in text.split(",")] if "," in text else text


def _blend(args) -> None:
    """Blend several runs: what it gains, and the submission."""
    from ..experiments import blend

    both = blend([_open_run(folder, args) for folder in args.runs], args.way, args.weights)
    print(both)
    if args.out:
        _write_submission(both, args)


# ---------------------------------------------------------------------- the commands


def _add_predictions(parser) -> None:
    """The options that choose the predictions of a submission."""
    add = partial(option, parser.add_argument_group("predictions"))
    text = "probability from which to decide for a label, or oof: the one that scores best out of fold"
    add("--threshold", text, type=read_value)
    text = "predict the test set of the competition in this folder (or of a TOML file that describes one) now, as code "
    text += "competitions require; default the predictions that were made in training"
    add("--competition", text, metavar="FOLDER")
    add("--cache", "where the pictures of that test set are kept; default the user's cache folder", metavar="FOLDER")


def add(commands) -> None:
    """Add the commands of this module."""
    add = partial(option, add_command(commands, "fetch", _fetch, "specimg fetch ESC-50 data"))
    add("name", "of the data set; or hf://datasets/user/name on the Hub", nargs="?")
    add("folder", "where data sets are kept; default the user's cache folder", nargs="?")

    example = "specimg cv plan.toml --set recipe.epochs=2 arch=resnet18 --only 0"
    add = partial(option, add_command(commands, "cv", _cv, example, _PLAN))
    add("plan", "TOML file; the run.toml of an earlier run is one, which it repeats")
    add("--out", "folder of the run; default the plan's own")
    changes = "recipe.epochs=2 renderer.audio.sr=32000 competition.folder=data loaders.size=[64,64]"
    add_settings(add, f"changes of the plan: {changes}")
    text = "numbers of the folds to train now; the others in another call"
    add("--only", text, nargs="+", type=int, metavar="FOLD")
    add("--jobs", "networks that are trained at once, each in a process of its own; -1 is one per core", 1)
    add("--no-test", "do not predict the test set", action="store_true")
    add("--track", TRACK, metavar="NAME")

    example = "specimg compare runs/compare --baseline 'resnet18, mel' --curves curves.png"
    add = partial(option, add_command(commands, "compare", _compare, example))
    add("folder", "folder of the comparison")
    add("--baseline", "compare with this one; default the comparison's own", metavar="NAME")
    add("--curves", "write the learning curves as a picture", metavar="FILE")
    add("--metric", "of the curves, such as valid_loss; default the competition's", metavar="COLUMN")

    submit = add_command(commands, "submit", _submit, "specimg submit runs/first --out submission.csv")
    option(submit, "folder", "folder that cv wrote", metavar="RUN")
    option(submit, "--out", "the submission", "submission.csv")
    text = "such as 90m: measure this machine, and predict the test set now with the largest part of the networks that surely ends in time; "
    text += "a kill leaves a valid submission"
    option(submit, "--budget", text, type=read_duration, metavar="TIME")
    option(submit, "--workers", "of --budget: worker processes; default one a core", type=int, metavar="N")
    text = "of --budget: where the networks are kept as ONNX files; what is there is taken"
    option(submit, "--onnx", text, metavar="FOLDER")
    option(submit, "--runtime", "of --budget: onnxruntime or openvino", "onnxruntime")
    text = "of --budget: float32, float16 (of openvino) or int8; what that changes is measured and said"
    option(submit, "--precision", text, "float32")
    _add_predictions(submit)

    example = "specimg blend runs/first runs/second --way geometric --weights oof --out submission.csv"
    blend = add_command(commands, "blend", _blend, example)
    option(blend, "runs", "folders that cv wrote", nargs="+", metavar="RUN")
    option(blend, "--way", "geometric, mean or rank", "geometric")
    text = "oof (chosen on out-of-fold predictions), equal, or numbers: 0.3,0.7"
    option(blend, "--weights", text, "oof", type=_weights)
    option(blend, "--out", "the submission; without it only the gain is shown")
    _add_predictions(blend)

    example = "specimg check submission.csv sample_submission.csv"
    add = partial(option, add_command(commands, "check", _check, example, "  specimg check dog-or-not"))
    add("submission", "csv file; or the folder of a classifier, or hf://user/name on the Hub")
    sample = "the competition's sample_submission.csv, or the folder of a run, which has the labels too"
    add("against", f"of a submission: {sample}", nargs="?")
