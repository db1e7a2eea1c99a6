"""What a user's type checker sees: never run, only read by mypy (`make lint`), with every check on.

The calls are those of README and the notebooks. A signature that changes, a return that becomes something else, an annotation that is too
narrow for what is documented: each is an error here.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from typing_extensions import assert_type

import specimg as sp


def pictures() -> sp.SpecTree:
    look = sp.Renderer(sp.Mel(n_mels=128, hop_length=512), sp.Picture(), sp.Audio(sr=32000))
    assert_type(look.replace(picture=sp.Picture(height=64)), sp.Renderer)
    assert_type(sp.Renderer.from_dict(look.to_dict()), sp.Renderer)
    assert_type(look.png("dog.wav"), bytes)
    y, sr = sp.read_audio("dog.wav", look.audio)
    assert_type(sr, int)
    look(y, sr).save("dog.png")
    sp.show_picture("dog.png")
    sp.Renderer(sp.Stack(sp.Mel(), sp.Delta(sp.Mel(), order=1)))
    sp.Renderer(sp.Mel(pcen=sp.Pcen()))
    tree = sp.render_tree(Path("audio"), look, cache="cache", n_jobs=2)
    assert_type(tree, sp.SpecTree)
    assert_type(len(tree), int)
    assert_type(tree.picture("dog.wav", start=0.5), Path)
    assert_type(sp.SpecTree.open("cache/audio-mel128"), sp.SpecTree)
    return tree


def tables() -> pd.DataFrame:
    table = sp.labels_from_csv("train.csv", fn_col="fname", label_col="label")
    table = sp.add_folds(sp.labels_from_folders("clips"), n_splits=5, group="group", seed=0)
    boxes = sp.read_annotations(
        Path("selections"), recordings={"night.wav": Path("nights/night.wav")}, label_col="Species"
    )
    table = sp.label_windows(boxes, "nights", seconds=5, overlap=2.5, negatives=None, log=None)
    return sp.apply_corrections(table, sp.read_corrections("corrections.csv"))


def training(tree: sp.SpecTree) -> None:
    dls = sp.SpecDataLoaders.from_csv(
        "freesound", "train.csv", folder="audio_train", fn_col="fname", label_col="label", bs=64
    )
    learn = sp.spec_learner(dls, "resnet34", pretrained="if-available", seed=0)
    recipe = sp.Recipe(epochs=10, freeze_epochs=5, lr="find", mixup=0.4)
    assert_type(recipe.replace(lr=3e-3), sp.Recipe)
    sp.fit(learn, recipe, out="runs/first")
    interp = sp.SpecInterpretation.from_learner(learn)
    interp.plot_top_losses(9)
    interp.most_confused(min_val=2)
    assert_type(sp.report(interp, "report.html"), Path)
    sp.save_classifier(learn, "dog-or-not")


def predictions() -> None:
    clf = sp.load_classifier("dog-or-not")
    clf.predict(["a.wav", Path("b.ogg")], reject_below=0.6)
    windows = clf.predict_windows("night.wav", seconds=5, overlap=2.5)
    sp.write_events(sp.merge_events(windows, threshold=0.8), "night.txt", format="audacity")


def competing() -> None:
    comp = sp.Competition.open("freesound-audio-tagging", "freesound/")
    look = sp.Renderer(sp.Mel())
    run = sp.cross_validate(comp, look, "resnet34", sp.Recipe(epochs=10), folds=5, out="runs/r34", loaders=dict(bs=64))
    assert_type(run, sp.Run)
    assert_type(sp.Run.open("runs/r34"), sp.Run)
    assert_type(run.score.low, float)
    run.submission("submission.csv")
    sp.blend([run, sp.Run.open("runs/b0")]).submission("submission.csv")
    sp.compare(comp, ["resnet18", "mini_resnet"], {"mel": look, "cqt": sp.Renderer(sp.Cqt())}, out="runs/compare")
    assert_type(sp.list_nets(), list[str])
    sp.metrics.lwlrap([[1, 0], [0, 1]], [[0.6, 0.4], [0.5, 0.5]])
