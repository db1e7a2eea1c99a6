"""`specimg render | train | predict | demo`: the same functions from the command line.

Each command has `--help` with an example. What torch needs is imported inside the commands, so that help and errors come at once.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

__all__ = ["main"]


# ---------------------------------------------------------------------- settings from text

def _value(text: str):
    """A setting from the command line: a number, none/true/false, or text."""
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
    from .learner import check_arch, spec_learner
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


def _demo(args) -> None:
    from .demo import RECIPE, run_demo

    run_demo(args.folder, args.arch, RECIPE.replace(epochs=args.epochs) if args.epochs else RECIPE, args.per_class)


# ---------------------------------------------------------------------- the command line

def _command(commands, name: str, run, text: str, example: str):
    parser = commands.add_parser(name, help=text, description=text, epilog=f"example:\n  {example}",
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
