"""`specimg train | demo`: labelled recordings become a trained classifier."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.text import count
from .common import add_command, add_renderer, read_column, read_value, renderer_from

if TYPE_CHECKING:
    from ..data import SpecDataLoaders


def _load(args: argparse.Namespace) -> SpecDataLoaders:
    """The DataLoaders that the arguments of `train` describe."""
    from ..data import SpecDataLoaders

    common = dict(
        renderer=renderer_from(args),
        cache=args.cache,
        bs=args.bs,
        size=args.size,
        valid_pct=args.valid_pct,
        seed=args.seed,
        corrections=args.corrections,
    )
    source = Path(args.source)
    if source.is_dir() and args.regex:
        return SpecDataLoaders.from_names(source, args.regex, **common)
    if source.is_dir():
        return SpecDataLoaders.from_folder(source, train=args.train, valid=args.valid, **common)
    labels = [read_column(name) for name in args.label_col]
    columns = dict(
        fn_col=read_column(args.fn_col),
        label_col=labels[0] if len(labels) == 1 else labels,
        label_delim=args.label_delim,
        group_col=args.group_col,
        suffix=args.suffix,
        delimiter=args.delimiter,
        encoding=args.encoding,
    )
    return SpecDataLoaders.from_csv(source.parent, source.name, folder=args.folder, **columns, **common)


def _check_out(source: Path, out: Path) -> None:
    """ValueError where results would lie among the recordings: the next training would read them as a class."""
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"--out {str(out)!r} lies in the folder of the recordings, {str(source)!r}; choose a folder outside it"
        )


def _train(args: argparse.Namespace) -> None:
    from ..experiments.baseline import linear_baseline
    from ..inference import save_classifier
    from ..interpret import SpecInterpretation
    from ..labels.corrections import read_corrections, write_corrections
    from ..models.networks import check_arch
    from ..training import Recipe, fit_or_load
    from ..training.learner import spec_learner

    check_arch(args.arch)  # before an hour of drawing
    out = Path(args.out)
    _check_out(Path(args.source), out)
    recipe = Recipe(
        epochs=args.epochs, freeze_epochs=args.freeze_epochs, lr=read_value(args.lr), seed=args.seed, mixup=args.mixup
    )
    dls = _load(args)
    print(
        f"{len(dls.train_ds)} clips for training, {len(dls.valid_ds)} for validation; {len(dls.vocab)} classes; {dls.size[0]} x {dls.size[1]} pixels"
    )
    failed = dls.tree.failures
    if len(failed):
        print(
            f"{count(len(failed), 'clip')} without a picture; the reasons are in {str(dls.tree.root / 'manifest.csv')!r}"
        )
    if args.baseline:
        print(linear_baseline(dls))
    if args.corrections:  # a copy, whatever becomes of the file
        write_corrections(read_corrections(args.corrections), out / "corrections.csv")
    pretrained = {"yes": True, "no": False}.get(args.pretrained, args.pretrained)
    learn = spec_learner(dls, args.arch, pretrained=pretrained, weights=args.weights, seed=args.seed, path=out)
    print(f"network: {learn.weights_from}")
    old = out / "run"  # of version 0.1
    fit_or_load(learn, recipe, old if (old / "recipe.toml").exists() else out / "training")
    save_classifier(learn, out / "classifier")  # first: it must not depend on the figures
    with learn.no_bar():
        interp = SpecInterpretation.from_learner(learn)
    print(interp)
    interp.predictions.save(out / "predictions.npz")
    figures = {"learning_curves": interp.plot_learning_curves(), "top_losses": interp.plot_top_losses(9)}
    if not dls.is_multi:
        figures["confusion"] = interp.plot_confusion_matrix()
    for name, figure in figures.items():
        figure.savefig(out / f"{name}.png", dpi=110)
    print(f"the classifier is in {str(out / 'classifier')!r}, its figures beside it")
    print(f"to see and hear its mistakes: specimg report {out}")


def _demo(args: argparse.Namespace) -> None:
    from .demo import RECIPE, run_demo

    run_demo(args.folder, args.arch, RECIPE.replace(epochs=args.epochs) if args.epochs else None, args.per_class)


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    train = add_command(
        commands,
        "train",
        _train,
        "Train a classifier on a folder of labelled folders, on file names, or on a csv.",
        "specimg train freesound/train.csv --folder audio_train --fn-col fname --label-col label --arch resnet34 "
        "--epochs 10 --out runs/first",
    )
    train.add_argument("source", help="a folder with a folder for each class, or a csv beside the folder of recordings")
    train.add_argument(
        "--out",
        required=True,
        help="folder for the training and the classifier; the same command resumes an interrupted training",
    )
    data = train.add_argument_group("labels")
    data.add_argument("--regex", help=r"labels from file names, such as '^(?P<label>\d)_(?P<group>[a-z]+)_'")
    data.add_argument("--folder", default="", help="folder of the recordings, beside the csv")
    data.add_argument("--fn-col", default="0", help="column of the file names, by name or position")
    data.add_argument(
        "--label-col", nargs="+", default=["1"], help="column of the labels; or several, one for each class, of 0 and 1"
    )
    data.add_argument("--label-delim", help="separator of several labels of one clip")
    data.add_argument("--group-col", help="column of groups that are never split between training and validation")
    data.add_argument("--delimiter", help="what separates the cells of the csv; default , ; tab or |, found out")
    data.add_argument("--encoding", help="of the csv, such as cp1252; default UTF-8, or UTF-16 with its mark")
    data.add_argument("--train", metavar="NAME", help="folder of training in the source; default train or training")
    data.add_argument("--valid", metavar="NAME", help="folder of validation; default valid, validation, val or dev")
    data.add_argument("--suffix", default="", help="added to every file name, such as .wav")
    data.add_argument(
        "--corrections", metavar="FILE", help="csv of labels that a person corrected: path, label, corrected"
    )
    data.add_argument("--valid-pct", type=float, default=0.2, help="share of the clips for validation; default 0.2")
    add_renderer(train)
    how = train.add_argument_group("training")
    how.add_argument("--arch", default="resnet34", help="any timm network, or one of list_nets(); default resnet34")
    how.add_argument(
        "--pretrained",
        choices=["yes", "no", "if-available"],
        default="yes",
        help="start from pretrained weights; default yes",
    )
    how.add_argument("--weights", help="a file or folder with the network's pretrained weights")
    how.add_argument("--epochs", type=int, default=7, help="epochs in which all layers learn; default 7")
    how.add_argument("--freeze-epochs", type=int, default=1, help="epochs before them for the head alone; default 1")
    how.add_argument(
        "--lr",
        default="default",
        help="peak learning rate, find (a short search) or default: 0.01 pretrained, 0.003 from scratch",
    )
    how.add_argument("--mixup", type=float, default=0.0, help="alpha of MixUp; default 0 (off)")
    how.add_argument("--bs", type=int, help="clips per batch; default 16 to 64, by the number of clips")
    how.add_argument("--size", type=int, help="height and width in pixels; default those of the pictures")
    how.add_argument("--seed", type=int, default=0, help="of the split and of training; default 0")
    how.add_argument("--baseline", action="store_true", help="print the linear baseline beside the score")

    demo = add_command(
        commands,
        "demo",
        _demo,
        "Make a competition of synthesised sounds, draw it, fine-tune a network on it, and write a submission.",
        "specimg demo demo",
    )
    demo.add_argument("folder", nargs="?", default="demo", help="folder for everything; default demo")
    demo.add_argument(
        "--arch", default="tf_efficientnet_lite0", help="any timm network, such as resnet34 or inception_v3"
    )
    demo.add_argument("--epochs", type=int, help="epochs after the first, in which only the head learns; default 6")
    demo.add_argument("--per-class", type=int, default=60, help="training clips of each kind of sound; default 60")
