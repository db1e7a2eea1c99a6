"""`specimg render | train | predict | fetch | cv | compare | submit | blend | check | demo`: the same functions from the command line.

A competition, from its folder to a submission:

    specimg cv plan.toml --out runs/a          # cross-validation; the same again goes on
    specimg submit runs/a                      # submission.csv, checked
    specimg blend runs/a runs/b --out submission.csv

Each command has `--help` with an example. What torch needs is imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

__all__ = ["main"]


# ---------------------------------------------------------------------- settings from text

def _value(text: str):
    """A setting from the command line: a number, none/true/false, a list such as [64,64], or text."""
    if text.startswith("["):
        try:
            return json.loads(text)
        except ValueError:
            return text
    lowered = text.lower()
    if lowered in ("none", "true", "false"):
        return {"none": None, "true": True, "false": False}[lowered]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def _column(text: str) -> int | str:
    """A column by position or by name."""
    return int(text) if text.isdecimal() else text


def _settings(pairs: list[str]) -> dict:
    """["n_mels=64", "fmax=none"] -> {"n_mels": 64, "fmax": None}"""
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no setting; write name=value, such as n_mels=64")
    return {name: _value(text) for name, text in (pair.split("=", 1) for pair in pairs)}


def _part_of(name: str, parts: dict) -> str:
    """Which part of a renderer has the setting `name`. ValueError, with the near ones, where none has."""
    from .values import choose

    fields = {field: part for part in ("audio", "picture", "representation") for field in parts[part].to_dict() if field != "kind"}
    return fields[choose(name, fields, "setting")]


def _look(path: str):
    """The renderer in a TOML file."""
    from .render import Renderer

    try:
        return Renderer.from_toml(Path(path))
    except ValueError as exc:
        raise ValueError(f"{path!r} describes no renderer: {exc}") from exc


def _renderer(args):
    """The renderer that --look, --representation and --set describe."""
    from .render import Renderer
    from .representation import Representation
    from .values import choose

    renderer = _look(args.look) if args.look else Renderer()
    if args.representation:
        renderer = renderer.replace(representation=Representation.from_dict({"kind": args.representation}))
    parts = {"representation": renderer.representation, "picture": renderer.picture, "audio": renderer.audio}
    for name, value in _settings(args.set).items():
        part, _, field = name.rpartition(".")
        part = choose(part, parts, "part of a renderer") if part else _part_of(field, parts)
        parts[part] = parts[part].replace(**{field: value})
    return Renderer(**parts)


def _add_look(parser) -> None:
    look = parser.add_argument_group("how recordings are drawn")
    look.add_argument("--look", metavar="FILE", help="a renderer as TOML (Renderer(...).to_toml() writes one)")
    look.add_argument("--representation", metavar="NAME", help="mel (default), stft, mfcc ...")
    look.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                      help="settings by their Python names: n_mels=64 hop_length=256 sr=32000 duration=5 height=224; or audio.sr=32000")
    look.add_argument("--cache", metavar="FOLDER", help="where trees of pictures are kept; default the user's cache folder")


# ---------------------------------------------------------------------- the commands

def _render(args) -> None:
    from .render import render_tree

    tree = render_tree(args.source, _renderer(args), args.cache, n_jobs=args.jobs)
    for path, reason in tree.failures[["path", "reason"]].head(10).itertuples(index=False) if args.verbose else ():
        print(f"{path!r}: {reason}", file=sys.stderr)
    print(tree)
    print(tree.root)


def _load(args):
    """The DataLoaders that the arguments of `train` describe."""
    from .data import SpecDataLoaders

    common = dict(renderer=_renderer(args), cache=args.cache, bs=args.bs, size=args.size, valid_pct=args.valid_pct, seed=args.seed)
    source = Path(args.source)
    if source.is_dir() and args.regex:
        return SpecDataLoaders.from_names(source, args.regex, **common)
    if source.is_dir():
        return SpecDataLoaders.from_folder(source, **common)
    columns = dict(fn_col=_column(args.fn_col), label_col=_column(args.label_col), label_delim=args.label_delim, group_col=args.group_col,
                   suff=args.suff)
    return SpecDataLoaders.from_csv(source.parent, source.name, folder=args.folder, **columns, **common)


def _train(args) -> None:
    from .baseline import linear_baseline
    from .bundle import save_classifier
    from .interpret import SpecInterpretation
    from .learner import spec_learner
    from .networks import check_arch
    from .recipe import Recipe, fit_or_load

    check_arch(args.arch)   # before an hour of drawing
    out = Path(args.out)
    recipe = Recipe(epochs=args.epochs, freeze_epochs=args.freeze_epochs, lr=_value(args.lr), seed=args.seed, mixup=args.mixup)
    dls = _load(args)
    print(f"{len(dls.train_ds)} clips train, {len(dls.valid_ds)} validate; {len(dls.vocab)} classes; {dls.size[0]} x {dls.size[1]} pixels")
    if args.baseline:
        print(linear_baseline(dls))
    pretrained = {"yes": True, "no": False}.get(args.pretrained, args.pretrained)
    learn = spec_learner(dls, args.arch, pretrained=pretrained, weights=args.weights, seed=args.seed, path=out)
    print(f"network: {learn.weights_from}")
    fit_or_load(learn, recipe, out / "run")
    save_classifier(learn, out / "classifier")   # first: whatever happens to the pictures, this is there
    with learn.no_bar():
        interp = SpecInterpretation.from_learner(learn)
    print(interp)
    figures = {"learning_curves": interp.plot_learning_curves(), "top_losses": interp.plot_top_losses(9)}
    if not dls.is_multi:
        figures["confusion"] = interp.plot_confusion_matrix()
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=110)
    print(f"the classifier is in {str(out / 'classifier')!r}, its pictures beside it")


def _predict(args) -> None:
    from .bundle import load_classifier
    from .files import write_whole

    clf = load_classifier(args.classifier)
    items = args.audio[0] if len(args.audio) == 1 else args.audio
    table = clf.predict(items, progress=sys.stderr.isatty())
    if not len(table):
        raise ValueError(f"{items!r} holds no recordings")
    failed = table[table["status"] != "ok"]
    if args.out:
        write_whole(args.out, table.to_csv(index=False).encode())
        print(f"{len(table)} rows in {args.out!r}, {len(failed)} without an answer")
    else:
        table[["path", "label", "probability", "status"]].to_csv(sys.stdout, index=False, float_format="%.4f")
    if len(failed) == len(table):
        raise ValueError(f"no recording could be labelled; {failed['path'].iloc[0]!r} {failed['status'].iloc[0]}")


def _fetch(args) -> None:
    from .datasets import fetch, find_dataset, list_datasets

    if args.name:
        print(fetch(args.name, args.folder, progress=sys.stderr.isatty()))
        return
    for data in map(find_dataset, list_datasets()):
        size = f"{data.download_size / 1e6:,.0f} MB; " if data.download_size else ""
        print(f"{data.name}\n    {data.about}\n    {size}{data.licence}")


# ---------------------------------------------------------------------- competitions

def _read_toml(path: str) -> dict:
    """What a TOML file holds, None where it says "none". ValueError, with its name, where it is not TOML."""
    from .values import _swap, _toml

    try:
        return _swap(_toml().loads(Path(path).read_text(encoding="utf-8-sig")), "none", None)
    except ValueError as exc:   # the readers' and the decoder's errors are ValueErrors
        raise ValueError(f"{path!r} is not TOML: {exc}") from exc


def _put(plan: dict, name: str, value) -> None:
    """Set "recipe.epochs" in nested tables. ValueError where the name leads into what is no table."""
    *tables, last = name.split(".")
    for table in tables:
        inner = plan.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ValueError(f"--set {name}=...: {table} is {inner!r}, which has no parts")
        plan = inner
    plan[last] = value


def _plan(path: str, settings: list[str], kind: type | None = None):
    """(a value of this kind, default Choices, the folder or None) that a plan file and --set describe."""
    from .runs import Choices

    kind = kind or Choices
    plan = _read_toml(path)
    out = plan.pop("out", None)
    if not isinstance(out, (str, type(None))):
        raise ValueError(f"{path!r}: out = {out!r} is not the name of a folder")
    try:
        whole = kind.from_dict(plan).to_dict()
    except ValueError as exc:
        raise ValueError(f"{path!r} is no plan: {exc}") from exc
    for name, value in _settings(settings).items():
        _put(whole, name, value)
    return kind.from_dict(whole), out


def _folder(args, out: str | None) -> str:
    """Where results go: --out, else the plan's own. ValueError where neither says it."""
    if not (args.out or out):
        raise ValueError(f"no folder for the run: give --out, or write out = \"runs/first\" at the top of {args.plan!r}")
    return args.out or out


def _cv(args) -> None:
    from .runs import cross_validate, open_competition

    choices, out = _plan(args.plan, args.set)
    out = _folder(args, out)
    given = {name: getattr(choices, name) for name in ("folds", "seeds", "loaders", "learner", "trust", "tta", "pseudo", "pseudo_min")}
    run = cross_validate(open_competition(choices.competition), choices.renderer, choices.arch, choices.recipe, **given, out=out,
                         test=not args.no_test, only=args.only)
    print(run.scores.to_string(index=False, float_format="{:.4f}".format, formatters={"seconds": "{:.0f}".format}))
    print(f"out of fold: {run.score}")


def _compare(args) -> None:
    from .runs import Comparison, ComparePlan, run_plan

    if Path(args.plan).is_dir():
        found = Comparison.open(args.plan)
        print(found)
    else:
        plan, out = _plan(args.plan, args.set, ComparePlan)
        found = run_plan(plan, _folder(args, out), args.only)
    if args.curves:
        found.plot_curves().savefig(args.curves, dpi=110)


def _open_run(folder: str, args):
    """The run in a folder; with --competition it answers the test set that lies there."""
    from .runs import Run, open_competition

    run, place = Run.open(folder), args.competition
    if place is None:
        return run
    known = run.choices.competition
    if "toml" in known and not place.endswith(".toml"):   # a competition by hand: the file says what is asked and where
        raise ValueError(f"the competition of {folder!r} is described by a TOML file; give one for the new test set as --competition, not {place!r}")
    about = {"toml": place} if place.endswith(".toml") else {**known, "folder": place}
    return run.predict_test(open_competition(about), args.cache, progress=sys.stderr.isatty())


def _write_submission(answered, args) -> None:
    table = answered.submission(args.out, args.threshold)
    print(f"{len(table)} rows in {args.out!r}, checked")


def _submit(args) -> None:
    run = _open_run(args.folder, args)
    print(run)
    _write_submission(run, args)


def _hear_blend_plan(args) -> None:
    """What the TOML file of a blend says, where the command line is silent."""
    from .values import choose

    plan = _read_toml(args.runs[0])
    for name, value in plan.items():
        choose(name, ("runs", *_BLEND), f"line in {args.runs[0]!r}")
        if name in _BLEND and getattr(args, name) is None:
            setattr(args, name, value)
    runs = plan.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, str) for run in runs):
        raise ValueError(f"{args.runs[0]!r} names no runs; write runs = [\"runs/a\", \"runs/b\"]")
    args.runs = runs


def _blend(args) -> None:
    from .runs import blend

    if len(args.runs) == 1 and args.runs[0].endswith(".toml"):
        _hear_blend_plan(args)
    both = blend([_open_run(folder, args) for folder in args.runs], args.way or "geometric", args.weights or "oof")
    print(both)
    if args.out:
        _write_submission(both, args)


def _check(args) -> None:
    from .compete import check_submission

    against = args.against
    if Path(against).is_dir():
        from .runs import Run

        against = Run(against).task
    print(check_submission(args.submission, against))


def _demo(args) -> None:
    from .demo import RECIPE, run_demo

    run_demo(args.folder, args.arch, RECIPE.replace(epochs=args.epochs) if args.epochs else RECIPE, args.per_class)


# ---------------------------------------------------------------------- the command line

_PLAN = """
a plan (what it leaves out takes its default; paths are seen from the working folder):
  out = "runs/first"
  arch = "resnet34"
  folds = 5

  [competition]
  slug = "freesound-audio-tagging"
  folder = "freesound"            # on Kaggle it is found without

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
_COMPARE_PLAN = """
a plan (what it leaves out takes its default; a system is named after network and picture):
  out = "runs/compare"
  archs = ["resnet18", "mini_resnet"]
  baseline = "resnet18, mel"
  folds = 5

  [competition]
  slug = "freesound-audio-tagging"
  folder = "freesound"

  [renderers.mel.representation]
  kind = "mel"

  [renderers.stft.representation]
  kind = "stft"

  [recipe]
  epochs = 10

  [[systems]]                     # further ones, with their own loaders, learner or recipe
  name = "large"
  arch = "inception_v3"
  loaders = {size = 128}
"""
_BLEND_PLAN = """
the same as a file, specimg blend blend.toml:
  runs = ["runs/first", "runs/second"]
  weights = [0.3, 0.7]
  out = "submission.csv"
"""
_BLEND = ("way", "weights", "out", "threshold", "competition", "cache")   # what a blend's TOML file may say beside runs


def _weights(text: str):
    """"oof", "equal", or "0.3,0.7" as numbers."""
    return [_value(part) for part in text.split(",")] if "," in text else text


def _add_answers(parser) -> None:
    answers = parser.add_argument_group("answers")
    answers.add_argument("--threshold", type=_value, help="probability from which to say yes, or oof: the one that scores best out of fold")
    answers.add_argument("--competition", metavar="FOLDER", help="predict the test set of the competition in this folder now, as code "
                         "competitions want it (or a TOML file that describes one); default the answers that the run gave when it was trained")
    answers.add_argument("--cache", metavar="FOLDER", help="where the pictures of that test set are kept; default the user's cache folder")


def _command(commands, name: str, run, text: str, example: str, more: str = ""):
    parser = commands.add_parser(name, help=text, description=text, epilog=f"example:\n  {example}\n{more}",
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    return parser


def _parser() -> argparse.ArgumentParser:
    from . import __version__

    parser = argparse.ArgumentParser(prog="specimg", description="Recorded sound becomes pictures, and pictures become trained classifiers.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    render = _command(commands, "render", _render, "Draw every recording of a folder into a cached tree of pictures.",
                      "specimg render freesound/audio_train --set n_mels=128 sr=32000 --cache cache")
    render.add_argument("source", help="folder of recordings")
    _add_look(render)
    render.add_argument("--jobs", type=int, default=-1, help="processes; default one a core")
    render.add_argument("--verbose", action="store_true", help="list the first failures")

    train = _command(commands, "train", _train, "Train a classifier on a folder of labelled folders, on file names, or on a csv.",
                     "specimg train freesound/train.csv --folder audio_train --fn-col fname --label-col label --arch resnet34 --epochs 10 --out runs/first")
    train.add_argument("source", help="a folder whose folders are the classes, or a csv beside the folder of recordings")
    train.add_argument("--out", required=True, help="folder for the run and the classifier; the same again goes on where it stopped")
    data = train.add_argument_group("labels")
    data.add_argument("--regex", help=r"labels from file names, such as '^(?P<label>\d)_(?P<group>[a-z]+)_'")
    data.add_argument("--folder", default="", help="folder of the recordings, beside the csv")
    data.add_argument("--fn-col", default="0", help="column of the file names, by name or position")
    data.add_argument("--label-col", default="1", help="column of the labels")
    data.add_argument("--label-delim", help="what parts several labels of one clip")
    data.add_argument("--group-col", help="column of what must not stand on both sides of the split")
    data.add_argument("--suff", default="", help="added to every file name, such as .wav")
    data.add_argument("--valid-pct", type=float, default=0.2, help="share held out")
    _add_look(train)
    how = train.add_argument_group("training")
    how.add_argument("--arch", default="resnet34", help="any timm network")
    how.add_argument("--pretrained", choices=["yes", "no", "if-available"], default="yes")
    how.add_argument("--weights", help="a file or folder with the network's pretrained weights")
    how.add_argument("--epochs", type=int, default=5)
    how.add_argument("--freeze-epochs", type=int, default=1)
    how.add_argument("--lr", default="find", help="a number, or find")
    how.add_argument("--mixup", type=float, default=0.0)
    how.add_argument("--bs", type=int, default=64, help="clips a batch")
    how.add_argument("--size", type=int, help="pixels; default the pictures' own")
    how.add_argument("--seed", type=int, default=0)
    how.add_argument("--baseline", action="store_true", help="print the linear baseline beside the score")

    predict = _command(commands, "predict", _predict, "Label recordings with a trained classifier.",
                       "specimg predict runs/first/classifier night/*.wav --out labels.csv")
    predict.add_argument("classifier", help="folder that train wrote")
    predict.add_argument("audio", nargs="+", help="recordings, or one folder of them")
    predict.add_argument("--out", help="csv with all probabilities; default a short table on the screen")

    fetch = _command(commands, "fetch", _fetch, "Download, check and unpack a public data set; without a name, list them.",
                     "specimg fetch ESC-50 data")
    fetch.add_argument("name", nargs="?", help="of the data set")
    fetch.add_argument("folder", nargs="?", help="where data sets are kept; default the user's cache folder")

    cv = _command(commands, "cv", _cv, "Cross-validate on a competition by a plan, a TOML file; the same again goes on where it stopped.",
                  "specimg cv plan.toml --set recipe.epochs=2 arch=resnet18 --only 0", _PLAN)
    cv.add_argument("plan", help="TOML file; the run.toml of an earlier run is one, which it repeats")
    cv.add_argument("--out", help="folder of the run; default the plan's own")
    cv.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                    help="changes of the plan: recipe.epochs=2 renderer.audio.sr=32000 competition.folder=data loaders.size=[64,64]")
    cv.add_argument("--only", nargs="+", type=int, metavar="FOLD", help="numbers of the folds to train now; the others in another call")
    cv.add_argument("--no-test", action="store_true", help="do not predict the test set")

    compare = _command(commands, "compare", _compare, "Cross-validate several networks on several pictures by a plan, and put them side by side.",
                       "specimg compare plan.toml --out runs/compare --curves curves.png", _COMPARE_PLAN)
    compare.add_argument("plan", help="TOML file; or the folder of a comparison, which is shown")
    compare.add_argument("--out", help="folder of the comparison; default the plan's own")
    compare.add_argument("--set", nargs="+", action="extend", default=[], metavar="NAME=VALUE",
                         help="changes of the plan: recipe.epochs=2 seeds=3 renderers.mel.representation.n_mels=64")
    compare.add_argument("--only", nargs="+", type=int, metavar="FOLD", help="numbers of the folds to train now; the others in another call")
    compare.add_argument("--curves", metavar="FILE", help="write the learning curves as a picture")

    submit = _command(commands, "submit", _submit, "Write a run's submission, and check it.",
                      "specimg submit runs/first --out submission.csv")
    submit.add_argument("folder", metavar="RUN", help="folder that cv wrote")
    submit.add_argument("--out", default="submission.csv", help="default submission.csv")
    _add_answers(submit)

    blend = _command(commands, "blend", _blend, "Blend several runs: what it gains, and the submission.",
                     "specimg blend runs/first runs/second --way geometric --weights oof --out submission.csv",
                     _BLEND_PLAN)
    blend.add_argument("runs", nargs="+", metavar="RUN", help="folders that cv wrote, or one TOML file")
    blend.add_argument("--way", help="geometric (default), mean or rank")
    blend.add_argument("--weights", type=_weights, help="oof (default: chosen on out-of-fold predictions), equal, or numbers: 0.3,0.7")
    blend.add_argument("--out", help="the submission; without it only the gain is shown")
    _add_answers(blend)

    check = _command(commands, "check", _check, "Would the competition accept this submission?",
                     "specimg check submission.csv sample_submission.csv")
    check.add_argument("submission", help="csv file")
    check.add_argument("against", help="the competition's sample_submission.csv, or the folder of a run, which knows the labels too")

    demo = _command(commands, "demo", _demo, "Make a competition of synthesised sounds, draw it, train on it, and write a submission.",
                    "specimg demo demo")
    demo.add_argument("folder", nargs="?", default="demo", help="where everything is written")
    demo.add_argument("--arch", default="resnet34", help="any timm network")
    demo.add_argument("--epochs", type=int, help="default is the demo's own recipe")
    demo.add_argument("--per-class", type=int, default=60, help="training clips of each kind of sound")
    return parser


def _show_warning(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"note: {message}", file=sys.stderr)


def main(argv: list[str] | None = None) -> int:
    """Run a command; returns the exit status: 0 done, 1 could not, 2 asked wrongly, 130 stopped by Ctrl-C."""
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=DeprecationWarning)
            warnings.filterwarnings("ignore", category=FutureWarning)
            warnings.showwarning = _show_warning
            args.run(args)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, OSError, ModuleNotFoundError) as exc:
        print(f"specimg: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
