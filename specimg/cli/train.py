"""`specimg train | demo`: labelled recordings become a trained classifier."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.files import unlinked
from ..core.text import count
from .common import (
    TRACK,
    add_command,
    add_renderer,
    in_options,
    option,
    read_column,
    read_settings,
    read_value,
    renderer_from,
)

if TYPE_CHECKING:
    from ..data import SpecDataLoaders
    from ..data.augment import Augment


BASELINE_CLIPS = 2000  # up to which the linear baseline takes seconds


def _augmentation(given: list[str] | None) -> Augment | str | None:
    """What --augment describes: nothing given is the default, "none" switches it off, settings are those of `Augment`."""
    from ..data.augment import Augment

    if given in (None, ["default"]):
        return "default"
    return None if given == ["none"] else Augment(**read_settings(given))


def _load(args: argparse.Namespace) -> SpecDataLoaders:
    """The DataLoaders that the arguments of `train` describe."""
    from ..data import SpecDataLoaders

    names = ("cache", "bs", "size", "valid_pct", "seed", "corrections")
    common = {name: getattr(args, name) for name in names} | {"renderer": renderer_from(args)}
    common["augment"] = _augmentation(args.augment)
    source = Path(args.source)
    if source.is_dir() and args.regex:
        return SpecDataLoaders.from_names(source, args.regex, **common)
    if source.is_dir():
        return SpecDataLoaders.from_folder(source, train=args.train, valid=args.valid, **common)
    labels = [read_column(name) for name in args.label_col or ["1"]]
    columns = {name: getattr(args, name) for name in ("label_delim", "group_col", "delimiter", "encoding")}
    columns |= {"fn_col": read_column(args.fn_col), "label_col": labels[0] if len(labels) == 1 else labels}
    columns |= {"folder": args.folder or "", "suffix": args.suffix or ""}
    return SpecDataLoaders.from_csv(source.parent, source.name, **columns, **common)


_WRITTEN = (
    "training",
    "run",
    "classifier",
    "predictions.npz",
    "corrections.csv",
    *(f"{name}.png" for name in ("learning_curves", "top_losses", "confusion")),
)


def _check_out(source: Path, out: Path) -> None:
    """ValueError if results would lie among the recordings, which the next training would read as a class, or be written through links."""
    for name in _WRITTEN:
        unlinked(out, name)
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"--out {str(out)!r} lies in the folder of the recordings, {str(source)!r}; choose a folder outside it"
        )


def _train(args: argparse.Namespace) -> None:
    """Train a classifier on a folder of labelled folders, on file names, or on a csv."""
    from ..core.failures import explained
    from ..models.networks import check_arch
    from ..training.tracking import as_track

    check_arch(args.arch)  # before an hour of drawing
    as_track(args.track)
    out = Path(args.out)
    _check_out(Path(args.source), out)
    with explained(out, "finished epochs are kept, and the same command continues", "fewer processes at once"):
        _train_into(out, args)


def _train_into(out: Path, args: argparse.Namespace) -> None:
    """Load, train, save the classifier, its predictions and figures."""
    from ..experiments.baseline import linear_baseline
    from ..inference import save_classifier
    from ..interpret import SpecInterpretation
    from ..labels.corrections import read_corrections, write_corrections
    from ..reports.tracked import final_figures
    from ..training import Recipe, Track, fit
    from ..training.learner import spec_learner

    recipe = Recipe(
        epochs=args.epochs,
        freeze_epochs=args.freeze_epochs,
        lr=read_value(args.lr or "default"),
        seed=args.seed,
        mixup=args.mixup,
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
    few = len(dls.train_ds) + len(dls.valid_ds) <= BASELINE_CLIPS
    baseline = linear_baseline(dls) if args.baseline or (args.baseline is None and few and not dls.is_multi) else None
    if baseline is not None:
        print(baseline)
    if args.corrections:  # a copy, whatever becomes of the file
        write_corrections(read_corrections(args.corrections), out / "corrections.csv")
    pretrained = {"yes": True, "no": False}.get(args.pretrained, args.pretrained)
    learn = spec_learner(dls, args.arch, pretrained=pretrained, weights=args.weights, seed=args.seed, path=out)
    print(f"network: {learn.weights_from}")
    track = None if args.track is None else Track(args.track, name=out.absolute().name)
    old = out / "run"  # of version 0.1
    fit(learn, recipe, out=old if (old / "recipe.toml").exists() else out / "training", predictions=False, track=track)
    save_classifier(learn, out / "classifier")  # first: it must not depend on the figures
    with learn.no_bar():
        interp = SpecInterpretation.from_learner(learn)
    print(interp)
    if baseline is not None:
        print(in_options(baseline.compare(interp.predictions, learn), args.parser))
    interp.predictions.save(out / "predictions.npz")
    for name, figure in final_figures(interp).items():
        figure.savefig(out / f"{name}.png", dpi=110)
    print(f"the classifier is in {str(out / 'classifier')!r}, its figures beside it")
    print(f"to see and hear its mistakes: specimg report {out}")


def _demo(args: argparse.Namespace) -> None:
    """Make a competition of synthesised sounds, draw it, fine-tune a network on it, and write a submission."""
    from .demo import RECIPE, run_demo

    run_demo(args.folder, args.arch, RECIPE.replace(epochs=args.epochs) if args.epochs else None, args.per_class)


def add(commands: argparse._SubParsersAction) -> None:
    """Register the commands of this module."""
    example = "specimg train freesound/train.csv --folder audio_train --fn-col fname --label-col label --arch resnet34"
    train = add_command(commands, "train", _train, f"{example} --epochs 10 --out runs/first")
    out = "folder for the training and the classifier; the same command resumes an interrupted training"
    option(train, "source", "a folder with a folder for each class, or a csv beside the folder of recordings")
    option(train, "--out", out, required=True)
    add = partial(option, train.add_argument_group("labels"))
    add("--regex", r"labels from file names, such as '^(?P<label>\d)_(?P<group>[a-z]+)_'")
    add("--folder", "folder of the recordings, beside the csv")
    add("--fn-col", "column of the file names, by name or position", "0")
    add("--label-col", "column of the labels; or several, one for each class, of 0 and 1; default 1", nargs="+")
    add("--label-delim", "separator of several labels of one clip")
    add("--group-col", "column of groups that are never split between training and validation")
    add("--delimiter", "what separates the cells of the csv; default , ; tab or |, found out")
    add("--encoding", "of the csv, such as cp1252; default UTF-8, or UTF-16 with its mark")
    add("--train", "folder of training in the source; default train or training", metavar="NAME")
    add("--valid", "folder of validation; default valid, validation, val or dev", metavar="NAME")
    add("--suffix", "added to every file name, such as .wav")
    add("--corrections", "csv of labels that a person corrected: path, label, corrected", metavar="FILE")
    add("--valid-pct", "share of the clips for validation", 0.2)
    add_renderer(train)
    add = partial(option, train.add_argument_group("training"))
    add("--arch", "any timm network, or one of list_nets()", "resnet34")
    add("--pretrained", "start from pretrained weights", "yes", choices=["yes", "no", "if-available"])
    add("--weights", "a file or folder with the network's pretrained weights")
    add("--epochs", "epochs in which all layers learn", 14)
    add("--freeze-epochs", "epochs before them for the head alone", 1)
    add("--lr", "peak learning rate, find (a short search) or default: 0.01 pretrained, 0.003 from scratch")
    add(
        "--augment",
        "none, or settings: hiss=0.3 shift=0.1 time_mask=0.15; default hiss=0.3",
        nargs="+",
        metavar="NAME=VALUE",
    )
    add("--mixup", "alpha of MixUp, 0 is off", 0.0)
    add("--bs", "clips per batch; default 16 to 64, by the number of clips", type=int)
    add("--size", "height and width in pixels; default those of the pictures", type=int)
    add("--seed", "of the split and of training", 0)
    add("--track", TRACK, metavar="NAME")
    few = f"compare with a linear model; default up to {BASELINE_CLIPS} clips, for which it takes seconds"
    add("--baseline", few, action=argparse.BooleanOptionalAction)

    demo = add_command(commands, "demo", _demo, "specimg demo demo")
    option(demo, "folder", "folder for everything", "demo", nargs="?")
    option(demo, "--arch", "any timm network, such as resnet34 or inception_v3", "tf_efficientnet_lite0")
    option(demo, "--epochs", "epochs after the first, in which only the head learns; default 6", type=int)
    option(demo, "--per-class", "training clips of each kind of sound", 60)
