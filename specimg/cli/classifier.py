"""`specimg keep | predict | windows | export`, and `specimg check` of a folder: save, use and check a trained classifier."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from ..core.text import count
from .common import add_command, print_failures

if TYPE_CHECKING:
    from ..inference.classifier import Classifier


def _predict(args: argparse.Namespace) -> None:
    from ..core.files import write_atomic
    from ..inference import load_classifier

    clf = load_classifier(args.classifier)
    items = args.audio[0] if len(args.audio) == 1 else args.audio
    table = clf.predict(items, bs=args.bs, n_jobs=args.jobs, reject_below=args.reject_below)
    if not len(table):
        raise ValueError(f"{items!r} holds no recordings")
    failed = table[table["probability"].isna()]
    if args.out:
        write_atomic(args.out, table.to_csv(index=False).encode("utf-8", "surrogateescape"))
        print(f"{count(len(table), 'row')} in {args.out!r}, {len(failed)} without a label")
        reasons = [(repr(path), status) for path, status in failed[["path", "status"]].itertuples(index=False)]
        print_failures(reasons, args.verbose, f"failures are listed in {args.out!r}, in the column status")
    else:
        table[["path", "label", "probability", "status"]].to_csv(sys.stdout, index=False, float_format="%.4f")
    if len(failed) == len(table):
        raise ValueError(f"no recording could be labelled; {failed['path'].iloc[0]!r} {failed['status'].iloc[0]}")


def _keep(args: argparse.Namespace) -> None:
    from ..experiments import Run
    from ..inference import save_classifier

    print(save_classifier(Run.open(args.run_folder), args.out, golden=args.golden))


def check_folder(folder: str) -> None:
    """Draw and predict the golden clips of a classifier again, and print what changed. ValueError where predictions did."""
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
    """The arguments of `merge_events`; ValueError now rather than after hours where they are invalid."""
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
    from ..core.files import write_atomic
    from ..data.sources import list_sources
    from ..inference import load_classifier
    from ..inference.events import merge_events, write_events
    from ..inference.events.formats import check_target

    clf = load_classifier(args.classifier)
    items = args.audio[0] if len(args.audio) == 1 else args.audio
    if args.out:
        check_target(args.out, list_sources(items)[0], args.format)
    options = _event_options(args, clf)
    windows = clf.predict_windows(items, args.seconds, args.overlap)
    if args.table:
        write_atomic(args.table, windows.to_csv(index=False).encode("utf-8", "surrogateescape"))
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
        write_events(events, args.out, args.format)
        print(
            f"{count(len(events), 'event')} in {args.out!r}, from {count(len(windows), 'window')}, {len(failed)} without a prediction"
        )
    else:
        events.to_csv(sys.stdout, index=False, float_format="%.4f")


def _add_windows(commands: argparse._SubParsersAction) -> None:
    windows = add_command(
        commands,
        "windows",
        _windows,
        "Find events in long recordings with a trained classifier.",
        "specimg windows runs/first/classifier night.wav --seconds 5 --overlap 2.5 --threshold 0.7 --out night.txt",
        "  specimg windows runs/first/classifier nights/ --out labels/ --format audacity",
    )
    windows.add_argument("classifier", help="folder of a classifier, as train or keep writes it")
    windows.add_argument("audio", nargs="+", help="recordings of any length, or one folder of them")
    windows.add_argument(
        "--seconds", type=float, help="length of a window in seconds; default that of the training clips"
    )
    windows.add_argument(
        "--overlap", type=float, default=0.0, help="overlap of consecutive windows in seconds; default 0"
    )
    windows.add_argument(
        "--threshold",
        type=float,
        help="probability that starts an event; default the classifier's own for each label, else 0.5",
    )
    windows.add_argument(
        "--release", type=float, help="probability down to which it continues; default 0.6 of the threshold"
    )
    windows.add_argument("--min-seconds", type=float, default=0.0, help="shorter events are dropped; default 0")
    windows.add_argument(
        "--max-gap",
        type=float,
        default=0.0,
        help="largest gap in seconds over which events of one label are merged; default 0",
    )
    windows.add_argument(
        "--background", nargs="+", metavar="LABEL", help="labels that are not reported, such as silence"
    )
    windows.add_argument(
        "--out",
        help="file for the events: .csv, .txt (Audacity), .selections.txt (Raven); or a folder, with --format; "
        "default prints a table",
    )
    windows.add_argument("--format", help="csv, audacity or raven; needed where --out is a folder")
    windows.add_argument("--verbose", action="store_true", help="print all failures, not the first ten")
    windows.add_argument("--table", metavar="FILE", help="also write all windows with all probabilities, as csv")


# ---------------------------------------------------------------------- other programs


def _export(args: argparse.Namespace) -> None:
    from ..inference import load_classifier

    clf = load_classifier(args.classifier)
    path = clf.to_onnx(args.out, audio=args.audio, seconds=args.seconds, sr=args.sr)
    given = "samples" if args.audio else f"{clf.input.name}s"
    print(f"{str(path)!r}, {path.stat().st_size / 1e6:.1f} MB: {given} -> probabilities")


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = add_command(
        commands,
        "export",
        _export,
        "Write a classifier as ONNX, for programs without Python.",
        "specimg export runs/first/classifier dog.onnx --audio",
    )
    export.add_argument("classifier", help="folder of a classifier, as train or keep writes it")
    export.add_argument("out", help="the file, such as dog.onnx")
    export.add_argument(
        "--audio", action="store_true", help="include the renderer: the input is samples instead of pictures"
    )
    export.add_argument("--seconds", type=float, help="with --audio: clips of this length only; default any length")
    export.add_argument(
        "--sr",
        type=int,
        help="with --audio: sampling rate of the input in Hz, where the classifier was trained on recordings of any rate",
    )


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    predict = add_command(
        commands,
        "predict",
        _predict,
        "Label recordings with a trained classifier.",
        "specimg predict runs/first/classifier night/*.wav --out labels.csv",
    )
    predict.add_argument("classifier", help="folder of a classifier, as train or keep writes it")
    predict.add_argument("audio", nargs="+", help="recordings, a pattern such as night/*.wav, or one folder of them")
    predict.add_argument("--out", help="csv with all probabilities; default prints a short table")
    predict.add_argument("--bs", type=int, default=32, help="recordings per batch; default 32")
    predict.add_argument("--jobs", type=int, default=1, help="processes for drawing; default 1, -1 is one per core")
    predict.add_argument("--verbose", action="store_true", help="with --out: print all failures, not the first ten")
    predict.add_argument(
        "--reject-below", type=float, metavar="P", help="predict no label where the largest probability is lower"
    )
    _add_windows(commands)
    _add_export(commands)
    keep = add_command(
        commands,
        "keep",
        _keep,
        "Make one classifier of all folds of a run, calibrated out of fold.",
        "specimg keep runs/first dog-or-not",
    )
    keep.add_argument("run_folder", metavar="RUN", help="folder of a run, as cv writes it")
    keep.add_argument("out", help="folder for the classifier")
    keep.add_argument("--golden", type=int, default=6, help="golden clips to keep with it for specimg check; default 6")
