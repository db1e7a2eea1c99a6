"""`specimg keep | predict | windows | export`, and `specimg check` of a folder: save, use and check a trained classifier."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING

from ..core.text import count, printable_cells
from .common import add_command, add_out, open_classifier, option, out_of, print_failures

if TYPE_CHECKING:
    import pandas as pd

    from ..inference.classifier import Classifier


_TRAINED = "folder of what was trained: of train, keep or cv, or of fit(out=); or hf://user/name on the Hub"
_QUOTE = "in csv files put an apostrophe before text that a spreadsheet would run as a formula (=, +, -, @)"


def _write_csv(table: pd.DataFrame, path: str, quote_formulas: bool) -> None:
    """A table for other programs: what they might obey in its text is shown as an escape."""
    from ..core.files import write_atomic

    text = printable_cells(table, quote_formulas=quote_formulas).to_csv(index=False)
    write_atomic(path, text.encode("utf-8", "surrogateescape"))


def _predict(args: argparse.Namespace) -> None:
    """Label recordings with a trained classifier."""
    clf = open_classifier(args.classifier)
    items = args.audio[0] if len(args.audio) == 1 else args.audio
    table = clf.predict(items, bs=args.bs, n_jobs=args.jobs, reject_below=args.reject_below)
    if not len(table):
        raise ValueError(f"{items!r} holds no recordings")
    failed = table[table["probability"].isna()]
    if args.out:
        _write_csv(table, args.out, args.quote_formulas)
        unsure = table["status"].str.startswith("unsure").sum()
        print(f"{count(len(table), 'row')} in {args.out!r}, {len(failed) + unsure} without a label")
        reasons = [(repr(path), status) for path, status in failed[["path", "status"]].itertuples(index=False)]
        print_failures(reasons, args.verbose, f"failures are listed in {args.out!r}, in the column status")
    else:
        shown = table[["path", "label", "probability", "status"]]
        printable_cells(shown).to_csv(sys.stdout, index=False, float_format="%.4f")
    if len(failed) == len(table):
        raise ValueError(f"no recording could be labelled; {failed['path'].iloc[0]!r} {failed['status'].iloc[0]}")


def _keep(args: argparse.Namespace) -> None:
    """Make one classifier of all folds of a run, calibrated out of fold."""
    from ..experiments import Run
    from ..inference import load_classifier, save_classifier
    from ..training import Predictions, find_training

    found = find_training(args.run_folder)
    if found is None:
        trained, predictions = Run.open(args.run_folder), None
    else:
        trained = load_classifier(args.run_folder)
        predictions = None if found.predictions is None else Predictions.load(found.predictions)
    print(save_classifier(trained, out_of(args), golden=args.golden, predictions=predictions))


def check_folder(folder: str) -> None:
    """Draw and predict the golden clips of a classifier again, and print what changed. ValueError if predictions did."""
    from ..inference import check_classifier

    table = check_classifier(folder)
    shown = table if table["reason"].any() else table.drop(columns="reason")
    print(shown.to_string(index=False, float_format="{:.4g}".format))
    other = {name: f"{then} -> {now}" for name, (then, now) in table.attrs["versions"].items() if then != now}
    print(
        "versions: "
        + (", ".join(f"{name} {change}" for name, change in other.items()) or "the same as when it was saved")
    )
    changed = ~table["verdict"].isin(["same", "pixels drift"])
    if changed.any():
        raise ValueError(
            f"{changed.sum()} of {len(table)} golden clips of {folder!r} are predicted differently than when it was saved"
        )


# ---------------------------------------------------------------------- long recordings


def _event_options(args: argparse.Namespace, clf: Classifier) -> dict:
    """The arguments of `merge_events`; ValueError now rather than after hours if they are invalid."""
    import pandas as pd

    from ..inference.events import merge_events

    threshold = dict(zip(clf.vocab, clf.thresholds)) if args.threshold is None else args.threshold
    options = dict(
        threshold=threshold,
        release=args.release,
        min_seconds=args.min_seconds,
        max_gap=args.max_gap,
        background=args.background,
    )
    merge_events(
        pd.DataFrame(columns=["path", "start", "end", *(f"p_{label}" for label in clf.vocab)], dtype=float), **options
    )
    return options


def _windows(args: argparse.Namespace) -> None:
    """Find events in long recordings with a trained classifier."""
    from ..data.sources import list_sources
    from ..inference.events import merge_events, write_events
    from ..inference.events.formats import check_target

    clf = open_classifier(args.classifier)
    items = args.audio[0] if len(args.audio) == 1 else args.audio
    if args.out:
        check_target(args.out, list_sources(items)[0], args.format)
    options = _event_options(args, clf)
    windows = clf.predict_windows(items, args.seconds, args.overlap, frames=args.frames)
    if args.table:
        _write_csv(windows, args.table, args.quote_formulas)
    failed = windows[windows["status"] != "ok"]
    reasons = [
        (f"{path!r}{'' if start != start else f' at {start:g} s'}", status)
        for path, start, status in failed[["path", "start", "status"]].itertuples(index=False)
    ]
    print_failures(reasons, args.verbose, f"failures are listed in {args.table!r}" if args.table else "")
    if len(failed) == len(windows):
        raise ValueError(f"no window could be labelled; {failed['path'].iloc[0]!r} {failed['status'].iloc[0]}")
    events = merge_events(windows, **options)
    if args.out:
        quoted = printable_cells(events, quote_formulas=True) if args.quote_formulas else events
        write_events(quoted, args.out, args.format)
        print(
            f"{count(len(events), 'event')} in {args.out!r}, from {count(len(windows), 'window')}, {len(failed)} without a prediction"
        )
    else:
        printable_cells(events).to_csv(sys.stdout, index=False, float_format="%.4f")


def _add_windows(commands: argparse._SubParsersAction) -> None:
    """`specimg windows`, with its options."""
    example = "specimg windows runs/first night.wav --seconds 5 --overlap 2.5 --threshold 0.7 --out night.txt"
    more = "  specimg windows runs/first nights/ --out labels/ --format audacity"
    add = partial(option, add_command(commands, "windows", _windows, example, more))
    add("classifier", _TRAINED)
    add("audio", "recordings of any length, or one folder of them", nargs="+")
    add("--seconds", "length of a window in seconds; default that of the training clips", type=float)
    add("--overlap", "overlap of consecutive windows in seconds", 0.0)
    add(
        "--frames",
        "events by the network's own frames; of a network trained with an attention head",
        action="store_true",
    )
    start = "probability that starts an event; default the classifier's own for each label, else 0.5"
    add("--threshold", start, type=float)
    add("--release", "probability down to which it continues; default 0.6 of the threshold", type=float)
    add("--min-seconds", "shorter events are dropped", 0.0)
    add("--max-gap", "largest gap in seconds over which events of one label are merged", 0.0)
    add("--background", "labels that are not reported, such as silence", nargs="+", metavar="LABEL")
    files = "file for the events: .csv, .txt (Audacity), .selections.txt (Raven); or a folder, with --format"
    add("--out", f"{files}; default prints a table")
    add("--format", "csv, audacity or raven; needed if --out is a folder")
    add("--verbose", "print all failures, not the first ten", action="store_true")
    add("--table", "also write all windows with all probabilities, as csv", metavar="FILE")
    add("--quote-formulas", _QUOTE, action="store_true")


# ---------------------------------------------------------------------- other programs


def _export(args: argparse.Namespace) -> None:
    """Write a classifier as ONNX, for programs without Python."""
    clf = open_classifier(args.classifier)
    path = clf.to_onnx(out_of(args), audio=args.audio, seconds=args.seconds, sr=args.sr)
    given = "samples" if args.audio else f"{clf.input.name}s"
    print(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB: {given} -> probabilities")


def _add_export(commands: argparse._SubParsersAction) -> None:
    """`specimg export`, with its options."""
    example = "specimg export runs/first dog.onnx --audio"
    add = partial(option, add_command(commands, "export", _export, example))
    add("classifier", _TRAINED)
    add_out(add, "the file, such as dog.onnx")
    add("--audio", "include the renderer: the input is samples instead of pictures", action="store_true")
    add("--seconds", "with --audio: clips of this length only; default any length", type=float)
    rate = "sampling rate of the input in Hz, where the classifier was trained on recordings of any rate"
    add("--sr", f"with --audio: {rate}", type=int)


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    example = "specimg predict runs/first night/*.wav --out labels.csv"
    add = partial(option, add_command(commands, "predict", _predict, example))
    add("classifier", _TRAINED)
    add("audio", "recordings, a pattern such as night/*.wav, or one folder of them", nargs="+")
    add("--out", "csv with all probabilities; default prints a short table")
    add("--quote-formulas", _QUOTE, action="store_true")
    add("--bs", "recordings per batch", 32)
    add("--jobs", "processes for drawing, -1 is one per core", 1)
    add("--verbose", "with --out: print all failures, not the first ten", action="store_true")
    add("--reject-below", "predict no label if the largest probability is lower", type=float, metavar="P")
    _add_windows(commands)
    _add_export(commands)
    add = partial(option, add_command(commands, "keep", _keep, "specimg keep runs/first dog-or-not"))
    add("run_folder", "folder of cv, of train or of fit(out=)", metavar="RUN")
    add_out(add, "folder for the classifier")
    add("--golden", "golden clips to keep with it for specimg check", 6)
